//! The segments of a text in ER7: where each begins and ends, and how its fields are separated.
//! Bytes only; a text may be in any encoding in which the delimiters are single bytes.

/// More segments than this are not cut: each of them costs far more memory than its bytes.
const MAX_SEGMENTS: usize = 1 << 21;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// A longer MSH-2 is no list of delimiters.
const MAX_DELIMITERS: usize = 8;

/// The name of a segment.
pub(super) type Id = [u8; 3];

/// The bytes that separate parts of a segment, as its message declares them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delimiters {
    pub(super) field: u8,
    pub(super) component: u8,
    pub(super) repetition: u8,
    pub(super) escape: u8,
    pub(super) sub: u8,
}

/// One segment, with the line ends before it.
pub(super) struct Segment<'a> {
    pub(super) id: Id,
    /// Where the line ends before it begin.
    pub(super) start: usize,
    /// Where its name begins.
    pub(super) body: usize,
    /// From its name to its end.
    pub(super) text: &'a [u8],
    pub(super) delimiters: Delimiters,
    /// Whether lines that are no segments follow it.
    pub(super) is_continued: bool,
}

impl<'a> Segment<'a> {
    pub(super) fn end(&self) -> usize {
        self.body + self.text.len()
    }

    /// Says whether the field separator itself is the first field.
    pub(super) fn is_header(&self) -> bool {
        is_header_name(self.id)
    }

    /// Returns the fields; the first of them has number 1, or 2 in a header.
    pub(super) fn fields(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let separator = self.delimiters.field;
        self.text.split(move |&b| b == separator).skip(1)
    }

    /// Returns a field by its number, or nothing when it is absent.
    pub(super) fn field(&self, number: usize) -> &'a [u8] {
        let before = if self.is_header() { 2 } else { 1 };
        let index = number.checked_sub(before);
        index.and_then(|index| self.fields().nth(index)).unwrap_or_default()
    }

    /// Returns the first component of a field.
    pub(super) fn code(&self, number: usize) -> &'a [u8] {
        let Delimiters { component, repetition, .. } = self.delimiters;
        let field = self.field(number);
        field.split(|&b| b == component || b == repetition).next().unwrap_or_default()
    }
}

/// The segments of a text and what stands around them.
pub(super) struct Lines<'a> {
    pub(super) head: usize,
    pub(super) tail: usize,
    pub(super) segments: Vec<Segment<'a>>,
}

/// Says whether a byte ends a line; those of the transport protocol MLLP do too.
pub(super) fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0x0b | 0x1c)
}

fn is_header_name(id: Id) -> bool {
    matches!(&id, b"MSH" | b"FHS" | b"BHS")
}

fn id(text: &[u8]) -> Option<Id> {
    text.first_chunk::<3>().copied()
}

/// Reads the delimiters that a header declares.
fn declared(text: &[u8]) -> Option<Delimiters> {
    id(text).filter(|&id| is_header_name(id))?;
    let field = *text.get(3).filter(|b| b.is_ascii_punctuation())?;
    let rest = &text[4..];
    let end = rest.iter().position(|&b| b == field || is_break(b)).unwrap_or(rest.len());
    let others = rest[..end].get(..MAX_DELIMITERS).unwrap_or(&rest[..end]);
    if end > MAX_DELIMITERS || !others.iter().all(u8::is_ascii_punctuation) {
        return None;
    }
    let given = |index: usize, usual: u8| {
        let byte = others.get(index).copied().unwrap_or(usual);
        // A wrong list, with the escape twice, has no byte left for the last.
        if others[..index.min(others.len())].contains(&byte) { usual } else { byte }
    };
    let (component, repetition) = (given(0, b'^'), given(1, b'~'));
    Some(Delimiters { field, component, repetition, escape: given(2, b'\\'), sub: given(3, b'&') })
}

/// Says whether a segment begins here; a name without fields must be in capitals.
fn begins(text: &[u8], field: u8) -> bool {
    let Some(id) = id(text) else { return false };
    let is_name = id[0].is_ascii_alphabetic() && id.iter().all(u8::is_ascii_alphanumeric);
    match text.get(3) {
        Some(&next) if next == field => is_name,
        Some(&next) if !is_break(next) => is_name && declared(text).is_some(),
        _ => is_name && !id.iter().any(u8::is_ascii_lowercase),
    }
}

/// Finds the segments; `None` when it is not such a text.
pub(super) fn lines(text: &[u8]) -> Option<Lines<'_>> {
    let mark = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let is_space = |&b: &u8| is_break(b) || b == b' ' || b == b'\t';
    let head = mark + text[mark..].iter().position(|b| !is_space(b))?;
    let tail = text.iter().rposition(|&b| !is_break(b))? + 1;
    let mut delimiters = declared(&text[head..tail])?;
    let mut segments: Vec<Segment<'_>> = Vec::new();
    let (mut start, mut body, mut at, mut is_continued) = (head, head, head, false);
    loop {
        let end = text[at..tail].iter().position(|&b| is_break(b)).map_or(tail, |n| at + n);
        let after = text[end..tail].iter().position(|&b| !is_break(b)).map_or(tail, |n| end + n);
        if after < tail && !begins(&text[after..tail], delimiters.field) {
            (at, is_continued) = (after, true);
            continue;
        }
        let name = id(&text[body..end]).expect("a segment begins with its name");
        if is_header_name(name) {
            delimiters = declared(&text[body..tail])?;
        }
        let text = &text[body..end];
        segments.push(Segment { id: name, start, body, text, delimiters, is_continued });
        if after >= tail {
            return Some(Lines { head, tail, segments });
        }
        if segments.len() >= MAX_SEGMENTS {
            return None;
        }
        (start, body, at, is_continued) = (end, after, after, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Option<Vec<String>> {
        let name = |s: &Segment<'_>| String::from_utf8_lossy(&s.id).into_owned();
        lines(text.as_bytes()).map(|l| l.segments.iter().map(name).collect())
    }

    #[test]
    fn any_line_end_ends_a_segment() {
        let expected = Some(vec!["MSH".to_owned(), "EVN".to_owned(), "PV1".to_owned()]);
        for text in [
            "MSH|^~\\&|A\rEVN|A01\rPV1|1\r",
            "MSH|^~\\&|A\nEVN|A01\nPV1|1",
            "\u{feff}MSH|^~\\&|A\r\nEVN|A01\r\n\r\nPV1|1\r\n",
            "MSH|^~\\&|A\rEVN|A01\n\rPV1",
            "\u{b}MSH|^~\\&|A\rEVN|A01\rPV1|1\r\u{1c}\r",
            "MSH#*~\\&#A\rEVN#A01\rPV1#",
            "MSH|^~\\\\&|A\rEVN|A01\rPV1|",
            "MSH||A\rEVN|A01\rPV1|",
        ] {
            assert_eq!(ids(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_er7_is_refused() {
        for text in ["", "\r\n", "PID|1", "MSH", "MSHA", "MSH 1", "MSH|abc|", "{}", "MSHé"] {
            assert_eq!(ids(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_segment_belongs_to_the_one_before() {
        let text = b"MSH|^~\\&|A\rOBX|1|TX|one\ntwo | three\r\rand four\rNTE|1";
        let found = lines(text).unwrap().segments;
        assert_eq!(found.len(), 3);
        assert_eq!(found[1].text, b"OBX|1|TX|one\ntwo | three\r\rand four");
        assert!(found[1].is_continued && !found[2].is_continued);
    }

    #[test]
    fn fields_are_numbered_as_the_standard_does() {
        let text = b"MSH|^~\\&|APP|FAC\rDG1|1||F32.9^x~y\r";
        let found = lines(text).unwrap().segments;
        assert_eq!((found[0].field(3), found[0].field(4)), (&b"APP"[..], &b"FAC"[..]));
        assert_eq!((found[1].field(1), found[1].code(3)), (&b"1"[..], &b"F32.9"[..]));
        assert_eq!((found[1].field(0), found[1].field(9)), (&b""[..], &b""[..]));
    }

    #[test]
    fn a_wrong_list_of_delimiters_leaves_the_usual_ones() {
        let found = lines(b"MSH|^~\\\\&|A").unwrap().segments[0].delimiters;
        assert_eq!((found.component, found.escape, found.sub), (b'^', b'\\', b'&'));
    }
}
