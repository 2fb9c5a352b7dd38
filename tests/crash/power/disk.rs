//! A disk with a cache: what was not synced is there until the power is cut.
//!
//! As strict as POSIX lets a file system be: the data of a file is on the disk when the file was
//! synced, a name when its folder was, and a time only when `fsync` wrote it, not `fdatasync`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use fuser::Errno;

use crate::plan::Random;

pub(crate) const ROOT: u64 = 1;
/// What a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

pub(crate) type Answer<T> = std::result::Result<T, Errno>;

type Names = BTreeMap<OsString, u64>;

/// A file or folder, as it is and as the disk has it.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) is_folder: bool,
    pub(crate) names: Names,
    pub(crate) data: Vec<u8>,
    pub(crate) mtime: SystemTime,
    pub(crate) mode: u16,
    synced_names: Names,
    synced_data: Vec<u8>,
    synced_mtime: SystemTime,
    unsynced: BTreeSet<usize>,
}

/// What a power cut leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Nothing,
    /// Any sectors and any names, in no order.
    Some,
}

pub(crate) struct Disk {
    pub(crate) nodes: BTreeMap<u64, Node>,
    next: u64,
    /// Whether the power is off, which every request notices.
    is_off: Arc<AtomicBool>,
    /// After how many changes the power goes off.
    pub(crate) left: Option<u64>,
}

impl Node {
    fn new(is_folder: bool, mode: u16) -> Self {
        let now = SystemTime::now();
        Self {
            is_folder,
            names: Names::new(),
            data: Vec::new(),
            mtime: now,
            mode,
            synced_names: Names::new(),
            synced_data: Vec::new(),
            synced_mtime: now,
            unsynced: BTreeSet::new(),
        }
    }

    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.data.len() < end {
            self.data.resize(end, 0);
        }
        self.data[at..end].copy_from_slice(bytes);
        self.unsynced.extend(at / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
        self.mtime = SystemTime::now();
    }

    pub(crate) fn set_len(&mut self, len: usize) {
        let old = self.data.len();
        self.data.resize(len, 0);
        let (low, high) = (old.min(len), old.max(len));
        self.unsynced.extend(low / SECTOR_BYTES..high.div_ceil(SECTOR_BYTES));
        self.mtime = SystemTime::now();
    }

    /// Puts the content on the disk; and the time, unless only the data is wanted.
    pub(crate) fn sync(&mut self, only_data: bool) {
        if !only_data || self.synced_data.len() != self.data.len() {
            self.synced_mtime = self.mtime;
        }
        self.synced_data.resize(self.data.len(), 0);
        for sector in std::mem::take(&mut self.unsynced) {
            self.sync_sector(sector);
        }
        if self.is_folder {
            self.synced_names.clone_from(&self.names);
        }
    }

    fn sync_sector(&mut self, sector: usize) {
        let start = (sector * SECTOR_BYTES).min(self.data.len());
        let end = (start + SECTOR_BYTES).min(self.data.len());
        if self.synced_data.len() < end {
            self.synced_data.resize(end, 0);
        }
        self.synced_data[start..end].copy_from_slice(&self.data[start..end]);
    }

    /// Lets some of what was not synced reach the disk all the same.
    fn sync_some(&mut self, random: &mut Random) {
        for sector in std::mem::take(&mut self.unsynced) {
            if random.below(2) == 0 {
                self.sync_sector(sector);
            }
        }
        if self.synced_data.len() != self.data.len() && random.below(2) == 0 {
            self.synced_data.resize(self.data.len(), 0);
        }
        let both: BTreeSet<OsString> =
            self.names.keys().chain(self.synced_names.keys()).cloned().collect();
        for name in both {
            if random.below(2) == 0 {
                match self.names.get(&name) {
                    Some(ino) => self.synced_names.insert(name, *ino),
                    None => self.synced_names.remove(&name),
                };
            }
        }
    }

    fn lose_unsynced(&mut self) {
        self.unsynced.clear();
        self.data.clone_from(&self.synced_data);
        self.names.clone_from(&self.synced_names);
        self.mtime = self.synced_mtime;
    }
}

impl Disk {
    pub(crate) fn new(is_off: Arc<AtomicBool>) -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::new(true, 0o700))]);
        Self { nodes, next: ROOT + 1, is_off, left: None }
    }

    /// Returns a node, while the power is on.
    pub(crate) fn node(&mut self, ino: u64) -> Answer<&mut Node> {
        if self.is_off.load(Ordering::SeqCst) {
            return Err(Errno::EIO);
        }
        self.nodes.get_mut(&ino).ok_or(Errno::ENOENT)
    }

    /// Counts a change, before it is made.
    pub(crate) fn change(&mut self) -> Answer<()> {
        match &mut self.left {
            Some(0) => self.is_off.store(true, Ordering::SeqCst),
            Some(left) => *left -= 1,
            None => {}
        }
        if self.is_off.load(Ordering::SeqCst) { Err(Errno::EIO) } else { Ok(()) }
    }

    pub(crate) fn find(&mut self, folder: u64, name: &OsStr) -> Answer<u64> {
        self.node(folder)?.names.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub(crate) fn make(
        &mut self,
        folder: u64,
        name: &OsStr,
        is_folder: bool,
        mode: u16,
    ) -> Answer<u64> {
        self.change()?;
        let ino = self.next;
        let names = &mut self.node(folder)?.names;
        if names.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        names.insert(name.to_owned(), ino);
        self.next += 1;
        self.nodes.insert(ino, Node::new(is_folder, mode));
        Ok(ino)
    }

    pub(crate) fn remove(&mut self, folder: u64, name: &OsStr) -> Answer<()> {
        self.change()?;
        let ino = self.find(folder, name)?;
        if !self.node(ino)?.names.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.node(folder)?.names.remove(name);
        Ok(())
    }

    pub(crate) fn rename(
        &mut self,
        (from, name): (u64, &OsStr),
        (to, new): (u64, &OsStr),
    ) -> Answer<()> {
        self.change()?;
        let ino = self.find(from, name)?;
        self.node(from)?.names.remove(name);
        self.node(to)?.names.insert(new.to_owned(), ino);
        Ok(())
    }

    /// Syncs everything.
    pub(crate) fn sync(&mut self) {
        for node in self.nodes.values_mut() {
            node.sync(false);
        }
    }

    /// Cuts the power and puts it on again.
    pub(crate) fn cut(&mut self, cut: Cut, random: &mut Random) {
        for node in self.nodes.values_mut() {
            if cut == Cut::Some {
                node.sync_some(random);
            }
            node.lose_unsynced();
        }
        let (mut reached, mut folders) = (BTreeSet::from([ROOT]), vec![ROOT]);
        while let Some(folder) = folders.pop() {
            for ino in self.nodes[&folder].names.values() {
                if reached.insert(*ino) {
                    folders.push(*ino);
                }
            }
        }
        self.nodes.retain(|ino, _| reached.contains(ino));
        self.left = None;
        self.is_off.store(false, Ordering::SeqCst);
    }
}

#[test]
fn what_was_not_synced_is_gone_when_the_power_was_cut() {
    let name = |text: &str| OsString::from(text);
    let mut disk = Disk::new(Arc::default());
    let mut random = Random::new(1);
    let (kept, lost) = (name("kept"), name("lost"));
    let file = disk.make(ROOT, &kept, false, 0o600).unwrap();
    disk.node(file).unwrap().write(0, b"one");
    disk.node(file).unwrap().sync(true);
    disk.node(ROOT).unwrap().sync(true);
    disk.node(file).unwrap().write(0, b"two");
    let other = disk.make(ROOT, &lost, false, 0o600).unwrap();
    disk.node(other).unwrap().sync(false);
    disk.cut(Cut::Nothing, &mut random);
    assert_eq!(disk.node(file).unwrap().data, b"one");
    assert_eq!(disk.find(ROOT, &lost), Err(Errno::ENOENT), "its name was not synced");
    disk.rename((ROOT, &kept), (ROOT, &lost)).unwrap();
    disk.left = Some(0);
    assert_eq!(disk.change(), Err(Errno::EIO));
    disk.cut(Cut::Nothing, &mut random);
    assert_eq!(disk.find(ROOT, &kept), Ok(file), "the rename was not synced");
}
