//! Writing an object of a cloud in parts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{GetOptions, MultipartId};

use super::super::backend::{Attempt, Outcome, Upload, Version};
use super::Remote;

/// An upload under way.
pub(super) struct RemoteUpload {
    remote: Remote,
    path: Path,
    id: MultipartId,
    done: Mutex<BTreeMap<usize, PartId>>,
    length: AtomicU64,
}

impl RemoteUpload {
    pub(super) fn new(remote: Remote, path: Path, id: MultipartId) -> Self {
        Self { remote, path, id, done: Mutex::default(), length: AtomicU64::new(0) }
    }
}

#[async_trait]
impl Upload for RemoteUpload {
    async fn part(&self, index: usize, bytes: Bytes) -> Attempt<()> {
        let (remote, length) = (&self.remote, bytes.len() as u64);
        let sent = remote.parts.put_part(&self.path, &self.id, index, bytes.into());
        let part = remote.within(length, sent).await?.map_err(|e| remote.fault(&e))?;
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(index, part);
        self.length.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    async fn complete(&self) -> Attempt<Version> {
        let remote = &self.remote;
        let parts: Vec<PartId> =
            self.done.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let length = self.length.load(Ordering::Relaxed);
        // Joining the parts takes some stores as long as writing them.
        let made = remote.parts.complete_multipart(&self.path, &self.id, parts);
        match remote.within(length, made).await? {
            Ok(put) => remote.version(put.e_tag.as_deref(), put.version),
            Err(e) => {
                let fault = remote.fault(&e);
                if fault.outcome != Outcome::Final {
                    return Err(fault);
                }
                // The upload is gone when an earlier try, whose answer was lost, completed it.
                match self.look().await {
                    Ok(Some(version)) => Ok(version),
                    Err(unclear) if unclear.outcome != Outcome::Final => Err(unclear),
                    Ok(None) | Err(_) => Err(fault),
                }
            }
        }
    }

    async fn abort(&self) {
        let aborted = self.remote.parts.abort_multipart(&self.path, &self.id);
        if !matches!(self.remote.within(0, aborted).await, Ok(Ok(()))) {
            tracing::warn!(object = %self.path, "parts of an upload that failed stay in the bucket");
        }
    }
}

impl RemoteUpload {
    /// Returns the version of the object when it has the length of this upload.
    async fn look(&self) -> Attempt<Option<Version>> {
        let remote = &self.remote;
        let options = GetOptions { head: true, ..GetOptions::default() };
        let meta = match remote.within(0, remote.store.get_opts(&self.path, options)).await? {
            Ok(answer) => answer.meta,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(remote.fault(&e)),
        };
        if meta.size != self.length.load(Ordering::Relaxed) {
            return Ok(None);
        }
        remote.version(meta.e_tag.as_deref(), meta.version).map(Some)
    }
}
