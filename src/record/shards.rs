//! Directories of many names: tries of records, in which a keyed hash of a name says where it is.

use std::time::Duration;

use futures::future::join_all;

use super::directory::{Edit, Inner, Node, SHARDS, Table};
use super::edit::missing;
use super::names::{Folder, names_write};
use super::past::{Conflict, Leaf, Past};
use super::{DIRECTORY_PROFILE, Located, PolicyRef, RecordId, Records};
use crate::error::{Error, Kind, Result};

impl Records {
    /// Stores the entries of a leaf that is too large in shards. They are named by nothing until
    /// the leaf is replaced, so a crash in between loses nothing.
    pub(super) async fn split(&self, folder: &Folder, leaf: Leaf) -> Result<Inner> {
        let birth = folder.record.located.record;
        let shards: [Located; SHARDS] =
            std::array::from_fn(|_| Located { birth, record: RecordId::random() });
        let inner = Inner::new(shards);
        let leaves = spread_leaf(&inner, leaf);
        let made = shards.into_iter().zip(leaves).map(|(located, leaf)| async move {
            let writes = vec![names_write(&Node::Leaf(leaf))?];
            self.create(located, DIRECTORY_PROFILE, &folder.policy, writes).await
        });
        join_all(made).await.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(inner)
    }

    /// Makes changes in the shards that they concern. What concerns two shards is added to one
    /// before it is taken from the other: a crash in between leaves two names and loses none, and
    /// none at all when both wait in a journal.
    pub(super) async fn edit_shards(
        &self,
        inner: &Inner,
        policy: &PolicyRef,
        edits: &[Edit],
    ) -> Vec<Result<()>> {
        let is_across = |edit: &Edit| {
            let [a, b] = edit.names();
            inner.index(a) != inner.index(b)
        };
        if !edits.iter().any(is_across) {
            return self.edit_by_shard(inner, policy, edits).await;
        }
        let together = async { Ok(self.edit_by_shard(inner, policy, edits).await) };
        match Box::pin(self.realm.bucket().together(together)).await {
            Ok(results) => results,
            Err(e) => edits.iter().map(|_| Err(e.duplicate())).collect(),
        }
    }

    async fn edit_by_shard(
        &self,
        inner: &Inner,
        policy: &PolicyRef,
        edits: &[Edit],
    ) -> Vec<Result<()>> {
        let mut results: Vec<Result<()>> = edits.iter().map(|_| Ok(())).collect();
        let mut phases: [Vec<(usize, Edit)>; 2] = [Vec::new(), Vec::new()];
        for (i, edit) in edits.iter().enumerate() {
            if matches!(edit, Edit::Close | Edit::Reopen) {
                let large = Error::new(Kind::NotEmpty, "the folder has many names");
                results[i] = Err(large);
                continue;
            }
            let [a, b] = edit.names();
            if inner.index(a) == inner.index(b) {
                phases[0].push((i, edit.clone()));
                continue;
            }
            match self.across(inner, policy, edit).await {
                Ok((first, second)) => {
                    phases[0].extend(first.into_iter().map(|e| (i, e)));
                    phases[1].extend(second.into_iter().map(|e| (i, e)));
                }
                Err(e) => results[i] = Err(e),
            }
        }
        let [gives, takes] = phases;
        self.edit_phase(inner, policy, gives, &mut results).await;
        let mut backs = Vec::new();
        for (i, take) in &takes {
            let back = take_back(&edits[*i], take).filter(|_| results[*i].is_ok());
            backs.extend(back.map(|back| (*i, back)));
        }
        self.edit_phase(inner, policy, takes, &mut results).await;
        for (i, back) in backs {
            if matches!(&results[i], Err(e) if e.kind() == Kind::NotFound) {
                self.make_back(inner, policy, back).await;
            }
        }
        results
    }

    /// Makes changes of one shard each, all shards at once.
    async fn edit_phase(
        &self,
        inner: &Inner,
        policy: &PolicyRef,
        phase: Vec<(usize, Edit)>,
        results: &mut [Result<()>],
    ) {
        let mut groups: [Vec<(usize, Edit)>; SHARDS] = std::array::from_fn(|_| Vec::new());
        for (i, edit) in phase {
            if results[i].is_ok() {
                groups[inner.index(edit.names()[0])].push((i, edit));
            }
        }
        let busy = groups.into_iter().enumerate().filter(|(_, g)| !g.is_empty());
        let work = busy.map(|(shard, group)| async move {
            let (numbers, edits): (Vec<usize>, Vec<Edit>) = group.into_iter().unzip();
            let located = inner.shards()[shard];
            (numbers, self.edit_names(located, policy, &edits).await)
        });
        for (numbers, answer) in join_all(work).await {
            spread(results, &numbers, answer);
        }
    }

    async fn make_back(&self, inner: &Inner, policy: &PolicyRef, back: Edit) {
        let shard = inner.shard(back.names()[0]);
        if let Err(error) = Box::pin(self.edit_names(shard, policy, &[back])).await {
            tracing::warn!(%error, "a record has two names");
        }
    }

    /// Takes a change of names in two shards apart: what is to be added first, what is to be
    /// removed then.
    async fn across(
        &self,
        inner: &Inner,
        policy: &PolicyRef,
        edit: &Edit,
    ) -> Result<(Vec<Edit>, Vec<Edit>)> {
        let entry = async |name: &[u8]| {
            let found = self.find(inner.shard(name), policy, name, Duration::ZERO).await?;
            found.entry.ok_or_else(missing)
        };
        match edit {
            Edit::Rename { from, to, record, over } => {
                let moved = entry(from).await?;
                if moved.located.record != *record {
                    return Err(missing());
                }
                let (name, leave) =
                    (to.clone(), Edit::Leave { name: from.clone(), record: *record });
                let give = match over {
                    Some(_) => Edit::Put { name, entry: moved },
                    None => Edit::Add { name, entry: moved },
                };
                Ok((vec![give], vec![leave]))
            }
            Edit::Exchange { one, other } => {
                let (first, second) = (entry(one).await?, entry(other).await?);
                let (was, was_other) = (first.located.record, second.located.record);
                let give = Edit::stand(one, was, second, false);
                Ok((vec![give], vec![Edit::stand(other, was_other, first, true)]))
            }
            single => Ok((vec![single.clone()], Vec::new())),
        }
    }
}

/// Returns what makes the first half of a change undone whose second half `take` cannot be made,
/// because somebody else took that name away first: a record is not to have two names.
fn take_back(edit: &Edit, take: &Edit) -> Option<Edit> {
    match (edit, take) {
        (Edit::Rename { to, record, .. }, _) => {
            Some(Edit::Leave { name: to.clone(), record: *record })
        }
        (Edit::Exchange { one, .. }, Edit::Stand { was, entry, .. }) => {
            Some(Edit::stand(one, *was, entry.clone(), true))
        }
        _ => None,
    }
}

/// Gives every change the answer of its shard.
fn spread(results: &mut [Result<()>], numbers: &[usize], answer: Result<Vec<Result<()>>>) {
    match answer {
        Ok(answers) => {
            for (i, answer) in numbers.iter().zip(answers) {
                if answer.is_err() {
                    results[*i] = answer;
                }
            }
        }
        Err(e) => {
            for i in numbers {
                results[*i] = Err(e.duplicate());
            }
        }
    }
}

/// Gives every shard its names, and what is remembered of them.
fn spread_leaf(inner: &Inner, leaf: Leaf) -> [Leaf; SHARDS] {
    let Past { is_removed, older, removed, conflicts } = leaf.past;
    let past = Past { is_removed, older, ..Past::default() };
    let mut leaves: [Leaf; SHARDS] =
        std::array::from_fn(|_| Leaf { table: Table::default(), past: past.clone() });
    for r in removed {
        leaves[inner.index(&r.name)].past.removed.push(r);
    }
    for (name, entry) in leaf.table.0 {
        let leaf = &mut leaves[inner.index(&name)];
        let is_copy = |c: &&Conflict| c.copy == entry.located.record;
        leaf.past.conflicts.extend(conflicts.iter().find(is_copy));
        leaf.table.0.insert(name, entry);
    }
    leaves
}
