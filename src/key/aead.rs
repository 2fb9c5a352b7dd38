//! AES-256-GCM with stored random nonces: nonce 12 | ciphertext | tag 16.
//!
//! The nonce is made by the crypto module itself, the only sealing service that stays approved in
//! its FIPS build. Two implementations give the same bytes; feature `pure-rust` picks the second.

use crate::error::{Error, Result};
use crate::key::secret::Secret;

/// What sealing adds to a plaintext, in bytes: nonce 12, tag 16.
pub const SEAL_OVERHEAD_BYTES: usize = NONCE_LEN + TAG_LEN;

const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

/// Seals `plaintext` under `key`, bound to `aad`; appends nonce, ciphertext and tag to `out`.
pub fn seal_into(key: &Secret<32>, aad: &[u8], plaintext: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.reserve(plaintext.len() + SEAL_OVERHEAD_BYTES);
    out.extend_from_slice(&[0; NONCE_LEN]);
    out.extend_from_slice(plaintext);
    let (nonce, tag) = imp::seal(key, aad, &mut out[start + NONCE_LEN..]);
    out[start..start + NONCE_LEN].copy_from_slice(&nonce);
    out.extend_from_slice(&tag);
}

/// Seals `plaintext` under `key`, bound to `aad`.
pub fn seal(key: &Secret<32>, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    seal_into(key, aad, plaintext, &mut out);
    out
}

/// Opens what [`seal`] made and appends the plaintext to `out`.
///
/// # Errors
/// `Integrity` when it is too short, or not sealed under this key for this `aad`; `out` is then
/// as it was.
pub fn open_into(key: &Secret<32>, aad: &[u8], sealed: &[u8], out: &mut Vec<u8>) -> Result<()> {
    if sealed.len() < SEAL_OVERHEAD_BYTES {
        return Err(Error::damaged("a sealed chunk is too short"));
    }
    let (nonce, rest) = sealed.split_at(NONCE_LEN);
    let nonce: [u8; NONCE_LEN] = nonce.try_into().expect("split at the nonce length");
    let start = out.len();
    out.extend_from_slice(rest);
    if imp::open(key, nonce, aad, &mut out[start..]) {
        out.truncate(start + rest.len() - TAG_LEN);
        Ok(())
    } else {
        out.truncate(start);
        Err(Error::damaged("a sealed chunk does not open under its key"))
    }
}

/// Opens what [`seal`] made.
///
/// # Errors
/// `Integrity` as [`open_into`].
pub fn open(key: &Secret<32>, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    open_into(key, aad, sealed, &mut out)?;
    Ok(out)
}

#[cfg(not(feature = "pure-rust"))]
use aws_lc as imp;
#[cfg(feature = "pure-rust")]
use rust_crypto as imp;

#[cfg(any(test, not(feature = "pure-rust")))]
mod aws_lc {
    use super::{NONCE_LEN, TAG_LEN};
    use crate::key::secret::Secret;
    use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};

    fn cipher(key: &Secret<32>) -> RandomizedNonceKey {
        RandomizedNonceKey::new(&AES_256_GCM, key.expose()).expect("the key has 32 bytes")
    }

    pub(super) fn seal(
        key: &Secret<32>,
        aad: &[u8],
        text: &mut [u8],
    ) -> ([u8; NONCE_LEN], [u8; TAG_LEN]) {
        let (nonce, tag) = cipher(key)
            .seal_in_place_separate_tag(Aad::from(aad), text)
            .expect("chunks are far below the limit of GCM");
        (*nonce.as_ref(), tag.as_ref().try_into().expect("a GCM tag has 16 bytes"))
    }

    pub(super) fn open(
        key: &Secret<32>,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        text_and_tag: &mut [u8],
    ) -> bool {
        let nonce = Nonce::assume_unique_for_key(nonce);
        cipher(key).open_in_place(nonce, Aad::from(aad), text_and_tag).is_ok()
    }
}

#[cfg(any(test, feature = "pure-rust"))]
mod rust_crypto {
    use super::{NONCE_LEN, TAG_LEN};
    use crate::key::{hash, secret::Secret};
    use aes_gcm::aead::{AeadInOut, KeyInit};
    use aes_gcm::{Aes256Gcm, Nonce, Tag};

    fn cipher(key: &Secret<32>) -> Aes256Gcm {
        Aes256Gcm::new_from_slice(key.expose()).expect("the key has 32 bytes")
    }

    pub(super) fn seal(
        key: &Secret<32>,
        aad: &[u8],
        text: &mut [u8],
    ) -> ([u8; NONCE_LEN], [u8; TAG_LEN]) {
        let nonce: [u8; NONCE_LEN] = hash::random();
        let tag = cipher(key)
            .encrypt_inout_detached(&Nonce::from(nonce), aad, text.into())
            .expect("chunks are far below the limit of GCM");
        (nonce, tag.into())
    }

    pub(super) fn open(
        key: &Secret<32>,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        text_and_tag: &mut [u8],
    ) -> bool {
        let at = text_and_tag.len() - TAG_LEN;
        let (text, tag) = text_and_tag.split_at_mut(at);
        let tag: [u8; TAG_LEN] = (&*tag).try_into().expect("split at the tag");
        cipher(key)
            .decrypt_inout_detached(&Nonce::from(nonce), aad, text.into(), &Tag::from(tag))
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_implementations_open_what_the_other_sealed(
            key: [u8; 32], aad: Vec<u8>, text: Vec<u8>, flip in any::<proptest::sample::Index>(),
        ) {
            let key = Secret::new(key);
            let mut a = text.clone();
            let (nonce, tag) = aws_lc::seal(&key, &aad, &mut a);
            a.extend_from_slice(&tag);
            let mut copy = a.clone();
            prop_assert!(rust_crypto::open(&key, nonce, &aad, &mut copy));
            prop_assert_eq!(&copy[..text.len()], &text[..]);

            let mut b = text.clone();
            let (nonce, tag) = rust_crypto::seal(&key, &aad, &mut b);
            b.extend_from_slice(&tag);
            let mut bad = b.clone();
            prop_assert!(aws_lc::open(&key, nonce, &aad, &mut b));
            prop_assert_eq!(&b[..text.len()], &text[..]);

            let at = flip.index(bad.len());
            bad[at] ^= 1;
            prop_assert!(!aws_lc::open(&key, nonce, &aad, &mut bad.clone()));
            prop_assert!(!rust_crypto::open(&key, nonce, &aad, &mut bad));
        }
    }

    #[test]
    fn a_short_or_foreign_chunk_is_damage_and_leaves_nothing() {
        let key = Secret::new([1; 32]);
        let sealed = seal(&key, b"here", b"text");
        assert_eq!(open(&key, b"here", &sealed).unwrap(), b"text");
        assert!(open(&key, b"there", &sealed).is_err());
        let mut out = b"kept".to_vec();
        assert!(open_into(&key, b"here", &sealed[..27], &mut out).is_err());
        assert!(open_into(&Secret::new([2; 32]), b"here", &sealed, &mut out).is_err());
        assert_eq!(out, b"kept");
    }
}
