//! Keyless verification of a whole bucket: everything that can be said without a credential.
//!
//! Every object is read and proven as a reader would prove it, from the genesis down; nothing is
//! decrypted. What stays open without keys is said by the readers: whether a record is under the
//! policy of the folder that it is in, and whether the bucket hides a record as a whole.
//!
//! Memory: the listing is a stream and objects are read up to their limits, sixteen at a time;
//! what is kept of an object is at most its name and the hashes that it names.

mod history;
mod object;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::StreamExt;

use super::proof::Prover;
use crate::error::{Error, Kind, Result};
use crate::key::attribute::AuthorityId;
use crate::key::credential::hex;
use crate::realm::{Realm, object_name, seq_name};
use crate::store::{Listed, ObjectName};
use object::Seen;

/// How many objects are read at the same time.
const PARALLEL: usize = 16;
/// The most findings, and the most notes, that are kept; more are only counted.
pub const FINDINGS_MAX: usize = 10_000;

/// What an object of the bucket is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// `realm/<seq>`.
    RealmState,
    /// `auth/<authority>/<seq>`.
    AuthorityState,
    /// `p/<hash>`.
    Policy,
    /// `c/<hash>`.
    Certificate,
    /// `k/<hash>`.
    Capsule,
    /// `r/<birth>/<record>`.
    Record,
    /// `b/<root>`.
    ExternalBody,
    /// `h/<record>/<version>`.
    History,
    /// `probe/<random>`: what an interrupted test of the store left.
    Probe,
    /// Any other name.
    Unknown,
}

/// How far the check has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Objects checked.
    pub objects: u64,
    /// Bytes of the objects checked, as the bucket lists them.
    pub bytes: u64,
}

/// Something that is wrong with an object, or worth knowing of it.
#[derive(Debug)]
pub struct Finding {
    /// The object.
    pub object: ObjectName,
    /// What is wrong.
    pub what: String,
    /// Why, when known.
    pub why: Option<String>,
}

/// What a check of a bucket found.
#[derive(Debug, Default)]
pub struct Report {
    /// How many objects there are of each kind.
    pub counts: BTreeMap<ObjectKind, u64>,
    /// Damage and forgery.
    pub findings: Vec<Finding>,
    /// What is not wrong: leftovers that nothing names, gaps in a history.
    pub notes: Vec<Finding>,
    /// How many notes there are of each text, with those that are only counted.
    pub noted: BTreeMap<String, u64>,
    /// How many findings and notes came after the first [`FINDINGS_MAX`].
    pub more: u64,
}

impl Report {
    /// Says whether nothing is wrong.
    pub fn ok(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, object: ObjectName, e: &Error) {
        push(&mut self.findings, &mut self.more, object, e);
    }

    fn note(&mut self, object: ObjectName, e: &Error) {
        *self.noted.entry(e.what().to_owned()).or_default() += 1;
        push(&mut self.notes, &mut self.more, object, e);
    }
}

fn push(list: &mut Vec<Finding>, more: &mut u64, object: ObjectName, e: &Error) {
    if list.len() < FINDINGS_MAX {
        let why = e.why().map(str::to_owned);
        list.push(Finding { object, what: e.what().to_owned(), why });
    } else {
        *more += 1;
    }
}

/// What was seen while the listing went by, to be compared at its end.
#[derive(Default)]
struct Gathered {
    authorities: BTreeMap<AuthorityId, BTreeSet<u64>>,
    listed: HashSet<(ObjectKind, [u8; 32])>,
    /// Which record names a body or a capsule, one of them.
    named: HashMap<(ObjectKind, [u8; 32]), ObjectName>,
}

/// Checks every object of the realm's bucket without any key.
///
/// # Errors
/// Those of the store; damage is not an error but a finding. `Integrity` only when the realm itself
/// no longer opens.
pub async fn check_bucket(realm: &Realm, mut progress: impl FnMut(Progress)) -> Result<Report> {
    // Nothing that was proven before counts: the bucket may have changed since.
    let realm = Realm::open(realm.bucket().clone(), Some(&realm.genesis())).await?;
    let check = Check { realm: &realm, prover: Prover::new() };
    let (mut report, mut gathered) = (Report::default(), Gathered::default());
    let mut done = Progress { objects: 0, bytes: 0 };
    let mut objects =
        realm.bucket().list("").map(|listed| check.listed(listed)).buffer_unordered(PARALLEL);
    while let Some(checked) = objects.next().await {
        let (listed, seen) = checked?;
        done = Progress { objects: done.objects + 1, bytes: done.bytes + listed.size_bytes };
        gather(&mut report, &mut gathered, listed.name, seen);
        progress(done);
    }
    drop(objects);
    check.authorities(&mut report, &gathered).await?;
    check.compare(&mut report, gathered).await?;
    Ok(report)
}

fn gather(report: &mut Report, gathered: &mut Gathered, name: ObjectName, seen: Seen) {
    *report.counts.entry(seen.kind).or_default() += 1;
    if let Some((id, seq)) = seen.authority {
        gathered.authorities.entry(id).or_default().insert(seq);
    }
    if let Some(hash) = seen.hash {
        gathered.listed.insert((seen.kind, hash));
    }
    for key in seen.names {
        gathered.named.entry(key).or_insert_with(|| name.clone());
    }
    for note in &seen.notes {
        report.note(name.clone(), note);
    }
    if let Some(e) = seen.wrong {
        report.find(name, &e);
    }
}

struct Check<'a> {
    realm: &'a Realm,
    prover: Prover,
}

impl Check<'_> {
    async fn listed(&self, listed: Result<Listed>) -> Result<(Listed, Seen)> {
        let listed = listed?;
        let seen = self.object(&listed).await?;
        Ok((listed, seen))
    }

    async fn authorities(&self, report: &mut Report, gathered: &Gathered) -> Result<()> {
        let chains = gathered
            .authorities
            .iter()
            .map(|(id, seqs)| async move { (id, seqs, self.realm.check_authority(id).await) });
        let mut chains = futures::stream::iter(chains).buffer_unordered(PARALLEL);
        while let Some((id, seqs, checked)) = chains.next().await {
            let (states, wrong) = checked?;
            for (object, e) in wrong {
                report.find(object, &e);
            }
            for seq in seqs.range(states..) {
                let e = Error::damaged("a state of an authority stands behind a gap");
                report.find(seq_name(&format!("auth/{id}"), *seq), &e);
            }
        }
        Ok(())
    }

    /// Compares what is named with what is there. The listing is only a hint: what it does not
    /// show is asked for by name.
    async fn compare(&self, report: &mut Report, gathered: Gathered) -> Result<()> {
        for ((kind, hash), by) in &gathered.named {
            if gathered.listed.contains(&(*kind, *hash)) {
                continue;
            }
            let name = object_name(kind.folder(), &hex(hash));
            let found = match kind {
                ObjectKind::Capsule => self.realm.capsule(hash).await.map(|_| ()),
                _ => self.realm.bucket().get_range(&name, 0..1).await.map(|_| ()),
            };
            if let Err(e) = found {
                if !matches!(e.kind(), Kind::NotFound | Kind::Integrity) {
                    return Err(e);
                }
                let missing = Error::damaged(format!("it names {name}, which is missing"));
                report.find(by.clone(), &missing);
            }
        }
        for (kind, hash) in &gathered.listed {
            let leftover = matches!(kind, ObjectKind::Capsule | ObjectKind::ExternalBody);
            if leftover && !gathered.named.contains_key(&(*kind, *hash)) {
                let name = object_name(kind.folder(), &hex(hash));
                let e = Error::new(Kind::NotFound, "no record names it")
                    .because("its records were overwritten or removed, or a write broke off");
                report.note(name, &e);
            }
        }
        Ok(())
    }
}

impl ObjectKind {
    fn folder(self) -> &'static str {
        match self {
            Self::RealmState => "realm",
            Self::AuthorityState => "auth",
            Self::Policy => "p",
            Self::Certificate => "c",
            Self::Capsule => "k",
            Self::Record => "r",
            Self::ExternalBody => "b",
            Self::History => "h",
            Self::Probe => "probe",
            Self::Unknown => "",
        }
    }
}
