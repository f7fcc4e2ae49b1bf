//! Cluster API's `MachineDeployment` controller: a MachineSet per template, and rollouts between them.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::conditions::{self, Condition};
use super::ids;
use super::replicas::{self, Counts};
use super::scope::{CLUSTER_NAME, Next, Scope};
use crate::kubernetes::object::{Object, Read as _, Write as _, controller_reference, owner_reference};

const FINALIZER: &str = "cluster.x-k8s.io/machinedeployment";
const MANAGER: &str = "capi-machinedeployment";
const DEPLOYMENT_NAME: &str = "cluster.x-k8s.io/deployment-name";
const TEMPLATE_HASH: &str = "machine-template-hash";
const REVISION: &str = "machinedeployment.clusters.x-k8s.io/revision";

pub(super) fn reconcile(scope: &Scope<'_>, deployment: &Object) -> Next {
    let Some(cluster) = scope.cluster_of(deployment) else { return Next::Done };
    let mut sets = scope.list(ids::MACHINE_SETS, |set| set.is_owned_by(deployment.uid()));
    sets.sort_by_key(|set| (revision(set), set.name().to_owned()));
    if deployment.is_deleting() {
        for set in sets.iter().filter(|set| !set.is_deleting()) {
            scope.server.delete(ids::MACHINE_SETS, &scope.namespace, set.name());
        }
        if sets.is_empty() {
            scope.update(MANAGER, |deployment| deployment.remove_finalizer(FINALIZER));
        } else {
            report(scope, deployment, &cluster);
        }
        return Next::Done;
    }
    if !deployment.has_finalizer(FINALIZER) || !deployment.is_owned_by(cluster.uid()) {
        scope.update(MANAGER, |deployment| {
            deployment.add_finalizer(FINALIZER);
            deployment.add_owner(owner_reference(&cluster));
            deployment.set_entry("metadata.labels", CLUSTER_NAME, cluster.name());
        });
        return Next::Done;
    }
    let current = sets.iter().find(|set| !set.is_deleting() && same_template(set, deployment)).cloned();
    match current {
        None => make_set(scope, deployment, &cluster, &sets),
        Some(current) => {
            follow_in_place(scope, deployment, &current);
            roll(scope, deployment, &current, &sets);
        }
    }
    report(scope, deployment, &cluster);
    Next::Done
}

fn revision(set: &Object) -> u64 {
    set.annotation(REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Only these make a machine another one; everything else is changed in place.
fn same_template(set: &Object, deployment: &Object) -> bool {
    let fields = ["clusterName", "bootstrap", "infrastructureRef", "version", "failureDomain"];
    fields
        .iter()
        .all(|field| set.at("spec.template.spec").at(field) == deployment.at("spec.template.spec").at(field))
}

fn hash(deployment: &Object) -> String {
    let spec = deployment.at("spec.template.spec");
    let mut rolled = json!({});
    for field in ["clusterName", "bootstrap", "infrastructureRef", "version", "failureDomain"] {
        rolled[field] = spec.at(field).clone();
    }
    let digest = Sha256::digest(rolled.to_string());
    // Ten digits, as the real hash has at most.
    digest.iter().take(5).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)).to_string()
}

fn make_set(scope: &Scope<'_>, deployment: &Object, cluster: &Object, sets: &[Arc<Object>]) {
    let hash = hash(deployment);
    let mut labels = if deployment.at("spec.template.metadata.labels").is_object() {
        deployment.at("spec.template.metadata.labels").clone()
    } else {
        json!({})
    };
    labels[CLUSTER_NAME] = cluster.name().into();
    labels[DEPLOYMENT_NAME] = deployment.name().into();
    labels[TEMPLATE_HASH] = hash.clone().into();
    let mut selector = deployment.at("spec.selector").clone();
    selector.set_entry("matchLabels", TEMPLATE_HASH, hash);
    let mut template = deployment.at("spec.template").clone();
    template.set("metadata.labels", labels.clone());
    let next = sets.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
    let wanted = deployment.int("spec.replicas").unwrap_or(1);
    let running: i64 = sets.iter().map(|set| set.int("spec.replicas").unwrap_or(0)).sum();
    let (surge, _) = strategy(deployment);
    let replicas = if sets.is_empty() { wanted } else { (wanted + surge - running).clamp(0, wanted) };
    let mut set = json!({"metadata": {"name": format!("{}-{}", deployment.name(), scope.world.ids().suffix(5)), "namespace": scope.namespace,
            "labels": labels, "annotations": {REVISION: next.to_string()}, "ownerReferences": [controller_reference(deployment)]},
        "spec": {"clusterName": cluster.name(), "replicas": replicas, "selector": selector, "template": template}});
    if deployment.at("spec.deletion").is_object() {
        set["spec"]["deletion"] = deployment["spec"]["deletion"].clone();
    }
    scope.create(ids::MACHINE_SETS, MANAGER, set);
    scope.update(MANAGER, |deployment| {
        deployment.set_entry("metadata.annotations", REVISION, next.to_string())
    });
}

/// Labels, annotations and what else needs no new machine goes down to the MachineSet and its machines.
fn follow_in_place(scope: &Scope<'_>, deployment: &Object, set: &Object) {
    let wanted = deployment.at("spec.template");
    let hash = set.label(TEMPLATE_HASH).unwrap_or_default().to_owned();
    scope.server.modify(ids::MACHINE_SETS, &scope.namespace, set.name(), MANAGER, |set| {
        let mut labels = if wanted.at("metadata.labels").is_object() {
            wanted.at("metadata.labels").clone()
        } else {
            json!({})
        };
        for key in [CLUSTER_NAME, DEPLOYMENT_NAME] {
            if let Some(value) = set.label(key) {
                labels[key] = value.into();
            }
        }
        labels[TEMPLATE_HASH] = hash.into();
        set.set("spec.template.metadata.labels", labels);
        for field in ["deletion", "minReadySeconds", "readinessGates", "taints"] {
            match wanted.at("spec").at(field) {
                Value::Null => drop(set.unset(&format!("spec.template.spec.{field}"))),
                value => set.set(&format!("spec.template.spec.{field}"), value.clone()),
            }
        }
    });
}

/// `maxSurge` and `maxUnavailable`; percentages are of the replicas.
fn strategy(deployment: &Object) -> (i64, i64) {
    let replicas = deployment.int("spec.replicas").unwrap_or(1);
    let count = |field: &str, default: i64, up: bool| {
        let value = deployment.at("spec.rollout.strategy.rollingUpdate").at(field);
        let percent = value.as_str().and_then(|text| text.trim_end_matches('%').parse::<i64>().ok());
        match (value.as_i64(), percent) {
            (Some(number), _) => number,
            (None, Some(percent)) => (replicas * percent + if up { 99 } else { 0 }) / 100,
            (None, None) => default,
        }
    };
    match (count("maxSurge", 1, true), count("maxUnavailable", 0, false)) {
        (0, 0) => (0, 1),
        other => other,
    }
}

fn resize(scope: &Scope<'_>, set: &Object, replicas: i64) {
    scope.server.modify(ids::MACHINE_SETS, &scope.namespace, set.name(), MANAGER, |set| {
        set.set("spec.replicas", replicas)
    });
}

/// One step of a rollout: the new set grows within the surge, the old ones shrink as far as availability allows.
fn roll(scope: &Scope<'_>, deployment: &Object, current: &Arc<Object>, sets: &[Arc<Object>]) {
    let wanted = deployment.int("spec.replicas").unwrap_or(1);
    let old: Vec<&Arc<Object>> =
        sets.iter().filter(|set| set.name() != current.name() && !set.is_deleting()).collect();
    let size = |set: &Object| set.int("spec.replicas").unwrap_or(0);
    let old_total: i64 = old.iter().map(|set| size(set)).sum();
    if deployment.text("spec.rollout.strategy.type") == "OnDelete" && old_total > 0 {
        let existing: i64 = old.iter().map(|set| set.int("status.replicas").unwrap_or(0)).sum();
        for set in &old {
            resize(scope, set, set.int("status.replicas").unwrap_or(0).min(size(set)));
        }
        resize(scope, current, (wanted - existing).max(0));
        return;
    }
    let (surge, unavailable) = strategy(deployment);
    if old_total == 0 {
        if size(current) != wanted {
            resize(scope, current, wanted);
        }
    } else {
        let room = (wanted + surge - old_total - size(current)).max(0);
        let grown = (size(current) + room).min(wanted);
        if grown != size(current) {
            resize(scope, current, grown);
        }
        let available: i64 = sets.iter().map(|set| set.int("status.availableReplicas").unwrap_or(0)).sum();
        // Machines that never became available don't count: they may go at once.
        let mut spare = available - (wanted - unavailable);
        for set in &old {
            let broken = size(set) - set.int("status.availableReplicas").unwrap_or(0).min(size(set));
            let removed = (broken + spare.max(0)).min(size(set)).max(0);
            if removed > 0 {
                spare -= removed - broken.min(removed);
                resize(scope, set, size(set) - removed);
            }
        }
    }
    for set in old.iter().filter(|set| size(set) == 0 && set.int("status.replicas").unwrap_or(0) == 0) {
        // The real controller keeps none of the old sets, either.
        scope.server.delete(ids::MACHINE_SETS, &scope.namespace, set.name());
    }
}

fn report(scope: &Scope<'_>, deployment: &Object, cluster: &Object) {
    let sets = scope.list(ids::MACHINE_SETS, |set| set.is_owned_by(deployment.uid()));
    let machines =
        scope.machines(cluster.name(), |machine| sets.iter().any(|set| machine.is_owned_by(set.uid())));
    let counts = Counts::of(&machines);
    let (_, unavailable) = strategy(deployment);
    scope.update(MANAGER, |deployment| {
        let now = &scope.now;
        let wanted = if deployment.is_deleting() { 0 } else { deployment.int("spec.replicas").unwrap_or(1) };
        counts.write(deployment, "status");
        let generation = deployment.int("metadata.generation").unwrap_or(1);
        deployment.set("status.observedGeneration", generation);
        let selector: Vec<String> = deployment.entries("spec.selector.matchLabels").map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
        deployment.set("status.selector", selector.join(","));
        let outdated = counts.all - counts.up_to_date;
        let phase = match () {
            () if counts.all < wanted => "ScalingUp",
            () if counts.all > wanted => "ScalingDown",
            () => "Running",
        };
        deployment.set("status.phase", phase);
        let enough = counts.available >= wanted - unavailable;
        let message = format!("{} available replicas, at least {} required (spec.strategy.rollout.maxUnavailable is {unavailable}, spec.replicas is {wanted})", counts.available, wanted - unavailable);
        conditions::set(deployment, &Condition::is("Available", enough, "Available", "NotAvailable", message), now);
        conditions::set(deployment, &replicas::about(&machines, "MachinesReady", "Ready", "Ready"), now);
        conditions::set(deployment, &replicas::about(&machines, "MachinesUpToDate", "UpToDate", "UpToDate"), now);
        let rolling = match outdated {
            0 => Condition::no("RollingOut", "NotRollingOut", ""),
            count => Condition::yes("RollingOut", "RollingOut").message(format!("Rolling out {count} not up-to-date replicas")),
        };
        conditions::set(deployment, &rolling, now);
        let because = sets.iter().find_map(|set| set.condition("ScalingUp").and_then(|c| c.text("message").split_once(" is blocked").map(|(_, why)| format!(" is blocked{why}"))));
        replicas::scaling(deployment, now, counts.all, wanted, &because.unwrap_or_default());
        conditions::set(deployment, &Condition::no("Remediating", "NotRemediating", ""), now);
        conditions::set(deployment, &Condition::no("Paused", "NotPaused", ""), now);
        let deleting = match deployment.is_deleting() {
            true => Condition::yes("Deleting", "Deleting").message(format!("Deleting {} Machines", counts.all)),
            false => Condition::no("Deleting", "NotDeleting", ""),
        };
        conditions::set(deployment, &deleting, now);
    });
}
