//! `chartfs umount`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::report::{Exit, Outcome};
use crate::daemon::{self, Status};
use crate::error::{Error, Kind, Result};
use crate::store::Bucket;

/// How long to wait for the daemon: longer than its own limits together.
const WAIT_LIMIT: Duration = Duration::from_secs(180);

/// Unmount a drive
///
/// Everything written is committed first, by the mount itself; the command waits until that is
/// done, for 180 seconds at most. What the bucket does not answer to stays in the journal, and the
/// command says so.
///
/// It never waits for ever: within 20 seconds the drive is off, or the command says why not. A drive
/// whose daemon is dead is taken off; programs that hung in it get an error (ENOTCONN). One whose
/// daemon is stopped, or does not answer for 5 seconds, stays, for the daemon may still have what
/// programs wrote: let it go on (kill -CONT), or use --force.
#[derive(Args, Debug)]
pub(super) struct UmountArgs {
    /// The mount point
    #[arg(required = true, value_name = "DIR")]
    points: Vec<PathBuf>,
    /// Take it out of the tree of files at once, even when programs have files open there
    #[arg(short = 'z', long)]
    lazy: bool,
    /// Take it off whatever its daemon does: programs that wait for it get an error. A daemon that
    /// lives commits what it has and ends, but is not waited for
    #[arg(short, long, conflicts_with = "lazy")]
    force: bool,
}

pub(super) fn run(args: &UmountArgs) -> Outcome {
    let mut left = 0;
    for point in &args.points {
        if args.force {
            daemon::umount_by_force(point)?;
            continue;
        }
        // A dead mount, or one of an unknown version, says nothing.
        let status = daemon::status(point).ok();
        daemon::umount(point, args.lazy)?;
        if let Some(status) = status.filter(|_| !args.lazy) {
            left += wait(point, &status)?;
        }
    }
    if left == 0 {
        return Ok(Exit::DONE);
    }
    Err(Error::new(Kind::Unavailable, format!("{left} writes are not in the bucket yet"))
        .because("the bucket did not answer")
        .hint("they are kept on this workstation; the next mount of the drive sends them")
        .into())
}

/// Waits until the daemon behind a mount has committed what was written and ended; returns how
/// many writes stay in its journal.
fn wait(point: &Path, status: &Status) -> Result<usize> {
    let Some(pid) = status.daemon_pid else { return Ok(0) };
    if !daemon::wait_for_end(pid, WAIT_LIMIT) {
        return Err(Error::new(Kind::Unavailable, "the drive is unmounted, but still commits")
            .because(format!("process {pid} took more than {} s", WAIT_LIMIT.as_secs()))
            .hint(format!("wait for it to end; its log tells more about {}", point.display())));
    }
    match status.journal.as_deref().map(Path::new).filter(|journal| journal.exists()) {
        Some(journal) => Bucket::count_journal(journal),
        None => Ok(0),
    }
}
