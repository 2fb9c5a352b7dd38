//! Listing a local directory in the order in which a cloud lists: by the bytes of the whole name.

use std::os::unix::fs::MetadataExt;

use tokio::sync::mpsc::Sender;

use super::super::backend::{Attempt, Listed, Version};
use super::super::name::ObjectName;
use super::disk::{Disk, failed, place};
use crate::error::Result;

/// How many names go into one page: as many as a cloud sends at once.
const PAGE_LEN: usize = 1000;

/// The receiver of the listing has gone away.
struct Gone;

type Walked = std::result::Result<(), Gone>;

/// Sends the objects below `prefix` and behind `after`, page by page.
pub(super) fn list(
    disk: &Disk,
    prefix: &str,
    after: Option<&ObjectName>,
    pages: &Sender<Vec<Attempt<Listed>>>,
) {
    let mut walk = Walk { disk, after, page: Vec::new(), pages };
    // A receiver that has gone away wants no error either.
    if walk.directory(prefix).is_ok() {
        let _ = walk.flush();
    }
}

struct Walk<'a> {
    disk: &'a Disk,
    after: Option<&'a ObjectName>,
    page: Vec<Attempt<Listed>>,
    pages: &'a Sender<Vec<Attempt<Listed>>>,
}

/// An entry of a directory. A directory sorts as if its name ended with `/`, as in whole names.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    sort_key: String,
    path: String,
    is_directory: bool,
}

impl Walk<'_> {
    fn directory(&mut self, path: &str) -> Walked {
        let entries = match self.entries(path) {
            Ok(entries) => entries,
            Err(e) => {
                self.page.push(Err(e.into()));
                self.flush()?;
                return Err(Gone);
            }
        };
        for entry in entries {
            if entry.is_directory {
                if !self.is_wholly_before(&entry.path) {
                    self.directory(&entry.path)?;
                }
            } else if let Some(listed) = self.file(&entry.path) {
                self.page.push(Ok(listed));
                if self.page.len() == PAGE_LEN {
                    self.flush()?;
                }
            }
        }
        Ok(())
    }

    /// Returns whether every name below the directory comes before the first one wanted.
    fn is_wholly_before(&self, path: &str) -> bool {
        let below = format!("{path}/");
        self.after.is_some_and(|a| !a.as_str().starts_with(&below) && a.as_str() > below.as_str())
    }

    fn entries(&self, path: &str) -> Result<Vec<Entry>> {
        // Opened segment by segment first: a link in place of a directory is not followed.
        if self.disk.directory(path, false)?.is_none() {
            return Ok(Vec::new());
        }
        let told = |e| failed(format!("cannot list the directory {path:?} of the bucket"), e);
        let mut entries = Vec::new();
        let read = match std::fs::read_dir(place(&self.disk.root, path)) {
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(entries),
            Err(e) => return Err(told(e)),
        };
        for entry in read {
            let entry = entry.map_err(told)?;
            let kind = entry.file_type().map_err(told)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let whole = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            // Files that chartfs cannot have written, and its own directory, are no objects.
            if ObjectName::new(&whole).is_err() {
                continue;
            }
            if kind.is_dir() {
                entries.push(Entry {
                    sort_key: format!("{name}/"),
                    path: whole,
                    is_directory: true,
                });
            } else if kind.is_file() {
                entries.push(Entry { sort_key: name, path: whole, is_directory: false });
            }
        }
        entries.sort_unstable();
        Ok(entries)
    }

    fn file(&self, path: &str) -> Option<Listed> {
        let name = ObjectName::new(path).ok()?;
        if self.after.is_some_and(|after| name <= *after) {
            return None;
        }
        // A file that was removed since is not an error of the listing.
        let m = std::fs::symlink_metadata(self.disk.root.join(path)).ok()?;
        let version = format!("{:x}-{:x}-{:x}.{:x}", m.ino(), m.size(), m.mtime(), m.mtime_nsec());
        Some(Listed { name, size_bytes: m.size(), version: Version::new(&version) })
    }

    fn flush(&mut self) -> Walked {
        let page = std::mem::take(&mut self.page);
        if page.is_empty() {
            return Ok(());
        }
        self.pages.blocking_send(page).map_err(|_| Gone)
    }
}
