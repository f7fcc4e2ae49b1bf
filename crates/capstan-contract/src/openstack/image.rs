//! Glance.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use capstan_openstack::image::{Filter, Image, NewImage};
use capstan_openstack::{Error, ServiceType, Upload};
use serde_json::json;

use super::Site;
use super::site::{refused, refused_with};

/// An image without data.
async fn image(site: &Site) -> Result<Image> {
    let new = NewImage {
        name: site.name("image"),
        disk_format: "raw".into(),
        min_disk: 5,
        min_ram: 512,
        properties: BTreeMap::from([
            ("os_distro".to_owned(), "ubuntu".to_owned()),
            ("capstan:fleet".to_owned(), site.prefix.clone()),
        ]),
        ..NewImage::default()
    };
    Ok(site.cloud.image()?.create(&new).await?)
}

/// Data in three pieces.
fn data(length: usize) -> Upload<impl futures::Stream<Item = std::io::Result<Bytes>> + Send + 'static> {
    let pieces = [length / 2, length / 3, length - length / 2 - length / 3];
    let pieces = pieces.map(|size| Ok(Bytes::from(vec![7; size])));
    Upload::from_stream(futures::stream::iter(pieces), length as u64)
}

/// An image can be listed before it has data, and is `active` with size and hash afterwards.
///
/// # Errors
/// It is not so.
pub async fn image_is_queued_until_its_data_is_there(site: &Site) -> Result<()> {
    let glance = site.cloud.image()?;
    let made = image(site).await?;
    ensure!(made.status == "queued" && made.size.is_none() && made.os_hash_value.is_none(), "{made:?}");
    ensure!(made.visibility == "private" && made.owner == site.cloud.project_id().await?, "{made:?}");
    ensure!(made.min_disk == 5 && made.property("os_distro") == Some("ubuntu"), "{made:?}");
    glance.upload(&made.id, data(300_000)).await?;
    let active = site
        .until("the image is active", || async {
            let image = glance.image(&made.id).await?;
            Ok((image.status == "active").then_some(image))
        })
        .await?;
    ensure!(active.size == Some(300_000), "{active:?}");
    ensure!(active.os_hash_algo.as_deref() == Some("sha512") && active.os_hash_value.is_some(), "{active:?}");
    ensure!(active.property("capstan:fleet") == Some(site.prefix.as_str()));
    glance.delete(&made.id).await?;
    glance.delete(&made.id).await.context("a second removal is harmless")?;
    refused_with(404, glance.image(&made.id).await, "an image that is gone")?;
    Ok(())
}

/// The data of an image never changes: two who upload at once cannot mix theirs.
///
/// # Errors
/// It is not so.
pub async fn data_is_uploaded_only_once(site: &Site) -> Result<()> {
    let glance = site.cloud.image()?;
    let made = image(site).await?;
    glance.upload(&made.id, data(1000)).await?;
    let error = refused(glance.upload(&made.id, data(1000)).await, "a second upload")?;
    ensure!(error.is_conflict(), "{error}");
    Ok(())
}

/// Name, properties and visibility select; a name with commas or colons is one name.
///
/// # Errors
/// It is not so.
pub async fn image_is_found_by_name_property_and_visibility(site: &Site) -> Result<()> {
    let glance = site.cloud.image()?;
    let made = image(site).await?;
    let only = |images: &[Image]| images.len() == 1 && images[0].id == made.id;
    ensure!(only(&glance.images(&Filter::named(&made.name)).await?));
    let property = BTreeMap::from([("capstan:fleet".to_owned(), site.prefix.clone())]);
    let by_property = Filter { properties: property, ..Filter::default() };
    ensure!(only(&glance.images(&by_property).await?));
    let public = Filter { visibility: Some("public".into()), ..Filter::named(&made.name) };
    ensure!(glance.images(&public).await?.is_empty());
    let private = Filter { visibility: Some("private".into()), ..Filter::named(&made.name) };
    ensure!(only(&glance.images(&private).await?));
    // Commas and colons have a meaning in filters.
    ensure!(glance.images(&Filter::named("in:one,two")).await?.is_empty());
    Ok(())
}

/// Names of images are not unique: look before making one, and be ready for two.
///
/// # Errors
/// It is not so.
pub async fn images_may_share_a_name(site: &Site) -> Result<()> {
    let (one, two) = (image(site).await?, image(site).await?);
    ensure!(one.id != two.id && one.name == two.name);
    ensure!(site.cloud.image()?.images(&Filter::named(&one.name)).await?.len() == 2);
    Ok(())
}

/// Properties can be set whether they exist or not, and removed.
///
/// # Errors
/// It is not so.
pub async fn properties_are_set_and_removed(site: &Site) -> Result<()> {
    let glance = site.cloud.image()?;
    let made = image(site).await?;
    let changes = BTreeMap::from([
        ("os_distro".to_owned(), Some("debian".to_owned())),
        ("hw_disk_bus".to_owned(), Some("scsi".to_owned())),
        ("capstan:fleet".to_owned(), None),
    ]);
    let changed = glance.set_properties(&made.id, &changes).await?;
    ensure!(changed.property("os_distro") == Some("debian"), "{changed:?}");
    ensure!(changed.property("hw_disk_bus") == Some("scsi"), "{changed:?}");
    ensure!(changed.property("capstan:fleet").is_none(), "{changed:?}");
    let gone = BTreeMap::from([("capstan:fleet".to_owned(), None)]);
    let error = refused(glance.set_properties(&made.id, &gone).await, "removing what is not there")?;
    ensure!(error.is_conflict(), "{error}");
    Ok(())
}

/// A protected image stays until it is not protected any more.
///
/// # Errors
/// It is not so.
pub async fn protected_image_is_not_deleted(site: &Site) -> Result<()> {
    let glance = site.cloud.image()?;
    let body = json!({
        "name": site.name("image"), "disk_format": "raw", "container_format": "bare", "protected": true,
    });
    let made: Image = site.service(ServiceType::Image)?.post(&["images"]).json(body).whole().await?;
    ensure!(made.protected);
    let error = refused(glance.delete(&made.id).await, "removal of a protected image")?;
    ensure!(error.is_forbidden(), "{error}");
    glance.set_protected(&made.id, false).await?;
    glance.delete(&made.id).await?;
    Ok(())
}

/// An upload that breaks off does not leave an image that looks complete.
///
/// # Errors
/// It is not so.
pub async fn upload_of_wrong_length_leaves_no_active_image(site: &Site) -> Result<()> {
    let glance = site.cloud.image()?;
    let made = image(site).await?;
    let pieces = futures::stream::iter([Ok(Bytes::from(vec![7; 1000]))]);
    let error = refused(glance.upload(&made.id, Upload::from_stream(pieces, 5000)).await, "a short upload")?;
    ensure!(matches!(error, Error::Source { .. }), "{error:?}");
    let left = glance.image(&made.id).await?;
    ensure!(left.status != "active", "{left:?}");
    Ok(())
}
