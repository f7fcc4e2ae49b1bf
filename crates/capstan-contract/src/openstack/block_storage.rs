//! Cinder.

use anyhow::{Context, Result, ensure};
use capstan_openstack::ServiceType;
use capstan_openstack::block_storage::{Filter, Snapshot, Volume};
use serde_json::json;

use super::Site;
use super::site::{refused, refused_with};

/// The key under which the CSI driver writes the cluster.
const CLUSTER: &str = "cinder.csi.openstack.org/cluster";

async fn volume(site: &Site) -> Result<Volume> {
    let body = json!({ "volume": {
        "name": site.name("volume"), "size": 1, "metadata": { CLUSTER: site.prefix },
    } });
    let volume: Volume =
        site.service(ServiceType::BlockStorage)?.post(&["volumes"]).json(body).one("volume").await?;
    site.volume_is(&volume.id, "available").await?;
    Ok(volume)
}

/// What the CSI driver makes is found by the cluster that it writes into the metadata.
///
/// # Errors
/// It is not so.
pub async fn volume_is_found_by_metadata(site: &Site) -> Result<()> {
    let storage = site.cloud.block_storage()?;
    let made = volume(site).await?;
    let found = storage.volumes(&Filter::with_metadata(CLUSTER, &site.prefix)).await?;
    ensure!(found.len() == 1 && found[0].id == made.id, "{found:?}");
    ensure!(found[0].size == 1 && found[0].attachments.is_empty() && !found[0].availability_zone.is_empty());
    ensure!(storage.volumes(&Filter::with_metadata(CLUSTER, "another")).await?.is_empty());
    storage.delete_volume(&made.id).await?;
    site.until("the volume is gone", || async {
        Ok(storage.volumes(&Filter::default()).await?.iter().all(|left| left.id != made.id).then_some(()))
    })
    .await?;
    storage.delete_volume(&made.id).await.context("a second removal is harmless")?;
    refused_with(404, storage.volume(&made.id).await, "a volume that is gone")?;
    Ok(())
}

/// A volume that a server uses is refused; it can go once it is detached.
///
/// # Errors
/// It is not so.
pub async fn volume_in_use_is_not_deleted(site: &Site) -> Result<()> {
    let storage = site.cloud.block_storage()?;
    let compute = site.service(ServiceType::Compute)?;
    let (network, _) = site.network("net").await?;
    let image = site.bootable_image().await?;
    let networks = json!([{ "uuid": network.id }]);
    let server = site.server("one", "SCS-2V-4-20s", networks, json!({ "imageRef": image.id })).await?;
    let made = volume(site).await?;
    ensure!(site.settled(&server).await?.status == "ACTIVE");
    let body = json!({ "volumeAttachment": { "volumeId": made.id } });
    compute.post(&["servers", &server, "os-volume_attachments"]).json(body).done().await?;
    site.volume_is(&made.id, "in-use").await?;
    let used = storage.volume(&made.id).await?;
    ensure!(used.attachments.first().map(|used| &used.server_id) == Some(&server), "{used:?}");
    refused_with(400, storage.delete_volume(&made.id).await, "removal of a volume in use")?;

    // Removing the server detaches it.
    site.cloud.compute()?.delete_server(&server).await?;
    site.server_gone(&server).await?;
    site.volume_is(&made.id, "available").await?;
    storage.delete_volume(&made.id).await?;
    Ok(())
}

/// Snapshots keep their volume: they go first.
///
/// # Errors
/// It is not so.
pub async fn volume_with_snapshot_is_not_deleted(site: &Site) -> Result<()> {
    let storage = site.cloud.block_storage()?;
    let made = volume(site).await?;
    let body = json!({ "snapshot": {
        "name": site.name("snapshot"), "volume_id": made.id, "metadata": { CLUSTER: site.prefix },
    } });
    let snapshot: Snapshot =
        site.service(ServiceType::BlockStorage)?.post(&["snapshots"]).json(body).one("snapshot").await?;
    let ours = Filter::with_metadata(CLUSTER, &site.prefix);
    site.until("the snapshot is available", || async {
        let found = storage.snapshots(&ours).await?;
        Ok(found.iter().any(|found| found.id == snapshot.id && found.status == "available").then_some(()))
    })
    .await?;
    let error =
        refused_with(400, storage.delete_volume(&made.id).await, "removal of a volume with a snapshot")?;
    ensure!(error.to_string().to_lowercase().contains("snapshot"), "{error}");
    storage.delete_snapshot(&snapshot.id).await?;
    site.until("the snapshot is gone", || async {
        Ok(storage.snapshots(&ours).await?.is_empty().then_some(()))
    })
    .await?;
    storage.delete_volume(&made.id).await?;
    Ok(())
}

/// Volume types, zones, limits and what is in use are told.
///
/// # Errors
/// It is not so.
pub async fn types_zones_and_quota_are_told(site: &Site) -> Result<()> {
    let storage = site.cloud.block_storage()?;
    ensure!(!storage.volume_types().await?.is_empty());
    ensure!(storage.availability_zones().await?.iter().any(|zone| zone.is_available()));
    volume(site).await?;
    let quota = storage.quota().await?;
    ensure!(quota.volumes.in_use >= 1 && quota.gigabytes.in_use >= 1, "{quota:?}");
    ensure!(quota.snapshots.limit != 0, "{quota:?}");
    Ok(())
}

/// More gigabytes than the quota leaves are refused at once, and nothing is made.
///
/// # Errors
/// It is not so.
pub async fn too_large_a_volume_exceeds_the_quota(site: &Site) -> Result<()> {
    let storage = site.cloud.block_storage()?;
    let limit = storage.quota().await?.gigabytes.limit;
    ensure!(limit > 0, "the project needs a limit of gigabytes for this");
    let body = json!({ "volume": { "name": site.name("huge"), "size": limit + 1 } });
    let call = site.service(ServiceType::BlockStorage)?.post(&["volumes"]).json(body);
    let error = refused(call.one::<Volume>("volume").await, "a volume larger than the quota")?;
    ensure!(error.is_quota() && error.hint().is_some(), "{error}");
    let filter = Filter { name: Some(site.name("huge")), ..Filter::default() };
    ensure!(storage.volumes(&filter).await?.is_empty());
    Ok(())
}
