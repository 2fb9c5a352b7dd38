//! FHIR in JSON: a bundle by its entries, a patient by its members, a composition in a bundle by
//! its sections, any other resource as one element.

pub(super) mod identity;
mod document;
mod marker;
mod ndjson;
mod safe_harbor;
mod scan;
mod summary;
mod types;

pub use summary::patient_summary;

use std::borrow::Cow;

use super::adapter::{Adapter, Conflict, Glue};
use super::json::{COMMAS, Cursor, Part, Walk, same_tokens, text_of};
use super::rules::Rules;
use super::safe_harbor::Pseudonyms;
use super::section::{DOCUMENT, HoleKind, LIST, Measure, ROOT, SectionText};
use super::slots::Slot;
use super::tree::{Claim, Kind, Tree};
use super::{FormatId, Sections};

use document::Pending;

pub(super) use ndjson::Ndjson;
pub(super) use scan::{Facts, Place, scan};
pub(super) use types::category;

pub(super) struct Fhir;

/// The sections among which a patient is divided.
const PATIENT_PARTS: &[Slot] = &[Slot::DEMOGRAPHICS, Slot::CONTACT, Slot::IDENTIFIERS];

/// Two versions of one resource are shown as a bundle.
const CONFLICT: Conflict = Conflict {
    head: br#"{"resourceType":"Bundle","type":"collection","entry":["#,
    before: br#"{"resource":"#,
    separator: b',',
    after: b"}",
    tail: b"]}",
};

impl Adapter for Fhir {
    fn id(&self) -> FormatId {
        FormatId::FhirJson
    }

    fn name(&self) -> &'static str {
        "FHIR JSON"
    }

    fn glue(&self) -> Glue {
        COMMAS
    }

    fn same(&self, a: &[u8], b: &[u8]) -> bool {
        same_tokens(a, b)
    }

    fn conflict(&self) -> Option<&'static Conflict> {
        Some(&CONFLICT)
    }

    fn shell_parts(&self) -> &'static [Slot] {
        PATIENT_PARTS
    }

    /// What a composition lists may belong to any section.
    fn parts_of(&self, shell: &[u8]) -> &'static [Slot] {
        let name = b"\"Composition\"";
        let is_composition = shell.windows(name.len()).any(|part| part == name);
        if is_composition { self.slots() } else { self.shell_parts() }
    }

    fn shell_name<'a>(&self, shell: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        match Cursor::new(std::str::from_utf8(shell).ok()?, 0).string()? {
            Cow::Borrowed(name) => Some(Cow::Borrowed(name.as_bytes())),
            Cow::Owned(name) => Some(Cow::Owned(name.into_bytes())),
        }
    }

    fn marker(&self, hidden: &[Slot], shown: &Sections) -> Option<SectionText> {
        marker::of(hidden, shown)
    }

    fn marker_measure(&self, hidden: &[Slot], visible: &[(Slot, Measure)]) -> Option<Measure> {
        marker::measure(hidden, visible)
    }

    fn deidentify(&self, text: &[u8], project: &Pseudonyms) -> Option<Vec<u8>> {
        safe_harbor::of(&self.parse(text, &Rules::builtin())?, project)
    }

    fn parse<'a>(&self, bytes: &'a [u8], rules: &Rules) -> Option<Tree<'a>> {
        let (text, begin) = text_of(bytes)?;
        let kind = kind_of(text, begin)?;
        let mut parse = Walk::new(kind, text, rules);
        let mut cursor = Cursor::new(text, begin);
        match kind {
            // Two versions are shown in one bundle, where a mark in the middle is not valid.
            Kind::Single if begin > 0 => return None,
            Kind::Single => single(&mut parse, &mut cursor)?,
            BUNDLE => {
                let mut pending = Pending::default();
                parse.document(&mut cursor, ROOT, HoleKind::Kept, |this, c, part| {
                    bundle_member(this, c, part, &mut pending)
                })?;
                pending.settle(&mut parse.tree);
            }
            Kind::Shell(_) => {
                parse.document(&mut cursor, ROOT, HoleKind::Kept, |this, c, part| {
                    patient_member(this, c, part, ROOT)
                })?;
            }
        }
        Some(parse.tree)
    }
}

const BUNDLE: Kind = Kind::Shell("bundle");
const PATIENT: Kind = Kind::Shell("patient");

/// Finds the kind of file by the type that the object gives itself; `None` when it gives none.
pub(super) fn kind_of(text: &str, begin: usize) -> Option<Kind> {
    let mut cursor = Cursor::new(text, begin);
    if cursor.token() != b'{' {
        return None;
    }
    let mut found = None;
    cursor.parts(|c, part| {
        if part.key == "resourceType" && c.token() == b'"' {
            found = Some(match c.string()?.as_ref() {
                "Bundle" => BUNDLE,
                "Patient" => PATIENT,
                _ => Kind::Single,
            });
            // Nothing more is needed: the pass ends here.
            return None;
        }
        c.skip_value()
    });
    found
}

/// Takes a whole file that is one element.
fn single<'a>(walk: &mut Walk<'a, '_>, cursor: &mut Cursor<'a>) -> Option<()> {
    let facts = scan(cursor, Place::Resource, 0, walk.rules)?;
    walk.tree.repeated |= facts.repeated;
    let index = walk.push(DOCUMENT, Cow::Borrowed(""), 0, claim_of(facts));
    walk.tree.nodes[index].end = walk.text.len();
    Some(())
}

fn claim_of(facts: Facts<'_>) -> Claim<'_> {
    Claim::Typed(types::of_resource(&facts), Box::new(facts))
}

fn bundle_member<'a>(
    walk: &mut Walk<'a, '_>,
    cursor: &mut Cursor<'a>,
    part: &Part<'a>,
    pending: &mut Pending<'a>,
) -> Option<usize> {
    let claim = Claim::Fixed(types::of_bundle_key(&part.key));
    let index = walk.push(ROOT, part.key.clone(), part.start, claim);
    if part.key == "entry" {
        if cursor.token() != b'[' {
            return None;
        }
        walk.container(cursor, index, LIST, HoleKind::Dropped, |walk, c, part| {
            entry(walk, c, part, pending)
        })?;
    } else {
        cursor.skip_value()?;
    }
    Some(index)
}

fn entry<'a>(
    walk: &mut Walk<'a, '_>,
    cursor: &mut Cursor<'a>,
    part: &Part<'a>,
    pending: &mut Pending<'a>,
) -> Option<usize> {
    let mut ahead = cursor.clone();
    let facts = scan(&mut ahead, Place::Entry, 2, walk.rules)?;
    walk.tree.repeated |= facts.repeated;
    let identity = match (&facts.full_url, &facts.resource_type, &facts.id) {
        (Some(url), _, _) => url.clone(),
        (None, Some(kind), Some(id)) => Cow::Owned(format!("{kind}/{id}")),
        _ => Cow::Borrowed(&walk.text[part.value..ahead.at()]),
    };
    let is_composition = facts.resource_type.as_deref() == Some("Composition");
    if let Some(head) =
        is_composition.then(|| document::head_of(cursor.clone(), walk.rules)).flatten()
    {
        return document::entry(walk, cursor, part, identity, &head, pending);
    }
    if facts.resource_type.as_deref() == Some("Patient") {
        let index = walk.push(LIST, identity, part.start, Claim::Fixed(Slot::FRAME));
        patient_entry(walk, cursor, index)?;
        return Some(index);
    }
    *cursor = ahead;
    Some(walk.push(LIST, identity, part.start, claim_of(facts)))
}

fn patient_entry<'a>(walk: &mut Walk<'a, '_>, cursor: &mut Cursor<'a>, shell: usize) -> Option<()> {
    let outer = walk.take_container();
    walk.container(cursor, shell, outer, HoleKind::Kept, |walk, c, part| {
        let mut ahead = c.clone();
        ahead.skip_value()?;
        let value = &walk.text[part.value..ahead.at()];
        let has_query = value.contains('?') || value.contains("ifNoneExist");
        let claim = Claim::Fixed(types::of_patient_entry_key(&part.key, has_query));
        let index = walk.push(outer, part.key.clone(), part.start, claim);
        if part.key == "resource" {
            let inner = walk.take_container();
            walk.container(c, index, inner, HoleKind::Kept, |walk, c, part| {
                patient_member(walk, c, part, inner)
            })?;
        } else {
            *c = ahead;
        }
        Some(index)
    })
}

fn patient_member<'a>(
    walk: &mut Walk<'a, '_>,
    cursor: &mut Cursor<'a>,
    part: &Part<'a>,
    container: u32,
) -> Option<usize> {
    cursor.skip_value()?;
    let claim = Claim::Fixed(types::of_patient_key(&part.key));
    Some(walk.push(container, part.key.clone(), part.start, claim))
}
