//! How a bucket is reached: endpoint, credentials, deadlines. All values are explicit; nothing
//! here reads the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What a local directory does so that a power cut loses nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DirectorySync {
    /// Data reaches the disk before the rename, the directory entry before the answer.
    #[default]
    Full,
    /// Data reaches the disk before the rename, so that an object is never torn; entries are
    /// synced by [`Bucket::sync`](super::Bucket::sync).
    Data,
    /// Nothing is synced: a power cut may leave objects empty. For measurements and for buckets
    /// that are thrown away.
    Off,
}

/// Everything that opening a bucket needs beside its [`Location`](super::Location).
///
/// `Debug` shows the names of the variables that it took over, never their values.
#[derive(Clone)]
pub struct StoreOptions {
    /// The URL of a server that is not the cloud's own, as in `http://127.0.0.1:8333`; it wins over
    /// the cloud's own variables.
    pub endpoint: Option<String>,
    /// The same when neither [`Self::endpoint`] nor a variable of the cloud says it.
    pub endpoint_else: Option<String>,
    /// The region of the bucket; `us-east-1` when neither this nor the profile says it.
    pub region: Option<String>,
    /// Whether the bucket's name goes into the path (`true`) or the host name (`false`) of a URL.
    /// By default the path for an own endpoint, the host name for AWS.
    pub path_style: Option<bool>,
    /// The profile of `~/.aws/credentials` and `~/.aws/config`; `default` when not given.
    pub profile: Option<String>,
    /// A file of PEM certificates to trust beside the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Whether a local directory is created when it does not exist.
    pub create_directory: bool,
    /// What a local directory does against power cuts.
    pub directory_sync: DirectorySync,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long one request may take, beside the time for its bytes at 128 KiB per second.
    pub request_timeout: Duration,
    /// How long one operation may take with all its retries.
    pub operation_timeout: Duration,
    /// How often a request is tried, at most.
    pub tries: u32,
    /// The longest wait before the first retry; it doubles with each try, up to 5 s.
    pub retry_wait: Duration,
    /// Variables of the cloud's own conventions: credentials, and where to find them.
    pub vars: Vars,
}

/// Variables with credentials among them: what they say is shown to nobody.
#[derive(Clone, Default)]
pub struct Vars(pub(super) BTreeMap<String, String>);

/// The prefixes of the variables that are taken over.
const VAR_PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            endpoint: None,
            endpoint_else: None,
            region: None,
            path_style: None,
            profile: None,
            ca_bundle: None,
            create_directory: false,
            directory_sync: DirectorySync::default(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(20),
            operation_timeout: Duration::from_secs(60),
            tries: 6,
            retry_wait: Duration::from_millis(50),
            vars: Vars::default(),
        }
    }
}

impl StoreOptions {
    /// Takes over what `vars`, the environment of the process, says about the clouds: `AWS_*`,
    /// `AZURE_*`, `GOOGLE_*`, and `HOME`, where the profiles are.
    pub fn from_vars(vars: impl Iterator<Item = (String, String)>) -> Self {
        let taken = |name: &str| name == "HOME" || VAR_PREFIXES.iter().any(|p| name.starts_with(p));
        let vars: BTreeMap<_, _> =
            vars.filter(|(name, value)| taken(name) && !value.is_empty()).collect();
        let first = |names: &[&str]| names.iter().find_map(|n| vars.get(*n).cloned());
        Self {
            region: first(&["AWS_REGION", "AWS_DEFAULT_REGION"]),
            profile: first(&["AWS_PROFILE"]),
            ca_bundle: first(&["AWS_CA_BUNDLE"]).map(Into::into),
            vars: Vars(vars),
            ..Self::default()
        }
    }

    /// Returns the endpoint; `vars` are the cloud's own variables for it, the strongest first.
    pub(super) fn endpoint_of(&self, vars: &[&str]) -> Option<&str> {
        let said = || vars.iter().find_map(|name| self.var(name));
        self.endpoint.as_deref().or_else(said).or(self.endpoint_else.as_deref())
    }

    pub(super) fn var(&self, name: &str) -> Option<&str> {
        self.vars.0.get(name).map(String::as_str)
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("path_style", &self.path_style)
            .field("profile", &self.profile)
            .field("directory_sync", &self.directory_sync)
            .field("request_timeout", &self.request_timeout)
            .field("operation_timeout", &self.operation_timeout)
            .field("tries", &self.tries)
            .field("vars", &self.vars.0.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(vars: &[(&str, &str)]) -> StoreOptions {
        StoreOptions::from_vars(vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn the_s3_endpoint_and_the_region_win_over_the_general_ones() {
        let mut o = from(&[
            ("AWS_ENDPOINT_URL", "http://a"),
            ("AWS_ENDPOINT_URL_S3", "http://b"),
            ("AWS_DEFAULT_REGION", "x"),
            ("AWS_REGION", "y"),
            ("PATH", "/bin"),
        ]);
        let s3 = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        assert_eq!((o.endpoint_of(&s3), o.region.as_deref()), (Some("http://b"), Some("y")));
        assert_eq!(o.endpoint_of(&["AZURE_ENDPOINT"]), None);
        o.endpoint_else = Some("http://c".to_owned());
        assert_eq!((o.endpoint_of(&s3), o.endpoint_of(&[])), (Some("http://b"), Some("http://c")));
        o.endpoint = Some("http://d".to_owned());
        assert_eq!((o.endpoint_of(&s3), o.endpoint_of(&[])), (Some("http://d"), Some("http://d")));
        assert_eq!(o.var("PATH"), None);
        assert_eq!(from(&[("AWS_REGION", "")]).region, None);
    }

    #[test]
    fn debug_shows_no_secret() {
        let o = from(&[("AWS_SECRET_ACCESS_KEY", "hunter2"), ("AWS_SESSION_TOKEN", "hunter3")]);
        assert_eq!(o.var("AWS_SECRET_ACCESS_KEY"), Some("hunter2"));
        let shown = format!("{o:?}");
        assert!(shown.contains("AWS_SECRET_ACCESS_KEY") && !shown.contains("hunter"), "{shown}");
    }
}
