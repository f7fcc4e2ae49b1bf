//! Cinder: volumes, snapshots.

mod changes;
mod limits;
mod routes;
mod snapshots;
mod volumes;

use serde::Serialize;
use serde_json::{Value, json};

pub(crate) use self::routes::router;
pub use self::snapshots::{Snapshot, SnapshotCreate};
pub use self::volumes::{Volume, VolumeAttachment, VolumeCreate};

use super::OpenStack;
use super::error::ApiError;
use super::table::Table;

/// Cinder's state.
pub struct Cinder {
    pub(crate) volumes: Table<Volume>,
    pub(crate) snapshots: Table<Snapshot>,
    pub(crate) types: Vec<VolumeType>,
}

/// A volume type.
#[derive(Debug, Clone, Serialize)]
pub struct VolumeType {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
}

impl VolumeType {
    fn view(&self) -> Value {
        json!({"id": self.id, "name": self.name, "is_public": true, "description": self.description,
               "extra_specs": {}, "os-volume-type-access:is_public": true})
    }
}

impl Cinder {
    pub(crate) fn new(ids: &crate::ids::Ids) -> Self {
        let kind = |name: &str, description: &str| VolumeType {
            id: ids.uuid(),
            name: name.to_owned(),
            description: description.to_owned(),
        };
        Self {
            volumes: Table::default(),
            snapshots: Table::default(),
            types: vec![kind("__DEFAULT__", "Default Volume Type"), kind("ssd", "Local to no host, fast")],
        }
    }

    fn find_type(&self, name: &str) -> Option<&VolumeType> {
        self.types.iter().find(|each| each.name == name || each.id == name)
    }
}

impl OpenStack {
    /// How much of a quota the project uses.
    fn volume_usage(&self, project_id: &str, resource: &str) -> i64 {
        let volumes = self.volume.volumes.iter().filter(|each| each.project_id == project_id);
        let snapshots = self.volume.snapshots.iter().filter(|each| each.project_id == project_id);
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        match resource {
            "volumes" => count(volumes.count()),
            "snapshots" => count(snapshots.count()),
            "gigabytes" => volumes.map(|each| each.size).chain(snapshots.map(|each| each.size)).sum(),
            _ => 0,
        }
    }

    /// Refuses what is over the quota, in Cinder's words.
    fn volume_quota(&self, project_id: &str, resource: &str, more: i64) -> Result<(), ApiError> {
        self.faults.count_create("volume", resource);
        let limit = self.limit(project_id, "volume", resource);
        let used = self.volume_usage(project_id, resource);
        if limit < 0 || used.saturating_add(more) <= limit {
            return Ok(());
        }
        Err(ApiError::new(
            413,
            "OverLimit",
            match resource {
                "gigabytes" => format!(
                    "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. \
                     Requested {more}G, quota is {limit}G and {used}G has been consumed."
                ),
                "volumes" => format!(
                    "VolumeLimitExceeded: Maximum number of volumes allowed ({limit}) exceeded for quota 'volumes'."
                ),
                other => format!("Maximum number of {other} allowed ({limit}) exceeded"),
            },
        ))
    }
}

/// The refusal to touch a volume in the wrong state.
fn busy() -> ApiError {
    ApiError::bad_request(
        "Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing \
         and must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated \
         from snapshots after volume transfer.",
    )
}
