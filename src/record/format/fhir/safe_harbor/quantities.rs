//! Quantities, ages and addresses.

use std::borrow::Cow;

use super::super::super::json::{Members, Value};
use super::super::super::safe_harbor::{
    MAX_AGE, code, country, has_zip, is_ucum, is_unit, state, zip3,
};
use super::elements::filled;

const YEARS: [&str; 5] = ["a", "yr", "year", "years", "a_j"];
/// An age of ninety years in other units.
const OLD: [(&str, f64); 8] = [
    ("mo", 1080.0),
    ("month", 1080.0),
    ("months", 1080.0),
    ("wk", 4690.0),
    ("weeks", 4690.0),
    ("d", 32_850.0),
    ("day", 32_850.0),
    ("days", 32_850.0),
];
/// A number with this many digits before the point may be one of a person or telephone.
const MIN_SUSPECT_DIGITS: usize = 9;

/// Says whether a number is short enough to be a result, amount or count.
pub(super) fn is_short(number: &str) -> bool {
    let whole = number.trim_start_matches('-');
    let digits = whole.bytes().take_while(u8::is_ascii_digit).count();
    digits < MIN_SUSPECT_DIGITS
}

pub(super) fn is_quantity(value: &Value<'_>) -> bool {
    let own = ["value", "comparator", "unit", "system", "code", "id", "extension"];
    matches!(value, Value::Object(members) if members.iter().all(|m| own.contains(&m.0.as_ref())))
}

/// Returns a quantity with its unit; years as many as an age may have.
pub(super) fn quantity<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    let Some(Value::Plain(number)) = value.get("value") else { return None };
    let is_system = value.str("system").is_some_and(is_ucum);
    let of_system = value.str("code").filter(|_| is_system).and_then(code);
    let unit = of_system.or_else(|| value.str("unit").filter(|unit| is_unit(unit)));
    // With a unit it is no number of a person.
    let is_plain = matches!(number.as_bytes().first(), Some(b'-' | b'0'..=b'9'));
    if !is_plain || (unit.is_none() && !is_short(number)) {
        return None;
    }
    let number = if unit.is_some_and(is_years) && is_old(number) { "90" } else { *number };
    let mut members: Members<'a> = vec![(Cow::Borrowed("value"), Value::Plain(number))];
    let comparator = value.str("comparator").filter(|c| ["<", "<=", ">=", ">"].contains(c));
    members.extend(comparator.map(|c| (Cow::Borrowed("comparator"), Value::text(c.to_owned()))));
    members.extend(unit.map(|unit| (Cow::Borrowed("unit"), Value::text(unit.to_owned()))));
    if let (Some(of), Some(system)) = (of_system, value.str("system")) {
        members.push((Cow::Borrowed("system"), Value::text(system.to_owned())));
        members.push((Cow::Borrowed("code"), Value::text(of.to_owned())));
    }
    Some(Value::Object(members))
}

fn is_years(unit: &str) -> bool {
    YEARS.iter().any(|years| unit.eq_ignore_ascii_case(years))
}

fn is_old(number: &str) -> bool {
    number.parse::<f64>().is_ok_and(|age| age >= MAX_AGE)
}

/// Returns an age; `None` when its unit is not known, or it is over 89 in another than years.
pub(super) fn age<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    let unit = value.str("code").or_else(|| value.str("unit"))?;
    let Some(Value::Plain(number)) = value.get("value") else { return None };
    let limit = OLD.iter().find(|row| unit.eq_ignore_ascii_case(row.0)).map(|row| row.1);
    let is_young = limit.is_some_and(|old| number.parse::<f64>().is_ok_and(|age| age < old));
    if is_years(unit) || is_young { quantity(value) } else { None }
}

pub(super) fn address<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    let own = |key| value.str(key);
    let mut members: Members<'a> = Vec::new();
    let mut add = |key: &'static str, text: Option<&str>| {
        members.extend(text.map(|text| (Cow::Borrowed(key), Value::text(text.to_owned()))));
    };
    add("use", own("use").filter(|u| ["home", "work", "temp", "old", "billing"].contains(u)));
    let is_here = has_zip(own("country"));
    add("state", own("state").filter(|_| is_here).and_then(state));
    add("postalCode", own("postalCode").filter(|_| is_here).and_then(zip3));
    add("country", own("country").and_then(country));
    filled(members)
}
