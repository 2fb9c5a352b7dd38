//! The composition of a document: a shell that everybody sees, around sections whose references
//! go with what they refer to.
//!
//! | member | section |
//! |---|---|
//! | type, date, status, language and the like; a title in words of every document; a subject and authors that are bare references | frame |
//! | other subjects; identifier | `identifiers` |
//! | other authors, attester, custodian | `directory` |
//! | meta, relatesTo | `whole` |
//! | encounter | with the encounter |
//! | other members, narrative of the whole | `notes`, raised by what it says |
//! | section: brackets | frame, shown with anything inside |
//! | section: code and title | by LOINC code; with its content where all of that is sensitive |
//! | section: code, where every document of the type has it | frame |
//! | section: text | by LOINC code, or `notes` where it tells of something of another section; raised by what it says and refers to |
//! | section: entry | with what it refers to; by LOINC code where that is not in the bundle |
//!
//! A composition whose own type, title or label tells something sensitive is one element.

use std::borrow::Cow;
use std::collections::HashMap;

use super::super::cda::section_of_loinc;
use super::super::json::{Cursor, Part, Walk};
use super::super::rules::{Confidential, Hits, Rules};
use super::super::section::{HoleKind, LIST};
use super::super::slots::{Confidentiality, Slot};
use super::super::tree::{Claim, Tree};
use super::{Facts, Place, scan};

/// Sections in sections beyond this go with the one that holds them.
const MAX_LEVEL: usize = 3;
/// How deep in the bundle the members of sections at most stand.
const DEPTH: usize = 16;

/// Documents by LOINC code of their type, with the sections that every one has.
const WANTED: [(&str, &[&str]); 1] = [("60591-5", &["11450-4", "48765-2", "10160-0"])];

/// Words of titles that tell nothing but what kind of document it is.
const TITLE_WORDS: [&str; 30] = [
    "admission",
    "and",
    "care",
    "chart",
    "clinical",
    "consultation",
    "continuity",
    "discharge",
    "document",
    "emergency",
    "for",
    "health",
    "history",
    "international",
    "ips",
    "letter",
    "medical",
    "note",
    "of",
    "operative",
    "patient",
    "physical",
    "progress",
    "record",
    "referral",
    "report",
    "set",
    "summary",
    "the",
    "transfer",
];

/// What is settled when all entries of the bundle are known.
#[derive(Default)]
pub(super) struct Pending<'a> {
    /// Nodes that refer to an entry, with its name.
    references: Vec<(usize, Cow<'a, str>)>,
    sections: Vec<Section>,
}

/// The nodes of one section of a composition.
struct Section {
    own: Slot,
    is_wanted: bool,
    heading: Vec<usize>,
    text: Option<usize>,
    /// References, and sections inside that are not cut.
    entries: Vec<usize>,
}

/// What a composition says of itself outside its sections.
pub(super) struct Head {
    wanted: &'static [&'static str],
}

/// Looks at the composition in an entry; `None` when it is to stay one element.
pub(super) fn head_of(mut cursor: Cursor<'_>, rules: &Rules) -> Option<Head> {
    let (mut hits, mut raised) = (Hits::default(), Confidential::default());
    let mut head = None;
    cursor.parts(|c, part| {
        if part.key != "resource" || c.token() != b'{' {
            return c.skip_value();
        }
        let mut wanted: &[&str] = &[];
        c.parts(|c, part| {
            let key = part.key.as_ref();
            if key == "type" {
                let code = loinc_of(&mut c.clone());
                let row = WANTED.iter().find(|row| code.as_deref() == Some(row.0));
                wanted = row.map_or(&[], |row| row.1);
            }
            if matches!(key, "section" | "text") {
                return c.skip_value();
            }
            if key == "confidentiality" && c.token() == b'"' {
                raised.raise(&c.string()?);
                return Some(());
            }
            let facts = facts_of(c, rules)?;
            hits |= facts.hits;
            raised |= facts.raised;
            Some(())
        })?;
        head = Some(Head { wanted });
        Some(())
    })?;
    let is_sensitive = hits.strictest().is_some() || raised.exceeds(Confidentiality::Normal);
    head.filter(|_| !is_sensitive)
}

/// Passes a value and returns what it says.
fn facts_of<'a>(c: &mut Cursor<'a>, rules: &Rules) -> Option<Facts<'a>> {
    if c.token() == b'"' {
        let hits = rules.words(&c.string()?);
        return Some(Facts { hits, ..Facts::default() });
    }
    scan(c, Place::Inside, DEPTH, rules)
}

/// Returns the code of a concept that is a LOINC one, or has no system.
pub(super) fn loinc_of(c: &mut Cursor<'_>) -> Option<String> {
    let mut found = None;
    let coding = |c: &mut Cursor<'_>, found: &mut Option<String>| {
        let (mut is_loinc, mut code) = (true, None);
        c.parts(|c, part| match (part.key.as_ref(), c.token()) {
            ("system", b'"') => {
                is_loinc = c.string()?.contains("loinc");
                Some(())
            }
            ("code", b'"') => {
                code = Some(c.string()?.into_owned());
                Some(())
            }
            _ => c.skip_value(),
        })?;
        *found = found.take().or(code.filter(|_| is_loinc));
        Some(())
    };
    c.parts(|c, part| match (part.key.as_ref(), c.token()) {
        ("coding", b'[') => c
            .parts(|c, _| if c.token() == b'{' { coding(c, &mut found) } else { c.skip_value() })
            .map(|_| ()),
        _ => c.skip_value(),
    })?;
    found
}

/// Takes the entry at the cursor, which holds a composition.
pub(super) fn entry<'a>(
    walk: &mut Walk<'a, '_>,
    cursor: &mut Cursor<'a>,
    part: &Part<'a>,
    identity: Cow<'a, str>,
    head: &Head,
    pending: &mut Pending<'a>,
) -> Option<usize> {
    let shell = walk.push(LIST, identity, part.start, Claim::Fixed(Slot::FRAME));
    let outer = walk.take_container();
    walk.container(cursor, shell, outer, HoleKind::Kept, |walk, c, part| {
        let mut ahead = c.clone();
        ahead.skip_value()?;
        let has_query = walk.text[part.value..ahead.at()].contains('?');
        let claim = Claim::Fixed(super::types::of_patient_entry_key(&part.key, has_query));
        let index = walk.push(outer, part.key.clone(), part.start, claim);
        if part.key == "resource" {
            let inner = walk.take_container();
            walk.container(c, index, inner, HoleKind::Kept, |walk, c, part| {
                Take { walk, head, pending: &mut *pending }.member(c, part, inner)
            })?;
        } else {
            *c = ahead;
        }
        Some(index)
    })?;
    Some(shell)
}

struct Take<'t, 'a, 'r> {
    walk: &'t mut Walk<'a, 'r>,
    head: &'t Head,
    pending: &'t mut Pending<'a>,
}

impl<'a> Take<'_, 'a, '_> {
    fn push(&mut self, container: u32, part: &Part<'a>, claim: Claim<'a>) -> usize {
        self.walk.push(container, part.key.clone(), part.start, claim)
    }

    /// Takes a member of the composition.
    fn member(&mut self, c: &mut Cursor<'a>, part: &Part<'a>, container: u32) -> Option<usize> {
        let key = part.key.trim_start_matches('_');
        if part.key == "section" && c.token() == b'[' {
            return self.sections(c, part, container, 1);
        }
        let value = c.clone();
        let to = reference_of(&mut value.clone());
        let facts = facts_of(c, self.walk.rules)?;
        let text = &self.walk.text[part.value..c.at()];
        let slot = match key {
            "resourceType" | "id" | "status" | "type" | "category" | "date" | "language"
            | "confidentiality" | "implicitRules" => Slot::FRAME,
            "title" if is_plain_title(text) => Slot::FRAME,
            "subject" if is_bare(value.clone()) => Slot::FRAME,
            "author" if are_bare(value) => Slot::FRAME,
            "subject" | "identifier" => Slot::IDENTIFIERS,
            "author" | "attester" | "custodian" => Slot::DIRECTORY,
            "meta" | "relatesTo" => Slot::WHOLE,
            "encounter" => {
                let index = self.push(container, part, typed(Slot::ENCOUNTERS, facts));
                self.pending.references.extend(to.map(|to| (index, to)));
                return Some(index);
            }
            _ => return Some(self.push(container, part, typed(Slot::NOTES, facts))),
        };
        Some(self.push(container, part, Claim::Fixed(slot)))
    }

    fn sections(
        &mut self,
        c: &mut Cursor<'a>,
        part: &Part<'a>,
        container: u32,
        level: usize,
    ) -> Option<usize> {
        let index = self.push(container, part, Claim::Fixed(Slot::FRAME));
        let inner = self.walk.take_container();
        let (head, pending) = (self.head, &mut *self.pending);
        self.walk.container(c, index, inner, HoleKind::Vanishing, |walk, c, part| {
            Take { walk, head, pending: &mut *pending }.section(c, part, inner, level)
        })?;
        Some(index)
    }

    fn section(
        &mut self,
        c: &mut Cursor<'a>,
        part: &Part<'a>,
        container: u32,
        level: usize,
    ) -> Option<usize> {
        if c.token() != b'{' {
            let facts = facts_of(c, self.walk.rules)?;
            return Some(self.push(container, part, typed(Slot::NOTES, facts)));
        }
        let about = about_of(c.clone())?;
        let code = about.code.as_deref();
        let wanted = code.filter(|code| level == 1 && self.head.wanted.contains(code));
        let own = code.and_then(section_of_loinc).unwrap_or(Slot::NOTES);
        let name = about.code.clone().map_or(about.title, Cow::Owned);
        let shell = self.walk.push(container, name, part.start, Claim::Fixed(Slot::FRAME));
        let inner = self.walk.take_container();
        let mut section = Section {
            own,
            is_wanted: wanted.is_some() && about.is_filled,
            heading: Vec::new(),
            text: None,
            entries: Vec::new(),
        };
        let (head, pending) = (self.head, &mut *self.pending);
        self.walk.container(c, shell, inner, HoleKind::Vanishing, |walk, c, part| {
            let mut take = Take { walk, head, pending: &mut *pending };
            take.section_member(c, part, inner, level, &mut section)
        })?;
        self.pending.sections.push(section);
        Some(shell)
    }

    fn section_member(
        &mut self,
        c: &mut Cursor<'a>,
        part: &Part<'a>,
        container: u32,
        level: usize,
        section: &mut Section,
    ) -> Option<usize> {
        match (part.key.as_ref(), c.token()) {
            ("entry", b'[') => return self.entries(c, part, container, section),
            ("section", b'[') if level < MAX_LEVEL => {
                return self.sections(c, part, container, level + 1);
            }
            _ => {}
        }
        let facts = facts_of(c, self.walk.rules)?;
        let is_plain = facts.hits == Hits::default();
        let index = self.push(container, part, typed(section.own, facts));
        match part.key.as_ref() {
            "code" if section.is_wanted && is_plain => {
                self.walk.tree.nodes[index].claim = Claim::Fixed(Slot::FRAME);
            }
            "title" | "_title" | "code" | "mode" | "orderedBy" => section.heading.push(index),
            "text" => section.text = Some(index),
            "section" => section.entries.push(index),
            _ => {}
        }
        Some(index)
    }

    fn entries(
        &mut self,
        c: &mut Cursor<'a>,
        part: &Part<'a>,
        container: u32,
        section: &mut Section,
    ) -> Option<usize> {
        let index = self.push(container, part, Claim::Fixed(Slot::FRAME));
        let inner = self.walk.take_container();
        let pending = &mut *self.pending;
        self.walk.container(c, index, inner, HoleKind::Vanishing, |walk, c, part| {
            let to = reference_of(&mut c.clone());
            let facts = facts_of(c, walk.rules)?;
            let name = to.clone().unwrap_or(Cow::Borrowed(&walk.text[part.value..c.at()]));
            let index = walk.push(inner, name, part.start, typed(section.own, facts));
            section.entries.push(index);
            pending.references.extend(to.map(|to| (index, to)));
            Some(index)
        })?;
        Some(index)
    }
}

fn typed(slot: Slot, facts: Facts<'_>) -> Claim<'_> {
    Claim::Typed(slot, Box::new(facts))
}

struct About<'a> {
    code: Option<String>,
    title: Cow<'a, str>,
    /// Whether it has more than a code.
    is_filled: bool,
}

fn about_of(mut cursor: Cursor<'_>) -> Option<About<'_>> {
    let mut about = About { code: None, title: Cow::Borrowed(""), is_filled: false };
    cursor.parts(|c, part| {
        match (part.key.as_ref(), c.token()) {
            ("code", b'{') => about.code = loinc_of(&mut c.clone()),
            ("title", b'"') => {
                about.title = c.clone().string()?;
                about.is_filled = true;
            }
            ("text" | "entry" | "section" | "emptyReason", _) => about.is_filled = true,
            _ => {}
        }
        c.skip_value()
    })?;
    Some(about)
}

/// Returns to what an object refers.
fn reference_of<'a>(c: &mut Cursor<'a>) -> Option<Cow<'a, str>> {
    let mut found = None;
    if c.token() != b'{' {
        return None;
    }
    c.parts(|c, part| {
        if part.key == "reference" && c.token() == b'"' {
            found = Some(c.string()?);
            return Some(());
        }
        c.skip_value()
    })?;
    found
}

/// Says whether an object is a reference and no more.
fn is_bare(mut c: Cursor<'_>) -> bool {
    let mut bare = c.token() == b'{';
    let parts = c.parts(|c, part| {
        bare &= matches!(part.key.as_ref(), "reference" | "type") && c.token() == b'"';
        c.skip_value()
    });
    bare && parts.is_some()
}

fn are_bare(mut c: Cursor<'_>) -> bool {
    let mut bare = c.token() == b'[';
    let parts = c.parts(|c, _| {
        bare &= is_bare(c.clone());
        c.skip_value()
    });
    bare && parts.is_some()
}

fn is_plain_title(value: &str) -> bool {
    let words = value.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).all(|word| TITLE_WORDS.contains(&word.as_str()))
}

impl Pending<'_> {
    /// Gives what refers to an entry the section of that.
    pub(super) fn settle(self, tree: &mut Tree<'_>) {
        if self.references.is_empty() && self.sections.is_empty() {
            return;
        }
        let names = names(tree);
        let found: Vec<(usize, usize)> = self
            .references
            .iter()
            .filter_map(|(node, to)| Some((*node, find(&names, to)?)))
            .collect();
        drop(names);
        for (node, target) in found {
            if let Claim::Typed(_, facts) = &tree.nodes[node].claim {
                tree.nodes[node].claim = Claim::With(target, facts.hits);
            }
        }
        for section in &self.sections {
            section.settle_text(tree);
        }
        let slots = tree.slots();
        for section in &self.sections {
            section.settle_heading(tree, &slots);
        }
    }
}

impl Section {
    /// A narrative refers to what the section lists, and is a note where that belongs elsewhere.
    fn settle_text(&self, tree: &mut Tree<'_>) {
        let Some(text) = self.text else { return };
        let (mut targets, mut is_note) = (Vec::new(), false);
        for &entry in &self.entries {
            let Claim::With(target, _) = tree.nodes[entry].claim else { continue };
            if let Claim::Typed(slot, facts) = &tree.nodes[target].claim {
                is_note |= *slot != self.own && *slot != Slot::DIRECTORY;
                targets.extend(facts.name());
            }
        }
        if let Claim::Typed(slot, facts) = &mut tree.nodes[text].claim {
            facts.references.extend(targets);
            *slot = if is_note { Slot::NOTES } else { *slot };
        }
    }

    /// The title of a section that tells sensitive things only is one itself.
    fn settle_heading(&self, tree: &mut Tree<'_>, slots: &[Slot]) {
        let content: Vec<Slot> =
            self.text.iter().chain(&self.entries).map(|&index| slots[index]).collect();
        if content.iter().any(|slot| !slot.is_sensitive()) {
            return;
        }
        let strictest = Slot::SENSITIVE.into_iter().find(|slot| content.contains(slot));
        for &index in &self.heading {
            if let Some(slot) = strictest.filter(|_| !self.is_wanted) {
                tree.nodes[index].claim = Claim::Fixed(slot);
            }
        }
    }
}

/// Returns the entries that are elements by what they are called.
fn names(tree: &Tree<'_>) -> HashMap<String, usize> {
    let mut names = HashMap::new();
    for (index, node) in tree.nodes.iter().enumerate().filter(|(_, n)| n.container == LIST) {
        let Claim::Typed(_, facts) = &node.claim else { continue };
        names.extend(facts.full_url.as_ref().map(|url| (url.to_string(), index)));
        if let (Some(kind), Some(id)) = (&facts.resource_type, &facts.id) {
            names.insert(format!("{kind}/{id}"), index);
        }
    }
    names
}

/// Finds an entry by its URL, or by type and id at the end of one, whatever version is meant.
fn find(names: &HashMap<String, usize>, to: &str) -> Option<usize> {
    let to = to.split_once("/_history/").map_or(to, |(to, _)| to);
    let last = |to: &str| {
        let (rest, id) = to.rsplit_once('/')?;
        let kind = rest.rsplit_once('/').map_or(rest, |(_, kind)| kind);
        names.get(&format!("{kind}/{id}")).copied()
    };
    names.get(to).copied().or_else(|| last(to))
}
