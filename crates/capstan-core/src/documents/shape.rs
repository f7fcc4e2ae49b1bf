//! Checks a tree against the JSON Schema of its document: keys, types, choices, bounds and formats.
//!
//! The schema is the one that editors use, generated from the structs; so an editor and Capstan agree.

use serde_json::{Map, Value as Json};

use super::formats::{Format, check_label_key};
use super::problem::{Report, Span, nearest, quoted};
use super::tree::{Node, Scalar, Value};

/// Keys that the design names and this release does not have, by the struct that they will belong to.
const NOT_IMPLEMENTED: &[(&str, &[&str])] = &[
    ("FleetSpec", &["proxy", "registryMirrors", "trustedCa", "gitops"]),
    ("ManagementSpec", &["node"]),
    ("WorkloadClusterSpec", &["etcd", "oidc", "kubeadm", "addons", "template", "volumes"]),
    ("KubernetesSpec", &["allowPreview"]),
    ("NodeGroupSpec", &["autoscale"]),
];
/// Values that the design names and this release does not have, by the type of the choice.
const NOT_IMPLEMENTED_VALUES: &[(&str, &[&str])] = &[("Runtime", &["node"])];

/// Whether a tree is complete or will be merged with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completeness {
    /// What is missing may come from elsewhere. Items of lists are complete even so, as lists are not merged.
    Partial,
    /// What is missing is missing.
    Complete,
}

/// Checks `node` against the definition `name` of `schema` and reports what is wrong.
///
/// Numbers without quotes where a version is wanted become the text that they were written with.
pub(crate) fn check(
    node: &mut Node,
    schema: &Json,
    name: Option<&str>,
    completeness: Completeness,
    report: &mut Report<'_>,
) {
    let definitions = schema.get("$defs").and_then(Json::as_object);
    let empty = Map::new();
    let mut checker = Checker { definitions: definitions.unwrap_or(&empty), completeness, report };
    let start = match name {
        Some(name) => checker.definitions.get(name).cloned().map(|found| (found, Some(name))),
        None => Some((schema.clone(), schema.get("title").and_then(Json::as_str))),
    };
    if let Some((start, name)) = start {
        checker.node(node, &start, name, "");
    }
}

struct Checker<'a, 'r, 's> {
    definitions: &'a Map<String, Json>,
    completeness: Completeness,
    report: &'r mut Report<'s>,
}

impl<'a> Checker<'a, '_, '_> {
    fn node(&mut self, node: &mut Node, schema: &Json, type_name: Option<&str>, path: &str) {
        if self.report.is_full() {
            return;
        }
        if let Some((target, name)) = self.resolve(schema) {
            return self.node(node, target, Some(name), path);
        }
        if let Some(choices) = choices(schema) {
            return self.choice(node, &choices, type_name);
        }
        let expected = schema.get("type").and_then(Json::as_str).unwrap_or_default();
        match (expected, &mut node.value) {
            ("object", Value::Map(_)) => self.map(node, schema, type_name, path),
            ("array", Value::List(_)) => self.list(node, schema, path),
            ("object" | "array", _) => self.wrong_type(node, expected),
            _ => self.scalar(node, schema, expected),
        }
    }

    /// Follows a reference, also one that stands beside a description in `allOf`.
    fn resolve(&self, schema: &Json) -> Option<(&'a Json, &'a str)> {
        let reference = schema.get("$ref").and_then(Json::as_str)?;
        let (name, target) = self.definitions.get_key_value(reference.strip_prefix("#/$defs/")?)?;
        Some((target, name))
    }

    fn map(&mut self, node: &mut Node, schema: &Json, type_name: Option<&str>, path: &str) {
        let Value::Map(entries) = &mut node.value else { return };
        let properties = schema.get("properties").and_then(Json::as_object);
        let additional = schema.get("additionalProperties").filter(|schema| schema.is_object());
        for entry in entries.iter_mut() {
            let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
            match (properties.and_then(|properties| properties.get(&entry.key)), additional) {
                (Some(schema), _) => self.node(&mut entry.value, schema, None, &path),
                (None, Some(schema)) => {
                    if schema.get("format").and_then(Json::as_str) == Some(Format::LabelValue.name())
                        && let Err(why) = check_label_key(&entry.key)
                    {
                        self.report.error(entry.key_span, why);
                    }
                    self.node(&mut entry.value, schema, None, &path);
                }
                (None, None) => self.unknown_key(&entry.key, entry.key_span, properties, type_name),
            }
        }
        if self.completeness == Completeness::Complete {
            self.required(node, schema, path);
        }
    }

    fn required(&mut self, node: &Node, schema: &Json, path: &str) {
        for key in
            schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
        {
            if node.entry(key).is_none() {
                let place = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
                let start = Span { end: node.span.start, ..node.span };
                self.report.error(start, format!("the key `{key}` is missing{place}"));
            }
        }
    }

    fn unknown_key(
        &mut self,
        key: &str,
        span: Span,
        properties: Option<&Map<String, Json>>,
        type_name: Option<&str>,
    ) {
        let planned = |(owner, keys): &&(&str, &[&str])| Some(*owner) == type_name && keys.contains(&key);
        if NOT_IMPLEMENTED.iter().any(|entry| planned(&entry)) {
            self.report.error(span, format!("{} is not implemented yet", quoted(key)));
            return;
        }
        if key == "<<" {
            let problem = self.report.error(span, "merge keys (`<<`) are not supported");
            problem.hints.push("put what clusters share into `spec.defaults` of the fleet".into());
            return;
        }
        let known: Vec<&str> = properties.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        let problem = self.report.error(span, format!("unknown key {}", quoted(key)));
        if let Some(meant) = nearest(key, known.iter().copied()) {
            problem.hints.push(format!("did you mean `{meant}`?"));
        }
        problem.hints.push(format!("known here: {}", listed(&known)));
    }

    fn list(&mut self, node: &mut Node, schema: &Json, path: &str) {
        let Value::List(items) = &mut node.value else { return };
        let before = self.completeness;
        self.completeness = Completeness::Complete;
        if let Some(schema) = schema.get("items") {
            for (index, item) in items.iter_mut().enumerate() {
                self.node(item, schema, None, &format!("{path}[{index}]"));
            }
        }
        self.completeness = before;
        if items.is_empty() && schema.get("minItems").and_then(Json::as_u64).unwrap_or(0) > 0 {
            self.report.error(node.span, "this list must not be empty");
        }
    }

    fn choice(&mut self, node: &Node, choices: &[&str], type_name: Option<&str>) {
        let Some(text) = node.as_str() else {
            let found = node.describe();
            let problem =
                self.report.error(node.span, format!("expected one of {}, found {found}", listed(choices)));
            problem.hints.push("put a text in quotes if it looks like a number or a boolean".into());
            return;
        };
        if choices.contains(&text) {
            return;
        }
        let planned =
            |(owner, values): &&(&str, &[&str])| Some(*owner) == type_name && values.contains(&text);
        if NOT_IMPLEMENTED_VALUES.iter().any(|entry| planned(&entry)) {
            let problem = self.report.error(node.span, format!("{} is not implemented yet", quoted(text)));
            problem.hints.push(format!("valid now: {}", listed(choices)));
            return;
        }
        let problem = self.report.error(node.span, format!("{} is not valid here", quoted(text)));
        if let Some(meant) = nearest(text, choices.iter().copied()) {
            problem.hints.push(format!("did you mean `{meant}`?"));
        }
        problem.hints.push(format!("valid: {}", listed(choices)));
    }

    fn scalar(&mut self, node: &mut Node, schema: &Json, expected: &str) {
        let format = schema.get("format").and_then(Json::as_str).and_then(Format::named);
        if let Value::Scalar { text, plain } = &mut node.value
            && format.is_some_and(Format::accepts_number)
            && *plain
        {
            *plain = !text.starts_with(|c: char| c.is_ascii_digit());
        }
        match (expected, node.scalar()) {
            ("string", Some(Scalar::String(text))) => {
                if let Some(Err(why)) = format.map(|format| format.check(text)) {
                    self.report.error(node.span, why);
                    return;
                }
                self.length(node.span, text, schema);
            }
            ("boolean", Some(Scalar::Bool(_))) => {}
            ("integer", Some(Scalar::Integer(value))) => self.bounds(node.span, value, schema),
            _ => self.wrong_type(node, expected),
        }
    }

    fn length(&mut self, span: Span, text: &str, schema: &Json) {
        let length = text.chars().count() as u64;
        let bound = |key| schema.get(key).and_then(Json::as_u64);
        if bound("minLength").is_some_and(|least| length < least) {
            self.report.error(span, "this text must not be empty");
        } else if let Some(most) = bound("maxLength").filter(|most| length > *most) {
            self.report.error(span, format!("this text has {length} characters, at most {most} are allowed"));
        }
    }

    fn bounds(&mut self, span: Span, value: i64, schema: &Json) {
        let least = schema.get("minimum").and_then(Json::as_f64);
        let most = schema.get("maximum").and_then(Json::as_f64);
        #[expect(
            clippy::cast_precision_loss,
            reason = "bounds are small; a value beyond 2^53 is out of them either way"
        )]
        let number = value as f64;
        if least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most) {
            let allowed = match (least, most) {
                (Some(least), Some(most)) => format!("between {least} and {most}"),
                (Some(least), None) => format!("at least {least}"),
                (None, Some(most)) => format!("at most {most}"),
                (None, None) => return,
            };
            self.report.error(span, format!("{value} is out of range: it must be {allowed}"));
        }
    }

    fn wrong_type(&mut self, node: &Node, expected: &str) {
        let wanted = match expected {
            "object" => "a map",
            "array" => "a list",
            "string" => "a text",
            "integer" => "a whole number",
            "boolean" => "`true` or `false`",
            other => other,
        };
        let found = node.describe();
        let hint = match (expected, node.scalar()) {
            ("string", Some(Scalar::Integer(_) | Scalar::Float(_) | Scalar::Bool(_))) => {
                Some("put it in quotes to make it a text".into())
            }
            ("boolean", Some(Scalar::String(text))) => {
                yes_or_no(text).map(|value| format!("did you mean `{value}`?"))
            }
            ("integer", Some(Scalar::String(text))) if text.parse::<i64>().is_ok() => {
                Some("leave the quotes out".into())
            }
            ("array", Some(Scalar::String(text))) => Some(format!("a list of one is written `[{text}]`")),
            _ => None,
        };
        let problem = self.report.error(node.span, format!("expected {wanted}, found {found}"));
        problem.hints.extend(hint);
    }
}

/// The boolean that a word of YAML 1.1 stood for.
fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" | "true" => Some(true),
        "no" | "off" | "n" | "false" => Some(false),
        _ => None,
    }
}

/// The texts that a schema of a choice allows.
fn choices(schema: &Json) -> Option<Vec<&str>> {
    if let Some(values) = schema.get("enum").and_then(Json::as_array) {
        return Some(values.iter().filter_map(Json::as_str).collect());
    }
    let one_of = schema.get("oneOf")?.as_array()?;
    Some(one_of.iter().filter_map(|choice| choice.get("const").and_then(Json::as_str)).collect())
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
