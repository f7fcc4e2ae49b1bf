//! Simulated time: a priority queue of events, ordered by (time, sequence).
//!
//! Nothing in the sandbox waits on wall time but `wall_sleep`. Whatever happens later is an event: `clock.after(Duration, |world| ...)`.
//! Who moves the time forward is decided by [`Speed`].
//!
//! Two kinds of event:
//! - *foreground* ([`Clock::after`]): a transition that is sure to come (BUILD becomes ACTIVE). Time jumps to it.
//! - *background* ([`Clock::background`]): polling and resync loops. They run when the time passes them, and pull the time forward
//!   only for [`IDLE_HORIZON`] after the last foreground event or write request: a loop that waits for something that never
//!   comes doesn't burn a processor nor let simulated hours pass.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::World;

/// How far background events alone may pull the time forward after the last activity.
pub const IDLE_HORIZON: Duration = Duration::from_secs(120);

/// At [`Speed::Max`], how long the clock waits for a moment without requests before it goes on all the same.
const PATIENCE: Duration = Duration::from_millis(10);

/// How simulated time passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// As fast as possible: whenever no request is being handled, time jumps to the next event.
    Max,
    /// Simulated time is wall time multiplied by this factor. Wall time is tokio's: where that is paused, nothing waits.
    Times(f64),
    /// Time stands still until [`crate::Sandbox::step`], [`crate::Sandbox::drain`] or [`crate::Sandbox::advance`] is called.
    Manual,
}

/// What happens at a moment of simulated time. Runs without any lock held.
pub type Event = Box<dyn FnOnce(&World) + Send>;

/// Names a scheduled event, to cancel it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    due: Duration,
    sequence: u64,
}

/// The clock and its queue of events. Cheap to clone; its lock is a leaf (no other lock is taken under it).
#[derive(Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Mutex<Queue>,
    /// Requests being handled; time does not jump while there is one.
    busy: AtomicUsize,
    wake: Notify,
    speed: Speed,
    /// The calendar time at which the simulation starts.
    epoch: Timestamp,
    started: Instant,
}

#[derive(Default)]
struct Queue {
    now: Duration,
    sequence: u64,
    events: BTreeMap<EventId, Scheduled>,
    foreground: usize,
    /// Background events may run until this time.
    horizon: Duration,
}

struct Scheduled {
    event: Event,
    foreground: bool,
}

/// Held while a request is handled; the clock doesn't jump meanwhile.
pub struct Busy {
    inner: Arc<Inner>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.inner.busy.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.inner.wake.notify_one();
        }
    }
}

impl Clock {
    /// A clock that starts at `epoch`.
    pub(crate) fn new(speed: Speed, epoch: Timestamp) -> Self {
        let inner = Inner {
            queue: Mutex::new(Queue { horizon: IDLE_HORIZON, ..Queue::default() }),
            busy: AtomicUsize::new(0),
            wake: Notify::new(),
            speed,
            epoch,
            started: Instant::now(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Simulated time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        let reached = self.queue().now;
        match self.wall() {
            Some(wall) => reached.max(wall),
            None => reached,
        }
    }

    /// The calendar time of the simulation.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.epoch.checked_add(self.elapsed()).unwrap_or(Timestamp::MAX)
    }

    /// Runs `event` in `delay` of simulated time; time jumps to it.
    pub fn after(&self, delay: Duration, event: impl FnOnce(&World) + Send + 'static) -> EventId {
        self.schedule(delay, Box::new(event), true)
    }

    /// Runs `event` once time has passed `delay`, without pulling the time forward for long (see the module's text).
    pub fn background(&self, delay: Duration, event: impl FnOnce(&World) + Send + 'static) -> EventId {
        self.schedule(delay, Box::new(event), false)
    }

    /// Takes an event out of the queue. False if it has run or was cancelled before.
    pub fn cancel(&self, id: EventId) -> bool {
        let mut queue = self.queue();
        let Some(removed) = queue.events.remove(&id) else { return false };
        queue.foreground -= usize::from(removed.foreground);
        true
    }

    /// Waits until so much simulated time has passed.
    pub(crate) async fn pass(&self, span: Duration) {
        let (done, passed) = tokio::sync::oneshot::channel();
        self.after(span, move |_| {
            // Whoever waited may have gone away meanwhile.
            let _ = done.send(());
        });
        // An event that is dropped with the world ends the wait, too.
        let _ = passed.await;
    }

    /// How many events wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queue().events.len()
    }

    /// Says that something was written: background events get their time again.
    pub fn touch(&self) {
        let elapsed = self.elapsed();
        let mut queue = self.queue();
        queue.horizon = elapsed + IDLE_HORIZON;
        drop(queue);
        self.inner.wake.notify_one();
    }

    /// Keeps the time from jumping while the guard lives.
    pub(crate) fn busy(&self) -> Busy {
        self.inner.busy.fetch_add(1, Ordering::AcqRel);
        Busy { inner: Arc::clone(&self.inner) }
    }

    /// Runs the next event, jumping to its time. False if none is due (see [`IDLE_HORIZON`]).
    pub(crate) fn step(&self, world: &World) -> bool {
        self.run_next(world, |queue, id, scheduled| {
            scheduled.foreground || queue.foreground > 0 || id.due <= queue.horizon
        })
    }

    /// Runs everything that is due within `span`, then stands at its end.
    pub(crate) fn advance(&self, world: &World, span: Duration) {
        let target = self.elapsed() + span;
        self.run_until(world, target);
        let mut queue = self.queue();
        queue.now = queue.now.max(target);
    }

    fn run_until(&self, world: &World, target: Duration) {
        while self.run_next(world, |_, id, _| id.due <= target) {}
    }

    fn run_next(&self, world: &World, may: impl FnOnce(&Queue, EventId, &Scheduled) -> bool) -> bool {
        let mut queue = self.queue();
        let Some((&id, scheduled)) = queue.events.first_key_value() else { return false };
        if !may(&queue, id, scheduled) {
            return false;
        }
        let Some(scheduled) = queue.events.remove(&id) else { return false };
        queue.now = queue.now.max(id.due);
        if scheduled.foreground {
            queue.foreground -= 1;
            queue.horizon = queue.horizon.max(queue.now + IDLE_HORIZON);
        }
        drop(queue);
        (scheduled.event)(world);
        true
    }

    fn schedule(&self, delay: Duration, event: Event, foreground: bool) -> EventId {
        let now = self.elapsed();
        let mut queue = self.queue();
        queue.sequence += 1;
        let id = EventId { due: now + delay, sequence: queue.sequence };
        queue.foreground += usize::from(foreground);
        queue.events.insert(id, Scheduled { event, foreground });
        drop(queue);
        self.inner.wake.notify_one();
        id
    }

    /// Moves the time for ever; the sandbox runs it as a task.
    pub(crate) async fn drive(self, world: World) {
        loop {
            match self.inner.speed {
                Speed::Manual => return,
                Speed::Max => {
                    while self.inner.busy.load(Ordering::Acquire) == 0 && self.step(&world) {
                        tokio::task::yield_now().await;
                    }
                    if self.inner.busy.load(Ordering::Acquire) == 0 {
                        self.inner.wake.notified().await;
                    } else {
                        // Clients that poll without a pause may leave no quiet moment: time goes on all the same.
                        tokio::select! {
                            () = self.inner.wake.notified() => {}
                            () = wall_sleep(PATIENCE) => {
                                self.step(&world);
                            }
                        }
                    }
                }
                Speed::Times(factor) => {
                    self.run_until(&world, self.elapsed());
                    let next = self.queue().events.first_key_value().map(|(id, _)| id.due);
                    let pause = next.map(|due| due.saturating_sub(self.elapsed()).div_f64(factor.max(1e-6)));
                    tokio::select! {
                        () = wall_sleep(pause.unwrap_or(Duration::from_secs(3600))) => {}
                        () = self.inner.wake.notified() => {}
                    }
                }
            }
        }
    }

    /// Where [`Speed::Times`] has brought the time.
    fn wall(&self) -> Option<Duration> {
        match self.inner.speed {
            Speed::Times(factor) => Some(self.inner.started.elapsed().mul_f64(factor)),
            Speed::Max | Speed::Manual => None,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one place that waits on wall time: between two events at a visible speed, and for a fault that makes a request slow.
#[expect(
    clippy::disallowed_methods,
    reason = "the sandbox's clock is the place where simulated time meets wall time"
)]
pub(crate) async fn wall_sleep(span: Duration) {
    tokio::time::sleep(span).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    type Log = Arc<Mutex<Vec<&'static str>>>;

    fn world() -> (World, Log) {
        (World::new(Config { speed: Speed::Manual, ..Config::default() }), Log::default())
    }

    fn note(log: &Log, text: &'static str) -> impl FnOnce(&World) + Send + 'static {
        let log = Arc::clone(log);
        move |_| log.lock().unwrap().push(text)
    }

    fn drain(world: &World) {
        while world.clock().step(world) {}
    }

    #[test]
    fn events_run_by_time_then_by_order() {
        let (world, log) = world();
        let clock = world.clock();
        drain(&world);
        let start = clock.elapsed();
        clock.after(Duration::from_secs(5), note(&log, "later"));
        clock.after(Duration::from_secs(1), note(&log, "first"));
        clock.after(Duration::from_secs(1), note(&log, "second"));
        let never = clock.after(Duration::from_secs(2), note(&log, "never"));
        assert!(clock.cancel(never) && !clock.cancel(never));
        drain(&world);
        assert_eq!(*log.lock().unwrap(), ["first", "second", "later"]);
        assert_eq!(clock.elapsed() - start, Duration::from_secs(5));
    }

    #[test]
    fn polling_alone_moves_the_time_only_to_the_horizon() {
        fn poll(world: &World, count: &Arc<AtomicUsize>) {
            let again = Arc::clone(count);
            world.clock().background(Duration::from_secs(10), move |world| {
                again.fetch_add(1, Ordering::Relaxed);
                poll(world, &again);
            });
        }
        let (world, log) = world();
        drain(&world);
        let count = Arc::new(AtomicUsize::new(0));
        world.clock().touch();
        poll(&world, &count);
        drain(&world);
        assert_eq!(count.load(Ordering::Relaxed), 12);
        world.clock().after(Duration::from_secs(60), note(&log, "sure"));
        drain(&world);
        assert_eq!(*log.lock().unwrap(), ["sure"]);
        assert!(
            count.load(Ordering::Relaxed) >= 24,
            "polls go on while something is to come, and for a while after"
        );
        let stopped = count.load(Ordering::Relaxed);
        drain(&world);
        assert_eq!(count.load(Ordering::Relaxed), stopped);
    }

    #[test]
    fn advancing_runs_what_is_due_and_stands_at_the_end() {
        let (world, log) = world();
        drain(&world);
        let start = world.clock().elapsed();
        world.clock().after(Duration::from_secs(3), note(&log, "due"));
        world.clock().after(Duration::from_secs(30), note(&log, "not due"));
        world.clock().advance(&world, Duration::from_secs(10));
        assert_eq!(*log.lock().unwrap(), ["due"]);
        assert_eq!(world.clock().elapsed() - start, Duration::from_secs(10));
    }
}
