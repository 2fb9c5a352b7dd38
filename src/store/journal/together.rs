//! Writes that become durable here at once: of a change that takes two of them a crash leaves both
//! or none.
//!
//! What a task writes within [`Bucket::together`] is seen by every reader as any other write, and
//! goes to the disk in one commit at the end. Whoever else writes on top of it meanwhile joins it: a
//! write is never on the disk before the one that it follows. One task at a time gathers writes, and
//! it must not wait for anybody who may be waiting for a write of his own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedMutexGuard, oneshot};

use super::super::Bucket;
use super::file::{Change, given_up};
use super::{Journal, locked};
use crate::error::{Error, Result};

tokio::task_local! {
    /// The task that gathers its writes.
    static SCOPE: Arc<Scope>;
}

/// Writes that are not on the disk yet, and go there together.
#[derive(Default)]
pub(super) struct Gathered {
    seqs: BTreeSet<u64>,
    changes: Vec<Change>,
    /// Others who wait for theirs.
    joined: Vec<oneshot::Sender<Result<()>>>,
}

impl Gathered {
    pub(super) fn add(&mut self, seq: u64, change: Change) {
        self.seqs.insert(seq);
        self.changes.push(change);
    }

    /// Adds a write of somebody else, who is told when it is on the disk.
    pub(super) fn join(&mut self, seq: u64, change: Change) -> oneshot::Receiver<Result<()>> {
        let (joined, written) = oneshot::channel();
        self.add(seq, change);
        self.joined.push(joined);
        written
    }

    /// Adds a change of what was gathered before.
    pub(super) fn also(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub(super) fn has(&self, seq: u64) -> bool {
        self.seqs.contains(&seq)
    }
}

/// A task that gathers its writes.
pub(super) struct Scope {
    journal: Arc<Journal>,
    /// Held from the first write on.
    turn: Mutex<Option<OwnedMutexGuard<()>>>,
}

impl Scope {
    /// Returns the scope of this task, when it gathers writes to this journal.
    pub(super) fn of_task(journal: &Journal) -> Option<Arc<Self>> {
        let scope = SCOPE.try_with(Arc::clone).ok()?;
        std::ptr::eq(&raw const *scope.journal, journal).then_some(scope)
    }

    /// Begins to gather, when nobody else does any more.
    pub(super) async fn begin(&self) {
        if locked(&self.turn).is_some() {
            return;
        }
        let turn = Arc::clone(&self.journal.gathering).lock_owned().await;
        *locked(&self.turn) = Some(turn);
        self.journal.lock().gathered = Some(Gathered::default());
    }

    /// Sends what was gathered to the disk; the answer comes when it is there.
    fn end(&self) -> Option<oneshot::Receiver<Result<()>>> {
        // The next one may begin when this one's writes are on their way.
        let _turn = locked(&self.turn).take()?;
        let (seqs, joined, written) = {
            let mut queue = self.journal.lock();
            let Gathered { seqs, changes, joined } = queue.gathered.take()?;
            if changes.is_empty() {
                return None;
            }
            (seqs, joined, self.journal.file.send(Change::Together(changes)))
        };
        let (answer, answered) = oneshot::channel();
        let journal = Arc::clone(&self.journal);
        // Whoever gathered may have stopped waiting; those who joined wait all the same.
        tokio::spawn(async move {
            let written = match written {
                Ok(written) => written.await.unwrap_or_else(|_| Err(given_up())),
                Err(e) => Err(e),
            };
            let seqs: Vec<u64> = seqs.into_iter().collect();
            let written = journal.note_written(&seqs, written);
            for waiting in joined.into_iter().chain([answer]) {
                // Who does not wait any more needs no answer.
                let _ = waiting.send(written.as_ref().map_err(Error::duplicate).copied());
            }
        });
        Some(answered)
    }
}

impl Drop for Scope {
    /// What was written by a task that was dropped is seen here already: it goes to the disk.
    fn drop(&mut self) {
        if tokio::runtime::Handle::try_current().is_ok() {
            let _ = self.end();
        }
    }
}

impl Bucket {
    /// Does what replaces several objects so that a crash leaves all of it or nothing, as far as
    /// this workstation's journal acknowledges it: returns when all is on the disk. Without such a
    /// journal it is done step by step.
    ///
    /// `work` must not wait for what another task does who writes too.
    ///
    /// # Errors
    /// Those of `work`; those of the journal.
    pub async fn together<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(journal) = self.journal.as_ref().filter(|j| j.is_write_back) else {
            return work.await;
        };
        if self.is_together() {
            return work.await;
        }
        let journal = Arc::clone(&journal.journal);
        let scope = Arc::new(Scope { journal, turn: Mutex::default() });
        let done = SCOPE.scope(Arc::clone(&scope), work).await;
        if let Some(written) = scope.end() {
            written.await.unwrap_or_else(|_| Err(given_up()))?;
        }
        done
    }

    /// Says whether this task is within [`Bucket::together`].
    pub fn is_together(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| Scope::of_task(journal).is_some())
    }
}
