//! Where the elements of a data set begin and end: on bytes, in any of the three encodings, with
//! sequences and fragments of known and of unknown length. Nothing is copied.

/// Sequences inside sequences beyond this are not read.
const MAX_DEPTH: usize = 32;
const UNDEFINED: u32 = 0xffff_ffff;
const ITEM: u32 = 0xfffe_e000;
const ITEM_END: u32 = 0xfffe_e00d;
const SEQUENCE_END: u32 = 0xfffe_e0dd;

/// How the elements of a data set are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) implicit: bool,
    pub(super) big: bool,
}

impl Encoding {
    pub(super) const IMPLICIT: Self = Self { implicit: true, big: false };
    pub(super) const EXPLICIT: Self = Self { implicit: false, big: false };
    pub(super) const BIG: Self = Self { implicit: false, big: true };
}

/// An element: its header and where its value ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    /// Group and element number.
    pub(super) tag: u32,
    pub(super) start: usize,
    /// Where the length stands in the header: it ends where the value begins.
    length: usize,
    pub(super) value: usize,
    pub(super) end: usize,
}

impl Element {
    /// Returns the element without its value.
    pub(super) fn emptied(&self, bytes: &[u8]) -> Vec<u8> {
        let mut header = bytes[self.start..self.value].to_vec();
        header[self.length - self.start..].fill(0);
        header
    }

    /// Says whether the length in the header is not that of the value.
    pub(super) fn is_undefined(&self, bytes: &[u8]) -> bool {
        self.value - self.length == 4 && bytes[self.length..self.value] == UNDEFINED.to_le_bytes()
    }

    /// Writes the element with another value; `None` when its header has no room for the length.
    pub(super) fn write(
        &self,
        bytes: &[u8],
        value: &[u8],
        big: bool,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        out.extend_from_slice(&bytes[self.start..self.length]);
        let length = u32::try_from(value.len()).ok()?;
        if self.value - self.length == 2 {
            let length = u16::try_from(length).ok()?;
            out.extend(if big { length.to_be_bytes() } else { length.to_le_bytes() });
        } else {
            out.extend(if big { length.to_be_bytes() } else { length.to_le_bytes() });
        }
        out.extend_from_slice(value);
        Some(())
    }
}

impl Element {
    /// Says whether the header tells the length.
    pub(super) fn is_known(&self, walk: Walk<'_>) -> bool {
        self.value - self.length != 4 || walk.u32(self.length) != Some(UNDEFINED)
    }
}

/// What the walk passes, with how many sequences it stands in.
#[derive(PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// A value that is not a sequence, or the fragments of an image; its type where the encoding
    /// writes it.
    Value(u32, Option<[u8; 2]>, &'a [u8]),
    /// A sequence begins.
    Sequence(u32),
    /// An item of it begins.
    Item,
    /// A sequence of known length whose inside cannot be read.
    Unread,
}

/// Gets what the walk passes.
pub(super) type Visit<'v, 'a> = &'v mut dyn FnMut(usize, Event<'a>);

/// A data set on its way. Methods return `None` where the bytes are no data set.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    encoding: Encoding,
}

struct Header {
    tag: u32,
    vr: Option<[u8; 2]>,
    length_at: usize,
    value: usize,
    length: u32,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8], encoding: Encoding) -> Self {
        Self { bytes, encoding }
    }

    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.array(at)?;
        Some(if self.encoding.big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = self.array(at)?;
        Some(if self.encoding.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// Reads the tag at an offset.
    pub(super) fn tag(&self, at: usize) -> Option<u32> {
        Some(u32::from(self.u16(at)?) << 16 | u32::from(self.u16(at.checked_add(2)?)?))
    }

    /// Returns where the inside of the item at an offset begins, and where it ends or before which.
    pub(super) fn item_at(&self, at: usize, limit: usize) -> Option<(usize, usize)> {
        let begin = at.checked_add(8).filter(|&begin| begin <= limit)?;
        let length = self.u32(at + 4).filter(|_| self.tag(at) == Some(ITEM))?;
        let end = if length == UNDEFINED { limit } else { begin.checked_add(length as usize)? };
        (end <= limit).then_some((begin, end))
    }

    /// Says whether an item of unknown length ends at an offset.
    pub(super) fn is_item_end(&self, at: usize) -> bool {
        self.tag(at) == Some(ITEM_END)
    }

    fn header(&self, at: usize) -> Option<Header> {
        let tag = self.tag(at)?;
        if tag >> 16 == ITEM >> 16 {
            return None;
        }
        if self.encoding.implicit {
            let length = self.u32(at + 4)?;
            return Some(Header { tag, vr: None, length_at: at + 4, value: at + 8, length });
        }
        let vr: [u8; 2] = self.array(at + 4)?;
        if !vr.iter().all(u8::is_ascii_uppercase) {
            return None;
        }
        let (length_at, value, length) = if is_long(vr) {
            (at + 8, at + 12, self.u32(at + 8)?)
        } else {
            (at + 6, at + 8, u32::from(self.u16(at + 6)?))
        };
        Some(Header { tag, vr: Some(vr), length_at, value, length })
    }

    /// Passes the element at `at`, which ends at `limit` or before.
    pub(super) fn element(&self, at: usize, limit: usize, visit: Visit<'_, 'a>) -> Option<Element> {
        self.nested(at, limit, 0, visit)
    }

    fn nested(
        &self,
        at: usize,
        limit: usize,
        depth: usize,
        visit: Visit<'_, 'a>,
    ) -> Option<Element> {
        let header = self.header(at)?;
        let end = if header.length == UNDEFINED {
            self.undefined(&header, limit, depth, visit)?
        } else {
            self.defined(&header, limit, depth, visit)?
        };
        let Header { tag, length_at, value, .. } = header;
        Some(Element { tag, start: at, length: length_at, value, end })
    }

    fn defined(
        &self,
        header: &Header,
        limit: usize,
        depth: usize,
        visit: Visit<'_, 'a>,
    ) -> Option<usize> {
        let end = header.value.checked_add(header.length as usize)?;
        let value = self.bytes.get(header.value..end).filter(|_| end <= limit)?;
        let inside = self.inside(header.vr);
        let is_sequence = match header.vr {
            Some(vr) if &vr == b"SQ" => true,
            None | Some([b'U', b'N']) => inside.tag(header.value) == Some(ITEM) && value.len() >= 8,
            Some(_) => false,
        };
        if !is_sequence {
            visit(depth, Event::Value(header.tag, header.vr, value));
            return Some(end);
        }
        visit(depth, Event::Sequence(header.tag));
        if inside.items(header.value, end, true, depth, visit) != Some(end) {
            visit(depth, Event::Unread);
        }
        Some(end)
    }

    fn undefined(
        &self,
        header: &Header,
        limit: usize,
        depth: usize,
        visit: Visit<'_, 'a>,
    ) -> Option<usize> {
        match header.vr {
            None | Some([b'S', b'Q'] | [b'U', b'N']) => {
                visit(depth, Event::Sequence(header.tag));
                self.inside(header.vr).items(header.value, limit, false, depth, visit)
            }
            Some([b'O', b'B' | b'W']) => {
                let end = self.fragments(header.value, limit)?;
                let value = self.bytes.get(header.value..end)?;
                visit(depth, Event::Value(header.tag, header.vr, value));
                Some(end)
            }
            Some(_) => None,
        }
    }

    /// Returns the walk over the items of a sequence; one of unknown type has them implicit.
    fn inside(self, vr: Option<[u8; 2]>) -> Self {
        if vr == Some(*b"UN") { Self { encoding: Encoding::IMPLICIT, ..self } } else { self }
    }

    /// Passes the items of a sequence, to `limit` if that is `known`, else to its delimiter;
    /// returns where it ends.
    fn items(
        &self,
        mut at: usize,
        limit: usize,
        known: bool,
        depth: usize,
        visit: Visit<'_, 'a>,
    ) -> Option<usize> {
        if depth >= MAX_DEPTH {
            return None;
        }
        while !(known && at == limit) {
            let (tag, length) = (self.tag(at)?, self.u32(at.checked_add(4)?)?);
            at += 8;
            match tag {
                ITEM => {}
                SEQUENCE_END if !known && at <= limit => return Some(at),
                _ => return None,
            }
            visit(depth + 1, Event::Item);
            let known = length != UNDEFINED;
            let end = if known { at.checked_add(length as usize)? } else { limit };
            if end > limit {
                return None;
            }
            at = self.item(at, end, known, depth + 1, visit)?;
        }
        Some(at)
    }

    /// Passes the elements of an item and returns where it ends.
    fn item(
        &self,
        mut at: usize,
        limit: usize,
        known: bool,
        depth: usize,
        visit: Visit<'_, 'a>,
    ) -> Option<usize> {
        while !(known && at == limit) {
            if !known && self.tag(at)? == ITEM_END {
                let end = at.checked_add(8)?;
                return (end <= limit).then_some(end);
            }
            at = self.nested(at, limit, depth, visit)?.end;
        }
        Some(at)
    }

    /// Passes the fragments of an image and returns where they end.
    fn fragments(&self, mut at: usize, limit: usize) -> Option<usize> {
        loop {
            let (tag, length) = (self.tag(at)?, self.u32(at.checked_add(4)?)?);
            at = at.checked_add(8)?;
            match tag {
                ITEM if length != UNDEFINED => at = at.checked_add(length as usize)?,
                SEQUENCE_END if at <= limit => return Some(at),
                _ => return None,
            }
        }
    }
}

/// Says whether the length of a value of the type has four bytes.
fn is_long(vr: [u8; 2]) -> bool {
    matches!(
        &vr,
        b"OB"
            | b"OD"
            | b"OF"
            | b"OL"
            | b"OV"
            | b"OW"
            | b"SQ"
            | b"SV"
            | b"UC"
            | b"UN"
            | b"UR"
            | b"UT"
            | b"UV"
    )
}
