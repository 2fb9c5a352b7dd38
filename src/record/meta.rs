//! What is sealed beside a section, so that a caller's view is measured without its bodies.

use super::format::Measure;
use crate::error::{Error, Result};
use crate::section::SectionCipher;
use crate::section::chunk::BODY_LEN_MAX_BYTES;
use crate::wire::{Reader, Writer};

/// Length and measure of a section version, as its author signed them; 56 bytes before sealing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Bytes of the body before sealing.
    pub body_len: u64,
    /// What the section adds to a caller's view.
    pub measure: Measure,
}

impl Meta {
    /// Seals the metadata: body length u64 | text length u64 | list count u32 | drop length u32 |
    /// replaced length u32 | numbered u32 | zero 24.
    pub fn seal(&self, cipher: &SectionCipher) -> [u8; super::head::META_LEN] {
        let mut w = Writer::new();
        let Measure { text_len, list_count, drop_len, replaced_len, numbered } = self.measure;
        w.u64(self.body_len).u64(text_len);
        w.u32(list_count).u32(drop_len).u32(replaced_len).u32(numbered).bytes(&[0; 24]);
        sized(cipher.seal_meta(b"meta", w.as_bytes()))
    }

    /// Opens the metadata.
    ///
    /// # Errors
    /// `Integrity` when it was not sealed at this place under this data key, or a length in it is
    /// more than a section can hold.
    pub fn open(cipher: &SectionCipher, sealed: &[u8]) -> Result<Self> {
        let bytes = cipher.open_meta(b"meta", sealed)?;
        let mut r = Reader::new(&bytes, "metadata");
        let (body_len, text_len) = (r.u64()?, r.u64()?);
        let (list_count, drop_len) = (r.u32()?, r.u32()?);
        let (replaced_len, numbered) = (r.u32()?, r.u32()?);
        if r.array::<24>()? != [0; 24] {
            return Err(r.bad("a reserved field is not zero"));
        }
        if body_len > BODY_LEN_MAX_BYTES || text_len > BODY_LEN_MAX_BYTES {
            return Err(r.bad("a length in it is over the limit"));
        }
        r.finish()?;
        let measure = Measure { text_len, list_count, drop_len, replaced_len, numbered };
        Ok(Self { body_len, measure })
    }
}

/// Where an inline body lies in the region, and the time that programs see. Sealed, so that neither
/// the bucket nor another reader learns which slots are filled or how long they are; not signed by
/// the section's author, because whoever packs the region or sets the time commits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Extent {
    /// First byte in the region.
    pub offset: u64,
    /// Bytes set aside; the sealed body fills the first of them.
    pub capacity: u64,
    /// In the record's first slot: bytes of the region in use. Zero elsewhere.
    pub region_used: u64,
    /// When the section was changed, as programs see it.
    pub mtime_unix_ns: i64,
}

impl Extent {
    /// Seals the extent: offset u64 | capacity u64 | region used u64 | mtime i64.
    pub fn seal(&self, cipher: &SectionCipher) -> [u8; super::head::EXTENT_LEN] {
        let mut w = Writer::new();
        w.u64(self.offset).u64(self.capacity).u64(self.region_used).i64(self.mtime_unix_ns);
        sized(cipher.seal_meta(b"extent", w.as_bytes()))
    }

    /// Opens the extent and checks that it lies within the region.
    ///
    /// # Errors
    /// `Integrity` when it was not sealed here, or points outside.
    pub fn open(cipher: &SectionCipher, sealed: &[u8], region_len: u64) -> Result<Self> {
        let bytes = cipher.open_meta(b"extent", sealed)?;
        let mut r = Reader::new(&bytes, "an extent");
        let (offset, capacity, region_used) = (r.u64()?, r.u64()?, r.u64()?);
        let extent = Self { offset, capacity, region_used, mtime_unix_ns: r.i64()? };
        r.finish()?;
        let inside = extent.offset.checked_add(extent.capacity).is_some_and(|e| e <= region_len);
        if inside && extent.region_used <= region_len {
            Ok(extent)
        } else {
            Err(Error::damaged("a section points outside its record"))
        }
    }
}

fn sized<const N: usize>(sealed: Vec<u8>) -> [u8; N] {
    sealed.try_into().expect("a fixed-width plaintext seals to a fixed width")
}
