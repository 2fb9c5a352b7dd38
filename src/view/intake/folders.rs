//! The patients' folders: what a new one is called, and whose those are that are there already.

use super::super::View;
use super::super::draft::Text;
use super::super::node::Node;
use super::Intake;
use super::index::{doubt, renamed};
use crate::error::{Kind, Result};
use crate::key::hash;
use crate::realm::inbox::{ID, Inbox, RANDOM};
use crate::record::format::identity::{
    Identifier, Known, Person, RECOGNISE_MAX_BYTES, canonical, hex, identify,
};

/// How many files of a folder are read to find out whose it is.
const READ_MAX: usize = 64;
/// The longest number that is shown in the name of a folder.
const SHOWN_MAX: usize = 64;

/// What [`View::learn_patients`] found among the folders that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learnt {
    /// Folders whose patient is known now, or was before.
    pub known: u64,
    /// Folders in which nothing names a patient that can be read.
    pub unknown: u64,
    /// Folders whose patient has another folder too, or cannot be told from another.
    pub doubtful: u64,
}

/// Returns what a new patient's folder is called; `None` when none is to be made.
fn folder_name(rules: &Inbox, person: &Person) -> Option<String> {
    let template = rules.new.as_ref()?;
    if template.contains(RANDOM) {
        return Some(template.replace(RANDOM, &hex(&hash::random::<8>())));
    }
    let system = rules.id.as_ref().map(|system| canonical(system));
    let mut own = person.identifiers.iter();
    let number = match system {
        Some(system) => own.find(|i| i.system == system)?,
        None => own.find(|i| !i.is_weak)?,
    };
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let shown: String =
        number.value.chars().map(|c| if fine(c) { c } else { '_' }).take(SHOWN_MAX).collect();
    // Two numbers that look the same once they are shown are two all the same.
    let mark = hex(&hash::sha256(&[number.value.as_bytes()])[..6]);
    let id = if shown == number.value { shown } else { format!("{shown}-{mark}") };
    Some(template.replace(ID, &id).trim_start_matches('.').to_owned()).filter(|n| !n.is_empty())
}

impl View {
    /// Enters every patient whose folder is there and holds something that names the patient.
    ///
    /// # Errors
    /// Those of reading the folders and of the index.
    pub async fn learn_patients(
        &self,
        intake: &Intake,
        mut told: impl FnMut(&Learnt),
    ) -> Result<Learnt> {
        let patients = self.folder_at(&intake.rules.patients).await?;
        let mut learnt = Learnt::default();
        let table = self.table(&patients, self.options.attr_ttl).await?;
        for (name, entry) in table.0.iter().filter(|(_, entry)| entry.is_directory()) {
            let Ok(name) = std::str::from_utf8(name) else { continue };
            let folder = self.node_of(&patients, name.as_bytes(), entry)?;
            let people = self.people_in(&folder).await?;
            let mut is_known = None;
            for person in &people {
                let person = renamed(&intake.rules, person);
                let mut state = intake.index.0.lock().await;
                let index = self.index_of(intake, &mut state).await?;
                let found =
                    self.find_or_enter(intake, &mut state, &index, &person, Some(name)).await;
                match found {
                    Ok(known) => is_known = Some(is_known != Some(false) && known.folder == name),
                    Err(e) if super::is_final(e.kind()) => is_known = Some(false),
                    Err(e) => return Err(e),
                }
            }
            match is_known {
                Some(true) => learnt.known += 1,
                Some(false) => learnt.doubtful += 1,
                None => learnt.unknown += 1,
            }
            told(&learnt);
        }
        Ok(learnt)
    }

    /// Returns the name of a new patient's folder. One that is there already must be that patient's.
    pub(super) async fn new_folder(&self, intake: &Intake, person: &Person) -> Result<String> {
        let rules = &intake.rules;
        if rules.new.is_none() {
            return Err(doubt("no patient with its identifiers is known")
                .because("the policy lets no new patients' folders be made"));
        }
        if person.identifiers.iter().all(|i| i.is_weak) {
            return Err(doubt("it does not say who gave its patient's number")
                .because("another patient may have the same, so no folder is made by it")
                .hint("an administrator can say it in the policy: [inbox.systems], \"\" = \"…\""));
        }
        let name = folder_name(rules, person)
            .ok_or_else(|| doubt("it has no number by which its patient's folder can be called"))?;
        let patients = self.folder_at(&rules.patients).await?;
        let folder = match self.child(patients.ino, name.as_bytes()).await {
            Err(e) if e.kind() == Kind::NotFound => return Ok(name),
            found => found?,
        };
        let table = self.table(&folder, self.options.attr_ttl).await?;
        let people = self.people_in(&folder).await?;
        let is_theirs = people.iter().any(|p| {
            let other = renamed(rules, p);
            let known = Known::new(String::new(), &other);
            let common: Vec<&Identifier> = person
                .identifiers
                .iter()
                .filter(|i| other.identifiers.iter().any(|o| i.is(o)))
                .collect();
            !common.is_empty() && known.check(person, &common).is_ok()
        });
        if is_theirs || table.0.is_empty() {
            return Ok(name);
        }
        Err(if people.is_empty() {
            doubt("a folder of its patient's number is there, and nothing in it says whose it is")
        } else {
            doubt("the folder of its patient's number is another patient's")
        })
    }

    /// Returns whom the files of a folder are about, as far as the user can read them.
    pub(super) async fn people_in(&self, folder: &Node) -> Result<Vec<Person>> {
        let mut people: Vec<Person> = Vec::new();
        let table = match self.table(folder, self.options.attr_ttl).await {
            Err(e) if e.kind() == Kind::Denied => return Ok(people),
            table => table?,
        };
        for (name, entry) in table.0.iter().filter(|(_, e)| !e.is_directory()).take(READ_MAX) {
            let node = self.node_of(folder, name, entry)?;
            let size_bytes = self.attr_of(&node).await?.size_bytes;
            if size_bytes == 0 || size_bytes > RECOGNISE_MAX_BYTES {
                continue;
            }
            let text = self.text_of(&node).await;
            self.let_go(node);
            let Text::Memory(text) = text? else { continue };
            if let Ok(found) = identify(&text) {
                people.push(found.person);
            }
        }
        Ok(people)
    }
}
