//! What lies in the inbox of a drive.

use std::time::Duration;

use chartfs::view::{Access, RenameMode, View, ViewOptions};

use crate::site::{Site, counts, drop_in, message, read};

#[tokio::test]
async fn what_is_put_into_the_inbox_is_filed_and_gone_from_there() {
    let site = Site::new().await;
    let view = site.view("doctor").await;
    let text = message("M1", "4711", "Lorimarsh", "19700203");
    drop_in(&view, "a.hl7", &text).await;
    drop_in(&view, "b.txt", "what is this").await;
    let below = view.make_path("/inbox/monday/ward").await.unwrap();
    view.write_path(below, b"c.hl7", text.as_bytes()).await.unwrap();
    assert_eq!(counts(view.file_inboxes().await.unwrap()), [1, 0, 1, 1]);
    assert_eq!(counts(view.file_inboxes().await.unwrap()), [0, 0, 0, 0]);
    let all = site.all().await;
    assert_eq!(all.len(), 3, "{:?}", all.keys());
    assert_eq!(all["/inbox/.failed/b.txt"], "what is this");
    // Through the view that filed it, too.
    let names: Vec<Vec<u8>> =
        view.list_path("/inbox").await.unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, [b".failed".to_vec(), b".patients".to_vec(), b"monday".to_vec()]);
    let filed = all.keys().find(|path| path.starts_with("/patients")).unwrap();
    assert_eq!(read(&view, filed).await, text);
}

#[tokio::test]
async fn what_is_still_being_written_waits() {
    let site = Site::new().await;
    let view = site.view("doctor").await;
    let text = message("M1", "4711", "Lorimarsh", "19700203");
    let folder = view.make_path("/inbox").await.unwrap();
    for name in [".a.hl7.Ab12Cd", "a.hl7.tmp", "a.part", "a.filepart"] {
        drop_in(&view, name, &text).await;
    }
    let (attr, opened) = view.create(folder, b"a.hl7", false, 0o600).await.unwrap();
    view.write(opened.handle, 0, text.clone().into()).await.unwrap();
    view.fsync(opened.handle).await.unwrap();
    assert_eq!(counts(view.file_inboxes().await.unwrap()), [0, 0, 0, 0], "a program has it open");
    view.release(opened.handle).await;
    assert_eq!(counts(view.file_inboxes().await.unwrap()), [1, 0, 0, 0]);
    view.forget(attr.ino, 1);
    view.rename(folder, b"a.hl7.tmp", folder, b"b.hl7", RenameMode::Replace).await.unwrap();
    assert_eq!(counts(view.file_inboxes().await.unwrap()), [0, 0, 1, 0], "it is filed already");
}

#[tokio::test]
async fn a_file_is_left_alone_for_a_moment_after_its_last_change() {
    let site = Site::new().await;
    let options = ViewOptions { inbox_settle: Duration::from_secs(3600), ..ViewOptions::default() };
    let view = View::of(site.realm.records("doctor").await, options).await.unwrap();
    drop_in(&view, "a.hl7", &message("M1", "4711", "Lorimarsh", "19700203")).await;
    for _ in 0..2 {
        assert_eq!(counts(view.file_inboxes().await.unwrap()), [0, 0, 0, 0]);
    }
}

#[tokio::test]
async fn a_failed_text_that_is_put_back_is_tried_again() {
    let site = Site::new().await;
    let view = site.view("doctor").await;
    drop_in(&view, "a", &message("M1", "4711", "Lorimarsh", "19700203")).await;
    drop_in(&view, "b", &message("M2", "4711", "Lorimarsh", "1971")).await;
    assert_eq!(counts(view.file_inboxes().await.unwrap()), [1, 0, 0, 1]);
    let failed = view.resolve("/inbox/.failed").await.unwrap().ino;
    let inbox = view.resolve("/inbox").await.unwrap().ino;
    let file = view.resolve("/inbox/.failed/b").await.unwrap().ino;
    let write = Access { read: true, write: true, truncate: true, append: false };
    let opened = view.open(file, write).await.unwrap();
    let right = message("M2", "4711", "Lorimarsh", "19700203");
    view.write(opened.handle, 0, right.into()).await.unwrap();
    view.flush(opened.handle).await.unwrap();
    view.release(opened.handle).await;
    view.rename(failed, b"b", inbox, b"b", RenameMode::Replace).await.unwrap();
    assert_eq!(counts(view.file_inboxes().await.unwrap()), [1, 0, 0, 0]);
}

#[tokio::test]
async fn two_who_file_at_once_file_nothing_twice() {
    let site = Site::new().await;
    let sender = site.view("doctor").await;
    for i in 0..12 {
        let text = message(&format!("M{i}"), &format!("{}", i % 3), "Lorimarsh", "19700203");
        drop_in(&sender, &format!("{i}.hl7"), &text).await;
    }
    sender.drain().await.unwrap();
    let (one, two) = (site.view("doctor").await, site.view("doctor").await);
    let (one, two) = tokio::join!(one.file_inboxes(), two.file_inboxes());
    let (one, two) = (counts(one.unwrap()), counts(two.unwrap()));
    // Who is overtaken finds it filed, and takes the drop away.
    assert!(one[0] + two[0] + one[2] + two[2] >= 12, "{one:?} {two:?}");
    assert_eq!((one[3], two[3]), (0, 0), "nothing failed");
    let last = site.view("doctor").await;
    last.file_inboxes().await.unwrap();
    let paths = site.paths().await;
    assert!(paths.len() == 12 && paths.iter().all(|p| p.starts_with("/patients/")), "{paths:?}");
}
