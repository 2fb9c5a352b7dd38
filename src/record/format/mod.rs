//! A plain file and its sections: cutting, joining, and merging what an editor saved.
//!
//! Pure: no files, no network, no clock. A file is cut into byte spans and never printed again,
//! so that the full view is the original byte for byte. A format is one folder or file with its
//! `Adapter`, and one line in the list below.

mod adapter;
mod cda;
mod combine;
mod csv;
mod dicom;
mod fhir;
mod hl7;
pub mod identity;
mod join;
mod json;
mod keys;
mod markdown;
mod merge;
mod opaque;
mod order;
mod outline;
mod rank;
mod references;
mod rules;
mod safe_harbor;
mod section;
mod slots;
mod toml;
mod tree;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Kind, Result};

pub use combine::is_doubled;
pub use fhir::patient_summary;
pub use merge::{Merged, merge};
pub use rank::{MAX_RANK_BYTES, Rank};
pub use rules::Rules;
pub use safe_harbor::{Pseudonyms, deidentify, twins};
pub use section::{Hole, HoleKind, Item, Measure, Role, SectionText};
pub use slots::{Confidentiality, Slot, TWIN_BASE};

use adapter::Adapter;
use tree::Tree;

/// A larger file is not cut: it is one opaque section.
pub const MAX_SPLIT_BYTES: usize = 256 << 20;

macro_rules! formats {
    ($($number:literal $name:ident $adapter:expr, $doc:literal;)*) => {
        /// The formats of files; the number stands in stored records.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum FormatId {
            $(#[doc = $doc] $name = $number,)*
        }

        impl FormatId {
            /// Every format, in the order in which a new file is tried; the last takes all.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            fn adapter(self) -> &'static dyn Adapter {
                match self {
                    $(Self::$name => &$adapter,)*
                }
            }
        }
    };
}

formats! {
    5 Cda cda::Cda, "A CDA document in XML.";
    7 Dicom dicom::Dicom, "A DICOM file by the attributes of its data set.";
    11 DicomDir dicom::DicomDir, "A DICOMDIR by the values of its records.";
    2 FhirJson fhir::Fhir, "A FHIR bundle or resource in JSON.";
    3 FhirNdjson fhir::Ndjson, "FHIR resources in JSON, one per line.";
    4 Hl7v2 hl7::Hl7v2, "HL7 v2 messages in ER7 by segments, or a batch of them.";
    1 Json json::Json, "A JSON object by its top-level keys.";
    6 Csv csv::Csv, "A table of comma-separated values, or of another separator.";
    8 Toml toml::TOML, "TOML by its keys and tables.";
    9 Yaml yaml::YAML, "YAML by its top-level keys.";
    10 Markdown markdown::MARKDOWN, "Markdown by its headings.";
    0 Opaque opaque::Opaque, "One section with the bytes as they are.";
}

impl FormatId {
    /// Finds the format of a stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|&format| format as u8 == number)
    }

    /// Returns the name that users see.
    pub fn name(self) -> &'static str {
        self.adapter().name()
    }
}

/// The texts of sections; a section without an element may be absent.
pub type Sections = BTreeMap<Slot, SectionText>;

/// Returns the sections that a stored record of a format always has, filled or not.
///
/// The derived sections `emergency` and `research` are records of their own kind and not among
/// them.
pub fn slots_of(format: FormatId) -> &'static [Slot] {
    format.adapter().slots()
}

/// Finds the format of a file by its content, and by its name where the content does not show it.
pub fn recognise(bytes: &[u8], name: &str) -> FormatId {
    take_apart(bytes, name, &Rules::builtin()).0
}

/// Recognises a new file and cuts it, in one pass.
pub fn take_apart(bytes: &[u8], name: &str, rules: &Rules) -> (FormatId, Sections) {
    if bytes.is_empty() {
        return (FormatId::Opaque, Sections::new());
    }
    let cut = |format: &FormatId| Some((*format, format.adapter().begin(bytes, name, rules)?));
    FormatId::ALL.iter().find_map(cut).unwrap_or_else(|| (FormatId::Opaque, opaque(bytes)))
}

/// Cuts a file of a known format into the sections that it fills.
///
/// # Errors
/// `Usage` when the text cannot be read in that format.
pub fn split(format: FormatId, bytes: &[u8], rules: &Rules) -> Result<Sections> {
    if format == FormatId::Opaque {
        return Ok(opaque(bytes));
    }
    format.adapter().cut(bytes, rules).ok_or_else(|| {
        Error::new(Kind::Usage, format!("the text cannot be read as {}", format.name()))
            .because("it is not one valid text of that format, or a key stands twice")
    })
}

/// Returns the exact size of the view that shows these sections, the frame among them; `None`
/// when only the view itself tells.
pub fn view_len(format: FormatId, visible: &[(Slot, Measure)]) -> Option<u64> {
    format.adapter().view_len(visible)
}

/// Returns the size of such a view after [`announce`]; `None` when only the view itself tells.
pub fn announced_len(
    format: FormatId,
    visible: &[(Slot, Measure)],
    hidden: &[Slot],
) -> Option<u64> {
    let marker = format.adapter().marker_measure(hidden, visible)?;
    let all: Vec<_> = visible.iter().copied().chain([(Slot::MARKER, marker)]).collect();
    view_len(format, &all)
}

/// Adds the format's own marker for hidden sections that the policy announces to the visible
/// ones, as [`Slot::MARKER`]. A merge takes it out again: it is never stored.
pub fn announce(format: FormatId, visible: &mut Sections, hidden: &[Slot]) {
    if let Some(marker) = format.adapter().marker(hidden, visible) {
        visible.insert(Slot::MARKER, marker);
    }
}

/// Joins the visible sections to a file that is valid in its format.
pub fn join(format: FormatId, visible: &Sections) -> Vec<u8> {
    format.adapter().show(visible)
}

/// Says whether every element stands in a shell that the frame has, and alone where there is room
/// for one: sections of two versions of a file need not fit together.
pub fn is_whole(sections: &Sections) -> bool {
    let frame = sections.get(&Slot::FRAME).map_or(&[][..], |f| &f.items);
    let holes = frame.iter().filter_map(Item::hole);
    let has_room: BTreeMap<u32, bool> =
        holes.map(|hole| (hole.container, !hole.kind.is_single())).collect();
    let mut filled = BTreeSet::new();
    let mut items = sections.values().flat_map(|text| &text.items);
    items.all(|item| match has_room.get(&item.container) {
        Some(true) => true,
        Some(false) => filled.insert(item.container),
        None => item.container < section::INNER,
    })
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
        let rank = rank.expect("a rank was made for every node of the container");
        let item = Item {
            container: node.container,
            rank: node.rank.clone().unwrap_or(rank),
            bytes: tree.bytes(node),
            role: Tree::role(node),
        };
        sections.entry(slot).or_default().items.push(item);
    }
    sections.values_mut().for_each(SectionText::sort);
    sections
}
