//! What is wrong with a policy before it is signed: it names somebody who does not exist, nobody
//! can satisfy it, or one institution alone opens what should need two.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Patient, Source};
use crate::key::attribute::{Attribute, AttributeName, AuthorityId};
use crate::key::policy::Policy;
use crate::realm::authority::AuthorityKind;
use crate::realm::policy::{FRAME, NAMES, PROJECT, PSEUDONYMS};
use crate::record::format::Slot;

/// The authorities of a realm.
pub(super) type Authorities = BTreeMap<AuthorityId, Known>;

/// What the realm says about an authority.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) kind: AuthorityKind,
    /// The attributes that it has announced.
    pub(super) attributes: BTreeSet<AttributeName>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// The policy cannot be set.
    Error,
    /// The policy may be meant so.
    Warning,
}

/// Something about a policy that its author should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// Which formula, as in `section labs read`.
    pub(super) place: String,
    pub(super) text: String,
    #[serde(rename = "try")]
    pub(super) hint: Option<String>,
}

/// One formula of a policy.
struct Right<'a> {
    place: String,
    policy: &'a Policy,
    /// Whether the policy is of no use when nobody satisfies it.
    is_vital: bool,
}

/// Looks for everything that is wrong; without `authorities` only what the text alone shows.
pub(super) fn findings(source: &Source, authorities: Option<&Authorities>) -> Vec<Finding> {
    let mut found = section_names(source);
    let rights = rights_of(source);
    let mut told = BTreeSet::new();
    for right in &rights {
        if let Some(authorities) = authorities {
            found.extend(strangers(right, &source.patient, authorities));
            found.extend(unissued(right, authorities, &mut told));
        }
        found.extend(satisfiable(right, &source.patient, authorities));
    }
    found.extend(lone_authorities(source, authorities));
    found.extend(releases(source));
    found.sort_by_key(|f| f.level);
    found
}

fn rights_of(source: &Source) -> Vec<Right<'_>> {
    let b = &source.bound;
    let right = |place: String, policy, is_vital| Right { place, policy, is_vital };
    let mut rights = vec![
        right("folder list".to_owned(), &b.list, true),
        right("folder add".to_owned(), &b.add, false),
        right("folder remove".to_owned(), &b.remove, false),
        right("folder manage".to_owned(), &b.manage, false),
    ];
    // No section is called so: what is not named has the rights of the default.
    let default = ("default", b.rights("default"));
    for (name, r) in std::iter::once(default).chain(b.named_sections()) {
        rights.push(right(format!("section {name} read"), &r.read, true));
        rights.push(right(format!("section {name} write"), &r.write, false));
    }
    rights.extend(b.released().map(|r| right("research read".to_owned(), &r.read, true)));
    rights.extend(b.emergency().map(|e| right("emergency read".to_owned(), &e.read, true)));
    rights
}

fn section_names(source: &Source) -> Vec<Finding> {
    let derived = [FRAME, NAMES, PSEUDONYMS, PROJECT];
    let finding = |name: &str| {
        let (text, hint) = if derived.contains(&name) {
            ("its rights follow from the others and cannot be set".to_owned(), None)
        } else if Slot::from_name(name).is_some() {
            return None;
        } else {
            let near = Slot::ALL.iter().map(|s| s.name()).find(|s| is_near(s, name));
            ("there is no such section".to_owned(), near.map(|s| format!("did you mean {s}")))
        };
        Some(Finding { level: Level::Error, place: format!("section {name}"), text, hint })
    };
    let released = source.document.research.iter().flat_map(|r| &r.sections).map(String::as_str);
    let named = source.bound.named_sections().map(|(name, _)| name);
    let all: BTreeSet<&str> = named.chain(released).collect();
    all.into_iter().filter_map(finding).collect()
}

/// What a release cannot do as it is written: files that nothing can be taken out of, and readers
/// who see the real names anyway, and so never the twins.
fn releases(source: &Source) -> Vec<Finding> {
    let Some(release) = source.bound.released() else { return Vec::new() };
    let warning = |place: &str, text: &str, hint: &str| Finding {
        level: Level::Warning,
        place: place.to_owned(),
        text: text.to_owned(),
        hint: Some(hint.to_owned()),
    };
    let mut found = Vec::new();
    if release.has(Slot::DOCUMENTS.name()) {
        let text = "nothing is released of documents: they cannot be de-identified";
        found.push(warning("research sections", text, "leave them out"));
    }
    let lists = |clause: &crate::key::policy::Clause| {
        source.bound.list.satisfied_by(&|a: &Attribute| clause.attributes().contains(a))
    };
    if release.read.clauses().iter().any(lists) {
        let text = "some who read the twins see the real names too: they are shown no twins";
        found.push(warning("research read", text, "give them an attribute that lists nothing"));
    }
    found
}

/// Says whether a name is probably a slip for a section: a part of it, or one letter off.
fn is_near(section: &str, name: &str) -> bool {
    let different = section.bytes().zip(name.bytes()).filter(|(a, b)| a != b).count();
    let contains = name.len() >= 3 && (section.contains(name) || name.contains(section));
    contains || (section.len().abs_diff(name.len()) <= 1 && different <= 1)
}

fn strangers(right: &Right<'_>, patient: &Patient, known: &Authorities) -> Vec<Finding> {
    let mut told = BTreeSet::new();
    let unknown = right.policy.attributes().filter(|a| {
        !patient.is(&a.authority) && !known.contains_key(&a.authority) && told.insert(&a.authority)
    });
    let finding = |a: &Attribute| Finding {
        level: Level::Error,
        place: right.place.clone(),
        text: format!("it names {a}, but the realm has no authority {}", a.authority),
        hint: Some("chartfs authority list".to_owned()),
    };
    unknown.map(finding).collect()
}

/// Finds attributes of known authorities that nobody has, each once.
fn unissued<'a>(
    right: &Right<'a>,
    known: &Authorities,
    told: &mut BTreeSet<&'a Attribute>,
) -> Vec<Finding> {
    let is_issued = |a: &Attribute| {
        known.get(&a.authority).is_none_or(|known| known.attributes.contains(&a.name))
    };
    let finding = |a: &Attribute| Finding {
        level: Level::Warning,
        place: right.place.clone(),
        text: format!("{a} was issued to nobody yet"),
        hint: None,
    };
    right.policy.attributes().filter(|a| !is_issued(a) && told.insert(a)).map(finding).collect()
}

fn satisfiable(
    right: &Right<'_>,
    patient: &Patient,
    known: Option<&Authorities>,
) -> Option<Finding> {
    let exists =
        |id: &AuthorityId| patient.is(id) || known.is_none_or(|known| known.contains_key(id));
    let someone = right
        .policy
        .clauses()
        .iter()
        .any(|clause| clause.attributes().iter().all(|a| exists(&a.authority)));
    (!someone).then(|| Finding {
        level: if right.is_vital { Level::Error } else { Level::Warning },
        place: right.place.clone(),
        text: "nobody can satisfy it".to_owned(),
        hint: right.is_vital.then(|| "name at least one authority that exists".to_owned()),
    })
}

/// An authority can issue its own attributes to itself: what is set apart by law should need two
/// authorities, or the patient.
fn lone_authorities(source: &Source, known: Option<&Authorities>) -> Vec<Finding> {
    let is_patient = |id: &AuthorityId| {
        let kind = known.and_then(|known| known.get(id)).map(|known| known.kind);
        source.patient.is(id) || kind == Some(AuthorityKind::Patient)
    };
    let named: BTreeSet<&str> = source.bound.named_sections().map(|(name, _)| name).collect();
    let mut alone: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for slot in Slot::SENSITIVE {
        let place = if named.contains(slot.name()) { slot.name() } else { "default" };
        for clause in source.bound.rights(slot.name()).read.clauses() {
            let authorities: BTreeSet<&AuthorityId> =
                clause.attributes().iter().map(|a| &a.authority).collect();
            let Some(id) = authorities.first().filter(|_| authorities.len() == 1) else { continue };
            if !is_patient(id) {
                let sections = alone.entry((place, id.to_string())).or_default();
                if !sections.contains(&slot.name()) {
                    sections.push(slot.name());
                }
            }
        }
    }
    let finding = |((place, id), sections): ((&str, String), Vec<&str>)| Finding {
        level: Level::Warning,
        place: format!("section {place} read"),
        text: format!("{id} alone can open {}", sections.join(", ")),
        hint: Some("ask for an attribute of a second authority, or of the patient".to_owned()),
    };
    alone.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(sections: &str) -> Source {
        let text = format!(
            "[folder]\nlist = \"staff@a or owner@{{patient}}\"\nadd = \"staff@a\"\n\
             remove = \"nobody\"\nmanage = \"owner@{{patient}}\"\n\
             [default]\nread = \"owner@{{patient}} or (staff@a and staff@b)\"\n\
             write = \"staff@a\"\n{sections}"
        );
        Source::of_text(&text, Patient::new(None).unwrap()).unwrap()
    }

    fn known() -> Authorities {
        ["a", "b"]
            .map(|id| {
                let attributes = BTreeSet::from(["staff".parse().unwrap()]);
                (id.parse().unwrap(), Known { kind: AuthorityKind::Hospital, attributes })
            })
            .into_iter()
            .collect()
    }

    fn errors(sections: &str) -> Vec<String> {
        findings(&source(sections), Some(&known()))
            .into_iter()
            .filter(|f| f.level == Level::Error)
            .map(|f| format!("{}: {}", f.place, f.text))
            .collect()
    }

    #[test]
    fn a_sound_policy_has_no_error_and_no_warning_but_the_deliberate_nobody() {
        let found = findings(&source(""), Some(&known()));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].level, found[0].place.as_str()), (Level::Warning, "folder remove"));
    }

    #[test]
    fn strangers_and_what_nobody_can_open_are_errors() {
        let stranger = errors("[section.labs]\nread = \"staff@x or staff@a\"\nwrite = \"staff@a\"");
        assert_eq!(
            stranger,
            ["section labs read: it names staff@x, but the realm has no authority x"]
        );
        let dead = errors("[section.labs]\nread = \"staff@x\"\nwrite = \"staff@a\"");
        assert!(dead.contains(&"section labs read: nobody can satisfy it".to_owned()), "{dead:?}");
        let nobody = errors("[section.labs]\nread = \"nobody\"\nwrite = \"staff@a\"");
        assert_eq!(nobody, ["section labs read: nobody can satisfy it"]);
    }

    #[test]
    fn a_slip_in_a_section_is_an_error_because_the_default_would_rule_it() {
        let rights = "read = \"staff@a\"\nwrite = \"staff@a\"";
        let found = findings(&source(&format!("[section.medication]\n{rights}")), None);
        assert_eq!(found[0].level, Level::Error);
        assert_eq!(found[0].hint.as_deref(), Some("did you mean medications"));
        assert!(!errors(&format!("[section.frame]\n{rights}")).is_empty());
    }

    #[test]
    fn what_is_released_is_checked_like_the_rest() {
        let release = |sections: &str, read: &str| {
            format!("[research]\nproject = \"p\"\nsections = [{sections}]\nread = \"{read}\"\n")
        };
        assert!(errors(&release("\"labs\"", "reader@b")).is_empty());
        let slip = errors(&release("\"lab\"", "reader@b"));
        assert_eq!(slip, ["section lab: there is no such section"]);
        let stranger = errors(&release("\"labs\"", "reader@x"));
        assert!(stranger.contains(&"research read: nobody can satisfy it".to_owned()));
        let text = release("\"documents\"", "staff@a");
        let found = findings(&source(&text), Some(&known()));
        let places: Vec<_> = found.iter().map(|f| f.place.as_str()).collect();
        assert!(places.contains(&"research sections") && places.contains(&"research read"));
        assert!(!errors("[emergency]\nread = \"rescue@x\"\n").is_empty());
        assert!(errors("[emergency]\nread = \"rescue@b\"\n").is_empty());
    }

    #[test]
    fn one_authority_alone_on_a_sensitive_section_is_a_warning() {
        let text = "[section.hiv]\nread = \"staff@a or owner@{patient}\"\nwrite = \"staff@a\"";
        let found = findings(&source(text), Some(&known()));
        let f = found.iter().find(|f| f.place == "section hiv read").unwrap();
        assert_eq!((f.level, f.text.as_str()), (Level::Warning, "a alone can open hiv"));
        let both = "[section.hiv]\nread = \"staff@a and staff@b\"\nwrite = \"staff@a\"";
        assert!(findings(&source(both), Some(&known())).iter().all(|f| !f.text.contains("alone")));
    }

    #[test]
    fn an_attribute_that_nobody_has_is_a_warning() {
        let text = "[section.labs]\nread = \"stuff@a or staff@b\"\nwrite = \"staff@a\"";
        let found = findings(&source(text), Some(&known()));
        assert!(found.iter().any(|f| f.text == "stuff@a was issued to nobody yet"));
        assert!(found.iter().all(|f| f.level == Level::Warning));
    }
}
