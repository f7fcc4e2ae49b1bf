//! Cluster API's `MachineHealthCheck` controller: marks machines whose node is unhealthy for too long; their owners replace them.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::conditions::{self, Condition};
use super::ids;
use super::scope::{Next, Scope};
use crate::kubernetes::object::{Object, Read as _, Write as _, owner_reference};
use crate::kubernetes::selectors::selects;

const MANAGER: &str = "capi-machinehealthcheck";

/// How long a node may take to appear if the check doesn't say.
const NODE_STARTUP: u64 = 600;

/// Whether a machine is healthy, and when it is to be looked at again.
enum Health {
    Healthy(Option<Duration>),
    Unhealthy(&'static str, String),
}

pub(super) fn reconcile(scope: &Scope<'_>, check: &Object) -> Next {
    let Some(cluster) = scope.cluster_of(check) else { return Next::Done };
    if check.is_deleting() {
        return Next::Done;
    }
    let machines = scope.machines(cluster.name(), |machine| {
        selects(check.at("spec.selector"), machine) && !machine.is_deleting()
    });
    let initialized = cluster.is_condition_true("ControlPlaneInitialized");
    let mut next = Next::Done;
    let mut unhealthy = Vec::new();
    for machine in &machines {
        match health(scope, check, machine, initialized) {
            Health::Healthy(Some(left)) => next = next.or(Next::Act(left)),
            Health::Healthy(None) => {}
            Health::Unhealthy(reason, message) => {
                unhealthy.push((machine.name().to_owned(), reason, message))
            }
        }
    }
    let limit = limit(check, machines.len());
    let allowed = unhealthy.len() <= limit;
    for machine in &machines {
        let found = unhealthy.iter().find(|(name, ..)| name == machine.name());
        scope.server.modify(
            ids::MACHINES,
            &scope.namespace,
            machine.name(),
            MANAGER,
            |machine| match found {
                None => conditions::set(
                    machine,
                    &Condition::yes("HealthCheckSucceeded", "HealthCheckSucceeded"),
                    &scope.now,
                ),
                Some((_, reason, message)) => {
                    conditions::set(
                        machine,
                        &Condition::no("HealthCheckSucceeded", reason, message.clone()),
                        &scope.now,
                    );
                    if allowed {
                        let waiting = "Waiting for remediation";
                        conditions::set(
                            machine,
                            &Condition::no("OwnerRemediated", "WaitingForRemediation", waiting),
                            &scope.now,
                        );
                    }
                }
            },
        );
    }
    scope.update(MANAGER, |check| {
        check.add_owner(owner_reference(&cluster));
        check.set("status.expectedMachines", machines.len());
        check.set("status.currentHealthy", machines.len() - unhealthy.len());
        check.set("status.remediationsAllowed", limit.saturating_sub(unhealthy.len()));
        check.set("status.targets", machines.iter().map(|machine| machine.name().into()).collect::<Vec<Value>>());
        let generation = check.int("metadata.generation").unwrap_or(1);
        check.set("status.observedGeneration", generation);
        let message = format!("Remediation is not allowed, the number of not started or unhealthy machines exceeds maxUnhealthy (total: {}, unhealthy: {}, maxUnhealthy: {limit})", machines.len(), unhealthy.len());
        conditions::set(check, &Condition::is("RemediationAllowed", allowed, "RemediationAllowed", "TooManyUnhealthy", message), &scope.now);
        conditions::set(check, &Condition::no("Paused", "NotPaused", ""), &scope.now);
    });
    next
}

/// How many machines may be unhealthy.
fn limit(check: &Object, machines: usize) -> usize {
    match check.at("spec.remediation.triggerIf.unhealthyLessThanOrEqualTo") {
        Value::Number(number) => number.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(machines),
        Value::String(text) => {
            text.trim_end_matches('%').parse::<usize>().map_or(machines, |percent| machines * percent / 100)
        }
        _ => machines,
    }
}

fn health(scope: &Scope<'_>, check: &Object, machine: &Object, initialized: bool) -> Health {
    if machine.annotation("cluster.x-k8s.io/remediate-machine").is_some() {
        return Health::Unhealthy(
            "HasRemediateAnnotation",
            "Health check failed: marked for remediation via cluster.x-k8s.io/remediate-machine annotation"
                .to_owned(),
        );
    }
    let elapsed = |since: &str| {
        let since = since.parse::<Timestamp>().unwrap_or(Timestamp::MAX);
        Duration::try_from(scope.world.now().duration_since(since)).unwrap_or_default()
    };
    if !machine.at("status.nodeRef").is_object() {
        let startup = check.at("spec.checks.nodeStartupTimeoutSeconds").as_u64().unwrap_or(NODE_STARTUP);
        if startup == 0 || !initialized {
            return Health::Healthy(None);
        }
        let left =
            Duration::from_secs(startup).saturating_sub(elapsed(machine.text("metadata.creationTimestamp")));
        if left.is_zero() {
            return Health::Unhealthy(
                "NodeStartupTimeout",
                format!("Health check failed: Node failed to report startup in {startup}s"),
            );
        }
        return Health::Healthy(Some(left));
    }
    let workload = scope.world.kubernetes().workload(&scope.namespace, machine.text("spec.clusterName"));
    let node =
        workload.and_then(|workload| workload.server.get("nodes", "", machine.text("status.nodeRef.name")));
    let Some(node) = node else {
        return Health::Unhealthy(
            "NodeDeleted",
            format!("Health check failed: Node {} has been deleted", machine.text("status.nodeRef.name")),
        );
    };
    let mut soonest: Option<Duration> = None;
    for wanted in check.items("spec.checks.unhealthyNodeConditions") {
        let Some(condition) =
            node.condition(wanted.text("type")).filter(|c| c.at("status") == wanted.at("status"))
        else {
            continue;
        };
        let timeout = wanted.at("timeoutSeconds").as_u64().unwrap_or(0);
        let left = Duration::from_secs(timeout).saturating_sub(elapsed(condition.text("lastTransitionTime")));
        if left.is_zero() {
            let (kind, status) = (wanted.text("type"), wanted.text("status"));
            return Health::Unhealthy(
                "UnhealthyNode",
                format!(
                    "Health check failed: Condition {kind} on Node is reporting status {status} for more than {timeout}s"
                ),
            );
        }
        soonest = Some(soonest.map_or(left, |known| known.min(left)));
    }
    Health::Healthy(soonest)
}
