//! Services of type LoadBalancer in workload clusters, as the OpenStack cloud controller manager makes them.

use std::time::Duration;

use serde_json::{Value, json};

use super::cloud::{Cloud, CloudResult};
use super::ids;
use super::node::{has_cloud_controller, workload_of};
use super::scope::{Next, Scope};
use crate::kubernetes::object::{Object, Read as _, Write as _};

const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";
const MANAGER: &str = "openstack-cloud-controller-manager";
const ROOT: &str = "/load-balancer/v2/lbaas";

const POLL: Duration = Duration::from_secs(5);

pub(super) fn reconcile(scope: &Scope<'_>) -> Next {
    let Some((workload, cluster)) = workload_of(scope) else { return Next::Done };
    let Some(service) = workload.server.get("services", &scope.namespace, &scope.name) else {
        return Next::Done;
    };
    let balanced = service.text("spec.type") == "LoadBalancer" && !service.is_deleting();
    if (!balanced && !service.has_finalizer(FINALIZER)) || !has_cloud_controller(scope, &workload.server) {
        return Next::Done;
    }
    // A cloud controller manager runs in its cluster: without a control plane nothing happens.
    if !workload.answers() {
        return Next::Done;
    }
    let Some(infrastructure) = scope.server.get(
        ids::OPENSTACK_CLUSTERS,
        cluster.namespace(),
        cluster.text("spec.infrastructureRef.name"),
    ) else {
        return Next::Done;
    };
    let Some(cloud) = scope.cloud_of_workload(&cluster) else { return Next::Look(POLL) };
    let name = format!("kube_service_{}_{}_{}", cluster.name(), scope.namespace, scope.name);
    let change = |change: &dyn Fn(&mut Object)| {
        workload.server.modify("services", &scope.namespace, &scope.name, MANAGER, change);
    };
    if !balanced {
        return match remove(&cloud, &name) {
            Ok(true) => {
                change(&|service| {
                    service.remove_finalizer(FINALIZER);
                    service.set("status.loadBalancer", json!({}));
                });
                Next::Done
            }
            Ok(false) | Err(_) => Next::Look(POLL),
        };
    }
    let internal = |node: &Object| {
        let address =
            node.items("status.addresses").iter().find(|address| address.text("type") == "InternalIP");
        address.map(|address| address.text("address").to_owned())
    };
    // Control planes are left out of load balancers, as kubeadm labels them.
    let worker =
        |node: &&std::sync::Arc<Object>| node.label("node-role.kubernetes.io/control-plane").is_none();
    let nodes: Vec<String> =
        workload.server.list("nodes", "").iter().filter(worker).filter_map(|node| internal(node)).collect();
    if !service.has_finalizer(FINALIZER) {
        change(&|service| service.add_finalizer(FINALIZER));
    }
    match ensure(&cloud, &name, cluster.name(), &service, &nodes, &infrastructure) {
        Ok(Some((id, address))) => {
            change(&|service| {
                service.set_entry(
                    "metadata.annotations",
                    "loadbalancer.openstack.org/load-balancer-id",
                    id.clone(),
                );
                service.set_entry(
                    "metadata.annotations",
                    "loadbalancer.openstack.org/load-balancer-address",
                    address.clone(),
                );
                service.set("status.loadBalancer", json!({"ingress": [{"ip": address, "ipMode": "VIP"}]}));
            });
            Next::Done
        }
        Ok(None) => Next::Look(POLL),
        Err(error) => {
            tracing::warn!(service = name, %error, "a load balancer is not reconciled");
            Next::Look(POLL)
        }
    }
}

/// Makes the load balancer step by step; its id and address once all of it is active.
fn ensure(
    cloud: &Cloud<'_>,
    name: &str,
    cluster: &str,
    service: &Object,
    nodes: &[String],
    infrastructure: &Object,
) -> CloudResult<Option<(String, String)>> {
    let of = format!(
        "Kubernetes external service {}/{} from cluster {cluster}",
        service.namespace(),
        service.name()
    );
    let Some(balancer) = cloud.find(&format!("{ROOT}/loadbalancers"), "loadbalancers", name)? else {
        let subnet = infrastructure.items("status.network.subnets").first().cloned().unwrap_or_default();
        let request = json!({"name": name, "description": of, "vip_subnet_id": subnet["id"], "tags": [name]});
        cloud.post(&format!("{ROOT}/loadbalancers"), &json!({"loadbalancer": request}))?;
        return Ok(None);
    };
    if balancer.text("provisioning_status") != "ACTIVE" {
        return Ok(None);
    }
    let id = balancer.text("id").to_owned();
    for (index, port) in service.items("spec.ports").iter().enumerate() {
        if !ensure_port(cloud, name, &id, index, port, nodes)? {
            return Ok(None);
        }
    }
    if service.annotation("service.beta.kubernetes.io/openstack-internal-load-balancer") == Some("true") {
        return Ok(Some((id, balancer.text("vip_address").to_owned())));
    }
    let port = balancer.text("vip_port_id");
    let known =
        cloud.list(&format!("/network/v2.0/floatingips?port_id={port}"), "floatingips")?.into_iter().next();
    let floating_ip = match known {
        Some(known) => known,
        None => {
            let network = infrastructure.at("status.externalNetwork.id");
            let request = json!({"floating_network_id": network, "port_id": port, "description": format!("Floating IP for {of}")});
            cloud.post("/network/v2.0/floatingips", &json!({"floatingip": request}))?["floatingip"].take()
        }
    };
    Ok(Some((id, floating_ip.text("floating_ip_address").to_owned())))
}

/// Makes listener, pool and members of a port, one at a time: each makes the load balancer busy. True if all are there.
fn ensure_port(
    cloud: &Cloud<'_>,
    name: &str,
    balancer: &str,
    index: usize,
    port: &Value,
    nodes: &[String],
) -> CloudResult<bool> {
    let protocol = port.text("protocol");
    let listener_name = format!("listener_{index}_{name}");
    let Some(listener) = cloud.find(&format!("{ROOT}/listeners"), "listeners", &listener_name)? else {
        let request = json!({"name": listener_name, "protocol": protocol, "protocol_port": port["port"], "loadbalancer_id": balancer, "tags": [name]});
        cloud.post(&format!("{ROOT}/listeners"), &json!({"listener": request}))?;
        return Ok(false);
    };
    let pool_name = format!("pool_{index}_{name}");
    let Some(pool) = cloud.find(&format!("{ROOT}/pools"), "pools", &pool_name)? else {
        let request = json!({"name": pool_name, "protocol": protocol, "lb_algorithm": "ROUND_ROBIN", "listener_id": listener["id"], "tags": [name]});
        cloud.post(&format!("{ROOT}/pools"), &json!({"pool": request}))?;
        return Ok(false);
    };
    let members = format!("{ROOT}/pools/{}/members", pool.text("id"));
    let known = cloud.list(&members, "members")?;
    let missing =
        nodes.iter().find(|address| !known.iter().any(|member| member.text("address") == address.as_str()));
    let Some(address) = missing else { return Ok(true) };
    cloud.post(&members, &json!({"member": {"address": address, "protocol_port": port["nodePort"], "name": format!("member_{index}_{address}")}}))?;
    Ok(false)
}

/// Deletes the load balancer with its floating IP; true once it is gone.
fn remove(cloud: &Cloud<'_>, name: &str) -> CloudResult<bool> {
    let Some(balancer) = cloud.find(&format!("{ROOT}/loadbalancers"), "loadbalancers", name)? else {
        return Ok(true);
    };
    if balancer.text("provisioning_status") == "PENDING_DELETE" {
        return Ok(false);
    }
    let port = balancer.text("vip_port_id");
    for floating_ip in cloud.list(&format!("/network/v2.0/floatingips?port_id={port}"), "floatingips")? {
        cloud.delete_if_there(&format!("/network/v2.0/floatingips/{}", floating_ip.text("id")))?;
    }
    cloud.delete_if_there(&format!("{ROOT}/loadbalancers/{}?cascade=true", balancer.text("id")))?;
    Ok(false)
}
