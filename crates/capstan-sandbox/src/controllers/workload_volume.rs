//! PersistentVolumeClaims in workload clusters, as Cinder CSI serves them.

use std::time::Duration;

use serde_json::json;

use super::cloud::Cloud;
use super::node::{has_cloud_controller, workload_of};
use super::scope::{Next, Scope};
use crate::kubernetes::api::ApiServer;
use crate::kubernetes::object::{Object, Read as _, Write as _};

const MANAGER: &str = "external-provisioner";
const DRIVER: &str = "cinder.csi.openstack.org";
const PROTECTION: &str = "external-provisioner.volume.kubernetes.io/finalizer";

const POLL: Duration = Duration::from_secs(5);

pub(super) fn reconcile(scope: &Scope<'_>) -> Next {
    let Some((workload, cluster)) = workload_of(scope) else { return Next::Done };
    if !workload.answers() || !has_cloud_controller(scope, &workload.server) {
        return Next::Done;
    }
    let server = &workload.server;
    let Some(object) = server.get(&scope.resource, &scope.namespace, &scope.name) else {
        release(scope, server);
        return Next::Done;
    };
    let Some(cloud) = scope.cloud_of_workload(&cluster) else { return Next::Look(POLL) };
    if scope.resource == "persistentvolumes" {
        remove(scope, server, &cloud, &object)
    } else if !object.is_deleting() && object.text("status.phase") != "Bound" && is_ours(server, &object) {
        provision(scope, server, &cloud, cluster.name(), &object)
    } else {
        Next::Done
    }
}

/// A claim that is gone releases its volume.
fn release(scope: &Scope<'_>, server: &ApiServer) {
    if scope.resource == "persistentvolumes" {
        return;
    }
    let claimed = |volume: &Object| {
        volume.text("spec.claimRef.namespace") == scope.namespace
            && volume.text("spec.claimRef.name") == scope.name
    };
    for volume in server.list("persistentvolumes", "").into_iter().filter(|volume| claimed(volume)) {
        server.modify("persistentvolumes", "", volume.name(), MANAGER, |volume| {
            volume.set("status.phase", "Released")
        });
        if volume.text("spec.persistentVolumeReclaimPolicy") == "Delete" {
            server.delete("persistentvolumes", "", volume.name());
        }
    }
}

/// Deletes the Cinder volume of a deleted PersistentVolume, and lets that go once it is gone.
fn remove(scope: &Scope<'_>, server: &ApiServer, cloud: &Cloud<'_>, object: &Object) -> Next {
    if !object.is_deleting() || !object.has_finalizer(PROTECTION) {
        return Next::Done;
    }
    let path = format!("{}/{}", cloud.volumes(), object.text("spec.csi.volumeHandle"));
    match cloud.look(&path, "volume") {
        Ok(None) => {
            server.modify("persistentvolumes", "", &scope.name, MANAGER, |volume| {
                volume.remove_finalizer(PROTECTION)
            });
            Next::Done
        }
        Ok(Some(volume)) => {
            if volume.text("status") != "deleting" {
                // What is in use is refused, and tried again.
                let _ = cloud.delete_if_there(&path);
            }
            Next::Look(POLL)
        }
        Err(_) => Next::Look(POLL),
    }
}

fn provision(
    scope: &Scope<'_>,
    server: &ApiServer,
    cloud: &Cloud<'_>,
    cluster: &str,
    claim: &Object,
) -> Next {
    let volumes = cloud.volumes();
    let name = format!("pvc-{}", claim.uid());
    let size = gibibytes(claim.text("spec.resources.requests.storage"));
    let metadata = json!({"cinder.csi.openstack.org/cluster": cluster, "csi.storage.k8s.io/pvc/name": scope.name,
        "csi.storage.k8s.io/pvc/namespace": scope.namespace, "csi.storage.k8s.io/pv/name": name});
    let description = "Created by OpenStack Cinder CSI driver";
    let request =
        json!({"volume": {"name": name, "size": size, "metadata": metadata, "description": description}});
    match cloud.find(&format!("{volumes}/detail"), "volumes", &name) {
        Ok(None) => {
            if let Err(error) = cloud.post(&volumes, &request) {
                tracing::warn!(volume = name, %error, "a volume is not provisioned");
            }
            Next::Look(POLL)
        }
        Ok(Some(volume)) if volume.text("status") == "available" => {
            bind(scope, server, claim, &name, volume.text("id"), size);
            Next::Done
        }
        _ => Next::Look(POLL),
    }
}

/// Whether the claim's storage class is Cinder's; a claim without one takes the default class.
fn is_ours(server: &ApiServer, claim: &Object) -> bool {
    let classes = server.list("storageclasses.storage.k8s.io", "");
    let wanted = claim.text_at("spec.storageClassName");
    let default =
        |class: &Object| class.annotation("storageclass.kubernetes.io/is-default-class") == Some("true");
    classes.is_empty()
        || classes.iter().any(|class| {
            class.text("provisioner") == DRIVER
                && wanted.map_or_else(|| default(class), |name| name == class.name())
        })
}

fn gibibytes(quantity: &str) -> u64 {
    let number: u64 =
        quantity.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(1);
    if quantity.ends_with("Ti") || quantity.ends_with('T') {
        number * 1024
    } else if quantity.ends_with("Mi") || quantity.ends_with('M') {
        number.div_ceil(1024)
    } else {
        number
    }
}

fn bind(scope: &Scope<'_>, server: &ApiServer, claim: &Object, name: &str, id: &str, size: u64) {
    let capacity = json!({"storage": format!("{size}Gi")});
    let mut volume = json!({"metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": DRIVER}, "finalizers": [PROTECTION]},
        "spec": {"capacity": capacity, "accessModes": claim.at("spec.accessModes"), "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": claim.at("spec.storageClassName"), "volumeMode": "Filesystem",
            "claimRef": {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": scope.namespace, "name": scope.name, "uid": claim.uid()},
            "csi": {"driver": DRIVER, "volumeHandle": id, "fsType": "ext4"}}});
    volume.set("status.phase", "Bound");
    server.seed("persistentvolumes", volume);
    server.modify("persistentvolumeclaims", &scope.namespace, &scope.name, MANAGER, |claim| {
        claim.set("spec.volumeName", name);
        claim.set("status.phase", "Bound");
        claim.set("status.capacity", capacity.clone());
        let modes = claim.at("spec.accessModes").clone();
        claim.set("status.accessModes", modes);
    });
}
