//! `MachineHealthCheck`: machines whose node is lost are replaced.

use capstan_core::documents::CountOrPercent;
use serde_json::{Value, json};

use super::{CLUSTER_API, Input};

/// A health check over the machines with these labels, if the document wants any.
///
/// Only nodes of which nothing is heard count as unhealthy. A node that says itself that it isn't ready mostly lacks
/// its network plugin; replacing the machine would not bring it.
pub(super) fn object(input: Input<'_>, name: &str, labels: Value) -> Option<Value> {
    let checks = &input.spec.health_checks;
    if !checks.enabled {
        return None;
    }
    let limit = match checks.max_unhealthy {
        CountOrPercent::Count(count) => json!(count),
        CountOrPercent::Percent(percent) => json!(format!("{percent}%")),
    };
    let spec = json!({
        "clusterName": input.names.base(),
        "selector": { "matchLabels": labels },
        "checks": {
            "nodeStartupTimeoutSeconds": checks.node_startup_timeout_seconds,
            "unhealthyNodeConditions": [
                { "type": "Ready", "status": "Unknown", "timeoutSeconds": checks.unhealthy_timeout_seconds },
            ],
        },
        "remediation": { "triggerIf": { "unhealthyLessThanOrEqualTo": limit } },
    });
    Some(super::object(input, CLUSTER_API, "MachineHealthCheck", name, spec))
}
