//! OpenAPI: enough for `kubectl apply` (may it ask for field validation?) and `kubectl explain` of custom resources.
//!
//! Built-in kinds have their fields, and no words about them. Version 2, which clients take in protobuf only, names no kind at all.

use serde_json::{Map, Value, json};

use super::kinds;
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

/// `/openapi/v2`: a document without definitions, as `openapi.v2.Document` of gnostic.
pub(crate) fn older(version: &str) -> Vec<u8> {
    let field = |number: u8, value: &[u8]| {
        // Texts of a few bytes: their length fits into one.
        let length = u8::try_from(value.len()).unwrap_or(0x7f) & 0x7f;
        [&[number << 3 | 2, length], value].concat()
    };
    let info = [field(1, b"Kubernetes"), field(2, version.as_bytes())].concat();
    [field(1, b"2.0"), field(2, &info)].concat()
}

/// The document of a group and version.
pub(crate) fn document(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in registry.iter().filter(|r| r.group == group && r.version == version && !r.create_only) {
        let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/{version}") };
        let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        paths.insert(format!("{root}{scope}/{}/{{name}}", resource.plural), operations(resource));
        let name = schema_name(resource);
        if let Some(kind) = resource.built_in() {
            kinds::describe(kind, &mut schemas);
        }
        if let Some(schema) = &resource.schema {
            schemas.insert(name.clone(), (**schema).clone());
        }
        if let Some(schema) = schemas.get_mut(&name).filter(|schema| schema.is_object()) {
            schema["x-kubernetes-group-version-kind"] = json!([kind(resource)]);
        }
    }
    let info = json!({"title": "Kubernetes (simulated)", "version": "unversioned"});
    (!paths.is_empty()).then(
        || json!({"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}),
    )
}

fn schema_name(resource: &Resource) -> String {
    if let Some(kind) = resource.built_in() {
        return kinds::schema_name(kind);
    }
    let mut words: Vec<&str> = resource.group.split('.').collect();
    words.reverse();
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
