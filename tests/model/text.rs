//! The texts that the operations write: notes, plain objects and bundles, each element on a line of
//! its own with a value that no other element ever had.

use std::collections::BTreeSet;

use crate::rights::Section;

/// What kind of file a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// Not cut.
    Opaque,
    /// A plain object.
    Json,
    /// A FHIR bundle.
    Bundle,
}

impl Form {
    pub(crate) fn sections(self) -> &'static [Section] {
        if self == Self::Opaque { &[Section::Documents] } else { &Section::CUT }
    }

    pub(crate) fn is_cut(self) -> bool {
        self != Self::Opaque
    }

    /// The keys that elements may have. The first of a bundle is never taken away: a list that
    /// shows nothing has a frame of its own.
    pub(crate) fn keys(self) -> &'static [(&'static str, Section)] {
        match self {
            Self::Opaque => &[],
            Self::Json => &[
                ("labs", Section::Labs),
                ("results", Section::Labs),
                ("medications", Section::Medications),
                ("prescriptions", Section::Medications),
                ("meds", Section::Medications),
                ("allergies", Section::Allergies),
                ("intolerances", Section::Allergies),
                ("phone", Section::Contact),
                ("email", Section::Contact),
                ("psychiatry", Section::MentalHealth),
                ("psychology", Section::MentalHealth),
            ],
            Self::Bundle => &[
                ("Organization/o", Section::Directory),
                ("Observation/a", Section::Labs),
                ("Observation/b", Section::Labs),
                ("MedicationRequest/a", Section::Medications),
                ("MedicationRequest/b", Section::Medications),
                ("MedicationRequest/c", Section::Medications),
                ("AllergyIntolerance/a", Section::Allergies),
                ("RelatedPerson/a", Section::Contact),
                ("Practitioner/a", Section::Directory),
            ],
        }
    }
}

/// The section of an element: a word in its value goes before its key.
pub(crate) fn section_of(form: Form, key: &str, value: &str) -> Section {
    let by_key = form.keys().iter().find(|(k, _)| *k == key).map_or(Section::Rest, |k| k.1);
    if value.starts_with("HIV") { Section::Hiv } else { by_key }
}

/// A key and its value.
pub(crate) type Element = (String, String);

/// The text of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Raw(Vec<u8>),
    Doc(Form, Vec<Element>),
}

const JSON: (&str, &str) = ("{", "\n}\n");
const BUNDLE: (&str, &str) = ("{\"resourceType\": \"Bundle\", \"entry\": [", "\n]}\n");

/// A bundle without its list.
const BARE_BUNDLE: &[u8] = b"{\"resourceType\": \"Bundle\"}\n";

fn line(form: Form, (key, value): &Element) -> String {
    match key.split_once('/').filter(|_| form == Form::Bundle) {
        Some((kind, id)) => format!(
            "\n  {{\"resource\": {{\"resourceType\": \"{kind}\", \"id\": \"{id}\", \"code\": {{\"text\": \"{value}\"}}}}}}"
        ),
        None => format!("\n  \"{key}\": \"{value}\""),
    }
}

impl Text {
    pub(crate) fn form(&self) -> Form {
        match self {
            Self::Raw(_) => Form::Opaque,
            Self::Doc(form, _) => *form,
        }
    }

    /// Says whether a member of a plain object stands twice: nobody can tell which is meant.
    pub(crate) fn repeats(&self) -> bool {
        let Self::Doc(Form::Json, elements) = self else { return false };
        let keys: BTreeSet<&String> = elements.iter().map(|e| &e.0).collect();
        keys.len() < elements.len()
    }

    /// Returns the text as a new record has it.
    pub(crate) fn as_stored(&self) -> Self {
        if self.repeats() { Self::Raw(self.bytes()) } else { Self::parse(&self.bytes()) }
    }

    /// Says whether a file that shows these bytes shows this text. A bundle of which nothing is
    /// shown has its list or not: which, depends on what is hidden and was there, and says neither.
    pub(crate) fn is_shown_as(&self, bytes: &[u8]) -> bool {
        let is_bare = matches!(self, Self::Doc(Form::Bundle, all) if all.is_empty());
        self.bytes() == bytes || (is_bare && bytes == BARE_BUNDLE)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Raw(bytes) => bytes.clone(),
            Self::Doc(form, elements) => {
                let (head, tail) = if *form == Form::Json { JSON } else { BUNDLE };
                let lines: Vec<String> = elements.iter().map(|e| line(*form, e)).collect();
                [head, &lines.join(","), tail].concat().into_bytes()
            }
        }
    }

    /// Reads what [`Text::bytes`] printed; anything else is a raw text.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(bytes) else { return Self::Raw(bytes.to_vec()) };
        let form = if text.starts_with(BUNDLE.0) {
            Form::Bundle
        } else if text.starts_with("{\n") {
            Form::Json
        } else {
            return Self::Raw(bytes.to_vec());
        };
        let quoted =
            |l: &str| l.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let element = |l: &str| {
            let words = quoted(l);
            match (form, words.as_slice()) {
                (Form::Json, [key, value]) => Some((key.clone(), value.clone())),
                (Form::Bundle, [_, _, kind, _, id, _, _, value]) => {
                    Some((format!("{kind}/{id}"), value.clone()))
                }
                _ => None,
            }
        };
        let elements = text.lines().filter(|l| l.starts_with("  ")).filter_map(element).collect();
        let parsed = Self::Doc(form, elements);
        if parsed.bytes() == bytes { parsed } else { Self::Raw(bytes.to_vec()) }
    }
}
