//! The blocking file operations of a local directory. No step follows a symbolic link below the
//! root: every segment is opened by itself, relative to the one before.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, futimens, mkdirat};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::super::backend::{
    Condition, Fetched, Object, Put, Version, absent, over_limit, wrong_length,
};
use super::super::name::ObjectName;
use super::super::options::DirectorySync;
use super::lock::Locks;
use super::temp::Temp;
use crate::error::{Error, Kind, Result};

/// The directory that the bucket keeps for itself; no object name begins with a dot.
const OWN: &str = ".chartfs";

/// Temporary files older than this were left by a process that died.
const TEMP_AGE_MAX_S: u64 = 24 * 3600;

/// The files of a bucket.
pub(super) struct Disk {
    pub(super) root: PathBuf,
    root_fd: OwnedFd,
    sync: DirectorySync,
    locks: Locks,
    /// How many temporary files this process has made.
    pub(super) temps: AtomicU64,
    /// Directories with entries that were not synced yet.
    unsynced: Mutex<BTreeSet<String>>,
    #[cfg(test)]
    pub(super) steps: Mutex<Vec<Step>>,
}

/// What happened on the disk, in order; for the test of the order.
#[cfg(test)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    SyncData,
    Rename,
    SyncDirectory(String),
}

/// Turns a failed system call into an error that says what was tried.
pub(super) fn failed(what: impl Into<String>, e: impl Into<io::Error>) -> Error {
    let e = e.into();
    let kind = match e.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG) => Kind::NoSpace,
        Some(Errno::EACCES | Errno::EPERM | Errno::EROFS) => Kind::Denied,
        // A link, or a file where a directory belongs: nothing that chartfs wrote.
        Some(Errno::ELOOP | Errno::ENOTDIR | Errno::EISDIR) => Kind::Integrity,
        _ => Kind::Internal,
    };
    Error::new(kind, what.into()).because(e)
}

const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

fn version_of(stat: &FileStat) -> Version {
    let text = format!(
        "{:x}-{:x}-{:x}.{:x}",
        stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec
    );
    Version::new(&text)
}

fn has_type(stat: &FileStat, wanted: SFlag) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == wanted.bits()
}

/// Splits a name into its directories and the file.
fn split(name: &ObjectName) -> (&str, &str) {
    name.as_str().rsplit_once('/').unwrap_or(("", name.as_str()))
}

impl Disk {
    pub(super) fn open(root: PathBuf, create: bool, sync: DirectorySync) -> Result<Self> {
        let shown = root.display().to_string();
        if create {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&root)
                .map_err(|e| failed(format!("cannot create {shown}"), e))?;
        }
        let root_fd = File::open(&root).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => {
                Error::new(Kind::NotFound, format!("{shown} does not exist"))
                    .hint("`chartfs init` creates the directory of a new bucket")
            }
            _ => failed(format!("cannot open {shown}"), e),
        })?;
        if !root_fd.metadata().is_ok_and(|m| m.is_dir()) {
            return Err(Error::new(Kind::NotDirectory, format!("{shown} is not a directory")));
        }
        let disk = Self {
            root,
            root_fd: root_fd.into(),
            sync,
            locks: Locks::default(),
            temps: AtomicU64::new(0),
            unsynced: Mutex::default(),
            #[cfg(test)]
            steps: Mutex::default(),
        };
        disk.remove_old_temps();
        Ok(disk)
    }

    /// Opens a directory below the root, or returns `None` when it does not exist.
    pub(super) fn directory(&self, path: &str, create: bool) -> Result<Option<OwnedFd>> {
        let told = |e| failed(format!("cannot open the directory {path:?} of the bucket"), e);
        let mut fd = openat(&self.root_fd, ".", DIRECTORY, Mode::empty()).map_err(told)?;
        let mut walked = String::new();
        for segment in path.split('/').filter(|s| !s.is_empty()) {
            let mut next = openat(&fd, segment, DIRECTORY, Mode::empty());
            if matches!(next, Err(Errno::ENOENT)) && create {
                match mkdirat(&fd, segment, Mode::S_IRWXU) {
                    Ok(()) => self.entry_written(&fd, &walked)?,
                    Err(Errno::EEXIST) => {}
                    Err(e) => return Err(told(e)),
                }
                next = openat(&fd, segment, DIRECTORY, Mode::empty());
            }
            fd = match next {
                Ok(next) => next,
                Err(Errno::ENOENT) => return Ok(None),
                Err(e) => return Err(told(e)),
            };
            if !walked.is_empty() {
                walked.push('/');
            }
            walked.push_str(segment);
        }
        Ok(Some(fd))
    }

    /// Opens the file of an object, if there is one.
    fn file(&self, name: &ObjectName) -> Result<Option<(File, FileStat)>> {
        let (directories, leaf) = split(name);
        let Some(directory) = self.directory(directories, false)? else { return Ok(None) };
        // A pipe in place of the file must not stop the reader.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let told = |e| failed(format!("cannot read object {name}"), e);
        let file = match openat(&directory, leaf, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::ENOENT) => return Ok(None),
            Err(e) => return Err(told(e)),
        };
        let stat = fstat(&file).map_err(told)?;
        // As in a cloud, what other names lie below is no object itself.
        if has_type(&stat, SFlag::S_IFDIR) {
            return Ok(None);
        }
        if !has_type(&stat, SFlag::S_IFREG) {
            return Err(Error::damaged(format!("object {name} is not a plain file")));
        }
        Ok(Some((file, stat)))
    }

    pub(super) fn read(
        &self,
        name: &ObjectName,
        unless: Option<&Version>,
        limit_bytes: u64,
    ) -> Result<Fetched> {
        let Some((file, stat)) = self.file(name)? else { return Ok(Fetched::Absent) };
        let version = version_of(&stat);
        if unless == Some(&version) {
            return Ok(Fetched::Unchanged);
        }
        let size_bytes = u64::try_from(stat.st_size).unwrap_or_default();
        if size_bytes > limit_bytes {
            return Err(over_limit(name, size_bytes, limit_bytes));
        }
        let bytes = read_at(&file, name, &(0..size_bytes))?;
        Ok(Fetched::Changed(Object { bytes, version }))
    }

    pub(super) fn read_range(&self, name: &ObjectName, range: &Range<u64>) -> Result<Bytes> {
        let (file, stat) = self.file(name)?.ok_or_else(|| absent(name))?;
        // The length is checked first, so that a wrong range allocates nothing.
        if range.end > u64::try_from(stat.st_size).unwrap_or_default() {
            return Err(wrong_length(name, range));
        }
        read_at(&file, name, range)
    }

    pub(super) fn write(
        &self,
        name: &ObjectName,
        bytes: &[u8],
        condition: &Condition,
    ) -> Result<Put> {
        if *condition != Condition::Always {
            // Answers the usual refusal (the object is there already) without writing anything.
            let (directories, leaf) = split(name);
            let directory = self.directory(directories, false)?;
            let current = directory.map(|d| current(&d, leaf, name)).transpose()?.flatten();
            if !holds(condition, current.as_ref()) {
                return Ok(Put::Refused);
            }
        }
        let temp = Temp::new(self)?;
        temp.write_at(bytes, 0)?;
        self.sync_data(&temp)?;
        self.commit(&temp, name, condition)
    }

    /// Puts a temporary file, whose data is synced, in the place of the object.
    pub(super) fn commit(
        &self,
        temp: &Temp,
        name: &ObjectName,
        condition: &Condition,
    ) -> Result<Put> {
        let told = |e| failed(format!("cannot write object {name}"), e);
        let (directories, leaf) = split(name);
        let directory = self.directory(directories, true)?.ok_or_else(|| told(Errno::ENOENT))?;
        let version = {
            let _locked = self.locks.lock(self, name)?;
            let current = current(&directory, leaf, name)?;
            if !holds(condition, current.as_ref()) {
                return Ok(Put::Refused);
            }
            let mut stat = fstat(&temp.file).map_err(told)?;
            if current.is_some_and(|current| time_of(&current) >= time_of(&stat)) {
                // A clock that went back, or somebody who was faster.
                self.sync_data_at(temp, &later_than(current.as_ref()))?;
                stat = fstat(&temp.file).map_err(told)?;
            }
            let version = version_of(&stat);
            renameat(&temp.directory, temp.name.as_str(), &directory, leaf).map_err(told)?;
            #[cfg(test)]
            self.step(Step::Rename);
            version
        };
        self.entry_written(&directory, directories)?;
        Ok(Put::Stored(version))
    }

    pub(super) fn remove(&self, name: &ObjectName) -> Result<()> {
        let (directories, leaf) = split(name);
        let Some(directory) = self.directory(directories, false)? else { return Ok(()) };
        {
            let _locked = self.locks.lock(self, name)?;
            match unlinkat(&directory, leaf, UnlinkatFlags::NoRemoveDir) {
                Ok(()) => {}
                Err(Errno::ENOENT) => return Ok(()),
                Err(e) => return Err(failed(format!("cannot remove object {name}"), e)),
            }
        }
        self.entry_written(&directory, directories)
    }

    /// Syncs a temporary file with the time that is part of its version: after a power cut the
    /// object is the version that was told.
    pub(super) fn sync_data(&self, temp: &Temp) -> Result<()> {
        self.sync_data_at(temp, &later_than(None))?;
        #[cfg(test)]
        if self.sync != DirectorySync::Off {
            self.step(Step::SyncData);
        }
        Ok(())
    }

    fn sync_data_at(&self, temp: &Temp, time: &TimeSpec) -> Result<()> {
        futimens(&temp.file, &TimeSpec::UTIME_OMIT, time)
            .map_err(|e| failed("cannot set the time of an object", e))?;
        if self.sync != DirectorySync::Off {
            temp.file.sync_all().map_err(|e| failed("cannot sync an object to the disk", e))?;
        }
        Ok(())
    }

    fn entry_written(&self, directory: &OwnedFd, path: &str) -> Result<()> {
        match self.sync {
            DirectorySync::Full => self.sync_directory(directory, path),
            DirectorySync::Data => {
                let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
                if !unsynced.contains(path) {
                    unsynced.insert(path.to_owned());
                }
                Ok(())
            }
            DirectorySync::Off => Ok(()),
        }
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "the steps are recorded in tests"))]
    fn sync_directory(&self, directory: &OwnedFd, path: &str) -> Result<()> {
        nix::unistd::fsync(directory)
            .map_err(|e| failed(format!("cannot sync the directory {path:?} of the bucket"), e))?;
        #[cfg(test)]
        self.step(Step::SyncDirectory(path.to_owned()));
        Ok(())
    }

    /// Syncs the entries of the directories written to under [`DirectorySync::Data`].
    pub(super) fn sync_entries(&self) -> Result<()> {
        let paths =
            std::mem::take(&mut *self.unsynced.lock().unwrap_or_else(PoisonError::into_inner));
        for path in &paths {
            let synced = match self.directory(path, false) {
                Ok(Some(directory)) => self.sync_directory(&directory, path),
                Ok(None) => Ok(()),
                Err(e) => Err(e),
            };
            if let Err(e) = synced {
                self.unsynced.lock().unwrap_or_else(PoisonError::into_inner).extend(paths);
                return Err(e);
            }
        }
        Ok(())
    }

    /// Opens one of the bucket's own directories, creating it.
    pub(super) fn own(&self, path: &str) -> Result<OwnedFd> {
        let path = format!("{OWN}/{path}");
        self.directory(&path, true)?.ok_or_else(|| failed("cannot create .chartfs", Errno::ENOENT))
    }

    fn remove_old_temps(&self) {
        // Best effort: a bucket that cannot be written has no temporary files to remove.
        let Ok(entries) = std::fs::read_dir(self.root.join(OWN).join("tmp")) else { return };
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|m| m.modified()).ok();
            let age = modified.and_then(|m| SystemTime::now().duration_since(m).ok());
            if age.is_some_and(|age| age.as_secs() > TEMP_AGE_MAX_S) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    #[cfg(test)]
    fn step(&self, step: Step) {
        self.steps.lock().unwrap().push(step);
    }
}

fn current(directory: &OwnedFd, leaf: &str, name: &ObjectName) -> Result<Option<FileStat>> {
    match fstatat(directory, leaf, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) if has_type(&stat, SFlag::S_IFREG) => Ok(Some(stat)),
        Ok(_) => Err(Error::damaged(format!("object {name} is not a plain file"))),
        Err(Errno::ENOENT) => Ok(None),
        Err(e) => Err(failed(format!("cannot look at object {name}"), e)),
    }
}

fn holds(condition: &Condition, current: Option<&FileStat>) -> bool {
    match condition {
        Condition::Absent => current.is_none(),
        Condition::Matches(version) => current.is_some_and(|stat| version_of(stat) == *version),
        Condition::Always => true,
    }
}

fn time_of(stat: &FileStat) -> (i64, i64) {
    (stat.st_mtime, stat.st_mtime_nsec)
}

/// Returns the time of now, or the nanosecond after that of the object to be replaced.
fn later_than(current: Option<&FileStat>) -> TimeSpec {
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

fn read_at(file: &File, name: &ObjectName, range: &Range<u64>) -> Result<Bytes> {
    let length = usize::try_from(range.end - range.start).map_err(|_| wrong_length(name, range))?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, range.start).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => wrong_length(name, range),
        _ => failed(format!("cannot read object {name}"), e),
    })?;
    Ok(bytes.into())
}

/// The place of a directory of the bucket on the machine.
pub(super) fn place(root: &Path, below: &str) -> PathBuf {
    if below.is_empty() { root.to_owned() } else { root.join(below) }
}
