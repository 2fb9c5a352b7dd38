//! Writes that the bucket does not have yet: durable on this workstation, sent in the background,
//! seen by every reader here at once.
//!
//! Holds sealed objects only, the very bytes that the bucket will get. Every write keeps its
//! condition; what was written on top of a write that is still here follows it. So the bucket sees
//! what it would have seen without a journal, later, and another workstation never sees a folder
//! that names a record which is not there.
//!
//! When somebody else wrote an object first, the writes to it are taken aside, and whoever knows
//! what the bytes mean merges them ([`Bucket::lifted`], [`Bucket::drop_lifted`]).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};

use super::Bucket;
use super::backend::{Condition, Fetched, Version};
use super::link::Offline;
use super::name::ObjectName;
use crate::error::{Error, Kind, Result};

mod file;
mod queue;
mod read;
mod send;
mod together;
mod write;

use file::{Change, JournalFile};
use queue::Queue;

/// How long a write that is to reach the bucket waits for an earlier one to the same object.
const EARLIER_LIMIT: Duration = Duration::from_secs(30);
/// How much the disk must have free beside what is to be written.
const FREE_MIN_BYTES: u64 = 64 << 20;

/// What waits on this workstation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Number of writes.
    pub writes: usize,
    /// Their length.
    pub size_bytes: u64,
    /// When the oldest was made, in seconds since 1970.
    pub oldest_unix_s: Option<i64>,
    /// Number of objects that somebody else wrote first, and that are to be merged.
    pub conflicts: usize,
    /// Why the bucket refuses the oldest, when it answers and does.
    pub refused: Option<String>,
    /// Since when the bucket does not answer, when it does not.
    pub offline: Option<Offline>,
}

/// Writes to one object that were taken aside.
pub struct Lifted {
    /// What the first of them replaced, when that is known.
    pub base: Option<Bytes>,
    /// What the last of them left.
    pub mine: Bytes,
    /// A version under which nothing can be written any more.
    pub version: Version,
    seqs: Vec<u64>,
}

/// How an object is to be read.
pub(super) enum Reading {
    /// This is the answer.
    Answer(Fetched),
    /// The bucket has it, unless it still is this version.
    Ask(Option<Version>),
}

/// Writes that wait.
pub(super) struct Journal {
    file: JournalFile,
    queue: Mutex<Queue>,
    limit_bytes: u64,
    path: PathBuf,
    wake: Notify,
    /// Counts what happened to the queue, for who waits for something.
    changes: watch::Sender<u64>,
    refused: Mutex<Option<String>>,
    conflicts: mpsc::UnboundedSender<ObjectName>,
    conflicts_receiver: Mutex<Option<mpsc::UnboundedReceiver<ObjectName>>>,
    /// Whether a write is acknowledged when it is here, or only when the bucket has it.
    is_write_back: bool,
    /// Whether what an earlier process left is not sent yet, because somebody may look at it.
    is_held: AtomicBool,
    /// Held by the task that gathers writes.
    gathering: Arc<tokio::sync::Mutex<()>>,
}

/// A journal, sent for as long as somebody uses it.
pub(super) struct JournalInUse {
    journal: Arc<Journal>,
    sender: tokio::task::AbortHandle,
}

impl std::ops::Deref for JournalInUse {
    type Target = Journal;

    fn deref(&self) -> &Journal {
        &self.journal
    }
}

impl Drop for JournalInUse {
    /// What is not sent yet stays in the file.
    fn drop(&mut self) {
        self.sender.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    fn open(path: &Path, limit_bytes: u64, is_write_back: bool) -> Result<Self> {
        let (file, entries) = JournalFile::open(path)?;
        let (conflicts, receiver) = mpsc::unbounded_channel();
        let is_held = AtomicBool::new(!entries.is_empty());
        Ok(Self {
            file,
            queue: Mutex::new(Queue::new(entries)),
            limit_bytes,
            path: path.to_owned(),
            wake: Notify::new(),
            changes: watch::Sender::new(0),
            refused: Mutex::default(),
            conflicts,
            conflicts_receiver: Mutex::new(Some(receiver)),
            is_write_back,
            is_held,
            gathering: Arc::default(),
        })
    }

    pub(super) fn is_write_back(&self) -> bool {
        self.is_write_back
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        locked(&self.queue)
    }

    fn changed(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
        self.wake.notify_one();
    }

    fn check_space(&self, size_bytes: u64) -> Result<()> {
        let pending = self.lock().size_bytes();
        if pending.saturating_add(size_bytes) > self.limit_bytes {
            return Err(Error::new(Kind::NoSpace, "the journal is full")
                .because(format!("{} MiB wait for the bucket", pending >> 20))
                .hint("wait until they are sent: chartfs status"));
        }
        let Ok(disk) = nix::sys::statvfs::statvfs(&self.path) else { return Ok(()) };
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        if free < size_bytes.saturating_add(FREE_MIN_BYTES) {
            return Err(Error::new(Kind::NoSpace, "the disk of the journal is full")
                .because(format!("{} MiB are free", free >> 20))
                .hint("make room, or wait until what is pending was sent: chartfs status"));
        }
        Ok(())
    }

    /// Lets what an earlier process left be sent.
    fn release(&self) {
        self.is_held.store(false, Ordering::Release);
        self.wake.notify_one();
    }

    /// Waits until no write to an object is here; whoever wants to write it through does.
    async fn wait_until_sent(&self, name: &ObjectName) -> Result<()> {
        self.release();
        let mut changes = self.changes.subscribe();
        let wait = async {
            while self.lock().latest(name).is_some() && changes.changed().await.is_ok() {}
        };
        tokio::time::timeout(EARLIER_LIMIT, wait).await.map_err(|_| {
            Error::new(Kind::Unavailable, "an earlier write still waits for the bucket")
                .hint("see: chartfs status")
        })
    }

    /// Puts the bucket's version into a condition that names one of the journal; `None` when that
    /// is no longer known.
    pub(super) fn settled_condition(&self, condition: Condition) -> Option<Condition> {
        match &condition {
            Condition::Matches(Version { pending: Some(seq), .. }) => {
                self.lock().settled(*seq).map(Condition::Matches)
            }
            _ => Some(condition),
        }
    }

    fn pending(&self, offline: Option<Offline>) -> Pending {
        let refused = locked(&self.refused).clone();
        let queue = self.lock();
        Pending {
            writes: queue.len(),
            size_bytes: queue.size_bytes(),
            oldest_unix_s: queue.oldest_unix_s(),
            conflicts: queue.lifted_count(),
            refused,
            offline,
        }
    }
}

fn lost(name: &ObjectName) -> Error {
    Error::damaged(format!("the journal lost a write to {name}"))
}

fn too_long() -> Error {
    Error::new(Kind::NoSpace, "the object is too long for the journal")
}

impl Bucket {
    /// Lets writes wait on this workstation, in the file at `path`, and sends them in the
    /// background; `is_write_back` acknowledges a write when it is there, otherwise when the bucket
    /// has it, and the file is only emptied of what an earlier mount left.
    ///
    /// What an earlier process left is sent once somebody has looked at it and says so with
    /// [`Bucket::send_what_waits`], or waits for it. To be called within a runtime.
    ///
    /// # Errors
    /// `Conflict` when another process has the file open; `Integrity` when it is damaged.
    pub fn with_journal(
        mut self,
        path: &Path,
        limit_bytes: u64,
        is_write_back: bool,
    ) -> Result<Self> {
        let journal = Arc::new(Journal::open(path, limit_bytes, is_write_back)?);
        let sender = tokio::spawn(send::run(journal.clone(), self.clone())).abort_handle();
        self.journal = Some(Arc::new(JournalInUse { journal, sender }));
        Ok(self)
    }

    /// Begins to send what an earlier process left.
    pub fn send_what_waits(&self) {
        if let Some(journal) = &self.journal {
            journal.release();
        }
    }

    /// Counts the writes that wait in the journal at `path`, which no mount has open.
    ///
    /// # Errors
    /// `Conflict` when one has; `Integrity` when it is damaged.
    pub fn count_journal(path: &Path) -> Result<usize> {
        file::count(path)
    }

    /// Returns what waits on this workstation.
    pub fn pending(&self) -> Pending {
        let offline = self.link.as_ref().and_then(|link| link.offline());
        match &self.journal {
            Some(journal) => journal.pending(offline),
            None => Pending {
                writes: 0,
                size_bytes: 0,
                oldest_unix_s: None,
                conflicts: 0,
                refused: None,
                offline,
            },
        }
    }

    /// Says whether writes to an object wait on this workstation.
    pub fn is_pending(&self, name: &ObjectName) -> bool {
        self.journal.as_ref().is_some_and(|j| j.lock().latest(name).is_some())
    }

    /// Returns the objects of which a change, and not only their making, waits on this workstation,
    /// and whether their making waits too.
    pub fn pending_edits(&self) -> Vec<(ObjectName, bool)> {
        self.journal.as_ref().map(|j| j.lock().edited()).unwrap_or_default()
    }

    /// Returns what the writes to an object that wait here replace in the bucket, when that is
    /// known.
    ///
    /// # Errors
    /// `Internal` when the journal cannot be read.
    pub fn pending_base(&self, name: &ObjectName) -> Result<Option<Bytes>> {
        let Some(journal) = &self.journal else { return Ok(None) };
        let first = journal.lock().chain(name).first().copied();
        first.map_or(Ok(None), |first| journal.file.base(first))
    }

    /// Says whether a write is acknowledged when it is in the journal.
    pub fn is_write_back(&self) -> bool {
        self.journal.as_ref().is_some_and(|j| j.is_write_back)
    }

    /// Returns the file of the journal, when there is one.
    pub fn journal_path(&self) -> Option<&Path> {
        self.journal.as_ref().map(|j| j.path.as_path())
    }

    /// Waits until the bucket has everything, as long as it answers and for `limit` at most;
    /// returns the number of writes that it does not have.
    pub async fn drain_journal(&self, limit: Duration) -> usize {
        let Some(journal) = &self.journal else { return 0 };
        let mut changes = journal.changes.subscribe();
        journal.release();
        let is_away = || self.link.as_ref().is_some_and(|link| link.offline().is_some());
        let wait = async {
            while journal.lock().len() > 0 && !is_away() && changes.changed().await.is_ok() {}
        };
        let _ = tokio::time::timeout(limit, wait).await;
        journal.lock().len()
    }

    /// Hands out the stream of objects that somebody else wrote first; once.
    pub fn take_conflicts(&self) -> Option<mpsc::UnboundedReceiver<ObjectName>> {
        locked(&self.journal.as_ref()?.conflicts_receiver).take()
    }

    /// Returns the writes to an object that were taken aside, when there are any.
    ///
    /// # Errors
    /// `Integrity` when the journal is damaged.
    pub fn lifted(&self, name: &ObjectName) -> Result<Option<Lifted>> {
        let Some(journal) = &self.journal else { return Ok(None) };
        let (seqs, last) = {
            let queue = journal.lock();
            let seqs = queue.lifted_writes(name);
            let last = seqs.last().and_then(|seq| Some((*seq, queue.entry(*seq)?.clone())));
            (seqs, last)
        };
        let (Some((last, entry)), Some(first)) = (last, seqs.first()) else { return Ok(None) };
        let base = journal.file.base(*first)?;
        let mine = journal.bytes_of(last, &entry)?;
        Ok(Some(Lifted { base, mine, version: Version::in_journal(last), seqs }))
    }

    /// Forgets writes that were taken aside and merged.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn drop_lifted(&self, name: &ObjectName, lifted: Lifted) -> Result<()> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let written = {
            let queue = &mut *journal.lock();
            let change = Change::Remove(lifted.seqs.clone());
            journal.send_change(queue, &lifted.seqs, change)?
        };
        journal.wait_written(written).await?;
        journal.lock().forget_lifted(name, &lifted.seqs);
        journal.changed();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
