//! What a directory remembers beside its names: which names were taken away, so that every removal
//! can be undone; which files are copies of others that were in conflict; and whether the directory
//! itself was removed.
//!
//! The newest removals stand in the table itself. When there are more than [`REMOVED_KEPT`], the
//! older half leaves the table: the table that still has it is kept as an old version, and named
//! here by version and hash. So a removal costs one entry in a table that is written anyway, and
//! all removals are found by following names that were signed, without asking for a listing.
//!
//! Bytes: node u8 = 2 | removed u8: 0 no, 1 the directory was removed | older u8: 0 none, 1 (record
//! 16 | birth 16 | version u64 | object hash 32) | count u16 × (time_unix_ns i64 | by 32 | entry as
//! in a leaf) | count u16 × (copy 16 | original 16 | version u64) | the leaf; none of it when there
//! is nothing to remember.

use super::directory::{ENTRIES_MAX, Entry, Table, read_entry, write_entry};
use super::{Located, RecordId};
use crate::error::{Error, Kind, Result};
use crate::key::attribute::Gid;
use crate::wire::{Reader, Writer};

/// How many removals stand in a table, unless one commit makes more of them.
pub const REMOVED_KEPT: usize = 256;
/// The most removals of a table.
pub const REMOVED_MAX: usize = 4096;

pub(super) const PAST: u8 = 2;
const REMOVED_LEN_MIN: usize = 8 + 32 + 2 + 1 + 16 + 16 + 2;
const CONFLICT_LEN: usize = 16 + 16 + 8;

/// A name that was taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The name.
    pub name: Vec<u8>,
    /// What it stood for.
    pub entry: Entry,
    /// When, as its remover says.
    pub time_unix_ns: i64,
    /// Who: everybody who may change the names of the directory could have written it.
    pub by: Gid,
}

/// A file that was made because a text could not be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The copy.
    pub copy: RecordId,
    /// The record that the text was meant for.
    pub original: RecordId,
    /// The version of that record which the text was made of.
    pub version: u64,
}

/// An old version of a directory, named so that nothing else can stand in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptTable {
    /// The record.
    pub located: Located,
    /// Its version.
    pub version: u64,
    /// SHA-256 of the object.
    pub object_hash: [u8; 32],
}

/// What a leaf remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Whether the directory was removed, so that no name can be added.
    pub is_removed: bool,
    /// Where removals stand that have left this list.
    pub older: Option<KeptTable>,
    /// The removals, in the order in which they were made.
    pub removed: Vec<Removed>,
    /// The copies among the entries.
    pub conflicts: Vec<Conflict>,
}

/// The names of one record of a directory, and what it remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaf {
    /// The names.
    pub table: Table,
    /// What was there before.
    pub past: Past,
}

/// When a change is made, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// The time.
    pub time_unix_ns: i64,
    /// The user.
    pub by: Gid,
}

impl Leaf {
    /// Notes that a name no longer stands for its record.
    pub(super) fn note_removed(&mut self, name: &[u8], entry: Entry, stamp: &Stamp) {
        let record = entry.located.record;
        self.past.removed.retain(|r| r.entry.located.record != record);
        let (time_unix_ns, by) = (stamp.time_unix_ns, stamp.by);
        self.past.removed.push(Removed { name: name.to_vec(), entry, time_unix_ns, by });
    }

    /// Notes that a record has a name: it is no longer among the removed.
    pub(super) fn note_named(&mut self, record: RecordId) {
        self.past.removed.retain(|r| r.entry.located.record != record);
    }

    /// Forgets copies that are in the directory no more.
    pub(super) fn drop_conflicts(&mut self) {
        if self.past.conflicts.is_empty() {
            return;
        }
        let entries: std::collections::HashSet<RecordId> =
            self.table.0.values().map(|e| e.located.record).collect();
        self.past.conflicts.retain(|c| entries.contains(&c.copy));
    }

    /// Lets the older half of a long list of removals go, as far as the table before, which is to
    /// be kept under the given name, has them; says whether it did.
    pub(super) fn shorten(&mut self, before: &Self, kept: KeptTable) -> bool {
        let removed = &mut self.past.removed;
        if removed.len() <= REMOVED_KEPT {
            return false;
        }
        let known = removed.iter().take_while(|r| before.past.removed.contains(r)).count();
        let go = known.min(removed.len() - REMOVED_KEPT / 2);
        if go == 0 {
            return false;
        }
        removed.drain(..go);
        self.past.older = Some(kept);
        true
    }

    /// Returns the stored bytes; none when there is nothing to say.
    ///
    /// # Errors
    /// `NoSpace` when there are too many entries, or too many removals at once.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let table = self.table.encode()?;
        let past = &self.past;
        if *past == Past::default() {
            return Ok(table);
        }
        if past.removed.len() > REMOVED_MAX {
            return Err(Error::new(Kind::NoSpace, "too many names are removed at once")
                .because(format!("a directory remembers at most {REMOVED_MAX}")));
        }
        let mut w = Writer::new();
        w.u8(PAST).u8(u8::from(past.is_removed));
        match &past.older {
            None => w.u8(0),
            Some(kept) => {
                w.u8(1).bytes(&kept.located.record.0).bytes(&kept.located.birth.0);
                w.u64(kept.version).bytes(&kept.object_hash)
            }
        };
        w.u16(u16::try_from(past.removed.len()).expect("limited above"));
        for r in &past.removed {
            w.i64(r.time_unix_ns).bytes(&r.by.0);
            write_entry(&mut w, &r.name, &r.entry);
        }
        w.u16(u16::try_from(past.conflicts.len()).expect("not more than entries"));
        for c in &past.conflicts {
            w.bytes(&c.copy.0).bytes(&c.original.0).u64(c.version);
        }
        w.bytes(&table);
        Ok(w.into_bytes())
    }

    /// Reads the stored bytes.
    ///
    /// # Errors
    /// `Integrity` when they are no table; `Unsupported` for a kind of node that is not known.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.first() != Some(&PAST) {
            return Ok(Self { table: Table::decode(bytes)?, past: Past::default() });
        }
        let mut r = Reader::new(&bytes[1..], "a directory");
        let is_removed = flag(&mut r)?;
        let older = if flag(&mut r)? { Some(KeptTable::read(&mut r)?) } else { None };
        let count = usize::from(r.u16()?);
        if count > REMOVED_MAX || count > r.remaining() / REMOVED_LEN_MIN {
            return Err(r.bad("its count of removals is over the limit"));
        }
        let mut removed = Vec::with_capacity(count);
        for _ in 0..count {
            let (time_unix_ns, by) = (r.i64()?, Gid(r.array()?));
            let (name, entry) = read_entry(&mut r)?;
            removed.push(Removed { name, entry, time_unix_ns, by });
        }
        let count = usize::from(r.u16()?);
        if count > ENTRIES_MAX || count > r.remaining() / CONFLICT_LEN {
            return Err(r.bad("its count of copies is over the limit"));
        }
        let conflict = |_| {
            let (copy, original) = (RecordId(r.array()?), RecordId(r.array()?));
            Ok(Conflict { copy, original, version: r.u64()? })
        };
        let conflicts = (0..count).map(conflict).collect::<Result<_>>()?;
        let past = Past { is_removed, older, removed, conflicts };
        if past == Past::default() {
            return Err(r.bad("it says that there is nothing to remember"));
        }
        let table = r.bytes(r.remaining())?;
        if table.first() == Some(&PAST) {
            return Err(r.bad("it remembers twice"));
        }
        Ok(Self { table: Table::decode(table)?, past })
    }
}

impl KeptTable {
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let (record, birth) = (RecordId(r.array()?), RecordId(r.array()?));
        let (version, object_hash) = (r.u64()?, r.array()?);
        Ok(Self { located: Located { birth, record }, version, object_hash })
    }
}

fn flag(r: &mut Reader<'_>) -> Result<bool> {
    match r.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(r.bad("a flag in it is unknown")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(i: u8) -> Located {
        Located { birth: RecordId([1; 16]), record: RecordId([i; 16]) }
    }

    fn leaf(removals: u16) -> Leaf {
        let mut leaf = Leaf::default();
        let stamp = Stamp { time_unix_ns: 7, by: Gid([3; 32]) };
        for i in 0..removals {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&i.to_le_bytes());
            let located = Located { birth: RecordId([1; 16]), record: RecordId(id) };
            let entry = Entry { located, profile: 2, policy: None };
            leaf.note_removed(format!("{i}.json").as_bytes(), entry, &stamp);
        }
        leaf
    }

    #[test]
    fn what_is_remembered_comes_back_and_every_cut_is_refused() {
        let mut leaf = leaf(3);
        let entry = Entry { located: located(9), profile: 1, policy: None };
        leaf.table.0.insert(b"there".to_vec(), entry);
        let copy = RecordId([9; 16]);
        leaf.past.conflicts.push(Conflict { copy, original: RecordId([8; 16]), version: 4 });
        leaf.past.is_removed = true;
        leaf.past.older = Some(KeptTable { located: located(5), version: 6, object_hash: [7; 32] });
        let bytes = leaf.encode().unwrap();
        assert_eq!(Leaf::decode(&bytes).unwrap(), leaf);
        let table_len = leaf.table.encode().unwrap().len();
        for n in (1..bytes.len()).filter(|n| *n != bytes.len() - table_len) {
            assert!(Leaf::decode(&bytes[..n]).is_err(), "{n}");
        }
    }

    #[test]
    fn there_is_one_encoding_of_nothing_and_none_within_another() {
        assert!(Leaf::default().encode().unwrap().is_empty());
        assert!(Leaf::decode(&[2, 0, 0, 0, 0, 0, 0]).is_err());
        let mut removed = Leaf::default();
        removed.past.is_removed = true;
        let bytes = removed.encode().unwrap();
        assert_eq!(Leaf::decode(&bytes).unwrap(), removed);
        assert!(Leaf::decode(&[&bytes[..], &bytes].concat()).is_err());
        assert!(Leaf::decode(&[2, 2, 0, 0, 0, 0, 0]).is_err());
        assert!(Leaf::decode(&[2, 1, 0, 0xff, 0xff, 0, 0]).is_err(), "a count beyond the bytes");
    }

    #[test]
    fn a_long_list_loses_only_what_the_table_before_has() {
        let kept = KeptTable { located: located(5), version: 6, object_hash: [7; 32] };
        let before = leaf(200);
        let mut now = leaf(257);
        assert!(now.shorten(&before, kept));
        assert_eq!(now.past.removed.len(), 128);
        assert_eq!(now.past.older, Some(kept));
        let mut at_once = leaf(257);
        assert!(!at_once.shorten(&Leaf::default(), kept), "no table has them");
        assert!(!leaf(256).shorten(&leaf(255), kept), "it is short");
    }
}
