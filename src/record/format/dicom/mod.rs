//! DICOM files (PS3.10) by the attributes of their data set.
//!
//! | part | how it is cut |
//! |---|---|
//! | preamble | one element of 128 bytes; zeros are shown instead where it is hidden: `imaging` when it is the head of a TIFF, else `other` |
//! | `DICM`, file meta group | frame; a file with private information there is not cut |
//! | attribute of type 1, UID, description of the pixels | frame: no tool reads a file without |
//! | attribute of type 2 | its section; without value where it is hidden |
//! | any other attribute | its section (`table`), gone where it is hidden |
//! | sequence | never cut inside: the strictest section of what it holds |
//! | private attribute | `other` |
//! | group length, padding, signature | `whole`: they speak of hidden elements |
//!
//! Attributes stand in the order of their tags, so a tag is a rank: a new element finds its place
//! among hidden ones. A file in another order, or with a tag twice, is not cut. A DICOMDIR is a
//! format of its own (`directory`): its records point at each other by offsets in the file.

mod safe_harbor;
pub(super) mod identity;
mod directory;
mod scan;
mod syntax;
mod table;
mod walk;

use std::borrow::Cow;

use super::adapter::{Adapter, Glue};
use super::rank::Rank;
use super::rules::Rules;
use super::safe_harbor::Pseudonyms;
use super::section::{DOCUMENT, HoleKind, INNER, LIST};
use super::slots::Slot;
use super::tree::{Claim, Form, Gap, Kind, Tree};
use super::{FormatId, MAX_SPLIT_BYTES};

use scan::Scan;
use walk::{Element, Encoding, Event, Walk};

const PREAMBLE_BYTES: usize = 128;
const MAGIC: &[u8] = b"DICM";
/// A data set with more elements is not cut.
const MAX_ELEMENTS: usize = 1 << 16;

const META_GROUP: u32 = 0x0002;
/// The same group where it is read in the other byte order.
const META_GROUP_MIRRORED: u32 = 0x0200;
/// Groups of commands, file meta, media directories, and those that the standard forbids.
const LAST_RESERVED_GROUP: u32 = 0x0007;
const SOP_CLASS: u32 = 0x0002_0002;
const SOP_INSTANCE: u32 = 0x0002_0003;
const TRANSFER_SYNTAX: u32 = 0x0002_0010;
const PRIVATE_INFORMATION: u32 = 0x0002_0102;
const MEDIA_DIRECTORY: &[u8] = b"1.2.840.10008.1.3.10";

/// Ranks of what stands before the data set: smaller than those of all tags.
const PREAMBLE_RANK: [u8; 2] = [0, 1];
const META_RANK: [u8; 2] = [0, 2];
/// Ends the rank of a tag, because no rank ends with zero.
const RANK_END: u8 = 0x80;

pub(super) use directory::DicomDir;

pub(super) struct Dicom;

impl Adapter for Dicom {
    fn id(&self) -> FormatId {
        FormatId::Dicom
    }

    fn name(&self) -> &'static str {
        "DICOM"
    }

    fn glue(&self) -> Glue {
        Glue { list: false, inner: false }
    }

    fn shell_parts(&self) -> &'static [Slot] {
        table::STAYING_SLOTS
    }

    fn same(&self, a: &[u8], b: &[u8]) -> bool {
        a == b || same_meta(a, b) || same_element(a, b)
    }

    fn deidentify(&self, text: &[u8], project: &Pseudonyms) -> Option<Vec<u8>> {
        safe_harbor::of(text, project)
    }

    fn parse<'a>(&self, bytes: &'a [u8], rules: &Rules) -> Option<Tree<'a>> {
        if bytes.len() > MAX_SPLIT_BYTES || !is_dicom(bytes) {
            return None;
        }
        let meta = Meta::read(bytes, PREAMBLE_BYTES)?;
        if meta.class.starts_with(MEDIA_DIRECTORY) {
            return None;
        }
        let (uid, encoding) = syntax::find(meta.syntax)?;
        let mut parse =
            Parse { tree: Tree::new(Kind::Shell(uid), bytes), rules, next_container: INNER };
        let shell = parse.push(DOCUMENT, &[], 0..bytes.len(), Slot::FRAME);
        let gap = Gap { end: bytes.len(), ..gap(0, LIST, HoleKind::Kept, Vec::new()) };
        parse.tree.nodes[shell].form = Form::Shell(gap);
        parse.preamble();
        parse.push(LIST, &META_RANK, PREAMBLE_BYTES..meta.end, Slot::FRAME);
        parse.data_set(meta.end, Walk::new(bytes, encoding), encoding)?;
        Some(parse.tree)
    }
}

fn is_dicom(bytes: &[u8]) -> bool {
    bytes.get(PREAMBLE_BYTES..).is_some_and(|rest| rest.starts_with(MAGIC))
}

fn gap(at: usize, container: u32, kind: HoleKind, stub: Vec<u8>) -> Gap {
    Gap { start: at, end: at, container, kind, separator: 0, stub }
}

/// The file meta group.
struct Meta<'a> {
    syntax: &'a [u8],
    class: &'a [u8],
    instance: &'a [u8],
    end: usize,
}

impl<'a> Meta<'a> {
    /// Reads the group from where `DICM` stands; `None` when the file is not to be cut.
    fn read(bytes: &'a [u8], magic: usize) -> Option<Self> {
        let walk = Walk::new(bytes, Encoding::EXPLICIT);
        let mut end = magic + MAGIC.len();
        let mut meta = Self { syntax: &[], class: &[], instance: &[], end };
        while walk.tag(end).is_some_and(|tag| tag >> 16 == META_GROUP) {
            let element = walk.element(end, bytes.len(), &mut |_, _| {})?;
            let value = &bytes[element.value..element.end];
            match element.tag {
                TRANSFER_SYNTAX => meta.syntax = value,
                SOP_CLASS => meta.class = value,
                SOP_INSTANCE => meta.instance = value,
                PRIVATE_INFORMATION => return None,
                _ => {}
            }
            end = element.end;
        }
        meta.end = end;
        Some(meta)
    }
}

struct Parse<'a, 'r> {
    tree: Tree<'a>,
    rules: &'r Rules,
    next_container: u32,
}

impl Parse<'_, '_> {
    fn push(
        &mut self,
        container: u32,
        identity: &[u8],
        span: std::ops::Range<usize>,
        slot: Slot,
    ) -> usize {
        let name = Cow::Owned(identity.to_vec());
        let index = self.tree.push(container, name, span.start, Claim::Fixed(slot));
        let node = &mut self.tree.nodes[index];
        node.end = span.end;
        node.rank = Rank::from_bytes(identity);
        index
    }

    /// Takes an element that stays as `stub` where it is hidden.
    fn stub(&mut self, rank: &[u8], span: std::ops::Range<usize>, slot: Slot, stub: Vec<u8>) {
        let container = self.next_container;
        self.next_container += 1;
        let is_empty = self.tree.text[span.clone()] == stub;
        let stub_len = u32::try_from(stub.len()).expect("a stub is a header or the preamble");
        let shell = self.push(LIST, rank, span.clone(), Slot::FRAME);
        let gap = gap(span.start, container, HoleKind::Stub, stub);
        self.tree.nodes[shell].form = Form::Shell(gap);
        if !is_empty {
            let value = self.push(container, rank, span, slot);
            self.tree.nodes[value].form = Form::Instead(stub_len);
        }
    }

    fn preamble(&mut self) {
        let is_tiff = [&b"II*\0"[..], b"MM\0*"].iter().any(|m| self.tree.text.starts_with(m));
        let slot = if is_tiff { Slot::IMAGING } else { Slot::OTHER };
        self.stub(&PREAMBLE_RANK, 0..PREAMBLE_BYTES, slot, vec![0; PREAMBLE_BYTES]);
    }

    fn data_set(&mut self, begin: usize, walk: Walk<'_>, encoding: Encoding) -> Option<()> {
        let (mut at, mut last, mut count) = (begin, 0, 0);
        while at < self.tree.text.len() {
            let mut scan = Scan::new(self.rules);
            let limit = self.tree.text.len();
            let element = walk.element(at, limit, &mut |depth, event| scan.visit(depth, &event))?;
            if is_forbidden(element.tag, encoding) || count == MAX_ELEMENTS {
                return None;
            }
            self.tree.repeated |= element.tag <= last;
            (at, last, count) = (element.end, element.tag, count + 1);
            self.element(&element, &scan);
        }
        Some(())
    }

    fn element(&mut self, element: &Element, scan: &Scan<'_, '_>) {
        let [a, b, c, d] = element.tag.to_be_bytes();
        let rank = [a, b, c, d, RANK_END];
        let span = element.start..element.end;
        let place = table::place(element.tag);
        let slot = scan.decide(place.slot);
        // Numbers and names say nothing by the words in them.
        let is_plain = matches!(
            place.slot,
            Slot::DEMOGRAPHICS | Slot::IDENTIFIERS | Slot::ENCOUNTERS | Slot::DIRECTORY
        );
        if place.stays && (is_plain || slot == place.slot) {
            let stub = element.emptied(self.tree.text);
            return self.stub(&rank, span, place.slot, stub);
        }
        self.push(LIST, &rank, span, slot);
    }
}

/// Says whether a tag has no place in the data set of a file, or would be taken for one of the
/// file meta group.
fn is_forbidden(tag: u32, encoding: Encoding) -> bool {
    let group = tag >> 16;
    group <= LAST_RESERVED_GROUP || (encoding.big && group == META_GROUP_MIRRORED)
}

/// Says whether two file meta groups speak of one object: the others name the writing program.
fn same_meta(a: &[u8], b: &[u8]) -> bool {
    let read =
        |bytes| Some(bytes).filter(|b: &&[u8]| b.starts_with(MAGIC)).map(|b| Meta::read(b, 0));
    match (read(a).flatten(), read(b).flatten()) {
        (Some(a), Some(b)) => (a.syntax, a.class, a.instance) == (b.syntax, b.class, b.instance),
        _ => false,
    }
}

/// Says whether two elements differ only in how the lengths of their sequences are written.
fn same_element(a: &[u8], b: &[u8]) -> bool {
    [Encoding::EXPLICIT, Encoding::IMPLICIT, Encoding::BIG].into_iter().any(|encoding| {
        let (a, b) = (flat(a, encoding), flat(b, encoding));
        a.is_some() && a == b
    })
}

/// Returns what an element with a sequence says, without lengths.
fn flat(bytes: &[u8], encoding: Encoding) -> Option<Vec<(usize, Event<'_>)>> {
    let mut all = Vec::new();
    let mut visit = |depth, event| all.push((depth, event));
    let element = Walk::new(bytes, encoding).element(0, bytes.len(), &mut visit)?;
    let is_sequence = matches!(all.first(), Some((_, Event::Sequence(_))));
    let is_read = all.iter().all(|(_, event)| *event != Event::Unread);
    (element.end == bytes.len() && is_sequence && is_read).then_some(all)
}
