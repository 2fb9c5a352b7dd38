//! A DICOMDIR: the index of the files of a medium, over any number of patients, by the values of
//! its records.
//!
//! Its records point at each other by offsets in the file. So nothing is cut out: a value that is
//! hidden is shown as blanks, or zeros, of the same length, and every offset holds in every view.
//! What that tells is the length of a hidden value.
//!
//! | part | how it is cut |
//! |---|---|
//! | preamble, file meta group, headers, offsets, types of records, UIDs | frame |
//! | identifiers of the medium | `whole` |
//! | `ReferencedFileID` | `identifiers`: folders are called like patients |
//! | any other value of a record | its section, as in an image (`table`); a sequence, as an icon, as a whole |
//!
//! Which value is whose hangs on the records around it. The frame of the file is part of what each value
//! is called: when another program writes the directory anew, none of them is found again, and only
//! who sees and may write every section can save it. Others change values that they see, in place.

use std::borrow::Cow;
use std::ops::Range;

use super::super::FormatId;
use super::super::adapter::{Adapter, Glue};
use super::super::rank::Rank;
use super::super::rules::Rules;
use super::super::section::{DOCUMENT, HoleKind, INNER, LIST};
use super::super::slots::Slot;
use super::super::tree::{Claim, Form, Kind, Tree};
use super::scan::Scan;
use super::walk::{Encoding, Event, Walk};
use super::{MAX_ELEMENTS, MEDIA_DIRECTORY, Meta, PREAMBLE_BYTES, RANK_END, gap, is_dicom, table};
use crate::key::hash;

const EXPLICIT_LITTLE: &[u8] = b"1.2.840.10008.1.2.1";
/// A larger index is not cut.
const MAX_BYTES: usize = 64 << 20;
const RECORDS: u32 = 0x0004_1220;
const REFERENCED_FILE: u32 = 0x0004_1500;
const FILE_SET: std::ops::RangeInclusive<u32> = 0x0004_1130..=0x0004_1142;
const LAST_DIRECTORY_TAG: u32 = 0x0004_ffff;
const ITEM_HEADER_BYTES: usize = 8;
/// The header of an item and of the padding inside.
const PADDED_BYTES: usize = 20;

pub(in super::super) struct DicomDir;

impl Adapter for DicomDir {
    fn id(&self) -> FormatId {
        FormatId::DicomDir
    }

    fn name(&self) -> &'static str {
        "DICOMDIR"
    }

    fn glue(&self) -> Glue {
        Glue { list: false, inner: false }
    }

    /// A value may belong to any section.
    fn shell_parts(&self) -> &'static [Slot] {
        self.slots()
    }

    fn parse<'a>(&self, bytes: &'a [u8], rules: &Rules) -> Option<Tree<'a>> {
        if bytes.len() > MAX_BYTES || !is_dicom(bytes) {
            return None;
        }
        let meta = Meta::read(bytes, PREAMBLE_BYTES)?;
        let syntax = meta.syntax.strip_suffix(b"\0").unwrap_or(meta.syntax);
        // The standard has no other for a directory.
        if !meta.class.starts_with(MEDIA_DIRECTORY) || syntax != EXPLICIT_LITTLE {
            return None;
        }
        let mut values =
            Values { walk: Walk::new(bytes, Encoding::EXPLICIT), rules, found: vec![] };
        values.data_set(bytes, meta.end)?;
        // What is no zeros may hold anything.
        if bytes[..PREAMBLE_BYTES].iter().any(|&b| b != 0) {
            values.found.insert(0, (0..PREAMBLE_BYTES, Slot::OTHER, vec![0; PREAMBLE_BYTES]));
        }
        Some(tree_of(bytes, values.found))
    }
}

/// The value of an element: where it stands, its section, and what is shown instead.
type Value = (Range<usize>, Slot, Vec<u8>);

struct Values<'a, 'r> {
    walk: Walk<'a>,
    rules: &'r Rules,
    found: Vec<Value>,
}

impl<'a> Values<'a, '_> {
    fn data_set(&mut self, bytes: &'a [u8], begin: usize) -> Option<()> {
        let (mut at, mut last) = (begin, 0);
        while at < bytes.len() {
            let tag = self.walk.tag(at)?;
            if tag <= last {
                return None;
            }
            last = tag;
            at = if tag == RECORDS {
                self.records(bytes, at)?
            } else {
                self.value(at, bytes.len())?
            };
        }
        Some(())
    }

    /// Takes the records, of known or unknown length as other elements are.
    fn records(&mut self, bytes: &'a [u8], at: usize) -> Option<usize> {
        let sequence = self.walk.element(at, bytes.len(), &mut |_, _| {})?;
        let mut at = sequence.value;
        while let Some((begin, end)) = self.walk.item_at(at, sequence.end) {
            at = begin;
            while at < end && !self.walk.is_item_end(at) {
                at = self.value(at, end)?;
            }
            at += if at < end { ITEM_HEADER_BYTES } else { 0 };
        }
        (at == sequence.end || at + ITEM_HEADER_BYTES == sequence.end).then_some(sequence.end)
    }

    /// Takes one element and returns where it ends.
    fn value(&mut self, at: usize, limit: usize) -> Option<usize> {
        let mut scan = Scan::new(self.rules);
        let mut first = None;
        let mut visit = |depth, event: Event<'a>| {
            first = first.take().or(Some(match &event {
                Event::Value(_, vr, _) => *vr,
                _ => Some(*b"SQ"),
            }));
            scan.visit(depth, &event);
        };
        let element = self.walk.element(at, limit, &mut visit)?;
        let vr = first.flatten().unwrap_or(*b"UN");
        let slot = match element.tag {
            REFERENCED_FILE => Slot::IDENTIFIERS,
            tag if FILE_SET.contains(&tag) => Slot::WHOLE,
            tag if tag <= LAST_DIRECTORY_TAG => Slot::FRAME,
            tag => scan.decide(table::place(tag).slot),
        };
        let span = element.value..element.end;
        if slot != Slot::FRAME && !span.is_empty() {
            let blank = blank(vr, span.len(), element.is_known(self.walk))?;
            self.found.push((span, slot, blank));
        }
        (self.found.len() <= MAX_ELEMENTS).then_some(element.end)
    }
}

/// Returns what is shown instead of a value; `None` when nothing of its length can be.
fn blank(vr: [u8; 2], len: usize, is_known: bool) -> Option<Vec<u8>> {
    let text = [
        b"AE", b"AS", b"CS", b"DA", b"DS", b"DT", b"IS", b"LO", b"LT", b"PN", b"SH", b"ST", b"TM",
        b"UC", b"UR", b"UT",
    ];
    if vr != *b"SQ" {
        return Some(vec![if text.contains(&&vr) { b' ' } else { 0 }; len]);
    }
    if !is_known || len < PADDED_BYTES {
        return None;
    }
    // One item with padding, which every reader passes.
    let inside = u32::try_from(len - ITEM_HEADER_BYTES).ok()?;
    let padding = u32::try_from(len - PADDED_BYTES).ok()?;
    let head = [
        &[0xfe, 0xff, 0x00, 0xe0][..],
        &inside.to_le_bytes(),
        &[0xfc, 0xff, 0xfc, 0xff],
        b"OB\0\0",
        &padding.to_le_bytes(),
    ];
    let mut text = head.concat();
    text.resize(len, 0);
    Some(text)
}

/// Makes the tree: what stands between the values is the frame's.
fn tree_of(bytes: &[u8], values: Vec<Value>) -> Tree<'_> {
    let mut frame = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for (span, ..) in &values {
        frame.extend_from_slice(&bytes[at..span.start]);
        frame.extend_from_slice(&(span.len() as u64).to_le_bytes());
        at = span.end;
    }
    frame.extend_from_slice(&bytes[at..]);
    let mut make = Make {
        tree: Tree::new(Kind::Shell("directory of media"), bytes),
        frame: hash::sha256(&[&frame]),
        count: 0,
        next_container: INNER,
    };
    let shell = make.tree.push(DOCUMENT, Cow::Borrowed(b""), 0, Claim::Fixed(Slot::FRAME));
    let whole = super::Gap { end: bytes.len(), ..gap(0, LIST, HoleKind::Kept, Vec::new()) };
    make.tree.nodes[shell].end = bytes.len();
    make.tree.nodes[shell].form = Form::Shell(whole);
    let mut at = 0;
    for (span, slot, blank) in values {
        make.text(at..span.start);
        at = span.end;
        make.value(span, slot, blank);
    }
    make.text(at..bytes.len());
    make.tree
}

struct Make<'a> {
    tree: Tree<'a>,
    /// What the values stand in, as a hash.
    frame: [u8; 32],
    count: u32,
    next_container: u32,
}

impl Make<'_> {
    fn place(&mut self) -> Vec<u8> {
        self.count += 1;
        [&self.count.to_be_bytes()[..], &[RANK_END]].concat()
    }

    fn push(
        &mut self,
        container: u32,
        (place, name): (&[u8], &[u8]),
        span: &Range<usize>,
        slot: Slot,
    ) -> usize {
        let name = Cow::Owned([place, name].concat());
        let index = self.tree.push(container, name, span.start, Claim::Fixed(slot));
        let node = &mut self.tree.nodes[index];
        (node.end, node.rank) = (span.end, Rank::from_bytes(place));
        index
    }

    fn text(&mut self, span: Range<usize>) {
        let place = self.place();
        if !span.is_empty() {
            self.push(LIST, (&place, b"text"), &span, Slot::FRAME);
        }
    }

    fn value(&mut self, span: Range<usize>, slot: Slot, blank: Vec<u8>) {
        let (place, frame, container) = (self.place(), self.frame, self.next_container);
        self.next_container += 1;
        let is_blank = self.tree.text[span.clone()] == blank;
        let len = u32::try_from(blank.len()).expect("an index is shorter than 4 GiB");
        let shell = self.push(LIST, (&place, &frame), &span, Slot::FRAME);
        let gap = gap(span.start, container, HoleKind::Stub, blank);
        self.tree.nodes[shell].form = Form::Shell(super::Gap { end: span.end, ..gap });
        if !is_blank {
            let value = self.push(container, (&place, &frame), &span, slot);
            self.tree.nodes[value].form = Form::Instead(len);
        }
    }
}
