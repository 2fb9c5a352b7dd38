//! Taking ownership of file descriptors that came as numbers. The only unsafe code of `fuse`.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

use crate::error::{Error, Kind, Result};

/// Receives the one descriptor that fusermount3 sends; `None` when it closed the socket instead.
pub(super) fn receive(socket: &UnixStream) -> Result<Option<OwnedFd>> {
    let mut byte = [0u8; 1];
    let mut parts = [std::io::IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!(RawFd);
    let message = loop {
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags) {
            Err(nix::errno::Errno::EINTR) => {}
            other => break other.map_err(std::io::Error::from)?,
        }
    };
    let controls = message.cmsgs().map_err(std::io::Error::from)?;
    for control in controls {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            // SAFETY: the kernel has just made these descriptors for this process and nothing
            // else knows their numbers. There is room for one only, so none is lost.
            return Ok(numbers.first().map(|n| unsafe { OwnedFd::from_raw_fd(*n) }));
        }
    }
    Ok(None)
}

/// Takes over descriptor `number`, which whoever started this process opened and left to it.
pub(super) fn inherited(number: RawFd) -> Result<OwnedFd> {
    let refused = |why: &str| {
        Err(Error::new(Kind::MountPoint, format!("cannot mount on descriptor {number}"))
            .because(why)
            .hint("let mount.fuse3 pass it: -o drop_privileges"))
    };
    if number <= 2 {
        return refused("it is a standard stream");
    }
    // SAFETY: the borrow lasts for the two calls below, which fail on a number that is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let target = std::fs::read_link(format!("/proc/self/fd/{number}"));
    if !target.is_ok_and(|t| t.as_os_str() == "/dev/fuse") {
        return refused("it is not an open /dev/fuse");
    }
    if fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).is_err() {
        return refused("it cannot be used");
    }
    // SAFETY: it is open, as checked above, and by the convention of mount.fuse3 it belongs to
    // the file system from here on; nothing in this process opened it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
