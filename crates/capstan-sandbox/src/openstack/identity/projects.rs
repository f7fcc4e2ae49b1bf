//! Projects: everybody sees the own ones, administrators make and change them.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::directory::{Answer, admin, forbidden, links};
use super::{DOMAIN, Project};
use crate::World;
use crate::openstack::OpenStack;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::query::Query;

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/identity/v3/auth/projects", get(own))
        .route("/identity/v3/users/{id}/projects", get(of_user))
        .route("/identity/v3/projects", get(list).post(create))
        .route("/identity/v3/projects/{id}", get(show).patch(update).delete(delete))
}

/// Body of a create and of an update.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    name: Option<String>,
    description: Option<String>,
    enabled: Option<bool>,
    tags: Option<Vec<String>>,
    domain_id: Option<String>,
    parent_id: Option<String>,
    is_domain: Option<bool>,
    options: Option<Value>,
}

impl Wanted {
    fn check(&self, cloud: &OpenStack, own: Option<&str>) -> Result<(), ApiError> {
        let name = self.name.as_deref();
        if let Some(wrong) = name.filter(|name| name.is_empty() || name.chars().count() > 64) {
            let what = if wrong.is_empty() { "too short" } else { "too long" };
            return Err(ApiError::bad_request(format!(
                "Invalid input for field 'name': '{wrong}' is {what}"
            )));
        }
        let elsewhere = |id: &Option<String>| id.as_deref().is_some_and(|id| id != DOMAIN);
        if elsewhere(&self.domain_id) || elsewhere(&self.parent_id) || self.is_domain == Some(true) {
            return Err(ApiError::bad_request(
                "The sandbox simulates one domain, and no projects in projects.",
            ));
        }
        let taken =
            |project: &Project| Some(project.name.as_str()) == name && Some(project.id.as_str()) != own;
        if cloud.identity.projects.iter().any(taken) {
            return Err(ApiError::conflict(format!(
                "Conflict occurred attempting to store project - it is not permitted to have two projects with the same \
                 name in the same domain : {}.",
                name.unwrap_or_default()
            )));
        }
        Ok(())
    }

    fn lay_over(self, project: &mut Project) {
        project.name = self.name.unwrap_or_else(|| project.name.clone());
        project.description = self.description.unwrap_or_else(|| project.description.clone());
        project.enabled = self.enabled.unwrap_or(project.enabled);
        project.tags = self.tags.unwrap_or_else(|| project.tags.clone());
        project.tags.sort();
    }
}

impl Project {
    fn view(&self, base_url: &str) -> Value {
        json!({"id": self.id, "name": self.name, "domain_id": DOMAIN, "description": self.description,
               "enabled": self.enabled, "parent_id": DOMAIN, "is_domain": false, "tags": self.tags, "options": {},
               "links": {"self": format!("{base_url}/identity/v3/projects/{}", self.id)}})
    }
}

fn not_found(id: &str) -> ApiError {
    ApiError::not_found(format!("Could not find project: {id}."))
}

fn collection(world: &World, path: &str, mine: impl Fn(&OpenStack, &Project) -> bool) -> axum::Json<Value> {
    let cloud = world.openstack();
    let chosen = cloud.identity.projects.iter().filter(|project| mine(&cloud, project));
    let views: Vec<Value> = chosen.map(|project| project.view(world.base_url())).collect();
    let url = format!("{}/identity/v3/{path}", world.base_url());
    axum::Json(json!({"projects": views, "links": links(&url)}))
}

async fn own(State(world): State<World>, caller: Caller) -> axum::Json<Value> {
    // An application credential is bound to its project; a user sees all in which it has a role.
    let bound = caller.application_credential.is_some();
    collection(&world, "auth/projects", |cloud, project| {
        if bound {
            project.id == caller.project_id
        } else {
            cloud.identity.has_roles(&caller.user_id, &project.id)
        }
    })
}

async fn of_user(State(world): State<World>, caller: Caller, Path(id): Path<String>) -> Answer {
    if caller.user_id != id && !caller.is_admin() {
        return Err(forbidden("identity:list_user_projects"));
    }
    let path = format!("users/{id}/projects");
    Ok(collection(&world, &path, |cloud, project| cloud.identity.has_roles(&id, &project.id)))
}

async fn list(State(world): State<World>, caller: Caller, RawQuery(query): RawQuery) -> Answer {
    admin(&caller, "identity:list_projects")?;
    let query = Query::parse(query.as_deref());
    query.only(&["name", "domain_id", "parent_id", "enabled", "is_domain", "tags"])?;
    let flag = |key: &str, value: bool| {
        query
            .get(key)
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(&value.to_string()) || wanted.is_empty())
    };
    Ok(collection(&world, "projects", |_, project| {
        let is = |key: &str, actual: &str| query.get(key).is_none_or(|wanted| wanted == actual);
        let tagged = |tags: &str| tags.split(',').all(|tag| project.tags.iter().any(|each| each == tag));
        is("name", &project.name)
            && is("domain_id", DOMAIN)
            && is("parent_id", DOMAIN)
            && flag("enabled", project.enabled)
            && flag("is_domain", false)
            && query.get("tags").is_none_or(tagged)
    }))
}

async fn create(State(world): State<World>, caller: Caller, bytes: Bytes) -> Result<Response, ApiError> {
    admin(&caller, "identity:create_project")?;
    let wanted: Wanted = body::rooted(Shape::Keystone, "project", &bytes)?;
    if wanted.name.is_none() {
        return Err(ApiError::bad_request("'name' is a required property"));
    }
    let mut cloud = world.openstack();
    wanted.check(&cloud, None)?;
    let mut project = Project::new(cloud.ids.hex(), "");
    wanted.lay_over(&mut project);
    let view = project.view(world.base_url());
    cloud.identity.projects.insert(project);
    Ok((StatusCode::CREATED, axum::Json(json!({"project": view}))).into_response())
}

async fn show(State(world): State<World>, caller: Caller, Path(id): Path<String>) -> Answer {
    if caller.project_id != id && !caller.is_admin() {
        return Err(forbidden("identity:get_project"));
    }
    let cloud = world.openstack();
    let project = cloud.identity.projects.get(&id).ok_or_else(|| not_found(&id))?;
    Ok(axum::Json(json!({"project": project.view(world.base_url())})))
}

async fn update(State(world): State<World>, caller: Caller, Path(id): Path<String>, bytes: Bytes) -> Answer {
    admin(&caller, "identity:update_project")?;
    let wanted: Wanted = body::rooted(Shape::Keystone, "project", &bytes)?;
    let mut cloud = world.openstack();
    wanted.check(&cloud, Some(&id))?;
    let project = cloud.identity.projects.get_mut(&id).ok_or_else(|| not_found(&id))?;
    wanted.lay_over(project);
    let (view, enabled) = (project.view(world.base_url()), project.enabled);
    if !enabled {
        cloud.revoke(|token| token.project_id == id);
    }
    Ok(axum::Json(json!({"project": view})))
}

/// What services keep for the project stays: Keystone knows nothing of it.
async fn delete(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    admin(&caller, "identity:delete_project")?;
    let mut cloud = world.openstack();
    cloud.identity.projects.remove(&id).ok_or_else(|| not_found(&id))?;
    cloud.identity.forget_project(&id);
    cloud.revoke(|token| token.project_id == id);
    Ok(StatusCode::NO_CONTENT)
}
