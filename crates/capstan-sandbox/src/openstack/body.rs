//! Request bodies: strict JSON, with each service's own words for what is wrong.

use axum::body::Bytes;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;

use super::error::{ApiError, Shape};

/// Reads `{"root": {...}}`. Unknown keys beside and within it are refused.
pub(crate) fn rooted<T: DeserializeOwned>(shape: Shape, root: &str, bytes: &Bytes) -> Result<T, ApiError> {
    if bytes.is_empty() {
        return Err(no_root(shape, root));
    }
    let mut whole = match value(shape, bytes)? {
        Value::Object(whole) => whole,
        other => return Err(no_object(shape, &other)),
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
    match value(shape, bytes)? {
        // Of all services only Glance takes a list: of operations.
        other if other.is_object() == (shape == Shape::Glance) => Err(no_object(shape, &other)),
        whole => {
            let objects = whole.as_object().into_iter().flat_map(|whole| whole.values());
            objects.filter(|inner| inner.is_object()).try_for_each(|inner| check_texts(shape, inner))?;
            typed(shape, BODY, whole)
        }
    }
}

/// Stands for the root where there is none.
const BODY: &str = "body";

/// Reads any JSON.
pub(crate) fn value(shape: Shape, bytes: &Bytes) -> Result<Value, ApiError> {
    if bytes.is_empty() && shape == Shape::Glance {
        return Err(ApiError::bad_request("Body expected in request."));
    }
    serde_json::from_slice(bytes).map_err(|_| malformed(shape))
}

/// The body is no JSON, or not of the kind that the service wants.
fn malformed(shape: Shape) -> ApiError {
    match shape {
        Shape::Keystone => ApiError::bad_request(
            "Expecting to find valid JSON in request body. The server could not comply with the request since it is \
             either malformed or otherwise incorrect. The client is assumed to be in error.",
        ),
        Shape::Nova => ApiError::bad_request("Malformed request body"),
        Shape::Neutron => ApiError::new(400, "HTTPBadRequest", "Body contains invalid data"),
        Shape::Glance => ApiError::bad_request("Malformed JSON in request body."),
        Shape::Octavia => ApiError::bad_request("Request is not in valid JSON format"),
    }
}

/// Reads a JSON value into a type that denies unknown fields.
pub(crate) fn typed<T: DeserializeOwned>(shape: Shape, root: &str, value: Value) -> Result<T, ApiError> {
    // An array would do for a struct, too.
    if !value.is_object() && root != BODY {
        return Err(root_no_object(shape, root, &value));
    }
    check_texts(shape, &value)?;
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

/// The longest name and description that a service takes.
const LONGEST: usize = 255;

/// Names and descriptions are texts, and not too long.
fn check_texts(shape: Shape, value: &Value) -> Result<(), ApiError> {
    // Keystone's descriptions have no limit.
    let fields: &[&str] = if shape == Shape::Keystone { &["name"] } else { &["name", "description"] };
    for field in fields {
        match value.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.chars().count() <= LONGEST => {}
            Some(Value::String(text)) => return Err(too_long(shape, field, text)),
            Some(other) => return Err(no_text(shape, field, other)),
        }
    }
    Ok(())
}

fn too_long(shape: Shape, field: &str, text: &str) -> ApiError {
    match shape {
        Shape::Neutron => ApiError::new(
            400,
            "HTTPBadRequest",
            format!("Invalid input for {field}. Reason: '{text}' exceeds maximum length of {LONGEST}."),
        ),
        Shape::Octavia => ApiError::bad_request(format!(
            "Invalid input for field/attribute {field}. Value: '{text}'. Value should have a maximum character requirement \
             of {LONGEST}"
        )),
        Shape::Keystone | Shape::Nova | Shape::Glance => ApiError::bad_request(format!(
            "Invalid input for field/attribute {field}. Value: {text}. '{text}' is too long"
        )),
    }
}

fn no_text(shape: Shape, field: &str, value: &Value) -> ApiError {
    let shown = python(value);
    match shape {
        Shape::Neutron => {
            let text = format!("Invalid input for {field}. Reason: '{shown}' is not a valid string.");
            ApiError::new(400, "HTTPBadRequest", text)
        }
        Shape::Octavia => ApiError::bad_request(format!(
            "Invalid input for field/attribute {field}. Value: '{shown}'. Value should be string"
        )),
        Shape::Keystone | Shape::Nova | Shape::Glance => ApiError::bad_request(format!(
            "Invalid input for field/attribute {field}. Value: {shown}. {shown} is not of type 'string'"
        )),
    }
}

/// A value as Python prints it.
fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    }
}

/// The whole body is something else than an object.
fn no_object(shape: Shape, value: &Value) -> ApiError {
    match shape {
        Shape::Nova => ApiError::bad_request(format!("{} is not of type 'object'", python(value))),
        _ => malformed(shape),
    }
}

fn root_no_object(shape: Shape, root: &str, value: &Value) -> ApiError {
    match shape {
        Shape::Keystone | Shape::Neutron if value.is_null() => no_root(shape, root),
        Shape::Neutron => {
            ApiError::new(400, "HTTPBadRequest", format!("Object '{root}' contains invalid data"))
        }
        Shape::Keystone => ApiError::bad_request(format!("{} is not of type 'object'", python(value))),
        Shape::Octavia => malformed(shape),
        Shape::Nova | Shape::Glance => {
            let shown = python(value);
            ApiError::bad_request(format!(
                "Invalid input for field/attribute {root}. Value: {shown}. {shown} is not of type 'object'"
            ))
        }
    }
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
        Shape::Nova | Shape::Glance => ApiError::bad_request(format!("'{root}' is a required property")),
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
        Shape::Nova if root == BODY => no_root(shape, field),
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

/// A number, or a text that says one: Neutron and Octavia take both.
pub(crate) fn number_or_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    let value = Option::<Value>::deserialize(deserializer)?.filter(|value| !value.is_null());
    let Some(value) = value else { return Ok(None) };
    let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    let number = number.and_then(|number| T::try_from(number).ok());
    number
        .map(Some)
        .ok_or_else(|| serde::de::Error::custom(format!("'{}' is not an integer", python(&value))))
}

/// For `Option<Option<T>>`: a key that is not there is `None`, `null` is `Some(None)`.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}
