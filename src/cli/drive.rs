//! The drive without a mount: what `ls`, `cat`, `get`, `put` and `import` have in common, and how
//! a mount opens it too.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::out::say;
use super::report::Failure;
use super::secrets::{self, PassphraseArgs};
use super::session::{Session, runtime};
use crate::config::Commit;
use crate::error::{Error, Kind, Result};
use crate::key::credential::{Credential, hex};
use crate::key::keyring::Keyring;
use crate::realm::Realm;
use crate::record::Records;
use crate::record::marks::Marks;
use crate::store::{Bucket, Location, sync_names_of};
use crate::view::{Access, Ino, Moves, View, ViewOptions};

/// How many commands of one user may work on one realm at a time.
const COMMANDS_MAX: usize = 16;
/// How often, and how long, a mount waits for the one before it to leave.
const LEAVING_TRIES: u32 = 50;
const LEAVING_WAIT: Duration = Duration::from_millis(100);
/// How much of a file is read at once.
const PIECE_BYTES: u32 = 1 << 20;

/// Whose view of the drive it is.
#[derive(Args, Debug)]
pub(super) struct DriveArgs {
    /// The credential
    #[arg(long, value_name = "FILE")]
    pub(super) credential: Option<PathBuf>,
    #[command(flatten)]
    pub(super) passphrase: PassphraseArgs,
}

/// What a mount keeps on this workstation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Workstation {
    pub(super) commit: Commit,
    pub(super) cache_bytes: u64,
    pub(super) read_only: bool,
    /// Whether something is to be readable without the bucket.
    pub(super) is_pinned: bool,
}

/// Who holds the high-water marks, which one process at a time may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A command, which ends soon: several may run at a time.
    Command,
    /// The mount of a user, of which there is one for each realm and folder of state.
    Mount(Workstation),
}

/// Opens the records of a realm for the holder of a credential.
pub(super) async fn open_drive(
    session: &Session,
    location: &Location,
    credential: Credential,
    holder: Holder,
) -> Result<Records> {
    let pin = credential.realm_genesis;
    let (realm, marks) = match holder {
        Holder::Command => {
            // A bucket that cannot be opened leaves nothing behind here.
            let realm = session.open_realm(location, Some(&pin)).await?;
            (realm, open_command_marks(session, &credential)?)
        }
        Holder::Mount(workstation) => {
            // The marks first: they are the lock of the cache and the journal too.
            let marks = open_mount_marks(session, &credential).await?;
            let bucket = open_bucket(session, location, &credential, workstation).await?;
            (Realm::open(bucket, Some(&pin)).await?, marks)
        }
    };
    let keyring = Keyring::new(credential)?;
    Ok(Records::new(Arc::new(realm), Arc::new(keyring), Arc::new(marks)))
}

/// Returns the names of the realm and the user in the folder of state.
fn names_of(credential: &Credential) -> (String, String) {
    (hex(&credential.realm_genesis[..16]), hex(&credential.gid().0[..16]))
}

/// Opens the bucket with what this workstation keeps of it and for it.
async fn open_bucket(
    session: &Session,
    location: &Location,
    credential: &Credential,
    workstation: Workstation,
) -> Result<Bucket> {
    let (realm, user) = names_of(credential);
    let settings = &session.settings;
    let mut bucket = session.open_bucket(location).await?;
    let journal = settings.journal_file(&realm, &user)?;
    let is_write_back = workstation.commit == Commit::Journal;
    let is_left = journal.exists() && Bucket::count_journal(&journal)? > 0;
    // A local directory is as near as its cache would be.
    let is_near = matches!(location, Location::Directory(_) | Location::Memory);
    let has_cache = workstation.cache_bytes > 0
        && (!is_near || is_write_back || is_left || workstation.is_pinned);
    if !workstation.read_only {
        match bucket.probe().await {
            Err(e) if e.kind() == Kind::Unavailable && has_cache => {
                say(format_args!("warning: the bucket cannot be reached: working off-line"));
            }
            probed => probed?,
        }
    }
    if has_cache {
        let cache = settings.cache_file(&realm, &user)?;
        bucket = bucket.with_cache(&cache, workstation.cache_bytes)?;
        if workstation.is_pinned {
            // What opening the realm reads is needed without the bucket too.
            bucket.begin_pinning();
        } else {
            bucket.end_pinning(true)?;
        }
    }
    if is_write_back || is_left {
        bucket = bucket.with_journal(&journal, settings.journal_bytes, is_write_back)?;
    }
    Ok(bucket)
}

/// Opens the notes of moves under way, of a mount that holds its marks.
pub(super) fn open_moves(session: &Session, keyring: Arc<Keyring>) -> Result<Moves> {
    let (realm, user) = (hex(&keyring.realm_genesis()[..16]), hex(&keyring.gid().0[..16]));
    let folder = session.settings.moves_dir(&realm, &user)?;
    // Always, because the process that made the folder may have died before it could.
    sync_names_of(&folder.join("new"))?;
    Moves::open(folder, keyring)
}

async fn open_mount_marks(session: &Session, credential: &Credential) -> Result<Marks> {
    let (realm, user) = names_of(credential);
    let path = session.settings.marks_file(&realm, &user, "mount")?;
    // A mount that was just taken off is still committing what was written.
    for _ in 0..LEAVING_TRIES {
        match Marks::open(&path) {
            Err(e) if e.kind() == Kind::Conflict => tokio::time::sleep(LEAVING_WAIT).await,
            other => return other,
        }
    }
    Marks::open(&path)
}

fn open_command_marks(session: &Session, credential: &Credential) -> Result<Marks> {
    let (realm, user) = names_of(credential);
    let open = |name: &str| Marks::open(&session.settings.marks_file(&realm, &user, name)?);
    for i in 1..COMMANDS_MAX {
        match open(&format!("command-{i}")) {
            Err(e) if e.kind() == Kind::Conflict => {}
            other => return other,
        }
    }
    open(&format!("command-{COMMANDS_MAX}"))
}

/// Opens the drive, does some work in it, and commits what the work left.
pub(super) fn with_view<T>(
    session: &Session,
    bucket: &str,
    args: &DriveArgs,
    work: impl AsyncFnOnce(&Arc<View>) -> std::result::Result<T, Failure>,
) -> std::result::Result<T, Failure> {
    let location: Location = bucket.parse()?;
    let path = session.credential_file(args.credential.as_deref())?;
    let credential = secrets::open_credential(session, &path, &args.passphrase)?;
    runtime()?.block_on(async {
        let records = open_drive(session, &location, credential, Holder::Command).await?;
        let view = View::of(Arc::new(records), ViewOptions::default()).await?;
        let done = work(&view).await;
        let drained = view.drain().await;
        let done = done?;
        drained?;
        Ok(done)
    })
}

/// Reads a file piece by piece.
pub(super) async fn read_file(
    view: &View,
    ino: Ino,
    mut take: impl FnMut(&[u8]) -> std::result::Result<(), Failure>,
) -> std::result::Result<(), Failure> {
    let opened = view.open(ino, Access { read: true, ..Access::default() }).await?;
    let mut at = 0;
    let result = loop {
        match view.read(opened.handle, at, PIECE_BYTES).await {
            Ok(bytes) if bytes.is_empty() => break Ok(()),
            Ok(bytes) => {
                at += bytes.len() as u64;
                if let Err(e) = take(&bytes) {
                    break Err(e);
                }
            }
            Err(e) => break Err(e.into()),
        }
    };
    view.release(opened.handle).await;
    result
}

/// Splits a path in the drive into its folder and the name in it.
pub(super) fn split_path(path: &str) -> Result<(&str, &str)> {
    let path = path.trim_end_matches('/');
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name.is_empty() || name == "." || name == ".." {
        return Err(Error::new(Kind::Usage, format!("{path:?} does not name a file")));
    }
    Ok((folder, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_into_folder_and_name() {
        assert_eq!(split_path("/a/b.json").unwrap(), ("/a", "b.json"));
        assert_eq!(split_path("b").unwrap(), ("", "b"));
        for bad in ["/", "", "a/..", "a/."] {
            assert!(split_path(bad).is_err(), "{bad}");
        }
    }
}
