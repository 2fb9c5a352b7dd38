//! The summary for emergencies: made of the record itself, for whoever is let in for nothing else.

use chartfs::error::Kind;
use chartfs::store::Bucket;
use chartfs::view::View;
use std::sync::Arc;

use super::{RELEASE, bundle, drive, files, policy, read, save, view_of};
use crate::support::TestRealm;

/// Who may read what in an emergency, as a part of a policy.
pub(crate) const SUMMARY: &str = "\n[emergency]\nread = \"responder@board\"\n";

async fn realm() -> TestRealm {
    TestRealm::found_with(Bucket::memory(), &policy(&(RELEASE.to_owned() + SUMMARY))).await
}

async fn responder(realm: &TestRealm) -> Arc<View> {
    let credential = realm.credential("rob", &["responder@board"]).await;
    view_of(realm.records_of(credential).await).await
}

async fn summary(realm: &TestRealm) -> serde_json::Value {
    let view = responder(realm).await;
    serde_json::from_slice(&read(&view, "/ana/record.json").await).unwrap()
}

fn kinds(summary: &serde_json::Value) -> Vec<&str> {
    let entries = summary["entry"].as_array().unwrap();
    entries.iter().map(|e| e["resource"]["resourceType"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_reads_a_patient_summary_under_the_real_name() {
    let realm = realm().await;
    save(&*drive(&realm, "doctor").await, "/ana/record.json", &bundle(1)).await.unwrap();
    let view = responder(&realm).await;
    assert_eq!(files(&view, "").await, ["/ana/record.json"]);
    let summary = summary(&realm).await;
    assert_eq!(summary["type"], "document");
    let composition = &summary["entry"][0]["resource"];
    assert_eq!(composition["type"]["coding"][0]["code"], "60591-5");
    let kinds = kinds(&summary);
    for kind in ["Patient", "AllergyIntolerance", "MedicationRequest", "Condition"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    for kind in ["Claim", "Encounter", "DocumentReference"] {
        assert!(!kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    // Every reference of the summary leads to something in it.
    let known: Vec<&serde_json::Value> =
        summary["entry"].as_array().unwrap().iter().map(|e| &e["fullUrl"]).collect();
    for section in composition["section"].as_array().unwrap() {
        for entry in section["entry"].as_array().into_iter().flatten() {
            assert!(known.contains(&&entry["reference"]), "{entry}");
        }
    }
    assert!(known.contains(&&composition["subject"]["reference"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_summary_is_never_older_than_the_record() {
    let realm = realm().await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "/ana/record.json", &bundle(1)).await.unwrap();
    // The pharmacist does not know of emergencies: he saves what he sees.
    let pharmacist = drive(&realm, "pharmacist").await;
    let text = String::from_utf8(read(&pharmacist, "/ana/record.json").await).unwrap();
    let edited = text.replacen("\"active\"", "\"entered-in-error\"", 1);
    save(&pharmacist, "/ana/record.json", edited.as_bytes()).await.unwrap();
    assert!(summary(&realm).await.to_string().contains("entered-in-error"));
    let doctor = drive(&realm, "doctor").await;
    let mut bundle: serde_json::Value =
        serde_json::from_slice(&read(&doctor, "/ana/record.json").await).unwrap();
    let entries = bundle["entry"].as_array_mut().unwrap();
    entries.retain(|e| e["resource"]["resourceType"] != "AllergyIntolerance");
    save(&doctor, "/ana/record.json", bundle.to_string().as_bytes()).await.unwrap();
    let now = summary(&realm).await;
    assert!(!kinds(&now).contains(&"AllergyIntolerance"));
    let sections = now["entry"][0]["resource"]["section"].as_array().unwrap();
    let allergies = sections.iter().find(|s| s["code"]["coding"][0]["code"] == "48765-2").unwrap();
    assert_eq!(allergies["emptyReason"]["coding"][0]["code"], "unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_cannot_be_changed_and_shows_nobody_else_less() {
    let realm = realm().await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "/ana/record.json", &bundle(1)).await.unwrap();
    let view = responder(&realm).await;
    let folder = view.resolve("/ana").await.unwrap().ino;
    let denied = |e: chartfs::error::Error| assert_eq!(e.kind(), Kind::Denied, "{e}");
    denied(view.write_path(folder, b"record.json", &b"{}"[..]).await.unwrap_err());
    denied(view.write_path(folder, b"new.json", &b"{}"[..]).await.unwrap_err());
    denied(view.unlink(folder, b"record.json").await.unwrap_err());
    assert_eq!(view.resolve("/ana/record.json").await.unwrap().mode & 0o222, 0);
    // Whoever is let in anyway reads the record, also with the attribute for emergencies.
    let both = realm.credential("both", &["physician@st-mary", "responder@board"]).await;
    let both = view_of(realm.records_of(both).await).await;
    let own = drive(&realm, "doctor").await;
    let (a, b) = (read(&both, "/ana/record.json").await, read(&own, "/ana/record.json").await);
    assert_eq!(a, b);
    assert!(!String::from_utf8(a).unwrap().contains("60591-5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pinned_is_read_when_the_network_is_gone() {
    use crate::fake_s3::FakeS3;
    use chartfs::key::keyring::Keyring;
    use chartfs::realm::Realm;
    use chartfs::record::Records;
    use chartfs::record::marks::Marks;
    use chartfs::view::ViewOptions;

    let server = FakeS3::start().await;
    let text = policy(&(RELEASE.to_owned() + SUMMARY));
    let realm = TestRealm::found_with(server.bucket().await, &text).await;
    let doctor = drive(&realm, "doctor").await;
    save(&doctor, "/ana/record.json", &bundle(1)).await.unwrap();
    save(&doctor, "/old/record.json", &bundle(2)).await.unwrap();
    let credential = realm.credential("rob", &["responder@board"]).await.to_bytes();
    let dir = tempfile::tempdir().unwrap();
    // A cache in which next to nothing has room, beside what is pinned.
    let station = async |pins: bool| {
        let cache = dir.path().join("cache");
        let bucket = server.bucket().await.with_cache(&cache, 64 << 10).unwrap();
        if pins {
            bucket.begin_pinning();
        }
        let opened = Realm::open(bucket, Some(&realm.genesis)).await.unwrap();
        let credential = chartfs::key::credential::Credential::from_bytes(&credential).unwrap();
        let keyring = Keyring::new(credential).unwrap();
        let marks = Marks::in_memory();
        let records = Records::new(Arc::new(opened), Arc::new(keyring), Arc::new(marks));
        let view = View::of(Arc::new(records), ViewOptions::default()).await.unwrap();
        if pins {
            view.pin(vec!["/ana".to_owned()]);
            let done = view.refresh_pins().await.unwrap();
            assert_eq!((done.files, done.failed), (1, 0));
        }
        view
    };
    drop(station(true).await);
    {
        // What comes by later does not drive it out.
        let view = station(false).await;
        read(&view, "/old/record.json").await;
        view.drain().await.unwrap();
    }
    server.set_away(true);
    let view = station(false).await;
    let summary: serde_json::Value =
        serde_json::from_slice(&read(&view, "/ana/record.json").await).unwrap();
    assert!(kinds(&summary).contains(&"AllergyIntolerance"));
    let other = view.resolve("/old/record.json").await;
    assert!(other.is_err(), "nobody asked for the other one");
}
