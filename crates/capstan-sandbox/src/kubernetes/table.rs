//! `Table`: what `kubectl get` prints.

use std::sync::Arc;

use jiff::{SpanRound, Timestamp, Unit};
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
    Age,
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

    fn cell(&self, object: &Object, now: Timestamp) -> Value {
        match &self.source {
            Source::Age => age(object.text("metadata.creationTimestamp"), now).into(),
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
    columns.extend(builtin(&resource.id));
    columns.push(Shown { source: Source::Age, ..Shown::computed("Age", |_| Value::Null) });
    if &*resource.id == "nodes" {
        columns.push(Shown::path("Version", ".status.nodeInfo.kubeletVersion"));
        columns
            .push(Shown { priority: 1, ..Shown::computed("Internal-IP", |o| node_address(o, "InternalIP")) });
    }
    columns
}

fn builtin(id: &str) -> Vec<Shown> {
    let ready = |o: &Object| {
        format!("{}/{}", o.int("status.readyReplicas").unwrap_or(0), o.int("spec.replicas").unwrap_or(0))
            .into()
    };
    match id {
        "namespaces" => vec![Shown::path("Status", ".status.phase")],
        "nodes" => vec![Shown::computed("Status", node_status), Shown::computed("Roles", node_roles)],
        "pods" => vec![
            Shown::computed("Ready", pod_ready),
            Shown::path("Status", ".status.phase"),
            Shown::computed("Restarts", |_| "0".into()),
        ],
        "services" => vec![
            Shown::path("Type", ".spec.type"),
            Shown::path("Cluster-IP", ".spec.clusterIP"),
            Shown::computed("External-IP", service_address),
            Shown::computed("Port(s)", service_ports),
        ],
        "deployments.apps" | "statefulsets.apps" => vec![
            Shown::computed("Ready", ready),
            Shown::computed("Up-to-date", |o| o.int("status.updatedReplicas").unwrap_or(0).into()),
            Shown::computed("Available", |o| o.int("status.availableReplicas").unwrap_or(0).into()),
        ],
        "daemonsets.apps" => vec![
            Shown::computed("Desired", |o| o.int("status.desiredNumberScheduled").unwrap_or(0).into()),
            Shown::computed("Ready", |o| o.int("status.numberReady").unwrap_or(0).into()),
        ],
        "secrets" => vec![Shown::path("Type", ".type"), Shown::computed("Data", data_count)],
        "configmaps" => vec![Shown::computed("Data", data_count)],
        "persistentvolumeclaims" => vec![
            Shown::path("Status", ".status.phase"),
            Shown::path("Volume", ".spec.volumeName"),
            Shown::path("Capacity", ".status.capacity.storage"),
            Shown::path("StorageClass", ".spec.storageClassName"),
        ],
        "persistentvolumes" => vec![
            Shown::path("Capacity", ".spec.capacity.storage"),
            Shown::path("Reclaim Policy", ".spec.persistentVolumeReclaimPolicy"),
            Shown::path("Status", ".status.phase"),
            Shown::computed("Claim", |o| {
                format!("{}/{}", o.text("spec.claimRef.namespace"), o.text("spec.claimRef.name")).into()
            }),
        ],
        "storageclasses.storage.k8s.io" => vec![Shown::path("Provisioner", ".provisioner")],
        "events" => vec![
            Shown::path("Type", ".type"),
            Shown::path("Reason", ".reason"),
            Shown::computed("Object", |o| {
                let kind = o.text("involvedObject.kind").to_lowercase();
                format!("{kind}/{}", o.text("involvedObject.name")).into()
            }),
            Shown::path("Message", ".message"),
        ],
        "leases.coordination.k8s.io" => vec![Shown::path("Holder", ".spec.holderIdentity")],
        "customresourcedefinitions.apiextensions.k8s.io" => {
            vec![Shown::computed("Created At", |o| o.text("metadata.creationTimestamp").into())]
        }
        _ => Vec::new(),
    }
}

fn data_count(object: &Object) -> Value {
    (object.entries("data").count() + object.entries("binaryData").count()).into()
}

fn node_status(node: &Object) -> Value {
    let mut text = if node.is_condition_true("Ready") { "Ready" } else { "NotReady" }.to_owned();
    if node.flag("spec.unschedulable") {
        text += ",SchedulingDisabled";
    }
    text.into()
}

fn node_roles(node: &Object) -> Value {
    let roles: Vec<&str> = node
        .entries("metadata.labels")
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    if roles.is_empty() { "<none>".into() } else { roles.join(",").into() }
}

fn node_address(node: &Object, kind: &str) -> Value {
    let found = node.items("status.addresses").iter().find(|address| address.text("type") == kind);
    found.map_or("<none>", |address| address.text("address")).into()
}

fn pod_ready(pod: &Object) -> Value {
    let all = pod.items("spec.containers").len();
    let ready = if pod.is_condition_true("Ready") { all } else { 0 };
    format!("{ready}/{all}").into()
}

fn service_address(service: &Object) -> Value {
    let ingress = service.items("status.loadBalancer.ingress");
    let addresses: Vec<&str> =
        ingress.iter().filter_map(|i| i.text_at("ip").or(i.text_at("hostname"))).collect();
    match (service.text("spec.type"), addresses.is_empty()) {
        ("LoadBalancer", true) => "<pending>".into(),
        (_, true) => "<none>".into(),
        (_, false) => addresses.join(",").into(),
    }
}

fn service_ports(service: &Object) -> Value {
    let port = |port: &Value| match port.int("nodePort") {
        Some(node) => format!("{}:{node}/{}", port.at("port"), port.text("protocol")),
        None => format!("{}/{}", port.at("port"), port.text("protocol")),
    };
    service.items("spec.ports").iter().map(port).collect::<Vec<_>>().join(",").into()
}

/// How long ago something was, as kubectl prints it: `5s`, `3m20s`, `4d`.
fn age(since: &str, now: Timestamp) -> String {
    let Ok(since) = since.parse::<Timestamp>() else { return "<unknown>".to_owned() };
    let rounded = now
        .since(since)
        .and_then(|span| span.round(SpanRound::new().largest(Unit::Second).smallest(Unit::Second)));
    let seconds = rounded.map_or(0, |span| span.get_seconds()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => format!("{}m{}s", seconds / 60, seconds % 60).replace("m0s", "m"),
        600..10_800 => format!("{}m", seconds / 60),
        10_800..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
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
        for (since, expected) in
            [("2026-01-01T23:59:30Z", "30s"), ("2026-01-01T23:56:00Z", "4m"), ("2026-01-01T20:00:00Z", "4h")]
        {
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
