//! What a segment says about itself that is sensitive: codes in their systems, words, and labels
//! of confidentiality.

use std::borrow::Cow;

use super::super::rules::{Confidential, Hits, Rules};
use super::super::slots::Confidentiality;
use super::lines::{Delimiters, Segment};
use super::table::is_clinical;

const ACT_CODE: &str = "v3-ActCode";

/// What was found in one segment, or several that belong together.
#[derive(Clone, Copy, Default)]
pub(super) struct Facts {
    pub(super) hits: Hits,
    pub(super) raised: Confidential,
}

impl Facts {
    pub(super) fn add(&mut self, other: Self) {
        self.hits |= other.hits;
        self.raised = self.raised.max(other.raised);
    }

    /// Takes a label of tables 0177, 0272 and 0717, of v3-Confidentiality or of v3-ActCode.
    pub(super) fn label(&mut self, code: &[u8], rules: &Rules) {
        let code = String::from_utf8_lossy(code).to_ascii_uppercase();
        let meaning = match code.as_str() {
            "AID" => "HIV",
            "DRG" => "SUD",
            "PRS" => "PSY",
            "VIP" | "CEL" | "EMP" | "UWM" | "SMD" | "Y" => return self.restrict(),
            other => other,
        };
        self.raised.raise(meaning);
        self.hits |= rules.code(Some(ACT_CODE), meaning).hits;
    }

    pub(super) fn restrict(&mut self) {
        self.raised.raise_to(Confidentiality::Restricted);
    }
}

/// Reads a segment.
pub(super) fn facts(segment: &Segment<'_>, rules: &Rules) -> Facts {
    let mut facts = Facts::default();
    let Delimiters { component, repetition, sub, .. } = segment.delimiters;
    let is_clinical = is_clinical(segment.id);
    for (index, field) in segment.fields().enumerate() {
        // Diagnoses name their system in the field before.
        let system = match (&segment.id, index) {
            (b"DG1" | b"PR1", 2) => segment.field(2),
            _ => b"",
        };
        for value in field.split(|&b| b == repetition) {
            let parts: Vec<&[u8]> = value.split(|&b| b == component).collect();
            facts.hits |= coded(&parts, system, is_clinical, rules);
            for part in parts.iter().filter(|part| part.contains(&sub)) {
                let parts: Vec<&[u8]> = part.split(|&b| b == sub).collect();
                facts.hits |= coded(&parts, b"", is_clinical, rules);
            }
        }
    }
    let text = unescaped(segment.text, segment.delimiters.escape);
    facts.hits |= rules.words(&String::from_utf8_lossy(&text));
    labels(segment, &mut facts, rules);
    facts
}

fn labels(segment: &Segment<'_>, facts: &mut Facts, rules: &Rules) {
    let number = match &segment.id {
        b"ORC" => 28,
        b"TXA" | b"DG1" => 18,
        b"PV1" => 16,
        b"PV2" => 22,
        b"ARV" => 3,
        _ => return,
    };
    facts.label(segment.code(number), rules);
    if segment.id == *b"PV1" {
        // The service may be that of a ward which is set apart.
        facts.hits |= rules.code(Some(ACT_CODE), &text(segment.code(10))).hits;
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Looks at the components of a value: a code stands two before the name of its system.
fn coded(parts: &[&[u8]], default: &[u8], is_clinical: bool, rules: &Rules) -> Hits {
    let mut hits = Hits::default();
    for (index, code) in parts.iter().enumerate() {
        let code = code.trim_ascii();
        if code.len() < 2 || !code.iter().any(u8::is_ascii_digit) && code.len() > 24 {
            continue;
        }
        let name = parts.get(index + 2).copied().filter(|name| !name.is_empty());
        let name = if index == 0 { name.unwrap_or(default) } else { name.unwrap_or_default() };
        if let Some(uri) = system(name) {
            hits |= of_system(&uri, &text(code), rules);
        } else if is_clinical && index % 3 == 0 && code.iter().any(u8::is_ascii_digit) {
            hits |= rules.code(None, &text(code).to_ascii_uppercase()).hits;
        }
    }
    hits
}

fn of_system(uri: &str, code: &str, rules: &Rules) -> Hits {
    let mut hits = rules.code(Some(uri), code).hits;
    let mut dotted = code.to_ascii_uppercase();
    if uri.starts_with("icd") {
        // Billing writes the same codes without their dot.
        if dotted.len() > 3 && dotted.is_ascii() && !dotted.contains('.') {
            dotted.insert(3, '.');
        }
        hits |= rules.code(Some(uri), &dotted).hits;
    }
    hits
}

/// Returns how the rules call a coding system of table 0396.
fn system(name: &[u8]) -> Option<Cow<'static, str>> {
    let name = std::str::from_utf8(name.trim_ascii()).ok()?;
    let upper = name.to_ascii_uppercase();
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| upper.starts_with(prefix));
    Some(Cow::Borrowed(match upper.as_str() {
        "" => return None,
        "I9" => "icd-9",
        "I10" => "icd-10",
        "LN" | "LNC" => "loinc",
        "RXN" | "RXNORM" => "rxnorm",
        "C4" | "C5" | "CPTM" | "HPC" => "/cpt",
        "WC" | "ATC" => "/atc",
        "ACTCODE" => ACT_CODE,
        _ if begins(&["I10", "ICD10", "ICD-10"]) => "icd-10",
        _ if begins(&["I9C", "ICD9", "ICD-9"]) => "icd-9",
        _ if begins(&["SCT", "SNOMED", "SNM"]) => "snomed",
        _ if begins(&["LOINC"]) => "loinc",
        _ if begins(&["RXNORM"]) => "rxnorm",
        _ if begins(&["CPT", "HCPC"]) => "/cpt",
        _ if begins(&["HTTP", "URN:OID:", "2.16."]) => return Some(Cow::Owned(name.to_owned())),
        _ => return None,
    }))
}

/// Puts blanks where delimiters and markup were escaped, so that words are found beside them.
fn unescaped(bytes: &[u8], escape: u8) -> Cow<'_, [u8]> {
    /// `\Zxxx\` and the like; a longer one is a backslash that means itself.
    const LONGEST: usize = 32;
    if !bytes.contains(&escape) {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&b| b == escape) {
        out.extend_from_slice(&rest[..at]);
        let after = &rest[at + 1..];
        out.push(b' ');
        let end = after.iter().take(LONGEST).position(|&b| b == escape);
        let sequence = end.map(|end| &after[..end]).filter(|s| !s.contains(&b' '));
        rest = match sequence {
            Some([b'X', hex @ ..]) => {
                out.pop();
                out.extend(hex.chunks_exact(2).filter_map(hex_byte));
                &after[hex.len() + 2..]
            }
            Some(sequence) => &after[sequence.len() + 1..],
            None => after,
        };
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

fn hex_byte(pair: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()
}

/// What the ARV segments of a message restrict, as a set of their codes.
#[derive(Clone, Copy, Default)]
pub(super) struct Restricted(u8);

/// The codes that name no disease.
const SHOWN: [&[u8]; 5] = [b"ALL", b"DEM", b"PID-7", b"PID-17", b"LOC"];

impl Restricted {
    pub(super) fn add(&mut self, segment: &Segment<'_>) {
        let code = segment.code(3);
        let at = SHOWN.iter().position(|&shown| shown == code);
        if let Some(at) = at.filter(|_| segment.id == *b"ARV" && segment.code(2) != b"D") {
            self.0 |= 1 << at;
        }
    }

    /// Says whether a code is among them.
    pub(super) fn names(self, code: &[u8]) -> bool {
        let at = SHOWN.iter().position(|&shown| shown == code);
        at.is_some_and(|at| self.0 & 1 << at != 0)
    }

    /// Says whether a field of PID or PD1 is restricted.
    pub(super) fn covers(self, is_patient: bool, number: usize) -> bool {
        let alone = match number {
            7 => self.names(b"PID-7"),
            17 => self.names(b"PID-17"),
            _ => false,
        };
        self.names(b"ALL") || self.names(b"DEM") || is_patient && alone
    }
}

/// Says whether everybody sees what an ARV segment restricts: it names no disease, and who fills
/// a field must know that it is restricted.
pub(super) fn is_shown(segment: &Segment<'_>) -> bool {
    SHOWN.contains(&segment.code(3))
}

#[cfg(test)]
mod tests {
    use super::super::super::slots::Slot;
    use super::super::lines::lines;
    use super::*;

    fn found(segment: &str) -> Option<Slot> {
        let text = format!("MSH|^~\\&|A\r{segment}\r");
        let lines = lines(text.as_bytes()).unwrap();
        facts(&lines.segments[1], &Rules::builtin()).hits.strictest()
    }

    #[test]
    fn codes_are_found_in_their_systems_wherever_they_stand() {
        for (segment, expected) in [
            ("DG1|1||F32.9^x^I10", Some(Slot::MENTAL_HEALTH)),
            ("DG1|1||F329^x^I10C", Some(Slot::MENTAL_HEALTH)),
            ("DG1|1|I9|042^x", Some(Slot::HIV)),
            ("DG1|1|I10|F10.20", Some(Slot::SUBSTANCE_USE)),
            ("DG1|1||E11.9^x^I10~B20^y^I10", Some(Slot::HIV)),
            ("DG1|1||1^x^L^86406008^y^SCT", Some(Slot::HIV)),
            ("DG1|1||042^x^L", None),
            ("OBX|1|CE|1^x^L||86406008^x^SCT", Some(Slot::HIV)),
            ("OBX|1|NM|55277-8^x^LN||1", Some(Slot::HIV)),
            ("OBX|1|NM|718-7^x^LN||13", None),
            ("RXE||6813^x^RXNORM|1", Some(Slot::SUBSTANCE_USE)),
            ("RXE||6813^x^NDC|1", None),
            ("AL1|1|DA|N06AB06^x^ATC", Some(Slot::MENTAL_HEALTH)),
            ("PR1|1||90834^x^C4", Some(Slot::MENTAL_HEALTH)),
            ("FT1|1||||||x|||||||||||||F33.1", Some(Slot::MENTAL_HEALTH)),
            ("IN1|1|F32^x^L", Some(Slot::MENTAL_HEALTH)),
            ("PV1|1|I|F32^B20^3", None),
            ("PV1|1|I||||||||PSY", Some(Slot::MENTAL_HEALTH)),
            ("OBX|1|CE|a&b||1&x&L&86406008&y&SCT", Some(Slot::HIV)),
            ("DG1|1||86406008^x^2.16.840.1.113883.6.96", Some(Slot::HIV)),
        ] {
            assert_eq!(found(segment), expected, "{segment}");
        }
    }

    #[test]
    fn words_are_found_beside_escapes() {
        assert_eq!(found("NTE|1||drug\\.br\\abuse"), Some(Slot::SUBSTANCE_USE));
        assert_eq!(found("NTE|1||\\H\\HIV\\N\\ test"), Some(Slot::HIV));
        assert_eq!(found("NTE|1||\\X484956\\ test"), Some(Slot::HIV));
        assert_eq!(found("NTE|1||a \\ b \\ shiver \\X4\\ \\"), None);
    }

    #[test]
    fn labels_are_those_of_the_tables() {
        let found = |segment: &str| {
            let text = format!("MSH|^~\\&|A\r{segment}\r");
            let lines = lines(text.as_bytes()).unwrap();
            let found = facts(&lines.segments[1], &Rules::builtin());
            Rules::decide(Slot::PROCEDURES, found.hits, found.raised)
        };
        let order = |code: &str| format!("ORC|NW{}{code}", "|".repeat(27));
        assert_eq!(found(&order("AID")), Slot::HIV);
        assert_eq!(found(&order("ETH")), Slot::SUBSTANCE_USE);
        assert_eq!(found(&order("R^x")), Slot::OTHER);
        assert_eq!(found(&order("U")), Slot::PROCEDURES);
        assert_eq!(found(&format!("TXA|1{}V", "|".repeat(17))), Slot::OTHER);
        assert_eq!(found(&format!("PV1|1{}VIP", "|".repeat(15))), Slot::OTHER);
        assert_eq!(found(&format!("DG1|1{}Y", "|".repeat(17))), Slot::OTHER);
        assert_eq!(found(&format!("DG1|1{}N", "|".repeat(17))), Slot::PROCEDURES);
    }
}
