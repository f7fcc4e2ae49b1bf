//! What a write is: who writes which part how, what webhooks are asked, and what only the API server changes.

use std::sync::Arc;

use serde_json::Value;

use super::error::Answer;
use super::managed::Manager;
use super::object::{Object, Read as _, Write as _};
use super::registry::Resource;
use super::store::Address;
use crate::faults::Faults;

/// What a webhook is asked about.
pub(crate) enum Review<'a> {
    /// A new object; defaults may be filled in.
    Create(&'a mut Object),
    /// A change.
    Update {
        /// Before.
        old: &'a Object,
        /// After; defaults may be filled in.
        new: &'a mut Object,
    },
    /// A deletion.
    Delete,
}

/// The webhooks of a plane: they fill in defaults and refuse, or cannot be reached.
pub(crate) type Admission = fn(&Resource, Review<'_>, &Faults) -> Answer<()>;

/// How unknown fields are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    /// Dropped.
    Ignore,
    /// Dropped with a warning.
    Warn,
    /// Refused.
    Strict,
}

/// The part of an object that a write is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything but the status, where that is a subresource.
    Main,
    /// The status.
    Status,
}

/// Who writes, and how.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pub(crate) manager: String,
    pub(crate) part: Part,
    pub(crate) dry_run: bool,
    pub(crate) validation: FieldValidation,
    /// A controller of the sandbox, which writes what it read: neither schema nor webhooks hold it up.
    pub(crate) trusted: bool,
}

impl Writer {
    /// A write of a controller in process.
    pub(super) fn controller(manager: &str) -> Self {
        let validation = FieldValidation::Ignore;
        Self { manager: manager.to_owned(), part: Part::Main, dry_run: false, validation, trusted: true }
    }

    /// The writer as an owner of fields.
    pub(super) fn manager(&self, resource: &Resource, applies: bool) -> Manager {
        let subresource = if self.part == Part::Status { "status" } else { "" };
        Manager { name: self.manager.clone(), subresource, api_version: resource.api_version(), applies }
    }
}

/// The outcome of a write.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) object: Arc<Object>,
    pub(crate) warnings: Vec<String>,
    pub(crate) created: bool,
}

/// Counts up `metadata.generation` if more than metadata and status differs.
pub(super) fn count_generation(resource: &Resource, old: &Object, new: &mut Object) {
    if !resource.has_generation() {
        return;
    }
    let skipped = |key: &str| key == "metadata" || (key == "status" && resource.status);
    let content = |object: &Object| -> Vec<(String, Value)> {
        let fields = object.as_object().into_iter().flatten();
        fields.filter(|(key, _)| !skipped(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let counted = old.int("metadata.generation").unwrap_or(1);
    let next = if content(old) == content(new) { counted } else { counted + 1 };
    new.set("metadata.generation", next);
}

/// Where an object is stored.
pub(super) fn address(resource: &Resource, object: &Object) -> Address {
    (Arc::clone(&resource.id), (object.namespace().to_owned(), object.name().to_owned()))
}

/// Takes a part over from the old state.
pub(super) fn restore(new: &mut Object, old: &Object, path: &str) {
    match old.at(path) {
        Value::Null => drop(new.unset(path)),
        value => new.set(path, value.clone()),
    }
}

/// Undoes changes of what only the API server sets, and of the part that the write isn't for.
pub(super) fn keep_what_clients_cannot_change(
    resource: &Resource,
    old: &Object,
    new: &mut Object,
    part: Part,
) {
    if part == Part::Status {
        let status = new.at("status").clone();
        let managed = new.at("metadata.managedFields").clone();
        *new = old.clone();
        new.set("status", status);
        if !managed.is_null() {
            new.set("metadata.managedFields", managed);
        }
    } else if resource.status {
        restore(new, old, "status");
    }
    new.set("apiVersion", resource.api_version());
    new.set("kind", resource.kind.clone());
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generateName",
        "resourceVersion",
    ] {
        restore(new, old, &format!("metadata.{field}"));
    }
}

/// Nothing but who owns what differs.
pub(super) fn same_content(old: &Object, new: &Object) -> bool {
    let bare = |object: &Object| {
        let mut object = object.clone();
        object.unset("metadata.managedFields");
        object
    };
    bare(old) == bare(new)
}
