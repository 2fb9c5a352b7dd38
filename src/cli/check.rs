//! `chartfs check`.

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;

use super::out::{Out, Tone};
use super::report::{Exit, Outcome, printable};
use super::session::{Session, block_on};
use crate::error::{Kind, Result};
use crate::realm::Realm;
use crate::record::check::{Finding, Report, check_bucket};

/// Verify the whole bucket, without any key
///
/// Every object is read and proven as a reader would prove it: signatures, hashes, names, limits,
/// who was entitled. The exit status is 15 when something is damaged or forged.
#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// The bucket
    bucket: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct ReportJson {
    ok: bool,
    objects: std::collections::BTreeMap<String, u64>,
    damaged: Vec<FindingJson>,
    notes: Vec<FindingJson>,
    not_listed: u64,
}

#[derive(Serialize)]
struct FindingJson {
    object: String,
    what: String,
    because: Option<String>,
}

pub(super) fn run(args: &CheckArgs, session: &Session) -> Outcome {
    let location = session.location(args.bucket.as_deref())?;
    let bar = ProgressBar::new_spinner();
    let report = block_on(async {
        let realm = session.open_realm(&location, None).await?;
        verify(&realm, &bar).await
    })??;
    bar.finish_and_clear();
    let mut out = Out::new(session.settings.color);
    let exit = if report.ok() { Exit::DONE } else { Exit::bad(Kind::Integrity) };
    let json = json_of(&report);
    if args.json {
        out.json(&json)?;
        return Ok(exit);
    }
    for (tone, word, findings) in
        [(Tone::Bad, "damaged", &json.damaged), (Tone::Warning, "note", &json.notes)]
    {
        for f in findings {
            let because = f.because.as_deref().map_or(String::new(), |b| format!(": {b}"));
            let text = printable(&format!("{}: {}{because}", f.object, f.what));
            out.line(format_args!("{}: {text}", out.tone(tone, word)))?;
        }
    }
    if json.not_listed > 0 {
        out.line(format_args!("{} more", json.not_listed))?;
    }
    let objects: u64 = json.objects.values().sum();
    out.line(format_args!("{objects} objects, {} damaged", json.damaged.len()))?;
    Ok(exit)
}

/// The one place that calls the check.
async fn verify(realm: &Realm, bar: &ProgressBar) -> Result<Report> {
    check_bucket(realm, |progress| {
        bar.set_message(format!("{} objects, {} bytes", progress.objects, progress.bytes));
        bar.tick();
    })
    .await
}

fn json_of(report: &Report) -> ReportJson {
    let finding = |f: &Finding| FindingJson {
        object: f.object.as_str().to_owned(),
        what: f.what.clone(),
        because: f.why.clone(),
    };
    ReportJson {
        ok: report.ok(),
        objects: report.counts.iter().map(|(k, n)| (snake(&format!("{k:?}")), *n)).collect(),
        damaged: report.findings.iter().map(finding).collect(),
        notes: report.notes.iter().map(finding).collect(),
        not_listed: report.more,
    }
}

/// Writes `RealmState` as `realm_state`.
fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for (i, c) in name.char_indices() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
