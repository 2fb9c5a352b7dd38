//! Two hospitals, a pharmacy board, an ethics board, and patients who are authorities of their own;
//! the people who read their records, and the records office that files them without being able to
//! read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::patients::patient;
use crate::clock::now_unix_s;
use crate::error::Result;
use crate::key::attribute::{Attribute, AttributeName, AuthorityId};
use crate::key::credential::{Credential, Request};
use crate::key::keyring::Keyring;
use crate::key::sign::SigningKey;
use crate::realm::Realm;
use crate::realm::authority::{AuthorityKeys, AuthorityKind};
use crate::realm::policy::PolicyStatement;
use crate::record::marks::Marks;
use crate::record::{Located, PolicyRef, RecordId, Records};
use crate::store::Bucket;
use crate::view::{View, ViewOptions};

/// The policy at the root.
pub const POLICY: &str = include_str!("policy.toml");
/// How long the attributes of the demonstration are valid.
const VALIDITY_S: i64 = 30 * 86_400;
const INSTITUTIONS: [(&str, AuthorityKind); 4] = [
    ("st-mary", AuthorityKind::Hospital),
    ("north", AuthorityKind::Hospital),
    ("pharmacy-board", AuthorityKind::Pharmacy),
    ("ethics-board", AuthorityKind::Research),
];
/// Files everything, reads nothing.
const RECORDS_OFFICE: &str = "records@st-mary";

/// One person of the demonstration.
pub struct Role {
    /// What the person is called in lists, and the name of the mount point.
    pub name: &'static str,
    /// The attributes held.
    pub attributes: Vec<Attribute>,
    /// The credential.
    pub credential: Credential,
}

/// The realm of the demonstration, with its keys.
pub struct Demo {
    /// Where it is stored.
    pub bucket: Bucket,
    /// The hash of its genesis.
    pub genesis: [u8; 32],
    /// The people who mount.
    pub roles: Vec<Role>,
    /// The folders of the patients, by name.
    pub folders: Vec<String>,
    /// The policy at the root.
    pub policy: PolicyRef,
}

/// Returns who holds what; the first patient's family is the sister.
fn people(first_patient: &str) -> Vec<(&'static str, Vec<String>)> {
    let text = |list: &[&str]| list.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
    vec![
        ("physician", text(&["physician@st-mary"])),
        ("psychiatrist", text(&["psychiatrist@north", "staff@north"])),
        ("pharmacist", text(&["pharmacist@pharmacy-board"])),
        ("billing", text(&["billing@st-mary"])),
        ("researcher", text(&["researcher@ethics-board"])),
        ("responder", text(&["responder@st-mary"])),
        ("sister", vec!["visitor@st-mary".to_owned(), format!("family@{first_patient}")]),
        ("patient", vec!["patient@st-mary".to_owned(), format!("owner@{first_patient}")]),
    ]
}

/// Founds the realm in an empty bucket, enrols everybody, and files the records of `patient_count`
/// invented patients. `say` is told what is being done.
///
/// # Errors
/// Those of the store; `Exists` when the bucket is not empty.
pub async fn found(bucket: Bucket, patient_count: u64, mut say: impl FnMut(&str)) -> Result<Demo> {
    let administrator = SigningKey::generate();
    say("founding the realm");
    let realm = Realm::found(bucket.clone(), &administrator, now_unix_s()).await?;
    let patients: Vec<_> = (1..=patient_count).map(patient).collect();
    let authorities = introduce_all(&realm, &administrator, &patients, &mut say).await?;
    let policy = set_root_policy(&realm, &administrator).await?;

    let first = patients.first().map_or("nobody", |p| p.folder.as_str());
    let mut roles = Vec::new();
    for (name, attributes) in people(first) {
        say(&format!("enrolling {name}"));
        let attributes: Vec<Attribute> =
            attributes.iter().map(|a| a.parse()).collect::<Result<_>>()?;
        let credential = enrol(&realm, &authorities, name, &attributes).await?;
        roles.push(Role { name, attributes, credential });
    }
    let office: Attribute = RECORDS_OFFICE.parse()?;
    let office = enrol(&realm, &authorities, "records office", &[office]).await?;
    let genesis = realm.genesis();
    let drive = enter(&bucket, &genesis, office, Marks::in_memory()).await?;
    for p in &patients {
        say(&format!("filing {}", p.folder));
        let folder = drive.make_path(&p.folder).await?;
        for (name, bytes) in &p.files {
            drive.write_path(folder, name.as_bytes(), bytes.as_slice()).await?;
        }
    }
    drive.drain().await?;
    let folders = patients.into_iter().map(|p| p.folder).collect();
    Ok(Demo { bucket, genesis, roles, folders, policy })
}

async fn introduce_all(
    realm: &Realm,
    administrator: &SigningKey,
    patients: &[super::patients::SyntheticPatient],
    say: &mut impl FnMut(&str),
) -> Result<BTreeMap<AuthorityId, AuthorityKeys>> {
    let institutions = INSTITUTIONS.into_iter().map(|(id, kind)| (id.to_owned(), kind));
    let patients = patients.iter().map(|p| (p.folder.clone(), AuthorityKind::Patient));
    let mut authorities = BTreeMap::new();
    for (id, kind) in institutions.chain(patients) {
        say(&format!("introducing {id} ({kind})"));
        let id: AuthorityId = id.parse()?;
        let keys = realm.introduce(id.clone(), kind, administrator, now_unix_s()).await?;
        authorities.insert(id, keys);
    }
    Ok(authorities)
}

/// Signs the policy as an administrator and makes the root, which the administrator cannot read.
async fn set_root_policy(realm: &Realm, administrator: &SigningKey) -> Result<PolicyRef> {
    let statement = PolicyStatement {
        realm: realm.id(),
        replaces: [0; 32],
        patient: None,
        time_unix_s: now_unix_s(),
        text: POLICY.to_owned(),
        author: administrator.public(),
        certificates: Vec::new(),
    };
    let hash = realm.put_policy(&statement, |domain, m| administrator.sign(domain, m)).await?;
    realm.amend(administrator, now_unix_s(), |state| state.root_policy = hash).await?;
    let policy = PolicyRef { hash, patient: None };
    let mut credential = Credential::new("administrator", realm.genesis());
    credential.identity = SigningKey::from_seed(administrator.seed().duplicate());
    let own = Realm::open(realm.bucket().clone(), Some(&realm.genesis())).await?;
    let keyring = Arc::new(Keyring::new(credential)?);
    let records = Records::new(Arc::new(own), keyring, Arc::new(Marks::in_memory()));
    let root = RecordId(realm.state().root_record);
    records.create_directory(Located { birth: root, record: root }, &policy).await?;
    Ok(policy)
}

/// Makes a credential and lets every authority concerned issue its attributes to it.
async fn enrol(
    realm: &Realm,
    authorities: &BTreeMap<AuthorityId, AuthorityKeys>,
    name: &str,
    attributes: &[Attribute],
) -> Result<Credential> {
    let mut credential = Credential::new(name, realm.genesis());
    let request = Request::parse(&credential.request())?;
    let mut asked: BTreeMap<&AuthorityId, Vec<AttributeName>> = BTreeMap::new();
    for a in attributes {
        asked.entry(&a.authority).or_default().push(a.name.clone());
    }
    for (authority, names) in asked {
        let keys = &authorities[authority];
        let now = now_unix_s();
        let line = realm.issue(keys, &request, &names, now, now + VALIDITY_S).await?;
        let grant = credential.open_grant(&line)?;
        credential.add_grant(grant);
    }
    Ok(credential)
}

/// Opens the drive as somebody.
///
/// # Errors
/// Those of [`View::of`].
pub async fn enter(
    bucket: &Bucket,
    genesis: &[u8; 32],
    credential: Credential,
    marks: Marks,
) -> Result<Arc<View>> {
    let realm = Realm::open(bucket.clone(), Some(genesis)).await?;
    let keyring = Arc::new(Keyring::new(credential)?);
    let records = Records::new(Arc::new(realm), keyring, Arc::new(marks));
    View::of(Arc::new(records), ViewOptions::default()).await
}
