//! Who may: a text over attributes, and the clauses that it comes to.
//!
//! ```text
//! owner@{patient} or (physician@st-mary and on-duty@st-mary) or 2 of (a@x, b@y, c@z)
//! ```
//!
//! `and` binds tighter than `or`; `nobody` alone is the policy that nothing satisfies. A policy
//! is kept as its minimal disjunctive normal form, so that two texts with one meaning are equal,
//! and a capsule is made for each clause.

mod parse;
mod expand;
mod explain;

use std::collections::BTreeSet;
use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::key::attribute::{Attribute, AuthorityId};
use crate::key::dabe::CLAUSE_ATTRIBUTES_MAX;

pub use explain::explain;

/// The longest policy text, in bytes.
pub const TEXT_LEN_MAX_BYTES: usize = 16 * 1024;
/// The deepest nesting of parentheses.
pub const DEPTH_MAX: usize = 32;
/// The most clauses of a policy.
pub const CLAUSES_MAX: usize = 64;
/// Stands for the patient of a folder that has none; no authority may be called so.
pub const UNBOUND_PATIENT: &str = "unbound.patient";
/// The most rows: attributes over all clauses.
pub const ROWS_MAX: usize = 256;

/// A conjunction of attributes, ascending by authority, then name: the order of a capsule's rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Clause(Vec<Attribute>);

impl Clause {
    fn new(mut attributes: Vec<Attribute>) -> Self {
        attributes.sort_by(|a, b| (&a.authority, &a.name).cmp(&(&b.authority, &b.name)));
        attributes.dedup();
        Self(attributes)
    }

    /// Returns the attributes; never none.
    pub fn attributes(&self) -> &[Attribute] {
        &self.0
    }

    fn is_within(&self, other: &Self) -> bool {
        self.0.iter().all(|a| other.0.contains(a))
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, attribute) in self.0.iter().enumerate() {
            write!(f, "{}{attribute}", if i == 0 { "" } else { " and " })?;
        }
        Ok(())
    }
}

/// Who may, as the shortest list of clauses of which one must be satisfied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy(Vec<Clause>);

impl Policy {
    /// Reads a policy text; `{patient}` in the place of an authority stands for `patient`.
    ///
    /// # Errors
    /// `Usage`, with the column, when the text is not a policy, names `{patient}` where there is
    /// none, or comes to more than the limits of this module.
    pub fn parse(text: &str, patient: Option<&AuthorityId>) -> Result<Self> {
        Self::canonical(expand::clauses(&parse::formula(text, patient)?)?)
    }

    /// Reads a policy text in which `{patient}` may be unbound: the clauses that name it then
    /// fall away, because nobody is the owner yet.
    ///
    /// # Errors
    /// As [`Policy::parse`], except for the missing patient.
    ///
    /// # Panics
    /// Never: the stand-in is a valid name.
    pub fn parse_template(text: &str, patient: Option<&AuthorityId>) -> Result<Self> {
        let stand_in: AuthorityId = UNBOUND_PATIENT.parse().expect("the stand-in is a valid name");
        let mut policy = Self::parse(text, Some(patient.unwrap_or(&stand_in)))?;
        policy.0.retain(|clause| clause.0.iter().all(|a| a.authority != stand_in));
        Ok(policy)
    }

    /// Returns the policy that is satisfied when one of `policies` is.
    ///
    /// # Errors
    /// `Usage` when it is over the limits.
    pub fn any_of<'a>(policies: impl IntoIterator<Item = &'a Self>) -> Result<Self> {
        let mut all: Vec<Clause> = policies.into_iter().flat_map(|p| &p.0).cloned().collect();
        all.sort_by_key(|c| c.0.len());
        let mut kept: Vec<Clause> = Vec::new();
        for clause in all {
            if !kept.iter().any(|k| k.is_within(&clause)) {
                kept.push(clause);
            }
            if kept.len() > CLAUSES_MAX {
                return Err(over_limit("clauses", CLAUSES_MAX));
            }
        }
        Self::canonical(kept)
    }

    /// Sorts clauses of which none contains another, and checks their sizes.
    fn canonical(mut clauses: Vec<Clause>) -> Result<Self> {
        clauses.sort();
        if clauses.iter().any(|c| c.0.len() > CLAUSE_ATTRIBUTES_MAX) {
            return Err(over_limit("attributes in one clause", CLAUSE_ATTRIBUTES_MAX));
        }
        if clauses.iter().map(|c| c.0.len()).sum::<usize>() > ROWS_MAX {
            return Err(over_limit("attributes over all clauses", ROWS_MAX));
        }
        Ok(Self(clauses))
    }

    /// Returns the clauses in canonical order; none when nobody may.
    pub fn clauses(&self) -> &[Clause] {
        &self.0
    }

    /// Returns every attribute that the policy names, once.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.0.iter().flat_map(|c| &c.0).collect::<BTreeSet<_>>().into_iter()
    }

    /// Says whether somebody with these attributes may.
    pub fn satisfied_by(&self, has: &impl Fn(&Attribute) -> bool) -> bool {
        self.0.iter().any(|clause| clause.0.iter().all(has))
    }

    /// Returns the fewest attributes that are missing to satisfy the policy: none of them when it
    /// is satisfied, `None` when nobody may. Of several equally small sets it is the first.
    pub fn missing(&self, has: &impl Fn(&Attribute) -> bool) -> Option<Vec<&Attribute>> {
        let lacking = |clause: &'_ Clause| clause.0.iter().filter(|a| !has(a)).count();
        let nearest = self.0.iter().min_by_key(|c| lacking(c))?;
        Some(nearest.0.iter().filter(|a| !has(a)).collect())
    }
}

/// The canonical text: it parses to the same policy.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nobody");
        }
        for (i, clause) in self.0.iter().enumerate() {
            let or = if i == 0 { "" } else { " or " };
            if clause.0.len() > 1 && self.0.len() > 1 {
                write!(f, "{or}({clause})")?;
            } else {
                write!(f, "{or}{clause}")?;
            }
        }
        Ok(())
    }
}

fn over_limit(of_what: &str, limit: usize) -> Error {
    Error::new(Kind::Usage, "the policy is too large")
        .because(format!("it comes to more than {limit} {of_what}"))
        .hint("split the section, or let an authority issue one attribute for the whole group")
}

#[cfg(test)]
mod tests;
