//! `chartfs mount`.

mod options;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::drive::{DriveArgs, Holder, Workstation, open_drive, open_moves};
use super::out::say;
use super::report::{Exit, Outcome};
use super::secrets;
use super::session::{LogTo, Session, runtime, start_log};
use super::user::grants_of;
use crate::daemon::{self, Mount, MountOptions, Stop};
use crate::error::{Error, Kind, Result};
use crate::key::credential::Credential;
use crate::store::Location;
use crate::view::{View, ViewOptions};

/// Mount the drive
///
/// Returns when the drive works; the mount goes on in the background until it is unmounted. One
/// mount shows what one credential opens, to the user who mounted it.
#[derive(Args, Debug)]
pub(super) struct MountArgs {
    /// The bucket
    source: String,
    /// An empty folder
    dir: PathBuf,
    /// Stay in the foreground, as under systemd; INT and TERM unmount
    #[arg(short, long)]
    foreground: bool,
    /// Options as of mount(8), with commas between them
    #[arg(short, value_name = "OPTIONS")]
    options: Vec<String>,
    /// Let nothing be changed
    #[arg(long)]
    read_only: bool,
    /// Cover a folder that is not empty
    #[arg(long)]
    nonempty: bool,
    /// For how many seconds the kernel may answer by itself
    #[arg(long, value_name = "SECONDS")]
    attr_ttl: Option<u64>,
    /// What close and fsync wait for: remote, the bucket; or journal, this workstation's disk
    #[arg(long, value_name = "WHERE")]
    commit: Option<String>,
    /// How many MiB of sealed objects are kept on this disk; 0 for none
    #[arg(long, value_name = "MIB")]
    cache_mib: Option<u64>,
    /// Keep what the credential opens below this folder of the drive readable without the bucket
    #[arg(long, value_name = "PATH")]
    pin: Vec<String>,
    /// Where log lines go in the background instead of mount.log in the folder of state
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    #[command(flatten)]
    drive: DriveArgs,
}

/// Everything that a mount needs, validated.
struct Plan {
    location: Location,
    point: PathBuf,
    credential: Credential,
    options: MountOptions,
    attr_ttl: Duration,
    workstation: Workstation,
    pins: Vec<String>,
}

pub(super) fn run(args: &mut MountArgs, session: &Session) -> Outcome {
    let plan = plan(args, session)?;
    if args.foreground {
        start_log(session, LogTo::Stderr);
        daemon::harden()?;
        serve(session, plan, || ())?;
    } else {
        let log = log_file(args, session);
        daemon::background(|ready| {
            start_log(session, LogTo::File(log?));
            serve(session, plan, || ready.report())
        })?;
    }
    Ok(Exit::DONE)
}

/// Checks what can be checked before anything is mounted: the arguments, the mount point, the
/// credential.
fn plan(args: &mut MountArgs, session: &Session) -> Result<Plan> {
    let location: Location = args.source.parse()?;
    let list = options::parse(&args.options)?;
    let nonempty = args.nonempty || list.nonempty;
    if daemon::clear_dead(&args.dir)? {
        say(format_args!("note: a dead mount of {} was cleared", args.dir.display()));
    }
    let point = daemon::check_point(&args.dir, nonempty)?;
    let flag = args.attr_ttl.map(Duration::from_secs);
    let attr_ttl = flag.or(list.attr_ttl).unwrap_or(session.settings.attr_ttl);
    let named = args.drive.credential.take().or(list.credential);
    let passphrase = &mut args.drive.passphrase;
    if passphrase.passphrase_file.is_none() && passphrase.passphrase_command.is_none() {
        passphrase.passphrase_file = list.passphrase_file;
    }
    let path = session.credential_file(named.as_deref())?;
    let credential = secrets::open_credential(session, &path, passphrase)?;
    check_expiry(&path, &credential)?;
    let read_only = args.read_only || list.read_only;
    let commit = match args.commit.take().or(list.commit) {
        Some(text) => text.parse()?,
        None => session.settings.commit,
    };
    let cache_mib = args.cache_mib.or(list.cache_mib);
    let cache_bytes =
        cache_mib.map_or(session.settings.cache_bytes, |mib| mib.saturating_mul(1 << 20));
    let pins: Vec<String> = args.pin.drain(..).chain(list.pins).collect();
    let is_pinned = !pins.is_empty();
    if is_pinned && cache_bytes == 0 {
        return Err(Error::new(Kind::Usage, "nothing can be pinned without a cache")
            .hint("give --cache-mib more than 0"));
    }
    let workstation = Workstation { commit, cache_bytes, read_only, is_pinned };
    let options = MountOptions { read_only, nonempty, attr_ttl, ..MountOptions::default() };
    Ok(Plan { location, point, credential, options, attr_ttl, workstation, pins })
}

/// Warns of attributes that have ended, and refuses a credential of which nothing is left.
fn check_expiry(path: &Path, credential: &Credential) -> Result<()> {
    let grants = grants_of(credential)?;
    let ended: Vec<String> =
        grants.iter().filter(|g| g.expired).map(|g| g.authority.clone()).collect();
    if !ended.is_empty() && ended.len() == grants.len() {
        return Err(Error::new(Kind::CredentialExpired, "the credential has expired")
            .because(format!("the attributes of {} have ended", ended.join(", ")))
            .hint(format!(
                "show them a new request: chartfs user show --request {}",
                path.display()
            )));
    }
    for authority in ended {
        say(format_args!("warning: the attributes of {authority} have ended"));
    }
    Ok(())
}

/// Opens the log in the parent, whose folder is still the user's.
fn log_file(args: &MountArgs, session: &Session) -> Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = args.log_file.clone().unwrap_or_else(|| session.settings.state.join("mount.log"));
    if args.log_file.is_none() {
        std::fs::create_dir_all(&session.settings.state)?;
    }
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(|e| {
        Error::new(Kind::Usage, format!("cannot write the log {}", path.display())).because(e)
    })
}

/// Mounts and serves until the end; the one place that calls the daemon.
fn serve(session: &Session, plan: Plan, ready: impl FnOnce()) -> Result<()> {
    let runtime = runtime()?;
    let stop = Stop::new();
    daemon::stop_on_signals(&stop)?;
    let view = runtime.block_on(async {
        let holder = Holder::Mount(plan.workstation);
        let records = open_drive(session, &plan.location, plan.credential, holder).await?;
        let daemon_pid = Some(std::process::id());
        let options = ViewOptions { attr_ttl: plan.attr_ttl, daemon_pid, ..ViewOptions::default() };
        let texts = super::rejected::open_texts(session, records.keyring().clone())?;
        let moves = open_moves(session, records.keyring().clone())?;
        let view = View::of(Arc::new(records), options).await?;
        view.keep_rejected_in(texts);
        if !plan.pins.is_empty() {
            view.pin(plan.pins);
        }
        if !plan.options.read_only {
            view.note_moves_in(moves);
            // What cannot be completed now is completed while the drive is used.
            if let Err(error) = view.complete_moves().await {
                tracing::warn!(%error, "a move that was interrupted waits for the bucket");
            }
        }
        Ok::<_, Error>(view)
    })?;
    let mount = Mount {
        view,
        point: plan.point,
        source_label: plan.location.to_string(),
        options: plan.options,
    };
    daemon::serve(mount, runtime.handle(), &stop, ready)
}
