//! OpenAPI v3: enough for `kubectl apply` (may it ask for field validation?) and `kubectl explain` of custom resources.
//!
//! Built-in kinds have no schema here; theirs says so.

use serde_json::{Map, Value, json};

use super::registry::{Registry, Resource};

/// `/openapi/v3`: the documents, one per group and version. `prefix`: where the API server is mounted.
pub(crate) fn index(registry: &Registry, prefix: &str, revision: u64) -> Value {
    let mut paths = Map::new();
    for (group, versions) in registry.groups() {
        for version in versions {
            let path =
                if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            let url = format!("{prefix}/openapi/v3/{path}?hash={revision}");
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

/// The document of a group and version.
pub(crate) fn document(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in registry.iter().filter(|r| r.group == group && r.version == version && !r.create_only) {
        let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/{version}") };
        let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        paths.insert(format!("{root}{scope}/{}/{{name}}", resource.plural), operations(resource));
        schemas.insert(schema_name(resource), schema(resource));
    }
    let info = json!({"title": "Kubernetes (simulated)", "version": "unversioned"});
    (!paths.is_empty()).then(
        || json!({"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}),
    )
}

fn schema_name(resource: &Resource) -> String {
    let mut words: Vec<&str> = resource.group.split('.').filter(|word| !word.is_empty()).collect();
    words.reverse();
    if words.is_empty() {
        words = vec!["io", "k8s", "api", "core"];
    }
    format!("{}.{}.{}", words.join("."), resource.version, resource.kind)
}

fn kind(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

fn operations(resource: &Resource) -> Value {
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let parameters = json!(["dryRun", "fieldManager", "fieldValidation", "force"].map(parameter));
    let body = json!({"content": {"application/merge-patch+json": {"schema": {"type": "object"}},
                                  "application/apply-patch+yaml": {"schema": {"type": "object"}}}});
    let reference = json!({"$ref": format!("#/components/schemas/{}", schema_name(resource))});
    let responses =
        json!({"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}});
    json!({"get": {"x-kubernetes-action": "get", "x-kubernetes-group-version-kind": kind(resource), "responses": responses},
           "patch": {"x-kubernetes-action": "patch", "x-kubernetes-group-version-kind": kind(resource), "parameters": parameters,
                     "requestBody": body, "responses": responses}})
}

fn schema(resource: &Resource) -> Value {
    let mut schema = match &resource.schema {
        Some(schema) => (**schema).clone(),
        None => json!({"type": "object", "description": "The sandbox has no schema of built-in kinds.",
            "properties": {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}}),
    };
    schema["x-kubernetes-group-version-kind"] = json!([kind(resource)]);
    schema
}
