//! What a format brings. Cutting, joining and merging are the same for all; an adapter finds the
//! elements of a text and says how they are glued together.

use std::collections::BTreeSet;

use crate::error::Result;
use std::borrow::Cow;

use super::join::{Rendered, render};
use super::merge::{Merged, elements};
use super::rules::Rules;
use super::safe_harbor::{Pseudonyms, twins_of_elements};
use super::section::{Measure, SectionText, view_len};
use super::slots::Slot;
use super::tree::Tree;
use super::{FormatId, Sections, split_tree};

/// One format of files.
pub(super) trait Adapter: Sync {
    /// Returns the name that users see.
    fn name(&self) -> &'static str;

    /// Says which separators stand between siblings.
    fn glue(&self) -> Glue;

    /// Finds the structure of a text; `None` when it is not of this format, or too long or deep
    /// to be cut. Must accept every view that [`Self::render`] makes of it.
    ///
    /// A format whose views are no rows of elements brings [`Self::begin`], [`Self::cut`],
    /// [`Self::show`] and [`Self::merge`] instead.
    fn parse<'a>(&self, _bytes: &'a [u8], _rules: &Rules) -> Option<Tree<'a>> {
        None
    }

    /// Cuts a new file of this name; `None` when it is not of this format.
    fn begin(&self, bytes: &[u8], name: &str, rules: &Rules) -> Option<Sections> {
        let tree = Some(self).filter(|a| a.may_be_named(name))?.parse(bytes, rules)?;
        (!tree.repeated && self.may_begin(&tree)).then(|| split_tree(&tree, rules))
    }

    /// Cuts the text of a record, which may show less than any file; `None` when it is not of this
    /// format, or a key stands twice.
    fn cut(&self, bytes: &[u8], rules: &Rules) -> Option<Sections> {
        let tree = self.parse(bytes, rules).filter(|tree| !tree.repeated)?;
        Some(split_tree(&tree, rules))
    }

    /// Says whether a new file of this name may be of the format: for formats that a text alone
    /// does not show.
    fn may_be_named(&self, _name: &str) -> bool {
        true
    }

    /// Says whether a new file may have this structure; a view may show less than any file.
    fn may_begin(&self, _tree: &Tree<'_>) -> bool {
        true
    }

    /// Returns the sections that a stored record of the format always has, filled or not.
    fn slots(&self) -> &'static [Slot] {
        CUT
    }

    /// Says whether two texts of an element mean the same: a tool that prints a file anew changes
    /// only their layout.
    fn same(&self, a: &[u8], b: &[u8]) -> bool {
        a == b
    }

    /// Returns the text around versions of a file that is one element, when it can show several.
    fn conflict(&self) -> Option<&'static Conflict> {
        None
    }

    /// Returns the sections among which the parts of a shell are divided: only who sees them all
    /// can tell whether a shell without visible parts is empty, and may remove it.
    fn shell_parts(&self) -> &'static [Slot] {
        &[]
    }

    /// Returns the sections among which the parts of the shell with this text are divided.
    fn parts_of(&self, _shell: &[u8]) -> &'static [Slot] {
        self.shell_parts()
    }

    /// Returns what a shell is called among its siblings, by its own text, when that tells: one that
    /// is not shown is found again by it.
    fn shell_name<'a>(&self, _shell: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        None
    }

    /// Returns what the view of these sections, the frame among them, shows for hidden ones that
    /// the policy announces. It hangs on nothing that they hold, and is never stored.
    fn marker(&self, _hidden: &[Slot], _shown: &Sections) -> Option<SectionText> {
        None
    }

    /// Returns what [`Self::marker`] adds to the size; `None` when only the view itself tells.
    fn marker_measure(&self, _hidden: &[Slot], _visible: &[(Slot, Measure)]) -> Option<Measure> {
        Some(Measure::default())
    }

    /// Returns the sections among which a field's value is, when its text decides that: a field that
    /// shows nothing can be filled only by who sees them all.
    fn field_parts(&self) -> &'static [Slot] {
        &[]
    }

    /// Returns the number of the next visible element with a set number; `before` are the
    /// elements shown before it in its container.
    fn next_number(&self, _numbers: &mut Numbers, _element: &[u8], _is_numbered: bool) -> u32 {
        1
    }

    /// Returns the text, which may show any sections, as a researcher of a project may read it;
    /// `None` when nothing of it is released. What becomes of an element depends on that element
    /// and the project alone; it stays one element in the same place.
    fn deidentify(&self, _text: &[u8], _project: &Pseudonyms) -> Option<Vec<u8>> {
        None
    }

    /// Returns the twins of sections; see [`super::safe_harbor::twins`].
    fn twins(&self, sections: &Sections, project: &Pseudonyms) -> Option<Sections> {
        twins_of_elements(self.id(), sections, project)
    }

    /// Renders the visible sections.
    fn render<'s>(&self, sections: &'s Sections) -> Rendered<'s> {
        render(self.id(), sections)
    }

    /// Returns the text of the visible sections.
    fn show(&self, sections: &Sections) -> Vec<u8> {
        self.render(sections).bytes
    }

    /// Merges an edited view that differs from what was shown; see [`super::merge()`].
    fn merge(
        &self,
        base: &Sections,
        visible: &BTreeSet<Slot>,
        edited: &[u8],
        rules: &Rules,
    ) -> Result<Merged> {
        elements(self.id(), base, visible, edited, rules)
    }

    /// Returns the exact size of the view that shows these sections, the frame among them; `None`
    /// when only the view itself tells.
    fn view_len(&self, visible: &[(Slot, Measure)]) -> Option<u64> {
        view_len(self.id(), visible)
    }

    /// Returns the format's number.
    fn id(&self) -> FormatId;
}

/// Which separators of one byte stand between siblings; the byte itself stands in the shell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Glue {
    /// Between the items of the list, of which any number may be visible.
    pub(super) list: bool,
    /// Between the members of the root and of shells inside elements, of which the frame has one.
    pub(super) inner: bool,
}

/// Text around versions that two writers made without seeing each other's.
pub(super) struct Conflict {
    pub(super) head: &'static [u8],
    pub(super) before: &'static [u8],
    pub(super) separator: u8,
    pub(super) after: &'static [u8],
    pub(super) tail: &'static [u8],
}

/// How many elements of each kind were shown so far, by what the adapter calls the kind.
#[derive(Default)]
pub(super) struct Numbers(std::collections::HashMap<[u8; 4], u32>);

impl Numbers {
    /// Counts one more of a kind and returns how many there are.
    pub(super) fn count(&mut self, kind: [u8; 4]) -> u32 {
        let count = self.0.entry(kind).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// Starts anew with a kind.
    pub(super) fn forget(&mut self, kind: [u8; 4]) {
        self.0.remove(&kind);
    }

    /// Starts anew with every kind.
    pub(super) fn forget_all(&mut self) {
        self.0.clear();
    }
}

/// The sections of every format that is cut. The derived ones are not among them.
pub(super) const CUT: &[Slot] = &[
    Slot::FRAME,
    Slot::DEMOGRAPHICS,
    Slot::CONTACT,
    Slot::IDENTIFIERS,
    Slot::ALLERGIES,
    Slot::MEDICATIONS,
    Slot::PROBLEMS,
    Slot::IMMUNIZATIONS,
    Slot::LABS,
    Slot::VITALS,
    Slot::IMAGING,
    Slot::PROCEDURES,
    Slot::ENCOUNTERS,
    Slot::APPOINTMENTS,
    Slot::CAREPLAN,
    Slot::NOTES,
    Slot::MENTAL_HEALTH,
    Slot::PSYCHOTHERAPY_NOTES,
    Slot::SUBSTANCE_USE,
    Slot::REPRODUCTIVE,
    Slot::HIV,
    Slot::GENETICS,
    Slot::VIOLENCE,
    Slot::BILLING,
    Slot::FAMILY_HISTORY,
    Slot::SOCIAL_HISTORY,
    Slot::DEVICES,
    Slot::DIRECTIVES,
    Slot::DIRECTORY,
    Slot::PROVENANCE,
    Slot::WHOLE,
    Slot::OTHER,
];
