//! What calls on files do, by the model: opening, writing, and what a commit makes of it.

use std::rc::Rc;

use chartfs::error::Kind;

use crate::record::{Item, Saved, Seen, Version, save};
use crate::text::{Element, Text};
use crate::world::{
    Draft, Entry, File, Folder, Gone, Names, Place, Record, Shown, Stands, Station, World,
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
    fn seen(&self, place: &Place) -> Seen {
        match self.refused {
            Some(kind) => Seen::Refused(kind),
            None if self.names.iter().any(|n| is_beside(n, place)) => Seen::Conflict,
            None => Seen::Merged,
        }
    }

    /// Takes the name that a text got which clashed with that of `place`.
    fn take(&mut self, place: &Place) -> String {
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

    fn add(&mut self, st: usize, place: &Place, entry: Entry) -> Result<(), Kind> {
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

    /// Commits what an open file holds.
    pub(crate) fn save(&mut self, st: usize, file: usize, is_last: bool) -> Result<(), Kind> {
        let f = self.stations[st].files[file].clone();
        let Some(draft) = f.draft.filter(|d| d.is_dirty) else { return Ok(()) };
        if draft.text.bytes().is_empty() && !is_last {
            return Ok(());
        }
        match f.stands {
            Stands::Local | Stands::Removed => Ok(()),
            Stands::Fresh => self.save_new(st, file, &draft.text),
            Stands::Record(record) => {
                let base = draft.base.clone();
                if self.save_onto(st, &f.place, record, base, &draft.text)? {
                    self.keep_named(st, &f.place, record)?;
                    self.stations[st].files[file].draft = None;
                } else {
                    self.conflict_copy(st, &f.place, &draft.text)?;
                    self.settled(st, file);
                }
                Ok(())
            }
        }
    }

    /// Brings a record back that somebody removed while it was edited here.
    pub(crate) fn keep_named(
        &mut self,
        st: usize,
        place: &Place,
        record: Record,
    ) -> Result<(), Kind> {
        let now = self.world.names[&place.0].clone();
        self.stations[st].names.insert(place.0, now.clone());
        let is_it = |e: &Entry| matches!(e, Entry::File(r, _) if *r == record);
        if now.values().any(is_it) || !self.world.removed.contains(&(place.0, record)) {
            return Ok(());
        }
        let entry = Entry::File(record, self.world.records[&record].form);
        match self.add(st, place, entry) {
            Err(Kind::Exists) => {
                let name = self.saw.take(place);
                self.add(st, &(place.0, name), entry)
            }
            added => added,
        }
    }

    /// Shows the own text for as long as the file is open.
    fn settled(&mut self, st: usize, file: usize) {
        if let Some(draft) = &mut self.stations[st].files[file].draft {
            draft.is_dirty = false;
        }
    }

    /// Commits a text onto a record; false when it clashes with somebody else's.
    pub(crate) fn save_onto(
        &mut self,
        st: usize,
        place: &Place,
        record: Record,
        base: Option<Rc<Version>>,
        text: &Text,
    ) -> Result<bool, Kind> {
        let (world, station) = (&mut self.world, &mut self.stations[st]);
        let text = &Text::parse(&text.bytes());
        let now = world.records[&record].clone();
        let base = base.or_else(|| station.last.get(&record).cloned()).unwrap_or(now.clone());
        let rights = world.rights(place.0);
        let seen = self.saw.seen(place);
        // What is refused without asking the bucket teaches the workstation nothing.
        if let Some(last) = station.last.get(&record).filter(|l| l.commit != now.commit) {
            let numbers = &mut world.numbers;
            if let Saved::Conflict = save(station.user, rights, &base, last, text, seen, numbers)? {
                return Ok(false);
            }
        }
        let saved = save(station.user, rights, &base, &now, text, seen, &mut world.numbers)?;
        let Saved::Version { now: next, kept, shown, again } = saved else {
            station.last.insert(record, now);
            return Ok(false);
        };
        let form = next.form;
        let shown = shown.map(|s| (station.user, s));
        world.commit(record, Rc::new(next));
        station.last.insert(record, world.records[&record].clone());
        self.changed.push(Changed { record, folder: place.0, before: kept, shown, again });
        let stands = self.world.names[&place.0].get(&place.1);
        if matches!(stands, Some(Entry::File(r, f)) if *r == record && *f != form) {
            self.put(st, place, Entry::File(record, form))?;
        }
        Ok(true)
    }

    /// Makes a record of a text.
    pub(crate) fn make(&mut self, st: usize, folder: Folder, text: &Text) -> Result<Entry, Kind> {
        let (user, rights) = (self.stations[st].user, self.world.rights(folder));
        let version = Version::create(user, rights, text, &mut self.world.numbers)?;
        let form = version.form;
        let record = self.world.add_record(version);
        self.stations[st].last.insert(record, self.world.records[&record].clone());
        Ok(Entry::File(record, form))
    }

    /// Keeps a text that clashed beside the record.
    pub(crate) fn conflict_copy(
        &mut self,
        st: usize,
        place: &Place,
        text: &Text,
    ) -> Result<(), Kind> {
        let entry = self.make(st, place.0, text)?;
        let name = self.saw.take(place);
        self.add(st, &(place.0, name), entry)
    }

    fn save_new(&mut self, st: usize, file: usize, text: &Text) -> Result<(), Kind> {
        let place = self.stations[st].files[file].place.clone();
        if let Some(gone) = self.stations[st].files[file].returning.take() {
            let done = self.save_returning(st, file, &gone, text);
            if done.is_err() {
                self.stations[st].files[file].returning = Some(gone);
            }
            return done;
        }
        let entry = match self.make(st, place.0, text) {
            Err(Kind::Denied) if self.may_stand_in(st, &place) => {
                self.stations[st].files[file].stands = Stands::Local;
                self.settled(st, file);
                return Ok(());
            }
            made => made?,
        };
        let mut at = place.clone();
        match self.add(st, &place, entry) {
            Err(Kind::Exists) => {
                at.1 = self.saw.take(&place);
                self.add(st, &at, entry)?;
            }
            added => added?,
        }
        self.settle(st, file, &at, entry);
        Ok(())
    }

    /// Lets a file that was only here stand for a record.
    fn settle(&mut self, st: usize, file: usize, place: &Place, entry: Entry) {
        let Entry::File(record, _) = entry else { return };
        let station = &mut self.stations[st];
        let f = &mut station.files[file];
        station.here.remove(&f.place);
        f.place = place.clone();
        f.stands = Stands::Record(record);
        f.draft = None;
    }

    fn save_returning(
        &mut self,
        st: usize,
        file: usize,
        gone: &Gone,
        text: &Text,
    ) -> Result<(), Kind> {
        let place = self.stations[st].files[file].place.clone();
        let backup = self.backup_of(st, gone);
        let is_done = self.save_onto(st, &place, gone.record, None, text)?;
        if !is_done {
            self.conflict_copy(st, &place, text)?;
        }
        let form = self.world.records[&gone.record].form;
        let entry = Entry::File(gone.record, form);
        let mut place = place;
        self.ask(st, place.0);
        if !self.knows(st, &place, gone.record) {
            match self.add(st, &place, entry) {
                Err(Kind::Exists) => {
                    place.1 = self.saw.take(&place);
                    self.add(st, &place, entry)?;
                }
                added => added?,
            }
        }
        if let Some((at, text)) = backup {
            self.save_backup(st, &at, &text)?;
        }
        self.settle(st, file, &place, entry);
        Ok(())
    }

    /// Says whether the workstation knows a name to stand for a record.
    pub(crate) fn knows(&self, st: usize, place: &Place, record: Record) -> bool {
        let names = self.stations[st].names.get(&place.0).unwrap_or(&self.world.names[&place.0]);
        matches!(names.get(&place.1), Some(Entry::File(r, _)) if *r == record)
    }

    pub(crate) fn backup_of(&mut self, st: usize, gone: &Gone) -> Option<(Place, Text)> {
        let at = gone.moved_to.clone()?;
        let shown = self.place_of(st, &at).ok()?;
        let is_it = matches!(shown, Shown::Record(record, _) if record == gone.record);
        is_it.then(|| (at.clone(), self.stations[st].text(&self.world, at.0, shown)))
    }

    /// Gives the name that a record was moved to a record of its own; of what the user may not
    /// write he keeps the backup here.
    pub(crate) fn save_backup(&mut self, st: usize, at: &Place, text: &Text) -> Result<(), Kind> {
        match self.make(st, at.0, text) {
            Ok(entry) => self.put(st, at, entry),
            Err(Kind::Denied) => {
                let name = at.1.clone();
                self.edit(st, at.0, |names| names.remove(&name).map(drop).ok_or(Kind::NotFound))?;
                let draft = Draft { text: text.clone(), base: None, is_dirty: false };
                let file = self.push(st, at, Stands::Local, Some(draft));
                self.stations[st].files[file].is_open = false;
                self.stations[st].here.insert(at.clone(), file);
                Ok(())
            }
            Err(kind) => Err(kind),
        }
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
        let is_shown = |v: &&Rc<Version>| v.text_for(user, rights).bytes() == text;
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
