//! Request bodies: strict JSON, with each service's own words for what is wrong.

use axum::body::Bytes;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;

use super::error::{ApiError, Shape};

/// Reads `{"root": {...}}`. Unknown keys beside and within it are refused.
pub(crate) fn rooted<T: DeserializeOwned>(shape: Shape, root: &str, bytes: &Bytes) -> Result<T, ApiError> {
    let Value::Object(mut whole) = value(shape, bytes)? else {
        return Err(no_root(shape, root));
    };
    let Some(inner) = whole.remove(root) else { return Err(no_root(shape, root)) };
    if let Some(extra) = whole.keys().next() {
        return Err(unknown_field(shape, root, extra));
    }
    typed(shape, root, inner)
}

/// Reads `{"many": [{...}]}`, by which Neutron makes several networks, subnets or ports in one call.
pub(crate) fn bulk<T: DeserializeOwned>(
    shape: Shape,
    one: &str,
    many: &str,
    bytes: &Bytes,
) -> Result<Option<Vec<T>>, ApiError> {
    if shape != Shape::Neutron {
        return Ok(None);
    }
    let Value::Object(mut whole) = value(shape, bytes)? else { return Ok(None) };
    let Some(Value::Array(items)) = whole.remove(many) else { return Ok(None) };
    if !BULK.contains(&many) {
        return Err(ApiError::new(400, "HTTPBadRequest", "Bulk operation not supported"));
    }
    if items.is_empty() {
        return Err(ApiError::new(400, "HTTPBadRequest", "Resources required"));
    }
    items.into_iter().map(|item| typed(shape, one, item)).collect::<Result<_, _>>().map(Some)
}

/// What Neutron makes several of in one call.
const BULK: [&str; 5] = ["networks", "subnets", "ports", "security_groups", "security_group_rules"];

/// Reads a body without a root.
pub(crate) fn plain<T: DeserializeOwned>(shape: Shape, bytes: &Bytes) -> Result<T, ApiError> {
    typed(shape, "body", value(shape, bytes)?)
}

/// Reads any JSON.
pub(crate) fn value(shape: Shape, bytes: &Bytes) -> Result<Value, ApiError> {
    let malformed = |_| match shape {
        Shape::Keystone => ApiError::bad_request(
            "Expecting to find valid JSON in request body. The server could not comply with the request since it is \
             either malformed or otherwise incorrect. The client is assumed to be in error.",
        ),
        Shape::Nova => ApiError::bad_request("Malformed request body"),
        Shape::Neutron => ApiError::new(400, "HTTPBadRequest", "Body contains invalid data"),
        Shape::Glance => ApiError::bad_request("Malformed JSON in request body."),
        Shape::Octavia => ApiError::bad_request("Request is not in valid JSON format"),
    };
    serde_json::from_slice(bytes).map_err(malformed)
}

/// Reads a JSON value into a type that denies unknown fields.
pub(crate) fn typed<T: DeserializeOwned>(shape: Shape, root: &str, value: Value) -> Result<T, ApiError> {
    T::deserialize(value).map_err(|error| {
        let text = error.to_string();
        let quoted = |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
        if let Some(field) = quoted("unknown field `") {
            return unknown_field(shape, root, field);
        }
        if let Some(field) = quoted("missing field `") {
            return missing_field(shape, root, field);
        }
        invalid(shape, root, &text)
    })
}

fn no_root(shape: Shape, root: &str) -> ApiError {
    match shape {
        Shape::Neutron => {
            ApiError::new(400, "HTTPBadRequest", format!("Unable to find '{root}' in request body"))
        }
        Shape::Keystone => ApiError::bad_request(format!(
            "Expecting to find {root} in request body. The server could not comply with the request since it is either \
             malformed or otherwise incorrect. The client is assumed to be in error."
        )),
        Shape::Octavia => missing_field(shape, root, root),
        _ => ApiError::bad_request(format!(
            "Invalid input for field/attribute body. '{root}' is a required property"
        )),
    }
}

fn unknown_field(shape: Shape, root: &str, field: &str) -> ApiError {
    match shape {
        Shape::Neutron => {
            ApiError::new(400, "HTTPBadRequest", format!("Unrecognized attribute(s) '{field}'"))
        }
        Shape::Octavia => {
            ApiError::bad_request(format!("Unknown attribute for argument {root}.{root}: {field}"))
        }
        Shape::Keystone | Shape::Nova | Shape::Glance => ApiError::bad_request(format!(
            "Invalid input for field/attribute {root}. Additional properties are not allowed ('{field}' was unexpected)"
        )),
    }
}

fn missing_field(shape: Shape, root: &str, field: &str) -> ApiError {
    match shape {
        Shape::Neutron => ApiError::new(
            400,
            "HTTPBadRequest",
            format!("Failed to parse request. Required attribute '{field}' not specified"),
        ),
        Shape::Octavia => ApiError::bad_request(format!(
            "Invalid input for field/attribute {field}. Value: 'None'. Mandatory field missing."
        )),
        Shape::Keystone | Shape::Nova | Shape::Glance => ApiError::bad_request(format!(
            "Invalid input for field/attribute {root}. '{field}' is a required property"
        )),
    }
}

fn invalid(shape: Shape, root: &str, text: &str) -> ApiError {
    match shape {
        Shape::Neutron => {
            ApiError::new(400, "HTTPBadRequest", format!("Invalid input for {root}. Reason: {text}."))
        }
        _ => ApiError::bad_request(format!("Invalid input for field/attribute {root}. {text}")),
    }
}

/// For `Option<Option<T>>`: a key that is not there is `None`, `null` is `Some(None)`.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}
