//! Opening sections: what the policy lets this user see, and the data key behind it.

use std::sync::{Arc, PoisonError};

use super::head::Part;
use super::meta::{Extent, Meta};
use super::{PolicyRef, Record, Records, section_name};
use crate::error::{Error, Kind, Result};
use crate::key::attribute::Attribute;
use crate::key::keyring::Holding;
use crate::key::policy::{Clause, Policy};
use crate::key::secret::{ClauseSecret, DataKey};
use crate::key::wrap::{OuterKey, Wrap};
use crate::section::chunk::sealed_len;
use crate::section::{Place, SectionCipher};

/// Whether the policy lets the user see something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It does.
    Open,
    /// It would, if the certificate behind an attribute had not ended.
    Expired,
    /// It does not.
    Closed,
}

/// A section part whose data key was unwrapped and proven to be the committed one.
pub struct Opened {
    /// What the data key gives.
    pub cipher: SectionCipher,
    /// The data key, to wrap it again.
    pub(super) data_key: DataKey,
    /// Length, time, measure.
    pub meta: Meta,
    /// Where an inline body lies.
    pub extent: Extent,
    /// The chunk hashes of an external body, once fetched.
    pub(super) chunk_hashes: tokio::sync::OnceCell<Vec<u8>>,
}

impl Records {
    /// Says whether a formula lets the user, now.
    pub fn sight(&self, policy: &Policy) -> Sight {
        let now = crate::clock::now_unix_s();
        let has = |least: Holding| move |a: &Attribute| self.keyring.holding(a, now) >= least;
        if policy.satisfied_by(&has(Holding::Yes)) {
            Sight::Open
        } else if policy.satisfied_by(&has(Holding::Expired)) {
            Sight::Expired
        } else {
            Sight::Closed
        }
    }

    /// Says whether the user may read a section under the policy in force.
    ///
    /// # Errors
    /// `Integrity` when the policy is not proven.
    pub async fn may_read(&self, policy: &PolicyRef, section: &str) -> Result<Sight> {
        let bound = self.realm.policy(&policy.hash, policy.patient.as_ref()).await?;
        Ok(self.sight(&bound.rights(section).read))
    }

    /// Says whether the user may write a section under the policy in force.
    ///
    /// # Errors
    /// `Integrity` when the policy is not proven.
    pub async fn may_write(&self, policy: &PolicyRef, section: &str) -> Result<Sight> {
        let bound = self.realm.policy(&policy.hash, policy.patient.as_ref()).await?;
        Ok(self.sight(&bound.rights(section).write))
    }

    /// Opens every part of a slot; `None` when the slot is closed to the user.
    ///
    /// # Errors
    /// `Integrity` when the policy lets the user and a part does not open.
    pub async fn open_slot(&self, record: &Record, slot: u16) -> Result<Option<Vec<Arc<Opened>>>> {
        let entry = record
            .head
            .slots
            .iter()
            .find(|s| s.slot == slot)
            .ok_or_else(|| Error::new(Kind::NotFound, "the record has no such section"))?;
        let mut opened = Vec::with_capacity(entry.parts.len());
        for part in &entry.parts {
            match self.open_part(record, slot, part).await? {
                Some(o) => opened.push(o),
                None => return Ok(None),
            }
        }
        Ok(Some(opened))
    }

    pub(super) async fn open_part(
        &self,
        record: &Record,
        slot: u16,
        part: &Part,
    ) -> Result<Option<Arc<Opened>>> {
        let at = (slot, part.number);
        let known = record.opened.lock().unwrap_or_else(PoisonError::into_inner).get(&at).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let policy = &record.head.policies[usize::from(part.policy)];
        let bound = self.realm.policy(&policy.hash, policy.patient.as_ref()).await?;
        let read = &bound.rights(section_name(slot)).read;
        let Some((wrap, secret)) = self.clause_secret(read, part).await? else {
            return Ok(None);
        };
        let place = place_of(record, slot, part);
        let data_key = wrap.open(&OuterKey::None, &secret, &place.to_bytes())?;
        let cipher = SectionCipher::committed(&data_key, place, &part.content.commitment)?;
        let meta = Meta::open(&cipher, &part.content.meta)?;
        if part.content.version == 0 && meta.body_len != 0 {
            return Err(Error::damaged("a section that was never written is not empty"));
        }
        let extent = Extent::open(&cipher, &part.extent, record.region.len() as u64)?;
        if !part.content.is_external() && sealed_len(meta.body_len) > extent.capacity {
            return Err(Error::damaged("a section is longer than its place in the record"));
        }
        let chunk_hashes = tokio::sync::OnceCell::new();
        let opened = Arc::new(Opened { cipher, data_key, meta, extent, chunk_hashes });
        let mut all = record.opened.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(at, opened.clone());
        drop(all);
        self.recount(record.located.record);
        Ok(Some(opened))
    }

    /// Returns the wrap and the secret of a clause that the user satisfies with keys of the right
    /// epochs; `None` when the policy closes the section, or gave it to epochs that the user was
    /// not given.
    async fn clause_secret(
        &self,
        read: &Policy,
        part: &Part,
    ) -> Result<Option<(Wrap, Arc<ClauseSecret>)>> {
        if read.clauses().len() != part.wraps.len() {
            return Err(Error::damaged("a section is not wrapped once per clause of its policy"));
        }
        let now = crate::clock::now_unix_s();
        let satisfied = |c: &Clause| {
            c.attributes().iter().all(|a| self.keyring.holding(a, now) == Holding::Yes)
        };
        for (clause, wrap) in read.clauses().iter().zip(&part.wraps) {
            if !satisfied(clause) {
                continue;
            }
            if let Some(secret) = self.keyring.opened(wrap.capsule()) {
                return Ok(Some((*wrap, secret)));
            }
            if let Some(secret) = self.open_capsule(clause, wrap.capsule()).await? {
                return Ok(Some((*wrap, secret)));
            }
        }
        Ok(None)
    }

    async fn open_capsule(
        &self,
        clause: &Clause,
        named: &[u8; 32],
    ) -> Result<Option<Arc<ClauseSecret>>> {
        let capsule = self.realm.capsule(named).await?;
        let rows = capsule.rows();
        let fits = rows.len() == clause.attributes().len()
            && rows.iter().zip(clause.attributes()).all(|(r, a)| r.what.attribute == *a);
        if !fits {
            return Err(Error::damaged("a capsule is for another clause than the policy's"));
        }
        if !rows.iter().all(|r| self.keyring.has_epoch(&r.what)) {
            return Ok(None);
        }
        let mut authorities = Vec::with_capacity(rows.len());
        for row in rows {
            let state = self.realm.named_authority(&row.what.attribute.authority).await?;
            authorities.push(state.public.clone());
        }
        // A listing opens many sections under one clause at once: the first of them opens the
        // capsule, the others wait for it.
        let turn = {
            let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
            opening.get_or_insert(*named, Arc::default).clone()
        };
        let _turn = turn.lock().await;
        if let Some(secret) = self.keyring.opened(named) {
            return Ok(Some(secret));
        }
        let keyring = self.keyring.clone();
        let opening = tokio::task::spawn_blocking(move || {
            let publics: Vec<_> = authorities.iter().collect();
            keyring.open_capsule(&capsule, &publics)
        });
        let secret = opening.await.map_err(|e| {
            Error::new(Kind::Internal, "opening a capsule was interrupted").because(e)
        })??;
        self.opening.lock().unwrap_or_else(PoisonError::into_inner).pop(named);
        Ok(Some(secret))
    }

    /// Returns the body of an opened part that lies in the record itself.
    ///
    /// # Errors
    /// `Integrity` when it is not the one that its author signed.
    pub fn inline_body(&self, record: &Record, part: &Part, opened: &Opened) -> Result<Vec<u8>> {
        let start = usize::try_from(opened.extent.offset).unwrap_or(usize::MAX);
        let len = usize::try_from(sealed_len(opened.meta.body_len)).unwrap_or(usize::MAX);
        let sealed = start
            .checked_add(len)
            .and_then(|end| record.region.get(start..end))
            .ok_or_else(|| Error::damaged("a section points outside its record"))?;
        opened.cipher.open_body(sealed, opened.meta.body_len, &part.content.body)
    }
}

/// Returns where a part stands, which its keys are bound to.
pub(super) fn place_of(record: &Record, slot: u16, part: &Part) -> Place {
    Place {
        realm: record.head.realm,
        record: record.head.record.0,
        slot,
        part: part.number,
        version: part.content.version,
    }
}
