//! `kind: WorkloadCluster`: one cluster for users.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fleet::ApiVersion;
use super::values::{Cidr, CountOrPercent, ImageSource, Sha256Sum};
use crate::versions::KubernetesVersion;

/// The flavor of machines that say nothing else: two cores, 4 GiB, a 20 GB disk (SCS flavor standard).
pub const DEFAULT_FLAVOR: &str = "SCS-2V-4-20s";

/// A workload cluster: a Kubernetes cluster for users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadCluster {
    /// Version of the document's format.
    pub api_version: ApiVersion,
    /// Kind of the document.
    pub kind: WorkloadClusterKind,
    /// The cluster's name.
    pub metadata: Metadata,
    /// What the cluster is; what is left out comes from the fleet's `spec.defaults`.
    #[serde(default)]
    #[schemars(with = "WorkloadClusterSpec")]
    pub spec: serde_json::Map<String, serde_json::Value>,
}

/// `WorkloadCluster`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadClusterKind {
    /// The kind of this document.
    #[default]
    WorkloadCluster,
}

/// Identity of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The name: lower-case letters, digits and `-`.
    #[schemars(extend("format" = "dns-label"))]
    pub name: String,
}

/// A workload cluster's specification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadClusterSpec {
    /// The Kubernetes release.
    pub kubernetes: KubernetesSpec,
    /// Another OpenStack project or cloud than the fleet's.
    #[serde(default, skip_serializing_if = "CloudRef::is_default")]
    pub cloud: CloudRef,
    /// The image that the nodes start from.
    #[serde(default)]
    pub image: ImageSpec,
    /// The network of the nodes, and the ranges of pods and services.
    #[serde(default)]
    pub network: NetworkSpec,
    /// How the cluster's API server is reached.
    #[serde(default)]
    pub api: ApiSpec,
    /// The control plane machines.
    #[serde(default)]
    pub control_plane: ControlPlaneSpec,
    /// Groups of equal workers.
    #[serde(default = "default_node_groups")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub node_groups: Vec<NodeGroupSpec>,
    /// When a machine counts as unhealthy and is replaced.
    #[serde(default)]
    pub health_checks: HealthChecksSpec,
    /// Name of an SSH key pair in OpenStack that is let into the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub ssh_key_name: Option<String>,
    /// Refuse to delete the cluster as long as this is true.
    #[serde(default)]
    pub deletion_protection: bool,
}

/// The Kubernetes release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubernetesSpec {
    /// A release such as `v1.36.1`, or a minor alone for its newest patch with a published image.
    pub version: KubernetesVersion,
}

/// An OpenStack project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CloudRef {
    /// The entry of `clouds.yaml`. Without it: the fleet's for a cluster; `OS_CLOUD`, then the `OS_*` variables for a fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub name: Option<String>,
}

impl CloudRef {
    fn is_default(&self) -> bool {
        self.name.is_none()
    }
}

/// The image that the nodes start from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ImageSpec {
    /// The image's name in Glance; `{version}` stands for the Kubernetes version with its `v`.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// Where to get the image if Glance doesn't have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ImageSource>,
    /// Checksum of what `source` holds; an address needs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Sum>,
    /// Format of the disk that `source` holds.
    pub format: ImageFormat,
    /// Properties of the image in Glance, beside those of the SCS image standard.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

impl Default for ImageSpec {
    fn default() -> Self {
        Self {
            name: "ubuntu-capi-image-{version}".into(),
            source: None,
            sha256: None,
            format: ImageFormat::Qcow2,
            properties: BTreeMap::new(),
        }
    }
}

impl ImageSpec {
    /// The image's name for a release.
    #[must_use]
    pub fn name_for(&self, version: &KubernetesVersion) -> String {
        self.name.replace("{version}", &version.to_string())
    }

    /// The image's source for a release, if there is one.
    #[must_use]
    pub fn source_for(&self, version: &KubernetesVersion) -> Option<ImageSource> {
        self.source.as_ref().map(|source| source.with_version(&version.to_string()))
    }

    /// The release that an image of that name is for, if the name fits the pattern.
    #[must_use]
    pub fn version_of(&self, image_name: &str) -> Option<KubernetesVersion> {
        const PLACE: &str = "{version}";
        // A pattern may say the version more than once.
        let places = self.name.matches(PLACE).count();
        let others = self.name.len() - places * PLACE.len();
        let length = image_name.len().checked_sub(others)?.checked_div(places)?;
        let start = self.name.find(PLACE)?;
        let version: KubernetesVersion = image_name.get(start..start + length)?.parse().ok()?;
        (version.is_release() && self.name_for(&version) == image_name).then_some(version)
    }
}

/// Format of a disk image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ImageFormat {
    /// QEMU's own format.
    #[default]
    Qcow2,
    /// The bytes of the disk.
    Raw,
}

/// The network of the nodes, and the ranges of pods and services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NetworkSpec {
    /// Range of the node network that is made for the cluster; not used with `existing`.
    pub node_cidr: Cidr,
    /// Ranges of the pods.
    #[schemars(length(min = 1))]
    pub pod_cidrs: Vec<Cidr>,
    /// Ranges of the services.
    #[schemars(length(min = 1))]
    pub service_cidrs: Vec<Cidr>,
    /// Name servers of the nodes; without any the cloud's own.
    pub dns_servers: Vec<IpAddr>,
    /// MTU of the node network in bytes; without it the cloud's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 576, max = 9216))]
    pub mtu: Option<u32>,
    /// Name or id of the external network, if it is another one than the fleet's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub external: Option<String>,
    /// A network that is there already, in place of one that is made for the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing: Option<ExistingNetworkSpec>,
}

impl Default for NetworkSpec {
    fn default() -> Self {
        let range =
            |a, b, length| Cidr::from(IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), length)));
        Self {
            node_cidr: range(10, 8, 20),
            pod_cidrs: vec![range(192, 168, 16)],
            service_cidrs: vec![range(10, 96, 12)],
            dns_servers: vec![],
            mtu: None,
            external: None,
            existing: None,
        }
    }
}

/// A network that is there already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExistingNetworkSpec {
    /// Name or id of the network.
    #[schemars(length(min = 1))]
    pub network: String,
    /// Name or id of its subnet; may be left out where the network has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub subnet: Option<String>,
    /// Name or id of the router that connects it to the external network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub router: Option<String>,
}

/// How the cluster's API server is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ApiSpec {
    /// Who may connect; without any everybody. The cluster's own nodes always may.
    pub allowed_cidrs: Vec<Cidr>,
    /// Give the API server a floating IP. Without one the management plane must reach the node network.
    pub floating_ip: bool,
    /// The load balancer before the API servers.
    pub load_balancer: LoadBalancerSpec,
}

impl Default for ApiSpec {
    fn default() -> Self {
        Self { allowed_cidrs: vec![], floating_ip: true, load_balancer: LoadBalancerSpec::default() }
    }
}

/// The load balancer before the API servers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LoadBalancerSpec {
    /// Octavia's provider, such as `amphora` or `ovn`; without it the cloud's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub provider: Option<String>,
    /// Name or id of an Octavia flavor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub flavor: Option<String>,
}

/// Whether machines of one group may share a hypervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AntiAffinity {
    /// Never: a machine that finds no hypervisor of its own is not made.
    Hard,
    /// Only if there is no other way.
    Soft,
    /// As the cloud likes; no server group is made.
    None,
}

/// The control plane machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ControlPlaneSpec {
    /// How many: an odd number, as etcd needs a majority.
    #[schemars(range(min = 1, max = 9))]
    pub replicas: u32,
    /// Name of the flavor.
    #[schemars(length(min = 1))]
    pub flavor: String,
    /// Availability zones to spread over; without any all that the cloud has.
    #[schemars(inner(length(min = 1)))]
    pub zones: Vec<String>,
    /// Whether the machines may share a hypervisor.
    pub anti_affinity: AntiAffinity,
    /// A volume to start from in place of the flavor's disk; needed with a diskless flavor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_volume: Option<RootVolumeSpec>,
    /// Metadata of the servers in Nova.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl Default for ControlPlaneSpec {
    fn default() -> Self {
        Self {
            replicas: 1,
            flavor: DEFAULT_FLAVOR.into(),
            zones: vec![],
            anti_affinity: AntiAffinity::Hard,
            root_volume: None,
            metadata: BTreeMap::new(),
        }
    }
}

/// A volume that a machine starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RootVolumeSpec {
    /// Size in GiB.
    #[serde(rename = "sizeGiB")]
    #[schemars(range(min = 1, max = 16384))]
    pub size_gib: u32,
    /// Volume type; without it the cloud's default.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub volume_type: Option<String>,
}

/// A group of equal workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeGroupSpec {
    /// The group's name, unique in the cluster.
    #[schemars(extend("format" = "dns-label"))]
    pub name: String,
    /// How many machines.
    #[serde(default = "default_workers")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: u32,
    /// Name of the flavor.
    #[serde(default = "default_flavor")]
    #[schemars(length(min = 1))]
    pub flavor: String,
    /// Availability zones to spread over; without any the cloud chooses.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub zones: Vec<String>,
    /// Whether the machines may share a hypervisor.
    #[serde(default = "default_worker_anti_affinity")]
    pub anti_affinity: AntiAffinity,
    /// A volume to start from in place of the flavor's disk; needed with a diskless flavor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_volume: Option<RootVolumeSpec>,
    /// Labels of the nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("additionalProperties" = {"type": "string", "format": "label-value"}))]
    pub labels: BTreeMap<String, String>,
    /// Taints of the nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<TaintSpec>,
    /// Metadata of the servers in Nova.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl Default for NodeGroupSpec {
    fn default() -> Self {
        Self {
            name: "default".into(),
            replicas: default_workers(),
            flavor: default_flavor(),
            zones: vec![],
            anti_affinity: default_worker_anti_affinity(),
            root_volume: None,
            labels: BTreeMap::new(),
            taints: vec![],
            metadata: BTreeMap::new(),
        }
    }
}

const fn default_workers() -> u32 {
    3
}

fn default_flavor() -> String {
    DEFAULT_FLAVOR.into()
}

const fn default_worker_anti_affinity() -> AntiAffinity {
    AntiAffinity::Soft
}

fn default_node_groups() -> Vec<NodeGroupSpec> {
    vec![NodeGroupSpec::default()]
}

/// A taint: keeps pods away that don't tolerate it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaintSpec {
    /// The key, with an optional `dns.name/` before it.
    #[schemars(length(min = 1))]
    pub key: String,
    /// The value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(extend("format" = "label-value"))]
    pub value: String,
    /// What happens to pods that don't tolerate it.
    pub effect: TaintEffect,
}

/// What happens to pods that don't tolerate a taint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// They are not scheduled.
    NoSchedule,
    /// They are scheduled only if there is no other node.
    PreferNoSchedule,
    /// They are not scheduled, and evicted where they run.
    NoExecute,
}

/// When a machine counts as unhealthy and is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HealthChecksSpec {
    /// Replace unhealthy machines.
    pub enabled: bool,
    /// How long a machine may take until its node has joined, in seconds.
    #[schemars(range(min = 60, max = 86400))]
    pub node_startup_timeout_seconds: u32,
    /// How long a node may be not ready, in seconds.
    #[schemars(range(min = 30, max = 86400))]
    pub unhealthy_timeout_seconds: u32,
    /// With more unhealthy machines in a group than this, none is replaced: the cause is then elsewhere.
    pub max_unhealthy: CountOrPercent,
}

impl Default for HealthChecksSpec {
    fn default() -> Self {
        Self {
            enabled: true,
            node_startup_timeout_seconds: 1200,
            unhealthy_timeout_seconds: 300,
            max_unhealthy: CountOrPercent::Percent(100),
        }
    }
}
