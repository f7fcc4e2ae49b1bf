//! A simulated OpenStack and management plane over real HTTP.
//!
//! Unmodified clients work against it. It is stricter than the real services: unknown fields, wrong microversions, deletes of
//! what is in use and stale versions are refused, and an unknown route answers 501 and names itself.
//! What it simulates and what it doesn't is listed in the crate's README.
//!
//! ```no_run
//! # async fn demo() -> Result<(), capstan_sandbox::Error> {
//! use capstan_sandbox::{Config, Sandbox};
//! let sandbox = Sandbox::start(Config::default()).await?;
//! std::fs::write("clouds.yaml", sandbox.clouds_yaml())?;
//! sandbox.shutdown().await;
//! # Ok(())
//! # }
//! ```

pub mod clock;
mod config;
mod control;
pub mod controllers;
pub mod faults;
mod http;
mod ids;
mod in_process;
mod inventory;
mod journal;
pub mod kubernetes;
pub mod openstack;
mod strangers;
mod world;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use crate::clock::Speed;
pub use crate::config::{Config, Timings};
pub use crate::faults::Faults;
pub use crate::ids::Ids;
pub use crate::in_process::{Cut, Service};
pub use crate::inventory::{Entry, Inventory};
pub use crate::journal::{Journal, Requests, Route, RouteCount};
pub use crate::world::World;

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address could not be listened on.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Input or output of the caller's failed (kept for `?` in examples and small programs).
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The address under which a sandbox without a listener appears in its own documents.
const IN_PROCESS: &str = "http://sandbox.invalid";

/// A running sandbox. Dropping it stops it.
pub struct Sandbox {
    world: World,
    address: SocketAddr,
    routes: Router,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Sandbox {
    /// Listens, seeds the world and starts its clock and controllers.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let wanted = config.listen;
        let in_listen = |source| Error::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(in_listen)?;
        let address = listener.local_addr().map_err(in_listen)?;
        let mut sandbox = Self::at(config, format!("http://{address}"));
        let serve = http::serve(listener, sandbox.routes.clone(), sandbox.stop.clone());
        sandbox.tasks.push(tokio::spawn(serve));
        sandbox.address = address;
        Ok(sandbox)
    }

    /// As [`Self::start`], but without a listener: requests come through [`Self::service`]. At [`Speed::Times`] of 1, in
    /// a runtime with one thread and paused time, everything that happens is decided by `Config::seed`.
    #[must_use]
    pub fn in_process(config: Config) -> Self {
        Self::at(config, IN_PROCESS.to_owned())
    }

    fn at(config: Config, base_url: String) -> Self {
        let (address, world) = (config.listen, World::new(config));
        world.set_base_url(base_url);
        controllers::start(&world);
        let drive = tokio::spawn(world.clock().clone().drive(world.clone()));
        let (routes, stop) = (http::routes(&world), CancellationToken::new());
        Self { world, address, routes, stop, tasks: vec![drive] }
    }

    /// The routes as a service, for clients in this process.
    #[must_use]
    pub fn service(&self) -> Service {
        Service::new(self.routes.clone(), self.stop.clone())
    }

    /// The world behind the routes, for tests that look behind them.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Where it listens; in process, where it would.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT/identity/v3`.
    #[must_use]
    pub fn auth_url(&self) -> String {
        format!("{}/identity/v3", self.world.base_url())
    }

    /// A kubeconfig for the management plane; its context is `sandbox`.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        kubernetes::kubeconfig(self.world.base_url())
    }

    /// A clouds.yaml with the cloud `sandbox`: password, project `demo`, region `RegionOne`.
    #[must_use]
    pub fn clouds_yaml(&self) -> String {
        control::clouds_yaml(self.world.base_url())
    }

    /// Every OpenStack resource of the project `demo`.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        Inventory::of(&self.world.openstack(), "demo")
    }

    /// Sets a limit of the project `demo`: `("compute", "cores", 4)`; -1 is no limit.
    pub fn set_quota(&self, service: &str, resource: &str, limit: i64) {
        // The project is part of the seed: it is there.
        let _ = self.world.openstack().set_quota("demo", service, resource, limit);
    }

    /// Makes resources of somebody else in the project `demo` that look like those of a cluster of this name, and tells which.
    ///
    /// # Errors
    /// As the services', e.g. if a quota is short or they are there already.
    pub fn plant_strangers(&self, name: &str) -> Result<Inventory, openstack::ApiError> {
        strangers::plant(&self.world, name)
    }

    /// What has been requested so far.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.world.journal().requests()
    }

    /// What is to go wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.world.faults()
    }

    /// Jumps to the next event and runs it; false if nothing is to come.
    pub fn step(&self) -> bool {
        self.world.clock().step(&self.world)
    }

    /// Runs events until nothing is to come.
    pub fn drain(&self) {
        while self.step() {}
    }

    /// Lets simulated time pass, running what is due in it.
    pub fn advance(&self, span: Duration) {
        self.world.clock().advance(&self.world, span);
    }

    /// Stops listening, closes every connection and stops the time.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            task.abort();
            // A task that was aborted ends with an error; that is what was asked for.
            let _ = task.await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
        for task in &self.tasks {
            task.abort();
        }
        controllers::stop(&self.world);
    }
}
