//! Users, projects, roles: as much as clients look up.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use serde_json::{Value, json};

use super::{DOMAIN, Project, Role, User};
use crate::World;
use crate::openstack::caller::Caller;
use crate::openstack::error::ApiError;
use crate::openstack::query::Query;

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/identity/v3/auth/projects", get(own_projects))
        .route("/identity/v3/users/{id}/projects", get(projects_of))
        .route("/identity/v3/users", get(users))
        .route("/identity/v3/users/{id}", get(user))
        .route("/identity/v3/projects", get(projects))
        .route("/identity/v3/projects/{id}", get(project))
        .route("/identity/v3/domains", get(domains))
        .route("/identity/v3/domains/{id}", get(domain))
        .route("/identity/v3/roles", get(roles))
        .route("/identity/v3/role_assignments", get(role_assignments))
}

/// 403 as Keystone words it.
pub(super) fn forbidden(action: &str) -> ApiError {
    ApiError::forbidden(format!("You are not authorized to perform the requested action: {action}."))
}

type Answer = Result<axum::Json<Value>, ApiError>;

fn links(url: &str) -> Value {
    json!({"next": null, "self": url, "previous": null})
}

fn project_view(base_url: &str, project: &Project) -> Value {
    json!({"id": project.id, "name": project.name, "domain_id": DOMAIN, "description": "", "enabled": true,
           "parent_id": DOMAIN, "is_domain": false, "tags": [], "options": {},
           "links": {"self": format!("{base_url}/identity/v3/projects/{}", project.id)}})
}

fn user_view(base_url: &str, user: &User) -> Value {
    json!({"id": user.id, "name": user.name, "domain_id": DOMAIN, "enabled": true,
           "default_project_id": user.default_project_id, "password_expires_at": null, "options": {},
           "links": {"self": format!("{base_url}/identity/v3/users/{}", user.id)}})
}

async fn own_projects(State(world): State<World>, caller: Caller) -> axum::Json<Value> {
    let cloud = world.openstack();
    let url = format!("{}/identity/v3/auth/projects", world.base_url());
    // An application credential is bound to its project; a user sees all in which it has a role.
    let bound = caller.application_credential.is_some();
    let mine = |project: &&Project| {
        if bound {
            project.id == caller.project_id
        } else {
            !cloud.identity.roles_of(&caller.user_id, &project.id).is_empty()
        }
    };
    let views: Vec<Value> = cloud
        .identity
        .projects
        .iter()
        .filter(mine)
        .map(|each| project_view(world.base_url(), each))
        .collect();
    axum::Json(json!({"projects": views, "links": links(&url)}))
}

async fn projects_of(State(world): State<World>, caller: Caller, Path(id): Path<String>) -> Answer {
    if caller.user_id != id && !caller.is_admin() {
        return Err(forbidden("identity:list_user_projects"));
    }
    let cloud = world.openstack();
    let url = format!("{}/identity/v3/users/{id}/projects", world.base_url());
    let mine = |project: &&Project| !cloud.identity.roles_of(&id, &project.id).is_empty();
    let views: Vec<Value> = cloud
        .identity
        .projects
        .iter()
        .filter(mine)
        .map(|each| project_view(world.base_url(), each))
        .collect();
    Ok(axum::Json(json!({"projects": views, "links": links(&url)})))
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

async fn project(State(world): State<World>, caller: Caller, Path(id): Path<String>) -> Answer {
    if caller.project_id != id && !caller.is_admin() {
        return Err(forbidden("identity:get_project"));
    }
    let cloud = world.openstack();
    let project = cloud.identity.projects.get(&id);
    let project = project.ok_or_else(|| ApiError::not_found(format!("Could not find project: {id}.")))?;
    Ok(axum::Json(json!({"project": project_view(world.base_url(), project)})))
}

async fn projects(State(world): State<World>, caller: Caller, RawQuery(query): RawQuery) -> Answer {
    admin(&caller, "identity:list_projects")?;
    let query = Query::parse(query.as_deref());
    query.only(&["name", "domain_id"])?;
    let cloud = world.openstack();
    let name = query.get("name");
    let named = cloud.identity.projects.iter().filter(|project| name.is_none_or(|name| project.name == name));
    let views: Vec<Value> = named.map(|project| project_view(world.base_url(), project)).collect();
    let url = format!("{}/identity/v3/projects", world.base_url());
    Ok(axum::Json(json!({"projects": views, "links": links(&url)})))
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

async fn roles(State(world): State<World>, caller: Caller) -> Answer {
    admin(&caller, "identity:list_roles")?;
    let view = |role: &Role| json!({"id": role.id, "name": role.name, "domain_id": null, "description": null, "options": {}});
    let views: Vec<Value> = world.openstack().identity.roles.iter().map(view).collect();
    let url = format!("{}/identity/v3/roles", world.base_url());
    Ok(axum::Json(json!({"roles": views, "links": links(&url)})))
}

async fn role_assignments(State(_): State<World>, _caller: Caller) -> ApiError {
    forbidden("identity:list_role_assignments")
}

fn domain_view(base_url: &str) -> Value {
    json!({"id": DOMAIN, "name": "Default", "description": "The default domain", "enabled": true, "tags": [], "options": {},
           "links": {"self": format!("{base_url}/identity/v3/domains/{DOMAIN}")}})
}

fn admin(caller: &Caller, action: &str) -> Result<(), ApiError> {
    if caller.is_admin() { Ok(()) } else { Err(forbidden(action)) }
}
