//! Listing a local directory, in the order in which AWS lists: by the bytes of the whole name.

use std::os::unix::fs::MetadataExt;

use tokio::sync::mpsc::Sender;

use super::super::backend::{Listed, Version};
use super::super::name::ObjectName;
use super::disk::{Disk, failed, place};
use crate::error::Result;

/// How many names go into one page: as many as a cloud sends at once.
const PAGE_LEN: usize = 1000;

/// The listing ends before its end: an error was sent, or the receiver has gone away.
struct Gone;

type Walked = std::result::Result<(), Gone>;

type Page = Result<Vec<Listed>>;

/// Sends the objects below `prefix`, page by page.
pub(super) fn list(disk: &Disk, prefix: &str, pages: &Sender<Page>) {
    let mut walk = Walk { disk, page: Vec::new(), pages };
    if walk.directory(prefix).is_ok() {
        let _ = walk.flush();
    }
}

struct Walk<'a> {
    disk: &'a Disk,
    page: Vec<Listed>,
    pages: &'a Sender<Page>,
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
                let _ = self.pages.blocking_send(Err(e));
                return Err(Gone);
            }
        };
        for entry in entries {
            if entry.is_directory {
                self.directory(&entry.path)?;
            } else if let Some(listed) = self.file(&entry.path) {
                self.page.push(listed);
                if self.page.len() == PAGE_LEN {
                    self.flush()?;
                }
            }
        }
        Ok(())
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
        self.pages.blocking_send(Ok(page)).map_err(|_| Gone)
    }
}
