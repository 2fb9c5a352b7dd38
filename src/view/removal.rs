//! What goes when a name does not come back: all of a record, or the part of it that its remover
//! sees and may write.

use std::time::Duration;

use super::View;
use super::folder::Removal;
use super::plan::write_of;
use super::save::TRIES_MAX;
use super::sight::{Seen, parts_of};
use crate::clock::now_unix_ns;
use crate::error::{Error, Kind, Result};
use crate::record::format::{SectionText, Slot};
use crate::record::{Committed, Located, PolicyRef, Sight, SlotWrite};

impl Removal {
    /// Returns the version which the newest change of what would go has made.
    pub(super) fn version_of(self, seen: &Seen) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::All => seen.record.changed_in(),
            Self::Part => seen.changed_in(),
        }
    }
}

impl View {
    /// Takes out of a record what its remover sees and may write; everything else stays, and the
    /// version before is kept.
    pub(super) async fn take_out(&self, located: Located, policy: &PolicyRef) -> Result<()> {
        for _ in 0..TRIES_MAX {
            let seen = self.see(located, policy, Duration::ZERO).await?;
            let writes = self.emptied(policy, &seen).await?;
            if writes.is_empty() {
                return Ok(());
            }
            let (base, format) = (&seen.record, seen.format as u8);
            let done = self.records.commit(base, format, policy, writes, true).await?;
            if matches!(done, Committed::Done(_)) {
                return Ok(());
            }
        }
        Err(Error::new(Kind::Conflict, "the record is changed by others all the time"))
    }

    /// Empties every section that the user sees and may write. What frames the file stays: the
    /// others need it.
    async fn emptied(&self, policy: &PolicyRef, seen: &Seen) -> Result<Vec<SlotWrite>> {
        let mut writes = Vec::new();
        for (slot, opened) in seen.open.iter().filter(|(slot, _)| *slot != Slot::FRAME) {
            let is_filled = opened.iter().any(|p| p.meta.body_len > 0)
                || parts_of(&seen.record, *slot).len() > 1;
            let may = self.sights(policy, *slot).await? == (Sight::Open, Sight::Open);
            if may && is_filled {
                let empty = SectionText::default();
                writes.push(write_of(seen.format, *slot, &empty, now_unix_ns(), false));
            }
        }
        Ok(writes)
    }
}
