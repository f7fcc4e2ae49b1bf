//! The network part of CAPO's `OpenStackCluster`: external network, network, subnet, router, floating IPs.

use serde_json::{Value, json};

use super::cloud::{Cloud, CloudError, CloudResult, encode};
use super::conditions::Condition;
use super::openstack_cluster::{Stop, Work};
use crate::kubernetes::object::{Read as _, Write as _};

const NO_MATCHES: &str = "filter match error: no matches";
const MULTIPLE_MATCHES: &str = "filter match error: multiple matches";

/// What CAPO notes of a network, subnet or router.
fn noted(resource: &Value) -> Value {
    let mut note = json!({"id": resource["id"], "name": resource["name"]});
    for field in ["cidr", "tags"] {
        if resource.at(field).is_string() || !resource.items(field).is_empty() {
            note[field] = resource[field].clone();
        }
    }
    note
}

/// Finds one resource by `{id}` or `{filter}`; CAPO's filters are Neutron's list parameters.
fn by_parameter(
    work: &Work<'_, '_>,
    collection: &str,
    key: &str,
    parameter: &Value,
    more: &str,
) -> CloudResult<Value> {
    one(&work.cloud, collection, key, parameter, more)
}

/// Finds one resource by `{id}` or `{filter}`.
pub(super) fn by_filter(
    cloud: &Cloud<'_>,
    collection: &str,
    key: &str,
    parameter: &Value,
) -> CloudResult<Value> {
    one(cloud, collection, key, parameter, "")
}

fn one(cloud: &Cloud<'_>, collection: &str, key: &str, parameter: &Value, more: &str) -> CloudResult<Value> {
    let mut query = match parameter.text_at("id") {
        Some(id) => format!("id={id}"),
        None => filter_query(parameter.at("filter")),
    };
    query += more;
    let mut found =
        cloud.list(&format!("/network/v2.0/{collection}?{}", query.trim_start_matches('&')), key)?;
    match found.len() {
        0 => Err(CloudError::new(NO_MATCHES)),
        1 => Ok(found.remove(0)),
        _ => Err(CloudError::new(MULTIPLE_MATCHES)),
    }
}

fn filter_query(filter: &Value) -> String {
    let names = [
        ("name", "name"),
        ("description", "description"),
        ("projectID", "project_id"),
        ("cidr", "cidr"),
        ("gatewayIP", "gateway_ip"),
    ];
    let mut parts: Vec<String> = names
        .iter()
        .filter_map(|(field, name)| Some(format!("{name}={}", encode(filter.text_at(field)?))))
        .collect();
    for (field, name) in
        [("tags", "tags"), ("tagsAny", "tags-any"), ("notTags", "not-tags"), ("notTagsAny", "not-tags-any")]
    {
        let tags: Vec<String> = filter.items(field).iter().filter_map(Value::as_str).map(encode).collect();
        if !tags.is_empty() {
            parts.push(format!("{name}={}", tags.join(",")));
        }
    }
    parts.join("&")
}

/// Finds the external network: the one that is named, or the only one.
pub(super) fn external(work: &mut Work<'_, '_>) -> CloudResult<()> {
    if work.object.flag("spec.disableExternalNetwork") {
        work.object.unset("status.externalNetwork");
        return Ok(());
    }
    let wanted = work.object.at("spec.externalNetwork").clone();
    match by_parameter(work, "networks", "networks", &wanted, "&router:external=true") {
        Ok(network) => work.object.set("status.externalNetwork", noted(&network)),
        Err(error) if wanted.is_null() && error.message == NO_MATCHES => {
            drop(work.object.unset("status.externalNetwork"))
        }
        Err(error) => return Err(error.wrap("failed to get external network")),
    }
    Ok(())
}

/// Looks up network, subnets and router that are somebody else's.
pub(super) fn existing(work: &mut Work<'_, '_>) -> Result<(), Stop> {
    let wanted = work.object.at("spec.network").clone();
    if !wanted.is_null() {
        match by_parameter(work, "networks", "networks", &wanted, "") {
            Ok(network) => set_network(work, &network),
            Err(error) => {
                return Err(work.fail(
                    "NetworkReady",
                    "OpenStackError",
                    error.wrap("failed to find network"),
                ));
            }
        }
    }
    let network = work.object.text("status.network.id").to_owned();
    let mut subnets = Vec::new();
    let wanted = work.object.items("spec.subnets").to_vec();
    let within = if network.is_empty() { String::new() } else { format!("&network_id={network}") };
    if wanted.is_empty() {
        let found = work.cloud.list(&format!("/network/v2.0/subnets?network_id={network}"), "subnets")?;
        subnets.extend(found);
    }
    for subnet in &wanted {
        match by_parameter(work, "subnets", "subnets", subnet, &within) {
            Ok(found) => subnets.push(found),
            Err(error) => {
                let error = error.wrap("failed to get cluster subnets");
                return Err(work.fail("NetworkReady", "OpenStackError", error));
            }
        }
    }
    if let (true, Some(first)) = (network.is_empty(), subnets.first()) {
        let id = json!({"id": first["network_id"]});
        let network = by_parameter(work, "networks", "networks", &id, "")?;
        set_network(work, &network);
    }
    work.object.set("status.network.subnets", subnets.iter().map(noted).collect::<Vec<_>>());
    work.mark(&Condition::yes("NetworkReady", ""));
    let wanted = work.object.at("spec.router").clone();
    if !wanted.is_null() {
        match by_parameter(work, "routers", "routers", &wanted, "") {
            Ok(router) => set_router(work, &router),
            Err(error) => {
                return Err(work.fail("RouterReady", "OpenStackError", error.wrap("failed to find router")));
            }
        }
        work.mark(&Condition::yes("RouterReady", ""));
    }
    Ok(())
}

fn set_network(work: &mut Work<'_, '_>, network: &Value) {
    let subnets = work.object.at("status.network.subnets").clone();
    work.object.set("status.network", noted(network));
    if !subnets.is_null() {
        work.object.set("status.network.subnets", subnets);
    }
}

fn set_router(work: &mut Work<'_, '_>, router: &Value) {
    let mut note = noted(router);
    let ips = router.items("external_gateway_info.external_fixed_ips").iter();
    note.set("ips", ips.map(|ip| ip["ip_address"].clone()).collect::<Vec<_>>());
    work.object.set("status.router", note);
}

/// The name of network, subnet and router.
fn name(work: &Work<'_, '_>) -> String {
    format!("k8s-clusterapi-cluster-{}", work.base)
}

/// Makes the network.
pub(super) fn reconcile_network(work: &mut Work<'_, '_>) -> CloudResult<()> {
    let name = name(work);
    let found = work.cloud.find("/network/v2.0/networks", "networks", &name)?;
    let network = match found {
        Some(network) => network,
        None => {
            let mut request = json!({"name": name, "admin_state_up": true});
            if work.object.flag("spec.disablePortSecurity") {
                request.set("port_security_enabled", false);
            }
            if let Some(mtu) = work.object.int("spec.networkMTU") {
                request.set("mtu", mtu);
            }
            let mut made = create(work, "Network", "networks", "network", &request)?;
            made.set("tags", work.tags());
            made
        }
    };
    set_network(work, &network);
    Ok(())
}

/// Makes a Neutron resource with the tags of the cluster, and tells about it.
fn create(
    work: &Work<'_, '_>,
    kind: &str,
    collection: &str,
    key: &str,
    request: &Value,
) -> CloudResult<Value> {
    let what = request.text("name");
    let made = work.cloud.post(&format!("/network/v2.0/{collection}"), &json!({key: request}));
    let noun = kind.to_lowercase();
    let mut made = match made {
        Ok(made) => made,
        Err(error) => {
            work.tell(&format!("FailedCreate{kind}"), &format!("Failed to create {noun} {what}: {error}"));
            return Err(error);
        }
    };
    let made = made[key].take();
    let id = made.text("id");
    work.tell(&format!("SuccessfulCreate{kind}"), &format!("Created {noun} {what} with id {id}"));
    work.cloud.tag(collection, id, &work.tags())?;
    Ok(made)
}

/// Deletes a Neutron resource, and tells about it.
fn delete(work: &Work<'_, '_>, kind: &str, collection: &str, resource: &Value) -> CloudResult<()> {
    let (name, id, noun) = (resource.text("name"), resource.text("id"), kind.to_lowercase());
    if let Err(error) = work.cloud.delete_if_there(&format!("/network/v2.0/{collection}/{id}")) {
        work.tell(
            &format!("FailedDelete{kind}"),
            &format!("Failed to delete {noun} {name} with id {id}: {error}"),
        );
        return Err(error);
    }
    work.tell(&format!("SuccessfulDelete{kind}"), &format!("Deleted {noun} {name} with id {id}"));
    Ok(())
}

/// Makes the subnet, and keeps its name servers.
pub(super) fn reconcile_subnet(work: &mut Work<'_, '_>) -> CloudResult<()> {
    let network = work.object.text("status.network.id").to_owned();
    let Some(wanted) = work.object.items("spec.managedSubnets").first().cloned() else { return Ok(()) };
    let query = format!("/network/v2.0/subnets?network_id={network}&cidr={}", encode(wanted.text("cidr")));
    let servers = match wanted.at("dnsNameservers") {
        Value::Null => json!([]),
        servers => servers.clone(),
    };
    let subnet = match work.cloud.list(&query, "subnets")?.into_iter().next() {
        Some(known) if known["dns_nameservers"] == servers => known,
        Some(known) => {
            let path = format!("/network/v2.0/subnets/{}", known.text("id"));
            work.cloud.put(&path, &json!({"subnet": {"dns_nameservers": servers}}))?["subnet"].take()
        }
        None => {
            let mut request = json!({"network_id": network, "name": name(work), "ip_version": 4, "cidr": wanted["cidr"],
                "dns_nameservers": servers, "description": work.description()});
            if !wanted.items("allocationPools").is_empty() {
                request.set("allocation_pools", wanted["allocationPools"].clone());
            }
            let mut made = create(work, "Subnet", "subnets", "subnet", &request)?;
            made.set("tags", work.tags());
            made
        }
    };
    work.object.set("status.network.subnets", json!([noted(&subnet)]));
    Ok(())
}

fn known_router(work: &Work<'_, '_>) -> CloudResult<Option<Value>> {
    let wanted = work.object.at("spec.router");
    if !wanted.is_null() {
        return by_parameter(work, "routers", "routers", wanted, "").map(Some);
    }
    match work.object.text_at("status.router.id") {
        Some(id) => work.cloud.look(&format!("/network/v2.0/routers/{id}"), "router"),
        None => work.cloud.find("/network/v2.0/routers", "routers", &name(work)),
    }
}

/// Makes the router with its gateway, and connects the subnet.
pub(super) fn reconcile_router(work: &mut Work<'_, '_>) -> CloudResult<()> {
    let Some(external) = work.object.text_at("status.externalNetwork.id").map(str::to_owned) else {
        return Ok(());
    };
    let known = known_router(work).map_err(|error| error.wrap("fetching router"))?;
    let router = match known {
        Some(router) => router,
        None => {
            let gateway = json!({"network_id": external});
            let request = json!({"name": name(work), "description": work.description(), "external_gateway_info": gateway});
            let mut made = create(work, "Router", "routers", "router", &request)?;
            made.set("tags", work.tags());
            made
        }
    };
    set_router(work, &router);
    let id = router.text("id");
    let interfaces = work.cloud.list(&format!("/network/v2.0/ports?device_id={id}"), "ports")?;
    for subnet in work.object.items("status.network.subnets") {
        let here = |port: &Value| port.items("fixed_ips").iter().any(|ip| ip["subnet_id"] == subnet["id"]);
        if !interfaces.iter().any(here) {
            let path = format!("/network/v2.0/routers/{id}/add_router_interface");
            let added = work.cloud.put(&path, &json!({"subnet_id": subnet["id"]}));
            added.map_err(|error| error.wrap("unable to create router interface"))?;
        }
    }
    Ok(())
}

/// Disconnects the subnet and deletes the router.
pub(super) fn delete_router(work: &Work<'_, '_>) -> CloudResult<()> {
    let Some(router) = known_router(work)? else { return Ok(()) };
    let id = router.text("id");
    if let Some(subnet) = work.cloud.find("/network/v2.0/subnets", "subnets", &name(work))? {
        let path = format!("/network/v2.0/routers/{id}/remove_router_interface");
        match work.cloud.put(&path, &json!({"subnet_id": subnet["id"]})) {
            Err(error) if !error.is_not_found() => {
                return Err(error.wrap("unable to remove router interface"));
            }
            _ => {}
        }
    }
    if work.object.at("spec.router").is_null() { delete(work, "Router", "routers", &router) } else { Ok(()) }
}

/// Deletes what is left of the ports that carry the cluster's name.
pub(super) fn delete_ports(work: &Work<'_, '_>) -> CloudResult<()> {
    let Some(network) = work.object.text_at("status.network.id") else { return Ok(()) };
    let name = work.object.name();
    for port in work.cloud.list(&format!("/network/v2.0/ports?network_id={network}"), "ports")? {
        if port.text("name").starts_with(name) || port.text("name").starts_with(&work.base) {
            work.cloud.delete_if_there(&format!("/network/v2.0/ports/{}", port.text("id")))?;
        }
    }
    Ok(())
}

/// Deletes the network together with its subnet.
pub(super) fn delete_network(work: &Work<'_, '_>) -> CloudResult<()> {
    match work.cloud.find("/network/v2.0/networks", "networks", &name(work))? {
        Some(network) => delete(work, "Network", "networks", &network),
        None => Ok(()),
    }
}

/// The floating IP of an address, or a new one.
pub(super) fn floating_ip(work: &Work<'_, '_>, address: &str) -> CloudResult<Value> {
    let Some(external) = work.object.text_at("status.externalNetwork.id") else {
        return Err(CloudError::new("external network not found"));
    };
    let mut request = json!({"floating_network_id": external, "description": work.description()});
    if !address.is_empty() {
        let found = work
            .cloud
            .list(&format!("/network/v2.0/floatingips?floating_ip_address={address}"), "floatingips")?;
        if let Some(known) = found.into_iter().next() {
            return Ok(known);
        }
        request.set("floating_ip_address", address);
    }
    let made = work.cloud.post("/network/v2.0/floatingips", &json!({"floatingip": request}));
    let made = match made {
        Ok(mut made) => made["floatingip"].take(),
        Err(error) => {
            work.tell("FailedCreateFloatingIP", &format!("Failed to create floating IP {address}: {error}"));
            return Err(error);
        }
    };
    let (address, id) = (made.text("floating_ip_address"), made.text("id"));
    work.cloud.tag("floatingips", id, &work.tags())?;
    work.tell("SuccessfulCreateFloatingIP", &format!("Created floating IP {address} with id {id}"));
    Ok(made)
}

/// Points a floating IP at a port.
pub(super) fn associate(work: &Work<'_, '_>, floating_ip: &Value, port: &Value) -> CloudResult<()> {
    if floating_ip["port_id"] == *port {
        return Ok(());
    }
    let (address, id) = (floating_ip.text("floating_ip_address"), floating_ip.text("id"));
    work.cloud.put(&format!("/network/v2.0/floatingips/{id}"), &json!({"floatingip": {"port_id": port}}))?;
    if port.is_string() {
        work.tell(
            "SuccessfulAssociateFloatingIP",
            &format!("Associated floating IP {address} with port {}", port.as_str().unwrap_or_default()),
        );
    } else {
        work.tell("SuccessfulDisassociateFloatingIP", &format!("Disassociated floating IP {address}"));
    }
    Ok(())
}

/// Takes a floating IP from its port, and deletes it unless it was given by the user.
pub(super) fn release(work: &Work<'_, '_>, floating_ip: &Value) -> CloudResult<()> {
    associate(work, floating_ip, &Value::Null)?;
    let address = floating_ip.text("floating_ip_address");
    if work.object.text("spec.apiServerFloatingIP") == address {
        return Ok(());
    }
    work.cloud.delete_if_there(&format!("/network/v2.0/floatingips/{}", floating_ip.text("id")))?;
    work.tell("SuccessfulDeleteFloatingIP", &format!("Deleted floating IP {address}"));
    Ok(())
}
