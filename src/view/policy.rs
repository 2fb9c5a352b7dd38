//! Policies of folders: which one a new folder gets, and setting another.

use std::sync::Arc;
use std::time::Duration;

use super::folder::place_of;
use super::node::{Node, Stands};
use super::{Ino, View};
use crate::clock::now_unix_s;
use crate::error::{Error, Kind, Result};
use crate::key::attribute::AuthorityId;
use crate::realm::authority::AuthorityKind;
use crate::realm::policy::{PolicyDocument, PolicyStatement};
use crate::record::{Committed, Located, PolicyRef};

/// How often a record is wrapped again on top of somebody else's change.
const TRIES_MAX: u32 = 16;

/// What setting a policy did below the folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Records whose open sections are wrapped under the new policy now.
    pub records: u64,
    /// Records that could not be wrapped again; their next writer does it.
    pub left: u64,
}

impl View {
    /// Returns the policy of a new folder that does not just inherit: a folder that is named as a
    /// patient's authority is that patient's, where the policy asks for one.
    pub(super) async fn patient_policy(
        &self,
        policy: &PolicyRef,
        name: &[u8],
    ) -> Result<Option<PolicyRef>> {
        if policy.patient.is_some() {
            return Ok(None);
        }
        let id = std::str::from_utf8(name).ok().and_then(|n| n.parse::<AuthorityId>().ok());
        let Some(id) = id else { return Ok(None) };
        let realm = self.records.realm();
        if !realm.policy_statement(&policy.hash).await?.text.contains("{patient}") {
            return Ok(None);
        }
        match realm.authority(&id).await {
            Ok(authority) if authority.kind == AuthorityKind::Patient => {
                Ok(Some(PolicyRef { hash: policy.hash, patient: Some(id) }))
            }
            Ok(_) => Ok(None),
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Returns the policy in force in a folder, or in the folder of a file.
    ///
    /// # Errors
    /// `NotFound` when there is no such file or folder.
    pub fn policy_of(&self, ino: Ino) -> Result<PolicyRef> {
        let node = self.node(ino)?;
        match node.stands() {
            Stands::Directory { .. } => Ok(place_of(&node)?.1),
            Stands::Record { policy, .. } => Ok(policy),
            Stands::Fresh | Stands::Local | Stands::Removed => {
                Err(Error::new(Kind::NotFound, "the file is not in the bucket"))
            }
        }
    }

    /// Sets a policy on a folder other than the root, signed by this user, and wraps what the user
    /// can open below it again.
    ///
    /// # Errors
    /// `Denied` when the policy in force lets the user not manage; `Usage` when the text cannot be
    /// read.
    pub async fn set_policy(&self, ino: Ino, text: &str) -> Result<Rewrapped> {
        if ino == Ino::ROOT {
            return Err(Error::new(Kind::Denied, "the root's policy is an administrator's")
                .hint("chartfs policy set / FILE --as-admin FILE"));
        }
        if !PolicyDocument::parse(text)?.inboxes.is_empty() {
            return Err(Error::new(Kind::Usage, "this policy cannot name an inbox")
                .because("only the policy of the root does, which an administrator signs"));
        }
        let node = self.node(ino)?;
        // The folder's own head says which policy is in force; its name may know an older one.
        self.entry(&node, b"", Duration::ZERO).await?;
        let (located, old) = place_of(&node)?;
        let (realm, keyring) = (self.records.realm(), self.records.keyring());
        let now = now_unix_s();
        let statement = PolicyStatement {
            realm: realm.id(),
            replaces: old.hash,
            patient: old.patient.clone(),
            time_unix_s: now,
            text: text.to_owned(),
            author: keyring.public(),
            certificates: self.records.own_certificates(now),
        };
        let hash = realm.put_policy(&statement, |domain, m| keyring.sign(domain, m)).await?;
        let new = PolicyRef { hash, patient: old.patient.clone() };
        self.records.begin_project(&old, &new).await?;
        for part in self.records.records_of(located, &old).await? {
            self.rewrap_record(part, &old, &new).await?;
        }
        node.set_stands(Stands::Directory { located, policy: new.clone() });
        let mut rewrapped = Rewrapped::default();
        self.rewrap_below(&node, &new, &mut rewrapped).await?;
        Ok(rewrapped)
    }

    /// Wraps what the user can open in the root, and below it as far as its policy reaches, again
    /// under the policy in force there: an administrator who replaces that holds no key of a
    /// record.
    ///
    /// # Errors
    /// Those of loading and committing the folders; a file that cannot be wrapped again is counted.
    pub async fn rewrap_root(&self) -> Result<Rewrapped> {
        let root = self.node(Ino::ROOT)?;
        let (located, policy) = place_of(&root)?;
        for part in self.records.records_of(located, &policy).await? {
            self.rewrap_record(part, &policy, &policy).await?;
        }
        let mut rewrapped = Rewrapped::default();
        self.rewrap_below(&root, &policy, &mut rewrapped).await?;
        Ok(rewrapped)
    }

    async fn rewrap_below(
        &self,
        folder: &Arc<Node>,
        policy: &PolicyRef,
        sum: &mut Rewrapped,
    ) -> Result<()> {
        let table = self.table(folder, Duration::ZERO).await?;
        for (name, entry) in &table.0 {
            if entry.policy.is_some() {
                continue;
            }
            if entry.is_directory() {
                for part in self.records.records_of(entry.located, policy).await? {
                    self.rewrap_record(part, policy, policy).await?;
                }
                let below = self.node_of(folder, name, entry)?;
                Box::pin(self.rewrap_below(&below, policy, sum)).await?;
                continue;
            }
            match self.rewrap_record(entry.located, policy, policy).await {
                Ok(()) => sum.records += 1,
                Err(_) => sum.left += 1,
            }
        }
        Ok(())
    }

    /// Commits a record without changing a section: whatever the user can open is wrapped under
    /// the policy in force.
    async fn rewrap_record(
        &self,
        located: Located,
        before: &PolicyRef,
        policy: &PolicyRef,
    ) -> Result<()> {
        let mut max_age = Duration::MAX;
        for _ in 0..TRIES_MAX {
            let record = self.records.load(located, before, max_age).await?;
            let profile = record.head.profile;
            let done = self.records.commit(&record, profile, policy, Vec::new(), false).await?;
            if matches!(done, Committed::Done(_)) {
                return Ok(());
            }
            max_age = Duration::ZERO;
        }
        Err(Error::new(Kind::Conflict, "the record is changed by others all the time"))
    }
}
