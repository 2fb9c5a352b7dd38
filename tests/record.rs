//! Records in a bucket: what each user opens, what a commit keeps, and what the bucket cannot do.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use chartfs::error::Kind;
use chartfs::record::format::{FormatId, Measure, Slot};
use chartfs::record::{Body, Committed, Record, Records, SlotWrite};
use chartfs::store::Bucket;
use support::TestRealm;

const FHIR: u8 = FormatId::FhirJson as u8;

fn write(slot: Slot, text: &[u8]) -> SlotWrite {
    SlotWrite {
        slot: slot.0,
        body: Body::Bytes(text.to_vec()),
        measure: Measure::default(),
        mtime_unix_ns: 1,
        append: false,
    }
}

async fn text(records: &Records, record: &Arc<Record>, slot: Slot) -> Option<Vec<u8>> {
    let opened = records.open_slot(record, slot.0).await.unwrap()?;
    let entry = record.head.slots.iter().find(|s| s.slot == slot.0).unwrap();
    let mut all = Vec::new();
    for (part, opened) in entry.parts.iter().zip(&opened) {
        if part.content.is_external() {
            let len = opened.meta.body_len;
            all.extend(records.read_external(part, opened, 0..len).await.unwrap());
        } else {
            all.extend(records.inline_body(record, part, opened).unwrap());
        }
    }
    Some(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_opens_what_the_policy_says_and_a_commit_keeps_the_rest() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = realm.records("doctor").await;
    let at = realm.new_place();
    let writes = vec![write(Slot::MEDICATIONS, b"aspirin"), write(Slot::LABS, b"sodium 140")];
    let made = doctor.create(at, FHIR, &realm.policy, writes).await.unwrap();
    assert_eq!(text(&doctor, &made, Slot::LABS).await.unwrap(), b"sodium 140");
    assert_eq!(text(&doctor, &made, Slot::MENTAL_HEALTH).await, None);

    let psychiatrist = realm.records("psychiatrist").await;
    let seen = psychiatrist.load(at, &realm.policy, Duration::ZERO).await.unwrap();
    assert_eq!(text(&psychiatrist, &seen, Slot::MEDICATIONS).await, None);
    assert_eq!(text(&psychiatrist, &seen, Slot::MENTAL_HEALTH).await.unwrap(), b"");
    let writes = vec![write(Slot::MENTAL_HEALTH, b"sleeps badly")];
    let committed = psychiatrist.commit(&seen, FHIR, &realm.policy, writes, true).await.unwrap();
    assert!(matches!(committed, Committed::Done(_)));

    let pharmacist = realm.records("pharmacist").await;
    let seen = pharmacist.load(at, &realm.policy, Duration::ZERO).await.unwrap();
    assert_eq!(text(&pharmacist, &seen, Slot::MEDICATIONS).await.unwrap(), b"aspirin");
    assert_eq!(text(&pharmacist, &seen, Slot::LABS).await, None);
    for i in 0..20u8 {
        let seen = pharmacist.load(at, &realm.policy, Duration::MAX).await.unwrap();
        let writes = vec![write(Slot::MEDICATIONS, &vec![b'a' + i; 40 * usize::from(i)])];
        let done = pharmacist.commit(&seen, FHIR, &realm.policy, writes, true).await.unwrap();
        assert!(matches!(done, Committed::Done(_)));
    }

    let ana = realm.records("ana").await;
    let seen = ana.load(at, &realm.policy, Duration::ZERO).await.unwrap();
    assert_eq!(seen.version(), 22);
    assert_eq!(text(&ana, &seen, Slot::LABS).await.unwrap(), b"sodium 140");
    assert_eq!(text(&ana, &seen, Slot::MENTAL_HEALTH).await.unwrap(), b"sleeps badly");
    assert_eq!(text(&ana, &seen, Slot::MEDICATIONS).await.unwrap(), vec![b'a' + 19; 760]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_write_is_refused_before_anything_is_stored() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let (doctor, pharmacist) = (realm.records("doctor").await, realm.records("pharmacist").await);
    let at = realm.new_place();
    let made = doctor.create(at, FHIR, &realm.policy, vec![]).await.unwrap();
    let seen = pharmacist.load(at, &realm.policy, Duration::ZERO).await.unwrap();
    let refused = pharmacist
        .commit(&seen, FHIR, &realm.policy, vec![write(Slot::LABS, b"forged")], true)
        .await;
    assert_eq!(refused.err().unwrap().kind(), Kind::Denied);
    let again = doctor.load(at, &realm.policy, Duration::ZERO).await.unwrap();
    assert_eq!(again.object_hash(), made.object_hash());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_commits_on_one_version_one_moves() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = realm.records("doctor").await;
    let at = realm.new_place();
    let base = doctor.create(at, FHIR, &realm.policy, vec![]).await.unwrap();
    let first = vec![write(Slot::LABS, b"first")];
    let second = vec![write(Slot::LABS, b"second")];
    let done = doctor.commit(&base, FHIR, &realm.policy, first, true).await.unwrap();
    assert!(matches!(done, Committed::Done(_)));
    let moved = doctor.commit(&base, FHIR, &realm.policy, second, true).await.unwrap();
    assert!(matches!(moved, Committed::Moved));
    let now = doctor.load(at, &realm.policy, Duration::ZERO).await.unwrap();
    assert_eq!(text(&doctor, &now, Slot::LABS).await.unwrap(), b"first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_goes_back_is_an_alarm() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = realm.records("doctor").await;
    let at = realm.new_place();
    let base = doctor.create(at, FHIR, &realm.policy, vec![]).await.unwrap();
    let old = realm.bucket.get(&at.object(), 1 << 20).await.unwrap().unwrap();
    let writes = vec![write(Slot::LABS, b"new")];
    doctor.commit(&base, FHIR, &realm.policy, writes, true).await.unwrap();
    let always = chartfs::store::Condition::Always;
    realm.bucket.put(&at.object(), old.bytes, always).await.unwrap();
    let e = doctor.load(at, &realm.policy, Duration::ZERO).await.err().unwrap();
    assert_eq!(e.kind(), Kind::Integrity);
}

#[tokio::test(flavor = "multi_thread")]
async fn capsules_are_opened_once_per_clause_and_author_not_per_record() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let (doctor, ana) = (realm.records("doctor").await, realm.records("ana").await);
    for _ in 0..30 {
        let at = realm.new_place();
        let writes = vec![write(Slot::LABS, b"x")];
        doctor.create(at, FHIR, &realm.policy, writes).await.unwrap();
        let seen = ana.load(at, &realm.policy, Duration::ZERO).await.unwrap();
        for slot in &seen.head.slots {
            assert!(ana.open_slot(&seen, slot.slot).await.unwrap().is_some());
        }
    }
    assert_eq!(ana.keyring().decapsulations(), 1, "one clause of one author opens for the owner");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_sections_are_read_by_ranges() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let doctor = realm.records("doctor").await;
    let at = realm.new_place();
    let long: Vec<u8> = (0..3_000_001u32).map(|i| (i % 251) as u8).collect();
    let profile = FormatId::Opaque as u8;
    let writes = vec![write(Slot::DOCUMENTS, &long)];
    let made = doctor.create(at, profile, &realm.policy, writes).await.unwrap();
    assert_eq!(text(&doctor, &made, Slot::DOCUMENTS).await.unwrap(), long);
    let opened = &doctor.open_slot(&made, Slot::DOCUMENTS.0).await.unwrap().unwrap()[0];
    let part = &made.head.slots[0].parts[0];
    for range in [0..1, 65_535..65_537, 2_999_999..3_000_001, 100_000..900_000] {
        let got = doctor.read_external(part, opened, range.clone()).await.unwrap();
        let at = |n: u64| usize::try_from(n).unwrap();
        assert_eq!(got, long[at(range.start)..at(range.end)]);
    }
}
