//! Real mounts for tests: made through the library, gone when the test ends.
#![allow(dead_code, reason = "every test binary uses another part")]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use chartfs::daemon::{self, MountOptions, Stop};
use chartfs::error::Result;

#[path = "../fake_s3/mod.rs"]
pub(crate) mod fake_s3;
#[path = "../support/mod.rs"]
pub(crate) mod support;
pub(crate) mod view;

use view::Drive;

/// How long a test waits before it calls something hung. It is never what a test measures.
pub(crate) const HUNG: Duration = Duration::from_secs(60);

/// A mount in this process.
pub(crate) struct Mounted {
    /// What is behind the mount.
    pub(crate) drive: Drive,
    /// Asks it to end.
    pub(crate) stop: Stop,
    point: PathBuf,
    served: Receiver<Result<()>>,
    thread: Option<JoinHandle<()>>,
    // Removed after the mount is gone, because fields are dropped after `Drop::drop`.
    dir: tempfile::TempDir,
    runtime: Option<tokio::runtime::Runtime>,
}

/// Says whether this machine can mount, and prints why a test is skipped when not.
pub(crate) fn can_mount() -> bool {
    let dir = tempfile::tempdir().expect("a temporary directory");
    if let Err(e) = daemon::check_point(dir.path(), false) {
        println!("SKIPPED: {e}");
        return false;
    }
    if let Err(e) = std::fs::File::options().read(true).write(true).open("/dev/fuse") {
        println!("SKIPPED: /dev/fuse cannot be opened: {e}");
        return false;
    }
    true
}

/// Says whether a program is installed, and prints that a test is skipped when not.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if !found {
        println!("SKIPPED: {program} is not installed");
    }
    found
}

/// Options under which nothing depends on how fast the machine is.
pub(crate) fn options() -> MountOptions {
    MountOptions { deadline: HUNG, commit_deadline: HUNG, ..MountOptions::default() }
}

impl Mounted {
    /// Mounts a fresh view; `None`, after saying so, where that is impossible.
    pub(crate) fn new() -> Option<Self> {
        Self::with(view::fresh(), options())
    }

    /// Mounts `drive`.
    pub(crate) fn with(drive: Drive, options: MountOptions) -> Option<Self> {
        if !can_mount() {
            return None;
        }
        let dir = tempfile::tempdir().expect("a temporary directory");
        let point = dir.path().canonicalize().expect("it exists");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let mount = daemon::Mount {
            view: std::sync::Arc::clone(&drive.view),
            point: point.clone(),
            source_label: "memory://test".to_owned(),
            options,
        };
        let stop = Stop::new();
        let (report_ready, ready) = channel();
        let (report_served, served) = channel();
        let (handle, asked) = (runtime.handle().clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let ready = || report_ready.send(()).expect("the test waits");
            let result = daemon::serve(mount, &handle, &asked, ready);
            let _ = report_served.send(result);
        });
        let mut mounted =
            Self { drive, stop, point, served, thread: Some(thread), dir, runtime: Some(runtime) };
        let ready = ready.recv_timeout(HUNG);
        assert!(ready.is_ok(), "not mounted: {:?}", mounted.served());
        Some(mounted)
    }

    /// The mount point.
    pub(crate) fn point(&self) -> &Path {
        &self.point
    }

    /// A path inside.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.point.join(name)
    }

    /// Says whether the mount has not ended yet.
    pub(crate) fn is_served(&self) -> bool {
        matches!(self.served.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty))
    }

    /// Waits until the mount has ended and returns how.
    pub(crate) fn served(&mut self) -> Result<()> {
        let result = self.served.recv_timeout(HUNG).expect("the mount ends");
        self.thread.take().expect("asked once").join().expect("the serving thread does not panic");
        result
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.drive.release();
        if self.thread.is_some() {
            self.stop.ask();
            self.stop.ask();
            let _ = self.served.recv_timeout(HUNG);
        }
        let _ = daemon::umount(&self.point, true);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs a shell script with the mount point as `$M`; panics with its output when it fails.
pub(crate) fn shell(mounted: &Mounted, script: &str) -> String {
    let output = std::process::Command::new("sh")
        .args(["-euc", script])
        .env("M", mounted.point())
        .env("LC_ALL", "C")
        .output()
        .expect("sh runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{text}{errors}");
    assert!(errors.is_empty(), "{script}\ncomplained: {errors}");
    text
}

/// Runs `work` on a thread and fails instead of hanging for ever.
pub(crate) fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Receiver<T> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let _ = send.send(work());
    });
    receive
}

/// Returns the error number of a failed call.
pub(crate) fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> i32 {
    result.expect_err("this must fail").raw_os_error().expect("the system says why")
}
