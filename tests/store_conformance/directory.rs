//! A bucket in a local directory: the suite, several processes, a full disk, a killed writer.

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use chartfs::error::Kind;
use chartfs::store::{Bucket, Condition, DirectorySync, Location, StoreOptions};

use crate::suite::{conforms, count_up, name, names, put, text};

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
                .args(["--exact", "directory::counter_process"])
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
    let limited = r#"trap "" XFSZ; ulimit -f 64; exec "$0" --exact directory::full_disk_process"#;
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
            .args(["--exact", "directory::writer_process"])
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
