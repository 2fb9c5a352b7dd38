use super::super::options::DirectorySync;
use super::disk::Step;
use super::*;

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}

fn disk(sync: DirectorySync) -> (tempfile::TempDir, Disk) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path().to_owned(), false, sync).unwrap();
    // The bucket's own directories come first, so that the steps below are those of one write.
    drop(disk.own("tmp").unwrap());
    drop(disk.own("lock").unwrap());
    disk.steps.lock().unwrap().clear();
    (dir, disk)
}

fn steps(disk: &Disk) -> Vec<Step> {
    std::mem::take(&mut *disk.steps.lock().unwrap())
}

#[test]
fn data_is_synced_before_the_rename_and_the_entry_before_the_answer() {
    let (_dir, disk) = disk(DirectorySync::Full);
    disk.write(&name("r/a"), b"one", &Condition::Absent).unwrap();
    let entry = |path: &str| Step::SyncDirectory(path.to_owned());
    // The root holds the new directory `r`.
    assert_eq!(steps(&disk), [Step::SyncData, entry(""), Step::Rename, entry("r")]);
    disk.write(&name("r/a"), b"two", &Condition::Always).unwrap();
    assert_eq!(steps(&disk), [Step::SyncData, Step::Rename, entry("r")]);
    disk.remove(&name("r/a")).unwrap();
    assert_eq!(steps(&disk), [entry("r")]);
}

#[test]
fn with_sync_data_the_entries_are_synced_when_asked() {
    let (_dir, disk) = disk(DirectorySync::Data);
    disk.write(&name("r/a"), b"one", &Condition::Absent).unwrap();
    disk.write(&name("r/b"), b"one", &Condition::Absent).unwrap();
    assert_eq!(steps(&disk), [Step::SyncData, Step::Rename, Step::SyncData, Step::Rename]);
    disk.sync_entries().unwrap();
    assert!(steps(&disk).contains(&Step::SyncDirectory("r".to_owned())));
    disk.sync_entries().unwrap();
    assert_eq!(steps(&disk), []);
}

#[test]
fn an_upload_is_synced_before_the_rename_too() {
    let (_dir, disk) = disk(DirectorySync::Full);
    let temp = Temp::new(&disk).unwrap();
    temp.write_at(b"large", 0).unwrap();
    disk.sync_data(&temp).unwrap();
    disk.commit(&temp, &name("b"), &Condition::Always).unwrap();
    assert_eq!(steps(&disk), [Step::SyncData, Step::Rename, Step::SyncDirectory(String::new())]);
}

#[test]
fn a_version_never_comes_back_for_other_bytes_of_the_same_length() {
    let (_dir, disk) = disk(DirectorySync::Off);
    let mut seen = std::collections::HashSet::new();
    for i in 0..2000_u32 {
        let Put::Stored(v) = disk.write(&name("a"), &i.to_be_bytes(), &Condition::Always).unwrap()
        else {
            panic!("refused");
        };
        assert!(seen.insert(v.tag.to_string()), "version {v:?} was seen before");
    }
}

#[test]
fn a_write_gets_a_later_time_even_when_the_clock_is_behind() {
    let (dir, disk) = disk(DirectorySync::Off);
    let future = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
    disk.write(&name("a"), b"1", &Condition::Always).unwrap();
    let file = std::fs::File::open(dir.path().join("a")).unwrap();
    file.set_modified(future).unwrap();
    disk.write(&name("a"), b"2", &Condition::Always).unwrap();
    let written = std::fs::metadata(dir.path().join("a")).unwrap().modified().unwrap();
    assert!(written > future);
}

#[test]
fn links_are_not_followed_out_of_the_bucket() {
    let (dir, disk) = disk(DirectorySync::Off);
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("x"), b"secret").unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("d")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("x"), dir.path().join("f")).unwrap();
    for link in ["d/x", "f"] {
        let read = disk.read(&name(link), None, 100).unwrap_err();
        assert_eq!(read.kind(), Kind::Integrity, "{link}: {read}");
        assert_eq!(disk.read_range(&name(link), &(0..1)).unwrap_err().kind(), Kind::Integrity);
        assert!(disk.write(&name(link), b"over", &Condition::Always).is_err(), "{link}");
    }
    assert!(disk.write(&name("d/new"), b"x", &Condition::Absent).is_err());
    assert_eq!(std::fs::read(outside.path().join("x")).unwrap(), b"secret");
    assert!(!outside.path().join("new").exists());
}

#[test]
fn what_is_no_plain_file_is_damage_and_does_not_block() {
    let (dir, disk) = disk(DirectorySync::Off);
    nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(disk.read(&name("pipe"), None, 9).unwrap_err().kind(), Kind::Integrity);
    assert!(disk.write(&name("pipe"), b"x", &Condition::Always).is_err());
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    assert_eq!(disk.read(&name("sub"), None, 9).unwrap(), Fetched::Absent);
    assert!(disk.write(&name("sub"), b"x", &Condition::Always).is_err());
}

#[test]
fn a_refused_or_failed_write_leaves_no_temporary_file() {
    let (dir, disk) = disk(DirectorySync::Off);
    disk.write(&name("a"), b"1", &Condition::Absent).unwrap();
    assert_eq!(disk.write(&name("a"), b"2", &Condition::Absent).unwrap(), Put::Refused);
    let stale = Condition::Matches(Version::new("x"));
    assert_eq!(disk.write(&name("a"), b"2", &stale).unwrap(), Put::Refused);
    assert!(disk.write(&name("a/b"), b"2", &Condition::Always).is_err());
    let left = std::fs::read_dir(dir.path().join(".chartfs/tmp")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn temporary_files_of_the_dead_are_removed_and_those_of_the_living_are_not() {
    let (dir, disk) = disk(DirectorySync::Off);
    drop(disk);
    let tmp = dir.path().join(".chartfs/tmp");
    for (file, age_s) in [("old", 90_000), ("young", 10)] {
        let f = std::fs::File::create(tmp.join(file)).unwrap();
        f.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(age_s))
            .unwrap();
    }
    Disk::open(dir.path().to_owned(), false, DirectorySync::Off).unwrap();
    assert!(!tmp.join("old").exists());
    assert!(tmp.join("young").exists());
}

#[test]
fn a_lock_file_that_was_removed_is_made_again() {
    let (dir, disk) = disk(DirectorySync::Off);
    disk.write(&name("a"), b"1", &Condition::Absent).unwrap();
    std::fs::remove_dir_all(dir.path().join(".chartfs")).unwrap();
    let put = disk.write(&name("a"), b"2", &Condition::Always).unwrap();
    assert!(matches!(put, Put::Stored(_)));
    assert_eq!(std::fs::read_dir(dir.path().join(".chartfs/lock")).unwrap().count(), 1);
}

#[test]
fn a_full_disk_is_told_as_no_space() {
    let full = super::disk::failed("x", nix::errno::Errno::ENOSPC);
    assert_eq!(full.kind(), Kind::NoSpace);
    let quota = super::disk::failed("x", nix::errno::Errno::EDQUOT);
    assert_eq!(quota.kind(), Kind::NoSpace);
    let readonly = super::disk::failed("x", nix::errno::Errno::EROFS);
    assert_eq!(readonly.kind(), Kind::Denied);
}
