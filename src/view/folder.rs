//! One folder in use: its table as last decoded, the names that differ on this workstation, and
//! changes that wait to share a commit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::node::{Node, Stands};
use super::{Ino, View, locked};
use crate::clock::now_unix_ns;
use crate::error::{Error, Kind, Result};
pub(super) use crate::record::directory::Edit;
use crate::record::directory::{Entry, Table};
use crate::record::{Located, PolicyRef, Remembered};

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
    /// What goes when the name does not come back.
    pub(super) removal: Removal,
    /// The version that its last change of a section made: what came later, its remover never saw.
    pub(super) version: u64,
    /// The name that the record was moved to, when it was.
    pub(super) moved_to: Option<(Ino, Vec<u8>)>,
}

/// What is shown as the time when the names of a folder were changed.
#[derive(Clone, Copy, Default)]
enum Shown {
    /// When they were changed in the bucket.
    #[default]
    Real,
    /// What a program set, as long as the bucket says that they were changed then.
    Set { real_unix_ns: i64, shown_unix_ns: i64 },
    /// When a name was given or taken that the bucket does not know of yet, if that was later.
    Here(i64),
}

/// What of a record goes with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// Nothing: it has another name.
    Nothing,
    /// What its remover sees and may write; the name and the rest stay.
    Part,
    /// The name, and with it everything.
    All,
}

impl Gone {
    pub(super) fn new(entry: Entry, removal: Removal, version: u64) -> Self {
        Self { entry, since: Instant::now(), removal, version, moved_to: None }
    }
}

type Waiting = (Edit, oneshot::Sender<Result<()>>);

/// The part of a node that only folders use.
#[derive(Default)]
pub(super) struct Folder {
    /// The policy that the folder's name gave it, and the one that its own head names.
    in_force: Mutex<Option<(PolicyRef, PolicyRef)>>,
    shown: Mutex<Shown>,
    overlay: Mutex<HashMap<Vec<u8>, Overlay>>,
    waiting: Mutex<Vec<Waiting>>,
    committing: tokio::sync::Mutex<()>,
    /// Whether its name was taken away here, and was not seen again since.
    is_removed: AtomicBool,
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

    /// Returns the folders that records were moved to whose names may come back here.
    pub(super) fn moved_into(&self) -> Vec<Ino> {
        let overlay = locked(&self.overlay);
        let gone = overlay.values().filter_map(|o| match o {
            Overlay::Gone(gone) => gone.moved_to.as_ref(),
            Overlay::Here(_) => None,
        });
        gone.map(|(folder, _)| *folder).collect()
    }

    /// Shows a time that a program set, until a name in the folder changes.
    pub(super) fn set_mtime(&self, real_unix_ns: i64, shown_unix_ns: i64) {
        *locked(&self.shown) = Shown::Set { real_unix_ns, shown_unix_ns };
    }

    /// Notes that a name is given or taken here just now.
    pub(super) fn change_here(&self) {
        *locked(&self.shown) = Shown::Here(now_unix_ns());
    }

    /// Returns the time to show for a folder that was changed then.
    pub(super) fn shown_mtime(&self, real_unix_ns: i64) -> i64 {
        match *locked(&self.shown) {
            Shown::Set { real_unix_ns: then, shown_unix_ns } if then == real_unix_ns => {
                shown_unix_ns
            }
            Shown::Here(changed) => changed.max(real_unix_ns),
            Shown::Set { .. } | Shown::Real => real_unix_ns,
        }
    }

    pub(super) fn is_removed(&self) -> bool {
        self.is_removed.load(Ordering::Relaxed)
    }

    pub(super) fn set_removed(&self, is_removed: bool) {
        self.is_removed.store(is_removed, Ordering::Relaxed);
    }

    /// Says whether forgetting the folder loses nothing.
    pub(super) fn is_plain(&self) -> bool {
        locked(&self.overlay).is_empty() && locked(&self.waiting).is_empty()
    }
}

/// Returns where a folder lives and the policy in force in it, as far as it is known.
///
/// # Errors
/// `NotDirectory` when the node is a file.
pub(super) fn place_of(node: &Node) -> Result<(Located, PolicyRef)> {
    let Stands::Directory { located, policy } = node.stands() else {
        return Err(Error::new(Kind::NotDirectory, "this is not a folder"));
    };
    let known = locked(&node.folder.in_force).clone();
    let newer = known.filter(|(given, _)| *given == policy).map(|(_, in_force)| in_force);
    Ok((located, newer.unwrap_or(policy)))
}

impl View {
    /// Returns all names of a folder, at most `max_age` old.
    pub(super) async fn table(&self, folder: &Node, max_age: Duration) -> Result<Arc<Table>> {
        let (located, policy) = place_of(folder)?;
        let names = self.records.names(located, &policy, max_age).await?;
        remember_policy(folder, names.policy);
        Ok(names.table)
    }

    /// Returns what a name of a folder stands for, at most `max_age` old.
    pub(super) async fn entry(
        &self,
        folder: &Node,
        name: &[u8],
        max_age: Duration,
    ) -> Result<Option<Entry>> {
        let (located, policy) = place_of(folder)?;
        let found = self.records.find(located, &policy, name, max_age).await?;
        remember_policy(folder, found.policy);
        Ok(found.entry)
    }

    /// Returns what memory says of a name of a folder.
    pub(super) fn cached_entry(&self, folder: &Node, name: &[u8]) -> Remembered {
        place_of(folder).map_or(Remembered::Unknown, |(located, _)| {
            self.records.find_cached(located, name, self.options.attr_ttl)
        })
    }

    /// Changes a folder's table. When somebody removed the folder and a name is to be added, the
    /// folder comes back.
    pub(super) async fn edit(&self, folder: &Node, edit: Edit) -> Result<()> {
        let adds = matches!(edit, Edit::Add { .. } | Edit::Put { .. });
        let unchecked = self.uncheck(folder, &edit);
        let done = match self.edit_now(folder, edit.clone()).await {
            Err(e) if adds && e.kind() == Kind::NotFound => {
                Box::pin(self.revive(folder)).await?;
                self.edit_now(folder, edit).await
            }
            done => done,
        };
        if done.is_err() {
            let unchecked = unchecked.into_iter().map(|u| (u.0.record, u));
            locked(&self.unchecked).extend(unchecked);
        }
        done
    }

    /// Makes a change; those that arrive while another is being committed share the next commit.
    async fn edit_now(&self, folder: &Node, edit: Edit) -> Result<()> {
        if self.records.realm().bucket().is_together() {
            // Whose turn it is may be waiting for what this task has written already.
            return self.commit_edits(folder, &[edit]).await.pop().unwrap_or(Ok(()));
        }
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
        let committed = match place_of(folder) {
            Ok((located, policy)) => self.records.edit_names(located, &policy, edits).await,
            Err(e) => Err(e),
        };
        folder.forget_attr();
        committed.unwrap_or_else(|e| edits.iter().map(|_| Err(e.duplicate())).collect())
    }
}

/// Lets a folder stand under the policy that its own head names.
fn remember_policy(folder: &Node, in_force: PolicyRef) {
    if let Stands::Directory { policy, .. } = folder.stands() {
        *locked(&folder.folder.in_force) = Some((policy, in_force));
    }
}
