//! `chartfs get`.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::drive::{DriveArgs, read_file, split_path, with_view};
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::view::{Attr, DirEntry, NodeKind, View};

/// Copy a file or a folder out of the drive, without a mount
///
/// What is written is the plain text of your view, readable by you only. A file that is there
/// already is replaced, whole or not at all.
#[derive(Args, Debug)]
pub(super) struct GetArgs {
    /// The bucket
    bucket: String,
    /// The file or folder in the drive
    path: String,
    /// Where to put it: a folder that exists, or the new name
    #[arg(default_value = ".")]
    to: PathBuf,
    #[command(flatten)]
    drive: DriveArgs,
}

pub(super) fn run(args: &GetArgs, session: &Session) -> Outcome {
    with_view(session, &args.bucket, &args.drive, async |view| {
        let attr = view.resolve(&args.path).await?;
        let to = match split_path(&args.path) {
            Ok((_, name)) if args.to.is_dir() => args.to.join(name),
            _ => args.to.clone(),
        };
        if attr.kind == NodeKind::File {
            return get_file(view, &attr, &to).await;
        }
        get_tree(view, attr, to).await
    })?;
    Ok(Exit::DONE)
}

async fn get_tree(view: &View, attr: Attr, to: PathBuf) -> std::result::Result<(), Failure> {
    let mut todo = vec![(attr, to)];
    while let Some((folder, to)) = todo.pop() {
        make_folder(&to)?;
        for DirEntry { name, .. } in list(view, &folder).await? {
            let attr = view.lookup(folder.ino, &name).await?;
            let to = to.join(OsStr::from_bytes(&name));
            match attr.kind {
                NodeKind::Directory => todo.push((attr, to)),
                NodeKind::File => get_file(view, &attr, &to).await?,
            }
        }
    }
    Ok(())
}

async fn list(view: &View, folder: &Attr) -> Result<Vec<DirEntry>> {
    let handle = view.open_dir(folder.ino).await?;
    let entries = view.list(handle, 0).await;
    view.release_dir(handle);
    Ok(entries?.to_vec())
}

fn make_folder(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other.map_err(|e| cannot_write(path, &e)),
    }
}

fn cannot_write(path: &Path, e: &std::io::Error) -> Error {
    let kind = match Error::from(std::io::Error::from(e.kind())).kind() {
        Kind::Internal => Kind::Usage,
        kind => kind,
    };
    Error::new(kind, format!("cannot write {}", path.display())).because(e)
}

async fn get_file(view: &View, attr: &Attr, to: &Path) -> std::result::Result<(), Failure> {
    let cannot = |e: std::io::Error| cannot_write(to, &e);
    let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temp =
        tempfile::Builder::new().prefix(".chartfs-").tempfile_in(folder).map_err(cannot)?;
    read_file(view, attr.ino, |bytes| Ok(temp.write_all(bytes).map_err(cannot)?)).await?;
    temp.persist(to).map_err(|e| cannot(e.error))?;
    Ok(())
}
