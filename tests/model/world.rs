//! The model of a bucket: folders, names and records, and what every workstation last saw of them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chartfs::error::Kind;

use crate::record::{Numbers, Version};
use crate::rights::{POLICIES, Rights, User};
use crate::text::{Form, Text};

/// A folder by number; 0 is where a case begins.
pub(crate) type Folder = u64;
/// A record by number.
pub(crate) type Record = u64;
/// A name in a folder.
pub(crate) type Place = (Folder, String);

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    File(Record, Form),
    Folder(Folder),
}

pub(crate) type Names = BTreeMap<String, Entry>;

/// The case's first folder.
pub(crate) const TOP: Folder = 0;

/// Everything that is stored.
pub(crate) struct World {
    pub(crate) names: BTreeMap<Folder, Names>,
    /// The folder above, and which setting of which policy a folder has of its own.
    above: BTreeMap<Folder, (Folder, Option<(u64, usize)>)>,
    pub(crate) records: BTreeMap<Record, Rc<Version>>,
    /// Every version of a record, the oldest first.
    versions: BTreeMap<Record, Vec<Rc<Version>>>,
    /// What was removed from a folder: it comes back when somebody saves it who did not know.
    pub(crate) removed: BTreeSet<(Folder, Record)>,
    pub(crate) numbers: Numbers,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            names: BTreeMap::from([(TOP, Names::new())]),
            above: BTreeMap::from([(TOP, (TOP, Some((0, 0))))]),
            records: BTreeMap::new(),
            versions: BTreeMap::new(),
            removed: BTreeSet::new(),
            numbers: Numbers(0),
        }
    }

    /// Returns which setting of which policy is in force in a folder.
    pub(crate) fn policy(&self, folder: Folder) -> (u64, usize) {
        let (above, own) = self.above[&folder];
        own.unwrap_or_else(|| self.policy(above))
    }

    pub(crate) fn rights(&self, folder: Folder) -> &'static Rights {
        &POLICIES[self.policy(folder).1]
    }

    pub(crate) fn set_policy(&mut self, folder: Folder, policy: usize) {
        let setting = self.numbers.next();
        self.above.entry(folder).or_default().1 = Some((setting, policy));
    }

    pub(crate) fn add_folder(&mut self, above: Folder) -> Folder {
        let folder = self.numbers.next();
        self.names.insert(folder, Names::new());
        self.above.insert(folder, (above, None));
        folder
    }

    pub(crate) fn move_folder(&mut self, folder: Folder, above: Folder) {
        self.above.entry(folder).or_default().0 = above;
    }

    pub(crate) fn add_record(&mut self, version: Version) -> Record {
        let record = self.numbers.next();
        self.commit(record, Rc::new(version));
        record
    }

    /// Makes a version the newest of its record.
    pub(crate) fn commit(&mut self, record: Record, version: Rc<Version>) {
        let versions = self.versions.entry(record).or_default();
        versions.retain(|v| v.commit < version.commit);
        versions.push(version.clone());
        self.records.insert(record, version);
    }

    /// Returns the versions that came after one.
    pub(crate) fn after(&self, record: Record, commit: u64) -> impl Iterator<Item = &Rc<Version>> {
        self.versions[&record].iter().filter(move |v| v.commit > commit)
    }

    pub(crate) fn is_below(&self, folder: Folder, other: Folder) -> bool {
        folder == other || (folder != TOP && self.is_below(self.above[&folder].0, other))
    }
}

/// A file that is open, or is on a workstation only.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) place: Place,
    pub(crate) stands: Stands,
    pub(crate) draft: Option<Draft>,
    /// The version that its readers were shown.
    pub(crate) clean: Option<Rc<Version>>,
    /// What stood under its name when it was made.
    pub(crate) returning: Option<Gone>,
    pub(crate) is_open: bool,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    Record(Record),
    Fresh,
    Local,
    Removed,
}

/// A text that is written and not committed.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) text: Text,
    pub(crate) base: Option<Rc<Version>>,
    pub(crate) is_dirty: bool,
}

/// A name that a workstation took away and that may come back.
#[derive(Clone, Debug)]
pub(crate) struct Gone {
    pub(crate) record: Record,
    pub(crate) form: Form,
    pub(crate) removal: Removal,
    /// When what would go was changed last.
    pub(crate) changed: u64,
    pub(crate) moved_to: Option<Place>,
}

/// What goes when a name does not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Nothing,
    /// What the remover sees and may write.
    Part,
    All,
}

/// One workstation: what it saw last, and what only it has.
pub(crate) struct Station {
    pub(crate) user: User,
    /// Whether it asks the bucket only for what it never saw.
    pub(crate) is_stale: bool,
    pub(crate) names: BTreeMap<Folder, Names>,
    pub(crate) last: BTreeMap<Record, Rc<Version>>,
    pub(crate) files: Vec<File>,
    pub(crate) here: BTreeMap<Place, usize>,
    pub(crate) gone: BTreeMap<Place, Gone>,
    pub(crate) slots: [Option<usize>; 2],
}

/// What a workstation shows under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Folder(Folder),
    Record(Record, Form),
    Here(usize),
}

impl Station {
    pub(crate) fn new(user: User, is_stale: bool) -> Self {
        Self {
            user,
            is_stale,
            names: BTreeMap::new(),
            last: BTreeMap::new(),
            files: Vec::new(),
            here: BTreeMap::new(),
            gone: BTreeMap::new(),
            slots: [None; 2],
        }
    }

    /// Forgets everything that only this workstation had.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(self.user, self.is_stale);
    }

    /// Looks at the names of a folder.
    pub(crate) fn look(&mut self, world: &World, folder: Folder) -> &Names {
        if !self.is_stale {
            self.names.remove(&folder);
        }
        self.names.entry(folder).or_insert_with(|| world.names[&folder].clone())
    }

    /// Looks at a record.
    pub(crate) fn load(&mut self, world: &World, record: Record) -> Rc<Version> {
        if !self.is_stale {
            self.last.remove(&record);
        }
        self.last.entry(record).or_insert_with(|| world.records[&record].clone()).clone()
    }

    /// Returns what it shows in a folder.
    pub(crate) fn listing(&mut self, world: &World, folder: Folder) -> BTreeMap<String, Shown> {
        let (user, rights) = (self.user, world.rights(folder));
        let listed = |form: Form| {
            rights.reads_any(user, form.is_cut()) || rights.writes_any(user, form.is_cut())
        };
        let mut all: BTreeMap<String, Shown> = BTreeMap::new();
        for (name, entry) in self.look(world, folder).clone() {
            let place = (folder, name);
            if self.gone.contains_key(&place) {
                continue;
            }
            match entry {
                Entry::Folder(folder) => all.insert(place.1, Shown::Folder(folder)),
                Entry::File(record, form) if listed(form) => {
                    all.insert(place.1, Shown::Record(record, form))
                }
                Entry::File(..) => None,
            };
        }
        let here = self.here.iter().filter(|(place, _)| place.0 == folder);
        all.extend(here.map(|(place, file)| (place.1.clone(), Shown::Here(*file))));
        all
    }

    pub(crate) fn show(&mut self, world: &World, place: &Place) -> Result<Shown, Kind> {
        self.listing(world, place.0).get(&place.1).copied().ok_or(Kind::NotFound)
    }

    /// Returns the file of a record that this workstation has open.
    pub(crate) fn file_of(&self, record: Record) -> Option<usize> {
        self.files.iter().position(|f| f.is_open && f.stands == Stands::Record(record))
    }

    /// Returns the text of what it shows.
    pub(crate) fn text(&mut self, world: &World, folder: Folder, shown: Shown) -> Text {
        let file = match shown {
            Shown::Folder(_) => return Text::Raw(Vec::new()),
            Shown::Here(file) => Some(file),
            Shown::Record(record, _) => self.file_of(record),
        };
        if let Some(draft) = file.and_then(|f| self.files[f].draft.as_ref()) {
            return draft.text.clone();
        }
        let Shown::Record(record, _) = shown else { return Text::Raw(Vec::new()) };
        self.load(world, record).text_for(self.user, world.rights(folder))
    }

    /// Returns every folder that it shows, with its path below the top.
    pub(crate) fn folders(&mut self, world: &World) -> Vec<(Folder, String)> {
        let mut all = vec![(TOP, String::new())];
        let mut at = 0;
        while at < all.len() {
            let (folder, path) = all[at].clone();
            for (name, shown) in self.listing(world, folder) {
                if let Shown::Folder(below) = shown {
                    all.push((below, format!("{path}/{name}")));
                }
            }
            at += 1;
        }
        all
    }
}
