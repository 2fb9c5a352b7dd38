//! The members of FHIR elements that are released, by name: the lists are in `members.toml`.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use serde::Deserialize;

/// What becomes of the value of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Numbers, truth values, and elements by their own members.
    Plain,
    /// The same, and strings with the form of a code.
    Code,
    /// The same as plain, and of strings the year.
    Date,
    /// An instant, or a string that must be there: withheld by name.
    Withheld,
    /// A string that names the resource or element.
    Id,
    /// A string that names another one.
    Reference,
    /// An object identifier of DICOM.
    Uid,
    /// Business identifiers.
    Identifier,
    Address,
    /// A quantity that is an age.
    Age,
    /// A document or image.
    Attachment,
    /// A result in words.
    Word,
    Gender,
    Extension,
    Meta,
    Resource,
}

/// Members of patients and bundles that are withheld, but known by name.
pub(super) const NAMED: [&str; 7] =
    ["name", "telecom", "photo", "contact", "text", "link", "signature"];

/// The lists as they are written: names with white space between them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    code: String,
    date: String,
    plain: String,
    withheld: String,
    identifier: String,
    age: String,
    attachment: String,
    resource_types: String,
}

struct Lists {
    rules: HashMap<String, Rule>,
    types: HashSet<String>,
}

fn lists() -> &'static Lists {
    static LISTS: OnceLock<Lists> = OnceLock::new();
    LISTS.get_or_init(|| {
        let file: File =
            ::toml::from_str(include_str!("members.toml")).expect("a test reads the lists");
        let by_rule = [
            (&file.code, Rule::Code),
            (&file.date, Rule::Date),
            (&file.plain, Rule::Plain),
            (&file.withheld, Rule::Withheld),
            (&file.identifier, Rule::Identifier),
            (&file.age, Rule::Age),
            (&file.attachment, Rule::Attachment),
        ];
        let of = |(names, rule): (&String, Rule)| -> Vec<(String, Rule)> {
            names.split_whitespace().map(|name| (name.to_owned(), rule)).collect()
        };
        let types = file.resource_types.split_whitespace().map(str::to_owned).collect();
        Lists { rules: by_rule.into_iter().flat_map(of).collect(), types }
    })
}

/// Finds the rule of a member.
pub(super) fn rule(name: &str) -> Option<Rule> {
    Some(match name {
        "id" => Rule::Id,
        "reference" | "fullUrl" => Rule::Reference,
        "uid" => Rule::Uid,
        "address" | "locationAddress" => Rule::Address,
        "gender" => Rule::Gender,
        "valueString" => Rule::Word,
        "extension" => Rule::Extension,
        "meta" => Rule::Meta,
        "contained" | "resource" => Rule::Resource,
        _ => return lists().rules.get(name).copied(),
    })
}

/// Returns a resource type when it is one that a record may hold.
pub(super) fn resource_type(name: &str) -> Option<&'static str> {
    lists().types.get(name).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_one_rule_and_what_names_a_person_has_none() {
        let file: File = ::toml::from_str(include_str!("members.toml")).unwrap();
        let File { code, date, plain, withheld, identifier, age, attachment, .. } = file;
        let all = [code, date, plain, withheld, identifier, age, attachment].join(" ");
        assert_eq!(all.split_whitespace().count(), lists().rules.len());
        for name in [
            "family",
            "given",
            "name",
            "line",
            "city",
            "telecom",
            "text",
            "div",
            "display",
            "note",
            "url",
            "data",
            "lotNumber",
            "serialNumber",
            "position",
            "photo",
            "comment",
            "patientInstruction",
        ] {
            assert_eq!(rule(name), None, "{name}");
        }
        assert_eq!(resource_type("Patient"), Some("Patient"));
        assert_eq!(resource_type("Smith"), None);
    }
}
