//! Places: a state and its country, and of a ZIP code the first three digits where more than
//! 20,000 people have them.

use std::sync::OnceLock;

use serde::Deserialize;

/// The states and territories of the United States, by name and by code. A state of another
/// country is not released: no list here tells a state from a town.
const STATES: [(&str, &str); 56] = [
    ("AL", "Alabama"),
    ("AK", "Alaska"),
    ("AZ", "Arizona"),
    ("AR", "Arkansas"),
    ("CA", "California"),
    ("CO", "Colorado"),
    ("CT", "Connecticut"),
    ("DE", "Delaware"),
    ("DC", "District of Columbia"),
    ("FL", "Florida"),
    ("GA", "Georgia"),
    ("HI", "Hawaii"),
    ("ID", "Idaho"),
    ("IL", "Illinois"),
    ("IN", "Indiana"),
    ("IA", "Iowa"),
    ("KS", "Kansas"),
    ("KY", "Kentucky"),
    ("LA", "Louisiana"),
    ("ME", "Maine"),
    ("MD", "Maryland"),
    ("MA", "Massachusetts"),
    ("MI", "Michigan"),
    ("MN", "Minnesota"),
    ("MS", "Mississippi"),
    ("MO", "Missouri"),
    ("MT", "Montana"),
    ("NE", "Nebraska"),
    ("NV", "Nevada"),
    ("NH", "New Hampshire"),
    ("NJ", "New Jersey"),
    ("NM", "New Mexico"),
    ("NY", "New York"),
    ("NC", "North Carolina"),
    ("ND", "North Dakota"),
    ("OH", "Ohio"),
    ("OK", "Oklahoma"),
    ("OR", "Oregon"),
    ("PA", "Pennsylvania"),
    ("RI", "Rhode Island"),
    ("SC", "South Carolina"),
    ("SD", "South Dakota"),
    ("TN", "Tennessee"),
    ("TX", "Texas"),
    ("UT", "Utah"),
    ("VT", "Vermont"),
    ("VA", "Virginia"),
    ("WA", "Washington"),
    ("WV", "West Virginia"),
    ("WI", "Wisconsin"),
    ("WY", "Wyoming"),
    ("PR", "Puerto Rico"),
    ("GU", "Guam"),
    ("VI", "U.S. Virgin Islands"),
    ("AS", "American Samoa"),
    ("MP", "Northern Mariana Islands"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    list: Vec<List>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the list, and for a test"))]
    source: String,
    zip3: Vec<String>,
}

fn lists() -> &'static [List] {
    static LISTS: OnceLock<Vec<List>> = OnceLock::new();
    let read =
        || ::toml::from_str::<File>(include_str!("zip3.toml")).expect("a test reads the list");
    LISTS.get_or_init(|| read().list)
}

/// Returns what is released of a ZIP code of the United States; `None` when it is none.
pub(in super::super) fn zip3(zip: &str) -> Option<&str> {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let zip = zip.trim();
    let (head, rest) = zip.split_at_checked(5)?;
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    if !digits(head) || !(rest.is_empty() || rest.len() == 4 && digits(rest)) {
        return None;
    }
    let area = &head[..3];
    let is_small = lists().iter().any(|list| list.zip3.iter().any(|small| small == area));
    Some(if is_small { "000" } else { area })
}

/// Returns the code of a state of the United States, however it is written.
pub(in super::super) fn state(name: &str) -> Option<&'static str> {
    let name = name.trim();
    let is = |(code, long): &&(&str, &str)| {
        name.eq_ignore_ascii_case(code) || name.eq_ignore_ascii_case(long)
    };
    STATES.iter().find(is).map(|row| row.0)
}

/// Returns a country when it is written as its code.
pub(in super::super) fn country(name: &str) -> Option<&str> {
    let name = name.trim();
    (matches!(name.len(), 2 | 3) && name.bytes().all(|b| b.is_ascii_uppercase())).then_some(name)
}

/// Says whether ZIP codes of this country are those of the United States.
pub(in super::super) fn has_zip(country: Option<&str>) -> bool {
    country.is_none_or(|c| matches!(c.trim(), "" | "US" | "USA" | "United States"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_left_where_many_people_live() {
        assert_eq!(zip3("02714"), Some("027"));
        assert_eq!(zip3("02714-1234"), Some("027"));
        assert_eq!(zip3("027141234"), Some("027"));
        assert_eq!(zip3("03601"), Some("000"));
        assert_eq!(zip3("82190"), Some("000"));
        assert_eq!(zip3("20500"), Some("000"));
        for none in ["", "3999", "SW1A 1AA", "0271é", "027141", "02714-12"] {
            assert_eq!(zip3(none), None, "{none}");
        }
    }

    #[test]
    fn every_list_names_its_census() {
        let mut all = Vec::new();
        for list in lists() {
            assert!(list.source.starts_with("U.S. Census Bureau, Census "));
            all.extend(&list.zip3);
        }
        assert!(all.iter().all(|z| z.len() == 3 && z.bytes().all(|b| b.is_ascii_digit())));
        let unique: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!((unique.len(), all.len()), (23, 23));
    }

    #[test]
    fn a_town_is_no_state() {
        assert_eq!(state("massachusetts"), Some("MA"));
        assert_eq!(state(" MA "), Some("MA"));
        assert_eq!(state("Dartmouth"), None);
        assert_eq!(country("US"), Some("US"));
        assert_eq!(country("Springfield"), None);
        assert!(has_zip(None) && !has_zip(Some("DE")));
    }
}
