//! Whether the bucket can be reached: so that who can be answered from the disk is not kept waiting
//! for a network that is gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::retry::random_unit;
use crate::clock::now_unix_s;
use crate::error::{Error, Kind};

/// The first wait before the bucket is tried again; it doubles with each failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The bucket does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offline {
    /// Since when, in seconds since 1970.
    pub since_unix_s: i64,
    /// What the last request failed with.
    pub why: String,
}

struct Down {
    since_unix_s: i64,
    why: String,
    wait: Duration,
    next_try: Instant,
}

/// The way to the bucket.
#[derive(Default)]
pub(super) struct Link(Mutex<Option<Down>>);

impl Link {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Down>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether somebody who has another answer should ask at all. While the bucket is away
    /// one request in a while is let through, to see whether it is back.
    pub(super) fn is_worth_asking(&self) -> bool {
        let now = Instant::now();
        match &mut *self.lock() {
            Some(down) if now < down.next_try => false,
            Some(down) => {
                down.next_try = now + down.wait;
                true
            }
            None => true,
        }
    }

    /// Takes note of how a request went, and hands the result on.
    pub(super) fn note<T>(&self, result: crate::error::Result<T>) -> crate::error::Result<T> {
        match &result {
            Err(e) if e.kind() == Kind::Unavailable => self.failed(e),
            _ => {
                if self.lock().take().is_some() {
                    tracing::warn!("the bucket is reached again");
                }
            }
        }
        result
    }

    fn failed(&self, error: &Error) {
        let mut state = self.lock();
        if state.is_none() {
            tracing::warn!(%error, "the bucket cannot be reached");
        }
        let (since_unix_s, wait) = match &*state {
            Some(down) => (down.since_unix_s, (down.wait * 2).min(WAIT_MAX)),
            None => (now_unix_s(), FIRST_WAIT),
        };
        let why = error.why().unwrap_or(error.what()).to_owned();
        *state = Some(Down { since_unix_s, why, wait, next_try: Instant::now() + wait });
    }

    /// Returns how long to wait before asking again; with jitter, so that many workstations do not
    /// come back at one moment.
    pub(super) fn wait(&self) -> Duration {
        let wait = self.lock().as_ref().map_or(FIRST_WAIT, |down| down.wait);
        wait.mul_f64(0.5 + random_unit() / 2.0)
    }

    /// Returns the error of who does not ask.
    pub(super) fn error(&self) -> Error {
        let error = Error::new(Kind::Unavailable, "the bucket cannot be reached");
        match self.offline() {
            Some(offline) => error.because(offline.why).hint("see: chartfs status"),
            None => error,
        }
    }

    pub(super) fn offline(&self) -> Option<Offline> {
        let state = self.lock();
        state.as_ref().map(|d| Offline { since_unix_s: d.since_unix_s, why: d.why.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> crate::error::Result<()> {
        Err(Error::new(Kind::Unavailable, "no answer").because("unplugged"))
    }

    #[test]
    fn while_the_bucket_is_away_one_request_in_a_while_is_let_through() {
        let link = Link::default();
        assert!(link.is_worth_asking());
        link.note(away()).unwrap_err();
        assert!(!link.is_worth_asking());
        assert_eq!(link.offline().unwrap().why, "unplugged");
        link.lock().as_mut().unwrap().next_try = Instant::now();
        assert!(link.is_worth_asking());
        assert!(!link.is_worth_asking(), "one, not all of them");
        link.note(Ok(())).unwrap();
        assert!(link.is_worth_asking());
        assert_eq!(link.offline(), None);
    }

    #[test]
    fn an_answer_that_says_no_is_an_answer() {
        let link = Link::default();
        let denied: crate::error::Result<()> = Err(Error::new(Kind::Denied, "no"));
        link.note(denied).unwrap_err();
        assert_eq!(link.offline(), None);
    }

    #[test]
    fn the_waits_double_to_a_bound() {
        let link = Link::default();
        for _ in 0..10 {
            link.note(away()).unwrap_err();
        }
        assert_eq!(link.lock().as_ref().unwrap().wait, WAIT_MAX);
        assert!(link.wait() <= WAIT_MAX && link.wait() >= WAIT_MAX / 2);
    }
}
