//! Workloads: nothing runs, so that what should run does at once.

use std::sync::Arc;

use serde_json::{Value, json};

use super::node;
use super::queue::{Item, Origin};
use super::scope::{Next, Scope};
use crate::kubernetes::api::ApiServer;
use crate::kubernetes::object::{Read as _, Write as _};

const MANAGER: &str = "kube-controller-manager";

/// Where the object is.
fn server(scope: &Scope<'_>) -> Option<Arc<ApiServer>> {
    match &scope.origin {
        Origin::Management => Some(Arc::clone(scope.world.kubernetes().management())),
        Origin::Workload(..) => node::workload_of(scope).map(|(workload, _)| workload.server),
    }
}

/// A DaemonSet runs on every node; the cloud controller manager's has every node looked at.
pub(super) fn reconcile_daemon_set(scope: &Scope<'_>) -> Next {
    let Some(server) = server(scope) else { return Next::Done };
    let nodes = server.list("nodes", "");
    let count = i64::try_from(nodes.len()).unwrap_or(0);
    server.modify("daemonsets.apps", &scope.namespace, &scope.name, MANAGER, |set| {
        let generation = set.int("metadata.generation").unwrap_or(1);
        set.set("status.observedGeneration", generation);
        for field in [
            "desiredNumberScheduled",
            "currentNumberScheduled",
            "numberReady",
            "numberAvailable",
            "updatedNumberScheduled",
        ] {
            set.set(&format!("status.{field}"), count);
        }
        set.set("status.numberMisscheduled", 0);
    });
    if scope.name == node::CLOUD_CONTROLLER && scope.origin != Origin::Management {
        for node in nodes {
            let item = Item {
                origin: scope.origin.clone(),
                resource: "nodes".to_owned(),
                namespace: String::new(),
                name: node.name().to_owned(),
            };
            scope.world.kubernetes().queue().push(item);
        }
    }
    Next::Done
}

/// A Deployment is available at once.
pub(super) fn reconcile_deployment(scope: &Scope<'_>) -> Next {
    let Some(server) = server(scope) else { return Next::Done };
    server.modify("deployments.apps", &scope.namespace, &scope.name, MANAGER, |deployment| {
        let replicas = deployment.int("spec.replicas").unwrap_or(1);
        let generation = deployment.int("metadata.generation").unwrap_or(1);
        deployment.set("status.observedGeneration", generation);
        for field in ["replicas", "readyReplicas", "availableReplicas", "updatedReplicas"] {
            deployment.set(&format!("status.{field}"), replicas);
        }
        if deployment.condition("Available").is_none() {
            deployment.set("status.conditions", conditions(&scope.now));
        }
    });
    Next::Done
}

/// The conditions of a Deployment whose pods run.
pub(super) fn conditions(now: &str) -> Vec<Value> {
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": "True", "reason": reason, "message": message,
               "lastUpdateTime": now, "lastTransitionTime": now})
    };
    vec![
        condition("Available", "MinimumReplicasAvailable", "Deployment has minimum availability."),
        condition("Progressing", "NewReplicaSetAvailable", "ReplicaSet has successfully progressed."),
    ]
}
