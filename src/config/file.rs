//! The configuration file, `chartfs.toml`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::shown;
use crate::error::{Error, Kind, Result};

/// The longest configuration file, in bytes.
const CONFIG_LEN_MAX_BYTES: u64 = 1 << 20;

/// What the file may say; every key is optional and no other is known.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ConfigFile {
    pub(super) bucket: Option<String>,
    pub(super) credential: Option<PathBuf>,
    pub(super) passphrase_file: Option<PathBuf>,
    pub(super) passphrase_command: Option<String>,
    pub(super) attr_ttl_s: Option<u64>,
    pub(super) commit: Option<String>,
    pub(super) cache_mib: Option<u64>,
    pub(super) journal_mib: Option<u64>,
    pub(super) color: Option<String>,
    pub(super) log: Option<String>,
    pub(super) state: Option<PathBuf>,
    #[serde(default)]
    pub(super) store: StoreSection,
}

/// How a bucket is reached. Passwords of the cloud come from its own files, never from here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct StoreSection {
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) path_style: Option<bool>,
    pub(super) ca_bundle: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads the file; when nobody asked for it, it may be missing.
    pub(super) fn read(path: &Path, is_asked: bool) -> Result<Self> {
        let cannot = |kind| Error::new(kind, format!("cannot read {}", shown(path)));
        let text = match std::fs::metadata(path).and_then(|m| {
            if m.len() > CONFIG_LEN_MAX_BYTES {
                return Err(std::io::ErrorKind::FileTooLarge.into());
            }
            std::fs::read_to_string(path)
        }) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !is_asked => {
                return Ok(Self::default());
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(cannot(Kind::NotFound).because("it does not exist"));
            }
            Err(e) => return Err(cannot(Kind::Usage).because(e)),
        };
        toml::from_str(&text).map_err(|e| cannot(Kind::Usage).because(e.to_string().trim_end()))
    }
}
