//! JSON patch on an image, as far as Glance goes: add, replace, remove on the first level.

use serde::Deserialize;
use serde_json::Value;

use super::Image;
use super::images::{BASE, READ_ONLY};
use crate::openstack::OpenStack;
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;

/// One operation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operation {
    op: String,
    path: String,
    #[serde(default)]
    value: Value,
}

impl OpenStack {
    pub(super) fn patch_image(
        &mut self,
        caller: &Token,
        id: &str,
        patch: &[Operation],
    ) -> Result<Image, ApiError> {
        let image = self.own_image(caller, id)?;
        let mut changed = image.clone();
        for operation in patch {
            changed.apply(caller, operation)?;
        }
        *image = changed.clone();
        Ok(changed)
    }
}

impl Image {
    fn apply(&mut self, caller: &Token, operation: &Operation) -> Result<(), ApiError> {
        let path = &operation.path;
        let key = path
            .strip_prefix('/')
            .ok_or_else(|| ApiError::bad_request(format!("Pointer `{path}` does not start with \"/\".")))?;
        let key = key.replace("~1", "/").replace("~0", "~");
        let base = BASE.contains(&key.as_str()) || key == "owner";
        let there = base || READ_ONLY.contains(&key.as_str()) || self.properties.contains_key(&key);
        match operation.op.as_str() {
            "add" => self.set(caller, &key, &operation.value),
            "replace" if there => self.set(caller, &key, &operation.value),
            "remove" if base || READ_ONLY.contains(&key.as_str()) => {
                Err(ApiError::forbidden(format!("Property {key} may not be removed.")))
            }
            "remove" if there => {
                self.properties.remove(&key);
                Ok(())
            }
            "replace" | "remove" => Err(ApiError::conflict(format!("Property {key} does not exist."))),
            other => Err(ApiError::bad_request(format!("Unable to find '{other}' in JSON Schema change"))),
        }
    }
}
