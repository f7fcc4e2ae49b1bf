//! Tokens: issue, show, check, revoke; the catalog.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::{DOMAIN, Login, Token};
use crate::World;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::query::Query;
use crate::openstack::time;

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/identity/v3/auth/tokens", post(issue).get(show).head(show).delete(revoke))
        .route("/identity/v3/auth/catalog", get(catalog))
}

async fn issue(
    State(world): State<World>,
    RawQuery(query): RawQuery,
    bytes: Bytes,
) -> Result<Response, ApiError> {
    let login: Login = body::rooted(Shape::Keystone, "auth", &bytes)?;
    let token = world.openstack().log_in(&login)?;
    let with_catalog = !Query::parse(query.as_deref()).has("nocatalog");
    Ok((StatusCode::CREATED, answer(&world, &token, with_catalog)).into_response())
}

async fn show(
    State(world): State<World>,
    _caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let token = subject(&world, &headers)?;
    let with_catalog = !Query::parse(query.as_deref()).has("nocatalog");
    Ok(answer(&world, &token, with_catalog))
}

async fn revoke(
    State(world): State<World>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let token = subject(&world, &headers)?;
    if token.user_id != caller.user_id && !caller.is_admin() {
        return Err(super::directory::forbidden("identity:revoke_token"));
    }
    world.openstack().revoke(|each| each.id == token.id);
    Ok(StatusCode::NO_CONTENT)
}

async fn catalog(State(world): State<World>, caller: Caller) -> axum::Json<Value> {
    let cloud = world.openstack();
    let catalog = cloud.identity.catalog(world.base_url(), &caller.project_id, world.faults());
    let links = json!({"next": null, "self": format!("{}/identity/v3/auth/catalog", world.base_url()), "previous": null});
    axum::Json(json!({"catalog": catalog, "links": links}))
}

/// The token in `X-Subject-Token`.
fn subject(world: &World, headers: &HeaderMap) -> Result<std::sync::Arc<Token>, ApiError> {
    let id = headers.get("x-subject-token").and_then(|value| value.to_str().ok()).unwrap_or_default();
    world.openstack().token(id).ok_or_else(|| ApiError::not_found("Could not recognize Fernet token"))
}

fn answer(world: &World, token: &Token, with_catalog: bool) -> Response {
    let roles: Vec<Value> =
        token.roles.iter().map(|role| json!({"id": role.id, "name": role.name})).collect();
    let domain = json!({"id": DOMAIN, "name": "Default"});
    let mut body = json!({
        "methods": token.methods,
        "user": {"domain": domain, "id": token.user_id, "name": token.user_name, "password_expires_at": null},
        "audit_ids": token.audit_ids,
        "expires_at": time::token(token.expires_at),
        "issued_at": time::token(token.issued_at),
        "project": {"domain": domain, "id": token.project_id, "name": token.project_name},
        "is_domain": false,
        "roles": roles,
    });
    if with_catalog {
        body["catalog"] =
            world.openstack().identity.catalog(world.base_url(), &token.project_id, world.faults());
    }
    if let Some((id, name, restricted)) = &token.application_credential {
        body["application_credential"] = json!({"id": id, "name": name, "restricted": restricted});
    }
    ([("x-subject-token", token.id.clone())], axum::Json(json!({"token": body}))).into_response()
}
