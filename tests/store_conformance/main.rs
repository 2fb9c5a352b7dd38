//! One suite for every back end of the store: memory, a local directory, a Google bucket of the
//! test process, S3 and Azure when `CHARTFS_TEST_S3` and `CHARTFS_TEST_AZURE` name servers
//! (`tests/servers/seaweedfs` and `tests/servers/azurite` start them).

#![allow(clippy::unwrap_used)]

mod azure;
mod base64;
mod credentials;
mod directory;
mod fake_gcs;
mod gcs;
#[path = "../fake_s3/http.rs"]
mod http;
mod s3;
mod suite;

use std::io::Write;

/// Says that a test did not run, where a test that passes can still be heard.
fn skipped(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}

/// A number that no other run of the tests has: every test works below a prefix of its own.
fn stamp() -> u128 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos()
}

/// The variables of a process that has only these.
fn vars(all: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_conforms() {
    suite::conforms(&chartfs::store::Bucket::memory()).await;
}
