//! The section of every node: by the rules for itself, and then by what it refers to. A claim
//! that pays for a hidden diagnosis, or a report of a hidden result, follows it.

use std::borrow::Cow;
use std::collections::HashMap;

use super::rules::{Confidential, Hits, Rules};
use super::slots::Slot;
use super::tree::{Claim, Tree};

/// How often a reference to a reference is followed: benefit → claim → prescription → condition.
const MAX_STEPS: usize = 4;

pub(super) fn slots(tree: &Tree<'_>) -> Vec<Slot> {
    let mut hits: Vec<Hits> = tree.nodes.iter().map(|n| own_hits(&n.claim)).collect();
    for _ in 0..MAX_STEPS {
        if !follow(tree, &mut hits) {
            break;
        }
    }
    let decide = |(claim, &hits): (&Claim<'_>, &Hits)| match claim {
        Claim::Fixed(slot) => *slot,
        Claim::Typed(slot, facts) => Rules::decide(*slot, hits, facts.raised),
        Claim::With(..) => Slot::OTHER,
    };
    let mut slots: Vec<Slot> = tree.nodes.iter().map(|n| &n.claim).zip(&hits).map(decide).collect();
    for (index, node) in tree.nodes.iter().enumerate() {
        if let Claim::With(other, hits) = node.claim {
            slots[index] = Rules::decide(slots[other], hits, Confidential::default());
        }
    }
    slots
}

fn own_hits(claim: &Claim<'_>) -> Hits {
    match claim {
        Claim::Fixed(_) | Claim::With(..) => Hits::default(),
        Claim::Typed(_, facts) => facts.hits,
    }
}

/// Gives every element the sections of what it refers to; says whether one changed.
fn follow(tree: &Tree<'_>, hits: &mut [Hits]) -> bool {
    let sensitive = sensitive(tree, hits);
    let mut changed = false;
    for (node, hits) in tree.nodes.iter().zip(hits) {
        let Claim::Typed(_, facts) = &node.claim else { continue };
        let found = facts.references.iter().filter_map(|r| sensitive.get(r.as_ref()));
        let sum = found.fold(*hits, |sum, &more| sum | more);
        changed |= sum != *hits;
        *hits = sum;
    }
    changed
}

/// Collects the names of what belongs to a sensitive section.
fn sensitive<'t>(tree: &'t Tree<'_>, hits: &[Hits]) -> HashMap<Cow<'t, str>, Hits> {
    let mut names: HashMap<Cow<'t, str>, Hits> = HashMap::new();
    for (node, &hits) in tree.nodes.iter().zip(hits) {
        let Claim::Typed(_, facts) = &node.claim else { continue };
        if hits == Hits::default() {
            continue;
        }
        if let Some(url) = &facts.full_url {
            *names.entry(Cow::Borrowed(url)).or_default() |= hits;
        }
        if let (Some(kind), Some(id)) = (&facts.resource_type, &facts.id) {
            *names.entry(Cow::Owned(format!("{kind}/{id}"))).or_default() |= hits;
        }
    }
    names
}
