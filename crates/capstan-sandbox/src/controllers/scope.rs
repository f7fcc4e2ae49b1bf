//! What a controller has at hand while it looks at one object.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::cloud::{Cloud, CloudError, CloudResult};
use super::ids;
use super::queue::{Item, Origin};
use crate::World;
use crate::kubernetes::api::ApiServer;
use crate::kubernetes::object::{Object, Read as _, Write as _};

/// The label with the name of the cluster that an object belongs to.
pub(super) const CLUSTER_NAME: &str = "cluster.x-k8s.io/cluster-name";

/// When an object is to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// When something changes.
    Done,
    /// Now and then: nobody tells when it changes.
    Look(Duration),
    /// When something that takes this long is done.
    Act(Duration),
}

impl Next {
    /// The earlier of two.
    pub(super) fn or(self, other: Self) -> Self {
        let delay = |next: Self| match next {
            Self::Done => Duration::MAX,
            Self::Look(delay) | Self::Act(delay) => delay,
        };
        if delay(self) <= delay(other) { self } else { other }
    }
}

/// An object's place, and the world around it.
pub(super) struct Scope<'w> {
    pub(super) world: &'w World,
    /// The management plane's API server.
    pub(super) server: &'w ApiServer,
    pub(super) origin: Origin,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) resource: String,
    /// Simulated time as objects show it.
    pub(super) now: String,
}

impl<'w> Scope<'w> {
    pub(super) fn new(world: &'w World, item: &Item) -> Self {
        let server = world.kubernetes().management();
        Self {
            world,
            server,
            origin: item.origin.clone(),
            namespace: item.namespace.clone(),
            name: item.name.clone(),
            resource: item.resource.clone(),
            now: server.now(),
        }
    }

    /// An object of the same namespace.
    pub(super) fn get(&self, resource: &str, name: &str) -> Option<Arc<Object>> {
        self.server.get(resource, &self.namespace, name)
    }

    /// Objects of the same namespace that a predicate selects.
    pub(super) fn list(&self, resource: &str, select: impl Fn(&Object) -> bool) -> Vec<Arc<Object>> {
        self.server.list(resource, &self.namespace).into_iter().filter(|object| select(object)).collect()
    }

    /// The machines of a cluster, oldest first.
    pub(super) fn machines(&self, cluster: &str, select: impl Fn(&Object) -> bool) -> Vec<Arc<Object>> {
        let mut machines = self.list(ids::MACHINES, |m| m.text("spec.clusterName") == cluster && select(m));
        machines.sort_by(|a, b| {
            (a.text("metadata.creationTimestamp"), a.name())
                .cmp(&(b.text("metadata.creationTimestamp"), b.name()))
        });
        machines
    }

    /// Changes the object itself. Nothing happens if `change` changes nothing.
    pub(super) fn update(&self, manager: &str, change: impl FnOnce(&mut Object)) -> Option<Arc<Object>> {
        self.server.modify(&self.resource, &self.namespace, &self.name, manager, change)
    }

    /// Creates an object of the same namespace; one that is there already is left alone, and other refusals are logged.
    pub(super) fn create(&self, resource: &str, manager: &str, object: Object) -> Option<Arc<Object>> {
        match self.server.create(resource, object, manager) {
            Ok(created) => Some(created),
            Err(refusal) => {
                if refusal.reason != "AlreadyExists" {
                    tracing::warn!(resource, namespace = self.namespace, %refusal, "a controller was refused");
                }
                None
            }
        }
    }

    /// The cluster of an object, by `spec.clusterName` or by its label.
    pub(super) fn cluster_of(&self, object: &Object) -> Option<Arc<Object>> {
        let name = object.text_at("spec.clusterName").or_else(|| object.label(CLUSTER_NAME))?;
        self.get(ids::CLUSTERS, name)
    }

    /// Whether an object or its cluster is paused.
    pub(super) fn is_paused(&self, object: &Object) -> bool {
        if object.annotation("cluster.x-k8s.io/paused").is_some() {
            return true;
        }
        if self.resource == ids::CLUSTERS {
            return object.flag("spec.paused");
        }
        self.cluster_of(object).is_some_and(|cluster| cluster.flag("spec.paused"))
    }

    /// The infrastructure of a cluster.
    pub(super) fn openstack_cluster(&self, cluster: &Object) -> Option<Arc<Object>> {
        self.get(ids::OPENSTACK_CLUSTERS, cluster.text("spec.infrastructureRef.name"))
    }

    /// The cloud of a workload cluster, as the programs in it reach it: with the credential of its OpenStackCluster.
    pub(super) fn cloud_of_workload(&self, cluster: &Object) -> Option<Cloud<'w>> {
        let name = cluster.text("spec.infrastructureRef.name");
        let infrastructure = self.server.get(ids::OPENSTACK_CLUSTERS, cluster.namespace(), name)?;
        match self.cloud_in(cluster.namespace(), infrastructure.at("spec.identityRef")) {
            Ok(cloud) => Some(cloud),
            Err(error) => {
                tracing::warn!(cluster = cluster.name(), %error, "a workload cluster has no access to the cloud");
                None
            }
        }
    }

    /// The cloud of an `identityRef`: the Secret is read, and Keystone asked.
    pub(super) fn cloud(&self, identity: &Value) -> CloudResult<Cloud<'w>> {
        self.cloud_in(&self.namespace, identity)
    }

    fn cloud_in(&self, namespace: &str, identity: &Value) -> CloudResult<Cloud<'w>> {
        let name = identity.text("name");
        let missing = || CloudError::new(format!("Secret \"{name}\" not found"));
        let secret = self.server.get("secrets", namespace, name).ok_or_else(missing)?;
        let encoded = secret.at("data").get("clouds.yaml").and_then(Value::as_str);
        let no_content = || CloudError::new("OpenStack credentials secret did not contain key clouds.yaml");
        let bytes = STANDARD
            .decode(encoded.ok_or_else(no_content)?)
            .map_err(|error| CloudError::new(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|error| CloudError::new(error.to_string()))?;
        Cloud::connect(self.world, &text, identity.text("cloudName"))
    }

    /// Looks at another object of the same namespace soon.
    pub(super) fn wake(&self, resource: &str, name: &str) {
        self.world.kubernetes().queue().push(Item::new(resource, &self.namespace, name));
    }

    /// Records a Kubernetes Event about an object, as `client-go`'s recorder does: one that is repeated is counted.
    pub(super) fn event(&self, object: &Object, kind: &str, reason: &str, message: &str) {
        let source = "capo-controller-manager";
        let digest = Sha256::digest(format!("{} {reason} {message}", object.uid()));
        let suffix: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{}.{suffix}", object.name());
        let counted = self.server.modify("events", &self.namespace, &name, source, |event| {
            let count = event.int("count").unwrap_or(1) + 1;
            event.set("count", count);
            event.set("lastTimestamp", self.now.clone());
        });
        if counted.is_some() {
            return;
        }
        let about = json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "name": object.name(),
            "namespace": self.namespace, "uid": object.uid(), "resourceVersion": object.text("metadata.resourceVersion")});
        let event = json!({"metadata": {"name": name, "namespace": self.namespace}, "involvedObject": about, "type": kind,
            "reason": reason, "message": message, "source": {"component": source}, "reportingComponent": source,
            "firstTimestamp": self.now, "lastTimestamp": self.now, "count": 1});
        self.create("events", source, event);
    }
}
