//! How a request that may wait is carried out: a task with the reply inside, and a deadline.

use std::ffi::OsStr;
use std::future::Future;
use std::os::unix::ffi::OsStrExt;
use std::pin::pin;
use std::time::Duration;

use fuser::{Errno, INodeNo};

use super::Adapter;
use super::reply;
use crate::error::Result;
use crate::view::{Ino, Invalidation};

/// One request on its way.
pub(super) struct Operation {
    /// What it is called in the log.
    name: &'static str,
    /// How long its process may wait.
    deadline: Duration,
    /// What the kernel must ask again when this ends after the deadline: it was told of an error
    /// and keeps believing what was true before.
    touches: Vec<Invalidation>,
}

impl Operation {
    /// Adds a file whose contents or attributes this changes.
    pub(super) fn touching(mut self, ino: INodeNo) -> Self {
        self.touches.push(Invalidation::Inode(Ino(ino.0)));
        self
    }

    /// Adds a name that this gives or takes.
    pub(super) fn renaming(mut self, parent: INodeNo, name: &OsStr) -> Self {
        let name = name.as_bytes().to_vec();
        self.touches.push(Invalidation::Entry { parent: Ino(parent.0), name });
        self
    }
}

impl Adapter {
    /// Names an operation that waits for at most a read of the bucket.
    pub(super) fn quick(&self, name: &'static str) -> Operation {
        Operation { name, deadline: self.options.deadline, touches: Vec::new() }
    }

    /// Names an operation that waits for a commit, which may upload a large file.
    pub(super) fn commit(&self, name: &'static str) -> Operation {
        Operation { name, deadline: self.options.commit_deadline, touches: Vec::new() }
    }

    /// Answers a question. At the deadline the work is dropped: nobody needs its result, and it
    /// leaves nothing behind.
    pub(super) fn ask<T: Send>(
        &self,
        operation: &Operation,
        work: impl Future<Output = Result<T>> + Send + 'static,
        answer: impl FnOnce(std::result::Result<T, Errno>) + Send + 'static,
    ) {
        let (name, deadline) = (operation.name, operation.deadline);
        self.runtime.spawn(async move {
            match tokio::time::timeout(deadline, work).await {
                Ok(result) => answer(result.map_err(|e| reply::errno(name, &e))),
                Err(_) => answer(Err(reply::late(name))),
            }
        });
    }

    /// Carries out a change. At the deadline only the answer is given; the work goes on to its
    /// end, because half a commit is not an option, and the drain before an unmount waits for it.
    pub(super) fn change<T: Send + 'static>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T>> + Send + 'static,
        answer: impl FnOnce(std::result::Result<T, Errno>) + Send + 'static,
    ) {
        self.grant(operation, work, answer, |_| std::future::ready(()));
    }

    /// Carries out work that gives the kernel something to hold: an inode reference or a handle.
    /// When it ends after the deadline the kernel does not have it, so `take_back` gets it.
    pub(super) fn grant<T: Send + 'static, U: Future<Output = ()> + Send>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T>> + Send + 'static,
        answer: impl FnOnce(std::result::Result<T, Errno>) + Send + 'static,
        take_back: impl FnOnce(T) -> U + Send + 'static,
    ) {
        let running = self.gate.enter();
        let late = self.late.clone();
        self.runtime.spawn(async move {
            let _running = running;
            let mut work = pin!(work);
            if let Ok(result) = tokio::time::timeout(operation.deadline, &mut work).await {
                return answer(result.map_err(|e| reply::errno(operation.name, &e)));
            }
            answer(Err(reply::late(operation.name)));
            match work.await {
                Ok(held) => take_back(held).await,
                Err(e) => {
                    reply::errno(operation.name, &e);
                }
            }
            for invalidation in operation.touches {
                if late.send(invalidation).is_err() {
                    tracing::debug!("the mount ended before a late change");
                }
            }
        });
    }
}
