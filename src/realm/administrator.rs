//! An administrator's key, as it is sealed into a file: who signs the realm's states, introduces
//! authorities and sets the root policy. It opens no record.
//!
//! Bytes: hash of the realm's genesis 32 (zero: the realm is not founded yet) | Ed25519 seed 32.

use zeroize::Zeroizing;

use crate::error::Result;
use crate::key::secret::Secret;
use crate::key::sign::SigningKey;
use crate::wire::{Reader, Writer};

/// The key of an administrator, pinned to its realm once that exists.
pub struct AdministratorKey {
    /// The hash of the realm's genesis; none before the realm was founded.
    pub realm_genesis: Option<[u8; 32]>,
    /// Who signs.
    pub identity: SigningKey,
}

impl AdministratorKey {
    /// Makes the key of the administrator who will found a realm.
    pub fn generate() -> Self {
        Self { realm_genesis: None, identity: SigningKey::generate() }
    }

    /// Returns the bytes to be sealed into the administrator file.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::new();
        w.bytes(&self.realm_genesis.unwrap_or_default()).bytes(self.identity.seed().expose());
        Zeroizing::new(w.into_bytes())
    }

    /// Reads what [`AdministratorKey::to_bytes`] made.
    ///
    /// # Errors
    /// `Integrity` when it is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, "an administrator file");
        let genesis: [u8; 32] = r.array()?;
        let identity = SigningKey::from_seed(Secret::new(r.array()?));
        r.finish()?;
        Ok(Self { realm_genesis: (genesis != [0; 32]).then_some(genesis), identity })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_comes_back_from_its_file() {
        let mut key = AdministratorKey::generate();
        for genesis in [None, Some([7; 32])] {
            key.realm_genesis = genesis;
            let bytes = key.to_bytes();
            let read = AdministratorKey::from_bytes(&bytes).unwrap();
            assert_eq!(read.realm_genesis, genesis);
            assert_eq!(read.identity.public(), key.identity.public());
            assert!((0..bytes.len()).all(|n| AdministratorKey::from_bytes(&bytes[..n]).is_err()));
        }
    }
}
