//! What a file is here while it is in use: its text as rendered or as written, and what whoever
//! caches it was told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::draft::{Draft, Text};
use super::folder::Gone;
use super::locked;
use super::sight::Rendered;
use super::stream::Stream;
use crate::clock::now_unix_ns;
use crate::record::{Located, Record};

/// The bytes that a node holds, while it is in use.
#[derive(Default)]
pub(super) enum Held {
    /// Nothing: the record says what the file is.
    #[default]
    Nothing,
    /// The view as rendered.
    Clean(Arc<Rendered>),
    /// A long opaque file, read by ranges.
    Stream(Arc<Stream>),
    /// Text that is being written.
    Draft(Writing),
}

/// A draft and what it was made of.
pub(super) struct Writing {
    pub(super) draft: Draft,
    /// The view that the draft began as; `None` for a file that is new, or replaced as a whole.
    pub(super) base: Option<Arc<Rendered>>,
    /// The version that a draft which was copied from a long text began as.
    pub(super) copied: Option<Arc<Record>>,
    /// Counts the changes, so that a commit knows whether it has all of them.
    pub(super) edits: u64,
    /// The changes that are committed.
    pub(super) saved: u64,
    /// When the text was changed, unless a program set another time.
    pub(super) mtime_unix_ns: i64,
}

impl Writing {
    pub(super) fn is_dirty(&self) -> bool {
        self.edits != self.saved
    }

    pub(super) fn touch(&mut self, file: &FileState) {
        self.edits += 1;
        self.mtime_unix_ns = now_unix_ns();
        file.is_mtime_set.store(false, Ordering::Relaxed);
    }
}

/// A draft that is kept among the rejected texts, as it was after so many changes.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) id: String,
    pub(super) edits: u64,
    pub(super) since: Instant,
}

/// The part of a node that only files use.
#[derive(Default)]
pub(super) struct FileState {
    pub(super) held: Mutex<Held>,
    /// Taken by whoever renders, commits, renames or removes this file: the others wait for it,
    /// and nobody else. Who needs two takes that of the lower number first.
    pub(super) work: tokio::sync::Mutex<()>,
    pub(super) handles: AtomicUsize,
    /// Whether the time is one that a program set, and not that of the last change.
    pub(super) is_mtime_set: AtomicBool,
    told: Mutex<Told>,
    /// The version that programs were shown when they opened the file last, or wrote themselves:
    /// what they write is based on it, however long they take.
    pub(super) opened: Mutex<Option<Arc<Record>>>,
    /// The text of this file that is kept because it could not be committed.
    pub(super) kept: Mutex<Option<Kept>>,
    /// Whether the text was refused when it was committed last: trying again cannot help.
    pub(super) is_refused: AtomicBool,
    /// The record of a new file whose name could not be added, or may have been.
    pub(super) made: Mutex<Option<Located>>,
    /// What stood under the name of a new file, when that was taken away just before.
    pub(super) returning: Mutex<Option<Gone>>,
}

/// What whoever caches this file was told of it: versions of the record, by their hashes.
#[derive(Default)]
struct Told {
    /// The one whose bytes it was handed last.
    bytes: Option<[u8; 32]>,
    /// The one whose attributes it was told last.
    attr: Option<[u8; 32]>,
    /// Whether it may still believe older attributes.
    is_mixed: bool,
}

impl FileState {
    /// Notes that attributes of this version were told.
    pub(super) fn tell_attr(&self, version: [u8; 32]) {
        let mut told = locked(&self.told);
        told.is_mixed |= told.attr.is_some_and(|before| before != version);
        told.attr = Some(version);
    }

    /// Notes that what was written by whoever caches this file is this version.
    pub(super) fn tell_written(&self, version: [u8; 32]) {
        let mut told = locked(&self.told);
        told.bytes = Some(version);
        told.attr = Some(version);
    }

    /// Notes that the file is opened in this version; says whether bytes that are cached of it are
    /// still right, and whether attributes may be believed that are not.
    pub(super) fn tell_opened(&self, version: [u8; 32]) -> (bool, bool) {
        let mut told = locked(&self.told);
        let is_same = told.bytes == Some(version);
        let is_outdated = told.is_mixed
            || told.bytes.is_some_and(|before| before != version)
            || told.attr.is_some_and(|before| before != version);
        *told = Told { bytes: Some(version), attr: Some(version), is_mixed: false };
        (is_same, is_outdated)
    }

    /// Says whether forgetting the file would lose something.
    pub(super) fn is_busy(&self) -> bool {
        self.is_open() || self.is_dirty()
    }

    /// Says whether something is written that no commit has.
    pub(super) fn is_dirty(&self) -> bool {
        matches!(&*locked(&self.held), Held::Draft(w) if w.is_dirty())
    }

    /// Says whether a program set the time.
    pub(super) fn is_mtime_set(&self) -> bool {
        self.is_mtime_set.load(Ordering::Relaxed)
    }

    /// Says whether a handle is open.
    pub(super) fn is_open(&self) -> bool {
        self.handles.load(Ordering::Relaxed) > 0
    }

    /// Returns the length of what is held here.
    pub(super) fn held_len(&self) -> u64 {
        match &*locked(&self.held) {
            Held::Nothing => 0,
            Held::Clean(rendered) => rendered.bytes.len() as u64,
            Held::Stream(stream) => stream.len(),
            Held::Draft(w) => w.draft.len(),
        }
    }

    /// Counts the draft as changed: what was only here is to be committed.
    pub(super) fn mark_dirty(&self) {
        if let Held::Draft(w) = &mut *locked(&self.held) {
            w.edits += 1;
        }
    }

    /// Holds the version that what is read and written from now on is based on.
    pub(super) fn hold_version(&self, record: Option<Arc<Record>>) {
        *locked(&self.opened) = record;
    }

    /// As [`FileState::hold_version`], unless there is one.
    pub(super) fn keep_version(&self, record: Option<Arc<Record>>) {
        let mut opened = locked(&self.opened);
        if opened.is_none() {
            *opened = record;
        }
    }

    /// Lets go of that version when the file is not open any more.
    pub(super) fn drop_version(&self) {
        let mut opened = locked(&self.opened);
        if !self.is_open() {
            *opened = None;
        }
    }

    /// Forgets the text: the record says what the file is.
    pub(super) fn forget_text(&self) {
        self.hold_version(None);
        *locked(&self.held) = Held::Nothing;
    }

    /// Holds a text of its own, that no record has.
    pub(super) fn hold_text(&self, text: Text) {
        let draft = match text {
            Text::Memory(bytes) => Draft::of(&bytes),
            Text::Spool(spool) => Draft::Spool(spool),
        };
        let mtime_unix_ns = now_unix_ns();
        let writing =
            Writing { draft, base: None, copied: None, edits: 0, saved: 0, mtime_unix_ns };
        *locked(&self.held) = Held::Draft(writing);
    }

    /// Lets the next read render the record again; a draft stays.
    pub(super) fn drop_rendered(&self) {
        let mut held = locked(&self.held);
        if !matches!(*held, Held::Draft(_)) {
            *held = Held::Nothing;
        }
    }
}
