//! Commits whose answer was lost: the next save must not take its own writer for somebody else.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

use super::{Record, Records};

/// How many commits of unknown outcome are remembered.
const TRIED_MAX: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");
/// How many of them in a row are followed back.
const CHAIN_MAX: usize = 64;

/// The objects that were tried, each with the object that it was based on.
pub(super) struct Tried(Mutex<LruCache<[u8; 32], [u8; 32]>>);

impl Default for Tried {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(TRIED_MAX)))
    }
}

impl Records {
    /// Remembers a commit on top of `base` of which it is not known whether it happened.
    pub(super) fn note_tried(&self, base: &Record, object_hash: [u8; 32]) {
        let mut tried = self.tried.0.lock().unwrap_or_else(PoisonError::into_inner);
        tried.put(object_hash, base.object_hash);
    }

    /// Says whether all that lies between `base` and `record` are commits of this workstation whose
    /// answers were lost: then `record` is what its own saves made of `base`, and nobody else's.
    pub fn was_tried(&self, base: &Record, record: &Record) -> bool {
        let mut tried = self.tried.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = record.object_hash;
        for _ in 0..CHAIN_MAX {
            match tried.get(&at) {
                Some(before) if *before == base.object_hash => return true,
                Some(before) => at = *before,
                None => return false,
            }
        }
        false
    }
}
