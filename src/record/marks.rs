//! The newest version of every record, and the newest state of every chain, that this workstation
//! has seen: the bucket cannot show it an older one again.
//!
//! Kept in memory and written to a crash-safe file in batches; what a power cut takes is at most
//! the last batch, and a lost mark never makes a record unreadable. The values are versions and
//! hashes of public objects, so the file holds no secret.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use redb::{Database, ReadableDatabase, TableDefinition};

use super::RecordId;
use crate::error::{Error, Kind, Result};
use crate::realm::ChainMarks;
use crate::wire::{Reader, Writer};

const MARKS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("marks");
const CHAINS: TableDefinition<'_, &str, (u64, &[u8; 32])> = TableDefinition::new("chains");
const CAPSULES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("capsules");

/// How many marks of records are kept in memory beside those that are not in the file yet.
const RECENT_MAX: NonZeroUsize = NonZeroUsize::new(super::RECORDS_MAX.get()).expect("not zero");
/// What redb may hold in memory of its file.
const PAGES_BYTES: usize = 8 << 20;

/// The newest version seen of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The version.
    pub version: u64,
    /// SHA-256 of the object.
    pub object_hash: [u8; 32],
    /// The profile.
    pub profile: u8,
    /// The policy that it was committed under.
    pub policy: [u8; 32],
    /// The parts that were ever written, in the order of the head.
    pub sections: Vec<SectionMark>,
}

/// The newest version seen of one part of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionMark {
    /// The slot.
    pub slot: u16,
    /// The part.
    pub part: u16,
    /// The version of its content.
    pub version: u64,
    /// The first bytes of the content's hash.
    pub content: [u8; 8],
}

impl Mark {
    /// Returns what was seen of a part.
    pub fn section(&self, slot: u16, part: u16) -> Option<&SectionMark> {
        self.sections.iter().find(|s| s.slot == slot && s.part == part)
    }

    /// Returns the version of a slot's first part; 0 when it was never written.
    pub fn version_of(&self, slot: u16) -> u64 {
        self.section(slot, 0).map_or(0, |s| s.version)
    }

    /// Returns the stored bytes: version u64 | object hash 32 | profile u8 | policy 32 | any number of
    /// (slot u16 | part u16 | version u64 | first 8 bytes of the content's hash).
    fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u64(self.version).bytes(&self.object_hash).u8(self.profile).bytes(&self.policy);
        for s in &self.sections {
            w.u16(s.slot).u16(s.part).u64(s.version).bytes(&s.content);
        }
        w.into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, "a high-water mark");
        let (version, object_hash) = (r.u64()?, r.array()?);
        let (profile, policy) = (r.u8()?, r.array()?);
        let mut sections = Vec::new();
        while r.remaining() > 0 {
            let (slot, part, version) = (r.u16()?, r.u16()?, r.u64()?);
            sections.push(SectionMark { slot, part, version, content: r.array()? });
        }
        Ok(Self { version, object_hash, profile, policy, sections })
    }
}

struct Recent {
    /// Never fuller than [`RECENT_MAX`] when there is a file, but for those of `unwritten`.
    marks: LruCache<RecordId, Mark>,
    unwritten: HashSet<RecordId>,
    /// One for the realm and one for each authority.
    chains: HashMap<String, (u64, [u8; 32])>,
    unwritten_chains: HashSet<String>,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            marks: LruCache::unbounded(),
            unwritten: HashSet::new(),
            chains: HashMap::new(),
            unwritten_chains: HashSet::new(),
        }
    }
}

struct Batch {
    marks: Vec<(RecordId, Mark)>,
    chains: Vec<(String, (u64, [u8; 32]))>,
}

impl Recent {
    fn unwritten(&self) -> Batch {
        let mark = |id: &RecordId| Some((*id, self.marks.peek(id)?.clone()));
        let chain = |name: &String| Some((name.clone(), *self.chains.get(name)?));
        Batch {
            marks: self.unwritten.iter().filter_map(mark).collect(),
            chains: self.unwritten_chains.iter().filter_map(chain).collect(),
        }
    }

    /// Notes that the file has these.
    fn written(&mut self, batch: &Batch) {
        for (id, mark) in &batch.marks {
            if self.marks.peek(id).is_none_or(|now| now.version <= mark.version) {
                self.unwritten.remove(id);
            }
        }
        for (chain, (seq, _)) in &batch.chains {
            if self.chains.get(chain).is_none_or(|(now, _)| now <= seq) {
                self.unwritten_chains.remove(chain);
            }
        }
    }

    /// Forgets marks that the file has and that were not asked for in a long time.
    fn shorten(&mut self) {
        for _ in RECENT_MAX.get()..self.marks.len() {
            let Some((id, mark)) = self.marks.pop_lru() else { return };
            if self.unwritten.contains(&id) {
                self.marks.put(id, mark);
            }
        }
    }
}

/// High-water marks, and the capsules that this user made.
pub struct Marks {
    file: Option<Database>,
    recent: Mutex<Recent>,
}

impl Marks {
    /// Keeps marks for the life of the process only.
    pub fn in_memory() -> Self {
        Self { file: None, recent: Mutex::default() }
    }

    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// `Conflict` when another process has it open; `Integrity` when it is damaged: it is never
    /// replaced by an empty one.
    pub fn open(path: &Path) -> Result<Self> {
        crate::store::make_database(path)?;
        let mut builder = Database::builder();
        builder.set_cache_size(PAGES_BYTES);
        let file = builder.create(path).map_err(|e| match e {
            redb::DatabaseError::DatabaseAlreadyOpen => {
                Error::new(Kind::Conflict, "the local state is in use")
                    .because("another chartfs has this realm open with the same credential")
                    .hint("unmount it first, or give another --state DIR")
            }
            e => Error::damaged("the local state cannot be opened")
                .because(e)
                .hint("restore the file, or move it away to start without rollback protection"),
        })?;
        let write = file.begin_write().map_err(broken)?;
        write.open_table(MARKS).map_err(broken)?;
        write.open_table(CHAINS).map_err(broken)?;
        write.open_table(CAPSULES).map_err(broken)?;
        write.commit().map_err(broken)?;
        crate::store::sync_names_of(path)?;
        Ok(Self { file: Some(file), recent: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the newest version seen of a record.
    ///
    /// # Errors
    /// `Integrity` when the file cannot be read.
    pub fn get(&self, record: RecordId) -> Result<Option<Mark>> {
        if let Some(mark) = self.lock().marks.get(&record) {
            return Ok(Some(mark.clone()));
        }
        let Some(file) = &self.file else { return Ok(None) };
        let read = file.begin_read().map_err(broken)?;
        let table = read.open_table(MARKS).map_err(broken)?;
        let stored = table.get(&record.0).map_err(broken)?;
        let mark = stored.map(|value| Mark::from_bytes(value.value())).transpose()?;
        let Some(mark) = mark else { return Ok(None) };
        let mut recent = self.lock();
        // Another one may have been raised while the file was read.
        if let Some(newer) = recent.marks.get(&record) {
            return Ok(Some(newer.clone()));
        }
        recent.marks.put(record, mark.clone());
        recent.shorten();
        Ok(Some(mark))
    }

    /// Raises the mark of a record; a lower version changes nothing.
    pub fn raise(&self, record: RecordId, mark: Mark) {
        // The mark may be in the file alone. When that cannot be read nothing is known.
        if let Err(error) = self.get(record) {
            tracing::error!(%error, "a mark may be lowered");
        }
        let mut recent = self.lock();
        let old = recent.marks.get(&record);
        if old.is_none_or(|o| o.version < mark.version) {
            recent.marks.put(record, mark);
            recent.unwritten.insert(record);
        }
    }

    /// Writes what was raised since the last call to the file, and syncs it.
    ///
    /// # Errors
    /// `NoSpace` or `Internal` when the file cannot be written; nothing is lost in memory.
    pub fn write(&self) -> Result<()> {
        self.write_after(|| ())
    }

    /// As [`Marks::write`], of what was raised before `first` is done: what that makes durable is
    /// never older than its mark.
    ///
    /// # Errors
    /// Those of [`Marks::write`].
    pub fn write_after(&self, first: impl FnOnce()) -> Result<()> {
        let batch = self.lock().unwritten();
        first();
        let Some(file) = &self.file else { return Ok(()) };
        if batch.marks.is_empty() && batch.chains.is_empty() {
            return Ok(());
        }
        write_batch(file, &batch)?;
        let mut recent = self.lock();
        recent.written(&batch);
        recent.shorten();
        Ok(())
    }

    /// Returns what was stored for a clause by [`Marks::put_capsule`].
    ///
    /// # Errors
    /// `Integrity` when the file cannot be read.
    pub fn capsule(&self, clause: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(file) = &self.file else { return Ok(None) };
        let read = file.begin_read().map_err(broken)?;
        let table = read.open_table(CAPSULES).map_err(broken)?;
        Ok(table.get(clause).map_err(broken)?.map(|v| v.value().to_vec()))
    }

    /// Remembers the capsule that this user made for a clause: its hash and its sealed secret.
    ///
    /// # Errors
    /// `NoSpace` or `Internal` when the file cannot be written.
    pub fn put_capsule(&self, clause: &[u8], sealed: &[u8]) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let write = file.begin_write().map_err(broken)?;
        write.open_table(CAPSULES).map_err(broken)?.insert(clause, sealed).map_err(broken)?;
        write.commit().map_err(broken)
    }
}

impl ChainMarks for Marks {
    fn newest(&self, chain: &str) -> Result<Option<(u64, [u8; 32])>> {
        if let Some(seen) = self.lock().chains.get(chain) {
            return Ok(Some(*seen));
        }
        let Some(file) = &self.file else { return Ok(None) };
        let read = file.begin_read().map_err(broken)?;
        let table = read.open_table(CHAINS).map_err(broken)?;
        let stored = table.get(chain).map_err(broken)?;
        let seen = stored.map(|value| (value.value().0, *value.value().1));
        if let Some(seen) = seen {
            self.lock().chains.insert(chain.to_owned(), seen);
        }
        Ok(seen)
    }

    fn raise(&self, chain: &str, seq: u64, hash: [u8; 32]) {
        let mut recent = self.lock();
        if recent.chains.get(chain).is_none_or(|(seen, _)| *seen < seq) {
            recent.chains.insert(chain.to_owned(), (seq, hash));
            recent.unwritten_chains.insert(chain.to_owned());
        }
    }
}

fn write_batch(file: &Database, batch: &Batch) -> Result<()> {
    let write = file.begin_write().map_err(broken)?;
    {
        let mut table = write.open_table(MARKS).map_err(broken)?;
        for (id, mark) in &batch.marks {
            table.insert(&id.0, mark.to_bytes().as_slice()).map_err(broken)?;
        }
        let mut table = write.open_table(CHAINS).map_err(broken)?;
        for (chain, (seq, hash)) in &batch.chains {
            table.insert(chain.as_str(), (*seq, hash)).map_err(broken)?;
        }
    }
    write.commit().map_err(broken)
}

fn broken(e: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, "the local state cannot be read or written").because(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_only_rise_and_survive_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        let id = RecordId([1; 16]);
        let section = SectionMark { slot: 8, part: 0, version: 3, content: [7; 8] };
        let sections = vec![section, SectionMark { part: 1, ..section }];
        let mark = |version| Mark {
            version,
            object_hash: [9; 32],
            profile: 2,
            policy: [4; 32],
            sections: sections.clone(),
        };
        {
            let marks = Marks::open(&path).unwrap();
            marks.raise(id, mark(5));
            marks.raise(id, mark(4));
            assert_eq!(marks.get(id).unwrap(), Some(mark(5)));
            ChainMarks::raise(&marks, "realm", 7, [6; 32]);
            ChainMarks::raise(&marks, "realm", 6, [5; 32]);
            marks.write().unwrap();
            marks.put_capsule(b"clause", b"sealed").unwrap();
            let second = Marks::open(&path);
            assert!(second.is_err_and(|e| e.kind() == Kind::Conflict));
        }
        let marks = Marks::open(&path).unwrap();
        assert_eq!(marks.get(id).unwrap(), Some(mark(5)));
        assert_eq!(marks.newest("realm").unwrap(), Some((7, [6; 32])));
        assert_eq!(marks.capsule(b"clause").unwrap().unwrap(), b"sealed");
    }

    #[test]
    fn what_is_raised_while_the_cache_is_written_is_written_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        let (one, two) = (RecordId([1; 16]), RecordId([2; 16]));
        let mark = |version| Mark {
            version,
            object_hash: [9; 32],
            profile: 2,
            policy: [4; 32],
            sections: Vec::new(),
        };
        let marks = Marks::open(&path).unwrap();
        marks.raise(one, mark(1));
        // A cache that is written now does not have these versions.
        let meanwhile = || [one, two].into_iter().for_each(|id| marks.raise(id, mark(2)));
        marks.write_after(meanwhile).unwrap();
        drop(marks);
        let again = Marks::open(&path).unwrap();
        assert_eq!(again.get(one).unwrap(), Some(mark(1)));
        assert_eq!(again.get(two).unwrap(), None);

        again.raise(one, mark(2));
        again.write().unwrap();
        drop(again);
        assert_eq!(Marks::open(&path).unwrap().get(one).unwrap(), Some(mark(2)));
    }

    #[test]
    fn marks_that_left_memory_are_in_the_file_and_are_not_lowered() {
        let dir = tempfile::tempdir().unwrap();
        let marks = Marks::open(&dir.path().join("state.redb")).unwrap();
        let id = |i: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&(i as u64).to_le_bytes());
            RecordId(id)
        };
        let mark = |version| Mark {
            version,
            object_hash: [9; 32],
            profile: 2,
            policy: [4; 32],
            sections: Vec::new(),
        };
        let all = RECENT_MAX.get() + 1000;
        for i in 0..all {
            marks.raise(id(i), mark(5));
        }
        assert_eq!(marks.lock().marks.len(), all, "the file does not have them yet");
        marks.write().unwrap();
        assert_eq!(marks.lock().marks.len(), RECENT_MAX.get());
        for i in 0..1000 {
            assert!(!marks.lock().marks.contains(&id(i)));
            marks.raise(id(i), mark(4));
            assert_eq!(marks.get(id(i)).unwrap(), Some(mark(5)));
        }
        assert_eq!(marks.lock().marks.len(), RECENT_MAX.get());
        assert!(marks.lock().unwritten.is_empty());
        marks.raise(id(0), mark(6));
        marks.write().unwrap();
        for i in 0..all {
            assert_eq!(marks.get(id(i)).unwrap().unwrap().version, if i == 0 { 6 } else { 5 });
        }
    }

    #[test]
    fn a_damaged_file_is_not_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        std::fs::write(&path, b"not a database, and longer than nothing").unwrap();
        assert!(Marks::open(&path).is_err_and(|e| e.kind() == Kind::Integrity));
    }
}
