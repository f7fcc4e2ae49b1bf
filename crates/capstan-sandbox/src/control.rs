//! `/_sandbox`: looking behind the scenes and setting faults over HTTP. No token is asked for.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::faults::{Fault, FaultReport};
use crate::{Inventory, Requests, World, strangers};

pub(crate) fn router() -> Router<World> {
    Router::new()
        .route("/_sandbox", get(index))
        .route("/_sandbox/inventory", get(inventory))
        .route("/_sandbox/requests", get(requests).delete(reset_requests))
        .route("/_sandbox/time", get(time).post(pass_time))
        .route("/_sandbox/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/_sandbox/faults/{id}", delete(remove_fault))
        .route("/_sandbox/quotas", put(set_quota))
        .route("/_sandbox/tokens", delete(expire_tokens))
        .route("/_sandbox/strangers", post(plant_strangers))
        .route("/_sandbox/clouds.yaml", get(clouds))
        .route("/_sandbox/kubeconfig", get(kubeconfig))
}

/// A clouds.yaml with the cloud `sandbox`.
pub(crate) fn clouds_yaml(base_url: &str) -> String {
    format!(
        "clouds:\n  sandbox:\n    auth:\n      auth_url: {base_url}/identity/v3\n      username: demo\n      \
         password: demo-password\n      project_name: demo\n      user_domain_name: Default\n      \
         project_domain_name: Default\n    region_name: RegionOne\n    identity_api_version: 3\n"
    )
}

async fn index() -> Json<Value> {
    Json(
        json!({"routes": ["inventory", "requests", "time", "faults", "quotas", "tokens", "strangers", "clouds.yaml", "kubeconfig"]}),
    )
}

async fn inventory(State(world): State<World>) -> Json<Inventory> {
    Json(Inventory::of(&world.openstack(), "demo"))
}

async fn requests(State(world): State<World>) -> Json<Requests> {
    Json(world.journal().requests())
}

async fn reset_requests(State(world): State<World>) -> StatusCode {
    world.journal().reset();
    StatusCode::NO_CONTENT
}

async fn time(State(world): State<World>) -> Json<Value> {
    let clock = world.clock();
    Json(json!({"now": world.now().to_string(), "elapsedSeconds": clock.elapsed().as_secs_f64(),
                "pendingEvents": clock.pending()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PassTime {
    advance_seconds: f64,
}

async fn pass_time(State(world): State<World>, Json(request): Json<PassTime>) -> Response {
    let Ok(span) = Duration::try_from_secs_f64(request.advance_seconds) else {
        return (StatusCode::BAD_REQUEST, "advanceSeconds must not be negative").into_response();
    };
    world.clock().advance(&world, span);
    time(State(world)).await.into_response()
}

async fn faults(State(world): State<World>) -> Json<Vec<FaultReport>> {
    Json(world.faults().list())
}

async fn add_fault(State(world): State<World>, Json(fault): Json<Fault>) -> Response {
    let id = world.faults().add(fault);
    (StatusCode::CREATED, Json(json!({"id": id}))).into_response()
}

async fn clear_faults(State(world): State<World>) -> StatusCode {
    world.faults().clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(world): State<World>, Path(id): Path<u64>) -> StatusCode {
    let removed = world.faults().remove(id);
    if removed { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetQuota {
    #[serde(default = "demo")]
    project: String,
    service: String,
    resource: String,
    limit: i64,
}

fn demo() -> String {
    "demo".to_owned()
}

async fn set_quota(State(world): State<World>, Json(request): Json<SetQuota>) -> StatusCode {
    let SetQuota { project, service, resource, limit } = request;
    if world.openstack().set_quota(&project, &service, &resource, limit) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

async fn expire_tokens(State(world): State<World>) -> StatusCode {
    world.openstack().expire_tokens();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Strangers {
    name: String,
}

async fn plant_strangers(State(world): State<World>, Json(request): Json<Strangers>) -> Response {
    match strangers::plant(&world, &request.name) {
        Ok(planted) => (StatusCode::CREATED, Json(planted)).into_response(),
        Err(error) => (StatusCode::CONFLICT, error.message).into_response(),
    }
}

async fn clouds(State(world): State<World>) -> String {
    clouds_yaml(world.base_url())
}

async fn kubeconfig(State(world): State<World>) -> String {
    crate::kubernetes::kubeconfig(world.base_url())
}
