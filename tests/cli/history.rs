//! What was there before, by commands: versions, removed names, rejected texts.

use crate::site::{POLICY, Site};

/// A drive with a doctor, who may do everything, and a nurse, who may read all and write
/// medications.
fn drive() -> (Site, String) {
    let site = Site::founded();
    site.user("doctor", &["physician", "staff"]);
    site.user("nurse", &["nurse"]);
    let policy = POLICY
        .replace("staff@north", "staff@st-mary")
        .replace("list = \"", "list = \"nurse@st-mary or ")
        + "\n[section.medications]\nread = \"physician@st-mary or nurse@st-mary\"\n\
         write = \"physician@st-mary or nurse@st-mary\"\n";
    site.write("policy.toml", &policy);
    let url = site.url("bucket");
    site.ok(&["policy", "set", "/", "policy.toml", "--realm", &url, "--as-admin", "bucket.admin"]);
    (site, url)
}

const DOCTOR: [&str; 2] = ["--credential", "doctor.credential"];
const NURSE: [&str; 2] = ["--credential", "nurse.credential"];

fn with<'a>(args: &[&'a str], who: [&'a str; 2]) -> Vec<&'a str> {
    args.iter().copied().chain(who).collect()
}

fn put(site: &Site, url: &str, path: &str, text: &str) {
    site.write("text", text);
    site.ok(&with(&["put", url, "text", path], DOCTOR));
}

fn is_utc(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00Z"
}

#[test]
fn versions_are_listed_and_brought_back() {
    let (site, url) = drive();
    let texts = [1, 2, 3].map(|i| format!(r#"{{"medications": ["m"], "labs": [{i}]}}"#));
    for text in &texts {
        put(&site, &url, "/r.json", text);
    }
    let history = site.json(&with(&["history", &url, "/r.json", "--json"], DOCTOR));
    let numbers: Vec<u64> =
        history.as_array().unwrap().iter().map(|v| v["version"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!(history[0]["sections"], serde_json::json!(["labs"]));
    assert!(is_utc(history[0]["time"].as_str().unwrap()));
    assert_eq!(history[0]["writer"].as_str().unwrap().len(), 64);
    assert_eq!(history[0]["size_bytes"], texts[0].len());
    let nurse = site.json(&with(&["history", &url, "/r.json", "--json"], NURSE));
    assert_eq!(nurse.as_array().unwrap().len(), 1, "the labs are closed to the nurse");
    let table = site.ok(&with(&["history", &url, "/r.json"], DOCTOR));
    assert!(table.starts_with("VERSION") && table.lines().count() == 4, "{table}");

    let cat = |path: &str| site.ok(&with(&["cat", &url, path], DOCTOR));
    site.ok(&with(&["restore", &url, "/r.json", "--version", "1", "--as", "one.json"], DOCTOR));
    assert_eq!((cat("/one.json"), cat("/r.json")), (texts[0].clone(), texts[2].clone()));
    site.ok(&with(&["restore", &url, "/r.json"], DOCTOR));
    assert_eq!(cat("/r.json"), texts[1]);
    site.fails(10, &with(&["restore", &url, "/r.json", "--version", "9"], DOCTOR));
    site.fails(11, &with(&["restore", &url, "/r.json", "--as", "one.json"], DOCTOR));
    site.fails(10, &with(&["history", &url, "/none"], DOCTOR));
}

#[test]
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
fn removed_names_are_listed_and_brought_back() {
    if let Err(e) = std::fs::File::options().read(true).write(true).open("/dev/fuse") {
        println!("SKIPPED: /dev/fuse cannot be opened: {e}");
        return;
    }
    let (site, url) = drive();
    put(&site, &url, "/kept.txt", "kept");
    let mounted = Mounted::new(&site, &url, DOCTOR);
    for text in ["one", "two"] {
        std::fs::write(site.path("mnt/brief.txt"), text).unwrap();
        std::fs::remove_file(site.path("mnt/brief.txt")).unwrap();
    }
    drop(mounted);
    let removed = site.json(&with(&["history", &url, "/", "--removed", "--json"], DOCTOR));
    let removed = removed.as_array().unwrap();
    assert_eq!(removed.len(), 2);
    assert!(removed.iter().all(|r| r["name"] == "brief.txt" && r["kind"] == "file"));
    assert!(is_utc(removed[0]["removed"].as_str().unwrap()));
    assert_eq!(removed[0]["by"].as_str().unwrap().len(), 64);
    let said = site.fails(12, &with(&["restore", &url, "/brief.txt"], NURSE));
    assert!(said.contains("may not add"), "{said}");
    site.ok(&with(&["restore", &url, "/brief.txt"], DOCTOR));
    assert_eq!(site.ok(&with(&["cat", &url, "/brief.txt"], DOCTOR)), "two");
    let id = removed[1]["id"].as_str().unwrap();
    site.fails(11, &with(&["restore", &url, "/brief.txt", "--id", id], DOCTOR));
    site.ok(&with(&["restore", &url, "/brief.txt", "--id", id, "--as", "b.txt"], DOCTOR));
    assert_eq!(site.ok(&with(&["cat", &url, "/b.txt"], DOCTOR)), "one");
    site.fails(2, &with(&["restore", &url, "/x", "--id", "zz"], DOCTOR));
    site.fails(10, &with(&["restore", &url, "/never.txt"], DOCTOR));
    assert_eq!(site.json(&["check", &url, "--json"])["ok"], true);
}

/// A mount at `mnt`, taken off when the test is done with it.
struct Mounted<'a>(&'a Site);

impl<'a> Mounted<'a> {
    fn new(site: &'a Site, url: &str, who: [&str; 2]) -> Self {
        std::fs::create_dir_all(site.path("mnt")).unwrap();
        site.ok(&with(&["mount", url, "mnt"], who));
        Self(site)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        if !self.0.command(&["umount", "mnt"]).output().unwrap().status.success() {
            let _ = self.0.command(&["umount", "--lazy", "mnt"]).output();
        }
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
fn rejected_texts_are_listed_shown_and_dropped_beside_a_mount_and_without() {
    if let Err(e) = std::fs::File::options().read(true).write(true).open("/dev/fuse") {
        println!("SKIPPED: /dev/fuse cannot be opened: {e}");
        return;
    }
    let (site, url) = drive();
    put(&site, &url, "/r.json", r#"{"medications": ["m"], "labs": [1]}"#);
    let list = || site.json(&with(&["rejected", "list", "--json"], NURSE));
    assert_eq!(list(), serde_json::json!([]));
    let mounted = Mounted::new(&site, &url, NURSE);
    let texts = [2, 3].map(|i| format!(r#"{{"medications": ["m"], "labs": [{i}]}}"#));
    for text in &texts {
        // `write` does not look at what `close` says, as most programs.
        std::fs::write(site.path("mnt/r.json"), text).unwrap();
    }
    let beside = list();
    assert_eq!(beside.as_array().unwrap().len(), 2, "while the mount runs");
    drop(mounted);
    assert_eq!(list(), beside, "and after it");
    let cat = ["cat", &url, "/r.json"];
    assert_eq!(site.ok(&with(&cat, NURSE)), r#"{"medications": ["m"]}"#, "the last good version");
    assert_eq!(beside[0]["path"], "/r.json");
    assert_eq!(beside[0]["size_bytes"], texts[0].len());
    assert!(is_utc(beside[0]["time"].as_str().unwrap()));
    assert!(beside[0]["reason"].as_str().unwrap().contains("labs"));
    let id = |i: usize| beside[i]["id"].as_str().unwrap();
    for (i, text) in texts.iter().enumerate() {
        assert_eq!(&site.ok(&with(&["rejected", "show", id(i)], NURSE)), text);
    }
    let table = site.ok(&with(&["rejected", "list"], NURSE));
    assert!(table.starts_with("ID") && table.lines().count() == 3, "{table}");
    // They are the nurse's alone, and sealed.
    assert_eq!(site.json(&with(&["rejected", "list", "--json"], DOCTOR)), serde_json::json!([]));
    site.fails(10, &with(&["rejected", "show", id(0)], DOCTOR));
    site.ok(&with(&["rejected", "drop", id(0)], NURSE));
    site.fails(10, &with(&["rejected", "drop", id(0)], NURSE));
    assert_eq!(list().as_array().unwrap().len(), 1);
    site.fails(2, &with(&["rejected", "drop"], NURSE));
    site.ok(&with(&["rejected", "drop", "--all"], NURSE));
    assert_eq!(list(), serde_json::json!([]));
}
