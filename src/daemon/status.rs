//! Asking a mount of another process how it does.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::error::{Error, Kind, Result};
use crate::view::Status;

/// The attribute of the root that says it.
const STATUS: &str = "user.chartfs.status";
/// The longest answer.
const STATUS_LEN_MAX_BYTES: usize = 16 << 10;
/// How often a process is looked at that is about to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Asks the drive that is mounted at `point` how it does.
///
/// # Errors
/// `MountPoint` when no drive is mounted there, or nobody answers for it any more.
pub fn status(point: &Path) -> Result<Status> {
    let mut buffer = vec![0; STATUS_LEN_MAX_BYTES];
    let refused = |why: &str| {
        Error::new(Kind::MountPoint, format!("{} does not say how it does", point.display()))
            .because(why.to_owned())
    };
    let len = rustix::fs::getxattr(point, STATUS, buffer.as_mut_slice()).map_err(|e| match e {
        Errno::NODATA | Errno::OPNOTSUPP => refused("it is not the root of a chartfs drive"),
        Errno::NOTCONN => refused("the daemon behind it is dead")
            .hint(format!("clear it: chartfs umount {}", point.display())),
        e => refused(&e.to_string()),
    })?;
    serde_json::from_slice(&buffer[..len]).map_err(|e| refused(&e.to_string()))
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
