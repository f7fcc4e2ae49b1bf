//! Defaults and unknown fields of custom resources.

use serde_json::{Map, Value};

use super::object::Read as _;

/// Fills in the defaults of a schema.
pub(crate) fn fill_defaults(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(map) => {
            for (name, property) in schema.entries("properties") {
                if let Some(default) = property.get("default") {
                    let absent = match map.get(name) {
                        None => true,
                        Some(known) => known.is_null() && !property.flag("nullable"),
                    };
                    if absent {
                        map.insert(name.clone(), default.clone());
                    }
                }
                if let Some(known) = map.get_mut(name) {
                    fill_defaults(known, property);
                }
            }
            if let Some(more) = schema.get("additionalProperties").filter(|more| more.is_object()) {
                map.values_mut().for_each(|value| fill_defaults(value, more));
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| fill_defaults(item, schema));
            }
        }
        _ => {}
    }
}

/// Takes the fields out that the schema of a whole object doesn't know, and names them (`spec.foo`).
pub(crate) fn prune_object(object: &mut Value, schema: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    let Value::Object(map) = object else { return unknown };
    let known = |name: &str| {
        matches!(name, "apiVersion" | "kind" | "metadata") || schema.at("properties").get(name).is_some()
    };
    if !schema.flag("x-kubernetes-preserve-unknown-fields") {
        take(map, "", known, &mut unknown);
    }
    for (name, value) in map.iter_mut().filter(|(name, _)| *name != "metadata") {
        if let Some(schema) = schema.at("properties").get(name) {
            prune(value, schema, name, &mut unknown);
        }
    }
    unknown
}

fn take(map: &mut Map<String, Value>, path: &str, known: impl Fn(&str) -> bool, unknown: &mut Vec<String>) {
    map.retain(|name, _| {
        let keep = known(name);
        if !keep {
            unknown.push(if path.is_empty() { name.clone() } else { format!("{path}.{name}") });
        }
        keep
    });
}

fn prune(value: &mut Value, schema: &Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if schema.flag("x-kubernetes-embedded-resource") {
                return;
            }
            let more = schema.get("additionalProperties");
            let properties = schema.at("properties");
            let free = schema.flag("x-kubernetes-preserve-unknown-fields")
                || more.is_some_and(|m| *m != Value::Bool(false));
            if !free {
                take(map, path, |name| properties.get(name).is_some(), unknown);
            }
            for (name, value) in map.iter_mut() {
                if let Some(schema) = properties.get(name).or_else(|| more.filter(|m| m.is_object())) {
                    prune(value, schema, &format!("{path}.{name}"), unknown);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter_mut().enumerate() {
                    prune(item, schema, &format!("{path}[{index}]"), unknown);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_go_and_are_named() {
        let schema = json!({"properties": {"spec": {"type": "object", "properties": {
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"default": 7}}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "map": {"type": "object", "additionalProperties": {"type": "string"}}}}}});
        let mut object = json!({"kind": "X", "metadata": {"anything": 1}, "more": 1,
            "spec": {"foo": 1, "list": [{"b": 1}], "free": {"x": 1}, "map": {"k": "v"}}});
        assert_eq!(prune_object(&mut object, &schema), ["more", "spec.foo", "spec.list[0].b"]);
        fill_defaults(&mut object, &schema);
        assert_eq!(object.at("spec"), &json!({"list": [{"a": 7}], "free": {"x": 1}, "map": {"k": "v"}}));
    }
}
