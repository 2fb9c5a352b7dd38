//! What stands in the bucket at the end, beside what each process was told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use chartfs::view::{NodeKind, View};

use crate::daemons::Bucket;
use crate::drive::view::{RUNTIME, read};
use crate::text::TextId;

/// What happened to folders within this time tells what happened to a name.
const NEAR_NS: u64 = 1_000_000_000;

/// One save or removal of a name that everybody works on.
struct Event {
    how: String,
    start: u64,
    end: u64,
    ok: bool,
    text: Option<TextId>,
    base: Option<TextId>,
}

#[derive(Default)]
struct Told {
    /// The texts that a name of one process may have; nothing: that it does not exist.
    own: BTreeMap<String, Vec<Option<TextId>>>,
    shared: BTreeMap<String, Vec<Event>>,
    made: u64,
    removed: u64,
    unsure: u64,
    errors: BTreeMap<String, u64>,
    counts: BTreeMap<String, u64>,
    events: BTreeMap<String, Vec<(u64, String)>>,
}

/// What a name is found with: where, and which text; `None` when it is none, or not whole.
type Found = (String, Option<TextId>);

struct Tree {
    files: BTreeMap<String, Vec<Found>>,
    folders: u64,
}

fn id(text: &str) -> Option<TextId> {
    (text != "-").then(|| TextId::parse(text))
}

impl Told {
    fn read(logs: impl Iterator<Item = PathBuf>) -> Self {
        let mut told = Self::default();
        for log in logs {
            for line in fs::read_to_string(log).unwrap().lines() {
                told.add(line);
            }
        }
        told
    }

    fn add(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |i: usize| words[i].parse::<u64>().unwrap();
        match words[0] {
            "own" => {
                self.own.insert(words[1].to_owned(), words[2].split(',').map(id).collect());
            }
            "shared" => self.shared.entry(words[1].to_owned()).or_default().push(Event {
                how: words[2].to_owned(),
                start: number(4),
                end: number(5),
                ok: words[6] == "true",
                text: id(words[7]),
                base: id(words[8]),
            }),
            "folders" => {
                self.made += number(1);
                self.removed += number(2);
                self.unsure += number(3);
            }
            "error" => *self.errors.entry(words[2..].join(" ")).or_default() += number(1),
            "event" => {
                let event = (number(2), words[3..].join(" "));
                self.events.entry(words[1].to_owned()).or_default().push(event);
            }
            _ => *self.counts.entry(words[2..].join(" ")).or_default() += number(1),
        }
    }
}

fn walk(view: &View, dir: &str, tree: &mut Tree, bad: &mut Vec<String>) {
    let entries = match RUNTIME.block_on(view.list_path(dir)) {
        Ok(entries) => entries,
        Err(e) => return bad.push(format!("{dir} cannot be listed: {e}")),
    };
    for entry in entries {
        let name = String::from_utf8(entry.name).unwrap();
        let path = format!("{dir}/{name}");
        if entry.attr.kind == NodeKind::Directory {
            tree.folders += 1;
            walk(view, &path, tree, bad);
        } else if let Some(text) = read(view, &path) {
            tree.files.entry(name).or_default().push((path, TextId::of(&text)));
        } else {
            bad.push(format!("{path} cannot be read"));
        }
    }
}

/// Compares; panics with all that is wrong.
pub(crate) fn check(bucket: &Bucket, mounts: usize, logs: impl Iterator<Item = PathBuf>) {
    let told = Told::read(logs);
    let mut bad = Vec::new();
    let mut tree = Tree { files: BTreeMap::new(), folders: 0 };
    walk(&bucket.view(), "", &mut tree, &mut bad);
    check_own(&told, &tree, &mut bad);
    for (name, events) in &told.shared {
        check_shared(name, events, &tree, &mut bad);
    }
    // One that is removed over the one mount comes back when a file is made in it over the other.
    if mounts == 1 {
        check_folders(&told, &tree, &mut bad);
    }
    check_unknown(&told, &tree, &mut bad);
    let said = bucket.check().unwrap_or_else(|said| {
        bad.push(format!("check: {said}"));
        String::new()
    });
    println!("done: {:?}", told.counts);
    println!("refused: {:?}", told.errors);
    println!("check: {}", said.lines().collect::<Vec<_>>().join(" | "));
    for (what, count) in &told.errors {
        // What a race with others over the same names explains.
        let known = ["ENOENT", "EEXIST", "ENOTEMPTY", "ESTALE"];
        if !known.iter().any(|errno| what.ends_with(errno)) && what != "rename folder EINVAL" {
            bad.push(format!("{count} times: {what}"));
        }
    }
    for line in &bad {
        println!("WRONG: {line}");
        explain(&told, line);
    }
    assert!(bad.is_empty(), "{} things are wrong", bad.len());
}

/// Prints what happened to the names that a complaint is about, and to folders at that time.
fn explain(told: &Told, line: &str) {
    let mut last = 0;
    for (name, events) in told.events.iter().filter(|(n, _)| line.contains(&format!("{n} "))) {
        for (time, what) in events {
            println!("       {time} {name}: {what}");
            last = last.max(*time);
        }
    }
    let mut around: Vec<_> = told
        .events
        .iter()
        .filter(|(name, _)| name.contains("/leaf"))
        .flat_map(|(name, events)| events.iter().map(move |(time, what)| (time, name, what)))
        .filter(|(time, ..)| time.abs_diff(last) < NEAR_NS)
        .collect();
    around.sort();
    for (time, name, what) in around {
        println!("         {time} {name}: {what}");
    }
}

fn check_own(told: &Told, tree: &Tree, bad: &mut Vec<String>) {
    for (name, may) in &told.own {
        let found = tree.files.get(name).map_or(&[][..], |f| f);
        match found {
            [] if !may.contains(&None) => bad.push(format!("{name} is lost, with {may:?}")),
            [(path, text)] if text.is_none() || !may.contains(text) => {
                bad.push(format!("{path} says {text:?}, not one of {may:?}"));
            }
            [] | [_] => {}
            more => bad.push(format!("{name} is there more than once: {more:?}")),
        }
    }
}

/// Finds the conflict copies of a name.
fn copies(name: &str, tree: &Tree) -> BTreeSet<TextId> {
    let marked = format!("{name} (conflict ");
    let files = tree.files.iter().filter(|(n, _)| n.starts_with(&marked));
    files.flat_map(|(_, found)| found.iter().filter_map(|(_, text)| *text)).collect()
}

fn check_shared(name: &str, events: &[Event], tree: &Tree, bad: &mut Vec<String>) {
    let copies = copies(name, tree);
    let found = tree.files.get(name).map_or(&[][..], |f| f);
    if found.len() > 1 || found.iter().any(|(_, text)| text.is_none()) {
        bad.push(format!("{name}: {found:?}"));
    }
    let last = found.first().and_then(|(_, text)| *text);
    // A text that was put into a conflict copy took no other one's place.
    let placed = |e: &&Event| e.text.is_none_or(|t| !copies.contains(&t));
    for event in events.iter().filter(|e| e.ok && placed(e)) {
        let Some(text) = event.text.filter(|t| Some(*t) != last) else { continue };
        let is_replaced = events.iter().filter(placed).any(|other| {
            let saw = other.base == Some(text);
            let is_blind = other.how != "guarded" && other.text != Some(text);
            saw || (is_blind && other.end > event.start)
        });
        // One that failed half way may have replaced it without saying what it saw.
        let maybe = events.iter().any(|e| !e.ok && e.how == "guarded" && e.end > event.start);
        if !is_replaced && !maybe {
            bad.push(format!("{name}: the text {text} of a save by {} is lost", event.how));
        }
    }
    let Some(shown) = events.iter().find(|e| e.text == last && last.is_some()) else { return };
    let newer = events.iter().filter(|e| e.ok).filter(placed);
    for event in newer.filter(|e| e.start > shown.end && e.text != last) {
        bad.push(format!("{name}: says {last:?}, older than {:?} by {}", event.text, event.how));
    }
    let count = copies.len();
    println!("{name}: {} saves and removals, {count} conflict copies", events.len());
}

fn check_folders(told: &Told, tree: &Tree, bad: &mut Vec<String>) {
    let tops = crate::worker::TOPS.len() as u64;
    let have = tree.folders - tops;
    if (told.removed + have).abs_diff(told.made) > told.unsure {
        bad.push(format!(
            "{have} folders, but {} were made and {} removed ({} unsure)",
            told.made, told.removed, told.unsure
        ));
    }
}

/// Whatever else stands there is something that nobody made.
fn check_unknown(told: &Told, tree: &Tree, bad: &mut Vec<String>) {
    for (name, found) in &tree.files {
        let is_new_file = std::path::Path::new(name).extension().is_some_and(|e| e == "new");
        let is_conflict = name.starts_with("shared") || name.starts_with("guarded");
        if !told.own.contains_key(name) && !is_new_file && !is_conflict {
            bad.push(format!("nobody made {found:?}"));
        }
    }
}
