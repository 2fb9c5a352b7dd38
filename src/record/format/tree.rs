//! The structure of a file as spans: which elements there are, in which container, and what each
//! says about itself. Nothing is copied out of the text.

use std::borrow::Cow;
use std::collections::HashSet;

use super::json::{Cursor, Part, valid};
use super::rules::Rules;
use super::scan::{Facts, Place, scan};
use super::section::{DOCUMENT, INNER, LIST, ROOT};
use super::slots::Slot;
use super::types;
use super::{FormatId, MAX_SPLIT_BYTES};

/// What kind of file it is; a merge never turns one into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A FHIR bundle: members, of which `entry` is a list.
    Bundle,
    /// A FHIR patient: members.
    Patient,
    /// Any other FHIR resource: one element.
    Single,
    /// A plain object: a list of members.
    Plain,
}

impl Shape {
    pub(super) fn format(self) -> FormatId {
        if self == Self::Plain { FormatId::Json } else { FormatId::FhirJson }
    }
}

/// One element or shell.
pub(super) struct Node<'a> {
    /// The container it stands in, numbered as this file has them.
    pub(super) container: u32,
    /// What it is called among its siblings.
    pub(super) identity: Cow<'a, str>,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) gap: Option<Gap>,
    pub(super) claim: Claim<'a>,
}

/// The part of a shell that another container fills.
#[derive(Clone, Copy)]
pub(super) struct Gap {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) container: u32,
    pub(super) empty: bool,
}

/// How the section of a node is found.
pub(super) enum Claim<'a> {
    /// By its place or key alone.
    Fixed(Slot),
    /// By its key, raised by what is inside.
    Keyed(Slot, Box<Facts<'a>>),
    /// By what it says about itself.
    Element(Box<Facts<'a>>),
}

/// A file as spans, shells before what they hold.
pub(super) struct Tree<'a> {
    pub(super) shape: Shape,
    pub(super) text: &'a str,
    pub(super) nodes: Vec<Node<'a>>,
    /// Whether a key stands twice where the file is cut.
    pub(super) repeated: bool,
}

impl<'a> Tree<'a> {
    /// Finds the structure; `None` when the bytes are no JSON object, or too deep or too long.
    pub(super) fn parse(bytes: &'a [u8], rules: &Rules) -> Option<Self> {
        if bytes.len() > MAX_SPLIT_BYTES {
            return None;
        }
        let text = valid(bytes)?;
        let marked = text.starts_with('\u{feff}');
        let begin = if marked { '\u{feff}'.len_utf8() } else { 0 };
        let shape = shape(text, begin)?;
        if marked && shape == Shape::Single {
            // Two versions are shown in one bundle, where a mark in the middle is not valid.
            return None;
        }
        let tree = Self { shape, text, nodes: Vec::new(), repeated: false };
        let mut parse = Parse { tree, rules, next_container: INNER };
        let mut cursor = Cursor::new(text, begin);
        match shape {
            Shape::Single => parse.single(&mut cursor)?,
            _ => parse.root(&mut cursor)?,
        }
        Some(parse.tree)
    }

    /// Returns the section of every node by the rules.
    pub(super) fn slots(&self) -> Vec<Slot> {
        super::references::slots(self)
    }

    /// Returns the bytes of a node, without what fills its gap.
    pub(super) fn bytes(&self, node: &Node<'_>) -> Vec<u8> {
        let text = self.text.as_bytes();
        match node.gap {
            None => text[node.start..node.end].to_vec(),
            Some(gap) => [&text[node.start..gap.start], &text[gap.end..node.end]].concat(),
        }
    }

    /// Returns the text of a node with what fills its gap.
    pub(super) fn span(&self, node: &Node<'_>) -> &'a [u8] {
        &self.text.as_bytes()[node.start..node.end]
    }
}

/// Finds the kind of file by the type that the object gives itself; `None` when it is no object.
fn shape(text: &str, begin: usize) -> Option<Shape> {
    let mut cursor = Cursor::new(text, begin);
    if cursor.token() != b'{' {
        return None;
    }
    let mut found = None;
    let passed = cursor.parts(|c, part| {
        if part.key == "resourceType" && c.token() == b'"' {
            found = Some(match c.string()?.as_ref() {
                "Bundle" => Shape::Bundle,
                "Patient" => Shape::Patient,
                _ => Shape::Single,
            });
            // Nothing more is needed: the pass ends here.
            return None;
        }
        c.skip_value()
    });
    found.or(passed.map(|_| Shape::Plain))
}

struct Parse<'a, 'r> {
    tree: Tree<'a>,
    rules: &'r Rules,
    next_container: u32,
}

impl<'a> Parse<'a, '_> {
    fn push(
        &mut self,
        container: u32,
        identity: Cow<'a, str>,
        start: usize,
        claim: Claim<'a>,
    ) -> usize {
        let node = Node { container, identity, start, end: start, gap: None, claim };
        self.tree.nodes.push(node);
        self.tree.nodes.len() - 1
    }

    /// Takes a whole file that is one element.
    fn single(&mut self, cursor: &mut Cursor<'a>) -> Option<()> {
        let facts = scan(cursor, Place::Resource, 0, self.rules)?;
        self.tree.repeated |= facts.repeated;
        let claim = Claim::Element(Box::new(facts));
        let index = self.push(DOCUMENT, Cow::Borrowed(""), 0, claim);
        self.tree.nodes[index].end = self.tree.text.len();
        Some(())
    }

    /// Takes a file that is a shell around members.
    fn root(&mut self, cursor: &mut Cursor<'a>) -> Option<()> {
        let shape = self.tree.shape;
        let container = if shape == Shape::Plain { LIST } else { ROOT };
        let shell = self.push(DOCUMENT, Cow::Borrowed(""), 0, Claim::Fixed(Slot::FRAME));
        self.container(cursor, shell, container, |this, c, part| match shape {
            Shape::Bundle => this.bundle_member(c, part),
            Shape::Patient => this.patient_member(c, part, ROOT),
            Shape::Plain | Shape::Single => this.plain_member(c, part),
        })?;
        self.tree.nodes[shell].end = self.tree.text.len();
        Some(())
    }

    /// Takes an object or array as the filling of a shell; `part` pushes one node per part.
    fn container(
        &mut self,
        cursor: &mut Cursor<'a>,
        shell: usize,
        container: u32,
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
        self.tree.nodes[shell].gap = Some(Gap { start, end, container, empty: !any });
        Some(())
    }

    fn bundle_member(&mut self, cursor: &mut Cursor<'a>, part: &Part<'a>) -> Option<usize> {
        let claim = Claim::Fixed(types::of_bundle_key(&part.key));
        let index = self.push(ROOT, part.key.clone(), part.start, claim);
        if part.key == "entry" {
            if cursor.token() != b'[' {
                return None;
            }
            self.container(cursor, index, LIST, Self::entry)?;
        } else {
            cursor.skip_value()?;
        }
        Some(index)
    }

    fn entry(&mut self, cursor: &mut Cursor<'a>, part: &Part<'a>) -> Option<usize> {
        let mut ahead = cursor.clone();
        let facts = scan(&mut ahead, Place::Entry, 2, self.rules)?;
        self.tree.repeated |= facts.repeated;
        let identity = match (&facts.full_url, &facts.resource_type, &facts.id) {
            (Some(url), _, _) => url.clone(),
            (None, Some(kind), Some(id)) => Cow::Owned(format!("{kind}/{id}")),
            _ => Cow::Borrowed(&self.tree.text[part.value..ahead.at()]),
        };
        if facts.resource_type.as_deref() == Some("Patient") {
            let index = self.push(LIST, identity, part.start, Claim::Fixed(Slot::FRAME));
            self.patient_entry(cursor, index)?;
            return Some(index);
        }
        *cursor = ahead;
        Some(self.push(LIST, identity, part.start, Claim::Element(Box::new(facts))))
    }

    fn patient_entry(&mut self, cursor: &mut Cursor<'a>, shell: usize) -> Option<()> {
        let outer = self.take_container();
        self.container(cursor, shell, outer, |this, c, part| {
            let mut ahead = c.clone();
            ahead.skip_value()?;
            let value = &this.tree.text[part.value..ahead.at()];
            let has_query = value.contains('?') || value.contains("ifNoneExist");
            let claim = Claim::Fixed(types::of_patient_entry_key(&part.key, has_query));
            let index = this.push(outer, part.key.clone(), part.start, claim);
            if part.key == "resource" {
                let inner = this.take_container();
                this.container(c, index, inner, |this, c, part| {
                    this.patient_member(c, part, inner)
                })?;
            } else {
                *c = ahead;
            }
            Some(index)
        })
    }

    fn patient_member(
        &mut self,
        cursor: &mut Cursor<'a>,
        part: &Part<'a>,
        container: u32,
    ) -> Option<usize> {
        cursor.skip_value()?;
        let claim = Claim::Fixed(types::of_patient_key(&part.key));
        Some(self.push(container, part.key.clone(), part.start, claim))
    }

    fn plain_member(&mut self, cursor: &mut Cursor<'a>, part: &Part<'a>) -> Option<usize> {
        let mut facts = scan(cursor, Place::Plain, 1, self.rules)?;
        facts.hits |= self.rules.words(&part.key);
        let claim = Claim::Keyed(types::of_plain_key(&part.key), Box::new(facts));
        Some(self.push(LIST, part.key.clone(), part.start, claim))
    }

    fn take_container(&mut self) -> u32 {
        self.next_container += 1;
        self.next_container - 1
    }
}
