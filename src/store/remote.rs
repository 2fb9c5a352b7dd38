//! A bucket in a cloud, over `object_store`.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, GetResult, MultipartId, ObjectMeta, ObjectStore, PutMode, PutOptions,
    UpdateVersion,
};

use super::backend::{
    Attempt, Backend, Condition, Counters, Fault, Fetched, Listed, Object, Outcome, Pages, Put,
    RequestCounts, Upload, Version, absent, over_limit, wrong_length,
};
use super::fault::{classify, timed_out};
use super::name::ObjectName;
use crate::error::{Error, Kind};

/// The slowest transfer that does not count as hanging, in bytes per second.
const RATE_MIN_BYTES: u64 = 128 << 10;

/// How many lines of a listing without tokens are handed on at once.
const LIST_PAGE_LEN: usize = 1000;

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
        Ok(Version { tag: tag.into(), generation: generation.map(Into::into) })
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
        let (done, length) = (Mutex::default(), AtomicU64::new(0));
        Ok(Box::new(RemoteUpload { remote: self.clone(), path, id, done, length }))
    }

    fn list(&self, prefix: &str) -> Box<dyn Pages> {
        let Some(pages) = self.pages.clone() else {
            let below = self.path(prefix);
            return Box::new(StreamedPages {
                remote: self.clone(),
                below,
                last: None,
                metas: None,
            });
        };
        let mut below = self.path(prefix).to_string();
        if !below.is_empty() {
            below.push('/');
        }
        Box::new(TokenPages { remote: self.clone(), pages, below, token: None, ended: false })
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

struct TokenPages {
    remote: Remote,
    pages: Arc<dyn PaginatedListStore>,
    /// The prefix of the listing, with its `/`, or empty.
    below: String,
    /// Where the store goes on.
    token: Option<String>,
    ended: bool,
}

#[async_trait]
impl Pages for TokenPages {
    async fn next(&mut self) -> Attempt<Option<Vec<Listed>>> {
        if self.ended {
            return Ok(None);
        }
        let remote = &self.remote;
        let below = (!self.below.is_empty()).then_some(self.below.as_str());
        let options = PaginatedListOptions {
            page_token: self.token.clone(),
            ..PaginatedListOptions::default()
        };
        let page = remote.within(0, self.pages.list_paginated(below, options)).await?;
        let page = page.map_err(|e| remote.fault(&e))?;
        let listed: Attempt<Vec<_>> =
            page.result.objects.iter().filter_map(|meta| remote.listed(meta).transpose()).collect();
        self.ended = page.page_token.is_none();
        self.token = page.page_token;
        listed.map(Some)
    }
}

/// A listing without tokens (Azure): after a fault it goes on behind the last name, which works
/// because this cloud lists in the order of the names.
struct StreamedPages {
    remote: Remote,
    below: Path,
    last: Option<Path>,
    metas: Option<BoxStream<'static, object_store::Result<ObjectMeta>>>,
}

#[async_trait]
impl Pages for StreamedPages {
    async fn next(&mut self) -> Attempt<Option<Vec<Listed>>> {
        let (remote, below) = (&self.remote, Some(&self.below).filter(|b| !b.as_ref().is_empty()));
        let metas = self.metas.get_or_insert_with(|| match &self.last {
            Some(last) => remote.store.list_with_offset(below, last),
            None => remote.store.list(below),
        });
        let mut page = Vec::new();
        while page.len() < LIST_PAGE_LEN {
            let next = match remote.within(0, metas.next()).await {
                Ok(next) => next.transpose().map_err(|e| remote.fault(&e)),
                Err(fault) => Err(fault),
            };
            match next {
                Ok(None) => break,
                Ok(Some(meta)) => {
                    page.extend(remote.listed(&meta)?);
                    self.last = Some(meta.location);
                }
                Err(fault) => {
                    self.metas = None;
                    // What was read before the fault is handed on; the fault comes again if it stays.
                    return if page.is_empty() { Err(fault) } else { Ok(Some(page)) };
                }
            }
        }
        Ok((!page.is_empty()).then_some(page))
    }
}

struct RemoteUpload {
    remote: Remote,
    path: Path,
    id: MultipartId,
    done: Mutex<BTreeMap<usize, PartId>>,
    length: AtomicU64,
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
                // The upload is gone when an earlier try, whose answer was lost, completed it.
                match self.look().await {
                    Some(version) if fault.outcome == Outcome::Final => Ok(version),
                    _ => Err(fault),
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
    async fn look(&self) -> Option<Version> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let asked = self.remote.store.get_opts(&self.path, options);
        let meta = self.remote.within(0, asked).await.ok()?.ok()?.meta;
        let whole = meta.size == self.length.load(Ordering::Relaxed);
        whole.then(|| self.remote.version(meta.e_tag.as_deref(), meta.version).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    fn remote(prefix: &str) -> Remote {
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
    async fn a_listing_without_tokens_goes_on_where_it_broke_off() {
        let remote = remote("p/q");
        for i in 0..1500 {
            let name = ObjectName::new(&format!("n/{i:04}")).unwrap();
            remote.put(&name, Bytes::new(), &Condition::Always).await.unwrap();
        }
        let below = remote.path("n");
        let mut pages = StreamedPages { remote: remote.clone(), below, last: None, metas: None };
        let first = pages.next().await.unwrap().unwrap();
        // As after a fault: the stream is gone.
        pages.metas = None;
        let second = pages.next().await.unwrap().unwrap();
        assert!(pages.next().await.unwrap().is_none());
        let names: Vec<_> = first.iter().chain(&second).map(|l| l.name.to_string()).collect();
        assert_eq!((first.len(), names.len()), (1000, 1500));
        assert!(names.is_sorted() && names[1499] == "n/1499");
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
