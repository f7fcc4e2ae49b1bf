//! A component that does what a test tells it to, and a log of what was called.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use capstan_core::plan::{ChangeClass, PlannedChange};
use capstan_engine::{
    Any, Component, Direction, Driver, Event, Events, Failure, StepCx, SystemClock, Verdict, erase,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// What happened, in order: `observe a`, `apply a:create`.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

type Script = dyn Fn(Direction, usize) -> Verdict<PlannedChange> + Send + Sync;
type Fault = dyn Fn(usize) -> Result<(), Failure> + Send + Sync;

/// A scripted component: its verdict depends on how many changes were applied so far.
pub(crate) struct Mock {
    name: &'static str,
    after: &'static [&'static str],
    log: Log,
    applied: Mutex<usize>,
    verdict: Box<Script>,
    fault: Box<Fault>,
    observe_takes: Duration,
    apply_takes: Duration,
}

impl Mock {
    /// Creates one thing, then it is in sync.
    pub(crate) fn new(name: &'static str, after: &'static [&'static str], log: &Log) -> Self {
        Self {
            name,
            after,
            log: Arc::clone(log),
            applied: Mutex::new(0),
            verdict: Box::new(move |direction, applied| match (direction, applied) {
                (Direction::Present, 0) => Verdict::Change(vec![change(name, ChangeClass::Creates)]),
                (Direction::Absent, 0) => Verdict::Change(vec![change(name, ChangeClass::Deletes)]),
                _ => Verdict::InSync,
            }),
            fault: Box::new(|_| Ok(())),
            observe_takes: Duration::ZERO,
            apply_takes: Duration::ZERO,
        }
    }

    pub(crate) fn verdict(
        mut self,
        script: impl Fn(Direction, usize) -> Verdict<PlannedChange> + Send + Sync + 'static,
    ) -> Self {
        self.verdict = Box::new(script);
        self
    }

    pub(crate) fn fault(
        mut self,
        fault: impl Fn(usize) -> Result<(), Failure> + Send + Sync + 'static,
    ) -> Self {
        self.fault = Box::new(fault);
        self
    }

    pub(crate) fn takes(mut self, observe: Duration, apply: Duration) -> Self {
        (self.observe_takes, self.apply_takes) = (observe, apply);
        self
    }

    pub(crate) fn any(self) -> Arc<dyn Any> {
        erase(self)
    }
}

pub(crate) fn change(name: &str, class: ChangeClass) -> PlannedChange {
    PlannedChange::new(name, name, class)
}

#[async_trait]
impl Component for Mock {
    type Seen = usize;
    type Change = PlannedChange;

    fn name(&self) -> &'static str {
        self.name
    }

    fn after(&self) -> &'static [&'static str] {
        self.after
    }

    async fn observe(&self, cx: &StepCx) -> Result<usize, Failure> {
        cx.clock().sleep(self.observe_takes).await;
        self.log.lock().unwrap().push(format!("observe {}", self.name));
        Ok(*self.applied.lock().unwrap())
    }

    fn plan(&self, direction: Direction, seen: &usize) -> Verdict<PlannedChange> {
        (self.verdict)(direction, *seen)
    }

    async fn apply(&self, change: &PlannedChange, cx: &StepCx) -> Result<(), Failure> {
        self.log.lock().unwrap().push(format!("apply {}", self.name));
        cx.progress(1, Some(2), "things");
        cx.clock().sleep(self.apply_takes).await;
        let mut applied = self.applied.lock().unwrap();
        (self.fault)(*applied)?;
        *applied += 1;
        self.log.lock().unwrap().push(format!("{} {}", change.class.verb(), self.name));
        Ok(())
    }
}

/// A driver with the handles that a test needs.
pub(crate) struct Rig {
    pub(crate) driver: Driver,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    pub(crate) cancel: CancellationToken,
    pub(crate) changed: watch::Sender<u64>,
}

pub(crate) fn rig(components: Vec<Arc<dyn Any>>, direction: Direction, deadline: Option<Duration>) -> Rig {
    let (sender, events) = Events::channel("subject");
    let cancel = CancellationToken::new();
    let (changed, receiver) = watch::channel(0);
    let driver = Driver {
        components,
        direction,
        clock: Arc::new(SystemClock::new()),
        events: sender,
        cancel: cancel.clone(),
        changed: receiver,
        deadline,
    };
    Rig { driver, events, cancel, changed }
}

pub(crate) fn drain(events: &mut mpsc::UnboundedReceiver<Event>) -> Vec<Event> {
    let mut all = Vec::new();
    while let Ok(event) = events.try_recv() {
        all.push(event);
    }
    all
}

pub(crate) fn taken(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}
