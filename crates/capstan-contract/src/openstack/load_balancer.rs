//! Octavia.

use anyhow::{Context, Result, ensure};
use capstan_openstack::load_balancer::{Filter, LoadBalancer};
use capstan_openstack::network::{self, Kind};
use capstan_openstack::{Error, ServiceType};
use serde_json::json;

use super::Site;
use super::site::{refused, refused_with};

async fn listener(site: &Site, balancer: &LoadBalancer) -> Result<(), Error> {
    let body = json!({ "listener": {
        "name": site.name("listener"), "loadbalancer_id": balancer.id, "protocol": "TCP", "protocol_port": 6443,
    } });
    site.cloud.service(ServiceType::LoadBalancer)?.post(&["lbaas", "listeners"]).json(body).done().await
}

async fn until_gone(site: &Site, id: &str) -> Result<()> {
    let octavia = site.cloud.load_balancer()?;
    site.until("the load balancer is gone", || async {
        match octavia.load_balancer(id).await {
            // It may be shown for a while.
            Ok(left) => Ok((left.provisioning_status == "DELETED").then_some(())),
            Err(error) if error.is_not_found() => Ok(Some(())),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

/// Providers, sizes, limits and the version of the API are told; sizes may be none.
///
/// # Errors
/// It is not so.
pub async fn providers_flavors_quota_and_version_are_told(site: &Site) -> Result<()> {
    let octavia = site.cloud.load_balancer()?;
    ensure!(octavia.providers().await?.iter().any(|provider| provider.name == "amphora"));
    // Clouds without sizes answer with an empty list.
    octavia.flavors().await?;
    octavia.quota().await?;
    let version = octavia.version().await?;
    ensure!(version >= "2.12".parse()?, "{version}: `allowed_cidrs` needs 2.12");
    Ok(())
}

/// While something is done to it, a load balancer refuses everything else with 409: wait, and try again.
///
/// # Errors
/// It is not so.
pub async fn load_balancer_is_immutable_while_pending(site: &Site) -> Result<()> {
    let octavia = site.cloud.load_balancer()?;
    let (_, subnet) = site.network("net").await?;
    let tag = format!("capstan:fleet={}", site.prefix);
    let made = site.load_balancer(&subnet, &tag).await?;
    ensure!(made.provisioning_status == "PENDING_CREATE" && made.is_immutable(), "{made:?}");
    let error = refused(listener(site, &made).await, "a listener while the load balancer is made")?;
    ensure!(error.is_conflict() && error.to_string().contains("immutable"), "{error}");
    let error = refused(octavia.delete_load_balancer(&made.id).await, "its removal")?;
    ensure!(error.is_conflict(), "{error}");

    let active = site.mutable(&made.id).await?;
    ensure!(active.provisioning_status == "ACTIVE" && !active.vip_address.is_empty(), "{active:?}");
    let by_tag = octavia.load_balancers(&Filter { tags: vec![tag], ..Filter::default() }).await?;
    ensure!(by_tag.len() == 1 && by_tag[0].id == made.id, "{by_tag:?}");
    let by_name = Filter { name: Some(site.name("lb")), ..Filter::default() };
    ensure!(octavia.load_balancers(&by_name).await?.len() == 1);
    let in_network = Filter { vip_network_id: Some(active.vip_network_id), ..Filter::default() };
    ensure!(octavia.load_balancers(&in_network).await?.len() == 1);
    listener(site, &made).await?;
    site.mutable(&made.id).await?;
    Ok(())
}

/// While something is done to a load balancer, pools are refused with 409, too, and so is a change of its name.
///
/// # Errors
/// It is not so.
pub async fn pools_are_immutable_while_pending(site: &Site) -> Result<()> {
    let (_, subnet) = site.network("net").await?;
    let made = site.load_balancer(&subnet, "tag").await?;
    let service = site.service(ServiceType::LoadBalancer)?;
    let body = json!({ "pool": {
        "name": site.name("pool"), "loadbalancer_id": made.id, "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN",
    } });
    let error = refused(service.post(&["lbaas", "pools"]).json(body).done().await, "a pool")?;
    ensure!(error.is_conflict(), "{error}");
    let body = json!({ "loadbalancer": { "name": site.name("other") } });
    let change = service.put(&["lbaas", "loadbalancers", &made.id]).json(body).done().await;
    ensure!(refused(change, "a change of its name")?.is_conflict());
    Ok(())
}

/// A load balancer's port keeps its network: it goes first.
///
/// # Errors
/// It is not so.
pub async fn load_balancer_keeps_its_network(site: &Site) -> Result<()> {
    let neutron = site.cloud.network()?;
    let (network, subnet) = site.network("net").await?;
    let made = site.load_balancer(&subnet, "tag").await?;
    let active = site.mutable(&made.id).await?;
    let filter = network::Filter { network_id: Some(network.id.clone()), ..Default::default() };
    let ports = neutron.ports(&filter).await?;
    let vip = ports.iter().find(|port| port.id == active.vip_port_id).context("the port of its address")?;
    ensure!(vip.device_owner == "Octavia" && vip.device_id.contains(&made.id), "{vip:?}");
    ensure!(vip.fixed_ips.first().map(|address| &address.ip_address) == Some(&active.vip_address));
    let error = refused(neutron.delete(Kind::Network, &network.id).await, "removal of its network")?;
    ensure!(error.is_conflict(), "{error}");
    Ok(())
}

/// With `cascade` everything below goes, too, and the port of its address; without it children are a reason to refuse.
///
/// # Errors
/// It is not so.
pub async fn cascade_removes_children_and_port(site: &Site) -> Result<()> {
    let octavia = site.cloud.load_balancer()?;
    let (network, subnet) = site.network("net").await?;
    let made = site.load_balancer(&subnet, "tag").await?;
    site.mutable(&made.id).await?;
    listener(site, &made).await?;
    site.mutable(&made.id).await?;
    let plain = site.service(ServiceType::LoadBalancer)?.delete(&["lbaas", "loadbalancers", &made.id]);
    refused_with(400, plain.done().await, "removal without `cascade`")?;
    octavia.delete_load_balancer(&made.id).await?;
    until_gone(site, &made.id).await?;
    octavia.delete_load_balancer(&made.id).await.context("a second removal is harmless")?;
    let neutron = site.cloud.network()?;
    let filter = network::Filter { network_id: Some(network.id), ..Default::default() };
    let ports = neutron.ports(&filter).await?;
    ensure!(ports.iter().all(|port| port.device_owner != "Octavia"), "{ports:?}");
    Ok(())
}

/// The floating IP of a load balancer stays when that goes: the janitor has to know it.
///
/// # Errors
/// It is not so.
pub async fn floating_ip_survives_its_load_balancer(site: &Site) -> Result<()> {
    let (_, subnet, _) = super::network::routed(site).await?;
    let made = site.load_balancer(&subnet, "tag").await?;
    let active = site.mutable(&made.id).await?;
    let address = super::network::floating_ip(site, &active.vip_port_id).await?;
    site.cloud.load_balancer()?.delete_load_balancer(&made.id).await?;
    until_gone(site, &made.id).await?;
    let all = site.cloud.network()?.floating_ips(&network::Filter::default()).await?;
    let left =
        all.into_iter().find(|left| left.id == address.id).context("the floating IP is still there")?;
    ensure!(left.port_id.is_none(), "{left:?}");
    Ok(())
}
