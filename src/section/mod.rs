//! Are these the bytes that were sealed? One section version under its data key: bound to its
//! place, cut into chunks, committed to one key.
//!
//! Pure: no files, no network, no clock. A [`SectionCipher`] holds what a data key gives at one
//! [`Place`]; [`chunk`] seals and opens bodies with it.

pub mod chunk;

use crate::error::{Error, Result};
use crate::key::secret::{DataKey, Secret};
use crate::key::{aead, hash};

/// Where a section version stands; every key and every chunk of it is bound to this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The realm, 16 bytes.
    pub realm: [u8; 16],
    /// The record, 16 random bytes.
    pub record: [u8; 16],
    /// The slot of the section in its record.
    pub slot: u16,
    /// The part within the slot.
    pub part: u16,
    /// Counts the writes of this section; 0 means never written.
    pub version: u64,
}

impl Place {
    /// Returns the place as bytes: realm 16 | record 16 | slot 2 | part 2 | version 8.
    pub fn to_bytes(self) -> [u8; 44] {
        let mut out = [0; 44];
        out[..16].copy_from_slice(&self.realm);
        out[16..32].copy_from_slice(&self.record);
        out[32..34].copy_from_slice(&self.slot.to_le_bytes());
        out[34..36].copy_from_slice(&self.part.to_le_bytes());
        out[36..].copy_from_slice(&self.version.to_le_bytes());
        out
    }
}

/// What a data key gives at one place: a key for the content, one for the metadata, a blind for
/// the hash of the body, and the commitment that ties all of them to this one data key.
pub struct SectionCipher {
    place: Place,
    content: Secret<32>,
    meta: Secret<32>,
    blind: Secret<32>,
    commitment: [u8; 32],
}

impl SectionCipher {
    /// Derives everything from a data key by HKDF-SHA-256 (RFC 5869).
    pub fn new(data_key: &DataKey, place: Place) -> Self {
        let at = place.to_bytes();
        let derive = |label: &[u8]| hash::hkdf::<32>(b"", data_key.expose(), &[label, &at]);
        Self {
            place,
            content: derive(b"chartfs1 content"),
            meta: derive(b"chartfs1 meta"),
            blind: derive(b"chartfs1 blind"),
            commitment: *derive(b"chartfs1 commit").expose(),
        }
    }

    /// Derives everything and checks that the data key is the one that the author committed to;
    /// without this one ciphertext could say two things to two readers.
    ///
    /// # Errors
    /// `Integrity` when the commitment is another.
    pub fn committed(data_key: &DataKey, place: Place, commitment: &[u8; 32]) -> Result<Self> {
        let cipher = Self::new(data_key, place);
        if hash::equal(&cipher.commitment, commitment) {
            Ok(cipher)
        } else {
            Err(Error::damaged("a data key is not the one that the author committed to"))
        }
    }

    /// Returns the 32-byte commitment to the data key.
    pub fn commitment(&self) -> &[u8; 32] {
        &self.commitment
    }

    /// Returns where this section version stands.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Seals metadata of this section version; `what` separates the kinds of it.
    pub fn seal_meta(&self, what: &[u8], plaintext: &[u8]) -> Vec<u8> {
        aead::seal(&self.meta, &self.meta_aad(what), plaintext)
    }

    /// Opens metadata of this section version.
    ///
    /// # Errors
    /// `Integrity` when it was not sealed here.
    pub fn open_meta(&self, what: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        aead::open(&self.meta, &self.meta_aad(what), sealed)
    }

    fn meta_aad(&self, what: &[u8]) -> Vec<u8> {
        [what, &self.place.to_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn place() -> Place {
        Place { realm: [1; 16], record: [2; 16], slot: 3, part: 0, version: 4 }
    }

    #[test]
    fn metadata_opens_only_at_its_place_and_for_its_kind() {
        let key = DataKey::random();
        let cipher = SectionCipher::new(&key, place());
        let sealed = cipher.seal_meta(b"meta", b"numbers");
        assert_eq!(cipher.open_meta(b"meta", &sealed).unwrap(), b"numbers");
        assert!(cipher.open_meta(b"extent", &sealed).is_err());
        let elsewhere = SectionCipher::new(&key, Place { slot: 4, ..place() });
        assert!(elsewhere.open_meta(b"meta", &sealed).is_err());
    }

    #[test]
    fn a_ciphertext_cannot_say_two_things_to_two_readers() {
        let key = DataKey::random();
        let cipher = SectionCipher::new(&key, place());
        assert!(SectionCipher::committed(&key, place(), cipher.commitment()).is_ok());
        assert!(
            SectionCipher::committed(&DataKey::random(), place(), cipher.commitment()).is_err()
        );
    }
}
