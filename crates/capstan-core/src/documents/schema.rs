//! JSON Schemas of the documents, generated from the structs.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::{Fleet, WorkloadCluster};

/// Where the schemas are published; `$id` is this with the file's name.
const BASE: &str = "https://capstan.dev/schemas";

/// Definitions of which a document may hold a part, the rest coming from the fleet's defaults.
const PARTIAL: &[&str] = &["WorkloadClusterSpec", "KubernetesSpec", "RootVolumeSpec", "ExistingNetworkSpec"];

/// The JSON Schema of `kind: Fleet`, as committed in `schemas/fleet.schema.json`.
#[must_use]
pub fn fleet_schema() -> Value {
    document_schema::<Fleet>("fleet")
}

/// The JSON Schema of `kind: WorkloadCluster`, as committed in `schemas/workloadcluster.schema.json`.
#[must_use]
pub fn workload_cluster_schema() -> Value {
    document_schema::<WorkloadCluster>("workloadcluster")
}

pub(super) static FLEET: LazyLock<Value> = LazyLock::new(generate::<Fleet>);
pub(super) static WORKLOAD_CLUSTER: LazyLock<Value> = LazyLock::new(generate::<WorkloadCluster>);

fn document_schema<T: JsonSchema>(name: &str) -> Value {
    let mut schema = generate::<T>();
    if let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) {
        for (_, definition) in definitions.iter_mut().filter(|(name, _)| PARTIAL.contains(&name.as_str())) {
            if let Some(definition) = definition.as_object_mut() {
                definition.remove("required");
            }
        }
    }
    schema["$id"] = format!("{BASE}/{name}.schema.json").into();
    schema
}

/// The schema with everything that is required once a cluster and its defaults are merged.
pub(crate) fn generate<T: JsonSchema>() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with_transform(schemars::transform::RecursiveTransform(drop_null));
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Takes `null` out of the types of optional keys: a key is left out, not written with nothing behind it.
fn drop_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            object.insert("type".into(), one);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
        if let [one] = choices.as_slice()
            && let Some(one) = one.as_object().cloned()
        {
            object.remove("anyOf");
            for (key, value) in one {
                object.entry(key).or_insert(value);
            }
        }
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
}
