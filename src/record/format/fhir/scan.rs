//! What an element says about itself: identity, type, labels, codes. One pass over its bytes.

use std::borrow::Cow;

use super::super::json::{Cursor, MAX_DEPTH};
use super::super::rules::{Confidential, Hits, Rules};
use super::super::slots::Slot;

/// What was found in one element.
#[derive(Debug, Default)]
pub(in super::super) struct Facts<'a> {
    pub(in super::super) full_url: Option<Cow<'a, str>>,
    pub(in super::super) resource_type: Option<Cow<'a, str>>,
    pub(in super::super) id: Option<Cow<'a, str>>,
    /// Sections of the sensitive codes, labels and words inside.
    pub(in super::super) hits: Hits,
    /// The strictest label of confidentiality inside.
    pub(in super::super) raised: Confidential,
    /// The section that a category code names.
    pub(in super::super) category: Option<Slot>,
    /// Whether it carries text or a document that nobody can classify.
    pub(in super::super) attachment: bool,
    /// What it gives as reason, result or subject of payment.
    pub(in super::super) references: Vec<Cow<'a, str>>,
    /// Whether a key that decides its section or its identity stands twice.
    pub(in super::super) repeated: bool,
}

impl<'a> Facts<'a> {
    /// Returns what others call it.
    pub(super) fn name(&self) -> Option<Cow<'a, str>> {
        let by_type = || {
            let (kind, id) = (self.resource_type.as_ref()?, self.id.as_ref()?);
            Some(Cow::Owned(format!("{kind}/{id}")))
        };
        self.full_url.clone().or_else(by_type)
    }
}

/// Which object of an entry the scan is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Place {
    /// The entry of a bundle.
    Entry,
    /// A resource: its own keys decide type and identity.
    Resource,
    /// Anything below.
    Inside,
    /// A value of a plain file, where every string is looked at.
    Plain,
}

/// Members whose reference tells what the element is about.
const TELLING: [&str; 31] = [
    "addresses",
    "authorizingPrescription",
    "basedOn",
    "claim",
    "claimResponse",
    "condition",
    "derivedFrom",
    "detail",
    "diagnosisReference",
    "focus",
    "goal",
    "hasMember",
    "indication",
    "item",
    "itemReference",
    "manifestation",
    "medicationReference",
    "originalPrescription",
    "outcomeReference",
    "partOf",
    "prescription",
    "problem",
    "procedureReference",
    "reason",
    "reasonReference",
    "reference",
    "replaces",
    "report",
    "request",
    "result",
    "supportingInfo",
];

struct Scan<'a, 'r> {
    rules: &'r Rules,
    facts: Facts<'a>,
    in_category: bool,
}

/// Passes the value at the cursor and returns what it says about itself.
pub(in super::super) fn scan<'a>(
    cursor: &mut Cursor<'a>,
    place: Place,
    depth: usize,
    rules: &Rules,
) -> Option<Facts<'a>> {
    let mut scan = Scan { rules, facts: Facts::default(), in_category: false };
    scan.value(cursor, place, "", depth)?;
    Some(scan.facts)
}

impl<'a> Scan<'a, '_> {
    fn value(
        &mut self,
        cursor: &mut Cursor<'a>,
        place: Place,
        key: &str,
        depth: usize,
    ) -> Option<()> {
        match cursor.token() {
            b'{' => self.object(cursor, place, key, depth + 1),
            b'[' if depth < MAX_DEPTH => {
                cursor.parts(|c, _| self.value(c, place.below(), key, depth + 1)).map(|_| ())
            }
            b'[' => None,
            b'"' => {
                let text = cursor.string()?;
                self.string(place, key, text);
                Some(())
            }
            _ => cursor.skip_value(),
        }
    }

    fn object(
        &mut self,
        cursor: &mut Cursor<'a>,
        place: Place,
        own_key: &str,
        depth: usize,
    ) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let (mut system, mut code) = (None, None);
        cursor.parts(|c, part| {
            let key = part.key.as_ref();
            if c.token() != b'"' {
                return self.member(c, place, key, depth);
            }
            let text = c.string()?;
            match key {
                "system" => system = Some(text),
                "code" => code = Some(text),
                "reference" if TELLING.contains(&own_key) => self.facts.references.push(text),
                _ => self.string(place, key, text),
            }
            Some(())
        })?;
        if let Some(code) = code {
            self.code(system.as_deref(), &code);
        }
        Some(())
    }

    /// Passes a member that is not a string.
    fn member(
        &mut self,
        cursor: &mut Cursor<'a>,
        place: Place,
        key: &str,
        depth: usize,
    ) -> Option<()> {
        match place {
            Place::Entry if key == "resource" => self.value(cursor, Place::Resource, key, depth),
            Place::Resource => {
                self.in_category = key == "category";
                self.facts.attachment |= key == "presentedForm";
                let done = self.value(cursor, Place::Inside, key, depth);
                self.in_category = false;
                done
            }
            Place::Plain => {
                self.facts.hits |= self.rules.words(key);
                self.value(cursor, Place::Plain, key, depth)
            }
            Place::Entry | Place::Inside => self.value(cursor, Place::Inside, key, depth),
        }
    }

    fn string(&mut self, place: Place, key: &str, text: Cow<'a, str>) {
        match (place, key) {
            (Place::Entry, "fullUrl") => {
                set(&mut self.facts.full_url, text, &mut self.facts.repeated);
            }
            (Place::Resource, "resourceType") => {
                set(&mut self.facts.resource_type, text, &mut self.facts.repeated);
            }
            (Place::Resource, "id") => set(&mut self.facts.id, text, &mut self.facts.repeated),
            (Place::Resource, "confidentiality") => self.facts.raised.raise(&text),
            (Place::Plain, _) => {
                self.facts.hits |= self.rules.words(key) | self.rules.plain(&text);
            }
            (_, "display" | "text" | "title" | "description" | "div" | "name") => {
                self.facts.hits |= self.rules.words(&text);
            }
            _ => {}
        }
    }

    fn code(&mut self, system: Option<&str>, code: &str) {
        let found = self.rules.code(system, code);
        self.facts.hits |= found.hits;
        if let Some(level) = found.level {
            self.facts.raised.raise_to(level);
        }
        if self.in_category {
            self.facts.category = self.facts.category.or(found.category);
        }
    }
}

impl Place {
    /// Returns where the elements of an array are.
    fn below(self) -> Self {
        if self == Self::Plain { Self::Plain } else { Self::Inside }
    }
}

fn set<'a>(field: &mut Option<Cow<'a, str>>, text: Cow<'a, str>, repeated: &mut bool) {
    *repeated |= field.replace(text).is_some();
}
