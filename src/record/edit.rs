//! Changes of a directory's names, and what each does to the leaf that has them.

use super::RecordId;
use super::directory::Entry;
use super::past::{Conflict, Leaf, Stamp};
use crate::error::{Error, Kind, Result};

/// A change of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Adds a name that must not exist.
    Add {
        /// The name.
        name: Vec<u8>,
        /// What it stands for.
        entry: Entry,
    },
    /// Adds a name, or lets it stand for something else.
    Put {
        /// The name.
        name: Vec<u8>,
        /// What it stands for.
        entry: Entry,
    },
    /// Takes a name away that stands for this record; it is remembered among the removed.
    Remove {
        /// The name.
        name: Vec<u8>,
        /// What it must stand for.
        record: RecordId,
    },
    /// Takes a name away whose record has another name now, or whose text another record has.
    Leave {
        /// The name.
        name: Vec<u8>,
        /// What it must stand for.
        record: RecordId,
    },
    /// Gives what a name stands for another name.
    Rename {
        /// The old name.
        from: Vec<u8>,
        /// The new name.
        to: Vec<u8>,
        /// What the old name must stand for.
        record: RecordId,
        /// What the new name may stand for already; then it takes its place.
        over: Option<RecordId>,
    },
    /// Notes that a record is of another profile now, if the name still stands for it.
    Profile {
        /// The name.
        name: Vec<u8>,
        /// The record.
        record: RecordId,
        /// Its profile.
        profile: u8,
    },
    /// Lets two names change places.
    Exchange {
        /// One name.
        one: Vec<u8>,
        /// The other.
        other: Vec<u8>,
    },
    /// Lets a name stand for another record than before.
    Stand {
        /// The name.
        name: Vec<u8>,
        /// What it must stand for.
        was: RecordId,
        /// What it is to stand for.
        entry: Entry,
        /// Whether what it stood for has another name: else that is among the removed.
        is_named: bool,
    },
    /// Notes that a record has a name elsewhere: it is not among the removed any more.
    Named {
        /// The name that it was removed from.
        name: Vec<u8>,
        /// The record.
        record: RecordId,
    },
    /// Notes that a file is a copy of another that was in conflict.
    Copied {
        /// The name of the copy.
        name: Vec<u8>,
        /// Of which record and version.
        conflict: Conflict,
    },
    /// Lets no name be added any more: the directory is to be removed. It must be empty.
    Close,
    /// Lets names be added again.
    Reopen,
}

pub(super) fn missing() -> Error {
    Error::new(Kind::NotFound, "the name is not there any more")
}

fn taken() -> Error {
    Error::new(Kind::Exists, "the name exists already")
}

impl Edit {
    /// Lets a name that stands for `was` stand for another record.
    pub fn stand(name: &[u8], was: RecordId, entry: Entry, is_named: bool) -> Self {
        Self::Stand { name: name.to_vec(), was, entry, is_named }
    }

    /// Makes the change in one leaf that has all the names concerned.
    ///
    /// # Errors
    /// `Exists`, `NotFound`, `NotEmpty`; then the table is as it was.
    pub fn apply(&self, leaf: &mut Leaf, stamp: &Stamp) -> Result<()> {
        match self {
            Self::Add { .. } | Self::Put { .. } if leaf.past.is_removed => {
                return Err(Error::new(Kind::NotFound, "the folder was removed"));
            }
            // The same entry may be there already, when the answer to an earlier try was lost.
            Self::Add { name, entry }
                if leaf.table.0.get(name).is_some_and(|e| e.located != entry.located) =>
            {
                return Err(taken());
            }
            Self::Add { name, entry } | Self::Put { name, entry } => {
                leaf.insert(name, entry.clone(), stamp);
            }
            Self::Remove { name, record } => {
                let entry = leaf.take(name, *record)?;
                // A crash may have left it two names.
                if !leaf.table.0.values().any(|e| e.located.record == *record) {
                    leaf.note_removed(name, entry, stamp);
                }
            }
            Self::Leave { name, record } => drop(leaf.take(name, *record)?),
            Self::Rename { from, to, record, over } => {
                let there = leaf.table.0.get(to).map(|e| e.located.record);
                if there.is_some() && there != *over && there != Some(*record) {
                    return Err(taken());
                }
                let entry = leaf.take(from, *record)?;
                leaf.insert(to, entry, stamp);
            }
            Self::Profile { name, record, profile } => {
                let entry = leaf.table.0.get_mut(name);
                if let Some(entry) = entry.filter(|e| e.located.record == *record) {
                    entry.profile = *profile;
                }
            }
            Self::Exchange { one, other } => {
                let first = leaf.table.0.get(one).cloned().ok_or_else(missing)?;
                let second = leaf.table.0.get(other).cloned().ok_or_else(missing)?;
                leaf.table.0.insert(one.clone(), second);
                leaf.table.0.insert(other.clone(), first);
            }
            Self::Stand { name, was, entry, is_named } => {
                let there = leaf.table.0.get(name).map(|e| e.located.record).ok_or_else(missing)?;
                // It may stand for it already, when the answer to an earlier try was lost.
                if there != *was && there != entry.located.record {
                    return Err(missing());
                }
                leaf.insert(name, entry.clone(), stamp);
                if *is_named {
                    leaf.note_named(*was);
                }
            }
            Self::Named { record, .. } => leaf.note_named(*record),
            Self::Copied { conflict, .. } => {
                leaf.past.conflicts.retain(|c| c.copy != conflict.copy);
                leaf.past.conflicts.push(*conflict);
            }
            Self::Close if !leaf.table.0.is_empty() => {
                return Err(Error::new(Kind::NotEmpty, "the folder is not empty"));
            }
            Self::Close => leaf.past.is_removed = true,
            Self::Reopen => leaf.past.is_removed = false,
        }
        leaf.drop_conflicts();
        Ok(())
    }

    /// Returns the names that the change concerns.
    pub(super) fn names(&self) -> [&[u8]; 2] {
        match self {
            Self::Add { name, .. }
            | Self::Put { name, .. }
            | Self::Remove { name, .. }
            | Self::Leave { name, .. }
            | Self::Profile { name, .. }
            | Self::Stand { name, .. }
            | Self::Named { name, .. }
            | Self::Copied { name, .. } => [name, name],
            Self::Rename { from, to, .. } => [from, to],
            Self::Exchange { one, other } => [one, other],
            Self::Close | Self::Reopen => [b"", b""],
        }
    }

    /// Says whether the table before is worth keeping: something in it is gone or changed after.
    pub fn keeps_history(&self) -> bool {
        !matches!(
            self,
            Self::Add { .. }
                | Self::Named { .. }
                | Self::Copied { .. }
                | Self::Close
                | Self::Reopen
        )
    }
}

impl Leaf {
    /// Lets a name stand for a record; what it stood for before is among the removed.
    fn insert(&mut self, name: &[u8], entry: Entry, stamp: &Stamp) {
        let record = entry.located.record;
        let before = self.table.0.insert(name.to_vec(), entry);
        self.note_named(record);
        if let Some(before) = before.filter(|b| b.located.record != record) {
            self.note_removed(name, before, stamp);
        }
    }

    fn take(&mut self, name: &[u8], record: RecordId) -> Result<Entry> {
        let table = &mut self.table.0;
        table.get(name).filter(|e| e.located.record == record).ok_or_else(missing)?;
        table.remove(name).ok_or_else(missing)
    }
}
