//! The drive by paths, for commands that need no mount.

use std::sync::Arc;

use bytes::Bytes;

use super::draft::{Draft, Text};
use super::node::Node;
use super::{Access, Attr, DirEntry, Ino, NodeKind, View, locked};
use crate::error::{Error, Kind, Result};
use crate::record::external::BodySource;

/// How much is handed on at once.
const PIECE_BYTES: u32 = 1 << 20;

/// What writing a file did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is new.
    Created,
    /// It has another text now.
    Changed,
    /// It had this text already.
    Same,
}

impl View {
    /// Finds what a path stands for; empty parts and a leading slash are skipped.
    ///
    /// # Errors
    /// `NotFound` when a name of it does not exist or is closed to the user.
    pub async fn resolve(&self, path: &str) -> Result<Attr> {
        let mut ino = Ino::ROOT;
        for name in path.split('/').filter(|n| !n.is_empty() && *n != ".") {
            ino = self.child(ino, name.as_bytes()).await.map_err(|e| at_path(e, path))?.ino;
        }
        self.attr(ino, None).await
    }

    /// Lists a folder by its path.
    ///
    /// # Errors
    /// As [`View::resolve`] and [`View::list`].
    pub async fn list_path(&self, path: &str) -> Result<Vec<DirEntry>> {
        let attr = self.resolve(path).await?;
        let handle = self.open_dir(attr.ino).await?;
        let entries = self.list(handle, 0).await;
        self.release_dir(handle);
        Ok(entries?.to_vec())
    }

    /// Reads a file by its path, piece by piece.
    ///
    /// # Errors
    /// As [`View::open`] and [`View::read`]; whatever `take` returns.
    pub async fn read_path(
        &self,
        path: &str,
        mut take: impl FnMut(Bytes) -> Result<()>,
    ) -> Result<()> {
        let attr = self.resolve(path).await?;
        let opened = self.open(attr.ino, Access { read: true, ..Access::default() }).await?;
        let mut at = 0;
        let result = loop {
            match self.read(opened.handle, at, PIECE_BYTES).await {
                Ok(bytes) if bytes.is_empty() => break Ok(()),
                Ok(bytes) => {
                    at += bytes.len() as u64;
                    if let Err(e) = take(bytes) {
                        break Err(e);
                    }
                }
                Err(e) => break Err(e),
            }
        };
        self.release(opened.handle).await;
        result
    }

    /// Makes every folder of a path that is not there yet; returns the last one.
    ///
    /// # Errors
    /// As [`View::make_dir`]; `NotDirectory` when a name of it is a file's.
    pub async fn make_path(&self, path: &str) -> Result<Ino> {
        let mut ino = Ino::ROOT;
        for name in path.split('/').filter(|n| !n.is_empty() && *n != ".") {
            let attr = match self.lookup(ino, name.as_bytes()).await {
                Err(e) if e.kind() == Kind::NotFound => {
                    self.make_dir(ino, name.as_bytes(), 0o700).await?
                }
                other => other?,
            };
            if attr.kind != NodeKind::Directory {
                return Err(Error::new(Kind::NotDirectory, "a name of the path is a file's"));
            }
            ino = attr.ino;
        }
        Ok(ino)
    }

    /// Writes a whole file under a name; a file that has this text already is left alone.
    ///
    /// # Errors
    /// As [`View::create`] and [`View::flush`]; then the last good version stays.
    pub async fn write_path(
        &self,
        parent: Ino,
        name: &[u8],
        mut source: impl std::io::Read,
    ) -> Result<Saved> {
        let mut draft = Draft::of(b"");
        let mut piece = vec![0; PIECE_BYTES as usize];
        loop {
            let n = source.read(&mut piece)?;
            if n == 0 {
                break;
            }
            draft.write(draft.len(), &piece[..n])?;
        }
        self.store_text(parent, name, &draft.text()?).await
    }

    /// Saves a whole text under a name, as a program does.
    pub(super) async fn store_text(&self, parent: Ino, name: &[u8], text: &Text) -> Result<Saved> {
        let is_new = match self.child(parent, name).await {
            Ok(node) => {
                let is_same = self.has_text(&node, text).await;
                self.let_go(node);
                if is_same? {
                    return Ok(Saved::Same);
                }
                false
            }
            Err(e) if e.kind() == Kind::NotFound => true,
            Err(e) => return Err(e),
        };
        let (_, opened) = self.create(parent, name, false, 0o600).await?;
        let written = self.write_text(opened.handle, text).await;
        let flushed = match written {
            Ok(()) => self.fsync(opened.handle).await,
            Err(e) => Err(e),
        };
        self.release(opened.handle).await;
        flushed.map(|()| if is_new { Saved::Created } else { Saved::Changed })
    }

    /// Forgets the text of a file that was looked at, unless somebody uses it: many are looked at,
    /// one after the other.
    pub(super) fn let_go(&self, node: Arc<Node>) {
        if !node.file.is_busy() && node.stands().is_record() {
            node.file.forget_text();
        }
        let ino = node.ino;
        drop(node);
        locked(&self.tree).drop_unneeded(ino);
    }

    async fn write_text(&self, handle: super::Handle, text: &Text) -> Result<()> {
        self.truncate(handle).await?;
        let mut at = 0;
        while at < text.len() {
            let piece = piece_of(text, at)?;
            let n = piece.len() as u64;
            self.write(handle, at, piece).await?;
            at += n;
        }
        Ok(())
    }

    pub(super) async fn has_text(&self, node: &Node, text: &Text) -> Result<bool> {
        if self.attr_of(node).await?.size_bytes != text.len() {
            return Ok(false);
        }
        let now = self.text_of(node).await?;
        let mut at = 0;
        while at < text.len() {
            let piece = piece_of(text, at)?;
            if piece_of(&now, at)? != piece {
                return Ok(false);
            }
            at += piece.len() as u64;
        }
        Ok(true)
    }
}

fn piece_of(text: &Text, at: u64) -> Result<Bytes> {
    let len = u64::from(PIECE_BYTES).min(text.len() - at);
    let len = usize::try_from(len).expect("a piece is one MiB at most");
    match text {
        Text::Memory(bytes) => {
            let start = usize::try_from(at).expect("a text in memory");
            Ok(bytes.slice(start..start + len))
        }
        Text::Spool(spool) => {
            let mut out = vec![0; len];
            spool.read_at(at, &mut out)?;
            Ok(out.into())
        }
    }
}

/// Says which path was meant; the error of one name does not know it. The path goes to whoever
/// typed it, not to a log.
fn at_path(e: Error, path: &str) -> Error {
    if e.kind() == Kind::NotFound {
        Error::new(Kind::NotFound, format!("no such file or folder: {path}"))
    } else {
        e
    }
}
