//! What nearly every command begins with: the settings, the runtime, the bucket, the realm.

use std::future::Future;
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;

use super::GlobalArgs;
use crate::config::{Color, Environment, Flags, Settings};
use crate::error::{Error, Kind, Result};
use crate::realm::Realm;
use crate::store::{Bucket, Location};

/// The validated settings of one run of the program.
pub(super) struct Session {
    pub(super) settings: Settings,
    pub(super) environment: Environment,
}

impl Session {
    /// Puts the settings together; the first thing that may fail because of the environment.
    pub(super) fn new(global: &GlobalArgs) -> Result<Self> {
        let environment = Environment::of_process();
        let color = global.color.as_deref().map(str::parse::<Color>).transpose()?;
        let flags = Flags {
            config: global.config.clone(),
            endpoint: global.endpoint.clone(),
            region: global.region.clone(),
            profile: global.profile.clone(),
            state: global.state.clone(),
            color,
        };
        let settings = Settings::load(&flags, &environment)?;
        Ok(Self { settings, environment })
    }

    /// Returns the bucket that the command line names, or that of the settings.
    pub(super) fn location(&self, named: Option<&str>) -> Result<Location> {
        match named {
            Some(text) => text.parse(),
            None => self.settings.bucket.clone().ok_or_else(|| {
                Error::new(Kind::Usage, "no bucket is named")
                    .because("neither the command nor the configuration says which")
                    .hint("add --realm BUCKET, or set CHARTFS_BUCKET")
            }),
        }
    }

    /// Returns the credential that the command line names, or that of the settings.
    pub(super) fn credential_file(&self, named: Option<&Path>) -> Result<PathBuf> {
        let file = named.map(Path::to_owned).or_else(|| self.settings.credential.clone());
        file.ok_or_else(|| {
            Error::new(Kind::Usage, "no credential is named")
                .because("neither the command nor the configuration says which")
                .hint("add --credential FILE, or set CHARTFS_CREDENTIAL")
        })
    }

    /// Opens a bucket that exists.
    pub(super) async fn open_bucket(&self, location: &Location) -> Result<Bucket> {
        Bucket::open(location, &self.settings.store).await
    }

    /// Opens the realm in a bucket; with a pin, only the realm of that genesis.
    pub(super) async fn open_realm(
        &self,
        location: &Location,
        pin: Option<&[u8; 32]>,
    ) -> Result<Realm> {
        Realm::open(self.open_bucket(location).await?, pin).await
    }
}

/// Runs a command's asynchronous part to its end: the one place that makes a runtime.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T> {
    Ok(runtime()?.block_on(work))
}

/// Makes the runtime.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("chartfs")
        .build()
        .map_err(|e| Error::new(Kind::Internal, "cannot start the runtime").because(e))
}

/// Where log lines go.
pub(super) enum LogTo {
    /// The standard error.
    Stderr,
    /// A file, at its end.
    File(std::fs::File),
}

/// Begins to send log lines, from warnings on unless the settings say otherwise.
pub(super) fn start_log(session: &Session, to: LogTo) {
    let wanted = session.settings.log.as_deref().unwrap_or("warn");
    let filter = EnvFilter::new(format!("{wanted},{}", crate::daemon::LOG_LIMIT));
    // A line that cannot be written, as on a full disk, is left out: a complaint about it on a
    // standard error that is full too would end the thread, and with it the mount.
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .log_internal_errors(false);
    // A second run in one process, as in a test, keeps the first subscriber.
    let _ = match to {
        LogTo::Stderr => subscriber.with_writer(std::io::stderr).without_time().try_init(),
        LogTo::File(file) => subscriber.with_writer(std::sync::Mutex::new(file)).try_init(),
    };
}
