//! Sealing a new section version: a fresh data key, wrapped once per clause.

use super::commit::{Body, Built, SlotWrite, Under, too_many};
use super::head::{Content, FLAG_EXTERNAL, Part, THIS_COMMIT};
use super::meta::{Extent, Meta};
use super::open::Opened;
use super::{Records, section_name};
use crate::error::{Error, Kind, Result};
use crate::key::secret::DataKey;
use crate::section::chunk::{BODY_LEN_MAX_BYTES, open_root};
use crate::section::{Place, SectionCipher};
use std::sync::Arc;

/// A longer section is an object of its own.
pub const INLINE_MAX_BYTES: u64 = 256 << 10;

impl Records {
    /// Seals one part; without `write` it is a section that was never written. `before` is the
    /// part that it replaces.
    pub(super) async fn seal_part(
        &self,
        under: Under<'_>,
        slot: u16,
        number: u16,
        write: Option<SlotWrite>,
        before: Option<Built>,
    ) -> Result<Built> {
        let realm = self.realm.id();
        let record = under.located.record;
        let version = match (&write, &before) {
            (None, _) => 0,
            (Some(_), None) => 1,
            (Some(_), Some(b)) => {
                b.part.content.version.checked_add(1).ok_or_else(|| too_many("versions"))?
            }
        };
        let place = Place { realm, record: record.0, slot, part: number, version };
        let previous = before
            .as_ref()
            .map_or([0; 32], |b| b.part.content.hash(&realm, record, slot, b.part.number));
        let write = write.unwrap_or_else(|| SlotWrite::empty(slot));
        let mut built = self.seal_at(under, place, DataKey::random(), previous, write).await?;
        built.old_extent = before.and_then(|b| b.old_extent);
        Ok(built)
    }

    /// Seals a body at its place under a data key.
    pub(super) async fn seal_at(
        &self,
        under: Under<'_>,
        place: Place,
        data_key: DataKey,
        previous: [u8; 32],
        write: SlotWrite,
    ) -> Result<Built> {
        let cipher = SectionCipher::new(&data_key, place);
        let meta = Meta { body_len: write.body.len(), measure: write.measure };
        if meta.body_len > BODY_LEN_MAX_BYTES {
            return Err(Error::new(Kind::NoSpace, "the file is too long")
                .because("a section holds at most 64 GiB"));
        }
        let mtime_unix_ns = write.mtime_unix_ns;
        let (root, flags, sealed) = self.seal_any_body(&cipher, write.body).await?;
        let content = Content {
            version: place.version,
            flags,
            commitment: *cipher.commitment(),
            body: root,
            meta: meta.seal(&cipher),
            previous,
        };
        let read = &under.bound.rights(section_name(place.slot)).read;
        let wraps = self.wrap(read, place, &data_key).await?;
        let extent = Extent { mtime_unix_ns, ..Extent::default() };
        let part = Part {
            number: place.part,
            content,
            statement: THIS_COMMIT,
            policy: 0,
            extent: extent.seal(&cipher),
            wraps,
        };
        let chunk_hashes = tokio::sync::OnceCell::new();
        let opened = Arc::new(Opened { cipher, data_key, meta, extent, chunk_hashes });
        Ok(Built {
            part,
            opened: Some(opened),
            sealed,
            old_extent: None,
            policy: under.policy.clone(),
            vouched: None,
        })
    }

    /// Seals a body inline when it is short, and otherwise as an object of its own.
    async fn seal_any_body(
        &self,
        cipher: &SectionCipher,
        body: Body,
    ) -> Result<([u8; 32], u16, Option<Vec<u8>>)> {
        match body {
            Body::Bytes(bytes) if bytes.len() as u64 <= INLINE_MAX_BYTES => {
                let (sealed, hashes) = cipher.seal_body(&bytes);
                Ok((cipher.blind_root(&hashes), 0, Some(sealed)))
            }
            Body::Bytes(bytes) => {
                let hashes = self.put_external(cipher, &bytes).await?;
                Ok((open_root(&hashes), FLAG_EXTERNAL, None))
            }
            Body::Source(source) => {
                let hashes = self.put_external(cipher, &*source).await?;
                Ok((open_root(&hashes), FLAG_EXTERNAL, None))
            }
        }
    }
}
