//! The demonstration: everybody opens what the policy says, and the records office nothing.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chartfs::demo::realm::{enter, found};
use chartfs::error::Kind;
use chartfs::record::marks::Marks;
use chartfs::store::Bucket;
use chartfs::view::{RenameMode, View, ViewOptions};

#[tokio::test(flavor = "multi_thread")]
async fn every_role_reads_another_file_at_the_same_path() {
    let demo = found(Bucket::memory(), 2, |_| {}).await.unwrap();
    let path = format!("/{}/record.json", demo.folders[0]);
    let mut lengths = Vec::new();
    for role in demo.roles {
        let view = enter(&demo.bucket, &demo.genesis, role.credential, Marks::in_memory());
        let view = view.await.unwrap();
        if role.name == "researcher" {
            assert!(view.resolve(&path).await.is_err(), "a researcher knows no such name");
            assert_eq!(view.list_path("/").await.unwrap().len(), demo.folders.len());
            continue;
        }
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

// In the demonstration the pharmacist may change medications, may not add to the folder, and reads
// sections that he may not write. His editor writes a new file beside the record all the same.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_make_no_record_still_saves_by_a_new_file() {
    let demo = found(Bucket::memory(), 1, |_| {}).await.unwrap();
    let mut views = BTreeMap::new();
    for role in demo.roles {
        let view = enter(&demo.bucket, &demo.genesis, role.credential, Marks::in_memory());
        views.insert(role.name, view.await.unwrap());
    }
    let path = format!("/{}/record.json", demo.folders[0]);
    let text = async |who: &str, marks: &str| {
        let mut text = Vec::new();
        let take = |piece: bytes::Bytes| {
            text.extend_from_slice(&piece);
            Ok(())
        };
        views[who].read_path(&path, take).await.unwrap();
        (
            String::from_utf8(text.clone()).unwrap(),
            String::from_utf8(text).unwrap().matches(marks).count(),
        )
    };
    for (who, name) in [
        ("pharmacist", "sedAb12Cd"),
        ("pharmacist", ".record.json.Ab12Cd"),
        ("physician", "tmp"),
        ("physician", "record.json.1"),
    ] {
        let view = &views[who];
        let folder = view.resolve(&demo.folders[0]).await.unwrap().ino;
        let (seen, before) = text(who, "\"stopped\"").await;
        let medication = seen.find("\"MedicationRequest\"").unwrap();
        let status = medication + seen[medication..].find("\"active\"").unwrap();
        let edited = [&seen[..status], "\"stopped\"", &seen[status + 8..]].concat();
        view.write_path(folder, name.as_bytes(), edited.as_bytes()).await.unwrap();
        let replace = RenameMode::Replace;
        view.rename(folder, name.as_bytes(), folder, b"record.json", replace).await.unwrap();
        assert_eq!(text(who, "\"stopped\"").await, (edited.clone(), before + 1), "{who} {name}");
    }
    // A file of its own is refused when it is closed, or made, and not kept quietly.
    let (seen, _) = text("physician", "").await;
    for (who, name) in [("physician", "copy.json"), ("pharmacist", "copy.json")] {
        let view = &views[who];
        let folder = view.resolve(&demo.folders[0]).await.unwrap().ino;
        let e = view.write_path(folder, name.as_bytes(), seen.as_bytes()).await.unwrap_err();
        assert_eq!(e.kind(), Kind::Denied, "{who}");
    }
}

// `mktemp` and emacs make an empty file, close it, and write the text later. The physician may add
// files, but none with sections that he only reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_for_an_empty_file_that_was_made_beside_a_record_stays_here_until_it_is_renamed() {
    let demo = found(Bucket::memory(), 1, |_| {}).await.unwrap();
    let mut views = BTreeMap::new();
    for role in demo.roles {
        let view = enter(&demo.bucket, &demo.genesis, role.credential, Marks::in_memory());
        views.insert(role.name, view.await.unwrap());
    }
    let path = format!("/{}/record.json", demo.folders[0]);
    let view = &views["physician"];
    let newest = ViewOptions { attr_ttl: Duration::ZERO, ..ViewOptions::default() };
    let patient = View::of(Arc::clone(views["patient"].records()), newest).await.unwrap();
    let folder = view.resolve(&demo.folders[0]).await.unwrap().ino;
    let names = async |view: &View| {
        let listed = view.list_path(&demo.folders[0]).await.unwrap();
        listed.into_iter().map(|e| e.name).collect::<Vec<_>>()
    };
    let before = names(&patient).await;
    for name in ["tmp.Ab12Cd", "tmpAb12Cd", "tmpab12cd_3"] {
        view.write_path(folder, name.as_bytes(), &[][..]).await.unwrap();
        assert_eq!(names(&patient).await.len(), before.len() + 1, "it may be a file of its own");
        let seen = text(view, &path).await;
        let edited = seen.replacen("\"active\"", "\"stopped\"", 1);
        view.write_path(folder, name.as_bytes(), edited.as_bytes()).await.unwrap();
        assert_eq!(names(&patient).await, before, "{name}");
        let replace = RenameMode::Replace;
        view.rename(folder, name.as_bytes(), folder, b"record.json", replace).await.unwrap();
        assert_eq!(text(view, &path).await, edited, "{name}");
        assert_eq!(names(&patient).await, before, "{name}");
    }
    // What is no new text of anything is refused, and what it was stays.
    view.write_path(folder, b"own.json", &[][..]).await.unwrap();
    let seen = text(view, &path).await;
    let e = view.write_path(folder, b"own.json", seen.as_bytes()).await.unwrap_err();
    assert_eq!(e.kind(), Kind::Denied);
}

async fn text(view: &View, path: &str) -> String {
    let mut text = Vec::new();
    let take = |piece: bytes::Bytes| {
        text.extend_from_slice(&piece);
        Ok(())
    };
    view.read_path(path, take).await.unwrap();
    String::from_utf8(text).unwrap()
}
