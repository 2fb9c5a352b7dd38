//! The ways in which programs save: the pharmacist edits what he sees, with each of them, and what
//! he does not see stays as it was, byte for byte.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use chartfs::view::ViewOptions;

use crate::drive::support::TestRealm;
use crate::drive::{HUNG, Mounted, errno, has, on_thread, save, shell};
use crate::people::{bundle, entries, file, mount, realm, seen};

const PROGRAMS: [(&str, &str, &str); 15] = [
    ("a shell that redirects", "sh", r#"cat "$W/new" > "$M/record.json""#),
    ("cp", "cp", r#"cp "$W/new" "$M/record.json""#),
    ("cp --remove-destination", "cp", r#"cp --remove-destination "$W/new" "$M/record.json""#),
    ("mv from elsewhere", "mv", r#"mv "$W/new" "$M/record.json""#),
    (
        "jq and mv beside it",
        "jq",
        r#"jq --arg b "$B" '(first(.entry[]|select(.resource.status == "'$A'"))|.resource.status) = $b' \
             "$M/record.json" > "$M/tmp" && mv "$M/tmp" "$M/record.json""#,
    ),
    (
        "jq and mv of a local name",
        "jq",
        r#"cp "$W/new" "$M/record.json.tmp" && mv "$M/record.json.tmp" "$M/record.json""#,
    ),
    ("sed -i", "sed", r#"sed -i "0,/\"$A\"/s//\"$B\"/" "$M/record.json""#),
    ("rsync", "rsync", r#"rsync -I "$W/new" "$M/record.json""#),
    ("rsync -a", "rsync", r#"rsync -aI "$W/new" "$M/record.json""#),
    ("rsync -a --inplace", "rsync", r#"rsync -aI --inplace "$W/new" "$M/record.json""#),
    (
        "vim",
        "vim",
        r#"vim -Nu NONE -es -c "0/\"$A\"/s//\"$B\"/" -c wq "$M/record.json" </dev/null >/dev/null"#,
    ),
    (
        "vim with a backup",
        "vim",
        r#"vim -Nu NONE -es -c 'set backup backupcopy=no backupskip=' -c "0/\"$A\"/s//\"$B\"/" -c wq \
             "$M/record.json" </dev/null >/dev/null; rm "$M/record.json~""#,
    ),
    (
        "python in place",
        "python3",
        r#"python3 -c 'import sys
f = open(sys.argv[2], "r+"); f.truncate(); f.write(open(sys.argv[1]).read()); f.close()' \
             "$W/new" "$M/record.json""#,
    ),
    (
        "mv away and make anew",
        "mv",
        r#"mv "$M/record.json" "$M/record.json.bak" && cat "$W/new" > "$M/record.json"
             cmp "$W/old" "$M/record.json.bak"; rm "$M/record.json.bak""#,
    ),
    ("rm and make anew", "rm", r#"rm "$M/record.json" && cat "$W/new" > "$M/record.json""#),
];

/// The first statement of the pharmacist's view whose status is this one, with another status.
fn edited(view: &str, from: &str, to: &str) -> String {
    let new = view.replacen(&format!("\"{from}\""), &format!("\"{to}\""), 1);
    assert_ne!(new, view, "there is nothing to edit");
    new
}

/// Every entry but the edited one is what the owner saw before, in the same order and bytes.
fn check_owner(realm: &Arc<TestRealm>, before: &str, how: &str, from: &str, to: &str) -> String {
    let after = seen(realm, "ana", "record.json").unwrap_or_else(|| panic!("{how}: unreadable"));
    let (old, new) = (entries(before), entries(&after));
    assert_eq!(old.len(), new.len(), "{how}: another number of entries");
    let changed: Vec<_> = old.iter().zip(&new).filter(|(o, n)| o != n).collect();
    assert_eq!(changed.len(), 1, "{how}: {changed:?}");
    let (o, n) = changed[0];
    assert_eq!(&edited(o, from, to), n, "{how}: not the edit");
    after
}

#[test]
fn every_way_of_saving_keeps_what_the_program_does_not_see() {
    let realm = realm();
    let Some(m) = mount(&realm, "pharmacist") else { return };
    let work = tempfile::tempdir().unwrap();
    let mut all = String::from_utf8(bundle()).unwrap();
    assert_eq!(seen(&realm, "ana", "record.json").unwrap(), all);
    let mut from = "active".to_owned();
    for (i, (how, program, script)) in PROGRAMS.into_iter().enumerate() {
        if !has(program) {
            continue;
        }
        let view = fs::read_to_string(m.path("record.json")).unwrap();
        assert!(entries(&view).len() < entries(&all).len() / 2, "the pharmacist sees a part");
        let to = format!("edit-{i}");
        let new = edited(&view, &from, &to);
        fs::write(work.path().join("old"), &view).unwrap();
        fs::write(work.path().join("new"), &new).unwrap();
        let head = format!("W={} A={from} B={to}\n", work.path().display());
        shell(&m, &(head + script));
        all = check_owner(&realm, &all, how, &from, &to);
        assert_eq!(fs::read_to_string(m.path("record.json")).unwrap(), new, "{how}");
        let names: Vec<_> =
            fs::read_dir(m.point()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["record.json"], "{how}");
        from = to;
    }
}

#[test]
fn an_edit_of_a_section_that_may_not_be_written_is_refused_and_the_old_version_stays() {
    let realm = realm();
    let Some(m) = mount(&realm, "pharmacist") else { return };
    let view = fs::read_to_string(m.path("record.json")).unwrap();
    let allergy = r#"{"resource":{"resourceType":"AllergyIntolerance","id":"x"}},"#;
    let at = view.find('[').unwrap() + 1;
    let bad = [&view[..at], allergy, &view[at..]].concat();
    let mut file = fs::OpenOptions::new().write(true).open(m.path("record.json")).unwrap();
    file.write_all(bad.as_bytes()).unwrap();
    assert_eq!(errno(file.sync_all()), libc::EACCES);
    assert_eq!(nix::unistd::close(file), Err(nix::errno::Errno::EACCES));
    assert_eq!(seen(&realm, "ana", "record.json").unwrap().into_bytes(), bundle());
    // The author has his text in a file beside it, on this workstation only, and the record as it
    // is. The kernel lets go of a closed file a moment after `close` returns.
    let rejected = loop {
        let names: Vec<String> = fs::read_dir(m.point())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "record.json")
            .collect();
        if let [name] = names.as_slice() {
            break name.clone();
        }
        assert!(names.is_empty(), "{names:?}");
    };
    assert!(
        rejected.starts_with("record (rejected ") && rejected.ends_with(").json"),
        "{rejected}"
    );
    assert_eq!(fs::read_to_string(m.path(&rejected)).unwrap(), bad);
    assert_eq!(fs::read_to_string(m.path("record.json")).unwrap(), view);
    assert_eq!(m.drive.stored_names().len(), 1);
    // A new file cannot hold such a section either.
    assert_eq!(errno(save(m.path("new.json"), &bad)), libc::EACCES);
    assert!(m.drive.stored("new.json").is_none());
    assert_eq!(seen(&realm, "ana", "record.json").unwrap().into_bytes(), bundle());
}

#[test]
fn a_file_in_which_nothing_may_be_written_is_not_opened_for_writing() {
    let realm = realm();
    let Some(m) = mount(&realm, "ana") else { return };
    let path = m.path("record.json");
    assert_eq!(fs::read(&path).unwrap(), bundle());
    assert_eq!(errno(fs::OpenOptions::new().write(true).open(&path)), libc::EACCES);
    assert_eq!(errno(fs::OpenOptions::new().append(true).open(&path)), libc::EACCES);
    assert_eq!(errno(fs::write(&path, "x")), libc::EACCES);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o400);
    let access = |mode| nix::unistd::access(&path, mode);
    access(nix::unistd::AccessFlags::R_OK).unwrap();
    if !nix::unistd::geteuid().is_root() {
        let denied = access(nix::unistd::AccessFlags::W_OK);
        assert_eq!(denied, Err(nix::errno::Errno::EACCES));
    }
    assert_eq!(errno(fs::write(m.path("new"), "x")), libc::EACCES);
    assert_eq!(errno(fs::remove_file(&path)), libc::EACCES);
    assert_eq!(errno(fs::rename(&path, m.path("other"))), libc::EACCES);
    assert_eq!(fs::read(&path).unwrap(), bundle());
}

#[test]
fn what_is_no_valid_record_comes_back_byte_for_byte() {
    let realm = realm();
    let Some(m) = mount(&realm, "doctor") else { return };
    let files: [(&str, &[u8]); 5] = [
        ("broken.json", b"{\"resourceType\": \"Bundle\", \"entry\": ["),
        ("twice.json", br#"{"medications": ["a"], "medications": ["b"], "labs": []}"#),
        ("inner.json", br#"{"labs": {"x": 1, "x": 2}}"#),
        ("not-utf8.json", b"{\"labs\": \"\xff\"}"),
        ("empty.json", b""),
    ];
    for (name, text) in files {
        fs::write(m.path(name), text).unwrap();
        assert_eq!(fs::read(m.path(name)).unwrap(), text, "{name}");
        let other = crate::drive::view::of_user(&realm, "doctor", ViewOptions::default()).view;
        let stored = loop {
            // An empty file is committed a moment after it was closed.
            if let Some(stored) = crate::drive::view::read(&other, name) {
                break stored;
            }
            std::thread::yield_now();
        };
        assert_eq!(stored, text, "{name}");
    }
    // A record that becomes unreadable stays whole for whoever sees all of it; others keep it.
    let owner = seen(&realm, "ana", "record.json").unwrap();
    let Some(pharmacist) = mount(&realm, "pharmacist") else { return };
    assert_eq!(errno(save(pharmacist.path("record.json"), "{\"oops")), libc::EINVAL);
    assert_eq!(seen(&realm, "ana", "record.json").unwrap(), owner);
}

#[test]
fn two_workstations_that_edit_different_sections_at_once_both_succeed() {
    let realm = realm();
    let plain = r#"{"medications": ["a"], "allergies": ["b"], "labs": ["c"]}"#;
    file(&realm, "doctor", "plain.json", plain.as_bytes());
    let Some(doctor) = mount(&realm, "doctor") else { return };
    let Some(pharmacist) = mount(&realm, "pharmacist") else { return };
    let open = |m: &Mounted| {
        let options = fs::OpenOptions::new().read(true).write(true).to_owned();
        let file = options.open(m.path("plain.json")).unwrap();
        let text = std::io::read_to_string(&file).unwrap();
        (file, text)
    };
    let save = |(mut file, text): (fs::File, String), from: &str, to: &str| {
        use std::io::{Seek, SeekFrom};
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(text.replace(from, to).as_bytes()).unwrap();
        file.sync_all().unwrap();
        nix::unistd::close(file).unwrap();
    };
    let (one, two) = (open(&doctor), open(&pharmacist));
    assert_eq!(one.1, plain);
    assert!(two.1.contains("medications") && !two.1.contains("labs"), "{}", two.1);
    save(one, "\"c\"", "\"C\"");
    save(two, "\"a\"", "\"A\"");
    let all = r#"{"medications": ["A"], "allergies": ["b"], "labs": ["C"]}"#;
    assert_eq!(seen(&realm, "ana", "plain.json").unwrap(), all);
    let names = crate::drive::view::of_user(&realm, "ana", ViewOptions::default()).stored_names();
    assert_eq!(names.len(), 2, "no conflict copy: {names:?}");
}

#[test]
fn a_long_text_of_a_local_name_is_a_record_once_it_is_renamed() {
    let realm = realm();
    let Some(m) = mount(&realm, "doctor") else { return };
    let long = format!(r#"{{"medications": ["{}"], "labs": [1]}}"#, "x".repeat(300_000));
    fs::write(m.path("plain.json.tmp"), &long).unwrap();
    assert_eq!(m.drive.stored_names().len(), 1, "a local name does not reach the bucket");
    fs::rename(m.path("plain.json.tmp"), m.path("plain.json")).unwrap();
    assert_eq!(fs::read_to_string(m.path("plain.json")).unwrap(), long);
    assert_eq!(seen(&realm, "ana", "plain.json").unwrap(), long);
    let part = seen(&realm, "pharmacist", "plain.json").unwrap();
    assert_eq!(part, long.replace(r#", "labs": [1]"#, ""));
}

#[test]
fn an_open_file_shows_what_a_save_was_merged_with() {
    let realm = realm();
    let plain = r#"{"medications": ["a"], "allergies": ["b"], "labs": ["c"]}"#;
    file(&realm, "doctor", "plain.json", plain.as_bytes());
    let Some(one) = mount(&realm, "doctor") else { return };
    let Some(two) = mount(&realm, "doctor") else { return };
    let options = fs::OpenOptions::new().read(true).write(true).to_owned();
    let file = options.open(one.path("plain.json")).unwrap();
    assert_eq!(std::io::read_to_string(&file).unwrap(), plain);
    save(two.path("plain.json"), plain.replace("\"c\"", "\"C\"")).unwrap();
    file.write_all_at(plain.replace("\"a\"", "\"A\"").as_bytes(), 0).unwrap();
    file.sync_all().unwrap();
    let both = plain.replace("\"c\"", "\"C\"").replace("\"a\"", "\"A\"");
    assert_eq!(seen(&realm, "ana", "plain.json").unwrap(), both);
    let shown = on_thread(move || {
        let mut text = vec![0; both.len()];
        while text != both.as_bytes() {
            file.read_exact_at(&mut text, 0).unwrap();
        }
    });
    shown.recv_timeout(HUNG).unwrap();
}
