//! The threads beside the runtime: one that runs the session, one that passes invalidations on.

use std::sync::{Arc, LazyLock, Once};
use std::time::Duration;

use tokio::runtime::Handle as Runtime;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{oneshot, watch};

use crate::error::Result;
use crate::fuse::{DISPATCHER_THREAD, Notifier, Session};
use crate::view::{Invalidation, View};

/// Runs the session on a thread of its own; the receiver gets how it ended.
pub(super) fn answer(session: Session) -> Result<oneshot::Receiver<Result<()>>> {
    let (ended, receiver) = oneshot::channel();
    std::thread::Builder::new().name("session".to_owned()).spawn(move || {
        let result = session.run();
        if ended.send(result).is_err() {
            tracing::debug!("the session ended after its service");
        }
    })?;
    Ok(receiver)
}

/// How often the view settles what was taken away, and writes its high-water marks.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);

/// Lets the view tidy up from time to time, until it is dropped.
pub(super) struct Tidier(tokio::task::JoinHandle<()>);

impl Tidier {
    pub(super) fn start(view: &Arc<View>, runtime: &Runtime) -> Self {
        let view = Arc::clone(view);
        Self(runtime.spawn(async move {
            loop {
                tokio::time::sleep(TIDY_INTERVAL).await;
                if let Err(error) = view.tidy().await {
                    tracing::warn!(%error, "not everything could be tidied up; it is tried again");
                }
            }
        }))
    }
}

impl Drop for Tidier {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How often what is pinned is fetched again.
const PIN_INTERVAL: Duration = Duration::from_secs(300);

/// Keeps what is pinned as new as the bucket has it, until it is dropped.
pub(super) struct Pinner(Option<tokio::task::JoinHandle<()>>);

impl Pinner {
    pub(super) fn start(view: &Arc<View>, runtime: &Runtime) -> Self {
        if !view.has_pins() {
            return Self(None);
        }
        let view = Arc::clone(view);
        Self(Some(runtime.spawn(async move {
            loop {
                match view.refresh_pins().await {
                    Ok(done) => tracing::info!(files = done.files, failed = done.failed, "pinned"),
                    Err(error) => tracing::warn!(%error, "what is pinned cannot be kept"),
                }
                tokio::time::sleep(PIN_INTERVAL).await;
            }
        })))
    }
}

impl Drop for Pinner {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Merges what was written here and elsewhere at once, until it is dropped.
pub(super) struct Merger(tokio::task::JoinHandle<()>);

impl Merger {
    pub(super) fn start(view: &Arc<View>, runtime: &Runtime) -> Self {
        let view = Arc::clone(view);
        Self(runtime.spawn(async move {
            if let Err(error) = view.prepare().await {
                tracing::debug!(%error, "off-line, not everything can be written");
            }
            view.merge_all_overtaken().await;
        }))
    }
}

impl Drop for Merger {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Files what lies in the inboxes, until it is dropped.
pub(super) struct Filer(tokio::task::JoinHandle<()>);

impl Filer {
    pub(super) fn start(view: &Arc<View>, runtime: &Runtime) -> Self {
        let view = Arc::clone(view);
        Self(runtime.spawn(async move {
            loop {
                tokio::time::sleep(TIDY_INTERVAL).await;
                if let Err(error) = view.file_inboxes().await {
                    tracing::warn!(%error, "the inboxes could not be looked at; it is tried again");
                }
            }
        }))
    }
}

impl Drop for Filer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Passes invalidations from the view to the kernel until it is dropped.
///
/// The kernel makes a notification wait for requests on the same inode, so neither a dispatcher
/// nor a task of the runtime may send it: both answer such requests.
pub(super) struct Forwarder {
    _over: watch::Sender<()>,
}

impl Forwarder {
    /// Starts with the two sources: what the view reports and what the adapter does.
    pub(super) fn start(
        notifier: Notifier,
        sources: [Option<UnboundedReceiver<Invalidation>>; 2],
        runtime: &Runtime,
    ) -> Result<Self> {
        let (over, mut ending) = watch::channel(());
        let [mut reported, mut late] = sources;
        let runtime = runtime.clone();
        std::thread::Builder::new().name("invalidate".to_owned()).spawn(move || {
            let mut next = || {
                runtime.block_on(async {
                    tokio::select! {
                        invalidation = receive(&mut reported) => Some(invalidation),
                        invalidation = receive(&mut late) => Some(invalidation),
                        _ = ending.changed() => None,
                    }
                })
            };
            while let Some(invalidation) = next() {
                if let Err(error) = notifier.forward(&invalidation) {
                    tracing::warn!(%error, "the kernel may show an old version");
                }
            }
        })?;
        Ok(Self { _over: over })
    }
}

/// Waits for the next of a source; for ever when it has ended.
async fn receive(source: &mut Option<UnboundedReceiver<Invalidation>>) -> Invalidation {
    if let Some(receiver) = source {
        if let Some(invalidation) = receiver.recv().await {
            return invalidation;
        }
        *source = None;
    }
    std::future::pending().await
}

static DISPATCHER_DEATHS: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));
static HOOK: Once = Once::new();

/// Notices a panic on a dispatcher thread. fuser reports one only when all the others have
/// ended too, and until then the request that caused it is never answered. Which mount the thread
/// belongs to is not known, so every mount of the process ends; a daemon has one.
pub(super) struct Deaths(watch::Receiver<usize>);

impl Deaths {
    pub(super) fn watch() -> Self {
        HOOK.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                let thread = std::thread::current();
                if thread.name().is_some_and(|n| n.starts_with(DISPATCHER_THREAD)) {
                    DISPATCHER_DEATHS.send_modify(|n| *n += 1);
                }
                previous(info);
            }));
        });
        Self(DISPATCHER_DEATHS.subscribe())
    }

    /// Waits for the first death since [`Deaths::watch`].
    pub(super) async fn first(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
