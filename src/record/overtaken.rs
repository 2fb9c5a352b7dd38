//! What was committed here, waited in the journal, and was overtaken by somebody else's commit of
//! the same record. Of a directory both changes are made here; what a file's text says is merged
//! by `view`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;

use super::directory::{Edit, Entry, Node, TRIE_DEPTH_MAX, Table};
use super::head::RECORD_LEN_MAX_BYTES;
use super::past::Leaf;
use super::{Located, PolicyRef, Record, RecordId, Records};
use crate::error::{Error, Kind, Result};
use crate::store::{Lifted, ObjectName};

/// How often changes are put on top of somebody else's once more.
const TRIES_MAX: usize = 16;

/// Where the names of each record of a table stand.
type Places<'a> = HashMap<RecordId, &'a [u8]>;

/// Commits of one record that were overtaken.
pub struct Overtaken {
    /// Where the record lives.
    pub located: Located,
    /// What they were made on top of, when that is known.
    pub base: Option<Arc<Record>>,
    /// What they left.
    pub mine: Arc<Record>,
    name: ObjectName,
    lifted: Lifted,
}

impl Records {
    /// Says whether commits of a record wait in the journal.
    pub fn is_pending(&self, located: Located) -> bool {
        self.realm.bucket().is_pending(&located.object())
    }

    /// Returns commits of an object that were overtaken, when there are any.
    ///
    /// # Errors
    /// `Integrity` when the journal is damaged.
    pub async fn overtaken(&self, name: &ObjectName) -> Result<Option<Overtaken>> {
        while let Some(lifted) = self.realm.bucket().lifted(name)? {
            let Some(located) = Located::of_object(name) else {
                tracing::warn!(object = %name, "an object was made twice; the other is kept");
                self.realm.bucket().drop_lifted(name, lifted).await?;
                continue;
            };
            let version = || lifted.version.clone();
            let mine = self.read_back(located, &lifted.mine, version()).await?;
            let base = match &lifted.base {
                Some(bytes) => Some(self.read_back(located, bytes, version()).await?),
                None => None,
            };
            // What is in memory is what was overtaken.
            self.forget(located.record);
            if self.is_followed(located, &mine).await? {
                tracing::debug!(object = %name, "the bucket had what was taken for overtaken");
                self.realm.bucket().drop_lifted(name, lifted).await?;
                continue;
            }
            return Ok(Some(Overtaken { located, base, mine, name: name.clone(), lifted }));
        }
        Ok(None)
    }

    /// Says whether what somebody else wrote was written on top of this version: the bucket had it
    /// from before a crash, and there is nothing to merge. Whoever committed the newer one signed
    /// what it replaces.
    async fn is_followed(&self, located: Located, mine: &Record) -> Result<bool> {
        let now = self.realm.bucket().get(&located.object(), RECORD_LEN_MAX_BYTES).await?;
        let Some(now) = now.filter(|now| !now.version.is_pending()) else { return Ok(false) };
        let now = self.read_back(located, &now.bytes, now.version).await?;
        Ok(now.version() == mine.version() + 1 && now.head.previous == mine.object_hash)
    }

    /// Forgets commits that were overtaken, and are merged now.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn drop_overtaken(&self, overtaken: Overtaken) -> Result<()> {
        self.realm.bucket().drop_lifted(&overtaken.name, overtaken.lifted).await
    }

    /// Makes the changes that led from `base` to `mine` in what the bucket has now. Returns the
    /// names that somebody else gave to other records meanwhile, with what they were to stand for
    /// here.
    ///
    /// Without `base` only what was added is known.
    ///
    /// # Errors
    /// Those of [`Records::edit_names`].
    pub async fn merge_names(
        &self,
        located: Located,
        policy: &PolicyRef,
        base: Option<&Arc<Record>>,
        mine: &Arc<Record>,
    ) -> Result<Vec<(Vec<u8>, Entry)>> {
        let base = match base {
            Some(base) => self.names_in(base, policy).await?,
            None => Leaf::default(),
        };
        let mine = self.names_in(mine, policy).await?;
        // What left the list of removals is not looked for: it was removed, as far as is known.
        let is_listed = base.past.older == mine.past.older;
        let removed: HashSet<RecordId> =
            mine.past.removed.iter().map(|r| r.entry.located.record).collect();
        let is_removed = |record: RecordId| !is_listed || removed.contains(&record);
        for _ in 0..TRIES_MAX {
            let theirs = self.names(located, policy, Duration::ZERO).await?;
            let (edits, clashes) = merge(&base.table, &mine.table, &theirs.table, is_removed);
            let results = self.edit_names(located, &theirs.policy, &edits).await?;
            // A name that came or went since the table was read: look again.
            if results.iter().all(Result::is_ok) {
                return Ok(clashes);
            }
        }
        Err(Error::new(Kind::Conflict, "the folder is changed by others all the time"))
    }

    /// Says whether a version of a directory is one that was removed.
    ///
    /// # Errors
    /// `Integrity` when it cannot be read.
    pub async fn is_removed_in(&self, record: &Arc<Record>, policy: &PolicyRef) -> Result<bool> {
        Ok(self.names_in(record, policy).await?.past.is_removed)
    }

    /// Returns all names of one version of a directory, and what it remembers.
    pub(super) async fn names_in(&self, record: &Arc<Record>, policy: &PolicyRef) -> Result<Leaf> {
        let root = record.names.get_or_try_init(|| self.decode_names(record)).await?.clone();
        let mut all = Leaf::default();
        let mut nodes = vec![root];
        for _ in 0..TRIE_DEPTH_MAX {
            let mut shards = Vec::new();
            for node in &nodes {
                match &**node {
                    Node::Leaf(leaf) => {
                        let entries = leaf.table.0.iter();
                        all.table.0.extend(entries.map(|(n, e)| (n.clone(), e.clone())));
                        all.past.removed.extend_from_slice(&leaf.past.removed);
                        all.past.older = all.past.older.or(leaf.past.older);
                        all.past.is_removed |= leaf.past.is_removed;
                    }
                    Node::Inner(inner) => shards.extend_from_slice(inner.shards()),
                }
            }
            if shards.is_empty() {
                return Ok(all);
            }
            let below = shards.iter().map(|shard| self.node_of(*shard, policy));
            nodes = try_join_all(below).await?;
        }
        Err(Error::damaged("a directory's trie is too deep, or contains itself"))
    }

    async fn node_of(&self, shard: Located, policy: &PolicyRef) -> Result<Arc<Node>> {
        let record = self.load(shard, policy, Duration::MAX).await?;
        record.names.get_or_try_init(|| self.decode_names(&record)).await.cloned()
    }
}

/// Decides which changes bring what was done here into what others did.
fn merge(
    base: &Table,
    mine: &Table,
    theirs: &Table,
    is_removed: impl Fn(RecordId) -> bool,
) -> (Vec<Edit>, Vec<(Vec<u8>, Entry)>) {
    let (mut edits, mut clashes) = (Vec::new(), Vec::new());
    let (places_before, places_now) = (places(base), places(theirs));
    // Added first: a crash in between leaves two names and loses none.
    for (name, entry) in &mine.0 {
        let before = base.0.get(name);
        if before == Some(entry) {
            continue;
        }
        let record = entry.located.record;
        let now = theirs.0.get(name);
        if now.is_some_and(|n| n.located.record == record) {
            if now != Some(entry) {
                edits.push(Edit::Put { name: name.clone(), entry: entry.clone() });
            }
            continue;
        }
        // Both renamed it, or it was taken away there and only moved here.
        let was_named = places_before.get(&record);
        if was_named.is_some() && places_now.get(&record) != was_named {
            if places_now.contains_key(&record) {
                continue;
            }
        } else if was_named.is_none() && places_now.contains_key(&record) {
            continue;
        }
        match now {
            None => edits.push(Edit::Add { name: name.clone(), entry: entry.clone() }),
            Some(now) if before == Some(now) => {
                // What has another name now is not among the removed.
                let was = now.located.record;
                edits.push(Edit::stand(name, was, entry.clone(), !is_removed(was)));
            }
            Some(_) => clashes.push((name.clone(), entry.clone())),
        }
    }
    let put: HashSet<Vec<u8>> = edits
        .iter()
        .filter_map(|edit| match edit {
            Edit::Put { name, .. } | Edit::Stand { name, .. } => Some(name.clone()),
            _ => None,
        })
        .collect();
    for (name, entry) in &base.0 {
        let record = entry.located.record;
        let is_there = mine.0.get(name).is_some_and(|e| e.located.record == record);
        let is_kept = is_there || put.contains(name);
        if !is_kept && theirs.0.get(name).is_some_and(|now| now.located.record == record) {
            // What has another name, here or in another folder, is not among the removed.
            let name = name.clone();
            edits.push(if is_removed(record) {
                Edit::Remove { name, record }
            } else {
                Edit::Leave { name, record }
            });
        }
    }
    (edits, clashes)
}

fn places(table: &Table) -> Places<'_> {
    let by_name: &BTreeMap<Vec<u8>, Entry> = &table.0;
    by_name.iter().map(|(name, entry)| (entry.located.record, name.as_slice())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::attribute::Gid;
    use crate::record::past::{Past, Stamp};
    use proptest::prelude::*;

    const STAMP: Stamp = Stamp { time_unix_ns: 0, by: Gid([0; 32]) };

    fn entry(n: u8) -> Entry {
        let located = Located { birth: RecordId([0; 16]), record: RecordId([n; 16]) };
        Entry { located, profile: 1, policy: None }
    }

    fn table(names: &[(&str, u8)]) -> Table {
        Table(names.iter().map(|(n, r)| (n.as_bytes().to_vec(), entry(*r))).collect())
    }

    fn merged(base: &Table, mine: &Table, theirs: &Table) -> (Table, usize) {
        let (edits, clashes) = merge(base, mine, theirs, |_| true);
        let mut now = Leaf { table: theirs.clone(), past: Past::default() };
        for edit in &edits {
            edit.apply(&mut now, &STAMP).unwrap();
        }
        (now.table, clashes.len())
    }

    fn check(base: &[(&str, u8)], mine: &[(&str, u8)], theirs: &[(&str, u8)], now: &[(&str, u8)]) {
        let (got, clashes) = merged(&table(base), &table(mine), &table(theirs));
        assert_eq!((got, clashes), (table(now), 0));
    }

    #[test]
    fn changes_of_both_are_made() {
        let base = [("a", 1), ("b", 2)];
        check(
            &base,
            &[("a", 1), ("b", 2), ("m", 3)],
            &[("a", 1), ("t", 4)],
            &[("a", 1), ("m", 3), ("t", 4)],
        );
        check(&base, &[("b", 2)], &[("a", 1), ("b", 2), ("t", 4)], &[("b", 2), ("t", 4)]);
        check(&base, &[("z", 1), ("b", 2)], &base, &[("z", 1), ("b", 2)]);
    }

    #[test]
    fn a_record_that_both_renamed_has_one_name() {
        check(&[("a", 1)], &[("mine", 1)], &[("theirs", 1)], &[("theirs", 1)]);
    }

    #[test]
    fn a_record_that_was_renamed_for_one_that_has_another_name_there_has_one_name() {
        check(&[("a", 6)], &[("a", 2), ("c", 6)], &[("a", 6), ("b", 2)], &[("b", 2), ("c", 6)]);
    }

    #[test]
    fn a_name_that_both_made_is_told() {
        let (now, clashes) = merged(&table(&[]), &table(&[("n", 1)]), &table(&[("n", 2)]));
        assert_eq!((now, clashes), (table(&[("n", 2)]), 1));
    }

    #[test]
    fn what_was_merged_before_a_crash_is_not_merged_twice() {
        let (base, mine) = (table(&[("a", 1)]), table(&[("b", 1), ("m", 3)]));
        let theirs = table(&[("a", 1), ("t", 4)]);
        let (once, _) = merged(&base, &mine, &theirs);
        assert_eq!(merged(&base, &mine, &once), (once.clone(), 0));
    }

    fn tables() -> impl Strategy<Value = Table> {
        let names = proptest::sample::select(vec!["a", "b", "c", "d", "e"]);
        proptest::collection::vec((names, 1u8..8), 0..5).prop_map(|rows| {
            let mut seen = std::collections::HashSet::new();
            let rows = rows.into_iter().filter(|(_, record)| seen.insert(*record));
            Table(rows.map(|(n, r)| (n.as_bytes().to_vec(), entry(r))).collect())
        })
    }

    proptest! {
        /// No record that either side has is lost, unless a side took it away; none has two names.
        #[test]
        fn no_entry_is_lost_or_doubled(base in tables(), mine in tables(), theirs in tables()) {
            let (edits, clashes) = merge(&base, &mine, &theirs, |_| true);
            let mut now = Leaf { table: theirs.clone(), past: Past::default() };
            for edit in &edits {
                prop_assert!(edit.apply(&mut now, &STAMP).is_ok());
            }
            let now = now.table;
            let records: Vec<RecordId> = now.0.values().map(|e| e.located.record).collect();
            let told: Vec<RecordId> = clashes.iter().map(|(_, e)| e.located.record).collect();
            let (was, here, there) = (places(&base), places(&mine), places(&theirs));
            for record in here.keys().chain(there.keys()) {
                let is_taken_away = was.contains_key(record)
                    && (!here.contains_key(record) || !there.contains_key(record));
                let replaced = !is_taken_away && (here.contains_key(record) != there.contains_key(record)) && was.contains_key(record);
                let is_kept = records.contains(record) || told.contains(record);
                prop_assert!(is_kept || is_taken_away || replaced || was_replaced(&base, &mine, &theirs, *record));
            }
            for record in &records {
                prop_assert!(records.iter().filter(|r| *r == record).count() == 1);
            }
        }
    }

    /// Says whether a side let the name of a record stand for another one.
    fn was_replaced(base: &Table, mine: &Table, theirs: &Table, record: RecordId) -> bool {
        [mine, theirs].iter().any(|side| {
            base.0.iter().any(|(name, e)| {
                e.located.record == record
                    && side.0.get(name).is_some_and(|n| n.located.record != record)
            })
        })
    }
}
