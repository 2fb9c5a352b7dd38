//! A member of the realm with the bucket's help: the keys are real, the client is his own.

use bytes::Bytes;
use chartfs::clock::now_unix_s;
use chartfs::error::{Error, Kind};
use chartfs::key::hash;
use chartfs::key::keyring::Keyring;
use chartfs::key::secret::DataKey;
use chartfs::key::sign::Signature;
use chartfs::realm::policy::PolicyStatement;
use chartfs::record::format::{Measure, Slot};
use chartfs::record::head::{Head, Part, THIS_COMMIT, UncheckedRecord, seal_head};
use chartfs::record::meta::{Extent, Meta};
use chartfs::record::statement::{Statement, StatementEntry};
use chartfs::record::{Located, PolicyRef, Records, SlotWrite};
use chartfs::section::{Place, SectionCipher};
use chartfs::store::ObjectName;
use chartfs::wire::Writer;
use std::time::Duration;

use super::small::{FHIR, OPAQUE, Small, put, read_slot, refused, write};

/// Makes the next version of a record with a client that checks nothing: `edit` changes the head
/// and the parts that the new statement vouches for are those that name it.
pub(crate) fn forge(
    object: &Bytes,
    who: &Keyring,
    edit: impl FnOnce(&mut Head, &mut Statement),
) -> Bytes {
    let old = UncheckedRecord::parse(object).unwrap();
    forge_over(old.head, old.statement, &old.region, old.object_hash, who, edit)
}

fn forge_over(
    mut head: Head,
    old: Statement,
    region: &Bytes,
    previous: [u8; 32],
    who: &Keyring,
    edit: impl FnOnce(&mut Head, &mut Statement),
) -> Bytes {
    let carried = u16::try_from(head.statements.len()).unwrap();
    for part in head.slots.iter_mut().flat_map(|s| &mut s.parts) {
        if part.statement == THIS_COMMIT {
            part.statement = carried;
        }
    }
    let mut mine = Statement {
        commit: hash::random(),
        author: who.public(),
        certificates: who.certificates().iter().map(|c| c.hash).collect(),
        entries: Vec::new(),
        time_unix_ns: now_unix_s() * 1_000_000_000,
        ..old.clone()
    };
    head.statements.push(old);
    head.version += 1;
    head.previous = previous;
    edit(&mut head, &mut mine);
    let named = |slot: u16, p: &Part| StatementEntry {
        slot,
        part: p.number,
        content: p.content.hash(&head.realm, head.record, slot, p.number),
    };
    let new = head.slots.iter().flat_map(|s| s.parts.iter().map(move |p| (s.slot, p)));
    mine.entries
        .extend(new.filter(|(_, p)| p.statement == THIS_COMMIT).map(|(slot, p)| named(slot, p)));
    let (head_bytes, head_hash) = seal_head(&head).unwrap();
    (mine.head, mine.version) = (head_hash, head.version);
    let message = mine.message(&head.realm, head.record);
    mine.signature = who.sign("chartfs1 statement", &message);
    let mut w = Writer::new();
    w.bytes(&head_bytes);
    mine.write(&mut w);
    w.bytes(region);
    w.into_bytes().into()
}

pub(crate) fn slot_of(head: &mut Head, slot: Slot) -> &mut Part {
    let entry = head.slots.iter_mut().find(|s| s.slot == slot.0).unwrap();
    &mut entry.parts[0]
}

/// Seals something in the place of a part under a key of one's own; nobody can unwrap it, but
/// proving comes first.
pub(crate) fn counterfeit(head: &mut Head, slot: Slot, version: u64, body_len: u64) {
    let (realm, record) = (head.realm, head.record.0);
    let part = slot_of(head, slot);
    let place = Place { realm, record, slot: slot.0, part: part.number, version };
    let cipher = SectionCipher::new(&DataKey::random(), place);
    part.content.version = version;
    part.content.commitment = *cipher.commitment();
    let measure = Measure::default();
    part.content.meta = Meta { body_len, measure }.seal(&cipher);
    part.extent = Extent::default().seal(&cipher);
    part.statement = THIS_COMMIT;
}

/// Puts a forged next version and returns what a fresh reader says to it.
pub(crate) async fn load_forged(
    small: &Small,
    at: Located,
    who: &str,
    edit: impl FnOnce(&mut Head, &mut Statement),
) -> Error {
    let name = at.object();
    let forged = forge(&small.now[&name], &small.keyring(who), edit);
    put(&small.realm.bucket, &name, forged).await;
    let records = small.records("ana").await;
    let loaded = records.load(at, &small.realm.policy, Duration::ZERO).await;
    put(&small.realm.bucket, &name, small.now[&name].clone()).await;
    refused(loaded.map(|_| ()))
}

// The harness itself must be able to succeed: an entitled author's forged next version is fine.
#[tokio::test(flavor = "multi_thread")]
async fn a_hand_made_commit_of_an_entitled_author_is_accepted() {
    let small = Small::new().await;
    let name = small.opaque.object();
    let forged = forge(&small.now[&name], &small.keyring("pharmacist"), |_, _| {});
    put(&small.realm.bucket, &name, forged).await;
    let records = small.records("ana").await;
    let record = records.load(small.opaque, &small.realm.policy, Duration::ZERO).await.unwrap();
    assert_eq!(record.version(), 3);
    let text = read_slot(&records, &record, Slot::DOCUMENTS.0).await.unwrap().unwrap();
    assert_eq!(text, b"no penicillin!");
}

// A pharmacist writes laboratory results; a psychiatrist, who may write here too, writes labs;
// a cleaner commits at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_without_the_right_is_refused_by_every_reader() {
    let small = Small::new().await;
    for who in ["pharmacist", "psychiatrist"] {
        let e = load_forged(&small, small.fhir, who, |head, _| {
            counterfeit(head, Slot::LABS, 9, 0);
        });
        assert!(e.await.what().contains("somebody who may not"), "{who}");
    }
    let e = load_forged(&small, small.fhir, "stranger", |_, _| {}).await;
    assert!(e.what().contains("outsider"), "{e}");
}

// Somebody borrows the doctor's certificate: it names the doctor's key, not his.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_somebody_else_entitles_nobody() {
    let small = Small::new().await;
    let doctor = small.keyring("doctor").certificates()[0].hash;
    let e = load_forged(&small, small.fhir, "stranger", |_, mine| mine.certificates = vec![doctor]);
    assert!(e.await.what().contains("somebody else"));
    let e = load_forged(&small, small.fhir, "doctor", |_, mine| mine.certificates.clear()).await;
    assert!(e.what().contains("outsider"), "{e}");
}

// A statement dated after the end of its certificate, or before it began.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_entitles_only_within_its_dates() {
    let small = Small::new().await;
    for days in [100, -100_i64] {
        let e = load_forged(&small, small.fhir, "doctor", |_, mine| {
            mine.time_unix_ns += days * 86_400 * 1_000_000_000;
        });
        assert!(e.await.what().contains("dates"), "{days}");
    }
}

// After the cut of a revocation nothing that the certificate signs counts; before it, all does.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_entitles_to_nothing_after_its_cut() {
    let small = Small::new().await;
    let keyring = small.keyring("pharmacist");
    let (serial, board) = (keyring.certificates()[0].claims.serial, "board".parse().unwrap());
    let realm = small.records("ana").await.realm().clone();
    let keys = &small.realm.authorities[&board];
    let cut = now_unix_s() + 1000;
    let revoke = |s: &mut chartfs::realm::authority::AuthorityState| {
        s.revoked.insert(serial, cut);
    };
    realm.amend_authority(&board, &keys.identity, now_unix_s(), revoke).await.unwrap();
    let e = load_forged(&small, small.opaque, "pharmacist", |_, mine| {
        mine.time_unix_ns = (cut + 1) * 1_000_000_000;
    });
    assert!(e.await.what().contains("revoked"));
    let records = small.records("ana").await;
    let before = records.load(small.opaque, &small.realm.policy, Duration::ZERO).await.unwrap();
    assert_eq!(before.version(), 2);
}

// The pharmacist, who may commit, puts the psychiatrist's note back to an older version that she
// did sign, or to "never written". A workstation that saw the note notices.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_back_a_section_that_he_may_not_write() {
    let small = Small::new().await;
    let old_object = small.realm.bucket.get(&small.fhir.object(), 1 << 20).await.unwrap().unwrap();
    let newer = b"sleeps well again";
    small.save("psychiatrist", small.fhir, write(Slot::MENTAL_HEALTH, newer)).await;
    let now = small.realm.bucket.get(&small.fhir.object(), 1 << 20).await.unwrap().unwrap();
    let records = small.records("ana").await;
    records.load(small.fhir, &small.realm.policy, Duration::ZERO).await.unwrap();

    let old = UncheckedRecord::parse(&old_object.bytes).unwrap();
    let current = UncheckedRecord::parse(&now.bytes).unwrap();
    let (version, previous) = (current.head.version, current.object_hash);
    let pharmacist = small.keyring("pharmacist");
    let reverted =
        forge_over(old.head, old.statement, &old.region, previous, &pharmacist, |head, _| {
            head.version = version + 1;
        });
    put(&small.realm.bucket, &small.fhir.object(), reverted).await;
    let e = refused(records.load(small.fhir, &small.realm.policy, Duration::ZERO).await);
    assert!(e.what().contains("takes a section back"), "{e}");

    let dropped = forge(&now.bytes, &pharmacist, |head, _| {
        counterfeit(head, Slot::MENTAL_HEALTH, 0, 0);
    });
    put(&small.realm.bucket, &small.fhir.object(), dropped).await;
    let e = refused(records.load(small.fhir, &small.realm.policy, Duration::ZERO).await);
    assert!(e.what().contains("takes a section back"), "{e}");
}

/// Signs and publishes a policy without asking anybody.
async fn publish(records: &Records, statement: PolicyStatement) -> [u8; 32] {
    let mut bytes = statement.to_signed_bytes();
    let signature: Signature = records.keyring().sign("chartfs1 policy", &bytes);
    bytes.extend_from_slice(&signature.0);
    let hash = hash::sha256(&[&bytes]);
    let name: ObjectName = format!("p/{}", chartfs::key::credential::hex(&hash)).parse().unwrap();
    put(records.realm().bucket(), &name, bytes).await;
    hash
}

fn policy_by(records: &Records, replaces: [u8; 32], text: &str) -> PolicyStatement {
    PolicyStatement {
        realm: records.realm().id(),
        replaces,
        patient: None,
        time_unix_s: now_unix_s(),
        text: text.to_owned(),
        author: records.keyring().public(),
        certificates: records.own_certificates(now_unix_s()),
    }
}

// Ana may set the policy of her own folder. She makes one that lets her write laboratory results,
// properly signed, and commits a record of another folder under it.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_another_folder_does_not_entitle_here() {
    let small = Small::new().await;
    let ana = small.records("ana").await;
    let text =
        crate::support::POLICY.replace("write = \"physician@st-mary\"", "write = \"owner@ana\"");
    let hash = publish(&ana, policy_by(&ana, small.realm.policy.hash, &text)).await;
    let e = load_forged(&small, small.fhir, "ana", |head, mine| {
        counterfeit(head, Slot::LABS, 9, 0);
        head.policies.insert(0, PolicyRef { hash, patient: None });
        for part in head.slots.iter_mut().flat_map(|s| &mut s.parts) {
            part.policy += 1;
        }
        mine.policy = head.policies[0].clone();
    });
    let e = e.await;
    assert!(e.what().contains("policy of another folder"), "{e}");
    // In a folder where it is in force it does entitle, and older records there stay good.
    let in_force = PolicyRef { hash, patient: None };
    let old = small.records("doctor").await;
    old.load(small.fhir, &in_force, Duration::ZERO).await.unwrap();
}

// A policy that names its author the patient binds `{patient}` in the policy that it replaces, and
// so anybody who is some patient could replace any template.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_one_patient_is_not_one_of_another() {
    let text = crate::support::POLICY.replace("@ana", "@{patient}");
    let bucket = chartfs::store::Bucket::memory();
    let realm = crate::support::TestRealm::found_with(bucket, &text).await;
    let ana = realm.records("ana").await;
    let mine = PolicyStatement {
        patient: Some("ana".parse().unwrap()),
        ..policy_by(&ana, realm.policy.hash, &text)
    };
    let hash = publish(&ana, mine).await;
    let at = |patient: Option<&str>| patient.map(|p| p.parse().unwrap());
    ana.realm().policy(&hash, at(Some("ana")).as_ref()).await.unwrap();
    for other in [None, Some("north")] {
        let e = refused(ana.realm().policy(&hash, at(other).as_ref()).await);
        assert_eq!(e.kind(), Kind::Integrity, "{other:?}");
    }
}

// A chain of ten thousand policies, each replacing the one before, that the bucket made long to
// overflow the stack; every one of them lets its author manage.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_chain_of_policies_is_refused_and_not_followed_to_its_end() {
    let small = Small::new().await;
    let ana = small.records("ana").await;
    let mut at = [7; 32];
    for _ in 0..5000 {
        at = publish(&ana, policy_by(&ana, at, crate::support::POLICY)).await;
    }
    let e = refused(ana.realm().policy(&at, None).await);
    assert_eq!(e.kind(), Kind::Integrity);
    assert!(e.what().contains("too many"), "{e}");
    // An outsider's chain ends at its first link.
    let stranger = small.records("stranger").await;
    let foreign = publish(&stranger, policy_by(&stranger, small.realm.policy.hash, "")).await;
    let e = refused(stranger.realm().policy(&foreign, None).await);
    assert!(e.what().contains("may not manage"), "{e}");
}

// Parts, wraps and capsules at home elsewhere: every splice changes what the author signed or what
// the keys are bound to.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_spliced_between_sections_and_records() {
    let small = Small::new().await;
    let other = UncheckedRecord::parse(&small.now[&small.opaque.object()]).unwrap();
    let foreign = other.head.slots[0].parts[0].clone();
    let doctor = "doctor";
    let e = load_forged(&small, small.fhir, doctor, |head, _| {
        let labs = slot_of(head, Slot::LABS).clone();
        slot_of(head, Slot::MEDICATIONS).content = labs.content;
    });
    assert!(e.await.what().contains("not the one that its author signed"));
    let e = load_forged(&small, small.fhir, doctor, |head, _| {
        slot_of(head, Slot::LABS).content = foreign.content.clone();
    });
    assert!(e.await.what().contains("not the one that its author signed"));
    let e = load_forged(&small, small.fhir, doctor, |head, _| head.slots[3].slot = 999).await;
    assert!(e.to_string().contains("in order"), "{e}");

    // Wraps and extents are the committer's to make: a wrong one is damage when it is opened.
    let swaps: [fn(&mut Head); 3] = [
        |head| {
            let wraps = slot_of(head, Slot::LABS).wraps.clone();
            slot_of(head, Slot::DEMOGRAPHICS).wraps = wraps;
        },
        |head| slot_of(head, Slot::LABS).wraps.swap(0, 1),
        |head| slot_of(head, Slot::LABS).wraps.truncate(1),
    ];
    for (i, swap) in swaps.into_iter().enumerate() {
        let name = small.fhir.object();
        let forged = forge(&small.now[&name], &small.keyring(doctor), |head, _| swap(head));
        put(&small.realm.bucket, &name, forged).await;
        let records = small.records("ana").await;
        let record = records.load(small.fhir, &small.realm.policy, Duration::ZERO).await.unwrap();
        let slot = if i == 0 { Slot::DEMOGRAPHICS } else { Slot::LABS };
        let e = refused(read_slot(&records, &record, slot.0).await);
        assert_eq!(e.kind(), Kind::Integrity, "{i}");
    }
}

// Lengths that an author seals into the metadata: no reader overflows or allocates by them.
#[tokio::test(flavor = "multi_thread")]
async fn lengths_that_an_author_lies_about_are_damage() {
    let small = Small::new().await;
    let policy = &small.realm.policy;
    let doctor = small.records("doctor").await;
    let record = doctor.load(small.opaque, policy, Duration::ZERO).await.unwrap();
    let opened = doctor.open_slot(&record, Slot::DOCUMENTS.0).await.unwrap().unwrap();
    let cipher = &opened[0].cipher;
    for body_len in [u64::MAX, 1 << 60, (64 << 30) + 1, 1 << 30, 4096] {
        let forged =
            forge(&small.now[&small.opaque.object()], &small.keyring("doctor"), |head, _| {
                let part = slot_of(head, Slot::DOCUMENTS);
                let measure = Measure::default();
                part.content.meta = Meta { body_len, measure }.seal(cipher);
                part.statement = THIS_COMMIT;
            });
        put(&small.realm.bucket, &small.opaque.object(), forged).await;
        let ana = small.records("ana").await;
        let record = ana.load(small.opaque, policy, Duration::ZERO).await.unwrap();
        let e = refused(read_slot(&ana, &record, Slot::DOCUMENTS.0).await);
        assert_eq!(e.kind(), Kind::Integrity, "{body_len}");
        // The next writer packs the bodies that it finds, by these lengths.
        let doctor = small.records("doctor").await;
        let base = doctor.load(small.opaque, policy, Duration::ZERO).await.unwrap();
        let more = SlotWrite { append: true, ..write(Slot::DOCUMENTS, b"+") };
        let e = refused(doctor.commit(&base, OPAQUE, policy, vec![more], true).await.map(|_| ()));
        assert_eq!(e.kind(), Kind::Integrity, "{body_len}");
    }
}

// Versions at the end of their range: the next writer gets an error, not an overflow.
#[tokio::test(flavor = "multi_thread")]
async fn counters_at_their_end_are_an_error_for_the_next_writer() {
    let small = Small::new().await;
    let policy = &small.realm.policy;
    let name = small.opaque.object();
    let forged = forge(&small.now[&name], &small.keyring("doctor"), |head, _| {
        head.version = u64::MAX;
    });
    put(&small.realm.bucket, &name, forged).await;
    let doctor = small.records("doctor").await;
    let base = doctor.load(small.opaque, policy, Duration::ZERO).await.unwrap();
    let next = vec![write(Slot::DOCUMENTS, b"next")];
    let e = refused(doctor.commit(&base, OPAQUE, policy, next, true).await.map(|_| ()));
    assert_eq!(e.kind(), Kind::NoSpace);
}

// Salamander: one ciphertext that opens under two keys to two texts. The signed commitment names
// one of the keys; a wrap of the other is refused before anything is decrypted.
#[test]
fn one_ciphertext_does_not_open_under_two_keys() {
    let place = Place { realm: [1; 16], record: [2; 16], slot: 3, part: 0, version: 1 };
    let (first, second) = (DataKey::random(), DataKey::random());
    let signed = *SectionCipher::new(&first, place).commitment();
    assert!(SectionCipher::committed(&first, place, &signed).is_ok());
    assert_eq!(refused(SectionCipher::committed(&second, place, &signed)).kind(), Kind::Integrity);
}

// A reader holds the data key and makes another ciphertext that opens under it, in the same place
// and with the same nonce if he likes. Only hashes of ciphertext are signed, so it is refused.
#[test]
fn whoever_holds_the_data_key_cannot_replace_the_text() {
    let place = Place { realm: [1; 16], record: [2; 16], slot: 3, part: 0, version: 1 };
    let key = DataKey::random();
    let author = SectionCipher::new(&key, place);
    let (sealed, hashes) = author.seal_body(b"allergic to penicillin");
    let root = author.blind_root(&hashes);
    let reader = SectionCipher::new(&key, place);
    let (forged, _) = reader.seal_body(b"no known allergies !!!");
    assert_eq!(forged.len(), sealed.len());
    let e = refused(reader.open_body(&forged, 22, &root));
    assert!(e.what().contains("author signed"), "{e}");
    assert_eq!(reader.open_body(&sealed, 22, &root).unwrap(), b"allergic to penicillin");
}

// A format change drops every section: who may neither remove the file nor write all of them may
// not do it, by the client nor by hand.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_format_does_not_drop_the_sections_of_others() {
    let small = Small::new().await;
    let policy = &small.realm.policy;
    let pharmacist = small.records("pharmacist").await;
    let base = pharmacist.load(small.fhir, policy, Duration::ZERO).await.unwrap();
    let drop = vec![write(Slot::DOCUMENTS, b"all gone")];
    let e = refused(pharmacist.commit(&base, OPAQUE, policy, drop.clone(), true).await.map(|_| ()));
    assert_eq!(e.kind(), Kind::Denied);
    let doctor = small.records("doctor").await;
    let base = doctor.load(small.fhir, policy, Duration::ZERO).await.unwrap();
    assert_eq!(base.head.profile, FHIR);
    doctor.commit(&base, OPAQUE, policy, drop, true).await.unwrap();
}
