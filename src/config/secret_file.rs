//! Secret files on the local disk: read only when nobody else can, written so that nobody else
//! can, whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use zeroize::Zeroizing;

use super::shown;
use crate::error::{Error, Kind, Result};

/// The longest secret file, in bytes: more than any key file has.
const SECRET_LEN_MAX_BYTES: u64 = 17 << 20;
/// The permission bits of group and others.
const OTHERS: u32 = 0o077;
/// The most that is read of a passphrase file; more is refused as a passphrase.
const PASSPHRASE_READ_MAX_BYTES: u64 = 8192;
/// How often a file that is being replaced is opened again.
const LOCK_TRIES: usize = 100;

fn cannot_read(path: &Path, kind: Kind) -> Error {
    Error::new(kind, format!("cannot read {}", shown(path)))
}

/// Opens a file without following a link in its last component, and checks on the descriptor, not
/// on the name, that only its owner can read it.
fn open_private(path: &Path) -> Result<(File, u64)> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
        .open(path);
    let file = opened.map_err(|e| match e.raw_os_error() {
        Some(libc::ENOENT) => cannot_read(path, Kind::NotFound).because("there is no such file"),
        Some(libc::ELOOP) => cannot_read(path, Kind::Denied)
            .because("it is a symbolic link, which somebody could point elsewhere")
            .hint("name the file itself"),
        Some(libc::EACCES) => cannot_read(path, Kind::Denied).because(e),
        _ => cannot_read(path, Kind::Usage).because(e),
    })?;
    let meta = file.metadata().map_err(|e| cannot_read(path, Kind::Usage).because(e))?;
    if !meta.is_file() {
        return Err(cannot_read(path, Kind::Usage).because("it is not a regular file"));
    }
    check_private(path, &meta)?;
    Ok((file, meta.len()))
}

fn check_private(path: &Path, meta: &std::fs::Metadata) -> Result<()> {
    let me = nix::unistd::geteuid().as_raw();
    if meta.mode() & OTHERS != 0 {
        return Err(Error::new(Kind::Denied, format!("{} is not private", shown(path)))
            .because(format!(
                "its mode is {:04o}: others can read or change it",
                meta.mode() & 0o7777
            ))
            .hint(format!("chmod 600 {}", shown(path))));
    }
    if meta.uid() != me && meta.uid() != 0 && me != 0 {
        return Err(Error::new(Kind::Denied, format!("{} is not yours", shown(path)))
            .because(format!("it belongs to user {}", meta.uid())));
    }
    Ok(())
}

/// Reads a secret file that only its owner can read.
///
/// # Errors
/// `Denied` when others can read it, it is a symbolic link or it belongs to somebody else;
/// `NotFound` when there is none; `Usage` when it is no regular file, or too long.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let (file, len) = open_private(path)?;
    read_all(path, &file, len)
}

fn read_all(path: &Path, file: &File, len: u64) -> Result<Zeroizing<Vec<u8>>> {
    if len > SECRET_LEN_MAX_BYTES {
        return Err(cannot_read(path, Kind::Usage).because("it is too long for a key file"));
    }
    // As long as the file, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(len).unwrap_or(0) + 1));
    file.take(SECRET_LEN_MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|e| cannot_read(path, Kind::Usage).because(e))?;
    Ok(bytes)
}

/// Reads a file with a passphrase: private, or a pipe of the shell.
pub(super) fn read_passphrase_file(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            cannot_read(path, Kind::NotFound).because("there is no such file")
        }
        _ => cannot_read(path, Kind::Denied).because(e),
    })?;
    let meta = file.metadata().map_err(|e| cannot_read(path, Kind::Usage).because(e))?;
    let kind = meta.file_type();
    if kind.is_file() {
        check_private(path, &meta)?;
    } else if !kind.is_fifo() && !kind.is_char_device() && !kind.is_socket() {
        return Err(cannot_read(path, Kind::Usage).because("it is not a file"));
    }
    let mut text = Vec::with_capacity(256);
    file.take(PASSPHRASE_READ_MAX_BYTES)
        .read_to_end(&mut text)
        .map_err(|e| cannot_read(path, Kind::Usage).because(e))?;
    Ok(text)
}

/// Makes a folder that only its owner can enter, and those above it.
pub(super) fn create_private_dir(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| {
        Error::new(Kind::Usage, format!("cannot make the folder {}", shown(path))).because(e)
    })
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a complete file beside `path`, readable by its owner only, and brings it to the disk.
fn write_beside(path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile> {
    let cannot = |e| cannot_write(path, &e);
    let mut temp = tempfile::Builder::new()
        .prefix(".chartfs-")
        .tempfile_in(folder_of(path))
        .map_err(cannot)?;
    temp.write_all(bytes).map_err(cannot)?;
    temp.as_file().sync_all().map_err(cannot)?;
    Ok(temp)
}

fn cannot_write(path: &Path, e: &std::io::Error) -> Error {
    let kind = Error::from(std::io::Error::from(e.kind())).kind();
    Error::new(kind, format!("cannot write {}", shown(path))).because(e)
}

fn sync_folder(path: &Path) -> Result<()> {
    File::open(folder_of(path)).and_then(|f| f.sync_all()).map_err(|e| cannot_write(path, &e))
}

/// Makes a secret file that does not exist yet, mode 0600, whole or not at all.
///
/// # Errors
/// `Exists` when there is a file; nothing of it is changed.
pub fn create_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    create_private_dir(folder_of(path))?;
    write_beside(path, bytes)?.persist_noclobber(path).map_err(|e| match e.error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::new(Kind::Exists, format!("{} exists already", shown(path)))
                .because("a key file is never overwritten")
                .hint("choose another name")
        }
        _ => cannot_write(path, &e.error),
    })?;
    sync_folder(path)
}

/// A secret file that is held against other processes until it is replaced or dropped.
pub struct SecretFile {
    path: PathBuf,
    bytes: Zeroizing<Vec<u8>>,
    _lock: Flock<File>,
}

impl SecretFile {
    /// Opens a secret file to change it; waits while another process changes it.
    ///
    /// # Errors
    /// As [`read_secret`].
    pub fn lock(path: &Path) -> Result<Self> {
        for _ in 0..LOCK_TRIES {
            let (file, _) = open_private(path)?;
            let lock = Flock::lock(file, FlockArg::LockExclusive)
                .map_err(|(_, e)| cannot_read(path, Kind::Usage).because(e.desc()))?;
            // Whoever held it may have put another file in its place.
            let (now, len) = open_private(path)?;
            let same = |a: std::fs::Metadata, b: std::fs::Metadata| {
                a.ino() == b.ino() && a.dev() == b.dev()
            };
            let io = |e| cannot_read(path, Kind::Usage).because(e);
            if same(lock.metadata().map_err(io)?, now.metadata().map_err(io)?) {
                let bytes = read_all(path, &now, len)?;
                return Ok(Self { path: path.to_owned(), bytes, _lock: lock });
            }
        }
        Err(Error::new(
            Kind::Conflict,
            format!("{} is changed by others all the time", shown(path)),
        )
        .hint("try again"))
    }

    /// Returns what was in it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Puts a new file in its place, whole or not at all.
    ///
    /// # Errors
    /// What the system says; the old file stands then.
    pub fn replace(self, bytes: &[u8]) -> Result<()> {
        write_beside(&self.path, bytes)?
            .persist(&self.path)
            .map_err(|e| cannot_write(&self.path, &e.error))?;
        sync_folder(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_secret_is_written_private_and_never_over_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/a.credential");
        create_secret(&path, b"one").unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(create_secret(&path, b"two").unwrap_err().kind(), Kind::Exists);
        assert_eq!(&read_secret(&path).unwrap()[..], b"one");
        assert_eq!(std::fs::read_dir(dir.path().join("keys")).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_and_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        create_secret(&path, b"one").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            chmod(&path, mode);
            let e = read_secret(&path).unwrap_err();
            assert_eq!(e.kind(), Kind::Denied, "{mode:o}");
            assert!(e.try_this().unwrap().starts_with("chmod 600 "), "{e}");
        }
        chmod(&path, 0o400);
        assert_eq!(&read_secret(&path).unwrap()[..], b"one");
    }

    #[test]
    fn links_folders_and_pipes_are_no_secret_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        create_secret(&path, b"one").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read_secret(&link).unwrap_err().kind(), Kind::Denied);
        assert_eq!(read_secret(dir.path()).unwrap_err().kind(), Kind::Usage);
        assert_eq!(read_secret(&dir.path().join("none")).unwrap_err().kind(), Kind::NotFound);
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read_secret(&pipe).unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn a_file_is_replaced_whole_under_a_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counter");
        create_secret(&path, b"0").unwrap();
        let raise = || {
            for _ in 0..20 {
                let file = SecretFile::lock(&path).unwrap();
                let n: u32 = std::str::from_utf8(file.bytes()).unwrap().parse().unwrap();
                file.replace((n + 1).to_string().as_bytes()).unwrap();
            }
        };
        std::thread::scope(|s| {
            s.spawn(raise);
            s.spawn(raise);
        });
        assert_eq!(&read_secret(&path).unwrap()[..], b"40");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    }
}
