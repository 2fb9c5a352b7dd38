//! Text that is being written and not committed yet: in memory while it is short, else in a file
//! without a name, encrypted under a key that dies with the process.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::locked;
use crate::error::{Error, Kind, Result};
use crate::key::aead::{self, SEAL_OVERHEAD_BYTES};
use crate::key::secret::Secret;
use crate::record::external::BodySource;

/// A longer draft goes to a file.
pub(super) const MEMORY_MAX_BYTES: u64 = 32 << 20;
/// A longer text of a file that is closed and stays here goes to a file too.
const KEPT_MAX_BYTES: u64 = 64 << 10;
/// The longest file: what one section holds.
pub(super) const FILE_MAX_BYTES: u64 = 60 << 30;
const CHUNK_BYTES: u64 = 64 << 10;
const SEALED_BYTES: u64 = CHUNK_BYTES + SEAL_OVERHEAD_BYTES as u64;

/// The text of a draft at one moment.
#[derive(Clone)]
pub(super) enum Text {
    Memory(Bytes),
    Spool(Arc<Spool>),
}

impl Text {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Spool(spool) => spool.len_bytes(),
        }
    }

    /// Reads a part that is there.
    pub(super) fn read_at(&self, at: u64, out: &mut [u8]) -> Result<()> {
        match self {
            Self::Memory(bytes) => {
                let at = usize::try_from(at).expect("a text in memory");
                out.copy_from_slice(&bytes[at..at + out.len()]);
                Ok(())
            }
            Self::Spool(spool) => spool.read_at(at, out),
        }
    }
}

/// Text that is being written.
pub(super) enum Draft {
    Memory(Vec<u8>),
    Spool(Arc<Spool>),
}

impl Draft {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self::Memory(bytes.to_vec())
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Spool(spool) => spool.len_bytes(),
        }
    }

    /// Returns the text as it is now: in memory when it is short enough to be cut. A spooled text
    /// is shared: whoever commits it holds the file's work lock, which every writer of a spooled
    /// text takes too.
    pub(super) fn text(&self) -> Result<Text> {
        match self {
            Self::Spool(spool) if self.len() > MEMORY_MAX_BYTES => Ok(Text::Spool(spool.clone())),
            _ => Ok(Text::Memory(self.read(0, index(self.len()))?)),
        }
    }

    pub(super) fn is_spooled(&self) -> bool {
        matches!(self, Self::Spool(_))
    }

    pub(super) fn read(&self, offset: u64, len: usize) -> Result<Bytes> {
        let start = offset.min(self.len());
        let end = (start + len as u64).min(self.len());
        match self {
            Self::Memory(bytes) => Ok(Bytes::copy_from_slice(&bytes[index(start)..index(end)])),
            Self::Spool(spool) => {
                let mut out = vec![0; index(end - start)];
                spool.read_at(start, &mut out)?;
                Ok(out.into())
            }
        }
    }

    /// Writes at an offset; a hole before it reads as zeros.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let end = offset.saturating_add(data.len() as u64);
        check_len(end)?;
        self.spool_beyond(end)?;
        match self {
            Self::Memory(bytes) => {
                if bytes.len() < index(end) {
                    bytes.resize(index(end), 0);
                }
                bytes[index(offset)..index(end)].copy_from_slice(data);
                Ok(())
            }
            Self::Spool(spool) => spool.write_at(offset, data),
        }
    }

    pub(super) fn set_len(&mut self, len: u64) -> Result<()> {
        check_len(len)?;
        self.spool_beyond(len)?;
        match self {
            Self::Memory(bytes) => {
                bytes.resize(index(len), 0);
                Ok(())
            }
            Self::Spool(spool) => spool.set_len(len),
        }
    }

    /// Moves a text that is to be kept for long out of memory, unless it is short.
    pub(super) fn leave_memory(&mut self) -> Result<()> {
        if self.len() > KEPT_MAX_BYTES { self.spool() } else { Ok(()) }
    }

    fn spool(&mut self) -> Result<()> {
        if let Self::Memory(bytes) = self {
            let spool = Spool::new()?;
            spool.write_at(0, bytes)?;
            *self = Self::Spool(Arc::new(spool));
        }
        Ok(())
    }

    fn spool_beyond(&mut self, len: u64) -> Result<()> {
        if len > MEMORY_MAX_BYTES { self.spool() } else { Ok(()) }
    }
}

fn check_len(len: u64) -> Result<()> {
    if len > FILE_MAX_BYTES {
        return Err(Error::new(Kind::NoSpace, "the file is too long")
            .because("a file holds at most 60 GiB"));
    }
    Ok(())
}

fn index(n: u64) -> usize {
    usize::try_from(n).expect("a text in memory has its length in memory")
}

/// A long text in an encrypted file without a name.
pub(super) struct Spool {
    file: File,
    key: Secret<32>,
    state: Mutex<SpoolState>,
}

#[derive(Default)]
struct SpoolState {
    len: u64,
    /// Which chunks are in the file; the others are zeros.
    stored: Vec<bool>,
    /// The chunk that was written last, not in the file yet when dirty.
    current: Option<(u64, Vec<u8>)>,
    is_dirty: bool,
}

impl Spool {
    pub(super) fn new() -> Result<Self> {
        let file = tempfile::tempfile()?;
        Ok(Self { file, key: Secret::random(), state: Mutex::default() })
    }

    fn load(&self, state: &mut SpoolState, chunk: u64) -> Result<()> {
        if state.current.as_ref().is_some_and(|(at, _)| *at == chunk) {
            return Ok(());
        }
        self.store_current(state)?;
        state.current = Some((chunk, self.fetch(state, chunk)?));
        Ok(())
    }

    fn fetch(&self, state: &SpoolState, chunk: u64) -> Result<Vec<u8>> {
        if !state.stored.get(index(chunk)).copied().unwrap_or(false) {
            return Ok(vec![0; index(CHUNK_BYTES)]);
        }
        let mut sealed = vec![0; index(SEALED_BYTES)];
        self.file.read_exact_at(&mut sealed, chunk * SEALED_BYTES)?;
        aead::open(&self.key, &chunk.to_le_bytes(), &sealed)
    }

    fn store_current(&self, state: &mut SpoolState) -> Result<()> {
        if !state.is_dirty {
            return Ok(());
        }
        if let Some((chunk, text)) = &state.current {
            let sealed = aead::seal(&self.key, &chunk.to_le_bytes(), text);
            self.file.write_all_at(&sealed, chunk * SEALED_BYTES)?;
            let at = index(*chunk);
            if state.stored.len() <= at {
                state.stored.resize(at + 1, false);
            }
            state.stored[at] = true;
        }
        state.is_dirty = false;
        Ok(())
    }

    pub(super) fn write_at(&self, offset: u64, mut data: &[u8]) -> Result<()> {
        let mut state = locked(&self.state);
        let mut at = offset;
        while !data.is_empty() {
            let (chunk, within) = (at / CHUNK_BYTES, index(at % CHUNK_BYTES));
            let n = data.len().min(index(CHUNK_BYTES) - within);
            self.load(&mut state, chunk)?;
            if let Some((_, text)) = &mut state.current {
                text[within..within + n].copy_from_slice(&data[..n]);
            }
            state.is_dirty = true;
            data = &data[n..];
            at += n as u64;
        }
        state.len = state.len.max(at);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut state = locked(&self.state);
        if len < state.len {
            let (chunk, within) = (len / CHUNK_BYTES, index(len % CHUNK_BYTES));
            self.load(&mut state, chunk)?;
            if let Some((_, text)) = &mut state.current {
                text[within..].fill(0);
            }
            state.is_dirty = true;
            state.stored.truncate(index(chunk) + 1);
        }
        state.len = len;
        Ok(())
    }
}

impl BodySource for Spool {
    fn len_bytes(&self) -> u64 {
        locked(&self.state).len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let mut state = locked(&self.state);
        let mut at = offset;
        let mut rest = out;
        while !rest.is_empty() {
            let (chunk, within) = (at / CHUNK_BYTES, index(at % CHUNK_BYTES));
            let n = rest.len().min(index(CHUNK_BYTES) - within);
            self.load(&mut state, chunk)?;
            if let Some((_, text)) = &state.current {
                rest[..n].copy_from_slice(&text[within..within + n]);
            }
            rest = &mut rest[n..];
            at += n as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Write(u64, Vec<u8>),
        SetLen(u64),
        Read(u64, usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let data = prop::collection::vec(any::<u8>(), 1..300);
        prop_oneof![
            (0u64..300_000, data).prop_map(|(at, data)| Op::Write(at, data)),
            (0u64..300_000).prop_map(Op::SetLen),
            (0u64..300_000, 1usize..100_000).prop_map(|(at, n)| Op::Read(at, n)),
        ]
    }

    proptest! {
        #[test]
        fn a_spool_is_a_vector_of_bytes(ops in prop::collection::vec(op(), 1..30)) {
            let mut spooled = Draft::Spool(Arc::new(Spool::new().unwrap()));
            let mut model = Draft::of(b"");
            for op in ops {
                match op {
                    Op::Write(at, data) => {
                        spooled.write(at, &data).unwrap();
                        model.write(at, &data).unwrap();
                    }
                    Op::SetLen(n) => {
                        spooled.set_len(n).unwrap();
                        model.set_len(n).unwrap();
                    }
                    Op::Read(at, n) => {
                        prop_assert_eq!(spooled.read(at, n).unwrap(), model.read(at, n).unwrap());
                    }
                }
                prop_assert_eq!(spooled.len(), model.len());
            }
        }
    }

    #[test]
    fn a_text_without_end_is_refused_before_it_is_made() {
        let mut draft = Draft::of(b"x");
        assert!(draft.set_len(u64::MAX).is_err_and(|e| e.kind() == Kind::NoSpace));
        assert!(draft.write(u64::MAX - 1, b"x").is_err());
    }
}
