//! Which row of an edited view was which. A row that says the same is the same wherever it stands;
//! one that was changed is known by the cells that tell who it is about, or by what stands around
//! it. Hidden cells follow what is found here, so that in doubt a row is a new one.

use std::collections::{HashMap, VecDeque};

/// More changes than this between two tables are not looked for line by line.
const MAX_CHANGES: usize = 512;
/// More rows than this that are neither where they were nor as they were are new ones.
const MAX_LEFT: usize = 256;
/// How far a changed row is looked for among those that are left.
const LOOK_AHEAD: usize = 32;

/// What is known of the rows of one side.
pub(super) struct Side {
    /// What each row says.
    pub(super) says: Vec<u64>,
    /// What identifies each row, where the view shows that.
    pub(super) key: Vec<Option<u64>>,
}

/// Two sides on their way to be matched.
struct Match<'m> {
    old: &'m Side,
    new: &'m Side,
    /// For every new row the old one.
    found: Vec<Option<usize>>,
    used: Vec<bool>,
}

/// Returns for every new row the old one that it was. `alike` compares an old and a new row cell by
/// cell.
pub(super) fn match_rows(
    old: &Side,
    new: &Side,
    alike: impl Fn(usize, usize) -> bool,
) -> Vec<Option<usize>> {
    let (found, used) = (vec![None; new.says.len()], vec![false; old.says.len()]);
    let mut this = Match { old, new, found, used };
    this.in_place();
    this.moved();
    this.by_key();
    this.changed(&alike);
    this.moved_and_changed(alike);
    this.found
}

impl Match<'_> {
    fn set(&mut self, old: usize, new: usize) {
        self.found[new] = Some(old);
        self.used[old] = true;
    }

    /// Matches equal rows in the order of both sides.
    fn in_place(&mut self) {
        let (old, new) = (&self.old.says, &self.new.says);
        let ahead = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        let (rest_old, rest_new) = (&old[ahead..], &new[ahead..]);
        let behind = rest_old.iter().rev().zip(rest_new.iter().rev());
        let behind = behind.take_while(|(a, b)| a == b).count();
        let middle_old = &rest_old[..rest_old.len() - behind];
        let middle_new = &rest_new[..rest_new.len() - behind];
        let pairs = common(middle_old, middle_new).unwrap_or_default();
        let (last_old, last_new) = (old.len(), new.len());
        (0..ahead).for_each(|at| self.set(at, at));
        (1..=behind).for_each(|n| self.set(last_old - n, last_new - n));
        for (a, b) in pairs {
            self.set(ahead + a, ahead + b);
        }
    }

    /// Matches equal rows that stand elsewhere.
    fn moved(&mut self) {
        let mut left: HashMap<u64, VecDeque<usize>> = HashMap::new();
        for (at, says) in self.old.says.iter().enumerate().filter(|(at, _)| !self.used[*at]) {
            left.entry(*says).or_default().push_back(at);
        }
        for at in 0..self.found.len() {
            if self.found[at].is_none()
                && let Some(old) = left.get_mut(&self.new.says[at]).and_then(VecDeque::pop_front)
            {
                self.set(old, at);
            }
        }
    }

    /// Matches rows of which nobody else has the identity.
    fn by_key(&mut self) {
        let places = |side: &Side| {
            let mut places: HashMap<u64, Option<usize>> = HashMap::new();
            for (at, key) in side.key.iter().enumerate() {
                let Some(key) = key else { continue };
                places.entry(*key).and_modify(|place| *place = None).or_insert(Some(at));
            }
            places
        };
        let (old, new) = (places(self.old), places(self.new));
        for (key, at) in new {
            let (Some(at), Some(Some(was))) = (at, old.get(&key)) else { continue };
            if self.found[at].is_none() && !self.used[*was] {
                self.set(*was, at);
            }
        }
    }

    /// Matches changed rows by their neighbours: between two rows that are known, as many as
    /// before are the same ones in their order.
    fn changed(&mut self, alike: impl Fn(usize, usize) -> bool) {
        let anchors = ascending(&self.found);
        let (mut old_from, mut new_from) = (0, 0);
        let ends = anchors.into_iter().chain([(self.used.len(), self.found.len())]);
        for (old_end, new_end) in ends {
            let old: Vec<usize> = (old_from..old_end).filter(|at| !self.used[*at]).collect();
            let new: Vec<usize> =
                (new_from..new_end).filter(|at| self.found[*at].is_none()).collect();
            self.gap(&old, &new, &alike);
            (old_from, new_from) = (old_end + 1, new_end + 1);
        }
    }

    /// Matches what is left by what it says, where only one row of each side fits.
    fn moved_and_changed(&mut self, alike: impl Fn(usize, usize) -> bool) {
        let old: Vec<usize> = (0..self.used.len()).filter(|at| !self.used[*at]).collect();
        let new: Vec<usize> =
            (0..self.found.len()).filter(|at| self.found[*at].is_none()).collect();
        if old.len().max(new.len()) > MAX_LEFT {
            return;
        }
        let fits: Vec<Vec<usize>> =
            new.iter().map(|&b| old.iter().copied().filter(|&a| alike(a, b)).collect()).collect();
        for (&b, fit) in new.iter().zip(&fits) {
            if let [a] = fit[..]
                && fits.iter().filter(|other| other.contains(&a)).count() == 1
            {
                self.set(a, b);
            }
        }
    }

    fn gap(&mut self, old: &[usize], new: &[usize], alike: impl Fn(usize, usize) -> bool) {
        if old.len() == new.len() {
            for (&a, &b) in old.iter().zip(new) {
                let is_named = self.old.key[a].is_some() || self.new.key[b].is_some();
                if !is_named || alike(a, b) {
                    self.set(a, b);
                }
            }
            return;
        }
        let mut left = old;
        for &b in new {
            if let Some(at) = left.iter().take(LOOK_AHEAD).position(|&a| alike(a, b)) {
                self.set(left[at], b);
                left = &left[at + 1..];
            }
        }
    }
}

/// Finds equal rows in order, as many as there are; `None` when the sides differ in too much.
fn common(old: &[u64], new: &[u64]) -> Option<Vec<(usize, usize)>> {
    // The usual walk over furthest points, one diagonal for each difference in length so far.
    let mut trace: Vec<Vec<usize>> = Vec::new();
    for changes in 0..=MAX_CHANGES {
        let mut reached = Vec::with_capacity(changes + 1);
        for inserted in 0..=changes {
            let removed = changes - inserted;
            let last = trace.last();
            let by_insert = inserted.checked_sub(1).and_then(|i| last.map(|l| l[i]));
            let by_remove = last.and_then(|l| l.get(inserted)).filter(|_| removed > 0);
            let start = by_insert.max(by_remove.map(|at| at + 1)).unwrap_or(0);
            let mut at = start;
            let other = |at: usize| (at + inserted).checked_sub(removed);
            while let Some(b) = other(at).filter(|b| at < old.len() && *b < new.len())
                && old[at] == new[b]
            {
                at += 1;
            }
            if at == old.len() && other(at) == Some(new.len()) {
                reached.push(at);
                trace.push(reached);
                return Some(walk_back(old.len(), inserted, &trace));
            }
            reached.push(at);
        }
        trace.push(reached);
    }
    None
}

/// Collects the equal rows on the way to the end.
fn walk_back(end: usize, mut inserted: usize, trace: &[Vec<usize>]) -> Vec<(usize, usize)> {
    let (mut pairs, mut at) = (Vec::new(), end);
    for changes in (0..trace.len()).rev() {
        let removed = changes - inserted;
        let last = changes.checked_sub(1).map(|c| &trace[c]);
        let by_insert = inserted.checked_sub(1).and_then(|i| last.map(|l| l[i]));
        let by_remove = last.and_then(|l| l.get(inserted)).filter(|_| removed > 0).map(|at| at + 1);
        let start = by_insert.max(by_remove).unwrap_or(0);
        pairs.extend((start..at).rev().map(|a| (a, a + inserted - removed)));
        (at, inserted) = match (by_insert, by_remove) {
            (insert, Some(remove)) if insert.is_none_or(|i| i < remove) => (remove - 1, inserted),
            (Some(insert), _) => (insert, inserted - 1),
            _ => (0, inserted),
        };
    }
    pairs.reverse();
    pairs
}

/// Returns a longest run of matches that ascends on both sides.
fn ascending(found: &[Option<usize>]) -> Vec<(usize, usize)> {
    let mut tails: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; found.len()];
    for (new, old) in found.iter().enumerate().filter_map(|(new, old)| Some((new, (*old)?))) {
        let at = tails.partition_point(|tail| found[*tail] < Some(old));
        before[new] = at.checked_sub(1).map(|i| tails[i]);
        tails.truncate(at.max(tails.len()));
        if at == tails.len() {
            tails.push(new);
        } else {
            tails[at] = new;
        }
    }
    let mut run = Vec::new();
    let mut next = tails.last().copied();
    while let Some(new) = next {
        run.extend(found[new].map(|old| (old, new)));
        next = before[new];
    }
    run.reverse();
    run
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn side(text: &str) -> Side {
        let rows: Vec<&str> = text.split(' ').filter(|row| !row.is_empty()).collect();
        let number = |text: &str| text.bytes().fold(7, |n: u64, b| n * 131 + u64::from(b));
        let key = |row: &&str| row.split_once('=').map(|(key, _)| number(key));
        Side {
            says: rows.iter().map(|row| number(row)).collect(),
            key: rows.iter().map(key).collect(),
        }
    }

    fn matched(old: &str, new: &str) -> Vec<Option<usize>> {
        let rows = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        let (a, b) = (rows(old), rows(new));
        // Alike: the same first letter.
        match_rows(&side(old), &side(new), |i, j| a[i].as_bytes()[0] == b[j].as_bytes()[0])
    }

    #[test]
    fn rows_are_found_in_place_moved_changed_and_new() {
        assert_eq!(matched("m f m f", "m f f"), [Some(0), Some(1), Some(3)]);
        assert_eq!(matched("m f m f", "f m f"), [Some(1), Some(2), Some(3)]);
        assert_eq!(matched("a b c", "c a b"), [Some(2), Some(0), Some(1)]);
        assert_eq!(matched("a b c", "a x c"), [Some(0), Some(1), Some(2)]);
        assert_eq!(matched("a b1 c", "a b2 x c"), [Some(0), Some(1), None, Some(2)]);
        assert_eq!(matched("a b1 x c", "a b2 c"), [Some(0), Some(1), Some(3)]);
        assert_eq!(matched("a b", "a new b"), [Some(0), None, Some(1)]);
        assert_eq!(matched("a b1 c", "b2 x c a"), [Some(1), None, Some(2), Some(0)]);
        assert_eq!(matched("a b1 c", "b2 b3 c a"), [None, None, Some(2), Some(0)]);
        assert_eq!(matched("a b", ""), []);
    }

    #[test]
    fn a_row_with_another_identity_that_says_other_things_is_a_new_one() {
        assert_eq!(matched("a=1 b=1 c=1", "c=2 a=3 b=9"), [Some(2), Some(0), Some(1)]);
        assert_eq!(matched("a=1 b=1", "a=1 x=2"), [Some(0), None]);
        assert_eq!(matched("a=1 b1=1", "a=1 b2=1"), [Some(0), Some(1)]);
    }

    proptest! {
        #[test]
        fn every_row_is_matched_at_most_once_and_equal_ones_as_often_as_can_be(
            old in proptest::collection::vec(0..5_u64, 0..20),
            new in proptest::collection::vec(0..5_u64, 0..20),
        ) {
            let side = |says: &[u64]| Side { says: says.to_vec(), key: vec![None; says.len()] };
            let found = match_rows(&side(&old), &side(&new), |_, _| false);
            let mut used: Vec<usize> = found.iter().copied().flatten().collect();
            used.sort_unstable();
            used.dedup();
            prop_assert_eq!(used.len(), found.iter().flatten().count());
            for says in 0..5 {
                let count = |all: &[u64]| all.iter().filter(|s| **s == says).count();
                let same = (0..new.len()).filter(|&b| new[b] == says && found[b].is_some_and(|a| old[a] == says));
                prop_assert_eq!(same.count(), count(&old).min(count(&new)));
            }
            let pairs = common(&old, &new).unwrap();
            prop_assert!(pairs.iter().all(|(a, b)| old[*a] == new[*b]));
            prop_assert!(pairs.is_sorted_by(|x, y| x.0 < y.0 && x.1 < y.1));
        }
    }
}
