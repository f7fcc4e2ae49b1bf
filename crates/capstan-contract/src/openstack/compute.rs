//! Nova.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use capstan_openstack::ServiceType;
use capstan_openstack::compute::{Policy, ServerFilter};
use capstan_openstack::network::Filter;
use serde_json::json;

use super::Site;
use super::site::{refused, refused_with};

/// With a root disk of its own.
const FLAVOR: &str = "SCS-2V-4-20s";
/// Without one.
const DISKLESS: &str = "SCS-2V-4";
/// An availability zone with few hosts.
const ZONE: &str = "az2";

/// Flavors say whether they have a root disk: without one a server needs a volume.
///
/// # Errors
/// It is not so.
pub async fn flavors_tell_disk_and_specs(site: &Site) -> Result<()> {
    let compute = site.cloud.compute()?;
    let flavor = compute.flavor(FLAVOR).await?;
    ensure!(flavor.vcpus == 2 && flavor.ram == 4096 && flavor.disk == 20, "{flavor:?}");
    ensure!(compute.flavor(DISKLESS).await?.is_diskless());
    ensure!(compute.flavor(&flavor.id).await? == flavor, "by id as by name");
    let error = refused(compute.flavor("SCS-2V-4-20").await, "a flavor that does not exist")?;
    ensure!(error.to_string().contains("did you mean"), "{error}");
    ensure!(!compute.availability_zones().await?.is_empty());
    Ok(())
}

/// The list shows name and metadata of a server that is still being made: a lost create is found by either.
///
/// # Errors
/// It is not so.
pub async fn server_is_found_by_prefix_and_metadata(site: &Site) -> Result<()> {
    let compute = site.cloud.compute()?;
    let (network, _) = site.network("net").await?;
    let image = site.bootable_image().await?;
    let more = json!({ "imageRef": image.id, "metadata": { "capstan:fleet": site.prefix } });
    let id = site.server("one", FLAVOR, json!([{ "uuid": network.id }]), more).await?;

    let by_metadata = ServerFilter {
        metadata: BTreeMap::from([("capstan:fleet".to_owned(), site.prefix.clone())]),
        ..ServerFilter::default()
    };
    let found = compute.servers(&by_metadata).await?;
    ensure!(found.iter().map(|server| &server.id).eq([&id]), "{found:?}");
    let by_name = ServerFilter { name_prefix: Some(site.name("o")), ..ServerFilter::default() };
    ensure!(compute.servers(&by_name).await?.len() == 1);
    let other = ServerFilter { name_prefix: Some(site.name("two")), ..ServerFilter::default() };
    ensure!(compute.servers(&other).await?.is_empty());

    let server = site.settled(&id).await?;
    ensure!(server.status == "ACTIVE" && server.fault.is_none(), "{server:?}");
    ensure!(server.flavor.as_ref().is_some_and(|flavor| flavor.original_name == FLAVOR));
    ensure!(!server.addresses.is_empty() && !server.availability_zone.is_empty(), "{server:?}");
    ensure!(!compute.console_output(&id, 10).await?.is_empty());

    compute.delete_server(&id).await?;
    site.server_gone(&id).await?;
    compute.delete_server(&id).await.context("a second removal is harmless")?;
    refused_with(404, compute.server(&id).await, "a server that is gone")?;
    Ok(())
}

/// A flavor without disk refuses an image at once: preflight must see it before.
///
/// # Errors
/// It is not so.
pub async fn diskless_flavor_refuses_to_boot_an_image(site: &Site) -> Result<()> {
    let (network, _) = site.network("net").await?;
    let image = site.bootable_image().await?;
    let made =
        site.server("one", DISKLESS, json!([{ "uuid": network.id }]), json!({ "imageRef": image.id })).await;
    let error = refused_with(403, made, "a server without disk")?;
    ensure!(error.to_string().contains("zero disk"), "{error}");
    Ok(())
}

/// The same flavor takes a root volume, which is removed with the server if it was made so.
///
/// # Errors
/// It is not so.
pub async fn diskless_flavor_boots_a_volume(site: &Site) -> Result<()> {
    let (network, _) = site.network("net").await?;
    let image = site.bootable_image().await?;
    let volume = json!({ "block_device_mapping_v2": [{
        "boot_index": 0, "uuid": image.id, "source_type": "image", "destination_type": "volume",
        "volume_size": 10, "delete_on_termination": true,
    }] });
    let id = site.server("one", DISKLESS, json!([{ "uuid": network.id }]), volume).await?;
    let server = site.settled(&id).await?;
    ensure!(server.status == "ACTIVE", "{server:?}");
    let storage = site.cloud.block_storage()?;
    let all = capstan_openstack::block_storage::Filter::default();
    let on_server = |volumes: Vec<capstan_openstack::block_storage::Volume>| {
        volumes.into_iter().find(|volume| volume.attachments.iter().any(|used| used.server_id == id))
    };
    let root = on_server(storage.volumes(&all).await?).context("the root volume is listed")?;
    ensure!(root.size == 10 && root.status == "in-use", "{root:?}");

    site.cloud.compute()?.delete_server(&id).await?;
    site.server_gone(&id).await?;
    site.until("the root volume is gone", || async {
        Ok(storage.volumes(&all).await?.iter().all(|volume| volume.id != root.id).then_some(()))
    })
    .await
}

/// Servers of a group of hard anti-affinity are on different hosts, and the group lists them.
///
/// # Errors
/// It is not so.
pub async fn hard_anti_affinity_spreads(site: &Site) -> Result<()> {
    /// The host, as far as a project may see it.
    #[derive(serde::Deserialize)]
    struct Placed {
        #[serde(rename = "hostId")]
        host: String,
    }
    let compute = site.cloud.compute()?;
    let (network, _) = site.network("net").await?;
    let image = site.bootable_image().await?;
    let group = compute.create_server_group(&site.name("group"), Policy::AntiAffinity).await?;
    ensure!(group.policy() == Some(Policy::AntiAffinity) && group.members.is_empty(), "{group:?}");
    let mut hosts = BTreeSet::new();
    let mut servers = BTreeSet::new();
    for what in ["one", "two"] {
        let more = json!({ "imageRef": image.id, "os:scheduler_hints": { "group": group.id } });
        let id = site.server(what, FLAVOR, json!([{ "uuid": network.id }]), more).await?;
        ensure!(site.settled(&id).await?.status == "ACTIVE");
        let call = site.service(ServiceType::Compute)?.get(&["servers", &id]);
        hosts.insert(call.one::<Placed>("server").await?.host);
        servers.insert(id);
    }
    ensure!(hosts.len() == 2, "{hosts:?}");
    let groups = compute.server_groups().await?;
    let group = groups.into_iter().find(|other| other.id == group.id).context("the group is listed")?;
    ensure!(group.members.into_iter().collect::<BTreeSet<_>>() == servers, "the group lists its servers");
    Ok(())
}

/// A placement that is impossible is accepted, and ends in `ERROR` with a fault that says why (the list need not tell it).
/// It stays so: only removing the server helps.
///
/// # Errors
/// It is not so.
pub async fn impossible_placement_ends_in_a_fault(site: &Site) -> Result<()> {
    let compute = site.cloud.compute()?;
    let (network, _) = site.network("net").await?;
    let image = site.bootable_image().await?;
    let group = compute.create_server_group(&site.name("group"), Policy::AntiAffinity).await?;
    // More servers than the zone has hosts: one in the test bed, ten in the sandbox.
    let mut failed = None;
    for number in 0..=10 {
        let more = json!({
            "imageRef": image.id, "availability_zone": ZONE, "os:scheduler_hints": { "group": group.id },
        });
        let name = format!("server-{number}");
        let id = site.server(&name, FLAVOR, json!([{ "uuid": network.id }]), more).await?;
        let server = site.settled(&id).await?;
        if server.status == "ERROR" {
            failed = Some(server);
            break;
        }
        ensure!(server.status == "ACTIVE" && server.availability_zone == ZONE, "{server:?}");
    }
    let failed = failed.with_context(|| format!("all servers found a host in `{ZONE}`"))?;
    ensure!(failed.name != site.name("server-0"), "the first has to find a place");
    let fault = failed.fault.context("a server in ERROR has a fault")?;
    ensure!(fault.message.contains("No valid host") && fault.code == 500, "{fault:?}");
    // The list tells the status. It need not tell the fault: Nova's leaves it out for servers that found no place.
    let ours = ServerFilter { name_prefix: Some(failed.name), ..ServerFilter::default() };
    let listed = compute.servers(&ours).await?;
    ensure!(listed.len() == 1 && listed[0].status == "ERROR", "{listed:?}");
    Ok(())
}

/// Names of server groups are not unique: look before making one, and be ready for two.
///
/// # Errors
/// It is not so.
pub async fn server_groups_may_share_a_name(site: &Site) -> Result<()> {
    let compute = site.cloud.compute()?;
    let name = site.name("group");
    for policy in [Policy::SoftAntiAffinity, Policy::AntiAffinity] {
        compute.create_server_group(&name, policy).await?;
    }
    let twins: Vec<_> =
        compute.server_groups().await?.into_iter().filter(|group| group.name == name).collect();
    ensure!(twins.len() == 2, "{twins:?}");
    for twin in twins {
        compute.delete_server_group(&twin.id).await?;
        compute.delete_server_group(&twin.id).await.context("a second removal is harmless")?;
    }
    Ok(())
}

/// A group can go before its servers.
///
/// # Errors
/// It is not so.
pub async fn server_group_with_members_can_be_deleted(site: &Site) -> Result<()> {
    let compute = site.cloud.compute()?;
    let (network, _) = site.network("net").await?;
    let image = site.bootable_image().await?;
    let group = compute.create_server_group(&site.name("group"), Policy::SoftAntiAffinity).await?;
    let more = json!({ "imageRef": image.id, "os:scheduler_hints": { "group": group.id } });
    let id = site.server("one", FLAVOR, json!([{ "uuid": network.id }]), more).await?;
    ensure!(site.settled(&id).await?.status == "ACTIVE");
    compute.delete_server_group(&group.id).await?;
    ensure!(compute.server(&id).await?.status == "ACTIVE", "the server stays");
    Ok(())
}

/// A keypair's name that exists is a conflict.
///
/// # Errors
/// It is not so.
pub async fn keypair_names_are_unique(site: &Site) -> Result<()> {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEaCp5dOvDUQZpzHtGpwYkXAlVMd6sMxKvqjcH0YDFxu test";
    let compute = site.cloud.compute()?;
    let name = site.name("key");
    let made = compute.create_keypair(&name, KEY).await?;
    ensure!(made.public_key.trim() == KEY && !made.fingerprint.is_empty(), "{made:?}");
    let error = refused(compute.create_keypair(&name, KEY).await, "the second")?;
    ensure!(error.is_conflict(), "{error}");
    ensure!(compute.keypair(&name).await? == made);
    compute.delete_keypair(&name).await?;
    ensure!(refused(compute.keypair(&name).await, "a keypair that is gone")?.is_not_found());
    Ok(())
}

/// The quota's detail counts servers, cores and memory once a server has its place; before, they may be left out.
///
/// # Errors
/// It is not so.
pub async fn quota_counts_what_is_used(site: &Site) -> Result<()> {
    let compute = site.cloud.compute()?;
    let (network, _) = site.network("net").await?;
    let image = site.bootable_image().await?;
    let id =
        site.server("one", FLAVOR, json!([{ "uuid": network.id }]), json!({ "imageRef": image.id })).await?;
    site.settled(&id).await?;
    let quota = compute.quota().await?;
    // Others may work in the project at the same time, so only what is certain is asked.
    ensure!(quota.instances.in_use >= 1 && quota.cores.in_use >= 2 && quota.ram.in_use >= 4096, "{quota:?}");
    ensure!(quota.instances.limit != 0 && quota.server_groups.limit != 0 && quota.key_pairs.limit != 0);
    Ok(())
}

/// More than the quota leaves is refused at once, with the numbers, and nothing is made.
///
/// # Errors
/// It is not so.
pub async fn too_many_servers_exceed_the_quota(site: &Site) -> Result<()> {
    let (network, _) = site.network("net").await?;
    let image = site.bootable_image().await?;
    let limit = site.cloud.compute()?.quota().await?.instances.limit;
    ensure!(limit > 0, "the project needs a limit of servers for this");
    let many = json!({ "imageRef": image.id, "min_count": limit + 1, "max_count": limit + 1 });
    let made = site.server("many", FLAVOR, json!([{ "uuid": network.id }]), many).await;
    let error = refused_with(403, made, "more servers than the quota")?;
    ensure!(error.is_quota() && !error.is_forbidden(), "{error}");
    ensure!(error.to_string().contains("Quota exceeded"), "{error}");
    let ours = ServerFilter { name_prefix: Some(site.name("many")), ..ServerFilter::default() };
    ensure!(site.cloud.compute()?.servers(&ours).await?.is_empty());
    Ok(())
}

/// Nova removes the ports that it made, and leaves those that it was given: they leak if nobody looks after them.
///
/// # Errors
/// It is not so.
pub async fn own_port_survives_its_server(site: &Site) -> Result<()> {
    let neutron = site.cloud.network()?;
    let (network, _) = site.network("net").await?;
    let image = site.bootable_image().await?;
    let port = site.port(&network).await?;
    let networks = json!([{ "port": port.id }, { "uuid": network.id }]);
    let id = site.server("one", FLAVOR, networks, json!({ "imageRef": image.id })).await?;
    ensure!(site.settled(&id).await?.status == "ACTIVE");
    let of_server = Filter { device_id: Some(id.clone()), ..Filter::default() };
    let used = neutron.ports(&of_server).await?;
    ensure!(used.len() == 2 && used.iter().all(|port| port.device_owner.starts_with("compute:")), "{used:?}");

    site.cloud.compute()?.delete_server(&id).await?;
    site.server_gone(&id).await?;
    let in_network = Filter { network_id: Some(network.id), ..Filter::default() };
    let of_us = |port: &capstan_openstack::network::Port| !port.device_owner.starts_with("network:");
    site.until("the server's own port is gone", || async {
        let left: Vec<_> = neutron.ports(&in_network).await?.into_iter().filter(of_us).collect();
        ensure!(left.iter().any(|left| left.id == port.id), "the given port is gone");
        Ok((left.len() == 1 && left[0].device_id.is_empty()).then_some(()))
    })
    .await
}
