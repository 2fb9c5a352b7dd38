//! What is filed where, under which name, and what happens when it comes again.

use crate::site::{Site, bundle, counts, message};

#[tokio::test]
async fn records_of_one_patient_from_several_systems_are_in_one_folder() {
    let site = Site::new().await;
    let adt = message("M1", "4711", "Lorimarsh", "19700203");
    assert_eq!(counts(site.take("doctor", "a.hl7", &adt).await), [1, 0, 0, 0]);
    let record = bundle("b1", "4711", "1970-02-03", "I10");
    assert_eq!(counts(site.take("doctor", "b.json", &record).await), [1, 0, 0, 0]);
    // The bundle told another number of the patient, by which this one is found.
    let flag = r#"{"resourceType":"Flag","id":"f","subject":{"reference":"Patient/3b1c9d84-7f2e-4f0a-9f10-6a1d2c3b4e5f"}}"#;
    assert_eq!(counts(site.take("doctor", "c.json", flag).await), [1, 0, 0, 0]);
    let all = site.all().await;
    let paths: Vec<&String> = all.keys().collect();
    assert_eq!(paths.len(), 3, "{paths:?}");
    assert!(paths[0].starts_with("/patients/p-4711/ADT-A08-M1-"), "{paths:?}");
    assert_eq!(all["/patients/p-4711/Bundle-b1.json"], record);
    assert_eq!(all["/patients/p-4711/Flag-f.json"], flag);
    assert_eq!(all[paths[0]], adt, "byte for byte");
}

#[tokio::test]
async fn the_one_message_of_a_file_is_filed_with_all_that_stands_around_it() {
    let site = Site::new().await;
    let text = format!("\u{feff}{}", message("M1", "4711", "Lorimarsh", "19700203"));
    assert_eq!(counts(site.take("doctor", "a.hl7", &text).await), [1, 0, 0, 0]);
    assert_eq!(site.all().await.into_values().collect::<Vec<_>>(), [text]);
}

#[tokio::test]
async fn what_comes_again_is_not_filed_again_and_a_newer_text_takes_the_place() {
    let site = Site::new().await;
    let record = bundle("b1", "4711", "1970-02-03", "I10");
    site.take("doctor", "b.json", &record).await;
    assert_eq!(counts(site.take("doctor", "other-name.json", &record).await), [0, 0, 1, 0]);
    let newer = bundle("b1", "4711", "1970-02-03", "I11");
    assert_eq!(counts(site.take("doctor", "b.json", &newer).await), [0, 1, 0, 0]);
    let all = site.all().await;
    assert_eq!(all.len(), 1);
    assert_eq!(all["/patients/p-4711/Bundle-b1.json"], newer);
}

#[tokio::test]
async fn a_batch_is_filed_message_by_message_and_what_fails_of_it_stays_alone() {
    let site = Site::new().await;
    let good = message("M1", "4711", "Lorimarsh", "19700203");
    let other = message("M2", "815", "Abernox", "19800101");
    let bad = message("M3", "4711", "Lorimarsh", "19710203");
    let batch = format!("FHS|^~\\&|A\r{good}{other}{bad}FTS|3\r");
    assert_eq!(counts(site.take("doctor", "day.hl7", &batch).await), [2, 0, 0, 1]);
    assert_eq!(counts(site.take("doctor", "day.hl7", &batch).await), [0, 0, 2, 1]);
    let all = site.all().await;
    assert_eq!(all.len(), 4, "{:?}", all.keys());
    assert_eq!(all["/inbox/.failed/day.3.hl7"], bad);
    let reason = &all["/inbox/.failed/day.3.hl7.reason.txt"];
    assert_eq!(reason, "its identifier is known of a patient with another birth date\n");
}

#[tokio::test]
async fn a_bulk_file_is_divided_among_its_patients_and_more_of_it_adds() {
    let site = Site::new().await;
    let (a, b) = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222");
    let patient = |id: &str, number: &str| {
        format!(
            r#"{{"resourceType":"Patient","id":"{id}","identifier":[{{"system":"1.2.3.4","value":"{number}"}}]}}"#
        )
    };
    let flag = |id: &str, who: &str, v: &str| {
        format!(
            r#"{{"resourceType":"Flag","id":"{id}","status":"{v}","subject":{{"reference":"Patient/{who}"}}}}"#
        )
    };
    let patients = [patient(a, "1"), patient(b, "2")].join("\n");
    assert_eq!(counts(site.take("doctor", "Patient.ndjson", &patients).await), [2, 0, 0, 0]);
    let rest = r#"{"resourceType":"Organization","id":"o"}"#.to_owned();
    let first =
        [flag("x", a, "on"), flag("y", b, "on"), flag("z", a, "on"), rest.clone()].join("\n");
    assert_eq!(counts(site.take("doctor", "Flag.ndjson", &first).await), [2, 0, 0, 1]);
    assert_eq!(counts(site.take("doctor", "Flag.ndjson", &first).await), [0, 0, 2, 1]);
    let more = [flag("z", a, "off"), flag("w", a, "on")].join("\n");
    assert_eq!(counts(site.take("doctor", "Flag.001.ndjson", &more).await), [0, 1, 0, 0]);
    let all = site.all().await;
    let lines = [flag("x", a, "on"), flag("z", a, "off"), flag("w", a, "on"), String::new()];
    assert_eq!(all["/patients/p-1/Flag.ndjson"], lines.join("\n"));
    assert_eq!(all["/patients/p-2/Flag.ndjson"], flag("y", b, "on") + "\n");
    assert_eq!(all["/inbox/.failed/Flag.3.ndjson"], rest + "\n");
}

#[tokio::test]
async fn an_older_version_of_a_document_does_not_take_the_place_of_a_newer_one() {
    let site = Site::new().await;
    let cda = |version: u32| {
        format!(
            r#"<ClinicalDocument xmlns="urn:hl7-org:v3"><id root="1.2.3" extension="d{version}"/><setId root="1.2.3" extension="set"/><versionNumber value="{version}"/><recordTarget><patientRole><id root="1.2.3.4" extension="4711"/><patient><name><given>A</given><family>Lorimarsh</family></name><birthTime value="19700203"/></patient></patientRole></recordTarget></ClinicalDocument>"#
        )
    };
    assert_eq!(counts(site.take("doctor", "2.xml", cda(2)).await), [1, 0, 0, 0]);
    assert_eq!(counts(site.take("doctor", "1.xml", cda(1)).await), [0, 0, 0, 1]);
    assert_eq!(counts(site.take("doctor", "3.xml", cda(3)).await), [0, 1, 0, 0]);
    let all = site.all().await;
    let filed: Vec<_> = all.iter().filter(|(path, _)| path.starts_with("/patients")).collect();
    assert_eq!(filed.len(), 1);
    assert_eq!(*filed[0].1, cda(3));
    assert!(all["/inbox/.failed/1.xml.reason.txt"].contains("newer version"));
}

#[tokio::test]
async fn two_failures_of_one_name_are_both_kept_and_the_same_one_once() {
    let site = Site::new().await;
    for _ in 0..2 {
        assert_eq!(counts(site.take("doctor", "x.txt", "one").await), [0, 0, 0, 1]);
        assert_eq!(counts(site.take("doctor", "x.txt", "two").await), [0, 0, 0, 1]);
        assert_eq!(counts(site.take("doctor", "x.bak", "three").await), [0, 0, 0, 1]);
        assert_eq!(counts(site.take("doctor", &"n".repeat(255), "four").await), [0, 0, 0, 1]);
    }
    let all = site.all().await;
    let texts: Vec<&str> = all.values().map(String::as_str).collect();
    assert_eq!(all.len(), 8, "{:?}", all.keys());
    for text in ["one", "two", "three", "four"] {
        assert_eq!(texts.iter().filter(|t| **t == text).count(), 1, "{text}");
    }
}
