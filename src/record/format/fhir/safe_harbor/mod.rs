//! A FHIR text as a researcher reads it. Members are released by their name (`members`); a member
//! that the tables do not know is left out, and where it must stay because the file is cut there,
//! it is the extension that says that a value is withheld.

mod elements;
mod members;
mod quantities;

use std::borrow::Cow;

use super::super::json::{Cursor, Value, print_member};
use super::super::safe_harbor::{Pseudonyms, rewrite, tight};
use super::super::section::{DOCUMENT, LIST, ROOT};
use super::super::tree::{Kind, Tree};
use super::BUNDLE;

use elements::Clean;
use members::{Rule, rule};

const LINES: Kind = Kind::Shell("lines");

/// What a node of the tree is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Resource,
    Entry,
    BundleMember,
    EntryMember,
    PatientMember,
}

/// Writes a bundle, resource or bulk file anew.
pub(super) fn of(tree: &Tree<'_>, project: &Pseudonyms) -> Option<Vec<u8>> {
    let kinds = kinds(tree);
    let clean = Clean { project };
    let is_lines = tree.kind == LINES;
    rewrite(
        tree,
        |text, out| tight(is_lines, text, out),
        |index, node, out| {
            let text = std::str::from_utf8(tree.span(node)).ok()?;
            let mut cursor = Cursor::new(text.strip_prefix('\u{feff}').unwrap_or(text), 0);
            match kinds[index] {
                Of::Resource => clean.resource(read(text, &mut cursor)?)?.print(out),
                Of::Entry => clean.entry(read(text, &mut cursor)?).print(out),
                of => member(&clean, of, text, out)?,
            }
            Some(())
        },
    )
}

fn read<'a>(text: &'a str, cursor: &mut Cursor<'a>) -> Option<Value<'a>> {
    Value::read(text.strip_prefix('\u{feff}').unwrap_or(text), cursor)
}

/// Says of every node what it is: that hangs on the shell that it stands in.
fn kinds(tree: &Tree<'_>) -> Vec<Of> {
    let is_bundle = tree.kind == BUNDLE;
    let is_lines = tree.kind == LINES;
    let mut inside = std::collections::HashMap::new();
    let mut kinds = Vec::with_capacity(tree.nodes.len());
    for node in &tree.nodes {
        let of = match node.container {
            DOCUMENT => Of::Resource,
            ROOT if is_bundle => Of::BundleMember,
            ROOT => Of::PatientMember,
            LIST if is_lines => Of::Resource,
            LIST => Of::Entry,
            container => inside.get(&container).copied().unwrap_or(Of::PatientMember),
        };
        if let Some(gap) = node.gap() {
            let held = if of == Of::Entry { Of::EntryMember } else { Of::PatientMember };
            inside.insert(gap.container, held);
        }
        kinds.push(of);
    }
    kinds
}

/// Writes a member that the file is cut at: it must stay one.
fn member(clean: &Clean<'_>, of: Of, text: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut cursor = Cursor::new(text, 0);
    cursor.token();
    let key = cursor.string()?;
    cursor.token();
    // The colon between them.
    let mut cursor = Cursor::new(text, cursor.at() + 1);
    let value = Value::read(text, &mut cursor)?;
    let resource = if of == Of::PatientMember { "Patient" } else { "Bundle" };
    let is_array = matches!(value, Value::List(_));
    let is_complex = is_array || matches!(value, Value::Object(_));
    let own = match (of, key.as_ref()) {
        (Of::PatientMember, "text") => Some(elements::narrative()),
        (Of::PatientMember, "meta") => clean.meta(value).or_else(|| Some(elements::label())),
        (Of::PatientMember, "contained") => clean.list(value, |v| clean.resource(v)),
        (Of::PatientMember, "extension") => clean.extensions(value),
        (Of::BundleMember, "link" | "signature" | "modifierExtension")
        | (Of::PatientMember, "modifierExtension") => None,
        (_, known) => clean.member(resource, known, value),
    };
    let (key, value) = match own {
        Some(value) => (key, value),
        None if matches!(key.as_ref(), "extension" | "modifierExtension") => {
            (key, Value::List(vec![elements::absent()]))
        }
        None if key == "contained" => (key, Value::List(vec![elements::basic()])),
        None if key.starts_with('_') && is_known(&key[1..]) => (key, elements::masked()),
        None if is_known(&key) && is_array => (key, Value::List(vec![elements::masked()])),
        None if is_known(&key) && is_complex => (key, elements::masked()),
        None if rule(&key) == Some(Rule::Withheld) => {
            (Cow::Owned(format!("_{key}")), elements::masked())
        }
        // No name of the standard, or no value of its type: the name may tell something too.
        None => {
            let name = clean.project.pseudonym("member", &key);
            (Cow::Owned(format!("_{}", &name[..8])), elements::masked())
        }
    };
    print_member(&key, &value, out);
    Some(())
}

/// Says whether a member of a patient, bundle or entry has this name.
fn is_known(key: &str) -> bool {
    members::NAMED.contains(&key) || rule(key).is_some()
}
