//! A small realm with one record of every shape, and a reader that reads everything that it may.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chartfs::error::{Error, Result};
use chartfs::key::credential::Credential;
use chartfs::key::keyring::Keyring;
use chartfs::realm::Realm;
use chartfs::record::directory::{Edit, Entry};
use chartfs::record::format::{FormatId, Measure, Slot};
use chartfs::record::marks::Marks;
use chartfs::record::{
    Body, Committed, Located, PolicyRef, Record, RecordId, Records, SlotWrite, section_name,
};
use chartfs::store::{Bucket, Condition, ObjectName};
use futures::StreamExt;

use crate::support::TestRealm;

pub(crate) const OPAQUE: u8 = FormatId::Opaque as u8;
pub(crate) const FHIR: u8 = FormatId::FhirJson as u8;
/// One byte more than stays inline.
pub(crate) const LONG: usize = (256 << 10) + 1;

/// Every object of a bucket.
pub(crate) type Snapshot = BTreeMap<ObjectName, Bytes>;

pub(crate) struct Small {
    pub(crate) realm: TestRealm,
    pub(crate) opaque: Located,
    pub(crate) fhir: Located,
    pub(crate) long: Located,
    /// The bucket before the last commits.
    pub(crate) older: Snapshot,
    /// The bucket now.
    pub(crate) now: Snapshot,
    /// Sealed credentials by user: every reader gets its own copy.
    credentials: BTreeMap<&'static str, Vec<u8>>,
}

pub(crate) fn write(slot: Slot, text: &[u8]) -> SlotWrite {
    SlotWrite {
        slot: slot.0,
        body: Body::Bytes(text.to_vec()),
        measure: Measure::default(),
        mtime_unix_ns: 1,
        append: false,
    }
}

pub(crate) async fn snapshot(bucket: &Bucket) -> Snapshot {
    let mut all = Snapshot::new();
    let mut listing = bucket.list("");
    while let Some(listed) = listing.next().await {
        let name = listed.unwrap().name;
        let object = bucket.get(&name, u64::MAX).await.unwrap().unwrap();
        all.insert(name, object.bytes);
    }
    all
}

pub(crate) async fn put(bucket: &Bucket, name: &ObjectName, bytes: impl Into<Bytes>) {
    bucket.put(name, bytes.into(), Condition::Always).await.unwrap();
}

pub(crate) async fn bucket_of(snapshot: &Snapshot) -> Bucket {
    let bucket = Bucket::memory();
    for (name, bytes) in snapshot {
        put(&bucket, name, bytes.clone()).await;
    }
    bucket
}

impl Small {
    pub(crate) async fn new() -> Self {
        Self::under(crate::support::POLICY).await
    }

    /// The same under another policy.
    pub(crate) async fn under(policy: &str) -> Self {
        let realm = TestRealm::found_with(Bucket::memory(), policy).await;
        let mut credentials = BTreeMap::new();
        for (user, attributes) in crate::support::USERS {
            credentials.insert(user, realm.credential(user, attributes).await.to_bytes().to_vec());
        }
        let place = || Located { birth: realm.root.record, record: RecordId::random() };
        let (opaque, fhir, long) = (place(), place(), place());
        let mut small = Self {
            realm,
            opaque,
            fhir,
            long,
            older: Snapshot::new(),
            now: Snapshot::new(),
            credentials,
        };
        small.fill().await;
        small
    }

    async fn fill(&mut self) {
        let policy = self.realm.policy.clone();
        let doctor = self.records("doctor").await;
        let letter = vec![write(Slot::DOCUMENTS, b"allergic to penicillin")];
        doctor.create(self.opaque, OPAQUE, &policy, letter).await.unwrap();
        self.add_name("letter.txt", self.opaque, OPAQUE).await;
        self.older = snapshot(&self.realm.bucket).await;

        let chart = vec![write(Slot::DEMOGRAPHICS, b"Ana"), write(Slot::LABS, b"sodium 140")];
        doctor.create(self.fhir, FHIR, &policy, chart).await.unwrap();
        let image: Vec<u8> = (0..LONG).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let image = vec![write(Slot::DOCUMENTS, &image)];
        doctor.create(self.long, OPAQUE, &policy, image).await.unwrap();
        self.add_name("chart.json", self.fhir, FHIR).await;
        self.add_name("image.bin", self.long, OPAQUE).await;
        self.save("psychiatrist", self.fhir, write(Slot::MENTAL_HEALTH, b"sleeps badly")).await;
        self.save("pharmacist", self.fhir, write(Slot::MEDICATIONS, b"aspirin")).await;
        self.save("pharmacist", self.opaque, write(Slot::DOCUMENTS, b"no penicillin!")).await;
        self.now = snapshot(&self.realm.bucket).await;
    }

    async fn add_name(&self, name: &str, located: Located, profile: u8) {
        let doctor = self.records("doctor").await;
        let (root, policy) = (self.realm.root, &self.realm.policy);
        let entry = Entry { located, profile, policy: None };
        let put = Edit::Put { name: name.as_bytes().to_vec(), entry };
        doctor.edit_names(root, policy, &[put]).await.unwrap().remove(0).unwrap();
    }

    pub(crate) async fn save(&self, user: &str, at: Located, write: SlotWrite) {
        let records = self.records(user).await;
        let policy = &self.realm.policy;
        let base = records.load(at, policy, Duration::ZERO).await.unwrap();
        let profile = base.head.profile;
        let done = records.commit(&base, profile, policy, vec![write], true).await.unwrap();
        assert!(matches!(done, Committed::Done(_)));
    }

    pub(crate) fn keyring(&self, user: &str) -> Arc<Keyring> {
        let credential = Credential::from_bytes(&self.credentials[user]).unwrap();
        Arc::new(Keyring::new(credential).unwrap())
    }

    /// Opens the realm's own bucket as a user.
    pub(crate) async fn records(&self, user: &str) -> Records {
        let reader = Reader::new(self.keyring(user), self.realm.genesis);
        reader.open(&self.realm.bucket).await.unwrap()
    }

    pub(crate) fn reader(&self, user: &str) -> Reader {
        Reader::new(self.keyring(user), self.realm.genesis)
    }
}

/// A user at a workstation, with or without a memory of what was seen before.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) keyring: Arc<Keyring>,
    genesis: [u8; 32],
    marks: Option<Arc<Marks>>,
}

impl Reader {
    fn new(keyring: Arc<Keyring>, genesis: [u8; 32]) -> Self {
        Self { keyring, genesis, marks: None }
    }

    /// Remembers from now on, across openings.
    pub(crate) fn remembering(self) -> Self {
        Self { marks: Some(Arc::new(Marks::in_memory())), ..self }
    }

    fn marks(&self) -> Arc<Marks> {
        self.marks.clone().unwrap_or_else(|| Arc::new(Marks::in_memory()))
    }

    pub(crate) async fn open(&self, bucket: &Bucket) -> Result<Records> {
        let realm = Realm::open(bucket.clone(), Some(&self.genesis)).await?;
        Ok(self.open_in(Arc::new(realm)))
    }

    /// Opens the records of a realm whose other objects were proven before.
    pub(crate) fn open_in(&self, realm: Arc<Realm>) -> Records {
        Records::new(realm, self.keyring.clone(), self.marks())
    }

    /// Reads everything that the user may; hidden sections are named as hidden.
    pub(crate) async fn read(&self, bucket: &Bucket) -> Result<Vec<u8>> {
        read_all(&self.open(bucket).await?).await
    }
}

/// Reads the root directory and everything in it.
pub(crate) async fn read_all(records: &Records) -> Result<Vec<u8>> {
    let state = records.realm().state();
    let policy = PolicyRef { hash: state.root_policy, patient: None };
    let root = RecordId(state.root_record);
    let root = Located { birth: root, record: root };
    let names = records.names(root, &policy, Duration::ZERO).await?;
    let mut out = Vec::new();
    for (name, entry) in &names.table.0 {
        let record = records.load(entry.located, &policy, Duration::ZERO).await?;
        out.extend_from_slice(name);
        out.extend_from_slice(&record.version().to_le_bytes());
        for slot in &record.head.slots {
            let text = read_slot(records, &record, slot.slot).await?;
            out.extend_from_slice(section_name(slot.slot).as_bytes());
            out.extend_from_slice(&text.unwrap_or_else(|| b"(hidden)".to_vec()));
        }
    }
    Ok(out)
}

/// Reads one section; `None` when it is hidden.
pub(crate) async fn read_slot(
    records: &Records,
    record: &Record,
    slot: u16,
) -> Result<Option<Vec<u8>>> {
    let Some(opened) = records.open_slot(record, slot).await? else { return Ok(None) };
    let entry = record.head.slots.iter().find(|s| s.slot == slot).unwrap();
    let mut all = Vec::new();
    for (part, opened) in entry.parts.iter().zip(&opened) {
        if part.content.is_external() {
            all.extend(records.read_external(part, opened, 0..opened.meta.body_len).await?);
        } else {
            all.extend(records.inline_body(record, part, opened)?);
        }
    }
    Ok(Some(all))
}

/// The error of something that must not have worked.
pub(crate) fn refused<T>(result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("it was accepted"),
        Err(e) => e,
    }
}
