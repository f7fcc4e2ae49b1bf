//! What the cloud says of the names in a document: the values that rendering needs and that only OpenStack knows.

use std::collections::BTreeMap;

use capstan_core::versions::KubernetesVersion;

/// Found by the preflight component, used by rendering, quota and plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The Kubernetes release: the document's, or the newest of its minor with a published image.
    pub version: KubernetesVersion,
    /// The flavors that the document names.
    pub flavors: BTreeMap<String, Flavor>,
    /// What the node image asks for at least, in GiB; 0 where it says nothing or isn't there yet.
    pub image_min_disk_gib: u32,
    /// Id of the external network; absent where the cluster has none.
    pub external_network: Option<String>,
    /// The network that the document names, by ids.
    pub existing_network: Option<ExistingNetwork>,
    /// Whether block storage has zones of the same names as compute: then root volumes follow their machines.
    pub volume_zones_match: bool,
}

/// What is needed to know of a flavor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flavor {
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub ram_mib: u32,
    /// Disk in GiB; 0 means that machines start from a volume.
    pub disk_gib: u32,
}

/// A network that was there before the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingNetwork {
    /// Id of the network.
    pub network: String,
    /// Ids of the subnets to use.
    pub subnets: Vec<String>,
    /// Id of the router.
    pub router: Option<String>,
}
