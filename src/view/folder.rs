//! One folder in use: its table as last decoded, the names that differ on this workstation, and
//! changes that wait to share a commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::node::{Node, Stands};
use super::{Ino, View, locked};
use crate::error::{Error, Kind, Result};
use crate::record::directory::{Entry, Table};
use crate::record::{Located, PolicyRef, RecordId};

/// How a name on this workstation differs from the table in the bucket.
#[derive(Clone, Debug)]
pub(super) enum Overlay {
    /// A file that is only here, or not committed yet.
    Here(Ino),
    /// A name that was taken away and may come back; what it stood for keeps its hidden sections.
    Gone(Gone),
}

/// A name that was taken away.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    /// What it stood for.
    pub(super) entry: Entry,
    /// When.
    pub(super) since: Instant,
    /// Whether the name is to be removed from the bucket when it does not come back.
    pub(super) is_removal: bool,
    /// The name that the record was moved to, when it was.
    pub(super) moved_to: Option<(Ino, Vec<u8>)>,
}

/// A change of a folder's table.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// Adds a name that must not exist.
    Add { name: Vec<u8>, entry: Entry },
    /// Adds a name, or lets it stand for something else.
    Put { name: Vec<u8>, entry: Entry },
    /// Takes a name away that stands for this record.
    Remove { name: Vec<u8>, record: RecordId },
    /// Gives what a name stands for another name, in the place of whatever has that.
    Rename { from: Vec<u8>, to: Vec<u8>, record: RecordId },
    /// Lets two names change places.
    Exchange { one: Vec<u8>, other: Vec<u8> },
}

impl Edit {
    fn apply(&self, table: &mut Table) -> Result<()> {
        let missing = || Error::new(Kind::NotFound, "the name is not there any more");
        match self {
            Self::Add { name, .. } if table.0.contains_key(name) => {
                return Err(Error::new(Kind::Exists, "the name exists already"));
            }
            Self::Add { name, entry } | Self::Put { name, entry } => {
                table.0.insert(name.clone(), entry.clone());
            }
            Self::Remove { name, record } => {
                table.0.get(name).filter(|e| e.located.record == *record).ok_or_else(missing)?;
                table.0.remove(name);
            }
            Self::Rename { from, to, record } => {
                table.0.get(from).filter(|e| e.located.record == *record).ok_or_else(missing)?;
                let entry = table.0.remove(from).ok_or_else(missing)?;
                table.0.insert(to.clone(), entry);
            }
            Self::Exchange { one, other } => {
                let first = table.0.remove(one).ok_or_else(missing)?;
                let second = table.0.remove(other).ok_or_else(missing)?;
                table.0.insert(one.clone(), second);
                table.0.insert(other.clone(), first);
            }
        }
        Ok(())
    }

    /// Says whether the table before is to be kept: something in it would be lost otherwise.
    fn keeps_history(&self) -> bool {
        !matches!(self, Self::Add { .. })
    }
}

/// A folder's table as last decoded.
#[derive(Clone)]
struct Decoded {
    object_hash: [u8; 32],
    table: Arc<Table>,
    /// The policy that the folder's name gave it.
    given: PolicyRef,
    /// The one that its own head names.
    in_force: PolicyRef,
}

type Waiting = (Edit, oneshot::Sender<Result<()>>);

/// The part of a node that only folders use.
#[derive(Default)]
pub(super) struct Folder {
    decoded: Mutex<Option<Decoded>>,
    overlay: Mutex<HashMap<Vec<u8>, Overlay>>,
    waiting: Mutex<Vec<Waiting>>,
    committing: tokio::sync::Mutex<()>,
}

impl Folder {
    pub(super) fn overlay(&self, name: &[u8]) -> Option<Overlay> {
        locked(&self.overlay).get(name).cloned()
    }

    pub(super) fn set_overlay(&self, name: &[u8], overlay: Overlay) {
        locked(&self.overlay).insert(name.to_vec(), overlay);
    }

    pub(super) fn clear_overlay(&self, name: &[u8]) -> Option<Overlay> {
        locked(&self.overlay).remove(name)
    }

    /// Returns the names that are only here.
    pub(super) fn here(&self) -> Vec<(Vec<u8>, Ino)> {
        locked(&self.overlay)
            .iter()
            .filter_map(|(name, o)| match o {
                Overlay::Here(ino) => Some((name.clone(), *ino)),
                Overlay::Gone(_) => None,
            })
            .collect()
    }

    /// Returns the names that were taken away.
    pub(super) fn gone(&self) -> Vec<(Vec<u8>, Gone)> {
        locked(&self.overlay)
            .iter()
            .filter_map(|(name, o)| match o {
                Overlay::Gone(gone) => Some((name.clone(), gone.clone())),
                Overlay::Here(_) => None,
            })
            .collect()
    }

    /// Says whether forgetting the folder loses nothing.
    pub(super) fn is_plain(&self) -> bool {
        locked(&self.overlay).is_empty() && locked(&self.waiting).is_empty()
    }
}

/// Returns where a folder lives and the policy in force in it.
///
/// # Errors
/// `NotDirectory` when the node is a file.
pub(super) fn place_of(node: &Node) -> Result<(Located, PolicyRef)> {
    match node.stands() {
        Stands::Directory { located, policy } => Ok((located, policy)),
        _ => Err(Error::new(Kind::NotDirectory, "this is not a folder")),
    }
}

impl View {
    /// Returns a folder's table, at most `max_age` old.
    pub(super) async fn table(&self, folder: &Node, max_age: Duration) -> Result<Arc<Table>> {
        let (located, policy) = place_of(folder)?;
        if let Some((seen, record)) = self.records.cached(located.record) {
            if seen.elapsed() <= max_age {
                if let Some(table) = decoded(folder, record.object_hash()) {
                    return Ok(table);
                }
            }
        }
        let names = self.records.names(located, &policy, max_age).await?;
        let object_hash = *names.record.object_hash();
        *locked(&folder.folder.decoded) = Some(Decoded {
            object_hash,
            table: names.table.clone(),
            given: policy,
            in_force: names.policy,
        });
        Ok(decoded(folder, &object_hash).unwrap_or(names.table))
    }

    /// Returns a folder's table from memory, when it is young enough.
    pub(super) fn cached_table(&self, folder: &Node) -> Option<Arc<Table>> {
        let (located, _) = place_of(folder).ok()?;
        let (seen, record) = self.records.cached(located.record)?;
        let table = decoded(folder, record.object_hash())?;
        (seen.elapsed() <= self.options.attr_ttl).then_some(table)
    }

    /// Changes a folder's table. Changes that arrive while another is being committed share the
    /// next commit.
    pub(super) async fn edit(&self, folder: &Node, edit: Edit) -> Result<()> {
        let (answer, mut answered) = oneshot::channel();
        locked(&folder.folder.waiting).push((edit, answer));
        let _turn = folder.folder.committing.lock().await;
        if let Ok(result) = answered.try_recv() {
            return result;
        }
        let batch = std::mem::take(&mut *locked(&folder.folder.waiting));
        let (edits, answers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let results = self.commit_edits(folder, &edits).await;
        for (answer, result) in answers.into_iter().zip(results) {
            // A caller that stopped waiting needs no answer.
            let _ = answer.send(result);
        }
        answered.try_recv().unwrap_or_else(|_| {
            Err(Error::new(Kind::Internal, "a change of a folder was not answered"))
        })
    }

    async fn commit_edits(&self, folder: &Node, edits: &[Edit]) -> Vec<Result<()>> {
        let (located, policy) = match place_of(folder) {
            Ok(place) => place,
            Err(e) => return edits.iter().map(|_| Err(copy_of(&e))).collect(),
        };
        let keeps_history = edits.iter().any(Edit::keeps_history);
        let committed = self
            .records
            .change_names(located, &policy, keeps_history, |table, is_fresh| {
                let results: Vec<Result<()>> = edits.iter().map(|e| e.apply(table)).collect();
                // A refusal by an old table is asked again of a fresh one.
                if !is_fresh && results.iter().any(Result::is_err) {
                    return Err(Error::new(Kind::Conflict, "the folder has changed"));
                }
                Ok((results.iter().any(Result::is_ok), results))
            })
            .await;
        match committed {
            Ok(results) => results,
            Err(e) => edits.iter().map(|_| Err(copy_of(&e))).collect(),
        }
    }
}

/// Returns a folder's table, when it is the one of that object, and lets the folder stand under
/// the policy that its own head names.
fn decoded(folder: &Node, object_hash: &[u8; 32]) -> Option<Arc<Table>> {
    let decoded = locked(&folder.folder.decoded).clone()?;
    let (located, policy) = place_of(folder).ok()?;
    if decoded.object_hash != *object_hash {
        return None;
    }
    if policy == decoded.given && policy != decoded.in_force {
        folder.set_stands(Stands::Directory { located, policy: decoded.in_force });
    } else if policy != decoded.in_force {
        return None;
    }
    Some(decoded.table)
}

/// Returns the same error for another caller of one shared commit.
fn copy_of(e: &Error) -> Error {
    let mut copy = Error::new(e.kind(), e.what().to_owned());
    if let Some(why) = e.why() {
        copy = copy.because(why);
    }
    match e.try_this() {
        Some(hint) => copy.hint(hint.to_owned()),
        None => copy,
    }
}
