//! Whom a resource or bundle is about: its patient, or the one that it refers to.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::identity::{
    Document, Identifier, Person, Recognised, canonical, date, hex, no, one_person, some,
};
use crate::error::{Error, Result};
use crate::key::hash;

/// More people in one bundle are not told apart.
const PEOPLE_MAX: usize = 64;
/// Who gives numbers that nobody else gives by chance.
const UUID: &str = "urn:uuid";
/// Who gives the numbers of resources, when a text does not say which server it comes from.
const SOME_SERVER: &str = "Patient";
/// A longer number is not somebody else's on another server.
const CHANCE_LEN_MAX: usize = 20;

/// The members that say whom and which; all others are passed.
#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow, rename = "resourceType")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    identifier: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow, rename = "birthDate")]
    birth_date: Option<&'a RawValue>,
    #[serde(borrow)]
    subject: Option<&'a RawValue>,
    #[serde(borrow)]
    patient: Option<&'a RawValue>,
    #[serde(borrow)]
    beneficiary: Option<&'a RawValue>,
    #[serde(borrow, rename = "for")]
    for_whom: Option<&'a RawValue>,
    #[serde(borrow)]
    individual: Option<&'a RawValue>,
    #[serde(borrow)]
    participant: Option<&'a RawValue>,
    #[serde(borrow)]
    contained: Option<&'a RawValue>,
    #[serde(borrow)]
    entry: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    sort: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, rename = "fullUrl")]
    full_url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(borrow, rename = "reference")]
    url: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    identifier: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Participant<'a> {
    #[serde(borrow)]
    actor: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Number<'a> {
    #[serde(borrow, rename = "use")]
    usage: Option<Cow<'a, str>>,
    #[serde(borrow)]
    system: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Name<'a> {
    #[serde(borrow, rename = "use")]
    usage: Option<Cow<'a, str>>,
    #[serde(borrow)]
    family: Option<Cow<'a, str>>,
    #[serde(borrow)]
    given: Option<Vec<Cow<'a, str>>>,
}

fn bad() -> Error {
    no("it cannot be read as FHIR in JSON")
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok()
}

fn list<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Vec<T> {
    raw.and_then(|raw| parse(raw.get())).unwrap_or_default()
}

/// Returns one or more values where some resources have one and others a list.
fn one_or_more<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Vec<T> {
    let Some(raw) = raw else { return Vec::new() };
    match parse(raw.get()) {
        Some(one) => vec![one],
        None => list(Some(raw)),
    }
}

/// Reads a resource or bundle.
pub(in super::super) fn identify(bytes: &[u8]) -> Result<Recognised> {
    let text = std::str::from_utf8(bytes).map_err(|_| bad())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let resource: Resource<'_> = parse(text).ok_or_else(bad)?;
    let kind = resource.kind.clone().filter(|kind| is_type(kind));
    let kind = kind.ok_or_else(|| no("it is JSON, but no FHIR resource"))?;
    let person = if kind == "Bundle" { of_bundle(&resource)? } else { of_resource(&resource)? };
    Ok(Recognised { person, document: document(&kind, &resource, bytes) })
}

/// Reads one line of a bulk file: its type, and whom it is about.
pub(in super::super) fn identify_line(line: &str) -> Result<(String, Person)> {
    let resource: Resource<'_> = parse(line).ok_or_else(bad)?;
    let kind = resource.kind.clone().filter(|kind| is_type(kind)).ok_or_else(bad)?;
    Ok((kind.into_owned(), of_resource(&resource)?))
}

/// Returns what a line is in its file: its type and number.
pub(in super::super) fn identity_of_line(line: &str) -> Option<String> {
    let resource: Resource<'_> = parse(line)?;
    Some(format!("{}/{}", resource.kind?, resource.id?))
}

fn is_type(kind: &str) -> bool {
    kind.len() <= 64 && !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn document(kind: &str, resource: &Resource<'_>, bytes: &[u8]) -> Document {
    let number = one_or_more::<Number<'_>>(resource.identifier).into_iter().next();
    let number = number.filter(|_| kind == "Bundle");
    let told = number.and_then(|n| Some((n.system.unwrap_or_default(), n.value?)));
    match (told, &resource.id) {
        (Some((system, value)), _) => Document::new(kind, &value, &[&system], "json"),
        (None, Some(id)) => Document::new(kind, id, &[], "json"),
        (None, None) => Document::new(kind, &hex(&hash::sha256(&[bytes])[..8]), &[], "json"),
    }
}

/// Returns whom a resource that stands alone is about.
fn of_resource(resource: &Resource<'_>) -> Result<Person> {
    if resource.kind.as_deref() == Some("Patient") {
        return Ok(patient(resource, None));
    }
    let contained: Vec<Resource<'_>> = list(resource.contained);
    let mut people = Vec::new();
    for reference in references(resource) {
        let target = reference.url.as_deref().and_then(|r| r.strip_prefix('#'));
        match target.and_then(|id| contained.iter().find(|c| c.id.as_deref() == Some(id))) {
            Some(inside) if inside.kind.as_deref() == Some("Patient") => {
                let mut person = patient(inside, None);
                // A number within the resource is nobody's elsewhere.
                person.identifiers.retain(|i| i.system != SOME_SERVER && i.system != UUID);
                people.push(person);
            }
            Some(_) => {}
            None => people.extend(pointed_at(&reference)),
        }
    }
    one_person(people)
}

fn of_bundle(bundle: &Resource<'_>) -> Result<Person> {
    let entries: Vec<Entry<'_>> = match bundle.entry {
        Some(raw) => parse(raw.get()).ok_or_else(bad)?,
        None => Vec::new(),
    };
    let mut people: Vec<Person> = Vec::new();
    let mut subject = None;
    let mut others: HashMap<String, Person> = HashMap::new();
    let mut not_people: Vec<&str> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let Some(raw) = entry.resource else { continue };
        let resource: Resource<'_> = parse(raw.get()).ok_or_else(bad)?;
        if resource.kind.as_deref() == Some("Patient") {
            let new = patient(&resource, entry.full_url.as_deref());
            people.push(new);
        } else {
            not_people.extend(entry.full_url.as_deref());
            for reference in references(&resource) {
                let told = reference.url.clone().unwrap_or_default().into_owned();
                let Some(person) = pointed_at(&reference) else { continue };
                if index == 0 && resource.kind.as_deref() == Some("Composition") {
                    subject = Some(person.clone());
                }
                others.entry(told).or_insert(person);
            }
        }
        if people.len() > PEOPLE_MAX || others.len() > PEOPLE_MAX {
            return Err(no("it names more than one patient"));
        }
    }
    others.retain(|told, _| !not_people.contains(&told.as_str()));
    let is_document = bundle.sort.is_some_and(|sort| sort.get() == "\"document\"");
    if let Some(subject) = subject.filter(|_| is_document) {
        // Whoever else is in a document, it is about its subject.
        return Ok(people.into_iter().find(|p| names(&subject, p)).unwrap_or(subject));
    }
    let elsewhere = others.into_values().filter(|o| !people.iter().any(|p| names(o, p)));
    let elsewhere: Vec<Person> = elsewhere.collect();
    people.extend(elsewhere);
    one_person(people)
}

/// Says whether what is known of a reference names a patient of the same bundle. A reference that
/// says no server means the one that the bundle comes from.
fn names(reference: &Person, patient: &Person) -> bool {
    let is_fhir = |i: &Identifier| i.system == SOME_SERVER || i.system.ends_with("/Patient");
    reference.identifiers.iter().any(|r| {
        patient.identifiers.iter().any(|p| {
            let is_relative = r.system == SOME_SERVER || p.system == SOME_SERVER;
            r.is(p) || (is_relative && is_fhir(r) && is_fhir(p) && r.value == p.value)
        })
    })
}

/// Returns by which number the lines of one bulk file name their patient, who is the same in all of
/// them.
pub(in super::super) fn number_in_file(person: &Person) -> Option<&Identifier> {
    let is_fhir = |i: &&Identifier| {
        i.system == UUID || i.system == SOME_SERVER || i.system.ends_with("/Patient")
    };
    person.identifiers.iter().find(is_fhir).or(person.identifiers.first())
}

/// Returns what the members that name a patient refer to.
fn references<'a>(resource: &Resource<'a>) -> Vec<Reference<'a>> {
    let members = [
        resource.subject,
        resource.patient,
        resource.beneficiary,
        resource.for_whom,
        resource.individual,
    ];
    let mut found: Vec<Reference<'a>> = members.into_iter().flat_map(one_or_more).collect();
    if found.is_empty() {
        let participants: Vec<Participant<'a>> = list(resource.participant);
        found.extend(participants.into_iter().flat_map(|p| one_or_more(p.actor)));
    }
    found
}

/// Returns the patient that a reference names; `None` when it names something else.
fn pointed_at(reference: &Reference<'_>) -> Option<Person> {
    if reference.kind.as_deref().is_some_and(|kind| kind != "Patient") {
        return None;
    }
    let mut person = Person::default();
    if let Some(told) = reference.url.as_deref() {
        person.add(by_url(told));
    }
    for number in one_or_more::<Number<'_>>(reference.identifier) {
        person.add(number_of(&number));
    }
    (!person.identifiers.is_empty()).then_some(person)
}

/// Reads `urn:uuid:…`, `Patient/…` or `https://server/Patient/…`.
fn by_url(url: &str) -> Option<Identifier> {
    if let Some(uuid) = url.strip_prefix("urn:uuid:") {
        return by_id("", uuid);
    }
    let (base, rest) = match url.rsplit_once("/Patient/") {
        Some(found) => found,
        None => ("", url.strip_prefix("Patient/")?),
    };
    by_id(base, rest.split(['/', '#', '?']).next()?)
}

/// Makes an identifier of the number that a server gave a patient.
fn by_id(base: &str, id: &str) -> Option<Identifier> {
    if is_uuid(id) {
        return Identifier::new(UUID, &id.to_ascii_lowercase());
    }
    if base.is_empty() {
        let mut identifier = Identifier::new(SOME_SERVER, id)?;
        identifier.is_weak = id.len() < CHANCE_LEN_MAX;
        return Some(identifier);
    }
    Identifier::new(&format!("{}/Patient", canonical(base)), id)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

fn number_of(number: &Number<'_>) -> Option<Identifier> {
    if matches!(number.usage.as_deref(), Some("old" | "temp")) {
        return None;
    }
    Identifier::new(number.system.as_deref().unwrap_or_default(), number.value.as_deref()?)
}

fn patient(resource: &Resource<'_>, full_url: Option<&str>) -> Person {
    let mut person = Person::default();
    for number in one_or_more::<Number<'_>>(resource.identifier) {
        person.add(number_of(&number));
    }
    let by_full_url = full_url.and_then(by_url);
    // Where the text says which server it comes from, the number alone says less.
    let is_told = by_full_url.is_some();
    person.add(by_full_url);
    let own = resource.id.as_deref().and_then(|id| by_id("", id));
    person.add(own.filter(|own| !is_told || !own.is_weak));
    let names: Vec<Name<'_>> = one_or_more(resource.name);
    let official = names.iter().find(|n| n.usage.as_deref() == Some("official"));
    let current = names.iter().find(|n| n.usage.as_deref() != Some("old"));
    if let Some(name) = official.or(current) {
        person.family = name.family.as_deref().and_then(some);
        person.given = name.given.as_ref().and_then(|g| some(g.first()?));
    }
    let born = resource.birth_date.and_then(|raw| parse::<Cow<'_, str>>(raw.get()));
    person.birth_date = born.and_then(|born| date(&born));
    person
}
