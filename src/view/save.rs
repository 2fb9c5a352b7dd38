//! From a draft to the bucket: what was saved is merged into the record, sections that the user
//! does not see stay as they are, and of two savers nobody loses a text.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::MutexGuard;

use super::draft::Text;
use super::folder::{Edit, Overlay, place_of};
use super::held::Held;
use super::node::{Node, Spot, Stands};
use super::sight::{Rendered, Seen};
use super::{Invalidation, View, locked};
use crate::error::{Error, Kind, Result};
use crate::record::directory::Entry;
use crate::record::{Committed, Located, PolicyRef, Record, RecordId};

/// A longer text is one opaque section: cutting it would need it in memory several times.
pub(super) const CUT_MAX_BYTES: u64 = super::draft::MEMORY_MAX_BYTES;
/// How often a save is made again on top of somebody else's.
pub(super) const TRIES_MAX: u32 = 16;

/// A text to be committed, and the state that it was taken in.
pub(super) struct Pending {
    pub(super) text: Text,
    pub(super) base: Option<Arc<Rendered>>,
    /// The version that a long text was copied from.
    pub(super) copied: Option<Arc<Record>>,
    pub(super) edits: u64,
    pub(super) mtime_unix_ns: i64,
    /// Whether a program set that time: then the whole file shows it, not only what is changed.
    pub(super) is_mtime_set: bool,
}

/// What a text was made of, and what stands there now, as the user sees both.
#[derive(Clone, Copy)]
pub(super) struct Views<'r> {
    pub(super) base: Option<&'r Rendered>,
    pub(super) current: Option<&'r Rendered>,
}

/// How a save onto a record ended.
pub(super) enum Onto {
    Done(Arc<Record>),
    /// Somebody else changed the same element since this base: the text belongs into a file of its
    /// own.
    Conflict(Option<Arc<Rendered>>),
}

impl View {
    /// Commits what a file holds, if it changed. `is_last` says that nothing more is coming: only
    /// then is an empty new file made, because a shell closes what it opened for `>` before the
    /// program behind it has written anything.
    pub(super) async fn save(&self, node: &Arc<Node>, is_last: bool) -> Result<()> {
        let work = node.file.work.lock().await;
        let mut saved = Box::pin(self.save_held(node, is_last, &work)).await;
        if saved.as_ref().is_err_and(|e| e.kind() == Kind::Denied)
            && self.learns_policy(node).await?
        {
            saved = Box::pin(self.save_held(node, is_last, &work)).await;
        }
        match saved {
            Ok(()) => {
                self.note_saved(node).await;
                Ok(())
            }
            Err(e) => Box::pin(self.keep_unsaved(node, e)).await,
        }
    }

    /// Asks for the policy of the folder of a new file; says whether it is another than was known.
    async fn learns_policy(&self, node: &Node) -> Result<bool> {
        if node.stands() != Stands::Fresh {
            return Ok(false);
        }
        let Spot { parent, name } = node.spot();
        let folder = self.node(parent)?;
        let (_, known) = place_of(&folder)?;
        self.entry(&folder, &name, Duration::ZERO).await?;
        Ok(place_of(&folder)?.1 != known)
    }

    /// As [`View::save`], for whoever holds the file's work lock already.
    pub(super) async fn save_held(
        &self,
        node: &Arc<Node>,
        is_last: bool,
        _work: &MutexGuard<'_, ()>,
    ) -> Result<()> {
        let pending = match &*locked(&node.file.held) {
            Held::Draft(w) if w.is_dirty() => Pending {
                text: w.draft.text()?,
                base: w.base.clone(),
                copied: w.copied.clone(),
                edits: w.edits,
                mtime_unix_ns: w.mtime_unix_ns,
                is_mtime_set: node.file.is_mtime_set(),
            },
            _ => return Ok(()),
        };
        if pending.text.len() == 0 && !is_last {
            return Ok(());
        }
        let record = match node.stands() {
            Stands::Local | Stands::Removed | Stands::Directory { .. } => return Ok(()),
            Stands::Fresh => self.save_new(node, &pending).await?,
            Stands::Record { located, policy } => {
                self.save_over(node, located, &policy, &pending).await?
            }
        };
        self.saved(node, &pending, record).await
    }

    /// Notes that a text is committed; what was written meanwhile stays a draft on top of it.
    async fn saved(
        &self,
        node: &Arc<Node>,
        pending: &Pending,
        record: Option<Arc<Record>>,
    ) -> Result<()> {
        node.forget_attr();
        let is_all = match &mut *locked(&node.file.held) {
            Held::Draft(w) => {
                w.saved = pending.edits;
                !w.is_dirty()
            }
            _ => return Ok(()),
        };
        if is_all {
            let (Stands::Record { located, policy }, Some(_)) = (node.stands(), &record) else {
                if record.is_none() && !node.file.is_open() && node.stands().is_record() {
                    // The text is beside the record now, and nobody has it open.
                    node.file.forget_text();
                }
                return Ok(());
            };
            let seen = self.see(located, &policy, Duration::MAX).await?;
            node.file.hold_version(node.file.is_open().then(|| seen.record.clone()));
            let is_as_written = self.is_as_written(&seen, &pending.text).await?;
            let mut held = locked(&node.file.held);
            if matches!(&*held, Held::Draft(w) if !w.is_dirty()) {
                *held = Held::Nothing;
            }
            drop(held);
            if is_as_written {
                node.file.tell_written(*seen.record.object_hash());
            } else {
                self.invalidate(Invalidation::Inode(node.ino));
            }
            return Ok(());
        }
        if let Stands::Record { located, policy } = node.stands() {
            let seen = self.see(located, &policy, Duration::MAX).await?;
            node.file.hold_version(node.file.is_open().then(|| seen.record.clone()));
            self.rebase(node, &seen).await?;
        }
        Ok(())
    }

    /// Makes what is committed the base of the draft: the next save of it is on top of that.
    async fn rebase(&self, node: &Node, seen: &Seen) -> Result<()> {
        let (base, copied) = if seen.external().is_some() {
            (None, Some(seen.record.clone()))
        } else {
            (Some(Arc::new(self.render(seen).await?)), None)
        };
        if let Held::Draft(w) = &mut *locked(&node.file.held) {
            (w.base, w.copied) = (base, copied);
        }
        Ok(())
    }

    /// Says whether a commit gave just the text that was written: what somebody else changed
    /// meanwhile is in it too.
    async fn is_as_written(&self, seen: &Seen, text: &Text) -> Result<bool> {
        match text {
            _ if self.size_bytes(seen).await? != text.len() => Ok(false),
            Text::Memory(bytes) if seen.external().is_none() => {
                Ok(self.render(seen).await?.bytes == *bytes)
            }
            // Such a text is replaced as a whole.
            Text::Memory(_) | Text::Spool(_) => Ok(true),
        }
    }

    /// Commits a file that is new here: onto the record that stood under its name just before, or
    /// as a record of its own.
    async fn save_new(&self, node: &Arc<Node>, pending: &Pending) -> Result<Option<Arc<Record>>> {
        let Spot { parent, name } = node.spot();
        let folder = self.node(parent)?;
        let returning = locked(&node.file.returning).take();
        if let Some(gone) = returning {
            let came_back = self.save_returning(node, &folder, &name, &gone, pending).await;
            if came_back.is_err() {
                *locked(&node.file.returning) = Some(gone);
            }
            return came_back;
        }
        let (located, policy) = place_of(&folder)?;
        let new = Located { birth: located.record, record: RecordId::random() };
        let made = locked(&node.file.made).filter(|made| made.birth == located.record);
        let located = made.unwrap_or(new);
        let created = match made {
            Some(_) => self.save_onto_made(located, &policy, pending).await,
            None => self.create_record(located, &policy, &name, pending).await,
        };
        let record = match created {
            Err(e) if e.kind() == Kind::Denied && self.is_stand_in(&folder, &name).await? => {
                node.set_stands(Stands::Local);
                return Ok(None);
            }
            created => created?,
        };
        *locked(&node.file.made) = Some(located);
        let entry = Entry { located, profile: record.head.profile, policy: None };
        // An empty file is committed a moment after it was made, and its name was shown before.
        let shown = match pending.text.len() {
            0 => Some(self.attr_of(&folder).await?.mtime),
            _ => None,
        };
        let name = self.add_or_copy(&folder, &name, entry).await?;
        if let Some(shown) = shown {
            self.set_folder_mtime(&folder, shown.to_unix_ns()).await?;
        }
        *locked(&node.file.made) = None;
        self.settle(node, &folder, &name, located, policy);
        Ok(Some(record))
    }

    /// Saves onto the record that an earlier save of a new file made, when that could not add its
    /// name, or does not know whether it did.
    async fn save_onto_made(
        &self,
        located: Located,
        policy: &PolicyRef,
        pending: &Pending,
    ) -> Result<Arc<Record>> {
        match self.save_onto(located, policy, pending).await? {
            Onto::Done(record) => Ok(record),
            Onto::Conflict(_) => {
                Err(Error::new(Kind::Conflict, "the new file was changed by others"))
            }
        }
    }

    /// Lets a node that was only here stand for a record.
    pub(super) fn settle(
        &self,
        node: &Arc<Node>,
        folder: &Node,
        name: &[u8],
        located: Located,
        policy: PolicyRef,
    ) {
        let spot = node.spot();
        if let Ok(old_folder) = self.node(spot.parent)
            && matches!(old_folder.folder.overlay(&spot.name), Some(Overlay::Here(i)) if i == node.ino)
        {
            old_folder.folder.clear_overlay(&spot.name);
            if spot.name != name {
                self.invalidate(Invalidation::Entry { parent: spot.parent, name: spot.name });
            }
        }
        let tree = &mut *locked(&self.tree);
        tree.move_to(node, Spot { parent: folder.ino, name: name.to_vec() });
        tree.bind(node, located.record);
        node.set_stands(Stands::Record { located, policy });
    }

    pub(super) async fn create_record(
        &self,
        located: Located,
        policy: &PolicyRef,
        name: &[u8],
        pending: &Pending,
    ) -> Result<Arc<Record>> {
        let (format, writes) = self.cut(name, pending);
        self.records.create(located, format as u8, policy, writes).await
    }

    /// Commits a text onto the record that the node stands for.
    async fn save_over(
        &self,
        node: &Arc<Node>,
        located: Located,
        policy: &PolicyRef,
        pending: &Pending,
    ) -> Result<Option<Arc<Record>>> {
        let done = match self.save_onto(located, policy, pending).await {
            Err(e)
                if e.kind() == Kind::Denied && self.stays_here(node, located, policy).await? =>
            {
                return Ok(None);
            }
            done => done?,
        };
        match done {
            Onto::Done(record) => {
                if let Err(e) = Box::pin(self.keep_named(node, &record)).await {
                    // The text is committed all the same. The save that is made again must not
                    // take it for somebody else's.
                    let seen = self.see(located, policy, Duration::MAX).await?;
                    self.rebase(node, &seen).await?;
                    return Err(e);
                }
                Ok(Some(record))
            }
            Onto::Conflict(base) => {
                node.file.base_on(base);
                // Whoever was first may have done so under another policy.
                let policy = self.policy_of(node.ino)?;
                Box::pin(self.save_conflict(node, located, &policy, pending)).await?;
                node.file.hold_version(None);
                self.invalidate(Invalidation::Inode(node.ino));
                Ok(None)
            }
        }
    }

    /// Takes a file back to this workstation that was made empty, and turns out to be the text of
    /// another one, written beside it to be renamed over it; says whether it is one.
    async fn stays_here(
        &self,
        node: &Arc<Node>,
        located: Located,
        policy: &PolicyRef,
    ) -> Result<bool> {
        let Spot { parent, name } = node.spot();
        let folder = self.node(parent)?;
        let seen = self.see(located, policy, Duration::ZERO).await?;
        let is_empty = self.size_bytes(&seen).await? == 0 && self.made_by_user(&seen);
        if !is_empty || !self.is_stand_in(&folder, &name).await? {
            return Ok(false);
        }
        let record = located.record;
        self.edit(&folder, Edit::Leave { name: name.clone(), record }).await?;
        locked(&self.tree).unbind(record);
        node.set_stands(Stands::Local);
        folder.folder.set_overlay(&name, Overlay::Here(node.ino));
        Ok(true)
    }

    pub(super) async fn save_onto(
        &self,
        located: Located,
        policy: &PolicyRef,
        pending: &Pending,
    ) -> Result<Onto> {
        let (mut base, mut max_age) = (pending.base.clone(), Duration::MAX);
        for _ in 0..TRIES_MAX {
            let seen = self.see(located, policy, max_age).await?;
            let policy = &seen.policy;
            let current = if pending.text.len() > CUT_MAX_BYTES || seen.external().is_some() {
                None
            } else {
                Some(Arc::new(self.render(&seen).await?))
            };
            // A text that replaces another was made of what this workstation showed last, and
            // never of what somebody else has committed since.
            base = base.or_else(|| current.clone());
            let views = Views { base: base.as_deref(), current: current.as_deref() };
            let plan = self.plan(policy, &seen.record, views, pending).await?;
            let Some((format, writes)) = plan else { return Ok(Onto::Conflict(base)) };
            let committed = if writes.is_empty() {
                self.records.touch(&seen.record, policy, pending.mtime_unix_ns).await?
            } else if pending.is_mtime_set {
                let (format, mtime) = (format as u8, pending.mtime_unix_ns);
                self.records.commit_at(&seen.record, format, policy, writes, mtime).await?
            } else {
                self.records.commit(&seen.record, format as u8, policy, writes, true).await?
            };
            if let Committed::Done(record) = committed {
                return Ok(Onto::Done(record));
            }
            max_age = Duration::ZERO;
        }
        Err(Error::new(Kind::Conflict, "the record is changed by others all the time")
            .hint("save again"))
    }

    /// Merges a text into the record that a name stands for, as when a file is renamed over it;
    /// returns that. When the name stands for another record meanwhile the text goes into that one,
    /// and when it was taken away it comes back.
    pub(super) async fn replace_text(
        &self,
        entry: &Entry,
        folder: &Node,
        name: &[u8],
        text: Text,
        (mtime_unix_ns, is_mtime_set): (i64, bool),
    ) -> Result<Entry> {
        let (_, policy) = place_of(folder)?;
        let (base, copied, edits) = (None, None, 0);
        let pending = Pending { text, base, copied, edits, mtime_unix_ns, is_mtime_set };
        let mut entry = entry.clone();
        for _ in 0..TRIES_MAX {
            let onto = match self.save_onto(entry.located, &policy, &pending).await {
                Err(e) => return Err(self.keep_refused((folder, name), pending.text, e).await),
                Ok(onto) => onto,
            };
            let Onto::Done(record) = onto else {
                return Err(Error::new(Kind::Conflict, "the record was changed by others"));
            };
            let named = Entry { profile: record.head.profile, ..entry };
            let max_age = self.look_at(folder, name, named.located);
            match self.entry(folder, name, max_age).await? {
                Some(now) if now == named => return Ok(named),
                Some(now) if now.located != named.located && now.is_directory() => {
                    return Err(Error::new(Kind::IsDirectory, "the new name is a folder's"));
                }
                Some(now) if now.located != named.located => entry = now,
                Some(_) => {
                    let (record, profile) = (named.located.record, named.profile);
                    let name = name.to_vec();
                    self.edit(folder, Edit::Profile { name, record, profile }).await?;
                    return Ok(named);
                }
                None => {
                    let name = name.to_vec();
                    match self.edit(folder, Edit::Add { name, entry: named.clone() }).await {
                        Err(e) if e.kind() == Kind::Exists => entry = named,
                        added => return added.map(|()| named),
                    }
                }
            }
        }
        Err(Error::new(Kind::Conflict, "the name is changed by others all the time"))
    }

    /// Sets the time of a file whose text is committed.
    pub(super) async fn save_mtime(&self, node: &Node, mtime_unix_ns: i64) -> Result<()> {
        let Stands::Record { located, policy } = node.stands() else { return Ok(()) };
        let _work = node.file.work.lock().await;
        let mut max_age = Duration::MAX;
        for _ in 0..TRIES_MAX {
            let (record, policy) = self.load(located, &policy, max_age).await?;
            let done = self.records.touch(&record, &policy, mtime_unix_ns).await?;
            if matches!(done, Committed::Done(_)) {
                node.forget_attr();
                return Ok(());
            }
            max_age = Duration::ZERO;
        }
        Err(Error::new(Kind::Conflict, "the record is changed by others all the time"))
    }
}
