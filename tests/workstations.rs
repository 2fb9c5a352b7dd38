//! What the reference model found: saves, policies and renames that went wrong between two people.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use chartfs::error::{Kind, Result};
use chartfs::store::Bucket;
use chartfs::view::{Ino, RenameMode, SetAttr, View, ViewOptions};
use support::{TestRealm, believing as drive, read_text as read};

const ROOT: Ino = Ino::ROOT;

async fn save(view: &View, name: &str, text: &str) -> Result<()> {
    view.write_path(ROOT, name.as_bytes(), text.as_bytes()).await.map(|_| ())
}

async fn rename(view: &View, from: &str, to: &str) -> Result<()> {
    view.rename(ROOT, from.as_bytes(), ROOT, to.as_bytes(), RenameMode::Replace).await
}

async fn names(view: &View) -> Vec<String> {
    let entries = view.list_path("/").await.unwrap();
    entries.into_iter().map(|e| String::from_utf8(e.name).unwrap()).collect()
}

const PLAIN: &str = "{\n  \"medications\": \"a\",\n  \"labs\": \"b\"\n}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_renamed_over_a_record_keeps_what_somebody_else_changed_meanwhile() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let one = drive(&realm, "doctor").await;
    save(&one, "r.json", PLAIN).await.unwrap();
    let two = drive(&realm, "doctor").await;
    let seen = read(&two, "/r.json").await;
    save(&one, "r.json", &PLAIN.replace("\"b\"", "\"of one\"")).await.unwrap();
    save(&two, "r.json.tmp", &seen.replace("\"a\"", "\"of two\"")).await.unwrap();
    rename(&two, "r.json.tmp", "r.json").await.unwrap();
    let all = read(&*drive(&realm, "ana").await, "/r.json").await;
    assert!(all.contains("of one") && all.contains("of two"), "{all}");

    // The same element: neither text is lost, and what is shown is of one version.
    let three = drive(&realm, "doctor").await;
    save(&three, "r.json", &all.replace("of two", "more of one")).await.unwrap();
    save(&two, "r.json.tmp", &all.replace("of two", "more of two")).await.unwrap();
    let e = rename(&two, "r.json.tmp", "r.json").await.unwrap_err();
    assert_eq!(e.kind(), Kind::Conflict);
    assert!(read(&two, "/r.json.tmp").await.contains("more of two"));
    assert!(read(&two, "/r.json").await.contains("more of one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_comes_back_to_a_record_keeps_what_somebody_else_changed_meanwhile() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let one = drive(&realm, "doctor").await;
    save(&one, "r.json", PLAIN).await.unwrap();
    let two = drive(&realm, "doctor").await;
    let seen = read(&two, "/r.json").await;
    save(&one, "r.json", &PLAIN.replace("\"b\"", "\"of one\"")).await.unwrap();
    rename(&two, "r.json", "r.json~").await.unwrap();
    save(&two, "r.json", &seen.replace("\"b\"", "\"of two\"")).await.unwrap();
    let ana = drive(&realm, "ana").await;
    assert!(read(&ana, "/r.json").await.contains("of one"));
    let copy = names(&ana).await.into_iter().find(|n| n.contains("(conflict ")).unwrap();
    assert!(read(&ana, &format!("/{copy}")).await.contains("of two"));
    assert!(read(&two, "/r.json").await.contains("of one"), "the name is the record's again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_set_twice_by_somebody_who_never_looked_into_the_folder() {
    let policy = support::POLICY
        .replace("add = \"physician@st-mary", "add = \"owner@ana or physician@st-mary");
    let realm = TestRealm::found_with(Bucket::memory(), &policy).await;
    let doctor = drive(&realm, "doctor").await;
    doctor.make_dir(ROOT, b"ward", 0o700).await.unwrap();
    let reader = realm.records("doctor").await;
    let options = ViewOptions { attr_ttl: Duration::ZERO, ..ViewOptions::default() };
    let reader = View::of(reader, options).await.unwrap();
    for text in [policy.replace("pharmacist@board or ", ""), policy] {
        let ana = drive(&realm, "ana").await;
        let ward = ana.resolve("/ward").await.unwrap().ino;
        ana.set_policy(ward, &text).await.unwrap();
        assert!(reader.list_path("/ward").await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_cut_to_a_length_shows_its_last_good_version() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "r.json", PLAIN).await.unwrap();
    let ino = doctor.resolve("/r.json").await.unwrap().ino;
    let cut = SetAttr { size_bytes: Some(5), ..SetAttr::default() };
    assert_eq!(doctor.set_attr(ino, None, cut).await.unwrap_err().kind(), Kind::Usage);
    assert_eq!(read(&doctor, "/r.json").await, PLAIN);
    assert_eq!(names(&doctor).await, ["r.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_not_become_a_record_keeps_its_name() {
    let policy = support::POLICY
        .replace("add = \"physician@st-mary or pharmacist@board\"", "add = \"physician@st-mary\"");
    let realm = TestRealm::found_with(Bucket::memory(), &policy).await;
    let pharmacist = drive(&realm, "pharmacist").await;
    save(&pharmacist, "note.tmp", "text").await.unwrap();
    let e = rename(&pharmacist, "note.tmp", "note.txt").await.unwrap_err();
    assert_eq!(e.kind(), Kind::Denied);
    assert_eq!(names(&pharmacist).await, ["note.tmp"]);

    // One who may add, but not this.
    let realm = TestRealm::found(Bucket::memory()).await;
    let pharmacist = drive(&realm, "pharmacist").await;
    save(&pharmacist, "r.tmp", PLAIN).await.unwrap();
    let e = rename(&pharmacist, "r.tmp", "r.json").await.unwrap_err();
    assert_eq!(e.kind(), Kind::Denied);
    assert_eq!(names(&pharmacist).await, ["r.tmp"]);
    assert_eq!(read(&pharmacist, "/r.tmp").await, PLAIN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_and_the_record_that_a_new_text_was_renamed_over_are_two() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "r.json", PLAIN).await.unwrap();
    rename(&doctor, "r.json", "old.json").await.unwrap();
    save(&doctor, "r.json.tmp", &PLAIN.replace("\"a\"", "\"new\"")).await.unwrap();
    rename(&doctor, "r.json.tmp", "r.json").await.unwrap();
    for view in [doctor, drive(&realm, "ana").await] {
        assert_eq!(read(&view, "/old.json").await, PLAIN);
        assert!(read(&view, "/r.json").await.contains("new"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_change_names_leaves_a_file_opaque() {
    let policy = support::POLICY
        .replace("add = \"physician@st-mary or pharmacist@board\"", "add = \"physician@st-mary\"");
    let realm = TestRealm::found_with(Bucket::memory(), &policy).await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "note.txt", "text").await.unwrap();
    let pharmacist = drive(&realm, "pharmacist").await;
    let text = "{\"medications\": \"a\"}";
    save(&pharmacist, "note.txt", text).await.unwrap();
    assert_eq!(read(&pharmacist, "/note.txt").await, text);
    assert_eq!(read(&*drive(&realm, "doctor").await, "/note.txt").await, text);
    assert_eq!(names(&pharmacist).await, ["note.txt"]);
}

/// A folder with a record in it, of which two workstations of the doctor know, and the owner's.
async fn ward(realm: &TestRealm) -> [Arc<View>; 3] {
    let doctor = drive(realm, "doctor").await;
    let ward = doctor.make_dir(ROOT, b"ward", 0o700).await.unwrap().ino;
    doctor.write_path(ward, b"r.json", PLAIN.as_bytes()).await.unwrap();
    let other = drive(realm, "doctor").await;
    assert_eq!(read(&other, "/ward/r.json").await, PLAIN);
    [drive(realm, "ana").await, doctor, other]
}

async fn set_policy(owner: &View, text: &str) {
    let ward = owner.resolve("/ward").await.unwrap().ino;
    owner.set_policy(ward, text).await.unwrap();
}

async fn save_in_ward(view: &View, text: &str) -> Result<()> {
    let ward = view.resolve("/ward").await.unwrap().ino;
    view.write_path(ward, b"r.json", text.as_bytes()).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_know_of_a_new_policy_saves_under_it() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let [ana, doctor, other] = ward(&realm).await;
    let policy = support::POLICY.replace("pharmacist@board or ", "");
    assert_ne!(policy, support::POLICY);
    set_policy(&ana, &policy).await;
    save_in_ward(&doctor, &PLAIN.replace("\"b\"", "\"new\"")).await.unwrap();
    assert!(read(&*drive(&realm, "ana").await, "/ward/r.json").await.contains("new"));

    // The version that he knows is older than the policy, and somebody changed it since.
    save_in_ward(&other, &PLAIN.replace("\"a\"", "\"other\"")).await.unwrap();
    let fresh = drive(&realm, "ana").await;
    let all = read(&fresh, "/ward/r.json").await;
    assert!(all.contains("new") && all.contains("other"), "{all}");
    let ino = doctor.resolve("/ward/r.json").await.unwrap().ino;
    assert_eq!(
        doctor.policy_of(ino).unwrap(),
        fresh.policy_of(fresh.resolve("/ward/r.json").await.unwrap().ino).unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_know_that_he_may_write_no_more_is_refused() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let [ana, doctor, other] = ward(&realm).await;
    let closed: Vec<String> =
        support::POLICY
            .lines()
            .map(|l| {
                if l.starts_with("write") {
                    "write = \"owner@ana\"".to_owned()
                } else {
                    l.to_owned()
                }
            })
            .collect();
    set_policy(&ana, &closed.join("\n")).await;
    for view in [&doctor, &other] {
        let e = save_in_ward(view, &PLAIN.replace("\"b\"", "\"new\"")).await.unwrap_err();
        assert_eq!(e.kind(), Kind::Denied, "{e}");
    }
    assert_eq!(read(&*drive(&realm, "ana").await, "/ward/r.json").await, PLAIN);
    // Its time is a right to write, too.
    let ino = other.resolve("/ward/r.json").await.unwrap().ino;
    let mtime = chartfs::view::Time { unix_s: 1, ns: 0 };
    let change = SetAttr { mtime: Some(mtime), ..SetAttr::default() };
    assert_eq!(other.set_attr(ino, None, change).await.unwrap_err().kind(), Kind::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_away_before_the_policy_was_replaced_goes() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let [ana, ..] = ward(&realm).await;
    let psychiatrist =
        support::POLICY.replace("add = \"physician", "add = \"psychiatrist@north or physician");
    set_policy(&ana, &psychiatrist).await;
    let other = drive(&realm, "psychiatrist").await;
    let at = other.resolve("/ward").await.unwrap().ino;
    other.write_path(at, b"p.json", &b"{\n  \"psychiatry\": \"c\"\n}\n"[..]).await.unwrap();
    let doctor = drive(&realm, "doctor").await;
    let ward = doctor.resolve("/ward").await.unwrap().ino;
    // He does not see all of it: it goes when its name cannot come back any more.
    doctor.unlink(ward, b"p.json").await.unwrap();
    set_policy(&ana, support::POLICY).await;
    doctor.drain().await.unwrap();
    let fresh = drive(&realm, "ana").await;
    let left = fresh.list_path("/ward").await.unwrap();
    assert_eq!(left.into_iter().map(|e| e.name).collect::<Vec<_>>(), [b"r.json"]);
}

/// A policy under which the pharmacist may not write everything of a file that is cut, and the
/// doctor may.
fn two_who_write() -> String {
    support::POLICY.replace(
        "read = \"(psychiatrist@north and staff@north) or owner@ana\"\nwrite = \"psychiatrist@north\"",
        "read = \"physician@st-mary or owner@ana\"\nwrite = \"physician@st-mary\"",
    )
}

/// A drive that asks the bucket each time.
async fn asking(realm: &TestRealm, user: &str) -> Arc<View> {
    let options = ViewOptions { attr_ttl: Duration::ZERO, ..ViewOptions::default() };
    View::of(realm.records(user).await, options).await.unwrap()
}

/// Lets a record that `ana` saw become another format, and come back from somebody who may not
/// write every section.
async fn away_and_back(realm: &TestRealm) -> Arc<View> {
    let (ana, doctor) = (asking(realm, "ana").await, asking(realm, "doctor").await);
    let with_more = PLAIN.replace("\"labs\"", "\"psychiatry\": \"c\",\n  \"labs\"");
    save(&doctor, "r.json", &with_more).await.unwrap();
    assert_eq!(read(&ana, "/r.json").await, with_more);
    save(&doctor, "r.json", "{\n  \"medications\": \"a\"\n  of which no end was written\n")
        .await
        .unwrap();
    let pharmacist = asking(realm, "pharmacist").await;
    save(&pharmacist, "r.json", "{\n  \"medications\": \"d\"\n}\n").await.unwrap();
    ana
}

#[tokio::test(flavor = "multi_thread")]
async fn a_format_that_went_and_came_back_is_no_alarm() {
    let realm = TestRealm::found_with(Bucket::memory(), &two_who_write()).await;
    let ana = away_and_back(&realm).await;
    assert_eq!(read(&ana, "/r.json").await, "{\n  \"medications\": \"d\"\n}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_format_that_came_back_without_a_proof_is_an_alarm() {
    let realm = TestRealm::found_with(Bucket::memory(), &two_who_write()).await;
    let ana = away_and_back(&realm).await;
    // The cloud withholds the version in which the file was of another format, or shows another.
    let mut kept = realm.bucket.list("h");
    let mut names = Vec::new();
    while let Some(listed) = futures::StreamExt::next(&mut kept).await {
        names.push(listed.unwrap().name);
    }
    for name in names {
        realm.bucket.delete(&name).await.unwrap();
    }
    let refused = ana.resolve("/r.json").await.err().map(|e| e.kind());
    assert_eq!(refused, Some(Kind::Integrity));
}
