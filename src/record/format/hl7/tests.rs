use std::collections::BTreeSet;

use super::super::{FormatId, Rules, Sections, Slot, join, merge, take_apart};
use crate::error::Kind;

fn cut(text: &str) -> Sections {
    let (format, sections) = take_apart(text.as_bytes(), "", &Rules::builtin());
    assert_eq!(format, FormatId::Hl7v2, "{text:?}");
    sections
}

fn seeing(slots: &[Slot]) -> BTreeSet<Slot> {
    slots.iter().copied().chain([Slot::FRAME]).collect()
}

fn all() -> BTreeSet<Slot> {
    super::super::slots_of(FormatId::Hl7v2).iter().copied().collect()
}

fn pick(sections: &Sections, visible: &BTreeSet<Slot>) -> Sections {
    let shown = sections.iter().filter(|(slot, _)| visible.contains(slot));
    shown.map(|(slot, text)| (*slot, text.clone())).collect()
}

fn view(text: &str, slots: &[Slot]) -> String {
    let shown = pick(&cut(text), &seeing(slots));
    String::from_utf8(join(FormatId::Hl7v2, &shown)).unwrap()
}

/// Saves an edited view and returns the whole file after it.
fn save(
    text: &str,
    visible: &BTreeSet<Slot>,
    edit: impl Fn(&str) -> String,
) -> Result<String, Kind> {
    let mut sections = cut(text);
    let shown = pick(&sections, visible);
    let edited = edit(&String::from_utf8(join(FormatId::Hl7v2, &shown)).unwrap());
    let rules = Rules::builtin();
    let merged =
        merge(FormatId::Hl7v2, &shown, visible, edited.as_bytes(), &rules).map_err(|e| e.kind())?;
    sections.extend(merged.changed);
    for (slot, part) in merged.appended {
        sections.entry(slot).or_default().append(part);
    }
    Ok(String::from_utf8(join(FormatId::Hl7v2, &sections)).unwrap())
}

/// Returns the section of the one segment that holds a text.
fn slot_of(text: &str, what: &str) -> Slot {
    let holds = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(what);
    let sections = cut(text);
    let mut found = sections.iter().filter(|(_, t)| t.items.iter().any(|i| holds(&i.bytes)));
    let slot = *found.next().unwrap_or_else(|| panic!("{what} is nowhere in {text}")).0;
    assert!(found.next().is_none(), "{what} is in several sections");
    slot
}

const HEAD: &str = "MSH|^~\\&|A|B|||20260101||ADT^A01|1|P|2.5\r";

fn slots(segments: &str, expected: &[(&str, Slot)]) {
    let text = format!("{HEAD}{segments}");
    for &(what, slot) in expected {
        assert_eq!(slot_of(&text, what), slot, "{what} in {segments}");
    }
}

#[test]
fn hidden_fields_are_empty_and_the_separators_stay() {
    let text = format!("{HEAD}PID|1||77^^^X||Testa^Ida||19610203|F|||Lane 1||555\rPV1|1|I|W4\r");
    let head = "MSH|^~\\&|||||20260101||ADT^A01|1|P|2.5\r";
    assert_eq!(view(&text, &[]), format!("{head}PID|1||||||||||||\rPV1|\r"));
    let name = view(&text, &[Slot::DEMOGRAPHICS]);
    assert_eq!(name, format!("{head}PID|1||||Testa^Ida||19610203|F|||||\rPV1|\r"));
    let contact = view(&text, &[Slot::CONTACT, Slot::IDENTIFIERS]);
    assert_eq!(contact, format!("{head}PID|1||77^^^X||||||||Lane 1||555\rPV1|\r"));
    assert!(view(&text, &[Slot::ENCOUNTERS]).ends_with("\rPV1|1|I|W4\r"));
}

#[test]
fn an_empty_field_can_be_filled_by_who_sees_its_section_alone() {
    let text = format!("{HEAD}PID|1||77||Testa^Ida||||||\r");
    let fill = |v: &str| v.replace("Ida||||||", "Ida||19610203||||");
    let saved = save(&text, &seeing(&[Slot::DEMOGRAPHICS]), fill).unwrap();
    assert!(saved.contains("PID|1||77||Testa^Ida||19610203||||\r"), "{saved}");
    let steal = |v: &str| v.replace("PID|1||||", "PID|1||99||");
    assert_eq!(save(&text, &seeing(&[Slot::DEMOGRAPHICS]), steal), Err(Kind::Denied));
    let shorter = |v: &str| v.replace("Ida||||||", "Ida");
    assert_eq!(save(&text, &seeing(&[Slot::DEMOGRAPHICS]), shorter), Err(Kind::Denied));
    assert!(save(&text, &all(), shorter).unwrap().ends_with("Testa^Ida\r"));
}

#[test]
fn a_visit_that_may_be_hidden_cannot_be_written_over() {
    let text = format!("{HEAD}PV1|1|I|W4|||||||PSY\rPV2|||x\r");
    assert_eq!(slot_of(&text, "|W4"), Slot::MENTAL_HEALTH);
    assert_eq!(slot_of(&text, "PV2"), Slot::MENTAL_HEALTH);
    let visible = seeing(&[Slot::ENCOUNTERS]);
    let write = |v: &str| v.replace("PV1|", "PV1|1|O|X");
    assert_eq!(save(&text, &visible, write), Err(Kind::Denied));
    assert!(save(&text, &visible, |v| format!("{v}DG1|1||x\r")).unwrap().contains("PV1|1|I|W4|"));
}

#[test]
fn set_ids_count_what_is_shown_and_come_back() {
    let text = format!(
        "{HEAD}DG1|1||A|\rDG1|2||F32.9^x^I10|\rDG1|3||C|\rDG1|9||D|\rAL1|1||E|\rAL1|2||F|\r"
    );
    let visible = seeing(&[Slot::PROBLEMS]);
    let shown = view(&text, &[Slot::PROBLEMS]);
    assert!(shown.ends_with("DG1|1||A|\rDG1|2||C|\rDG1|9||D|\r"), "{shown}");
    let saved = save(&text, &visible, |v| v.replace("||C|", "||C|named")).unwrap();
    assert_eq!(saved, text.replace("||C|", "||C|named"));
    let saved = save(&text, &visible, |v| v.replace("DG1|1||A|\rDG1|2", "DG1|1")).unwrap();
    assert!(saved.contains("DG1|1||F32.9^x^I10|\rDG1|2||C|\r"), "{saved}");
}

#[test]
fn a_number_that_happens_to_fit_a_view_stays_as_it_was_written() {
    let text = format!("{HEAD}DG1|1||F32.9^x^I10\rDG1|1||B\rDG1|3||C\rAL1|1||E\r");
    let visible = seeing(&[Slot::PROBLEMS, Slot::ALLERGIES]);
    let saved = save(&text, &visible, |v| v.replace("||E", "||EE")).unwrap();
    assert_eq!(saved, text.replace("||E", "||EE"));
}

#[test]
fn observations_are_counted_anew_under_every_order() {
    let text = format!(
        "{HEAD}OBR|1\rOBX|1|NM|a\rOBX|2|NM|8867-4^x^LN\rOBX|3|NM|c\rOBR|2\rOBX|1|NM|d\rNTE|1||e\r"
    );
    let shown = view(&text, &[Slot::LABS]);
    let expected = "OBR|1\rOBX|1|NM|a\rOBX|2|NM|c\rOBR|2\rOBX|1|NM|d\rNTE|1||e\r";
    assert!(shown.ends_with(expected), "{shown}");
}

#[test]
fn dependents_follow_what_they_stand_under() {
    slots(
        "OBR|1|||HIVtest^HIV test^L\rNTE|1||plain\rOBX|1|NM|x||val\rNTE|1||low\rSPM|1|s\rOBX|1|ST|y\r",
        &[("plain", Slot::HIV), ("val", Slot::HIV), ("low", Slot::HIV), ("SPM", Slot::HIV)],
    );
    slots(
        "ORC|NW|o\rOBR|1|||x||||||||||||||||||||RAD\rNTE|1||n\rOBX|1|ST|y\rDG1|1||z\r",
        &[("ORC", Slot::IMAGING), ("NTE", Slot::IMAGING), ("OBX", Slot::IMAGING)],
    );
    slots(
        "ORC|NW|o\rRXE||1^Methadone^L\rTQ1|1\rRXR|PO\rRXC|B|x\rNTE|1||n\rORC|NW|p\rRXE||2^Aspirin^L\r",
        &[
            ("NW|o", Slot::SUBSTANCE_USE),
            ("RXR", Slot::SUBSTANCE_USE),
            ("RXC", Slot::SUBSTANCE_USE),
        ],
    );
    slots(
        "ORC|NW|o\rRXE||2^Aspirin^L\rRXR|PO\rOBX|1|NM|1^x^L\r",
        &[("ORC", Slot::MEDICATIONS), ("RXR", Slot::MEDICATIONS), ("OBX", Slot::MEDICATIONS)],
    );
    slots(
        "OBR|1|||1^Panel^L\rOBX|1|NM|a\rOBX|2|ST|75622-1^x^LN\rNTE|1||told\rOBX|3|NM|b\r",
        &[("OBR", Slot::LABS), ("told", Slot::HIV), ("NM|b", Slot::LABS)],
    );
    slots("DG1|1||F33.1^x^I10\rNTE|1||n\r", &[("NTE", Slot::MENTAL_HEALTH)]);
    slots("SCH|1\rRGS|1\rAIS|1||PT^Psychotherapy^L\r", &[("SCH", Slot::MENTAL_HEALTH)]);
    slots("TXA|1|DS\rOBX|1|TX|a||one\r", &[("TXA", Slot::NOTES), ("one", Slot::NOTES)]);
    slots("PID|1\rNTE|1||free\rPRT|1|AD\r", &[("free", Slot::NOTES), ("PRT", Slot::CAREPLAN)]);
}

#[test]
fn a_phrase_that_runs_over_lines_of_a_text_is_found() {
    slots("OBR|1\rOBX|1|ST|x||a\r", &[("OBR", Slot::LABS)]);
    slots(
        "OBR|1|||x\rOBX|1|TX|r||of his drug\rOBX|2|TX|r||a history of HIV\rOBX|3|TX|r||end\r",
        &[("his drug", Slot::HIV), ("end", Slot::HIV)],
    );
    slots("AL1|1||x\rNTE|1||one\rNTE|2||HIV\r", &[("one", Slot::HIV), ("AL1", Slot::ALLERGIES)]);
}

#[test]
fn sections_are_those_of_the_table() {
    slots(
        "NK1|1|a1\rAL1|1|a2\rPR1|1|a3\rIN1|1|a4\rIN2|a5\rGT1|1|a6\rMRG|a7\rGOL|a8\rZZZ|a9\rSFT|b1\r",
        &[
            ("a1", Slot::CONTACT),
            ("a2", Slot::ALLERGIES),
            ("a3", Slot::PROCEDURES),
            ("a4", Slot::BILLING),
            ("a5", Slot::BILLING),
            ("a6", Slot::BILLING),
            ("a7", Slot::IDENTIFIERS),
            ("a8", Slot::CAREPLAN),
            ("a9", Slot::OTHER),
            ("b1", Slot::PROVENANCE),
        ],
    );
    let vaccine = "MSH|^~\\&|A|B|||1||VXU^V04|1|P|2.5\rORC|RE|o\rRXA|0|1\rRXR|IM\rOBX|1|NM|a\r";
    for what in ["ORC", "RXA", "RXR", "OBX"] {
        assert_eq!(slot_of(vaccine, what), Slot::IMMUNIZATIONS);
    }
}

#[test]
fn restrictions_raise_what_they_name() {
    let patient = "PID|1||77||Testa^Ida||19610203|F\rPD1|||ELM\r";
    slots(&format!("{patient}ARV|1|A|DEM|r\r"), &[("Testa", Slot::OTHER), ("77", Slot::OTHER)]);
    let birth = format!("{patient}ARV|1|A|PID-7|because\r");
    slots(&birth, &[("19610203", Slot::OTHER), ("Testa", Slot::DEMOGRAPHICS)]);
    slots(&birth, &[("because", Slot::DIRECTIVES)]);
    slots(&format!("{patient}ARV|1|D|DEM\r"), &[("Testa", Slot::DEMOGRAPHICS)]);
    slots(&format!("{patient}ARV|1|A|HIV\r"), &[("ARV", Slot::HIV), ("77", Slot::IDENTIFIERS)]);
    slots("PV1|1|I|W4\rARV|1|A|PSY\r", &[("|W4", Slot::MENTAL_HEALTH)]);
    slots("PV1|1|I|W4\rARV|1|A|LOC\r", &[("|W4", Slot::OTHER)]);
    slots("AL1|1||x\rARV|1|A|ALL\r", &[("AL1", Slot::OTHER)]);
}

#[test]
fn messages_of_a_batch_keep_their_hidden_parts_when_they_are_moved() {
    let message = |id: &str, name: &str| {
        format!("MSH|^~\\&|A|B|||1||ADT^A08|{id}|P|2.5\rPID|1||{id}00||{name}\rDG1|1||{name}\r")
    };
    let (one, two) = (message("1", "Ida"), message("2", "Olga"));
    let text = format!("BHS|^~\\&|A\r{one}{two}BTS|2\r");
    let visible = seeing(&[Slot::PROBLEMS, Slot::DIRECTORY]);
    let saved = save(&text, &visible, |v| {
        let at = [v.find("MSH").unwrap(), v.rfind("MSH").unwrap(), v.find("BTS").unwrap()];
        [&v[..at[0]], &v[at[1]..at[2]], &v[at[0]..at[1]], &v[at[2]..]].concat()
    });
    assert_eq!(saved.unwrap(), format!("BHS|^~\\&|A\r{two}{one}BTS|2\r"));
    let removed = save(&text, &visible, |v| v.replace(&v[v.rfind("MSH").unwrap()..], "BTS|1\r"));
    assert_eq!(removed, Err(Kind::Denied));
}

#[test]
fn what_cannot_be_cut_is_one_section() {
    for text in ["MSH|^~\\&|A\nfree text\r", "MSH|^~\\&|A\rPID|1\nfree text\r", "PID|1\r", "MSH\r"]
    {
        let format = take_apart(text.as_bytes(), "x.hl7", &Rules::builtin()).0;
        assert_eq!(format, FormatId::Opaque, "{text:?}");
    }
}
