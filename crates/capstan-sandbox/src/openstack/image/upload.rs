//! An image's content: counted and hashed as it streams by, never kept.

use axum::body::Body;
use futures::StreamExt as _;
use md5::Md5;
use sha2::{Digest, Sha512};

use crate::World;
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;

/// Takes the content of a queued image.
pub(super) async fn receive(world: &World, caller: &Token, id: &str, body: Body) -> Result<(), ApiError> {
    let saving = Saving::begin(world, caller, id)?;
    let mut content = body.into_data_stream();
    let (mut size, mut md5, mut sha512) = (0_u64, Md5::new(), Sha512::new());
    while let Some(chunk) = content.next().await {
        let chunk = chunk.map_err(|_| ApiError::bad_request("Image upload was aborted"))?;
        size += chunk.len() as u64;
        md5.update(&chunk);
        sha512.update(&chunk);
    }
    saving.finish(size, &format!("{:x}", md5.finalize()), &format!("{:x}", sha512.finalize()))
}

/// An image in `saving`; it is queued again if the upload ends early.
struct Saving<'world> {
    world: &'world World,
    id: String,
    done: bool,
}

impl<'world> Saving<'world> {
    fn begin(world: &'world World, caller: &Token, id: &str) -> Result<Self, ApiError> {
        let mut cloud = world.openstack();
        let image = cloud.own_image(caller, id)?;
        if image.status != "queued" {
            let text = format!("Image status transition from {} to saving is not allowed", image.status);
            return Err(ApiError::conflict(text));
        }
        if image.disk_format.is_none() || image.container_format.is_none() {
            return Err(ApiError::bad_request(
                "Properties disk_format, container_format must be set prior to saving data.",
            ));
        }
        "saving".clone_into(&mut image.status);
        Ok(Self { world, id: id.to_owned(), done: false })
    }

    fn finish(mut self, size: u64, checksum: &str, hash: &str) -> Result<(), ApiError> {
        self.done = true;
        let mut cloud = self.world.openstack();
        let image = cloud.image.images.get_mut(&self.id);
        let image = image.ok_or_else(|| {
            ApiError::new(410, "Gone", format!("Image {} could not be found after upload.", self.id))
        })?;
        image.size = Some(size);
        image.virtual_size = (image.disk_format.as_deref() == Some("raw")).then_some(size);
        image.checksum = Some(checksum.to_owned());
        image.os_hash_value = Some(hash.to_owned());
        "active".clone_into(&mut image.status);
        Ok(())
    }
}

impl Drop for Saving<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if let Some(image) = self.world.openstack().image.images.get_mut(&self.id) {
            "queued".clone_into(&mut image.status);
        }
    }
}
