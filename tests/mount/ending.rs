//! How a mount ends, and what cannot be mounted.

use std::fs::{self, File};
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use chartfs::daemon::{self, Stop};
use chartfs::error::Kind;

use crate::drive::{HUNG, Mounted, errno, on_thread, options, view};

fn is_mounted(m: &Mounted) -> bool {
    let table = fs::read_to_string("/proc/self/mounts").unwrap();
    table.lines().any(|l| l.split(' ').nth(1) == m.point().to_str())
}

#[test]
fn stop_drains_and_unmounts() {
    let Some(mut m) = Mounted::new() else { return };
    fs::write(m.path("f"), "x").unwrap();
    m.stop.ask();
    m.served().unwrap();
    assert!(!is_mounted(&m));
    assert_eq!(m.drive.stored("f").unwrap(), b"x");
    assert_eq!(fs::read_dir(m.point()).unwrap().count(), 0);
}

#[test]
fn an_unmount_from_outside_is_noticed_and_drained() {
    let Some(mut m) = Mounted::new() else { return };
    fs::write(m.path("f"), "x").unwrap();
    assert!(Command::new("umount").arg(m.point()).status().unwrap().success());
    m.served().unwrap();
    assert_eq!(m.drive.stored("f").unwrap(), b"x");
}

#[test]
fn our_umount_refuses_while_files_are_open() {
    let Some(mut m) = Mounted::new() else { return };
    let mut file = File::create(m.path("f")).unwrap();
    let error = daemon::umount(m.point(), false).unwrap_err();
    assert_eq!(
        (error.kind(), error.why()),
        (Kind::MountPoint, Some("programs have files open there"))
    );
    file.write_all(b"still works").unwrap();
    drop(file);
    // The kernel lets go of a closed file a moment after `close` returns.
    while daemon::umount(m.point(), false).is_err() {
        std::thread::yield_now();
    }
    m.served().unwrap();
}

#[test]
fn a_lazy_umount_lets_programs_finish() {
    let Some(mut m) = Mounted::new() else { return };
    let mut file = File::create(m.path("f")).unwrap();
    daemon::umount(m.point(), true).unwrap();
    assert!(!is_mounted(&m));
    file.write_all(b"to the end").unwrap();
    file.sync_all().unwrap();
    drop(file);
    m.served().unwrap();
}

#[test]
fn a_busy_mount_is_detached_after_the_grace() {
    let options = daemon::MountOptions { busy_grace: Duration::from_millis(300), ..options() };
    let Some(mut m) = Mounted::with(view::fresh(), options) else { return };
    let mut file = File::create(m.path("f")).unwrap();
    file.write_all(b"x").unwrap();
    m.stop.ask();
    m.served().unwrap();
    assert!(!is_mounted(&m));
    // Nobody has closed the file: the drain committed it.
    assert_eq!(m.drive.stored("f").unwrap(), b"x");
    drop(file);
}

#[test]
fn while_draining_open_files_work_and_new_ones_are_refused() {
    let options = daemon::MountOptions { busy_grace: HUNG, ..options() };
    let Some(mut m) = Mounted::with(view::fresh(), options) else { return };
    let mut file = File::create(m.path("f")).unwrap();
    m.stop.ask();
    let path = m.path("new");
    let refused = on_thread(move || {
        // Until the gate is closed this makes files.
        loop {
            if let Err(e) = fs::write(&path, "x") {
                return e.raw_os_error();
            }
        }
    });
    assert_eq!(refused.recv_timeout(HUNG).unwrap(), Some(libc::ESHUTDOWN));
    file.write_all(b"goes on").unwrap();
    file.sync_all().unwrap();
    drop(file);
    m.served().unwrap();
}

#[test]
fn asking_twice_does_not_wait_for_programs() {
    let options = daemon::MountOptions { busy_grace: HUNG * 60, ..options() };
    let Some(mut m) = Mounted::with(view::fresh(), options) else { return };
    let file = File::create(m.path("f")).unwrap();
    m.stop.ask();
    m.stop.ask();
    m.served().unwrap();
    assert!(!is_mounted(&m));
    if nix::unistd::geteuid().is_root() {
        assert_eq!(errno(file.sync_all()), libc::ENOTCONN);
    }
}

#[test]
fn a_mount_point_is_used_once() {
    let Some(m) = Mounted::new() else { return };
    let error = daemon::check_point(m.point(), true).unwrap_err();
    assert_eq!(error.why(), Some("chartfs is mounted there already"));
}

#[test]
fn a_mount_that_fails_leaves_nothing_behind() {
    if !crate::drive::can_mount() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "x").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mount = daemon::Mount {
        view: view::fresh().view,
        point: dir.path().to_path_buf(),
        source_label: "memory://test".to_owned(),
        options: options(),
    };
    let ready = || panic!("not ready");
    let error = daemon::serve(mount, runtime.handle(), &Stop::new(), ready).unwrap_err();
    assert_eq!(error.kind(), Kind::MountPoint);
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"x");
}
