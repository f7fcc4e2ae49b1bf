//! `Table`: what `kubectl get` prints.

mod builtin;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::{Object, Read as _};
use super::registry::Resource;

/// A list or one object as a table. `include`: the query parameter `includeObject`.
pub(crate) fn render(
    resource: &Resource,
    objects: &[Arc<Object>],
    metadata: Value,
    include: &str,
    now: Timestamp,
) -> Value {
    let columns = columns(resource);
    let definitions: Vec<Value> = columns
        .iter()
        .map(|c| json!({"name": c.name, "type": c.kind, "format": c.format, "description": "", "priority": c.priority}))
        .collect();
    let row = |object: &Arc<Object>| {
        let cells: Vec<Value> = columns.iter().map(|column| column.cell(object, now)).collect();
        let shown = match include {
            "None" => Value::Null,
            "Object" => (**object).clone(),
            _ => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
            }
        };
        json!({"cells": cells, "object": shown})
    };
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
           "columnDefinitions": definitions, "rows": objects.iter().map(row).collect::<Vec<_>>()})
}

enum Source {
    /// A path as in `additionalPrinterColumns`, or a known text computed from the object.
    Path(String),
    Computed(fn(&Object) -> Value),
    Age(String),
}

struct Shown {
    name: String,
    kind: String,
    format: String,
    priority: i64,
    source: Source,
}

impl Shown {
    fn computed(name: &str, compute: fn(&Object) -> Value) -> Self {
        let source = Source::Computed(compute);
        Self { name: name.to_owned(), kind: "string".to_owned(), format: String::new(), priority: 0, source }
    }

    fn path(name: &str, path: &str) -> Self {
        Self { source: Source::Path(path.to_owned()), ..Self::computed(name, |_| Value::Null) }
    }

    /// A moment, shown as how long ago it was.
    fn age(name: &str, path: &str) -> Self {
        Self { source: Source::Age(path.to_owned()), ..Self::computed(name, |_| Value::Null) }
    }

    fn counted(self) -> Self {
        Self { kind: "integer".to_owned(), ..self }
    }

    /// Only with `-o wide`.
    fn wide(self) -> Self {
        Self { priority: 1, ..self }
    }

    fn cell(&self, object: &Object, now: Timestamp) -> Value {
        match &self.source {
            Source::Age(path) => age(object.text(path), now).into(),
            Source::Computed(compute) => compute(object),
            Source::Path(path) => {
                let value = json_path(object, path);
                match (self.kind.as_str(), &value) {
                    ("date", Value::String(text)) => age(text, now).into(),
                    ("string", Value::Object(_) | Value::Array(_)) => value.to_string().into(),
                    ("string", Value::Bool(_) | Value::Number(_)) => value.to_string().into(),
                    _ => value,
                }
            }
        }
    }
}

fn columns(resource: &Resource) -> Vec<Shown> {
    let mut columns =
        vec![Shown { format: "name".to_owned(), ..Shown::computed("Name", |o| o.name().into()) }];
    if resource.is_custom() {
        columns.extend(resource.columns.iter().map(|column| Shown {
            name: column.name.clone(),
            kind: column.kind.clone(),
            format: column.format.clone(),
            priority: column.priority,
            source: Source::Path(column.path.clone()),
        }));
        return columns;
    }
    columns.extend(builtin::columns(&resource.id));
    // Events begin with their age, and tell their name to those who ask for more.
    if &*resource.id == "events" {
        columns.rotate_left(1);
        if let Some(name) = columns.last_mut() {
            name.priority = 1;
        }
    }
    columns
}

/// How long ago something was, as kubectl prints it: `5s`, `3m20s`, `4d`.
fn age(since: &str, now: Timestamp) -> String {
    let Ok(since) = since.parse::<Timestamp>() else { return "<unknown>".to_owned() };
    let seconds = now.duration_since(since).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |whole: i64, unit: &str, part: i64, of: &str| match part {
        0 => format!("{whole}{unit}"),
        part => format!("{whole}{unit}{part}{of}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// Follows the simple JSON paths of printer columns: fields, `['x.y/z']`, `[0]`, `[*]`, `[?(@.type=="Ready")]`.
pub(crate) fn json_path(object: &Object, path: &str) -> Value {
    let mut found = vec![object];
    let mut rest = path.trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix("[?(@.") {
            let Some((filter, after)) = inner.split_once(")]") else { return Value::Null };
            let Some((field, value)) = filter.split_once("==") else { return Value::Null };
            let value = value.trim().trim_matches(['"', '\'']);
            let items = found.iter().flat_map(|v| v.as_array().into_iter().flatten());
            found = items.filter(|item| item.text(field.trim()) == value).collect();
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('[') {
            let Some((index, after)) = inner.split_once(']') else { return Value::Null };
            found = match index {
                "*" => found.iter().flat_map(|v| v.as_array().into_iter().flatten()).collect(),
                quoted if quoted.starts_with(['\'', '"']) => {
                    let key = quoted.trim_matches(['"', '\'']);
                    found.iter().filter_map(|v| v.get(key)).collect()
                }
                number => {
                    let index = number.parse::<usize>().unwrap_or(usize::MAX);
                    found.iter().filter_map(|v| v.get(index)).collect()
                }
            };
            rest = after;
        } else {
            rest = rest.trim_start_matches('.');
            // `metadata.labels.a\.b/c` escapes the dots of a key.
            let mut end = 0;
            let bytes = rest.as_bytes();
            while end < bytes.len()
                && (bytes[end] != b'.' || (end > 0 && bytes[end - 1] == b'\\'))
                && bytes[end] != b'['
            {
                end += 1;
            }
            let key = rest[..end].replace("\\.", ".");
            found = found.iter().filter_map(|v| v.get(&key)).collect();
            rest = &rest[end..];
        }
    }
    found.first().map_or(Value::Null, |value| (*value).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        for (since, expected) in [
            ("2026-01-01T23:59:30Z", "30s"),
            ("2026-01-01T23:56:00Z", "4m"),
            ("2026-01-01T20:00:00Z", "4h"),
            ("2026-01-01T23:55:50Z", "4m10s"),
            ("2026-01-01T19:30:00Z", "4h30m"),
            ("2025-12-29T21:00:00Z", "3d3h"),
        ] {
            assert_eq!(age(since, now), expected);
        }
    }

    #[test]
    fn paths_of_columns_are_followed() {
        let object = json!({"metadata": {"labels": {"a.b/c": "d"}}, "status": {"conditions": [
            {"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]}});
        assert_eq!(json_path(&object, ".status.conditions[?(@.type==\"Ready\")].status"), "True");
        assert_eq!(json_path(&object, ".metadata.labels['a.b/c']"), "d");
        assert_eq!(json_path(&object, ".metadata.labels.a\\.b/c"), "d");
        assert_eq!(json_path(&object, ".spec.none"), Value::Null);
    }
}
