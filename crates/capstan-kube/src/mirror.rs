//! A local copy of the objects of some kinds, kept current by one watch per kind.
//!
//! Reading it costs no request, so a quiet fleet costs the same however many clusters it has. It stays right when
//! the API server goes away (the copy is then marked stale, and since when), when the watch has fallen too far
//! behind (410: a new list), when a kind's CRD isn't installed (missing, looked for again now and then), and when
//! an own write is put in before the watch tells of it ([`Mirror::put`]).
//!
//! This is `kube::runtime::reflector` with three things that its watcher keeps to itself: the resource version of
//! lists and bookmarks (without it an own write can't be merged exactly), that a broken watch stands again
//! although nothing has changed, and a kind that doesn't exist.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::core::DynamicObject;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::{Error, Kind};

mod follow;
mod held;
mod shelf;

use follow::Follower;
use held::Recent;
use shelf::Shelf;

/// Which objects are mirrored.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The one namespace; `None`: all of them.
    pub namespace: Option<String>,
    /// A label selector, for example `capstan.dev/fleet=prod`.
    pub labels: Option<String>,
}

/// How well one kind is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The first list is under way.
    Starting,
    /// Listed, and the watch stands.
    Synced,
    /// The API server doesn't serve the kind.
    Missing,
    /// The connection is lost; the copy is as it was.
    Stale {
        /// Since when.
        since: Timestamp,
        /// Why.
        why: String,
    },
    /// The credential may not list or watch it.
    Refused {
        /// The server's words.
        why: String,
    },
    /// The credential isn't accepted (any more).
    Unauthorized {
        /// The server's words.
        why: String,
    },
}

impl State {
    /// What ends a wait for this kind; `None`: go on waiting.
    fn settled(&self) -> Option<Result<(), Error>> {
        match self {
            Self::Synced | Self::Missing => Some(Ok(())),
            Self::Refused { why } => Some(Err(Error::Forbidden { message: why.clone() })),
            Self::Unauthorized { why } => Some(Err(Error::Unauthorized { message: why.clone() })),
            Self::Starting | Self::Stale { .. } => None,
        }
    }
}

/// How many requests a mirror has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Lists (pages counted one by one).
    pub lists: u64,
    /// Watches that were opened.
    pub watches: u64,
}

/// States of all kinds of a mirror.
pub type States = BTreeMap<Kind, State>;

/// A local copy of the objects of some kinds. Clones share it; the last one that goes ends the watches.
#[derive(Clone)]
pub struct Mirror {
    shared: Arc<Shared>,
    _tasks: Arc<Tasks>,
}

impl std::fmt::Debug for Mirror {
    // The objects may be Secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirror").field("states", &*self.shared.states.borrow()).finish_non_exhaustive()
    }
}

struct Tasks(Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// What the mirror and its followers share.
struct Shared {
    shelves: RwLock<BTreeMap<Kind, Shelf>>,
    recent: Recent,
    states: watch::Sender<States>,
    subscribers: Mutex<Vec<Weak<Subscriber>>>,
    lists: AtomicU64,
    watches: AtomicU64,
}

impl Mirror {
    /// Starts to follow these kinds; returns at once (see [`Self::ready`]). Needs a tokio runtime.
    #[must_use]
    pub fn start(client: &Client, kinds: impl IntoIterator<Item = Kind>, options: &Options) -> Self {
        let kinds: BTreeSet<Kind> = kinds.into_iter().collect();
        let shared = Arc::new(Shared {
            shelves: RwLock::new(kinds.iter().map(|kind| (kind.clone(), Shelf::default())).collect()),
            recent: Recent::default(),
            states: watch::Sender::new(kinds.iter().map(|kind| (kind.clone(), State::Starting)).collect()),
            subscribers: Mutex::new(Vec::new()),
            lists: AtomicU64::new(0),
            watches: AtomicU64::new(0),
        });
        let tasks = kinds.into_iter().enumerate().map(|(index, kind)| {
            let follower = Follower::new(client.clone(), kind, options, Arc::clone(&shared), index);
            tokio::spawn(follower.run()).abort_handle()
        });
        let tasks = Arc::new(Tasks(tasks.collect()));
        Self { shared, _tasks: tasks }
    }

    /// Waits until every kind has been listed or is known to be missing. While the API server can't be reached this
    /// goes on waiting ([`Self::states`] tells why), so [`crate::connect::Connection::probe`] comes first.
    ///
    /// # Errors
    /// [`Error::Forbidden`] or [`Error::Unauthorized`] when the credential can't list or watch one of the kinds.
    pub async fn ready(&self) -> Result<(), Error> {
        self.settled(|_| true).await
    }

    /// As [`Self::ready`], of one kind.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn ready_kind(&self, kind: &Kind) -> Result<(), Error> {
        self.settled(|other| other == kind).await
    }

    async fn settled(&self, counts: impl Fn(&Kind) -> bool) -> Result<(), Error> {
        let mut states = self.shared.states.subscribe();
        loop {
            let mut waits = false;
            for (_, state) in states.borrow_and_update().iter().filter(|(kind, _)| counts(kind)) {
                match state.settled() {
                    Some(outcome) => outcome?,
                    None => waits = true,
                }
            }
            if !waits {
                return Ok(());
            }
            // The sender lives as long as `self`.
            if states.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    /// The object of this name; an empty namespace for kinds that have none.
    #[must_use]
    pub fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        let held = self.shared.read().get(kind)?.get(namespace, name)?;
        held.object(&self.shared.recent)
    }

    /// The objects of a kind, by namespace and name; of one namespace or of all.
    #[must_use]
    pub fn list(&self, kind: &Kind, namespace: Option<&str>) -> Vec<Arc<DynamicObject>> {
        // Parsed outside the lock.
        let held = self.shared.read().get(kind).map_or_else(Vec::new, |shelf| shelf.list(namespace));
        held.iter().filter_map(|held| held.object(&self.shared.recent)).collect()
    }

    /// Takes over an object that a write has returned, so that the next look sees it. What the watch has told that is
    /// newer stays, and so does a deletion that the watch has told already. `false`: nothing was taken over.
    pub fn put(&self, kind: &Kind, object: DynamicObject) -> bool {
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let taken = self.shared.write().get_mut(kind).is_some_and(|shelf| shelf.put(object));
        if taken {
            self.shared.announce([namespace]);
        }
        taken
    }

    /// How well each kind is known.
    #[must_use]
    pub fn states(&self) -> States {
        self.shared.states.borrow().clone()
    }

    /// Tells of every change of the states: losses, recoveries, kinds that turn up.
    #[must_use]
    pub fn watch_states(&self) -> watch::Receiver<States> {
        self.shared.states.subscribe()
    }

    /// Since when some kind isn't kept current, and why; `None` while all are.
    #[must_use]
    pub fn stale(&self) -> Option<(Timestamp, String)> {
        let states = self.shared.states.borrow();
        let losses = states.values().filter_map(|state| match state {
            State::Stale { since, why } => Some((*since, why.clone())),
            _ => None,
        });
        losses.min_by_key(|(since, _)| *since)
    }

    /// Tells from now on which namespaces have changed; of one namespace, or of all.
    #[must_use]
    pub fn subscribe(&self, namespace: Option<&str>) -> Changes {
        let subscriber = Arc::new(Subscriber {
            namespace: namespace.map(str::to_owned),
            pending: Mutex::new(BTreeSet::new()),
            wake: Notify::new(),
        });
        let mut subscribers = locked(&self.shared.subscribers);
        subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        subscribers.push(Arc::downgrade(&subscriber));
        Changes { subscriber }
    }

    /// Returns at the next change of anything. Who must not miss one takes [`Self::subscribe`] before looking.
    pub async fn changed(&self) {
        self.subscribe(None).next().await;
    }

    /// Counts of the requests made so far.
    #[must_use]
    pub fn requests(&self) -> Requests {
        Requests {
            lists: self.shared.lists.load(Ordering::Relaxed),
            watches: self.shared.watches.load(Ordering::Relaxed),
        }
    }
}

/// One listener's view of what has changed; changes while it doesn't listen are collected, once per namespace.
#[derive(Debug)]
pub struct Changes {
    subscriber: Arc<Subscriber>,
}

#[derive(Debug)]
struct Subscriber {
    namespace: Option<String>,
    pending: Mutex<BTreeSet<String>>,
    wake: Notify,
}

impl Changes {
    /// The namespaces that have changed since the last call; waits for the first. Kinds without namespaces count as
    /// the namespace "".
    pub async fn next(&mut self) -> BTreeSet<String> {
        loop {
            let pending = std::mem::take(&mut *locked(&self.subscriber.pending));
            if !pending.is_empty() {
                return pending;
            }
            // A permit is kept when the notification comes first.
            self.subscriber.wake.notified().await;
        }
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Kind, Shelf>> {
        self.shelves.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Kind, Shelf>> {
        self.shelves.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the listeners of these namespaces.
    fn announce(&self, namespaces: impl IntoIterator<Item = String>) {
        let subscribers: Vec<_> = locked(&self.subscribers).iter().filter_map(Weak::upgrade).collect();
        for namespace in namespaces {
            for subscriber in &subscribers {
                if subscriber
                    .namespace
                    .as_ref()
                    .is_none_or(|wanted| *wanted == namespace || namespace.is_empty())
                {
                    locked(&subscriber.pending).insert(namespace.clone());
                    subscriber.wake.notify_one();
                }
            }
        }
    }

    fn set_state(&self, kind: &Kind, state: State) {
        self.states.send_if_modified(|states| match (states.get(kind), &state) {
            // The first loss counts; what comes after is the same loss.
            (Some(State::Stale { .. }), State::Stale { .. }) => false,
            (Some(old), new) if old == new => false,
            _ => {
                states.insert(kind.clone(), state.clone());
                true
            }
        });
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often a kind that the server doesn't serve is looked for.
const LOOK_FOR_MISSING: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
