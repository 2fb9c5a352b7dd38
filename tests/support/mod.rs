//! A small realm for tests: two hospitals, a pharmacy board, a patient; users with credentials.

#![allow(dead_code, unreachable_pub, clippy::missing_panics_doc, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chartfs::clock::now_unix_s;
use chartfs::key::attribute::AuthorityId;
use chartfs::key::credential::{Credential, Request};
use chartfs::key::keyring::Keyring;
use chartfs::key::sign::SigningKey;
use chartfs::realm::Realm;
use chartfs::realm::authority::{AuthorityKeys, AuthorityKind};
use chartfs::realm::policy::PolicyStatement;
use chartfs::record::marks::Marks;
use chartfs::record::{Located, PolicyRef, RecordId, Records};
use chartfs::store::Bucket;
use chartfs::view::{View, ViewOptions};

pub const POLICY: &str = r#"
[folder]
list = "physician@st-mary or pharmacist@board or psychiatrist@north or owner@ana"
add = "physician@st-mary or pharmacist@board"
remove = "physician@st-mary"
manage = "owner@ana"

[default]
read = "physician@st-mary or owner@ana"
write = "physician@st-mary"

[section.medications]
read = "physician@st-mary or pharmacist@board or owner@ana"
write = "physician@st-mary or pharmacist@board"

[section.mental-health]
read = "(psychiatrist@north and staff@north) or owner@ana"
write = "psychiatrist@north"

[section.documents]
read = "physician@st-mary or pharmacist@board or owner@ana"
write = "physician@st-mary or pharmacist@board"
"#;

/// Who holds what in the test realm.
pub const USERS: [(&str, &[&str]); 5] = [
    ("doctor", &["physician@st-mary"]),
    ("psychiatrist", &["psychiatrist@north", "staff@north"]),
    ("pharmacist", &["pharmacist@board"]),
    ("ana", &["owner@ana"]),
    ("stranger", &["cleaner@st-mary"]),
];

/// Reads a file; `stat` must say its size.
pub async fn read(view: &View, path: &str) -> Vec<u8> {
    let mut all = Vec::new();
    let take = |piece: bytes::Bytes| {
        all.extend_from_slice(&piece);
        Ok(())
    };
    view.read_path(path, take).await.unwrap();
    let attr = view.resolve(path).await.unwrap();
    assert_eq!(attr.size_bytes, all.len() as u64, "stat and read agree on {path}");
    all
}

/// As [`read`], of a text.
pub async fn read_text(view: &View, path: &str) -> String {
    String::from_utf8(read(view, path).await).unwrap()
}

/// Mounts a drive that believes what it knows for the whole test.
pub async fn believing(realm: &TestRealm, user: &str) -> Arc<View> {
    let attr_ttl = Duration::from_secs(3600);
    let options = ViewOptions { attr_ttl, ..ViewOptions::default() };
    View::of(realm.records(user).await, options).await.unwrap()
}

pub struct TestRealm {
    pub bucket: Bucket,
    pub administrator: SigningKey,
    pub authorities: BTreeMap<AuthorityId, AuthorityKeys>,
    pub policy: PolicyRef,
    pub root: Located,
    pub genesis: [u8; 32],
}

impl TestRealm {
    /// Founds the realm with `POLICY` at its root.
    pub async fn found(bucket: Bucket) -> Self {
        Self::found_with(bucket, POLICY).await
    }

    pub async fn found_with(bucket: Bucket, policy_text: &str) -> Self {
        let administrator = SigningKey::generate();
        let realm = Realm::found(bucket.clone(), &administrator, now_unix_s()).await.unwrap();
        let mut authorities = BTreeMap::new();
        for (name, kind) in [
            ("st-mary", AuthorityKind::Hospital),
            ("north", AuthorityKind::Hospital),
            ("board", AuthorityKind::Pharmacy),
            ("ana", AuthorityKind::Patient),
        ] {
            let id: AuthorityId = name.parse().unwrap();
            let keys =
                realm.introduce(id.clone(), kind, &administrator, now_unix_s()).await.unwrap();
            authorities.insert(id, keys);
        }
        let statement = PolicyStatement {
            realm: realm.id(),
            replaces: [0; 32],
            patient: None,
            time_unix_s: now_unix_s(),
            text: policy_text.to_owned(),
            author: administrator.public(),
            certificates: Vec::new(),
        };
        let hash = realm.put_policy(&statement, |d, m| administrator.sign(d, m)).await.unwrap();
        realm.amend(&administrator, now_unix_s(), |s| s.root_policy = hash).await.unwrap();
        let root = RecordId(realm.state().root_record);
        let this = Self {
            bucket,
            genesis: realm.genesis(),
            authorities,
            policy: PolicyRef { hash, patient: None },
            root: Located { birth: root, record: root },
            administrator,
        };
        let doctor = this.records("doctor").await;
        doctor.create_directory(this.root, &this.policy).await.unwrap();
        this
    }

    /// Issues a new credential with these attributes.
    pub async fn credential(&self, user: &str, attributes: &[&str]) -> Credential {
        let realm = Realm::open(self.bucket.clone(), Some(&self.genesis)).await.unwrap();
        let mut credential = Credential::new(user, self.genesis);
        let request = Request::parse(&credential.request()).unwrap();
        let mut by_authority: BTreeMap<AuthorityId, Vec<_>> = BTreeMap::new();
        for text in attributes {
            let a: chartfs::key::attribute::Attribute = text.parse().unwrap();
            by_authority.entry(a.authority).or_default().push(a.name);
        }
        for (authority, names) in by_authority {
            let now = now_unix_s();
            let keys = &self.authorities[&authority];
            let line = realm.issue(keys, &request, &names, now, now + 86_400).await.unwrap();
            let grant = credential.open_grant(&line).unwrap();
            credential.add_grant(grant);
        }
        credential
    }

    /// Opens the records as one of [`USERS`], with a new credential.
    pub async fn records(&self, user: &str) -> Arc<Records> {
        let (_, attributes) = USERS.iter().find(|(name, _)| *name == user).unwrap();
        let credential = self.credential(user, attributes).await;
        self.records_of(credential).await
    }

    pub async fn records_of(&self, credential: Credential) -> Arc<Records> {
        let realm = Realm::open(self.bucket.clone(), Some(&self.genesis)).await.unwrap();
        let keyring = Keyring::new(credential).unwrap();
        Arc::new(Records::new(Arc::new(realm), Arc::new(keyring), Arc::new(Marks::in_memory())))
    }

    pub fn new_place(&self) -> Located {
        Located { birth: self.root.record, record: RecordId::random() }
    }
}
