//! Server groups.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::microversion::Microversion;
use crate::World;
use crate::openstack::OpenStack;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::identity::Token;
use crate::openstack::query::Query;
use crate::openstack::table::identified;

type Answer = Result<axum::Json<Value>, ApiError>;

const POLICIES: [&str; 4] = ["anti-affinity", "affinity", "soft-anti-affinity", "soft-affinity"];

/// A server group.
#[derive(Debug, Clone)]
pub struct ServerGroup {
    /// Id.
    pub id: String,
    /// Name; not unique.
    pub name: String,
    /// `anti-affinity`, `soft-anti-affinity`, ...
    pub policy: String,
    /// Ids of its servers.
    pub members: Vec<String>,
    /// Owner.
    pub project_id: String,
    user_id: String,
    rules: Value,
}

identified!(ServerGroup);

/// Body of a create, before and from 2.64.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerGroupCreate {
    /// Name.
    pub name: String,
    /// From 2.64 on.
    #[serde(default)]
    pub policy: Option<String>,
    /// From 2.64 on.
    #[serde(default)]
    pub rules: Option<Value>,
    /// Before 2.64.
    #[serde(default)]
    pub policies: Option<Vec<String>>,
}

impl OpenStack {
    /// Makes a server group.
    ///
    /// # Errors
    /// As Nova's.
    pub fn create_server_group(
        &mut self,
        caller: &Token,
        request: ServerGroupCreate,
    ) -> Result<ServerGroup, ApiError> {
        let policy =
            request.policy.or_else(|| request.policies.and_then(|policies| policies.into_iter().next()));
        let policy = policy.unwrap_or_default();
        if !POLICIES.contains(&policy.as_str()) {
            return Err(ApiError::bad_request(format!(
                "Invalid input for field/attribute policy. Value: {policy}. '{policy}' is not one of ['anti-affinity', \
                 'affinity', 'soft-anti-affinity', 'soft-affinity']"
            )));
        }
        self.faults.count_create("compute", "server_groups");
        let limit = self.limit(&caller.project_id, "compute", "server_groups");
        let used = self.compute.groups.iter().filter(|each| each.project_id == caller.project_id).count();
        if limit >= 0 && i64::try_from(used).unwrap_or(i64::MAX) >= limit {
            return Err(ApiError::forbidden("Quota exceeded, too many server groups."));
        }
        let group = ServerGroup {
            id: self.ids.uuid(),
            name: request.name,
            policy,
            members: Vec::new(),
            project_id: caller.project_id.clone(),
            user_id: caller.user_id.clone(),
            rules: request.rules.unwrap_or_else(|| json!({})),
        };
        self.compute.groups.insert(group.clone());
        Ok(group)
    }

    /// A server group that the caller may see.
    ///
    /// # Errors
    /// 404.
    pub fn server_group(&self, caller: &Token, id: &str) -> Result<&ServerGroup, ApiError> {
        let found = self.compute.groups.get(id).filter(|each| caller.sees(&each.project_id));
        found.ok_or_else(|| ApiError::not_found(format!("Instance group {id} could not be found.")))
    }

    /// The server groups that the caller may see, oldest first.
    pub fn server_groups<'cloud>(
        &'cloud self,
        caller: &'cloud Token,
    ) -> impl Iterator<Item = &'cloud ServerGroup> {
        self.compute.groups.iter().filter(|each| caller.sees(&each.project_id))
    }
}

impl ServerGroup {
    fn view(&self, version: Microversion) -> Value {
        let mut view = json!({"id": self.id, "name": self.name, "members": self.members});
        if version.at_least(64) {
            view["policy"] = json!(self.policy);
            view["rules"] = self.rules.clone();
        } else {
            view["policies"] = json!([self.policy]);
            view["metadata"] = json!({});
        }
        if version.at_least(13) {
            view["project_id"] = json!(self.project_id);
            view["user_id"] = json!(self.user_id);
        }
        view
    }
}

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/compute/v2.1/os-server-groups", get(list).post(create))
        .route("/compute/v2.1/os-server-groups/{id}", get(show).delete(delete))
}

async fn list(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    RawQuery(text): RawQuery,
) -> Answer {
    let query = Query::parse(text.as_deref());
    query.only(&["limit", "offset", "all_projects"])?;
    let number =
        |key: &str, otherwise: usize| query.get(key).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let cloud = world.openstack();
    let own = cloud.compute.groups.iter().filter(|group| group.project_id == caller.project_id);
    let page = own.skip(number("offset", 0)).take(number("limit", 1000));
    let views: Vec<Value> = page.map(|group| group.view(version)).collect();
    Ok(axum::Json(json!({"server_groups": views})))
}

async fn create(State(world): State<World>, caller: Caller, version: Microversion, bytes: Bytes) -> Answer {
    let request: ServerGroupCreate = body::rooted(Shape::Nova, "server_group", &bytes)?;
    let wanted = if version.at_least(64) { "policy" } else { "policies" };
    let has = if version.at_least(64) { request.policy.is_some() } else { request.policies.is_some() };
    if !has {
        return Err(ApiError::bad_request(format!(
            "Invalid input for field/attribute server_group. '{wanted}' is a required property"
        )));
    }
    let other = if version.at_least(64) { request.policies.is_some() } else { request.policy.is_some() };
    if other {
        return Err(ApiError::bad_request(
            "Invalid input for field/attribute server_group. Additional properties are not allowed",
        ));
    }
    let mut cloud = world.openstack();
    let group = cloud.create_server_group(&caller, request.clone())?;
    cloud.twin("server_group", &group.name, |cloud| cloud.create_server_group(&caller, request));
    Ok(axum::Json(json!({"server_group": group.view(version)})))
}

async fn show(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path(id): Path<String>,
) -> Answer {
    let cloud = world.openstack();
    Ok(axum::Json(json!({"server_group": cloud.server_group(&caller, &id)?.view(version)})))
}

async fn delete(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut cloud = world.openstack();
    cloud.server_group(&caller, &id)?;
    cloud.compute.groups.remove(&id);
    Ok(StatusCode::NO_CONTENT)
}
