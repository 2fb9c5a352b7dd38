//! TOML by its keys and tables.
//!
//! | span | element |
//! |---|---|
//! | a key before the first table, dotted or not, with the comments before it | one, with its line end |
//! | a table or an element of an array of tables, with the comments before it | one |
//! | comments behind all of them | one, in `notes` |
//!
//! Keys and tables are kept apart: a key that came to stand behind a hidden table would belong to
//! it. A table below an element of an array goes where that element goes. A view is TOML whichever
//! elements it shows; two elements that define the same are shown one behind the other, until
//! somebody who sees both makes them one.

use std::borrow::Cow;

use toml_parser::Source;
use toml_parser::parser::{Event, EventKind, RecursionGuard, parse_document};

use super::FormatId;
use super::adapter::{Adapter, CUT, Glue};
use super::keys::of_plain_key;
use super::outline::{
    self, Block, END, GLUE, Outline, behind_blanks, comments, has_suffix, text_of,
};
use super::rules::{Confidential, Hits, Rules};
use super::section::Measure;
use super::slots::Slot;
use super::tree::Tree;

/// A longer file is not cut: it is read whole to know that it is valid.
const MAX_BYTES: usize = 32 << 20;
const MAX_DEPTH: u32 = 100;

pub(super) struct Toml;

impl Adapter for Toml {
    fn id(&self) -> FormatId {
        FormatId::Toml
    }

    fn name(&self) -> &'static str {
        "TOML"
    }

    fn glue(&self) -> Glue {
        GLUE
    }

    fn may_be_named(&self, name: &str) -> bool {
        has_suffix(name, &["toml"])
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
        let (text, begin) = text_of(bytes).filter(|(text, _)| text.len() <= MAX_BYTES)?;
        if without_return(text).split("\r\n").any(|part| part.contains('\r')) {
            return None;
        }
        let head = behind_blanks(text, begin);
        if head > begin && !text[..head].ends_with('\n') {
            return None;
        }
        let (found, end) = statements(text, begin)?;
        let unended = end.is_some_and(|at| !text[..at].ends_with('\n'));
        // What stays when the comments behind everything are hidden must be a text, too.
        let needs_end = match found.last() {
            Some(last) => last.kind == Of::Key,
            None => end.is_some_and(|at| at > begin),
        };
        if unended && needs_end {
            return None;
        }
        let mut outline = Outline::new(text, head.min(end.unwrap_or(head)));
        let tables = found.iter().position(|s| s.kind != Of::Key).unwrap_or(found.len());
        let stop = end.unwrap_or(text.len());
        let slots = slots(text, &found, stop, rules)?;
        let block = |index: usize, end: usize| {
            let identity = Cow::Owned(found[index].path.join("\0").into_bytes());
            Block { identity, start: found[index].start, end, slot: slots[index] }
        };
        let next = |index: usize| found.get(index + 1).map(|s| s.start);
        let key_end = |i: usize| next(i).unwrap_or(stop);
        outline.blocks("keys", (0..tables).map(|i| block(i, key_end(i))).collect());
        let table_end = |i: usize| next(i).map_or(stop, |start| start - 1);
        outline.list((tables..found.len()).map(|i| block(i, table_end(i))).collect());
        outline.field(END, end.map(|start| comments(text, start, rules)), text.len());
        let mut tree = outline.tree("table")?;
        // Half a line end would be the last byte of a view without the last table.
        let is_halved = text.contains('\r') && !text.ends_with('\n');
        let whole = ::toml::from_str::<::toml::Table>(without_return(&text[begin..]));
        tree.repeated = is_halved || whole.is_err();
        Some(tree)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Key,
    Table,
    Array,
}

struct Statement<'a> {
    kind: Of,
    start: usize,
    path: Vec<&'a str>,
}

/// Where the walk over a text is.
#[derive(Default)]
struct Walk<'a> {
    text: &'a str,
    found: Vec<Statement<'a>>,
    line: usize,
    depth: usize,
    /// Where comments begin that may belong to what follows.
    pending: Option<usize>,
    /// Whether the line says something already.
    begun: bool,
    /// Whether keys name the last statement.
    naming: bool,
}

/// Returns a text without the half of a line end that its last table keeps when the frame has no
/// line feed.
fn without_return(text: &str) -> &str {
    text.strip_suffix('\r').unwrap_or(text)
}

/// Finds keys and tables, and where comments begin behind them, at the line feed before.
fn statements(text: &str, begin: usize) -> Option<(Vec<Statement<'_>>, Option<usize>)> {
    let tokens: Vec<_> = Source::new(without_return(&text[begin..])).lex().collect();
    let (mut events, mut error) = (Vec::new(), None);
    parse_document(&tokens, &mut RecursionGuard::new(&mut events, MAX_DEPTH), &mut error);
    if error.is_some() {
        return None;
    }
    let mut walk = Walk { text, line: begin, ..Walk::default() };
    for event in &events {
        walk.take(event, begin);
    }
    let end = match walk.pending {
        Some(start) => Some(text[..start].ends_with('\n').then(|| start - 1)?),
        None => None,
    };
    Some((walk.found, end))
}

impl Walk<'_> {
    fn take(&mut self, event: &Event, begin: usize) {
        match event.kind() {
            EventKind::Newline if self.depth == 0 => {
                self.line = event.span().end() + begin;
                self.begun = false;
            }
            EventKind::Comment if self.depth == 0 && !self.begun => {
                self.pending.get_or_insert(self.line);
                self.begun = true;
            }
            EventKind::StdTableOpen => self.begin(Of::Table),
            EventKind::ArrayTableOpen => self.begin(Of::Array),
            EventKind::StdTableClose | EventKind::ArrayTableClose | EventKind::KeyValSep => {
                self.naming = false;
            }
            EventKind::ArrayOpen | EventKind::InlineTableOpen => self.depth += 1,
            EventKind::ArrayClose | EventKind::InlineTableClose => {
                self.depth = self.depth.saturating_sub(1);
            }
            EventKind::SimpleKey if self.depth == 0 => {
                if !self.begun {
                    self.key();
                }
                let span = event.span();
                let name = self.text.get(span.start() + begin..span.end() + begin);
                if let (true, Some(last), Some(name)) = (self.naming, self.found.last_mut(), name) {
                    last.path.push(name.trim_matches(['"', '\'']));
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, kind: Of) {
        let start = self.pending.take().unwrap_or(self.line);
        self.found.push(Statement { kind, start, path: Vec::new() });
        (self.begun, self.naming) = (true, true);
    }

    fn key(&mut self) {
        if self.found.last().is_none_or(|last| last.kind == Of::Key) {
            self.begin(Of::Key);
        } else {
            self.pending = None;
            self.begun = true;
        }
    }
}

/// Returns the sections; `None` when an element is not valid by itself.
fn slots(text: &str, found: &[Statement<'_>], stop: usize, rules: &Rules) -> Option<Vec<Slot>> {
    let mut slots: Vec<Slot> = Vec::with_capacity(found.len());
    let behind = (stop + 1).min(text.len());
    let mut array: Option<usize> = None;
    for (index, statement) in found.iter().enumerate() {
        let end = found.get(index + 1).map_or(behind, |next| next.start);
        let span = text.get(statement.start..end)?;
        let table: ::toml::Table = ::toml::from_str(without_return(span)).ok()?;
        let mut hits = rules.text(span);
        table.iter().for_each(|(key, value)| hits |= rules.words(key) | of_value(value, rules));
        let slot = Rules::decide(of_path(&statement.path), hits, Confidential::default());
        slots.push(slot);
        let above = array.filter(|&at| statement.path.starts_with(&found[at].path));
        let is_below = |at: &usize| statement.path.len() > found[*at].path.len();
        if let Some(at) = above.filter(is_below) {
            let strictest = stricter(slots[at], slot);
            slots[at..].fill(strictest);
        } else {
            array = (statement.kind == Of::Array).then_some(index);
        }
    }
    Some(slots)
}

fn of_value(value: &::toml::Value, rules: &Rules) -> Hits {
    match value {
        ::toml::Value::String(text) => rules.text(text),
        ::toml::Value::Array(all) => {
            all.iter().fold(Hits::default(), |sum, value| sum | of_value(value, rules))
        }
        ::toml::Value::Table(table) => table.iter().fold(Hits::default(), |sum, (key, value)| {
            sum | rules.words(key) | of_value(value, rules)
        }),
        _ => Hits::default(),
    }
}

/// Returns the most confidential section that the keys of a path name.
fn of_path(path: &[&str]) -> Slot {
    let known = path.iter().map(|key| of_plain_key(key)).filter(|&slot| slot != Slot::OTHER);
    known.reduce(stricter).unwrap_or(Slot::OTHER)
}

/// Returns the stricter of two sections, the second of equals.
fn stricter(a: Slot, b: Slot) -> Slot {
    let sensitive = Slot::SENSITIVE.into_iter().find(|slot| [a, b].contains(slot));
    let (a_level, b_level) = (a.confidentiality(), b.confidentiality());
    sensitive.unwrap_or(if a_level > b_level { a } else { b })
}
