//! Unmounting: never a file system of somebody else, never by surprise.

use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use super::answer::{self, Answer};
use super::child;
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
        forced || abort(&self.device)
    }

    fn take_off(&self, lazy: bool) -> Result<Unmounted> {
        let Some(point) = &self.point else {
            return Ok(Unmounted::Busy);
        };
        match point::mounted_at(point)? {
            Some(entry) if entry.device == self.device => take_off(point, lazy, umount2),
            _ => Ok(Unmounted::Done),
        }
    }
}

/// How a drive is taken off for the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Not while it is in use.
    Polite,
    /// Out of the tree of files at once; who has files open goes on.
    Lazy,
    /// At once, with an error for everybody who waits for an answer.
    Forced,
}

/// Unmounts the chartfs at `point` for the command line. A dead mount is cleared, and whoever
/// waits for it gets an error; one in use is left alone unless `lazy`. The daemon behind a living
/// one notices, commits what is left and ends.
///
/// # Errors
/// `MountPoint` when no chartfs is mounted there, it is in use, its daemon does not answer and it
/// is not `lazy`, or the system refuses.
pub fn umount(point: &Path, lazy: bool) -> Result<()> {
    umount_in(point, if lazy { Way::Lazy } else { Way::Polite })
}

/// Unmounts the chartfs at `point` whatever its daemon does: whoever waits for an answer gets an
/// error. A daemon that still lives commits what it has and ends.
///
/// # Errors
/// `MountPoint` when no chartfs is mounted there, or the system refuses.
pub fn umount_by_force(point: &Path) -> Result<()> {
    umount_in(point, Way::Forced)
}

/// Clears a drive off `point` whose daemon is dead; says whether there was one.
///
/// # Errors
/// `MountPoint` when the system refuses.
pub fn clear_dead(point: &Path) -> Result<bool> {
    // What keeps a point from being used is told by whoever wants to use it.
    let Ok(resolved) = point::resolved(point) else { return Ok(false) };
    match point::mounted_at(&resolved)?.filter(|m| m.fs_type == FS_TYPE) {
        Some(drive) if answer::of(&drive)? == Answer::Dead => force_off(&drive).map(|()| true),
        _ => Ok(false),
    }
}

fn umount_in(point: &Path, way: Way) -> Result<()> {
    let shown = point.display();
    let failed = || Error::new(Kind::MountPoint, format!("cannot unmount {shown}"));
    let resolved = point::resolved(point).map_err(|e| failed().because(e))?;
    let top = point::mounted_at(&resolved)?;
    let drive = ours(top).map_err(|why| failed().because(why))?;
    let by_force = format!("chartfs umount --force {shown}");
    match (way, if way == Way::Forced { Answer::Silent } else { answer::of(&drive)? }) {
        (Way::Forced, _) | (_, Answer::Dead) => return force_off(&drive),
        (Way::Polite, Answer::Stopped(pid)) => {
            return Err(failed()
                .because(format!("process {pid}, which serves it, is stopped"))
                .hint(format!("let it go on: kill -CONT {pid}; or: {by_force}")));
        }
        (Way::Polite, Answer::Silent) => {
            return Err(failed()
                .because("the daemon behind it does not answer")
                .hint(format!("wait; or end it and every wait for it: {by_force}")));
        }
        _ => {}
    }
    match take_off(&resolved, way == Way::Lazy, umount_in_child)? {
        Unmounted::Done => Ok(()),
        Unmounted::Busy => Err(failed()
            .because("programs have files open there")
            .hint(format!("see which: fuser -vm {shown}; or: chartfs umount --lazy {shown}"))),
    }
}

/// Ends the conversation of a drive and takes it out of the tree of files.
fn force_off(drive: &MountEntry) -> Result<()> {
    let flags = MntFlags::MNT_FORCE | MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
    match umount_in_child(&drive.point, flags) {
        Ok(()) | Err(Errno::EINVAL) => return Ok(()),
        Err(Errno::EPERM) => {}
        Err(e) => return Err(refused(&drive.point).because(e.desc())),
    }
    let ends = abort(&drive.device) || answer::of(drive)? == Answer::Dead;
    take_off(&drive.point, true, umount_in_child)?;
    if ends {
        return Ok(());
    }
    let what = format!("{} is unmounted, but programs may still wait", drive.point.display());
    Err(Error::new(Kind::MountPoint, what)
        .because("the kernel's control files of FUSE are not there")
        .hint("let root end it: mount -t fusectl none /sys/fs/fuse/connections, then umount -f"))
}

/// Ends a conversation through the kernel's control file, which belongs to whoever mounted.
fn abort(device: &str) -> bool {
    let minor = device.split_once(':').map_or("none", |(_, minor)| minor);
    std::fs::write(format!("/sys/fs/fuse/connections/{minor}/abort"), b"1").is_ok()
}

/// Unmounts without risk for this process: the kernel may wait for the daemon.
fn umount_in_child(point: &Path, flags: MntFlags) -> nix::Result<()> {
    match child::unmount(point, flags, answer::ANSWER_LIMIT) {
        Ok(Some(done)) => done.map(|_| ()),
        // It is out of the tree before the kernel waits.
        Ok(None) if point::mounted_at(point).is_ok_and(|m| m.is_none()) => Ok(()),
        Ok(None) => Err(Errno::ETIMEDOUT),
        Err(_) => Err(Errno::EAGAIN),
    }
}

/// Returns what is on top at a mount point, or says why it is not for us to unmount.
fn ours(top: Option<MountEntry>) -> std::result::Result<MountEntry, String> {
    match top {
        None => Err("nothing is mounted there".to_owned()),
        Some(entry) if entry.fs_type != FS_TYPE => {
            Err(format!("a {} is mounted there", entry.fs_type))
        }
        Some(entry) => Ok(entry),
    }
}

/// Unmounts by `umount`, or by the helper of users who may not.
fn take_off(
    point: &Path,
    lazy: bool,
    umount: impl FnOnce(&Path, MntFlags) -> nix::Result<()>,
) -> Result<Unmounted> {
    let mut flags = MntFlags::UMOUNT_NOFOLLOW;
    flags.set(MntFlags::MNT_DETACH, lazy);
    match umount(point, flags) {
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
    // It never asks the drive: it reads the table of mounts and calls umount(2).
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
        MountEntry { point: "/mnt".into(), fs_type, device, owner: Some(0) }
    }

    // Only the decision is tried: a test that points `umount` at a mount of the system needs one
    // mistake to take the machine apart.
    #[test]
    fn what_is_not_ours_is_never_unmounted() {
        assert_eq!(ours(Some(top(FS_TYPE))), Ok(top(FS_TYPE)));
        assert_eq!(ours(None), Err("nothing is mounted there".to_owned()));
        for other in ["proc", "ext4", "fuse", "fuse.sshfs", "fuse.chartfs2", ""] {
            assert_eq!(ours(Some(top(other))), Err(format!("a {other} is mounted there")));
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
