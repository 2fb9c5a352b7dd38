//! An element of a document as a small tree, and how it is printed.

use quick_xml::Reader;
use quick_xml::escape::{escape, unescape};
use quick_xml::events::{BytesStart, Event};

/// A document that is cut nests no deeper.
const MAX_DEPTH: usize = 200;

#[derive(Debug, Default)]
pub(super) struct Element {
    /// With its prefix.
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    pub(super) text: String,
}

impl Element {
    pub(super) fn of(tag: &BytesStart<'_>) -> Option<Self> {
        let mut attributes = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute.ok()?;
            let value = unescape(&attribute.value).ok()?.into_owned();
            attributes.push((attribute.key.as_ref().to_owned(), value));
        }
        Some(Self { name: tag.name().as_ref().to_owned(), attributes, ..Self::default() })
    }

    /// Returns the name without its prefix.
    pub(super) fn local(&self) -> &str {
        self.name.rsplit(':').next().unwrap_or(&self.name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|own| own.0 == name).map(|own| own.1.as_str())
    }

    /// Returns an element of the same name with these attributes; without any, with its reason to
    /// have none.
    pub(super) fn with(&self, attributes: Vec<(&str, String)>) -> Self {
        let mut own: Vec<_> =
            attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if own.is_empty() {
            own.extend(super::null_flavor(self));
        }
        Self { name: self.name.clone(), attributes: own, ..Self::default() }
    }

    pub(super) fn with_text(&self, text: &str) -> Self {
        Self { name: self.name.clone(), text: text.to_owned(), ..Self::default() }
    }

    /// Returns an element of the same name whose content is withheld, or was not there.
    pub(super) fn masked(&self) -> Self {
        let new = self.with(Vec::new());
        if new.attributes.is_empty() {
            return self.with(vec![("nullFlavor", "MSK".to_owned())]);
        }
        new
    }

    pub(super) fn print(&self, out: &mut Vec<u8>) {
        let is_empty = self.children.is_empty() && self.text.is_empty();
        print_tag(&self.name, &self.attributes, is_empty, out);
        if is_empty {
            return;
        }
        out.extend_from_slice(escape(self.text.as_str()).as_bytes());
        self.children.iter().for_each(|child| child.print(out));
        out.extend_from_slice(b"</");
        out.extend_from_slice(self.name.as_bytes());
        out.push(b'>');
    }
}

pub(super) fn print_tag(
    name: &str,
    attributes: &[(String, String)],
    is_empty: bool,
    out: &mut Vec<u8>,
) {
    out.push(b'<');
    out.extend_from_slice(name.as_bytes());
    for (name, value) in attributes {
        out.push(b' ');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        out.extend_from_slice(escape(value.as_str()).as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(if is_empty { b" />" } else { b">" });
}

/// Reads the elements of a text; what stands between them is left out.
pub(super) fn read(text: &str) -> Option<Vec<Element>> {
    let mut reader = Reader::from_str(text);
    let (mut found, mut open): (Vec<Element>, Vec<Element>) = (Vec::new(), Vec::new());
    loop {
        let closed = match reader.read_event().ok()? {
            Event::Eof => return open.is_empty().then_some(found),
            Event::Start(tag) => {
                if open.len() >= MAX_DEPTH {
                    return None;
                }
                open.push(Element::of(&tag)?);
                continue;
            }
            Event::Empty(tag) => Element::of(&tag)?,
            Event::End(_) => open.pop()?,
            Event::Text(text) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(text.as_ref());
                }
                continue;
            }
            // A word with a reference to a character is none of those that are released.
            Event::GeneralRef(_) | Event::CData(_) => {
                if let Some(element) = open.last_mut() {
                    element.text.push('\u{fffd}');
                }
                continue;
            }
            _ => continue,
        };
        match open.last_mut() {
            Some(above) => above.children.push(closed),
            None => found.push(closed),
        }
    }
}
