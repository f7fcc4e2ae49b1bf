//! The volumes of CAPO's `OpenStackServer`: root volume and additional block devices.

use serde_json::{Value, json};

use super::cloud::{CloudError, CloudResult};
use super::openstack_cluster::Stop;
use super::openstack_server::{BUILDING, Work};
use crate::kubernetes::object::{Read as _, Write as _};

impl Work<'_, '_> {
    /// Block devices beside the image's own; their volumes have to be there first.
    pub(super) fn block_devices(&self) -> Result<Vec<Value>, Stop> {
        let mut devices = Vec::new();
        let image = self.object.at("status.resolved.imageID");
        let root = self.object.at("spec.rootVolume");
        if root.int("sizeGiB").is_some() {
            let id = self.volume("root", root, Some(image))?;
            devices.push(
                json!({"uuid": id, "source_type": "volume", "destination_type": "volume", "boot_index": 0,
                "delete_on_termination": true}),
            );
        }
        let more = self.object.items("spec.additionalBlockDevices");
        if root.is_null() && !more.is_empty() {
            devices.push(
                json!({"uuid": image, "source_type": "image", "destination_type": "local", "boot_index": 0,
                "delete_on_termination": true}),
            );
        }
        for device in more {
            if device.text("storage.type") == "Local" {
                devices.push(json!({"source_type": "blank", "destination_type": "local", "boot_index": -1,
                    "volume_size": device["sizeGiB"], "delete_on_termination": true, "tag": device["name"]}));
                continue;
            }
            let mut wanted = device.at("storage.volume").clone();
            wanted.set("sizeGiB", device["sizeGiB"].clone());
            let id = self.volume(device.text("name"), &wanted, None)?;
            devices.push(
                json!({"uuid": id, "source_type": "volume", "destination_type": "volume", "boot_index": -1,
                "delete_on_termination": true, "tag": device["name"]}),
            );
        }
        Ok(devices)
    }

    fn volume(&self, suffix: &str, wanted: &Value, image: Option<&Value>) -> Result<String, Stop> {
        let name = format!("{}-{suffix}", self.scope.name);
        let volumes = self.cloud.volumes();
        let volume = match self.cloud.find(&format!("{volumes}/detail"), "volumes", &name)? {
            Some(volume) => volume,
            None => {
                let mut request = json!({"name": name, "size": wanted["sizeGiB"], "description": format!("Volume {suffix} for {}", self.scope.name)});
                if let Some(image) = image {
                    request["imageRef"] = image.clone();
                }
                if let Some(kind) = wanted.text_at("type") {
                    request["volume_type"] = kind.into();
                }
                let zone = match wanted.text("availabilityZone.from") {
                    "Machine" => self.object.text_at("spec.availabilityZone"),
                    _ => wanted.text_at("availabilityZone.name"),
                };
                if let Some(zone) = zone {
                    request["availability_zone"] = zone.into();
                }
                self.cloud.post(&volumes, &json!({"volume": request}))?["volume"].take()
            }
        };
        match volume.text("status") {
            "available" => Ok(volume.text("id").to_owned()),
            "error" => Err(Stop::Failed(CloudError::new(format!("volume {name} is in error state")))),
            _ => Err(Stop::Wait(BUILDING)),
        }
    }

    /// Deletes the volumes by their names.
    pub(super) fn delete_volumes(&self) -> CloudResult<()> {
        let root = self.object.at("spec.rootVolume").is_object().then_some("root");
        let more = self.object.items("spec.additionalBlockDevices").iter().map(|device| device.text("name"));
        let volumes = self.cloud.volumes();
        for suffix in root.into_iter().chain(more) {
            let name = format!("{}-{suffix}", self.scope.name);
            if let Some(volume) = self.cloud.find(&format!("{volumes}/detail"), "volumes", &name)? {
                self.cloud.delete_if_there(&format!("{volumes}/{}", volume.text("id")))?;
            }
        }
        Ok(())
    }
}
