//! What calls on names do, by the model: removing, making folders, and times.

use std::rc::Rc;

use chartfs::error::Kind;

use crate::files::Model;
use crate::record::Version;
use crate::text::Text;
use crate::world::{Entry, Folder, Gone, Names, Place, Record, Removal, Shown, Stands};

/// A record, and the form that its folder says it has.
pub(crate) type Known = (Record, crate::text::Form);

pub(crate) fn remove(names: &mut Names, name: &str, entry: Entry) -> Result<(), Kind> {
    let same = |e: &Entry| match (e, &entry) {
        (Entry::File(a, _), Entry::File(b, _)) | (Entry::Folder(a), Entry::Folder(b)) => a == b,
        _ => false,
    };
    names.get(name).filter(|e| same(e)).ok_or(Kind::NotFound)?;
    names.remove(name);
    Ok(())
}

impl Model {
    pub(crate) fn removes(&self, st: usize, folder: Folder) -> bool {
        self.world.rights(folder).removes(self.stations[st].user)
    }

    pub(crate) fn adds(&self, st: usize, folder: Folder) -> bool {
        self.world.rights(folder).adds(self.stations[st].user)
    }

    pub(crate) fn unlink(&mut self, st: usize, place: &Place) -> Result<(), Kind> {
        let (record, form) = match self.place_of(st, place)? {
            Shown::Folder(_) => return Err(Kind::IsDirectory),
            Shown::Here(file) => {
                self.drop_here(st, file);
                return Ok(());
            }
            Shown::Record(record, form) => (record, form),
        };
        let station = &mut self.stations[st];
        let version = station.load(&self.world, record);
        let (user, rights) = (station.user, self.world.rights(place.0));
        if rights.removes(user) && !version.hides(user, rights) {
            self.edit(st, place.0, |names| remove(names, &place.1, Entry::File(record, form)))?;
            self.world.removed.insert((place.0, record));
        } else {
            if !rights.removes(user) && !rights.writes_any(user, version.form.is_cut()) {
                return Err(Kind::Denied);
            }
            self.take_away(st, place, (record, form), &version);
        }
        self.orphan(st, record);
        Ok(())
    }

    pub(crate) fn take_away(
        &mut self,
        st: usize,
        place: &Place,
        (record, form): Known,
        seen: &Version,
    ) {
        let (user, rights) = (self.stations[st].user, self.world.rights(place.0));
        let (removal, seen_by) = if rights.removes(user) {
            (Removal::All, None)
        } else {
            (Removal::Part, Some((user, rights)))
        };
        let changed = seen.changed_in(seen_by);
        let gone = Gone { record, form, removal, changed, moved_to: None };
        self.stations[st].gone.insert(place.clone(), gone);
    }

    /// Lets an open file of a record go on without it.
    pub(crate) fn orphan(&mut self, st: usize, record: Record) {
        if let Some(file) = self.stations[st].file_of(record) {
            self.stations[st].files[file].stands = Stands::Removed;
        }
    }

    pub(crate) fn drop_here(&mut self, st: usize, file: usize) {
        self.leave(st, file);
        self.stations[st].files[file].stands = Stands::Removed;
    }

    /// Takes a file that is only here from its name, to which its record may come back.
    pub(crate) fn leave(&mut self, st: usize, file: usize) {
        let station = &mut self.stations[st];
        let place = station.files[file].place.clone();
        station.here.remove(&place);
        if let Some(gone) = station.files[file].returning.take() {
            station.gone.insert(place, gone);
        }
    }

    pub(crate) fn make_dir(&mut self, st: usize, place: &Place) -> Result<(), Kind> {
        if self.place_of(st, place).is_ok() {
            return Err(Kind::Exists);
        }
        if !self.adds(st, place.0) {
            return Err(Kind::Denied);
        }
        let folder = self.world.add_folder(place.0);
        self.edit(st, place.0, |names| {
            if names.contains_key(&place.1) {
                return Err(Kind::Exists);
            }
            names.insert(place.1.clone(), Entry::Folder(folder));
            Ok(())
        })
    }

    pub(crate) fn remove_dir(&mut self, st: usize, place: &Place) -> Result<(), Kind> {
        let Shown::Folder(folder) = self.place_of(st, place)? else {
            return Err(Kind::NotDirectory);
        };
        if !self.removes(st, place.0) {
            return Err(Kind::Denied);
        }
        self.settle_removals(st, Some(folder));
        let now = self.world.names[&folder].clone();
        self.stations[st].names.insert(folder, now.clone());
        let has_here = self.stations[st].here.keys().any(|p| p.0 == folder);
        if !now.is_empty() || has_here {
            return Err(Kind::NotEmpty);
        }
        self.edit(st, place.0, |names| remove(names, &place.1, Entry::Folder(folder)))
    }

    /// Removes what was taken away and did not come back.
    pub(crate) fn settle_removals(&mut self, st: usize, only: Option<Folder>) {
        let all: Vec<Place> = self.stations[st].gone.keys().cloned().collect();
        for place in all.into_iter().filter(|p| only.is_none_or(|f| f == p.0)) {
            let Some(gone) = self.stations[st].gone.remove(&place) else { continue };
            self.settle_removal(st, &place, &gone);
        }
    }

    fn settle_removal(&mut self, st: usize, place: &Place, gone: &Gone) {
        if gone.removal == Removal::Nothing {
            return;
        }
        let now = self.world.records[&gone.record].clone();
        self.stations[st].last.insert(gone.record, now.clone());
        let (user, rights) = (self.stations[st].user, self.world.rights(place.0));
        let seen_by = (gone.removal == Removal::Part).then_some((user, rights));
        if now.changed_in(seen_by) != gone.changed {
            // Somebody wrote it who did not know.
            return;
        }
        if gone.removal == Removal::Part {
            if let Some(next) = now.take_out(user, rights, &mut self.world.numbers) {
                let next = Rc::new(next);
                self.world.commit(gone.record, next.clone());
                self.stations[st].last.insert(gone.record, next);
            }
            return;
        }
        let entry = Entry::File(gone.record, gone.form);
        // Somebody else may have been first.
        if self.edit(st, place.0, |names| remove(names, &place.1, entry)).is_ok() {
            self.world.removed.insert((place.0, gone.record));
        }
    }
}

impl Model {
    /// Counts the commits that wrap everything below a folder again; says of how many records.
    pub(crate) fn rewrap(&mut self, folder: Folder, manager: usize) -> u64 {
        let mut count = 0;
        for entry in self.world.names[&folder].clone().into_values() {
            match entry {
                Entry::Folder(below) => count += self.rewrap(below, manager),
                Entry::File(record, _) => {
                    let user = self.stations[manager].user;
                    let now = Rc::new(self.world.records[&record].touched(user));
                    self.world.commit(record, now.clone());
                    self.stations[manager].last.insert(record, now);
                    count += 1;
                }
            }
        }
        count
    }

    /// Cuts a file to a length.
    pub(crate) fn cut(&mut self, st: usize, place: &Place, to: usize) -> Result<(), Kind> {
        let (record, version) = self.changeable(st, place)?;
        let rights = self.world.rights(place.0);
        let mut bytes = version.text_for(self.stations[st].user, rights).bytes();
        bytes.resize(to, 0);
        if self.save_onto(st, place, record, Some(version), &Text::Raw(bytes.clone()))? {
            return self.keep_named(st, place, record);
        }
        self.conflict_copy(st, place, &Text::Raw(bytes))
    }

    /// Sets the time of a file.
    pub(crate) fn set_time(&mut self, st: usize, place: &Place) -> Result<(), Kind> {
        let (record, _) = self.changeable(st, place)?;
        let user = self.stations[st].user;
        let now = Rc::new(self.world.records[&record].touched(user));
        self.world.commit(record, now.clone());
        self.stations[st].last.insert(record, now);
        Ok(())
    }

    fn changeable(&mut self, st: usize, place: &Place) -> Result<(Record, Rc<Version>), Kind> {
        let Shown::Record(record, _) = self.place_of(st, place)? else {
            return Err(Kind::IsDirectory);
        };
        let station = &mut self.stations[st];
        let version = station.load(&self.world, record);
        if self.world.rights(place.0).writes_any(station.user, version.form.is_cut()) {
            Ok((record, version))
        } else {
            Err(Kind::Denied)
        }
    }
}
