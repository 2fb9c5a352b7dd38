//! Which section a part of a document belongs to.

use super::super::{FormatId, Rules, Sections, join, take_apart};
use super::*;

fn document(header: &str, body: &str) -> String {
    format!(
        "<ClinicalDocument xmlns=\"urn:hl7-org:v3\">{header}<component><structuredBody>{body}\
         </structuredBody></component></ClinicalDocument>"
    )
}

fn section(code: &str, more: &str) -> String {
    format!("<component><section><code code=\"{code}\"/>{more}</section></component>")
}

fn cut(text: &str) -> Sections {
    let (format, sections) = take_apart(text.as_bytes(), "", &Rules::builtin());
    assert_eq!(format, FormatId::Cda, "{text}");
    sections
}

/// Returns the section of what holds a text.
fn slot_of(sections: &Sections, needle: &str) -> Slot {
    let holds = |text: &super::super::SectionText| {
        text.items.iter().any(|item| String::from_utf8_lossy(&item.bytes).contains(needle))
    };
    let mut found = sections.iter().filter(|(_, text)| holds(text)).map(|(slot, _)| *slot);
    let slot = found.next().expect("it stands in some section");
    assert_eq!(found.next(), None, "{needle} stands in two sections");
    slot
}

#[test]
fn header_parts_go_where_they_belong() {
    let header = "<id extension=\"doc\"/><recordTarget><patientRole><id extension=\"mrn\"/>\
        <telecom value=\"tel:1\"/><patient><id extension=\"ssn\"/><name>Jones</name>\
        <guardian><telecom value=\"tel:2\"/></guardian></patient><providerOrganization>\
        <name>St Mary</name></providerOrganization></patientRole></recordTarget>\
        <author><time value=\"1\"/></author><dataEnterer><time value=\"2\"/></dataEnterer>\
        <participant><name>Ralph</name></participant>\
        <documentationOf><serviceEvent classCode=\"PCPR\"/></documentationOf>\
        <componentOf><encompassingEncounter/></componentOf><unknown/>";
    let sections = cut(&document(header, ""));
    for (needle, slot) in [
        ("\"doc\"", Slot::WHOLE),
        ("\"mrn\"", Slot::IDENTIFIERS),
        ("\"ssn\"", Slot::IDENTIFIERS),
        ("tel:1", Slot::CONTACT),
        ("tel:2", Slot::CONTACT),
        ("Jones", Slot::DEMOGRAPHICS),
        ("St Mary", Slot::DIRECTORY),
        ("value=\"1\"", Slot::DIRECTORY),
        ("value=\"2\"", Slot::PROVENANCE),
        ("Ralph", Slot::CONTACT),
        ("PCPR", Slot::CAREPLAN),
        ("encompassingEncounter", Slot::ENCOUNTERS),
        ("<unknown", Slot::OTHER),
    ] {
        assert_eq!(slot_of(&sections, needle), slot, "{needle}");
    }
}

#[test]
fn codes_words_and_labels_win_over_the_code_of_a_section() {
    let entry = |inside: &str| section("30954-2", &format!("<text>mark</text>{inside}"));
    let slot = |inside: &str| slot_of(&cut(&document("", &entry(inside))), "mark");
    let snomed = "codeSystem=\"2.16.840.1.113883.6.96\"";
    assert_eq!(slot(""), Slot::LABS);
    assert_eq!(slot(&format!("<entry><value code=\"86406008\" {snomed}/></entry>")), Slot::HIV);
    assert_eq!(
        slot(&format!("<entry><translation code=\"&#56;6406008\" {snomed}/></entry>")),
        Slot::HIV
    );
    assert_eq!(slot("<entry><originalText>H&#73;V</originalText></entry>"), Slot::HIV);
    assert_eq!(slot("<component><section><title>HIV</title></section></component>"), Slot::HIV);
    assert_eq!(slot("<confidentialityCode code=\"R\"/>"), Slot::OTHER);
    assert_eq!(slot("<entry><act><confidentialityCode code=\"R\"/></act></entry>"), Slot::OTHER);
    let private = "<entry><templateId root=\"2.16.840.1.113883.3.3251.1.4\"/></entry>";
    assert_eq!(slot(&format!("<confidentialityCode code=\"R\"/>{private}")), Slot::SUBSTANCE_USE);
    assert_eq!(slot(private), Slot::LABS);
}

#[test]
fn a_sections_own_label_counts_instead_of_the_documents() {
    let own = section("8716-3", "<confidentialityCode code=\"N\"/>");
    let body = format!("{}{own}", section("30954-2", ""));
    let sections = cut(&document("<confidentialityCode code=\"R\"/>", &body));
    assert_eq!(slot_of(&sections, "30954-2"), Slot::OTHER);
    assert_eq!(slot_of(&sections, "8716-3"), Slot::VITALS);
    let named = cut(&document("<confidentialityCode code=\"N\"/>", &body));
    assert_eq!(slot_of(&named, "30954-2"), Slot::LABS);
}

#[test]
fn a_body_without_structure_is_notes() {
    let text = "<ClinicalDocument xmlns=\"urn:hl7-org:v3\"><component><nonXMLBody><text>JVBE\
                </text></nonXMLBody></component></ClinicalDocument>";
    assert_eq!(slot_of(&cut(text), "JVBE"), Slot::NOTES);
}

#[test]
fn the_frame_names_nobody_and_is_a_document() {
    let body = section("48765-2", "<title>Allergy to HIV drugs</title>") + &section("8648-8", "");
    let header = "<id extension=\"e1\"/><code code=\"34133-9\"/><title>Of Jones</title>\
        <recordTarget><patientRole><id extension=\"e2\"/><patient><name>Jones</name></patient>\
        </patientRole></recordTarget><author>Lee</author>";
    let mut sections = cut(&document(header, &body));
    sections.retain(|slot, _| *slot == Slot::FRAME);
    let frame = String::from_utf8(join(FormatId::Cda, &sections)).expect("it was text");
    assert_eq!(
        frame,
        document(
            "<id nullFlavor=\"NI\"/><code code=\"34133-9\"/><title nullFlavor=\"NI\"/>\
             <recordTarget><patientRole><id nullFlavor=\"NI\"/><patient><name nullFlavor=\"NI\"/>\
             <administrativeGenderCode nullFlavor=\"NI\"/><birthTime nullFlavor=\"NI\"/>\
             <raceCode nullFlavor=\"NI\"/><ethnicGroupCode nullFlavor=\"NI\"/></patient>\
             </patientRole></recordTarget><author><time nullFlavor=\"NI\"/><assignedAuthor>\
             <id nullFlavor=\"NI\"/></assignedAuthor></author>",
            "<component><section nullFlavor=\"NI\"><code code=\"48765-2\" \
             codeSystem=\"2.16.840.1.113883.6.1\"/><title>Allergies and adverse reactions</title>\
             <text>No information</text></section></component>"
        )
    );
    // What is a stub already is nothing but one.
    assert_eq!(cut(&frame).keys().collect::<Vec<_>>(), [&Slot::FRAME]);
}

#[test]
fn a_document_whose_type_tells_something_is_not_cut() {
    let text = document("<code code=\"1\" displayName=\"HIV clinic note\"/>", "");
    assert_eq!(take_apart(text.as_bytes(), "", &Rules::builtin()).0, FormatId::Opaque);
}

#[test]
fn layout_at_tags_does_not_count() {
    assert!(Cda.same(b"\n <a> x <b/></a>", b"<a>x\n<b/>\n</a>"));
    assert!(!Cda.same(b"<a>x y</a>", b"<a>xy</a>"));
}
