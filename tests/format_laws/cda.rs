//! The laws for CDA documents: odd ones, damaged ones, and edits of sections.

use chartfs::error::Kind;
use chartfs::record::format::{FormatId, Rules, Slot, join, merge, split};
use proptest::prelude::*;

use crate::files::samples;
use crate::record::{Dice, apply, cut, pick, random_view, size};

pub(crate) const DOCUMENT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<?xml-stylesheet type="text/xsl" href="CDA.xsl"?>
<!-- made by hand -->
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:sdtc="urn:hl7-org:sdtc">
  <typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
  <id root="1.2.3" extension="doc-1"/>
  <code code="34133-9" codeSystem="2.16.840.1.113883.6.1"/>
  <title>Summary &amp; more</title>
  <effectiveTime value="20200101"/>
  <confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/>
  <recordTarget>
    <patientRole>
      <id extension="998991" root="2.16.840.1.113883.19.5"/>
      <id extension="111-00-2330" root="2.16.840.1.113883.4.1"/>
      <addr><city>Beaverton</city></addr>
      <telecom value="tel:+1-555"/>
      <patient>
        <name><given>Myra</given><family>Jones</family></name>
        <administrativeGenderCode code="F" codeSystem="2.16.840.1.113883.5.1"/>
        <birthTime value="19470501"/>
        <sdtc:raceCode code="2106-3"/>
        <guardian><guardianPerson><name>Ralph</name></guardianPerson></guardian>
        <languageCommunication><languageCode code="en"/></languageCommunication>
      </patient>
    </patientRole>
  </recordTarget>
  <author><time value="2020"/><assignedAuthor><id root="1.9"/></assignedAuthor></author>
  <custodian><assignedCustodian><representedCustodianOrganization><id root="1.8"/></representedCustodianOrganization></assignedCustodian></custodian>
  <component>
    <structuredBody>
      <component>
        <section>
          <templateId root="2.16.840.1.113883.10.20.22.2.6.1" extension="2015-08-01"/>
          <code code="48765-2" codeSystem="2.16.840.1.113883.6.1"/>
          <title>Allergies</title><text>Penicillin</text>
        </section>
      </component>
      <component><section><code code="10160-0" codeSystem="2.16.840.1.113883.6.1"/><text>Aspirin</text></section></component>
      <component><section><code code="11450-4" codeSystem="2.16.840.1.113883.6.1"/><text>HIV disease</text></section></component>
      <!-- an odd one -->
      <component><section><code code="46240-8" codeSystem="2.16.840.1.113883.6.1"/><text>Visit</text></section></component>
      <component><section><code code="18776-5" codeSystem="2.16.840.1.113883.6.1"/><confidentialityCode code="R"/><text>Plan</text></section></component>
    </structuredBody>
  </component>
</ClinicalDocument>
"#;

const FEW: &str = r#"<ClinicalDocument xmlns="urn:hl7-org:v3"><code code="1"/><confidentialityCode code="R"/><component><structuredBody><component><section><code code="46240-8"/><text>a</text></section></component><component><section><code code="46240-8"/><confidentialityCode code="N"/><text>b</text></section></component></structuredBody></component></ClinicalDocument>"#;

/// Documents with every oddity of layout.
pub(crate) fn odd() -> Vec<String> {
    let prefixed = DOCUMENT
        .replace("<sdtc:", "<SDTC")
        .replace("</", "</c:")
        .replace('<', "<c:")
        .replace("<c:/c:", "</c:")
        .replace("<c:?", "<?")
        .replace("<c:!", "<!")
        .replace("xmlns=", "xmlns:c=");
    vec![
        DOCUMENT.to_owned(),
        FEW.to_owned(),
        format!("\u{feff}{}", DOCUMENT.replace('\n', "\r\n")),
        prefixed,
        DOCUMENT.replace('\n', ""),
        "<ClinicalDocument xmlns='urn:hl7-org:v3'></ClinicalDocument>".to_owned(),
        "<ClinicalDocument xmlns='urn:hl7-org:v3'><component><nonXMLBody><text>JVBE</text></nonXMLBody></component></ClinicalDocument><!-- end -->\n".to_owned(),
        "<ClinicalDocument xmlns='urn:hl7-org:v3'><recordTarget/><component/><recordTarget><patientRole></patientRole></recordTarget></ClinicalDocument>".to_owned(),
        "<ClinicalDocument xmlns='urn:hl7-org:v3'><recordTarget><patientRole><id/><!-- Jones --><id/><patient/><addr/></patientRole></recordTarget><!-- x --><author/><author/><new/></ClinicalDocument>".to_owned(),
    ]
}

fn all() -> Vec<Vec<u8>> {
    let ccda = samples().into_iter().filter(|(path, _)| path.iter().any(|part| part == "ccda"));
    odd().into_iter().map(String::into_bytes).chain(ccda.map(|file| file.1)).collect()
}

fn check(bytes: &[u8], mask: u64) -> Result<(), TestCaseError> {
    let (format, sections) = cut(bytes);
    prop_assert_eq!(join(format, &sections), bytes);
    if format != FormatId::Cda {
        return Ok(());
    }
    let visible = random_view(format, mask);
    let shown = pick(&sections, &visible);
    let view = join(format, &shown);
    prop_assert_eq!(size(format, &shown), view.len() as u64);
    // Another text with the same elements, so that a save goes the long way.
    let edited = [&view[..], b" "].concat();
    let merged = merge(format, &shown, &visible, &edited, &Rules::builtin());
    let changed: Vec<Slot> = merged.unwrap().changed.into_keys().collect();
    prop_assert_eq!(changed, vec![Slot::FRAME]);
    Ok(())
}

#[test]
fn every_view_of_a_document_is_cut_as_it_was_rendered() {
    let mut dice = Dice(5);
    let mut documents = 0;
    for (index, bytes) in all().into_iter().enumerate() {
        let is_document = cut(&bytes).0 == FormatId::Cda;
        assert!(is_document || index >= odd().len(), "odd {index} is not cut");
        documents += usize::from(is_document);
        for round in 0..12 {
            let mask = [0, u64::MAX].get(round).copied().unwrap_or_else(|| dice.mask());
            check(&bytes, mask).unwrap_or_else(|e| panic!("{index}: {e}"));
        }
    }
    println!("{documents} documents");
}

#[test]
fn what_is_not_one_plain_document_is_opaque() {
    let doctype = DOCUMENT.replacen("<ClinicalDocument", "<!DOCTYPE x><ClinicalDocument", 1);
    let deep = |n| {
        let text = format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
        DOCUMENT.replace("Penicillin", &text)
    };
    assert_eq!(cut(deep(100).as_bytes()).0, FormatId::Cda);
    let texts = [
        doctype,
        deep(300),
        DOCUMENT.replace("&amp;", "&own;"),
        DOCUMENT.replace("&amp;", "&"),
        DOCUMENT.replace("</author>", ""),
        DOCUMENT.replace("xmlns:sdtc", "xmlns:other"),
        DOCUMENT.replace("UTF-8", "ISO-8859-1"),
        DOCUMENT.replace("urn:hl7-org:v3", "urn:other"),
        DOCUMENT.replace("<component>\n    <structuredBody>", "<component>text<structuredBody>"),
        format!("{DOCUMENT}<more/>"),
    ];
    for text in &texts {
        assert_eq!(cut(text.as_bytes()).0, FormatId::Opaque, "{text}");
    }
    let latin = [DOCUMENT.as_bytes(), b"<!-- \xe9 -->"].concat();
    assert_eq!(cut(&latin).0, FormatId::Opaque);
}

/// Adds, removes, swaps and changes sections without a stub.
fn edit(view: &str, dice: &mut Dice) -> Option<String> {
    let open = view.find("structuredBody>")? + "structuredBody>".len();
    let close = view.rfind("</structuredBody>")?;
    let body = &view[open..close];
    let plain = "<component><section><code code=\"46240-8\"";
    Some(match dice.below(4) {
        0 => [
            &view[..open],
            body,
            "\n<component><section><code code=\"8648-8\"/><text>new</text></section></component>",
            &view[close..],
        ]
        .concat(),
        1 if body.contains("<text>Visit") => view.replace("<text>Visit", "<text>Second visit"),
        2 if body.contains("Penicillin") => view.replace("Penicillin", "Penicillin G"),
        3 if view.contains("Myra") => view.replace("Myra", "Maria"),
        _ if body.contains(plain) => view.replacen(
            plain,
            &format!("<component><section><code code=\"11369-6\"/></section></component>{plain}"),
            1,
        ),
        _ => return None,
    })
}

#[test]
fn an_edit_of_a_document_is_read_back_and_hidden_sections_stay() {
    let (mut dice, mut rounds) = (Dice(6), 0);
    for document in [DOCUMENT.to_owned(), DOCUMENT.replace('\n', "\r\n")] {
        for _ in 0..60 {
            let (format, mut sections) = cut(document.as_bytes());
            for _ in 0..4 {
                let visible = random_view(format, dice.mask());
                let shown = pick(&sections, &visible);
                let view = String::from_utf8(join(format, &shown)).unwrap();
                let Some(edited) = edit(&view, &mut dice) else { continue };
                let merged = merge(format, &shown, &visible, edited.as_bytes(), &Rules::builtin());
                let merged = merged.unwrap();
                let (before, clean) = (sections.clone(), merged.appended.is_empty());
                let appended: Vec<Slot> = merged.appended.keys().copied().collect();
                apply(&mut sections, merged);
                for (slot, text) in before.iter().filter(|(slot, _)| !visible.contains(slot)) {
                    assert!(appended.contains(slot) || sections[slot] == *text, "{slot}");
                }
                if clean {
                    let after = join(format, &pick(&sections, &visible));
                    assert_eq!(String::from_utf8(after).unwrap(), edited);
                }
                let full = join(format, &sections);
                assert_eq!(size(format, &sections), full.len() as u64);
                split(format, &full, &Rules::builtin()).unwrap();
                rounds += 1;
            }
        }
    }
    assert!(rounds > 100, "{rounds}");
}

#[test]
fn a_stub_is_filled_only_by_who_sees_what_it_may_stand_for() {
    let (format, sections) = cut(DOCUMENT.as_bytes());
    let fill = |view: &str| {
        let at = view.find("<title>Problems</title><text>").unwrap();
        format!("{}{}", &view[..at], view[at..].replacen("No information", "cough", 1))
    };
    // The problems stand in `hiv`; who sees problems cannot put others in their place.
    let visible = [Slot::FRAME, Slot::PROBLEMS].into();
    let shown = pick(&sections, &visible);
    let view = String::from_utf8(join(format, &shown)).unwrap();
    let merged = merge(format, &shown, &visible, fill(&view).as_bytes(), &Rules::builtin());
    assert_eq!(merged.unwrap_err().kind(), Kind::Denied);
    let renamed = view.replace("<title>Problems</title>", "<title>Troubles</title>");
    let merged = merge(format, &shown, &visible, renamed.as_bytes(), &Rules::builtin());
    assert_eq!(merged.unwrap_err().kind(), Kind::Denied);
    // Who sees all can.
    let mut sections = sections.clone();
    sections.remove(&Slot::HIV);
    let all = random_view(format, u64::MAX);
    let edited = fill(&String::from_utf8(join(format, &sections)).unwrap());
    let merged = merge(format, &sections, &all, edited.as_bytes(), &Rules::builtin()).unwrap();
    apply(&mut sections, merged);
    assert_eq!(String::from_utf8(join(format, &sections)).unwrap(), edited);
    assert_eq!(size(format, &sections), edited.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_document_is_kept(
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
        which in 0..9_usize,
        mask: u64,
    ) {
        let mut bytes = odd()[which].clone().into_bytes();
        for (at, with) in places {
            let at = at.index(bytes.len());
            bytes[at] = b"<>/\"'&;= a"[usize::from(with) % 10];
        }
        check(&bytes, mask)?;
    }

    #[test]
    fn any_sequence_of_elements_is_kept(picks in proptest::collection::vec(0..14_usize, 0..14), mask: u64) {
        let parts = [
            "<id/>", " <id/>", "<!-- c -->", "\n", "<title>t</title>", "<author/>", "<other/>",
            "<recordTarget><patientRole> <id/><addr/></patientRole></recordTarget>",
            "<recordTarget> </recordTarget>", "<code code=\"34133-9\"/>", "<?pi x?>",
            "<component> <structuredBody><component><section/></component> <component><section><code code=\"48765-2\"/></section></component></structuredBody></component>",
            "<component><nonXMLBody/></component>", "<confidentialityCode code=\"R\"/>",
        ];
        let body: String = picks.iter().map(|&i| parts[i]).collect();
        check(format!("<ClinicalDocument xmlns=\"urn:hl7-org:v3\">{body}</ClinicalDocument>").as_bytes(), mask)?;
    }
}
