//! Users and domains: as much as clients look up.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use serde_json::{Value, json};

use super::{DOMAIN, User};
use crate::World;
use crate::openstack::caller::Caller;
use crate::openstack::error::ApiError;
use crate::openstack::query::Query;

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/identity/v3/users", get(users))
        .route("/identity/v3/users/{id}", get(user))
        .route("/identity/v3/domains", get(domains))
        .route("/identity/v3/domains/{id}", get(domain))
}

/// 403 as Keystone words it.
pub(super) fn forbidden(action: &str) -> ApiError {
    ApiError::forbidden(format!("You are not authorized to perform the requested action: {action}."))
}

pub(super) type Answer = Result<axum::Json<Value>, ApiError>;

pub(super) fn links(url: &str) -> Value {
    json!({"next": null, "self": url, "previous": null})
}

fn user_view(base_url: &str, user: &User) -> Value {
    json!({"id": user.id, "name": user.name, "domain_id": DOMAIN, "enabled": true,
           "default_project_id": user.default_project_id, "password_expires_at": null, "options": {},
           "links": {"self": format!("{base_url}/identity/v3/users/{}", user.id)}})
}

async fn user(State(world): State<World>, caller: Caller, Path(id): Path<String>) -> Answer {
    if caller.user_id != id && !caller.is_admin() {
        return Err(forbidden("identity:get_user"));
    }
    let cloud = world.openstack();
    let user = cloud.identity.users.get(&id);
    let user = user.ok_or_else(|| ApiError::not_found(format!("Could not find user: {id}.")))?;
    Ok(axum::Json(json!({"user": user_view(world.base_url(), user)})))
}

async fn users(State(world): State<World>, caller: Caller, RawQuery(query): RawQuery) -> Answer {
    admin(&caller, "identity:list_users")?;
    let query = Query::parse(query.as_deref());
    query.only(&["name", "domain_id"])?;
    let cloud = world.openstack();
    let name = query.get("name");
    let named = cloud.identity.users.iter().filter(|user| name.is_none_or(|name| user.name == name));
    let views: Vec<Value> = named.map(|user| user_view(world.base_url(), user)).collect();
    let url = format!("{}/identity/v3/users", world.base_url());
    Ok(axum::Json(json!({"users": views, "links": links(&url)})))
}

async fn domains(State(world): State<World>, caller: Caller) -> Answer {
    admin(&caller, "identity:list_domains")?;
    let url = format!("{}/identity/v3/domains", world.base_url());
    Ok(axum::Json(json!({"domains": [domain_view(world.base_url())], "links": links(&url)})))
}

async fn domain(State(world): State<World>, caller: Caller, Path(id): Path<String>) -> Answer {
    admin(&caller, "identity:get_domain")?;
    if id != DOMAIN {
        return Err(ApiError::not_found(format!("Could not find domain: {id}.")));
    }
    Ok(axum::Json(json!({"domain": domain_view(world.base_url())})))
}

fn domain_view(base_url: &str) -> Value {
    json!({"id": DOMAIN, "name": "Default", "description": "The default domain", "enabled": true, "tags": [], "options": {},
           "links": {"self": format!("{base_url}/identity/v3/domains/{DOMAIN}")}})
}

/// Refuses everybody but administrators.
pub(super) fn admin(caller: &Caller, action: &str) -> Result<(), ApiError> {
    if caller.is_admin() { Ok(()) } else { Err(forbidden(action)) }
}
