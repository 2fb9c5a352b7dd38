//! What does this user see there? A tree of folders and plain files, made of the sections that the
//! user's credential opens; what is saved is merged into what the user cannot see.
//!
//! A [`View`] is one user's. It knows nothing of FUSE: `fuse` is one thin adapter over it, and the
//! command line another. Inodes are numbers of this process; the bucket knows only records.
//!
//! *Invariant:* nothing that a view says of a file (bytes, size, time, listing, attributes) depends
//! on a section that is hidden from its user.

mod node;
mod folder;
mod listing;
mod sight;
mod draft;
mod open;
mod held;
mod file;
mod stream;
mod save;
mod plan;
mod returning;
mod aside;
mod conflict;
mod unchecked;
mod removal;
mod entries;
mod rename;
mod moving;
mod exchange;
mod unfinished;
mod policy;
mod local;
mod xattr;
mod history;
mod restore;
mod rejected;
mod overtaken;
mod status;
mod path;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::error::{Error, Kind, Result};
use crate::record::format::Rules;
use crate::record::{Located, PolicyRef, RecordId, Records};
use file::OpenFile;
use listing::OpenFolder;
use node::{Node, Stands, Tree};

pub use history::{History, PastVersion, RemovedName};
pub use path::Saved;
pub use policy::Rewrapped;
pub use rejected::{RejectedText, RejectedTexts, TEXTS_LEN_MAX_BYTES, TEXTS_MAX};
pub use status::Status;
pub use unfinished::Moves;

/// A number for a file or folder within one mount; 1 is the root. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ino(pub u64);

impl Ino {
    /// The root of the drive.
    pub const ROOT: Self = Self(1);
}

/// An open file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub u64);

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A folder.
    Directory,
    /// A plain file.
    File,
}

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Whole seconds since 1970, rounded down.
    pub unix_s: i64,
    /// Nanoseconds after that.
    pub ns: u32,
}

impl Time {
    /// Makes a time of nanoseconds since 1970.
    pub fn from_unix_ns(ns: i64) -> Self {
        let rest = ns.rem_euclid(1_000_000_000);
        Self {
            unix_s: ns.div_euclid(1_000_000_000),
            ns: u32::try_from(rest).expect("less than a billion"),
        }
    }

    /// Returns nanoseconds since 1970, at the limits of 1677 and 2262 beyond them.
    pub fn to_unix_ns(self) -> i64 {
        self.unix_s.saturating_mul(1_000_000_000).saturating_add(i64::from(self.ns))
    }
}

/// What is shown of a file or folder without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attr {
    /// Its number.
    pub ino: Ino,
    /// What it is.
    pub kind: NodeKind,
    /// The exact size of this user's view.
    pub size_bytes: u64,
    /// When it was read last, as far as a program set that; else the same as `mtime`.
    pub atime: Time,
    /// When a section that this user sees was last changed.
    pub mtime: Time,
    /// The same as `mtime`, or when a program set times or bits after that.
    pub ctime: Time,
    /// Permission bits.
    pub mode: u16,
    /// Number of names.
    pub nlink: u32,
}

/// One name of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name.
    pub name: Vec<u8>,
    /// What it stands for. Of a file whose head is damaged or slow only its number and kind are
    /// right; [`View::attr`] tells more.
    pub attr: Attr,
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of open(2)")]
pub struct Access {
    /// Its bytes are to be read.
    pub read: bool,
    /// Its bytes are to be changed.
    pub write: bool,
    /// It is to be empty first.
    pub truncate: bool,
    /// Every write goes to the end.
    pub append: bool,
}

/// An opened file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Names it in later calls.
    pub handle: Handle,
    /// Whether what was read of it before is still right.
    pub keep_cache: bool,
    /// Whether attributes that were told of it before are not right any more: who caches them
    /// forgets them before the file is read.
    pub is_outdated: bool,
    /// Whether nothing can be written through it.
    pub read_only: bool,
}

/// What to change of a file's attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// A new length.
    pub size_bytes: Option<u64>,
    /// A new time of reading; kept for the life of the mount.
    pub atime: Option<Time>,
    /// A new time.
    pub mtime: Option<Time>,
    /// New permission bits; kept for the life of the mount.
    pub mode: Option<u16>,
}

/// What a rename does when the new name exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameMode {
    /// It takes its place: the text is merged into the record that stands there.
    Replace,
    /// It fails.
    NoReplace,
    /// Both names change places.
    Exchange,
}

/// How much the drive holds, as programs want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All bytes.
    pub total_bytes: u64,
    /// Free bytes.
    pub free_bytes: u64,
    /// Number of files that it can hold.
    pub files: u64,
}

/// Something that the kernel remembers and that is no longer right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// Attributes and bytes of a file or folder.
    Inode(Ino),
    /// What a name stands for.
    Entry {
        /// The folder.
        parent: Ino,
        /// The name.
        name: Vec<u8>,
    },
}

/// How a view behaves.
#[derive(Clone, Copy, Debug)]
pub struct ViewOptions {
    /// How old what is shown may be before the bucket is asked again.
    pub attr_ttl: Duration,
    /// How long a name that was taken away may come back and inherit its hidden sections.
    pub grace: Duration,
    /// The process that ends when the drive is unmounted, when there is one.
    pub daemon_pid: Option<u32>,
}

impl Default for ViewOptions {
    fn default() -> Self {
        Self { attr_ttl: Duration::from_secs(5), grace: Duration::from_secs(10), daemon_pid: None }
    }
}

/// The drive as one user sees it.
pub struct View {
    records: Arc<Records>,
    options: ViewOptions,
    rules: Rules,
    /// How this workstation is called in the names of conflict copies.
    device: String,
    /// Records that wait in the journal, whose names are looked at once the bucket has them.
    unchecked: Mutex<HashMap<RecordId, unchecked::Unchecked>>,
    /// Where texts that cannot be committed outlive the mount.
    rejected: OnceLock<Arc<RejectedTexts>>,
    /// Where moves are noted that take two commits.
    moves: OnceLock<Arc<Moves>>,
    tree: Mutex<Tree>,
    files: Mutex<HashMap<Handle, Arc<OpenFile>>>,
    folders: Mutex<HashMap<Handle, Arc<OpenFolder>>>,
    next_handle: AtomicU64,
    invalidations: mpsc::UnboundedSender<Invalidation>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Invalidation>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl View {
    /// Opens the drive at the realm's root.
    ///
    /// # Errors
    /// `NotFound` when the realm has no root policy yet; `Denied` when the root's names are closed
    /// to the user.
    pub async fn of(records: Arc<Records>, options: ViewOptions) -> Result<Arc<Self>> {
        let state = records.realm().state();
        if state.root_policy == [0; 32] {
            return Err(Error::new(Kind::NotFound, "the realm has no policy yet")
                .hint("an administrator sets one: chartfs policy set / FILE --as-admin FILE"));
        }
        let root = RecordId(state.root_record);
        let located = Located { birth: root, record: root };
        let policy = PolicyRef { hash: state.root_policy, patient: None };
        records.names(located, &policy, Duration::ZERO).await?;
        let (invalidations, receiver) = mpsc::unbounded_channel();
        let view = Arc::new(Self {
            records,
            options,
            rules: Rules::builtin(),
            device: conflict::device_name(),
            unchecked: Mutex::default(),
            rejected: OnceLock::new(),
            moves: OnceLock::new(),
            tree: Mutex::new(Tree::new(Node::root(Stands::Directory { located, policy }))),
            files: Mutex::default(),
            folders: Mutex::default(),
            next_handle: AtomicU64::new(1),
            invalidations,
            receiver: Mutex::new(Some(receiver)),
        });
        if let Err(error) = view.check_what_waits().await {
            tracing::warn!(%error, "it is not known whether all names are still there");
        }
        view.records.realm().bucket().send_what_waits();
        Ok(view)
    }

    /// Keeps every text that cannot be committed there from now on, so that its author finds it
    /// when the drive is gone. The first place that is named stays.
    pub fn keep_rejected_in(&self, texts: RejectedTexts) {
        let _ = self.rejected.set(Arc::new(texts));
    }

    /// Looks up what writing in the root takes, so that it can be done off-line too.
    ///
    /// # Errors
    /// Those of the lookups: then some of it takes the bucket later.
    pub async fn prepare(&self) -> Result<()> {
        let state = self.records.realm().state();
        let policy = PolicyRef { hash: state.root_policy, patient: None };
        self.records.prepare(&policy).await
    }

    /// Returns the records below the view.
    pub fn records(&self) -> &Arc<Records> {
        &self.records
    }

    /// Returns how many files and folders are remembered at this moment.
    pub fn nodes(&self) -> usize {
        locked(&self.tree).len()
    }

    fn new_handle(&self) -> Handle {
        Handle(self.next_handle.fetch_add(1, Ordering::Relaxed))
    }

    fn node(&self, ino: Ino) -> Result<Arc<Node>> {
        locked(&self.tree).get(ino).ok_or_else(|| Error::new(Kind::NotFound, "no such file"))
    }

    /// Tells whoever caches what this view said that it is no longer right.
    fn invalidate(&self, what: Invalidation) {
        // Nobody listens when nothing is mounted.
        let _ = self.invalidations.send(what);
    }

    /// Hands out the stream of what is no longer right; once.
    ///
    /// # Panics
    /// When called a second time: there is one kernel.
    pub fn take_invalidations(&self) -> mpsc::UnboundedReceiver<Invalidation> {
        locked(&self.receiver).take().expect("a view is mounted once")
    }

    /// Returns how much the drive holds: a bucket has no end, so a large constant.
    pub fn space(&self) -> Space {
        const PIB: u64 = 1 << 50;
        Space { total_bytes: PIB, free_bytes: PIB, files: 1 << 32 }
    }

    /// Commits everything that was written, and writes the high-water marks. A text whose `close`
    /// failed is among it, though no program has it open any more.
    ///
    /// # Errors
    /// The first failure; everything else was tried too.
    pub async fn drain(&self) -> Result<()> {
        let mut result = Ok(());
        let unsaved = locked(&self.tree).unsaved();
        for node in unsaved {
            result = result.and(self.save(&node, true).await);
        }
        result = result.and(self.settle_all_removals().await);
        result.and(self.write_state())
    }

    /// Waits until the bucket has what waits in the journal, as long as it answers and for `limit`
    /// at most; returns the number of writes that it does not have.
    pub async fn drain_journal(&self, limit: Duration) -> usize {
        let mut left = self.records.realm().bucket().drain_journal(limit).await;
        if let Err(error) = self.check_committed().await {
            tracing::warn!(%error, "it is not known whether all names are still there");
        } else {
            // What came back is committed by the journal too.
            left = self.records.realm().bucket().drain_journal(limit).await;
        }
        if let Err(error) = self.write_state() {
            tracing::warn!(%error, "the local state cannot be written");
        }
        left
    }

    /// Writes what this workstation remembers to its disk. The cache first: an object in it that is
    /// older than its mark would look like one that the bucket rolled back.
    fn write_state(&self) -> Result<()> {
        self.records.marks().write_after(|| {
            if let Err(error) = self.records.realm().bucket().write_cache(true) {
                tracing::warn!(%error, "the cache cannot be written");
            }
        })
    }
}
