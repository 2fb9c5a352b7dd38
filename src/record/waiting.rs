//! What an earlier mount left in the journal.

use std::collections::HashSet;
use std::sync::Arc;

use super::head::RECORD_LEN_MAX_BYTES;
use super::past::Leaf;
use super::{DIRECTORY_PROFILE, Located, Record, RecordId, Records};
use crate::error::Result;
use crate::store::ObjectName;

impl Records {
    /// Returns the files of which changes wait in the journal, but for those that were taken away
    /// on this workstation after they were changed: that waits there too.
    ///
    /// When so many names were taken away meanwhile that a directory does not list them any more, a
    /// file that has no name now counts as one of them.
    ///
    /// # Errors
    /// `Integrity` when the journal is damaged; those of reading a large directory.
    pub async fn edits_waiting(&self) -> Result<Vec<Located>> {
        let (mut named, mut left) = (HashSet::new(), HashSet::new());
        let (mut files, mut is_listed) = (Vec::new(), true);
        for (name, is_new) in self.realm().bucket().pending_edits() {
            let Some((located, mine)) = self.waiting(&name).await? else { continue };
            if mine.head.profile != DIRECTORY_PROFILE {
                files.push((located, is_new));
                continue;
            }
            let policy = &mine.head.policies[0];
            let now = self.names_in(&mine, policy).await?;
            let base = if let Some(bytes) = self.realm().bucket().pending_base(&name)? {
                let base = self.read_back(located, &bytes, mine.etag.clone()).await?;
                self.names_in(&base, policy).await?
            } else {
                is_listed &= is_new;
                Leaf::default()
            };
            is_listed &= base.past.older == now.past.older;
            left.extend(records_in(&base));
            left.extend(removed_in(&now).difference(&removed_in(&base)));
            named.extend(records_in(&now));
        }
        // Of what the bucket does not have yet nobody else took a name away.
        let is_taken = |file: &RecordId, is_new| is_new || !is_listed || left.contains(file);
        files.retain(|(f, is_new)| named.contains(&f.record) || !is_taken(&f.record, *is_new));
        Ok(files.into_iter().map(|(file, _)| file).collect())
    }

    /// Returns what the journal has of a record.
    async fn waiting(&self, name: &ObjectName) -> Result<Option<(Located, Arc<Record>)>> {
        let Some(located) = Located::of_object(name) else { return Ok(None) };
        let object = self.realm().bucket().get(name, RECORD_LEN_MAX_BYTES).await?;
        let Some(object) = object else { return Ok(None) };
        let record = self.read_back(located, &object.bytes, object.version).await?;
        Ok(Some((located, record)))
    }
}

fn removed_in(leaf: &Leaf) -> HashSet<RecordId> {
    leaf.past.removed.iter().map(|r| r.entry.located.record).collect()
}

fn records_in(leaf: &Leaf) -> HashSet<RecordId> {
    leaf.table.0.values().map(|entry| entry.located.record).collect()
}
