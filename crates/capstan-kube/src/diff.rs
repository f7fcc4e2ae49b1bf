//! What an apply would change: pure, over JSON.
//!
//! An object that Capstan renders says only what Capstan wants; the live object holds more (defaults, status, what
//! others set). So the question is whether desired ⊆ live, and whether live holds something that Capstan once set
//! and no longer wants. The rules:
//!
//! - Maps: by key; keys that only live has are others' business. A desired `null` means that live has none.
//! - Lists of which `metadata.managedFields` says that Capstan owns single entries (`k:{…}` and `v:…`: the schema
//!   calls them maps or sets): entries are matched by that key, and entries of others are left alone.
//! - Other lists belong to one owner as a whole, so length and order count. Where nothing is owned yet and all items
//!   of both sides carry a distinct `name` or `key`, items are matched by it and an additional one is a difference.
//! - Numbers are equal when their values are (`1` and `1.0`).
//! - What Capstan owns in live and doesn't desire any more is `removed`: an apply takes it out.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::MANAGER;

mod owned;

pub use owned::Owned;

/// One field that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldDiff {
    /// Path: `spec.template.spec.taints[0].effect`, `spec.ports[name=a].mtu`.
    pub path: String,
    /// What the server has; `None`: nothing.
    pub live: Option<Value>,
    /// What is desired; `None`: nothing.
    pub desired: Option<Value>,
}

/// What an apply would change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff {
    /// Fields that would get another value, in the order of their paths.
    pub fields: Vec<FieldDiff>,
    /// Paths of what Capstan owns and an apply would take out.
    pub removed: Vec<String>,
}

impl Diff {
    /// Whether an apply would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.removed.is_empty()
    }

    /// Whether something at or below one of these paths differs.
    #[must_use]
    pub fn touches(&self, path: &str) -> bool {
        let below = |other: &str| {
            other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.fields.iter().any(|field| below(&field.path))
            || self.removed.iter().any(|removed| below(removed))
    }
}

/// Compares a desired object with the live one. `apiVersion`, `kind` and the object's identity (`metadata.name`,
/// `metadata.namespace`) aren't compared: they are how the live one was found.
#[must_use]
pub fn diff(desired: &Value, live: &Value) -> Diff {
    let owned = Owned::read(&live["metadata"]["managedFields"], MANAGER);
    let (desired, live) = (comparable(desired), comparable(live));
    let mut fields = Vec::new();
    compare(&desired, Some(&live), &owned, &Path::default(), &mut fields);
    let mut removed = Vec::new();
    gone(&owned, Some(&desired), &live, &Path::default(), &mut removed);
    Diff { fields, removed }
}

/// The object without what identifies it and what an apply never carries.
fn comparable(object: &Value) -> Value {
    let Some(fields) = object.as_object() else { return object.clone() };
    let mut fields: Map<String, Value> = fields
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind" | "status"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| {
            matches!(key.as_str(), "labels" | "annotations" | "finalizers" | "ownerReferences")
        });
    }
    Value::Object(fields)
}

/// A path under construction.
#[derive(Clone, Debug, Default)]
struct Path(String);

impl Path {
    fn key(&self, key: &str) -> Self {
        // A key with a dot (labels, annotations) would read as two.
        let plain = !key.contains(['.', '/', '[']);
        Self(match (self.0.is_empty(), plain) {
            (true, _) => key.to_owned(),
            (false, true) => format!("{}.{key}", self.0),
            (false, false) => format!("{}[{key}]", self.0),
        })
    }

    fn item(&self, item: &str) -> Self {
        Self(format!("{}[{item}]", self.0))
    }
}

fn compare(desired: &Value, live: Option<&Value>, owned: &Owned, path: &Path, fields: &mut Vec<FieldDiff>) {
    match (desired, live) {
        (Value::Null, None | Some(Value::Null)) => {}
        (Value::Object(desired), Some(Value::Object(live))) => {
            for (key, desired) in desired {
                compare(desired, live.get(key), owned.field(key), &path.key(key), fields);
            }
        }
        (Value::Array(desired), Some(Value::Array(live))) => lists(desired, live, owned, path, fields),
        (desired, Some(live)) if same(desired, live) => {}
        (desired, live) => fields.push(FieldDiff {
            path: path.0.clone(),
            live: live.cloned(),
            desired: (!desired.is_null()).then(|| desired.clone()),
        }),
    }
}

fn lists(desired: &[Value], live: &[Value], owned: &Owned, path: &Path, fields: &mut Vec<FieldDiff>) {
    if owned.is_set() {
        for item in desired.iter().filter(|item| !live.iter().any(|other| same(item, other))) {
            let path = path.item(&plain(item)).0;
            fields.push(FieldDiff { path, live: None, desired: Some(item.clone()) });
        }
        return;
    }
    if let Some(keys) = owned.item_keys() {
        return keyed(desired, live, &keys, Some(owned), path, fields);
    }
    if let Some(key) = common_key(desired, live) {
        let keys = BTreeSet::from([key.to_owned()]);
        keyed(desired, live, &keys, None, path, fields);
        for item in live {
            let key = identity(item, &keys);
            if !desired.iter().any(|other| identity(other, &keys) == key) {
                fields.push(FieldDiff { path: path.item(&key).0, live: Some(item.clone()), desired: None });
            }
        }
        return;
    }
    for index in 0..desired.len().max(live.len()) {
        let path = path.item(&index.to_string());
        match desired.get(index) {
            Some(desired) => compare(desired, live.get(index), Owned::none(), &path, fields),
            None => fields.push(FieldDiff { path: path.0, live: live.get(index).cloned(), desired: None }),
        }
    }
}

fn keyed(
    desired: &[Value],
    live: &[Value],
    keys: &BTreeSet<String>,
    owned: Option<&Owned>,
    path: &Path,
    fields: &mut Vec<FieldDiff>,
) {
    for item in desired {
        let key = identity(item, keys);
        let other = live.iter().find(|other| identity(other, keys) == key);
        let owned = owned.map_or(Owned::none(), |owned| owned.item(item));
        compare(item, other, owned, &path.item(&key), fields);
    }
}

/// What Capstan owns in `live` and `desired` doesn't have.
fn gone(owned: &Owned, desired: Option<&Value>, live: &Value, path: &Path, removed: &mut Vec<String>) {
    for (key, below) in owned.fields() {
        let Some(live) = live.get(key) else { continue };
        let path = path.key(key);
        match desired.and_then(|desired| desired.get(key)) {
            None if below.is_leaf() || below.is_whole() => removed.push(path.0),
            desired => gone(below, desired, live, &path, removed),
        }
    }
    for (entry, below) in owned.items() {
        let find =
            |list: &Value| list.as_array().and_then(|list| list.iter().find(|item| entry.is(item)).cloned());
        let Some(live) = find(live) else { continue };
        let path = path.item(&entry.to_string());
        match desired.and_then(find) {
            None => removed.push(path.0),
            desired => gone(below, desired.as_ref(), &live, &path, removed),
        }
    }
}

/// `name` or `key`, when all items of both lists are objects that carry it as distinct strings.
fn common_key(desired: &[Value], live: &[Value]) -> Option<&'static str> {
    if desired.is_empty() && live.is_empty() {
        return None;
    }
    ["name", "key"].into_iter().find(|key| {
        [desired, live].into_iter().all(|list| {
            let names: Option<BTreeSet<&str>> = list.iter().map(|item| item.get(key)?.as_str()).collect();
            names.is_some_and(|names| names.len() == list.len())
        })
    })
}

/// `name=a`, or `name=a,value=b` for several keys.
fn identity(item: &Value, keys: &BTreeSet<String>) -> String {
    let parts = keys.iter().map(|key| format!("{key}={}", plain(item.get(key).unwrap_or(&Value::Null))));
    parts.collect::<Vec<_>>().join(",")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests;
