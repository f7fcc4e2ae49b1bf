//! `core/webhooks/admission` and `controlplane/kubeadm/webhooks/admission` of Cluster API v1.14.

use serde_json::{Value, json};

use super::{immutable, version};
use crate::controllers::replicas;
use crate::controllers::scope::CLUSTER_NAME;
use crate::kubernetes::error::Cause;
use crate::kubernetes::object::{Object, Read as _, Write as _};
use crate::kubernetes::selectors::selects;

fn default(object: &mut Object, path: &str, value: Value) {
    if object.at(path).is_null() {
        object.set(path, value);
    }
}

pub(super) fn cluster(old: Option<&Object>, new: &mut Object) -> Vec<Cause> {
    let mut causes = Vec::new();
    if new.name().len() > 63 {
        let detail = "must be a valid label value must be no more than 63 bytes";
        causes.push(Cause::invalid("metadata.name", &new.name().into(), detail));
    }
    let parts = ["spec.infrastructureRef", "spec.controlPlaneRef", "spec.topology"];
    if parts.iter().all(|part| new.at(part).is_null()) {
        causes.push(Cause::forbidden(
            "spec",
            "one of spec.controlPlaneRef, spec.infrastructureRef or spec.topology must be set",
        ));
    }
    for part in ["spec.infrastructureRef", "spec.controlPlaneRef"] {
        if old.is_some_and(|old| old.at(part).is_object()) && new.at(part).is_null() {
            causes.push(Cause::forbidden(part, "cannot be removed"));
        }
    }
    causes
}

pub(super) fn control_plane(old: Option<&Object>, new: &mut Object) -> Vec<Cause> {
    default(new, "spec.replicas", json!(1));
    default(new, "spec.rollout.strategy", json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}));
    let given = new.text("spec.version").to_owned();
    if !given.is_empty() && !given.starts_with('v') {
        new.set("spec.version", format!("v{given}"));
    }
    let mut causes = Vec::new();
    let replicas = new.int("spec.replicas").unwrap_or(1);
    if replicas <= 0 {
        causes.push(Cause::forbidden("spec.replicas", "cannot be less than or equal to 0"));
    }
    let external = new.at("spec.kubeadmConfigSpec.clusterConfiguration.etcd.external").is_object();
    if replicas % 2 == 0 && !external {
        causes.push(Cause::forbidden("spec.replicas", "cannot be an even number when etcd is stacked"));
    }
    causes.extend(version(new, "spec.version"));
    let surge = new.at("spec.rollout.strategy.rollingUpdate.maxSurge").as_i64().unwrap_or(1);
    if surge == 0 && replicas < 3 {
        let detail =
            "when KubeadmControlPlane is configured to scale-in, replica count needs to be at least 3";
        causes.push(Cause::required("spec.rollout.strategy.rollingUpdate", detail));
    } else if !(0..=1).contains(&surge) {
        causes.push(Cause::required("spec.rollout.strategy.rollingUpdate.maxSurge", "value must be 1 or 0"));
    }
    let Some(old) = old else { return causes };
    let mut changed = Vec::new();
    changed_paths(old.at("spec"), new.at("spec"), "spec", &mut changed);
    causes.extend(
        changed
            .iter()
            .filter(|path| !may_change(path))
            .map(|path| Cause::forbidden(path.as_str(), "cannot be modified")),
    );
    let (from, to) = (old.text("spec.version"), new.text("spec.version"));
    let (before, after) = (replicas::version(from), replicas::version(to));
    if (after.0, after.1) >= (before.0, before.1 + 2) {
        causes.push(Cause::forbidden(
            "spec.version",
            format!("cannot update Kubernetes version from {from} to {to}"),
        ));
    }
    causes
}

/// The paths at which two objects differ, as a merge patch has them: lists as a whole.
fn changed_paths(old: &Value, new: &Value, path: &str, found: &mut Vec<String>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                changed_paths(value, after.get(key).unwrap_or(&Value::Null), &format!("{path}.{key}"), found);
            }
            for (key, value) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
                changed_paths(&Value::Null, value, &format!("{path}.{key}"), found);
            }
        }
        // A new or removed map is its fields, one by one.
        (Value::Null, Value::Object(map)) | (Value::Object(map), Value::Null) if !map.is_empty() => {
            for (key, value) in map {
                changed_paths(&Value::Null, value, &format!("{path}.{key}"), found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

/// The fields of a KubeadmControlPlane that may change.
fn may_change(path: &str) -> bool {
    let free = [
        "spec.machineTemplate",
        "spec.replicas",
        "spec.version",
        "spec.remediation",
        "spec.machineNaming",
        "spec.rollout",
        "spec.kubeadmConfigSpec.bootCommands",
        "spec.kubeadmConfigSpec.preKubeadmCommands",
        "spec.kubeadmConfigSpec.postKubeadmCommands",
        "spec.kubeadmConfigSpec.files",
        "spec.kubeadmConfigSpec.verbosity",
        "spec.kubeadmConfigSpec.users",
        "spec.kubeadmConfigSpec.ntp",
        "spec.kubeadmConfigSpec.ignition",
        "spec.kubeadmConfigSpec.diskSetup",
        "spec.kubeadmConfigSpec.format",
        "spec.kubeadmConfigSpec.mounts",
        "spec.kubeadmConfigSpec.initConfiguration",
        "spec.kubeadmConfigSpec.joinConfiguration",
        "spec.kubeadmConfigSpec.clusterConfiguration.etcd.local",
        "spec.kubeadmConfigSpec.clusterConfiguration.etcd.external",
        "spec.kubeadmConfigSpec.clusterConfiguration.dns",
        "spec.kubeadmConfigSpec.clusterConfiguration.imageRepository",
        "spec.kubeadmConfigSpec.clusterConfiguration.featureGates",
        "spec.kubeadmConfigSpec.clusterConfiguration.apiServer",
        "spec.kubeadmConfigSpec.clusterConfiguration.controllerManager",
        "spec.kubeadmConfigSpec.clusterConfiguration.scheduler",
        "spec.kubeadmConfigSpec.clusterConfiguration.certificateValidityPeriodDays",
        "spec.kubeadmConfigSpec.clusterConfiguration.encryptionAlgorithm",
    ];
    free.iter()
        .any(|free| path.strip_prefix(free).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

pub(super) fn machine_deployment(old: Option<&Object>, new: &mut Object) -> Vec<Cause> {
    let cluster = new.text("spec.clusterName").to_owned();
    let name = new.name().to_owned();
    default(new, "spec.replicas", json!(1));
    default(new, "spec.rollout.strategy.type", json!("RollingUpdate"));
    if new.text("spec.rollout.strategy.type") == "RollingUpdate" {
        default(new, "spec.rollout.strategy.rollingUpdate.maxSurge", json!(1));
        default(new, "spec.rollout.strategy.rollingUpdate.maxUnavailable", json!(0));
    }
    new.set_entry("metadata.labels", CLUSTER_NAME, cluster.clone());
    if new.entries("spec.selector.matchLabels").count() == 0
        && new.items("spec.selector.matchExpressions").is_empty()
    {
        for path in ["spec.selector.matchLabels", "spec.template.metadata.labels"] {
            new.set_entry(path, "cluster.x-k8s.io/deployment-name", name.clone());
        }
    }
    for path in ["spec.selector.matchLabels", "spec.template.metadata.labels"] {
        new.set_entry(path, CLUSTER_NAME, cluster.clone());
    }
    let given = new.text("spec.template.spec.version").to_owned();
    if !given.is_empty() && !given.starts_with('v') {
        new.set("spec.template.spec.version", format!("v{given}"));
    }
    let mut causes: Vec<Cause> = immutable(old, new, "spec.clusterName").into_iter().collect();
    let bootstrap = new.at("spec.template.spec.bootstrap");
    if bootstrap.at("configRef").is_null() && bootstrap.text_at("dataSecretName").is_none() {
        let detail = "expected either spec.template.spec.bootstrap.dataSecretName or spec.template.spec.bootstrap.configRef to be populated";
        causes.push(Cause::required("spec.template.spec.bootstrap", detail));
    }
    if !selects(new.at("spec.selector"), new.at("spec.template")) {
        let selector: Vec<String> = new
            .entries("spec.selector.matchLabels")
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        let detail = format!("must match spec.selector \"{}\"", selector.join(","));
        causes.push(Cause::forbidden("spec.template.metadata.labels", detail));
    }
    if new.text("spec.template.spec.clusterName") != cluster {
        let detail = "spec.clusterName and spec.template.spec.clusterName must be set to the same value";
        causes.push(Cause::invalid("spec.clusterName", &cluster.into(), detail));
    }
    causes.extend(version(new, "spec.template.spec.version"));
    causes
}

pub(super) fn machine(old: Option<&Object>, new: &mut Object) -> Vec<Cause> {
    let cluster = new.text("spec.clusterName").to_owned();
    new.set_entry("metadata.labels", CLUSTER_NAME, cluster);
    let mut causes: Vec<Cause> = immutable(old, new, "spec.clusterName").into_iter().collect();
    let bootstrap = new.at("spec.bootstrap");
    if bootstrap.at("configRef").is_null() && bootstrap.text_at("dataSecretName").is_none() {
        let detail =
            "expected either spec.bootstrap.dataSecretName or spec.bootstrap.configRef to be populated";
        causes.push(Cause::required("spec.bootstrap", detail));
    }
    causes.extend(version(new, "spec.version"));
    causes
}

pub(super) fn machine_health_check(old: Option<&Object>, new: &mut Object) -> Vec<Cause> {
    let cluster = new.text("spec.clusterName").to_owned();
    new.set_entry("metadata.labels", CLUSTER_NAME, cluster);
    default(new, "spec.checks.nodeStartupTimeoutSeconds", json!(600));
    default(new, "spec.remediation.triggerIf.unhealthyLessThanOrEqualTo", json!("100%"));
    immutable(old, new, "spec.clusterName").into_iter().collect()
}
