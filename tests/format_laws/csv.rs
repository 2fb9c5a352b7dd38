//! Tables of separated values: columns by their names, rows that follow whoever moves them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chartfs::error::Kind;
use chartfs::record::format::{FormatId, Rules, Sections, Slot, join, merge, take_apart};
use proptest::prelude::*;

use crate::files::samples;
use crate::flat::{check, check_edits, cut, only, save, shown};
use crate::leaks::{CODES, WORDS};
use crate::record::{Dice, apply, pick, random_view};

const WARD: &str = "name,ssn,diagnosis,dose,cost\nAda,1,cough,10,5\nBo,2,HIV infection,20,6\nCy,3,asthma,30,7\nDi,4,cough,40,8\n";

/// Tables that are cut, in every layout.
const ODD: [(&str, &str); 16] = [
    ("a.csv", WARD),
    ("a.csv", "name;ssn;labs\r\n\"Ada; B\";1;\"7\r\n8\"\r\nBo;2;\"\"\"x\"\"\"\r\n"),
    (
        "a.tsv",
        "\u{feff}NAME\tCODE\tDESCRIPTION\r\nx\t86406008\tHuman immunodeficiency virus infection\r\ny\t1\tcold",
    ),
    ("a.csv", "sep=;\nname;labs\n1;2\n"),
    ("a.csv", "\n\nname,labs\n\n1,2\n\n\n3,4\n\n"),
    ("a.csv", "name,,labs,\n,,,\n1,,,2\n,,,"),
    ("a.csv", "hiv\nyes\nno\n"),
    ("a.csv", "name"),
    ("a.csv", "name\n"),
    ("a.csv", "name,name,ssn\n1,2,3\n1,2,3\n4,5,6"),
    ("a.psv", "name|diagnosis\nAda|F32.1\nBo|J45\n"),
    ("a.csv", "name,labs\r1,2\r3,4\r"),
    ("a.csv", "name,labs\n1,2\r\n3,4\n5,6"),
    ("hiv.csv", "name,result\nAda,7\n"),
    ("conditions.csv", "START,PATIENT,CODE\n2020,1,195662009\n2021,1,7200002\n"),
    ("a.csv", "Smith,F32.1,04\nJones,J45,05\n"),
];

const LINES: [&str; 12] = [
    "x,y\n",
    "Ada,1,cough,10,5\n",
    "new,7,F32.1,1,2\n",
    "name\n",
    "1,2\n",
    "\n",
    "\"a\nb\",2\n",
    "a,b,c\n",
    "3;4\n",
    "\"\"\n",
    "x",
    "name,labs\n",
];

#[test]
fn tables_are_recognised_by_their_names_and_kept() {
    for (name, text) in ODD {
        for mask in [0, u64::MAX, 0x5555_5555_5555_5555, 0x0f0f_1234_9876_fedc, 1 << 62] {
            assert_eq!(check(name, text, mask), FormatId::Csv, "{text:?}");
        }
    }
}

#[test]
fn what_is_no_table_is_not_cut() {
    for (name, text) in [
        ("a.txt", WARD),
        ("a.csv", ""),
        ("a.csv", "\n"),
        ("a.csv", "a,b\n1\n"),
        ("a.csv", "a,b\n\"1,2\n"),
        ("a.csv", "a,b\n\"1\"x,2\n"),
        ("a.csv", "a\0,b\n1,2\n"),
        ("a.csv", "a,sep=;\n1,2\n"),
    ] {
        assert_eq!(cut(name, text).0, FormatId::Opaque, "{text:?}");
    }
}

#[test]
fn a_view_has_the_columns_of_its_sections() {
    let (format, sections) = cut("ward.csv", WARD);
    let view = |slots: &[Slot]| shown(format, &sections, &only(slots));
    assert_eq!(view(&[]), "");
    assert_eq!(view(&[Slot::DEMOGRAPHICS]), "name\nAda\nCy\nDi\n");
    let two = view(&[Slot::BILLING, Slot::IDENTIFIERS]);
    assert_eq!(two, "ssn,cost\n1,5\n3,7\n4,8\n");
    // Whoever sees the section that a row was moved to sees it in the columns that he has.
    let three = view(&[Slot::PROBLEMS, Slot::HIV, Slot::DEMOGRAPHICS]);
    assert_eq!(three, "name,diagnosis\nAda,cough\nBo,HIV infection\nCy,asthma\nDi,cough\n");
    assert_eq!(view(&[Slot::HIV]), "");
}

#[test]
fn what_the_names_do_not_tell_the_table_tells() {
    let slots = |name: &str| -> Vec<Slot> {
        let (_, sections) = cut(name, "PATIENT,CODE,NOTE\n1,2,x\n");
        sections.keys().copied().collect()
    };
    assert!(slots("allergies.csv").contains(&Slot::ALLERGIES));
    assert!(slots("immunizations-2024.csv").contains(&Slot::IMMUNIZATIONS));
    assert!(slots("export.csv").contains(&Slot::OTHER));
    assert_eq!(slots("hiv.csv"), [Slot::FRAME, Slot::HIV]);
    // A number of RxNorm means a drug in a table of drugs only.
    let row = "PATIENT,CODE\n1,11413\n";
    assert!(cut("medications.csv", row).1.contains_key(&Slot::HIV));
    assert!(!cut("procedures.csv", row).1.contains_key(&Slot::HIV));
}

#[test]
fn a_column_of_something_sensitive_does_not_take_its_rows_along() {
    let (format, sections) = cut("a.csv", "name,hiv status\nAda,HIV positive\nBo,\n");
    let view = shown(format, &sections, &only(&[Slot::DEMOGRAPHICS]));
    assert_eq!(view, "name\nAda\nBo\n");
    assert_eq!(shown(format, &sections, &only(&[Slot::HIV])), "hiv status\nHIV positive\n\"\"\n");
}

#[test]
fn no_row_with_a_sensitive_code_shows_outside_its_section() {
    let (mut rows, mut leaks) = (0, Vec::new());
    for (path, bytes) in samples() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (format, sections) = take_apart(&bytes, &name, &Rules::builtin());
        if format != FormatId::Csv {
            continue;
        }
        assert!(join(format, &sections) == bytes, "{name}");
        for (slot, text) in &sections {
            for item in &text.items {
                let said = String::from_utf8_lossy(&item.bytes).to_lowercase();
                let code =
                    |c: &&&str| said.split(|c: char| !c.is_ascii_alphanumeric()).any(|w| w == **c);
                let found =
                    CODES.iter().filter(code).chain(WORDS.iter().filter(|w| said.contains(**w)));
                for what in found {
                    rows += 1;
                    if !slot.is_sensitive() {
                        leaks.push(format!("{what} in {slot} of {name}"));
                    }
                }
            }
        }
    }
    println!("{} leaks; {rows} sensitive codes and texts in tables", leaks.len());
    assert_eq!(leaks, Vec::<String>::new());
}

/// Saves an edit of a view of the ward and returns the full text.
fn ward(slots: &[Slot], edit: impl Fn(&str) -> String) -> String {
    let (format, mut sections) = cut("ward.csv", WARD);
    let visible = only(slots);
    let edited = edit(&shown(format, &sections, &visible));
    save(format, &mut sections, &visible, &edited).unwrap();
    assert_eq!(shown(format, &sections, &visible), edited);
    shown(format, &sections, &random_view(format, u64::MAX))
}

#[test]
fn hidden_cells_stay_with_their_rows() {
    let names = [Slot::DEMOGRAPHICS, Slot::PROBLEMS];
    let changed = ward(&names, |v| v.replace("asthma", "COPD"));
    assert_eq!(changed, WARD.replace("asthma", "COPD"));
    let sorted = ward(&names, |_| "name,diagnosis\nDi,cough\nCy,asthma\nAda,cough\n".to_owned());
    assert!(sorted.contains("Di,4,cough,40,8\n") && sorted.contains("Ada,1,cough,10,5\n"));
    assert!(sorted.contains("Bo,2,HIV infection,20,6\n"), "{sorted}");
    let edited_and_sorted = ward(&[Slot::IDENTIFIERS, Slot::MEDICATIONS], |_| {
        "ssn,dose\n4,41\n3,31\n1,11\n".to_owned()
    });
    for row in ["Di,4,cough,41,8\n", "Cy,3,asthma,31,7\n", "Ada,1,cough,11,5\n"] {
        assert!(edited_and_sorted.contains(row), "{edited_and_sorted}");
    }
    // The columns change places, and one comes.
    let more = ward(&[&names[..], &[Slot::ALLERGIES]].concat(), |_| {
        "diagnosis,allergy,name\ncough,nuts,Ada\nasthma,,Cy\ncough,,Di\n".to_owned()
    });
    assert!(
        more.lines().any(|row| row.contains("nuts") && row.contains("Ada") && row.contains(",5"))
    );
}

#[test]
fn a_row_is_added_and_removed_through_a_view() {
    let names = [Slot::DEMOGRAPHICS, Slot::PROBLEMS];
    let added = ward(&names, |v| v.replace("Cy,asthma\n", "Cy,asthma\nEd,fever\n"));
    assert!(added.contains("Cy,3,asthma,30,7\nEd,,fever,,\n"), "{added}");
    let removed = ward(&names, |v| v.replace("Cy,asthma\n", ""));
    assert!(removed.contains("\n,3,,30,7\n"), "{removed}");
    let all = ward(Slot::ALL, |v| v.replace("Cy,3,asthma,30,7\n", ""));
    assert_eq!(all, WARD.replace("Cy,3,asthma,30,7\n", ""));
}

#[test]
fn rows_that_two_people_add_in_one_place_stay_two() {
    let (format, sections) = cut("ward.csv", WARD);
    let mut after = sections.clone();
    for (slot, row) in [(Slot::DEMOGRAPHICS, "Ed"), (Slot::IDENTIFIERS, "9")] {
        let visible = only(&[slot]);
        let base = pick(&sections, &visible);
        let edited = shown(format, &sections, &visible) + row + "\n";
        let rules = Rules::builtin();
        apply(&mut after, merge(format, &base, &visible, edited.as_bytes(), &rules).unwrap());
    }
    let full = shown(format, &after, &random_view(format, u64::MAX));
    assert!(full.contains("\nEd,,,,\n") && full.contains("\n,9,,,\n"), "{full}");
}

#[test]
fn a_row_that_becomes_sensitive_is_appended_blindly_and_comes_back_when_it_is_not() {
    let (format, mut sections) = cut("ward.csv", WARD);
    let visible = only(&[Slot::DEMOGRAPHICS, Slot::PROBLEMS]);
    let edited = shown(format, &sections, &visible).replace("asthma", "HIV test");
    let clean = save(format, &mut sections, &visible, &edited).unwrap();
    assert!(!clean && !shown(format, &sections, &visible).contains("Cy"));
    let all = random_view(format, u64::MAX);
    let full = shown(format, &sections, &all);
    assert!(full.contains("Cy,3,HIV test,30,7\n"), "{full}");
    assert!(save(format, &mut sections, &all, &full.replace("HIV test", "asthma")).unwrap());
    assert_eq!(
        shown(format, &sections, &visible),
        "name,diagnosis\nAda,cough\nCy,asthma\nDi,cough\n"
    );
    // What is hidden in a row that tells something keeps it where it is.
    let without_code = only(&[Slot::DEMOGRAPHICS, Slot::HIV]);
    let view = shown(format, &sections, &without_code);
    save(format, &mut sections, &without_code, &view.replace("Bo", "Bob")).unwrap();
    assert!(!shown(format, &sections, &visible).contains("Bob"));
    assert!(shown(format, &sections, &all).contains("Bob,2,HIV infection,20,6\n"));
}

#[test]
fn columns_are_named_anew_and_removed_by_who_may() {
    let renamed = ward(&[Slot::DEMOGRAPHICS, Slot::MEDICATIONS], |v| v.replace("dose", "dosage"));
    assert_eq!(renamed, WARD.replace("dose", "dosage"));
    let (format, mut sections) = cut("ward.csv", WARD);
    let visible = only(&[Slot::DEMOGRAPHICS, Slot::MEDICATIONS]);
    let refused = save(format, &mut sections, &visible, "name\nAda\nCy\nDi\n");
    assert_eq!(refused.unwrap_err(), Kind::Denied);
    let refused = save(format, &mut sections, &visible, "x\ty\n1\t2\n");
    assert_eq!(refused.unwrap_err(), Kind::Usage);
    let all = ward(Slot::ALL, |_| "name,ssn\nAda,1\nBo,2\nCy,3\nDi,4\n".to_owned());
    assert_eq!(all, "name,ssn\nAda,1\nBo,2\nCy,3\nDi,4\n");
}

#[test]
fn quotes_and_line_ends_that_a_tool_changes_are_spacing() {
    let (format, sections) = cut("ward.csv", WARD);
    let all = random_view(format, u64::MAX);
    let quoted = WARD.replace("cough", "\"cough\"").replace("Ada", "\"Ada\"").replace('\n', "\r\n");
    let merged = merge(format, &sections, &all, quoted.as_bytes(), &Rules::builtin()).unwrap();
    let respaced: Vec<Slot> = merged.respaced.iter().copied().collect();
    let changed: Vec<Slot> = merged.changed.keys().copied().filter(|s| *s != Slot::FRAME).collect();
    assert_eq!(respaced, changed);
    assert!(merged.appended.is_empty());
}

#[test]
fn random_edits_of_tables_are_read_back_and_nothing_hidden_is_lost() {
    let (mut dice, mut saved) = (Dice(14), 0);
    for round in 0..1200 {
        let (name, text) = ODD[round % ODD.len()];
        saved += check_edits(name, text, &LINES, &mut dice);
    }
    println!("{saved} saves of tables");
    assert!(saved > 1000);
}

/// Edits cells and rows of a view, and keeps it a table.
fn edit_cells(view: &str, dice: &mut Dice) -> String {
    let mut rows: Vec<Vec<String>> =
        view.lines().map(|row| row.split(',').map(str::to_owned).collect()).collect();
    let columns = rows.first().map_or(0, Vec::len);
    let texts = ["", "x", "cough", "HIV", "F32.1", "12", "\"q\"", "depression"];
    for n in 0..=dice.below(4) {
        let (i, j) = (1 + dice.below(rows.len()), 1 + dice.below(rows.len()));
        let text = |dice: &mut Dice| texts[dice.below(texts.len())].to_owned();
        match dice.below(5) {
            0 if i < rows.len() => drop(rows.remove(i)),
            1 if i < rows.len() && j < rows.len() => rows.swap(i, j),
            2 => {
                let at = i.min(rows.len());
                rows.insert(at, (0..columns).map(|_| text(dice)).collect());
            }
            3 if n == 0 => {
                let name = ["allergy", "new", "labs"][dice.below(3)];
                for (at, row) in rows.iter_mut().enumerate() {
                    row.push(if at == 0 { name.to_owned() } else { text(dice) });
                }
                break;
            }
            _ if i < rows.len() => rows[i][dice.below(columns)] = text(dice),
            _ => {}
        }
    }
    let is_single = rows.first().is_some_and(|row| row.len() == 1);
    let mut out = String::new();
    for row in rows {
        let line = row.join(",");
        let line = if is_single && line.is_empty() { "\"\"".to_owned() } else { line };
        writeln!(out, "{line}").unwrap();
    }
    out
}

#[test]
fn random_edits_of_cells_are_read_back_and_hidden_sections_stay() {
    let (mut dice, mut rounds, mut refused) = (Dice(15), 0, 0);
    for _ in 0..300 {
        let (format, mut sections) = cut("ward.csv", WARD);
        for _ in 0..8 {
            let visible = random_view(format, dice.mask());
            let view = shown(format, &sections, &visible);
            if view.is_empty() {
                continue;
            }
            let edited = edit_cells(&view, &mut dice);
            let before = sections.clone();
            match save(format, &mut sections, &visible, &edited) {
                Err(kind) => {
                    assert_eq!(kind, Kind::Denied, "{view:?} {edited:?}");
                    refused += 1;
                    continue;
                }
                Ok(clean) => {
                    if clean {
                        assert_eq!(shown(format, &sections, &visible), edited, "{view:?}");
                    }
                    keeps_hidden(&before, &sections, &visible, clean);
                }
            }
            rounds += 1;
        }
    }
    println!("{rounds} saves of cells, {refused} refused");
    assert!(rounds > 1000);
}

fn keeps_hidden(before: &Sections, after: &Sections, visible: &BTreeSet<Slot>, clean: bool) {
    for (slot, old) in before.iter().filter(|(slot, _)| !visible.contains(slot)) {
        let kept = &after[slot];
        assert!(old.items.iter().all(|item| kept.items.contains(item)), "{slot}");
        assert!(!clean || kept == old, "{slot} was touched");
    }
}

/// A table of so many rows, with something sensitive in some of them.
fn long_table(rows: usize) -> String {
    let mut text = "Id,FIRST,LAST,BIRTHDATE,ADDRESS,CODE,DESCRIPTION,BASE_COST\n".to_owned();
    for n in 0..rows {
        let said = if n % 50 == 7 { "F32.9,depression" } else { "J45,asthma" };
        let year = 1920 + n % 100;
        writeln!(
            text,
            "id-{n},First{},Last{n},{year}-01-01,{n} Main Street,{said},{}.50",
            n % 300,
            n % 90
        )
        .unwrap();
    }
    text
}

#[test]
fn a_hundred_thousand_rows_are_cut_shown_and_saved() {
    let begun = std::time::Instant::now();
    let took = |what: &str| println!("{what} after {:?}", begun.elapsed());
    let text = long_table(100_000);
    let (format, mut sections) = cut("long.csv", &text);
    assert_eq!(format, FormatId::Csv);
    took("cut");
    let visible = only(&[Slot::DEMOGRAPHICS, Slot::PROBLEMS, Slot::IDENTIFIERS, Slot::OTHER]);
    let view = shown(format, &sections, &visible);
    took("shown");
    assert_eq!(view.lines().count(), 98_001);
    // Every row changes, one goes, one comes, and they are sorted.
    let mut rows: Vec<String> =
        view.lines().skip(1).map(|row| row.replace("asthma", "COPD")).collect();
    rows.remove(500);
    rows.push("id-new,New,Row,2000-01-01,J45,COPD".to_owned());
    rows.sort_unstable_by(|a, b| b.cmp(a));
    let edited = format!("{}\n{}\n", view.lines().next().unwrap(), rows.join("\n"));
    assert!(save(format, &mut sections, &visible, &edited).unwrap());
    took("saved");
    assert!(shown(format, &sections, &visible) == edited);
    let full = shown(format, &sections, &random_view(format, u64::MAX));
    took("shown again");
    for n in [0_usize, 8, 4_711, 99_999] {
        let row =
            format!("id-{n},First{},Last{n},{}-01-01,{n} Main Street,", n % 300, 1920 + n % 100);
        assert!(full.lines().any(|line| line.starts_with(&row)), "{row}");
    }
    assert_eq!(full.matches("F32.9,depression").count(), 2_000);
}

#[test]
fn a_table_of_too_many_cells_is_one_section() {
    let row = ",".repeat((1 << 12) - 1) + "\n";
    assert_eq!(cut("a.csv", &row.repeat((1 << 10) + 1)).0, FormatId::Opaque);
    assert_eq!(cut("a.csv", &row.repeat(1 << 4)).0, FormatId::Csv);
    assert_eq!(cut("a.csv", &format!(",{row}").repeat(2)).0, FormatId::Opaque);
}

#[test]
fn views_are_read_by_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<(String, Vec<u8>)> =
        ODD.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
    for (path, bytes) in samples() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        files.push((name, bytes));
    }
    let (mut dice, mut count) = (Dice(16), 0);
    for (name, bytes) in files {
        let (format, sections) = take_apart(&bytes, &name, &Rules::builtin());
        // Miller and Python do not know a line that names the separator.
        if format != FormatId::Csv || bytes.starts_with(b"sep=") {
            continue;
        }
        for round in 0..6 {
            let visible = random_view(format, if round == 0 { u64::MAX } else { dice.mask() });
            let view = join(format, &pick(&sections, &visible));
            let delimiter = [b"\t", b";", b"|"].into_iter().find(|d| bytes.contains(&d[0]));
            let ending = match delimiter {
                Some(b"\t") => "tab",
                Some(b";") => "semicolon",
                Some(b"|") => "bar",
                _ => "comma",
            };
            std::fs::write(folder.path().join(format!("{count}.{ending}")), view).unwrap();
            count += 1;
        }
    }
    crate::readers::run("csv_check.py", folder.path());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_rows_are_kept(
        cells in proptest::collection::vec("[a-c,;\t\"\r\n ]{0,4}", 1..24),
        columns in 1..5_usize,
        end in prop_oneof![Just("\n"), Just("\r\n"), Just("\n\n")],
        quoted: bool,
        mask: u64,
    ) {
        let cell = |cell: &String| {
            if quoted { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
        };
        let rows = cells.chunks(columns).map(|row| row.iter().map(cell).collect::<Vec<_>>().join(","));
        let names = ["name", "ssn", "labs", "hiv", "cost"][..columns].join(",");
        let text = names + end + &rows.collect::<Vec<_>>().join(end);
        check("a.csv", &text, mask);
    }
}
