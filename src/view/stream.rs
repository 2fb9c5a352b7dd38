//! Reading a long opaque file by ranges, with a window that grows while it is read in order.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;

use super::draft::Draft;
use crate::error::Result;
use crate::record::head::Part;
use crate::record::{Opened, Records};

/// What is fetched at first, and whenever a read jumps.
const WINDOW_MIN_BYTES: u64 = 128 << 10;
/// What the window grows to: large enough to hide a round trip, small enough for many files.
const WINDOW_MAX_BYTES: u64 = 8 << 20;

/// A long file that is open for reading.
pub(super) struct Stream {
    part: Part,
    opened: Arc<Opened>,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    start: u64,
    bytes: Bytes,
    next_len: u64,
}

impl Window {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Returns what the window has from `offset` on, at most `len` bytes.
    fn get(&self, offset: u64, len: u64) -> Option<Bytes> {
        if offset < self.start || offset >= self.end() {
            return None;
        }
        let start = usize::try_from(offset - self.start).ok()?;
        let end = usize::try_from((offset + len).min(self.end()) - self.start).ok()?;
        Some(self.bytes.slice(start..end))
    }
}

impl Stream {
    pub(super) fn new(part: Part, opened: Arc<Opened>) -> Self {
        Self { part, opened, window: Mutex::default() }
    }

    pub(super) fn len(&self) -> u64 {
        self.opened.meta.body_len
    }

    /// Reads bytes; fewer than asked for only at the end.
    pub(super) async fn read(&self, records: &Records, offset: u64, len: u32) -> Result<Bytes> {
        let end = (offset + u64::from(len)).min(self.len());
        if offset >= end {
            return Ok(Bytes::new());
        }
        let wanted = end - offset;
        // Readers of one file take turns; readers of others do not wait.
        let mut window = self.window.lock().await;
        if let Some(bytes) = window.get(offset, wanted).filter(|b| b.len() as u64 == wanted) {
            return Ok(bytes);
        }
        let follows = offset >= window.start && offset <= window.end() && window.next_len > 0;
        let fetch_len = if follows { window.next_len } else { WINDOW_MIN_BYTES };
        // What the window holds of the wanted bytes is not fetched again.
        let head = if follows { window.get(offset, wanted) } else { None }.unwrap_or_default();
        let start = offset + head.len() as u64;
        let fetched = self.fetch(records, start..(start + fetch_len.max(end - start))).await?;
        let mut bytes = Vec::with_capacity(head.len() + fetched.len());
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&fetched);
        let bytes = Bytes::from(bytes);
        let answer =
            bytes.slice(..usize::try_from(wanted).expect("a read asks for 32-bit lengths"));
        let next_len = (fetch_len * 2).min(WINDOW_MAX_BYTES);
        *window = Window { start: offset, bytes, next_len };
        Ok(answer)
    }

    async fn fetch(&self, records: &Records, range: std::ops::Range<u64>) -> Result<Vec<u8>> {
        records.read_external(&self.part, &self.opened, range).await
    }

    /// Copies the whole file into a draft.
    pub(super) async fn to_draft(&self, records: &Records) -> Result<Draft> {
        let mut draft = Draft::of(b"");
        let mut at = 0;
        while at < self.len() {
            let piece = self.fetch(records, at..at + WINDOW_MAX_BYTES).await?;
            draft.write(at, &piece)?;
            at += piece.len() as u64;
        }
        Ok(draft)
    }
}
