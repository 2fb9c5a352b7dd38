//! A home, a bucket, and the program run in them.

use std::path::PathBuf;
use std::process::Output;

use assert_cmd::Command;
use tempfile::TempDir;

pub(crate) const POLICY: &str = r#"
[folder]
list = "physician@st-mary or pharmacist@board or owner@{patient}"
add = "physician@st-mary"
remove = "physician@st-mary"
manage = "owner@{patient} or physician@st-mary"

[default]
read = "(physician@st-mary and staff@north) or owner@{patient}"
write = "physician@st-mary"

[section.labs]
read = "physician@st-mary or owner@{patient}"
write = "physician@st-mary"
"#;

/// A home directory with a bucket beside it.
pub(crate) struct Site {
    pub(crate) home: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// A realm with three authorities, whose key files have no passphrase.
    pub(crate) fn founded() -> Self {
        let site = Self::new();
        site.found("bucket");
        site
    }

    pub(crate) fn found(&self, bucket: &str) {
        let url = self.url(bucket);
        let admin = format!("{bucket}.admin");
        self.ok(&["init", &url, "--admin", &admin, "--no-passphrase"]);
        for (id, kind) in [("st-mary", "hospital"), ("north", "hospital"), ("board", "pharmacy")] {
            let file = format!("{bucket}.{id}");
            self.ok(&[
                "authority",
                "new",
                id,
                "--kind",
                kind,
                "--realm",
                &url,
                "--admin",
                &admin,
                "--out",
                &file,
                "--no-passphrase",
            ]);
        }
    }

    pub(crate) fn url(&self, bucket: &str) -> String {
        format!("file://{}", self.path(bucket).display())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The program with nothing in its environment but a home.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::cargo_bin("chartfs").unwrap();
        command.env_clear().env("HOME", self.home.path()).current_dir(self.home.path()).args(args);
        command
    }

    pub(crate) fn ok(&self, args: &[&str]) -> String {
        succeeds(&self.command(args).output().unwrap(), args)
    }

    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }

    /// Runs the program, which must refuse with this exit status; returns what it says.
    pub(crate) fn fails(&self, status: i32, args: &[&str]) -> String {
        refuses(&self.command(args).output().unwrap(), status, args)
    }

    /// Makes a credential in NAME.credential with these attributes of st-mary.
    pub(crate) fn user(&self, name: &str, attributes: &[&str]) -> String {
        let file = format!("{name}.credential");
        let url = self.url("bucket");
        self.ok(&["user", "new", name, "--realm", &url, "--out", &file, "--no-passphrase"]);
        self.write(&format!("{name}.request"), &self.ok(&["user", "show", "--request", &file]));
        if !attributes.is_empty() {
            let request = format!("{name}.request");
            let mut args =
                vec!["authority", "issue", "--authority-file", "bucket.st-mary", "--to", &request];
            args.extend(["--realm", &url]);
            args.extend(attributes);
            let grant = format!("{name}.grant");
            self.write(&grant, &self.ok(&args));
            self.ok(&["credential", "add", &grant, "--credential", &file, "--realm", &url]);
        }
        file
    }
}

pub(crate) fn succeeds(output: &Output, args: &[&str]) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// An error is one to three lines in their order, of which the reason may point at a place in a
/// text below it, and nothing on the standard output.
pub(crate) fn refuses(output: &Output, status: i32, args: &[&str]) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
    assert!(output.stdout.is_empty(), "{args:?} printed a result");
    let error = said.find("chartfs: error: ").unwrap_or_else(|| panic!("{args:?}: {said}"));
    let lines: Vec<&str> = said[error..].lines().collect();
    let labels = ["chartfs: error: ", "  because: ", "  try: "];
    let mut expected = labels.iter();
    for line in lines.iter().filter(|line| !line.starts_with("           ")) {
        assert!(expected.any(|label| line.starts_with(label)), "{args:?}: {said}");
    }
    said
}
