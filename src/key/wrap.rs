//! Wrapping a data key under a clause: the outer key and the clause's secret give a key-encryption
//! key, which seals the data key beside the hash of the capsule.

use super::aead;
use super::hash;
use super::secret::{ClauseSecret, DataKey, Secret};
use crate::error::{Error, Result};
use crate::wire::{Reader, Writer};

/// Stored bytes of a wrap: capsule hash 32 | nonce 12 | wrapped key 32 | tag 16.
pub const WRAP_LEN: usize = 92;

/// The outer key of a realm epoch, first in the key schedule. Suite 1 has none; suite 2 is
/// reserved for one that is delivered to each device by X-Wing.
pub enum OuterKey {
    /// Suite 1: zero bytes.
    None,
}

impl OuterKey {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
        }
    }
}

/// A data key wrapped under one clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrap {
    capsule: [u8; 32],
    sealed: [u8; 60],
}

impl Wrap {
    /// Wraps `data_key` for `place` under the secret that the capsule of this hash encapsulates.
    pub fn new(
        outer: &OuterKey,
        secret: &ClauseSecret,
        capsule: [u8; 32],
        place: &[u8],
        data_key: &DataKey,
    ) -> Self {
        let kek = key_encryption_key(outer, secret, &capsule, place);
        let sealed = aead::seal(&kek, place, data_key.expose());
        Self { capsule, sealed: sealed.try_into().expect("32 bytes seal to 60") }
    }

    /// Returns the hash of the capsule whose secret opens this.
    pub fn capsule(&self) -> &[u8; 32] {
        &self.capsule
    }

    /// Unwraps the data key.
    ///
    /// # Errors
    /// `Integrity` when it was not wrapped here under this secret.
    pub fn open(&self, outer: &OuterKey, secret: &ClauseSecret, place: &[u8]) -> Result<DataKey> {
        let kek = key_encryption_key(outer, secret, &self.capsule, place);
        let opened = zeroize::Zeroizing::new(aead::open(&kek, place, &self.sealed)?);
        let bytes: [u8; 32] = opened[..]
            .try_into()
            .map_err(|_| Error::damaged("a wrapped key has another length"))?;
        Ok(Secret::new(bytes))
    }

    /// Appends the stored bytes.
    pub fn write(&self, w: &mut Writer) {
        w.bytes(&self.capsule).bytes(&self.sealed);
    }

    /// Takes the stored bytes.
    ///
    /// # Errors
    /// `Integrity` when fewer are left.
    pub fn read(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { capsule: r.array()?, sealed: r.array()? })
    }
}

/// HKDF-SHA-256(salt = capsule hash, ikm = O ‖ S, info = "chartfs1 kek" ‖ place). The approved
/// secret stands first (SP 800-56C r2, Z ‖ T).
fn key_encryption_key(
    outer: &OuterKey,
    secret: &ClauseSecret,
    capsule: &[u8; 32],
    place: &[u8],
) -> Secret<32> {
    let ikm = zeroize::Zeroizing::new([outer.bytes(), secret.expose()].concat());
    hash::hkdf(capsule, &ikm, &[b"chartfs1 kek", place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrap_opens_with_its_secret_at_its_place_only() {
        let (secret, key) = (ClauseSecret::random(), DataKey::random());
        let wrap = Wrap::new(&OuterKey::None, &secret, [9; 32], b"place", &key);
        let opened = wrap.open(&OuterKey::None, &secret, b"place").unwrap();
        assert_eq!(opened.expose(), key.expose());
        assert!(wrap.open(&OuterKey::None, &secret, b"elsewhere").is_err());
        assert!(wrap.open(&OuterKey::None, &ClauseSecret::random(), b"place").is_err());
        let relabelled = Wrap { capsule: [8; 32], ..wrap };
        assert!(relabelled.open(&OuterKey::None, &secret, b"place").is_err());
    }
}
