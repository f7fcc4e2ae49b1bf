//! Quotas: limits per project, service and resource.

use std::collections::BTreeMap;

/// Limits where nothing else was set: generous, but finite. -1 is no limit.
const DEFAULTS: [(&str, &str, i64); 30] = [
    ("network", "network", 500),
    ("network", "subnet", 500),
    ("network", "subnetpool", -1),
    ("network", "port", 10_000),
    ("network", "router", 500),
    ("network", "floatingip", 1_000),
    ("network", "rbac_policy", 10),
    ("network", "security_group", 2_000),
    ("network", "security_group_rule", 20_000),
    ("compute", "cores", 8_000),
    ("compute", "instances", 2_000),
    ("compute", "key_pairs", 100),
    ("compute", "metadata_items", 128),
    ("compute", "ram", 32_768_000),
    ("compute", "server_group_members", 100),
    ("compute", "server_groups", 2_000),
    ("volume", "volumes", 2_000),
    ("volume", "per_volume_gigabytes", -1),
    ("volume", "snapshots", 500),
    ("volume", "gigabytes", 200_000),
    ("volume", "backups", 10),
    ("volume", "backup_gigabytes", 1_000),
    ("volume", "groups", 10),
    ("load-balancer", "load_balancer", 500),
    ("load-balancer", "listener", 1_000),
    ("load-balancer", "member", 10_000),
    ("load-balancer", "pool", 1_000),
    ("load-balancer", "health_monitor", 1_000),
    ("load-balancer", "l7policy", -1),
    ("load-balancer", "l7rule", -1),
];

/// What was set for a project.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    set: BTreeMap<(String, String, String), i64>,
}

impl Quotas {
    pub(crate) fn limit(&self, project_id: &str, service: &str, resource: &str) -> i64 {
        let key = (project_id.to_owned(), service.to_owned(), resource.to_owned());
        self.set.get(&key).copied().unwrap_or_else(|| default_limit(service, resource))
    }

    pub(crate) fn set(&mut self, project_id: &str, service: &str, resource: &str, limit: i64) {
        let key = (project_id.to_owned(), service.to_owned(), resource.to_owned());
        self.set.insert(key, limit);
    }
}

/// The limit where nothing else was set.
pub(crate) fn default_limit(service: &str, resource: &str) -> i64 {
    DEFAULTS
        .iter()
        .find(|(of, name, _)| *of == service && *name == resource)
        .map_or(-1, |(_, _, limit)| *limit)
}

/// The resources of a service that have a quota.
pub(crate) fn resources(service: &str) -> impl Iterator<Item = &'static str> {
    DEFAULTS.iter().filter(move |(of, _, _)| *of == service).map(|(_, name, _)| *name)
}
