//! A JSON object by its top-level keys, and what every format in JSON needs: a cursor and a walk
//! that turns objects and arrays into shells and elements.

mod cursor;
mod safe_harbor;
mod value;

use std::borrow::Cow;
use std::collections::HashSet;

use super::adapter::{Adapter, Glue};
use super::fhir::{Place, kind_of, scan};
use super::keys::of_plain_key;
use super::rules::Rules;
use super::safe_harbor::Pseudonyms;
use super::section::{DOCUMENT, HoleKind, INNER, LIST};
use super::slots::Slot;
use super::tree::{Claim, Form, Gap, Kind, Tree};
use super::{FormatId, MAX_SPLIT_BYTES};

pub(super) use cursor::{Cursor, MAX_DEPTH, Part, same_tokens, valid};
pub(super) use value::{Members, Value, print_member};

/// Between members and between elements.
pub(super) const COMMAS: Glue = Glue { list: true, inner: true };

pub(super) struct Json;

impl Adapter for Json {
    fn id(&self) -> FormatId {
        FormatId::Json
    }

    fn name(&self) -> &'static str {
        "JSON"
    }

    fn glue(&self) -> Glue {
        COMMAS
    }

    fn same(&self, a: &[u8], b: &[u8]) -> bool {
        same_tokens(a, b)
    }

    fn deidentify(&self, text: &[u8], project: &Pseudonyms) -> Option<Vec<u8>> {
        safe_harbor::of(&self.parse(text, &Rules::builtin())?, project)
    }

    fn parse<'a>(&self, bytes: &'a [u8], rules: &Rules) -> Option<Tree<'a>> {
        let (text, begin) = text_of(bytes)?;
        let mut walk = Walk::new(Kind::Shell("object"), text, rules);
        let mut cursor = Cursor::new(text, begin);
        if cursor.token() != b'{' || kind_of(text, begin).is_some() {
            return None;
        }
        walk.document(&mut cursor, LIST, HoleKind::Kept, |this, c, part| {
            let mut facts = scan(c, Place::Plain, 1, this.rules)?;
            facts.hits |= this.rules.words(&part.key);
            let claim = Claim::Typed(of_plain_key(&part.key), Box::new(facts));
            Some(this.push(LIST, part.key.clone(), part.start, claim))
        })?;
        Some(walk.tree)
    }
}

/// Returns a valid JSON text that is short enough to be cut, and where it begins after a byte
/// order mark.
pub(super) fn text_of(bytes: &[u8]) -> Option<(&str, usize)> {
    if bytes.len() > MAX_SPLIT_BYTES {
        return None;
    }
    let text = valid(bytes)?;
    let begin = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    Some((text, begin))
}

/// Builds the tree of a JSON text.
pub(super) struct Walk<'a, 'r> {
    pub(super) tree: Tree<'a>,
    pub(super) text: &'a str,
    pub(super) rules: &'r Rules,
    next_container: u32,
}

impl<'a, 'r> Walk<'a, 'r> {
    pub(super) fn new(kind: Kind, text: &'a str, rules: &'r Rules) -> Self {
        Self { tree: Tree::new(kind, text.as_bytes()), text, rules, next_container: INNER }
    }

    pub(super) fn push(
        &mut self,
        container: u32,
        identity: Cow<'a, str>,
        start: usize,
        claim: Claim<'a>,
    ) -> usize {
        let identity = match identity {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        self.tree.push(container, identity, start, claim)
    }

    /// Takes a file that is a shell around one object.
    pub(super) fn document(
        &mut self,
        cursor: &mut Cursor<'a>,
        container: u32,
        kind: HoleKind,
        take: impl FnMut(&mut Self, &mut Cursor<'a>, &Part<'a>) -> Option<usize>,
    ) -> Option<()> {
        let shell = self.push(DOCUMENT, Cow::Borrowed(""), 0, Claim::Fixed(Slot::FRAME));
        self.container(cursor, shell, container, kind, take)?;
        self.tree.nodes[shell].end = self.text.len();
        Some(())
    }

    /// Takes an object or array as the filling of a shell; `take` pushes one node per part.
    pub(super) fn container(
        &mut self,
        cursor: &mut Cursor<'a>,
        shell: usize,
        container: u32,
        kind: HoleKind,
        mut take: impl FnMut(&mut Self, &mut Cursor<'a>, &Part<'a>) -> Option<usize>,
    ) -> Option<()> {
        let object = cursor.token() == b'{';
        let mut keys = HashSet::new();
        let mut any = false;
        let (start, end) = cursor.parts(|c, part| {
            any = true;
            if object {
                self.tree.repeated |= !keys.insert(part.key.clone());
            }
            let index = take(self, c, part)?;
            self.tree.nodes[index].end = c.part_end();
            Some(())
        })?;
        // A list that was written without entries is shown to everybody.
        let may_go = container == LIST || kind == HoleKind::Vanishing;
        let kind = if may_go && !any { HoleKind::Kept } else { kind };
        let gap = Gap { start, end, container, kind, separator: b',', stub: Vec::new() };
        self.tree.nodes[shell].form = Form::Shell(gap);
        Some(())
    }

    /// Returns the number of a container that no node has yet.
    pub(super) fn take_container(&mut self) -> u32 {
        self.next_container += 1;
        self.next_container - 1
    }
}
