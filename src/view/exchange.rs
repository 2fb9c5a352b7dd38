//! Two names change places. Within one table that is one commit. Otherwise it takes several: one name
//! is given to the other record first, and its own record is among the removed until it has the other
//! name; so nothing is lost whoever stops in between, and the next mount completes it (see
//! `unfinished`).

use std::sync::Arc;

use super::folder::{Edit, place_of};
use super::node::{Node, Spot, Stands};
use super::rename::Way;
use super::unfinished::Move;
use super::{Invalidation, View, locked};
use crate::error::{Error, Kind, Result};
use crate::record::directory::Entry;
use crate::record::{Located, PolicyRef, RecordId};

impl View {
    pub(super) async fn exchange(&self, way: &Way, nodes: [&Arc<Node>; 2]) -> Result<()> {
        let [one, other] = nodes;
        if one.ino == other.ino {
            return Ok(());
        }
        self.check_exchange(way, nodes).await?;
        // A commit under way would look for its record under the old name.
        let [lower, higher] = if one.ino < other.ino { [one, other] } else { [other, one] };
        let works = [lower.file.work.lock().await, higher.file.work.lock().await];
        for (node, work) in [lower, higher].into_iter().zip(&works) {
            // One that was just made is to have a record to exchange.
            self.save_held(node, true, work).await?;
            if node.stands() == Stands::Local {
                return Err(Error::new(Kind::Unsupported, "the names cannot be exchanged")
                    .because("one of the files is on this workstation only"));
            }
        }
        let first = self.entry_of(&way.from, &way.from_name).await?;
        let second = self.entry_of(&way.to, &way.to_name).await?;
        let noted = way.noted(first.located.record)?.exchanging(second.located.record);
        if way.from.ino == way.to.ino {
            let names = Edit::Exchange { one: way.from_name.clone(), other: way.to_name.clone() };
            let exchange = Box::pin(self.edit(&way.from, names));
            if self.records.is_split(place_of(&way.from)?.0) {
                self.as_one_move(noted, exchange).await?;
            } else {
                exchange.await?;
            }
        } else {
            self.as_one_move(noted, Box::pin(self.exchange_between(way, first, second))).await?;
        }
        let tree = locked(&self.tree);
        for (node, (folder, name)) in
            [(one, (&way.to, &way.to_name)), (other, (&way.from, &way.from_name))]
        {
            tree.move_to(node, Spot { parent: folder.ino, name: name.clone() });
        }
        Ok(())
    }

    async fn check_exchange(&self, way: &Way, [one, other]: [&Arc<Node>; 2]) -> Result<()> {
        self.check_remove(&way.from).await?;
        if way.from.ino == way.to.ino {
            return Ok(());
        }
        self.check_remove(&way.to).await?;
        self.check_add(&way.from).await?;
        self.check_add(&way.to).await?;
        self.check_same_policy(way)?;
        self.check_not_below(one, &way.to)?;
        self.check_not_below(other, &way.from)
    }

    /// Exchanges names of two folders.
    async fn exchange_between(&self, way: &Way, first: Entry, second: Entry) -> Result<()> {
        let (one, other) = (first.located.record, second.located.record);
        let (from, to) = (&way.from_name, &way.to_name);
        let give = Edit::stand(from, one, second.clone(), false);
        self.edit(&way.from, give).await?;
        let given = self.edit(&way.to, Edit::stand(to, other, first.clone(), true)).await;
        if given.as_ref().is_err_and(|e| e.kind() == Kind::NotFound) {
            // Somebody else took the other name away first.
            self.edit(&way.from, Edit::stand(from, other, first, true)).await?;
        }
        given?;
        self.edit(&way.from, Edit::Named { name: from.clone(), record: one }).await
    }

    /// Completes an exchange of which one half was made; `false` when somebody works on one of the
    /// files just now.
    pub(super) async fn complete_exchange(&self, noted: &Move, second: RecordId) -> Result<bool> {
        let Move { record: first, from, to, .. } = noted;
        let nodes = [*first, second].map(|record| locked(&self.tree).find(record));
        if nodes.iter().flatten().any(|node| node.file.is_open() || node.file.is_dirty()) {
            return Ok(false);
        }
        let Some((at_from, policy)) = self.found_at(from).await? else { return Ok(true) };
        let Some((at_to, to_policy)) = self.found_at(to).await? else { return Ok(true) };
        if at_from.located.record != second {
            return Ok(true);
        }
        if at_to.located.record == second {
            let removed = self.records.removed_names(from.folder, &policy).await?;
            let is_first = |id: RecordId| id == *first;
            let found = removed.into_iter().find(|r| is_first(r.entry.located.record));
            let Some(found) = found else { return Ok(true) };
            let stand = Edit::stand(&to.name, second, found.entry, true);
            self.edit_bare((to.folder, &to_policy), stand).await?;
            tracing::info!(record = %first, "an exchange that was interrupted is completed");
        } else if at_to.located.record != *first {
            return Ok(true);
        }
        if from.folder != to.folder {
            let named = Edit::Named { name: from.name.clone(), record: *first };
            self.edit_bare((from.folder, &policy), named).await?;
        }
        for place in [from, to] {
            let folder = locked(&self.tree).find(place.folder.record);
            if let Some(folder) = folder {
                folder.change_names();
                let (parent, name) = (folder.ino, place.name.clone());
                self.invalidate(Invalidation::Entry { parent, name });
            }
        }
        Ok(true)
    }

    /// Makes a change of a folder that nobody need have looked up; what somebody else took away
    /// first is no failure.
    pub(super) async fn edit_bare(
        &self,
        (folder, policy): (Located, &PolicyRef),
        edit: Edit,
    ) -> Result<()> {
        for done in self.records.edit_names(folder, policy, &[edit]).await? {
            match done {
                Err(e) if e.kind() == Kind::NotFound => {}
                done => done?,
            }
        }
        Ok(())
    }
}
