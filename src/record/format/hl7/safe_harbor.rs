//! HL7 v2 as a researcher reads it: every segment by its fields. A field that the table does not
//! name is empty; a segment that it does not name has no fields. What is written is ASCII.
//!
//! A field that the message is cut at has its own place, and stays there: where nothing of it is
//! released it is the separator of components alone, which says no value and deletes none.

use std::borrow::Cow;

use super::super::safe_harbor::{
    MAX_AGE, Pseudonyms, code, code_of, copied, country, display, has_zip, is_code_system,
    is_number, is_unit, result_word, rewrite, state, zip3,
};
use super::super::tree::{Form, Tree};
use super::lines::{Delimiters, Segment, is_break, lines};

/// What is released of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The number of the segment among its like, or a count.
    Number,
    /// A code of a table of the standard, in one or more components.
    Table,
    /// A code with its text and system.
    Coded,
    /// A code whose table is that of the field, where no system is named.
    Short,
    /// The year.
    Date,
    /// An identifier, as a pseudonym.
    Id,
    Address,
    Unit,
    /// The value of an observation.
    Value,
    /// A range of numbers.
    Range,
    /// The list of delimiters, the character set: as they are.
    Kept,
}

/// The fields that are released, by segment: a number and a letter of [`kind`] each.
const FIELDS: &[(&[u8; 3], &str)] = &[
    (b"MSH", "2X 7D 9T 10I 11T 12T 13N 15T 16T 17T 18X 19C"),
    (b"FHS", "2X 7D 11I 12I"),
    (b"BHS", "2X 7D 11I 12I"),
    (b"BTS", "1N"),
    (b"FTS", "1N"),
    (b"EVN", "1T 2D 3D 4T 6D"),
    (b"MSA", "1T 2I"),
    (b"PID", "1N 2I 3I 4I 7D 8T 10S 11A 15S 16S 17S 18I 19I 20I 22S 24T 25N 29D 30T"),
    (b"NK1", "1N 3S"),
    (b"MRG", "1I 2I 3I 4I"),
    (b"PV1", "1N 2T 4T 10T 14T 18T 19I 36T 44D 45D"),
    (b"PV2", "3C 8D 9D 11N"),
    (b"AL1", "1N 2S 3C 4S 5C 6D"),
    (b"IAM", "1N 2S 3C 4S 5C 6S 9S 11D 13D 17S"),
    (b"DG1", "1N 2T 3C 5D 6S 15N"),
    (b"PRB", "1T 2D 3C 4I 7D 8D 9D 14S"),
    (b"DRG", "1C 2D"),
    (b"DB1", "1N 2T 4T 5D"),
    (b"PR1", "1N 2T 3C 5D 6T 7N 14N 15C"),
    (b"ORC", "1T 2I 3I 4I 5T 9D 15D 16C"),
    (b"OBR", "1N 2I 3I 4C 6D 7D 8D 11T 14D 15S 22D 24T 25T 31C 36D"),
    (b"OBX", "1N 2T 3C 4N 5V 6U 7R 8S 11T 14D 17C 19D"),
    (b"SPM", "1N 2I 4C 5C 7C 8C 17D 18D"),
    (b"TQ1", "1N 7D 8D 9S"),
    (b"RXO", "1C 2N 3N 4U 5C 11N 12U"),
    (b"RXE", "2C 3N 4N 5U 6C 10N 11U 12N 15I"),
    (b"RXD", "1N 2C 3D 4N 5U 6C 7I 8N"),
    (b"RXG", "1N 2N 4C 5N 6N 7U 8C"),
    (b"RXA", "1N 2N 3D 4D 5C 6N 7U 8C 9S 16D 18C 20T 21T"),
    (b"RXR", "1S 2S"),
    (b"RXC", "1T 2C 3N 4U"),
    (b"IN1", "1N 12D 13D 15T 17S"),
    (b"GT1", "1N 11S"),
    (b"FT1", "1N 4D 5D 6T 7C 10N 19C 25C"),
    (b"SCH", "1I 2I 6S 7C 8C 9N 10U 25S"),
    (b"RGS", "1N 2T"),
    (b"AIS", "1N 2T 3C 4D 7N 8U"),
    (b"AIG", "1N 2T 8D"),
    (b"AIL", "1N 2T 6D"),
    (b"AIP", "1N 2T 6D"),
    (b"GOL", "1T 2D 3C 4I 7D 8D"),
    (b"PTH", "1T 2C 3I 4D"),
    (b"TXA", "1N 2S 3T 4D 6D 12I 17T 18T 19T"),
    (b"NTE", "1N 2T"),
    (b"ARV", "1N 2S 3S"),
    (b"CON", "1N 2S 11S 13D 14D"),
    (b"ACC", "1D 2S"),
    (b"UB1", "1N"),
    (b"UB2", "1N"),
    (b"ORG", "1N"),
    (b"IVC", "1N"),
];

/// Code systems as table 0396 names them; a table of the standard is `HL7` with its number.
const SYSTEMS: [&str; 31] = [
    "LN", "SCT", "SNM", "SNM3", "SNOMED", "I10", "I10C", "I10P", "ICD10", "ICD-10", "I9", "I9C",
    "I9CDX", "I9CP", "ICD9", "ICD9CM", "C4", "C5", "CPT", "CPT4", "CPTM", "HCPCS", "HCPT",
    "RXNORM", "NDC", "CVX", "MVX", "UCUM", "ATC", "CDCREC", "NCIT",
];
/// Types of identifiers, by table 0203.
const ID_TYPES: [&str; 12] =
    ["AN", "BCT", "DL", "MA", "MC", "MR", "NI", "PI", "PPN", "PT", "SS", "VN"];
const MAX_SHORT_LEN: usize = 10;
const MAX_CHARSET_LEN: usize = 20;

fn kind(segment: &Segment<'_>, number: usize) -> Option<Kind> {
    let fields = FIELDS.iter().find(|row| *row.0 == segment.id)?.1;
    let letter = fields.split(' ').find_map(|field| {
        let (digits, letter) = field.split_at(field.len() - 1);
        digits.parse().is_ok_and(|known: usize| known == number).then_some(letter)
    })?;
    Some(match letter {
        "N" => Kind::Number,
        "T" => Kind::Table,
        "C" => Kind::Coded,
        "S" => Kind::Short,
        "D" => Kind::Date,
        "I" => Kind::Id,
        "A" => Kind::Address,
        "U" => Kind::Unit,
        "V" => Kind::Value,
        "R" => Kind::Range,
        _ => Kind::Kept,
    })
}

/// Writes the messages of a file anew.
pub(super) fn of(tree: &Tree<'_>, project: &Pseudonyms) -> Option<Vec<u8>> {
    let found = lines(tree.text)?;
    rewrite(tree, copied, |index, node, out| {
        let at = found.segments.partition_point(|s| s.start <= node.start).checked_sub(1)?;
        let segment = &found.segments[at];
        let clean = Clean { project, segment };
        let is_whole = node.start == segment.start && node.end == segment.end();
        if is_whole {
            clean.whole(matches!(node.form, Form::Instead(_)), tree.span(node), out);
            return Some(());
        }
        // A run of fields names the first of them, a field its shell.
        let number = |name: &[u8]| std::str::from_utf8(name).ok()?.parse::<usize>().ok();
        if node.identity.is_empty() {
            let first = number(tree.nodes.get(index.checked_sub(1)?)?.identity.as_ref())?;
            let start = out.len();
            clean.fields(first, tree.span(node), out);
            if out.len() == start {
                out.push(segment.delimiters.component);
            }
        } else {
            let first = number(node.identity.as_ref())?;
            out.push(segment.delimiters.field);
            clean.fields(first, tree.span(node).get(1..)?, out);
        }
        Some(())
    })
}

/// Cleans the fields of one segment.
struct Clean<'s, 'a> {
    project: &'s Pseudonyms,
    segment: &'s Segment<'a>,
}

impl Clean<'_, '_> {
    fn delimiters(&self) -> Delimiters {
        self.segment.delimiters
    }

    /// Writes a whole segment with the line ends before it. Lines behind it that are no segments
    /// are free text.
    fn whole(&self, has_stub: bool, span: &[u8], out: &mut Vec<u8>) {
        let text = self.segment.text;
        let end = text.iter().position(|&b| is_break(b)).unwrap_or(text.len());
        out.extend_from_slice(&span[..self.segment.body - self.segment.start]);
        out.extend_from_slice(&self.segment.id);
        let separator = self.delimiters().field;
        out.push(separator);
        let start = out.len();
        if let Some(fields) = text.get(self.segment.id.len() + 1..end) {
            let first = if self.segment.is_header() { 2 } else { 1 };
            self.fields(first, fields, out);
        }
        // The name with one separator is what stands where the segment is hidden.
        if has_stub && out.len() == start {
            out.push(separator);
        }
    }

    /// Writes fields with the separators between them, those without value at the end left out.
    fn fields(&self, first: usize, text: &[u8], out: &mut Vec<u8>) {
        let separator = self.delimiters().field;
        let mut filled = out.len();
        for (index, field) in text.split(|&b| b == separator).enumerate() {
            if index > 0 {
                out.push(separator);
            }
            let before = out.len();
            self.field(first + index, field, out);
            if out.len() > before || self.is_cut() {
                filled = out.len();
            }
        }
        out.truncate(filled);
    }

    /// Says whether the fields have places of their own, which must all stay.
    fn is_cut(&self) -> bool {
        matches!(super::how(self.segment), super::Cut::Fields(..))
    }

    fn field(&self, number: usize, field: &[u8], out: &mut Vec<u8>) {
        let Some(kind) = kind(self.segment, number) else { return };
        if kind == Kind::Kept {
            let is_plain =
                |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b" -/_~".contains(b);
            let is_charset = field.len() <= MAX_CHARSET_LEN && field.iter().all(is_plain);
            if number == 2 || is_charset {
                out.extend_from_slice(field);
            }
            return;
        }
        let Delimiters { repetition, component, .. } = self.delimiters();
        for (index, part) in field.split(|&b| b == repetition).enumerate() {
            if index > 0 {
                out.push(repetition);
            }
            let parts: Vec<Cow<'_, str>> =
                part.split(|&b| b == component).map(String::from_utf8_lossy).collect();
            let clean = self.repetition(kind, &parts);
            let last = clean.iter().rposition(|text| !text.is_empty());
            for (index, text) in clean.iter().take(last.map_or(0, |last| last + 1)).enumerate() {
                if index > 0 {
                    out.push(component);
                }
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// Returns the components of one value that are released.
    fn repetition(&self, kind: Kind, parts: &[Cow<'_, str>]) -> Vec<String> {
        let first = parts.first().map_or("", |part| part.as_ref());
        let one = |text: Option<String>| text.into_iter().collect();
        match kind {
            Kind::Number => one(is_number(first).then(|| first.to_owned())),
            Kind::Table => parts.iter().take(3).map(|part| self.short(part)).collect(),
            Kind::Short => self.coded(parts, true),
            Kind::Coded => self.coded(parts, false),
            Kind::Date => one(self.project.year(first)),
            Kind::Id => self.id(parts),
            Kind::Address => self.address(parts),
            Kind::Unit => one(unit(parts)),
            Kind::Value => self.value(parts),
            Kind::Range => one(is_range(first).then(|| first.to_owned())),
            Kind::Kept => Vec::new(),
        }
    }

    /// Returns a code as short as those of a table.
    fn short(&self, text: &str) -> String {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        // Those of race and ethnic group have four digits and one that checks them.
        let is_race = digits == 5 && text.len() == 6 && text.as_bytes()[4] == b'-';
        let is_short = text.len() <= MAX_SHORT_LEN && digits < 5 || is_race;
        code(text).filter(|_| is_short && self.is_plain(text)).unwrap_or_default().to_owned()
    }

    /// Says whether a text has none of the message's delimiters and nothing beside ASCII.
    fn is_plain(&self, text: &str) -> bool {
        let Delimiters { field, component, repetition, escape, sub } = self.delimiters();
        let is = |b: u8| [field, component, repetition, escape, sub].contains(&b);
        text.bytes().all(|b| (b' '..0x7f).contains(&b) && !is(b))
    }

    /// Returns a code with its text and system, and the alternative.
    fn coded(&self, parts: &[Cow<'_, str>], is_table: bool) -> Vec<String> {
        let mut clean = Vec::with_capacity(6);
        for coded in parts.chunks(3).take(2) {
            let [of, text, system] = [0, 1, 2].map(|i| coded.get(i).map_or("", Cow::as_ref));
            let is_known = is_system(system) && self.is_plain(system);
            let is_own = system.is_empty() && (is_table || is_icd(of));
            let of = code_of(system, of).filter(|of| self.is_plain(of));
            match of {
                Some(of) if is_known => {
                    let text = display(system, text)
                        .filter(|text| self.is_plain(text))
                        .unwrap_or_default();
                    clean.extend([of, text, system].map(str::to_owned));
                }
                Some(of) if is_own => clean.extend([self.short(of), String::new(), String::new()]),
                _ => clean.extend([const { String::new() }; 3]),
            }
        }
        clean
    }

    /// Returns an identifier with its type.
    fn id(&self, parts: &[Cow<'_, str>]) -> Vec<String> {
        let first = parts.first().map_or("", |part| part.trim());
        if first.is_empty() || first == "\"\"" {
            return Vec::new();
        }
        let mut clean = vec![self.project.id(first)];
        if let (b"PID", Some(of)) = (&self.segment.id, parts.get(4)) {
            clean.extend([const { String::new() }; 3]);
            clean.push(ID_TYPES.iter().find(|known| *known == of).map_or("", |of| of).to_owned());
        }
        clean
    }

    fn address(&self, parts: &[Cow<'_, str>]) -> Vec<String> {
        let own = |index: usize| parts.get(index).map(Cow::as_ref);
        let is_here = has_zip(own(5));
        let mut clean = vec![String::new(); 6];
        let released = [
            (3, own(3).filter(|_| is_here).and_then(state)),
            (4, own(4).filter(|_| is_here).and_then(zip3)),
            (5, own(5).and_then(country)),
        ];
        for (index, text) in released {
            text.unwrap_or_default().clone_into(&mut clean[index]);
        }
        clean
    }

    /// Returns the value of an observation by its type.
    fn value(&self, parts: &[Cow<'_, str>]) -> Vec<String> {
        let first = parts.first().map_or("", |part| part.trim());
        let is_age = is_years(&String::from_utf8_lossy(self.segment.code(6)));
        let number = |text: &str| {
            let is_old = is_age && text.parse::<f64>().is_ok_and(|age| age >= MAX_AGE);
            is_number(text).then(|| if is_old { "90".to_owned() } else { text.to_owned() })
        };
        match self.segment.field(2) {
            b"NM" => number(first).into_iter().collect(),
            b"SN" => {
                let sign = |text: &str| {
                    ["<", ">", "<=", ">=", "=", "<>", "-", "+", "/", ".", ":"].contains(&text)
                };
                let part = |part: &Cow<'_, str>| {
                    let text = part.trim();
                    number(text).or_else(|| sign(text).then(|| text.to_owned())).unwrap_or_default()
                };
                parts.iter().take(4).map(part).collect()
            }
            b"CE" | b"CWE" | b"CNE" | b"CF" => self.coded(parts, false),
            b"DT" | b"TS" | b"DTM" => self.project.year(first).into_iter().collect(),
            b"ST" | b"TX" | b"FT" | b"" if parts.len() == 1 => {
                let word = result_word(first).map(str::to_owned);
                number(first).or(word).into_iter().collect()
            }
            b"IS" | b"ID" => result_word(first).map(str::to_owned).into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

fn is_system(name: &str) -> bool {
    let is_table = name
        .strip_prefix("HL7")
        .is_some_and(|number| number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit()));
    is_table || SYSTEMS.contains(&name) || is_code_system(name)
}

/// Says whether a code without a system has the form of a diagnosis of ICD.
fn is_icd(of: &str) -> bool {
    let b = of.as_bytes();
    let (head, rest) = (b.get(..3).unwrap_or_default(), b.get(3..).unwrap_or_default());
    let is_head = matches!(head, [a, x, y] if a.is_ascii_uppercase() && x.is_ascii_digit() && y.is_ascii_alphanumeric());
    let is_rest = rest.is_empty() || rest[0] == b'.' && rest.len() <= 5;
    is_head && is_rest && rest.iter().skip(1).all(u8::is_ascii_alphanumeric)
}

fn is_years(unit: &str) -> bool {
    ["a", "yr", "yrs", "year", "years"].iter().any(|years| unit.eq_ignore_ascii_case(years))
}

fn unit(parts: &[Cow<'_, str>]) -> Option<String> {
    let first = parts.first().map_or("", |part| part.trim());
    let is_ucum = parts.get(2).is_some_and(|system| system == "UCUM");
    let is_known = is_unit(first) || is_ucum && code(first).is_some();
    (is_known && first.is_ascii()).then(|| first.to_owned())
}

/// Says whether a text is a range of numbers, or a bound.
fn is_range(text: &str) -> bool {
    let is_end = |part: &str| part.trim().is_empty() || is_number(part);
    let mut ends = text.splitn(2, '-');
    text.len() <= 24 && !text.trim().is_empty() && ends.all(is_end)
}
