//! Sending what waits: in order, several at a time where the order does not matter, and again
//! until the bucket answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use futures::stream;

use super::super::Bucket;
use super::super::backend::{Condition, Put, Version};
use super::file::{Change, Wanted};
use super::queue::Job;
use super::{Journal, locked};
use crate::error::{Error, Kind, Result};

/// How long to wait before a write is tried again that the bucket refuses for another reason than
/// that somebody else wrote first.
const REFUSED_WAIT: Duration = Duration::from_secs(15);

/// How sending one write ended.
enum Sent {
    /// The bucket has it, and everything to the same object up to it.
    Done { through: u64, version: Version },
    /// Somebody else wrote first.
    Overtaken,
    /// Something else is in its place, and nothing is lost by that: the name says what it is.
    Superfluous,
}

/// Sends what waits, until it is aborted.
pub(super) async fn run(journal: Arc<Journal>, bucket: Bucket) {
    while journal.is_held.load(Ordering::Acquire) {
        journal.wake.notified().await;
    }
    loop {
        match step(&journal, &bucket).await {
            Ok(true) => {}
            Ok(false) => journal.wake.notified().await,
            Err(error) => {
                let is_away = error.kind() == Kind::Unavailable;
                if !is_away {
                    tracing::warn!(%error, "a write in the journal is refused");
                }
                *locked(&journal.refused) = (!is_away).then(|| error.to_string());
                journal.changed();
                let wait = if is_away { bucket.link_wait() } else { REFUSED_WAIT };
                // A new write is no reason to try sooner: it would wait behind this one.
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// Sends what may be sent now; `false` when nothing may.
async fn step(journal: &Arc<Journal>, bucket: &Bucket) -> Result<bool> {
    let skipped = journal.lock().skip();
    if let Some((skipped, next, entry)) = skipped {
        journal.file.change(Change::Skip { skipped, next, entry }).await?;
        return Ok(true);
    }
    let jobs = journal.lock().sendable();
    if jobs.is_empty() {
        return Ok(false);
    }
    let sent = join_all(jobs.iter().map(|job| send(journal, bucket, job))).await;
    let mut result = Ok(true);
    for (job, sent) in jobs.iter().zip(sent) {
        match sent {
            Ok(sent) => settle(journal, job, sent).await?,
            Err(e) => result = Err(e),
        }
    }
    if result.is_ok() {
        *locked(&journal.refused) = None;
    }
    result
}

async fn send(journal: &Journal, bucket: &Bucket, job: &Job) -> Result<Sent> {
    let name = &job.entry.name;
    if job.entry.parts > 1 && job.entry.wanted == Wanted::Always {
        let parts = (0..job.entry.parts).map(|index| journal.file.part(job.seq, index));
        let uploaded = bucket.put_large(name, stream::iter(parts)).await?;
        return Ok(Sent::Done { through: job.seq, version: uploaded.version });
    }
    let bytes = journal.bytes_of(job.seq, &job.entry)?;
    let condition = match &job.entry.wanted {
        Wanted::Always => Condition::Always,
        Wanted::Absent => Condition::Absent,
        Wanted::Matches(version) => Condition::Matches(version.clone()),
        // What it follows is here no more, so it is in the bucket: found out below.
        Wanted::Follows => return settled_before(journal, bucket, job).await,
    };
    match bucket.put(name, bytes, condition).await? {
        Put::Stored(version) => Ok(Sent::Done { through: job.seq, version }),
        Put::Refused => settled_before(journal, bucket, job).await,
    }
}

/// Finds out what a refusal means: the bucket may have this write, or a later one to the same
/// object, from before a crash or behind a lost answer.
async fn settled_before(journal: &Journal, bucket: &Bucket, job: &Job) -> Result<Sent> {
    let name = &job.entry.name;
    let chain = journal.lock().chain(name);
    let limit_bytes = {
        let queue = journal.lock();
        chain.iter().filter_map(|seq| queue.entry(*seq)).map(|e| e.size_bytes).max().unwrap_or(0)
    };
    let now = match bucket.get(name, limit_bytes).await {
        Ok(Some(now)) => now,
        // Longer than anything that was written here.
        Err(e) if e.kind() == Kind::Integrity => return Ok(Sent::Overtaken),
        Ok(None) => return Ok(Sent::Overtaken),
        Err(e) => return Err(e),
    };
    for seq in chain.into_iter().rev() {
        let entry = journal.lock().entry(seq).cloned();
        let Some(entry) = entry.filter(|e| e.size_bytes == now.bytes.len() as u64) else {
            continue;
        };
        if journal.bytes_of(seq, &entry)? == now.bytes {
            return Ok(Sent::Done { through: seq, version: now.version });
        }
    }
    Ok(if job.entry.wanted == Wanted::Absent { Sent::Superfluous } else { Sent::Overtaken })
}

async fn settle(journal: &Journal, job: &Job, sent: Sent) -> Result<()> {
    let name = &job.entry.name;
    match sent {
        Sent::Done { through, version } => {
            let written = {
                let queue = &mut *journal.lock();
                let mut done = queue.chain(name);
                done.retain(|seq| *seq <= through);
                let (concerned, change) = match queue.settle(&done, &version) {
                    Some((next, entry)) => (vec![next], Change::Advance { done, next, entry }),
                    None => (Vec::new(), Change::Remove(done)),
                };
                journal.send_change(queue, &concerned, change)?
            };
            journal.wait_written(written).await?;
        }
        Sent::Superfluous => {
            tracing::warn!(object = %name, "an object that was to be made is there already");
            let written = {
                let queue = &mut *journal.lock();
                queue.remove(&[job.seq]);
                journal.send_change(queue, &[job.seq], Change::Remove(vec![job.seq]))?
            };
            journal.wait_written(written).await?;
        }
        Sent::Overtaken => {
            tracing::info!(object = %name, "somebody else wrote first: the writes are merged");
            journal.lock().lift(name);
            if journal.conflicts.send(name.clone()).is_err() {
                return Err(Error::new(Kind::Internal, "nobody merges what was written twice"));
            }
        }
    }
    journal.changed();
    Ok(())
}
