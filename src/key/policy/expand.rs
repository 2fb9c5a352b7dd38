//! From a formula to its minimal disjunctive normal form, with bounded work.

use super::parse::{Formula, Node};
use super::{CLAUSES_MAX, Clause, ROWS_MAX, over_limit};
use crate::error::{Error, Kind, Result};
use crate::key::attribute::Attribute;

/// The most candidates for a clause that one policy may go through.
const CANDIDATES_MAX: usize = 1 << 18;
const WORDS: usize = ROWS_MAX / 64;

/// Attributes of a clause, by number.
#[derive(Clone, Copy, PartialEq)]
struct Set([u64; WORDS]);

impl Set {
    const EMPTY: Self = Self([0; WORDS]);

    fn of(attribute: usize) -> Self {
        let mut set = Self::EMPTY;
        set.0[attribute / 64] |= 1 << (attribute % 64);
        set
    }

    fn or(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a |= b);
        self
    }

    fn has(&self, attribute: usize) -> bool {
        self.0[attribute / 64] >> (attribute % 64) & 1 == 1
    }

    fn is_within(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).all(|(a, b)| a & !b == 0)
    }

    fn len(&self) -> u32 {
        self.0.iter().map(|w| w.count_ones()).sum()
    }

    fn clause(&self, attributes: &[Attribute]) -> Clause {
        let mine = (0..attributes.len()).filter(|i| self.has(*i));
        Clause::new(mine.map(|i| attributes[i].clone()).collect())
    }
}

/// Clauses of which none contains another. No clause is false, the empty clause is true.
type Clauses = Vec<Set>;

struct Expander {
    candidates: usize,
}

/// Returns the minimal clauses of a formula.
///
/// A part of it with more clauses than a policy may have is refused even when the rest would
/// absorb them: that keeps the work bounded.
pub(super) fn clauses(formula: &Formula) -> Result<Vec<Clause>> {
    let Some(root) = formula.root else { return Ok(Vec::new()) };
    let mut expander = Expander { candidates: 0 };
    let mut done: Vec<Clauses> = Vec::with_capacity(formula.nodes.len());
    for node in &formula.nodes {
        let clauses = match node {
            Node::Attribute(number) => vec![Set::of(*number)],
            Node::Any(parts) => expander.any(parts.iter().map(|p| &done[*p]))?,
            Node::All(parts) => {
                let mut product = vec![Set::EMPTY];
                for part in parts {
                    product = expander.both(&product, &done[*part])?;
                }
                product
            }
            Node::AtLeast(k, parts) => expander.at_least(*k, parts, &done)?,
        };
        done.push(clauses);
    }
    Ok(done[root].iter().map(|set| set.clause(&formula.attributes)).collect())
}

impl Expander {
    fn any<'a>(&mut self, parts: impl Iterator<Item = &'a Clauses>) -> Result<Clauses> {
        self.minimal(parts.flatten().copied().collect())
    }

    fn both(&mut self, left: &Clauses, right: &Clauses) -> Result<Clauses> {
        self.minimal(left.iter().flat_map(|l| right.iter().map(|r| l.or(r))).collect())
    }

    /// Goes through the parts one by one and keeps, for each j that can still lead to k, the
    /// clauses of "j of the parts so far": never more sets than the result has.
    fn at_least(&mut self, k: usize, parts: &[usize], done: &[Clauses]) -> Result<Clauses> {
        let mut reached: Vec<Clauses> = vec![Vec::new(); k + 1];
        reached[0].push(Set::EMPTY);
        for (i, part) in parts.iter().enumerate() {
            let left = parts.len() - i - 1;
            for j in (k.saturating_sub(left).max(1)..=k.min(i + 1)).rev() {
                let with = self.both(&reached[j - 1], &done[*part])?;
                reached[j] = self.any([&reached[j], &with].into_iter())?;
            }
        }
        Ok(reached.swap_remove(k))
    }

    /// Drops every clause that contains another. Shorter ones first: then what is kept stays.
    fn minimal(&mut self, mut candidates: Clauses) -> Result<Clauses> {
        self.candidates += candidates.len();
        if self.candidates > CANDIDATES_MAX {
            return Err(Error::new(Kind::Usage, "the policy is too large")
                .because("its parts repeat each other too often to be compared"));
        }
        candidates.sort_by_key(Set::len);
        let mut kept: Clauses = Vec::new();
        for set in candidates {
            if !kept.iter().any(|k| k.is_within(&set)) {
                kept.push(set);
            }
            if kept.len() > CLAUSES_MAX {
                return Err(over_limit("clauses", CLAUSES_MAX));
            }
        }
        Ok(kept)
    }
}
