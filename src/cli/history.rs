//! `chartfs history`.

use clap::Args;
use serde::Serialize;

use super::date::format_unix_s;
use super::drive::{DriveArgs, with_view};
use super::out::{Out, say};
use super::report::{Exit, Outcome};
use super::session::Session;
use crate::view::{History, PastVersion, RemovedName};

/// How much of an identifier a table shows.
const SHORT_LEN: usize = 16;

/// Show what was there before: the versions of a file, or the names that were removed
///
/// Versions are counted by what you see: a change of a section that is closed to you makes none.
/// Each is proven like the newest, and leads to it.
#[derive(Args, Debug)]
pub(super) struct HistoryArgs {
    /// The bucket
    bucket: String,
    /// The file or folder
    path: String,
    /// Show the names that were removed from the folder, when and by whom
    #[arg(long)]
    removed: bool,
    #[command(flatten)]
    drive: DriveArgs,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct VersionJson {
    version: u64,
    time: String,
    time_unix_s: i64,
    writer: String,
    sections: Vec<&'static str>,
    size_bytes: u64,
}

#[derive(Serialize)]
struct RemovedJson {
    name: String,
    kind: &'static str,
    removed: String,
    removed_unix_s: i64,
    by: String,
    id: String,
}

pub(super) fn run(args: &HistoryArgs, session: &Session) -> Outcome {
    if args.removed {
        return removed(args, session);
    }
    let history = with_view(session, &args.bucket, &args.drive, async |view| {
        let attr = view.resolve(&args.path).await?;
        Ok(view.history(attr.ino).await?)
    })?;
    let History { versions, missing } = history;
    let json: Vec<VersionJson> = versions.into_iter().map(version).collect();
    let mut out = Out::new(session.settings.color);
    if args.json {
        out.json(&json)?;
    } else {
        let row = |v: &VersionJson| {
            let (number, bytes) = (v.version.to_string(), v.size_bytes.to_string());
            vec![number, v.time.clone(), bytes, short(&v.writer), v.sections.join(",")]
        };
        let rows: Vec<_> = json.iter().map(row).collect();
        out.table(&["VERSION", "WRITTEN", "BYTES", "WRITER", "CHANGED"], &rows)?;
    }
    match missing {
        Some(missing) => Err(missing.into()),
        None => Ok(Exit::DONE),
    }
}

fn removed(args: &HistoryArgs, session: &Session) -> Outcome {
    let names = with_view(session, &args.bucket, &args.drive, async |view| {
        let attr = view.resolve(&args.path).await?;
        Ok(view.removed(attr.ino).await?)
    })?;
    let json: Vec<RemovedJson> = names.iter().map(removed_name).collect();
    let mut out = Out::new(session.settings.color);
    if args.json {
        out.json(&json)?;
        return Ok(Exit::DONE);
    }
    if json.is_empty() {
        say("nothing was removed from this folder");
    }
    let row = |r: &RemovedJson| {
        vec![r.kind[..1].to_owned(), r.removed.clone(), short(&r.by), r.id.clone(), r.name.clone()]
    };
    out.table(&["", "REMOVED", "BY", "ID", "NAME"], &json.iter().map(row).collect::<Vec<_>>())?;
    Ok(Exit::DONE)
}

fn version(v: PastVersion) -> VersionJson {
    VersionJson {
        version: v.version,
        time: format_unix_s(v.time.unix_s),
        time_unix_s: v.time.unix_s,
        writer: v.writer.to_string(),
        sections: v.sections,
        size_bytes: v.size_bytes,
    }
}

fn removed_name(r: &RemovedName) -> RemovedJson {
    RemovedJson {
        name: String::from_utf8_lossy(&r.name).into_owned(),
        kind: if r.is_folder { "directory" } else { "file" },
        removed: format_unix_s(r.time.unix_s),
        removed_unix_s: r.time.unix_s,
        by: r.by.to_string(),
        id: r.id.to_string(),
    }
}

fn short(id: &str) -> String {
    id.chars().take(SHORT_LEN).collect()
}
