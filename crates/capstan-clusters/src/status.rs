//! A cluster's status, from what the management plane tells of it.

use std::sync::Arc;

use capstan_core::names::CONTROL_PLANE;
use capstan_core::status::{
    ClusterPhase, Condition, ConditionStatus, GroupStatus, WorkloadClusterStatus, condition_type,
};
use capstan_engine::Direction;
use capstan_kube::conditions::{Conditions, Status};
use capstan_kube::{DynamicObject, Kind};

use crate::components::is_going;
use crate::control_plane::Replicas;
use crate::subject::Subject;

/// What is carried over from Cluster API's conditions of the Cluster, and under which name.
const CARRIED: [(&str, &str); 3] = [
    ("Available", condition_type::AVAILABLE),
    ("InfrastructureReady", condition_type::INFRASTRUCTURE),
    ("ControlPlaneInitialized", condition_type::CONTROL_PLANE_INITIALIZED),
];

/// The status now. Times in it are those of Cluster API's transitions, so an unchanged cluster has an unchanged status.
#[must_use]
pub fn of(subject: &Subject, record: Option<&DynamicObject>, direction: Direction) -> WorkloadClusterStatus {
    let cluster = subject.get(&Kind::CLUSTER, subject.names().base());
    let control_plane = subject.get(&Kind::KUBEADM_CONTROL_PLANE, &subject.names().control_plane());
    let deployments = subject.list(&Kind::MACHINE_DEPLOYMENT);
    let groups = groups(subject, control_plane.as_deref(), &deployments);
    let (ready, desired) = groups.iter().fold((0, 0), |(r, d), group| (r + group.ready, d + group.desired));
    let settled = control_plane.iter().chain(&deployments).all(|group| Replicas::of(group).is_settled());
    let mut status = WorkloadClusterStatus {
        phase: phase(cluster.as_ref(), settled, direction),
        version: version(control_plane.as_deref(), &deployments),
        nodes: if desired == 0 { String::new() } else { format!("{ready}/{desired}") },
        endpoint: cluster.as_deref().map(endpoint).unwrap_or_default(),
        groups,
        conditions: cluster.as_deref().map(conditions).unwrap_or_default(),
        observed_generation: record.and_then(|record| record.metadata.generation),
    };
    status.conditions.sort_by(|one, other| one.condition_type.cmp(&other.condition_type));
    status
}

fn phase(cluster: Option<&Arc<DynamicObject>>, settled: bool, direction: Direction) -> ClusterPhase {
    let Some(cluster) = cluster else {
        return if direction == Direction::Absent { ClusterPhase::Deleting } else { ClusterPhase::Pending };
    };
    if direction == Direction::Absent || is_going(cluster) {
        return ClusterPhase::Deleting;
    }
    let initialised =
        cluster.data["status"]["initialization"]["controlPlaneInitialized"].as_bool().unwrap_or_default();
    let available = Conditions::of(cluster).is_true("Available");
    match (initialised, settled, available) {
        (false, ..) => ClusterPhase::Provisioning,
        (true, true, true) => ClusterPhase::Available,
        (true, false, true) => ClusterPhase::Updating,
        (true, false, false) => ClusterPhase::Provisioning,
        (true, true, false) => ClusterPhase::Degraded,
    }
}

fn groups(
    subject: &Subject,
    control_plane: Option<&DynamicObject>,
    deployments: &[Arc<DynamicObject>],
) -> Vec<GroupStatus> {
    let prefix = format!("{}-", subject.names().base());
    let group = |name: &str, object: &DynamicObject| {
        let replicas = Replicas::of(object);
        let ready = object.data["status"]["readyReplicas"].as_u64().unwrap_or_default();
        let clip = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        GroupStatus {
            name: name.to_owned(),
            desired: clip(replicas.desired),
            ready: clip(ready),
            up_to_date: clip(replicas.up_to_date),
        }
    };
    let workers = deployments.iter().map(|deployment| {
        let name = deployment.metadata.name.as_deref().unwrap_or_default();
        group(name.strip_prefix(&prefix).unwrap_or(name), deployment)
    });
    control_plane.map(|object| group(CONTROL_PLANE, object)).into_iter().chain(workers).collect()
}

/// The release that every machine has; two while a rollout is under way: `v1.36.2 → v1.36.3`.
fn version(control_plane: Option<&DynamicObject>, deployments: &[Arc<DynamicObject>]) -> String {
    let reached =
        control_plane.and_then(|object| object.data["status"]["version"].as_str()).unwrap_or_default();
    let wanted = control_plane.and_then(|object| object.data["spec"]["version"].as_str()).unwrap_or_default();
    let behind = deployments.iter().any(|deployment| {
        let replicas = Replicas::of(deployment);
        replicas.up_to_date < replicas.desired
            && deployment.data["spec"]["template"]["spec"]["version"].as_str() != Some(reached)
    });
    match (reached, wanted) {
        ("", wanted) => wanted.to_owned(),
        (reached, wanted) if reached != wanted || behind => format!("{reached} → {wanted}"),
        (reached, _) => reached.to_owned(),
    }
}

fn endpoint(cluster: &DynamicObject) -> String {
    let endpoint = &cluster.data["spec"]["controlPlaneEndpoint"];
    match (endpoint["host"].as_str(), endpoint["port"].as_u64()) {
        (Some(host), Some(port)) if !host.is_empty() => format!("{host}:{port}"),
        _ => String::new(),
    }
}

fn conditions(cluster: &DynamicObject) -> Vec<Condition> {
    let theirs = Conditions::of(cluster);
    let carried = CARRIED.iter().filter_map(|(from, to)| Some((theirs.find(from)?, *to)));
    carried
        .map(|(condition, to)| Condition {
            condition_type: to.to_owned(),
            status: match condition.status {
                Status::True => ConditionStatus::True,
                Status::False => ConditionStatus::False,
                Status::Unknown => ConditionStatus::Unknown,
            },
            reason: if condition.reason.is_empty() { "Unknown".to_owned() } else { condition.reason.clone() },
            message: condition.message.clone(),
            last_transition_time: condition.since.map(|at| at.to_string()).unwrap_or_default(),
            observed_generation: None,
        })
        .collect()
}
