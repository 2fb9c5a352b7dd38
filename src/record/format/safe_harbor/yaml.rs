//! YAML as a researcher reads it: of every key that is known the single values on its own line
//! that are released, and below it the same. Anything else leaves no line.

use std::fmt::Write as _;

use super::super::tree::Tree;
use super::plain::{Kind, is_known, kind, stand_in, value};
use super::{Pseudonyms, copied, rewrite};

pub(in super::super) fn of(tree: &Tree<'_>, project: &Pseudonyms) -> Option<Vec<u8>> {
    rewrite(tree, copied, |_, node, out| {
        let text = std::str::from_utf8(tree.span(node)).ok()?;
        let key = std::str::from_utf8(&node.identity).ok()?;
        out.extend_from_slice(element(text, key, project).as_bytes());
        Some(())
    })
}

/// One line with a key.
struct Line<'a> {
    /// How deep the key stands.
    depth: usize,
    /// What stands before the key: spaces and hyphens.
    lead: &'a str,
    key: &'a str,
    value: &'a str,
}

fn line(text: &str) -> Option<Line<'_>> {
    let is_lead = |c: char| c == ' ' || c == '-';
    let body = text.trim_start_matches(is_lead);
    let lead = &text[..text.len() - body.len()];
    // A hyphen that is no list: of a number, or of three at the end of a document.
    if lead.trim_start().contains("--") || lead.ends_with('-') {
        return None;
    }
    let quote = body.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (key, rest) = match quote {
        Some(mark) => body[1..].split_once(mark)?,
        None => body.split_at(body.find(": ").or_else(|| body.strip_suffix(':').map(str::len))?),
    };
    let value = rest.strip_prefix(':')?;
    let is_value = value.is_empty() || value.starts_with(' ');
    is_value.then_some(Line { depth: lead.len(), lead, key, value: value.trim() })
}

fn element(text: &str, key: &str, project: &Pseudonyms) -> String {
    let mut lines = text.lines().filter(|l| !l.trim().is_empty() && !l.trim().starts_with('#'));
    let Some(first) = lines.next().and_then(line) else {
        let feed = if text.starts_with('\n') { "\n" } else { "" };
        return format!("{feed}# withheld");
    };
    let name = if is_known(key) { key.to_owned() } else { stand_in(key, project) };
    let of = kind(key);
    let name = if name.contains([' ', '.', '/', '(', ')']) { format!("\"{name}\"") } else { name };
    if !first.value.is_empty() || of.is_none() {
        let released = of.and_then(|of| single(of, first.value, project));
        return format!("{name}: {}", released.unwrap_or_else(|| "null".to_owned()));
    }
    let mut clean = format!("{name}:");
    // What stands deeper than this is not released.
    let mut above: Option<usize> = None;
    for text in lines {
        let depth = text.len() - text.trim_start_matches(' ').len();
        // The items of a list may stand as deep as its key.
        let is_item = text[depth..].starts_with('-');
        if above.is_some_and(|above| depth > above || depth == above && is_item) {
            continue;
        }
        above = None;
        let Some(found) = line(text) else {
            above = Some(depth);
            continue;
        };
        let of = kind(found.key).filter(|_| is_simple(found.key));
        let released = of.and_then(|of| single(of, found.value, project));
        let is_group = found.value.is_empty() && of.is_some();
        if is_group || released.is_some() {
            let value = released.map(|value| format!(" {value}")).unwrap_or_default();
            let _ = write!(clean, "\n{}{}:{value}", found.lead, found.key);
        } else if found.lead.contains('-') {
            // The item stays, and with it what follows the key.
            let _ = write!(clean, "\n{}", found.lead.trim_end());
        }
        if !is_group {
            above = Some(found.depth);
        }
    }
    clean
}

fn is_simple(key: &str) -> bool {
    key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Returns what is released of a value on one line.
fn single(of: Kind, text: &str, project: &Pseudonyms) -> Option<String> {
    let text = text.split(" #").next().unwrap_or_default().trim();
    let bare = [b'"', b'\''].into_iter().find_map(|mark| {
        let mark = char::from(mark);
        text.strip_prefix(mark)?.strip_suffix(mark)
    });
    if matches!(text, "true" | "false" | "null") {
        return Some(text.to_owned());
    }
    let inner = bare.unwrap_or(text);
    let released = value(of, inner, project)?;
    let is_number = bare.is_none() && released == inner && inner.parse::<f64>().is_ok();
    let is_plain = released.chars().all(|c| !c.is_control() && c != '"' && c != '\\');
    is_plain.then(|| if is_number { released.into_owned() } else { format!("\"{released}\"") })
}
