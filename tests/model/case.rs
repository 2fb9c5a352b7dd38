//! One case: people at their workstations, the model beside them, and calls that are made on both.

use std::sync::Arc;

use bytes::Bytes;
use chartfs::error::{Kind, Result as Answer};
use chartfs::view::{Access, Handle, Ino, RenameMode, SetAttr, View};

use crate::compare::read;
use crate::files::{Model, Saw};
use crate::rights::{OWNER, PHARMACIST, PHYSICIAN, SISTER};
use crate::site::{Desk, Site};
use crate::text::Text;
use crate::world::{Entry, Folder, Place, Shown, Station, TOP, World};

/// What is wrong, in words.
pub(crate) type Trouble = String;
/// How a call ended.
pub(crate) type Did = Result<(), Kind>;

/// Who sits at the workstations.
pub(crate) const DESKS: [usize; 7] =
    [PHYSICIAN, PHYSICIAN, PHARMACIST, PHARMACIST, SISTER, OWNER, OWNER];
/// The owner's workstation that sets policies; it always asks the bucket.
pub(crate) const MANAGER: usize = 5;

/// A mounted workstation.
pub(crate) struct Mounted {
    pub(crate) desk: Desk,
    pub(crate) view: Arc<View>,
    pub(crate) handles: [Option<(Handle, Ino)>; 2],
}

/// One case.
pub(crate) struct Case<'s> {
    pub(crate) site: &'s Site,
    pub(crate) top: String,
    pub(crate) model: Model,
    pub(crate) mounted: Vec<Mounted>,
    /// The owner at a workstation of his own, who says what is stored.
    pub(crate) observer: Arc<View>,
}

pub(crate) fn did<T>(answer: &Answer<T>) -> Did {
    answer.as_ref().map(|_| ()).map_err(chartfs::error::Error::kind)
}

fn agree(what: &str, real: Did, model: Did) -> Result<Did, Trouble> {
    if real == model {
        return Ok(real);
    }
    Err(format!("{what}: the program said {real:?}, the model {model:?}"))
}

pub(crate) const READ_WRITE: Access =
    Access { read: true, write: true, truncate: false, append: false };

impl<'s> Case<'s> {
    /// Makes a folder for the case, with one in it that has a policy of its own.
    pub(crate) async fn begin(
        site: &'s Site,
        desks: &[Desk],
        number: u64,
        stale: u8,
        policy: usize,
    ) -> Result<Self, Trouble> {
        let observer = site.mount(&Desk::new(OWNER, false)).await;
        let mut mounted = Vec::new();
        let mut stations = Vec::new();
        for (i, desk) in desks.iter().enumerate() {
            let is_stale = stale >> i & 1 == 1 && i != MANAGER;
            let desk = Desk { is_stale, ..desk.clone() };
            let view = site.mount(&desk).await;
            stations.push(Station::new(desk.user, is_stale));
            mounted.push(Mounted { desk, view, handles: [None; 2] });
        }
        let top = format!("/case-{number}");
        let mut world = World::new();
        let own = world.add_folder(TOP);
        world.names.entry(TOP).or_default().insert("own".to_owned(), Entry::Folder(own));
        world.set_policy(own, policy);
        let manager = &mounted[MANAGER].view;
        let ino = manager.make_path(&format!("{top}/own")).await.expect("the owner may add");
        let text = crate::rights::POLICIES[policy].text();
        manager.set_policy(ino, &text).await.expect("the owner manages");
        let saw = Saw::default();
        let (changed, rejected) = (Vec::new(), Vec::new());
        let model = Model { world, stations, changed, rejected, saw, clashed: None };
        let mut case = Self { site, top, model, mounted, observer };
        for st in 0..case.mounted.len() {
            case.mount_again(st).await?;
        }
        Ok(case)
    }

    /// Mounts the drive of a workstation again, which loses what only it had.
    pub(crate) async fn mount_again(&mut self, st: usize) -> Result<(), Trouble> {
        self.mounted[st].view = self.site.mount(&self.mounted[st].desk).await;
        self.mounted[st].handles = [None; 2];
        self.model.stations[st].restart();
        self.model.rejected.retain(|r| r.0 != st);
        self.compare_shown(st).await
    }

    pub(crate) fn path(&mut self, st: usize, folder: Folder) -> String {
        let folders = self.model.stations[st].folders(&self.model.world);
        let found = folders.into_iter().find(|f| f.0 == folder);
        format!("{}{}", self.top, found.map(|f| f.1).unwrap_or_default())
    }

    async fn ino(&mut self, st: usize, folder: Folder) -> Result<Ino, Trouble> {
        let path = self.path(st, folder);
        let found = self.mounted[st].view.resolve(&path).await;
        found.map(|a| a.ino).map_err(|e| format!("{path} is not there: {:?}", e.kind()))
    }

    pub(crate) async fn file_ino(&mut self, st: usize, place: &Place) -> Answer<Ino> {
        let path = format!("{}/{}", self.path(st, place.0), place.1);
        Ok(self.mounted[st].view.resolve(&path).await?.ino)
    }

    /// Looks which names for texts that clashed are new in a folder.
    pub(crate) async fn saw(&mut self, folder: Folder, real: Did) -> Result<(), Trouble> {
        let paths = self.stored_folders();
        let mut saw = Saw { refused: real.err(), names: Vec::new() };
        let path = paths.iter().find(|p| p.0 == folder).map(|p| p.1.clone());
        let entries = match path {
            Some(path) => self.observer.list_path(&path).await.map_err(|e| e.to_string())?,
            None => Vec::new(),
        };
        for entry in entries {
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            let is_known = self.model.world.names[&folder].contains_key(&name);
            if !is_known && name.contains(" (conflict ") {
                saw.names.push((folder, name));
            }
        }
        // The first of several has no number.
        saw.names.sort_by_key(|n| n.1.len());
        self.model.saw = saw;
        Ok(())
    }

    /// Returns every folder that is stored, with its path.
    pub(crate) fn stored_folders(&self) -> Vec<(Folder, String)> {
        let mut all = vec![(TOP, self.top.clone())];
        let mut at = 0;
        while at < all.len() {
            let (folder, path) = all[at].clone();
            for (name, entry) in &self.model.world.names[&folder] {
                if let Entry::Folder(below) = entry {
                    all.push((*below, format!("{path}/{name}")));
                }
            }
            at += 1;
        }
        all
    }

    /// Opens a file, or makes it, and gives it a text, as a program does that saves.
    pub(crate) async fn put_file(
        &mut self,
        st: usize,
        place: &Place,
        text: Option<&Text>,
    ) -> Result<Did, Trouble> {
        let parent = self.ino(st, place.0).await?;
        let is_there = self.model.place_of(st, place).is_ok();
        let real = self.real_put(st, parent, place, text, is_there).await;
        self.saw(place.0, real).await?;
        let model = self.model.create(st, place).and_then(|file| {
            if let Some(text) = text {
                self.model.write(st, file, text.clone());
            }
            let saved = self.model.save(st, file, false);
            self.model.close(st, file);
            saved
        });
        agree(&format!("saving {place:?}"), real, model)
    }

    async fn real_put(
        &mut self,
        st: usize,
        parent: Ino,
        place: &Place,
        text: Option<&Text>,
        is_there: bool,
    ) -> Did {
        let known = if is_there { self.file_ino(st, place).await.ok() } else { None };
        let view = self.mounted[st].view.clone();
        let opened = if let Some(ino) = known {
            let access = Access { truncate: text.is_some(), ..READ_WRITE };
            view.open(ino, access).await
        } else {
            let made = view.create(parent, place.1.as_bytes(), false, 0o600).await;
            made.map(|(attr, opened)| {
                view.forget(attr.ino, 1);
                opened
            })
        };
        let handle = opened.map_err(|e| e.kind())?.handle;
        if let Some(text) = text {
            did(&view.write(handle, 0, Bytes::from(text.bytes())).await)?;
        }
        let flushed = did(&view.flush(handle).await);
        view.release(handle).await;
        flushed
    }

    pub(crate) async fn rename(
        &mut self,
        st: usize,
        from: &Place,
        to: &Place,
        is_exclusive: bool,
    ) -> Result<Did, Trouble> {
        let (a, b) = (self.ino(st, from.0).await?, self.ino(st, to.0).await?);
        let mode = if is_exclusive { RenameMode::NoReplace } else { RenameMode::Replace };
        let view = &self.mounted[st].view;
        let real = did(&view.rename(a, from.1.as_bytes(), b, to.1.as_bytes(), mode).await);
        self.saw(to.0, real).await?;
        let model = self.model.rename(st, from, to, is_exclusive);
        agree(&format!("renaming {from:?} to {to:?}"), real, model)
    }

    pub(crate) async fn unlink(&mut self, st: usize, place: &Place) -> Result<Did, Trouble> {
        let parent = self.ino(st, place.0).await?;
        let real = did(&self.mounted[st].view.unlink(parent, place.1.as_bytes()).await);
        agree(&format!("removing {place:?}"), real, self.model.unlink(st, place))
    }

    pub(crate) async fn make_dir(&mut self, st: usize, place: &Place) -> Result<Did, Trouble> {
        let parent = self.ino(st, place.0).await?;
        let view = &self.mounted[st].view;
        let made = view.make_dir(parent, place.1.as_bytes(), 0o700).await;
        if let Ok(attr) = &made {
            view.forget(attr.ino, 1);
        }
        agree(&format!("making the folder {place:?}"), did(&made), self.model.make_dir(st, place))
    }

    pub(crate) async fn remove_dir(&mut self, st: usize, place: &Place) -> Result<Did, Trouble> {
        let parent = self.ino(st, place.0).await?;
        let real = did(&self.mounted[st].view.remove_dir(parent, place.1.as_bytes()).await);
        let model = self.model.remove_dir(st, place);
        agree(&format!("removing the folder {place:?}"), real, model)
    }

    /// Opens a file for longer and reads it.
    pub(crate) async fn open(
        &mut self,
        st: usize,
        slot: usize,
        place: &Place,
    ) -> Result<Did, Trouble> {
        let ino = self.file_ino(st, place).await;
        let view = self.mounted[st].view.clone();
        let opened = match &ino {
            Ok(ino) => view.open(*ino, READ_WRITE).await,
            Err(e) => Err(e.duplicate()),
        };
        let real = did(&opened);
        let model = self.model.open(st, place);
        let _ = agree(&format!("opening {place:?}"), real, model.map(|_| ()))?;
        let (Ok(opened), Ok(ino), Ok(file)) = (opened, ino, model) else { return Ok(real) };
        self.mounted[st].handles[slot] = Some((opened.handle, ino));
        self.model.stations[st].slots[slot] = Some(file);
        self.read(st, slot).await?;
        Ok(real)
    }

    /// Reads an open file.
    pub(crate) async fn read(&mut self, st: usize, slot: usize) -> Result<(), Trouble> {
        let (Some((handle, _)), Some(file)) =
            (self.mounted[st].handles[slot], self.model.stations[st].slots[slot])
        else {
            return Ok(());
        };
        let real = self.mounted[st].view.read(handle, 0, 1 << 20).await;
        let real = real.map_err(|e| format!("an open file is not read: {e}"))?;
        let model = self.model.open_text(st, file).bytes();
        if real == model {
            return Ok(());
        }
        let shown = [&real[..], &model].map(String::from_utf8_lossy);
        Err(format!("an open file says {:?}, the model {:?}", shown[0], shown[1]))
    }

    /// Reads a file as programs do before they save it.
    pub(crate) async fn read_path(
        &mut self,
        st: usize,
        place: &Place,
        text: &Text,
    ) -> Result<(), Trouble> {
        let path = format!("{}/{}", self.path(st, place.0), place.1);
        let rights = self.model.world.rights(place.0);
        if !rights.reads_any(self.model.stations[st].user, text.form().is_cut()) {
            return Ok(());
        }
        let real = read(&self.mounted[st].view, &path).await?;
        if text.is_shown_as(&real) {
            return Ok(());
        }
        Err(format!("{path} says {:?} before it is saved", String::from_utf8_lossy(&real)))
    }

    /// Gives an open file another text.
    pub(crate) async fn write(
        &mut self,
        st: usize,
        slot: usize,
        text: &Text,
    ) -> Result<(), Trouble> {
        let (Some((handle, ino)), Some(file)) =
            (self.mounted[st].handles[slot], self.model.stations[st].slots[slot])
        else {
            return Ok(());
        };
        let view = self.mounted[st].view.clone();
        let empty = SetAttr { size_bytes: Some(0), ..SetAttr::default() };
        let done = match view.set_attr(ino, Some(handle), empty).await {
            Ok(_) => view.write(handle, 0, Bytes::from(text.bytes())).await,
            Err(e) => Err(e),
        };
        done.map_err(|e| format!("an open file is not written: {e}"))?;
        self.model.write(st, file, text.clone());
        Ok(())
    }

    /// Commits an open file.
    pub(crate) async fn flush(&mut self, st: usize, slot: usize) -> Result<(), Trouble> {
        let (Some((handle, _)), Some(file)) =
            (self.mounted[st].handles[slot], self.model.stations[st].slots[slot])
        else {
            return Ok(());
        };
        let real = did(&self.mounted[st].view.flush(handle).await);
        let place = self.model.stations[st].files[file].place.clone();
        self.saw(place.0, real).await?;
        let model = self.model.save(st, file, false);
        agree(&format!("committing {place:?}"), real, model).map(|_| ())
    }

    /// Closes an open file, as `close` does.
    pub(crate) async fn close(&mut self, st: usize, slot: usize) -> Result<(), Trouble> {
        self.flush(st, slot).await?;
        let (Some((handle, _)), Some(file)) =
            (self.mounted[st].handles[slot].take(), self.model.stations[st].slots[slot].take())
        else {
            return Ok(());
        };
        self.mounted[st].view.release(handle).await;
        let place = self.model.stations[st].files[file].place.clone();
        let refused = self.model.saw.refused;
        self.saw(place.0, refused.map_or(Ok(()), Err)).await?;
        self.model.close(st, file);
        Ok(())
    }

    /// Says whether a name is that of a file that is open at this workstation.
    pub(crate) fn is_open(&mut self, st: usize, place: &Place) -> bool {
        let file = match self.model.place_of(st, place) {
            Ok(Shown::Here(file)) => Some(file),
            Ok(Shown::Record(record, _)) => self.model.stations[st].file_of(record),
            _ => None,
        };
        file.is_some_and(|f| self.model.stations[st].slots.contains(&Some(f)))
    }
}
