//! Every state of an authority, one after the other: what `check` looks at and a reader does not.

use super::authority::AuthorityState;
use super::{Realm, STATES_MAX, seq_name};
use crate::error::{Error, Kind, Result};
use crate::key::attribute::AuthorityId;
use crate::key::hash;
use crate::store::ObjectName;

/// An object, and what is wrong with it.
pub type Wrong = (ObjectName, Error);

impl Realm {
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
