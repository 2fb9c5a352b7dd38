//! C-CDA and other CDA documents in XML: the header by its elements, the body by its sections.
//!
//! | part | in the view | section |
//! |---|---|---|
//! | declaration, style sheet, tags of what is cut, realmCode, typeId, templateId, code, languageCode | always | frame |
//! | id, title, effectiveTime, confidentialityCode | or a stub | whole |
//! | recordTarget/patientRole: id | or a stub | identifiers |
//! | addr, telecom there | or a stub | contact |
//! | patient: name to ethnicGroupCode | or a stub | demographics |
//! | guardian, informant, participant | or not | contact |
//! | author, custodian | or a stub | directory |
//! | dataEnterer, authenticator, legalAuthenticator | or not | provenance |
//! | documentationOf, componentOf | or not | encounters; a provision of care careplan |
//! | component of structuredBody | or not | by its labels, codes and words, then its LOINC code and template |
//! | the same, where the document's template wants it, or the first of a body that wants none | or a stub | the same |
//! | component with nonXMLBody | or a stub | notes |
//! | comments and instructions between these | or not | notes |
//!
//! Elements of one name that have a stub go together. A nested section goes with the outer one. A
//! section's own label counts instead of the document's. Not cut are texts that are not UTF-8,
//! not well-formed, or have a document type.

pub(super) mod identity;
mod marker;
mod outline;
mod safe_harbor;
mod stub;
#[cfg(test)]
mod tests;
mod types;

use std::borrow::Cow;

use super::adapter::{Adapter, Glue};
use super::rules::{Confidential, Rules};
use super::safe_harbor::Pseudonyms;
use super::section::{DOCUMENT, HoleKind, INNER, LIST, Measure, ROOT, SectionText};
use super::slots::Slot;
use super::tree::{Claim, Form, Gap, Kind, Tree};
use super::{FormatId, MAX_SPLIT_BYTES, Sections};

use outline::{Facts, Inner, Level, Part, What, outline};

pub(super) use types::{section_of_loinc, title_of};

pub(super) struct Cda;

impl Adapter for Cda {
    fn id(&self) -> FormatId {
        FormatId::Cda
    }

    fn name(&self) -> &'static str {
        "CDA XML"
    }

    fn glue(&self) -> Glue {
        Glue { list: false, inner: false }
    }

    /// White space at tags is what a tool that prints the file anew changes.
    fn same(&self, a: &[u8], b: &[u8]) -> bool {
        a == b || Tight::of(a).eq(Tight::of(b))
    }

    /// Any section may hold what a stub stands for.
    fn shell_parts(&self) -> &'static [Slot] {
        self.slots()
    }

    fn deidentify(&self, text: &[u8], project: &Pseudonyms) -> Option<Vec<u8>> {
        safe_harbor::of(&self.parse(text, &Rules::builtin())?, project)
    }

    fn marker(&self, hidden: &[Slot], shown: &Sections) -> Option<SectionText> {
        marker::of(hidden, shown)
    }

    fn marker_measure(&self, hidden: &[Slot], _visible: &[(Slot, Measure)]) -> Option<Measure> {
        hidden.is_empty().then(Measure::default)
    }

    fn parse<'a>(&self, bytes: &'a [u8], rules: &Rules) -> Option<Tree<'a>> {
        if bytes.len() > MAX_SPLIT_BYTES {
            return None;
        }
        let text = std::str::from_utf8(bytes).ok()?;
        let base = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        // Cheaper than a pass of the XML reader over what is something else.
        if !text[base..].trim_start().starts_with('<') {
            return None;
        }
        let (begin, parts) = outline(text, base, rules)?;
        let root = parts.iter().find(|part| part.what == What::Element)?;
        let mut cut = Cut {
            tree: Tree::new(Kind::Shell("document"), bytes),
            label: label_of(root),
            required: types::required(own(root, "code").and_then(|facts| facts.code.as_deref())),
            next_container: INNER,
            has_body: false,
        };
        let shell = cut.push(DOCUMENT, "", 0, Slot::FRAME);
        let end = cut.fill(Level::File, "", &parts, ROOT, begin)?;
        cut.close(shell, (begin, end), bytes.len(), ROOT);
        Some(cut.tree)
    }
}

fn own<'p>(root: &'p Part<'_>, name: &str) -> Option<&'p Facts> {
    let parts = &root.inner.as_ref()?.parts;
    parts.iter().find(|part| part.name == name).map(|part| &part.facts)
}

fn label_of(root: &Part<'_>) -> Option<String> {
    own(root, "confidentialityCode").and_then(|facts| facts.label.clone())
}

/// Returns the run that an element belongs to: its neighbours of the same run are one element.
fn run_of(level: Level, name: &str) -> Option<&'static str> {
    let header = ["id", "title", "effectiveTime", "confidentialityCode", "author", "custodian"];
    match (level, name) {
        (Level::Document, _) => header.into_iter().find(|run| *run == name),
        (Level::Role, "id" | "identifiedBy") => Some("id"),
        (Level::Role, "addr" | "telecom") => Some("addr"),
        (Level::Patient, _) if types::is_demographic(name) => Some("name"),
        _ => None,
    }
}

struct Cut<'a> {
    tree: Tree<'a>,
    /// The document's label of confidentiality.
    label: Option<String>,
    /// LOINC codes of the sections that the document's template wants.
    required: &'static [&'static str],
    next_container: u32,
    has_body: bool,
}

impl<'a> Cut<'a> {
    fn push(&mut self, container: u32, identity: &'a str, start: usize, slot: Slot) -> usize {
        let identity = Cow::Borrowed(identity.as_bytes());
        self.tree.push(container, identity, start, Claim::Fixed(slot))
    }

    fn close(&mut self, shell: usize, (start, end): (usize, usize), node_end: usize, fills: u32) {
        let kind = HoleKind::Kept;
        let gap = Gap { start, end, container: fills, kind, separator: 0, stub: Vec::new() };
        let node = &mut self.tree.nodes[shell];
        node.end = node_end;
        node.form = Form::Shell(gap);
    }

    fn take_container(&mut self) -> u32 {
        self.next_container += 1;
        self.next_container - 1
    }

    /// Takes the parts of one element and returns where the last one ends.
    fn fill(
        &mut self,
        level: Level,
        prefix: &str,
        parts: &[Part<'a>],
        container: u32,
        begin: usize,
    ) -> Option<usize> {
        let is_wanted = |part: &Part<'_>| self.wanted(part).is_some();
        let any_wanted = parts.iter().any(is_wanted);
        let first = parts.iter().position(|part| part.name == "component");
        let (mut from, mut at, mut runs) = (begin, 0, Vec::new());
        while let Some(part) = parts.get(at) {
            let run = run_of(level, part.name).filter(|_| part.what == What::Element);
            let count = run.map_or(1, |run| length_of(level, run, &parts[at..]));
            let end = parts[at + count - 1].end;
            let place = Place { container, from, start: part.start, end };
            if let Some(run) = run {
                // Two runs of one name would be one when what stands between is hidden.
                if runs.contains(&run) {
                    return None;
                }
                runs.push(run);
                let slot = self.slot_of_run(level, &parts[at..at + count]);
                self.stub(&place, run, slot, stub::header(run, prefix));
            } else if level == Level::Body && part.name == "component" {
                let is_first = !any_wanted && first == Some(at);
                self.section(part, &place, prefix, is_first);
            } else {
                self.part(level, prefix, part, &place)?;
            }
            from = end;
            at += count;
        }
        Some(from)
    }

    fn slot_of_run(&self, level: Level, parts: &[Part<'_>]) -> Slot {
        let name = parts[0].name;
        if level != Level::Document {
            return types::of_patient(name);
        }
        let mut facts = Facts::default();
        for part in parts {
            facts.join(&part.facts);
        }
        Rules::decide(types::of_header(name, false), facts.hits, facts.raised)
    }

    /// Takes an element, with the white space before it, that a stub stands for while it is
    /// hidden. The white space stays: a stub has the same length in every layout.
    fn stub(&mut self, place: &Place, identity: &'a str, slot: Slot, stub: Vec<u8>) {
        let &Place { container, from, start, end } = place;
        if from < start {
            let space = self.push(container, " ", from, Slot::FRAME);
            self.tree.nodes[space].end = start;
        }
        let inner = self.take_container();
        let is_stub = self.tree.text[start..end] == stub[..];
        let stub_len = u32::try_from(stub.len()).expect("a stub is short");
        let shell = self.push(container, identity, start, Slot::FRAME);
        let gap = Gap { start, end, container: inner, kind: HoleKind::Stub, separator: 0, stub };
        self.tree.nodes[shell].end = end;
        self.tree.nodes[shell].form = Form::Shell(gap);
        if !is_stub {
            let child = self.push(inner, identity, start, slot);
            self.tree.nodes[child].end = end;
            self.tree.nodes[child].form = Form::Instead(stub_len);
        }
    }

    /// Returns the code of a section that the document's template wants.
    fn wanted(&self, part: &Part<'_>) -> Option<&'static str> {
        let code = part.facts.code.as_deref().filter(|_| part.name == "component")?;
        self.required.iter().copied().find(|wanted| *wanted == code)
    }

    /// Returns the section of clinical content: its own label counts instead of the document's.
    fn clinical(&self, typed: Slot, facts: &Facts) -> Slot {
        let mut raised: Confidential = facts.raised;
        if let (None, Some(label)) = (&facts.label, &self.label) {
            raised.raise(label);
        }
        Rules::decide(typed, facts.hits, raised)
    }

    fn section(&mut self, part: &Part<'a>, place: &Place, prefix: &str, is_first: bool) {
        let facts = &part.facts;
        let typed = types::of_section(facts.code.as_deref(), &facts.templates);
        let slot = self.clinical(typed, facts);
        if let Some(code) = self.wanted(part) {
            return self.stub(place, code, slot, stub::section(facts, code, prefix));
        }
        if is_first {
            return self.stub(place, "first", slot, stub::first_section(prefix));
        }
        let is_mark = marker::is_mark(&self.tree.text[place.start..place.end]);
        let code = if is_mark { "withheld" } else { facts.code.as_deref().unwrap_or_default() };
        let identity = Cow::Owned(format!("section {code}").into_bytes());
        let node = self.tree.push(place.container, identity, place.from, Claim::Fixed(slot));
        self.tree.nodes[node].end = place.end;
    }

    /// Takes a part that has no stub.
    fn part(&mut self, level: Level, prefix: &str, part: &Part<'a>, place: &Place) -> Option<()> {
        let facts = &part.facts;
        let slot = match (part.what, level, part.name) {
            (What::Style, _, _) => Slot::FRAME,
            (What::Remark, _, _) => Rules::decide(Slot::NOTES, facts.hits, facts.raised),
            (_, Level::Document, "component") if !holds_body(part) => {
                let mut facts = Facts::default();
                let inner = part.inner.iter().flat_map(|inner| &inner.parts);
                for part in inner.chain([part]) {
                    facts.join(&part.facts);
                }
                let slot = self.clinical(Slot::NOTES, &facts);
                self.stub(place, "component", slot, stub::header("component", prefix));
                return Some(());
            }
            (_, _, name) => match &part.inner {
                Some(inner) => return self.shell(name, inner, part, place),
                None => self.slot_of_leaf(level, name, facts)?,
            },
        };
        let node = self.push(place.container, part.name, place.from, slot);
        self.tree.nodes[node].end = part.end;
        Some(())
    }

    /// Returns the section of an element that is not cut and has no stub; `None` when it would
    /// stand in the frame and tells something sensitive.
    fn slot_of_leaf(&self, level: Level, name: &str, facts: &Facts) -> Option<Slot> {
        Some(match (level, name) {
            (Level::Target, _) => Slot::IDENTIFIERS,
            (Level::Role | Level::Patient, _) => types::of_patient(name),
            (Level::Body, "confidentialityCode") => self.clinical(Slot::WHOLE, facts),
            (Level::Document | Level::Body, _) => match types::of_header(name, facts.care) {
                Slot::FRAME if facts.hits.strictest().is_some() => return None,
                Slot::FRAME => Slot::FRAME,
                typed @ (Slot::ENCOUNTERS | Slot::CAREPLAN | Slot::PROCEDURES) => {
                    self.clinical(typed, facts)
                }
                typed => Rules::decide(typed, facts.hits, facts.raised),
            },
            _ => Rules::decide(Slot::OTHER, facts.hits, facts.raised),
        })
    }

    fn shell(
        &mut self,
        name: &'a str,
        inner: &Inner<'a>,
        part: &Part<'a>,
        place: &Place,
    ) -> Option<()> {
        let container = if inner.level == Level::Body {
            if std::mem::replace(&mut self.has_body, true) {
                return None;
            }
            LIST
        } else {
            self.take_container()
        };
        let node = self.push(place.container, name, place.from, Slot::FRAME);
        let end = self.fill(inner.level, inner.prefix, &inner.parts, container, inner.start)?;
        self.close(node, (inner.start, end), part.end, container);
        Some(())
    }
}

/// Where an element stands: its container, where the one before it ends, and its span.
struct Place {
    container: u32,
    from: usize,
    start: usize,
    end: usize,
}

fn holds_body(part: &Part<'_>) -> bool {
    let mut inner = part.inner.iter().flat_map(|inner| &inner.parts);
    inner.any(|part| part.inner.as_ref().is_some_and(|inner| inner.level == Level::Body))
}

/// Returns how many parts a run has, with the remarks inside.
fn length_of(level: Level, run: &str, parts: &[Part<'_>]) -> usize {
    let mut count = 1;
    for (index, part) in parts.iter().enumerate() {
        match part.what {
            What::Element if run_of(level, part.name) == Some(run) => count = index + 1,
            What::Element => break,
            What::Remark | What::Style => {}
        }
    }
    count
}

/// The bytes of a text without white space beside tags.
struct Tight<'a> {
    rest: &'a [u8],
    after_tag: bool,
}

impl<'a> Tight<'a> {
    fn of(text: &'a [u8]) -> Self {
        Self { rest: text, after_tag: true }
    }
}

impl Iterator for Tight<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let space = self.rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        let beside = self.after_tag || self.rest.get(space).is_none_or(|&b| b == b'<');
        if beside {
            self.rest = &self.rest[space..];
        }
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.after_tag = first == b'>';
        Some(first)
    }
}
