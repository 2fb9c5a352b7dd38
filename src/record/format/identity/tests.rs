use super::*;

const ADT: &str = "MSH|^~\\&|HIS|GOOD|X|Y|20240501123000||ADT^A08^ADT_A01|M-1|P|2.5\r\
    EVN|A08\rPID|1||4711^^^HOSP&1.2.3.4&ISO^MR~999-11-2222^^^USSSA^SS~77^^^HOSP^AN||\
    Lorimarsh&x^Avelin||19700203|F\rPV1|1|I\r";

fn found(text: &str) -> Recognised {
    identify(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn refused(text: &str) -> String {
    identify(text.as_bytes()).expect_err(text).what().to_owned()
}

fn numbers(person: &Person) -> Vec<(&str, &str, bool)> {
    let triple = |i: &'_ Identifier| (i.system.clone(), i.value.clone(), i.is_weak);
    let _ = triple;
    person.identifiers.iter().map(|i| (&i.system[..], &i.value[..], i.is_weak)).collect()
}

#[test]
fn a_message_names_its_patient_by_who_gave_the_number() {
    let adt = found(ADT);
    let expected = [("urn:oid:1.2.3.4", "4711", false), ("USSSA", "999-11-2222", true)];
    assert_eq!(numbers(&adt.person), expected);
    assert_eq!(adt.person.family.as_deref(), Some("Lorimarsh"));
    assert_eq!(adt.person.given.as_deref(), Some("Avelin"));
    assert_eq!(adt.person.birth_date.as_deref(), Some("1970-02-03"));
    assert!(adt.document.name().starts_with("ADT-A08-M-1-"), "{}", adt.document.name());
    for same in [ADT.replace('\r', "\n"), format!("\u{feff}{ADT}"), format!("\u{b}{ADT}\u{1c}\r")] {
        assert_eq!(found(&same), adt);
    }
    // Senders count anew: the time and the sender tell two messages of one number apart.
    for other in [ADT.replace("20240501", "20240502"), ADT.replace("|GOOD|", "|BAD|")] {
        assert_ne!(found(&other).document, adt.document);
    }
}

#[test]
fn a_message_of_nobody_or_of_several_is_refused() {
    let two = format!("{ADT}PID|2||815^^^HOSP&1.2.3.4&ISO^MR||Abernox^Brosko||19800101\r");
    assert_eq!(refused(&two), "it names more than one patient");
    let again = format!("{ADT}PID|2||4711^^^HOSP&1.2.3.4&ISO^MR||Lorimarsh^Avelin||19700203\r");
    assert_eq!(numbers(&found(&again).person).len(), 2);
    let twin = again.replace("19700203\r", "19990909\r");
    assert_eq!(refused(&twin), "it names more than one patient");
    assert_eq!(refused("MSH|^~\\&|A\rMSA|AA|1\r"), "it names no patient");
    assert_eq!(refused("MSH|^~\\&|A\rPID|1||\"\"\r"), "it names its patient by no identifier");
    assert_eq!(refused(&format!("{ADT}{ADT}")), "it is more than one message");
}

#[test]
fn a_bundle_is_about_the_one_patient_that_it_names() {
    let patient = r#"{"fullUrl":"https://a.example/fhir/Patient/p1","resource":{"resourceType":
        "Patient","id":"p1","identifier":[{"system":"1.2.3.4","value":"4711"},{"use":"old","value":"x"}],
        "name":[{"use":"old","family":"Then"},{"family":"Lorimarsh","given":["Avelin"]}],
        "birthDate":"1970-02-03"}}"#;
    let about = |who: &str| {
        format!(
            r#"{{"resource":{{"resourceType":"Condition","id":"c","subject":{{"reference":"{who}"}}}}}}"#
        )
    };
    let bundle = |entries: &[&str]| {
        format!(r#"{{"resourceType":"Bundle","id":"b-1","entry":[{}]}}"#, entries.join(","))
    };
    let one = found(&bundle(&[patient, &about("Patient/p1"), &about("Group/g")]));
    let expected =
        [("urn:oid:1.2.3.4", "4711", false), ("https://a.example/fhir/Patient", "p1", false)];
    assert_eq!(numbers(&one.person), expected);
    assert_eq!(one.person.family.as_deref(), Some("Lorimarsh"));
    assert_eq!(one.document.name(), "Bundle-b-1.json");
    let more = [patient, &about("Patient/p2")];
    assert_eq!(refused(&bundle(&more)), "it names more than one patient");
    let other = patient.replace("4711", "815").replace("p1", "p9");
    assert_eq!(refused(&bundle(&[patient, &other])), "it names more than one patient");
    assert_eq!(refused(&bundle(&[])), "it names no patient");
    // Without a number of its own the text is what it is known by.
    let nameless = bundle(&[patient]).replace(r#""id":"b-1","#, "");
    assert_ne!(found(&nameless).document, found(&nameless.replace("Avelin", "Avelina")).document);
}

#[test]
fn a_document_is_about_its_subject_whoever_else_is_in_it() {
    let text = r#"{"resourceType":"Bundle","type":"document","identifier":{"system":"s","value":"d"},
        "entry":[{"resource":{"resourceType":"Composition","subject":{"reference":
        "urn:uuid:11111111-1111-4111-8111-111111111111"}}},{"fullUrl":
        "urn:uuid:11111111-1111-4111-8111-111111111111","resource":{"resourceType":"Patient",
        "name":[{"family":"Child"}]}},{"fullUrl":"urn:uuid:22222222-2222-4222-8222-222222222222",
        "resource":{"resourceType":"Patient","name":[{"family":"Mother"}]}}]}"#;
    assert_eq!(found(text).person.family.as_deref(), Some("Child"));
    assert_eq!(
        refused(&text.replace("\"document\"", "\"collection\"")),
        "it names more than one patient"
    );
}

#[test]
fn a_resource_names_its_patient_by_reference_and_says_when_that_may_be_anybody() {
    let of = |who: &str| {
        found(&format!(r#"{{"resourceType":"Observation","id":"o","subject":{who}}}"#)).person
    };
    let uuid = "3b1c9d84-7f2e-4f0a-9f10-6a1d2c3b4e5f";
    for told in [
        format!("urn:uuid:{uuid}"),
        format!("Patient/{uuid}"),
        format!("https://s.example/Patient/{uuid}/_history/2"),
    ] {
        let person = of(&format!(r#"{{"reference":"{told}"}}"#));
        assert_eq!(numbers(&person), [("urn:uuid", uuid, false)], "{told}");
    }
    assert_eq!(numbers(&of(r#"{"reference":"Patient/7"}"#)), [("Patient", "7", true)]);
    assert_eq!(numbers(&of(r#"{"identifier":{"system":"s","value":"v"}}"#)), [("s", "v", false)]);
    let contained = r##"{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"p",
        "identifier":[{"system":"s","value":"v"}]}],"subject":{"reference":"#p"}}"##;
    assert_eq!(numbers(&found(contained).person), [("s", "v", false)]);
    assert_eq!(refused(r#"{"resourceType":"Organization","id":"x"}"#), "it names no patient");
    assert_eq!(refused(r#"{"a":1}"#), "it is JSON, but no FHIR resource");
    assert_eq!(
        refused(r#"{"resourceType":"Patient","id":"a","id":"b"}"#),
        "it cannot be read as FHIR in JSON"
    );
}

#[test]
fn a_document_in_xml_is_known_by_its_set_and_version() {
    let text = r#"<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><id root="1.2.3" extension="d7"/>
        <setId root="1.2.3" extension="set"/><versionNumber value="3"/><recordTarget><patientRole>
        <id root="1.2.3.4" extension="4711"/><id root="2.16.840.1.113883.4.1" extension="999-11-2222"/>
        <patient><name><given>Avelin</given><family>O&apos;Lori</family></name><birthTime value="19700203"/>
        </patient></patientRole></recordTarget><component/></ClinicalDocument>"#;
    let cda = found(text);
    assert_eq!(
        numbers(&cda.person),
        [("urn:oid:1.2.3.4", "4711", false), (SSN, "999112222", true)]
    );
    assert_eq!(cda.person.family.as_deref(), Some("O'Lori"));
    assert_eq!(
        (cda.document.version, cda.person.birth_date.as_deref()),
        (Some(3), Some("1970-02-03"))
    );
    let newer = text.replace("\"d7\"", "\"d8\"").replace("value=\"3\"", "value=\"4\"");
    assert_eq!(found(&newer).document.name(), cda.document.name());
    let nameless =
        text.replace("<setId", "<x").replace("<id root=\"1.2.3\"", "<id nullFlavor=\"NI\"");
    assert_ne!(found(&nameless).document, found(&nameless.replace("Avelin", "Other")).document);
    assert_eq!(refused("<html><body/></html>"), "the XML is no CDA document");
    assert_eq!(refused(&text[..300]), "it is no well-formed CDA document");
    let doctype = text.replace("<ClinicalDocument", "<!DOCTYPE x><ClinicalDocument");
    assert_eq!(refused(&doctype), "the document has a document type");
}

/// A file with an explicit data set; each value has an even length.
fn dicom(values: &[(u32, &str, &str)]) -> Vec<u8> {
    let element = |tag: u32, vr: &str, value: &str| {
        let mut value = value.as_bytes().to_vec();
        if value.len() % 2 == 1 {
            value.push(if vr == "UI" { 0 } else { b' ' });
        }
        let (group, number) = ((tag >> 16) as u16, (tag & 0xffff) as u16);
        let len = u16::try_from(value.len()).unwrap();
        [&group.to_le_bytes()[..], &number.to_le_bytes(), vr.as_bytes(), &len.to_le_bytes(), &value]
            .concat()
    };
    let meta = element(0x0002_0010, "UI", "1.2.840.10008.1.2.1");
    let values: Vec<u8> = values.iter().flat_map(|(tag, vr, v)| element(*tag, vr, v)).collect();
    [&[0; 128][..], b"DICM", &meta, &values].concat()
}

#[test]
fn an_image_is_known_by_its_first_bytes() {
    let file = dicom(&[
        (0x0008_0018, "UI", "1.2.3.4.5"),
        (0x0008_0060, "CS", "CT"),
        (0x0010_0010, "PN", "Lorimarsh^Avelin"),
        (0x0010_0020, "LO", "4711"),
        (0x0010_0021, "LO", "1.2.3.4"),
        (0x0010_0030, "DA", "19700203"),
        (0x0020_000d, "UI", "1.2.3.4"),
        (0x0028_0010, "US", "xx"),
    ]);
    let image = identify(&file).unwrap();
    assert_eq!(numbers(&image.person), [("urn:oid:1.2.3.4", "4711", false)]);
    assert_eq!(image.document.name(), "CT-1.2.3.4.5.dcm");
    assert_eq!(image.document.folder.as_deref(), Some("study-1.2.3.4"));
    assert_eq!(identify(&file[..file.len() - 3]).unwrap(), image, "the pixels are not needed");
    assert!(identify(&dicom(&[(0x0010_0020, "LO", "4711")])).is_err(), "it is no object");
}

#[test]
fn no_text_makes_it_panic() {
    let file = dicom(&[(0x0008_0018, "UI", "1.2.3.4.5"), (0x0010_0020, "LO", "4711")]);
    for text in
        [ADT.as_bytes(), &file, b"{\"resourceType\":\"Patient\",\"id\":\"1\"}", b"<a><b></a>"]
    {
        for cut in 0..text.len() {
            let _ = identify(&text[..cut]);
            let _ = identify(&text[cut..]);
            let mut flipped = text.to_vec();
            flipped[cut] ^= 0x15;
            let _ = identify(&flipped);
        }
    }
    let deep = "{\"resourceType\":\"Bundle\",\"entry\":".to_owned() + &"[".repeat(100_000);
    assert!(identify(deep.as_bytes()).is_err());
}

#[test]
fn a_batch_is_cut_into_its_messages_wherever_the_reads_end() {
    struct Slow<'a>(&'a [u8], usize);
    impl std::io::Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let n = self.1.min(out.len()).min(self.0.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }
    let other = ADT.replace("M-1", "M-2");
    let batch =
        format!("\u{feff}FHS|^~\\&|A\rBHS|^~\\&|A\r{ADT}\u{b}{other}\u{1c}\rBTS|2\rFTS|1\r");
    for step in [1, 2, 3, 7, 1000] {
        let found: Vec<Vec<u8>> =
            Messages::new(Slow(batch.as_bytes(), step)).map(Result::unwrap).collect();
        let mut ids: Vec<_> = found.iter().map(|m| identify(m).unwrap().document.name()).collect();
        ids.dedup();
        assert_eq!(ids.len(), 2, "{step}");
        assert_eq!(found[0], ADT.as_bytes());
        assert_eq!(found[1].len(), other.len());
    }
    assert_eq!(Messages::new(&b"no message"[..]).count(), 0);
    for before in ["\u{feff}", " \t", "\u{feff} ", "\r\n", "\u{b}"] {
        let text = format!("{before}{ADT}");
        assert_eq!(shape(text.as_bytes()), Shape::Hl7v2);
        let found: Vec<Vec<u8>> =
            Messages::new(Slow(text.as_bytes(), 1)).map(Result::unwrap).collect();
        assert_eq!(found, [ADT.as_bytes()], "{before:?}");
    }
}

#[test]
fn a_bulk_file_is_sorted_by_patient_and_type() {
    let line = |kind: &str, id: &str, who: &str| {
        format!(
            "{{\"resourceType\":\"{kind}\",\"id\":\"{id}\",\"subject\":{{\"reference\":\"Patient/{who}\"}}}}"
        )
    };
    let patient = r#"{"resourceType":"Patient","id":"7","identifier":[{"system":"http://hl7.org/fhir/sid/us-ssn","value":"1"}],"birthDate":"1970-02-03"}"#;
    let twin = patient.replace("\"7\"", "\"8\"").replace("1970", "1980");
    let text = [
        &line("Condition", "a", "7"),
        "",
        patient,
        &twin,
        &line("Condition", "b", "8"),
        &line("Condition", "c", "7"),
        r#"{"resourceType":"Organization","id":"o"}"#,
    ]
    .join("\n");
    assert_eq!(shape(text.as_bytes()), Shape::FhirLines);
    let batches: Vec<Vec<Share>> = shares(text.as_bytes()).map(Result::unwrap).collect();
    assert_eq!(batches.len(), 1);
    let told: Vec<(String, usize)> = batches[0]
        .iter()
        .map(|s| {
            (
                s.recognised.as_ref().map_or("none".to_owned(), |r| {
                    format!(
                        "{} {}",
                        r.person.birth_date.as_deref().unwrap_or_default(),
                        r.document.name()
                    )
                }),
                s.text.split(|b| *b == b'\n').count() - 1,
            )
        })
        .collect();
    let expected = [
        ("1970-02-03 Condition.ndjson", 2),
        ("1970-02-03 Patient.ndjson", 1),
        ("1980-02-03 Condition.ndjson", 1),
        ("1980-02-03 Patient.ndjson", 1),
        ("none", 1),
    ];
    assert_eq!(told, expected.map(|(t, n)| (t.to_owned(), n)));
}

#[test]
fn newer_lines_take_the_place_of_older_ones_and_no_other_goes() {
    let a = "{\"resourceType\":\"Flag\",\"id\":\"1\",\"v\":1}\n";
    let b = "{\"resourceType\":\"Flag\",\"id\":\"2\"}\n";
    let c = a.replace(":1}", ":2}");
    let both = union(format!("{a}{b}").as_bytes(), c.trim_end().as_bytes()).unwrap();
    assert_eq!(String::from_utf8(both.clone()).unwrap(), format!("{c}{b}"));
    assert_eq!(union(&both, c.as_bytes()).unwrap(), both);
}

#[test]
fn another_birth_date_or_a_number_that_may_be_anybodys_is_no_match() {
    let adt = found(ADT).person;
    let known = Known::new("x".to_owned(), &adt);
    assert_eq!(Known::decode(&known.encode()).unwrap(), known);
    assert!(Known::decode(b"{}").is_err());
    let (strong, weak) = (&adt.identifiers[0], &adt.identifiers[1]);
    let who = |family: Option<&str>, born: Option<&str>| Person {
        family: family.map(str::to_owned),
        birth_date: born.map(str::to_owned),
        ..Person::default()
    };
    let same = |p: &Person, i: &Identifier| known.check(p, &[i]).is_ok();
    for number in [strong, weak] {
        assert!(same(&who(Some("LORI-marsh"), Some("1970")), number));
        assert!(same(&who(Some("Married"), Some("1970-02-03")), number));
        assert!(same(&who(Some("lorimarsh"), None), number));
        assert!(!same(&who(Some("Lorimarsh"), Some("1970-02-04")), number));
        assert!(!same(&who(Some("Abernox"), None), number));
    }
    assert!(same(&who(None, None), strong));
    assert!(!same(&who(None, None), weak));
    let mut other = Known { birth_date: Some("1970".to_owned()), ..known.clone() };
    assert!(other.learn(&adt) && !other.learn(&adt));
    assert_eq!(other, known);
}
