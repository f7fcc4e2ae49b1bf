//! Volumes: from creating to available, in-use, deleting, gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::busy;
use crate::openstack::ZONES;
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;
use crate::openstack::microversion::Microversion;
use crate::openstack::table::identified;
use crate::openstack::time;
use crate::openstack::{LOOK_AGAIN, OpenStack};

/// A volume.
#[derive(Debug, Clone, Default)]
pub struct Volume {
    /// Id.
    pub id: String,
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// GiB.
    pub size: i64,
    /// `creating`, `available`, `reserved`, `in-use`, `deleting`.
    pub status: String,
    /// Zone.
    pub availability_zone: String,
    /// Name of its type.
    pub volume_type: String,
    /// The snapshot it was made from.
    pub snapshot_id: Option<String>,
    /// The volume it was made from.
    pub source_volid: Option<String>,
    /// Free keys and values.
    pub metadata: BTreeMap<String, String>,
    /// What it is attached to.
    pub attachments: Vec<VolumeAttachment>,
    /// Owner.
    pub project_id: String,
    /// Who made it.
    pub user_id: String,
    /// Properties of the image it was made from.
    pub image_metadata: Option<BTreeMap<String, String>>,
    /// What a client has said of booting from it.
    pub(super) bootable: Option<bool>,
    /// When it was made.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: Option<String>,
}

identified!(Volume);

/// A volume at a server.
#[derive(Debug, Clone, Serialize)]
pub struct VolumeAttachment {
    /// Id of the volume, again.
    pub id: String,
    /// Id of the attachment.
    pub attachment_id: String,
    /// Id of the volume.
    pub volume_id: String,
    /// Id of the server.
    pub server_id: String,
    host_name: Option<String>,
    /// Where the server sees it.
    pub device: String,
    /// Since when.
    pub attached_at: String,
}

/// Body of a create.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VolumeCreate {
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// GiB.
    pub size: Option<i64>,
    /// The default type if not given.
    pub volume_type: Option<String>,
    /// The first zone if not given.
    pub availability_zone: Option<String>,
    /// Makes it bootable.
    #[serde(rename = "imageRef")]
    pub image_ref: Option<String>,
    /// A copy of a snapshot.
    pub snapshot_id: Option<String>,
    /// A copy of a volume.
    pub source_volid: Option<String>,
    /// Free keys and values.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Refused: not simulated.
    pub consistencygroup_id: Option<String>,
    /// Must be false.
    pub multiattach: Option<bool>,
    /// Refused: not simulated.
    pub backup_id: Option<String>,
}

impl Volume {
    pub(super) fn links(&self, base_url: &str) -> Value {
        let path = format!("{}/volumes/{}", self.project_id, self.id);
        json!([{"rel": "self", "href": format!("{base_url}/volume/v3/{path}")},
               {"rel": "bookmark", "href": format!("{base_url}/volume/{path}")}])
    }

    pub(super) fn view(&self, cloud: &OpenStack, base_url: &str, version: Microversion) -> Value {
        let mut view = json!({
            "id": self.id, "status": self.status, "size": self.size, "availability_zone": self.availability_zone,
            "created_at": self.created_at, "updated_at": self.updated_at, "name": self.name,
            "description": self.description, "volume_type": self.volume_type, "snapshot_id": self.snapshot_id,
            "source_volid": self.source_volid, "metadata": self.metadata,
            "links": self.links(base_url), "user_id": self.user_id, "bootable": self.is_bootable().to_string(), "encrypted": false,
            "replication_status": null, "consistencygroup_id": null, "multiattach": false,
            "attachments": self.attachments, "os-vol-tenant-attr:tenant_id": self.project_id,
        });
        if let Some(metadata) = &self.image_metadata {
            view["volume_image_metadata"] = json!(metadata);
        }
        let kind = cloud.volume.find_type(&self.volume_type).map(|kind| kind.id.as_str());
        let additions = [
            (13, "group_id", Value::Null),
            (48, "service_uuid", Value::Null),
            // From 3.69 on it is not said any more.
            (48, "shared_targets", if version.at_least(69) { Value::Null } else { json!(true) }),
            (63, "volume_type_id", json!(kind)),
            (65, "consumes_quota", json!(true)),
        ];
        for (_, key, value) in additions.into_iter().filter(|(since, _, _)| version.at_least(*since)) {
            view[key] = value;
        }
        view
    }

    /// Made from an image, or said to be.
    fn is_bootable(&self) -> bool {
        self.bootable.unwrap_or(self.image_metadata.is_some())
    }
}

/// GiB that Cinder's database can hold.
const LARGEST: i64 = 2_147_483_647;

fn not_found(id: &str) -> ApiError {
    ApiError::not_found(format!("Volume {id} could not be found."))
}

impl OpenStack {
    /// A volume that the caller may see.
    ///
    /// # Errors
    /// 404.
    pub fn volume(&self, caller: &Token, id: &str) -> Result<&Volume, ApiError> {
        let found = self.volume.volumes.get(id).filter(|each| caller.sees(&each.project_id));
        found.ok_or_else(|| not_found(id))
    }

    /// The volumes that the caller may see, oldest first.
    pub fn volumes<'cloud>(&'cloud self, caller: &'cloud Token) -> impl Iterator<Item = &'cloud Volume> {
        self.volume.volumes.iter().filter(|each| caller.sees(&each.project_id))
    }

    /// Makes a volume; it is `creating` for a while.
    ///
    /// # Errors
    /// As Cinder's.
    pub fn create_volume(&mut self, caller: &Token, request: VolumeCreate) -> Result<Volume, ApiError> {
        if request.consistencygroup_id.is_some()
            || request.backup_id.is_some()
            || request.multiattach == Some(true)
        {
            return Err(ApiError::bad_request(
                "The sandbox simulates no groups, backups and multi-attach volumes.",
            ));
        }
        let zone = request.availability_zone.unwrap_or_else(|| ZONES[0].to_owned());
        if !ZONES.contains(&zone.as_str()) && zone != "nova" {
            return Err(ApiError::bad_request(format!("Availability zone '{zone}' is invalid.")));
        }
        let kind = request.volume_type.unwrap_or_else(|| "__DEFAULT__".to_owned());
        let kind = self.volume.find_type(&kind).map(|kind| kind.name.clone()).ok_or_else(|| {
            ApiError::not_found(format!("Volume type with name {kind} could not be found."))
        })?;
        let image_metadata = match &request.image_ref {
            Some(id) => Some(self.image_metadata(caller, id, request.size)?),
            None => None,
        };
        let size = self.source_size(
            caller,
            request.size,
            request.snapshot_id.as_deref(),
            request.source_volid.as_deref(),
        )?;
        let most = self.limit(&caller.project_id, "volume", "per_volume_gigabytes");
        if most >= 0 && size > most {
            return Err(ApiError::new(
                413,
                "OverLimit",
                format!("Requested volume size {size}G is larger than maximum allowed limit {most}G."),
            ));
        }
        self.volume_quota(&caller.project_id, "volumes", 1)?;
        self.volume_quota(&caller.project_id, "gigabytes", size)?;
        let mut delay = self.timings.volume;
        if image_metadata.is_some() {
            delay += self.timings.volume_from_image;
        }
        let volume = Volume {
            id: self.ids.uuid(),
            name: request.name,
            description: request.description,
            size,
            status: "creating".to_owned(),
            availability_zone: zone,
            volume_type: kind,
            snapshot_id: request.snapshot_id,
            source_volid: request.source_volid,
            metadata: request.metadata.unwrap_or_default(),
            project_id: caller.project_id.clone(),
            user_id: caller.user_id.clone(),
            image_metadata,
            created_at: time::micros(self.clock.now()),
            ..Volume::default()
        };
        let id = volume.id.clone();
        self.volume.volumes.insert(volume.clone());
        self.clock
            .after(delay, move |world| world.openstack().change_volume(&id, Some("creating"), "available"));
        Ok(volume)
    }

    fn image_metadata(
        &self,
        caller: &Token,
        id: &str,
        size: Option<i64>,
    ) -> Result<BTreeMap<String, String>, ApiError> {
        let image =
            self.image(caller, id).ok().filter(|image| image.status == "active").ok_or_else(|| {
                ApiError::bad_request("Invalid image identifier or unable to access requested image.")
            })?;
        let minimum = i64::try_from(image.min_disk).unwrap_or(i64::MAX);
        if let Some(size) = size.filter(|size| *size < minimum) {
            return Err(ApiError::bad_request(format!(
                "Invalid input received: Volume size {size}GB cannot be smaller than the image minDisk size {minimum}GB."
            )));
        }
        let mut metadata = image.properties.clone();
        for (key, value) in [
            ("image_id", Some(image.id.clone())),
            ("image_name", image.name.clone()),
            ("checksum", image.checksum.clone()),
            ("container_format", image.container_format.clone()),
            ("disk_format", image.disk_format.clone()),
            ("min_disk", Some(image.min_disk.to_string())),
            ("min_ram", Some(image.min_ram.to_string())),
            ("size", image.size.map(|size| size.to_string())),
        ] {
            metadata.extend(value.map(|value| (key.to_owned(), value)));
        }
        Ok(metadata)
    }

    /// The size asked for, or that of the source.
    fn source_size(
        &self,
        caller: &Token,
        size: Option<i64>,
        snapshot: Option<&str>,
        source: Option<&str>,
    ) -> Result<i64, ApiError> {
        let smallest = match (snapshot, source) {
            (Some(id), _) => Some(self.snapshot(caller, id)?.size),
            (None, Some(id)) => Some(self.volume(caller, id)?.size),
            (None, None) => None,
        };
        match (size, smallest) {
            (Some(size), Some(smallest)) if size < smallest => Err(ApiError::bad_request(format!(
                "Invalid input received: Volume size '{size}' GB cannot be smaller than original volume size {smallest} GB. \
                 They must be >= original volume size."
            ))),
            (Some(size), _) if size > LARGEST => Err(ApiError::bad_request(format!(
                "Invalid input for field/attribute size. Value: {size}. {size} is greater than the maximum of {LARGEST}"
            ))),
            (Some(size), _) if size > 0 => Ok(size),
            (None, Some(smallest)) => Ok(smallest),
            _ => Err(ApiError::bad_request(
                "The server could not comply with the request since it is either malformed or otherwise incorrect.",
            )),
        }
    }

    /// Moves a volume on, unless it is no longer in the state expected.
    pub(crate) fn change_volume(&mut self, id: &str, from: Option<&str>, to: &str) {
        let now = time::micros(self.clock.now());
        if let Some(volume) = self.volume.volumes.get_mut(id)
            && from.is_none_or(|from| volume.status == from)
        {
            to.clone_into(&mut volume.status);
            volume.updated_at = Some(now);
        }
    }

    /// Deletes a volume; it is `deleting` for a while.
    ///
    /// # Errors
    /// 404, 400 if it is attached or has snapshots.
    pub fn delete_volume(&mut self, caller: &Token, id: &str, cascade: bool) -> Result<(), ApiError> {
        let volume = self.volume(caller, id)?;
        let free = ["available", "error"].contains(&volume.status.as_str()) && volume.attachments.is_empty();
        let snapshots: Vec<String> = self
            .volume
            .snapshots
            .iter()
            .filter(|each| each.volume_id == id)
            .map(|each| each.id.clone())
            .collect();
        if !free || (!snapshots.is_empty() && !cascade) {
            return Err(busy());
        }
        for snapshot in snapshots {
            self.volume.snapshots.remove(&snapshot);
        }
        self.change_volume(id, None, "deleting");
        let id = id.to_owned();
        self.clock.after(self.timings.volume, move |world| world.openstack().remove_volume(id));
        Ok(())
    }

    fn remove_volume(&mut self, id: String) {
        let Some(volume) = self.volume.volumes.get(&id).filter(|volume| volume.status == "deleting") else {
            return;
        };
        if self.faults.volume_is_stuck(volume.name.as_deref().unwrap_or_default()) {
            self.clock.background(LOOK_AGAIN, move |world| world.openstack().remove_volume(id));
            return;
        }
        self.volume.volumes.remove(&id);
    }

    /// Puts a volume at a server.
    pub(crate) fn attach_volume(
        &mut self,
        id: &str,
        server_id: &str,
        device: &str,
    ) -> Result<String, ApiError> {
        let now = time::micros(self.clock.now());
        let attachment_id = self.ids.uuid();
        let volume = self.volume.volumes.get_mut(id).ok_or_else(|| not_found(id))?;
        if !["available", "reserved"].contains(&volume.status.as_str()) {
            return Err(ApiError::bad_request(format!(
                "Invalid volume: volume {id} status must be available or downloading to reserve, but the current status is {}.",
                volume.status
            )));
        }
        volume.attachments.push(VolumeAttachment {
            id: id.to_owned(),
            attachment_id: attachment_id.clone(),
            volume_id: id.to_owned(),
            server_id: server_id.to_owned(),
            host_name: None,
            device: device.to_owned(),
            attached_at: now,
        });
        self.change_volume(id, None, "in-use");
        Ok(attachment_id)
    }

    /// Takes a volume off a server.
    pub(crate) fn detach_volume(&mut self, id: &str) {
        if let Some(volume) = self.volume.volumes.get_mut(id) {
            volume.attachments.clear();
        }
        self.change_volume(id, None, "available");
    }
}
