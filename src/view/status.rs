//! How a drive does: what waits on this workstation, and whether the bucket is reached.

use serde::{Deserialize, Serialize};

use super::View;
use super::pin::{Pinned, Pins};

/// How a drive does, as the attribute `user.chartfs.status` of its root says it in JSON.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Status {
    /// The process that ends when it is unmounted, when there is one.
    pub daemon_pid: Option<u32>,
    /// What `close` waits for: `remote` or `journal`.
    pub commit: String,
    /// Whether the bucket answered last time.
    pub online: bool,
    /// Since when it does not, in seconds since 1970.
    pub offline_since_unix_s: Option<i64>,
    /// Why.
    pub offline_because: Option<String>,
    /// How many writes the bucket does not have yet.
    pub pending_writes: usize,
    /// Their length.
    pub pending_bytes: u64,
    /// When the oldest of them was made, in seconds since 1970.
    pub oldest_unix_s: Option<i64>,
    /// How many objects are being merged with what somebody else wrote first.
    pub conflicts: usize,
    /// Why the bucket refuses the oldest write, when it does.
    pub refused_because: Option<String>,
    /// The file in which writes wait.
    pub journal: Option<String>,
    /// What stays readable without the bucket, when something is pinned.
    #[serde(default)]
    pub pinned: Option<Pinned>,
}

impl View {
    pub(super) fn status(&self) -> Status {
        let bucket = self.records.realm().bucket();
        let pending = bucket.pending();
        let (offline_since_unix_s, offline_because) =
            pending.offline.map(|o| (o.since_unix_s, o.why)).unzip();
        Status {
            daemon_pid: self.options.daemon_pid,
            commit: if bucket.is_write_back() { "journal" } else { "remote" }.to_owned(),
            online: offline_since_unix_s.is_none(),
            offline_since_unix_s,
            offline_because,
            pending_writes: pending.writes,
            pending_bytes: pending.size_bytes,
            oldest_unix_s: pending.oldest_unix_s,
            conflicts: pending.conflicts,
            refused_because: pending.refused,
            journal: bucket.journal_path().map(|path| path.display().to_string()),
            pinned: self.pins.get().map(Pins::done),
        }
    }
}
