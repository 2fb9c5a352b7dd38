//! Directories in use: loading a table, and changing it so that changes of one moment share one
//! commit.

use std::sync::Arc;
use std::time::Duration;

use super::commit::{Body, Committed, SlotWrite};
use super::directory::{NAMES_SLOT, TABLE_LEN_MAX_BYTES, Table};
use super::format::Measure;
use super::open::Sight;
use super::{DIRECTORY_PROFILE, Located, PolicyRef, Record, Records};
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::realm::policy::NAMES;

/// How often a change is made again on top of somebody else's.
const TRIES_MAX: usize = 16;
/// What the wait between tries grows from.
const WAIT_MS: u64 = 3;

/// A directory's table and the record that it stands in.
#[derive(Clone)]
pub struct Names {
    /// The directory's record.
    pub record: Arc<Record>,
    /// Its entries; empty when its names are closed to the user.
    pub table: Arc<Table>,
    /// The policy in force in it.
    pub policy: PolicyRef,
}

impl Records {
    /// Returns a directory's table, at most `max_age` old.
    ///
    /// # Errors
    /// `Denied` when the policy closes the names to the user; `Integrity` when it is damaged.
    pub async fn names(
        &self,
        located: Located,
        policy: &PolicyRef,
        max_age: Duration,
    ) -> Result<Names> {
        let record = self.load(located, policy, max_age).await?;
        let policy = self.in_force(&record, policy).await?;
        match self.may_read(&policy, NAMES).await? {
            Sight::Open => {}
            Sight::Closed => return Err(Error::new(Kind::Denied, "the folder is closed to you")),
            Sight::Expired => {
                return Err(Error::new(Kind::CredentialExpired, "the folder is closed to you")
                    .because("the certificate behind your attribute has ended"));
            }
        }
        let table = self.table_of(&record).await?;
        Ok(Names { record, table, policy })
    }

    async fn table_of(&self, record: &Arc<Record>) -> Result<Arc<Table>> {
        if record.head.profile != DIRECTORY_PROFILE {
            return Err(Error::damaged("a directory's record is a file's"));
        }
        let parts = self.open_slot(record, NAMES_SLOT).await?.ok_or_else(|| {
            Error::new(Kind::Denied, "the folder is closed to you")
                .because("its names are not wrapped for your attributes yet")
        })?;
        let entry = record.head.slots.iter().find(|s| s.slot == NAMES_SLOT);
        let part = entry.and_then(|e| e.parts.last());
        let (Some(part), Some(opened)) = (part, parts.last()) else {
            return Err(Error::damaged("a directory has no names"));
        };
        if opened.meta.body_len > TABLE_LEN_MAX_BYTES {
            return Err(Error::damaged("a directory is over its limit"));
        }
        let bytes = if part.content.is_external() {
            self.read_external(part, opened, 0..opened.meta.body_len).await?
        } else {
            self.inline_body(record, part, opened)?
        };
        Ok(Arc::new(Table::decode(&bytes)?))
    }

    /// Makes an empty directory.
    ///
    /// # Errors
    /// Those of [`Records::create`].
    pub async fn create_directory(
        &self,
        located: Located,
        policy: &PolicyRef,
    ) -> Result<Arc<Record>> {
        self.create(located, DIRECTORY_PROFILE, policy, Vec::new()).await
    }

    /// Changes a directory's table by compare-and-swap: `change` runs again on top of whatever
    /// somebody else committed first. It is told whether
    /// the table is fresh from the bucket, and returns whether anything is to be written.
    ///
    /// # Errors
    /// Whatever `change` returns; `Denied` when the user may neither add nor remove; `Conflict`
    /// when others were faster many times in a row.
    pub async fn change_names<T>(
        &self,
        located: Located,
        policy: &PolicyRef,
        keeps_history: bool,
        mut change: impl FnMut(&mut Table, bool) -> Result<(bool, T)>,
    ) -> Result<T> {
        let mut max_age = Duration::MAX;
        for attempt in 0..TRIES_MAX {
            let names = self.names(located, policy, max_age).await?;
            let mut table = (*names.table).clone();
            // On a table from memory a refusal may be out of date: only a fresh one counts.
            let (is_changed, answer) = match change(&mut table, max_age == Duration::ZERO) {
                Err(_) if max_age == Duration::MAX => {
                    max_age = Duration::ZERO;
                    continue;
                }
                other => other?,
            };
            if !is_changed {
                return Ok(answer);
            }
            let write = SlotWrite {
                slot: NAMES_SLOT,
                body: Body::Bytes(table.encode()?),
                measure: Measure::default(),
                mtime_unix_ns: clock::now_unix_ns(),
                append: false,
            };
            let committed = self
                .commit(&names.record, DIRECTORY_PROFILE, &names.policy, vec![write], keeps_history)
                .await?;
            if let Committed::Done(_) = committed {
                return Ok(answer);
            }
            max_age = Duration::ZERO;
            tokio::time::sleep(Duration::from_millis(jitter_ms(attempt))).await;
        }
        Err(Error::new(Kind::Conflict, "the folder is changed by others all the time")
            .hint("try again"))
    }
}

/// Full jitter: anything up to a bound that doubles.
fn jitter_ms(attempt: usize) -> u64 {
    let bound = WAIT_MS << attempt.min(7);
    u64::from_le_bytes(crate::key::hash::random()) % bound
}
