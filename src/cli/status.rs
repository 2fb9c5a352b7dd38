//! `chartfs status`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::date::format_unix_s;
use super::out::{Out, Tone};
use super::report::{Exit, Outcome, printable};
use super::session::Session;
use crate::daemon::{self, Status};
use crate::error::{Error, Kind};

/// Tell how mounted drives do: whether the bucket is reached, and what it does not have yet
///
/// A drive that does not answer within 5 seconds is told, and so is one whose daemon is stopped or
/// dead; the exit status is that of a mount point that cannot be used then. The command never
/// waits for a drive longer than that.
#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// The mount points; all drives of this machine when none is given
    #[arg(value_name = "DIR")]
    points: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct StatusJson {
    point: String,
    #[serde(flatten)]
    status: Option<Status>,
    error: Option<String>,
}

pub(super) fn run(args: &StatusArgs, session: &Session) -> Outcome {
    let points = if args.points.is_empty() { daemon::mounts()? } else { args.points.clone() };
    let mut failed: Option<Error> = None;
    let mut asked = Vec::new();
    for point in &points {
        let answer = daemon::status(point);
        let error = answer.as_ref().err().map(|e| e.why().unwrap_or(e.what()).to_owned());
        let (status, e) = answer.map_or_else(|e| (None, Some(e)), |s| (Some(s), None));
        failed = failed.or(e);
        asked.push(StatusJson { point: point.display().to_string(), status, error });
    }
    if let (Some(e), [_]) = (&failed, args.points.as_slice()) {
        return Err(e.duplicate().into());
    }
    let mut out = Out::new(session.settings.color);
    if args.json {
        out.json(&asked)?;
    } else {
        let rows: Vec<Vec<String>> = asked.iter().map(|s| row(&out, s)).collect();
        out.table(&["DRIVE", "BUCKET", "COMMIT", "PENDING", "OLDEST", "CONFLICTS"], &rows)?;
        for s in &asked {
            tell(&mut out, s)?;
        }
    }
    Ok(if failed.is_some() { Exit::bad(Kind::MountPoint) } else { Exit::DONE })
}

fn row(out: &Out, asked: &StatusJson) -> Vec<String> {
    let point = printable(&asked.point);
    let Some(s) = &asked.status else {
        return vec![point, out.tone(Tone::Bad, "no answer")];
    };
    let reach =
        if s.online { out.tone(Tone::Good, "online") } else { out.tone(Tone::Warning, "off-line") };
    vec![
        point,
        reach,
        s.commit.clone(),
        format!("{} ({} KiB)", s.pending_writes, s.pending_bytes.div_ceil(1024)),
        s.oldest_unix_s.map_or_else(|| "-".to_owned(), format_unix_s),
        s.conflicts.to_string(),
    ]
}

/// Says below the table why a drive is not well.
fn tell(out: &mut Out, asked: &StatusJson) -> Result<(), super::report::Failure> {
    let point = printable(&asked.point);
    if let Some(error) = &asked.error {
        out.line(format_args!("{point}: {}", printable(error)))?;
    }
    let Some(s) = &asked.status else { return Ok(()) };
    if let (Some(since), Some(why)) = (s.offline_since_unix_s, &s.offline_because) {
        let since = format_unix_s(since);
        out.line(format_args!("{point}: off-line since {since}: {}", printable(why)))?;
    }
    if let Some(pinned) = &s.pinned {
        let at = match pinned.at_unix_s {
            0 => "the first round is not over".to_owned(),
            at => format!("as of {}", format_unix_s(at)),
        };
        let failed = match pinned.failed {
            0 => String::new(),
            n => format!("; {n} could not be fetched"),
        };
        out.line(format_args!("{point}: {} files pinned, {at}{failed}", pinned.files))?;
    }
    if let Some(why) = &s.refused_because {
        out.line(format_args!("{point}: the bucket refuses the oldest write: {}", printable(why)))?;
    }
    Ok(())
}
