//! Everything that is in the world, word by word: to be compared before and after.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use capstan_sandbox::Sandbox;
use serde_json::Value;

use crate::raw::{Raw, text};

/// Lists of OpenStack, and the key of each.
const LISTS: [(&str, &str); 16] = [
    ("/compute/v2.1/servers/detail", "servers"),
    ("/compute/v2.1/os-server-groups", "server_groups"),
    ("/compute/v2.1/os-keypairs", "keypairs"),
    ("/network/v2.0/networks", "networks"),
    ("/network/v2.0/subnets", "subnets"),
    ("/network/v2.0/ports", "ports"),
    ("/network/v2.0/routers", "routers"),
    ("/network/v2.0/floatingips", "floatingips"),
    ("/network/v2.0/security-groups", "security_groups"),
    ("/load-balancer/v2/lbaas/loadbalancers", "loadbalancers"),
    ("/load-balancer/v2/lbaas/listeners", "listeners"),
    ("/load-balancer/v2/lbaas/pools", "pools"),
    ("/image/v2/images?limit=100", "images"),
    ("/volume/v3/{project}/volumes/detail", "volumes"),
    ("/volume/v3/{project}/snapshots/detail", "snapshots"),
    ("/identity/v3/users/{user}/application_credentials", "application_credentials"),
];

/// Kinds of the management plane that clusters are made of.
const OBJECTS: [&str; 17] = [
    "api/v1/namespaces",
    "api/v1/secrets",
    "api/v1/configmaps",
    "apis/coordination.k8s.io/v1/leases",
    "apis/cluster.x-k8s.io/v1beta2/clusters",
    "apis/cluster.x-k8s.io/v1beta2/machines",
    "apis/cluster.x-k8s.io/v1beta2/machinesets",
    "apis/cluster.x-k8s.io/v1beta2/machinedeployments",
    "apis/cluster.x-k8s.io/v1beta2/machinehealthchecks",
    "apis/controlplane.cluster.x-k8s.io/v1beta2/kubeadmcontrolplanes",
    "apis/bootstrap.cluster.x-k8s.io/v1beta2/kubeadmconfigs",
    "apis/bootstrap.cluster.x-k8s.io/v1beta2/kubeadmconfigtemplates",
    "apis/infrastructure.cluster.x-k8s.io/v1beta1/openstackclusters",
    "apis/infrastructure.cluster.x-k8s.io/v1beta1/openstackmachines",
    "apis/infrastructure.cluster.x-k8s.io/v1beta1/openstackmachinetemplates",
    "apis/infrastructure.cluster.x-k8s.io/v1alpha1/openstackservers",
    "apis/capstan.dev/v1alpha1/workloadclusters",
];

/// Resources and objects by `kind name id`, each with what is in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Snapshot(BTreeMap<String, Value>);

impl Snapshot {
    /// Looks at everything.
    pub(crate) async fn of(sandbox: &Sandbox) -> Result<Self> {
        let raw = Raw::demo(sandbox).await?;
        let mut all = BTreeMap::new();
        for (path, key) in LISTS {
            let path = path.replace("{project}", &raw.project).replace("{user}", &raw.user);
            let mut list = raw.get(&path).await?;
            for resource in list[key].as_array_mut().into_iter().flatten().map(Value::take) {
                let name = format!("{key} {} {}", text(&resource["name"]), text(&resource["id"]));
                all.insert(name, resource);
            }
        }
        for path in OBJECTS {
            let kind = path.rsplit('/').next().unwrap_or_default();
            let mut list = match raw.get(&format!("/kubernetes/{path}")).await {
                // Before `up` the management plane doesn't have Capstan's own.
                Err(_) if kind == "workloadclusters" => continue,
                answer => answer?,
            };
            for object in list["items"].as_array_mut().into_iter().flatten().map(Value::take) {
                let metadata = &object["metadata"];
                let name = format!(
                    "{kind} {}/{} {}",
                    text(&metadata["namespace"]),
                    text(&metadata["name"]),
                    text(&metadata["uid"])
                );
                all.insert(name, object);
            }
        }
        Ok(Self(all))
    }

    /// What came, what went and what was changed, a line each; what `but` says is left out.
    pub(crate) fn differences(&self, later: &Self, but: impl Fn(&str) -> bool) -> Vec<String> {
        let went =
            self.0.keys().filter(|name| !later.0.contains_key(*name)).map(|name| format!("gone: {name}"));
        let came =
            later.0.keys().filter(|name| !self.0.contains_key(*name)).map(|name| format!("new: {name}"));
        let changed = self.0.iter().filter_map(|(name, before)| {
            let after = later.0.get(name)?;
            (before != after).then(|| format!("changed: {name}: {before} is now {after}"))
        });
        went.chain(came).chain(changed).filter(|line| !but(line)).collect()
    }

    /// The resources and objects of a kind: name and content.
    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let of_kind = self.0.iter().filter(move |(name, _)| name.split(' ').next() == Some(kind));
        of_kind.map(|(name, value)| (name.as_str(), value))
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.keys().try_for_each(|name| writeln!(f, "{name}"))
    }
}
