//! The demonstration: everybody opens what the policy says, and the records office nothing.

#![allow(clippy::unwrap_used)]

use chartfs::demo::realm::{enter, found};
use chartfs::record::marks::Marks;
use chartfs::store::Bucket;

#[tokio::test(flavor = "multi_thread")]
async fn every_role_reads_another_file_at_the_same_path() {
    let demo = found(Bucket::memory(), 2, |_| {}).await.unwrap();
    let path = format!("/{}/record.json", demo.folders[0]);
    let mut lengths = Vec::new();
    for role in demo.roles {
        let view = enter(&demo.bucket, &demo.genesis, role.credential, Marks::in_memory());
        let view = view.await.unwrap();
        let mut text = Vec::new();
        view.read_path(&path, |piece| {
            text.extend_from_slice(&piece);
            Ok(())
        })
        .await
        .unwrap();
        let bundle: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(bundle["resourceType"], "Bundle");
        lengths.push((role.name, text.len()));
    }
    let mut distinct: Vec<usize> = lengths.iter().map(|(_, n)| *n).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), lengths.len(), "{lengths:?}");
    let longest = lengths.iter().max_by_key(|(_, n)| *n).unwrap();
    assert_eq!(longest.0, "patient");
}
