//! What was there before, as far as the user sees it: old versions of a file, and names that were
//! taken out of a folder.
//!
//! Versions are counted by what the user sees: a change of a section that is hidden from him makes
//! no version for him.

use std::sync::Arc;
use std::time::Duration;

use super::folder::place_of;
use super::node::Stands;
use super::plan::contents;
use super::sight::{Seen, parts_of};
use super::{Ino, Time, View};
use crate::error::{Error, Kind, Result};
use crate::key::attribute::Gid;
use crate::record::format::Slot;
use crate::record::past::Removed;
use crate::record::{Located, PolicyRef, Record, RecordId, section_name};

/// One version of a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastVersion {
    /// Counted from 1, the oldest that the user sees.
    pub version: u64,
    /// When it was written.
    pub time: Time,
    /// Who wrote it.
    pub writer: Gid,
    /// Which of the sections that the user sees it changed.
    pub sections: Vec<&'static str>,
    /// The size of this user's view of it; 0 for a folder.
    pub size_bytes: u64,
    /// The version of the record, which counts every commit.
    pub(super) record_version: u64,
    /// The version of the record that its change made.
    changed_in: u64,
}

impl PastVersion {
    /// Says whether the record's version of that number shows it; asked from the newest on.
    pub(super) fn is_in(&self, record_version: u64) -> bool {
        self.changed_in <= record_version
    }
}

/// The versions of a file or folder.
#[derive(Debug)]
pub struct History {
    /// The newest first.
    pub versions: Vec<PastVersion>,
    /// Why there are no older ones, when the bucket should have them and has not.
    pub missing: Option<Error>,
}

/// A name that was taken out of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedName {
    /// The name.
    pub name: Vec<u8>,
    /// Whether it stood for a folder.
    pub is_folder: bool,
    /// When it was removed.
    pub time: Time,
    /// By whom.
    pub by: Gid,
    /// What it stood for.
    pub id: RecordId,
}

impl View {
    /// Returns the versions of a file or folder that this user sees.
    ///
    /// # Errors
    /// `NotFound` when there is no such file; `Integrity` when an old version is not proven, or
    /// does not lead to the newer one.
    pub async fn history(&self, ino: Ino) -> Result<History> {
        let node = self.node(ino)?;
        match node.stands() {
            Stands::Directory { .. } => {
                let (located, policy) = place_of(&node)?;
                self.folder_history(located, &policy).await
            }
            Stands::Record { located, policy } => self.file_history(located, &policy).await,
            Stands::Fresh | Stands::Local | Stands::Removed => {
                Err(Error::new(Kind::NotFound, "the file is not in the bucket"))
            }
        }
    }

    pub(super) async fn file_history(
        &self,
        located: Located,
        policy: &PolicyRef,
    ) -> Result<History> {
        let mut seen = self.see(located, policy, Duration::ZERO).await?;
        let policy = seen.policy.clone();
        let (mut versions, mut missing) = (Vec::new(), None);
        while !seen.open.is_empty() {
            let older = match self.records.before(&seen.record, &policy).await {
                Ok(Some(record)) => Some(self.sight_of(record, &policy).await?),
                Ok(None) => None,
                Err(e) if e.kind() == Kind::NotFound => {
                    missing = Some(e);
                    None
                }
                Err(e) => return Err(e),
            };
            let sections = changed(&seen, older.as_ref().map(|o| &*o.record));
            let is_first = older.as_ref().is_none_or(|o| o.open.is_empty());
            if is_first || !sections.is_empty() {
                let size_bytes = self.size_bytes(&seen).await?;
                versions.push(version_of(&seen, sections, size_bytes));
            }
            match older {
                Some(older) => seen = older,
                None => break,
            }
        }
        number(&mut versions);
        Ok(History { versions, missing })
    }

    async fn folder_history(&self, located: Located, policy: &PolicyRef) -> Result<History> {
        let mut records = vec![self.records.load(located, policy, Duration::ZERO).await?];
        records.extend(self.records.kept_tables(located, policy).await?);
        let versions = records.iter().map(|record: &Arc<Record>| PastVersion {
            version: record.names_version(),
            time: Time::from_unix_ns(record.statement.time_unix_ns),
            writer: Gid::of(&record.statement.author.0),
            sections: vec![crate::realm::policy::NAMES],
            size_bytes: 0,
            record_version: record.version(),
            changed_in: record.version(),
        });
        Ok(History { versions: versions.collect(), missing: None })
    }

    /// Returns the names that were taken out of a folder, as far as this user may know of them,
    /// the newest removal first.
    ///
    /// # Errors
    /// `NotDirectory` when it is a file; `Denied` when the names are closed to the user.
    pub async fn removed(&self, ino: Ino) -> Result<Vec<RemovedName>> {
        let removed = self.removed_entries(ino).await?;
        let names = removed.into_iter().map(|r| RemovedName {
            is_folder: r.entry.is_directory(),
            time: Time::from_unix_ns(r.time_unix_ns),
            by: r.by,
            id: r.entry.located.record,
            name: r.name,
        });
        Ok(names.collect())
    }

    pub(super) async fn removed_entries(&self, ino: Ino) -> Result<Vec<Removed>> {
        let folder = self.node(ino)?;
        // What was removed was judged by the policy that is in force now.
        self.entry(&folder, b"", Duration::ZERO).await?;
        let (located, policy) = place_of(&folder)?;
        let mut shown = Vec::new();
        for r in self.records.removed_names(located, &policy).await? {
            let in_force = r.entry.policy.as_ref().unwrap_or(&policy);
            if self.is_listed(r.entry.profile, in_force).await? {
                shown.push(r);
            }
        }
        Ok(shown)
    }
}

fn version_of(seen: &Seen, sections: Vec<&'static str>, size_bytes: u64) -> PastVersion {
    let parts = seen.open.iter().flat_map(|(slot, _)| parts_of(&seen.record, *slot));
    let statements = parts.map(|p| seen.record.vouching(p));
    let newest = statements.max_by_key(|s| s.version).unwrap_or(&seen.record.statement);
    PastVersion {
        version: 0,
        time: Time::from_unix_ns(newest.time_unix_ns),
        writer: Gid::of(&newest.author.0),
        sections,
        size_bytes,
        record_version: seen.record.version(),
        changed_in: seen.changed_in(),
    }
}

/// Returns the visible sections that a version changed; of the first one, those that say something.
fn changed(seen: &Seen, older: Option<&Record>) -> Vec<&'static str> {
    let older = older.filter(|o| o.head.profile == seen.record.head.profile);
    let is_changed = |slot: Slot, is_filled: bool| match older {
        Some(older) => contents(&seen.record, slot) != contents(older, slot),
        None => is_filled,
    };
    let slots = seen
        .open
        .iter()
        .filter(|(slot, parts)| is_changed(*slot, parts.iter().any(|p| p.meta.body_len > 0)));
    slots.map(|(slot, _)| section_name(slot.0)).collect()
}

/// Counts from the oldest, which is the last.
fn number(versions: &mut [PastVersion]) {
    for (version, number) in versions.iter_mut().rev().zip(1..) {
        version.version = number;
    }
}
