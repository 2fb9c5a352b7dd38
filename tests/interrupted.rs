//! Moves that are stopped between their two commits: the next mount completes them, and nobody sees
//! two names for long. And what happens to a record that has two names all the same.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chartfs::error::Kind;
use chartfs::key::credential::Credential;
use chartfs::record::directory::{Edit, Entry};
use chartfs::record::{Located, PolicyRef, RecordId};
use chartfs::view::{Ino, Moves, RenameMode, View, ViewOptions};

mod fake_s3;
mod support;

use fake_s3::{FakeS3, Fault};
use support::{TestRealm, USERS};

const ROOT: Ino = Ino::ROOT;

struct Site {
    server: FakeS3,
    realm: TestRealm,
    credential: Vec<u8>,
    notes: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let server = FakeS3::start().await;
        let realm = TestRealm::found(server.bucket().await).await;
        let credential = realm.credential("doctor", USERS[0].1).await.to_bytes().to_vec();
        Self { server, realm, credential, notes: tempfile::tempdir().unwrap() }
    }

    /// Mounts as the doctor's workstation does.
    async fn mount(&self) -> Arc<View> {
        let credential = Credential::from_bytes(&self.credential).unwrap();
        let records = self.realm.records_of(credential).await;
        let view = View::of(records, ViewOptions::default()).await.unwrap();
        let keyring = view.records().keyring().clone();
        view.note_moves_in(Moves::open(self.notes.path().to_owned(), keyring).unwrap());
        view.complete_moves().await.unwrap();
        view
    }

    /// Lets only so many records be written from now on.
    fn allow_commits(&self, commits: usize) {
        let left = AtomicUsize::new(commits);
        let choose = move |request: &fake_s3::http::Request| {
            let is_commit = request.method == "PUT" && request.key.starts_with("r/");
            let take = |left: usize| left.checked_sub(1);
            if !is_commit || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
                return Fault::None;
            }
            Fault::Status(403, "AccessDenied")
        };
        self.server.state.lock().unwrap().chooser = Some(Box::new(choose));
    }

    fn allow_all(&self) {
        self.server.state.lock().unwrap().chooser = None;
    }

    fn notes(&self) -> usize {
        std::fs::read_dir(self.notes.path()).unwrap().count()
    }

    /// What a new workstation sees.
    async fn text(&self, path: &str) -> Option<String> {
        let records = self.realm.records("doctor").await;
        text(&View::of(records, ViewOptions::default()).await.unwrap(), path).await
    }
}

async fn text(view: &View, path: &str) -> Option<String> {
    let mut all = Vec::new();
    let take = |piece: bytes::Bytes| {
        all.extend_from_slice(&piece);
        Ok(())
    };
    match view.read_path(path, take).await {
        Ok(()) => Some(String::from_utf8(all).unwrap()),
        Err(e) if e.kind() == Kind::NotFound => None,
        Err(e) => panic!("{path}: {e}"),
    }
}

async fn save(view: &View, parent: Ino, name: &str, text: &str) {
    view.write_path(parent, name.as_bytes(), text.as_bytes()).await.unwrap();
}

async fn mv(view: &View, (from, old): (Ino, &str), (to, new): (Ino, &str)) -> Result<(), Kind> {
    let moved = view.rename(from, old.as_bytes(), to, new.as_bytes(), RenameMode::Replace).await;
    moved.map_err(|e| e.kind())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_to_another_folder_that_is_stopped_in_between_is_completed() {
    let site = Site::new().await;
    let view = site.mount().await;
    let folder = view.make_dir(ROOT, b"folder", 0o700).await.unwrap().ino;
    view.make_dir(ROOT, b"moved", 0o700).await.unwrap();
    save(&view, ROOT, "a.txt", "text").await;
    for (name, path, below) in [("a.txt", "/folder/a.txt", ""), ("moved", "/folder/moved", "/x")] {
        // Before the first commit nothing has happened.
        site.allow_commits(0);
        mv(&view, (ROOT, name), (folder, name)).await.unwrap_err();
        site.allow_all();
        let view = site.mount().await;
        assert!(view.resolve(&format!("/{name}")).await.is_ok());
        assert!(view.resolve(path).await.is_err_and(|e| e.kind() == Kind::NotFound));
        drop(view);

        let view = site.mount().await;
        let folder = view.resolve("/folder").await.unwrap().ino;
        site.allow_commits(1);
        mv(&view, (ROOT, name), (folder, name)).await.unwrap_err();
        site.allow_all();
        drop(view);
        let view = site.mount().await;
        let old = view.resolve(&format!("/{name}")).await;
        assert!(old.is_err_and(|e| e.kind() == Kind::NotFound), "{name} has two names");
        assert!(view.resolve(path).await.is_ok(), "{name}{below} has none");
        assert_eq!(site.notes(), 0);
    }
    assert_eq!(site.text("/folder/a.txt").await.as_deref(), Some("text"));
    assert_eq!(site.text("/a.txt").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_text_went_over_another_loses_its_old_name() {
    for (one, other) in [(r#"{"labs": ["1"]}"#, r#"{"labs": ["2"]}"#), ("one", "other")] {
        let site = Site::new().await;
        let view = site.mount().await;
        save(&view, ROOT, "one", one).await;
        save(&view, ROOT, "other", other).await;
        site.allow_commits(0);
        mv(&view, (ROOT, "one"), (ROOT, "other")).await.unwrap_err();
        site.allow_all();
        drop(view);
        let view = site.mount().await;
        assert_eq!(text(&view, "/one").await.as_deref(), Some(one));
        assert_eq!(text(&view, "/other").await.as_deref(), Some(other));
        site.allow_commits(1);
        mv(&view, (ROOT, "one"), (ROOT, "other")).await.unwrap_err();
        site.allow_all();
        drop(view);
        assert_eq!(site.text("/one").await.as_deref(), Some(one), "it is half done");
        let view = site.mount().await;
        assert_eq!(text(&view, "/one").await, None);
        assert_eq!(text(&view, "/other").await.as_deref(), Some(one));
        assert_eq!((site.text("/one").await, site.notes()), (None, 0));
    }
}

// Whoever changes one of the two meanwhile wants both.
#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_since_a_move_was_stopped_stays() {
    let site = Site::new().await;
    let view = site.mount().await;
    save(&view, ROOT, "one", "one").await;
    save(&view, ROOT, "other", "other").await;
    site.allow_commits(1);
    mv(&view, (ROOT, "one"), (ROOT, "other")).await.unwrap_err();
    site.allow_all();
    drop(view);
    let records = site.realm.records("doctor").await;
    let elsewhere = View::of(records, ViewOptions::default()).await.unwrap();
    save(&elsewhere, ROOT, "one", "changed").await;
    let view = site.mount().await;
    assert_eq!(text(&view, "/one").await.as_deref(), Some("changed"));
    assert_eq!(text(&view, "/other").await.as_deref(), Some("one"));
    assert_eq!(site.notes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn within_a_folder_a_rename_is_one_commit() {
    let site = Site::new().await;
    let view = site.mount().await;
    save(&view, ROOT, "old", "text").await;
    site.allow_commits(1);
    mv(&view, (ROOT, "old"), (ROOT, "new")).await.unwrap();
    assert_eq!(mv(&view, (ROOT, "new"), (ROOT, "newer")).await, Err(Kind::Denied), "two are not");
    site.allow_all();
    assert_eq!(site.text("/old").await, None);
    assert_eq!(site.text("/new").await.as_deref(), Some("text"));
}

// A folder of many names is several records.
#[tokio::test(flavor = "multi_thread")]
async fn within_a_large_folder_a_move_that_is_stopped_is_completed() {
    let site = Site::new().await;
    let view = site.mount().await;
    save(&view, ROOT, "old", "text").await;
    let (root, policy) = (site.realm.root, site.realm.policy.clone());
    let many = |i: u32| Edit::Add { name: format!("n{i}").into_bytes(), entry: entry(root) };
    let edits: Vec<Edit> = (0..1100).map(many).collect();
    for added in view.records().edit_names(root, &policy, &edits).await.unwrap() {
        added.unwrap();
    }
    drop(view);
    // Some of these names are in the shard of the old one, and then one commit is enough.
    let (mut old, mut halves) = ("old".to_owned(), 0);
    for i in 0..8 {
        let (view, new) = (site.mount().await, format!("new{i}"));
        site.allow_commits(1);
        let moved = mv(&view, (ROOT, &old), (ROOT, &new)).await;
        halves += usize::from(moved.is_err());
        site.allow_all();
        drop(view);
        let view = site.mount().await;
        assert_eq!(text(&view, &format!("/{old}")).await, None, "{moved:?}");
        assert_eq!(text(&view, &format!("/{new}")).await.as_deref(), Some("text"));
        old = new;
    }
    assert!(halves > 0, "no name was in another shard");
    let view = site.mount().await;
    for i in 0..4 {
        save(&view, ROOT, &format!("x{i}"), &format!("x{i}")).await;
    }
    drop(view);
    for i in 0..4 {
        exchange_stopped_everywhere(&site, ("/", &old), ("/", &format!("x{i}"))).await;
    }
}

async fn exchange(view: &View, (from, one): (Ino, &str), (to, other): (Ino, &str)) -> bool {
    let mode = RenameMode::Exchange;
    view.rename(from, one.as_bytes(), to, other.as_bytes(), mode).await.is_ok()
}

/// Exchanges two names with so many commits, until more are not needed; at every one of them the
/// next mount finds all of it done, or nothing.
async fn exchange_stopped_everywhere(site: &Site, one: (&str, &str), other: (&str, &str)) {
    let path = |(folder, name): (&str, &str)| format!("{}/{name}", folder.trim_end_matches('/'));
    for commits in 0..10 {
        let view = site.mount().await;
        let before = [text(&view, &path(one)).await, text(&view, &path(other)).await];
        let ino = async |folder: &str| view.resolve(folder).await.unwrap().ino;
        let (from, to) = (ino(one.0).await, ino(other.0).await);
        site.allow_commits(commits);
        let is_done = exchange(&view, (from, one.1), (to, other.1)).await;
        site.allow_all();
        drop(view);
        let view = site.mount().await;
        let after = [text(&view, &path(one)).await, text(&view, &path(other)).await];
        let swapped = [before[1].clone(), before[0].clone()];
        assert!(after == swapped || (after == before && !is_done), "{commits}: {after:?}");
        assert_eq!([site.text(&path(one)).await, site.text(&path(other)).await], after);
        assert_eq!(site.notes(), 0);
        for (folder, _) in [one, other] {
            let removed = view.removed(view.resolve(folder).await.unwrap().ino).await.unwrap();
            assert!(removed.is_empty(), "{commits}: {folder}: {removed:?}");
        }
        if is_done {
            assert_eq!(after, swapped);
            return;
        }
    }
    panic!("the names are not exchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_between_two_folders_that_is_stopped_is_completed() {
    let site = Site::new().await;
    let view = site.mount().await;
    let folder = view.make_dir(ROOT, b"folder", 0o700).await.unwrap().ino;
    save(&view, ROOT, "one", "one").await;
    save(&view, folder, "other", "other").await;
    drop(view);
    exchange_stopped_everywhere(&site, ("/", "one"), ("/folder", "other")).await;
    exchange_stopped_everywhere(&site, ("/folder", "other"), ("/", "one")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_and_a_folder_change_places_and_a_folder_does_not_go_into_itself() {
    let site = Site::new().await;
    let view = site.mount().await;
    let folder = view.make_dir(ROOT, b"folder", 0o700).await.unwrap().ino;
    let below = view.make_dir(folder, b"below", 0o700).await.unwrap().ino;
    save(&view, below, "deep", "deep").await;
    save(&view, ROOT, "file", "file").await;
    assert!(!exchange(&view, (ROOT, "folder"), (folder, "below")).await);
    assert!(!exchange(&view, (below, "deep"), (ROOT, "folder")).await);
    assert!(exchange(&view, (ROOT, "file"), (folder, "below")).await);
    assert_eq!(text(&view, "/folder/below").await.as_deref(), Some("file"));
    assert_eq!(text(&view, "/file/deep").await.as_deref(), Some("deep"));
    // What is written through what the kernel knows goes where it is now.
    save(&view, below, "deep", "deeper").await;
    assert_eq!(site.text("/file/deep").await.as_deref(), Some("deeper"));
    assert_eq!(site.text("/folder/below").await.as_deref(), Some("file"));
}

fn entry(folder: Located) -> Entry {
    let located = Located { birth: folder.record, record: RecordId::random() };
    Entry { located, profile: 0, policy: None }
}

/// Lets a record have a second name, as a crash could leave it without a note.
async fn name_twice(view: &View, (root, policy): (Located, &PolicyRef), name: &str, second: &str) {
    let found = view.records().find(root, policy, name.as_bytes(), Duration::ZERO).await.unwrap();
    let (name, entry) = (second.as_bytes().to_vec(), found.entry.unwrap());
    let add = Edit::Add { name, entry };
    view.records().edit_names(root, policy, &[add]).await.unwrap().pop().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_names_of_one_record_one_is_removed_and_the_other_goes_on() {
    for removed in ["one", "two"] {
        let site = Site::new().await;
        let view = site.mount().await;
        save(&view, ROOT, "one", "text").await;
        let root = (site.realm.root, &site.realm.policy);
        name_twice(&view, root, "one", "two").await;
        let kept = if removed == "one" { "two" } else { "one" };
        // A kernel that looked up both holds the number that they share.
        let ino = view.lookup(ROOT, kept.as_bytes()).await.unwrap().ino;
        assert_eq!(view.lookup(ROOT, removed.as_bytes()).await.unwrap().ino, ino);
        view.unlink(ROOT, removed.as_bytes()).await.unwrap();
        assert_eq!(text(&view, &format!("/{removed}")).await, None);
        assert_eq!(text(&view, &format!("/{kept}")).await.as_deref(), Some("text"));
        assert_eq!(view.attr(ino, None).await.unwrap().size_bytes, 4);
        let access = chartfs::view::Access { read: true, ..Default::default() };
        let opened = view.open(ino, access).await.unwrap();
        let read = view.read(opened.handle, 0, 100).await.unwrap();
        assert_eq!(&read[..], b"text", "by the number that the kernel knows");
        view.release(opened.handle).await;
        save(&view, ROOT, kept, "more").await;
        let (located, policy) = root;
        let gone = view.records().removed_names(located, policy).await.unwrap();
        assert!(gone.is_empty(), "what has a name is not among the removed: {gone:?}");
        assert_eq!(site.text(&format!("/{kept}")).await.as_deref(), Some("more"));
        assert_eq!(site.text(&format!("/{removed}")).await, None);
    }
}
