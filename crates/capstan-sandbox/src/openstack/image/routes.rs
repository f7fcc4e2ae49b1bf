//! Routes of Glance.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde_json::{Value, json};

use super::patch::Operation;
use super::upload;
use crate::World;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::query::{Query, limit_error, page_length};

type Answer = Result<axum::Json<Value>, ApiError>;

/// Images per page if the client doesn't say.
const DEFAULT_LIMIT: usize = 25;
const MAX_LIMIT: usize = 1000;
const PATCH_TYPES: [&str; 2] =
    ["application/openstack-images-v2.1-json-patch", "application/openstack-images-v2.0-json-patch"];

pub(crate) fn router() -> Router<World> {
    Router::new()
        .route("/image", get(versions))
        .route("/image/", get(versions))
        .route("/image/v2/images", get(list).post(create))
        .route("/image/v2/images/{id}", get(show).patch(patch).delete(delete))
        .route("/image/v2/images/{id}/file", put(upload_file))
        .route("/image/v2/images/{id}/tags/{tag}", put(add_tag).delete(remove_tag))
        .route("/image/v2/schemas/image", get(schema))
        .route("/image/v2/info/import", get(import_methods))
}

async fn versions(State(world): State<World>) -> Response {
    let href = format!("{}/image/v2/", world.base_url());
    let version = |(id, status): &(&str, &str)| json!({"id": id, "status": status, "links": [{"rel": "self", "href": href}]});
    let known = [
        ("v2.15", "CURRENT"),
        ("v2.13", "SUPPORTED"),
        ("v2.12", "SUPPORTED"),
        ("v2.9", "SUPPORTED"),
        ("v2.0", "SUPPORTED"),
    ];
    let body = json!({"versions": known.iter().map(version).collect::<Vec<_>>()});
    (StatusCode::MULTIPLE_CHOICES, axum::Json(body)).into_response()
}

async fn list(State(world): State<World>, caller: Caller, RawQuery(text): RawQuery) -> Answer {
    let query = Query::parse(text.as_deref());
    let limit = match query.get("limit") {
        None => DEFAULT_LIMIT,
        Some(text) => {
            let limit: usize = page_length(text).ok_or_else(|| ApiError::bad_request(limit_error(text)))?;
            limit.min(MAX_LIMIT)
        }
    };
    if let Some(other) = query
        .get("visibility")
        .filter(|value| !["public", "private", "shared", "community", "all"].contains(value))
    {
        return Err(ApiError::bad_request(format!("Invalid visibility value: {other}")));
    }
    let cloud = world.openstack();
    let asked_visibility = query.get("visibility");
    let hidden = query.get("os_hidden").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let mut views: Vec<Value> = cloud
        .images(&caller)
        // Community images of others are listed only when asked for.
        .filter(|image| {
            asked_visibility.is_some() || image.visibility != "community" || image.owner == caller.project_id
        })
        .filter(|image| image.os_hidden == hidden)
        .map(super::Image::view)
        .filter(|view| matches(&query, view))
        .collect();
    drop(cloud);
    // Newest first, as Glance lists.
    views.reverse();
    sort(&query, &mut views)?;
    let start = match query.get("marker") {
        None => 0,
        Some(marker) => {
            1 + views
                .iter()
                .position(|view| view["id"] == marker)
                .ok_or_else(|| ApiError::bad_request(format!("No image found with ID {marker}")))?
        }
    };
    let page: Vec<Value> = views.into_iter().skip(start).take(limit).collect();
    let first = text.as_ref().map_or_else(|| "/v2/images".to_owned(), |text| format!("/v2/images?{text}"));
    let mut body = json!({"first": first, "schema": "/v2/schemas/images"});
    if let Some(last) = page.last().filter(|_| page.len() == limit) {
        let marker = last["id"].as_str().unwrap_or_default();
        body["next"] = json!(format!("/v2/images?{}marker={marker}", query.without_marker()));
    }
    body["images"] = Value::Array(page);
    Ok(axum::Json(body))
}

fn matches(query: &Query, view: &Value) -> bool {
    query.pairs().all(|(key, wanted)| match key {
        "limit" | "marker" | "sort" | "sort_key" | "sort_dir" | "os_hidden" | "member_status" => true,
        "visibility" => wanted == "all" || view["visibility"] == wanted,
        "tag" => view["tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| tag == wanted)),
        "size_min" => view["size"].as_u64() >= wanted.parse().ok(),
        "size_max" => view["size"].as_u64() <= wanted.parse().ok(),
        "name" | "status" | "id" if wanted.starts_with("in:") => {
            wanted["in:".len()..].split(',').any(|each| view[key] == each.trim_matches('"'))
        }
        _ => match &view[key] {
            Value::String(actual) => actual == wanted,
            Value::Bool(actual) => wanted.eq_ignore_ascii_case(&actual.to_string()),
            Value::Number(actual) => wanted == actual.to_string(),
            _ => false,
        },
    })
}

fn sort(query: &Query, views: &mut [Value]) -> Result<(), ApiError> {
    let keys: Vec<(String, bool)> = match query.get("sort") {
        Some(sort) => sort
            .split(',')
            .map(|part| {
                let (key, direction) = part.split_once(':').unwrap_or((part, "desc"));
                (key.to_owned(), direction == "desc")
            })
            .collect(),
        None => {
            let descending = query.get("sort_dir").unwrap_or("desc") == "desc";
            query.all("sort_key").map(|key| (key.to_owned(), descending)).collect()
        }
    };
    for (key, descending) in keys.iter().rev() {
        let known =
            ["name", "status", "size", "id", "created_at", "updated_at", "container_format", "disk_format"];
        if !known.contains(&key.as_str()) {
            return Err(ApiError::bad_request(format!(
                "Invalid sort key: {key}. It must be one of the following: {known:?}"
            )));
        }
        views.sort_by_key(|view| {
            view[key].as_u64().map_or_else(|| view[key].to_string(), |number| format!("{number:020}"))
        });
        if *descending {
            views.reverse();
        }
    }
    Ok(())
}

async fn create(State(world): State<World>, caller: Caller, bytes: Bytes) -> Result<Response, ApiError> {
    let Value::Object(request) = body::value(Shape::Glance, &bytes)? else {
        return Err(ApiError::bad_request("Expected an object in the request body."));
    };
    let mut cloud = world.openstack();
    let image = cloud.create_image(&caller, request.clone())?;
    let name = image.name.as_deref().unwrap_or_default();
    cloud.twin("image", name, |cloud| cloud.create_image(&caller, request));
    drop(cloud);
    let location = format!("{}/image/v2/images/{}", world.base_url(), image.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], axum::Json(image.view())).into_response())
}

async fn show(State(world): State<World>, caller: Caller, Path(id): Path<String>) -> Answer {
    Ok(axum::Json(world.openstack().image(&caller, &id)?.view()))
}

async fn patch(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    let kind = content_type(&headers);
    if !PATCH_TYPES.contains(&kind) {
        return Err(media_type(kind));
    }
    let operations: Vec<Operation> = body::plain(Shape::Glance, &bytes)?;
    Ok(axum::Json(world.openstack().patch_image(&caller, &id, &operations)?.view()))
}

async fn delete(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    world.openstack().delete_image(&caller, &id)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn upload_file(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    content: Body,
) -> Result<StatusCode, ApiError> {
    let kind = content_type(&headers);
    if kind != "application/octet-stream" {
        return Err(media_type(kind));
    }
    upload::receive(&world, &caller, &id, content).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn add_tag(
    State(world): State<World>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut cloud = world.openstack();
    let image = cloud.own_image(&caller, &id)?;
    if !image.tags.contains(&tag) {
        image.tags.push(tag);
        image.tags.sort();
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_tag(
    State(world): State<World>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut cloud = world.openstack();
    let image = cloud.own_image(&caller, &id)?;
    if !image.tags.contains(&tag) {
        return Err(ApiError::not_found("The resource could not be found."));
    }
    image.tags.retain(|each| *each != tag);
    Ok(StatusCode::NO_CONTENT)
}

/// As much of the schema as clients look at: the names of the attributes, and that others are strings.
async fn schema(_caller: Caller) -> axum::Json<Value> {
    let attribute = |name: &&str| ((*name).to_owned(), json!({"description": name}));
    let names = super::images::BASE.iter().chain(&super::images::READ_ONLY);
    let properties: serde_json::Map<String, Value> = names.map(attribute).collect();
    axum::Json(json!({"name": "image", "properties": properties, "additionalProperties": {"type": "string"}}))
}

async fn import_methods(_caller: Caller) -> axum::Json<Value> {
    axum::Json(json!({"import-methods":
        {"description": "Import methods available.", "type": "array", "value": []}}))
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn media_type(kind: &str) -> ApiError {
    let text = format!("The request media type {kind} is not supported by this server.");
    ApiError::new(415, "UnsupportedMediaType", text)
}
