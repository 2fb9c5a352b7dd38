//! Opening files and making new ones.

use super::draft::Draft;
use super::file::OpenFile;
use super::folder::{Overlay, place_of};
use super::held::{Held, Writing};
use super::listing::attr_with;
use super::local::{is_local_name, is_stand_in_name, stands_in_for};
use super::node::{Node, Spot, Stands};
use super::{Access, Attr, Ino, NodeKind, Opened, View, locked};
use crate::clock::now_unix_ns;
use crate::error::{Error, Kind, Result};
use crate::record::Sight;
use crate::record::directory::check_name;
use crate::record::format::FormatId;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How old what is known of a folder may be for `O_EXCL`. Whoever unpacks many files commits more
/// often than this, and so does not ask for each.
const ABSENCE_MAX_AGE: Duration = Duration::from_millis(200);

impl View {
    /// Opens a file.
    ///
    /// # Errors
    /// `Denied` when nothing in the view can be written and it is opened for that;
    /// `CredentialExpired`, `Integrity` as the record says.
    pub async fn open(&self, ino: Ino, access: Access) -> Result<Opened> {
        let node = self.node(ino)?;
        if node.kind == NodeKind::Directory {
            return Err(Error::new(Kind::IsDirectory, "this is a folder"));
        }
        if node.stands() == Stands::Removed && !node.file.is_open() {
            return Err(Error::new(Kind::NotFound, "the file has no name any more"));
        }
        let (mut keep_cache, mut is_outdated, mut shown) = (true, false, None);
        if let Stands::Record { located, policy } = node.stands() {
            let seen = self.see(located, &policy, self.options.attr_ttl).await?;
            if access.write {
                self.check_writable(self.may_write_any(&policy, seen.format).await?)?;
            }
            if access.read && seen.open.is_empty() {
                return Err(Error::new(Kind::Denied, "the record is closed to you"));
            }
            node.file.hold_version(Some(seen.record.clone()));
            shown = Some(seen.record.clone());
            (keep_cache, is_outdated) = node.file.tell_opened(*seen.record.object_hash());
            if !keep_cache {
                node.file.drop_rendered();
                node.forget_attr();
            }
        }
        if access.write && access.truncate {
            self.change(&node, |draft| draft.set_len(0)).await?;
            keep_cache = false;
        }
        let opened = self.hand_out(node.clone(), access, keep_cache);
        // The last of the others may have been closed since it was looked at.
        node.file.keep_version(shown);
        Ok(Opened { is_outdated, ..opened })
    }

    pub(super) fn check_writable(&self, sight: Sight) -> Result<()> {
        match sight {
            Sight::Open => Ok(()),
            Sight::Closed => Err(Error::new(Kind::Denied, "you may not change this record")),
            Sight::Expired => {
                Err(Error::new(Kind::CredentialExpired, "you may not change this record")
                    .because("the certificate behind your attribute has ended"))
            }
        }
    }

    fn hand_out(&self, node: Arc<Node>, access: Access, keep_cache: bool) -> Opened {
        let handle = self.new_handle();
        if access.write && node.file.is_refused.load(Ordering::Relaxed) {
            // What was refused before is another program's: it stays kept beside what follows.
            locked(&node.file.kept).take();
        }
        node.file.handles.fetch_add(1, Ordering::Relaxed);
        locked(&self.files).insert(handle, Arc::new(OpenFile { node, access }));
        Opened { handle, keep_cache, is_outdated: false, read_only: !access.write }
    }

    /// Makes a file, or opens the one of that name.
    ///
    /// # Errors
    /// `Exists` when it is there and `exclusive` is asked for; `Denied` when the folder's policy
    /// lets the user not add.
    pub async fn create(
        &self,
        parent: Ino,
        name: &[u8],
        exclusive: bool,
        mode: u16,
    ) -> Result<(Attr, Opened)> {
        check_name(name)?;
        let access = Access { read: true, write: true, truncate: false, append: false };
        match self.child(parent, name).await {
            Ok(_) if exclusive => return Err(Error::new(Kind::Exists, "the name exists already")),
            Ok(node) => {
                let opened = self.open(node.ino, access).await?;
                let attr = self.attr_of(&node).await?;
                locked(&self.tree).refer(&node);
                return Ok((attr, opened));
            }
            Err(e) if e.kind() == Kind::NotFound => {}
            Err(e) => return Err(e),
        }
        let folder = self.node(parent)?;
        let is_local = is_local_name(name);
        if exclusive && !is_local && !self.comes_back(&folder, name) {
            self.check_absent(&folder, name).await?;
        }
        let mut stands = if is_local { Stands::Local } else { Stands::Fresh };
        if stands == Stands::Fresh && !self.comes_back(&folder, name) {
            self.check_not_hidden(&folder, name).await?;
            match self.check_add(&folder).await {
                Err(e) if e.kind() == Kind::Denied && self.is_stand_in(&folder, name).await? => {
                    stands = Stands::Local;
                }
                checked => checked?,
            }
        }
        let node = self.add_here(&folder, name, stands);
        node.set_mode(mode);
        let attr = self.draft_attr(&node).unwrap_or_else(|| attr_with(&node, 0, 0));
        locked(&self.tree).refer(&node);
        Ok((attr, self.hand_out(node, access, false)))
    }

    /// Adds an empty file that is only here. A name that was taken away stays remembered in the
    /// new node, so that its record is found when the file is committed.
    fn add_here(&self, folder: &Node, name: &[u8], stands: Stands) -> Arc<Node> {
        let spot = Spot { parent: folder.ino, name: name.to_vec() };
        let node = locked(&self.tree).add(NodeKind::File, spot, stands);
        let edits = u64::from(!matches!(node.stands(), Stands::Local));
        *locked(&node.file.held) = Held::Draft(Writing {
            draft: Draft::of(b""),
            base: None,
            copied: None,
            edits,
            saved: 0,
            mtime_unix_ns: now_unix_ns(),
        });
        if let Some(Overlay::Gone(gone)) = folder.folder.overlay(name) {
            *locked(&node.file.returning) = Some(gone);
        }
        folder.folder.set_overlay(name, Overlay::Here(node.ino));
        folder.change_names();
        node
    }

    fn comes_back(&self, folder: &Node, name: &[u8]) -> bool {
        matches!(folder.folder.overlay(name), Some(Overlay::Gone(_)))
    }

    pub(super) async fn check_add(&self, folder: &Node) -> Result<()> {
        let (_, policy) = place_of(folder)?;
        let bound = self.records.realm().policy(&policy.hash, policy.patient.as_ref()).await?;
        match self.records.sight(&bound.add) {
            Sight::Open => Ok(()),
            Sight::Closed => Err(Error::new(Kind::Denied, "you may not add files to this folder")
                .because(format!("it needs {}", bound.add))),
            Sight::Expired => {
                Err(Error::new(Kind::CredentialExpired, "you may not add files to this folder")
                    .because("the certificate behind your attribute has ended"))
            }
        }
    }

    /// Says whether a new file is the text of another one, written beside it to be renamed over it.
    /// Who may change a record but make none like it, or none at all, saves that way too; so such
    /// a file stays on this workstation until it is renamed.
    pub(super) async fn is_stand_in(&self, folder: &Node, name: &[u8]) -> Result<bool> {
        let (_, policy) = place_of(folder)?;
        let mut may_write = false;
        for &format in FormatId::ALL {
            may_write |= self.may_write_any(&policy, format).await? == Sight::Open;
        }
        if !may_write {
            return Ok(false);
        }
        if is_stand_in_name(name) {
            return Ok(true);
        }
        let table = self.table(folder, self.options.attr_ttl).await?;
        let mut files = table.0.iter().filter(|(_, entry)| !entry.is_directory());
        Ok(files.any(|(other, _)| stands_in_for(name, other)))
    }

    /// Whoever makes a file that nobody else may have made, as a lock, is told of one that another
    /// workstation made a moment ago. One that it makes in the same moment gets a conflict name.
    async fn check_absent(&self, folder: &Node, name: &[u8]) -> Result<()> {
        let max_age = self.options.attr_ttl.min(ABSENCE_MAX_AGE);
        match self.entry(folder, name, max_age).await? {
            Some(_) => Err(Error::new(Kind::Exists, "the name exists already")),
            None => Ok(()),
        }
    }

    /// A name whose record is closed to the user as a whole is taken, and he may not replace it.
    async fn check_not_hidden(&self, folder: &Node, name: &[u8]) -> Result<()> {
        if self.entry(folder, name, self.options.attr_ttl).await?.is_some() {
            return Err(Error::new(Kind::Denied, "the name is taken by a record closed to you"));
        }
        Ok(())
    }
}
