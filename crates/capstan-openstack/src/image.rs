//! Glance: images.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::request::Service;
use crate::resource::{named, or_default};

/// The image service.
#[derive(Debug, Clone)]
pub struct Images(pub(crate) Service);

/// An image. Everything beyond the fields is in `properties`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Image {
    /// The id.
    pub id: String,
    /// The name; not unique.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// `queued` until its data is uploaded, `saving` meanwhile, then `active`.
    pub status: String,
    /// `public`, `private`, `shared`, `community`.
    #[serde(default, deserialize_with = "or_default")]
    pub visibility: String,
    /// Its owner's project.
    #[serde(default, deserialize_with = "or_default")]
    pub owner: String,
    /// Bytes, once there is data.
    #[serde(default)]
    pub size: Option<u64>,
    /// MD5 of the data, once there is any.
    #[serde(default)]
    pub checksum: Option<String>,
    /// The algorithm of `os_hash_value`.
    #[serde(default)]
    pub os_hash_algo: Option<String>,
    /// Hash of the data, once there is any.
    #[serde(default)]
    pub os_hash_value: Option<String>,
    /// `qcow2`, `raw`, …
    #[serde(default)]
    pub disk_format: Option<String>,
    /// The least root disk in GiB.
    #[serde(default, deserialize_with = "or_default")]
    pub min_disk: u64,
    /// The least memory in MiB.
    #[serde(default, deserialize_with = "or_default")]
    pub min_ram: u64,
    /// It cannot be removed.
    #[serde(default, deserialize_with = "or_default")]
    pub protected: bool,
    /// When it was made (RFC 3339).
    #[serde(default, deserialize_with = "or_default")]
    pub created_at: String,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub tags: Vec<String>,
    /// Everything else.
    #[serde(flatten)]
    pub properties: BTreeMap<String, Value>,
}

named!(Image: "image");

impl Image {
    /// A property that is a text.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name)?.as_str()
    }
}

/// Which images to list. What is not set does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The exact name.
    pub name: Option<String>,
    /// `public`, `private`, `shared`, `community`.
    pub visibility: Option<String>,
    /// Properties with these values.
    pub properties: BTreeMap<String, String>,
}

impl Filter {
    /// Everything with this name.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }
}

/// An image that is to be made.
#[derive(Debug, Clone, Default)]
pub struct NewImage {
    /// The name. Glance allows several of the same name: look first.
    pub name: String,
    /// `qcow2`, `raw`.
    pub disk_format: String,
    /// The least root disk in GiB.
    pub min_disk: u64,
    /// The least memory in MiB.
    pub min_ram: u64,
    /// Who may see it: `private` where nothing is said.
    pub visibility: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Properties such as `os_distro`.
    pub properties: BTreeMap<String, String>,
}

/// The media type of changes to an image.
const JSON_PATCH: &str = "application/openstack-images-v2.1-json-patch";

/// How many images are asked for at once.
const IMAGES_AT_ONCE: u32 = 100;

impl Images {
    /// The images that fit, of those that the project may use.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn images(&self, filter: &Filter) -> Result<Vec<Image>> {
        let mut call = self
            .0
            .get(&["images"])
            .query("limit", IMAGES_AT_ONCE.to_string())
            // `in:` with quotes lets names have commas and colons.
            .filter("name", filter.name.as_deref().map(escaped))
            .filter("visibility", filter.visibility.as_deref());
        for (name, value) in &filter.properties {
            call = call.query(name, value);
        }
        call.list("images").await
    }

    /// One image.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn image(&self, id: &str) -> Result<Image> {
        self.0.get(&["images", id]).whole().await
    }

    /// Makes an image without data.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn create(&self, new: &NewImage) -> Result<Image> {
        let mut body = Map::new();
        body.extend(new.properties.iter().map(|(name, value)| (name.clone(), value.clone().into())));
        body.insert("name".into(), new.name.clone().into());
        body.insert("disk_format".into(), new.disk_format.clone().into());
        body.insert("container_format".into(), "bare".into());
        body.insert("min_disk".into(), new.min_disk.into());
        body.insert("min_ram".into(), new.min_ram.into());
        body.insert("visibility".into(), new.visibility.as_deref().unwrap_or("private").into());
        if !new.tags.is_empty() {
            body.insert("tags".into(), json!(new.tags));
        }
        self.0.post(&["images"]).json(body.into()).whole().await
    }

    /// Sets properties of an image; an absent value removes one.
    ///
    /// # Errors
    /// The service's, or those of the way there; a conflict (409) where one to be removed is not there.
    pub async fn set_properties(
        &self,
        id: &str,
        properties: &BTreeMap<String, Option<String>>,
    ) -> Result<Image> {
        let change = |(name, value): (&String, &Option<String>)| {
            // A JSON pointer: `~` and `/` are escaped.
            let path = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            match value {
                Some(value) => json!({ "op": "add", "path": path, "value": value }),
                None => json!({ "op": "remove", "path": path }),
            }
        };
        let changes: Value = properties.iter().map(change).collect();
        let only_sets = properties.values().all(Option::is_some);
        let call = self.0.patch(&["images", id]).json_as(JSON_PATCH, changes);
        // `add` replaces what is there, so it may be repeated; `remove` fails the second time.
        if only_sets { call.repeatable().whole().await } else { call.whole().await }
    }

    /// Protects an image from removal, or no longer does.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn set_protected(&self, id: &str, protected: bool) -> Result<Image> {
        let change = json!([{ "op": "replace", "path": "/protected", "value": protected }]);
        self.0.patch(&["images", id]).json_as(JSON_PATCH, change).repeatable().whole().await
    }

    /// Removes an image; one that does not exist is as good as removed. One that a volume was made from may be in use
    /// (409).
    ///
    /// # Errors
    /// The service's, or those of the way there; 403 for a protected one.
    pub async fn delete(&self, id: &str) -> Result<()> {
        self.0.delete(&["images", id]).gone().await
    }
}

/// A name as a filter: `in:"…"` where the name has characters that filters give a meaning.
fn escaped(name: &str) -> String {
    if name.contains([':', ',', '"']) {
        format!("in:\"{}\"", name.replace('"', "\\\""))
    } else {
        name.to_owned()
    }
}
