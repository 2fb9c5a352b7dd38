//! A name that was taken away and comes back: its text goes onto the record that stood there.

use super::draft::Text;
use super::folder::{Edit, Gone, place_of};
use super::node::{Node, Stands};
use super::save::{Onto, Pending};
use super::{Ino, Invalidation, View, locked};
use crate::error::Result;
use crate::record::directory::Entry;
use crate::record::{Located, PolicyRef, Record, RecordId};
use std::sync::Arc;

struct Backup {
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
        let (_, policy) = place_of(folder)?;
        let located = gone.entry.located;
        let backup = match &gone.moved_to {
            Some((parent, backup_name)) => self.backup_of(*parent, backup_name, located).await?,
            None => None,
        };
        let record = match self.save_onto(located, &policy, pending).await? {
            Onto::Done(record) => record,
            Onto::Conflict => {
                self.save_conflict(node, located, &policy, pending).await?;
                return Ok(None);
            }
        };
        if let Some(backup) = backup {
            self.save_backup(backup, &policy).await?;
        }
        let entry = Entry { profile: record.head.profile, ..gone.entry.clone() };
        let (record_id, profile) = (located.record, entry.profile);
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
        self.settle(node, folder, &name, located, policy);
        Ok(Some(record))
    }

    /// Returns the file that a record was moved away to, with the text that the user sees of it.
    async fn backup_of(
        &self,
        parent: Ino,
        name: &[u8],
        located: Located,
    ) -> Result<Option<Backup>> {
        let Ok(node) = self.child(parent, name).await else { return Ok(None) };
        if !matches!(node.stands(), Stands::Record { located: l, .. } if l == located) {
            return Ok(None);
        }
        let text = self.text_of(&node).await?;
        Ok(Some(Backup { parent, name: name.to_vec(), text }))
    }

    /// Gives the name that a record was moved away to a record of its own, with the text that the
    /// user saw: the record itself went back to its old name.
    async fn save_backup(&self, backup: Backup, policy: &PolicyRef) -> Result<()> {
        let folder = self.node(backup.parent)?;
        let (place, _) = place_of(&folder)?;
        let located = Located { birth: place.record, record: RecordId::random() };
        let now = crate::clock::now_unix_ns();
        let pending = Pending {
            text: backup.text,
            base: None,
            copied: None,
            edits: 0,
            mtime_unix_ns: now,
            is_mtime_set: false,
        };
        let record = self.create_record(located, policy, &backup.name, &pending).await?;
        let entry = Entry { located, profile: record.head.profile, policy: None };
        self.edit(&folder, Edit::Put { name: backup.name.clone(), entry }).await?;
        self.invalidate(Invalidation::Entry { parent: backup.parent, name: backup.name });
        Ok(())
    }
}
