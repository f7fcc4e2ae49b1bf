//! Routes of Cinder.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::SnapshotCreate;
use super::volumes::{Volume, VolumeCreate};
use crate::World;
use crate::openstack::OpenStack;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::microversion::{Microversion, Range};
use crate::openstack::query::{Query, limit_error, page_length};

pub(super) type Answer = Result<axum::Json<Value>, ApiError>;

pub(crate) fn router() -> Router<World> {
    Router::new()
        .route("/volume", get(versions))
        .route("/volume/", get(versions))
        .route("/volume/v3", get(version))
        .route("/volume/v3/", get(version))
        .route("/volume/v3/{project}/volumes", get(list).post(create))
        .route("/volume/v3/{project}/volumes/detail", get(list_detail))
        .route("/volume/v3/{project}/volumes/{id}", get(show).delete(delete))
        .route("/volume/v3/{project}/snapshots", get(snapshots).post(create_snapshot))
        .route("/volume/v3/{project}/snapshots/detail", get(snapshots_detail))
        .route("/volume/v3/{project}/snapshots/{id}", get(snapshot).delete(delete_snapshot))
        .merge(super::changes::router())
        .merge(super::limits::router())
        .layer(from_fn(negotiate))
}

/// The newest microversion is 3.70 (Zed).
const VERSIONS: Range = Range { service: "volume", major: 3, first: 0, last: 70, old_header: None };

/// Everything below the root of the API has a microversion.
async fn negotiate(request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/volume/v3") {
        VERSIONS.negotiate(request, next).await
    } else {
        next.run(request).await
    }
}

fn version_document(base_url: &str) -> Value {
    json!({"versions": [{
        "id": "v3.0", "status": "CURRENT", "version": format!("3.{}", VERSIONS.last), "min_version": "3.0", "updated": "2022-08-31T00:00:00Z",
        "links": [{"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
                  {"rel": "self", "href": format!("{base_url}/volume/v3/")}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}],
    }]})
}

async fn versions(State(world): State<World>) -> Response {
    (StatusCode::MULTIPLE_CHOICES, axum::Json(version_document(world.base_url()))).into_response()
}

async fn version(State(world): State<World>) -> axum::Json<Value> {
    axum::Json(version_document(world.base_url()))
}

/// The project in the path must be the token's.
pub(super) fn check_project(caller: &Caller, project: &str) -> Result<(), ApiError> {
    if caller.sees(project) { Ok(()) } else { Err(ApiError::bad_request("Malformed request url")) }
}

async fn list(world: State<World>, caller: Caller, project: Path<String>, query: RawQuery) -> Answer {
    list_volumes(
        &world,
        &caller,
        &project,
        query,
        |_, base, volume| json!({"id": volume.id, "name": volume.name, "links": volume.links(base)}),
    )
}

async fn list_detail(
    world: State<World>,
    caller: Caller,
    version: Microversion,
    project: Path<String>,
    query: RawQuery,
) -> Answer {
    list_volumes(&world, &caller, &project, query, |cloud, base, volume| volume.view(cloud, base, version))
}

fn list_volumes(
    world: &World,
    caller: &Caller,
    project: &str,
    RawQuery(text): RawQuery,
    view: impl Fn(&OpenStack, &str, &Volume) -> Value,
) -> Answer {
    check_project(caller, project)?;
    let query = Query::parse(text.as_deref());
    query.only(&[
        "name",
        "status",
        "metadata",
        "limit",
        "marker",
        "offset",
        "sort",
        "all_tenants",
        "project_id",
        "bootable",
        "availability_zone",
    ])?;
    let cloud = world.openstack();
    let everybody = caller.is_admin() && query.has("all_tenants");
    let fits = |volume: &&Volume| {
        (everybody || volume.project_id == caller.project_id)
            && query.get("name").is_none_or(|name| volume.name.as_deref() == Some(name))
            && query.get("status").is_none_or(|status| volume.status == status)
            && query.get("availability_zone").is_none_or(|zone| volume.availability_zone == zone)
            && query.get("metadata").is_none_or(|wanted| has_metadata(volume, wanted))
    };
    // Newest first, as Cinder lists.
    let all: Vec<&Volume> = cloud.volume.volumes.iter().rev().filter(fits).collect();
    page(
        world,
        &query,
        "volumes",
        "volumes/detail",
        project,
        all.iter().map(|each| (each.id.as_str(), view(&cloud, world.base_url(), each))),
    )
}

/// `{'key': 'value'}`: all of these.
fn has_metadata(volume: &Volume, wanted: &str) -> bool {
    let parsed: Result<std::collections::BTreeMap<String, String>, _> =
        serde_json::from_str(&wanted.replace('\'', "\""));
    parsed.is_ok_and(|wanted| wanted.iter().all(|(key, value)| volume.metadata.get(key) == Some(value)))
}

fn page<'item>(
    world: &World,
    query: &Query,
    name: &str,
    path: &str,
    project: &str,
    items: impl Iterator<Item = (&'item str, Value)>,
) -> Answer {
    let limit = match query.get("limit") {
        None => 1000,
        Some(text) => page_length(text).ok_or_else(|| ApiError::bad_request(limit_error(text)))?,
    };
    let mut items = items.peekable();
    if let Some(marker) = query.get("marker") {
        let found = items.by_ref().any(|(id, _)| id == marker);
        if !found {
            return Err(ApiError::not_found(format!(
                "{} {marker} could not be found.",
                if name == "snapshots" { "Snapshot" } else { "Volume" }
            )));
        }
    }
    let page: Vec<(&str, Value)> = items.take(limit).collect();
    let mut body = Map::new();
    if let Some((last, _)) = page.last().filter(|_| page.len() == limit) {
        let base = format!("{}/volume/v3/{project}/{path}?{}", world.base_url(), query.without_marker());
        body.insert(
            format!("{name}_links"),
            json!([{"rel": "next", "href": format!("{base}marker={last}")}]),
        );
    }
    body.insert(name.to_owned(), page.into_iter().map(|(_, view)| view).collect());
    Ok(axum::Json(Value::Object(body)))
}

async fn create(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path(project): Path<String>,
    bytes: Bytes,
) -> Result<Response, ApiError> {
    check_project(&caller, &project)?;
    let request: VolumeCreate = body::rooted(Shape::Nova, "volume", &bytes)?;
    let mut cloud = world.openstack();
    let volume = cloud.create_volume(&caller, request.clone())?;
    let name = volume.name.as_deref().unwrap_or_default();
    cloud.twin("volume", name, |cloud| cloud.create_volume(&caller, request));
    let mut view = volume.view(&cloud, world.base_url(), version);
    // An extension adds it to what is shown, not to what was made.
    if let Some(view) = view.as_object_mut() {
        view.remove("os-vol-tenant-attr:tenant_id");
    }
    Ok((StatusCode::ACCEPTED, axum::Json(json!({"volume": view}))).into_response())
}

async fn show(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path((project, id)): Path<(String, String)>,
) -> Answer {
    check_project(&caller, &project)?;
    let cloud = world.openstack();
    let view = cloud.volume(&caller, &id)?.view(&cloud, world.base_url(), version);
    Ok(axum::Json(json!({"volume": view})))
}

async fn delete(
    State(world): State<World>,
    caller: Caller,
    Path((project, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, ApiError> {
    check_project(&caller, &project)?;
    let query = Query::parse(query.as_deref());
    query.only(&["cascade", "force"])?;
    let cascade = query.get("cascade").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    world.openstack().delete_volume(&caller, &id, cascade)?;
    Ok(StatusCode::ACCEPTED)
}

async fn snapshots(
    world: State<World>,
    caller: Caller,
    version: Microversion,
    project: Path<String>,
    query: RawQuery,
) -> Answer {
    list_snapshots(&world, &caller, &project, query, |snapshot| snapshot.view(false, version))
}

async fn snapshots_detail(
    world: State<World>,
    caller: Caller,
    version: Microversion,
    project: Path<String>,
    query: RawQuery,
) -> Answer {
    list_snapshots(&world, &caller, &project, query, |snapshot| snapshot.view(true, version))
}

fn list_snapshots(
    world: &World,
    caller: &Caller,
    project: &str,
    RawQuery(text): RawQuery,
    view: impl Fn(&super::Snapshot) -> Value,
) -> Answer {
    check_project(caller, project)?;
    let query = Query::parse(text.as_deref());
    query.only(&["name", "status", "volume_id", "limit", "marker", "sort", "all_tenants", "project_id"])?;
    let cloud = world.openstack();
    let fits = |snapshot: &&super::Snapshot| {
        caller.sees(&snapshot.project_id)
            && query.get("name").is_none_or(|name| snapshot.name.as_deref() == Some(name))
            && query.get("status").is_none_or(|status| snapshot.status == status)
            && query.get("volume_id").is_none_or(|volume| snapshot.volume_id == volume)
    };
    let all = cloud.volume.snapshots.iter().rev().filter(fits);
    page(
        world,
        &query,
        "snapshots",
        "snapshots/detail",
        project,
        all.map(|each| (each.id.as_str(), view(each))),
    )
}

async fn create_snapshot(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path(project): Path<String>,
    bytes: Bytes,
) -> Result<Response, ApiError> {
    check_project(&caller, &project)?;
    let mut request: SnapshotCreate = body::rooted(Shape::Nova, "snapshot", &bytes)?;
    if version.at_least(66) {
        if request.force == Some(false) {
            return Err(ApiError::bad_request(
                "Invalid input received: Since microversion 3.66 the 'force' flag is invalid for this request. For backward \
                 compatability, however, when the 'force' flag is passed with a value evaluating to True, it is silently ignored.",
            ));
        }
        request.force = Some(true);
    }
    let snapshot = world.openstack().create_snapshot(&caller, request)?;
    Ok((StatusCode::ACCEPTED, axum::Json(json!({"snapshot": snapshot.view(false, version)}))).into_response())
}

async fn snapshot(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path((project, id)): Path<(String, String)>,
) -> Answer {
    check_project(&caller, &project)?;
    Ok(axum::Json(json!({"snapshot": world.openstack().snapshot(&caller, &id)?.view(true, version)})))
}

async fn delete_snapshot(
    State(world): State<World>,
    caller: Caller,
    Path((project, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    check_project(&caller, &project)?;
    world.openstack().delete_snapshot(&caller, &id)?;
    Ok(StatusCode::ACCEPTED)
}
