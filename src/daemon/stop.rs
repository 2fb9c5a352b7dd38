//! Asking a mount to end: once to drain first, twice to leave at once.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::watch;

use crate::error::{Error, Kind, Result};

/// A request to end, shared by whoever may ask and the mount that obeys.
#[derive(Clone, Debug)]
pub struct Stop(watch::Sender<u32>);

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Makes one that nobody asked yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Asks the mount to drain and unmount; asked again, to detach now.
    pub fn ask(&self) {
        self.0.send_modify(|times| *times = times.saturating_add(1));
    }

    /// Waits until it was asked `times` times.
    pub(super) async fn asked(&self, times: u32) {
        let mut asked = self.0.subscribe();
        if asked.wait_for(|n| *n >= times).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Makes TERM and INT ask `stop`; HUP does nothing. Starts a thread, so [`super::background()`]
/// must come first.
///
/// # Errors
/// `Internal` when the system refuses the handlers.
pub fn stop_on_signals(stop: &Stop) -> Result<()> {
    let failed = |e| Error::new(Kind::Internal, "cannot listen to signals").because(e);
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(failed)?;
    let stop = stop.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                tracing::info!(signal, "signal");
                if signal != SIGHUP {
                    stop.ask();
                }
            }
        })
        .map_err(failed)?;
    Ok(())
}
