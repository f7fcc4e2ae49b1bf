//! Whole lives of clusters in the sandbox at full speed, through plain API calls: one after another, and many at once.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use ureq::Agent;

use super::sandboxed::Sandboxed;
use super::upload::peak;
use super::{Figure, median};
use crate::run::pause;

const RUNS: usize = 11;
const MANY: usize = 1000;
/// Longer than anything may take.
const PATIENCE: Duration = Duration::from_secs(600);

const CLUSTERS: &str = "/apis/cluster.x-k8s.io/v1beta2/clusters";

pub(super) fn run(binary: &Path) -> Result<Vec<Figure>> {
    let plane = Plane::start(binary, "clusters")?;
    let mut times = Vec::new();
    for number in 0..RUNS {
        let begin = Instant::now();
        plane.create(number)?;
        plane.wait(Duration::from_millis(2), |all, available| all == 1 && available == 1)?;
        plane.delete(number)?;
        plane.wait(Duration::from_millis(2), |all, _| all == 0)?;
        times.push(begin.elapsed());
    }
    drop(plane);
    let one =
        Figure::new("sandbox: a cluster of 1 + 1 from create over Available to gone", median(times), "ms");

    let plane = Plane::start(binary, "many-clusters")?;
    let begin = Instant::now();
    for number in 0..MANY {
        plane.create(number)?;
    }
    plane.wait(Duration::from_millis(200), |_, available| available == MANY)?;
    let available = begin.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "kibibytes of a process")]
    let memory = peak(plane.sandbox.pid()).context("the sandbox is gone")? as f64 / 1024.0;
    for number in 0..MANY {
        plane.delete(number)?;
    }
    plane.wait(Duration::from_millis(200), |all, _| all == 0)?;
    Ok(vec![
        one.at_most(100.0),
        Figure::new(format!("sandbox: {MANY} clusters at once to Available"), available, "s").at_most(60.0),
        Figure::new(format!("sandbox: memory at most with {MANY} clusters"), memory, "MiB").at_most(1024.0),
        Figure::new(
            format!("sandbox: {MANY} clusters, and all of them gone again"),
            begin.elapsed().as_secs_f64(),
            "s",
        ),
    ])
}

/// A sandbox without quotas, and its management plane.
struct Plane {
    sandbox: Sandboxed,
    agent: Agent,
    base: String,
    authorization: String,
    clouds: String,
}

impl Plane {
    fn start(binary: &Path, name: &str) -> Result<Self> {
        let sandbox = Sandboxed::start(binary, name)?;
        let kubeconfig = std::fs::read_to_string(sandbox.kubeconfig())?;
        let value = |key: &str| {
            let found = kubeconfig.lines().find_map(|line| line.trim().strip_prefix(key));
            found.map(str::to_owned).with_context(|| format!("the kubeconfig has no `{key}`"))
        };
        let (server, token) = (value("server: ")?, value("token: ")?);
        let host = server.rsplit('@').next().and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let clouds = std::fs::read_to_string(sandbox.clouds())?;
        let base = format!("http://{host}");
        let plane = Self {
            sandbox,
            agent: Agent::new_with_defaults(),
            base,
            authorization: format!("Bearer {token}"),
            clouds,
        };
        for (service, resources) in [
            ("compute", &["instances", "cores", "ram"][..]),
            (
                "network",
                &[
                    "network",
                    "subnet",
                    "port",
                    "router",
                    "floatingip",
                    "security_group",
                    "security_group_rule",
                ],
            ),
            ("load-balancer", &["loadbalancer", "listener", "pool", "member", "healthmonitor"]),
        ] {
            for resource in resources {
                let quota = json!({"service": service, "resource": resource, "limit": -1});
                plane.agent.put(format!("{}/_sandbox/quotas", plane.base)).send_json(&quota)?;
            }
        }
        Ok(plane)
    }

    fn post(&self, path: &str, object: &Value) -> Result<()> {
        let request = self.agent.post(format!("{}/kubernetes{path}", self.base));
        request.header("authorization", &self.authorization).send_json(object).context(path.to_owned())?;
        Ok(())
    }

    fn create(&self, number: usize) -> Result<()> {
        let name = format!("c{number}");
        self.post("/api/v1/namespaces", &json!({"metadata": {"name": name}}))?;
        for (path, object) in manifests(&name, &self.clouds) {
            self.post(&path, &object)?;
        }
        Ok(())
    }

    fn delete(&self, number: usize) -> Result<()> {
        let path = format!("/apis/cluster.x-k8s.io/v1beta2/namespaces/c{number}/clusters/c{number}");
        let request = self.agent.delete(format!("{}/kubernetes{path}", self.base));
        request.header("authorization", &self.authorization).call().context(path)?;
        Ok(())
    }

    /// Looks at the clusters now and then until their number, and the number of those that are available, is right.
    fn wait(&self, every: Duration, done: impl Fn(usize, usize) -> bool) -> Result<()> {
        let begin = Instant::now();
        loop {
            let request = self.agent.get(format!("{}/kubernetes{CLUSTERS}?includeObject=None", self.base));
            let request = request.header("authorization", &self.authorization);
            let table: Value = request
                .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
                .call()?
                .body_mut()
                .with_config()
                .limit(1 << 30)
                .read_json()?;
            let columns = table["columnDefinitions"].as_array().map_or(&[][..], Vec::as_slice);
            let column =
                columns.iter().position(|column| column["name"] == "Available").context("a column")?;
            let rows = table["rows"].as_array().map_or(&[][..], Vec::as_slice);
            let available = rows.iter().filter(|row| row["cells"][column] == "True").count();
            if done(rows.len(), available) {
                return Ok(());
            }
            ensure!(begin.elapsed() < PATIENCE, "{available} of {} clusters are available", rows.len());
            pause(every);
        }
    }
}

/// A cluster of one control plane and one worker, each object with where it is created.
fn manifests(name: &str, clouds: &str) -> Vec<(String, Value)> {
    const CORE: &str = "cluster.x-k8s.io";
    const INFRASTRUCTURE: &str = "infrastructure.cluster.x-k8s.io";
    let (plane, group) = (format!("{name}-control-plane"), format!("{name}-md-0"));
    let infrastructure =
        |kind: &str, name: &str| json!({"apiGroup": INFRASTRUCTURE, "kind": kind, "name": name});
    let template = json!({"template": {"spec": {"flavor": "SCS-2V-4-20s",
        "image": {"filter": {"name": "ubuntu-capi-image-v1.36.2"}}}}});
    let object = |group: &str, version: &str, kind: &str, named: &str, spec: Value| {
        let path = format!("/apis/{group}/{version}/namespaces/{name}/{}s", kind.to_lowercase());
        let metadata = json!({"name": named, "namespace": name});
        (
            path,
            json!({"apiVersion": format!("{group}/{version}"), "kind": kind, "metadata": metadata, "spec": spec}),
        )
    };
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cloud", "namespace": name},
        "stringData": {"clouds.yaml": clouds}});
    vec![
        (format!("/api/v1/namespaces/{name}/secrets"), secret),
        object(
            CORE,
            "v1beta2",
            "Cluster",
            name,
            json!({"infrastructureRef": infrastructure("OpenStackCluster", name),
            "controlPlaneRef": {"apiGroup": "controlplane.cluster.x-k8s.io", "kind": "KubeadmControlPlane", "name": plane}}),
        ),
        object(
            INFRASTRUCTURE,
            "v1beta1",
            "OpenStackCluster",
            name,
            json!({"identityRef": {"name": "cloud", "cloudName": "sandbox"},
            "apiServerLoadBalancer": {"enabled": true}, "managedSubnets": [{"cidr": "10.6.0.0/24"}],
            "managedSecurityGroups": {"allowAllInClusterTraffic": true}, "externalNetwork": {"filter": {"name": "public"}}}),
        ),
        object(
            "controlplane.cluster.x-k8s.io",
            "v1beta2",
            "KubeadmControlPlane",
            &plane,
            json!({"replicas": 1, "version": "v1.36.2",
            "machineTemplate": {"spec": {"infrastructureRef": infrastructure("OpenStackMachineTemplate", &plane)}},
            "kubeadmConfigSpec": {}}),
        ),
        object(INFRASTRUCTURE, "v1beta1", "OpenStackMachineTemplate", &plane, template.clone()),
        object(
            CORE,
            "v1beta2",
            "MachineDeployment",
            &group,
            json!({"clusterName": name, "replicas": 1, "selector": {"matchLabels": {}},
            "template": {"spec": {"clusterName": name, "version": "v1.36.2",
                "infrastructureRef": infrastructure("OpenStackMachineTemplate", &group),
                "bootstrap": {"configRef": {"apiGroup": "bootstrap.cluster.x-k8s.io", "kind": "KubeadmConfigTemplate", "name": group}}}}}),
        ),
        object(
            "bootstrap.cluster.x-k8s.io",
            "v1beta2",
            "KubeadmConfigTemplate",
            &group,
            json!({"template": {"spec": {"joinConfiguration": {}}}}),
        ),
        object(INFRASTRUCTURE, "v1beta1", "OpenStackMachineTemplate", &group, template),
    ]
}
