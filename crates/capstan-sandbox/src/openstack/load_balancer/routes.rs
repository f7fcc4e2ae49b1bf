//! Routes of Octavia, under `/v2` and `/v2.0`.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::balancers::PROVIDERS;
use super::{
    HealthMonitor, Listener, LoadBalancer, Member, MemberCreate, MemberUpdate, Pool, Reference, policy,
};
use crate::World;
use crate::openstack::OpenStack;
use crate::openstack::ZONES;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::query::{self, Query};
use crate::openstack::quotas;
use crate::openstack::resource::Resource as _;
use crate::openstack::rest;

type Answer = Result<axum::Json<Value>, ApiError>;

/// The newest minor version.
const NEWEST: u32 = 27;

pub(crate) fn router() -> Router<World> {
    let routes = Router::new().route("/load-balancer", get(versions)).route("/load-balancer/", get(versions));
    let routes = under(routes, "/load-balancer/v2/lbaas");
    under(routes, "/load-balancer/v2.0/lbaas")
}

fn under(routes: Router<World>, base: &str) -> Router<World> {
    let routes = rest::collection_with_delete::<LoadBalancer, _, _>(
        routes,
        Shape::Octavia,
        &format!("{base}/loadbalancers"),
        delete_balancer,
    );
    let routes = rest::collection::<Listener>(routes, Shape::Octavia, &format!("{base}/listeners"));
    let routes = rest::collection::<Pool>(routes, Shape::Octavia, &format!("{base}/pools"));
    let routes = rest::collection::<HealthMonitor>(routes, Shape::Octavia, &format!("{base}/healthmonitors"));
    let members = get(members).post(create_member).put(replace_members);
    let member = get(member).put(update_member).delete(delete_member);
    routes
        .route(&format!("{base}/loadbalancers/{{id}}/status"), get(status))
        .route(&format!("{base}/loadbalancers/{{id}}/statuses"), get(status))
        .route(&format!("{base}/loadbalancers/{{id}}/stats"), get(statistics))
        .route(&format!("{base}/pools/{{pool}}/members"), members)
        .route(&format!("{base}/pools/{{pool}}/members/{{id}}"), member)
        .route(&format!("{base}/providers"), get(providers))
        .route(&format!("{base}/flavors"), get(flavors))
        .route(&format!("{base}/flavors/{{id}}"), get(flavor))
        .route(&format!("{base}/availabilityzones"), get(zones))
        .route(&format!("{base}/quotas/{{project}}"), get(quota).put(set_quota).delete(reset_quota))
}

async fn versions(State(world): State<World>) -> axum::Json<Value> {
    let href = format!("{}/load-balancer/v2", world.base_url());
    let version = |minor: u32| {
        let status = if minor == NEWEST { "CURRENT" } else { "SUPPORTED" };
        json!({"id": format!("v2.{minor}"), "status": status, "updated": "2023-05-05T00:00:00Z",
               "links": [{"href": href, "rel": "self"}]})
    };
    axum::Json(json!({"versions": (0..=NEWEST).map(version).collect::<Vec<_>>()}))
}

async fn delete_balancer(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(text): RawQuery,
) -> Result<StatusCode, ApiError> {
    let query = Query::parse(text.as_deref());
    query.only(&["cascade"])?;
    let cascade = query.get("cascade").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    world.openstack().delete_load_balancer(&caller, &id, cascade)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The states of a load balancer and of everything below it.
async fn status(State(world): State<World>, caller: Caller, Path(id): Path<String>) -> Answer {
    let cloud = world.openstack();
    let balancer = LoadBalancer::get(&cloud, &caller, &id)?;
    let me = Reference::to(&id);
    let listeners = cloud.load_balancer.listeners.iter().filter(|each| each.loadbalancers.contains(&me));
    let listener = |listener: &Listener| {
        let pool = listener.default_pool_id.as_deref().and_then(|id| cloud.load_balancer.pools.get(id));
        json!({"id": listener.id, "name": listener.name, "operating_status": listener.standard.operating_status,
               "provisioning_status": listener.standard.provisioning_status,
               "pools": pool.iter().map(|pool| pool_status(&cloud, pool)).collect::<Vec<_>>()})
    };
    let tree = json!({"id": balancer.id, "name": balancer.name,
                      "operating_status": balancer.standard.operating_status,
                      "provisioning_status": balancer.standard.provisioning_status,
                      "listeners": listeners.map(listener).collect::<Vec<_>>()});
    Ok(axum::Json(json!({"statuses": {"loadbalancer": tree}})))
}

fn pool_status(cloud: &OpenStack, pool: &Pool) -> Value {
    let member = |member: &Member| {
        json!({"id": member.id, "name": member.name, "operating_status": member.standard.operating_status,
               "provisioning_status": member.standard.provisioning_status, "address": member.address,
               "protocol_port": member.protocol_port})
    };
    let mut view = json!({"id": pool.id, "name": pool.name, "operating_status": pool.standard.operating_status,
                          "provisioning_status": pool.standard.provisioning_status,
                          "members": cloud.members_of(&pool.id).map(member).collect::<Vec<_>>()});
    let me = Reference::to(&pool.id);
    if let Some(monitor) = cloud.load_balancer.monitors.iter().find(|each| each.pools.contains(&me)) {
        view["health_monitor"] = json!({"id": monitor.id, "name": monitor.name, "type": monitor.kind,
            "provisioning_status": monitor.standard.provisioning_status,
            "operating_status": monitor.standard.operating_status});
    }
    view
}

async fn statistics(State(world): State<World>, caller: Caller, Path(id): Path<String>) -> Answer {
    LoadBalancer::get(&world.openstack(), &caller, &id)?;
    Ok(axum::Json(
        json!({"stats": {"bytes_in": 0, "bytes_out": 0, "active_connections": 0, "total_connections": 0,
                                   "request_errors": 0}}),
    ))
}

async fn members(
    State(world): State<World>,
    caller: Caller,
    Path(pool): Path<String>,
    RawQuery(text): RawQuery,
    uri: Uri,
) -> Answer {
    let query = Query::parse(text.as_deref());
    let cloud = world.openstack();
    Pool::get(&cloud, &caller, &pool)?;
    let views = cloud.members_of(&pool).map(|each| serde_json::to_value(each).unwrap_or_default()).collect();
    let page = query::page::<Member>(&query, views)?;
    let url = format!("{}{}", world.base_url(), uri.path());
    Ok(axum::Json(query::collection("members", &url, &query, page, true)))
}

async fn create_member(
    State(world): State<World>,
    caller: Caller,
    Path(pool): Path<String>,
    bytes: Bytes,
) -> Result<Response, ApiError> {
    let request: MemberCreate = body::rooted(Shape::Octavia, "member", &bytes)?;
    let member = world.openstack().create_member(&caller, &pool, request)?;
    Ok((StatusCode::CREATED, axum::Json(json!({"member": member}))).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    members: Vec<MemberCreate>,
}

async fn replace_members(
    State(world): State<World>,
    caller: Caller,
    Path(pool): Path<String>,
    bytes: Bytes,
) -> Result<StatusCode, ApiError> {
    let wanted: Members = body::plain(Shape::Octavia, &bytes)?;
    world.openstack().replace_members(&caller, &pool, wanted.members)?;
    Ok(StatusCode::ACCEPTED)
}

async fn member(
    State(world): State<World>,
    caller: Caller,
    Path((pool, id)): Path<(String, String)>,
) -> Answer {
    let cloud = world.openstack();
    Ok(axum::Json(json!({"member": cloud.member(&caller, &pool, &id)?})))
}

async fn update_member(
    State(world): State<World>,
    caller: Caller,
    Path((pool, id)): Path<(String, String)>,
    bytes: Bytes,
) -> Answer {
    let change: MemberUpdate = body::rooted(Shape::Octavia, "member", &bytes)?;
    let member = world.openstack().update_member(&caller, &pool, &id, change)?;
    Ok(axum::Json(json!({"member": member})))
}

async fn delete_member(
    State(world): State<World>,
    caller: Caller,
    Path((pool, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    world.openstack().delete_member(&caller, &pool, &id)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn providers(_: Caller) -> axum::Json<Value> {
    let provider = |(name, description): &(&str, &str)| json!({"name": name, "description": description});
    axum::Json(json!({"providers": PROVIDERS.iter().map(provider).collect::<Vec<_>>()}))
}

fn flavor_view(id: &str) -> Value {
    json!({"id": id, "name": "ha", "description": "Two amphorae", "enabled": true, "flavor_profile_id": id})
}

async fn flavors(State(world): State<World>, _: Caller) -> axum::Json<Value> {
    let view = flavor_view(&world.openstack().load_balancer_flavor);
    axum::Json(json!({"flavors": [view], "flavors_links": []}))
}

async fn flavor(State(world): State<World>, _: Caller, Path(id): Path<String>) -> Answer {
    let cloud = world.openstack();
    if id != cloud.load_balancer_flavor {
        return Err(ApiError::not_found(format!("Flavor {id} not found.")));
    }
    Ok(axum::Json(json!({"flavor": flavor_view(&id)})))
}

async fn zones(_: Caller) -> axum::Json<Value> {
    let zone = |name: &&str| json!({"name": name, "description": "", "enabled": true});
    let zones: Vec<Value> = ZONES.iter().map(zone).collect();
    axum::Json(json!({"availability_zones": zones, "availability_zones_links": []}))
}

async fn set_quota(
    State(world): State<World>,
    caller: Caller,
    Path(project): Path<String>,
    bytes: Bytes,
) -> Result<Response, ApiError> {
    if !caller.is_admin() {
        return Err(policy());
    }
    let wanted: Map<String, Value> = body::rooted(Shape::Octavia, "quota", &bytes)?;
    world.openstack().change_quotas(&project, "load-balancer", &wanted).map_err(|field| {
        ApiError::bad_request(format!("Unknown attribute for argument quota_.quota: {field}"))
    })?;
    let answer = quota(State(world), caller, Path(project)).await?;
    Ok((StatusCode::ACCEPTED, answer).into_response())
}

async fn reset_quota(
    State(world): State<World>,
    caller: Caller,
    Path(project): Path<String>,
) -> Result<StatusCode, ApiError> {
    if !caller.is_admin() {
        return Err(policy());
    }
    world.openstack().reset_quotas(&project, "load-balancer");
    Ok(StatusCode::NO_CONTENT)
}

async fn quota(State(world): State<World>, caller: Caller, Path(project): Path<String>) -> Answer {
    if project != "defaults" && !caller.sees(&project) || project == "defaults" && !caller.is_admin() {
        return Err(policy());
    }
    let cloud = world.openstack();
    let limits = quotas::resources("load-balancer");
    let quota: Map<String, Value> =
        limits.map(|name| (name.to_owned(), json!(cloud.limit(&project, "load-balancer", name)))).collect();
    Ok(axum::Json(json!({"quota": quota})))
}
