//! Contents: written, read, cut, replaced, removed.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use nix::fcntl::RenameFlags;

use crate::drive::{Mounted, errno, options, view};

#[test]
fn what_is_written_is_read() {
    let Some(m) = Mounted::new() else { return };
    let text: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    fs::write(m.path("large"), &text).unwrap();
    assert_eq!(fs::read(m.path("large")).unwrap(), text);
    let file = File::open(m.path("large")).unwrap();
    let mut part = [0; 5000];
    file.read_exact_at(&mut part, 1_234_567).unwrap();
    assert_eq!(part, text[1_234_567..1_239_567]);
    assert_eq!(file.read_at(&mut part, 3_000_000).unwrap(), 0);
}

#[test]
fn append_goes_to_the_end() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("log"), "one\n").unwrap();
    let mut log = OpenOptions::new().append(true).open(m.path("log")).unwrap();
    log.write_all(b"two\n").unwrap();
    log.seek(SeekFrom::Start(0)).unwrap();
    log.write_all(b"three\n").unwrap();
    drop(log);
    assert_eq!(fs::read(m.path("log")).unwrap(), b"one\ntwo\nthree\n");
}

#[test]
fn truncate_at_open_and_later() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("f"), "long text").unwrap();
    fs::write(m.path("f"), "short").unwrap();
    assert_eq!(fs::read(m.path("f")).unwrap(), b"short");
    let file = OpenOptions::new().write(true).open(m.path("f")).unwrap();
    file.set_len(2).unwrap();
    assert_eq!(fs::read(m.path("f")).unwrap(), b"sh");
    file.set_len(5).unwrap();
    assert_eq!(fs::read(m.path("f")).unwrap(), b"sh\0\0\0");
    assert_eq!(fs::metadata(m.path("f")).unwrap().len(), 5);
}

#[test]
fn a_write_past_the_end_leaves_zeros() {
    let Some(m) = Mounted::new() else { return };
    let file = File::create(m.path("f")).unwrap();
    file.write_all_at(b"x", 10_000).unwrap();
    drop(file);
    let text = fs::read(m.path("f")).unwrap();
    assert_eq!(text.len(), 10_001);
    assert!(text[..10_000].iter().all(|b| *b == 0));
}

#[test]
fn rename_over_a_file_replaces_it() {
    let Some(m) = Mounted::new() else { return };
    fs::create_dir(m.path("d")).unwrap();
    fs::write(m.path("old"), "old").unwrap();
    fs::write(m.path("d/new"), "new").unwrap();
    let mut open = File::open(m.path("old")).unwrap();
    fs::rename(m.path("d/new"), m.path("old")).unwrap();
    assert_eq!(fs::read(m.path("old")).unwrap(), b"new");
    assert_eq!(errno(fs::metadata(m.path("d/new"))), libc::ENOENT);
    let mut before = String::new();
    open.read_to_string(&mut before).unwrap();
    assert_eq!(before, "old");
}

#[test]
fn rename_can_refuse_to_replace_and_can_exchange() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("a"), "a").unwrap();
    fs::write(m.path("b"), "b").unwrap();
    let here = File::open(m.point()).unwrap();
    let rename = |flags| nix::fcntl::renameat2(&here, "a", &here, "b", flags);
    assert_eq!(rename(RenameFlags::RENAME_NOREPLACE), Err(nix::errno::Errno::EEXIST));
    rename(RenameFlags::RENAME_EXCHANGE).unwrap();
    assert_eq!(fs::read(m.path("a")).unwrap(), b"b");
    assert_eq!(fs::read(m.path("b")).unwrap(), b"a");
}

#[test]
fn an_unlinked_file_lives_until_it_is_closed() {
    let Some(m) = Mounted::new() else { return };
    let options = || OpenOptions::new().read(true).write(true).create(true).to_owned();
    let mut file = options().open(m.path("f")).unwrap();
    file.write_all(b"still here").unwrap();
    fs::remove_file(m.path("f")).unwrap();
    assert_eq!(errno(fs::metadata(m.path("f"))), libc::ENOENT);
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "still here");
    assert_eq!(file.metadata().unwrap().len(), 10);
}

#[test]
fn exclusive_creation_happens_once() {
    let Some(m) = Mounted::new() else { return };
    let create = || OpenOptions::new().write(true).create_new(true).open(m.path("lock"));
    create().unwrap();
    assert_eq!(errno(create()), libc::EEXIST);
}

#[test]
fn a_refused_commit_reaches_close_and_fsync() {
    let Some(m) = Mounted::with(view::remote(), options()) else { return };
    fs::write(m.path("f"), "first").unwrap();
    m.drive.refuse_commits("f");
    let mut file = OpenOptions::new().write(true).open(m.path("f")).unwrap();
    file.write_all(b"second").unwrap();
    assert_eq!(errno(file.sync_all()), libc::EACCES);
    let closed = nix::unistd::close(file);
    assert_eq!(closed, Err(nix::errno::Errno::EACCES));
    assert_eq!(m.drive.stored("f").unwrap(), b"first");
}

#[test]
fn locks_work_within_the_machine() {
    let Some(m) = Mounted::new() else { return };
    let file = File::create(m.path("f")).unwrap();
    file.try_lock().unwrap();
    let other = File::open(m.path("f")).unwrap();
    assert!(other.try_lock().is_err());
    file.unlock().unwrap();
    other.try_lock().unwrap();
}

#[test]
fn unsupported_calls_say_so_and_have_their_substitutes() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("f"), "some text").unwrap();
    assert_eq!(errno(std::os::unix::fs::symlink("f", m.path("s"))), libc::EPERM);
    assert_eq!(errno(fs::hard_link(m.path("f"), m.path("l"))), libc::EPERM);
    let tmpfile = OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(m.point());
    assert_eq!(errno(tmpfile), libc::EOPNOTSUPP);
    let file = OpenOptions::new().read(true).write(true).open(m.path("f")).unwrap();
    let allocated = nix::fcntl::fallocate(&file, nix::fcntl::FallocateFlags::empty(), 0, 100);
    assert_eq!(allocated, Err(nix::errno::Errno::EOPNOTSUPP));
    // The kernel copies by itself; `std::fs::copy` uses copy_file_range.
    assert_eq!(fs::copy(m.path("f"), m.path("g")).unwrap(), 9);
    assert_eq!(fs::read(m.path("g")).unwrap(), b"some text");
    let hole = nix::unistd::lseek(&file, 0, nix::unistd::Whence::SeekHole).unwrap();
    assert_eq!(hole, 9);
    assert!(file.as_raw_fd() > 2);
}
