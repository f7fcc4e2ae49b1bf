//! Cluster API's `Machine` controller: joins bootstrap configuration, infrastructure and Node, and takes them apart again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::conditions::{self, Condition};
use super::ids;
use super::node;
use super::scope::{CLUSTER_NAME, Next, Scope};
use crate::kubernetes::object::{Object, Read as _, Write as _, controller_reference};

/// The finalizer.
pub(super) const FINALIZER: &str = "machine.cluster.x-k8s.io";

const MANAGER: &str = "capi-machine";

/// How long draining a node takes.
const DRAIN: Duration = Duration::from_secs(2);

/// True for a machine of a control plane.
pub(super) fn is_control_plane(machine: &Object) -> bool {
    machine.label("cluster.x-k8s.io/control-plane").is_some()
}

pub(super) fn reconcile(scope: &Scope<'_>, machine: &Object) -> Next {
    let Some(cluster) = scope.cluster_of(machine) else { return Next::Done };
    let infrastructure = scope.get(ids::OPENSTACK_MACHINES, machine.text("spec.infrastructureRef.name"));
    let config = scope.get(ids::KUBEADM_CONFIGS, machine.text("spec.bootstrap.configRef.name"));
    if machine.is_deleting() {
        return delete(scope, machine, &cluster, infrastructure.as_deref(), config.as_deref());
    }
    let adopt = |resource: &str, object: Option<&Object>| {
        if let Some(object) = object.filter(|object| !object.is_owned_by(machine.uid())) {
            scope.server.modify(resource, &scope.namespace, object.name(), MANAGER, |object| {
                // A Machine takes over from the controller that made the object.
                object.list_mut("metadata.ownerReferences").retain(|owner| !owner.flag("controller"));
                object.add_owner(controller_reference(machine));
                object.set_entry("metadata.labels", CLUSTER_NAME, cluster.name());
            });
        }
    };
    adopt(ids::OPENSTACK_MACHINES, infrastructure.as_deref());
    adopt(ids::KUBEADM_CONFIGS, config.as_deref());
    let (node, next) = node::of_machine(scope, machine, &cluster, infrastructure.as_deref());
    scope.update(MANAGER, |machine| {
        machine.add_finalizer(FINALIZER);
        if machine.controller().is_none() && !machine.is_owned_by(cluster.uid()) {
            machine.add_owner(crate::kubernetes::object::owner_reference(&cluster));
        }
        machine.set_entry("metadata.labels", CLUSTER_NAME, cluster.name());
        take_over(machine, infrastructure.as_deref(), config.as_deref(), node.as_deref());
        describe(scope, machine, infrastructure.as_deref(), config.as_deref(), node.as_deref());
    });
    next
}

/// Copies what bootstrap, infrastructure and Node report.
fn take_over(
    machine: &mut Object,
    infrastructure: Option<&Object>,
    config: Option<&Object>,
    node: Option<&Object>,
) {
    if let Some(name) = config
        .filter(|c| c.flag("status.initialization.dataSecretCreated"))
        .map(|c| c.text("status.dataSecretName"))
    {
        machine.set("spec.bootstrap.dataSecretName", name);
    }
    let has_data = machine.text_at("spec.bootstrap.dataSecretName").is_some();
    machine.set("status.initialization.bootstrapDataSecretCreated", has_data);
    if let Some(infrastructure) = infrastructure.filter(|infrastructure| infrastructure.flag("status.ready"))
    {
        machine.set("spec.providerID", infrastructure.at("spec.providerID").clone());
        machine.set("status.addresses", infrastructure.at("status.addresses").clone());
        machine.set("status.initialization.infrastructureProvisioned", true);
    }
    if let Some(node) = node {
        machine.set("status.nodeRef", json!({"name": node.name()}));
        machine.set("status.nodeInfo", node.at("status.nodeInfo").clone());
    }
    let phase = match () {
        () if infrastructure.is_some_and(|i| i.text_at("status.failureMessage").is_some()) => "Failed",
        () if machine.at("status.nodeRef").is_object() => "Running",
        () if machine.flag("status.initialization.infrastructureProvisioned") => "Provisioned",
        () if has_data => "Provisioning",
        () => "Pending",
    };
    machine.set("status.phase", phase);
    let generation = machine.int("metadata.generation").unwrap_or(1);
    machine.set("status.observedGeneration", generation);
}

/// The `Ready` of another object as a condition of the machine.
fn mirrored(kind: &'static str, of: &str, object: Option<&Object>, done: bool, fallback: &str) -> Condition {
    let Some(object) = object else {
        return Condition::no(kind, "ObjectDoesNotExist", format!("{of} does not exist"));
    };
    match object.condition("Ready") {
        Some(ready) if ready.text("status") == "True" => Condition::yes(kind, "Ready"),
        Some(ready) => {
            let reason = ready.text_at("reason").unwrap_or("NotReady");
            if ready.text("status") == "Unknown" {
                Condition::unknown(kind, reason, ready.text("message"))
            } else {
                Condition::no(kind, reason, ready.text("message"))
            }
        }
        None if done => Condition::yes(kind, "Ready"),
        None => Condition::no(kind, "NotReady", format!("{of} {fallback} is false")),
    }
}

/// Sets the conditions.
fn describe(
    scope: &Scope<'_>,
    machine: &mut Object,
    infrastructure: Option<&Object>,
    config: Option<&Object>,
    node: Option<&Object>,
) {
    let now = &scope.now;
    let has_data = machine.flag("status.initialization.bootstrapDataSecretCreated");
    let bootstrap = if has_data && config.is_none() {
        Condition::yes("BootstrapConfigReady", "DataSecretProvided")
    } else {
        mirrored(
            "BootstrapConfigReady",
            "KubeadmConfig",
            config,
            has_data,
            "status.initialization.dataSecretCreated",
        )
    };
    let provisioned = machine.flag("status.initialization.infrastructureProvisioned");
    let infra = mirrored(
        "InfrastructureReady",
        "OpenStackMachine",
        infrastructure,
        provisioned,
        "status.initialization.provisioned",
    );
    let (node_ready, node_healthy) = node_conditions(machine, node);
    let deleting = match machine.is_deleting() {
        true => Condition::yes("Deleting", "Deleting"),
        false => Condition::no("Deleting", "NotDeleting", ""),
    };
    for condition in [&bootstrap, &infra, &node_ready, &node_healthy, &deleting] {
        conditions::set(machine, condition, now);
    }
    conditions::set(machine, &Condition::no("Paused", "NotPaused", ""), now);
    conditions::set(machine, &Condition::no("Updating", "NotUpdating", ""), now);
    summarize(machine, now);
}

/// `Ready` and `Available` from the others.
fn summarize(machine: &mut Object, now: &str) {
    let kinds = ["BootstrapConfigReady", "InfrastructureReady", "NodeHealthy", "HealthCheckSucceeded"];
    let mut lines = Vec::new();
    let (mut failed, mut unknown) = (false, false);
    for kind in kinds {
        let Some(condition) = machine.condition(kind).filter(|c| c.text("status") != "True") else {
            continue;
        };
        failed |= condition.text("status") == "False";
        unknown = true;
        let message = condition.text_at("message").unwrap_or(condition.text("reason"));
        lines.push(format!("* {kind}: {message}"));
    }
    if machine.is_deleting() {
        failed = true;
        lines.insert(0, "* Deleting: Machine deletion in progress".to_owned());
    }
    let ready = match (failed, unknown) {
        (true, _) => Condition::no("Ready", "NotReady", lines.join("\n")),
        (false, true) => Condition::unknown("Ready", "ReadyUnknown", lines.join("\n")),
        (false, false) => Condition::yes("Ready", "Ready"),
    };
    let available = Condition::is("Available", ready.is_true(), "Available", "NotReady", "");
    conditions::set(machine, &ready, now);
    conditions::set(machine, &available, now);
}

fn node_conditions(machine: &Object, node: Option<&Object>) -> (Condition, Condition) {
    let Some(node) = node else {
        let reason =
            if machine.at("status.nodeRef").is_object() { "NodeDeleted" } else { "InspectionFailed" };
        let message = match machine.text_at("spec.providerID") {
            _ if reason == "NodeDeleted" => format!(
                "Node {} has been deleted while the Machine still exists",
                machine.text("status.nodeRef.name")
            ),
            Some(id) => format!("Waiting for a Node with spec.providerID {id} to exist"),
            None => "Waiting for OpenStackMachine to report spec.providerID".to_owned(),
        };
        let make = |kind| match reason {
            "NodeDeleted" => Condition::no(kind, reason, message.clone()),
            _ => Condition::unknown(kind, reason, message.clone()),
        };
        return (make("NodeReady"), make("NodeHealthy"));
    };
    let ready = node.condition("Ready").cloned().unwrap_or_default();
    match ready.text("status") {
        "True" => (Condition::yes("NodeReady", "NodeReady"), Condition::yes("NodeHealthy", "NodeHealthy")),
        "Unknown" => {
            let message = format!("* Node.Ready: {}", ready.text("message"));
            (
                Condition::unknown("NodeReady", "NodeReadyUnknown", message.clone()),
                Condition::unknown("NodeHealthy", "NodeHealthyUnknown", message),
            )
        }
        _ => {
            let message = format!("* Node.Ready: {}", ready.text("message"));
            (
                Condition::no("NodeReady", "NodeNotReady", message.clone()),
                Condition::no("NodeHealthy", "NodeNotHealthy", message),
            )
        }
    }
}

/// Takes the machine apart: drain, infrastructure, bootstrap configuration, Node.
fn delete(
    scope: &Scope<'_>,
    machine: &Object,
    cluster: &Object,
    infrastructure: Option<&Object>,
    config: Option<&Object>,
) -> Next {
    if !machine.has_finalizer(FINALIZER) {
        return Next::Done;
    }
    let say = |reason: &str, message: String| {
        scope.update(MANAGER, |machine| {
            machine.set("status.phase", "Deleting");
            conditions::set(machine, &Condition::yes("Deleting", reason).message(message), &scope.now);
            summarize(machine, &scope.now);
        });
    };
    let hook = "pre-drain.delete.hook.machine.cluster.x-k8s.io";
    if let Some((name, _)) = machine.entries("metadata.annotations").find(|(key, _)| key.starts_with(hook)) {
        say(
            "WaitingForPreDrainHook",
            format!(
                "Waiting for pre-drain hooks to succeed (hooks: {})",
                name.rsplit('/').next().unwrap_or_default()
            ),
        );
        return Next::Done;
    }
    let node = machine.text("status.nodeRef.name").to_owned();
    let workload = scope
        .world
        .kubernetes()
        .workload(&scope.namespace, cluster.name())
        .filter(|workload| workload.answers());
    // The machines of a cluster that is deleted are not drained.
    if let Some(workload) = workload.as_ref().filter(|_| !node.is_empty() && !cluster.is_deleting()) {
        let drained = machine
            .condition("Deleting")
            .is_some_and(|c| c.text("reason") != "Deleting" && c.text("reason") != "NotDeleting");
        if !drained {
            workload.server.modify("nodes", "", &node, MANAGER, |node| {
                node.set("spec.unschedulable", true);
                node.list_mut("spec.taints")
                    .push(json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}));
            });
            say(
                "DrainingNode",
                format!("Drain not completed yet (started at {}):\n* Pods are evicted", scope.now),
            );
            return Next::Act(DRAIN);
        }
    }
    if let Some(infrastructure) = infrastructure {
        if !infrastructure.is_deleting() {
            scope.server.delete(ids::OPENSTACK_MACHINES, &scope.namespace, infrastructure.name());
        }
        say("WaitingForInfrastructureDeletion", "Waiting for OpenStackMachine to be deleted".to_owned());
        if scope.get(ids::OPENSTACK_MACHINES, infrastructure.name()).is_some() {
            return Next::Done;
        }
    }
    if let Some(config) = config {
        scope.server.delete(ids::KUBEADM_CONFIGS, &scope.namespace, config.name());
        if scope.get(ids::KUBEADM_CONFIGS, config.name()).is_some() {
            say("WaitingForBootstrapDeletion", "Waiting for KubeadmConfig to be deleted".to_owned());
            return Next::Done;
        }
    }
    if let Some(workload) = workload.filter(|_| !node.is_empty()) {
        node::remove(scope, cluster, &workload, &node);
    }
    say("DeletionCompleted", "Deletion completed".to_owned());
    scope.update(MANAGER, |machine| machine.remove_finalizer(FINALIZER));
    Next::Done
}

/// The machine that a KubeadmConfig or OpenStackMachine belongs to.
pub(super) fn owner_of(scope: &Scope<'_>, object: &Object) -> Option<Arc<Object>> {
    let owner = object
        .items("metadata.ownerReferences")
        .iter()
        .find(|owner: &&Value| owner.text("kind") == "Machine")?;
    scope.get(ids::MACHINES, owner.text("name"))
}
