//! The control plane: its machine template, `KubeadmControlPlane` and health check.

use capstan_core::documents::AntiAffinity;
use serde_json::{Value, json};

use super::machine_template::{self, Machines};
use super::{CONTROL_PLANE, INFRASTRUCTURE, Input, health_check, kubeadm, object};

pub(super) fn objects(input: Input<'_>) -> Vec<Value> {
    let spec = &input.spec.control_plane;
    let machines = Machines {
        flavor: &spec.flavor,
        root_volume: spec.root_volume.as_ref(),
        anti_affinity: spec.anti_affinity,
        server_group: input.names.control_plane(),
        metadata: &spec.metadata,
    };
    let template =
        machine_template::object(input, &machines, |hash| input.names.control_plane_template(hash));
    let control_plane = control_plane(input, machine_template::name_of(&template));
    let mut objects = vec![template, control_plane];
    objects.extend(health_check::object(
        input,
        &input.names.control_plane(),
        json!({ "cluster.x-k8s.io/control-plane": "" }),
    ));
    objects
}

fn control_plane(input: Input<'_>, template: &str) -> Value {
    let document = &input.spec.control_plane;
    let registration = kubeadm::node_registration(&[], None);
    let spec = json!({
        "replicas": document.replicas,
        "version": input.facts.version.to_string(),
        "machineTemplate": { "spec": {
            "infrastructureRef": {
                "apiGroup": INFRASTRUCTURE.split('/').next(), "kind": "OpenStackMachineTemplate", "name": template,
            },
            "deletion": { "nodeDrainTimeoutSeconds": super::node_group::DRAIN_TIMEOUT_SECONDS },
        }},
        "kubeadmConfigSpec": {
            "clusterConfiguration": {
                "controllerManager": { "extraArgs": [{ "name": "cloud-provider", "value": "external" }] },
            },
            "initConfiguration": { "nodeRegistration": registration },
            "joinConfiguration": { "nodeRegistration": registration },
        },
        "rollout": { "strategy": {
            "type": "RollingUpdate", "rollingUpdate": { "maxSurge": surge(document.anti_affinity, document.replicas) },
        }},
    });
    object(input, CONTROL_PLANE, "KubeadmControlPlane", &input.names.control_plane(), spec)
}

/// With hard anti-affinity a further machine needs a further hypervisor, which a small cloud doesn't have: then one
/// goes before its successor comes. KubeadmControlPlane allows that from three machines on.
fn surge(anti_affinity: AntiAffinity, replicas: u32) -> u32 {
    if anti_affinity == AntiAffinity::Hard && replicas >= 3 { 0 } else { 1 }
}
