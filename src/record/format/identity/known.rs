//! What is known of a patient, and whether a text that names one of the same numbers is about the
//! same person.

use serde::{Deserialize, Serialize};

use super::{IDENTIFIERS_MAX, Identifier, Person, no};
use crate::error::{Error, Result};

const HEAD: &[u8] = b"chartfs patient 1\n";

/// A patient whose folder is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The name of the folder.
    pub folder: String,
    /// The family name.
    pub family: Option<String>,
    /// The birth date, or the first part of it.
    pub birth_date: Option<String>,
    /// System and value of every number.
    pub identifiers: Vec<(String, String)>,
}

impl Known {
    /// Begins with what one text says.
    pub fn new(folder: String, person: &Person) -> Self {
        let (family, birth_date) = (person.family.clone(), person.birth_date.clone());
        let mut known = Self { folder, family, birth_date, identifiers: Vec::new() };
        known.learn(person);
        known
    }

    /// Returns the bytes to be stored.
    pub fn encode(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("texts print to memory");
        [HEAD, &json].concat()
    }

    /// Reads what was stored.
    ///
    /// # Errors
    /// `Integrity` when it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let json = bytes.strip_prefix(HEAD);
        json.and_then(|json| serde_json::from_slice(json).ok())
            .ok_or_else(|| Error::damaged("a patient in the index of the inbox cannot be read"))
    }

    /// Takes over what a text of the same person says more; says whether that is anything.
    pub fn learn(&mut self, person: &Person) -> bool {
        let before = self.clone();
        for i in &person.identifiers {
            let is_new = !self.identifiers.iter().any(|(s, v)| (s, v) == (&i.system, &i.value));
            if is_new && self.identifiers.len() < IDENTIFIERS_MAX {
                self.identifiers.push((i.system.clone(), i.value.clone()));
            }
        }
        self.family = self.family.take().or_else(|| person.family.clone());
        let is_finer = match (&self.birth_date, &person.birth_date) {
            (Some(known), Some(told)) => told.len() > known.len(),
            (known, told) => known.is_none() && told.is_some(),
        };
        if is_finer {
            self.birth_date.clone_from(&person.birth_date);
        }
        *self != before
    }

    /// Says whether a text that names one of the same numbers is about the same person. `matched`
    /// are those that both have.
    ///
    /// # Errors
    /// `Usage` with the reason, which tells nothing of the known patient, when it is not so beyond
    /// doubt.
    pub fn check(&self, person: &Person, matched: &[&Identifier]) -> Result<()> {
        let births = (&self.birth_date, &person.birth_date);
        let same_birth = match births {
            (Some(a), Some(b)) => Some(a.starts_with(b.as_str()) || b.starts_with(a.as_str())),
            _ => None,
        };
        let same_family = match (&self.family, &person.family) {
            (Some(a), Some(b)) => Some(letters(a) == letters(b)),
            _ => None,
        };
        match (same_birth, same_family) {
            (Some(false), _) => {
                Err(no("its identifier is known of a patient with another birth date"))
            }
            (None, Some(false)) => Err(no("its identifier is known of a patient of another name")
                .because("and there are no two birth dates to compare")),
            (Some(true), _) | (_, Some(true)) => Ok(()),
            (None, None) if matched.iter().any(|i| !i.is_weak) => Ok(()),
            (None, None) => Err(no("its identifier may be somebody else's").because(
                "it does not say who gave the number, and neither a birth date nor a name agrees",
            )),
        }
    }
}

/// Keeps what does not depend on how a name is typed.
fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
