//! The operations, one short method each: decode, ask the view, encode.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags,
    INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags, PollEvents,
    PollFlags, PollNotifier, RenameFlags, ReplyAttr, ReplyBmap, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen,
    ReplyPoll, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use super::directory::Page;
use super::request::{checked, create, open, permission_bits, send_done, send_xattr};
use super::{Adapter, NAME_MAX_BYTES, reply};
use crate::view::{Access, Handle, Ino, RenameMode};

/// The most that one WRITE carries; also what the kernel takes at most.
const WRITE_MAX_BYTES: u32 = 1 << 20;
/// How many readahead requests the kernel may have under way.
const BACKGROUND_REQUESTS: u16 = 64;
/// The unit in which free space is reported.
const SPACE_BLOCK_BYTES: u32 = 4096;
/// The names of extended attributes that the view serves.
const XATTR_PREFIX: &[u8] = b"user.chartfs.";

/// Unwraps a value or sends its error number and returns.
macro_rules! or_reply {
    ($value:expr, $reply:ident) => {
        match $value {
            Ok(value) => value,
            Err(errno) => return $reply.error(errno),
        }
    };
}

impl Filesystem for Adapter {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // What a kernel does not offer it does not need; locks stay local to the kernel because
        // the lock flags are not among these.
        for flag in [
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_ASYNC_READ,
            InitFlags::FUSE_ATOMIC_O_TRUNC,
        ] {
            if config.add_capabilities(flag).is_err() {
                tracing::debug!(?flag, "the kernel does not offer this");
            }
        }
        let limits = [
            config.set_max_write(WRITE_MAX_BYTES).is_ok(),
            config.set_max_background(BACKGROUND_REQUESTS).is_ok(),
            config.set_congestion_threshold(BACKGROUND_REQUESTS / 4 * 3).is_ok(),
        ];
        tracing::debug!(?limits, "session starts");
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = or_reply!(checked(name), reply);
        let (view, parent, send) = (Arc::clone(&self.view), Ino(parent.0), self.send_found());
        if let Some(found) = view.cached_lookup(parent, &name) {
            return send(reply, found.map_err(|e| reply::errno("lookup", &e)));
        }
        let undo = Arc::clone(&view);
        self.grant(
            self.quick("lookup"),
            async move { view.lookup(parent, &name).await },
            move |found| send(reply, found),
            move |attr| async move { undo.forget(attr.ino, 1) },
        );
    }

    fn forget(&self, _req: &Request, ino: INodeNo, count: u64) {
        self.view.forget(Ino(ino.0), count);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        let (view, ino, send) = (Arc::clone(&self.view), Ino(ino.0), self.send_attr());
        if let Some(attr) = view.cached_attr(ino) {
            return send(reply, Ok(attr));
        }
        let handle = fh.map(|fh| Handle(fh.0));
        self.ask(
            &self.quick("getattr"),
            async move { view.attr(ino, handle).await },
            move |found| send(reply, found),
        );
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let times = (atime, mtime);
        let change = or_reply!(self.requested_change((mode, uid, gid), size, times), reply);
        let operation = self.commit("setattr").touching(ino);
        let (view, ino, send) = (Arc::clone(&self.view), Ino(ino.0), self.send_attr());
        let handle = fh.map(|fh| Handle(fh.0));
        self.change(
            operation,
            async move { view.set_attr(ino, handle, change).await },
            move |changed| send(reply, changed),
        );
    }

    fn readlink(&self, _req: &Request, _ino: INodeNo, reply: ReplyData) {
        reply.error(Errno::EINVAL);
    }

    fn mknod(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        if mode & libc::S_IFMT != libc::S_IFREG {
            return reply.error(Errno::EPERM);
        }
        or_reply!(self.while_open(), reply);
        let operation = self.commit("mknod").renaming(parent, name);
        let name = or_reply!(checked(name), reply);
        let (view, parent, send) = (Arc::clone(&self.view), Ino(parent.0), self.send_entry());
        let undo = Arc::clone(&view);
        self.grant(
            operation,
            async move {
                let (attr, opened) =
                    view.create(parent, &name, true, permission_bits(mode)).await?;
                let kept = view.flush(opened.handle).await;
                view.release(opened.handle).await;
                kept.inspect_err(|_| view.forget(attr.ino, 1)).map(|()| attr)
            },
            move |made| send(reply, made),
            move |attr| async move { undo.forget(attr.ino, 1) },
        );
    }

    fn mkdir(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        or_reply!(self.while_open(), reply);
        let operation = self.commit("mkdir").renaming(parent, name);
        let name = or_reply!(checked(name), reply);
        let (view, parent, send) = (Arc::clone(&self.view), Ino(parent.0), self.send_entry());
        let undo = Arc::clone(&view);
        self.grant(
            operation,
            async move { view.make_dir(parent, &name, permission_bits(mode)).await },
            move |made| send(reply, made),
            move |attr| async move { undo.forget(attr.ino, 1) },
        );
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let operation = self.commit("unlink").renaming(parent, name);
        let name = or_reply!(checked(name), reply);
        let (view, parent) = (Arc::clone(&self.view), Ino(parent.0));
        let work = async move { view.unlink(parent, &name).await };
        self.change(operation, work, move |done| send_done(reply, done));
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let operation = self.commit("rmdir").renaming(parent, name);
        let name = or_reply!(checked(name), reply);
        let (view, parent) = (Arc::clone(&self.view), Ino(parent.0));
        let work = async move { view.remove_dir(parent, &name).await };
        self.change(operation, work, move |done| send_done(reply, done));
    }

    fn symlink(&self, _r: &Request, _p: INodeNo, _name: &OsStr, _to: &Path, reply: ReplyEntry) {
        reply.error(Errno::EPERM);
    }

    fn link(&self, _r: &Request, _ino: INodeNo, _p: INodeNo, _name: &OsStr, reply: ReplyEntry) {
        reply.error(Errno::EPERM);
    }

    fn rename(
        &self,
        _req: &Request,
        from: INodeNo,
        from_name: &OsStr,
        to: INodeNo,
        to_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mode = match flags {
            f if f.is_empty() => RenameMode::Replace,
            RenameFlags::RENAME_NOREPLACE => RenameMode::NoReplace,
            RenameFlags::RENAME_EXCHANGE => RenameMode::Exchange,
            _ => return reply.error(Errno::EINVAL),
        };
        let operation = self.commit("rename").renaming(from, from_name).renaming(to, to_name);
        let from_name = or_reply!(checked(from_name), reply);
        let to_name = or_reply!(checked(to_name), reply);
        let (view, from, to) = (Arc::clone(&self.view), Ino(from.0), Ino(to.0));
        let work = async move { view.rename(from, &from_name, to, &to_name, mode).await };
        self.change(operation, work, move |done| send_done(reply, done));
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let mode = flags.acc_mode();
        let access = Access {
            read: mode != OpenAccMode::O_WRONLY,
            write: mode != OpenAccMode::O_RDONLY,
            truncate: flags.0 & libc::O_TRUNC != 0,
            append: flags.0 & libc::O_APPEND != 0,
        };
        if access.write || access.truncate {
            or_reply!(self.while_open(), reply);
        }
        let (view, ino) = (Arc::clone(&self.view), Ino(ino.0));
        let (undo, notifier) = (Arc::clone(&view), Arc::clone(&self.notifier));
        self.grant(
            self.quick("open"),
            async move { open(&view, ino, access, notifier.get()).await },
            move |opened| match opened {
                Ok(o) => reply.opened(FileHandle(o.handle.0), reply::open_flags(&o)),
                Err(errno) => reply.error(reply::of_inode(errno)),
            },
            move |opened| async move { undo.release(opened.handle).await },
        );
    }

    fn create(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        or_reply!(self.while_open(), reply);
        let operation = self.commit("create").renaming(parent, name);
        let name = or_reply!(checked(name), reply);
        let (view, parent) = (Arc::clone(&self.view), Ino(parent.0));
        let (owner, ttl, undo) = (self.owner, self.options.attr_ttl, Arc::clone(&view));
        self.grant(
            operation,
            async move { create(&view, parent, &name, permission_bits(mode), flags).await },
            move |made| match made {
                Ok((attr, o)) => reply.created(
                    &ttl,
                    &reply::attributes(&attr, owner),
                    reply::GENERATION,
                    FileHandle(o.handle.0),
                    reply::open_flags(&o),
                ),
                Err(errno) => reply.error(errno),
            },
            move |(attr, opened)| async move {
                undo.release(opened.handle).await;
                undo.forget(attr.ino, 1);
            },
        );
    }

    fn read(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let (view, handle) = (Arc::clone(&self.view), Handle(fh.0));
        if let Some(bytes) = view.cached_read(handle, offset, size) {
            return reply.data(&bytes);
        }
        self.ask(
            &self.quick("read"),
            async move { view.read(handle, offset, size).await },
            move |bytes| match bytes {
                Ok(bytes) => reply.data(&bytes),
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let (view, handle) = (Arc::clone(&self.view), Handle(fh.0));
        let data = Bytes::copy_from_slice(data);
        let written = u32::try_from(data.len()).expect("a WRITE is at most WRITE_MAX_BYTES");
        self.change(
            self.quick("write").touching(ino),
            async move { view.write(handle, offset, data).await },
            move |done| match done {
                Ok(()) => reply.written(written),
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn flush(&self, _r: &Request, ino: INodeNo, fh: FileHandle, _o: LockOwner, reply: ReplyEmpty) {
        let view = Arc::clone(&self.view);
        let work = async move { view.flush(Handle(fh.0)).await };
        self.change(self.commit("flush").touching(ino), work, move |done| send_done(reply, done));
    }

    fn fsync(&self, _r: &Request, ino: INodeNo, fh: FileHandle, _data: bool, reply: ReplyEmpty) {
        let view = Arc::clone(&self.view);
        let work = async move { view.fsync(Handle(fh.0)).await };
        self.change(self.commit("fsync").touching(ino), work, move |done| send_done(reply, done));
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let view = Arc::clone(&self.view);
        let work = async move {
            view.release(Handle(fh.0)).await;
            Ok(())
        };
        self.change(self.commit("release"), work, move |done| send_done(reply, done));
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let (view, ino) = (Arc::clone(&self.view), Ino(ino.0));
        let undo = Arc::clone(&view);
        self.grant(
            self.quick("opendir"),
            async move { view.open_dir(ino).await },
            move |opened| match opened {
                Ok(handle) => reply.opened(FileHandle(handle.0), FopenFlags::empty()),
                Err(errno) => reply.error(reply::of_inode(errno)),
            },
            move |handle| async move { undo.release_dir(handle) },
        );
    }

    fn readdir(&self, _r: &Request, ino: INodeNo, fh: FileHandle, at: u64, reply: ReplyDirectory) {
        self.page(ino, fh, at, Page::Names(reply));
    }

    fn readdirplus(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        let view = Arc::clone(&self.view);
        let (owner, ttl) = (self.owner, self.options.attr_ttl);
        self.page(ino, fh, offset, Page::Plus { reply, view, owner, ttl });
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.close_listing(fh);
        reply.ok();
    }

    fn fsyncdir(&self, _r: &Request, ino: INodeNo, _fh: FileHandle, _d: bool, reply: ReplyEmpty) {
        let (view, ino) = (Arc::clone(&self.view), Ino(ino.0));
        let work = async move { view.sync_dir(ino).await };
        self.change(self.commit("fsyncdir"), work, move |done| send_done(reply, done));
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let space = self.view.space();
        let block = u64::from(SPACE_BLOCK_BYTES);
        let (total, free) = (space.total_bytes.div_ceil(block), space.free_bytes / block);
        let name_max = u32::try_from(NAME_MAX_BYTES).expect("255 fits");
        let files = space.files.saturating_add(free);
        reply.statfs(
            total.max(1),
            free,
            free,
            files,
            free,
            SPACE_BLOCK_BYTES,
            name_max,
            SPACE_BLOCK_BYTES,
        );
    }

    fn setxattr(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _name: &OsStr,
        _value: &[u8],
        _flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EOPNOTSUPP);
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        // Every `ls -l` asks for names of others, twice per file. ENOSYS would make the kernel
        // stop asking at all, for our names too.
        if !name.as_bytes().starts_with(XATTR_PREFIX) {
            return reply.error(Errno::ENODATA);
        }
        let (view, ino, name) = (Arc::clone(&self.view), Ino(ino.0), name.as_bytes().to_vec());
        self.ask(
            &self.quick("getxattr"),
            async move { view.xattr(ino, &name).await },
            move |value| match value {
                Ok(Some(value)) => send_xattr(reply, size, &value),
                Ok(None) => reply.error(Errno::ENODATA),
                Err(errno) => reply.error(errno),
            },
        );
    }

    // Programs that copy attributes (rsync -X, cp -a) would try to set, and to remove, what says
    // how the file is seen here. Who knows a name asks for it.
    fn listxattr(&self, _req: &Request, _ino: INodeNo, size: u32, reply: ReplyXattr) {
        send_xattr(reply, size, &[]);
    }

    fn removexattr(&self, _req: &Request, _ino: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EOPNOTSUPP);
    }

    fn access(&self, _req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        let (view, ino) = (Arc::clone(&self.view), Ino(ino.0));
        let (read, write) = (mask.contains(AccessFlags::R_OK), mask.contains(AccessFlags::W_OK));
        let work = async move { view.access(ino, read, write).await };
        self.ask(&self.quick("access"), work, move |done| send_done(reply, done));
    }

    // ENOSYS to the following makes the kernel do the default itself and not ask again.

    fn bmap(&self, _r: &Request, _ino: INodeNo, _block: u32, _index: u64, reply: ReplyBmap) {
        reply.error(Errno::ENOSYS);
    }

    fn ioctl(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _flags: IoctlFlags,
        _cmd: u32,
        _data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    fn poll(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _notifier: PollNotifier,
        _events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn fallocate(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _offset: u64,
        _length: u64,
        _mode: i32,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn lseek(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _offset: i64,
        _whence: i32,
        reply: ReplyLseek,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn copy_file_range(
        &self,
        _req: &Request,
        _ino_in: INodeNo,
        _fh_in: FileHandle,
        _offset_in: u64,
        _ino_out: INodeNo,
        _fh_out: FileHandle,
        _offset_out: u64,
        _len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        reply.error(Errno::ENOSYS);
    }
}
