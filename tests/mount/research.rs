//! A researcher's mount of a realm with many patients: every path, text, size, time and attribute of
//! it is searched for every identifier of everybody.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chartfs::record::format::{FormatId, Rules, Slot, take_apart};
use chartfs::store::Bucket;
use chartfs::view::{Ino, View, ViewOptions};

use crate::drive::support::{POLICY, TestRealm};
use crate::drive::view::{self, Drive, RUNTIME};
use crate::drive::{Mounted, can_mount, options};

#[path = "../format_laws/safe_harbor/collector.rs"]
mod collector;
#[path = "../format_laws/files.rs"]
#[expect(dead_code, reason = "the laws use more of it")]
mod files;

/// What a policy releases at most: everything.
fn policy() -> String {
    let all: Vec<String> = Slot::ALL.iter().map(|s| format!("{:?}", s.name())).collect();
    let release = format!(
        "\n[research]\nproject = \"all-of-it\"\nsections = [{}]\nread = \"researcher@north\"\n",
        all.join(", ")
    );
    let policy = POLICY
        .replace("owner@ana", "owner@{patient}")
        .replace("list = \"physician@st-mary", "list = \"owner@ana or physician@st-mary")
        .replace("\"psychiatrist@north\"\n", "\"psychiatrist@north or physician@st-mary\"\n");
    policy + &release
}

/// A person's file, under names that tell who it is.
struct Filed {
    folder: String,
    name: String,
    bytes: Vec<u8>,
}

/// Everything that can be tried here: what the generator makes, and samples where there are any.
fn everything() -> Vec<Filed> {
    let generated = files::generated();
    let samples = files::samples();
    let file = |(number, (path, bytes)): (usize, (PathBuf, Vec<u8>))| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Filed { folder: format!("ward {}", number % 16), name, bytes }
    };
    generated.into_iter().chain(samples).enumerate().map(file).collect()
}

async fn file_all(realm: &TestRealm, filed: &[Filed]) {
    let records = realm.records("doctor").await;
    let view = View::of(records, ViewOptions::default()).await.unwrap();
    let mut taken = BTreeSet::new();
    for f in filed {
        let ana = if taken.len() % 2 == 0 { "ana/" } else { "" };
        let folder = view.make_path(&format!("{ana}{}", f.folder)).await.unwrap();
        let mut name = f.name.clone();
        while !taken.insert((folder, name.clone())) {
            name.insert(0, '2');
        }
        view.write_path(folder, name.as_bytes(), f.bytes.as_slice()).await.unwrap();
    }
    view.drain().await.unwrap();
}

/// What a mount shows, as one text per place.
#[derive(Default)]
struct Shown {
    texts: Vec<(String, FormatId, Vec<u8>)>,
    by_format: BTreeMap<&'static str, usize>,
}

fn walk(mounted: &Mounted, folder: &Path, shown: &mut Shown) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let inside = path.strip_prefix(mounted.point()).unwrap().to_string_lossy().into_owned();
        let metadata = fs::metadata(&path).unwrap();
        let told = format!(
            "{inside} {} {} {} {}",
            metadata.ino(),
            metadata.size(),
            told_time(metadata.mtime()),
            told_time(metadata.ctime())
        );
        assert_eq!(metadata.mtime() % 86_400, 0, "{inside} tells more than a day");
        shown.texts.push((inside.clone(), FormatId::Json, told.into_bytes()));
        shown.texts.push((inside.clone(), FormatId::Json, attributes(mounted, metadata.ino())));
        if metadata.is_dir() {
            walk(mounted, &path, shown);
            continue;
        }
        let text = fs::read(&path).unwrap();
        assert_eq!(text.len() as u64, metadata.size(), "{inside}");
        let (format, _) = take_apart(&text, &inside, &Rules::builtin());
        if !text.is_empty() {
            *shown.by_format.entry(format.name()).or_default() += 1;
        }
        shown.texts.push((inside, format, text));
    }
}

/// Writes a time as the dates in records are written.
fn told_time(unix_s: i64) -> String {
    assert!(unix_s >= 0);
    let (mut year, mut day) = (1970, unix_s / 86_400);
    let length = |year: i64| 365 + i64::from(year % 4 == 0);
    while day >= length(year) {
        day -= length(year);
        year += 1;
    }
    format!("{year} {day}")
}

fn attributes(mounted: &Mounted, ino: u64) -> Vec<u8> {
    let view = &mounted.drive.view;
    RUNTIME.block_on(async {
        let mut all = Vec::new();
        for name in view.xattr_names(Ino(ino)).await.unwrap() {
            let value = view.xattr(Ino(ino), &name).await.unwrap().unwrap_or_default();
            all.extend([name, value].concat());
            all.push(b' ');
        }
        all
    })
}

/// As many words of an identifier are looked for.
const WORDS_MAX: usize = 6;

/// Runs of words, by how many they are.
fn runs(text: &str, count: usize) -> HashSet<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(count).map(|run| run.join(" ")).collect()
}

fn words(text: &str) -> String {
    let searchable = collector::searchable(FormatId::Json, text.as_bytes());
    let words: Vec<&str> = searchable.split_whitespace().take(WORDS_MAX).collect();
    words.join(" ")
}

// Surnames and towns are words, and some are also words of the language of codes: what is found is
// an identifier of the file that it is found in, or one with a digit wherever it is found.
#[test]
fn a_researchers_drive_names_nobody() {
    if !can_mount() {
        return;
    }
    let filed = everything();
    let realm = Arc::new(RUNTIME.block_on(TestRealm::found_with(Bucket::memory(), &policy())));
    RUNTIME.block_on(file_all(&realm, &filed));

    let mut wanted: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for f in &filed {
        let (format, _) = take_apart(&f.bytes, &f.name, &Rules::builtin());
        // Files are called after their patients: given name, family name, number.
        let stem = f.name.split_once('.').map_or("", |(stem, _)| stem);
        let named = if stem.contains('_') { stem.replace('_', " ") } else { String::new() };
        let telling = collector::identifiers(format, &f.bytes).into_iter().chain([named]);
        for identifier in telling.map(|text| words(&text)).filter(|text| text.len() >= 5) {
            wanted.entry(identifier.split(' ').count()).or_default().insert(identifier);
        }
    }
    let searched: usize = wanted.values().map(BTreeSet::len).sum();
    let drive = researcher(&realm);
    let Some(mounted) = Mounted::with(drive, options()) else { return };
    let mut shown = Shown::default();
    walk(&mounted, mounted.point(), &mut shown);

    let mut hits = Vec::new();
    for (place, format, text) in &shown.texts {
        let text = collector::searchable(*format, text);
        for (count, identifiers) in &wanted {
            for run in runs(&text, *count) {
                if identifiers.contains(&run) {
                    hits.push(format!("{run:?} in {place}"));
                }
            }
        }
    }
    println!("{} files filed, {:?} shown with text", filed.len(), shown.by_format);
    println!("{searched} identifiers, {} hits", hits.len());
    hits.sort();
    hits.iter().take(200).for_each(|hit| println!("{hit}"));
    assert!(searched > 100 && shown.by_format.values().sum::<usize>() > 4);
    assert!(hits.is_empty());
}

fn researcher(realm: &Arc<TestRealm>) -> Drive {
    let view = RUNTIME.block_on(async {
        let credential = realm.credential("rita", &["researcher@north"]).await;
        View::of(realm.records_of(credential).await, ViewOptions::default()).await.unwrap()
    });
    let mut drive = view::of_user(realm, "doctor", ViewOptions::default());
    drive.view = view;
    drive
}
