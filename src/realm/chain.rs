//! The chains of states of authorities: finding the newest, and following all of them.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt;

use super::authority::{AUTHORITY_LEN_MAX_BYTES, AuthorityState};
use super::{AUTHORITY_TTL, Realm, STATES_MAX, locked, seq_name};
use crate::error::{Error, Kind, Result};
use crate::key::attribute::AuthorityId;
use crate::key::hash;
use crate::store::ObjectName;

/// An object, and what is wrong with it.
pub type Wrong = (ObjectName, Error);

impl Realm {
    /// Returns the newest state of an authority that something signed names: it must be there.
    ///
    /// # Errors
    /// `Integrity` when it is missing or not proven.
    pub async fn named_authority(&self, id: &AuthorityId) -> Result<Arc<AuthorityState>> {
        self.authority(id).await.map_err(|e| match e.kind() {
            Kind::NotFound => Error::damaged(format!("authority {id} is missing from the bucket"))
                .because("a signed object names it"),
            _ => e,
        })
    }

    pub(super) async fn authority_with_hash(
        &self,
        id: &AuthorityId,
    ) -> Result<(Arc<AuthorityState>, [u8; 32])> {
        let known = locked(&self.authorities).get(id).cloned();
        if let Some((_, state, hash)) = known.as_ref().filter(|k| k.0.elapsed() < AUTHORITY_TTL) {
            return Ok((state.clone(), *hash));
        }
        let floor = known.map(|(_, state, _)| state.seq);
        let (seq, bytes) = self.newest_state(id, floor).await?;
        let state = self.verify_authority(id, seq, &bytes)?;
        if state.introduction_hash() != self.introduction(id).await? {
            return Err(Error::damaged(format!("{id} is not the authority first introduced")));
        }
        let (state, hash) = (Arc::new(state), hash::sha256(&[&bytes]));
        self.check_chain(&format!("auth/{id}"), seq, hash)?;
        locked(&self.authorities).put(id.clone(), (Instant::now(), state.clone(), hash));
        Ok((state, hash))
    }

    fn verify_authority(&self, id: &AuthorityId, seq: u64, bytes: &[u8]) -> Result<AuthorityState> {
        let administrators = locked(&self.administrators_ever).clone();
        let state = AuthorityState::verify(bytes, &self.id, id, &administrators)?;
        if state.seq == seq {
            Ok(state)
        } else {
            Err(Error::damaged(format!("{id} stands under a wrong sequence number")))
        }
    }

    /// Returns who an authority is by its first state. A later state that names other keys is an
    /// usurper's, even when an administrator introduced it.
    async fn introduction(&self, id: &AuthorityId) -> Result<[u8; 32]> {
        if let Some(known) = locked(&self.introductions).get(id) {
            return Ok(*known);
        }
        let first = self.authority_object(id, 0).await?;
        let first = first.ok_or_else(|| {
            Error::damaged(format!("the first state of {id} is missing from the bucket"))
        })?;
        let hash = self.verify_authority(id, 0, &first)?.introduction_hash();
        locked(&self.introductions).put(id.clone(), hash);
        Ok(hash)
    }

    async fn authority_object(&self, id: &AuthorityId, seq: u64) -> Result<Option<Bytes>> {
        let name = seq_name(&format!("auth/{id}"), seq);
        Ok(self.bucket.get(&name, AUTHORITY_LEN_MAX_BYTES).await?.map(|o| o.bytes))
    }

    /// Finds the newest state of an authority. The listing is only a hint: a number that it makes
    /// up is passed over, and what it does not show is asked for by name.
    async fn newest_state(&self, id: &AuthorityId, floor: Option<u64>) -> Result<(u64, Bytes)> {
        let mut seq = match floor {
            Some(seq) => seq,
            None => self.listed_seq(id).await?,
        };
        let mut newest = self.authority_object(id, seq).await?;
        if newest.is_none() && floor.is_none() {
            seq = 0;
            newest = self.authority_object(id, seq).await?;
        }
        let mut newest = newest.ok_or_else(|| match floor {
            None => unknown_authority(id),
            Some(_) => Error::damaged(format!("a state of {id} is missing from the bucket")),
        })?;
        while seq < STATES_MAX {
            let Some(next) = self.authority_object(id, seq + 1).await? else {
                return Ok((seq, newest));
            };
            (seq, newest) = (seq + 1, next);
        }
        Err(Error::damaged(format!("{id} has too many states")))
    }

    async fn listed_seq(&self, id: &AuthorityId) -> Result<u64> {
        let folder = format!("auth/{id}");
        let mut newest = 0;
        let mut listing = self.bucket.list(&format!("{folder}/"));
        while let Some(listed) = listing.next().await {
            let name = match listed {
                Ok(listed) => listed.name,
                // Off-line, the newest that was seen before is the newest that can be had.
                Err(e) if e.kind() == Kind::Unavailable && self.bucket.has_cache() => {
                    let seen = self.marks.get().map(|m| m.newest(&folder)).transpose()?.flatten();
                    return Ok(seen.map_or(newest, |(seq, _)| newest.max(seq)));
                }
                Err(e) => return Err(e),
            };
            let seq = name.as_str().rsplit('/').next().and_then(|s| s.parse().ok());
            let canonical = seq.filter(|s| *s <= STATES_MAX && seq_name(&folder, *s) == name);
            newest = newest.max(canonical.unwrap_or(0));
        }
        Ok(newest)
    }

    /// Follows an authority's states from the first to the last that is there; returns how many
    /// there are, and what is wrong with which of them.
    ///
    /// # Errors
    /// Those of the store, except damage.
    pub async fn check_authority(&self, id: &AuthorityId) -> Result<(u64, Vec<Wrong>)> {
        let folder = format!("auth/{id}");
        let mut before: Option<(AuthorityState, [u8; 32])> = None;
        let mut wrong = Vec::new();
        for seq in 0..STATES_MAX {
            let bytes = match self.authority_object(id, seq).await {
                Ok(None) => return Ok((seq, wrong)),
                Ok(Some(bytes)) => Ok(bytes),
                Err(e) if e.kind() == Kind::Integrity => Err(e),
                Err(e) => return Err(e),
            };
            let checked = bytes.and_then(|bytes| {
                let state = follows(before.as_ref(), self.verify_authority(id, seq, &bytes)?)?;
                Ok((state, hash::sha256(&[&bytes])))
            });
            before = checked.map_err(|e| wrong.push((seq_name(&folder, seq), e))).ok();
        }
        Ok((STATES_MAX, wrong))
    }
}

fn follows(
    before: Option<&(AuthorityState, [u8; 32])>,
    state: AuthorityState,
) -> Result<AuthorityState> {
    let Some((before, hash)) = before else {
        return if state.seq > 0 || state.previous == [0; 32] {
            Ok(state)
        } else {
            Err(Error::damaged("the first state of an authority follows another"))
        };
    };
    if state.previous != *hash {
        return Err(Error::damaged("a state of an authority does not follow the one before"));
    }
    if state.introduction_hash() != before.introduction_hash() {
        return Err(Error::damaged(format!("{} is not the authority first introduced", state.id)));
    }
    let falls =
        before.attributes.iter().find(|(name, epoch)| state.attributes.get(name) < Some(epoch));
    if let Some((name, _)) = falls {
        return Err(Error::damaged("the epoch of an attribute falls")
            .because(format!("attribute {name} of {}", state.id)));
    }
    if before.revoked.iter().any(|(serial, cut)| state.revoked.get(serial).is_none_or(|c| c > cut))
    {
        return Err(Error::damaged("a revocation was taken back"));
    }
    Ok(state)
}

fn unknown_authority(id: &AuthorityId) -> Error {
    Error::new(Kind::NotFound, format!("the realm has no authority {id}"))
        .hint("see: chartfs authority list")
}
