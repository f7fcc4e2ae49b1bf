//! The custom resource `workloadclusters.capstan.dev`: the durable desired state of a cluster in the management plane.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::documents::{WorkloadClusterSpec, generate_schema};
use crate::status::WorkloadClusterStatus;
use crate::{API_GROUP, API_VERSION};

/// Plural name of the resource.
pub const PLURAL: &str = "workloadclusters";
/// Kind of the resource.
pub const KIND: &str = "WorkloadCluster";

/// A workload cluster as the Kubernetes API holds it, without its metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Resource {
    /// What the cluster is.
    spec: WorkloadClusterSpec,
    /// How the cluster is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<WorkloadClusterStatus>,
}

/// The `CustomResourceDefinition`, generated from the structs of the documents.
///
/// It carries no defaults: what the fleet's files leave out is filled in before it is written, so that a new release's
/// defaults do not change clusters behind their owner's back.
#[must_use]
pub fn crd() -> Value {
    let column = |name: &str, path: &str, kind: &str, description: &str| json!({"name": name, "jsonPath": path, "type": kind, "description": description});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{PLURAL}.{API_GROUP}")},
        "spec": {
            "group": API_GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": format!("{KIND}List"),
                "plural": PLURAL,
                "singular": "workloadcluster",
                "shortNames": ["wlc"],
                "categories": ["capstan"],
            },
            "versions": [{
                "name": API_VERSION,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    column("Phase", ".status.phase", "string", "Where the cluster is in its life"),
                    column("Version", ".status.version", "string", "The Kubernetes release that all machines run"),
                    column("Nodes", ".status.nodes", "string", "Nodes that are ready, of those wanted"),
                    column("Age", ".metadata.creationTimestamp", "date", "Time since the cluster was asked for"),
                ],
                "schema": {"openAPIV3Schema": open_api_schema()},
            }],
        },
    })
}

fn open_api_schema() -> Value {
    let schema = generate_schema::<Resource>();
    let definitions = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut structural = structural(&schema, &definitions);
    structural["description"] = "A workload cluster: a Kubernetes cluster for users.".into();
    let identity = |description: &str| json!({"type": "string", "description": description});
    if let Some(properties) = structural.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("apiVersion".into(), identity("Version of the object's schema."));
        properties.insert("kind".into(), identity("Kind of the object."));
        properties.insert("metadata".into(), json!({"type": "object"}));
    }
    structural
}

/// Keywords of a structural schema that mean the same in JSON Schema and are taken over as they are.
const KEPT: &[&str] = &[
    "type",
    "description",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
    "required",
    "enum",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
];

/// The schema in the form that Kubernetes takes: references put in place, choices as `enum`, nothing that it refuses.
fn structural(schema: &Value, definitions: &Map<String, Value>) -> Value {
    let mut out = Map::new();
    if let Some(target) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix("#/$defs/"))
        .and_then(|name| definitions.get(name))
    {
        // The definition first: the description beside the reference is the more telling one.
        if let Value::Object(inner) = structural(target, definitions) {
            out = inner;
        }
    }
    for (key, value) in schema.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                let inner =
                    properties.iter().map(|(name, schema)| (name.clone(), structural(schema, definitions)));
                out.insert(key.clone(), Value::Object(inner.collect()));
            }
            ("items", inner) => {
                out.insert(key.clone(), structural(inner, definitions));
            }
            // `false` forbids unknown keys, which a structural schema does by pruning them.
            ("additionalProperties", inner @ Value::Object(_)) => {
                out.insert(key.clone(), structural(inner, definitions));
            }
            ("oneOf", Value::Array(choices)) => {
                let values: Vec<_> =
                    choices.iter().filter_map(|choice| choice.get("const").cloned()).collect();
                out.insert("type".into(), "string".into());
                out.insert("enum".into(), values.into());
            }
            ("format", Value::String(format)) if format == "date-time" => {
                out.insert(key.clone(), value.clone());
            }
            (kept, value) if KEPT.contains(&kept) => {
                out.insert(key.clone(), value.clone());
            }
            _ => {}
        }
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every schema below `schema`, with its path.
    fn walk(schema: &Value, path: &str, visit: &mut dyn FnMut(&str, &Map<String, Value>)) {
        let object = schema.as_object().unwrap_or_else(|| panic!("{path} is not a schema"));
        visit(path, object);
        for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            walk(inner, &format!("{path}.{name}"), visit);
        }
        for key in ["items", "additionalProperties"] {
            if let Some(inner) = schema.get(key) {
                walk(inner, &format!("{path}[{key}]"), visit);
            }
        }
    }

    #[test]
    fn the_schema_is_structural() {
        let mut seen = 0;
        walk(&open_api_schema(), "", &mut |path, schema| {
            seen += 1;
            assert!(schema.get("type").is_some_and(Value::is_string), "{path} has no type: {schema:?}");
            for key in schema.keys() {
                let known = KEPT.contains(&key.as_str())
                    || ["properties", "items", "additionalProperties", "format"].contains(&key.as_str());
                assert!(known, "{path} has {key}");
            }
            assert!(
                !(schema.contains_key("properties") && schema.contains_key("additionalProperties")),
                "{path}"
            );
            for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
                assert!(schema["properties"].get(required.as_str().unwrap()).is_some(), "{path}: {required}");
            }
            // Kubernetes wants the keys of a list map required in its items.
            for key in
                schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten()
            {
                assert!(schema["items"]["required"].as_array().unwrap().contains(key), "{path}: {key}");
            }
        });
        assert!(seen > 50, "{seen}");
    }

    #[test]
    fn the_definition_has_columns_and_a_status() {
        let crd = crd();
        let version = &crd["spec"]["versions"][0];
        assert_eq!(version["subresources"], json!({"status": {}}));
        let columns: Vec<_> =
            version["additionalPrinterColumns"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
        assert_eq!(columns, ["Phase", "Version", "Nodes", "Age"]);
        let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
        assert_eq!(
            spec["properties"]["controlPlane"]["properties"]["antiAffinity"]["enum"],
            json!(["hard", "soft", "none"])
        );
        assert_eq!(spec["properties"]["nodeGroups"]["x-kubernetes-list-map-keys"], json!(["name"]));
    }
}
