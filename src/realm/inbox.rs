//! Folders whose files are filed into the patients' folders: tables `[[inbox]]` of the root's policy,
//! which an administrator signs. Whoever could say where records go could have them where he reads
//! them; so neither the owner of a folder nor a workstation says it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{Error, Kind, Result};

/// The most inboxes of a realm.
const INBOXES_MAX: usize = 64;
/// The most names of one that gives numbers.
const SYSTEMS_MAX: usize = 1024;
/// The longest template of a folder's name.
const TEMPLATE_LEN_MAX: usize = 64;
/// Where a new patient's folder gets the patient's number.
pub const ID: &str = "{id}";
/// Where a new patient's folder gets a name that says nothing.
pub const RANDOM: &str = "{random}";

/// A folder whose files are filed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbox {
    /// The folder, as a path from the root.
    pub folder: String,
    /// The folder with the patients' folders.
    pub patients: String,
    /// What the folder of a new patient is called, with `{id}` or `{random}` in it. Without it none
    /// is made: who is not known is not filed.
    #[serde(default)]
    pub new: Option<String>,
    /// Whose numbers `{id}` stands for, unless it is the first of the text.
    #[serde(default)]
    pub id: Option<String>,
    /// Where it is kept which number is whose; `.patients` in the inbox, unless it is said.
    #[serde(default)]
    pub index: Option<String>,
    /// Other names of those that give numbers. The empty name stands for texts that do not say it.
    #[serde(default)]
    pub systems: BTreeMap<String, String>,
}

impl Inbox {
    /// Returns the path of the folder with the index.
    pub fn index_path(&self) -> String {
        self.index.clone().unwrap_or_else(|| format!("{}/.patients", self.folder))
    }

    fn check(&self) -> Result<()> {
        let index = self.index_path();
        for path in [&self.folder, &self.patients, &index] {
            let bad = |name: &str| name.is_empty() || name == "." || name == "..";
            if path.strip_prefix('/').is_none_or(|names| names.split('/').any(bad)) {
                return Err(refused(format!("{path:?} is no path from the root to a folder")));
            }
        }
        if is_within(&self.patients, &self.folder) || is_within(&self.folder, &self.patients) {
            return Err(refused("the patients' folders and the inbox are one in the other"));
        }
        if is_within(&index, &self.patients) {
            return Err(refused("the index is among the patients' folders"));
        }
        if let Some(new) = &self.new {
            let holes = new.matches(ID).count() + new.matches(RANDOM).count();
            let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            let rest = new.replace(ID, "").replace(RANDOM, "");
            if holes != 1 || new.len() > TEMPLATE_LEN_MAX || !rest.chars().all(fine) {
                return Err(refused(format!("{new:?} is no name for a folder"))
                    .hint("letters, digits, '-', '_' and '.', and once {id} or {random}"));
            }
        }
        if self.systems.len() > SYSTEMS_MAX {
            return Err(refused(format!("there are more than {SYSTEMS_MAX} systems")));
        }
        Ok(())
    }
}

fn refused(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Usage, "the policy cannot be read: inbox").because(why)
}

/// Says whether a path is a folder's or of something in it.
fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Checks the inboxes of a policy.
pub(super) fn check(inboxes: &[Inbox]) -> Result<()> {
    if inboxes.len() > INBOXES_MAX {
        return Err(refused(format!("there are more than {INBOXES_MAX}")));
    }
    for (at, inbox) in inboxes.iter().enumerate() {
        inbox.check()?;
        let is_clash = |other: &Inbox| {
            is_within(&other.folder, &inbox.folder) || is_within(&inbox.folder, &other.folder)
        };
        if inboxes[..at].iter().any(is_clash) {
            return Err(refused("one inbox is in another"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox(text: &str) -> Result<()> {
        let read = toml::from_str(&format!("folder = '/inbox'\npatients = '/patients'\n{text}"));
        check(&[read.map_err(|e: toml::de::Error| refused(e))?])
    }

    #[test]
    fn what_would_file_into_itself_or_outside_is_refused() {
        assert!(inbox("new = 'p-{id}'\n[systems]\nHOSP = 'urn:oid:1.2.3'").is_ok());
        for bad in [
            "new = 'plain'",
            "new = '{id}{random}'",
            "new = '../{id}'",
            "index = '/patients/index'",
            "index = 'inbox'",
            "index = '/a/../b'",
            "unknown = 1",
        ] {
            assert!(inbox(bad).is_err(), "{bad}");
        }
        let at = |folder: &str, patients: &str| {
            let (folder, patients) = (folder.to_owned(), patients.to_owned());
            let (new, id, index) = (None, None, None);
            Inbox { folder, patients, new, id, index, systems: BTreeMap::new() }
        };
        assert!(check(&[at("/a", "/b"), at("/ab", "/b")]).is_ok());
        for bad in [at("/b/in", "/b"), at("/b", "/b/c"), at("/b", "/b"), at("/", "/b")] {
            assert!(check(&[bad]).is_err());
        }
        assert!(check(&[at("/a", "/b"), at("/a/c", "/b")]).is_err());
    }
}
