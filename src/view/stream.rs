//! Reading a long opaque file by ranges, with a window that grows while it is read in order.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard};

use super::draft::Draft;
use crate::error::Result;
use crate::record::external::CHUNK_BYTES;
use crate::record::head::Part;
use crate::record::{Opened, Records};

/// What is fetched when a second read follows a first.
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

    /// Returns the bytes from `offset` to `end`, when the window has all of them.
    fn get(&self, offset: u64, end: u64) -> Option<Bytes> {
        if offset < self.start || offset >= end || end > self.end() {
            return None;
        }
        let at = |n: u64| usize::try_from(n - self.start).ok();
        Some(self.bytes.slice(at(offset)?..at(end)?))
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
        // Reads in order take turns: the next of them finds in the window what the one before
        // fetched. A read that jumps waits for nobody.
        let window = self.window.lock().await;
        if let Some(bytes) = window.get(offset, end) {
            return Ok(bytes);
        }
        let follows = window.next_len > 0 && (window.start..=window.end()).contains(&offset);
        if follows {
            return self.read_on(records, window, offset, end).await;
        }
        drop(window);
        let start = offset - offset % CHUNK_BYTES;
        let bytes =
            Bytes::from(self.fetch(records, start..end.next_multiple_of(CHUNK_BYTES)).await?);
        let fetched = Window { start, bytes, next_len: WINDOW_MIN_BYTES };
        let answer = fetched.get(offset, end).unwrap_or_default();
        *self.window.lock().await = fetched;
        Ok(answer)
    }

    /// Reads on where the window ends, and lets it grow.
    async fn read_on(
        &self,
        records: &Records,
        mut window: MutexGuard<'_, Window>,
        offset: u64,
        end: u64,
    ) -> Result<Bytes> {
        // What the window holds of the wanted bytes is not fetched again.
        let head = window.get(offset, window.end()).unwrap_or_default();
        let start = offset + head.len() as u64;
        let until = (start + window.next_len.max(end - start)).next_multiple_of(CHUNK_BYTES);
        let fetched = self.fetch(records, start..until).await?;
        let bytes = if head.is_empty() { fetched } else { [&head[..], &fetched].concat() };
        let next_len = (window.next_len * 2).min(WINDOW_MAX_BYTES);
        *window = Window { start: offset, bytes: bytes.into(), next_len };
        Ok(window.get(offset, end).unwrap_or_default())
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
