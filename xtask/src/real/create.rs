//! A cluster comes to life, although Capstan is killed twice on the way.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jiff::Timestamp;
use serde_json::Value;

use super::cloud::Inventory;
use super::fleet::Shape;
use super::look::is_true;
use super::{Scene, fleet, look, save, timeline};

pub(super) fn run(scene: &Scene) -> Result<()> {
    let capstan = scene.capstan();
    let shape = scene.web();
    let name = shape.full_name();
    let left = scene.bed.kubectl(&["get", "namespace", &name, "--ignore-not-found", "--output=name"])?;
    ensure!(
        left.is_empty(),
        "a cluster of an earlier run is there: `cargo xtask real --no-up --stage delete` removes it"
    );

    fleet::write_fleet(capstan.fleet(), &scene.bed)?;
    capstan.expect(0, &["up", "--yes"])?;
    let before = scene.cloud.inventory()?;
    save(&scene.before(), &before)?;
    println!("inventory before: {}", before.counts());

    fleet::write_cluster(capstan.fleet(), &shape)?;
    let planned = capstan.expect(10, &["plan"])?;
    println!("{}", planned.stdout.trim_end());
    ensure!(scene.cloud.inventory()? == before, "`plan` has changed something");

    let begin = Timestamp::now();
    let started = Instant::now();
    let create = ["cluster", "create", shape.name, "--yes"];
    capstan.kill_when(&create, "the namespace is made", || {
        Ok(!scene
            .bed
            .kubectl(&["get", "namespace", &name, "--ignore-not-found", "--output=name"])?
            .is_empty())
    })?;
    capstan.kill_when(&create, "the network is under way", || {
        let clusters = scene.bed.list("openstackclusters", &name)?;
        Ok(clusters.iter().any(|cluster| !cluster["status"]["network"]["id"].is_null()))
    })?;
    let mut describes = Describes::default();
    let ended = capstan.run_with(&create, || describes.look(scene, &name))?;
    ended.insist(0, &create)?;
    println!("created in {:.1} s, two kills included", started.elapsed().as_secs_f64());

    println!("critical path (seconds since the first start):");
    for moment in timeline::read(&scene.bed, &name, begin)? {
        println!("  {:>6.0}  {}", moment.after, moment.what);
    }
    look::insist(&scene.bed, &scene.cloud, &shape)?;
    insist_on_no_twins(&scene.cloud.inventory()?.without(&before), &shape)?;

    let settled = capstan.expect(0, &["plan"])?;
    println!("plan afterwards: {}", settled.stdout.trim_end());
    let again = capstan.expect(0, &create)?;
    println!("the same once more: {:.1} s", again.time.as_secs_f64());
    Ok(())
}

/// What was killed and started again has made nothing twice. `made` is what came since before the cluster.
pub(super) fn insist_on_no_twins(made: &Inventory, shape: &Shape) -> Result<()> {
    let name = shape.full_name();
    for (kind, wanted) in [
        ("networks", 1),
        ("routers", 1),
        ("load balancers", 1),
        ("application credentials", 1),
        // One for the control plane, one for each group.
        ("server groups", 1 + shape.groups.len()),
    ] {
        let count = made.of_kind(kind).filter(|resource| resource.is_of(&name)).count();
        ensure!(count == wanted, "{count} {kind} of {name}, expected {wanted}");
    }
    Ok(())
}

/// Shows what `clusterctl describe cluster` says at the turns of the road.
#[derive(Default)]
struct Describes {
    infrastructure: bool,
    initialised: bool,
    last: Option<Instant>,
}

impl Describes {
    fn look(&mut self, scene: &Scene, name: &str) -> Result<()> {
        if self.last.is_some_and(|last| last.elapsed() < Duration::from_secs(2)) {
            return Ok(());
        }
        self.last = Some(Instant::now());
        let clusters = scene.bed.list("clusters.cluster.x-k8s.io", name)?;
        let cluster = clusters.first().unwrap_or(&Value::Null);
        for (seen, condition) in [
            (&mut self.infrastructure, "InfrastructureReady"),
            (&mut self.initialised, "ControlPlaneInitialized"),
        ] {
            if !*seen && is_true(cluster, condition) {
                *seen = true;
                println!(
                    "--- {condition}: clusterctl describe cluster {name}\n{}",
                    scene.bed.describe(name, name)?
                );
            }
        }
        Ok(())
    }
}
