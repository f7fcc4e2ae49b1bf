//! The security groups of CAPO's `OpenStackCluster`: one for control planes, one for workers.

use serde_json::{Value, json};

use super::cloud::CloudResult;
use super::openstack_cluster::Work;
use crate::kubernetes::object::{Read as _, Write as _};

fn name(work: &Work<'_, '_>, suffix: &str) -> String {
    format!("k8s-cluster-{}-secgroup-{suffix}", work.base)
}

/// A rule that lets traffic in; a port range of 0 means all.
fn ingress(description: &str, protocol: &str, ports: (i64, i64), remote: Value) -> Value {
    let mut rule = json!({"direction": "ingress", "ethertype": "IPv4", "description": description});
    if !protocol.is_empty() {
        rule.set("protocol", protocol);
        rule.set("port_range_min", ports.0);
        rule.set("port_range_max", ports.1);
    }
    if let (Value::Object(rule), Value::Object(remote)) = (&mut rule, remote) {
        rule.extend(remote);
    }
    rule
}

/// Makes the groups with the rules that they should have.
pub(super) fn reconcile(work: &mut Work<'_, '_>) -> CloudResult<()> {
    if !work.object.at("spec.managedSecurityGroups").is_object() {
        return Ok(());
    }
    let control_plane = group(work, "controlplane")?;
    let worker = group(work, "worker")?;
    let of = |group: &Value| json!({"remote_group_id": group["id"]});
    let (from_control_plane, from_worker) = (of(&control_plane), of(&worker));
    let spec = work.object.at("spec.managedSecurityGroups");

    let mut for_control_plane = egress();
    for_control_plane.push(ingress("Kubernetes API", "tcp", (6443, 6443), json!({})));
    for port in
        work.object.items("spec.apiServerLoadBalancer.additionalPorts").iter().filter_map(Value::as_i64)
    {
        for_control_plane.push(ingress("Additional port", "tcp", (port, port), json!({})));
    }
    let mut for_worker = egress();
    let subnets = work.object.items("status.network.subnets").iter();
    let cidrs =
        subnets.filter_map(|subnet| subnet.text_at("cidr")).map(|cidr| json!({"remote_ip_prefix": cidr}));
    for remote in cidrs.chain([from_worker.clone(), from_control_plane.clone()]) {
        for protocol in ["tcp", "udp"] {
            for_worker.push(ingress("Node Port Services", protocol, (30_000, 32_767), remote.clone()));
        }
    }
    for remote in [&from_control_plane, &from_worker] {
        if spec.flag("allowAllInClusterTraffic") {
            for_control_plane.push(ingress("In-cluster Ingress", "", (0, 0), remote.clone()));
            for_worker.push(ingress("In-cluster Ingress", "", (0, 0), remote.clone()));
        } else {
            for_control_plane.push(ingress("Kubelet API", "tcp", (10_250, 10_250), remote.clone()));
            for_worker.push(ingress("Kubelet API", "tcp", (10_250, 10_250), remote.clone()));
        }
    }
    if !spec.flag("allowAllInClusterTraffic") {
        for_control_plane.push(ingress("Etcd", "tcp", (2379, 2380), from_control_plane.clone()));
    }
    let groups = (&control_plane, &worker);
    for_control_plane.extend(asked_for(spec, "controlPlaneNodesSecurityGroupRules", groups));
    for_control_plane.extend(asked_for(spec, "allNodesSecurityGroupRules", groups));
    for_worker.extend(asked_for(spec, "workerNodesSecurityGroupRules", groups));
    for_worker.extend(asked_for(spec, "allNodesSecurityGroupRules", groups));
    reconcile_rules(work, &control_plane, &for_control_plane)?;
    reconcile_rules(work, &worker, &for_worker)?;
    let noted = |group: &Value| json!({"id": group["id"], "name": group["name"]});
    work.object.set("status.controlPlaneSecurityGroup", noted(&control_plane));
    work.object.set("status.workerSecurityGroup", noted(&worker));
    Ok(())
}

/// Everything may go out.
fn egress() -> Vec<Value> {
    let rule = |family: &str| json!({"direction": "egress", "ethertype": family, "description": "Full open"});
    vec![rule("IPv4"), rule("IPv6")]
}

/// The rules that the user adds.
fn asked_for(spec: &Value, field: &str, (control_plane, worker): (&Value, &Value)) -> Vec<Value> {
    let mut rules = Vec::new();
    for wanted in spec.items(field) {
        let mut rule = json!({"direction": wanted["direction"], "ethertype": wanted.text_at("etherType").unwrap_or("IPv4")});
        let names = [
            ("description", "description"),
            ("protocol", "protocol"),
            ("portRangeMin", "port_range_min"),
            ("portRangeMax", "port_range_max"),
            ("remoteGroupID", "remote_group_id"),
            ("remoteIPPrefix", "remote_ip_prefix"),
        ];
        for (field, name) in names {
            if !wanted.at(field).is_null() {
                rule.set(name, wanted[field].clone());
            }
        }
        let managed = wanted.items("remoteManagedGroups");
        for group in managed {
            let group = if group == "controlplane" { control_plane } else { worker };
            rule.set("remote_group_id", group["id"].clone());
            rules.push(rule.clone());
        }
        if managed.is_empty() {
            rules.push(rule);
        }
    }
    rules
}

fn group(work: &Work<'_, '_>, suffix: &str) -> CloudResult<Value> {
    let name = name(work, suffix);
    if let Some(group) = work.cloud.find("/network/v2.0/security-groups", "security_groups", &name)? {
        return Ok(group);
    }
    let request = json!({"security_group": {"name": name, "description": "Cluster API managed group"}});
    let mut made = match work.cloud.post("/network/v2.0/security-groups", &request) {
        Ok(made) => made,
        Err(error) => {
            work.tell(
                "FailedCreateSecurityGroup",
                &format!("Failed to create security group {name}: {error}"),
            );
            return Err(error);
        }
    };
    let made = made["security_group"].take();
    let id = made.text("id");
    work.tell("SuccessfulCreateSecurityGroup", &format!("Created security group {name} with id {id}"));
    work.cloud.tag("security-groups", id, &work.tags())?;
    Ok(made)
}

/// What makes two rules the same.
fn identity(rule: &Value) -> Vec<String> {
    let fields = [
        "direction",
        "ethertype",
        "protocol",
        "port_range_min",
        "port_range_max",
        "remote_group_id",
        "remote_ip_prefix",
    ];
    fields.iter().map(|field| rule.at(field).to_string()).collect()
}

fn reconcile_rules(work: &Work<'_, '_>, group: &Value, wanted: &[Value]) -> CloudResult<()> {
    let observed = group.items("security_group_rules");
    for rule in observed.iter().filter(|rule| !wanted.iter().any(|w| identity(w) == identity(rule))) {
        work.cloud.delete_if_there(&format!("/network/v2.0/security-group-rules/{}", rule.text("id")))?;
    }
    let mut made: Vec<Vec<String>> = observed.iter().map(identity).collect();
    for rule in wanted {
        if made.contains(&identity(rule)) {
            continue;
        }
        made.push(identity(rule));
        let mut request = rule.clone();
        request.set("security_group_id", group["id"].clone());
        work.cloud.post("/network/v2.0/security-group-rules", &json!({"security_group_rule": request}))?;
    }
    Ok(())
}

/// Deletes the groups.
pub(super) fn delete(work: &Work<'_, '_>) -> CloudResult<()> {
    for suffix in ["controlplane", "worker", "bastion"] {
        let name = name(work, suffix);
        let Some(group) = work.cloud.find("/network/v2.0/security-groups", "security_groups", &name)? else {
            continue;
        };
        let id = group.text("id");
        if let Err(error) = work.cloud.delete_if_there(&format!("/network/v2.0/security-groups/{id}")) {
            work.tell(
                "FailedDeleteSecurityGroup",
                &format!("Failed to delete security group {name} with id {id}: {error}"),
            );
            return Err(error);
        }
        work.tell("SuccessfulDeleteSecurityGroup", &format!("Deleted security group {name} with id {id}"));
    }
    Ok(())
}
