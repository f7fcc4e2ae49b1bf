//! Discovery: which groups, versions and resources there are; aggregated and in the older form.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::registry::{Registry, Resource};

/// `/`: the paths that there are.
pub(crate) fn root(registry: &Registry) -> Value {
    let mut paths: Vec<String> = [
        "/api",
        "/api/v1",
        "/apis",
        "/healthz",
        "/livez",
        "/openapi/v2",
        "/openapi/v3",
        "/readyz",
        "/version",
    ]
    .map(str::to_owned)
    .into();
    for (group, versions) in registry.groups().into_iter().filter(|(group, _)| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    paths.sort_unstable();
    json!({"paths": paths})
}

/// `/version`
pub(crate) fn version(git_version: &str) -> Value {
    let mut numbers = git_version.trim_start_matches('v').split('.');
    json!({"major": numbers.next(), "minor": numbers.next(), "gitVersion": git_version, "gitTreeState": "clean",
           "gitCommit": "", "buildDate": "2026-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "linux/amd64"})
}

/// `/api`
pub(crate) fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// `/apis`
pub(crate) fn groups(registry: &Registry) -> Value {
    let groups: Vec<Value> = registry
        .groups()
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, versions)| group(name, versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`
pub(crate) fn one_group(registry: &Registry, name: &str) -> Option<Value> {
    let groups = registry.groups();
    let mut group = group(name, groups.get(name)?);
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    Some(group)
}

fn group(name: &str, versions: &[&str]) -> Value {
    let entry = |version: &&str| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"name": name, "versions": versions.iter().map(entry).collect::<Vec<_>>(), "preferredVersion": versions.first().map(entry)})
}

/// `/api/v1` and `/apis/GROUP/VERSION`
pub(crate) fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut list = Vec::new();
    for resource in registry.iter().filter(|r| r.group == group && r.version == version) {
        list.push(json!({"name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": resource.verbs(), "shortNames": resource.short_names, "categories": resource.categories}));
        let sub = |name: &str, kind: &str| {
            json!({"name": format!("{}/{name}", resource.plural), "singularName": "", "namespaced": resource.namespaced,
                   "kind": kind, "verbs": ["get", "patch", "update"]})
        };
        if resource.status {
            list.push(sub("status", &resource.kind));
        }
        if resource.scale.is_some() {
            let mut scale = sub("scale", "Scale");
            scale["group"] = "autoscaling".into();
            scale["version"] = "v1".into();
            list.push(scale);
        }
    }
    let name = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!list.is_empty()).then(
        || json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": list}),
    )
}

/// `/api` or `/apis` as `APIGroupDiscoveryList` (`apidiscovery.k8s.io/v2`).
pub(crate) fn aggregated(registry: &Registry, core: bool) -> Value {
    let mut by_group: BTreeMap<&str, BTreeMap<&str, Vec<Value>>> = BTreeMap::new();
    for resource in registry.iter().filter(|r| r.group.is_empty() == core) {
        let versions = by_group.entry(&resource.group).or_default();
        versions.entry(&resource.version).or_default().push(aggregated_resource(resource));
    }
    let order = registry.groups();
    let items: Vec<Value> = by_group
        .into_iter()
        .map(|(group, mut versions)| {
            let ordered = order.get(group).into_iter().flatten();
            let versions: Vec<Value> = ordered
                .filter_map(|v| {
                    versions.remove(*v).map(|r| json!({"version": v, "resources": r, "freshness": "Current"}))
                })
                .collect();
            json!({"metadata": {"name": group, "creationTimestamp": null}, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated_resource(resource: &Arc<Resource>) -> Value {
    let kind = |kind: &str| json!({"group": resource.group, "version": resource.version, "kind": kind});
    let mut subresources = Vec::new();
    if resource.status {
        subresources.push(json!({"subresource": "status", "responseKind": kind(&resource.kind), "verbs": ["get", "patch", "update"]}));
    }
    if resource.scale.is_some() {
        let scale = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
        subresources.push(
            json!({"subresource": "scale", "responseKind": scale, "verbs": ["get", "patch", "update"]}),
        );
    }
    json!({"resource": resource.plural, "responseKind": kind(&resource.kind), "singularResource": resource.singular,
           "scope": if resource.namespaced { "Namespaced" } else { "Cluster" }, "verbs": resource.verbs(),
           "shortNames": resource.short_names, "categories": resource.categories, "subresources": subresources})
}
