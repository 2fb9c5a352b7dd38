//! The files that the laws are tried on.

#[path = "summary.rs"]
pub(crate) mod summary;

use std::path::{Path, PathBuf};

use chartfs::demo::patients::patient;

/// Files of the sample folder beside the repository, or none when it is not there.
pub(crate) fn samples() -> Vec<(PathBuf, Vec<u8>)> {
    let shared = std::env::var_os("CHARTFS_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let mut files = Vec::new();
    collect(&shared.join("data"), &mut files);
    files.sort();
    if files.is_empty() {
        println!(
            "NOTE: no sample files beside the project; only what the generator makes is tried"
        );
    }
    files
}

pub(crate) fn collect(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if let Ok(bytes) = std::fs::read(&path) {
            files.push((path, bytes));
        }
    }
}

pub(crate) fn generated() -> Vec<(PathBuf, Vec<u8>)> {
    let files = |seed| {
        let made = patient(seed);
        made.files.into_iter().map(move |(name, bytes)| (Path::new(&made.folder).join(name), bytes))
    };
    (0..5).flat_map(files).collect()
}

/// Small files with every oddity of layout.
pub(crate) const ODD: [&str; 22] = [
    "{}",
    " { } \n",
    "{\"a\":1}",
    "{\"name\" : \"x\" , \"ssn\":2 ,\n \"labs\" : [ ] }\r\n",
    "\u{feff}{\"name\":\"x\",\"hiv\":true}",
    "{\"resourceType\":\"Bundle\"}",
    "{\"resourceType\":\"Bundle\",\"entry\":[]}",
    "{\"resourceType\":\"Bundle\",\"entry\":[ ],\"total\":0}",
    "{\"entry\":[ {\"resource\":{\"id\":\"1\",\"resourceType\":\"Condition\"}} ] ,\"resourceType\":\"Bundle\"}",
    "{\"total\":1,\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{\"resourceType\":\"Patient\"}}]}",
    "{\"total\":2,\"entry\":[{\"resource\":{\"name\":[],\"resourceType\":\"Patient\",\"x\":1},\"request\":{\"url\":\"Patient?ssn=1\"}},7,\"s\",null],\"resourceType\":\"Bundle\"}",
    "{\"resourceType\":\"Patient\",\"name\":[{\"family\":\"Q\"}],\"identifier\":[],\"telecom\":[]}",
    "{ \"id\":\"p\", \"resourceType\":\"Patient\" }",
    "{\"resourceType\":\"Observation\",\"code\":{}}\n",
    "{\"resourceType\":7,\"name\":1}",
    "{\"resourceTyp\\u0065\":\"Bundle\",\"\\u0065ntry\":[{\"a\":1},{\"b\":2}]}",
    "{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{\"resourceType\":\"Patient\",\"id\":\"1\",\"name\":[]}},{\"resource\":{\"resourceType\":\"Patient\",\"id\":\"2\",\"identifier\":[]}}]}",
    "{\"a\":1,\"a\":2}",
    "{\"resourceType\":\"Bundle\",\"entry\":{}}",
    "[1,2]",
    "",
    "{\"a\":",
];

pub(crate) fn odd() -> Vec<(PathBuf, Vec<u8>)> {
    ODD.iter()
        .enumerate()
        .map(|(i, t)| (format!("odd {i}").into(), t.as_bytes().to_vec()))
        .collect()
}

pub(crate) fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = generated();
    all.extend(odd());
    all.push(("summary".into(), summary::summary().to_string().into_bytes()));
    all.extend(samples());
    all
}
