//! Two workstations of one bucket: what the one did is what programs of the other get.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use chartfs::daemon::MountOptions;
use chartfs::error::Kind;
use chartfs::view::{Ino, RenameMode, View, ViewOptions};

use crate::drive::view::Drive;
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

/// The kernel still believes in the name; the program must not be told that it cannot be made.
#[test]
fn a_file_that_is_gone_unnoticed_is_made_anew() {
    let Some(m) = Mounted::with(view::fresh(), believing()) else { return };
    for (name, text) in [("f", "one"), ("g", "two")] {
        fs::write(m.path(name), text).unwrap();
        let removed = m.drive.view.unlink(Ino::ROOT, name.as_bytes());
        view::RUNTIME.block_on(removed).unwrap();
    }
    fs::write(m.path("f"), "made anew").unwrap();
    assert_eq!(fs::read(m.path("f")).unwrap(), b"made anew");
    assert_eq!(errno(File::options().write(true).open(m.path("g"))), libc::ENOENT);
}

/// A workstation that knows the root as it is now, and does not look again of itself.
fn knowing(m: &Drive) -> Arc<View> {
    let options = ViewOptions { attr_ttl: HUNG * 60, ..ViewOptions::default() };
    let view = view::of_user(&m.realm, "doctor", options).view;
    view::RUNTIME.block_on(view.list_path("/")).unwrap();
    view
}

fn rename(view: &View, from: &str, to: &str) -> chartfs::error::Result<()> {
    view::RUNTIME.block_on(async {
        let place = async |path: &str| {
            let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
            let dir = view.resolve(dir).await.unwrap().ino;
            (dir, name.as_bytes().to_vec())
        };
        let ((from, from_name), (to, to_name)) = (place(from).await, place(to).await);
        view.rename(from, &from_name, to, &to_name, RenameMode::Replace).await
    })
}

#[test]
fn a_rename_onto_a_name_that_was_made_elsewhere_keeps_that_record() {
    let drive = view::fresh();
    drive.write_elsewhere("x", b"mine");
    let here = knowing(&drive);
    drive.write_elsewhere("n", b"theirs");
    let located = drive.located("n");
    rename(&here, "x", "n").unwrap();
    assert_eq!(drive.located("n"), located, "what is hidden in it stays");
    assert_eq!(drive.stored("n").unwrap(), b"mine");
    assert_eq!(drive.stored_names(), BTreeSet::from(["n".to_owned()]));
}

#[test]
fn a_rename_over_a_file_that_was_replaced_elsewhere_is_not_lost() {
    for local in [false, true] {
        let drive = view::fresh();
        drive.write_elsewhere("n", b"old");
        if !local {
            drive.write_elsewhere("x", b"mine");
        }
        let here = knowing(&drive);
        if local {
            view::write(&here, "x", b"mine");
        }
        let elsewhere = drive.elsewhere();
        view::RUNTIME.block_on(elsewhere.unlink(Ino::ROOT, b"n")).unwrap();
        view::write(&elsewhere, "n", b"theirs");
        rename(&here, "x", "n").unwrap();
        assert_eq!(drive.stored("n").unwrap(), b"mine");
        assert_eq!(drive.stored_names(), BTreeSet::from(["n".to_owned()]));
    }
}

#[test]
fn what_two_workstations_move_to_two_folders_is_in_one_of_them() {
    let drive = view::fresh();
    let first = drive.elsewhere();
    for folder in ["a", "b", "c"] {
        view::RUNTIME.block_on(first.make_dir(Ino::ROOT, folder.as_bytes(), 0o700)).unwrap();
    }
    let inside = view::RUNTIME.block_on(first.resolve("a")).unwrap().ino;
    view::RUNTIME.block_on(first.write_path(inside, b"f", &b"text"[..])).unwrap();
    view::RUNTIME.block_on(first.make_dir(inside, b"d", 0o700)).unwrap();
    let second = knowing(&drive);
    view::RUNTIME.block_on(second.list_path("a")).unwrap();
    for name in ["f", "d"] {
        rename(&first, &format!("a/{name}"), &format!("b/{name}")).unwrap();
        let moved = rename(&second, &format!("a/{name}"), &format!("c/{name}"));
        assert_eq!(moved.unwrap_err().kind(), Kind::NotFound);
        let now = drive.elsewhere();
        let listed = |folder| view::RUNTIME.block_on(now.list_path(folder)).unwrap().len();
        let left = usize::from(name == "f");
        assert_eq!([listed("a"), listed("b"), listed("c")], [left, 2 - left, 0], "{name}");
    }
}

/// What a program writes is based on what it was shown when it opened the file, however long ago.
#[test]
fn a_version_that_came_while_a_file_was_open_is_not_overwritten_unseen() {
    let Some(m) = Mounted::with(view::fresh_without_memory(), believing()) else { return };
    // A whole page, which the kernel has without asking.
    let first = "first...".repeat(512);
    fs::write(m.path("f"), &first).unwrap();
    let mut file = File::options().read(true).write(true).open(m.path("f")).unwrap();
    let mut shown = String::new();
    file.read_to_string(&mut shown).unwrap();
    m.drive.write_elsewhere("f", b"theirs");
    file.set_len(0).unwrap();
    file.write_all_at(b"mine", 0).unwrap();
    nix::unistd::close(file).unwrap();
    assert_eq!(shown, first);
    let now = m.drive.elsewhere();
    let names = m.drive.stored_names();
    let texts: BTreeSet<_> = names.iter().map(|n| view::read(&now, n).unwrap()).collect();
    assert_eq!(texts, BTreeSet::from([b"theirs".to_vec(), b"mine".to_vec()]), "{names:?}");
    // Who opens it again sees what is there now.
    assert_eq!(fs::read(m.path("f")).unwrap(), view::read(&now, "f").unwrap());
}

/// A text that is too long to be a part of its record is replaced as a whole.
#[test]
fn a_long_text_that_came_while_the_file_was_open_is_not_overwritten_unseen() {
    let Some(m) = Mounted::with(view::fresh_without_memory(), believing()) else { return };
    let text = |byte: u8| vec![byte; 700_000];
    fs::write(m.path("f"), text(b'a')).unwrap();
    let file = File::options().read(true).write(true).open(m.path("f")).unwrap();
    m.drive.write_elsewhere("f", &text(b'b'));
    file.write_all_at(b"mine", 0).unwrap();
    nix::unistd::close(file).unwrap();
    let mut mine = text(b'a');
    mine[..4].copy_from_slice(b"mine");
    let now = m.drive.elsewhere();
    let names = m.drive.stored_names();
    let texts: BTreeSet<_> = names.iter().map(|n| view::read(&now, n).unwrap()).collect();
    assert!(texts == BTreeSet::from([text(b'b'), mine]), "{names:?}");
}
