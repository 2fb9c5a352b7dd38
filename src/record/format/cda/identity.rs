//! Whom a document is about: its header, read up to where the body begins.

use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::super::identity::{
    Document, Identifier, Person, Recognised, date, hex, no, one_person, some,
};
use crate::error::{Error, Result};
use crate::key::hash;

/// Elements of a header nest no deeper than this.
const MAX_DEPTH: usize = 64;
/// Where a number without a system of its own is unique all the same.
const URI: &str = "urn:ietf:rfc:3986";

#[derive(Default)]
struct Header {
    people: Vec<Person>,
    id: Option<(String, String)>,
    set_id: Option<(String, String)>,
    version: Option<u64>,
    /// The text of the element that the cursor is in.
    text: String,
}

fn bad() -> Error {
    no("it is no well-formed CDA document")
}

/// Reads the header of a document.
pub(in super::super) fn identify(bytes: &[u8]) -> Result<Recognised> {
    let text = std::str::from_utf8(bytes).map_err(|_| no("the XML is not written in UTF-8"))?;
    let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    let (mut path, mut header) = (Vec::new(), Header::default());
    loop {
        let event = reader.read_event().map_err(|_| bad())?;
        match &event {
            Event::Start(tag) => {
                let name = tag.local_name().as_ref().to_owned();
                if path.is_empty() && name != "ClinicalDocument" {
                    return Err(no("the XML is no CDA document"));
                }
                if path.len() == 1 && name == "component" {
                    break;
                }
                path.push(name);
                if path.len() > MAX_DEPTH {
                    return Err(no("the header of the document is too deep"));
                }
                header.text.clear();
                header.begin(&path, tag)?;
            }
            Event::Empty(tag) => {
                path.push(tag.local_name().as_ref().to_owned());
                header.begin(&path, tag)?;
                path.pop();
            }
            Event::Text(text) => header.text.push_str(text.as_ref()),
            Event::GeneralRef(reference) => {
                let text =
                    unescape(&format!("&{};", reference.as_ref())).map_err(|_| bad())?.into_owned();
                header.text.push_str(&text);
            }
            Event::End(_) => {
                header.end(&path);
                path.pop();
                if path.is_empty() {
                    break;
                }
            }
            Event::DocType(_) => return Err(no("the document has a document type")),
            Event::Eof => return Err(bad()),
            Event::CData(_) | Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
        }
    }
    header.finish(bytes)
}

impl Header {
    fn begin(&mut self, path: &[String], tag: &BytesStart<'_>) -> Result<()> {
        let names: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
        let id = || -> Result<(String, String)> {
            Ok((attribute(tag, "root")?, attribute(tag, "extension")?))
        };
        match names.as_slice() {
            ["recordTarget"] => self.people.push(Person::default()),
            ["recordTarget", "patientRole", "id"] => {
                let (root, extension) = id()?;
                let found = if extension.is_empty() {
                    Identifier::new(URI, &root)
                } else {
                    Identifier::new(&root, &extension)
                };
                if let Some(person) = self.people.last_mut() {
                    person.add(found);
                }
            }
            ["recordTarget", "patientRole", "patient", "birthTime"] => {
                let birth_date = date(&attribute(tag, "value")?);
                if let Some(person) = self.people.last_mut() {
                    person.birth_date = person.birth_date.take().or(birth_date);
                }
            }
            ["id"] => self.id = Some(id()?),
            ["setId"] => self.set_id = Some(id()?),
            ["versionNumber"] => self.version = attribute(tag, "value")?.parse().ok(),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, path: &[String]) {
        let names: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
        let Some(person) = self.people.last_mut() else { return };
        let field = match names.as_slice() {
            ["recordTarget", "patientRole", "patient", "name", "family"] => &mut person.family,
            ["recordTarget", "patientRole", "patient", "name", "given"] => &mut person.given,
            _ => return,
        };
        if field.is_none() {
            *field = some(&self.text);
        }
    }

    fn finish(self, bytes: &[u8]) -> Result<Recognised> {
        let named = |id: Option<(String, String)>| id.filter(|(root, _)| !root.is_empty());
        let set = named(self.set_id);
        let version = self.version.filter(|_| set.is_some());
        let mut document = match set.or_else(|| named(self.id)) {
            Some((root, extension)) => {
                let number = if extension.is_empty() { &root } else { &extension };
                Document::new("CDA", number, &[&root], "xml")
            }
            None => Document::new("CDA", &hex(&hash::sha256(&[bytes])[..8]), &[], "xml"),
        };
        document.version = version;
        Ok(Recognised { person: one_person(self.people)?, document })
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<String> {
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| bad())?;
        if attribute.key.as_ref() == name {
            return Ok(unescape(&attribute.value).map_err(|_| bad())?.into_owned());
        }
    }
    Ok(String::new())
}
