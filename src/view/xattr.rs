//! `user.chartfs.*`: what scripts and file managers can ask of a file. Nothing here depends on a
//! section that the user does not see.

use std::time::Duration;

use super::folder::place_of;
use super::node::{Node, Spot, Stands};
use super::sight::{Seen, parts_of};
use super::{Ino, View};
use crate::error::{Error, Kind, Result};
use crate::key::credential::hex;
use crate::record::past::Conflict;
use crate::record::{Facet, Located, PolicyRef, section_name};

const PREFIX: &str = "user.chartfs.";
const ATTRIBUTES: &str = "user.chartfs.attributes";
const SECTIONS: &str = "user.chartfs.sections";
const VERSION: &str = "user.chartfs.version";
const WRITER: &str = "user.chartfs.writer";
const CONFLICT: &str = "user.chartfs.conflict";
const PATIENT: &str = "user.chartfs.patient";
const POLICY: &str = "user.chartfs.policy";
const PENDING: &str = "user.chartfs.pending";
const STATUS: &str = "user.chartfs.status";

impl View {
    /// Returns the names of the attributes that a file or folder can be asked for. The file
    /// system does not list them, but tells them as `user.chartfs.attributes`: programs copy, and
    /// remove, what is listed.
    ///
    /// # Errors
    /// `NotFound` when there is no such file.
    pub async fn xattr_names(&self, ino: Ino) -> Result<Vec<Vec<u8>>> {
        let node = self.node(ino)?;
        let names: Vec<String> = match node.stands() {
            Stands::Directory { .. } if self.is_deidentified(&node).await? => Vec::new(),
            Stands::Record { .. } if self.is_deidentified(&node).await? => {
                vec![SECTIONS.to_owned()]
            }
            Stands::Directory { policy, .. } => {
                let patient = policy.patient.map(|_| PATIENT.to_owned());
                patient.into_iter().chain([POLICY.to_owned()]).collect()
            }
            Stands::Record { located, policy } => {
                let seen = self.see(located, &policy, self.options.attr_ttl).await?;
                let conflict = self.conflict(ino, located).await?.map(|_| CONFLICT.to_owned());
                let fixed = [SECTIONS, VERSION, WRITER].map(str::to_owned);
                let policies =
                    seen.open.iter().map(|(slot, _)| format!("{POLICY}.{}", section_name(slot.0)));
                fixed.into_iter().chain(conflict).chain(policies).collect()
            }
            Stands::Fresh | Stands::Local | Stands::Removed => Vec::new(),
        };
        let pending = self.is_pending(&node).then(|| PENDING.to_owned());
        let status = (ino == Ino::ROOT).then(|| STATUS.to_owned());
        Ok(names.into_iter().chain(pending).chain(status).map(String::into_bytes).collect())
    }

    /// Returns the value of an attribute; `None` when the file has none of that name.
    ///
    /// # Errors
    /// `NotFound` when there is no such file.
    pub async fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Option<Vec<u8>>> {
        let name = match std::str::from_utf8(name) {
            Ok(name) if name.starts_with(PREFIX) => name,
            _ => return Ok(None),
        };
        let node = self.node(ino)?;
        if name == ATTRIBUTES {
            return Ok(Some(self.xattr_names(ino).await?.join(&b'\n')));
        }
        if name == PENDING {
            return Ok(self.is_pending(&node).then(|| b"journal".to_vec()));
        }
        if name == STATUS && ino == Ino::ROOT {
            let status = serde_json::to_vec(&self.status());
            return status.map(Some).map_err(|e| {
                Error::new(Kind::Internal, "the status cannot be written").because(e)
            });
        }
        if name != SECTIONS && self.is_deidentified(&node).await? {
            return Ok(None);
        }
        let value = match node.stands() {
            Stands::Directory { policy, .. } => match name {
                POLICY => Some(hex(&policy.hash)),
                PATIENT => policy.patient.map(|p| p.to_string()),
                _ => None,
            },
            Stands::Record { located, policy } if name == CONFLICT => {
                match self.conflict(ino, located).await? {
                    Some(conflict) => Some(self.conflict_text(ino, &policy, conflict).await?),
                    None => None,
                }
            }
            Stands::Record { located, policy } => self.record_xattr(located, &policy, name).await?,
            Stands::Fresh | Stands::Local | Stands::Removed => None,
        };
        Ok(value.map(String::into_bytes))
    }

    /// Says whether a file or folder is shown de-identified: who wrote it, how often, and whose it
    /// is are not told then.
    async fn is_deidentified(&self, node: &Node) -> Result<bool> {
        match node.stands() {
            Stands::Directory { policy, .. } | Stands::Record { policy, .. } => {
                Ok(self.records.facet(&policy).await? == Facet::Research)
            }
            Stands::Fresh | Stands::Local | Stands::Removed => Ok(false),
        }
    }

    /// Says of what a file is a copy that was made in a conflict.
    async fn conflict(&self, ino: Ino, located: Located) -> Result<Option<Conflict>> {
        let Spot { parent, name } = self.node(ino)?.spot();
        let (place, policy) = place_of(&*self.node(parent)?)?;
        let copy = (&name[..], located.record);
        self.records.conflict_of(place, &policy, copy, self.options.attr_ttl).await
    }

    /// Names the file that a text was meant for, and the version of it that the text was made of,
    /// counted as `chartfs history` does for this user.
    async fn conflict_text(
        &self,
        ino: Ino,
        policy: &PolicyRef,
        conflict: Conflict,
    ) -> Result<String> {
        let folder = self.node(self.node(ino)?.spot().parent)?;
        let table = self.table(&folder, self.options.attr_ttl).await?;
        let found = table.0.iter().find(|(_, e)| e.located.record == conflict.original);
        let Some((name, entry)) = found else {
            return Ok("a file that is not in this folder any more".to_owned());
        };
        if !self.is_listed(entry.profile, policy).await? {
            return Ok("a file that is closed to you".to_owned());
        }
        let history = self.file_history(entry.located, policy).await?;
        let known = history.versions.iter().find(|v| v.is_in(conflict.version));
        let version = known.map_or(1, |v| v.version);
        Ok(format!("{} version {version}", String::from_utf8_lossy(name)))
    }

    async fn record_xattr(
        &self,
        located: Located,
        policy: &PolicyRef,
        name: &str,
    ) -> Result<Option<String>> {
        let seen = self.see(located, policy, self.options.attr_ttl).await?;
        Ok(match name {
            SECTIONS => Some(sections(&seen)),
            VERSION => Some(version(&seen).to_string()),
            WRITER => Some(writer(&seen)),
            _ => match name.strip_prefix(POLICY).and_then(|n| n.strip_prefix('.')) {
                Some(section) if seen.open.iter().any(|(s, _)| section_name(s.0) == section) => {
                    let bound =
                        self.records.realm().policy(&policy.hash, policy.patient.as_ref()).await?;
                    let rights = bound.rights(section);
                    Some(format!("read: {}; write: {}", rights.read, rights.write))
                }
                _ => None,
            },
        })
    }

    /// Says whether the user may read or write a file or folder.
    ///
    /// # Errors
    /// `Denied` when not.
    pub async fn access(&self, ino: Ino, read: bool, write: bool) -> Result<()> {
        let denied = |what| Err(Error::new(Kind::Denied, what));
        let Stands::Record { located, policy } = self.node(ino)?.stands() else { return Ok(()) };
        let seen = self.see(located, &policy, self.options.attr_ttl).await?;
        if read && seen.open.is_empty() {
            return denied("the record is closed to you");
        }
        let writable = self.may_write_any(&policy, seen.format).await?;
        if write && writable != crate::record::Sight::Open {
            return denied("you may not change this record");
        }
        Ok(())
    }

    /// Waits until a folder's changes are in the bucket: they are when the call that made them
    /// returned, so this asks the bucket for its newest table.
    ///
    /// # Errors
    /// Those of loading it.
    pub async fn sync_dir(&self, ino: Ino) -> Result<()> {
        self.entry(&*self.node(ino)?, b"", Duration::MAX).await?;
        self.records.realm().bucket().sync().await
    }
}

/// The visible sections that say something.
fn sections(seen: &Seen) -> String {
    let filled = seen.open.iter().filter(|(_, parts)| parts.iter().any(|p| p.meta.body_len > 0));
    filled.map(|(slot, _)| section_name(slot.0)).collect::<Vec<_>>().join(",")
}

/// Counts the writes of visible sections: the record's own version would count hidden ones too.
fn version(seen: &Seen) -> u64 {
    let visible = seen.open.iter().flat_map(|(slot, _)| parts_of(&seen.record, *slot));
    visible.map(|p| p.content.version).sum()
}

/// The identifier of whoever wrote the visible section that was written last.
fn writer(seen: &Seen) -> String {
    let visible = seen.open.iter().flat_map(|(slot, _)| parts_of(&seen.record, *slot));
    let statements = visible.map(|p| seen.record.vouching(p));
    statements
        .max_by_key(|s| s.time_unix_ns)
        .map(|s| crate::key::attribute::Gid::of(&s.author.0).to_string())
        .unwrap_or_default()
}
