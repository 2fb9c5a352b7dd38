//! A record in memory, as the record layer holds it.

use std::collections::BTreeSet;

use chartfs::record::format::{
    FormatId, Merged, Rules, Sections, Slot, join, slots_of, take_apart, view_len,
};

pub(crate) fn cut(bytes: &[u8]) -> (FormatId, Sections) {
    take_apart(bytes, "", &Rules::builtin())
}

pub(crate) fn pick(sections: &Sections, visible: &BTreeSet<Slot>) -> Sections {
    let shown = sections.iter().filter(|(slot, _)| visible.contains(slot));
    shown.map(|(slot, text)| (*slot, text.clone())).collect()
}

pub(crate) fn size(format: FormatId, sections: &Sections) -> u64 {
    let measures: Vec<_> = sections.iter().map(|(slot, t)| (*slot, t.measure(format))).collect();
    view_len(format, &measures).unwrap_or_else(|| join(format, sections).len() as u64)
}

/// Puts a save into the record as the record layer does.
pub(crate) fn apply(sections: &mut Sections, merged: Merged) {
    sections.extend(merged.changed);
    for (slot, part) in merged.appended {
        sections.entry(slot).or_default().append(part);
    }
    sections.retain(|_, text| !text.is_empty());
}

/// A view of random sections, always with the frame.
pub(crate) fn random_view(format: FormatId, mut mask: u64) -> BTreeSet<Slot> {
    let mut visible: BTreeSet<Slot> = slots_of(format).iter().copied().collect();
    visible.retain(|&slot| {
        mask = mask.rotate_left(1);
        slot == Slot::FRAME || mask & 1 == 1
    });
    visible
}

pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    pub(crate) fn mask(&mut self) -> u64 {
        (self.below(1 << 30) as u64) << 32 | self.below(1 << 30) as u64
    }
}
