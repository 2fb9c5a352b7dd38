//! The laws for DICOM: over the samples, and over files made here in every encoding.

#![allow(clippy::cast_possible_truncation, reason = "what is made here is short")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use chartfs::error::Kind;
use chartfs::record::format::{FormatId, Rules, Sections, Slot, join, merge, split};
use proptest::prelude::*;

use crate::files::samples;
use crate::record::{Dice, apply, cut, pick, random_view, size};

/// How a data set is written.
#[derive(Clone, Copy, PartialEq)]
enum Syntax {
    Explicit,
    Implicit,
    Big,
    Jpeg,
    Deflated,
}

const UNDEFINED: u32 = u32::MAX;

impl Syntax {
    fn uid(self) -> &'static str {
        match self {
            Self::Explicit => "1.2.840.10008.1.2.1",
            Self::Implicit => "1.2.840.10008.1.2",
            Self::Big => "1.2.840.10008.1.2.2",
            Self::Jpeg => "1.2.840.10008.1.2.4.50",
            Self::Deflated => "1.2.840.10008.1.2.1.99",
        }
    }

    fn u16(self, n: u16) -> [u8; 2] {
        if self == Self::Big { n.to_be_bytes() } else { n.to_le_bytes() }
    }

    fn u32(self, n: u32) -> [u8; 4] {
        if self == Self::Big { n.to_be_bytes() } else { n.to_le_bytes() }
    }

    fn tag(self, tag: u32) -> Vec<u8> {
        [self.u16((tag >> 16) as u16), self.u16(tag as u16)].concat()
    }

    fn raw(self, tag: u32, vr: &str, length: u32, value: &[u8]) -> Vec<u8> {
        let mut out = self.tag(tag);
        if self == Self::Implicit {
            out.extend(self.u32(length));
        } else if ["OB", "OW", "SQ", "UN", "UT", "UC"].contains(&vr) {
            out.extend([vr.as_bytes(), &[0, 0], &self.u32(length)].concat());
        } else {
            out.extend([vr.as_bytes(), &self.u16(length as u16)].concat());
        }
        out.extend(value);
        out
    }

    fn element(self, tag: u32, vr: &str, value: &[u8]) -> Vec<u8> {
        self.raw(tag, vr, value.len() as u32, value)
    }

    fn text(self, tag: u32, vr: &str, value: &str) -> Vec<u8> {
        let pad = match value.len() % 2 {
            0 => "",
            _ if vr == "UI" => "\0",
            _ => " ",
        };
        self.element(tag, vr, format!("{value}{pad}").as_bytes())
    }

    fn item(self, known: bool, elements: &[Vec<u8>]) -> Vec<u8> {
        let inside = elements.concat();
        let mut out = self.tag(0xfffe_e000);
        out.extend(self.u32(if known { inside.len() as u32 } else { UNDEFINED }));
        out.extend(inside);
        if !known {
            out.extend([self.tag(0xfffe_e00d), vec![0; 4]].concat());
        }
        out
    }

    fn sequence(self, tag: u32, known: bool, items: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let inside: Vec<u8> = items.iter().flat_map(|i| self.item(known, i)).collect();
        if known {
            return self.element(tag, "SQ", &inside);
        }
        let end = [self.tag(0xfffe_e0dd), vec![0; 4]].concat();
        self.raw(tag, "SQ", UNDEFINED, &[inside, end].concat())
    }

    fn file(self, elements: &[Vec<u8>]) -> Vec<u8> {
        let meta = |tag, vr, value: &str| {
            let pad = if value.len() % 2 == 1 { "\0" } else { "" };
            Self::Explicit.element(tag, vr, format!("{value}{pad}").as_bytes())
        };
        let group = [
            meta(0x0002_0002, "UI", "1.2.840.10008.5.1.4.1.1.7"),
            meta(0x0002_0003, "UI", "1.2.3.4"),
            meta(0x0002_0010, "UI", self.uid()),
        ]
        .concat();
        let length = (group.len() as u32).to_le_bytes();
        let head = Self::Explicit.element(0x0002_0000, "UL", &length);
        [vec![0; 128], b"DICM".to_vec(), head, group, elements.concat()].concat()
    }
}

/// A small image of a patient with something in every kind of section.
fn image(s: Syntax, known: bool) -> Vec<Vec<u8>> {
    let pixels = if s == Syntax::Jpeg {
        let fragments = [
            Syntax::Explicit.tag(0xfffe_e000),
            vec![0; 4],
            Syntax::Explicit.tag(0xfffe_e000),
            4_u32.to_le_bytes().to_vec(),
            vec![0xff, 0xd8, 0xff, 0xd9],
            Syntax::Explicit.tag(0xfffe_e0dd),
            vec![0; 4],
        ];
        s.raw(0x7fe0_0010, "OB", UNDEFINED, &fragments.concat())
    } else {
        s.element(0x7fe0_0010, "OW", &[7; 8])
    };
    let code = |value: &str, meaning: &str| {
        vec![
            s.text(0x0008_0100, "SH", value),
            s.text(0x0008_0102, "SH", "SCT"),
            s.text(0x0008_0104, "LO", meaning),
        ]
    };
    vec![
        s.element(0x0008_0000, "UL", &s.u32(400)),
        s.text(0x0008_0005, "CS", "ISO_IR 100"),
        s.text(0x0008_0018, "UI", "1.2.3.4"),
        s.text(0x0008_0020, "DA", "20260401"),
        s.text(0x0008_0050, "SH", "ACC77"),
        s.text(0x0008_0080, "LO", "North Clinic"),
        s.text(0x0008_0090, "PN", "Depression^Derek"),
        s.text(0x0008_1030, "LO", "HIV follow-up"),
        s.text(0x0008_1080, "LO", "Pneumonia"),
        s.sequence(0x0008_1084, known, &[code("86406008", "?")]),
        s.sequence(0x0008_1120, known, &[vec![s.text(0x0008_1155, "UI", "1.9")]]),
        s.text(0x0009_0010, "LO", "VENDOR"),
        s.text(0x0010_0010, "PN", "Quill^Ada"),
        s.text(0x0010_0020, "LO", "PID4711"),
        s.text(0x0010_0030, "DA", ""),
        s.text(0x0010_1040, "LO", "Elm Street 5"),
        s.text(0x0010_2110, "LO", "Latex"),
        s.element(0x0010_21c0, "US", &s.u16(3)),
        s.text(0x0010_4000, "LT", "came alone"),
        s.text(0x0018_0050, "DS", "1.5"),
        s.text(0x0020_000d, "UI", "1.2.3"),
        s.element(0x0028_0010, "US", &s.u16(2)),
        s.sequence(
            0x0040_0275,
            known,
            &[
                vec![s.sequence(0x0040_0008, known, &[code("1", "chest"), code("2", "lateral")])],
                vec![s.text(0x0040_1001, "SH", "RP1")],
            ],
        ),
        s.sequence(
            0x0400_0561,
            known,
            &[vec![s.sequence(
                0x0400_0550,
                known,
                &[vec![s.text(0x0010_0010, "PN", "Quill^Old")]],
            )]],
        ),
        pixels,
        s.element(0xfffc_fffc, "OB", &[0; 6]),
    ]
}

const CUT: [Syntax; 4] = [Syntax::Explicit, Syntax::Implicit, Syntax::Big, Syntax::Jpeg];

pub(crate) fn made() -> Vec<(PathBuf, Vec<u8>)> {
    let all = CUT.iter().flat_map(|&s| [true, false].map(|known| s.file(&image(s, known))));
    all.enumerate().map(|(i, bytes)| (format!("made {i}").into(), bytes)).collect()
}

pub(crate) fn dicom_files() -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = made();
    all.extend(samples().into_iter().filter(|(path, _)| path.iter().any(|p| p == "dicom")));
    all
}

fn only(slots: &[Slot]) -> BTreeSet<Slot> {
    slots.iter().copied().chain([Slot::FRAME]).collect()
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|w| w == part.as_bytes())
}

/// Where the data set of a file made here begins.
fn data_set(bytes: &[u8]) -> usize {
    144 + u32::from_le_bytes(bytes[140..144].try_into().unwrap()) as usize
}

#[test]
fn every_file_of_every_encoding_is_cut_and_comes_back() {
    for (path, bytes) in made() {
        let (format, sections) = cut(&bytes);
        assert_eq!(format, FormatId::Dicom, "{}", path.display());
        assert!(join(format, &sections) == bytes, "{}", path.display());
        let expected = [
            Slot::FRAME,
            Slot::DEMOGRAPHICS,
            Slot::CONTACT,
            Slot::IDENTIFIERS,
            Slot::ALLERGIES,
            Slot::PROBLEMS,
            Slot::IMAGING,
            Slot::ENCOUNTERS,
            Slot::APPOINTMENTS,
            Slot::NOTES,
            Slot::REPRODUCTIVE,
            Slot::HIV,
            Slot::DIRECTORY,
            Slot::WHOLE,
            Slot::OTHER,
        ];
        assert_eq!(sections.keys().copied().collect::<Vec<_>>(), expected, "{}", path.display());
    }
}

#[test]
fn samples_are_cut_but_for_those_that_cannot_be() {
    let mut cuts = 0;
    for (path, bytes) in dicom_files() {
        let (format, sections) = cut(&bytes);
        assert!(join(format, &sections) == bytes, "{}", path.display());
        assert_eq!(size(format, &sections), bytes.len() as u64);
        let name = path.file_name().unwrap().to_str().unwrap();
        let whole = ["image_dfl.dcm", "no_meta.dcm", "DICOMDIR"].contains(&name);
        assert_eq!(format == FormatId::Opaque, whole, "{}", path.display());
        cuts += usize::from(!whole);
    }
    println!("{cuts} DICOM files are cut");
    assert!(cuts >= 8);
}

#[test]
fn every_section_holds_what_it_should() {
    for (path, bytes) in made() {
        let (format, sections) = cut(&bytes);
        let secrets = [
            (Slot::DEMOGRAPHICS, "Quill^Ada"),
            (Slot::IDENTIFIERS, "PID4711"),
            (Slot::IDENTIFIERS, "ACC77"),
            (Slot::IDENTIFIERS, "Quill^Old"),
            (Slot::CONTACT, "Elm Street"),
            (Slot::ALLERGIES, "Latex"),
            (Slot::PROBLEMS, "Pneumonia"),
            (Slot::HIV, "HIV follow-up"),
            (Slot::HIV, "86406008"),
            (Slot::NOTES, "came alone"),
            (Slot::DIRECTORY, "Depression^Derek"),
            (Slot::OTHER, "VENDOR"),
            (Slot::APPOINTMENTS, "lateral"),
        ];
        for (slot, secret) in secrets {
            let mut visible = random_view(format, u64::MAX);
            assert!(contains(&join(format, &pick(&sections, &visible)), secret));
            visible.remove(&slot);
            let view = join(format, &pick(&sections, &visible));
            assert!(!contains(&view, secret), "{secret} in {}", path.display());
        }
        let nothing = join(format, &pick(&sections, &only(&[])));
        assert!(secrets.iter().all(|(_, secret)| !contains(&nothing, secret)));
        assert!(contains(&nothing, "1.2.3.4"));
    }
}

#[test]
fn hidden_attributes_of_type_2_stay_without_value_and_the_others_go() {
    for s in CUT {
        let bytes = s.file(&image(s, false));
        let (format, sections) = cut(&bytes);
        let view = join(format, &pick(&sections, &only(&[])));
        let expected = [
            s.text(0x0008_0005, "CS", "ISO_IR 100"),
            s.text(0x0008_0018, "UI", "1.2.3.4"),
            s.text(0x0008_0020, "DA", ""),
            s.text(0x0008_0050, "SH", ""),
            s.text(0x0008_0090, "PN", ""),
            s.text(0x0010_0010, "PN", ""),
            s.text(0x0010_0020, "LO", ""),
            s.text(0x0010_0030, "DA", ""),
            s.text(0x0018_0050, "DS", ""),
            s.text(0x0020_000d, "UI", "1.2.3"),
            s.element(0x0028_0010, "US", &s.u16(2)),
        ];
        assert!(view == s.file(&expected), "{}", s.uid());
        assert_eq!(size(format, &pick(&sections, &only(&[]))), view.len() as u64);
    }
}

#[test]
fn every_view_reads_again_as_what_was_shown() {
    let mut dice = Dice(11);
    for (path, bytes) in dicom_files() {
        let (format, sections) = cut(&bytes);
        if format != FormatId::Dicom {
            continue;
        }
        for _ in 0..12 {
            let visible = random_view(format, dice.mask());
            let shown = pick(&sections, &visible);
            let view = join(format, &shown);
            assert_eq!(size(format, &shown), view.len() as u64);
            let again = split(format, &view, &Rules::builtin()).unwrap();
            assert!(again == shown, "{}", path.display());
        }
    }
}

/// Edits a data set of a file made here, element by element.
fn edited(s: Syntax, view: &[u8], dice: &mut Dice) -> Vec<u8> {
    let (format, sections) = cut(view);
    assert_eq!(format, FormatId::Dicom);
    let mut elements: Vec<(u32, Vec<u8>)> = sections
        .values()
        .flat_map(|t| &t.items)
        .filter(|i| i.hole().is_none() && i.rank.as_bytes().len() == 5)
        .map(|i| (u32::from_be_bytes(i.rank.as_bytes()[..4].try_into().unwrap()), i.bytes.clone()))
        .collect();
    for _ in 0..=dice.below(4) {
        let index = dice.below(elements.len());
        let new = [
            (0x0008_0102, "x"),
            (0x0008_1010, "ROOM"),
            (0x0010_2180, "baker"),
            (0x0010_21b0, "fell"),
        ];
        match dice.below(3) {
            0 if index < elements.len() && elements[index].1.len() > 14 => {
                elements.remove(index);
            }
            1 if !elements.is_empty() => {
                let (tag, _) = elements[index];
                elements[index].1 = s.text(tag, "LO", "changed");
            }
            _ => {
                let (tag, value) = new[dice.below(new.len())];
                if elements.iter().all(|e| e.0 != tag) {
                    elements.push((tag, s.text(tag, "LO", value)));
                }
            }
        }
    }
    // The zero-length ones that the view shows for hidden values stay.
    let whole = sections[&Slot::FRAME].items.iter().filter(|i| i.hole().is_some());
    for item in whole.filter(|i| i.rank.as_bytes().len() == 5) {
        let tag = u32::from_be_bytes(item.rank.as_bytes()[..4].try_into().unwrap());
        if elements.iter().all(|e| e.0 != tag) {
            elements.push((tag, item.bytes.clone()));
        }
    }
    elements.sort();
    let all: Vec<Vec<u8>> = elements.into_iter().map(|e| e.1).collect();
    [&view[..data_set(view)], &all.concat()].concat()
}

#[test]
fn what_is_saved_is_what_is_read_and_hidden_sections_stay() {
    let mut dice = Dice(5);
    let mut rounds = 0;
    for s in CUT {
        let (format, mut sections) = cut(&s.file(&image(s, false)));
        for _ in 0..60 {
            let visible = random_view(format, dice.mask());
            let shown = pick(&sections, &visible);
            let view = join(format, &shown);
            if cut(&view).0 != format {
                // Two writers added one attribute: shown twice until one is taken out.
                continue;
            }
            let edit = edited(s, &view, &mut dice);
            let merged = merge(format, &shown, &visible, &edit, &Rules::builtin());
            let merged = match merged {
                Ok(merged) => merged,
                Err(e) if e.kind() == Kind::Denied => continue,
                Err(e) => panic!("{e}"),
            };
            let before = sections.clone();
            let appended: BTreeSet<Slot> = merged.appended.keys().copied().collect();
            apply(&mut sections, merged);
            for (slot, text) in before.iter().filter(|(slot, _)| !visible.contains(slot)) {
                assert!(text.items.iter().all(|item| sections[slot].items.contains(item)));
                assert!(appended.contains(slot) || sections[slot] == *text, "{slot}");
            }
            let after = pick(&sections, &visible);
            if appended.is_empty() {
                assert!(join(format, &after) == edit);
            }
            assert_eq!(size(format, &after), join(format, &after).len() as u64);
            rounds += 1;
        }
    }
    println!("{rounds} edit rounds");
    assert!(rounds >= 40);
}

#[test]
fn a_new_attribute_finds_its_place_among_hidden_ones() {
    let s = Syntax::Explicit;
    let (format, mut sections) = cut(&s.file(&image(s, true)));
    let visible = only(&[Slot::SOCIAL_HISTORY]);
    let shown = pick(&sections, &visible);
    let view = join(format, &shown);
    let new = s.text(0x0010_2180, "SH", "baker");
    let at = view.windows(4).position(|w| w == s.tag(0x0018_0050)).unwrap();
    let edit = [&view[..at], &new, &view[at..]].concat();
    let merged = merge(format, &shown, &visible, &edit, &Rules::builtin()).unwrap();
    apply(&mut sections, merged);
    let mut all = image(s, true);
    let place = all.iter().position(|e| e.starts_with(&s.tag(0x0010_21c0))).unwrap();
    all.insert(place, new);
    assert!(join(format, &sections) == s.file(&all));
}

fn refused(bytes: &[u8], visible: &BTreeSet<Slot>, edit: impl Fn(&[u8]) -> Vec<u8>) -> Kind {
    let (format, sections) = cut(bytes);
    let shown = pick(&sections, visible);
    let edit = edit(&join(format, &shown));
    merge(format, &shown, visible, &edit, &Rules::builtin()).unwrap_err().kind()
}

#[test]
fn a_hidden_value_is_neither_filled_nor_removed_through_a_view() {
    let s = Syntax::Explicit;
    let bytes = s.file(&image(s, true));
    let replace = |view: &[u8], new: &[u8]| {
        let old = s.text(0x0010_0020, "LO", "");
        let at = view.windows(old.len()).position(|w| w == old).unwrap();
        [&view[..at], new, &view[at + old.len()..]].concat()
    };
    let visible = only(&[Slot::IMAGING]);
    let fill = |view: &[u8]| replace(view, &s.text(0x0010_0020, "LO", "MINE"));
    assert_eq!(refused(&bytes, &visible, fill), Kind::Denied);
    assert_eq!(refused(&bytes, &visible, |view| replace(view, &[])), Kind::Denied);
}

#[test]
fn a_save_never_changes_the_transfer_syntax() {
    let s = Syntax::Explicit;
    let visible = only(&[Slot::ENCOUNTERS]);
    let other = |_: &[u8]| Syntax::Implicit.file(&image(Syntax::Implicit, true));
    assert_eq!(refused(&s.file(&image(s, true)), &visible, other), Kind::Usage);
}

#[test]
fn a_tool_that_writes_lengths_anew_moves_nothing() {
    for s in CUT {
        let (format, sections) = cut(&s.file(&image(s, true)));
        let visible = random_view(format, 0x3333_3333_3333_3333);
        let shown = pick(&sections, &visible);
        let rewritten = s.file(&image(s, false));
        let view = join(format, &pick(&cut(&rewritten).1, &visible));
        assert!(join(format, &shown) != view);
        let merged = merge(format, &shown, &visible, &view, &Rules::builtin()).unwrap();
        assert!(merged.appended.is_empty());
        assert_eq!(merged.changed.len(), merged.respaced.len());
        let mut after: Sections = sections.clone();
        apply(&mut after, merged);
        assert!(join(format, &pick(&after, &visible)) == view);
    }
    // Other pixels are no other layout.
    let s = Syntax::Jpeg;
    let bytes = s.file(&image(s, true));
    let (format, sections) = cut(&bytes);
    let mut edit = bytes.clone();
    let at = edit.windows(2).rposition(|w| w == [0xff, 0xd9]).unwrap();
    edit[at] = 0xfe;
    let all = random_view(format, u64::MAX);
    let merged = merge(format, &sections, &all, &edit, &Rules::builtin()).unwrap();
    assert_eq!(merged.changed.keys().collect::<Vec<_>>(), [&Slot::IMAGING]);
    assert!(merged.respaced.is_empty());
}

#[test]
fn a_preamble_that_is_not_empty_is_shown_to_who_may_see_it() {
    let s = Syntax::Explicit;
    let mut bytes = s.file(&image(s, true));
    bytes[..5].copy_from_slice(b"Quill");
    let (format, sections) = cut(&bytes);
    let view = join(format, &pick(&sections, &only(&[])));
    assert_eq!(view[..132], [&[0; 128][..], b"DICM"].concat());
    bytes[..4].copy_from_slice(b"II*\0");
    let (format, sections) = cut(&bytes);
    let view = join(format, &pick(&sections, &only(&[Slot::IMAGING])));
    assert_eq!(view[..5], *b"II*\0l");
}

#[test]
fn what_is_no_plain_data_set_is_not_cut() {
    let s = Syntax::Explicit;
    let all = image(s, true);
    let opaque = |bytes: &[u8], why: &str| assert_eq!(cut(bytes).0, FormatId::Opaque, "{why}");
    opaque(&s.file(&all)[128..], "without preamble");
    opaque(&Syntax::Deflated.file(&all), "deflated");
    opaque(&s.file(&[&all[1..2], &all[..1]].concat()), "another order");
    opaque(&s.file(&[all[1].clone(), all[1].clone()]), "a tag twice");
    opaque(&s.file(&[s.text(0x0004_1130, "CS", "X")]), "a directory of media");
    opaque(&s.file(&[s.raw(0x0010_0010, "PN", 40, b"short")]), "a value beyond the end");
    opaque(&s.file(&[s.raw(0x0008_1120, "SQ", UNDEFINED, &[])]), "a sequence without end");
    opaque(&s.file(&[vec![1, 2, 3]]), "less than a header");
    let deep = (0..40)
        .fold(vec![], |inner: Vec<Vec<u8>>, _| vec![s.sequence(0x0008_1120, false, &[inner])]);
    opaque(&s.file(&deep), "too deep");
    let broken = s.element(0x0008_1140, "SQ", b"no item here");
    let (format, sections) = cut(&s.file(&[broken]));
    assert_eq!(format, FormatId::Dicom);
    assert!(sections.contains_key(&Slot::OTHER), "a sequence that cannot be read");
}

#[test]
fn the_content_of_a_report_is_a_note_if_it_has_text() {
    let s = Syntax::Implicit;
    let report = |kind: &str, tag: u32, value: &str| {
        let item = vec![s.text(0x0040_a040, "CS", kind), s.text(tag, "UT", value)];
        let sequence = s.sequence(0x0040_a730, false, &[item]);
        cut(&s.file(&[sequence])).1.keys().copied().nth(1).unwrap()
    };
    assert_eq!(report("NUM", 0x0040_a30a, "12"), Slot::LABS);
    assert_eq!(report("TEXT", 0x0040_a160, "slept badly"), Slot::NOTES);
    assert_eq!(report("TEXT", 0x0040_a160, "HIV positive"), Slot::HIV);
}

#[test]
fn a_private_attribute_inside_a_sequence_takes_it_along() {
    let s = Syntax::Explicit;
    let private = s.text(0x0009_1001, "LO", "secret");
    let sequence = s.sequence(0x0008_1140, true, &[vec![private]]);
    let (_, sections) = cut(&s.file(&[sequence]));
    assert_eq!(sections.keys().collect::<Vec<_>>(), [&Slot::FRAME, &Slot::OTHER]);
}

/// A directory of two patients as the standard has it, with offsets that hold.
pub(crate) fn directory(names: [&str; 2]) -> Vec<u8> {
    let s = Syntax::Explicit;
    let record = |next: u32, lower: u32, kind: &str, more: &[Vec<u8>]| {
        let mut all = vec![
            s.element(0x0004_1400, "UL", &next.to_le_bytes()),
            s.element(0x0004_1410, "US", &[0xff, 0xff]),
            s.element(0x0004_1420, "UL", &lower.to_le_bytes()),
            s.text(0x0004_1430, "CS", kind),
        ];
        all.extend_from_slice(more);
        s.item(true, &all)
    };
    let icon = s.sequence(0x0088_0200, true, &[vec![s.element(0x7fe0_0010, "OW", &[7; 32])]]);
    let patient = |next, lower, name: &str, id: &str| {
        record(
            next,
            lower,
            "PATIENT",
            &[s.text(0x0010_0010, "PN", name), s.text(0x0010_0020, "LO", id)],
        )
    };
    let study = record(
        0,
        0,
        "STUDY",
        &[
            s.text(0x0008_0020, "DA", "20261123"),
            s.text(0x0008_1030, "LO", "depression, brain"),
            s.text(0x0020_000d, "UI", "1.2.3"),
        ],
    );
    let image = record(0, 0, "IMAGE", &[s.text(0x0004_1500, "CS", "QUILL\\MR1"), icon]);
    let head = |first: u32| {
        s.file(&[
            s.text(0x0004_1130, "CS", "QUILLSET"),
            s.element(0x0004_1200, "UL", &first.to_le_bytes()),
        ])
    };
    let lay = |at: [u32; 4]| {
        [
            patient(at[3], at[1], names[0], "MRN-1"),
            study.clone(),
            image.clone(),
            patient(0, 0, names[1], "MRN-2"),
        ]
    };
    let begin = head(0).len() + 12;
    let mut at = [0; 4];
    let mut next = begin;
    for (place, record) in at.iter_mut().zip(lay([0; 4])) {
        *place = u32::try_from(next).unwrap();
        next += record.len();
    }
    let records = s.element(0x0004_1220, "SQ", &lay(at).concat());
    let file = [head(at[0]), records].concat();
    let class = file.windows(25).position(|w| w == b"1.2.840.10008.5.1.4.1.1.7").unwrap();
    // The class of a directory is shorter: the rest is padding.
    let mut file = file;
    file[class..class + 26].copy_from_slice(b"1.2.840.10008.1.3.10\0\0\0\0\0\0");
    file
}

fn seen_of(bytes: &[u8], hidden: &[Slot]) -> (Sections, BTreeSet<Slot>, Vec<u8>) {
    let (format, sections) = cut(bytes);
    assert_eq!(format, FormatId::DicomDir);
    let mut visible = random_view(format, u64::MAX);
    visible.retain(|slot| !hidden.contains(slot));
    let view = join(format, &pick(&sections, &visible));
    (sections, visible, view)
}

#[test]
fn a_directory_shows_blanks_for_what_is_hidden_and_every_offset_holds() {
    let file = directory(["Quill^Ada", "Roe^Ben"]);
    let has = |view: &[u8], text: &str| view.windows(text.len()).any(|w| w == text.as_bytes());
    let all = ["Quill^Ada", "Roe^Ben", "MRN-1", "MRN-2", "QUILL\\MR1", "depression", "20261123"];
    let (sections, _, view) = seen_of(&file, &[]);
    assert_eq!(view, file);
    assert!(sections.contains_key(&Slot::MENTAL_HEALTH) && sections.contains_key(&Slot::WHOLE));
    for (hidden, gone) in [
        (Slot::DEMOGRAPHICS, &all[..2]),
        (Slot::IDENTIFIERS, &all[2..5]),
        (Slot::MENTAL_HEALTH, &all[5..6]),
        (Slot::ENCOUNTERS, &all[6..]),
        (Slot::WHOLE, &["QUILLSET"][..]),
    ] {
        let (_, _, view) = seen_of(&file, &[hidden]);
        assert_eq!(view.len(), file.len());
        for text in all {
            assert_eq!(has(&view, text), !gone.contains(&text), "{text} without {hidden}");
        }
        assert!(gone.iter().all(|text| !has(&view, text)));
        assert_eq!(cut(&view).0, FormatId::DicomDir);
    }
    let (_, _, view) = seen_of(&file, &[Slot::IMAGING]);
    assert!(!view.windows(8).any(|w| w == [7; 8]), "the icon is shown");
    assert_eq!(size(FormatId::DicomDir, &sections), file.len() as u64);
}

#[test]
fn a_directory_is_changed_in_place_and_written_anew_by_who_sees_all_of_it() {
    let format = FormatId::DicomDir;
    let file = directory(["Quill^Ada", "Roe^Ben"]);
    let (mut sections, visible, view) = seen_of(&file, &[Slot::IDENTIFIERS]);
    let shown = pick(&sections, &visible);
    let save = |edited: &[u8]| merge(format, &shown, &visible, edited, &Rules::builtin());
    assert!(save(&view).unwrap().is_empty());
    let replace = |from: &[u8], to: &[u8]| {
        let at = view.windows(from.len()).position(|w| w == from).unwrap();
        [&view[..at], to, &view[at + from.len()..]].concat()
    };
    let edited = replace(b"Roe^Ben", b"Roe^Bob");
    let merged = save(&edited).unwrap();
    assert_eq!(merged.changed.keys().collect::<Vec<_>>(), [&Slot::DEMOGRAPHICS]);
    apply(&mut sections, merged);
    assert_eq!(join(format, &sections), directory(["Quill^Ada", "Roe^Bob"]));

    // Other records, other order, or a value where one may be hidden: the numbers would go astray.
    let other = directory(["Quill^Adam", "Roe^Ben"]);
    assert_eq!(save(&other).unwrap_err().kind(), Kind::Denied);
    let swapped = directory(["Roe^Ben", "Quill^Ada"]);
    let (_, _, swapped) = seen_of(&swapped, &[Slot::IDENTIFIERS]);
    assert_eq!(save(&swapped).unwrap_err().kind(), Kind::Denied);
    let blank = view.windows(6).rposition(|w| w == b"      ").unwrap();
    let filled = [&view[..blank], b"MRN-99", &view[blank + 6..]].concat();
    assert_eq!(save(&filled).unwrap_err().kind(), Kind::Denied);

    let all = random_view(format, u64::MAX);
    let merged = merge(format, &sections, &all, &other, &Rules::builtin()).unwrap();
    apply(&mut sections, merged);
    assert_eq!(join(format, &sections), other);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_directory_is_kept(
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        mask: u64,
    ) {
        let mut bytes = directory(["Quill^Ada", "Roe^Ben"]);
        for (at, with) in places {
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        let (format, sections) = cut(&bytes);
        prop_assert_eq!(&join(format, &sections), &bytes);
        let shown = pick(&sections, &random_view(format, mask));
        let view = join(format, &shown);
        prop_assert_eq!(size(format, &shown), view.len() as u64);
        prop_assert!(format != FormatId::DicomDir || split(format, &view, &Rules::builtin()).is_ok());
    }
}
