//! A sandbox with a prepared management plane, and runs of one cluster as processes of their own: each run connects anew
//! and knows nothing of the ones before.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use capstan_clusters::{Plane, Project, Subject, run};
use capstan_core::documents::{ResolvedCluster, Source, load};
use capstan_core::plan::Plan;
use capstan_engine::{Clock, Direction, Driver, Ended, Event, Events, RunReport, ScaledClock, Until};
use capstan_kube::connect::{Connection, Options as KubeOptions, Source as Kubeconfig, connect};
use capstan_kube::{Client, Kind};
use capstan_management::ManagementPlane;
use capstan_openstack::{Cloud, CloudConfig, Options};
use capstan_sandbox::{Config, Inventory, Sandbox};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How much faster than real time a run's clock goes: what waits 15 s on a cloud waits 75 ms here.
const FACTOR: f64 = 200.0;

/// The smallest cluster: one control plane, one worker.
pub(crate) const SMALL: &str = "{kubernetes: {version: v1.36.2}, nodeGroups: [{name: default, replicas: 1}]}";

/// A sandbox and a fleet in it.
pub(crate) struct Rig {
    pub(crate) sandbox: Sandbox,
    pub(crate) folder: PathBuf,
    /// The cloud's entry that runs use; a test may exchange it.
    pub(crate) cloud: CloudConfig,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let sandbox = Sandbox::start(config).await.unwrap();
        let cloud = CloudConfig::from_yaml(&sandbox.clouds_yaml(), "sandbox").unwrap();
        let rig = Self { sandbox, folder: PathBuf::from("."), cloud };
        rig.prepare().await;
        rig
    }

    /// What `capstan up` does.
    async fn prepare(&self) {
        let (fleet, _) = documents(SMALL, "");
        let plane = ManagementPlane::new(self.client().await, &fleet);
        let driver = Driver {
            components: plane.components(),
            direction: Direction::Present,
            clock: clock(),
            events: Events::none("fleet"),
            cancel: CancellationToken::new(),
            changed: watch::channel(0).1,
            deadline: Some(Duration::from_secs(600)),
        };
        let report = driver.run(Until::Settled).await;
        assert_eq!(report.ended, Ended::Settled, "{:?}", report.last);
    }

    pub(crate) async fn client(&self) -> Client {
        self.connection().await.client
    }

    async fn connection(&self) -> Connection {
        let options = KubeOptions::new(Kubeconfig::Text(self.sandbox.kubeconfig().into()));
        connect(&options).await.unwrap()
    }

    pub(crate) fn inventory(&self) -> Inventory {
        self.sandbox.inventory()
    }

    /// A new process: new connections, nothing remembered.
    pub(crate) async fn process(&self, spec: &str) -> Process {
        self.process_with(spec, "").await
    }

    /// As [`Self::process`], with more in the fleet's spec.
    pub(crate) async fn process_with(&self, spec: &str, fleet: &str) -> Process {
        let clock = clock();
        let (_, cluster) = documents(spec, fleet);
        let cloud = Cloud::connect(&self.cloud, openstack_options(&clock)).await.unwrap();
        let project = Project::new(cloud, Arc::clone(&clock));
        let plane = Plane::follow(self.connection().await, None).await.unwrap();
        let subject = Subject::new(cluster, plane, project, self.folder.clone(), Timestamp::now());
        let (events, received) = Events::channel("web");
        let settings = run::Settings {
            clock,
            events,
            cancel: CancellationToken::new(),
            // Two hundred times too fast: ten hours are three minutes of a busy machine.
            deadline: Some(Duration::from_secs(36_000)),
            holder: "test".to_owned(),
            is_dead: Arc::new(|_| true),
        };
        Process { subject, settings, received }
    }

    pub(crate) async fn apply(&self, spec: &str) -> RunReport {
        self.process(spec).await.run(Direction::Present).await
    }

    pub(crate) async fn delete(&self, spec: &str) -> RunReport {
        self.process(spec).await.run(Direction::Absent).await
    }

    pub(crate) async fn plan(&self, spec: &str) -> Plan {
        self.process(spec).await.plan(Direction::Present).await
    }

    /// Applies and expects that it comes to rest.
    pub(crate) async fn settle(&self, spec: &str) -> RunReport {
        let report = self.apply(spec).await;
        assert_eq!(report.ended, Ended::Settled, "{:#?}", report.last);
        report
    }

    /// Deletes and expects that nothing is left.
    pub(crate) async fn remove(&self, spec: &str) {
        let report = self.delete(spec).await;
        assert_eq!(report.ended, Ended::Settled, "{:#?}", report.last);
    }

    /// An object of the cluster's namespace.
    pub(crate) async fn object(&self, kind: &Kind, name: &str) -> Option<serde_json::Value> {
        let api = kind.api(self.client().await, Some("prod-web"));
        api.get_opt(name).await.unwrap().map(|object| serde_json::to_value(object).unwrap())
    }

    /// Names of the objects of a kind in the cluster's namespace.
    pub(crate) async fn names(&self, kind: &Kind) -> Vec<String> {
        let api = kind.api(self.client().await, Some("prod-web"));
        let list = api.list(&kube::api::ListParams::default()).await.unwrap();
        list.items.into_iter().filter_map(|object| object.metadata.name).collect()
    }
}

/// One run's view of the world.
pub(crate) struct Process {
    pub(crate) subject: Arc<Subject>,
    pub(crate) settings: run::Settings,
    pub(crate) received: mpsc::UnboundedReceiver<Event>,
}

impl Process {
    pub(crate) async fn run(&self, direction: Direction) -> RunReport {
        run::run(&self.subject, direction, self.settings.clone()).await.unwrap()
    }

    pub(crate) async fn plan(&self, direction: Direction) -> Plan {
        run::plan(&self.subject, direction, &self.settings).await.unwrap()
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(ScaledClock::new(FACTOR))
}

fn openstack_options(clock: &Arc<dyn Clock>) -> Options {
    Options { time: Arc::new(EngineTime(Arc::clone(clock))), ..Options::default() }
}

/// The engine's clock for pauses; the time of day stays real, as expiries are compared with it.
struct EngineTime(Arc<dyn Clock>);

impl std::fmt::Debug for EngineTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EngineTime")
    }
}

#[async_trait::async_trait]
impl capstan_openstack::Time for EngineTime {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }
}

fn documents(spec: &str, fleet: &str) -> (capstan_core::documents::Fleet, ResolvedCluster) {
    let fleet = format!(
        "apiVersion: capstan.dev/v1alpha1\nkind: Fleet\nmetadata: {{name: prod}}\nspec: {{management: {{runtime: existing}}{fleet}}}\n"
    );
    let document = format!(
        "apiVersion: capstan.dev/v1alpha1\nkind: WorkloadCluster\nmetadata: {{name: web}}\nspec: {spec}\n"
    );
    let sources = [Source::new("fleet.yaml", fleet), Source::new("clusters/web.yaml", document)];
    let mut loaded = load(&sources).unwrap_or_else(|problems| panic!("{problems:?}"));
    (loaded.fleet, loaded.clusters.remove(0))
}
