//! The journal on the disk: writes that the bucket does not have yet, in the order in which they
//! were made.
//!
//! One thread writes. What arrives while it waits for the disk shares the next commit. After a
//! failed commit nothing more is written: what the disk holds is not known then, and a second
//! `fsync` would say that all is well.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::oneshot;

use super::super::backend::Version;
use super::super::name::{OBJECT_NAME_LEN_MAX_BYTES, ObjectName};
use crate::error::{Error, Kind, Result};
use crate::wire::{Reader, Writer};

/// Number of the write → [`Entry`].
const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
/// (Number of the write, index of the part) → bytes of the object.
const PARTS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("parts");
/// Number of the first write to an object → the bytes of the bucket that it replaces.
const BASES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("bases");

/// What redb may hold in memory of its file.
const PAGES_BYTES: usize = 8 << 20;
/// How many requests share one commit, at most.
const GROUP_MAX: usize = 256;

/// When a write may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Whatever is there: the name says what the bytes are.
    Always,
    /// No object of that name exists.
    Absent,
    /// The object in the bucket is this version.
    Matches(Version),
    /// The object is what the write before it in the journal left.
    Follows,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: ObjectName,
    pub(super) wanted: Wanted,
    pub(super) size_bytes: u64,
    pub(super) parts: u32,
    pub(super) time_unix_s: i64,
}

impl Entry {
    /// Returns the stored bytes: name (short) | condition u8 (0 always, 1 absent, 2 matches,
    /// 3 follows) | for 2 the version | size u64 | parts u32 | time in seconds i64.
    fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.short(self.name.as_str().as_bytes());
        match &self.wanted {
            Wanted::Always => {
                w.u8(0);
            }
            Wanted::Absent => {
                w.u8(1);
            }
            Wanted::Matches(version) => {
                w.u8(2);
                version.write(&mut w);
            }
            Wanted::Follows => {
                w.u8(3);
            }
        }
        w.u64(self.size_bytes).u32(self.parts).i64(self.time_unix_s);
        w.into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, "a journal entry");
        let name = ObjectName::new(r.text(OBJECT_NAME_LEN_MAX_BYTES)?)?;
        let wanted = match r.u8()? {
            0 => Wanted::Always,
            1 => Wanted::Absent,
            2 => Wanted::Matches(Version::read(&mut r)?),
            3 => Wanted::Follows,
            _ => return Err(r.bad("its condition is unknown")),
        };
        let (size_bytes, parts, time_unix_s) = (r.u64()?, r.u32()?, r.i64()?);
        r.finish()?;
        Ok(Self { name, wanted, size_bytes, parts, time_unix_s })
    }
}

/// A change of the file.
pub(super) enum Change {
    /// A write, with what it replaces in the bucket when that is known.
    Append { seq: u64, entry: Entry, parts: Vec<Bytes>, base: Option<Bytes> },
    /// One part of a write whose [`Change::Append`] comes later.
    Part { seq: u64, index: u32, bytes: Bytes },
    /// Writes that are over.
    Remove(Vec<u64>),
    /// Writes are over, and the next one to the same object follows what the last of them left.
    Advance { done: Vec<u64>, next: u64, entry: Entry },
    /// A write is not to be made, because the next one to the same object takes its place.
    Skip { skipped: u64, next: u64, entry: Entry },
    /// All of these, or none.
    Together(Vec<Change>),
}

type Request = (Change, oneshot::Sender<Result<()>>);

/// The file, and the thread that writes it.
pub(super) struct JournalFile {
    file: Arc<Database>,
    writer: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for JournalFile {
    /// Lets the file go: the next mount may open it at once.
    fn drop(&mut self) {
        self.writer = None;
        if let Some(thread) = self.thread.take() {
            // It does not panic, and there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl JournalFile {
    /// Opens the file, or makes it, and returns what is in it.
    ///
    /// # Errors
    /// `Conflict` when another process has it open; `Integrity` when it is damaged: it is never
    /// replaced by an empty one.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<(u64, Entry)>)> {
        super::super::make_database(path)?;
        let mut builder = Database::builder();
        builder.set_cache_size(PAGES_BYTES);
        let mut file = builder.create(path).map_err(|e| match e {
            redb::DatabaseError::DatabaseAlreadyOpen => {
                Error::new(Kind::Conflict, "the journal is in use")
                    .because("another chartfs has this realm mounted with the same credential")
            }
            e => damaged(e),
        })?;
        // What is wrong with it is to be found now, and not in the middle of the work.
        file.check_integrity().map_err(damaged)?;
        let entries = read_entries(&file)?;
        // Always, because the process that made it may have died before it could.
        super::super::sync_names_of(path)?;
        let file = Arc::new(file);
        let (writer, requests) = mpsc::channel();
        let thread_file = Arc::clone(&file);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write_all(&thread_file, &requests))?;
        Ok((Self { file, writer: Some(writer), thread: Some(thread) }, entries))
    }

    /// Makes a change; returns when it is on the disk.
    pub(super) async fn change(&self, change: Change) -> Result<()> {
        self.send(change)?.await.map_err(|_| given_up())?
    }

    /// Makes a change after those that were sent before; the answer comes when it is on the disk.
    pub(super) fn send(&self, change: Change) -> Result<oneshot::Receiver<Result<()>>> {
        let (reply, answer) = oneshot::channel();
        let writer = self.writer.as_ref().ok_or_else(given_up)?;
        writer.send((change, reply)).map_err(|_| given_up())?;
        Ok(answer)
    }

    /// Returns the bytes of a part of a write.
    pub(super) fn part(&self, seq: u64, index: u32) -> Result<Bytes> {
        let read = self.file.begin_read().map_err(broken)?;
        let table = read.open_table(PARTS).map_err(broken)?;
        let value = table.get((seq, index)).map_err(broken)?;
        let value = value.ok_or_else(|| Error::damaged("the journal lost a part of a write"))?;
        Ok(Bytes::copy_from_slice(value.value()))
    }

    /// Returns what a write replaces in the bucket, when that is known.
    pub(super) fn base(&self, seq: u64) -> Result<Option<Bytes>> {
        let read = self.file.begin_read().map_err(broken)?;
        let table = read.open_table(BASES).map_err(broken)?;
        let value = table.get(seq).map_err(broken)?;
        Ok(value.map(|v| Bytes::copy_from_slice(v.value())))
    }
}

/// Counts the writes that wait in a journal that nobody has open.
///
/// # Errors
/// `Conflict` when somebody has; `Integrity` when it is damaged.
pub(super) fn count(path: &Path) -> Result<usize> {
    let file = Database::open(path).map_err(|e| match e {
        redb::DatabaseError::DatabaseAlreadyOpen => {
            Error::new(Kind::Conflict, "the journal is in use")
        }
        e => Error::damaged("the journal cannot be opened").because(e),
    })?;
    Ok(read_entries(&file)?.len())
}

fn read_entries(file: &Database) -> Result<Vec<(u64, Entry)>> {
    let write = file.begin_write().map_err(broken)?;
    let mut entries = Vec::new();
    {
        let table = write.open_table(ENTRIES).map_err(broken)?;
        for row in table.iter().map_err(broken)? {
            let (seq, value) = row.map_err(broken)?;
            entries.push((seq.value(), Entry::from_bytes(value.value())?));
        }
        write.open_table(BASES).map_err(broken)?;
        // Parts of a write that never got its entry were never acknowledged.
        let mut parts = write.open_table(PARTS).map_err(broken)?;
        let known: std::collections::BTreeSet<u64> = entries.iter().map(|(seq, _)| *seq).collect();
        parts.retain(|(seq, _), _| known.contains(&seq)).map_err(broken)?;
    }
    write.commit().map_err(broken)?;
    Ok(entries)
}

fn write_all(file: &Database, requests: &mpsc::Receiver<Request>) {
    let mut is_broken = false;
    while let Ok(first) = requests.recv() {
        let mut group = vec![first];
        group.extend(requests.try_iter().take(GROUP_MAX));
        let (changes, replies): (Vec<Change>, Vec<_>) = group.into_iter().unzip();
        let result = if is_broken { Err(given_up()) } else { write_group(file, &changes) };
        if let Err(error) = &result {
            tracing::error!(%error, "the journal cannot be written: nothing more is accepted");
            is_broken = true;
        }
        for reply in replies {
            // Who does not wait any more needs no answer.
            let _ = reply.send(result.as_ref().map_err(Error::duplicate).copied());
        }
    }
}

fn write_group(file: &Database, changes: &[Change]) -> Result<()> {
    let write = file.begin_write().map_err(broken)?;
    {
        let mut tables = Tables {
            entries: write.open_table(ENTRIES).map_err(broken)?,
            parts: write.open_table(PARTS).map_err(broken)?,
            bases: write.open_table(BASES).map_err(broken)?,
        };
        for change in changes {
            tables.make(change)?;
        }
    }
    write.commit().map_err(broken)
}

struct Tables<'a> {
    entries: redb::Table<'a, u64, &'static [u8]>,
    parts: redb::Table<'a, (u64, u32), &'static [u8]>,
    bases: redb::Table<'a, u64, &'static [u8]>,
}

impl Tables<'_> {
    fn make(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::Append { seq, entry, parts, base } => {
                for (index, part) in (0..).zip(parts) {
                    self.parts.insert((*seq, index), &part[..]).map_err(broken)?;
                }
                self.set_base(*seq, base.as_deref())?;
                self.set_entry(*seq, entry)
            }
            Change::Part { seq, index, bytes } => {
                self.parts.insert((*seq, *index), &bytes[..]).map_err(broken).map(drop)
            }
            Change::Together(changes) => changes.iter().try_for_each(|change| self.make(change)),
            Change::Remove(seqs) => seqs.iter().try_for_each(|seq| self.remove(*seq)),
            Change::Advance { done, next, entry } => {
                let left = match done.last() {
                    Some(last) => self.whole(*last)?,
                    None => None,
                };
                self.set_base(*next, left.as_deref())?;
                done.iter().try_for_each(|seq| self.remove(*seq))?;
                self.set_entry(*next, entry)
            }
            Change::Skip { skipped, next, entry } => {
                let base = self.bases.remove(skipped).map_err(broken)?;
                let base = base.map(|value| value.value().to_vec());
                self.set_base(*next, base.as_deref())?;
                self.remove(*skipped)?;
                self.set_entry(*next, entry)
            }
        }
    }

    fn set_entry(&mut self, seq: u64, entry: &Entry) -> Result<()> {
        self.entries.insert(seq, entry.to_bytes().as_slice()).map_err(broken).map(drop)
    }

    fn set_base(&mut self, seq: u64, base: Option<&[u8]>) -> Result<()> {
        match base {
            Some(base) => self.bases.insert(seq, base).map_err(broken).map(drop),
            None => Ok(()),
        }
    }

    /// Returns the bytes of a write of one part.
    fn whole(&self, seq: u64) -> Result<Option<Vec<u8>>> {
        if self.parts.get((seq, 1)).map_err(broken)?.is_some() {
            return Ok(None);
        }
        Ok(self.parts.get((seq, 0)).map_err(broken)?.map(|value| value.value().to_vec()))
    }

    fn remove(&mut self, seq: u64) -> Result<()> {
        self.entries.remove(seq).map_err(broken)?;
        self.bases.remove(seq).map_err(broken)?;
        self.parts.retain_in((seq, 0)..=(seq, u32::MAX), |_, _| false).map_err(broken)
    }
}

fn damaged(e: impl std::fmt::Display) -> Error {
    Error::damaged("the journal cannot be opened").because(e).hint(
        "it holds what is not in the bucket yet: keep the file, restore it from a backup, or move \
         it away to go on without what is in it",
    )
}

fn broken(e: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, "the journal cannot be read or written").because(e)
}

pub(super) fn given_up() -> Error {
    Error::new(Kind::Internal, "the journal takes no more writes")
        .because("writing it failed before, and what the disk holds of it is not known")
        .hint("look at the disk, then unmount and mount again")
}
