//! The realm as its administrators sign it: who they are, and which policy stands at the root.
//!
//! Object `realm/<seq>`, bytes: magic "CHARTFSG" 8 | format u16 = 1 | lowest suite u16 | nonce 32 |
//! seq u64 | hash of the state before 32 | time_unix_s i64 | administrators u8 × 32 | quorum u8 |
//! root policy 32 (zero: none yet) | root record 16 | signers u8 × (index u8 | signature 64).
//! SHA-256 of state 0 is the *genesis*, which every credential is pinned to; its first 16 bytes
//! are the realm's identifier.

use crate::error::{Error, Kind, Result};
use crate::key::hash;
use crate::key::sign::{PublicKey, Signature, SigningKey};
use crate::wire::{Reader, Writer};

const MAGIC: &[u8; 8] = b"CHARTFSG";
const FORMAT: u16 = 1;
const DOMAIN: &str = "chartfs1 realm state";
/// The most administrators of a realm.
pub const ADMINISTRATORS_MAX: usize = 32;
/// The largest realm state, in bytes.
pub const STATE_LEN_MAX_BYTES: u64 = 16 << 10;

/// The realm at one sequence number, proven to follow from the genesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealmState {
    /// The lowest suite that clients may accept.
    pub lowest_suite: u16,
    /// Random; makes two realms of the same administrators different.
    pub nonce: [u8; 32],
    /// Counts the states from 0.
    pub seq: u64,
    /// SHA-256 of the state before; zero for the genesis.
    pub previous: [u8; 32],
    /// When it was signed.
    pub time_unix_s: i64,
    /// Who may sign the next state.
    pub administrators: Vec<PublicKey>,
    /// How many of them must.
    pub quorum: u8,
    /// The policy of the root directory; zero until one is set.
    pub root_policy: [u8; 32],
    /// The record of the root directory.
    pub root_record: [u8; 16],
}

impl RealmState {
    /// Makes the genesis of a new realm with one administrator.
    pub fn genesis(administrator: PublicKey, time_unix_s: i64) -> Self {
        Self {
            lowest_suite: crate::key::capsule::SUITE,
            nonce: hash::random(),
            seq: 0,
            previous: [0; 32],
            time_unix_s,
            administrators: vec![administrator],
            quorum: 1,
            root_policy: [0; 32],
            root_record: hash::random(),
        }
    }

    /// Signs the state as an administrator; returns the stored bytes.
    ///
    /// # Errors
    /// `Denied` when the key is not an administrator's.
    pub fn sign(&self, signer_list: &[PublicKey], key: &SigningKey) -> Result<Vec<u8>> {
        let index = signer_list.iter().position(|a| *a == key.public()).ok_or_else(|| {
            Error::new(Kind::Denied, "the realm cannot be changed")
                .because("the key is not an administrator's of this realm")
        })?;
        let mut w = self.to_writer();
        let signature = key.sign(DOMAIN, w.as_bytes());
        w.u8(1).u8(u8::try_from(index).expect("at most 32 administrators")).bytes(&signature.0);
        Ok(w.into_bytes())
    }

    fn to_writer(&self) -> Writer {
        let mut w = Writer::new();
        w.bytes(MAGIC).u16(FORMAT).u16(self.lowest_suite).bytes(&self.nonce).u64(self.seq);
        w.bytes(&self.previous).i64(self.time_unix_s);
        w.u8(u8::try_from(self.administrators.len()).expect("at most 32 administrators"));
        for a in &self.administrators {
            w.bytes(&a.0);
        }
        w.u8(self.quorum).bytes(&self.root_policy).bytes(&self.root_record);
        w
    }

    /// Reads a stored state and proves it: the genesis by its hash, every other by the state
    /// before it and a quorum of that state's administrators.
    ///
    /// # Errors
    /// `Integrity` when it is not the next state; `Unsupported` when it asks for a newer suite.
    pub fn verify(bytes: &[u8], before: Option<(&Self, [u8; 32])>) -> Result<Self> {
        let mut r = Reader::new(bytes, "a realm state");
        let state = Self::read(&mut r)?;
        let signed_len = r.position();
        let signers = usize::from(r.u8()?);
        let judges = before.map_or(&state.administrators, |(b, _)| &b.administrators);
        let quorum = before.map_or(state.quorum, |(b, _)| b.quorum);
        let mut valid = 0;
        let mut next_index = 0;
        for _ in 0..signers.min(ADMINISTRATORS_MAX) {
            let index = usize::from(r.u8()?);
            let signature = Signature(r.array()?);
            if index < next_index || index >= judges.len() {
                return Err(r.bad("its signers are not in order"));
            }
            judges[index].verify(DOMAIN, &bytes[..signed_len], &signature)?;
            (valid, next_index) = (valid + 1, index + 1);
        }
        r.finish()?;
        let follows = match before {
            None => state.seq == 0 && state.previous == [0; 32],
            Some((b, hash)) => {
                state.seq == b.seq + 1 && state.previous == hash && state.nonce == b.nonce
            }
        };
        if !follows || valid < quorum {
            return Err(Error::damaged("a realm state does not follow from the one before"));
        }
        if state.lowest_suite > crate::key::capsule::SUITE {
            return Err(Error::new(Kind::Unsupported, "the realm asks for a newer suite")
                .hint("use a newer chartfs"));
        }
        Ok(state)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        if r.array::<8>()? != *MAGIC || r.u16()? != FORMAT {
            return Err(r.bad("it does not begin as one"));
        }
        let (lowest_suite, nonce, seq, previous) = (r.u16()?, r.array()?, r.u64()?, r.array()?);
        let time_unix_s = r.i64()?;
        let count = usize::from(r.u8()?);
        if count == 0 || count > ADMINISTRATORS_MAX {
            return Err(r.bad("its count of administrators is over the limit"));
        }
        let mut administrators = Vec::with_capacity(count);
        for _ in 0..count {
            administrators.push(PublicKey(r.array()?));
        }
        let quorum = r.u8()?;
        if quorum == 0 || usize::from(quorum) > count {
            return Err(r.bad("its quorum cannot be reached"));
        }
        let (root_policy, root_record) = (r.array()?, r.array()?);
        Ok(Self {
            lowest_suite,
            nonce,
            seq,
            previous,
            time_unix_s,
            administrators,
            quorum,
            root_policy,
            root_record,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_follows_only_from_the_one_before_and_its_administrators() {
        let admin = SigningKey::generate();
        let genesis = RealmState::genesis(admin.public(), 1);
        let bytes = genesis.sign(&genesis.administrators, &admin).unwrap();
        assert_eq!(RealmState::verify(&bytes, None).unwrap(), genesis);
        let hash = hash::sha256(&[&bytes]);
        let next = RealmState { seq: 1, previous: hash, root_policy: [3; 32], ..genesis.clone() };
        let next_bytes = next.sign(&genesis.administrators, &admin).unwrap();
        assert!(RealmState::verify(&next_bytes, Some((&genesis, hash))).is_ok());
        assert!(RealmState::verify(&next_bytes, Some((&genesis, [0; 32]))).is_err());
        assert!(RealmState::verify(&next_bytes, None).is_err());

        let thief = SigningKey::generate();
        assert!(next.sign(&genesis.administrators, &thief).is_err());
        let usurped = RealmState { administrators: vec![thief.public()], ..next };
        let bytes = usurped.sign(&usurped.administrators, &thief).unwrap();
        assert!(RealmState::verify(&bytes, Some((&genesis, hash))).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_genesis_changes_its_pin_or_is_refused() {
        let admin = SigningKey::generate();
        let genesis = RealmState::genesis(admin.public(), 1);
        let bytes = genesis.sign(&genesis.administrators, &admin).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(RealmState::verify(&bad, None).is_err(), "bit {bit}");
        }
        assert!((0..bytes.len()).all(|n| RealmState::verify(&bytes[..n], None).is_err()));
    }
}
