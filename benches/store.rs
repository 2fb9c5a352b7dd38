//! What the operations of a bucket cost: `cargo bench --bench store` prints `name=value` lines.
//!
//! By default a local directory below `$CHARTFS_BENCH_DIR` (or the temporary directory), with each
//! setting of the sync; beside it the bare system calls that such a write cannot do without.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    clippy::disallowed_methods
)]

use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chartfs::store::{Bucket, Condition, DirectorySync, Location, ObjectName, Put, StoreOptions};
use futures::TryStreamExt;

const ROUNDS: usize = 500;
const BODY_LEN_BYTES: usize = 4096;

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at =
        |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1e6;
    println!("{what}_p50_us={:.1}\n{what}_p99_us={:.1}", at(50), at(99));
}

async fn measure<F: Future<Output = ()>>(what: &str, mut one: impl FnMut(usize) -> F) {
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let started = Instant::now();
        one(round).await;
        times.push(started.elapsed());
    }
    report(what, times);
}

fn body(round: usize) -> Bytes {
    let mut bytes = vec![0x5a; BODY_LEN_BYTES];
    bytes[..8].copy_from_slice(&(round as u64).to_le_bytes());
    bytes.into()
}

async fn stored(
    bucket: &Bucket,
    at: &ObjectName,
    bytes: Bytes,
    condition: Condition,
) -> chartfs::store::Version {
    match bucket.put(at, bytes, condition).await.unwrap() {
        Put::Stored(version) => version,
        Put::Refused => panic!("nobody else writes"),
    }
}

async fn directory(root: &Path, sync: DirectorySync, label: &str) {
    let dir = tempfile::tempdir_in(root).unwrap();
    let options = StoreOptions { directory_sync: sync, ..StoreOptions::default() };
    let bucket = Bucket::open(&Location::Directory(dir.path().to_owned()), &options).await.unwrap();
    let b = &bucket;
    measure(&format!("directory_{label}_create"), |i| async move {
        stored(b, &name(&format!("r/{i:04}")), body(i), Condition::Absent).await;
    })
    .await;
    let head = name("r/head");
    let mut version = stored(b, &head, body(0), Condition::Absent).await;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let started = Instant::now();
        version = stored(b, &head, body(round), Condition::Matches(version)).await;
        times.push(started.elapsed());
    }
    report(&format!("directory_{label}_cas"), times);
    if label != "full" {
        return;
    }
    measure("directory_get", |i| async move {
        b.get(&name(&format!("r/{i:04}")), 1 << 20).await.unwrap().unwrap();
    })
    .await;
    let (head, version) = (&head, &version);
    measure("directory_get_unchanged", |_| async move {
        b.get_if_changed(head, version, 1 << 20).await.unwrap();
    })
    .await;
    measure("directory_get_range_1k", |i| async move {
        b.get_range(&name(&format!("r/{i:04}")), 1024..2048).await.unwrap();
    })
    .await;
    let started = Instant::now();
    let listed: Vec<_> = b.list("r").try_collect().await.unwrap();
    println!(
        "directory_list_us_per_object={:.2}",
        started.elapsed().as_secs_f64() * 1e6 / listed.len() as f64
    );
    large(b, "directory").await;
}

async fn large(bucket: &Bucket, label: &str) {
    let chunks = || futures::stream::iter((0..256).map(|_| Ok(Bytes::from(vec![7; 1 << 20]))));
    let started = Instant::now();
    bucket.put_large(&name("b/large"), chunks()).await.unwrap();
    println!("{label}_put_256_mib_mb_per_s={:.0}", 268.4 / started.elapsed().as_secs_f64());
    let started = Instant::now();
    for i in 0..256 {
        bucket.get_range(&name("b/large"), i << 20..(i + 1) << 20).await.unwrap();
    }
    println!("{label}_get_256_mib_mb_per_s={:.0}", 268.4 / started.elapsed().as_secs_f64());
}

/// The server that the variables of `tests/servers/seaweedfs` name, if there is one.
async fn s3() {
    let Ok(bucket) = std::env::var("CHARTFS_TEST_S3_BUCKET") else { return };
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let location = format!("s3://{bucket}/bench/{since}").parse().unwrap();
    let bucket = Bucket::open(&location, &StoreOptions::from_vars(std::env::vars())).await.unwrap();
    let b = &bucket;
    measure("s3_create", |i| async move {
        stored(b, &name(&format!("r/{i:04}")), body(i), Condition::Absent).await;
    })
    .await;
    measure("s3_get", |i| async move {
        b.get(&name(&format!("r/{i:04}")), 1 << 20).await.unwrap().unwrap();
    })
    .await;
    let head = name("r/head");
    let mut version = stored(b, &head, body(0), Condition::Absent).await;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let started = Instant::now();
        version = stored(b, &head, body(round), Condition::Matches(version)).await;
        times.push(started.elapsed());
    }
    report("s3_cas", times);
    large(b, "s3").await;
}

/// Write, sync, rename, sync: the least that a durable replacement costs here.
fn bare(root: &Path) {
    let dir = tempfile::tempdir_in(root).unwrap();
    let handle = std::fs::File::open(dir.path()).unwrap();
    for (label, synced) in [("off", false), ("full", true)] {
        let mut times = Vec::new();
        for round in 0..ROUNDS {
            let bytes = body(round);
            let started = Instant::now();
            let mut file = std::fs::File::create(dir.path().join("temp")).unwrap();
            file.write_all(&bytes).unwrap();
            if synced {
                file.sync_data().unwrap();
            }
            std::fs::rename(dir.path().join("temp"), dir.path().join("head")).unwrap();
            if synced {
                handle.sync_all().unwrap();
            }
            times.push(started.elapsed());
        }
        report(&format!("bare_{label}_replace"), times);
    }
}

fn main() {
    let root = std::env::var_os("CHARTFS_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        bare(&root);
        directory(&root, DirectorySync::Full, "full").await;
        directory(&root, DirectorySync::Data, "data").await;
        directory(&root, DirectorySync::Off, "off").await;
        s3().await;
    });
}
