//! What a process that holds keys does to itself.

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};

use crate::error::{Error, Kind, Result};

/// Keeps keys out of core dumps and other processes of the same user out of this one's memory,
/// and makes new files private. For the background child and for `-f` alike.
///
/// # Errors
/// `Internal` when the system refuses.
pub fn harden() -> Result<()> {
    let failed = |e: nix::errno::Errno| {
        Error::new(Kind::Internal, "cannot protect the memory of this process").because(e.desc())
    };
    nix::sys::prctl::set_dumpable(false).map_err(failed)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(failed)?;
    umask(Mode::from_bits_truncate(0o077));
    Ok(())
}
