//! `docs/SEMANTICS.md` says what the code does: every test that it names exists, and its table of
//! error numbers is the code's.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chartfs::error::Kind;

const PAGE: &str = include_str!("../docs/SEMANTICS.md");

/// The words between backquotes.
fn code_words() -> impl Iterator<Item = &'static str> {
    PAGE.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            sources(&entry.path(), found);
        } else if entry.path().extension().is_some_and(|e| e == "rs") {
            found.push(entry.path());
        }
    }
}

#[test]
fn every_test_that_the_page_names_exists() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &mut files);
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for file in files {
        let stem = file.file_stem().unwrap().to_str().unwrap().to_owned();
        texts.entry(stem).or_default().push_str(&fs::read_to_string(&file).unwrap());
    }
    let mut count = 0;
    for (file, test) in code_words().filter_map(|w| w.split_once("::")) {
        let text = texts.get(file).unwrap_or_else(|| panic!("there is no file {file}.rs"));
        let is_test = text.contains(&format!("fn {test}()"));
        // The cases of a program without a harness have their names in a table.
        let is_case = text.contains(&format!("(\"{test}\", "));
        assert!(is_test || is_case, "{file}::{test} does not exist");
        count += 1;
    }
    assert!(count > 40, "only {count} tests are named");
}

#[test]
fn every_promise_in_a_table_names_a_test() {
    let mut is_checked = false;
    for line in PAGE.lines() {
        if !line.starts_with('|') {
            is_checked = false;
        } else if line.ends_with("| checked by |") {
            is_checked = true;
        } else if is_checked && !line.starts_with("|---") {
            let last = line.trim_end_matches(" |").rsplit(" | ").next().unwrap();
            assert!(last.contains("::"), "no test: {line}");
        }
    }
}

#[test]
fn the_error_numbers_are_those_of_the_code() {
    for kind in Kind::ALL {
        let errno = nix::errno::Errno::from_raw(kind.errno());
        let row = format!("| `{errno:?}` | `{kind:?}` |");
        assert_eq!(PAGE.matches(&row).count(), 1, "{row}");
    }
}
