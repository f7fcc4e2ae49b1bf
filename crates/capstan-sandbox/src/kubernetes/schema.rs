//! Validation of custom resources against their schema, with the texts of kube-openapi's validator.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex, PoisonError};

use regex::Regex;
use serde_json::Value;

use super::cel;
use super::error::Cause;
use super::object::Read as _;
use super::shape::key_of;

/// What is wrong with an object; `old` is its state before an update, for rules about changes.
pub(crate) fn validate(object: &Value, old: Option<&Value>, schema: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut visit = |name: &str| {
        if let (Some(schema), Some(value)) = (schema.at("properties").get(name), object.get(name)) {
            check(value, old.and_then(|old| old.get(name)), schema, name, &mut causes);
        }
    };
    visit("spec");
    visit("status");
    for (name, _) in schema
        .entries("properties")
        .filter(|(n, _)| !matches!(n.as_str(), "spec" | "status" | "metadata" | "kind" | "apiVersion"))
    {
        visit(name);
    }
    for name in schema.items("required").iter().filter_map(Value::as_str) {
        if object.get(name).is_none() {
            causes.push(Cause::required(name, ""));
        }
    }
    if causes.is_empty() {
        rules(object, old, schema, "", &mut causes);
    }
    let blocking = ["FieldValueRequired", "FieldValueTooLong", "FieldValueTypeInvalid", "FieldValueTooMany"];
    if causes.iter().any(|cause| blocking.contains(&cause.reason)) {
        let message = "Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
        causes.push(Cause {
            reason: "FieldValueInvalid",
            field: "<nil>".to_owned(),
            message: message.to_owned(),
        });
    }
    causes
}

fn check(value: &Value, old: Option<&Value>, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && schema.flag("nullable") {
        return;
    }
    if let Some(expected) = wrong_type(value, schema) {
        let kind = kind_of(value);
        let detail = format!("{path} in body must be of type {expected}: \"{kind}\"");
        let message = format!("Invalid value: \"{kind}\": {detail}");
        causes.push(Cause { reason: "FieldValueTypeInvalid", field: path.to_owned(), message });
        return;
    }
    let before = causes.len();
    match value {
        Value::String(text) => check_text(text, schema, path, causes),
        Value::Number(_) => check_number(value, schema, path, causes),
        Value::Array(items) => check_list(items, old, schema, path, causes),
        Value::Object(_) => check_map(value, old, schema, path, causes),
        _ => {}
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", allowed.join(", "));
        causes.push(Cause { reason: "FieldValueNotSupported", field: path.to_owned(), message });
    }
    if causes.len() == before {
        rules(value, old, schema, path, causes);
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The expected type, if the value has another.
fn wrong_type<'s>(value: &Value, schema: &'s Value) -> Option<&'s str> {
    if schema.flag("x-kubernetes-int-or-string") {
        return (!value.is_i64() && !value.is_string()).then_some("integer,string");
    }
    let expected = schema.text_at("type")?;
    let fits = match expected {
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "number" => value.is_number(),
        other => kind_of(value) == other,
    };
    (!fits).then_some(expected)
}

fn check_text(text: &str, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let value = Value::from(text);
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if schema.int("minLength").is_some_and(|least| length < least) {
        let least = schema.int("minLength").unwrap_or_default();
        causes.push(Cause::invalid(
            path,
            &value,
            format!("{path} in body should be at least {least} chars long"),
        ));
    }
    if let Some(most) = schema.int("maxLength").filter(|most| length > *most) {
        let message = format!("Too long: may not be more than {most} bytes");
        causes.push(Cause { reason: "FieldValueTooLong", field: path.to_owned(), message });
    }
    if let Some(pattern) = schema.text_at("pattern").filter(|pattern| !matches(pattern, text)) {
        causes.push(Cause::invalid(path, &value, format!("{path} in body should match '{pattern}'")));
    }
    let format = schema.text("format");
    let fits = match format {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "cidr" => text.parse::<ipnet::IpNet>().is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "uuid" => uuid::Uuid::parse_str(text).is_ok(),
        _ => true,
    };
    if !fits {
        causes.push(Cause::invalid(
            path,
            &value,
            format!("{path} in body must be of type {format}: {value}"),
        ));
    }
}

/// Whether a text matches a pattern of a schema; patterns are compiled once. A pattern that isn't one matches everything.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    static COMPILED: LazyLock<Mutex<BTreeMap<String, Option<Regex>>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let regex = compiled.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok());
    regex.as_ref().is_none_or(|regex| regex.is_match(text))
}

fn check_number(value: &Value, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(number) = value.as_f64() else { return };
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    if let Some(least) = bound("minimum") {
        let exclusive = schema.flag("exclusiveMinimum");
        if number < least || (exclusive && number <= least) {
            let words = if exclusive { "greater than" } else { "greater than or equal to" };
            causes.push(Cause::invalid(path, value, format!("{path} in body should be {words} {least}")));
        }
    }
    if let Some(most) = bound("maximum") {
        let exclusive = schema.flag("exclusiveMaximum");
        if number > most || (exclusive && number >= most) {
            let words = if exclusive { "less than" } else { "less than or equal to" };
            causes.push(Cause::invalid(path, value, format!("{path} in body should be {words} {most}")));
        }
    }
}

fn check_list(items: &[Value], old: Option<&Value>, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if let Some(least) = schema.int("minItems").filter(|least| count < *least) {
        causes.push(Cause::invalid(
            path,
            &count.into(),
            format!("{path} in body should have at least {least} items"),
        ));
    }
    if let Some(most) = schema.int("maxItems").filter(|most| count > *most) {
        let message = format!("Too many: {count}: must have at most {most} items");
        causes.push(Cause { reason: "FieldValueTooMany", field: path.to_owned(), message });
    }
    let keys: Vec<&str> =
        schema.items("x-kubernetes-list-map-keys").iter().filter_map(Value::as_str).collect();
    let unique = matches!(schema.text("x-kubernetes-list-type"), "set" | "map");
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let at = format!("{path}[{index}]");
        let key = if keys.is_empty() { item.clone() } else { key_of(item, &keys) };
        if unique && !seen.insert(key.to_string()) {
            let message = format!("Duplicate value: {key}");
            causes.push(Cause { reason: "FieldValueDuplicate", field: at.clone(), message });
        }
        // Rules about changes see the element with the same key; elements of atomic lists have no past.
        let old = if keys.is_empty() {
            None
        } else {
            old.and_then(Value::as_array).and_then(|old| old.iter().find(|o| key_of(o, &keys) == key))
        };
        if let Some(schema) = schema.get("items") {
            check(item, old, schema, &at, causes);
        }
    }
}

fn check_map(value: &Value, old: Option<&Value>, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Value::Object(map) = value else { return };
    let count = i64::try_from(map.len()).unwrap_or(i64::MAX);
    if let Some(least) = schema.int("minProperties").filter(|least| count < *least) {
        causes.push(Cause::invalid(
            path,
            &count.into(),
            format!("{path} in body should have at least {least} properties"),
        ));
    }
    if let Some(most) = schema.int("maxProperties").filter(|most| count > *most) {
        let message = format!("Too many: {count}: must have at most {most} items");
        causes.push(Cause { reason: "FieldValueTooMany", field: path.to_owned(), message });
    }
    for name in schema.items("required").iter().filter_map(Value::as_str) {
        if !map.contains_key(name) {
            causes.push(Cause::required(format!("{path}.{name}"), ""));
        }
    }
    let more = schema.get("additionalProperties").filter(|more| more.is_object());
    for (name, value) in map {
        if let Some(schema) = schema.at("properties").get(name).or(more) {
            check(value, old.and_then(|old| old.get(name)), schema, &format!("{path}.{name}"), causes);
        }
    }
}

/// The CEL rules of a schema. One that the small evaluator doesn't understand is not enforced.
fn rules(value: &Value, old: Option<&Value>, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    for rule in schema.items("x-kubernetes-validations") {
        let text = rule.text("rule");
        if old.is_none() && text.contains("oldSelf") {
            continue;
        }
        if cel::holds(text, value, old) != Some(false) {
            continue;
        }
        let detail = rule.text_at("message").map_or_else(|| format!("failed rule: {text}"), str::to_owned);
        // Like the API server: the value of a map or list is only named by its type.
        let shown = match value {
            Value::Object(_) => Value::from("object"),
            Value::Array(_) => Value::from("array"),
            plain => plain.clone(),
        };
        let field = match rule.text_at("fieldPath") {
            Some(below) => format!("{path}{below}"),
            None if path.is_empty() => "<nil>".to_owned(),
            None => path.to_owned(),
        };
        causes.push(match rule.text("reason") {
            "FieldValueForbidden" => Cause::forbidden(field, detail),
            "FieldValueRequired" => Cause::required(field, &detail),
            _ => Cause::invalid(field, &shown, detail),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(value: Value, schema: Value) -> Vec<String> {
        let schema = json!({"properties": {"spec": schema}});
        let causes = validate(&json!({"spec": value}), None, &schema);
        // That rules were not checked is told beside what is tested here.
        let causes = causes.into_iter().filter(|cause| cause.field != "<nil>");
        causes.map(|c| format!("{}: {}", c.field, c.message)).collect()
    }

    #[test]
    fn every_check_has_the_text_of_the_api_server() {
        let schema = json!({"type": "object", "required": ["a"], "properties": {
            "a": {"type": "string", "minLength": 1, "maxLength": 3, "pattern": "^[a-z]*$"},
            "n": {"type": "integer", "minimum": 1, "maximum": 5}, "e": {"type": "string", "enum": ["x", "y"]},
            "l": {"type": "array", "maxItems": 1, "items": {"type": "string"}}}});
        assert_eq!(refused(json!({}), schema.clone()), ["spec.a: Required value"]);
        assert_eq!(
            refused(json!({"a": ""}), schema.clone()),
            ["spec.a: Invalid value: \"\": spec.a in body should be at least 1 chars long"]
        );
        assert_eq!(
            refused(json!({"a": "AB12"}), schema.clone()),
            [
                "spec.a: Too long: may not be more than 3 bytes",
                "spec.a: Invalid value: \"AB12\": spec.a in body should match '^[a-z]*$'"
            ]
        );
        assert_eq!(
            refused(json!({"a": "a", "n": 0, "e": "z", "l": ["a", 1]}), schema),
            [
                "spec.e: Unsupported value: \"z\": supported values: \"x\", \"y\"",
                "spec.l: Too many: 2: must have at most 1 items",
                "spec.l[1]: Invalid value: \"integer\": spec.l[1] in body must be of type string: \"integer\"",
                "spec.n: Invalid value: 0: spec.n in body should be greater than or equal to 1",
            ]
        );
    }

    #[test]
    fn a_rule_about_changes_sees_the_past() {
        let schema = json!({"properties": {"spec": {"type": "object", "properties": {"a": {"type": "string",
            "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "a is immutable"}]}}}}});
        let old = json!({"spec": {"a": "1"}});
        assert!(validate(&old, None, &schema).is_empty());
        assert!(validate(&old, Some(&old), &schema).is_empty());
        let causes = validate(&json!({"spec": {"a": "2"}}), Some(&old), &schema);
        assert_eq!(causes[0].message, "Invalid value: \"2\": a is immutable");
    }
}
