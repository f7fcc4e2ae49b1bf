//! Reading and changing Kubernetes objects, which are plain JSON here.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A Kubernetes object, or a part of one.
pub(crate) type Object = Value;

static NULL: Value = Value::Null;

/// What controllers and the API server read from objects. Absent parts read as empty.
pub(crate) trait Read {
    /// The value at a path of field names separated by dots; `Null` where there is none.
    fn at(&self, path: &str) -> &Value;

    /// The text at a path, `""` where there is none.
    fn text(&self, path: &str) -> &str {
        self.at(path).as_str().unwrap_or("")
    }

    /// The text at a path, if there is one that isn't empty.
    fn text_at(&self, path: &str) -> Option<&str> {
        self.at(path).as_str().filter(|text| !text.is_empty())
    }

    /// The number at a path.
    fn int(&self, path: &str) -> Option<i64> {
        self.at(path).as_i64()
    }

    /// The truth at a path; false where there is none.
    fn flag(&self, path: &str) -> bool {
        self.at(path).as_bool().unwrap_or(false)
    }

    /// The elements of the list at a path.
    fn items(&self, path: &str) -> &[Value] {
        self.at(path).as_array().map_or(&[], Vec::as_slice)
    }

    /// The entries of the map at a path.
    fn entries(&self, path: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.at(path).as_object().into_iter().flatten()
    }

    /// `metadata.name`
    fn name(&self) -> &str {
        self.text("metadata.name")
    }

    /// `metadata.namespace`, `""` for objects of the cluster.
    fn namespace(&self) -> &str {
        self.text("metadata.namespace")
    }

    /// `metadata.uid`
    fn uid(&self) -> &str {
        self.text("metadata.uid")
    }

    /// A label's value.
    fn label(&self, key: &str) -> Option<&str> {
        self.at("metadata.labels").get(key).and_then(Value::as_str)
    }

    /// An annotation's value.
    fn annotation(&self, key: &str) -> Option<&str> {
        self.at("metadata.annotations").get(key).and_then(Value::as_str)
    }

    /// True once somebody has asked for the deletion.
    fn is_deleting(&self) -> bool {
        self.at("metadata.deletionTimestamp").is_string()
    }

    /// True if the finalizer is there.
    fn has_finalizer(&self, finalizer: &str) -> bool {
        self.items("metadata.finalizers").iter().any(|f| f == finalizer)
    }

    /// The owner reference with `controller: true`.
    fn controller(&self) -> Option<&Value> {
        self.items("metadata.ownerReferences").iter().find(|owner| owner.flag("controller"))
    }

    /// True if an owner reference names this uid.
    fn is_owned_by(&self, uid: &str) -> bool {
        self.items("metadata.ownerReferences").iter().any(|owner| owner.text("uid") == uid)
    }

    /// The condition of a type in `status.conditions`.
    fn condition(&self, kind: &str) -> Option<&Value> {
        self.items("status.conditions").iter().find(|c| c.text("type") == kind)
    }

    /// True if the condition of this type has status `True`.
    fn is_condition_true(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(|c| c.text("status") == "True")
    }
}

impl Read for Value {
    fn at(&self, path: &str) -> &Value {
        path.split('.').fold(self, |value, field| value.get(field).unwrap_or(&NULL))
    }
}

/// What controllers and the API server change in objects.
pub(crate) trait Write {
    /// Sets the value at a path of field names separated by dots, making maps on the way.
    fn set(&mut self, path: &str, value: impl Into<Value>);
    /// Sets one entry of the map at a path; the key may contain dots.
    fn set_entry(&mut self, path: &str, key: &str, value: impl Into<Value>);
    /// Takes the value at a path out.
    fn unset(&mut self, path: &str) -> Option<Value>;
    /// The list at a path, made if there is none.
    fn list_mut(&mut self, path: &str) -> &mut Vec<Value>;
    /// Adds a finalizer unless it is there.
    fn add_finalizer(&mut self, finalizer: &str);
    /// Takes a finalizer away.
    fn remove_finalizer(&mut self, finalizer: &str);
    /// Adds an owner reference, or replaces the one of the same uid.
    fn add_owner(&mut self, owner: Value);
}

/// The place of a path in an object, made where it doesn't exist; a value in the way that is no map is replaced.
fn place<'a>(root: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').fold(root, |value, field| {
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        match value {
            Value::Object(map) => map.entry(field).or_insert(Value::Null),
            other => other,
        }
    })
}

impl Write for Value {
    fn set(&mut self, path: &str, value: impl Into<Self>) {
        *place(self, path) = value.into();
    }

    fn set_entry(&mut self, path: &str, key: &str, value: impl Into<Self>) {
        let map = place(self, path);
        if !map.is_object() {
            *map = Self::Object(Map::new());
        }
        if let Self::Object(map) = map {
            map.insert(key.to_owned(), value.into());
        }
    }

    fn unset(&mut self, path: &str) -> Option<Self> {
        let (parent, field) = match path.rsplit_once('.') {
            Some((parent, field)) => {
                let pointer = format!("/{}", parent.replace('.', "/"));
                (self.pointer_mut(&pointer)?, field)
            }
            None => (self, path),
        };
        parent.as_object_mut()?.remove(field)
    }

    fn list_mut(&mut self, path: &str) -> &mut Vec<Self> {
        let list = place(self, path);
        if !list.is_array() {
            *list = Self::Array(Vec::new());
        }
        match list {
            Self::Array(items) => items,
            _ => unreachable!("made an array above"),
        }
    }

    fn add_finalizer(&mut self, finalizer: &str) {
        if !self.has_finalizer(finalizer) {
            self.list_mut("metadata.finalizers").push(finalizer.into());
        }
    }

    fn remove_finalizer(&mut self, finalizer: &str) {
        if !self.has_finalizer(finalizer) {
            return;
        }
        let list = self.list_mut("metadata.finalizers");
        list.retain(|f| f != finalizer);
        if list.is_empty() {
            self.unset("metadata.finalizers");
        }
    }

    fn add_owner(&mut self, owner: Self) {
        let list = self.list_mut("metadata.ownerReferences");
        match list.iter_mut().find(|o| o.text("uid") == owner.text("uid")) {
            Some(known) => *known = owner,
            None => list.push(owner),
        }
    }
}

/// A controller's owner reference to an object, as `metav1.NewControllerRef` makes it.
pub(crate) fn controller_reference(owner: &Object) -> Value {
    json!({"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner.name(), "uid": owner.uid(),
           "controller": true, "blockOwnerDeletion": true})
}

/// A plain owner reference to an object.
pub(crate) fn owner_reference(owner: &Object) -> Value {
    json!({"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner.name(), "uid": owner.uid()})
}

/// A moment as Kubernetes writes it: whole seconds, UTC.
pub(crate) fn timestamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_and_read() {
        let mut object = json!({"spec": 3});
        object.set("spec.a.b", 1);
        object.set_entry("metadata.labels", "x.y/z", "v");
        assert_eq!(object.int("spec.a.b"), Some(1));
        assert_eq!(object.label("x.y/z"), Some("v"));
        assert_eq!(object.unset("spec.a.b"), Some(json!(1)));
        assert!(object.at("spec.a.b").is_null());
        object.add_finalizer("f");
        object.add_finalizer("f");
        assert_eq!(object.items("metadata.finalizers").len(), 1);
        object.remove_finalizer("f");
        assert!(object.at("metadata.finalizers").is_null());
    }
}
