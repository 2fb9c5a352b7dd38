//! `chartfs policy check`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::lint::{Finding, Level, findings};
use super::{Patient, Source, known_authorities, read_policy};
use crate::cli::out::{Out, Tone, say};
use crate::cli::report::{Exit, Outcome};
use crate::cli::session::{Session, block_on};
use crate::error::Kind;

/// Check a policy before it is set
///
/// Finds formulas that cannot be read or are over the limits, sections that do not exist or that
/// nobody can open, authorities that the realm does not have, and sensitive sections that one
/// authority opens alone, and what a release to research cannot do. Errors make the exit status 2; warnings do not.
#[derive(Args, Debug)]
pub(in crate::cli) struct CheckArgs {
    /// The policy; - is the standard input
    file: PathBuf,
    /// The bucket of the realm, whose authorities are compared
    #[arg(long, value_name = "BUCKET")]
    realm: Option<String>,
    /// Whose folder it will be, which binds {patient}
    #[arg(long, value_name = "ID")]
    patient: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Checked {
    errors: usize,
    warnings: usize,
    authorities_compared: bool,
    findings: Vec<Finding>,
}

pub(super) fn run(args: &CheckArgs, session: &Session) -> Outcome {
    let patient = Patient::new(args.patient.as_deref())?;
    let source = Source::of_text(&read_policy(&args.file)?, patient)?;
    let is_known = args.realm.is_some() || session.settings.bucket.is_some();
    let known = if is_known {
        let location = session.location(args.realm.as_deref())?;
        Some(block_on(async {
            known_authorities(&session.open_realm(&location, None).await?).await
        })??)
    } else {
        say("the authorities are not compared with a realm: add --realm BUCKET");
        None
    };
    let findings = findings(&source, known.as_ref());
    let errors = findings.iter().filter(|f| f.level == Level::Error).count();
    let mut out = Out::new(session.settings.color);
    let exit = if errors == 0 { Exit::DONE } else { Exit::bad(Kind::Usage) };
    if args.json {
        let warnings = findings.len() - errors;
        let authorities_compared = known.is_some();
        out.json(&Checked { errors, warnings, authorities_compared, findings })?;
        return Ok(exit);
    }
    for f in &findings {
        let (tone, word) = match f.level {
            Level::Error => (Tone::Bad, "error"),
            Level::Warning => (Tone::Warning, "warning"),
        };
        out.line(format_args!("{}: {}: {}", out.tone(tone, word), f.place, f.text))?;
        if let Some(hint) = &f.hint {
            out.line(format_args!("  try: {hint}"))?;
        }
    }
    if findings.is_empty() {
        out.line("the policy is sound")?;
    }
    Ok(exit)
}
