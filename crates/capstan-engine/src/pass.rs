//! One walk over the components of a subject. It never sleeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use capstan_core::plan::PlannedChange;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::clock::Clock;
use crate::component::{Any, Direction, ErasedChange, StepCx};
use crate::event::{EventKind, Events};
use crate::failure::Failure;
use crate::verdict::Verdict;

/// How often a component may plan changes within one pass before the pass goes on without it. Two rounds are normal
/// (apply, then see that it took effect); more are needed where one change makes room for the next.
const ROUNDS: usize = 4;

/// How a component's step ended.
#[derive(Debug)]
pub enum Outcome {
    /// As desired.
    Settled,
    /// Changes were applied, and more remain: pass again at once.
    Changed,
    /// See [`Verdict::Waiting`].
    Waiting {
        /// What it waits for.
        on: String,
        /// When to look again at the latest.
        recheck: Duration,
    },
    /// See [`Verdict::Blocked`].
    Blocked {
        /// What is wrong.
        why: String,
        /// The way out.
        hint: String,
    },
    /// The step failed.
    Failed(Failure),
    /// Not looked at: the named component isn't settled.
    Held {
        /// The component that holds this one back.
        by: &'static str,
    },
    /// The user wanted to stop before everything was applied.
    Cancelled,
}

/// What became of one component in one pass.
#[derive(Debug)]
pub struct StepReport {
    /// The component.
    pub component: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// So many changes were applied.
    pub applied: usize,
}

/// What became of all components in one pass, in the order in which they ended.
#[derive(Debug, Default)]
pub struct PassReport {
    /// One report a component.
    pub steps: Vec<StepReport>,
}

impl PassReport {
    /// Whether everything is as desired.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.steps.iter().all(|step| matches!(step.outcome, Outcome::Settled))
    }

    /// The report of one component.
    #[must_use]
    pub fn step(&self, component: &str) -> Option<&StepReport> {
        self.steps.iter().find(|step| step.component == component)
    }

    /// The number of changes that were applied.
    #[must_use]
    pub fn applied(&self) -> usize {
        self.steps.iter().map(|step| step.applied).sum()
    }
}

/// What one component would do.
#[derive(Debug)]
pub struct Planned {
    /// The component.
    pub component: &'static str,
    /// Its verdict, with the changes as lines of the plan; or why it could not be seen.
    pub verdict: Result<Verdict<PlannedChange>, Failure>,
}

/// A walk over components that are given with their order.
pub struct Pass<'a> {
    /// The components, in any order: `after` decides.
    pub components: &'a [Arc<dyn Any>],
    /// Whether the subject shall be there or gone.
    pub direction: Direction,
    /// The run's clock.
    pub clock: Arc<dyn Clock>,
    /// The user's wish to stop.
    pub cancel: CancellationToken,
    /// Where steps are announced.
    pub events: Events,
}

impl Pass<'_> {
    /// Observes, plans and applies, once.
    pub async fn run(&self) -> PassReport {
        let waits_for = self.waits_for();
        let mut report = PassReport::default();
        let mut settled = BTreeSet::new();
        let mut pending: BTreeMap<&'static str, &Arc<dyn Any>> =
            self.components.iter().map(|component| (component.name(), component)).collect();
        let mut running = FuturesUnordered::new();
        loop {
            for component in self.components {
                let name = component.name();
                let free = waits_for[name].iter().all(|earlier| settled.contains(earlier));
                if free && pending.remove(name).is_some() {
                    running.push(self.step(component));
                }
            }
            let Some(step) = running.next().await else { break };
            if matches!(step.outcome, Outcome::Settled) {
                settled.insert(step.component);
            }
            report.steps.push(step);
        }
        for component in self.components.iter().filter(|component| pending.contains_key(component.name())) {
            let name = component.name();
            let by =
                waits_for[name].iter().find(|earlier| !settled.contains(*earlier)).copied().unwrap_or(name);
            report.steps.push(StepReport { component: name, outcome: Outcome::Held { by }, applied: 0 });
        }
        report
    }

    /// Observes and plans, applies nothing. Components are asked one after another in their order, whether or not the
    /// earlier ones are settled: a plan shows all that would be done.
    pub async fn plan(&self) -> Vec<Planned> {
        let mut planned = Vec::new();
        for component in self.ordered() {
            let cx = self.cx(component.name(), true);
            let verdict = component.look(self.direction, &cx).await.map(|verdict| match verdict {
                Verdict::InSync => Verdict::InSync,
                Verdict::Waiting { on, recheck } => Verdict::Waiting { on, recheck },
                Verdict::Blocked { why, hint } => Verdict::Blocked { why, hint },
                Verdict::Change(changes) => {
                    Verdict::Change(changes.iter().map(|change| change.describe()).collect())
                }
            });
            planned.push(Planned { component: component.name(), verdict });
        }
        planned
    }

    /// For each component, those that must be settled before it. Teardown turns the arrows round.
    fn waits_for(&self) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
        let names: BTreeSet<_> = self.components.iter().map(|component| component.name()).collect();
        let mut waits_for: BTreeMap<_, BTreeSet<_>> =
            names.iter().map(|name| (*name, BTreeSet::new())).collect();
        for component in self.components {
            // A name that isn't part of this subject holds nothing back: subjects leave components out.
            for earlier in component.after().iter().filter(|earlier| names.contains(**earlier)) {
                let (later, earlier) = match self.direction {
                    Direction::Present => (component.name(), *earlier),
                    Direction::Absent => (*earlier, component.name()),
                };
                waits_for.entry(later).or_default().insert(earlier);
            }
        }
        waits_for
    }

    /// The components so that each stands behind those it waits for, otherwise as given.
    fn ordered(&self) -> Vec<&Arc<dyn Any>> {
        let waits_for = self.waits_for();
        let mut placed = BTreeSet::new();
        let mut ordered = Vec::new();
        while ordered.len() < self.components.len() {
            let before = ordered.len();
            for component in self.components {
                let name = component.name();
                if !placed.contains(name) && waits_for[name].iter().all(|earlier| placed.contains(earlier)) {
                    placed.insert(name);
                    ordered.push(component);
                }
            }
            if ordered.len() == before {
                // A circle is a programming error; the pass reports it as held, the plan shows them as given.
                ordered.extend(self.components.iter().filter(|component| !placed.contains(component.name())));
            }
        }
        ordered
    }

    fn cx(&self, component: &'static str, dry: bool) -> StepCx {
        let (clock, cancel, events) = (Arc::clone(&self.clock), self.cancel.clone(), self.events.clone());
        let cx = StepCx::new(clock, cancel, events, component, self.direction);
        if dry { cx.dry() } else { cx }
    }

    async fn step(&self, component: &Arc<dyn Any>) -> StepReport {
        let name = component.name();
        let cx = self.cx(name, false);
        let mut applied = 0;
        let outcome = self
            .settle(component, &cx, &mut applied)
            .instrument(tracing::debug_span!("step", component = name))
            .await
            .unwrap_or_else(Outcome::Failed);
        StepReport { component: name, outcome, applied }
    }

    async fn settle(
        &self,
        component: &Arc<dyn Any>,
        cx: &StepCx,
        applied: &mut usize,
    ) -> Result<Outcome, Failure> {
        for _ in 0..ROUNDS {
            if cx.is_cancelled() {
                return Ok(Outcome::Cancelled);
            }
            let changes = match component.look(self.direction, cx).await? {
                Verdict::InSync => return Ok(Outcome::Settled),
                Verdict::Waiting { on, recheck } => return Ok(Outcome::Waiting { on, recheck }),
                Verdict::Blocked { why, hint } => return Ok(Outcome::Blocked { why, hint }),
                Verdict::Change(changes) => changes,
            };
            if !apply_all(component.name(), &changes, cx, applied).await? {
                return Ok(Outcome::Cancelled);
            }
        }
        Ok(Outcome::Changed)
    }
}

/// Applies in order; stops between two changes, never within one, when the user wants to stop. Says whether all were
/// applied.
async fn apply_all(
    component: &'static str,
    changes: &[Box<dyn ErasedChange>],
    cx: &StepCx,
    applied: &mut usize,
) -> Result<bool, Failure> {
    let lines: Vec<_> = lines(changes).map(|change| headline(&change)).collect();
    if !lines.is_empty() {
        cx.announce(EventKind::StepStarted { component: component.to_owned(), changes: lines });
    }
    for change in changes {
        if cx.is_cancelled() {
            return Ok(false);
        }
        tracing::debug!(change = %headline(&change.describe()), at = ?cx.now(), "apply");
        change.apply(cx).await?;
        *applied += usize::from(!change.is_bookkeeping());
    }
    Ok(true)
}

/// The changes as lines of the plan.
fn lines(changes: &[Box<dyn ErasedChange>]) -> impl Iterator<Item = PlannedChange> {
    changes.iter().filter(|change| !change.is_bookkeeping()).map(|change| change.describe())
}

/// A change in one line: `create Cluster prod-web`.
fn headline(change: &PlannedChange) -> String {
    format!("{} {}", change.class.verb(), change.object)
}
