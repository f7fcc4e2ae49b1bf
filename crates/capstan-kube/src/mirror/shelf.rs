//! The copy of one kind, as a pure value: what lists, watches and own writes do to it.
//!
//! Resource versions of one kind are numbers that grow (Kubernetes promises that since 1.35, etcd always did), so
//! "newer" is a comparison. `seen` is how far the stream of lists and watches has told the history: an own write at
//! or below it whose object isn't here has been deleted since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::core::DynamicObject;

use super::held::Held;

#[derive(Debug, Default)]
pub(super) struct Shelf {
    objects: BTreeMap<String, BTreeMap<String, Arc<Held>>>,
    seen: u64,
}

impl Shelf {
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<Held>> {
        self.objects.get(namespace)?.get(name).cloned()
    }

    pub(super) fn list(&self, namespace: Option<&str>) -> Vec<Arc<Held>> {
        match namespace {
            Some(namespace) => {
                self.objects.get(namespace).into_iter().flat_map(BTreeMap::values).cloned().collect()
            }
            None => self.objects.values().flat_map(BTreeMap::values).cloned().collect(),
        }
    }

    /// The stream tells of an object that was added or modified; returns whether that is news.
    pub(super) fn observe(&mut self, object: DynamicObject) -> bool {
        let version = version(&object);
        self.seen = self.seen.max(version);
        if self.held(&object).is_some_and(|held| held >= version) {
            return false;
        }
        self.insert(object)
    }

    /// An own write has returned this object.
    pub(super) fn put(&mut self, object: DynamicObject) -> bool {
        let version = version(&object);
        let news = match self.held(&object) {
            Some(held) => held < version,
            None => self.seen < version,
        };
        news && self.insert(object)
    }

    /// The stream tells that an object is gone; its version is that of the deletion.
    pub(super) fn delete(&mut self, object: &DynamicObject) -> bool {
        let version = version(object);
        self.seen = self.seen.max(version);
        // A newer one of that name has been put since.
        if self.held(object).is_none_or(|held| held > version) {
            return false;
        }
        self.remove(namespace(object), name(object));
        true
    }

    /// The stream tells how far it is.
    pub(super) fn bookmark(&mut self, version: u64) {
        self.seen = self.seen.max(version);
    }

    /// A complete list as of `listed`; returns the namespaces in which something has changed.
    pub(super) fn relist(&mut self, objects: Vec<DynamicObject>, listed: u64) -> BTreeSet<String> {
        let mut changed = BTreeSet::new();
        // A server that was restored from a backup counts from further back: nothing here is newer than its list.
        let restored = listed < self.seen;
        self.seen = listed;
        let present: BTreeSet<(&str, &str)> =
            objects.iter().map(|object| (namespace(object), name(object))).collect();
        let mut gone = Vec::new();
        for (namespace, names) in &self.objects {
            for (name, held) in names {
                let told = restored || held.version <= listed;
                if told && !present.contains(&(namespace.as_str(), name.as_str())) {
                    gone.push((namespace.clone(), name.clone()));
                }
            }
        }
        for (namespace, name) in gone {
            self.remove(&namespace, &name);
            changed.insert(namespace);
        }
        for object in objects {
            let held = self.held(&object);
            let news = if restored {
                held != Some(version(&object))
            } else {
                held.is_none_or(|held| held < version(&object))
            };
            let namespace = namespace(&object).to_owned();
            if news && self.insert(object) {
                changed.insert(namespace);
            }
        }
        changed
    }

    fn held(&self, object: &DynamicObject) -> Option<u64> {
        self.objects.get(namespace(object))?.get(name(object)).map(|held| held.version)
    }

    fn insert(&mut self, object: DynamicObject) -> bool {
        let (namespace, name) = (namespace(&object).to_owned(), name(&object).to_owned());
        let Some(held) = Held::new(version(&object), object) else { return false };
        self.objects.entry(namespace).or_default().insert(name, Arc::new(held));
        true
    }

    fn remove(&mut self, namespace: &str, name: &str) {
        if let Some(names) = self.objects.get_mut(namespace) {
            names.remove(name);
            if names.is_empty() {
                self.objects.remove(namespace);
            }
        }
    }
}

fn namespace(object: &DynamicObject) -> &str {
    object.metadata.namespace.as_deref().unwrap_or_default()
}

fn name(object: &DynamicObject) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
}

fn version(object: &DynamicObject) -> u64 {
    number(object.metadata.resource_version.as_deref().unwrap_or_default())
}

/// A resource version as a number; 0 (older than everything) where a server gives something else.
pub(super) fn number(version: &str) -> u64 {
    version.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests;
