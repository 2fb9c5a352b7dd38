//! How a well-behaved program answers: help without an environment, secrets kept, pipes closed.

use std::io::Read;
use std::process::Stdio;

use chartfs::key::credential::hex;
use chartfs::key::keyfile::{self, FileKind};

use crate::site::Site;

#[test]
fn help_version_and_completions_work_whatever_the_environment_is_like() {
    let site = Site::new();
    for args in [
        &["--help"][..],
        &["help", "mount-nothing"],
        &["help", "policy"],
        &["policy", "set", "--help"],
        &["--version"],
        &["-vV"],
        &["completions", "bash"],
        &["completions", "fish"],
    ] {
        let mut command = site.command(args);
        command.env_remove("HOME").env("CHARTFS_CONFIG", "/does/not/exist");
        let status = command.output().unwrap().status.code();
        let is_known = !args.contains(&"mount-nothing");
        assert_eq!(status, Some(if is_known { 0 } else { 2 }), "{args:?}");
    }
    let version = site.ok(&["--version"]);
    assert_eq!(version, format!("chartfs {}\n", env!("CARGO_PKG_VERSION")));
    assert!(site.ok(&["-vV"]).lines().count() > 3);
}

#[test]
fn a_wrong_command_line_is_a_usage_error_with_the_way_to_help() {
    let site = Site::new();
    for (args, said) in [
        (&["frobnicate"][..], "frobnicate"),
        (&["policy", "set"], "chartfs policy set --help"),
        (&["init"], "chartfs init --help"),
        (&["matrix", "--jso"], "--json"),
        (&["authority", "list", "--color", "blue"], "auto, always or never"),
        (&["authority", "list"], "--realm BUCKET"),
        (&["credential", "list"], "--credential FILE"),
    ] {
        let text = site.fails(2, args);
        assert!(text.contains(said), "{args:?}: {text}");
    }
    let nothing = site.command(&[]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let site = Site::new();
    let program = assert_cmd::cargo::cargo_bin("chartfs");
    let mut child = std::process::Command::new(program)
        .args(["completions", "bash"])
        .env("HOME", site.home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    assert_eq!(said, "");
}

#[test]
fn no_secret_is_ever_printed() {
    let site = Site::founded();
    let file = site.user("lee", &["physician"]);
    let secret = std::fs::read(site.path(&file)).unwrap();
    let secret = keyfile::open(FileKind::Credential, &secret, None).unwrap();
    let credential = chartfs::key::credential::Credential::from_bytes(&secret).unwrap();
    let seeds =
        [hex(credential.identity.seed().expose()), hex(credential.device.secret().expose())];
    let url = site.url("bucket");
    let mut printed = String::new();
    for args in [
        &["user", "show", &file][..],
        &["user", "show", &file, "--json"],
        &["user", "show", "--request", &file],
        &["credential", "list", "--credential", &file, "--json"],
        &["doctor", "--credential", &file, "--bucket", &url],
    ] {
        let output = site.command(args).env("CHARTFS_LOG", "trace").output().unwrap();
        printed += &String::from_utf8_lossy(&output.stdout);
        printed += &String::from_utf8_lossy(&output.stderr);
    }
    assert!(printed.contains(&hex(&credential.identity.public().0)), "the test looks elsewhere");
    assert!(seeds.iter().all(|seed| !printed.contains(seed)));
    let help = site.ok(&["user", "new", "--help"]);
    assert!(!help.contains("--passphrase <"), "a passphrase can stand on the command line");
}

#[test]
fn colour_is_for_terminals_and_who_asks_for_it() {
    let site = Site::new();
    site.write("policy.toml", crate::site::POLICY);
    let matrix = ["matrix", "--policy", "policy.toml"];
    assert!(!site.ok(&matrix).contains('\x1b'));
    let colored: Vec<&str> = matrix.iter().copied().chain(["--color", "always"]).collect();
    assert!(site.ok(&colored).contains("\x1b[32m●\x1b[0m"));
}
