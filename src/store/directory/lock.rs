//! The locks that the processes of a bucket share: one `flock` file for each shard of the names.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::super::name::ObjectName;
use super::disk::{Disk, failed};
use crate::error::{Error, Kind, Result};

/// How many locks the names share; part of what the processes agree on.
const SHARDS: usize = 64;

/// A lock is held for some system calls only; who holds it longer is stopped or hangs.
const LOCK_TIMEOUT: Duration = Duration::from_secs(20);

/// The locks of one bucket in this process.
pub(super) struct Locks([Mutex<Option<File>>; SHARDS]);

impl Default for Locks {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

/// A lock that is held, against the threads of this process and against other processes.
pub(super) struct Locked<'a>(MutexGuard<'a, Option<File>>);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if let Some(Err(e)) = self.0.as_ref().map(File::unlock) {
            tracing::error!(error = %e, "a lock of the bucket cannot be given back");
            // Closing the file gives it back.
            *self.0 = None;
        }
    }
}

impl Locks {
    /// Waits for the lock of `name`.
    pub(super) fn lock(&self, disk: &Disk, name: &ObjectName) -> Result<Locked<'_>> {
        let shard = shard(name);
        let mut file = self.0[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = Instant::now() + LOCK_TIMEOUT;
        let mut wait = Duration::from_micros(50);
        loop {
            let opened = match file.take() {
                Some(opened) => opened,
                None => open(disk, shard)?,
            };
            match opened.try_lock() {
                // Somebody may have removed the file: then others lock another one.
                Ok(()) if opened.metadata().is_ok_and(|m| m.nlink() == 0) => continue,
                Ok(()) => {
                    *file = Some(opened);
                    return Ok(Locked(file));
                }
                Err(TryLockError::WouldBlock) => *file = Some(opened),
                Err(TryLockError::Error(e)) => {
                    return Err(failed("cannot lock the bucket", e)
                        .hint("keep the bucket on a file system with flock"));
                }
            }
            if Instant::now() >= deadline {
                return Err(Error::new(Kind::Unavailable, "the bucket is locked")
                    .because(format!("another program holds lock {shard:02x} of the bucket")));
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_millis(5));
        }
    }
}

fn open(disk: &Disk, shard: usize) -> Result<File> {
    let directory = disk.own("lock")?;
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    let fd = openat(&directory, format!("{shard:02x}").as_str(), flags, mode)
        .map_err(|e| failed("cannot open a lock of the bucket", e))?;
    Ok(fd.into())
}

/// Returns the shard of a name: FNV-1a, the same in every process and release.
fn shard(name: &ObjectName) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.as_str().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // The high bits are the better mixed ones.
    usize::try_from(hash >> 58).expect("six bits fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_shard_for_ever() {
        let at = |name: &str| shard(&ObjectName::new(name).unwrap());
        // FNV-1a of "a" is af63dc4c8601ec8c, of "foobar" 85944171f73967e8.
        assert_eq!(at("a") as u64, 0xaf63_dc4c_8601_ec8c >> 58);
        assert_eq!(at("foobar") as u64, 0x8594_4171_f739_67e8 >> 58);
    }
}
