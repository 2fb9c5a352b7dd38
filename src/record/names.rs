//! Directories in use: finding a name, listing all, and changing some by compare-and-swap. Large
//! directories are tries of records; only this module knows.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::{StreamExt, TryStreamExt};
use lru::LruCache;

use super::commit::{Body, Committed, SlotWrite};
use super::directory::{
    Edit, Entry, Inner, NAMES_SLOT, Node, SHARDS, SPLIT_ABOVE, TABLE_LEN_MAX_BYTES, TRIE_DEPTH_MAX,
    Table,
};
use super::edit::missing;
use super::format::Measure;
use super::open::Sight;
use super::past::{Conflict, KeptTable, Leaf, Past, Stamp};
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
    policy: PolicyRef,
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
        let node = record.names.get_or_try_init(|| self.decode_names(&record)).await?.clone();
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

    /// Stores the entries of a leaf that is too large in shards. They are named by nothing until
    /// the leaf is replaced, so a crash in between loses nothing.
    async fn split(&self, folder: &Folder, leaf: Leaf) -> Result<Inner> {
        let birth = folder.record.located.record;
        let shards: [Located; SHARDS] =
            std::array::from_fn(|_| Located { birth, record: RecordId::random() });
        let inner = Inner::new(shards);
        let leaves = spread_leaf(&inner, leaf);
        let made = shards.into_iter().zip(leaves).map(|(located, leaf)| async move {
            let writes = vec![names_write(&Node::Leaf(leaf))?];
            self.create(located, DIRECTORY_PROFILE, &folder.policy, writes).await
        });
        join_all(made).await.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(inner)
    }

    /// Makes changes in the shards that they concern. What concerns two shards is added to one
    /// before it is taken from the other: a crash in between leaves two names and loses none.
    async fn edit_shards(
        &self,
        inner: &Inner,
        policy: &PolicyRef,
        edits: &[Edit],
    ) -> Vec<Result<()>> {
        let mut results: Vec<Result<()>> = edits.iter().map(|_| Ok(())).collect();
        let mut phases: [Vec<(usize, Edit)>; 2] = [Vec::new(), Vec::new()];
        for (i, edit) in edits.iter().enumerate() {
            if matches!(edit, Edit::Close | Edit::Reopen) {
                let large = Error::new(Kind::NotEmpty, "the folder has many names");
                results[i] = Err(large);
                continue;
            }
            let [a, b] = edit.names();
            if inner.index(a) == inner.index(b) {
                phases[0].push((i, edit.clone()));
                continue;
            }
            match self.across(inner, policy, edit).await {
                Ok((first, second)) => {
                    phases[0].extend(first.into_iter().map(|e| (i, e)));
                    phases[1].extend(second.into_iter().map(|e| (i, e)));
                }
                Err(e) => results[i] = Err(e),
            }
        }
        let mut given = vec![false; edits.len()];
        for (at, phase) in phases.into_iter().enumerate() {
            if at == 1 {
                for (i, _) in &phase {
                    given[*i] = results[*i].is_ok();
                }
            }
            let mut groups: [Vec<(usize, Edit)>; SHARDS] = std::array::from_fn(|_| Vec::new());
            for (i, edit) in phase {
                if results[i].is_ok() {
                    groups[inner.index(edit.names()[0])].push((i, edit));
                }
            }
            let busy = groups.into_iter().enumerate().filter(|(_, g)| !g.is_empty());
            let work = busy.map(|(shard, group)| async move {
                let (numbers, edits): (Vec<usize>, Vec<Edit>) = group.into_iter().unzip();
                let located = inner.shards()[shard];
                (numbers, self.edit_names(located, policy, &edits).await)
            });
            for (numbers, answer) in join_all(work).await {
                spread(&mut results, &numbers, answer);
            }
        }
        self.take_back(inner, policy, edits, &results, &given).await;
        results
    }

    /// Takes new names back whose old ones somebody else took away first: a record is not to have
    /// two names.
    async fn take_back(
        &self,
        inner: &Inner,
        policy: &PolicyRef,
        edits: &[Edit],
        results: &[Result<()>],
        given: &[bool],
    ) {
        for ((edit, result), _) in edits.iter().zip(results).zip(given).filter(|(_, given)| **given)
        {
            if let (Edit::Rename { to, record, .. }, Err(e)) = (edit, result)
                && e.kind() == Kind::NotFound
            {
                let leave = Edit::Leave { name: to.clone(), record: *record };
                let taken = Box::pin(self.edit_names(inner.shard(to), policy, &[leave])).await;
                if let Err(error) = taken {
                    tracing::warn!(%error, record = %record, "a record has two names");
                }
            }
        }
    }

    /// Takes a change of names in two shards apart: what is to be added first, what is to be
    /// removed then.
    async fn across(
        &self,
        inner: &Inner,
        policy: &PolicyRef,
        edit: &Edit,
    ) -> Result<(Vec<Edit>, Vec<Edit>)> {
        let entry = async |name: &[u8]| {
            let found = self.find(inner.shard(name), policy, name, Duration::ZERO).await?;
            found.entry.ok_or_else(missing)
        };
        match edit {
            Edit::Rename { from, to, record, over } => {
                let moved = entry(from).await?;
                if moved.located.record != *record {
                    return Err(missing());
                }
                let (name, leave) =
                    (to.clone(), Edit::Leave { name: from.clone(), record: *record });
                let give = match over {
                    Some(_) => Edit::Put { name, entry: moved },
                    None => Edit::Add { name, entry: moved },
                };
                Ok((vec![give], vec![leave]))
            }
            Edit::Exchange { one, other } => {
                let (first, second) = (entry(one).await?, entry(other).await?);
                let put = |name: &Vec<u8>, entry| Edit::Put { name: name.clone(), entry };
                Ok((vec![put(one, second), put(other, first)], Vec::new()))
            }
            single => Ok((vec![single.clone()], Vec::new())),
        }
    }
}

/// Gives every change the answer of its shard.
fn spread(results: &mut [Result<()>], numbers: &[usize], answer: Result<Vec<Result<()>>>) {
    match answer {
        Ok(answers) => {
            for (i, answer) in numbers.iter().zip(answers) {
                if answer.is_err() {
                    results[*i] = answer;
                }
            }
        }
        Err(e) => {
            for i in numbers {
                results[*i] = Err(e.duplicate());
            }
        }
    }
}

/// Gives every shard its names, and what is remembered of them.
fn spread_leaf(inner: &Inner, leaf: Leaf) -> [Leaf; SHARDS] {
    let Past { is_removed, older, removed, conflicts } = leaf.past;
    let past = Past { is_removed, older, ..Past::default() };
    let mut leaves: [Leaf; SHARDS] =
        std::array::from_fn(|_| Leaf { table: Table::default(), past: past.clone() });
    for r in removed {
        leaves[inner.index(&r.name)].past.removed.push(r);
    }
    for (name, entry) in leaf.table.0 {
        let leaf = &mut leaves[inner.index(&name)];
        let is_copy = |c: &&Conflict| c.copy == entry.located.record;
        leaf.past.conflicts.extend(conflicts.iter().find(is_copy));
        leaf.table.0.insert(name, entry);
    }
    leaves
}

fn names_write(node: &Node) -> Result<SlotWrite> {
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
