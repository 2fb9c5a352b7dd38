//! The capsules that this user makes: one per clause and epochs, reused for every section until an
//! epoch changes. Only one's own are reused: another author's secret is known to that author.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use super::{PolicyRef, Record, Records};
use crate::error::{Error, Kind, Result};
use crate::key::aead;
use crate::key::attribute::{Epoch, EpochAttribute};
use crate::key::capsule::Capsule;
use crate::key::dabe::{AuthorityPublic, Row};
use crate::key::policy::{Clause, Policy};
use crate::key::secret::{ClauseSecret, DataKey, Secret};
use crate::key::wrap::{OuterKey, Wrap};
use crate::section::Place;
use crate::wire::Writer;

impl Records {
    /// Looks up what writing under a policy takes, so that it can be done off-line too.
    ///
    /// # Errors
    /// The first failure; everything else was tried too.
    pub async fn prepare(&self, policy: &PolicyRef) -> Result<()> {
        let bound = self.realm.policy(&policy.hash, policy.patient.as_ref()).await?;
        let mut result = Ok(());
        for authority in bound.authorities() {
            result = result.and(self.realm.authority(authority).await.map(drop));
        }
        for certificate in self.keyring.certificates() {
            result = result.and(self.realm.certificate(&certificate.hash).await.map(drop));
        }
        result
    }

    /// Fetches the capsules of a record that came from the bucket, where what was fetched is kept
    /// on the disk: whoever has seen a record can open, and change, all that he may of it off-line.
    pub(super) fn fetch_capsules(&self, record: &Record) {
        if !self.realm.bucket().has_cache() {
            return;
        }
        let parts = record.head.slots.iter().flat_map(|s| &s.parts);
        let named: BTreeSet<[u8; 32]> =
            parts.flat_map(|p| &p.wraps).map(|wrap| *wrap.capsule()).collect();
        let unknown: Vec<[u8; 32]> =
            named.into_iter().filter(|hash| self.keyring.opened(hash).is_none()).collect();
        if unknown.is_empty() {
            return;
        }
        let realm = Arc::clone(&self.realm);
        tokio::spawn(async move {
            for hash in unknown {
                if let Err(error) = realm.capsule(&hash).await {
                    tracing::debug!(%error, "a capsule cannot be fetched beforehand");
                }
            }
        });
    }

    /// Wraps a data key once per clause of a read policy.
    ///
    /// # Errors
    /// `NotFound` when a clause names an authority that the realm does not have.
    pub(super) async fn wrap(
        &self,
        read: &Policy,
        place: Place,
        data_key: &DataKey,
    ) -> Result<Vec<Wrap>> {
        let mut wraps = Vec::with_capacity(read.clauses().len());
        for clause in read.clauses() {
            let (hash, secret) = self.capsule_for(clause).await?;
            wraps.push(Wrap::new(&OuterKey::None, &secret, hash, &place.to_bytes(), data_key));
        }
        Ok(wraps)
    }

    /// Returns this user's capsule for a clause in the epochs in force, made now if need be.
    async fn capsule_for(&self, clause: &Clause) -> Result<([u8; 32], Arc<ClauseSecret>)> {
        let (whats, publics) = self.rows_of(clause).await?;
        // Held while a capsule is made and stored, so that two sections under one clause share
        // one. Only who writes under this very clause waits, and its head will name the capsule.
        let cell = {
            let mut own = self.own_capsules.lock().unwrap_or_else(PoisonError::into_inner);
            own.get_or_insert(whats.clone(), Arc::default).clone()
        };
        let mut own = cell.lock().await;
        if let Some(hash) = *own
            && let Some(secret) = self.keyring.opened(&hash)
        {
            return Ok((hash, secret));
        }
        let stored_under = stored_under(&self.realm.id(), &whats, &publics);
        if let Some(known) = self.stored_capsule(&stored_under)? {
            *own = Some(known.0);
            return Ok(known);
        }
        let (realm, author) = (self.realm.id(), self.keyring.public());
        let rows_whats = whats.clone();
        let making = tokio::task::spawn_blocking(move || {
            let rows: Vec<Row<'_>> = rows_whats
                .iter()
                .zip(&publics)
                .map(|(what, authority)| Row { what, authority })
                .collect();
            Capsule::make(realm, author, &rows)
        });
        let (_, bytes, secret) = making.await.map_err(|e| {
            Error::new(Kind::Internal, "making a capsule was interrupted").because(e)
        })??;
        let hash = self.realm.put_capsule(bytes).await?;
        let sealing_key = self.keyring.local_key("capsules");
        let sealed = aead::seal(&sealing_key, &hash, secret.expose());
        self.marks.put_capsule(&stored_under, &[&hash[..], &sealed].concat())?;
        *own = Some(hash);
        Ok((hash, self.keyring.keep(hash, secret)))
    }

    /// Returns the rows of a clause. An attribute that its authority has not issued yet is in its
    /// first epoch: a policy may name it before anybody holds it.
    async fn rows_of(
        &self,
        clause: &Clause,
    ) -> Result<(Vec<EpochAttribute>, Vec<AuthorityPublic>)> {
        let (mut whats, mut publics) = (Vec::new(), Vec::new());
        for attribute in clause.attributes() {
            let authority = self.realm.authority(&attribute.authority).await?;
            let first = EpochAttribute { attribute: attribute.clone(), epoch: Epoch(1) };
            whats.push(authority.current(attribute).unwrap_or(first));
            publics.push(authority.public.clone());
        }
        Ok((whats, publics))
    }

    fn stored_capsule(&self, stored_under: &[u8]) -> Result<Option<([u8; 32], Arc<ClauseSecret>)>> {
        let Some(value) = self.marks.capsule(stored_under)? else { return Ok(None) };
        let sealing_key = self.keyring.local_key("capsules");
        let opened = value
            .split_first_chunk::<32>()
            .and_then(|(hash, sealed)| Some((*hash, aead::open(&sealing_key, hash, sealed).ok()?)))
            .and_then(|(hash, secret)| Some((hash, <[u8; 32]>::try_from(secret).ok()?)));
        Ok(opened.map(|(hash, secret)| (hash, self.keyring.keep(hash, Secret::new(secret)))))
    }
}

fn stored_under(
    realm: &[u8; 16],
    whats: &[EpochAttribute],
    publics: &[AuthorityPublic],
) -> Vec<u8> {
    let mut w = Writer::new();
    w.bytes(realm);
    for (what, public) in whats.iter().zip(publics) {
        w.short(what.to_string().as_bytes()).bytes(&public.id());
    }
    w.into_bytes()
}
