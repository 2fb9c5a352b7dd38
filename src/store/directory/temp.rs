//! Files that are not objects yet.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::disk::{Disk, failed};
use crate::error::Result;

/// A file that is not an object yet; removed when dropped, if it has not become one.
pub(super) struct Temp {
    pub(super) file: File,
    pub(super) directory: OwnedFd,
    pub(super) name: String,
}

impl Temp {
    pub(super) fn new(disk: &Disk) -> Result<Self> {
        let directory = disk.own("tmp")?;
        let flags =
            OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        loop {
            let count = disk.temps.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}-{}-{count}", std::process::id(), started.as_nanos());
            match openat(&directory, name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR) {
                Ok(fd) => return Ok(Self { file: fd.into(), directory, name }),
                Err(Errno::EEXIST) => {}
                Err(e) => return Err(failed("cannot create a temporary file in the bucket", e)),
            }
        }
    }

    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(|e| failed("cannot write to the bucket", e))
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // After a rename there is nothing of this name left, which is as good.
        let _ = unlinkat(self.directory.as_fd(), self.name.as_str(), UnlinkatFlags::NoRemoveDir);
    }
}

/// Returns when a file was changed, in seconds and nanoseconds.
pub(super) fn time_of(stat: &FileStat) -> (i64, i64) {
    (stat.st_mtime, stat.st_mtime_nsec)
}

/// Returns the time of now, or the nanosecond after that of the object to be replaced.
pub(super) fn later_than(current: Option<&FileStat>) -> TimeSpec {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = TimeSpec::from(now);
    let Some(stat) = current else { return now };
    let before = time_of(stat);
    if (now.tv_sec(), now.tv_nsec()) > before {
        return now;
    }
    match before {
        (seconds, 999_999_999) => TimeSpec::new(seconds.saturating_add(1), 0),
        (seconds, nanoseconds) => TimeSpec::new(seconds, nanoseconds + 1),
    }
}
