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
use super::folder::{Edit, Gone, Overlay, Removal, place_of};
use super::local::is_local_name;
use super::node::{Node, Spot, Stands};
use super::save::TRIES_MAX;
use super::{Ino, Invalidation, NodeKind, RenameMode, View, locked};
use crate::error::{Error, Kind, Result};
use crate::record::directory::{Entry, check_name};
use crate::record::{Located, RecordId, Sight};

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

    async fn exchange(&self, way: &Way, nodes: [&Arc<Node>; 2]) -> Result<()> {
        if way.from.ino != way.to.ino {
            return Err(Error::new(Kind::Unsupported, "names in two folders cannot be exchanged"));
        }
        self.check_remove(&way.from).await?;
        for node in nodes {
            // One that was just made is to have a record to exchange.
            self.save(node, true).await?;
            if node.stands() == Stands::Local {
                return Err(Error::new(Kind::Unsupported, "the names cannot be exchanged")
                    .because("one of the files is on this workstation only"));
            }
        }
        let (one, other) = (way.from_name.clone(), way.to_name.clone());
        self.edit(&way.from, Edit::Exchange { one, other }).await
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
    async fn text_over(
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
        let entry = self.replace_text(&over.entry, &way.to, &way.to_name, text, time).await?;
        way.to.folder.clear_overlay(&way.to_name);
        if let Some(backup) = backup {
            let (_, policy) = place_of(&way.to)?;
            locked(&self.tree).unbind(entry.located.record);
            self.save_backup(backup, entry.located, &policy).await?;
        }
        Ok(entry)
    }

    /// Lets a node take over the record of the name that it was renamed to. Whoever has the old
    /// file of that name open keeps reading what was there.
    fn become_record(&self, way: &Way, node: &Arc<Node>, entry: &Entry, target: Option<Arc<Node>>) {
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
        self.invalidate(Invalidation::Inode(node.ino));
    }

    async fn rename_record(
        &self,
        way: &Way,
        node: &Arc<Node>,
        located: Located,
        target: Option<Arc<Node>>,
    ) -> Result<()> {
        let entry = self.entry_of(&way.from, &way.from_name).await?;
        if is_local_name(&way.to_name) {
            return self.move_away_here(way, node, entry).await;
        }
        self.check_same_policy(way)?;
        self.check_remove_of(&way.from, &entry).await?;
        let over = match &target {
            None => self.gone_of(way).map(Over::back),
            Some(t) => match t.stands() {
                Stands::Record { .. } => {
                    Some(Over::of(self.entry_now(&way.to, &way.to_name).await?))
                }
                Stands::Directory { .. } => {
                    return Err(Error::new(Kind::IsDirectory, "the new name is a folder's"));
                }
                _ => {
                    self.drop_here(&way.to, &way.to_name, t);
                    None
                }
            },
        };
        if let Some(over) = over {
            return self.merge_record_over(way, node, &entry, &over, target).await;
        }
        self.check_add(&way.to).await?;
        self.move_entry(way, &entry, None).await?;
        let hides = match node.stands() {
            Stands::Record { policy, .. } => self.see(located, &policy, Duration::MAX).await?.hides,
            _ => false,
        };
        if hides {
            let mut gone = Gone::new(entry, Removal::Nothing, 0);
            gone.moved_to = Some((way.to.ino, way.to_name.clone()));
            self.take_away(&way.from, &way.from_name, gone);
        }
        let (_, policy) = place_of(&way.to)?;
        let spot = Spot { parent: way.to.ino, name: way.to_name.clone() };
        locked(&self.tree).move_to(node, spot);
        node.set_stands(Stands::Record { located, policy });
        Ok(())
    }

    /// What stands in a record was judged by its folder's policy, so it cannot be moved under
    /// another one with what the user does not see. Programs copy instead.
    fn check_same_policy(&self, way: &Way) -> Result<()> {
        if place_of(&way.from)?.1 == place_of(&way.to)?.1 {
            return Ok(());
        }
        Err(Error::new(Kind::OtherPolicy, "the two folders have different policies")
            .hint("copy the file, then remove it"))
    }

    /// Returns what stood under the new name, when that was taken away just before.
    fn gone_of(&self, way: &Way) -> Option<Gone> {
        match way.to.folder.overlay(&way.to_name)? {
            Overlay::Gone(gone) => Some(gone),
            // It came back as a file that is not committed yet, and is replaced in turn.
            Overlay::Here(ino) => locked(&self.node(ino).ok()?.file.returning).clone(),
        }
    }

    /// A record's name is taken away for a name that stays on this workstation: the text that the
    /// user sees goes there, the record stays and waits for its name to come back.
    async fn move_away_here(&self, way: &Way, node: &Arc<Node>, entry: Entry) -> Result<()> {
        let text = self.text_of(node).await?;
        let is_removal = self.may_remove(&way.from).await? == Sight::Open;
        let Stands::Record { policy, .. } = node.stands() else {
            return Err(Error::new(Kind::NotFound, "no such file"));
        };
        let seen = self.see(entry.located, &policy, Duration::MAX).await?;
        if !is_removal && self.may_write_any(&policy, seen.format).await? != Sight::Open {
            return Err(Error::new(Kind::Denied, "you may not rename this record"));
        }
        locked(&self.tree).unbind(entry.located.record);
        node.set_stands(Stands::Local);
        node.file.hold_text(text);
        let how = if is_removal { Removal::All } else { Removal::Part };
        let gone = Gone::new(entry, how, how.version_of(&seen));
        self.take_away(&way.from, &way.from_name, gone);
        way.to.folder.set_overlay(&way.to_name, Overlay::Here(node.ino));
        way.to.change_names();
        let spot = Spot { parent: way.to.ino, name: way.to_name.clone() };
        locked(&self.tree).move_to(node, spot);
        Ok(())
    }

    /// One record is renamed over another: the text moves, the hidden sections of the one that had
    /// the name stay, and a record that hides something itself is not lost for it.
    async fn merge_record_over(
        &self,
        way: &Way,
        node: &Arc<Node>,
        entry: &Entry,
        over: &Over,
        target: Option<Arc<Node>>,
    ) -> Result<()> {
        let (_, from_policy) = place_of(&way.from)?;
        let (_, to_policy) = place_of(&way.to)?;
        let moved = self.see(entry.located, &from_policy, Duration::MAX).await?;
        let replaced = self.see(over.entry.located, &to_policy, self.options.attr_ttl).await?;
        if moved.hides && replaced.hides && !self.made_by_user(&moved) {
            return Err(Error::new(Kind::Denied, "one record cannot replace the other")
                .because("both hold sections that you do not see"));
        }
        if replaced.hides || !moved.hides {
            let text = self.text_of(node).await?;
            let time = (moved.mtime_unix_ns(), node.file.is_mtime_set());
            let over = self.text_over(way, over, text, time, target.as_ref()).await?;
            let (name, record) = (way.from_name.clone(), entry.located.record);
            match self.edit(&way.from, Edit::Leave { name, record }).await {
                // Somebody else took it away first; its text has the new name all the same.
                Err(e) if e.kind() == Kind::NotFound => {}
                left => left?,
            }
            locked(&self.tree).unbind(entry.located.record);
            self.become_record(way, node, &over, target);
            return Ok(());
        }
        if let Some(target) = &target {
            self.keep_for_handles(target).await;
        }
        self.check_add(&way.to).await?;
        self.check_remove(&way.to).await?;
        self.move_entry(way, entry, Some(over.entry.located.record)).await?;
        way.to.folder.clear_overlay(&way.to_name);
        self.become_record(way, node, entry, target);
        Ok(())
    }

    /// Says whether everything in a record was written by this user: a file that he has just made
    /// beside the one that it is to replace. Nobody else loses anything when it goes.
    pub(super) fn made_by_user(&self, seen: &super::sight::Seen) -> bool {
        let record = &seen.record;
        let me = self.records.keyring().public();
        record.statement.author == me && record.head.statements.iter().all(|s| s.author == me)
    }

    async fn check_remove_of(&self, folder: &Node, entry: &Entry) -> Result<()> {
        if self.may_remove(folder).await? == Sight::Open {
            return Ok(());
        }
        // Whoever may add may also take away what he has just made himself: a file that was
        // written beside the one that it is to replace.
        let (_, policy) = place_of(folder)?;
        let seen = self.see(entry.located, &policy, Duration::MAX).await?;
        if self.made_by_user(&seen) { Ok(()) } else { self.check_remove(folder).await }
    }

    /// Gives an entry its new name, in the place of the record `over` if that has it.
    async fn move_entry(&self, way: &Way, entry: &Entry, over: Option<RecordId>) -> Result<()> {
        let record = entry.located.record;
        let (from, to) = (way.from_name.clone(), way.to_name.clone());
        if way.from.ino == way.to.ino {
            return self.edit(&way.from, Edit::Rename { from, to, record, over }).await;
        }
        // Added first: a crash between the two leaves two names and loses none.
        let (name, entry) = (to.clone(), entry.clone());
        let give = match over {
            Some(_) => Edit::Put { name, entry },
            None => Edit::Add { name, entry },
        };
        self.edit(&way.to, give).await?;
        let left = self.edit(&way.from, Edit::Leave { name: from, record }).await;
        if left.as_ref().is_err_and(|e| e.kind() == Kind::NotFound) {
            // Somebody else moved it or took it away first: it is not to have two names.
            self.edit(&way.to, Edit::Leave { name: to, record }).await?;
        }
        left
    }

    async fn rename_folder(
        &self,
        way: &Way,
        node: &Arc<Node>,
        target: Option<Arc<Node>>,
    ) -> Result<()> {
        self.check_remove(&way.from).await?;
        self.check_add(&way.to).await?;
        self.check_not_below(node, &way.to)?;
        if let Some(target) = target {
            if target.kind != NodeKind::Directory {
                return Err(Error::new(Kind::NotDirectory, "the new name is a file's"));
            }
            self.remove_dir(way.to.ino, &way.to_name).await?;
        }
        let mut entry = self.entry_of(&way.from, &way.from_name).await?;
        let Stands::Directory { policy, .. } = node.stands() else {
            return Err(Error::new(Kind::NotDirectory, "this is not a folder"));
        };
        // What is in it stays under the policy that it was written under.
        let (_, inherited) = place_of(&way.to)?;
        if policy != inherited {
            entry.policy = Some(policy);
        }
        self.move_entry(way, &entry, None).await?;
        let spot = Spot { parent: way.to.ino, name: way.to_name.clone() };
        locked(&self.tree).move_to(node, spot);
        Ok(())
    }

    fn check_not_below(&self, moved: &Node, to: &Arc<Node>) -> Result<()> {
        let mut at = to.clone();
        loop {
            if at.ino == moved.ino {
                return Err(Error::new(Kind::Usage, "a folder cannot be moved into itself"));
            }
            if at.ino == Ino::ROOT {
                return Ok(());
            }
            at = self.node(at.spot().parent)?;
        }
    }
}

/// The record whose name a file takes.
struct Over {
    entry: Entry,
    /// How its name was taken away just before.
    gone: Option<Gone>,
}

impl Over {
    fn of(entry: Entry) -> Self {
        Self { entry, gone: None }
    }

    fn back(gone: Gone) -> Self {
        Self { entry: gone.entry.clone(), gone: Some(gone) }
    }
}

/// From where to where.
struct Way {
    from: Arc<Node>,
    from_name: Vec<u8>,
    to: Arc<Node>,
    to_name: Vec<u8>,
}
