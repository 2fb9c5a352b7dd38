//! Mounting: open the device, attach it to a directory, hand it to a session.
//!
//! We do it ourselves rather than let fuser, because fuser mounts type `fuse` without our name
//! when root, and gives up its handle at the first busy unmount.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fuser::SessionACL;
use nix::errno::Errno;
use nix::mount::MsFlags;
use tokio::runtime::Handle as Runtime;
use tokio::sync::mpsc::unbounded_channel;

use super::answer::Plate;
use super::point::{self, FS_TYPE};
use super::{Adapter, Session, child, descriptor};
use crate::error::{Error, Kind, Result};
use crate::view::View;

/// How a mount behaves.
#[derive(Clone, Debug)]
pub struct MountOptions {
    /// Nothing can be changed through this mount.
    pub read_only: bool,
    /// The mount point may have files, which the mount covers.
    pub nonempty: bool,
    /// How long the kernel may answer from what it was told about a file or a name.
    pub attr_ttl: Duration,
    /// How long the kernel may answer that a name does not exist; zero: it always asks.
    pub negative_ttl: Duration,
    /// How long a process waits for an answer that needs at most reads of the bucket.
    pub deadline: Duration,
    /// How long a process waits for an answer that needs a commit.
    pub commit_deadline: Duration,
    /// How many threads read requests.
    pub dispatchers: usize,
    /// How long an unmount waits for what is written to be committed.
    pub drain_limit: Duration,
    /// How long an unmount waits for programs to close their files before it detaches.
    pub busy_grace: Duration,
}

impl Default for MountOptions {
    fn default() -> Self {
        let cpus = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            read_only: false,
            nonempty: false,
            attr_ttl: Duration::from_secs(10),
            negative_ttl: Duration::from_secs(1),
            deadline: Duration::from_secs(30),
            commit_deadline: Duration::from_secs(300),
            dispatchers: cpus.clamp(2, 4),
            drain_limit: Duration::from_secs(60),
            busy_grace: Duration::from_secs(5),
        }
    }
}

/// A file system attached to a directory by this process.
#[derive(Debug)]
pub struct Mounted {
    /// The directory; `None` when the caller mounted and handed the device over.
    pub(super) point: Option<PathBuf>,
    /// `major:minor`, so that an unmount never hits a file system that came later.
    pub(super) device: String,
    /// Lets others find this process while it does not answer.
    pub(super) _plate: Plate,
}

impl Mounted {
    /// Returns the directory, unless somebody else mounted.
    pub fn point(&self) -> Option<&Path> {
        self.point.as_deref()
    }

    /// Makes sure that the file system answers.
    ///
    /// # Errors
    /// `MountPoint` when it does not.
    pub fn check_answers(&self) -> Result<()> {
        let Some(point) = &self.point else {
            return Ok(());
        };
        let silent = || Error::new(Kind::MountPoint, "the new mount does not answer");
        // Asked by this process itself, a KILL at this moment would not end it.
        match child::numbers(point, FIRST_ANSWER_LIMIT)? {
            Some(Ok(_)) => Ok(()),
            Some(Err(e)) => Err(silent().because(e.desc())),
            None => Err(silent().because("it took too long")),
        }
    }
}

/// How long a new mount may take to answer.
const FIRST_ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Mounts `view` on `point`. Requests wait until [`Session::run`] answers them.
///
/// `source_label` is what the mount table shows as source: the bucket, without secrets.
///
/// # Errors
/// `MountPoint` when the point cannot be used, `Unsupported` without FUSE, `Denied` when the
/// system does not let this user mount.
pub fn mount(
    view: Arc<View>,
    point: &Path,
    source_label: &str,
    options: &MountOptions,
    runtime: Runtime,
) -> Result<(Session, Mounted)> {
    let point = point::check_point(point, options.nonempty)?;
    let (late, late_changes) = unbounded_channel();
    let adapter = Adapter::new(view, runtime, options.clone(), late);
    if let Some(number) = point::handed_over(&point) {
        // Whoever opened the device, normally root by mount.fuse3, decided who may use it; the
        // kernel names root as owner then.
        let device = descriptor::inherited(number)?;
        let session = Session::start(adapter, device, SessionACL::RootAndOwner, late_changes)?;
        let mounted = Mounted { point: None, device: String::new(), _plate: Plate::none() };
        return Ok((session, mounted));
    }
    let source = table_text(source_label);
    let device = attach(&point, &source, options)?;
    let entry = point::mounted_at(&point)?;
    let device_number = entry.map(|m| m.device).unwrap_or_default();
    let plate = Plate::of(&device_number);
    let mounted = Mounted { device: device_number, point: Some(point), _plate: plate };
    match Session::start(adapter, device, SessionACL::Owner, late_changes) {
        Ok(session) => Ok((session, mounted)),
        Err(e) => {
            mounted.detach_quietly();
            Err(e)
        }
    }
}

/// Makes a label that cannot be taken for options or for another line of the mount table.
fn table_text(label: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '\\' | '"' | '\'' | '#');
    let text: String = label.chars().map(|c| if plain(c) { c } else { '_' }).take(200).collect();
    if text.is_empty() { "chartfs".to_owned() } else { text }
}

/// Attaches a fresh device: directly as root, otherwise through fusermount3.
fn attach(point: &Path, source: &str, options: &MountOptions) -> Result<OwnedFd> {
    if nix::unistd::geteuid().is_root()
        && let Some(device) = attach_directly(point, source, options)?
    {
        return Ok(device);
    }
    attach_through_fusermount(point, source, options)
}

fn refused(point: &Path) -> Error {
    Error::new(Kind::MountPoint, format!("cannot mount on {}", point.display()))
}

/// Mounts by mount(2); `None` when this root may not, as in most containers.
fn attach_directly(point: &Path, source: &str, options: &MountOptions) -> Result<Option<OwnedFd>> {
    let device = File::options().read(true).write(true).open("/dev/fuse").map_err(|e| {
        Error::new(Kind::Unsupported, "cannot open /dev/fuse")
            .because(e)
            .hint("is the fuse module loaded, and may this container use the device?")
    })?;
    let owner = super::reply::Owner::current();
    let data = format!(
        "fd={},rootmode=40000,user_id={},group_id={},default_permissions",
        device.as_raw_fd(),
        owner.uid,
        owner.gid
    );
    let mut flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    flags.set(MsFlags::MS_RDONLY, options.read_only);
    match nix::mount::mount(Some(source), point, Some(FS_TYPE), flags, Some(data.as_str())) {
        Ok(()) => Ok(Some(device.into())),
        Err(Errno::EPERM | Errno::EACCES) => Ok(None),
        Err(Errno::ENODEV) => {
            Err(Error::new(Kind::Unsupported, "this kernel has no FUSE").hint("run: modprobe fuse"))
        }
        Err(e) => Err(refused(point).because(e.desc())),
    }
}

/// Returns where fusermount3 is.
pub(super) fn fusermount() -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/run/wrappers/bin"]
        .iter()
        .map(|dir| Path::new(dir).join("fusermount3"))
        .find(|path| path.exists())
}

/// Mounts by the set-user-id helper, which sends the device over the socket that it gets as
/// standard input.
fn attach_through_fusermount(
    point: &Path,
    source: &str,
    options: &MountOptions,
) -> Result<OwnedFd> {
    let Some(helper) = fusermount() else {
        return Err(Error::new(Kind::Unsupported, "fusermount3 is missing")
            .because("this process may not mount by itself")
            .hint("install it: apt-get install fuse3"));
    };
    let (ours, theirs) = UnixStream::pair()?;
    let access = if options.read_only { "ro" } else { "rw" };
    let list =
        format!("{access},nodev,nosuid,noexec,default_permissions,fsname={source},subtype=chartfs");
    let child = Command::new(helper)
        .arg("-o")
        .arg(list)
        .arg("--")
        .arg(point)
        .env("_FUSE_COMMFD", "0")
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let device = descriptor::receive(&ours);
    drop(ours);
    let output = child.wait_with_output()?;
    if let Some(device) = device? {
        return Ok(device);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(refused(point)
        .because(said.trim().trim_start_matches("fusermount3: "))
        .hint("the directory must belong to you, and /etc/fuse.conf must allow the mount"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_smuggle_options_or_lines() {
        assert_eq!(table_text("s3://bucket/a,allow_other\n\\x"), "s3://bucket/a_allow_other__x");
        assert_eq!(table_text(""), "chartfs");
        assert_eq!(table_text(&"x".repeat(1000)).len(), 200);
    }
}
