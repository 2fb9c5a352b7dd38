//! Whom an object is about, out of the first bytes of its file.

use super::super::identity::{Document, Identifier, Person, Recognised, date, no, some};
use super::walk::{Event, Walk};
use super::{MEDIA_DIRECTORY, META_GROUP, Meta, PREAMBLE_BYTES, is_dicom, syntax};
use crate::error::Result;

/// What is looked for stands before this tag; the rest of the file is not needed.
const END: u32 = 0x0021_0000;
const SOP_INSTANCE: u32 = 0x0008_0018;
const MODALITY: u32 = 0x0008_0060;
const NAME: u32 = 0x0010_0010;
const ID: u32 = 0x0010_0020;
const ISSUER: u32 = 0x0010_0021;
const BIRTH_DATE: u32 = 0x0010_0030;
const STUDY: u32 = 0x0020_000d;
/// The longest UID.
const UID_LEN_MAX: usize = 64;

#[derive(Default)]
struct Found {
    instance: String,
    modality: String,
    name: String,
    id: String,
    issuer: String,
    birth_date: String,
    study: String,
}

/// Reads the beginning of a file.
pub(in super::super) fn identify(bytes: &[u8]) -> Result<Recognised> {
    if !is_dicom(bytes) {
        return Err(no("it is no DICOM file"));
    }
    if Walk::new(bytes, super::Encoding::EXPLICIT).tag(PREAMBLE_BYTES + 4).map(|t| t >> 16)
        != Some(META_GROUP)
    {
        return Err(no("the DICOM file does not say how it is written"));
    }
    let Some(meta) = Meta::read(bytes, PREAMBLE_BYTES) else {
        return Err(if contains(bytes, MEDIA_DIRECTORY) {
            no("it is a DICOMDIR, which lists many patients")
        } else {
            no("the DICOM file has private information where it says how it is written")
        });
    };
    let (_, encoding) = syntax::find(meta.syntax)
        .ok_or_else(|| no("the DICOM file is compressed as a whole, or written as nobody else"))?;
    let found = read(bytes, meta.end, Walk::new(bytes, encoding));
    let mut person = Person::default();
    person.add(Identifier::new(&found.issuer, &found.id));
    let mut names = found.name.split('=').next().unwrap_or_default().split('^');
    person.family = names.next().and_then(some);
    person.given = names.next().and_then(some);
    person.birth_date = date(&found.birth_date);
    let kind = if found.modality.is_empty() { "DICOM" } else { &found.modality };
    if !is_uid(&found.instance) {
        return Err(no("the DICOM file does not say which object it is"));
    }
    let mut document = Document::new(kind, &found.instance, &[], "dcm");
    document.folder = is_uid(&found.study).then(|| format!("study-{}", found.study));
    Ok(Recognised { person, document })
}

/// Reads the attributes up to the first that cannot be read, which may stand across the end.
fn read(bytes: &[u8], begin: usize, walk: Walk<'_>) -> Found {
    let mut found = Found::default();
    let mut at = begin;
    while walk.tag(at).is_some_and(|tag| tag < END) {
        let mut take = |depth: usize, event: Event<'_>| {
            if let (0, Event::Value(tag, _, value)) = (depth, event) {
                found.take(tag, value);
            }
        };
        let Some(element) = walk.element(at, bytes.len(), &mut take) else { break };
        at = element.end;
    }
    found
}

impl Found {
    fn take(&mut self, tag: u32, value: &[u8]) {
        let field = match tag {
            SOP_INSTANCE => &mut self.instance,
            MODALITY => &mut self.modality,
            NAME => &mut self.name,
            ID => &mut self.id,
            ISSUER => &mut self.issuer,
            BIRTH_DATE => &mut self.birth_date,
            STUDY => &mut self.study,
            _ => return,
        };
        let text = String::from_utf8_lossy(value);
        text.trim_matches(|c| c == ' ' || c == '\0').clone_into(field);
    }
}

fn is_uid(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_digit() || b == b'.';
    !text.is_empty() && text.len() <= UID_LEN_MAX && text.bytes().all(fine)
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(4096)];
    head.windows(what.len()).any(|window| window == what)
}
