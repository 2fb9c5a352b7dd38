//! Workstations that save into their journals: off the net, at once with others, and after a
//! crash. A bucket behind a server that goes away, and views over it without a mount.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chartfs::key::credential::Credential;
use chartfs::key::keyring::Keyring;
use chartfs::realm::Realm;
use chartfs::record::Records;
use chartfs::record::marks::Marks;
use chartfs::store::Bucket;
use chartfs::view::{Ino, RenameMode, View, ViewOptions};

mod fake_s3;
mod support;

use fake_s3::FakeS3;
use support::{TestRealm, USERS};

/// How long a test waits before it calls something hung.
const HUNG: Duration = Duration::from_secs(60);

struct Site {
    server: FakeS3,
    realm: TestRealm,
    dir: tempfile::TempDir,
}

/// A workstation with a journal, from its mount to its end.
struct Station {
    view: Arc<View>,
    bucket: Bucket,
    merger: tokio::task::JoinHandle<()>,
}

impl Site {
    async fn new() -> Self {
        let server = FakeS3::start().await;
        let realm = TestRealm::found(server.bucket().await).await;
        Self { server, realm, dir: tempfile::tempdir().unwrap() }
    }

    /// Lets a user begin to work at the workstation of that name.
    async fn station(&self, user: &str, name: &str) -> Station {
        let (_, attributes) = USERS.iter().find(|(n, _)| *n == user).unwrap();
        let credential = self.realm.credential(user, attributes).await;
        self.station_of(&credential.to_bytes(), name).await
    }

    async fn station_of(&self, credential: &[u8], name: &str) -> Station {
        let credential = Credential::from_bytes(credential).unwrap();
        let dir = self.dir.path().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let bucket = open(&self.server, &dir).await;
        let realm = Realm::open(bucket.clone(), Some(&self.realm.genesis)).await.unwrap();
        let marks = Marks::open(&dir.join("marks")).unwrap();
        let keyring = Keyring::new(credential).unwrap();
        let records = Arc::new(Records::new(Arc::new(realm), Arc::new(keyring), Arc::new(marks)));
        // What others do is seen when something is read again.
        let options = ViewOptions { attr_ttl: Duration::from_secs(3600), ..ViewOptions::default() };
        let view = View::of(records, options).await.unwrap();
        let _ = view.prepare().await;
        let merger = tokio::spawn(view.clone().merge_all_overtaken());
        Station { view, bucket, merger }
    }

    /// What a user who comes new sees under a path; `None` when there is nothing.
    async fn seen(&self, user: &str, path: &str) -> Option<String> {
        let view = View::of(self.realm.records(user).await, ViewOptions::default()).await.unwrap();
        text(&view, path).await
    }

    async fn names(&self, path: &str) -> Vec<String> {
        let records = self.realm.records("doctor").await;
        let view = View::of(records, ViewOptions::default()).await.unwrap();
        let mut names: Vec<String> = view
            .list_path(path)
            .await
            .unwrap()
            .into_iter()
            .map(|e| String::from_utf8(e.name).unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Opens the bucket with what a workstation keeps. One that was just left lets its files go when
/// its last task has ended.
async fn open(server: &FakeS3, dir: &Path) -> Bucket {
    loop {
        let bucket = server.impatient_bucket().await.with_cache(&dir.join("cache"), 64 << 20);
        match bucket.and_then(|b| b.with_journal(&dir.join("journal"), 1 << 30, true)) {
            Err(e) if e.kind() == chartfs::error::Kind::Conflict => tokio::task::yield_now().await,
            opened => return opened.unwrap(),
        }
    }
}

impl Station {
    async fn write(&self, path: &str, text: &str) {
        let (folder, name) = path.rsplit_once('/').unwrap();
        let parent = self.view.resolve(folder).await.unwrap().ino;
        self.view.write_path(parent, name.as_bytes(), text.as_bytes()).await.unwrap();
    }

    async fn read(&self, path: &str) -> Option<String> {
        text(&self.view, path).await
    }

    async fn rename(&self, from: &str, to: &str) {
        let (root, mode) = (Ino::ROOT, RenameMode::Replace);
        self.view.rename(root, from.as_bytes(), root, to.as_bytes(), mode).await.unwrap();
    }

    /// Waits until the bucket has everything.
    async fn drain(&self) {
        let drained = async {
            while self.bucket.drain_journal(HUNG).await > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(HUNG, drained).await.expect("the journal is sent");
    }

    /// Dies. What it had in memory and not in its files is gone.
    async fn crash(self) {
        self.merger.abort();
        let _ = self.merger.await;
    }

    /// Ends as an unmount without a bucket does.
    async fn leave(self) {
        self.view.drain().await.unwrap();
        self.crash().await;
    }
}

async fn text(view: &View, path: &str) -> Option<String> {
    let mut all = Vec::new();
    let take = |piece: bytes::Bytes| {
        all.extend_from_slice(&piece);
        Ok(())
    };
    view.read_path(path, take).await.ok()?;
    Some(String::from_utf8(all).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_off_line_over_a_crash_and_a_new_mount_and_reaches_the_bucket() {
    let site = Site::new().await;
    let credential = site.realm.credential("doctor", USERS[0].1).await.to_bytes();
    let doctor = site.station_of(&credential, "ward").await;
    doctor.write("/a.json", r#"{"medications": ["x"], "labs": [1]}"#).await;
    doctor.view.make_dir(Ino::ROOT, b"folder", 0o700).await.unwrap();
    doctor.drain().await;
    doctor.leave().await;

    site.server.set_away(true);
    let doctor = site.station_of(&credential, "ward").await;
    assert_eq!(
        doctor.read("/a.json").await.as_deref(),
        Some(r#"{"medications": ["x"], "labs": [1]}"#),
        "a mount without the bucket reads what was read before"
    );
    doctor.write("/a.json", r#"{"medications": ["x", "y"], "labs": [1]}"#).await;
    doctor.write("/folder/b.txt", "new").await;
    assert_eq!(doctor.read("/folder/b.txt").await.as_deref(), Some("new"));
    doctor.crash().await;

    let doctor = site.station_of(&credential, "ward").await;
    assert_eq!(doctor.read("/folder/b.txt").await.as_deref(), Some("new"));
    doctor.write("/folder/c.txt", "after the crash").await;
    assert!(doctor.bucket.pending().writes > 0);
    site.server.set_away(false);
    doctor.drain().await;
    assert_eq!(
        site.seen("ana", "/a.json").await.as_deref(),
        Some(r#"{"medications": ["x", "y"], "labs": [1]}"#)
    );
    assert_eq!(site.seen("doctor", "/folder/b.txt").await.as_deref(), Some("new"));
    assert_eq!(site.seen("doctor", "/folder/c.txt").await.as_deref(), Some("after the crash"));
}

#[tokio::test(flavor = "multi_thread")]
async fn different_sections_that_were_saved_at_once_are_both_kept() {
    let site = Site::new().await;
    let doctor = site.station("doctor", "ward").await;
    doctor.write("/a.json", r#"{"medications": ["x"], "labs": [1]}"#).await;
    doctor.drain().await;
    let pharmacist = site.station("pharmacist", "counter").await;
    assert_eq!(pharmacist.read("/a.json").await.as_deref(), Some(r#"{"medications": ["x"]}"#));
    doctor.write("/a.json", r#"{"medications": ["x"], "labs": [1, 2]}"#).await;
    doctor.drain().await;
    // The pharmacist's workstation does not know of the new version.
    pharmacist.write("/a.json", r#"{"medications": ["x", "y"]}"#).await;
    pharmacist.drain().await;
    assert_eq!(
        site.seen("ana", "/a.json").await.as_deref(),
        Some(r#"{"medications": ["x", "y"], "labs": [1, 2]}"#)
    );
    assert_eq!(pharmacist.read("/a.json").await.as_deref(), Some(r#"{"medications": ["x", "y"]}"#));
    assert_eq!(site.names("/").await, ["a.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_element_that_was_saved_twice_both_texts_are_kept() {
    let site = Site::new().await;
    let one = site.station("doctor", "one").await;
    one.write("/a.json", r#"{"labs": 0}"#).await;
    one.drain().await;
    let two = site.station("doctor", "two").await;
    assert_eq!(two.read("/a.json").await.as_deref(), Some(r#"{"labs": 0}"#));
    one.write("/a.json", r#"{"labs": 1}"#).await;
    one.drain().await;
    two.write("/a.json", r#"{"labs": 2}"#).await;
    two.drain().await;
    let names = site.names("/").await;
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0].starts_with("a (conflict doctor"), "{names:?}");
    assert_eq!(site.seen("doctor", "/a.json").await.as_deref(), Some(r#"{"labs": 1}"#));
    let copy = format!("/{}", names[0]);
    assert_eq!(site.seen("doctor", &copy).await.as_deref(), Some(r#"{"labs": 2}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_were_made_moved_and_removed_at_once_are_all_right() {
    let site = Site::new().await;
    let one = site.station("doctor", "one").await;
    for name in ["/stays", "/moved", "/removed", "/both"] {
        one.write(name, name).await;
    }
    one.drain().await;
    let two = site.station("doctor", "two").await;
    assert_eq!(two.view.list_path("/").await.unwrap().len(), 4);
    // What is fetched beforehand is there.
    two.rename("stays", "stays-2").await;
    two.rename("stays-2", "stays").await;
    two.drain().await;
    let one = site.station("doctor", "three").await;
    one.write("/new-one", "1").await;
    one.write("/same", "of one").await;
    one.rename("both", "both-one").await;
    one.drain().await;
    site.server.set_away(true);
    two.write("/new-two", "2").await;
    two.write("/same", "of two").await;
    two.rename("moved", "moved-two").await;
    two.rename("both", "both-two").await;
    two.view.unlink(Ino::ROOT, b"removed").await.unwrap();
    site.server.set_away(false);
    two.drain().await;
    let names = site.names("/").await;
    let (conflicts, plain): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|n| n.contains("(conflict"));
    assert_eq!(plain, ["both-one", "moved-two", "new-one", "new-two", "same", "stays"]);
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    assert_eq!(site.seen("doctor", "/same").await.as_deref(), Some("of one"));
    let copy = format!("/{}", conflicts[0]);
    assert_eq!(site.seen("doctor", &copy).await.as_deref(), Some("of two"));
}

// A database writes its journal twice, and removes it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_and_taken_away_here_while_it_waited_does_not_come_back() {
    let site = Site::new().await;
    let one = site.station("doctor", "one").await;
    site.server.set_away(true);
    for text in ["one", "two", "three"] {
        one.write("/db-journal", "").await;
        one.write("/db-journal", text).await;
        one.view.unlink(Ino::ROOT, b"db-journal").await.unwrap();
    }
    for (old, new) in [("a.txt", "b.txt"), ("a.json", "b.json")] {
        for name in [old, new] {
            one.write(&format!("/{name}"), r#"{"labs": [1]}"#).await;
            one.write(&format!("/{name}"), &format!(r#"{{"labs": "{name}"}}"#)).await;
        }
        one.rename(new, old).await;
    }
    site.server.set_away(false);
    one.drain().await;
    one.view.tidy().await.unwrap();
    assert_eq!(one.view.drain_journal(HUNG).await, 0);
    assert_eq!(site.names("/").await, ["a.json", "a.txt"]);
    assert_eq!(site.seen("doctor", "/a.txt").await.as_deref(), Some(r#"{"labs": "b.txt"}"#));
    assert_eq!(site.seen("doctor", "/a.json").await.as_deref(), Some(r#"{"labs": "b.json"}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_file_waits_in_the_journal_too() {
    let site = Site::new().await;
    let doctor = site.station("doctor", "ward").await;
    site.server.set_away(true);
    let long = "0123456789".repeat(2 << 20);
    doctor.write("/long.bin", &long).await;
    assert!(doctor.read("/long.bin").await.as_deref() == Some(&long));
    site.server.set_away(false);
    doctor.drain().await;
    assert!(site.seen("doctor", "/long.bin").await.as_deref() == Some(&long));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_before_its_edit_came_out_of_the_journal_comes_back() {
    let site = Site::new().await;
    let one = site.station("doctor", "one").await;
    one.write("/a.json", r#"{"labs": 1}"#).await;
    one.drain().await;
    let two = site.station("doctor", "two").await;
    assert_eq!(two.read("/a.json").await.as_deref(), Some(r#"{"labs": 1}"#));
    one.view.unlink(Ino::ROOT, b"a.json").await.unwrap();
    one.drain().await;
    assert!(site.names("/").await.is_empty());
    // This workstation does not know that it is gone.
    two.write("/a.json", r#"{"labs": 2}"#).await;
    assert_eq!(two.view.drain_journal(HUNG).await, 0);
    assert_eq!(site.names("/").await, ["a.json"]);
    assert_eq!(site.seen("doctor", "/a.json").await.as_deref(), Some(r#"{"labs": 2}"#));
}

// What is to be looked at once the bucket has an edit outlives the daemon.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_while_its_edit_waited_over_a_crash_comes_back() {
    let site = Site::new().await;
    let one = site.station("doctor", "one").await;
    for name in ["/a.json", "/removed.json", "/moved.json", "/over.json", "/under.json"] {
        one.write(name, r#"{"labs": 1}"#).await;
    }
    one.drain().await;
    let credential = site.realm.credential("doctor", USERS[0].1).await.to_bytes();
    let two = site.station_of(&credential, "two").await;
    for name in ["/a.json", "/removed.json", "/moved.json", "/over.json", "/under.json"] {
        assert_eq!(two.read(name).await.as_deref(), Some(r#"{"labs": 1}"#));
    }
    site.server.set_away(true);
    for name in ["/a.json", "/removed.json", "/moved.json", "/over.json", "/under.json"] {
        two.write(name, r#"{"labs": 2}"#).await;
    }
    two.view.unlink(Ino::ROOT, b"removed.json").await.unwrap();
    for labs in ["1", "2"] {
        two.write("/made.json", &format!(r#"{{"labs": {labs}}}"#)).await;
    }
    two.view.unlink(Ino::ROOT, b"made.json").await.unwrap();
    two.rename("moved.json", "here.json").await;
    two.rename("over.json", "under.json").await;
    two.crash().await;
    site.server.set_away(false);
    one.view.unlink(Ino::ROOT, b"a.json").await.unwrap();
    one.drain().await;
    assert_eq!(site.seen("doctor", "/a.json").await, None);
    let two = site.station_of(&credential, "two").await;
    two.drain().await;
    assert_eq!(two.view.drain_journal(HUNG).await, 0);
    assert_eq!(site.names("/").await, ["a.json", "here.json", "under.json"]);
    for name in ["/a.json", "/here.json", "/under.json"] {
        assert_eq!(site.seen("doctor", name).await.as_deref(), Some(r#"{"labs": 2}"#), "{name}");
    }
}

// Who merges after a crash knows no more than what the journal says.
#[tokio::test(flavor = "multi_thread")]
async fn what_waited_over_a_crash_is_merged_under_a_policy_that_was_replaced_meanwhile() {
    let site = Site::new().await;
    let credential = site.realm.credential("doctor", USERS[0].1).await.to_bytes();
    let one = site.station_of(&credential, "one").await;
    one.view.make_dir(Ino::ROOT, b"ward", 0o700).await.unwrap();
    for name in ["/ward/a.json", "/ward/b.json"] {
        one.write(name, r#"{"medications": ["x"], "labs": 1}"#).await;
    }
    one.drain().await;
    site.server.set_away(true);
    one.write("/ward/a.json", r#"{"medications": ["x", "mine"], "labs": 1}"#).await;
    one.write("/ward/b.json", r#"{"medications": ["x"], "labs": "mine"}"#).await;
    one.crash().await;
    site.server.set_away(false);
    let ana = View::of(site.realm.records("ana").await, ViewOptions::default()).await.unwrap();
    let policy = support::POLICY.replace("psychiatrist@north or owner@ana", "owner@ana");
    ana.set_policy(ana.resolve("/ward").await.unwrap().ino, &policy).await.unwrap();
    let other = site.station("doctor", "other").await;
    for name in ["/ward/a.json", "/ward/b.json"] {
        other.write(name, r#"{"medications": ["x"], "labs": "theirs"}"#).await;
    }
    other.drain().await;

    let one = site.station_of(&credential, "one").await;
    one.drain().await;
    assert_eq!(one.view.drain_journal(HUNG).await, 0);
    assert_eq!(
        site.seen("doctor", "/ward/a.json").await.as_deref(),
        Some(r#"{"medications": ["x", "mine"], "labs": "theirs"}"#)
    );
    let names = site.names("/ward").await;
    assert_eq!(names.len(), 3, "{names:?}");
    let copy = names.iter().find(|n| n.starts_with("b (conflict doctor")).unwrap();
    let mine = site.seen("doctor", &format!("/ward/{copy}")).await.unwrap();
    assert!(mine.contains("mine"), "{mine}");
}

// The process dies after the bucket has a write and before the journal's file says so, and somebody
// else goes on from there: there is nothing to merge.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_bucket_had_before_a_crash_and_somebody_else_undid_stays_undone() {
    let site = Site::new().await;
    let credential = site.realm.credential("doctor", USERS[0].1).await.to_bytes();
    let one = site.station_of(&credential, "one").await;
    one.write("/a.json", r#"{"labs": 1}"#).await;
    one.drain().await;
    site.server.set_away(true);
    one.write("/a.json", r#"{"labs": 2}"#).await;
    one.write("/new.txt", "new").await;
    one.crash().await;
    let [journal, before] =
        ["journal", "before"].map(|name| site.dir.path().join("one").join(name));
    while Bucket::count_journal(&journal).is_err() {
        tokio::task::yield_now().await;
    }
    std::fs::copy(&journal, &before).unwrap();
    site.server.set_away(false);
    let one = site.station_of(&credential, "one").await;
    one.drain().await;
    one.crash().await;
    while Bucket::count_journal(&journal).is_err() {
        tokio::task::yield_now().await;
    }
    std::fs::copy(&before, &journal).unwrap();
    let other = site.station("doctor", "other").await;
    other.write("/a.json", r#"{"labs": 3}"#).await;
    other.view.unlink(Ino::ROOT, b"new.txt").await.unwrap();
    other.drain().await;

    let one = site.station_of(&credential, "one").await;
    one.drain().await;
    assert_eq!(one.view.drain_journal(HUNG).await, 0);
    assert_eq!(site.names("/").await, ["a.json"]);
    assert_eq!(site.seen("doctor", "/a.json").await.as_deref(), Some(r#"{"labs": 3}"#));
}

// So many that the folder does not list them all any more.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_edited_and_removed_here_before_a_crash_stays_away() {
    let site = Site::new().await;
    let credential = site.realm.credential("doctor", USERS[0].1).await.to_bytes();
    let one = site.station_of(&credential, "one").await;
    site.server.set_away(true);
    for i in 0..=chartfs::record::past::REMOVED_KEPT {
        let name = format!("{i}");
        one.write(&format!("/{name}"), "1").await;
        one.write(&format!("/{name}"), "2").await;
        one.view.unlink(Ino::ROOT, name.as_bytes()).await.unwrap();
    }
    one.crash().await;
    site.server.set_away(false);
    let one = site.station_of(&credential, "one").await;
    one.drain().await;
    assert_eq!(one.view.drain_journal(HUNG).await, 0);
    assert!(site.names("/").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_removed_before_its_file_came_out_of_the_journal_comes_back() {
    let site = Site::new().await;
    let one = site.station("doctor", "one").await;
    let folder = one.view.make_dir(Ino::ROOT, b"folder", 0o700).await;
    folder.unwrap();
    one.drain().await;
    let two = site.station("doctor", "two").await;
    assert!(two.view.list_path("/folder").await.unwrap().is_empty());
    one.view.remove_dir(Ino::ROOT, b"folder").await.unwrap();
    one.drain().await;
    assert!(site.names("/").await.is_empty());
    two.write("/folder/new.txt", "text").await;
    two.drain().await;
    assert_eq!(two.view.drain_journal(HUNG).await, 0);
    assert_eq!(site.seen("doctor", "/folder/new.txt").await.as_deref(), Some("text"));
}

// The other order: the removal waits, and meanwhile somebody made a file.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_removed_off_line_while_somebody_made_a_file_in_it_stays() {
    let site = Site::new().await;
    let one = site.station("doctor", "one").await;
    one.view.make_dir(Ino::ROOT, b"folder", 0o700).await.unwrap();
    one.drain().await;
    let two = site.station("doctor", "two").await;
    assert!(two.view.list_path("/folder").await.unwrap().is_empty());
    one.write("/folder/new.txt", "text").await;
    one.drain().await;
    site.server.set_away(true);
    two.view.remove_dir(Ino::ROOT, b"folder").await.unwrap();
    site.server.set_away(false);
    two.drain().await;
    assert_eq!(two.view.drain_journal(HUNG).await, 0);
    assert_eq!(site.seen("doctor", "/folder/new.txt").await.as_deref(), Some("text"));
}
