//! The conversation with the kernel: dispatcher threads, notifications, and the gate that a
//! drain closes.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fuser::{INodeNo, SessionACL};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use super::Adapter;
use crate::error::{Error, Kind, Result};
use crate::view::{Ino, Invalidation};

/// The name that dispatcher threads start with; fuser chooses it.
pub(crate) const DISPATCHER_THREAD: &str = "fuser-";

/// Counts the changes under way and, once closed, keeps new ones out.
#[derive(Debug)]
pub struct Gate {
    closed: AtomicBool,
    running: watch::Sender<usize>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { closed: AtomicBool::new(false), running: watch::Sender::new(0) }
    }

    /// Refuses new files and opens for writing from now on; open files go on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub(super) fn enter(self: &Arc<Self>) -> Running {
        self.running.send_modify(|n| *n += 1);
        Running(Arc::clone(self))
    }

    /// Waits until no change is under way; says whether that came within `limit`.
    pub async fn idle(&self, limit: Duration) -> bool {
        let mut running = self.running.subscribe();
        tokio::time::timeout(limit, running.wait_for(|n| *n == 0)).await.is_ok()
    }
}

/// One change under way.
pub(super) struct Running(Arc<Gate>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.send_modify(|n| *n -= 1);
    }
}

/// A mounted file system that nobody answers yet.
pub struct Session {
    inner: fuser::Session<Adapter>,
    gate: Arc<Gate>,
    late_changes: Option<UnboundedReceiver<Invalidation>>,
}

impl Session {
    /// Shakes hands over a descriptor of the mounted device.
    pub(super) fn start(
        adapter: Adapter,
        device: OwnedFd,
        acl: SessionACL,
        late_changes: UnboundedReceiver<Invalidation>,
    ) -> Result<Self> {
        let (gate, notifier) = (Arc::clone(&adapter.gate), Arc::clone(&adapter.notifier));
        let mut config = fuser::Config::default();
        config.n_threads = Some(adapter.options.dispatchers.clamp(1, 8));
        config.acl = acl;
        let inner = fuser::Session::from_fd(adapter, device, acl, config)
            .map_err(|e| Error::new(Kind::MountPoint, "the kernel refused the mount").because(e))?;
        notifier.get_or_init(|| Notifier(inner.notifier()));
        Ok(Self { inner, gate, late_changes: Some(late_changes) })
    }

    /// Returns the way to tell the kernel what changed.
    pub fn notifier(&self) -> Notifier {
        Notifier(self.inner.notifier())
    }

    /// Returns what the adapter itself has to tell the kernel: changes that ended only after it
    /// had answered with an error. To be taken once.
    pub fn take_late_changes(&mut self) -> Option<UnboundedReceiver<Invalidation>> {
        self.late_changes.take()
    }

    /// Returns the gate of this mount.
    pub fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// Answers requests until the file system is unmounted.
    ///
    /// # Errors
    /// `Internal` when the device fails or a dispatcher thread died.
    pub fn run(self) -> Result<()> {
        self.inner
            .run()
            .map_err(|e| Error::new(Kind::Internal, "the mount ended with an error").because(e))
    }
}

/// Tells the kernel to forget what it cached.
#[derive(Clone, Debug)]
pub struct Notifier(fuser::Notifier);

impl Notifier {
    /// Lets the kernel forget what it was told of a file, and waits until it has.
    ///
    /// It waits for requests on the same file: they go on meanwhile, because this needs no thread
    /// that they need.
    pub(super) async fn forget(&self, ino: Ino) {
        let notifier = self.clone();
        let forgotten =
            tokio::task::spawn_blocking(move || notifier.forward(&Invalidation::Inode(ino)));
        if let Ok(Err(error)) = forgotten.await {
            tracing::warn!(%error, "the kernel may show an old version");
        }
    }

    /// Passes an invalidation on. It may wait for requests on the same inode or directory, so it
    /// must never be called by a thread that those requests need.
    ///
    /// # Errors
    /// `Internal` when the kernel refuses; a mount that has ended is no error.
    pub fn forward(&self, invalidation: &Invalidation) -> Result<()> {
        let sent = match invalidation {
            Invalidation::Inode(ino) => self.0.inval_inode(INodeNo(ino.0), 0, 0),
            Invalidation::Entry { parent, name } => {
                self.0.inval_entry(INodeNo(parent.0), OsStr::from_bytes(name))
            }
        };
        match sent {
            // ENOTDIR and ENOTEMPTY say that the kernel keeps an entry that is in use.
            Err(e)
                if !matches!(
                    e.raw_os_error(),
                    Some(libc::ENODEV | libc::ENOTDIR | libc::ENOTEMPTY)
                ) =>
            {
                Err(Error::new(Kind::Internal, "the kernel refused an invalidation").because(e))
            }
            _ => Ok(()),
        }
    }
}
