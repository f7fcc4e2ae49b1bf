//! `--faults`: the main job on the real services while Capstan is killed, services are restarted and answers get lost.
//! Whatever happens, the next run finishes the work: one of everything, what is somebody else's untouched, and in the
//! end the project as it was.

mod chance;
mod kills;
mod proxy;
mod restarts;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::capstan::{Capstan, Ended};
use super::cloud::{Inventory, text_of};
use super::fleet::Shape;
use super::{Scene, create, fleet, look};

pub(super) use chance::Chance;
pub(super) use kills::run as kills;
pub(super) use proxy::{run as behind_proxy, serve as serve_proxy};
pub(super) use restarts::run as restarts;

/// How often a run may have to be started again before it succeeds.
const MOST_RUNS: usize = 6;

/// One cluster from its document to its end, with strangers beside it.
struct Life<'a> {
    scene: &'a Scene,
    capstan: Capstan<'a>,
    shape: Shape,
    /// What the project holds apart from the cluster, the strangers included.
    before: Inventory,
    /// Service and path of each stranger, in the order in which they may go.
    strangers: Vec<(&'static str, String)>,
}

impl<'a> Life<'a> {
    fn new(scene: &'a Scene, name: &'static str, node_cidr: &'static str) -> Result<Self> {
        let capstan = scene.capstan();
        let shape = Shape::small(name, node_cidr);
        fleet::write_fleet(capstan.fleet(), &scene.bed)?;
        capstan.expect(0, &["up", "--yes"])?;
        fleet::write_cluster(capstan.fleet(), &shape)?;
        let strangers = strangers(scene, &shape.full_name())?;
        let before = scene.cloud.inventory()?;
        Ok(Self { scene, capstan, shape, before, strangers })
    }

    fn create(&self) -> [&'static str; 4] {
        ["cluster", "create", self.shape.name, "--yes"]
    }

    fn delete(&self) -> [&'static str; 4] {
        ["cluster", "delete", self.shape.name, "--yes"]
    }

    /// Runs `capstan` again and again until it succeeds; tells how often that was.
    fn until_done(&self, capstan: &Capstan<'_>, arguments: &[&str]) -> Result<usize> {
        for run in 1..=MOST_RUNS {
            let ended = capstan.run(arguments)?;
            if ended.code == Some(0) {
                return Ok(run);
            }
            is_orderly(&ended, arguments)?;
        }
        anyhow::bail!("`capstan {}` has not succeeded in {MOST_RUNS} runs", arguments.join(" "))
    }

    /// The cluster is there, once, and a second run has nothing to do.
    fn insist_on_cluster(&self) -> Result<()> {
        look::insist(&self.scene.bed, &self.scene.cloud, &self.shape)?;
        let made = self.scene.cloud.inventory()?;
        ensure!(
            made.lacks_nothing_of(&self.before),
            "somebody else's is gone:\n{}",
            missing(&made, &self.before)
        );
        create::insist_on_no_twins(&made.without(&self.before), &self.shape)?;
        self.capstan.expect(0, &["plan"])?;
        self.capstan.expect(0, &self.create())?;
        let again = self.scene.cloud.inventory()?;
        ensure!(again == made, "a second run has changed something:\n{}", again.since(&made).join("\n"));
        Ok(())
    }

    /// Nothing of the cluster is left, nothing else is gone, and a second deletion finds nothing to do.
    fn insist_on_end(&self) -> Result<()> {
        self.scene.insist_on(&self.before)?;
        let name = self.shape.full_name();
        let namespace =
            self.scene.bed.kubectl(&["get", "namespace", &name, "--ignore-not-found", "--output=name"])?;
        ensure!(namespace.is_empty(), "the namespace is still there");
        self.capstan.expect(0, &self.delete())?;
        self.scene.insist_on(&self.before)
    }

    /// Takes document and strangers away again.
    fn end(self) -> Result<()> {
        fleet::forget_cluster(self.capstan.fleet(), self.shape.name)?;
        for (service, path) in &self.strangers {
            self.scene.cloud.delete(service, path)?;
        }
        Ok(())
    }
}

/// A run that does not succeed says so with an exit code of its own, and is not killed by a signal or a panic.
fn is_orderly(ended: &Ended, arguments: &[&str]) -> Result<()> {
    let shown = arguments.join(" ");
    ensure!(
        matches!(ended.code, Some(1 | 3 | 4)),
        "`capstan {shown}` ended with {:?}\n{}",
        ended.code,
        ended.stdout
    );
    println!("`capstan {shown}` ended with {:?} after {:.1} s", ended.code, ended.time.as_secs_f64());
    Ok(())
}

fn missing(now: &Inventory, before: &Inventory) -> String {
    now.since(before).into_iter().filter(|line| line.starts_with('-')).collect::<Vec<_>>().join("\n")
}

/// Resources of a stranger whose names begin as those of the cluster: nobody may touch them. What a run that failed has
/// left of them is taken away first.
fn strangers(scene: &Scene, cluster: &str) -> Result<Vec<(&'static str, String)>> {
    let cloud = &scene.cloud;
    let other = format!("{cluster}2");
    let network = format!("k8s-clusterapi-cluster-{other}-{other}");
    let group = json!({"name": format!("{other}-blue"), "policy": "soft-anti-affinity"});
    let csi = json!({"cinder.csi.openstack.org/cluster": other});
    let volume = json!({"name": format!("{other}-pvc"), "size": 1, "metadata": csi});
    let wanted = [
        ("networks", "network", "/v2.0/networks", "network", json!({"name": network})),
        (
            "security groups",
            "network",
            "/v2.0/security-groups",
            "security_group",
            json!({"name": format!("{other}-workers")}),
        ),
        ("server groups", "compute", "/os-server-groups", "server_group", group),
        ("volumes", "block-storage", "/volumes", "volume", volume),
    ];
    let there = cloud.inventory()?;
    let mut made = Vec::new();
    for (kind, service, path, key, body) in wanted {
        for left in there.of_kind(kind).filter(|resource| resource.is_of(&other)) {
            cloud.delete(service, &format!("{path}/{}", left.id()))?;
        }
        let answer = cloud.post(service, path, &json!({ key: body })).context("make what is a stranger's")?;
        made.push((service, format!("{path}/{}", text_of(&answer[key], "id"))));
    }
    super::bed::wait("a stranger's volume is available", Duration::from_secs(60), || {
        let (service, path) = &made[made.len() - 1];
        Ok(cloud.get(service, path)?["volume"]["status"] == "available")
    })?;
    Ok(made)
}
