//! Proven records in memory: a bounded number of bytes, those used longest ago go first.

use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use lru::LruCache;

use super::head::Part;
use super::open::Opened;
use super::statement::{Statement, StatementEntry};
use super::{Record, RecordId};
use crate::key::wrap::Wrap;

/// How many proven records are kept in memory, at most.
pub(crate) const RECORDS_MAX: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");
/// How many bytes of proven records are kept in memory, at most.
const RECORDS_MAX_BYTES: usize = 64 << 20;
/// What a record takes beside what is counted one by one: names, hashes, who committed it, and the
/// places in the tables that it stands in.
const RECORD_BYTES: usize = 1024;
/// What an opened part takes beside itself: its keys, and its place in the table.
const OPENED_BYTES: usize = 320;
/// How much longer a decoded table of names is than its sealed bytes, at most.
const TABLE_FACTOR: usize = 6;

struct Kept {
    seen: Instant,
    record: Arc<Record>,
    /// What was counted for it: it grows as it is opened.
    bytes: usize,
}

/// Records by their names.
pub(super) struct Cache {
    records: LruCache<RecordId, Kept>,
    bytes: usize,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self { records: LruCache::new(RECORDS_MAX), bytes: 0 }
    }

    /// Returns a record, and when the bucket said last that it is the newest.
    pub(super) fn get(&mut self, id: RecordId) -> Option<(Instant, Arc<Record>)> {
        self.records.get(&id).map(|kept| (kept.seen, kept.record.clone()))
    }

    /// Keeps a record that was just seen, unless a newer version came first.
    pub(super) fn keep(&mut self, record: Arc<Record>) {
        let id = record.located.record;
        let known = self.records.peek(&id);
        if known.is_some_and(|kept| kept.record.version() > record.version()) {
            return;
        }
        let bytes = record.memory_bytes();
        self.bytes += bytes;
        let kept = Kept { seen: Instant::now(), record, bytes };
        if let Some((_, old)) = self.records.push(id, kept) {
            self.bytes -= old.bytes;
        }
        self.shorten();
    }

    /// Counts a record again, of which something was opened since.
    pub(super) fn recount(&mut self, id: RecordId) {
        let Some(kept) = self.records.peek_mut(&id) else { return };
        let bytes = kept.record.memory_bytes();
        self.bytes = self.bytes + bytes - kept.bytes;
        kept.bytes = bytes;
        self.shorten();
    }

    pub(super) fn forget(&mut self, id: RecordId) {
        if let Some(old) = self.records.pop(&id) {
            self.bytes -= old.bytes;
        }
    }

    fn shorten(&mut self) {
        while self.bytes > RECORDS_MAX_BYTES && self.records.len() > 1 {
            if let Some((_, old)) = self.records.pop_lru() {
                self.bytes -= old.bytes;
            }
        }
    }
}

impl Record {
    /// Returns about how many bytes of memory the record takes, as far as it is opened.
    fn memory_bytes(&self) -> usize {
        let parts = self.head.slots.iter().flat_map(|s| &s.parts);
        let of_part = |p: &Part| size_of::<Part>() + p.wraps.len() * size_of::<Wrap>();
        let statements = self.head.statements.iter().chain([&self.statement]);
        let of_statement = |s: &Statement| {
            size_of::<Statement>()
                + s.certificates.len() * size_of::<[u8; 32]>()
                + s.entries.len() * size_of::<StatementEntry>()
        };
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let of_opened = |o: &Arc<Opened>| {
            size_of::<Opened>() + OPENED_BYTES + o.chunk_hashes.get().map_or(0, Vec::len)
        };
        let table = if self.names.initialized() { TABLE_FACTOR * self.region.len() } else { 0 };
        RECORD_BYTES
            + self.region.len()
            + parts.map(of_part).sum::<usize>()
            + statements.map(of_statement).sum::<usize>()
            + opened.values().map(of_opened).sum::<usize>()
            + table
    }
}
