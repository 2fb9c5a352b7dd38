//! The laws for anything that a machine can think of.

use std::sync::LazyLock;

use chartfs::demo::patients::patient;
use chartfs::record::format::{FormatId, Rules, SectionText, Sections, Slot, join, merge};
use proptest::prelude::*;
use serde_json::Value;

use crate::files::ODD;
use crate::record::{apply, cut, pick, random_view, size};

/// JSON objects of any shape, with keys that mean something.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~é\"\\\\]{0,8}".prop_map(Value::from),
        Just(Value::from("Patient")),
        Just(Value::from("Bundle")),
        Just(Value::from("Observation")),
        Just(Value::from("HIV")),
    ];
    let key = prop_oneof![
        Just("resourceType"),
        Just("entry"),
        Just("resource"),
        Just("id"),
        Just("fullUrl"),
        Just("total"),
        Just("name"),
        Just("identifier"),
        Just("code"),
        Just("system"),
        Just("text"),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..5).prop_map(|members| {
                Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    })
}

static BUNDLE: LazyLock<Vec<u8>> = LazyLock::new(|| patient(11).files.remove(0).1);

pub(crate) fn check_laws(bytes: &[u8], mask: u64) -> Result<(), TestCaseError> {
    let (format, sections) = cut(bytes);
    prop_assert_eq!(join(format, &sections), bytes);
    let visible = random_view(format, mask);
    let shown = pick(&sections, &visible);
    let view = join(format, &shown);
    prop_assert_eq!(size(format, &shown), view.len() as u64);
    if matches!(format, FormatId::Json | FormatId::FhirJson) && !shown.is_empty() {
        let text = std::str::from_utf8(&view).unwrap();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "{}", text);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_kept(bytes in proptest::collection::vec(any::<u8>(), 0..300), mask: u64) {
        check_laws(&bytes, mask)?;
    }

    #[test]
    fn any_json_is_kept(value in any_json(), pretty: bool, mask: u64) {
        let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
        check_laws(&text.unwrap(), mask)?;
    }

    #[test]
    fn any_bundle_is_kept(entries in proptest::collection::vec(any_json(), 0..6), mask: u64) {
        let value = serde_json::json!({ "total": 1, "resourceType": "Bundle", "entry": entries });
        check_laws(value.to_string().as_bytes(), mask)?;
    }

    #[test]
    fn damaged_json_is_kept(at in any::<prop::sample::Index>(), with: u8, which in 0..ODD.len(), mask: u64) {
        let mut bytes = ODD[which].as_bytes().to_vec();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        check_laws(&bytes, mask)?;
    }

    #[test]
    fn any_save_of_a_bundle_is_read_back(
        old in proptest::collection::vec(any_json(), 0..6),
        new in proptest::collection::vec(any_json(), 0..6),
        share in 0..6_usize,
        mask: u64,
    ) {
        let text = |entries: &[Value]| {
            serde_json::json!({ "resourceType": "Bundle", "entry": entries }).to_string()
        };
        let (format, mut sections) = cut(text(&old).as_bytes());
        prop_assume!(format == FormatId::FhirJson);
        let visible = random_view(format, mask);
        let shown = pick(&sections, &visible);
        let entries: Vec<Value> = old.iter().take(share).cloned().chain(new).collect();
        let edited = text(&entries);
        let merged = merge(format, &shown, &visible, edited.as_bytes(), &Rules::builtin());
        let Ok(merged) = merged else { return Ok(()) };
        let clean = merged.appended.is_empty();
        apply(&mut sections, merged);
        let after = pick(&sections, &visible);
        if clean {
            prop_assert_eq!(String::from_utf8(join(format, &after)).unwrap(), edited);
        }
        prop_assert_eq!(size(format, &sections), join(format, &sections).len() as u64);
        prop_assert!(serde_json::from_slice::<Value>(&join(format, &sections)).is_ok());
    }

    #[test]
    fn any_save_of_a_plain_object_is_read_back(old in any_json(), new in any_json(), mask: u64) {
        let (format, mut sections) = cut(old.to_string().as_bytes());
        let visible = random_view(format, mask);
        let shown = pick(&sections, &visible);
        let edited = new.to_string();
        let merged = merge(format, &shown, &visible, edited.as_bytes(), &Rules::builtin());
        let Ok(merged) = merged else { return Ok(()) };
        let clean = merged.appended.is_empty();
        apply(&mut sections, merged);
        if clean {
            let after = join(format, &pick(&sections, &visible));
            prop_assert_eq!(String::from_utf8(after).unwrap(), edited);
        }
    }

    #[test]
    fn hostile_sections_never_panic(at in any::<prop::sample::Index>(), with: u8, which in 0..12_usize) {
        let (format, sections) = cut(ODD[which].as_bytes());
        let mut all: Vec<(Slot, Vec<u8>)> = sections.iter().map(|(s, t)| (*s, t.encode(format))).collect();
        let index = at.index(all.len().max(1));
        if let Some((_, bytes)) = all.get_mut(index) {
            let place = at.index(bytes.len());
            bytes[place] = with;
        }
        let damaged: Result<Sections, _> =
            all.iter().map(|(s, b)| SectionText::decode(format, b).map(|t| (*s, t))).collect();
        if let Ok(damaged) = damaged {
            let visible = random_view(format, u64::MAX);
            let view = join(format, &damaged);
            let _ = size(format, &damaged);
            let _ = merge(format, &damaged, &visible, b"{\"name\":2}", &Rules::builtin());
            let _ = merge(format, &damaged, &visible, &[&view[..], b" "].concat(), &Rules::builtin());
        }
    }

    #[test]
    fn a_damaged_bundle_is_kept(
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        mask: u64,
    ) {
        let mut bytes = BUNDLE.clone();
        for (at, with) in places {
            // Bytes that mean something in JSON more often than others.
            let with = b"\"{}[]:,\\ 0"[usize::from(with) % 10];
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        check_laws(&bytes, mask)?;
    }
}
