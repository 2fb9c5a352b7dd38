//! Several people mount one bucket at once: the same path says to each what the credential opens.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use chartfs::key::credential::{Credential, Request};
use chartfs::view::{Ino, View, ViewOptions};

use crate::drive::support::TestRealm;
use crate::drive::view::{self, RUNTIME};
use crate::drive::{HUNG, Mounted, errno, has, on_thread, options, shell};
use crate::people::{bundle, file, mount, policy, realm, realm_in_directory, seen};

#[test]
fn one_path_says_to_each_what_the_credential_opens() {
    let realm = realm();
    if !has("jq") {
        return;
    }
    let people = ["doctor", "pharmacist", "psychiatrist", "ana"];
    let Some(mounts) =
        people.into_iter().map(|p| mount(&realm, p)).collect::<Option<Vec<Mounted>>>()
    else {
        return;
    };
    let kinds: Vec<BTreeSet<String>> = mounts
        .iter()
        .map(|m| {
            let size = fs::metadata(m.path("record.json")).unwrap().len();
            assert_eq!(fs::read(m.path("record.json")).unwrap().len() as u64, size);
            let query = r#"jq -r '.entry[].resource.resourceType' "$M/record.json""#;
            shell(m, query).lines().map(str::to_owned).collect()
        })
        .collect();
    let [doctor, pharmacist, psychiatrist, ana] = kinds.try_into().unwrap();
    assert!(doctor.contains("Claim") && doctor.contains("MedicationRequest"));
    assert!(pharmacist.contains("MedicationRequest"), "{pharmacist:?}");
    assert!(!pharmacist.contains("Claim") && !pharmacist.contains("Observation"));
    assert!(!psychiatrist.contains("MedicationRequest"), "{psychiatrist:?}");
    assert!(ana.is_superset(&doctor) && ana.is_superset(&pharmacist));
    assert_eq!(fs::read(mounts[3].path("record.json")).unwrap(), bundle());
    let texts: BTreeSet<Vec<u8>> =
        mounts.iter().map(|m| fs::read(m.path("record.json")).unwrap()).collect();
    assert_eq!(texts.len(), 4, "everybody sees another file");
}

#[test]
fn attributes_of_files_tell_what_is_shown_and_no_more() {
    let realm = realm();
    if !has("getfattr") {
        return;
    }
    let Some(doctor) = mount(&realm, "doctor") else { return };
    let Some(pharmacist) = mount(&realm, "pharmacist") else { return };
    let sections = |m: &Mounted| -> BTreeSet<String> {
        let ask =
            r#"getfattr --absolute-names --only-values -n user.chartfs.sections "$M/record.json""#;
        shell(m, ask).split(',').map(str::to_owned).collect()
    };
    let (all, some) = (sections(&doctor), sections(&pharmacist));
    assert!(all.contains("labs") && all.contains("medications"), "{all:?}");
    assert!(some.contains("medications") && !some.contains("labs"), "{some:?}");
    let names = shell(
        &pharmacist,
        r#"getfattr --absolute-names --only-values -n user.chartfs.attributes "$M/record.json""#,
    );
    assert!(names.contains("user.chartfs.policy.medications"), "{names}");
    assert!(names.contains("user.chartfs.version") && names.contains("user.chartfs.writer"));
    assert!(!names.contains("hiv") && !names.contains("mental-health"), "{names}");
    let none =
        r#"getfattr --absolute-names -n user.chartfs.policy.hiv "$M/record.json" 2>&1 || true"#;
    assert!(shell(&pharmacist, none).contains("No such attribute"));
}

#[test]
fn times_and_modes_are_kept_through_a_partial_view() {
    let realm = realm();
    let Some(m) = mount(&realm, "pharmacist") else { return };
    let work = tempfile::tempdir().unwrap();
    let script = format!(
        r#"W={}; cp -p "$M/record.json" "$W/copy"; chmod 640 "$W/copy"
           sed -i 's/"active"/"stopped"/' "$W/copy"; touch -d @1234567890.25 "$W/copy"
           cp -p "$W/copy" "$M/record.json"; cmp "$W/copy" "$M/record.json""#,
        work.path().display()
    );
    shell(&m, &script);
    let kept = |mode| {
        let metadata = fs::metadata(m.path("record.json")).unwrap();
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_234_567_890, 250_000_000));
        assert_eq!(metadata.mode() & 0o777, mode);
    };
    kept(0o640);
    if has("rsync") {
        let again = format!(r#"rsync -ai "{}/copy" "$M/record.json""#, work.path().display());
        assert_eq!(shell(&m, &again), "");
        kept(0o640);
    }
    shell(&m, r#"chown "$(id -u):$(id -g)" "$M/record.json""#);
    assert!(seen(&realm, "ana", "record.json").unwrap().contains("\"stopped\""));
}

/// What the log said since the first call; one subscriber serves all tests of the process.
static LOG: LazyLock<Arc<Mutex<Vec<u8>>>> = LazyLock::new(|| {
    let log: Arc<Mutex<Vec<u8>>> = Arc::default();
    let writer = Arc::clone(&log);
    let make = move || Log(Arc::clone(&writer));
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(make).init();
    log
});

struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn objects_of(dir: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.path().to_string_lossy().contains(name) {
                found.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn a_tampered_object_is_an_error_and_an_alert_and_nothing_else_is_touched() {
    let log = Arc::clone(&LOG);
    let dir = tempfile::tempdir().unwrap();
    let realm = realm_in_directory(dir.path());
    file(&realm, "doctor", "other.txt", b"untouched");
    let drive = view::of_user(&realm, "doctor", ViewOptions::default());
    let located = drive.located("record.json");
    let objects = objects_of(dir.path(), &located.record.to_string());
    let [object] = objects.as_slice() else { panic!("{objects:?}") };
    let sound = fs::read(object).unwrap();
    for at in [sound.len() / 3, sound.len() - 100] {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        fs::write(object, bytes).unwrap();
        log.lock().unwrap().clear();
        let Some(m) = mount(&realm, "doctor") else { return };
        assert_eq!(errno(fs::read(m.path("record.json"))), libc::EBADMSG);
        assert_eq!(errno(fs::metadata(m.path("record.json"))), libc::EBADMSG);
        assert_eq!(errno(fs::write(m.path("record.json"), "x")), libc::EBADMSG);
        let names: BTreeSet<_> =
            fs::read_dir(m.point()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "a damaged file has its name: {names:?}");
        assert_eq!(fs::read(m.path("other.txt")).unwrap(), b"untouched");
        fs::write(m.path("other.txt"), "untouched").unwrap();
        let said = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        assert!(said.contains("ALERT"), "{said}");
        assert!(!said.contains("record.json"), "a log has no names of files: {said}");
    }
    fs::remove_file(object).unwrap();
    let Some(m) = mount(&realm, "doctor") else { return };
    assert_eq!(errno(fs::read(m.path("record.json"))), libc::EBADMSG, "named, so not absent");
    fs::write(object, sound).unwrap();
    assert_eq!(fs::read(m.path("other.txt")).unwrap(), b"untouched");
}

#[test]
fn an_expired_credential_is_told_apart_from_a_closed_door() {
    let realm = realm();
    let records = RUNTIME.block_on(async {
        let realm_now = realm.records("doctor").await;
        let mut credential = Credential::new("pharmacist", realm.genesis);
        let request = Request::parse(&credential.request()).unwrap();
        let now = chartfs::clock::now_unix_s();
        for (authority, name, until) in
            [("board", "pharmacist", now - 10), ("north", "psychiatrist", now + 1000)]
        {
            let keys = &realm.authorities[&authority.parse().unwrap()];
            let names = [name.parse().unwrap()];
            let line =
                realm_now.realm().issue(keys, &request, &names, now - 1000, until).await.unwrap();
            let grant = credential.open_grant(&line).unwrap();
            credential.add_grant(grant);
        }
        realm.records_of(credential).await
    });
    let view = RUNTIME.block_on(View::of(records, ViewOptions::default())).unwrap();
    let drive = view::of_user(&realm, "ana", ViewOptions::default());
    let Some(m) = Mounted::with(view::Drive { view, ..drive }, options()) else { return };
    assert_eq!(errno(fs::read(m.path("record.json"))), libc::EKEYEXPIRED);
    assert_eq!(errno(fs::write(m.path("new.txt"), "x")), libc::EKEYEXPIRED);
}

#[test]
fn decapsulations_grow_with_clauses_and_authors_not_with_records() {
    let realm = realm();
    let count = if std::env::var_os("CHARTFS_LONG").is_some() { 10_000 } else { 300 };
    let fill = |from: u32, to: u32| {
        let doctor = view::of_user(&realm, "doctor", ViewOptions::default()).view;
        RUNTIME.block_on(async {
            for i in from..to {
                let folder = doctor.make_path(&format!("ward-{}", i % 5)).await.unwrap();
                let text = format!(r#"{{"medications": ["m{i}"], "labs": [{i}]}}"#);
                let name = format!("r{i}.json");
                doctor.write_path(folder, name.as_bytes(), text.as_bytes()).await.unwrap();
            }
        });
    };
    let listed = || -> Option<u64> {
        let m = mount(&realm, "pharmacist")?;
        let lines = shell(&m, r#"ls -lR "$M" | grep -c 'r[0-9]*.json$'"#);
        assert!(lines.trim().parse::<u32>().unwrap() >= 20, "{lines}");
        let text = fs::read_to_string(m.path("ward-0/r0.json")).unwrap();
        assert_eq!(text, r#"{"medications": ["m0"]}"#);
        Some(m.drive.view.records().keyring().decapsulations())
    };
    fill(0, 20);
    let Some(few) = listed() else { return };
    fill(20, count);
    let many = listed().unwrap();
    assert!(few > 0, "the pharmacist opened something");
    // A second session of the same doctor makes capsules of its own: one more author.
    assert!(many <= 2 * few, "{many} decapsulations for {count} records, {few} for 20");
}

#[test]
fn new_files_of_one_user_are_seen_by_the_other() {
    let realm = realm();
    let ttl = Duration::from_millis(100);
    let short = ViewOptions { attr_ttl: ttl, ..ViewOptions::default() };
    let mount_with = |user| {
        let options = chartfs::daemon::MountOptions { attr_ttl: ttl, ..options() };
        Mounted::with(view::of_user(&realm, user, short), options)
    };
    let Some(doctor) = mount_with("doctor") else { return };
    let Some(pharmacist) = mount_with("pharmacist") else { return };
    assert_eq!(errno(fs::metadata(pharmacist.path("new.json"))), libc::ENOENT);
    fs::write(doctor.path("new.json"), r#"{"medications": [1], "labs": [2]}"#).unwrap();
    fs::write(pharmacist.path("theirs.txt"), "x").unwrap();
    let (new, theirs) = (pharmacist.path("new.json"), doctor.path("theirs.txt"));
    let seen = on_thread(move || {
        while fs::metadata(&new).is_err() || fs::metadata(&theirs).is_err() {
            std::thread::yield_now();
        }
        fs::read_to_string(&new).unwrap()
    });
    assert_eq!(seen.recv_timeout(HUNG).unwrap(), r#"{"medications": [1]}"#);
    // A change of an existing one, too.
    fs::write(doctor.path("new.json"), r#"{"medications": [1, 22], "labs": [2]}"#).unwrap();
    let path = pharmacist.path("new.json");
    let changed = on_thread(move || {
        while fs::read_to_string(&path).unwrap() != r#"{"medications": [1, 22]}"# {
            std::thread::yield_now();
        }
    });
    changed.recv_timeout(HUNG).unwrap();
}

#[test]
fn a_name_that_is_closed_to_the_user_as_a_whole_is_not_there_for_him() {
    let closed = policy().replace(
        "[section.documents]\nread = \"physician@st-mary or pharmacist@board or owner@ana\"\nwrite = \"physician@st-mary or pharmacist@board\"",
        "[section.documents]\nread = \"physician@st-mary\"\nwrite = \"physician@st-mary\"",
    );
    assert_ne!(closed, policy());
    let bucket = chartfs::store::Bucket::memory();
    let realm = Arc::new(RUNTIME.block_on(TestRealm::found_with(bucket, &closed)));
    file(&realm, "doctor", "scan.pdf", b"%PDF-1.4 pages");
    let Some(m) = mount(&realm, "pharmacist") else { return };
    assert_eq!(fs::read_dir(m.point()).unwrap().count(), 0);
    assert_eq!(errno(fs::metadata(m.path("scan.pdf"))), libc::ENOENT);
    // The name is taken all the same, and what stands there is not lost.
    fs::write(m.path("scan.pdf"), "mine").unwrap_err();
    let doctor = view::of_user(&realm, "doctor", ViewOptions::default()).view;
    assert_eq!(view::read(&doctor, "scan.pdf").unwrap(), b"%PDF-1.4 pages");
    assert_eq!(RUNTIME.block_on(doctor.attr(Ino::ROOT, None)).unwrap().ino, Ino::ROOT);
}

#[test]
fn ranges_of_a_long_file_are_read_and_written_right() {
    let realm = realm();
    let Some(m) = mount(&realm, "doctor") else { return };
    let text: Vec<u8> =
        (0..9_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(m.path("scan.bin"), &text).unwrap();
    let Some(other) = mount(&realm, "doctor") else { return };
    let file = fs::OpenOptions::new().read(true).write(true).open(other.path("scan.bin")).unwrap();
    for at in [8_999_990usize, 0, 4_500_000, 131_071, 65_535, 7_000_001, 123] {
        let mut part = vec![0; 70_000.min(text.len() - at)];
        file.read_exact_at(&mut part, at as u64).unwrap();
        assert!(part == text[at..at + part.len()], "other bytes at {at}");
    }
    file.write_all_at(b"changed", 5_000_000).unwrap();
    file.sync_all().unwrap();
    drop(file);
    let mut wanted = text;
    wanted[5_000_000..5_000_007].copy_from_slice(b"changed");
    let now = view::of_user(&realm, "doctor", ViewOptions::default()).view;
    assert!(view::read(&now, "scan.bin").unwrap() == wanted);
}
