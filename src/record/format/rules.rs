//! Which section an element belongs to: embedded labels, then sensitive codes and words, then
//! its type; the strictest wins.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;

use super::fhir::category;
use super::slots::{Confidentiality, Slot};

/// A set of sensitive sections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hits(u64);

impl Hits {
    fn of(slot: Slot) -> Self {
        Self(1 << slot.0)
    }

    pub(super) fn contains(self, slot: Slot) -> bool {
        self.0 & Self::of(slot).0 != 0
    }

    /// Returns the strictest section of the set.
    pub(super) fn strictest(self) -> Option<Slot> {
        Slot::SENSITIVE.into_iter().find(|&slot| self.contains(slot))
    }
}

impl std::ops::BitOr for Hits {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for Hits {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The strictest label of confidentiality seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Confidential(Option<Confidentiality>);

impl Confidential {
    pub(super) fn raise(&mut self, code: &str) {
        if let Some(level) = Confidentiality::from_code(code) {
            self.raise_to(level);
        }
    }

    pub(super) fn raise_to(&mut self, level: Confidentiality) {
        self.0 = self.0.max(Some(level));
    }

    pub(super) fn exceeds(self, level: Confidentiality) -> bool {
        self.0.is_some_and(|label| label > level)
    }
}

impl std::ops::BitOrAssign for Confidential {
    /// Keeps the stricter one.
    fn bitor_assign(&mut self, other: Self) {
        self.0 = self.0.max(other.0);
    }
}

/// What one code says.
#[derive(Default)]
pub(super) struct Found {
    pub(super) hits: Hits,
    pub(super) level: Option<Confidentiality>,
    pub(super) category: Option<Slot>,
}

/// The code systems that the lists name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum System {
    Snomed,
    Loinc,
    Rxnorm,
    Icd10,
    Icd9,
    Atc,
    Cpt,
    ActCode,
    Confidentiality,
}

/// How a code system is known by its URI: a part of it, or an OID as a whole.
const SYSTEMS: [(&str, &str, System); 11] = [
    ("snomed", "2.16.840.1.113883.6.96", System::Snomed),
    ("loinc", "2.16.840.1.113883.6.1", System::Loinc),
    ("rxnorm", "2.16.840.1.113883.6.88", System::Rxnorm),
    ("icd-10", "2.16.840.1.113883.6.90", System::Icd10),
    ("icd10", "2.16.840.1.113883.6.3", System::Icd10),
    ("icd-9", "2.16.840.1.113883.6.103", System::Icd9),
    ("whocc", "2.16.840.1.113883.6.73", System::Atc),
    ("/atc", "2.16.840.1.113883.6.73", System::Atc),
    ("/cpt", "2.16.840.1.113883.6.12", System::Cpt),
    ("v3-ActCode", "2.16.840.1.113883.5.4", System::ActCode),
    ("v3-Confidentiality", "2.16.840.1.113883.5.25", System::Confidentiality),
];

fn system_of(uri: &str) -> Option<System> {
    let oid = uri.strip_prefix("urn:oid:").unwrap_or(uri);
    let known = |&&(part, whole, _): &&(&str, &str, System)| oid == whole || uri.contains(part);
    SYSTEMS.iter().find(known).map(|&(_, _, system)| system)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    codes: Vec<CodesEntry>,
    ranges: Vec<RangeEntry>,
    words: Vec<WordsEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodesEntry {
    slot: String,
    system: System,
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the list, and for a test"))]
    source: String,
    /// The public lists that it was compared with.
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the list, and for a test"))]
    checked: String,
    /// Codes that stand in none of them.
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the list, and for a test"))]
    #[serde(default)]
    unconfirmed: Vec<String>,
    codes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeEntry {
    slot: String,
    system: System,
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the list, and for a test"))]
    source: String,
    from: String,
    to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WordsEntry {
    slot: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the list, and for a test"))]
    source: String,
    phrases: Vec<String>,
}

struct Range {
    system: System,
    from: String,
    to: String,
    hits: Hits,
}

/// Further words of a phrase after its first.
type Phrase = (Vec<String>, Hits);

/// The lists, ready to be asked.
struct Table {
    codes: HashMap<String, Vec<(System, Hits)>>,
    ranges: Vec<Range>,
    phrases: HashMap<String, Vec<Phrase>>,
    longest_word: usize,
}

impl Table {
    fn parse(text: &str) -> Result<Self, String> {
        let file: File = ::toml::from_str(text).map_err(|e| e.to_string())?;
        let hits = |name: &str| {
            let slot = Slot::from_name(name).filter(|slot| slot.is_sensitive());
            slot.map(Hits::of).ok_or_else(|| format!("{name} is no sensitive section"))
        };
        let mut codes: HashMap<String, Vec<_>> = HashMap::new();
        for entry in file.codes {
            for code in entry.codes {
                codes.entry(code).or_default().push((entry.system, hits(&entry.slot)?));
            }
        }
        let range = |e: RangeEntry| {
            Ok(Range { system: e.system, hits: hits(&e.slot)?, from: e.from, to: e.to })
        };
        let ranges = file.ranges.into_iter().map(range).collect::<Result<_, String>>()?;
        let mut phrases: HashMap<String, Vec<Phrase>> = HashMap::new();
        for entry in file.words {
            for phrase in entry.phrases {
                let mut words = phrase.split(' ').map(str::to_owned);
                let first = words.next().expect("split yields at least one part");
                phrases.entry(first).or_default().push((words.collect(), hits(&entry.slot)?));
            }
        }
        let longest_word = phrases.keys().map(String::len).max().unwrap_or(0);
        Ok(Self { codes, ranges, phrases, longest_word })
    }

    fn exact(&self, system: Option<System>, code: &str) -> Hits {
        let entries = self.codes.get(code).map_or(&[][..], Vec::as_slice);
        // Short numbers without a system mean something else more often than a drug.
        let fits = |of: System| system.map_or(of != System::Rxnorm, |system| system == of);
        entries.iter().filter(|e| fits(e.0)).fold(Hits::default(), |sum, e| sum | e.1)
    }

    fn ranged(&self, system: System, code: &str) -> Hits {
        let inside = |r: &&Range| {
            let head = |bound: &str| code.get(..bound.len()).unwrap_or(code);
            r.system == system && head(&r.from) >= r.from.as_str() && head(&r.to) <= r.to.as_str()
        };
        self.ranges.iter().filter(inside).fold(Hits::default(), |sum, r| sum | r.hits)
    }
}

/// Says whether a code without a system looks like one of ICD-10: a letter, a digit, a digit or
/// letter, and then nothing or a dot.
fn looks_like_icd10(code: &str) -> bool {
    let b = code.as_bytes();
    b.len() >= 3
        && b[0].is_ascii_uppercase()
        && b[1].is_ascii_digit()
        && b[2].is_ascii_alphanumeric()
        && b.get(3).is_none_or(|&c| c == b'.')
}

/// The rules of one realm: the lists, and the seed of first ranks.
#[derive(Clone)]
pub struct Rules {
    table: &'static Table,
    seed: [u8; 32],
}

impl Rules {
    /// Returns the rules that come with the program, with a fixed seed.
    ///
    /// # Panics
    /// Never: a test reads the list that is compiled in.
    pub fn builtin() -> Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        let text = include_str!("sensitive_codes.toml");
        let table = TABLE.get_or_init(|| Table::parse(text).expect("a test reads the list"));
        Self { table, seed: [0; 32] }
    }

    /// Sets the seed of the first ranks of a new file. A random one, used once, keeps a reader of
    /// one section from counting the elements of the others.
    #[must_use]
    pub fn with_seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = seed;
        self
    }

    pub(super) fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// Says what a code means; without a system every list is asked.
    pub(super) fn code(&self, uri: Option<&str>, code: &str) -> Found {
        let Some(uri) = uri else {
            let mut hits = self.table.exact(None, code);
            if looks_like_icd10(code) {
                hits |= self.table.ranged(System::Icd10, code);
            }
            return Found { hits, ..Found::default() };
        };
        let Some(system) = system_of(uri) else {
            return Found { category: category(code), ..Found::default() };
        };
        let mut found = Found { hits: self.table.exact(Some(system), code), ..Found::default() };
        match system {
            System::Icd10 | System::Icd9 | System::Atc | System::Cpt => {
                found.hits |= self.table.ranged(system, code);
            }
            System::Confidentiality => found.level = Confidentiality::from_code(code),
            System::Loinc => found.category = category(code),
            _ => {}
        }
        found
    }

    /// Looks for the listed words and phrases in a text.
    pub(super) fn words(&self, text: &str) -> Hits {
        let mut hits = Hits::default();
        let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b >= 0x80;
        let mut rest = text.as_bytes();
        while let Some(start) = rest.iter().position(is_word) {
            rest = &rest[start..];
            let len = rest.iter().position(|b| !is_word(b)).unwrap_or(rest.len());
            hits |= self.phrases_at(&rest[..len], &rest[len..]);
            rest = &rest[len..];
        }
        hits
    }

    fn phrases_at(&self, word: &[u8], after: &[u8]) -> Hits {
        let mut lower = [0; 32];
        let Some(lower) = lower.get_mut(..word.len()) else { return Hits::default() };
        if word.len() > self.table.longest_word {
            return Hits::default();
        }
        lower.copy_from_slice(word);
        lower.make_ascii_lowercase();
        let phrases = std::str::from_utf8(lower).ok().and_then(|w| self.table.phrases.get(w));
        let follows = |more: &[String]| {
            let mut words = after.split(|b| !b.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
            more.iter().all(|w| words.next().is_some_and(|n| n.eq_ignore_ascii_case(w.as_bytes())))
        };
        let found = phrases.into_iter().flatten().filter(|(more, _)| follows(more));
        found.fold(Hits::default(), |sum, &(_, hits)| sum | hits)
    }

    /// Looks at a string of a plain file: as a text, and as an ICD-10 code.
    pub(super) fn plain(&self, text: &str) -> Hits {
        if looks_like_icd10(text) {
            return self.words(text) | self.table.ranged(System::Icd10, text);
        }
        self.words(text)
    }

    /// Looks at free text: for words, and for codes of any system that stand in it.
    pub(super) fn text(&self, text: &str) -> Hits {
        let apart = |c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-');
        let is_code = |w: &&str| w.len() >= 3 && w.bytes().any(|b| b.is_ascii_digit());
        let words = text.split(apart).map(|w| w.trim_matches(['.', '-']));
        words.filter(is_code).fold(self.words(text), |sum, w| sum | self.code(None, w).hits)
    }

    /// Decides the section of an element whose type says `typed`.
    pub(super) fn decide(typed: Slot, hits: Hits, raised: Confidential) -> Slot {
        let own = if typed.is_sensitive() { Hits::of(typed) } else { Hits::default() };
        if let Some(slot) = (hits | own).strictest() {
            return slot;
        }
        if raised.exceeds(Confidentiality::Normal) && raised.exceeds(typed.confidentiality()) {
            return Slot::OTHER;
        }
        typed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(system: &str, code: &str) -> Option<Slot> {
        Rules::builtin().code(Some(system), code).hits.strictest()
    }

    /// Who publishes what the lists are taken from, or where their words are.
    const PUBLISHED: [&str; 11] = [
        "HL7 v3 ActCode",
        "ICD-10 ",
        "ICD-10-CM ",
        "ICD-9-CM ",
        "WHO ATC ",
        "CPT ",
        "HCPCS ",
        "SNOMED CT: ",
        "LOINC: ",
        "RxNorm ingredients: ",
        "Display texts of the codes above",
    ];

    #[test]
    fn every_list_and_range_names_what_it_is_taken_from() {
        let file: File = toml::from_str(include_str!("sensitive_codes.toml")).unwrap();
        for range in &file.ranges {
            let (from, to) = (range.from.as_str(), range.to.as_str());
            assert!(from <= to && range.source.contains(from), "{from} to {to}");
        }
        let ranges = file.ranges.iter().map(|e| &e.source);
        let lists = file.codes.iter().map(|e| &e.source);
        let words = file.words.iter().map(|e| &e.source);
        for source in ranges.chain(lists).chain(words) {
            assert!(PUBLISHED.iter().any(|of| source.starts_with(of)), "{source}");
        }
        for list in &file.codes {
            let unique: std::collections::HashSet<_> = list.codes.iter().collect();
            assert_eq!(unique.len(), list.codes.len(), "{}", list.source);
            assert!(!list.checked.is_empty(), "{}", list.source);
            assert!(list.unconfirmed.iter().all(|code| unique.contains(code)), "{}", list.source);
        }
    }

    #[test]
    fn codes_of_every_system_find_their_section() {
        assert_eq!(slot("http://snomed.info/sct", "86406008"), Some(Slot::HIV));
        assert_eq!(slot("urn:oid:2.16.840.1.113883.6.96", "7200002"), Some(Slot::SUBSTANCE_USE));
        assert_eq!(slot("http://hl7.org/fhir/sid/icd-10-cm", "F33.1"), Some(Slot::MENTAL_HEALTH));
        assert_eq!(slot("http://hl7.org/fhir/sid/icd-10", "F10.20"), Some(Slot::SUBSTANCE_USE));
        assert_eq!(slot("http://hl7.org/fhir/sid/icd-10", "B20"), Some(Slot::HIV));
        assert_eq!(slot("http://hl7.org/fhir/sid/icd-10", "E11.9"), None);
        assert_eq!(slot("http://hl7.org/fhir/sid/icd-10", "O80"), Some(Slot::REPRODUCTIVE));
        assert_eq!(slot("http://loinc.org", "44261-6"), Some(Slot::MENTAL_HEALTH));
        assert_eq!(slot("http://loinc.org", "86406008"), None);
        // Examinations of anybody, stress and transport are no secrets.
        assert_eq!(slot("http://snomed.info/sct", "5880005"), None);
        assert_eq!(slot("http://loinc.org", "93038-8"), None);
        assert_eq!(slot("http://loinc.org", "93030-5"), None);
        assert_eq!(slot("http://hl7.org/fhir/sid/icd-10", "F02.4"), Some(Slot::HIV));
        let label = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
        assert_eq!(slot(label, "PSYTHPN"), Some(Slot::PSYCHOTHERAPY_NOTES));
        assert_eq!(slot(label, "AMB"), None);
    }

    #[test]
    fn a_code_without_a_system_is_looked_for_everywhere() {
        let found = |code| Rules::builtin().code(None, code).hits.strictest();
        assert_eq!(found("F32.9"), Some(Slot::MENTAL_HEALTH));
        assert_eq!(found("86406008"), Some(Slot::HIV));
        assert_eq!(found("E78.5"), None);
    }

    #[test]
    fn words_are_found_whole_and_in_any_case() {
        let found = |text| Rules::builtin().words(text).strictest();
        assert_eq!(found("Test for HIV-1 antibody"), Some(Slot::HIV));
        assert_eq!(found("Shiver"), None);
        assert_eq!(found("major depressive disorder, single episode"), Some(Slot::MENTAL_HEALTH));
        assert_eq!(found("Abuse-Deterrent 12 HR Oxycodone"), None);
        assert_eq!(found("Drug  abuse"), Some(Slot::SUBSTANCE_USE));
        assert_eq!(found("drug-free"), None);
    }

    #[test]
    fn the_strictest_section_wins_and_a_bare_label_moves_to_other() {
        let both = Hits::of(Slot::REPRODUCTIVE) | Hits::of(Slot::VIOLENCE);
        let mut label = Confidential::default();
        assert_eq!(Rules::decide(Slot::LABS, both, label), Slot::VIOLENCE);
        let mild = Hits::of(Slot::REPRODUCTIVE);
        assert_eq!(
            Rules::decide(Slot::PSYCHOTHERAPY_NOTES, mild, label),
            Slot::PSYCHOTHERAPY_NOTES
        );
        label.raise("N");
        assert_eq!(Rules::decide(Slot::DIRECTORY, Hits::default(), label), Slot::DIRECTORY);
        label.raise("R");
        assert_eq!(Rules::decide(Slot::LABS, Hits::default(), label), Slot::OTHER);
        assert_eq!(Rules::decide(Slot::NOTES, Hits::default(), label), Slot::NOTES);
    }
}
