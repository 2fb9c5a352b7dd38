//! Founding a realm and publishing its changes.

use futures::StreamExt;

use super::authority::{AuthorityKeys, AuthorityKind, AuthorityState};
use super::policy::{DOMAIN as POLICY_DOMAIN, PolicyStatement};
use super::state::RealmState;
use super::{Realm, locked, put_next, seq_name};
use crate::error::{Error, Kind, Result};
use crate::key::attribute::{AttributeName, AuthorityId, Epoch, EpochAttribute};
use crate::key::certificate::Claims;
use crate::key::credential::{Grant, Request};
use crate::key::hash;
use crate::key::sign::{Signature, SigningKey};
use crate::store::Bucket;

impl Realm {
    /// Founds a realm in an empty bucket, after proving that the store keeps its conditions.
    ///
    /// # Errors
    /// `Exists` when the bucket is not empty; `Unsupported` when it ignores conditional writes.
    pub async fn found(
        bucket: Bucket,
        administrator: &SigningKey,
        now_unix_s: i64,
    ) -> Result<Self> {
        let is_empty = async |prefix: &str| {
            Ok::<_, Error>(bucket.list(prefix).next().await.transpose()?.is_none())
        };
        if !is_empty("").await? {
            let what = if is_empty("realm/").await? { "other objects" } else { "a realm" };
            return Err(Error::new(Kind::Exists, "the bucket is not empty")
                .because(format!("it holds {what}"))
                .hint("name another bucket or prefix"));
        }
        bucket.probe().await?;
        let genesis = RealmState::genesis(administrator.public(), now_unix_s);
        let bytes = genesis.sign(&genesis.administrators, administrator)?;
        put_next(&bucket, seq_name("realm", 0), bytes).await?;
        Self::open(bucket, None).await
    }

    /// Publishes the next state of the realm, as an administrator; `change` edits it.
    ///
    /// # Errors
    /// `Denied` when the key is not an administrator's; `Conflict` when somebody was faster.
    pub async fn amend(
        &self,
        administrator: &SigningKey,
        now_unix_s: i64,
        change: impl FnOnce(&mut RealmState),
    ) -> Result<()> {
        self.refresh().await?;
        let before = self.state();
        let mut next = (*before).clone();
        next.seq += 1;
        next.previous = *locked(&self.newest_hash);
        next.time_unix_s = now_unix_s;
        change(&mut next);
        let bytes = next.sign(&before.administrators, administrator)?;
        put_next(&self.bucket, seq_name("realm", next.seq), bytes).await?;
        self.refresh().await
    }

    /// Introduces a new authority, as an administrator; returns its keys, to be sealed in a file.
    ///
    /// # Errors
    /// `Denied` when the key is not an administrator's; `Exists` when the name is taken.
    pub async fn introduce(
        &self,
        id: AuthorityId,
        kind: AuthorityKind,
        administrator: &SigningKey,
        now_unix_s: i64,
    ) -> Result<AuthorityKeys> {
        if !self.state().administrators.contains(&administrator.public()) {
            return Err(Error::new(Kind::Denied, "no authority can be introduced")
                .because("the key is not an administrator's of this realm"));
        }
        let keys = AuthorityKeys::generate(id, self.genesis);
        let state = AuthorityState::introduce(self.id, &keys, kind, administrator, now_unix_s);
        let bytes = state.sign(&keys.identity)?;
        let name = seq_name(&format!("auth/{}", keys.id), 0);
        put_next(&self.bucket, name, bytes).await.map_err(|e| match e.kind() {
            Kind::Conflict => {
                Error::new(Kind::Exists, format!("the realm has an authority {} already", keys.id))
            }
            _ => e,
        })?;
        Ok(keys)
    }

    /// Publishes the next state of an authority; `change` edits it.
    ///
    /// # Errors
    /// `Denied` when the key is not the authority's; `Conflict` when somebody was faster.
    pub async fn amend_authority(
        &self,
        id: &AuthorityId,
        identity: &SigningKey,
        now_unix_s: i64,
        change: impl FnOnce(&mut AuthorityState),
    ) -> Result<()> {
        locked(&self.authorities).pop(id);
        let (before, hash) = self.authority_with_hash(id).await?;
        let mut next = (*before).clone();
        next.seq += 1;
        next.previous = hash;
        next.time_unix_s = now_unix_s;
        change(&mut next);
        let name = seq_name(&format!("auth/{id}"), next.seq);
        let published = put_next(&self.bucket, name, next.sign(identity)?).await;
        locked(&self.authorities).pop(id);
        published
    }

    /// Issues attributes to a user, as their authority: new attributes are announced first, then
    /// the certificate is published, then the keys of every epoch are sealed to the device.
    ///
    /// # Errors
    /// `Denied` for a request of another realm, or keys that are not the authority's.
    pub async fn issue(
        &self,
        keys: &AuthorityKeys,
        request: &Request,
        names: &[AttributeName],
        now_unix_s: i64,
        not_after_unix_s: i64,
    ) -> Result<String> {
        if request.realm_genesis != self.genesis || keys.realm_genesis != self.genesis {
            return Err(Error::new(Kind::Denied, "the attributes cannot be issued")
                .because("the request, or the authority file, is of another realm"));
        }
        let state = self.announce(keys, names, now_unix_s).await?;
        let attributes: Vec<_> = names.iter().map(|n| (n.clone(), state.attributes[n])).collect();
        let certificate = Claims {
            realm: self.id,
            authority: keys.id.clone(),
            serial: hash::random(),
            subject: request.identity,
            attributes: attributes.clone(),
            not_before_unix_s: now_unix_s - 300,
            not_after_unix_s,
            authority_seq: state.seq,
        }
        .sign(&keys.identity)?;
        self.put_certificate(certificate.clone()).await?;
        let grant = Grant {
            realm_genesis: self.genesis,
            authority: keys.id.clone(),
            public: state.public.clone(),
            certificate,
            keys: issue_every_epoch(keys, request, &attributes),
        };
        grant.seal(&request.device)
    }

    async fn announce(
        &self,
        keys: &AuthorityKeys,
        names: &[AttributeName],
        now_unix_s: i64,
    ) -> Result<std::sync::Arc<AuthorityState>> {
        let state = self.authority(&keys.id).await?;
        if names.iter().all(|n| state.attributes.contains_key(n)) {
            return Ok(state);
        }
        self.amend_authority(&keys.id, &keys.identity, now_unix_s, |next| {
            for n in names {
                next.attributes.entry(n.clone()).or_insert(Epoch(1));
            }
        })
        .await?;
        self.authority(&keys.id).await
    }

    /// Publishes a policy that the caller signs; returns its hash.
    ///
    /// # Errors
    /// `Usage` when the text cannot be read; `Denied` when its author was not entitled.
    pub async fn put_policy(
        &self,
        statement: &PolicyStatement,
        sign: impl FnOnce(&str, &[u8]) -> Signature,
    ) -> Result<[u8; 32]> {
        super::policy::PolicyDocument::parse(&statement.text)?
            .bind([0; 32], statement.patient.clone())?;
        self.prove_policy(statement).await.map_err(|e| match e.kind() {
            Kind::Integrity => Error::new(Kind::Denied, "the policy cannot be set")
                .because("your attributes do not satisfy `manage` of the policy in force"),
            _ => e,
        })?;
        let mut bytes = statement.to_signed_bytes();
        let signature = sign(POLICY_DOMAIN, &bytes);
        bytes.extend_from_slice(&signature.0);
        self.put_named("p", bytes).await
    }
}

/// A newcomer has to read what was written before: the keys of all epochs so far are issued.
fn issue_every_epoch(
    keys: &AuthorityKeys,
    request: &Request,
    attributes: &[(AttributeName, Epoch)],
) -> Vec<(EpochAttribute, crate::key::dabe::AttributeKey)> {
    let gid = request.gid();
    let every = attributes.iter().flat_map(|(name, last)| {
        (1..=last.0).map(|epoch| EpochAttribute {
            attribute: crate::key::attribute::Attribute {
                name: name.clone(),
                authority: keys.id.clone(),
            },
            epoch: Epoch(epoch),
        })
    });
    every.map(|what| (what.clone(), keys.scheme.issue(&gid, &what))).collect()
}
