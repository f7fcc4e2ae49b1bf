//! `Cluster` and `OpenStackCluster`.

use capstan_core::names;
use serde_json::{Value, json};

use super::{CLUSTER_API, CONTROL_PLANE, INFRASTRUCTURE, Input, object, set};

pub(super) fn objects(input: Input<'_>) -> Vec<Value> {
    vec![openstack_cluster(input), cluster(input)]
}

fn cluster(input: Input<'_>) -> Value {
    let (name, network) = (input.names.base(), &input.spec.network);
    let spec = json!({
        "clusterNetwork": {
            "pods": { "cidrBlocks": network.pod_cidrs },
            "services": { "cidrBlocks": network.service_cidrs },
            "serviceDomain": "cluster.local",
        },
        "infrastructureRef": {
            "apiGroup": group(INFRASTRUCTURE), "kind": "OpenStackCluster", "name": name,
        },
        "controlPlaneRef": {
            "apiGroup": group(CONTROL_PLANE), "kind": "KubeadmControlPlane", "name": input.names.control_plane(),
        },
    });
    object(input, CLUSTER_API, "Cluster", name, spec)
}

fn openstack_cluster(input: Input<'_>) -> Value {
    let document = input.spec;
    let mut load_balancer = json!({ "enabled": true });
    set(&mut load_balancer, "provider", document.api.load_balancer.provider.clone());
    set(&mut load_balancer, "flavor", document.api.load_balancer.flavor.clone());
    set(&mut load_balancer, "allowedCIDRs", json!(document.api.allowed_cidrs));

    let mut spec = json!({
        "identityRef": {
            "type": "Secret", "name": input.names.cloud_config_secret(), "cloudName": names::CLOUD_NAME,
        },
        "apiServerLoadBalancer": load_balancer,
        // The nodes of a cluster trust one another: pod traffic of any network plugin runs between them.
        "managedSecurityGroups": { "allowAllInClusterTraffic": true },
        "tags": input.names.tags(),
    });
    set(&mut spec, "externalNetwork", input.facts.external_network.as_ref().map(|id| json!({ "id": id })));
    set(&mut spec, "controlPlaneAvailabilityZones", json!(document.control_plane.zones));
    if !document.api.floating_ip {
        set(&mut spec, "disableAPIServerFloatingIP", true);
    }
    set_network(&mut spec, input);
    object(input, INFRASTRUCTURE, "OpenStackCluster", input.names.base(), spec)
}

/// A network of its own, or one that is there already.
fn set_network(spec: &mut Value, input: Input<'_>) {
    let document = &input.spec.network;
    if let Some(existing) = &input.facts.existing_network {
        set(spec, "network", json!({ "id": existing.network }));
        set(
            spec,
            "subnets",
            json!(existing.subnets.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>()),
        );
        set(spec, "router", existing.router.as_ref().map(|id| json!({ "id": id })));
        return;
    }
    let mut subnet = json!({ "cidr": document.node_cidr });
    set(&mut subnet, "dnsNameservers", json!(document.dns_servers));
    set(spec, "managedSubnets", json!([subnet]));
    set(spec, "networkMTU", document.mtu);
}

/// The group of a `group/version`.
fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or(api_version, |(group, _)| group)
}
