//! Pseudonyms: of folders, of files, of patients.

use super::{bundle, drive, files, read, realm, research, save};

/// Returns the names of a folder as the researcher sees them.
async fn names(view: &chartfs::view::View, path: &str) -> Vec<String> {
    let entries = view.list_path(path).await.unwrap();
    entries.into_iter().map(|e| String::from_utf8(e.name).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_hangs_on_what_it_stands_for_and_not_on_the_real_one() {
    let realm = realm().await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "/ana/record.json", &bundle(1)).await.unwrap();
    save(&doctor, "/ana/old/visit Ana.json", &bundle(1)).await.unwrap();
    save(&doctor, "/archive/ana/record.json", &bundle(1)).await.unwrap();
    let before = files(&*research(&realm).await, "").await;
    assert_eq!(before.len(), 3);
    for path in &before {
        assert!(!path.contains("ana") && !path.contains("record") && !path.contains("Ana"));
        let suffix = std::path::Path::new(path).extension();
        assert!(suffix.is_some_and(|s| s == "json"), "a program still finds the format: {path}");
    }
    // The patient's folders have one name, wherever they stand.
    let view = research(&realm).await;
    let top = names(&view, "/").await;
    let mut below = Vec::new();
    for name in &top {
        below.extend(names(&view, &format!("/{name}")).await);
    }
    assert_eq!(top.iter().filter(|name| below.contains(name)).count(), 1, "{top:?} {below:?}");

    let doctor = drive(&realm, "doctor").await;
    let ana = doctor.resolve("/ana").await.unwrap().ino;
    let replace = chartfs::view::RenameMode::Replace;
    doctor.rename(ana, b"record.json", ana, b"renamed.json", replace).await.unwrap();
    assert_eq!(files(&*research(&realm).await, "").await, before);
    doctor.unlink(ana, b"renamed.json").await.unwrap();
    doctor.drain().await.unwrap();
    assert_eq!(files(&*research(&realm).await, "").await.len(), 2);
}

// More names than one table holds: they are spread by the real name, which a pseudonym does not
// tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_folder_is_found_under_its_pseudonyms() {
    use chartfs::record::directory::{Edit, Entry};
    use chartfs::record::{Located, RecordId};
    let realm = realm().await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "/record.json", &bundle(1)).await.unwrap();
    let records = realm.records("doctor").await;
    let entry = |i: u32| {
        let located = Located { birth: realm.root.record, record: RecordId::random() };
        let entry = Entry { located, profile: 2, policy: None };
        Edit::Add { name: format!("{i}.json").into_bytes(), entry }
    };
    let edits: Vec<Edit> = (0..1100).map(entry).collect();
    let added = records.edit_names(realm.root, &realm.policy, &edits).await.unwrap();
    assert!(added.iter().all(Result::is_ok));
    let researcher = super::researcher(&realm).await;
    let max_age = std::time::Duration::ZERO;
    let names = researcher.names(realm.root, &realm.policy, max_age).await.unwrap();
    assert_eq!(names.table.0.len(), 1101);
    for (name, entry) in names.table.0.iter().step_by(100) {
        let found = researcher.find(realm.root, &realm.policy, name, max_age).await.unwrap();
        assert_eq!(found.entry.as_ref(), Some(entry));
    }
    let found = researcher.find(realm.root, &realm.policy, b"record.json", max_age).await.unwrap();
    assert_eq!(found.entry, None);
    let real = records.names(realm.root, &realm.policy, max_age).await.unwrap();
    let record = real.table.0[&b"record.json"[..]].located;
    let name = names.table.0.iter().find(|(_, e)| e.located == record).unwrap().0;
    let view = research(&realm).await;
    assert!(!read(&view, &String::from_utf8(name.clone()).unwrap()).await.is_empty());
}
