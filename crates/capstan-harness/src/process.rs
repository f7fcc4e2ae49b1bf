//! A process: new connections and an empty memory, as if `capstan` had just been started.

use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use capstan_clusters::{Plane, Project, Subject, images, run};
use capstan_core::documents::{Fleet, ResolvedCluster};
use capstan_core::plan::Plan;
use capstan_engine::{Clock, Direction, Driver, Ended, Event, Events, Failure, Outcome, RunReport, Until};
use capstan_kube::connect::{self, Connection};
use capstan_management::ManagementPlane;
use capstan_openstack::{Cloud, Options};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::wire::{Effect, Wire};
use crate::world::World;

/// How long a process goes on at most, in simulated time.
const DEADLINE: Duration = Duration::from_secs(1500);

/// What became of a process.
#[derive(Debug)]
pub enum End {
    /// It ran to its end.
    Report(RunReport),
    /// It could not begin, or a command failed.
    Failed(Why),
    /// It was killed.
    Killed,
}

/// An error as a user would see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The error and its causes.
    pub causes: Vec<String>,
    /// Ways out.
    pub hints: Vec<String>,
}

impl Why {
    fn of(failure: &Failure) -> Self {
        Self { causes: failure.causes(), hints: failure.hints().to_vec() }
    }

    fn error(error: &(dyn std::error::Error + 'static), hint: Option<String>) -> Self {
        let chain = std::iter::successors(Some(error), |error| error.source());
        Self { causes: chain.map(ToString::to_string).collect(), hints: hint.into_iter().collect() }
    }
}

impl End {
    /// Whether everything is as wanted.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Report(report) if report.ended == Ended::Settled)
    }

    /// How it ended, in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Failed(_) => "failed",
            Self::Report(report) => match report.ended {
                Ended::Settled => "settled",
                Ended::Blocked => "blocked",
                Ended::Failed => "failed",
                Ended::Deadline => "deadline",
                Ended::Cancelled => "cancelled",
            },
        }
    }

    /// What the user is told of what isn't as wanted: causes and ways out, one each.
    #[must_use]
    pub fn troubles(&self) -> Vec<Why> {
        let report = match self {
            Self::Killed => return vec![],
            Self::Failed(why) => return vec![why.clone()],
            Self::Report(report) => report,
        };
        let of = |outcome: &Outcome| match outcome {
            Outcome::Blocked { why, hint } => {
                Some(Why { causes: vec![why.clone()], hints: vec![hint.clone()] })
            }
            Outcome::Failed(failure) => Some(Why::of(failure)),
            Outcome::Waiting { on, .. } => {
                Some(Why { causes: vec![format!("waits for {on}")], hints: vec![] })
            }
            _ => None,
        };
        report.last.steps.iter().filter_map(|step| of(&step.outcome)).collect()
    }
}

/// How a process is treated.
#[derive(Debug, Clone, Default)]
pub struct Treatment {
    /// Killed at this call.
    pub kill: Option<(u32, Effect)>,
    /// Nobody learns that it was killed: its Lease has to run out.
    pub lingers: bool,
}

/// A process that has started but not connected.
pub struct Process<'world> {
    world: &'world World,
    holder: String,
    wire: Wire,
    treatment: Treatment,
}

/// What a process does when it is connected.
enum Work<'a> {
    Run(Direction),
    Plan(Direction, &'a mut Plan),
    Prune,
}

impl<'world> Process<'world> {
    /// Starts a process.
    #[must_use]
    pub fn start(world: &'world World, treatment: Treatment) -> Self {
        let (number, wire) = world.wire();
        if let Some((nth, effect)) = treatment.kill {
            wire.kill_at(nth, effect);
        }
        Self { world, holder: format!("capstan {number} on laptop"), wire, treatment }
    }

    /// So many calls were made.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.wire.calls()
    }

    /// `capstan cluster apply`, or `delete`.
    pub async fn run(&self, cluster: &ResolvedCluster, direction: Direction) -> End {
        self.live(Box::pin(self.work(cluster, Work::Run(direction)))).await
    }

    /// `capstan image prune`.
    pub async fn prune(&self, cluster: &ResolvedCluster) -> End {
        self.live(Box::pin(self.work(cluster, Work::Prune))).await
    }

    /// `capstan up`.
    pub async fn up(&self, fleet: &Fleet) -> End {
        self.live(Box::pin(self.prepare(fleet))).await
    }

    /// `capstan plan`.
    ///
    /// # Errors
    /// What a user would be told.
    pub async fn plan(&self, cluster: &ResolvedCluster, direction: Direction) -> Result<Plan> {
        let mut plan = Plan::default();
        match self.live(Box::pin(self.work(cluster, Work::Plan(direction, &mut plan)))).await {
            End::Report(_) => Ok(plan),
            other => Err(anyhow!("no plan: {other:?}")),
        }
    }

    /// Lives until the work is done or the process is killed: then everything that it holds is dropped at once.
    async fn live(&self, work: impl Future<Output = Result<RunReport, Why>>) -> End {
        let end = tokio::select! {
            biased;
            () = self.wire.killed() => End::Killed,
            done = work => match done {
                Ok(report) => End::Report(report),
                Err(why) => End::Failed(why),
            },
        };
        if matches!(end, End::Killed) && !self.treatment.lingers {
            self.world.bury(&self.holder);
        }
        end
    }

    async fn work(&self, cluster: &ResolvedCluster, work: Work<'_>) -> Result<RunReport, Why> {
        let plane = self.connect().await?;
        let plane = Plane::follow(plane, None).await.map_err(|error| {
            let hint = error.hint();
            Why::error(&error, hint)
        })?;
        let clock: Arc<dyn Clock> = Arc::new(self.world.time);
        let options = Options {
            time: Arc::new(self.world.time),
            random: Arc::new(self.world.chance.branch()),
            transport: Some(Arc::new(self.wire.clone())),
            ..Options::default()
        };
        let cloud = Cloud::connect(&self.world.cloud, options).await.map_err(|error| {
            let hint = error.hint();
            Why::error(&error, hint)
        })?;
        let project = Project::new(cloud, Arc::clone(&clock));
        let since = self.world.time.timestamp();
        let (events, received) = Events::channel(cluster.name());
        let heard = Heard { world: self.world, received };
        let subject = Subject::new(cluster.clone(), plane, project, &self.world.folder, since);
        let settings = run::Settings {
            clock,
            events,
            cancel: CancellationToken::new(),
            deadline: Some(DEADLINE),
            holder: self.holder.clone(),
            is_dead: self.is_dead(),
        };
        let failed = |failure: Failure| Why::of(&failure);
        let outcome = match work {
            Work::Run(direction) => run::run(&subject, direction, settings).await.map_err(failed),
            Work::Plan(direction, plan) => {
                *plan = run::plan(&subject, direction, &settings).await.map_err(failed)?;
                Ok(done(0))
            }
            Work::Prune => {
                let fleet = cluster.names.fleet();
                let unused = images::unused(&subject.project, &subject.plane, fleet).await.map_err(failed)?;
                for image in &unused {
                    images::delete(&subject.project, image).await.map_err(failed)?;
                }
                Ok(done(unused.len()))
            }
        };
        drop(heard);
        outcome
    }

    async fn prepare(&self, fleet: &Fleet) -> Result<RunReport, Why> {
        let connection = self.connect().await?;
        let (events, received) = Events::channel(fleet.metadata.name.clone());
        let _heard = Heard { world: self.world, received };
        let driver = Driver {
            components: ManagementPlane::new(connection.client, fleet).components(),
            direction: Direction::Present,
            clock: Arc::new(self.world.time),
            events,
            cancel: CancellationToken::new(),
            changed: watch::channel(0).1,
            deadline: Some(DEADLINE),
        };
        Ok(driver.run(Until::Settled).await)
    }

    async fn connect(&self) -> Result<Connection, Why> {
        let source = connect::Source::Text(self.world.sandbox.kubeconfig().into());
        let options =
            connect::Options { transport: Some(self.wire.kubernetes()), ..connect::Options::new(source) };
        let why = |error: connect::ConnectError| {
            let hint = error.hint();
            Why::error(&error, hint)
        };
        let connection = connect::connect(&options).await.map_err(why)?;
        connection.probe().await.map_err(why)?;
        Ok(connection)
    }

    fn is_dead(&self) -> run::IsDead {
        let dead = Arc::clone(&self.world.dead);
        Arc::new(move |holder| dead.lock().unwrap_or_else(PoisonError::into_inner).contains(holder))
    }
}

/// A run that did so many things, where there is no driver to tell.
fn done(applied: usize) -> RunReport {
    RunReport { ended: Ended::Settled, last: Default::default(), passes: 1, applied }
}

/// Keeps what a process tells, also when it is killed.
struct Heard<'world> {
    world: &'world World,
    received: mpsc::UnboundedReceiver<Event>,
}

impl Drop for Heard<'_> {
    fn drop(&mut self) {
        while let Ok(event) = self.received.try_recv() {
            self.world.note(&event);
        }
    }
}

/// The documents of a fleet with one cluster.
///
/// # Errors
/// The documents are not valid.
pub fn documents(spec: &str) -> Result<(Fleet, ResolvedCluster)> {
    let head = "apiVersion: capstan.dev/v1alpha1\n";
    let fleet =
        format!("{head}kind: Fleet\nmetadata: {{name: prod}}\nspec: {{management: {{runtime: existing}}}}\n");
    let cluster = format!("{head}kind: WorkloadCluster\nmetadata: {{name: web}}\nspec: {spec}\n");
    let sources = [
        capstan_core::documents::Source::new("fleet.yaml", fleet),
        capstan_core::documents::Source::new("clusters/web.yaml", cluster),
    ];
    let mut loaded = capstan_core::documents::load(&sources).map_err(|problems| anyhow!("{problems:?}"))?;
    let cluster = loaded.clusters.pop().context("the cluster's document")?;
    Ok((loaded.fleet, cluster))
}
