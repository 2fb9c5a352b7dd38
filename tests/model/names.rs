//! What calls on names do, by the model: removing, making folders, renaming.

use std::rc::Rc;

use chartfs::error::Kind;

use crate::files::{Model, is_local};
use crate::record::Version;
use crate::text::Text;
use crate::world::{Draft, Entry, Folder, Gone, Names, Place, Record, Removal, Shown, Stands};

/// A record, and the form that its folder says it has.
type Known = (Record, crate::text::Form);

fn remove(names: &mut Names, name: &str, entry: Entry) -> Result<(), Kind> {
    let same = |e: &Entry| match (e, &entry) {
        (Entry::File(a, _), Entry::File(b, _)) | (Entry::Folder(a), Entry::Folder(b)) => a == b,
        _ => false,
    };
    names.get(name).filter(|e| same(e)).ok_or(Kind::NotFound)?;
    names.remove(name);
    Ok(())
}

impl Model {
    fn removes(&self, st: usize, folder: Folder) -> bool {
        self.world.rights(folder).removes(self.stations[st].user)
    }

    fn adds(&self, st: usize, folder: Folder) -> bool {
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

    fn take_away(&mut self, st: usize, place: &Place, (record, form): Known, seen: &Version) {
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
    fn orphan(&mut self, st: usize, record: Record) {
        if let Some(file) = self.stations[st].file_of(record) {
            self.stations[st].files[file].stands = Stands::Removed;
        }
    }

    fn drop_here(&mut self, st: usize, file: usize) {
        self.leave(st, file);
        self.stations[st].files[file].stands = Stands::Removed;
    }

    /// Takes a file that is only here from its name, to which its record may come back.
    fn leave(&mut self, st: usize, file: usize) {
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

    pub(crate) fn rename(
        &mut self,
        st: usize,
        from: &Place,
        to: &Place,
        is_exclusive: bool,
    ) -> Result<(), Kind> {
        for tries in 1.. {
            let done = self.rename_now(st, from, to, is_exclusive);
            let is_outdated = match done {
                Err(Kind::NotFound) => tries == 1,
                Err(Kind::Exists) => !is_exclusive && tries < 16,
                _ => false,
            };
            if !is_outdated {
                return done;
            }
            self.ask(st, from.0);
            self.ask(st, to.0);
        }
        Ok(())
    }

    /// Lets a workstation see the names of a folder as they are.
    pub(crate) fn ask(&mut self, st: usize, folder: Folder) {
        let now = self.world.names[&folder].clone();
        self.stations[st].names.insert(folder, now);
    }

    fn rename_now(
        &mut self,
        st: usize,
        from: &Place,
        to: &Place,
        is_exclusive: bool,
    ) -> Result<(), Kind> {
        if from == to {
            return Ok(());
        }
        let shown = self.place_of(st, from)?;
        let target = self.place_of(st, to).ok();
        if is_exclusive && target.is_some() {
            return Err(Kind::Exists);
        }
        match shown {
            Shown::Folder(folder) => self.rename_folder(st, from, to, folder, target),
            Shown::Here(file) => self.rename_here(st, file, to, target),
            Shown::Record(record, form) => {
                if let Some(file) = self.stations[st].file_of(record) {
                    self.save(st, file, true)?;
                }
                self.rename_record(st, from, to, (record, form), target)
            }
        }
    }

    fn rename_folder(
        &mut self,
        st: usize,
        from: &Place,
        to: &Place,
        folder: Folder,
        target: Option<Shown>,
    ) -> Result<(), Kind> {
        if !self.removes(st, from.0) || !self.adds(st, to.0) {
            return Err(Kind::Denied);
        }
        if self.world.is_below(to.0, folder) {
            return Err(Kind::Usage);
        }
        match target {
            None => {}
            Some(Shown::Folder(_)) => self.remove_dir(st, to)?,
            Some(_) => return Err(Kind::NotDirectory),
        }
        self.move_entry(st, from, to, Entry::Folder(folder), None)?;
        self.world.move_folder(folder, to.0);
        Ok(())
    }

    fn move_entry(
        &mut self,
        st: usize,
        from: &Place,
        to: &Place,
        entry: Entry,
        over: Option<Record>,
    ) -> Result<(), Kind> {
        let give = |names: &mut Names| {
            let is_free = match names.get(&to.1) {
                None => true,
                Some(Entry::File(record, _)) => over == Some(*record),
                Some(Entry::Folder(_)) => false,
            };
            let is_over_elsewhere = from.0 != to.0 && over.is_some();
            if !(is_free || is_over_elsewhere) {
                return Err(Kind::Exists);
            }
            names.insert(to.1.clone(), entry);
            Ok(())
        };
        if from.0 == to.0 {
            return self.edit(st, from.0, |names| {
                let mut changed = names.clone();
                remove(&mut changed, &from.1, entry)?;
                give(&mut changed)?;
                *names = changed;
                Ok(())
            });
        }
        self.edit(st, to.0, give)?;
        let left = self.edit(st, from.0, |names| remove(names, &from.1, entry));
        if left == Err(Kind::NotFound) {
            self.edit(st, to.0, |names| remove(names, &to.1, entry))?;
        }
        left
    }

    /// The record whose name a file is renamed to, or to whose name it comes back.
    fn over(
        &mut self,
        st: usize,
        to: &Place,
        target: Option<Shown>,
    ) -> Result<Option<Known>, Kind> {
        if let Some(Shown::Record(..)) = target {
            self.ask(st, to.0);
            return match self.world.names[&to.0].get(&to.1) {
                Some(Entry::File(record, form)) => Ok(Some((*record, *form))),
                _ => Err(Kind::NotFound),
            };
        }
        Ok(self.gone_of(st, to).map(|g| (g.record, g.form)))
    }

    /// What stood under a name that was taken away, be it that it came back and is not committed.
    fn gone_of(&self, st: usize, to: &Place) -> Option<Gone> {
        let station = &self.stations[st];
        let back = station.here.get(to).and_then(|f| station.files[*f].returning.clone());
        station.gone.get(to).cloned().or(back)
    }

    fn rename_here(
        &mut self,
        st: usize,
        file: usize,
        to: &Place,
        target: Option<Shown>,
    ) -> Result<(), Kind> {
        if matches!(target, Some(Shown::Folder(_))) {
            return Err(Kind::IsDirectory);
        }
        if let Some(over) = self.over(st, to, target)?.filter(|_| !is_local(&to.1)) {
            let from = self.stations[st].files[file].place.clone();
            let text = self.stations[st].text(&self.world, from.0, Shown::Here(file));
            let record = self.text_over(st, to, over, &text)?;
            self.leave(st, file);
            self.become_record(st, file, to, record);
            return Ok(());
        }
        let stands = self.stations[st].files[file].stands;
        let is_new = stands == Stands::Local && !is_local(&to.1);
        if is_new && !self.adds(st, to.0) {
            return Err(Kind::Denied);
        }
        let other = target.and_then(|t| if let Shown::Here(f) = t { Some(f) } else { None });
        let back = self.stations[st].files[file].place.clone();
        self.leave(st, file);
        let station = &mut self.stations[st];
        station.here.insert(to.clone(), file);
        station.files[file].place = to.clone();
        if is_local(&to.1) {
            station.files[file].stands = Stands::Local;
            if let Some(other) = other {
                station.files[other].stands = Stands::Removed;
            }
            return Ok(());
        }
        if is_new {
            station.files[file].stands = Stands::Fresh;
        }
        if let Some(draft) = station.files[file].draft.as_mut().filter(|_| is_new) {
            draft.is_dirty = true;
        }
        let saved = self.save(st, file, true);
        let station = &mut self.stations[st];
        match (saved, other) {
            (Ok(()), Some(other)) => station.files[other].stands = Stands::Removed,
            (Err(_), _) => {
                self.undo_rename(st, file, &back, stands);
                if let Some(other) = other {
                    self.stations[st].here.insert(to.clone(), other);
                }
            }
            _ => {}
        }
        saved
    }

    fn undo_rename(&mut self, st: usize, file: usize, back: &Place, stands: Stands) {
        let station = &mut self.stations[st];
        let place = station.files[file].place.clone();
        station.here.remove(&place);
        station.here.insert(back.clone(), file);
        station.files[file].returning = station.gone.remove(back);
        station.files[file].place = back.clone();
        station.files[file].stands = stands;
    }

    /// Merges a text into the record that has a name, or had it just before.
    fn text_over(
        &mut self,
        st: usize,
        to: &Place,
        over: Known,
        text: &Text,
    ) -> Result<Record, Kind> {
        let gone = self.gone_of(st, to);
        let backup = gone.as_ref().and_then(|g| self.backup_of(st, g));
        let mut record = over.0;
        loop {
            if !self.save_onto(st, to, record, None, text)? {
                return Err(Kind::Conflict);
            }
            self.ask(st, to.0);
            let entry = Entry::File(record, self.world.records[&record].form);
            match self.world.names[&to.0].get(&to.1).copied() {
                Some(Entry::Folder(_)) => return Err(Kind::IsDirectory),
                Some(Entry::File(other, _)) if other != record => record = other,
                Some(now) if now == entry => break,
                _ => {
                    self.put(st, to, entry)?;
                    break;
                }
            }
        }
        if let Some((at, text)) = backup {
            self.save_backup(st, &at, &text)?;
        }
        let station = &mut self.stations[st];
        station.gone.remove(to);
        if let Some(other) = station.here.remove(to) {
            (station.files[other].stands, station.files[other].returning) = (Stands::Removed, None);
        }
        Ok(record)
    }

    /// Lets a file stand for the record whose name it took; whoever has the old one open keeps it.
    fn become_record(&mut self, st: usize, file: usize, to: &Place, record: Record) {
        self.orphan(st, record);
        let f = &mut self.stations[st].files[file];
        f.place = to.clone();
        f.stands = Stands::Record(record);
        f.draft = None;
    }

    fn rename_record(
        &mut self,
        st: usize,
        from: &Place,
        to: &Place,
        (record, form): Known,
        target: Option<Shown>,
    ) -> Result<(), Kind> {
        if is_local(&to.1) {
            return self.move_away(st, from, to, (record, form));
        }
        if self.world.policy(from.0) != self.world.policy(to.0) {
            return Err(Kind::OtherPolicy);
        }
        let user = self.stations[st].user;
        let version = self.stations[st].last.get(&record).cloned();
        let version = version.unwrap_or_else(|| self.world.records[&record].clone());
        if !self.removes(st, from.0) && !version.made_by(user) {
            return Err(Kind::Denied);
        }
        if let Some(Shown::Folder(_)) = target {
            return Err(Kind::IsDirectory);
        }
        let entry = Entry::File(record, form);
        if let Some(Shown::Here(other)) = target {
            self.drop_here(st, other);
        }
        if let Some(over) = self.over(st, to, target)? {
            return self.record_over(st, (from, to), (record, form), over);
        }
        if !self.adds(st, to.0) {
            return Err(Kind::Denied);
        }
        self.move_entry(st, from, to, entry, None)?;
        if version.hides(user, self.world.rights(to.0)) {
            let (removal, moved_to) = (Removal::Nothing, Some(to.clone()));
            let gone = Gone { record, form, removal, changed: 0, moved_to };
            self.stations[st].gone.insert(from.clone(), gone);
        }
        if let Some(file) = self.stations[st].file_of(record) {
            self.stations[st].files[file].place = to.clone();
        }
        Ok(())
    }

    fn move_away(
        &mut self,
        st: usize,
        from: &Place,
        to: &Place,
        (record, form): Known,
    ) -> Result<(), Kind> {
        let user = self.stations[st].user;
        let is_removal = self.removes(st, from.0);
        if !is_removal && !self.world.rights(from.0).writes_any(user, form.is_cut()) {
            return Err(Kind::Denied);
        }
        let shown = Shown::Record(record, form);
        let text = self.stations[st].text(&self.world, from.0, shown);
        if let Some(old) = self.stations[st].here.get(to).copied() {
            self.drop_here(st, old);
        }
        let last = self.stations[st].last.get(&record).cloned();
        let version = last.unwrap_or_else(|| self.world.records[&record].clone());
        self.take_away(st, from, (record, form), &version);
        let draft = Draft { text, base: None, is_dirty: false };
        let file = match self.stations[st].file_of(record) {
            Some(file) => file,
            None => self.push(st, to, Stands::Local, None),
        };
        let is_open = self.stations[st].slots.contains(&Some(file));
        let f = &mut self.stations[st].files[file];
        (f.stands, f.draft, f.place, f.is_open) = (Stands::Local, Some(draft), to.clone(), is_open);
        self.stations[st].here.insert(to.clone(), file);
        Ok(())
    }

    fn record_over(
        &mut self,
        st: usize,
        (from, to): (&Place, &Place),
        moved: Known,
        over: Known,
    ) -> Result<(), Kind> {
        let user = self.stations[st].user;
        let rights = self.world.rights(from.0);
        let station = &mut self.stations[st];
        let last = station.last.get(&moved.0).cloned();
        let ours = last.unwrap_or_else(|| self.world.records[&moved.0].clone());
        let theirs = station.load(&self.world, over.0);
        let (hides, over_hides) = (ours.hides(user, rights), theirs.hides(user, rights));
        if hides && over_hides && !ours.made_by(user) {
            return Err(Kind::Denied);
        }
        if over_hides || !hides {
            let shown = Shown::Record(moved.0, moved.1);
            let text = self.stations[st].text(&self.world, from.0, shown);
            let record = self.text_over(st, to, over, &text)?;
            let entry = Entry::File(moved.0, moved.1);
            match self.edit(st, from.0, |n| remove(n, &from.1, entry)) {
                Err(Kind::NotFound) => {}
                left => left?,
            }
            self.orphan(st, over.0);
            if let Some(file) = self.stations[st].file_of(moved.0) {
                self.become_record(st, file, to, record);
            }
            return Ok(());
        }
        if !self.adds(st, to.0) || !self.removes(st, to.0) {
            return Err(Kind::Denied);
        }
        self.move_entry(st, from, to, Entry::File(moved.0, moved.1), Some(over.0))?;
        self.world.removed.insert((to.0, over.0));
        self.stations[st].gone.remove(to);
        self.orphan(st, over.0);
        Ok(())
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
