//! The table of a directory: names and the records that they stand for. It is the plaintext of the
//! directory's `names` section; the bucket sees only random record names.
//!
//! Bytes: node u8 = 0 (leaf) | count u32 | count × (name (short) | record 16 | birth 16 |
//! profile u8 | policy u8: 0 inherited, 1 own | own: policy 32, patient (short)), ascending by
//! name.

use std::collections::BTreeMap;

use super::{DIRECTORY_PROFILE, Located, PolicyRef, RecordId};
use crate::error::{Error, Kind, Result};
use crate::wire::{Reader, Writer};

/// The slot of the names; above every slot of a file.
pub const NAMES_SLOT: u16 = 1024;
/// The slot of the names that researchers see.
pub const PSEUDONYMS_SLOT: u16 = 1025;
/// The longest name, in bytes.
pub const NAME_LEN_MAX_BYTES: usize = 255;
/// The most entries of one directory.
pub const ENTRIES_MAX: usize = 200_000;

const LEAF: u8 = 0;
const ENTRY_LEN_MIN: usize = 2 + 1 + 16 + 16 + 2;
const ENTRY_LEN_MAX: usize = 2 + NAME_LEN_MAX_BYTES + 16 + 16 + 2 + 32 + 2 + 63;
/// The longest table, in bytes.
pub const TABLE_LEN_MAX_BYTES: u64 = (1 + 4 + ENTRIES_MAX * ENTRY_LEN_MAX) as u64;

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
            w.short(name).bytes(&e.located.record.0).bytes(&e.located.birth.0).u8(e.profile);
            match &e.policy {
                None => w.u8(0),
                Some(policy) => {
                    w.u8(1);
                    policy.write(&mut w);
                    &mut w
                }
            };
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
            let name = r.short(NAME_LEN_MAX_BYTES)?;
            if check_name(name).is_err() {
                return Err(r.bad("a name in it cannot be one"));
            }
            if entries.last_key_value().is_some_and(|(last, _): (&Vec<u8>, _)| **last >= *name) {
                return Err(r.bad("its names are not in order"));
            }
            let (record, birth) = (RecordId(r.array()?), RecordId(r.array()?));
            let profile = r.u8()?;
            let policy = match r.u8()? {
                0 => None,
                1 => Some(PolicyRef::read(&mut r)?),
                _ => return Err(r.bad("an entry has an unknown policy")),
            };
            if policy.is_some() && profile != DIRECTORY_PROFILE {
                return Err(r.bad("a file in it has a policy of its own"));
            }
            let located = Located { birth, record };
            entries.insert(name.to_vec(), Entry { located, profile, policy });
        }
        r.finish()?;
        Ok(Self(entries))
    }
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
    fn a_count_beyond_the_bytes_is_refused_before_allocation() {
        assert!(Table::decode(&[0, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(Table::decode(&[1, 0, 0, 0, 0]).is_err_and(|e| e.kind() == Kind::Unsupported));
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
