//! Who has to look when something changes: the watches of the real controllers.

use super::ids;
use super::queue::{Item, Origin};
use super::scope::CLUSTER_NAME;
use crate::World;
use crate::kubernetes::object::{Object, Read as _};
use crate::kubernetes::store::Event;

/// Puts everything that a change is of interest to into the queue.
pub(crate) fn of_change(world: &World, origin: &Origin, event: &Event, push: &mut dyn FnMut(Item)) {
    match origin {
        Origin::Management => in_management(world, event, push),
        Origin::Workload(namespace, name) => in_workload(origin, namespace, name, event, push),
    }
}

fn in_workload(
    origin: &Origin,
    cluster_namespace: &str,
    cluster: &str,
    event: &Event,
    push: &mut dyn FnMut(Item),
) {
    let resource = &*event.resource;
    let (namespace, name) = event.key.clone();
    let known = [
        "nodes",
        "services",
        "persistentvolumeclaims",
        "persistentvolumes",
        "daemonsets.apps",
        "deployments.apps",
    ];
    if !known.contains(&resource) {
        return;
    }
    push(Item { origin: origin.clone(), resource: resource.to_owned(), namespace, name: name.clone() });
    if resource == "nodes" {
        push(Item::new(
            ids::MACHINES,
            cluster_namespace,
            event.object.annotation("cluster.x-k8s.io/machine").unwrap_or(&name),
        ));
        // Cluster and control plane look at nodes, too.
        push(Item::new(ids::CLUSTERS, cluster_namespace, cluster));
    }
}

fn in_management(world: &World, event: &Event, push: &mut dyn FnMut(Item)) {
    let resource = &*event.resource;
    let namespace = event.key.0.as_str();
    let object = &*event.object;
    let server = world.kubernetes().management();
    let mut found: Vec<Item> = Vec::new();
    let mut all = |resource: &str, of: &dyn Fn(&Object) -> bool| {
        let objects = server.list(resource, namespace).into_iter().filter(|object| of(object));
        found.extend(objects.map(|object| Item::new(resource, namespace, object.name())));
    };
    match resource {
        "deployments.apps" | "daemonsets.apps" => push(Item::new(resource, namespace, object.name())),
        "secrets" => {
            all(ids::OPENSTACK_CLUSTERS, &|cluster| cluster.text("spec.identityRef.name") == object.name())
        }
        "images.openstack.k-orc.cloud" => {
            all(ids::OPENSTACK_SERVERS, &|server| server.text("spec.image.imageRef.name") == object.name());
        }
        ids::CLUSTERS => of_cluster(event, &mut all, push),
        ids::CONTROL_PLANES => {
            // A control plane that is stable again lets the workers go on.
            all(ids::MACHINE_SETS, &|set| Some(set.text("spec.clusterName")) == object.label(CLUSTER_NAME));
        }
        ids::MACHINES => {
            if respecified(event) {
                push(Item::new(
                    ids::OPENSTACK_MACHINES,
                    namespace,
                    object.text("spec.infrastructureRef.name"),
                ));
                push(Item::new(
                    ids::KUBEADM_CONFIGS,
                    namespace,
                    object.text("spec.bootstrap.configRef.name"),
                ));
            }
            all(ids::MACHINE_HEALTH_CHECKS, &|check| {
                check.text("spec.clusterName") == object.text("spec.clusterName")
            });
            if event.deleted {
                let cluster = object.text("spec.clusterName");
                all(ids::OPENSTACK_CLUSTERS, &|infrastructure| {
                    infrastructure.label(CLUSTER_NAME) == Some(cluster)
                });
                all(ids::CONTROL_PLANES, &|plane| plane.label(CLUSTER_NAME) == Some(cluster));
            }
        }
        ids::OPENSTACK_CLUSTERS => {
            let ready = |o: &Object| o.flag("status.ready");
            if event.old.as_ref().is_some_and(|old| ready(old) != ready(object)) {
                all(ids::OPENSTACK_MACHINES, &|machine| {
                    machine.label(CLUSTER_NAME) == object.label(CLUSTER_NAME)
                });
            }
        }
        _ => {}
    }
    found.into_iter().for_each(&mut *push);
    if resource.ends_with(".cluster.x-k8s.io") {
        for_itself_and_its_owners(event, push);
    }
}

/// Finds objects of a resource in the namespace of a change, and notes them.
type Find<'f> = &'f mut dyn FnMut(&str, &dyn Fn(&Object) -> bool);

/// A change of a Cluster is of interest to its parts when it passes a milestone.
fn of_cluster(event: &Event, all: Find<'_>, push: &mut dyn FnMut(Item)) {
    let object = &*event.object;
    let namespace = event.key.0.as_str();
    let turned =
        |flag: &dyn Fn(&Object) -> bool| event.old.as_ref().is_some_and(|old| flag(old) != flag(object));
    let milestones: [&dyn Fn(&Object) -> bool; 4] = [
        &|c| c.flag("status.initialization.infrastructureProvisioned"),
        &|c| c.is_condition_true("ControlPlaneInitialized"),
        &|c| c.flag("spec.paused"),
        &|c| c.is_deleting(),
    ];
    let milestone = milestones.iter().any(|flag| turned(flag));
    if milestone || respecified(event) {
        push(Item::new(ids::OPENSTACK_CLUSTERS, namespace, object.text("spec.infrastructureRef.name")));
        push(Item::new(ids::CONTROL_PLANES, namespace, object.text("spec.controlPlaneRef.name")));
    }
    if milestone || event.old.is_none() || event.deleted {
        let mine = |o: &Object| {
            o.text("spec.clusterName") == object.name() || o.label(CLUSTER_NAME) == Some(object.name())
        };
        for related in [
            ids::MACHINES,
            ids::MACHINE_SETS,
            ids::MACHINE_DEPLOYMENTS,
            ids::KUBEADM_CONFIGS,
            ids::OPENSTACK_MACHINES,
            ids::OPENSTACK_SERVERS,
        ] {
            all(related, &mine);
        }
    }
}

/// More than the status changed: what the object is to be, or whether it is to be.
fn respecified(event: &Event) -> bool {
    let wanted = |object: &Object| (object.int("metadata.generation"), object.is_deleting());
    event.deleted || event.old.as_ref().is_none_or(|old| wanted(old) != wanted(&event.object))
}

fn for_itself_and_its_owners(event: &Event, push: &mut dyn FnMut(Item)) {
    let (resource, object) = (&*event.resource, &*event.object);
    let namespace = event.key.0.as_str();
    if resource == ids::OPENSTACK_SERVERS {
        // The kubelet is on the server.
        push(Item::new(ids::MACHINES, namespace, &event.key.1));
    }
    push(Item::new(resource, namespace, &event.key.1));
    for owner in object.items("metadata.ownerReferences") {
        if let Some(owner_resource) = resource_of(owner.text("kind")) {
            push(Item::new(owner_resource, namespace, owner.text("name")));
        }
    }
    if let Some(cluster) = object.text_at("spec.clusterName").or_else(|| object.label(CLUSTER_NAME)) {
        push(Item::new(ids::CLUSTERS, namespace, cluster));
    }
}

fn resource_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Cluster" => ids::CLUSTERS,
        "Machine" => ids::MACHINES,
        "MachineSet" => ids::MACHINE_SETS,
        "MachineDeployment" => ids::MACHINE_DEPLOYMENTS,
        "KubeadmControlPlane" => ids::CONTROL_PLANES,
        "KubeadmConfig" => ids::KUBEADM_CONFIGS,
        "OpenStackCluster" => ids::OPENSTACK_CLUSTERS,
        "OpenStackMachine" => ids::OPENSTACK_MACHINES,
        _ => return None,
    })
}
