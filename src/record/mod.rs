//! Which sections is it made of? Records in the bucket: found, proven, opened section by section,
//! and committed by compare-and-swap.
//!
//! Only this module brings sealed bytes, wrapped keys and the bucket together. A record that came
//! from the bucket passes through three types: `UncheckedRecord` (its parts stand where they
//! should), [`Record`] (its committer was entitled, it is the one asked for and not an older one),
//! and the plaintext of the sections that this user's policy opens.
//!
//! *Invariant:* whether a section is hidden is decided by the signed policy, never by a failed
//! decryption. If the policy lets the user read and anything fails, that is damage.

pub mod format;
pub mod directory;
mod edit;
pub mod past;
pub mod head;
pub mod marks;
pub mod meta;
pub mod statement;
mod tried;
mod cache;
mod proof;
mod open;
mod region;
pub mod seal;
mod commit;
mod assemble;
mod capsules;
pub mod external;
pub mod check;
mod names;
mod shards;
mod history;
mod overtaken;
mod waiting;

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lru::LruCache;

use crate::error::{Error, Kind, Result};
use crate::key::attribute::{AuthorityId, EpochAttribute};
use crate::key::credential::{hex, unhex};
use crate::key::keyring::Keyring;
use crate::realm::policy::read_patient;
use crate::realm::{Author, Realm, object_name};
pub use crate::store::ObjectName;
use crate::store::{Fetched, Version};
use crate::wire::{Reader, Writer};
use cache::Cache;
pub(crate) use cache::RECORDS_MAX;
use format::{FormatId, Slot};
use head::{Head, RECORD_LEN_MAX_BYTES, UncheckedRecord};
use marks::Marks;
use proof::{Proof, Prover};
use statement::Statement;

pub use commit::{Body, Committed, SlotWrite};
pub use names::{Found, Names, Remembered};
pub use open::{Opened, Sight};
pub use overtaken::Overtaken;

/// The profile number of a directory.
pub const DIRECTORY_PROFILE: u8 = 255;
/// How many clauses are remembered for which this user made a capsule.
const OWN_CAPSULES_MAX: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");
/// More capsules are never opened at once.
const OPENING_MAX: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// A record's name: 16 random bytes, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub [u8; 16]);

impl RecordId {
    /// Makes a new name.
    pub fn random() -> Self {
        Self(crate::key::hash::random())
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Where a record object lives: the directory that it was made in, and its own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Located {
    /// The directory that it was made in.
    pub birth: RecordId,
    /// The record.
    pub record: RecordId,
}

impl Located {
    /// Returns the object's name: `r/<birth>/<record>`.
    pub fn object(&self) -> ObjectName {
        object_name("r", &format!("{}/{}", self.birth, self.record))
    }

    /// Takes the name of a record object apart; `None` when it is another object's.
    pub fn of_object(name: &ObjectName) -> Option<Self> {
        let (birth, record) = name.as_str().strip_prefix("r/")?.split_once('/')?;
        let id = |text: &str| Some(RecordId(unhex(text)?.try_into().ok()?));
        Some(Self { birth: id(birth)?, record: id(record)? })
    }

    /// Returns the name of an old version of the object: `h/<record>/<version>`.
    pub fn history(&self, version: u64) -> ObjectName {
        object_name("h", &format!("{}/{version:010}", self.record))
    }
}

/// A policy and the patient that it is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PolicyRef {
    /// The policy's hash.
    pub hash: [u8; 32],
    /// Whose folder it is.
    pub patient: Option<AuthorityId>,
}

impl PolicyRef {
    /// Appends hash 32 | patient (short).
    pub fn write(&self, w: &mut Writer) {
        w.bytes(&self.hash);
        w.short(self.patient.as_ref().map_or("", AuthorityId::as_str).as_bytes());
    }

    /// Takes what [`PolicyRef::write`] appended.
    ///
    /// # Errors
    /// `Integrity` when it is none.
    pub fn read(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { hash: r.array()?, patient: read_patient(r)? })
    }
}

/// Returns the name of a slot, for policies and people.
pub fn section_name(slot: u16) -> &'static str {
    match slot {
        directory::NAMES_SLOT => crate::realm::policy::NAMES,
        directory::PSEUDONYMS_SLOT => crate::realm::policy::PSEUDONYMS,
        other => Slot(other).name(),
    }
}

/// Returns the slots that every record of a profile has.
///
/// # Errors
/// `Unsupported` when the profile is unknown.
pub fn profile_slots(profile: u8) -> Result<Vec<u16>> {
    if profile == DIRECTORY_PROFILE {
        return Ok(vec![directory::NAMES_SLOT, directory::PSEUDONYMS_SLOT]);
    }
    Ok(format::slots_of(format_of(profile)?).iter().map(|s| s.0).collect())
}

/// Returns the format of a file's profile.
///
/// # Errors
/// `Unsupported` when the profile is unknown, or a directory's.
pub fn format_of(profile: u8) -> Result<FormatId> {
    FormatId::from_number(profile).ok_or_else(|| {
        Error::new(Kind::Unsupported, format!("record profile {profile} is unknown"))
            .hint("use a newer chartfs")
    })
}

/// A proven record: who committed it was entitled to, and it is the one asked for.
pub struct Record {
    /// Where it lives.
    pub located: Located,
    /// The head.
    pub head: Head,
    /// The statement of the commit that made it.
    pub statement: Statement,
    /// Who committed it.
    pub committer: Author,
    region: Bytes,
    object_hash: [u8; 32],
    etag: Version,
    opened: Mutex<HashMap<(u16, u16), Arc<Opened>>>,
    /// The table of a directory, once it was decoded.
    names: tokio::sync::OnceCell<Arc<directory::Node>>,
}

impl Record {
    fn new(located: Located, unchecked: UncheckedRecord, etag: Version, proof: &Proof) -> Self {
        Self {
            located,
            head: unchecked.head,
            statement: unchecked.statement,
            committer: (*proof.committer).clone(),
            // A slice of the object would hold all of it in memory.
            region: Bytes::copy_from_slice(&unchecked.region),
            object_hash: unchecked.object_hash,
            etag,
            opened: Mutex::default(),
            names: tokio::sync::OnceCell::new(),
        }
    }

    /// Returns the version of the record.
    pub fn version(&self) -> u64 {
        self.head.version
    }

    fn mark(&self) -> marks::Mark {
        self.head.mark(self.object_hash)
    }

    /// Returns the hash of the whole object: two records of one hash are the same.
    pub fn object_hash(&self) -> &[u8; 32] {
        &self.object_hash
    }
}

/// The records of a realm as one user sees them.
pub struct Records {
    realm: Arc<Realm>,
    keyring: Arc<Keyring>,
    marks: Arc<Marks>,
    cache: Mutex<Cache>,
    prover: Prover,
    /// Capsules that are being opened.
    opening: Mutex<LruCache<[u8; 32], Arc<tokio::sync::Mutex<()>>>>,
    own_capsules: Mutex<LruCache<Vec<EpochAttribute>, OwnCapsule>>,
    tried: tried::Tried,
    /// When a table of a directory was kept last.
    tables_kept: Mutex<LruCache<RecordId, Instant>>,
}

/// The hash of the capsule that this user made for a clause, once there is one.
type OwnCapsule = Arc<tokio::sync::Mutex<Option<[u8; 32]>>>;

impl Records {
    /// Opens the records of a realm for one user.
    pub fn new(realm: Arc<Realm>, keyring: Arc<Keyring>, marks: Arc<Marks>) -> Self {
        realm.remember_in(marks.clone());
        Self {
            realm,
            keyring,
            marks,
            cache: Mutex::new(Cache::new()),
            prover: Prover::new(),
            opening: Mutex::new(LruCache::new(OPENING_MAX)),
            own_capsules: Mutex::new(LruCache::new(OWN_CAPSULES_MAX)),
            tried: tried::Tried::default(),
            tables_kept: Mutex::new(LruCache::new(RECORDS_MAX)),
        }
    }

    /// Returns the realm.
    pub fn realm(&self) -> &Arc<Realm> {
        &self.realm
    }

    /// Returns the user's keys.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// Returns the high-water marks.
    pub fn marks(&self) -> &Arc<Marks> {
        &self.marks
    }

    /// Returns a proven record, at most `max_age` old; `policy` is the one in force in its folder.
    ///
    /// # Errors
    /// `Integrity` when it is missing, not proven, older than one seen before, or was not written
    /// under the policy in force or one that it replaced.
    pub async fn load(
        &self,
        located: Located,
        policy: &PolicyRef,
        max_age: Duration,
    ) -> Result<Arc<Record>> {
        let mut cached = self.cached(located.record);
        if let Some((_, record)) = &cached {
            self.check_cached(record, located, policy).await?;
        }
        if let Some((_, record)) = cached.as_ref().filter(|(seen, _)| seen.elapsed() <= max_age) {
            return Ok(record.clone());
        }
        let mut highest = self.highest(located.record)?;
        loop {
            let loaded = self.ask(located, policy, cached.map(|(_, record)| record)).await;
            let now = self.highest(located.record)?;
            // What this process committed, or read, while the answer was on its way is newer than
            // the answer: that is no rollback, and not what whoever asks now is to get.
            let is_overtaken = loaded.as_ref().map_or(true, |record| Some(record.version()) < now);
            if !is_overtaken || now <= highest {
                return loaded;
            }
            highest = now;
            cached = self.cached(located.record);
        }
    }

    /// Returns the highest version of a record that this workstation has seen.
    fn highest(&self, record: RecordId) -> Result<Option<u64>> {
        Ok(self.marks.get(record)?.map(|mark| mark.version))
    }

    /// Asks the bucket for a record, of which `cached` is in memory.
    async fn ask(
        &self,
        located: Located,
        policy: &PolicyRef,
        cached: Option<Arc<Record>>,
    ) -> Result<Arc<Record>> {
        let bucket = self.realm.bucket();
        let name = located.object();
        let object = match &cached {
            None => bucket.get(&name, RECORD_LEN_MAX_BYTES).await?,
            Some(record) => {
                match bucket.get_if_changed(&name, &record.etag, RECORD_LEN_MAX_BYTES).await? {
                    Fetched::Unchanged => {
                        self.keep(record.clone());
                        return Ok(record.clone());
                    }
                    Fetched::Absent => None,
                    Fetched::Changed(object) => Some(object),
                }
            }
        };
        let object = object.ok_or_else(|| {
            Error::damaged("a record is missing from the bucket")
                .because(format!("record {} is named by a signed directory", located.record))
        })?;
        let unchecked = UncheckedRecord::parse(&object.bytes)?;
        let record = Arc::new(self.admit(located, policy, unchecked, object.version).await?);
        self.fetch_capsules(&record);
        self.keep(record.clone());
        Ok(record)
    }

    /// Proves of a record in memory that it is the one asked for, in this folder.
    async fn check_cached(
        &self,
        record: &Record,
        located: Located,
        policy: &PolicyRef,
    ) -> Result<()> {
        if record.located != located {
            return Err(Error::damaged("a record stands under the name of another"));
        }
        let in_force = self.in_force(record, policy).await?;
        self.check_policies(record, &in_force).await
    }

    /// Returns a record that is in memory, however old.
    pub fn cached(&self, id: RecordId) -> Option<(Instant, Arc<Record>)> {
        self.lock_cache().get(id)
    }

    fn lock_cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a record in memory, unless a newer version came first.
    fn keep(&self, record: Arc<Record>) {
        self.lock_cache().keep(record);
    }

    /// Counts a record in memory again, of which something was opened.
    fn recount(&self, id: RecordId) {
        self.lock_cache().recount(id);
    }

    /// Forgets the record in memory, so that the next load asks the bucket.
    pub fn forget(&self, id: RecordId) {
        self.lock_cache().forget(id);
    }
}
