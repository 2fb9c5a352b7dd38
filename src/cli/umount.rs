//! `chartfs umount`.

use std::path::PathBuf;

use clap::Args;

use super::report::{Exit, Outcome};
use crate::daemon;

/// Unmount a drive
///
/// Everything written is committed first, by the mount itself. A dead mount is cleared.
#[derive(Args, Debug)]
pub(super) struct UmountArgs {
    /// The mount point
    #[arg(required = true, value_name = "DIR")]
    points: Vec<PathBuf>,
    /// Take it out of the tree of files at once, even when programs have files open there
    #[arg(short = 'z', long)]
    lazy: bool,
}

pub(super) fn run(args: &UmountArgs) -> Outcome {
    for point in &args.points {
        daemon::umount(point, args.lazy)?;
    }
    Ok(Exit::DONE)
}
