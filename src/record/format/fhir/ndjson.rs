//! FHIR bulk files: one resource per line.
//!
//! | text | becomes |
//! |---|---|
//! | byte order mark | head of the frame |
//! | line with a resource | one element by its type, labels, codes and references, as an entry of a bundle |
//! | line with a patient | a shell whose members go to `demographics`, `contact`, `identifiers` |
//! | blank lines, white space before a resource | with the resource |
//! | a carriage return before the line end | with the resource of its line |
//! | the last line end and what follows | tail of the frame |
//!
//! The line feed between two resources is the separator of the list, so that a view has as many
//! lines as it shows resources. A line that is no resource makes the whole file opaque, and so
//! does a file whose lines end with a carriage return alone. A file of one line is FHIR JSON.

use std::borrow::Cow;

use super::super::adapter::{Adapter, Glue};
use super::super::json::{COMMAS, Cursor, Walk, same_tokens, valid};
use super::super::rules::Rules;
use super::super::safe_harbor::Pseudonyms;
use super::super::section::{DOCUMENT, HoleKind, LIST};
use super::super::slots::Slot;
use super::super::tree::{Claim, Form, Gap, Kind, Tree};
use super::super::{FormatId, MAX_SPLIT_BYTES};
use super::{PATIENT_PARTS, Place, claim_of, patient_member, safe_harbor, scan};

pub(in super::super) struct Ndjson;

const BYTE_ORDER_MARK: &str = "\u{feff}";

impl Adapter for Ndjson {
    fn id(&self) -> FormatId {
        FormatId::FhirNdjson
    }

    fn name(&self) -> &'static str {
        "FHIR NDJSON"
    }

    fn glue(&self) -> Glue {
        COMMAS
    }

    fn same(&self, a: &[u8], b: &[u8]) -> bool {
        same_tokens(a, b)
    }

    fn shell_parts(&self) -> &'static [Slot] {
        PATIENT_PARTS
    }

    /// A new file has at least two lines; a view may show one or none.
    fn may_begin(&self, tree: &Tree<'_>) -> bool {
        tree.nodes.iter().filter(|node| node.container == LIST).nth(1).is_some()
    }

    fn deidentify(&self, text: &[u8], project: &Pseudonyms) -> Option<Vec<u8>> {
        safe_harbor::of(&self.parse(text, &Rules::builtin())?, project)
    }

    fn parse<'a>(&self, bytes: &'a [u8], rules: &Rules) -> Option<Tree<'a>> {
        if bytes.len() > MAX_SPLIT_BYTES {
            return None;
        }
        let text = std::str::from_utf8(bytes).ok()?;
        let begin = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let mut walk = Walk::new(Kind::Shell("lines"), text, rules);
        let shell = walk.push(DOCUMENT, Cow::Borrowed(""), 0, Claim::Fixed(Slot::FRAME));
        let end = lines(&mut walk, begin)?;
        let kind = HoleKind::Kept;
        let gap =
            Gap { start: begin, end, container: LIST, kind, separator: b'\n', stub: Vec::new() };
        let node = &mut walk.tree.nodes[shell];
        (node.end, node.form) = (text.len(), Form::Shell(gap));
        Some(walk.tree)
    }
}

/// Takes every line and returns where the last resource's line ends.
fn lines(walk: &mut Walk<'_, '_>, begin: usize) -> Option<usize> {
    let text = walk.text;
    // Where the element of the next resource begins: its blank lines are its own.
    let (mut start, mut at, mut end) = (begin, begin, begin);
    for line in text[begin..].split('\n') {
        let line_end = at + line.len();
        if !line.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\r')) {
            valid(line.as_bytes()).filter(|line| !line.starts_with(BYTE_ORDER_MARK))?;
            resource(walk, start, at, line_end)?;
            (start, end) = (line_end + 1, line_end);
        }
        at = line_end + 1;
    }
    Some(end)
}

fn resource(walk: &mut Walk<'_, '_>, start: usize, at: usize, end: usize) -> Option<()> {
    let mut cursor = Cursor::new(walk.text, at);
    if cursor.token() != b'{' {
        return None;
    }
    let value = cursor.at();
    let facts = scan(&mut cursor, Place::Resource, 2, walk.rules)?;
    walk.tree.repeated |= facts.repeated;
    let kind = facts.resource_type.as_deref()?;
    let identity = match &facts.id {
        Some(id) => Cow::Owned(format!("{kind}/{id}")),
        None => Cow::Borrowed(&walk.text[value..cursor.at()]),
    };
    let index = if kind == "Patient" {
        let index = walk.push(LIST, identity, start, Claim::Fixed(Slot::FRAME));
        let inner = walk.take_container();
        let mut cursor = Cursor::new(walk.text, at);
        walk.container(&mut cursor, index, inner, HoleKind::Kept, |walk, c, part| {
            patient_member(walk, c, part, inner)
        })?;
        index
    } else {
        walk.push(LIST, identity, start, claim_of(facts))
    };
    walk.tree.nodes[index].end = end;
    Some(())
}
