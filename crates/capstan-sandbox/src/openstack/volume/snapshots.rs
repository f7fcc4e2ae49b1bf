//! Snapshots of volumes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;
use crate::openstack::microversion::Microversion;
use crate::openstack::table::identified;
use crate::openstack::time;
use crate::openstack::{LOOK_AGAIN, OpenStack};

/// A snapshot.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Id.
    pub id: String,
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// The volume it is of.
    pub volume_id: String,
    /// `creating`, `available`, `deleting`.
    pub status: String,
    /// GiB.
    pub size: i64,
    /// Free keys and values.
    pub metadata: BTreeMap<String, String>,
    /// Owner.
    pub project_id: String,
    user_id: String,
    created_at: String,
    pub(super) updated_at: Option<String>,
}

identified!(Snapshot);

/// Body of a create.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotCreate {
    /// The volume it is of.
    pub volume_id: String,
    /// Name.
    #[serde(default)]
    pub name: Option<String>,
    /// Free text.
    #[serde(default)]
    pub description: Option<String>,
    /// Also of an attached volume.
    #[serde(default)]
    pub force: Option<bool>,
    /// Free keys and values.
    #[serde(default)]
    pub metadata: Option<BTreeMap<String, String>>,
}

impl Snapshot {
    pub(super) fn view(&self, detail: bool, version: Microversion) -> Value {
        let mut view = json!({
            "id": self.id, "created_at": self.created_at, "updated_at": self.updated_at, "name": self.name,
            "description": self.description, "volume_id": self.volume_id, "status": self.status, "size": self.size,
            "metadata": self.metadata,
        });
        if detail {
            let progress = if self.status == "creating" { "0%" } else { "100%" };
            view["os-extended-snapshot-attributes:project_id"] = json!(self.project_id);
            view["os-extended-snapshot-attributes:progress"] = json!(progress);
        }
        let additions = [
            (14, "group_snapshot_id", Value::Null),
            (41, "user_id", json!(self.user_id)),
            (65, "consumes_quota", json!(true)),
        ];
        for (_, key, value) in additions.into_iter().filter(|(since, _, _)| version.at_least(*since)) {
            view[key] = value;
        }
        view
    }
}

impl OpenStack {
    /// A snapshot that the caller may see.
    ///
    /// # Errors
    /// 404.
    pub fn snapshot(&self, caller: &Token, id: &str) -> Result<&Snapshot, ApiError> {
        let found = self.volume.snapshots.get(id).filter(|each| caller.sees(&each.project_id));
        found.ok_or_else(|| ApiError::not_found(format!("Snapshot {id} could not be found.")))
    }

    /// Makes a snapshot; it is `creating` for a while.
    ///
    /// # Errors
    /// As Cinder's.
    pub fn create_snapshot(&mut self, caller: &Token, request: SnapshotCreate) -> Result<Snapshot, ApiError> {
        let volume = self.volume(caller, &request.volume_id)?;
        let fits = volume.status == "available" || (request.force == Some(true) && volume.status == "in-use");
        if !fits {
            return Err(ApiError::bad_request(format!(
                "Invalid volume: Volume {} status must be available, but current status is: {}.",
                volume.id, volume.status
            )));
        }
        let size = volume.size;
        self.volume_quota(&caller.project_id, "snapshots", 1)?;
        self.volume_quota(&caller.project_id, "gigabytes", size)?;
        let snapshot = Snapshot {
            id: self.ids.uuid(),
            name: request.name,
            description: request.description,
            volume_id: request.volume_id,
            status: "creating".to_owned(),
            size,
            metadata: request.metadata.unwrap_or_default(),
            project_id: caller.project_id.clone(),
            user_id: caller.user_id.clone(),
            created_at: time::micros(self.clock.now()),
            updated_at: None,
        };
        let id = snapshot.id.clone();
        self.volume.snapshots.insert(snapshot.clone());
        self.clock.after(self.timings.volume, move |world| {
            let now = time::micros(world.now());
            if let Some(snapshot) = world.openstack().volume.snapshots.get_mut(&id) {
                "available".clone_into(&mut snapshot.status);
                snapshot.updated_at = Some(now);
            }
        });
        Ok(snapshot)
    }

    /// Deletes a snapshot; it is `deleting` for a while.
    ///
    /// # Errors
    /// 404, 400 in the wrong state.
    pub fn delete_snapshot(&mut self, caller: &Token, id: &str) -> Result<(), ApiError> {
        let snapshot = self.snapshot(caller, id)?;
        if !["available", "error"].contains(&snapshot.status.as_str()) {
            return Err(ApiError::bad_request(
                "Invalid snapshot: Snapshot status must be one of available, error.",
            ));
        }
        if let Some(snapshot) = self.volume.snapshots.get_mut(id) {
            "deleting".clone_into(&mut snapshot.status);
        }
        let id = id.to_owned();
        self.clock.after(self.timings.volume, move |world| world.openstack().remove_snapshot(id));
        Ok(())
    }

    fn remove_snapshot(&mut self, id: String) {
        let Some(snapshot) = self.volume.snapshots.get(&id).filter(|each| each.status == "deleting") else {
            return;
        };
        if self.faults.volume_is_stuck(snapshot.name.as_deref().unwrap_or_default()) {
            self.clock.background(LOOK_AGAIN, move |world| world.openstack().remove_snapshot(id));
            return;
        }
        self.volume.snapshots.remove(&id);
    }
}
