//! Names that outlive a power cut: the system keeps the content of a new file when that was synced,
//! and its name only when the folders on the way to it were too.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::Result;

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
    use super::sync_names_of;

    #[test]
    fn folders_are_synced_up_to_the_root_and_one_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/b/c");
        assert!(sync_names_of(&file).is_err());
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        sync_names_of(&file).unwrap();
    }
}
