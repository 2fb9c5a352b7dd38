//! The arrows between the folders of `src`, and who may name which crate, checked on the source.
//!
//! Textual on purpose: it reads `use crate::…` and paths in code, needs no dependency, and fails
//! with the file and the rule.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Every module and the modules that it may use. `error` and `wire` may be used by all.
const ARROWS: [(&str, &[&str]); 14] = [
    ("error", &[]),
    ("wire", &[]),
    ("clock", &[]),
    ("store", &[]),
    ("key", &[]),
    ("section", &["key"]),
    ("realm", &["key", "store"]),
    ("record", &["section", "key", "store", "realm", "clock"]),
    ("view", &["record", "realm", "key", "clock"]),
    ("fuse", &["view", "clock"]),
    ("daemon", &["fuse", "view"]),
    ("config", &["store"]),
    ("demo", &["view", "record", "realm", "key", "store", "clock"]),
    ("cli", &["daemon", "view", "record", "realm", "key", "store", "config", "demo", "clock"]),
];

/// Words that only one part of the source may say.
const ONLY_IN: [(&str, &[&str]); 7] = [
    ("fuser", &["fuse/"]),
    ("blst", &["key/dabe/"]),
    ("object_store", &["store/"]),
    ("println!", &["cli/"]),
    ("eprintln!", &["cli/", "daemon/"]),
    ("std::env::var", &["config/"]),
    ("SystemTime::now", &["clock/", "store/"]),
];

fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files
        .into_iter()
        .map(|f| {
            let name = f.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(f).unwrap())
        })
        .collect()
}

/// The code without comments, and without the tests at its end.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    code.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn module_of(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The modules that the code names after `crate::`, also in braces.
fn used(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for at in code.match_indices("crate::").map(|(i, m)| i + m.len()) {
        let rest = &code[at..];
        let end_of_word =
            |s: &str| s.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(s.len());
        if let Some(group) = rest.strip_prefix('{') {
            let group = &group[..group.find("};").unwrap_or(group.len())];
            let mut depth = 0_usize;
            for part in group.split_inclusive([',', '{', '}']) {
                if depth == 0 {
                    let part = part.trim();
                    used.push(part[..end_of_word(part)].to_owned());
                }
                depth += part.matches('{').count();
                depth -= part.matches('}').count().min(depth);
            }
        } else {
            used.push(rest[..end_of_word(rest)].to_owned());
        }
    }
    used.retain(|u| !u.is_empty());
    used
}

fn violations(sources: &[(String, String)]) -> Vec<String> {
    let modules: Vec<&str> = ARROWS.iter().map(|(m, _)| *m).collect();
    let mut found = Vec::new();
    for (file, text) in sources {
        let code = code(text);
        let module = module_of(file);
        if module == "main" || module == "lib" {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(m, _)| *m == module) else {
            found.push(format!("{file}: the module {module} has no place in the order"));
            continue;
        };
        for target in used(&code) {
            let is_fine = target == module
                || target == "error"
                || target == "wire"
                || allowed.contains(&target.as_str())
                || !modules.contains(&target.as_str());
            if !is_fine {
                found.push(format!("{file}: {module} must not use {target}"));
            }
        }
        for (word, places) in ONLY_IN {
            let says = code.match_indices(word).any(|(at, _)| {
                let before = code[..at].chars().next_back();
                let after = code[at + word.len()..].chars().next();
                let part_of_word =
                    |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                !part_of_word(before) && (!part_of_word(after) || word.ends_with('!'))
            });
            if says && !places.iter().any(|p| file.starts_with(p)) {
                found.push(format!("{file}: only {} may say {word}", places.join(" or ")));
            }
        }
    }
    found
}

#[test]
fn arrows_go_only_downward() {
    let found = violations(&sources());
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_violation_would_be_found() {
    let bad = |file: &str, text: &str| violations(&[(file.to_owned(), text.to_owned())]);
    assert_eq!(bad("section/mod.rs", "use crate::store::Bucket;").len(), 1);
    assert_eq!(bad("key/mod.rs", "use crate::{error::Error, realm::Realm};").len(), 1);
    assert_eq!(bad("view/mod.rs", "use fuser::Session;").len(), 1);
    assert_eq!(bad("record/mod.rs", "println!(\"x\");").len(), 1);
    assert_eq!(
        bad("record/mod.rs", "// use crate::view::View;\nuse crate::error::Error;").len(),
        0
    );
}
