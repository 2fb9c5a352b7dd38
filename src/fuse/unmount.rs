//! Unmounting: never a file system of somebody else, never by surprise.

use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use super::mount::{Mounted, fusermount};
use super::point::{self, FS_TYPE, MountEntry};
use crate::error::{Error, Kind, Result};

/// What became of an attempt to unmount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmounted {
    /// It is not in the tree of files any more.
    Done,
    /// A program has files open there or stands in it; nothing was changed.
    Busy,
}

impl Mounted {
    /// Unmounts when nobody uses it.
    ///
    /// # Errors
    /// `MountPoint` when the system refuses for another reason than use.
    pub fn unmount(&self) -> Result<Unmounted> {
        self.take_off(false)
    }

    /// Takes it out of the tree of files at once; programs keep the files that they have open
    /// until they close them or this process ends.
    ///
    /// # Errors
    /// `MountPoint` when the system refuses.
    pub fn detach(&self) -> Result<Unmounted> {
        self.take_off(true)
    }

    /// Detaches and only logs when that fails.
    pub(crate) fn detach_quietly(&self) {
        if let Err(error) = self.detach() {
            tracing::warn!(%error, "the mount stays behind");
        }
    }

    /// Detaches and ends the conversation from the kernel's side: whoever waits for an answer,
    /// or asks through a file that is still open, gets an error.
    ///
    /// The system lets only root do the second while the mount is in the tree; otherwise it is
    /// tried through the kernel's control files, and without those only the end of this process
    /// does it. Says whether the conversation ends.
    pub(crate) fn force_off(&self) -> bool {
        let ours = |p: &Path| {
            point::mounted_at(p).is_ok_and(|m| m.is_some_and(|m| m.device == self.device))
        };
        let forced = self.point.as_deref().filter(|p| ours(p)).is_some_and(|point| {
            umount2(point, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH).is_ok()
        });
        self.detach_quietly();
        let minor = self.device.split_once(':').map_or("none", |(_, minor)| minor);
        forced || std::fs::write(format!("/sys/fs/fuse/connections/{minor}/abort"), b"1").is_ok()
    }

    fn take_off(&self, lazy: bool) -> Result<Unmounted> {
        let Some(point) = &self.point else {
            return Ok(Unmounted::Busy);
        };
        match point::mounted_at(point)? {
            Some(entry) if entry.device == self.device => take_off(point, lazy),
            _ => Ok(Unmounted::Done),
        }
    }
}

/// Unmounts the chartfs at `point` for the command line. A dead mount is cleared; one in use is
/// left alone unless `lazy`. The daemon behind a living one notices, commits what is left and
/// ends.
///
/// # Errors
/// `MountPoint` when no chartfs is mounted there, or it is in use, or the system refuses.
pub fn umount(point: &Path, lazy: bool) -> Result<()> {
    let shown = point.display();
    let failed = || Error::new(Kind::MountPoint, format!("cannot unmount {shown}"));
    let resolved = point::resolved(point).map_err(|e| match e.why() {
        Some(why) => failed().because(why),
        None => failed(),
    })?;
    check_ours(point::mounted_at(&resolved)?.as_ref()).map_err(|why| failed().because(why))?;
    let dead =
        std::fs::metadata(&resolved).is_err_and(|e| e.raw_os_error() == Some(libc::ENOTCONN));
    match take_off(&resolved, lazy || dead)? {
        Unmounted::Done => Ok(()),
        Unmounted::Busy => Err(failed()
            .because("programs have files open there")
            .hint(format!("see which: fuser -vm {shown}; or: chartfs umount --lazy {shown}"))),
    }
}

/// Says why what is on top at a mount point is not for us to unmount.
fn check_ours(top: Option<&MountEntry>) -> std::result::Result<(), String> {
    match top {
        None => Err("nothing is mounted there".to_owned()),
        Some(entry) if entry.fs_type != FS_TYPE => {
            Err(format!("a {} is mounted there", entry.fs_type))
        }
        Some(_) => Ok(()),
    }
}

fn take_off(point: &Path, lazy: bool) -> Result<Unmounted> {
    let mut flags = MntFlags::UMOUNT_NOFOLLOW;
    flags.set(MntFlags::MNT_DETACH, lazy);
    match umount2(point, flags) {
        // EINVAL: it went away between the look at the table and now.
        Ok(()) | Err(Errno::EINVAL) => Ok(Unmounted::Done),
        Err(Errno::EBUSY) => Ok(Unmounted::Busy),
        Err(Errno::EPERM) => take_off_through_fusermount(point, lazy),
        Err(e) => Err(refused(point).because(e.desc())),
    }
}

fn refused(point: &Path) -> Error {
    Error::new(Kind::MountPoint, format!("cannot unmount {}", point.display()))
}

fn take_off_through_fusermount(point: &Path, lazy: bool) -> Result<Unmounted> {
    let Some(helper) = fusermount() else {
        return Err(refused(point).because("fusermount3 is missing"));
    };
    let mut command = Command::new(helper);
    command.arg("-u").args(lazy.then_some("-z")).arg("--").arg(point).env("LC_ALL", "C");
    let output = command.output()?;
    if output.status.success() {
        return Ok(Unmounted::Done);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("busy") {
        return Ok(Unmounted::Busy);
    }
    Err(refused(point).because(said.trim().trim_start_matches("fusermount3: ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(fs_type: &str) -> MountEntry {
        let (fs_type, device) = (fs_type.to_owned(), "0:1".to_owned());
        MountEntry { point: "/mnt".into(), fs_type, device }
    }

    // Only the decision is tried: a test that points `umount` at a mount of the system needs one
    // mistake to take the machine apart.
    #[test]
    fn what_is_not_ours_is_never_unmounted() {
        assert_eq!(check_ours(Some(&top(FS_TYPE))), Ok(()));
        assert_eq!(check_ours(None), Err("nothing is mounted there".to_owned()));
        for other in ["proc", "ext4", "fuse", "fuse.sshfs", "fuse.chartfs2", ""] {
            assert_eq!(check_ours(Some(&top(other))), Err(format!("a {other} is mounted there")));
        }
    }

    #[test]
    fn a_plain_directory_is_no_mount() {
        let dir = tempfile::tempdir().unwrap();
        let error = umount(dir.path(), false).unwrap_err();
        assert_eq!(error.kind(), Kind::MountPoint);
        assert_eq!(error.why(), Some("nothing is mounted there"));
        assert!(umount(&dir.path().join("none"), false).is_err());
    }
}
