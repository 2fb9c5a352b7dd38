//! Names that were taken away, and how they come back.

use chartfs::error::Kind;
use chartfs::record::past::REMOVED_KEPT;
use chartfs::store::Bucket;

use super::support::TestRealm;
use super::{ROOT, drive, eager, names, objects, overwrite, read, save};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_and_removed_within_a_moment_comes_back() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "/kept.txt", "kept").await.unwrap();
    doctor.unlink(ROOT, b"kept.txt").await.unwrap();
    // The table is kept now; these two are in no kept table.
    for text in ["first", "second"] {
        save(&doctor, "/brief.txt", text).await.unwrap();
        doctor.unlink(ROOT, b"brief.txt").await.unwrap();
    }
    let other = drive(&realm, "doctor").await;
    let removed = other.removed(ROOT).await.unwrap();
    let listed: Vec<&[u8]> = removed.iter().map(|r| &r.name[..]).collect();
    assert_eq!(listed, [&b"brief.txt"[..], b"brief.txt", b"kept.txt"], "the newest first");
    assert!(removed.iter().all(|r| r.by == doctor.records().keyring().gid() && !r.is_folder));
    assert!(removed.windows(2).all(|w| w[0].time >= w[1].time));

    other.restore_name(ROOT, b"brief.txt", None, None).await.unwrap();
    assert_eq!(read(&other, "/brief.txt").await, "second");
    let first = removed[1].id;
    let taken = other.restore_name(ROOT, b"brief.txt", Some(first), None).await.unwrap_err();
    assert_eq!(taken.kind(), Kind::Exists);
    other.restore_name(ROOT, b"brief.txt", Some(first), Some(b"older.txt")).await.unwrap();
    assert_eq!(read(&other, "/older.txt").await, "first");
    let left = other.removed(ROOT).await.unwrap();
    assert_eq!(left.len(), 1, "what is back is not among the removed: {left:?}");
    let gone = other.restore_name(ROOT, b"brief.txt", None, None).await.unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_one_of_many_removals_is_found_and_few_tables_are_kept_for_them() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = drive(&realm, "doctor").await;
    let count = 3 * REMOVED_KEPT;
    for i in 0..count {
        save(&doctor, &format!("/{i}.txt"), &format!("text {i}")).await.unwrap();
        doctor.unlink(ROOT, format!("{i}.txt").as_bytes()).await.unwrap();
    }
    let kept = objects(&realm.bucket, &format!("h/{}/", realm.root.record)).await;
    assert!(kept.len() <= 1 + count / (REMOVED_KEPT / 2), "{} tables", kept.len());
    let other = drive(&realm, "doctor").await;
    let removed = other.removed(ROOT).await.unwrap();
    let mut found: Vec<&[u8]> = removed.iter().map(|r| &r.name[..]).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), count, "each once");
    for i in [0, REMOVED_KEPT, count - 1] {
        other.restore_name(ROOT, format!("{i}.txt").as_bytes(), None, None).await.unwrap();
        assert_eq!(read(&other, &format!("/{i}.txt")).await, format!("text {i}"));
    }

    // The older removals hang on kept tables: one that is missing or another is not passed over.
    let current = doctor.records().load(realm.root, &realm.policy, std::time::Duration::ZERO);
    let version = current.await.unwrap().version();
    let mut refused = 0;
    for name in &kept {
        let honest = realm.bucket.get(name, u64::MAX).await.unwrap().unwrap().bytes;
        realm.bucket.delete(name).await.unwrap();
        if let Err(e) = other.removed(ROOT).await {
            assert_eq!(e.kind(), Kind::NotFound);
            let newest = realm.bucket.get(&realm.root.object(), u64::MAX).await.unwrap().unwrap();
            overwrite(&realm.bucket, name, newest.bytes).await;
            let e = other.removed(ROOT).await.unwrap_err();
            assert_eq!(e.kind(), Kind::Integrity);
            refused += 1;
        }
        overwrite(&realm.bucket, name, honest).await;
    }
    assert!(refused >= 2, "of {} tables before version {version}", kept.len());
    assert_eq!(other.removed(ROOT).await.unwrap().len(), count - 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_a_split_folder_comes_back() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = drive(&realm, "doctor").await;
    let records = doctor.records();
    save(&doctor, "/early.txt", "early").await.unwrap();
    doctor.unlink(ROOT, b"early.txt").await.unwrap();
    save(&doctor, "/a.txt", "text").await.unwrap();
    let entry = records
        .find(realm.root, &realm.policy, b"a.txt", std::time::Duration::ZERO)
        .await
        .unwrap()
        .entry
        .unwrap();
    let add = |i: u32| {
        use chartfs::record::directory::{Edit, Entry};
        let entry = Entry { located: realm.new_place(), ..entry.clone() };
        Edit::Put { name: format!("n{i}").into_bytes(), entry }
    };
    let many: Vec<_> = (0..1100).map(add).collect();
    for done in records.edit_names(realm.root, &realm.policy, &many).await.unwrap() {
        done.unwrap();
    }
    doctor.unlink(ROOT, b"a.txt").await.unwrap();
    let other = drive(&realm, "doctor").await;
    for (name, text) in [("a.txt", "text"), ("early.txt", "early")] {
        other.restore_name(ROOT, name.as_bytes(), None, None).await.unwrap();
        assert_eq!(read(&other, &format!("/{name}")).await, text);
    }
    assert!(other.removed(ROOT).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_moved_or_replaced_by_its_own_text_is_not_among_the_removed() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = drive(&realm, "doctor").await;
    let replace = chartfs::view::RenameMode::Replace;
    let ward = doctor.make_dir(ROOT, b"ward", 0o700).await.unwrap().ino;
    save(&doctor, "/a.txt", "a").await.unwrap();
    doctor.rename(ROOT, b"a.txt", ward, b"b.txt", replace).await.unwrap();
    doctor.rename(ward, b"b.txt", ward, b"c.txt", replace).await.unwrap();
    // A program's new text, renamed over the file.
    save(&doctor, "/ward/c.txt.new", "c").await.unwrap();
    doctor.rename(ward, b"c.txt.new", ward, b"c.txt", replace).await.unwrap();
    assert_eq!(read(&doctor, "/ward/c.txt").await, "c");
    for folder in [ROOT, ward] {
        let removed = doctor.removed(folder).await.unwrap();
        assert!(removed.is_empty(), "{removed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_comes_back_with_what_was_in_it() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = eager(&realm, "doctor").await;
    let ward = doctor.make_dir(ROOT, b"ward", 0o700).await.unwrap().ino;
    save(&doctor, "/ward/note.txt", "a note").await.unwrap();
    doctor.unlink(ward, b"note.txt").await.unwrap();
    doctor.remove_dir(ROOT, b"ward").await.unwrap();
    let other = eager(&realm, "doctor").await;
    assert!(other.removed(ROOT).await.unwrap()[0].is_folder);
    other.restore_name(ROOT, b"ward", None, None).await.unwrap();
    let ward = other.resolve("/ward").await.unwrap().ino;
    other.restore_name(ward, b"note.txt", None, None).await.unwrap();
    assert_eq!(read(&other, "/ward/note.txt").await, "a note");
    save(&other, "/ward/new.txt", "new").await.unwrap();
    assert_eq!(names(&*eager(&realm, "doctor").await, "/ward").await, ["new.txt", "note.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_add_brings_no_name_back_and_who_may_not_know_of_a_name_sees_none() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "/r.json", r#"{"labs": [1]}"#).await.unwrap();
    doctor.unlink(ROOT, b"r.json").await.unwrap();
    let ana = drive(&realm, "ana").await;
    assert_eq!(ana.removed(ROOT).await.unwrap().len(), 1);
    let e = ana.restore_name(ROOT, b"r.json", None, None).await.unwrap_err();
    assert_eq!(e.kind(), Kind::Denied);

    let policy = super::support::POLICY.replace(
        "[section.documents]\nread = \"physician@st-mary or pharmacist@board or owner@ana\"\nwrite = \"physician@st-mary or pharmacist@board\"",
        "",
    );
    let realm = TestRealm::found_with(Bucket::memory(), &policy).await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "/secret.txt", "text").await.unwrap();
    doctor.unlink(ROOT, b"secret.txt").await.unwrap();
    assert_eq!(doctor.removed(ROOT).await.unwrap().len(), 1);
    let pharmacist = drive(&realm, "pharmacist").await;
    assert!(pharmacist.removed(ROOT).await.unwrap().is_empty());
}
