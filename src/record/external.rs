//! Long sections: an immutable object of their own, named by the root over its chunk hashes, read
//! by ranges.
//!
//! Object `b/<root>`: the sealed chunks of the padded body, then their hashes, 32 bytes each. The
//! plaintext is padded with zeros to Padmé of its length, so the object's size tells the exponent
//! and a few bits more. Anybody can recompute the name from the object.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;

use bytes::Bytes;
use futures::stream;

use super::head::Part;
use super::open::Opened;
use super::{RecordId, Records};
use crate::error::{Error, Kind, Result};
use crate::key::credential::hex;
use crate::realm::object_name;
use crate::section::SectionCipher;
pub use crate::section::chunk::CHUNK_BYTES;
use crate::section::chunk::{
    CHUNKS_MAX, SEALED_CHUNK_BYTES, chunk_count, chunk_hash, open_root, padme, sealed_chunk_range,
    sealed_len,
};

const UPLOAD_PIECE_BYTES: usize = 1 << 20;

/// A plaintext that is read piece by piece.
pub trait BodySource: Send + Sync {
    /// Returns its length in bytes.
    fn len_bytes(&self) -> u64;

    /// Fills `out` with the bytes from `offset` on; never called beyond the end.
    ///
    /// # Errors
    /// Those of where the plaintext is kept.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()>;
}

impl BodySource for Vec<u8> {
    fn len_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let start = usize::try_from(offset).expect("callers stay within the length");
        out.copy_from_slice(&self[start..start + out.len()]);
        Ok(())
    }
}

impl Records {
    /// Seals a body into a temporary file of ciphertext and uploads that; returns the chunk hashes.
    pub(super) async fn put_external(
        &self,
        cipher: &SectionCipher,
        source: &dyn BodySource,
    ) -> Result<Vec<u8>> {
        let (mut file, hashes) = tokio::task::block_in_place(|| seal_to_file(cipher, source))?;
        file.seek(SeekFrom::Start(0))?;
        let name = object_name("b", &hex(&open_root(&hashes)));
        let pieces = stream::unfold(file, |mut file| async move {
            let piece = tokio::task::block_in_place(|| read_piece(&mut file));
            match piece {
                Ok(bytes) if bytes.is_empty() => None,
                other => Some((other, file)),
            }
        });
        self.realm.bucket().put_large(&name, pieces).await?;
        Ok(hashes)
    }

    /// Returns bytes of an external section; the range is cut at its end.
    ///
    /// # Errors
    /// `Integrity` when a chunk is missing, or not the one that its author signed.
    pub async fn read_external(
        &self,
        part: &Part,
        opened: &Opened,
        range: Range<u64>,
    ) -> Result<Vec<u8>> {
        let len = opened.meta.body_len;
        let range = range.start.min(len)..range.end.min(len);
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let padded = padme(len);
        let is_known = opened.chunk_hashes.initialized();
        let hashes =
            opened.chunk_hashes.get_or_try_init(|| self.fetch_chunk_hashes(part, padded)).await?;
        if !is_known {
            self.recount(RecordId(opened.cipher.place().record));
        }
        let (first, last) = (range.start / CHUNK_BYTES, (range.end - 1) / CHUNK_BYTES);
        let stored = sealed_chunk_range(padded, first).start..sealed_chunk_range(padded, last).end;
        let name = object_name("b", &hex(&part.content.body));
        let sealed = self.realm.bucket().get_range(&name, stored.clone()).await;
        let sealed = sealed.map_err(missing_is_damage)?;
        let mut text = Vec::with_capacity(sealed.len());
        for index in first..=last {
            let at = sealed_chunk_range(padded, index);
            let chunk = &sealed[to_usize(at.start - stored.start)..to_usize(at.end - stored.start)];
            let hash_at = to_usize(index) * 32;
            let hash = hashes[hash_at..hash_at + 32].try_into().expect("32 bytes of a hash");
            let is_last = index + 1 == chunk_count(padded);
            opened.cipher.open_chunk(index, is_last, chunk, hash, &mut text)?;
        }
        let skip = to_usize(range.start - first * CHUNK_BYTES);
        text.drain(..skip);
        text.truncate(to_usize(range.end - range.start));
        Ok(text)
    }

    async fn fetch_chunk_hashes(&self, part: &Part, padded: u64) -> Result<Vec<u8>> {
        let start = sealed_len(padded);
        let end = start + 32 * chunk_count(padded);
        let name = object_name("b", &hex(&part.content.body));
        let hashes = self.realm.bucket().get_range(&name, start..end).await;
        let hashes = hashes.map_err(missing_is_damage)?;
        if open_root(&hashes) == part.content.body {
            Ok(hashes.to_vec())
        } else {
            Err(Error::damaged("a long section is not the one that its author signed"))
        }
    }
}

/// A signed head names the object: the bucket may not say that it never was.
fn missing_is_damage(e: Error) -> Error {
    if e.kind() == Kind::NotFound {
        return Error::damaged("a long section is missing from the bucket")
            .because("a signed record names it");
    }
    e
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).expect("ranges of one request fit in memory")
}

fn read_piece(file: &mut File) -> Result<Bytes> {
    let mut piece = Vec::with_capacity(UPLOAD_PIECE_BYTES);
    file.take(UPLOAD_PIECE_BYTES as u64).read_to_end(&mut piece)?;
    Ok(piece.into())
}

/// Only ciphertext reaches the file, and it has no name.
fn seal_to_file(cipher: &SectionCipher, source: &dyn BodySource) -> Result<(File, Vec<u8>)> {
    let mut file = tempfile::tempfile()?;
    let (len, padded) = (source.len_bytes(), padme(source.len_bytes()));
    let count = chunk_count(padded);
    if count > CHUNKS_MAX {
        return Err(Error::new(Kind::NoSpace, "the file is too long")
            .because("a section holds at most 64 GiB"));
    }
    let mut hashes = Vec::with_capacity(to_usize(count) * 32);
    let mut text = Vec::new();
    let mut sealed = Vec::new();
    for index in 0..count {
        let start = index * CHUNK_BYTES;
        let end = (start + CHUNK_BYTES).min(padded);
        text.clear();
        text.resize(to_usize(end - start), 0);
        if start < len {
            let live = to_usize((end.min(len)) - start);
            source.read_at(start, &mut text[..live])?;
        }
        sealed.clear();
        hashes.extend(cipher.seal_chunk(index, index + 1 == count, &text, &mut sealed));
        file.write_all(&sealed)?;
    }
    zeroize::Zeroize::zeroize(&mut text);
    file.write_all(&hashes)?;
    Ok((file, hashes))
}

/// How many chunks a checker is best given at a time: one mebibyte.
pub const PIECE_CHUNKS: u64 = 16;

/// Recomputes the name of an external body, piece by piece and without any key.
pub struct ExternalChecker {
    sealed_len: u64,
    hashes: Vec<u8>,
}

impl ExternalChecker {
    /// Begins with an object of `object_len` bytes.
    ///
    /// # Errors
    /// `Integrity` when no external body is that long.
    pub fn new(object_len: u64) -> Result<Self> {
        let per_chunk = SEALED_CHUNK_BYTES + 32;
        let count = object_len.div_ceil(per_chunk).max(1);
        let sealed_len = object_len
            .checked_sub(count.saturating_mul(32))
            .filter(|n| count <= CHUNKS_MAX && n.div_ceil(SEALED_CHUNK_BYTES) == count)
            .ok_or_else(|| Error::damaged("a long section has an impossible length"))?;
        Ok(Self { sealed_len, hashes: Vec::new() })
    }

    /// Returns how many bytes of the object are sealed chunks; the chunk hashes follow.
    pub fn sealed_len(&self) -> u64 {
        self.sealed_len
    }

    /// Takes the next sealed chunks, a whole number of them unless they are the last.
    pub fn add(&mut self, sealed: &[u8]) {
        let chunks = sealed.chunks(to_usize(SEALED_CHUNK_BYTES));
        self.hashes.extend(chunks.flat_map(chunk_hash));
    }

    /// Ends with the chunk hashes that the object lists, and the root that it is named by.
    ///
    /// # Errors
    /// `Integrity` when they are others.
    pub fn finish(self, listed: &[u8], root: &[u8; 32]) -> Result<()> {
        if self.hashes != listed {
            return Err(Error::damaged("a long section does not have the chunks that it lists"));
        }
        if open_root(&self.hashes) == *root {
            Ok(())
        } else {
            Err(Error::damaged("a long section is not the one that its name says"))
        }
    }
}
