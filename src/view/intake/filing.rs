//! A document into its patient's folder; and a text that cannot be filed beside its reason.

use std::sync::Arc;
use std::time::Duration;

use super::super::aside::marked_name;
use super::super::draft::Text;
use super::super::folder::{Edit, place_of};
use super::super::local::is_local_name;
use super::super::node::Node;
use super::super::save::{Pending, TRIES_MAX};
use super::super::{Invalidation, NodeKind, Saved, View};
use super::Intake;
use crate::clock::now_unix_ns;
use crate::error::{Error, Kind, Result};
use crate::key::hash;
use crate::realm::policy::NAMES;
use crate::record::directory::Entry;
use crate::record::format::FormatId;
use crate::record::format::identity::{Document, hex, identify, union};
use crate::record::{Located, PolicyRef, RecordId, Sight};

/// Where texts are that cannot be filed.
const FAILED: &str = ".failed";
const REASON: &[u8] = b".reason.txt";
/// How much of a text is hashed at once.
const PIECE_BYTES: usize = 1 << 20;

/// A text as it is to be committed.
pub(super) fn pending(text: Text) -> Pending {
    let mtime_unix_ns = now_unix_ns();
    Pending { text, base: None, copied: None, edits: 0, mtime_unix_ns, is_mtime_set: false }
}

/// Returns what tells a text from others.
fn digest_of(text: &Text) -> Result<[u8; 32]> {
    let mut digest = [0; 32];
    let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(text.len()).unwrap_or(PIECE_BYTES))];
    let mut at = 0;
    while at < text.len() {
        let left = usize::try_from(text.len() - at).unwrap_or(usize::MAX);
        let n = piece.len().min(left);
        text.read_at(at, &mut piece[..n])?;
        digest = hash::sha256(&[&digest, &piece[..n]]);
        at += n as u64;
    }
    Ok(digest)
}

impl View {
    /// Returns the policy in force in a folder: its own head names it.
    pub(super) async fn policy_in(&self, folder: &Node) -> Result<PolicyRef> {
        self.entry(folder, b"", self.options.attr_ttl).await?;
        Ok(place_of(folder)?.1)
    }

    /// Says whether the user sees all of what he may file in a folder.
    pub(super) async fn sees_all(&self, policy: &PolicyRef) -> Result<bool> {
        let names = self.records.may_read(policy, NAMES).await? == Sight::Open;
        Ok(names
            && self.commands(policy, FormatId::Opaque).await?
            && self.commands(policy, FormatId::FhirJson).await?)
    }

    /// Files a document. One that is there already gets the new text, as when a program saves it;
    /// who does not see what he files cannot tell old from new, and files every text under a name
    /// of its own.
    pub(super) async fn file_document(
        &self,
        patient: &Arc<Node>,
        document: &Document,
        text: &Text,
    ) -> Result<Saved> {
        let folder = match &document.folder {
            Some(name) => self.folder_in(patient, name.as_bytes()).await?,
            None => patient.clone(),
        };
        let sees_all = self.sees_all(&self.policy_in(&folder).await?).await?;
        let name =
            if sees_all { document.name() } else { document.name_of_text(&digest_of(text)?) };
        let name = name.as_bytes();
        let mut max_age = self.options.attr_ttl;
        for _ in 0..TRIES_MAX {
            match self.entry(&folder, name, max_age).await? {
                Some(entry) if entry.is_directory() => {
                    return Err(Error::new(Kind::IsDirectory, "its name is a folder's"));
                }
                Some(_) if !sees_all => return Ok(Saved::Same),
                Some(_) => return self.file_over(&folder, name, document, text).await,
                None => match self.file_new(&folder, name, text).await {
                    // Somebody else filed it at the same moment.
                    Err(e) if e.kind() == Kind::Exists => max_age = Duration::ZERO,
                    done => return done.map(|()| Saved::Created),
                },
            }
        }
        Err(Error::new(Kind::Conflict, "the name is changed by others all the time"))
    }

    /// Makes a record and gives it its name: both are there, or the name is not.
    async fn file_new(&self, folder: &Node, name: &[u8], text: &Text) -> Result<()> {
        self.check_add(folder).await?;
        let (place, policy) = place_of(folder)?;
        let located = Located { birth: place.record, record: RecordId::random() };
        let record = self.create_record(located, &policy, name, &pending(text.clone())).await?;
        let entry = Entry { located, profile: record.head.profile, policy: None };
        self.edit(folder, Edit::Add { name: name.to_vec(), entry }).await?;
        folder.change_names();
        self.invalidate(Invalidation::Entry { parent: folder.ino, name: name.to_vec() });
        Ok(())
    }

    async fn file_over(
        &self,
        folder: &Node,
        name: &[u8],
        document: &Document,
        text: &Text,
    ) -> Result<Saved> {
        let node = self.child(folder.ino, name).await?;
        let is_lines = document.extension == "ndjson";
        if !is_lines && document.version.is_none() {
            return self.store_text(folder.ino, name, text).await;
        }
        let filed = self.text_of(&node).await;
        self.let_go(node);
        let (Text::Memory(old), Text::Memory(new)) = (filed?, text) else {
            return self.store_text(folder.ino, name, text).await;
        };
        if is_lines {
            let both = Text::Memory(union(&old, new)?.into());
            return self.store_text(folder.ino, name, &both).await;
        }
        let filed = identify(&old).ok().and_then(|found| found.document.version);
        if filed > document.version {
            return Err(Error::new(Kind::Usage, "a newer version of it is filed already"));
        }
        self.store_text(folder.ino, name, text).await
    }

    /// Returns a folder in another, made now if need be.
    pub(super) async fn folder_in(&self, parent: &Node, name: &[u8]) -> Result<Arc<Node>> {
        let found = match self.child(parent.ino, name).await {
            Err(e) if e.kind() == Kind::NotFound => {
                match self.make_dir(parent.ino, name, 0o700).await {
                    Ok(attr) => self.forget(attr.ino, 1),
                    // Somebody else made it at the same moment.
                    Err(e) if e.kind() == Kind::Exists => {
                        self.entry(parent, name, Duration::ZERO).await?;
                    }
                    Err(e) => return Err(e),
                }
                self.invalidate(Invalidation::Entry { parent: parent.ino, name: name.to_vec() });
                self.child(parent.ino, name).await?
            }
            found => found?,
        };
        if found.kind != NodeKind::Directory {
            return Err(Error::new(Kind::NotDirectory, "a file stands where the folder should be"));
        }
        Ok(found)
    }

    /// Returns the folder at a path, every part of it made now if need be.
    pub(super) async fn folder_at(&self, path: &str) -> Result<Arc<Node>> {
        let mut folder = self.node(super::super::Ino::ROOT)?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            folder = self.folder_in(&folder, name.as_bytes()).await?;
        }
        Ok(folder)
    }

    /// Keeps a text that cannot be filed, and why.
    pub(super) async fn fail(
        &self,
        intake: &Intake,
        name: &[u8],
        text: &Text,
        reason: &Error,
    ) -> Result<()> {
        let folder = self.folder_at(&format!("{}/{FAILED}", intake.folder())).await?;
        // A name that would stay on this workstation is not kept.
        let name = if is_local_name(name) { [name, &b".file"[..]].concat() } else { name.to_vec() };
        let room = crate::record::directory::NAME_LEN_MAX_BYTES - REASON.len();
        let mut name = if name.len() > room {
            let mark = hex(&hash::sha256(&[&name])[..4]);
            [&name[..room - 9], b"-", mark.as_bytes()].concat()
        } else {
            name
        };
        let is_other = match self.child(folder.ino, &name).await {
            Ok(node) => {
                let is_same = self.has_text(&node, text).await;
                self.let_go(node);
                !is_same?
            }
            Err(_) => false,
        };
        if is_other {
            let mark = hex(&digest_of(text)?[..4]);
            name.truncate(room - 10);
            name = marked_name(&name, &format!("-{mark}"));
        }
        self.store_text(folder.ino, &name, text).await?;
        let why = Text::Memory(format!("{}\n", reason_of(reason)).into());
        let reason_name = [&name[..], REASON].concat();
        self.store_text(folder.ino, &reason_name, &why).await?;
        for name in [name, reason_name] {
            self.invalidate(Invalidation::Entry { parent: folder.ino, name });
        }
        Ok(())
    }
}

fn reason_of(error: &Error) -> String {
    let lines = [Some(error.what()), error.why(), error.try_this()];
    lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
}
