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
//! | kind | 1 | 0 text, 1 shell, 2 shell that is shown even when its list is empty |
//! | hole | 0 or 8 | of a shell: offset in its text, container that fills it |
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

/// One element of a file: a span of its bytes, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The container that it stands in.
    pub container: u32,
    /// Its place there.
    pub rank: Rank,
    /// The text, with the white space before it, without the comma.
    pub bytes: Vec<u8>,
    /// The place inside `bytes` where another container is rendered; only in the frame.
    pub hole: Option<Hole>,
}

/// Where in a shell a container is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Offset in the shell's bytes.
    pub at: u32,
    /// The container.
    pub container: u32,
    /// Whether the shell is shown when the container has no visible item.
    pub kept_empty: bool,
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
    /// Bytes of text, and of the commas that do not depend on other sections.
    pub text_len: u64,
    /// Items in the container whose commas depend on how many items are visible.
    pub list_count: u32,
    /// Bytes that vanish when that container shows nothing; only in the frame.
    pub drop_len: u32,
}

/// Text around conflicting versions of a file that is one element: they are shown as a bundle.
pub(super) const CONFLICT_HEAD: &[u8] =
    br#"{"resourceType":"Bundle","type":"collection","entry":["#;
pub(super) const CONFLICT_TAIL: &[u8] = b"]}";
pub(super) const CONFLICT_BEFORE: &[u8] = br#"{"resource":"#;
pub(super) const CONFLICT_AFTER: &[u8] = b"}";

impl SectionText {
    /// Makes the text of a section of an opaque file.
    pub fn opaque(bytes: Vec<u8>) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        let rank = Rank::from_bytes(&[0x80]).expect("one byte that is not zero is a rank");
        Self { items: vec![Item { container: DOCUMENT, rank, bytes, hole: None }] }
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
            match item.hole {
                None => w.u8(0),
                Some(hole) => w.u8(1 + u8::from(hole.kept_empty)).u32(hole.at).u32(hole.container),
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
    pub fn measure(&self) -> Measure {
        let mut m = Measure::default();
        for item in &self.items {
            m.text_len += item.bytes.len() as u64;
            match item.container {
                DOCUMENT => m.list_count += u32::from(item.hole.is_none()),
                LIST => m.list_count += 1,
                _ => m.text_len += 1,
            }
            let Some(hole) = item.hole else { continue };
            if hole.container != LIST {
                // The first member of every other container has no comma before it.
                m.text_len = m.text_len.saturating_sub(1);
            } else if !hole.kept_empty {
                m.drop_len = u32::try_from(item.bytes.len() + 1).unwrap_or(u32::MAX);
            }
        }
        m
    }
}

fn decode_item(r: &mut Reader<'_>) -> Result<Item> {
    let container = r.u32()?;
    let rank = r.short(MAX_RANK_BYTES)?;
    let rank = Rank::from_bytes(rank).ok_or_else(|| r.bad("a rank is empty or ends with zero"))?;
    let hole = match r.u8()? {
        0 => None,
        flag @ (1 | 2) => Some(Hole { at: r.u32()?, container: r.u32()?, kept_empty: flag == 2 }),
        _ => return Err(r.bad("an item is of no known kind")),
    };
    let bytes = r.long(MAX_ITEM_BYTES)?;
    if hole.is_some_and(|hole| hole.at as usize > bytes.len()) {
        return Err(r.bad("a hole lies outside its item"));
    }
    Ok(Item { container, rank, bytes: bytes.to_vec(), hole })
}

/// Returns the exact size of the view that shows these sections, the frame among them.
pub fn view_len(format: FormatId, visible: impl IntoIterator<Item = (Slot, Measure)>) -> u64 {
    let (mut text, mut count, mut drop, mut framed) = (0_u64, 0_u64, 0_u64, false);
    for (slot, m) in visible {
        text = text.saturating_add(m.text_len);
        count += u64::from(m.list_count);
        if slot == Slot::FRAME {
            drop = u64::from(m.drop_len);
            framed = m.text_len > 0;
        }
    }
    let commas = count.saturating_sub(1);
    if framed {
        (text + commas).saturating_sub(if count == 0 { drop } else { 0 })
    } else if count > 1 && format == FormatId::FhirJson {
        let each = (CONFLICT_BEFORE.len() + CONFLICT_AFTER.len()) as u64;
        text + commas + count * each + (CONFLICT_HEAD.len() + CONFLICT_TAIL.len()) as u64
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(container: u32, rank: &[u8], bytes: &[u8]) -> Item {
        let rank = Rank::from_bytes(rank).unwrap();
        Item { container, rank, bytes: bytes.to_vec(), hole: None }
    }

    #[test]
    fn a_section_comes_back_and_every_truncation_is_refused() {
        let mut shell = item(ROOT, &[9], b"\"entry\":[]");
        shell.hole = Some(Hole { at: 9, container: LIST, kept_empty: false });
        let text = SectionText { items: vec![item(ROOT, &[1, 2], b" x"), shell] };
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
        assert_eq!(text.measure().text_len, 8);
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
