//! Whom a message is about: PID-3, and PID-2, PID-4 and PID-19 where they say who gave the number.

use super::super::identity::{
    Document, Identifier, Person, Recognised, date, no, one_person, some,
};
use super::lines::{Delimiters, Segment, lines};
use crate::error::Result;
use crate::key::hash;

/// Numbers of a visit, an account or a payment, which name no person.
const NO_PERSON: [&str; 10] = ["AN", "ANC", "AND", "ANT", "ANON", "VN", "BC", "BA", "FI", "XX"];
/// How a number of PID-19 is known elsewhere.
const SSN: &str = "http://hl7.org/fhir/sid/us-ssn";

/// Reads one message.
pub(in super::super) fn identify(bytes: &[u8]) -> Result<Recognised> {
    let found = lines(bytes).ok_or_else(|| no("it is no HL7 v2 message"))?;
    let mut headers = found.segments.iter().filter(|s| s.id == *b"MSH");
    let header = headers.next().ok_or_else(|| no("it is no HL7 v2 message"))?;
    if headers.next().is_some() {
        return Err(no("it is more than one message"));
    }
    let people = found.segments.iter().filter(|s| s.id == *b"PID").map(person).collect();
    Ok(Recognised { person: one_person(people)?, document: document(header, bytes) })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns a component or subcomponent by its number, counted from 1.
fn part(bytes: &[u8], separator: u8, number: usize) -> &[u8] {
    bytes.split(|&b| b == separator).nth(number - 1).unwrap_or_default()
}

fn person(pid: &Segment<'_>) -> Person {
    let Delimiters { component, repetition, .. } = pid.delimiters;
    let mut person = Person::default();
    for number in [3, 2, 4] {
        for field in pid.field(number).split(|&b| b == repetition) {
            let identifier = identifier(field, pid.delimiters);
            // The old fields often repeat a number without saying whose it is.
            let is_told = number == 3 || identifier.as_ref().is_some_and(|i| !i.is_weak);
            person.add(identifier.filter(|_| is_told));
        }
    }
    person.add(Identifier::new(SSN, &text(pid.code(19))));
    let name = part(pid.field(5), repetition, 1);
    // A family name may have parts, of which the first is the whole.
    person.family = some(&text(part(part(name, component, 1), pid.delimiters.sub, 1)));
    person.given = some(&text(part(name, component, 2)));
    person.birth_date = date(&text(pid.code(7)));
    person
}

/// Reads a number with its check digit, authority and type.
fn identifier(field: &[u8], delimiters: Delimiters) -> Option<Identifier> {
    let Delimiters { component, sub, .. } = delimiters;
    let kind = text(part(field, component, 5));
    if NO_PERSON.contains(&kind.trim()) {
        return None;
    }
    let authority = part(field, component, 4);
    let (name, universal) = (text(part(authority, sub, 1)), text(part(authority, sub, 2)));
    let system = if universal.trim().is_empty() { name } else { universal };
    let mut identifier = Identifier::new(&system, &text(part(field, component, 1)))?;
    // Whoever gives them, social security numbers are what they are.
    identifier.is_weak |= kind.trim() == "SS";
    Some(identifier)
}

/// A message is told apart by its number, its sender and its time: senders count anew.
fn document(header: &Segment<'_>, bytes: &[u8]) -> Document {
    let component = header.delimiters.component;
    let kind = header.field(9);
    let (code, event) = (text(part(kind, component, 1)), text(part(kind, component, 2)));
    let kind = if event.is_empty() { code } else { format!("{code}-{event}") };
    let kind = if kind.is_empty() { "HL7".to_owned() } else { kind };
    let number = text(header.code(10));
    if number.trim().is_empty() {
        let digest = super::super::identity::hex(&hash::sha256(&[bytes])[..8]);
        return Document::new(&kind, &digest, &[], "hl7");
    }
    let sender: Vec<String> = [3, 4, 7].into_iter().map(|n| text(header.field(n))).collect();
    let sender: Vec<&str> = sender.iter().map(String::as_str).collect();
    Document::new(&kind, number.trim(), &sender, "hl7")
}
