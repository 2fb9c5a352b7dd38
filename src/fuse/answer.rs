//! Does anybody answer for a drive? Found out without waiting for ever, and without a thread or
//! process of ours that cannot end.
//!
//! A daemon puts up a *plate*: a socket without a name in any folder, whose name says which drive
//! it serves and which process it is. It is there for as long as the last thread of the daemon, so
//! a process that was killed and hangs in the kernel, waiting for itself, can still be found.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use super::child;
use super::point::{self, FS_TYPE, MountEntry};
use crate::error::{Error, Kind, Result};

/// How long a drive may take to answer.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// The attribute of the root of a drive that says how it does.
const STATUS: &str = "user.chartfs.status";

/// What became of a question to a drive.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// How it does, as JSON.
    Text(Vec<u8>),
    /// Somebody answers, or the system in his place, but does not say.
    Refused(Errno),
    /// Nobody answers any more, and nobody ever will.
    Dead,
    /// The daemon is this process, which somebody stopped.
    Stopped(i32),
    /// There is no answer in time.
    Silent,
}

/// Asks the drive that is mounted at `point` how it does.
///
/// # Errors
/// `MountPoint` when no drive is mounted there.
pub fn ask(point: &Path) -> Result<Answer> {
    let refused = |why: String| {
        Error::new(Kind::MountPoint, format!("{} does not say how it does", point.display()))
            .because(why)
    };
    let resolved = point::resolved(point).map_err(|e| refused(e.to_string()))?;
    match point::mounted_at(&resolved)? {
        Some(entry) if entry.fs_type == FS_TYPE => of(&entry),
        _ => Err(refused("it is not the root of a chartfs drive".to_owned())),
    }
}

/// The same for an entry of the mount table.
pub(super) fn of(entry: &MountEntry) -> Result<Answer> {
    if let Some(answer) = without_asking(entry) {
        return Ok(answer);
    }
    Ok(match child::attribute(&entry.point, STATUS, ANSWER_LIMIT)? {
        Some(Ok(text)) => Answer::Text(text),
        Some(Err(Errno::ENOTCONN | Errno::ECONNABORTED)) => Answer::Dead,
        Some(Err(e)) => Answer::Refused(e),
        None => without_asking(entry).unwrap_or(Answer::Silent),
    })
}

/// Says what the state of the daemon's process tells.
fn without_asking(entry: &MountEntry) -> Option<Answer> {
    let sockets = std::fs::read("/proc/net/unix").ok()?;
    let pid = plate_of(&sockets, &entry.device, &processes()?)?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // A plate is worth what its owner is: anybody may put one up.
    if field(&status, "Uid:")?.parse().ok() != entry.owner {
        return None;
    }
    match field(&status, "State:")? {
        "Z" | "X" => Some(Answer::Dead),
        "T" | "t" => Some(Answer::Stopped(pid)),
        _ => None,
    }
}

/// Returns the first word behind a label of `/proc/PID/status`.
fn field<'a>(status: &'a str, label: &str) -> Option<&'a str> {
    status.lines().find_map(|l| l.strip_prefix(label))?.split_whitespace().next()
}

/// Returns the process in a plate of the drive, which must have been put up where process numbers
/// mean the same as here.
fn plate_of(sockets: &[u8], device: &str, processes: &str) -> Option<i32> {
    let wanted = format!("@chartfs/{device}/{processes}/");
    sockets.split(|b| *b == b'\n').find_map(|line| {
        let name = line.rsplit(|b| *b == b' ').next()?;
        str::from_utf8(name.strip_prefix(wanted.as_bytes())?).ok()?.parse().ok()
    })
}

/// Names the space of process numbers that this process lives in.
fn processes() -> Option<String> {
    let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let digits = |c: &char| c.is_ascii_digit();
    Some(space.to_str()?.chars().filter(digits).collect())
}

/// What a daemon puts up for as long as it lives.
#[derive(Debug)]
pub(super) struct Plate {
    _socket: Option<UnixDatagram>,
}

impl Plate {
    /// Puts one up for a drive; without one, others can only wait for an answer.
    pub(super) fn of(device: &str) -> Self {
        let name = processes().map(|p| format!("chartfs/{device}/{p}/{}", std::process::id()));
        let socket = name.and_then(|name| {
            let address = SocketAddr::from_abstract_name(name).ok()?;
            UnixDatagram::bind_addr(&address)
                .inspect_err(|error| tracing::debug!(%error, "nobody will know this process"))
                .ok()
        });
        Self { _socket: socket }
    }

    /// Goes without.
    pub(super) fn none() -> Self {
        Self { _socket: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plate_is_found_by_drive_and_space() {
        let sockets = b"Num RefCount Protocol Flags Type St Inode Path\n\
            0: 00000003 00000000 00000000 0001 03 1748336\n\
            0: 00000002 00000000 00000000 0002 01 1 @chartfs/0:4/77/12\n\
            0: 00000002 00000000 00000000 0002 01 2 @chartfs/0:45/78/13\n\
            0: 00000002 00000000 00000000 0002 01 3 @chartfs/0:45/77/14\n\
            0: 00000002 00000000 00000000 0002 01 3 @chartfs/0:46/77/x\n";
        assert_eq!(plate_of(sockets, "0:45", "77"), Some(14));
        assert_eq!(plate_of(sockets, "0:4", "77"), Some(12));
        assert_eq!(plate_of(sockets, "0:46", "77"), None);
        assert_eq!(plate_of(sockets, "0:5", "77"), None);
        assert_eq!(plate_of(b"", "0:45", "77"), None);
    }

    #[test]
    fn the_state_of_a_process_is_read() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        assert_eq!(field(&status, "Uid:").unwrap(), nix::unistd::getuid().as_raw().to_string());
        assert_eq!(field(&status, "State:").unwrap().len(), 1);
        assert_eq!(field(&status, "None:"), None);
    }

    #[test]
    fn a_plate_stands_while_it_is_held() {
        let device = format!("0:{}", u32::MAX);
        let found = || {
            let sockets = std::fs::read("/proc/net/unix").unwrap();
            plate_of(&sockets, &device, &processes().unwrap())
        };
        let plate = Plate::of(&device);
        assert_eq!(found(), i32::try_from(std::process::id()).ok());
        drop(plate);
        assert_eq!(found(), None);
    }

    #[test]
    fn what_is_no_drive_is_not_asked() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ask(dir.path()).unwrap_err().kind(), Kind::MountPoint);
        assert_eq!(ask(&dir.path().join("none")).unwrap_err().kind(), Kind::MountPoint);
    }
}
