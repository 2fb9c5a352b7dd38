//! A name that was taken away and comes back: its text goes onto the record that stood there.

use super::draft::Text;
use super::folder::{Edit, Gone, Overlay, place_of};
use super::node::{Node, Spot, Stands};
use super::save::{Onto, Pending};
use super::{Ino, Invalidation, NodeKind, View, locked};
use crate::error::{Error, Kind, Result};
use crate::record::directory::Entry;
use crate::record::{Located, PolicyRef, Record, RecordId, Sight};
use std::sync::Arc;

/// What a record shows under the name that it was moved away to.
pub(super) struct Backup {
    parent: Ino,
    name: Vec<u8>,
    text: Text,
}

impl View {
    /// Commits a text under a name that was taken away just before: onto the record that stood
    /// there, so that its hidden sections stay.
    pub(super) async fn save_returning(
        &self,
        node: &Arc<Node>,
        folder: &Arc<Node>,
        name: &[u8],
        gone: &Gone,
        pending: &Pending,
    ) -> Result<Option<Arc<Record>>> {
        let saved = self.save_returned(node, folder, name, gone, pending);
        Box::pin(self.records.realm().bucket().together(saved)).await
    }

    async fn save_returned(
        &self,
        node: &Arc<Node>,
        folder: &Arc<Node>,
        name: &[u8],
        gone: &Gone,
        pending: &Pending,
    ) -> Result<Option<Arc<Record>>> {
        let (_, policy) = place_of(folder)?;
        let located = gone.entry.located;
        self.check_comes_back(folder, name, located).await?;
        let backup = self.backup_of(gone).await?;
        let onto = self.save_onto(located, &policy, pending).await?;
        // Whoever wrote the record may have made it known that the policy was replaced.
        let (_, policy) = place_of(folder)?;
        let record = match onto {
            Onto::Done(record) => Some(record),
            Onto::Conflict => {
                self.save_conflict(node, located, &policy, pending).await?;
                None
            }
        };
        let profile = record.as_ref().map_or(gone.entry.profile, |r| r.head.profile);
        let entry = Entry { profile, ..gone.entry.clone() };
        let record_id = located.record;
        let max_age = self.look_at(folder, name, located);
        let name = match self.entry(folder, name, max_age).await? {
            Some(now) if now == entry => name.to_vec(),
            Some(now) if now.located == located => {
                let name = name.to_vec();
                let noted = Edit::Profile { name: name.clone(), record: record_id, profile };
                self.edit(folder, noted).await?;
                name
            }
            // Another workstation made a file of that name: both stay.
            _ => self.add_or_copy(folder, name, entry).await?,
        };
        locked(&self.tree).unbind(located.record);
        if let Some(backup) = backup {
            self.save_backup(backup, located, &policy).await?;
        }
        self.settle(node, folder, &name, located, policy);
        Ok(record)
    }

    /// Refuses a text whose name somebody else took from its record, when the user cannot give it
    /// back: said before anything is committed, so that a refused text is nowhere.
    async fn check_comes_back(&self, folder: &Node, name: &[u8], located: Located) -> Result<()> {
        let (_, policy) = place_of(folder)?;
        if self.may_name(&policy).await? == Sight::Open {
            return Ok(());
        }
        let max_age = self.look_at(folder, name, located);
        let now = self.entry(folder, name, max_age).await?;
        if now.is_some_and(|entry| entry.located == located) {
            return Ok(());
        }
        let what = "the file has another name now, and you may not give it this one";
        Err(Error::new(Kind::Denied, what).because("somebody else renamed or removed it"))
    }

    /// Returns the file that a record was moved away to, with the text that the user sees of it.
    pub(super) async fn backup_of(&self, gone: &Gone) -> Result<Option<Backup>> {
        let Some((parent, name)) = &gone.moved_to else { return Ok(None) };
        let Ok(node) = self.child(*parent, name).await else { return Ok(None) };
        let located = gone.entry.located;
        if !matches!(node.stands(), Stands::Record { located: l, .. } if l == located) {
            return Ok(None);
        }
        let text = self.text_of(&node).await?;
        Ok(Some(Backup { parent: *parent, name: name.clone(), text }))
    }

    /// Gives the name that a record was moved away to a record of its own, with the text that the
    /// user saw: the record itself went back to its old name. Who may make no such record keeps the
    /// text on this workstation.
    pub(super) async fn save_backup(
        &self,
        backup: Backup,
        moved: Located,
        policy: &PolicyRef,
    ) -> Result<()> {
        let Backup { parent, name, text } = backup;
        let folder = self.node(parent)?;
        let (place, _) = place_of(&folder)?;
        let located = Located { birth: place.record, record: RecordId::random() };
        let now = crate::clock::now_unix_ns();
        let pending = Pending {
            text,
            base: None,
            copied: None,
            edits: 0,
            mtime_unix_ns: now,
            is_mtime_set: false,
        };
        match self.create_record(located, policy, &name, &pending).await {
            Ok(record) => {
                let entry = Entry { located, profile: record.head.profile, policy: None };
                self.edit(&folder, Edit::Put { name: name.clone(), entry }).await?;
            }
            Err(e) if e.kind() == Kind::Denied => {
                let edit = Edit::Leave { name: name.clone(), record: moved.record };
                self.edit(&folder, edit).await?;
                self.keep_here(&folder, &name, pending.text);
            }
            Err(e) => return Err(e),
        }
        self.invalidate(Invalidation::Entry { parent, name });
        Ok(())
    }

    /// Keeps a text under a name on this workstation only.
    fn keep_here(&self, folder: &Node, name: &[u8], text: Text) {
        let spot = Spot { parent: folder.ino, name: name.to_vec() };
        let node = locked(&self.tree).add(NodeKind::File, spot, Stands::Local);
        node.file.hold_text(text);
        folder.folder.set_overlay(name, Overlay::Here(node.ino));
    }
}
