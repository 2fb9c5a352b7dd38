//! What each user sees on the drive, and what saving keeps: without a mount.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chartfs::demo::patients::patient;
use chartfs::error::Kind;
use chartfs::key::credential::Credential;
use chartfs::record::directory::{Edit, Entry};
use chartfs::record::{Committed, DIRECTORY_PROFILE};
use chartfs::store::Bucket;
use chartfs::view::{Access, Ino, RenameMode, View, ViewOptions};
use futures::StreamExt;
use support::{TestRealm, USERS, read};

async fn drive(realm: &TestRealm, user: &str) -> Arc<View> {
    View::of(realm.records(user).await, ViewOptions::default()).await.unwrap()
}

async fn save(view: &View, path: &str, text: &[u8]) -> chartfs::error::Result<()> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = view.resolve(parent).await?.ino;
    view.write_path(parent, name.as_bytes(), text).await.map(|_| ())
}

/// A policy whose patient owns the folder that bears her name.
fn patient_policy() -> String {
    support::POLICY
        .replace("owner@ana", "owner@{patient}")
        .replace("list = \"physician@st-mary", "list = \"owner@ana or physician@st-mary")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A realm with one patient's bundle in it, put there by the doctor and the psychiatrist.
async fn with_record() -> (TestRealm, Vec<u8>) {
    with_record_and("announce = false").await
}

/// The same, with a line more about the section mental-health in the policy.
async fn with_record_and(line: &str) -> (TestRealm, Vec<u8>) {
    let policy = support::POLICY
        .replace("[section.mental-health]", &format!("[section.mental-health]\n{line}"))
        .replace("[default]", "[section.hiv]\nread = \"physician@st-mary or owner@ana\"\nwrite = \"physician@st-mary\"\n\n[default]");
    let policy = policy.replace(
        "write = \"psychiatrist@north\"",
        "write = \"psychiatrist@north or physician@st-mary\"",
    );
    let realm = TestRealm::found_with(Bucket::memory(), &policy).await;
    let doctor = drive(&realm, "doctor").await;
    let bundle = patient(1).files.into_iter().find(|(n, _)| n == "record.json").unwrap().1;
    save(&doctor, "/record.json", &bundle).await.unwrap();
    (realm, bundle)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_path_says_to_each_user_what_the_credential_opens() {
    let (realm, bundle) = with_record().await;
    let ana = drive(&realm, "ana").await;
    assert_eq!(text(&read(&ana, "/record.json").await), text(&bundle), "the owner sees all of it");
    let pharmacist = read(&*drive(&realm, "pharmacist").await, "/record.json").await;
    let shown: serde_json::Value = serde_json::from_slice(&pharmacist).unwrap();
    let kinds: Vec<&str> = shown["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["resource"]["resourceType"].as_str().unwrap())
        .collect();
    assert!(kinds.contains(&"MedicationRequest"), "{kinds:?}");
    assert!(!kinds.contains(&"Claim") && !kinds.contains(&"Observation"), "{kinds:?}");
    let stranger = View::of(realm.records("stranger").await, ViewOptions::default()).await;
    assert_eq!(stranger.err().unwrap().kind(), Kind::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn saving_through_a_partial_view_keeps_what_is_hidden() {
    let (realm, bundle) = with_record().await;
    let pharmacist = drive(&realm, "pharmacist").await;
    let seen = text(&read(&pharmacist, "/record.json").await);
    let edited = seen.replacen("\"active\"", "\"stopped\"", 1);
    assert_ne!(seen, edited);

    // The kernel holds a reference to what it looked up.
    let root = pharmacist.resolve("/").await.unwrap().ino;
    let ino = pharmacist.lookup(root, b"record.json").await.unwrap().ino;
    let edits = [
        edited.clone(),
        edited.replacen("\"stopped\"", "\"on-hold\"", 1),
        edited.replacen("\"stopped\"", "\"completed\"", 1),
        edited.replacen("\"stopped\"", "\"cancelled\"", 1),
    ];
    // In place.
    save(&pharmacist, "/record.json", edits[0].as_bytes()).await.unwrap();
    assert_eq!(pharmacist.resolve("/record.json").await.unwrap().ino, ino);
    check_owner(&realm, &bundle, "\"stopped\"").await;
    // A new file renamed over it.
    save(&pharmacist, "/record.json.new", edits[1].as_bytes()).await.unwrap();
    let replace = RenameMode::Replace;
    let root = Ino::ROOT;
    pharmacist.rename(root, b"record.json.new", root, b"record.json", replace).await.unwrap();
    check_owner(&realm, &bundle, "\"on-hold\"").await;
    // Renamed away and made anew, with a name that stays here and with one that does not.
    for away in [&b"record.json.bak"[..], b"record.json~", b"#record.json#"] {
        pharmacist.rename(root, b"record.json", root, away, replace).await.unwrap();
        save(&pharmacist, "/record.json", edits[2].as_bytes()).await.unwrap();
        check_owner(&realm, &bundle, "\"completed\"").await;
    }
    // Unlinked and made anew.
    pharmacist.unlink(root, b"record.json").await.unwrap();
    assert_eq!(pharmacist.resolve("/record.json").await.unwrap_err().kind(), Kind::NotFound);
    save(&pharmacist, "/record.json", edits[3].as_bytes()).await.unwrap();
    check_owner(&realm, &bundle, "\"cancelled\"").await;
    assert_eq!(text(&read(&pharmacist, "/record.json").await), edits[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_section_leaves_a_mark_that_no_save_stores() {
    let (realm, bundle) = with_record_and("announce = true").await;
    let ana = drive(&realm, "ana").await;
    assert_eq!(text(&read(&ana, "/record.json").await), text(&bundle), "the owner sees all of it");
    let pharmacist = drive(&realm, "pharmacist").await;
    let seen = text(&read(&pharmacist, "/record.json").await);
    let shown: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(shown["meta"]["security"][0]["code"], "REDACTED");

    let edited = seen.replacen("\"active\"", "\"stopped\"", 1);
    assert_ne!(seen, edited);
    save(&pharmacist, "/record.json", edited.as_bytes()).await.unwrap();
    check_owner(&realm, &bundle, "\"stopped\"").await;
    let all = text(&read(&*drive(&realm, "ana").await, "/record.json").await);
    assert!(!all.contains("REDACTED"));
    assert_eq!(text(&read(&pharmacist, "/record.json").await), edited);

    // The mark hangs on the policy: an empty record of that kind has it too.
    let none = br#"{"resourceType":"Bundle","type":"collection","entry":[
 {"resource":{"resourceType":"MedicationRequest","id":"m"}}]}"#;
    save(&*drive(&realm, "doctor").await, "/other.json", none).await.unwrap();
    let other = text(&read(&*drive(&realm, "pharmacist").await, "/other.json").await);
    assert!(other.contains("REDACTED"), "{other}");
    let changed = edited.replace("\"redacted\"", "\"all is here\"");
    let refused = save(&pharmacist, "/record.json", changed.as_bytes()).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_lists_to_each_what_he_sees_of_it() {
    let (realm, _) = with_record().await;
    let document = br#"{"resourceType":"Bundle","type":"document","entry":[
 {"fullUrl":"urn:c","resource":{"resourceType":"Composition","id":"c","status":"final",
  "type":{"coding":[{"system":"http://loinc.org","code":"60591-5"}]},
  "date":"2026","title":"Patient summary","author":[{"reference":"Practitioner/d"}],
  "section":[{"title":"Problems","code":{"coding":[{"system":"http://loinc.org","code":"11450-4"}]},
   "entry":[{"reference":"Condition/cough"},{"reference":"Condition/mood"}]}]}},
 {"resource":{"resourceType":"Condition","id":"cough","code":{"text":"cough"}}},
 {"resource":{"resourceType":"Condition","id":"mood","code":{"text":"depression"}}}
]}"#;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "/summary.json", document).await.unwrap();
    let ana = drive(&realm, "ana").await;
    assert_eq!(text(&read(&ana, "/summary.json").await), text(document), "the owner sees all");
    let seen = text(&read(&doctor, "/summary.json").await);
    assert!(seen.contains("Condition/cough") && !seen.contains("mood"), "{seen}");

    // Who sees none of the problems is told that there is no information, and stores none of it.
    let pharmacist = drive(&realm, "pharmacist").await;
    let nothing = text(&read(&pharmacist, "/summary.json").await);
    assert!(nothing.contains("\"unavailable\"") && !nothing.contains("Condition/"), "{nothing}");
    save(&doctor, "/summary.json", seen.replace(":\"cough\"}}", ":\"cold\"}}").as_bytes())
        .await
        .unwrap();
    let all = text(&read(&*drive(&realm, "ana").await, "/summary.json").await);
    assert_eq!(all, text(document).replace(":\"cough\"}}", ":\"cold\"}}"));
}

/// The owner sees the edit and everything else as it was.
async fn check_owner(realm: &TestRealm, bundle: &[u8], edit: &str) {
    let ana = drive(realm, "ana").await;
    let all = text(&read(&ana, "/record.json").await);
    assert_eq!(all.matches(edit).count(), text(bundle).matches(edit).count() + 1, "{edit}");
    assert_eq!(all.replacen(edit, "\"active\"", 1).len(), bundle.len());
    let entries = |t: &str| {
        let bundle: serde_json::Value = serde_json::from_str(t).unwrap();
        bundle["entry"].as_array().unwrap().len()
    };
    assert_eq!(entries(&all), entries(&text(bundle)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_may_rename_a_record_away_and_make_it_anew() {
    let (realm, bundle) = with_record().await;
    let doctor = drive(&realm, "doctor").await;
    let seen = read(&doctor, "/record.json").await;
    assert_ne!(text(&seen), text(&bundle), "the doctor does not see the psychiatrist's notes");
    let (root, replace) = (Ino::ROOT, RenameMode::Replace);
    doctor.rename(root, b"record.json", root, b"old.json", replace).await.unwrap();
    save(&doctor, "/record.json", &seen).await.unwrap();
    let ana = drive(&realm, "ana").await;
    assert_eq!(text(&read(&ana, "/record.json").await), text(&bundle));
    assert_eq!(text(&read(&ana, "/old.json").await), text(&seen));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_write_a_section_is_refused_at_close_and_nothing_changes() {
    let (realm, bundle) = with_record().await;
    let pharmacist = drive(&realm, "pharmacist").await;
    let seen = text(&read(&pharmacist, "/record.json").await);
    let allergy = r#"{"resource":{"resourceType":"AllergyIntolerance","id":"x"}},"#;
    let at = seen.find("\"entry\": [").unwrap() + "\"entry\": [".len();
    let edited = [&seen[..at], allergy, &seen[at..]].concat();
    let e = save(&pharmacist, "/record.json", edited.as_bytes()).await.unwrap_err();
    assert_eq!(e.kind(), Kind::Denied);
    let ana = drive(&realm, "ana").await;
    assert_eq!(text(&read(&ana, "/record.json").await), text(&bundle));
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_files_and_names_do_what_programs_expect() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = drive(&realm, "doctor").await;
    let root = Ino::ROOT;
    let ward = doctor.make_dir(root, b"ward", 0o700).await.unwrap().ino;
    let (attr, opened) = doctor.create(ward, b"note.txt", true, 0o600).await.unwrap();
    doctor.write(opened.handle, 0, Bytes::from_static(b"hello")).await.unwrap();
    doctor.write(opened.handle, 10, Bytes::from_static(b"world")).await.unwrap();
    doctor.flush(opened.handle).await.unwrap();
    doctor.release(opened.handle).await;
    assert_eq!(read(&doctor, "/ward/note.txt").await, b"hello\0\0\0\0\0world");
    assert_eq!(doctor.resolve("/ward/note.txt").await.unwrap().ino, attr.ino);
    let e = doctor.create(ward, b"note.txt", true, 0o600).await.unwrap_err();
    assert_eq!(e.kind(), Kind::Exists);
    assert_eq!(doctor.remove_dir(root, b"ward").await.unwrap_err().kind(), Kind::NotEmpty);

    // Appending, truncating, and an empty file.
    let append = Access { write: true, append: true, ..Access::default() };
    let opened = doctor.open(attr.ino, append).await.unwrap();
    doctor.write(opened.handle, 0, Bytes::from_static(b"!")).await.unwrap();
    doctor.flush(opened.handle).await.unwrap();
    doctor.release(opened.handle).await;
    assert_eq!(read(&doctor, "/ward/note.txt").await, b"hello\0\0\0\0\0world!");
    let cut = chartfs::view::SetAttr { size_bytes: Some(5), ..Default::default() };
    doctor.set_attr(attr.ino, None, cut).await.unwrap();
    assert_eq!(read(&doctor, "/ward/note.txt").await, b"hello");
    let (_, opened) = doctor.create(ward, b"empty", true, 0o600).await.unwrap();
    doctor.flush(opened.handle).await.unwrap();
    doctor.release(opened.handle).await;

    // Another workstation sees all of it, and moves it.
    let other = drive(&realm, "doctor").await;
    let names = |entries: Vec<chartfs::view::DirEntry>| -> Vec<String> {
        entries.into_iter().map(|e| text(&e.name)).collect()
    };
    assert_eq!(names(other.list_path("/ward").await.unwrap()), ["empty", "note.txt"]);
    assert_eq!(read(&other, "/ward/empty").await, b"");
    let their_ward = other.resolve("/ward").await.unwrap().ino;
    let replace = RenameMode::Replace;
    other.rename(their_ward, b"note.txt", Ino::ROOT, b"moved.txt", replace).await.unwrap();
    assert_eq!(read(&other, "/moved.txt").await, b"hello");
    assert_eq!(names(other.list_path("/ward").await.unwrap()), ["empty"]);
    other.unlink(their_ward, b"empty").await.unwrap();
    other.remove_dir(Ino::ROOT, b"ward").await.unwrap();
    assert_eq!(names(other.list_path("/").await.unwrap()), ["moved.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workstations_that_save_at_once_lose_nothing() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let one = drive(&realm, "doctor").await;
    let plain = br#"{"medications": ["a"], "allergies": ["b"], "labs": ["c"]}"#;
    save(&one, "/r.json", plain).await.unwrap();
    let two = drive(&realm, "doctor").await;
    let write = Access { read: true, write: true, ..Access::default() };
    let open = |v: Arc<View>| async move {
        let ino = v.resolve("/r.json").await.unwrap().ino;
        let opened = v.open(ino, write).await.unwrap();
        v.read(opened.handle, 0, 1000).await.unwrap();
        opened.handle
    };
    let (h1, h2) = (open(one.clone()).await, open(two.clone()).await);
    let put = |t: &str| Bytes::from(t.to_owned());
    one.write(h1, 0, put(r#"{"medications": ["A"], "allergies": ["b"], "labs": ["c"]}"#))
        .await
        .unwrap();
    two.write(h2, 0, put(r#"{"medications": ["a"], "allergies": ["b"], "labs": ["C"]}"#))
        .await
        .unwrap();
    one.flush(h1).await.unwrap();
    two.flush(h2).await.unwrap();
    let three = drive(&realm, "doctor").await;
    let merged = text(&read(&three, "/r.json").await);
    assert_eq!(merged, r#"{"medications": ["A"], "allergies": ["b"], "labs": ["C"]}"#);

    // The same element: both texts stay.
    one.write(h1, 0, put(r#"{"medications": ["1"], "allergies": ["b"], "labs": ["C"]}"#))
        .await
        .unwrap();
    two.write(h2, 0, put(r#"{"medications": ["2"], "allergies": ["b"], "labs": ["C"]}"#))
        .await
        .unwrap();
    one.flush(h1).await.unwrap();
    two.flush(h2).await.unwrap();
    let four = drive(&realm, "doctor").await;
    let entries = four.list_path("/").await.unwrap();
    assert_eq!(entries.len(), 2, "{entries:?}");
    let conflict = entries.iter().find(|e| e.name != b"r.json").unwrap();
    let path = format!("/{}", text(&conflict.name));
    assert!(path.contains("(conflict doctor "), "{path}");
    let both = [read(&four, "/r.json").await, read(&four, &path).await].map(|b| text(&b));
    assert!(both[0].contains("\"1\"") && both[1].contains("\"2\""), "{both:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_edited_by_who_sees_some_of_its_columns() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = drive(&realm, "doctor").await;
    let table = "name,drug,dose,diagnosis\nAda,aspirin,10,cough\nBo,zidovudine,300,HIV\nCy,ibuprofen,400,pain\n";
    save(&doctor, "/t.csv", table.as_bytes()).await.unwrap();
    let pharmacist = drive(&realm, "pharmacist").await;
    let view = text(&read(&pharmacist, "/t.csv").await);
    assert_eq!(view, "drug,dose\naspirin,10\nibuprofen,400\n");
    let edited = "drug,dose\nnaproxen,250\nibuprofen,600\naspirin,10\n";
    save(&pharmacist, "/t.csv", edited.as_bytes()).await.unwrap();
    assert_eq!(text(&read(&pharmacist, "/t.csv").await), edited);
    let doctor = drive(&realm, "doctor").await;
    let full = text(&read(&doctor, "/t.csv").await);
    for row in
        ["Ada,aspirin,10,cough", "Bo,zidovudine,300,HIV", "Cy,ibuprofen,600,pain", ",naproxen,250,"]
    {
        assert!(full.lines().any(|line| line == row), "{full}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_differ_only_in_hidden_sections_look_the_same() {
    let mut views = Vec::new();
    for notes in ["\"sleeps well\"", "\"hears voices, and this text is longer\""] {
        let realm = TestRealm::found(Bucket::memory()).await;
        let doctor = drive(&realm, "doctor").await;
        save(&doctor, "/r.json", br#"{"medications": ["a"], "labs": [1]}"#).await.unwrap();
        let ana_text = format!(r#"{{"medications": ["a"], "labs": [{notes}]}}"#);
        save(&doctor, "/r.json", ana_text.as_bytes()).await.unwrap();
        let pharmacist = drive(&realm, "pharmacist").await;
        let attr = pharmacist.resolve("/r.json").await.unwrap();
        let names = pharmacist.xattr_names(attr.ino).await.unwrap();
        let mut values = Vec::new();
        for name in names.iter().filter(|n| !n.ends_with(b"writer")) {
            values.push(pharmacist.xattr(attr.ino, name).await.unwrap());
        }
        views.push((read(&pharmacist, "/r.json").await, attr.size_bytes, names, values));
    }
    assert_eq!(views[0], views[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_told_apart_from_a_closed_door() {
    let (realm, _) = with_record().await;
    let open = realm.credential("doctor", USERS[0].1).await;
    let mut expired = Credential::new("doctor", realm.genesis);
    let request = chartfs::key::credential::Request::parse(&expired.request()).unwrap();
    let keys = &realm.authorities[&"st-mary".parse().unwrap()];
    let now = chartfs::clock::now_unix_s();
    let names = ["physician".parse().unwrap()];
    let records = realm.records_of(open).await;
    let grant = records.realm().issue(keys, &request, &names, now - 1000, now - 10).await.unwrap();
    let grant = expired.open_grant(&grant).unwrap();
    expired.add_grant(grant);
    let records = realm.records_of(expired).await;
    let e = View::of(records, ViewOptions::default()).await.err().unwrap();
    assert_eq!(e.kind(), Kind::CredentialExpired);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_owns_the_folder_and_sets_its_policy() {
    let policy = patient_policy();
    let realm = TestRealm::found_with(Bucket::memory(), &policy).await;
    let doctor = drive(&realm, "doctor").await;
    let folder = doctor.make_dir(Ino::ROOT, b"ana", 0o700).await.unwrap();
    let bound = doctor.policy_of(folder.ino).unwrap();
    assert_eq!(bound.patient.unwrap().as_str(), "ana");
    let plain = br#"{"medications": ["a"], "labs": [1]}"#;
    save(&doctor, "/ana/r.json", plain).await.unwrap();

    let ana = drive(&realm, "ana").await;
    assert_eq!(read(&ana, "/ana/r.json").await, plain);
    let pharmacist = drive(&realm, "pharmacist").await;
    assert!(text(&read(&pharmacist, "/ana/r.json").await).contains("medications"));

    // The doctor may not manage; ana may, and closes her medications to the pharmacist.
    let closed = policy.replace(
        "physician@st-mary or pharmacist@board or owner@{patient}",
        "physician@st-mary or owner@{patient}",
    );
    let e = doctor.set_policy(folder.ino, &closed).await.unwrap_err();
    assert_eq!(e.kind(), Kind::Denied);
    let hers = ana.resolve("/ana").await.unwrap().ino;
    let rewrapped = ana.set_policy(hers, &closed).await.unwrap();
    assert_eq!((rewrapped.records, rewrapped.left), (1, 0));
    let pharmacist = drive(&realm, "pharmacist").await;
    let e = pharmacist.read_path("/ana/r.json", |_| Ok(())).await.unwrap_err();
    assert_eq!(e.kind(), Kind::Denied);
    let doctor = drive(&realm, "doctor").await;
    assert_eq!(read(&doctor, "/ana/r.json").await, plain);
    save(&doctor, "/ana/r.json", br#"{"medications": ["b"], "labs": [1]}"#).await.unwrap();

    // Under another policy a record is copied, not moved.
    let replace = RenameMode::Replace;
    let folder = doctor.resolve("/ana").await.unwrap();
    let e = doctor.rename(folder.ino, b"r.json", Ino::ROOT, b"r.json", replace).await.unwrap_err();
    assert_eq!(e.kind(), Kind::OtherPolicy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_folder_is_split_and_stays_one_folder() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let mut drives = Vec::new();
    for _ in 0..3 {
        drives.push(drive(&realm, "doctor").await);
    }
    // Three workstations fill one folder at once, beyond where it splits.
    let per_drive = 400;
    let tasks: Vec<_> = drives
        .iter()
        .enumerate()
        .map(|(d, view)| {
            let view = view.clone();
            tokio::spawn(async move {
                for chunk in (0..per_drive).collect::<Vec<_>>().chunks(40) {
                    let made =
                        chunk.iter().map(|i| {
                            let (view, name) = (view.clone(), format!("{d}-{i}.txt"));
                            async move {
                                view.write_path(Ino::ROOT, name.as_bytes(), name.as_bytes()).await
                            }
                        });
                    for made in futures::future::join_all(made).await {
                        made.unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let fresh = drive(&realm, "doctor").await;
    let entries = fresh.list_path("/").await.unwrap();
    assert_eq!(entries.len(), 3 * per_drive);
    for name in ["/0-0.txt", "/1-399.txt", "/2-200.txt"] {
        assert_eq!(read(&fresh, name).await, name.trim_start_matches('/').as_bytes());
    }
    // Across shards: renamed, exchanged, removed.
    let (root, replace) = (Ino::ROOT, RenameMode::Replace);
    for i in 0..20 {
        let (from, to) = (format!("0-{i}.txt"), format!("moved-{i}"));
        fresh.rename(root, from.as_bytes(), root, to.as_bytes(), replace).await.unwrap();
        let e = fresh.resolve(&from).await.unwrap_err();
        assert_eq!(e.kind(), Kind::NotFound);
        assert_eq!(read(&fresh, &format!("/{to}")).await, from.as_bytes());
    }
    let exchange = RenameMode::Exchange;
    fresh.rename(root, b"moved-0", root, b"1-0.txt", exchange).await.unwrap();
    assert_eq!(read(&fresh, "/moved-0").await, b"1-0.txt");
    fresh.unlink(root, b"moved-0").await.unwrap();
    let other = drive(&realm, "doctor").await;
    assert_eq!(other.list_path("/").await.unwrap().len(), 3 * per_drive - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_only_listed_is_forgotten_with_the_listing() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = drive(&realm, "doctor").await;
    let ward = doctor.make_path("/ward").await.unwrap();
    for i in 0..20 {
        doctor.write_path(ward, format!("f{i}").as_bytes(), &b"x"[..]).await.unwrap();
    }
    let other = drive(&realm, "doctor").await;
    let ward = other.resolve("/ward").await.unwrap().ino;
    let handle = other.open_dir(ward).await.unwrap();
    let entries = other.list(handle, 0).await.unwrap();
    // Whoever lists may still ask for what is listed, and refer to it.
    other.tidy().await.unwrap();
    assert!(entries.iter().all(|e| matches!(other.cached_lookup(ward, &e.name), Some(Ok(_)))));
    for entry in &entries[..19] {
        other.forget(entry.attr.ino, 1);
    }
    assert_eq!(other.nodes(), 22, "the root, the ward, and what is listed");
    other.release_dir(handle);
    assert_eq!(other.nodes(), 3, "the root, the ward, and the one that is referred to");
    other.tidy().await.unwrap();
    assert_eq!(other.nodes(), 3, "the ward has somebody in it");
    other.forget(entries[19].attr.ino, 1);
    other.tidy().await.unwrap();
    assert_eq!(other.nodes(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_contains_itself_is_left_out_and_not_entered() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let records = realm.records("doctor").await;
    let itself = Entry { located: realm.root, profile: DIRECTORY_PROFILE, policy: None };
    let put = Edit::Put { name: b"loop".to_vec(), entry: itself };
    records.edit_names(realm.root, &realm.policy, &[put]).await.unwrap().remove(0).unwrap();
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "/note.txt", b"text").await.unwrap();
    assert_eq!(doctor.resolve("/loop").await.unwrap_err().kind(), Kind::Integrity);
    let names: Vec<_> = doctor.list_path("/").await.unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, [b"note.txt"]);
}

// Whoever could add to a folder before its owner closed it still holds a certificate for the old
// policy. With it he commits the folder's head as it was, so that everything written after goes
// out under the old policy again.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_does_not_go_back_to_a_policy_that_was_replaced() {
    let policy = patient_policy();
    let realm = TestRealm::found_with(Bucket::memory(), &policy).await;
    let doctor = drive(&realm, "doctor").await;
    let folder = doctor.make_dir(Ino::ROOT, b"ana", 0o700).await.unwrap();
    let old = doctor.policy_of(folder.ino).unwrap();
    save(&doctor, "/ana/r.txt", b"text").await.unwrap();
    let root = doctor.records().find(realm.root, &realm.policy, b"ana", Duration::ZERO);
    let located = root.await.unwrap().entry.unwrap().located;

    let ana = drive(&realm, "ana").await;
    let hers = ana.resolve("/ana").await.unwrap().ino;
    let closed = policy.replace("pharmacist@board or ", "");
    ana.set_policy(hers, &closed).await.unwrap();

    let insider = realm.records("doctor").await;
    let base = insider.load(located, &old, Duration::ZERO).await.unwrap();
    let back = insider.commit(&base, DIRECTORY_PROFILE, &old, Vec::new(), false).await.unwrap();
    assert!(matches!(back, Committed::Done(_)), "nothing but the readers' memory stops it");
    let options = ViewOptions { attr_ttl: Duration::ZERO, ..ViewOptions::default() };
    let again = View::of(ana.records().clone(), options).await.unwrap();
    let e = again.list_path("/ana").await.unwrap_err();
    assert_eq!(e.kind(), Kind::Integrity);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_the_table_that_names_were_taken_from_once_a_minute() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = drive(&realm, "doctor").await;
    for i in 0..5 {
        save(&doctor, &format!("/{i}.txt"), b"text").await.unwrap();
    }
    let tables = async || {
        let kept = realm.bucket.list(&format!("h/{}/", realm.root.record));
        kept.collect::<Vec<_>>().await.len()
    };
    assert_eq!(tables().await, 0, "adding loses nothing");
    for i in 0..5 {
        doctor.unlink(Ino::ROOT, format!("{i}.txt").as_bytes()).await.unwrap();
    }
    assert_eq!(tables().await, 1, "the table with all five names");
}

// `tar` and `rsync` set a folder's time when they have made what is in it, and compare it later.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_its_time_when_an_empty_file_in_it_is_committed_later() {
    let (realm, _) = with_record().await;
    let doctor = drive(&realm, "doctor").await;
    let folder = doctor.make_dir(Ino::ROOT, b"d", 0o700).await.unwrap().ino;
    let (_, opened) = doctor.create(folder, b"empty", true, 0o600).await.unwrap();
    let mtime = Some(chartfs::view::Time::from_unix_ns(1_234_567_890_000_000_000));
    let set = chartfs::view::SetAttr { mtime, ..Default::default() };
    let before = doctor.set_attr(folder, None, set).await.unwrap();
    doctor.release(opened.handle).await;
    let other = drive(&realm, "doctor").await;
    assert!(other.resolve("/d/empty").await.is_ok(), "it is committed");
    let after = doctor.attr(folder, None).await.unwrap();
    assert_eq!((after.mtime, after.ctime), (before.mtime, before.ctime));
}
