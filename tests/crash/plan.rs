//! What a writer does, as steps that are known beforehand: so that a log with the number of the
//! last acknowledged step says what must be there.

use std::collections::BTreeMap;

/// Numbers that look random and are the same for the same seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// What stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Folder,
    /// The text of that number.
    Text(u64),
}

/// Names, with their folders, and what stands under them.
pub(crate) type Tree = BTreeMap<String, What>;

/// One step of a writer; it is acknowledged when its last call returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Opens (and empties) the file, writes the text, closes.
    Put {
        name: String,
        text: u64,
    },
    /// Writes the text over the old one, cuts the rest off, syncs; then closes.
    Patch {
        name: String,
        text: u64,
    },
    Rename {
        from: String,
        to: String,
    },
    Unlink {
        name: String,
    },
    MakeFolder {
        name: String,
    },
    RemoveFolder {
        name: String,
    },
    /// Renames a file to the name of its backup, which is no record: until a new text comes, a
    /// crash brings the old one back.
    TakeAway {
        name: String,
    },
    /// Removes that backup.
    DropBackup {
        name: String,
    },
}

impl Step {
    /// What is there once it was acknowledged, and the drive is mounted again.
    pub(crate) fn after(&self, before: &Tree) -> Tree {
        let mut tree = before.clone();
        match self {
            Self::Put { name, text } | Self::Patch { name, text } => {
                tree.insert(name.clone(), What::Text(*text));
            }
            Self::Rename { from, to } => {
                let what = tree.remove(from).expect("a plan moves what is there");
                tree.insert(to.clone(), what);
            }
            Self::Unlink { name } | Self::RemoveFolder { name } => {
                tree.remove(name);
            }
            Self::MakeFolder { name } => {
                tree.insert(name.clone(), What::Folder);
            }
            Self::TakeAway { .. } | Self::DropBackup { .. } => {}
        }
        tree
    }

    /// What may be there when it was begun and not acknowledged: nothing of it, or all.
    pub(crate) fn outcomes(&self, before: &Tree) -> Vec<Tree> {
        vec![before.clone(), self.after(before)]
    }
}

/// Which names a writer works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// One record, part of which belongs to somebody else.
    Chart,
    /// Files of no known kind, and a folder of them.
    Plain,
    /// JSON records.
    Json,
}

pub(crate) const LANES: [Lane; 3] = [Lane::Chart, Lane::Plain, Lane::Json];

/// The record that has two writers.
pub(crate) const CHART: &str = "chart.json";
/// How many names a writer has at a place.
const SLOTS: u64 = 6;

impl Lane {
    pub(crate) fn owns(self, name: &str) -> bool {
        name.starts_with(match self {
            Self::Chart => "chart",
            Self::Plain => "plain",
            Self::Json => "json",
        })
    }

    pub(crate) fn is_json(name: &str) -> bool {
        !name.starts_with("plain")
    }

    fn slot(self, random: &mut Random, folders: &[String]) -> String {
        let slot = random.below(SLOTS);
        let place = random.below(2 * folders.len() as u64 + 2);
        let folder = usize::try_from(place).ok().and_then(|at| folders.get(at));
        let folder = folder.map(|f| format!("{f}/")).unwrap_or_default();
        match self {
            Self::Chart => CHART.to_owned(),
            Self::Plain => format!("{folder}plain-{slot}.txt"),
            Self::Json => format!("{folder}json-{slot}.json"),
        }
    }

    fn folder(self, random: &mut Random) -> String {
        let name = if self == Self::Plain { "plain" } else { "json" };
        format!("{name}-folder-{}", random.below(2))
    }
}

/// Makes a plan of at least `len` steps on top of what is there. Texts get numbers from
/// `first_text` on.
pub(crate) fn plan(lane: Lane, mut tree: Tree, random: &mut Random, first_text: u64) -> Vec<Step> {
    const LEN: usize = 300;
    let (mut steps, mut text) = (Vec::new(), first_text);
    while steps.len() < LEN {
        let next = match (lane, random.below(20)) {
            (Lane::Chart, _) | (_, 0..=9) => save(lane, &tree, random, text),
            (_, 10..=12) => remove(lane, &tree, random),
            (_, 13..=16) => move_one(lane, &tree, random),
            _ => folders(lane, &tree, random),
        };
        text += 1;
        for step in next {
            tree = step.after(&tree);
            steps.push(step);
        }
    }
    steps
}

fn folders_of(tree: &Tree) -> Vec<String> {
    tree.iter().filter(|(_, w)| **w == What::Folder).map(|(name, _)| name.clone()).collect()
}

fn files_of(tree: &Tree) -> Vec<String> {
    tree.iter().filter(|(_, w)| **w != What::Folder).map(|(name, _)| name.clone()).collect()
}

/// Saves a text in one of the ways of programs.
fn save(lane: Lane, tree: &Tree, random: &mut Random, text: u64) -> Vec<Step> {
    let name = lane.slot(random, &folders_of(tree));
    let put = |name: &str| Step::Put { name: name.to_owned(), text };
    let new = format!("{name}.new");
    match (random.below(5), tree.contains_key(&name)) {
        (0, _) => vec![put(&new), Step::Rename { from: new, to: name }],
        (1, true) => vec![
            Step::TakeAway { name: name.clone() },
            put(&name),
            Step::DropBackup { name: name.clone() },
        ],
        // Who does not see all of a record cannot remove it at once: the name comes back.
        (2, true) if lane == Lane::Chart => {
            vec![Step::TakeAway { name: name.clone() }, put(&name), Step::DropBackup { name }]
        }
        (2, true) => vec![Step::Unlink { name: name.clone() }, put(&name)],
        (3, true) => vec![Step::Patch { name, text }],
        _ => vec![put(&name)],
    }
}

fn remove(_: Lane, tree: &Tree, random: &mut Random) -> Vec<Step> {
    one_of(&files_of(tree), random).map(|name| Step::Unlink { name }).into_iter().collect()
}

fn one_of(names: &[String], random: &mut Random) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let at = usize::try_from(random.below(names.len() as u64)).expect("an index");
    Some(names[at].clone())
}

fn move_one(lane: Lane, tree: &Tree, random: &mut Random) -> Vec<Step> {
    let to = lane.slot(random, &folders_of(tree));
    match one_of(&files_of(tree), random) {
        Some(from) if from != to && !tree.contains_key(&to) => vec![Step::Rename { from, to }],
        _ => Vec::new(),
    }
}

fn folders(lane: Lane, tree: &Tree, random: &mut Random) -> Vec<Step> {
    let name = lane.folder(random);
    let prefix = format!("{name}/");
    if !tree.contains_key(&name) {
        return vec![Step::MakeFolder { name }];
    }
    if tree.keys().any(|n| n.starts_with(&prefix)) {
        return Vec::new();
    }
    vec![Step::RemoveFolder { name }]
}

/// A text: every part of it says which it is, and its length too.
pub(crate) fn text_of(name: &str, number: u64) -> String {
    let len = match number % 16 {
        15 => 200_000,
        n => 40 + 900 * n,
    };
    let word = format!("{number} ");
    let body = word.repeat(usize::try_from(len).expect("small") / word.len() + 1);
    if Lane::is_json(name) {
        format!(r#"{{"medications": ["{number}"], "labs": ["{body}"]}}"#)
    } else {
        body
    }
}

/// Finds out which text it is; `None` when it is no whole one.
pub(crate) fn number_of(name: &str, text: &[u8]) -> Option<u64> {
    let read = std::str::from_utf8(text).ok()?;
    let digits: String =
        read.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let number = digits.parse().ok()?;
    (text_of(name, number) == read).then_some(number)
}
