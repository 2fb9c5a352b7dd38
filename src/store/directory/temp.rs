//! Files that are not objects yet.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
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
