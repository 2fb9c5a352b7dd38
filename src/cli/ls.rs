//! `chartfs ls`.

use clap::Args;
use serde::Serialize;

use super::date::format_unix_s;
use super::drive::{DriveArgs, with_view};
use super::out::Out;
use super::report::{Exit, Failure, Outcome, printable};
use super::session::Session;
use crate::view::{Attr, DirEntry, NodeKind, View};

/// List a folder of the drive, without a mount
#[derive(Args, Debug)]
pub(super) struct LsArgs {
    /// The bucket
    bucket: String,
    /// The folder, or a file
    #[arg(default_value = "/")]
    path: String,
    /// Show sizes and times
    #[arg(short)]
    long: bool,
    #[command(flatten)]
    drive: DriveArgs,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct EntryJson {
    name: String,
    kind: &'static str,
    size_bytes: u64,
    mtime: String,
    mtime_unix_s: i64,
    /// Whether the file could be looked at; one that is damaged could not.
    known: bool,
}

pub(super) fn run(args: &LsArgs, session: &Session) -> Outcome {
    let json =
        with_view(session, &args.bucket, &args.drive, async |view| list(view, &args.path).await)?;
    let mut out = Out::new(session.settings.color);
    if args.json {
        out.json(&json)?;
    } else if args.long {
        let row = |e: &EntryJson| {
            vec![e.kind[..1].to_owned(), e.size_bytes.to_string(), e.mtime.clone(), e.name.clone()]
        };
        out.table(&["", "BYTES", "CHANGED", "NAME"], &json.iter().map(row).collect::<Vec<_>>())?;
    } else {
        json.iter().try_for_each(|e| out.line(printable(&e.name)))?;
    }
    Ok(Exit::DONE)
}

async fn list(view: &View, path: &str) -> std::result::Result<Vec<EntryJson>, Failure> {
    let attr = view.resolve(path).await?;
    let entries = if attr.kind == NodeKind::Directory {
        view.list_path(path).await?
    } else {
        let name = path.rsplit('/').next().unwrap_or(path).as_bytes().to_vec();
        vec![DirEntry { name, attr }]
    };
    let mut listed = Vec::with_capacity(entries.len());
    for e in entries {
        let known = view.attr(e.attr.ino, None).await.is_ok();
        listed.push(entry(&e, known));
    }
    Ok(listed)
}

fn entry(entry: &DirEntry, known: bool) -> EntryJson {
    let Attr { kind, size_bytes, mtime, .. } = entry.attr;
    let name = String::from_utf8_lossy(&entry.name).into_owned();
    EntryJson {
        name,
        kind: if kind == NodeKind::Directory { "directory" } else { "file" },
        size_bytes,
        mtime: format_unix_s(mtime.unix_s),
        mtime_unix_s: mtime.unix_s,
        known,
    }
}
