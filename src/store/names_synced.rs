//! Files of local state that are whole or not there, and whose names outlive a power cut: the
//! system keeps the content of a new file when that was synced, and its name only when the folders
//! on the way to it were too.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Kind, Result};

/// A database grows by pages of so many bytes.
const PAGE_BYTES: u64 = 4096;

/// Makes an empty database, unless the file is there. It gets its name when it is whole: one that
/// a killed process left half made would be taken for a damaged one for ever.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn make_database(path: &Path) -> Result<()> {
    let Some(folder) = path.parent().filter(|_| !path.exists()) else {
        return if path.exists() { cut_to_pages(path) } else { Ok(()) };
    };
    let new = tempfile::NamedTempFile::new_in(folder)?;
    let made = redb::Database::create(new.path());
    drop(made.map_err(|e| Error::new(Kind::Internal, "local state cannot be made").because(e))?);
    match new.persist_noclobber(path) {
        Err(e) if e.error.kind() != std::io::ErrorKind::AlreadyExists => Err(e.error.into()),
        // Somebody else was faster, and made the same.
        _ => Ok(()),
    }
}

/// Cuts off half a page at the end. A power cut may leave it there when the file was growing, and
/// no transaction that was acknowledged has it: the database would be refused as damaged.
fn cut_to_pages(path: &Path) -> Result<()> {
    let file = File::options().write(true).open(path)?;
    if file.metadata()?.len().is_multiple_of(PAGE_BYTES) || file.try_lock().is_err() {
        return Ok(());
    }
    // Nobody else has it open: it is as it was left.
    let len_bytes = file.metadata()?.len();
    if len_bytes > PAGE_BYTES {
        file.set_len(len_bytes - len_bytes % PAGE_BYTES)?;
        file.sync_all()?;
    }
    Ok(())
}

/// Syncs the folder of a file, and every folder above it on the same file system.
///
/// # Errors
/// What the system says when the file's own folder cannot be synced. Of those above only what may
/// be opened is synced: where the user may not look, he has not just made anything.
pub(crate) fn sync_names_of(file: &Path) -> Result<()> {
    let file = std::path::absolute(file)?;
    let mut device = None;
    for folder in file.ancestors().skip(1) {
        let opened = match File::open(folder) {
            Err(_) if device.is_some() => return Ok(()),
            opened => opened?,
        };
        let here = opened.metadata()?.dev();
        match opened.sync_all() {
            _ if device.is_some_and(|device| device != here) => return Ok(()),
            Err(e) if device.is_none() => return Err(e.into()),
            _ => device = Some(here),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{make_database, sync_names_of};

    #[test]
    fn a_database_is_made_once_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        make_database(&path).unwrap();
        drop(redb::Database::open(&path).unwrap());
        std::fs::write(&path, "kept").unwrap();
        make_database(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"kept");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_database_whose_growth_was_cut_off_has_what_was_committed() {
        const ROWS: redb::TableDefinition<u8, u8> = redb::TableDefinition::new("rows");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        make_database(&path).unwrap();
        let database = redb::Database::open(&path).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(ROWS).unwrap().insert(1, 2).unwrap();
        write.commit().unwrap();
        // As the power cut leaves it: not closed, and a part of a page longer.
        let left = dir.path().join("b");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.resize(bytes.len() + 2560, 0);
        std::fs::write(&left, bytes).unwrap();
        make_database(&left).unwrap();
        let database = redb::Database::open(&left).unwrap();
        let read = redb::ReadableDatabase::begin_read(&database).unwrap();
        let row = read.open_table(ROWS).unwrap().get(1).unwrap().map(|v| v.value());
        assert_eq!(row, Some(2));
    }

    #[test]
    fn folders_are_synced_up_to_the_root_and_one_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/b/c");
        assert!(sync_names_of(&file).is_err());
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        sync_names_of(&file).unwrap();
    }
}
