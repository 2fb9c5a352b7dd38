//! Values of FHIR: resources, entries, codes, quantities, references, addresses.

use std::borrow::Cow;

use super::super::super::json::{Members, Value};
use super::super::super::safe_harbor::{
    Pseudonyms, code, code_of, display, is_code_system, result_word,
};
use super::members::{Rule, resource_type, rule};
use super::quantities::{address, age, is_quantity, is_short, quantity};

const ABSENT_REASON: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
const OBSERVATION_VALUE: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";
/// Extensions that are released: their codes, and what they hold of the others here.
const EXTENSIONS: [&str; 9] = [
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race",
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity",
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex",
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-sex",
    "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label",
    "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-sec-label-basis",
    ABSENT_REASON,
    "ombCategory",
    "detailed",
];
const GENDERS: [&str; 4] = ["male", "female", "other", "unknown"];
/// Where links of the web pointed: a name that can never be one of the web (RFC 2606).
const NOWHERE: &str = "https://research.invalid/";

/// Cleans the values of one text.
pub(super) struct Clean<'p> {
    pub(super) project: &'p Pseudonyms,
}

/// Returns an element of any type that says that its content is withheld.
pub(super) fn masked<'a>() -> Value<'a> {
    Value::object([("extension", Value::List(vec![absent()]))])
}

/// Returns the extension that says so.
pub(super) fn absent<'a>() -> Value<'a> {
    Value::object([("url", Value::text(ABSENT_REASON)), ("valueCode", Value::text("masked"))])
}

/// Returns a narrative without content.
pub(super) fn narrative<'a>() -> Value<'a> {
    let div = "<div xmlns=\"http://www.w3.org/1999/xhtml\">withheld</div>";
    Value::object([("status", Value::text("empty")), ("div", Value::text(div))])
}

/// Returns a `meta` that says that the resource has pseudonyms.
pub(super) fn label<'a>() -> Value<'a> {
    let coding = [("system", Value::text(OBSERVATION_VALUE)), ("code", Value::text("PSEUDED"))];
    Value::object([("security", Value::List(vec![Value::object(coding)]))])
}

/// Stands for a resource of a type that is not known.
pub(super) fn basic<'a>() -> Value<'a> {
    Value::object([("resourceType", Value::text("Basic")), ("code", masked())])
}

pub(super) fn filled(members: Members<'_>) -> Option<Value<'_>> {
    (!members.is_empty()).then_some(Value::Object(members))
}

fn is_empty(value: &Value<'_>) -> bool {
    match value {
        Value::List(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

impl Clean<'_> {
    /// Cleans an entry of a bundle; it stays one.
    pub(super) fn entry<'a>(&self, entry: Value<'a>) -> Value<'a> {
        let Value::Object(members) = entry else { return masked() };
        let clean = members.into_iter().filter_map(|(key, value)| {
            let known = ["fullUrl", "resource", "request", "response", "search"];
            let value = if key == "resource" {
                self.resource(value).unwrap_or_else(basic)
            } else if known.contains(&key.as_ref()) {
                self.member("Bundle", &key, value)?
            } else {
                return None;
            };
            Some((key, value))
        });
        filled(clean.collect()).unwrap_or_else(masked)
    }

    /// Cleans a resource; `None` when it is none of a known type.
    pub(super) fn resource<'a>(&self, resource: Value<'a>) -> Option<Value<'a>> {
        let kind = resource_type(resource.str("resourceType")?)?;
        let is_modified = resource.get("modifierExtension").is_some_and(|value| !is_empty(value));
        let Value::Object(members) = resource else { return None };
        let mut clean: Members<'a> = Vec::with_capacity(members.len());
        for (key, value) in members {
            let is_name = matches!(key.as_ref(), "resourceType" | "id");
            // What an unknown extension changes may be the meaning of all the rest.
            if !is_name && is_modified {
                continue;
            }
            self.push(kind, key, value, &mut clean);
        }
        filled(clean)
    }

    fn push<'a>(
        &self,
        resource: &str,
        key: Cow<'a, str>,
        value: Value<'a>,
        clean: &mut Members<'a>,
    ) {
        let is_required = rule(&key) == Some(Rule::Withheld) || is_instant(resource, &key);
        if is_required && matches!(value, Value::Text(_)) {
            clean.push((Cow::Owned(format!("_{key}")), masked()));
        } else if let Some(value) = self.member(resource, &key, value) {
            clean.push((key, value));
        }
    }

    /// Cleans the value of a member; `None` when it is not released.
    pub(super) fn member<'a>(
        &self,
        resource: &str,
        key: &str,
        value: Value<'a>,
    ) -> Option<Value<'a>> {
        let text = |value: Value<'a>, of: &dyn Fn(&str) -> Option<String>| match value {
            Value::Text(text) => of(&text).map(Value::text),
            _ => None,
        };
        match rule(key)? {
            Rule::Withheld => None,
            Rule::Id => text(value, &|id| Some(self.project.id(id))),
            Rule::Reference => text(value, &|to| self.reference(to)).or(None),
            Rule::Uid => {
                text(value, &|uid| Some(self.project.uid(uid.trim_start_matches("urn:oid:"))))
            }
            Rule::Word => text(value, &|word| result_word(word).map(str::to_owned)),
            Rule::Gender => text(value, &|g| GENDERS.contains(&g).then(|| g.to_owned())),
            Rule::Identifier => self.list(value, |v| self.identifier(v)),
            Rule::Address => self.list(value, |v| Some(address(&v).unwrap_or_else(masked))),
            Rule::Attachment => self.list(value, |_| Some(masked())),
            Rule::Age => Some(age(&value).unwrap_or_else(masked)),
            Rule::Extension => self.extensions(value),
            Rule::Meta => self.meta(value),
            Rule::Resource => self.list(value, |v| self.resource(v)),
            Rule::Plain if key == "request" && value.str("method").is_some() => {
                self.request(&value)
            }
            rule => self.value(resource, rule, value),
        }
    }

    fn value<'a>(&self, resource: &str, rule: Rule, value: Value<'a>) -> Option<Value<'a>> {
        match value {
            Value::Plain("null") => None,
            Value::Plain(number) => is_short(number).then_some(Value::Plain(number)),
            Value::Text(text) => match rule {
                Rule::Code => {
                    let is_short = text.bytes().filter(u8::is_ascii_digit).count() < 5;
                    // Codes of elements are in small letters or in capitals, types have names.
                    let is_code = resource_type(&text).is_some() || !has_capitalised(&text);
                    (is_short && is_code && code(&text).is_some()).then_some(Value::Text(text))
                }
                Rule::Date => self.project.year(&text).map(Value::text),
                _ => None,
            },
            Value::List(list) => {
                let clean = list.into_iter().filter_map(|v| self.value(resource, rule, v));
                let (gone, kept): (Vec<_>, Vec<_>) = clean.partition(|v| *v == masked());
                match (kept.is_empty(), gone.is_empty()) {
                    (false, _) => Some(Value::List(kept)),
                    (true, false) => Some(Value::List(vec![masked()])),
                    (true, true) => None,
                }
            }
            Value::Object(_) => Some(self.element(resource, value).unwrap_or_else(masked)),
        }
    }

    /// Cleans an element with members; `None` when nothing of it is released.
    fn element<'a>(&self, resource: &str, value: Value<'a>) -> Option<Value<'a>> {
        if value.get("resourceType").is_some() {
            return self.resource(value);
        }
        if value.get("modifierExtension").is_some_and(|value| !is_empty(value)) {
            return None;
        }
        let has_number = matches!(value.get("value"), Some(Value::Plain(_)));
        if has_number && is_quantity(&value) {
            return quantity(&value);
        }
        if let (Some(system), Some(of)) = (value.str("system"), value.str("code")) {
            return coding(system, of, value.str("display"));
        }
        let Value::Object(members) = value else { return None };
        let is_coding = members.iter().any(|m| m.0 == "code" && matches!(m.1, Value::Text(_)))
            && members.iter().any(|m| m.0 == "display");
        if is_coding {
            return None;
        }
        let mut clean: Members<'a> = Vec::with_capacity(members.len());
        for (key, value) in members {
            match (key.as_ref(), value) {
                ("coding", value) => {
                    let codings = self.list(value, |v| self.element(resource, v));
                    clean.extend(codings.map(|codings| (key, codings)));
                }
                // Of a class of coverage it must be there.
                ("value", Value::Text(_)) => clean.push((Cow::Borrowed("_value"), masked())),
                (_, value) => self.push(resource, key, value, &mut clean),
            }
        }
        filled(clean)
    }

    /// Cleans one value, or every value of a list; `None` when none is left.
    pub(super) fn list<'a>(
        &self,
        value: Value<'a>,
        mut clean: impl FnMut(Value<'a>) -> Option<Value<'a>>,
    ) -> Option<Value<'a>> {
        match value {
            Value::List(list) => {
                let list: Vec<_> = list.into_iter().filter_map(clean).collect();
                (!list.is_empty()).then_some(Value::List(list))
            }
            Value::Object(_) => clean(value),
            _ => None,
        }
    }

    fn identifier<'a>(&self, value: Value<'a>) -> Option<Value<'a>> {
        let pseudonym = value.str("value").map(|id| self.project.id(id));
        let Value::Object(members) = value else { return None };
        let mut clean: Members<'a> = Vec::new();
        for (key, value) in members {
            if matches!(key.as_ref(), "use" | "type") {
                self.push("", key, value, &mut clean);
            }
        }
        clean.extend(pseudonym.map(|value| (Cow::Borrowed("value"), Value::text(value))));
        filled(clean)
    }

    /// Returns a reference with pseudonyms: it names what has the same pseudonym as its id.
    fn reference(&self, to: &str) -> Option<String> {
        if let Some(inside) = to.strip_prefix('#') {
            let id = if inside.is_empty() { String::new() } else { self.project.id(inside) };
            return Some(format!("#{id}"));
        }
        if let Some(id) = to.strip_prefix("urn:uuid:").or_else(|| to.strip_prefix("urn:oid:")) {
            return Some(format!("urn:uuid:{}", self.project.id(id)));
        }
        let path = to.split_once("/_history/").map_or(to, |(path, _)| path);
        let mut parts = path.rsplitn(3, '/');
        let (id, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match resource_type(kind) {
            Some(kind) if !to.contains('?') && !id.is_empty() => {
                let base = if to.contains("://") { NOWHERE } else { "" };
                Some(format!("{base}{kind}/{}", self.project.id(id)))
            }
            // Another address: what names it elsewhere has the same one.
            _ if to.contains("://") => {
                Some(format!("urn:uuid:{}", self.project.pseudonym("url", to)))
            }
            _ => None,
        }
    }

    fn request<'a>(&self, value: &Value<'a>) -> Option<Value<'a>> {
        let method = code(value.str("method")?)?.to_owned();
        let to = value.str("url").unwrap_or_default();
        let kind = to.split(['?', '/']).next().unwrap_or_default();
        let url = resource_type(to)
            .map(str::to_owned)
            .or_else(|| self.reference(to))
            .or_else(|| resource_type(kind).map(str::to_owned))
            .unwrap_or_else(|| "Basic".to_owned());
        Some(Value::object([("method", Value::text(method)), ("url", Value::text(url))]))
    }

    pub(super) fn meta<'a>(&self, value: Value<'a>) -> Option<Value<'a>> {
        let Value::Object(members) = value else { return None };
        let mut clean: Members<'a> = Vec::new();
        for (key, value) in members {
            let value = match (key.as_ref(), value) {
                ("profile", Value::List(list)) => {
                    let is_public = |v: &Value<'_>| matches!(v, Value::Text(url) if url.starts_with("http://hl7.org/fhir/") && url.len() < 120);
                    let list: Vec<_> = list.into_iter().filter(is_public).collect();
                    (!list.is_empty()).then_some(Value::List(list))
                }
                ("security", value) => self.list(value, |v| self.element("", v)),
                _ => None,
            };
            clean.extend(value.map(|value| (key, value)));
        }
        filled(clean)
    }

    pub(super) fn extensions<'a>(&self, value: Value<'a>) -> Option<Value<'a>> {
        self.list(value, |extension| {
            let url = EXTENSIONS.into_iter().find(|url| extension.str("url") == Some(url))?;
            let Value::Object(members) = extension else { return None };
            let mut clean: Members<'a> = vec![(Cow::Borrowed("url"), Value::text(url))];
            for (key, value) in members {
                let value = match key.as_ref() {
                    "valueCoding" => self.element("", value),
                    "valueCode" => self.value("", Rule::Code, value),
                    "extension" => self.extensions(value),
                    _ => None,
                };
                clean.extend(value.map(|value| (key, value)));
            }
            (clean.len() > 1).then_some(Value::Object(clean))
        })
    }
}

/// Says whether a member is an instant that is required, or named as dates elsewhere are.
fn is_instant(resource: &str, key: &str) -> bool {
    match resource {
        "Appointment" | "AppointmentResponse" | "Slot" => matches!(key, "start" | "end"),
        "DocumentReference" => key == "date",
        _ => false,
    }
}

/// Says whether a capital begins a word of small letters in a text.
fn has_capitalised(text: &str) -> bool {
    text.as_bytes()
        .windows(3)
        .any(|part| part[0].is_ascii_uppercase() && part[1..].iter().all(u8::is_ascii_lowercase))
}

fn coding<'a>(system: &str, of: &str, text: Option<&str>) -> Option<Value<'a>> {
    let of = code_of(system, of).filter(|_| is_code_system(system))?;
    let mut members: Members<'a> = vec![
        (Cow::Borrowed("system"), Value::text(system.to_owned())),
        (Cow::Borrowed("code"), Value::text(of.to_owned())),
    ];
    let text = text.and_then(|text| display(system, text)).map(|text| Value::text(text.to_owned()));
    members.extend(text.map(|text| (Cow::Borrowed("display"), text)));
    Some(Value::Object(members))
}
