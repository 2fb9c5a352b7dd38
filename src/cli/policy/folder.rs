//! The policy of a folder in the drive: the root's is found by anybody, the others by who can list
//! the folders above them.

use std::sync::Arc;

use crate::cli::drive::{DriveArgs, with_view};
use crate::cli::report::Failure;
use crate::cli::session::{Session, block_on};
use crate::error::{Error, Kind, Result};
use crate::key::attribute::AuthorityId;
use crate::realm::Realm;
use crate::realm::policy::PolicyStatement;
use crate::store::Location;
use crate::view::{NodeKind, Rewrapped, View};

/// A policy that is in force.
pub(super) struct InForce {
    pub(super) hash: [u8; 32],
    pub(super) patient: Option<AuthorityId>,
    pub(super) statement: Arc<PolicyStatement>,
}

/// Says whether a path is the root of the drive.
pub(super) fn is_root(path: &str) -> bool {
    path.split('/').all(|name| name.is_empty() || name == ".")
}

/// Returns the policy in force at a path.
pub(super) fn policy_at(
    session: &Session,
    location: &Location,
    path: &str,
    drive: &DriveArgs,
) -> std::result::Result<InForce, Failure> {
    if is_root(path) {
        return Ok(block_on(async {
            let realm = session.open_realm(location, None).await?;
            root_policy(&realm).await
        })??);
    }
    with_view(session, &location.to_string(), drive, async |view| Ok(in_force(view, path).await?))
}

/// Returns the policy at the root of the drive.
async fn root_policy(realm: &Realm) -> Result<InForce> {
    let hash = realm.state().root_policy;
    if hash == [0; 32] {
        return Err(Error::new(Kind::NotFound, "the drive has no policy yet")
            .hint("chartfs policy set / POLICY --as-admin FILE"));
    }
    Ok(InForce { hash, patient: None, statement: realm.policy_statement(&hash).await? })
}

/// Returns the policy in force at a path of a view.
pub(super) async fn in_force(view: &View, path: &str) -> Result<InForce> {
    let attr = view.resolve(path).await?;
    if attr.kind == NodeKind::Directory {
        // A folder's own head says which policy stands there now.
        let handle = view.open_dir(attr.ino).await?;
        view.release_dir(handle);
    }
    let policy = view.policy_of(attr.ino)?;
    let statement = view.records().realm().policy_statement(&policy.hash).await?;
    Ok(InForce { hash: policy.hash, patient: policy.patient, statement })
}

/// Sets the policy of a folder, signed by the user of the view: the one place that does.
pub(super) async fn set(view: &View, path: &str, text: &str) -> Result<Rewrapped> {
    let attr = view.resolve(path).await?;
    if attr.kind != NodeKind::Directory {
        return Err(Error::new(Kind::NotDirectory, "the policy cannot be set")
            .because("policies stand at folders, and this is a file"));
    }
    view.set_policy(attr.ino, text).await
}
