//! After every step: what is stored, and what whoever acted sees, is what the model says.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chartfs::view::{Access, DirEntry, NodeKind, View};

use crate::case::{Case, Mounted, Trouble};
use crate::files::Changed;
use crate::rights::{OWNER, USERS};
use crate::site::Desk;
use crate::text::{Element, Text};
use crate::world::{Entry, Folder, Record, Shown, Station};

pub(crate) async fn read(view: &View, path: &str) -> Result<Vec<u8>, Trouble> {
    // What was only listed is forgotten with the listing.
    let ino = view.resolve(path).await.map_err(|e| format!("a file is not there: {e}"))?.ino;
    let opened = view.open(ino, Access { read: true, ..Access::default() }).await;
    let handle = opened.map_err(|e| format!("a file cannot be opened: {e}"))?.handle;
    let text = view.read(handle, 0, 1 << 20).await;
    view.release(handle).await;
    Ok(text.map_err(|e| format!("a file cannot be read: {e}"))?.to_vec())
}

async fn list(view: &View, path: &str) -> Result<BTreeMap<String, DirEntry>, Trouble> {
    let entries = view.list_path(path).await.map_err(|e| format!("{path} is not listed: {e}"))?;
    let named = |e: DirEntry| (String::from_utf8_lossy(&e.name).into_owned(), e);
    Ok(entries.into_iter().map(named).collect())
}

fn same_names<A, B>(
    what: &str,
    real: &BTreeMap<String, A>,
    model: &BTreeMap<String, B>,
) -> Result<(), Trouble> {
    let (real, model): (BTreeSet<_>, BTreeSet<_>) = (real.keys().collect(), model.keys().collect());
    if real == model {
        return Ok(());
    }
    Err(format!("{what} has the names {real:?}, in the model {model:?}"))
}

fn same_text(what: &str, size_bytes: u64, real: &[u8], model: &Text) -> Result<(), Trouble> {
    if model.is_shown_as(real) && size_bytes == real.len() as u64 {
        return Ok(());
    }
    let model = model.bytes();
    let (real, model) = (String::from_utf8_lossy(real), String::from_utf8_lossy(&model));
    Err(format!("{what} of {size_bytes} bytes says {real:?}, in the model {model:?}"))
}

impl Case<'_> {
    /// Compares what is stored with the model, and takes over the order of elements where it is
    /// not promised.
    pub(crate) async fn compare_stored(&mut self) -> Result<(), Trouble> {
        let mut texts: BTreeMap<Record, (String, u64, Vec<u8>, Folder)> = BTreeMap::new();
        let observer = self.observer.clone();
        for (folder, path) in self.stored_folders() {
            let real = list(&observer, &path).await?;
            let model = self.model.world.names[&folder].clone();
            same_names(&format!("stored {path}"), &real, &model)?;
            for (name, entry) in model {
                let attr = &real[&name].attr;
                match entry {
                    Entry::File(record, _) if attr.kind == NodeKind::File => {
                        let what = format!("stored {path}/{name}");
                        let text = read(&observer, &format!("{path}/{name}")).await?;
                        texts.insert(record, (what, attr.size_bytes, text, folder));
                    }
                    Entry::Folder(_) if attr.kind == NodeKind::Directory => {}
                    _ => return Err(format!("{path}/{name} is a {:?}", attr.kind)),
                }
            }
        }
        self.adopt_orders(&texts)?;
        for (record, (what, size_bytes, text, folder)) in texts {
            let rights = self.model.world.rights(folder);
            let model = self.model.world.records[&record].text_for(OWNER, rights);
            same_text(&what, size_bytes, &text, &model)?;
        }
        Ok(())
    }

    fn adopt_orders(
        &mut self,
        texts: &BTreeMap<Record, (String, u64, Vec<u8>, Folder)>,
    ) -> Result<(), Trouble> {
        for changed in std::mem::take(&mut self.model.changed) {
            let Some((what, _, text, _)) = texts.get(&changed.record) else {
                self.adopt_own_order(&changed);
                continue;
            };
            let Text::Doc(_, stored) = Text::parse(text) else { continue };
            let before = self.model.world.records[&changed.record].clone();
            if !before.form.is_cut() {
                continue;
            }
            let mut now = (*before).clone();
            if !now.adopt(&stored, &changed.again) {
                let model = Text::Doc(now.form, now.items.into_iter().map(|i| i.element).collect());
                let (stored, model) = (String::from_utf8_lossy(text), model.bytes());
                let model = String::from_utf8_lossy(&model);
                return Err(format!("{what} has {stored}, in any order in the model {model}"));
            }
            let is_kept = |n: &u64| changed.before.contains(n);
            let order: Vec<u64> = now.items.iter().map(|i| i.number).filter(is_kept).collect();
            let rest = |n: &&u64| order.contains(n);
            if !order.iter().eq(changed.before.iter().filter(rest)) {
                return Err(format!("{what} has elements in another order that nobody touched"));
            }
            let rights = self.model.world.rights(changed.folder);
            if let Some((user, shown)) = changed.shown
                && now.text_for(user, rights) != Text::Doc(now.form, shown.clone())
            {
                let seen = now.text_for(user, rights);
                return Err(format!("{what}: a saver sees {seen:?} and saved {shown:?}"));
            }
            self.replace_version(changed.record, &Rc::new(now));
        }
        Ok(())
    }

    /// Somebody else took the name away, and the text went with it, as on any drive. The saver may
    /// still see it.
    fn adopt_own_order(&mut self, changed: &Changed) {
        let Some((user, shown)) = &changed.shown else { return };
        let rights = self.model.world.rights(changed.folder);
        let mut now = (*self.model.world.records[&changed.record]).clone();
        let (mut all, hidden): (Vec<_>, Vec<_>) =
            now.items.drain(..).partition(|i| rights.reads(*user, i.section));
        let place = |e: &Element| shown.iter().position(|s| s == e);
        all.sort_by_key(|i| place(&i.element));
        now.items = [all, hidden].concat();
        self.replace_version(changed.record, &Rc::new(now));
    }

    fn replace_version(&mut self, record: Record, now: &Rc<crate::record::Version>) {
        self.model.world.commit(record, now.clone());
        for station in &mut self.model.stations {
            if let Some(last) = station.last.get_mut(&record).filter(|l| l.commit == now.commit) {
                *last = now.clone();
            }
        }
    }

    /// Compares everything that a workstation shows.
    pub(crate) async fn compare_shown(&mut self, st: usize) -> Result<(), Trouble> {
        let view = self.mounted[st].view.clone();
        let user = USERS[self.mounted[st].desk.user].0;
        let mut at = 0;
        loop {
            let folders = self.model.stations[st].folders(&self.model.world);
            let Some((folder, path)) = folders.get(at).cloned() else { break };
            at += 1;
            let path = format!("{}{path}", self.top);
            let real = list(&view, &path).await?;
            self.name_rejected(st, folder, &real);
            let mut model = self.model.stations[st].listing(&self.model.world, folder);
            if self.mounted[st].desk.is_stale && !real.keys().eq(model.keys()) {
                // It may have asked: nobody promises when it learns.
                self.model.ask(st, folder);
                model = self.model.stations[st].listing(&self.model.world, folder);
            }
            same_names(&format!("{path} of the {user} at {st}"), &real, &model)?;
            for (name, shown) in model {
                let what = format!("{path}/{name} of the {user} at {st}");
                let at = format!("{path}/{name}");
                let of = (&*name, &*at);
                let compared = self.compare_file(st, folder, of, shown, &real[&name], &what).await;
                if compared.is_err() && self.mounted[st].desk.is_stale {
                    // The name may stand for another record, and it may have asked.
                    self.model.ask(st, folder);
                    let now = self.model.stations[st].listing(&self.model.world, folder);
                    let Some(shown) = now.get(&name).copied() else { return compared };
                    self.compare_file(st, folder, of, shown, &real[&name], &what).await?;
                } else {
                    compared?;
                }
            }
        }
        if self.model.rejected.iter().any(|r| r.0 == st) {
            return Err("a rejected text is nowhere".to_owned());
        }
        Ok(())
    }

    async fn compare_file(
        &mut self,
        st: usize,
        folder: Folder,
        (name, path): (&str, &str),
        shown: Shown,
        real: &DirEntry,
        what: &str,
    ) -> Result<(), Trouble> {
        let is_folder = matches!(shown, Shown::Folder(_));
        if is_folder != (real.attr.kind == NodeKind::Directory) {
            return Err(format!("{what} is a {:?}", real.attr.kind));
        }
        if is_folder {
            return Ok(());
        }
        if let Shown::Record(record, _) = shown {
            let (station, world) = (&mut self.model.stations[st], &self.model.world);
            let version = station.load(world, record);
            if let Some(file) = station.file_of(record) {
                station.files[file].place = (folder, name.to_owned());
            }
            if !world.rights(folder).reads_any(station.user, version.form.is_cut()) {
                return Ok(());
            }
        }
        let text = read(&self.mounted[st].view, path).await;
        let text = text.map_err(|e| format!("{what}: {e}"))?;
        if let Shown::Record(record, _) = shown {
            self.model.learn(st, folder, record, &text);
        }
        let model = self.model.stations[st].text(&self.model.world, folder, shown);
        same_text(what, real.attr.size_bytes, &text, &model)
    }

    /// Learns the names under which refused texts were put aside.
    fn name_rejected(&mut self, st: usize, folder: Folder, real: &BTreeMap<String, DirEntry>) {
        let waiting = std::mem::take(&mut self.model.rejected);
        for (of, file) in waiting {
            let station = &mut self.model.stations[of];
            let place = station.files[file].place.clone();
            let stem = place.1.rsplit_once('.').map_or(place.1.as_str(), |p| p.0);
            let stem = format!("{stem} (rejected ");
            let is_new = |n: &&String| {
                n.starts_with(&stem) && !station.here.contains_key(&(folder, (*n).clone()))
            };
            match real.keys().find(is_new).filter(|_| of == st && place.0 == folder) {
                Some(name) => {
                    let place = (folder, name.clone());
                    station.files[file].place = place.clone();
                    station.here.insert(place, file);
                }
                None => self.model.rejected.push((of, file)),
            }
        }
    }

    /// Compares what every user sees at a workstation that never saw anything before.
    pub(crate) async fn compare_everybody(&mut self) -> Result<(), Trouble> {
        for user in 0..USERS.len() {
            let desk = Desk::new(user, false);
            let view = self.site.mount(&desk).await;
            self.mounted.push(Mounted { desk, view, handles: [None; 2] });
            self.model.stations.push(Station::new(user, false));
            let compared = self.compare_shown(self.mounted.len() - 1).await;
            self.mounted.pop();
            self.model.stations.pop();
            compared?;
        }
        Ok(())
    }
}
