//! The drive by commands: what one user puts, each sees by the own credential.

use std::path::Path;
use std::process::Command;

use crate::site::{POLICY, Site};

const BUNDLE: &str = r#"{"resourceType":"Bundle","type":"collection","entry":[
 {"resource":{"resourceType":"Patient","name":[{"family":"Invented"}]}},
 {"resource":{"resourceType":"MedicationRequest","status":"active"}}
]}
"#;

/// A drive with a doctor, whom the policy lets do everything, and a nurse, who reads medications.
fn drive() -> (Site, String) {
    let site = Site::founded();
    site.user("doctor", &["physician", "staff"]);
    site.user("nurse", &["nurse"]);
    let policy = POLICY
        .replace("staff@north", "staff@st-mary")
        .replace("list = \"", "list = \"nurse@st-mary or ")
        + "\n[section.medications]\nread = \"physician@st-mary or nurse@st-mary\"\n\
         write = \"physician@st-mary\"\n";
    site.write("policy.toml", &policy);
    let url = site.url("bucket");
    site.ok(&["policy", "set", "/", "policy.toml", "--realm", &url, "--as-admin", "bucket.admin"]);
    (site, url)
}

fn export(site: &Site) {
    std::fs::create_dir_all(site.path("export/ana/old")).unwrap();
    site.write("export/ana/record.json", BUNDLE);
    site.write("export/ana/old/note.txt", "a note\n");
    std::os::unix::fs::symlink("/etc/passwd", site.path("export/link")).unwrap();
}

#[test]
fn an_import_is_seen_by_each_user_as_the_policy_says() {
    let (site, url) = drive();
    export(&site);
    let import = ["import", &url, "/patients", "export", "--credential", "doctor.credential"];
    let json: Vec<&str> = import.iter().copied().chain(["--json"]).collect();
    let first = site.json(&json);
    assert_eq!((&first["created"], &first["skipped"]), (&2.into(), &1.into()));
    let again = site.json(&json);
    assert_eq!((&again["created"], &again["unchanged"]), (&0.into(), &2.into()));

    let cat = |user: &str| {
        let credential = format!("{user}.credential");
        site.ok(&["cat", &url, "/patients/ana/record.json", "--credential", &credential])
    };
    assert_eq!(cat("doctor"), BUNDLE);
    let seen = cat("nurse");
    assert!(seen.contains("MedicationRequest") && !seen.contains("Invented"), "{seen}");
    let size = site.json(&[
        "ls",
        &url,
        "/patients/ana/record.json",
        "--json",
        "--credential",
        "nurse.credential",
    ]);
    assert_eq!(size[0]["size_bytes"], seen.len());

    site.ok(&["get", &url, "/patients", "copy", "--credential", "doctor.credential"]);
    let read = |name: &str| std::fs::read_to_string(site.path(name)).unwrap();
    assert_eq!(read("copy/ana/record.json"), BUNDLE);
    assert_eq!(read("copy/ana/old/note.txt"), "a note\n");
    let list = site.ok(&["ls", &url, "/patients/ana", "--credential", "doctor.credential"]);
    assert_eq!(list, "old\nrecord.json\n");
}

#[test]
fn a_file_is_put_merged_and_refused_by_the_policy() {
    let (site, url) = drive();
    site.write("record.json", BUNDLE);
    let put = |file: &str, to: &str| {
        site.ok(&["put", &url, file, to, "--credential", "doctor.credential"])
    };
    put("record.json", "/a.json");
    put("record.json", "/");
    let ls = site.ok(&["ls", &url, "--credential", "doctor.credential"]);
    assert_eq!(ls, "a.json\nrecord.json\n");
    site.fails(12, &["put", &url, "record.json", "/b.json", "--credential", "nurse.credential"]);
    site.fails(10, &["cat", &url, "/none", "--credential", "doctor.credential"]);
    site.fails(10, &["put", &url, "record.json", "/no/x", "--credential", "doctor.credential"]);
    site.fails(10, &["put", &url, "none", "/x", "--credential", "doctor.credential"]);
    let changed = BUNDLE.replace("active", "stopped");
    let output = site
        .command(&["put", &url, "-", "/a.json", "--credential", "doctor.credential"])
        .write_stdin(changed.clone())
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(site.ok(&["cat", &url, "a.json", "--credential", "doctor.credential"]), changed);
}

#[test]
fn a_credential_of_another_realm_opens_no_drive() {
    let (site, url) = drive();
    site.found("other");
    let other = site.url("other");
    let said = site.fails(12, &["ls", &other, "--credential", "doctor.credential"]);
    assert!(said.contains("another realm"), "{said}");
    site.user("stranger", &["cleaner"]);
    site.fails(12, &["ls", &url, "--credential", "stranger.credential"]);
}

#[test]
fn a_root_policy_that_is_replaced_keeps_what_was_written_under_the_first() {
    let (site, url) = drive();
    export(&site);
    site.ok(&["import", &url, "/", "export", "--credential", "doctor.credential"]);
    let text = std::fs::read_to_string(site.path("policy.toml")).unwrap();
    site.write("policy.toml", &format!("{text}\n[section.billing]\nread = \"billing@st-mary or physician@st-mary\"\nwrite = \"billing@st-mary\"\n"));
    site.ok(&["policy", "set", "/", "policy.toml", "--realm", &url, "--as-admin", "bucket.admin"]);
    let cat = ["cat", &url, "ana/record.json", "--credential", "doctor.credential"];
    assert_eq!(site.ok(&cat), BUNDLE);
}

// An administrator opens no record, so somebody who does wraps them again for new readers.
#[test]
fn a_root_policy_that_is_replaced_lets_new_readers_in_once_records_are_wrapped_again() {
    let (site, url) = drive();
    export(&site);
    site.ok(&["import", &url, "/", "export", "--credential", "doctor.credential"]);
    site.user("billing", &["billing"]);
    let text = std::fs::read_to_string(site.path("policy.toml")).unwrap();
    let wider = text.replace("list = \"", "list = \"billing@st-mary or ")
        + "\n[section.documents]\nread = \"physician@st-mary or billing@st-mary\"\n\
           write = \"physician@st-mary\"\n";
    site.write("policy.toml", &wider);
    let set = ["policy", "set", "/", "policy.toml", "--realm", &url, "--as-admin", "bucket.admin"];
    site.ok(&set);
    let cat = ["cat", &url, "ana/old/note.txt", "--credential", "billing.credential"];
    site.fails(12, &cat);
    let with: Vec<&str> = set.into_iter().chain(["--credential", "doctor.credential"]).collect();
    let said = site.ok(&with);
    assert!(said.contains("2 records wrapped again, 0 left"), "{said}");
    assert_eq!(site.ok(&cat), "a note\n");
    // Who opens nothing wraps nothing.
    site.user("stranger", &["cleaner"]);
    let with: Vec<&str> = set.into_iter().chain(["--credential", "stranger.credential"]).collect();
    site.fails(12, &with);
}

#[test]
fn a_folder_gets_its_policy_from_who_manages_it_and_the_root_from_an_administrator() {
    let (site, url) = drive();
    export(&site);
    site.ok(&["import", &url, "/", "export", "--credential", "doctor.credential"]);
    let text = std::fs::read_to_string(site.path("policy.toml")).unwrap();
    site.write("own.toml", &text.replace("list = \"nurse@st-mary or ", "list = \""));
    let set = |path: &'static str, who: [&'static str; 2]| {
        let base = ["policy", "set", path, "own.toml", "--realm"];
        base.into_iter().chain([url.as_str()]).chain(who).map(str::to_owned).collect::<Vec<_>>()
    };
    let refuse = |status: i32, args: Vec<String>| {
        site.fails(status, &args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    refuse(12, set("/ana", ["--credential", "nurse.credential"]));
    refuse(2, set("/", ["--credential", "doctor.credential"]));
    refuse(2, set("/ana", ["--as-admin", "bucket.admin"]));
    refuse(20, set("/ana/record.json", ["--credential", "doctor.credential"]));
    let cat = ["cat", &url, "ana/record.json", "--credential", "nurse.credential"];
    site.ok(&cat);
    let args = set("/ana", ["--credential", "doctor.credential"]);
    site.ok(&args.iter().map(String::as_str).collect::<Vec<_>>());
    site.fails(12, &cat);
}

#[test]
fn a_check_needs_no_key_and_finds_what_was_changed() {
    let (site, url) = drive();
    export(&site);
    site.ok(&["import", &url, "/", "export", "--credential", "doctor.credential"]);
    let report = site.json(&["check", &url, "--json"]);
    assert_eq!(report["ok"], true);
    assert!(report["objects"]["record"].as_u64().unwrap() >= 3);
    let object = some_file(&site.path("bucket/c"));
    let mut bytes = std::fs::read(&object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&object, bytes).unwrap();
    let output = site.command(&["check", &url]).output().unwrap();
    assert_eq!(output.status.code(), Some(15));
    assert!(String::from_utf8_lossy(&output.stdout).contains("damaged: c/"));
}

fn some_file(folder: &Path) -> std::path::PathBuf {
    let entry = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    if entry.path().is_dir() { some_file(&entry.path()) } else { entry.path() }
}

#[test]
fn a_mount_point_that_cannot_be_used_is_refused_before_anything_is_asked() {
    let (site, url) = drive();
    export(&site);
    let mount = |dir: &str, more: &[&str]| {
        let mut args = vec!["mount", &url, dir, "--credential", "doctor.credential"];
        args.extend(more);
        let output = site.command(&args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), said)
    };
    // Without /dev/fuse the answer is that this machine cannot mount.
    let (status, said) = mount("export", &[]);
    assert!(said.contains("not empty") && status == 19 || status == 16, "{said}");
    let (status, said) = mount("none", &[]);
    assert!(said.contains("does not exist") && status == 19 || status == 16, "{said}");
    let (status, said) = mount("export", &["-o", "rw,allow_other"]);
    assert!(status == 2 && said.contains("own credential"), "{said}");
    let (status, _) = mount("export", &["-o", "frobnicate"]);
    assert_eq!(status, 2);
    site.fails(19, &["umount", "export"]);
}

/// Takes the drive off when a test ends early.
struct Mounted<'a>(&'a Site);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = self.0.command(&["umount", "--lazy", "mnt"]).output();
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
fn a_drive_is_mounted_in_the_background_and_taken_off() {
    if let Err(e) = std::fs::File::options().read(true).write(true).open("/dev/fuse") {
        println!("SKIPPED: /dev/fuse cannot be opened: {e}");
        return;
    }
    let (site, url) = drive();
    export(&site);
    site.ok(&["import", &url, "/", "export", "--credential", "doctor.credential"]);
    std::fs::create_dir(site.path("mnt")).unwrap();
    let mounted = Mounted(&site);
    site.ok(&["mount", &url, "mnt", "--credential", "doctor.credential"]);
    let read = std::fs::read_to_string(site.path("mnt/ana/record.json")).unwrap();
    assert_eq!(read, BUNDLE);
    std::fs::write(site.path("mnt/ana/new.txt"), "new\n").unwrap();
    // Commands work beside the mount.
    let cat = ["cat", &url, "ana/new.txt", "--credential", "doctor.credential"];
    assert_eq!(site.ok(&cat), "new\n");
    let again = site.fails(19, &["mount", &url, "mnt", "--credential", "doctor.credential"]);
    assert!(again.contains("already"), "{again}");
    let fs_type = Command::new("findmnt").args(["-no", "FSTYPE"]).arg(site.path("mnt")).output();
    if let Ok(found) = fs_type {
        assert_eq!(String::from_utf8_lossy(&found.stdout).trim(), "fuse.chartfs");
    }
    site.ok(&["umount", "mnt"]);
    assert_eq!(std::fs::read_dir(site.path("mnt")).unwrap().count(), 0);
    site.ok(&["mount", &url, "mnt", "--read-only", "--credential", "doctor.credential"]);
    assert!(std::fs::write(site.path("mnt/ana/x"), "x").is_err());
    site.ok(&["umount", "mnt"]);
    drop(mounted);
}

/// Says whether this machine can mount, and prints why a test is skipped when not.
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
fn can_mount() -> bool {
    let opened = std::fs::File::options().read(true).write(true).open("/dev/fuse");
    if let Err(e) = &opened {
        println!("SKIPPED: /dev/fuse cannot be opened: {e}");
    }
    opened.is_ok()
}

#[test]
fn a_mount_with_a_journal_says_how_it_does_and_leaves_nothing_behind() {
    if !can_mount() {
        return;
    }
    let (site, url) = drive();
    std::fs::create_dir(site.path("mnt")).unwrap();
    let mounted = Mounted(&site);
    let mount = ["mount", &url, "mnt", "-o", "commit=journal", "--credential", "doctor.credential"];
    site.ok(&mount);
    for i in 0..20 {
        std::fs::write(site.path("mnt").join(format!("{i}.txt")), format!("text {i}\n")).unwrap();
    }
    let status = site.json(&["status", "mnt", "--json"]);
    assert_eq!((&status[0]["commit"], &status[0]["online"]), (&"journal".into(), &true.into()));
    assert_eq!(status[0]["conflicts"], 0);
    let table = site.ok(&["status", "mnt"]);
    assert!(table.contains("online") && table.contains("journal"), "{table}");
    site.ok(&["umount", "mnt"]);
    // The daemon has ended, and the bucket has everything.
    let listed = site.ok(&["ls", &url, "/", "--credential", "doctor.credential"]);
    assert_eq!(listed.lines().count(), 20, "{listed}");
    let cat = site.ok(&["cat", &url, "/19.txt", "--credential", "doctor.credential"]);
    assert_eq!(cat, "text 19\n");
    site.fails(19, &["status", "mnt"]);
    drop(mounted);
}

/// A small file system in memory, for as long as the test needs it.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    /// Mounts one of so many MiB; `None`, after saying so, where only root may.
    #[allow(clippy::print_stdout, reason = "a skipped test says so")]
    fn new(path: std::path::PathBuf, mib: u32) -> Option<Self> {
        std::fs::create_dir(&path).unwrap();
        let size = format!("size={mib}m");
        let mut mount = Command::new("mount");
        let done = mount.args(["-t", "tmpfs", "-o", &size, "none"]).arg(&path).output().unwrap();
        if !done.status.success() {
            println!("SKIPPED: a small disk cannot be mounted: only root may");
            return None;
        }
        Some(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_under_a_long_draft_is_enospc_and_loses_nothing() {
    if !can_mount() {
        return;
    }
    let (site, url) = drive();
    let Some(disk) = SmallDisk::new(site.path("small"), 48) else { return };
    std::fs::create_dir(site.path("mnt")).unwrap();
    let mounted = Mounted(&site);
    let mount = ["mount", &url, "mnt", "--credential", "doctor.credential"];
    let output = site.command(&mount).env("TMPDIR", &disk.0).output().unwrap();
    crate::site::succeeds(&output, &mount);
    let (path, other) = (site.path("mnt/scan.bin"), site.path("mnt/note.txt"));
    std::fs::write(&path, "the old version").unwrap();
    // A draft of this length is on the disk, which holds less.
    let piece = vec![7; 1 << 20];
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&path)?;
        for _ in 0..100 {
            std::io::Write::write_all(&mut file, &piece)?;
        }
        file.sync_all()
    };
    let error = write().expect_err("the disk is full");
    assert_eq!(error.raw_os_error(), Some(nix::errno::Errno::ENOSPC as i32), "{error}");
    std::fs::write(&other, "others go on").unwrap();
    drop(mounted);
    let stored = site.ok(&["cat", &url, "/note.txt", "--credential", "doctor.credential"]);
    assert_eq!(stored, "others go on");
    let list = site.ok(&["ls", &url, "/", "--credential", "doctor.credential"]);
    assert!(list.contains("scan.bin"), "{list}");
}

/// As when the disk that the log is on is full.
#[test]
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
fn a_log_that_cannot_be_written_does_not_end_a_mount() {
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else {
        println!("SKIPPED: there is no /dev/full");
        return;
    };
    if let Err(e) = std::fs::File::options().read(true).write(true).open("/dev/fuse") {
        println!("SKIPPED: /dev/fuse cannot be opened: {e}");
        return;
    }
    let (site, url) = drive();
    export(&site);
    site.ok(&["import", &url, "/", "export", "--credential", "doctor.credential"]);
    std::fs::create_dir(site.path("mnt")).unwrap();
    let mounted = Mounted(&site);
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_chartfs"))
        .args(["mount", &url, "mnt", "--foreground", "--credential", "doctor.credential"])
        .arg("--state")
        .arg(site.path("state"))
        .env("CHARTFS_LOG", "debug")
        .current_dir(site.path(""))
        .stderr(full)
        .spawn()
        .unwrap();
    let point = site.path("mnt");
    while std::fs::write(point.join("ana/new.txt"), "new\n").is_err() {
        assert_eq!(daemon.try_wait().unwrap(), None, "the daemon ended");
        std::thread::yield_now();
    }
    assert_eq!(std::fs::read_to_string(point.join("ana/new.txt")).unwrap(), "new\n");
    site.ok(&["umount", "mnt"]);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
    drop(mounted);
}
