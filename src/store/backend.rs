//! What every back end does: one attempt of one operation, and how its failure is to be taken.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::name::ObjectName;
use crate::error::Error;
use crate::wire::{Reader, Writer};

/// The longest tag, and the longest generation, of a version, in bytes.
pub(super) const TAG_LEN_MAX_BYTES: usize = 255;

/// Names one state of one object: what a compare-and-swap compares.
///
/// An entity tag in a cloud, inode and time stamp in a local directory. The same bytes written
/// again may get the same version (S3) or another one (local directory): who must tell them apart
/// puts a random number into the bytes.
#[derive(Clone)]
pub struct Version {
    pub(super) tag: Arc<str>,
    /// The generation that Google Cloud Storage compares instead of the tag.
    pub(super) generation: Option<Arc<str>>,
    /// The number in the journal of bytes that the bucket does not have yet.
    pub(super) pending: Option<u64>,
}

impl Version {
    pub(super) fn new(tag: &str) -> Self {
        Self { tag: tag.into(), generation: None, pending: None }
    }

    pub(super) fn in_journal(seq: u64) -> Self {
        Self { tag: "".into(), generation: None, pending: Some(seq) }
    }

    /// Says whether the bytes are in the journal of this workstation only.
    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Appends tag (short) | generation (short, empty for none).
    pub(super) fn write(&self, w: &mut Writer) {
        w.short(self.tag.as_bytes());
        w.short(self.generation.as_deref().unwrap_or_default().as_bytes());
    }

    /// Takes what [`Version::write`] appended.
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, Error> {
        let tag = r.text(TAG_LEN_MAX_BYTES)?.into();
        let generation = Some(r.text(TAG_LEN_MAX_BYTES)?).filter(|g| !g.is_empty()).map(Into::into);
        Ok(Self { tag, generation, pending: None })
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.tag == other.tag && self.pending == other.pending
    }
}

impl Eq for Version {}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.tag)
    }
}

/// The bytes of an object and the version that they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// All bytes.
    pub bytes: Bytes,
    /// What to hand to [`Condition::Matches`] to replace exactly these bytes.
    pub version: Version,
}

/// The answer to a conditional read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The object still is the version asked about.
    Unchanged,
    /// There is no such object.
    Absent,
    /// Another version, with its bytes.
    Changed(Object),
}

/// What must hold for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// No object of that name exists (If-None-Match: *).
    Absent,
    /// The object is this version (If-Match).
    Matches(Version),
    /// Nothing: the name says what the bytes are, so every writer writes the same.
    Always,
}

/// The definitive answer to a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// The bytes are stored, under this version.
    Stored(Version),
    /// The condition did not hold; nothing was written.
    Refused,
}

/// One line of a listing: a hint, never evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The object.
    pub name: ObjectName,
    /// Its length.
    pub size_bytes: u64,
    /// Its version, to compare with one that [`Bucket::get`](super::Bucket::get) gave. It is not
    /// meant for [`Condition::Matches`]: Google Cloud Storage lists no generation.
    pub version: Version,
}

/// How a failed attempt is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Trying again cannot help.
    Final,
    /// Nothing happened at the store; another try may succeed.
    NotApplied,
    /// The answer was lost: it may have happened.
    Unknown,
}

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: Error,
    pub(super) outcome: Outcome,
    /// What the store asked to wait.
    pub(super) wait: Option<Duration>,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { error, outcome: Outcome::Final, wait: None }
    }
}

pub(super) type Attempt<T> = Result<T, Fault>;

/// A place for named bytes with compare-and-swap. Every method is one attempt; retries and
/// deadlines over several attempts are the bucket's.
#[async_trait]
pub(super) trait Backend: Send + Sync {
    /// Reads an object of at most `limit_bytes`, unless it still is `unless`.
    async fn get(
        &self,
        name: &ObjectName,
        unless: Option<&Version>,
        limit_bytes: u64,
    ) -> Attempt<Fetched>;

    /// Reads exactly the bytes of `range`.
    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Attempt<Bytes>;

    /// Writes an object when the condition holds.
    async fn put(&self, name: &ObjectName, bytes: Bytes, condition: &Condition) -> Attempt<Put>;

    /// Begins an unconditional write in parts.
    async fn upload(&self, name: &ObjectName) -> Attempt<Box<dyn Upload>>;

    /// Lists what lies below `prefix` (whole segments, or empty).
    fn list(&self, prefix: &str) -> Box<dyn Pages>;

    /// Removes an object; an absent one counts as removed.
    async fn delete(&self, name: &ObjectName) -> Attempt<()>;

    /// Makes every acknowledged write survive a power cut.
    async fn sync(&self) -> Attempt<()>;

    /// Returns how many requests were made.
    fn requests(&self) -> RequestCounts;
}

/// A listing under way.
#[async_trait]
pub(super) trait Pages: Send {
    /// Returns the next page, or `None` behind the last; may be asked again after a fault.
    async fn next(&mut self) -> Attempt<Option<Vec<Listed>>>;
}

/// A write in parts of [`PART_LEN_BYTES`], of which only the last may be shorter.
#[async_trait]
pub(super) trait Upload: Send + Sync {
    /// Stores one part; the same part may be stored again.
    async fn part(&self, index: usize, bytes: Bytes) -> Attempt<()>;

    /// Makes the object of the parts.
    async fn complete(&self) -> Attempt<Version>;

    /// Throws the parts away, as far as that works.
    async fn abort(&self);
}

/// The length of a part: above the least that S3 takes (5 MiB), small enough to be held in memory
/// several times.
pub(super) const PART_LEN_BYTES: usize = 8 << 20;

/// How many requests a bucket has made since it was opened, failed ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Reads of whole objects, conditional ones included.
    pub get: u64,
    /// Reads of a range.
    pub get_range: u64,
    /// Reads of headers only.
    pub head: u64,
    /// Writes, parts and the opening and closing of uploads included.
    pub put: u64,
    /// Pages of listings.
    pub list: u64,
    /// Removals.
    pub delete: u64,
}

impl RequestCounts {
    /// Returns the sum of all kinds.
    pub fn total(&self) -> u64 {
        self.get + self.get_range + self.head + self.put + self.list + self.delete
    }

    /// Returns what was made since an earlier count of the same bucket.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            get: self.get - earlier.get,
            get_range: self.get_range - earlier.get_range,
            head: self.head - earlier.head,
            put: self.put - earlier.put,
            list: self.list - earlier.list,
            delete: self.delete - earlier.delete,
        }
    }
}

/// The counters behind [`RequestCounts`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) get: AtomicU64,
    pub(super) get_range: AtomicU64,
    pub(super) head: AtomicU64,
    pub(super) put: AtomicU64,
    pub(super) list: AtomicU64,
    pub(super) delete: AtomicU64,
}

impl Counters {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> RequestCounts {
        let read = |c: &AtomicU64| c.load(Ordering::Relaxed);
        RequestCounts {
            get: read(&self.get),
            get_range: read(&self.get_range),
            head: read(&self.head),
            put: read(&self.put),
            list: read(&self.list),
            delete: read(&self.delete),
        }
    }
}

pub(super) fn over_limit(name: &ObjectName, size_bytes: u64, limit_bytes: u64) -> Error {
    Error::damaged(format!("object {name} has {size_bytes} bytes"))
        .because(format!("an object of its kind has at most {limit_bytes}"))
}

pub(super) fn wrong_length(name: &ObjectName, wanted: &Range<u64>) -> Error {
    Error::damaged(format!("object {name} does not hold bytes {} to {}", wanted.start, wanted.end))
        .because("it is shorter than the record says, or the store sent another range")
}

pub(super) fn absent(name: &ObjectName) -> Error {
    Error::new(crate::error::Kind::NotFound, format!("object {name} does not exist"))
}
