//! The profiles of AWS: `~/.aws/credentials` and `~/.aws/config`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::options::StoreOptions;
use crate::error::{Error, Kind, Result};

/// The longest profile file that is read, in bytes.
const PROFILE_FILE_LEN_MAX_BYTES: u64 = 1 << 20;

/// What a profile says.
#[derive(Default)]
pub(super) struct Profile {
    settings: BTreeMap<String, String>,
}

/// A pair of keys, with the token that temporary ones have.
pub(super) struct AccessKeys {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) token: Option<String>,
}

impl Profile {
    /// Reads the profile that `options` names.
    ///
    /// # Errors
    /// [`Kind::Usage`] when a profile was named and neither file has it.
    pub(super) fn load(options: &StoreOptions) -> Result<Self> {
        let home = options.var("HOME").map(PathBuf::from);
        let file = |var: &str, name: &str| {
            let default = home.as_ref().map(|home| home.join(".aws").join(name));
            options.var(var).map(PathBuf::from).or(default)
        };
        let name = options.profile.as_deref().unwrap_or("default");
        let mut settings = BTreeMap::new();
        let mut found = false;
        for (path, is_config) in [
            (file("AWS_CONFIG_FILE", "config"), true),
            (file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), false),
        ] {
            let Some(text) = path.as_deref().map(read_small).transpose()?.flatten() else {
                continue;
            };
            if let Some(section) = section(&text, name, is_config) {
                found = true;
                settings.extend(section);
            }
        }
        if !found && options.profile.is_some() {
            return Err(Error::new(Kind::Usage, format!("there is no AWS profile {name:?}"))
                .because("neither the credentials file nor the config file has it")
                .hint("name a profile that `aws configure list-profiles` shows"));
        }
        Ok(Self { settings })
    }

    pub(super) fn get(&self, setting: &str) -> Option<&str> {
        self.settings.get(setting).map(String::as_str)
    }

    /// Returns the keys of the profile, if it has some. A token that can be exchanged for keys is
    /// among the [settings](Self::get).
    ///
    /// # Errors
    /// [`Kind::Unsupported`] when the profile gets its keys in a way that is not served.
    pub(super) fn access_keys(&self) -> Result<Option<AccessKeys>> {
        if let (Some(id), Some(secret)) =
            (self.get("aws_access_key_id"), self.get("aws_secret_access_key"))
        {
            let token = self.get("aws_session_token").map(str::to_owned);
            return Ok(Some(AccessKeys { id: id.to_owned(), secret: secret.to_owned(), token }));
        }
        if self.get("web_identity_token_file").is_some() {
            return Ok(None);
        }
        for way in ["sso_session", "sso_start_url", "credential_process", "source_profile"] {
            if self.get(way).is_some() {
                return Err(Error::new(Kind::Unsupported, "the AWS profile holds no keys")
                    .because(format!("it gets them by {way}, which chartfs does not run"))
                    .hint("eval \"$(aws configure export-credentials --format env)\""));
            }
        }
        Ok(None)
    }
}

fn read_small(path: &Path) -> Result<Option<String>> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(m) if m.len() > PROFILE_FILE_LEN_MAX_BYTES => {
            return Err(Error::new(Kind::Usage, format!("{shown} is too long for a profile file")));
        }
        _ => {}
    }
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::new(Kind::Usage, format!("cannot read {shown}")).because(e))?;
    Ok(Some(text))
}

/// Returns the settings of the section `name`. The config file writes `[profile x]` for all but
/// `default`, the credentials file writes `[x]`.
fn section(text: &str, name: &str, is_config: bool) -> Option<BTreeMap<String, String>> {
    let mut settings: Option<BTreeMap<String, String>> = None;
    let mut inside = false;
    for line in text.lines() {
        // Indented lines are settings of a setting (`s3 =`), which are not needed here.
        let nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if nested || line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(title) = line.strip_prefix('[').and_then(|l| l.split(']').next()) {
            let title = title.trim();
            let own = title.strip_prefix("profile").map_or(title, str::trim);
            let own = if is_config && title != "default" && own == title { "" } else { own };
            inside = if is_config { own == name } else { title == name };
            if inside {
                settings.get_or_insert_default();
            }
        } else if let (true, Some((key, value))) = (inside, line.split_once('=')) {
            let value = value.split(" #").next().unwrap_or(value).trim();
            settings
                .get_or_insert_default()
                .insert(key.trim().to_ascii_lowercase(), value.to_owned());
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[default]\nregion = eu-north-1\n# x\n[profile ward]\nregion=eu-west-3 # y\n\
        s3 =\n  addressing_style = path\nsso_session = z\n[ward]\nregion = no\n";
    const CREDENTIALS: &str = "[default]\naws_access_key_id = ID\naws_secret_access_key = a+b/c=\n[other]\naws_access_key_id=X\n";

    fn options(dir: &Path, profile: Option<&str>) -> StoreOptions {
        let home = ("HOME".to_owned(), dir.to_str().unwrap().to_owned());
        let mut o = StoreOptions::from_vars([home].into_iter());
        o.profile = profile.map(str::to_owned);
        o
    }

    fn home() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".aws")).unwrap();
        std::fs::write(dir.path().join(".aws/config"), CONFIG).unwrap();
        std::fs::write(dir.path().join(".aws/credentials"), CREDENTIALS).unwrap();
        dir
    }

    #[test]
    fn the_default_profile_joins_both_files() {
        let home = home();
        let p = Profile::load(&options(home.path(), None)).unwrap();
        assert_eq!(p.get("region"), Some("eu-north-1"));
        let keys = p.access_keys().unwrap().unwrap();
        assert_eq!((keys.id.as_str(), keys.secret.as_str()), ("ID", "a+b/c="));
        assert!(keys.token.is_none());
    }

    #[test]
    fn a_named_profile_is_the_section_that_says_profile() {
        let home = home();
        let p = Profile::load(&options(home.path(), Some("ward"))).unwrap();
        assert_eq!(p.get("region"), Some("eu-west-3"));
        assert_eq!(p.get("addressing_style"), None);
        let e = p.access_keys().err().unwrap();
        assert_eq!(e.kind(), Kind::Unsupported);
        assert!(e.why().unwrap().contains("sso_session"));
    }

    #[test]
    fn a_profile_that_is_nowhere_is_an_error_only_when_named() {
        let home = home();
        assert!(Profile::load(&options(home.path(), Some("nobody"))).is_err());
        let empty = tempfile::tempdir().unwrap();
        let p = Profile::load(&options(empty.path(), None)).unwrap();
        assert!(p.access_keys().unwrap().is_none());
    }
}
