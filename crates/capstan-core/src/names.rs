//! Names of everything that a fleet makes, derived and never stored.
//!
//! A fleet `F` with a cluster `C` owns the Kubernetes namespace `F-C` of the management plane, and every object and
//! every OpenStack resource of that cluster starts with `F-C`, so that what the controllers make of these names
//! (servers, networks, load balancers) carries the fleet, too.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Longest name of a Kubernetes object that becomes a label value or a host name.
pub const MAX_LABEL: usize = 63;
/// What Cluster API appends to a `MachineDeployment`'s name for a machine: `-xxxxx-yyyyy`.
const WORKER_SUFFIX: usize = 12;
/// What Cluster API appends to a `KubeadmControlPlane`'s name for a machine: `-xxxxx`.
const CONTROL_PLANE_SUFFIX: usize = 6;
/// The name under which a cluster's control plane appears beside its node groups.
pub const CONTROL_PLANE: &str = "control-plane";
/// The entry of `clouds.yaml` in a cluster's cloud credentials.
pub const CLOUD_NAME: &str = "openstack";
/// The namespace of the management plane for what belongs to no cluster: the Leases of the writers.
pub const SYSTEM_NAMESPACE: &str = "capstan-system";
/// Field manager of Capstan's server-side applies.
pub const FIELD_MANAGER: &str = "capstan";
/// Label with the fleet's name on Kubernetes objects.
pub const FLEET_LABEL: &str = "capstan.dev/fleet";
/// Label with the cluster's name on Kubernetes objects.
pub const CLUSTER_LABEL: &str = "capstan.dev/cluster";
/// Key of the fleet's name in OpenStack metadata and image properties; tags are `capstan:fleet=NAME`.
pub const FLEET_KEY: &str = "capstan:fleet";
/// Key of the cluster's name in OpenStack metadata; tags are `capstan:cluster=NAME`.
pub const CLUSTER_KEY: &str = "capstan:cluster";

/// The names of one cluster of one fleet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterNames {
    fleet: String,
    cluster: String,
    base: String,
}

impl ClusterNames {
    /// Names of cluster `cluster` of fleet `fleet`.
    #[must_use]
    pub fn new(fleet: &str, cluster: &str) -> Self {
        Self { fleet: fleet.into(), cluster: cluster.into(), base: format!("{fleet}-{cluster}") }
    }

    /// The fleet's name, `F`.
    #[must_use]
    pub fn fleet(&self) -> &str {
        &self.fleet
    }

    /// The cluster's own name, `C`.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// `F-C`: the namespace in the management plane, and the name of the `Cluster`, `OpenStackCluster` and
    /// `WorkloadCluster` objects in it.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The namespace in the management plane.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.base
    }

    /// `F-C-control-plane`: the `KubeadmControlPlane`, its health check and its server group.
    #[must_use]
    pub fn control_plane(&self) -> String {
        format!("{}-{CONTROL_PLANE}", self.base)
    }

    /// `F-C-control-plane-HASH`: a machine template of the control plane.
    #[must_use]
    pub fn control_plane_template(&self, hash: &str) -> String {
        format!("{}-{CONTROL_PLANE}-{hash}", self.base)
    }

    /// `F-C-GROUP`: a node group's `MachineDeployment`, its health check and its server group.
    #[must_use]
    pub fn node_group(&self, group: &str) -> String {
        format!("{}-{group}", self.base)
    }

    /// `F-C-GROUP-HASH`: a machine or bootstrap template of a node group.
    #[must_use]
    pub fn node_group_template(&self, group: &str, hash: &str) -> String {
        format!("{}-{group}-{hash}", self.base)
    }

    /// `F-C-cloud-config`: the Secret with the cluster's `clouds.yaml`.
    #[must_use]
    pub fn cloud_config_secret(&self) -> String {
        format!("{}-cloud-config", self.base)
    }

    /// `F-C-kubeconfig`: the Secret in which Cluster API keeps the kubeconfig.
    #[must_use]
    pub fn kubeconfig_secret(&self) -> String {
        format!("{}-kubeconfig", self.base)
    }

    /// `F-C-XXXXXXXX`: an application credential of the cluster; `suffix` makes it unique over rotations.
    #[must_use]
    pub fn application_credential(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.base)
    }

    /// The network, subnet and router that the OpenStack provider makes: `k8s-clusterapi-cluster-F-C-F-C`.
    #[must_use]
    pub fn managed_network(&self) -> String {
        format!("k8s-clusterapi-cluster-{0}-{0}", self.base)
    }

    /// The load balancer of the API server: the managed network's name with `-kubeapi`.
    #[must_use]
    pub fn api_load_balancer(&self) -> String {
        format!("{}-kubeapi", self.managed_network())
    }

    /// What the names of the cloud controller manager's load balancers start with: `kube_service_F-C_`.
    #[must_use]
    pub fn service_load_balancer_prefix(&self) -> String {
        format!("kube_service_{}_", self.base)
    }

    /// The administrator's context in a merged kubeconfig: `C-admin@C`.
    #[must_use]
    pub fn kubeconfig_context(&self) -> String {
        format!("{0}-admin@{0}", self.cluster)
    }

    /// The OpenStack tags of what belongs to the cluster.
    #[must_use]
    pub fn tags(&self) -> [String; 2] {
        [fleet_tag(&self.fleet), format!("{CLUSTER_KEY}={}", self.cluster)]
    }

    /// Every server group's name, the control plane's first. They share one OpenStack project with other clusters.
    #[must_use]
    pub fn server_groups<'a>(&self, groups: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        std::iter::once(CONTROL_PLANE).chain(groups).map(|group| self.node_group(group)).collect()
    }
}

/// The OpenStack tag of what belongs to a fleet: `capstan:fleet=F`.
#[must_use]
pub fn fleet_tag(fleet: &str) -> String {
    format!("{FLEET_KEY}={fleet}")
}

/// How many characters `F-C` may have so that machines of the control plane keep a valid host name.
#[must_use]
pub const fn max_base() -> usize {
    MAX_LABEL - CONTROL_PLANE_SUFFIX - CONTROL_PLANE.len() - 1
}

/// How many characters `F-C-GROUP` may have so that machines of the group keep a valid host name.
#[must_use]
pub const fn max_node_group() -> usize {
    MAX_LABEL - WORKER_SUFFIX
}

/// Why `name` is not a DNS label (RFC 1123: lower-case letters, digits and `-`, neither first nor last), if it isn't.
///
/// # Errors
/// What is wrong, in words.
pub fn check_dns_label(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a name must not be empty".into());
    }
    if let Some(bad) = name.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')) {
        return Err(format!(
            "`{}` is not allowed in a name: use lower-case letters, digits and `-`",
            bad.escape_debug()
        ));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return Err("a name must start and end with a letter or a digit".into());
    }
    if name.len() > MAX_LABEL {
        return Err(format!(
            "a name must not be longer than {MAX_LABEL} characters, this one has {}",
            name.len()
        ));
    }
    Ok(())
}

/// The first 8 hexadecimal digits of the SHA-256 of `content`, for names of immutable objects.
///
/// The content is brought into one order of keys first, so that equal content has an equal hash whatever wrote it.
#[must_use]
pub fn content_hash<T: Serialize>(content: &T) -> String {
    let mut canonical = String::new();
    // Only a map with keys that are no strings cannot become JSON; such a thing is no content of ours.
    let value = serde_json::to_value(content).unwrap_or_default();
    write_canonical(&value, &mut canonical);
    let digest = Sha256::digest(canonical.as_bytes());
    digest.iter().take(4).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (key, value) in keys {
                let _ = write!(out, "{}:", Value::from(key.as_str()));
                write_canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_a_cluster_carry_the_fleet() {
        let names = ClusterNames::new("prod", "web");
        assert_eq!(names.namespace(), "prod-web");
        assert_eq!(names.control_plane_template("0123abcd"), "prod-web-control-plane-0123abcd");
        assert_eq!(names.node_group("gpu"), "prod-web-gpu");
        assert_eq!(names.managed_network(), "k8s-clusterapi-cluster-prod-web-prod-web");
        assert_eq!(names.service_load_balancer_prefix(), "kube_service_prod-web_");
        assert_eq!(names.kubeconfig_context(), "web-admin@web");
        assert_eq!(names.tags(), ["capstan:fleet=prod", "capstan:cluster=web"]);
    }

    #[test]
    fn the_hash_ignores_the_order_of_keys_and_nothing_else() {
        assert_eq!(content_hash(&json!({"a": 1, "b": [1, 2]})), content_hash(&json!({"b": [1, 2], "a": 1})));
        assert_ne!(content_hash(&json!({"a": 1, "b": [1, 2]})), content_hash(&json!({"a": 1, "b": [2, 1]})));
        assert_eq!(content_hash(&json!({})).len(), 8);
        // Pinned: another hash for the same content would roll every machine of every cluster.
        assert_eq!(content_hash(&json!({"flavor": "SCS-2V-4-20s", "image": {"name": "x"}})), "7fbb1258");
    }

    #[test]
    fn lengths_leave_room_for_what_cluster_api_appends() {
        let base = "x".repeat(max_base());
        assert_eq!(format!("{base}-control-plane-abcde").len(), MAX_LABEL);
        let group = "x".repeat(max_node_group());
        assert_eq!(format!("{group}-abcde-fghij").len(), MAX_LABEL);
    }

    #[test]
    fn dns_labels() {
        for good in ["a", "web", "web-1", "0", &"a".repeat(63)] {
            assert!(check_dns_label(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "Web", "a_b", "a.b", "ä", &"a".repeat(64)] {
            assert!(check_dns_label(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_hash_is_eight_hexadecimal_digits(text in ".{0,60}") {
            let hash = content_hash(&json!({ "text": text }));
            prop_assert!(hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }
}
