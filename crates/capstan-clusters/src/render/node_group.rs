//! A node group: templates, one `MachineDeployment` per zone, health checks.

use capstan_core::documents::{AntiAffinity, NodeGroupSpec};
use capstan_core::names;
use serde_json::{Map, Value, json};

use super::machine_template::{self, Machines, name_of};
use super::{BOOTSTRAP, CLUSTER_API, INFRASTRUCTURE, Input, health_check, kubeadm, object, set};

/// How long a node may take to be drained, in seconds, before its machine is deleted all the same.
pub(super) const DRAIN_TIMEOUT_SECONDS: u32 = 600;

/// Label prefixes that Cluster API carries from machines to nodes, without replacing the machine
/// (cluster-api book, "metadata propagation"). Every other label is given to the kubelet.
const CARRIED_PREFIXES: [&str; 3] =
    ["node-role.kubernetes.io/", "node-restriction.kubernetes.io", "node.cluster.x-k8s.io"];

/// A share of a group: the machines in one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Name of the `MachineDeployment`.
    pub name: String,
    /// The availability zone; the cloud chooses without one.
    pub zone: Option<String>,
    /// So many machines.
    pub replicas: u32,
}

impl Zone {
    /// A group's zones. A `MachineDeployment` knows one zone at most, so a group over several has one for each; what
    /// doesn't divide goes to the first ones.
    #[must_use]
    pub fn of(cluster: &names::ClusterNames, group: &NodeGroupSpec) -> Vec<Self> {
        if group.zones.len() < 2 {
            let zone = group.zones.first().cloned();
            return vec![Self { name: cluster.node_group(&group.name), zone, replicas: group.replicas }];
        }
        let count = u32::try_from(group.zones.len()).unwrap_or(u32::MAX);
        let (each, rest) = (group.replicas / count, group.replicas % count);
        (0..count)
            .zip(&group.zones)
            .map(|(index, zone)| Self {
                name: cluster.node_group(&format!("{}-{zone}", group.name)),
                zone: Some(zone.clone()),
                replicas: each + u32::from(index < rest),
            })
            .collect()
    }
}

pub(super) fn objects(input: Input<'_>, group: &NodeGroupSpec) -> Vec<Value> {
    let machines = Machines {
        flavor: &group.flavor,
        root_volume: group.root_volume.as_ref(),
        anti_affinity: group.anti_affinity,
        server_group: input.names.node_group(&group.name),
        metadata: &group.metadata,
    };
    let name = |hash: &str| input.names.node_group_template(&group.name, hash);
    let template = machine_template::object(input, &machines, name);
    let bootstrap = bootstrap_template(input, group);
    let mut deployments = Vec::new();
    for zone in Zone::of(input.names, group) {
        deployments.push(deployment(input, group, &zone, [name_of(&template), name_of(&bootstrap)]));
        deployments.extend(health_check::object(
            input,
            &zone.name,
            json!({ "cluster.x-k8s.io/deployment-name": zone.name }),
        ));
    }
    [vec![template, bootstrap], deployments].concat()
}

fn bootstrap_template(input: Input<'_>, group: &NodeGroupSpec) -> Value {
    let labels: Vec<_> = group
        .labels
        .iter()
        .filter(|(key, _)| !is_carried(key))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let labels = if labels.is_empty() { vec![] } else { vec![("node-labels", labels.join(","))] };
    let taints = group.taints.iter().map(|taint| {
        let mut object = json!({ "key": taint.key, "effect": taint.effect });
        set(&mut object, "value", taint.value.clone());
        object
    });
    let registration = kubeadm::node_registration(&labels, Some(taints.collect()));
    let spec =
        json!({ "template": { "spec": { "joinConfiguration": { "nodeRegistration": registration } } } });
    let name = input.names.node_group_template(&group.name, &names::content_hash(&spec));
    object(input, BOOTSTRAP, "KubeadmConfigTemplate", &name, spec)
}

fn deployment(
    input: Input<'_>,
    group: &NodeGroupSpec,
    zone: &Zone,
    [template, bootstrap]: [&str; 2],
) -> Value {
    let cluster = input.names.base();
    let mut machine = json!({
        "clusterName": cluster,
        "version": input.facts.version.to_string(),
        "bootstrap": { "configRef": {
            "apiGroup": BOOTSTRAP.split('/').next(), "kind": "KubeadmConfigTemplate", "name": bootstrap,
        }},
        "infrastructureRef": {
            "apiGroup": INFRASTRUCTURE.split('/').next(), "kind": "OpenStackMachineTemplate", "name": template,
        },
        "deletion": { "nodeDrainTimeoutSeconds": DRAIN_TIMEOUT_SECONDS },
    });
    set(&mut machine, "failureDomain", zone.zone.clone());
    let mut template = json!({ "spec": machine });
    let carried: Map<String, Value> = group
        .labels
        .iter()
        .filter(|(key, _)| is_carried(key))
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    if !carried.is_empty() {
        template["metadata"] = json!({ "labels": carried });
    }
    // As for the control plane: hard anti-affinity leaves no room for a further machine.
    let (surge, unavailable) = if group.anti_affinity == AntiAffinity::Hard { (0, 1) } else { (1, 0) };
    let spec = json!({
        "clusterName": cluster,
        "replicas": zone.replicas,
        // Required; the webhook adds the labels by which the machines of a deployment are found.
        "selector": { "matchLabels": {} },
        "template": template,
        "rollout": { "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": { "maxSurge": surge, "maxUnavailable": unavailable },
        }},
    });
    object(input, CLUSTER_API, "MachineDeployment", &zone.name, spec)
}

fn is_carried(key: &str) -> bool {
    CARRIED_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}
