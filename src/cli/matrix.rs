//! `chartfs matrix`: who opens what, computed from the policy alone.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::out::{Out, Tone};
use super::policy::{Patient, Source, SourceArgs, parse_attributes};
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::key::attribute::Attribute;
use crate::key::policy::Policy;
use crate::record::format::Slot;

/// The most columns of a matrix.
const ROLES_MAX: usize = 64;

/// Show who opens which section
///
/// No key is needed: the matrix is computed from the policy. A role is a set of attributes; when
/// none is named, every attribute in the policy is one.
#[derive(Args, Debug)]
pub(super) struct MatrixArgs {
    /// The bucket of the realm whose root policy it is
    #[arg(conflicts_with = "policy")]
    bucket: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    /// The columns: nurse=nurse@st-mary,doctor=physician@st-mary+on-call@st-mary
    #[arg(long, value_name = "ROLES")]
    roles: Option<String>,
    /// Show who may write instead of who may read
    #[arg(long)]
    write: bool,
    /// Show every section, also those that the policy does not name
    #[arg(long)]
    all: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A column: somebody with these attributes.
struct Role {
    name: String,
    attributes: Vec<Attribute>,
}

#[derive(Serialize)]
struct MatrixJson {
    right: &'static str,
    roles: Vec<RoleJson>,
    sections: Vec<RowJson>,
}

#[derive(Serialize)]
struct RoleJson {
    name: String,
    attributes: Vec<String>,
}

#[derive(Serialize)]
struct RowJson {
    section: String,
    cells: Vec<CellJson>,
}

#[derive(Clone, Serialize)]
struct CellJson {
    role: String,
    opens: bool,
    /// The attribute that alone is missing.
    one_more: Option<String>,
}

pub(super) fn run(args: &MatrixArgs, session: &Session) -> Outcome {
    let source = Source::load(&args.source, args.bucket.as_deref(), session)?;
    let roles = match &args.roles {
        Some(text) => parse_roles(text, &source.patient)?,
        None => single_attributes(&source),
    };
    if roles.len() > ROLES_MAX {
        return Err(Error::new(Kind::Usage, "the matrix has too many roles")
            .because(format!("{} of at most {ROLES_MAX}", roles.len()))
            .hint("name those that matter: --roles NAME=ATTRIBUTE+ATTRIBUTE,…")
            .into());
    }
    let matrix = compute(&source, &roles, args.write, args.all);
    let mut out = Out::new(session.settings.color);
    if args.json {
        out.json(&matrix)?;
    } else {
        print(&mut out, &matrix)?;
    }
    Ok(Exit::DONE)
}

/// Prints who opens what under a policy, for roles with their attributes.
pub(super) fn show(
    out: &mut Out,
    policy: &str,
    patient: &str,
    roles: impl IntoIterator<Item = (String, Vec<Attribute>)>,
) -> std::result::Result<(), Failure> {
    let source = Source::of_text(policy, Patient::new(Some(patient))?)?;
    let role = |(name, attributes)| Role { name, attributes };
    let roles: Vec<Role> = roles.into_iter().map(role).collect();
    print(out, &compute(&source, &roles, false, false))
}

fn parse_roles(text: &str, patient: &Patient) -> Result<Vec<Role>> {
    let bad = |part: &str| {
        Error::new(Kind::Usage, format!("{part:?} is not a role"))
            .hint("write NAME=ATTRIBUTE+ATTRIBUTE, with commas between roles")
    };
    let role = |part: &str| {
        let (name, attributes) = part.split_once('=').ok_or_else(|| bad(part))?;
        let attributes = parse_attributes(&[attributes.to_owned()], patient)?;
        if name.is_empty() || attributes.is_empty() {
            return Err(bad(part));
        }
        Ok(Role { name: name.to_owned(), attributes })
    };
    text.split(',').map(role).collect()
}

/// Returns a role for every attribute in the policy.
fn single_attributes(source: &Source) -> Vec<Role> {
    let default = source.bound.rights("default");
    let rights = source.bound.named_sections().map(|(_, r)| r).chain([default]);
    let released = source.bound.released().into_iter().flat_map(|r| r.read.attributes());
    let mut all: Vec<Attribute> = rights
        .flat_map(|r| r.read.attributes().chain(r.write.attributes()))
        .chain(released)
        .cloned()
        .collect();
    all.sort_by(|a, b| (&a.authority, &a.name).cmp(&(&b.authority, &b.name)));
    all.dedup();
    let role = |a: Attribute| Role { name: source.patient.shown(&a), attributes: vec![a] };
    all.into_iter().map(role).collect()
}

fn compute(source: &Source, roles: &[Role], is_write: bool, is_all: bool) -> MatrixJson {
    let formula = |section: &str| -> &Policy {
        let rights = source.bound.rights(section);
        if is_write { &rights.write } else { &rights.read }
    };
    let row = |label: &str, section: &str| RowJson {
        section: label.to_owned(),
        cells: roles.iter().map(|role| cell(formula(section), role, &source.patient)).collect(),
    };
    let named: Vec<&str> = source.bound.named_sections().map(|(name, _)| name).collect();
    let in_order = Slot::ALL.iter().map(|s| s.name()).filter(|s| *s != Slot::FRAME.name());
    let mut sections: Vec<RowJson> =
        in_order.filter(|s| is_all || named.contains(s)).map(|s| row(s, s)).collect();
    if !is_all {
        sections.push(row("all others", "default"));
    }
    if !is_write && source.bound.released().is_some() {
        sections.push(row("research twins", Slot::FRAME.twin().name()));
    }
    let role = |r: &Role| RoleJson {
        name: r.name.clone(),
        attributes: r.attributes.iter().map(|a| source.patient.shown(a)).collect(),
    };
    let right = if is_write { "write" } else { "read" };
    MatrixJson { right, roles: roles.iter().map(role).collect(), sections }
}

fn cell(policy: &Policy, role: &Role, patient: &Patient) -> CellJson {
    let has = |a: &Attribute| role.attributes.contains(a);
    let opens = policy.satisfied_by(&has);
    // Half of a clause has to be there: a stranger does not become somebody else by one more.
    let lacking = |clause: &crate::key::policy::Clause| {
        let mut missing = clause.attributes().iter().filter(|a| !has(a));
        let first = missing.next().filter(|_| clause.attributes().len() > 1)?;
        missing.next().is_none().then(|| patient.shown(first))
    };
    let one_more = if opens { None } else { policy.clauses().iter().find_map(lacking) };
    CellJson { role: role.name.clone(), opens, one_more }
}

fn print(out: &mut Out, matrix: &MatrixJson) -> std::result::Result<(), Failure> {
    let first = matrix.sections.iter().map(|r| r.section.len()).max().unwrap_or(0) + 2;
    // A role that is one attribute takes two lines: its name, and who vouches for it.
    let halves: Vec<(&str, &str)> = matrix
        .roles
        .iter()
        .map(|r| r.name.find('@').map_or((r.name.as_str(), ""), |at| r.name.split_at(at)))
        .collect();
    let width = |(a, b): &(&str, &str)| a.chars().count().max(b.chars().count()) + 1;
    let widths: Vec<usize> = halves.iter().map(width).collect();
    for is_second in [false, true] {
        let mut line = " ".repeat(first);
        for ((a, b), width) in halves.iter().zip(&widths) {
            let half = if is_second { b } else { a };
            write!(line, "{half:width$}").expect("writing to a string");
        }
        if !line.trim().is_empty() {
            out.line(line.trim_end())?;
        }
    }
    for row in &matrix.sections {
        let mut line = format!("{:first$}", row.section);
        for (cell, width) in row.cells.iter().zip(&widths) {
            let (tone, mark) = match (cell.opens, &cell.one_more) {
                (true, _) => (Tone::Good, "●"),
                (false, Some(_)) => (Tone::Warning, "◐"),
                (false, None) => (Tone::Bad, "○"),
            };
            let left = (width - 1) / 2;
            let (before, after) = (" ".repeat(left), " ".repeat(width - 1 - left));
            write!(line, "{before}{}{after}", out.tone(tone, mark)).expect("writing to a string");
        }
        out.line(line.trim_end())?;
    }
    out.line(legend(matrix))
}

/// Says what the marks mean, and which attribute a half-open cell lacks.
fn legend(matrix: &MatrixJson) -> String {
    let verb = if matrix.right == "write" { "writes" } else { "opens" };
    let mut lacks: Vec<String> = Vec::new();
    for row in &matrix.sections {
        for cell in &row.cells {
            let role = cell.role.split('@').next().unwrap_or(&cell.role);
            if let Some(one) = &cell.one_more {
                lacks.push(format!("{}/{role} +{one}", row.section));
            }
        }
    }
    let more = if lacks.is_empty() { String::new() } else { format!(": {}", lacks.join(" · ")) };
    format!("● {verb}   ◐ with one more{more}   ○ closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[folder]
list = "doctor@a"
add = "doctor@a"
remove = "doctor@a"
manage = "owner@{patient}"
[default]
read = "doctor@a and staff@a"
write = "doctor@a and staff@a"
[section.hiv]
read = "doctor@a and staff@a and consent@b"
write = "doctor@a"
"#;

    fn marks(roles: &str, is_write: bool) -> Vec<(String, String)> {
        let source = Source::of_text(TEXT, Patient::new(None).unwrap()).unwrap();
        let roles = parse_roles(roles, &source.patient).unwrap();
        let mark = |c: &CellJson| match (c.opens, &c.one_more) {
            (true, _) => '●',
            (false, Some(_)) => '◐',
            (false, None) => '○',
        };
        compute(&source, &roles, is_write, false)
            .sections
            .iter()
            .map(|r| (r.section.clone(), r.cells.iter().map(mark).collect()))
            .collect()
    }

    fn rows(pairs: [(&str, &str); 2]) -> Vec<(String, String)> {
        pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec()
    }

    #[test]
    fn a_role_opens_what_all_its_attributes_together_satisfy() {
        let roles = "d=doctor@a,ds=doctor@a+staff@a,all=doctor@a+staff@a+consent@b,x=none@z";
        assert_eq!(marks(roles, false), rows([("hiv", "○◐●○"), ("all others", "◐●●○")]));
        assert_eq!(marks(roles, true), rows([("hiv", "●●●○"), ("all others", "◐●●○")]));
    }

    #[test]
    fn every_attribute_is_a_role_when_none_is_named() {
        let source = Source::of_text(TEXT, Patient::new(None).unwrap()).unwrap();
        let names: Vec<String> = single_attributes(&source).into_iter().map(|r| r.name).collect();
        assert_eq!(names, ["doctor@a", "staff@a", "consent@b"]);
    }

    #[test]
    fn what_is_no_role_is_refused() {
        let patient = Patient::new(None).unwrap();
        for bad in ["", "doctor@a", "d=", "=doctor@a", "d=doctor", "d=a@b,,"] {
            assert!(parse_roles(bad, &patient).is_err(), "{bad}");
        }
    }
}
