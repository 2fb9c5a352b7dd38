//! `chartfs policy explain`.

use clap::Args;
use serde::Serialize;

use super::{Patient, Source, SourceArgs, parse_attributes};
use crate::cli::out::{Out, Tone};
use crate::cli::report::{Exit, Failure, Outcome};
use crate::cli::session::Session;
use crate::error::{Error, Kind, Result};
use crate::key::attribute::Attribute;
use crate::key::policy::{Clause, Policy, explain};
use crate::realm::policy::{FRAME, NAMES, PROJECT, PSEUDONYMS};
use crate::realm::release::TWIN_PREFIX;
use crate::record::format::Slot;

/// Explain who may read and write a section, and what somebody lacks
#[derive(Args, Debug)]
pub(in crate::cli) struct ExplainArgs {
    /// The section; or one of the folder's rights: list, add, remove, manage
    section: String,
    /// The attributes of whom it is explained to: physician@st-mary,on-call@st-mary
    #[arg(long = "as", value_name = "ATTRIBUTES", num_args = 1..)]
    attributes: Vec<String>,
    #[command(flatten)]
    source: SourceArgs,
    /// The bucket of the realm whose root policy it is, instead of a file
    #[arg(long, value_name = "BUCKET", conflicts_with = "policy")]
    realm: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Explained {
    section: String,
    attributes: Vec<String>,
    rights: Vec<RightJson>,
}

#[derive(Serialize)]
struct RightJson {
    right: &'static str,
    open: bool,
    formula: String,
    /// The fewest attributes that are missing; null when nobody may.
    missing: Option<Vec<String>>,
    #[serde(skip)]
    tree: String,
}

/// One right: its name, its compiled formula, its text.
type Right<'a> = (&'static str, &'a Policy, String);

pub(super) fn run(args: &ExplainArgs, session: &Session) -> Outcome {
    let source = Source::load(&args.source, args.realm.as_deref(), session)?;
    let held = parse_attributes(&args.attributes, &source.patient)?;
    let rights = rights_of(&source, &args.section)?
        .into_iter()
        .map(|right| explained(right, &source.patient, &held))
        .collect::<Result<Vec<_>>>()?;
    let mut out = Out::new(session.settings.color);
    if args.json {
        out.json(&Explained {
            section: args.section.clone(),
            attributes: held.iter().map(|a| source.patient.shown(a)).collect(),
            rights,
        })?;
        return Ok(Exit::DONE);
    }
    for right in &rights {
        print(&mut out, right)?;
    }
    Ok(Exit::DONE)
}

fn rights_of<'a>(source: &'a Source, section: &str) -> Result<Vec<Right<'a>>> {
    let (b, d) = (&source.bound, &source.document);
    let one = |name, policy, text: &str| Ok(vec![(name, policy, text.to_owned())]);
    match section {
        "list" => return one("list", &b.list, &d.folder.list),
        "add" => return one("add", &b.add, &d.folder.add),
        "remove" => return one("remove", &b.remove, &d.folder.remove),
        "manage" => return one("manage", &b.manage, &d.folder.manage),
        _ => {}
    }
    let bound = b.rights(section);
    let is_twin =
        section.strip_prefix(TWIN_PREFIX).is_some_and(|s| b.released().is_some_and(|r| r.has(s)));
    // For emergencies a section is open to more than its own formula says.
    let opened = d.emergency.as_ref().is_some_and(|e| e.sections.contains(section));
    let derived = [FRAME, NAMES, PSEUDONYMS, PROJECT].contains(&section) || is_twin || opened;
    let known = derived || section == "default" || Slot::from_name(section).is_some();
    if !known && !d.sections.contains_key(section) {
        let all: Vec<&str> = Slot::ALL.iter().map(|s| s.name()).collect();
        return Err(Error::new(Kind::Usage, format!("there is no section {section:?}"))
            .hint(format!("one of {}", all.join(", "))));
    }
    let (read, write) = if derived {
        (bound.read.to_string(), bound.write.to_string())
    } else {
        let rights = d.sections.get(section).unwrap_or(&d.default);
        (rights.read.clone(), rights.write.clone())
    };
    Ok(vec![("read", &bound.read, read), ("write", &bound.write, write)])
}

fn explained(right: Right<'_>, patient: &Patient, held: &[Attribute]) -> Result<RightJson> {
    let (name, policy, text) = right;
    let has = |a: &Attribute| held.contains(a);
    let missing = nearest(policy, &has).map(|m| m.into_iter().map(|a| patient.shown(a)).collect());
    Ok(RightJson {
        right: name,
        open: policy.satisfied_by(&has),
        formula: patient.shown(policy),
        missing,
        tree: patient.shown(&explain(&text, Some(&patient.id), &has)?),
    })
}

/// Returns what is missing from the clause that needs the least, and of several such clauses from
/// the one of which the most is there.
fn nearest<'a>(
    policy: &'a Policy,
    has: &impl Fn(&Attribute) -> bool,
) -> Option<Vec<&'a Attribute>> {
    let missing = |clause: &'a Clause| -> Vec<&'a Attribute> {
        clause.attributes().iter().filter(|a| !has(a)).collect()
    };
    let distance = |clause: &&'a Clause| {
        let lacking = missing(clause).len();
        (lacking, std::cmp::Reverse(clause.attributes().len() - lacking))
    };
    policy.clauses().iter().min_by_key(distance).map(missing)
}

fn print(out: &mut Out, right: &RightJson) -> std::result::Result<(), Failure> {
    let verdict = match (&right.missing, right.open) {
        (_, true) => out.tone(Tone::Good, "open"),
        (None, _) => out.tone(Tone::Bad, "closed to everybody"),
        (Some(missing), _) => {
            let closed = out.tone(Tone::Bad, "closed");
            format!("{closed}, with {} it opens", missing.join(" and "))
        }
    };
    out.line(format_args!("{}: {verdict}", right.right))?;
    right.tree.lines().try_for_each(|line| out.line(format_args!("  {line}")))
}
