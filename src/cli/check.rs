//! `chartfs check`.

use std::collections::BTreeMap;

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;

use super::out::{Out, Tone};
use super::report::{Exit, Outcome, printable};
use super::session::{Session, block_on};
use crate::error::{Kind, Result};
use crate::realm::Realm;
use crate::record::check::{FINDINGS_MAX, Finding, Report, check_bucket};

/// Of more notes of one text only their number is told.
const NOTES_TOLD_MAX: u64 = 3;

/// Verify the whole bucket, without any key
///
/// Every object is read and proven as a reader would prove it: signatures, hashes, names, limits,
/// who was entitled. The exit status is 15 when something is damaged or forged, and every such
/// object has a line. What is not wrong is a note: what an interrupted write left, and versions that
/// were never kept. Of many equal notes one line says how many there are; --json lists them.
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
    objects: BTreeMap<String, u64>,
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
    for f in &json.damaged {
        out.line(format_args!("{}: {}", out.tone(Tone::Bad, "damaged"), line_of(f)))?;
    }
    for note in notes(&json.notes, &report.noted) {
        out.line(format_args!("{}: {note}", out.tone(Tone::Warning, "note")))?;
    }
    let damaged = json.damaged.len();
    if damaged == FINDINGS_MAX {
        out.line("there may be more damage: repair this first")?;
    }
    let objects: u64 = json.objects.values().sum();
    out.line(format_args!("{objects} objects, {damaged} damaged"))?;
    Ok(exit)
}

fn line_of(f: &FindingJson) -> String {
    let because = f.because.as_deref().map_or(String::new(), |b| format!(": {b}"));
    printable(&format!("{}: {}{because}", f.object, f.what))
}

/// Tells each note, or of many equal ones how many there are and one of them.
fn notes(listed: &[FindingJson], counts: &BTreeMap<String, u64>) -> Vec<String> {
    let mut lines = Vec::new();
    for (what, count) in counts {
        let mut equal = listed.iter().filter(|f| f.what == *what);
        if *count <= NOTES_TOLD_MAX {
            lines.extend(equal.map(line_of));
        } else {
            let one = equal.next().map_or(String::new(), line_of);
            lines.push(format!("{count} objects like {one}"));
        }
    }
    lines
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_equal_notes_one_line_says_how_many() {
        let note = |object: &str, what: &str| FindingJson {
            object: object.to_owned(),
            what: what.to_owned(),
            because: Some("why".to_owned()),
        };
        let mut listed: Vec<_> = (0..5).map(|i| note(&format!("h/{i}"), "gap")).collect();
        listed.push(note("b/1", "left"));
        let mut counts = BTreeMap::from([("gap".to_owned(), 5), ("left".to_owned(), 1)]);
        assert_eq!(notes(&listed, &counts), ["5 objects like h/0: gap: why", "b/1: left: why"]);
        // Those that are only counted count.
        counts.insert("gap".to_owned(), 20_000);
        assert_eq!(notes(&listed, &counts)[0], "20000 objects like h/0: gap: why");
        assert_eq!(notes(&listed[..3], &[("gap".to_owned(), 3)].into()).len(), 3);
        assert!(notes(&[], &BTreeMap::new()).is_empty());
    }
}
