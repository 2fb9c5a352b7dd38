//! Texts that could not be committed: each is kept for its author on this workstation, sealed, and
//! one that was refused is shown in a file of its own beside the one that it was meant for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::draft::Text;
use super::file::is_refusal;
use super::folder::Overlay;
use super::held::{Held, Kept};
use super::node::{Node, Spot, Stands};
use super::{Ino, Invalidation, NodeKind, View, locked};
use crate::clock::date::format_unix_s;
use crate::clock::now_unix_s;
use crate::error::{Error, Kind, Result};
use crate::record::directory::NAME_LEN_MAX_BYTES;

/// How long a text that could not be committed waits until it is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

impl View {
    /// Keeps a text that could not be committed, for as long as its author wants: the program that
    /// wrote it may not look at what `close` says, and the machine may stop.
    pub(super) async fn keep_unsaved(&self, node: &Arc<Node>, reason: Error) -> Result<()> {
        node.file.is_refused.store(is_refusal(reason.kind()), Ordering::Relaxed);
        let (Some(texts), Some((edits, text))) = (self.rejected.get(), unsaved_text(node)?) else {
            return Err(reason);
        };
        let before = locked(&node.file.kept).clone();
        if before.as_ref().is_some_and(|kept| kept.edits == edits) {
            return Err(reason);
        }
        let (texts, path, why) = (texts.clone(), self.path_of(node), reason.to_string());
        let id = in_background(move || {
            let id = texts.add(&path, &why, &text)?;
            // The same draft, as it was before: its author went on with it.
            if let Some(before) = before {
                texts.drop_text(&before.id).or_else(not_found_is_fine)?;
            }
            Ok(id)
        });
        match id.await {
            Ok(id) => {
                tracing::warn!(%id, kind = ?reason.kind(), "a text could not be committed and is kept");
                *locked(&node.file.kept) = Some(Kept { id, edits, since: Instant::now() });
                Err(reason)
            }
            Err(e) => Err(not_kept(&reason, &e)),
        }
    }

    /// Keeps a text that was refused when it was renamed over a record: programs remove the file
    /// that they could not rename. Returns what to tell the program.
    pub(super) async fn keep_refused(
        &self,
        (folder, name): (&Node, &[u8]),
        text: Text,
        reason: Error,
    ) -> Error {
        let Some(texts) = self.rejected.get().filter(|_| is_refusal(reason.kind())) else {
            return reason;
        };
        let path = [&self.path_of(folder)[..], b"/", name].concat();
        let (texts, why) = (texts.clone(), reason.to_string());
        match in_background(move || texts.add(&path, &why, &text)).await {
            Ok(id) => {
                tracing::warn!(%id, kind = ?reason.kind(), "a text could not be committed and is kept");
                reason
            }
            Err(e) => not_kept(&reason, &e),
        }
    }

    /// Keeps every text that is not committed: the drive is left, and the bucket does not answer.
    pub async fn keep_all_unsaved(&self, reason: &Error) {
        let unsaved = locked(&self.tree).unsaved();
        for node in unsaved {
            if matches!(node.stands(), Stands::Fresh | Stands::Record { .. }) {
                // What could not be kept either is in the log.
                let _ = self.keep_unsaved(&node, reason.duplicate()).await;
            }
        }
    }

    /// Drops what was kept of a text that is committed now.
    pub(super) async fn note_saved(&self, node: &Node) {
        let is_saved = |kept: &mut Kept| match &*locked(&node.file.held) {
            Held::Draft(w) => w.saved >= kept.edits,
            Held::Nothing | Held::Clean(_) | Held::Stream(_) => true,
        };
        let is_record = matches!(node.stands(), Stands::Record { .. });
        let kept = locked(&node.file.kept).take_if(|kept| is_record && is_saved(kept));
        let (Some(texts), Some(kept)) = (self.rejected.get().cloned(), kept) else { return };
        let dropped = in_background(move || texts.drop_text(&kept.id)).await;
        if let Err(error) = dropped.or_else(not_found_is_fine) {
            tracing::warn!(%error, "a text that is committed is still kept");
        }
    }

    /// Tries again to commit what could not be committed when it was closed, until the first that
    /// cannot be now either.
    pub(super) async fn retry_unsaved(&self) {
        let is_due = |node: &Arc<Node>| {
            let kept = locked(&node.file.kept);
            kept.as_ref().is_some_and(|k| k.since.elapsed() >= RETRY_INTERVAL)
                && !node.file.is_open()
        };
        let unsaved = locked(&self.tree).unsaved();
        for node in unsaved.into_iter().filter(is_due) {
            if self.save(&node, true).await.is_ok() {
                continue;
            }
            if node.file.is_refused.load(Ordering::Relaxed) {
                self.reject(&node).await;
                continue;
            }
            if let Some(kept) = &mut *locked(&node.file.kept) {
                kept.since = Instant::now();
            }
            return;
        }
    }

    /// Returns where a file is, as a path of the drive.
    fn path_of(&self, node: &Node) -> Vec<u8> {
        let mut names = Vec::new();
        let mut spot = node.spot();
        loop {
            names.push(std::mem::take(&mut spot.name));
            match self.node(spot.parent) {
                Ok(folder) if folder.ino != Ino::ROOT => spot = folder.spot(),
                Ok(_) | Err(_) => break,
            }
        }
        names.iter().rev().flat_map(|name| [&b"/"[..], name].concat()).collect()
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
        // What is kept of it is its author's from now on.
        locked(&node.file.kept).take();
        let name = free_name(&folder, &spot.name);
        match node.stands() {
            Stands::Fresh => {
                // What was taken away for this text did not come back as it, and stays.
                locked(&node.file.returning).take();
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

fn not_kept(reason: &Error, e: &Error) -> Error {
    tracing::error!(error = %e, "a text could neither be committed nor kept");
    let because = format!("{reason}; and it is not kept: {e}");
    Error::new(e.kind(), reason.what().to_owned()).because(because).hint("chartfs rejected list")
}

/// Returns a text that no commit has, and after how many changes.
fn unsaved_text(node: &Node) -> Result<Option<(u64, Text)>> {
    match &*locked(&node.file.held) {
        Held::Draft(w) if w.is_dirty() => Ok(Some((w.edits, w.draft.text()?))),
        _ => Ok(None),
    }
}

/// Runs what writes to the local disk where it holds nobody up.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::new(Kind::Internal, "keeping a text was interrupted").because(e))?
}

fn not_found_is_fine(e: Error) -> Result<()> {
    if e.kind() == Kind::NotFound { Ok(()) } else { Err(e) }
}

/// Makes `name (rejected UTC).ext`, with a number when that is taken.
fn free_name(folder: &Node, name: &[u8]) -> Vec<u8> {
    let now = format_unix_s(now_unix_s()).replace(':', "-");
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
