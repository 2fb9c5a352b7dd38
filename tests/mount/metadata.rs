//! Times, modes, owners, space, extended attributes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::unistd::{AccessFlags, access};

use crate::drive::{Mounted, errno, has, shell};

fn set_mtime(m: &Mounted, name: &str, time: TimeSpec) {
    let path = m.path(name);
    utimensat(nix::fcntl::AT_FDCWD, &path, &time, &time, UtimensatFlags::NoFollowSymlink).unwrap();
}

#[test]
fn times_are_kept_to_the_nanosecond() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("f"), "x").unwrap();
    set_mtime(&m, "f", TimeSpec::new(1_234_567_890, 123_456_789));
    let metadata = fs::metadata(m.path("f")).unwrap();
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_234_567_890, 123_456_789));
}

#[test]
fn times_before_1970_are_kept_too() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("f"), "x").unwrap();
    set_mtime(&m, "f", TimeSpec::new(-2, 500_000_000));
    let metadata = fs::metadata(m.path("f")).unwrap();
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (-2, 500_000_000));
    set_mtime(&m, "f", TimeSpec::seconds(-3600));
    assert_eq!(fs::metadata(m.path("f")).unwrap().mtime(), -3600);
}

#[test]
fn modes_hold_plain_bits_only_and_owners_stay() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("f"), "x").unwrap();
    let chmod = |mode| fs::set_permissions(m.path("f"), fs::Permissions::from_mode(mode));
    chmod(0o640).unwrap();
    let metadata = fs::metadata(m.path("f")).unwrap();
    assert_eq!(metadata.mode(), libc::S_IFREG | 0o640);
    assert_eq!(metadata.nlink(), 1);
    assert_eq!(errno(chmod(0o4755)), libc::EPERM);
    let chown = |uid, gid| std::os::unix::fs::chown(m.path("f"), uid, gid);
    chown(Some(metadata.uid()), Some(metadata.gid())).unwrap();
    assert_eq!(errno(chown(Some(metadata.uid() + 1), None)), libc::EPERM);
    assert_eq!(metadata.uid(), nix::unistd::geteuid().as_raw());
}

#[test]
fn space_is_never_zero() {
    let Some(m) = Mounted::new() else { return };
    let space = nix::sys::statvfs::statvfs(m.point()).unwrap();
    assert!(space.blocks() > 0 && space.blocks_available() > 0);
    assert_eq!(space.name_max(), 255);
}

#[test]
fn access_is_answered() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("f"), "x").unwrap();
    access(&m.path("f"), AccessFlags::R_OK | AccessFlags::W_OK).unwrap();
    assert_eq!(access(&m.path("f"), AccessFlags::X_OK), Err(nix::errno::Errno::EACCES));
}

#[test]
fn our_extended_attributes_are_told_and_not_listed_and_no_others_exist() {
    let Some(m) = Mounted::new() else { return };
    if !has("getfattr") || !has("setfattr") {
        return;
    }
    fs::write(m.path("f"), "x").unwrap();
    // What is listed is copied and removed by programs that copy files.
    assert_eq!(shell(&m, r#"getfattr -d -m - --absolute-names "$M/f" "$M""#), "");
    let ask = |name: &str| {
        shell(&m, &format!("getfattr --absolute-names --only-values -n {name} \"$M/f\""))
    };
    let names = ask("user.chartfs.attributes");
    assert!(names.lines().count() > 3, "{names}");
    for name in names.lines() {
        ask(name);
    }
    assert!(!ask("user.chartfs.sections").is_empty());
    for (script, why) in [
        (r#"getfattr -n user.other "$M/f""#, "No such attribute"),
        (r#"getfattr -n user.chartfs.none "$M/f""#, "No such attribute"),
        (r#"setfattr -n user.other -v x "$M/f""#, "Operation not supported"),
        (r#"setfattr -n user.chartfs.sections -v x "$M/f""#, "Operation not supported"),
    ] {
        let output = Command::new("sh")
            .args(["-c", script])
            .env("M", m.point())
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(why), "{script}: {said}");
    }
}

#[test]
fn the_mount_table_names_us_and_the_bucket() {
    let Some(m) = Mounted::new() else { return };
    let table = fs::read_to_string("/proc/self/mounts").unwrap();
    let point = m.point().to_str().unwrap();
    let line = table.lines().find(|l| l.contains(point)).unwrap();
    assert!(line.starts_with("memory://test "), "{line}");
    for word in ["fuse.chartfs", "nosuid", "nodev", "noexec", "default_permissions"] {
        assert!(line.contains(word), "{word} is not in {line}");
    }
    assert!(!line.contains("allow_other"), "{line}");
}

/// Returns a file's or folder's `mtime` and `ctime`, in nanoseconds.
fn times(m: &Mounted, name: &str) -> (i64, i64) {
    let metadata = fs::symlink_metadata(m.path(name)).unwrap();
    let ns = |seconds: i64, ns: i64| seconds * 1_000_000_000 + ns;
    (ns(metadata.mtime(), metadata.mtime_nsec()), ns(metadata.ctime(), metadata.ctime_nsec()))
}

#[test]
fn a_change_of_attributes_moves_the_time_of_change_alone() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("f"), "x").unwrap();
    fs::create_dir(m.path("d")).unwrap();
    for name in ["f", "d"] {
        let before = times(&m, name);
        fs::set_permissions(m.path(name), fs::Permissions::from_mode(0o750)).unwrap();
        let (mtime, ctime) = times(&m, name);
        assert_eq!(mtime, before.0, "{name}");
        assert!(ctime > before.1, "{name}");
        set_mtime(&m, name, TimeSpec::new(1_900_000_000, 5));
        let (mtime, later) = times(&m, name);
        assert_eq!(mtime, 1_900_000_000_000_000_005, "{name}");
        assert!(later > ctime && later < mtime, "{name}");
    }
    // What is written next moves both.
    fs::write(m.path("f"), "y").unwrap();
    let (mtime, ctime) = times(&m, "f");
    assert_eq!(mtime, ctime);
}

#[test]
fn a_time_of_reading_that_a_program_set_is_kept() {
    let Some(m) = Mounted::new() else { return };
    fs::write(m.path("f"), "x").unwrap();
    let mtime = times(&m, "f").0;
    let (read, omit) = (TimeSpec::new(1_234_567_890, 7), TimeSpec::new(0, libc::UTIME_OMIT));
    let follow = UtimensatFlags::FollowSymlink;
    utimensat(nix::fcntl::AT_FDCWD, &m.path("f"), &read, &omit, follow).unwrap();
    let metadata = fs::metadata(m.path("f")).unwrap();
    assert_eq!((metadata.atime(), metadata.atime_nsec()), (1_234_567_890, 7));
    assert_eq!(times(&m, "f").0, mtime);
}

#[test]
fn a_folder_changes_when_a_name_in_it_is_given_or_taken() {
    let Some(m) = Mounted::new() else { return };
    fs::create_dir(m.path("d")).unwrap();
    let mut last = times(&m, "d").0;
    let mut is_later = |what: &str| {
        let (mtime, ctime) = times(&m, "d");
        assert!(mtime > last && ctime == mtime, "{what}");
        last = mtime;
    };
    // Not committed yet: it is empty and open.
    let file = fs::File::create(m.path("d/f")).unwrap();
    is_later("create");
    fs::write(m.path("d/.f.swp"), "x").unwrap();
    is_later("create of a file of this workstation");
    // What is committed when it is closed, a moment later, is no change of the folder's names.
    drop(file);
    fs::rename(m.path("d/f"), m.path("d/g")).unwrap();
    is_later("rename");
    fs::create_dir(m.path("d/e")).unwrap();
    is_later("mkdir");
    fs::remove_dir(m.path("d/e")).unwrap();
    is_later("rmdir");
    fs::remove_file(m.path("d/g")).unwrap();
    is_later("unlink");
}

#[test]
fn a_folder_changes_when_a_file_of_another_folder_is_renamed_over_one_in_it() {
    let Some(m) = Mounted::new() else { return };
    fs::create_dir(m.path("d")).unwrap();
    // A record, and a file of this workstation.
    for name in ["new", "new.tmp"] {
        fs::write(m.path("d/f"), "old").unwrap();
        fs::write(m.path(name), "new").unwrap();
        let last = times(&m, "d").0;
        fs::rename(m.path(name), m.path("d/f")).unwrap();
        let (mtime, ctime) = times(&m, "d");
        assert!(mtime > last && ctime == mtime, "{name}");
    }
}

#[test]
fn an_unlinked_file_has_no_link() {
    let Some(m) = Mounted::new() else { return };
    let file = fs::File::create(m.path("f")).unwrap();
    assert_eq!(file.metadata().unwrap().nlink(), 1);
    fs::remove_file(m.path("f")).unwrap();
    assert_eq!(file.metadata().unwrap().nlink(), 0);
}

#[test]
fn a_folder_that_was_removed_or_replaced_has_no_link() {
    let Some(m) = Mounted::new() else { return };
    for name in ["removed", "replaced", "new"] {
        fs::create_dir(m.path(name)).unwrap();
    }
    let [removed, replaced, new] =
        ["removed", "replaced", "new"].map(|name| fs::File::open(m.path(name)).unwrap());
    fs::remove_dir(m.path("removed")).unwrap();
    fs::rename(m.path("new"), m.path("replaced")).unwrap();
    let links = [&removed, &replaced, &new].map(|folder| folder.metadata().unwrap().nlink());
    assert_eq!(links, [0, 0, 2]);
    fs::create_dir(m.path("removed")).unwrap();
    assert_eq!(fs::metadata(m.path("removed")).unwrap().nlink(), 2);
}
