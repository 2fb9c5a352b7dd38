//! The life of a mount: mounted, ready, served, drained, gone.
//!
//! [`serve`] runs one mount to its end on the calling thread. [`background()`] puts that into a
//! process of its own and keeps the caller waiting until the mount works. [`stop_on_signals`]
//! lets TERM and INT ask for the end; [`umount`] does so from another process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::runtime::Handle as Runtime;
use tokio::sync::oneshot;

use crate::error::{Error, Kind, Result};
use crate::fuse::{self, Gate, Mounted, Session, Unmounted};
use crate::view::View;

mod background;
mod process;
mod status;
mod stop;
mod threads;

pub use crate::fuse::{
    Answer, LOG_LIMIT, MountOptions, ask, check_point, clear_dead, mounts, umount, umount_by_force,
};
pub use crate::view::Status;
pub use background::{Ready, background};
pub use process::harden;
pub use status::{status, wait_for_end};
pub use stop::{Stop, stop_on_signals};

/// How often a busy unmount is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// How long to wait for the dispatchers after the kernel ended the conversation.
const END_LIMIT: Duration = Duration::from_secs(5);

/// What is to be mounted, where and how.
pub struct Mount {
    /// What the user sees.
    pub view: Arc<View>,
    /// An empty directory, or `/dev/fd/N` when somebody else mounted.
    pub point: PathBuf,
    /// What the mount table shows as source: the bucket, without secrets.
    pub source_label: String,
    /// How the mount behaves.
    pub options: MountOptions,
}

/// Mounts, calls `ready` once `statfs` through the mount works, and answers requests until
/// somebody unmounts or `stop` is asked. Then everything written is committed.
///
/// `runtime` must be multi-threaded, and the calling thread must not be one of its workers.
///
/// # Errors
/// What [`fuse::mount`] refuses; `Internal` when the conversation with the kernel breaks; what
/// [`View::drain`] could not commit.
pub fn serve(mount: Mount, runtime: &Runtime, stop: &Stop, ready: impl FnOnce()) -> Result<()> {
    let Mount { view, point, source_label, options } = mount;
    let (session, mounted) =
        fuse::mount(Arc::clone(&view), &point, &source_label, &options, runtime.clone())?;
    let _tidier = threads::Tidier::start(&view, runtime);
    let _merger = threads::Merger::start(&view, runtime);
    let _pinner = threads::Pinner::start(&view, runtime);
    let _filer = (!options.read_only).then(|| threads::Filer::start(&view, runtime));
    let mut service = Service::start(session, mounted, view, options, runtime)?;
    if let Err(e) = service.mounted.check_answers() {
        runtime.block_on(service.force_off());
        return Err(e);
    }
    ready();
    tell_manager(&[NotifyState::Ready, NotifyState::Status("serving")]);
    runtime.block_on(service.run(stop))
}

/// Tells systemd, when it started us, how far we are; its absence is no failure.
fn tell_manager(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}

/// A mount that is being answered.
struct Service {
    mounted: Mounted,
    view: Arc<View>,
    gate: Arc<Gate>,
    options: MountOptions,
    /// The result of the conversation, once; `None` after it was taken.
    ended: Option<oneshot::Receiver<Result<()>>>,
    _forwarder: threads::Forwarder,
    deaths: threads::Deaths,
}

impl Service {
    fn start(
        mut session: Session,
        mounted: Mounted,
        view: Arc<View>,
        options: MountOptions,
        runtime: &Runtime,
    ) -> Result<Self> {
        let deaths = threads::Deaths::watch();
        let gate = session.gate();
        let sources = [Some(view.take_invalidations()), session.take_late_changes()];
        let forwarder = threads::Forwarder::start(session.notifier(), sources, runtime)
            .inspect_err(|_| mounted.detach_quietly())?;
        let ended = threads::answer(session).inspect_err(|_| mounted.detach_quietly())?;
        let ended = Some(ended);
        Ok(Self { mounted, view, gate, options, ended, _forwarder: forwarder, deaths })
    }

    /// Waits for the end, however it comes.
    async fn run(&mut self, stop: &Stop) -> Result<()> {
        tokio::select! {
            result = wait_end(&mut self.ended) => {
                tracing::info!("unmounted");
                tell_manager(&[NotifyState::Stopping]);
                // When the conversation broke, the mount is still there and nobody answers it.
                self.mounted.detach_quietly();
                return self.leave().await.and(result);
            }
            () = self.deaths.first() => {
                tracing::error!("a dispatcher thread died: the mount is taken down");
                let drained = self.drain().await;
                self.force_off().await;
                let died = Error::new(Kind::Internal, "a dispatcher thread died");
                return drained.and(Err(died));
            }
            () = stop.asked(1) => {}
        }
        tell_manager(&[NotifyState::Stopping, NotifyState::Status("committing what is written")]);
        self.gate.close();
        tokio::select! {
            drained = self.drain() => if let Err(error) = drained {
                tracing::warn!(%error, "not everything is committed yet");
            },
            () = stop.asked(2) => tracing::warn!("asked twice: leaving at once"),
        }
        self.take_off(stop).await;
        tokio::select! {
            left = self.leave() => left,
            () = stop.asked(3) => self.drain().await,
        }
    }

    /// Commits everything that programs wrote, within the limit.
    async fn drain(&self) -> Result<()> {
        let limit = self.options.drain_limit;
        let work = async {
            self.gate.idle(limit).await;
            self.view.drain().await
        };
        if let Ok(drained) = tokio::time::timeout(limit, work).await {
            return drained;
        }
        let late = Error::new(Kind::Unavailable, "not everything could be committed")
            .because(format!("the bucket took more than {} s", limit.as_secs()))
            .hint("the texts are kept on this workstation: chartfs rejected list");
        self.view.keep_all_unsaved(&late).await;
        Err(late)
    }

    /// Commits what is left after the unmount, and sends what waits in the journal.
    async fn leave(&self) -> Result<()> {
        let drained = self.drain().await;
        let left = self.view.drain_journal(self.options.drain_limit).await;
        if left > 0 {
            tracing::warn!(left, "writes stay in the journal: the next mount sends them");
        }
        drained
    }

    /// Unmounts: politely while the grace lasts, then by detaching.
    async fn take_off(&mut self, stop: &Stop) {
        let polite = async {
            while matches!(self.mounted.unmount(), Ok(Unmounted::Busy)) {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(self.options.busy_grace, polite) => {}
            () = stop.asked(2) => return self.force_off().await,
        }
        // After a polite unmount this finds nothing left to do.
        self.mounted.detach_quietly();
        let end = tokio::time::timeout(self.options.busy_grace, wait_end(&mut self.ended));
        tokio::select! {
            ended = end => if ended.is_ok() { return },
            () = stop.asked(2) => {}
        }
        tracing::warn!("programs still have files open: they get errors from now on");
        self.force_off().await;
    }

    /// Detaches and ends the conversation; whoever waits for an answer gets an error.
    async fn force_off(&mut self) {
        let ends = self.mounted.force_off();
        if ends && tokio::time::timeout(END_LIMIT, wait_end(&mut self.ended)).await.is_err() {
            tracing::warn!("the conversation with the kernel does not end");
        }
    }
}

impl Drop for Service {
    /// Leaves no mount behind that nobody watches, whatever went wrong.
    fn drop(&mut self) {
        if self.ended.is_some() {
            self.mounted.detach_quietly();
        }
    }
}

/// Waits until the kernel ends the conversation. Once that was reported, returns at once.
async fn wait_end(ended: &mut Option<oneshot::Receiver<Result<()>>>) -> Result<()> {
    let Some(receiver) = ended else {
        return Ok(());
    };
    let result = receiver.await;
    *ended = None;
    result.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "the session thread died")))
}
