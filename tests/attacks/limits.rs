//! Numbers that are too large: refused before anything of their size is allocated, and before
//! anything that a reader would refuse is stored.

use std::time::Duration;

use bytes::Bytes;
use chartfs::error::Kind;
use chartfs::record::directory::{Edit, Entry, Table};
use chartfs::record::format::Slot;
use chartfs::record::head::{
    HEAD_LEN_MAX_BYTES, PARTS_MAX, PRELUDE_LEN, UncheckedRecord, seal_head,
};
use chartfs::record::{DIRECTORY_PROFILE, RecordId};
use chartfs::record::{Located, SlotWrite, profile_slots};

use super::small::{FHIR, Small, read_slot, refused, write};

// A head that says 2^63 bytes of bodies, 65,535 slots, or more than a mebibyte of itself.
#[tokio::test(flavor = "multi_thread")]
async fn counts_over_the_limits_are_refused_by_the_numbers_alone() {
    let small = Small::new().await;
    let object = small.now[&small.opaque.object()].clone();
    let head = UncheckedRecord::parse(&object).unwrap().head;
    let head_len = head.to_bytes().len();
    let patched = |at: usize, bytes: &[u8]| {
        let mut bad = object.to_vec();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        refused(UncheckedRecord::parse(&Bytes::from(bad)))
    };
    let region_len_at = PRELUDE_LEN + head_len - 40;
    for len in [1_u64 << 63, u64::MAX, (16 << 20) + 1, 1] {
        assert_eq!(patched(region_len_at, &len.to_le_bytes()).kind(), Kind::Integrity);
    }
    let slots_at = PRELUDE_LEN + 102 + 1 + 34;
    assert_eq!(object[slots_at..slots_at + 2], [1, 0]);
    let e = patched(slots_at, &u16::MAX.to_le_bytes());
    assert!(e.why().unwrap().contains("over the limit"), "{e}");
    let too_long = u32::try_from(HEAD_LEN_MAX_BYTES + 1).unwrap();
    for len in [too_long, u32::MAX] {
        let e = patched(12, &len.to_le_bytes());
        assert!(e.why().unwrap().contains("over the limit"), "{e}");
    }
    let mut wide = head;
    wide.statements = vec![UncheckedRecord::parse(&object).unwrap().statement; 6000];
    assert_eq!(refused(seal_head(&wide)).kind(), Kind::NoSpace);
}

// The sixty-fifth addition to a drop box: it is refused, and the sixty-four stay readable.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_slot_refuses_an_addition_and_stays_readable() {
    let small = Small::new().await;
    let policy = &small.realm.policy;
    let doctor = small.records("doctor").await;
    let add = || SlotWrite { append: true, ..write(Slot::LABS, b"+") };
    for i in 1..=PARTS_MAX {
        let base = doctor.load(small.fhir, policy, Duration::ZERO).await.unwrap();
        let done = doctor.commit(&base, FHIR, policy, vec![add()], false).await;
        if i < PARTS_MAX {
            done.unwrap();
        } else {
            assert_eq!(refused(done.map(|_| ())).kind(), Kind::NoSpace);
        }
    }
    let ana = small.records("ana").await;
    let record = ana.load(small.fhir, policy, Duration::ZERO).await.unwrap();
    let text = read_slot(&ana, &record, Slot::LABS.0).await.unwrap().unwrap();
    assert_eq!(text.len(), b"sodium 140".len() + PARTS_MAX - 1);
}

// Every section at the longest inline length, by somebody who cannot find the place of one of them
// and so must write behind everything: the region's limit leaves room for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_with_every_section_at_its_inline_limit_is_stored() {
    let small = Small::new().await;
    let policy = &small.realm.policy;
    let doctor = small.records("doctor").await;
    let slots = Slot::ALL.iter().filter(|s| profile_slots(FHIR).unwrap().contains(&s.0));
    let slots = slots.filter(|s| **s != Slot::MENTAL_HEALTH);
    let full = vec![b'x'; 256 << 10];
    let writes = slots.map(|s| write(*s, &full)).collect();
    let base = doctor.load(small.fhir, policy, Duration::ZERO).await.unwrap();
    doctor.commit(&base, FHIR, policy, writes, true).await.unwrap();
    let ana = small.records("ana").await;
    let record = ana.load(small.fhir, policy, Duration::ZERO).await.unwrap();
    for (slot, text) in [(Slot::OTHER, &full[..]), (Slot::MENTAL_HEALTH, b"sleeps badly")] {
        let read = read_slot(&ana, &record, slot.0).await.unwrap().unwrap();
        assert!(read == text, "{slot:?}");
    }
}

// A directory that contains itself is a table like any other: nothing here walks, and a lookup
// goes one name at a time, so a path ends where its names end. Whoever walks a tree (`view`,
// `ls -R`) must refuse an entry whose record is one of its own ancestors.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_contains_itself_does_not_loop() {
    let small = Small::new().await;
    let (root, policy) = (small.realm.root, &small.realm.policy);
    let doctor = small.records("doctor").await;
    let itself = Entry { located: root, profile: DIRECTORY_PROFILE, policy: None };
    let put = Edit::Put { name: b"loop".to_vec(), entry: itself };
    doctor.edit_names(root, policy, &[put]).await.unwrap().remove(0).unwrap();
    let ana = small.records("ana").await;
    let mut at: Located = root;
    for _ in 0..100 {
        let names = ana.names(at, policy, Duration::MAX).await.unwrap();
        at = names.table.0[&b"loop"[..]].located;
    }
    assert_eq!(at, root);
}

// Every table that can be written can be read: also one of nothing but shortest entries.
#[test]
fn a_table_of_one_letter_names_is_read_back() {
    let mut table = Table::default();
    for name in (b'a'..=b'z').chain(b'A'..=b'Z') {
        let record = RecordId([name; 16]);
        let located = Located { birth: record, record };
        table.0.insert(vec![name], Entry { located, profile: FHIR, policy: None });
    }
    assert_eq!(Table::decode(&table.encode().unwrap()).unwrap(), table);
}
