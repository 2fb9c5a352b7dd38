//! A researcher's mount of a realm with many patients: every path, text, size, time and attribute of
//! it is searched for every identifier of everybody.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chartfs::record::format::{FormatId, Rules, Slot, take_apart};
use chartfs::record::{RecordId, Records};
use chartfs::store::Bucket;
use chartfs::view::{Ino, View, ViewOptions};

use crate::drive::support::{POLICY, TestRealm};
use crate::drive::view::{self, Drive, RUNTIME};
use crate::drive::{Mounted, can_mount, options};

#[path = "../format_laws/collector.rs"]
#[expect(dead_code, reason = "the laws use more of it")]
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

/// Files everything as the doctor does; returns which record each file is.
async fn file_all(realm: &TestRealm, filed: &[Filed]) -> BTreeMap<RecordId, usize> {
    let records = realm.records("doctor").await;
    let view = View::of(records.clone(), ViewOptions::default()).await.unwrap();
    let (mut taken, mut sources) = (BTreeSet::new(), BTreeMap::new());
    for (number, f) in filed.iter().enumerate() {
        let ana = if number % 2 == 0 { "ana/" } else { "" };
        let folder = view.make_path(&format!("{ana}{}", f.folder)).await.unwrap();
        let mut name = f.name.clone();
        while !taken.insert((folder, name.clone())) {
            name.insert(0, '2');
        }
        view.write_path(folder, name.as_bytes(), f.bytes.as_slice()).await.unwrap();
        sources.insert((folder, name), number);
    }
    view.drain().await.unwrap();
    let mut by_record = BTreeMap::new();
    each_entry(&records, realm, |path, record| {
        let (folder, name) = path.rsplit_once('/').unwrap();
        let folder = folder.to_owned();
        by_record.insert(record, (folder, name.to_owned()));
    })
    .await;
    let mut all = BTreeMap::new();
    for (record, (folder, name)) in by_record {
        let ino = view.resolve(&folder).await.unwrap().ino;
        all.insert(record, sources[&(ino, name)]);
    }
    all
}

/// Tells the path of every file, as the user of `records` sees it, and its record.
async fn each_entry(records: &Records, realm: &TestRealm, mut tell: impl FnMut(&str, RecordId)) {
    let mut folders = vec![(String::new(), realm.root, realm.policy.clone())];
    while let Some((path, located, policy)) = folders.pop() {
        let names = records.names(located, &policy, Duration::ZERO).await.unwrap();
        for (name, entry) in &names.table.0 {
            let path = format!("{path}/{}", String::from_utf8_lossy(name));
            if entry.is_directory() {
                let policy = entry.policy.clone().unwrap_or_else(|| names.policy.clone());
                folders.push((path, entry.located, policy));
            } else {
                tell(&path, entry.located.record);
            }
        }
    }
}

/// What a mount shows, as one text per place.
#[derive(Default)]
struct Shown {
    /// Where, in which format, what, and whether that is the text of a file.
    texts: Vec<(String, FormatId, Vec<u8>, bool)>,
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
        shown.texts.push((inside.clone(), FormatId::Json, told.into_bytes(), false));
        shown.texts.push((
            inside.clone(),
            FormatId::Json,
            attributes(mounted, metadata.ino()),
            false,
        ));
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
        shown.texts.push((inside, format, text, true));
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

/// Identifiers of more words are not looked for.
const WORDS_MAX: usize = 12;

/// Runs of words, by how many they are.
fn runs(text: &str, count: usize) -> HashSet<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(count).map(|run| run.join(" ")).collect()
}

fn words(text: &str) -> String {
    let searchable = collector::searchable(FormatId::Json, text.as_bytes());
    let words: Vec<&str> = searchable.split_whitespace().collect();
    words.join(" ")
}

/// A file, and what in it identifies somebody.
struct Source {
    text: String,
    /// Its codes, and the names of its members.
    language: String,
    identifiers: BTreeSet<String>,
}

fn source(f: &Filed) -> Source {
    let (format, _) = take_apart(&f.bytes, &f.name, &Rules::builtin());
    // Files are called after their patients: given name, family name, number.
    let stem = f.name.split_once('.').map_or("", |(stem, _)| stem);
    let named = if stem.contains('_') { stem.replace('_', " ") } else { String::new() };
    let telling = collector::identifiers(format, &f.bytes).into_iter().chain([named]);
    let telling = telling.map(|text| words(&text));
    let is_told = |text: &String| text.len() >= 5 && text.split(' ').count() <= WORDS_MAX;
    let text = collector::searchable(format, &f.bytes);
    // A narrative repeats codes, and what looks like a number there may be one.
    let mut language = String::new();
    for line in String::from_utf8_lossy(&f.bytes).lines() {
        if let Ok(value) = serde_json::from_str(line) {
            language_of(&value, "", &mut language);
        }
    }
    if let Ok(value) = serde_json::from_slice(&f.bytes) {
        language_of(&value, "", &mut language);
    }
    let language = collector::searchable(FormatId::Json, language.as_bytes());
    let is_code = |text: &String| language.contains(&format!(" {text} "));
    let identifiers = telling.filter(|t| is_told(t) && !is_code(t)).collect();
    Source { text, language, identifiers }
}

/// Gathers the codes of a FHIR text, and the names of its members.
fn language_of(value: &serde_json::Value, key: &str, language: &mut String) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                language.push_str(key);
                language.push('\n');
                language_of(value, key, language);
            }
        }
        serde_json::Value::Array(list) => {
            for value in list {
                language_of(value, key, language);
            }
        }
        serde_json::Value::String(text) if ["code", "system", "url", "profile"].contains(&key) => {
            language.push_str(text);
            language.push('\n');
        }
        _ => {}
    }
}

// A surname, or a number, of one may be a word, or a code, in the file of another: there it is an
// identifier unless that file says it itself, and not of anybody. In names and times it always is.
#[test]
fn a_researchers_drive_names_nobody() {
    if !can_mount() {
        return;
    }
    let filed = everything();
    let realm = Arc::new(RUNTIME.block_on(TestRealm::found_with(Bucket::memory(), &policy())));
    let numbers = RUNTIME.block_on(file_all(&realm, &filed));
    let mut sources: Vec<Source> = filed.iter().map(source).collect();
    // What is a word of the formats in one file is one in all.
    let spoken: HashSet<String> = sources.iter().flat_map(|s| runs(&s.language, 1)).collect();
    let is_word =
        |text: &String| !text.contains(|c: char| c.is_ascii_digit()) && spoken.contains(text);
    for source in &mut sources {
        source.identifiers.retain(|text| !is_word(text));
    }
    let mut wanted: BTreeMap<usize, HashSet<&str>> = BTreeMap::new();
    for identifier in sources.iter().flat_map(|s| &s.identifiers) {
        wanted.entry(identifier.split(' ').count()).or_default().insert(identifier);
    }
    let searched: usize = wanted.values().map(HashSet::len).sum();

    let drive = researcher(&realm);
    let mut places = BTreeMap::new();
    let records = drive.view.records().clone();
    RUNTIME.block_on(each_entry(&records, &realm, |path, record| {
        places.insert(path[1..].to_owned(), numbers[&record]);
    }));
    let Some(mounted) = Mounted::with(drive, options()) else { return };
    let mut shown = Shown::default();
    walk(&mounted, mounted.point(), &mut shown);

    let mut hits = BTreeSet::new();
    for (place, format, text, is_file) in &shown.texts {
        let text = collector::searchable(*format, text);
        let source = places.get(place).filter(|_| *is_file).map(|n| &sources[*n]);
        for (count, identifiers) in &wanted {
            for run in runs(&text, *count) {
                if !identifiers.contains(run.as_str()) {
                    continue;
                }
                let is_own = source.is_some_and(|s| {
                    !s.identifiers.contains(&run) && s.text.contains(&format!(" {run} "))
                });
                if !is_own {
                    let name = source.map_or("no file", |_| filed[places[place]].name.as_str());
                    hits.insert(format!("{run:?} in {place} ({name})"));
                }
            }
        }
    }
    println!("{} files filed, {:?} shown with text", filed.len(), shown.by_format);
    println!("{searched} identifiers, {} hits", hits.len());
    for hit in hits.iter().take(200) {
        println!("{hit}");
    }
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
