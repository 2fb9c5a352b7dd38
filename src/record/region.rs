//! Packing the inline bodies of a record into one region that is padded as a whole.
//!
//! Whoever can open every section packs afresh. Whoever cannot must not move what he cannot find:
//! a new body goes into the place of the old one when it fits, and otherwise behind everything,
//! with half as much again set aside, so that dead bytes stay within a constant factor of the live
//! ones. Free bytes are random: they look like ciphertext.

use std::collections::HashMap;

use super::meta::Extent;
use crate::key::hash::fill_random;
use crate::section::chunk::padme;

/// Names a part: slot and part number.
pub(super) type Key = (u16, u16);

/// A part whose body stays.
pub(super) struct Kept {
    pub(super) key: Key,
    /// Where its body lies and how many bytes of that are live; `None` when the user cannot know.
    pub(super) place: Option<(Extent, u64)>,
}

/// A part whose body is new.
pub(super) struct Fresh {
    pub(super) key: Key,
    pub(super) sealed: Vec<u8>,
    /// Where the body before it lay, when the user can know.
    pub(super) old: Option<Extent>,
}

/// A new region, and where in it every part lies whose place is known.
pub(super) struct Layout {
    pub(super) region: Vec<u8>,
    pub(super) extents: HashMap<Key, Extent>,
    pub(super) used: u64,
}

/// Lays out a region; `used` is how much of the old one is in use, when the user can know.
pub(super) fn lay_out(old: &[u8], kept: &[Kept], fresh: &[Fresh], used: Option<u64>) -> Layout {
    let mut layout = if kept.iter().all(|k| k.place.is_some()) {
        pack(old, kept, fresh)
    } else {
        patch(old, kept, fresh, used)
    };
    let live = layout.region.len();
    layout.used = live as u64;
    let padded = usize::try_from(padme(layout.used)).expect("regions are below 16 MiB");
    layout.region.resize(padded, 0);
    fill_random(&mut layout.region[live..]);
    layout
}

fn pack(old: &[u8], kept: &[Kept], fresh: &[Fresh]) -> Layout {
    let mut layout = Layout { region: Vec::new(), extents: HashMap::new(), used: 0 };
    for k in kept {
        let Some((extent, live)) = k.place else { continue };
        let start = usize::try_from(extent.offset).expect("extents were checked when opened");
        let end = start + usize::try_from(live).expect("extents were checked when opened");
        layout.append(k.key, &old[start..end], live);
    }
    for f in fresh {
        layout.append(f.key, &f.sealed, f.sealed.len() as u64);
    }
    layout
}

fn patch(old: &[u8], kept: &[Kept], fresh: &[Fresh], used: Option<u64>) -> Layout {
    let used = used.and_then(|u| usize::try_from(u).ok()).unwrap_or(old.len()).min(old.len());
    let mut layout = Layout { region: old[..used].to_vec(), extents: HashMap::new(), used: 0 };
    for k in kept {
        if let Some((extent, _)) = k.place {
            layout.extents.insert(k.key, extent);
        }
    }
    for f in fresh {
        let len = f.sealed.len() as u64;
        match f.old.filter(|e| e.capacity >= len && e.offset + e.capacity <= used as u64) {
            Some(extent) => {
                let start = usize::try_from(extent.offset).expect("it lies within the region");
                layout.region[start..start + f.sealed.len()].copy_from_slice(&f.sealed);
                layout.extents.insert(f.key, extent);
            }
            None => layout.append(f.key, &f.sealed, len + len / 2),
        }
    }
    layout
}

impl Layout {
    fn append(&mut self, key: Key, sealed: &[u8], capacity: u64) {
        let offset = self.region.len() as u64;
        self.extents.insert(key, Extent { offset, capacity, ..Extent::default() });
        self.region.extend_from_slice(sealed);
        let end = usize::try_from(offset + capacity).expect("regions are below 16 MiB");
        let live = self.region.len();
        self.region.resize(end, 0);
        fill_random(&mut self.region[live..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(slot: u16, len: usize, old: Option<Extent>) -> Fresh {
        Fresh { key: (slot, 0), sealed: vec![u8::try_from(slot).unwrap(); len], old }
    }

    fn bytes_of(layout: &Layout, slot: u16, len: usize) -> &[u8] {
        let start = usize::try_from(layout.extents[&(slot, 0)].offset).unwrap();
        &layout.region[start..start + len]
    }

    #[test]
    fn what_cannot_be_found_is_not_moved() {
        let first = lay_out(&[], &[], &[fresh(1, 100, None), fresh(2, 2000, None)], Some(0));
        assert_eq!(first.region.len() as u64, padme(2100));
        let hidden = [Kept { key: (1, 0), place: None }];
        let old = first.extents[&(2, 0)];
        let grown = [fresh(2, 2500, Some(old))];
        let second = lay_out(&first.region, &hidden, &grown, Some(first.used));
        assert_eq!(bytes_of(&first, 1, 100), &second.region[..100]);
        assert_eq!(bytes_of(&second, 2, 2500), [2; 2500]);
        let blind = lay_out(&first.region, &hidden, &[fresh(2, 2500, None)], None);
        assert_eq!(blind.region[..first.region.len()], first.region[..]);
    }

    #[test]
    fn saving_again_and_again_keeps_dead_bytes_within_a_factor() {
        let first = lay_out(&[], &[], &[fresh(1, 100, None), fresh(2, 100, None)], Some(0));
        let (mut region, mut used, mut extent) = (first.region, first.used, first.extents[&(2, 0)]);
        for len in 100..5000 {
            let hidden = [Kept { key: (1, 0), place: None }];
            let next = lay_out(&region, &hidden, &[fresh(2, len, Some(extent))], Some(used));
            extent = next.extents[&(2, 0)];
            (region, used) = (next.region, next.used);
        }
        assert!(region.len() < 5 * 5000, "{} bytes for 5,100", region.len());
    }

    #[test]
    fn who_finds_everything_packs_without_dead_bytes() {
        let first = lay_out(&[], &[], &[fresh(1, 3000, None), fresh(2, 3000, None)], Some(0));
        let kept = [Kept { key: (1, 0), place: Some((first.extents[&(1, 0)], 3000)) }];
        let second = lay_out(&first.region, &kept, &[fresh(2, 10, None)], Some(first.used));
        assert_eq!(second.used, 3010);
        assert_eq!(bytes_of(&second, 1, 3000), [1; 3000]);
    }
}
