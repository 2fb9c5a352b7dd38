//! HL7 v2 messages in ER7, by segments. The bytes are cut and never printed again, so that any
//! line end, delimiter and encoding of single bytes is kept.
//!
//! | part | stands in |
//! |---|---|
//! | byte order mark, bytes of MLLP, last line end | the frame |
//! | FHS, BHS, BTS, FTS; each message | the list; a message is a shell around its segments |
//! | MSH, FHS, BHS, BTS, FTS, EVN, MSA, PID, PD1 | the frame, and their fields in sections of their own: hidden ones are empty |
//! | ARV that names no disease | the frame, and its reason in `directives` |
//! | PV1 | its section; where that is hidden its name stands without fields |
//! | every other segment | its section, with the line ends before it and the lines after it that are no segments |
//!
//! A line end stands before its segment, so that a hidden last segment takes none from the one
//! before it. A segment belongs to the section of [`table::section`]; NTE, PRT, TQ1, RXR, RXC, OBX
//! and the like follow what they stand under (see [`group`]); a sensitive code, word or label
//! moves a segment, and what stands under it, to its set-apart section. The fields of segments
//! that are cut by fields never move: who fills one must know that it is not hidden.
//! Set ids count what is shown.

mod group;
pub(super) mod identity;
mod labels;
mod lines;
mod safe_harbor;
mod table;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::adapter::{Adapter, Glue, Numbers};
use super::rules::Rules;
use super::safe_harbor::Pseudonyms;
use super::section::{DOCUMENT, HoleKind, INNER, LIST};
use super::slots::Slot;
use super::tree::{Claim, Form, Gap, Kind, Tree};
use super::{FormatId, MAX_SPLIT_BYTES};

use labels::{Restricted, is_shown};
use lines::{Id, Segment, is_break, lines};
use table::Cut;

pub(super) struct Hl7v2;

impl Adapter for Hl7v2 {
    fn id(&self) -> FormatId {
        FormatId::Hl7v2
    }

    fn name(&self) -> &'static str {
        "HL7 v2"
    }

    fn glue(&self) -> Glue {
        Glue { list: false, inner: false }
    }

    fn deidentify(&self, text: &[u8], project: &Pseudonyms) -> Option<Vec<u8>> {
        safe_harbor::of(&self.parse(text, &Rules::builtin())?, project)
    }

    fn parse<'a>(&self, bytes: &'a [u8], rules: &Rules) -> Option<Tree<'a>> {
        if bytes.len() > MAX_SPLIT_BYTES {
            return None;
        }
        let found = lines(bytes)?;
        let is_cut = |segment: &Segment<'_>| !matches!(how(segment), Cut::Whole | Cut::Stub);
        if found.segments.iter().any(|segment| segment.is_continued && is_cut(segment)) {
            return None;
        }
        let tree = Tree::new(Kind::Shell("message"), bytes);
        let mut build = Build { tree, next_container: INNER, numbers: Numbers::default() };
        build.shell(DOCUMENT, b"", (0, bytes.len()), (found.head, found.tail, LIST));
        build.segments(&found.segments, rules);
        Some(build.tree)
    }

    /// Everything may stand in a message.
    fn shell_parts(&self) -> &'static [Slot] {
        self.slots()
    }

    fn next_number(&self, numbers: &mut Numbers, element: &[u8], _is_numbered: bool) -> u32 {
        let Some(id) = name_after_break(element) else { return 1 };
        match table::restarts(id) {
            None => numbers.forget_all(),
            Some(restarted) => restarted.iter().for_each(|&&id| numbers.forget(kind(id))),
        }
        // Every segment counts, so that it does not matter which of them show their number.
        if table::has_set_id(id) { numbers.count(kind(id)) } else { 1 }
    }
}

fn kind([a, b, c]: Id) -> [u8; 4] {
    [a, b, c, 0]
}

/// Returns the name of a segment that has a line end before it.
fn name_after_break(element: &[u8]) -> Option<Id> {
    let at = element.iter().position(|&b| !is_break(b)).filter(|&at| at > 0)?;
    element[at..].first_chunk::<3>().copied()
}

/// Says how a segment is cut; everybody who parses a view of it must find the same.
fn how(segment: &Segment<'_>) -> Cut {
    if segment.id == *b"ARV" && is_shown(segment) {
        return Cut::Fields(table::restriction_field, 8);
    }
    table::cut(segment.id)
}

struct Build<'a> {
    tree: Tree<'a>,
    next_container: u32,
    numbers: Numbers,
}

impl Build<'_> {
    fn take_container(&mut self) -> u32 {
        self.next_container += 1;
        self.next_container - 1
    }

    /// Adds a shell of the frame whose gap is filled by a container.
    fn shell(
        &mut self,
        container: u32,
        identity: &[u8],
        (start, end): (usize, usize),
        (gap_start, gap_end, filled_by): (usize, usize, u32),
    ) -> usize {
        let identity = Cow::Owned(identity.to_vec());
        let index = self.tree.push(container, identity, start, Claim::Fixed(Slot::FRAME));
        self.tree.nodes[index].end = end;
        self.tree.nodes[index].form = Form::Shell(Gap {
            start: gap_start,
            end: gap_end,
            container: filled_by,
            kind: HoleKind::Kept,
            separator: 0,
            stub: Vec::new(),
        });
        index
    }

    fn text(
        &mut self,
        container: u32,
        identity: Vec<u8>,
        span: (usize, usize),
        slot: Slot,
    ) -> usize {
        let index = self.tree.push(container, Cow::Owned(identity), span.0, Claim::Fixed(slot));
        self.tree.nodes[index].end = span.1;
        index
    }

    fn segments(&mut self, segments: &[Segment<'_>], rules: &Rules) {
        let sections = group::sections(segments, rules);
        let restrictions = group::restrictions(segments);
        let ends_message = |s: &Segment<'_>| s.id == *b"MSH" || is_batch_segment(s.id);
        let mut container = LIST;
        for (index, segment) in segments.iter().enumerate() {
            if ends_message(segment) {
                container = LIST;
            }
            if segment.id == *b"MSH" {
                let more = segments[index + 1..].iter().position(ends_message);
                let last = more.map_or(segments.len(), |n| index + 1 + n) - 1;
                let span = (segment.start, segments[last].end());
                container = self.take_container();
                // Its number, also of the only one: more may be appended.
                let identity = [b"message ", segment.field(10)].concat();
                self.shell(LIST, &identity, span, (span.0, span.1, container));
            }
            self.segment(container, segment, sections[index], restrictions[index]);
        }
    }

    fn segment(&mut self, container: u32, segment: &Segment<'_>, slot: Slot, not: Restricted) {
        let element = &self.tree.text[segment.start..segment.end()];
        let number = Hl7v2.next_number(&mut self.numbers, element, false);
        match how(segment) {
            Cut::Fields(slot_of, last) => self.fields(container, segment, slot_of, last, not),
            Cut::Stub => self.stub(container, segment, slot),
            Cut::Whole => {
                let span = (segment.start, segment.end());
                let index = self.text(container, identity(segment), span, slot);
                self.tree.nodes[index].form = numbered(segment, number);
            }
        }
    }

    /// Adds a segment of which the name stands where its fields are hidden.
    fn stub(&mut self, container: u32, segment: &Segment<'_>, slot: Slot) {
        let filled_by = self.take_container();
        let span = (segment.start, segment.end());
        let shell = self.shell(container, &segment.id, span, (span.0, span.1, filled_by));
        let stub = [
            &self.tree.text[segment.start..segment.body + segment.id.len()],
            &[segment.delimiters.field],
        ]
        .concat();
        let is_stub = stub == self.tree.text[span.0..span.1];
        let stub_len = u32::try_from(stub.len()).expect("a name and what ends a line are short");
        if let Form::Shell(gap) = &mut self.tree.nodes[shell].form {
            (gap.kind, gap.stub) = (HoleKind::Stub, stub);
        }
        if !is_stub {
            let index = self.text(filled_by, segment.id.to_vec(), span, slot);
            self.tree.nodes[index].form = Form::Instead(stub_len);
        }
    }

    /// Adds a segment whose fields are shown or empty, each by itself.
    fn fields(
        &mut self,
        container: u32,
        segment: &Segment<'_>,
        slot_of: fn(usize) -> Slot,
        last: usize,
        not: Restricted,
    ) {
        let (start, end) = (segment.start, segment.end());
        let name_end = segment.body + segment.id.len();
        let parts = self.take_container();
        self.shell(container, &segment.id, (start, end), (name_end, end, parts));
        let mut at = name_end;
        let mut shown_from = None;
        let mut number = if segment.is_header() { 2 } else { 1 };
        while at < end {
            let rest = &self.tree.text[at + 1..end];
            let is_field_end = |&b: &u8| b == segment.delimiters.field;
            let len = rest.iter().position(is_field_end).filter(|_| number < last);
            let field_end = len.map_or(end, |len| at + 1 + len);
            let slot = slot_of(number);
            if slot == Slot::FRAME {
                shown_from = shown_from.or(Some((number, at)));
            } else {
                if let Some((first, from)) = shown_from.take() {
                    self.text(parts, name_of(first), (from, at), Slot::FRAME);
                }
                let is_patient = segment.id == *b"PID";
                let is_person = is_patient || segment.id == *b"PD1";
                let is_restricted = is_person && not.covers(is_patient, number);
                let slot = if is_restricted { Slot::OTHER } else { slot };
                self.field(parts, number, (at, field_end), slot);
            }
            (at, number) = (field_end, number + 1);
        }
        if let Some((first, from)) = shown_from {
            self.text(parts, name_of(first), (from, end), Slot::FRAME);
        }
    }

    /// Adds a field with the separator before it.
    fn field(&mut self, parts: u32, number: usize, (at, end): (usize, usize), slot: Slot) {
        let filled_by = self.take_container();
        let shell = self.shell(parts, &name_of(number), (at, end), (at + 1, end, filled_by));
        if let Form::Shell(gap) = &mut self.tree.nodes[shell].form {
            gap.kind = HoleKind::Field;
        }
        if at + 1 < end {
            self.text(filled_by, Vec::new(), (at + 1, end), slot);
        }
    }
}

fn name_of(number: usize) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn is_batch_segment(id: Id) -> bool {
    matches!(&id, b"FHS" | b"BHS" | b"BTS" | b"FTS")
}

/// Returns what a segment is called among its siblings: its name and what it is about.
fn identity(segment: &Segment<'_>) -> Vec<u8> {
    let about: &[usize] = match &segment.id {
        b"OBX" => &[3, 4],
        b"DG1" | b"AL1" | b"PR1" | b"PRB" | b"IAM" => &[3],
        b"NK1" | b"IN1" | b"ORC" | b"OBR" | b"SPM" | b"RXE" => &[2],
        b"RXO" => &[1],
        b"RXA" => &[5],
        _ => &[],
    };
    let mut name = segment.id.to_vec();
    for &number in about {
        name.push(0);
        name.extend_from_slice(segment.field(number));
    }
    name
}

/// Returns the form of a segment: with a number where it is the one that counts it.
fn numbered(segment: &Segment<'_>, number: u32) -> Form {
    // A bare name may be followed by a line that is no segment and has separators.
    let has_fields = segment.text.get(segment.id.len()) == Some(&segment.delimiters.field);
    if has_fields
        && table::has_set_id(segment.id)
        && segment.field(1) == number.to_string().as_bytes()
    {
        let start = segment.body + segment.id.len() + 1;
        return Form::Numbered { start, end: start + segment.field(1).len() };
    }
    Form::Text
}
