//! Where do the objects live? Names and bytes in a bucket, with compare-and-swap.
//!
//! The only module that names `object_store`, and it sees names and bytes only: what the bytes mean
//! is `record`'s and `realm`'s. A [`Bucket`] is S3 (and what speaks its protocol), Azure, Google
//! Cloud Storage, a local directory or memory, with one meaning everywhere:
//!
//! * A write with [`Condition::Absent`] or [`Condition::Matches`] happens at most once, and only
//!   when the condition holds at that moment, whoever else writes. [`Put::Refused`] is definitive.
//!   When the answer to a write is lost the bucket settles it by reading back and comparing bytes;
//!   so bytes written under a condition must be unique (a head carries a random commit id).
//! * Nothing is buffered before its length is checked against the caller's limit.
//! * Every request has a deadline and every operation one over all its tries, so that no caller
//!   hangs. An operation that the store refuses for now is tried again with full jitter.
//! * A store that accepts conditional writes and ignores them is found out by [`Bucket::probe`].
//! * No error and no log line shows a credential.
//! * A bucket may have a *cache* (sealed objects on the disk of the workstation) and a *journal*
//!   (writes that are durable there and not in the bucket yet). Both hold only what the bucket
//!   holds or will hold.
//!
//! *Boundary:* untrusted. The store may answer anything; what it answers is damage
//! ([`Kind::Integrity`]) or unavailability, never a panic.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::error::{Error, Kind, Result};

mod name;
mod location;
mod options;
mod profile;
mod backend;
mod retry;
mod commit;
mod probe;
mod upload;
mod memory;
mod directory;
mod remote;
mod clouds;
mod wire_tap;
mod fault;
mod link;
mod cache;
mod journal;
mod names_synced;

pub use backend::{Condition, Fetched, Listed, Object, Put, RequestCounts, Version};
pub use journal::{Lifted, Pending};
pub use link::Offline;
pub use location::{Location, Place};
pub use name::{OBJECT_NAME_LEN_MAX_BYTES, ObjectName, SEGMENT_LEN_MAX_BYTES};
pub(crate) use names_synced::{make_database, sync_names_of};
pub use options::{DirectorySync, StoreOptions, Vars};
pub use upload::Uploaded;

use backend::Backend;
use cache::{Cache, Stored};
use journal::{JournalInUse, Reading};
use link::Link;
use retry::Policy;

/// A bucket that was opened. Clones share the connections and the counters.
#[derive(Clone)]
pub struct Bucket {
    backend: Arc<dyn Backend>,
    policy: Policy,
    /// Sealed objects on this workstation's disk.
    cache: Option<Arc<Cache>>,
    /// Whether the bucket is reached, when there is something else to answer from.
    link: Option<Arc<Link>>,
    /// Writes that the bucket does not have yet.
    journal: Option<Arc<JournalInUse>>,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Bucket {
    /// Opens the bucket at `location`. A cloud is not asked yet: [`Self::probe`] does that.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the options do not fit the location, [`Kind::NotFound`] when a local
    /// directory does not exist.
    pub async fn open(location: &Location, options: &StoreOptions) -> Result<Self> {
        let backend: Arc<dyn Backend> = match location {
            Location::Memory => Arc::new(memory::Memory::default()),
            Location::Directory(path) => {
                Arc::new(directory::Directory::open(path.clone(), options).await?)
            }
            Location::S3(place) => Arc::new(clouds::s3(place, options)?),
            Location::Azure(place) => Arc::new(clouds::azure(place, options)?),
            Location::Gcs(place) => Arc::new(clouds::gcs(place, options)?),
        };
        Ok(Self::over(backend, Policy::of(options)))
    }

    /// Makes an empty bucket in memory.
    pub fn memory() -> Self {
        let policy = Policy::of(&StoreOptions::default());
        Self::over(Arc::new(memory::Memory::default()), policy)
    }

    fn over(backend: Arc<dyn Backend>, policy: Policy) -> Self {
        Self { backend, policy, cache: None, link: None, journal: None }
    }

    /// Keeps what is read and written in a bounded file at `path` too: it is read from there when
    /// the bucket has nothing newer, or cannot be reached.
    ///
    /// # Errors
    /// `Conflict` when another process has the file open.
    pub fn with_cache(mut self, path: &Path, limit_bytes: u64) -> Result<Self> {
        self.cache = Some(Arc::new(Cache::open(path, limit_bytes)?));
        self.link = Some(Link::new());
        Ok(self)
    }

    /// Says whether what is read is kept on this workstation.
    pub fn has_cache(&self) -> bool {
        self.cache.is_some()
    }

    /// Keeps what is used from now on in the cache, until [`Self::end_pinning`] says for how long.
    pub fn begin_pinning(&self) {
        if let Some(cache) = &self.cache {
            cache.begin_pinning();
        }
    }

    /// Pins what was used since [`Self::begin_pinning`], `instead` of what was pinned before or
    /// beside it: it is not taken out of the cache to make room.
    ///
    /// # Errors
    /// `Internal` when the file cannot be written.
    pub fn end_pinning(&self, instead: bool) -> Result<()> {
        self.cache.as_ref().map_or(Ok(()), |cache| cache.end_pinning(instead))
    }

    /// Writes what the cache holds in memory to its file; `is_durable` waits for the disk.
    ///
    /// # Errors
    /// `Internal` when the file cannot be written.
    pub fn write_cache(&self, is_durable: bool) -> Result<()> {
        self.cache.as_ref().map_or(Ok(()), |cache| cache.write(is_durable))
    }

    /// Takes note of whether the bucket was reached.
    fn note<T>(&self, result: Result<T>) -> Result<T> {
        match &self.link {
            Some(link) => link.note(result),
            None => result,
        }
    }

    /// Returns how long to wait before a bucket that is away is tried again.
    fn link_wait(&self) -> Duration {
        self.link.as_ref().map_or(Duration::from_secs(1), |link| link.wait())
    }

    /// Reads an object, or `None` when there is none.
    ///
    /// # Errors
    /// [`Kind::Integrity`] when the object is longer than `limit_bytes` (before it is buffered).
    pub async fn get(&self, name: &ObjectName, limit_bytes: u64) -> Result<Option<Object>> {
        match self.fetch(name, None, limit_bytes).await? {
            Fetched::Changed(object) => Ok(Some(object)),
            Fetched::Absent => Ok(None),
            Fetched::Unchanged => {
                Err(Error::new(Kind::Integrity, format!("object {name} came without bytes"))
                    .because("the store answered 'not modified' to an unconditional read"))
            }
        }
    }

    /// Reads an object unless it still is `version`: one request, without a body when unchanged.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_if_changed(
        &self,
        name: &ObjectName,
        version: &Version,
        limit_bytes: u64,
    ) -> Result<Fetched> {
        self.fetch(name, Some(version), limit_bytes).await
    }

    /// Reads an object whose name says what its bytes are, which `is_it` checks: one that was read
    /// before is not asked for again.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_immutable(
        &self,
        name: &ObjectName,
        limit_bytes: u64,
        is_it: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Object>> {
        let Some(cache) = &self.cache else { return self.get(name, limit_bytes).await };
        match cache.get(name) {
            Some(Stored::Object(o)) if o.bytes.len() as u64 <= limit_bytes && is_it(&o.bytes) => {
                return Ok(Some(o));
            }
            // What is wrong on this disk may be right in the bucket.
            Some(Stored::Object(_)) => cache.remove(name),
            Some(Stored::Absent) | None => {}
        }
        self.get(name, limit_bytes).await
    }

    async fn fetch(
        &self,
        name: &ObjectName,
        unless: Option<&Version>,
        limit_bytes: u64,
    ) -> Result<Fetched> {
        let Some(journal) = &self.journal else {
            return Box::pin(self.fetch_cached(name, unless, limit_bytes)).await;
        };
        match journal.read(name, unless, limit_bytes)? {
            Reading::Answer(fetched) => Ok(fetched),
            Reading::Ask(unless) => {
                Box::pin(self.fetch_cached(name, unless.as_ref(), limit_bytes)).await
            }
        }
    }

    async fn fetch_cached(
        &self,
        name: &ObjectName,
        unless: Option<&Version>,
        limit_bytes: u64,
    ) -> Result<Fetched> {
        let (Some(cache), Some(link)) = (&self.cache, &self.link) else {
            return self.fetch_now(name, unless, limit_bytes).await;
        };
        let stored = cache.get(name).filter(|s| match s {
            Stored::Object(o) => o.bytes.len() as u64 <= limit_bytes,
            Stored::Absent => true,
        });
        let known = match &stored {
            Some(Stored::Object(object)) => Some(&object.version),
            _ => None,
        };
        let away = |stored: Option<Stored>| match (stored, unless) {
            // Whoever has a version has the newest that can be had.
            (_, Some(_)) => Some(Fetched::Unchanged),
            (Some(Stored::Object(object)), None) => Some(Fetched::Changed(object)),
            (Some(Stored::Absent), None) => Some(Fetched::Absent),
            (None, None) => None,
        };
        if !link.is_worth_asking()
            && let Some(answer) = away(stored.clone())
        {
            return Ok(answer);
        }
        match link.note(self.fetch_now(name, unless.or(known), limit_bytes).await) {
            Ok(Fetched::Changed(object)) => {
                cache.put(name, &object);
                Ok(Fetched::Changed(object))
            }
            Ok(Fetched::Absent) => {
                cache.put_absent(name);
                Ok(Fetched::Absent)
            }
            Ok(Fetched::Unchanged) => Ok(match (stored, unless) {
                (Some(Stored::Object(object)), None) => Fetched::Changed(object),
                _ => Fetched::Unchanged,
            }),
            Err(e) if e.kind() == Kind::Unavailable => away(stored).ok_or(e),
            Err(e) => Err(e),
        }
    }

    async fn fetch_now(
        &self,
        name: &ObjectName,
        unless: Option<&Version>,
        limit_bytes: u64,
    ) -> Result<Fetched> {
        self.policy.run(|| self.backend.get(name, unless, limit_bytes)).await
    }

    /// Reads exactly the bytes of `range` of an object whose name says what its bytes are.
    ///
    /// # Errors
    /// [`Kind::Integrity`] when the object does not have all of them, [`Kind::NotFound`] when there
    /// is no object.
    pub async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes> {
        if range.start >= range.end {
            return Ok(Bytes::new());
        }
        if let Some(journal) = &self.journal
            && let Some(bytes) = journal.read_range(name, range.clone())?
        {
            return Ok(bytes);
        }
        if let Some(bytes) = self.cache.as_ref().and_then(|c| c.get_range(name, range.clone())) {
            return Ok(bytes);
        }
        let read = self.policy.run(|| self.backend.get_range(name, range.clone())).await;
        let bytes = self.note(read)?;
        if let Some(cache) = &self.cache {
            cache.put_range(name, range.start, &bytes);
        }
        Ok(bytes)
    }

    /// Lists the objects below `prefix` (whole segments; empty for all) page by page, in the order
    /// of the store. A hint, never evidence: the store may leave out or make up lines.
    pub fn list(&self, prefix: &str) -> BoxStream<'static, Result<Listed>> {
        if let Some(link) = self.link.as_ref().filter(|link| !link.is_worth_asking()) {
            let away = futures::stream::once(std::future::ready(Err(link.error())));
            return away.boxed();
        }
        let pages = self.backend.list(prefix.trim_end_matches('/'));
        let policy = self.policy;
        futures::stream::try_unfold(pages, move |mut pages| async move {
            let mut tries = policy.begin();
            loop {
                match pages.next().await {
                    Ok(page) => return Ok::<_, Error>(page.map(|page| (page, pages))),
                    Err(fault) => tries.wait_after(fault).await?,
                }
            }
        })
        .map_ok(|page| futures::stream::iter(page.into_iter().map(Ok::<_, Error>)))
        .try_flatten()
        .boxed()
    }

    /// Removes an object; an absent one counts as removed.
    ///
    /// # Errors
    /// When the store refuses or cannot be reached.
    pub async fn delete(&self, name: &ObjectName) -> Result<()> {
        if let Some(cache) = &self.cache {
            cache.remove(name);
        }
        self.note(self.policy.run(|| self.backend.delete(name)).await)
    }

    /// Makes every acknowledged write survive a power cut. Only a local directory opened with
    /// [`DirectorySync::Data`] has something to do here.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn sync(&self) -> Result<()> {
        self.backend.sync().await.map_err(|fault| fault.error)
    }

    /// Returns how many requests this bucket has made.
    pub fn requests(&self) -> RequestCounts {
        self.backend.requests()
    }
}
