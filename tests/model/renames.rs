//! What renaming does, by the model: names that move, and texts that take the place of others.

use chartfs::error::Kind;

use crate::files::{Model, is_local};
use crate::names::{Known, remove};
use crate::text::Text;
use crate::world::{Draft, Entry, Folder, Gone, Names, Place, Record, Removal, Shown, Stands};

impl Model {
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
