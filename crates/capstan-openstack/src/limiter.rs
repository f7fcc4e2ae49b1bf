//! How fast and how many at once: one bound for everybody who talks to the same cloud.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::time::Time;

/// Shared by all clients of a cloud: clones are the same limiter.
#[derive(Debug, Clone)]
pub struct Limiter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    at_once: Arc<Semaphore>,
    /// Time between two calls at the full rate.
    interval: Duration,
    /// How far ahead of the rate a quiet client may run.
    burst: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the next call would start if all kept to the rate (the "theoretical arrival time" of GCRA).
    next: Timestamp,
    /// The cloud asked everybody to be quiet until then.
    quiet_until: Timestamp,
}

impl Limiter {
    /// At most `at_once` calls in flight and `per_second` started in a second, with a burst of as many more after a
    /// quiet time.
    #[must_use]
    pub fn new(at_once: usize, per_second: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self(Arc::new(Inner {
            at_once: Arc::new(Semaphore::new(at_once.max(1))),
            interval,
            burst: interval * per_second.max(1),
            state: Mutex::new(State { next: Timestamp::MIN, quiet_until: Timestamp::MIN }),
        }))
    }

    /// Waits until a call may start. The call holds the permit until its answer is there.
    pub(crate) async fn admit(&self, time: &dyn Time) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed, so there is always a permit.
        let permit = Arc::clone(&self.0.at_once).acquire_owned().await.ok();
        let turn = self.take_turn(time.now());
        if !turn.is_zero() {
            time.sleep(turn).await;
        }
        loop {
            // Looked at again after each sleep: somebody else may have been told to wait longer.
            let quiet = self.quiet(time.now());
            if quiet.is_zero() {
                return permit;
            }
            time.sleep(quiet).await;
        }
    }

    /// Everybody waits for `duration`: the cloud said that it gets too much.
    pub(crate) fn quiet_for(&self, now: Timestamp, duration: Duration) {
        let until = later(now, duration);
        self.with_state(|state| state.quiet_until = state.quiet_until.max(until));
    }

    /// Reserves the next turn and says how far away it is.
    fn take_turn(&self, now: Timestamp) -> Duration {
        self.with_state(|state| {
            let start = state.next.max(now);
            state.next = later(start, self.0.interval);
            until(now, start).saturating_sub(self.0.burst)
        })
    }

    fn quiet(&self, now: Timestamp) -> Duration {
        self.with_state(|state| until(now, state.quiet_until))
    }

    fn with_state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// 16 at once, 50 a second: below what public clouds allow a project.
impl Default for Limiter {
    fn default() -> Self {
        Self::new(16, 50)
    }
}

fn until(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}

fn later(from: Timestamp, duration: Duration) -> Timestamp {
    from.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_after_the_burst() {
        let limiter = Limiter::new(4, 10);
        let now: Timestamp = "2026-10-21T07:28:00Z".parse().unwrap();
        let waits: Vec<u128> = (0..14).map(|_| limiter.take_turn(now).as_millis()).collect();
        assert_eq!(waits[..11], [0; 11]);
        assert_eq!(waits[11..], [100, 200, 300]);
        assert_eq!(limiter.take_turn(later(now, Duration::from_secs(5))).as_millis(), 0);
    }

    #[test]
    fn quiet_time_is_never_shortened() {
        let limiter = Limiter::default();
        let now: Timestamp = "2026-10-21T07:28:00Z".parse().unwrap();
        limiter.quiet_for(now, Duration::from_secs(30));
        limiter.quiet_for(now, Duration::from_secs(1));
        assert_eq!(limiter.quiet(now), Duration::from_secs(30));
    }
}
