//! Renders clusters from documents alone, without a cloud: what `cargo xtask bench render` measures.
//!
//! ```text
//! render FILE...       the objects of every cluster in these documents, as a List in JSON
//! render --count N     renders N clusters, compares each object with itself, and tells the milliseconds
//! ```
//!
//! The most memory that the process held (KiB) is the last line of standard error, where the system tells it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::collections::BTreeMap;
use std::time::Instant;

use capstan_clusters::facts::{Facts, Flavor};
use capstan_clusters::render::{Input, objects};
use capstan_core::documents::{LoadedFleet, ResolvedCluster, Source, load};
use capstan_kube::diff::diff;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--count", count] => many(count.parse()?)?,
        _ => files(&arguments)?,
    }
    if let Some(line) = peak() {
        eprintln!("{line}");
    }
    Ok(())
}

fn files(paths: &[String]) -> Result<(), Failure> {
    let mut sources = Vec::new();
    for path in paths {
        sources.push(Source::new(path, std::fs::read(path)?));
    }
    let fleet = read(&sources)?;
    let mut items = Vec::new();
    for cluster in &fleet.clusters {
        let facts = facts(cluster);
        items.extend(render(cluster, &facts));
    }
    println!("{}", json!({"apiVersion": "v1", "kind": "List", "items": items}));
    Ok(())
}

fn many(count: usize) -> Result<(), Failure> {
    let mut sources = vec![Source::new(
        "fleet.yaml",
        "apiVersion: capstan.dev/v1alpha1\nkind: Fleet\nmetadata: {name: bench}\nspec: {management: {runtime: existing}}\n",
    )];
    for number in 0..count {
        let text = format!(
            "apiVersion: capstan.dev/v1alpha1\nkind: WorkloadCluster\nmetadata: {{name: c{number}}}\nspec:\n  \
             kubernetes: {{version: v1.36.2}}\n  controlPlane: {{replicas: 3}}\n  nodeGroups: [{{name: default, replicas: 3}}]\n"
        );
        sources.push(Source::new(format!("clusters/c{number}.yaml"), text));
    }
    let begin = Instant::now();
    let fleet = read(&sources)?;
    let read = begin.elapsed();
    let live: Vec<Vec<Value>> =
        fleet.clusters.iter().map(|cluster| render(cluster, &facts(cluster))).collect();

    let begin = Instant::now();
    let mut differences = 0;
    let mut compared = 0;
    for (cluster, live) in fleet.clusters.iter().zip(&live) {
        let facts = facts(cluster);
        for (desired, live) in render(cluster, &facts).iter().zip(live) {
            differences += usize::from(!diff(desired, live).is_empty());
            compared += 1;
        }
    }
    let time = begin.elapsed();
    if differences > 0 {
        return Err(format!("{differences} of {compared} objects differ from themselves").into());
    }
    println!(
        "{}",
        json!({"clusters": count, "objects": compared, "readMs": millis(read), "renderAndDiffMs": millis(time)})
    );
    Ok(())
}

fn read(sources: &[Source]) -> Result<LoadedFleet, Failure> {
    load(sources).map_err(|problems| problems.to_string().into())
}

fn render(cluster: &ResolvedCluster, facts: &Facts) -> Vec<Value> {
    objects(Input { names: &cluster.names, spec: &cluster.spec, facts }).iter().cloned().collect()
}

/// What a cloud would have said of the names in the document.
fn facts(cluster: &ResolvedCluster) -> Facts {
    let groups = cluster.spec.node_groups.iter().map(|group| &group.flavor);
    let flavors = groups.chain([&cluster.spec.control_plane.flavor]);
    let flavor = Flavor { vcpus: 2, ram_mib: 4096, disk_gib: 20 };
    Facts {
        version: cluster.spec.kubernetes.version,
        flavors: flavors.map(|name| (name.clone(), flavor)).collect::<BTreeMap<_, _>>(),
        image_min_disk_gib: 8,
        external_network: Some("6a8a1a4e-3b1c-4b0e-8a57-6f3a5d1f2c11".into()),
        existing_network: None,
        volume_zones_match: false,
    }
}

fn millis(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The most memory that this process has held.
fn peak() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().to_owned())
}
