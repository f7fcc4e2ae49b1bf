//! One API server in process: what HTTP requests and controllers do with its objects.

mod admit;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::crd;
use super::error::{Answer, Status};
use super::managed;
use super::object::{Object, Read as _, Write as _, timestamp};
use super::rbac::{self, User};
use super::registry::{Registry, Resource};
use super::shape::Shape;
use super::store::{Event, Propagation, State};
use super::write::{
    Admission, Part, Review, Writer, Written, address, count_generation, keep_what_clients_cannot_change,
    restore, same_content,
};
use crate::clock::Clock;
use crate::controllers::conditions;
use crate::faults::Faults;
use crate::ids::Ids;

/// One API server: the management plane's, or a workload cluster's.
pub(crate) struct ApiServer {
    name: String,
    sources: Sources,
    state: Mutex<State>,
    /// Wakes who watches, always in the same order.
    changed: Notify,
    /// How often it has been started again.
    restarts: AtomicU32,
    admission: Option<Admission>,
    /// Tokens of service accounts: whose, and until when.
    tokens: Mutex<BTreeMap<String, (User, jiff::Timestamp)>>,
}

/// Where time, names and mishaps come from.
pub(crate) struct Sources {
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) faults: Faults,
}

impl ApiServer {
    /// An API server with the built-in resources and the namespaces that every cluster has. `observer` is told of every change.
    pub(crate) fn new(
        name: &str,
        sources: Sources,
        admission: Option<Admission>,
        observer: Box<dyn Fn(&Event) + Send>,
    ) -> Self {
        let state = Mutex::new(State::new(Registry::builtin(), observer));
        let (changed, restarts, tokens) = (Notify::new(), AtomicU32::new(0), Mutex::default());
        let server = Self { name: name.to_owned(), sources, state, changed, restarts, admission, tokens };
        for namespace in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            server.seed("namespaces", serde_json::json!({"metadata": {"name": namespace}}));
        }
        for (resource, object) in rbac::default_roles() {
            server.seed(resource, object);
        }
        server
    }

    /// Simulated time as objects show it.
    pub(crate) fn now(&self) -> String {
        timestamp(self.sources.clock.now())
    }

    /// Simulated time.
    pub(crate) fn timestamp(&self) -> jiff::Timestamp {
        self.sources.clock.now()
    }

    /// Resolves at the next change, or restart, from now on.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// How often it has been started again; what was open before is cut.
    pub(crate) fn restarts(&self) -> u32 {
        self.restarts.load(Ordering::Acquire)
    }

    /// A token of a service account for so many seconds, and when it ends.
    pub(crate) fn issue_token(&self, namespace: &str, name: &str, seconds: i64) -> (String, String) {
        let token = self.sources.ids.secret(48);
        let now = self.timestamp();
        let ends = now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(now);
        let user = User::service_account(namespace, name);
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), (user, ends));
        (token, timestamp(ends))
    }

    /// Who holds a token of a service account.
    pub(crate) fn holder(&self, token: &str) -> Option<User> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let (user, ends) = tokens.get(token)?;
        (self.timestamp() < *ends).then(|| user.clone())
    }

    /// Starts again: watches are cut, and the history is forgotten.
    pub(crate) fn restart(&self) {
        self.lock().forget_history();
        self.restarts.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Reads under the lock.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&State) -> R) -> R {
        read(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes under the lock, and wakes who watches.
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let before = state.revision();
        let result = change(&mut state);
        let is_changed = state.revision() != before;
        drop(state);
        if is_changed {
            self.changed.notify_waiters();
        }
        result
    }

    /// The object, if it is there.
    pub(crate) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.lock().get(resource, namespace, name).cloned()
    }

    /// The objects of a resource; of one namespace, if it isn't empty.
    pub(crate) fn list(&self, resource: &str, namespace: &str) -> Vec<Arc<Object>> {
        self.lock().list(resource, namespace).map(|(_, object)| Arc::clone(object)).collect()
    }

    /// Creates an object of a known resource as part of the set-up; one that exists already is left as it is.
    pub(crate) fn seed(&self, resource: &str, object: Object) {
        if let Err(refusal) = self.create(resource, object, "sandbox")
            && refusal.reason != "AlreadyExists"
        {
            tracing::error!(server = self.name, resource, %refusal, "seeding failed");
        }
    }

    /// Creates an object as a controller does.
    ///
    /// # Errors
    /// What the API server refuses.
    pub(crate) fn create(&self, resource: &str, object: Object, manager: &str) -> Answer<Arc<Object>> {
        let resource = self.read(|state| state.resource(resource))?;
        self.create_as(&resource, object, &Writer::controller(manager)).map(|written| written.object)
    }

    /// Changes an object as a controller does, specification and status in one. Nothing happens if `change` changes nothing,
    /// or if there is no such object.
    pub(crate) fn modify(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        manager: &str,
        change: impl FnOnce(&mut Object),
    ) -> Option<Arc<Object>> {
        self.change(|state| {
            let resource = state.resource(resource).ok()?;
            let old = Arc::clone(state.get(&resource.id, namespace, name)?);
            let mut new = (*old).clone();
            change(&mut new);
            self.flap(&resource, &mut new);
            if new == *old {
                return Some(old);
            }
            count_generation(&resource, &old, &mut new);
            let shape = Shape::of(resource.schema.as_deref());
            let now = self.now();
            let mut writer = Writer::controller(manager);
            if resource.status && new.get("status") != old.get("status") {
                // Two writes in one, as far as the owners of fields go.
                let mut first = new.clone();
                restore(&mut first, &old, "status");
                managed::track_update(&old, &mut first, shape, &writer.manager(&resource, false), &now);
                writer.part = Part::Status;
                managed::track_update(&first, &mut new, shape, &writer.manager(&resource, false), &now);
            } else {
                managed::track_update(&old, &mut new, shape, &writer.manager(&resource, false), &now);
            }
            let stored = state.put(&resource.id, new);
            state.finish_deletion(&address(&resource, &stored), &now);
            Some(stored)
        })
    }

    /// Has conditions come and go that are to flap.
    fn flap(&self, resource: &Resource, object: &mut Object) {
        let elapsed = self.sources.clock.elapsed().as_secs();
        for (kind, seconds) in self.sources.faults.flapping(&resource.id, object.namespace(), object.name()) {
            if (elapsed / seconds.max(1)) % 2 == 1 {
                conditions::lose(object, &kind, &self.now());
            }
        }
    }

    /// Deletes an object as a controller does; nothing happens if there is none.
    pub(crate) fn delete(&self, resource: &str, namespace: &str, name: &str) {
        let now = self.now();
        let address = (Arc::from(resource), (namespace.to_owned(), name.to_owned()));
        self.change(|state| state.delete(&address, Propagation::Background, &now));
    }

    /// Creates an object.
    ///
    /// # Errors
    /// Everything that the API server refuses.
    pub(crate) fn create_as(
        &self,
        resource: &Arc<Resource>,
        mut object: Object,
        writer: &Writer,
    ) -> Answer<Written> {
        if object.name().is_empty() && object.text_at("metadata.generateName").is_some() {
            let base: String = object.text("metadata.generateName").chars().take(58).collect();
            object.set("metadata.name", base + &self.sources.ids.suffix(5));
        }
        self.change(|state| self.insert(state, resource, object, writer, false))
    }

    fn insert(
        &self,
        state: &mut State,
        resource: &Arc<Resource>,
        mut object: Object,
        writer: &Writer,
        applied: bool,
    ) -> Answer<Written> {
        let now = self.now();
        object.set("apiVersion", resource.api_version());
        object.set("kind", resource.kind.clone());
        let name = object.name().to_owned();
        if resource.namespaced {
            self.check_namespace(state, resource, &object)?;
        } else {
            object["metadata"].as_object_mut().map(|m| m.remove("namespace"));
        }
        if resource.status && resource.is_custom() && !writer.trusted {
            object.unset("status");
        }
        for field in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            object.unset(&format!("metadata.{field}"));
        }
        object.set("metadata.uid", self.sources.ids.uuid());
        object.set("metadata.creationTimestamp", now.clone());
        if resource.has_generation() {
            object.set("metadata.generation", 1);
        }
        for finalizer in self.sources.faults.finalizers(&resource.id, object.namespace(), &name) {
            object.add_finalizer(&finalizer);
        }
        let warnings = self.prepare(resource, None, &mut object, writer)?;
        if state.get(&resource.id, object.namespace(), &name).is_some() {
            return Err(Status::already_exists(resource, &name));
        }
        if &*resource.id == crd::ID {
            crd::accept(&mut object, &now);
        }
        if !applied {
            let mut tracked = object.clone();
            tracked.unset("metadata.managedFields");
            let shape = Shape::of(resource.schema.as_deref());
            let bare = serde_json::json!({"metadata": {}});
            managed::track_update(&bare, &mut tracked, shape, &writer.manager(resource, false), &now);
            object = tracked;
        }
        if writer.dry_run {
            return Ok(Written { object: Arc::new(object), warnings, created: true });
        }
        let object = state.put(&resource.id, object);
        if &*resource.id == crd::ID {
            crd::resources(&object).into_iter().for_each(|defined| state.registry.insert(defined));
        }
        state.collect_if_orphaned(&address(resource, &object), &now);
        if &*resource.id == "namespaces" {
            self.furnish(state, &name)?;
        }
        Ok(Written { object, warnings, created: true })
    }

    /// What every namespace has.
    fn furnish(&self, state: &mut State, namespace: &str) -> Answer<()> {
        let accounts = state.resource("serviceaccounts")?;
        let account = serde_json::json!({"metadata": {"name": "default", "namespace": namespace}});
        let writer = Writer::controller("kube-controller-manager");
        self.insert(state, &accounts, account, &writer, false).map(drop)
    }

    /// Replaces an object (PUT).
    ///
    /// # Errors
    /// Everything that the API server refuses.
    pub(crate) fn update_as(
        &self,
        resource: &Arc<Resource>,
        namespace: &str,
        name: &str,
        writer: &Writer,
        change: impl FnOnce(&Object) -> Answer<Object>,
    ) -> Answer<Written> {
        self.change(|state| {
            let old = state
                .get(&resource.id, namespace, name)
                .cloned()
                .ok_or_else(|| Status::not_found(resource, name))?;
            let new = change(&old)?;
            self.replace(state, resource, &old, new, writer, None)
        })
    }

    /// Server-side apply.
    ///
    /// # Errors
    /// Everything that the API server refuses, conflicts with other owners among it.
    pub(crate) fn apply_as(
        &self,
        resource: &Arc<Resource>,
        namespace: &str,
        name: &str,
        mut config: Object,
        force: bool,
        writer: &Writer,
    ) -> Answer<Written> {
        if config.at("metadata.managedFields").as_array().is_some_and(|fields| !fields.is_empty()) {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        if let Some(unknown) = resource.prune(&mut config.clone()).first() {
            let (group, version) = (&resource.group, &resource.version);
            let what = format!("/; {group}/{version}, Kind={}", resource.kind);
            let message = format!(
                "failed to create typed patch object ({what}): .{unknown}: field not declared in schema"
            );
            return Err(Status { code: 500, reason: "", message, details: None });
        }
        config.set("metadata.name", name);
        if resource.namespaced {
            config.set("metadata.namespace", namespace);
        }
        if resource.status {
            match writer.part {
                Part::Main => drop(config.unset("status")),
                Part::Status => {
                    let status = config.unset("status").unwrap_or_default();
                    config = serde_json::json!({"metadata": {"name": name, "namespace": namespace}, "status": status});
                }
            }
        }
        let manager = writer.manager(resource, true);
        let shape = Shape::of(resource.schema.as_deref());
        let now = self.now();
        self.change(|state| match state.get(&resource.id, namespace, name).cloned() {
            Some(live) => {
                if let Some(version) = config.text_at("metadata.resourceVersion")
                    && version != live.text("metadata.resourceVersion")
                {
                    return Err(Status::outdated(resource, name));
                }
                let merged = managed::apply(&live, &config, shape, &manager, force, &now)?;
                self.replace(state, resource, &live, merged, writer, Some(()))
            }
            None if writer.part == Part::Status => Err(Status::not_found(resource, name)),
            None => {
                if config.text_at("metadata.resourceVersion").is_some() {
                    return Err(Status::conflict(resource, name, "the object does not exist"));
                }
                let empty = serde_json::json!({"metadata": {}});
                let merged = managed::apply(&empty, &config, shape, &manager, force, &now)?;
                self.insert(state, resource, merged, writer, true)
            }
        })
    }

    /// Stores the new state of an object. `applied`: the owners of fields are already noted.
    fn replace(
        &self,
        state: &mut State,
        resource: &Arc<Resource>,
        old: &Arc<Object>,
        mut new: Object,
        writer: &Writer,
        applied: Option<()>,
    ) -> Answer<Written> {
        let name = old.name().to_owned();
        let asked = new.text("metadata.resourceVersion").to_owned();
        if !asked.is_empty() && asked != old.text("metadata.resourceVersion") {
            return Err(Status::outdated(resource, &name));
        }
        if !new.uid().is_empty() && new.uid() != old.uid() {
            let key = format!("/registry/{}/{}/{name}", resource.plural, old.namespace());
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {}, UID in object meta: {}",
                new.uid(),
                old.uid()
            );
            return Err(Status::conflict(resource, &name, &why));
        }
        keep_what_clients_cannot_change(resource, old, &mut new, writer.part);
        let warnings = self.prepare(resource, Some(old), &mut new, writer)?;
        count_generation(resource, old, &mut new);
        let now = self.now();
        if applied.is_none() && !same_content(old, &new) {
            let shape = Shape::of(resource.schema.as_deref());
            managed::track_update(old, &mut new, shape, &writer.manager(resource, false), &now);
        } else if applied.is_none() {
            restore(&mut new, old, "metadata.managedFields");
        }
        if &*resource.id == crd::ID && writer.part == Part::Main {
            crd::accept(&mut new, &now);
        }
        if new == **old {
            return Ok(Written { object: Arc::clone(old), warnings, created: false });
        }
        if writer.dry_run {
            return Ok(Written { object: Arc::new(new), warnings, created: false });
        }
        let object = state.put(&resource.id, new);
        if &*resource.id == crd::ID {
            state.registry.remove(object.name());
            crd::resources(&object).into_iter().for_each(|defined| state.registry.insert(defined));
        }
        state.finish_deletion(&address(resource, &object), &now);
        Ok(Written { object, warnings, created: false })
    }

    /// Deletes an object; the answer is its last state if it is gone, the marked object if a finalizer holds it.
    ///
    /// # Errors
    /// Not found, a failed precondition, or a webhook's refusal.
    pub(crate) fn delete_as(
        &self,
        resource: &Arc<Resource>,
        namespace: &str,
        name: &str,
        options: &Value,
        dry_run: bool,
    ) -> Answer<(Arc<Object>, bool)> {
        let propagation = match options.text("propagationPolicy") {
            "Foreground" => Propagation::Foreground,
            "Orphan" => Propagation::Orphan,
            _ => Propagation::Background,
        };
        let now = self.now();
        self.change(|state| {
            let old = state.get(&resource.id, namespace, name).cloned().ok_or_else(|| Status::not_found(resource, name))?;
            for (field, at, perhaps) in [
                ("UID", "uid", "deleted and then recreated"),
                ("ResourceVersion", "resourceVersion", "modified"),
            ] {
                let Some(wanted) = options.at("preconditions").text_at(at) else { continue };
                let found = old.at("metadata").text(at);
                if wanted != found {
                    let why = format!(
                        "the {field} in the precondition ({wanted}) does not match the {field} in record ({found}). The object might have been {perhaps}"
                    );
                    // It names the kind, not the resource.
                    let named = Resource { id: resource.qualified_kind().into(), plural: resource.kind.clone(), ..(**resource).clone() };
                    return Err(Status::conflict(&named, name, &why));
                }
            }
            if &*resource.id == "namespaces" && matches!(name, "default" | "kube-system" | "kube-public") {
                return Err(Status::forbidden(resource, name, "this namespace may not be deleted"));
            }
            if let Some(admit) = self.admission {
                admit(resource, Review::Delete, &self.sources.faults)?;
            }
            if dry_run {
                return Ok((old, true));
            }
            state.delete(&address(resource, &old), propagation, &now);
            if &*resource.id == crd::ID && state.get(&resource.id, namespace, name).is_none() {
                state.drop_resource(name, &now);
            }
            Ok(match state.get(&resource.id, namespace, name) {
                Some(marked) => (Arc::clone(marked), false),
                None => (old, true),
            })
        })
    }
}
