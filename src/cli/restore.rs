//! `chartfs restore`.

use clap::Args;

use super::drive::{DriveArgs, split_path, with_view};
use super::out::say;
use super::report::{Exit, Outcome};
use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::key::credential::unhex;
use crate::record::RecordId;
use crate::view::{Ino, Saved, View};

/// Bring back an old version of a file, or a name that was removed
///
/// A file that is there takes the text that it had, as a save: what is closed to you, and what you
/// may not write, stays as it is now. A name that was removed comes back with everything that it
/// stood for, which needs the right to add to the folder.
#[derive(Args, Debug)]
pub(super) struct RestoreArgs {
    /// The bucket
    bucket: String,
    /// The file, or the name that was removed
    path: String,
    /// The version to bring back, instead of the one before the newest
    #[arg(long, value_name = "N", conflicts_with = "id")]
    version: Option<u64>,
    /// The removed name of this identifier, of several or when the name is taken again
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Bring it back under another name in the same folder
    #[arg(long = "as", value_name = "NAME")]
    new_name: Option<String>,
    #[command(flatten)]
    drive: DriveArgs,
}

/// What was brought back.
enum Restored {
    Version(Saved),
    Name,
}

pub(super) fn run(args: &RestoreArgs, session: &Session) -> Outcome {
    let id = args.id.as_deref().map(parse_id).transpose()?;
    let (folder, name) = split_path(&args.path)?;
    let restored = with_view(session, &args.bucket, &args.drive, async |view| {
        let parent = view.resolve(folder).await?.ino;
        Ok(restore(view, parent, name, id, args).await?)
    })?;
    say(match restored {
        Restored::Name => "the name is back",
        Restored::Version(Saved::Created) => "created",
        Restored::Version(Saved::Changed) => "brought back",
        Restored::Version(Saved::Same) => "unchanged: it has this text already",
    });
    Ok(Exit::DONE)
}

async fn restore(
    view: &View,
    parent: Ino,
    name: &str,
    id: Option<RecordId>,
    args: &RestoreArgs,
) -> Result<Restored> {
    let new_name = args.new_name.as_deref().map(str::as_bytes);
    let is_there = match view.lookup(parent, name.as_bytes()).await {
        Ok(_) => true,
        Err(e) if e.kind() == Kind::NotFound => false,
        Err(e) => return Err(e),
    };
    if is_there && id.is_none() {
        let restored = view.restore_version(parent, name.as_bytes(), args.version, new_name);
        return restored.await.map(Restored::Version);
    }
    if args.version.is_some() {
        return Err(Error::new(Kind::NotFound, format!("no such file: {name}"))
            .because("a removed name comes back first, then its versions")
            .hint("chartfs restore PATH without --version"));
    }
    view.restore_name(parent, name.as_bytes(), id, new_name).await.map(|()| Restored::Name)
}

fn parse_id(text: &str) -> Result<RecordId> {
    let id = unhex(text).and_then(|bytes| bytes.try_into().ok());
    id.map(RecordId).ok_or_else(|| {
        Error::new(Kind::Usage, format!("{text:?} is no identifier of a removed name"))
            .hint("chartfs history FOLDER --removed")
    })
}
