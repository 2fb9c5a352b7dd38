//! The place of an element among its siblings: a byte string that sorts, between any two of
//! which another one can be made.
//!
//! An element carries its rank in its own section, so that visible elements sort without the
//! hidden ones. The first ranks of a file are drawn at random: evenly spaced ones would tell a
//! reader of one section how many elements of other sections stand between his own.

use crate::key::hash;

/// A rank has no more bytes than this; beyond it the visible siblings get new ranks.
pub const MAX_RANK_BYTES: usize = 64;

const FRESH_BYTES: usize = 6;
const WINDOW: usize = 8;
/// How far from its neighbour an inserted element goes: less than one unit of a fresh rank has
/// room for, so that it stays beside the neighbour and before every hidden element.
const STEP: u64 = 1 << 12;

/// A place among siblings: not empty, no zero byte at the end, at most [`MAX_RANK_BYTES`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank(Vec<u8>);

impl Rank {
    /// Checks bytes that came from outside.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let canonical = bytes.last().is_some_and(|&last| last != 0);
        (canonical && bytes.len() <= MAX_RANK_BYTES).then(|| Self(bytes.to_vec()))
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Makes the rank of a number that is not zero.
    fn from_number(prefix: &[u8], number: u64) -> Option<Self> {
        let mut bytes = prefix.to_vec();
        bytes.extend_from_slice(&number.to_be_bytes());
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        Self::from_bytes(&bytes)
    }

    /// Makes `count` ranks for a new container, drawn from `seed` and `container`.
    pub fn fresh(seed: &[u8; 32], container: u32, count: usize) -> Vec<Self> {
        let mut numbers = Vec::with_capacity(count);
        let mut block = 0_u64;
        while numbers.len() < count {
            let digest =
                hash::sha256(&[b"rank", seed, &container.to_le_bytes(), &block.to_le_bytes()]);
            block += 1;
            let wanted = count - numbers.len();
            numbers.extend(digest.chunks_exact(FRESH_BYTES).take(wanted).map(fresh_number));
        }
        numbers.sort_unstable();
        spread_equal(&mut numbers);
        let shift = 8 * (WINDOW - FRESH_BYTES);
        numbers
            .into_iter()
            .map(|n| Self::from_number(&[], n << shift).expect("fresh numbers are not zero"))
            .collect()
    }

    /// Makes `count` ascending ranks strictly between two neighbours, near the left one; without
    /// a left neighbour near the right one. `None` when there is no room.
    pub fn between(left: Option<&Self>, right: Option<&Self>, count: usize) -> Option<Vec<Self>> {
        let low = left.map_or(&[][..], Self::as_bytes);
        if right.is_some_and(|r| r.as_bytes() <= low) {
            return None;
        }
        let mut high = right.map(Self::as_bytes);
        let differs = high.map_or(0, |h| h.iter().zip(low).take_while(|(a, b)| a == b).count());
        let count = count as u64;
        let mut start = differs;
        while start + WINDOW <= MAX_RANK_BYTES {
            let (a, b) = (window(low, start), high.map_or(u64::MAX, |h| window(h, start)));
            let room = b - a;
            if room > count {
                let even = room / (count + 1);
                // Beyond the bytes of fresh ranks nothing hidden stands in between.
                let step = if start < FRESH_BYTES { even.min(STEP) } else { even };
                let first =
                    if left.is_none() && high.is_some() { b - step * count } else { a + step };
                let mut prefix = low.get(..start).unwrap_or(low).to_vec();
                prefix.resize(start, 0);
                return (0..count).map(|i| Self::from_number(&prefix, first + i * step)).collect();
            }
            if room > 0 {
                // Everything that begins like `low` up to here stands before `right`.
                high = None;
            }
            start += WINDOW;
        }
        None
    }
}

/// Reads a number of the lower half of the range, which leaves room for appended ranks.
fn fresh_number(chunk: &[u8]) -> u64 {
    chunk.iter().fold(0, |n, &b| (n << 8) | u64::from(b)) >> 1
}

/// Makes sorted numbers strictly ascending and none of them zero.
fn spread_equal(numbers: &mut [u64]) {
    let mut last = 0;
    for n in numbers {
        *n = (*n).max(last + 1);
        last = *n;
    }
}

/// Returns eight bytes from `start` as a number, with zeros after the end.
fn window(bytes: &[u8], start: usize) -> u64 {
    let mut out = [0; WINDOW];
    let rest = bytes.get(start..).unwrap_or(&[]);
    let n = rest.len().min(WINDOW);
    out[..n].copy_from_slice(&rest[..n]);
    u64::from_be_bytes(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fresh_ranks_ascend_and_differ_by_seed_and_container() {
        let ranks = Rank::fresh(&[1; 32], 2, 1000);
        assert_eq!(ranks.len(), 1000);
        assert!(ranks.is_sorted_by(|a, b| a < b));
        assert_ne!(ranks[0], Rank::fresh(&[2; 32], 2, 1000)[0]);
        assert_ne!(ranks[0], Rank::fresh(&[1; 32], 3, 1000)[0]);
    }

    #[test]
    fn ten_thousand_appends_and_three_hundred_inserts_at_one_place_find_room() {
        let mut last = Rank::fresh(&[0; 32], 2, 1).remove(0);
        for _ in 0..10_000 {
            let next = Rank::between(Some(&last), None, 1).unwrap().remove(0);
            assert!(next > last);
            last = next;
        }
        let pair = Rank::fresh(&[0; 32], 2, 2);
        let mut right = pair[1].clone();
        let mut made = 0_usize;
        while let Some(new) = Rank::between(Some(&pair[0]), Some(&right), 1) {
            assert!(pair[0] < new[0] && new[0] < right);
            right = new[0].clone();
            made += 1;
        }
        assert!(made >= 300, "only {made} inserts before the siblings need new ranks");
    }

    #[test]
    fn equal_neighbours_have_no_room() {
        let r = Rank::from_bytes(&[7]).unwrap();
        assert!(Rank::between(Some(&r), Some(&r), 1).is_none());
        assert!(Rank::from_bytes(&[]).is_none());
        assert!(Rank::from_bytes(&[1, 0]).is_none());
        assert!(Rank::from_bytes(&[1; MAX_RANK_BYTES + 1]).is_none());
    }

    fn rank() -> impl Strategy<Value = Rank> {
        (proptest::collection::vec(any::<u8>(), 0..12), 1..=255_u8).prop_map(|(mut v, last)| {
            v.push(last);
            Rank::from_bytes(&v).unwrap()
        })
    }

    proptest! {
        #[test]
        fn between_is_between(a in rank(), b in rank(), n in 1..50_usize) {
            let (low, high) = (a.clone().min(b.clone()), a.max(b));
            prop_assume!(low != high);
            let made = Rank::between(Some(&low), Some(&high), n).unwrap();
            prop_assert_eq!(made.len(), n);
            prop_assert!(made.is_sorted_by(|x, y| x < y));
            prop_assert!(low < made[0] && made[n - 1] < high);
            let before = Rank::between(None, Some(&low), n).unwrap();
            prop_assert!(before.is_sorted_by(|x, y| x < y) && before[n - 1] < low);
            let after = Rank::between(Some(&high), None, n).unwrap();
            prop_assert!(after.is_sorted_by(|x, y| x < y) && high < after[0]);
        }
    }
}
