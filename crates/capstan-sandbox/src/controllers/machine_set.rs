//! Cluster API's `MachineSet` controller.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::conditions::{self, Condition};
use super::ids;
use super::replicas::{self, Blueprint, Counts, version};
use super::scope::{CLUSTER_NAME, Next, Scope};
use crate::kubernetes::object::{Object, Read as _, Write as _};

/// The finalizer.
const FINALIZER: &str = "cluster.x-k8s.io/machineset";
const MANAGER: &str = "capi-machineset";
const SET_NAME: &str = "cluster.x-k8s.io/set-name";

/// How often a failed preflight check is repeated.
const PREFLIGHT: Duration = Duration::from_secs(15);

pub(super) fn reconcile(scope: &Scope<'_>, set: &Object) -> Next {
    let Some(cluster) = scope.cluster_of(set) else { return Next::Done };
    let machines = scope.machines(cluster.name(), |machine| machine.is_owned_by(set.uid()));
    if set.is_deleting() {
        for machine in machines.iter().filter(|machine| !machine.is_deleting()) {
            scope.server.delete(ids::MACHINES, &scope.namespace, machine.name());
        }
        if machines.is_empty() {
            scope.update(MANAGER, |set| set.remove_finalizer(FINALIZER));
        } else {
            report(scope, set, &cluster, &[]);
        }
        return Next::Done;
    }
    if !set.has_finalizer(FINALIZER) || set.label(CLUSTER_NAME).is_none() {
        scope.update(MANAGER, |set| {
            set.add_finalizer(FINALIZER);
            set.set_entry("metadata.labels", CLUSTER_NAME, cluster.name());
        });
    }
    mark_machines(scope, set, &machines);
    let alive: Vec<&Arc<Object>> = machines.iter().filter(|machine| !machine.is_deleting()).collect();
    let wanted = usize::try_from(set.int("spec.replicas").unwrap_or(1)).unwrap_or(0);
    let mut next = Next::Done;
    let mut blocked = Vec::new();
    if alive.len() < wanted {
        blocked = preflight(scope, set, &cluster);
        if blocked.is_empty() {
            (alive.len()..wanted).for_each(|_| add_machine(scope, set, &cluster));
        } else {
            next = Next::Look(PREFLIGHT);
        }
    }
    for machine in to_delete(set, &alive, alive.len().saturating_sub(wanted)) {
        scope.server.delete(ids::MACHINES, &scope.namespace, machine.name());
    }
    remediate(scope, &alive);
    report(scope, set, &cluster, &blocked);
    next
}

/// Whether machines may be made now: not while the control plane is being made or upgraded, nor ahead of its version.
fn preflight(scope: &Scope<'_>, set: &Object, cluster: &Object) -> Vec<String> {
    let mut failed = Vec::new();
    if set
        .annotation("machineset.cluster.x-k8s.io/skip-preflight-checks")
        .is_some_and(|skipped| skipped == "All")
    {
        return failed;
    }
    let Some(plane) = scope.get(ids::CONTROL_PLANES, cluster.text("spec.controlPlaneRef.name")) else {
        return failed;
    };
    let stable = |what: &str| {
        format!(
            "* KubeadmControlPlane {}/{} is {what} (\"ControlPlaneIsStable\" preflight check failed)",
            plane.namespace(),
            plane.name()
        )
    };
    let has = plane.text("status.version");
    if has.is_empty() {
        failed.push(stable("provisioning"));
        return failed;
    }
    if has != plane.text("spec.version") {
        failed.push(stable(&format!("upgrading to {}", plane.text("spec.version"))));
    }
    let wanted = set.text("spec.template.spec.version");
    let (plane_version, worker) = (version(has), version(wanted));
    if !wanted.is_empty()
        && worker > plane_version
        && (worker.0, worker.1) > (plane_version.0, plane_version.1)
    {
        failed.push(format!(
            "* MachineSet version ({wanted}) and ControlPlane version ({has}) do not conform to the kubernetes version skew policy as MachineSet version is higher than ControlPlane version (\"KubernetesVersionSkew\" preflight check failed)"
        ));
    }
    failed
}

fn add_machine(scope: &Scope<'_>, set: &Object, cluster: &Object) {
    let template = set.at("spec.template");
    let config_template = template.text("spec.bootstrap.configRef.name");
    let Some(config) = scope.get(ids::KUBEADM_CONFIG_TEMPLATES, config_template) else { return };
    let mut labels = if template.at("metadata.labels").is_object() {
        template.at("metadata.labels").clone()
    } else {
        json!({})
    };
    labels[SET_NAME] = set.name().into();
    let annotations = if template.at("metadata.annotations").is_object() {
        template.at("metadata.annotations").clone()
    } else {
        json!({})
    };
    let blueprint = Blueprint {
        owner: set,
        manager: MANAGER,
        name: format!("{}-{}", set.name(), scope.world.ids().suffix(5)),
        labels,
        annotations,
        cluster: cluster.name(),
        version: template.text("spec.version"),
        failure_domain: template.text_at("spec.failureDomain"),
        infrastructure: template.at("spec.infrastructureRef"),
        bootstrap: config.at("spec.template.spec").clone(),
        bootstrap_template: Some(config_template),
        more: template.at("spec"),
    };
    blueprint.build(scope);
}

/// The machines to delete: those that are asked for, that never came up, that are unhealthy; then in the order of the policy.
fn to_delete<'m>(set: &Object, alive: &[&'m Arc<Object>], count: usize) -> Vec<&'m Arc<Object>> {
    let mut order: Vec<&Arc<Object>> = alive.to_vec();
    let policy = set.text("spec.deletion.order");
    order.sort_by_key(|machine| {
        let rank = match () {
            () if machine.annotation("cluster.x-k8s.io/delete-machine").is_some() => 0,
            () if machine.condition("OwnerRemediated").is_some_and(|c| c.text("status") == "False") => 1,
            () if !machine.at("status.nodeRef").is_object() => 2,
            () if !machine.is_condition_true("NodeHealthy") => 3,
            () => 4,
        };
        (rank, machine.text("metadata.creationTimestamp").to_owned(), machine.name().to_owned())
    });
    if policy == "Newest" {
        order.reverse();
        order.sort_by_key(|machine| machine.annotation("cluster.x-k8s.io/delete-machine").is_none());
    }
    order.truncate(count);
    order
}

/// Replaces machines that a health check has marked.
fn remediate(scope: &Scope<'_>, alive: &[&Arc<Object>]) {
    let marked = |machine: &&&Arc<Object>| {
        machine.condition("OwnerRemediated").is_some_and(|c| c.text("status") == "False")
    };
    for machine in alive.iter().filter(marked) {
        scope.server.delete(ids::MACHINES, &scope.namespace, machine.name());
    }
}

fn mark_machines(scope: &Scope<'_>, set: &Object, machines: &[Arc<Object>]) {
    let deployment =
        set.controller().and_then(|owner| scope.get(ids::MACHINE_DEPLOYMENTS, owner.text("name")));
    for machine in machines.iter().filter(|machine| !machine.is_deleting()) {
        let mut reasons = Vec::new();
        if let Some(deployment) = &deployment {
            let (has, wanted) = (machine.text("spec.version"), deployment.text("spec.template.spec.version"));
            if has != wanted {
                reasons.push(format!("Version {has}, {wanted} required"));
            }
            let wanted = deployment.at("spec.template.spec");
            let ours = set.at("spec.template.spec");
            if ours.at("bootstrap") != wanted.at("bootstrap") {
                reasons.push("KubeadmConfig is not up-to-date".to_owned());
            }
            if ours.at("infrastructureRef") != wanted.at("infrastructureRef") {
                reasons.push("OpenStackMachine is not up-to-date".to_owned());
            }
            if ours.at("failureDomain") != wanted.at("failureDomain") {
                reasons.push("Failure domain is not up-to-date".to_owned());
            }
        }
        replicas::mark_up_to_date(scope, machine, MANAGER, &reasons);
    }
}

fn report(scope: &Scope<'_>, set: &Object, cluster: &Object, blocked: &[String]) {
    let machines = scope.machines(cluster.name(), |machine| machine.is_owned_by(set.uid()));
    let counts = Counts::of(&machines);
    scope.update(MANAGER, |set| {
        counts.write(set, "status");
        let generation = set.int("metadata.generation").unwrap_or(1);
        set.set("status.observedGeneration", generation);
        set.set("status.fullyLabeledReplicas", counts.all);
        let selector: Vec<String> = set
            .entries("spec.selector.matchLabels")
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        set.set("status.selector", selector.join(","));
        let now = &scope.now;
        let because = if blocked.is_empty() {
            String::new()
        } else {
            format!(" is blocked because:\n{}", blocked.join("\n"))
        };
        let wanted = if set.is_deleting() { 0 } else { set.int("spec.replicas").unwrap_or(1) };
        replicas::scaling(set, now, counts.all, wanted, &because);
        conditions::set(set, &replicas::about(&machines, "MachinesReady", "Ready", "Ready"), now);
        conditions::set(set, &replicas::about(&machines, "MachinesUpToDate", "UpToDate", "UpToDate"), now);
        conditions::set(set, &Condition::no("Remediating", "NotRemediating", ""), now);
        conditions::set(set, &Condition::no("Paused", "NotPaused", ""), now);
        let deleting = match set.is_deleting() {
            true => {
                Condition::yes("Deleting", "Deleting").message(format!("Deleting {} Machines", counts.all))
            }
            false => Condition::no("Deleting", "NotDeleting", ""),
        };
        conditions::set(set, &deleting, now);
    });
}
