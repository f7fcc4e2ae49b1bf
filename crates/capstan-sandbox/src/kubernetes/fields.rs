//! Sets of fields (`FieldsV1`), and merging by them: the parts of structured-merge-diff that server-side apply needs.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::shape::{ListKind, Shape, key_of};

/// A set of fields as a tree. The keys are those of `FieldsV1`: `f:NAME`, `k:{KEYS}`, `v:VALUE`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    /// The field itself belongs to the set, not only fields below it.
    member: bool,
    children: BTreeMap<String, Self>,
}

/// Parts of an object that nobody owns.
const UNTRACKED: &[&str] = &[
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "managedFields",
];

impl Fields {
    fn leaf() -> Self {
        Self { member: true, children: BTreeMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    /// Reads `fieldsV1`.
    pub(crate) fn from_json(value: &Value) -> Self {
        let Value::Object(map) = value else { return Self::default() };
        let children: BTreeMap<String, Self> = map
            .iter()
            .filter(|(key, _)| *key != ".")
            .map(|(key, child)| (key.clone(), Self::node(child)))
            .collect();
        Self { member: map.contains_key("."), children }
    }

    fn node(value: &Value) -> Self {
        let mut node = Self::from_json(value);
        node.member |= node.children.is_empty();
        node
    }

    /// Writes `fieldsV1`.
    pub(crate) fn to_json(&self) -> Value {
        let mut map: Map<String, Value> =
            self.children.iter().map(|(key, child)| (key.clone(), child.to_json())).collect();
        if self.member && !self.children.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        Value::Object(map)
    }

    /// Whether a set in the form of `fieldsV1` has all these fields.
    pub(crate) fn is_within(&self, set: &Value) -> bool {
        let Value::Object(map) = set else { return false };
        let member = map.is_empty() || map.contains_key(".");
        (!self.member || member)
            && self
                .children
                .iter()
                .all(|(key, child)| map.get(key).is_some_and(|known| child.is_within(known)))
    }

    /// Whether taking these fields out of a set in the form of `fieldsV1`, with all below them, would change it.
    pub(crate) fn meets(&self, set: &Value) -> bool {
        self.children
            .iter()
            .any(|(key, child)| set.get(key).is_some_and(|known| child.member || child.meets(known)))
    }

    /// Adds all fields of another set.
    pub(crate) fn add(&mut self, other: &Self) {
        self.member |= other.member;
        for (key, child) in &other.children {
            self.children.entry(key.clone()).or_default().add(child);
        }
    }

    /// Takes all fields of another set out.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.member &= !other.member;
        self.children.retain(|key, child| {
            if let Some(taken) = other.children.get(key) {
                child.subtract(taken);
            }
            !child.is_empty()
        });
    }

    /// Takes all fields of another set out, and everything below them.
    pub(crate) fn subtract_deep(&mut self, other: &Self) {
        self.member &= !other.member;
        self.children.retain(|key, child| match other.children.get(key) {
            Some(taken) if taken.member => false,
            Some(taken) => {
                child.subtract_deep(taken);
                !child.is_empty()
            }
            None => true,
        });
    }

    /// The fields that a write of `other` touches: those that both sets have, and everything below what is written as a
    /// whole.
    pub(crate) fn common(&self, other: &Self) -> Self {
        if other.member && other.children.is_empty() {
            return self.clone();
        }
        let children = self.children.iter().filter_map(|(key, child)| {
            let common = child.common(other.children.get(key)?);
            (!common.is_empty()).then(|| (key.clone(), common))
        });
        Self { member: self.member && other.member, children: children.collect() }
    }

    /// The fields as Kubernetes prints them, `.spec.ports[port=80,protocol="TCP"].name`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths(String::new(), &mut paths);
        paths
    }

    fn collect_paths(&self, path: String, paths: &mut Vec<String>) {
        for (key, child) in &self.children {
            child.collect_paths(format!("{path}{}", printed(key)), paths);
        }
        if self.member {
            paths.push(path);
        }
    }
}

fn printed(key: &str) -> String {
    match key.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("v", value)) => format!("[={value}]"),
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        _ => key.to_owned(),
    }
}

/// The elements of a list that is not atomic, each with its key in `FieldsV1`; none if the list is atomic.
fn keyed<'v>(items: &'v [Value], shape: Shape<'_>) -> Option<Vec<(String, &'v Value)>> {
    match shape.list_kind() {
        ListKind::Atomic => None,
        ListKind::Set => Some(items.iter().map(|item| (format!("v:{item}"), item)).collect()),
        ListKind::Map(keys) => {
            Some(items.iter().map(|item| (format!("k:{}", key_of(item, &keys)), item)).collect())
        }
    }
}

/// Every field that an applied configuration sets.
pub(crate) fn set_of(object: &Value, shape: Shape<'_>) -> Fields {
    let mut fields = of(object, shape);
    forget_untracked(&mut fields);
    fields
}

fn of(value: &Value, shape: Shape<'_>) -> Fields {
    let children: BTreeMap<String, Fields> = match value {
        Value::Object(map) if !shape.is_atomic_map() => {
            map.iter().map(|(name, value)| (format!("f:{name}"), of(value, shape.child(name)))).collect()
        }
        Value::Array(items) => match keyed(items, shape) {
            Some(keyed) => keyed.into_iter().map(|(key, item)| (key, of_item(item, shape.item()))).collect(),
            None => BTreeMap::new(),
        },
        _ => BTreeMap::new(),
    };
    Fields { member: children.is_empty(), children }
}

fn of_item(item: &Value, shape: Shape<'_>) -> Fields {
    Fields { member: true, ..of(item, shape) }
}

fn forget_untracked(fields: &mut Fields) {
    fields.children.remove("f:apiVersion");
    fields.children.remove("f:kind");
    if let Some(metadata) = fields.children.get_mut("f:metadata") {
        for name in UNTRACKED {
            metadata.children.remove(&format!("f:{name}"));
        }
        metadata.member = false;
        if metadata.children.is_empty() {
            fields.children.remove("f:metadata");
        }
    }
    fields.member = false;
}

/// What a write changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Fields with a new value.
    pub(crate) written: Fields,
    /// Fields that are gone.
    pub(crate) removed: Fields,
}

/// Compares two states of an object.
pub(crate) fn compare(old: &Value, new: &Value, shape: Shape<'_>) -> Changes {
    let mut changes = difference(old, new, shape);
    forget_untracked(&mut changes.written);
    forget_untracked(&mut changes.removed);
    changes
}

fn difference(old: &Value, new: &Value, shape: Shape<'_>) -> Changes {
    let mut changes = Changes::default();
    if old == new {
        return changes;
    }
    match (old, new) {
        (Value::Object(before), Value::Object(after)) if !shape.is_atomic_map() => {
            for (name, value) in before {
                if !after.contains_key(name) {
                    changes.removed.children.insert(format!("f:{name}"), removed(value, shape.child(name)));
                }
            }
            for (name, value) in after {
                changes.visit(format!("f:{name}"), before.get(name), value, shape.child(name));
            }
        }
        (Value::Array(before), Value::Array(after)) => match (keyed(before, shape), keyed(after, shape)) {
            (Some(before), Some(after)) => {
                let before: BTreeMap<String, &Value> = before.into_iter().collect();
                let after: BTreeMap<String, &Value> = after.into_iter().collect();
                for (key, value) in &before {
                    if !after.contains_key(key) {
                        changes.removed.children.insert(key.clone(), removed(value, shape.item()));
                    }
                }
                for (key, value) in after {
                    changes.visit(key.clone(), before.get(&key).copied(), value, shape.item());
                }
            }
            _ => changes.written = Fields::leaf(),
        },
        _ => changes.written = Fields::leaf(),
    }
    changes
}

/// Everything of a part that is gone, itself included.
fn removed(value: &Value, shape: Shape<'_>) -> Fields {
    Fields { member: true, ..of(value, shape) }
}

impl Changes {
    fn visit(&mut self, key: String, old: Option<&Value>, new: &Value, shape: Shape<'_>) {
        match old {
            None => {
                let mut added = of(new, shape);
                added.member = true;
                self.written.children.insert(key, added);
            }
            Some(old) => {
                let below = difference(old, new, shape);
                if !below.written.is_empty() {
                    self.written.children.insert(key.clone(), below.written);
                }
                if !below.removed.is_empty() {
                    self.removed.children.insert(key, below.removed);
                }
            }
        }
    }
}

/// Merges an applied configuration into the live object.
pub(crate) fn merge(live: &mut Value, applied: &Value, shape: Shape<'_>) {
    match (&mut *live, applied) {
        (Value::Object(live), Value::Object(applied)) if !shape.is_atomic_map() => {
            for (name, value) in applied {
                match live.get_mut(name) {
                    Some(known) => merge(known, value, shape.child(name)),
                    None => {
                        live.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(items), Value::Array(wanted)) => match keyed(wanted, shape) {
            None => items.clone_from(wanted),
            Some(wanted) => {
                let known = keyed(items, shape).unwrap_or_default();
                let known: BTreeMap<String, usize> =
                    known.into_iter().enumerate().map(|(index, (key, _))| (key, index)).collect();
                for (key, value) in wanted {
                    match known.get(&key) {
                        Some(index) => merge(&mut items[*index], value, shape.item()),
                        None => items.push(value.clone()),
                    }
                }
            }
        },
        _ => *live = applied.clone(),
    }
}

/// Takes fields out of an object. A map or list that is empty afterwards goes, too. Where somebody owns it, as `kept`
/// tells, it becomes null, as in the real API server: no schema allows that, so the apply is refused.
pub(crate) fn remove(value: &mut Value, fields: &Fields, kept: &Fields, shape: Shape<'_>) {
    let nothing = Fields::default();
    match value {
        Value::Object(map) => {
            for (key, child) in &fields.children {
                let Some(name) = key.strip_prefix("f:") else { continue };
                let Some(known) = map.get_mut(name) else { continue };
                let kept = kept.children.get(key).unwrap_or(&nothing);
                if !child.children.is_empty() {
                    remove(known, child, kept, shape.child(name));
                }
                let emptied = known.as_object().is_some_and(Map::is_empty)
                    || known.as_array().is_some_and(Vec::is_empty);
                match (emptied && !kept.is_empty(), shape.child(name)) {
                    (true, Shape::Schema(_)) => *known = Value::Null,
                    _ if emptied || (child.member && child.children.is_empty()) => drop(map.remove(name)),
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            let Some(keys) = keyed(items, shape) else { return };
            let keys: Vec<String> = keys.into_iter().map(|(key, _)| key).collect();
            let mut keys = keys.iter();
            items.retain_mut(|item| {
                let Some(key) = keys.next() else { return true };
                let Some(child) = fields.children.get(key) else { return true };
                if child.member {
                    return false;
                }
                remove(item, child, kept.children.get(key).unwrap_or(&nothing), shape.item());
                true
            });
        }
        _ => {}
    }
}

/// What is wrong with the lists of an applied configuration that are merged by keys, as structured-merge-diff says it.
pub(crate) fn wrong_list(value: &Value, shape: Shape<'_>, path: &str) -> Option<String> {
    match value {
        Value::Object(map) if !shape.is_atomic_map() => map
            .iter()
            .find_map(|(name, value)| wrong_list(value, shape.child(name), &format!("{path}.{name}"))),
        Value::Array(items) => {
            let keyed = keyed(items, shape)?;
            if let ListKind::Map(keys) = shape.list_kind() {
                for (index, item) in items.iter().enumerate() {
                    let wrong = if !item.is_object() {
                        "associative list with keys may not have non-map elements".to_owned()
                    } else if matches!(shape, Shape::Schema(_))
                        && keys.iter().all(|key| item.get(*key).is_none())
                    {
                        // The keys of built-in kinds have defaults.
                        format!(
                            "associative list with keys has an element that omits all key fields {keys:?} (and doesn't \
                             have default values for any key fields)"
                        )
                    } else {
                        continue;
                    };
                    return Some(format!("{path}: element {index}: {wrong}"));
                }
            }
            let mut seen = std::collections::BTreeSet::new();
            if let Some((key, _)) = keyed.iter().find(|(key, _)| !seen.insert(key.clone())) {
                return Some(format!("{path}: duplicate entries for key {}", printed(key)));
            }
            keyed
                .iter()
                .find_map(|(key, item)| wrong_list(item, shape.item(), &format!("{path}{}", printed(key))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PLAIN: Shape<'static> = Shape::Named { field: "", parent: "" };

    #[test]
    fn sets_are_written_as_kubernetes_writes_them() {
        let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "labels": {"x": "y"}},
            "spec": {"ports": [{"port": 80, "name": "http"}], "selector": {"a": "b"}}});
        let set = set_of(&object, PLAIN);
        assert_eq!(
            set.to_json(),
            json!({"f:metadata": {"f:labels": {"f:x": {}}}, "f:spec": {"f:selector": {}, "f:ports": {
                "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}}}}})
        );
        assert_eq!(Fields::from_json(&set.to_json()), set);
        assert!(set.paths().contains(&".spec.ports[port=80,protocol=\"TCP\"].name".to_owned()));
    }

    #[test]
    fn a_change_names_the_fields_that_differ() {
        let old = json!({"spec": {"a": 1, "b": {"c": 1}, "l": [1]}});
        let new = json!({"spec": {"a": 2, "b": {}, "l": [1, 2], "n": {"m": 1}}});
        let changes = compare(&old, &new, PLAIN);
        assert_eq!(
            changes.written.to_json(),
            json!({"f:spec": {"f:a": {}, "f:l": {}, "f:n": {".": {}, "f:m": {}}}})
        );
        assert_eq!(changes.removed.to_json(), json!({"f:spec": {"f:b": {"f:c": {}}}}));
    }

    #[test]
    fn merging_keeps_what_others_have_in_keyed_lists() {
        let mut live = json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}});
        merge(
            &mut live,
            &json!({"spec": {"containers": [{"name": "a", "image": "2"}, {"name": "c"}]}}),
            PLAIN,
        );
        assert_eq!(
            live,
            json!({"spec": {"containers": [{"name": "a", "image": "2"}, {"name": "b"}, {"name": "c"}]}})
        );
        let gone = Fields::from_json(
            &json!({"f:spec": {"f:containers": {"k:{\"name\":\"b\"}": {".": {}, "f:name": {}}}}}),
        );
        remove(&mut live, &gone, &Fields::default(), PLAIN);
        assert_eq!(live.pointer("/spec/containers").unwrap().as_array().unwrap().len(), 2);
    }
}
