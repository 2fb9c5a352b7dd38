//! Reading what is here: readers see every write at once, whether it is on the disk yet or not.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::super::backend::{Fetched, Object, PART_LEN_BYTES, Version, over_limit};
use super::super::name::ObjectName;
use super::file::Entry;
use super::{Journal, Reading, lost};
use crate::error::Result;

impl Journal {
    /// Says how an object is to be read.
    pub(in super::super) fn read(
        &self,
        name: &ObjectName,
        unless: Option<&Version>,
        limit_bytes: u64,
    ) -> Result<Reading> {
        let pending = unless.and_then(|v| v.pending);
        loop {
            let (seq, entry, parts) = {
                let queue = self.lock();
                let Some(latest) = queue.latest(name) else {
                    // Even when the bucket has the same bytes, their version is a new one to
                    // whoever knows only that of the journal.
                    return Ok(Reading::Ask(unless.filter(|_| pending.is_none()).cloned()));
                };
                if pending == Some(latest.seq) {
                    return Ok(Reading::Answer(Fetched::Unchanged));
                }
                let entry = queue.entry(latest.seq).cloned().ok_or_else(|| lost(name))?;
                (latest.seq, entry, queue.parts(latest.seq))
            };
            if entry.size_bytes > limit_bytes {
                return Err(over_limit(name, entry.size_bytes, limit_bytes));
            }
            let bytes = match parts {
                Some(parts) if parts.len() == entry.parts as usize => Ok(joined(parts)),
                // A long one is on the disk before its entry.
                _ => self.bytes_of(seq, &entry),
            };
            match bytes {
                Ok(bytes) => {
                    let version = Version::in_journal(seq);
                    return Ok(Reading::Answer(Fetched::Changed(Object { bytes, version })));
                }
                // It was sent, or replaced, since.
                Err(_) if self.lock().latest(name).is_none_or(|l| l.seq != seq) => {}
                Err(e) => return Err(e),
            }
        }
    }

    pub(super) fn bytes_of(&self, seq: u64, entry: &Entry) -> Result<Bytes> {
        let parts = (0..entry.parts).map(|index| self.file.part(seq, index));
        Ok(joined(parts.collect::<Result<Vec<_>>>()?))
    }

    /// Reads a range of an object that is here; `None` when it is not.
    pub(in super::super) fn read_range(
        &self,
        name: &ObjectName,
        range: Range<u64>,
    ) -> Result<Option<Bytes>> {
        let (seq, entry) = {
            let queue = self.lock();
            let Some(latest) = queue.latest(name) else { return Ok(None) };
            (latest.seq, queue.entry(latest.seq).cloned().ok_or_else(|| lost(name))?)
        };
        if range.end > entry.size_bytes {
            return Err(super::super::backend::wrong_length(name, &range));
        }
        let mut out = BytesMut::new();
        let mut at = range.start;
        while at < range.end {
            let index = u32::try_from(at / PART_LEN_BYTES as u64).map_err(|_| lost(name))?;
            let Ok(part) = self.part_of(seq, index) else {
                // It was sent since.
                return if self.lock().latest(name).is_none() { Ok(None) } else { Err(lost(name)) };
            };
            let from = index_of(at % PART_LEN_BYTES as u64);
            let want = index_of(range.end - at).min(part.len().saturating_sub(from));
            if want == 0 {
                return Err(lost(name));
            }
            out.extend_from_slice(&part[from..from + want]);
            at += want as u64;
        }
        Ok(Some(out.freeze()))
    }

    fn part_of(&self, seq: u64, index: u32) -> Result<Bytes> {
        let parts = self.lock().parts(seq);
        match parts.as_ref().and_then(|parts| parts.get(index as usize)) {
            Some(part) => Ok(part.clone()),
            None => self.file.part(seq, index),
        }
    }
}

fn joined(parts: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(parts) {
        Ok([whole]) => whole,
        Err(parts) => parts.concat().into(),
    }
}

fn index_of(n: u64) -> usize {
    usize::try_from(n).expect("offsets within a part fit in memory")
}
