//! The disk as a file system.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};
use nix::mount::{MntFlags, umount2};

use super::disk::{Answer, Disk};

/// The kernel remembers nothing: after a cut it would be wrong.
const TTL: Duration = Duration::ZERO;

/// A mounted disk whose power can be cut.
pub(crate) struct Mounted {
    disk: Arc<Mutex<Disk>>,
    point: PathBuf,
    session: Option<fuser::BackgroundSession>,
}

impl Mounted {
    pub(crate) fn new(point: &Path, is_off: &Arc<AtomicBool>) -> Self {
        let disk = Arc::new(Mutex::new(Disk::new(Arc::clone(is_off))));
        let served = Served(Arc::clone(&disk));
        let session = fuser::Session::new(served, point, &Config::default()).unwrap();
        Self { disk, point: point.to_owned(), session: Some(session.spawn().unwrap()) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.point, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH);
        drop(self.session.take());
    }
}

struct Served(Arc<Mutex<Disk>>);

impl Served {
    fn attr(&self, ino: u64) -> Answer<FileAttr> {
        let mut disk = self.0.lock().unwrap();
        let node = disk.node(ino)?;
        let kind = if node.is_folder { FileType::Directory } else { FileType::RegularFile };
        Ok(FileAttr {
            ino: INodeNo(ino),
            size: node.data.len() as u64,
            blocks: node.data.len().div_ceil(512) as u64,
            atime: node.mtime,
            mtime: node.mtime,
            ctime: node.mtime,
            crtime: UNIX_EPOCH,
            kind,
            perm: node.mode,
            nlink: 1,
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Disk) -> Answer<T>) -> Answer<T> {
        work(&mut self.0.lock().unwrap())
    }

    fn entry(&self, ino: Answer<u64>, reply: ReplyEntry) {
        match ino.and_then(|ino| self.attr(ino)) {
            Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
            Err(e) => reply.error(e),
        }
    }
}

fn done(result: Answer<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(e) => reply.error(e),
    }
}

fn bits(mode: u32) -> u16 {
    u16::try_from(mode & 0o777).expect("nine bits")
}

fn index(n: u64) -> usize {
    usize::try_from(n).expect("a small disk")
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(self.with(|d| d.find(parent.0, name)), reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attr(ino.0) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(e) => reply.error(e),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changed = self.with(|disk| {
            disk.change()?;
            let node = disk.node(ino.0)?;
            if let Some(mode) = mode {
                node.mode = bits(mode);
            }
            if let Some(size) = size {
                node.set_len(index(size));
            }
            match mtime {
                Some(TimeOrNow::SpecificTime(time)) => node.mtime = time,
                Some(TimeOrNow::Now) => node.mtime = SystemTime::now(),
                None => {}
            }
            Ok(())
        });
        match changed.and_then(|()| self.attr(ino.0)) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(e) => reply.error(e),
        }
    }

    fn mkdir(&self, _: &Request, at: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        self.entry(self.with(|d| d.make(at.0, name, true, bits(mode))), reply);
    }

    fn create(
        &self,
        _: &Request,
        at: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let made = self.with(|d| d.make(at.0, name, false, bits(mode)));
        match made.and_then(|ino| self.attr(ino)) {
            Ok(attr) => {
                let flags = FopenFlags::FOPEN_DIRECT_IO;
                reply.created(&TTL, &attr, Generation(0), FileHandle(0), flags);
            }
            Err(e) => reply.error(e),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.with(|d| d.remove(parent.0, name)), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.with(|d| d.remove(parent.0, name)), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        done(self.with(|d| d.rename((parent.0, name), (to.0, new))), reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.with(|d| d.node(ino.0).map(|_| ())) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(e) => reply.error(e),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let part = self.with(|d| {
            let data = &d.node(ino.0)?.data;
            let start = index(offset).min(data.len());
            Ok(data[start..data.len().min(start + size as usize)].to_vec())
        });
        match part {
            Ok(part) => reply.data(&part),
            Err(e) => reply.error(e),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.with(|d| {
            d.change()?;
            d.node(ino.0)?.write(index(offset), data);
            Ok(())
        });
        match written {
            Ok(()) => reply.written(u32::try_from(data.len()).expect("one request")),
            Err(e) => reply.error(e),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, only: bool, reply: ReplyEmpty) {
        let synced = self.with(|d| {
            d.change()?;
            d.node(ino.0)?.sync(only);
            Ok(())
        });
        done(synced, reply);
    }

    fn fsyncdir(&self, r: &Request, ino: INodeNo, fh: FileHandle, only: bool, reply: ReplyEmpty) {
        self.fsync(r, ino, fh, only, reply);
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let rows = self.with(|d| {
            let names: Vec<_> = d.node(ino.0)?.names.clone().into_iter().collect();
            let kind = |d: &Disk, ino| match d.nodes.get(&ino) {
                Some(node) if node.is_folder => FileType::Directory,
                _ => FileType::RegularFile,
            };
            Ok(names.into_iter().map(|(n, ino)| (kind(d, ino), n, ino)).collect::<Vec<_>>())
        });
        match rows {
            Ok(rows) => {
                for (at, (kind, name, ino)) in (1..).zip(rows).skip(index(offset)) {
                    if reply.add(INodeNo(ino), at, kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(e) => reply.error(e),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        match self.with(|d| d.node(super::disk::ROOT).map(|_| ())) {
            Ok(()) => reply.statfs(1 << 22, 1 << 21, 1 << 21, 1 << 20, 1 << 19, 4096, 255, 4096),
            Err(e) => reply.error(e),
        }
    }

    fn access(&self, _: &Request, _: INodeNo, _: fuser::AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }
}
