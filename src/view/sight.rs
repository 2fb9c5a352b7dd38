//! What of a record this user sees: the open sections, and from their sealed metadata the exact
//! size and time of the view; from their bodies its text.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::folder::place_of;
use super::node::{Node, Spot, Stands};
use super::{View, locked};
use crate::error::{Error, Kind, Result};
use crate::record::format::{
    FormatId, SectionText, Sections, Slot, announce, announced_len, join, slots_of,
};
use crate::record::head::Part;
use crate::record::{
    DIRECTORY_PROFILE, Located, Opened, PolicyRef, Record, Sight, format_of, section_name,
};

/// The sections of a record that are open to the user.
pub(super) struct Seen {
    pub(super) record: Arc<Record>,
    /// The policy in force in its folder, as far as it is known now.
    pub(super) policy: PolicyRef,
    pub(super) format: FormatId,
    pub(super) open: Vec<(Slot, Vec<Arc<Opened>>)>,
    /// Whether a section that is closed to the user may say something.
    pub(super) hides: bool,
    /// Sections closed to the user that the policy announces, filled or not.
    pub(super) announced: Vec<Slot>,
}

/// The text of a view, and what it was made of.
pub(super) struct Rendered {
    pub(super) record: Arc<Record>,
    pub(super) format: FormatId,
    pub(super) base: Sections,
    pub(super) visible: BTreeSet<Slot>,
    pub(super) bytes: Bytes,
}

impl Seen {
    /// Returns the exact size of the view; `None` when only its text tells.
    fn measured_len(&self) -> Option<u64> {
        let measures = self.open.iter().flat_map(|(slot, parts)| {
            parts.iter().map(|p| {
                let mut measure = p.meta.measure;
                if self.format == FormatId::Opaque {
                    measure.text_len = p.meta.body_len;
                }
                (*slot, measure)
            })
        });
        announced_len(self.format, &measures.collect::<Vec<_>>(), &self.announced)
    }

    /// Returns when a section that the user sees was last changed.
    pub(super) fn mtime_unix_ns(&self) -> i64 {
        let times = self.open.iter().flat_map(|(_, parts)| parts.iter());
        times.map(|p| p.extent.mtime_unix_ns).max().unwrap_or(0)
    }

    /// Returns the version of the record which the newest change of what the user sees has made.
    pub(super) fn changed_in(&self) -> u64 {
        let record = &self.record;
        let visible = self.open.iter().flat_map(|(slot, _)| parts_of(record, *slot));
        visible.map(|p| record.vouching(p).version).max().unwrap_or(0)
    }

    /// Returns the one long section of an opaque file, when that is an object of its own.
    pub(super) fn external(&self) -> Option<(&Part, &Arc<Opened>)> {
        let (slot, opened) = self.open.first().filter(|_| self.format == FormatId::Opaque)?;
        let parts = parts_of(&self.record, *slot);
        let (part, opened) = (parts.first()?, opened.first()?);
        (parts.len() == 1 && part.content.is_external()).then_some((part, opened))
    }
}

pub(super) fn parts_of(record: &Record, slot: Slot) -> &[Part] {
    let entry = record.head.slots.iter().find(|s| s.slot == slot.0);
    entry.map_or(&[], |e| &e.parts)
}

impl View {
    /// Loads a record and opens what the policy in force, and the one that each part was wrapped
    /// under, let the user see.
    pub(super) async fn see(
        &self,
        located: Located,
        policy: &PolicyRef,
        max_age: Duration,
    ) -> Result<Seen> {
        let (record, policy) = self.load(located, policy, max_age).await?;
        self.sight_of(record, &policy).await
    }

    /// Loads a record, at most `max_age` old, and returns the policy in force in its folder: the
    /// one that is known, or one that replaced it. Whoever wrote the record may know of a newer one
    /// than this workstation, which then asks the folder; only the folder says what is in force.
    pub(super) async fn load(
        &self,
        located: Located,
        policy: &PolicyRef,
        max_age: Duration,
    ) -> Result<(Arc<Record>, PolicyRef)> {
        let refused = match self.records.load(located, policy, max_age).await {
            Err(e) if e.kind() == Kind::Integrity => e,
            loaded => return Ok((loaded?, policy.clone())),
        };
        let Some(newer) = self.newer_policy(located, policy).await? else { return Err(refused) };
        Ok((self.records.load(located, &newer, max_age).await?, newer))
    }

    /// Asks the folder of a file whether its policy was replaced.
    async fn newer_policy(
        &self,
        located: Located,
        policy: &PolicyRef,
    ) -> Result<Option<PolicyRef>> {
        let node = locked(&self.tree).find(located.record);
        let (folder, name) = match &node {
            Some(node) => {
                let Spot { parent, name } = node.spot();
                (self.node(parent)?, name)
            }
            None => self.folder_of(located).await?,
        };
        self.entry(&folder, &name, Duration::ZERO).await?;
        let (_, newer) = place_of(&folder)?;
        if newer == *policy {
            return Ok(None);
        }
        if let Some(node) = node.filter(|node| node.stands().is_record()) {
            node.set_stands(Stands::Record { located, policy: newer.clone() });
        }
        Ok(Some(newer))
    }

    /// Returns the folder of a record that no node stands for, and its name there: where it was
    /// taken away just before, where it is named, or where it was made.
    async fn folder_of(&self, located: Located) -> Result<(Arc<Node>, Vec<u8>)> {
        let folders = locked(&self.tree).folders();
        let taken = folders.into_iter().find_map(|folder| {
            let mut gone = folder.folder.gone().into_iter();
            let (name, _) = gone.find(|(_, gone)| gone.entry.located == located)?;
            Some((folder, name))
        });
        if let Some(taken) = taken {
            return Ok(taken);
        }
        match self.find_name(located.record).await? {
            Some(found) => Ok(found),
            None => Ok((self.find_folder(located.birth).await?, Vec::new())),
        }
    }

    /// Opens what the user may see of a record.
    pub(super) async fn sight_of(&self, record: Arc<Record>, policy: &PolicyRef) -> Result<Seen> {
        let format = format_of(record.head.profile)?;
        let bound = self.records.realm().policy(&policy.hash, policy.patient.as_ref()).await?;
        let (mut open, mut announced) = (Vec::new(), Vec::new());
        let (mut hides, mut expired) = (false, false);
        for entry in &record.head.slots {
            let sight = self.records.may_read(policy, section_name(entry.slot)).await?;
            let parts = match sight {
                Sight::Open => self.records.open_slot(&record, entry.slot).await?,
                Sight::Expired | Sight::Closed => None,
            };
            expired |= sight == Sight::Expired;
            if parts.is_none() && bound.rights(section_name(entry.slot)).announce {
                announced.push(Slot(entry.slot));
            }
            match parts {
                Some(parts) => open.push((Slot(entry.slot), parts)),
                None => hides |= entry.parts.iter().any(|p| p.content.version > 0),
            }
        }
        if open.is_empty() && expired {
            return Err(Error::new(Kind::CredentialExpired, "the record is closed to you")
                .because("the certificates behind your attributes have ended")
                .hint("ask the authority to issue them again: chartfs credential list"));
        }
        Ok(Seen { record, policy: policy.clone(), format, open, hides, announced })
    }

    /// Opens the bodies of what the user sees and joins them to the text of the view.
    pub(super) async fn render(&self, seen: &Seen) -> Result<Rendered> {
        let mut base = Sections::new();
        for (slot, opened) in &seen.open {
            let mut text = SectionText::default();
            for (part, opened) in parts_of(&seen.record, *slot).iter().zip(opened) {
                let body = self.body(&seen.record, part, opened).await?;
                if !body.is_empty() {
                    text.items.extend(SectionText::decode(seen.format, &body)?.items);
                }
            }
            if opened.len() > 1 {
                text.items.sort_by(|a, b| (a.container, &a.rank).cmp(&(b.container, &b.rank)));
            }
            if !text.is_empty() {
                base.insert(*slot, text);
            }
        }
        announce(seen.format, &mut base, &seen.announced);
        let bytes = Bytes::from(join(seen.format, &base));
        if seen.measured_len().is_some_and(|len| len != bytes.len() as u64) {
            return Err(Error::damaged("a view has another size than its sections say"));
        }
        let visible = seen.open.iter().map(|(slot, _)| *slot).collect();
        Ok(Rendered { record: seen.record.clone(), format: seen.format, base, visible, bytes })
    }

    /// Returns the exact size of the view of a record.
    pub(super) async fn size_bytes(&self, seen: &Seen) -> Result<u64> {
        match seen.measured_len() {
            Some(len) => Ok(len),
            None => Ok(self.render(seen).await?.bytes.len() as u64),
        }
    }

    async fn body(&self, record: &Record, part: &Part, opened: &Opened) -> Result<Vec<u8>> {
        if part.content.is_external() {
            self.records.read_external(part, opened, 0..opened.meta.body_len).await
        } else {
            self.records.inline_body(record, part, opened)
        }
    }

    /// Says whether the policy lets the user read or write anything of a file: others do not see
    /// its name. Only the policy decides, never what the file holds.
    pub(super) async fn is_listed(&self, profile: u8, policy: &PolicyRef) -> Result<bool> {
        if profile == DIRECTORY_PROFILE {
            return self.is_folder_listed(policy).await;
        }
        for slot in slots_of(format_of(profile)?) {
            let (read, write) = self.sights(policy, *slot).await?;
            if read != Sight::Closed || write != Sight::Closed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn is_folder_listed(&self, policy: &PolicyRef) -> Result<bool> {
        let bound = self.records.realm().policy(&policy.hash, policy.patient.as_ref()).await?;
        let rights = [&bound.list, &bound.add, &bound.manage];
        Ok(rights.into_iter().any(|p| self.records.sight(p) != Sight::Closed))
    }

    /// Returns what the policy says of reading and writing a section.
    pub(super) async fn sights(&self, policy: &PolicyRef, slot: Slot) -> Result<(Sight, Sight)> {
        let name = section_name(slot.0);
        Ok((
            self.records.may_read(policy, name).await?,
            self.records.may_write(policy, name).await?,
        ))
    }

    /// Says whether the user may read and write every section of a format.
    pub(super) async fn commands(&self, policy: &PolicyRef, format: FormatId) -> Result<bool> {
        for slot in slots_of(format) {
            if self.sights(policy, *slot).await? != (Sight::Open, Sight::Open) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Says whether the user may write any section of a format.
    pub(super) async fn may_write_any(
        &self,
        policy: &PolicyRef,
        format: FormatId,
    ) -> Result<Sight> {
        let mut best = Sight::Closed;
        for slot in slots_of(format) {
            match self.sights(policy, *slot).await?.1 {
                Sight::Open => return Ok(Sight::Open),
                Sight::Expired => best = Sight::Expired,
                Sight::Closed => {}
            }
        }
        Ok(best)
    }
}
