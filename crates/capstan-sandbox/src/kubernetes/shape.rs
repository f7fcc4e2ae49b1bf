//! How lists and maps are merged: atomically, as a set, or by keys.
//!
//! Custom resources say so in their schema (`x-kubernetes-list-type`, `-list-map-keys`, `-map-type`). For built-in resources the
//! sandbox has no schema but a table of the well-known lists, by the names of a field and of its parent.

use serde_json::Value;

use super::object::Read as _;

/// What is known of a part of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape<'a> {
    /// The root of a custom resource, with its schema.
    Root(&'a Value),
    /// A part of a custom resource, with its schema.
    Schema(&'a Value),
    /// A part of a built-in resource, by the names of its field and of the field around it.
    Named { field: &'a str, parent: &'a str },
}

/// How a list is merged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ListKind<'a> {
    /// As a whole.
    Atomic,
    /// By value.
    Set,
    /// By the values of these fields.
    Map(Vec<&'a str>),
}

impl<'a> Shape<'a> {
    /// The shape of a whole object.
    pub(crate) fn of(schema: Option<&'a Value>) -> Self {
        schema.map_or(Self::Named { field: "", parent: "" }, Shape::Root)
    }

    /// The shape of a field.
    pub(crate) fn child(self, field: &'a str) -> Self {
        match self {
            Self::Root(_) if field == "metadata" => Self::Named { field, parent: "" },
            Self::Root(schema) | Self::Schema(schema) => schema
                .get("properties")
                .and_then(|properties| properties.get(field))
                .or_else(|| schema.get("additionalProperties").filter(|more| more.is_object()))
                .map_or(Self::Named { field: "", parent: "" }, Shape::Schema),
            Self::Named { field: parent, .. } => Self::Named { field, parent },
        }
    }

    /// The shape of a list's elements.
    pub(crate) fn item(self) -> Self {
        match self {
            Self::Root(schema) | Self::Schema(schema) => schema.get("items").map_or(self, Shape::Schema),
            Self::Named { .. } => self,
        }
    }

    /// True for a map that has one owner as a whole.
    pub(crate) fn is_atomic_map(self) -> bool {
        match self {
            Self::Root(_) => false,
            Self::Schema(schema) => schema.text("x-kubernetes-map-type") == "atomic",
            Self::Named { field, .. } => matches!(
                field,
                "selector"
                    | "labelSelector"
                    | "podSelector"
                    | "namespaceSelector"
                    | "nodeSelector"
                    | "secretRef"
                    | "secretKeyRef"
                    | "configMapKeyRef"
                    | "configMapRef"
                    | "fieldRef"
                    | "resourceFieldRef"
                    | "involvedObject"
                    | "roleRef"
                    | "ownerReferences"
            ),
        }
    }

    /// How this list is merged.
    pub(crate) fn list_kind(self) -> ListKind<'a> {
        match self {
            Self::Root(_) => ListKind::Atomic,
            Self::Schema(schema) => match schema.text("x-kubernetes-list-type") {
                "set" => ListKind::Set,
                "map" => {
                    let keys = schema.items("x-kubernetes-list-map-keys");
                    ListKind::Map(keys.iter().filter_map(Value::as_str).collect())
                }
                _ => ListKind::Atomic,
            },
            Self::Named { field, parent } => named_list(field, parent),
        }
    }
}

fn named_list(field: &str, parent: &str) -> ListKind<'static> {
    ListKind::Map(match field {
        "finalizers" => return ListKind::Set,
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "webhooks" => {
            vec!["name"]
        }
        "secrets" if parent.is_empty() => vec!["name"],
        "ports" if parent.ends_with("ontainers") => vec!["containerPort", "protocol"],
        "ports" if parent == "spec" => vec!["port", "protocol"],
        "volumeMounts" => vec!["mountPath"],
        "volumeDevices" => vec!["devicePath"],
        "hostAliases" | "podIPs" => vec!["ip"],
        "topologySpreadConstraints" => vec!["topologyKey", "whenUnsatisfiable"],
        "ownerReferences" => vec!["uid"],
        "conditions" | "addresses" => vec!["type"],
        _ => return ListKind::Atomic,
    })
}

/// The key of a list's element: its key fields as a JSON object in the order of their names, with the well-known default.
pub(crate) fn key_of(item: &Value, keys: &[&str]) -> Value {
    let value = |key: &str| match item.get(key) {
        Some(value) => value.clone(),
        None if key == "protocol" => Value::from("TCP"),
        None => Value::Null,
    };
    Value::Object(keys.iter().map(|key| ((*key).to_owned(), value(key))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn schemas_and_names_say_how_lists_merge() {
        let schema = json!({"properties": {"spec": {"properties": {"rules": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}, "plain": {"type": "array"}}}}});
        let spec = Shape::of(Some(&schema)).child("spec");
        assert_eq!(spec.child("rules").list_kind(), ListKind::Map(vec!["name"]));
        assert_eq!(spec.child("plain").list_kind(), ListKind::Atomic);
        assert_eq!(Shape::of(Some(&schema)).child("metadata").child("finalizers").list_kind(), ListKind::Set);
        let service = Shape::of(None).child("spec").child("ports");
        assert_eq!(service.list_kind(), ListKind::Map(vec!["port", "protocol"]));
        assert_eq!(
            key_of(&json!({"port": 80}), &["port", "protocol"]),
            json!({"port": 80, "protocol": "TCP"})
        );
    }
}
