//! Trying again: exponential waits with full jitter, a bounded number of tries, one deadline over
//! all of them. The only retries in the program.

use std::future::Future;
use std::time::{Duration, Instant};

use super::backend::{Attempt, Fault, Outcome};
use super::options::StoreOptions;
use crate::error::{Error, Result};

/// The longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How often and how long an operation is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    tries: u32,
    first_wait: Duration,
    total: Duration,
}

impl Policy {
    pub(super) fn of(options: &StoreOptions) -> Self {
        Self {
            tries: options.tries.max(1),
            first_wait: options.retry_wait,
            total: options.operation_timeout,
        }
    }

    pub(super) fn begin(self) -> Tries {
        Tries { policy: self, failed: 0, started: Instant::now() }
    }

    /// Runs an operation that may safely happen twice until it succeeds, fails for good, or the
    /// tries are used up.
    pub(super) async fn run<T, F, R>(self, mut operation: F) -> Result<T>
    where
        F: FnMut() -> R,
        R: Future<Output = Attempt<T>>,
    {
        let mut tries = self.begin();
        loop {
            match operation().await {
                Ok(value) => return Ok(value),
                Err(fault) => tries.wait_after(fault).await?,
            }
        }
    }
}

/// The tries of one operation.
pub(super) struct Tries {
    policy: Policy,
    failed: u32,
    started: Instant,
}

impl Tries {
    /// Returns the policy for what is a part of this operation: it ends when this one would.
    pub(super) fn rest(&self) -> Policy {
        let total = self.policy.total.saturating_sub(self.started.elapsed());
        Policy { total, ..self.policy }
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// The fault's own error, when there is no next try.
    pub(super) async fn wait_after(&mut self, fault: Fault) -> Result<()> {
        self.failed += 1;
        let wait = match self.next_wait(&fault) {
            Some(wait) => wait,
            None if self.failed > 1 => return Err(after_tries(fault.error, self.failed)),
            None => return Err(fault.error),
        };
        tracing::debug!(error = %fault.error, failed = self.failed, ?wait, "the store is tried again");
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn next_wait(&self, fault: &Fault) -> Option<Duration> {
        if fault.outcome == Outcome::Final || self.failed >= self.policy.tries {
            return None;
        }
        let doubled = self.policy.first_wait.saturating_mul(1 << (self.failed - 1).min(16));
        let jittered = doubled.min(WAIT_MAX).mul_f64(random_unit());
        let wait = jittered.max(fault.wait.unwrap_or_default().min(WAIT_MAX));
        (self.started.elapsed() + wait < self.policy.total).then_some(wait)
    }
}

fn after_tries(error: Error, tries: u32) -> Error {
    let why = match error.why() {
        Some(why) => format!("{why} ({tries} tries)"),
        None => format!("{tries} tries failed"),
    };
    error.because(why)
}

/// Returns a random number from 0 to below 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit the mantissa")]
pub(super) fn random_unit() -> f64 {
    let mut bytes = [0; 8];
    // Without randomness the waits lose their jitter, nothing else.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::cell::Cell;

    fn policy() -> Policy {
        Policy { tries: 4, first_wait: Duration::from_millis(1), total: Duration::from_secs(60) }
    }

    fn fault(outcome: Outcome) -> Fault {
        Fault { error: Error::new(Kind::Unavailable, "no"), outcome, wait: None }
    }

    async fn tries_until(policy: Policy, outcome: Outcome, succeed_at: u32) -> (u32, bool) {
        let made = Cell::new(0);
        let result = policy
            .run(|| async {
                made.set(made.get() + 1);
                if made.get() < succeed_at { Err(fault(outcome)) } else { Ok(()) }
            })
            .await;
        (made.get(), result.is_ok())
    }

    #[tokio::test]
    async fn tries_are_bounded_and_final_faults_are_not_tried_again() {
        assert_eq!(tries_until(policy(), Outcome::NotApplied, 3).await, (3, true));
        assert_eq!(tries_until(policy(), Outcome::Unknown, 99).await, (4, false));
        assert_eq!(tries_until(policy(), Outcome::Final, 2).await, (1, false));
    }

    #[tokio::test]
    async fn no_try_begins_behind_the_deadline() {
        let none = Policy { total: Duration::ZERO, ..policy() };
        assert_eq!(tries_until(none, Outcome::NotApplied, 2).await, (1, false));
    }

    #[test]
    fn waits_are_jittered_bounded_and_obey_the_store() {
        let tries = |failed| Tries {
            policy: Policy {
                tries: 99,
                first_wait: Duration::from_millis(50),
                total: Duration::MAX / 2,
            },
            failed,
            started: Instant::now(),
        };
        let draws: Vec<_> =
            (0..200).map(|_| tries(1).next_wait(&fault(Outcome::Unknown)).unwrap()).collect();
        assert!(draws.iter().all(|w| *w <= Duration::from_millis(50)));
        assert!(draws.iter().any(|w| *w < Duration::from_millis(25)));
        assert!(draws.iter().any(|w| *w > Duration::from_millis(25)));
        assert!(tries(90).next_wait(&fault(Outcome::Unknown)).unwrap() <= WAIT_MAX);
        let asked = Fault { wait: Some(Duration::from_secs(3)), ..fault(Outcome::NotApplied) };
        assert!(tries(1).next_wait(&asked).unwrap() >= Duration::from_secs(3));
        let greedy = Fault { wait: Some(Duration::from_secs(9999)), ..fault(Outcome::NotApplied) };
        assert!(tries(1).next_wait(&greedy).unwrap() <= WAIT_MAX);
    }
}
