//! The keys of the mounted user while they are in use: which attributes they prove, and the clause
//! secrets that were opened with them, each once.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use super::attribute::{Attribute, Epoch, EpochAttribute, Gid};
use super::capsule::Capsule;
use super::certificate::{Claims, UncheckedCertificate};
use super::credential::Credential;
use super::dabe::{AttributeKey, AuthorityPublic};
use super::hash;
use super::secret::{ClauseSecret, Secret};
use super::sign::{PublicKey, Signature, SigningKey};
use crate::error::Result;

/// How many opened clause secrets are kept: 32 bytes each.
const OPENED_MAX: NonZeroUsize = NonZeroUsize::new(1 << 16).expect("not zero");

/// Whether the user has an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holding {
    /// No key for it.
    No,
    /// A key, but the certificate behind it has ended.
    Expired,
    /// A key, and a certificate that is valid.
    Yes,
}

/// One of the user's certificates, as the user's own client holds it.
pub struct OwnCertificate {
    /// SHA-256 over the stored bytes: the certificate's object name.
    pub hash: [u8; 32],
    /// The stored bytes.
    pub bytes: Vec<u8>,
    /// What it claims.
    pub claims: Claims,
}

/// The opened credential of the mounted user.
pub struct Keyring {
    user_name: String,
    realm_genesis: [u8; 32],
    identity: SigningKey,
    keys: HashMap<EpochAttribute, AttributeKey>,
    epochs: HashMap<Attribute, Vec<Epoch>>,
    certificates: Vec<OwnCertificate>,
    opened: Mutex<LruCache<[u8; 32], Arc<ClauseSecret>>>,
    decapsulations: AtomicU64,
}

impl Keyring {
    /// Takes over an opened credential.
    ///
    /// # Errors
    /// `Integrity` when a stored certificate cannot be read.
    pub fn new(credential: Credential) -> Result<Self> {
        let mut keys = HashMap::new();
        let mut epochs: HashMap<Attribute, Vec<Epoch>> = HashMap::new();
        let mut certificates = Vec::new();
        for grant in credential.grants.into_values() {
            let claims = UncheckedCertificate::parse(&grant.certificate)?.claims().clone();
            let hash = hash::sha256(&[&grant.certificate]);
            certificates.push(OwnCertificate { hash, bytes: grant.certificate, claims });
            for (what, key) in grant.keys {
                epochs.entry(what.attribute.clone()).or_default().push(what.epoch);
                keys.insert(what, key);
            }
        }
        Ok(Self {
            user_name: credential.user_name,
            realm_genesis: credential.realm_genesis,
            identity: credential.identity,
            keys,
            epochs,
            certificates,
            opened: Mutex::new(LruCache::new(OPENED_MAX)),
            decapsulations: AtomicU64::new(0),
        })
    }

    /// Returns how the user is called in lists.
    pub fn user_name(&self) -> &str {
        &self.user_name
    }

    /// Returns the realm that the credential is pinned to.
    pub fn realm_genesis(&self) -> &[u8; 32] {
        &self.realm_genesis
    }

    /// Returns the user's identity key.
    pub fn public(&self) -> PublicKey {
        self.identity.public()
    }

    /// Returns the user's identifier.
    pub fn gid(&self) -> Gid {
        Gid::of(&self.public().0)
    }

    /// Signs as the user.
    pub fn sign(&self, domain: &str, message: &[u8]) -> Signature {
        self.identity.sign(domain, message)
    }

    /// Derives a key of the user for local files.
    pub fn local_key(&self, purpose: &str) -> Secret<32> {
        let ikm = self.identity.seed().expose();
        hash::hkdf(b"chartfs1 local", ikm, &[purpose.as_bytes(), &self.realm_genesis])
    }

    /// Returns the user's certificates.
    pub fn certificates(&self) -> &[OwnCertificate] {
        &self.certificates
    }

    /// Returns every attribute of which a key is held.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.epochs.keys()
    }

    /// Says whether the user has an attribute at that second.
    pub fn holding(&self, attribute: &Attribute, now_unix_s: i64) -> Holding {
        if !self.epochs.contains_key(attribute) {
            return Holding::No;
        }
        let valid = self.certificates.iter().any(|c| {
            c.claims.authority == attribute.authority
                && c.claims.attributes.iter().any(|(name, _)| *name == attribute.name)
                && (c.claims.not_before_unix_s..=c.claims.not_after_unix_s).contains(&now_unix_s)
        });
        if valid { Holding::Yes } else { Holding::Expired }
    }

    /// Says whether a key of exactly this epoch is held.
    pub fn has_epoch(&self, what: &EpochAttribute) -> bool {
        self.keys.contains_key(what)
    }

    /// Returns a clause secret that was opened before, or made by this user.
    pub fn opened(&self, capsule: &[u8; 32]) -> Option<Arc<ClauseSecret>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(capsule).cloned()
    }

    /// Keeps a clause secret that this user made.
    pub fn keep(&self, capsule: [u8; 32], secret: ClauseSecret) -> Arc<ClauseSecret> {
        let secret = Arc::new(secret);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.put(capsule, secret.clone());
        secret
    }

    /// Opens a capsule by pairings, whose every row's key is held, and keeps its secret. Takes
    /// milliseconds: callers run it off the request threads.
    ///
    /// # Errors
    /// `Integrity` when the capsule does not open with keys that should open it.
    ///
    /// # Panics
    /// Never: a row without a key is refused first.
    pub fn open_capsule(
        &self,
        capsule: &Capsule,
        authorities: &[&AuthorityPublic],
    ) -> Result<Arc<ClauseSecret>> {
        if let Some(secret) = self.opened(&capsule.hash()) {
            return Ok(secret);
        }
        let keys: Option<Vec<&AttributeKey>> =
            capsule.rows().iter().map(|row| self.keys.get(&row.what)).collect();
        let keys = keys.ok_or_else(|| {
            crate::error::Error::new(crate::error::Kind::Denied, "a capsule is closed to you")
                .because("the credential has no key for one of its epochs")
                .hint("ask the authority to issue the attribute again")
        })?;
        let secret = capsule.open(&self.gid(), &keys, authorities)?;
        self.decapsulations.fetch_add(1, Ordering::Relaxed);
        Ok(self.keep(capsule.hash(), secret))
    }

    /// Returns how many capsules were opened by pairings.
    pub fn decapsulations(&self) -> u64 {
        self.decapsulations.load(Ordering::Relaxed)
    }
}
