//! Moves that take two commits in the bucket: each is noted on this workstation before the first of
//! them, and the next mount completes what a crash left half done.
//!
//! The new name comes first, so that nothing is ever without one. A note says no more than which
//! record went from where to where; what is still to be done shows in the two folders. When the
//! record, or its text, has the new name and the record the old one too, the old one goes.
//!
//! When two names change places the one that is given first is `from`.
//!
//! Bytes of a note: "CHARTMOV" | format u16 | sealed: record 16 | twice (folder: record 16 | birth
//! 16 | policy 32 | patient (short) | name (short)), from and to | when they change places: the record
//! that stood at `to` 16. The key is derived from the identity key in the credential, for this note
//! alone.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::draft::Text;
use super::folder::{Edit, place_of};
use super::node::Node;
use super::sight::Seen;
use super::{Invalidation, View, locked};
use crate::error::{Error, Kind, Result};
use crate::key::aead;
use crate::key::credential::hex;
use crate::key::hash;
use crate::key::keyring::Keyring;
use crate::record::directory::{Entry, NAME_LEN_MAX_BYTES};
use crate::record::{Located, PolicyRef, RecordId};
use crate::wire::{Reader, Writer};

const MAGIC: &[u8; 8] = b"CHARTMOV";
const FORMAT: u16 = 1;
const NOTE_LEN_MAX: u64 = 2048;
const SUFFIX: &str = ".move";
/// How much of two long texts is compared at once.
const PIECE_BYTES: usize = 64 << 10;

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) folder: Located,
    policy: PolicyRef,
    pub(super) name: Vec<u8>,
}

impl Place {
    pub(super) fn of(folder: &Node, name: &[u8]) -> Result<Self> {
        let (located, policy) = place_of(folder)?;
        Ok(Self { folder: located, policy, name: name.to_vec() })
    }

    fn write(&self, w: &mut Writer) {
        w.bytes(&self.folder.record.0).bytes(&self.folder.birth.0);
        self.policy.write(w);
        w.short(&self.name);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let (record, birth) = (RecordId(r.array()?), RecordId(r.array()?));
        let policy = PolicyRef::read(r)?;
        let name = r.short(NAME_LEN_MAX_BYTES)?.to_vec();
        Ok(Self { folder: Located { birth, record }, policy, name })
    }
}

/// Which record goes from where to where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) record: RecordId,
    pub(super) from: Place,
    pub(super) to: Place,
    /// The record that goes the other way, when both names change places.
    pub(super) exchanged: Option<RecordId>,
}

impl Move {
    pub(super) fn exchanging(self, other: RecordId) -> Self {
        Self { exchanged: Some(other), ..self }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(&self.record.0);
        self.from.write(&mut w);
        self.to.write(&mut w);
        if let Some(other) = self.exchanged {
            w.bytes(&other.0);
        }
        w.into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, "a note of a move");
        let record = RecordId(r.array()?);
        let (from, to) = (Place::read(&mut r)?, Place::read(&mut r)?);
        let exchanged = if r.remaining() > 0 { Some(RecordId(r.array()?)) } else { None };
        r.finish()?;
        Ok(Self { record, from, to, exchanged })
    }
}

/// The notes of one user of one realm on this workstation.
pub struct Moves {
    folder: PathBuf,
    keyring: Arc<Keyring>,
    /// Moves that may be half done, and that nobody works on.
    left: Mutex<Vec<(String, Move)>>,
}

fn unusable(folder: &Path, e: impl std::fmt::Display) -> Error {
    let what = format!("the notes of moves in {} cannot be read or written", folder.display());
    Error::new(Kind::Internal, what).because(e)
}

impl Moves {
    /// Opens the folder of the notes, which exists. One process at a time may have it open.
    ///
    /// # Errors
    /// `Internal` when it cannot be read.
    pub fn open(folder: PathBuf, keyring: Arc<Keyring>) -> Result<Self> {
        let this = Self { folder, keyring, left: Mutex::default() };
        let files = std::fs::read_dir(&this.folder).map_err(|e| unusable(&this.folder, e))?;
        for entry in files {
            let name = entry.map_err(|e| unusable(&this.folder, e))?.file_name();
            let id = std::str::from_utf8(name.as_bytes()).ok().and_then(|n| n.strip_suffix(SUFFIX));
            let Some(id) = id else { continue };
            match this.read(id) {
                Ok(noted) => locked(&this.left).push((id.to_owned(), noted)),
                Err(error) => {
                    // Nothing was done yet when it was only half written.
                    tracing::debug!(%error, "a note of a move is dropped");
                    this.forget(id);
                }
            }
        }
        Ok(this)
    }

    fn file_of(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}{SUFFIX}"))
    }

    fn read(&self, id: &str) -> Result<Move> {
        let mut bytes = Vec::new();
        File::open(self.file_of(id))?.take(NOTE_LEN_MAX).read_to_end(&mut bytes)?;
        let mut r = Reader::new(&bytes, "a note of a move");
        if r.array::<8>()? != *MAGIC || r.u16()? != FORMAT {
            return Err(r.bad("it does not begin as one"));
        }
        let sealed = r.bytes(r.remaining())?;
        Move::from_bytes(&aead::open(&self.key(id), b"move", sealed)?)
    }

    fn key(&self, id: &str) -> crate::key::secret::Secret<32> {
        self.keyring.local_key(&format!("move {id}"))
    }

    /// Notes a move, durably; returns the name of the note.
    fn note(&self, noted: &Move) -> Result<String> {
        let id = hex(&hash::random::<16>());
        let mut w = Writer::new();
        w.bytes(MAGIC).u16(FORMAT);
        w.bytes(&aead::seal(&self.key(&id), b"move", &noted.to_bytes()));
        let mut options = File::options();
        let mut file = options.write(true).create_new(true).open(self.file_of(&id))?;
        file.write_all(w.as_bytes())?;
        file.sync_all()?;
        File::open(&self.folder)?.sync_all()?;
        Ok(id)
    }

    /// Forgets a move. When a power cut brings the note back it changes nothing.
    fn forget(&self, id: &str) {
        if let Err(error) = std::fs::remove_file(self.file_of(id)) {
            tracing::warn!(%error, "a note of a move stays");
        }
    }
}

impl View {
    /// Notes moves that take two commits there from now on, so that the next mount completes what
    /// a crash interrupts. The first place that is named stays.
    pub fn note_moves_in(&self, moves: Moves) {
        let _ = self.moves.set(Arc::new(moves));
    }

    /// Does the commits of a move, the new name first, so that a crash does not leave both names.
    pub(super) async fn as_one_move<T>(
        &self,
        noted: Move,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let bucket = self.records.realm().bucket();
        let Some(moves) = self.moves.get().filter(|_| !bucket.is_write_back()).cloned() else {
            return bucket.together(work).await;
        };
        let written = {
            let (moves, noted) = (moves.clone(), noted.clone());
            tokio::task::spawn_blocking(move || moves.note(&noted)).await
        };
        let id = match written.map_err(|e| unusable(&moves.folder, e)).flatten() {
            Ok(id) => id,
            Err(error) => {
                tracing::warn!(%error, "a crash in the middle of a move would leave two names");
                return work.await;
            }
        };
        let done = work.await;
        match &done {
            Ok(_) => moves.forget(&id),
            // It may be half done, and is looked at later.
            Err(_) => locked(&moves.left).push((id, noted)),
        }
        done
    }

    /// Completes moves that were left half done, by a crash or because the bucket did not answer.
    ///
    /// # Errors
    /// When the bucket does not answer; the rest is completed later.
    pub async fn complete_moves(&self) -> Result<()> {
        let Some(moves) = self.moves.get() else { return Ok(()) };
        let left = std::mem::take(&mut *locked(&moves.left));
        let mut result = Ok(());
        for (id, noted) in left {
            match self.complete_move(&noted).await {
                Ok(true) => moves.forget(&id),
                Ok(false) => locked(&moves.left).push((id, noted)),
                Err(e) if e.kind() == Kind::Unavailable => {
                    locked(&moves.left).push((id, noted));
                    result = Err(e);
                }
                Err(error) => {
                    tracing::warn!(%error, "a move that was interrupted cannot be completed");
                    moves.forget(&id);
                }
            }
        }
        result
    }

    /// Takes the old name away when the new one stands for the same; `false` when somebody works
    /// on the file just now.
    async fn complete_move(&self, noted: &Move) -> Result<bool> {
        if let Some(other) = noted.exchanged {
            return self.complete_exchange(noted, other).await;
        }
        let Move { record, from, to, .. } = noted;
        let node = locked(&self.tree).find(*record);
        let _work = match &node {
            Some(node) if node.file.is_open() || node.file.is_dirty() => return Ok(false),
            Some(node) => Some(node.file.work.lock().await),
            None => None,
        };
        let Some((old, policy)) = self.found_at(from).await? else { return Ok(true) };
        let Some((new, to_policy)) = self.found_at(to).await? else { return Ok(true) };
        if old.located.record != *record {
            return Ok(true);
        }
        let is_done = new.located.record == *record
            || self.have_same_text((&old, &policy), (&new, &to_policy)).await?;
        if !is_done {
            return Ok(true);
        }
        let leave = Edit::Leave { name: from.name.clone(), record: *record };
        self.edit_bare((from.folder, &policy), leave).await?;
        tracing::info!(%record, "a move that was interrupted is completed");
        let folder = locked(&self.tree).find(from.folder.record);
        if let Some(folder) = folder {
            folder.change_names();
            let (parent, name) = (folder.ino, from.name.clone());
            self.invalidate(Invalidation::Entry { parent, name });
        }
        Ok(true)
    }

    /// Returns what a name stands for in the bucket now, and the policy in force there.
    pub(super) async fn found_at(&self, place: &Place) -> Result<Option<(Entry, PolicyRef)>> {
        let Place { folder, policy, name } = place;
        let found = self.records.find(*folder, policy, name, Duration::ZERO).await?;
        Ok(found.entry.map(|entry| (entry, found.policy)))
    }

    async fn have_same_text(
        &self,
        (one, one_policy): (&Entry, &PolicyRef),
        (other, other_policy): (&Entry, &PolicyRef),
    ) -> Result<bool> {
        if one.is_directory() || other.is_directory() {
            return Ok(false);
        }
        let one = self.see(one.located, one_policy, Duration::ZERO).await?;
        let other = self.see(other.located, other_policy, Duration::ZERO).await?;
        if self.size_bytes(&one).await? != self.size_bytes(&other).await? {
            return Ok(false);
        }
        is_same(&self.text_seen(&one).await?, &self.text_seen(&other).await?)
    }

    /// Returns the text that a version of a record shows.
    pub(super) async fn text_seen(&self, seen: &Seen) -> Result<Text> {
        match seen.external() {
            Some((part, opened)) => {
                let stream = super::stream::Stream::new(part.clone(), opened.clone());
                stream.to_draft(&self.records).await?.text()
            }
            None => Ok(Text::Memory(self.render(seen).await?.bytes)),
        }
    }
}

fn is_same(one: &Text, other: &Text) -> Result<bool> {
    if let (Text::Memory(one), Text::Memory(other)) = (one, other) {
        return Ok(one == other);
    }
    let mut pieces = [vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]];
    let (len, mut at) = (one.len(), 0);
    while at < len {
        let n = usize::try_from(len - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
        for (text, piece) in [one, other].into_iter().zip(&mut pieces) {
            text.read_at(at, &mut piece[..n])?;
        }
        if pieces[0][..n] != pieces[1][..n] {
            return Ok(false);
        }
        at += n as u64;
    }
    Ok(len == other.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::credential::Credential;

    fn moves(folder: &Path, credential: &[u8]) -> Moves {
        let keyring = Keyring::new(Credential::from_bytes(credential).unwrap()).unwrap();
        Moves::open(folder.to_owned(), Arc::new(keyring)).unwrap()
    }

    fn place(name: &[u8]) -> Place {
        let folder = Located { birth: RecordId([1; 16]), record: RecordId([2; 16]) };
        let patient = Some("ana".parse().unwrap());
        Place { folder, policy: PolicyRef { hash: [3; 32], patient }, name: name.to_vec() }
    }

    #[test]
    fn a_note_outlives_the_process_and_tells_nobody_else_anything() {
        let dir = tempfile::tempdir().unwrap();
        let author = Credential::new("author", [7; 32]).to_bytes();
        let other = Credential::new("other", [7; 32]).to_bytes();
        let noted = Move {
            record: RecordId([9; 16]),
            from: place(b"a secret name"),
            to: place(&[b'x'; NAME_LEN_MAX_BYTES]),
            exchanged: None,
        };
        let exchange = noted.clone().exchanging(RecordId([8; 16]));
        assert_eq!(Move::from_bytes(&exchange.to_bytes()).unwrap(), exchange);
        let id = moves(dir.path(), &author).note(&noted).unwrap();
        let again = moves(dir.path(), &author);
        assert_eq!(*locked(&again.left), [(id.clone(), noted.clone())]);
        let stored = std::fs::read(again.file_of(&id)).unwrap();
        for clear in [&b"secret name"[..], b"ana"] {
            assert!(!stored.windows(clear.len()).any(|w| w == clear));
        }
        for len in 0..stored.len() {
            std::fs::write(again.file_of(&id), &stored[..len]).unwrap();
            assert!(again.read(&id).is_err(), "{len} bytes");
        }
        for bit in 0..stored.len() * 8 {
            let mut bad = stored.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(again.file_of(&id), bad).unwrap();
            assert!(again.read(&id).is_err(), "bit {bit}");
        }
        std::fs::write(again.file_of(&id), &stored).unwrap();
        assert!(moves(dir.path(), &other).left.into_inner().unwrap().is_empty());
        assert!(!again.file_of(&id).exists(), "what cannot be read is of no use");
    }

    #[test]
    fn long_texts_are_compared_whole() {
        let mut draft = super::super::draft::Draft::of(&vec![7; 3 * PIECE_BYTES]);
        draft.leave_memory().unwrap();
        let long = draft.text().unwrap();
        assert!(is_same(&long, &Text::Memory(vec![7; 3 * PIECE_BYTES].into())).unwrap());
        let mut last = vec![7; 3 * PIECE_BYTES];
        *last.last_mut().unwrap() = 8;
        assert!(!is_same(&long, &Text::Memory(last.into())).unwrap());
        assert!(!is_same(&long, &Text::Memory(vec![7; PIECE_BYTES].into())).unwrap());
    }
}
