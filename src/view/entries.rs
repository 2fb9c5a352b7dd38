//! Names that come and go: folders are made and removed, files unlinked.

use super::folder::{Edit, Gone, Overlay, Removal, place_of};
use super::node::{Node, Spot, Stands};
use super::{Attr, Ino, Invalidation, View, locked};
use crate::error::{Error, Kind, Result};
use crate::record::directory::{Entry, check_name};
use crate::record::{DIRECTORY_PROFILE, Located, PolicyRef, RecordId, Sight};
use std::sync::Arc;
use std::time::Duration;

impl View {
    /// Makes a folder; one named as a patient's authority, in a folder that has no patient yet, is
    /// that patient's.
    ///
    /// # Errors
    /// `Exists`; `Denied` when the policy lets the user not add.
    pub async fn make_dir(&self, parent: Ino, name: &[u8], mode: u16) -> Result<Attr> {
        check_name(name)?;
        if self.child(parent, name).await.is_ok() {
            return Err(Error::new(Kind::Exists, "the name exists already"));
        }
        let folder = self.node(parent)?;
        self.check_add(&folder).await?;
        let (place, policy) = place_of(&folder)?;
        let own = self.patient_policy(&policy, name).await?;
        let in_force = own.as_ref().unwrap_or(&policy);
        let located = Located { birth: place.record, record: RecordId::random() };
        self.records.create_directory(located, in_force).await?;
        let entry = Entry { located, profile: DIRECTORY_PROFILE, policy: own };
        self.edit(&folder, Edit::Add { name: name.to_vec(), entry: entry.clone() }).await?;
        let node = self.node_of(&folder, name, &entry)?;
        node.set_mode(mode);
        folder.forget_attr();
        locked(&self.tree).refer(&node);
        self.attr_of(&node).await
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// `NotEmpty`; `NotDirectory`; `Denied` when the policy lets the user not remove.
    pub async fn remove_dir(&self, parent: Ino, name: &[u8]) -> Result<()> {
        let node = self.child(parent, name).await?;
        let Stands::Directory { located, .. } = node.stands() else {
            return Err(Error::new(Kind::NotDirectory, "this is not a folder"));
        };
        let folder = self.node(parent)?;
        self.check_remove(&folder).await?;
        self.settle_removals(&node, Duration::ZERO).await?;
        let table = self.table(&node, Duration::ZERO).await?;
        if !table.0.is_empty() || !node.folder.here().is_empty() {
            return Err(Error::new(Kind::NotEmpty, "the folder is not empty"));
        }
        let (_, policy) = place_of(&node)?;
        let is_closed = match self.records.close_directory(located, &policy).await {
            Ok(()) => true,
            // Whoever removes folders here need not be one who changes the names in them.
            Err(e) if e.kind() == Kind::Denied => false,
            Err(e) => return Err(e),
        };
        let edit = Edit::Remove { name: name.to_vec(), record: located.record };
        let removed = self.edit(&folder, edit).await;
        if is_closed && removed.as_ref().is_err_and(|e| e.kind() != Kind::NotFound) {
            self.records.reopen_directory(located, &policy).await?;
        }
        removed?;
        folder.forget_attr();
        // Who made a file in it between the two looked at its name before that went.
        if is_closed && !self.records.is_closed(located, &policy).await? {
            self.revive(&node).await?;
            return Err(Error::new(Kind::NotEmpty, "somebody made a file in the folder just now"));
        }
        // Whoever has it open is told.
        node.folder.set_removed(true);
        node.forget_attr();
        Ok(())
    }

    /// Says whether the policy lets the user take names out of a folder.
    pub(super) async fn may_remove(&self, folder: &Node) -> Result<Sight> {
        let (_, policy) = place_of(folder)?;
        let bound = self.records.realm().policy(&policy.hash, policy.patient.as_ref()).await?;
        Ok(self.records.sight(&bound.remove))
    }

    /// Says whether the policy lets the user change the names of a folder at all.
    pub(super) async fn may_name(&self, policy: &PolicyRef) -> Result<Sight> {
        let bound = self.records.realm().policy(&policy.hash, policy.patient.as_ref()).await?;
        let rights = [&bound.add, &bound.remove].map(|right| self.records.sight(right));
        Ok(if rights.contains(&Sight::Open) { Sight::Open } else { rights[0] })
    }

    pub(super) async fn check_remove(&self, folder: &Node) -> Result<()> {
        match self.may_remove(folder).await? {
            Sight::Open => Ok(()),
            Sight::Closed => {
                Err(Error::new(Kind::Denied, "you may not remove anything from this folder"))
            }
            Sight::Expired => Err(Error::new(
                Kind::CredentialExpired,
                "you may not remove anything from this folder",
            )),
        }
    }

    /// Takes a name away. Who sees all of the record and may remove, removes it. For anybody else
    /// the name may still come back with what he saw, so it goes only when it does not; and when he
    /// may not remove, only what he may write goes.
    ///
    /// # Errors
    /// `IsDirectory`; `Denied` when the user may neither remove nor write anything in it.
    pub async fn unlink(&self, parent: Ino, name: &[u8]) -> Result<()> {
        let node = self.child(parent, name).await?;
        let folder = self.node(parent)?;
        // A commit under way would bring the name back.
        let _work = node.file.work.lock().await;
        match node.stands() {
            Stands::Directory { .. } => {
                return Err(Error::new(Kind::IsDirectory, "this is a folder"));
            }
            Stands::Fresh | Stands::Local | Stands::Removed => {
                self.drop_here(&folder, name, &node);
                return Ok(());
            }
            Stands::Record { located, policy } => {
                self.unlink_record(&folder, name, &node, located, &policy).await?;
            }
        }
        folder.forget_attr();
        Ok(())
    }

    /// Drops a file that is only here. What it would have come back to stays taken away.
    pub(super) fn drop_here(&self, folder: &Node, name: &[u8], node: &Node) {
        self.drop_here_as(folder, name, node, Stands::Removed);
    }

    /// As [`View::drop_here`], for a file that goes on as something else.
    pub(super) fn drop_here_as(&self, folder: &Node, name: &[u8], node: &Node, stands: Stands) {
        folder.folder.clear_overlay(name);
        if let Some(gone) = locked(&node.file.returning).take() {
            folder.folder.set_overlay(name, Overlay::Gone(gone));
        }
        node.set_stands(stands);
        folder.change_names();
    }

    async fn unlink_record(
        &self,
        folder: &Arc<Node>,
        name: &[u8],
        node: &Arc<Node>,
        located: Located,
        policy: &PolicyRef,
    ) -> Result<()> {
        let seen = self.see(located, policy, self.options.attr_ttl).await?;
        let may_remove = self.may_remove(folder).await? == Sight::Open;
        if may_remove && !seen.hides {
            let edit = Edit::Remove { name: name.to_vec(), record: located.record };
            self.edit(folder, edit).await?;
        } else {
            if !may_remove && self.may_write_any(policy, seen.format).await? != Sight::Open {
                return Err(Error::new(Kind::Denied, "you may not remove this record"));
            }
            let entry = self.entry_of(folder, name).await?;
            let how = if may_remove { Removal::All } else { Removal::Part };
            let version = how.version_of(&seen);
            self.take_away(folder, name, Gone::new(entry, how, version));
        }
        if let Some(spot) = self.other_name(node, located.record, (folder.ino, name)).await {
            // What the kernel knows by this number goes on under its other name.
            locked(&self.tree).move_to(node, spot);
            return Ok(());
        }
        self.keep_for_handles(node).await;
        locked(&self.tree).unbind(located.record);
        node.set_stands(Stands::Removed);
        Ok(())
    }

    /// Returns another name of a record than the one that was just taken away, when it was found
    /// under one: a crash, or somebody who moved it at the same moment, may have left two.
    async fn other_name(
        &self,
        node: &Node,
        record: RecordId,
        (parent, taken): (Ino, &[u8]),
    ) -> Option<Spot> {
        for spot in node.spots() {
            let Ok(folder) = self.node(spot.parent) else { continue };
            if (spot.parent == parent && spot.name == taken)
                || folder.folder.overlay(&spot.name).is_some()
            {
                continue;
            }
            let entry = self.entry(&folder, &spot.name, self.options.attr_ttl).await;
            if matches!(entry, Ok(Some(entry)) if entry.located.record == record) {
                return Some(spot);
            }
        }
        None
    }

    /// Handles that are open keep reading what was there.
    pub(super) async fn keep_for_handles(&self, node: &Node) {
        if node.file.is_open()
            && let Err(error) = self.fill_now(node).await
        {
            tracing::debug!(%error, "a file that is still open can no longer be read");
        }
    }

    pub(super) async fn entry_of(&self, folder: &Node, name: &[u8]) -> Result<Entry> {
        let entry = self.entry(folder, name, self.options.attr_ttl).await?;
        entry.ok_or_else(|| Error::new(Kind::NotFound, "no such file"))
    }

    /// As [`View::entry_of`], as the bucket has it at this moment.
    pub(super) async fn entry_now(&self, folder: &Node, name: &[u8]) -> Result<Entry> {
        let entry = self.entry(folder, name, Duration::ZERO).await?;
        entry.ok_or_else(|| Error::new(Kind::NotFound, "no such file"))
    }

    pub(super) fn take_away(&self, folder: &Node, name: &[u8], gone: Gone) {
        folder.folder.set_overlay(name, Overlay::Gone(gone));
        folder.change_names();
    }

    /// Removes the names that were taken away longer ago than `grace` and did not come back.
    async fn settle_removals(&self, folder: &Node, grace: Duration) -> Result<()> {
        for (name, gone) in folder.folder.gone() {
            if gone.since.elapsed() < grace {
                continue;
            }
            self.settle_removal(folder, &name, &gone).await?;
            folder.folder.clear_overlay(&name);
            if gone.removal != Removal::All {
                self.invalidate(Invalidation::Entry { parent: folder.ino, name });
            }
        }
        Ok(())
    }

    async fn settle_removal(&self, folder: &Node, name: &[u8], gone: &Gone) -> Result<()> {
        if gone.removal == Removal::Nothing {
            return Ok(());
        }
        // The policy may have been replaced since the name was taken away.
        self.entry(folder, name, Duration::ZERO).await?;
        let (_, policy) = place_of(folder)?;
        let located = gone.entry.located;
        let seen = self.see(located, &policy, Duration::ZERO).await?;
        if gone.removal.version_of(&seen) != gone.version {
            // Somebody else wrote it after it was removed here: what he wrote stays.
            tracing::warn!(record = %located.record, "a record that was removed here was changed elsewhere: it stays");
            return Ok(());
        }
        if gone.removal == Removal::Part {
            return self.take_out(located, &policy).await;
        }
        let edit = Edit::Remove { name: name.to_vec(), record: located.record };
        match self.edit(folder, edit).await {
            // Somebody else removed it first, or it was moved: either way it is gone.
            Err(e) if e.kind() == Kind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Settles the removals of every folder, as before the drive is left.
    pub(super) async fn settle_all_removals(&self) -> Result<()> {
        self.settle_every_folder(Duration::ZERO).await
    }

    /// Settles what was taken away and did not come back in time; whoever serves a drive calls it
    /// from time to time.
    ///
    /// # Errors
    /// Those of the commits; what failed is tried again by the next call.
    pub async fn tidy(&self) -> Result<()> {
        locked(&self.tree).sweep();
        self.settle_every_folder(self.options.grace).await?;
        self.write_state()?;
        self.complete_moves().await?;
        self.check_committed().await?;
        self.retry_unsaved().await;
        Ok(())
    }

    async fn settle_every_folder(&self, grace: Duration) -> Result<()> {
        let folders = locked(&self.tree).folders();
        let mut result = Ok(());
        for folder in folders {
            result = result.and(self.settle_removals(&folder, grace).await);
        }
        result
    }
}
