//! The laws of views over any bytes, as functions that panic where one does not hold: for the
//! fuzz targets, and for the loop over mutated samples in `tests/format_laws`.
//!
//! Both take a head of 9 bytes and a file. The head: what is visible (8), the name (1). For
//! [`save`] follow one byte n and n patches of 6 bytes: where (4, little-endian), how many bytes
//! are taken out there (1), and the byte that is put in (1, zero for none).

use std::collections::BTreeSet;

use chartfs::record::format::{
    FormatId, Rules, Sections, Slot, is_whole, join, merge, slots_of, take_apart, view_len,
};

/// Names that say something to a format that a text alone does not show.
const NAMES: [&str; 10] =
    ["", "a.csv", "a.tsv", "a.toml", "a.yaml", "a.md", "a.hl7", "a.ndjson", "a.xml", "a.dcm"];
const PATCH_BYTES: usize = 6;

/// Cuts a file, joins it, and looks at a view; returns the format.
pub fn split(input: &[u8]) -> Option<FormatId> {
    let (visible, name, file) = head(input)?;
    let (format, sections) = take_apart(file, name, &Rules::builtin());
    assert!(join(format, &sections) == file, "a byte is lost");
    check_size(format, &sections);
    assert!(is_whole(&sections));
    let profile = slots_of(format);
    assert!(sections.keys().all(|slot| profile.contains(slot)), "a section outside the profile");
    let visible = visible_of(format, visible);
    let shown = pick(&sections, &visible);
    check_size(format, &shown);
    let view = join(format, &shown);
    let merged = merge(format, &shown, &visible, &view, &Rules::builtin());
    assert!(merged.is_ok_and(|m| m.is_empty()), "an unchanged save changes something");
    Some(format)
}

/// Edits a view and saves it; returns the format when the save was not refused.
pub fn save(input: &[u8]) -> Option<FormatId> {
    let (visible, name, rest) = head(input)?;
    let (&count, rest) = rest.split_first()?;
    let (patches, file) = rest.split_at_checked(usize::from(count) * PATCH_BYTES)?;
    let (format, sections) = take_apart(file, name, &Rules::builtin());
    let visible = visible_of(format, visible);
    let shown = pick(&sections, &visible);
    let mut edit = join(format, &shown);
    for patch in patches.chunks_exact(PATCH_BYTES) {
        let at = u32::from_le_bytes([patch[0], patch[1], patch[2], patch[3]]) as usize;
        let at = at % (edit.len() + 1);
        let end = (at + usize::from(patch[4])).min(edit.len());
        edit.splice(at..end, Some(patch[5]).filter(|&b| b != 0));
    }
    let merged = merge(format, &shown, &visible, &edit, &Rules::builtin()).ok()?;
    assert!(merged.changed.keys().all(|slot| visible.contains(slot)));
    assert!(merged.appended.keys().all(|slot| !visible.contains(slot)));
    let appended: BTreeSet<Slot> = merged.appended.keys().copied().collect();
    let mut after = sections.clone();
    after.extend(merged.changed);
    for (slot, part) in merged.appended {
        after.entry(slot).or_default().append(part);
    }
    after.retain(|_, text| !text.is_empty());
    for (slot, text) in sections.iter().filter(|(slot, _)| !visible.contains(slot)) {
        let kept = after.get(slot).map_or(&[][..], |t| &t.items);
        assert!(text.items.iter().all(|item| kept.contains(item)), "a hidden element is lost");
        assert!(appended.contains(slot) || kept.len() == text.items.len());
    }
    if appended.is_empty() {
        assert!(
            join(format, &pick(&after, &visible)) == edit,
            "what is read is not what was saved"
        );
    }
    check_size(format, &pick(&after, &visible));
    check_size(format, &after);
    Some(format)
}

fn head(input: &[u8]) -> Option<(u64, &'static str, &[u8])> {
    let (mask, rest) = input.split_first_chunk::<8>()?;
    let (&name, rest) = rest.split_first()?;
    Some((u64::from_le_bytes(*mask), NAMES[usize::from(name) % NAMES.len()], rest))
}

fn visible_of(format: FormatId, mask: u64) -> BTreeSet<Slot> {
    let seen = |slot: &Slot| *slot == Slot::FRAME || mask >> (slot.0 % 64) & 1 == 1;
    slots_of(format).iter().copied().filter(seen).collect()
}

fn pick(sections: &Sections, visible: &BTreeSet<Slot>) -> Sections {
    let shown = sections.iter().filter(|(slot, _)| visible.contains(slot));
    shown.map(|(slot, text)| (*slot, text.clone())).collect()
}

fn check_size(format: FormatId, sections: &Sections) {
    let measures: Vec<_> = sections.iter().map(|(slot, t)| (*slot, t.measure(format))).collect();
    if let Some(known) = view_len(format, &measures) {
        assert_eq!(known, join(format, sections).len() as u64, "a size is wrong");
    }
}
