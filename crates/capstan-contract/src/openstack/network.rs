//! Neutron.

use anyhow::{Context, Result, ensure};
use capstan_openstack::ServiceType;
use capstan_openstack::network::{Filter, FloatingIp, Kind, Network, Port, Router, SecurityGroup, Subnet};
use serde_json::json;

use super::Site;
use super::site::{refused, refused_with};

/// A router that leads out of the cloud, in one subnet.
async fn router(site: &Site, subnet: &Subnet) -> Result<Router> {
    let external = site.cloud.network()?.external_network(None).await?;
    let service = site.service(ServiceType::Network)?;
    let body = json!({ "router": {
        "name": site.name("router"), "external_gateway_info": { "network_id": external.id },
    } });
    let router: Router = service.post(&["routers"]).json(body).one("router").await?;
    let add = service.put(&["routers", &router.id, "add_router_interface"]);
    add.json(json!({ "subnet_id": subnet.id })).done().await?;
    Ok(router)
}

/// A floating IP that leads to a port.
pub(super) async fn floating_ip(site: &Site, port: &str) -> Result<FloatingIp> {
    let external = site.cloud.network()?.external_network(None).await?;
    let body = json!({ "floatingip": {
        "floating_network_id": external.id, "port_id": port, "description": site.name("address"),
    } });
    Ok(site.service(ServiceType::Network)?.post(&["floatingips"]).json(body).one("floatingip").await?)
}

/// A router in a subnet, as `load_balancer` needs one, too.
pub(super) async fn routed(site: &Site) -> Result<(Network, Subnet, Router)> {
    let (network, subnet) = site.network("net").await?;
    let router = router(site, &subnet).await?;
    Ok((network, subnet, router))
}

async fn security_group(site: &Site) -> Result<SecurityGroup> {
    let body = json!({ "security_group": { "name": site.name("group") } });
    let service = site.service(ServiceType::Network)?;
    Ok(service.post(&["security-groups"]).json(body).one("security_group").await?)
}

/// Tags select what has all of them; they can be set and added to.
///
/// # Errors
/// It is not so.
pub async fn tags_select_and_combine(site: &Site) -> Result<()> {
    let neutron = site.cloud.network()?;
    let (fleet, cluster) =
        (format!("capstan:fleet={}", site.prefix), format!("capstan:cluster={}", site.prefix));
    let (one, subnet) = site.network("one").await?;
    let (two, _) = site.network("two").await?;
    neutron.set_tags(Kind::Network, &one.id, &["old"]).await?;
    neutron.set_tags(Kind::Network, &one.id, &[&fleet, &cluster]).await?;
    neutron.add_tag(Kind::Network, &two.id, &fleet).await?;
    neutron.add_tag(Kind::Network, &two.id, &fleet).await.context("adding a tag twice is harmless")?;
    neutron.add_tag(Kind::Subnet, &subnet.id, &fleet).await?;

    let of_fleet = neutron.networks(&Filter::tagged(&fleet)).await?;
    ensure!(of_fleet.len() == 2, "{of_fleet:?}");
    let both = Filter { tags: vec![fleet.clone(), cluster.clone()], ..Filter::default() };
    let of_cluster = neutron.networks(&both).await?;
    ensure!(of_cluster.len() == 1 && of_cluster[0].id == one.id, "{of_cluster:?}");
    ensure!(of_cluster[0].tags.iter().all(|tag| tag != "old"), "setting tags replaces them");
    ensure!(neutron.subnets(&Filter::tagged(&fleet)).await?.len() == 1);
    ensure!(neutron.networks(&Filter::tagged("capstan:fleet=nobody's")).await?.is_empty());
    Ok(())
}

/// Names of networks are not unique: a create whose answer is lost must be looked for before it is repeated.
///
/// # Errors
/// It is not so.
pub async fn networks_may_share_a_name(site: &Site) -> Result<()> {
    let neutron = site.cloud.network()?;
    let (one, _) = site.network("net").await?;
    let found = neutron.networks(&Filter::named(&one.name)).await?;
    ensure!(found.len() == 1 && found[0].id == one.id, "what was made is found by its name: {found:?}");
    let (two, _) = site.network("net").await?;
    ensure!(one.id != two.id && one.name == two.name);
    ensure!(neutron.networks(&Filter::named(&one.name)).await?.len() == 2);
    Ok(())
}

/// A network or subnet with a port that somebody uses is a conflict; without it both go.
///
/// # Errors
/// It is not so.
pub async fn used_network_is_not_deleted(site: &Site) -> Result<()> {
    let neutron = site.cloud.network()?;
    let (network, subnet) = site.network("net").await?;
    let port = site.port(&network).await?;
    ensure!(!port.fixed_ips.is_empty() && port.device_id.is_empty(), "{port:?}");
    let error = refused(neutron.delete(Kind::Network, &network.id).await, "removal of a used network")?;
    ensure!(error.is_conflict(), "{error}");
    let code = error.api().and_then(|api| api.code.as_deref());
    ensure!(code == Some("NetworkInUse"), "{error}");
    let error = refused(neutron.delete(Kind::Subnet, &subnet.id).await, "removal of a used subnet")?;
    ensure!(error.is_conflict() && error.to_string().contains("SubnetInUse"), "{error}");

    neutron.delete(Kind::Port, &port.id).await?;
    neutron.delete(Kind::Port, &port.id).await.context("a second removal is harmless")?;
    neutron.delete(Kind::Network, &network.id).await?;
    neutron.delete(Kind::Network, &network.id).await.context("a second removal is harmless")?;
    let of_network = Filter { network_id: Some(network.id), ..Filter::default() };
    ensure!(neutron.subnets(&of_network).await?.is_empty(), "the subnets go with their network");
    Ok(())
}

/// A router in a subnet is a conflict, and so are the subnet's network and the port between them.
///
/// # Errors
/// It is not so.
pub async fn router_with_interfaces_is_not_deleted(site: &Site) -> Result<()> {
    let neutron = site.cloud.network()?;
    let (network, subnet, router) = routed(site).await?;
    let of_router = Filter { device_id: Some(router.id.clone()), ..Filter::default() };
    let ports: Vec<Port> = neutron.ports(&of_router).await?;
    let inside = ports.iter().filter(|port| port.network_id == network.id).collect::<Vec<_>>();
    ensure!(inside.len() == 1 && inside[0].device_owner.starts_with("network:"), "{ports:?}");
    ensure!(inside[0].fixed_ips.first().map(|address| &address.subnet_id) == Some(&subnet.id));

    let error = refused(neutron.delete(Kind::Router, &router.id).await, "removal of a router in a subnet")?;
    ensure!(error.is_conflict() && error.to_string().contains("RouterInUse"), "{error}");
    let error = refused(neutron.delete(Kind::Network, &network.id).await, "removal of its network")?;
    ensure!(error.is_conflict(), "{error}");
    let error = refused(neutron.delete(Kind::Port, &inside[0].id).await, "removal of its port")?;
    ensure!(error.is_conflict(), "{error}");

    neutron.remove_router_interface(&router.id, &subnet.id).await?;
    neutron.remove_router_interface(&router.id, &subnet.id).await.context("a second time is harmless")?;
    neutron.delete(Kind::Router, &router.id).await?;
    neutron.delete(Kind::Network, &network.id).await?;
    Ok(())
}

/// While a floating IP leads into a subnet, the router stays in it.
///
/// # Errors
/// It is not so.
pub async fn router_interface_is_kept_by_a_floating_ip(site: &Site) -> Result<()> {
    let neutron = site.cloud.network()?;
    let (network, subnet, router) = routed(site).await?;
    let port = site.port(&network).await?;
    let address = floating_ip(site, &port.id).await?;
    ensure!(address.fixed_ip_address.as_ref() == port.fixed_ips.first().map(|fixed| &fixed.ip_address));
    let left = neutron.remove_router_interface(&router.id, &subnet.id).await;
    let error = refused(left, "leaving a subnet that a floating IP leads into")?;
    ensure!(error.is_conflict(), "{error}");
    neutron.delete(Kind::FloatingIp, &address.id).await?;
    neutron.remove_router_interface(&router.id, &subnet.id).await?;
    Ok(())
}

/// Removing a port does not remove the floating IP that leads to it: it stays, leads nowhere, and costs.
///
/// # Errors
/// It is not so.
pub async fn floating_ip_survives_its_port(site: &Site) -> Result<()> {
    let neutron = site.cloud.network()?;
    let (network, _, _) = routed(site).await?;
    let port = site.port(&network).await?;
    let address = floating_ip(site, &port.id).await?;
    let to_port = Filter { port_id: Some(port.id.clone()), ..Filter::default() };
    let found = neutron.floating_ips(&to_port).await?;
    ensure!(found.len() == 1 && found[0].id == address.id, "{found:?}");
    neutron.delete(Kind::Port, &port.id).await?;
    let all = neutron.floating_ips(&Filter::default()).await?;
    let left =
        all.into_iter().find(|left| left.id == address.id).context("the floating IP is still there")?;
    ensure!(left.port_id.is_none() && left.fixed_ip_address.is_none(), "{left:?}");
    ensure!(left.description == site.name("address"), "its description still says whose it is");
    Ok(())
}

/// A security group that a port has is a conflict. New ones let everything out.
///
/// # Errors
/// It is not so.
pub async fn used_security_group_is_not_deleted(site: &Site) -> Result<()> {
    let neutron = site.cloud.network()?;
    let (network, _) = site.network("net").await?;
    let group = security_group(site).await?;
    ensure!(group.security_group_rules.iter().all(|rule| rule.direction == "egress"), "{group:?}");
    ensure!(group.security_group_rules.len() == 2, "one for each IP version: {group:?}");
    let body = json!({ "port": {
        "name": site.name("port"), "network_id": network.id, "security_groups": [group.id],
    } });
    let port: Port = site.service(ServiceType::Network)?.post(&["ports"]).json(body).one("port").await?;
    let error = refused(neutron.delete(Kind::SecurityGroup, &group.id).await, "removal of a used group")?;
    ensure!(error.is_conflict() && error.to_string().contains("SecurityGroupInUse"), "{error}");
    neutron.delete(Kind::Port, &port.id).await?;
    neutron.delete(Kind::SecurityGroup, &group.id).await?;
    ensure!(neutron.security_groups(&Filter::named(&group.name)).await?.is_empty());
    Ok(())
}

/// External networks are seen by projects that do not own them, and are marked.
///
/// # Errors
/// It is not so.
pub async fn external_network_is_found(site: &Site) -> Result<()> {
    let neutron = site.cloud.network()?;
    let external = neutron.external_network(None).await?;
    ensure!(external.external && external.project_id != site.cloud.project_id().await?, "{external:?}");
    ensure!(neutron.external_network(Some(&external.name)).await? == external);
    let (own, _) = site.network("net").await?;
    ensure!(!own.external);
    ensure!(refused(neutron.external_network(Some(&own.name)).await, "an inner one")?.is_not_found());
    let project = site.cloud.project_id().await?;
    let ours = neutron.networks(&Filter { project_id: Some(project), ..Filter::default() }).await?;
    ensure!(ours.iter().any(|network| network.id == own.id));
    ensure!(ours.iter().all(|network| network.id != external.id), "{ours:?}");
    // Clouds without zones of networks answer with an empty list.
    neutron.availability_zones().await?;
    Ok(())
}

/// The quota's detail counts what the project has.
///
/// # Errors
/// It is not so.
pub async fn quota_counts_what_is_used(site: &Site) -> Result<()> {
    let (network, _) = site.network("net").await?;
    site.port(&network).await?;
    let quota = site.cloud.network()?.quota().await?;
    ensure!(quota.network.in_use >= 1 && quota.subnet.in_use >= 1 && quota.port.in_use >= 1, "{quota:?}");
    ensure!(quota.router.limit != 0 && quota.floating_ip.limit != 0 && quota.security_group.limit != 0);
    Ok(())
}

/// More than the quota leaves is a 409 that is not a conflict, and nothing is made.
///
/// # Errors
/// It is not so.
pub async fn too_many_networks_exceed_the_quota(site: &Site) -> Result<()> {
    let limit = site.cloud.network()?.quota().await?.network.limit;
    ensure!(limit > 0, "the project needs a limit of networks for this");
    // In one call, so that nobody else in the project meets the limit; more than it, whatever others do meanwhile.
    let name = site.name("many");
    let networks: Vec<_> = (0..=limit).map(|_| json!({ "name": name })).collect();
    let call = site.service(ServiceType::Network)?.post(&["networks"]).json(json!({ "networks": networks }));
    let error = refused_with(409, call.list::<Network>("networks").await, "more networks than the quota")?;
    ensure!(error.is_quota() && !error.is_conflict() && error.hint().is_some(), "{error}");
    ensure!(site.cloud.network()?.networks(&Filter::named(&name)).await?.is_empty());
    Ok(())
}

/// A port whose device is gone keeps its network as one in use does, until whoever finds it removes it.
///
/// # Errors
/// It is not so.
pub async fn port_of_a_vanished_device_keeps_its_network(site: &Site) -> Result<()> {
    let neutron = site.cloud.network()?;
    let (network, _) = site.network("net").await?;
    let gone = "6f0c7b7e-5b0e-4a2c-8f0a-000000000000";
    let body = json!({ "port": {
        "name": site.name("port"), "network_id": network.id, "device_id": gone, "device_owner": "compute:nova",
    } });
    let port: Port = site.service(ServiceType::Network)?.post(&["ports"]).json(body).one("port").await?;
    ensure!(port.device_id == gone && port.device_owner == "compute:nova", "{port:?}");
    let error = refused(neutron.delete(Kind::Network, &network.id).await, "removal of its network")?;
    ensure!(error.is_conflict() && error.to_string().contains(&port.id), "{error}");
    neutron.delete(Kind::Port, &port.id).await?;
    neutron.delete(Kind::Network, &network.id).await?;
    Ok(())
}

/// Names of routers and security groups are not unique, either.
///
/// # Errors
/// It is not so.
pub async fn routers_and_groups_may_share_a_name(site: &Site) -> Result<()> {
    let neutron = site.cloud.network()?;
    let (one, two) = (security_group(site).await?, security_group(site).await?);
    ensure!(one.id != two.id);
    ensure!(neutron.security_groups(&Filter::named(&one.name)).await?.len() == 2);
    let name = site.name("router");
    for _ in 0..2 {
        let body = json!({ "router": { "name": name } });
        site.service(ServiceType::Network)?.post(&["routers"]).json(body).done().await?;
    }
    ensure!(neutron.routers(&Filter::named(&name)).await?.len() == 2);
    Ok(())
}
