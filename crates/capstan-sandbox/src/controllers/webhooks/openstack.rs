//! `pkg/webhooks` of CAPO v0.14.

use serde_json::{Value, json};

use crate::kubernetes::error::Cause;
use crate::kubernetes::object::{Object, Read as _, Write as _};

pub(super) fn cluster(old: Option<&Object>, new: &Object) -> Vec<Cause> {
    let Some(old) = old else { return new_cluster(new) };
    let mut causes = Vec::new();
    let status = old.at("status");
    let (mut before, mut after) = (old.at("spec").clone(), new.at("spec").clone());
    if after.at("bastion").is_null()
        && before.at("bastion").is_object()
        && before.at("bastion.enabled") != false
    {
        causes.push(Cause::forbidden("spec.bastion", "cannot be removed before disabling it"));
    }
    let both_forget = |before: &mut Value, after: &mut Value, path: &str| {
        before.unset(path);
        after.unset(path);
    };
    for path in
        ["identityRef", "bastion", "controlPlaneAvailabilityZones", "controlPlaneOmitAvailabilityZone"]
    {
        both_forget(&mut before, &mut after, path);
    }
    if before.text_at("controlPlaneEndpoint.host").is_none() {
        both_forget(&mut before, &mut after, "controlPlaneEndpoint");
    }
    if before.flag("disableAPIServerFloatingIP") {
        if before.text_at("apiServerFixedIP").is_none() {
            both_forget(&mut before, &mut after, "apiServerFixedIP");
        }
        if before.at("apiServerPort").is_null() {
            both_forget(&mut before, &mut after, "apiServerPort");
        }
    }
    if after.at("managedSecurityGroups").is_object() {
        if before.at("managedSecurityGroups").is_null() {
            before.set("managedSecurityGroups", json!({}));
        }
        let rules = [
            "allNodesSecurityGroupRules",
            "controlPlaneNodesSecurityGroupRules",
            "workerNodesSecurityGroupRules",
            "allowAllInClusterTraffic",
        ];
        for field in rules {
            both_forget(&mut before, &mut after, &format!("managedSecurityGroups.{field}"));
        }
    }
    causes.extend(managed_subnets(&mut before, &mut after));
    if before.at("apiServerLoadBalancer").is_object() && after.at("apiServerLoadBalancer").is_object() {
        both_forget(&mut before, &mut after, "apiServerLoadBalancer.allowedCIDRs");
        both_forget(&mut before, &mut after, "apiServerLoadBalancer.monitor");
    }
    if status.text_at("apiServerLoadBalancer.ip").is_some_and(|ip| after.text("apiServerFloatingIP") == ip) {
        both_forget(&mut before, &mut after, "apiServerFloatingIP");
    }
    if status.text_at("network.id").is_some_and(|id| after.text("network.id") == id) {
        both_forget(&mut before, &mut after, "network");
    }
    let by_id =
        |subnet: &Value| status.items("network.subnets").iter().any(|known| known["id"] == subnet["id"]);
    if !after.items("subnets").is_empty()
        && after.items("subnets").iter().all(by_id)
        && before.items("subnets").len() == after.items("subnets").len()
    {
        both_forget(&mut before, &mut after, "subnets");
    }
    if before != after {
        causes.push(Cause::forbidden("spec", "cannot be modified"));
    }
    causes
}

/// Only the name servers of a managed subnet may change.
fn managed_subnets(before: &mut Value, after: &mut Value) -> Vec<Cause> {
    let field = "spec.managedSubnets";
    if before.items("managedSubnets").is_empty() || after.items("managedSubnets").is_empty() {
        return Vec::new();
    }
    if before.items("managedSubnets").len() != after.items("managedSubnets").len() {
        return vec![Cause::forbidden(field, "cannot add or remove subnets")];
    }
    let mut causes = Vec::new();
    let known: Vec<Value> =
        before.items("managedSubnets").iter().map(|subnet| subnet["cidr"].clone()).collect();
    for subnet in after.list_mut("managedSubnets") {
        if known.contains(&subnet["cidr"]) {
            subnet.unset("dnsNameservers");
        } else {
            let detail = format!("cannot change subnet CIDR from existing value to {}", subnet.text("cidr"));
            causes.push(Cause::forbidden(field, detail));
        }
    }
    for subnet in before.list_mut("managedSubnets") {
        subnet.unset("dnsNameservers");
    }
    causes
}

fn new_cluster(new: &Object) -> Vec<Cause> {
    let field = "spec.managedSecurityGroups.allNodesSecurityGroupRules";
    let mut causes = Vec::new();
    for rule in new.items(field) {
        let managed = !rule.items("remoteManagedGroups").is_empty();
        let (group, prefix) = (!rule.at("remoteGroupID").is_null(), !rule.at("remoteIPPrefix").is_null());
        if managed && (group || prefix) {
            causes.push(Cause::forbidden(
                field,
                "remoteManagedGroups cannot be used with remoteGroupID or remoteIPPrefix",
            ));
        }
        if group && (managed || prefix) {
            causes.push(Cause::forbidden(
                field,
                "remoteGroupID cannot be used with remoteManagedGroups or remoteIPPrefix",
            ));
        }
        if prefix && (managed || group) {
            causes.push(Cause::forbidden(
                field,
                "remoteIPPrefix cannot be used with remoteManagedGroups or remoteGroupID",
            ));
        }
    }
    causes
}

pub(super) fn machine_template(old: Option<&Object>, new: &Object) -> Vec<Cause> {
    let spec = "spec.template.spec";
    match old {
        None if new.text_at("spec.template.spec.providerID").is_some() => {
            vec![Cause::forbidden("spec.template.spec.providerID", "cannot be set in templates")]
        }
        Some(old) if old.at(spec) != new.at(spec) => {
            let detail = "OpenStackMachineTemplate spec.template.spec field is immutable. Please create a new resource instead. Ref doc: https://cluster-api.sigs.k8s.io/tasks/change-machine-template.html";
            vec![Cause::invalid(spec, new.at(spec), detail)]
        }
        _ => Vec::new(),
    }
}

pub(super) fn machine(old: Option<&Object>, new: &Object) -> Vec<Cause> {
    let mut causes = devices_and_ports(new);
    if let Some(old) = old {
        let (mut before, mut after) = (old.at("spec").clone(), new.at("spec").clone());
        for path in ["providerID", "instanceID", "identityRef"] {
            before.unset(path);
            after.unset(path);
        }
        if before != after {
            causes.push(Cause::forbidden("spec", "cannot be modified"));
        }
    }
    causes
}

pub(super) fn server(old: Option<&Object>, new: &Object) -> Vec<Cause> {
    let mut causes = devices_and_ports(new);
    if let Some(old) = old {
        let (mut before, mut after) = (old.at("spec").clone(), new.at("spec").clone());
        before.unset("identityRef");
        after.unset("identityRef");
        if before != after {
            causes.push(Cause::forbidden(
                "spec",
                "OpenStackServer spec field is immutable. Please create a new resource instead.",
            ));
        }
    }
    causes
}

fn devices_and_ports(new: &Object) -> Vec<Cause> {
    let mut causes = Vec::new();
    let root = new.at("spec.rootVolume").is_object()
        && new.items("spec.additionalBlockDevices").iter().any(|d| d.text("name") == "root");
    if root {
        let detail = "cannot contain a device named \"root\" when rootVolume is set";
        causes.push(Cause::forbidden("spec.additionalBlockDevices", detail));
    }
    if new
        .items("spec.ports")
        .iter()
        .any(|port| port.flag("disablePortSecurity") && !port.items("securityGroups").is_empty())
    {
        causes.push(Cause::forbidden(
            "spec.ports",
            "cannot have security groups when DisablePortSecurity is set to true",
        ));
    }
    causes
}
