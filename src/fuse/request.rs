//! What the operations share: decoding of arguments and the answers that several of them give.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use fuser::{Errno, ReplyAttr, ReplyEmpty, ReplyEntry, ReplyXattr, TimeOrNow};

use super::{Adapter, NAME_MAX_BYTES, Notifier, reply};
use crate::view::{Access, Attr, Ino, Opened, SetAttr, View};

pub(super) type Answer<T> = Result<T, Errno>;

/// Refuses names that no directory can hold.
pub(super) fn checked(name: &OsStr) -> Answer<Vec<u8>> {
    if name.len() > NAME_MAX_BYTES {
        return Err(Errno::ENAMETOOLONG);
    }
    Ok(name.as_bytes().to_vec())
}

/// The permission bits of a mode.
pub(super) fn permission_bits(mode: u32) -> u16 {
    u16::try_from(mode & 0o777).expect("nine bits fit")
}

impl Adapter {
    pub(super) fn send_entry(&self) -> impl FnOnce(ReplyEntry, Answer<Attr>) + Send + 'static {
        let (owner, ttl) = (self.owner, self.options.attr_ttl);
        move |reply, found| match found {
            Ok(attr) => reply.entry(&ttl, &reply::attributes(&attr, owner), reply::GENERATION),
            Err(errno) => reply.error(errno),
        }
    }

    /// As [`Adapter::send_entry`], but lets the kernel remember that a name does not exist.
    pub(super) fn send_found(&self) -> impl FnOnce(ReplyEntry, Answer<Attr>) + Send + 'static {
        let (owner, ttl, send) = (self.owner, self.options.negative_ttl, self.send_entry());
        move |reply, found| match found {
            Err(Errno::ENOENT) if !ttl.is_zero() => {
                reply.entry(&ttl, &reply::absent(owner), reply::GENERATION);
            }
            other => send(reply, other),
        }
    }

    pub(super) fn send_attr(&self) -> impl FnOnce(ReplyAttr, Answer<Attr>) + Send + 'static {
        let (owner, ttl) = (self.owner, self.options.attr_ttl);
        move |reply, found| match found {
            Ok(attr) => reply.attr(&ttl, &reply::attributes(&attr, owner)),
            Err(errno) => reply.error(reply::of_inode(errno)),
        }
    }

    /// Says what of a `setattr` the view has to do, or refuses it: owners cannot change, and
    /// there are no set-id or sticky bits.
    pub(super) fn requested_change(
        &self,
        (mode, uid, gid): (Option<u32>, Option<u32>, Option<u32>),
        size_bytes: Option<u64>,
        (atime, mtime): (Option<TimeOrNow>, Option<TimeOrNow>),
    ) -> Answer<SetAttr> {
        let foreign_uid = uid.is_some_and(|u| u != self.owner.uid);
        let foreign_gid = gid.is_some_and(|g| g != self.owner.gid);
        if foreign_uid || foreign_gid || mode.is_some_and(|m| m & 0o7000 != 0) {
            return Err(Errno::EPERM);
        }
        let (atime, mtime) = (atime.map(reply::set_time), mtime.map(reply::set_time));
        Ok(SetAttr { size_bytes, atime, mtime, mode: mode.map(permission_bits) })
    }

    /// Refuses new work while the mount is being taken down.
    pub(super) fn while_open(&self) -> Answer<()> {
        if self.gate.is_closed() { Err(Errno::ESHUTDOWN) } else { Ok(()) }
    }
}

/// Opens a file. A program that opened it reads the version that was opened, whole: before it gets
/// the answer the kernel forgets the size of an older one.
pub(super) async fn open(
    view: &View,
    ino: Ino,
    access: Access,
    notifier: Option<&Notifier>,
) -> crate::error::Result<Opened> {
    let opened = view.open(ino, access).await?;
    if let Some(notifier) = notifier.filter(|_| opened.is_outdated) {
        notifier.forget(ino).await;
    }
    Ok(opened)
}

/// Makes a file and, when an existing one was opened instead, cuts it as `O_TRUNC` says.
pub(super) async fn create(
    view: &View,
    parent: Ino,
    name: &[u8],
    mode: u16,
    flags: i32,
) -> crate::error::Result<(Attr, Opened)> {
    let exclusive = flags & libc::O_EXCL != 0;
    let (attr, opened) = view.create(parent, name, exclusive, mode).await?;
    if flags & libc::O_TRUNC == 0 || attr.size_bytes == 0 {
        return Ok((attr, opened));
    }
    let cut = SetAttr { size_bytes: Some(0), ..SetAttr::default() };
    match view.set_attr(attr.ino, Some(opened.handle), cut).await {
        Ok(attr) => Ok((attr, opened)),
        Err(e) => {
            view.release(opened.handle).await;
            view.forget(attr.ino, 1);
            Err(e)
        }
    }
}

/// Answers in the two steps of the xattr calls: first how long, then the bytes.
pub(super) fn send_xattr(reply: ReplyXattr, size: u32, value: &[u8]) {
    match u32::try_from(value.len()) {
        Ok(len) if size == 0 => reply.size(len),
        Ok(len) if len <= size => reply.data(value),
        _ => reply.error(Errno::ERANGE),
    }
}

/// Answers a change that has no result but success.
pub(super) fn send_done(reply: ReplyEmpty, done: Answer<()>) {
    match done {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}
