//! What Capstan costs: a creation beside `kubectl apply` of the very objects that it made.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::fleet::Shape;
use super::{Scene, bed, cloud, fleet, look};
use crate::run::output;

/// Kinds that Capstan applies for a cluster, in an order in which they may be made.
const KINDS: &str = "openstackclusters,openstackmachinetemplates,kubeadmconfigtemplates,kubeadmcontrolplanes,\
                     machinedeployments,machinehealthchecks,clusters.cluster.x-k8s.io";

/// What a creation may take, measured in `kubectl`'s: the median of several rounds, and a single one. One creation
/// differs from the next by more than 5 %, because the providers look again after fixed times of up to 15 seconds.
const MEDIAN_LIMIT: f64 = 1.05;
const SINGLE_LIMIT: f64 = 1.25;

pub(super) fn run(scene: &Scene) -> Result<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..scene.rounds {
        let (capstan, kubectl) = round(scene)?;
        println!(
            "creation of 1 + 1: capstan {capstan:.1} s, kubectl apply of the same objects {kubectl:.1} s"
        );
        ours.push(capstan);
        theirs.push(kubectl);
    }
    let ratio = median(ours) / median(theirs);
    let limit = if scene.rounds < 3 { SINGLE_LIMIT } else { MEDIAN_LIMIT };
    println!("capstan / kubectl: {ratio:.3} (median of {}, at most {limit})", scene.rounds);
    ensure!(ratio <= limit, "Capstan takes {:.0} % longer", (ratio - 1.0) * 100.0);
    Ok(())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The seconds of one creation by Capstan, and of one of the same objects by kubectl.
fn round(scene: &Scene) -> Result<(f64, f64)> {
    let capstan = scene.capstan();
    let shape = Shape::small("timing", "10.9.0.0/20");
    let name = shape.full_name();
    let before = scene.cloud.inventory()?;
    fleet::write_cluster(capstan.fleet(), &shape)?;
    let ours = capstan.expect(0, &["cluster", "create", shape.name, "--yes"])?.time;
    look::insist(&scene.bed, &scene.cloud, &shape)?;
    let objects: Vec<Value> = scene.bed.list(KINDS, &name)?.iter().filter_map(as_applied).collect();
    capstan.expect(0, &["cluster", "delete", shape.name, "--yes"])?;
    fleet::forget_cluster(capstan.fleet(), shape.name)?;
    scene.insist_on(&before)?;
    let theirs = by_kubectl(scene, &shape, &objects)?;
    scene.insist_on(&before)?;
    Ok((ours.as_secs_f64(), theirs.as_secs_f64()))
}

/// An object without what the API server and the controllers have added.
fn as_applied(object: &Value) -> Option<Value> {
    let labels = &object["metadata"]["labels"];
    labels.get("capstan.dev/cluster")?; // the controllers' own (templates' clones) have none
    let mut labels = labels.clone();
    if let Some(labels) = labels.as_object_mut() {
        labels.retain(|key, _| !key.contains("cluster.x-k8s.io/"));
    }
    let metadata = json!({
        "name": object["metadata"]["name"],
        "namespace": object["metadata"]["namespace"],
        "labels": labels,
    });
    let mut spec = object["spec"].clone();
    for given in ["controlPlaneEndpoint"] {
        if let Some(spec) = spec.as_object_mut() {
            spec.remove(given);
        }
    }
    Some(
        json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": metadata, "spec": spec}),
    )
}

/// Applies the objects with kubectl and tells how long it takes until the cluster is as Capstan left it.
fn by_kubectl(scene: &Scene, shape: &Shape, objects: &[Value]) -> Result<Duration> {
    let name = shape.full_name();
    // Server groups went with the cluster: new ones of the same names take their places.
    let mut groups = Vec::new();
    for group in group_names(objects) {
        let body = json!({"server_group": {"name": group, "policy": "soft-anti-affinity"}});
        let made = scene.cloud.post("compute", "/os-server-groups", &body)?;
        groups.push(cloud::text_of(&made["server_group"], "id"));
    }
    let credential = scene.bed.state.join("app-credential.yaml");
    let secret = format!("{name}-cloud-config");
    scene.bed.kubectl(&["create", "namespace", &name])?;
    let from = format!("--from-file=clouds.yaml={}", credential.display());
    scene.bed.kubectl(&["create", "secret", "generic", &secret, "--namespace", &name, &from])?;
    let file = scene.folder.join("by-kubectl.json");
    std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())?;

    let begin = Instant::now();
    output(scene.bed.inside("kubectl").args(["apply", "--server-side", "--filename"]).arg(&file))
        .context("kubectl apply")?;
    // One watching process: looking again and again would take the processor away from what is measured.
    let cluster = format!("clusters.cluster.x-k8s.io/{name}");
    scene.bed.kubectl(&[
        "wait",
        "--for=condition=Available",
        &cluster,
        "--namespace",
        &name,
        "--timeout=400s",
    ])?;
    bed::wait("the cluster of kubectl", Duration::from_secs(400), || {
        Ok(look::unsettled(&scene.bed, &name, shape)?.is_none())
    })?;
    let time = begin.elapsed();

    scene.bed.kubectl(&[
        "delete",
        "clusters.cluster.x-k8s.io",
        &name,
        "--namespace",
        &name,
        "--timeout=300s",
    ])?;
    scene.bed.kubectl(&["delete", "namespace", &name, "--timeout=60s"])?;
    for group in groups {
        scene.cloud.delete("compute", &format!("/os-server-groups/{group}"))?;
    }
    Ok(time)
}

/// The server groups that machine templates name.
fn group_names(objects: &[Value]) -> Vec<String> {
    let mut names: Vec<_> = objects
        .iter()
        .filter_map(|object| object["spec"]["template"]["spec"]["serverGroup"]["filter"]["name"].as_str())
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_capstan_applied_is_taken_and_bare() {
        let made = json!({"apiVersion": "v1", "kind": "K", "metadata": {"name": "a", "namespace": "n", "uid": "u", "ownerReferences": [],
            "labels": {"capstan.dev/cluster": "a", "cluster.x-k8s.io/cluster-name": "a"}},
            "spec": {"replicas": 1, "controlPlaneEndpoint": {"host": "x"}}, "status": {"ready": true}});
        let bare = as_applied(&made).unwrap();
        assert_eq!(
            bare["metadata"],
            json!({"name": "a", "namespace": "n", "labels": {"capstan.dev/cluster": "a"}})
        );
        assert_eq!(bare["spec"], json!({"replicas": 1}));
        assert!(bare.get("status").is_none());
        assert!(as_applied(&json!({"metadata": {"labels": {"other": "x"}}})).is_none());
    }

    #[test]
    fn server_groups_are_found_once() {
        let template =
            |name: &str| json!({"spec": {"template": {"spec": {"serverGroup": {"filter": {"name": name}}}}}});
        assert_eq!(group_names(&[template("b"), template("a"), template("b"), json!({})]), ["a", "b"]);
    }
}
