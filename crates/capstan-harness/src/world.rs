//! A world: a sandbox with a stranger's resources in it, and the processes that work on it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use capstan_engine::Event;
use capstan_openstack::CloudConfig;
use capstan_sandbox::{Config, Inventory, Sandbox, Speed};

use crate::chance::Chance;
use crate::snapshot::Snapshot;
use crate::strangers;
use crate::time::{EPOCH, SteppedTime};
use crate::wire::{Call, Trace, Wire};

/// The sandbox and everything that is known of what happened in it.
pub struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) cloud: CloudConfig,
    pub(crate) time: SteppedTime,
    pub(crate) folder: PathBuf,
    /// Where processes draw from.
    pub(crate) chance: Chance,
    pub(crate) trace: Trace,
    /// Every event of every process, as a program would read it.
    pub(crate) events: RefCell<Vec<String>>,
    /// Holders of Leases that are known to be dead.
    pub(crate) dead: Arc<Mutex<BTreeSet<String>>>,
    /// What there was before the first process.
    pub(crate) before: Inventory,
    pub(crate) snapshot: Snapshot,
    seed: u64,
    processes: Cell<u32>,
}

impl World {
    /// A new world. `folder` is the fleet's, with the image's data in it.
    ///
    /// # Errors
    /// The strangers could not move in.
    pub async fn new(seed: u64, folder: &Path) -> Result<Self> {
        let time = SteppedTime::begin();
        let config = Config { speed: Speed::Times(1.0), seed, start: Some(EPOCH), ..Config::default() };
        let sandbox = Sandbox::in_process(config);
        let yaml = sandbox.clouds_yaml();
        let cloud = CloudConfig::from_yaml(&yaml, "sandbox").context("the sandbox's clouds.yaml")?;
        strangers::move_in(&sandbox).await.context("strangers move in")?;
        let snapshot = Snapshot::of(&sandbox).await?;
        let trace = Trace::default();
        trace.add_secret("demo-password");
        Ok(Self {
            before: sandbox.inventory(),
            snapshot,
            sandbox,
            cloud,
            time,
            folder: folder.to_owned(),
            chance: Chance::new(seed),
            trace,
            events: RefCell::default(),
            dead: Arc::default(),
            seed,
            processes: Cell::new(0),
        })
    }

    /// The sandbox.
    #[must_use]
    pub const fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Everything that was requested so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.trace.calls()
    }

    /// A wire for a new process.
    pub(crate) fn wire(&self) -> (u32, Wire) {
        let number = self.processes.get() + 1;
        self.processes.set(number);
        (number, Wire::new(self.sandbox.service(), self.time, self.seed, number, self.trace.clone()))
    }

    pub(crate) fn note(&self, event: &Event) {
        // Events are made to be written; one that cannot be would be a bug that the engine's own tests find.
        self.events.borrow_mut().push(serde_json::to_string(event).unwrap_or_default());
    }

    /// From now on everybody knows that this holder is dead.
    pub(crate) fn bury(&self, holder: &str) {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).insert(holder.to_owned());
    }
}
