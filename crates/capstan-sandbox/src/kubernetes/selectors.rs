//! Label and field selectors.

use serde_json::Value;

use super::error::{Answer, Status};
use super::object::{Object, Read as _};
use super::registry::Resource;

/// Which objects a list or watch is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

impl Selector {
    /// Reads the query parameters `labelSelector` and `fieldSelector`.
    ///
    /// # Errors
    /// 400 if one cannot be read, or names a field that cannot be selected by.
    pub(crate) fn parse(resource: &Resource, labels: &str, fields: &str) -> Answer<Self> {
        let mut selector = Self::default();
        for part in split(labels) {
            let requirement = requirement(part)
                .ok_or_else(|| Status::bad_request(format!("unable to parse requirement: found '{part}'")))?;
            selector.labels.push(requirement);
        }
        for part in fields.split(',').filter(|part| !part.is_empty()) {
            let (field, equal, value) =
                match (part.split_once("!="), part.split_once("==").or_else(|| part.split_once('='))) {
                    (Some((field, value)), _) => (field, false, value),
                    (None, Some((field, value))) => (field, true, value),
                    (None, None) => {
                        return Err(Status::bad_request(format!(
                            "invalid selector: '{part}'; can't understand '{part}'"
                        )));
                    }
                };
            if !selectable(resource, field) {
                return Err(Status::bad_request(if indexed(resource).is_empty() && !resource.is_custom() {
                    format!(
                        "\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    )
                } else {
                    format!("field label not supported: {field}")
                }));
            }
            selector.fields.push((field.to_owned(), equal, value.to_owned()));
        }
        Ok(selector)
    }

    /// Whether an object is selected.
    pub(crate) fn matches(&self, object: &Object) -> bool {
        let label = |key: &str| object.label(key);
        let labels = self.labels.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => label(key).is_some_and(|value| values.iter().any(|v| v == value)),
            Requirement::NotIn(key, values) => {
                label(key).is_none_or(|value| values.iter().all(|v| v != value))
            }
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Missing(key) => label(key).is_none(),
        });
        labels
            && self.fields.iter().all(|(field, equal, value)| (text_of(object.at(field)) == *value) == *equal)
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn selectable(resource: &Resource, field: &str) -> bool {
    matches!(field, "metadata.name" | "metadata.namespace") || indexed(resource).contains(&field)
}

/// The fields of a resource that can be selected by, beside name and namespace.
fn indexed(resource: &Resource) -> &'static [&'static str] {
    match &*resource.id {
        "events" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "events.events.k8s.io" => {
            &["regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid", "reason", "type"]
        }
        "pods" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
            "spec.hostNetwork",
        ],
        "nodes" => &["spec.unschedulable"],
        "namespaces" => &["status.phase"],
        "secrets" => &["type"],
        "services" => &["spec.clusterIP", "spec.type"],
        "jobs.batch" => &["status.successful"],
        _ => &[],
    }
}

/// Splits at commas that are not within parentheses.
fn split(labels: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    labels
        .split(move |c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            c == ',' && depth == 0
        })
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

fn requirement(part: &str) -> Option<Requirement> {
    let values = |text: &str| -> Option<Vec<String>> {
        let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inner.split(',').map(|value| value.trim().to_owned()).collect())
    };
    if let Some((key, list)) = part.split_once(" notin ") {
        return Some(Requirement::NotIn(key.trim().to_owned(), values(list)?));
    }
    if let Some((key, list)) = part.split_once(" in ") {
        return Some(Requirement::In(key.trim().to_owned(), values(list)?));
    }
    let single = part.replacen("==", "=", 1);
    if single.matches('=').count() > 1 || single.starts_with('=') {
        return None;
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Some(Requirement::NotIn(key.trim().to_owned(), vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Requirement::In(key.trim().to_owned(), vec![value.trim().to_owned()]));
    }
    let (missing, key) = part.strip_prefix('!').map_or((false, part), |key| (true, key.trim()));
    if key.is_empty() || key.contains([' ', '(', ')', '!', '<', '>']) {
        return None;
    }
    Some(if missing { Requirement::Missing(key.to_owned()) } else { Requirement::Exists(key.to_owned()) })
}

/// Whether a `LabelSelector` (`matchLabels`, `matchExpressions`) selects an object. An empty one selects everything.
pub(crate) fn selects(selector: &Value, object: &Object) -> bool {
    let labels = selector.entries("matchLabels").all(|(key, value)| object.label(key) == value.as_str());
    labels
        && selector.items("matchExpressions").iter().all(|expression| {
            let label = object.label(expression.text("key"));
            let listed = expression.items("values").iter().any(|value| value.as_str() == label);
            match expression.text("operator") {
                "In" => label.is_some() && listed,
                "NotIn" => label.is_none() || !listed,
                "Exists" => label.is_some(),
                "DoesNotExist" => label.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::registry::Registry;
    use serde_json::json;

    #[test]
    fn selectors_select() {
        let pods = Registry::builtin().by_id("pods").unwrap();
        let pod =
            json!({"metadata": {"name": "p", "labels": {"a": "1", "b": ""}}, "status": {"phase": "Running"}});
        for (labels, fields, expected) in [
            ("a=1", "", true),
            ("a==1,b", "metadata.name=p", true),
            ("a in (1, 2),!c", "status.phase!=Failed", true),
            ("a notin (1,2)", "", false),
            ("a!=1", "", false),
            ("c", "", false),
            ("", "metadata.name!=p", false),
        ] {
            assert_eq!(
                Selector::parse(&pods, labels, fields).unwrap().matches(&pod),
                expected,
                "{labels} {fields}"
            );
        }
        assert_eq!(Selector::parse(&pods, "a b", "").unwrap_err().code, 400);
        assert_eq!(
            Selector::parse(&pods, "", "spec.foo=1").unwrap_err().message,
            "field label not supported: spec.foo"
        );
    }
}
