//! Rules for names, labels and annotations, with the texts of `k8s.io/apimachinery/pkg/util/validation`.

use serde_json::Value;

use super::error::Cause;
use super::object::{Object, Read as _};
use super::registry::Resource;
use super::schema::matches;

const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const LABEL: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const LABEL_1035: &str = r"^[a-z]([-a-z0-9]*[a-z0-9])?$";
const QUALIFIED: &str = r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$";
const VALUE: &str = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$";

/// How many bytes all annotations of an object may have together.
const ANNOTATIONS: usize = 256 * 1024;

/// What is wrong with an object's metadata.
pub(crate) fn check(resource: &Resource, object: &Object) -> Vec<Cause> {
    let mut causes = check_name(resource, object.name());
    for (key, value) in object.entries("metadata.labels") {
        check_key(key, "metadata.labels", &mut causes);
        let Some(text) = value.as_str() else {
            causes.push(Cause::invalid("metadata.labels", value, "must be of type string"));
            continue;
        };
        if text.len() > 63 {
            causes.push(Cause::invalid("metadata.labels", value, "must be no more than 63 bytes"));
        } else if !matches(VALUE, text) {
            let detail = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
            causes.push(Cause::invalid("metadata.labels", value, detail));
        }
    }
    for (key, value) in object.entries("metadata.annotations") {
        check_key(key, "metadata.annotations", &mut causes);
        if !value.is_string() {
            causes.push(Cause::invalid("metadata.annotations", value, "must be of type string"));
        }
    }
    let size: usize = object
        .entries("metadata.annotations")
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if size > ANNOTATIONS {
        let message = format!("Too long: may not be more than {ANNOTATIONS} bytes");
        let field = "metadata.annotations".to_owned();
        causes.push(Cause { reason: "FieldValueTooLong", field, message });
    }
    check_finalizers(resource, object, &mut causes);
    for owner in object.items("metadata.ownerReferences") {
        for (field, detail) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if owner.text_at(field).is_none() {
                let path = format!("metadata.ownerReferences.{field}");
                causes.push(Cause::invalid(path, &Value::from(""), detail));
            }
        }
    }
    let controllers =
        object.items("metadata.ownerReferences").iter().filter(|owner| owner.flag("controller")).count();
    if controllers > 1 {
        let detail = "Only one reference can have Controller set to true.";
        causes.push(Cause::invalid(
            "metadata.ownerReferences",
            object.at("metadata.ownerReferences"),
            detail,
        ));
    }
    causes
}

fn check_finalizers(resource: &Resource, object: &Object, causes: &mut Vec<Cause>) {
    for (index, finalizer) in object.items("metadata.finalizers").iter().enumerate() {
        let field = format!("metadata.finalizers[{index}]");
        let name = finalizer.as_str().unwrap_or_default();
        check_key(name, &field, causes);
        let standard = matches!(name, "orphan" | "foregroundDeletion" | "kubernetes");
        if !resource.is_custom() && !standard && !name.contains('/') {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(field, finalizer, detail));
        }
    }
}

fn check_name(resource: &Resource, name: &str) -> Vec<Cause> {
    let field = "metadata.name";
    let value = Value::from(name);
    if name.is_empty() {
        return vec![Cause::required(field, "name or generateName is required")];
    }
    let (pattern, longest, detail) = match &*resource.id {
        // Names that may be any path segment.
        id if id.ends_with(".rbac.authorization.k8s.io") => (r"^[^/%]+$", 253, "may not contain '/'"),
        "namespaces" => (
            LABEL,
            63,
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        ),
        "services" => (
            LABEL_1035,
            63,
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
        ),
        _ => (
            SUBDOMAIN,
            253,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ),
    };
    let mut causes = Vec::new();
    if name.len() > longest {
        causes.push(Cause::invalid(field, &value, format!("must be no more than {longest} bytes")));
    }
    if !matches(pattern, name) {
        causes.push(Cause::invalid(field, &value, detail));
    }
    causes
}

fn check_key(key: &str, field: &str, causes: &mut Vec<Cause>) {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let sound = matches(QUALIFIED, name)
        && name.len() <= 63
        && prefix.is_none_or(|prefix| matches(SUBDOMAIN, prefix));
    if !sound {
        let detail = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
        causes.push(Cause::invalid(field, &Value::from(key), detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::registry::Registry;
    use serde_json::json;

    #[test]
    fn names_and_labels_are_checked() {
        let registry = Registry::builtin();
        let namespaces = registry.by_id("namespaces").unwrap();
        let configmaps = registry.by_id("configmaps").unwrap();
        assert!(check(&namespaces, &json!({"metadata": {"name": "a-b"}})).is_empty());
        assert_eq!(check(&namespaces, &json!({"metadata": {"name": "a.b"}})).len(), 1);
        assert!(
            check(&configmaps, &json!({"metadata": {"name": "a.b", "labels": {"x.y/z": ""}}})).is_empty()
        );
        assert_eq!(check(&configmaps, &json!({"metadata": {"name": "A", "labels": {"-": "a b"}}})).len(), 3);
    }
}
