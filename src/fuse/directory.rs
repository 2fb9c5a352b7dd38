//! Reading a directory in pages: the offset of an entry is its place in the snapshot.
//!
//! Offsets 1 and 2 come after `.` and `..`; offset `i + 3` comes after entry `i`. The snapshot
//! of a handle does not change, so offsets stay valid while files come and go; what is said about
//! an entry is looked up when it is said.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use fuser::{Errno, FileAttr, FileHandle, INodeNo, ReplyDirectory, ReplyDirectoryPlus};

use super::{Adapter, reply};
use crate::error::Kind;
use crate::view::{Attr, DirEntry, Handle, Ino, View};

/// The names that every directory has and no snapshot lists.
const DOTS: [&[u8]; 2] = [b".", b".."];

/// The two replies to the two ways of asking.
pub(super) enum Page {
    Names(ReplyDirectory),
    Plus { reply: ReplyDirectoryPlus, view: Arc<View>, owner: reply::Owner, ttl: Duration },
}

impl Page {
    /// Answers with everything from `offset` on that fits.
    fn fill(mut self, directory: INodeNo, offset: u64, entries: &[DirEntry]) {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        for (i, name) in DOTS.iter().enumerate().skip(start) {
            if self.add_dot(directory, i as u64 + 1, name) {
                return self.send();
            }
        }
        let first = start.saturating_sub(DOTS.len());
        for (i, entry) in entries.iter().enumerate().skip(first) {
            if self.add(directory, i as u64 + 1 + DOTS.len() as u64, entry) {
                break;
            }
        }
        self.send();
    }

    /// Adds `.` or `..`; says whether the page was full. The kernel takes no reference on them.
    fn add_dot(&mut self, directory: INodeNo, next: u64, name: &[u8]) -> bool {
        let name = OsStr::from_bytes(name);
        match self {
            Self::Names(page) => page.add(directory, next, fuser::FileType::Directory, name),
            Self::Plus { reply, owner, .. } => {
                let attr = FileAttr {
                    ino: directory,
                    kind: fuser::FileType::Directory,
                    ..reply::absent(*owner)
                };
                reply.add(directory, next, name, &Duration::ZERO, &attr, reply::GENERATION)
            }
        }
    }

    /// Adds an entry; says whether the page was full.
    fn add(&mut self, directory: INodeNo, next: u64, entry: &DirEntry) -> bool {
        let name = OsStr::from_bytes(&entry.name);
        match self {
            Self::Names(page) => {
                let ino = INodeNo(entry.attr.ino.0);
                page.add(ino, next, reply::file_type(entry.attr.kind), name)
            }
            Self::Plus { reply, view, owner, ttl } => {
                let Some((attr, ttl)) = current(view, Ino(directory.0), entry, *ttl) else {
                    return false;
                };
                let ino = attr.ino;
                let attr = reply::attributes(&attr, *owner);
                let full = reply.add(attr.ino, next, name, &ttl, &attr, reply::GENERATION);
                if full {
                    view.forget(ino, 1);
                }
                full
            }
        }
    }

    fn send(self) {
        match self {
            Self::Names(page) => page.ok(),
            Self::Plus { reply, .. } => reply.ok(),
        }
    }

    fn fail(self, errno: Errno) {
        match self {
            Self::Names(page) => page.error(errno),
            Self::Plus { reply, .. } => reply.error(errno),
        }
    }
}

/// Returns what an entry of the snapshot is now and how long the kernel may believe it, with a
/// kernel reference counted as for a lookup; `None` when the name is gone.
///
/// The kernel takes an entry with attributes for the truth of this moment, and it keeps its own
/// changes of the directory away while it asks. If it were told what was true when the directory
/// was opened, a name that was moved since would lead the next write into the moved file.
fn current(
    view: &View,
    directory: Ino,
    entry: &DirEntry,
    ttl: Duration,
) -> Option<(Attr, Duration)> {
    match view.cached_lookup(directory, &entry.name) {
        Some(Ok(attr)) => Some((attr, ttl)),
        Some(Err(e)) if e.kind() == Kind::NotFound => None,
        _ => {
            view.remember(entry.attr.ino);
            let attr = view.cached_attr(entry.attr.ino).unwrap_or_else(|| entry.attr.clone());
            Some((attr, Duration::ZERO))
        }
    }
}

impl Adapter {
    /// Answers one page of a directory. The first page asks the view; so does every return to
    /// the start, which is what `rewinddir` means by a fresh look.
    pub(super) fn page(&self, ino: INodeNo, fh: FileHandle, offset: u64, page: Page) {
        let known =
            self.listings.lock().unwrap_or_else(PoisonError::into_inner).get(&fh.0).cloned();
        if let Some(entries) = known.filter(|_| offset > 0) {
            return page.fill(ino, offset, &entries);
        }
        let view = Arc::clone(&self.view);
        let listings = Arc::clone(&self.listings);
        let from = offset.saturating_sub(DOTS.len() as u64);
        self.ask(
            &self.quick("readdir"),
            async move { view.list(Handle(fh.0), from).await },
            move |listed| match listed {
                Ok(entries) => {
                    let mut open = listings.lock().unwrap_or_else(PoisonError::into_inner);
                    open.insert(fh.0, Arc::clone(&entries));
                    drop(open);
                    page.fill(ino, offset, &entries);
                }
                Err(errno) => page.fail(errno),
            },
        );
    }

    /// Drops the snapshot of a closed directory.
    pub(super) fn close_listing(&self, fh: FileHandle) {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner).remove(&fh.0);
        self.view.release_dir(Handle(fh.0));
    }
}
