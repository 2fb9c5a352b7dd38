//! Directories in use: finding a name, listing all, and changing some by compare-and-swap. Large
//! directories are tries of records; only this module and `shards` know.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use lru::LruCache;

use super::commit::{Body, Committed, SlotWrite};
use super::directory::{
    Edit, Entry, NAMES_SLOT, Node, SPLIT_ABOVE, TABLE_LEN_MAX_BYTES, TRIE_DEPTH_MAX, Table,
};
use super::format::Measure;
use super::open::Sight;
use super::past::{KeptTable, Leaf, Stamp};
use super::{DIRECTORY_PROFILE, Located, PolicyRef, Record, RecordId, Records};
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::realm::policy::NAMES;

/// How often a change is made again on top of somebody else's.
const TRIES_MAX: usize = 48;
/// What the wait between tries grows from.
const WAIT_MS: u64 = 3;
/// How often the table of a directory is kept, at most, when names are taken from it.
const TABLE_INTERVAL: Duration = Duration::from_secs(60);
/// How many shards are fetched at once.
const SHARDS_AT_ONCE: usize = 16;

/// All names of a directory.
#[derive(Clone)]
pub struct Names {
    /// The entries by name.
    pub table: Arc<Table>,
    /// The policy in force in the directory.
    pub policy: PolicyRef,
}

/// What one name of a directory stands for.
#[derive(Clone)]
pub struct Found {
    /// The entry, when there is one.
    pub entry: Option<Entry>,
    /// The policy in force in the directory.
    pub policy: PolicyRef,
}

/// What memory says of one name of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// Nothing that is young enough.
    Unknown,
    /// There is no such name.
    Absent,
    /// It stands for this.
    Entry(Entry),
}

/// One record of a directory, opened.
pub(super) struct Folder {
    pub(super) record: Arc<Record>,
    pub(super) node: Arc<Node>,
    pub(super) policy: PolicyRef,
}

/// How a change of one leaf ended.
enum Changed {
    Done(Vec<Result<()>>),
    /// The leaf was split, or changed by somebody else.
    Moved,
}

fn too_deep() -> Error {
    Error::damaged("a directory's trie is too deep, or contains itself")
}

impl Records {
    pub(super) async fn folder(
        &self,
        located: Located,
        policy: &PolicyRef,
        max_age: Duration,
    ) -> Result<Folder> {
        let record = self.load(located, policy, max_age).await?;
        let policy = self.in_force(&record, policy).await?;
        match self.may_read(&policy, NAMES).await? {
            Sight::Open => {}
            Sight::Closed => return Err(Error::new(Kind::Denied, "the folder is closed to you")),
            Sight::Expired => {
                return Err(Error::new(Kind::CredentialExpired, "the folder is closed to you")
                    .because("the certificate behind your attribute has ended"));
            }
        }
        let is_decoded = record.names.initialized();
        let node = record.names.get_or_try_init(|| self.decode_names(&record)).await?.clone();
        if !is_decoded {
            self.recount(record.located.record);
        }
        Ok(Folder { record, node, policy })
    }

    pub(super) async fn decode_names(&self, record: &Arc<Record>) -> Result<Arc<Node>> {
        if record.head.profile != DIRECTORY_PROFILE {
            return Err(Error::damaged("a directory's record is a file's"));
        }
        let parts = self.open_slot(record, NAMES_SLOT).await?.ok_or_else(|| {
            Error::new(Kind::Denied, "the folder is closed to you")
                .because("its names are not wrapped for your attributes yet")
        })?;
        let entry = record.head.slots.iter().find(|s| s.slot == NAMES_SLOT);
        let part = entry.and_then(|e| e.parts.last());
        let (Some(part), Some(opened)) = (part, parts.last()) else {
            return Err(Error::damaged("a directory has no names"));
        };
        if opened.meta.body_len > TABLE_LEN_MAX_BYTES {
            return Err(Error::damaged("a directory is over its limit"));
        }
        let bytes = if part.content.is_external() {
            self.read_external(part, opened, 0..opened.meta.body_len).await?
        } else {
            self.inline_body(record, part, opened)?
        };
        Ok(Arc::new(Node::decode(&bytes)?))
    }

    /// Returns all names of a directory, at most `max_age` old.
    ///
    /// # Errors
    /// `Denied` when the policy closes the names to the user; `Integrity` when it is damaged.
    pub async fn names(
        &self,
        located: Located,
        policy: &PolicyRef,
        max_age: Duration,
    ) -> Result<Names> {
        let root = self.folder(located, policy, max_age).await?;
        let policy = root.policy.clone();
        if let Node::Leaf(leaf) = &*root.node {
            return Ok(Names { table: Arc::new(leaf.table.clone()), policy });
        }
        let mut table = Table::default();
        let mut inner = vec![root];
        for _ in 0..TRIE_DEPTH_MAX {
            let shards: Vec<Located> = inner
                .iter()
                .filter_map(|f| match &*f.node {
                    Node::Inner(inner) => Some(inner.shards()),
                    Node::Leaf(_) => None,
                })
                .flatten()
                .copied()
                .collect();
            if shards.is_empty() {
                return Ok(Names { table: Arc::new(table), policy });
            }
            let below: Vec<Folder> = futures::stream::iter(shards)
                .map(|shard| self.folder(shard, &policy, max_age))
                .buffered(SHARDS_AT_ONCE)
                .try_collect()
                .await?;
            for folder in &below {
                if let Node::Leaf(leaf) = &*folder.node {
                    let entries = leaf.table.0.iter();
                    table.0.extend(entries.map(|(n, e)| (n.clone(), e.clone())));
                }
            }
            inner = below;
        }
        Err(too_deep())
    }

    /// Finds one name of a directory.
    ///
    /// # Errors
    /// As [`Records::names`].
    pub async fn find(
        &self,
        located: Located,
        policy: &PolicyRef,
        name: &[u8],
        max_age: Duration,
    ) -> Result<Found> {
        let mut folder = self.folder(located, policy, max_age).await?;
        let policy = folder.policy.clone();
        for _ in 0..TRIE_DEPTH_MAX {
            match &*folder.node {
                Node::Leaf(leaf) => {
                    return Ok(Found { entry: leaf.table.0.get(name).cloned(), policy });
                }
                Node::Inner(inner) => {
                    folder = self.folder(inner.shard(name), &policy, max_age).await?;
                }
            }
        }
        Err(too_deep())
    }

    /// Finds one name of a directory in memory. Whether the user
    /// may see the names was decided when they were loaded.
    pub fn find_cached(&self, located: Located, name: &[u8], max_age: Duration) -> Remembered {
        let mut at = located;
        for _ in 0..TRIE_DEPTH_MAX {
            let known = self.cached(at.record).filter(|(seen, _)| seen.elapsed() <= max_age);
            match known.as_ref().and_then(|(_, record)| record.names.get()).map(|node| &**node) {
                None => return Remembered::Unknown,
                Some(Node::Inner(inner)) => at = inner.shard(name),
                Some(Node::Leaf(leaf)) => {
                    let entry = leaf.table.0.get(name).cloned();
                    return entry.map_or(Remembered::Absent, Remembered::Entry);
                }
            }
        }
        Remembered::Unknown
    }

    /// Says whether a directory that is in memory has its names in several records.
    pub fn is_split(&self, located: Located) -> bool {
        let known = self.cached(located.record);
        let node = known.as_ref().and_then(|(_, record)| record.names.get());
        node.is_some_and(|node| matches!(**node, Node::Inner(_)))
    }

    /// Returns every record that a directory is made of, itself first.
    ///
    /// # Errors
    /// As [`Records::names`].
    pub async fn records_of(&self, located: Located, policy: &PolicyRef) -> Result<Vec<Located>> {
        let mut all = vec![located];
        let mut at = 0;
        while at < all.len() {
            let folder = self.folder(all[at], policy, Duration::ZERO).await?;
            if let Node::Inner(inner) = &*folder.node {
                all.extend_from_slice(inner.shards());
            }
            at += 1;
        }
        Ok(all)
    }

    /// Makes an empty directory.
    ///
    /// # Errors
    /// Those of [`Records::create`].
    pub async fn create_directory(
        &self,
        located: Located,
        policy: &PolicyRef,
    ) -> Result<Arc<Record>> {
        self.create(located, DIRECTORY_PROFILE, policy, Vec::new()).await
    }

    /// Changes a directory by compare-and-swap, again on top of whatever somebody else committed
    /// first. Every change has its own result; all that concern one leaf share a commit.
    ///
    /// # Errors
    /// `Denied` when the user may neither add nor remove; `Conflict` when others were faster many
    /// times in a row.
    pub async fn edit_names(
        &self,
        located: Located,
        policy: &PolicyRef,
        edits: &[Edit],
    ) -> Result<Vec<Result<()>>> {
        let mut max_age = Duration::MAX;
        for attempt in 0..TRIES_MAX {
            let folder = self.folder(located, policy, max_age).await?;
            let changed = match &*folder.node {
                Node::Inner(inner) => {
                    let results = Box::pin(self.edit_shards(inner, &folder.policy, edits)).await;
                    return Ok(results);
                }
                Node::Leaf(leaf) => {
                    self.edit_leaf(&folder, leaf, edits, max_age == Duration::ZERO).await?
                }
            };
            if let Changed::Done(results) = changed {
                return Ok(results);
            }
            let is_first_look = max_age == Duration::MAX;
            max_age = Duration::ZERO;
            if !is_first_look {
                tokio::time::sleep(Duration::from_millis(jitter_ms(attempt))).await;
            }
        }
        Err(Error::new(Kind::Conflict, "the folder is changed by others all the time")
            .hint("try again"))
    }

    async fn edit_leaf(
        &self,
        folder: &Folder,
        before: &Leaf,
        edits: &[Edit],
        is_fresh: bool,
    ) -> Result<Changed> {
        let mut leaf = before.clone();
        let stamp = Stamp { time_unix_ns: clock::now_unix_ns(), by: self.keyring.gid() };
        let results: Vec<Result<()>> = edits.iter().map(|e| e.apply(&mut leaf, &stamp)).collect();
        // A refusal by an old table is asked again of a fresh one.
        if !is_fresh && results.iter().any(Result::is_err) {
            return Ok(Changed::Moved);
        }
        if results.iter().all(Result::is_err) {
            return Ok(Changed::Done(results));
        }
        let (record, located) = (&folder.record, folder.record.located);
        let (version, object_hash) = (record.version(), *record.object_hash());
        let is_needed = leaf.shorten(before, KeptTable { located, version, object_hash });
        let is_due = edits.iter().any(Edit::keeps_history) && self.is_table_due(located);
        let keeps_history = is_needed || is_due;
        let node = if leaf.table.0.len() > SPLIT_ABOVE {
            Node::Inner(Box::new(self.split(folder, leaf).await?))
        } else {
            Node::Leaf(leaf)
        };
        let writes = vec![names_write(&node)?];
        let committed =
            self.commit(record, DIRECTORY_PROFILE, &folder.policy, writes, keeps_history).await?;
        Ok(match committed {
            Committed::Done(record) => {
                if keeps_history {
                    self.lock_tables_kept().put(located.record, Instant::now());
                }
                // The next change begins with this table, and need not open and read it.
                record.names.set(Arc::new(node)).ok();
                self.recount(record.located.record);
                Changed::Done(results)
            }
            Committed::Moved => Changed::Moved,
        })
    }

    /// Says whether the table of a directory is to be kept before it is replaced. One that was kept
    /// a moment ago has all names but the newest; so `rm -r` does not keep a table for each name.
    fn is_table_due(&self, located: Located) -> bool {
        let kept = self.lock_tables_kept().get(&located.record).copied();
        kept.is_none_or(|at| at.elapsed() >= TABLE_INTERVAL)
    }

    fn lock_tables_kept(&self) -> MutexGuard<'_, LruCache<RecordId, Instant>> {
        self.tables_kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn names_write(node: &Node) -> Result<SlotWrite> {
    Ok(SlotWrite {
        slot: NAMES_SLOT,
        body: Body::Bytes(node.encode()?),
        measure: Measure::default(),
        mtime_unix_ns: clock::now_unix_ns(),
        append: false,
    })
}

/// Full jitter: anything up to a bound that doubles.
fn jitter_ms(attempt: usize) -> u64 {
    let bound = WAIT_MS << attempt.min(4);
    u64::from_le_bytes(crate::key::hash::random()) % bound
}
