//! Controllers that behave as Cluster API, its kubeadm control plane and its OpenStack provider do.
//!
//! Each controller is a function that looks at one object and brings the world one step nearer to it. All of them are driven by
//! one queue, in the order of the changes that they have to look at; it is emptied by an event of the simulated clock, so that
//! a run is the same every time. OpenStack is used through its API, with the credentials of the cluster.

mod cloud;
pub(crate) mod conditions;
mod interest;
mod mishaps;
mod queue;
mod replicas;
mod scope;
mod seed;
pub(crate) mod webhooks;

mod cluster;
mod kubeadm_config;
mod kubeadm_control_plane;
mod machine;
mod machine_deployment;
mod machine_health_check;
mod machine_set;
mod node;
mod openstack_cluster;
mod openstack_load_balancer;
mod openstack_machine;
mod openstack_network;
mod openstack_security_groups;
mod openstack_server;
mod openstack_volumes;
mod template;
mod workload;
mod workload_service;
mod workload_volume;

use std::time::Duration;

use crate::World;
use crate::faults::Attention;
use crate::kubernetes::object::Read as _;

pub(crate) use cloud::Sessions;
pub(crate) use mishaps::fault_changed;
pub(crate) use queue::{Origin, Queue};

use queue::Item;
use scope::{Next, Scope};

/// Store keys of the resources that the controllers know.
pub(crate) mod ids {
    pub(crate) const CLUSTERS: &str = "clusters.cluster.x-k8s.io";
    pub(crate) const MACHINES: &str = "machines.cluster.x-k8s.io";
    pub(crate) const MACHINE_SETS: &str = "machinesets.cluster.x-k8s.io";
    pub(crate) const MACHINE_DEPLOYMENTS: &str = "machinedeployments.cluster.x-k8s.io";
    pub(crate) const MACHINE_HEALTH_CHECKS: &str = "machinehealthchecks.cluster.x-k8s.io";
    pub(crate) const CONTROL_PLANES: &str = "kubeadmcontrolplanes.controlplane.cluster.x-k8s.io";
    pub(crate) const KUBEADM_CONFIGS: &str = "kubeadmconfigs.bootstrap.cluster.x-k8s.io";
    pub(crate) const KUBEADM_CONFIG_TEMPLATES: &str = "kubeadmconfigtemplates.bootstrap.cluster.x-k8s.io";
    pub(crate) const OPENSTACK_CLUSTERS: &str = "openstackclusters.infrastructure.cluster.x-k8s.io";
    pub(crate) const OPENSTACK_MACHINES: &str = "openstackmachines.infrastructure.cluster.x-k8s.io";
    pub(crate) const OPENSTACK_MACHINE_TEMPLATES: &str =
        "openstackmachinetemplates.infrastructure.cluster.x-k8s.io";
    pub(crate) const OPENSTACK_SERVERS: &str = "openstackservers.infrastructure.cluster.x-k8s.io";
}

/// How long it takes until a change that a client made is noticed: longer than any transition of Nova's.
const NOTICED: Duration = Duration::from_secs(15);

/// Seeds the management plane. The controllers themselves are woken by changes.
pub(crate) fn start(world: &World) {
    seed::fill(world);
}

/// Ends what would keep the world in memory after its sandbox.
pub(crate) fn stop(world: &World) {
    cloud::close(world);
}

/// A client has changed something of Nova's: CAPO would notice it at its next resync; here it looks soon.
pub(crate) fn noticed(world: &World, path: &str) {
    let Some(id) = path.strip_prefix("/compute/v2.1/servers/").and_then(|rest| rest.split('/').next()) else {
        return;
    };
    let servers = world.kubernetes().management().list(ids::OPENSTACK_SERVERS, "");
    for server in servers.iter().filter(|server| server.text("status.instanceID") == id) {
        let item = Item::new(ids::OPENSTACK_SERVERS, server.namespace(), server.name());
        world.kubernetes().queue().push_after(item, NOTICED, true);
    }
}

/// Looks at one object.
fn reconcile(world: &World, item: &Item) {
    let scope = Scope::new(world, item);
    let queue = world.kubernetes().queue();
    if item.origin == Origin::Management {
        match world.faults().attention(&item.resource, &item.namespace, &item.name) {
            Attention::Full => {}
            // Whoever takes the fault away has it looked at again.
            Attention::None => return,
            Attention::Late(seconds) if queue.defer(item, Duration::from_secs(seconds)) => return,
            Attention::Late(_) => {}
        }
    }
    let next = match &item.origin {
        Origin::Management => manage(&scope, &item.resource),
        Origin::Workload(..) => match item.resource.as_str() {
            "services" => workload_service::reconcile(&scope),
            "persistentvolumeclaims" | "persistentvolumes" => workload_volume::reconcile(&scope),
            "nodes" => node::reconcile(&scope),
            "daemonsets.apps" => workload::reconcile_daemon_set(&scope),
            "deployments.apps" => workload::reconcile_deployment(&scope),
            _ => Next::Done,
        },
    };
    match next {
        Next::Done => {}
        Next::Look(delay) => queue.push_after(item.clone(), delay, false),
        Next::Act(delay) => queue.push_after(item.clone(), delay, true),
    }
}

fn manage(scope: &Scope<'_>, resource: &str) -> Next {
    let Some(object) = scope.server.get(resource, &scope.namespace, &scope.name) else {
        return Next::Done;
    };
    if scope.is_paused(&object) {
        return Next::Done;
    }
    match resource {
        ids::CLUSTERS => cluster::reconcile(scope, &object),
        ids::MACHINES => machine::reconcile(scope, &object),
        ids::MACHINE_SETS => machine_set::reconcile(scope, &object),
        ids::MACHINE_DEPLOYMENTS => machine_deployment::reconcile(scope, &object),
        ids::MACHINE_HEALTH_CHECKS => machine_health_check::reconcile(scope, &object),
        ids::CONTROL_PLANES => kubeadm_control_plane::reconcile(scope, &object),
        ids::KUBEADM_CONFIGS => kubeadm_config::reconcile(scope, &object),
        ids::OPENSTACK_CLUSTERS => openstack_cluster::reconcile(scope, &object),
        ids::OPENSTACK_MACHINES => openstack_machine::reconcile(scope, &object),
        ids::OPENSTACK_SERVERS => openstack_server::reconcile(scope, &object),
        ids::OPENSTACK_MACHINE_TEMPLATES | ids::KUBEADM_CONFIG_TEMPLATES if !object.is_deleting() => {
            template::reconcile(scope, resource, &object)
        }
        "daemonsets.apps" => workload::reconcile_daemon_set(scope),
        "deployments.apps" => workload::reconcile_deployment(scope),
        _ => Next::Done,
    }
}
