//! The one interface that everything implements which looks after a thing in the world.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use capstan_core::plan::PlannedChange;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::event::{EventKind, Events};
use crate::failure::Failure;
use crate::verdict::Verdict;

/// Whether the subject is to be there or to be gone. Teardown is not another set of functions: it is the same
/// components, planned for [`Absent`](Self::Absent) and walked against the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// As the documents say.
    Present,
    /// Gone, with everything that is proven to be its own.
    Absent,
}

/// Says of a change what it is, for the plan and for the display.
pub trait Describe {
    /// The change as a line of the plan.
    fn describe(&self) -> PlannedChange;

    /// Whether it is bookkeeping of our own, such as writing a status: done without a word, and no part of a plan.
    fn is_bookkeeping(&self) -> bool {
        false
    }
}

impl Describe for PlannedChange {
    fn describe(&self) -> PlannedChange {
        self.clone()
    }
}

/// Looks after one thing of a subject. Clients and documents live in the implementing struct.
///
/// Rules: `observe` writes nothing; `plan` is pure; `apply` may be killed at any moment and repeated: it finds what is
/// there by name, tag or label before it creates. There is no state but the world's.
#[async_trait]
pub trait Component: Send + Sync + 'static {
    /// What exists.
    type Seen: Send + Sync;
    /// A closed enum of what can be done about it.
    type Change: Describe + Send + Sync;

    /// The name, unique in its subject: `image`, `server groups`.
    fn name(&self) -> &'static str;

    /// The names of the components that must be settled before this one is looked at.
    fn after(&self) -> &'static [&'static str] {
        &[]
    }

    /// Finds what exists, by deterministic name, tag or label.
    ///
    /// # Errors
    /// What keeps it from seeing.
    async fn observe(&self, cx: &StepCx) -> Result<Self::Seen, Failure>;

    /// Compares. Pure.
    fn plan(&self, direction: Direction, seen: &Self::Seen) -> Verdict<Self::Change>;

    /// Makes one change.
    ///
    /// # Errors
    /// What kept it from doing so. The change may have had its effect all the same (a lost answer): the next
    /// observation tells.
    async fn apply(&self, change: &Self::Change, cx: &StepCx) -> Result<(), Failure>;
}

/// What the runner gives to a step: time, the wish to stop, and a way to tell how far it has come.
#[derive(Clone)]
pub struct StepCx {
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
    events: Events,
    component: &'static str,
    direction: Direction,
    dry: bool,
}

impl StepCx {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        cancel: CancellationToken,
        events: Events,
        component: &'static str,
        direction: Direction,
    ) -> Self {
        Self { clock, cancel, events, component, direction, dry: false }
    }

    pub(crate) fn dry(self) -> Self {
        Self { dry: true, ..self }
    }

    /// The clock of this run.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Whether the user wants to stop. A long step looks now and then and ends in an orderly way.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Resolves when the user wants to stop.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Whether the subject is to be there or gone, for components that need not look in one of the cases.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// Whether this is a plan: nothing is applied, and what earlier components would make is not there yet.
    #[must_use]
    pub const fn is_dry(&self) -> bool {
        self.dry
    }

    /// Tells how far a long change has come.
    pub fn progress(&self, done: u64, total: Option<u64>, unit: &str) {
        let component = self.component.to_owned();
        self.events
            .send(self.clock.wall(), EventKind::Progress { component, done, total, unit: unit.to_owned() });
    }

    /// Tells something that the user should know and that stops nothing.
    pub fn warn(&self, message: impl Into<String>) {
        let component = self.component.to_owned();
        self.events.send(self.clock.wall(), EventKind::Warned { component, message: message.into() });
    }

    pub(crate) fn announce(&self, kind: EventKind) {
        self.events.send(self.clock.wall(), kind);
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }
}

/// A component whose types are erased, so that different ones go into one list.
#[async_trait]
pub trait Any: Send + Sync + 'static {
    /// See [`Component::name`].
    fn name(&self) -> &'static str;
    /// See [`Component::after`].
    fn after(&self) -> &'static [&'static str];
    /// Observes and plans.
    ///
    /// # Errors
    /// As [`Component::observe`].
    async fn look(
        &self,
        direction: Direction,
        cx: &StepCx,
    ) -> Result<Verdict<Box<dyn ErasedChange>>, Failure>;
}

/// A change that knows how to apply itself.
#[async_trait]
pub trait ErasedChange: Send + Sync {
    /// The change as a line of the plan.
    fn describe(&self) -> PlannedChange;
    /// See [`Describe::is_bookkeeping`].
    fn is_bookkeeping(&self) -> bool;
    /// Makes the change.
    ///
    /// # Errors
    /// As [`Component::apply`].
    async fn apply(&self, cx: &StepCx) -> Result<(), Failure>;
}

/// Erases the types of a component.
pub fn erase<C: Component>(component: C) -> Arc<dyn Any> {
    Arc::new(Erased(Arc::new(component)))
}

struct Erased<C>(Arc<C>);

struct BoundChange<C: Component> {
    component: Arc<C>,
    change: C::Change,
}

#[async_trait]
impl<C: Component> Any for Erased<C> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn after(&self) -> &'static [&'static str] {
        self.0.after()
    }

    async fn look(
        &self,
        direction: Direction,
        cx: &StepCx,
    ) -> Result<Verdict<Box<dyn ErasedChange>>, Failure> {
        let seen = self.0.observe(cx).await?;
        Ok(match self.0.plan(direction, &seen) {
            Verdict::InSync => Verdict::InSync,
            Verdict::Waiting { on, recheck } => Verdict::Waiting { on, recheck },
            Verdict::Blocked { why, hint } => Verdict::Blocked { why, hint },
            Verdict::Change(changes) => Verdict::Change(
                changes
                    .into_iter()
                    .map(|change| {
                        Box::new(BoundChange { component: Arc::clone(&self.0), change })
                            as Box<dyn ErasedChange>
                    })
                    .collect(),
            ),
        })
    }
}

#[async_trait]
impl<C: Component> ErasedChange for BoundChange<C> {
    fn describe(&self) -> PlannedChange {
        self.change.describe()
    }

    fn is_bookkeeping(&self) -> bool {
        self.change.is_bookkeeping()
    }

    async fn apply(&self, cx: &StepCx) -> Result<(), Failure> {
        self.component.apply(&self.change, cx).await
    }
}
