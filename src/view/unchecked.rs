//! What was saved here and waits in the journal: once the bucket has it, its name must still be
//! there. When somebody took that away meanwhile, it comes back: he did not know this text.

use std::collections::HashMap;
use std::time::Duration;

use super::folder::{Edit, place_of};
use super::node::{Node, Spot};
use super::{Ino, View, locked};
use crate::error::Result;
use crate::record::{Located, RecordId, Remembered};

/// Of more names than that in one folder all are looked up at once.
const LOOKS_MAX: usize = 16;

/// A record whose name is to be looked at, and where it was saved, when that is known.
pub(super) type Unchecked = (Located, Option<Spot>);

fn is_at(spot: Option<&Spot>, folder: &Node, name: &[u8]) -> bool {
    spot.is_some_and(|spot| spot.parent == folder.ino && spot.name == name)
}

impl View {
    /// Remembers that a name is to be looked at once the bucket has its record.
    pub(super) fn check_later(&self, parent: Ino, name: &[u8], located: Located) {
        let mut unchecked = locked(&self.unchecked);
        unchecked.insert(located.record, (located, Some(Spot { parent, name: name.to_vec() })));
    }

    /// Returns how old a folder may be in which a record that was just saved is looked for: what
    /// waits in the journal is looked at later.
    pub(super) fn look_at(&self, folder: &Node, name: &[u8], located: Located) -> Duration {
        if self.records.is_pending(located) {
            self.check_later(folder.ino, name, located);
            return Duration::MAX;
        }
        Duration::ZERO
    }

    /// Forgets to look at what a change made here takes away: whoever makes it knows the text.
    pub(super) fn uncheck(&self, folder: &Node, edit: &Edit) -> Vec<Unchecked> {
        let replaced = match edit {
            Edit::Remove { record, .. } => Some(*record),
            Edit::Put { name, entry } => {
                self.standing_here(folder, name).filter(|r| *r != entry.located.record)
            }
            Edit::Rename { to, record, .. } => {
                self.standing_here(folder, to).filter(|r| r != record)
            }
            _ => None,
        };
        let is_taken = |record: &RecordId, spot: Option<&Spot>| match edit {
            Edit::Put { name, entry } => {
                is_at(spot, folder, name) && *record != entry.located.record
            }
            Edit::Rename { to, record: moved, .. } => is_at(spot, folder, to) && record != moved,
            _ => false,
        };
        let mut unchecked = locked(&self.unchecked);
        let taken = unchecked.extract_if(|record, (_, spot)| {
            Some(*record) == replaced || is_taken(record, spot.as_ref())
        });
        taken.map(|(_, unchecked)| unchecked).collect()
    }

    /// Returns the record that a name stands for, as far as memory says.
    fn standing_here(&self, folder: &Node, name: &[u8]) -> Option<RecordId> {
        if locked(&self.unchecked).is_empty() {
            return None;
        }
        let (located, _) = place_of(folder).ok()?;
        match self.records.find_cached(located, name, Duration::MAX) {
            Remembered::Entry(entry) => Some(entry.located.record),
            Remembered::Absent | Remembered::Unknown => None,
        }
    }

    /// Remembers to look at the names of what an earlier mount left in the journal: what it knew
    /// of them it had in memory.
    pub(super) async fn check_what_waits(&self) -> Result<()> {
        for located in self.records.edits_waiting().await? {
            locked(&self.unchecked).entry(located.record).or_insert((located, None));
        }
        Ok(())
    }

    /// Looks whether the names of records that the bucket has now are still there.
    pub(super) async fn check_committed(&self) -> Result<()> {
        let is_committed = |(located, _): &Unchecked| !self.records.is_pending(*located);
        let all: Vec<Unchecked> =
            locked(&self.unchecked).values().filter(|u| is_committed(u)).cloned().collect();
        let mut by_folder: HashMap<Option<Ino>, Vec<(Located, Vec<u8>)>> = HashMap::new();
        for (located, spot) in all {
            let (parent, name) = spot.map_or((None, Vec::new()), |s| (Some(s.parent), s.name));
            by_folder.entry(parent).or_default().push((located, name));
        }
        for (parent, names) in by_folder {
            // Of many names all are looked up at once.
            let is_many = names.len() > LOOKS_MAX;
            let folder = parent.and_then(|parent| self.node(parent).ok());
            if let Some(folder) = folder.as_ref().filter(|_| is_many) {
                self.table(folder, Duration::ZERO).await?;
            }
            let max_age = if is_many { Duration::MAX } else { Duration::ZERO };
            for (located, name) in names {
                self.check_name_of(folder.as_deref(), &name, located, max_age).await?;
                locked(&self.unchecked).remove(&located.record);
            }
        }
        Ok(())
    }

    async fn check_name_of(
        &self,
        folder: Option<&Node>,
        name: &[u8],
        located: Located,
        max_age: Duration,
    ) -> Result<()> {
        // Whoever removes it here holds this too, and then there is nothing to look at.
        let node = locked(&self.tree).find(located.record);
        let _work = match &node {
            Some(node) => Some(node.file.work.lock().await),
            None => None,
        };
        if !locked(&self.unchecked).contains_key(&located.record) {
            return Ok(());
        }
        // A folder that nobody needs any more is forgotten here.
        let place = match folder {
            Some(folder) => place_of(folder)?,
            None => place_of(&*self.find_folder(located.birth).await?)?,
        };
        let (record, _) = self.load(located, &place.1, Duration::MAX).await?;
        let Some(folder) = folder else { return self.keep_named_anywhere(&record).await };
        // What is taken away here meanwhile is not among the unchecked any more.
        let is_wanted = || locked(&self.unchecked).contains_key(&located.record);
        self.keep_named_at(folder, name, &record, max_age, is_wanted).await
    }
}
