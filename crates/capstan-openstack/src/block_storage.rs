//! Cinder: volumes and snapshots.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::Result;
use crate::request::Service;
use crate::resource::{Quota, named, or_default};

/// The block storage service.
#[derive(Debug, Clone)]
pub struct BlockStorage(pub(crate) Service);

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Volume {
    /// The id.
    pub id: String,
    /// The name; empty for some that Nova makes.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// `available`, `in-use`, `creating`, `deleting`, `error`, …
    pub status: String,
    /// Size in GiB.
    pub size: u64,
    /// Its type.
    #[serde(default, deserialize_with = "or_default")]
    pub volume_type: String,
    /// Where it is.
    #[serde(default, deserialize_with = "or_default")]
    pub availability_zone: String,
    /// Servers can boot from it.
    #[serde(default, deserialize_with = "or_default")]
    pub bootable: String,
    /// Set by whoever made it: the CSI driver writes `cinder.csi.openstack.org/cluster`.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: BTreeMap<String, String>,
    /// The servers that use it.
    #[serde(default, deserialize_with = "or_default")]
    pub attachments: Vec<Attachment>,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
}

/// A server's use of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Attachment {
    /// The server.
    pub server_id: String,
    /// The device's name there.
    #[serde(default, deserialize_with = "or_default")]
    pub device: String,
}

/// A snapshot of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Snapshot {
    /// The id.
    pub id: String,
    /// The name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// `available`, `creating`, `deleting`, `error`, …
    pub status: String,
    /// The volume.
    pub volume_id: String,
    /// Size in GiB.
    pub size: u64,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: BTreeMap<String, String>,
}

/// A kind of volumes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VolumeType {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// What it is for.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
}

/// Where volumes can be placed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VolumeZone {
    /// The name.
    #[serde(rename = "zoneName")]
    pub name: String,
    #[serde(rename = "zoneState")]
    state: ZoneState,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct ZoneState {
    available: bool,
}

impl VolumeZone {
    /// It takes volumes at present.
    #[must_use]
    pub const fn is_available(&self) -> bool {
        self.state.available
    }
}

/// Limits of a project and what is in use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VolumeQuota {
    /// Volumes.
    pub volumes: Quota,
    /// Snapshots.
    pub snapshots: Quota,
    /// GiB of all volumes and snapshots.
    pub gigabytes: Quota,
    /// GiB of one volume.
    pub per_volume_gigabytes: Quota,
}

named!(Volume: "volume", Snapshot: "snapshot", VolumeType: "volume type");

/// Which volumes or snapshots to list. What is empty does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The exact name.
    pub name: Option<String>,
    /// Metadata that it has.
    pub metadata: BTreeMap<String, String>,
}

impl Filter {
    /// Everything with this metadata.
    #[must_use]
    pub fn with_metadata(key: &str, value: &str) -> Self {
        Self { name: None, metadata: BTreeMap::from([(key.to_owned(), value.to_owned())]) }
    }

    /// Cinder takes metadata in the notation of Python dictionaries, and not everywhere: it is looked at here.
    fn fits(&self, metadata: &BTreeMap<String, String>) -> bool {
        self.metadata.iter().all(|(key, value)| metadata.get(key) == Some(value))
    }
}

impl BlockStorage {
    /// The volumes of the project that fit.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn volumes(&self, filter: &Filter) -> Result<Vec<Volume>> {
        let call = self.0.get(&["volumes", "detail"]).filter("name", filter.name.as_deref());
        let mut volumes: Vec<Volume> = call.list("volumes").await?;
        volumes.retain(|volume| filter.fits(&volume.metadata));
        Ok(volumes)
    }

    /// One volume.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn volume(&self, id: &str) -> Result<Volume> {
        self.0.get(&["volumes", id]).one("volume").await
    }

    /// Asks for a volume's removal, which takes its time; one that does not exist is as good as removed. One in use,
    /// or with snapshots, is refused (400).
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn delete_volume(&self, id: &str) -> Result<()> {
        self.0.delete(&["volumes", id]).gone().await
    }

    /// The snapshots of the project that fit.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn snapshots(&self, filter: &Filter) -> Result<Vec<Snapshot>> {
        let call = self.0.get(&["snapshots", "detail"]).filter("name", filter.name.as_deref());
        let mut snapshots: Vec<Snapshot> = call.list("snapshots").await?;
        snapshots.retain(|snapshot| filter.fits(&snapshot.metadata));
        Ok(snapshots)
    }

    /// Asks for a snapshot's removal, which takes its time; one that does not exist is as good as removed.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn delete_snapshot(&self, id: &str) -> Result<()> {
        self.0.delete(&["snapshots", id]).gone().await
    }

    /// The volume types that the project may use.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn volume_types(&self) -> Result<Vec<VolumeType>> {
        self.0.get(&["types"]).list("volume_types").await
    }

    /// The availability zones of volumes, which need not be those of servers.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn availability_zones(&self) -> Result<Vec<VolumeZone>> {
        self.0.get(&["os-availability-zone"]).list("availabilityZoneInfo").await
    }

    /// Limits of the project and what is in use.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn quota(&self) -> Result<VolumeQuota> {
        let project = self.0.cloud.project_id().await?;
        self.0.get(&["os-quota-sets", &project]).query("usage", "true").one("quota_set").await
    }
}
