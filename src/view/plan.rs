//! What a save writes: which sections of the text are new, and which of them somebody else changed
//! meanwhile.

use super::View;
use super::draft::Text;
use super::save::{CUT_MAX_BYTES, Pending, Views};
use super::sight::{Rendered, parts_of};
use crate::error::{Error, Kind, Result};
use crate::key::hash;
use crate::realm::policy::NAMES;
use crate::record::external::BodySource;
use crate::record::format::{
    FormatId, Measure, Merged, SectionText, Slot, is_doubled, join, merge, take_apart,
};
use crate::record::head::Content;
use crate::record::{Body, PolicyRef, Record, Sight, SlotWrite};
use std::collections::BTreeMap;
use std::sync::Arc;

impl View {
    /// Cuts a new text into the sections that it fills.
    pub(super) fn cut(&self, name: &[u8], pending: &Pending) -> (FormatId, Vec<SlotWrite>) {
        match &pending.text {
            Text::Memory(bytes) if bytes.len() as u64 <= CUT_MAX_BYTES => {
                let rules = self.rules.clone().with_seed(hash::random());
                let name = String::from_utf8_lossy(name);
                let (format, sections) = take_apart(bytes, &name, &rules);
                let writes = sections
                    .into_iter()
                    .map(|(slot, text)| write_of(format, slot, &text, pending.mtime_unix_ns, false))
                    .collect::<Vec<_>>();
                let writes = if writes.is_empty() { vec![whole(pending)] } else { writes };
                (format, writes)
            }
            Text::Memory(_) | Text::Spool(_) => (FormatId::Opaque, vec![whole(pending)]),
        }
    }

    /// Cuts the text of a file that was opaque. Its folder says of what format it is; who may not
    /// change that leaves it opaque.
    async fn cut_anew(
        &self,
        policy: &PolicyRef,
        pending: &Pending,
    ) -> Result<(FormatId, Vec<SlotWrite>)> {
        let (format, writes) = self.cut(b"", pending);
        let may_name = self.records.may_write(policy, NAMES).await? == Sight::Open;
        if format == FormatId::Opaque || may_name {
            return Ok((format, writes));
        }
        Ok((FormatId::Opaque, vec![whole(pending)]))
    }

    /// Decides what to write; `None` when somebody else changed the same section meanwhile.
    pub(super) async fn plan(
        &self,
        policy: &PolicyRef,
        record: &Record,
        views: Views<'_>,
        pending: &Pending,
    ) -> Result<Option<(FormatId, Vec<SlotWrite>)>> {
        let (Some(current), Text::Memory(bytes)) = (views.current, &pending.text) else {
            return self.plan_whole(policy, record, pending).await;
        };
        // What an earlier save of this workstation made of the base is the base of this one, though
        // the answer to that save was lost.
        let is_old = |base: &&Rendered| !self.records.was_tried(&base.record, record);
        let base = views.base.filter(is_old).unwrap_or(current);
        if base.format == FormatId::Opaque && self.commands(policy, FormatId::Opaque).await? {
            // It may have become a record that can be cut.
            let is_clash =
                contents(&base.record, Slot::DOCUMENTS) != contents(record, Slot::DOCUMENTS);
            return if is_clash {
                Ok(None)
            } else {
                Ok(Some(self.cut_anew(policy, pending).await?))
            };
        }
        let rules = self.rules.clone().with_seed(hash::random());
        let merged = merge(base.format, &base.base, &base.visible, bytes, &rules);
        let mut merged = match merged {
            Ok(merged) => merged,
            // Whoever sees and may write all of it loses nothing when it becomes something else.
            Err(e) if e.kind() == Kind::Usage && self.commands(policy, base.format).await? => {
                return Ok(Some(self.cut(b"", pending)));
            }
            Err(e) => return Err(e),
        };
        self.leave_out_spacing(policy, &mut merged).await?;
        if base.record.object_hash() != record.object_hash() {
            if !combine(base, current, &mut merged.changed) {
                return Ok(None);
            }
            let mut both = current.base.clone();
            both.extend(merged.changed.clone());
            let texts = [&base.bytes[..], &bytes[..], &current.bytes[..]];
            if is_doubled(base.format, texts, &join(base.format, &both), &rules) {
                return Ok(None);
            }
        }
        let format = base.format;
        let write = |append| {
            move |(slot, text): (&Slot, &SectionText)| {
                write_of(format, *slot, text, pending.mtime_unix_ns, append)
            }
        };
        let changed = merged.changed.iter().map(write(false));
        Ok(Some((format, changed.chain(merged.appended.iter().map(write(true))).collect())))
    }

    /// A tool that prints a file anew changes the white space of every section; of those that the
    /// user may not write, nothing is lost.
    async fn leave_out_spacing(&self, policy: &PolicyRef, merged: &mut Merged) -> Result<()> {
        for slot in std::mem::take(&mut merged.respaced) {
            if self.sights(policy, slot).await?.1 != Sight::Open {
                merged.changed.remove(&slot);
            }
        }
        Ok(())
    }

    /// A long text replaces everything, which only somebody may who sees and writes everything.
    async fn plan_whole(
        &self,
        policy: &PolicyRef,
        record: &Record,
        pending: &Pending,
    ) -> Result<Option<(FormatId, Vec<SlotWrite>)>> {
        let began_as = pending.base.as_ref().map(|b| &b.record).or(pending.copied.as_ref());
        let began_as = began_as.filter(|b| !self.records.was_tried(b, record));
        if began_as
            .is_some_and(|b| contents(b, Slot::DOCUMENTS) != contents(record, Slot::DOCUMENTS))
        {
            return Ok(None);
        }
        let format = crate::record::format_of(record.head.profile)?;
        if !self.commands(policy, format).await? {
            return Err(Error::new(Kind::Denied, "the text is too long for this record")
                .because("it would replace sections that you may not see or write"));
        }
        Ok(Some(self.cut(b"", pending)))
    }
}

/// Combines what this save changes with what somebody else changed in the same sections since
/// `base`, element by element; false when both changed the same element.
fn combine(base: &Rendered, current: &Rendered, changed: &mut BTreeMap<Slot, SectionText>) -> bool {
    let empty = SectionText::default();
    changed.iter_mut().all(|(slot, ours)| {
        if contents(&base.record, *slot) == contents(&current.record, *slot) {
            return true;
        }
        let of = |r: &Rendered| r.base.get(slot).unwrap_or(&empty).clone();
        match SectionText::combine(&of(base), ours, &of(current)) {
            Some(both) => {
                *ours = both;
                true
            }
            None => false,
        }
    })
}

pub(super) fn contents(record: &Record, slot: Slot) -> Vec<&Content> {
    parts_of(record, slot).iter().map(|p| &p.content).collect()
}

pub(super) fn write_of(
    format: FormatId,
    slot: Slot,
    text: &SectionText,
    mtime_unix_ns: i64,
    append: bool,
) -> SlotWrite {
    let body = if text.is_empty() { Vec::new() } else { text.encode(format) };
    let measure = text.measure(format);
    SlotWrite { slot: slot.0, body: Body::Bytes(body), measure, mtime_unix_ns, append }
}

/// Writes a text as the one section of an opaque file.
fn whole(pending: &Pending) -> SlotWrite {
    let text_len = pending.text.len();
    let body = match &pending.text {
        Text::Memory(bytes) => Body::Bytes(bytes.to_vec()),
        Text::Spool(spool) => Body::Source(spool.clone() as Arc<dyn BodySource>),
    };
    SlotWrite {
        slot: Slot::DOCUMENTS.0,
        body,
        measure: Measure { text_len, ..Measure::default() },
        mtime_unix_ns: pending.mtime_unix_ns,
        append: false,
    }
}
