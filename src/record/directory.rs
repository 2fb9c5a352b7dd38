//! The table of a directory: names and the records that they stand for. It is the plaintext of the
//! directory's `names` section; the bucket sees only random record names.
//!
//! A small directory is one leaf. A large one is a trie: its table names shards, records of the same
//! kind, and a keyed hash of a name says in which shard it is. So one more name in a directory of
//! 100,000 rewrites one leaf. An inner table is written once and never changes.
//!
//! Bytes of a leaf: node u8 = 0 | count u32 | count × (name (short) | record 16 | birth 16 |
//! profile u8 | policy u8: 0 inherited, 1 own | own: policy 32, patient (short)), ascending by
//! name; none at all when it is empty. What a leaf remembers stands before it (see `past`). Bytes
//! of an inner table: node u8 = 1 | hash key 16 | 16 × (record 16 | birth 16).

use std::collections::BTreeMap;

use super::past::{Leaf, REMOVED_MAX};
use super::{DIRECTORY_PROFILE, Located, PolicyRef, RecordId};
use crate::error::{Error, Kind, Result};
use crate::key::hash;
use crate::wire::{Reader, Writer};

pub use super::edit::Edit;

/// The slot of the names; above every slot of a file.
pub const NAMES_SLOT: u16 = 1024;
/// The slot of the names that researchers see.
pub const PSEUDONYMS_SLOT: u16 = 1025;
/// The slot of the key of the research project; only under a policy that releases something.
pub const PROJECT_SLOT: u16 = 1026;
/// The longest name, in bytes.
pub const NAME_LEN_MAX_BYTES: usize = 255;
/// The most entries of one leaf.
pub const ENTRIES_MAX: usize = 16_384;
/// A leaf with more entries is split.
pub const SPLIT_ABOVE: usize = 1024;
/// How many shards a directory splits into.
pub const SHARDS: usize = 16;
/// The deepest trie: far more than names can fill.
pub const TRIE_DEPTH_MAX: usize = 8;

const LEAF: u8 = 0;
const INNER: u8 = 1;
const ENTRY_LEN_MIN: usize = 2 + 1 + 16 + 16 + 2;
const ENTRY_LEN_MAX: usize = 2 + NAME_LEN_MAX_BYTES + 16 + 16 + 2 + 32 + 2 + 63;
/// Beside the leaf: node, two flags, the older table, two counts; a removal, and a copy.
const PAST_LEN_MAX: usize =
    1 + 2 + 72 + 4 + REMOVED_MAX * (8 + 32 + ENTRY_LEN_MAX) + ENTRIES_MAX * (16 + 16 + 8);
/// The longest table, in bytes.
pub const TABLE_LEN_MAX_BYTES: u64 = (PAST_LEN_MAX + 1 + 4 + ENTRIES_MAX * ENTRY_LEN_MAX) as u64;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The record.
    pub located: Located,
    /// The record's profile: a format, or that of a directory.
    pub profile: u8,
    /// The policy of a directory that does not inherit its parent's.
    pub policy: Option<PolicyRef>,
}

impl Entry {
    /// Says whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.profile == DIRECTORY_PROFILE
    }
}

/// The entries of a directory by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table(pub BTreeMap<Vec<u8>, Entry>);

/// Where the names of a large directory are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inner {
    key: [u8; 16],
    shards: [Located; SHARDS],
}

/// The table of one record of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// The names themselves.
    Leaf(Leaf),
    /// Where the names are.
    Inner(Box<Inner>),
}

impl Inner {
    /// Makes a new inner table with a random key.
    pub fn new(shards: [Located; SHARDS]) -> Self {
        Self { key: hash::random(), shards }
    }

    /// Returns the table without the key, by which a guessed name could be tried.
    #[must_use]
    pub fn unkeyed(&self) -> Self {
        Self { key: [0; 16], shards: self.shards }
    }

    /// Returns which shard a name is in.
    pub fn index(&self, name: &[u8]) -> usize {
        let hash = hash::sha256(&[b"chartfs1 shard", &self.key, name]);
        usize::from(hash[0]) % SHARDS
    }

    /// Returns the shard that a name is in.
    pub fn shard(&self, name: &[u8]) -> Located {
        self.shards[self.index(name)]
    }

    /// Returns all shards.
    pub fn shards(&self) -> &[Located; SHARDS] {
        &self.shards
    }
}

impl Node {
    /// Returns the stored bytes; none for an empty leaf.
    ///
    /// # Errors
    /// `NoSpace` when a leaf has too many entries.
    pub fn encode(&self) -> Result<Vec<u8>> {
        match self {
            Self::Leaf(leaf) => leaf.encode(),
            Self::Inner(inner) => {
                let mut w = Writer::new();
                w.u8(INNER).bytes(&inner.key);
                for s in &inner.shards {
                    w.bytes(&s.record.0).bytes(&s.birth.0);
                }
                Ok(w.into_bytes())
            }
        }
    }

    /// Reads the stored bytes.
    ///
    /// # Errors
    /// `Integrity` when they are no table; `Unsupported` for a kind of node that is not known.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.first() != Some(&INNER) {
            return Leaf::decode(bytes).map(Self::Leaf);
        }
        let mut r = Reader::new(&bytes[1..], "a directory");
        let key = r.array()?;
        let mut shards = [Located { birth: RecordId([0; 16]), record: RecordId([0; 16]) }; SHARDS];
        for shard in &mut shards {
            let record = RecordId(r.array()?);
            *shard = Located { birth: RecordId(r.array()?), record };
        }
        r.finish()?;
        Ok(Self::Inner(Box::new(Inner { key, shards })))
    }
}

/// Checks that a name can stand in a directory.
///
/// # Errors
/// `BadName` when it is empty, too long, `.` or `..`, or has a slash or a zero byte.
pub fn check_name(name: &[u8]) -> Result<()> {
    let bad = |why: &str| Err(Error::new(Kind::BadName, "the name cannot be stored").because(why));
    if name.len() > NAME_LEN_MAX_BYTES {
        return bad("it has more than 255 bytes");
    }
    if name.is_empty() || name == b"." || name == b".." {
        return bad("it is empty, or means a directory itself");
    }
    if name.contains(&b'/') || name.contains(&0) {
        return bad("it contains a slash or a zero byte");
    }
    Ok(())
}

impl Table {
    /// Returns the stored bytes; none for an empty table.
    ///
    /// # Errors
    /// `NoSpace` when there are too many entries.
    pub fn encode(&self) -> Result<Vec<u8>> {
        if self.0.len() > ENTRIES_MAX {
            return Err(Error::new(Kind::NoSpace, "the directory is full")
                .because(format!("it has at most {ENTRIES_MAX} entries")));
        }
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        let mut w = Writer::new();
        w.u8(LEAF).u32(u32::try_from(self.0.len()).expect("limited above"));
        for (name, e) in &self.0 {
            write_entry(&mut w, name, e);
        }
        Ok(w.into_bytes())
    }

    /// Reads the stored bytes.
    ///
    /// # Errors
    /// `Integrity` when they are no table; `Unsupported` for a kind of node that is not known.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut r = Reader::new(bytes, "a directory");
        if r.u8()? != LEAF {
            return Err(Error::new(Kind::Unsupported, "a directory has an unknown kind of node")
                .hint("use a newer chartfs"));
        }
        let count = r.u32()? as usize;
        if count > ENTRIES_MAX || count > r.remaining() / ENTRY_LEN_MIN {
            return Err(r.bad("its count of entries is over the limit"));
        }
        let mut entries = BTreeMap::new();
        for _ in 0..count {
            let (name, entry) = read_entry(&mut r)?;
            if entries.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return Err(r.bad("its names are not in order"));
            }
            entries.insert(name, entry);
        }
        r.finish()?;
        Ok(Self(entries))
    }
}

/// Appends one entry: name (short) | record 16 | birth 16 | profile u8 | policy.
pub(super) fn write_entry(w: &mut Writer, name: &[u8], e: &Entry) {
    w.short(name).bytes(&e.located.record.0).bytes(&e.located.birth.0).u8(e.profile);
    match &e.policy {
        None => {
            w.u8(0);
        }
        Some(policy) => {
            w.u8(1);
            policy.write(w);
        }
    }
}

/// Takes what [`write_entry`] appended.
pub(super) fn read_entry(r: &mut Reader<'_>) -> Result<(Vec<u8>, Entry)> {
    let name = r.short(NAME_LEN_MAX_BYTES)?;
    if check_name(name).is_err() {
        return Err(r.bad("a name in it cannot be one"));
    }
    let (record, birth) = (RecordId(r.array()?), RecordId(r.array()?));
    let profile = r.u8()?;
    let policy = match r.u8()? {
        0 => None,
        1 => Some(PolicyRef::read(r)?),
        _ => return Err(r.bad("an entry has an unknown policy")),
    };
    if policy.is_some() && profile != DIRECTORY_PROFILE {
        return Err(r.bad("a file in it has a policy of its own"));
    }
    let located = Located { birth, record };
    Ok((name.to_vec(), Entry { located, profile, policy }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = Entry> {
        (any::<[u8; 16]>(), any::<[u8; 16]>(), 0u8..3, any::<Option<[u8; 32]>>()).prop_map(
            |(birth, record, profile, policy)| Entry {
                located: Located { birth: RecordId(birth), record: RecordId(record) },
                profile: if policy.is_some() { DIRECTORY_PROFILE } else { profile },
                policy: policy.map(|hash| PolicyRef {
                    hash,
                    patient: (hash[0] < 128).then(|| "ana".parse().unwrap()),
                }),
            },
        )
    }

    proptest! {
        #[test]
        fn tables_come_back(
            entries in prop::collection::btree_map(
                prop::collection::vec(1u8..=255, 1..40), entry(), 0..20)
        ) {
            let entries = entries.into_iter().filter(|(n, _)| check_name(n).is_ok()).collect();
            let table = Table(entries);
            let bytes = table.encode().unwrap();
            prop_assert_eq!(Table::decode(&bytes).unwrap(), table);
            if !bytes.is_empty() {
                prop_assert!(Table::decode(&bytes[..bytes.len() - 1]).is_err());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Table::decode(&bytes);
        }
    }

    #[test]
    fn an_inner_table_comes_back_and_spreads_names() {
        let located = |i: u8| Located { birth: RecordId([1; 16]), record: RecordId([i; 16]) };
        let shards = std::array::from_fn(|i| located(u8::try_from(i).unwrap()));
        let inner = Inner::new(shards);
        let bytes = Node::Inner(Box::new(inner.clone())).encode().unwrap();
        assert_eq!(Node::decode(&bytes).unwrap(), Node::Inner(Box::new(inner.clone())));
        assert!((0..bytes.len()).skip(1).all(|n| Node::decode(&bytes[..n]).is_err()));
        let used: std::collections::HashSet<usize> =
            (0..200u8).map(|i| inner.index(&[i])).collect();
        assert_eq!(used.len(), SHARDS);
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused_before_allocation() {
        assert!(Table::decode(&[0, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(Table::decode(&[2, 0, 0, 0, 0]).is_err_and(|e| e.kind() == Kind::Unsupported));
    }

    #[test]
    fn names_that_no_directory_can_hold_are_refused() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"a\0b", &[b'x'; 256]] {
            assert!(check_name(bad).is_err());
        }
        for good in [&b"a"[..], &[b'x'; 255], "\u{e4}".as_bytes(), &[0xff, 0xfe]] {
            assert!(check_name(good).is_ok());
        }
    }
}
