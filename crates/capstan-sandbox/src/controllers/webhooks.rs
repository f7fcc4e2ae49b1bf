//! The webhooks of Cluster API and CAPO: what they fill in, and what they refuse with which words.

mod cluster_api;
mod openstack;

use serde_json::Value;

use super::ids;
use crate::faults::Faults;
use crate::kubernetes::error::{Answer, Cause, Status};
use crate::kubernetes::object::{Object, Read as _};
use crate::kubernetes::registry::Resource;
use crate::kubernetes::write::Review;

/// What all webhooks of the management plane say about a write.
pub(crate) fn admit(resource: &Resource, review: Review<'_>, faults: &Faults) -> Answer<()> {
    let deletes = matches!(review, Review::Delete);
    for webhook in asked(resource, deletes) {
        if faults.on_webhook(&webhook.name) {
            return Err(Status::unreachable_webhook(&webhook.name, &webhook.url));
        }
    }
    let (old, new) = match review {
        Review::Create(new) => (None, new),
        Review::Update { old, new } => (Some(old), new),
        // None of them guards deletions.
        Review::Delete => return Ok(()),
    };
    if let Some(webhook) = asked(resource, false).iter().find(|webhook| webhook.name.starts_with("default."))
    {
        // It reads the object before the schema is looked at.
        if let Some(why) = resource.schema.as_ref().and_then(|schema| wrong_type(resource, new, schema)) {
            return Err(Status::unreadable_for(&webhook.name, &why));
        }
    }
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

/// The first field of a specification that has another type, in the words of Go's JSON.
fn wrong_type(resource: &Resource, object: &Object, schema: &Value) -> Option<String> {
    let spec = schema.at("properties.spec.properties").as_object()?;
    object.entries("spec").find_map(|(name, value)| {
        let (found, fits) = match value {
            Value::Bool(_) => ("bool", "boolean"),
            Value::Number(_) => ("number", "integer"),
            Value::String(_) => ("string", "string"),
            Value::Array(_) => ("array", "array"),
            Value::Object(_) => ("object", "object"),
            Value::Null => return None,
        };
        let wanted = spec.get(name).and_then(|property| property.text_at("type"))?;
        let kind = &resource.kind;
        let go = match wanted {
            "boolean" => "bool".to_owned(),
            "integer" => "int32".to_owned(),
            other => other.to_owned(),
        };
        (wanted != fits).then(|| {
            format!("json: cannot unmarshal {found} into Go struct field {kind}Spec.spec.{name} of type {go}")
        })
    })
}

/// A webhook, as its configuration has it.
struct Webhook {
    name: String,
    url: String,
}

/// The webhooks that are asked about a write, in their order.
fn asked(resource: &Resource, deletes: bool) -> Vec<Webhook> {
    let (service, defaults) = match resource.group.as_str() {
        _ if !GUARDED.contains(&&*resource.id) => return Vec::new(),
        "cluster.x-k8s.io" => ("capi-webhook-service.capi-system", true),
        "controlplane.cluster.x-k8s.io" => {
            ("capi-kubeadm-control-plane-webhook-service.capi-kubeadm-control-plane-system", true)
        }
        "bootstrap.cluster.x-k8s.io" => {
            ("capi-kubeadm-bootstrap-webhook-service.capi-kubeadm-bootstrap-system", true)
        }
        _ => ("capo-webhook-service.capo-system", false),
    };
    let webhook = |kind: &str, verb: &str| {
        let path = format!("{}-{}-{}", resource.group.replace('.', "-"), resource.version, resource.singular);
        Webhook {
            name: format!("{kind}.{}.{}", resource.singular, resource.group),
            url: format!("https://{service}.svc:443/{verb}-{path}?timeout=10s"),
        }
    };
    let mut asked = Vec::new();
    if defaults && !deletes {
        asked.push(webhook("default", "mutate"));
    }
    if !deletes || &*resource.id == ids::CLUSTERS {
        asked.push(webhook("validation", "validate"));
    }
    asked
}

/// The resources that have webhooks.
const GUARDED: &[&str] = &[
    ids::CLUSTERS,
    ids::MACHINES,
    ids::MACHINE_SETS,
    ids::MACHINE_DEPLOYMENTS,
    ids::MACHINE_HEALTH_CHECKS,
    ids::CONTROL_PLANES,
    ids::KUBEADM_CONFIGS,
    ids::KUBEADM_CONFIG_TEMPLATES,
    ids::OPENSTACK_CLUSTERS,
    ids::OPENSTACK_MACHINES,
    ids::OPENSTACK_MACHINE_TEMPLATES,
    ids::OPENSTACK_SERVERS,
];

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
