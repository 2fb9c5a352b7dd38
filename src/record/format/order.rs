//! Ranks for the edited order of siblings: as many as possible keep theirs.

use super::rank::Rank;
use super::slots::Slot;

/// Seed of the ranks of siblings that ran out of room: they are visible to the writer anyway.
const SPREAD_SEED: [u8; 32] = [0; 32];

/// Returns ranks for siblings in their new order. Those on a longest run that is still in order
/// keep their rank; the others get ranks near their left neighbour.
pub(super) fn ranks(siblings: &[(Option<&Rank>, Slot)]) -> Vec<Rank> {
    let mut kept = longest_run(siblings);
    let mut ranks: Vec<Option<Rank>> =
        siblings.iter().zip(&kept).map(|((r, _), k)| r.filter(|_| *k).cloned()).collect();
    let mut at = 0;
    while at < siblings.len() {
        if kept[at] {
            at += 1;
            continue;
        }
        let left = at.checked_sub(1).and_then(|i| ranks[i].clone());
        let mut end = at;
        loop {
            while end < siblings.len() && !kept[end] {
                end += 1;
            }
            let right = ranks.get(end).and_then(Option::as_ref);
            if let Some(made) = Rank::between(left.as_ref(), right, end - at) {
                ranks.splice(at..end, made.into_iter().map(Some));
                break;
            }
            if end == siblings.len() {
                return Rank::fresh(&SPREAD_SEED, 0, siblings.len());
            }
            // No room before the right neighbour: it moves too.
            kept[end] = false;
            ranks[end] = None;
        }
        at = end;
    }
    ranks.into_iter().map(|r| r.expect("every run was filled")).collect()
}

/// Marks a longest subsequence that does not descend by (rank, section).
fn longest_run(siblings: &[(Option<&Rank>, Slot)]) -> Vec<bool> {
    let mut tails: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; siblings.len()];
    for (index, &(rank, slot)) in siblings.iter().enumerate() {
        let Some(rank) = rank else { continue };
        let not_after = |&tail: &usize| (siblings[tail].0, siblings[tail].1) <= (Some(rank), slot);
        let at = tails.partition_point(not_after);
        before[index] = at.checked_sub(1).map(|i| tails[i]);
        tails.truncate(at.max(tails.len()));
        if at == tails.len() {
            tails.push(index);
        } else {
            tails[at] = index;
        }
    }
    let mut kept = vec![false; siblings.len()];
    let mut next = tails.last().copied();
    while let Some(index) = next {
        kept[index] = true;
        next = before[index];
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SLOT: Slot = Slot::LABS;

    #[test]
    fn a_moved_element_gets_a_new_rank_and_the_others_keep_theirs() {
        let old = Rank::fresh(&[3; 32], 2, 4);
        let order = [Some(&old[0]), Some(&old[3]), Some(&old[1]), Some(&old[2]), None];
        let new = ranks(&order.map(|r| (r, SLOT)));
        assert!(new.is_sorted_by(|a, b| a < b));
        assert_eq!((&new[0], &new[2], &new[3]), (&old[0], &old[1], &old[2]));
        assert_ne!(new[1], old[3]);
    }

    #[test]
    fn an_element_between_equal_ranks_moves_the_right_one() {
        let r = Rank::from_bytes(&[5]).unwrap();
        let new = ranks(&[(Some(&r), Slot::LABS), (None, Slot::HIV), (Some(&r), Slot::VITALS)]);
        assert_eq!(new[0], r);
        assert!(new.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn siblings_without_room_are_spread_again() {
        let full = Rank::from_bytes(&[0xff; super::super::rank::MAX_RANK_BYTES]).unwrap();
        let new = ranks(&[(Some(&full), SLOT), (None, SLOT)]);
        assert!(new[0] < new[1]);
    }

    proptest! {
        #[test]
        fn any_order_is_kept(picks in proptest::collection::vec((0..12_usize, 0..3_u16), 0..30)) {
            let pool = Rank::fresh(&[9; 32], 1, 10);
            let siblings: Vec<_> = picks.iter().map(|&(i, s)| (pool.get(i), Slot(s))).collect();
            let new = ranks(&siblings);
            let keys: Vec<_> = new.iter().zip(&siblings).map(|(r, s)| (r, s.1)).collect();
            prop_assert!(keys.is_sorted());
        }
    }
}
