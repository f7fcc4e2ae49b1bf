//! Looks for leftovers.

use capstan_core::names::ClusterNames;
use capstan_openstack::load_balancer::LoadBalancer;
use capstan_openstack::network::{FloatingIp, Network, Port};
use capstan_openstack::{Cloud, Result, block_storage, compute, load_balancer, network};

use super::{Leftover, LeftoverKind, Seen, proof};

/// Owners of ports that belong to something else, which deletes them itself.
const OWNED: [&str; 3] = ["network:", "Octavia", "trunk:"];

fn leftover(kind: LeftoverKind, id: &str, name: &str) -> Leftover {
    Leftover { kind, id: id.to_owned(), name: name.to_owned(), busy: false }
}

/// Networks that the provider made for the cluster.
async fn own_networks(neutron: &network::Networking, cluster: &ClusterNames) -> Result<Vec<Network>> {
    let named = network::Filter { name: Some(cluster.managed_network()), ..Default::default() };
    let networks = neutron.networks(&named).await?;
    Ok(networks.into_iter().filter(|network| proof::by_tags(cluster, &network.tags)).collect())
}

/// Load balancers of Kubernetes services; with `network_only` ports without a device on the cluster's own network, too.
pub(super) async fn in_the_way(cloud: &Cloud, cluster: &ClusterNames, network_only: bool) -> Result<Seen> {
    let neutron = cloud.network()?;
    let networks = own_networks(&neutron, cluster).await?;
    let ids: Vec<String> = networks.iter().map(|network| network.id.clone()).collect();
    let prefix = cluster.service_load_balancer_prefix();
    let balancers = load_balancers(cloud).await?;
    let balancers: Vec<_> = balancers
        .iter()
        .filter(|balancer| {
            balancer.name.starts_with(&prefix) && proof::load_balancer(cluster, &ids, balancer)
        })
        .collect();
    let addresses = addresses(&neutron, &balancers).await?;
    let mut seen =
        Seen { found: balancers.iter().map(|balancer| of_balancer(balancer)).collect(), foreign: vec![] };
    seen.found.extend(
        addresses.iter().map(|ip| leftover(LeftoverKind::FloatingIp, &ip.id, &ip.floating_ip_address)),
    );
    if network_only {
        for port in ports(&neutron, &ids).await? {
            match port_kind(&port) {
                // A port of a server that has gone may still name it; the machines have all gone by now.
                PortKind::Foreign if proof::by_tags(cluster, &port.tags) => {
                    seen.found.push(leftover(LeftoverKind::Port, &port.id, &port.name));
                }
                PortKind::Orphan => seen.found.push(leftover(LeftoverKind::Port, &port.id, &port.name)),
                PortKind::Foreign => seen.foreign.push(describe(&port)),
                PortKind::Infrastructure => {}
            }
        }
        // What is foreign blocks only when nothing of ours is left to be deleted; the provider is still at its own.
        let others = load_balancers(cloud).await?;
        let foreign = others.iter().filter(|balancer| ids.contains(&balancer.vip_network_id));
        let foreign = foreign.filter(|balancer| !proof::load_balancer(cluster, &ids, balancer));
        seen.foreign.extend(foreign.map(|balancer| format!("load balancer `{}`", balancer.name)));
    }
    Ok(seen)
}

/// Everything that is proven to be the cluster's, in the order in which it can be deleted.
pub(super) async fn everything(cloud: &Cloud, cluster: &ClusterNames) -> Result<Seen> {
    let neutron = cloud.network()?;
    let networks = own_networks(&neutron, cluster).await?;
    let ids: Vec<String> = networks.iter().map(|network| network.id.clone()).collect();
    let mut found = servers(cloud, cluster).await?;
    let balancers = load_balancers(cloud).await?;
    let balancers: Vec<_> =
        balancers.iter().filter(|balancer| proof::load_balancer(cluster, &ids, balancer)).collect();
    found.extend(balancers.iter().map(|balancer| of_balancer(balancer)));
    let tagged = network::Filter { tags: cluster.tags().to_vec(), ..Default::default() };
    let mut addresses = addresses(&neutron, &balancers).await?;
    addresses.extend(neutron.floating_ips(&tagged).await?);
    addresses.sort_by(|one, other| one.id.cmp(&other.id));
    addresses.dedup_by(|one, other| one.id == other.id);
    found.extend(
        addresses.iter().map(|ip| leftover(LeftoverKind::FloatingIp, &ip.id, &ip.floating_ip_address)),
    );
    found.extend(storage(cloud, cluster).await?);

    let mut seen = Seen::default();
    let mut own_ports: Vec<Port> = neutron.ports(&tagged).await?;
    own_ports.retain(|port| port_kind(port) != PortKind::Infrastructure);
    for port in ports(&neutron, &ids).await? {
        match port_kind(&port) {
            _ if own_ports.iter().any(|own| own.id == port.id) => {}
            PortKind::Orphan => own_ports.push(port),
            PortKind::Foreign => seen.foreign.push(describe(&port)),
            PortKind::Infrastructure => {}
        }
    }
    found.extend(own_ports.iter().map(|port| leftover(LeftoverKind::Port, &port.id, &port.name)));
    found.extend(routers(&neutron, cluster, &tagged).await?);
    found.extend(networks.iter().map(|network| leftover(LeftoverKind::Network, &network.id, &network.name)));
    let groups = neutron.security_groups(&tagged).await?;
    found.extend(groups.iter().map(|group| leftover(LeftoverKind::SecurityGroup, &group.id, &group.name)));
    seen.found = found;
    Ok(seen)
}

async fn servers(cloud: &Cloud, cluster: &ClusterNames) -> Result<Vec<Leftover>> {
    let filter =
        compute::ServerFilter { name_prefix: Some(format!("{}-", cluster.base())), ..Default::default() };
    let servers = cloud.compute()?.servers(&filter).await?;
    let own = servers.iter().filter(|server| proof::server(cluster, server));
    Ok(own
        .map(|server| Leftover {
            busy: server.task_state.as_deref() == Some("deleting"),
            ..leftover(LeftoverKind::Server, &server.id, &server.name)
        })
        .collect())
}

/// A cloud without Octavia has no load balancers.
async fn load_balancers(cloud: &Cloud) -> Result<Vec<LoadBalancer>> {
    match cloud.load_balancer() {
        Ok(octavia) => octavia.load_balancers(&load_balancer::Filter::default()).await,
        Err(_) => Ok(vec![]),
    }
}

fn of_balancer(balancer: &LoadBalancer) -> Leftover {
    Leftover {
        busy: balancer.is_immutable(),
        ..leftover(LeftoverKind::LoadBalancer, &balancer.id, &balancer.name)
    }
}

/// The floating IPs of load balancers: Octavia doesn't delete them.
async fn addresses(neutron: &network::Networking, balancers: &[&LoadBalancer]) -> Result<Vec<FloatingIp>> {
    let mut addresses = Vec::new();
    for balancer in balancers.iter().filter(|balancer| !balancer.vip_port_id.is_empty()) {
        let filter = network::Filter { port_id: Some(balancer.vip_port_id.clone()), ..Default::default() };
        addresses.extend(neutron.floating_ips(&filter).await?);
    }
    Ok(addresses)
}

/// Snapshots before the volumes that they are of.
async fn storage(cloud: &Cloud, cluster: &ClusterNames) -> Result<Vec<Leftover>> {
    let Ok(cinder) = cloud.block_storage() else { return Ok(vec![]) };
    let filter = block_storage::Filter::with_metadata(proof::CSI_CLUSTER, cluster.base());
    let volumes = cinder.volumes(&filter).await?;
    let volumes: Vec<_> = volumes.iter().filter(|volume| proof::volume(cluster, volume)).collect();
    let snapshots = cinder.snapshots(&block_storage::Filter::default()).await?;
    let snapshots = snapshots.iter().filter(|snapshot| proof::snapshot(cluster, &volumes, snapshot));
    let snapshots = snapshots.map(|snapshot| Leftover {
        busy: snapshot.status == "deleting",
        ..leftover(LeftoverKind::Snapshot, &snapshot.id, &snapshot.name)
    });
    let volumes = volumes.iter().map(|volume| Leftover {
        busy: matches!(volume.status.as_str(), "deleting" | "detaching"),
        ..leftover(LeftoverKind::Volume, &volume.id, &volume.name)
    });
    Ok(snapshots.chain(volumes).collect())
}

async fn routers(
    neutron: &network::Networking,
    cluster: &ClusterNames,
    tagged: &network::Filter,
) -> Result<Vec<Leftover>> {
    let mut found = Vec::new();
    for router in neutron.routers(tagged).await? {
        if !proof::by_tags(cluster, &router.tags) {
            continue;
        }
        let filter = network::Filter { device_id: Some(router.id.clone()), ..Default::default() };
        for port in neutron.ports(&filter).await? {
            let inside = port.device_owner.starts_with("network:router_interface")
                || port.device_owner == "network:ha_router_replicated_interface";
            for address in port.fixed_ips.iter().filter(|_| inside) {
                let kind = LeftoverKind::RouterInterface { router: router.id.clone() };
                found.push(leftover(kind, &address.subnet_id, &router.name));
            }
        }
        found.push(leftover(LeftoverKind::Router, &router.id, &router.name));
    }
    Ok(found)
}

async fn ports(neutron: &network::Networking, networks: &[String]) -> Result<Vec<Port>> {
    let mut ports = Vec::new();
    for network in networks {
        let filter = network::Filter { network_id: Some(network.clone()), ..Default::default() };
        ports.extend(neutron.ports(&filter).await?);
    }
    Ok(ports)
}

#[derive(Debug, PartialEq, Eq)]
enum PortKind {
    /// Belongs to a router, DHCP agent or load balancer, with which it goes.
    Infrastructure,
    /// Nothing is plugged into it.
    Orphan,
    /// Something that we don't know is plugged into it, such as a server of somebody else.
    Foreign,
}

fn port_kind(port: &Port) -> PortKind {
    if OWNED.iter().any(|owner| port.device_owner.starts_with(owner)) {
        PortKind::Infrastructure
    } else if port.device_id.is_empty() && port.device_owner.is_empty() {
        PortKind::Orphan
    } else if port.device_id.starts_with("lb-") {
        // Octavia's VIP ports: `device_id` is `lb-ID`, the owner may be named otherwise by a provider.
        PortKind::Infrastructure
    } else {
        PortKind::Foreign
    }
}

fn describe(port: &Port) -> String {
    let name = if port.name.is_empty() { &port.id } else { &port.name };
    format!("port `{name}` ({})", if port.device_owner.is_empty() { "no owner" } else { &port.device_owner })
}
