//! One round of one cell: work on a drive while one kind of request meets one fault, then a look at
//! the bucket with nothing in memory and without faults.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chartfs::error::{Kind, Result};
use chartfs::store::Bucket;
use chartfs::view::{Access, Ino, NodeKind, RenameMode, View};
use futures::TryStreamExt;

use crate::cells::{PATIENCE, kind_of, make, takes_patience};
use crate::fake_s3::{FakeS3, Fault};
use crate::matrix::Numbers;
use crate::model::{Known, shown};
use crate::template::{HIDDEN, TRIES, Template, long_text, open, patiently, record_text};

/// Longer than one part of an upload.
const HUGE_BYTES: usize = 9 << 20;

#[derive(Clone)]
pub(crate) struct Round {
    pub(crate) kind: &'static str,
    pub(crate) fault: &'static str,
    pub(crate) seed: u64,
    pub(crate) is_long: bool,
    /// Whether what is saved is acknowledged by the journal and reaches the bucket later.
    pub(crate) has_journal: bool,
}

/// How a round went.
pub(crate) struct Report {
    pub(crate) round: Round,
    pub(crate) hits: u64,
    pub(crate) operations: u64,
    pub(crate) acknowledged: u64,
    pub(crate) copies: u64,
    pub(crate) requests: u64,
    /// How often one write was sent in one operation, at most.
    pub(crate) tries_max: u64,
    /// How often one object was read in one operation, at most.
    pub(crate) reads_max: u64,
    pub(crate) problems: Vec<String>,
}

impl Report {
    pub(crate) fn cell(&self) -> (&'static str, &'static str) {
        (self.round.kind, self.round.fault)
    }
}

/// What the server saw, and what it is to do.
struct Seen {
    /// Requests of the operation under way: writes by their bytes, reads by the object.
    now: BTreeMap<(&'static str, String, u64), u64>,
    hits: u64,
    requests: u64,
    tries_max: u64,
    reads_max: u64,
}

struct Work {
    view: Arc<View>,
    bucket: Bucket,
    n: Numbers,
    files: Vec<Known>,
    folders: Vec<String>,
    texts: Vec<Vec<u8>>,
    made: u64,
    operations: u64,
    acknowledged: u64,
    problems: Vec<String>,
}

impl Round {
    pub(crate) async fn run(self, template: &Template) -> Report {
        let server = FakeS3::start_with(template.objects.clone()).await;
        let patience = if takes_patience(self.fault) { PATIENCE } else { Duration::from_secs(20) };
        let mut bucket = open(&server, patience, Duration::from_secs(60)).await;
        let local = tempfile::tempdir().unwrap();
        if self.has_journal {
            bucket = bucket.with_cache(&local.path().join("cache"), 64 << 20).unwrap();
            bucket = bucket.with_journal(&local.path().join("journal"), 256 << 20, true).unwrap();
        }
        let mut work = Work {
            view: template.at_work(bucket.clone()).await,
            bucket,
            n: Numbers(self.seed),
            files: Vec::new(),
            folders: Vec::new(),
            texts: template.texts.iter().map(|(_, text)| text.clone()).collect(),
            made: 0,
            operations: 0,
            acknowledged: 0,
            problems: Vec::new(),
        };
        for (name, text) in &template.texts {
            work.files.push(Known::with(name, text, is_record(name)));
        }
        let merging = tokio::spawn(work.view.clone().merge_all_overtaken());
        let seen = self.strike(&server);
        for step in 0..if self.is_long { 12 } else { 4 } {
            seen.lock().unwrap().begin();
            work.step(&self, step).await;
        }
        server.state.lock().unwrap().chooser = None;
        server.wait_applied().await;
        // Every other drive is left in order, the others are gone as after a crash.
        if self.has_journal || (self.seed / 10_000 + self.seed).is_multiple_of(2) {
            work.leave().await;
        }
        merging.abort();
        let copies = work.look(&server, template).await;
        if copies > 0 {
            work.problems.push("there is one writer, and a conflict copy".to_owned());
        }
        let mut seen = seen.lock().unwrap();
        seen.begin();
        let mut problems = work.problems;
        // The journal goes on trying, at its own pace.
        if seen.tries_max > u64::from(TRIES) && !self.has_journal {
            problems.push(format!("one write was sent {} times", seen.tries_max));
        }
        let named = |p: String| format!("[{}, {}, seed {}] {p}", self.kind, self.fault, self.seed);
        Report {
            hits: seen.hits,
            operations: work.operations,
            acknowledged: work.acknowledged,
            copies,
            requests: seen.requests,
            tries_max: seen.tries_max,
            reads_max: seen.reads_max,
            problems: problems.into_iter().map(named).collect(),
            round: self,
        }
    }

    /// Lets the server fail: the first request of the kind, and others at random.
    fn strike(&self, server: &FakeS3) -> Arc<Mutex<Seen>> {
        let seen = Arc::new(Mutex::new(Seen {
            now: BTreeMap::new(),
            hits: 0,
            requests: 0,
            tries_max: 0,
            reads_max: 0,
        }));
        let (kind, fault) = (self.kind, self.fault);
        let mut n = Numbers(!self.seed);
        let percent = [15, 40, 40, 90][usize::try_from(n.below(4)).unwrap()];
        let hits_max = match (self.is_long, takes_patience(fault)) {
            (true, _) => u64::MAX,
            (false, true) => 3,
            (false, false) => 8,
        };
        let counted = seen.clone();
        server.state.lock().unwrap().chooser = Some(Box::new(move |request| {
            let mut seen = counted.lock().unwrap();
            let mut hasher = DefaultHasher::new();
            let at = kind_of(request);
            (&request.body, &request.query).hash(&mut hasher);
            *seen.now.entry((at, request.key.clone(), hasher.finish())).or_default() += 1;
            seen.requests += 1;
            let strikes = n.below(100) < percent;
            if at != kind || seen.hits >= hits_max || !(strikes || seen.hits == 0) {
                return Fault::None;
            }
            seen.hits += 1;
            make(fault, &mut n)
        }));
        seen
    }
}

impl Seen {
    /// Sums up the operation before.
    fn begin(&mut self) {
        for ((kind, _, _), count) in std::mem::take(&mut self.now) {
            let is_read = kind.starts_with("get") || kind == "list";
            let max = if is_read { &mut self.reads_max } else { &mut self.tries_max };
            // A save that fails is made again at the release; the probe removes its object twice.
            let calls = if is_read { 1 } else { 2 };
            *max = count.div_ceil(calls).max(*max);
        }
    }
}

/// Says whether a file is a record with sections, and not a long text.
fn is_record(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| extension == "json")
}

impl Work {
    /// Does something of which the kind of request is a part.
    async fn step(&mut self, round: &Round, step: u64) {
        let drawn = self.n.below(100);
        let is_due = step.is_multiple_of(2);
        match round.kind {
            "begin parts" | "put part" | "join parts" if step.is_multiple_of(4) => {
                self.save_huge().await;
            }
            "list" if is_due => self.list().await,
            "delete" if is_due => self.probe().await,
            "get range" if is_due => self.read("long.bin").await,
            "put" if is_due => self.save("long.bin", true).await,
            "create" if is_due => self.create().await,
            _ if drawn < 15 => self.create().await,
            _ if drawn < 50 => {
                let name = self.any();
                self.save(&name, drawn.is_multiple_of(2)).await;
            }
            _ if drawn < 62 => self.rename().await,
            _ if drawn < 74 => self.replace().await,
            _ if drawn < 82 => self.unlink().await,
            _ if drawn < 88 => self.make_folder().await,
            _ => {
                let name = self.any();
                self.read(&name).await;
            }
        }
    }

    /// Returns the name of a file of which everything is known.
    fn any(&mut self) -> String {
        let sure: Vec<_> = self.files.iter().filter(|f| f.is_sure()).collect();
        if sure.is_empty() {
            return "none.json".to_owned();
        }
        let index = usize::try_from(self.n.below(sure.len() as u64)).unwrap();
        sure[index].names[0].clone()
    }

    fn known(&mut self, name: &str) -> Option<usize> {
        self.files.iter().position(|f| f.is_sure() && f.names[0] == name)
    }

    fn count(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    fn new_text(&mut self, name: &str) -> Vec<u8> {
        let count = self.count();
        let what = format!("text {count}");
        let allergy = "x".repeat(usize::try_from(self.n.below(400)).unwrap());
        let text = if is_record(name) {
            record_text(&what, &allergy).into_bytes()
        } else {
            long_text(&what, 270_000 + usize::try_from(self.n.below(90_000)).unwrap())
        };
        self.texts.push(text.clone());
        text
    }

    fn note<T>(&mut self, result: &Result<T>) -> bool {
        self.operations += 1;
        self.acknowledged += u64::from(result.is_ok());
        if let Err(e) = result
            && matches!(e.kind(), Kind::Internal | Kind::Usage)
        {
            self.problems.push(format!("an error that is none of the bucket: {e}"));
        }
        result.is_ok()
    }

    async fn create(&mut self) {
        let count = self.count();
        let is_long = self.n.below(8) == 0;
        let name = if is_long { format!("new{count}.bin") } else { format!("new{count}.json") };
        let text = self.new_text(&name);
        let done = self.view.write_path(Ino::ROOT, name.as_bytes(), &text[..]).await;
        let is_done = self.note(&done);
        let mut known = Known::new(&name);
        known.saved(text, is_done);
        self.files.push(known);
    }

    async fn save_huge(&mut self) {
        let count = self.count();
        let text = long_text(&format!("huge {count}"), HUGE_BYTES);
        self.texts.push(text.clone());
        let name = format!("huge{count}.bin");
        let done = self.view.write_path(Ino::ROOT, name.as_bytes(), &text[..]).await;
        let is_done = self.note(&done);
        let mut known = Known::new(&name);
        known.saved(text, is_done);
        self.files.push(known);
    }

    async fn save(&mut self, name: &str, by_close: bool) {
        let Some(index) = self.known(name) else { return };
        let text = self.new_text(name);
        let done = if by_close {
            self.save_and_close(name, &text).await
        } else {
            self.view.write_path(Ino::ROOT, name.as_bytes(), &text[..]).await.map(|_| ())
        };
        let is_done = self.note(&done);
        self.files[index].saved(text, is_done);
    }

    /// As a program does that truncates, writes, and looks at what `close` says.
    async fn save_and_close(&self, name: &str, text: &[u8]) -> Result<()> {
        let attr = self.view.lookup(Ino::ROOT, name.as_bytes()).await?;
        let access = Access { write: true, truncate: true, ..Access::default() };
        let opened = self.view.open(attr.ino, access).await?;
        let mut done = self.view.write(opened.handle, 0, text.to_vec().into()).await;
        if done.is_ok() {
            done = self.view.flush(opened.handle).await;
        }
        self.view.release(opened.handle).await;
        done
    }

    async fn rename(&mut self) {
        let from = self.any();
        let Some(index) = self.known(&from) else { return };
        let to = format!("moved{}.{}", self.count(), from.rsplit('.').next().unwrap());
        let done = self.rename_to(&from, &to).await;
        let is_done = self.note(&done);
        self.files[index].renamed(&to, is_done);
    }

    async fn rename_to(&self, from: &str, to: &str) -> Result<()> {
        let (root, mode) = (Ino::ROOT, RenameMode::Replace);
        self.view.rename(root, from.as_bytes(), root, to.as_bytes(), mode).await
    }

    /// As an editor that writes a new file and renames it over the old one.
    async fn replace(&mut self) {
        let to = self.any();
        let Some(target) = self.known(&to).filter(|_| is_record(&to)) else { return };
        let from = format!("part{}.json", self.count());
        let text = self.new_text(&from);
        let made = self.view.write_path(Ino::ROOT, from.as_bytes(), &text[..]).await;
        let is_made = self.note(&made);
        let mut part = Known::new(&from);
        part.saved(text, is_made);
        if is_made {
            let done = self.rename_to(&from, &to).await;
            let is_done = self.note(&done);
            part.replaced(&mut self.files[target], is_done);
        }
        self.files.push(part);
    }

    async fn unlink(&mut self) {
        let name = self.any();
        let Some(index) = self.known(&name) else { return };
        let mut done = self.view.unlink(Ino::ROOT, name.as_bytes()).await;
        if done.is_ok() {
            // A record that hides something is removed when its name did not come back.
            done = self.view.tidy().await;
        }
        let is_done = self.note(&done);
        self.files[index].removed(is_done);
    }

    async fn make_folder(&mut self) {
        let name = format!("folder{}", self.count());
        let done = self.view.make_dir(Ino::ROOT, name.as_bytes(), 0o700).await;
        if self.note(&done) {
            self.folders.push(name);
        }
    }

    async fn read(&mut self, name: &str) {
        let mut text = Vec::new();
        let take = |piece: bytes::Bytes| {
            text.extend_from_slice(&piece);
            Ok(())
        };
        let done = self.view.read_path(name, take).await;
        if self.note(&done) && !self.texts.contains(&text) {
            self.problems.push(format!("{name} was read as {}", shown(&text)));
        }
    }

    async fn list(&mut self) {
        let listed: Result<Vec<_>> = self.bucket.list("r").try_collect().await;
        self.note(&listed);
    }

    async fn probe(&mut self) {
        let done = self.bucket.probe().await;
        self.note(&done);
    }

    /// Leaves the drive: the bucket has everything then.
    async fn leave(&mut self) {
        patiently(async || self.view.drain().await).await;
        // The journal gives up while the bucket seems to be away, and says so.
        for _ in 0..300 {
            if self.view.drain_journal(Duration::from_secs(60)).await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let pending = self.bucket.pending();
        self.problems.push(format!("what was acknowledged stays in the journal: {pending:?}"));
    }

    /// Looks at the bucket as a workstation does that remembers nothing; returns how many conflict
    /// copies there are.
    async fn look(&mut self, server: &FakeS3, template: &Template) -> u64 {
        let long = Duration::from_secs(30);
        let bucket = open(server, long, long).await;
        let doctor = template.elsewhere(bucket.clone(), &template.doctor).await;
        let ana = template.elsewhere(bucket, &template.ana).await;
        let (doctor, ana) = match (doctor, ana) {
            (Ok(doctor), Ok(ana)) => (doctor, ana),
            (Err(e), _) | (_, Err(e)) => {
                self.problems.push(format!("UNREADABLE: the drive: {e}"));
                return 0;
            }
        };
        let (files, folders) = everything(&doctor, |_| true, &mut self.problems).await;
        let (whole, _) = everything(&ana, is_record, &mut self.problems).await;
        for known in &self.files {
            self.problems.extend(known.check(&files));
        }
        for folder in &self.folders {
            if !folders.contains(folder) {
                self.problems.push(format!("LOST: the folder {folder}"));
            }
        }
        for (name, text) in &files {
            if !self.texts.contains(text) {
                self.problems.push(format!("TORN: {name} says {}", shown(text)));
            }
        }
        for known in self.files.iter().filter(|f| f.hides) {
            for name in known.names.iter().filter(|n| whole.contains_key(*n)) {
                let text = String::from_utf8_lossy(&whole[name]).into_owned();
                if text.matches(HIDDEN).count() != 1 {
                    self.problems.push(format!("LOST: the hidden section of {name}: {text}"));
                }
            }
        }
        files.keys().filter(|name| name.contains("(conflict")).count() as u64
    }
}

/// Returns the texts of the wanted files in the root, and the names of the folders.
async fn everything(
    view: &View,
    is_wanted: impl Fn(&str) -> bool,
    problems: &mut Vec<String>,
) -> (BTreeMap<String, Vec<u8>>, Vec<String>) {
    let (mut files, mut folders) = (BTreeMap::new(), Vec::new());
    let listed = match view.list_path("/").await {
        Ok(listed) => listed,
        Err(e) => {
            problems.push(format!("UNREADABLE: the root: {e}"));
            return (files, folders);
        }
    };
    for entry in listed {
        let name = String::from_utf8(entry.name).unwrap();
        if entry.attr.kind == NodeKind::Directory {
            folders.push(name);
            continue;
        }
        if !is_wanted(&name) {
            continue;
        }
        let mut text = Vec::new();
        let take = |piece: bytes::Bytes| {
            text.extend_from_slice(&piece);
            Ok(())
        };
        match view.read_path(&name, take).await {
            Ok(()) => drop(files.insert(name, text)),
            Err(e) => problems.push(format!("UNREADABLE: {name}: {e}")),
        }
    }
    (files, folders)
}
