//! Markdown by its headings.
//!
//! | span | element |
//! |---|---|
//! | front matter between two lines `---` at the beginning | one, in the most confidential section of its keys |
//! | text before the first heading | one, in `notes` |
//! | a heading and the text to the next heading of any level | one, by the words of the heading |
//!
//! A heading that no rule knows belongs to the heading that it stands under; what stands under a
//! sensitive one goes with it. A heading of the first level that no rule knows may be a name: it is
//! `demographics` alone, and `notes` with text. Sensitive words raise an element wherever they are.
//!
//! What is not shown before the first heading may still be there: only who sees every section can
//! add front matter or text in that place.
//!
//! Headings of every level are cut, because a view must be cut as the whole file is, and shows
//! only some of them. A text with a code block that is not closed is not cut: it would swallow
//! what stands behind it in another view.

use std::borrow::Cow;

use super::FormatId;
use super::keys::{of_heading, of_plain_key};
use super::outline::{Block, Line, Outline, Outlined, behind_blanks, lines, text_of};
use super::rules::{Confidential, Hits, Rules};
use super::slots::Slot;
use super::tree::Tree;

pub(super) const MARKDOWN: Outlined = Outlined {
    id: FormatId::Markdown,
    name: "Markdown",
    suffixes: &["md", "markdown"],
    parse,
    deidentify: |_, _| None,
};

fn parse<'a>(bytes: &'a [u8], rules: &Rules) -> Option<Tree<'a>> {
    let (text, begin) = text_of(bytes)?;
    let front = front_matter(text, begin)?;
    let matter_end = front.unwrap_or(begin);
    let body = behind_blanks(text, matter_end);
    if lines(text, body).next().is_some_and(|line| line.text == "---") {
        return None;
    }
    let headings = headings(text, body)?;
    let first = headings.first().map_or(text.len(), |heading| heading.start);
    let block = |name: &'static str, start, end, slot| {
        let identity = Cow::Borrowed(name.as_bytes());
        (start < end).then_some(Block { identity, start, end, slot })
    };
    let matter = text.get(begin..matter_end).unwrap_or_default();
    let lead = text.get(body..first).unwrap_or_default();
    let mut outline = Outline::new(text, begin);
    let matter_slot = of_front_matter(matter, rules);
    outline.field("front", block("front", begin, matter_end, matter_slot), body);
    let lead_slot = Rules::decide(Slot::NOTES, rules.text(lead), Confidential::default());
    outline.field("lead", block("lead", body, first, lead_slot), first);
    outline.list(blocks(text, &headings, rules));
    outline.tree("document")
}

/// Returns where the front matter ends, if there is one; `None` when it is not closed by a whole
/// line.
#[expect(clippy::option_option, reason = "none, one, or one that cannot be read")]
fn front_matter(text: &str, begin: usize) -> Option<Option<usize>> {
    let mut lines = lines(text, begin);
    if lines.next().is_none_or(|line| line.text != "---") {
        return Some(None);
    }
    let close = lines.find(|line| matches!(line.text, "---" | "..."))?;
    text[..close.end].ends_with('\n').then_some(Some(close.end))
}

fn of_front_matter(matter: &str, rules: &Rules) -> Slot {
    let keys = matter.lines().filter(|line| !line.starts_with([' ', '#', '-', '\t']));
    let slots = keys.filter_map(|line| line.split_once(':')).map(|(key, _)| of_plain_key(key));
    let slot = slots.max_by_key(|slot| slot.confidentiality()).unwrap_or(Slot::OTHER);
    Rules::decide(slot, rules.text(matter), Confidential::default())
}

struct Heading<'a> {
    start: usize,
    level: usize,
    title: &'a str,
    /// Where the text below begins.
    below: usize,
}

/// Finds the headings outside code blocks; `None` when a code block is not closed.
fn headings(text: &str, from: usize) -> Option<Vec<Heading<'_>>> {
    let mut found = Vec::new();
    let mut fence = None;
    let mut lines = lines(text, from).peekable();
    while let Some(line) = lines.next() {
        if let Some((mark, len)) = fence {
            if is_closing(line.text, mark, len) {
                fence = None;
            }
            continue;
        }
        fence = opening(line.text);
        if fence.is_some() {
            continue;
        }
        let (start, below) = (line.start, line.end);
        if let Some((level, title)) = atx(line.text) {
            found.push(Heading { start, level, title, below });
        } else if let Some((level, below)) = lines.peek().and_then(|next| setext(&line, next)) {
            found.push(Heading { start, level, title: line.text.trim_ascii(), below });
        }
    }
    fence.is_none().then_some(found)
}

/// Returns a line without the up to three spaces that mean nothing.
fn unindented(line: &str) -> Option<&str> {
    let inner = line.trim_start_matches(' ');
    (line.len() - inner.len() <= 3 && !inner.starts_with('\t')).then_some(inner)
}

fn opening(line: &str) -> Option<(char, usize)> {
    let line = unindented(line)?;
    let mark = line.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let rest = line.trim_start_matches(mark);
    let len = line.len() - rest.len();
    (len >= 3 && !(mark == '`' && rest.contains('`'))).then_some((mark, len))
}

fn is_closing(line: &str, mark: char, len: usize) -> bool {
    unindented(line).is_some_and(|line| line.len() >= len && line.chars().all(|c| c == mark))
}

fn atx(line: &str) -> Option<(usize, &str)> {
    let line = unindented(line)?;
    let title = line.trim_start_matches('#');
    let level = line.len() - title.len();
    let is_heading =
        (1..=6).contains(&level) && (title.is_empty() || title.starts_with([' ', '\t']));
    is_heading.then(|| (level, title.trim_ascii().trim_end_matches('#').trim_ascii_end()))
}

/// Takes a line of text with a line of `=` or `-` below it. What stands before the line is not
/// asked: it may be hidden.
fn setext(line: &Line<'_>, next: &Line<'_>) -> Option<(usize, usize)> {
    let level = rule(next.text)?;
    let plain = unindented(line.text).filter(|text| !text.is_empty())?;
    let is_numbered =
        plain.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(['.', ')']);
    let is_text = !plain.starts_with(['-', '*', '+', '>', '|', '#', '=', '\t']);
    (is_text && !is_numbered).then_some((level, next.end))
}

fn rule(line: &str) -> Option<usize> {
    let line = unindented(line).filter(|line| line.len() >= 2)?;
    let all = |mark: char| line.chars().all(|c| c == mark);
    if all('=') { Some(1) } else { all('-').then_some(2) }
}

/// A heading that others stand under.
struct Above {
    level: usize,
    slot: Slot,
    hits: Hits,
}

fn blocks<'a>(text: &'a str, headings: &[Heading<'a>], rules: &Rules) -> Vec<Block<'a>> {
    let mut above: Vec<Above> = Vec::new();
    let mut blocks = Vec::with_capacity(headings.len());
    for (index, heading) in headings.iter().enumerate() {
        let end = headings.get(index + 1).map_or(text.len(), |next| next.start - 1);
        while above.last().is_some_and(|last| last.level >= heading.level) {
            above.pop();
        }
        let (over, inherited) =
            above.last().map_or((Slot::OTHER, Hits::default()), |last| (last.slot, last.hits));
        let span = text.get(heading.start..end).unwrap_or_default();
        let below = text.get(heading.below..end).unwrap_or_default();
        let mut typed = of_heading(heading.title);
        if typed == Slot::OTHER || over.is_sensitive() {
            typed = strictest(typed, over);
        }
        let own = rules.text(span);
        let may_be_name = heading.level == 1 && typed == Slot::OTHER;
        let passed = if may_be_name { Hits::default() } else { inherited | own };
        above.push(Above { level: heading.level, slot: typed, hits: passed });
        if may_be_name {
            typed = if below.trim_ascii().is_empty() { Slot::DEMOGRAPHICS } else { Slot::NOTES };
        }
        let slot = Rules::decide(typed, inherited | own, Confidential::default());
        let identity = Cow::Borrowed(heading.title.as_bytes());
        blocks.push(Block { identity, start: heading.start, end, slot });
    }
    blocks
}

/// Returns the section of a heading that stands under another one.
fn strictest(own: Slot, over: Slot) -> Slot {
    let sensitive = Slot::SENSITIVE.into_iter().find(|slot| [own, over].contains(slot));
    sensitive.unwrap_or(if own == Slot::OTHER { over } else { own })
}
