//! A plain file and its sections: cutting, joining, and merging what an editor saved.
//!
//! Pure: no files, no network, no clock. A file is cut into byte spans and never printed again,
//! so that the full view is the original byte for byte. An adapter for another format adds its
//! [`FormatId`], its structure (see `tree`) and its glue (see `join`).

mod combine;
mod join;
mod json;
mod merge;
mod order;
mod rank;
mod references;
mod rules;
mod scan;
mod section;
mod slots;
mod tree;
mod types;

use std::collections::BTreeMap;

use crate::error::{Error, Kind, Result};

pub use merge::{Merged, merge};
pub use rank::{MAX_RANK_BYTES, Rank};
pub use rules::Rules;
pub use section::{Hole, Item, Measure, SectionText, view_len};
pub use slots::{Confidentiality, Slot};

use tree::Tree;

/// A larger file is not cut: it is one opaque section.
pub const MAX_SPLIT_BYTES: usize = 256 << 20;

/// The formats that are cut; the number stands in stored records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FormatId {
    /// One section with the bytes as they are.
    Opaque = 0,
    /// A JSON object by its top-level keys.
    Json = 1,
    /// A FHIR bundle or resource in JSON.
    FhirJson = 2,
}

impl FormatId {
    /// Every format, by number.
    pub const ALL: [Self; 3] = [Self::Opaque, Self::Json, Self::FhirJson];

    /// Finds the format of a stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&format| format as u8 == number)
    }

    /// Returns the name that users see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opaque => "opaque",
            Self::Json => "JSON",
            Self::FhirJson => "FHIR JSON",
        }
    }
}

/// The texts of sections; a section without an element may be absent.
pub type Sections = BTreeMap<Slot, SectionText>;

/// Returns the sections that a stored record of a format always has, filled or not.
///
/// The derived sections `emergency` and `research` are records of their own kind and not among
/// them.
pub fn slots_of(format: FormatId) -> &'static [Slot] {
    const OPAQUE: &[Slot] = &[Slot::DOCUMENTS];
    const CUT: &[Slot] = &[
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
    if format == FormatId::Opaque { OPAQUE } else { CUT }
}

/// Finds the format of a file by its content; the name decides nothing yet, because every format
/// that is cut shows itself.
pub fn recognise(bytes: &[u8], name: &str) -> FormatId {
    take_apart(bytes, name, &Rules::builtin()).0
}

/// Recognises a new file and cuts it, in one pass.
pub fn take_apart(bytes: &[u8], _name: &str, rules: &Rules) -> (FormatId, Sections) {
    match Tree::parse(bytes, rules).filter(|tree| !tree.repeated) {
        Some(tree) => (tree.shape.format(), split_tree(&tree, rules)),
        None => (FormatId::Opaque, opaque(bytes)),
    }
}

/// Cuts a file of a known format into the sections that it fills.
///
/// # Errors
/// `Usage` when the text cannot be read in that format.
pub fn split(format: FormatId, bytes: &[u8], rules: &Rules) -> Result<Sections> {
    if format == FormatId::Opaque {
        return Ok(opaque(bytes));
    }
    let tree = Tree::parse(bytes, rules)
        .filter(|tree| !tree.repeated && tree.shape.format() == format)
        .ok_or_else(|| {
            Error::new(Kind::Usage, format!("the text cannot be read as {}", format.name()))
                .because("it is not one valid object of that format, or a key stands twice")
        })?;
    Ok(split_tree(&tree, rules))
}

/// Joins the visible sections to a file that is valid in its format.
pub fn join(format: FormatId, visible: &Sections) -> Vec<u8> {
    join::render(format, visible).bytes
}

/// Says whether every element stands in a shell that the frame has: sections of two versions of a
/// file need not fit together.
pub fn is_whole(sections: &Sections) -> bool {
    let frame = sections.get(&Slot::FRAME).map_or(&[][..], |f| &f.items);
    let has_shell = |container: u32| {
        frame.iter().any(|i| i.hole.is_some_and(|hole| hole.container == container))
    };
    let mut items = sections.values().flat_map(|text| &text.items);
    items.all(|i| i.container < section::INNER || has_shell(i.container))
}

fn opaque(bytes: &[u8]) -> Sections {
    let text = SectionText::opaque(bytes.to_vec());
    if text.is_empty() { Sections::new() } else { [(Slot::DOCUMENTS, text)].into() }
}

fn split_tree(tree: &Tree<'_>, rules: &Rules) -> Sections {
    let slots = tree.slots();
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for node in &tree.nodes {
        *counts.entry(node.container).or_default() += 1;
    }
    let mut ranks: BTreeMap<u32, _> = counts
        .into_iter()
        .map(|(container, n)| (container, Rank::fresh(rules.seed(), container, n).into_iter()))
        .collect();
    let mut sections = Sections::new();
    for (node, slot) in tree.nodes.iter().zip(slots) {
        let rank = ranks.get_mut(&node.container).and_then(Iterator::next);
        let hole = node.gap.map(|gap| Hole {
            at: offset(gap.start - node.start),
            container: gap.container,
            kept_empty: gap.container == section::LIST && gap.empty || is_root(tree, node),
        });
        let item = Item {
            container: node.container,
            rank: rank.expect("a rank was made for every node of the container"),
            bytes: tree.bytes(node),
            hole,
        };
        sections.entry(slot).or_default().items.push(item);
    }
    sections.values_mut().for_each(SectionText::sort);
    sections
}

/// Says whether a node is the shell of the whole file, which is always shown.
fn is_root(tree: &Tree<'_>, node: &tree::Node<'_>) -> bool {
    tree.shape == tree::Shape::Plain && node.container == section::DOCUMENT
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a file that is cut is shorter than 4 GiB")
}
