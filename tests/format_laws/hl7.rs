//! The laws for HL7 v2: every message, with every line end, in every view.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chartfs::record::format::{FormatId, Rules, SectionText, Slot, join, merge};
use proptest::prelude::*;

use crate::files::samples;
use crate::record::{Dice, apply, cut, pick, random_view, size};

/// A visit of an invented patient, with segments of every kind.
const MESSAGE: &str = "MSH|^~\\&|WARD|ELM HOUSE|LAB|OAK HOUSE|20260301101500||ADT^A01|C-1|P|2.5|||AL\r\
EVN|A01|20260301101500|||OP7^Ode^Nan|20260301100000|ELM\r\
PID|1||T-4711^^^ELM^MR||Testa^Ottilie^Q||19610203|F||2106-3|1 Nowhere Lane^^Elmton^NA^00000||555-0100|||M|LUT|ACC-9|000-00-0000\r\
PD1|||ELM PRACTICE|||||Y\r\
NK1|1|Testa^Bruno|SPO|1 Nowhere Lane\r\
NK1|2|Testa^Carla|CHD\r\
PV1|1|I|W4^12^A|||||||MED||||||||V-77\r\
PV2|||^cough\r\
AL1|1|DA|70618^Penicillin^RXNORM|SV|rash\r\
AL1|2|FA|^Peanut\r\
DG1|1||J45.909^Asthma^I10\r\
DG1|2||F32.9^Depressive episode^I10\r\
NTE|1||follow-up agreed\r\
DG1|3||E11.9^Diabetes^I10\r\
PR1|1||31622^Bronchoscopy^C4\r\
GT1|1||Testa^Bruno\r\
IN1|1|PLAN|CO|Elm Mutual\r\
IN2|1|000-00-0001\r\
ZEL|1|local\r";

const RESULT: &str = "MSH|^~\\&|LAB|OAK|WARD|ELM|20260302||ORU^R01|C-2|P|2.5\n\
PID|1||T-4711||Testa^Ottilie\n\
ORC|RE|P1\n\
OBR|1|P1|F1|24323-8^Panel^LN\n\
NTE|1||fasting\n\
OBX|1|NM|2345-7^Glucose^LN||99|mg/dL\n\
OBX|2|NM|8867-4^Heart rate^LN||72\n\
NTE|1||at rest\n\
OBX|3|ST|55277-8^HIV status^LN||negative\n\
NTE|1||told by phone\n\
OBX|4|NM|718-7^Hemoglobin^LN||13\n\
ORC|RE|P2\n\
OBR|2|P2|F2|1^Chest^L||||||||||||||||||||RAD\n\
OBX|1|TX|1^Text^L||first line\n\
OBX|2|TX|1^Text^L||second line\n\
SPM|1|S1\n\
OBX|1|NM|3141-9^Weight^LN||70";

/// Messages with every oddity of layout.
pub(crate) fn odd() -> Vec<Vec<u8>> {
    let crlf = MESSAGE.replace('\r', "\r\n");
    let mixed = MESSAGE.replacen('\r', "\n", 3).replacen('\r', "\r\n\r\n", 4);
    let batch = format!(
        "FHS|^~\\&|A|B\rBHS|^~\\&|A|B|||||Elm batch\r{MESSAGE}{}\rBTS|2|done\rFTS|1\r",
        RESULT.replace('\n', "\r")
    );
    let latin: Vec<u8> = MESSAGE.bytes().map(|b| if b == b'Q' { 0xe9 } else { b }).collect();
    let mut all: Vec<Vec<u8>> = [
        MESSAGE.to_owned(),
        RESULT.to_owned(),
        crlf.clone(),
        format!("\u{feff}{crlf}"),
        mixed,
        batch,
        format!("\u{b}{MESSAGE}\u{1c}\r"),
        format!("\u{b}{MESSAGE}\u{1c}\r\u{b}{MESSAGE}\u{1c}\r"),
        MESSAGE.replace('|', "#"),
        MESSAGE.replacen("^~\\&", "^~\\\\&", 1),
        RESULT.replace("second line", "second\nline | of text"),
        "MSH|^~\\&|\rDG1\rDG1\rZ1|2\rAL1\nx|1".to_owned(),
        "MSH|^~\\&|".to_owned(),
        "MSH|".to_owned(),
        "MSH||\rPID\rPID|\rPID|1\rPV1\rPV1|\rDG1|1\rDG1|1\rDG1|2\rDG1|3\r\r".to_owned(),
        "MSH|^~\\&|A\rPV1|1|I\rPV1|2|O\rPV1|\rARV|1|A|DEM|X|why\rARV|2|A|HIV\rPID|1||a||b||c"
            .into(),
    ]
    .map(String::into_bytes)
    .into();
    all.push(latin);
    all
}

fn messages() -> Vec<(PathBuf, Vec<u8>)> {
    let odd = odd().into_iter().enumerate();
    let mut all: Vec<(PathBuf, Vec<u8>)> =
        odd.map(|(n, bytes)| (format!("odd message {n}").into(), bytes)).collect();
    all.extend(samples().into_iter().filter(|(p, _)| p.extension().is_some_and(|e| e == "hl7")));
    all
}

fn is_hl7(bytes: &[u8]) -> bool {
    cut(bytes).0 == FormatId::Hl7v2
}

#[test]
fn every_message_is_cut_and_comes_back() {
    for (path, bytes) in messages() {
        let (format, sections) = cut(&bytes);
        assert_eq!(format, FormatId::Hl7v2, "{}", path.display());
        assert!(join(format, &sections) == bytes, "{} differs", path.display());
        for text in sections.values() {
            assert!(SectionText::decode(format, &text.encode(format)).unwrap() == *text);
        }
    }
}

/// Says whether no field of a view is `""` where the file has none: a receiver would delete it.
fn no_field_is_emptied(view: &[u8], bytes: &[u8]) -> bool {
    let count = |text: &[u8]| text.windows(2).filter(|pair| pair == b"\"\"").count();
    count(view) <= count(bytes)
}

#[test]
fn every_view_is_a_message_again_and_a_save_of_it_changes_nothing() {
    let mut dice = Dice(41);
    for (path, bytes) in messages() {
        let (format, sections) = cut(&bytes);
        for round in 0..12 {
            let visible = random_view(format, if round == 0 { 0 } else { dice.mask() });
            let shown = pick(&sections, &visible);
            let view = join(format, &shown);
            assert!(is_hl7(&view), "{}: {}", path.display(), String::from_utf8_lossy(&view));
            assert_eq!(size(format, &shown), view.len() as u64, "{}", path.display());
            assert!(no_field_is_emptied(&view, &bytes), "{}", path.display());
            // A comment more, which the long way of a merge takes.
            let end = view.iter().rposition(|b| !b"\r\n\x1c".contains(b)).unwrap() + 1;
            let name =
                view.windows(3).position(|w| [b"MSH", b"FHS"].iter().any(|h| w == *h)).unwrap();
            let edited = [&view[..end], b"\rZZZ", &view[name + 3..=name + 3], b"new"].concat();
            let edited = [&edited, &view[end..]].concat();
            let merged = merge(format, &shown, &visible, &edited, &Rules::builtin())
                .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let slots: Vec<Slot> =
                merged.changed.keys().chain(merged.appended.keys()).copied().collect();
            assert_eq!(slots, [Slot::OTHER], "{}", path.display());
            let mut after = sections.clone();
            apply(&mut after, merged);
            assert!(is_hl7(&join(format, &after)));
            if visible.contains(&Slot::OTHER) {
                assert!(join(format, &pick(&after, &visible)) == edited, "{}", path.display());
            }
        }
    }
}

/// Edits the segments of a view: removes, swaps, changes, adds. Those that every view shows, and
/// lines that are no segments, stay where they are.
fn edit(view: &[u8], dice: &mut Dice) -> Vec<u8> {
    let text: String = view.iter().map(|&b| char::from(b)).collect();
    let mut lines: Vec<&str> = text.split_inclusive(['\r', '\n']).collect();
    let fixed = ["MSH", "PID", "PD1", "EVN", "PV1", "FHS", "BHS", "BTS", "FTS", "ARV", "MSA"];
    let is_free = |line: &str| {
        line.as_bytes().get(3) == Some(&b'|') && !fixed.iter().any(|f| line.contains(f))
    };
    for n in 0..=dice.below(4) {
        let i = dice.below(lines.len());
        let end = &lines[0][lines[0].len() - 1..];
        let ended = lines[i].ends_with(end);
        match dice.below(4) {
            0 if ended && is_free(lines[i]) => drop(lines.remove(i)),
            1 if ended && i > 0 && is_free(lines[i]) && is_free(lines[i - 1]) => {
                lines.swap(i, i - 1);
            }
            2 if ended && is_free(lines[i]) => {
                lines[i] = if n % 2 == 0 { "DG1|1||J45.9^Asthma^I10\r" } else { "NTE|1||new\r" };
            }
            _ if ended => lines.insert(i + 1, "OBX|1|NM|2345-7^Glucose^LN||101\r"),
            _ => {}
        }
    }
    lines.concat().chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

#[test]
fn what_is_saved_is_what_is_read_and_hidden_sections_stay() {
    let (mut dice, mut rounds) = (Dice(42), 0);
    for (path, bytes) in messages() {
        let (format, mut sections) = cut(&bytes);
        for _ in 0..8 {
            let visible = random_view(format, dice.mask());
            let shown = pick(&sections, &visible);
            let edited = edit(&join(format, &shown), &mut dice);
            let Ok(merged) = merge(format, &shown, &visible, &edited, &Rules::builtin()) else {
                continue;
            };
            let appended: BTreeSet<Slot> = merged.appended.keys().copied().collect();
            assert!(merged.changed.keys().all(|slot| visible.contains(slot)));
            let before = sections.clone();
            apply(&mut sections, merged);
            for (slot, text) in before.iter().filter(|(slot, _)| !visible.contains(slot)) {
                let kept = &sections[slot];
                assert!(text.items.iter().all(|item| kept.items.contains(item)), "{slot}");
                assert!(appended.contains(slot) || kept == text, "{slot} was touched");
            }
            if appended.is_empty() {
                let after = join(format, &pick(&sections, &visible));
                assert!(after == edited, "{}", path.display());
            }
            assert!(is_hl7(&join(format, &sections)), "{}", path.display());
            rounds += 1;
        }
    }
    println!("{rounds} edit rounds of messages");
    assert!(rounds >= 60);
}

/// Writes random views beside their files.
fn write_views(folder: &Path) -> usize {
    let (mut dice, mut count) = (Dice(43), 0);
    for (_, bytes) in messages() {
        let (format, sections) = cut(&bytes);
        for round in 0..2 {
            let visible = random_view(format, if round == 0 { 0 } else { dice.mask() });
            let view = join(format, &pick(&sections, &visible));
            std::fs::write(folder.join(format!("{count}.view")), view).unwrap();
            std::fs::write(folder.join(format!("{count}.full")), &bytes).unwrap();
            count += 1;
        }
    }
    count
}

#[test]
fn other_readers_take_the_views() {
    let folder = tempfile::tempdir().unwrap();
    println!("{} views", write_views(folder.path()));
    crate::readers::run("hl7_check.py", folder.path());
}

/// The laws for any bytes: kept, and every view is a message again. Says whether a message took one
/// segment more.
fn check(bytes: &[u8], mask: u64) -> Result<bool, TestCaseError> {
    let (format, sections) = cut(bytes);
    prop_assert_eq!(&join(format, &sections), bytes);
    let visible = random_view(format, mask);
    let shown = pick(&sections, &visible);
    let view = join(format, &shown);
    prop_assert_eq!(size(format, &shown), view.len() as u64);
    prop_assert!(format != FormatId::Hl7v2 || is_hl7(&view));
    let edited = [&view[..], b"\rZZZ|1\r"].concat();
    let Ok(merged) = merge(format, &shown, &visible, &edited, &Rules::builtin()) else {
        return Ok(format != FormatId::Hl7v2);
    };
    let clean = merged.appended.is_empty();
    let mut after = sections.clone();
    apply(&mut after, merged);
    prop_assert!(!clean || join(format, &pick(&after, &visible)) == edited);
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_message_is_kept(
        which in 0..17_usize,
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        mask: u64,
    ) {
        let mut bytes = odd().swap_remove(which);
        for (at, with) in places {
            let at = at.index(bytes.len());
            bytes[at] = b"|^~\\&\r\n\x0b\x1cM1"[usize::from(with) % 11];
        }
        check(&bytes, mask)?;
    }

    #[test]
    fn any_segments_are_kept(
        segments in proptest::collection::vec("(\r|\n|\r\n)(PID|PV1|DG1|OBX|ARV|NTE|Z1|MSH|x)(\\|[1-3A-z^]{0,3}){0,5}", 0..12),
        mask: u64,
    ) {
        let bytes = format!("MSH|^~\\&|A{}", segments.concat()).into_bytes();
        prop_assert!(check(&bytes, mask)?, "not merged: {}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn a_message_is_appended_through_a_view_that_hides_something() {
    let message = |number: u32| {
        format!("MSH|^~\\&|LAB|N|||20261123||ORU^R01|{number}|P|2.5\rPID|1||MRN-{number}\r")
    };
    let (format, mut sections) = cut(message(1).as_bytes());
    let mut visible = random_view(format, u64::MAX);
    visible.remove(&Slot::MENTAL_HEALTH);
    let both = message(1) + &message(2);
    let shown = pick(&sections, &visible);
    let merged = merge(format, &shown, &visible, both.as_bytes(), &Rules::builtin()).unwrap();
    apply(&mut sections, merged);
    assert_eq!(String::from_utf8(join(format, &pick(&sections, &visible))).unwrap(), both);
}
