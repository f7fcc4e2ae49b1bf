//! Roles, and who has which in which project.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use serde_json::{Value, json};

use super::directory::{Answer, admin, links};
use super::{DOMAIN, Role};
use crate::World;
use crate::openstack::OpenStack;
use crate::openstack::caller::Caller;
use crate::openstack::error::ApiError;
use crate::openstack::query::Query;

pub(super) fn router() -> Router<World> {
    let one = put(assign).head(has).get(has).delete(withdraw);
    Router::new()
        .route("/identity/v3/roles", get(list))
        .route("/identity/v3/roles/{id}", get(show))
        .route("/identity/v3/role_assignments", get(assignments))
        .route("/identity/v3/projects/{project}/users/{user}/roles", get(held))
        .route("/identity/v3/projects/{project}/users/{user}/roles/{role}", one)
}

impl Role {
    fn view(&self, base_url: &str) -> Value {
        json!({"id": self.id, "name": self.name, "domain_id": null, "description": null, "options": {},
               "links": {"self": format!("{base_url}/identity/v3/roles/{}", self.id)}})
    }
}

async fn list(State(world): State<World>, caller: Caller, RawQuery(query): RawQuery) -> Answer {
    admin(&caller, "identity:list_roles")?;
    let query = Query::parse(query.as_deref());
    query.only(&["name", "domain_id"])?;
    let cloud = world.openstack();
    let named = |role: &&Role| query.get("name").is_none_or(|name| role.name == name);
    // No role belongs to a domain.
    let roles = cloud.identity.roles.iter().filter(|_| query.get("domain_id").is_none_or(str::is_empty));
    let views: Vec<Value> = roles.filter(named).map(|role| role.view(world.base_url())).collect();
    let url = format!("{}/identity/v3/roles", world.base_url());
    Ok(axum::Json(json!({"roles": views, "links": links(&url)})))
}

async fn show(State(world): State<World>, caller: Caller, Path(id): Path<String>) -> Answer {
    admin(&caller, "identity:get_role")?;
    let cloud = world.openstack();
    let role = cloud.identity.roles.get(&id).ok_or_else(|| missing("role", &id))?;
    Ok(axum::Json(json!({"role": role.view(world.base_url())})))
}

fn missing(kind: &str, id: &str) -> ApiError {
    ApiError::not_found(format!("Could not find {kind}: {id}."))
}

/// Who has which role where; names only if the client asks for them.
async fn assignments(State(world): State<World>, caller: Caller, RawQuery(query): RawQuery) -> Answer {
    admin(&caller, "identity:list_role_assignments")?;
    let query = Query::parse(query.as_deref());
    query.only(&["user.id", "group.id", "role.id", "scope.project.id", "effective", "include_names"])?;
    let named = query.get("include_names").is_some_and(|value| !matches!(value, "0" | "False" | "false"));
    let cloud = world.openstack();
    let domain = json!({"id": DOMAIN, "name": "Default"});
    let mut views = Vec::new();
    for (user, project, role) in cloud.identity.each_assignment() {
        let is = |key: &str, id: &str| query.get(key).is_none_or(|wanted| wanted.is_empty() || wanted == id);
        let grouped = query.get("group.id").is_some_and(|id| !id.is_empty());
        let fits = is("user.id", &user.id) && is("scope.project.id", &project.id) && is("role.id", &role.id);
        if grouped || !fits {
            continue;
        }
        let mut view = json!({"role": {"id": role.id}, "user": {"id": user.id}, "scope": {"project": {"id": project.id}}});
        if named {
            view["role"]["name"] = json!(role.name);
            view["user"]["name"] = json!(user.name);
            view["user"]["domain"] = domain.clone();
            view["scope"]["project"]["name"] = json!(project.name);
            view["scope"]["project"]["domain"] = domain.clone();
        }
        let path = format!("projects/{}/users/{}/roles/{}", project.id, user.id, role.id);
        view["links"] = json!({"assignment": format!("{}/identity/v3/{path}", world.base_url())});
        views.push(view);
    }
    let url = format!("{}/identity/v3/role_assignments", world.base_url());
    Ok(axum::Json(json!({"role_assignments": views, "links": links(&url)})))
}

fn check(cloud: &OpenStack, project: &str, user: &str) -> Result<(), ApiError> {
    cloud.identity.projects.get(project).ok_or_else(|| missing("project", project))?;
    cloud.identity.users.get(user).ok_or_else(|| missing("user", user)).map(drop)
}

async fn held(
    State(world): State<World>,
    caller: Caller,
    Path((project, user)): Path<(String, String)>,
) -> Answer {
    admin(&caller, "identity:list_grants")?;
    let cloud = world.openstack();
    check(&cloud, &project, &user)?;
    let roles = cloud.identity.roles_of(&user, &project);
    let views: Vec<Value> = roles.iter().map(|role| role.view(world.base_url())).collect();
    let url = format!("{}/identity/v3/projects/{project}/users/{user}/roles", world.base_url());
    Ok(axum::Json(json!({"roles": views, "links": links(&url)})))
}

/// Project, user and role.
type Place = Path<(String, String, String)>;

fn role_named(cloud: &OpenStack, Path((project, user, role)): &Place) -> Result<String, ApiError> {
    check(cloud, project, user)?;
    let role = cloud.identity.roles.get(role).ok_or_else(|| missing("role", role))?;
    Ok(role.name.clone())
}

async fn assign(State(world): State<World>, caller: Caller, place: Place) -> Result<StatusCode, ApiError> {
    admin(&caller, "identity:create_grant")?;
    let mut cloud = world.openstack();
    let name = role_named(&cloud, &place)?;
    let Path((project, user, _)) = &place;
    cloud.identity.assign(user, project, name);
    Ok(StatusCode::NO_CONTENT)
}

fn not_assigned(Path((project, user, role)): &Place) -> ApiError {
    ApiError::not_found(format!(
        "Could not find role assignment with role: {role}, user or group: {user}, project, domain, or system: {project}."
    ))
}

async fn has(State(world): State<World>, caller: Caller, place: Place) -> Result<StatusCode, ApiError> {
    admin(&caller, "identity:check_grant")?;
    let cloud = world.openstack();
    let name = role_named(&cloud, &place)?;
    let Path((project, user, _)) = &place;
    let held = cloud.identity.roles_of(user, project);
    if held.iter().any(|role| role.name == name) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(not_assigned(&place))
    }
}

/// Tokens that carry the role end with it.
async fn withdraw(State(world): State<World>, caller: Caller, place: Place) -> Result<StatusCode, ApiError> {
    admin(&caller, "identity:revoke_grant")?;
    let mut cloud = world.openstack();
    let name = role_named(&cloud, &place)?;
    let Path((project, user, _)) = &place;
    if !cloud.identity.withdraw(user, project, &name) {
        return Err(not_assigned(&place));
    }
    cloud.revoke(|token| token.user_id == *user && token.project_id == *project);
    Ok(StatusCode::NO_CONTENT)
}
