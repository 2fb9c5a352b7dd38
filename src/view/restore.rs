//! Bringing back: an old version of what the user may write, and a name that was taken away.

use std::time::Duration;

use bytes::Bytes;

use super::draft::Text;
use super::folder::{Edit, place_of};
use super::node::Stands;
use super::sight::{Rendered, Seen};
use super::stream::Stream;
use super::{Ino, Saved, View};
use crate::error::{Error, Kind, Result};
use crate::record::directory::check_name;
use crate::record::format::{Sections, Slot, join};
use crate::record::{Located, PolicyRef, RecordId, Sight};

impl View {
    /// Brings an old version of a file back, the one before the newest unless another is named: as
    /// a save of its text, so that what the user does not see or may not write stays as it is; or
    /// as a file of its own.
    ///
    /// # Errors
    /// `NotFound` when there is no such version; `Exists` when the new name is taken; those of a
    /// save.
    pub async fn restore_version(
        &self,
        parent: Ino,
        name: &[u8],
        version: Option<u64>,
        new_name: Option<&[u8]>,
    ) -> Result<Saved> {
        let node = self.child(parent, name).await?;
        let Stands::Record { located, policy } = node.stands() else {
            return Err(Error::new(Kind::IsDirectory, "only files have versions to bring back")
                .hint("names of a folder come back one by one: chartfs restore FOLDER/NAME"));
        };
        let now = self.see(located, &policy, Duration::ZERO).await?;
        let old = self.version(located, &now.policy, version).await?;
        let Some(new_name) = new_name else {
            let text = self.merged_text(&now.policy, &old, &now).await?;
            return self.store_text(parent, name, &text).await;
        };
        check_name(new_name)?;
        if self.child(parent, new_name).await.is_ok() {
            return Err(Error::new(Kind::Exists, "the new name exists already"));
        }
        let text = self.whole_text(&old).await?;
        self.store_text(parent, new_name, &text).await
    }

    async fn version(
        &self,
        located: Located,
        policy: &PolicyRef,
        version: Option<u64>,
    ) -> Result<Seen> {
        let history = self.file_history(located, policy).await?;
        let newest = history.versions.first().map_or(0, |v| v.version);
        let wanted = version.unwrap_or(newest.saturating_sub(1));
        let Some(found) = history.versions.iter().find(|v| v.version == wanted) else {
            let none = Error::new(Kind::NotFound, "there is no such version");
            return Err(match history.missing {
                Some(missing) => none.because(missing),
                None => none.because(format!("you see versions 1 to {newest}")),
            });
        };
        if wanted == newest {
            return self.see(located, policy, Duration::MAX).await;
        }
        let record = self.records.kept(located, policy, found.record_version).await?;
        self.sight_of(std::sync::Arc::new(record), policy).await
    }

    async fn whole_text(&self, seen: &Seen) -> Result<Text> {
        match seen.external() {
            Some((part, opened)) => {
                let stream = Stream::new(part.clone(), opened.clone());
                stream.to_draft(&self.records).await?.text()
            }
            None => Ok(Text::Memory(self.render(seen).await?.bytes)),
        }
    }

    /// Returns the old text of what the user may write, within the newest text of everything else
    /// that he sees.
    async fn merged_text(&self, policy: &PolicyRef, old: &Seen, now: &Seen) -> Result<Text> {
        let mut kept = Vec::new();
        for (slot, _) in &now.open {
            let may = self.sights(policy, *slot).await?.1 == Sight::Open;
            if !may || !old.open.iter().any(|(s, _)| s == slot) {
                kept.push(*slot);
            }
        }
        if kept.is_empty() {
            return self.whole_text(old).await;
        }
        let other = || {
            Error::new(Kind::Denied, "the old version cannot take the place of the newest")
                .because("the file has another form now, and you may not write all of it")
                .hint("bring it back beside the file: chartfs restore PATH --as NAME")
        };
        if old.format != now.format || old.external().is_some() || now.external().is_some() {
            return Err(other());
        }
        if kept.len() == now.open.len() {
            return Err(Error::new(Kind::Denied, "you may not change this record"));
        }
        let (old, now) = (self.render(old).await?, self.render(now).await?);
        mix(&old, &now, &kept).map(Text::Memory).ok_or_else(other)
    }

    /// Puts a name back that was taken out of a folder: the one of that record, or the one that was
    /// removed last.
    ///
    /// # Errors
    /// `NotFound` when no such name was removed; `Exists` when it is taken; `Denied` when the
    /// policy lets the user not add.
    pub async fn restore_name(
        &self,
        parent: Ino,
        name: &[u8],
        record: Option<RecordId>,
        new_name: Option<&[u8]>,
    ) -> Result<()> {
        let new_name = new_name.unwrap_or(name);
        check_name(new_name)?;
        let folder = self.node(parent)?;
        let mut removed = self.removed_entries(parent).await?.into_iter();
        self.check_add(&folder).await?;
        let (_, policy) = place_of(&folder)?;
        let is_it = |id: RecordId| record.is_none_or(|wanted| wanted == id);
        let found = removed.find(|r| r.name == name && is_it(r.entry.located.record));
        let found = found.ok_or_else(|| {
            Error::new(Kind::NotFound, "no such name was removed from the folder")
                .hint("chartfs history FOLDER --removed")
        })?;
        // What is named again is there, and proven.
        let in_force = found.entry.policy.as_ref().unwrap_or(&policy);
        self.records.load(found.entry.located, in_force, Duration::ZERO).await?;
        let add = Edit::Add { name: new_name.to_vec(), entry: found.entry };
        self.edit(&folder, add).await?;
        folder.folder.clear_overlay(new_name);
        folder.forget_attr();
        Ok(())
    }
}

/// Joins the old sections, and of `kept` the newest, to one text; `None` when they do not fit.
fn mix(old: &Rendered, now: &Rendered, kept: &[Slot]) -> Option<Bytes> {
    let mut sections = Sections::new();
    for slot in &now.visible {
        let from = if kept.contains(slot) { now } else { old };
        if let Some(text) = from.base.get(slot) {
            sections.insert(*slot, text.clone());
        }
    }
    let frames = [old, now].map(|r| r.base.get(&Slot::FRAME));
    for frame in frames.into_iter().flatten() {
        sections.insert(Slot::FRAME, frame.clone());
        if crate::record::format::is_whole(&sections) {
            return Some(join(old.format, &sections).into());
        }
    }
    None
}
