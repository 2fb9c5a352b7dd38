//! Research projects: the key that their pseudonyms are made with, and what is made with it.
//!
//! The key stands in a directory, sealed for whoever writes what is released or names something
//! there: they derive twins and pseudonyms. Who reads those has no key, and so cannot try names or
//! numbers. A directory that is made in another one takes over its key, so that a patient has one
//! pseudonym all over the project; the root makes one when it is first written, and so does a
//! directory that is given a policy of its own.
//!
//! Bytes of the section: key 32 | project (short); none where there is no key.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::commit::{Body, Committed, Plan, SlotWrite};
use super::directory::{Entry, NAMES_SLOT, Node, PROJECT_SLOT, Table};
use super::format::{FormatId, Measure, Pseudonyms, SectionText, Sections, Slot, twins};
use super::head::Part;
use super::open::Opened;
use super::past::{Leaf, Past};
use super::{
    DIRECTORY_PROFILE, Located, PolicyRef, Record, RecordId, Records, Sight, format_of,
    section_name,
};
use crate::error::{Error, Kind, Result};
use crate::key::secret::Secret;
use crate::realm::policy::{BoundPolicy, PROJECT};
use crate::realm::release::PROJECT_LEN_MAX_BYTES;
use crate::wire::{Reader, Writer};

/// How often the key of a root is founded on top of somebody else's change.
const TRIES_MAX: u32 = 8;

/// A project, for whoever may derive what it sees.
pub(super) struct Project {
    name: String,
    key: Secret<32>,
    pseudonyms: Pseudonyms,
}

impl Project {
    fn new(name: &str, key: Secret<32>) -> Self {
        let pseudonyms = Pseudonyms::new(key.expose());
        Self { name: name.to_owned(), key, pseudonyms }
    }

    fn found(name: &str) -> Self {
        Self::new(name, Secret::random())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(self.key.expose()).short(self.name.as_bytes());
        w.into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, "a project");
        let key = Secret::new(r.array()?);
        let name = r.text(PROJECT_LEN_MAX_BYTES)?.to_owned();
        r.finish()?;
        Ok(Self::new(&name, key))
    }

    /// Returns the name under which researchers see an entry. It hangs on what the entry stands
    /// for, never on its name: a patient's folder is called after the patient.
    fn name_of(&self, entry: &Entry) -> Vec<u8> {
        let patient = entry.policy.as_ref().and_then(|p| p.patient.as_ref());
        let name = match patient {
            Some(patient) => self.pseudonyms.pseudonym("patient", patient.as_str()),
            None if entry.is_directory() => {
                self.pseudonyms.pseudonym("folder", &entry.located.record.to_string())
            }
            None => self.pseudonyms.pseudonym("file", &entry.located.record.to_string()),
        };
        let suffix = format_of(entry.profile).map_or("", suffix);
        [name.as_bytes(), suffix.as_bytes()].concat()
    }

    /// Returns the table of pseudonymous names. What is remembered beside the names is not in it.
    fn pseudonymous(&self, node: &Node) -> Node {
        match node {
            Node::Inner(inner) => Node::Inner(Box::new(inner.unkeyed())),
            Node::Leaf(leaf) => {
                let entries = leaf.table.0.values().map(|e| (self.name_of(e), e.clone()));
                Node::Leaf(Leaf { table: Table(entries.collect()), past: Past::default() })
            }
        }
    }
}

/// Returns how the name of a file ends whose own name is not shown.
fn suffix(format: FormatId) -> &'static str {
    match format {
        FormatId::FhirJson | FormatId::Json => ".json",
        FormatId::FhirNdjson => ".ndjson",
        FormatId::Cda => ".xml",
        FormatId::Hl7v2 => ".hl7",
        FormatId::Dicom => ".dcm",
        FormatId::Toml => ".toml",
        FormatId::Yaml => ".yaml",
        FormatId::Markdown => ".md",
        FormatId::Csv => ".csv",
        FormatId::Opaque | FormatId::DicomDir => "",
    }
}

/// The projects that this user has met.
#[derive(Default)]
pub(super) struct Projects {
    /// The first directory that was seen under a policy.
    homes: Mutex<HashMap<PolicyRef, Located>>,
    known: Mutex<HashMap<PolicyRef, Arc<Project>>>,
}

impl Projects {
    fn homes(&self) -> MutexGuard<'_, HashMap<PolicyRef, Located>> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<PolicyRef, Arc<Project>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where the key of what is under a policy may be found.
    pub(super) fn note(&self, policy: &PolicyRef, located: Located) {
        let mut homes = self.homes();
        if !homes.contains_key(policy) {
            homes.insert(policy.clone(), located);
        }
    }
}

/// Makes twins of sections, and pseudonyms of names.
pub(super) struct Deriver {
    project: Option<Arc<Project>>,
    /// `None` for a directory.
    format: Option<FormatId>,
    frame: SectionText,
    written: BTreeMap<u16, (Vec<u8>, Measure)>,
}

impl Deriver {
    /// Returns the twin of what this commit writes into a slot; `None` when it has none.
    pub(super) fn written(&self, slot: u16) -> Option<(Vec<u8>, Measure)> {
        self.written.get(&slot).cloned()
    }

    /// Returns the twin of a section's text; `None` when it cannot be de-identified.
    pub(super) fn derive(&self, slot: u16, body: &[u8]) -> Option<(Vec<u8>, Measure)> {
        let project = self.project.as_ref()?;
        let Some(format) = self.format else {
            let node = Node::decode(body).ok()?;
            let names = project.pseudonymous(&node).encode().ok()?;
            return Some((names, Measure::default()));
        };
        if format == FormatId::Opaque {
            return None;
        }
        let text = SectionText::decode(format, body).ok()?;
        let slot = Slot(slot);
        // An element is de-identified alone, inside the frame that makes it a valid text.
        let mut sections: Sections = [(slot, text)].into();
        if slot != Slot::FRAME && !self.frame.is_empty() {
            sections.insert(Slot::FRAME, self.frame.clone());
        }
        let mut twins = twins(format, &sections, &project.pseudonyms)?;
        let twin = twins.remove(&slot).filter(|t| !t.is_empty())?;
        Some((twin.encode(format), twin.measure(format)))
    }
}

impl Records {
    /// Returns the project that what is under a policy is released to, when the user may know its
    /// key.
    pub(super) async fn project(&self, policy: &PolicyRef) -> Result<Option<Arc<Project>>> {
        let bound = self.realm.policy(&policy.hash, policy.patient.as_ref()).await?;
        let Some(release) = bound.released() else { return Ok(None) };
        let unbound = PolicyRef { hash: policy.hash, patient: None };
        for place in [policy, &unbound] {
            let known = self.projects.known().get(place).cloned();
            if known.is_some() {
                return Ok(known);
            }
            let home = self.projects.homes().get(place).copied();
            let Some(home) = home else { continue };
            let record = self.load(home, place, Duration::MAX).await?;
            let stored = self.stored_project(&record).await?;
            if let Some(project) = stored.filter(|p| p.name == release.project) {
                let project = Arc::new(project);
                self.projects.known().insert(place.clone(), project.clone());
                return Ok(Some(project));
            }
        }
        Ok(None)
    }

    /// Returns the project whose key a directory holds.
    async fn stored_project(&self, record: &Record) -> Result<Option<Project>> {
        let entry = record.head.slots.iter().find(|s| s.slot == PROJECT_SLOT);
        let Some(part) = entry.and_then(|e| e.parts.last()) else { return Ok(None) };
        let Some(opened) = self.open_part(record, PROJECT_SLOT, part).await? else {
            return Ok(None);
        };
        let body = self.inline_body(record, part, &opened)?;
        if body.is_empty() { Ok(None) } else { Project::from_bytes(&body).map(Some) }
    }

    /// Decides on the project of a directory that is given a policy of its own: the one that it was
    /// released to before, or a new one.
    ///
    /// # Errors
    /// `Integrity` when a policy is not proven.
    pub async fn begin_project(&self, old: &PolicyRef, new: &PolicyRef) -> Result<()> {
        let bound = self.realm.policy(&new.hash, new.patient.as_ref()).await?;
        let Some(release) = bound.released() else { return Ok(()) };
        let before = self.project(old).await?.filter(|p| p.name == release.project);
        let project = before.unwrap_or_else(|| Arc::new(Project::found(&release.project)));
        self.projects.known().insert(new.clone(), project);
        Ok(())
    }

    /// Makes sure that a directory which is to be made under a policy finds a key: the root has one
    /// once it was written.
    pub(super) async fn ensure_project(&self, policy: &PolicyRef) -> Result<()> {
        let bound = self.realm.policy(&policy.hash, policy.patient.as_ref()).await?;
        if bound.released().is_none() || self.project(policy).await?.is_some() {
            return Ok(());
        }
        let unbound = PolicyRef { hash: policy.hash, patient: None };
        let home = self.projects.homes().get(&unbound).copied();
        let Some(home) = home.filter(|home| self.is_root(*home)) else { return Ok(()) };
        let mut max_age = Duration::MAX;
        for _ in 0..TRIES_MAX {
            let record = self.load(home, &unbound, max_age).await?;
            if self.stored_project(&record).await?.is_some()
                || self.may_write(&unbound, PROJECT).await? != Sight::Open
            {
                return Ok(());
            }
            let done = self.commit(&record, DIRECTORY_PROFILE, &unbound, Vec::new(), false).await?;
            if matches!(done, Committed::Done(_)) {
                return Ok(());
            }
            max_age = Duration::ZERO;
        }
        Err(Error::new(Kind::Conflict, "the folder is changed by others all the time"))
    }

    fn is_root(&self, located: Located) -> bool {
        located.record == RecordId(self.realm.state().root_record)
    }

    /// Returns the project of a directory that is being committed, and what to write when the
    /// directory has no key yet. Whoever changes names writes the key again: it is wrapped for the
    /// epochs in force then, as the names are.
    pub(super) async fn project_write(
        &self,
        plan: &Plan<'_>,
        policy: &BoundPolicy,
        changes_names: bool,
    ) -> Result<(Option<Arc<Project>>, Option<SlotWrite>)> {
        let Some(release) = policy.released() else { return Ok((None, None)) };
        let stored = match plan.base {
            Some(base) => self.stored_project(base).await?,
            None => None,
        };
        let stored = stored.filter(|stored| stored.name == release.project).map(Arc::new);
        if stored.is_some() && !changes_names {
            return Ok((stored, None));
        }
        let mut project = match stored {
            Some(stored) => Some(stored),
            None => self.project(plan.policy).await?,
        };
        if self.sight(&policy.rights(PROJECT).write) != Sight::Open {
            return Ok((project, None));
        }
        if project.is_none() && self.is_root(plan.located) {
            project = Some(Arc::new(Project::found(&release.project)));
        }
        let write = project.as_ref().map(|project| SlotWrite {
            slot: PROJECT_SLOT,
            body: Body::Bytes(project.to_bytes()),
            measure: Measure::default(),
            mtime_unix_ns: 0,
            append: false,
        });
        Ok((project, write))
    }

    /// Prepares to make the twins of what a commit writes.
    pub(super) async fn deriver(
        &self,
        plan: &Plan<'_>,
        policy: &BoundPolicy,
        project: Option<Arc<Project>>,
        writes: &BTreeMap<u16, SlotWrite>,
    ) -> Result<Deriver> {
        let (format, frame, written) = (None, SectionText::default(), BTreeMap::new());
        let mut deriver = Deriver { project, format, frame, written };
        let Some(release) = policy.released() else { return Ok(deriver) };
        if plan.profile != DIRECTORY_PROFILE {
            deriver.project = self.project(plan.policy).await?;
            deriver.format = Some(format_of(plan.profile)?);
            if deriver.project.is_some() {
                deriver.frame = self.frame_of(plan, writes).await?;
            }
        }
        for (slot, write) in writes {
            let is_released = *slot == NAMES_SLOT || release.has(section_name(*slot));
            let Body::Bytes(body) = &write.body else { continue };
            if is_released && let Some(twin) = deriver.derive(*slot, body) {
                deriver.written.insert(*slot, twin);
            }
        }
        Ok(deriver)
    }

    /// Returns the frame that what is written stands in.
    async fn frame_of(
        &self,
        plan: &Plan<'_>,
        writes: &BTreeMap<u16, SlotWrite>,
    ) -> Result<SectionText> {
        let format = format_of(plan.profile)?;
        let frame = Slot::FRAME.0;
        if format == FormatId::Opaque {
            return Ok(SectionText::default());
        }
        if let Some(SlotWrite { body: Body::Bytes(body), .. }) = writes.get(&frame) {
            return Ok(SectionText::decode(format, body).unwrap_or_default());
        }
        let base = plan.base.filter(|b| b.head.profile == plan.profile);
        let mut text = SectionText::default();
        let Some(base) = base else { return Ok(text) };
        let entry = base.head.slots.iter().find(|s| s.slot == frame);
        for part in entry.map_or(&[][..], |e| &e.parts) {
            let Some(opened) = self.open_part(base, frame, part).await? else { break };
            let body = self.body_of(base, part, &opened).await?;
            if !body.is_empty() {
                text.append(SectionText::decode(format, &body)?);
            }
        }
        Ok(text)
    }

    /// Opens the body of a part, wherever it lies.
    ///
    /// # Errors
    /// `Integrity` when it is not the one that its author signed.
    pub async fn body_of(&self, record: &Record, part: &Part, opened: &Opened) -> Result<Vec<u8>> {
        if part.content.is_external() {
            self.read_external(part, opened, 0..opened.meta.body_len).await
        } else {
            self.inline_body(record, part, opened)
        }
    }
}
