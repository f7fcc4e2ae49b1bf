//! What machines have in common as somebody's replicas: counting them, conditions about them, and making one.

use std::sync::Arc;

use serde_json::{Value, json};

use super::conditions::{self, Condition};
use super::scope::{CLUSTER_NAME, Scope};
use super::{ids, machine};
use crate::kubernetes::object::{Object, Read as _, Write as _, controller_reference};

/// Machines, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) all: i64,
    pub(super) ready: i64,
    pub(super) available: i64,
    pub(super) up_to_date: i64,
}

impl Counts {
    pub(super) fn of(machines: &[Arc<Object>]) -> Self {
        let count = |kind: &str| {
            i64::try_from(machines.iter().filter(|m| m.is_condition_true(kind)).count()).unwrap_or(0)
        };
        Self {
            all: i64::try_from(machines.len()).unwrap_or(0),
            ready: count("Ready"),
            available: count("Available"),
            up_to_date: count("UpToDate"),
        }
    }

    /// Writes the counts under a path.
    pub(super) fn write(self, object: &mut Object, path: &str) {
        object.set(&format!("{path}.replicas"), self.all);
        object.set(&format!("{path}.readyReplicas"), self.ready);
        object.set(&format!("{path}.availableReplicas"), self.available);
        object.set(&format!("{path}.upToDateReplicas"), self.up_to_date);
    }
}

/// `MachinesReady`, `MachinesUpToDate`, or the names that a Cluster gives them.
pub(super) fn about(machines: &[Arc<Object>], kind: &'static str, of: &str, yes: &str) -> Condition {
    if machines.is_empty() {
        return Condition::yes(kind, "NoReplicas");
    }
    let (mut lines, mut unknown) = (Vec::new(), true);
    for machine in machines.iter().filter(|machine| !machine.is_condition_true(of)) {
        let known = machine.condition(of);
        unknown &= known.is_none_or(|c| c.text("status") == "Unknown");
        let message = known
            .map_or_else(|| format!("Condition {of} not yet reported"), |c| c.text("message").to_owned());
        // The bullets of a machine's own message are indented below its line.
        let message = if message.starts_with("* ") {
            format!("\n  {}", message.replace('\n', "\n  "))
        } else {
            format!(" {message}")
        };
        lines.push(format!("* Machine {}:{message}", machine.name()));
    }
    if lines.is_empty() {
        Condition::yes(kind, yes)
    } else if unknown {
        Condition::unknown(kind, &format!("{yes}Unknown"), lines.join("\n"))
    } else {
        Condition::no(kind, &format!("Not{yes}"), lines.join("\n"))
    }
}

/// `ScalingUp` and `ScalingDown`.
pub(super) fn scaling(object: &mut Object, now: &str, current: i64, wanted: i64, blocked: &str) {
    let up = match wanted > current {
        true => Condition::yes("ScalingUp", "ScalingUp")
            .message(format!("Scaling up from {current} to {wanted} replicas{blocked}")),
        false => Condition::no("ScalingUp", "NotScalingUp", ""),
    };
    let down = match wanted < current {
        true => Condition::yes("ScalingDown", "ScalingDown")
            .message(format!("Scaling down from {current} to {wanted} replicas")),
        false => Condition::no("ScalingDown", "NotScalingDown", ""),
    };
    conditions::set(object, &up, now);
    conditions::set(object, &down, now);
}

/// What a new machine is made from.
pub(super) struct Blueprint<'a> {
    /// Who makes it, and owns it.
    pub(super) owner: &'a Object,
    /// Field manager.
    pub(super) manager: &'static str,
    pub(super) name: String,
    pub(super) labels: Value,
    pub(super) annotations: Value,
    pub(super) cluster: &'a str,
    pub(super) version: &'a str,
    pub(super) failure_domain: Option<&'a str>,
    /// `infrastructureRef` of the owner: a template.
    pub(super) infrastructure: &'a Value,
    /// Specification of the KubeadmConfig.
    pub(super) bootstrap: Value,
    /// Name of the KubeadmConfigTemplate, if there is one.
    pub(super) bootstrap_template: Option<&'a str>,
    /// `deletion`, `readinessGates`, ... of the owner's machine template.
    pub(super) more: &'a Value,
}

impl Blueprint<'_> {
    /// Makes the machine with its bootstrap configuration and infrastructure. Nothing is made if the template is missing.
    pub(super) fn build(self, scope: &Scope<'_>) -> Option<Arc<Object>> {
        let template_name = self.infrastructure.text("name");
        let template = scope.get(ids::OPENSTACK_MACHINE_TEMPLATES, template_name)?;
        let mut labels = self.labels.clone();
        labels[CLUSTER_NAME] = self.cluster.into();
        let mut metadata = json!({"name": self.name, "namespace": scope.namespace, "labels": labels, "annotations": self.annotations});
        metadata["ownerReferences"] = json!([controller_reference(self.owner)]);

        let cloned = |name: &str, group_kind: &str| {
            let mut metadata = metadata.clone();
            metadata.set_entry("annotations", "cluster.x-k8s.io/cloned-from-name", name);
            metadata.set_entry("annotations", "cluster.x-k8s.io/cloned-from-groupkind", group_kind);
            metadata
        };
        let group_kind = "OpenStackMachineTemplate.infrastructure.cluster.x-k8s.io";
        let mut infrastructure =
            json!({"metadata": cloned(template_name, group_kind), "spec": template.at("spec.template.spec")});
        for (key, value) in template.entries("spec.template.metadata.labels") {
            infrastructure.set_entry("metadata.labels", key, value.clone());
        }
        scope.create(ids::OPENSTACK_MACHINES, self.manager, infrastructure);
        let config_metadata = match self.bootstrap_template {
            Some(name) => cloned(name, "KubeadmConfigTemplate.bootstrap.cluster.x-k8s.io"),
            None => metadata.clone(),
        };
        scope.create(
            ids::KUBEADM_CONFIGS,
            self.manager,
            json!({"metadata": config_metadata, "spec": self.bootstrap}),
        );

        let reference = |group: &str, kind: &str| json!({"apiGroup": format!("{group}.cluster.x-k8s.io"), "kind": kind, "name": self.name});
        let mut spec = json!({"clusterName": self.cluster, "version": self.version,
            "bootstrap": {"configRef": reference("bootstrap", "KubeadmConfig")},
            "infrastructureRef": reference("infrastructure", "OpenStackMachine")});
        if let Some(zone) = self.failure_domain {
            spec["failureDomain"] = zone.into();
        }
        for field in ["deletion", "readinessGates", "minReadySeconds", "taints"] {
            if !self.more.at(field).is_null() {
                spec[field] = self.more[field].clone();
            }
        }
        let mut made = json!({"metadata": metadata, "spec": spec});
        made.add_finalizer(machine::FINALIZER);
        scope.create(ids::MACHINES, self.manager, made)
    }
}

/// Says in a machine whether it is as its owner wants it now.
pub(super) fn mark_up_to_date(scope: &Scope<'_>, machine: &Object, manager: &str, reasons: &[String]) {
    let condition = if reasons.is_empty() {
        Condition::yes("UpToDate", "UpToDate")
    } else {
        let lines: Vec<String> = reasons.iter().map(|reason| format!("* {reason}")).collect();
        Condition::no("UpToDate", "NotUpToDate", lines.join("\n"))
    };
    scope.server.modify(ids::MACHINES, &scope.namespace, machine.name(), manager, |machine| {
        conditions::set(machine, &condition, &scope.now);
    });
}

/// A Kubernetes version as numbers.
pub(super) fn version(text: &str) -> (u64, u64, u64) {
    let mut numbers =
        text.trim_start_matches('v').split(['.', '-', '+']).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
