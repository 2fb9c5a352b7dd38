//! One process of the run: works on names of its own and on names that all share, looks at what it
//! gets, and writes down what it was told.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::text::{Numbers, TextId, now_ns};

/// Folders that stay.
pub(crate) const TOPS: [&str; 3] = ["a", "b", "c"];
/// Folders in them that come and go.
const LEAVES: u64 = 3;
/// Names that all processes save, remove and make again.
const SHARED: u64 = 4;
/// Names that are saved in place only, each time by somebody who has read what stands there.
const GUARDED: u64 = 2;
/// How many files of its own a process keeps.
const OWN_MAX: usize = 5;

/// Makes what all processes start from.
pub(crate) fn prepare(mount: &Path) {
    for top in TOPS {
        fs::create_dir(mount.join(top)).unwrap();
    }
    for i in 0..GUARDED {
        fs::write(mount.join(format!("a/guarded{i}")), "").unwrap();
    }
}

/// How a name is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    InPlace,
    NewFile,
    Backup,
    Anew,
}

/// What a save that failed left behind.
struct Failed {
    /// Whether something changed before it failed.
    changed: bool,
    error: io::Error,
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self { changed: false, error }
    }
}

/// A name of this process alone: where it is, and the texts that it may have.
#[derive(Clone, Debug)]
struct Own {
    dir: String,
    may: Vec<Option<TextId>>,
}

struct Worker {
    id: u64,
    mount: u64,
    root: PathBuf,
    numbers: Numbers,
    texts: u64,
    names: u64,
    own: BTreeMap<String, Own>,
    /// Names of this process that are not in use any more.
    former: BTreeMap<String, Own>,
    folders: (u64, u64, u64),
    errors: BTreeMap<String, u64>,
    counts: BTreeMap<&'static str, u64>,
    log: BufWriter<File>,
    bad: u64,
}

pub(crate) fn run(args: &[String]) {
    let number = |i: usize| args[i].parse::<u64>().expect("a number");
    let mut worker = Worker {
        id: number(0),
        mount: number(1),
        root: PathBuf::from(&args[2]),
        log: BufWriter::new(File::create(&args[3]).unwrap()),
        numbers: Numbers(number(4)),
        texts: 0,
        names: 0,
        own: BTreeMap::new(),
        former: BTreeMap::new(),
        folders: (0, 0, 0),
        errors: BTreeMap::new(),
        counts: BTreeMap::new(),
        bad: 0,
    };
    let (started, limit) = (Instant::now(), Duration::from_secs(number(6)));
    let mut steps = 0;
    while steps < number(5) && started.elapsed() < limit {
        worker.step();
        steps += 1;
    }
    worker.write_down();
    std::process::exit(i32::from(worker.bad > 0));
}

fn close(file: File) -> io::Result<()> {
    Ok(nix::unistd::close(file)?)
}

fn write_new(path: &Path, text: &[u8], exclusive: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let mut file =
        if exclusive { options.create_new(true).open(path)? } else { options.open(path)? };
    file.write_all(text)?;
    close(file)
}

fn with_tail(path: &Path, tail: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(tail);
    name.into()
}

/// Saves a whole text in one of the four ways.
fn save(path: &Path, way: Way, text: &[u8]) -> Result<(), Failed> {
    let changed = |error| Failed { changed: true, error };
    match way {
        Way::InPlace => {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
            file.write_all(text).map_err(changed)?;
            close(file).map_err(changed)
        }
        Way::NewFile => {
            let new = with_tail(path, &format!(".{}.new", std::process::id()));
            let done = write_new(&new, text, true).and_then(|()| fs::rename(&new, path));
            done.map_err(|error| {
                let _ = fs::remove_file(&new);
                let unsure = error.raw_os_error() != Some(libc::ENOENT);
                Failed { changed: unsure, error }
            })
        }
        Way::Backup => {
            let backup = with_tail(path, &format!(".{}~", std::process::id()));
            fs::rename(path, &backup)?;
            write_new(path, text, false).map_err(changed)?;
            let _ = fs::remove_file(&backup);
            Ok(())
        }
        Way::Anew => {
            fs::remove_file(path)?;
            write_new(path, text, false).map_err(changed)
        }
    }
}

impl Worker {
    fn step(&mut self) {
        match self.numbers.below(100) {
            0..=17 => self.create_own(),
            18..=37 => self.save_own(),
            38..=47 => self.read_own(),
            48..=57 => self.rename_own(),
            58..=64 => self.remove_own(),
            65..=82 => self.folder(),
            83..=92 => self.shared(),
            93..=95 => self.guarded(),
            _ => self.list(),
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Writes down what happened to a name, for whoever has to explain what is wrong with it.
    fn event(&mut self, name: &str, what: &str) {
        let now = now_ns();
        writeln!(self.log, "event {name} {now} {what}").unwrap();
    }

    fn note_error(&mut self, what: &str, error: &io::Error) {
        let errno = nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0));
        *self.errors.entry(format!("{what} {errno:?}")).or_default() += 1;
    }

    fn complain(&mut self, what: &str) {
        println!("process {} on mount {}: {what}", self.id, self.mount);
        self.bad += 1;
    }

    fn any_dir(&mut self) -> String {
        let top = TOPS[usize::try_from(self.numbers.below(3)).unwrap()];
        match self.numbers.below(3) {
            0..=1 => top.to_owned(),
            _ => format!("{top}/leaf{}", self.numbers.below(LEAVES)),
        }
    }

    fn any_leaf(&mut self) -> PathBuf {
        let top = TOPS[usize::try_from(self.numbers.below(3)).unwrap()];
        self.root.join(top).join(format!("leaf{}", self.numbers.below(LEAVES)))
    }

    fn any_way(&mut self) -> Way {
        [Way::InPlace, Way::NewFile, Way::Backup, Way::Anew]
            [usize::try_from(self.numbers.below(4)).unwrap()]
    }

    fn any_own(&mut self) -> Option<String> {
        let at = self.numbers.below(self.own.len().max(1) as u64);
        self.own.keys().nth(usize::try_from(at).unwrap()).cloned()
    }

    fn new_text(&mut self) -> TextId {
        self.texts += 1;
        TextId { worker: self.id, number: self.texts }
    }

    fn new_name(&mut self) -> String {
        self.names += 1;
        format!("own-{}-{}", self.id, self.names)
    }

    fn path_of(&self, name: &str) -> PathBuf {
        self.root.join(&self.own[name].dir).join(name)
    }

    /// Folders are renamed by others: looks where a file is now, if that can be found out.
    fn find(&mut self, name: &str) {
        for top in TOPS {
            let entries = fs::read_dir(self.root.join(top)).into_iter().flatten();
            let leaves = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
            let leaves = leaves.filter(|n| n.starts_with("leaf")).map(|n| format!("{top}/{n}"));
            for dir in std::iter::once(top.to_owned()).chain(leaves) {
                if fs::metadata(self.root.join(&dir).join(name)).is_ok() {
                    self.own.get_mut(name).unwrap().dir = dir;
                    return;
                }
            }
        }
    }

    fn create_own(&mut self) {
        if self.own.len() >= OWN_MAX {
            return self.remove_own();
        }
        let (name, dir, id) = (self.new_name(), self.any_dir(), self.new_text());
        let path = self.root.join(&dir).join(&name);
        let way = if self.numbers.below(2) == 0 { Way::InPlace } else { Way::NewFile };
        match save(&path, way, &id.text()) {
            Ok(()) => {
                self.count("created");
                self.event(&name, &format!("created {way:?} in {dir} as {id}"));
                self.own.insert(name, Own { dir, may: vec![Some(id)] });
            }
            Err(failed) => {
                self.note_error("create", &failed.error);
                if failed.changed {
                    self.own.insert(name, Own { dir, may: vec![None, Some(id)] });
                }
            }
        }
    }

    fn save_own(&mut self) {
        let Some(name) = self.any_own() else { return };
        let (way, id) = (self.any_way(), self.new_text());
        // Another folder may get the name of this one in between: its descriptor stays with it.
        let Ok(dir) = File::open(self.root.join(&self.own[&name].dir)) else {
            return self.find(&name);
        };
        let path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(&name);
        if fs::metadata(&path).is_err() {
            return self.find(&name);
        }
        match save(&path, way, &id.text()) {
            Ok(()) => {
                self.count("saved");
                self.event(&name, &format!("saved {way:?} as {id}"));
                self.own.get_mut(&name).unwrap().may = vec![Some(id)];
            }
            Err(failed) => {
                self.note_error(&format!("save {way:?}"), &failed.error);
                self.event(&name, &format!("save {way:?} failed: {}", failed.error));
                if failed.changed {
                    self.own.get_mut(&name).unwrap().may.extend([None, Some(id)]);
                }
                self.find(&name);
            }
        }
    }

    fn read_own(&mut self) {
        let Some(name) = self.any_own() else { return };
        match fs::read(self.path_of(&name)) {
            Ok(text) => {
                self.count("read");
                let id = TextId::of(&text);
                if id.is_none() || !self.own[&name].may.contains(&id) {
                    let may = format!("{:?}", self.own[&name].may);
                    let len = text.len();
                    self.complain(&format!("{name} says {id:?} of {len} bytes, not one of {may}"));
                }
            }
            Err(e) => {
                self.note_error("read", &e);
                self.find(&name);
            }
        }
    }

    fn rename_own(&mut self) {
        let Some(old) = self.any_own() else { return };
        let (new, dir) = (self.new_name(), self.any_dir());
        let from = self.path_of(&old);
        match fs::rename(from, self.root.join(&dir).join(&new)) {
            Ok(()) => {
                self.count("renamed");
                self.event(&old, &format!("renamed from {} to {dir}/{new}", self.own[&old].dir));
                self.event(&new, &format!("was {old}"));
                let own = self.own.remove(&old).unwrap();
                self.own.insert(new, Own { dir, may: own.may.clone() });
                self.former.insert(old, Own { may: vec![None], ..own });
            }
            Err(e) => {
                self.note_error("rename", &e);
                if e.raw_os_error() != Some(libc::ENOENT) {
                    let mut own = self.own[&old].clone();
                    own.may.push(None);
                    self.own.insert(old.clone(), own.clone());
                    self.former.insert(new, own);
                }
                self.find(&old);
            }
        }
    }

    fn remove_own(&mut self) {
        let Some(name) = self.any_own() else { return };
        match fs::remove_file(self.path_of(&name)) {
            Ok(()) => {
                self.count("removed");
                self.event(&name, &format!("removed from {}", self.own[&name].dir));
                let own = self.own.remove(&name).unwrap();
                self.former.insert(name, Own { may: vec![None], ..own });
            }
            Err(e) => {
                self.note_error("remove", &e);
                if e.raw_os_error() != Some(libc::ENOENT) {
                    self.own.get_mut(&name).unwrap().may.push(None);
                }
                self.find(&name);
            }
        }
    }

    fn folder(&mut self) {
        let (one, other) = (self.any_leaf(), self.any_leaf());
        let (what, done) = match self.numbers.below(6) {
            0..=2 => ("mkdir", fs::create_dir(&one)),
            3..=4 => ("rmdir", fs::remove_dir(&one)),
            _ => {
                let flags = RenameFlags::RENAME_NOREPLACE;
                let moved = renameat2(AT_FDCWD, &one, AT_FDCWD, &other, flags);
                ("rename folder", moved.map_err(io::Error::from))
            }
        };
        match done {
            Ok(()) => {
                self.count(what);
                let shown = |p: &Path| p.strip_prefix(&self.root).unwrap().display().to_string();
                let (one, other) = (shown(&one), shown(&other));
                self.event(&one, &format!("{what} {other} on mount {}", self.mount));
                match what {
                    "mkdir" => self.folders.0 += 1,
                    "rmdir" => self.folders.1 += 1,
                    _ => {}
                }
            }
            Err(e) => {
                self.note_error(what, &e);
                let told = [libc::ENOENT, libc::EEXIST, libc::ENOTEMPTY, libc::EINVAL];
                if !told.contains(&e.raw_os_error().unwrap_or(0)) {
                    self.folders.2 += 1;
                }
            }
        }
    }

    /// Saves, removes or reads a name that everybody works on.
    fn shared(&mut self) {
        let name = format!("shared{}", self.numbers.below(SHARED));
        let path = self.root.join("b").join(&name);
        let start = now_ns();
        match self.numbers.below(8) {
            0 => {
                let done = fs::remove_file(&path);
                if let Err(e) = &done {
                    self.note_error("remove shared", e);
                }
                self.line(&name, "remove", start, done.is_ok(), None, None);
            }
            1 => {
                if let Err(e) = fs::read(&path) {
                    self.note_error("read shared", &e);
                }
            }
            _ => {
                let (way, id) = (self.any_way(), self.new_text());
                let done = save(&path, way, &id.text());
                if let Err(failed) = &done {
                    self.note_error(&format!("save shared {way:?}"), &failed.error);
                    if !failed.changed {
                        return;
                    }
                }
                self.count("saved shared");
                self.line(&name, &format!("{way:?}"), start, done.is_ok(), Some(id), None);
            }
        }
    }

    /// Saves in place a name of which nobody else of this machine writes at the same time.
    fn guarded(&mut self) {
        let name = format!("guarded{}", self.numbers.below(GUARDED));
        let path = self.root.join("a").join(&name);
        let (start, id) = (now_ns(), self.new_text());
        let guard = self.root.with_extension(format!("{name}.lock"));
        match guarded_save(&path, &guard, &id.text()) {
            Ok(before) => {
                self.count("saved guarded");
                let base = TextId::of(&before);
                if base.is_none() && !before.is_empty() {
                    let len = before.len();
                    self.complain(&format!("{name} is {len} bytes of no text"));
                }
                self.line(&name, "guarded", start, true, Some(id), base);
            }
            Err(e) => {
                self.note_error("save guarded", &e);
                self.line(&name, "guarded", start, false, Some(id), None);
            }
        }
    }

    fn list(&mut self) {
        let dir = self.any_dir();
        let Ok(entries) = fs::read_dir(self.root.join(&dir)) else { return };
        let mut names: Vec<_> = entries.filter_map(Result::ok).map(|e| e.file_name()).collect();
        self.count("listed");
        names.sort();
        let all = names.len();
        names.dedup();
        if names.len() != all {
            self.complain(&format!("{dir} lists a name twice"));
        }
    }

    fn line(
        &mut self,
        name: &str,
        how: &str,
        start: u64,
        ok: bool,
        text: Option<TextId>,
        base: Option<TextId>,
    ) {
        let shown = |id: Option<TextId>| id.map_or("-".to_owned(), |id| id.to_string());
        let (end, mount) = (now_ns(), self.mount);
        let (text, base) = (shown(text), shown(base));
        writeln!(self.log, "shared {name} {how} {mount} {start} {end} {ok} {text} {base}").unwrap();
    }

    /// Writes down what this process was told.
    fn write_down(&mut self) {
        let shown = |may: &[Option<TextId>]| {
            let all = may.iter().map(|m| m.map_or("-".to_owned(), |id| id.to_string()));
            all.collect::<Vec<_>>().join(",")
        };
        for (name, own) in self.own.iter().chain(&self.former) {
            writeln!(self.log, "own {name} {}", shown(&own.may)).unwrap();
        }
        let (made, removed, unsure) = self.folders;
        writeln!(self.log, "folders {made} {removed} {unsure}").unwrap();
        for (what, count) in &self.errors {
            writeln!(self.log, "error {count} {what}").unwrap();
        }
        for (what, count) in &self.counts {
            writeln!(self.log, "count {count} {what}").unwrap();
        }
        self.log.flush().unwrap();
    }
}

/// Saves a text over another; returns what was there.
fn guarded_save(path: &Path, guard: &Path, text: &[u8]) -> io::Result<Vec<u8>> {
    // Keeps the processes of this mount apart; over two mounts only the bucket decides.
    let guard = File::create(guard)?;
    guard.lock()?;
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut before = Vec::new();
    file.read_to_end(&mut before)?;
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(text)?;
    close(file)?;
    Ok(before)
}
