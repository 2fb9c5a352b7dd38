//! What an element tells: sections of what it holds, sensitive codes and words.

use std::borrow::Cow;

use super::super::rules::{Confidential, Hits, Rules};
use super::super::slots::{Confidentiality, Slot};
use super::table::{is_image_data, is_name, place};
use super::walk::Event;

const CODE_VALUE: u32 = 0x0008_0100;
const CODE_SCHEME: u32 = 0x0008_0102;
const LONG_CODE_VALUE: u32 = 0x0008_0119;
const URN_CODE_VALUE: u32 = 0x0008_0120;
const VALUE_TYPE: u32 = 0x0040_a040;

/// Collects what the walk passes.
pub(super) struct Scan<'a, 'r> {
    rules: &'r Rules,
    hits: Hits,
    /// Sections of what stands inside a sequence.
    held: Vec<Slot>,
    code: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
}

impl<'a, 'r> Scan<'a, 'r> {
    pub(super) fn new(rules: &'r Rules) -> Self {
        Self { rules, hits: Hits::default(), held: Vec::new(), code: None, scheme: None }
    }

    pub(super) fn visit(&mut self, depth: usize, event: &Event<'a>) {
        match *event {
            Event::Item => (self.code, self.scheme) = (None, None),
            Event::Unread => self.hold(Slot::OTHER),
            Event::Sequence(tag) if depth > 0 => self.hold(place(tag).slot),
            Event::Sequence(_) => {}
            Event::Value(tag, vr, value) => {
                let value = trimmed(value);
                if value.is_empty() {
                    return;
                }
                if depth > 0 {
                    self.inside(tag, value);
                }
                if is_text(tag, vr, value) {
                    self.hits |= self.rules.words(&String::from_utf8_lossy(value));
                }
            }
        }
    }

    fn hold(&mut self, slot: Slot) {
        if !self.held.contains(&slot) {
            self.held.push(slot);
        }
    }

    fn inside(&mut self, tag: u32, value: &'a [u8]) {
        match tag {
            CODE_VALUE | LONG_CODE_VALUE | URN_CODE_VALUE => self.code = Some(value),
            CODE_SCHEME => self.scheme = Some(value),
            VALUE_TYPE if value == b"TEXT" => self.hold(Slot::NOTES),
            _ => self.hold(place(tag).slot),
        }
        if let (Some(code), Some(scheme)) = (self.code, self.scheme) {
            let (code, scheme) = (String::from_utf8_lossy(code), String::from_utf8_lossy(scheme));
            self.hits |= self.rules.code(Some(&system(&scheme)), &code).hits;
        }
    }

    /// Decides the section of an element that its tag puts into `typed`.
    pub(super) fn decide(&self, typed: Slot) -> Slot {
        let held = self.held.iter().copied().filter(|slot| *slot != Slot::FRAME);
        let slot = held.fold(typed, stricter);
        if slot == Slot::OTHER {
            slot
        } else {
            Rules::decide(slot, self.hits, Confidential::default())
        }
    }
}

/// Returns a section that is at least as strict as both.
fn stricter(of: Slot, held: Slot) -> Slot {
    let is_person = |slot| matches!(slot, Slot::DEMOGRAPHICS | Slot::CONTACT | Slot::IDENTIFIERS);
    // Who the patient is must not be read by who sees only, say, the orders.
    let held = if is_person(held) && held != of { Slot::IDENTIFIERS } else { held };
    let normal = Confidentiality::Normal;
    match (of.confidentiality() > normal, held.confidentiality() > normal) {
        (true, true) if of != held => Slot::OTHER,
        (false, true) => held,
        (false, false) if held.confidentiality() > of.confidentiality() => held,
        _ => of,
    }
}

/// Returns the name by which the rules know a coding scheme.
fn system(scheme: &str) -> Cow<'_, str> {
    Cow::Borrowed(match scheme {
        "SCT" => "snomed",
        "LN" => "loinc",
        "RXNORM" => "rxnorm",
        "I10" | "I10C" | "I10P" => "icd-10",
        "I9" | "I9C" => "icd-9",
        other => other,
    })
}

/// Removes the padding of a value.
fn trimmed(value: &[u8]) -> &[u8] {
    let is_padding = |b: &u8| matches!(b, 0 | b' ');
    let end = value.iter().rposition(|b| !is_padding(b)).map_or(0, |last| last + 1);
    &value[..end]
}

fn is_text(tag: u32, vr: Option<[u8; 2]>, value: &[u8]) -> bool {
    match vr {
        Some(vr) if &vr != b"UN" => {
            matches!(&vr, b"LO" | b"LT" | b"SH" | b"ST" | b"UC" | b"UT")
        }
        _ if is_name(tag) || is_image_data(tag) => false,
        _ => !value.contains(&0),
    }
}
