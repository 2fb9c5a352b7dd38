//! YAML by its top-level keys.
//!
//! | span | element |
//! |---|---|
//! | a line `---` at the beginning | frame |
//! | a key at the beginning of a line, its value, and the comments before it | one |
//! | comments behind all of them | one, in `notes` |
//!
//! Only what is beyond doubt is cut: one mapping in block style in one document. Anchors, aliases,
//! tags, merge keys, explicit keys, directives, tabs, a flow style at the top, and quotes or
//! brackets that do not end inside the value of their key leave the file whole.

use std::borrow::Cow;
use std::collections::HashSet;

use super::FormatId;
use super::adapter::{Adapter, CUT, Glue};
use super::keys::of_plain_key;
use super::outline::{
    self, Block, END, GLUE, Line, Outline, behind_blanks, comments, has_suffix, lines, text_of,
};
use super::rules::{Confidential, Rules};
use super::section::Measure;
use super::slots::Slot;
use super::tree::Tree;

pub(super) struct Yaml;

impl Adapter for Yaml {
    fn id(&self) -> FormatId {
        FormatId::Yaml
    }

    fn name(&self) -> &'static str {
        "YAML"
    }

    fn glue(&self) -> Glue {
        GLUE
    }

    fn may_be_named(&self, name: &str) -> bool {
        has_suffix(name, &["yaml", "yml"])
    }

    fn same(&self, a: &[u8], b: &[u8]) -> bool {
        outline::same(a, b)
    }

    fn field_parts(&self) -> &'static [Slot] {
        CUT
    }

    fn view_len(&self, visible: &[(Slot, Measure)]) -> Option<u64> {
        Some(outline::view_len(visible))
    }

    fn parse<'a>(&self, bytes: &'a [u8], rules: &Rules) -> Option<Tree<'a>> {
        let (text, begin) = text_of(bytes)?;
        let is_strange = |c: char| c == '\t' || (c.is_control() && !matches!(c, '\n' | '\r'));
        if text.contains(is_strange) || text.contains(['\u{2028}', '\u{2029}']) {
            return None;
        }
        let marked = lines(text, begin).next().filter(|line| line.text == "---");
        let head = behind_blanks(text, marked.map_or(begin, |line| line.end));
        if head > begin && !text[..head].ends_with('\n') {
            return None;
        }
        let (found, end) = keys(text, head)?;
        let stop = end.unwrap_or(text.len());
        // What stays of the head when the comments behind it are hidden must be a head, too.
        let is_cut_off = head > stop && stop > begin && !text[..stop].ends_with('\n');
        if is_cut_off || marked.is_some_and(|line| line.end > stop) {
            return None;
        }
        let mut blocks = Vec::with_capacity(found.len());
        for (index, (start, key)) in found.iter().enumerate() {
            let end = found.get(index + 1).map_or(stop, |next| next.0 - 1);
            let span = text.get(*start..end)?;
            is_whole(span)?;
            let hits = rules.text(span) | rules.words(key);
            let slot = Rules::decide(of_plain_key(key), hits, Confidential::default());
            let identity = Cow::Borrowed(key.as_bytes());
            blocks.push(Block { identity, start: *start, end, slot });
        }
        let mut outline = Outline::new(text, head.min(stop));
        outline.list(blocks);
        outline.field(END, end.map(|start| comments(text, start, rules)), text.len());
        let mut tree = outline.tree("mapping")?;
        let mut seen = HashSet::new();
        tree.repeated = !found.iter().all(|(_, key)| seen.insert(*key));
        Some(tree)
    }
}

/// Where elements begin, and their keys.
type Keys<'a> = Vec<(usize, &'a str)>;

/// Finds the keys, and where comments begin behind them, at the line feed before.
fn keys(text: &str, head: usize) -> Option<(Keys<'_>, Option<usize>)> {
    let (mut found, mut pending) = (Keys::new(), None);
    for line in lines(text, head) {
        if line.is_blank() {
            continue;
        }
        let is_inside =
            line.text.starts_with(' ') || line.text == "-" || line.text.starts_with("- ");
        if line.text.starts_with('#') {
            pending.get_or_insert(line.start);
        } else if is_inside {
            if found.is_empty() {
                return None;
            }
            pending = None;
        } else {
            found.push((pending.take().unwrap_or(line.start), key_of(line.text)?));
        }
    }
    let end = match pending {
        Some(start) => Some(text[..start].ends_with('\n').then(|| start - 1)?),
        None => None,
    };
    Some((found, end))
}

/// Returns the key of a line that begins with one.
fn key_of(line: &str) -> Option<&str> {
    let quote = line.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (key, rest) = match quote {
        Some(mark) => line[1..].split_once(mark)?,
        None => line
            .split_at_checked(line.find(": ").or_else(|| line.strip_suffix(':').map(str::len))?)?,
    };
    let plain =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '.' | '/' | '(' | ')');
    let is_name =
        key.starts_with(|c: char| c.is_alphanumeric() || c == '_') && key.chars().all(plain);
    let has_value = rest == ":" || rest.starts_with(": ");
    (is_name && has_value).then_some(key)
}

/// Checks that an element ends where its lines say it does.
fn is_whole(span: &str) -> Option<()> {
    let mut block: Option<usize> = None;
    let mut open = Open::default();
    for line in lines(span, 0) {
        let Line { text, .. } = line;
        let indent = text.len() - text.trim_start_matches(' ').len();
        if line.is_blank() || block.is_some_and(|above| indent > above) {
            continue;
        }
        block = None;
        if text[indent..].starts_with('#') && !open.is_open() {
            continue;
        }
        if open.is_open() {
            // The rest of a value of several lines stands deeper than its key.
            if indent == 0 {
                return None;
            }
            open.take(&text[indent..])?;
        } else if node(&text[indent..], &mut open)? {
            block = Some(indent);
        }
    }
    (!open.is_open()).then_some(())
}

/// Takes a line that begins a node; says whether a block of text follows.
fn node(line: &str, open: &mut Open) -> Option<bool> {
    let mut rest = line;
    while let Some(inner) = rest.strip_prefix("- ") {
        rest = inner.trim_start_matches(' ');
    }
    if rest == "?" || rest.starts_with("? ") || rest.starts_with("<<") {
        return None;
    }
    // A key before the value, if there is one; quotes are looked at as those of a value.
    if !rest.starts_with(['"', '\'', '[', '{'])
        && let Some((key, value)) = rest.split_once(": ")
        && !key.contains(" #")
    {
        rest = value.trim_start_matches(' ');
    } else if let Some(mark) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        // A quoted key: what follows it is a value of its own.
        if let Some((key, value)) = rest[1..].split_once(mark)
            && let Some(value) = value.strip_prefix(": ")
            && !key.contains('\\')
        {
            rest = value.trim_start_matches(' ');
        }
    }
    match rest.chars().next() {
        Some('&' | '*' | '!' | '%' | '@' | '`') => None,
        Some('|' | '>') => {
            let header = rest[1..].split(" #").next().unwrap_or_default().trim_ascii();
            // A number would say how deep the text stands: it may begin with spaces.
            header.chars().all(|c| matches!(c, '+' | '-')).then_some(true)
        }
        Some('"' | '\'' | '[' | '{') => open.take(rest).map(|()| false),
        _ => Some(false),
    }
}

/// Quotes and brackets that are open.
#[derive(Default)]
struct Open {
    quote: Option<char>,
    depth: usize,
}

impl Open {
    fn is_open(&self) -> bool {
        self.quote.is_some() || self.depth > 0
    }

    /// Takes a line; only a comment may stand behind what it closes.
    fn take(&mut self, line: &str) -> Option<()> {
        let mut chars = line.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match (self.quote, c) {
                (Some('"'), '\\') => drop(chars.next()),
                (Some('\''), '\'') if chars.peek().is_some_and(|next| next.1 == '\'') => {
                    chars.next();
                }
                (Some(mark), _) if mark == c => self.quote = None,
                (Some(_), _) => continue,
                (None, '"' | '\'') => self.quote = Some(c),
                (None, '[' | '{') => self.depth += 1,
                (None, ']' | '}') => self.depth = self.depth.checked_sub(1)?,
                (None, '&' | '*' | '!' | '#' | '|' | '>') => return None,
                (None, _) => {}
            }
            if !self.is_open() {
                let rest = line[at + c.len_utf8()..].trim_ascii();
                return (rest.is_empty() || rest.starts_with('#')).then_some(());
            }
        }
        Some(())
    }
}
