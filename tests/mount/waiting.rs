//! One slow request: the others are answered, and nobody waits for ever.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use chartfs::view::Ino;

use crate::drive::{HUNG, Mounted, errno, on_thread, options, view};

#[test]
fn other_requests_are_answered_while_many_reads_wait() {
    let Some(m) = Mounted::with(view::remote(), options()) else { return };
    fs::write(m.path("other"), "quick").unwrap();
    // More slow ones than there are dispatchers.
    let mut waiting = Vec::new();
    for i in 0..8 {
        let name = format!("slow{i}");
        fs::write(m.path(&name), "slow").unwrap();
        m.drive.hold_reads(&name);
        let path = m.path(&name);
        waiting.push(on_thread(move || fs::read(path).unwrap()));
    }
    m.drive.wait_held(8);
    let (path, point) = (m.path("other"), m.point().to_path_buf());
    let quick = on_thread(move || (fs::read(path).unwrap(), fs::read_dir(point).unwrap().count()));
    assert_eq!(quick.recv_timeout(HUNG).unwrap(), (b"quick".to_vec(), 9));
    fs::write(m.path("new"), "text").unwrap();
    for slow in &waiting {
        assert_eq!(slow.try_recv(), Err(TryRecvError::Empty));
    }
    m.drive.release();
    for slow in waiting {
        assert_eq!(slow.recv_timeout(HUNG).unwrap(), b"slow");
    }
}

#[test]
fn a_read_has_a_deadline() {
    let options = chartfs::daemon::MountOptions { deadline: Duration::from_secs(2), ..options() };
    let Some(m) = Mounted::with(view::remote(), options) else { return };
    fs::write(m.path("slow"), "text").unwrap();
    m.drive.hold_reads("slow");
    assert_eq!(errno(fs::read(m.path("slow"))), libc::ETIMEDOUT);
    m.drive.release();
    assert_eq!(fs::read(m.path("slow")).unwrap(), b"text");
}

#[test]
fn a_commit_has_a_deadline_and_goes_on_after_it() {
    let short = Duration::from_millis(50);
    let options = chartfs::daemon::MountOptions { commit_deadline: short, ..options() };
    let drive = view::remote_with(&[("slow", "before")]);
    let Some(mut m) = Mounted::with(drive, options) else { return };
    m.drive.hold_commits("slow");
    let mut file = OpenOptions::new().write(true).open(m.path("slow")).unwrap();
    file.write_all(b"text").unwrap();
    assert_eq!(errno(file.sync_all()), libc::ETIMEDOUT);
    m.drive.wait_held(1);
    drop(file);
    // The drain waits for the commit that nobody waits for any more.
    m.stop.ask();
    while fs::write(m.path("new"), "x").is_ok() {}
    for i in 0..500 {
        assert_eq!(errno(fs::metadata(m.path(format!("none{i}")))), libc::ENOENT);
    }
    assert!(m.is_served());
    assert_eq!(m.drive.stored("slow").unwrap(), b"before");
    m.drive.release();
    m.served().unwrap();
    assert_eq!(m.drive.stored("slow").unwrap(), b"textre");
}

/// Opening asks the bucket, and what that finds corrects what the kernel believes.
#[test]
fn a_change_elsewhere_reaches_programs_before_the_lifetime_of_the_cache() {
    let options = chartfs::daemon::MountOptions { attr_ttl: HUNG * 60, ..options() };
    let Some(m) = Mounted::with(view::fresh_without_memory(), options) else { return };
    fs::write(m.path("f"), "mine").unwrap();
    assert_eq!(fs::metadata(m.path("f")).unwrap().len(), 4);
    let open = File::open(m.path("f")).unwrap();
    m.drive.write_elsewhere("f", b"theirs, longer");
    File::open(m.path("f")).unwrap();
    let (send, changed) = std::sync::mpsc::channel();
    let path = m.path("f");
    std::thread::spawn(move || {
        while fs::metadata(&path).unwrap().len() != 14 {
            std::thread::yield_now();
        }
        send.send(fs::read(&path).unwrap()).unwrap();
    });
    assert_eq!(changed.recv_timeout(HUNG).unwrap(), b"theirs, longer");
    drop(open);
}

#[test]
fn what_is_done_after_its_deadline_is_seen_at_once() {
    let short = Duration::from_millis(50);
    let options = chartfs::daemon::MountOptions {
        commit_deadline: short,
        attr_ttl: HUNG * 60,
        negative_ttl: HUNG * 60,
        ..options()
    };
    let drive = view::remote_with(&[("slow", "text")]);
    let Some(m) = Mounted::with(drive, options) else { return };
    assert_eq!(fs::read(m.path("slow")).unwrap(), b"text");
    assert_eq!(errno(fs::metadata(m.path("moved"))), libc::ENOENT);
    m.drive.hold_names();
    assert_eq!(errno(fs::rename(m.path("slow"), m.path("moved"))), libc::ETIMEDOUT);
    m.drive.release();
    let (old, new) = (m.path("slow"), m.path("moved"));
    let seen = on_thread(move || {
        while fs::metadata(&old).is_ok() || fs::metadata(&new).is_err() {
            std::thread::yield_now();
        }
    });
    seen.recv_timeout(HUNG).unwrap();
    assert_eq!(fs::read(m.path("moved")).unwrap(), b"text");
}

/// The answer to a read may arrive after a commit of this workstation that it does not know of.
#[test]
fn an_answer_that_a_commit_of_ones_own_overtook_is_no_rollback() {
    let drive = view::remote_with(&[("f", "before")]);
    assert_eq!(view::read(&drive.view, "f").unwrap(), b"before");
    drive.hold_answers("f");
    let (located, (_, policy)) = (drive.located("f"), drive.root());
    let records = Arc::clone(drive.view.records());
    let read = on_thread(move || {
        let newest = records.load(located, &policy, Duration::ZERO);
        view::RUNTIME.block_on(newest).map(|record| record.version())
    });
    drive.wait_held(1);
    let written = drive.view.write_path(Ino::ROOT, b"f", &b"after"[..]);
    view::RUNTIME.block_on(written).unwrap();
    drive.release();
    assert_eq!(read.recv_timeout(HUNG).unwrap().unwrap(), 2);
    assert_eq!(view::read(&drive.view, "f").unwrap(), b"after");
}
