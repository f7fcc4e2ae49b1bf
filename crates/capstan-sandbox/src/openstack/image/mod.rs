//! Glance: images.

mod images;
mod patch;
mod routes;
mod upload;

use std::collections::BTreeMap;

pub(crate) use self::routes::router;

use serde_json::{Map, Value, json};

use super::OpenStack;
use super::error::ApiError;
use super::identity::Token;
use super::table::{Table, identified};
use super::time;

/// Glance's state.
#[derive(Default)]
pub struct Glance {
    pub(crate) images: Table<Image>,
}

/// An image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Id.
    pub id: String,
    /// Name.
    pub name: Option<String>,
    /// `queued`, `saving`, `active`.
    pub status: String,
    /// `public`, `private`, `shared`, `community`.
    pub visibility: String,
    /// The project that owns it.
    pub owner: String,
    /// `qcow2`, `raw`, ...
    pub disk_format: Option<String>,
    /// `bare`, ...
    pub container_format: Option<String>,
    /// GiB that a disk must have.
    pub min_disk: u64,
    /// MiB of memory that a server must have.
    pub min_ram: u64,
    /// Bytes, once uploaded.
    pub size: Option<u64>,
    /// Bytes of the disk, once uploaded.
    pub virtual_size: Option<u64>,
    /// MD5, once uploaded.
    pub checksum: Option<String>,
    /// SHA-512, once uploaded.
    pub os_hash_value: Option<String>,
    /// Whether a delete is refused.
    pub protected: bool,
    /// Whether lists leave it out.
    pub os_hidden: bool,
    /// Tags.
    pub tags: Vec<String>,
    /// Free properties.
    pub properties: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
}

identified!(Image);

impl Image {
    /// Whether the caller may see and use it.
    #[must_use]
    pub fn is_visible(&self, caller: &Token) -> bool {
        matches!(self.visibility.as_str(), "public" | "community") || caller.sees(&self.owner)
    }

    /// What the API shows of it.
    fn view(&self) -> Value {
        let mut view: Map<String, Value> =
            self.properties.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        let algorithm = self.os_hash_value.as_ref().map(|_| "sha512");
        let own = json!({
            "name": self.name, "disk_format": self.disk_format, "container_format": self.container_format,
            "visibility": self.visibility, "size": self.size, "virtual_size": self.virtual_size,
            "status": self.status, "checksum": self.checksum, "protected": self.protected,
            "min_ram": self.min_ram, "min_disk": self.min_disk, "owner": self.owner,
            "os_hidden": self.os_hidden, "os_hash_algo": algorithm, "os_hash_value": self.os_hash_value,
            "id": self.id, "created_at": self.created_at, "updated_at": self.updated_at, "tags": self.tags,
            "self": format!("/v2/images/{}", self.id), "file": format!("/v2/images/{}/file", self.id),
            "schema": "/v2/schemas/image",
        });
        if let Value::Object(own) = own {
            view.extend(own);
        }
        Value::Object(view)
    }
}

impl OpenStack {
    /// An image that the caller may see.
    ///
    /// # Errors
    /// 404.
    pub fn image(&self, caller: &Token, id: &str) -> Result<&Image, ApiError> {
        let found = self.image.images.get(id).filter(|image| image.is_visible(caller));
        found.ok_or_else(|| ApiError::not_found(format!("No image found with ID {id}")))
    }

    /// The images that the caller may see, oldest first.
    pub fn images<'cloud>(&'cloud self, caller: &'cloud Token) -> impl Iterator<Item = &'cloud Image> {
        self.image.images.iter().filter(|image| image.is_visible(caller))
    }

    /// An image that the caller may change.
    fn own_image(&mut self, caller: &Token, id: &str) -> Result<&mut Image, ApiError> {
        let owner = &self.image(caller, id)?.owner;
        if !caller.sees(owner) {
            return Err(ApiError::forbidden("You do not own this image"));
        }
        let now = time::zulu(self.clock.now());
        let image = self.image.images.get_mut(id);
        let image = image.ok_or_else(|| ApiError::not_found(format!("No image found with ID {id}")))?;
        image.updated_at = now;
        Ok(image)
    }

    /// A public image that is there from the start.
    pub(super) fn seed_image(&mut self, owner: &str, name: &str, properties: &[(&str, &str)]) {
        let now = time::zulu(self.clock.now());
        let image = Image {
            id: self.ids.uuid(),
            name: Some(name.to_owned()),
            status: "active".to_owned(),
            visibility: "public".to_owned(),
            owner: owner.to_owned(),
            disk_format: Some("qcow2".to_owned()),
            container_format: Some("bare".to_owned()),
            min_disk: 10,
            min_ram: 1024,
            size: Some(1 << 31),
            virtual_size: Some(10 << 30),
            checksum: Some(self.ids.hex()),
            os_hash_value: Some(format!(
                "{}{}{}{}",
                self.ids.hex(),
                self.ids.hex(),
                self.ids.hex(),
                self.ids.hex()
            )),
            protected: false,
            os_hidden: false,
            tags: Vec::new(),
            properties: properties
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            created_at: now.clone(),
            updated_at: now,
        };
        self.image.images.insert(image);
    }
}
