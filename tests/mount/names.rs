//! Names and directories.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use crate::drive::{HUNG, Mounted, errno, on_thread, options, view};

#[test]
fn a_directory_of_5000_is_listed_once_each() {
    let Some(m) = Mounted::new() else { return };
    let wanted: BTreeSet<String> = (0..5000).map(|i| format!("patient-{i:05}.json")).collect();
    for name in &wanted {
        fs::File::create(m.path(name)).unwrap();
    }
    let listed: Vec<String> = fs::read_dir(m.point())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(listed.len(), 5000);
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), wanted);
}

#[test]
fn a_listing_stays_whole_while_files_are_removed() {
    let Some(m) = Mounted::new() else { return };
    for i in 0..1000 {
        fs::File::create(m.path(format!("f{i}"))).unwrap();
    }
    let mut seen = 0;
    for entry in fs::read_dir(m.point()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
        seen += 1;
    }
    assert_eq!(seen, 1000);
    assert_eq!(fs::read_dir(m.point()).unwrap().count(), 0);
}

#[test]
fn going_back_to_the_start_of_a_listing_looks_again() {
    use nix::{fcntl::OFlag, sys::stat::Mode};
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("a"), "x").unwrap();
    let mut dir = nix::dir::Dir::open(m.point(), OFlag::O_RDONLY, Mode::empty()).unwrap();
    assert_eq!(dir.iter().count(), 3);
    fs::write(m.path("b"), "x").unwrap();
    // The end of an iteration rewinds.
    assert_eq!(dir.iter().count(), 4);
}

#[test]
fn listing_with_attributes_counts_references() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("f"), "x").unwrap();
    // Two lists: the first entry of a directory always comes with attributes.
    for _ in 0..2 {
        assert_eq!(fs::read_dir(m.point()).unwrap().count(), 1);
    }
    // The kernel gives back as many references as it got: one too few counted and the view would
    // forget a file that is in use, one too many and it would never forget it.
    let file = fs::File::open(m.path("f")).unwrap();
    if fs::write("/proc/sys/vm/drop_caches", "2").is_err() {
        println!("SKIPPED: only root can make the kernel forget");
        return;
    }
    assert_eq!(fs::read(m.path("f")).unwrap(), b"x");
    drop(file);
    let forgotten = on_thread({
        let view = std::sync::Arc::clone(&m.drive.view);
        move || {
            while view.nodes() > 1 {
                fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
            }
        }
    });
    forgotten.recv_timeout(HUNG).unwrap();
    assert_eq!(fs::read(m.path("f")).unwrap(), b"x");
}

#[test]
fn directories_are_made_moved_and_removed() {
    let Some(m) = Mounted::new() else { return };
    fs::create_dir(m.path("a")).unwrap();
    assert_eq!(errno(fs::create_dir(m.path("a"))), libc::EEXIST);
    fs::create_dir(m.path("b")).unwrap();
    fs::write(m.path("a/f"), "x").unwrap();
    fs::rename(m.path("a"), m.path("b/c")).unwrap();
    assert_eq!(fs::read(m.path("b/c/f")).unwrap(), b"x");
    assert_eq!(errno(fs::remove_dir(m.path("b/c"))), libc::ENOTEMPTY);
    assert_eq!(errno(fs::remove_dir(m.path("b/c/f"))), libc::ENOTDIR);
    assert_eq!(errno(fs::remove_file(m.path("b"))), libc::EISDIR);
    fs::remove_file(m.path("b/c/f")).unwrap();
    fs::remove_dir(m.path("b/c")).unwrap();
    let parent = fs::File::open(m.path("b")).unwrap();
    parent.sync_all().unwrap();
}

#[test]
fn names_of_255_bytes_are_kept_and_longer_ones_refused() {
    let Some(m) = Mounted::new() else { return };
    let longest = "ä".repeat(127) + "x";
    assert_eq!(longest.len(), 255);
    fs::write(m.path(&longest), "x").unwrap();
    assert_eq!(fs::read(m.path(&longest)).unwrap(), b"x");
    let longer = "n".repeat(256);
    assert_eq!(errno(fs::write(m.path(&longer), "x")), libc::ENAMETOOLONG);
    assert_eq!(errno(fs::create_dir(m.path(&longer))), libc::ENAMETOOLONG);
    assert_eq!(errno(fs::rename(m.path(&longest), m.path(&longer))), libc::ENAMETOOLONG);
    assert_eq!(errno(fs::metadata(m.path(&longer))), libc::ENAMETOOLONG);
}

#[test]
fn names_need_not_be_text() {
    let Some(m) = Mounted::new() else { return };
    let name = OsStr::from_bytes(b"caf\xe9 \xff\xfe\n");
    fs::write(m.path(name), "x").unwrap();
    let listed: Vec<_> = fs::read_dir(m.point()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(listed, [name]);
    assert_eq!(fs::read(m.path(name)).unwrap(), b"x");
    fs::remove_file(m.path(name)).unwrap();
}

#[test]
fn a_name_that_was_absent_can_be_made() {
    let Some(m) = Mounted::new() else { return };
    for _ in 0..3 {
        assert_eq!(errno(fs::metadata(m.path("late"))), libc::ENOENT);
    }
    fs::write(m.path("late"), "x").unwrap();
    assert_eq!(fs::metadata(m.path("late")).unwrap().len(), 1);
}

#[test]
fn a_file_that_appeared_unnoticed_is_opened_and_cut_instead_of_made() {
    let options = chartfs::daemon::MountOptions { negative_ttl: HUNG * 60, ..options() };
    let Some(m) = Mounted::with(view::fresh_without_memory(), options) else { return };
    assert_eq!(errno(fs::metadata(m.path("f"))), libc::ENOENT);
    m.drive.write_elsewhere("f", b"a long text of somebody else");
    // The kernel still believes that there is none, so this is CREATE and not OPEN.
    assert_eq!(errno(fs::metadata(m.path("f"))), libc::ENOENT);
    fs::write(m.path("f"), "short").unwrap();
    assert_eq!(fs::read(m.path("f")).unwrap(), b"short");
}

/// Opens a directory, which takes the snapshot, and lists it only after `meanwhile`.
fn list_late(m: &Mounted, meanwhile: impl FnOnce()) -> Vec<String> {
    let dir = fs::read_dir(m.point()).unwrap();
    meanwhile();
    dir.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn an_old_listing_does_not_lead_writes_into_a_moved_file() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("new"), "first").unwrap();
    list_late(&m, || fs::rename(m.path("new"), m.path("kept")).unwrap());
    assert_eq!(errno(fs::metadata(m.path("new"))), libc::ENOENT);
    fs::write(m.path("new"), "second").unwrap();
    assert_eq!(fs::read(m.path("kept")).unwrap(), b"first");
    assert_eq!(fs::read(m.path("new")).unwrap(), b"second");
}

#[test]
fn an_old_listing_does_not_bring_back_an_old_size_or_a_replaced_file() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("grown"), "text").unwrap();
    fs::write(m.path("replaced"), "old").unwrap();
    fs::write(m.path("other"), "the new one").unwrap();
    let listed = list_late(&m, || {
        let mut file = fs::OpenOptions::new().append(true).open(m.path("grown")).unwrap();
        file.write_all(b" and more").unwrap();
        drop(file);
        fs::rename(m.path("other"), m.path("replaced")).unwrap();
    });
    assert!(listed.contains(&"grown".to_owned()) && listed.contains(&"replaced".to_owned()));
    assert_eq!(fs::metadata(m.path("grown")).unwrap().len(), 13);
    assert_eq!(fs::read(m.path("replaced")).unwrap(), b"the new one");
}

#[test]
fn a_file_that_is_removed_or_renamed_while_it_is_committed_does_not_come_back() {
    let Some(m) = Mounted::new() else { return };
    for i in 0..100 {
        // The kernel lets go of an empty file after `close` returned: its commit is under way.
        fs::File::create(m.path("removed")).unwrap();
        fs::remove_file(m.path("removed")).unwrap();
        fs::File::create(m.path("old")).unwrap();
        fs::rename(m.path("old"), m.path(format!("new-{i}"))).unwrap();
    }
    let mut names = BTreeSet::new();
    while names.len() < 100 {
        // What is still being committed is not in the bucket yet.
        let entries = m.drive.stored_names();
        assert!(!entries.contains("removed"), "{entries:?}");
        names = entries.into_iter().filter(|n| n != "old").collect();
    }
    assert!(!m.drive.stored_names().contains("old"));
    assert_eq!(fs::read_dir(m.point()).unwrap().count(), 100);
}
