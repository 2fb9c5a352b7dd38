//! Twins: what a research project sees of a section, made by whoever writes the section, in the same
//! commit.
//!
//! The twin of a section stands in a slot of its own, part for part beside its source, and its
//! signed content names the hash of the source content that it was made of. So a head in which a
//! source changed and its twin did not is no valid record: nobody shows it, nobody commits it, and
//! `check` tells it without a key. The names of a directory have a twin too, its pseudonyms.
//!
//! A twin's data key is derived from that of its source. Whoever can open the source finds the
//! twin in the region; whoever is given the twin learns nothing of the source.
//!
//! A section that was written before the policy released it has a twin of version 0, which says
//! nothing, until somebody who may write it commits.

use std::sync::Arc;

use super::commit::{Body, Built, Plan, SlotWrite, Under};
use super::directory::{NAMES_SLOT, PROJECT_SLOT, PSEUDONYMS_SLOT};
use super::format::{Measure, Slot};
use super::head::{Content, Head, Part, UncheckedRecord};
use super::open::Opened;
use super::project::Deriver;
use super::proof::vouching;
use super::{PolicyRef, Record, Records, Sight, section_name, slots_under};
use crate::error::{Error, Result};
use crate::key::hash;
use crate::key::policy::Policy;
use crate::key::secret::DataKey;
use crate::realm::Realm;
use crate::realm::policy::BoundPolicy;
use crate::realm::release::Release;
use crate::section::Place;

/// Which side of a record somebody sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facet {
    /// The sections themselves, under their names.
    Identified,
    /// De-identified twins, under pseudonyms.
    Research,
    /// The summary for emergencies, under the names.
    Emergency,
}

/// Says whether a slot follows from others, or exists only for what does.
pub(super) fn is_derived(slot: u16) -> bool {
    slot == PROJECT_SLOT || source_of(slot).is_some()
}

/// Returns the slot that the twin in this one is made of.
pub(super) fn source_of(slot: u16) -> Option<u16> {
    match slot {
        PSEUDONYMS_SLOT => Some(NAMES_SLOT),
        other => Slot(other).source().map(|source| source.0),
    }
}

/// Says whether a policy releases the twin of a slot to a project.
fn releases(policy: &BoundPolicy, source: u16, project: &str) -> bool {
    policy.released().is_some_and(|release| {
        let is_named = source == NAMES_SLOT || release.has(section_name(source));
        release.project == project && is_named
    })
}

/// Proves that every twin was made of what its source says now.
pub(super) async fn prove_twins(
    realm: &Realm,
    unchecked: &UncheckedRecord,
    policy: &BoundPolicy,
) -> Result<()> {
    let Some(release) = policy.released() else { return Ok(()) };
    let head = &unchecked.head;
    for entry in &head.slots {
        let Some(source) = source_of(entry.slot) else { continue };
        let source = parts_in(head, source);
        if source.len() != entry.parts.len() {
            return Err(stale(entry.slot));
        }
        for (twin, source) in entry.parts.iter().zip(source) {
            prove_twin(realm, unchecked, release, entry.slot, twin, source).await?;
        }
    }
    Ok(())
}

async fn prove_twin(
    realm: &Realm,
    unchecked: &UncheckedRecord,
    release: &Release,
    slot: u16,
    twin: &Part,
    source: &Part,
) -> Result<()> {
    let source_slot = source_of(slot).unwrap_or(slot);
    let is_released = async |part: &Part| -> Result<bool> {
        let named = &vouching(&unchecked.head, &unchecked.statement, part)?.policy;
        let policy = realm.policy(&named.hash, named.patient.as_ref()).await?;
        Ok(releases(&policy, source_slot, &release.project))
    };
    let is_of_it = twin.number == source.number
        && twin.content.previous == content_hash(&unchecked.head, source_slot, source);
    let (version, made_of) = (twin.content.version, source.content.version);
    let is_due = match version {
        0 => made_of == 0 || !is_released(source).await?,
        _ => version == made_of && is_released(twin).await?,
    };
    if is_of_it && is_due { Ok(()) } else { Err(stale(slot)) }
}

fn stale(slot: u16) -> Error {
    Error::damaged("a de-identified twin was not made of what its section says")
        .because(format!("section {}", section_name(slot)))
}

fn parts_in(head: &Head, slot: u16) -> &[Part] {
    head.slots.iter().find(|s| s.slot == slot).map_or(&[], |s| &s.parts)
}

fn content_hash(head: &Head, slot: u16, part: &Part) -> [u8; 32] {
    part.content.hash(&head.realm, head.record, slot, part.number)
}

/// Returns the data key of a twin at its place.
pub(super) fn twin_key(source: &DataKey, place: Place, project: &str) -> DataKey {
    let at = place.to_bytes();
    hash::hkdf(b"", source.expose(), &[b"chartfs1 twin", &at, project.as_bytes()])
}

impl Records {
    /// Returns which side of what is under a policy this user sees. The policy alone decides.
    ///
    /// # Errors
    /// `Integrity` when the policy is not proven.
    pub async fn facet(&self, policy: &PolicyRef) -> Result<Facet> {
        let bound = self.realm.policy(&policy.hash, policy.patient.as_ref()).await?;
        let sees = |policy: &Policy| self.sight(policy) != Sight::Closed;
        if bound.emergency().is_some_and(|emergency| emergency.is_only(sees)) {
            return Ok(Facet::Emergency);
        }
        let is_released = bound.released().is_some_and(|release| sees(&release.read));
        Ok(if !sees(&bound.list) && is_released { Facet::Research } else { Facet::Identified })
    }

    /// Returns the data key of a twin part, when the user can open what it was made of.
    pub(super) async fn key_by_source(
        &self,
        record: &Record,
        policy: &BoundPolicy,
        slot: u16,
        part: &Part,
    ) -> Result<Option<DataKey>> {
        let (Some(source), Some(release)) = (source_of(slot), policy.released()) else {
            return Ok(None);
        };
        let made_of = parts_in(&record.head, source).iter().find(|p| p.number == part.number);
        let Some(made_of) = made_of else { return Ok(None) };
        let opened = Box::pin(self.open_part(record, source, made_of)).await?;
        let place = super::open::place_of(record, slot, part);
        Ok(opened.map(|o| twin_key(&o.data_key, place, &release.project)))
    }

    /// Builds the twin of everything that the policy releases.
    pub(super) async fn build_twins(
        &self,
        plan: &Plan<'_>,
        policy: &BoundPolicy,
        deriver: &Deriver,
        built: &mut Vec<(u16, Vec<Built>)>,
    ) -> Result<()> {
        let Some(release) = policy.released() else { return Ok(()) };
        for slot in slots_under(plan.profile, policy)? {
            let Some(source) = source_of(slot) else { continue };
            let of = built.iter().find(|(s, _)| *s == source).map_or(&[][..], |(_, parts)| parts);
            let mut twins = Vec::with_capacity(of.len());
            for made_of in of {
                let realm = self.realm.id();
                let twin = Twin { realm, plan, policy, release, slot, source, made_of };
                twins.push(self.build_twin(&twin, deriver).await?);
            }
            built.push((slot, twins));
        }
        built.sort_by_key(|(slot, _)| *slot);
        Ok(())
    }

    async fn build_twin(&self, twin: &Twin<'_>, deriver: &Deriver) -> Result<Built> {
        let base = twin.plan.base.filter(|b| b.head.profile == twin.plan.profile);
        let mut old_extent = None;
        if let Some(base) = base
            && let Some(old) = twin.old_part(base)
        {
            let opened = self.open_part(base, twin.slot, old).await?;
            old_extent = opened.as_ref().map(|o| o.extent);
            if self.is_kept(twin, base, old).await? {
                return self.carry_twin(twin, base, old, opened).await;
            }
        }
        let is_new = twin.made_of.vouched.is_none();
        let rights = twin.policy.rights(section_name(twin.slot));
        let may_write = is_new || self.sight(&rights.write) == Sight::Open;
        let text = match (&twin.made_of.opened, may_write) {
            (Some(opened), true) => self.text_of(twin, base, opened, deriver).await?,
            _ => None,
        };
        let mut built = self.seal_twin(twin, text, is_new).await?;
        built.old_extent = old_extent;
        Ok(built)
    }

    /// Says whether the twin that is there goes on: its source is the same, and it was made for
    /// this project.
    async fn is_kept(&self, twin: &Twin<'_>, base: &Record, old: &Part) -> Result<bool> {
        let made_of = twin.content();
        if old.content.version != twin.made_of.part.content.version
            || old.content.previous != made_of
        {
            return Ok(false);
        }
        let named = &vouching(&base.head, &base.statement, old)?.policy;
        let policy = self.realm.policy(&named.hash, named.patient.as_ref()).await?;
        Ok(old.content.version == 0 || releases(&policy, twin.source, &twin.release.project))
    }

    async fn carry_twin(
        &self,
        twin: &Twin<'_>,
        base: &Record,
        old: &Part,
        opened: Option<Arc<Opened>>,
    ) -> Result<Built> {
        let mut built = Built {
            part: old.clone(),
            sealed: None,
            old_extent: opened.as_ref().map(|o| o.extent),
            policy: base.head.policies[usize::from(old.policy)].clone(),
            vouched: Some(vouching(&base.head, &base.statement, old)?.clone()),
            opened,
        };
        if let Some(opened) = built.opened.as_ref().filter(|_| built.policy != *twin.plan.policy) {
            let read = &twin.policy.rights(section_name(twin.slot)).read;
            built.part.wraps = self.wrap(read, opened.cipher.place(), &opened.data_key).await?;
            built.policy = twin.plan.policy.clone();
        }
        Ok(built)
    }

    /// Returns what the twin will say: made of what this commit writes, or of what is there and was
    /// not released before.
    async fn text_of(
        &self,
        twin: &Twin<'_>,
        base: Option<&Arc<Record>>,
        opened: &Opened,
        deriver: &Deriver,
    ) -> Result<Option<(Vec<u8>, Measure)>> {
        let part = &twin.made_of.part;
        if twin.made_of.vouched.is_none() {
            return Ok(deriver.written(twin.source));
        }
        let Some(base) = base else { return Ok(None) };
        let body = self.body_of(base, part, opened).await?;
        Ok(Some(deriver.derive(twin.source, &body).unwrap_or_default()))
    }

    /// Seals a twin. What cannot be de-identified, or not by this user, is left empty.
    async fn seal_twin(
        &self,
        twin: &Twin<'_>,
        text: Option<(Vec<u8>, Measure)>,
        is_new: bool,
    ) -> Result<Built> {
        let made_of = twin.made_of;
        let is_made = is_new || text.is_some();
        let version = if is_made { made_of.part.content.version } else { 0 };
        let (located, number) = (twin.plan.located, made_of.part.number);
        let (realm, record) = (self.realm.id(), located.record.0);
        let place = Place { realm, record, slot: twin.slot, part: number, version };
        let project = &twin.release.project;
        let data_key = match &made_of.opened {
            Some(source) => twin_key(&source.data_key, place, project),
            None => DataKey::random(),
        };
        let (body, measure) = text.filter(|_| version > 0).unwrap_or_default();
        let mtime_unix_ns = made_of.opened.as_ref().map_or(0, |o| o.extent.mtime_unix_ns);
        let (slot, append) = (twin.slot, false);
        let write = SlotWrite { slot, body: Body::Bytes(body), measure, mtime_unix_ns, append };
        let under = Under { located, policy: twin.plan.policy, bound: twin.policy };
        self.seal_at(under, place, data_key, twin.content(), write).await
    }
}

/// The twin of one part, to be built.
struct Twin<'a> {
    realm: [u8; 16],
    plan: &'a Plan<'a>,
    policy: &'a BoundPolicy,
    release: &'a Release,
    slot: u16,
    source: u16,
    made_of: &'a Built,
}

impl Twin<'_> {
    fn old_part<'b>(&self, base: &'b Record) -> Option<&'b Part> {
        parts_in(&base.head, self.slot).iter().find(|p| p.number == self.made_of.part.number)
    }

    /// Returns the hash of the content that the twin is made of.
    fn content(&self) -> [u8; 32] {
        let part = &self.made_of.part;
        let content: &Content = &part.content;
        content.hash(&self.realm, self.plan.located.record, self.source, part.number)
    }
}
