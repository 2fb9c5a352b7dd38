//! A bucket in a cloud, over `object_store`.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use object_store::list::PaginatedListStore;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, PutMode, PutOptions, UpdateVersion,
};

use super::backend::{
    Attempt, Backend, Condition, Counters, Fault, Fetched, Listed, Object, Pages, Put,
    RequestCounts, TAG_LEN_MAX_BYTES, Upload, Version, absent, over_limit, wrong_length,
};
use super::fault::{classify, timed_out};
use super::name::ObjectName;
use crate::error::{Error, Kind};

mod pages;
mod upload;

use pages::{StreamedPages, TokenPages};
use upload::RemoteUpload;

/// The slowest transfer that does not count as hanging, in bytes per second.
const RATE_MIN_BYTES: u64 = 128 << 10;

/// A bucket in a cloud.
#[derive(Clone)]
pub(super) struct Remote {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) parts: Arc<dyn MultipartStore>,
    /// Listing with tokens, where the client of the cloud has it.
    pub(super) pages: Option<Arc<dyn PaginatedListStore>>,
    /// The segments before every name, or empty.
    pub(super) prefix: String,
    /// How the bucket is shown in errors.
    pub(super) site: String,
    pub(super) request_timeout: Duration,
    pub(super) counters: Arc<Counters>,
}

impl Remote {
    fn path(&self, name: &str) -> Path {
        match (self.prefix.as_str(), name) {
            ("", name) => Path::from(name),
            (prefix, "") => Path::from(prefix),
            (prefix, name) => Path::from(format!("{prefix}/{name}")),
        }
    }

    fn fault(&self, error: &object_store::Error) -> Fault {
        classify(error, &self.site)
    }

    /// Runs one request that moves `bytes` under its deadline.
    async fn within<T>(&self, bytes: u64, request: impl Future<Output = T>) -> Attempt<T> {
        let deadline = self.request_timeout + Duration::from_secs(bytes / RATE_MIN_BYTES);
        let timed = tokio::time::timeout(deadline, request).await;
        timed.map_err(|_| timed_out(&self.site, deadline))
    }

    fn version(&self, e_tag: Option<&str>, generation: Option<String>) -> Attempt<Version> {
        let Some(tag) = e_tag else {
            return Err(Error::new(
                Kind::Unsupported,
                format!("{} gives objects no ETag", self.site),
            )
            .because("without it there is no compare-and-swap")
            .into());
        };
        let tag = tag.trim_start_matches("W/").trim_matches('"');
        let too_long = |text: &str| text.len() > TAG_LEN_MAX_BYTES;
        if too_long(tag) || generation.as_deref().is_some_and(too_long) {
            return Err(
                Error::damaged(format!("{} gives objects ETags without end", self.site)).into()
            );
        }
        Ok(Version { tag: tag.into(), generation: generation.map(Into::into), pending: None })
    }

    /// Collects a body whose length was checked.
    async fn collect(&self, name: &ObjectName, answer: GetResult, wanted: u64) -> Attempt<Bytes> {
        let mut chunks = answer.into_stream();
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        let mut length = 0;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|e| self.fault(&e))?;
            length += chunk.len() as u64;
            if length > wanted {
                return Err(wrong_length(name, &(0..wanted)).into());
            }
            if length == chunk.len() as u64 {
                first = chunk;
                continue;
            }
            if whole.is_empty() {
                whole.reserve(usize::try_from(wanted.min(1 << 20)).unwrap_or_default());
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&chunk);
        }
        if length != wanted {
            return Err(wrong_length(name, &(0..wanted)).into());
        }
        Ok(if whole.is_empty() { first } else { whole.freeze() })
    }

    /// Returns the line of an object; `None` for what chartfs cannot have written.
    fn listed(&self, meta: &ObjectMeta) -> Attempt<Option<Listed>> {
        let path = meta.location.as_ref();
        let name = match self.prefix.as_str() {
            "" => Some(path),
            prefix => path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')),
        };
        let Some(name) = name.and_then(|name| ObjectName::new(name).ok()) else { return Ok(None) };
        let version = self.version(meta.e_tag.as_deref(), meta.version.clone())?;
        Ok(Some(Listed { name, size_bytes: meta.size, version }))
    }
}

#[async_trait]
impl Backend for Remote {
    async fn get(
        &self,
        name: &ObjectName,
        unless: Option<&Version>,
        limit_bytes: u64,
    ) -> Attempt<Fetched> {
        let if_none_match = unless.map(|version| format!("\"{}\"", version.tag));
        let options = GetOptions { if_none_match, ..GetOptions::default() };
        let path = self.path(name.as_str());
        let answer = match self.within(0, self.store.get_opts(&path, options)).await? {
            Ok(answer) => answer,
            Err(object_store::Error::NotModified { .. }) if unless.is_some() => {
                return Ok(Fetched::Unchanged);
            }
            Err(object_store::Error::NotFound { .. }) => return Ok(Fetched::Absent),
            Err(e) => return Err(self.fault(&e)),
        };
        let size_bytes = answer.meta.size;
        if size_bytes > limit_bytes {
            return Err(over_limit(name, size_bytes, limit_bytes).into());
        }
        let version = self.version(answer.meta.e_tag.as_deref(), answer.meta.version.clone())?;
        let bytes = self.within(size_bytes, self.collect(name, answer, size_bytes)).await??;
        // A store that does not know If-None-Match on reads sends the same version again.
        if unless == Some(&version) {
            return Ok(Fetched::Unchanged);
        }
        Ok(Fetched::Changed(Object { bytes, version }))
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Attempt<Bytes> {
        let wanted = range.end - range.start;
        let options =
            GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let path = self.path(name.as_str());
        let answer = match self.within(0, self.store.get_opts(&path, options)).await? {
            Ok(answer) if answer.range == range => answer,
            Ok(_) => return Err(wrong_length(name, &range).into()),
            Err(object_store::Error::NotFound { .. }) => return Err(absent(name).into()),
            Err(e) => {
                let fault = self.fault(&e);
                // The range of the answer is not the one asked for: not a question of trying again.
                return Err(match fault.error.kind() {
                    Kind::Unsupported | Kind::Integrity => wrong_length(name, &range).into(),
                    _ => fault,
                });
            }
        };
        self.within(wanted, self.collect(name, answer, wanted)).await?
    }

    async fn put(&self, name: &ObjectName, bytes: Bytes, condition: &Condition) -> Attempt<Put> {
        let mode = match condition {
            Condition::Absent => PutMode::Create,
            Condition::Always => PutMode::Overwrite,
            Condition::Matches(version) => PutMode::Update(UpdateVersion {
                e_tag: Some(format!("\"{}\"", version.tag)),
                version: version.generation.as_deref().map(str::to_owned),
            }),
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        let path = self.path(name.as_str());
        let length = bytes.len() as u64;
        let conditional = *condition != Condition::Always;
        match self.within(length, self.store.put_opts(&path, bytes.into(), options)).await? {
            Ok(put) => Ok(Put::Stored(self.version(put.e_tag.as_deref(), put.version)?)),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) if conditional => Ok(Put::Refused),
            Err(e) => Err(self.fault(&e)),
        }
    }

    async fn upload(&self, name: &ObjectName) -> Attempt<Box<dyn Upload>> {
        let path = self.path(name.as_str());
        let id = self.within(0, self.parts.create_multipart(&path)).await?;
        let id = id.map_err(|e| self.fault(&e))?;
        Ok(Box::new(RemoteUpload::new(self.clone(), path, id)))
    }

    fn list(&self, prefix: &str) -> Box<dyn Pages> {
        let below = self.path(prefix);
        match self.pages.clone() {
            Some(pages) => Box::new(TokenPages::new(self.clone(), pages, &below)),
            None => Box::new(StreamedPages::new(self.clone(), below)),
        }
    }

    async fn delete(&self, name: &ObjectName) -> Attempt<()> {
        let path = Ok(self.path(name.as_str()));
        let mut done = self.store.delete_stream(futures::stream::iter([path]).boxed());
        match self.within(0, done.next()).await? {
            Some(Err(object_store::Error::NotFound { .. }) | Ok(_)) | None => Ok(()),
            Some(Err(e)) => Err(self.fault(&e)),
        }
    }

    async fn sync(&self) -> Attempt<()> {
        Ok(())
    }

    fn requests(&self) -> RequestCounts {
        self.counters.snapshot()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use object_store::memory::InMemory;

    pub(super) fn remote(prefix: &str) -> Remote {
        let store = Arc::new(InMemory::new());
        Remote {
            store: store.clone(),
            parts: store,
            pages: None,
            prefix: prefix.to_owned(),
            site: "az://c".to_owned(),
            request_timeout: Duration::from_secs(5),
            counters: Arc::default(),
        }
    }

    #[tokio::test]
    async fn objects_outside_of_the_prefix_are_not_seen() {
        let (whole, part) = (remote(""), remote("p"));
        let part = Remote { store: whole.store.clone(), parts: whole.parts.clone(), ..part };
        for name in ["p/a", "pq/b", "c", "p/x/d"] {
            let name = ObjectName::new(name).unwrap();
            whole.put(&name, Bytes::new(), &Condition::Always).await.unwrap();
        }
        let listed = part.list("").next().await.unwrap().unwrap();
        let names: Vec<_> = listed.iter().map(|l| l.name.as_str()).collect();
        assert_eq!(names, ["a", "x/d"]);
    }
}
