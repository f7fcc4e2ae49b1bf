//! How far the control plane is.

use capstan_kube::{DynamicObject, Kind};

use crate::subject::Subject;

/// Replicas of a control plane or node group, as its object's status counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Replicas {
    pub(crate) desired: u64,
    pub(crate) existing: u64,
    pub(crate) up_to_date: u64,
    pub(crate) available: u64,
    /// Whether the controller has seen the latest specification.
    pub(crate) current: bool,
}

impl Replicas {
    /// Reads them from a `KubeadmControlPlane` or a `MachineDeployment` (v1beta2).
    pub(crate) fn of(object: &DynamicObject) -> Self {
        let (spec, status) = (&object.data["spec"], &object.data["status"]);
        let count = |name: &str| status[name].as_u64().unwrap_or_default();
        let observed = status["observedGeneration"].as_i64().unwrap_or_default();
        Self {
            desired: spec["replicas"].as_u64().unwrap_or(1),
            existing: count("replicas"),
            up_to_date: count("upToDateReplicas"),
            available: count("availableReplicas"),
            current: object.metadata.generation.is_none_or(|generation| observed >= generation),
        }
    }

    /// Whether all are there, up to date and available, and none beyond.
    pub(crate) const fn is_settled(&self) -> bool {
        self.current
            && self.existing == self.desired
            && self.up_to_date == self.desired
            && self.available == self.desired
    }
}

/// Whether a control plane or node group is as its object says: by its counters, and by its machines themselves. The
/// counters alone are not enough: for a moment after a change they still count the machines as up to date that the
/// controllers have not judged anew.
pub(crate) fn is_settled(subject: &Subject, group: &DynamicObject) -> bool {
    let replicas = Replicas::of(group);
    if !replicas.is_settled() {
        return false;
    }
    let name = group.metadata.name.as_deref().unwrap_or_default();
    let machines = subject.list(&Kind::MACHINE);
    let own: Vec<_> = machines.iter().filter(|machine| is_of(machine, name)).collect();
    own.len() as u64 == replicas.desired && own.iter().all(|machine| is_made_of(subject, machine, group))
}

/// Whether a machine belongs to the group of that name.
fn is_of(machine: &DynamicObject, group: &str) -> bool {
    let labels = machine.metadata.labels.as_ref();
    let label = |key| labels.and_then(|labels| labels.get(key)).map(String::as_str);
    [label("cluster.x-k8s.io/deployment-name"), label("cluster.x-k8s.io/control-plane-name")]
        .contains(&Some(group))
}

/// Whether a machine stays and has the release and the template that its group has now.
fn is_made_of(subject: &Subject, machine: &DynamicObject, group: &DynamicObject) -> bool {
    let spec = &group.data["spec"];
    let (version, template) = if group.data["spec"]["machineTemplate"].is_object() {
        (&spec["version"], &spec["machineTemplate"]["spec"]["infrastructureRef"]["name"])
    } else {
        (&spec["template"]["spec"]["version"], &spec["template"]["spec"]["infrastructureRef"]["name"])
    };
    let provided = machine.data["spec"]["infrastructureRef"]["name"].as_str();
    let provided = provided.and_then(|name| subject.get(&Kind::OPENSTACK_MACHINE, name));
    let cloned_from = provided
        .as_ref()
        .and_then(|provided| provided.metadata.annotations.as_ref())
        .and_then(|annotations| annotations.get(CLONED_FROM));
    machine.metadata.deletion_timestamp.is_none()
        && machine.data["spec"]["version"] == *version
        && cloned_from.is_some_and(|name| *template == name.as_str())
}

/// Annotation with the template that a provider's machine was made from (Cluster API, `api/core/v1beta2`).
const CLONED_FROM: &str = "cluster.x-k8s.io/cloned-from-name";

/// Why node groups may not move to the wanted release yet: kubelets are never newer than an API server, so the control
/// plane goes first (Kubernetes version skew policy). Nothing holds them back while the cluster is being made.
pub(crate) fn behind(subject: &Subject) -> Option<String> {
    let wanted = subject.facts.get()?.version.to_string();
    let control_plane = subject.get(&Kind::KUBEADM_CONTROL_PLANE, &subject.names().control_plane())?;
    let status = &control_plane.data["status"];
    let initialised = status["initialization"]["controlPlaneInitialized"].as_bool().unwrap_or_default();
    // `status.version` is the lowest release among the control plane's machines.
    let reached = status["version"].as_str().unwrap_or_default();
    if !initialised || reached == wanted {
        return None;
    }
    let replicas = Replicas::of(&control_plane);
    Some(format!(
        "the control plane to reach {wanted} ({} of {} machines have)",
        replicas.up_to_date.min(replicas.desired),
        replicas.desired
    ))
}
