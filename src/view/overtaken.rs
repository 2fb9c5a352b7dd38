//! What was saved here while somebody else saved the same record first, and the journal found out
//! later: both are merged, as if this workstation had saved second.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::draft::Text;
use super::folder::place_of;
use super::node::{Node, Stands};
use super::save::{Onto, Pending};
use super::sight::Rendered;
use super::{Ino, Invalidation, View, locked};
use crate::error::{Kind, Result};
use crate::record::directory::Entry;
use crate::record::{
    DIRECTORY_PROFILE, Located, ObjectName, Overtaken, PolicyRef, Record, RecordId,
};

/// How many folders are looked through for the name of a record, at most.
const FOLDERS_MAX: usize = 100_000;
/// How long to wait before a merge that failed is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(2);

impl View {
    /// Merges what was overtaken, as it is found out; for as long as the drive is in use.
    pub async fn merge_all_overtaken(self: Arc<Self>) {
        let Some(mut found) = self.records.realm().bucket().take_conflicts() else { return };
        let mut waiting = BTreeSet::new();
        loop {
            tokio::select! {
                object = found.recv() => match object {
                    Some(object) => { waiting.insert(object); }
                    None => return,
                },
                () = tokio::time::sleep(TRY_AGAIN), if !waiting.is_empty() => {}
            }
            for object in std::mem::take(&mut waiting) {
                if let Err(error) = self.merge_object(&object).await {
                    tracing::error!(%object, %error, "what was written twice is not merged yet");
                    waiting.insert(object);
                }
            }
        }
    }

    async fn merge_object(&self, object: &ObjectName) -> Result<()> {
        while let Some(overtaken) = self.records.overtaken(object).await? {
            self.merge_overtaken(&overtaken).await?;
            self.records.drop_overtaken(overtaken).await?;
        }
        Ok(())
    }

    async fn merge_overtaken(&self, overtaken: &Overtaken) -> Result<()> {
        let Overtaken { located, base, mine, .. } = overtaken;
        let node = locked(&self.tree).find(located.record);
        let work = match &node {
            Some(node) => Some(node.file.work.lock().await),
            None => None,
        };
        let policy = mine.head.policies[0].clone();
        if mine.head.profile == DIRECTORY_PROFILE {
            self.merge_folder(*located, &policy, base.as_ref(), mine).await?;
        } else {
            self.merge_file(*located, &policy, base.as_ref(), mine).await?;
        }
        drop(work);
        if let Some(node) = node {
            node.forget_attr();
            node.file.drop_rendered();
            self.invalidate(Invalidation::Inode(node.ino));
        }
        Ok(())
    }

    async fn merge_folder(
        &self,
        located: Located,
        policy: &PolicyRef,
        base: Option<&Arc<Record>>,
        mine: &Arc<Record>,
    ) -> Result<()> {
        let is_removed = self.records.is_removed_in(mine, policy).await?;
        let now = self.records.load(located, policy, Duration::ZERO).await?;
        if !is_removed && self.records.is_removed_in(&now, policy).await? {
            self.revive_record(located, policy).await?;
        }
        let clashes = self.records.merge_names(located, policy, base, mine).await?;
        if !clashes.is_empty() {
            let folder = self.find_folder(located.record).await?;
            for (name, entry) in clashes {
                let of = self.standing(&folder, &name).await?;
                self.add_copy(&folder, &name, entry, of).await?;
            }
        }
        if is_removed {
            // It was removed here while somebody made a file in it, or something else in it.
            match self.records.close_directory(located, policy).await {
                Err(e) if e.kind() == Kind::NotEmpty => {
                    self.revive_record(located, policy).await?;
                }
                closed => closed?,
            }
        }
        Ok(())
    }

    /// Brings a folder back that was removed, as [`View::revive`] does, wherever it was.
    async fn revive_record(&self, located: Located, policy: &PolicyRef) -> Result<()> {
        let known = locked(&self.tree).find(located.record);
        if let Some(folder) = known {
            return self.revive(&folder).await;
        }
        self.records.reopen_directory(located, policy).await?;
        let parent = self.find_folder(located.birth).await?;
        self.add_removed(&parent, located).await
    }

    async fn merge_file(
        &self,
        located: Located,
        policy: &PolicyRef,
        base: Option<&Arc<Record>>,
        mine: &Arc<Record>,
    ) -> Result<()> {
        let text = self.text_in(mine, policy).await?;
        let copied = base.cloned();
        let base = match base {
            Some(base) => self.rendered_in(base, policy).await?,
            None => None,
        };
        let seen = self.sight_of(mine.clone(), policy).await?;
        let mtime_unix_ns = seen.mtime_unix_ns();
        let is_mtime_set = false;
        let pending = Pending { text, base, copied, edits: 0, mtime_unix_ns, is_mtime_set };
        let found = self.find_name(located.record).await?;
        let policy = match &found {
            // It may have been replaced since the text was saved here.
            Some((folder, name)) => {
                self.entry(folder, name, Duration::ZERO).await?;
                place_of(folder)?.1
            }
            None => policy.clone(),
        };
        match self.save_onto(located, &policy, &pending).await? {
            Onto::Done(record) => self.keep_named_anywhere(&record).await,
            Onto::Conflict => self.keep_beside(located, found, &pending).await,
        }
    }

    /// Returns the text that one version of a record shows.
    async fn text_in(&self, record: &Arc<Record>, policy: &PolicyRef) -> Result<Text> {
        let seen = self.sight_of(record.clone(), policy).await?;
        self.text_seen(&seen).await
    }

    async fn rendered_in(
        &self,
        record: &Arc<Record>,
        policy: &PolicyRef,
    ) -> Result<Option<Arc<Rendered>>> {
        let seen = self.sight_of(record.clone(), policy).await?;
        if seen.external().is_some() {
            return Ok(None);
        }
        Ok(Some(Arc::new(self.render(&seen).await?)))
    }

    /// Keeps a text in a file of its own beside the record that it was meant for.
    async fn keep_beside(
        &self,
        located: Located,
        found: Option<(Arc<Node>, Vec<u8>)>,
        pending: &Pending,
    ) -> Result<()> {
        let (folder, name) = match found {
            Some(found) => found,
            // The record was taken away meanwhile: the text goes where it was made.
            None => (self.find_folder(located.birth).await?, b"recovered".to_vec()),
        };
        let (place, policy) = place_of(&folder)?;
        let copy = Located { birth: place.record, record: RecordId::random() };
        let record = self.create_record(copy, &policy, &name, pending).await?;
        let entry = Entry { located: copy, profile: record.head.profile, policy: None };
        let version = match &pending.base {
            Some(base) => base.record.version(),
            None => self.load(located, &policy, Duration::MAX).await?.0.version(),
        };
        let of = Some((located.record, version));
        let name = self.add_copy(&folder, &name, entry, of).await?;
        self.invalidate(Invalidation::Entry { parent: folder.ino, name });
        Ok(())
    }

    /// As [`View::keep_named`], for a record that need not be in use.
    pub(super) async fn keep_named_anywhere(&self, record: &Record) -> Result<()> {
        if let Some((folder, name)) = self.find_name(record.located.record).await? {
            return self.keep_named_at(&folder, &name, record, Duration::ZERO, || true).await;
        }
        let folder = self.find_folder(record.located.birth).await?;
        self.add_removed(&folder, record.located).await
    }

    /// Finds the folder and the name of a record: where it was seen last, or anywhere.
    pub(super) async fn find_name(&self, record: RecordId) -> Result<Option<(Arc<Node>, Vec<u8>)>> {
        let known = locked(&self.tree).find(record);
        if let Some(node) = known {
            let spot = node.spot();
            if let Ok(folder) = self.node(spot.parent) {
                return Ok(Some((folder, spot.name)));
            }
        }
        self.walk(|_, table| {
            table.iter().find(|(_, e)| e.located.record == record).map(|(name, _)| name.clone())
        })
        .await
    }

    /// Finds a folder by its record; the root, when there is none any more.
    pub(super) async fn find_folder(&self, record: RecordId) -> Result<Arc<Node>> {
        let found = self.walk(|place, _| (place.record == record).then_some(())).await?;
        match found {
            Some((folder, ())) => Ok(folder),
            None => self.node(Ino::ROOT),
        }
    }

    /// Looks through the folders that the user may list, the upper ones first.
    async fn walk<T>(
        &self,
        look: impl Fn(Located, &std::collections::BTreeMap<Vec<u8>, Entry>) -> Option<T>,
    ) -> Result<Option<(Arc<Node>, T)>> {
        let mut folders = std::collections::VecDeque::from([self.node(Ino::ROOT)?]);
        for _ in 0..FOLDERS_MAX {
            let Some(folder) = folders.pop_front() else { return Ok(None) };
            let Ok(table) = self.table(&folder, Duration::MAX).await else { continue };
            let (place, _) = place_of(&folder)?;
            if let Some(found) = look(place, &table.0) {
                return Ok(Some((folder, found)));
            }
            for (name, entry) in table.0.iter().filter(|(_, e)| e.is_directory()) {
                folders.push_back(self.node_of(&folder, name, entry)?);
            }
        }
        Ok(None)
    }

    /// Says whether the bucket does not have all of a file, or a folder, that was saved here.
    pub(super) fn is_pending(&self, node: &Node) -> bool {
        match node.stands() {
            Stands::Record { located, .. } | Stands::Directory { located, .. } => {
                self.records.is_pending(located)
            }
            Stands::Fresh | Stands::Local | Stands::Removed => false,
        }
    }
}
