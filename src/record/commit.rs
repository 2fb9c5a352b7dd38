//! Committing: one compare-and-swap of the record object, signed once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::assemble::{lay_out_parts, seal_extents};
use super::directory::NAMES_SLOT;
use super::external::BodySource;
use super::format::Measure;
use super::head::{PARTS_MAX, Part, UncheckedRecord, seal_head};
use super::meta::Extent;
use super::open::{Opened, Sight};
use super::proof::{prove_follows, vouching};
use super::statement::Statement;
use super::twin::source_of;
use super::{DIRECTORY_PROFILE, Located, PolicyRef, Record, Records, section_name, slots_under};
use crate::error::{Error, Kind, Result};
use crate::realm::policy::BoundPolicy;
use crate::store::{Condition, Put};
use crate::wire::Writer;

/// The plaintext of a section that is to be written.
#[derive(Clone)]
pub enum Body {
    /// In memory.
    Bytes(Vec<u8>),
    /// Too large for that.
    Source(Arc<dyn BodySource>),
}

impl Body {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Source(source) => source.len_bytes(),
        }
    }
}

/// A section that a commit changes.
#[derive(Clone)]
pub struct SlotWrite {
    /// Which slot.
    pub slot: u16,
    /// What it will say.
    pub body: Body,
    /// What it adds to a caller's view.
    pub measure: Measure,
    /// When it was changed, as programs see it.
    pub mtime_unix_ns: i64,
    /// Whether it stands beside what is there: the way to write what one may not read.
    pub append: bool,
}

impl SlotWrite {
    /// Writes a section as empty: a new record gets one for every section that its maker may
    /// write, so that a section's version does not tell whether it was filled.
    pub(super) fn empty(slot: u16) -> Self {
        let (body, measure) = (Body::Bytes(Vec::new()), Measure::default());
        Self { slot, body, measure, mtime_unix_ns: 0, append: false }
    }
}

/// How a commit ended.
pub enum Committed {
    /// The record is stored, in this version.
    Done(Arc<Record>),
    /// Somebody else committed first: load again and decide.
    Moved,
}

/// A part under construction: its bytes in the head, and its body if that is new and inline.
pub(super) struct Built {
    pub(super) part: Part,
    pub(super) opened: Option<Arc<Opened>>,
    pub(super) sealed: Option<Vec<u8>>,
    pub(super) old_extent: Option<Extent>,
    /// The policy that its wraps were made under.
    pub(super) policy: PolicyRef,
    /// The statement that vouches for it, when it is not this commit's.
    pub(super) vouched: Option<Statement>,
}

/// Where a new section version will stand, and under which policy.
#[derive(Clone, Copy)]
pub(super) struct Under<'a> {
    pub(super) located: Located,
    pub(super) policy: &'a PolicyRef,
    pub(super) bound: &'a BoundPolicy,
}

/// What a commit is made of besides the sections.
pub(super) struct Plan<'a> {
    pub(super) located: Located,
    pub(super) profile: u8,
    pub(super) base: Option<&'a Arc<Record>>,
    pub(super) policy: &'a PolicyRef,
    pub(super) keeps_history: bool,
    pub(super) touched_unix_ns: Option<i64>,
}

impl Records {
    /// Makes a new record.
    ///
    /// # Errors
    /// `Denied` when the policy lets the user not write one of the sections.
    pub async fn create(
        &self,
        located: Located,
        profile: u8,
        policy: &PolicyRef,
        writes: Vec<SlotWrite>,
    ) -> Result<Arc<Record>> {
        let plan = Plan {
            located,
            profile,
            base: None,
            policy,
            keeps_history: false,
            touched_unix_ns: None,
        };
        match self.commit_plan(&plan, writes).await? {
            Committed::Done(record) => Ok(record),
            Committed::Moved => Err(Error::new(Kind::Conflict, "the record exists already")),
        }
    }

    /// Commits changes on top of `base`, which may turn it into another profile.
    ///
    /// # Errors
    /// `Denied` when the policy lets the user not write one of the sections.
    pub async fn commit(
        &self,
        base: &Arc<Record>,
        profile: u8,
        policy: &PolicyRef,
        writes: Vec<SlotWrite>,
        keeps_history: bool,
    ) -> Result<Committed> {
        let located = base.located;
        let base = Some(base);
        let plan = Plan { located, profile, base, policy, keeps_history, touched_unix_ns: None };
        self.commit_plan(&plan, writes).await
    }

    /// As [`Records::commit`], and sets the time that programs see on every section that the user
    /// can open, changed or not.
    ///
    /// # Errors
    /// Those of [`Records::commit`].
    pub async fn commit_at(
        &self,
        base: &Arc<Record>,
        profile: u8,
        policy: &PolicyRef,
        writes: Vec<SlotWrite>,
        mtime_unix_ns: i64,
    ) -> Result<Committed> {
        let plan = Plan {
            located: base.located,
            profile,
            base: Some(base),
            policy,
            keeps_history: true,
            touched_unix_ns: Some(mtime_unix_ns),
        };
        self.commit_plan(&plan, writes).await
    }

    /// Sets the time that programs see on every section that the user can open.
    ///
    /// # Errors
    /// Those of [`Records::commit`].
    pub async fn touch(
        &self,
        base: &Arc<Record>,
        policy: &PolicyRef,
        mtime_unix_ns: i64,
    ) -> Result<Committed> {
        let plan = Plan {
            located: base.located,
            profile: base.head.profile,
            base: Some(base),
            policy,
            keeps_history: false,
            touched_unix_ns: Some(mtime_unix_ns),
        };
        self.commit_plan(&plan, Vec::new()).await
    }

    async fn commit_plan(&self, plan: &Plan<'_>, writes: Vec<SlotWrite>) -> Result<Committed> {
        let policy = self.realm.policy(&plan.policy.hash, plan.policy.patient.as_ref()).await?;
        for write in &writes {
            self.check_write(&policy, write.slot)?;
        }
        // What its writer cannot read back cannot be merged later: it does not wait here.
        let is_blind = writes.iter().any(|w| w.append);
        let mut writes: BTreeMap<u16, SlotWrite> =
            writes.into_iter().map(|w| (w.slot, w)).collect();
        let (project, key) = match plan.profile {
            DIRECTORY_PROFILE => {
                let changes_names = writes.contains_key(&NAMES_SLOT);
                self.project_write(plan, &policy, changes_names).await?
            }
            _ => (None, None),
        };
        let deriver = self.deriver(plan, &policy, project, &writes).await?;
        writes.extend(key.map(|w| (w.slot, w)));
        let mut built = Vec::new();
        for slot in slots_under(plan.profile, &policy)? {
            if policy.released().is_some() && source_of(slot).is_some() {
                continue;
            }
            let write = writes.remove(&slot);
            let old = plan.base.filter(|b| b.head.profile == plan.profile);
            built.push((slot, self.build_slot(plan, &policy, old, slot, write).await?));
        }
        self.build_twins(plan, &policy, &deriver, &mut built).await?;
        if let Some(slot) = writes.keys().next() {
            return Err(Error::new(
                Kind::Internal,
                format!("section {} is not of this record's format", section_name(*slot)),
            ));
        }
        self.store(plan, built, is_blind).await
    }

    fn check_write(&self, policy: &BoundPolicy, slot: u16) -> Result<()> {
        let name = section_name(slot);
        let rights = policy.rights(name);
        match self.sight(&rights.write) {
            Sight::Open => {}
            Sight::Expired => {
                return Err(Error::new(
                    Kind::CredentialExpired,
                    format!("{name} cannot be written"),
                )
                .because("the certificate behind your attribute has ended")
                .hint("ask the authority to issue it again"));
            }
            Sight::Closed => {
                return Err(Error::new(Kind::Denied, format!("you may not write {name}"))
                    .because(format!("it needs {}", rights.write))
                    .hint("what you may write in a folder: chartfs policy explain"));
            }
        }
        if rights.read.clauses().is_empty() {
            return Err(Error::new(Kind::Denied, format!("{name} cannot be written here"))
                .because("the policy lets nobody read it: what is written would be lost"));
        }
        Ok(())
    }

    async fn build_slot(
        &self,
        plan: &Plan<'_>,
        policy: &BoundPolicy,
        old: Option<&Arc<Record>>,
        slot: u16,
        write: Option<SlotWrite>,
    ) -> Result<Vec<Built>> {
        let mut parts = match old {
            Some(base) => self.carry_slot(plan, policy, base, slot).await?,
            None => Vec::new(),
        };
        let at = Under { located: plan.located, policy: plan.policy, bound: policy };
        let write = write.or_else(|| {
            let rights = policy.rights(section_name(slot));
            let may = self.sight(&rights.write) == Sight::Open && !rights.read.clauses().is_empty();
            (parts.is_empty() && may).then(|| SlotWrite::empty(slot))
        });
        let Some(write) = write else {
            if parts.is_empty() {
                parts.push(self.seal_part(at, slot, 0, None, None).await?);
            }
            return Ok(parts);
        };
        if write.append && !parts.is_empty() {
            let last = parts.last().map_or(0, |p| p.part.number);
            let number = last.checked_add(1).filter(|_| parts.len() < PARTS_MAX);
            let number = number.ok_or_else(|| {
                Error::new(Kind::NoSpace, format!("{} is full", section_name(slot)))
                    .because(format!("{PARTS_MAX} additions wait for somebody who can read them"))
                    .hint("it has room again when a reader who may write it saves it")
            })?;
            parts.push(self.seal_part(at, slot, number, Some(write), None).await?);
            return Ok(parts);
        }
        let before = parts.into_iter().next();
        Ok(vec![self.seal_part(at, slot, 0, Some(write), before).await?])
    }

    /// Carries the parts of a slot over; wraps that were made under another policy than the one in
    /// force are made again by whoever can open the part.
    async fn carry_slot(
        &self,
        plan: &Plan<'_>,
        policy: &BoundPolicy,
        base: &Arc<Record>,
        slot: u16,
    ) -> Result<Vec<Built>> {
        let entry = base.head.slots.iter().find(|s| s.slot == slot);
        let mut parts = Vec::new();
        for part in entry.map_or(&[][..], |e| &e.parts) {
            let opened = self.open_part(base, slot, part).await?;
            let mut built = Built {
                part: part.clone(),
                sealed: None,
                old_extent: opened.as_ref().map(|o| o.extent),
                policy: base.head.policies[usize::from(part.policy)].clone(),
                vouched: Some(vouching(&base.head, &base.statement, part)?.clone()),
                opened,
            };
            if let Some(opened) = built.opened.as_ref().filter(|_| built.policy != *plan.policy) {
                let read = &policy.rights(section_name(slot)).read;
                built.part.wraps = self.wrap(read, opened.cipher.place(), &opened.data_key).await?;
                built.policy = plan.policy.clone();
            }
            parts.push(built);
        }
        Ok(parts)
    }

    async fn store(
        &self,
        plan: &Plan<'_>,
        mut built: Vec<(u16, Vec<Built>)>,
        is_blind: bool,
    ) -> Result<Committed> {
        let layout = lay_out_parts(plan.base, &built);
        seal_extents(&mut built, &layout, plan.touched_unix_ns);
        let head = self.head(plan, &mut built, &layout)?;
        let (head_bytes, head_hash) = seal_head(&head)?;
        let statement = self.sign(plan, &head, head_hash, &built);
        let mut w = Writer::new();
        w.bytes(&head_bytes);
        statement.write(&mut w);
        w.bytes(&layout.region);
        let object = bytes::Bytes::from(w.into_bytes());
        // What a reader would refuse is refused here, before it replaces what readers accept.
        let unchecked = UncheckedRecord::parse(&object)
            .map_err(|e| Error::new(Kind::NoSpace, "the record is over a limit").because(e))?;
        let proof = self.prover.prove(&self.realm, plan.located, &unchecked).await?;
        if let Some(base) = plan.base {
            prove_follows(&base.mark(), &unchecked.mark(), &proof).map_err(|e| {
                Error::new(Kind::Denied, "the file cannot become one of another format")
                    .because(e)
                    .hint("it needs the right to remove it, or to write every section in it")
            })?;
        }
        if let Some(base) = plan.base.filter(|_| plan.keeps_history) {
            self.keep_history(base).await?;
        }
        let condition = match plan.base {
            Some(base) => Condition::Matches(base.etag.clone()),
            None => Condition::Absent,
        };
        let name = plan.located.object();
        let bucket = self.realm.bucket();
        let put = if is_blind {
            bucket.put_through(&name, object, condition).await
        } else {
            bucket.put(&name, object, condition).await
        };
        if let (Err(_), Some(base)) = (&put, plan.base) {
            self.note_tried(base, unchecked.object_hash);
        }
        match put? {
            Put::Refused => {
                self.forget(plan.located.record);
                Ok(Committed::Moved)
            }
            Put::Stored(etag) => {
                // What waits in the journal may still be merged with what somebody else wrote:
                // its mark is made when it comes from the bucket.
                if !etag.is_pending() {
                    self.marks.raise(plan.located.record, unchecked.mark());
                }
                let record = Arc::new(Record::new(plan.located, unchecked, etag, &proof));
                self.keep(record.clone());
                Ok(Committed::Done(record))
            }
        }
    }
}

pub(super) fn too_many(what: &str) -> Error {
    Error::new(Kind::NoSpace, "the record is over a limit")
        .because(format!("it has too many {what}"))
        .hint("copy the file to a new name")
}
