//! Every state of an authority, one after the other: what `check` looks at and a reader does not.

use super::authority::AuthorityState;
use super::{Realm, seq_name};
use crate::error::{Error, Result};
use crate::key::attribute::AuthorityId;
use crate::key::hash;
use crate::store::ObjectName;

impl Realm {
    /// Follows an authority's states from the first to number `last`; returns what is wrong with
    /// which of them.
    ///
    /// # Errors
    /// Those of the store, except damage.
    pub async fn check_authority(
        &self,
        id: &AuthorityId,
        last: u64,
    ) -> Result<Vec<(ObjectName, Error)>> {
        let folder = format!("auth/{id}");
        let mut before: Option<(AuthorityState, [u8; 32])> = None;
        let mut wrong = Vec::new();
        for seq in 0..=last {
            let name = seq_name(&folder, seq);
            let Some(bytes) = self.authority_object(id, seq).await? else {
                wrong.push((name, Error::damaged("a state of an authority is missing")));
                before = None;
                continue;
            };
            let checked = self.verify_authority(id, seq, &bytes);
            match checked.and_then(|state| follows(before.as_ref(), state)) {
                Ok(state) => before = Some((state, hash::sha256(&[&bytes]))),
                Err(e) => {
                    wrong.push((name, e));
                    before = None;
                }
            }
        }
        Ok(wrong)
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
