//! The simulated world: one handle on everything, for the HTTP routes and for the controllers.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::Timestamp;

use crate::clock::Clock;
use crate::config::Config;
use crate::faults::Faults;
use crate::ids::Ids;
use crate::journal::Journal;
use crate::kubernetes::Kubernetes;
use crate::openstack::OpenStack;

/// A handle on the world; cheap to clone.
///
/// Locks: [`World::openstack`] and the Kubernetes store's are independent. Take one, or OpenStack inside Kubernetes, never the
/// other way round. Clock, ids, faults and journal are leaves and may be used under any lock.
#[derive(Clone)]
pub struct World {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    clock: Clock,
    ids: Ids,
    openstack: Mutex<OpenStack>,
    kubernetes: Kubernetes,
    faults: Faults,
    journal: Journal,
    base_url: OnceLock<String>,
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let clock = Clock::new(config.speed, config.start.unwrap_or_else(Timestamp::now));
        let ids = Ids::new(config.seed);
        let faults = Faults::default();
        let openstack = OpenStack::new(&config, clock.clone(), ids.clone(), faults.clone());
        let kubernetes = Kubernetes::new(clock.clone(), ids.clone(), faults.clone());
        let inner = Inner {
            clock,
            ids,
            openstack: Mutex::new(openstack),
            kubernetes,
            faults,
            journal: Journal::default(),
            base_url: OnceLock::new(),
            config,
        };
        let world = Self { inner: Arc::new(inner) };
        let inner = Arc::downgrade(&world.inner);
        world.faults().listen(move |fault, comes| {
            if let Some(inner) = inner.upgrade() {
                crate::controllers::fault_changed(&Self { inner }, fault, comes);
            }
        });
        world
    }

    /// How the sandbox was configured.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Simulated time and its queue of events.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The calendar time of the simulation.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Source of ids, deterministic given the seed.
    #[must_use]
    pub fn ids(&self) -> &Ids {
        &self.inner.ids
    }

    /// The OpenStack cloud, locked: create, list, change and delete in process as a client with `Actor` would.
    pub fn openstack(&self) -> MutexGuard<'_, OpenStack> {
        self.inner.openstack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Kubernetes objects of the management plane and of the workload clusters.
    #[must_use]
    pub fn kubernetes(&self) -> &Kubernetes {
        &self.inner.kubernetes
    }

    /// What has been asked to go wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// What has been requested over HTTP.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.inner.journal
    }

    /// `http://127.0.0.1:PORT`, empty until the sandbox listens.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.inner.base_url.get().map_or("", String::as_str)
    }

    pub(crate) fn set_base_url(&self, url: String) {
        // Set once, by `Sandbox::start`; a second call would change nothing.
        let _ = self.inner.base_url.set(url);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{Config, Sandbox};

    /// Thousands of worlds in one process must not add up.
    #[tokio::test]
    async fn a_world_goes_with_its_sandbox() {
        let sandbox = Sandbox::start(Config::default()).await.unwrap();
        let inner = Arc::downgrade(&sandbox.world().inner);
        let _ = sandbox.world().kubernetes().sessions().router(sandbox.world());
        sandbox.shutdown().await;
        assert_eq!(inner.strong_count(), 0);
    }
}
