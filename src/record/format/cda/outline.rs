//! The elements of a document down to where it is cut, with what each says about itself. One pass
//! of quick-xml; nothing is copied but what decides a section.

use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use super::super::rules::{Confidential, Hits, Rules};
use super::super::slots::Confidentiality;

/// Elements nest no deeper than this in a document that is cut.
const MAX_DEPTH: usize = 200;
const HL7: &str = "urn:hl7-org:v3";
const LOINC: &str = "2.16.840.1.113883.6.1";
/// Templates of DS4P that say that the element beside them is under a privacy law.
const PRIVACY: [&str; 2] = ["2.16.840.1.113883.3.3251.1.4", "2.16.840.1.113883.3.3251.1.9"];

/// Which element's children are looked at one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    File,
    Document,
    Target,
    Role,
    Patient,
    Component,
    Body,
    /// Not cut further.
    Leaf,
}

impl Level {
    fn below(self, name: &str) -> Self {
        match (self, name) {
            (Self::File, "ClinicalDocument") => Self::Document,
            (Self::Document, "recordTarget") => Self::Target,
            (Self::Document, "component") => Self::Component,
            (Self::Target, "patientRole") => Self::Role,
            (Self::Role, "patient") => Self::Patient,
            (Self::Component, "structuredBody") => Self::Body,
            _ => Self::Leaf,
        }
    }
}

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Element,
    /// A comment, or an instruction other than a style sheet.
    Remark,
    /// The instruction that names the style sheet.
    Style,
}

/// What was found in one element.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) hits: Hits,
    pub(super) raised: Confidential,
    /// The element's own label of confidentiality, or its section's.
    pub(super) label: Option<String>,
    /// The LOINC code of the element or of its section.
    pub(super) code: Option<String>,
    /// Templates of the section: root and extension.
    pub(super) templates: Vec<(String, Option<String>)>,
    /// Whether it is about the provision of care.
    pub(super) care: bool,
    private: bool,
}

impl Facts {
    pub(super) fn join(&mut self, other: &Self) {
        self.hits |= other.hits;
        self.raised |= other.raised;
    }

    /// Settles what a mark of privacy without a code of its own means.
    fn settle(&mut self, rules: &Rules) {
        let none = self.hits.strictest().is_none();
        if self.private && none && self.raised.exceeds(Confidentiality::Normal) {
            self.hits |= rules.code(Some("v3-ActCode"), "42CFRPart2").hits;
        }
    }
}

/// An element, comment or instruction where the document is cut.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) what: What,
    pub(super) name: &'a str,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) inner: Option<Inner<'a>>,
    pub(super) facts: Facts,
}

/// The content of an element that is cut.
#[derive(Debug)]
pub(super) struct Inner<'a> {
    pub(super) level: Level,
    /// The prefix of the element's name with its colon, which its children may have too.
    pub(super) prefix: &'a str,
    pub(super) start: usize,
    pub(super) parts: Vec<Part<'a>>,
}

struct Pass<'a, 'r> {
    reader: NsReader<&'a [u8]>,
    text: &'a str,
    base: usize,
    rules: &'r Rules,
    depth: usize,
    /// Text since the last tag.
    words: String,
}

/// One event with its place.
struct Step<'a> {
    event: Event<'a>,
    start: usize,
    end: usize,
}

/// Reads a document from `base` on; `None` when it is not well-formed, has a document type or
/// entities of its own, nests too deep, or is no clinical document. Also returns where the
/// declaration ends.
pub(super) fn outline<'a>(
    text: &'a str,
    base: usize,
    rules: &Rules,
) -> Option<(usize, Vec<Part<'a>>)> {
    let mut reader = NsReader::from_str(&text[base..]);
    let config = reader.config_mut();
    config.check_comments = true;
    config.check_end_names = true;
    let mut pass = Pass { reader, text, base, rules, depth: 0, words: String::new() };
    pass.file()
}

impl<'a> Pass<'a, '_> {
    fn step(&mut self) -> Option<Step<'a>> {
        let start = self.position()?;
        let event = self.reader.read_event().ok()?;
        let end = self.position()?;
        match &event {
            Event::Start(tag) | Event::Empty(tag) => self.bound(tag)?,
            Event::DocType(_) => return None,
            _ => {}
        }
        Some(Step { event, start, end })
    }

    fn position(&self) -> Option<usize> {
        usize::try_from(self.reader.buffer_position()).ok().map(|at| at + self.base)
    }

    /// Refuses a name whose prefix nobody declared.
    fn bound(&self, tag: &BytesStart<'_>) -> Option<()> {
        let known = |found: ResolveResult<'_>| !matches!(found, ResolveResult::Unknown(_));
        let resolver = self.reader.resolver();
        if !known(resolver.resolve_element(tag.name()).0) {
            return None;
        }
        for attribute in tag.attributes() {
            if !known(resolver.resolve_attribute(attribute.ok()?.key).0) {
                return None;
            }
        }
        Some(())
    }

    fn is_hl7(&self, tag: &BytesStart<'_>) -> bool {
        match self.reader.resolver().resolve_element(tag.name()).0 {
            ResolveResult::Bound(space) => space.as_ref() == HL7,
            _ => false,
        }
    }

    fn file(&mut self) -> Option<(usize, Vec<Part<'a>>)> {
        let (mut begin, mut parts, mut roots) = (self.base, Vec::new(), 0);
        loop {
            let step = self.step()?;
            match &step.event {
                Event::Eof => break,
                Event::Decl(declaration) if step.start == self.base => {
                    if let Some(encoding) = declaration.encoding() {
                        let encoding = encoding.ok()?;
                        let ok = ["UTF-8", "US-ASCII"];
                        ok.iter().find(|known| known.eq_ignore_ascii_case(&encoding))?;
                    }
                    begin = step.end;
                }
                Event::Start(tag) if roots == 0 => {
                    let is_document = tag.local_name().as_ref() == "ClinicalDocument";
                    if !is_document || !self.is_hl7(tag) {
                        return None;
                    }
                    roots = 1;
                    parts.push(self.element(&step, Level::File)?);
                }
                _ => self.beside(&step, &mut parts)?,
            }
        }
        (roots == 1).then_some((begin, parts))
    }

    /// Takes what may stand between elements: white space, comments, instructions.
    fn beside(&mut self, step: &Step<'a>, parts: &mut Vec<Part<'a>>) -> Option<()> {
        let what = match &step.event {
            Event::Text(text) => {
                let is_space = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
                return text.as_ref().as_bytes().iter().all(is_space).then_some(());
            }
            Event::PI(text) if text.target() == "xml-stylesheet" => What::Style,
            Event::PI(_) | Event::Comment(_) => What::Remark,
            _ => return None,
        };
        let (start, end) = (step.start, step.end);
        let hits = self.rules.words(&self.text[start..end]);
        let facts = Facts { hits, ..Facts::default() };
        parts.push(Part { what, name: &self.text[start..end], start, end, inner: None, facts });
        Some(())
    }

    fn element(&mut self, step: &Step<'a>, above: Level) -> Option<Part<'a>> {
        let (Event::Start(tag) | Event::Empty(tag)) = &step.event else { return None };
        let full = self.text.get(step.start + 1..step.start + 1 + tag.name().as_ref().len())?;
        let name = full.rsplit(':').next()?;
        let prefix = &full[..full.len() - name.len()];
        let mut facts = Facts::default();
        let level = if self.is_hl7(tag) { above.below(name) } else { Level::Leaf };
        let mut part = Part {
            what: What::Element,
            name,
            start: step.start,
            end: step.end,
            inner: None,
            facts: Facts::default(),
        };
        if level == Level::Leaf || matches!(step.event, Event::Empty(_)) {
            part.end = self.leaf(step, &mut facts)?;
            facts.settle(self.rules);
            part.facts = facts;
            return Some(part);
        }
        self.depth += 1;
        let mut parts = Vec::new();
        loop {
            let step = self.step()?;
            match &step.event {
                Event::End(_) => {
                    part.end = step.end;
                    break;
                }
                Event::Start(_) | Event::Empty(_) => parts.push(self.element(&step, level)?),
                _ => self.beside(&step, &mut parts)?,
            }
        }
        self.depth -= 1;
        part.inner = Some(Inner { level, prefix, start: step.end, parts });
        Some(part)
    }

    /// Passes an element that is not cut and returns where it ends.
    fn leaf(&mut self, first: &Step<'a>, facts: &mut Facts) -> Option<usize> {
        let mut path: Vec<String> = Vec::new();
        self.note(&first.event, &mut path, facts)?;
        let mut end = first.end;
        while !path.is_empty() {
            let step = self.step()?;
            self.note(&step.event, &mut path, facts)?;
            end = step.end;
        }
        Some(end)
    }

    fn note(&mut self, event: &Event<'_>, path: &mut Vec<String>, facts: &mut Facts) -> Option<()> {
        match event {
            Event::Text(text) => self.words.push_str(text.as_ref()),
            Event::CData(text) => self.words.push_str(text.as_ref()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(character) => self.words.push(character),
                None => self.words.push_str(&unescape(&format!("&{};", reference.as_ref())).ok()?),
            },
            Event::Start(tag) => {
                self.tag(tag, path, facts)?;
                path.push(tag.local_name().as_ref().to_owned());
                if path.len() + self.depth > MAX_DEPTH {
                    return None;
                }
            }
            Event::Empty(tag) => self.tag(tag, path, facts)?,
            Event::End(_) => {
                facts.hits |= self.rules.words(&self.words);
                self.words.clear();
                path.pop();
            }
            Event::Comment(_) | Event::PI(_) => {}
            Event::Decl(_) | Event::DocType(_) | Event::Eof => return None,
        }
        Some(())
    }

    fn tag(&mut self, tag: &BytesStart<'_>, path: &[String], facts: &mut Facts) -> Option<()> {
        facts.hits |= self.rules.words(&self.words);
        self.words.clear();
        let (mut code, mut system, mut root, mut extension) = (None, None, None, None);
        for attribute in tag.attributes() {
            let attribute = attribute.ok()?;
            let value = unescape(&attribute.value).ok()?.into_owned();
            match attribute.key.as_ref() {
                "code" => code = Some(value),
                "codeSystem" => system = Some(value),
                "root" => root = Some(value),
                "extension" => extension = Some(value),
                "classCode" => facts.care |= value == "PCPR",
                "displayName" | "title" => facts.hits |= self.rules.words(&value),
                _ => {}
            }
        }
        let name = tag.local_name();
        let name = name.as_ref();
        // The element itself, or the section in the component.
        let own = path.is_empty() || (path.len() == 2 && path[1] == "section");
        if name == "templateId" {
            if let Some(root) = root {
                facts.private |= PRIVACY.contains(&root.as_str());
                if own {
                    facts.templates.push((root, extension));
                }
            }
            return Some(());
        }
        let Some(code) = code else { return Some(()) };
        if name == "confidentialityCode" {
            facts.raised.raise(&code);
            if own {
                facts.label = Some(code);
            }
            return Some(());
        }
        let found = self.rules.code(system.as_deref(), &code);
        facts.hits |= found.hits;
        if let Some(level) = found.level {
            facts.raised.raise_to(level);
        }
        let is_loinc = system.as_deref().is_none_or(|system| system == LOINC);
        if own && name == "code" && is_loinc && facts.code.is_none() {
            facts.code = Some(code);
        }
        Some(())
    }
}
