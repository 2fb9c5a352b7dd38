//! Bodies in chunks of 64 KiB: each sealed on its own, all of them under one root hash.
//!
//! A chunk is nonce 12 | ciphertext | tag 16; its associated data bind place, index and whether it
//! is the last. A body has at least one chunk, so that an empty body looks like any other short
//! one. The author signs a hash of the ciphertext, never the tags: whoever holds the key can make
//! another ciphertext with the same tag.

use std::ops::Range;

use super::SectionCipher;

use crate::error::{Error, Result};
use crate::key::aead::{self, SEAL_OVERHEAD_BYTES};
use crate::key::hash;

/// Plaintext bytes of every chunk but the last.
pub const CHUNK_BYTES: u64 = 1 << CHUNK_LOG2;
/// Stored bytes of every chunk but the last.
pub const SEALED_CHUNK_BYTES: u64 = CHUNK_BYTES + SEAL_OVERHEAD_BYTES as u64;
/// The most chunks in one body: 64 GiB of plaintext.
pub const CHUNKS_MAX: u64 = 1 << 20;
/// The longest body, in bytes of plaintext.
pub const BODY_LEN_MAX_BYTES: u64 = CHUNKS_MAX * CHUNK_BYTES;

const CHUNK_LOG2: u32 = 16;

/// Returns how many chunks hold a body of `len` bytes: at least one.
pub fn chunk_count(len: u64) -> u64 {
    len.div_ceil(CHUNK_BYTES).max(1)
}

/// Returns how many bytes a body of `len` bytes takes when sealed.
pub fn sealed_len(len: u64) -> u64 {
    len + chunk_count(len) * SEAL_OVERHEAD_BYTES as u64
}

/// Returns where chunk `index` of a body of `len` bytes stands within the sealed body.
pub fn sealed_chunk_range(len: u64, index: u64) -> Range<u64> {
    let start = index * SEALED_CHUNK_BYTES;
    start..(start + SEALED_CHUNK_BYTES).min(sealed_len(len))
}

/// Returns SHA-256("chartfs1 chunk" | sealed chunk).
pub fn chunk_hash(sealed: &[u8]) -> [u8; 32] {
    hash::sha256(&[b"chartfs1 chunk", sealed])
}

/// Returns the root over the chunk hashes of an external body: SHA-256("chartfs1 chunks" |
/// hashes). It names the body's object, and anybody can recompute it.
pub fn open_root(hashes: &[u8]) -> [u8; 32] {
    hash::sha256(&[b"chartfs1 chunks", hashes])
}

impl SectionCipher {
    /// Returns the root over the chunk hashes of an inline body, blinded by the data key: without
    /// the blind the bucket could search the packed region for the bytes that give this root, and
    /// so learn how long the section is.
    pub fn blind_root(&self, hashes: &[u8]) -> [u8; 32] {
        hash::sha256(&[b"chartfs1 blind chunks", self.blind.expose(), hashes])
    }

    fn chunk_aad(&self, index: u64, is_last: bool) -> Vec<u8> {
        let mut aad = self.place().to_bytes().to_vec();
        aad.extend_from_slice(&index.to_le_bytes());
        aad.push(u8::from(is_last));
        aad
    }

    /// Seals one chunk and appends it to `out`; returns its hash.
    pub fn seal_chunk(
        &self,
        index: u64,
        is_last: bool,
        text: &[u8],
        out: &mut Vec<u8>,
    ) -> [u8; 32] {
        let start = out.len();
        aead::seal_into(&self.content, &self.chunk_aad(index, is_last), text, out);
        chunk_hash(&out[start..])
    }

    /// Opens one chunk whose hash was proven, and appends the plaintext to `out`.
    ///
    /// # Errors
    /// `Integrity` when the chunk has another hash, or does not open here.
    pub fn open_chunk(
        &self,
        index: u64,
        is_last: bool,
        sealed: &[u8],
        expected_hash: &[u8; 32],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if chunk_hash(sealed) != *expected_hash {
            return Err(Error::damaged("a chunk is not the one that its author signed"));
        }
        aead::open_into(&self.content, &self.chunk_aad(index, is_last), sealed, out)
    }

    /// Seals a body that fits in memory; returns the sealed chunks and their hashes.
    pub fn seal_body(&self, body: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let count = chunk_count(body.len() as u64);
        let mut sealed = Vec::with_capacity(body.len() + 64);
        let mut hashes = Vec::new();
        for index in 0..count {
            let start = usize::try_from(index * CHUNK_BYTES).expect("the body is in memory");
            let end = (start + (1 << CHUNK_LOG2)).min(body.len());
            let hash = self.seal_chunk(index, index + 1 == count, &body[start..end], &mut sealed);
            hashes.extend_from_slice(&hash);
        }
        (sealed, hashes)
    }

    /// Opens an inline body of `len` bytes against the blinded root that its author signed.
    ///
    /// # Errors
    /// `Integrity` when length, root or any chunk is wrong.
    pub fn open_body(&self, sealed: &[u8], len: u64, root: &[u8; 32]) -> Result<Vec<u8>> {
        if len > BODY_LEN_MAX_BYTES || sealed_len(len) != sealed.len() as u64 {
            return Err(Error::damaged("a section has another length than its author signed"));
        }
        let count = chunk_count(len);
        let sealed_chunk = usize::try_from(SEALED_CHUNK_BYTES).expect("a chunk fits in memory");
        let chunks = || sealed.chunks(sealed_chunk);
        let hashes: Vec<[u8; 32]> = chunks().map(chunk_hash).collect();
        if self.blind_root(hashes.as_flattened()) != *root {
            return Err(Error::damaged("a section is not the one that its author signed"));
        }
        let mut body = Vec::with_capacity(sealed.len());
        for (index, (chunk, hash)) in (0..).zip(chunks().zip(&hashes)) {
            self.open_chunk(index, index + 1 == count, chunk, hash, &mut body)?;
        }
        Ok(body)
    }
}

/// Returns `len` rounded up by Padmé: the exponent of the length stays visible, and of its other
/// bits only as many as the exponent has bits; at most 12 % more (PoPETs 2019.4, "Reducing
/// Metadata Leakage from Encrypted Files and Communication with PURBs"). At least 1 KiB.
pub fn padme(len: u64) -> u64 {
    let len = len.max(1024);
    let exponent = len.ilog2();
    let kept_bits = exponent.ilog2() + 1;
    let mask = (1u64 << (exponent - kept_bits)) - 1;
    (len + mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::super::{Place, SectionCipher};
    use super::*;
    use crate::key::secret::DataKey;
    use proptest::prelude::*;

    fn cipher() -> SectionCipher {
        let place = Place { realm: [1; 16], record: [2; 16], slot: 3, part: 0, version: 4 };
        SectionCipher::new(&DataKey::random(), place)
    }

    #[test]
    fn an_empty_body_is_one_chunk_like_any_short_one() {
        assert_eq!((chunk_count(0), sealed_len(0)), (1, 28));
        assert_eq!((chunk_count(65_536), chunk_count(65_537)), (1, 2));
        assert_eq!(sealed_chunk_range(65_537, 1), 65_564..65_593);
    }

    #[test]
    fn bodies_of_every_border_length_come_back() {
        let c = cipher();
        for len in [0usize, 1, 65_535, 65_536, 65_537, 200_000] {
            let body: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let (sealed, hashes) = c.seal_body(&body);
            assert_eq!(sealed.len() as u64, sealed_len(len as u64));
            let root = c.blind_root(&hashes);
            assert_eq!(c.open_body(&sealed, len as u64, &root).unwrap(), body);
            assert!(c.open_body(&sealed, len as u64 + 1, &root).is_err());
            assert!(c.open_body(&sealed[..sealed.len() - 1], len as u64, &root).is_err());
        }
    }

    #[test]
    fn chunks_cannot_be_cut_off_or_swapped_even_by_a_key_holder_with_a_new_root() {
        let c = cipher();
        let body = vec![7; 3 * 65_536];
        let (sealed, hashes) = c.seal_body(&body);
        let n = usize::try_from(SEALED_CHUNK_BYTES).unwrap();
        let cut = &sealed[..2 * n];
        assert!(c.open_body(cut, 2 * 65_536, &c.blind_root(&hashes[..64])).is_err());
        let swapped = [&sealed[n..2 * n], &sealed[..n], &sealed[2 * n..]].concat();
        let h = [&hashes[32..64], &hashes[..32], &hashes[64..]].concat();
        assert!(c.open_body(&swapped, 3 * 65_536, &c.blind_root(&h)).is_err());
    }

    proptest! {
        #[test]
        fn padme_adds_at_most_twelve_percent(len in 1024u64..1 << 40) {
            let padded = padme(len);
            prop_assert!(padded >= len && padded <= len + len * 12 / 100);
            prop_assert_eq!(padme(padded), padded);
        }
    }
}
