//! Tags of networks, subnets, ports, routers, floating IPs, security groups.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{FloatingIp, HasStandard, Network, Port, SecurityGroup, Subnet};
use crate::World;
use crate::openstack::OpenStack;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tags {
    tags: Vec<String>,
}

pub(super) fn router() -> Router<World> {
    let routes = Router::new();
    let routes = of::<Network>(routes, "networks");
    let routes = of::<Subnet>(routes, "subnets");
    let routes = of::<Port>(routes, "ports");
    let routes = of::<super::Router>(routes, "routers");
    let routes = of::<FloatingIp>(routes, "floatingips");
    of::<SecurityGroup>(routes, "security-groups")
}

fn of<R: HasStandard>(routes: Router<World>, path: &str) -> Router<World> {
    let base = format!("/network/v2.0/{path}/{{id}}/tags");
    routes
        .route(&base, get(list::<R>).put(replace::<R>).delete(clear::<R>))
        .route(&format!("{base}/{{tag}}"), get(has::<R>).put(add::<R>).delete(remove::<R>))
}

impl OpenStack {
    /// Gives a resource exactly these tags.
    ///
    /// # Errors
    /// As the API's.
    pub(crate) fn set_tags<R: HasStandard>(
        &mut self,
        caller: &crate::openstack::identity::Token,
        id: &str,
        tags: &[String],
    ) -> Result<(), ApiError> {
        R::owned(self, caller, id, "update")?;
        if let Some(tag) = tags.iter().find(|tag| tag.is_empty() || tag.len() > 255) {
            let text =
                format!("Invalid input for tags. Reason: '{tag}' exceeds maximum length of 255 or is empty.");
            return Err(ApiError::new(400, "HTTPBadRequest", text));
        }
        if let Some(resource) = R::table_mut(self).get_mut(id) {
            let standard = resource.standard_mut();
            standard.tags = tags.to_vec();
            standard.tags.sort();
            standard.tags.dedup();
        }
        self.revise::<R>(id);
        Ok(())
    }

    fn tags_of<R: HasStandard>(&self, caller: &Caller, id: &str) -> Result<Vec<String>, ApiError> {
        Ok(R::get(self, caller, id)?.standard().tags.clone())
    }
}

fn missing(tag: &str) -> ApiError {
    ApiError::new(404, "TagNotFound", format!("Tag {tag} could not be found."))
}

async fn list<R: HasStandard>(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    Ok(axum::Json(json!({"tags": world.openstack().tags_of::<R>(&caller, &id)?})))
}

async fn replace<R: HasStandard>(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Result<axum::Json<Value>, ApiError> {
    let wanted: Tags = body::plain(Shape::Neutron, &bytes)?;
    let mut cloud = world.openstack();
    cloud.set_tags::<R>(&caller, &id, &wanted.tags)?;
    Ok(axum::Json(json!({"tags": cloud.tags_of::<R>(&caller, &id)?})))
}

async fn clear<R: HasStandard>(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    world.openstack().set_tags::<R>(&caller, &id, &[])?;
    Ok(StatusCode::NO_CONTENT)
}

async fn has<R: HasStandard>(
    State(world): State<World>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let tags = world.openstack().tags_of::<R>(&caller, &id)?;
    if tags.contains(&tag) { Ok(StatusCode::NO_CONTENT) } else { Err(missing(&tag)) }
}

async fn add<R: HasStandard>(
    State(world): State<World>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let mut cloud = world.openstack();
    let mut tags = cloud.tags_of::<R>(&caller, &id)?;
    tags.push(tag);
    cloud.set_tags::<R>(&caller, &id, &tags)?;
    Ok((StatusCode::CREATED, axum::Json(Value::Null)).into_response())
}

async fn remove<R: HasStandard>(
    State(world): State<World>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut cloud = world.openstack();
    let mut tags = cloud.tags_of::<R>(&caller, &id)?;
    if !tags.contains(&tag) {
        return Err(missing(&tag));
    }
    tags.retain(|each| *each != tag);
    cloud.set_tags::<R>(&caller, &id, &tags)?;
    Ok(StatusCode::NO_CONTENT)
}
