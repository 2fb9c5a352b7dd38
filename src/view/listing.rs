//! Names to nodes: looking up one, listing all, and their attributes.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::folder::{Overlay, place_of};
use super::node::{Node, Spot, Stands};
use super::{Attr, DirEntry, Handle, Ino, NodeKind, Time, View, locked};
use crate::error::{Error, Kind, Result};
use crate::record::Remembered;
use crate::record::directory::{Entry, NAMES_SLOT, Table, check_name};
use crate::record::{Located, PolicyRef, RecordId, Sight};
use futures::StreamExt;

/// How many heads are fetched at once for a listing.
const HEADS_AT_ONCE: usize = 64;
/// The deepest path; also ends the walk when a folder contains itself.
const DEPTH_MAX: usize = 256;

const WRITE_BITS: u16 = 0o222;
const READ_BITS: u16 = 0o444;
/// How long a listing waits for the head of one file. A file that takes longer is listed without
/// its attributes: one slow object must not hold up the names of the others.
const HEAD_PATIENCE: Duration = Duration::from_secs(2);

/// An open folder: its listing does not change under the reader, until he starts again.
pub(super) struct OpenFolder {
    node: Arc<Node>,
    listing: Mutex<Option<Listing>>,
}

#[derive(Clone)]
struct Listing {
    entries: Arc<[DirEntry]>,
    /// What the entries stand for is not forgotten while they may still be handed out.
    nodes: Arc<[Arc<Node>]>,
}

fn no_such_file() -> Error {
    Error::new(Kind::NotFound, "no such file")
}

impl View {
    /// Looks up a name from memory; `None` when that takes waiting.
    pub fn cached_lookup(&self, parent: Ino, name: &[u8]) -> Option<Result<Attr>> {
        let folder = self.node(parent).ok()?;
        let node = match folder.folder.overlay(name) {
            Some(Overlay::Gone(_)) => return Some(Err(no_such_file())),
            Some(Overlay::Here(ino)) => self.node(ino).ok()?,
            None => {
                let entry = match self.cached_entry(&folder, name) {
                    Remembered::Unknown => return None,
                    Remembered::Absent => return Some(Err(no_such_file())),
                    Remembered::Entry(entry) => entry,
                };
                locked(&self.tree).find(entry.located.record)?
            }
        };
        let attr = self.fresh_attr(&node)?;
        locked(&self.tree).refer(&node);
        Some(Ok(attr))
    }

    /// Looks up a name, and counts one reference to what it stands for.
    ///
    /// # Errors
    /// `NotFound` when there is no such name, or the user may not know of it.
    pub async fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Attr> {
        let node = self.child(parent, name).await?;
        let attr = self.attr_of(&node).await?;
        locked(&self.tree).refer(&node);
        Ok(attr)
    }

    /// Drops references that [`View::lookup`] and others counted.
    pub fn forget(&self, ino: Ino, count: u64) {
        locked(&self.tree).forget(ino, count);
    }

    /// Returns the node of a name.
    pub(super) async fn child(&self, parent: Ino, name: &[u8]) -> Result<Arc<Node>> {
        let folder = self.node(parent)?;
        check_name(name)?;
        match folder.folder.overlay(name) {
            Some(Overlay::Gone(_)) => return Err(no_such_file()),
            Some(Overlay::Here(ino)) => return self.node(ino),
            None => {}
        }
        let entry = self.entry(&folder, name, self.options.attr_ttl).await?;
        let entry = entry.ok_or_else(no_such_file)?;
        let (_, policy) = place_of(&folder)?;
        let policy = entry.policy.as_ref().unwrap_or(&policy);
        if !self.is_listed(entry.profile, policy).await? {
            return Err(no_such_file());
        }
        self.node_of(&folder, name, &entry)
    }

    /// Returns the node of an entry, made now if need be.
    pub(super) fn node_of(&self, folder: &Node, name: &[u8], entry: &Entry) -> Result<Arc<Node>> {
        let (_, inherited) = place_of(folder)?;
        self.check_walk(folder, entry.located.record)?;
        let located = entry.located;
        let (kind, stands) = if entry.is_directory() {
            let policy = entry.policy.clone().unwrap_or(inherited);
            (NodeKind::Directory, Stands::Directory { located, policy })
        } else {
            (NodeKind::File, Stands::Record { located, policy: inherited })
        };
        let spot = Spot { parent: folder.ino, name: name.to_vec() };
        Ok(locked(&self.tree).of_record(located.record, kind, spot, stands))
    }

    /// Refuses a folder that contains itself.
    fn check_walk(&self, folder: &Node, record: RecordId) -> Result<()> {
        let mut at = folder.ino;
        for _ in 0..DEPTH_MAX {
            let node = self.node(at)?;
            if place_of(&node)?.0.record == record {
                return Err(Error::damaged("a folder contains itself"));
            }
            if at == Ino::ROOT {
                return Ok(());
            }
            at = node.spot().parent;
        }
        Err(Error::new(Kind::BadName, "the path is too deep")
            .because(format!("a path has at most {DEPTH_MAX} folders")))
    }

    /// Returns attributes from memory, when they are young enough.
    pub fn cached_attr(&self, ino: Ino) -> Option<Attr> {
        let node = self.node(ino).ok()?;
        self.fresh_attr(&node)
    }

    fn fresh_attr(&self, node: &Node) -> Option<Attr> {
        if let Some(attr) = self.draft_attr(node) {
            return Some(attr);
        }
        let (since, attr) = node.attr()?;
        let is_overtaken = match node.stands() {
            // Somebody asked for the record since: size and text must be of one version.
            Stands::Record { located, .. } => {
                self.records.cached(located.record).is_some_and(|(seen, _)| seen > since)
            }
            _ => false,
        };
        (!is_overtaken && since.elapsed() <= self.options.attr_ttl).then_some(attr)
    }

    /// Returns the attributes of a file or folder.
    ///
    /// # Errors
    /// `Integrity` when its record is damaged.
    pub async fn attr(&self, ino: Ino, _handle: Option<Handle>) -> Result<Attr> {
        self.attr_of(&*self.node(ino)?).await
    }

    pub(super) async fn attr_of(&self, node: &Node) -> Result<Attr> {
        if let Some(attr) = self.fresh_attr(node) {
            return Ok(attr);
        }
        let attr = self.load_attr(node, self.options.attr_ttl).await?;
        node.remember_attr(attr.clone());
        Ok(attr)
    }

    async fn load_attr(&self, node: &Node, max_age: Duration) -> Result<Attr> {
        match node.stands() {
            Stands::Directory { located, policy } => {
                let mtime = self.folder_mtime(located, &policy, max_age).await?;
                Ok(attr_with(node, 0, node.folder.shown_mtime(mtime)))
            }
            Stands::Record { located, policy } => {
                let seen = self.see(located, &policy, max_age).await?;
                node.file.tell_attr(*seen.record.object_hash());
                let size_bytes = self.size_bytes(&seen).await?;
                let mut attr = attr_with(node, size_bytes, seen.mtime_unix_ns());
                // What `access` asks before a program even tries. A right that has only expired
                // stays, so that the program is told that.
                if self.may_write_any(&policy, seen.format).await? == Sight::Closed {
                    attr.mode &= !WRITE_BITS;
                }
                if seen.open.is_empty() {
                    attr.mode &= !READ_BITS;
                }
                Ok(attr)
            }
            Stands::Fresh | Stands::Local | Stands::Removed => {
                let mtime = node.attr().map_or(0, |(_, attr)| attr.mtime.to_unix_ns());
                Ok(attr_with(node, node.file.held_len(), mtime))
            }
        }
    }

    /// Returns when the names of a folder were last changed.
    pub(super) async fn folder_mtime(
        &self,
        located: Located,
        policy: &PolicyRef,
        max_age: Duration,
    ) -> Result<i64> {
        let record = self.records.load(located, policy, max_age).await?;
        let names = self.records.open_slot(&record, NAMES_SLOT).await?.unwrap_or_default();
        let changed = names.iter().map(|p| p.extent.mtime_unix_ns).max().filter(|t| *t != 0);
        // A new folder was never written: its time is when it was made.
        Ok(changed.unwrap_or(record.statement.time_unix_ns))
    }

    /// Opens a folder for listing.
    ///
    /// # Errors
    /// `NotDirectory` when it is a file; `Denied` when its names are closed to the user.
    pub async fn open_dir(&self, ino: Ino) -> Result<Handle> {
        let node = self.node(ino)?;
        self.entry(&node, b"", self.options.attr_ttl).await?;
        let handle = self.new_handle();
        let open = OpenFolder { node, listing: Mutex::default() };
        locked(&self.folders).insert(handle, Arc::new(open));
        Ok(handle)
    }

    /// Returns the listing of an open folder, without `.` and `..`: made anew at the start, the
    /// same from any place behind it.
    ///
    /// # Errors
    /// `NotFound` when the handle is not open; `Integrity` when the folder is damaged. A damaged
    /// file in it is listed too; asking for its attributes tells what is wrong with it.
    pub async fn list(&self, handle: Handle, from: u64) -> Result<Arc<[DirEntry]>> {
        let open = locked(&self.folders).get(&handle).cloned().ok_or_else(no_such_file)?;
        let made = locked(&open.listing).clone().filter(|_| from > 0);
        if let Some(listing) = made {
            return Ok(listing.entries);
        }
        let listing = self.make_listing(&open.node).await?;
        let entries = listing.entries.clone();
        let before = locked(&open.listing).replace(listing);
        self.drop_listing(before);
        Ok(entries)
    }

    async fn make_listing(&self, folder: &Arc<Node>) -> Result<Listing> {
        // Before the table: what is committed in between is in the one or in the other. The nodes
        // are held, because what is committed may be forgotten at once.
        let here: Vec<(Vec<u8>, Arc<Node>)> = folder
            .folder
            .here()
            .into_iter()
            .filter_map(|(name, ino)| Some((name, self.node(ino).ok()?)))
            .collect();
        let table = self.table(folder, self.options.attr_ttl).await?;
        let (_, policy) = place_of(folder)?;
        let mut nodes = self.listed_nodes(folder, &table, &policy).await?;
        let known: HashSet<Ino> = nodes.iter().map(|(_, node)| node.ino).collect();
        let here = here.into_iter().filter(|(_, node)| !known.contains(&node.ino));
        nodes.extend(here.filter(|(_, node)| node.stands() != Stands::Removed));
        nodes.sort_by(|a, b| a.0.cmp(&b.0));
        // A file that was made here may have gone to a conflict copy meanwhile.
        nodes.dedup_by(|later, first| later.0 == first.0);
        let kept = nodes.iter().map(|(_, node)| node.clone()).collect();
        let entries = futures::stream::iter(nodes)
            .map(|(name, node)| async move {
                let attr = match tokio::time::timeout(HEAD_PATIENCE, self.attr_of(&node)).await {
                    Ok(Ok(attr)) => attr,
                    Ok(Err(_)) | Err(_) => attr_with(&node, 0, 0),
                };
                DirEntry { name, attr }
            })
            .buffered(HEADS_AT_ONCE);
        let entries: Vec<DirEntry> = entries.collect().await;
        Ok(Listing { entries: entries.into(), nodes: kept })
    }

    /// Forgets what only a listing needed.
    fn drop_listing(&self, listing: Option<Listing>) {
        let Some(Listing { nodes, .. }) = listing else { return };
        let all: Vec<Ino> = nodes.iter().map(|n| n.ino).collect();
        drop(nodes);
        let mut tree = locked(&self.tree);
        for ino in all {
            tree.drop_unneeded(ino);
        }
    }

    async fn listed_nodes(
        &self,
        folder: &Node,
        table: &Table,
        policy: &PolicyRef,
    ) -> Result<Vec<(Vec<u8>, Arc<Node>)>> {
        let mut nodes = Vec::with_capacity(table.0.len());
        // Files of one profile in one folder are all listed, or none is.
        let mut listed: [Option<bool>; 256] = [None; 256];
        for (name, entry) in &table.0 {
            let is_listed = match (&entry.policy, listed[usize::from(entry.profile)]) {
                (None, Some(known)) => known,
                (own, _) => {
                    let in_force = own.as_ref().unwrap_or(policy);
                    self.is_listed(entry.profile, in_force).await?
                }
            };
            if entry.policy.is_none() {
                listed[usize::from(entry.profile)] = Some(is_listed);
            }
            if !is_listed || folder.folder.overlay(name).is_some() {
                continue;
            }
            match self.node_of(folder, name, entry) {
                Ok(node) => nodes.push((name.clone(), node)),
                // One bad entry must not close the folder to everybody.
                Err(error) if error.kind() == Kind::Integrity => {
                    tracing::error!(record = %entry.located.record, %error, "an entry is left out");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(nodes)
    }

    /// Counts one reference, as when a listing with attributes is handed to the kernel.
    pub fn remember(&self, ino: Ino) {
        if let Ok(node) = self.node(ino) {
            locked(&self.tree).refer(&node);
        }
    }

    /// Closes a folder.
    pub fn release_dir(&self, handle: Handle) {
        let open = locked(&self.folders).remove(&handle);
        let listing = open.and_then(|o| locked(&o.listing).take());
        self.drop_listing(listing);
    }
}

/// Makes the attributes of a node.
pub(super) fn attr_with(node: &Node, size_bytes: u64, mtime_unix_ns: i64) -> Attr {
    let mtime = Time::from_unix_ns(mtime_unix_ns);
    let (atime, ctime) = node.times(mtime);
    let nlink = match node.stands() {
        Stands::Directory { .. } if !node.folder.is_removed() => 2,
        Stands::Directory { .. } | Stands::Removed => 0,
        Stands::Record { .. } | Stands::Fresh | Stands::Local => 1,
    };
    let (ino, kind, mode) = (node.ino, node.kind, node.mode());
    Attr { ino, kind, size_bytes, atime, mtime, ctime, mode, nlink }
}
