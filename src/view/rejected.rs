//! Texts that were saved and are not in the bucket: refused by the policy or the format, or not
//! committed because the bucket could not be reached. Each is kept sealed in a file of its own in
//! the state directory of its author, so that commands can read it beside a running mount, and it
//! outlives the mount and the machine.
//!
//! Bytes: "CHARTREJ" | format u16 | header length u32 | sealed header | sealed pieces of 64 KiB, the
//! last one shorter, at least one. Header: time_unix_ns i64 | length u64 | path (long) | reason
//! (long). The key is derived from the identity key in the credential, for this file alone; what is
//! sealed is bound to "header", or to "piece", its number u64 and whether it is the last u8.

use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::draft::Text;
use super::{Time, locked};
use crate::clock::now_unix_ns;
use crate::error::{Error, Kind, Result};
use crate::key::aead::{self, SEAL_OVERHEAD_BYTES};
use crate::key::hash;
use crate::key::keyring::Keyring;
use crate::key::secret::Secret;
use crate::wire::{Reader, Writer};

/// The most texts that are kept.
pub const TEXTS_MAX: usize = 1000;
/// The most bytes that they have together.
pub const TEXTS_LEN_MAX_BYTES: u64 = 4 << 30;

const MAGIC: &[u8; 8] = b"CHARTREJ";
const FORMAT: u16 = 1;
const PRELUDE_LEN: usize = 14;
/// A path of 256 names and a reason of some lines.
const HEADER_LEN_MAX: usize = 128 << 10;
const REASON_LEN_MAX: usize = 4096;
const PIECE_BYTES: usize = 64 << 10;
const SUFFIX: &str = ".text";

/// One text that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedText {
    /// Names it in commands.
    pub id: String,
    /// When it was saved.
    pub time: Time,
    /// Where it was saved, as a path of the drive.
    pub path: Vec<u8>,
    /// How long it is.
    pub size_bytes: u64,
    /// Why it is not in the bucket.
    pub reason: String,
}

/// The texts that are kept for one user of one realm on this workstation.
pub struct RejectedTexts {
    folder: PathBuf,
    keyring: Arc<Keyring>,
    /// One is added at a time, so that the limits hold.
    adding: Mutex<()>,
}

fn full(because: String) -> Error {
    Error::new(Kind::NoSpace, "the text cannot be kept: too many rejected texts are")
        .because(because)
        .hint("chartfs rejected list; chartfs rejected drop ID")
}

fn unreadable(folder: &Path, e: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("cannot read the rejected texts in {}", folder.display()))
        .because(e)
}

impl RejectedTexts {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// `Internal` when it cannot be made.
    pub fn open(folder: PathBuf, keyring: Arc<Keyring>) -> Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|e| unreadable(&folder, e))?;
        Ok(Self { folder, keyring, adding: Mutex::default() })
    }

    fn file_of(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}{SUFFIX}"))
    }

    fn key(&self, id: &str) -> Secret<32> {
        self.keyring.local_key(&format!("rejected {id}"))
    }

    /// Returns the identifiers of all texts and the bytes of their files, the oldest first.
    fn files(&self) -> Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(|e| unreadable(&self.folder, e))? {
            let entry = entry.map_err(|e| unreadable(&self.folder, e))?;
            let name = entry.file_name();
            let id = std::str::from_utf8(name.as_bytes()).ok().and_then(|n| n.strip_suffix(SUFFIX));
            if let Some(id) = id.filter(|id| is_id(id)) {
                let len = entry.metadata().map_or(0, |m| m.len());
                files.push((id.to_owned(), len));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Keeps a text, durably; returns its identifier. None that is kept already goes for it.
    ///
    /// # Errors
    /// `NoSpace` when too many texts are kept, or the disk is full.
    pub(super) fn add(&self, path: &[u8], reason: &str, text: &Text) -> Result<String> {
        let _turn = locked(&self.adding);
        let files = self.files()?;
        let sum: u64 = files.iter().map(|(_, len)| len).sum();
        if files.len() >= TEXTS_MAX {
            return Err(full(format!("{TEXTS_MAX} texts are kept")));
        }
        if sum.saturating_add(text.len()) > TEXTS_LEN_MAX_BYTES {
            return Err(full(format!("{sum} bytes are kept, of at most {TEXTS_LEN_MAX_BYTES}")));
        }
        let now = now_unix_ns();
        let id = new_id(now);
        // No one else's, and gone when anything fails.
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.folder)?;
        self.write(&id, (now, path, reason), text, file.as_file_mut())?;
        file.as_file().sync_all()?;
        file.persist(self.file_of(&id)).map_err(|e| Error::from(e.error))?;
        File::open(&self.folder)?.sync_all()?;
        Ok(id)
    }

    fn write(
        &self,
        id: &str,
        (time_unix_ns, path, reason): (i64, &[u8], &str),
        text: &Text,
        file: &mut File,
    ) -> Result<()> {
        let key = self.key(id);
        let mut w = Writer::new();
        w.i64(time_unix_ns).u64(text.len());
        w.long(path).long(cut(reason, REASON_LEN_MAX).as_bytes());
        let header = aead::seal(&key, b"header", w.as_bytes());
        let mut w = Writer::new();
        w.bytes(MAGIC).u16(FORMAT);
        w.u32(u32::try_from(header.len()).expect("paths and reasons are bounded")).bytes(&header);
        file.write_all(w.as_bytes())?;
        let mut piece = vec![0; PIECE_BYTES];
        for number in 0..pieces_of(text.len()) {
            let at = number * PIECE_BYTES as u64;
            let len = piece.len().min(usize::try_from(text.len() - at).unwrap_or(usize::MAX));
            text.read_at(at, &mut piece[..len])?;
            let is_last = number + 1 == pieces_of(text.len());
            file.write_all(&aead::seal(&key, &place(number, is_last), &piece[..len]))?;
        }
        Ok(())
    }

    /// Lists the texts that are kept, the oldest first; one that cannot be opened is listed with
    /// that as its reason.
    ///
    /// # Errors
    /// `Internal` when the folder cannot be read.
    pub fn list(&self) -> Result<Vec<RejectedText>> {
        let shown = |(id, len): (String, u64)| match self.open_file(&id) {
            Ok((text, _)) => Some(text),
            // Dropped meanwhile.
            Err(e) if e.kind() == Kind::NotFound => None,
            Err(e) => Some(RejectedText {
                id,
                time: Time::from_unix_ns(0),
                path: Vec::new(),
                size_bytes: len,
                reason: e.to_string(),
            }),
        };
        Ok(self.files()?.into_iter().filter_map(shown).collect())
    }

    fn open_file(&self, id: &str) -> Result<(RejectedText, File)> {
        if !is_id(id) {
            return Err(none_of(id));
        }
        let mut file = File::open(self.file_of(id)).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => none_of(id),
            _ => unreadable(&self.folder, e),
        })?;
        let mut prelude = [0; PRELUDE_LEN];
        read_exactly(&mut file, &mut prelude)?;
        let mut r = Reader::new(&prelude, "a rejected text");
        if r.array::<8>()? != *MAGIC {
            return Err(r.bad("it does not begin as one"));
        }
        if r.u16()? != FORMAT {
            return Err(Error::new(Kind::Unsupported, "a rejected text has an unknown format")
                .hint("use a newer chartfs"));
        }
        let len = r.u32()? as usize;
        if len > HEADER_LEN_MAX {
            return Err(r.bad("its header is over the limit"));
        }
        let mut sealed = vec![0; len];
        read_exactly(&mut file, &mut sealed)?;
        let header = aead::open(&self.key(id), b"header", &sealed)?;
        let mut r = Reader::new(&header, "a rejected text");
        let (time, size_bytes) = (Time::from_unix_ns(r.i64()?), r.u64()?);
        let path = r.long(HEADER_LEN_MAX)?.to_vec();
        let reason = String::from_utf8_lossy(r.long(HEADER_LEN_MAX)?).into_owned();
        r.finish()?;
        Ok((RejectedText { id: id.to_owned(), time, path, size_bytes, reason }, file))
    }

    /// Hands a text on, piece by piece; each is proven before.
    ///
    /// # Errors
    /// `NotFound` when no such text is kept; `Integrity` when it is damaged; whatever `take`
    /// returns.
    pub fn read(&self, id: &str, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (text, mut file) = self.open_file(id)?;
        let (key, mut left) = (self.key(id), text.size_bytes);
        for number in 0..pieces_of(text.size_bytes) {
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let mut sealed = vec![0; len + SEAL_OVERHEAD_BYTES];
            read_exactly(&mut file, &mut sealed)?;
            let is_last = number + 1 == pieces_of(text.size_bytes);
            take(&aead::open(&key, &place(number, is_last), &sealed)?)?;
            left -= len as u64;
        }
        match file.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(Error::damaged("bytes follow the end of a rejected text")),
        }
    }

    /// Drops a text; its author does not need it any more.
    ///
    /// # Errors
    /// `NotFound` when no such text is kept.
    pub fn drop_text(&self, id: &str) -> Result<()> {
        if !is_id(id) {
            return Err(none_of(id));
        }
        std::fs::remove_file(self.file_of(id)).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => none_of(id),
            _ => unreadable(&self.folder, e),
        })?;
        Ok(File::open(&self.folder)?.sync_all()?)
    }
}

fn none_of(id: &str) -> Error {
    Error::new(Kind::NotFound, format!("no rejected text is called {id:?}"))
        .hint("chartfs rejected list")
}

/// Makes an identifier that sorts by time.
fn new_id(now_unix_ns: i64) -> String {
    let random = u32::from_le_bytes(hash::random());
    format!("{:011x}{random:08x}", now_unix_ns / 1_000_000)
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn pieces_of(len: u64) -> u64 {
    len.div_ceil(PIECE_BYTES as u64).max(1)
}

fn place(number: u64, is_last: bool) -> Vec<u8> {
    let mut w = Writer::new();
    w.bytes(b"piece").u64(number).u8(u8::from(is_last));
    w.into_bytes()
}

fn read_exactly(file: &mut File, out: &mut [u8]) -> Result<()> {
    file.read_exact(out).map_err(|e| Error::damaged("a rejected text is cut off").because(e))
}

fn cut(text: &str, len_max: usize) -> &str {
    let mut end = text.len().min(len_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::credential::Credential;
    use crate::view::draft::Draft;

    fn texts(folder: &Path, credential: &[u8]) -> RejectedTexts {
        let keyring = Keyring::new(Credential::from_bytes(credential).unwrap()).unwrap();
        RejectedTexts::open(folder.join("texts"), Arc::new(keyring)).unwrap()
    }

    fn read(texts: &RejectedTexts, id: &str) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        texts.read(id, |piece| {
            all.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(all)
    }

    fn memory(text: &[u8]) -> Text {
        Text::Memory(text.to_vec().into())
    }

    #[test]
    fn a_text_outlives_the_process_and_opens_with_its_author_s_credential_only() {
        let dir = tempfile::tempdir().unwrap();
        let author = Credential::new("author", [7; 32]).to_bytes();
        let other = Credential::new("other", [7; 32]).to_bytes();
        let secret = b"a secret text".repeat(10_000);
        let id = texts(dir.path(), &author).add(b"/ana/r.json", "denied", &memory(&secret));
        let id = id.unwrap();
        let again = texts(dir.path(), &author);
        assert_eq!(read(&again, &id).unwrap(), secret);
        let listed = again.list().unwrap();
        assert_eq!((&listed[0].id, &listed[0].path[..]), (&id, &b"/ana/r.json"[..]));
        assert_eq!((listed[0].size_bytes, &listed[0].reason[..]), (130_000, "denied"));
        assert!(read(&texts(dir.path(), &other), &id).is_err());
        let stored = std::fs::read(again.file_of(&id)).unwrap();
        for clear in [&b"secret text"[..], b"ana", b"denied"] {
            assert!(!stored.windows(clear.len()).any(|w| w == clear));
        }
        again.drop_text(&id).unwrap();
        assert_eq!(again.drop_text(&id).unwrap_err().kind(), Kind::NotFound);
        assert!(again.list().unwrap().is_empty());
    }

    #[test]
    fn lengths_around_a_piece_come_back_and_every_cut_and_flip_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let texts = texts(dir.path(), &Credential::new("author", [7; 32]).to_bytes());
        for len in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES] {
            let text = vec![b'x'; len];
            let id = texts.add(b"/p", "why", &memory(&text)).unwrap();
            assert_eq!(read(&texts, &id).unwrap(), text);
            let mut draft = Draft::of(&text);
            draft.leave_memory().unwrap();
            let spooled = texts.add(b"/p", "why", &draft.text().unwrap()).unwrap();
            assert_eq!(read(&texts, &spooled).unwrap(), text);
        }
        let id = texts.add(b"/p", "why", &memory(b"short")).unwrap();
        let file = texts.file_of(&id);
        let stored = std::fs::read(&file).unwrap();
        for bit in 0..stored.len() * 8 {
            let mut bad = stored.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, bad).unwrap();
            assert!(read(&texts, &id).is_err(), "bit {bit}");
        }
        for len in 0..stored.len() {
            std::fs::write(&file, &stored[..len]).unwrap();
            assert!(read(&texts, &id).is_err(), "{len} bytes");
        }
        let listed = texts.list().unwrap();
        assert_eq!(listed.len(), 13, "a damaged one is listed too");
        // Of another text, though of the same author.
        std::fs::copy(texts.file_of(&listed[0].id), &file).unwrap();
        assert!(read(&texts, &id).is_err());
    }

    #[test]
    fn a_full_store_refuses_and_drops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let texts = texts(dir.path(), &Credential::new("author", [7; 32]).to_bytes());
        let first = texts.add(b"/p", "why", &memory(b"first")).unwrap();
        for i in 1..TEXTS_MAX {
            std::fs::write(texts.file_of(&format!("{i:08x}")), b"").unwrap();
        }
        let e = texts.add(b"/p", "why", &memory(b"one more")).unwrap_err();
        assert_eq!(e.kind(), Kind::NoSpace);
        assert_eq!(read(&texts, &first).unwrap(), b"first");
        for i in 2..TEXTS_MAX {
            texts.drop_text(&format!("{i:08x}")).unwrap();
        }
        let file = File::options().write(true).open(texts.file_of("00000001")).unwrap();
        file.set_len(TEXTS_LEN_MAX_BYTES - 100).unwrap();
        let e =
            texts.add(b"/p", "why", &memory(b"a text of more bytes than are left")).unwrap_err();
        assert_eq!(e.kind(), Kind::NoSpace);
    }

    #[test]
    fn an_identifier_is_no_path() {
        let dir = tempfile::tempdir().unwrap();
        let texts = texts(dir.path(), &Credential::new("author", [7; 32]).to_bytes());
        for id in ["", "..", "../x", "a/b", "x.text"] {
            assert_eq!(read(&texts, id).unwrap_err().kind(), Kind::NotFound);
            assert_eq!(texts.drop_text(id).unwrap_err().kind(), Kind::NotFound);
        }
        let ids: Vec<String> = [1, 2_000_000, 3_000_000_000].map(new_id).into();
        assert!(ids.is_sorted() && ids.iter().all(|id| is_id(id)));
    }
}
