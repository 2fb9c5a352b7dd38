//! The newest version of every record that this workstation has seen: the bucket cannot show it an
//! older one again.
//!
//! Kept in memory and written to a crash-safe file in batches; what a power cut takes is at most
//! the last batch, and a lost mark never makes a record unreadable. The values are versions and
//! hashes of public objects, so the file holds no secret.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{Database, ReadableDatabase, TableDefinition};

use super::RecordId;
use crate::error::{Error, Kind, Result};

const MARKS: TableDefinition<'_, &[u8; 16], &[u8; 40]> = TableDefinition::new("marks");
const CAPSULES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("capsules");

/// The newest version seen of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The version.
    pub version: u64,
    /// SHA-256 of the object.
    pub object_hash: [u8; 32],
}

#[derive(Default)]
struct Recent {
    marks: HashMap<RecordId, Mark>,
    unwritten: Vec<RecordId>,
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
        let file = Database::create(path).map_err(|e| match e {
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
        write.open_table(CAPSULES).map_err(broken)?;
        write.commit().map_err(broken)?;
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
            return Ok(Some(*mark));
        }
        let Some(file) = &self.file else { return Ok(None) };
        let read = file.begin_read().map_err(broken)?;
        let table = read.open_table(MARKS).map_err(broken)?;
        let mark = table.get(&record.0).map_err(broken)?.map(|value| {
            let (version, hash) = value.value().split_at(8);
            Mark {
                version: u64::from_le_bytes(version.try_into().expect("split at eight")),
                object_hash: hash.try_into().expect("32 bytes follow"),
            }
        });
        if let Some(mark) = mark {
            self.lock().marks.insert(record, mark);
        }
        Ok(mark)
    }

    /// Raises the mark of a record; a lower version changes nothing.
    pub fn raise(&self, record: RecordId, mark: Mark) {
        let mut recent = self.lock();
        let old = recent.marks.get(&record);
        if old.is_none_or(|o| o.version < mark.version) {
            recent.marks.insert(record, mark);
            recent.unwritten.push(record);
        }
    }

    /// Writes what was raised since the last call to the file, and syncs it.
    ///
    /// # Errors
    /// `NoSpace` or `Internal` when the file cannot be written; nothing is lost in memory.
    pub fn write(&self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let batch: Vec<(RecordId, Mark)> = {
            let mut recent = self.lock();
            let unwritten = std::mem::take(&mut recent.unwritten);
            unwritten.into_iter().filter_map(|id| Some((id, *recent.marks.get(&id)?))).collect()
        };
        if batch.is_empty() {
            return Ok(());
        }
        let result = write_marks(file, &batch);
        if result.is_err() {
            self.lock().unwritten.extend(batch.iter().map(|(id, _)| *id));
        }
        result
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

fn write_marks(file: &Database, batch: &[(RecordId, Mark)]) -> Result<()> {
    let write = file.begin_write().map_err(broken)?;
    {
        let mut table = write.open_table(MARKS).map_err(broken)?;
        for (id, mark) in batch {
            let mut value = [0; 40];
            value[..8].copy_from_slice(&mark.version.to_le_bytes());
            value[8..].copy_from_slice(&mark.object_hash);
            table.insert(&id.0, &value).map_err(broken)?;
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
        let mark = |version| Mark { version, object_hash: [9; 32] };
        {
            let marks = Marks::open(&path).unwrap();
            marks.raise(id, mark(5));
            marks.raise(id, mark(4));
            assert_eq!(marks.get(id).unwrap(), Some(mark(5)));
            marks.write().unwrap();
            marks.put_capsule(b"clause", b"sealed").unwrap();
            let second = Marks::open(&path);
            assert!(second.is_err_and(|e| e.kind() == Kind::Conflict));
        }
        let marks = Marks::open(&path).unwrap();
        assert_eq!(marks.get(id).unwrap(), Some(mark(5)));
        assert_eq!(marks.capsule(b"clause").unwrap().unwrap(), b"sealed");
    }

    #[test]
    fn a_damaged_file_is_not_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        std::fs::write(&path, b"not a database, and longer than nothing").unwrap();
        assert!(Marks::open(&path).is_err_and(|e| e.kind() == Kind::Integrity));
    }
}
