//! What a fault that comes or goes means to those who have to act on it at once.

use std::time::Duration;

use super::ids;
use super::queue::Item;
use crate::World;
use crate::faults::{Fault, KubernetesFault};
use crate::kubernetes::object::Read as _;

/// A fault has come, or has gone.
pub(crate) fn fault_changed(world: &World, fault: &Fault, comes: bool) {
    world.clock().touch();
    let Fault::Kubernetes(fault) = fault else { return };
    if comes {
        for (name, server) in world.kubernetes().servers() {
            if fault.is_of_server(&name) {
                server.restart();
            }
        }
    }
    wake(world, fault);
    if let KubernetesFault::Condition { seconds, .. } = fault
        && comes
    {
        flap(world, fault.clone(), Duration::from_secs(*seconds));
    }
}

/// Has every object looked at that the fault is about.
fn wake(world: &World, fault: &KubernetesFault) {
    let server = world.kubernetes().management();
    for resource in WATCHED {
        for object in server.list(resource, "") {
            let cluster = object.text_at("spec.clusterName").unwrap_or(object.name());
            let about = fault.concerns(resource, object.namespace(), object.name());
            if about || fault.is_of_server(&format!("{}/{cluster}", object.namespace())) {
                world.kubernetes().queue().push(Item::new(resource, object.namespace(), object.name()));
            }
        }
    }
}

/// Everything that a controller looks at.
const WATCHED: &[&str] = &[
    ids::CLUSTERS,
    ids::MACHINES,
    ids::MACHINE_SETS,
    ids::MACHINE_DEPLOYMENTS,
    ids::MACHINE_HEALTH_CHECKS,
    ids::CONTROL_PLANES,
    ids::KUBEADM_CONFIGS,
    ids::OPENSTACK_CLUSTERS,
    ids::OPENSTACK_MACHINES,
    ids::OPENSTACK_SERVERS,
];

/// Has the objects of a flapping condition looked at again and again, while the fault is there.
fn flap(world: &World, fault: KubernetesFault, every: Duration) {
    world.clock().background(every.max(Duration::from_secs(1)), move |world| {
        wake(world, &fault);
        if world.faults().has(&fault) {
            flap(world, fault, every);
        }
    });
}
