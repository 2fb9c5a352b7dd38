//! A bucket in a local directory, with compare-and-swap between processes.
//!
//! An object is a file at its name. A write goes to a temporary file, whose data is synced before
//! a rename puts it in place, so that a crash or a power cut leaves the old object or the new one.
//! Comparing and renaming happen under a lock that all processes share.
//!
//! The version of an object is its inode, length and time of modification. Under the lock each
//! write gets a time later than that of the object it replaces, to the nanosecond, so a version
//! never comes back for other bytes while the name exists; and finding out that nothing changed
//! costs one `fstat`, not a read.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::backend::{
    Attempt, Backend, Condition, Counters, Fetched, Listed, PART_LEN_BYTES, Pages, Put,
    RequestCounts, Upload, Version,
};
use super::name::ObjectName;
use super::options::StoreOptions;
use crate::error::{Error, Kind, Result};

mod disk;
mod lock;
mod temp;
mod walk;

use disk::Disk;
use temp::Temp;

/// A bucket in a local directory.
pub(super) struct Directory {
    disk: Arc<Disk>,
    counters: Counters,
}

impl Directory {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when it does not exist and is not to be created.
    pub(super) async fn open(path: PathBuf, options: &StoreOptions) -> Result<Self> {
        let (create, sync) = (options.create_directory, options.directory_sync);
        let disk = blocking(move || Disk::open(path, create, sync)).await?;
        Ok(Self { disk: Arc::new(disk), counters: Counters::default() })
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Disk) -> Result<T> + Send + 'static,
    ) -> Attempt<T> {
        let disk = self.disk.clone();
        Ok(blocking(move || operation(&disk)).await?)
    }
}

/// Runs file operations where they may block.
async fn blocking<T: Send + 'static>(
    operation: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(operation).await.unwrap_or_else(|e| {
        Err(Error::new(Kind::Internal, "a file operation did not finish").because(e))
    })
}

#[async_trait]
impl Backend for Directory {
    async fn get(
        &self,
        name: &ObjectName,
        unless: Option<&Version>,
        limit_bytes: u64,
    ) -> Attempt<Fetched> {
        Counters::count(&self.counters.get);
        let (name, unless) = (name.clone(), unless.cloned());
        self.run(move |disk| disk.read(&name, unless.as_ref(), limit_bytes)).await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Attempt<Bytes> {
        Counters::count(&self.counters.get_range);
        let name = name.clone();
        self.run(move |disk| disk.read_range(&name, &range)).await
    }

    async fn put(&self, name: &ObjectName, bytes: Bytes, condition: &Condition) -> Attempt<Put> {
        Counters::count(&self.counters.put);
        let (name, condition) = (name.clone(), condition.clone());
        self.run(move |disk| disk.write(&name, &bytes, &condition)).await
    }

    async fn upload(&self, name: &ObjectName) -> Attempt<Box<dyn Upload>> {
        let disk = self.disk.clone();
        let temp = Arc::new(self.run(Temp::new).await?);
        Ok(Box::new(DirectoryUpload { disk, temp, name: name.clone() }))
    }

    fn list(&self, prefix: &str) -> Box<dyn Pages> {
        Counters::count(&self.counters.list);
        let (sender, receiver) = mpsc::channel(2);
        let (disk, prefix) = (self.disk.clone(), prefix.to_owned());
        tokio::task::spawn_blocking(move || walk::list(&disk, &prefix, &sender));
        Box::new(DirectoryPages(receiver))
    }

    async fn delete(&self, name: &ObjectName) -> Attempt<()> {
        Counters::count(&self.counters.delete);
        let name = name.clone();
        self.run(move |disk| disk.remove(&name)).await
    }

    async fn sync(&self) -> Attempt<()> {
        self.run(Disk::sync_entries).await
    }

    fn requests(&self) -> RequestCounts {
        self.counters.snapshot()
    }
}

struct DirectoryPages(mpsc::Receiver<Result<Vec<Listed>>>);

#[async_trait]
impl Pages for DirectoryPages {
    async fn next(&mut self) -> Attempt<Option<Vec<Listed>>> {
        Ok(self.0.recv().await.transpose()?)
    }
}

struct DirectoryUpload {
    disk: Arc<Disk>,
    temp: Arc<Temp>,
    name: ObjectName,
}

#[async_trait]
impl Upload for DirectoryUpload {
    async fn part(&self, index: usize, bytes: Bytes) -> Attempt<()> {
        let temp = self.temp.clone();
        Ok(blocking(move || temp.write_at(&bytes, index as u64 * PART_LEN_BYTES as u64)).await?)
    }

    async fn complete(&self) -> Attempt<Version> {
        let (disk, temp, name) = (self.disk.clone(), self.temp.clone(), self.name.clone());
        let put = blocking(move || {
            disk.sync_data(&temp)?;
            disk.commit(&temp, &name, &Condition::Always)
        });
        match put.await? {
            Put::Stored(version) => Ok(version),
            Put::Refused => {
                Err(Error::new(Kind::Internal, "an unconditional write was refused").into())
            }
        }
    }

    async fn abort(&self) {}
}

#[cfg(test)]
mod tests;
