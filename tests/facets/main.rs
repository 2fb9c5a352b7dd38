//! What the derived sides of a record show: the twins that a research project reads under
//! pseudonyms, and the summary for emergencies.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../fake_s3/mod.rs"]
mod fake_s3;
#[path = "../support/mod.rs"]
mod support;

mod emergency;
mod identifiers;
mod names;
mod twins;

use std::sync::Arc;

use chartfs::record::Records;
use chartfs::store::Bucket;
use chartfs::view::{NodeKind, View, ViewOptions};
use support::{TestRealm, read};

/// What the policies of these tests release.
const RELEASE: &str = r#"
[research]
project = "heart-2026"
sections = ["demographics", "identifiers", "contact", "problems", "medications", "labs", "vitals"]
read = "researcher@north"
"#;

/// A policy in which a patient's folder is the patient's, with a part for research.
fn policy(release: &str) -> String {
    let policy = support::POLICY
        .replace("owner@ana", "owner@{patient}")
        .replace("list = \"physician@st-mary", "list = \"owner@ana or physician@st-mary")
        .replace("\"psychiatrist@north\"\n", "\"psychiatrist@north or physician@st-mary\"\n");
    policy + release
}

async fn realm() -> TestRealm {
    TestRealm::found_with(Bucket::memory(), &policy(RELEASE)).await
}

async fn researcher(realm: &TestRealm) -> Arc<Records> {
    realm.records_of(realm.credential("rita", &["researcher@north"]).await).await
}

async fn view_of(records: Arc<Records>) -> Arc<View> {
    View::of(records, ViewOptions::default()).await.unwrap()
}

async fn drive(realm: &TestRealm, user: &str) -> Arc<View> {
    view_of(realm.records(user).await).await
}

/// The drive of somebody who reads what is released, and nothing else.
async fn research(realm: &TestRealm) -> Arc<View> {
    view_of(researcher(realm).await).await
}

async fn save(view: &View, path: &str, text: &[u8]) -> chartfs::error::Result<()> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = view.make_path(parent).await?;
    view.write_path(parent, name.as_bytes(), text).await.map(|_| ())
}

/// Returns the path of every file below a folder.
async fn files(view: &View, folder: &str) -> Vec<String> {
    let mut all = Vec::new();
    for entry in view.list_path(folder).await.unwrap() {
        let path = format!("{folder}/{}", String::from_utf8(entry.name).unwrap());
        match entry.attr.kind {
            NodeKind::Directory => all.extend(Box::pin(files(view, &path)).await),
            NodeKind::File => all.push(path),
        }
    }
    all.sort();
    all
}

/// The bundle of an invented patient.
fn bundle(seed: u64) -> Vec<u8> {
    let files = chartfs::demo::patients::patient(seed).files;
    files.into_iter().find(|(name, _)| name == "record.json").unwrap().1
}

fn resources(bundle: &[u8]) -> Vec<String> {
    let bundle: serde_json::Value = serde_json::from_slice(bundle).unwrap();
    let kind = |e: &serde_json::Value| e["resource"]["resourceType"].as_str().unwrap().to_owned();
    bundle["entry"].as_array().unwrap().iter().map(kind).collect()
}
