//! Who belongs, who vouches, and what the rules are: the realm as it stands in the bucket, every
//! object of it proven from the one hash that a credential is pinned to.

pub mod administrator;
pub mod state;
pub mod authority;
pub mod policy;
mod found;
mod proof;
mod chain;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use lru::LruCache;

use crate::error::{Error, Kind, Result};
use crate::key::attribute::AuthorityId;
use crate::key::capsule::{CAPSULE_LEN_MAX_BYTES, Capsule};
use crate::key::certificate::{CERTIFICATE_LEN_MAX_BYTES, Certificate, UncheckedCertificate};
use crate::key::credential::hex;
use crate::key::hash;
use crate::store::{Bucket, Condition, ObjectName, Put};
use authority::AuthorityState;
use policy::{BoundPolicy, POLICY_LEN_MAX_BYTES, PolicyStatement};
use state::{RealmState, STATE_LEN_MAX_BYTES};

pub use chain::Wrong;
pub use proof::{Author, POLICIES_MAX};

/// How long an authority's newest state is believed to be the newest.
const AUTHORITY_TTL: Duration = Duration::from_secs(60);
/// The most states of a realm, or of an authority, that are followed.
const STATES_MAX: u64 = 1 << 20;

/// Where the newest number of every signed chain that this workstation saw is remembered.
pub trait ChainMarks: Send + Sync {
    /// Returns the newest state seen of a chain: its number and its hash.
    ///
    /// # Errors
    /// When the memory cannot be read.
    fn newest(&self, chain: &str) -> Result<Option<(u64, [u8; 32])>>;

    /// Remembers a state; a lower number changes nothing.
    fn raise(&self, chain: &str, seq: u64, hash: [u8; 32]);
}

/// A realm, open for reading; what was proven once is kept.
pub struct Realm {
    bucket: Bucket,
    id: [u8; 16],
    genesis: [u8; 32],
    state: Mutex<Arc<RealmState>>,
    administrators_ever: Mutex<Vec<crate::key::sign::PublicKey>>,
    newest_hash: Mutex<[u8; 32]>,
    authorities: Mutex<LruCache<AuthorityId, KnownAuthority>>,
    marks: OnceLock<Arc<dyn ChainMarks>>,
    introductions: Mutex<LruCache<AuthorityId, [u8; 32]>>,
    certificates: Mutex<LruCache<[u8; 32], Arc<Certificate>>>,
    policies: Mutex<LruCache<PolicyKey, Arc<BoundPolicy>>>,
    statements: Mutex<LruCache<[u8; 32], Arc<PolicyStatement>>>,
    capsules: Mutex<LruCache<[u8; 32], Arc<Capsule>>>,
}

/// How many authorities, certificates and capsules are kept of each, at most.
const NAMED_MAX: NonZeroUsize = NonZeroUsize::new(1 << 14).expect("not zero");
/// How many policies are kept, each as it binds one patient, at most.
const BOUND_MAX: NonZeroUsize = NonZeroUsize::new(1 << 12).expect("not zero");
/// How many texts of policies are kept, at most.
const STATEMENTS_MAX: NonZeroUsize = NonZeroUsize::new(1 << 9).expect("not zero");

/// When an authority's state was read, the state, and its hash.
type KnownAuthority = (Instant, Arc<AuthorityState>, [u8; 32]);
type PolicyKey = ([u8; 32], Option<AuthorityId>);

/// Locks a cache. A panic while it was locked cannot have left it half-written: every change is
/// one call.
fn locked<T>(cache: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the name of an object in a fixed folder of the bucket.
pub(crate) fn object_name(folder: &str, rest: &str) -> ObjectName {
    ObjectName::new(&format!("{folder}/{rest}")).expect("names and hashes make valid object names")
}

pub(crate) fn seq_name(folder: &str, seq: u64) -> ObjectName {
    object_name(folder, &format!("{seq:010}"))
}

impl Realm {
    /// Opens the realm in a bucket; with a pin, only the realm of that genesis.
    ///
    /// # Errors
    /// `NotFound` when the bucket holds no realm; `Denied` when it holds another than the pin
    /// names; `Integrity` when a state does not follow from the one before.
    pub async fn open(bucket: Bucket, pin: Option<&[u8; 32]>) -> Result<Self> {
        let first =
            bucket.get(&seq_name("realm", 0), STATE_LEN_MAX_BYTES).await?.ok_or_else(|| {
                Error::new(Kind::NotFound, "the bucket holds no realm")
                    .hint("make one: chartfs init BUCKET")
            })?;
        let genesis = hash::sha256(&[&first.bytes]);
        if pin.is_some_and(|p| *p != genesis) {
            return Err(Error::new(Kind::Denied, "the bucket holds another realm")
                .because("the credential is pinned to the realm that it was made for"));
        }
        let state = RealmState::verify(&first.bytes, None)?;
        let realm = Self {
            bucket,
            id: genesis[..16].try_into().expect("16 of 32 bytes"),
            genesis,
            administrators_ever: Mutex::new(state.administrators.clone()),
            state: Mutex::new(Arc::new(state)),
            newest_hash: Mutex::new(genesis),
            authorities: Mutex::new(LruCache::new(NAMED_MAX)),
            marks: OnceLock::new(),
            introductions: Mutex::new(LruCache::new(NAMED_MAX)),
            certificates: Mutex::new(LruCache::new(NAMED_MAX)),
            policies: Mutex::new(LruCache::new(BOUND_MAX)),
            statements: Mutex::new(LruCache::new(STATEMENTS_MAX)),
            capsules: Mutex::new(LruCache::new(NAMED_MAX)),
        };
        realm.refresh().await?;
        Ok(realm)
    }

    /// Follows the realm's states to the newest.
    ///
    /// # Errors
    /// `Integrity` when a state does not follow from the one before.
    pub async fn refresh(&self) -> Result<()> {
        loop {
            let (state, hash) = (self.state(), *locked(&self.newest_hash));
            let next = seq_name("realm", state.seq + 1);
            if state.seq >= STATES_MAX {
                return Err(Error::damaged("the realm has too many states"));
            }
            let Some(object) = self.bucket.get(&next, STATE_LEN_MAX_BYTES).await? else {
                return Ok(());
            };
            let next = RealmState::verify(&object.bytes, Some((&state, hash)))?;
            let mut ever = locked(&self.administrators_ever);
            ever.extend(next.administrators.iter().filter(|a| !state.administrators.contains(a)));
            *locked(&self.newest_hash) = hash::sha256(&[&object.bytes]);
            *locked(&self.state) = Arc::new(next);
        }
    }

    /// Remembers from now on the newest state of every chain; the first memory given stays.
    pub fn remember_in(&self, marks: Arc<dyn ChainMarks>) {
        self.marks.get_or_init(|| marks);
    }

    /// Checks that the realm's state is not older than one seen before.
    ///
    /// # Errors
    /// `Integrity` when it is: the bucket hides the newest.
    pub fn check_newest(&self) -> Result<()> {
        self.check_chain("realm", self.state().seq, *locked(&self.newest_hash))
    }

    fn check_chain(&self, chain: &str, seq: u64, hash: [u8; 32]) -> Result<()> {
        let Some(marks) = self.marks.get() else { return Ok(()) };
        match marks.newest(chain)? {
            Some((seen, _)) if seq < seen => {
                Err(Error::damaged(format!("the bucket hides the newest state of {chain}"))
                    .because(format!("it shows number {seq} after number {seen}"))
                    .hint("somebody rolled the bucket back; ask who restores it"))
            }
            Some((seen, known)) if seq == seen && hash != known => {
                Err(Error::damaged(format!("the bucket shows two states of {chain}"))
                    .because(format!("both have number {seq}")))
            }
            Some((seen, _)) if seq == seen => Ok(()),
            _ => {
                marks.raise(chain, seq, hash);
                Ok(())
            }
        }
    }

    /// Returns the bucket.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Returns the realm's identifier: the first 16 bytes of its genesis.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Returns the hash of the genesis, which credentials are pinned to.
    pub fn genesis(&self) -> [u8; 32] {
        self.genesis
    }

    /// Returns the newest known state.
    pub fn state(&self) -> Arc<RealmState> {
        locked(&self.state).clone()
    }

    /// Returns the newest state of an authority.
    ///
    /// # Errors
    /// `NotFound` when the realm has no such authority; `Integrity` when its state is not proven.
    pub async fn authority(&self, id: &AuthorityId) -> Result<Arc<AuthorityState>> {
        Ok(self.authority_with_hash(id).await?.0)
    }

    /// Returns the names of all authorities that the bucket lists.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn authority_ids(&self) -> Result<Vec<AuthorityId>> {
        let mut ids = Vec::new();
        let mut listing = self.bucket.list("auth/");
        while let Some(listed) = listing.next().await {
            let id = listed?.name.as_str().split('/').nth(1).and_then(|s| s.parse().ok());
            ids.extend(id);
        }
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    /// Returns a certificate whose authority's signature holds.
    ///
    /// # Errors
    /// `Integrity` when it is missing, not the one named, or not proven.
    pub async fn certificate(&self, named: &[u8; 32]) -> Result<Arc<Certificate>> {
        if let Some(c) = locked(&self.certificates).get(named) {
            return Ok(c.clone());
        }
        let limit = CERTIFICATE_LEN_MAX_BYTES as u64;
        let bytes = self.named_object("c", named, limit, "a certificate").await?;
        if hash::sha256(&[&bytes]) != *named {
            return Err(Error::damaged("a certificate is not the one that its name says"));
        }
        let unchecked = UncheckedCertificate::parse(&bytes)?;
        if unchecked.claims().realm != self.id {
            return Err(Error::damaged("a certificate is of another realm"));
        }
        let authority = self.named_authority(&unchecked.claims().authority).await?;
        let certificate = Arc::new(unchecked.verify(&authority.identity)?);
        locked(&self.certificates).put(*named, certificate.clone());
        Ok(certificate)
    }

    /// Returns a capsule, not opened.
    ///
    /// # Errors
    /// `Integrity` when it is missing or not the one named.
    pub async fn capsule(&self, named: &[u8; 32]) -> Result<Arc<Capsule>> {
        if let Some(c) = locked(&self.capsules).get(named) {
            return Ok(c.clone());
        }
        let bytes = self.named_object("k", named, CAPSULE_LEN_MAX_BYTES, "a capsule").await?;
        let capsule = Arc::new(Capsule::parse(&bytes, named, &self.id)?);
        locked(&self.capsules).put(*named, capsule.clone());
        Ok(capsule)
    }

    /// Returns a policy whose author was entitled to set it, bound to a patient.
    ///
    /// # Errors
    /// `Integrity` when it is missing, not the one named, not proven up to an administrator, or
    /// set on the folder of another patient.
    pub async fn policy(
        &self,
        named: &[u8; 32],
        patient: Option<&AuthorityId>,
    ) -> Result<Arc<BoundPolicy>> {
        let key = (*named, patient.cloned());
        if let Some(p) = locked(&self.policies).get(&key) {
            return Ok(p.clone());
        }
        let statement = self.policy_statement(named).await?;
        let bound = Arc::new(statement.bind(*named, patient)?);
        locked(&self.policies).put(key, bound.clone());
        Ok(bound)
    }

    /// Returns a policy as its author signed it, proven up to an administrator.
    ///
    /// # Errors
    /// As [`Realm::policy`].
    pub async fn policy_statement(&self, named: &[u8; 32]) -> Result<Arc<PolicyStatement>> {
        if let Some(s) = locked(&self.statements).get(named) {
            return Ok(s.clone());
        }
        let statement = self.unproven_policy(named).await?;
        self.prove_policy(&statement).await?;
        let statement = Arc::new(statement);
        locked(&self.statements).put(*named, statement.clone());
        Ok(statement)
    }

    async fn unproven_policy(&self, named: &[u8; 32]) -> Result<PolicyStatement> {
        let bytes = self.named_object("p", named, POLICY_LEN_MAX_BYTES, "a policy").await?;
        PolicyStatement::parse(&bytes, named, &self.id)
    }

    async fn named_object(
        &self,
        folder: &str,
        named: &[u8; 32],
        limit_bytes: u64,
        what: &'static str,
    ) -> Result<Bytes> {
        let name = object_name(folder, &hex(named));
        let is_it = |bytes: &[u8]| hash::sha256(&[bytes]) == *named;
        let object = self.bucket.get_immutable(&name, limit_bytes, is_it).await?;
        let object = object.ok_or_else(|| {
            Error::damaged(format!("{what} is missing from the bucket"))
                .because("a signed object names it")
        })?;
        Ok(object.bytes)
    }

    /// Stores an immutable object under its hash; one that is there already is the same.
    async fn put_named(&self, folder: &str, bytes: Vec<u8>) -> Result<[u8; 32]> {
        let hash = hash::sha256(&[&bytes]);
        self.bucket.put(&object_name(folder, &hex(&hash)), bytes.into(), Condition::Absent).await?;
        Ok(hash)
    }

    /// Publishes a capsule.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn put_capsule(&self, bytes: Vec<u8>) -> Result<[u8; 32]> {
        self.put_named("k", bytes).await
    }

    /// Publishes a certificate.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn put_certificate(&self, bytes: Vec<u8>) -> Result<[u8; 32]> {
        self.put_named("c", bytes).await
    }
}

/// Stores the next object of a signed chain.
async fn put_next(bucket: &Bucket, name: ObjectName, bytes: Vec<u8>) -> Result<()> {
    match bucket.put(&name, bytes.into(), Condition::Absent).await? {
        Put::Stored(_) => Ok(()),
        Put::Refused => {
            Err(Error::new(Kind::Conflict, "somebody else changed it first").hint("try again"))
        }
    }
}
