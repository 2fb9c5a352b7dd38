//! The tree of inodes: what each number stands for.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::folder::Folder;
use super::held::FileState;
use super::{Attr, Ino, NodeKind, Time, locked};
use crate::clock::now_unix_ns;
use crate::record::{Located, PolicyRef, RecordId};

/// What a node is in the bucket, if it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// A directory and the policy in force in it.
    Directory { located: Located, policy: PolicyRef },
    /// A record, and the policy in force in its folder.
    Record { located: Located, policy: PolicyRef },
    /// A file that was made and not committed yet.
    Fresh,
    /// A file of this workstation only: a lock, a swap file, a backup.
    Local,
    /// A file without a name, kept while it is open.
    Removed,
}

impl Stands {
    pub(super) fn is_record(&self) -> bool {
        matches!(self, Self::Record { .. })
    }
}

/// Where a node hangs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) parent: Ino,
    pub(super) name: Vec<u8>,
}

/// A file or folder that was looked up.
pub(super) struct Node {
    pub(super) ino: Ino,
    pub(super) kind: NodeKind,
    spot: Mutex<Spot>,
    /// Where it was found before: a record may have two names after a crash.
    spots_before: Mutex<Vec<Spot>>,
    stands: Mutex<Stands>,
    attr: Mutex<Option<(Instant, Attr)>>,
    mode: AtomicU16,
    times: Mutex<Times>,
    references: AtomicU64,
    pub(super) file: FileState,
    pub(super) folder: Folder,
}

/// Times that only this mount knows.
#[derive(Clone, Copy, Default)]
struct Times {
    atime: Option<Time>,
    /// When a program changed attributes last, and the `mtime` that the node had then: of one that
    /// was changed since, that is the time of its last change.
    changed: Option<(Time, Time)>,
}

/// How many places are remembered where a record was found before.
const SPOTS_MAX: usize = 4;
const FOLDER_MODE: u16 = 0o700;
const FILE_MODE: u16 = 0o600;

impl Node {
    pub(super) fn root(stands: Stands) -> Self {
        let spot = Spot { parent: Ino::ROOT, name: Vec::new() };
        Self::new(Ino::ROOT, NodeKind::Directory, spot, stands)
    }

    fn new(ino: Ino, kind: NodeKind, spot: Spot, stands: Stands) -> Self {
        let mode = if kind == NodeKind::Directory { FOLDER_MODE } else { FILE_MODE };
        Self {
            ino,
            kind,
            spot: Mutex::new(spot),
            spots_before: Mutex::default(),
            stands: Mutex::new(stands),
            attr: Mutex::default(),
            mode: AtomicU16::new(mode),
            times: Mutex::default(),
            references: AtomicU64::new(0),
            file: FileState::default(),
            folder: Folder::default(),
        }
    }

    pub(super) fn stands(&self) -> Stands {
        locked(&self.stands).clone()
    }

    pub(super) fn set_stands(&self, stands: Stands) {
        // A file that was taken away keeps the time that it had.
        let is_removed = stands == Stands::Removed;
        *locked(&self.stands) = stands;
        if !is_removed {
            self.forget_attr();
        }
    }

    pub(super) fn spot(&self) -> Spot {
        locked(&self.spot).clone()
    }

    /// Returns every place where it was found, the newest first; some may be no more.
    pub(super) fn spots(&self) -> Vec<Spot> {
        let before = locked(&self.spots_before).clone();
        std::iter::once(self.spot()).chain(before.into_iter().rev()).collect()
    }

    /// Notes where it is found now.
    fn find_at(&self, spot: Spot) {
        let mut now = locked(&self.spot);
        if *now == spot {
            return;
        }
        let mut before = locked(&self.spots_before);
        before.retain(|s| *s != spot && *s != *now);
        if before.len() == SPOTS_MAX {
            before.remove(0);
        }
        before.push(std::mem::replace(&mut now, spot));
    }

    pub(super) fn mode(&self) -> u16 {
        self.mode.load(Ordering::Relaxed)
    }

    pub(super) fn set_mode(&self, mode: u16) {
        self.mode.store(mode & 0o7777, Ordering::Relaxed);
        self.forget_attr();
    }

    /// Notes that a name of this folder is given or taken here.
    pub(super) fn change_names(&self) {
        self.folder.change_here();
        self.forget_attr();
    }

    /// Returns the `atime` and `ctime` of a node that has this `mtime`.
    pub(super) fn times(&self, mtime: Time) -> (Time, Time) {
        let times = *locked(&self.times);
        let changed = times.changed.filter(|(_, then)| *then == mtime);
        (times.atime.unwrap_or(mtime), changed.map_or(mtime, |(at, _)| at))
    }

    pub(super) fn set_atime(&self, atime: Time) {
        locked(&self.times).atime = Some(atime);
    }

    /// Notes that a program changed attributes just now; `mtime` is what is shown from now on.
    pub(super) fn note_change(&self, mtime: Time) {
        let now = Time::from_unix_ns(now_unix_ns());
        locked(&self.times).changed = Some((now, mtime));
        self.forget_attr();
    }

    /// Says whether forgetting the node loses nothing that only this process has.
    fn is_idle(&self) -> bool {
        // A fresh or local file exists nowhere but here.
        let is_elsewhere = !matches!(*locked(&self.stands), Stands::Fresh | Stands::Local);
        is_elsewhere
            && self.ino != Ino::ROOT
            && self.references.load(Ordering::Relaxed) == 0
            && !self.file.is_busy()
            && self.folder.is_plain()
    }

    /// Returns the attributes and when they were right.
    pub(super) fn attr(&self) -> Option<(Instant, Attr)> {
        locked(&self.attr).clone()
    }

    pub(super) fn remember_attr(&self, attr: Attr) {
        *locked(&self.attr) = Some((Instant::now(), attr));
    }

    pub(super) fn forget_attr(&self) {
        *locked(&self.attr) = None;
    }
}

/// All nodes by number, and by what they stand for.
pub(super) struct Tree {
    nodes: HashMap<Ino, Arc<Node>>,
    by_record: HashMap<RecordId, Ino>,
    next: u64,
    /// Whether nodes may be left that nobody needs.
    is_untidy: bool,
}

impl Tree {
    pub(super) fn new(root: Node) -> Self {
        let nodes = HashMap::from([(Ino::ROOT, Arc::new(root))]);
        Self { nodes, by_record: HashMap::new(), next: Ino::ROOT.0 + 1, is_untidy: false }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn get(&self, ino: Ino) -> Option<Arc<Node>> {
        self.nodes.get(&ino).cloned()
    }

    /// Returns the node of a record, under the name that it has now; its number stays when it is
    /// renamed.
    pub(super) fn of_record(
        &mut self,
        record: RecordId,
        kind: NodeKind,
        spot: Spot,
        stands: Stands,
    ) -> Arc<Node> {
        let known = self.by_record.get(&record).and_then(|ino| self.get(*ino));
        if let Some(node) = known.filter(|n| n.kind == kind) {
            node.find_at(spot);
            node.folder.set_removed(false);
            let is_same = *locked(&node.stands) == stands;
            if !is_same {
                node.set_stands(stands);
            }
            return node;
        }
        let node = self.add(kind, spot, stands);
        self.by_record.insert(record, node.ino);
        node
    }

    /// Returns the node of a record, when it was looked up.
    pub(super) fn find(&self, record: RecordId) -> Option<Arc<Node>> {
        self.get(*self.by_record.get(&record)?)
    }

    /// Returns every folder that was looked up.
    pub(super) fn folders(&self) -> Vec<Arc<Node>> {
        self.nodes.values().filter(|n| n.kind == NodeKind::Directory).cloned().collect()
    }

    /// Returns every file with a text that no commit has, the oldest first.
    pub(super) fn unsaved(&self) -> Vec<Arc<Node>> {
        let is_dirty = |n: &&Arc<Node>| n.kind == NodeKind::File && n.file.is_dirty();
        let mut unsaved: Vec<_> = self.nodes.values().filter(is_dirty).cloned().collect();
        unsaved.sort_unstable_by_key(|n| n.ino);
        unsaved
    }

    /// Adds a node that stands for nothing in the bucket yet.
    pub(super) fn add(&mut self, kind: NodeKind, spot: Spot, stands: Stands) -> Arc<Node> {
        let ino = Ino(self.next);
        self.next += 1;
        self.is_untidy = true;
        let node = Arc::new(Node::new(ino, kind, spot, stands));
        self.nodes.insert(ino, node.clone());
        node
    }

    /// Says that a node stands for a record from now on.
    pub(super) fn bind(&mut self, node: &Node, record: RecordId) {
        self.by_record.insert(record, node.ino);
    }

    /// Says that a record is no longer the one that a node stands for.
    pub(super) fn unbind(&mut self, record: RecordId) {
        self.by_record.remove(&record);
    }

    pub(super) fn move_to(&self, node: &Node, spot: Spot) {
        *locked(&node.spot) = spot;
    }

    pub(super) fn refer(&self, node: &Node) {
        node.references.fetch_add(1, Ordering::Relaxed);
    }

    /// Drops references; a node without any, and with nothing unsaved, is forgotten.
    pub(super) fn forget(&mut self, ino: Ino, count: u64) {
        let Some(node) = self.nodes.get(&ino) else { return };
        let before = node.references.load(Ordering::Relaxed);
        node.references.store(before.saturating_sub(count), Ordering::Relaxed);
        if before <= count {
            self.drop_unneeded(ino);
        }
    }

    /// Forgets a file that nobody refers to, has open, lists or works on: whoever does holds the
    /// node. Folders wait for [`Tree::sweep`], which knows whether something is in them.
    pub(super) fn drop_unneeded(&mut self, ino: Ino) {
        let Some(node) = self.nodes.get(&ino) else { return };
        if node.kind == NodeKind::File && node.is_idle() && Arc::strong_count(node) == 1 {
            self.remove(ino);
        } else {
            self.is_untidy = true;
        }
    }

    fn remove(&mut self, ino: Ino) {
        let Some(node) = self.nodes.remove(&ino) else { return };
        // Its folder may be needed no longer.
        self.is_untidy = true;
        if let Stands::Record { located, .. } | Stands::Directory { located, .. } = node.stands()
            && self.by_record.get(&located.record) == Some(&ino)
        {
            self.by_record.remove(&located.record);
        }
    }

    /// Forgets every node that nobody needs, and the folders that are empty then.
    pub(super) fn sweep(&mut self) {
        while std::mem::take(&mut self.is_untidy) {
            let mut parents: HashSet<Ino> =
                self.nodes.values().map(|n| locked(&n.spot).parent).collect();
            // A record that was moved away is looked for there when its old name comes back.
            parents.extend(self.nodes.values().flat_map(|n| n.folder.moved_into()));
            let is_unneeded = |n: &Arc<Node>| {
                Arc::strong_count(n) == 1 && !parents.contains(&n.ino) && n.is_idle()
            };
            let unneeded: Vec<Ino> =
                self.nodes.values().filter(|n| is_unneeded(n)).map(|n| n.ino).collect();
            for ino in unneeded {
                self.remove(ino);
            }
            // A node that took another record's place is not that record's any more.
            let nodes = &self.nodes;
            self.by_record.retain(|_, ino| nodes.contains_key(ino));
        }
    }
}
