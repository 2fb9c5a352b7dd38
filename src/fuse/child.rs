//! Calls that may never return, made by a child process with a time limit.
//!
//! A request that a daemon has read and does not answer cannot be interrupted, not even by KILL,
//! and a process does not end while one of its threads waits in such a call. So nothing that has
//! to end asks a drive itself. A child that waits for ever is left behind with no file open; it
//! ends when the connection does.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io::{PipeReader, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{ForkResult, Pid};

use crate::error::{Error, Kind, Result};

/// The longest answer.
const ANSWER_MAX_BYTES: usize = 16 << 10;
/// The number of the error, before the answer.
const NUMBER_BYTES: usize = 4;

/// What a call gave, or `None` when it did not return in time.
type Asked = Option<std::result::Result<Vec<u8>, Errno>>;

/// Asks for an extended attribute.
pub(super) fn attribute(path: &Path, name: &str, limit: Duration) -> Result<Asked> {
    let (path, name) = (text(path.as_os_str().as_bytes())?, text(name.as_bytes())?);
    run(limit, |answer| {
        rustix::fs::getxattr(path.as_c_str(), name.as_c_str(), answer)
            .map_err(|e| Errno::from_raw(e.raw_os_error()))
    })
}

/// Asks for the numbers of a file system.
pub(super) fn numbers(path: &Path, limit: Duration) -> Result<Asked> {
    let path = text(path.as_os_str().as_bytes())?;
    run(limit, |_| nix::sys::statvfs::statvfs(path.as_c_str()).map(|_| 0))
}

/// Unmounts.
pub(super) fn unmount(path: &Path, flags: MntFlags, limit: Duration) -> Result<Asked> {
    let path = text(path.as_os_str().as_bytes())?;
    run(limit, |_| umount2(path.as_c_str(), flags).map(|()| 0))
}

fn text(bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|e| Error::new(Kind::MountPoint, "no such name").because(e))
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, "cannot start a process").because(e.to_string())
}

/// Makes `call` in a child process, where it fills the buffer and says how far.
///
/// `call` runs in a copy of a process that may have threads: it may do nothing but system calls,
/// not even allocate.
fn run(limit: Duration, call: impl FnOnce(&mut [u8]) -> nix::Result<usize>) -> Result<Asked> {
    let (from_child, to_parent) = std::io::pipe().map_err(failed)?;
    let mut buffer = vec![0; NUMBER_BYTES + ANSWER_MAX_BYTES];
    // SAFETY: the child makes system calls only, as `call` and `answer` promise, so it needs no
    // lock that another thread may have held.
    match unsafe { nix::unistd::fork() }.map_err(|e| failed(e.desc()))? {
        ForkResult::Parent { child } => {
            drop(to_parent);
            receive(from_child, child, limit, &mut buffer)
        }
        ForkResult::Child => answer(to_parent.as_raw_fd(), &mut buffer, call),
    }
}

/// The child's whole life.
fn answer(
    to_parent: RawFd,
    said: &mut [u8],
    call: impl FnOnce(&mut [u8]) -> nix::Result<usize>,
) -> ! {
    // SAFETY: plain system calls on numbers. Whoever reads the
    // output of this program to its end must not wait for a child that is left behind; so it
    // keeps no file but the pipe.
    unsafe {
        if to_parent != 0 && libc::dup2(to_parent, 0) < 0 {
            libc::_exit(1);
        }
        if libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0) != 0 {
            (1..1024).for_each(|number| _ = libc::close(number));
        }
    }
    let (number, len) = match call(&mut said[NUMBER_BYTES..]) {
        Ok(len) => (0, len.min(ANSWER_MAX_BYTES)),
        Err(e) => (e as i32, 0),
    };
    said[..NUMBER_BYTES].copy_from_slice(&number.to_ne_bytes());
    // SAFETY: as above, on a buffer that is this long. A parent that waits no longer has closed the pipe, and nothing is lost.
    unsafe {
        libc::write(0, said.as_ptr().cast(), NUMBER_BYTES + len);
        libc::_exit(0)
    }
}

/// Waits for what the child says.
fn receive(
    mut from_child: PipeReader,
    child: Pid,
    limit: Duration,
    buffer: &mut [u8],
) -> Result<Asked> {
    let begun = Instant::now();
    let mut said = Vec::new();
    while let Some(left) = limit.checked_sub(begun.elapsed()) {
        if !is_readable(&from_child, left)? {
            continue;
        }
        let len = from_child.read(buffer).map_err(failed)?;
        if len > 0 {
            said.extend_from_slice(&buffer[..len]);
            continue;
        }
        // It has closed everything, so nothing keeps it from ending.
        let _ = waitpid(child, None);
        let Some((number, text)) = said.split_first_chunk::<NUMBER_BYTES>() else {
            return Err(failed("it said nothing"));
        };
        return Ok(Some(match i32::from_ne_bytes(*number) {
            0 => Ok(text.to_vec()),
            number => Err(Errno::from_raw(number)),
        }));
    }
    let _ = kill(child, Signal::SIGKILL);
    let _ = waitpid(child, Some(WaitPidFlag::WNOHANG));
    Ok(None)
}

/// Waits until there is something to read, or the time is over, or a signal came.
fn is_readable(pipe: &PipeReader, limit: Duration) -> Result<bool> {
    let mut asked = libc::pollfd { fd: pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX).saturating_add(1);
    // SAFETY: one entry, which lives until the call is over.
    match unsafe { libc::poll(&raw mut asked, 1, limit_ms) } {
        0 => Ok(false),
        count if count > 0 => Ok(true),
        _ if Errno::last() == Errno::EINTR => Ok(false),
        _ => Err(failed(Errno::last().desc())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_a_call_gives_arrives_whole() {
        let got = run(LONG, |buffer| {
            buffer.fill(7);
            Ok(buffer.len())
        });
        assert_eq!(got.unwrap(), Some(Ok(vec![7; ANSWER_MAX_BYTES])));
        assert_eq!(run(LONG, |_| Ok(0)).unwrap(), Some(Ok(Vec::new())));
        assert_eq!(run(LONG, |_| Err(Errno::ENOTCONN)).unwrap(), Some(Err(Errno::ENOTCONN)));
    }

    #[test]
    fn a_call_that_does_not_return_is_left() {
        let waits = |_: &mut [u8]| loop {
            // SAFETY: the child has nothing else to do, and is killed.
            unsafe { libc::pause() };
        };
        assert_eq!(run(Duration::from_millis(50), waits).unwrap(), None);
    }

    #[test]
    fn a_plain_directory_says_what_the_system_says() {
        let dir = tempfile::tempdir().unwrap();
        let asked = |path: &Path| attribute(path, "user.chartfs.none", LONG).unwrap();
        assert!(matches!(asked(dir.path()), Some(Err(Errno::ENODATA | Errno::EOPNOTSUPP))));
        assert_eq!(asked(&dir.path().join("none")), Some(Err(Errno::ENOENT)));
        assert_eq!(numbers(dir.path(), LONG).unwrap(), Some(Ok(Vec::new())));
    }
}
