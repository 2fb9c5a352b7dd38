//! Codes, units, numbers and the few words that are known to name no person.

use std::borrow::Cow;

use super::systems::{has_digits, has_sentences};

/// The oldest age that is released: of all who are as old or older.
pub(in super::super) const MAX_AGE: f64 = 90.0;
const MAX_CODE_LEN: usize = 64;
const MAX_DISPLAY_LEN: usize = 250;
/// A number of this many digits may be one of a person, telephone or account.
const MIN_SUSPECT_DIGITS: usize = 7;

/// Units that are written without saying of which system they are, in lower case.
const UNITS: [&str; 86] = [
    "%",
    "a",
    "bpm",
    "beats/min",
    "/min",
    "breaths/min",
    "c",
    "cel",
    "cm",
    "count",
    "d",
    "day",
    "days",
    "deg",
    "degc",
    "degf",
    "dl",
    "f",
    "fl",
    "ft",
    "g",
    "g/dl",
    "g/l",
    "gm",
    "gm/dl",
    "h",
    "hr",
    "hour",
    "hours",
    "in",
    "inches",
    "iu",
    "iu/l",
    "k/ul",
    "kg",
    "kg/m2",
    "kpa",
    "l",
    "l/min",
    "lb",
    "lbs",
    "m",
    "m/ul",
    "mcg",
    "meq",
    "meq/l",
    "mg",
    "mg/dl",
    "mg/l",
    "miu/l",
    "min",
    "minutes",
    "ml",
    "ml/min",
    "mm",
    "mm/hr",
    "mmhg",
    "mm[hg]",
    "mmol",
    "mmol/l",
    "mo",
    "months",
    "ng/dl",
    "ng/ml",
    "nmol/l",
    "pg",
    "pg/ml",
    "pmol/l",
    "ratio",
    "s",
    "sec",
    "score",
    "tablet",
    "tablets",
    "thou/mcl",
    "u",
    "u/l",
    "u/ml",
    "ug",
    "ug/dl",
    "ug/l",
    "umol/l",
    "week",
    "weeks",
    "years",
    "yr",
];

/// Results in words, in lower case.
const RESULT_WORDS: [&str; 32] = [
    "abnormal",
    "absent",
    "clear",
    "critical",
    "detected",
    "equivocal",
    "false",
    "few",
    "high",
    "inconclusive",
    "indeterminate",
    "large",
    "low",
    "many",
    "moderate",
    "n",
    "neg",
    "negative",
    "no",
    "none",
    "non-reactive",
    "normal",
    "not detected",
    "pos",
    "positive",
    "present",
    "reactive",
    "small",
    "trace",
    "true",
    "y",
    "yes",
];

/// What stands before the name of a person.
const TITLES: [&str; 9] = ["dr", "mr", "mrs", "ms", "miss", "prof", "herr", "frau", "mme"];

/// Returns a code when it has the form of one, and not of a number of a person or telephone.
pub(in super::super) fn code(text: &str) -> Option<&str> {
    let ok = |c: char| c.is_ascii_alphanumeric() || "-._:/+*%^[]{}()#'".contains(c);
    let is_form = !text.is_empty() && text.len() <= MAX_CODE_LEN && text.chars().all(ok);
    (is_form && !is_contact(text)).then_some(text)
}

/// Returns a code of a system when it has the form of those of the system: in those whose codes
/// have digits a word is none.
pub(in super::super) fn code_of<'t>(system: &str, text: &'t str) -> Option<&'t str> {
    let is_numbered = has_digits(system);
    code(text).filter(|of| !is_numbered || of.bytes().any(|b| b.is_ascii_digit()))
}

/// Says whether a text has the form of a social security or telephone number, or of a date.
fn is_contact(text: &str) -> bool {
    let runs: Vec<usize> = text
        .split(['-', '.', '/', '(', ')', ' '])
        .filter(|r| !r.is_empty())
        .map(|run| if run.bytes().all(|b| b.is_ascii_digit()) { run.len() } else { 0 })
        .collect();
    matches!(runs[..], [3, 2 | 3, 4] | [1, 3, 3, 4] | [4, 2, 2] | [1 | 2, 1 | 2, 4])
}

/// Returns the text of a code of a known system when it shows no sign of a person in it: no
/// address, no long number, no date, no title; where the system writes its texts as sentences no
/// name in the middle.
pub(in super::super) fn display<'t>(system: &str, text: &'t str) -> Option<&'t str> {
    let words = || text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let is_title = |word: &str| {
        TITLES.iter().any(|title| word.eq_ignore_ascii_case(title))
            && word.starts_with(char::is_uppercase)
    };
    let is_name = |word: &str| {
        let mut letters = word.chars();
        letters.next().is_some_and(char::is_uppercase)
            && letters.filter(|c| c.is_lowercase()).count() > 1
    };
    let is_long = longest_number(text) >= 5 || text.len() > MAX_DISPLAY_LEN;
    let is_other = text.contains(['@', '\n', '\r']) || text.contains("://");
    let has_contact = text.split([' ', ',', ';']).any(is_contact);
    let has_name = has_sentences(system) && words().skip(1).any(is_name);
    let is_told = words().any(is_title) || is_long || is_other || has_contact || has_name;
    (!is_told).then_some(text)
}

fn longest_number(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0)
}

/// Says whether a text is a unit that is known without its system.
pub(in super::super) fn is_unit(text: &str) -> bool {
    let lower = text.trim().to_ascii_lowercase();
    UNITS.contains(&lower.as_str())
}

/// Returns a result that is one of the usual words.
pub(in super::super) fn result_word(text: &str) -> Option<&str> {
    let lower = text.trim().to_ascii_lowercase();
    RESULT_WORDS.contains(&lower.as_str()).then_some(text)
}

/// Says whether a text is a number as results have them: not as long as that of a person,
/// telephone or account.
pub(in super::super) fn is_number(text: &str) -> bool {
    let text = text.trim();
    let body = text.strip_prefix(['-', '+', '<', '>']).unwrap_or(text);
    let body = body.strip_prefix('=').unwrap_or(body);
    let mut parts = body.split('.');
    let whole = parts.next().unwrap_or_default();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let rest = parts.next();
    digits(whole)
        && whole.len() < MIN_SUSPECT_DIGITS
        && rest.is_none_or(digits)
        && parts.next().is_none()
}

/// Returns an age in years, 90 for all above.
pub(in super::super) fn age(text: &str) -> Option<Cow<'_, str>> {
    let years: f64 = text.trim().parse().ok().filter(|_| is_number(text))?;
    Some(if years >= MAX_AGE { Cow::Borrowed("90") } else { Cow::Borrowed(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_no_number_of_a_person() {
        for ok in ["73211009", "8867-4", "E11.9", "50580-506-02", "mm[Hg]", "{score}"] {
            assert_eq!(code(ok), Some(ok));
        }
        for bad in ["999-59-8153", "555-139-3142", "1991-06-08", "06/08/1991", "Jane Doe", ""] {
            assert_eq!(code(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_text_that_shows_a_person_is_not_that_of_a_code() {
        let sct = "http://snomed.info/sct";
        let rxnorm = "http://www.nlm.nih.gov/research/umls/rxnorm";
        for ok in ["Acute bronchitis (disorder)", "Reading disorder", "Test for HIV-1 antibody"] {
            assert_eq!(display(sct, ok), Some(ok));
        }
        let drug = "Hydrochlorothiazide 25 MG Oral Tablet";
        assert_eq!(display(rxnorm, drug), Some(drug));
        for bad in [
            "Seen by Dr. Castellanos",
            "Mr Jones",
            "call 555-139-3142",
            "a@b.org",
            "MRN 1234567",
            "on 2011-03-04",
        ] {
            assert_eq!(display(rxnorm, bad), None, "{bad}");
        }
        assert_eq!(display(sct, "Asthma of Antonio Castellanos"), None);
        assert_eq!(display("I10", "Asthma of Castellanos"), None);
    }

    #[test]
    fn numbers_are_results_unless_they_are_too_long() {
        for ok in ["5", "-1.50", "<0.1", ">=90", "02138", "250000"] {
            assert!(is_number(ok), "{ok}");
        }
        for bad in ["", "1.2.3", "5551393142", "999598153", "1e5", "12a", "١٢"] {
            assert!(!is_number(bad), "{bad}");
        }
        assert_eq!(age("89").as_deref(), Some("89"));
        assert_eq!(age("104").as_deref(), Some("90"));
        assert_eq!(age("old"), None);
        assert!(is_unit("mmHg") && !is_unit("Smith"));
        assert_eq!(result_word("Negative"), Some("Negative"));
        assert_eq!(result_word("Seen"), None);
    }
}
