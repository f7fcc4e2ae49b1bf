//! The scale subresource.

use serde_json::{Value, json};

use super::error::{Answer, Status};
use super::object::{Object, Read as _, Write as _};
use super::registry::Resource;

/// An object as `autoscaling/v1 Scale`.
pub(crate) fn read(resource: &Resource, object: &Object) -> Value {
    let Some(scale) = &resource.scale else { return Value::Null };
    let metadata = object.at("metadata");
    let mut status = json!({"replicas": object.int(&scale.status).unwrap_or(0)});
    if let Some(selector) = scale.selector.as_ref().and_then(|path| object.text_at(path)) {
        status.set("selector", selector);
    }
    let kept = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"];
    let metadata: serde_json::Map<String, Value> =
        kept.iter().filter_map(|field| Some(((*field).to_owned(), metadata.get(field)?.clone()))).collect();
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
           "spec": {"replicas": object.int(&scale.spec).unwrap_or(0)}, "status": status})
}

/// The object with the replicas of a written `Scale`.
///
/// # Errors
/// 409 if the `Scale` is of an older version, 422 if its replicas are no count.
pub(crate) fn write(resource: &Resource, object: &Object, before: &Value, wanted: &Value) -> Answer<Object> {
    let Some(scale) = &resource.scale else { return Err(Status::no_such_resource()) };
    let version = wanted.text("metadata.resourceVersion");
    if !version.is_empty() && version != before.text("metadata.resourceVersion") {
        return Err(Status::outdated(resource, object.name()));
    }
    let replicas = wanted.at("spec.replicas").as_i64().unwrap_or(0);
    if replicas < 0 {
        let cause = super::error::Cause::invalid(
            "spec.replicas",
            &replicas.into(),
            "must be greater than or equal to 0",
        );
        return Err(Status::invalid(resource, object.name(), vec![cause]));
    }
    let mut object = object.clone();
    object.set(&scale.spec, replicas);
    Ok(object)
}
