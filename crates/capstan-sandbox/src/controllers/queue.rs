//! What the controllers have to look at.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::World;
use crate::clock::{Clock, EventId};
use crate::kubernetes::store::Event;

/// How many objects are looked at before requests get their turn.
const BATCH: usize = 32;

/// Whose API server a change is on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// The management plane's.
    Management,
    /// A workload cluster's: namespace and name of its `Cluster`.
    Workload(String, String),
}

/// An object to look at: where it is, its resource's id, its namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item {
    pub(crate) origin: Origin,
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Item {
    /// An object of the management plane.
    pub(crate) fn new(resource: &str, namespace: &str, name: &str) -> Self {
        let (resource, namespace, name) = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        Self { origin: Origin::Management, resource, namespace, name }
    }
}

/// The queue of the controllers.
pub(crate) struct Queue {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Changes that nobody has looked at.
    changes: VecDeque<(Origin, Event)>,
    items: VecDeque<Item>,
    queued: BTreeSet<Item>,
    timers: BTreeMap<Item, (Duration, EventId)>,
    /// Objects whose controller is slow, and that have waited for it.
    deferred: BTreeSet<Item>,
    /// An event of the clock is going to empty the queue.
    woken: bool,
}

impl Queue {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a change; called under the lock of the API server.
    pub(crate) fn changed(&self, origin: &Origin, event: &Event) {
        let mut state = self.state();
        state.changes.push_back((origin.clone(), event.clone()));
        self.wake(&mut state);
    }

    /// Puts an object into the queue, unless it is there.
    pub(crate) fn push(&self, item: Item) {
        let mut state = self.state();
        if state.queued.insert(item.clone()) {
            state.items.push_back(item);
            self.wake(&mut state);
        }
    }

    /// Puts an object into the queue later; of two such wishes the earlier counts. `sure`: time may jump there, because
    /// something is going to have happened (see [`Clock::after`]); else it is a look now and then ([`Clock::background`]).
    pub(crate) fn push_after(&self, item: Item, delay: Duration, sure: bool) {
        let due = self.clock.elapsed() + delay;
        let mut state = self.state();
        if let Some((earlier, timer)) = state.timers.get(&item) {
            if *earlier <= due {
                return;
            }
            self.clock.cancel(*timer);
        }
        let later = item.clone();
        let event = move |world: &World| {
            let queue = world.kubernetes().queue();
            queue.state().timers.remove(&later);
            queue.push(later);
        };
        let timer = if sure { self.clock.after(delay, event) } else { self.clock.background(delay, event) };
        state.timers.insert(item, (due, timer));
    }

    /// Puts off a look once: false if it was put off before, and is to be had now.
    pub(crate) fn defer(&self, item: &Item, delay: Duration) -> bool {
        let waited = {
            let mut state = self.state();
            state.deferred.remove(item) || !state.deferred.insert(item.clone())
        };
        if !waited {
            self.push_after(item.clone(), delay, true);
        }
        !waited
    }

    fn wake(&self, state: &mut State) {
        if !state.woken {
            state.woken = true;
            // Not an event that is sure to change something: retries for ever must not keep the time running for ever.
            self.clock.background(Duration::ZERO, |world| world.kubernetes().queue().run(world));
        }
    }

    /// Empties the queue, a batch at a time.
    fn run(&self, world: &World) {
        for _ in 0..BATCH {
            let Some(item) = self.next(world) else {
                return;
            };
            super::reconcile(world, &item);
        }
        let mut state = self.state();
        state.woken = false;
        self.wake(&mut state);
    }

    /// The next object to look at, after all changes so far were turned into such.
    fn next(&self, world: &World) -> Option<Item> {
        loop {
            let change = self.state().changes.pop_front();
            let Some((origin, event)) = change else { break };
            super::interest::of_change(world, &origin, &event, &mut |item| self.push(item));
        }
        let mut state = self.state();
        let item = state.items.pop_front();
        match &item {
            Some(item) => drop(state.queued.remove(item)),
            None => state.woken = false,
        }
        item
    }
}
