//! What did the kernel ask? Kernel requests on one side, calls of [`View`] on the other.
//!
//! A few dispatcher threads read requests and answer at once what the view has in memory
//! (`cached_*`). Everything that may wait becomes a task of the runtime that carries the reply
//! along, so one slow object never holds up the others. Every task has a deadline: fuser cannot
//! interrupt a request, and no process may hang for longer than that. The adapter itself decides
//! nothing about records; it is the only module that names fuser.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::runtime::Handle as Runtime;
use tokio::sync::mpsc::UnboundedSender;

use crate::view::{DirEntry, Invalidation, View};

mod operations;
mod request;
mod dispatch;
mod directory;
mod reply;
mod session;
mod mount;
mod point;
mod answer;
mod child;
mod unmount;
mod descriptor;

pub use answer::{Answer, ask};
pub use mount::{MountOptions, Mounted, mount};
pub use point::{check_point, mounts};
pub(crate) use session::DISPATCHER_THREAD;
pub use session::{Gate, Notifier, Session};
pub use unmount::{Unmounted, clear_dead, umount, umount_by_force};

/// What the log filter must contain whatever else it says: fuser writes the names of files, which
/// are names of patients, at its debug level.
pub const LOG_LIMIT: &str = "fuser=warn";

/// The longest name of a file in bytes; the kernel itself would pass longer ones.
pub const NAME_MAX_BYTES: usize = 255;

/// The file system as fuser calls it: one per mount.
struct Adapter {
    view: Arc<View>,
    runtime: Runtime,
    options: MountOptions,
    owner: reply::Owner,
    gate: Arc<Gate>,
    /// The way to tell the kernel what changed, once there is one.
    notifier: Arc<OnceLock<Notifier>>,
    /// Changes that ended after their deadline, for the kernel to ask again.
    late: UnboundedSender<Invalidation>,
    /// The snapshot of each open directory that was read from, so that further pages of it are
    /// answered without a task.
    listings: Arc<Mutex<HashMap<u64, Arc<[DirEntry]>>>>,
}

impl Adapter {
    fn new(
        view: Arc<View>,
        runtime: Runtime,
        options: MountOptions,
        late: UnboundedSender<Invalidation>,
    ) -> Self {
        Self {
            view,
            runtime,
            options,
            owner: reply::Owner::current(),
            gate: Arc::new(Gate::new()),
            notifier: Arc::default(),
            late,
            listings: Arc::default(),
        }
    }
}
