//! How is it to run? Flags before `CHARTFS_*` variables before the configuration file before the
//! defaults.
//!
//! The only module that reads the environment and knows the home directory; and, because their
//! mode is a setting too, the one that reads and writes secret files. It never prints and never
//! asks: where a passphrase has to be asked for, `cli` does it.

mod environment;
mod file;
mod passphrase;
mod secret_file;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::store::{Location, StoreOptions};
use file::ConfigFile;

pub use environment::Environment;
pub use passphrase::{Passphrase, PassphraseSource};
pub use secret_file::{SecretFile, create_secret, read_secret};

/// How long the kernel may answer from what it was told, when nothing else is set.
const ATTR_TTL: Duration = Duration::from_secs(10);
/// How much of sealed objects a mount keeps on the disk, when nothing else is set.
const CACHE_MIB: u64 = 1024;
/// How much may wait in the journal, when nothing else is set.
const JOURNAL_MIB: u64 = 4096;

/// When to use colour on the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl FromStr for Color {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(Error::new(Kind::Usage, format!("{text:?} is not a time for colour"))
                .hint("auto, always or never")),
        }
    }
}

/// What `close` and `fsync` wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Commit {
    /// The bucket has it.
    #[default]
    Remote,
    /// The journal on this workstation has it; the bucket gets it in the background.
    Journal,
}

impl FromStr for Commit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "remote" => Ok(Self::Remote),
            "journal" => Ok(Self::Journal),
            _ => Err(Error::new(Kind::Usage, format!("{text:?} is not a way to commit"))
                .hint("remote or journal")),
        }
    }
}

/// What the command line says; everything else comes from below it.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// The configuration file to read instead of the user's.
    pub config: Option<PathBuf>,
    /// The URL of a server that is not the cloud's own.
    pub endpoint: Option<String>,
    /// The region of the bucket.
    pub region: Option<String>,
    /// The profile of the cloud's own configuration.
    pub profile: Option<String>,
    /// Where local state is kept instead of the user's data folder.
    pub state: Option<PathBuf>,
    /// When to use colour.
    pub color: Option<Color>,
}

/// Every setting, validated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bucket, when a command does not name one.
    pub bucket: Option<Location>,
    /// The credential, when a command does not name one.
    pub credential: Option<PathBuf>,
    /// Where passphrases come from, when a command does not say so.
    pub passphrase: Option<PassphraseSource>,
    /// How long the kernel may answer from what it was told.
    pub attr_ttl: Duration,
    /// What `close` and `fsync` wait for.
    pub commit: Commit,
    /// How many bytes of sealed objects a mount keeps on this disk, at most.
    pub cache_bytes: u64,
    /// How many bytes may wait in the journal of a mount.
    pub journal_bytes: u64,
    /// When to use colour.
    pub color: Color,
    /// Which log lines are wanted, as in `warn,chartfs::store=debug`.
    pub log: Option<String>,
    /// How a bucket is reached.
    pub store: StoreOptions,
    /// Where key files are kept.
    pub data: PathBuf,
    /// Where high-water marks are kept.
    pub state: PathBuf,
    /// Where sealed objects may be cached.
    pub cache: PathBuf,
    /// Where sockets and other things of this login live, when the system has such a place.
    pub runtime: Option<PathBuf>,
}

impl Settings {
    /// Puts the settings together.
    ///
    /// # Errors
    /// `Usage` when the configuration file or a variable cannot be understood; `NotFound` when a
    /// file that was asked for does not exist.
    pub fn load(flags: &Flags, environment: &Environment) -> Result<Self> {
        let file = read_config(flags, environment)?;
        let var = |name: &str| environment.var(name).map(str::to_owned);
        let data = environment.data_dir()?;
        let state = flags.state.clone().or_else(|| var("CHARTFS_STATE").map(Into::into));
        let color = match var("CHARTFS_COLOR").or(file.color) {
            Some(text) => text.parse()?,
            None if environment.var("NO_COLOR").is_some() => Color::Never,
            None => Color::Auto,
        };
        let command = var("CHARTFS_PASSPHRASE_COMMAND").map(PassphraseSource::Command);
        let passphrase = var("CHARTFS_PASSPHRASE_FILE")
            .map(|f| PassphraseSource::from_file_argument(&f))
            .or(command)
            .or_else(|| environment.service_passphrase())
            .or_else(|| file.passphrase_file.map(PassphraseSource::File))
            .or_else(|| file.passphrase_command.map(PassphraseSource::Command));
        let number = |name: &str, file: Option<u64>| match var(name) {
            None => Ok(file),
            Some(text) => parse_number(name, &text).map(Some),
        };
        let attr_ttl = number("CHARTFS_ATTR_TTL_S", file.attr_ttl_s)?;
        let cache_mib = number("CHARTFS_CACHE_MIB", file.cache_mib)?.unwrap_or(CACHE_MIB);
        let journal_mib = number("CHARTFS_JOURNAL_MIB", file.journal_mib)?.unwrap_or(JOURNAL_MIB);
        let commit = var("CHARTFS_COMMIT").or(file.commit).map(|text| text.parse()).transpose()?;
        // Paths are made absolute: a mount in the background leaves the folder that it began in.
        Ok(Self {
            bucket: match var("CHARTFS_BUCKET").or(file.bucket) {
                Some(text) => Some(text.parse()?),
                None => None,
            },
            credential: var("CHARTFS_CREDENTIAL").map(Into::into).or(file.credential),
            passphrase,
            attr_ttl: attr_ttl.map_or(ATTR_TTL, Duration::from_secs),
            commit: commit.unwrap_or_default(),
            cache_bytes: cache_mib.saturating_mul(1 << 20),
            journal_bytes: journal_mib.saturating_mul(1 << 20),
            color: flags.color.unwrap_or(color),
            log: var("CHARTFS_LOG").or(file.log),
            store: store_options(flags, environment, file.store)?,
            state: std::path::absolute(state.or(file.state).unwrap_or_else(|| data.join("state")))?,
            data,
            cache: environment.cache_dir()?,
            runtime: environment.runtime_dir(),
        })
    }

    /// Returns the file of high-water marks for one realm and user, and makes its folder. Marks
    /// files are held by one process at a time, so a mount and each command have their own `name`.
    /// All three become parts of the path as they are.
    ///
    /// # Errors
    /// What the system says when the folder cannot be made.
    pub fn marks_file(&self, realm: &str, user: &str, name: &str) -> Result<PathBuf> {
        Ok(self.state_of(realm, user)?.join(format!("{name}.marks")))
    }

    /// Returns the file of what a mount of one realm by one user has committed and not sent yet.
    ///
    /// # Errors
    /// What the system says when its folder cannot be made.
    pub fn journal_file(&self, realm: &str, user: &str) -> Result<PathBuf> {
        Ok(self.state_of(realm, user)?.join("mount.journal"))
    }

    /// Returns the folder of what a mount of one realm by one user notes of moves under way, which
    /// then exists.
    ///
    /// # Errors
    /// What the system says when the folder cannot be made.
    pub fn moves_dir(&self, realm: &str, user: &str) -> Result<PathBuf> {
        let folder = self.state_of(realm, user)?.join("moves");
        secret_file::create_private_dir(&folder)?;
        Ok(folder)
    }

    /// Returns the file of sealed objects that a mount of one realm by one user keeps.
    ///
    /// # Errors
    /// What the system says when its folder cannot be made.
    pub fn cache_file(&self, realm: &str, user: &str) -> Result<PathBuf> {
        let folder = self.cache.join(realm);
        secret_file::create_private_dir(&folder)?;
        Ok(folder.join(format!("{user}.cache")))
    }

    fn state_of(&self, realm: &str, user: &str) -> Result<PathBuf> {
        let folder = self.state.join(realm).join(user);
        secret_file::create_private_dir(&folder)?;
        Ok(folder)
    }

    /// Returns the folder of the texts that one user of one realm saved and that are not in the
    /// bucket, which then exists.
    ///
    /// # Errors
    /// What the system says when the folder cannot be made.
    pub fn rejected_dir(&self, realm: &str, user: &str) -> Result<PathBuf> {
        let folder = self.state.join("rejected").join(realm).join(user);
        secret_file::create_private_dir(&folder)?;
        Ok(folder)
    }
}

fn read_config(flags: &Flags, environment: &Environment) -> Result<ConfigFile> {
    let asked = flags.config.clone().or_else(|| environment.var("CHARTFS_CONFIG").map(Into::into));
    let is_asked = asked.is_some();
    let path = match asked {
        Some(path) => path,
        None => environment.config_dir()?.join("chartfs.toml"),
    };
    ConfigFile::read(&path, is_asked)
}

fn store_options(
    flags: &Flags,
    environment: &Environment,
    file: file::StoreSection,
) -> Result<StoreOptions> {
    let var = |name: &str| environment.var(name).map(str::to_owned);
    let mut options = StoreOptions::from_vars(environment.vars());
    let first = |flag: &Option<String>, name: &str, own: Option<String>, file: Option<String>| {
        flag.clone().or_else(|| var(name)).or(own).or(file)
    };
    // The cloud's own variables stand between the two; which ones count, the bucket decides.
    options.endpoint = first(&flags.endpoint, "CHARTFS_ENDPOINT", None, None);
    options.endpoint_else = file.endpoint;
    options.region = first(&flags.region, "CHARTFS_REGION", options.region.take(), file.region);
    options.profile =
        first(&flags.profile, "CHARTFS_PROFILE", options.profile.take(), file.profile);
    options.path_style = options.path_style.or(file.path_style);
    let ca_bundle = options.ca_bundle.take().or(file.ca_bundle);
    options.ca_bundle = ca_bundle.map(std::path::absolute).transpose()?;
    Ok(options)
}

fn parse_number(name: &str, text: &str) -> Result<u64> {
    text.parse().map_err(|_| {
        Error::new(Kind::Usage, format!("{name} is not a number"))
            .because(format!("it says {text:?}"))
    })
}

/// Returns a path as the user should type it.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn environment(home: &Path, more: &[(&str, &str)]) -> Environment {
        let home = home.to_str().unwrap();
        Environment::new([("HOME", home)].iter().chain(more).copied())
    }

    fn write_config(home: &Path, text: &str) {
        let folder = home.join(".config/chartfs");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("chartfs.toml"), text).unwrap();
    }

    #[test]
    fn a_flag_wins_over_a_variable_and_that_over_the_file_and_that_over_the_default() {
        let home = tempfile::tempdir().unwrap();
        let load = |flags: &Flags, vars: &[(&str, &str)]| {
            Settings::load(flags, &environment(home.path(), vars)).unwrap()
        };
        assert_eq!(load(&Flags::default(), &[]).attr_ttl, Duration::from_secs(10));
        write_config(home.path(), "attr-ttl-s = 3\n[store]\nregion = \"from-file\"\n");
        assert_eq!(load(&Flags::default(), &[]).attr_ttl, Duration::from_secs(3));
        let vars = [("CHARTFS_ATTR_TTL_S", "4"), ("CHARTFS_REGION", "from-variable")];
        let settings = load(&Flags::default(), &vars);
        assert_eq!(settings.attr_ttl, Duration::from_secs(4));
        assert_eq!(settings.store.region.as_deref(), Some("from-variable"));
        let flags = Flags { region: Some("from-flag".to_owned()), ..Flags::default() };
        assert_eq!(load(&flags, &vars).store.region.as_deref(), Some("from-flag"));
        assert_eq!(load(&Flags::default(), &[]).store.region.as_deref(), Some("from-file"));
    }

    #[test]
    fn unknown_keys_and_bad_values_are_refused_with_the_name_of_the_file() {
        let home = tempfile::tempdir().unwrap();
        for bad in
            ["buckets = \"x\"", "attr-ttl-s = \"x\"", "bucket = \"x\"", "[store]\nregin=\"\""]
        {
            write_config(home.path(), bad);
            let e = Settings::load(&Flags::default(), &environment(home.path(), &[])).unwrap_err();
            assert_eq!(e.kind(), Kind::Usage, "{bad}");
        }
    }

    #[test]
    fn a_file_that_was_asked_for_has_to_exist() {
        let home = tempfile::tempdir().unwrap();
        let vars = [("CHARTFS_CONFIG", "/does/not/exist")];
        let e = Settings::load(&Flags::default(), &environment(home.path(), &vars)).unwrap_err();
        assert_eq!(e.kind(), Kind::NotFound);
    }

    #[test]
    fn no_color_is_obeyed_unless_a_flag_says_otherwise() {
        let home = tempfile::tempdir().unwrap();
        let environment = environment(home.path(), &[("NO_COLOR", "1")]);
        let color = |flags: &Flags| Settings::load(flags, &environment).unwrap().color;
        assert_eq!(color(&Flags::default()), Color::Never);
        assert_eq!(color(&Flags { color: Some(Color::Always), ..Flags::default() }), Color::Always);
    }

    #[test]
    fn the_folder_of_state_does_not_depend_on_the_working_directory_later() {
        let home = tempfile::tempdir().unwrap();
        let flags = Flags { state: Some("relative".into()), ..Flags::default() };
        let settings = Settings::load(&flags, &environment(home.path(), &[])).unwrap();
        assert!(settings.state.is_absolute());
    }

    #[test]
    fn marks_of_two_realms_and_two_users_never_share_a_file() {
        let home = tempfile::tempdir().unwrap();
        let settings = Settings::load(&Flags::default(), &environment(home.path(), &[])).unwrap();
        let file = |realm, user, name| settings.marks_file(realm, user, name).unwrap();
        let files = [("1", "1", "m"), ("2", "1", "m"), ("1", "2", "m"), ("1", "1", "c")]
            .map(|(r, u, n)| file(r, u, n));
        let distinct: std::collections::HashSet<_> = files.iter().collect();
        assert_eq!(distinct.len(), files.len());
        let mode = files[0].parent().unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
