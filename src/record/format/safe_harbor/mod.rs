//! What a researcher reads: the Safe Harbor of 45 CFR 164.514(b)(2). Its rules on dates, ages and
//! places, the pseudonyms of a project, and what every format needs to apply them.
//!
//! Nothing is released because no rule forbids it: a part of a file is released when it is known
//! to hold no identifier, and blanked otherwise. What becomes of a part depends on that part and
//! on the project alone, so that whoever saves it writes the same twin, whatever else is seen.

mod places;
pub(super) mod plain;
mod systems;
mod texts;
pub(super) mod toml;
pub(super) mod yaml;

use crate::key::hash::hmac_sha256;
use crate::key::secret::Secret;

use std::collections::BTreeMap;

use super::join::Rendered;
use super::rules::Rules;
use super::section::{HoleKind, Item, Role};
use super::tree::{Form, Node, Tree};
use super::{FormatId, Sections};

pub(super) use places::{country, has_zip, state, zip3};
pub(super) use systems::{is_code_system, is_ucum};
pub(super) use texts::{MAX_AGE, age, code, code_of, display, is_number, is_unit, result_word};

/// A year in which a project is done: somebody born ninety years before may be over 89 then.
const LAST_YEAR: u16 = 2030;
const MAX_AGE_YEARS: u16 = 90;

/// The pseudonyms of one project, by HMAC-SHA-256: the same identifier has the same pseudonym in
/// every file of a project, and no relation to the one that it has in another project.
pub struct Pseudonyms {
    key: Secret<32>,
    oldest: u16,
}

impl Pseudonyms {
    /// Makes those of the project that has this key.
    pub fn new(project_key: &[u8; 32]) -> Self {
        let oldest = LAST_YEAR - MAX_AGE_YEARS;
        Self { key: Secret::new(*project_key), oldest }
    }

    /// Sets the last year in which what is released may be read: who is over 89 then is in the
    /// group of the oldest. All who write for a project must say the same.
    #[must_use]
    pub fn until(mut self, year: u16) -> Self {
        self.oldest = year.saturating_sub(MAX_AGE_YEARS);
        self
    }

    /// Returns the pseudonym of an identifier in the form of a UUID: lower-case hexadecimal digits
    /// with four hyphens. `kind` keeps apart what only looks alike.
    pub fn pseudonym(&self, kind: &str, identifier: &str) -> String {
        let mut hex = String::with_capacity(36);
        for (index, byte) in self.bytes(kind, identifier).into_iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                hex.push('-');
            }
            for digit in [byte >> 4, byte & 15] {
                hex.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
            }
        }
        hex
    }

    /// Returns the pseudonym of a record's part: of a resource, visit, order or document.
    pub(super) fn id(&self, identifier: &str) -> String {
        self.pseudonym(ID, identifier)
    }

    /// Returns the pseudonym of an object identifier, as one (X.667).
    pub(super) fn uid(&self, identifier: &str) -> String {
        format!("2.25.{}", u128::from_be_bytes(self.bytes("uid", identifier)))
    }

    /// Returns the first bytes of the MAC, marked as a UUID of version 8 (RFC 9562).
    fn bytes(&self, kind: &str, identifier: &str) -> [u8; 16] {
        let len = [u8::try_from(kind.len()).unwrap_or(u8::MAX)];
        let parts = [&len[..], kind.as_bytes(), identifier.as_bytes()];
        let tag = hmac_sha256(&self.key, &parts);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&tag[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        bytes
    }

    /// Returns the year of a date that begins with it; the years in which only the oldest lived
    /// are one. `None` when it is no date.
    pub(super) fn year(&self, date: &str) -> Option<String> {
        let digits = date.trim().get(..4)?;
        let rest = &date.trim()[4..];
        let is_date = rest.is_empty() || rest.starts_with('-') || is_compact_date(rest);
        let year: u16 =
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
        (is_date && (1000..=2200).contains(&year)).then(|| year.max(self.oldest).to_string())
    }
}

/// Kind of the pseudonyms of all that has a number within a record.
const ID: &str = "id";

/// Says whether what follows a year may be the rest of a date without hyphens.
fn is_compact_date(rest: &str) -> bool {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let behind = &rest[digits..];
    matches!(digits, 2 | 4 | 6 | 8 | 10)
        && (behind.is_empty() || behind.starts_with(['.', '+', '-', 'Z']))
}

/// Writes a text anew: every element as `element` has it, and what stands around elements as
/// `frame` has it. `None` when an element cannot be released in its place.
pub(super) fn rewrite(
    tree: &Tree<'_>,
    mut frame: impl FnMut(&[u8], &mut Vec<u8>) -> Option<()>,
    mut element: impl FnMut(usize, &Node<'_>, &mut Vec<u8>) -> Option<()>,
) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(tree.text.len() / 2);
    let mut at = 0;
    for (index, node) in tree.nodes.iter().enumerate() {
        if let Form::Shell(gap) = &node.form {
            let next = tree.nodes.get(index + 1).map(|next| next.container);
            // A stub is the format's own text.
            if gap.kind == HoleKind::Stub && next != Some(gap.container) {
                frame(tree.text.get(at..node.start)?, &mut out)?;
                out.extend_from_slice(tree.span(node));
                at = node.end;
            }
            continue;
        }
        frame(tree.text.get(at..node.start)?, &mut out)?;
        element(index, node, &mut out)?;
        at = node.end;
    }
    frame(&tree.text[at..], &mut out)?;
    Some(out)
}

/// Copies what stands around elements, of a format where that is punctuation and names of the
/// format alone.
#[expect(clippy::unnecessary_wraps, reason = "the frame of other formats may be refused")]
pub(super) fn copied(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(text);
    Some(())
}

/// Copies what stands around elements of JSON without white space, which may belong to the last
/// of them or not, but for line feeds that separate resources. No key there has white space.
#[expect(clippy::unnecessary_wraps, reason = "the frame of other formats may be refused")]
pub(super) fn tight(lines: bool, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let is_kept = |b: &u8| !matches!(b, b' ' | b'\t' | b'\r' | b'\n') || lines && *b == b'\n';
    out.extend(text.iter().copied().filter(is_kept));
    Some(())
}

/// De-identifies a text in a format; `None` when nothing of it can be released.
///
/// Every element of the text is one in the result, in the same place, so that both are cut alike.
pub fn deidentify(format: FormatId, text: &[u8], project: &Pseudonyms) -> Option<Vec<u8>> {
    let (adapter, rules) = (format.adapter(), Rules::builtin());
    let clean = adapter.deidentify(text, project)?;
    let fits = match (adapter.parse(text, &rules), adapter.parse(&clean, &rules)) {
        (Some(old), Some(new)) => {
            old.nodes.len() == new.nodes.len()
                && old.nodes.iter().zip(&new.nodes).all(|(a, b)| alike(a, b))
                && !new.repeated
        }
        // A table has no tree.
        (None, None) => adapter.cut(&clean, &rules).is_some(),
        _ => false,
    };
    fits.then_some(clean)
}

fn alike(a: &Node<'_>, b: &Node<'_>) -> bool {
    match (a.gap(), b.gap()) {
        _ if a.container != b.container => false,
        (None, None) => true,
        (Some(a), Some(b)) => {
            a.container == b.container && a.kind.is_single() == b.kind.is_single()
        }
        _ => false,
    }
}

/// Returns the twins of sections, the frame among them: each element de-identified, in the section
/// and place where it stands, even when the words by which it was put there are not released.
/// `None` when nothing can be released, or two versions of one resource are kept side by side.
///
/// The cells of a table are what their columns say: a cell whose column is not in these sections
/// has no text in the twin.
pub fn twins(format: FormatId, sections: &Sections, project: &Pseudonyms) -> Option<Sections> {
    format.adapter().twins(sections, project)
}

/// Returns the twins of sections that are shown element by element.
pub(super) fn twins_of_elements(
    format: FormatId,
    sections: &Sections,
    project: &Pseudonyms,
) -> Option<Sections> {
    let adapter = format.adapter();
    let (sections, kinds) = with_all_shells(sections);
    let Rendered { bytes, order, .. } = adapter.render(&sections);
    if order.is_empty() {
        return Some(Sections::new());
    }
    let clean = deidentify(format, &bytes, project)?;
    let tree = adapter.parse(&clean, &Rules::builtin())?;
    let mut twins = Sections::new();
    for (node, placed) in tree.nodes.iter().zip(&order) {
        let mut role = Tree::role(node);
        if let (Role::Shell(hole), Some(stored)) = (&mut role, placed.item.hole()) {
            (hole.container, hole.kind) = (stored.container, stored.kind);
        }
        let mut bytes = tree.bytes(node);
        // Where nothing is shown the place of a shell's content may be read otherwise.
        if placed.item.bytes == bytes && placed.item.hole().is_some() {
            role = placed.item.role;
        }
        if let Role::Shell(hole) = &mut role {
            hole.kind = kinds.get(&hole.container).copied().unwrap_or(hole.kind);
        }
        // A number that was written so, and only happens to fit in what is shown here.
        if let (Role::Text, Role::Numbered(_)) = (placed.item.role, role) {
            (bytes, role) = (tree.span(node).to_vec(), Role::Text);
        }
        let (container, rank) = (placed.item.container, placed.item.rank.clone());
        let item = Item { container, rank, bytes, role };
        twins.entry(placed.slot).or_default().items.push(item);
    }
    twins.values_mut().for_each(super::SectionText::sort);
    (tree.nodes.len() == order.len()).then_some(twins)
}

/// Returns sections in which every shell shows, whatever is in it, and which kind each has that
/// would not: what becomes of a shell does not depend on what else is there.
fn with_all_shells(sections: &Sections) -> (Sections, BTreeMap<u32, HoleKind>) {
    let (mut all, mut kinds) = (sections.clone(), BTreeMap::new());
    for item in all.values_mut().flat_map(|text| &mut text.items) {
        if let Role::Shell(hole) = &mut item.role
            && matches!(hole.kind, HoleKind::Dropped | HoleKind::Vanishing)
        {
            kinds.insert(hole.container, hole.kind);
            hole.kind = HoleKind::Kept;
        }
    }
    (all, kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_hang_on_the_project_and_on_nothing_else() {
        let (one, two) = (Pseudonyms::new(&[1; 32]), Pseudonyms::new(&[2; 32]));
        let name = one.pseudonym("patient", "123");
        assert_eq!(name, Pseudonyms::new(&[1; 32]).pseudonym("patient", "123"));
        assert_eq!((name.len(), name.as_bytes()[14]), (36, b'8'));
        for other in [
            two.pseudonym("patient", "123"),
            one.pseudonym("patient", "124"),
            one.pseudonym("patien", "t123"),
            one.pseudonym("visit", "123"),
        ] {
            assert_ne!(name, other);
        }
        let uid = one.uid("1.2.840.1");
        assert!(uid.len() <= 64 && uid.starts_with("2.25."), "{uid}");
    }

    #[test]
    fn of_a_date_the_year_is_left_and_the_oldest_are_one_group() {
        let project = Pseudonyms::new(&[0; 32]);
        let year = |date: &str| project.year(date);
        for date in ["1976-12-04", "1976", "1976-12", "19761204", "1976-12-04T10:00:00+02:00"] {
            assert_eq!(year(date).as_deref(), Some("1976"), "{date}");
        }
        assert_eq!(year("20110304083000.123+1100").as_deref(), Some("2011"));
        for old in ["1890-01-01", "1931", "1940-12-31"] {
            assert_eq!(year(old).as_deref(), Some("1940"), "{old}");
        }
        assert_eq!(year("1941-01-01").as_deref(), Some("1941"));
        for none in
            ["", "Smith", "12/04/1976", "1976x", "19761", "0000-01-01", "9999", "02138", "197é"]
        {
            assert_eq!(year(none), None, "{none}");
        }
        let later = Pseudonyms::new(&[0; 32]).until(2050);
        assert_eq!(later.year("1950-01-01").as_deref(), Some("1960"));
    }
}
