//! The background process: forked before there is any thread, reporting back when it serves.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::panic::AssertUnwindSafe;

use nix::fcntl::OFlag;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};

use crate::error::{Error, Kind, Result};
use crate::wire::{Reader, Writer};

/// The most that a report may be; an error text is a few lines.
const REPORT_MAX_BYTES: u64 = 256 * 1024;
/// The first byte of the report of a mount that works; no exit status of an error is zero.
const READY: u8 = 0;

/// The child's way to tell its parent.
pub struct Ready(Option<File>);

impl Ready {
    /// Reports that the mount works: the parent returns. Later calls do nothing.
    pub fn report(&mut self) {
        self.send(&[READY]);
    }

    fn send(&mut self, report: &[u8]) {
        if let Some(mut pipe) = self.0.take()
            && let Err(error) = pipe.write_all(report)
        {
            tracing::warn!(%error, "nobody waits for the report");
        }
    }
}

/// Runs `serve` in a background process and returns when it reports ready.
///
/// To be called before any thread exists and before the runtime is made, but after every
/// question to the user: a passphrase is asked in the foreground and travels in memory. The child
/// gets its own session, `/` as working directory, `/dev/null` for the standard streams, and
/// [`super::harden`]; logging to a file or to the system has to be started by `serve`. In the
/// child this function does not return: the process ends with the exit status of the result.
///
/// # Errors
/// In the parent, the error with which `serve` ended before it was ready.
pub fn background(serve: impl FnOnce(&mut Ready) -> Result<()>) -> Result<()> {
    let failed = |e: nix::errno::Errno| {
        Error::new(Kind::Internal, "cannot start a background process").because(e.desc())
    };
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(Error::new(Kind::Internal, "cannot start a background process")
            .because("this process has threads already"));
    }
    let (from_child, to_parent) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    // SAFETY: there is one thread, as checked above, so no lock can be held by another one in
    // the copy and the child may do everything.
    match unsafe { nix::unistd::fork() }.map_err(failed)? {
        ForkResult::Parent { child } => {
            drop(to_parent);
            wait_ready(File::from(from_child), child)
        }
        ForkResult::Child => {
            drop(from_child);
            run_child(Ready(Some(File::from(to_parent))), serve)
        }
    }
}

/// The child's whole life.
fn run_child(mut ready: Ready, serve: impl FnOnce(&mut Ready) -> Result<()>) -> ! {
    let life = AssertUnwindSafe(|| leave_terminal().and_then(|()| serve(&mut ready)));
    let result = std::panic::catch_unwind(life)
        .unwrap_or_else(|_| Err(Error::new(Kind::Internal, "the background process panicked")));
    let status = match result {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!(%error, "the mount ended with an error");
            ready.send(&encode(&error));
            i32::from(error.kind().exit_status())
        }
    };
    std::process::exit(status)
}

fn leave_terminal() -> Result<()> {
    nix::unistd::setsid().map_err(std::io::Error::from)?;
    std::env::set_current_dir("/")?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null).map_err(std::io::Error::from)?;
    nix::unistd::dup2_stdout(&null).map_err(std::io::Error::from)?;
    nix::unistd::dup2_stderr(&null).map_err(std::io::Error::from)?;
    super::harden()
}

/// Waits for the report of the child, or for its end without one.
fn wait_ready(from_child: File, child: Pid) -> Result<()> {
    let mut report = Vec::new();
    from_child.take(REPORT_MAX_BYTES).read_to_end(&mut report)?;
    if report == [READY] {
        return Ok(());
    }
    let ended = waitpid(child, None);
    if !report.is_empty() {
        return Err(decode(&report).unwrap_or_else(|e| e));
    }
    let how = match ended {
        Ok(WaitStatus::Exited(_, status)) => format!("exit status {status}"),
        Ok(WaitStatus::Signaled(_, signal, _)) => format!("killed by {signal}"),
        _ => "nothing is known about its end".to_owned(),
    };
    Err(Error::new(Kind::Internal, "the background process ended before it was ready").because(how))
}

/// The kind by its exit status, then what, why and what to try; empty means not given.
fn encode(error: &Error) -> Vec<u8> {
    let mut w = Writer::new();
    w.u8(error.kind().exit_status());
    for text in [Some(error.what()), error.why(), error.try_this()] {
        w.long(text.unwrap_or_default().as_bytes());
    }
    w.into_bytes()
}

fn decode(report: &[u8]) -> Result<Error> {
    let mut r = Reader::new(report, "report of the background process");
    let status = r.u8()?;
    let kind = Kind::ALL.into_iter().find(|k| k.exit_status() == status).unwrap_or(Kind::Internal);
    let limit = usize::try_from(REPORT_MAX_BYTES).unwrap_or(usize::MAX);
    let mut text = || Ok::<_, Error>(String::from_utf8_lossy(r.long(limit)?).into_owned());
    let (what, why, hint) = (text()?, text()?, text()?);
    r.finish()?;
    let mut error = Error::new(kind, what);
    if !why.is_empty() {
        error = error.because(why);
    }
    if !hint.is_empty() {
        error = error.hint(hint);
    }
    Ok(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_arrives_whole() {
        for kind in Kind::ALL {
            let sent = Error::new(kind, "what").because("why").hint("try");
            let got = decode(&encode(&sent)).unwrap();
            assert_eq!(got.kind(), kind);
            assert_eq!((got.what(), got.why(), got.try_this()), ("what", Some("why"), Some("try")));
        }
        let got = decode(&encode(&Error::new(Kind::Denied, "only what"))).unwrap();
        assert_eq!((got.why(), got.try_this()), (None, None));
    }

    #[test]
    fn a_torn_report_is_an_error_and_not_ready() {
        let whole = encode(&Error::new(Kind::Denied, "what"));
        for cut in 1..whole.len() {
            assert!(decode(&whole[..cut]).is_err());
        }
        assert_ne!(whole[0], READY);
    }

    #[test]
    fn a_process_with_threads_does_not_fork() {
        let (release, hold) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || hold.recv());
        let error = background(|_| unreachable!("no child is made")).unwrap_err();
        assert_eq!(error.why(), Some("this process has threads already"));
        drop(release);
        assert!(other.join().unwrap().is_err());
    }
}
