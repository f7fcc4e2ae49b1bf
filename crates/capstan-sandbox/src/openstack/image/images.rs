//! What an image may be: creating it from a flat object, deleting it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Image;
use crate::openstack::OpenStack;
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;
use crate::openstack::time;

const DISK_FORMATS: [&str; 11] =
    ["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"];
const CONTAINER_FORMATS: [&str; 7] = ["ami", "ari", "aki", "bare", "ovf", "ova", "docker"];
const VISIBILITIES: [&str; 4] = ["community", "public", "private", "shared"];
/// Attributes that only Glance sets.
pub(super) const READ_ONLY: [&str; 13] = [
    "status",
    "checksum",
    "os_hash_algo",
    "os_hash_value",
    "size",
    "virtual_size",
    "created_at",
    "updated_at",
    "self",
    "file",
    "schema",
    "direct_url",
    "locations",
];
/// Attributes of every image; what isn't among them is a free property.
pub(super) const BASE: [&str; 10] = [
    "id",
    "name",
    "visibility",
    "protected",
    "os_hidden",
    "disk_format",
    "container_format",
    "min_disk",
    "min_ram",
    "tags",
];

fn schema(text: impl std::fmt::Display) -> ApiError {
    ApiError::bad_request(format!("Provided object does not match schema 'image': {text}"))
}

fn choice(value: &Value, choices: &[&str]) -> Result<Option<String>, ApiError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if choices.contains(&text.as_str()) => Ok(Some(text.clone())),
        other => Err(schema(format!("{other} is not one of {choices:?}").replace('"', "'"))),
    }
}

fn text(value: &Value) -> Result<String, ApiError> {
    value.as_str().map(str::to_owned).ok_or_else(|| schema(format!("{value} is not of type 'string'")))
}

fn number(value: &Value) -> Result<u64, ApiError> {
    value.as_u64().ok_or_else(|| schema(format!("{value} is not of type 'integer'")))
}

fn flag(value: &Value) -> Result<bool, ApiError> {
    value.as_bool().ok_or_else(|| schema(format!("{value} is not of type 'boolean'")))
}

fn tags(value: &Value) -> Result<Vec<String>, ApiError> {
    let items = value.as_array().ok_or_else(|| schema(format!("{value} is not of type 'array'")))?;
    let mut tags = items.iter().map(text).collect::<Result<Vec<String>, ApiError>>()?;
    tags.sort();
    tags.dedup();
    Ok(tags)
}

impl Image {
    /// Sets one attribute or property, as a create and a patch do.
    pub(super) fn set(&mut self, caller: &Token, key: &str, value: &Value) -> Result<(), ApiError> {
        if READ_ONLY.contains(&key) {
            return Err(ApiError::forbidden(format!("Attribute '{key}' is read-only.")));
        }
        match key {
            "name" if !value.is_string() && !value.is_null() => {
                return Err(schema(format!("{value} is not of type 'null', 'string'")));
            }
            "name" if value.as_str().is_some_and(|name| name.chars().count() > 255) => {
                return Err(schema(format!(
                    "'{}' is too long\n\nFailed validating 'maxLength' in schema['properties']['name']",
                    value.as_str().unwrap_or_default()
                )));
            }
            "name" => self.name = value.as_str().map(str::to_owned),
            "visibility" => {
                let wanted =
                    choice(value, &VISIBILITIES)?.ok_or_else(|| schema("None is not a visibility"))?;
                if wanted == "public" && !caller.is_admin() {
                    return Err(ApiError::forbidden(
                        "You are not authorized to complete publicize_image action.",
                    ));
                }
                self.visibility = wanted;
            }
            "protected" => self.protected = flag(value)?,
            "os_hidden" => self.os_hidden = flag(value)?,
            "disk_format" => self.disk_format = choice(value, &DISK_FORMATS)?,
            "container_format" => self.container_format = choice(value, &CONTAINER_FORMATS)?,
            "min_disk" => self.min_disk = number(value)?,
            "min_ram" => self.min_ram = number(value)?,
            "tags" => self.tags = tags(value)?,
            "owner" if value.as_str() != Some(&self.owner) && !caller.is_admin() => {
                return Err(ApiError::forbidden(
                    "You are not permitted to create images owned by another project.",
                ));
            }
            "owner" => self.owner = text(value)?,
            _ if key.is_empty() || key.len() > 255 => return Err(schema("invalid name of a property")),
            _ => {
                self.properties.insert(key.to_owned(), text(value)?);
            }
        }
        Ok(())
    }
}

impl OpenStack {
    /// Makes an image without content, from a flat object of attributes and properties.
    ///
    /// # Errors
    /// As Glance's.
    pub fn create_image(
        &mut self,
        caller: &Token,
        mut request: Map<String, Value>,
    ) -> Result<Image, ApiError> {
        let id = match request.remove("id") {
            None => self.ids.uuid(),
            Some(id) => {
                let id = text(&id)?;
                if uuid::Uuid::try_parse(&id).is_err() {
                    return Err(schema(format!("'{id}' does not match '^([0-9a-fA-F]){{8}}-...$'")));
                }
                if self.image.images.get(&id).is_some() {
                    return Err(ApiError::conflict(format!("Image ID {id} already exists!")));
                }
                id
            }
        };
        let now = time::zulu(self.clock.now());
        let mut image = Image {
            id,
            name: None,
            status: "queued".to_owned(),
            visibility: "shared".to_owned(),
            owner: caller.project_id.clone(),
            disk_format: None,
            container_format: None,
            min_disk: 0,
            min_ram: 0,
            size: None,
            virtual_size: None,
            checksum: None,
            os_hash_value: None,
            protected: false,
            os_hidden: false,
            tags: Vec::new(),
            properties: BTreeMap::new(),
            created_at: now.clone(),
            updated_at: now,
        };
        for (key, value) in &request {
            image.set(caller, key, value)?;
        }
        self.image.images.insert(image.clone());
        Ok(image)
    }

    /// Deletes an image.
    ///
    /// # Errors
    /// 403 if it is protected or another project's, 404, 409 while a volume is made of it.
    pub fn delete_image(&mut self, caller: &Token, id: &str) -> Result<(), ApiError> {
        if self.image(caller, id).is_err() {
            return Err(ApiError::not_found(format!("Failed to find image {id} to delete")));
        }
        if self.own_image(caller, id)?.protected {
            return Err(ApiError::forbidden(format!("Image {id} is protected and cannot be deleted.")));
        }
        self.image.images.remove(id);
        Ok(())
    }
}
