//! The only place where time passes.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::time::Instant;

/// Time as the engine sees it. Everything that waits does so through a clock that it was given, so that tests and the
/// sandbox decide how fast time passes.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Time passed since some fixed moment before the first call; never goes back.
    fn now(&self) -> Duration;

    /// The time of day, for people: events and reports.
    fn wall(&self) -> SystemTime;

    /// Returns after `duration` of this clock's time.
    async fn sleep(&self, duration: Duration);
}

/// Real time. Under tokio's paused time it is the test's time.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: Instant,
    started: SystemTime,
}

impl SystemClock {
    /// Starts the clock.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now(), started: SystemTime::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall(&self) -> SystemTime {
        self.started + self.now()
    }

    #[expect(clippy::disallowed_methods, reason = "the clock is the one place that sleeps")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Time that runs `factor` times as fast as real time: what waits ten minutes on a cloud waits ten seconds on a
/// sandbox of factor 60.
#[derive(Debug, Clone)]
pub struct ScaledClock {
    real: SystemClock,
    factor: f64,
}

impl ScaledClock {
    /// A clock that runs `factor` times as fast as real time. A factor that is not a positive number counts as 1.
    #[must_use]
    pub fn new(factor: f64) -> Self {
        let factor = if factor.is_finite() && factor > 0.0 { factor } else { 1.0 };
        Self { real: SystemClock::new(), factor }
    }
}

#[async_trait]
impl Clock for ScaledClock {
    fn now(&self) -> Duration {
        self.real.now().mul_f64(self.factor)
    }

    fn wall(&self) -> SystemTime {
        self.real.started + self.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.real.sleep(duration.div_f64(self.factor)).await;
    }
}
