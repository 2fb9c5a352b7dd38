//! Bad input: a clear error, the right exit status, and nothing lost.

use std::os::unix::fs::PermissionsExt;

use chartfs::clock::now_unix_s;
use chartfs::key::attribute::{Attribute, Epoch, EpochAttribute};
use chartfs::key::certificate::Claims;
use chartfs::key::credential::{Grant, Request};
use chartfs::key::keyfile::{self, FileKind};
use chartfs::key::sign::SigningKey;
use chartfs::realm::authority::AuthorityKeys;

use crate::site::{Site, refuses};

#[test]
fn a_bucket_that_is_not_empty_is_not_founded_again() {
    let site = Site::founded();
    let url = site.url("bucket");
    let said = site.fails(11, &["init", &url, "--admin", "second.key", "--no-passphrase"]);
    assert!(said.contains("the bucket is not empty"), "{said}");
    assert!(!site.path("second.key").exists(), "the key of no realm was left behind");
    let again = site.fails(11, &["init", &url, "--admin", "bucket.admin", "--no-passphrase"]);
    assert!(again.contains("never overwritten"), "{again}");
    site.ok(&["authority", "list", "--realm", &url]);
}

#[test]
fn a_bucket_that_cannot_be_reached_is_said_to_be_so() {
    let site = Site::new();
    let args = ["init", "s3://b/p", "--admin", "k", "--no-passphrase"];
    let mut command = site.command(&args);
    command.args(["--endpoint", "http://127.0.0.1:1"]);
    command.envs([("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hunter2-secret")]);
    let said = refuses(&command.output().unwrap(), 18, &args);
    assert!(said.contains("127.0.0.1") && !said.contains("hunter2"), "{said}");
    assert!(!site.path("k").exists());
    let said = site.fails(10, &["authority", "list", "--realm", &site.url("none")]);
    assert!(said.contains("none"), "{said}");
    let said = site.fails(2, &["authority", "list", "--realm", "records"]);
    assert!(said.contains("file:///dir"), "{said}");
    std::fs::create_dir(site.path("empty")).unwrap();
    let said = site.fails(10, &["authority", "list", "--realm", &site.url("empty")]);
    assert!(said.contains("chartfs init"), "{said}");
}

#[test]
fn a_wrong_or_missing_passphrase_opens_nothing() {
    let site = Site::founded();
    for (name, text) in [("right", "one secret"), ("wrong", "another secret")] {
        site.write(name, text);
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(site.path(name), mode).unwrap();
    }
    let url = site.url("bucket");
    site.ok(&["user", "new", "lee", "--realm", &url, "--out", "lee", "--passphrase-file", "right"]);
    site.ok(&["user", "show", "lee", "--passphrase-file", "right"]);
    let said = site.fails(12, &["user", "show", "lee", "--passphrase-file", "wrong"]);
    assert!(said.contains("passphrase is wrong") && !said.contains("another secret"), "{said}");
    let said = site.fails(12, &["user", "show", "lee"]);
    assert!(said.contains("--passphrase-file"), "{said}");
    let said = site.fails(2, &["user", "show", "bucket.admin"]);
    assert!(said.contains("administrator file"), "{said}");
    site.write("text", "not a key file at all, but long enough for the header of one");
    std::fs::set_permissions(site.path("text"), std::fs::Permissions::from_mode(0o600)).unwrap();
    site.fails(2, &["user", "show", "text"]);
    site.fails(10, &["user", "show", "none"]);
    site.fails(2, &["user", "show", "lee", "--passphrase", "one secret"]);
}

#[test]
fn a_credential_or_a_passphrase_that_others_can_read_is_refused() {
    let site = Site::founded();
    let file = site.user("lee", &["physician"]);
    let chmod = |name: &str, mode: u32| {
        std::fs::set_permissions(site.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for mode in [0o644, 0o640, 0o660, 0o602] {
        chmod(&file, mode);
        let said = site.fails(12, &["user", "show", &file]);
        assert!(said.contains("chmod 600"), "{said}");
    }
    chmod(&file, 0o600);
    std::os::unix::fs::symlink(site.path(&file), site.path("link")).unwrap();
    site.fails(12, &["user", "show", "link"]);
    site.write("pass", "secret");
    chmod("pass", 0o644);
    let said = site.fails(
        12,
        &["user", "new", "x", "--realm", &site.url("bucket"), "--passphrase-file", "pass"],
    );
    assert!(said.contains("chmod 600"), "{said}");
}

#[test]
fn nothing_of_one_realm_counts_in_another() {
    let site = Site::founded();
    site.found("other");
    let (url, other) = (site.url("bucket"), site.url("other"));
    let file = site.user("lee", &["physician"]);
    let before = std::fs::read(site.path(&file)).unwrap();
    let issue = |authority: &str, realm: &str, status: i32| {
        let said = site.fails(
            status,
            &[
                "authority",
                "issue",
                "--authority-file",
                authority,
                "--to",
                "lee.request",
                "physician",
                "--realm",
                realm,
            ],
        );
        assert!(said.contains("another realm") || said.contains("of another realm"), "{said}");
    };
    issue("other.st-mary", &other, 12);
    issue("bucket.st-mary", &other, 12);
    let said = site
        .fails(12, &["credential", "add", "lee.grant", "--credential", &file, "--realm", &other]);
    assert!(said.contains("another realm"), "{said}");
    assert_eq!(std::fs::read(site.path(&file)).unwrap(), before);
    site.fails(
        12,
        &[
            "authority",
            "new",
            "x",
            "--kind",
            "hospital",
            "--realm",
            &url,
            "--admin",
            "other.admin",
            "--out",
            "x",
            "--no-passphrase",
        ],
    );
    assert!(!site.path("x").exists());
}

#[test]
fn a_grant_is_for_one_user_and_from_the_authority_that_the_realm_knows() {
    let site = Site::founded();
    let url = site.url("bucket");
    let lee = site.user("lee", &["physician"]);
    let kim = site.user("kim", &[]);
    let add = |grant: &str, credential: &str, status: i32| {
        let before = std::fs::read(site.path(credential)).unwrap();
        let said = site.fails(
            status,
            &["credential", "add", grant, "--credential", credential, "--realm", &url],
        );
        assert_eq!(std::fs::read(site.path(credential)).unwrap(), before, "{said}");
        said
    };
    add("lee.grant", &kim, 12);
    add("lee.request", &lee, 2);
    site.write("impostor.grant", &impostor_grant(&site, &lee));
    let said = add("impostor.grant", &lee, 15);
    assert!(said.contains("st-mary"), "{said}");
    let damaged = std::fs::read_to_string(site.path("lee.grant")).unwrap();
    site.write("damaged.grant", &damaged.replace(&damaged[200..204], "0f0f"));
    add("damaged.grant", &lee, 12);
}

/// A grant whose every key and signature holds, of an authority that only calls itself st-mary.
fn impostor_grant(site: &Site, credential: &str) -> String {
    let line = site.ok(&["user", "show", "--request", credential]);
    let request = Request::parse(&line).unwrap();
    let keys = AuthorityKeys::generate("st-mary".parse().unwrap(), request.realm_genesis);
    let attribute: Attribute = "physician@st-mary".parse().unwrap();
    let now = now_unix_s();
    let certificate = Claims {
        realm: request.realm_genesis[..16].try_into().unwrap(),
        authority: keys.id.clone(),
        serial: [1; 16],
        subject: request.identity,
        attributes: vec![(attribute.name.clone(), Epoch(1))],
        not_before_unix_s: now - 10,
        not_after_unix_s: now + 1000,
        authority_seq: 0,
    }
    .sign(&keys.identity)
    .unwrap();
    let what = EpochAttribute { attribute, epoch: Epoch(1) };
    let key = keys.scheme.issue(&request.gid(), &what);
    let grant = Grant {
        realm_genesis: request.realm_genesis,
        authority: keys.id.clone(),
        public: keys.scheme.public(),
        certificate,
        keys: vec![(what, key)],
    };
    grant.seal(&request.device).unwrap()
}

#[test]
fn only_an_administrator_of_the_realm_introduces_and_sets_the_root() {
    let site = Site::founded();
    let url = site.url("bucket");
    let mut stranger = chartfs::realm::administrator::AdministratorKey::generate();
    stranger.identity = SigningKey::generate();
    let file = keyfile::seal(FileKind::Administrator, &stranger.to_bytes(), None);
    std::fs::write(site.path("stranger.admin"), file).unwrap();
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(site.path("stranger.admin"), mode).unwrap();
    site.fails(
        12,
        &[
            "authority",
            "new",
            "x",
            "--kind",
            "hospital",
            "--realm",
            &url,
            "--admin",
            "stranger.admin",
            "--no-passphrase",
            "--out",
            "x",
        ],
    );
    site.write("policy.toml", crate::site::POLICY);
    site.fails(
        12,
        &["policy", "set", "/", "policy.toml", "--realm", &url, "--as-admin", "stranger.admin"],
    );
    site.fails(10, &["policy", "show", "/", "--realm", &url]);
}

#[test]
fn what_an_authority_cannot_issue_is_refused() {
    let site = Site::founded();
    site.user("lee", &[]);
    let url = site.url("bucket");
    let issue = |status: i32, more: &[&str]| {
        let mut args = vec![
            "authority",
            "issue",
            "--authority-file",
            "bucket.st-mary",
            "--to",
            "lee.request",
            "--realm",
            &url,
        ];
        args.extend(more);
        site.fails(status, &args)
    };
    assert!(issue(2, &["physician", "--days", "91"]).contains("90 days"));
    issue(2, &["physician", "--until", "2020-01-01"]);
    issue(2, &["physician", "--until", "tomorrow"]);
    issue(2, &["physician@north"]);
    issue(2, &["Physician"]);
    site.write("request", "chartfs-request-1:00");
    site.fails(
        2,
        &["authority", "issue", "--authority-file", "bucket.st-mary", "--to", "request", "x"]
            .iter()
            .copied()
            .chain(["--realm", url.as_str()])
            .collect::<Vec<_>>(),
    );
    let authority = site.json(&["authority", "show", "st-mary", "--realm", &url, "--json"]);
    assert_eq!(authority["attributes"].as_array().unwrap().len(), 0);
}

#[test]
fn a_name_that_is_taken_or_is_no_name_is_refused() {
    let site = Site::founded();
    let url = site.url("bucket");
    let new = |status: i32, id: &str, kind: &str| {
        site.fails(
            status,
            &[
                "authority",
                "new",
                id,
                "--kind",
                kind,
                "--realm",
                &url,
                "--admin",
                "bucket.admin",
                "--no-passphrase",
                "--out",
                "x",
            ],
        )
    };
    new(11, "st-mary", "hospital");
    new(2, "St Mary", "hospital");
    new(2, "unbound.patient", "patient");
    let said = new(2, "x", "clinic");
    assert!(said.contains("hospital, pharmacy"), "{said}");
    assert!(!site.path("x").exists());
}
