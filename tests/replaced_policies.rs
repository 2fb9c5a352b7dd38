//! A policy that was replaced is no damage: who knows the older one, and meets what was written
//! under the newer, asks the folder.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use chartfs::view::{Ino, RenameMode, View};
use support::{TestRealm, believing as drive, read_text as read};

const ROOT: Ino = Ino::ROOT;
const OLD: &str = "{\n  \"medications\": \"a\",\n  \"labs\": \"b\"\n}\n";

/// A folder with a record in it; the one who owns it, and two workstations of a user that know both
/// and believe what they know for the whole test.
struct Ward {
    realm: TestRealm,
    owner: Arc<View>,
    user: Arc<View>,
    other: Arc<View>,
}

async fn folder(view: &View) -> Ino {
    view.resolve("/ward").await.unwrap().ino
}

async fn save(view: &View, name: &str, text: &str) {
    view.write_path(folder(view).await, name.as_bytes(), text.as_bytes()).await.unwrap();
}

async fn names(view: &View) -> Vec<String> {
    let entries = view.list_path("/ward").await.unwrap();
    entries.into_iter().map(|e| String::from_utf8(e.name).unwrap()).collect()
}

impl Ward {
    async fn new(user: &str) -> Self {
        let realm = TestRealm::found(chartfs::store::Bucket::memory()).await;
        let doctor = drive(&realm, "doctor").await;
        doctor.make_dir(ROOT, b"ward", 0o700).await.unwrap();
        save(&doctor, "r.json", OLD).await;
        let (user, other) = (drive(&realm, user).await, drive(&realm, user).await);
        read(&user, "/ward/r.json").await;
        read(&other, "/ward/r.json").await;
        let owner = drive(&realm, "ana").await;
        Self { realm, owner, user, other }
    }

    /// Replaces the policy by one that says nearly the same.
    async fn replace_policy(&self) {
        let policy = support::POLICY.replace("psychiatrist@north or owner@ana", "owner@ana");
        assert_ne!(policy, support::POLICY);
        self.owner.set_policy(folder(&self.owner).await, &policy).await.unwrap();
    }

    /// Somebody who knows the new policy.
    async fn doctor(&self) -> Arc<View> {
        drive(&self.realm, "doctor").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_is_found_and_brought_back() {
    let ward = Ward::new("doctor").await;
    ward.replace_policy().await;
    let doctor = ward.doctor().await;
    for labs in ["\"c\"", "\"d\""] {
        save(&doctor, "r.json", &OLD.replace("\"b\"", labs)).await;
    }
    let ino = ward.user.resolve("/ward/r.json").await.unwrap().ino;
    assert_eq!(ward.user.history(ino).await.unwrap().versions.len(), 3);
    // By one who has not asked for it before.
    let other = &ward.other;
    let at = folder(other).await;
    other.restore_version(at, b"r.json", Some(2), None).await.unwrap();
    let fresh = ward.doctor().await;
    assert_eq!(read(&fresh, "/ward/r.json").await, OLD.replace("\"b\"", "\"c\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_comes_back() {
    let ward = Ward::new("doctor").await;
    ward.replace_policy().await;
    let doctor = ward.doctor().await;
    save(&doctor, "new.json", OLD).await;
    doctor.unlink(folder(&doctor).await, b"new.json").await.unwrap();
    doctor.drain().await.unwrap();
    let at = folder(&ward.user).await;
    ward.user.restore_name(at, b"new.json", None, None).await.unwrap();
    assert_eq!(read(&*ward.doctor().await, "/ward/new.json").await, OLD);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_given_meanwhile_leaves_a_conflict_copy() {
    let ward = Ward::new("doctor").await;
    ward.replace_policy().await;
    save(&*ward.doctor().await, "new.json", OLD).await;
    save(&ward.user, "new.json", &OLD.replace("\"b\"", "\"mine\"")).await;
    let fresh = ward.doctor().await;
    let names = names(&fresh).await;
    assert_eq!(names.len(), 3, "{names:?}");
    let copy = names.iter().find(|n| n.contains("(conflict ")).unwrap();
    assert!(read(&fresh, &format!("/ward/{copy}")).await.contains("mine"));
}

// By each of the ways in which a name comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_taken_away_comes_back() {
    for way in ["unlink", "rename", "rename over"] {
        let ward = Ward::new("pharmacist").await;
        let at = folder(&ward.user).await;
        let mine = read(&ward.user, "/ward/r.json").await.replace("\"a\"", "\"mine\"");
        if way == "rename over" {
            save(&ward.user, "r.json.tmp", &mine).await;
        }
        if way == "rename" {
            let mode = RenameMode::Replace;
            ward.user.rename(at, b"r.json", at, b"r.json~", mode).await.unwrap();
        } else {
            ward.user.unlink(at, b"r.json").await.unwrap();
        }
        ward.replace_policy().await;
        save(&*ward.doctor().await, "r.json", &OLD.replace("\"b\"", "\"theirs\"")).await;
        if way == "rename over" {
            let mode = RenameMode::Replace;
            ward.user.rename(at, b"r.json.tmp", at, b"r.json", mode).await.unwrap();
        } else {
            save(&ward.user, "r.json", &mine).await;
        }
        let fresh = ward.doctor().await;
        let all = read(&fresh, "/ward/r.json").await;
        assert!(all.contains("mine") && all.contains("theirs"), "{way}: {all}");
        assert_eq!(names(&fresh).await, ["r.json"], "{way}");
    }
}
