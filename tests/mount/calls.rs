//! Calls that few programs make, and what each answers.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, RenameFlags, fallocate, fcntl};

use crate::drive::{HUNG, Mounted, errno, has, on_thread, options, shell, view};

fn open(m: &Mounted, name: &str) -> File {
    OpenOptions::new().read(true).write(true).open(m.path(name)).unwrap()
}

#[test]
fn every_way_of_fallocate_is_refused_cleanly() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("f"), "some text").unwrap();
    let file = open(&m, "f");
    for mode in [
        FallocateFlags::empty(),
        FallocateFlags::FALLOC_FL_KEEP_SIZE,
        FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE,
        FallocateFlags::FALLOC_FL_ZERO_RANGE,
        FallocateFlags::FALLOC_FL_COLLAPSE_RANGE,
        FallocateFlags::FALLOC_FL_INSERT_RANGE,
    ] {
        assert_eq!(fallocate(&file, mode, 0, 4096), Err(Errno::EOPNOTSUPP), "{mode:?}");
    }
    drop(file);
    assert_eq!(fs::read(m.path("f")).unwrap(), b"some text");
}

#[test]
fn the_kernel_copies_a_range() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("from"), "0123456789").unwrap();
    fs::write(m.path("to"), "abcdefghij").unwrap();
    let (mut from, mut to) = (open(&m, "from"), open(&m, "to"));
    from.seek(SeekFrom::Start(2)).unwrap();
    to.seek(SeekFrom::Start(5)).unwrap();
    // Between two files this is copy_file_range.
    assert_eq!(std::io::copy(&mut from.take(4), &mut to).unwrap(), 4);
    drop(to);
    assert_eq!(fs::read(m.path("to")).unwrap(), b"abcde2345j");
    assert_eq!(m.drive.stored("to").unwrap(), b"abcde2345j");
}

#[test]
fn locks_of_ranges_hold_within_the_machine() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("f"), "0123456789").unwrap();
    let (one, other) = (open(&m, "f"), open(&m, "f"));
    let range = |kind: i32, start: i64| libc::flock {
        l_type: i16::try_from(kind).unwrap(),
        l_whence: 0,
        l_start: start,
        l_len: 4,
        l_pid: 0,
    };
    let lock = |file: &File, kind, start| fcntl(file, FcntlArg::F_OFD_SETLK(&range(kind, start)));
    lock(&one, libc::F_WRLCK, 0).unwrap();
    assert_eq!(lock(&other, libc::F_WRLCK, 2), Err(Errno::EAGAIN));
    assert_eq!(lock(&other, libc::F_RDLCK, 0), Err(Errno::EAGAIN));
    lock(&other, libc::F_WRLCK, 4).unwrap();
    lock(&one, libc::F_UNLCK, 0).unwrap();
    lock(&other, libc::F_WRLCK, 0).unwrap();
}

#[test]
fn names_that_differ_in_case_are_two() {
    let Some(m) = Mounted::new() else { return };
    for name in ["record.json", "Record.json", "RECORD.JSON"] {
        fs::write(m.path(name), name).unwrap();
    }
    for name in ["record.json", "Record.json", "RECORD.JSON"] {
        assert_eq!(fs::read_to_string(m.path(name)).unwrap(), name);
    }
    fs::rename(m.path("record.json"), m.path("RECORD.json")).unwrap();
    assert_eq!(errno(fs::metadata(m.path("record.json"))), libc::ENOENT);
}

#[test]
fn a_part_is_overwritten_and_the_rest_stays() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("f"), "0123456789").unwrap();
    let mut file = open(&m, "f");
    file.seek(SeekFrom::Start(3)).unwrap();
    file.write_all(b"abc").unwrap();
    let mut rest = String::new();
    file.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "6789");
    drop(file);
    assert_eq!(m.drive.stored("f").unwrap(), b"012abc6789");
}

#[test]
fn a_file_that_was_just_made_is_exchanged_and_a_local_one_is_refused() {
    let Some(m) = Mounted::new() else { return };
    let here = File::open(m.point()).unwrap();
    let exchange = |one: &str, other: &str| {
        nix::fcntl::renameat2(&here, one, &here, other, RenameFlags::RENAME_EXCHANGE)
    };
    fs::write(m.path("old"), "old").unwrap();
    // Open, so that its commit is still to come.
    let mut new = File::create(m.path("new")).unwrap();
    new.write_all(b"new").unwrap();
    exchange("old", "new").unwrap();
    drop(new);
    assert_eq!(fs::read(m.path("old")).unwrap(), b"new");
    assert_eq!(fs::read(m.path("new")).unwrap(), b"old");
    fs::write(m.path("old~"), "backup").unwrap();
    assert_eq!(exchange("old", "old~"), Err(Errno::EOPNOTSUPP));
    assert_eq!(exchange("old~", "old"), Err(Errno::EOPNOTSUPP));
    assert_eq!(exchange("old", "none"), Err(Errno::ENOENT));
    assert_eq!(fs::read(m.path("old")).unwrap(), b"new");
    assert_eq!(fs::read(m.path("old~")).unwrap(), b"backup");
}

#[test]
fn names_of_two_folders_change_places() {
    let Some(m) = Mounted::new() else { return };
    fs::create_dir(m.path("d")).unwrap();
    fs::create_dir(m.path("e")).unwrap();
    fs::write(m.path("d/f"), "one").unwrap();
    fs::write(m.path("g"), "two").unwrap();
    let [root, d] = [m.point().to_owned(), m.path("d")].map(|folder| File::open(folder).unwrap());
    let exchange = |name: &str, other: &str| {
        nix::fcntl::renameat2(&d, name, &root, other, RenameFlags::RENAME_EXCHANGE).unwrap();
    };
    exchange("f", "g");
    assert_eq!(fs::read(m.path("d/f")).unwrap(), b"two");
    assert_eq!(fs::read(m.path("g")).unwrap(), b"one");
    // What is open stays the file that it is, and is committed under the name that it has then.
    let mut open = OpenOptions::new().append(true).open(m.path("g")).unwrap();
    open.write_all(b", more").unwrap();
    exchange("f", "g");
    open.write_all(b" and more").unwrap();
    drop(open);
    assert_eq!(fs::read(m.path("d/f")).unwrap(), b"one, more and more");
    assert_eq!(fs::read(m.path("g")).unwrap(), b"two");
    exchange("f", "e");
    assert!(fs::metadata(m.path("d/f")).unwrap().is_dir());
    assert_eq!(fs::read(m.path("e")).unwrap(), b"one, more and more");
    let expected = ["d", "e", "g"].map(str::to_owned);
    assert_eq!(m.drive.stored_names(), BTreeSet::from(expected));
}

#[test]
fn exclusive_creation_knows_what_another_workstation_made() {
    let options = chartfs::daemon::MountOptions { negative_ttl: HUNG * 60, ..options() };
    let Some(m) = Mounted::with(view::fresh(), options) else { return };
    assert_eq!(errno(fs::metadata(m.path("lock"))), libc::ENOENT);
    m.drive.write_elsewhere("lock", b"theirs");
    // Longer than what the view believes of a folder when it is to say that there is no such name.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let made = OpenOptions::new().write(true).create_new(true).open(m.path("lock"));
    assert_eq!(errno(made), libc::EEXIST);
    assert_eq!(m.drive.stored_names(), BTreeSet::from(["lock".to_owned()]));
}

#[test]
fn what_is_written_into_a_map_is_in_the_bucket_when_it_is_gone() {
    let Some(m) = Mounted::new() else { return };
    if !has("python3") {
        return;
    }
    fs::write(m.path("f"), vec![b'a'; 10_000]).unwrap();
    // What msync wrote is read by everybody at once; what the map still has, after it is gone.
    let script = r#"python3 -c 'import mmap, sys
f = open(sys.argv[1], "r+b")
m = mmap.mmap(f.fileno(), 0)
assert m[4999:5001] == b"aa"
m[5000:5004] = b"text"
m.flush()
assert open(sys.argv[1], "rb").read()[4999:5005] == b"atexta"
f.close()
m[9000:9004] = b"last"
m.close()' "$M/f""#;
    shell(&m, script);
    let mut wanted = vec![b'a'; 10_000];
    wanted[5000..5004].copy_from_slice(b"text");
    wanted[9000..9004].copy_from_slice(b"last");
    assert!(fs::read(m.path("f")).unwrap() == wanted);
    let drive = m.drive.clone();
    let stored = on_thread(move || {
        while drive.stored("f").unwrap() != wanted {
            std::thread::yield_now();
        }
    });
    stored.recv_timeout(HUNG).unwrap();
}
