//! Asking a mount of another process how it does.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::error::{Error, Kind, Result};
use crate::fuse::{self, Answer};
use crate::view::Status;

/// How often a process is looked at that is about to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Asks the drive that is mounted at `point` how it does. Returns within seconds, whatever its
/// daemon does.
///
/// # Errors
/// `MountPoint` when no drive is mounted there, or nobody answers for it.
pub fn status(point: &Path) -> Result<Status> {
    let shown = point.display();
    let refused = |why: &str| {
        Error::new(Kind::MountPoint, format!("{shown} does not say how it does"))
            .because(why.to_owned())
    };
    match fuse::ask(point)? {
        Answer::Text(text) => serde_json::from_slice(&text).map_err(|e| refused(&e.to_string())),
        Answer::Refused(Errno::ENODATA | Errno::EOPNOTSUPP) => {
            Err(refused("it is not the root of a chartfs drive"))
        }
        Answer::Refused(e) => Err(refused(e.desc())),
        Answer::Dead => Err(refused("the daemon behind it is dead")
            .hint(format!("clear it: chartfs umount {shown}"))),
        Answer::Stopped(pid) => {
            Err(refused(&format!("it does not answer: process {pid}, which serves it, is stopped"))
                .hint(format!("let it go on: kill -CONT {pid}")))
        }
        Answer::Silent => Err(refused("it does not answer")
            .hint(format!("wait; or end it: chartfs umount --force {shown}"))),
    }
}

/// Waits until a process has ended; `false` when it still runs after `limit`.
pub fn wait_for_end(pid: u32, limit: Duration) -> bool {
    let Ok(raw) = i32::try_from(pid) else { return true };
    let pid = nix::unistd::Pid::from_raw(raw);
    let since = Instant::now();
    // The process of somebody else in its place would have another owner, or soon end the wait.
    while nix::sys::signal::kill(pid, None).is_ok() {
        if since.elapsed() > limit || is_zombie(raw) {
            return is_zombie(raw);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    true
}

/// Says whether a process has ended and nobody took note yet.
fn is_zombie(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}
