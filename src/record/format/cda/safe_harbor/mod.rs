//! CDA as a researcher reads it: elements by their names, attributes by theirs, and no text. An
//! element that is not known is left out; one that the document is cut at stays without content,
//! and says that it is masked.
//!
//! An empty element is written with a space before its end, which no stub has.

mod element;
mod table;

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::super::safe_harbor::{
    MAX_AGE, Pseudonyms, code, code_of, country, display, has_zip, is_code_system, is_number,
    is_unit, result_word, rewrite, state, zip3,
};
use super::super::tree::Tree;

use element::{Element, print_tag, read};
use table::{
    AGES, ATTRIBUTES, FLAGS, NAMESPACES, NULL_FLAVORS, OWN_SYSTEM, QUANTITIES, STRUCTURE,
    TEMPLATES, TIMES,
};

const STYLE: &str = "<?xml-stylesheet type=\"text/xsl\" href=\"CDA.xsl\"?>";
const REMARK: &str = "<!-- withheld -->";
const WITHHELD: &str = "withheld";

/// Writes a document anew.
pub(super) fn of(tree: &Tree<'_>, project: &Pseudonyms) -> Option<Vec<u8>> {
    let clean = Clean { project };
    rewrite(
        tree,
        |text, out| clean.frame(std::str::from_utf8(text).ok()?, out),
        |_, node, out| clean.leaf(std::str::from_utf8(tree.span(node)).ok()?, out),
    )
}

/// Cleans the parts of one document.
struct Clean<'p> {
    project: &'p Pseudonyms,
}

/// Where an element stands.
#[derive(Clone, Copy)]
struct Above<'e> {
    name: &'e str,
    /// Whether it is a time rather than a quantity that has bounds.
    is_time: bool,
    is_age: bool,
}

const TOP: Above<'static> = Above { name: "", is_time: false, is_age: false };

impl Clean<'_> {
    /// Writes the declaration, and tags of elements that are cut.
    fn frame(&self, text: &str, out: &mut Vec<u8>) -> Option<()> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        (config.check_end_names, config.allow_unmatched_ends) = (false, true);
        loop {
            match reader.read_event().ok()? {
                Event::Eof => return Some(()),
                Event::Decl(_) => {
                    out.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
                }
                Event::Text(text) => {
                    let text: &str = text.as_ref();
                    let is_space = text.bytes().all(|b| b.is_ascii_whitespace());
                    is_space.then(|| out.extend_from_slice(text.as_bytes()))?;
                }
                Event::End(tag) => {
                    out.extend_from_slice(b"</");
                    out.extend_from_slice(tag.name().as_ref().as_bytes());
                    out.push(b'>');
                }
                Event::Start(tag) => {
                    let element = Element::of(&tag)?;
                    print_tag(&element.name, &self.structural(&element), false, out);
                }
                Event::Empty(tag) => {
                    let element = Element::of(&tag)?;
                    print_tag(&element.name, &self.structural(&element), true, out);
                }
                _ => return None,
            }
        }
    }

    /// Writes what the document is cut into: elements, or a remark, with the space before it.
    fn leaf(&self, text: &str, out: &mut Vec<u8>) -> Option<()> {
        let space = text.len() - text.trim_ascii_start().len();
        out.extend_from_slice(&text.as_bytes()[..space]);
        let text = &text[space..];
        if text.starts_with("<?xml-stylesheet") {
            out.extend_from_slice(STYLE.as_bytes());
        } else if text.starts_with("<!--") || text.starts_with("<?") {
            out.extend_from_slice(REMARK.as_bytes());
        } else {
            for element in read(text)? {
                let cleaned = self.element(&element, TOP).unwrap_or_else(|| element.masked());
                cleaned.print(out);
            }
        }
        Some(())
    }

    /// Cleans an element; `None` when it is not released.
    fn element(&self, element: &Element, above: Above<'_>) -> Option<Element> {
        let local = element.local();
        let new = Some(match local {
            "templateId" => return template(element),
            "typeId" => element.with(vec![
                ("root", "2.16.840.1.113883.1.3".to_owned()),
                ("extension", "POCD_HD000040".to_owned()),
            ]),
            "id" | "setId" => self.id(element),
            "addr" => address(element),
            "name" | "telecom" => element.masked(),
            "title" if above.name.is_empty() => element.masked(),
            "text" if above.name == "section" => element.with_text(WITHHELD),
            "text" if above.name == "nonXMLBody" => element.masked(),
            "versionNumber" => number(element, false),
            "value" => self.value(element, above)?,
            _ if TIMES.contains(&local) => self.bounded(element, Above { is_time: true, ..above }),
            _ if QUANTITIES.contains(&local) => {
                self.bounded(element, Above { is_time: false, ..above })
            }
            "low" | "high" | "center" | "width" | "period" | "phase" | "offset" => {
                self.bounded(element, above)
            }
            _ if FLAGS.contains(&local) => flag(element),
            "code" | "translation" => coded(element, above),
            _ if local.ends_with("Code") => coded(element, above),
            "reference" if element.children.is_empty() => return None,
            _ if STRUCTURE.split_whitespace().any(|known| known == local) => {
                self.structure(element)
            }
            _ => return None,
        });
        new.map(|new| self.with_namespaces(new, element))
    }

    fn structure(&self, element: &Element) -> Element {
        let is_code = |child: &&Element| child.local() == "code";
        let of = element.children.iter().find(is_code).and_then(|code| code.get("code"));
        let is_age = of.is_some_and(|of| AGES.contains(&of));
        let name = element.local();
        let above = Above { name, is_time: false, is_age };
        let children = element.children.iter().filter_map(|child| self.element(child, above));
        Element {
            name: element.name.clone(),
            attributes: self.structural(element),
            children: children.collect(),
            text: String::new(),
        }
    }

    /// Returns the attributes of an element that holds others.
    fn structural(&self, element: &Element) -> Vec<(String, String)> {
        let mut clean = Vec::new();
        for (name, value) in &element.attributes {
            if let Some(space) = self.namespace(name, value) {
                clean.push((name.clone(), space));
            } else if ATTRIBUTES.contains(&name.as_str()) && is_short(value) {
                clean.push((name.clone(), value.clone()));
            }
        }
        clean.extend(null_flavor(element));
        clean
    }

    /// Returns the value of an attribute that declares a namespace.
    fn namespace(&self, name: &str, value: &str) -> Option<String> {
        if name != "xmlns" && !name.starts_with("xmlns:") {
            return None;
        }
        let is_known = NAMESPACES.iter().any(|known| value.starts_with(known)) && value.len() < 60;
        Some(if is_known {
            value.to_owned()
        } else {
            format!("urn:uuid:{}", self.project.pseudonym("namespace", value))
        })
    }

    fn with_namespaces(&self, mut new: Element, old: &Element) -> Element {
        for (name, value) in &old.attributes {
            let is_new = !new.attributes.iter().any(|own| own.0 == *name);
            let space = self.namespace(name, value).filter(|_| is_new);
            new.attributes.extend(space.map(|space| (name.clone(), space)));
        }
        new
    }

    fn id(&self, element: &Element) -> Element {
        let filled = |key| element.get(key).filter(|text| !text.trim().is_empty());
        match filled("extension").or_else(|| filled("root")) {
            Some(id) => element.with(vec![("root", self.project.id(id))]),
            None => element.masked(),
        }
    }

    /// Cleans a time or quantity, by itself or with bounds.
    fn bounded(&self, element: &Element, above: Above<'_>) -> Element {
        let mut new = if above.is_time && element.get("unit").is_none() {
            match element.get("value").map(|date| self.project.year(date)) {
                Some(Some(year)) => element.with(vec![("value", year)]),
                Some(None) => element.masked(),
                None => element.with(Vec::new()),
            }
        } else {
            number(element, above.is_age)
        };
        let named = ["institutionSpecified", "operator", "xsi:type"];
        let kept = element
            .attributes
            .iter()
            .filter(|(name, value)| named.contains(&name.as_str()) && is_short(value));
        new.attributes.splice(0..0, kept.cloned());
        let above = Above { name: element.local(), ..above };
        new.children = element.children.iter().filter_map(|c| self.element(c, above)).collect();
        new
    }

    fn value(&self, element: &Element, above: Above<'_>) -> Option<Element> {
        let kind = element.get("xsi:type").unwrap_or_default().to_owned();
        let is_time = kind.ends_with("TS");
        let mut new = match kind.as_str() {
            "CD" | "CE" | "CV" | "CO" | "CS" => coded(element, above),
            "BL" => flag(element),
            "ST" | "ED" => element.with_text(result_word(element.text.trim())?),
            "PQ" | "INT" | "REAL" | "MO" | "IVL_PQ" | "IVL_INT" | "IVL_REAL" | "RTO"
            | "RTO_PQ_PQ" | "TS" | "IVL_TS" => {
                return Some(self.bounded(element, Above { is_time, ..above }));
            }
            _ => return None,
        };
        new.attributes.retain(|own| own.0 != "xsi:type");
        new.attributes.insert(0, ("xsi:type".to_owned(), kind));
        Some(new)
    }
}

/// Cleans a code with what translates and qualifies it.
fn coded(element: &Element, above: Above<'_>) -> Element {
    let system = element.get("codeSystem").unwrap_or_default();
    let of = element.get("code").and_then(|of| code_of(system, of));
    let is_own = OWN_SYSTEM.contains(&element.local())
        || above.name == "section" && element.local() == "code"
        || above.name.is_empty() && element.local() == "code";
    let mut new = match of {
        Some(of) if is_code_system(system) => {
            let text = element.get("displayName").and_then(|text| display(system, text));
            let mut own = vec![("code", of.to_owned()), ("codeSystem", system.to_owned())];
            own.extend(text.map(|text| ("displayName", text.to_owned())));
            element.with(own)
        }
        Some(of) if is_own && system.is_empty() && is_short(of) => {
            element.with(vec![("code", of.to_owned())])
        }
        _ => element.masked(),
    };
    if let Some(kind) = element.get("xsi:type").filter(|kind| is_short(kind)) {
        new.attributes.insert(0, ("xsi:type".to_owned(), kind.to_owned()));
    }
    let above = Above { name: element.local(), ..above };
    let translations = element.children.iter().filter(|child| child.local() == "translation");
    new.children = translations.map(|child| coded(child, above)).collect();
    new
}

fn null_flavor(element: &Element) -> Option<(String, String)> {
    let flavor = element.get("nullFlavor").filter(|flavor| NULL_FLAVORS.contains(flavor))?;
    Some(("nullFlavor".to_owned(), flavor.to_owned()))
}

fn is_short(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    text.len() <= 16 && (digits < 5 || is_loinc(text)) && code(text).is_some()
}

fn is_loinc(text: &str) -> bool {
    let parts = text.split_once('-');
    parts.is_some_and(|(head, check)| {
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        (1..=7).contains(&head.len()) && digits(head) && check.len() == 1 && digits(check)
    })
}

fn template(element: &Element) -> Option<Element> {
    let root = element.get("root").unwrap_or_default();
    let is_numbers = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let is_known = TEMPLATES.iter().any(|known| root.starts_with(known));
    let root = Some(root).filter(|root| is_known && root.len() <= 64 && is_numbers(root))?;
    let mut own = vec![("root", root.to_owned())];
    // The version of a template is a date of its own.
    let is_version =
        |text: &&str| text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let version = element.get("extension").filter(is_version);
    own.extend(version.map(|version| ("extension", version.to_owned())));
    Some(element.with(own))
}

fn number(element: &Element, is_age: bool) -> Element {
    let unit = element
        .get("unit")
        .filter(|unit| is_unit(unit) || code(unit).is_some() && unit.len() <= 20);
    let Some(value) = element.get("value") else {
        return element.with(Vec::new());
    };
    if !is_number(value) {
        return element.masked();
    }
    let is_years = matches!(unit, Some("a" | "yr" | "year" | "years")) || is_age && unit.is_none();
    let is_old = is_years && value.parse::<f64>().is_ok_and(|age| age >= MAX_AGE);
    let mut own = vec![("value", if is_old { "90".to_owned() } else { value.to_owned() })];
    own.extend(unit.map(|unit| ("unit", unit.to_owned())));
    element.with(own)
}

fn flag(element: &Element) -> Element {
    match element.get("value") {
        Some(value @ ("true" | "false")) => element.with(vec![("value", value.to_owned())]),
        _ => element.masked(),
    }
}

/// Returns of an address what is released, or an element that is masked.
fn address(element: &Element) -> Element {
    let own = |name: &str| {
        let child = element.children.iter().find(|child| child.local() == name)?;
        Some((child.name.clone(), child.text.trim()))
    };
    let prefix = &element.name[..element.name.len() - element.local().len()];
    let is_here = has_zip(own("country").map(|(_, text)| text));
    let here = |name| own(name).map(|(_, text)| text).filter(|_| is_here);
    let parts: [(&str, Option<Cow<'_, str>>); 3] = [
        ("state", here("state").and_then(state).map(Cow::Borrowed)),
        ("postalCode", here("postalCode").and_then(zip3).map(Cow::Borrowed)),
        ("country", own("country").and_then(|(_, text)| country(text)).map(Cow::Borrowed)),
    ];
    let mut new = element.with(Vec::new());
    new.attributes.clear();
    for (name, text) in parts {
        let Some(text) = text else { continue };
        new.children.push(Element {
            name: format!("{prefix}{name}"),
            attributes: Vec::new(),
            children: Vec::new(),
            text: text.into_owned(),
        });
    }
    if new.children.is_empty() { element.masked() } else { new }
}
