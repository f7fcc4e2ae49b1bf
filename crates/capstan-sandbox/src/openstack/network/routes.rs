//! Routes of Neutron.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use serde_json::{Map, Value, json};

use super::{
    FloatingIp, InterfaceRequest, Network, Port, Router as VirtualRouter, SecurityGroup, SecurityGroupRule,
    Subnet, policy, tags,
};
use crate::World;
use crate::openstack::ZONES;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::quotas;
use crate::openstack::rest;

type Answer = Result<axum::Json<Value>, ApiError>;

const EXTENSIONS: [(&str, &str); 22] = [
    ("address-group", "Address group"),
    ("allowed-address-pairs", "Allowed Address Pairs"),
    ("availability_zone", "Availability Zone"),
    ("availability_zone_filter", "Availability Zone Filter Extension"),
    ("binding", "Port Binding"),
    ("external-net", "Neutron external network"),
    ("ext-gw-mode", "Neutron L3 Configurable external gateway mode"),
    ("fip-port-details", "Floating IP Port Details Extension"),
    ("net-mtu", "Network MTU"),
    ("net-mtu-writable", "Network MTU (writable)"),
    ("network_availability_zone", "Network Availability Zone"),
    ("pagination", "Pagination support"),
    ("port-security", "Port Security"),
    ("project-id", "project_id field enabled"),
    ("quota_details", "Quota details management support"),
    ("quotas", "Quota management support"),
    ("router", "Neutron L3 Router"),
    ("router_availability_zone", "Router Availability Zone"),
    ("security-group", "security-group"),
    ("sorting", "Sorting support"),
    ("standard-attr-description", "standard-attr-description"),
    ("standard-attr-tag", "Tag support for resources with standard attribute"),
];

pub(crate) fn router() -> Router<World> {
    let routes = Router::new()
        .route("/network", get(versions))
        .route("/network/", get(versions))
        .route("/network/v2.0/", get(resources))
        .route("/network/v2.0/extensions", get(extensions))
        .route("/network/v2.0/extensions/{alias}", get(extension))
        .route("/network/v2.0/availability_zones", get(zones))
        .route("/network/v2.0/quotas/{project}", get(quota).put(set_quota).delete(reset_quota))
        .route("/network/v2.0/quotas/{project}/details.json", get(quota_details))
        .route("/network/v2.0/quotas/{project}/details", get(quota_details))
        .route("/network/v2.0/quotas/{project}/default", get(quota_defaults))
        .route("/network/v2.0/routers/{id}/add_router_interface", put(add_interface))
        .route("/network/v2.0/routers/{id}/remove_router_interface", put(remove_interface))
        .merge(tags::router());
    let routes = collection::<Network>(routes, "networks");
    let routes = collection::<Subnet>(routes, "subnets");
    let routes = collection::<Port>(routes, "ports");
    let routes = collection::<VirtualRouter>(routes, "routers");
    let routes = collection::<FloatingIp>(routes, "floatingips");
    let routes = collection::<SecurityGroup>(routes, "security-groups");
    collection::<SecurityGroupRule>(routes, "security-group-rules")
}

fn collection<R: crate::openstack::resource::Resource>(routes: Router<World>, path: &str) -> Router<World> {
    rest::collection::<R>(routes, Shape::Neutron, &format!("/network/v2.0/{path}"))
}

async fn versions(State(world): State<World>) -> axum::Json<Value> {
    let href = format!("{}/network/v2.0/", world.base_url());
    axum::Json(
        json!({"versions": [{"id": "v2.0", "status": "CURRENT", "links": [{"rel": "self", "href": href}]}]}),
    )
}

async fn resources(State(world): State<World>) -> axum::Json<Value> {
    let names =
        [("network", "networks"), ("subnet", "subnets"), ("subnetpool", "subnetpools"), ("port", "ports")];
    let resource = |(name, collection): &(&str, &str)| {
        let href = format!("{}/network/v2.0/{collection}", world.base_url());
        json!({"name": name, "collection": collection, "links": [{"rel": "self", "href": href}]})
    };
    axum::Json(json!({"resources": names.iter().map(resource).collect::<Vec<_>>()}))
}

fn extension_view((alias, name): &(&str, &str)) -> Value {
    json!({"name": name, "alias": alias, "description": name, "updated": "2020-01-01T10:00:00-00:00", "links": []})
}

async fn extensions(_caller: Caller) -> axum::Json<Value> {
    axum::Json(json!({"extensions": EXTENSIONS.iter().map(extension_view).collect::<Vec<_>>()}))
}

async fn extension(_caller: Caller, Path(alias): Path<String>) -> Answer {
    let found = EXTENSIONS.iter().find(|(known, _)| *known == alias);
    let found = found.ok_or_else(|| {
        let text = format!("Extension with alias {alias} does not exist");
        ApiError::new(404, "ExtensionNotFound", text)
    })?;
    Ok(axum::Json(json!({"extension": extension_view(found)})))
}

async fn zones(_caller: Caller) -> axum::Json<Value> {
    let zone = |kind: &str| {
        let view = |name: &&str| json!({"state": "available", "resource": kind, "name": name});
        ZONES.iter().map(view).collect::<Vec<_>>()
    };
    let zones = [zone("network"), zone("router")].concat();
    axum::Json(json!({"availability_zones": zones}))
}

fn may_see_quota(caller: &Caller, project: &str) -> Result<(), ApiError> {
    if caller.sees(project) { Ok(()) } else { Err(policy("get", "quota")) }
}

async fn quota(State(world): State<World>, caller: Caller, Path(project): Path<String>) -> Answer {
    may_see_quota(&caller, &project)?;
    let cloud = world.openstack();
    let limits = quotas::resources("network");
    let quota: Map<String, Value> =
        limits.map(|name| (name.to_owned(), json!(cloud.limit(&project, "network", name)))).collect();
    Ok(axum::Json(json!({"quota": quota})))
}

async fn set_quota(
    State(world): State<World>,
    caller: Caller,
    Path(project): Path<String>,
    bytes: Bytes,
) -> Answer {
    if !caller.is_admin() {
        return Err(policy("update", "quota"));
    }
    let mut wanted: Map<String, Value> = body::rooted(Shape::Neutron, "quota", &bytes)?;
    if wanted.remove("check_limit") == Some(Value::Bool(true)) {
        let cloud = world.openstack();
        let used = |name: &str| i64::try_from(cloud.network_usage(&project, name)).unwrap_or(i64::MAX);
        let below = |(name, limit): &(&String, &Value)| {
            limit.as_i64().is_some_and(|limit| (0..used(name)).contains(&limit))
        };
        if let Some((name, _)) = wanted.iter().find(below) {
            let text =
                format!("Change would make usage less than 0 for the following resources: ['{name}'].");
            return Err(ApiError::new(400, "InvalidQuotaValue", text));
        }
    }
    world.openstack().change_quotas(&project, "network", &wanted).map_err(|field| {
        ApiError::new(400, "HTTPBadRequest", format!("Unrecognized attribute(s) '{field}'"))
    })?;
    quota(State(world), caller, Path(project)).await
}

async fn reset_quota(
    State(world): State<World>,
    caller: Caller,
    Path(project): Path<String>,
) -> Result<StatusCode, ApiError> {
    if !caller.is_admin() {
        return Err(policy("delete", "quota"));
    }
    world.openstack().reset_quotas(&project, "network");
    Ok(StatusCode::NO_CONTENT)
}

async fn quota_defaults(caller: Caller, Path(project): Path<String>) -> Answer {
    may_see_quota(&caller, &project)?;
    let limits = quotas::resources("network");
    let quota: Map<String, Value> =
        limits.map(|name| (name.to_owned(), json!(quotas::default_limit("network", name)))).collect();
    Ok(axum::Json(json!({"quota": quota})))
}

async fn quota_details(State(world): State<World>, caller: Caller, Path(project): Path<String>) -> Answer {
    may_see_quota(&caller, &project)?;
    let cloud = world.openstack();
    let detail = |name: &'static str| {
        let limit = cloud.limit(&project, "network", name);
        let used = cloud.network_usage(&project, name);
        (name.to_owned(), json!({"limit": limit, "used": used, "reserved": 0}))
    };
    let quota: Map<String, Value> = quotas::resources("network").map(detail).collect();
    Ok(axum::Json(json!({"quota": quota})))
}

async fn add_interface(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Answer {
    let request: InterfaceRequest = body::plain(Shape::Neutron, &bytes)?;
    Ok(axum::Json(world.openstack().add_router_interface(&caller, &id, &request)?))
}

async fn remove_interface(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Answer {
    let request: InterfaceRequest = body::plain(Shape::Neutron, &bytes)?;
    Ok(axum::Json(world.openstack().remove_router_interface(&caller, &id, &request)?))
}
