//! Moving what is in the bucket: an entry gets another name, or its text goes into the record that
//! has the name already.
//!
//! Within one table that is one commit. Otherwise it takes two, and must not be left half done: with
//! a journal both go to the disk together, without one the move is noted beforehand (see
//! `unfinished`).

use std::sync::Arc;
use std::time::Duration;

use super::folder::{Edit, Gone, Overlay, Removal, place_of};
use super::local::is_local_name;
use super::node::{Node, Spot, Stands};
use super::rename::{Over, Way};
use super::unfinished::{Move, Place};
use super::{Ino, NodeKind, View, locked};
use crate::error::{Error, Kind, Result};
use crate::record::directory::Entry;
use crate::record::{Located, RecordId, Sight};

impl View {
    pub(super) async fn rename_record(
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
    pub(super) fn check_same_policy(&self, way: &Way) -> Result<()> {
        if place_of(&way.from)?.1 == place_of(&way.to)?.1 {
            return Ok(());
        }
        Err(Error::new(Kind::OtherPolicy, "the two folders have different policies")
            .hint("copy the file, then remove it"))
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
            let record = entry.located.record;
            let over = self.as_one_move(way.noted(record)?, async {
                let over = self.text_over(way, over, text, time, target.as_ref()).await?;
                let leave = Edit::Leave { name: way.from_name.clone(), record };
                match self.edit(&way.from, leave).await {
                    // Somebody else took it away first; its text has the new name all the same.
                    Err(e) if e.kind() == Kind::NotFound => {}
                    left => left?,
                }
                Ok(over)
            });
            let over = Box::pin(over).await?;
            locked(&self.tree).unbind(record);
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
            let rename = Box::pin(self.edit(&way.from, Edit::Rename { from, to, record, over }));
            let (folder, _) = place_of(&way.from)?;
            return if self.records.is_split(folder) {
                self.as_one_move(way.noted(record)?, rename).await
            } else {
                rename.await
            };
        }
        let moved = Box::pin(self.move_between(way, entry, over));
        self.as_one_move(way.noted(record)?, moved).await
    }

    /// Gives an entry its name in another folder, and then takes the old one away.
    async fn move_between(&self, way: &Way, entry: &Entry, over: Option<RecordId>) -> Result<()> {
        let record = entry.located.record;
        let (from, to) = (way.from_name.clone(), way.to_name.clone());
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

    pub(super) async fn rename_folder(
        &self,
        way: &Way,
        node: &Arc<Node>,
        target: Option<Arc<Node>>,
    ) -> Result<()> {
        self.check_remove(&way.from).await?;
        self.check_add(&way.to).await?;
        self.check_not_below(node, &way.to)?;
        if target.as_ref().is_some_and(|target| target.kind != NodeKind::Directory) {
            return Err(Error::new(Kind::NotDirectory, "the new name is a file's"));
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
        let moved = self.records.realm().bucket().together(async {
            if target.is_some() {
                self.remove_dir(way.to.ino, &way.to_name).await?;
            }
            self.move_entry(way, &entry, None).await
        });
        Box::pin(moved).await?;
        let spot = Spot { parent: way.to.ino, name: way.to_name.clone() };
        locked(&self.tree).move_to(node, spot);
        Ok(())
    }

    pub(super) fn check_not_below(&self, moved: &Node, to: &Arc<Node>) -> Result<()> {
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

impl Way {
    /// Says which record goes this way, for whoever finds it half done.
    pub(super) fn noted(&self, record: RecordId) -> Result<Move> {
        let from = Place::of(&self.from, &self.from_name)?;
        Ok(Move { record, from, to: Place::of(&self.to, &self.to_name)?, exchanged: None })
    }
}
