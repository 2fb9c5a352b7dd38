//! Texts that were refused: each is put aside in a file of its own on this workstation.

use std::sync::Arc;

use super::folder::Overlay;
use super::node::{Node, Spot, Stands};
use super::{Invalidation, NodeKind, View, locked};
use crate::clock::now_unix_s;
use crate::record::directory::NAME_LEN_MAX_BYTES;

impl View {
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
pub(super) fn marked_name(name: &[u8], mark: &str) -> Vec<u8> {
    let (stem, ext) = match name.iter().rposition(|b| *b == b'.').filter(|at| *at > 0) {
        Some(at) => name.split_at(at),
        None => (name, &b""[..]),
    };
    let room = NAME_LEN_MAX_BYTES.saturating_sub(mark.len() + ext.len());
    let mut cut = stem.len().min(room);
    // A name that is text stays text: no letter of several bytes is cut in two.
    while cut < stem.len() && cut > 0 && stem[cut] & 0xc0 == 0x80 {
        cut -= 1;
    }
    let marked = [&stem[..cut], mark.as_bytes(), ext].concat();
    marked[..marked.len().min(NAME_LEN_MAX_BYTES)].to_vec()
}
