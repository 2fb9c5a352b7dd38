//! What two workstations did at once. Of two texts none is lost: a text that cannot be merged is
//! kept beside the record, what was removed while it was edited comes back, and so does a folder in
//! which somebody made a file while it was removed.

use super::aside::marked_name;
use super::folder::{Edit, place_of};
use super::node::{Node, Spot};
use super::save::Pending;
use super::{Ino, View};
use crate::clock::date::format_unix_s;
use crate::clock::now_unix_s;
use crate::error::{Error, Kind, Result};
use crate::record::directory::Entry;
use crate::record::past::{Conflict, Removed};
use crate::record::{Located, PolicyRef, Record, RecordId};
use std::time::Duration;

/// How many names a copy tries, when others are made in the same second.
const NAMES_MAX: u32 = 100;
/// The longest name of a user or device within the name of a copy.
const LABEL_LEN_MAX: usize = 32;

impl View {
    /// Keeps a text that cannot be merged in a file of its own, beside the one it was meant for.
    pub(super) async fn save_conflict(
        &self,
        node: &Node,
        meant_for: Located,
        policy: &PolicyRef,
        pending: &Pending,
    ) -> Result<()> {
        let Spot { parent, name } = node.spot();
        let folder = self.node(parent)?;
        let (place, _) = place_of(&folder)?;
        let located = Located { birth: place.record, record: RecordId::random() };
        let record = self.create_record(located, policy, &name, pending).await?;
        let entry = Entry { located, profile: record.head.profile, policy: None };
        let version = match &pending.base {
            Some(base) => base.record.version(),
            None => self.load(meant_for, policy, Duration::MAX).await?.0.version(),
        };
        self.add_copy(&folder, &name, entry, Some((meant_for.record, version))).await.map(drop)
    }

    /// Gives a record its name, or when another workstation made the same name first, one beside
    /// it: both texts stay.
    pub(super) async fn add_or_copy(
        &self,
        folder: &Node,
        name: &[u8],
        entry: Entry,
    ) -> Result<Vec<u8>> {
        let add = Edit::Add { name: name.to_vec(), entry: entry.clone() };
        match self.edit(folder, add).await {
            Ok(()) => Ok(name.to_vec()),
            Err(e) if e.kind() == Kind::Exists => {
                let of = self.standing(folder, name).await?;
                Box::pin(self.add_copy(folder, name, entry, of)).await
            }
            Err(e) => Err(e),
        }
    }

    /// Gives a record that is in conflict with what stands under a name a name of its own.
    pub(super) async fn add_copy(
        &self,
        folder: &Node,
        name: &[u8],
        entry: Entry,
        of: Option<(RecordId, u64)>,
    ) -> Result<Vec<u8>> {
        let copy = entry.located.record;
        let name = self.add_beside(folder, name, &entry).await?;
        if let Some((original, version)) = of {
            let conflict = Conflict { copy, original, version };
            self.edit(folder, Edit::Copied { name: name.clone(), conflict }).await?;
        }
        tracing::warn!(alert = "conflict", record = %copy, "a conflict copy was made");
        Ok(name)
    }

    /// Returns which record stands under a name now, and in which version.
    pub(super) async fn standing(
        &self,
        folder: &Node,
        name: &[u8],
    ) -> Result<Option<(RecordId, u64)>> {
        match self.entry(folder, name, Duration::ZERO).await? {
            Some(entry) if !entry.is_directory() => {
                let (_, policy) = place_of(folder)?;
                let (record, _) = self.load(entry.located, &policy, Duration::ZERO).await?;
                Ok(Some((entry.located.record, record.version())))
            }
            _ => Ok(None),
        }
    }

    /// Adds an entry under the first name of a copy that is free.
    async fn add_beside(&self, folder: &Node, name: &[u8], entry: &Entry) -> Result<Vec<u8>> {
        let time = format_unix_s(now_unix_s()).replace(':', "-");
        let user = label(self.records.keyring().user_name());
        let mark = format!("conflict {user} {} {time}", label(&self.device));
        for count in 1..=NAMES_MAX {
            let mark = if count == 1 { format!(" ({mark})") } else { format!(" ({mark} {count})") };
            let name = marked_name(name, &mark);
            let add = Edit::Add { name: name.clone(), entry: entry.clone() };
            match self.edit(folder, add).await {
                Err(e) if e.kind() == Kind::Exists => {}
                done => return done.map(|()| name),
            }
        }
        Err(Error::new(Kind::Conflict, "no name for a conflict copy is free").hint("save again"))
    }

    /// After a save onto a record: its name must still be there. When somebody took it away
    /// meanwhile, it comes back: whoever removed it did not know this text.
    ///
    /// What waits in the journal is looked at when the bucket has it: see
    /// [`View::check_committed`].
    pub(super) async fn keep_named(&self, node: &Node, record: &Record) -> Result<()> {
        let Spot { parent, name } = node.spot();
        let folder = self.node(parent)?;
        if !self.records.is_pending(record.located) {
            return self.keep_named_at(&folder, &name, record, Duration::ZERO, || true).await;
        }
        self.check_later(parent, &name, record.located);
        match self.entry(&folder, &name, Duration::MAX).await? {
            Some(entry) if entry.located == record.located => {
                self.note_profile(&folder, &name, entry, record).await
            }
            _ => Ok(()),
        }
    }

    /// As [`View::keep_named`], by the folder and the name that the record had here.
    pub(super) async fn keep_named_at(
        &self,
        folder: &Node,
        name: &[u8],
        record: &Record,
        max_age: Duration,
        is_wanted: impl Fn() -> bool,
    ) -> Result<()> {
        let located = record.located;
        let entry = self.entry(folder, name, max_age).await?;
        let is_taken = match entry {
            Some(entry) if entry.located == located => {
                return self.note_profile(folder, name, entry, record).await;
            }
            other => other.is_some(),
        };
        let (place, policy) = place_of(folder)?;
        let removed = self.records.removed_names(place, &policy).await?;
        let Some(removed) = removed.into_iter().find(|r| r.entry.located == located) else {
            // It has another name now.
            return Ok(());
        };
        if !is_wanted() {
            return Ok(());
        }
        let entry = Entry { profile: record.head.profile, ..removed.entry };
        tracing::warn!(
            alert = "conflict",
            record = %located.record,
            "a record was removed elsewhere while it was edited here: it is back"
        );
        if !is_taken {
            let add = Edit::Add { name: name.to_vec(), entry: entry.clone() };
            match self.edit(folder, add).await {
                Err(e) if e.kind() == Kind::Exists => {}
                done => return done,
            }
        }
        self.add_copy(folder, name, entry, None).await.map(drop)
    }

    /// Keeps a record's profile in its folder's table up to date: the listing is decided by it.
    async fn note_profile(
        &self,
        folder: &Node,
        name: &[u8],
        entry: Entry,
        record: &Record,
    ) -> Result<()> {
        if entry.profile == record.head.profile {
            return Ok(());
        }
        let (record, profile) = (record.located.record, record.head.profile);
        self.edit(folder, Edit::Profile { name: name.to_vec(), record, profile }).await
    }

    /// Returns how a folder was removed from another one, or nothing when it is in it. Fails with
    /// `NotFound` when it is neither.
    async fn whereabouts(&self, parent: &Node, located: Located) -> Result<Option<Removed>> {
        let (above, policy) = place_of(parent)?;
        let removed = self.records.removed_names(above, &policy).await?;
        if let Some(removed) = removed.into_iter().find(|r| r.entry.located == located) {
            return Ok(Some(removed));
        }
        let names = self.records.names(above, &policy, Duration::MAX).await?;
        if names.table.0.values().any(|e| e.located == located) {
            return Ok(None);
        }
        Err(Error::new(Kind::NotFound, "the folder is not there any more"))
    }

    /// Brings a folder back that somebody removed while something was made in it.
    pub(super) async fn revive(&self, folder: &Node) -> Result<()> {
        let (located, policy) = place_of(folder)?;
        if folder.ino == Ino::ROOT {
            return self.records.reopen_directory(located, &policy).await;
        }
        let parent = self.node(folder.spot().parent)?;
        // One that was moved before it was removed is not looked for.
        self.whereabouts(&parent, located).await?;
        self.records.reopen_directory(located, &policy).await?;
        // Whoever removes it just now looks whether it is open after he took its name away.
        self.whereabouts(&parent, located).await?;
        self.add_removed(&parent, located).await
    }

    /// Gives what was removed from a folder its name back, when it was.
    pub(super) async fn add_removed(&self, parent: &Node, located: Located) -> Result<()> {
        let (above, policy) = place_of(parent)?;
        let removed = self.records.removed_names(above, &policy).await?;
        let Some(removed) = removed.into_iter().find(|r| r.entry.located == located) else {
            return Ok(());
        };
        tracing::warn!(
            alert = "conflict",
            record = %located.record,
            "what was removed while it was changed elsewhere is back"
        );
        let add = Edit::Add { name: removed.name.clone(), entry: removed.entry.clone() };
        match self.edit(parent, add).await {
            Err(e) if e.kind() == Kind::Exists => {
                self.add_beside(parent, &removed.name, &removed.entry).await.map(drop)
            }
            done => done,
        }
    }
}

/// Makes a part of a file name of the name of a user or device.
fn label(name: &str) -> String {
    let mut label = String::new();
    for c in name.chars() {
        let c = if c.is_alphanumeric() || "-_.@".contains(c) { c } else { '_' };
        if label.len() + c.len_utf8() > LABEL_LEN_MAX {
            break;
        }
        label.push(c);
    }
    if label.is_empty() { "unknown".to_owned() } else { label }
}

/// Returns the name of this workstation, without its domain.
pub(super) fn device_name() -> String {
    let host = nix::unistd::gethostname().unwrap_or_default();
    host.to_string_lossy().split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn a_label_holds_nothing_that_a_name_may_not_and_is_short() {
        assert_eq!(label("Dr. A/B (x)"), "Dr._A_B__x_");
        assert_eq!(label(""), "unknown");
        assert_eq!(label("pc-12"), "pc-12");
        assert!(label(&"\u{e4}".repeat(99)).len() <= 32);
        assert_eq!(label("a\nb"), "a_b");
    }
}
