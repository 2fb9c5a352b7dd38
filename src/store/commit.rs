//! Writing under a condition when answers can be lost.

use std::time::Duration;

use bytes::Bytes;

use super::Bucket;
use super::backend::{Condition, Fault, Fetched, Object, Outcome, Put};
use super::name::ObjectName;
use super::retry::Policy;
use crate::error::{Error, Kind, Result};

/// How long a write that may not wait here waits for those before it.
const BEFORE_LIMIT: Duration = Duration::from_secs(30);

/// What reading back says about a write whose answer was lost.
enum Settled {
    /// It happened, or was overtaken: this is the answer.
    Answer(Put),
    /// It did not happen and the condition still holds.
    Open,
}

impl Bucket {
    /// Writes an object when `condition` holds.
    ///
    /// A conditional write is never repeated blindly. When its answer is lost (time-out, reset, an
    /// error of the server) or it is refused, which may be the answer to a repeat of it, the object
    /// is read back: equal bytes mean that this write happened, since bytes written under a
    /// condition are unique; otherwise it is tried again only while the condition can still hold.
    ///
    /// With a journal that writes back, [`Put::Stored`] says that the bytes are durable here; the
    /// bucket gets them under the same condition.
    ///
    /// # Errors
    /// [`Unavailable`](crate::error::Kind::Unavailable) when the store does not answer: the outcome
    /// is then unknown, and the caller settles it later in the same way.
    pub async fn put(&self, name: &ObjectName, bytes: Bytes, condition: Condition) -> Result<Put> {
        match &self.journal {
            Some(journal) => Box::pin(self.put_in_journal(journal, name, bytes, condition)).await,
            None => Box::pin(self.put_now(name, bytes, condition)).await,
        }
    }

    /// As [`Bucket::put`], and returns only when the bucket has it, and everything that was written
    /// before it.
    ///
    /// # Errors
    /// As [`Bucket::put`]; `Unavailable` also when what was written before cannot be sent.
    pub async fn put_through(
        &self,
        name: &ObjectName,
        bytes: Bytes,
        condition: Condition,
    ) -> Result<Put> {
        let Some(journal) = &self.journal else { return self.put(name, bytes, condition).await };
        let left = self.drain_journal(BEFORE_LIMIT).await;
        if left > 0 {
            return Err(Error::new(
                Kind::Unavailable,
                "the bucket does not have what comes before",
            )
            .because(format!("{left} writes wait"))
            .hint("see: chartfs status"));
        }
        match journal.settled_condition(condition) {
            Some(condition) => Box::pin(self.put_now(name, bytes, condition)).await,
            None => Ok(Put::Refused),
        }
    }

    /// As [`Bucket::put`], past the journal.
    pub(super) async fn put_now(
        &self,
        name: &ObjectName,
        bytes: Bytes,
        condition: Condition,
    ) -> Result<Put> {
        let put = self.note(self.put_settled(name, bytes.clone(), condition).await)?;
        if let (Some(cache), Put::Stored(version)) = (&self.cache, &put) {
            cache.put(name, &Object { bytes, version: version.clone() });
        }
        Ok(put)
    }

    async fn put_settled(
        &self,
        name: &ObjectName,
        bytes: Bytes,
        condition: Condition,
    ) -> Result<Put> {
        if condition == Condition::Always {
            return self.policy.run(|| self.backend.put(name, bytes.clone(), &condition)).await;
        }
        let mut tries = self.policy.begin();
        let mut lost = false;
        loop {
            match self.backend.put(name, bytes.clone(), &condition).await {
                // A refusal may come from this write's own success: it was lost, or something on
                // the way sent it twice.
                Ok(Put::Refused) => {
                    match self.settle(name, &bytes, &condition, tries.rest()).await? {
                        Settled::Answer(put) => return Ok(put),
                        Settled::Open => tries.wait_after(refused_in_vain()).await?,
                    }
                }
                Ok(put) => return Ok(put),
                Err(fault) if fault.outcome == Outcome::Unknown => {
                    lost = true;
                    // The wait comes first: a write that is still under way gets time to land.
                    tries.wait_after(unsettled(&fault)).await?;
                    match self.settle(name, &bytes, &condition, tries.rest()).await? {
                        Settled::Answer(put) => return Ok(put),
                        Settled::Open => {}
                    }
                }
                Err(fault) if lost => tries.wait_after(unsettled(&fault)).await?,
                Err(fault) => tries.wait_after(fault).await?,
            }
        }
    }

    async fn settle(
        &self,
        name: &ObjectName,
        bytes: &Bytes,
        condition: &Condition,
        policy: Policy,
    ) -> Result<Settled> {
        let unless = match condition {
            Condition::Matches(version) => Some(version),
            Condition::Absent | Condition::Always => None,
        };
        // An object of another length is not this write, so the limit loses nothing.
        let limit_bytes = bytes.len() as u64;
        let fetched = policy
            .run(|| async {
                match self.backend.get(name, unless, limit_bytes).await {
                    Err(fault) if fault.error.kind() == Kind::Integrity => Ok(None),
                    other => other.map(Some),
                }
            })
            .await
            .map_err(|e| unknown_outcome(&e))?;
        Ok(match fetched {
            Some(Fetched::Changed(object)) if object.bytes == *bytes => {
                Settled::Answer(Put::Stored(object.version))
            }
            Some(Fetched::Unchanged) => Settled::Open,
            Some(Fetched::Absent) if *condition == Condition::Absent => Settled::Open,
            _ => Settled::Answer(Put::Refused),
        })
    }
}

/// The fault of a store that refuses a write though its condition holds.
fn refused_in_vain() -> Fault {
    let error = Error::new(Kind::Unavailable, "the bucket refuses a write for now")
        .because("it says that the object is another one, and then shows that it is not");
    Fault { error, outcome: Outcome::NotApplied, wait: None }
}

fn unsettled(fault: &Fault) -> Fault {
    let (outcome, wait) = (fault.outcome, fault.wait);
    Fault { error: unknown_outcome(&fault.error), outcome, wait }
}

fn unknown_outcome(error: &Error) -> Error {
    let told = Error::new(error.kind(), "it is not known whether the write reached the bucket")
        .because(error);
    match error.try_this() {
        Some(hint) => told.hint(hint.to_owned()),
        None => told,
    }
}
