//! What it means to change a field of a Cluster API object: known before anything is sent, so that `plan` can say it.
//!
//! Sources: cluster-api-provider-openstack v0.14.7, `pkg/webhooks/openstackcluster_webhook.go` (`ValidateUpdate`);
//! cluster-api v1.14 book, "updating machine infrastructure and bootstrap templates" and "metadata propagation".

/// What changing a field comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    /// Everything runs on.
    InPlace,
    /// Machines of the object are replaced one after another.
    Rolls,
    /// The API refuses it, or takes it without ever acting on it.
    Refused {
        /// What to do instead.
        instead: &'static str,
    },
}

const NEW_CLUSTER: &str =
    "create a second cluster with the new value and move the workload, or take the change back";

/// Fields of `OpenStackCluster.spec` that its webhook lets be changed.
const MUTABLE_OPENSTACK_CLUSTER: [&str; 7] = [
    "spec.identityRef",
    "spec.bastion",
    "spec.managedSecurityGroups",
    "spec.apiServerLoadBalancer.allowedCIDRs",
    "spec.apiServerLoadBalancer.monitor",
    "spec.controlPlaneAvailabilityZones",
    "spec.controlPlaneOmitAvailabilityZone",
];

/// Fields of a `KubeadmControlPlane` that are part of its machines.
const ROLLING_CONTROL_PLANE: [&str; 3] =
    ["spec.version", "spec.kubeadmConfigSpec", "spec.machineTemplate.spec.infrastructureRef"];

/// Fields of a `MachineDeployment` that are part of its machines.
const ROLLING_DEPLOYMENT: [&str; 4] = [
    "spec.template.spec.version",
    "spec.template.spec.bootstrap",
    "spec.template.spec.infrastructureRef",
    "spec.template.spec.failureDomain",
];

/// The effect of changing `path` (as `spec.replicas`) of a `kind`.
#[must_use]
pub(crate) fn effect(kind: &str, path: &str) -> Effect {
    let under = |fields: &[&str]| fields.iter().any(|field| is_under(path, field));
    match kind {
        _ if is_under(path, "metadata") => Effect::InPlace,
        "OpenStackCluster" if under(&MUTABLE_OPENSTACK_CLUSTER) || path.contains("dnsNameservers") => {
            Effect::InPlace
        }
        "OpenStackCluster" | "OpenStackMachineTemplate" | "KubeadmConfigTemplate" => {
            Effect::Refused { instead: NEW_CLUSTER }
        }
        "Cluster" if is_under(path, "spec.clusterNetwork") => Effect::Refused { instead: NEW_CLUSTER },
        "KubeadmControlPlane" if under(&ROLLING_CONTROL_PLANE) => Effect::Rolls,
        "MachineDeployment" if under(&ROLLING_DEPLOYMENT) => Effect::Rolls,
        _ => Effect::InPlace,
    }
}

/// Whether `path` is `field` or a part of it.
fn is_under(path: &str, field: &str) -> bool {
    path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_is_in_place_and_a_new_template_rolls() {
        assert_eq!(effect("KubeadmControlPlane", "spec.replicas"), Effect::InPlace);
        assert_eq!(effect("KubeadmControlPlane", "spec.version"), Effect::Rolls);
        let reference = "spec.template.spec.infrastructureRef.name";
        assert_eq!(effect("MachineDeployment", reference), Effect::Rolls);
        assert_eq!(effect("MachineDeployment", "spec.template.metadata.labels"), Effect::InPlace);
    }

    #[test]
    fn the_webhook_of_openstackcluster_decides_what_is_refused() {
        let cluster = |path| effect("OpenStackCluster", path);
        assert_eq!(cluster("spec.apiServerLoadBalancer.allowedCIDRs[0]"), Effect::InPlace);
        assert_eq!(cluster("spec.managedSubnets[0].dnsNameservers"), Effect::InPlace);
        assert!(matches!(cluster("spec.managedSubnets[0].cidr"), Effect::Refused { .. }));
        assert!(matches!(cluster("spec.apiServerLoadBalancer.provider"), Effect::Refused { .. }));
        assert!(matches!(cluster("spec.tags"), Effect::Refused { .. }));
        assert_eq!(cluster("metadata.labels"), Effect::InPlace);
    }

    #[test]
    fn a_field_with_a_longer_name_is_another_field() {
        assert_eq!(effect("KubeadmControlPlane", "spec.versionless"), Effect::InPlace);
    }
}
