//! The structure of a file as spans: which elements there are, in which container, and what each
//! says about itself. Nothing is copied out of the text.

use std::borrow::Cow;

use super::fhir::Facts;
use super::rank::Rank;
use super::rules::Hits;
use super::section::{Hole, HoleKind, Role};
use super::slots::Slot;

/// What kind of file it is; a merge never turns one into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One element that is the whole file.
    Single,
    /// A shell around elements, of the kind that the adapter names.
    Shell(&'static str),
}

/// One element or shell.
pub(super) struct Node<'a> {
    /// The container it stands in, numbered as this file has them.
    pub(super) container: u32,
    /// What it is called among its siblings.
    pub(super) identity: Cow<'a, [u8]>,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) form: Form,
    pub(super) claim: Claim<'a>,
    /// Its place among its siblings, where the format itself orders them.
    pub(super) rank: Option<Rank>,
}

/// What a node is to the view.
#[derive(Clone)]
pub(super) enum Form {
    Text,
    /// Text around a container.
    Shell(Gap),
    /// Text with the span of the digits that number it among its visible siblings.
    Numbered {
        start: usize,
        end: usize,
    },
    /// Text that is shown instead of a stub of so many bytes.
    Instead(u32),
}

impl Node<'_> {
    pub(super) fn gap(&self) -> Option<&Gap> {
        match &self.form {
            Form::Shell(gap) => Some(gap),
            _ => None,
        }
    }

    /// Says whether the node is the shell of a container.
    pub(super) fn fills(&self, container: u32) -> bool {
        self.gap().is_some_and(|gap| gap.container == container)
    }
}

/// The part of a shell that another container fills.
#[derive(Clone)]
pub(super) struct Gap {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) container: u32,
    pub(super) kind: HoleKind,
    /// The byte between the items of the container; 0 where there is none.
    pub(super) separator: u8,
    /// The text of the shell while the container shows nothing, of a [`HoleKind::Stub`].
    pub(super) stub: Vec<u8>,
}

/// How the section of a node is found.
pub(super) enum Claim<'a> {
    /// By its place or key alone, or as the adapter decided.
    Fixed(Slot),
    /// By its type, raised by what is inside and by what it refers to.
    Typed(Slot, Box<Facts<'a>>),
    /// With the node of an index, which goes with none, raised by what is inside.
    With(usize, Hits),
}

/// A file as spans, shells before what they hold.
pub(super) struct Tree<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a [u8],
    pub(super) nodes: Vec<Node<'a>>,
    /// Whether a key stands twice where the file is cut.
    pub(super) repeated: bool,
}

impl<'a> Tree<'a> {
    pub(super) fn new(kind: Kind, text: &'a [u8]) -> Self {
        Self { kind, text, nodes: Vec::new(), repeated: false }
    }

    /// Adds a node and returns its index; its end is set by the caller.
    pub(super) fn push(
        &mut self,
        container: u32,
        identity: Cow<'a, [u8]>,
        start: usize,
        claim: Claim<'a>,
    ) -> usize {
        let (end, form) = (start, Form::Text);
        self.nodes.push(Node { container, identity, start, end, form, claim, rank: None });
        self.nodes.len() - 1
    }

    /// Returns the section of every node by the rules.
    pub(super) fn slots(&self) -> Vec<Slot> {
        super::references::slots(self)
    }

    /// Returns the bytes of a node, without what fills its gap and without its number.
    pub(super) fn bytes(&self, node: &Node<'_>) -> Vec<u8> {
        match &node.form {
            Form::Text | Form::Instead(_) => self.span(node).to_vec(),
            Form::Shell(gap) if gap.kind == HoleKind::Stub => gap.stub.clone(),
            Form::Shell(Gap { start, end, .. }) | Form::Numbered { start, end } => {
                [&self.text[node.start..*start], &self.text[*end..node.end]].concat()
            }
        }
    }

    /// Returns what a node is to the view, with containers as this file numbers them.
    pub(super) fn role(node: &Node<'_>) -> Role {
        match &node.form {
            Form::Text => Role::Text,
            Form::Numbered { start, .. } => Role::Numbered(offset(start - node.start)),
            Form::Instead(stub_len) => Role::Instead(*stub_len),
            Form::Shell(gap) => {
                let is_stub = gap.kind == HoleKind::Stub;
                let at = if is_stub { 0 } else { offset(gap.start - node.start) };
                let (container, separator, kind) = (gap.container, gap.separator, gap.kind);
                Role::Shell(Hole { at, container, separator, kind })
            }
        }
    }

    /// Returns the text of a node with what fills its gap.
    pub(super) fn span(&self, node: &Node<'_>) -> &'a [u8] {
        &self.text[node.start..node.end]
    }
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a file that is cut is shorter than 4 GiB")
}
