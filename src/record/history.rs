//! What was there before: old versions of records, and names that were taken away.
//!
//! Nothing here trusts a listing. The newest version of a record names, by the statements in it,
//! which commit changed a section last; that commit kept the version before it. Removals stand in
//! the table of the directory, and older ones in tables that it names by version and hash.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::directory::{Edit, NAMES_SLOT, Node, TRIE_DEPTH_MAX};
use super::head::{Part, RECORD_LEN_MAX_BYTES, UncheckedRecord};
use super::past::{Conflict, KeptTable, Leaf, Past, Removed};
use super::proof::sections_follow;
use super::statement::Statement;
use super::{DIRECTORY_PROFILE, Located, PolicyRef, Record, RecordId, Records};
use crate::error::{Error, Kind, Result};

impl Records {
    /// Returns the version that was there before the newest change of a section; `None` when the
    /// record was made by that change.
    ///
    /// # Errors
    /// `NotFound` when that version is not in the bucket any more; otherwise as
    /// [`Records::load`].
    pub async fn before(&self, record: &Record, policy: &PolicyRef) -> Result<Option<Arc<Record>>> {
        let version = record.changed_in().saturating_sub(1);
        if version == 0 {
            return Ok(None);
        }
        let old = self.kept(record.located, policy, version).await?;
        if version + 1 == record.version() && old.object_hash != record.head.previous {
            return Err(Error::damaged("an old version is not the one that was replaced"));
        }
        if old.head.profile == record.head.profile {
            sections_follow(&old.mark(), &record.mark())?;
        }
        Ok(Some(Arc::new(old)))
    }

    /// Returns an old version of a record: proven, and of this folder.
    ///
    /// # Errors
    /// `NotFound` when it is not in the bucket; otherwise as [`Records::load`].
    pub async fn kept(&self, located: Located, policy: &PolicyRef, version: u64) -> Result<Record> {
        let name = located.history(version);
        let object = self.realm.bucket().get(&name, RECORD_LEN_MAX_BYTES).await?;
        let object = object.ok_or_else(|| {
            Error::new(Kind::NotFound, "an old version is not in the bucket")
                .because(format!("version {version} of record {}", located.record))
                .hint("somebody removed it, or the cloud withholds it: chartfs check")
        })?;
        let unchecked = UncheckedRecord::parse(&object.bytes)?;
        let proof = self.prover.prove(&self.realm, located, &unchecked).await?;
        if unchecked.head.version != version {
            return Err(Error::damaged("an old version stands under the number of another"));
        }
        let record = Record::new(located, unchecked, object.version, &proof);
        let in_force = self.in_force(&record, policy).await?;
        self.check_policies(&record, &in_force).await?;
        Ok(record)
    }

    /// Returns every name that was taken out of a directory and whose record has no name in it,
    /// the newest removal first.
    ///
    /// # Errors
    /// As [`Records::names`]; `NotFound` when a table that was kept is not in the bucket any more.
    pub async fn removed_names(
        &self,
        located: Located,
        policy: &PolicyRef,
    ) -> Result<Vec<Removed>> {
        let (mut all, mut named, mut older) = (Vec::new(), HashSet::new(), Vec::new());
        for leaf in self.leaves(located, policy, Duration::ZERO).await? {
            named.extend(leaf.table.0.values().map(|e| e.located.record));
            all.extend(leaf.past.removed);
            older.extend(leaf.past.older);
        }
        let mut seen: HashSet<(RecordId, u64)> = HashSet::new();
        while let Some(kept) = older.pop() {
            if seen.insert((kept.located.record, kept.version)) {
                let past = self.kept_past(&kept, policy).await?;
                all.extend(past.removed);
                older.extend(past.older);
            }
        }
        all.sort_by_key(|r| std::cmp::Reverse(r.time_unix_ns));
        let mut known: HashSet<RecordId> = named;
        all.retain(|r| known.insert(r.entry.located.record));
        Ok(all)
    }

    async fn kept_past(&self, kept: &KeptTable, policy: &PolicyRef) -> Result<Past> {
        let record = Arc::new(self.kept(kept.located, policy, kept.version).await?);
        if record.object_hash != kept.object_hash {
            return Err(Error::damaged("an old table is not the one that the newer one names"));
        }
        match &*self.decode_names(&record).await? {
            Node::Leaf(leaf) => Ok(leaf.past.clone()),
            Node::Inner(_) => Err(Error::damaged("an old table is no leaf")),
        }
    }

    /// Returns of which record and version a file is a copy that was made in a conflict.
    ///
    /// # Errors
    /// As [`Records::names`].
    pub async fn conflict_of(
        &self,
        located: Located,
        policy: &PolicyRef,
        (name, copy): (&[u8], RecordId),
        max_age: Duration,
    ) -> Result<Option<Conflict>> {
        let mut at = located;
        for _ in 0..TRIE_DEPTH_MAX {
            match &*self.folder(at, policy, max_age).await?.node {
                Node::Inner(inner) => at = inner.shard(name),
                Node::Leaf(leaf) => {
                    return Ok(leaf.past.conflicts.iter().find(|c| c.copy == copy).copied());
                }
            }
        }
        Ok(None)
    }

    /// Returns the leaves that a directory is made of.
    async fn leaves(
        &self,
        located: Located,
        policy: &PolicyRef,
        max_age: Duration,
    ) -> Result<Vec<Leaf>> {
        let mut leaves = Vec::new();
        for part in self.leaf_records(located, policy, max_age).await? {
            if let Node::Leaf(leaf) = &*self.folder(part, policy, max_age).await?.node {
                leaves.push(leaf.clone());
            }
        }
        Ok(leaves)
    }

    async fn leaf_records(
        &self,
        located: Located,
        policy: &PolicyRef,
        max_age: Duration,
    ) -> Result<Vec<Located>> {
        let (mut todo, mut leaves) = (vec![located], Vec::new());
        while let Some(at) = todo.pop() {
            match &*self.folder(at, policy, max_age).await?.node {
                Node::Inner(inner) => todo.extend_from_slice(inner.shards()),
                Node::Leaf(_) => leaves.push(at),
            }
        }
        Ok(leaves)
    }

    /// Lets no name be added to an empty directory any more, so that it can be removed and nobody
    /// who makes a file in it at the same moment loses that.
    ///
    /// # Errors
    /// `NotEmpty`; then it is open as before. Those of [`Records::edit_names`].
    pub async fn close_directory(&self, located: Located, policy: &PolicyRef) -> Result<()> {
        for part in self.leaf_records(located, policy, Duration::ZERO).await? {
            let closed = self.edit_names(part, policy, &[Edit::Close]).await;
            if let Err(e) = closed.and_then(|mut r| r.pop().unwrap_or(Ok(()))) {
                self.reopen_directory(located, policy).await?;
                return Err(e);
            }
        }
        Ok(())
    }

    /// Lets names be added again to a directory that was closed.
    ///
    /// # Errors
    /// Those of [`Records::edit_names`].
    pub async fn reopen_directory(&self, located: Located, policy: &PolicyRef) -> Result<()> {
        for part in self.leaf_records(located, policy, Duration::ZERO).await? {
            let folder = self.folder(part, policy, Duration::MAX).await?;
            let is_closed = matches!(&*folder.node, Node::Leaf(leaf) if leaf.past.is_removed);
            if is_closed {
                let opened = self.edit_names(part, policy, &[Edit::Reopen]).await?;
                opened.into_iter().collect::<Result<()>>()?;
            }
        }
        Ok(())
    }

    /// Says whether no name can be added to a directory, as the bucket has it at this moment.
    ///
    /// # Errors
    /// As [`Records::names`].
    pub async fn is_closed(&self, located: Located, policy: &PolicyRef) -> Result<bool> {
        let leaves = self.leaves(located, policy, Duration::ZERO).await?;
        Ok(leaves.iter().all(|leaf| leaf.past.is_removed))
    }

    /// Returns the old tables of a directory that are in the bucket, the newest first. Which there
    /// are is what the bucket says; that each is one, is proven.
    ///
    /// # Errors
    /// As [`Records::load`].
    pub async fn kept_tables(
        &self,
        located: Located,
        policy: &PolicyRef,
    ) -> Result<Vec<Arc<Record>>> {
        use futures::{StreamExt, TryStreamExt};
        let folder = format!("h/{}/", located.record);
        let listed: Vec<_> = self.realm.bucket().list(&folder).try_collect().await?;
        let number = |l: &crate::store::Listed| l.name.as_str().rsplit('/').next()?.parse().ok();
        let versions: Vec<u64> = listed.iter().filter_map(number).collect();
        let kept = futures::stream::iter(versions).map(|v| self.kept(located, policy, v));
        let mut kept: Vec<Arc<Record>> =
            kept.buffered(16).map(|r| r.map(Arc::new)).try_collect().await?;
        kept.sort_by_key(|r| std::cmp::Reverse(r.version()));
        Ok(kept)
    }
}

impl Record {
    /// Returns the version in which a section was changed last: what came after it changed times
    /// and keys only.
    pub fn changed_in(&self) -> u64 {
        let statements = self.head.statements.iter().chain([&self.statement]);
        let changes = statements.filter(|s| !s.entries.is_empty());
        changes.map(|s| s.version).max().unwrap_or(0).min(self.version())
    }

    /// Returns the statement of whoever wrote a part.
    pub fn vouching(&self, part: &Part) -> &Statement {
        // A record is proven: every part names a statement that is there.
        self.head.statements.get(usize::from(part.statement)).unwrap_or(&self.statement)
    }

    /// Says whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.head.profile == DIRECTORY_PROFILE
    }

    /// Returns how often the names of a directory were changed.
    pub fn names_version(&self) -> u64 {
        self.mark().version_of(NAMES_SLOT)
    }
}
