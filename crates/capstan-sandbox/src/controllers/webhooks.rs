//! The webhooks of Cluster API and CAPO: what they fill in, and what they refuse with which words.

mod cluster_api;
mod openstack;

use serde_json::Value;

use super::ids;
use crate::kubernetes::error::{Answer, Cause, Status};
use crate::kubernetes::object::{Object, Read as _};
use crate::kubernetes::registry::Resource;
use crate::kubernetes::write::Review;

/// What all webhooks of the management plane say about a write.
pub(crate) fn admit(resource: &Resource, review: Review<'_>) -> Answer<()> {
    let (old, new) = match review {
        Review::Create(new) => (None, new),
        Review::Update { old, new } => (Some(old), new),
        // None of them guards deletions.
        Review::Delete => return Ok(()),
    };
    let causes = match &*resource.id {
        ids::CLUSTERS => cluster_api::cluster(old, new),
        ids::CONTROL_PLANES => cluster_api::control_plane(old, new),
        ids::MACHINE_DEPLOYMENTS => cluster_api::machine_deployment(old, new),
        ids::MACHINES => cluster_api::machine(old, new),
        ids::MACHINE_HEALTH_CHECKS => cluster_api::machine_health_check(old, new),
        ids::OPENSTACK_CLUSTERS => openstack::cluster(old, new),
        ids::OPENSTACK_MACHINE_TEMPLATES => openstack::machine_template(old, new),
        ids::OPENSTACK_MACHINES => openstack::machine(old, new),
        ids::OPENSTACK_SERVERS => openstack::server(old, new),
        _ => Vec::new(),
    };
    if causes.is_empty() {
        return Ok(());
    }
    // The control plane's webhook names the wrong group, and so do we.
    let named = match &*resource.id {
        ids::CONTROL_PLANES => Resource { group: "cluster.x-k8s.io".to_owned(), ..resource.clone() },
        _ => resource.clone(),
    };
    let webhook = format!("validation.{}.{}", resource.singular, resource.group);
    Err(Status::denied(&webhook, Status::invalid(&named, new.name(), causes)))
}

/// A field that must not change once it is set.
fn immutable(old: Option<&Object>, new: &Object, field: &str) -> Option<Cause> {
    let changed = old.is_some_and(|old| old.at(field) != new.at(field));
    changed.then(|| Cause::forbidden(field, "field is immutable"))
}

/// What is wrong with a Kubernetes version.
fn version(object: &Object, field: &str) -> Vec<Cause> {
    let Some(text) = object.text_at(field) else { return Vec::new() };
    let value = Value::from(text);
    let mut causes = Vec::new();
    if !text.starts_with('v') {
        causes.push(Cause::invalid(field, &value, "must start with v"));
    }
    let numbers: Vec<&str> =
        text.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default().split('.').collect();
    if numbers.len() != 3 || numbers.iter().any(|number| number.parse::<u64>().is_err()) {
        causes.push(Cause::invalid(field, &value, "must be a valid semantic version"));
    }
    causes
}
