//! The background process, tried for real: every case forks, so this test has no harness.
//!
//! Called with `serve DIR` it is such a process itself; without, it runs the cases.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "../drive/mod.rs"]
mod drive;
mod crash;
mod dead;

use std::io::BufRead;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use chartfs::daemon::{self, Mount, Stop};
use chartfs::error::{Error, Kind, Result};

/// The cases by name.
const CASES: [(&str, fn()); 16] = [
    ("the_parent_returns_when_the_mount_works", the_parent_returns_when_the_mount_works),
    ("the_parent_gets_the_error", the_parent_gets_the_error),
    ("a_child_that_dies_is_reported", a_child_that_dies_is_reported),
    ("term_drains_and_unmounts", term_drains_and_unmounts),
    ("the_service_manager_is_told", the_service_manager_is_told),
    ("a_killed_daemon_leaves_a_mount_that_is_recognised", a_dead_mount_is_recognised),
    ("who_waits_for_a_killed_daemon_gets_an_error", dead::killed_while_a_program_waits),
    ("a_killed_daemon_that_cannot_end_is_taken_off", dead::killed_and_stuck),
    ("a_stopped_daemon_is_told_and_taken_off_by_force", dead::stopped),
    ("a_drive_is_mounted_over_a_dead_one", dead::mounted_over),
    ("what_an_ordinary_user_left_is_taken_off", dead::of_nobody),
    ("a_dispatcher_that_dies_ends_the_mount", a_dispatcher_that_dies_ends_the_mount),
    ("an_ordinary_user_mounts", an_ordinary_user_mounts),
    ("the_device_can_be_handed_over", the_device_can_be_handed_over),
    ("a_killed_daemon_leaves_the_old_or_the_new_version", crash::old_or_new),
    ("a_long_file_is_read_in_little_memory", crash::long_file),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [how, dir] = args.as_slice()
        && matches!(how.as_str(), "serve" | "foreground" | "die" | "umount" | "force" | "status")
    {
        return act(how, Path::new(dir));
    }
    let listing = args.iter().any(|a| a == "--list");
    if listing && args.iter().any(|a| a == "--ignored") {
        return;
    }
    let exact: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    for (name, case) in CASES {
        if listing {
            println!("{name}: test");
        } else if exact.is_empty() || exact.iter().any(|a| name.contains(a.as_str())) {
            if drive::can_mount() {
                case();
            }
            println!("test {name} ... ok");
        }
    }
}

/// What the daemon of the cases does, as a command line would.
fn act(how: &str, dir: &Path) {
    let result = match how {
        "serve" => daemon::clear_dead(dir)
            .and_then(|_| daemon::background(|ready| serve(dir, || ready.report()))),
        "umount" => daemon::umount(dir, false),
        "force" => daemon::umount_by_force(dir),
        "status" => daemon::status(dir).map(|_| ()),
        "die" => daemon::background(|_| std::process::abort()),
        _ => serve(dir, || println!("ready")),
    };
    if let Err(e) = result {
        eprintln!("{}|{}|{}", e.what(), e.why().unwrap_or(""), e.try_this().unwrap_or(""));
        std::process::exit(i32::from(e.kind().exit_status()));
    }
}

fn serve(dir: &Path, ready: impl FnOnce()) -> Result<()> {
    let stop = Stop::new();
    daemon::stop_on_signals(&stop)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let point = dir.to_path_buf();
    let slow = std::env::var_os(dead::WRONG).map(|_| dead::slow_drive());
    let view = match (std::env::var_os("CHARTFS_TEST_BUCKET"), &slow) {
        (Some(bucket), _) => crash::view_of(Path::new(&bucket)),
        (None, Some(drive)) => drive.view.clone(),
        (None, None) => drive::view::fresh().view,
    };
    let mount =
        Mount { view, point, source_label: "memory://test".to_owned(), options: drive::options() };
    let ready = || {
        ready();
        if let Some(drive) = slow {
            dead::tell_held(drive, dir);
        }
    };
    daemon::serve(mount, runtime.handle(), &stop, ready)
}

fn run(how: &str, dir: &Path) -> Output {
    let me = std::env::current_exe().unwrap();
    Command::new(me).args([how.as_ref(), dir.as_os_str()]).output().unwrap()
}

/// A mount point that is cleared whatever happens.
struct Point(tempfile::TempDir);

impl Point {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The process that serves this mount point, found by its command line.
    fn daemon(&self, program: &Path) -> Option<nix::unistd::Pid> {
        std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let mut words = line.split(|b| *b == 0);
            let exe = PathBuf::from(String::from_utf8_lossy(words.next()?).into_owned());
            let dir = words.nth(1)?;
            (exe == program && dir == self.path().as_os_str().as_encoded_bytes())
                .then(|| nix::unistd::Pid::from_raw(pid))
        })
    }

    fn wait_gone(&self, program: &Path) {
        while self.daemon(program).is_some() {
            std::thread::yield_now();
        }
    }
}

impl Drop for Point {
    fn drop(&mut self) {
        let _ = daemon::umount(self.path(), true);
    }
}

fn the_parent_returns_when_the_mount_works() {
    let point = Point::new();
    // Waits for the end of all output, which a daemon that kept the streams would prevent.
    let output = run("serve", point.path());
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    std::fs::write(point.path().join("f"), "text").unwrap();
    assert_eq!(std::fs::read(point.path().join("f")).unwrap(), b"text");
    let daemon = point.daemon(&std::env::current_exe().unwrap()).unwrap();
    let status = std::fs::read_link(format!("/proc/{daemon}/cwd"));
    assert!(status.map_or(true, |cwd| cwd == Path::new("/")));
    daemon::umount(point.path(), false).unwrap();
    point.wait_gone(&std::env::current_exe().unwrap());
}

fn the_parent_gets_the_error() {
    let point = Point::new();
    std::fs::write(point.path().join("f"), "x").unwrap();
    let output = run("serve", point.path());
    assert_eq!(output.status.code(), Some(i32::from(Kind::MountPoint.exit_status())));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("|the directory is not empty|choose an empty directory"), "{said}");
    point.wait_gone(&std::env::current_exe().unwrap());
}

fn a_child_that_dies_is_reported() {
    let point = Point::new();
    let output = run("die", point.path());
    let wanted = Error::new(Kind::Internal, "x").kind().exit_status();
    assert_eq!(output.status.code(), Some(i32::from(wanted)));
    assert!(String::from_utf8_lossy(&output.stderr).contains("killed by SIGABRT"), "{output:?}");
}

fn foreground(point: &Point) -> Child {
    foreground_by(Command::new(std::env::current_exe().unwrap()), point)
}

fn foreground_by(mut command: Command, point: &Point) -> Child {
    let mut child = command
        .args(["foreground".as_ref(), point.path().as_os_str()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let out = child.stdout.take().unwrap();
    std::io::BufReader::new(out).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

fn term_drains_and_unmounts() {
    use nix::sys::signal::{Signal, kill};
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let point = Point::new();
        let mut child = foreground(&point);
        std::fs::write(point.path().join("f"), "x").unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        kill(pid, Signal::SIGHUP).unwrap();
        assert_eq!(std::fs::read(point.path().join("f")).unwrap(), b"x");
        kill(pid, signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert_eq!(std::fs::read_dir(point.path()).unwrap().count(), 0);
    }
}

fn the_service_manager_is_told() {
    let point = Point::new();
    let dir = tempfile::tempdir().unwrap();
    let socket = std::os::unix::net::UnixDatagram::bind(dir.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(drive::HUNG)).unwrap();
    let told = || {
        let mut text = [0; 1000];
        let len = socket.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..len]).into_owned()
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("NOTIFY_SOCKET", dir.path().join("notify"));
    let mut child = foreground_by(command, &point);
    assert!(told().starts_with("READY=1\n"));
    daemon::umount(point.path(), false).unwrap();
    assert!(told().starts_with("STOPPING=1\n"));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

fn a_dead_mount_is_recognised() {
    let point = Point::new();
    let mut child = foreground(&point);
    std::fs::write(point.path().join("f"), "x").unwrap();
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    assert_eq!(std::fs::metadata(point.path()).unwrap_err().raw_os_error(), Some(libc::ENOTCONN));
    let error = daemon::check_point(point.path(), false).unwrap_err();
    assert_eq!((error.kind(), error.why()), (Kind::MountPoint, Some("a dead mount is in the way")));
    assert!(error.try_this().unwrap().contains("chartfs umount"));
    assert_eq!(run("foreground", point.path()).status.code(), Some(19));
    daemon::umount(point.path(), false).unwrap();
    assert_eq!(std::fs::read_dir(point.path()).unwrap().count(), 0);
    assert!(run("serve", point.path()).status.success());
    daemon::umount(point.path(), false).unwrap();
    point.wait_gone(&std::env::current_exe().unwrap());
}

fn a_dispatcher_that_dies_ends_the_mount() {
    let point = Point::new();
    let mut child = foreground(&point);
    let path = point.path().join("f");
    std::fs::write(&path, "x").unwrap();
    // fuser 0.18 panics on this time before we see the request; nobody can answer it any more.
    let time = nix::sys::time::TimeSpec::new(i64::MIN, 1);
    let flags = nix::sys::stat::UtimensatFlags::NoFollowSymlink;
    let set = nix::sys::stat::utimensat(nix::fcntl::AT_FDCWD, &path, &time, &time, flags);
    assert!(set.is_err(), "fuser takes this time now: choose another way to kill a dispatcher");
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(i32::from(Kind::Internal.exit_status())));
    assert_eq!(std::fs::read_dir(point.path()).unwrap().count(), 0);
}

/// The user of the cases that need one without rights.
const NOBODY: u32 = 65534;

/// Makes a command that runs as that user.
fn as_nobody(program: impl AsRef<std::ffi::OsStr>) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    command.uid(NOBODY).gid(NOBODY);
    command
}

/// Copies this program to where that user can run it.
fn program_of_nobody(dir: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let me = dir.join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &me).unwrap();
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    me
}

/// Says whether ordinary users may not use the device.
fn is_device_closed() -> bool {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata("/dev/fuse").unwrap().permissions().mode();
    mode & 0o006 != 0o006
}

/// Runs the case where users may open the device, as they may on every desktop: in a name space
/// of its own, so that nothing changes for this machine.
fn again_with_an_open_device(case: &str) {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"mount --make-rprivate /
        mknod "$1/fuse" c 10 229
        chmod 666 "$1/fuse"
        mount --bind "$1/fuse" /dev/fuse
        mountpoint -q /sys/fs/fuse/connections || mount -t fusectl none /sys/fs/fuse/connections
        exec "$0" "$2""#;
    let output = Command::new("unshare")
        .args(["-m", "sh", "-ec", script])
        .args([std::env::current_exe().unwrap().as_os_str(), dir.path().as_os_str(), case.as_ref()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, format!("test {case} ... ok\n"));
}

fn an_ordinary_user_mounts() {
    if !nix::unistd::geteuid().is_root() || !drive::has("fusermount3") {
        println!("SKIPPED: needs root, to become another user, and fusermount3");
        return;
    }
    if is_device_closed() {
        return again_with_an_open_device("an_ordinary_user_mounts");
    }
    let point = Point::new();
    std::os::unix::fs::chown(point.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let programs = tempfile::tempdir().unwrap();
    let me = program_of_nobody(programs.path());
    let output = as_nobody(&me).arg("serve").arg(point.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let line = table.lines().find(|l| l.contains(point.path().to_str().unwrap())).unwrap();
    assert!(line.starts_with("memory://test ") && line.contains("fuse.chartfs"), "{line}");
    assert!(line.contains("noexec") && line.contains("default_permissions"), "{line}");
    let script = "echo text > $0/f && cat $0/f && stat -c %u $0/f";
    let output = as_nobody("sh").args(["-c", script]).arg(point.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "text\n65534\n", "{output:?}");
    // Not even root sees the drive of somebody else.
    let denied = std::fs::read_dir(point.path()).unwrap_err();
    assert_eq!(denied.raw_os_error(), Some(libc::EACCES));
    let output = as_nobody(&me).arg("umount").arg(point.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read_dir(point.path()).unwrap().count(), 0);

    point.wait_gone(&me);
    let output = as_nobody(&me).arg("serve").arg(point.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let daemon = point.daemon(&me).unwrap();
    nix::sys::signal::kill(daemon, nix::sys::signal::Signal::SIGKILL).unwrap();
    point.wait_gone(&me);
    let output = as_nobody(&me).arg("umount").arg(point.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read_dir(point.path()).unwrap().count(), 0);
}

fn the_device_can_be_handed_over() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: only root can open the device for somebody else");
        return;
    }
    let point = Point::new();
    // What mount.fuse3 does for -o drop_privileges: the daemon never sees the directory.
    let script = r#"exec 3<>/dev/fuse
        mount -i -t fuse.chartfs -o fd=3,rootmode=40000,user_id=0,group_id=0,nosuid,nodev test "$1"
        exec "$0" foreground /dev/fd/3"#;
    let mut child = Command::new("sh")
        .args(["-ec".as_ref(), script.as_ref(), std::env::current_exe().unwrap().as_os_str()])
        .arg(point.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    std::fs::write(point.path().join("f"), "text").unwrap();
    assert_eq!(std::fs::read(point.path().join("f")).unwrap(), b"text");
    daemon::umount(point.path(), false).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // A number that is no such device is refused.
    let output = run("foreground", Path::new("/dev/fd/9"));
    assert_eq!(output.status.code(), Some(i32::from(Kind::MountPoint.exit_status())));
}
