//! The status of a workload cluster, as its custom resource carries it and `status` shows it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a cluster is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClusterPhase {
    /// Nothing has been done for it yet.
    #[default]
    Pending,
    /// What it needs is being made for the first time.
    Provisioning,
    /// It is there and as wanted.
    Available,
    /// It is there and being changed.
    Updating,
    /// It was there, and something of it is not well.
    Degraded,
    /// It is being taken away.
    Deleting,
}

/// Status of a condition, in Kubernetes' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It doesn't.
    False,
    /// Nobody knows.
    Unknown,
}

/// A condition of a workload cluster. [`condition_type`] names those of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the condition is about, in CamelCase.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub condition_type: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in one word in CamelCase.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Why, in a sentence.
    #[serde(default)]
    pub message: String,
    /// When `status` became what it is, in RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// The generation of the specification that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// The types of the conditions of a workload cluster.
pub mod condition_type {
    /// The cluster is there and as wanted.
    pub const AVAILABLE: &str = "Available";
    /// The OpenStack provider has made network and API endpoint.
    pub const INFRASTRUCTURE: &str = "InfrastructureReady";
    /// The first control plane machine answers.
    pub const CONTROL_PLANE_INITIALIZED: &str = "ControlPlaneInitialized";
}

/// How many machines of a group there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupStatus {
    /// `control-plane`, or the node group's name.
    pub name: String,
    /// How many are wanted.
    pub desired: u32,
    /// How many nodes are ready.
    pub ready: u32,
    /// How many machines are as the specification says.
    pub up_to_date: u32,
}

/// Status of a workload cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadClusterStatus {
    /// Where the cluster is in its life.
    pub phase: ClusterPhase,
    /// The Kubernetes release that all its machines run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Nodes that are ready, of those wanted: `3/5`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nodes: String,
    /// Address of the API server, `HOST:PORT`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
    /// The machines of each group, the control plane's first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub groups: Vec<GroupStatus>,
    /// What is known in detail.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of the specification that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

impl WorkloadClusterStatus {
    /// The condition of that type.
    #[must_use]
    pub fn condition(&self, condition_type: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.condition_type == condition_type)
    }

    /// Whether the condition of that type holds.
    #[must_use]
    pub fn holds(&self, condition_type: &str) -> bool {
        self.condition(condition_type).is_some_and(|condition| condition.status == ConditionStatus::True)
    }

    /// Puts a condition in, or in the place of the one of its type. The time of the last transition is kept where the
    /// status stays the same, so that writing the same again changes nothing.
    pub fn set_condition(&mut self, mut condition: Condition) {
        match self.conditions.iter_mut().find(|known| known.condition_type == condition.condition_type) {
            Some(known) => {
                if known.status == condition.status {
                    condition.last_transition_time.clone_from(&known.last_transition_time);
                }
                *known = condition;
            }
            None => self.conditions.push(condition),
        }
    }

    /// Sets the groups, and `nodes` from their sums.
    pub fn set_groups(&mut self, groups: Vec<GroupStatus>) {
        let ready: u32 = groups.iter().map(|group| group.ready).sum();
        let desired: u32 = groups.iter().map(|group| group.desired).sum();
        self.nodes = format!("{ready}/{desired}");
        self.groups = groups;
    }
}

impl fmt::Display for ClusterPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "Pending",
            Self::Provisioning => "Provisioning",
            Self::Available => "Available",
            Self::Updating => "Updating",
            Self::Degraded => "Degraded",
            Self::Deleting => "Deleting",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(status: ConditionStatus, time: &str) -> Condition {
        Condition {
            condition_type: condition_type::INFRASTRUCTURE.into(),
            status,
            reason: "Reason".into(),
            message: String::new(),
            last_transition_time: time.into(),
            observed_generation: None,
        }
    }

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays() {
        let mut status = WorkloadClusterStatus::default();
        status.set_condition(condition(ConditionStatus::False, "2026-01-01T00:00:00Z"));
        status.set_condition(condition(ConditionStatus::False, "2026-01-02T00:00:00Z"));
        assert_eq!(status.conditions[0].last_transition_time, "2026-01-01T00:00:00Z");
        assert!(!status.holds(condition_type::INFRASTRUCTURE));
        status.set_condition(condition(ConditionStatus::True, "2026-01-03T00:00:00Z"));
        assert_eq!(status.conditions[0].last_transition_time, "2026-01-03T00:00:00Z");
        assert!(status.holds(condition_type::INFRASTRUCTURE));
        assert_eq!(status.conditions.len(), 1);
    }

    #[test]
    fn nodes_are_the_sum_of_the_groups() {
        let mut status = WorkloadClusterStatus::default();
        let group =
            |name: &str, desired, ready| GroupStatus { name: name.into(), desired, ready, up_to_date: 0 };
        status.set_groups(vec![group("control-plane", 3, 3), group("default", 2, 1)]);
        assert_eq!(status.nodes, "4/5");
    }
}
