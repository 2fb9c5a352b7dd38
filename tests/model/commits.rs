//! What a commit makes of a text, by the model: the record that it was made of, one that comes
//! back, a new one, or a copy beside it.

use std::rc::Rc;

use chartfs::error::Kind;

use crate::files::{Changed, Model};
use crate::record::{Saved, Version, save};
use crate::text::Text;
use crate::world::{Draft, Entry, Folder, Gone, Place, Record, Shown, Stands};

impl Model {
    /// Commits what an open file holds.
    pub(crate) fn save(&mut self, st: usize, file: usize, is_last: bool) -> Result<(), Kind> {
        let f = self.stations[st].files[file].clone();
        let Some(draft) = f.draft.filter(|d| d.is_dirty) else { return Ok(()) };
        if draft.text.bytes().is_empty() && !is_last {
            return Ok(());
        }
        match f.stands {
            Stands::Local | Stands::Removed => Ok(()),
            Stands::Fresh => {
                let saved = self.save_new(st, file, &draft.text);
                if saved == Err(Kind::Denied) {
                    // It asks whether another policy is in force now.
                    self.ask(st, f.place.0);
                }
                saved
            }
            Stands::Record(record) => {
                let base = draft.base.clone();
                if self.save_onto(st, &f.place, record, base, &draft.text)? {
                    self.keep_named(st, &f.place, record)?;
                    self.stations[st].files[file].draft = None;
                } else {
                    self.base_on_clash(st, file);
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

    /// Lets a text that clashed with what came since its base clash again.
    fn base_on_clash(&mut self, st: usize, file: usize) {
        let base = self.clashed.take();
        if let Some(draft) = &mut self.stations[st].files[file].draft {
            draft.base = draft.base.take().or(base);
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
                self.clashed = Some(base);
                return Ok(false);
            }
        }
        let saved = save(station.user, rights, &base, &now, text, seen, &mut world.numbers)?;
        let Saved::Version { now: next, kept, shown, again } = saved else {
            station.last.insert(record, now);
            self.clashed = Some(base);
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
        if !self.world.rights(place.0).names_anything(self.stations[st].user) {
            self.ask(st, place.0);
            if !self.knows(st, &place, gone.record) {
                return Err(Kind::Denied);
            }
        }
        let backup = self.backup_of(st, gone);
        let base = self.stations[st].files[file].draft.as_ref().and_then(|d| d.base.clone());
        let is_done = self.save_onto(st, &place, gone.record, base, text)?;
        if !is_done {
            self.base_on_clash(st, file);
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
}
