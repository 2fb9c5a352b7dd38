//! Open files: reading the rendered view, and writing into a draft that is committed at flush.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::draft::{Draft, Text};
use super::folder::place_of;
use super::held::{Held, Writing};
use super::listing::attr_with;
use super::node::{Node, Stands};
use super::stream::Stream;
use super::{Access, Attr, Handle, Ino, Invalidation, NodeKind, SetAttr, View, locked};
use crate::clock::now_unix_ns;
use crate::error::{Error, Kind, Result};

/// One open handle.
pub(super) struct OpenFile {
    pub(super) node: Arc<Node>,
    pub(super) access: Access,
}

fn not_open() -> Error {
    Error::new(Kind::NotFound, "the file is not open")
}

impl View {
    fn open_file(&self, handle: Handle) -> Result<Arc<OpenFile>> {
        locked(&self.files).get(&handle).cloned().ok_or_else(not_open)
    }

    /// Returns the attributes of a file that has a draft.
    pub(super) fn draft_attr(&self, node: &Node) -> Option<Attr> {
        match &*locked(&node.file.held) {
            Held::Draft(w) => Some(attr_with(node, w.draft.len(), w.mtime_unix_ns)),
            _ => None,
        }
    }

    /// Reads from memory; `None` when that takes waiting.
    pub fn cached_read(&self, handle: Handle, offset: u64, len: u32) -> Option<Bytes> {
        let file = self.open_file(handle).ok()?;
        match &*locked(&file.node.file.held) {
            Held::Clean(rendered) => Some(slice(&rendered.bytes, offset, len)),
            Held::Draft(w) if !w.draft.is_spooled() => w.draft.read(offset, len as usize).ok(),
            Held::Nothing | Held::Stream(_) | Held::Draft(_) => None,
        }
    }

    /// Reads bytes of the view; fewer than asked for only at its end.
    ///
    /// # Errors
    /// `Integrity` when what the policy lets the user read does not open.
    pub async fn read(&self, handle: Handle, offset: u64, len: u32) -> Result<Bytes> {
        let file = self.open_file(handle)?;
        if !file.access.read {
            return Err(Error::new(Kind::Usage, "the file is not open for reading"));
        }
        loop {
            let stream = match &*locked(&file.node.file.held) {
                Held::Clean(rendered) => return Ok(slice(&rendered.bytes, offset, len)),
                Held::Draft(w) => return w.draft.read(offset, len as usize),
                Held::Stream(stream) => Some(stream.clone()),
                Held::Nothing => None,
            };
            match stream {
                Some(stream) => return stream.read(&self.records, offset, len).await,
                None => self.fill(&file.node).await?,
            }
        }
    }

    /// Renders the view of a file, or prepares to stream it.
    pub(super) async fn fill(&self, node: &Node) -> Result<()> {
        let _work = node.file.work.lock().await;
        self.fill_now(node).await
    }

    /// As [`View::fill`], without waiting for others who do the same: at worst both do it.
    pub(super) async fn fill_now(&self, node: &Node) -> Result<()> {
        if !matches!(*locked(&node.file.held), Held::Nothing) {
            return Ok(());
        }
        let Stands::Record { located, policy } = node.stands() else {
            return Err(not_open());
        };
        let opened = locked(&node.file.opened).clone().filter(|r| r.located == located);
        let seen = match opened {
            Some(record) => self.sight_of(record, &policy).await?,
            None => self.see(located, &policy, self.options.attr_ttl).await?,
        };
        let held = match seen.external() {
            Some((part, opened)) => {
                Held::Stream(Arc::new(Stream::new(part.clone(), opened.clone())))
            }
            None => Held::Clean(Arc::new(self.render(&seen).await?)),
        };
        let mut now = locked(&node.file.held);
        if matches!(*now, Held::Nothing) {
            *now = held;
        }
        Ok(())
    }

    /// Writes bytes into the draft of an open file.
    ///
    /// # Errors
    /// `Usage` when it is not open for writing; `NoSpace` over the limits.
    pub async fn write(&self, handle: Handle, offset: u64, data: Bytes) -> Result<()> {
        let file = self.open_file(handle)?;
        if !file.access.write {
            return Err(Error::new(Kind::Usage, "the file is not open for writing"));
        }
        let is_append = file.access.append;
        self.change(&file.node, |draft| {
            let at = if is_append { draft.len() } else { offset };
            draft.write(at, &data)
        })
        .await
    }

    /// Empties an open file.
    pub(super) async fn truncate(&self, handle: Handle) -> Result<()> {
        let file = self.open_file(handle)?;
        self.change(&file.node, |draft| draft.set_len(0)).await
    }

    /// Changes the draft of a file, which is made of its view first.
    pub(super) async fn change(
        &self,
        node: &Node,
        mut edit: impl FnMut(&mut Draft) -> Result<()>,
    ) -> Result<()> {
        loop {
            let is_spooled = match &mut *locked(&node.file.held) {
                Held::Draft(w) if w.draft.is_spooled() => true,
                Held::Draft(w) => {
                    edit(&mut w.draft)?;
                    w.touch(&node.file);
                    return Ok(());
                }
                _ => false,
            };
            if is_spooled {
                // A long text is not copied for a commit: whoever writes waits for it.
                let _work = node.file.work.lock().await;
                if let Held::Draft(w) = &mut *locked(&node.file.held) {
                    edit(&mut w.draft)?;
                    w.touch(&node.file);
                    return Ok(());
                }
            } else {
                self.begin_draft(node).await?;
            }
        }
    }

    /// Turns what a file holds into a draft.
    async fn begin_draft(&self, node: &Node) -> Result<()> {
        self.fill(node).await?;
        let stream = match &mut *locked(&node.file.held) {
            held @ Held::Clean(_) => {
                let Held::Clean(rendered) = std::mem::take(held) else { return Ok(()) };
                *held = Held::Draft(Writing {
                    draft: Draft::of(&rendered.bytes),
                    base: Some(rendered),
                    copied: None,
                    edits: 0,
                    saved: 0,
                    mtime_unix_ns: now_unix_ns(),
                });
                return Ok(());
            }
            Held::Stream(stream) => stream.clone(),
            Held::Nothing | Held::Draft(_) => return Ok(()),
        };
        let _work = node.file.work.lock().await;
        let draft = stream.to_draft(&self.records).await?;
        let mut held = locked(&node.file.held);
        if matches!(*held, Held::Stream(_)) {
            let mtime_unix_ns = now_unix_ns();
            let copied = locked(&node.file.opened).clone();
            let (base, edits, saved) = (None, 0, 0);
            *held = Held::Draft(Writing { draft, base, copied, edits, saved, mtime_unix_ns });
        }
        Ok(())
    }

    /// Changes attributes of a file or folder.
    ///
    /// # Errors
    /// `Denied` when the length or the time is to change and nothing in it can be written.
    pub async fn set_attr(
        &self,
        ino: Ino,
        handle: Option<Handle>,
        change: SetAttr,
    ) -> Result<Attr> {
        let node = self.node(ino)?;
        let was_dirty = node.file.is_dirty();
        if let Some(len) = change.size_bytes {
            self.check_change(&node).await?;
            self.change(&node, |draft| draft.set_len(len)).await?;
        }
        if let Some(mtime) = change.mtime {
            if node.kind == NodeKind::Directory {
                self.set_folder_mtime(&node, mtime.to_unix_ns()).await?;
            } else {
                self.set_mtime(&node, mtime.to_unix_ns()).await?;
            }
        }
        // truncate(2) has no handle whose close would commit.
        if change.size_bytes.is_some() && handle.is_none() {
            let saved = self.save(&node, true).await;
            if saved.as_ref().is_err_and(|e| is_refusal(e.kind())) && !node.file.is_open() {
                self.take_back(&node, was_dirty).await;
            }
            saved?;
        }
        if let Some(mode) = change.mode {
            node.set_mode(mode);
        }
        if let Some(atime) = change.atime {
            node.set_atime(atime);
        }
        if change.mode.is_some() || change.atime.is_some() || change.mtime.is_some() {
            node.note_change(self.attr_of(&node).await?.mtime);
        }
        self.attr_of(&node).await
    }

    /// Shows the last good version of a file again that could not be cut to a length. What was
    /// written before that, and is not committed, is put aside.
    async fn take_back(&self, node: &Arc<Node>, was_dirty: bool) {
        if was_dirty {
            return self.reject(node).await;
        }
        node.file.forget_text();
        node.forget_attr();
        self.invalidate(Invalidation::Inode(node.ino));
    }

    /// A folder's time is when its names were changed; another one is kept here, until they are
    /// changed again, for programs that compare times with those of a copy.
    pub(super) async fn set_folder_mtime(&self, node: &Node, mtime_unix_ns: i64) -> Result<()> {
        let (located, policy) = place_of(node)?;
        let real = self.folder_mtime(located, &policy, self.options.attr_ttl).await?;
        node.folder.set_mtime(real, mtime_unix_ns);
        node.forget_attr();
        Ok(())
    }

    async fn check_change(&self, node: &Node) -> Result<()> {
        let Stands::Record { located, policy } = node.stands() else { return Ok(()) };
        let seen = self.see(located, &policy, self.options.attr_ttl).await?;
        self.check_writable(self.may_write_any(&policy, seen.format).await?)
    }

    async fn set_mtime(&self, node: &Node, mtime_unix_ns: i64) -> Result<()> {
        node.file.is_mtime_set.store(true, Ordering::Relaxed);
        if let Held::Draft(w) = &mut *locked(&node.file.held) {
            // The commit that is still to come carries the time.
            if w.is_dirty() || matches!(node.stands(), Stands::Local | Stands::Removed) {
                w.mtime_unix_ns = mtime_unix_ns;
                return Ok(());
            }
        }
        self.check_change(node).await?;
        self.save_mtime(node, mtime_unix_ns).await
    }

    /// Commits what was written; its error is what `close` returns.
    ///
    /// # Errors
    /// Those of the commit; the text is kept, and the last good version stays.
    pub async fn flush(&self, handle: Handle) -> Result<()> {
        let file = self.open_file(handle)?;
        if !file.access.write {
            return Ok(());
        }
        self.save(&file.node, false).await
    }

    /// Commits what was written.
    ///
    /// # Errors
    /// Those of the commit.
    pub async fn fsync(&self, handle: Handle) -> Result<()> {
        let file = self.open_file(handle)?;
        self.save(&file.node, true).await
    }

    /// Closes a handle; the last one of a file commits what no flush did.
    pub async fn release(&self, handle: Handle) {
        let Some(file) = locked(&self.files).remove(&handle) else { return };
        let node = &file.node;
        let is_last = node.file.handles.fetch_sub(1, Ordering::Relaxed) == 1;
        if !is_last {
            return;
        }
        if file.access.write
            && let Err(e) = self.save(node, true).await
        {
            tracing::warn!(kind = ?e.kind(), "a file could not be committed when it was closed");
            if node.file.is_refused.load(Ordering::Relaxed) {
                self.reject(node).await;
            }
        }
        let mut held = locked(&node.file.held);
        let is_kept = match &*held {
            Held::Draft(w) => w.is_dirty() || node.stands() == Stands::Local,
            Held::Clean(_) | Held::Stream(_) | Held::Nothing => false,
        };
        if let (true, Held::Draft(w)) = (is_kept, &mut *held) {
            // It may stay for as long as the mount.
            if let Err(error) = w.draft.leave_memory() {
                tracing::warn!(%error, "a file of this workstation stays in memory");
            }
        }
        if !is_kept {
            *held = Held::Nothing;
        }
        node.file.drop_version();
    }

    /// Returns the text of a file as this user sees it now, drafts included.
    pub(super) async fn text_of(&self, node: &Node) -> Result<Text> {
        loop {
            let stream = match &*locked(&node.file.held) {
                Held::Clean(rendered) => return Ok(Text::Memory(rendered.bytes.clone())),
                Held::Draft(w) => return w.draft.text(),
                Held::Stream(stream) => Some(stream.clone()),
                Held::Nothing => None,
            };
            match stream {
                Some(stream) => return stream.to_draft(&self.records).await?.text(),
                None => self.fill_now(node).await?,
            }
        }
    }
}

/// Says whether trying again cannot help.
pub(super) fn is_refusal(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Denied
            | Kind::Usage
            | Kind::CredentialExpired
            | Kind::CredentialRevoked
            | Kind::Unsupported
    )
}

fn slice(bytes: &Bytes, offset: u64, len: u32) -> Bytes {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let end = start.saturating_add(len as usize).min(bytes.len());
    bytes.slice(start..end)
}
