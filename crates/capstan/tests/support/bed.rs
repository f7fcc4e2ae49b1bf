//! A sandbox with a fleet in it.

use capstan_sandbox::openstack::Resource as _;
use capstan_sandbox::openstack::identity::Login;
use capstan_sandbox::openstack::network::Port;
use capstan_sandbox::{Config, Sandbox, Speed};
use tokio::runtime::Runtime;

use super::Home;

const FLEET: &str = "\
apiVersion: capstan.dev/v1alpha1
kind: Fleet
metadata: {name: prod}
spec:
  cloud: {name: sandbox}
  management: {runtime: existing, kubeconfig: {path: kubeconfig}}
  defaults: {kubernetes: {version: \"1.36\"}}
";
pub(crate) const WEB: &str = "\
apiVersion: capstan.dev/v1alpha1
kind: WorkloadCluster
metadata: {name: web}
spec:
  controlPlane: {replicas: 1}
  nodeGroups:
    - {name: default, replicas: 2} # enough
";

/// A sandbox, and a home with a fleet of one cluster in it.
pub(crate) struct Bed {
    runtime: Runtime,
    pub(crate) sandbox: Sandbox,
    pub(crate) home: Home,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::at(Speed::Max)
    }

    /// One whose time goes so fast.
    pub(crate) fn at(speed: Speed) -> Self {
        let runtime = Runtime::new().unwrap();
        let config = Config { speed, ..Config::default() };
        let sandbox = runtime.block_on(Sandbox::start(config)).unwrap();
        let home = Home::new();
        home.write("clouds.yaml", sandbox.clouds_yaml());
        home.write("kubeconfig", sandbox.kubeconfig());
        home.write("fleet.yaml", FLEET);
        home.write("clusters/web.yaml", WEB);
        Self { runtime, sandbox, home }
    }

    /// One whose management plane is prepared.
    pub(crate) fn up() -> Self {
        let bed = Self::new();
        let _ = bed.home.run(&["up"]).expect(0);
        bed
    }

    /// So many resources of a kind the project has.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.sandbox.inventory().of_kind(kind).count()
    }

    /// Removes a port, as its owner does by hand.
    pub(crate) fn remove_port(&self, id: &str) {
        let mut cloud = self.sandbox.world().openstack();
        let demo = cloud.log_in(&Login::password("demo", "demo-password", "demo")).unwrap();
        Port::delete(&mut cloud, &demo, id).unwrap();
    }

    pub(crate) fn end(self) {
        self.runtime.block_on(self.sandbox.shutdown());
    }
}
