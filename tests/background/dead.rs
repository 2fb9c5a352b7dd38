//! A daemon that answers no more: killed while it cannot end, killed while programs wait, stopped.
//!
//! Whoever asks such a drive may not end either, so everything that asks is a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use chartfs::error::Kind;
use nix::mount::MntFlags;
use nix::sys::signal::{Signal, kill};

use crate::drive::{self, HUNG, view};
use crate::{NOBODY, Point, as_nobody, program_of_nobody};

/// Says what a daemon under test does wrong: `slow` never answers reads of one file, `stuck` waits
/// for itself too, so that it does not end when it is killed.
pub(crate) const WRONG: &str = "CHARTFS_TEST_WRONG";

/// A drive whose file `slow` is never read to the end.
pub(crate) fn slow_drive() -> view::Drive {
    let drive = view::remote_with(&[("slow", "never read"), ("quick", "text")]);
    drive.hold_reads("slow");
    drive
}

/// Tells the test once a program waits for `slow`; before that, waits for it too when told so.
pub(crate) fn tell_held(drive: view::Drive, dir: &Path) {
    if std::env::var_os(WRONG).is_some_and(|wrong| wrong == "stuck") {
        let path = dir.join("slow");
        std::thread::spawn(move || std::fs::read(path));
    }
    std::thread::spawn(move || {
        drive.wait_held(1);
        #[allow(clippy::print_stdout)]
        {
            println!("held");
        }
    });
}

/// A daemon and a program that waits for it.
struct Waiting {
    point: Point,
    daemon: Child,
    reader: Child,
}

impl Waiting {
    /// Mounts, as nobody when asked to, and lets a program wait.
    fn new(wrong: &str, nobody: Option<&Path>) -> Self {
        let point = Point::new();
        let program = |path: &Path| match nobody {
            Some(_) => as_nobody(path),
            None => Command::new(path),
        };
        let me = nobody.map_or_else(|| std::env::current_exe().unwrap(), Path::to_path_buf);
        if nobody.is_some() {
            std::os::unix::fs::chown(point.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut daemon = program(&me)
            .args(["foreground".as_ref(), point.path().as_os_str()])
            .env(WRONG, wrong)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(daemon.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert_eq!(lines.next().as_deref(), Some("ready"));
        let reader = program(Path::new("cat"))
            .arg(point.path().join("slow"))
            .env("LC_ALL", "C")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        assert_eq!(lines.next().as_deref(), Some("held"));
        Self { point, daemon, reader }
    }

    fn signal(&self, signal: Signal) {
        kill(nix::unistd::Pid::from_raw(i32::try_from(self.daemon.id()).unwrap()), signal).unwrap();
    }

    /// Waits until the system has stopped or killed the daemon.
    fn wait_state(&self, state: char) {
        let begun = Instant::now();
        loop {
            let path = format!("/proc/{}/stat", self.daemon.id());
            let stat = std::fs::read_to_string(path).unwrap();
            if stat.rsplit_once(") ").unwrap().1.starts_with(state) {
                return;
            }
            assert!(begun.elapsed() < HUNG, "the daemon is not {state}: {stat}");
            std::thread::yield_now();
        }
    }

    /// Runs this program on the mount point; it must end.
    fn run(&self, how: &str) -> Output {
        let me = std::env::current_exe().unwrap();
        self.ends(Command::new(me).args([how.as_ref(), self.point.path().as_os_str()]))
    }

    fn ends(&self, command: &mut Command) -> Output {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        end_of(child, &self.point)
    }

    /// The program that waited must have got an error, and the daemon must end.
    fn assert_over(self) {
        let Self { point, daemon, reader } = self;
        let output = end_of(reader, &point);
        assert!(!output.status.success(), "{output:?}");
        end_of(daemon, &point);
        assert_eq!(std::fs::read_dir(point.path()).unwrap().count(), 0);
    }
}

/// Waits for the end of a process. One that hangs is freed, and the test fails.
fn end_of(mut child: Child, point: &Point) -> Output {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > HUNG {
            let flags = MntFlags::MNT_FORCE | MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
            let _ = nix::mount::umount2(point.path(), flags);
            let _ = child.kill();
            panic!("it does not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn fails(output: &Output) {
    assert_eq!(output.status.code(), Some(i32::from(Kind::MountPoint.exit_status())), "{output:?}");
}

pub(crate) fn killed_while_a_program_waits() {
    let w = Waiting::new("slow", None);
    w.signal(Signal::SIGKILL);
    w.wait_state('Z');
    assert!(said(&w.run("status")).contains("the daemon behind it is dead"));
    let output = w.run("umount");
    assert!(output.status.success(), "{output:?}");
    w.assert_over();
}

pub(crate) fn killed_and_stuck() {
    let w = Waiting::new("stuck", None);
    w.signal(Signal::SIGKILL);
    w.wait_state('Z');
    let output = w.run("status");
    fails(&output);
    assert!(said(&output).contains("the daemon behind it is dead"), "{output:?}");
    let output = w.run("umount");
    assert!(output.status.success(), "{output:?}");
    w.assert_over();
}

pub(crate) fn stopped() {
    let mut w = Waiting::new("slow", None);
    w.signal(Signal::SIGSTOP);
    w.wait_state('T');
    let output = w.run("status");
    fails(&output);
    assert!(said(&output).contains("does not answer"), "{output:?}");
    assert!(said(&output).contains("is stopped"), "{output:?}");
    let output = w.run("umount");
    fails(&output);
    assert!(said(&output).contains("chartfs umount --force"), "{output:?}");
    assert!(w.reader.try_wait().unwrap().is_none(), "what was refused changes nothing");
    let output = w.run("force");
    assert!(output.status.success(), "{output:?}");
    // Whoever goes on commits what was written, and ends.
    w.signal(Signal::SIGCONT);
    w.assert_over();
}

pub(crate) fn mounted_over() {
    for wrong in ["slow", "stuck"] {
        let w = Waiting::new(wrong, None);
        w.signal(Signal::SIGKILL);
        w.wait_state('Z');
        let output = w.run("serve");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(std::fs::read_dir(w.point.path()).unwrap().count(), 0);
        let Waiting { point, daemon, reader } = w;
        let output = end_of(reader, &point);
        assert!(!output.status.success(), "{output:?}");
        end_of(daemon, &point);
        std::fs::write(point.path().join("f"), "text").unwrap();
        chartfs::daemon::umount(point.path(), false).unwrap();
        point.wait_gone(&std::env::current_exe().unwrap());
    }
}

/// A user without rights, whom the kernel lets end his own mounts through its control files.
pub(crate) fn of_nobody() {
    if !nix::unistd::geteuid().is_root() || !drive::has("fusermount3") {
        #[allow(clippy::print_stdout)]
        {
            println!("SKIPPED: needs root, to become another user, and fusermount3");
        }
        return;
    }
    if crate::is_device_closed() {
        return crate::again_with_an_open_device("what_an_ordinary_user_left_is_taken_off");
    }
    let programs = tempfile::tempdir().unwrap();
    let me = program_of_nobody(programs.path());
    for (wrong, signal, state) in [
        ("stuck", Signal::SIGKILL, 'Z'),
        ("slow", Signal::SIGSTOP, 'T'),
        ("slow", Signal::SIGKILL, 'Z'),
    ] {
        let w = Waiting::new(wrong, Some(&me));
        w.signal(signal);
        w.wait_state(state);
        let output = w.ends(as_nobody(&me).arg("status").arg(w.point.path()));
        fails(&output);
        let how = if state == 'T' { "force" } else { "umount" };
        let output = w.ends(as_nobody(&me).arg(how).arg(w.point.path()));
        assert!(output.status.success(), "{output:?}");
        if state == 'T' {
            w.signal(Signal::SIGCONT);
        }
        w.assert_over();
    }
}
