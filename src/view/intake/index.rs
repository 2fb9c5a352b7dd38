//! Which number is whose: one small file per patient in the index of an inbox, with a name for each
//! of the patient's numbers. A name is a keyed hash, so that who may list the inbox and not read it
//! learns of no number; the key is a file there too.
//!
//! A patient is entered before the folder is made, so that after a crash, or by two at once, there is
//! one entry and one folder.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;

use super::super::View;
use super::super::draft::Text;
use super::super::folder::{Edit, place_of};
use super::super::node::Node;
use super::super::save::Onto;
use super::Intake;
use super::filing::pending;
use crate::error::{Error, Kind, Result};
use crate::key::hash;
use crate::realm::inbox::Inbox;
use crate::record::directory::Entry;
use crate::record::format::identity::{Identifier, Known, Person, canonical, hex};
use crate::record::{Located, RecordId};

/// How many patients are remembered.
const REMEMBERED_MAX: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");
/// How often a patient is looked for again when somebody else enters one.
const TRIES_MAX: u32 = 4;
const KEY_NAME: &[u8] = b"key";
const KEY_BYTES: usize = 32;
/// What is remembered of an index. One patient at a time is looked for, so that two files of one new
/// patient do not enter the patient twice.
#[derive(Default)]
pub(super) struct Index(pub(super) tokio::sync::Mutex<State>);

pub(super) struct State {
    key: Option<[u8; KEY_BYTES]>,
    /// Patients by the record of their entry.
    known: LruCache<RecordId, Known>,
}

impl Default for State {
    fn default() -> Self {
        Self { key: None, known: LruCache::new(REMEMBERED_MAX) }
    }
}

pub(super) fn doubt(what: &'static str) -> Error {
    Error::new(Kind::Usage, what)
}

/// Gives the numbers of a person the systems that the policy says.
pub(super) fn renamed(rules: &Inbox, person: &Person) -> Person {
    let systems: HashMap<String, &String> =
        rules.systems.iter().map(|(other, system)| (canonical(other), system)).collect();
    let mut renamed = Person { identifiers: Vec::new(), ..person.clone() };
    for identifier in &person.identifiers {
        let mut identifier = identifier.clone();
        if let Some(system) = systems.get(&identifier.system) {
            // Whoever says who gives numbers that come without it vouches for them.
            identifier.is_weak &= !identifier.system.is_empty();
            identifier.system = canonical(system);
        }
        if !renamed.identifiers.iter().any(|i| i.is(&identifier)) {
            renamed.identifiers.push(identifier);
        }
    }
    renamed
}

impl View {
    /// Returns the folder of the patient that a text names; one that is not known yet is entered.
    pub(super) async fn patient_folder(
        &self,
        intake: &Intake,
        person: &Person,
    ) -> Result<Arc<Node>> {
        let person = renamed(&intake.rules, person);
        let mut state = intake.index.0.lock().await;
        let index = self.index_of(intake, &mut state).await?;
        let known = self.find_or_enter(intake, &mut state, &index, &person, None).await?;
        let patients = self.folder_at(&intake.rules.patients).await?;
        self.folder_in(&patients, known.folder.as_bytes()).await
    }

    /// Opens the index, made now if need be.
    pub(super) async fn index_of(&self, intake: &Intake, state: &mut State) -> Result<Arc<Node>> {
        let folder = self.folder_at(&intake.rules.index_path()).await?;
        if state.key.is_some() {
            return Ok(folder);
        }
        let new = hex(&hash::random::<KEY_BYTES>());
        let entry = self.entry(&folder, KEY_NAME, self.options.attr_ttl).await?;
        if entry.is_none() {
            // Of two that make one at once, that of the first is the key.
            match self.enter(&folder, KEY_NAME, new.as_bytes()).await {
                Err(e) if e.kind() == Kind::Exists => {}
                made => drop(made?),
            }
        }
        let entry = self.entry(&folder, KEY_NAME, Duration::ZERO).await?;
        let entry = entry.ok_or_else(|| Error::damaged("the key of the inbox's index is gone"))?;
        let text = self.index_text(&folder, &entry).await?;
        let bad = || Error::damaged("the key of the inbox's index is not one");
        state.key = Some(unhex(&text).ok_or_else(bad)?);
        Ok(folder)
    }

    /// Reads a file of the index.
    async fn index_text(&self, index: &Node, entry: &Entry) -> Result<bytes::Bytes> {
        let (_, policy) = place_of(index)?;
        let seen = self.see(entry.located, &policy, self.options.attr_ttl).await?;
        if seen.hides || seen.open.is_empty() {
            return Err(Error::new(Kind::Denied, "you may not read who the inbox's patients are")
                .because("its policy closes the index to you"));
        }
        Ok(self.render(&seen).await?.bytes)
    }

    /// Makes a file of the index.
    async fn enter(&self, index: &Node, name: &[u8], text: &[u8]) -> Result<Entry> {
        let (place, policy) = place_of(index)?;
        let located = Located { birth: place.record, record: RecordId::random() };
        let text = pending(Text::Memory(text.to_vec().into()));
        let record = self.create_record(located, &policy, b"", &text).await?;
        let entry = Entry { located, profile: record.head.profile, policy: None };
        self.edit(index, Edit::Add { name: name.to_vec(), entry: entry.clone() }).await?;
        Ok(entry)
    }

    /// Finds the patient, or enters a new one whose folder is `given`, or called as the policy says.
    pub(super) async fn find_or_enter(
        &self,
        intake: &Intake,
        state: &mut State,
        index: &Arc<Node>,
        person: &Person,
        given: Option<&str>,
    ) -> Result<Known> {
        let key = state.key.ok_or_else(|| Error::damaged("the index has no key"))?;
        let (mut max_age, mut is_doubted) = (self.options.attr_ttl, false);
        for _ in 0..TRIES_MAX {
            let found = self.find(state, &key, index, person, max_age).await?;
            if let Some((entry, mut known)) = found {
                if known.learn(person) {
                    self.update(&key, index, &entry, &known, person).await?;
                    state.known.put(entry.located.record, known.clone());
                }
                return Ok(known);
            }
            let folder = match given {
                Some(name) => name.to_owned(),
                None => match self.new_folder(intake, person).await {
                    // Somebody else may have entered the patient and filed something since.
                    Err(e) if e.kind() == Kind::Usage && !is_doubted => {
                        (max_age, is_doubted) = (Duration::ZERO, true);
                        continue;
                    }
                    name => name?,
                },
            };
            let known = Known::new(folder, person);
            match self.enter_patient(&key, index, &known, person).await {
                // Somebody else entered the patient at the same moment.
                Err(e) if e.kind() == Kind::Exists => max_age = Duration::ZERO,
                Err(e) => return Err(e),
                Ok(entry) => {
                    state.known.put(entry.located.record, known.clone());
                    return Ok(known);
                }
            }
        }
        Err(Error::new(Kind::Conflict, "others enter patients all the time"))
    }

    /// Finds the one patient who has the numbers of a person.
    async fn find(
        &self,
        state: &mut State,
        key: &[u8; KEY_BYTES],
        index: &Node,
        person: &Person,
        max_age: Duration,
    ) -> Result<Option<(Entry, Known)>> {
        let mut found: Vec<(Entry, Known, Vec<&Identifier>)> = Vec::new();
        for identifier in &person.identifiers {
            let name = name_of(key, identifier);
            let Some(entry) = self.entry(index, &name, max_age).await? else { continue };
            let record = entry.located.record;
            if let Some((_, _, matched)) =
                found.iter_mut().find(|(e, _, _)| e.located.record == record)
            {
                matched.push(identifier);
                continue;
            }
            let known = state.known.get(&record).cloned();
            let known = if let Some(known) = known {
                known
            } else {
                let known = Known::decode(&self.index_text(index, &entry).await?)?;
                state.known.put(record, known.clone());
                known
            };
            found.push((entry, known, vec![identifier]));
        }
        let is_strong = |matched: &[&Identifier]| matched.iter().any(|i| !i.is_weak);
        if found.iter().any(|(_, _, matched)| is_strong(matched)) {
            // A number that may be anybody's says nothing against one that is not.
            found.retain(|(_, _, matched)| is_strong(matched));
        } else {
            let checked: Vec<_> = found.iter().map(|(_, k, m)| k.check(person, m)).collect();
            if checked.iter().all(Result::is_err) && person.identifiers.iter().any(|i| !i.is_weak) {
                return Ok(None);
            }
            if checked.iter().any(Result::is_ok) {
                let mut checked = checked.into_iter();
                found.retain(|_| checked.next().is_some_and(|c| c.is_ok()));
            }
        }
        found.dedup_by(|a, b| a.1.folder == b.1.folder);
        if found.len() > 1 {
            return Err(doubt("its identifiers are known of more than one patient"));
        }
        let Some((entry, known, matched)) = found.pop() else { return Ok(None) };
        known.check(person, &matched)?;
        Ok(Some((entry, known)))
    }

    /// Enters a patient under the first of the numbers, which only one can; then under the others.
    async fn enter_patient(
        &self,
        key: &[u8; KEY_BYTES],
        index: &Arc<Node>,
        known: &Known,
        person: &Person,
    ) -> Result<Entry> {
        let mut numbers: Vec<&Identifier> = person.identifiers.iter().collect();
        numbers.sort_by(|a, b| {
            (a.is_weak, &a.system, &a.value).cmp(&(b.is_weak, &b.system, &b.value))
        });
        let (first, others) = numbers.split_first().ok_or_else(|| doubt("it has no number"))?;
        let first = name_of(key, first);
        let entry = self.enter(index, &first, &known.encode()).await?;
        if let Err(e) = self.name_all(key, index, &entry, others).await {
            let record = entry.located.record;
            self.edit(index, Edit::Leave { name: first, record }).await?;
            return Err(e);
        }
        Ok(entry)
    }

    /// Gives the entry of a patient a name for each of these numbers. `Exists` when somebody else
    /// has one of them that only one can have.
    async fn name_all(
        &self,
        key: &[u8; KEY_BYTES],
        index: &Arc<Node>,
        entry: &Entry,
        numbers: &[&Identifier],
    ) -> Result<()> {
        let added = numbers.iter().map(|identifier| async move {
            let name = name_of(key, identifier);
            let add = Edit::Add { name: name.clone(), entry: entry.clone() };
            match self.edit(index, add).await {
                Err(e) if e.kind() == Kind::Exists => {
                    let now = self.entry(index, &name, Duration::ZERO).await?;
                    let is_own = now.is_some_and(|n| n.located == entry.located);
                    if is_own || identifier.is_weak { Ok(()) } else { Err(e) }
                }
                done => done,
            }
        });
        futures::future::join_all(added).await.into_iter().collect()
    }

    /// Writes what is known more of a patient. The numbers come last: what is found by one is whole.
    async fn update(
        &self,
        key: &[u8; KEY_BYTES],
        index: &Arc<Node>,
        entry: &Entry,
        known: &Known,
        person: &Person,
    ) -> Result<()> {
        let (_, policy) = place_of(index)?;
        let text = pending(Text::Memory(known.encode().into()));
        if let Onto::Conflict(_) = self.save_onto(entry.located, &policy, &text).await? {
            return Err(Error::new(Kind::Conflict, "somebody else learns of the patient"));
        }
        let numbers: Vec<&Identifier> = person.identifiers.iter().collect();
        match self.name_all(key, index, entry, &numbers).await {
            // The number of another patient: whoever names both is in doubt then.
            Err(e) if e.kind() == Kind::Exists => Ok(()),
            done => done,
        }
    }
}

fn name_of(key: &[u8; KEY_BYTES], identifier: &Identifier) -> Vec<u8> {
    let Identifier { system, value, .. } = identifier;
    let len = (system.len() as u64).to_le_bytes();
    let info: [&[u8]; 3] = [b"chartfs1 number", &len, system.as_bytes()];
    let name = hash::hkdf::<16>(value.as_bytes(), key, &info);
    hex(name.expose()).into_bytes()
}

fn unhex(text: &[u8]) -> Option<[u8; KEY_BYTES]> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let bytes: Option<Vec<u8>> =
        text.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect();
    bytes?.try_into().ok()
}
