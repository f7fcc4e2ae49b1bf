//! What is there, seen with other eyes than Capstan's: Kubernetes objects through kubectl, servers through Nova.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::bed::Bed;
use super::cloud::{Cloud, text_of};
use super::fleet::Shape;

/// Whether a condition of an object is true.
pub(super) fn is_true(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    conditions.iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// Whether the cluster of `name` is as `shape` says, up to "every node is ready"; with the first thing that is not.
pub(super) fn unsettled(bed: &Bed, name: &str, shape: &Shape) -> Result<Option<String>> {
    let kinds = "clusters.cluster.x-k8s.io,kubeadmcontrolplanes,machinedeployments,machines";
    Ok(first_difference(&bed.list(kinds, name)?, shape))
}

fn first_difference(objects: &[Value], shape: &Shape) -> Option<String> {
    let of = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
    let cluster = of("Cluster").next();
    if !cluster.is_some_and(|cluster| is_true(cluster, "Available")) {
        return Some("the Cluster is not Available".into());
    }
    let Some(plane) = of("KubeadmControlPlane").next() else {
        return Some("there is no control plane".into());
    };
    let wanted = shape.control_planes;
    for count in ["replicas", "readyReplicas", "upToDateReplicas", "availableReplicas"] {
        if plane["status"][count] != wanted {
            return Some(format!("control plane: {count} is {}, not {wanted}", plane["status"][count]));
        }
    }
    if of("MachineDeployment").count() != shape.groups.len() {
        return Some(format!(
            "{} MachineDeployments, not {}",
            of("MachineDeployment").count(),
            shape.groups.len()
        ));
    }
    for group in &shape.groups {
        let deployment = of("MachineDeployment")
            .find(|d| text_of(&d["metadata"], "name").ends_with(&format!("-{}", group.name)));
        let Some(deployment) = deployment else {
            return Some(format!("no MachineDeployment for group {}", group.name));
        };
        for count in ["replicas", "readyReplicas", "upToDateReplicas", "availableReplicas"] {
            if deployment["status"][count].as_u64().unwrap_or(0) != group.replicas {
                return Some(format!(
                    "group {}: {count} is {}, not {}",
                    group.name, deployment["status"][count], group.replicas
                ));
            }
        }
    }
    let machines: Vec<_> = of("Machine").collect();
    if machines.len() as u64 != wanted + shape.workers() {
        return Some(format!("{} machines, not {}", machines.len(), wanted + shape.workers()));
    }
    let other = machines.iter().find(|m| m["spec"]["version"] != shape.version || !is_true(m, "NodeReady"));
    other.map(|machine| {
        format!(
            "machine {} is {}, or its node is not ready",
            text_of(&machine["metadata"], "name"),
            machine["spec"]["version"]
        )
    })
}

/// Insists on it, and on the servers having the flavors of the shape.
pub(super) fn insist(bed: &Bed, cloud: &Cloud, shape: &Shape) -> Result<()> {
    let name = shape.full_name();
    let difference = unsettled(bed, &name, shape)?;
    ensure!(difference.is_none(), "Capstan says it is done, but: {}", difference.unwrap_or_default());
    let mut wanted = BTreeMap::from([(super::fleet::SMALL.to_owned(), shape.control_planes)]);
    for group in &shape.groups {
        *wanted.entry(group.flavor.to_owned()).or_default() += group.replicas;
    }
    let mut found = BTreeMap::<String, u64>::new();
    let servers = cloud.get("compute", "/servers/detail")?;
    let all = servers["servers"].as_array().map_or(&[][..], Vec::as_slice);
    for server in all.iter().filter(|server| text_of(server, "name").starts_with(&format!("{name}-"))) {
        *found.entry(text_of(&server["flavor"], "original_name")).or_default() += 1;
    }
    ensure!(found == wanted, "servers by flavor: {found:?}, expected {wanted:?}");
    println!(
        "seen with other eyes: {} control planes and {} workers, {}, {found:?}",
        shape.control_planes,
        shape.workers(),
        shape.version
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn objects() -> Vec<Value> {
        let counts =
            json!({"replicas": 1, "readyReplicas": 1, "upToDateReplicas": 1, "availableReplicas": 1});
        let machine = |name: &str| {
            json!({"kind": "Machine", "metadata": {"name": name}, "spec": {"version": "v1.36.2"},
                "status": {"conditions": [{"type": "NodeReady", "status": "True"}]}})
        };
        vec![
            json!({"kind": "Cluster", "metadata": {"name": "real-web"}, "status": {"conditions": [{"type": "Available", "status": "True"}]}}),
            json!({"kind": "KubeadmControlPlane", "metadata": {"name": "real-web-control-plane"}, "status": counts}),
            json!({"kind": "MachineDeployment", "metadata": {"name": "real-web-blue"}, "status": counts}),
            machine("a"),
            machine("b"),
        ]
    }

    #[test]
    fn what_is_missing_is_named() {
        let shape = Shape::small("web", "10.8.0.0/20");
        assert_eq!(first_difference(&objects(), &shape), None);
        let mut rolling = objects();
        rolling[2]["status"]["upToDateReplicas"] = json!(0);
        assert_eq!(first_difference(&rolling, &shape).unwrap(), "group blue: upToDateReplicas is 0, not 1");
        let mut old = objects();
        old[4]["spec"]["version"] = json!("v1.36.1");
        assert!(first_difference(&old, &shape).unwrap().starts_with("machine b is"));
        assert_eq!(first_difference(&[], &shape).unwrap(), "the Cluster is not Available");
    }
}
