//! The plaintext of one section: its elements with their places, and the measure from which the
//! size of a view is known without any plaintext.
//!
//! Stored form, integers little-endian; an opaque section is the file's bytes instead:
//!
//! | field | bytes | meaning |
//! |---|---|---|
//! | items | 4 | how many follow, ordered by container and rank |
//! | container | 4 | 0 document, 1 root members, 2 list, 3 and more inside elements |
//! | rank | 2 + n | at most 64 bytes, the last not zero |
//! | role | 1 | 0 text, 1 shell that goes with its list, 2 shell, 3 field, 4 stub, 5 numbered text, 6 text instead of a stub, 7 shell that vanishes |
//! | hole | 0 or 9 | of roles 1 to 4 and 7: offset in the text u32, container that fills it u32, separator u8 or 0 |
//! | number | 0 or 4 | of role 5: offset in the text where its number is shown |
//! | replaces | 0 or 4 | of role 6: bytes of the stub that it stands for |
//! | text | 4 + n | the span of the file |

use crate::error::Result;
use crate::wire::{Reader, Writer};

use super::rank::{MAX_RANK_BYTES, Rank};
use super::{FormatId, Slot};

/// Container that holds the document itself: no brackets, no commas.
pub(super) const DOCUMENT: u32 = 0;
/// Container of the members of the document's object, of which the frame has at least one.
pub(super) const ROOT: u32 = 1;
/// Container whose items only visible sections give: the entries of a bundle, the keys of a plain
/// object. It may be empty.
pub(super) const LIST: u32 = 2;
/// First of the containers inside elements; the frame has at least one item in each.
pub(super) const INNER: u32 = 3;

/// A section holds at most this many bytes of text: a file over [`super::MAX_SPLIT_BYTES`] is
/// not cut.
const MAX_ITEM_BYTES: usize = 256 << 20;
const MIN_ITEM_ENCODED_BYTES: usize = 4 + 2 + 1 + 1 + 4;
/// Role of an item with a number.
const NUMBERED: u8 = 5;
/// Role of an item that is shown instead of a stub.
const INSTEAD: u8 = 6;
/// Role of a shell that is shown only with something in it.
const VANISHING: u8 = HoleKind::Vanishing as u8;
/// As many elements of one kind have numbers of one digit.
const MAX_ONE_DIGIT: u64 = 9;

/// One element of a file: a span of its bytes, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The container that it stands in.
    pub container: u32,
    /// Its place there.
    pub rank: Rank,
    /// The text, with the white space before it, without the separator.
    pub bytes: Vec<u8>,
    /// What it is to the view.
    pub role: Role,
}

/// What an item is to the view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Shown as it is.
    #[default]
    Text,
    /// Text around a container; only in the frame.
    Shell(Hole),
    /// Text with a place, given as offset, where its number among the visible ones is shown.
    Numbered(u32),
    /// Shown instead of a stub of so many bytes.
    Instead(u32),
}

/// Where in a shell a container is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Offset in the shell's bytes.
    pub at: u32,
    /// The container.
    pub container: u32,
    /// The byte between the items of the container; 0 where there is none.
    pub separator: u8,
    /// What becomes of the shell while the container shows nothing.
    pub kind: HoleKind,
}

/// What becomes of a shell while its container shows nothing, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum HoleKind {
    /// It goes with its list.
    Dropped = 1,
    /// It stays.
    Kept = 2,
    /// It stays, and holds at most one item.
    Field = 3,
    /// Its own text is shown then, and only then; it holds at most one item.
    Stub = 4,
    /// It is not shown, and neither are the shells in which nothing else is.
    Vanishing = 7,
}

impl HoleKind {
    /// Says whether the container holds at most one item.
    pub(super) fn is_single(self) -> bool {
        matches!(self, Self::Field | Self::Stub)
    }
}

impl Item {
    /// Returns the hole of a shell.
    pub fn hole(&self) -> Option<Hole> {
        match self.role {
            Role::Shell(hole) => Some(hole),
            _ => None,
        }
    }
}

/// The plaintext of one section: items ordered by container and rank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SectionText {
    /// The elements.
    pub items: Vec<Item>,
}

/// What a section adds to the size of a view; sealed beside the section, so that `stat` needs no
/// plaintext.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Bytes of text, and of the separators that do not depend on other sections.
    pub text_len: u64,
    /// Items in the container whose separators depend on how many items are visible.
    pub list_count: u32,
    /// Bytes that vanish when that container shows nothing; only in the frame.
    pub drop_len: u32,
    /// Bytes of stubs in the frame that the section's items are shown instead of.
    pub replaced_len: u32,
    /// Items with a number, each counted with one digit in the text; `u32::MAX` when only the view
    /// itself tells its size.
    pub numbered: u32,
}

impl SectionText {
    /// Makes the text of a section of an opaque file.
    pub fn opaque(bytes: Vec<u8>) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        let rank = Rank::from_bytes(&[0x80]).expect("one byte that is not zero is a rank");
        Self { items: vec![Item { container: DOCUMENT, rank, bytes, role: Role::Text }] }
    }

    /// Says whether the section has no element.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds the items of a part that somebody wrote without seeing this one.
    pub fn append(&mut self, part: Self) {
        self.items.extend(part.items);
        self.sort();
    }

    /// Puts the items in the stored order: by container and rank, equal ones as they stand.
    pub(super) fn sort(&mut self) {
        self.items.sort_by(|a, b| (a.container, &a.rank).cmp(&(b.container, &b.rank)));
    }

    /// Returns the stored form; for an opaque file the bytes themselves.
    pub fn encode(&self, format: FormatId) -> Vec<u8> {
        if format == FormatId::Opaque {
            return self.items.iter().flat_map(|item| item.bytes.iter().copied()).collect();
        }
        let mut w = Writer::new();
        w.u32(u32::try_from(self.items.len()).expect("a file that is cut has fewer items"));
        for item in &self.items {
            w.u32(item.container).short(item.rank.as_bytes());
            match item.role {
                Role::Text => w.u8(0),
                Role::Shell(hole) => {
                    w.u8(hole.kind as u8).u32(hole.at).u32(hole.container).u8(hole.separator)
                }
                Role::Numbered(at) => w.u8(NUMBERED).u32(at),
                Role::Instead(len) => w.u8(INSTEAD).u32(len),
            };
            w.long(&item.bytes);
        }
        w.into_bytes()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// `Integrity` when it is not what [`Self::encode`] writes.
    pub fn decode(format: FormatId, bytes: &[u8]) -> Result<Self> {
        if format == FormatId::Opaque {
            return Ok(Self::opaque(bytes.to_vec()));
        }
        let mut r = Reader::new(bytes, "section text");
        let count = r.u32()? as usize;
        if count > r.remaining() / MIN_ITEM_ENCODED_BYTES {
            return Err(r.bad("it has more items than bytes for them"));
        }
        let mut items: Vec<Item> = Vec::with_capacity(count);
        for _ in 0..count {
            let item = decode_item(&mut r)?;
            let ordered =
                |last: &Item| (last.container, &last.rank) <= (item.container, &item.rank);
            if !items.last().is_none_or(ordered) {
                return Err(r.bad("its items are not in order"));
            }
            items.push(item);
        }
        r.finish()?;
        Ok(Self { items })
    }

    /// Returns what the section adds to the size of a view.
    pub fn measure(&self, format: FormatId) -> Measure {
        let glue = format.adapter().glue();
        let mut m = Measure::default();
        for item in &self.items {
            m.text_len += item.bytes.len() as u64;
            match item.container {
                DOCUMENT => m.list_count += u32::from(item.hole().is_none()),
                LIST => m.list_count += 1,
                _ => m.text_len += u64::from(glue.inner),
            }
            match item.role {
                // Which shells are shown hangs on what every section has in them.
                Role::Shell(hole) if hole.kind == HoleKind::Vanishing => m.numbered = u32::MAX,
                Role::Shell(hole) if hole.container != LIST => {
                    // The first member of every other container has no separator before it.
                    m.text_len = m.text_len.saturating_sub(u64::from(glue.inner));
                }
                Role::Shell(hole) if hole.kind == HoleKind::Dropped => {
                    let len = item.bytes.len() + usize::from(glue.inner);
                    m.drop_len = u32::try_from(len).unwrap_or(u32::MAX);
                }
                Role::Text | Role::Shell(_) => {}
                Role::Numbered(_) => {
                    m.text_len += 1;
                    m.numbered = m.numbered.saturating_add(1);
                }
                Role::Instead(len) => m.replaced_len = m.replaced_len.saturating_add(len),
            }
        }
        m
    }
}

fn decode_item(r: &mut Reader<'_>) -> Result<Item> {
    let container = r.u32()?;
    let rank = r.short(MAX_RANK_BYTES)?;
    let rank = Rank::from_bytes(rank).ok_or_else(|| r.bad("a rank is empty or ends with zero"))?;
    let role = match r.u8()? {
        0 => Role::Text,
        1 => Role::Shell(decode_hole(r, HoleKind::Dropped)?),
        2 => Role::Shell(decode_hole(r, HoleKind::Kept)?),
        3 => Role::Shell(decode_hole(r, HoleKind::Field)?),
        4 => Role::Shell(decode_hole(r, HoleKind::Stub)?),
        VANISHING => Role::Shell(decode_hole(r, HoleKind::Vanishing)?),
        NUMBERED => Role::Numbered(r.u32()?),
        INSTEAD => Role::Instead(r.u32()?),
        _ => return Err(r.bad("an item is of no known kind")),
    };
    let bytes = r.long(MAX_ITEM_BYTES)?;
    let place = match role {
        Role::Shell(hole) => hole.at,
        Role::Numbered(at) => at,
        Role::Text | Role::Instead(_) => 0,
    };
    if place as usize > bytes.len() {
        return Err(r.bad("a hole lies outside its item"));
    }
    Ok(Item { container, rank, bytes: bytes.to_vec(), role })
}

fn decode_hole(r: &mut Reader<'_>, kind: HoleKind) -> Result<Hole> {
    Ok(Hole { at: r.u32()?, container: r.u32()?, separator: r.u8()?, kind })
}

/// Returns the exact size of the view that shows these sections, the frame among them, as
/// `super::join` renders it; `None` when only the view itself tells.
pub(super) fn view_len(format: FormatId, visible: &[(Slot, Measure)]) -> Option<u64> {
    let (glue, conflict) = (format.adapter().glue(), format.adapter().conflict());
    let (mut text, mut count, mut drop, mut framed) = (0_u64, 0_u64, 0_u64, false);
    let (mut replaced, mut numbered) = (0_u64, 0_u64);
    for &(slot, m) in visible {
        text = text.saturating_add(m.text_len);
        count += u64::from(m.list_count);
        replaced += u64::from(m.replaced_len);
        numbered += u64::from(m.numbered);
        if slot == Slot::FRAME {
            drop = u64::from(m.drop_len);
            framed = m.text_len > 0;
        }
    }
    if numbered > MAX_ONE_DIGIT {
        return None;
    }
    let text = text.saturating_sub(replaced);
    let separators = count.saturating_sub(1);
    Some(match conflict {
        _ if framed || conflict.is_none() => (text + separators * u64::from(glue.list))
            .saturating_sub(if count == 0 { drop } else { 0 }),
        Some(c) if count > 1 => {
            let each = (c.before.len() + c.after.len()) as u64;
            text + separators + count * each + (c.head.len() + c.tail.len()) as u64
        }
        _ => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(container: u32, rank: &[u8], bytes: &[u8]) -> Item {
        let rank = Rank::from_bytes(rank).unwrap();
        Item { container, rank, bytes: bytes.to_vec(), role: Role::Text }
    }

    #[test]
    fn a_section_comes_back_and_every_truncation_is_refused() {
        let mut shell = item(ROOT, &[9], b"\"entry\":[]");
        let kind = HoleKind::Dropped;
        shell.role = Role::Shell(Hole { at: 9, container: LIST, separator: b',', kind });
        let (mut one, mut two) = (item(LIST, &[1], b"DG1||x"), item(INNER, &[1], b"value"));
        (one.role, two.role) = (Role::Numbered(4), Role::Instead(8));
        let text = SectionText { items: vec![item(ROOT, &[1, 2], b" x"), shell, one, two] };
        let bytes = text.encode(FormatId::FhirJson);
        assert_eq!(SectionText::decode(FormatId::FhirJson, &bytes).unwrap(), text);
        for n in 0..bytes.len() {
            assert!(SectionText::decode(FormatId::FhirJson, &bytes[..n]).is_err());
        }
        let reversed = SectionText { items: text.items.iter().rev().cloned().collect() };
        let bytes = reversed.encode(FormatId::Json);
        assert!(SectionText::decode(FormatId::Json, &bytes).is_err());
    }

    #[test]
    fn a_count_over_the_bytes_is_refused_before_anything_is_allocated() {
        assert!(SectionText::decode(FormatId::Json, &[0xff, 0xff, 0xff, 0xff, 0]).is_err());
    }

    #[test]
    fn an_opaque_section_is_the_file_itself() {
        let text = SectionText::opaque(b"%PDF-1.7".to_vec());
        assert_eq!(text.encode(FormatId::Opaque), b"%PDF-1.7");
        assert_eq!(SectionText::decode(FormatId::Opaque, b"%PDF-1.7").unwrap(), text);
        assert_eq!(text.measure(FormatId::Opaque).text_len, 8);
        assert!(SectionText::decode(FormatId::Opaque, b"").unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn decode_never_panics_and_has_one_encoding(
            bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            if let Ok(text) = SectionText::decode(FormatId::FhirJson, &bytes) {
                prop_assert_eq!(text.encode(FormatId::FhirJson), bytes);
            }
        }

        #[test]
        fn a_damaged_section_never_panics(at in 0..60_usize, with: u8) {
            let text = SectionText {
                items: vec![item(ROOT, &[1], b"\"a\":1"), item(LIST, &[1, 7], b"{\"b\":2}")],
            };
            let mut bytes = text.encode(FormatId::Json);
            let at = at % bytes.len();
            bytes[at] = with;
            if let Ok(read) = SectionText::decode(FormatId::Json, &bytes) {
                prop_assert_eq!(read.encode(FormatId::Json), bytes);
            }
        }
    }
}
