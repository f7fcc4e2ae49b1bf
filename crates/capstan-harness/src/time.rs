//! Time that is stepped: it stands while anything is to be done, and jumps to the next timer when nothing is.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use capstan_engine::Clock;
use jiff::Timestamp;
use tokio::time::Instant;

/// The calendar when a world begins.
pub(crate) const EPOCH: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Runs a world to its end: one thread, paused time, so that the same seed gives the same run.
///
/// # Panics
/// When the operating system gives no runtime.
pub fn run<F: Future>(world: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    #[expect(clippy::expect_used, reason = "without a runtime there is nothing to report to")]
    runtime.expect("a runtime with one thread").block_on(world)
}

/// The time of a world, for its engine and its clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SteppedTime {
    start: Instant,
}

impl SteppedTime {
    /// Time that begins now, at [`EPOCH`].
    pub(crate) fn begin() -> Self {
        Self { start: Instant::now() }
    }

    /// Time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The calendar.
    pub(crate) fn timestamp(&self) -> Timestamp {
        EPOCH.checked_add(self.elapsed()).unwrap_or(Timestamp::MAX)
    }
}

#[async_trait]
impl Clock for SteppedTime {
    fn now(&self) -> Duration {
        self.elapsed()
    }

    fn wall(&self) -> SystemTime {
        self.timestamp().into()
    }

    async fn sleep(&self, duration: Duration) {
        pause(duration).await;
    }
}

#[async_trait]
impl capstan_openstack::Time for SteppedTime {
    fn now(&self) -> Timestamp {
        self.timestamp()
    }

    async fn sleep(&self, duration: Duration) {
        pause(duration).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock of the harness; nothing waits in paused time")]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
