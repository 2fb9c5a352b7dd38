//! Texts that cannot go where they were meant for: each is put aside in a file of its own, so that
//! nobody loses one.

use std::sync::Arc;

use super::folder::{Edit, Overlay, place_of};
use super::node::{Node, Spot, Stands};
use super::save::Pending;
use super::{Invalidation, NodeKind, View, locked};
use crate::clock::now_unix_s;
use crate::error::Result;
use crate::record::directory::{Entry, NAME_LEN_MAX_BYTES};
use crate::record::{Located, PolicyRef, RecordId};

impl View {
    /// Keeps a text that cannot be merged in a file of its own, beside the one it was meant for.
    pub(super) async fn save_conflict(
        &self,
        node: &Node,
        policy: &PolicyRef,
        pending: &Pending,
    ) -> Result<()> {
        let Spot { parent, name } = node.spot();
        let folder = self.node(parent)?;
        let (place, _) = place_of(&folder)?;
        let located = Located { birth: place.record, record: RecordId::random() };
        let record = self.create_record(located, policy, &name, pending).await?;
        let entry = Entry { located, profile: record.head.profile, policy: None };
        let name = self.conflict_name(&name);
        self.edit(&folder, Edit::Add { name, entry }).await?;
        tracing::warn!(record = %located.record, "a conflict copy was made");
        Ok(())
    }

    /// Puts a text that was refused into a file beside the one that it was meant for, on this
    /// workstation only, so that its author does not lose it and sees the last good version again.
    pub(super) async fn reject(&self, node: &Arc<Node>) {
        let _work = node.file.work.lock().await;
        let spot = node.spot();
        let Ok(folder) = self.node(spot.parent) else { return };
        if !node.file.is_dirty() {
            return;
        }
        let name = free_name(&folder, &spot.name);
        match node.stands() {
            Stands::Fresh => {
                self.drop_here_as(&folder, &spot.name, node, Stands::Local);
                self.invalidate(Invalidation::Entry { parent: spot.parent, name: spot.name });
                let spot = Spot { parent: folder.ino, name: name.clone() };
                locked(&self.tree).move_to(node, spot);
                folder.folder.set_overlay(&name, Overlay::Here(node.ino));
            }
            Stands::Record { .. } => {
                let held = std::mem::take(&mut *locked(&node.file.held));
                let spot = Spot { parent: folder.ino, name: name.clone() };
                let copy = locked(&self.tree).add(NodeKind::File, spot, Stands::Local);
                *locked(&copy.file.held) = held;
                folder.folder.set_overlay(&name, Overlay::Here(copy.ino));
                node.forget_attr();
                self.invalidate(Invalidation::Inode(node.ino));
            }
            Stands::Local | Stands::Removed | Stands::Directory { .. } => return,
        }
        self.invalidate(Invalidation::Entry { parent: folder.ino, name });
    }

    /// Makes `name (conflict USER SECONDS).ext`.
    pub(super) fn conflict_name(&self, name: &[u8]) -> Vec<u8> {
        let user: String = self
            .records
            .keyring()
            .user_name()
            .chars()
            .map(|c| if c == '/' || c == '\0' { '_' } else { c })
            .take(32)
            .collect();
        marked_name(name, &format!(" (conflict {user} {})", now_unix_s()))
    }
}

/// Makes `name (rejected SECONDS).ext`, with a number when that is taken.
fn free_name(folder: &Node, name: &[u8]) -> Vec<u8> {
    let now = now_unix_s();
    let mut marked = marked_name(name, &format!(" (rejected {now})"));
    let mut count = 1;
    while folder.folder.overlay(&marked).is_some() {
        count += 1;
        marked = marked_name(name, &format!(" (rejected {now} {count})"));
    }
    marked
}

/// Puts a mark into a name, before its extension.
fn marked_name(name: &[u8], mark: &str) -> Vec<u8> {
    let (stem, ext) = match name.iter().rposition(|b| *b == b'.').filter(|at| *at > 0) {
        Some(at) => name.split_at(at),
        None => (name, &b""[..]),
    };
    let room = NAME_LEN_MAX_BYTES.saturating_sub(mark.len() + ext.len());
    let marked = [&stem[..stem.len().min(room)], mark.as_bytes(), ext].concat();
    marked[..marked.len().min(NAME_LEN_MAX_BYTES)].to_vec()
}
