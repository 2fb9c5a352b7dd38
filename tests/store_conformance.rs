//! One suite for every back end of the store: memory, a local directory, and S3 when
//! `CHARTFS_TEST_S3` names a server (`tests/servers/seaweedfs` starts one).

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use chartfs::error::Kind;
use chartfs::store::{
    Bucket, Condition, DirectorySync, Fetched, Location, ObjectName, Put, StoreOptions, Version,
};
use futures::{StreamExt, TryStreamExt};

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}

async fn put(bucket: &Bucket, at: &str, text: &str, condition: Condition) -> Option<Version> {
    match bucket.put(&name(at), Bytes::from(text.to_owned()), condition).await.unwrap() {
        Put::Stored(version) => Some(version),
        Put::Refused => None,
    }
}

async fn text(bucket: &Bucket, at: &str) -> Option<String> {
    let object = bucket.get(&name(at), 1 << 20).await.unwrap()?;
    Some(String::from_utf8(object.bytes.to_vec()).unwrap())
}

async fn names(bucket: &Bucket, prefix: &str) -> Vec<String> {
    let mut names: Vec<_> =
        bucket.list(prefix).map_ok(|l| l.name.to_string()).try_collect().await.unwrap();
    names.sort();
    names
}

async fn reads_what_was_written(b: &Bucket) {
    assert_eq!(text(b, "rw/a").await, None);
    let v = put(b, "rw/a", "one", Condition::Absent).await.unwrap();
    let object = b.get(&name("rw/a"), 3).await.unwrap().unwrap();
    assert_eq!((&object.bytes[..], &object.version), (&b"one"[..], &v));
    put(b, "rw/a", "", Condition::Always).await.unwrap();
    assert_eq!(text(b, "rw/a").await.as_deref(), Some(""));
    b.delete(&name("rw/a")).await.unwrap();
    b.delete(&name("rw/a")).await.unwrap();
    assert_eq!(text(b, "rw/a").await, None);
    assert_eq!(text(b, "rw").await, None);
}

async fn lengths_are_checked_before_reading(b: &Bucket) {
    put(b, "len/a", "12345", Condition::Absent).await.unwrap();
    assert_eq!(b.get(&name("len/a"), 4).await.unwrap_err().kind(), Kind::Integrity);
    assert!(b.get(&name("len/a"), 5).await.unwrap().is_some());
    assert_eq!(&b.get_range(&name("len/a"), 1..4).await.unwrap()[..], b"234");
    assert_eq!(&b.get_range(&name("len/a"), 0..5).await.unwrap()[..], b"12345");
    assert!(b.get_range(&name("len/a"), 3..3).await.unwrap().is_empty());
    for range in [0..6, 4..6, 5..6, 9..10, 0..u64::MAX, u64::MAX - 1..u64::MAX] {
        let e = b.get_range(&name("len/a"), range.clone()).await.unwrap_err();
        assert_eq!(e.kind(), Kind::Integrity, "{range:?}: {e}");
    }
    assert_eq!(b.get_range(&name("len/none"), 0..1).await.unwrap_err().kind(), Kind::NotFound);
}

async fn conditions_count(b: &Bucket) {
    let v1 = put(b, "cas/a", "1", Condition::Absent).await.unwrap();
    assert_eq!(put(b, "cas/a", "x", Condition::Absent).await, None);
    let v2 = put(b, "cas/a", "2", Condition::Matches(v1.clone())).await.unwrap();
    assert_ne!(v1, v2);
    assert_eq!(put(b, "cas/a", "x", Condition::Matches(v1)).await, None);
    assert_eq!(text(b, "cas/a").await.as_deref(), Some("2"));
    b.delete(&name("cas/a")).await.unwrap();
    assert_eq!(put(b, "cas/a", "x", Condition::Matches(v2)).await, None);
    assert_eq!(text(b, "cas/a").await, None);
    assert!(put(b, "cas/a", "3", Condition::Absent).await.is_some());
}

async fn unchanged_objects_are_not_read_again(b: &Bucket) {
    let v1 = put(b, "cond/a", "1", Condition::Absent).await.unwrap();
    let again =
        |v: Version| async move { b.get_if_changed(&name("cond/a"), &v, 10).await.unwrap() };
    assert_eq!(again(v1.clone()).await, Fetched::Unchanged);
    let v2 = put(b, "cond/a", "2", Condition::Matches(v1.clone())).await.unwrap();
    let Fetched::Changed(object) = again(v1).await else { panic!("it has changed") };
    assert_eq!((&object.bytes[..], &object.version), (&b"2"[..], &v2));
    b.delete(&name("cond/a")).await.unwrap();
    assert_eq!(again(v2).await, Fetched::Absent);
}

async fn listings_are_complete_and_bounded_by_segments(b: &Bucket) {
    let all = ["list/a-b/c", "list/a/x.y", "list/b/1", "list/b/10", "list/b/2", "listing"];
    for n in all.iter().rev() {
        put(b, n, n, Condition::Absent).await.unwrap();
    }
    assert_eq!(names(b, "list").await, all[..5]);
    assert_eq!(names(b, "list/b").await, all[2..5]);
    assert_eq!(names(b, "list/b/").await, all[2..5]);
    assert_eq!(names(b, "list/none").await, Vec::<String>::new());
    assert!(names(b, "").await.iter().any(|n| n == "listing"));
    for listed in b.list("list").try_collect::<Vec<_>>().await.unwrap() {
        let object = b.get(&listed.name, 100).await.unwrap().unwrap();
        assert_eq!(listed.size_bytes, object.bytes.len() as u64);
        assert_eq!(listed.version, object.version, "{}", listed.name);
    }
}

async fn listings_go_over_many_pages(b: &Bucket) {
    let wanted: Vec<_> = (0..2300).map(|i| format!("many/{i:05}")).collect();
    let writes = wanted.iter().map(|n| put(b, n, "x", Condition::Absent));
    let done: Vec<_> = futures::stream::iter(writes).buffer_unordered(16).collect().await;
    assert!(done.iter().all(Option::is_some));
    assert_eq!(names(b, "many").await, wanted);
    // A listing that is not read to its end stops.
    assert!(b.list("many").next().await.unwrap().is_ok());
}

async fn large_objects_go_in_parts(b: &Bucket) {
    let chunk = |i: usize| Bytes::from(vec![u8::try_from(i % 251).unwrap(); 300_001]);
    for (at, chunks) in [("large/none", 0), ("large/one", 1), ("large/many", 60)] {
        let whole: Vec<u8> = (0..chunks).flat_map(chunk).collect();
        let body = futures::stream::iter((0..chunks).map(|i| Ok(chunk(i))));
        let up = b.put_large(&name(at), body).await.unwrap();
        assert_eq!(up.size_bytes, whole.len() as u64);
        let object = b.get(&name(at), 1 << 30).await.unwrap().unwrap();
        assert!(object.bytes[..] == whole[..], "{at}");
        assert_eq!(object.version, up.version, "{at}");
        if chunks == 60 {
            let range = (8 << 20) - 5..(8 << 20) + 5;
            let read = b.get_range(&name(at), range.start as u64..range.end as u64).await.unwrap();
            assert_eq!(read[..], whole[range]);
        }
    }
}

async fn a_stream_that_fails_leaves_no_object(b: &Bucket) {
    let bad = || Err(chartfs::error::Error::new(Kind::Internal, "the source failed"));
    let chunks = (0..10).map(|_| Ok(Bytes::from(vec![1; 1 << 20]))).chain([bad()]);
    let e = b.put_large(&name("large/bad"), futures::stream::iter(chunks)).await.unwrap_err();
    assert_eq!(e.what(), "the source failed");
    assert!(b.get(&name("large/bad"), 1 << 30).await.unwrap().is_none());
}

async fn one_of_many_creators_wins(b: &Bucket) {
    let creators = (0..16).map(|i| async move {
        put(b, "race/a", &format!("creator {i}"), Condition::Absent).await.map(|_| i)
    });
    let won: Vec<_> = futures::future::join_all(creators).await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!(text(b, "race/a").await.unwrap(), format!("creator {}", won[0]));
}

/// Adds 1 to the number in an object `times` times, by compare-and-swap.
async fn count_up(b: &Bucket, at: &str, who: &str, times: u32) {
    for i in 0..times {
        loop {
            let now = b.get(&name(at), 100).await.unwrap().unwrap();
            let number: u32 = std::str::from_utf8(&now.bytes)
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            // The rest makes the bytes unique, as the commit id of a head does.
            let next = format!("{} {who}-{i}", number + 1);
            if put(b, at, &next, Condition::Matches(now.version)).await.is_some() {
                break;
            }
        }
    }
}

async fn no_update_is_lost_between_tasks(b: &Bucket) {
    put(b, "count/a", "0 -", Condition::Absent).await.unwrap();
    let whos: Vec<_> = (0..8).map(|i| i.to_string()).collect();
    futures::future::join_all(whos.iter().map(|who| count_up(b, "count/a", who, 10))).await;
    assert!(text(b, "count/a").await.unwrap().starts_with("80 "));
}

async fn the_probe_accepts_it_and_cleans_up(b: &Bucket) {
    b.probe().await.unwrap();
    assert_eq!(names(b, "probe").await, Vec::<String>::new());
}

async fn requests_are_counted(b: &Bucket) {
    let before = b.requests();
    put(b, "counts/a", "12", Condition::Absent).await;
    text(b, "counts/a").await;
    b.get_range(&name("counts/a"), 0..1).await.unwrap();
    names(b, "counts").await;
    b.delete(&name("counts/a")).await.unwrap();
    let after = b.requests();
    let each = [
        after.put - before.put,
        after.get - before.get,
        after.get_range - before.get_range,
        after.list - before.list,
        after.delete - before.delete,
    ];
    assert_eq!((each, after.head - before.head), ([1; 5], 0));
    assert_eq!(after.total() - before.total(), 5);
}

async fn conforms(b: &Bucket) {
    reads_what_was_written(b).await;
    lengths_are_checked_before_reading(b).await;
    conditions_count(b).await;
    unchanged_objects_are_not_read_again(b).await;
    listings_are_complete_and_bounded_by_segments(b).await;
    listings_go_over_many_pages(b).await;
    large_objects_go_in_parts(b).await;
    a_stream_that_fails_leaves_no_object(b).await;
    one_of_many_creators_wins(b).await;
    no_update_is_lost_between_tasks(b).await;
    the_probe_accepts_it_and_cleans_up(b).await;
    requests_are_counted(b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_conforms() {
    conforms(&Bucket::memory()).await;
}

async fn directory(path: &std::path::Path, sync: DirectorySync) -> Bucket {
    let options =
        StoreOptions { create_directory: true, directory_sync: sync, ..StoreOptions::default() };
    Bucket::open(&Location::Directory(path.to_owned()), &options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_conforms() {
    for sync in [DirectorySync::Full, DirectorySync::Data, DirectorySync::Off] {
        let dir = tempfile::tempdir().unwrap();
        let bucket = directory(&dir.path().join("new/bucket"), sync).await;
        conforms(&bucket).await;
        bucket.sync().await.unwrap();
    }
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_an_error_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions::default();
    let missing = Location::Directory(dir.path().join("none"));
    let e = Bucket::open(&missing, &options).await.unwrap_err();
    assert_eq!(e.kind(), Kind::NotFound);
    assert!(e.try_this().unwrap().contains("init"));
    std::fs::write(dir.path().join("file"), b"x").unwrap();
    let e =
        Bucket::open(&Location::Directory(dir.path().join("file")), &options).await.unwrap_err();
    assert_eq!(e.kind(), Kind::NotDirectory);
}

#[tokio::test]
async fn foreign_files_in_a_directory_are_no_objects() {
    let dir = tempfile::tempdir().unwrap();
    let b = directory(dir.path(), DirectorySync::Off).await;
    put(&b, "r/a", "x", Condition::Absent).await.unwrap();
    for foreign in ["README.TXT", "lost+found", "r/.a.swp", ".hidden"] {
        std::fs::write(dir.path().join(foreign), b"x").unwrap();
    }
    std::os::unix::fs::symlink("/etc", dir.path().join("etc")).unwrap();
    assert_eq!(names(&b, "").await, ["r/a"]);
}

const COUNTER_DIR: &str = "CHARTFS_TEST_COUNTER_DIR";
const COUNTER_TIMES: u32 = 100;

/// The body of the processes that [`no_update_is_lost_between_processes`] starts; nothing by itself.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the parent test says by a variable that it is a child"
)]
async fn counter_process() {
    let Ok(dir) = std::env::var(COUNTER_DIR) else { return };
    let b = directory(dir.as_ref(), DirectorySync::Data).await;
    count_up(&b, "count", &std::process::id().to_string(), COUNTER_TIMES).await;
}

#[tokio::test]
async fn no_update_is_lost_between_processes() {
    let dir = tempfile::tempdir().unwrap();
    let b = directory(dir.path(), DirectorySync::Data).await;
    put(&b, "count", "0 -", Condition::Absent).await.unwrap();
    let children: Vec<_> = (0..4)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "counter_process"])
                .env(COUNTER_DIR, dir.path())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let counted = text(&b, "count").await.unwrap();
    assert!(counted.starts_with(&format!("{} ", 4 * COUNTER_TIMES)), "{counted}");
}

/// The body of the process that [`a_full_disk_loses_nothing`] starts; nothing by itself.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the parent test says by a variable that it is a child"
)]
async fn full_disk_process() {
    let Ok(dir) = std::env::var("CHARTFS_TEST_FULL_DIR") else { return };
    let b = directory(dir.as_ref(), DirectorySync::Full).await;
    let old = put(&b, "a", "old", Condition::Absent).await.unwrap();
    for condition in [Condition::Always, Condition::Matches(old)] {
        let too_long = Bytes::from(vec![1; 1 << 20]);
        let e = b.put(&name("a"), too_long, condition).await.unwrap_err();
        assert_eq!(e.kind(), Kind::NoSpace, "{e}");
    }
    let chunks = (0..10).map(|_| Ok(Bytes::from(vec![1; 1 << 20])));
    let e = b.put_large(&name("a"), futures::stream::iter(chunks)).await.unwrap_err();
    assert_eq!(e.kind(), Kind::NoSpace, "{e}");
    assert_eq!(text(&b, "a").await.as_deref(), Some("old"));
    put(&b, "a", "new", Condition::Always).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // A limit on the length of files fails a write as a full disk does, wherever the test runs.
    let limited = r#"trap "" XFSZ; ulimit -f 64; exec "$0" --exact full_disk_process"#;
    let status = Command::new("sh")
        .args(["-c", limited])
        .arg(std::env::current_exe().unwrap())
        .env("CHARTFS_TEST_FULL_DIR", dir.path())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let b = directory(dir.path(), DirectorySync::Full).await;
    assert_eq!(text(&b, "a").await.as_deref(), Some("new"));
    assert_eq!(std::fs::read_dir(dir.path().join(".chartfs/tmp")).unwrap().count(), 0);
}

/// A process that is killed at any moment leaves whole objects only.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the parent test says by a variable that it is a child"
)]
async fn writer_process() {
    let Ok(dir) = std::env::var("CHARTFS_TEST_WRITER_DIR") else { return };
    let b = directory(dir.as_ref(), DirectorySync::Off).await;
    for i in 0_u64.. {
        let byte = b'a' + u8::try_from(i % 26).unwrap();
        b.put(&name("torn"), Bytes::from(vec![byte; 200_000]), Condition::Always).await.unwrap();
    }
}

#[tokio::test]
async fn a_killed_writer_leaves_the_old_object_or_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let b = directory(dir.path(), DirectorySync::Off).await;
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer_process"])
            .env("CHARTFS_TEST_WRITER_DIR", dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // It must have written something of its own before it dies.
        b.delete(&name("torn")).await.unwrap();
        while b.get(&name("torn"), 1 << 20).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(700 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let bytes = b.get(&name("torn"), 1 << 20).await.unwrap().unwrap().bytes;
        assert_eq!(bytes.len(), 200_000);
        assert!(bytes.iter().all(|byte| *byte == bytes[0]));
        assert_eq!(names(&b, "").await, ["torn"]);
    }
}

/// The S3 server that the environment names: location below a fresh prefix, and options.
#[expect(clippy::disallowed_methods, reason = "the server of the test is named by the environment")]
fn s3(test: &str) -> Option<(Location, StoreOptions)> {
    let Ok(endpoint) = std::env::var("CHARTFS_TEST_S3") else {
        // Not by a macro: what those print is hidden when the test passes.
        let why = "CHARTFS_TEST_S3 is not set (start tests/servers/seaweedfs)";
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
        return None;
    };
    let bucket = std::env::var("CHARTFS_TEST_S3_BUCKET").unwrap_or("chartfs-test".to_owned());
    let mut options = StoreOptions::from_vars(std::env::vars());
    options.endpoint = Some(endpoint);
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    Some((format!("s3://{bucket}/{test}/{since}").parse().unwrap(), options))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_conforms() {
    let Some((location, options)) = s3("s3_conforms") else { return };
    conforms(&Bucket::open(&location, &options).await.unwrap()).await;
}

#[tokio::test]
async fn s3_denials_say_what_to_do() {
    let Some((location, options)) = s3("s3_denials") else { return };
    let with = |key: &str, secret: &str| {
        let vars = [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)];
        let mut o =
            StoreOptions::from_vars(vars.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter());
        o.endpoint.clone_from(&options.endpoint);
        o
    };
    for (key, secret) in
        [("NOBODY", "x"), ("CHARTFSTESTKEY000001", "wrong-secret-of-the-right-key")]
    {
        let b = Bucket::open(&location, &with(key, secret)).await.unwrap();
        let e = b.probe().await.unwrap_err();
        assert_eq!(e.kind(), Kind::Denied, "{e}");
        assert!(e.try_this().unwrap().contains("AWS_ACCESS_KEY_ID"), "{e}");
        assert!(!format!("{e:?}").contains(secret) || secret == "x", "{e:?}");
    }
    let other: Location = "s3://no-such-bucket-of-chartfs/x".parse().unwrap();
    let e = Bucket::open(&other, &options).await.unwrap().get(&name("a"), 1).await.unwrap_err();
    assert_eq!(e.kind(), Kind::NotFound, "{e}");
    assert!(e.what().contains("no-such-bucket-of-chartfs"), "{e}");
}
