//! The environment of the process, read once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::passphrase::PassphraseSource;
use crate::error::{Error, Kind, Result};

/// The credential of a service by which systemd hands over the passphrase.
const SERVICE_PASSPHRASE: &str = "chartfs.passphrase";

/// The variables of the process. One that is empty counts as not set.
#[derive(Clone, Default)]
pub struct Environment {
    vars: BTreeMap<String, String>,
}

impl Environment {
    /// Reads the environment of this process; what is not UTF-8 in it is left out.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { vars: std::env::vars_os().filter_map(text).collect() }
    }

    /// Makes one of given variables.
    pub fn new<'a>(vars: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self { vars: vars.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }

    /// Returns a variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    pub(super) fn vars(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.vars.iter().map(|(n, v)| (n.clone(), v.clone()))
    }

    /// Finds a program in the folders of `PATH`.
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(self.var("PATH")?).map(|p| p.join(name)).find(|p| p.is_file())
    }

    /// Returns a folder of the user by the XDG base directory rules: only absolute paths count.
    fn user_dir(&self, xdg: &str, below_home: &str) -> Result<PathBuf> {
        let absolute = |name: &str| self.var(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let base = absolute(xdg).or_else(|| absolute("HOME").map(|h| h.join(below_home)));
        base.map(|b| b.join("chartfs")).ok_or_else(|| {
            Error::new(Kind::Usage, "the folders of the user are not known")
                .because(format!("neither {xdg} nor HOME is set to an absolute path"))
                .hint("set HOME")
        })
    }

    pub(super) fn config_dir(&self) -> Result<PathBuf> {
        self.user_dir("XDG_CONFIG_HOME", ".config")
    }

    pub(super) fn data_dir(&self) -> Result<PathBuf> {
        self.user_dir("XDG_DATA_HOME", ".local/share")
    }

    pub(super) fn cache_dir(&self) -> Result<PathBuf> {
        self.user_dir("XDG_CACHE_HOME", ".cache")
    }

    pub(super) fn runtime_dir(&self) -> Option<PathBuf> {
        let base = self.var("XDG_RUNTIME_DIR").map(PathBuf::from)?;
        base.is_absolute().then(|| base.join("chartfs"))
    }

    /// Returns the passphrase that systemd hands to a service, if it does.
    pub(super) fn service_passphrase(&self) -> Option<PassphraseSource> {
        let path = PathBuf::from(self.var("CREDENTIALS_DIRECTORY")?).join(SERVICE_PASSPHRASE);
        path.is_file().then_some(PassphraseSource::Service(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_follow_xdg_and_fall_back_to_home() {
        let e =
            Environment::new([("HOME", "/h"), ("XDG_DATA_HOME", "/d"), ("XDG_CACHE_HOME", "c")]);
        assert_eq!(e.data_dir().unwrap(), PathBuf::from("/d/chartfs"));
        assert_eq!(e.config_dir().unwrap(), PathBuf::from("/h/.config/chartfs"));
        assert_eq!(e.cache_dir().unwrap(), PathBuf::from("/h/.cache/chartfs"));
        assert_eq!(e.runtime_dir(), None);
        assert_eq!(Environment::default().data_dir().unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        assert_eq!(Environment::new([("CHARTFS_BUCKET", "")]).var("CHARTFS_BUCKET"), None);
    }
}
