//! The columns of built-in kinds, as `pkg/printers/internalversion` of Kubernetes has them.

use serde_json::Value;

use super::super::object::{Object, Read as _};
use super::Shown;

/// The columns after the name.
pub(super) fn columns(id: &str) -> Vec<Shown> {
    let mut columns = of(id);
    let age = Shown::age("Age", "metadata.creationTimestamp");
    match id {
        // These have none.
        "events" | "roles.rbac.authorization.k8s.io" | "clusterroles.rbac.authorization.k8s.io" => {}
        "customresourcedefinitions.apiextensions.k8s.io" => {}
        "nodes" => columns.splice(2..2, [age]).for_each(drop),
        "priorityclasses.scheduling.k8s.io" => columns.splice(2..2, [age]).for_each(drop),
        _ => {
            // Before what only `-o wide` shows.
            let at = columns.iter().position(|column| column.priority > 0).unwrap_or(columns.len());
            columns.insert(at, age);
        }
    }
    columns
}

fn of(id: &str) -> Vec<Shown> {
    let computed = Shown::computed;
    match id {
        "namespaces" => vec![Shown::path("Status", ".status.phase")],
        "nodes" => nodes(),
        "pods" => vec![
            computed("Ready", pod_ready),
            computed("Status", phase),
            computed("Restarts", |_| "0".into()),
            computed("IP", |o| or_none(o.text("status.podIP"))).wide(),
            computed("Node", |o| or_none(o.text("spec.nodeName"))).wide(),
            computed("Nominated Node", |o| or_none(o.text("status.nominatedNodeName"))).wide(),
            computed("Readiness Gates", |_| "<none>".into()).wide(),
        ],
        "services" => vec![
            Shown::path("Type", ".spec.type"),
            computed("Cluster-IP", |o| or_none(o.text("spec.clusterIP"))),
            computed("External-IP", service_address),
            computed("Port(s)", service_ports),
            computed("Selector", |o| labels(o.at("spec.selector"))).wide(),
        ],
        "endpoints" => vec![computed("Endpoints", endpoints)],
        "secrets" => vec![Shown::path("Type", ".type"), computed("Data", data_count)],
        "configmaps" => vec![computed("Data", data_count)],
        "persistentvolumeclaims" | "persistentvolumes" => volumes(id),
        "events" => events(),
        "leases.coordination.k8s.io" => vec![Shown::path("Holder", ".spec.holderIdentity")],
        "storageclasses.storage.k8s.io" => vec![
            Shown::path("Provisioner", ".provisioner"),
            Shown::path("ReclaimPolicy", ".reclaimPolicy"),
            Shown::path("VolumeBindingMode", ".volumeBindingMode"),
            computed("AllowVolumeExpansion", |o| o.flag("allowVolumeExpansion").to_string().into()),
        ],
        "ingresses.networking.k8s.io" => vec![
            computed("Class", |o| or_none(o.text("spec.ingressClassName"))),
            computed("Hosts", hosts),
            computed("Address", addresses),
            computed("Ports", |o| if o.items("spec.tls").is_empty() { "80" } else { "80, 443" }.into()),
        ],
        "priorityclasses.scheduling.k8s.io" => vec![
            Shown::path("Value", ".value").counted(),
            computed("Global-Default", |o| o.flag("globalDefault").to_string().into()),
            Shown::path("PreemptionPolicy", ".preemptionPolicy"),
        ],
        "poddisruptionbudgets.policy" => vec![
            computed("Min Available", |o| or_not_available(o.at("spec.minAvailable"))),
            computed("Max Unavailable", |o| or_not_available(o.at("spec.maxUnavailable"))),
            computed("Allowed Disruptions", |o| count(o, "status.disruptionsAllowed")).counted(),
        ],
        "customresourcedefinitions.apiextensions.k8s.io"
        | "roles.rbac.authorization.k8s.io"
        | "clusterroles.rbac.authorization.k8s.io" => {
            vec![computed("Created At", |o| o.text("metadata.creationTimestamp").into())]
        }
        "rolebindings.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io" => {
            vec![computed("Role", |o| {
                format!("{}/{}", o.text("roleRef.kind"), o.text("roleRef.name")).into()
            })]
        }
        _ => workloads(id),
    }
}

fn nodes() -> Vec<Shown> {
    vec![
        Shown::computed("Status", node_status),
        Shown::computed("Roles", node_roles),
        Shown::path("Version", ".status.nodeInfo.kubeletVersion"),
        Shown::computed("Internal-IP", |o| node_address(o, "InternalIP")).wide(),
        Shown::computed("External-IP", |o| node_address(o, "ExternalIP")).wide(),
        Shown::computed("OS-Image", |o| or_unknown(o.text("status.nodeInfo.osImage"))).wide(),
        Shown::computed("Kernel-Version", |o| or_unknown(o.text("status.nodeInfo.kernelVersion"))).wide(),
        Shown::computed("Container-Runtime", |o| {
            or_unknown(o.text("status.nodeInfo.containerRuntimeVersion"))
        })
        .wide(),
    ]
}

fn events() -> Vec<Shown> {
    vec![
        Shown::age("Last Seen", "lastTimestamp"),
        Shown::path("Type", ".type"),
        Shown::path("Reason", ".reason"),
        Shown::computed("Object", |o| {
            let kind = o.text("involvedObject.kind").to_lowercase();
            format!("{kind}/{}", o.text("involvedObject.name")).into()
        }),
        Shown::path("Subobject", ".involvedObject.fieldPath").wide(),
        Shown::path("Source", ".source.component").wide(),
        Shown::computed("Message", |o| o.text("message").trim().into()),
        Shown::age("First Seen", "firstTimestamp").wide(),
        Shown::computed("Count", |o| o.int("count").unwrap_or(1).to_string().into()).wide(),
    ]
}

fn workloads(id: &str) -> Vec<Shown> {
    let number = |name: &str, compute: fn(&Object) -> Value| Shown::computed(name, compute).counted();
    let mut columns = match id {
        "deployments.apps" => vec![
            Shown::computed("Ready", ready_of_wanted),
            Shown::computed("Up-to-date", |o| count(o, "status.updatedReplicas")),
            Shown::computed("Available", |o| count(o, "status.availableReplicas")),
        ],
        "statefulsets.apps" => vec![Shown::computed("Ready", ready_of_wanted)],
        "replicasets.apps" => vec![
            number("Desired", |o| count(o, "spec.replicas")),
            number("Current", |o| count(o, "status.replicas")),
            number("Ready", |o| count(o, "status.readyReplicas")),
        ],
        "daemonsets.apps" => vec![
            number("Desired", |o| count(o, "status.desiredNumberScheduled")),
            number("Current", |o| count(o, "status.currentNumberScheduled")),
            number("Ready", |o| count(o, "status.numberReady")),
            number("Up-to-date", |o| count(o, "status.updatedNumberScheduled")),
            number("Available", |o| count(o, "status.numberAvailable")),
            Shown::computed("Node Selector", |o| labels(o.at("spec.template.spec.nodeSelector"))),
        ],
        "jobs.batch" => vec![
            Shown::computed("Status", |o| {
                if o.is_condition_true("Complete") { "Complete" } else { "Running" }.into()
            }),
            Shown::computed("Completions", |o| {
                format!("{}/{}", count(o, "status.succeeded"), o.int("spec.completions").unwrap_or(1)).into()
            }),
            Shown::computed("Duration", |_| "".into()),
        ],
        "cronjobs.batch" => vec![
            Shown::path("Schedule", ".spec.schedule"),
            Shown::computed("Timezone", |o| or_none(o.text("spec.timeZone"))),
            Shown::computed("Suspend", |o| if o.flag("spec.suspend") { "True" } else { "False" }.into()),
            number("Active", |o| o.items("status.active").len().into()),
            Shown::computed("Last Schedule", |_| "<none>".into()),
        ],
        _ => return Vec::new(),
    };
    columns.push(Shown::computed("Containers", |o| containers(o, "name")).wide());
    columns.push(Shown::computed("Images", |o| containers(o, "image")).wide());
    if id != "statefulsets.apps" {
        columns.push(Shown::computed("Selector", |o| labels(o.at("spec.selector.matchLabels"))).wide());
    }
    columns
}

fn volumes(id: &str) -> Vec<Shown> {
    let modes = |path: &'static str| match path {
        "spec" => Shown::computed("Access Modes", |o| access_modes(o.items("spec.accessModes"))),
        _ => Shown::computed("Access Modes", |o| access_modes(o.items("status.accessModes"))),
    };
    let class = Shown::path("StorageClass", ".spec.storageClassName");
    let attributes = Shown::computed("VolumeAttributesClass", |_| "<unset>".into());
    let mode = Shown::path("VolumeMode", ".spec.volumeMode").wide();
    if id == "persistentvolumeclaims" {
        let (status, volume) = (Shown::computed("Status", phase), Shown::path("Volume", ".spec.volumeName"));
        let capacity = Shown::path("Capacity", ".status.capacity.storage");
        return vec![status, volume, capacity, modes("status"), class, attributes, mode];
    }
    let claim = Shown::computed("Claim", |o| match o.text_at("spec.claimRef.name") {
        Some(name) => format!("{}/{name}", o.text("spec.claimRef.namespace")).into(),
        None => "".into(),
    });
    let policy = Shown::path("Reclaim Policy", ".spec.persistentVolumeReclaimPolicy");
    let capacity = Shown::path("Capacity", ".spec.capacity.storage");
    let (status, reason) = (Shown::computed("Status", phase), Shown::path("Reason", ".status.reason"));
    vec![capacity, modes("spec"), policy, status, claim, class, attributes, reason, mode]
}

fn or_none(text: &str) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

fn or_unknown(text: &str) -> Value {
    if text.is_empty() { "<unknown>".into() } else { text.into() }
}

fn or_not_available(value: &Value) -> Value {
    match value {
        Value::Null => "N/A".into(),
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}

fn count(object: &Object, path: &str) -> Value {
    object.int(path).unwrap_or(0).into()
}

fn phase(object: &Object) -> Value {
    if object.is_deleting() { "Terminating".into() } else { object.text("status.phase").into() }
}

fn labels(selector: &Value) -> Value {
    let pairs = selector.as_object().into_iter().flatten();
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    or_none(&pairs.join(","))
}

fn containers(object: &Object, field: &str) -> Value {
    let spec = [object.at("spec.template.spec"), object.at("spec.jobTemplate.spec.template.spec")];
    let all = spec.iter().flat_map(|spec| spec.items("containers"));
    all.map(|container| container.text(field)).collect::<Vec<_>>().join(",").into()
}

fn ready_of_wanted(object: &Object) -> Value {
    format!("{}/{}", count(object, "status.readyReplicas"), count(object, "spec.replicas")).into()
}

fn access_modes(modes: &[Value]) -> Value {
    let short = |mode: &Value| match mode.as_str().unwrap_or_default() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        _ => "RWOP",
    };
    modes.iter().map(short).collect::<Vec<_>>().join(",").into()
}

fn hosts(ingress: &Object) -> Value {
    let rules = ingress.items("spec.rules").iter();
    let hosts: Vec<&str> = rules.filter_map(|rule| rule.text_at("host")).collect();
    if hosts.is_empty() { "*".into() } else { hosts.join(",").into() }
}

fn addresses(object: &Object) -> Value {
    let ingress = object.items("status.loadBalancer.ingress").iter();
    let addresses: Vec<&str> = ingress.filter_map(|i| i.text_at("ip").or(i.text_at("hostname"))).collect();
    addresses.join(",").into()
}

fn endpoints(object: &Object) -> Value {
    let mut all = Vec::new();
    for subset in object.items("subsets") {
        for address in subset.items("addresses") {
            let ports = subset.items("ports").iter();
            all.extend(ports.map(|port| format!("{}:{}", address.text("ip"), port.at("port"))));
        }
    }
    let more = all.len().saturating_sub(3);
    all.truncate(3);
    match (all.is_empty(), more) {
        (true, _) => "<none>".into(),
        (_, 0) => all.join(",").into(),
        (_, more) => format!("{} + {more} more...", all.join(",")).into(),
    }
}

fn data_count(object: &Object) -> Value {
    (object.entries("data").count() + object.entries("binaryData").count()).to_string().into()
}

fn node_status(node: &Object) -> Value {
    let mut text = if node.is_condition_true("Ready") { "Ready" } else { "NotReady" }.to_owned();
    if node.flag("spec.unschedulable") {
        text += ",SchedulingDisabled";
    }
    text.into()
}

fn node_roles(node: &Object) -> Value {
    let labels = node.entries("metadata.labels");
    let roles = labels.filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"));
    or_none(&roles.collect::<Vec<_>>().join(","))
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
    let found = addresses(service);
    match (service.text("spec.type"), found.as_str().unwrap_or_default()) {
        ("LoadBalancer", "") => "<pending>".into(),
        (_, found) => or_none(found),
    }
}

fn service_ports(service: &Object) -> Value {
    let port = |port: &Value| match port.int("nodePort") {
        Some(node) => format!("{}:{node}/{}", port.at("port"), port.text("protocol")),
        None => format!("{}/{}", port.at("port"), port.text("protocol")),
    };
    or_none(&service.items("spec.ports").iter().map(port).collect::<Vec<_>>().join(","))
}
