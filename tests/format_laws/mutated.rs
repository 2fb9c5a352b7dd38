//! The functions of the fuzz targets over mutated files of every format, where no fuzzer runs.

use std::collections::BTreeMap;
use std::path::Path;

use chartfs::record::format::FormatId;

use crate::dicom::dicom_files;
use crate::files::files;
use crate::record::Dice;

#[allow(unreachable_pub, reason = "they are public in the crate of the fuzz targets")]
#[path = "../../fuzz/src/lib.rs"]
mod laws;

/// Longer files are left to the other laws.
const MAX_BYTES: usize = 200_000;
/// Rounds over all files; more by `CHARTFS_MUTATIONS`.
const ROUNDS: usize = 3;

/// Returns the number of the name that a file's name ends like.
fn name_of(path: &Path) -> u8 {
    let endings = ["", "csv", "tsv", "toml", "yaml", "md", "hl7", "ndjson", "xml", "dcm"];
    let ending = path.extension().unwrap_or_default();
    let found = endings.iter().position(|e| !e.is_empty() && ending == *e).unwrap_or(0);
    u8::try_from(found).unwrap()
}

/// Changes bytes, takes some out, doubles some, and puts in some of another file.
pub(crate) fn mutate(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    for _ in 0..dice.below(3) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(40)).min(bytes.len());
        match dice.below(7) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(dice.below(256)).unwrap(),
            // Most often one that leaves the structure as it is.
            5 | 6 if at < bytes.len() && bytes[at].is_ascii_alphanumeric() => bytes[at] = b'7',
            1 => drop(bytes.drain(at..end)),
            2 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            3 => {
                let from = dice.below(other.len());
                let part = &other[from..(from + dice.below(200)).min(other.len())];
                bytes.splice(at..at, part.iter().copied());
            }
            _ => {
                let with = b"\0\xff\"{}[]:,|^~&<>\\#-=\r\n\t ";
                bytes.insert(at, with[dice.below(with.len())]);
            }
        }
    }
}

fn head(name: u8, dice: &mut Dice) -> Vec<u8> {
    [&dice.mask().rotate_left(7).to_le_bytes()[..], &[name]].concat()
}

#[test]
fn mutated_files_are_cut_and_saved_as_the_laws_say() {
    let mut all = files();
    all.extend(dicom_files());
    let mut opaque = 0;
    all.retain(|(path, bytes)| {
        let is_opaque =
            laws::split(&[&[0; 8], &[name_of(path)][..], bytes].concat()) == Some(FormatId::Opaque);
        opaque += usize::from(is_opaque);
        // There is little to find in those that are not cut.
        bytes.len() <= MAX_BYTES && !(is_opaque && opaque % 8 > 0)
    });
    let rounds = std::env::var_os("CHARTFS_MUTATIONS").and_then(|n| n.to_str()?.parse().ok());
    let mut dice = Dice(rounds.unwrap_or(0) as u64);
    let (mut cuts, mut saves) = (BTreeMap::<_, usize>::new(), BTreeMap::<_, usize>::new());
    for _ in 0..rounds.unwrap_or(ROUNDS) {
        for (path, bytes) in &all {
            let other = &all[dice.below(all.len())].1;
            let mut file = bytes.clone();
            mutate(&mut file, other, &mut dice);
            let format = laws::split(&[head(name_of(path), &mut dice), file.clone()].concat());
            *cuts.entry(format.unwrap()).or_default() += 1;
            let file = if dice.below(2) == 0 { bytes } else { &file };
            let count = dice.below(5);
            let mut input = head(name_of(path), &mut dice);
            input.push(u8::try_from(count).unwrap());
            for _ in 0..count {
                input.extend(dice.mask().to_le_bytes().iter().take(4));
                let with = b"\0\0ax1\"{}[]:,|^~&<>\\#-=\r\n ";
                input.extend(match dice.below(3) {
                    0 => [u8::try_from(dice.below(12)).unwrap(), with[dice.below(with.len())]],
                    _ => [1, b'7'],
                });
            }
            input.extend(file);
            if let Some(format) = laws::save(&input) {
                *saves.entry(format).or_default() += 1;
            }
        }
    }
    println!("mutated files {cuts:?}, of which a view was saved {saves:?}");
    // Those that nobody has to bring along.
    for format in [FormatId::Json, FormatId::FhirJson, FormatId::Dicom] {
        assert!(cuts[&format] > 0 && saves[&format] > 0, "{format:?}");
    }
}
