//! Partial views of DICOM files before real tools, and back through what these write.

use std::path::{Path, PathBuf};
use std::process::Command;

use chartfs::record::format::{FormatId, Rules, Sections, Slot, join, merge};

use crate::dicom::{dicom_files, directory};
use crate::record::{apply, cut, pick, random_view};

/// Views by name, each without some sections.
const VIEWS: [(&str, &[Slot]); 4] = [
    ("patient", &[Slot::DEMOGRAPHICS, Slot::IDENTIFIERS, Slot::CONTACT]),
    ("pixels", &[Slot::IMAGING]),
    ("vendor", &[Slot::OTHER, Slot::WHOLE, Slot::NOTES]),
    ("study", &[Slot::ENCOUNTERS, Slot::DIRECTORY, Slot::DEVICES, Slot::PROCEDURES]),
];

fn view_of(sections: &Sections, hidden: &[Slot]) -> (std::collections::BTreeSet<Slot>, Sections) {
    let mut visible = random_view(FormatId::Dicom, u64::MAX);
    visible.retain(|slot| !hidden.contains(slot));
    let shown = pick(sections, &visible);
    (visible, shown)
}

/// Writes every file with its views, each into a folder of its own.
fn write_views(folder: &Path) -> Vec<(PathBuf, Sections)> {
    let mut all = Vec::new();
    for (index, (path, bytes)) in dicom_files().into_iter().enumerate() {
        let (format, sections) = cut(&bytes);
        if format != FormatId::Dicom {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().replace(' ', "-");
        let place = folder.join(format!("{index:02}-{name}"));
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("full.dcm"), &bytes).unwrap();
        for (name, hidden) in VIEWS {
            let (_, shown) = view_of(&sections, hidden);
            std::fs::write(place.join(format!("{name}.dcm")), join(format, &shown)).unwrap();
        }
        all.push((place, sections));
    }
    all
}

/// Saves what a tool wrote, and looks that hidden sections are as before and the edit is there.
fn save_back(file: &Path, sections: &Sections, hidden: &[Slot]) {
    let edit = std::fs::read(file).unwrap();
    let (visible, shown) = view_of(sections, hidden);
    let merged = merge(FormatId::Dicom, &shown, &visible, &edit, &Rules::builtin())
        .unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut after = sections.clone();
    apply(&mut after, merged);
    for slot in hidden {
        assert!(after.get(slot) == sections.get(slot), "{slot} of {}", file.display());
    }
    let view = join(FormatId::Dicom, &pick(&after, &visible));
    assert!(view == edit, "{} is not what was saved", file.display());
    assert!(view.windows(4).any(|w| w == b"4242"), "{}", file.display());
}

#[test]
fn real_tools_read_and_edit_partial_views() {
    let folder = tempfile::tempdir().unwrap();
    let all = write_views(folder.path());
    if !crate::readers::run("dicom_check.py", folder.path()) {
        return;
    }
    let mut saves = 0;
    for (place, sections) in &all {
        for (name, hidden) in VIEWS {
            for tool in ["dcmodify", "pydicom"] {
                let file = place.join(format!("{name}.{tool}.dcm"));
                if file.exists() {
                    save_back(&file, sections, hidden);
                    saves += 1;
                }
            }
        }
    }
    println!("{saves} files that a tool wrote were saved");
}

#[test]
fn dcmdump_reads_views_of_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let dump = |bytes: &[u8]| {
        let path = folder.path().join("DICOMDIR");
        std::fs::write(&path, bytes).unwrap();
        Command::new("dcmdump").arg("-q").arg("-Un").arg(&path).output()
    };
    let file = directory(["Quill^Ada", "Roe^Ben"]);
    let (format, sections) = cut(&file);
    assert_eq!(format, FormatId::DicomDir);
    let full = match dump(&file) {
        Ok(full) => full,
        Err(e) => return println!("SKIPPED: views of a DICOMDIR: dcmdump cannot be run: {e}"),
    };
    assert!(!dump(&file[..file.len() - 9]).unwrap().status.success(), "dcmdump takes anything");
    let lines = |said: &[u8]| String::from_utf8_lossy(said).lines().count();
    for hidden in [&[Slot::DEMOGRAPHICS, Slot::IDENTIFIERS][..], &[Slot::IMAGING], &[Slot::WHOLE]] {
        let mut visible = random_view(format, u64::MAX);
        visible.retain(|slot| !hidden.contains(slot));
        let view = dump(&join(format, &pick(&sections, &visible))).unwrap();
        assert!(view.status.success(), "{}", String::from_utf8_lossy(&view.stderr));
        assert_eq!(lines(&view.stdout), lines(&full.stdout), "a view has the same elements");
    }
}
