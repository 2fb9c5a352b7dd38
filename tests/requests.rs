//! How many requests an operation costs: what hurts in a cloud is round trips. Counted, not timed.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use chartfs::store::{Bucket, RequestCounts};
use chartfs::view::{Access, Ino, View, ViewOptions};
use support::TestRealm;

async fn drive(realm: &TestRealm, attr_ttl: Duration) -> Arc<View> {
    let options = ViewOptions { attr_ttl, ..ViewOptions::default() };
    View::of(realm.records("doctor").await, options).await.unwrap()
}

/// Runs something and returns the requests that it cost.
async fn cost<T>(bucket: &Bucket, work: impl Future<Output = T>) -> (T, RequestCounts) {
    let before = bucket.requests();
    let done = work.await;
    (done, bucket.requests().since(&before))
}

async fn open_and_read(view: &View, path: &str) -> usize {
    let attr = view.resolve(path).await.unwrap();
    let read = Access { read: true, ..Access::default() };
    let opened = view.open(attr.ino, read).await.unwrap();
    let bytes = view.read(opened.handle, 0, 1 << 20).await.unwrap();
    view.release(opened.handle).await;
    bytes.len()
}

/// Makes the first record of a realm: the policy, certificates and capsules are fetched or made.
async fn warmed(view: &View) {
    view.write_path(Ino::ROOT, b"first.txt", &b"x"[..]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_is_two_writes_and_a_save_is_two_and_a_look_at_the_folder() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let view = drive(&realm, Duration::from_secs(60)).await;
    warmed(&view).await;
    let write = view.write_path(Ino::ROOT, b"new.txt", &b"hello"[..]);
    let (_, create) = cost(&realm.bucket, write).await;
    assert_eq!((create.put, create.total()), (2, 2), "record, then directory: {create:?}");
    let write = view.write_path(Ino::ROOT, b"new.txt", &b"changed"[..]);
    let (_, save) = cost(&realm.bucket, write).await;
    let asked = (save.put, save.get, save.total());
    assert_eq!(asked, (2, 1, 3), "history, record, and whether the name is there: {save:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_open_is_two_reads_and_a_warm_one_at_most_one() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let view = drive(&realm, Duration::ZERO).await;
    warmed(&view).await;
    view.write_path(Ino::ROOT, b"a.txt", &b"hello"[..]).await.unwrap();

    // What a realm, its policy and one author's capsule cost is paid once by the first file.
    let cold = drive(&realm, Duration::from_secs(60)).await;
    assert_eq!(open_and_read(&cold, "/first.txt").await, 1);
    let (_, second) = cost(&realm.bucket, open_and_read(&cold, "/a.txt")).await;
    assert_eq!(second.total(), 1, "the directory is known: {second:?}");
    let (_, warm) = cost(&realm.bucket, open_and_read(&cold, "/a.txt")).await;
    assert_eq!(warm.total(), 0, "within the time to live: {warm:?}");
    let (_, absent) = cost(&realm.bucket, cold.resolve("/absent")).await;
    assert_eq!(absent.total(), 0, "an absent name in a known directory: {absent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_one_read_per_record_and_no_decapsulation_per_record() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let writer = drive(&realm, Duration::from_secs(60)).await;
    let records = 100;
    for i in 0..records {
        let name = format!("{i}.txt");
        writer.write_path(Ino::ROOT, name.as_bytes(), &b"text"[..]).await.unwrap();
    }
    let reader = drive(&realm, Duration::from_secs(60)).await;
    let before = reader.records().keyring().decapsulations();
    let (entries, listing) = cost(&realm.bucket, reader.list_path("/")).await;
    assert_eq!(entries.unwrap().len(), records);
    let shared = 4;
    let limit = records as u64 + shared;
    assert!(listing.total() <= limit, "{listing:?} for {records} records");
    let opened = reader.records().keyring().decapsulations() - before;
    assert!(opened <= 2, "{opened} decapsulations for {records} records of one author");
}
