//! From what the bucket said to a proven record.
//!
//! Two halves. [`Prover`] needs no key and no memory: who signed was entitled, everything is signed,
//! and it is whole. [`Records`] adds what only a reader in a place can say: the policies are those
//! of this folder, and nothing went back since the last time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use super::head::{Head, Part, RECORD_LEN_MAX_BYTES, THIS_COMMIT, UncheckedRecord};
use super::marks::{Mark, SectionMark};
use super::statement::{DOMAIN, Statement};
use super::twin::prove_twins;
use super::{
    DIRECTORY_PROFILE, Located, PolicyRef, RECORDS_MAX, Record, Records, section_name, slots_under,
};
use crate::error::{Error, Result};
use crate::key::hash;
use crate::realm::policy::BoundPolicy;
use crate::realm::{Author, Realm};
use crate::store::Version;

/// Nanoseconds of a second.
const NS_PER_S: i64 = 1_000_000_000;

/// Proves records without any key; what was proven once is kept.
pub(super) struct Prover {
    statements: Mutex<LruCache<[u8; 32], Arc<Author>>>,
}

/// Who committed a record, and the policy that it was judged by.
pub(super) struct Proof {
    pub(super) committer: Arc<Author>,
    policy: Arc<BoundPolicy>,
}

impl Prover {
    pub(super) fn new() -> Self {
        Self { statements: Mutex::new(LruCache::new(RECORDS_MAX)) }
    }

    /// Proves a record: it is the one asked for, whole, and every section in it was written by
    /// somebody whom the write policy that the author names let.
    pub(super) async fn prove(
        &self,
        realm: &Realm,
        located: Located,
        unchecked: &UncheckedRecord,
    ) -> Result<Proof> {
        let head = &unchecked.head;
        let is_it = head.realm == realm.id()
            && head.record == located.record
            && head.birth == located.birth;
        if !is_it {
            return Err(Error::damaged("a record stands under the name of another"));
        }
        let named = &head.policies[0];
        let policy = realm.policy(&named.hash, named.patient.as_ref()).await?;
        let slots: Vec<u16> = head.slots.iter().map(|s| s.slot).collect();
        if slots != slots_under(head.profile, &policy)? {
            return Err(Error::damaged("a record does not have the slots of its profile"));
        }
        if hash::sha256(&[&unchecked.region]) != head.region_hash {
            return Err(Error::damaged("the bodies of a record are not the ones signed"));
        }
        let proof = self.prove_commit(realm, unchecked).await?;
        self.prove_sections(realm, unchecked).await?;
        prove_twins(realm, unchecked, &policy).await?;
        Ok(proof)
    }

    /// Proves the newest statement: it is over this head, under the head's policy.
    async fn prove_commit(&self, realm: &Realm, unchecked: &UncheckedRecord) -> Result<Proof> {
        let (head, statement) = (&unchecked.head, &unchecked.statement);
        let fits = statement.head == unchecked.head_hash
            && statement.version == head.version
            && statement.policy == head.policies[0];
        if !fits {
            return Err(Error::damaged("a record's statement is over another head"));
        }
        let committer = self.prove_statement(realm, head, statement).await?;
        let policy =
            realm.policy(&statement.policy.hash, statement.policy.patient.as_ref()).await?;
        let is_new = head.slots.iter().flat_map(|s| &s.parts).all(|p| p.content.version == 0);
        let may = may_commit(&committer, &policy, head) || (committer.is_administrator && is_new);
        if may {
            Ok(Proof { committer, policy })
        } else {
            Err(Error::damaged("a record was committed by an outsider"))
        }
    }

    async fn prove_statement(
        &self,
        realm: &Realm,
        head: &Head,
        statement: &Statement,
    ) -> Result<Arc<Author>> {
        let hash = statement.hash(&head.realm, head.record);
        let known = {
            let mut proven = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
            proven.get(&hash).cloned()
        };
        if let Some(author) = known {
            return Ok(author);
        }
        let message = statement.message(&head.realm, head.record);
        statement.author.verify(DOMAIN, &message, &statement.signature)?;
        let time_unix_s = statement.time_unix_ns.div_euclid(NS_PER_S);
        let author =
            Arc::new(realm.author(statement.author, &statement.certificates, time_unix_s).await?);
        let mut proven = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        proven.put(hash, author.clone());
        Ok(author)
    }

    async fn prove_sections(&self, realm: &Realm, unchecked: &UncheckedRecord) -> Result<()> {
        let head = &unchecked.head;
        for slot in &head.slots {
            for part in &slot.parts {
                let statement = vouching(head, &unchecked.statement, part)?;
                self.prove_section(realm, head, slot.slot, part, statement).await?;
            }
        }
        Ok(())
    }

    async fn prove_section(
        &self,
        realm: &Realm,
        head: &Head,
        slot: u16,
        part: &Part,
        statement: &Statement,
    ) -> Result<()> {
        let content = part.content.hash(&head.realm, head.record, slot, part.number);
        if !statement.names(slot, part.number, &content) {
            return Err(Error::damaged("a section is not the one that its author signed"));
        }
        let author = self.prove_statement(realm, head, statement).await?;
        let policy =
            realm.policy(&statement.policy.hash, statement.policy.patient.as_ref()).await?;
        // A section that was never written is made with the record, by whoever makes the record;
        // `open` checks that it is empty, and the marks that nothing was there before.
        let never_written = part.content.version == 0 && !part.content.is_external();
        if never_written || author.satisfies(&policy.rights(section_name(slot)).write) {
            Ok(())
        } else {
            Err(Error::damaged("a section was written by somebody who may not")
                .because(format!("section {}", section_name(slot))))
        }
    }
}

/// Returns the statement that vouches for a part.
pub(super) fn vouching<'a>(
    head: &'a Head,
    newest: &'a Statement,
    part: &Part,
) -> Result<&'a Statement> {
    match part.statement {
        THIS_COMMIT => Ok(newest),
        i => head
            .statements
            .get(usize::from(i))
            .ok_or_else(|| Error::damaged("a section names a statement that is not there")),
    }
}

/// How many versions are looked at, at most, between one that was seen and one that does not follow
/// it at once.
const STEPS_MAX: u64 = 64;

/// Proves that no section of `seen` went back or vanished in `now`, a later version: only a writer
/// of a section replaces it, and only with a later version of it.
///
/// A committer who may write one section only could otherwise put back an old version of another,
/// which its author did sign, or leave it out.
pub(super) fn prove_follows(seen: &Mark, now: &Mark, proof: &Proof) -> Result<()> {
    if seen.profile != now.profile {
        // Another format has other sections: all of them are made anew.
        let may_write = |s: &SectionMark| {
            proof.committer.satisfies(&proof.policy.rights(section_name(s.slot)).write)
        };
        let may =
            proof.committer.satisfies(&proof.policy.remove) || seen.sections.iter().all(may_write);
        return if may { Ok(()) } else { Err(went_back("all of them")) };
    }
    sections_follow(seen, now)
}

/// As [`prove_follows`], by way of the versions in between.
fn prove_steps(seen: &Mark, steps: &[(Mark, Proof)], (now, proof): (&Mark, &Proof)) -> Result<()> {
    let mut before = seen;
    for (mark, proof) in steps {
        prove_follows(before, mark, proof)?;
        before = mark;
    }
    prove_follows(before, now, proof)
}

/// Proves that no section of `seen` went back or vanished in `now`, a later version of the same
/// format.
pub(super) fn sections_follow(seen: &Mark, now: &Mark) -> Result<()> {
    for s in &seen.sections {
        let keeps = match now.section(s.slot, s.part) {
            Some(n) => n.version > s.version || (n == s),
            // Who replaced the whole slot took the parts beside the first with it.
            None => s.part != 0 && now.version_of(s.slot) > seen.version_of(s.slot),
        };
        if !keeps {
            return Err(went_back(section_name(s.slot)));
        }
    }
    Ok(())
}

fn went_back(section: &str) -> Error {
    Error::damaged("a commit takes a section back that somebody else wrote")
        .because(format!("section {section}"))
}

impl Records {
    /// Takes a record in that came from the bucket: proven, of this folder, and not going back.
    pub(super) async fn admit(
        &self,
        located: Located,
        in_force: &PolicyRef,
        unchecked: UncheckedRecord,
        etag: Version,
    ) -> Result<Record> {
        self.realm.check_newest()?;
        let proof = self.prover.prove(&self.realm, located, &unchecked).await?;
        let mark = unchecked.mark();
        self.check_mark(located, in_force, (&unchecked, &mark, &proof)).await?;
        self.check_policy_mark(located, &mark).await?;
        let is_pending = etag.is_pending();
        let record = Record::new(located, unchecked, etag, &proof);
        let in_force = self.in_force(&record, in_force).await?;
        self.check_policies(&record, &in_force).await?;
        if !is_pending {
            self.marks.raise(located.record, mark);
        }
        Ok(record)
    }

    /// Takes in what the journal holds of a record, or what that replaced: proven, and nothing is
    /// said about what the bucket has now.
    ///
    /// # Errors
    /// `Integrity` when it is not proven.
    pub(super) async fn read_back(
        &self,
        located: Located,
        bytes: &bytes::Bytes,
        version: Version,
    ) -> Result<Arc<Record>> {
        let unchecked = UncheckedRecord::parse(bytes)?;
        let proof = self.prover.prove(&self.realm, located, &unchecked).await?;
        Ok(Arc::new(Record::new(located, unchecked, version, &proof)))
    }

    async fn check_mark(
        &self,
        located: Located,
        in_force: &PolicyRef,
        (unchecked, now, proof): (&UncheckedRecord, &Mark, &Proof),
    ) -> Result<()> {
        match self.marks.get(located.record)? {
            Some(seen) if now.version < seen.version => {
                Err(Error::damaged("the bucket shows an older version of a record")
                    .because(format!("version {} after version {}", now.version, seen.version))
                    .hint("somebody rolled the bucket back; ask who restores it"))
            }
            Some(seen) if now.version == seen.version && now.object_hash != seen.object_hash => {
                Err(Error::damaged("the bucket shows two different records of one version"))
            }
            Some(seen) if now.version > seen.version => match prove_follows(&seen, now, proof) {
                Ok(()) => Ok(()),
                Err(alarm) => {
                    let steps = Box::pin(self.steps(located, in_force, unchecked, &seen)).await?;
                    let steps = steps.ok_or(alarm)?;
                    prove_steps(&seen, &steps, (now, proof))
                }
            },
            _ => Ok(()),
        }
    }

    /// Returns the versions between one that was seen and one that does not follow it at once, the
    /// oldest first: a record may have become another format in between, and come back. Each is
    /// proven, and each names the one before it by its hash; `None` when not all of them are kept.
    async fn steps(
        &self,
        located: Located,
        in_force: &PolicyRef,
        now: &UncheckedRecord,
        seen: &Mark,
    ) -> Result<Option<Vec<(Mark, Proof)>>> {
        let mut steps = Vec::new();
        let mut previous = now.head.previous;
        if now.head.version - seen.version > STEPS_MAX {
            return Ok(None);
        }
        for version in (seen.version + 1..now.head.version).rev() {
            let name = located.history(version);
            let object = self.realm.bucket().get(&name, RECORD_LEN_MAX_BYTES).await?;
            let Some(object) = object else { return Ok(None) };
            let step = UncheckedRecord::parse(&object.bytes)?;
            if step.head.version != version || step.object_hash != previous {
                return Ok(None);
            }
            previous = step.head.previous;
            let (proof, mark) =
                (self.prover.prove(&self.realm, located, &step).await?, step.mark());
            let record = Record::new(located, step, object.version, &proof);
            let in_force = self.in_force(&record, in_force).await?;
            self.check_policies(&record, &in_force).await?;
            steps.push((mark, proof));
        }
        steps.reverse();
        Ok((previous == seen.object_hash).then_some(steps))
    }

    /// Refuses a record that was committed under a policy which the one seen before had replaced:
    /// somebody whom the newer one shut out wants the older one back.
    async fn check_policy_mark(&self, located: Located, now: &Mark) -> Result<()> {
        let seen = self.marks.get(located.record)?.filter(|seen| seen.policy != now.policy);
        let Some(seen) = seen else { return Ok(()) };
        if self.realm.was_replaced_by(&seen.policy, &now.policy).await? {
            return Ok(());
        }
        Err(Error::damaged("a record went back to a policy that was replaced")
            .because(format!("record {}", located.record)))
    }

    /// Returns the policy in force in a directory: the one that its name was given, or one that
    /// replaced it since and that the directory's own head names. So whoever manages a folder
    /// needs no right over the folder that it stands in.
    pub(super) async fn in_force(&self, record: &Record, given: &PolicyRef) -> Result<PolicyRef> {
        let own = &record.head.policies[0];
        let is_newer = record.head.profile == DIRECTORY_PROFILE
            && own != given
            && own.patient == given.patient
            && self.realm.was_replaced_by(&given.hash, &own.hash).await?;
        Ok(if is_newer { own.clone() } else { given.clone() })
    }

    /// Proves that everything in a record was judged by a policy that is, or was, in force in its
    /// folder. A committer names the policy himself, and one that some other folder's manager made
    /// says whatever that manager likes.
    pub(super) async fn check_policies(&self, record: &Record, in_force: &PolicyRef) -> Result<()> {
        let statements = record.head.statements.iter().chain([&record.statement]);
        let named: HashSet<&PolicyRef> =
            statements.map(|s| &s.policy).chain(&record.head.policies).collect();
        for policy in named.into_iter().filter(|p| *p != in_force) {
            let same_patient = policy.patient.is_none() || policy.patient == in_force.patient;
            let was_in_force =
                same_patient && self.realm.was_replaced_by(&policy.hash, &in_force.hash).await?;
            if !was_in_force {
                return Err(Error::damaged("a record is under a policy of another folder")
                    .because(format!("record {}", record.located.record)));
            }
        }
        Ok(())
    }
}

/// Who may commit a head at all: somebody with a right to change something in it.
fn may_commit(author: &Author, policy: &BoundPolicy, head: &Head) -> bool {
    head.slots.iter().any(|s| author.satisfies(&policy.rights(section_name(s.slot)).write))
        || [&policy.add, &policy.remove, &policy.manage].into_iter().any(|p| author.satisfies(p))
}
