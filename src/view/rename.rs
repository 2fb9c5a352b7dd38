//! Renaming: moving names, and merging a text into the record that has the name already.
//!
//! Programs save in four ways: into the file, by a new file renamed over it, by renaming it away
//! and making it anew, by unlinking it and making it anew. In the last three the new file holds
//! only what the user sees. So a name that is taken away is remembered for a while, and what comes
//! back under it is merged into the record that stood there.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::MutexGuard;

use super::draft::Text;
use super::folder::{Gone, Overlay, place_of};
use super::local::is_local_name;
use super::node::{Node, Spot, Stands};
use super::save::TRIES_MAX;
use super::{Ino, Invalidation, RenameMode, View, locked};
use crate::error::{Error, Kind, Result};
use crate::record::directory::{Entry, check_name};

impl View {
    /// Renames a file or folder.
    ///
    /// # Errors
    /// `NotFound`, `Exists`, `NotEmpty`, `IsDirectory`, `NotDirectory` as POSIX has them; `Denied`
    /// when the policies of the two folders do not let the user.
    pub async fn rename(
        &self,
        from: Ino,
        from_name: &[u8],
        to: Ino,
        to_name: &[u8],
        mode: RenameMode,
    ) -> Result<()> {
        check_name(to_name)?;
        if from == to && from_name == to_name {
            return Ok(());
        }
        let mut tries = 0;
        loop {
            let done = self.rename_now(from, from_name, to, to_name, mode).await;
            tries += 1;
            let is_outdated = match done.as_ref().map_err(Error::kind) {
                // What memory says may be old; what has just been asked is not.
                Err(Kind::NotFound) => tries == 1,
                // Somebody else gave or took the new name meanwhile.
                Err(Kind::Exists) => mode == RenameMode::Replace && tries < TRIES_MAX,
                _ => false,
            };
            if !is_outdated {
                return done;
            }
            for (folder, name) in [(from, from_name), (to, to_name)] {
                self.entry(&*self.node(folder)?, name, Duration::ZERO).await?;
            }
        }
    }

    async fn rename_now(
        &self,
        from: Ino,
        from_name: &[u8],
        to: Ino,
        to_name: &[u8],
        mode: RenameMode,
    ) -> Result<()> {
        let node = self.child(from, from_name).await?;
        let target = match self.child(to, to_name).await {
            Ok(target) => Some(target),
            Err(e) if e.kind() == Kind::NotFound => None,
            Err(e) => return Err(e),
        };
        let way = Way {
            from: self.node(from)?,
            from_name: from_name.to_vec(),
            to: self.node(to)?,
            to_name: to_name.to_vec(),
        };
        match (mode, &target) {
            (RenameMode::NoReplace, Some(_)) => {
                return Err(Error::new(Kind::Exists, "the name exists already"));
            }
            (RenameMode::Exchange, Some(target)) => {
                return self.exchange(&way, [&node, target]).await;
            }
            (RenameMode::Exchange, None) => return Err(Error::new(Kind::NotFound, "no such file")),
            _ => {}
        }
        way.from.forget_attr();
        way.to.forget_attr();
        // A commit under way would bring a name back.
        let other = target.as_ref().filter(|t| t.ino != node.ino);
        let _lower = match other.filter(|t| t.ino < node.ino) {
            Some(target) => Some(target.file.work.lock().await),
            None => None,
        };
        let work = node.file.work.lock().await;
        let _higher = match other.filter(|t| t.ino > node.ino) {
            Some(target) => Some(target.file.work.lock().await),
            None => None,
        };
        match node.stands() {
            Stands::Directory { .. } => self.rename_folder(&way, &node, target.clone()).await,
            Stands::Fresh | Stands::Local => {
                self.rename_here(&way, &node, target.clone(), &work).await
            }
            Stands::Record { located, .. } => {
                self.save_held(&node, true, &work).await?;
                self.rename_record(&way, &node, located, target.clone()).await
            }
            Stands::Removed => Err(Error::new(Kind::NotFound, "no such file")),
        }
    }

    /// Renames a file that is only here.
    async fn rename_here(
        &self,
        way: &Way,
        node: &Arc<Node>,
        target: Option<Arc<Node>>,
        work: &MutexGuard<'_, ()>,
    ) -> Result<()> {
        let target_stands = target.as_ref().map(|t| t.stands());
        if let Some(Stands::Directory { .. }) = target_stands {
            return Err(Error::new(Kind::IsDirectory, "the new name is a folder's"));
        }
        let over = match &target_stands {
            Some(Stands::Record { .. }) => {
                Some(Over::of(self.entry_now(&way.to, &way.to_name).await?))
            }
            _ => self.gone_of(way).map(Over::back),
        };
        if let Some(over) = over.filter(|_| !is_local_name(&way.to_name)) {
            return self.merge_over(way, node, &over, target).await;
        }
        let stands = node.stands();
        let is_new = stands == Stands::Local && !is_local_name(&way.to_name);
        if is_new {
            self.check_add(&way.to).await?;
        }
        let before = way.to.folder.overlay(&way.to_name);
        self.drop_overlay_here(way, node);
        way.to.folder.set_overlay(&way.to_name, Overlay::Here(node.ino));
        way.to.change_names();
        let spot = Spot { parent: way.to.ino, name: way.to_name.clone() };
        locked(&self.tree).move_to(node, spot);
        if is_local_name(&way.to_name) {
            node.set_stands(Stands::Local);
        } else {
            if is_new {
                node.set_stands(Stands::Fresh);
                node.file.mark_dirty();
            }
            if let Err(e) = self.save_held(node, true, work).await {
                self.move_back(way, node, before);
                node.set_stands(stands);
                return Err(e);
            }
        }
        if let Some(target) = target {
            target.set_stands(Stands::Removed);
        }
        Ok(())
    }

    /// Gives a file that is only here its old name again: what could not be committed under the new
    /// one was not renamed.
    fn move_back(&self, way: &Way, node: &Node, before: Option<Overlay>) {
        match before {
            Some(overlay) => way.to.folder.set_overlay(&way.to_name, overlay),
            None => drop(way.to.folder.clear_overlay(&way.to_name)),
        }
        if let Some(Overlay::Gone(gone)) = way.from.folder.overlay(&way.from_name) {
            *locked(&node.file.returning) = Some(gone);
        }
        way.from.folder.set_overlay(&way.from_name, Overlay::Here(node.ino));
        let spot = Spot { parent: way.from.ino, name: way.from_name.clone() };
        locked(&self.tree).move_to(node, spot);
    }

    fn drop_overlay_here(&self, way: &Way, node: &Node) {
        way.from.folder.clear_overlay(&way.from_name);
        if let Some(gone) = locked(&node.file.returning).take() {
            way.from.folder.set_overlay(&way.from_name, Overlay::Gone(gone));
        }
        way.from.change_names();
    }

    /// A file that was written beside a record takes its name: its text is merged into the record.
    async fn merge_over(
        &self,
        way: &Way,
        node: &Arc<Node>,
        over: &Over,
        target: Option<Arc<Node>>,
    ) -> Result<()> {
        let text = self.text_of(node).await?;
        let mtime = self.attr_of(node).await?.mtime.to_unix_ns();
        let time = (mtime, node.file.is_mtime_set());
        let entry = self.text_over(way, over, text, time, target.as_ref()).await?;
        self.drop_overlay_here(way, node);
        self.become_record(way, node, &entry, target);
        Ok(())
    }

    /// Merges a text into the record that has a name, or that comes back to it.
    pub(super) async fn text_over(
        &self,
        way: &Way,
        over: &Over,
        text: Text,
        time: (i64, bool),
        target: Option<&Arc<Node>>,
    ) -> Result<Entry> {
        if let Some(target) = target {
            self.keep_for_handles(target).await;
        }
        let backup = match &over.gone {
            Some(gone) => self.backup_of(gone).await?,
            None => None,
        };
        let merged = self.records.realm().bucket().together(async {
            let entry = self.replace_text(&over.entry, &way.to, &way.to_name, text, time).await?;
            way.to.folder.clear_overlay(&way.to_name);
            if let Some(backup) = backup {
                let (_, policy) = place_of(&way.to)?;
                locked(&self.tree).unbind(entry.located.record);
                self.save_backup(backup, entry.located, &policy).await?;
            }
            Ok(entry)
        });
        Box::pin(merged).await
    }

    /// Lets a node take over the record of the name that it was renamed to. Whoever has the old
    /// file of that name open keeps reading what was there.
    pub(super) fn become_record(
        &self,
        way: &Way,
        node: &Arc<Node>,
        entry: &Entry,
        target: Option<Arc<Node>>,
    ) {
        if let Some(target) = target {
            target.set_stands(Stands::Removed);
        }
        let Ok((_, policy)) = place_of(&way.to) else { return };
        let tree = &mut *locked(&self.tree);
        tree.unbind(entry.located.record);
        tree.move_to(node, Spot { parent: way.to.ino, name: way.to_name.clone() });
        tree.bind(node, entry.located.record);
        node.set_stands(Stands::Record { located: entry.located, policy });
        node.file.forget_text();
        // The name stands for another file now, though the bucket may see no change of names.
        way.to.change_names();
        self.invalidate(Invalidation::Inode(node.ino));
    }

    /// Returns what stood under the new name, when that was taken away just before.
    pub(super) fn gone_of(&self, way: &Way) -> Option<Gone> {
        match way.to.folder.overlay(&way.to_name)? {
            Overlay::Gone(gone) => Some(gone),
            // It came back as a file that is not committed yet, and is replaced in turn.
            Overlay::Here(ino) => locked(&self.node(ino).ok()?.file.returning).clone(),
        }
    }
}

/// The record whose name a file takes.
pub(super) struct Over {
    pub(super) entry: Entry,
    /// How its name was taken away just before.
    pub(super) gone: Option<Gone>,
}

impl Over {
    pub(super) fn of(entry: Entry) -> Self {
        Self { entry, gone: None }
    }

    pub(super) fn back(gone: Gone) -> Self {
        Self { entry: gone.entry.clone(), gone: Some(gone) }
    }
}

/// From where to where.
pub(super) struct Way {
    pub(super) from: Arc<Node>,
    pub(super) from_name: Vec<u8>,
    pub(super) to: Arc<Node>,
    pub(super) to_name: Vec<u8>,
}
