//! Quotas: limits per project, service and resource.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::OpenStack;

impl OpenStack {
    /// Takes an administrator's limits of a project: `{"cores": 4}`, in the given service's words.
    ///
    /// # Errors
    /// The name of the first key that is no resource of the service, or whose value is no limit.
    pub(super) fn change_quotas(
        &mut self,
        project_id: &str,
        service: &str,
        limits: &Map<String, Value>,
    ) -> Result<(), String> {
        let mut parsed = Vec::new();
        for (name, value) in limits {
            let limit = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
            match limit.filter(|limit| *limit >= -1 && resources(service).any(|known| known == name)) {
                Some(limit) => parsed.push((name, limit)),
                None => return Err(name.clone()),
            }
        }
        for (name, limit) in parsed {
            self.quotas.set(project_id, service, name, limit);
        }
        Ok(())
    }

    /// A project has the default limits of a service again.
    pub(super) fn reset_quotas(&mut self, project_id: &str, service: &str) {
        self.quotas.forget(project_id, service);
    }
}

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

    /// What was set for a project no longer holds.
    fn forget(&mut self, project_id: &str, service: &str) {
        self.set.retain(|(project, of, _), _| project != project_id || of != service);
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
