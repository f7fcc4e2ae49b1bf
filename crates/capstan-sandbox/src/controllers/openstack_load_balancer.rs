//! The load balancer in front of the API servers of CAPO's `OpenStackCluster`.
//!
//! CAPO waits within a pass for the load balancer to become ACTIVE again; here the pass ends and comes back.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cloud::{Cloud, CloudError, CloudResult, encode};
use super::openstack_cluster::{Stop, Work};
use super::openstack_network as network;
use crate::kubernetes::object::{Object, Read as _, Write as _};

const ROOT: &str = "/load-balancer/v2/lbaas";

/// CAPO's first pause while it waits for Octavia.
const POLL: Duration = Duration::from_secs(5);

/// How long CAPO waits for Octavia: the sum of its growing pauses.
const PATIENCE: Duration = Duration::from_secs(273);

/// CAPO's pause until it looks whether a load balancer is gone.
const CLEANUP: Duration = Duration::from_secs(15);

/// The name of a cluster's load balancer.
pub(super) fn name(base: &str) -> String {
    format!("k8s-clusterapi-cluster-{base}-kubeapi")
}

fn find(cloud: &Cloud<'_>, name: &str) -> CloudResult<Option<Value>> {
    cloud.find(&format!("{ROOT}/loadbalancers"), "loadbalancers", name)
}

/// The load balancer, once it takes changes. One that doesn't in time is a failure, whatever state it is in.
fn active(cloud: &Cloud<'_>, id: &str) -> Result<Value, Stop> {
    let balancer = cloud.get(&format!("{ROOT}/loadbalancers/{id}"))?["loadbalancer"].take();
    if balancer.text("provisioning_status") == "ACTIVE" {
        return Ok(balancer);
    }
    let since = balancer.text_at("updated_at").unwrap_or(balancer.text("created_at"));
    let since = format!("{since}Z").parse::<Timestamp>().unwrap_or_else(|_| cloud.now());
    if Duration::try_from(cloud.now().duration_since(since)).unwrap_or_default() < PATIENCE {
        return Err(Stop::Wait(POLL));
    }
    let name = balancer.text("name");
    let why = "timed out waiting for the condition";
    Err(Stop::Failed(CloudError::new(format!(
        "load balancer \"{name}\" with id {id} is not active after timeout: {why}"
    ))))
}

/// Makes the load balancer with floating IP, listeners, pools and monitors.
pub(super) fn reconcile(work: &mut Work<'_, '_>, port: i64) -> Result<(), Stop> {
    let name = name(&work.base);
    let balancer = match find(&work.cloud, &name)? {
        Some(balancer) => balancer,
        None => create(work, &name)?,
    };
    let id = balancer.text("id").to_owned();
    work.object.set("status.apiServerLoadBalancer.name", name.clone());
    work.object.set("status.apiServerLoadBalancer.id", id.clone());
    work.object.set("status.apiServerLoadBalancer.internalIP", balancer["vip_address"].clone());
    if !balancer.items("tags").is_empty() {
        work.object.set("status.apiServerLoadBalancer.tags", balancer["tags"].clone());
    }
    let balancer = active(&work.cloud, &id)?;
    if !work.object.flag("spec.disableAPIServerFloatingIP") {
        let known = work.object.text_at("status.apiServerLoadBalancer.ip");
        let wanted = known
            .or(work.object.text_at("spec.apiServerFloatingIP"))
            .or(work.object.text_at("spec.controlPlaneEndpoint.host"));
        let wanted = wanted.unwrap_or_default().to_owned();
        let floating_ip = network::floating_ip(work, &wanted)?;
        work.object.set("status.apiServerLoadBalancer.ip", floating_ip["floating_ip_address"].clone());
        network::associate(work, &floating_ip, &balancer["vip_port_id"])?;
    }
    let allowed = allowed_cidrs(&work.object);
    work.object.set("status.apiServerLoadBalancer.allowedCIDRs", allowed.clone());
    let more =
        work.object.items("spec.apiServerLoadBalancer.additionalPorts").iter().filter_map(Value::as_i64);
    let ports: Vec<i64> = std::iter::once(port).chain(more).collect();
    for port in ports {
        listen(work, &id, &format!("{name}-{port}"), port, &allowed)?;
    }
    Ok(())
}

fn create(work: &Work<'_, '_>, name: &str) -> Result<Value, Stop> {
    let spec = work.object.at("spec.apiServerLoadBalancer");
    let place = work.object.at("status.apiServerLoadBalancer.loadBalancerNetwork");
    let mut request = json!({"name": name, "description": work.description(), "vip_network_id": place["id"]});
    if let Some(subnet) = place.items("subnets").first() {
        request.set("vip_subnet_id", subnet["id"].clone());
    }
    if let Some(provider) = spec.text_at("provider") {
        let known = work.cloud.list(&format!("{ROOT}/providers"), "providers")?;
        if known.iter().any(|p| p.text("name") == provider) {
            request.set("provider", provider);
        } else {
            work.tell("OctaviaProviderNotFound", "Provider specified for Octavia not found.");
        }
    }
    if let Some(flavor) = spec.text_at("flavor") {
        let known = work.cloud.list(&format!("{ROOT}/flavors"), "flavors")?;
        match known.iter().find(|f| f.text("name") == flavor && f.flag("enabled")) {
            Some(found) => request.set("flavor_id", found["id"].clone()),
            None => work.tell(
                "OctaviaFlavorNotFound",
                &format!("Flavor {flavor} specified for Octavia not found, using the default flavor."),
            ),
        }
    }
    if let Some(zone) = spec.text_at("availabilityZone") {
        request.set("availability_zone", zone);
    }
    if let Some(address) = work.object.text_at("spec.apiServerFixedIP") {
        request.set("vip_address", address);
    }
    if work.tags().as_array().is_some_and(|tags| !tags.is_empty()) {
        request.set("tags", work.tags());
    }
    match work.cloud.post(&format!("{ROOT}/loadbalancers"), &json!({"loadbalancer": request})) {
        Ok(mut made) => {
            let made = made["loadbalancer"].take();
            work.tell(
                "SuccessfulCreateLoadBalancer",
                &format!("Created load balancer {name} with id {}", made.text("id")),
            );
            Ok(made)
        }
        Err(error) => {
            work.tell("FailedCreateLoadBalancer", &format!("Failed to create load balancer {name}: {error}"));
            Err(Stop::Failed(error))
        }
    }
}

/// The ranges that may reach the API: those of the user, the cluster's own and its router, as CIDRs in order.
fn allowed_cidrs(object: &Object) -> Vec<String> {
    let given = object.items("spec.apiServerLoadBalancer.allowedCIDRs");
    if given.is_empty() {
        return Vec::new();
    }
    let subnets = object.items("status.network.subnets").iter().filter_map(|subnet| subnet.text_at("cidr"));
    let router = object.items("status.router.ips").iter().filter_map(Value::as_str);
    let all = given.iter().filter_map(Value::as_str).chain(subnets).chain(router);
    let canonical = all.filter_map(|text| {
        if text.parse::<std::net::Ipv4Addr>().is_ok() {
            return Some(format!("{text}/32"));
        }
        text.parse::<ipnet::Ipv4Net>().is_ok().then(|| text.to_owned())
    });
    canonical.collect::<BTreeSet<String>>().into_iter().collect()
}

fn listen(
    work: &Work<'_, '_>,
    balancer: &str,
    name: &str,
    port: i64,
    allowed: &[String],
) -> Result<(), Stop> {
    let cloud = &work.cloud;
    let tags = work.tags();
    let listener = match cloud.find(&format!("{ROOT}/listeners"), "listeners", name)? {
        Some(listener) => listener,
        None => {
            let mut request = json!({"name": name, "protocol": "TCP", "protocol_port": port, "loadbalancer_id": balancer, "tags": tags});
            if !allowed.is_empty() {
                request.set("allowed_cidrs", allowed.to_vec());
            }
            make(work, "Listener", "listener", &request)?
        }
    };
    let id = listener.text("id");
    active(cloud, balancer)?;
    let pool = match cloud.find(&format!("{ROOT}/pools"), "pools", name)? {
        Some(pool) => pool,
        None => {
            let method = if work.object.text("spec.apiServerLoadBalancer.provider") == "ovn" {
                "SOURCE_IP_PORT"
            } else {
                "ROUND_ROBIN"
            };
            let request = json!({"name": name, "protocol": "TCP", "lb_algorithm": method, "listener_id": id, "tags": tags});
            make(work, "Pool", "pool", &request)?
        }
    };
    active(cloud, balancer)?;
    if cloud.find(&format!("{ROOT}/healthmonitors"), "healthmonitors", name)?.is_none() {
        let monitor = work.object.at("spec.apiServerLoadBalancer.monitor");
        let number = |field: &str, default: i64| monitor.int(field).filter(|n| *n != 0).unwrap_or(default);
        let request = json!({"name": name, "pool_id": pool["id"], "type": "TCP", "delay": number("delay", 10),
            "timeout": number("timeout", 5), "max_retries": number("maxRetries", 5), "max_retries_down": number("maxRetriesDown", 3)});
        make(work, "Monitor", "healthmonitor", &request)?;
    }
    active(cloud, balancer)?;
    let mut known: Vec<String> =
        listener.items("allowed_cidrs").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    known.sort();
    if known != allowed {
        cloud.put(&format!("{ROOT}/listeners/{id}"), &json!({"listener": {"allowed_cidrs": allowed}}))?;
        work.tell(
            "SuccessfulUpdateListener",
            &format!("Updated allowed_cidrs [{}] for listener {name} with id {id}", allowed.join(" ")),
        );
        active(cloud, balancer)?;
    }
    Ok(())
}

fn make(work: &Work<'_, '_>, kind: &str, key: &str, request: &Value) -> Result<Value, Stop> {
    let (name, noun) = (request.text("name"), kind.to_lowercase());
    match work.cloud.post(&format!("{ROOT}/{key}s"), &json!({key: request})) {
        Ok(mut made) => {
            let made = made[key].take();
            work.tell(
                &format!("SuccessfulCreate{kind}"),
                &format!("Created {noun} {name} with id {}", made.text("id")),
            );
            Ok(made)
        }
        Err(error) => {
            work.tell(&format!("FailedCreate{kind}"), &format!("Failed to create {noun} {name}: {error}"));
            Err(Stop::Failed(error))
        }
    }
}

/// Deletes the load balancer with all that is in it, and waits until it is gone.
pub(super) fn delete(work: &Work<'_, '_>) -> Result<(), Stop> {
    let name = name(&work.base);
    let Some(balancer) = find(&work.cloud, &name)? else { return Ok(()) };
    if balancer.text("provisioning_status") == "PENDING_DELETE" {
        return Err(Stop::Wait(CLEANUP));
    }
    if let Some(port) = balancer.text_at("vip_port_id") {
        let found = work.cloud.list(&format!("/network/v2.0/floatingips?port_id={port}"), "floatingips")?;
        if let Some(floating_ip) = found.first() {
            network::release(work, floating_ip)?;
        }
    }
    let id = balancer.text("id");
    if let Err(error) = work.cloud.delete_if_there(&format!("{ROOT}/loadbalancers/{id}?cascade=true")) {
        work.tell(
            "FailedDeleteLoadBalancer",
            &format!("Failed to delete load balancer {name} with id {id}: {error}"),
        );
        return Err(Stop::Failed(error));
    }
    work.tell("SuccessfulDeleteLoadBalancer", &format!("Deleted load balancer {name} with id {id}"));
    Err(Stop::Wait(CLEANUP))
}

/// The ports that the API is balanced on.
fn ports(cluster: &Object) -> Vec<i64> {
    let more = cluster.items("spec.apiServerLoadBalancer.additionalPorts").iter().filter_map(Value::as_i64);
    cluster.int("spec.controlPlaneEndpoint.port").into_iter().chain(more).collect()
}

/// Makes a control plane machine a member of every pool.
pub(super) fn add_member(
    cloud: &Cloud<'_>,
    cluster: &Object,
    base: &str,
    machine: &str,
    address: &str,
) -> Result<(), Stop> {
    let balancer = cluster.text("status.apiServerLoadBalancer.id");
    for port in ports(cluster) {
        let pool_name = format!("{}-{port}", name(base));
        let pool = cloud.find(&format!("{ROOT}/pools"), "pools", &pool_name)?;
        let Some(pool) = pool else {
            return Err(Stop::Failed(CloudError::new("load balancer pool does not exist yet")));
        };
        let members = format!("{ROOT}/pools/{}/members", pool.text("id"));
        let member_name = format!("{pool_name}-{machine}");
        let known = cloud.find(&members, "members", &member_name)?;
        match known {
            Some(member) if member.text("address") == address => continue,
            Some(member) => {
                active(cloud, balancer)?;
                cloud.delete(&format!("{members}/{}", member.text("id")))?;
                return Err(Stop::Wait(POLL));
            }
            None => {}
        }
        active(cloud, balancer)?;
        let mut request = json!({"name": member_name, "protocol_port": port, "address": address, "tags": []});
        if let Some(tags) = cluster.at("spec.tags").as_array() {
            request.set("tags", tags.clone());
        }
        cloud.post(&members, &json!({"member": request}))?;
        active(cloud, balancer)?;
    }
    active(cloud, balancer).map(drop)
}

/// Takes a control plane machine out of every pool.
pub(super) fn remove_member(
    cloud: &Cloud<'_>,
    cluster: &Object,
    base: &str,
    machine: &str,
) -> Result<(), Stop> {
    let Some(balancer) = find(cloud, &name(base))? else { return Ok(()) };
    for port in ports(cluster) {
        let pool_name = format!("{}-{port}", name(base));
        let Some(pool) = cloud.find(&format!("{ROOT}/pools"), "pools", &pool_name)? else { continue };
        let members = format!("{ROOT}/pools/{}/members", pool.text("id"));
        let listed = cloud
            .list(&format!("{members}?name={}", encode(&format!("{pool_name}-{machine}"))), "members")?;
        for member in listed {
            active(cloud, balancer.text("id"))?;
            cloud.delete_if_there(&format!("{members}/{}", member.text("id")))?;
        }
    }
    Ok(())
}
