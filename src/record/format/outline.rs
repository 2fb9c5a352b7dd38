//! Texts of lines that are cut into blocks: what stands in one place at the beginning or the end,
//! and a list of blocks with line feeds between them.
//!
//! | span | where it is kept |
//! |---|---|
//! | byte order mark, blank lines before the first block | frame |
//! | a part in a fixed place: front matter, text before the first heading, root keys | container of its own, blocks with their line ends |
//! | the list | blocks without their last line feed; it stands between them |
//! | the last line feed of the text | frame |
//!
//! The line feed of the last block is the frame's, so that a block without one may come to stand
//! before another that was hidden when it was written. The list and every part are always there,
//! without a byte when they show nothing: a text is cut the same whichever blocks it shows.

use std::borrow::Cow;

use super::adapter::{Adapter, CUT, Glue};
use super::rules::{Confidential, Rules};
use super::safe_harbor::Pseudonyms;
use super::section::{DOCUMENT, HoleKind, INNER, LIST, Measure, ROOT};
use super::slots::Slot;
use super::tree::{Claim, Form, Gap, Kind, Tree};
use super::{FormatId, MAX_SPLIT_BYTES};

/// A format whose texts are blocks: what is its own.
pub(super) struct Outlined {
    pub(super) id: FormatId,
    pub(super) name: &'static str,
    /// The endings of its files' names.
    pub(super) suffixes: &'static [&'static str],
    pub(super) parse: for<'a> fn(&'a [u8], &Rules) -> Option<Tree<'a>>,
    /// Makes the text that a researcher reads, where there is one.
    pub(super) deidentify: fn(&Tree<'_>, &Pseudonyms) -> Option<Vec<u8>>,
}

impl Adapter for Outlined {
    fn id(&self) -> FormatId {
        self.id
    }

    fn name(&self) -> &'static str {
        self.name
    }

    /// Line feeds stand between the blocks of the list.
    fn glue(&self) -> Glue {
        Glue { list: true, inner: false }
    }

    fn may_be_named(&self, name: &str) -> bool {
        has_suffix(name, self.suffixes)
    }

    /// Blocks are the same when they differ in blank lines around them only.
    fn same(&self, a: &[u8], b: &[u8]) -> bool {
        a.trim_ascii_end() == b.trim_ascii_end()
    }

    /// The words of a block decide its section.
    fn field_parts(&self) -> &'static [Slot] {
        CUT
    }

    /// What is visible, and the line feeds of the list.
    fn view_len(&self, visible: &[(Slot, Measure)]) -> Option<u64> {
        let sum = |(text, count), (_, m): &(Slot, Measure)| {
            (m.text_len.saturating_add(text), u64::from(m.list_count) + count)
        };
        let (text, count): (u64, u64) = visible.iter().fold((0, 0), sum);
        Some(text.saturating_add(count.saturating_sub(1)))
    }

    fn deidentify(&self, text: &[u8], project: &Pseudonyms) -> Option<Vec<u8>> {
        (self.deidentify)(&self.parse(text, &Rules::builtin())?, project)
    }

    fn parse<'a>(&self, bytes: &'a [u8], rules: &Rules) -> Option<Tree<'a>> {
        (self.parse)(bytes, rules)
    }
}

/// One element.
pub(super) struct Block<'a> {
    pub(super) identity: Cow<'a, [u8]>,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) slot: Slot,
}

/// What stands in one place.
pub(super) struct Part<'a> {
    name: &'static str,
    container: u32,
    kind: HoleKind,
    blocks: Vec<Block<'a>>,
    /// Where it ends, with blank lines behind its block that are the frame's.
    end: usize,
}

/// A text on its way to a tree: parts follow each other without gaps.
pub(super) struct Outline<'a> {
    text: &'a str,
    head: usize,
    parts: Vec<Part<'a>>,
}

impl<'a> Outline<'a> {
    /// Begins with the text whose head, of so many bytes, is the frame's.
    pub(super) fn new(text: &'a str, head: usize) -> Self {
        Self { text, head, parts: Vec::new() }
    }

    /// Adds a part of at most one block, and the blank lines behind it to an offset.
    pub(super) fn field(&mut self, name: &'static str, block: Option<Block<'a>>, end: usize) {
        self.part(name, HoleKind::Field, block.into_iter().collect());
        if let Some(part) = self.parts.last_mut() {
            part.end = end;
        }
    }

    /// Adds a part of any number of blocks, each with its line end.
    pub(super) fn blocks(&mut self, name: &'static str, blocks: Vec<Block<'a>>) {
        self.part(name, HoleKind::Kept, blocks);
    }

    /// Adds the list; every block but the last ends before a line feed.
    pub(super) fn list(&mut self, blocks: Vec<Block<'a>>) {
        self.part(LIST_NAME, HoleKind::Kept, blocks);
    }

    fn part(&mut self, name: &'static str, kind: HoleKind, blocks: Vec<Block<'a>>) {
        let before = self.parts.iter().filter(|part| part.container != LIST).count();
        let own = INNER + u32::try_from(before).expect("a format has a handful of parts");
        let container = if name == LIST_NAME { LIST } else { own };
        let begin = self.parts.last().map_or(self.head, |part| part.end);
        let end = blocks.last().map_or(begin, |block| block.end);
        self.parts.push(Part { name, container, kind, blocks, end });
    }

    /// Gives the last line feed to the frame and returns where that begins; `None` when the text
    /// ends without the line feed that a part needs.
    fn take_tail(&mut self) -> Option<usize> {
        let len = self.text.len();
        let begins = [self.head].into_iter().chain(self.parts.iter().map(|part| part.end));
        let begins: Vec<usize> = begins.collect();
        let mut filled = self.parts.iter_mut().zip(begins).rev();
        let Some((part, begin)) = filled.find(|(part, begin)| part.end > *begin) else {
            return Some(len);
        };
        let last = part.blocks.last_mut().filter(|block| block.end == part.end);
        let ends_itself = part.container != LIST && part.name != END;
        if ends_itself && !self.text.ends_with('\n') {
            return None;
        }
        let kept = if ends_itself && last.is_some() { "\n\n" } else { "\n" };
        let begin = last.as_ref().map_or(begin, |block| block.start);
        part.end = if self.text[begin..].ends_with(kept) { len - 1 } else { len };
        if let Some(block) = last {
            block.end = part.end;
        }
        let tail = part.end;
        self.parts.iter_mut().for_each(|part| part.end = part.end.min(tail));
        Some(tail)
    }

    /// Makes the tree; `None` when the text ends without the line feed that a part needs.
    pub(super) fn tree(mut self, kind: &'static str) -> Option<Tree<'a>> {
        let tail = self.take_tail()?;
        let mut tree = Tree::new(Kind::Shell(kind), self.text.as_bytes());
        let gap = (self.head, tail);
        shell(&mut tree, DOCUMENT, "", (0, self.text.len()), gap, (ROOT, HoleKind::Kept, 0));
        let mut at = self.head;
        for part in self.parts {
            let end = part.blocks.last().map_or(at, |block| block.end);
            let separator = if part.container == LIST { b'\n' } else { 0 };
            let hole = (part.container, part.kind, separator);
            shell(&mut tree, ROOT, part.name, (at, part.end), (at, end), hole);
            for block in part.blocks {
                let claim = Claim::Fixed(block.slot);
                let index = tree.push(part.container, block.identity, block.start, claim);
                tree.nodes[index].end = block.end;
            }
            at = part.end;
        }
        Some(tree)
    }
}

const LIST_NAME: &str = "list";

/// The part behind the list: its block begins with the line feed that ends the list.
pub(super) const END: &str = "end";

fn shell(
    tree: &mut Tree<'_>,
    container: u32,
    name: &'static str,
    span: (usize, usize),
    gap: (usize, usize),
    (fills, kind, separator): (u32, HoleKind, u8),
) {
    let identity = Cow::Borrowed(name.as_bytes());
    let index = tree.push(container, identity, span.0, Claim::Fixed(Slot::FRAME));
    let node = &mut tree.nodes[index];
    node.end = span.1;
    let (start, end, stub) = (gap.0, gap.1, Vec::new());
    node.form = Form::Shell(Gap { start, end, container: fills, kind, separator, stub });
}

/// One line of a text.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) start: usize,
    /// Without the line end and white space before it.
    pub(super) text: &'a str,
    /// Behind the line end.
    pub(super) end: usize,
}

impl Line<'_> {
    pub(super) fn is_blank(&self) -> bool {
        self.text.trim_ascii().is_empty()
    }
}

/// Returns the lines of a text from an offset.
pub(super) fn lines(text: &str, from: usize) -> impl Iterator<Item = Line<'_>> {
    text[from..].split_inclusive('\n').scan(from, |at, line| {
        let start = *at;
        *at += line.len();
        Some(Line { start, text: line.trim_ascii_end(), end: *at })
    })
}

/// Returns a text that is short enough to be cut, and where it begins behind a byte order mark.
pub(super) fn text_of(bytes: &[u8]) -> Option<(&str, usize)> {
    if bytes.len() > MAX_SPLIT_BYTES {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    Some((text, if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 }))
}

/// Returns the offset behind the blank lines that stand at an offset.
pub(super) fn behind_blanks(text: &str, from: usize) -> usize {
    lines(text, from).take_while(Line::is_blank).last().map_or(from, |line| line.end)
}

/// Says whether a name ends in one of the suffixes, in any case.
pub(super) fn has_suffix(name: &str, suffixes: &[&str]) -> bool {
    let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    suffixes.iter().any(|known| suffix.eq_ignore_ascii_case(known))
}

/// Makes the element of the comments behind everything.
pub(super) fn comments<'a>(text: &'a str, start: usize, rules: &Rules) -> Block<'a> {
    let hits = rules.text(&text[start..]);
    let slot = Rules::decide(Slot::NOTES, hits, Confidential::default());
    Block { identity: Cow::Borrowed(END.as_bytes()), start, end: text.len(), slot }
}
