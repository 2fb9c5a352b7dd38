//! `chartfs import`.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args;
use futures::StreamExt;
use serde::Serialize;

use super::drive::{DriveArgs, with_view};
use super::intake::{Progress, learn, take_all};
use super::out::{Out, say};
use super::report::{Exit, Outcome};
use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::view::{Ino, NodeKind, Saved, View};

/// How many files are written at the same time.
const FILES_AT_ONCE: usize = 8;

/// Put files and whole folders into the drive, without a mount
///
/// Files keep their names; of a folder everything below it is put into the drive's folder, which is
/// made if need be. A file that the drive has with this text already is left alone: an import that
/// was interrupted is just run again. Links and special files are skipped.
///
/// Into a folder that the policy of the root calls an inbox, records of other systems are put in
/// another way: HL7 v2 messages, FHIR in JSON, CDA documents and DICOM files are filed into the
/// folders of the patients that they name, under names made of their own numbers. What cannot be
/// filed is in the folder .failed of the inbox then, each file with the reason beside it. Who may put
/// something into the inbox, but not read and empty it, leaves the files there for who does.
#[derive(Args, Debug)]
pub(super) struct ImportArgs {
    /// The bucket
    bucket: String,
    /// The folder in the drive
    folder: String,
    /// What to put there
    #[arg(required_unless_present = "learn")]
    sources: Vec<PathBuf>,
    /// First find out whose the patients' folders are that the inbox does not know yet, by reading
    /// what is in them
    #[arg(long)]
    learn: bool,
    #[command(flatten)]
    drive: DriveArgs,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Something to be put into the drive: folders stand before what is in them.
pub(super) struct Item {
    pub(super) from: PathBuf,
    /// The names from the drive's folder down to it.
    pub(super) to: Vec<Vec<u8>>,
    pub(super) is_folder: bool,
    pub(super) len_bytes: u64,
}

/// What became of the files.
#[derive(Debug, Default, Serialize)]
pub(super) struct Imported {
    pub(super) created: u64,
    pub(super) changed: u64,
    pub(super) unchanged: u64,
    pub(super) skipped: u64,
    pub(super) failed: u64,
}

pub(super) fn run(args: &ImportArgs, session: &Session) -> Outcome {
    let mut sum = Imported::default();
    let mut items = Vec::new();
    for source in &args.sources {
        sum.skipped += collect(source, &mut items)?;
    }
    let files = items.iter().filter(|i| !i.is_folder);
    let mut progress =
        Progress::new(files.clone().count() as u64, files.map(|i| i.len_bytes).sum());
    let mut failed_in = None;
    let first = with_view(session, &args.bucket, &args.drive, async |view| {
        let Some(intake) = view.inbox_at(&args.folder).await? else {
            if args.learn {
                return Err(Error::new(Kind::Usage, format!("{} is no inbox", args.folder))
                    .because("the policy of the root names the inboxes")
                    .into());
            }
            let folder = view.make_path(&args.folder).await?;
            return Ok(import(view, folder, &items, &mut progress, &mut sum).await);
        };
        if !view.may_file(&intake).await? {
            say("who may read the inbox and empty it files what is put there now");
            let folder = view.make_path(&args.folder).await?;
            return Ok(import(view, folder, &items, &mut progress, &mut sum).await);
        }
        if args.learn {
            learn(view, &intake).await?;
        }
        failed_in = Some(format!("{}/.failed", intake.folder()));
        Ok(take_all(view, &intake, &items, &mut progress, &mut sum).await)
    });
    progress.finish();
    let first = first?;
    if let Some(folder) = failed_in.filter(|_| sum.failed > 0) {
        say(format_args!("what could not be filed is in {folder}, with the reasons"));
    }
    let mut out = Out::new(session.settings.color);
    if args.json {
        out.json(&sum)?;
    } else {
        out.line(format_args!(
            "{} created, {} changed, {} unchanged, {} skipped, {} failed",
            sum.created, sum.changed, sum.unchanged, sum.skipped, sum.failed
        ))?;
    }
    Ok(first.map_or(Exit::DONE, Exit::bad))
}

/// Gathers what is to be put; returns how many things are skipped.
fn collect(source: &Path, items: &mut Vec<Item>) -> Result<u64> {
    let cannot = |path: &Path, e: &std::io::Error| {
        let kind = Error::from(std::io::Error::from(e.kind())).kind();
        Error::new(kind, format!("cannot read {}", path.display())).because(e)
    };
    let mut skipped = 0;
    let mut todo = vec![(source.to_owned(), Vec::new())];
    while let Some((path, to)) = todo.pop() {
        let found = std::fs::symlink_metadata(&path).map_err(|e| cannot(&path, &e))?;
        let kind = found.file_type();
        if kind.is_dir() {
            if !to.is_empty() {
                let (from, to) = (path.clone(), to.clone());
                items.push(Item { from, to, is_folder: true, len_bytes: 0 });
            }
            for entry in std::fs::read_dir(&path).map_err(|e| cannot(&path, &e))? {
                let entry = entry.map_err(|e| cannot(&path, &e))?;
                let mut to = to.clone();
                to.push(entry.file_name().as_bytes().to_vec());
                todo.push((entry.path(), to));
            }
        } else if kind.is_file() {
            let mut to = to;
            if to.is_empty() {
                to.extend(path.file_name().map(|n| n.as_bytes().to_vec()));
            }
            items.push(Item { from: path, to, is_folder: false, len_bytes: found.len() });
        } else {
            say(format_args!("skipped {}: neither a file nor a folder", path.display()));
            skipped += 1;
        }
    }
    Ok(skipped)
}

/// Puts everything and tells what fails; returns the class of the first failure.
async fn import(
    view: &View,
    folder: Ino,
    items: &[Item],
    progress: &mut Progress,
    sum: &mut Imported,
) -> Option<Kind> {
    let mut first = None;
    for item in items.iter().filter(|i| i.is_folder) {
        if let Err(e) = make_folder(view, folder, &item.to).await {
            sum.failed += 1;
            progress.note(&item.from, &e);
            first.get_or_insert(e.kind());
        }
    }
    let files = items.iter().filter(|i| !i.is_folder);
    let mut done = futures::stream::iter(files)
        .map(|item| async move { (item, put(view, folder, item).await) })
        .buffer_unordered(FILES_AT_ONCE);
    while let Some((item, saved)) = done.next().await {
        progress.done(item.len_bytes);
        match saved {
            Ok(Saved::Created) => sum.created += 1,
            Ok(Saved::Changed) => sum.changed += 1,
            Ok(Saved::Same) => sum.unchanged += 1,
            Err(e) => {
                sum.failed += 1;
                progress.note(&item.from, &e);
                first.get_or_insert(e.kind());
            }
        }
    }
    first
}

async fn find_folder(view: &View, folder: Ino, names: &[Vec<u8>]) -> Result<Ino> {
    let mut ino = folder;
    for name in names {
        ino = view.lookup(ino, name).await?.ino;
    }
    Ok(ino)
}

async fn make_folder(view: &View, folder: Ino, names: &[Vec<u8>]) -> Result<()> {
    let Some((name, above)) = names.split_last() else { return Ok(()) };
    let parent = find_folder(view, folder, above).await?;
    match view.lookup(parent, name).await {
        Ok(attr) if attr.kind == NodeKind::Directory => Ok(()),
        Ok(_) => Err(Error::new(Kind::NotDirectory, "a file stands where the folder should be")),
        Err(e) if e.kind() == Kind::NotFound => {
            view.make_dir(parent, name, 0o700).await.map(|_| ())
        }
        Err(e) => Err(e),
    }
}

async fn put(view: &View, folder: Ino, item: &Item) -> Result<Saved> {
    let source = std::fs::File::open(&item.from)?;
    let Some((name, above)) = item.to.split_last() else {
        return Err(Error::new(Kind::Usage, "the file has no name"));
    };
    let parent = find_folder(view, folder, above).await?;
    view.write_path(parent, name, source).await
}
