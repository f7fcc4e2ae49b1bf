//! `kind: Fleet`: one management plane, and what its clusters have in common.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cluster::{CloudRef, Metadata, WorkloadClusterSpec};
use super::values::MinimumVersion;

/// A fleet: one management plane and the clusters that it looks after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fleet {
    /// Version of the document's format.
    pub api_version: ApiVersion,
    /// Kind of the document.
    pub kind: FleetKind,
    /// The fleet's name: prefix of everything that it makes.
    pub metadata: Metadata,
    /// What the fleet is.
    pub spec: FleetSpec,
}

/// `capstan.dev/v1alpha1`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The only version so far.
    #[default]
    #[serde(rename = "capstan.dev/v1alpha1")]
    V1Alpha1,
}

/// `Fleet`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FleetKind {
    /// The kind of this document.
    #[default]
    Fleet,
}

/// What a fleet is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FleetSpec {
    /// The OpenStack project that the fleet works in.
    #[serde(default)]
    pub cloud: CloudRef,
    /// The management plane.
    pub management: ManagementSpec,
    /// What the fleet's networks are connected to.
    #[serde(default)]
    pub network: FleetNetworkSpec,
    /// How clusters get credentials for OpenStack.
    #[serde(default)]
    pub credentials: CredentialsSpec,
    /// Any part of a cluster's `spec`, for every cluster that doesn't say otherwise: maps are merged, lists replaced;
    /// a node group takes what it doesn't say from the group of the same name here.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "WorkloadClusterSpec")]
    pub defaults: Map<String, Value>,
}

/// The management plane: the Kubernetes cluster in which Cluster API and its OpenStack provider run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManagementSpec {
    /// Where the management plane runs.
    pub runtime: Runtime,
    /// How to reach it.
    #[serde(default)]
    pub kubeconfig: KubeconfigRef,
    /// The oldest versions of its components that are accepted.
    #[serde(default)]
    pub versions: ComponentVersions,
}

/// Where the management plane runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Runtime {
    /// A Kubernetes cluster that is there already, with cert-manager, ORC, Cluster API and its OpenStack provider.
    Existing,
}

/// A kubeconfig file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubeconfigRef {
    /// The file; a relative path counts from the fleet's folder. Without it: `KUBECONFIG`, then `~/.kube/config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub path: Option<String>,
    /// The context; without it the file's current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub context: Option<String>,
}

/// The oldest accepted version of each component of the management plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ComponentVersions {
    /// Cluster API, its kubeadm bootstrap and its kubeadm control plane provider.
    pub cluster_api: MinimumVersion,
    /// The OpenStack provider of Cluster API.
    pub openstack_provider: MinimumVersion,
    /// The OpenStack resource controller, which the provider needs.
    pub resource_controller: MinimumVersion,
    /// cert-manager, which makes the webhooks' certificates.
    pub cert_manager: MinimumVersion,
}

impl Default for ComponentVersions {
    /// v1beta2 of Cluster API came with 1.11; the OpenStack provider 0.14 asks for 1.12 and ORC 2.
    fn default() -> Self {
        Self {
            cluster_api: MinimumVersion::new(1, 12, 0),
            openstack_provider: MinimumVersion::new(0, 14, 0),
            resource_controller: MinimumVersion::new(2, 0, 0),
            cert_manager: MinimumVersion::new(1, 14, 0),
        }
    }
}

/// What the fleet's networks are connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FleetNetworkSpec {
    /// Name or id of the external network; may be left out where the project sees exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub external: Option<String>,
}

/// How clusters get credentials for OpenStack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialsSpec {
    /// Who shares one application credential.
    #[serde(default)]
    pub scope: CredentialScope,
}

/// Who shares one application credential.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CredentialScope {
    /// Each cluster has one of its own.
    #[default]
    Cluster,
    /// All clusters use the fleet's.
    Fleet,
}
