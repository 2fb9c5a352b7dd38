//! Sealed objects on the disk of the workstation: what was read once is read again without the
//! network, or without its bytes.
//!
//! Holds what the bucket holds, and is trusted as little: whoever reads proves it again. One file,
//! bounded; the objects used longest ago go first. What a power cut takes is the last second, and a
//! damaged file is begun anew.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::backend::{Object, Version};
use super::name::ObjectName;
use crate::error::{Error, Kind, Result};
use crate::wire::{Reader, Writer};

/// Object name, or object name `@` offset of a range → what [`Stored::to_bytes`] says.
const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
/// The same → (length in bytes, when it was used last).
const USES: TableDefinition<'_, &str, (u64, u64)> = TableDefinition::new("uses");

/// How much is held in memory before it is written.
const UNWRITTEN_MAX_BYTES: usize = 8 << 20;
/// What an entry takes beside its name and its bytes, in the file and in memory.
const ENTRY_BYTES: usize = 128;
/// What redb may hold in memory of its file.
const PAGES_BYTES: usize = 8 << 20;
/// A larger object is not kept: it would drive out hundreds.
const OBJECT_MAX_BYTES: usize = 64 << 20;

/// What is known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// The bucket said that there is none.
    Absent,
    /// These bytes.
    Object(Object),
}

impl Stored {
    /// Returns the stored bytes: kind u8 (0 absent, 1 object) | tag (short) | generation (short) |
    /// the object's bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Absent => {
                w.u8(0);
            }
            Self::Object(o) => {
                w.u8(1);
                o.version.write(&mut w);
                w.bytes(&o.bytes);
            }
        }
        w.into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, "a cached object");
        Ok(match r.u8()? {
            0 => Self::Absent,
            1 => {
                let version = Version::read(&mut r)?;
                let bytes = Bytes::copy_from_slice(r.bytes(r.remaining())?);
                Self::Object(Object { bytes, version })
            }
            _ => return Err(r.bad("it is of no known kind")),
        })
    }

    fn len(&self) -> usize {
        match self {
            Self::Absent => ENTRY_BYTES,
            Self::Object(o) => ENTRY_BYTES + o.bytes.len(),
        }
    }
}

#[derive(Clone, Copy)]
struct Use {
    size_bytes: u64,
    used: u64,
    is_written: bool,
}

#[derive(Default)]
struct State {
    uses: BTreeMap<Box<str>, Use>,
    total_bytes: u64,
    clock: u64,
    unwritten: BTreeMap<Box<str>, Stored>,
    unwritten_bytes: usize,
}

impl State {
    fn touch(&mut self, key: &str) {
        self.clock += 1;
        let clock = self.clock;
        if let Some(known) = self.uses.get_mut(key) {
            known.used = clock;
            known.is_written = false;
        }
    }

    fn insert(&mut self, key: &str, stored: Stored) {
        self.clock += 1;
        let size_bytes = (stored.len() + key.len()) as u64;
        let used = Use { size_bytes, used: self.clock, is_written: false };
        if let Some(old) = self.uses.insert(key.into(), used) {
            self.total_bytes -= old.size_bytes;
        }
        self.total_bytes += size_bytes;
        self.unwritten_bytes += stored.len();
        if let Some(old) = self.unwritten.insert(key.into(), stored) {
            self.unwritten_bytes -= old.len();
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some(old) = self.uses.remove(key) {
            self.total_bytes -= old.size_bytes;
        }
        if let Some(old) = self.unwritten.remove(key) {
            self.unwritten_bytes -= old.len();
        }
    }

    /// Takes out what was used longest ago, until nine tenths of the limit are left.
    fn evict(&mut self, limit_bytes: u64) -> Vec<Box<str>> {
        if self.total_bytes <= limit_bytes {
            return Vec::new();
        }
        let mut oldest: Vec<(u64, Box<str>)> =
            self.uses.iter().map(|(key, u)| (u.used, key.clone())).collect();
        oldest.sort_unstable();
        let mut gone = Vec::new();
        for (_, key) in oldest {
            if self.total_bytes <= limit_bytes / 10 * 9 {
                break;
            }
            self.remove(&key);
            gone.push(key);
        }
        gone
    }
}

/// A bounded store of sealed objects.
pub(super) struct Cache {
    file: Database,
    limit_bytes: u64,
    state: Mutex<State>,
}

impl Cache {
    /// Opens the file, or makes it; a damaged one is replaced.
    ///
    /// # Errors
    /// `Conflict` when another process has it open.
    pub(super) fn open(path: &Path, limit_bytes: u64) -> Result<Self> {
        match Self::open_file(path, limit_bytes) {
            Err(e) if e.kind() != Kind::Conflict => {
                tracing::warn!(error = %e, "the cache is begun anew");
                std::fs::remove_file(path)?;
                Self::open_file(path, limit_bytes)
            }
            opened => opened,
        }
    }

    fn open_file(path: &Path, limit_bytes: u64) -> Result<Self> {
        let mut builder = Database::builder();
        builder.set_cache_size(PAGES_BYTES);
        let file = builder.create(path).map_err(|e| match e {
            redb::DatabaseError::DatabaseAlreadyOpen => {
                Error::new(Kind::Conflict, "the cache is in use")
                    .because("another chartfs has this realm mounted with the same credential")
            }
            e => broken(e),
        })?;
        let write = file.begin_write().map_err(broken)?;
        write.open_table(OBJECTS).map_err(broken)?;
        write.open_table(USES).map_err(broken)?;
        write.commit().map_err(broken)?;
        let mut state = State::default();
        let read = file.begin_read().map_err(broken)?;
        for row in read.open_table(USES).map_err(broken)?.iter().map_err(broken)? {
            let (key, value) = row.map_err(broken)?;
            let (size_bytes, used) = value.value();
            state.uses.insert(key.value().into(), Use { size_bytes, used, is_written: true });
            state.total_bytes += size_bytes;
            state.clock = state.clock.max(used);
        }
        drop(read);
        Ok(Self { file, limit_bytes, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is known of an object.
    pub(super) fn get(&self, name: &ObjectName) -> Option<Stored> {
        self.get_key(name.as_str())
    }

    fn get_key(&self, key: &str) -> Option<Stored> {
        {
            let mut state = self.lock();
            state.uses.get(key)?;
            state.touch(key);
            if let Some(stored) = state.unwritten.get(key) {
                return Some(stored.clone());
            }
        }
        let read = || -> Result<Option<Stored>> {
            let read = self.file.begin_read().map_err(broken)?;
            let table = read.open_table(OBJECTS).map_err(broken)?;
            let value = table.get(key).map_err(broken)?;
            value.map(|v| Stored::from_bytes(v.value())).transpose()
        };
        read().unwrap_or_else(|error| {
            tracing::warn!(%error, "a cached object cannot be read");
            None
        })
    }

    /// Keeps an object that was just read or written.
    pub(super) fn put(&self, name: &ObjectName, object: &Object) {
        self.keep(name.as_str(), Stored::Object(object.clone()));
    }

    /// Keeps that there is no such object.
    pub(super) fn put_absent(&self, name: &ObjectName) {
        self.keep(name.as_str(), Stored::Absent);
    }

    /// Forgets an object.
    pub(super) fn remove(&self, name: &ObjectName) {
        self.lock().remove(name.as_str());
    }

    /// Keeps a range of an object that never changes.
    pub(super) fn put_range(&self, name: &ObjectName, start: u64, bytes: &Bytes) {
        let object = Object { bytes: bytes.clone(), version: Version::new("") };
        self.keep(&range_key(name, start), Stored::Object(object));
    }

    /// Returns a range of an object that never changes, put together of what was read before.
    pub(super) fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Option<Bytes> {
        let mut out = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let (start, bytes) = self.piece_at(name, at)?;
            let skip = usize::try_from(at - start).ok()?;
            let rest = bytes.get(skip..).filter(|rest| !rest.is_empty())?;
            let want = usize::try_from(range.end - at).ok()?;
            if skip == 0 && at == range.start && rest.len() >= want {
                return Some(bytes.slice(..want));
            }
            out.extend_from_slice(&rest[..want.min(rest.len())]);
            at += want.min(rest.len()) as u64;
        }
        Some(out.into())
    }

    /// Returns the piece of an object that begins at or before an offset.
    fn piece_at(&self, name: &ObjectName, at: u64) -> Option<(u64, Bytes)> {
        let (first, last) = (range_key(name, 0), range_key(name, at));
        let key = {
            let state = self.lock();
            let bounds = (Bound::Included(first.as_str()), Bound::Included(last.as_str()));
            let (key, _) = state.uses.range::<str, _>(bounds).next_back()?;
            key.clone()
        };
        let start = u64::from_str_radix(key.rsplit_once('@')?.1, 16).ok()?;
        match self.get_key(&key)? {
            Stored::Object(o) => Some((start, o.bytes)),
            Stored::Absent => None,
        }
    }

    fn keep(&self, key: &str, stored: Stored) {
        if stored.len() > OBJECT_MAX_BYTES || stored.len() as u64 > self.limit_bytes / 4 {
            self.lock().remove(key);
            return;
        }
        let is_full = {
            let mut state = self.lock();
            state.insert(key, stored);
            state.unwritten_bytes > UNWRITTEN_MAX_BYTES
        };
        if is_full && let Err(error) = self.write(false) {
            tracing::warn!(%error, "the cache cannot be written");
        }
    }

    /// Writes what is held in memory to the file; `is_durable` waits for the disk.
    ///
    /// # Errors
    /// `Internal` when the file cannot be written: what was in memory is not kept then.
    pub(super) fn write(&self, is_durable: bool) -> Result<()> {
        let (objects, uses, gone) = {
            let mut state = self.lock();
            let gone = state.evict(self.limit_bytes);
            let uses: Vec<(Box<str>, Use)> = state
                .uses
                .iter_mut()
                .filter(|(_, u)| !u.is_written)
                .map(|(key, u)| {
                    u.is_written = true;
                    (key.clone(), *u)
                })
                .collect();
            (state.unwritten.clone(), uses, gone)
        };
        if uses.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let result = self.write_rows(&objects, &uses, &gone, is_durable);
        let mut state = self.lock();
        for (key, stored) in objects {
            if state.unwritten.get(&key) == Some(&stored) {
                state.unwritten.remove(&key);
                state.unwritten_bytes -= stored.len();
                if result.is_err() {
                    state.remove(&key);
                }
            }
        }
        result
    }

    fn write_rows(
        &self,
        objects: &BTreeMap<Box<str>, Stored>,
        uses: &[(Box<str>, Use)],
        gone: &[Box<str>],
        is_durable: bool,
    ) -> Result<()> {
        let mut write = self.file.begin_write().map_err(broken)?;
        let durability = if is_durable { Durability::Immediate } else { Durability::None };
        write.set_durability(durability).map_err(broken)?;
        {
            let mut table = write.open_table(OBJECTS).map_err(broken)?;
            for (key, stored) in objects {
                table.insert(&**key, stored.to_bytes().as_slice()).map_err(broken)?;
            }
            let mut use_table = write.open_table(USES).map_err(broken)?;
            for (key, u) in uses {
                use_table.insert(&**key, (u.size_bytes, u.used)).map_err(broken)?;
            }
            for key in gone {
                table.remove(&**key).map_err(broken)?;
                use_table.remove(&**key).map_err(broken)?;
            }
        }
        write.commit().map_err(broken)
    }
}

fn range_key(name: &ObjectName, start: u64) -> String {
    format!("{}@{start:016x}", name.as_str())
}

fn broken(e: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, "the cache cannot be read or written").because(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ObjectName {
        ObjectName::new(text).unwrap()
    }

    fn object(len: usize, tag: &str) -> Object {
        Object { bytes: vec![7; len].into(), version: Version::new(tag) }
    }

    #[test]
    fn what_was_kept_is_there_in_the_next_life_and_absence_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        {
            let cache = Cache::open(&path, 1 << 20).unwrap();
            cache.put(&name("r/a/b"), &object(100, "\"one\""));
            cache.put_absent(&name("realm/7"));
            assert!(Cache::open(&path, 1).is_err_and(|e| e.kind() == Kind::Conflict));
            cache.write(true).unwrap();
        }
        let cache = Cache::open(&path, 1 << 20).unwrap();
        assert_eq!(cache.get(&name("r/a/b")), Some(Stored::Object(object(100, "\"one\""))));
        assert_eq!(cache.get(&name("realm/7")), Some(Stored::Absent));
        assert_eq!(cache.get(&name("r/a/c")), None);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_and_the_bound_holds() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache"), 100_000).unwrap();
        for i in 0..30 {
            cache.put(&name(&format!("r/{i}")), &object(5_000, "x"));
            assert!(cache.get(&name("r/0")).is_some(), "it is used all the time");
            cache.write(false).unwrap();
        }
        assert!(cache.lock().total_bytes <= 100_000);
        assert_eq!(cache.get(&name("r/1")), None);
        assert!(cache.get(&name("r/29")).is_some());
        cache.put(&name("r/huge"), &object(60_000, "x"));
        assert_eq!(cache.get(&name("r/huge")), None, "one object does not drive out all others");
    }

    #[test]
    fn a_damaged_file_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        std::fs::write(&path, b"not a database, and longer than nothing").unwrap();
        let cache = Cache::open(&path, 1 << 20).unwrap();
        assert_eq!(cache.get(&name("r/a")), None);
    }

    #[test]
    fn ranges_are_put_together_of_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache"), 1 << 20).unwrap();
        let body: Vec<u8> = (0..1000_u32).map(|i| (i % 251) as u8).collect();
        let b = name("b/1");
        for piece in [0..400, 400..700, 650..1000] {
            cache.put_range(&b, piece.start as u64, &Bytes::copy_from_slice(&body[piece]));
        }
        for range in [0..400, 10..20, 399..701, 0..1000, 660..999] {
            let got = cache.get_range(&b, range.start as u64..range.end as u64).unwrap();
            assert_eq!(got, body[range]);
        }
        assert_eq!(cache.get_range(&b, 900..1001), None);
        assert_eq!(cache.get_range(&name("b/0"), 0..1), None);
        assert_eq!(cache.get_range(&name("b/10"), 0..1), None, "the piece of another object");
    }
}
