//! What calls on files do, by the model: opening, writing, closing.

use std::rc::Rc;

use chartfs::error::Kind;

use crate::record::{Item, Seen, Version};
use crate::text::{Element, Text};
use crate::world::{
    Draft, Entry, File, Folder, Names, Place, Record, Shown, Stands, Station, World,
};

/// A record that was saved, and what is promised of its order.
pub(crate) struct Changed {
    pub(crate) record: Record,
    pub(crate) folder: Folder,
    pub(crate) before: Vec<u64>,
    pub(crate) shown: Option<(usize, Vec<Element>)>,
    pub(crate) again: Vec<Item>,
}

/// What the program was seen to do in a call, where it is free: how it ended, and which names the
/// folder has now that the model does not know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Saw {
    pub(crate) refused: Option<Kind>,
    pub(crate) names: Vec<Place>,
}

/// Says whether a name was made for a text that could not have the name of `place`.
fn is_beside(name: &Place, place: &Place) -> bool {
    let stem = place.1.rsplit_once('.').map_or(place.1.as_str(), |p| p.0);
    name.0 == place.0 && name.1.strip_prefix(stem).is_some_and(|n| n.starts_with(" (conflict "))
}

impl Saw {
    pub(crate) fn seen(&self, place: &Place) -> Seen {
        match self.refused {
            Some(kind) => Seen::Refused(kind),
            None if self.names.iter().any(|n| is_beside(n, place)) => Seen::Conflict,
            None => Seen::Merged,
        }
    }

    /// Takes the name that a text got which clashed with that of `place`.
    pub(crate) fn take(&mut self, place: &Place) -> String {
        let at = self.names.iter().position(|n| is_beside(n, place));
        at.map_or_else(|| format!("{} (conflict)", place.1), |at| self.names.remove(at).1)
    }
}

/// The bucket and the workstations.
pub(crate) struct Model {
    pub(crate) world: World,
    pub(crate) stations: Vec<Station>,
    pub(crate) changed: Vec<Changed>,
    /// Files that were put aside under a name that the program chooses.
    pub(crate) rejected: Vec<(usize, usize)>,
    pub(crate) saw: Saw,
    /// What the text that clashed last was made of.
    pub(crate) clashed: Option<Rc<Version>>,
}

const LOCAL: [&str; 3] = [".tmp", "~", ".bak"];

pub(crate) fn is_local(name: &str) -> bool {
    LOCAL.iter().any(|tail| name.ends_with(tail))
}

/// Says whether a file of that name is taken for the new text of another one.
fn is_stand_in(name: &str, others: &Names) -> bool {
    name.ends_with(".new")
        || others.keys().any(|o| name.len() > o.len() && name.contains(o.as_str()))
}

impl Model {
    pub(crate) fn place_of(&mut self, st: usize, place: &Place) -> Result<Shown, Kind> {
        self.stations[st].show(&self.world, place)
    }

    /// Changes the names of a folder.
    pub(crate) fn edit(
        &mut self,
        st: usize,
        folder: Folder,
        change: impl FnOnce(&mut Names) -> Result<(), Kind>,
    ) -> Result<(), Kind> {
        let user = self.stations[st].user;
        let mut names = self.world.names[&folder].clone();
        let changed = change(&mut names);
        if changed.is_ok() {
            if !self.world.rights(folder).names_anything(user) {
                return Err(Kind::Denied);
            }
            self.world.names.insert(folder, names.clone());
        }
        let now = self.world.names[&folder].clone();
        self.stations[st].names.insert(folder, now);
        changed
    }

    pub(crate) fn put(&mut self, st: usize, place: &Place, entry: Entry) -> Result<(), Kind> {
        let name = place.1.clone();
        self.edit(st, place.0, |names| {
            names.insert(name, entry);
            Ok(())
        })
    }

    pub(crate) fn add(&mut self, st: usize, place: &Place, entry: Entry) -> Result<(), Kind> {
        let name = place.1.clone();
        self.edit(st, place.0, |names| {
            if names.contains_key(&name) {
                return Err(Kind::Exists);
            }
            names.insert(name, entry);
            Ok(())
        })
    }

    pub(crate) fn may_stand_in(&mut self, st: usize, place: &Place) -> bool {
        let station = &mut self.stations[st];
        let rights = self.world.rights(place.0);
        rights.writes_any(station.user, true)
            && is_stand_in(&place.1, station.look(&self.world, place.0))
    }

    /// Opens a file for reading and writing.
    pub(crate) fn open(&mut self, st: usize, place: &Place) -> Result<usize, Kind> {
        match self.place_of(st, place)? {
            Shown::Folder(_) => Err(Kind::IsDirectory),
            Shown::Here(file) => {
                self.stations[st].files[file].is_open = true;
                Ok(file)
            }
            Shown::Record(record, _) => {
                let station = &mut self.stations[st];
                let version = station.load(&self.world, record);
                let (user, rights) = (station.user, self.world.rights(place.0));
                let is_cut = version.form.is_cut();
                if !rights.writes_any(user, is_cut) || !rights.reads_any(user, is_cut) {
                    return Err(Kind::Denied);
                }
                let file = self.push(st, place, Stands::Record(record), None);
                self.stations[st].files[file].clean = Some(version);
                Ok(file)
            }
        }
    }

    pub(crate) fn push(
        &mut self,
        st: usize,
        place: &Place,
        stands: Stands,
        draft: Option<Draft>,
    ) -> usize {
        let file = File {
            place: place.clone(),
            stands,
            draft,
            clean: None,
            returning: None,
            is_open: true,
        };
        self.stations[st].files.push(file);
        self.stations[st].files.len() - 1
    }

    /// Opens a file, or makes it.
    pub(crate) fn create(&mut self, st: usize, place: &Place) -> Result<usize, Kind> {
        match self.open(st, place) {
            Err(Kind::NotFound) => {}
            done => return done,
        }
        let mut stands = if is_local(&place.1) { Stands::Local } else { Stands::Fresh };
        let gone = self.stations[st].gone.get(place).cloned();
        if stands == Stands::Fresh && gone.is_none() {
            if self.stations[st].look(&self.world, place.0).contains_key(&place.1) {
                return Err(Kind::Denied);
            }
            if !self.world.rights(place.0).adds(self.stations[st].user) {
                if !self.may_stand_in(st, place) {
                    return Err(Kind::Denied);
                }
                stands = Stands::Local;
            }
        }
        let is_dirty = stands == Stands::Fresh;
        let draft = Draft { text: Text::Raw(Vec::new()), base: None, is_dirty };
        let file = self.push(st, place, stands, Some(draft));
        let station = &mut self.stations[st];
        station.files[file].returning = station.gone.remove(place);
        station.here.insert(place.clone(), file);
        Ok(file)
    }

    /// Gives an open file another text.
    pub(crate) fn write(&mut self, st: usize, file: usize, text: Text) {
        let station = &mut self.stations[st];
        let base = match &station.files[file].draft {
            Some(draft) => draft.base.clone(),
            // What was shown last, not what there is now.
            None => station.files[file].clean.clone(),
        };
        station.files[file].draft = Some(Draft { text, base, is_dirty: true });
    }

    /// Closes a file; what is refused is put aside.
    pub(crate) fn close(&mut self, st: usize, file: usize) {
        let refused = self.save(st, file, true).err();
        let f = &mut self.stations[st].files[file];
        f.is_open = false;
        if matches!(refused, Some(Kind::Denied | Kind::Usage | Kind::Unsupported)) {
            self.reject(st, file);
        }
        let f = &mut self.stations[st].files[file];
        let is_kept = f.stands == Stands::Local || f.draft.as_ref().is_some_and(|d| d.is_dirty);
        if !is_kept {
            f.draft = None;
        }
    }

    /// Puts the text of a file beside it, here only.
    fn reject(&mut self, st: usize, file: usize) {
        let place = self.stations[st].files[file].place.clone();
        let station = &mut self.stations[st];
        let aside = match station.files[file].stands {
            Stands::Fresh => {
                // What was taken away for this text stays.
                station.here.remove(&place);
                station.files[file].returning = None;
                station.files[file].stands = Stands::Local;
                file
            }
            Stands::Record(_) => {
                let draft = station.files[file].draft.take();
                let copy = self.push(st, &place, Stands::Local, draft);
                self.stations[st].files[copy].is_open = false;
                copy
            }
            Stands::Local | Stands::Removed => return,
        };
        self.rejected.push((st, aside));
    }
}

impl Model {
    /// What a workstation that believes what it knows shows of a record may be of a later version
    /// than the one that it showed before, and never of an earlier one: nobody promises when it
    /// learns.
    pub(crate) fn learn(&mut self, st: usize, folder: Folder, record: Record, text: &[u8]) {
        let (station, world) = (&mut self.stations[st], &self.world);
        let (user, rights) = (station.user, world.rights(folder));
        let mut version = station.load(world, record);
        let is_shown = |v: &&Rc<Version>| v.text_for(user, rights).is_shown_as(text);
        let file = station.file_of(record);
        let is_draft = file.is_some_and(|f| station.files[f].draft.is_some());
        if !is_draft && !is_shown(&&version) {
            let newer = world.after(record, version.commit).find(is_shown);
            version = newer.unwrap_or(&version).clone();
            station.last.insert(record, version.clone());
        }
        if let Some(file) = file {
            station.files[file].clean = Some(version);
        }
    }

    /// Returns what whoever has a file open reads.
    pub(crate) fn open_text(&mut self, st: usize, file: usize) -> Text {
        let station = &self.stations[st];
        let f = &station.files[file];
        match (&f.draft, &f.clean) {
            (Some(draft), _) => draft.text.clone(),
            (None, Some(clean)) => clean.text_for(station.user, self.world.rights(f.place.0)),
            (None, None) => Text::Raw(Vec::new()),
        }
    }
}
