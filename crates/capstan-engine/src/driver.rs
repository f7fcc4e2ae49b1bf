//! Repeats passes on {timer, change, signal}: until the subject is settled (command line), or for ever (daemon).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::component::{Any, Direction};
use crate::event::{EventKind, Events, Reason, millis};
use crate::pass::{Outcome, Pass, PassReport, StepReport};

/// The first pause after a failure that may pass by itself; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two passes while something failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A change in the world is rarely alone: wait this long for the others.
const GATHER: Duration = Duration::from_millis(100);
/// How long a blocked run goes on while others only wait: what they wait for may be what is blocked.
const BLOCKED_GRACE: Duration = Duration::from_secs(30);
/// How often a settled subject is looked at in a daemon, even if nothing announced a change.
const RESYNC: Duration = Duration::from_secs(600);

/// When a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Settled, or nothing left that could go on without a person.
    Settled,
    /// Only when the run is cancelled.
    Cancelled,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// Everything is as desired.
    Settled,
    /// A person must act.
    Blocked,
    /// A step failed in a way that waiting doesn't mend.
    Failed,
    /// The deadline came first; the work goes on without us, the next run follows it.
    Deadline,
    /// The user wanted to stop.
    Cancelled,
}

/// What a run came to.
#[derive(Debug)]
pub struct RunReport {
    /// How it ended.
    pub ended: Ended,
    /// The last pass.
    pub last: PassReport,
    /// So many passes were made.
    pub passes: u64,
    /// So many changes were applied, over all passes.
    pub applied: usize,
}

/// Repeats passes over one subject.
pub struct Driver {
    /// The subject's components.
    pub components: Vec<Arc<dyn Any>>,
    /// Whether it shall be there or gone.
    pub direction: Direction,
    /// The run's clock.
    pub clock: Arc<dyn Clock>,
    /// Where steps are announced.
    pub events: Events,
    /// The user's wish to stop: it ends the run after the call at hand.
    pub cancel: CancellationToken,
    /// Ticks when something in the world changed. A sender that is gone means: timers only.
    pub changed: watch::Receiver<u64>,
    /// Measured from the start of the run, on the run's clock.
    pub deadline: Option<Duration>,
}

impl Driver {
    /// Runs passes until `until`.
    pub async fn run(mut self, until: Until) -> RunReport {
        let start = self.clock.now();
        let mut memory = Memory::default();
        let (mut passes, mut applied, mut pause) = (0, 0, FIRST_PAUSE);
        let mut confirmed_at_once = false;
        let mut blocked_since = None;
        let mut reason = Reason::Start;
        loop {
            passes += 1;
            self.events.send(self.clock.wall(), EventKind::PassStarted { pass: passes, reason });
            // What happened until now is seen by the pass that follows.
            self.changed.mark_unchanged();
            let report = self.pass().run().await;
            applied += report.applied();
            memory.announce(&report, &self.events, &*self.clock, start);
            let is_blocked = report.applied() == 0 && any_blocked(&report);
            blocked_since = is_blocked.then(|| blocked_since.unwrap_or_else(|| self.clock.now()));
            let ended = self.ended(&report, until, start, blocked_since);
            if let Some(ended) = ended {
                let elapsed = millis(self.clock.now().saturating_sub(start));
                self.events.send(self.clock.wall(), EventKind::Ended { how: ended, elapsed });
                return RunReport { ended, last: report, passes, applied };
            }
            pause = if needs_backoff(&report) { (pause * 2).min(LONGEST_PAUSE) } else { FIRST_PAUSE };
            let look = match report.is_settled() && report.applied() > 0 {
                // The first look at what was made costs no time; who never comes to rest gets no haste.
                true if !std::mem::replace(&mut confirmed_at_once, true) => Duration::ZERO,
                true => pause,
                false => next_look(&report, pause),
            };
            reason = self.wait(look, start).await;
        }
    }

    fn pass(&self) -> Pass<'_> {
        Pass {
            components: &self.components,
            direction: self.direction,
            clock: Arc::clone(&self.clock),
            cancel: self.cancel.clone(),
            events: self.events.clone(),
        }
    }

    fn ended(
        &self,
        report: &PassReport,
        until: Until,
        start: Duration,
        blocked_since: Option<Duration>,
    ) -> Option<Ended> {
        // Components run side by side: one may have looked before another one changed what it looks at. So only a pass
        // that changed nothing proves that everything is as desired.
        let is_settled = report.is_settled() && report.applied() == 0;
        if self.cancel.is_cancelled() {
            return Some(if is_settled { Ended::Settled } else { Ended::Cancelled });
        }
        if until == Until::Settled {
            if is_settled {
                return Some(Ended::Settled);
            }
            if !report.is_settled() && !report.steps.iter().any(|step| goes_on(&step.outcome)) {
                return Some(if any_blocked(report) { Ended::Blocked } else { Ended::Failed });
            }
            if blocked_since.is_some_and(|since| self.clock.now() >= since + BLOCKED_GRACE) {
                return Some(Ended::Blocked);
            }
        }
        let over = self.deadline.is_some_and(|deadline| self.clock.now() >= start + deadline);
        over.then_some(Ended::Deadline)
    }

    /// Waits for the first of timer, change, signal and deadline.
    async fn wait(&mut self, look: Duration, start: Duration) -> Reason {
        let left = self.deadline.map(|deadline| (start + deadline).saturating_sub(self.clock.now()));
        let look = left.map_or(look, |left| look.min(left));
        let clock = Arc::clone(&self.clock);
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Reason::Timer,
            () = tick(&mut self.changed) => {
                clock.sleep(GATHER).await;
                Reason::Change
            }
            () = clock.sleep(look) => if look.is_zero() { Reason::Progress } else { Reason::Timer },
        }
    }
}

/// Resolves at the next change; never, when nobody announces changes.
async fn tick(changed: &mut watch::Receiver<u64>) {
    if changed.changed().await.is_err() {
        std::future::pending().await
    }
}

fn any_blocked(report: &PassReport) -> bool {
    report.steps.iter().any(|step| matches!(step.outcome, Outcome::Blocked { .. }))
}

/// Whether something may come of waiting or of another pass.
fn goes_on(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Changed | Outcome::Waiting { .. } | Outcome::Cancelled => true,
        Outcome::Failed(failure) => failure.is_transient(),
        Outcome::Settled | Outcome::Blocked { .. } | Outcome::Held { .. } => false,
    }
}

/// A component that never comes to rest is not helped by haste, and a service in trouble neither.
fn needs_backoff(report: &PassReport) -> bool {
    if report.is_settled() {
        return report.applied() > 0;
    }
    report.steps.iter().any(|step| matches!(step.outcome, Outcome::Failed(_) | Outcome::Changed))
}

/// When to make the next pass if nothing announces a change before.
fn next_look(report: &PassReport, pause: Duration) -> Duration {
    report
        .steps
        .iter()
        .filter_map(|step| match &step.outcome {
            Outcome::Waiting { recheck, .. } => Some(*recheck),
            Outcome::Changed | Outcome::Failed(_) | Outcome::Blocked { .. } => Some(pause),
            Outcome::Settled | Outcome::Held { .. } | Outcome::Cancelled => None,
        })
        .min()
        .unwrap_or(RESYNC)
}

/// What was announced last of each component, so that a stream tells changes and not passes.
#[derive(Default)]
struct Memory {
    announced: HashMap<&'static str, EventKind>,
    applied: HashMap<&'static str, usize>,
}

impl Memory {
    fn announce(&mut self, report: &PassReport, events: &Events, clock: &dyn Clock, start: Duration) {
        for step in &report.steps {
            let applied = self.applied.entry(step.component).or_default();
            *applied += step.applied;
            let elapsed = millis(clock.now().saturating_sub(start));
            let Some(kind) = announcement(step, *applied, elapsed) else { continue };
            let known = self.announced.get(step.component).is_some_and(|last| same(last, &kind));
            if !known || step.applied > 0 {
                events.send(clock.wall(), kind.clone());
                self.announced.insert(step.component, kind);
            }
        }
    }
}

/// Two announcements that differ in their figures only are one.
fn same(last: &EventKind, next: &EventKind) -> bool {
    match (last, next) {
        (EventKind::StepDone { .. }, EventKind::StepDone { .. }) => true,
        _ => last == next,
    }
}

fn announcement(step: &StepReport, applied: usize, elapsed: u64) -> Option<EventKind> {
    let component = step.component.to_owned();
    Some(match &step.outcome {
        Outcome::Settled => EventKind::StepDone { component, changes: applied, elapsed },
        Outcome::Waiting { on, .. } => EventKind::Waiting { component, on: on.clone() },
        Outcome::Blocked { why, hint } => {
            EventKind::Blocked { component, why: why.clone(), hint: hint.clone() }
        }
        Outcome::Held { by } => EventKind::Held { component, by: (*by).to_owned() },
        Outcome::Failed(failure) => EventKind::Failed {
            component,
            causes: failure.causes(),
            hints: failure.hints().to_vec(),
            retried: failure.is_transient(),
        },
        Outcome::Changed => EventKind::Waiting { component, on: "its own changes to take effect".to_owned() },
        Outcome::Cancelled => return None,
    })
}
