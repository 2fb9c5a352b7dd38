//! TOML as a researcher reads it: every key or table is read by itself and printed anew.

use std::fmt::Write as _;

use ::toml::{Table, Value};

use super::super::section::LIST;
use super::super::tree::Tree;
use super::plain::{Kind, is_known, kind, stand_in, value};
use super::{Pseudonyms, copied, rewrite};

pub(in super::super) fn of(tree: &Tree<'_>, project: &Pseudonyms) -> Option<Vec<u8>> {
    rewrite(tree, copied, |_, node, out| {
        let text = std::str::from_utf8(tree.span(node)).ok()?;
        let path = std::str::from_utf8(&node.identity).ok()?;
        let clean = element(text, path, project)?;
        out.extend_from_slice(clean.as_bytes());
        // A table ends before a line feed, a key and comments with what they began with.
        if node.container != LIST && !clean.ends_with("withheld") {
            out.push(b'\n');
        }
        Some(())
    })
}

fn element(text: &str, path: &str, project: &Pseudonyms) -> Option<String> {
    let mut lines = text.lines().map(str::trim_ascii);
    let Some(first) = lines.find(|line| !line.is_empty() && !line.starts_with('#')) else {
        // Comments behind everything, with the line feed before them.
        let feed = if text.starts_with('\n') { "\n" } else { "" };
        return Some(format!("{feed}# withheld"));
    };
    let table: Table = ::toml::from_str(text.strip_suffix('\r').unwrap_or(text)).ok()?;
    let keys: Vec<&str> = path.split('\0').collect();
    let names: Vec<String> = keys.iter().map(|key| name(key, project)).collect();
    let name = names.join(".");
    let found = reach(Value::Table(table), &keys);
    let last = keys.last().and_then(|key| kind(key));
    if !first.starts_with('[') {
        let released = last.zip(found).and_then(|(kind, found)| of_value(kind, found, project));
        let released = released.unwrap_or_else(|| Value::String(String::new()));
        return Some(format!("{name} = {}", inline(&released)));
    }
    let mut clean =
        if first.starts_with("[[") { format!("[[{name}]]") } else { format!("[{name}]") };
    let members = last.and(found).and_then(|found| match found {
        Value::Table(table) => Some(table),
        _ => None,
    });
    for (key, found) in members.unwrap_or_default() {
        if let Some(released) = kind(&key).and_then(|kind| of_value(kind, found, project)) {
            let _ = write!(clean, "\n{} = {}", self::name(&key, project), inline(&released));
        }
    }
    Some(clean)
}

/// Returns a key as it may be written, or what stands for it.
fn name(key: &str, project: &Pseudonyms) -> String {
    let is_bare = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_bare && is_known(key) { key.to_owned() } else { stand_in(key, project) }
}

/// Returns what stands at a path; of an array of tables the only one.
fn reach(mut value: Value, path: &[&str]) -> Option<Value> {
    for key in path {
        let Value::Table(mut table) = value else { return None };
        value = table.remove(*key)?;
        if let Value::Array(mut tables) = value {
            value = if tables.len() == 1 && tables[0].is_table() {
                tables.remove(0)
            } else {
                Value::Array(tables)
            };
        }
    }
    Some(value)
}

fn of_value(of: Kind, found: Value, project: &Pseudonyms) -> Option<Value> {
    let own = |text: &str| value(of, text, project).map(std::borrow::Cow::into_owned);
    Some(match found {
        Value::Boolean(flag) => Value::Boolean(flag),
        Value::Integer(number) => {
            let text = own(&number.to_string())?;
            text.parse().map_or(Value::String(text), Value::Integer)
        }
        Value::Float(number) => {
            let text = own(&number.to_string())?;
            text.parse().map_or(Value::String(text), Value::Float)
        }
        Value::String(text) => Value::String(own(&text)?),
        Value::Datetime(date) => Value::String(own(&date.to_string())?),
        Value::Array(list) => {
            Value::Array(list.into_iter().filter_map(|v| of_value(of, v, project)).collect())
        }
        Value::Table(table) => Value::Table(
            table
                .into_iter()
                .filter_map(|(key, found)| Some((of_value(kind(&key)?, found, project)?, key)))
                .map(|(value, key)| (key, value))
                .collect(),
        ),
    })
}

/// Prints a value on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let members: Vec<String> =
                table.iter().map(|(key, v)| format!("{} = {}", quoted(key), inline(v))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(list) => {
            format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// Writes a string; what is released of strings has no control characters.
fn quoted(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("\"{}\"", plain.replace('\\', "\\\\").replace('"', "\\\""))
}
