//! What proves a resource to be a cluster's. What is not proven is left alone.

use capstan_core::names::{self, ClusterNames};
use capstan_openstack::block_storage::{Snapshot, Volume};
use capstan_openstack::compute::Server;
use capstan_openstack::load_balancer::LoadBalancer;

/// Key of a volume's metadata in which Cinder CSI keeps the cluster's name (cloud-provider-openstack,
/// `pkg/csi/cinder/driver.go`).
pub(super) const CSI_CLUSTER: &str = "cinder.csi.openstack.org/cluster";

/// Both tags: another cluster of the fleet has the first, a cluster of that name in another fleet the second.
pub(super) fn by_tags(cluster: &ClusterNames, tags: &[String]) -> bool {
    cluster.tags().iter().all(|tag| tags.contains(tag))
}

/// A server has the metadata that its template gave it.
pub(super) fn server(cluster: &ClusterNames, server: &Server) -> bool {
    let has = |key: &str, value: &str| server.metadata.get(key).map(String::as_str) == Some(value);
    has(names::FLEET_KEY, cluster.fleet()) && has(names::CLUSTER_KEY, cluster.cluster())
}

/// A load balancer of the provider has the tags; one of the cloud controller manager is named after cluster, namespace
/// and service, and either says so in its description or stands on the cluster's own network. Octavia lists one without
/// its tags in the moment in which it goes (seen in Zed), so that the provider's is known by name and network, too.
pub(super) fn load_balancer(
    cluster: &ClusterNames,
    own_networks: &[String],
    balancer: &LoadBalancer,
) -> bool {
    let named = balancer.name == cluster.api_load_balancer()
        || balancer.name.starts_with(&cluster.service_load_balancer_prefix());
    by_tags(cluster, &balancer.tags)
        || service_load_balancer(cluster, balancer)
        || (named && own_networks.contains(&balancer.vip_network_id))
}

/// A load balancer with the name and the description or tag that the cloud controller manager gives.
pub(super) fn service_load_balancer(cluster: &ClusterNames, balancer: &LoadBalancer) -> bool {
    balancer.name.starts_with(&cluster.service_load_balancer_prefix())
        && (balancer.description.ends_with(&format!("from cluster {}", cluster.base()))
            || balancer.tags.contains(&balancer.name))
}

/// A volume that Cinder CSI made for the cluster.
pub(super) fn volume(cluster: &ClusterNames, volume: &Volume) -> bool {
    volume.metadata.get(CSI_CLUSTER).map(String::as_str) == Some(cluster.base())
}

/// A snapshot that Cinder CSI made for the cluster, or of one of its volumes.
pub(super) fn snapshot(cluster: &ClusterNames, volumes: &[&Volume], snapshot: &Snapshot) -> bool {
    snapshot.metadata.get(CSI_CLUSTER).map(String::as_str) == Some(cluster.base())
        || volumes.iter().any(|volume| volume.id == snapshot.volume_id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_load_balancer_is_proven_by_tags_or_by_its_name_on_an_own_network() {
        let cluster = ClusterNames::new("prod", "web");
        let is_own = |name: &str, network: &str, tags: &[String]| {
            let balancer = json!({"id": "1", "name": name, "provisioning_status": "PENDING_DELETE",
                "vip_network_id": network, "tags": tags});
            load_balancer(&cluster, &["own".into()], &serde_json::from_value(balancer).unwrap())
        };
        let api = cluster.api_load_balancer();
        assert!(is_own("any", "other", &cluster.tags()));
        assert!(is_own(&api, "own", &[]), "listed without its tags while it goes");
        assert!(is_own("kube_service_prod-web_default_shop", "own", &[]));
        assert!(!is_own(&api, "other", &[]), "a stranger's of that name");
        assert!(!is_own("any", "own", &[]), "a stranger's on our network");
        assert!(!is_own("any", "other", &cluster.tags()[..1]));
    }
}
