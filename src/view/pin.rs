//! What is kept on this workstation so that it can be read when the bucket is away: everything below
//! some folders that the user sees, as new as it was at the last round.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::folder::place_of;
use super::node::Node;
use super::{View, locked};
use crate::clock::now_unix_s;
use crate::error::Result;
use crate::record::{Located, PolicyRef};

/// A longer section that is an object of its own is not fetched beforehand.
const FETCHED_MAX_BYTES: u64 = 32 << 20;

/// How far pinning has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// Files that can be read without the bucket.
    pub files: u64,
    /// Files and folders that could not be fetched.
    pub failed: u64,
    /// When the last round ended, in seconds since 1970; 0 before the first one.
    pub at_unix_s: i64,
}

/// The folders whose files stay readable.
pub(super) struct Pins {
    paths: Vec<String>,
    done: Mutex<Pinned>,
    /// Held by whoever makes a round.
    round: tokio::sync::Mutex<()>,
}

impl Pins {
    pub(super) fn done(&self) -> Pinned {
        *locked(&self.done)
    }
}

impl View {
    /// Keeps what is below these folders readable without the bucket, from the next
    /// [`View::refresh_pins`] on. The first folders that are named stay.
    pub fn pin(&self, paths: Vec<String>) {
        let (done, round) = (Mutex::default(), tokio::sync::Mutex::default());
        let _ = self.pins.set(Pins { paths, done, round });
    }

    /// Says whether something is pinned.
    pub fn has_pins(&self) -> bool {
        self.pins.get().is_some_and(|pins| !pins.paths.is_empty())
    }

    /// Fetches what is pinned, as the bucket has it now, and keeps it.
    ///
    /// # Errors
    /// When the cache cannot be written. What could not be fetched is counted.
    pub async fn refresh_pins(&self) -> Result<Pinned> {
        let Some(pins) = self.pins.get() else { return Ok(Pinned::default()) };
        let _round = pins.round.lock().await;
        let bucket = self.records.realm().bucket();
        bucket.begin_pinning();
        let mut sum = Pinned::default();
        for path in &pins.paths {
            let below = match self.resolve(path).await {
                Ok(attr) => self.node(attr.ino),
                Err(e) => Err(e),
            };
            match below {
                Ok(node) => self.pin_below(&node, &mut sum).await,
                Err(error) => {
                    tracing::warn!(%error, "a folder that is pinned cannot be read");
                    sum.failed += 1;
                }
            }
        }
        // What an earlier round of this mount fetched is in memory, and was not used again.
        let is_first = pins.done().at_unix_s == 0;
        sum.at_unix_s = now_unix_s();
        bucket.write_cache(true)?;
        bucket.end_pinning(is_first && sum.failed == 0)?;
        *locked(&pins.done) = sum;
        Ok(sum)
    }

    async fn pin_below(&self, folder: &Arc<Node>, sum: &mut Pinned) {
        if let Err(error) = self.pin_entries(folder, sum).await {
            tracing::warn!(%error, "not all of a folder is pinned");
            sum.failed += 1;
        }
    }

    async fn pin_entries(&self, folder: &Arc<Node>, sum: &mut Pinned) -> Result<()> {
        let table = self.table(folder, Duration::ZERO).await?;
        let (_, policy) = place_of(folder)?;
        for (name, entry) in &table.0 {
            let in_force = entry.policy.as_ref().unwrap_or(&policy);
            if !self.is_listed(entry.profile, in_force).await? {
                continue;
            }
            if entry.is_directory() {
                let below = self.node_of(folder, name, entry)?;
                Box::pin(self.pin_below(&below, sum)).await;
                continue;
            }
            match self.pin_file(entry.located, &policy).await {
                Ok(()) => sum.files += 1,
                Err(error) => {
                    tracing::warn!(record = %entry.located.record, %error, "a file is not pinned");
                    sum.failed += 1;
                }
            }
        }
        Ok(())
    }

    /// Reads all that the user sees of a file.
    async fn pin_file(&self, located: Located, policy: &PolicyRef) -> Result<()> {
        let seen = self.see(located, policy, Duration::ZERO).await?;
        match seen.external() {
            None => self.render(&seen).await.map(drop),
            Some((part, opened)) if opened.meta.body_len <= FETCHED_MAX_BYTES => {
                self.records.body_of(&seen.record, part, opened).await.map(drop)
            }
            Some(_) => Ok(()),
        }
    }
}
