//! The objects of one API server, their versions, and what follows from a change: events, garbage collection, empty namespaces.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

use super::error::{Answer, Status};
use super::object::{Object, Read as _, Write as _};
use super::registry::{Registry, Resource};

/// Namespace (empty for objects of the cluster) and name.
pub(crate) type Key = (String, String);

/// Where an object is stored: its resource's id, and its key.
pub(crate) type Address = (Arc<str>, Key);

/// How many changes are kept for watches that resume; older ones answer 410. They are most of the memory of a busy sandbox.
const LOG_LENGTH: usize = 5_000;

/// A change of an object, in the order in which changes happened.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) revision: u64,
    pub(crate) resource: Arc<str>,
    pub(crate) key: Key,
    /// The state before; none for a new object.
    pub(crate) old: Option<Arc<Object>>,
    /// The state after; for a deleted object its last state.
    pub(crate) object: Arc<Object>,
    pub(crate) deleted: bool,
}

/// What happens to the objects that a deleted one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They go first.
    Foreground,
    /// They go afterwards.
    Background,
    /// They stay.
    Orphan,
}

/// Everything that an API server keeps.
pub(crate) struct State {
    pub(crate) registry: Registry,
    revision: u64,
    objects: BTreeMap<Arc<str>, BTreeMap<Key, Arc<Object>>>,
    /// By uid of an owner: who refers to it.
    dependents: BTreeMap<String, BTreeSet<Address>>,
    /// Every uid that exists.
    uids: BTreeMap<String, Address>,
    log: VecDeque<Event>,
    /// The revision of the newest event that is no longer in the log.
    forgotten: u64,
    /// Told of every event, under the lock.
    observer: Box<dyn Fn(&Event) + Send>,
}

impl State {
    pub(crate) fn new(registry: Registry, observer: Box<dyn Fn(&Event) + Send>) -> Self {
        Self {
            registry,
            revision: 1,
            objects: BTreeMap::new(),
            dependents: BTreeMap::new(),
            uids: BTreeMap::new(),
            log: VecDeque::new(),
            forgotten: 1,
            observer,
        }
    }

    /// The revision of the newest change.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.objects.get(resource)?.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// The objects of a resource in the order of their keys; of one namespace, if it isn't empty.
    pub(crate) fn list<'s>(
        &'s self,
        resource: &str,
        namespace: &'s str,
    ) -> impl Iterator<Item = (&'s Key, &'s Arc<Object>)> {
        let from = (namespace.to_owned(), String::new());
        let all = self.objects.get(resource).map(|objects| objects.range(from..));
        all.into_iter().flatten().take_while(move |((ns, _), _)| namespace.is_empty() || ns == namespace)
    }

    /// The events after a revision.
    ///
    /// # Errors
    /// 410 if some of them are no longer kept.
    pub(crate) fn since(&self, revision: u64) -> Answer<impl Iterator<Item = &Event>> {
        if revision < self.forgotten {
            return Err(Status::expired(revision, self.forgotten));
        }
        let from = self.log.partition_point(|event| event.revision <= revision);
        Ok(self.log.range(from..))
    }

    /// Nobody can go on from a revision of before.
    pub(crate) fn forget_history(&mut self) {
        self.log.clear();
        self.forgotten = self.revision;
    }

    /// Stores a state of an object under a new revision.
    pub(crate) fn put(&mut self, resource: &Arc<str>, mut object: Object) -> Arc<Object> {
        self.revision += 1;
        object.set("metadata.resourceVersion", self.revision.to_string());
        let key = (object.namespace().to_owned(), object.name().to_owned());
        let object = Arc::new(object);
        let old =
            self.objects.entry(Arc::clone(resource)).or_default().insert(key.clone(), Arc::clone(&object));
        let address = (Arc::clone(resource), key.clone());
        if let Some(old) = &old {
            self.unlink(old, &address);
        }
        self.uids.insert(object.uid().to_owned(), address.clone());
        for owner in object.items("metadata.ownerReferences") {
            self.dependents.entry(owner.text("uid").to_owned()).or_default().insert(address.clone());
        }
        self.publish(address, old, Arc::clone(&object), false);
        object
    }

    fn publish(
        &mut self,
        (resource, key): Address,
        old: Option<Arc<Object>>,
        object: Arc<Object>,
        deleted: bool,
    ) {
        let event = Event { revision: self.revision, resource, key, old, object, deleted };
        (self.observer)(&event);
        self.log.push_back(event);
        if self.log.len() > LOG_LENGTH
            && let Some(event) = self.log.pop_front()
        {
            self.forgotten = event.revision;
        }
    }

    fn unlink(&mut self, object: &Object, address: &Address) {
        for owner in object.items("metadata.ownerReferences") {
            if let Some(dependents) = self.dependents.get_mut(owner.text("uid")) {
                dependents.remove(address);
                if dependents.is_empty() {
                    self.dependents.remove(owner.text("uid"));
                }
            }
        }
    }

    /// Takes an object out for good, and what depends on its existence with it.
    fn remove(&mut self, address: &Address, now: &str) {
        let Some(old) = self.objects.get_mut(&address.0).and_then(|objects| objects.remove(&address.1))
        else {
            return;
        };
        self.unlink(&old, address);
        self.uids.remove(old.uid());
        self.revision += 1;
        let mut last = (*old).clone();
        last.set("metadata.resourceVersion", self.revision.to_string());
        self.publish(address.clone(), Some(Arc::clone(&old)), Arc::new(last), true);
        self.collect_dependents(old.uid(), now);
        for owner in old.items("metadata.ownerReferences") {
            if let Some(owner) = self.uids.get(owner.text("uid")).cloned() {
                self.finish_foreground(&owner, now);
            }
        }
        self.finish_namespace(&address.1.0, now);
    }

    /// Takes a deleted object out if no finalizer holds it.
    pub(crate) fn finish_deletion(&mut self, address: &Address, now: &str) {
        let Some(object) = self.objects.get(&address.0).and_then(|objects| objects.get(&address.1)) else {
            return;
        };
        let held = !object.items("metadata.finalizers").is_empty();
        // Namespaces go in their own way: once they are empty.
        if object.is_deleting() && !held && &*address.0 != "namespaces" {
            self.remove(address, now);
        }
    }

    /// Deletes an object: marks it, or removes it at once if no finalizer holds it.
    pub(crate) fn delete(&mut self, address: &Address, propagation: Propagation, now: &str) {
        let Some(object) = self.objects.get(&address.0).and_then(|objects| objects.get(&address.1)) else {
            return;
        };
        let object = Arc::clone(object);
        if propagation == Propagation::Orphan {
            self.orphan_dependents(object.uid());
        }
        if !object.is_deleting() {
            let mut marked = (*object).clone();
            let blocking =
                propagation == Propagation::Foreground && self.dependents.contains_key(object.uid());
            if blocking {
                marked.add_finalizer("foregroundDeletion");
            }
            if &*address.0 == "namespaces" {
                marked.set("status.phase", "Terminating");
            }
            let held = !marked.items("metadata.finalizers").is_empty() || &*address.0 == "namespaces";
            if held {
                marked.set("metadata.deletionTimestamp", now);
                marked.set("metadata.deletionGracePeriodSeconds", 0);
                if marked.at("metadata.generation").is_number() {
                    let generation = marked.int("metadata.generation").unwrap_or(0) + 1;
                    marked.set("metadata.generation", generation);
                }
                self.put(&address.0, marked);
            } else {
                self.remove(address, now);
                return;
            }
            if blocking {
                self.delete_dependents(object.uid(), now);
                self.finish_foreground(address, now);
            }
        }
        if &*address.0 == "namespaces" {
            self.empty_namespace(&address.1.1, now);
        } else {
            self.finish_deletion(address, now);
        }
    }

    fn dependents_of(&self, uid: &str) -> Vec<Address> {
        self.dependents.get(uid).map(|set| set.iter().cloned().collect()).unwrap_or_default()
    }

    fn delete_dependents(&mut self, uid: &str, now: &str) {
        for dependent in self.dependents_of(uid) {
            self.delete(&dependent, Propagation::Background, now);
        }
    }

    /// An owner is gone: what has no other owner goes, too; the others forget it.
    fn collect_dependents(&mut self, uid: &str, now: &str) {
        for dependent in self.dependents_of(uid) {
            let Some(object) = self.objects.get(&dependent.0).and_then(|o| o.get(&dependent.1)).cloned()
            else {
                continue;
            };
            if self.has_living_owner(&object) {
                self.forget_owner(&dependent, &object, uid);
            } else {
                self.delete(&dependent, Propagation::Background, now);
            }
        }
    }

    fn has_living_owner(&self, object: &Object) -> bool {
        object.items("metadata.ownerReferences").iter().any(|owner| self.uids.contains_key(owner.text("uid")))
    }

    fn forget_owner(&mut self, address: &Address, object: &Object, uid: &str) {
        let mut object = object.clone();
        object.list_mut("metadata.ownerReferences").retain(|owner| owner.text("uid") != uid);
        if object.items("metadata.ownerReferences").is_empty() {
            object.unset("metadata.ownerReferences");
        }
        self.put(&address.0, object);
    }

    fn orphan_dependents(&mut self, uid: &str) {
        for dependent in self.dependents_of(uid) {
            if let Some(object) = self.objects.get(&dependent.0).and_then(|o| o.get(&dependent.1)).cloned() {
                self.forget_owner(&dependent, &object, uid);
            }
        }
    }

    /// Lets an object that was deleted in the foreground go once nothing that blocks its deletion is left.
    fn finish_foreground(&mut self, owner: &Address, now: &str) {
        let Some(object) = self.objects.get(&owner.0).and_then(|objects| objects.get(&owner.1)).cloned()
        else {
            return;
        };
        if !object.is_deleting() || !object.has_finalizer("foregroundDeletion") {
            return;
        }
        let blocked = self.dependents_of(object.uid()).iter().any(|(resource, key)| {
            let dependent = self.objects.get(resource).and_then(|objects| objects.get(key));
            dependent.is_some_and(|dependent| {
                let mut owners = dependent.items("metadata.ownerReferences").iter();
                owners.any(|o| o.text("uid") == object.uid() && o.flag("blockOwnerDeletion"))
            })
        });
        if !blocked {
            let mut object = (*object).clone();
            object.remove_finalizer("foregroundDeletion");
            self.put(&owner.0, object);
            self.finish_deletion(owner, now);
        }
    }

    /// An object whose owners never existed or are gone is garbage from the start.
    pub(crate) fn collect_if_orphaned(&mut self, address: &Address, now: &str) {
        let Some(object) = self.objects.get(&address.0).and_then(|objects| objects.get(&address.1)).cloned()
        else {
            return;
        };
        if !object.items("metadata.ownerReferences").is_empty() && !self.has_living_owner(&object) {
            self.delete(address, Propagation::Background, now);
        }
    }

    /// Deletes everything in a namespace that is being deleted.
    fn empty_namespace(&mut self, namespace: &str, now: &str) {
        let inside = |objects: &BTreeMap<Key, Arc<Object>>, resource: &Arc<str>| {
            let of_namespace = objects.keys().filter(|key| key.0 == namespace);
            of_namespace.map(|key| (Arc::clone(resource), key.clone())).collect::<Vec<_>>()
        };
        let all: Vec<Address> =
            self.objects.iter().flat_map(|(resource, objects)| inside(objects, resource)).collect();
        for address in all {
            self.delete(&address, Propagation::Background, now);
        }
        self.finish_namespace(namespace, now);
    }

    /// Lets a namespace go once it is empty; before, its conditions say what is left.
    fn finish_namespace(&mut self, namespace: &str, now: &str) {
        let Some(object) =
            self.get("namespaces", "", namespace).filter(|object| object.is_deleting()).cloned()
        else {
            return;
        };
        let mut left: BTreeMap<&str, usize> = BTreeMap::new();
        let mut finalizers: BTreeMap<String, usize> = BTreeMap::new();
        for (resource, objects) in &self.objects {
            let from = (namespace.to_owned(), String::new());
            for (_, object) in objects.range(from..).take_while(|((ns, _), _)| ns == namespace) {
                *left.entry(resource).or_default() += 1;
                for finalizer in object.items("metadata.finalizers").iter().filter_map(Value::as_str) {
                    *finalizers.entry(finalizer.to_owned()).or_default() += 1;
                }
            }
        }
        let address = (Arc::from("namespaces"), (String::new(), namespace.to_owned()));
        if left.is_empty() {
            self.remove(&address, now);
            return;
        }
        let say = |counts: Vec<String>, before: &str| format!("{before}: {}", counts.join(", "));
        let resources =
            left.iter().map(|(name, count)| format!("{name} has {count} resource instances")).collect();
        let held = finalizers
            .iter()
            .map(|(name, count)| format!("{name} in {count} resource instances"))
            .collect::<Vec<_>>();
        let mut conditions = vec![
            json!({"type": "NamespaceContentRemaining", "status": "True", "reason": "SomeResourcesRemain",
            "message": say(resources, "Some resources are remaining"), "lastTransitionTime": now}),
        ];
        if !held.is_empty() {
            conditions.push(json!({"type": "NamespaceFinalizersRemaining", "status": "True", "reason": "SomeFinalizersRemain",
                "message": say(held, "Some content in the namespace has finalizers remaining"), "lastTransitionTime": now}));
        }
        let mut marked = (*object).clone();
        marked.set("status.conditions", conditions);
        if marked != *object {
            self.put(&address.0, marked);
        }
    }

    /// Forgets a resource's definition together with its objects.
    pub(crate) fn drop_resource(&mut self, id: &str, now: &str) {
        let keys: Vec<Key> =
            self.objects.get(id).map(|objects| objects.keys().cloned().collect()).unwrap_or_default();
        let id: Arc<str> = id.into();
        for key in keys {
            self.delete(&(Arc::clone(&id), key), Propagation::Background, now);
        }
        self.registry.remove(&id);
    }

    /// The resource of a store key; every stored object's resource is registered.
    pub(crate) fn resource(&self, id: &str) -> Answer<Arc<Resource>> {
        self.registry.by_id(id).ok_or_else(Status::no_such_resource)
    }
}
