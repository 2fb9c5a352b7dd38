//! Mount points: what is mounted where, and whether a new mount may go there.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::answer::{self, Answer};
use crate::error::{Error, Kind, Result};

/// The file system type that `findmnt`, `umount -t` and updatedb see.
pub(crate) const FS_TYPE: &str = "fuse.chartfs";

/// One line of the mount table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MountEntry {
    pub(super) point: PathBuf,
    pub(super) fs_type: String,
    /// `major:minor` of the mounted file system; no two live mounts share it.
    pub(super) device: String,
    /// The user who mounted, of a FUSE file system.
    pub(super) owner: Option<u32>,
}

/// Returns what is mounted on top at `point`, an absolute path without links.
pub(super) fn mounted_at(point: &Path) -> Result<Option<MountEntry>> {
    Ok(table()?.into_iter().rfind(|m| m.point == point))
}

/// Returns where drives are mounted on this machine.
///
/// # Errors
/// `Internal` when the table of mounts cannot be read.
pub fn mounts() -> Result<Vec<PathBuf>> {
    Ok(drives(table()?))
}

fn drives(table: Vec<MountEntry>) -> Vec<PathBuf> {
    table.into_iter().filter(|m| m.fs_type == FS_TYPE).map(|m| m.point).collect()
}

fn table() -> Result<Vec<MountEntry>> {
    let table = std::fs::read("/proc/self/mountinfo").map_err(|e| {
        Error::new(Kind::Internal, "cannot read the table of mounts")
            .because(e)
            .hint("is /proc mounted?")
    })?;
    Ok(entries(&table))
}

fn entries(table: &[u8]) -> Vec<MountEntry> {
    table.split(|b| *b == b'\n').filter_map(entry).collect()
}

/// Parses a line: id, parent, device, root, point, options, optional fields, `-`, type, …
fn entry(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|b| *b == b' ');
    let device = String::from_utf8(fields.nth(2)?.to_vec()).ok()?;
    let point = PathBuf::from(OsString::from_vec(unescaped(fields.nth(1)?)));
    let mut rest = fields.skip_while(|f| *f != b"-");
    let fs_type = String::from_utf8(rest.nth(1)?.to_vec()).ok()?;
    let mut options = rest.nth(1).unwrap_or_default().split(|b| *b == b',');
    let owner =
        options.find_map(|o| str::from_utf8(o.strip_prefix(b"user_id=")?).ok()?.parse().ok());
    Some(MountEntry { point, fs_type, device, owner })
}

/// Undoes the octal escapes of blanks and backslashes.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| *first == b'\\').and_then(|d| str::from_utf8(d).ok());
        if let Some(byte) = digits.and_then(|d| u8::from_str_radix(d, 8).ok()) {
            out.push(byte);
            rest = &tail[3..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

/// How many links a path may have, as for the kernel.
const LINKS_MAX: usize = 40;

/// Returns the absolute path without links. What is in a drive is taken by its name: whoever asks
/// a drive may wait for ever.
pub(super) fn resolved(point: &Path) -> io::Result<PathBuf> {
    let table = table().map_err(io::Error::other)?;
    let is_drive =
        |path: &Path| table.iter().rfind(|m| m.point == path).is_some_and(|m| m.fs_type == FS_TYPE);
    let names = |path: &Path| path.components().rev().map(|c| c.as_os_str().to_owned()).collect();
    let mut left: Vec<OsString> = names(&std::path::absolute(point)?);
    let (mut path, mut links) = (PathBuf::from("/"), 0);
    while let Some(name) = left.pop() {
        match name.to_str() {
            Some("." | "..") => {
                if name == ".." {
                    path.pop();
                }
                continue;
            }
            _ => path.push(name),
        }
        if path.ancestors().any(is_drive) || !path.symlink_metadata()?.is_symlink() {
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(rustix::io::Errno::LOOP.into());
        }
        let target = path.read_link()?;
        path.pop();
        let mut first: Vec<OsString> = names(&target);
        left.append(&mut first);
    }
    Ok(path)
}

fn unusable(point: &Path) -> Error {
    Error::new(Kind::MountPoint, format!("cannot mount on {}", point.display()))
}

/// Returns the number of a descriptor handed over as mount point (`/dev/fd/N`).
pub(super) fn handed_over(point: &Path) -> Option<i32> {
    point.to_str()?.strip_prefix("/dev/fd/")?.parse().ok()
}

/// Checks that a file system can be mounted here, before anything is asked of anyone, and
/// returns the absolute path. A `/dev/fd/N` is returned as it is.
///
/// # Errors
/// `MountPoint` when the point is missing, not a directory, not empty (unless `nonempty`),
/// mounted already, or a dead mount; `Unsupported` when this machine has no FUSE.
pub fn check_point(point: &Path, nonempty: bool) -> Result<PathBuf> {
    if handed_over(point).is_some() {
        return Ok(point.to_path_buf());
    }
    check_fuse()?;
    let resolved = resolved(point).map_err(|e| unreachable_point(point, &e))?;
    if let Some(drive) = mounted_at(&resolved)?.filter(|m| m.fs_type == FS_TYPE) {
        return Err(taken(point, &answer::of(&drive)?));
    }
    let metadata = std::fs::metadata(&resolved).map_err(|e| unreachable_point(point, &e))?;
    if !metadata.is_dir() {
        return Err(unusable(point).because("it is not a directory"));
    }
    if !nonempty && is_occupied(&resolved, point)? {
        return Err(unusable(point)
            .because("the directory is not empty")
            .hint("choose an empty directory, or cover its files with --nonempty"));
    }
    Ok(resolved)
}

fn is_occupied(resolved: &Path, point: &Path) -> Result<bool> {
    let mut entries = std::fs::read_dir(resolved).map_err(|e| unusable(point).because(e))?;
    Ok(entries.next().is_some())
}

/// Says why a drive is in the way.
fn taken(point: &Path, answer: &Answer) -> Error {
    let (why, what) = match answer {
        Answer::Text(_) | Answer::Refused(_) => {
            ("chartfs is mounted there already", "unmount it first")
        }
        Answer::Dead => ("a dead mount is in the way", "clear it"),
        Answer::Stopped(_) | Answer::Silent => {
            ("chartfs is mounted there already, and does not answer", "see why")
        }
    };
    unusable(point).because(why).hint(format!("{what}: chartfs umount {}", point.display()))
}

fn unreachable_point(point: &Path, error: &io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENOTCONN) => unusable(point)
            .because("a dead mount is in the way")
            .hint(format!("clear it: fusermount3 -uz {}", point.display())),
        Some(libc::ENOENT) => unusable(point)
            .because("it does not exist")
            .hint(format!("make it: mkdir -p {}", point.display())),
        _ => unusable(point).because(error),
    }
}

/// Checks that the kernel has FUSE and, for ordinary users, that fusermount3 is there.
fn check_fuse() -> Result<()> {
    let unsupported = |what: &'static str| Error::new(Kind::Unsupported, what);
    if !Path::new("/dev/fuse").exists() {
        return Err(unsupported("this machine cannot mount: /dev/fuse is missing")
            .because("the kernel module is not loaded, or the container may not use it")
            .hint("run: modprobe fuse; for a container: --device /dev/fuse --cap-add SYS_ADMIN"));
    }
    if !nix::unistd::geteuid().is_root() && super::mount::fusermount().is_none() {
        return Err(unsupported("this user cannot mount: fusermount3 is missing")
            .because("only root mounts without it")
            .hint("install it: apt-get install fuse3"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_mount_table_is_taken_apart() {
        let line =
            b"36 35 0:98 / /mnt/a\\040b rw,nosuid shared:1 - fuse.chartfs s3://x rw,user_id=0";
        let found = entry(line).unwrap();
        assert_eq!(found.point, Path::new("/mnt/a b"));
        assert_eq!((found.fs_type.as_str(), found.device.as_str()), (FS_TYPE, "0:98"));
        assert_eq!(found.owner, Some(0));
        let line = b"36 35 0:98 / /mnt rw - ext4 /dev/sda rw";
        assert_eq!(entry(line).unwrap().owner, None);
        assert_eq!(entry(b"36 35 0:98 / /mnt"), None);
        assert_eq!(entry(b""), None);
    }

    #[test]
    fn drives_are_found_in_the_table_with_odd_names() {
        let table = b"36 35 0:50 / /mnt/a\\040b rw - fuse.chartfs file:///x rw\n\
                      37 35 0:51 / /mnt/c rw,nosuid shared:1 - fuse.other x rw\n\
                      38 35 0:52 / /mnt/d rw shared:2 master:1 - fuse.chartfs s3://b rw\n\n\
                      torn line - fuse.chartfs";
        assert_eq!(drives(entries(table)), [Path::new("/mnt/a b"), Path::new("/mnt/d")]);
    }

    #[test]
    fn escapes_that_are_none_stay() {
        assert_eq!(unescaped(b"a\\134b"), b"a\\b");
        assert_eq!(unescaped(b"a\\9"), b"a\\9");
        assert_eq!(unescaped(b"\\777"), b"\\777");
    }

    #[test]
    fn the_root_is_found_and_a_plain_directory_is_not() {
        assert!(mounted_at(Path::new("/")).unwrap().is_some());
        assert!(mounted_at(Path::new("/etc/nothing")).unwrap().is_none());
    }

    #[test]
    fn links_and_dots_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("a/b")).unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, base.join(name)).unwrap();
        link("a/b", "short");
        link("../short/..", "a/up");
        link("loop", "loop");
        link("none", "dangling");
        for path in ["a/b", "short", "a/up/b", "./a//b/", "a/../short", "a/up/../short/../b/."] {
            assert_eq!(resolved(&base.join(path)).unwrap(), base.join("a/b"), "{path}");
            assert_eq!(base.join(path).canonicalize().unwrap(), base.join("a/b"), "{path}");
        }
        assert_eq!(resolved(&base.join("loop")).unwrap_err().raw_os_error(), Some(libc::ELOOP));
        for none in ["dangling", "a/none", "none/b"] {
            let error = resolved(&base.join(none)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{none}");
        }
        assert_eq!(resolved(Path::new("/")).unwrap(), Path::new("/"));
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(resolved(Path::new(".")).unwrap(), here);
    }

    #[test]
    fn bad_points_are_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let why = |p: &Path| check_point(p, false).unwrap_err();
        if check_fuse().is_err() {
            assert_eq!(why(dir.path()).kind(), Kind::Unsupported);
            return;
        }
        assert_eq!(why(&file).why(), Some("it is not a directory"));
        assert_eq!(why(dir.path()).why(), Some("the directory is not empty"));
        assert_eq!(why(&dir.path().join("none")).why(), Some("it does not exist"));
        assert_eq!(why(&dir.path().join("none")).kind(), Kind::MountPoint);
        assert!(check_point(dir.path(), true).is_ok());
        assert_eq!(check_point(Path::new("/dev/fd/7"), false).unwrap(), Path::new("/dev/fd/7"));
    }
}
