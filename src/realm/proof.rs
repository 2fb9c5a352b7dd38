//! Was the author entitled? Certificates against a formula, at the time of a statement.

use super::policy::PolicyStatement;
use super::{Realm, locked};
use crate::error::{Error, Result};
use crate::key::attribute::Attribute;
use crate::key::policy::Policy;
use crate::key::sign::PublicKey;

/// The most policies that replace one another.
pub const POLICIES_MAX: usize = 4096;

/// Who signed something, proven: the attributes that certificates gave at that time.
#[derive(Clone, Debug)]
pub struct Author {
    /// The signing key.
    pub public: PublicKey,
    /// The attributes that it held when it signed.
    pub attributes: Vec<Attribute>,
    /// Whether it is a key of an administrator.
    pub is_administrator: bool,
}

impl Author {
    /// Says whether the author's attributes satisfy a formula.
    pub fn satisfies(&self, policy: &Policy) -> bool {
        policy.satisfied_by(&|a: &Attribute| self.attributes.contains(a))
    }
}

impl Realm {
    /// Proves which attributes a signing key held at a time, by the certificates that the
    /// statement names.
    ///
    /// # Errors
    /// `Integrity` when a certificate is missing, of somebody else, not valid then, or revoked.
    pub async fn author(
        &self,
        public: PublicKey,
        certificates: &[[u8; 32]],
        time_unix_s: i64,
    ) -> Result<Author> {
        let mut attributes = Vec::new();
        for named in certificates {
            let certificate = self.certificate(named).await?;
            let claims = certificate.claims();
            if claims.subject != public {
                return Err(Error::damaged("a statement names a certificate of somebody else"));
            }
            if !certificate.valid_at(time_unix_s) {
                return Err(Error::damaged(
                    "a statement was signed outside its certificate's dates",
                ));
            }
            let authority = self.authority(&claims.authority).await?;
            if authority.revoked.get(&claims.serial).is_some_and(|cut| *cut <= time_unix_s) {
                return Err(Error::damaged("a statement was signed after its author was revoked"));
            }
            attributes.extend(certificate.attributes().map(|e| e.attribute));
        }
        let is_administrator = locked(&self.administrators_ever).contains(&public);
        Ok(Author { public, attributes, is_administrator })
    }

    /// Proves that the author of a policy was entitled: an administrator for one that replaces
    /// none, else somebody whom the replaced policy lets manage; and so on down to the first.
    ///
    /// A loop and not a recursion: the bucket decides how long the chain is.
    ///
    /// # Errors
    /// `Integrity` when not.
    pub(super) async fn prove_policy(&self, newest: &PolicyStatement) -> Result<()> {
        let mut statement = newest.clone();
        for _ in 0..POLICIES_MAX {
            let author = self
                .author(statement.author, &statement.certificates, statement.time_unix_s)
                .await?;
            if statement.replaces == [0; 32] {
                return if author.is_administrator {
                    Ok(())
                } else {
                    Err(Error::damaged("a first policy was not signed by an administrator"))
                };
            }
            let known = locked(&self.statements).get(&statement.replaces).cloned();
            let replaced = match &known {
                Some(proven) => (**proven).clone(),
                None => self.unproven_policy(&statement.replaces).await?,
            };
            let manage = replaced.bind(statement.replaces, statement.patient.as_ref())?.manage;
            // The root's policy is the administrators' own; they replace it without being in it.
            let is_roots = author.is_administrator
                && locked(&self.administrators_ever).contains(&replaced.author);
            if !author.satisfies(&manage) && !is_roots {
                return Err(Error::damaged("a policy was set by somebody who may not manage"));
            }
            if known.is_some() {
                return Ok(());
            }
            statement = replaced;
        }
        Err(Error::damaged("a policy replaces too many others"))
    }

    /// Says whether a policy is another one, or was replaced by it, at once or step by step.
    ///
    /// # Errors
    /// `Integrity` when the newer one is not proven.
    pub async fn was_replaced_by(&self, older: &[u8; 32], newer: &[u8; 32]) -> Result<bool> {
        let mut at = *newer;
        for _ in 0..POLICIES_MAX {
            if at == *older {
                return Ok(true);
            }
            if at == [0; 32] {
                return Ok(false);
            }
            at = self.policy_statement(&at).await?.replaces;
        }
        Ok(false)
    }
}
