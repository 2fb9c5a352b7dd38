//! A policy as a tree that shows which parts somebody satisfies.

use std::fmt::Write;

use super::parse::{self, Formula, Node};
use crate::error::Result;
use crate::key::attribute::{Attribute, AuthorityId};

/// Draws the policy as it was written, one part on a line, `✓` before each part that somebody
/// with these attributes satisfies and `✗` before the others.
///
/// # Errors
/// `Usage` when the text is not a policy.
pub fn explain(
    text: &str,
    patient: Option<&AuthorityId>,
    has: &impl Fn(&Attribute) -> bool,
) -> Result<String> {
    let formula = parse::formula(text, patient)?;
    let Some(root) = formula.root else { return Ok("✗ nobody\n".to_owned()) };
    let true_nodes = evaluate(&formula, has);
    let mut out = String::new();
    let mut stack = vec![(root, 0)];
    while let Some((number, depth)) = stack.pop() {
        let tick = if true_nodes[number] { '✓' } else { '✗' };
        let mut line = |text: &dyn std::fmt::Display| {
            writeln!(out, "{:indent$}{tick} {text}", "", indent = 2 * depth)
                .expect("writing to a string cannot fail");
        };
        let parts = match &formula.nodes[number] {
            Node::Attribute(a) => {
                line(&formula.attributes[*a]);
                continue;
            }
            Node::All(parts) => {
                line(&"all of");
                parts
            }
            Node::Any(parts) => {
                line(&"any of");
                parts
            }
            Node::AtLeast(k, parts) => {
                line(&format_args!("{k} of"));
                parts
            }
        };
        stack.extend(parts.iter().rev().map(|p| (*p, depth + 1)));
    }
    Ok(out)
}

/// Says of every node whether it is satisfied.
pub(super) fn evaluate(formula: &Formula, has: &impl Fn(&Attribute) -> bool) -> Vec<bool> {
    let mut done: Vec<bool> = Vec::with_capacity(formula.nodes.len());
    for node in &formula.nodes {
        let holds = match node {
            Node::Attribute(a) => has(&formula.attributes[*a]),
            Node::All(parts) => parts.iter().all(|p| done[*p]),
            Node::Any(parts) => parts.iter().any(|p| done[*p]),
            Node::AtLeast(k, parts) => parts.iter().filter(|p| done[**p]).count() >= *k,
        };
        done.push(holds);
    }
    done
}
