//! Routes of servers.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::Deserialize;
use serde_json::{Value, json};

use super::microversion::Microversion;
use super::request::{ServerRequest, number};
use super::servers::Server;
use crate::World;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::query::{Query, page_length};
use crate::openstack::{OpenStack, time};

type Answer = Result<axum::Json<Value>, ApiError>;

/// Filters and steering that lists of servers know.
const KNOWN: [&str; 25] = [
    "name",
    "status",
    "flavor",
    "image",
    "host",
    "limit",
    "marker",
    "sort_key",
    "sort_dir",
    "all_tenants",
    "project_id",
    "tenant_id",
    "user_id",
    "tags",
    "tags-any",
    "not-tags",
    "not-tags-any",
    "changes-since",
    "deleted",
    "ip",
    "ip6",
    "uuid",
    "key_name",
    "availability_zone",
    "reservation_id",
];

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/compute/v2.1/servers", get(list).post(create))
        .route("/compute/v2.1/servers/detail", get(list_detail))
        .route("/compute/v2.1/servers/{id}", get(show).put(update).delete(delete))
        .route("/compute/v2.1/servers/{id}/action", post(action))
        .route("/compute/v2.1/servers/{id}/metadata", get(metadata).post(add_metadata).put(replace_metadata))
        .route("/compute/v2.1/servers/{id}/metadata/{key}", axum::routing::delete(remove_metadata))
        .route("/compute/v2.1/servers/{id}/tags", get(tags).put(replace_tags))
        .route("/compute/v2.1/servers/{id}/tags/{tag}", put(add_tag).delete(remove_tag))
        .route("/compute/v2.1/servers/{id}/ips", get(addresses))
}

/// The page of a list, and the marker for the next one if the page is full.
pub(super) fn cut<'item, T: ?Sized>(
    query: &Query,
    items: Vec<&'item T>,
    id: impl Fn(&'item T) -> &'item str,
) -> Result<(Vec<&'item T>, Option<String>), ApiError> {
    let limit = match query.get("limit") {
        None => 1000,
        Some(text) => page_length(text).ok_or_else(|| {
            ApiError::bad_request(format!(
                "Invalid input for query parameters limit. Value: {text}. '{text}' does not match '^[0-9]*$'"
            ))
        })?,
    };
    let start = match query.get("marker") {
        None => 0,
        Some(marker) => {
            1 + items
                .iter()
                .position(|item| id(item) == marker)
                .ok_or_else(|| ApiError::bad_request(format!("marker [{marker}] not found")))?
        }
    };
    let page: Vec<&T> = items.into_iter().skip(start).take(limit.min(1000)).collect();
    let last = page.last().filter(|_| page.len() == limit).map(|item| id(item).to_owned());
    Ok((page, last))
}

/// Nova matches names as regular expressions. Clients send plain parts of names, or `^name$` with escapes.
fn name_matches(pattern: &str, name: &str) -> bool {
    let (anchored_start, rest) = pattern.strip_prefix('^').map_or((false, pattern), |rest| (true, rest));
    let (anchored_end, rest) = rest.strip_suffix('$').map_or((false, rest), |rest| (true, rest));
    let text = rest.replace('\\', "");
    match (anchored_start, anchored_end) {
        (true, true) => name == text,
        (true, false) => name.starts_with(&text),
        (false, true) => name.ends_with(&text),
        (false, false) => name.contains(&text),
    }
}

fn fits(query: &Query, caller: &Caller, server: &Server, cloud: &OpenStack) -> bool {
    let everybody = caller.is_admin() && query.has("all_tenants");
    let is = |key: &str, actual: Option<&str>| query.get(key).is_none_or(|wanted| actual == Some(wanted));
    let tagged = |key: &str, want: fn(&[String], &str) -> bool| {
        query.get(key).is_none_or(|wanted| want(&server.tags, wanted))
    };
    let has = |tags: &[String], tag: &str| tags.iter().any(|each| each == tag);
    let address = |wanted: &str| server.addresses(cloud).to_string().contains(&format!("\"{wanted}"));
    (everybody || server.project_id == caller.project_id)
        && query.get("name").is_none_or(|pattern| name_matches(pattern, &server.name))
        && query.get("status").is_none_or(|status| server.status.eq_ignore_ascii_case(status))
        && is("flavor", Some(&server.flavor.id))
        && is("image", server.image_id.as_deref())
        && is("uuid", Some(&server.id))
        && is("user_id", Some(&server.user_id))
        && is("key_name", server.key_name.as_deref())
        && is("availability_zone", server.availability_zone.as_deref())
        && query.get("ip").is_none_or(address)
        && query.get("deleted").is_none_or(|deleted| !deleted.eq_ignore_ascii_case("true"))
        && query.get("tags").is_none_or(|wanted| wanted.split(',').all(|tag| has(&server.tags, tag)))
        && tagged("tags-any", |tags, wanted| wanted.split(',').any(|tag| tags.iter().any(|each| each == tag)))
        && tagged("not-tags", |tags, wanted| {
            !wanted.split(',').all(|tag| tags.iter().any(|each| each == tag))
        })
        && tagged("not-tags-any", |tags, wanted| {
            !wanted.split(',').any(|tag| tags.iter().any(|each| each == tag))
        })
}

async fn list(State(world): State<World>, caller: Caller, query: RawQuery) -> Answer {
    page(&world, &caller, query, "servers", |_, server| server.brief(world.base_url()))
}

async fn list_detail(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    query: RawQuery,
) -> Answer {
    let view = |cloud: &OpenStack, server: &Server| server.view(cloud, world.base_url(), version);
    page(&world, &caller, query, "servers/detail", view)
}

fn page(
    world: &World,
    caller: &Caller,
    RawQuery(text): RawQuery,
    path: &str,
    view: impl Fn(&OpenStack, &Server) -> Value,
) -> Answer {
    let query = Query::parse(text.as_deref());
    if let Some((key, _)) = query.pairs().find(|(key, _)| !KNOWN.contains(key)) {
        return Err(ApiError::bad_request(format!("'{key}' does not match any of the regexes: '^_'")));
    }
    let cloud = world.openstack();
    // Newest first, as Nova lists.
    let found = cloud.compute.servers.iter().rev().filter(|server| fits(&query, caller, server, &cloud));
    let mut found: Vec<&Server> = found.collect();
    if let Some(key) = query.get("sort_key") {
        match key {
            "display_name" | "name" => found.sort_by(|one, other| one.name.cmp(&other.name)),
            "uuid" => found.sort_by(|one, other| one.id.cmp(&other.id)),
            "created_at" => found.reverse(),
            other => return Err(ApiError::bad_request(format!("Sort key supplied is not valid: {other}"))),
        }
        if query.get("sort_dir").unwrap_or("desc") == "desc" {
            found.reverse();
        }
    }
    let (page, last) = cut(&query, found, |server| &server.id)?;
    let mut body =
        json!({"servers": page.into_iter().map(|server| view(&cloud, server)).collect::<Vec<_>>()});
    if let Some(last) = last {
        let href =
            format!("{}/compute/v2.1/{path}?{}marker={last}", world.base_url(), query.without_marker());
        body["servers_links"] = json!([{"rel": "next", "href": href}]);
    }
    Ok(axum::Json(body))
}

/// Fields that a microversion doesn't know yet, and one that it insists on.
fn check_version(request: &ServerRequest, version: Microversion) -> Result<(), ApiError> {
    let server = &request.server;
    let unknown = |field: &str| {
        Err(ApiError::bad_request(format!(
            "Invalid input for field/attribute server. Additional properties are not allowed ('{field}' was unexpected)"
        )))
    };
    if version.at_least(37) && server.networks.is_none() {
        return Err(ApiError::bad_request(
            "Invalid input for field/attribute server. 'networks' is a required property",
        ));
    }
    if !version.at_least(52) && !server.tags.is_empty() {
        return unknown("tags");
    }
    if !version.at_least(19) && server.description.is_some() {
        return unknown("description");
    }
    if !version.at_least(90) && server.hostname.is_some() {
        return unknown("hostname");
    }
    if !version.at_least(67) && server.block_device_mapping_v2.iter().any(|disk| disk.volume_type.is_some()) {
        return unknown("volume_type");
    }
    Ok(())
}

async fn create(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    bytes: Bytes,
) -> Result<Response, ApiError> {
    let request: ServerRequest = body::plain(Shape::Nova, &bytes)?;
    check_version(&request, version)?;
    let mut cloud = world.openstack();
    let password = request.server.admin_pass.clone().unwrap_or_else(|| cloud.ids.secret(12));
    let named = request.server.security_groups.iter().flatten().map(|group| json!({"name": group.name}));
    let mut groups: Vec<Value> = named.collect();
    if groups.is_empty() {
        groups.push(json!({"name": "default"}));
    }
    let server = cloud.create_server(&caller, request.clone())?;
    cloud.twin("server", &server.name, |cloud| cloud.create_server(&caller, request));
    let view = json!({
        "id": server.id, "links": server.links(world.base_url()), "OS-DCF:diskConfig": "MANUAL",
        "security_groups": groups, "adminPass": password,
    });
    let location = [("location", format!("{}/compute/v2.1/servers/{}", world.base_url(), server.id))];
    Ok((StatusCode::ACCEPTED, location, axum::Json(json!({"server": view}))).into_response())
}

async fn show(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path(id): Path<String>,
) -> Answer {
    let cloud = world.openstack();
    let view = cloud.server(&caller, &id)?.view(&cloud, world.base_url(), version);
    Ok(axum::Json(json!({"server": view})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    name: Option<String>,
    description: Option<String>,
}

async fn update(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Answer {
    let change: Update = body::rooted(Shape::Nova, "server", &bytes)?;
    let mut cloud = world.openstack();
    let server = own(&mut cloud, &caller, &id)?;
    server.name = change.name.unwrap_or_else(|| server.name.clone());
    server.description = change.description.or_else(|| server.description.clone());
    let view = cloud.server(&caller, &id)?.view(&cloud, world.base_url(), version);
    Ok(axum::Json(json!({"server": view})))
}

async fn delete(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    world.openstack().delete_server(&caller, &id)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn action(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Result<Response, ApiError> {
    let Value::Object(body) = body::value(Shape::Nova, &bytes)? else {
        return Err(ApiError::bad_request("Malformed request body"));
    };
    let (Some((verb, arguments)), 1) = (body.iter().next(), body.len()) else {
        return Err(ApiError::bad_request("Malformed request body"));
    };
    let mut cloud = world.openstack();
    match verb.as_str() {
        "os-getConsoleOutput" => {
            let text = cloud.server(&caller, &id)?.console();
            let lines: Vec<&str> = text.lines().collect();
            let wanted = number(&arguments["length"]).and_then(|length| usize::try_from(length).ok());
            let skip = wanted.map_or(0, |wanted| lines.len().saturating_sub(wanted));
            let output = lines[skip..].join("\n");
            return Ok(axum::Json(json!({"output": output})).into_response());
        }
        "os-start" => cloud.power(&caller, &id, "start")?,
        "os-stop" => cloud.power(&caller, &id, "stop")?,
        "reboot" => cloud.power(&caller, &id, "reboot")?,
        other => {
            cloud.server(&caller, &id)?;
            return Err(ApiError::bad_request(format!("There is no such action: {other}")));
        }
    }
    Ok(StatusCode::ACCEPTED.into_response())
}

/// A server to be changed.
fn own<'cloud>(
    cloud: &'cloud mut OpenStack,
    caller: &Caller,
    id: &str,
) -> Result<&'cloud mut Server, ApiError> {
    cloud.server(caller, id)?;
    let now = time::zulu(cloud.clock.now());
    let server = cloud.compute.servers.get_mut(id);
    let server = server.ok_or_else(|| ApiError::not_found(format!("Instance {id} could not be found.")))?;
    server.updated = now;
    Ok(server)
}

async fn metadata(State(world): State<World>, caller: Caller, Path(id): Path<String>) -> Answer {
    Ok(axum::Json(json!({"metadata": world.openstack().server(&caller, &id)?.metadata})))
}

async fn add_metadata(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Answer {
    let more: BTreeMap<String, String> = body::rooted(Shape::Nova, "metadata", &bytes)?;
    let mut cloud = world.openstack();
    let server = own(&mut cloud, &caller, &id)?;
    server.metadata.extend(more);
    Ok(axum::Json(json!({"metadata": server.metadata})))
}

async fn replace_metadata(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Answer {
    let all: BTreeMap<String, String> = body::rooted(Shape::Nova, "metadata", &bytes)?;
    let mut cloud = world.openstack();
    let server = own(&mut cloud, &caller, &id)?;
    server.metadata = all;
    Ok(axum::Json(json!({"metadata": server.metadata})))
}

async fn remove_metadata(
    State(world): State<World>,
    caller: Caller,
    Path((id, key)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut cloud = world.openstack();
    let removed = own(&mut cloud, &caller, &id)?.metadata.remove(&key);
    removed.ok_or_else(|| ApiError::not_found("Metadata item was not found"))?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tags {
    tags: Vec<String>,
}

async fn tags(State(world): State<World>, caller: Caller, Path(id): Path<String>) -> Answer {
    Ok(axum::Json(json!({"tags": world.openstack().server(&caller, &id)?.tags})))
}

async fn replace_tags(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Answer {
    let wanted: Tags = body::plain(Shape::Nova, &bytes)?;
    let mut cloud = world.openstack();
    let server = own(&mut cloud, &caller, &id)?;
    server.tags = wanted.tags;
    Ok(axum::Json(json!({"tags": server.tags})))
}

async fn add_tag(
    State(world): State<World>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut cloud = world.openstack();
    let server = own(&mut cloud, &caller, &id)?;
    if server.tags.contains(&tag) {
        return Ok(StatusCode::NO_CONTENT);
    }
    server.tags.push(tag);
    Ok(StatusCode::CREATED)
}

async fn remove_tag(
    State(world): State<World>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut cloud = world.openstack();
    let server = own(&mut cloud, &caller, &id)?;
    if !server.tags.contains(&tag) {
        return Err(ApiError::not_found(format!("Server {id} has no tag '{tag}'")));
    }
    server.tags.retain(|each| *each != tag);
    Ok(StatusCode::NO_CONTENT)
}

async fn addresses(State(world): State<World>, caller: Caller, Path(id): Path<String>) -> Answer {
    let cloud = world.openstack();
    Ok(axum::Json(json!({"addresses": cloud.server(&caller, &id)?.addresses(&cloud)})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_in_part_or_whole() {
        assert!(name_matches("web", "prod-web-1"));
        assert!(name_matches("^prod-web-1$", "prod-web-1"));
        assert!(name_matches(r"^a\.b$", "a.b"));
        assert!(!name_matches("^prod-web$", "prod-web-1"));
        assert!(name_matches("^prod", "prod-web-1") && !name_matches("prod$", "prod-web-1"));
    }
}
