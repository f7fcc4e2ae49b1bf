//! How far the control plane is.

use capstan_kube::Kind;

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
    pub(crate) fn of(object: &capstan_kube::DynamicObject) -> Self {
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
