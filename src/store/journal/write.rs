//! Accepting writes: each gets a number and a place in the queue, and is acknowledged when it is on
//! the disk.

use bytes::Bytes;
use futures::stream::Stream;
use tokio::sync::oneshot;

use super::super::Bucket;
use super::super::backend::{Condition, PART_LEN_BYTES, Put, Version};
use super::super::cache::Stored;
use super::super::name::ObjectName;
use super::super::upload::{Parts, Uploaded};
use super::file::{self, Change, Entry, Wanted, given_up};
use super::queue::Queue;
use super::together::Scope;
use super::{Journal, JournalInUse, too_long};
use crate::clock::now_unix_s;
use crate::error::Result;

/// What became of a write when it was accepted.
enum Accepted {
    /// Its condition does not hold.
    Refused,
    /// The same write waits already.
    Known(u64),
    /// It goes to the disk now, or together with others; this says when it is there.
    Sent(u64, oneshot::Receiver<Result<()>>),
    /// It goes to the disk with the others of its task.
    Gathered(u64),
}

/// What is to be written.
struct Wish<'a> {
    name: &'a ObjectName,
    condition: &'a Condition,
    parts: Vec<Bytes>,
    size_bytes: u64,
    /// What the bucket has of it, when that is in the cache, and in which version.
    base: Option<(Version, Bytes)>,
}

impl Journal {
    /// Accepts a write; returns when it is on the disk, or gathered to go there with others.
    async fn put(
        &self,
        bucket: &Bucket,
        name: &ObjectName,
        bytes: Bytes,
        condition: &Condition,
    ) -> Result<Put> {
        let size_bytes = bytes.len() as u64;
        self.check_space(size_bytes)?;
        let base = match self.settled_condition(condition.clone()) {
            Some(Condition::Matches(v)) => bucket.cached_bytes(name, &v).map(|bytes| (v, bytes)),
            _ => None,
        };
        let wish = Wish { name, condition, parts: parts_of(bytes), size_bytes, base };
        let scope = match condition {
            // What is made anew means nothing until something names it.
            Condition::Absent | Condition::Always => None,
            Condition::Matches(_) => Scope::of_task(self),
        };
        if let Some(scope) = &scope {
            scope.begin().await;
        }
        let seq = match self.accept(wish, scope.is_some())? {
            Accepted::Refused => return Ok(Put::Refused),
            Accepted::Gathered(seq) => seq,
            Accepted::Known(seq) => {
                self.wait_until_durable(seq).await?;
                seq
            }
            Accepted::Sent(seq, written) => {
                self.note_written(&[seq], written.await.unwrap_or_else(|_| Err(given_up())))?;
                seq
            }
        };
        Ok(Put::Stored(Version::in_journal(seq)))
    }

    /// Takes a number for a write, when its condition holds, and sends it on its way: under one
    /// lock, so that no write is on the disk before the one that it follows.
    fn accept(&self, wish: Wish<'_>, is_gathered: bool) -> Result<Accepted> {
        let Wish { name, condition, parts, size_bytes, base } = wish;
        let count = u32::try_from(parts.len()).map_err(|_| too_long())?;
        let queue = &mut *self.lock();
        let Some(wanted) = queue.wanted(name, condition) else { return Ok(Accepted::Refused) };
        let before = queue.latest(name).map(|latest| latest.seq);
        if let (Condition::Always, Some(before)) = (condition, before) {
            return Ok(Accepted::Known(before));
        }
        let base = base.filter(|(v, _)| wanted == Wanted::Matches(v.clone())).map(|(_, b)| b);
        let time_unix_s = now_unix_s();
        let entry = Entry { name: name.clone(), wanted, size_bytes, parts: count, time_unix_s };
        let seq = queue.take_seq();
        queue.add(seq, entry.clone(), parts.clone());
        let follows_gathered = before.is_some_and(|before| queue.is_gathered(before));
        let change = Change::Append { seq, entry, parts, base };
        if let Some(gathered) = queue.gathered.as_mut().filter(|_| is_gathered) {
            gathered.add(seq, change);
            return Ok(Accepted::Gathered(seq));
        }
        if let Some(gathered) = queue.gathered.as_mut().filter(|_| follows_gathered) {
            return Ok(Accepted::Sent(seq, gathered.join(seq, change)));
        }
        let sent = self.file.send(change);
        if sent.is_err() {
            queue.remove(&[seq]);
        }
        Ok(Accepted::Sent(seq, sent?))
    }

    /// Makes a change that concerns writes which may be gathered, and not on the disk yet: then it
    /// goes there with them, and nobody waits for it.
    pub(super) fn send_change(
        &self,
        queue: &mut Queue,
        concerned: &[u64],
        change: Change,
    ) -> Result<Option<oneshot::Receiver<Result<()>>>> {
        let is_gathered = concerned.iter().any(|seq| queue.is_gathered(*seq));
        match queue.gathered.as_mut().filter(|_| is_gathered) {
            Some(gathered) => {
                gathered.also(change);
                Ok(None)
            }
            None => self.file.send(change).map(Some),
        }
    }

    /// Waits for what [`Journal::send_change`] made.
    pub(super) async fn wait_written(
        &self,
        written: Option<oneshot::Receiver<Result<()>>>,
    ) -> Result<()> {
        match written {
            Some(written) => written.await.unwrap_or_else(|_| Err(given_up())),
            None => Ok(()),
        }
    }

    /// Notes that writes are on the disk, or never will be.
    pub(super) fn note_written(&self, seqs: &[u64], written: Result<()>) -> Result<()> {
        {
            let mut queue = self.lock();
            if written.is_ok() {
                for seq in seqs {
                    queue.is_durable(*seq);
                }
            } else {
                queue.remove(seqs);
            }
        }
        self.changed();
        written
    }

    /// Waits until a write that somebody else makes is on the disk.
    async fn wait_until_durable(&self, seq: u64) -> Result<()> {
        let mut changes = self.changes.subscribe();
        loop {
            {
                let mut queue = self.lock();
                if queue.entry(seq).is_none() {
                    // It was sent since, unless it failed.
                    return queue.settled(seq).map(drop).ok_or_else(given_up);
                }
                if queue.parts(seq).is_none() {
                    return Ok(());
                }
            }
            changes.changed().await.map_err(|_| given_up())?;
        }
    }

    /// Stores a long object without its entry; returns the number of parts and the length.
    async fn store_parts<S>(
        &self,
        seq: u64,
        first: Bytes,
        parts: &mut Parts<S>,
    ) -> Result<(u32, u64)>
    where
        S: Stream<Item = Result<Bytes>> + Send,
    {
        let (mut index, mut size_bytes) = (0, 0);
        let mut next = Some(first);
        while let Some(bytes) = next {
            size_bytes += bytes.len() as u64;
            self.check_space(size_bytes)?;
            self.file.change(Change::Part { seq, index, bytes }).await?;
            index += 1;
            next = parts.next().await?;
        }
        Ok((index, size_bytes))
    }
}

fn parts_of(bytes: Bytes) -> Vec<Bytes> {
    if bytes.is_empty() {
        return vec![bytes];
    }
    (0..bytes.len())
        .step_by(PART_LEN_BYTES)
        .map(|at| bytes.slice(at..bytes.len().min(at + PART_LEN_BYTES)))
        .collect()
}

impl Bucket {
    pub(in super::super) async fn put_in_journal(
        &self,
        journal: &JournalInUse,
        name: &ObjectName,
        bytes: Bytes,
        condition: Condition,
    ) -> Result<Put> {
        if journal.is_write_back {
            return journal.put(self, name, bytes, &condition).await;
        }
        journal.wait_until_sent(name).await?;
        match journal.settled_condition(condition) {
            Some(condition) => self.put_now(name, bytes, condition).await,
            None => Ok(Put::Refused),
        }
    }

    /// Accepts a long object part by part.
    pub(in super::super) async fn put_large_in_journal<S>(
        &self,
        journal: &Journal,
        name: &ObjectName,
        first: Bytes,
        parts: &mut Parts<S>,
    ) -> Result<Uploaded>
    where
        S: Stream<Item = Result<Bytes>> + Send,
    {
        let seq = journal.lock().take_seq();
        let stored = journal.store_parts(seq, first, parts).await;
        let (count, size_bytes) = match stored {
            Ok(stored) => stored,
            Err(e) => {
                journal.file.change(Change::Remove(vec![seq])).await?;
                return Err(e);
            }
        };
        let entry = Entry {
            name: name.clone(),
            wanted: file::Wanted::Always,
            size_bytes,
            parts: count,
            time_unix_s: now_unix_s(),
        };
        journal.lock().add(seq, entry.clone(), Vec::new());
        let change = Change::Append { seq, entry, parts: Vec::new(), base: None };
        journal.note_written(&[seq], journal.file.change(change).await)?;
        Ok(Uploaded { version: Version::in_journal(seq), size_bytes })
    }

    /// Returns the bytes of a version that the cache holds.
    fn cached_bytes(&self, name: &ObjectName, version: &Version) -> Option<Bytes> {
        match self.cache.as_ref()?.get(name)? {
            Stored::Object(o) if o.version == *version && o.bytes.len() <= PART_LEN_BYTES => {
                Some(o.bytes)
            }
            _ => None,
        }
    }
}
