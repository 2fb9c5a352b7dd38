//! `docs/FORMAT.md` says what the code does: its constants and its worked sizes.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use chartfs::key::{
    aead, attribute, capsule, certificate, credential, dabe, keyfile, policy, wrap,
};
use chartfs::realm;
use chartfs::record::format::{FormatId, Measure, Slot};
use chartfs::record::{Body, SlotWrite, directory, head, past, seal, statement};
use chartfs::section::chunk;
use chartfs::store::{Bucket, ObjectName};
use chartfs::view;
use futures::StreamExt;
use support::TestRealm;

/// The rows of all tables with two columns whose second is a number.
fn rows() -> BTreeMap<String, u64> {
    let page = include_str!("../docs/FORMAT.md");
    let cells = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
        let (name, value) = (cells.next()?, cells.next()?);
        let none_follows = cells.next().is_none();
        none_follows.then(|| Some((name.replace('`', ""), value.parse().ok()?)))?
    });
    cells.collect()
}

fn constants() -> Vec<(&'static str, u64)> {
    let n = |v: usize| v as u64;
    vec![
        ("PRELUDE_LEN", n(head::PRELUDE_LEN)),
        ("HEAD_LEN_MAX_BYTES", n(head::HEAD_LEN_MAX_BYTES)),
        ("REGION_LEN_MAX_BYTES", n(head::REGION_LEN_MAX_BYTES)),
        ("RECORD_LEN_MAX_BYTES", head::RECORD_LEN_MAX_BYTES),
        ("SLOTS_MAX", n(head::SLOTS_MAX)),
        ("PARTS_MAX", n(head::PARTS_MAX)),
        ("WRAPS_MAX", n(head::WRAPS_MAX)),
        ("POLICIES_MAX of a record", n(head::POLICIES_MAX)),
        ("ENTRIES_MAX of a statement", n(statement::ENTRIES_MAX)),
        ("CERTIFICATES_MAX", n(realm::policy::CERTIFICATES_MAX)),
        ("META_LEN", n(head::META_LEN)),
        ("EXTENT_LEN", n(head::EXTENT_LEN)),
        ("WRAP_LEN", n(wrap::WRAP_LEN)),
        ("SEAL_OVERHEAD_BYTES", n(aead::SEAL_OVERHEAD_BYTES)),
        ("CHUNK_BYTES", chunk::CHUNK_BYTES),
        ("SEALED_CHUNK_BYTES", chunk::SEALED_CHUNK_BYTES),
        ("CHUNKS_MAX", chunk::CHUNKS_MAX),
        ("BODY_LEN_MAX_BYTES", chunk::BODY_LEN_MAX_BYTES),
        ("INLINE_MAX_BYTES", seal::INLINE_MAX_BYTES),
        ("ENTRIES_MAX of a leaf", n(directory::ENTRIES_MAX)),
        ("SPLIT_ABOVE", n(directory::SPLIT_ABOVE)),
        ("SHARDS", n(directory::SHARDS)),
        ("TRIE_DEPTH_MAX", n(directory::TRIE_DEPTH_MAX)),
        ("NAME_LEN_MAX_BYTES of a file", n(directory::NAME_LEN_MAX_BYTES)),
        ("TABLE_LEN_MAX_BYTES", directory::TABLE_LEN_MAX_BYTES),
        ("REMOVED_KEPT", n(past::REMOVED_KEPT)),
        ("REMOVED_MAX", n(past::REMOVED_MAX)),
        ("TEXTS_MAX", n(view::TEXTS_MAX)),
        ("TEXTS_LEN_MAX_BYTES", view::TEXTS_LEN_MAX_BYTES),
        ("STATE_LEN_MAX_BYTES", realm::state::STATE_LEN_MAX_BYTES),
        ("ADMINISTRATORS_MAX", n(realm::state::ADMINISTRATORS_MAX)),
        ("AUTHORITY_LEN_MAX_BYTES", realm::authority::AUTHORITY_LEN_MAX_BYTES),
        ("ATTRIBUTES_MAX of an authority", n(realm::authority::ATTRIBUTES_MAX)),
        ("REVOKED_MAX", n(realm::authority::REVOKED_MAX)),
        ("CERTIFICATE_LEN_MAX_BYTES", n(certificate::CERTIFICATE_LEN_MAX_BYTES)),
        ("ATTRIBUTES_MAX of a certificate", n(certificate::ATTRIBUTES_MAX)),
        ("VALIDITY_MAX_S", certificate::VALIDITY_MAX_S.unsigned_abs()),
        ("CAPSULE_LEN_MAX_BYTES", capsule::CAPSULE_LEN_MAX_BYTES),
        ("CLAUSE_ATTRIBUTES_MAX", n(dabe::CLAUSE_ATTRIBUTES_MAX)),
        ("POLICY_LEN_MAX_BYTES", realm::policy::POLICY_LEN_MAX_BYTES),
        ("TEXT_LEN_MAX_BYTES of a policy", n(realm::policy::TEXT_LEN_MAX_BYTES)),
        ("POLICIES_MAX of a chain", n(realm::POLICIES_MAX)),
        ("CLAUSES_MAX", n(policy::CLAUSES_MAX)),
        ("ROWS_MAX", n(policy::ROWS_MAX)),
        ("AUTHORITY_PUBLIC_LEN", n(dabe::AUTHORITY_PUBLIC_LEN)),
        ("ATTRIBUTE_KEY_LEN", n(dabe::ATTRIBUTE_KEY_LEN)),
        ("KEYFILE_LEN_MAX_BYTES", n(keyfile::KEYFILE_LEN_MAX_BYTES)),
        ("GRANTS_MAX", n(credential::GRANTS_MAX)),
        ("GRANT_KEYS_MAX", n(credential::GRANT_KEYS_MAX)),
        ("ATTRIBUTE_NAME_LEN_MAX_BYTES", n(attribute::NAME_LEN_MAX_BYTES)),
        ("USER_NAME_LEN_MAX_BYTES", n(credential::USER_NAME_LEN_MAX_BYTES)),
    ]
}

#[test]
fn every_constant_of_the_page_is_the_code_s_and_none_is_forgotten() {
    let rows = rows();
    let constants = constants();
    for (name, value) in &constants {
        assert_eq!(rows.get(*name), Some(value), "{name}");
    }
    let capitals = |name: &&String| name.starts_with(|c: char| c.is_ascii_uppercase());
    let of_page = rows.keys().filter(capitals).filter(|name| !name.starts_with("FHIR"));
    for name in of_page {
        assert!(constants.iter().any(|(known, _)| known == name), "{name} is not compared");
    }
}

async fn size(bucket: &Bucket, name: &ObjectName) -> u64 {
    bucket.get(name, u64::MAX).await.unwrap().unwrap().bytes.len() as u64
}

async fn largest(bucket: &Bucket, folder: &str) -> u64 {
    let sizes = bucket.list(folder).map(|listed| listed.unwrap().size_bytes);
    sizes.collect::<Vec<_>>().await.into_iter().max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_worked_size_of_the_page_is_what_is_stored() {
    let rows = rows();
    let realm = TestRealm::found(Bucket::memory()).await;
    let says = |name: &str| rows.get(name).copied();
    assert_eq!(
        Some(size(&realm.bucket, &realm.root.object()).await),
        says("directory, empty, 4 clauses")
    );
    assert_eq!(Some(largest(&realm.bucket, "realm").await), says("realm state, one administrator"));
    let doctor = realm.records("doctor").await;
    let write = |len: usize| SlotWrite {
        slot: Slot::DOCUMENTS.0,
        body: Body::Bytes(vec![7; len]),
        measure: Measure::default(),
        mtime_unix_ns: 0,
        append: false,
    };
    for (len, row) in [
        (0, "opaque, 0 bytes, 3 clauses"),
        (1, "opaque, 1 byte, 3 clauses"),
        (5000, "opaque, 5000 bytes, 3 clauses"),
    ] {
        let at = realm.new_place();
        let profile = FormatId::Opaque as u8;
        doctor.create(at, profile, &realm.policy, vec![write(len)]).await.unwrap();
        assert_eq!(Some(size(&realm.bucket, &at.object()).await), says(row), "{row}");
    }
    let at = realm.new_place();
    doctor.create(at, FormatId::FhirJson as u8, &realm.policy, vec![]).await.unwrap();
    assert_eq!(Some(size(&realm.bucket, &at.object()).await), says("FHIR, every section empty"));
    let long = vec![write(262_145)];
    doctor.create(realm.new_place(), 0, &realm.policy, long).await.unwrap();
    assert_eq!(Some(largest(&realm.bucket, "b").await), says("external body of 262,145 bytes"));

    let record = doctor.load(at, &realm.policy, std::time::Duration::MAX).await.unwrap();
    let wraps = record.head.slots.iter().flat_map(|s| &s.parts).flat_map(|p| &p.wraps);
    let hashes: Vec<_> = wraps.map(|w| *w.capsule()).collect();
    for hash in hashes {
        let rows = doctor.realm().capsule(&hash).await.unwrap().rows().to_vec();
        if rows.len() == 1 && rows[0].what.attribute.to_string() == "physician@st-mary" {
            let name = format!("k/{}", credential::hex(&hash)).parse().unwrap();
            let row = "capsule for physician@st-mary, one row";
            assert_eq!(Some(size(&realm.bucket, &name).await), says(row));
            return;
        }
    }
    panic!("no capsule of the physician");
}
