//! Writing an object that does not fit in memory.

use bytes::{Bytes, BytesMut};
use futures::stream::{FuturesUnordered, Stream, StreamExt};

use super::Bucket;
use super::backend::{Condition, PART_LEN_BYTES, Put, Upload, Version};
use super::name::ObjectName;
use crate::error::{Error, Kind, Result};

/// How many parts are under way at once; each is held in memory.
const PARTS_AT_ONCE: usize = 4;

/// The most parts of one object: what S3 takes.
const PARTS_MAX: usize = 10_000;

/// What a streamed write has stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// The version of the object.
    pub version: Version,
    /// Its length.
    pub size_bytes: u64,
}

impl Bucket {
    /// Writes an object from a stream, unconditionally: its name says what its bytes are. Up to
    /// 8 MiB go in one request, more in parts, of which a few are held in memory at a time.
    ///
    /// # Errors
    /// The stream's own error, or the store's; then no object was made.
    pub async fn put_large<S>(&self, name: &ObjectName, body: S) -> Result<Uploaded>
    where
        S: Stream<Item = Result<Bytes>> + Send,
    {
        let mut parts = Parts { body: Box::pin(body), rest: Bytes::new(), ended: false };
        let first = parts.next().await?.unwrap_or_default();
        if first.len() < PART_LEN_BYTES || parts.at_end().await? {
            let size_bytes = first.len() as u64;
            return match self.put(name, first, Condition::Always).await? {
                Put::Stored(version) => Ok(Uploaded { version, size_bytes }),
                Put::Refused => {
                    Err(Error::new(Kind::Internal, "an unconditional write was refused"))
                }
            };
        }
        if let Some(journal) = self.journal.as_ref().filter(|j| j.is_write_back()) {
            return self.put_large_in_journal(journal, name, first, &mut parts).await;
        }
        let upload = self.policy.run(|| self.backend.upload(name)).await?;
        match self.send_parts(upload.as_ref(), first, &mut parts).await {
            Ok(uploaded) => Ok(uploaded),
            Err(e) => {
                upload.abort().await;
                Err(e)
            }
        }
    }

    async fn send_parts<S>(
        &self,
        upload: &dyn Upload,
        first: Bytes,
        parts: &mut Parts<S>,
    ) -> Result<Uploaded>
    where
        S: Stream<Item = Result<Bytes>> + Send,
    {
        let mut under_way = FuturesUnordered::new();
        let (mut index, mut size_bytes) = (0, 0);
        let mut next = Some(first);
        while let Some(bytes) = next {
            if index == PARTS_MAX {
                return Err(Error::new(Kind::NoSpace, "the object is too long for the store")
                    .because(format!("an object has at most {PARTS_MAX} parts of 8 MiB")));
            }
            size_bytes += bytes.len() as u64;
            under_way.push(self.policy.run(move || upload.part(index, bytes.clone())));
            index += 1;
            if under_way.len() == PARTS_AT_ONCE {
                under_way.next().await.transpose()?;
            }
            next = parts.next().await?;
        }
        while let Some(sent) = under_way.next().await {
            sent?;
        }
        let version = self.policy.run(|| upload.complete()).await?;
        Ok(Uploaded { version, size_bytes })
    }
}

/// Cuts a stream into parts of [`PART_LEN_BYTES`].
pub(super) struct Parts<S> {
    body: std::pin::Pin<Box<S>>,
    rest: Bytes,
    ended: bool,
}

impl<S: Stream<Item = Result<Bytes>>> Parts<S> {
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        let mut part = BytesMut::new();
        while part.len() < PART_LEN_BYTES && !self.at_end().await? {
            let room = PART_LEN_BYTES - part.len();
            let taken = self.rest.split_to(room.min(self.rest.len()));
            part.extend_from_slice(&taken);
        }
        Ok((!part.is_empty()).then(|| part.freeze()))
    }

    /// Returns whether no byte is left, reading on until one is there.
    async fn at_end(&mut self) -> Result<bool> {
        while self.rest.is_empty() && !self.ended {
            match self.body.next().await {
                Some(bytes) => self.rest = bytes?,
                None => self.ended = true,
            }
        }
        Ok(self.rest.is_empty())
    }
}
