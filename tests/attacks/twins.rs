//! A writer with a client of his own, against what researchers read: twins that are stale, left out,
//! or of somebody else.

use chartfs::record::check::check_bucket;
use chartfs::record::format::Slot;
use chartfs::record::head::{Head, THIS_COMMIT, UncheckedRecord};
use chartfs::record::{Located, PolicyRef};
use std::time::Duration;

use super::insider::{counterfeit, forge, load_forged, slot_of};
use super::small::{Small, put, refused, write};

const RELEASE: &str = r#"
[research]
project = "heart-2026"
sections = ["labs", "medications", "documents"]
read = "researcher@north"
"#;
const STALE: &str = "was not made of what its section says";

async fn small() -> Small {
    Small::under(&(crate::support::POLICY.to_owned() + RELEASE)).await
}

/// Names the present content of labs as what its twin was made of.
fn rebind(head: &mut Head, slot: Slot) {
    let (realm, record) = (head.realm, head.record);
    let source = slot_of(head, slot);
    let made_of = source.content.hash(&realm, record, slot.0, source.number);
    slot_of(head, slot.twin()).content.previous = made_of;
}

// The harness must be able to succeed: whoever makes the twin with its source is believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_twin_that_goes_with_its_source_is_accepted() {
    let small = small().await;
    let name = small.fhir.object();
    let forged = forge(&small.now[&name], &small.keyring("doctor"), |head, _| {
        counterfeit(head, Slot::LABS, 9, 0);
        counterfeit(head, Slot::LABS.twin(), 9, 0);
        rebind(head, Slot::LABS);
    });
    put(&small.realm.bucket, &name, forged).await;
    let records = small.records("ana").await;
    records.load(small.fhir, &small.realm.policy, Duration::ZERO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twin_that_stayed_behind_is_refused_by_every_reader() {
    let small = small().await;
    let e = load_forged(&small, small.fhir, "doctor", |head, _| {
        counterfeit(head, Slot::LABS, 9, 0);
    });
    assert!(e.await.what().contains(STALE));
    // Its version alone is raised.
    let e = load_forged(&small, small.fhir, "doctor", |head, _| {
        counterfeit(head, Slot::LABS, 9, 0);
        counterfeit(head, Slot::LABS.twin(), 9, 0);
    });
    assert!(e.await.what().contains(STALE));
    // It names the new content under its old version.
    let e = load_forged(&small, small.fhir, "doctor", |head, _| {
        counterfeit(head, Slot::LABS, 9, 0);
        counterfeit(head, Slot::LABS.twin(), 1, 0);
        rebind(head, Slot::LABS);
    });
    assert!(e.await.what().contains(STALE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twin_cannot_be_left_out() {
    let small = small().await;
    // As one that waits to be made, which only what was not released before may.
    let e = load_forged(&small, small.fhir, "doctor", |head, _| {
        counterfeit(head, Slot::LABS, 9, 0);
        counterfeit(head, Slot::LABS.twin(), 0, 0);
        rebind(head, Slot::LABS);
    });
    assert!(e.await.what().contains(STALE));
    let e = load_forged(&small, small.fhir, "doctor", |head, _| {
        head.slots.retain(|s| s.slot != Slot::LABS.twin().0);
    });
    assert!(e.await.what().contains("slots of its profile"));
}

// Both twins are real, and say what their own sections say.
#[tokio::test(flavor = "multi_thread")]
async fn a_twin_of_another_record_or_section_is_refused() {
    let small = small().await;
    let other = small.realm.new_place();
    let records = small.records("doctor").await;
    let (profile, policy) = (super::small::FHIR, &small.realm.policy);
    let labs = vec![write(Slot::LABS, b"sodium 155")];
    records.create(other, profile, policy, labs).await.unwrap();
    let twin = twin_of(&records, other, policy, Slot::LABS).await;
    let e = load_forged(&small, small.fhir, "doctor", |head, _| {
        *slot_of(head, Slot::LABS.twin()) = twin.clone();
        slot_of(head, Slot::LABS.twin()).statement = THIS_COMMIT;
    });
    assert!(e.await.what().contains(STALE));
    let mine = twin_of(&records, small.fhir, policy, Slot::MEDICATIONS).await;
    let e = load_forged(&small, small.fhir, "doctor", |head, _| {
        *slot_of(head, Slot::LABS.twin()) = mine.clone();
        slot_of(head, Slot::LABS.twin()).statement = THIS_COMMIT;
    });
    assert!(e.await.what().contains(STALE));
}

async fn twin_of(
    records: &chartfs::record::Records,
    at: Located,
    policy: &PolicyRef,
    slot: Slot,
) -> chartfs::record::head::Part {
    let record = records.load(at, policy, Duration::ZERO).await.unwrap();
    let mut head = record.head.clone();
    slot_of(&mut head, slot.twin()).clone()
}

// A pharmacist may write medications and no labs, so no twin of labs either.
#[tokio::test(flavor = "multi_thread")]
async fn a_twin_is_written_by_who_may_write_its_source() {
    let small = small().await;
    for (who, slot) in [("pharmacist", Slot::LABS), ("psychiatrist", Slot::MEDICATIONS)] {
        let e = load_forged(&small, small.fhir, who, |head, _| {
            let previous = slot_of(head, slot.twin()).content.previous;
            let version = slot_of(head, slot.twin()).content.version;
            counterfeit(head, slot.twin(), version, 0);
            slot_of(head, slot.twin()).content.previous = previous;
        });
        assert!(e.await.what().contains("somebody who may not"), "{who}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_checks_without_a_key_finds_a_stale_twin() {
    let small = small().await;
    let realm = small.records("ana").await.realm().clone();
    let sound = check_bucket(&realm, |_| {}).await.unwrap();
    assert!(sound.ok(), "{:?}", sound.findings);
    let name = small.fhir.object();
    let forged = forge(&small.now[&name], &small.keyring("doctor"), |head, _| {
        counterfeit(head, Slot::LABS, 9, 0);
    });
    put(&small.realm.bucket, &name, forged).await;
    let report = check_bucket(&realm, |_| {}).await.unwrap();
    let found: Vec<_> = report.findings.iter().map(|f| f.what.as_str()).collect();
    assert!(found.iter().any(|what| what.contains(STALE)), "{found:?}");
}

// A workstation that has seen the newer section refuses the older pair, though both fit.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_section_with_its_twin_is_a_rollback() {
    let small = small().await;
    let name = small.fhir.object();
    let reader = small.reader("ana").remembering();
    let before = UncheckedRecord::parse(&small.now[&name]).unwrap().head;
    small.save("doctor", small.fhir, write(Slot::LABS, b"sodium 139")).await;
    let policy = &small.realm.policy;
    let records = reader.open(&small.realm.bucket).await.unwrap();
    records.load(small.fhir, policy, Duration::ZERO).await.unwrap();
    let now = small.realm.bucket.get(&name, u64::MAX).await.unwrap().unwrap().bytes;
    let forged = forge(&now, &small.keyring("pharmacist"), |head, _| {
        let mut old = before.clone();
        for slot in [Slot::LABS, Slot::LABS.twin()] {
            let part = slot_of(&mut old, slot).clone();
            let statement = &before.statements;
            let vouching = statement.get(usize::from(part.statement)).cloned();
            *slot_of(head, slot) = part;
            if let Some(vouching) = vouching {
                head.statements.push(vouching);
                slot_of(head, slot).statement = u16::try_from(head.statements.len() - 1).unwrap();
            }
        }
    });
    put(&small.realm.bucket, &name, forged).await;
    let records = reader.open(&small.realm.bucket).await.unwrap();
    let loaded = records.load(small.fhir, policy, Duration::ZERO).await;
    assert!(refused(loaded.map(|_| ())).what().contains("takes a section back"));
}
