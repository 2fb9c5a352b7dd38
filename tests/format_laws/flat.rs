//! Plain texts by their names: Markdown, TOML, YAML, tables.

use std::collections::BTreeSet;

use chartfs::error::Kind;
use chartfs::record::format::{
    FormatId, Rules, SectionText, Sections, Slot, join, merge, slots_of, split, take_apart,
};
use proptest::prelude::*;

use crate::record::{Dice, apply, pick, random_view, size};

const NOTE: &str = "---\nmrn: 17\n---\n\nlead\n\n# Jane Doe\n\n## Allergies\n* penicillin\n\n```\n# no heading\n```\n## HIV\n\n### Course\nfine\n\nMedications\n-----------\nzidovudine 300\n\n## Hobbies\nchess";

/// Files that are cut, with a name that says how.
const CUT: &[(&str, &str, FormatId)] = &[
    ("a.md", NOTE, FormatId::Markdown),
    ("a.md", "# A", FormatId::Markdown),
    ("a.markdown", "\n\n# Allergies\r\n\r\nx\r\n## Labs\r\n", FormatId::Markdown),
    ("a.md", "\u{feff}Labs\n===\nNotes\n---\n\n\n", FormatId::Markdown),
    ("a.md", "only text\n", FormatId::Markdown),
    ("a.md", "only text\n\n\n", FormatId::Markdown),
    ("a.md", "\n", FormatId::Markdown),
    ("a.md", "---\na: 1\n---\n", FormatId::Markdown),
    ("a.md", "# Labs\n# Labs\n#\n#\n  ## Diagnosis F32.1\n", FormatId::Markdown),
    ("a.toml", TABLES, FormatId::Toml),
    ("a.toml", "name = 1\n", FormatId::Toml),
    ("a.toml", "\u{feff}\n[labs]\r\nx = 1\r\n# end\r\n", FormatId::Toml),
    ("a.toml", "a.b = [1,\n 2] # c\n\n# end\n\n", FormatId::Toml),
    ("a.toml", "\n# end\n", FormatId::Toml),
    (
        "a.toml",
        "[[labs]]\n[labs.x]\n[[labs]]\n[labs.x]\ny = 'HIV'\n[vitals]\n\n\n[a]",
        FormatId::Toml,
    ),
    ("a.yaml", MAPPING, FormatId::Yaml),
    ("a.yml", "---\n\nname: x", FormatId::Yaml),
    ("a.yaml", "labs:\r\n- HIV\r\n- b\r\n# c\r\n", FormatId::Yaml),
    ("a.yaml", "\u{feff}labs: {a: [1,\n  2]}\n\n\"name\": 'it''s'\n", FormatId::Yaml),
    ("a.yaml", "\n# c", FormatId::Yaml),
];

const MAPPING: &str = "# who\nname: Q\nlabs:\n- code: \"a: b\"  # c\n  value: |\n    name: x\n\n# in\n- 2\n\nmedications: >-\n  zidovudine\n# free\nhobbies: [chess,\n  go]";

const TABLES: &str = "# who\nname = \"Q\"\nssn = 7\nblood.pressure = 1\n\n# taken at 8\n[labs]\nx = \"\"\"\n[no]\n\"\"\"\n# in\ny = 1\n[[medications]]\nname = \"zidovudine\"\n[[medications]]\nname = \"aspirin\"\n[medications.dose]\nmg = 3\n\n# bye\n";

fn cut(name: &str, text: &str) -> (FormatId, Sections) {
    take_apart(text.as_bytes(), name, &Rules::builtin())
}

fn only(slots: &[Slot]) -> BTreeSet<Slot> {
    slots.iter().copied().chain([Slot::FRAME]).collect()
}

fn shown(format: FormatId, sections: &Sections, visible: &BTreeSet<Slot>) -> String {
    String::from_utf8(join(format, &pick(sections, visible))).unwrap()
}

/// Saves an edit of a view into the sections; says whether all of it stayed in the view.
fn save(
    format: FormatId,
    sections: &mut Sections,
    visible: &BTreeSet<Slot>,
    edited: &str,
) -> Result<bool, Kind> {
    let base = pick(sections, visible);
    let merged = merge(format, &base, visible, edited.as_bytes(), &Rules::builtin());
    let merged = merged.map_err(|e| e.kind())?;
    assert!(merged.changed.keys().all(|slot| visible.contains(slot)));
    assert!(merged.appended.keys().all(|slot| !visible.contains(slot)));
    let clean = merged.appended.is_empty();
    apply(sections, merged);
    Ok(clean)
}

/// The laws for one file: kept whole, every view can be saved, its size is known, it is cut as the
/// whole is.
fn check(name: &str, text: &str, mask: u64) -> FormatId {
    let (format, sections) = cut(name, text);
    assert_eq!(String::from_utf8(join(format, &sections)).unwrap(), text);
    assert_eq!(size(format, &sections), text.len() as u64);
    assert!(sections.keys().all(|slot| slots_of(format).contains(slot)));
    for part in sections.values() {
        assert!(SectionText::decode(format, &part.encode(format)).unwrap() == *part);
    }
    let visible = random_view(format, mask);
    let base = pick(&sections, &visible);
    let view = join(format, &base);
    assert_eq!(size(format, &base), view.len() as u64, "{text:?}");
    if format != FormatId::Opaque {
        split(format, &view, &Rules::builtin()).unwrap();
        // A line feed more goes the long way through the merge, and is not lost.
        let longer = [&view[..], b"\n"].concat();
        match merge(format, &base, &visible, &longer, &Rules::builtin()) {
            Err(e) => assert_ne!(e.kind(), Kind::Integrity, "{text:?} {mask}"),
            Ok(merged) => {
                let mut after = sections.clone();
                assert!(merged.appended.is_empty(), "{text:?}");
                apply(&mut after, merged);
                let after = pick(&after, &visible);
                assert_eq!(join(format, &after), longer, "{text:?} {mask}");
            }
        }
    }
    format
}

/// Edits lines of a view as text: removes, swaps, doubles, adds.
fn edit(view: &str, lines: &[&str], dice: &mut Dice) -> String {
    let mut all: Vec<&str> = view.split_inclusive('\n').collect();
    for _ in 0..=dice.below(3) {
        let (i, j) = (dice.below(all.len()), dice.below(all.len()));
        match dice.below(4) {
            0 if !all.is_empty() => drop(all.remove(i)),
            1 if !all.is_empty() => all.swap(i, j),
            2 if !all.is_empty() => all.insert(j, all[i]),
            _ => all.insert(i.min(all.len()), lines[dice.below(lines.len())]),
        }
    }
    all.concat()
}

/// Whatever is saved through whichever view: it is read back, what is hidden stays, and everybody
/// can save again.
fn check_edits(name: &str, text: &str, lines: &[&str], dice: &mut Dice) -> usize {
    let (format, mut sections) = cut(name, text);
    let mut saved = 0;
    for _ in 0..6 {
        let visible = random_view(format, dice.mask());
        let view = shown(format, &sections, &visible);
        let edited = edit(&view, lines, dice);
        let before = sections.clone();
        let clean = match save(format, &mut sections, &visible, &edited) {
            Ok(clean) => clean,
            Err(kind) => {
                assert!(matches!(kind, Kind::Usage | Kind::Denied), "{kind:?} {view:?} {edited:?}");
                continue;
            }
        };
        saved += 1;
        for (slot, old) in before.iter().filter(|(slot, _)| !visible.contains(slot)) {
            assert!(old.items.iter().all(|item| sections[slot].items.contains(item)), "{slot}");
        }
        if clean {
            assert_eq!(shown(format, &sections, &visible), edited);
        }
        for mask in [u64::MAX, dice.mask()] {
            let visible = random_view(format, mask);
            let base = pick(&sections, &visible);
            let view = join(format, &base);
            assert_eq!(size(format, &base), view.len() as u64);
            let again = [&view[..], b"\n"].concat();
            if let Err(e) = merge(format, &base, &visible, &again, &Rules::builtin()) {
                assert_ne!(
                    e.kind(),
                    Kind::Integrity,
                    "{edited:?} {}",
                    String::from_utf8_lossy(&view)
                );
            }
        }
    }
    saved
}

#[test]
fn texts_are_recognised_by_their_names_and_kept() {
    for (name, text, expected) in CUT {
        for mask in [0, u64::MAX, 0x5555_5555_5555_5555, 0x0f0f_1234_9876_fedc] {
            assert_eq!(check(name, text, mask), *expected, "{text:?}");
        }
    }
}

#[test]
fn what_is_doubtful_is_not_cut() {
    for (name, text) in [
        ("a.md", "# A\n```\ncode"),
        ("a.md", "---\na: 1\n"),
        ("a.md", "\n---\n# A\n"),
        ("a.md", "no line end"),
        ("a.md", ""),
        ("a.txt", "# A\n"),
        ("a.toml", "a = 1"),
        ("a.yaml", "a: &x 1\nb: *x\n"),
        ("a.yaml", "a: 1\n---\nb: 1\n"),
        ("a.yaml", "%YAML 1.2\n---\na: 1\n"),
        ("a.yaml", "{a: 1}\n"),
        ("a.yaml", "- a\n"),
        ("a.yaml", "a:\n\tb: 1\n"),
        ("a.yaml", "a: \"x\nb: y\"\n"),
        ("a.yaml", "a: [1,\nb: 2]\n"),
        ("a.yaml", "? a\n: b\n"),
        ("a.yaml", "a:\n  <<: {}\n"),
        ("a.yaml", "a: 1\na: 2\n"),
        ("a.yaml", "a: 1\n...\n"),
        ("a.yaml", "text\n"),
        ("a.yaml", "\r\n# Labs"),
        ("a.yaml", "    \n# c"),
        ("a.toml", "# c\n"),
        ("a.toml", "a = 1\n# c\n"),
        ("a.toml", "a = 1\na = 2\n"),
        ("a.toml", "a = \n"),
        ("a.toml", "[a]\r\n[b]"),
        ("a.toml", "[a]\nb = x\n"),
    ] {
        assert_eq!(cut(name, text).0, FormatId::Opaque, "{text:?}");
    }
}

#[test]
fn blank_lines_before_comments_alone_are_a_view() {
    for name in ["a.toml", "a.yaml"] {
        for text in ["    \n# c", "\r\n# Labs", "\n\n# c\n", "\r\n\r\n# c", "\u{feff}\n# c"] {
            check(name, text, 0);
        }
    }
}

#[test]
fn random_edits_of_notes_are_read_back_and_nothing_hidden_is_lost() {
    let lines = [
        "# Labs\n",
        "## Secret\n",
        "x\n",
        "\n",
        "---\n",
        "===\n",
        "Medications\n",
        "depression F32.1\n",
        "```\n",
        "last",
        "- a\n",
    ];
    let mut dice = Dice(21);
    let mut saved = 0;
    for round in 0..400 {
        let (name, text, _) = CUT[round % 9];
        saved += check_edits(name, text, &lines, &mut dice);
    }
    println!("{saved} saves of notes");
    assert!(saved > 1000);
}

#[test]
fn a_note_is_cut_by_what_its_headings_say() {
    let (format, sections) = cut("note.md", NOTE);
    let view = |slots: &[Slot]| shown(format, &sections, &only(slots));
    assert_eq!(view(&[Slot::ALLERGIES]), "\n## Allergies\n* penicillin\n\n```\n# no heading\n```");
    assert_eq!(view(&[Slot::DEMOGRAPHICS]), "\n# Jane Doe\n");
    assert_eq!(view(&[Slot::IDENTIFIERS]), "---\nmrn: 17\n---\n\n");
    assert_eq!(view(&[Slot::NOTES]), "\nlead\n\n");
    assert!(view(&[Slot::HIV]).contains("## HIV\n\n### Course\nfine\n"));
    assert_eq!(view(&[Slot::OTHER]), "\n## Hobbies\nchess");
    assert_eq!(view(&[]), "\n");
}

#[test]
fn a_block_behind_a_hidden_last_one_gets_a_line_of_its_own() {
    let (format, mut sections) = cut("note.md", "# Labs\nx\n# Medications\ny");
    let visible = only(&[Slot::LABS]);
    assert_eq!(shown(format, &sections, &visible), "# Labs\nx");
    save(format, &mut sections, &visible, "# Labs\nx\n# Results\nz").unwrap();
    let full = String::from_utf8(join(format, &sections)).unwrap();
    let both = ["# Results\nz\n# Medications\ny", "# Medications\ny\n# Results\nz"];
    assert!(both.iter().any(|end| full == format!("# Labs\nx\n{end}")), "{full:?}");
}

#[test]
fn random_edits_of_tables_are_read_back_and_nothing_hidden_is_lost() {
    let lines = [
        "a = 1\n",
        "[labs.y]\n",
        "# HIV\n",
        "\n",
        "[[problems]]\n",
        "code = \"F32.1\"\n",
        "[a]",
        "x = [\n",
        "name = 2\n",
        "[[medications]]\n",
    ];
    let mut dice = Dice(8);
    let mut saved = 0;
    for round in 0..600 {
        let (name, text, _) = CUT[9 + round % 6];
        saved += check_edits(name, text, &lines, &mut dice);
    }
    println!("{saved} saves of tables");
    assert!(saved > 500);
}

#[test]
fn random_edits_of_mappings_are_read_back_and_nothing_hidden_is_lost() {
    let lines = [
        "a: 1\n",
        "labs:\n",
        "# HIV\n",
        "\n",
        "- x\n",
        "code: F32.1\n",
        "b: 2",
        "x: [\n",
        "  y: z\n",
        "name: |\n",
        "---\n",
    ];
    let mut dice = Dice(9);
    let mut saved = 0;
    for round in 0..600 {
        let (name, text, _) = CUT[15 + round % 5];
        saved += check_edits(name, text, &lines, &mut dice);
    }
    println!("{saved} saves of mappings");
    assert!(saved > 500);
}

#[test]
fn a_mapping_is_cut_by_its_keys() {
    let (format, sections) = cut("a.yaml", MAPPING);
    let view = |slots: &[Slot]| shown(format, &sections, &only(slots));
    assert_eq!(view(&[Slot::DEMOGRAPHICS]), "# who\nname: Q");
    assert!(view(&[Slot::LABS]).ends_with("\n# in\n- 2\n"));
    assert_eq!(view(&[Slot::HIV]), "medications: >-\n  zidovudine");
    assert_eq!(view(&[Slot::OTHER]), "# free\nhobbies: [chess,\n  go]");
}

#[test]
fn a_table_is_hidden_with_its_comments_and_a_new_key_stays_outside_of_it() {
    let (format, mut sections) = cut("a.toml", TABLES);
    let visible = only(&[Slot::DEMOGRAPHICS]);
    assert_eq!(shown(format, &sections, &visible), "# who\nname = \"Q\"\n\n");
    let edited = "# who\nname = \"Q\"\nsex = \"f\"\n\n";
    assert!(save(format, &mut sections, &visible, edited).unwrap());
    let full = String::from_utf8(join(format, &sections)).unwrap();
    let full: toml::Table = toml::from_str(&full).unwrap();
    assert_eq!(full["sex"].as_str(), Some("f"));
    assert_eq!(full["labs"]["y"].as_integer(), Some(1));
    let drugs = shown(format, &sections, &only(&[Slot::MEDICATIONS]));
    assert!(drugs.contains("aspirin") && drugs.contains("[medications.dose]"));
    assert!(!drugs.contains("zidovudine"));
}

#[test]
fn views_are_read_by_other_programs() {
    let folder = std::env::temp_dir().join(format!("chartfs-flat-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut dice = Dice(5);
    for (index, (name, text, _)) in CUT.iter().enumerate() {
        let (format, sections) = cut(name, text);
        let suffix = match format {
            FormatId::Toml => "toml",
            FormatId::Yaml => "yaml",
            _ => continue,
        };
        for round in 0..20 {
            let mask = if round == 0 { 0 } else { dice.mask() };
            let view = join(format, &pick(&sections, &random_view(format, mask)));
            std::fs::write(folder.join(format!("{index}-{round}.{suffix}")), view).unwrap();
        }
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/flat_check.py");
    let python = std::env::var_os("CHARTFS_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let done = std::process::Command::new(python).arg(script).arg(&folder).output();
    std::fs::remove_dir_all(&folder).unwrap();
    let Ok(done) = done else {
        println!("SKIPPED: views read by other programs: python3 is not installed");
        return;
    };
    println!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_of_any_name_is_kept(
        lines in proptest::collection::vec(prop_oneof![
            Just("# Labs"), Just("## HIV"), Just("---"), Just("==="), Just("```"), Just(""), Just("~~~~"),
            Just("a: 1"), Just("[labs]"), Just("[[labs]]"), Just("[labs.x]"), Just("name = 'x'"),
            Just("# c"), Just("- b"), Just("  x: [1,"), Just("  2]"), Just("hiv: |"), Just("  text"),
            Just("a,\"b"), Just("c\",d"), Just("name,hiv"), Just("1,2"), Just("\r"), Just("    "),
        ], 0..12),
        end: bool,
        which in 0..6_usize,
        mask: u64,
    ) {
        let text = lines.join("\n") + if end { "\n" } else { "" };
        let name = ["a.md", "a.toml", "a.yaml", "a.csv", "a.tsv", "a.txt"][which];
        check(name, &text, mask);
    }
}
