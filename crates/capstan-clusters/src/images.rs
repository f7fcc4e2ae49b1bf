//! Node images: registering, and finding those that nobody uses any more.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use capstan_core::documents::{ImageFormat, ImageSource, Sha256Sum};
use capstan_core::names;
use capstan_core::versions::KubernetesVersion;
use capstan_engine::{Failure, StepCx};
use capstan_kube::Kind;
use capstan_openstack::Upload;
use capstan_openstack::image::{Image, NewImage};
use jiff::{SignedDuration, Timestamp};

use crate::failure;
use crate::plane::Plane;
use crate::project::Project;

/// An upload that began so long ago and is still not finished belongs to a process that was killed.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_hours(2);
/// An image gets its first data right after it was made.
const NEVER_BEGUN_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// An image that is to be made.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The fleet that it is made for.
    pub fleet: String,
    /// Its name in Glance.
    pub name: String,
    /// The Kubernetes release in it.
    pub version: KubernetesVersion,
    /// Where its data is.
    pub source: ImageSource,
    /// The folder that a relative path counts from.
    pub folder: PathBuf,
    /// What the data's checksum has to be.
    pub sha256: Option<Sha256Sum>,
    /// What the data is.
    pub format: ImageFormat,
    /// Properties beside those of the SCS image standard; they win.
    pub properties: BTreeMap<String, String>,
}

/// How it stands with the images of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// One, and it can be used.
    Ready,
    /// More than one.
    Several(Vec<String>),
    /// One that somebody is uploading.
    Uploading,
    /// One of ours whose upload came to nothing.
    Abandoned(String),
    /// None.
    Missing,
}

/// Judges the images of one name.
pub(crate) fn standing(images: &[Image], fleet: &str, now: Timestamp) -> Standing {
    let active: Vec<_> = images.iter().filter(|image| image.status == "active").collect();
    match active[..] {
        [_] => return Standing::Ready,
        [_, _, ..] => return Standing::Several(active.iter().map(|image| image.id.clone()).collect()),
        [] => {}
    }
    let unfinished =
        images.iter().filter(|image| matches!(image.status.as_str(), "queued" | "saving" | "importing"));
    let mut standing = Standing::Missing;
    for image in unfinished {
        let limit = if image.status == "queued" { NEVER_BEGUN_AFTER } else { ABANDONED_AFTER };
        let over = image.created_at.parse::<Timestamp>().is_ok_and(|at| now.duration_since(at) > limit);
        let ours = image.property(names::FLEET_KEY) == Some(fleet);
        match (ours, over) {
            (true, true) => return Standing::Abandoned(image.id.clone()),
            (_, false) => standing = Standing::Uploading,
            // A foreign image that waits for its data for ever is none of our business, and no obstacle.
            (false, true) => {}
        }
    }
    standing
}

/// Downloads (or reads), verifies and uploads at the same time, in constant memory. Who asks for an image that is being
/// registered waits and finds it there.
///
/// # Errors
/// The source's, a checksum that differs (the image is then not usable by anybody), or the service's.
pub async fn register(project: &Project, registration: &Registration, cx: &StepCx) -> Result<(), Failure> {
    let _turn = project.upload_turn(&registration.name).await;
    project.forget_images().await;
    let all = project.images().await.map_err(failure::openstack)?;
    if all.iter().any(|image| image.name == registration.name && image.status == "active") {
        return Ok(());
    }
    let source = source::open(registration, project).await?;
    let length = source.length;
    let images = project.cloud().image().map_err(failure::openstack)?;
    let made = images.create(&new_image(registration)).await;
    project.forget_images().await;
    let image = made.map_err(failure::openstack)?;
    let progress = cx.clone();
    let upload = Upload::from_stream(source.data, length)
        .on_progress(move |done| progress.progress(done, Some(length), "bytes"));
    let uploaded = tokio::select! {
        biased;
        uploaded = images.upload(&image.id, upload) => uploaded.map_err(failure::openstack),
        () = cx.cancelled() => Err(Failure::transient(std::io::Error::new(
            std::io::ErrorKind::Interrupted,
            format!("the upload of `{}` was interrupted", registration.name),
        ))),
    };
    project.forget_images().await;
    if uploaded.is_err()
        // Best effort: what stays is found as abandoned by the next run.
        && let Err(error) = images.delete(&image.id).await
    {
        tracing::warn!(%error, image = image.id, "an unfinished image is left");
    }
    uploaded
}

/// Properties of the SCS image metadata standard (scs-0102-v1) for a node image, and the proof of ownership.
fn new_image(registration: &Registration) -> NewImage {
    let version = registration.version.to_string();
    let source = registration.source.to_string();
    let standard = [
        ("architecture", "x86_64"),
        ("hypervisor_type", "qemu"),
        ("hw_disk_bus", "scsi"),
        ("hw_scsi_model", "virtio-scsi"),
        ("hw_rng_model", "virtio"),
        ("os_distro", "ubuntu"),
        ("os_purpose", "k8snode"),
        ("image_original_user", "ubuntu"),
        ("image_source", source.as_str()),
        ("kubernetes_version", version.as_str()),
        ("replace_frequency", "never"),
        ("uuid_validity", "none"),
        (names::FLEET_KEY, registration.fleet.as_str()),
    ];
    let mut properties: BTreeMap<String, String> =
        standard.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    properties.extend(registration.properties.clone());
    NewImage {
        name: registration.name.clone(),
        disk_format: match registration.format {
            ImageFormat::Qcow2 => "qcow2",
            ImageFormat::Raw => "raw",
        }
        .to_owned(),
        min_ram: 1024,
        visibility: Some("private".to_owned()),
        properties,
        ..NewImage::default()
    }
}

/// The images that this fleet has registered.
///
/// # Errors
/// The service's.
pub async fn registered(project: &Project, fleet: &str) -> Result<Vec<Image>, Failure> {
    let all = project.images().await.map_err(failure::openstack)?;
    Ok(all.iter().filter(|image| image.property(names::FLEET_KEY) == Some(fleet)).cloned().collect())
}

/// Those of the fleet's images that no machine template of the management plane names.
///
/// # Errors
/// The service's.
pub async fn unused(project: &Project, plane: &Plane, fleet: &str) -> Result<Vec<Image>, Failure> {
    let used: BTreeSet<String> = plane
        .mirror()
        .list(&Kind::OPENSTACK_MACHINE_TEMPLATE, None)
        .iter()
        .map(|template| &template.data["spec"]["template"]["spec"]["image"])
        .filter_map(|image| {
            image["filter"]["name"].as_str().or_else(|| image["id"].as_str()).map(str::to_owned)
        })
        .collect();
    let registered = registered(project, fleet).await?;
    Ok(registered
        .into_iter()
        .filter(|image| !used.contains(&image.name) && !used.contains(&image.id))
        .collect())
}

/// Deletes an image of the fleet.
///
/// # Errors
/// The service's: an image that volumes were made from, or a protected one, stays.
pub async fn delete(project: &Project, image: &Image) -> Result<(), Failure> {
    let images = project.cloud().image().map_err(failure::openstack)?;
    let deleted = images.delete(&image.id).await;
    project.forget_images().await;
    deleted.map_err(failure::openstack)
}
