//! From a document to Cluster API objects: pure, and written to be read beside the YAML that `kubectl` shows.
//!
//! Objects are written as JSON literals and checked against the types generated from the CRDs: a test parses each one
//! into its type and asserts that nothing was lost, so a misspelt field doesn't survive.

mod cluster;
mod control_plane;
mod health_check;
mod kubeadm;
mod machine_template;
mod node_group;

use capstan_core::documents::WorkloadClusterSpec;
use capstan_core::names::{self, ClusterNames};
use serde_json::{Value, json};

use crate::facts::Facts;

pub use node_group::Zone;

/// API group and version of Cluster API's core objects.
pub const CLUSTER_API: &str = "cluster.x-k8s.io/v1beta2";
/// API group and version of the kubeadm bootstrap provider's objects.
pub const BOOTSTRAP: &str = "bootstrap.cluster.x-k8s.io/v1beta2";
/// API group and version of the kubeadm control plane provider's objects.
pub const CONTROL_PLANE: &str = "controlplane.cluster.x-k8s.io/v1beta2";
/// API group and version of the OpenStack infrastructure provider's objects.
pub const INFRASTRUCTURE: &str = "infrastructure.cluster.x-k8s.io/v1beta1";

/// Label that `clusterctl move` follows for objects that belong to no Cluster.
pub const MOVE_LABEL: &str = "clusterctl.cluster.x-k8s.io/move";

/// What a cluster's objects are made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The derived names.
    pub names: &'a ClusterNames,
    /// The document, with all defaults.
    pub spec: &'a WorkloadClusterSpec,
    /// What the cloud said of the names in it.
    pub facts: &'a Facts,
}

/// All Cluster API objects of one cluster, by what they are changed together with.
#[derive(Debug, Clone, PartialEq)]
pub struct Objects {
    /// `Cluster` and `OpenStackCluster`.
    pub cluster: Vec<Value>,
    /// `OpenStackMachineTemplate`, `KubeadmControlPlane` and its `MachineHealthCheck`.
    pub control_plane: Vec<Value>,
    /// Per node group (and zone, where it spreads over several): templates, `MachineDeployment`, `MachineHealthCheck`.
    pub node_groups: Vec<Value>,
}

impl Objects {
    /// Every object, in the order in which they are applied: what is referred to first.
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        self.cluster.iter().chain(&self.control_plane).chain(&self.node_groups)
    }
}

/// Renders every object of a cluster.
#[must_use]
pub fn objects(input: Input<'_>) -> Objects {
    Objects {
        cluster: cluster::objects(input),
        control_plane: control_plane::objects(input),
        node_groups: input
            .spec
            .node_groups
            .iter()
            .flat_map(|group| node_group::objects(input, group))
            .collect(),
    }
}

/// An object with our labels.
fn object(input: Input<'_>, api_version: &str, kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": input.names.namespace(),
            "labels": labels(input.names),
        },
        "spec": spec,
    })
}

/// The labels by which Kubernetes objects are proven to be the cluster's.
#[must_use]
pub fn labels(cluster: &ClusterNames) -> Value {
    json!({ names::FLEET_LABEL: cluster.fleet(), names::CLUSTER_LABEL: cluster.cluster() })
}

/// Puts `value` under `key` unless it is null, empty or absent: Cluster API v1beta2 refuses zero values.
fn set(object: &mut Value, key: &str, value: impl Into<Value>) {
    let value = value.into();
    let empty = match &value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    if let (false, Some(fields)) = (empty, object.as_object_mut()) {
        fields.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests;
