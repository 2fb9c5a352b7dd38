//! From an empty folder to a user who can open the drive.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use chartfs::key::credential::Credential;
use chartfs::key::keyfile::{self, FileKind};
use chartfs::key::keyring::Keyring;
use chartfs::realm::Realm;
use chartfs::record::marks::Marks;
use chartfs::record::{Located, PolicyRef, RecordId, Records};
use chartfs::store::{Bucket, StoreOptions};

use crate::site::{POLICY, Site, succeeds};

#[test]
fn a_realm_is_founded_and_a_user_gets_attributes_and_a_policy_opens_the_drive() {
    let site = Site::founded();
    let file = site.user("doctor", &["physician", "on-call@st-mary"]);
    let mode = site.path(&file).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let grants = site.json(&["credential", "list", "--credential", &file, "--json"]);
    assert_eq!(grants[0]["authority"], "st-mary");
    assert_eq!(grants[0]["attributes"][0], "physician#1@st-mary");
    assert_eq!(grants[0]["expired"], false);
    let url = site.url("bucket");
    let authority = site.json(&["authority", "show", "st-mary", "--realm", &url, "--json"]);
    assert_eq!(authority["kind"], "hospital");
    assert_eq!(authority["attributes"].as_array().unwrap().len(), 2);
    let list = site.json(&["authority", "list", "--realm", &url, "--json"]);
    assert_eq!(list.as_array().unwrap().len(), 3);

    site.write("policy.toml", POLICY);
    site.ok(&["policy", "set", "/", "policy.toml", "--realm", &url, "--as-admin", "bucket.admin"]);
    let shown = site.json(&["policy", "show", "/", "--realm", &url, "--json"]);
    assert_eq!(shown["text"], POLICY);
    assert_eq!(site.ok(&["policy", "show", "/", "--realm", &url]), POLICY);

    let secret = std::fs::read(site.path(&file)).unwrap();
    let secret = keyfile::open(FileKind::Credential, &secret, None).unwrap();
    open_root(&url, Credential::from_bytes(&secret).unwrap());
}

/// The root that the administrator made is proven and can be listed by who the policy lets.
fn open_root(url: &str, credential: Credential) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = StoreOptions::default();
        let bucket = Bucket::open(&url.parse().unwrap(), &options).await.unwrap();
        let realm = Realm::open(bucket, Some(&credential.realm_genesis)).await.unwrap();
        let root = RecordId(realm.state().root_record);
        let policy = PolicyRef { hash: realm.state().root_policy, patient: None };
        let keyring = Arc::new(Keyring::new(credential).unwrap());
        let records = Records::new(Arc::new(realm), keyring, Arc::new(Marks::in_memory()));
        let located = Located { birth: root, record: root };
        let names = records.names(located, &policy, Duration::ZERO).await.unwrap();
        assert!(names.table.0.is_empty());
    });
}

#[test]
fn a_policy_that_is_set_again_replaces_the_first_and_keeps_the_root() {
    let site = Site::founded();
    let url = site.url("bucket");
    site.write("policy.toml", POLICY);
    let set = ["policy", "set", "/", "policy.toml", "--realm", &url, "--as-admin", "bucket.admin"];
    site.ok(&set);
    let first = site.json(&["policy", "show", "/", "--realm", &url, "--json"]);
    site.write("policy.toml", &POLICY.replace("pharmacist@board or ", ""));
    site.ok(&set);
    let second = site.json(&["policy", "show", "/", "--realm", &url, "--json"]);
    assert_ne!(first["hash"], second["hash"]);
    assert!(!second["text"].as_str().unwrap().contains("pharmacist"));
}

#[test]
fn a_passphrase_comes_from_a_file_a_command_a_variable_the_input_or_the_service_manager() {
    let site = Site::new();
    let url = site.url("bucket");
    let passphrase = "correct horse battery";
    let private = |name: &str, text: &str| {
        site.write(name, text);
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(site.path(name), mode).unwrap();
    };
    private("pass", &format!("{passphrase}\n"));
    site.ok(&["init", &url, "--admin", "admin.key", "--passphrase-file", "pass"]);
    let new = |id: &str| {
        ["authority", "new", id, "--kind", "hospital", "--realm", &url, "--admin", "admin.key"]
            .into_iter()
            .chain(["--no-passphrase", "--out", id])
            .map(str::to_owned)
            .collect::<Vec<String>>()
    };
    let run = |id: &str, more: &[&str], vars: &[(&str, &str)], input: &str| {
        let mut args = new(id);
        args.extend(more.iter().map(|s| (*s).to_owned()));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = site.command(&args);
        command.envs(vars.iter().copied()).write_stdin(input.to_owned());
        succeeds(&command.output().unwrap(), &args)
    };
    run("a", &["--passphrase-file", "pass"], &[], "");
    run("b", &["--passphrase-file", "-"], &[], passphrase);
    run("c", &["--passphrase-command", "cat pass"], &[], "");
    run("d", &[], &[("CHARTFS_PASSPHRASE_FILE", "pass")], "");
    run("e", &[], &[("CHARTFS_PASSPHRASE_COMMAND", "echo 'correct horse battery'")], "");
    private("chartfs.passphrase", passphrase);
    run("f", &[], &[("CREDENTIALS_DIRECTORY", site.home.path().to_str().unwrap())], "");
    let list = site.json(&["authority", "list", "--realm", &url, "--json"]);
    assert_eq!(list.as_array().unwrap().len(), 6);
}

#[test]
fn settings_come_from_the_file_and_name_what_the_command_line_leaves_out() {
    let site = Site::founded();
    let file = site.user("doctor", &["physician"]);
    std::fs::create_dir_all(site.path(".config/chartfs")).unwrap();
    let (bucket, credential) = (site.url("bucket"), site.path(&file).display().to_string());
    site.write(
        ".config/chartfs/chartfs.toml",
        &format!("bucket = {bucket:?}\ncredential = {credential:?}\n"),
    );
    assert_eq!(site.json(&["authority", "list", "--json"]).as_array().unwrap().len(), 3);
    assert_eq!(site.json(&["credential", "list", "--json"]).as_array().unwrap().len(), 1);
    site.write(".config/chartfs/chartfs.toml", "buckets = \"x\"\n");
    let said = site.fails(2, &["authority", "list"]);
    assert!(said.contains("chartfs.toml") && said.contains("buckets"), "{said}");
}

#[test]
fn a_user_pinned_to_a_fingerprint_gets_no_credential_of_another_realm() {
    let site = Site::founded();
    let url = site.url("bucket");
    let fingerprint = "00".repeat(32);
    let new = ["user", "new", "lee", "--realm", &url, "--no-passphrase", "--out", "lee"];
    let mut args = new.to_vec();
    args.extend(["--fingerprint", &fingerprint]);
    site.fails(12, &args);
    assert!(!site.path("lee").exists());
    let shown = site.ok(&new);
    let realm = shown.lines().find_map(|l| l.strip_prefix("realm")).unwrap().trim();
    args.truncate(new.len() - 1);
    args.extend(["lee-2", "--fingerprint", realm]);
    site.ok(&args);
}

#[test]
fn the_doctor_finds_an_empty_credential_and_a_bucket_that_is_gone() {
    let site = Site::founded();
    let file = site.user("lee", &[]);
    let url = site.url("bucket");
    let verdict = |bucket: &str| -> (Option<i32>, serde_json::Value) {
        let args = ["doctor", "--bucket", bucket, "--credential", &file, "--json"];
        let output = site.command(&args).output().unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    };
    let of = |found: &serde_json::Value, check: &str| -> Vec<String> {
        let all = found.as_array().unwrap().iter().filter(|f| f["check"] == check);
        all.map(|f| f["verdict"].as_str().unwrap().to_owned()).collect()
    };
    let (_, found) = verdict(&url);
    assert_eq!(of(&found, "credential"), ["warn"]);
    assert_eq!(of(&found, "bucket"), ["ok"]);
    assert_eq!(of(&found, "writes"), ["ok"]);
    let (status, found) = verdict(&site.url("gone"));
    assert_eq!(of(&found, "bucket"), ["fail"]);
    assert_eq!(status, Some(1));
}
