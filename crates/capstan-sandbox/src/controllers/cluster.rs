//! Cluster API's `Cluster` controller: adopts its parts, collects their state, and deletes them in order.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::conditions::{self, Condition};
use super::replicas;
use super::scope::{CLUSTER_NAME, Next, Scope};
use super::{ids, machine};
use crate::kubernetes::object::{Object, Read as _, Write as _, controller_reference};

const FINALIZER: &str = "cluster.cluster.x-k8s.io";
const MANAGER: &str = "capi-cluster";

/// While something is being deleted.
const DELETING: Duration = Duration::from_secs(5);

/// What belongs to a cluster.
struct Parts {
    infrastructure: Option<Arc<Object>>,
    control_plane: Option<Arc<Object>>,
    deployments: Vec<Arc<Object>>,
    sets: Vec<Arc<Object>>,
    control_plane_machines: Vec<Arc<Object>>,
    workers: Vec<Arc<Object>>,
}

impl Parts {
    fn find(scope: &Scope<'_>, cluster: &Object) -> Self {
        let mine = |object: &Object| object.text("spec.clusterName") == cluster.name();
        let standalone = |object: &Object| mine(object) && object.controller().is_none();
        Self {
            infrastructure: scope.openstack_cluster(cluster),
            control_plane: scope.get(ids::CONTROL_PLANES, cluster.text("spec.controlPlaneRef.name")),
            deployments: scope.list(ids::MACHINE_DEPLOYMENTS, mine),
            sets: scope.list(ids::MACHINE_SETS, standalone),
            control_plane_machines: scope.machines(cluster.name(), machine::is_control_plane),
            workers: scope.machines(cluster.name(), |m| !machine::is_control_plane(m)),
        }
    }
}

pub(super) fn reconcile(scope: &Scope<'_>, cluster: &Object) -> Next {
    if !cluster.is_deleting() && !cluster.has_finalizer(FINALIZER) {
        scope.update(MANAGER, |cluster| cluster.add_finalizer(FINALIZER));
        return Next::Done;
    }
    let parts = Parts::find(scope, cluster);
    if cluster.is_deleting() {
        return delete(scope, &parts);
    }
    let adopt = |resource: &str, object: Option<&Arc<Object>>| {
        if let Some(object) =
            object.filter(|object| !object.is_owned_by(cluster.uid()) || object.label(CLUSTER_NAME).is_none())
        {
            scope.server.modify(resource, &scope.namespace, object.name(), MANAGER, |object| {
                object.add_owner(controller_reference(cluster));
                object.set_entry("metadata.labels", CLUSTER_NAME, cluster.name());
            });
        }
    };
    adopt(ids::OPENSTACK_CLUSTERS, parts.infrastructure.as_ref());
    adopt(ids::CONTROL_PLANES, parts.control_plane.as_ref());
    scope.update(MANAGER, |cluster| {
        take_over(cluster, &parts);
        report(scope, cluster, &parts);
    });
    if let Some(control_plane) = &parts.control_plane {
        // Nodes are looked at by the control plane, too, which has no watch of its own on them here.
        let settled = control_plane.int("status.replicas") == control_plane.int("spec.replicas");
        if !settled || !control_plane.is_condition_true("Available") {
            scope.wake(ids::CONTROL_PLANES, control_plane.name());
        }
    }
    Next::Done
}

/// Copies endpoint, failure domains and milestones.
fn take_over(cluster: &mut Object, parts: &Parts) {
    if let Some(infrastructure) =
        parts.infrastructure.as_ref().filter(|infrastructure| infrastructure.flag("status.ready"))
    {
        cluster.set("status.initialization.infrastructureProvisioned", true);
        if cluster.text_at("spec.controlPlaneEndpoint.host").is_none() {
            let endpoint = infrastructure.at("spec.controlPlaneEndpoint");
            cluster.set(
                "spec.controlPlaneEndpoint",
                json!({"host": endpoint["host"], "port": endpoint["port"]}),
            );
        }
        let domains = infrastructure.entries("status.failureDomains");
        let domains: Vec<Value> = domains
            .map(|(name, domain)| json!({"name": name, "controlPlane": domain.flag("controlPlane")}))
            .collect();
        cluster.set("status.failureDomains", domains);
    }
    if parts
        .control_plane
        .as_ref()
        .is_some_and(|plane| plane.flag("status.initialization.controlPlaneInitialized"))
    {
        cluster.set("status.initialization.controlPlaneInitialized", true);
    }
    if let Some(plane) = &parts.control_plane {
        let count = |path: &str| plane.int(path).unwrap_or(0);
        cluster.set("status.controlPlane", json!({"desiredReplicas": count("spec.replicas"), "replicas": count("status.replicas"),
            "readyReplicas": count("status.readyReplicas"), "availableReplicas": count("status.availableReplicas"),
            "upToDateReplicas": count("status.upToDateReplicas")}));
    }
    let sum = |path: &str| {
        parts.deployments.iter().chain(&parts.sets).map(|d| d.int(path).unwrap_or(0)).sum::<i64>()
    };
    cluster.set(
        "status.workers",
        json!({"desiredReplicas": sum("spec.replicas"), "replicas": sum("status.replicas"),
        "readyReplicas": sum("status.readyReplicas"), "availableReplicas": sum("status.availableReplicas"),
        "upToDateReplicas": sum("status.upToDateReplicas")}),
    );
    let generation = cluster.int("metadata.generation").unwrap_or(1);
    cluster.set("status.observedGeneration", generation);
    let phase = match () {
        () if cluster.is_deleting() => "Deleting",
        () if cluster.flag("status.initialization.infrastructureProvisioned")
            && cluster.text_at("spec.controlPlaneEndpoint.host").is_some() =>
        {
            "Provisioned"
        }
        () if cluster.at("spec.infrastructureRef").is_object()
            || cluster.at("spec.controlPlaneRef").is_object() =>
        {
            "Provisioning"
        }
        () => "Pending",
    };
    cluster.set("status.phase", phase);
}

fn mirrored(
    kind: &'static str,
    of: &str,
    from: &str,
    object: Option<&Arc<Object>>,
    yes: &str,
    fallback: &str,
) -> Condition {
    let Some(object) = object else {
        return Condition::no(kind, "ObjectDoesNotExist", format!("{of} does not exist"));
    };
    match object.condition(from) {
        Some(known) if known.text("status") == "True" => Condition::yes(kind, yes),
        Some(known) => {
            let reason = known.text_at("reason").map_or_else(|| format!("Not{yes}"), str::to_owned);
            Condition::no(kind, &reason, known.text("message"))
        }
        None => Condition::no(kind, &format!("Not{yes}"), fallback),
    }
}

/// Sets the conditions.
fn report(scope: &Scope<'_>, cluster: &mut Object, parts: &Parts) {
    let mut set = |condition: Condition| conditions::set(cluster, &condition, &scope.now);
    let infrastructure = parts.infrastructure.as_ref();
    let fallback = "OpenStackCluster status.initialization.provisioned is false";
    set(mirrored("InfrastructureReady", "OpenStackCluster", "Ready", infrastructure, "Ready", fallback));
    let plane = parts.control_plane.as_ref();
    let initialized = plane.is_some_and(|plane| plane.flag("status.initialization.controlPlaneInitialized"));
    set(Condition::is(
        "ControlPlaneInitialized",
        initialized,
        "Initialized",
        "NotInitialized",
        "Control plane not yet initialized",
    ));
    set(mirrored(
        "ControlPlaneAvailable",
        "KubeadmControlPlane",
        "Available",
        plane,
        "Available",
        "Condition Available not yet reported from KubeadmControlPlane",
    ));
    set(replicas::about(&parts.control_plane_machines, "ControlPlaneMachinesReady", "Ready", "Ready"));
    set(replicas::about(
        &parts.control_plane_machines,
        "ControlPlaneMachinesUpToDate",
        "UpToDate",
        "UpToDate",
    ));
    set(replicas::about(&parts.workers, "WorkerMachinesReady", "Ready", "Ready"));
    set(replicas::about(&parts.workers, "WorkerMachinesUpToDate", "UpToDate", "UpToDate"));
    set(workers_available(&parts.deployments));
    let probe = scope
        .world
        .kubernetes()
        .workload(&scope.namespace, &scope.name)
        .is_some_and(|workload| workload.answers());
    set(Condition::is(
        "RemoteConnectionProbe",
        probe,
        "ProbeSucceeded",
        "ProbeFailed",
        "Remote connection not established yet",
    ));
    let owners: Vec<&Arc<Object>> = plane.into_iter().chain(&parts.deployments).collect();
    for (kind, yes, no) in [
        ("RollingOut", "RollingOut", "NotRollingOut"),
        ("ScalingUp", "ScalingUp", "NotScalingUp"),
        ("ScalingDown", "ScalingDown", "NotScalingDown"),
        ("Remediating", "Remediating", "NotRemediating"),
    ] {
        let lines: Vec<String> = owners
            .iter()
            .filter_map(|owner| {
                let condition = owner.condition(kind).filter(|c| c.text("status") == "True")?;
                Some(format!("* {} {}: {}", owner.text("kind"), owner.name(), condition.text("message")))
            })
            .collect();
        set(if lines.is_empty() {
            Condition::no(kind, no, "")
        } else {
            Condition::yes(kind, yes).message(lines.join("\n"))
        });
    }
    set(Condition::no("Paused", "NotPaused", ""));
    if !cluster.is_deleting() {
        conditions::set(cluster, &Condition::no("Deleting", "NotDeleting", ""), &scope.now);
    }
    summarize(cluster, &scope.now);
}

fn workers_available(deployments: &[Arc<Object>]) -> Condition {
    let kind = "WorkersAvailable";
    if deployments.is_empty() {
        return Condition::yes(kind, "NoWorkers");
    }
    let lines: Vec<String> = deployments
        .iter()
        .filter(|deployment| !deployment.is_condition_true("Available"))
        .map(|deployment| {
            let message = deployment
                .condition("Available")
                .map_or("Condition Available not yet reported", |c| c.text("message"));
            format!("* MachineDeployment {}: {message}", deployment.name())
        })
        .collect();
    Condition::is(kind, lines.is_empty(), "Available", "NotAvailable", lines.join("\n"))
}

/// `Available` from the others.
fn summarize(cluster: &mut Object, now: &str) {
    let kinds = [
        "Deleting",
        "RemoteConnectionProbe",
        "InfrastructureReady",
        "ControlPlaneAvailable",
        "WorkersAvailable",
    ];
    let mut lines = Vec::new();
    for kind in kinds {
        let Some(condition) = cluster.condition(kind) else { continue };
        let good = (condition.text("status") == "True") != (kind == "Deleting");
        if !good {
            let message = condition.text_at("message").unwrap_or(condition.text("reason"));
            let message = if message.starts_with("* ") {
                format!("\n  {}", message.replace('\n', "\n  "))
            } else {
                format!(" {message}")
            };
            lines.push(format!("* {kind}:{message}"));
        }
    }
    conditions::set(
        cluster,
        &Condition::is("Available", lines.is_empty(), "Available", "NotAvailable", lines.join("\n")),
        now,
    );
}

/// Workers first, then the control plane, then the infrastructure.
fn delete(scope: &Scope<'_>, parts: &Parts) -> Next {
    let say = |reason: &str, message: String| {
        scope.update(MANAGER, |cluster| {
            cluster.set("status.phase", "Deleting");
            take_over(cluster, parts);
            conditions::set(cluster, &Condition::yes("Deleting", reason).message(message), &scope.now);
            report(scope, cluster, parts);
        });
    };
    let mut left: Vec<String> = Vec::new();
    for (resource, objects) in
        [(ids::MACHINE_DEPLOYMENTS, &parts.deployments), (ids::MACHINE_SETS, &parts.sets)]
    {
        for object in objects {
            if !object.is_deleting() {
                scope.server.delete(resource, &scope.namespace, object.name());
            }
            left.push(format!("* {}s: {}", object.text("kind"), object.name()));
        }
    }
    for machine in &parts.workers {
        if machine.controller().is_none() && !machine.is_deleting() {
            scope.server.delete(ids::MACHINES, &scope.namespace, machine.name());
        }
    }
    if !parts.workers.is_empty() {
        let names: Vec<&str> = parts.workers.iter().map(|machine| machine.name()).collect();
        left.push(format!("* Worker Machines: {}", names.join(", ")));
    }
    if !left.is_empty() {
        say("WaitingForWorkersDeletion", left.join("\n"));
        return Next::Look(DELETING);
    }
    if let Some(plane) = &parts.control_plane {
        if !plane.is_deleting() {
            scope.server.delete(ids::CONTROL_PLANES, &scope.namespace, plane.name());
        }
        say("WaitingForControlPlaneDeletion", format!("* KubeadmControlPlane: {}", plane.name()));
        return Next::Look(DELETING);
    }
    if let Some(infrastructure) = &parts.infrastructure {
        if !infrastructure.is_deleting() {
            scope.server.delete(ids::OPENSTACK_CLUSTERS, &scope.namespace, infrastructure.name());
        }
        say("WaitingForInfrastructureDeletion", format!("* OpenStackCluster: {}", infrastructure.name()));
        return Next::Look(DELETING);
    }
    say("DeletionCompleted", "Deletion completed".to_owned());
    scope.world.kubernetes().remove_workload(&scope.namespace, &scope.name);
    scope.update(MANAGER, |cluster| cluster.remove_finalizer(FINALIZER));
    Next::Done
}
