//! Partial views of CDA documents as others read them: by xmllint where it is installed, and by
//! the rules of the schema that a view could break. The schema itself is in no package registry.

use std::io::Write;
use std::process::{Command, Stdio};

use chartfs::record::format::{FormatId, Slot, announce, join, slots_of};
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::cda::DOCUMENT;
use crate::files::samples;
use crate::record::{Dice, cut, pick, random_view};

/// The children of a document in the order of the schema.
const ORDER: [&str; 27] = [
    "realmCode",
    "typeId",
    "templateId",
    "id",
    "code",
    "title",
    "statusCode",
    "terminologyDate",
    "effectiveTime",
    "confidentialityCode",
    "languageCode",
    "setId",
    "versionNumber",
    "copyTime",
    "recordTarget",
    "author",
    "dataEnterer",
    "informant",
    "custodian",
    "informationRecipient",
    "legalAuthenticator",
    "authenticator",
    "participant",
    "inFulfillmentOf",
    "documentationOf",
    "relatedDocument",
    "authorization",
];

/// The children of other elements in the order of the schema, as far as a view cuts them.
const ORDERS: [(&str, &[&str]); 5] = [
    (
        "ClinicalDocument/recordTarget/patientRole",
        &[
            "realmCode",
            "typeId",
            "templateId",
            "id",
            "addr",
            "telecom",
            "patient",
            "providerOrganization",
        ],
    ),
    (
        "ClinicalDocument/recordTarget/patientRole/patient",
        &[
            "realmCode",
            "typeId",
            "templateId",
            "id",
            "name",
            "desc",
            "administrativeGenderCode",
            "birthTime",
            "deceasedInd",
            "maritalStatusCode",
            "religiousAffiliationCode",
            "raceCode",
            "ethnicGroupCode",
            "guardian",
            "birthplace",
            "languageCommunication",
        ],
    ),
    ("ClinicalDocument/component", &["nonXMLBody", "structuredBody"]),
    (
        "ClinicalDocument/component/structuredBody",
        &["realmCode", "typeId", "templateId", "confidentialityCode", "languageCode", "component"],
    ),
    (
        "ClinicalDocument/component/structuredBody/component/section",
        &[
            "realmCode",
            "typeId",
            "templateId",
            "id",
            "code",
            "title",
            "text",
            "confidentialityCode",
            "languageCode",
            "subject",
            "author",
            "informant",
            "entry",
            "component",
        ],
    ),
];

/// Counts the children of elements of a path that stand before what the schema has before them.
fn disorder(all: &[String], parent: &str, order: &[&str]) -> usize {
    let (mut last, mut count) = (0, 0);
    for path in all {
        if path == parent {
            last = 0;
        }
        let own = path.strip_prefix(parent).and_then(|rest| rest.strip_prefix('/'));
        let place = own.and_then(|name| order.iter().position(|known| *known == name));
        count += usize::from(place.is_some_and(|place| place < last));
        last = place.unwrap_or(last);
    }
    count
}

/// What the schema wants at least once, by path.
const WANTED: [&str; 9] = [
    "ClinicalDocument/id",
    "ClinicalDocument/code",
    "ClinicalDocument/effectiveTime",
    "ClinicalDocument/confidentialityCode",
    "ClinicalDocument/recordTarget/patientRole/id",
    "ClinicalDocument/author/assignedAuthor/id",
    "ClinicalDocument/custodian/assignedCustodian/representedCustodianOrganization/id",
    "ClinicalDocument/component",
    "ClinicalDocument/component/structuredBody/component/section",
];

/// Returns the paths of all elements, by local names.
fn paths(text: &str) -> Vec<String> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    reader.config_mut().expand_empty_elements = true;
    let (mut path, mut all): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                path.push(tag.local_name().as_ref().to_owned());
                all.push(path.join("/"));
            }
            Event::End(_) => drop(path.pop()),
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(path.is_empty());
    all
}

/// Returns the rules that the whole document keeps and its view breaks.
fn broken(whole: &[String], view: &[String]) -> Vec<String> {
    let has = |all: &[String], path: &str| all.iter().any(|p| p == path);
    let lost = |path: &&&str| has(whole, path) && !has(view, path);
    let mut broken: Vec<String> = WANTED.iter().filter(lost).map(ToString::to_string).collect();
    let place = |path: &String| {
        let name = path.strip_prefix("ClinicalDocument/").filter(|name| !name.contains('/'))?;
        ORDER.iter().position(|known| *known == name)
    };
    let places = |all: &[String]| all.iter().filter_map(place).collect::<Vec<_>>();
    if places(whole).is_sorted() && !places(view).is_sorted() {
        broken.push("order".to_owned());
    }
    for (parent, order) in ORDERS {
        if disorder(view, parent, order) > disorder(whole, parent, order) {
            broken.push(format!("order in {parent}"));
        }
    }
    if !view.iter().all(|path| has(whole, path) || is_in_stub(path)) {
        broken.push("new elements".to_owned());
    }
    broken
}

/// Says whether an element may stand in a view because a stub has it.
fn is_in_stub(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap();
    let patient = ["administrativeGenderCode", "birthTime", "raceCode", "ethnicGroupCode", "name"];
    let others = ["id", "telecom", "addr", "time", "assignedAuthor", "text", "title", "templateId"];
    patient.contains(&name) || others.contains(&name)
}

fn xmllint(text: &[u8]) -> Option<bool> {
    let mut command = Command::new("xmllint");
    command.args(["--noout", "--nonet", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    child.stdin.take().unwrap().write_all(text).unwrap();
    Some(child.wait().unwrap().success())
}

fn documents() -> Vec<(String, Vec<u8>)> {
    let mut all = vec![("small".to_owned(), DOCUMENT.as_bytes().to_vec())];
    let samples = samples().into_iter().filter(|file| cut(&file.1).0 == FormatId::Cda);
    all.extend(samples.map(|(path, bytes)| (path.display().to_string(), bytes)));
    all
}

#[test]
fn partial_views_keep_the_rules_of_the_schema() {
    let (mut dice, mut views) = (Dice(7), 0);
    for (name, bytes) in documents() {
        let (format, sections) = cut(&bytes);
        let whole = paths(std::str::from_utf8(&bytes).unwrap());
        for round in 0..8 {
            let mask = if round == 0 { 0 } else { dice.mask() };
            let visible = random_view(format, mask);
            let mut shown = pick(&sections, &visible);
            if round % 2 == 1 {
                let closed = slots_of(format).iter().copied().filter(|s| !visible.contains(s));
                announce(format, &mut shown, &closed.collect::<Vec<Slot>>());
            }
            let view = join(format, &shown);
            let view = paths(std::str::from_utf8(&view).unwrap());
            assert_eq!(broken(&whole, &view), Vec::<String>::new(), "{name}");
            views += 1;
        }
    }
    println!("{views} views keep the rules");
    // The check can fail.
    let whole = paths(DOCUMENT);
    let swapped = paths(
        &DOCUMENT.replace("<title>Allergies</title><text>Penicillin</text>", "<text/><title/>"),
    );
    assert_eq!(broken(&whole, &swapped), [format!("order in {}", ORDERS[4].0)]);
    let cut = paths(&DOCUMENT.replace("id ", "no "));
    assert_eq!(broken(&whole, &cut).len(), 5, "{:?}", broken(&whole, &cut));
}

#[test]
fn partial_views_are_well_formed_to_xmllint() {
    if xmllint(b"<a/>").is_none() {
        println!("SKIPPED: xmllint is not installed");
        return;
    }
    assert_eq!(xmllint(b"<a>"), Some(false));
    let (mut dice, mut views) = (Dice(8), 0);
    for (name, bytes) in documents() {
        let (format, sections) = cut(&bytes);
        if xmllint(&bytes) != Some(true) {
            println!("SKIPPED: {name} itself is not well-formed to xmllint");
            continue;
        }
        for round in 0..3 {
            let mask = if round == 0 { 0 } else { dice.mask() };
            let view = join(format, &pick(&sections, &random_view(format, mask)));
            assert_eq!(xmllint(&view), Some(true), "{name}");
            views += 1;
        }
    }
    println!("xmllint reads {views} views");
}

#[test]
fn labelled_sections_of_ds4p_documents_are_set_apart() {
    let is_ds4p = |name: &str| name.contains("onc-cures") && name.contains("ds4p");
    let mut tried = 0;
    for (name, bytes) in documents().into_iter().filter(|file| is_ds4p(&file.0)) {
        let (_, sections) = cut(&bytes);
        let mut labelled = 0;
        for (slot, text) in &sections {
            for item in &text.items {
                let text = String::from_utf8_lossy(&item.bytes);
                let is_section = text.contains("<section");
                if is_section && text.contains("2.16.840.1.113883.3.3251.1.4\"") {
                    assert!(slot.is_sensitive(), "{name}: a labelled section is in {slot}");
                    labelled += usize::from(*slot == Slot::SUBSTANCE_USE);
                }
            }
        }
        println!("{labelled} sections in substance-use: {name}");
        tried += 1;
    }
    if tried == 0 {
        println!("NOTE: no DS4P documents beside the project; only our own are tried");
    }
}
