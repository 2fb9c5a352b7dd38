//! From what the bucket said to a proven record.

use std::sync::{Arc, PoisonError};

use super::head::{Head, Part, THIS_COMMIT, UncheckedRecord};
use super::marks::Mark;
use super::statement::{DOMAIN, Statement};
use super::{Located, Record, Records, profile_slots, section_name};
use crate::error::{Error, Result};
use crate::key::hash;
use crate::realm::Author;
use crate::realm::policy::BoundPolicy;
use crate::store::Version;

/// Nanoseconds of a second.
const NS_PER_S: i64 = 1_000_000_000;

impl Records {
    /// Proves a record: it is the one asked for, whole, not older than one seen before, and every
    /// section in it was written by somebody whom the write policy let.
    pub(super) async fn prove(
        &self,
        located: Located,
        unchecked: UncheckedRecord,
        etag: Version,
    ) -> Result<Record> {
        let head = &unchecked.head;
        let is_it = head.realm == self.realm.id()
            && head.record == located.record
            && head.birth == located.birth;
        if !is_it {
            return Err(Error::damaged("a record stands under the name of another"));
        }
        let slots: Vec<u16> = head.slots.iter().map(|s| s.slot).collect();
        if slots != profile_slots(head.profile)? {
            return Err(Error::damaged("a record does not have the slots of its profile"));
        }
        if hash::sha256(&[&unchecked.region]) != head.region_hash {
            return Err(Error::damaged("the bodies of a record are not the ones signed"));
        }
        let mark = Mark { version: head.version, object_hash: unchecked.object_hash };
        self.check_mark(located, mark)?;
        let committer = self.prove_commit(&unchecked).await?;
        self.prove_sections(&unchecked).await?;
        self.marks.raise(located.record, mark);
        Ok(Record {
            located,
            head: unchecked.head,
            statement: unchecked.statement,
            committer: (*committer).clone(),
            region: unchecked.region,
            object_hash: unchecked.object_hash,
            etag,
            opened: std::sync::Mutex::default(),
        })
    }

    fn check_mark(&self, located: Located, now: Mark) -> Result<()> {
        match self.marks.get(located.record)? {
            Some(seen) if now.version < seen.version => {
                Err(Error::damaged("the bucket shows an older version of a record")
                    .because(format!("version {} after version {}", now.version, seen.version))
                    .hint("somebody rolled the bucket back; ask who restores it"))
            }
            Some(seen) if now.version == seen.version && now.object_hash != seen.object_hash => {
                Err(Error::damaged("the bucket shows two different records of one version"))
            }
            _ => Ok(()),
        }
    }

    /// Proves the newest statement: it is over this head, under the head's policy.
    async fn prove_commit(&self, unchecked: &UncheckedRecord) -> Result<Arc<Author>> {
        let (head, statement) = (&unchecked.head, &unchecked.statement);
        let fits = statement.head == unchecked.head_hash
            && statement.version == head.version
            && statement.policy == head.policies[0];
        if !fits {
            return Err(Error::damaged("a record's statement is over another head"));
        }
        let author = self.prove_statement(head, statement).await?;
        let policy =
            self.realm.policy(&statement.policy.hash, statement.policy.patient.as_ref()).await?;
        let is_new = head.slots.iter().flat_map(|s| &s.parts).all(|p| p.content.version == 0);
        let may = may_commit(&author, &policy, head) || (author.is_administrator && is_new);
        if may { Ok(author) } else { Err(Error::damaged("a record was committed by an outsider")) }
    }

    async fn prove_statement(&self, head: &Head, statement: &Statement) -> Result<Arc<Author>> {
        let hash = statement.hash(&head.realm, head.record);
        let known = {
            let mut proven = self.proven_statements.lock().unwrap_or_else(PoisonError::into_inner);
            proven.get(&hash).cloned()
        };
        if let Some(author) = known {
            return Ok(author);
        }
        let message = statement.message(&head.realm, head.record);
        statement.author.verify(DOMAIN, &message, &statement.signature)?;
        let time_unix_s = statement.time_unix_ns.div_euclid(NS_PER_S);
        let author =
            self.realm.author(statement.author, &statement.certificates, time_unix_s).await?;
        let author = Arc::new(author);
        let mut proven = self.proven_statements.lock().unwrap_or_else(PoisonError::into_inner);
        proven.put(hash, author.clone());
        Ok(author)
    }

    async fn prove_sections(&self, unchecked: &UncheckedRecord) -> Result<()> {
        let head = &unchecked.head;
        for slot in &head.slots {
            for part in &slot.parts {
                let statement = match part.statement {
                    THIS_COMMIT => &unchecked.statement,
                    i => head.statements.get(usize::from(i)).ok_or_else(|| {
                        Error::damaged("a section names a statement that is not there")
                    })?,
                };
                self.prove_section(head, slot.slot, part, statement).await?;
            }
        }
        Ok(())
    }

    async fn prove_section(
        &self,
        head: &Head,
        slot: u16,
        part: &Part,
        statement: &Statement,
    ) -> Result<()> {
        let content = part.content.hash(&head.realm, head.record, slot, part.number);
        if !statement.names(slot, part.number, &content) {
            return Err(Error::damaged("a section is not the one that its author signed"));
        }
        let author = self.prove_statement(head, statement).await?;
        let policy =
            self.realm.policy(&statement.policy.hash, statement.policy.patient.as_ref()).await?;
        // A section that was never written is made with the record, by whoever makes the record;
        // `open` checks that it is empty.
        let never_written = part.content.version == 0 && !part.content.is_external();
        if never_written || author.satisfies(&policy.rights(section_name(slot)).write) {
            Ok(())
        } else {
            Err(Error::damaged("a section was written by somebody who may not")
                .because(format!("section {}", section_name(slot))))
        }
    }
}

/// Who may commit a head at all: somebody with a right to change something in it.
fn may_commit(author: &Author, policy: &BoundPolicy, head: &Head) -> bool {
    head.slots.iter().any(|s| author.satisfies(&policy.rights(section_name(s.slot)).write))
        || [&policy.add, &policy.remove, &policy.manage].into_iter().any(|p| author.satisfies(p))
}
