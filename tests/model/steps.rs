//! One step of a case: what an operation means at this moment, done on both sides and compared.

use bytes::Bytes;
use chartfs::view::{SetAttr, Time};

use crate::case::{Case, DESKS, MANAGER, READ_WRITE, Trouble, did};
use crate::edit::{Editor, change_bytes};
use crate::files::is_local;
use crate::operations::{self, At, Edit, How, NAMES, Operation, Step};
use crate::rights::POLICIES;
use crate::text::{Form, Text};
use crate::world::{Entry, Folder, Place, Shown, TOP};

fn beside(place: &Place, tail: &str) -> Place {
    (place.0, format!("{}{tail}", place.1))
}

impl Case<'_> {
    fn place(&mut self, st: usize, at: At) -> Place {
        let folders = self.model.stations[st].folders(&self.model.world);
        (folders[usize::from(at.folder) % folders.len()].0, NAMES[usize::from(at.name)].to_owned())
    }

    /// Does one step; false when it means nothing at this moment.
    pub(crate) async fn step(&mut self, step: &Step) -> Result<bool, Trouble> {
        let st = usize::from(step.station) % DESKS.len();
        if !self.act(st, &step.operation).await? {
            return Ok(false);
        }
        self.compare_stored().await?;
        self.compare_shown(st).await?;
        Ok(true)
    }

    async fn act(&mut self, st: usize, operation: &Operation) -> Result<bool, Trouble> {
        match operation {
            Operation::Save { at, how, edit } => self.save(st, *at, *how, edit).await,
            Operation::Touch(at) => {
                let place = self.place(st, *at);
                if self.is_open(st, &place) {
                    return Ok(false);
                }
                self.put_file(st, &place, None).await.map(|_| true)
            }
            Operation::Bytes { at, change } => self.change_bytes(st, *at, *change).await,
            Operation::Cut { at, to } => self.cut(st, *at, *to).await,
            Operation::Rename { from, to, is_exclusive } => {
                let (from, to) = (self.place(st, *from), self.place(st, *to));
                if !self.may_rename(st, &from, &to) {
                    return Ok(false);
                }
                self.rename(st, &from, &to, *is_exclusive).await.map(|_| true)
            }
            Operation::Unlink(at) => {
                let place = self.place(st, *at);
                if self.is_partial(st, &place) {
                    return Ok(false);
                }
                self.unlink(st, &place).await.map(|_| true)
            }
            Operation::MakeDir(at) => {
                let place = self.place(st, *at);
                self.make_dir(st, &place).await.map(|_| true)
            }
            Operation::RemoveDir(at) => {
                let place = self.place(st, *at);
                if !self.may_remove_dir(st, &place) {
                    return Ok(false);
                }
                self.remove_dir(st, &place).await.map(|_| true)
            }
            Operation::SetTime { at, time } => self.set_time(st, *at, *time).await,
            Operation::Look(at) => self.look(st, *at).await,
            other => self.act_on_handles(st, other).await,
        }
    }

    async fn act_on_handles(&mut self, st: usize, operation: &Operation) -> Result<bool, Trouble> {
        match operation {
            Operation::Open { slot, at } => {
                let (slot, place) = (usize::from(*slot), self.place(st, *at));
                if self.model.stations[st].slots[slot].is_some() || self.is_open(st, &place) {
                    return Ok(false);
                }
                self.open(st, slot, &place).await.map(|_| true)
            }
            Operation::Write { slot, edit } => {
                let slot = usize::from(*slot);
                let Some(file) = self.model.stations[st].slots[slot] else { return Ok(false) };
                let text = self.model.open_text(st, file);
                let folder = self.model.stations[st].files[file].place.0;
                let text = self.edited(st, folder, &text, edit);
                self.write(st, slot, &text).await.map(|()| true)
            }
            Operation::Read { slot } => self.on_slot(st, *slot, Call::Read).await,
            Operation::Flush { slot } => self.on_slot(st, *slot, Call::Flush).await,
            Operation::Close { slot } => self.on_slot(st, *slot, Call::Close).await,
            other => self.act_on_mount(st, other).await,
        }
    }

    async fn on_slot(&mut self, st: usize, slot: bool, call: Call) -> Result<bool, Trouble> {
        let slot = usize::from(slot);
        if self.model.stations[st].slots[slot].is_none() {
            return Ok(false);
        }
        match call {
            Call::Read => self.read(st, slot).await?,
            Call::Flush => self.flush(st, slot).await?,
            Call::Close => self.close(st, slot).await?,
        }
        Ok(true)
    }

    async fn act_on_mount(&mut self, st: usize, operation: &Operation) -> Result<bool, Trouble> {
        match operation {
            Operation::Tidy => {
                self.mounted[st].view.tidy().await.map_err(|e| e.to_string())?;
            }
            Operation::Settle => self.settle(st).await?,
            Operation::Remount => {
                self.settle(st).await?;
                self.compare_stored().await?;
                self.mount_again(st).await?;
            }
            Operation::Crash => self.mount_again(st).await?,
            Operation::SetPolicy { policy } => return self.set_policy(usize::from(*policy)).await,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Closes what is open and lets go what was taken away, as an unmount does.
    async fn settle(&mut self, st: usize) -> Result<(), Trouble> {
        for slot in 0..2 {
            self.close(st, slot).await?;
        }
        self.mounted[st].view.drain().await.map_err(|e| format!("draining failed: {e}"))?;
        self.model.settle_removals(st, None);
        Ok(())
    }

    async fn set_policy(&mut self, policy: usize) -> Result<bool, Trouble> {
        let is_idle = |s: &crate::world::Station| s.slots == [None; 2];
        if !self.model.stations.iter().all(is_idle) {
            return Ok(false);
        }
        // What was taken away under one policy, and comes back under another, is not looked at.
        for st in 0..self.mounted.len() {
            self.settle(st).await?;
        }
        self.compare_stored().await?;
        let view = self.mounted[MANAGER].view.clone();
        let path = format!("{}/own", self.top);
        let ino = view.resolve(&path).await.map_err(|e| e.to_string())?.ino;
        let done = view.set_policy(ino, &POLICIES[policy].text()).await;
        let done = done.map_err(|e| format!("the owner may not set a policy: {e}"))?;
        let Some(Entry::Folder(own)) = self.model.world.names[&TOP].get("own").copied() else {
            return Err("the folder with a policy of its own is gone".to_owned());
        };
        self.model.world.set_policy(own, policy);
        let records = self.model.rewrap(own, MANAGER);
        for st in 0..self.mounted.len() {
            if self.mounted[st].desk.is_stale {
                self.mount_again(st).await?;
            }
        }
        if (done.records, done.left) == (records, 0) {
            return Ok(true);
        }
        Err(format!("{done:?} instead of {records} records were wrapped again"))
    }

    fn edited(&mut self, st: usize, folder: Folder, text: &Text, edit: &Edit) -> Text {
        let (user, rights) = (self.model.stations[st].user, self.model.world.rights(folder));
        let numbers = &mut self.model.world.numbers;
        Editor { user, rights, numbers }.edit(text, edit)
    }

    async fn save(&mut self, st: usize, at: At, how: How, edit: &Edit) -> Result<bool, Trouble> {
        let place = self.place(st, at);
        if self.is_open(st, &place) {
            return Ok(false);
        }
        let text = match self.model.place_of(st, &place) {
            Ok(Shown::Folder(_)) => return Ok(false),
            Ok(shown) => {
                let text = self.model.stations[st].text(&self.model.world, place.0, shown);
                self.read_path(st, &place, &text).await?;
                self.edited(st, place.0, &text, edit)
            }
            Err(_) => {
                let user = self.model.stations[st].user;
                let rights = self.model.world.rights(place.0);
                let numbers = &mut self.model.world.numbers;
                let text = Editor { user, rights, numbers }.first(&place.1, edit);
                return self.put_file(st, &place, Some(&text)).await.map(|_| true);
            }
        };
        if matches!(&text, Text::Doc(_, elements) if elements.is_empty()) {
            return Ok(false);
        }
        self.save_over(st, &place, how, &text).await.map(|()| true)
    }

    async fn save_over(
        &mut self,
        st: usize,
        place: &Place,
        how: How,
        text: &Text,
    ) -> Result<(), Trouble> {
        let (aside, is_over) = match how {
            How::InPlace => {
                let _ = self.put_file(st, place, Some(text)).await?;
                return Ok(());
            }
            How::Anew | How::Away { is_local: true } if self.is_partial(st, place) => return Ok(()),
            How::Anew => {
                if self.unlink(st, place).await?.is_ok() {
                    let _ = self.put_file(st, place, Some(text)).await?;
                }
                return Ok(());
            }
            How::Over { is_local } => (beside(place, if is_local { ".tmp" } else { ".new" }), true),
            How::Away { is_local } => (beside(place, if is_local { "~" } else { ".old" }), false),
        };
        if self.is_open(st, &aside)
            || matches!(self.model.place_of(st, &aside), Ok(Shown::Folder(_)))
        {
            return Ok(());
        }
        if !is_over {
            if self.rename(st, place, &aside, false).await?.is_ok() {
                let _ = self.put_file(st, place, Some(text)).await?;
            }
            return Ok(());
        }
        let saved = self.put_file(st, &aside, Some(text)).await?;
        // What goes over the other is what stands there, in its order.
        self.compare_stored().await?;
        if saved.is_ok() && self.rename(st, &aside, place, false).await?.is_err() {
            let _ = self.unlink(st, &aside).await?;
        }
        Ok(())
    }

    async fn change_bytes(
        &mut self,
        st: usize,
        at: At,
        change: operations::Bytes,
    ) -> Result<bool, Trouble> {
        let place = self.place(st, at);
        let is_file = matches!(self.model.place_of(st, &place), Ok(Shown::Record(..)));
        let is_busy = self.model.stations[st].slots[0].is_some() || self.is_open(st, &place);
        if !is_file || is_busy || self.open(st, 0, &place).await?.is_err() {
            return Ok(false);
        }
        let Some(file) = self.model.stations[st].slots[0] else { return Ok(false) };
        let number = self.model.world.numbers.next();
        let (offset, piece, text) = change_bytes(&self.model.open_text(st, file), change, number);
        let Some((handle, ino)) = self.mounted[st].handles[0] else { return Ok(false) };
        let view = self.mounted[st].view.clone();
        let done = if let operations::Bytes::Truncate { .. } = change {
            let size = SetAttr { size_bytes: Some(offset), ..SetAttr::default() };
            did(&view.set_attr(ino, Some(handle), size).await)
        } else {
            did(&view.write(handle, offset, Bytes::from(piece)).await)
        };
        done.map_err(|e| format!("an open file is not written: {e:?}"))?;
        self.model.write(st, file, text);
        self.close(st, 0).await.map(|()| true)
    }

    /// Cuts a file to a length, by its path.
    async fn cut(&mut self, st: usize, at: At, to: u8) -> Result<bool, Trouble> {
        let place = self.place(st, at);
        let is_file = matches!(self.model.place_of(st, &place), Ok(Shown::Record(..)));
        if !is_file || self.is_open(st, &place) {
            return Ok(false);
        }
        let ino = self.file_ino(st, &place).await.map_err(|e| e.to_string())?;
        let size_bytes = self.mounted[st].view.attr(ino, None).await.map_err(|e| e.to_string())?;
        if size_bytes.size_bytes == u64::from(to) + 1 {
            // Only the last line break: that is still a valid text, with another frame.
            return Ok(false);
        }
        let size = SetAttr { size_bytes: Some(u64::from(to)), ..SetAttr::default() };
        let real = did(&self.mounted[st].view.set_attr(ino, None, size).await);
        self.saw(place.0, real).await?;
        let model = self.model.cut(st, &place, usize::from(to));
        if real == model {
            return Ok(true);
        }
        Err(format!("cutting {place:?} to {to}: the program said {real:?}, the model {model:?}"))
    }

    async fn set_time(&mut self, st: usize, at: At, time: u8) -> Result<bool, Trouble> {
        let place = self.place(st, at);
        if !matches!(self.model.place_of(st, &place), Ok(Shown::Record(..)))
            || self.is_open(st, &place)
        {
            return Ok(false);
        }
        let ino = self.file_ino(st, &place).await.map_err(|e| e.to_string())?;
        let mtime = Time { unix_s: 1_000_000 + i64::from(time), ns: 123 };
        let change = SetAttr { mtime: Some(mtime), ..SetAttr::default() };
        let real = self.mounted[st].view.set_attr(ino, None, change).await;
        let model = self.model.set_time(st, &place);
        if did(&real) != model {
            return Err(format!("the time of {place:?}: {:?} instead of {model:?}", did(&real)));
        }
        if real.is_ok_and(|a| a.mtime != mtime) {
            return Err(format!("{place:?} does not show the time that was set"));
        }
        Ok(true)
    }

    /// Asks for a name that may not be there.
    async fn look(&mut self, st: usize, at: At) -> Result<bool, Trouble> {
        let place = self.place(st, at);
        if self.is_open(st, &place) {
            return Ok(false);
        }
        let ino = self.file_ino(st, &place).await;
        let real = match ino {
            Ok(ino) => match self.mounted[st].view.open(ino, READ_WRITE).await {
                Ok(opened) => {
                    self.mounted[st].view.release(opened.handle).await;
                    Ok(())
                }
                Err(e) => Err(e.kind()),
            },
            Err(e) => Err(e.kind()),
        };
        let model = self.model.open(st, &place);
        if let Ok(file) = model {
            self.model.close(st, file);
        }
        if real == model.map(|_| ()) {
            return Ok(true);
        }
        Err(format!("opening {place:?}: the program said {real:?}, the model {model:?}"))
    }

    /// Leaves out what would hide a folder from those who work in it: what is written into a
    /// folder that somebody else removes is another story.
    fn may_remove_dir(&mut self, st: usize, place: &Place) -> bool {
        let Ok(Shown::Folder(folder)) = self.model.place_of(st, place) else { return true };
        let is_own =
            self.model.world.policy(folder) != self.model.world.policy(TOP) && place.0 == TOP;
        let others = self.model.stations.iter().enumerate().filter(|(i, _)| *i != st);
        let mut others = others.map(|(_, s)| s);
        !is_own
            && others.all(|s| {
                !(s.is_stale && s.names.contains_key(&folder))
                    && s.here.keys().chain(s.gone.keys()).all(|p| p.0 != folder)
                    && s.files.iter().all(|f| !f.is_open || f.place.0 != folder)
            })
    }

    /// Says whether removing a bundle takes out only what the user sees: a list in which nothing
    /// is left has another frame, which the model does not know.
    fn is_partial(&mut self, st: usize, place: &Place) -> bool {
        let removes = self.model.world.rights(place.0).removes(self.model.stations[st].user);
        let shown = self.model.place_of(st, place);
        !removes && matches!(shown, Ok(Shown::Record(_, Form::Bundle)))
    }

    fn may_rename(&mut self, st: usize, from: &Place, to: &Place) -> bool {
        if is_local(&to.1) && self.is_partial(st, from) {
            return false;
        }
        // A folder under another policy keeps its own, and one that others look into moves. What the
        // workstation does not know to be one it finds out.
        let is_shown = matches!(self.model.place_of(st, from), Ok(Shown::Folder(_)));
        let stored = self.model.world.names[&from.0].get(&from.1);
        !is_shown && !matches!(stored, Some(Entry::Folder(_)))
    }
}

enum Call {
    Read,
    Flush,
    Close,
}
