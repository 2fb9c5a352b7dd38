//! Two workstations of one bucket: what the one did is what programs of the other get.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use chartfs::daemon::MountOptions;

use crate::drive::{HUNG, Mounted, errno, options, view};

/// Options under which the kernel believes what it was told until it is told otherwise.
fn believing() -> MountOptions {
    MountOptions { attr_ttl: HUNG * 60, ..options() }
}

#[test]
fn what_is_opened_after_a_change_elsewhere_is_read_whole() {
    let Some(m) = Mounted::with(view::fresh_without_memory(), believing()) else { return };
    let elsewhere = m.drive.elsewhere();
    let mut text = String::new();
    for i in 0..60usize {
        text = format!("{i} ").repeat(1 + (i * 7919) % 4000);
        view::write(&elsewhere, "f", text.as_bytes());
        // The size that is known is that of an older version.
        assert_eq!(fs::read_to_string(m.path("f")).unwrap(), text, "version {i}");
    }
    assert_eq!(fs::metadata(m.path("f")).unwrap().len(), text.len() as u64);
}

/// The first open of a file of which the kernel has only heard.
#[test]
fn what_was_only_listed_before_is_read_whole_too() {
    let Some(m) = Mounted::with(view::fresh_without_memory(), believing()) else { return };
    let elsewhere = m.drive.elsewhere();
    for i in 0..30 {
        let name = format!("f{i}");
        view::write(&elsewhere, &name, b"short");
        assert_eq!(fs::metadata(m.path(&name)).unwrap().len(), 5);
        let text = "long ".repeat(100 + i);
        view::write(&elsewhere, &name, text.as_bytes());
        assert_eq!(fs::read_to_string(m.path(&name)).unwrap(), text);
    }
}
