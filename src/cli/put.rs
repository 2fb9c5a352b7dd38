//! `chartfs put`.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use super::drive::{DriveArgs, split_path, with_view};
use super::out::say;
use super::report::{Exit, Outcome};
use super::session::Session;
use crate::error::{Error, Kind};
use crate::view::{NodeKind, Saved};

/// Put a file into the drive, without a mount
///
/// The text is merged into the record that stands under the name: what you cannot see of it stays.
#[derive(Args, Debug)]
pub(super) struct PutArgs {
    /// The bucket
    bucket: String,
    /// The file; - is the standard input
    file: PathBuf,
    /// The new name in the drive; a folder that exists takes the file under its own name
    path: String,
    #[command(flatten)]
    drive: DriveArgs,
}

pub(super) fn run(args: &PutArgs, session: &Session) -> Outcome {
    let source: Box<dyn Read> = if args.file.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(&args.file).map_err(|e| {
            let kind = Error::from(std::io::Error::from(e.kind())).kind();
            Error::new(kind, format!("cannot read {}", args.file.display())).because(e)
        })?)
    };
    let saved = with_view(session, &args.bucket, &args.drive, async |view| {
        let is_folder = match view.resolve(&args.path).await {
            Ok(attr) => attr.kind == NodeKind::Directory,
            Err(e) if e.kind() == Kind::NotFound => false,
            Err(e) => return Err(e.into()),
        };
        let own_name = args.file.file_name().and_then(|n| n.to_str());
        let (folder, name) = match own_name.filter(|_| is_folder) {
            Some(name) => (args.path.as_str(), name),
            None => split_path(&args.path)?,
        };
        let parent = view.resolve(folder).await?;
        Ok(view.write_path(parent.ino, name.as_bytes(), source).await?)
    })?;
    say(match saved {
        Saved::Created => "created",
        Saved::Changed => "changed",
        Saved::Same => "unchanged: it had this text already",
    });
    Ok(Exit::DONE)
}
