//! Whom a text from another system is about, and which document it is: read out of HL7 v2, FHIR,
//! CDA and DICOM without cutting them.
//!
//! *Invariant:* a wrong patient is worse than none. What names nobody, or more than one person, or
//! cannot be read beyond doubt is refused with the reason, which holds nothing of the text.

mod known;
mod pieces;
#[cfg(test)]
mod tests;

use super::cda::identity as cda;
use super::dicom::identity as dicom;
use super::fhir::identity as fhir;
use super::hl7::identity as hl7;
use crate::error::{Error, Kind, Result};
use crate::key::hash;

pub use known::Known;
pub use pieces::{Messages, Shape, Share, shape, shares, union};

/// A longer text is not recognised, but for a DICOM file, whose first bytes tell: it would be needed
/// in memory several times.
pub const RECOGNISE_MAX_BYTES: u64 = 32 << 20;
/// The most identifiers of one person.
const IDENTIFIERS_MAX: usize = 64;
/// The longest system or value of an identifier.
const TEXT_LEN_MAX: usize = 512;
/// The longest part of a document's number that goes into its name.
const STEM_LEN_MAX: usize = 72;
/// Social security numbers are typed by hand, invented and shared: they do not identify alone.
const SSN: &str = "http://hl7.org/fhir/sid/us-ssn";
const SSN_OID: &str = "urn:oid:2.16.840.1.113883.4.1";

/// A number that somebody gave a person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier {
    /// Who gave it: a URI, or the name that the sender uses. Empty when the text does not say.
    pub system: String,
    /// The number.
    pub value: String,
    /// Whether somebody else may have the same: then more than it has to agree.
    pub is_weak: bool,
}

impl Identifier {
    /// Makes one of what a text says; `None` when that is nothing, or too long.
    pub(super) fn new(system: &str, value: &str) -> Option<Self> {
        let (mut system, mut value) = (canonical(system), value.trim().to_owned());
        if system == SSN_OID {
            SSN.clone_into(&mut system);
        }
        if system == SSN {
            value.retain(|c| c != '-');
        }
        if value.is_empty() || value == "\"\"" || system.len().max(value.len()) > TEXT_LEN_MAX {
            return None;
        }
        let is_weak = system.is_empty() || system == SSN;
        Some(Self { system, value, is_weak })
    }

    /// Says whether both are the same number.
    pub fn is(&self, other: &Self) -> bool {
        (&self.system, &self.value) == (&other.system, &other.value)
    }
}

/// Returns one way of writing who gives a number: an OID stands for itself, with or without its
/// prefix.
pub fn canonical(system: &str) -> String {
    let system = system.trim();
    let bare = system.strip_prefix("urn:oid:").unwrap_or(system);
    let is_oid = bare.split('.').count() > 2
        && bare.split('.').all(|arc| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()));
    if is_oid { format!("urn:oid:{bare}") } else { system.trim_end_matches('/').to_owned() }
}

/// Whom a text is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The numbers, in the order of the text.
    pub identifiers: Vec<Identifier>,
    /// The family name.
    pub family: Option<String>,
    /// The first given name.
    pub given: Option<String>,
    /// The birth date, `YYYY-MM-DD` or the first part of that.
    pub birth_date: Option<String>,
}

impl Person {
    pub(super) fn add(&mut self, identifier: Option<Identifier>) {
        let new = identifier.filter(|i| !self.identifiers.iter().any(|known| known.is(i)));
        if self.identifiers.len() < IDENTIFIERS_MAX {
            self.identifiers.extend(new);
        }
    }

    /// Says whether both are one person beyond doubt: a number that both have, a birth date that
    /// does not contradict, and one that agrees, or the name, where somebody else may have the
    /// number too.
    fn is_same(&self, other: &Self) -> bool {
        let common =
            || self.identifiers.iter().filter(|i| other.identifiers.iter().any(|o| i.is(o)));
        let known = Known::new(String::new(), self);
        let matched: Vec<&Identifier> = common().collect();
        !matched.is_empty() && known.check(other, &matched).is_ok()
    }
}

/// Which document a text is: its name stays the same when a newer text of it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// A folder in the patient's, for what belongs together.
    pub folder: Option<String>,
    /// The name without its extension.
    pub stem: String,
    /// The extension.
    pub extension: &'static str,
    /// The document's own count of its versions.
    pub version: Option<u64>,
}

impl Document {
    /// Names a document by its kind and number. What a file name cannot hold, and what tells two
    /// documents of one number apart, is in a hash.
    pub(super) fn new(kind: &str, number: &str, all: &[&str], extension: &'static str) -> Self {
        let shown: String = [kind, number]
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(safe)
            .collect::<Vec<_>>()
            .join("-");
        let mut cut = shown.clone();
        cut.truncate(STEM_LEN_MAX);
        let is_exact = all.is_empty() && cut == format!("{kind}-{number}");
        let stem = if is_exact {
            cut
        } else {
            let parts: Vec<u8> = [kind, number]
                .iter()
                .chain(all)
                .flat_map(|part| (part.len() as u64).to_le_bytes().into_iter().chain(part.bytes()))
                .collect();
            format!("{cut}-{}", hex(&hash::sha256(&[&parts])[..6]))
        };
        Self { folder: None, stem, extension, version: None }
    }

    /// Returns the name of the file.
    pub fn name(&self) -> String {
        format!("{}.{}", self.stem, self.extension)
    }

    /// Returns the name of a file with just this text, for whoever cannot read what he files.
    pub fn name_of_text(&self, digest: &[u8; 32]) -> String {
        format!("{}-{}.{}", self.stem, hex(&digest[..8]), self.extension)
    }
}

/// What was found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// Whom it is about.
    pub person: Person,
    /// Which document it is.
    pub document: Document,
}

/// Finds out whom a text is about, and which document it is. Of a DICOM file the first bytes do.
///
/// # Errors
/// `Usage` when it names nobody beyond doubt.
pub fn identify(text: &[u8]) -> Result<Recognised> {
    let found = match shape(text) {
        Shape::Dicom => dicom::identify(text)?,
        Shape::Hl7v2 => hl7::identify(text)?,
        Shape::Fhir | Shape::FhirLines => fhir::identify(text)?,
        Shape::Cda => cda::identify(text)?,
        Shape::Unknown => {
            return Err(no("it is no record that names its patient")
                .because("HL7 v2, FHIR in JSON, CDA and DICOM are recognised"));
        }
    };
    if found.person.identifiers.is_empty() {
        return Err(no("it names its patient by no identifier"));
    }
    Ok(found)
}

/// Says why a text is not recognised.
pub(super) fn no(what: &'static str) -> Error {
    Error::new(Kind::Usage, what)
}

/// Of several people that a text names, returns the one that they all are.
pub(super) fn one_person(people: Vec<Person>) -> Result<Person> {
    let mut people = people.into_iter();
    let mut one = people.next().ok_or_else(|| no("it names no patient"))?;
    for other in people {
        if !one.is_same(&other) {
            return Err(no("it names more than one patient"));
        }
        other.identifiers.into_iter().for_each(|i| one.add(Some(i)));
        one.family = one.family.or(other.family);
        one.birth_date = one.birth_date.or(other.birth_date);
    }
    Ok(one)
}

/// Reads a date as HL7, FHIR and DICOM write it: the day, or the part of it that is known.
pub(super) fn date(text: &str) -> Option<String> {
    let text = text.trim();
    let day = text.split(['T', ' ']).next().unwrap_or_default();
    let digits: String = day.chars().take(10).filter(|c| *c != '-').take(8).collect();
    let is_date = digits.bytes().all(|b| b.is_ascii_digit()) && matches!(digits.len(), 4 | 6 | 8);
    let year = digits.get(..4).filter(|year| is_date && *year != "0000")?;
    let parts = [Some(year), digits.get(4..6), digits.get(6..8)];
    Some(parts.into_iter().flatten().collect::<Vec<_>>().join("-"))
}

/// Returns a name, unless it is empty.
pub(super) fn some(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text != "\"\"" && text.len() <= TEXT_LEN_MAX).then(|| text.to_owned())
}

/// Keeps what every file system can have in a name.
fn safe(text: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.chars().map(|c| if fine(c) { c } else { '_' }).collect()
}

/// Returns lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, b| {
        write!(text, "{b:02x}").expect("a string takes any text");
        text
    })
}
