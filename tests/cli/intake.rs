//! `chartfs import` into an inbox.

use std::process::Stdio;

use crate::site::Site;

const POLICY: &str = r#"
[folder]
list = "physician@st-mary or lab@st-mary"
add = "physician@st-mary or lab@st-mary"
remove = "physician@st-mary"
manage = "physician@st-mary"

[default]
read = "physician@st-mary"
write = "physician@st-mary or lab@st-mary"

[[inbox]]
folder = "/inbox"
patients = "/patients"
new = "{id}"
"#;

/// A realm with an inbox, a doctor who files, and a laboratory that only delivers.
fn site() -> (Site, String) {
    let site = Site::founded();
    site.user("doctor", &["physician"]);
    site.user("lab", &["lab"]);
    site.write("policy.toml", POLICY);
    let url = site.url("bucket");
    site.ok(&["policy", "set", "/", "policy.toml", "--realm", &url, "--as-admin", "bucket.admin"]);
    (site, url)
}

fn message(control: u32, number: u32) -> String {
    format!(
        "MSH|^~\\&|HIS|GOOD|X|Y|20240501123000||ORU^R01|{control}|P|2.5\r\
         PID|1||{number}^^^HOSP^MR||Lorimarsh{number}^Avelin||19700203|F\rOBX|1|ST|x||{control}\r"
    )
}

/// Writes a file with many messages of some patients for each of the names.
fn deliver(site: &Site, files: u32, messages: u32) {
    std::fs::create_dir_all(site.path("delivery/more")).unwrap();
    for file in 0..files {
        let texts = (0..messages).map(|i| message(file * messages + i, i % 5));
        let name = if file % 2 == 0 { "delivery" } else { "delivery/more" };
        site.write(&format!("{name}/{file}.hl7"), &texts.collect::<String>());
    }
}

fn filed(site: &Site, url: &str) -> Vec<String> {
    let ls = |path: &str| site.ok(&["ls", url, path, "--credential", "doctor.credential"]);
    let mut all = Vec::new();
    for patient in ls("/patients").lines() {
        let files = ls(&format!("/patients/{patient}"));
        all.extend(files.lines().map(|name| format!("{patient}/{name}")));
    }
    all
}

#[test]
fn records_are_filed_by_patient_once_and_failures_are_kept_with_the_reason() {
    let (site, url) = site();
    deliver(&site, 2, 6);
    site.write("delivery/odd.txt", "what is this");
    let import = ["import", &url, "/inbox", "delivery", "--credential", "doctor.credential"];
    let json: Vec<&str> = import.iter().copied().chain(["--json"]).collect();
    for (created, unchanged) in [(12, 0), (0, 12)] {
        let output = site.command(&json).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let sum: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let counts = (&sum["created"], &sum["unchanged"], &sum["failed"]);
        assert_eq!(counts, (&created.into(), &unchanged.into(), &1.into()));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("/inbox/.failed"), "{said}");
    }
    assert_eq!(filed(&site, &url).len(), 12);
    let cat = |path: &str| site.ok(&["cat", &url, path, "--credential", "doctor.credential"]);
    assert_eq!(cat("/inbox/.failed/odd.txt"), "what is this");
    let reason = cat("/inbox/.failed/odd.txt.reason.txt");
    assert!(reason.starts_with("it is no record that names its patient"), "{reason}");
}

#[test]
fn who_may_only_deliver_leaves_the_files_in_the_inbox() {
    let (site, url) = site();
    deliver(&site, 1, 2);
    let said =
        site.command(&["import", &url, "/inbox", "delivery", "--credential", "lab.credential"]);
    let output = { said }.output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("who may read the inbox"));
    let ls = site.ok(&["ls", &url, "/inbox", "--credential", "doctor.credential"]);
    assert_eq!(ls, "0.hl7\nmore\n");
}

#[test]
fn only_an_inbox_learns_and_only_the_roots_policy_names_one() {
    let (site, url) = site();
    let of =
        |path: &'static str| ["import", &url, path, "--learn", "--credential", "doctor.credential"];
    site.fails(2, &of("/patients"));
    site.ok(&of("/inbox"));
    site.ok(&["import", &url, "/other", "policy.toml", "--credential", "doctor.credential"]);
    let args = [
        "policy",
        "set",
        "/other",
        "policy.toml",
        "--realm",
        &url,
        "--credential",
        "doctor.credential",
    ];
    let said = site.fails(2, &args);
    assert!(said.contains("cannot name an inbox"), "{said}");
}

#[test]
fn an_import_that_is_killed_again_and_again_files_everything_once() {
    let (site, url) = site();
    deliver(&site, 6, 20);
    let import = ["import", &url, "/inbox", "delivery", "--credential", "doctor.credential"];
    let mut kills = 0;
    let mut seen = 0;
    loop {
        let program = assert_cmd::cargo::cargo_bin("chartfs");
        let mut child = std::process::Command::new(program)
            .env_clear()
            .env("HOME", site.home.path())
            .current_dir(site.home.path())
            .args(import)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // As soon as some more is in the bucket.
        let objects = || walk(&site.path("bucket"));
        while child.try_wait().unwrap().is_none() && objects() < seen + 40 {
            std::thread::yield_now();
        }
        if child.try_wait().unwrap().is_some() {
            assert!(child.wait().unwrap().success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        (kills, seen) = (kills + 1, objects());
    }
    assert!(kills > 0, "it was never killed");
    let all = filed(&site, &url);
    assert_eq!(all.len(), 120, "after {kills} kills: {all:?}");
    for number in 0..5 {
        let own = all.iter().filter(|path| path.starts_with(&format!("{number}/"))).count();
        assert_eq!(own, 24);
    }
    let again = site.json(&[&import[..], &["--json"]].concat());
    assert_eq!((&again["created"], &again["unchanged"]), (&0.into(), &120.into()));
    site.ok(&["check", &url]);
}

/// Counts the objects of a bucket.
fn walk(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let count = |e: std::fs::DirEntry| match e.file_type() {
        Ok(kind) if kind.is_dir() => walk(&e.path()),
        Ok(_) => 1,
        Err(_) => 0,
    };
    entries.filter_map(|e| e.ok().map(count)).sum()
}
