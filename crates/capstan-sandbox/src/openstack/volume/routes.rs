//! Routes of Cinder.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::volumes::Volume;
use crate::World;
use crate::openstack::ZONES;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::query::Query;
use crate::openstack::quotas;

type Answer = Result<axum::Json<Value>, ApiError>;

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
        .route("/volume/v3/{project}/types", get(types))
        .route("/volume/v3/{project}/types/{id}", get(volume_type))
        .route("/volume/v3/{project}/limits", get(limits))
        .route("/volume/v3/{project}/os-availability-zone", get(zones))
        .route("/volume/v3/{project}/os-quota-sets/{of}", get(quota_set))
        .layer(map_response(with_version))
}

async fn with_version(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("openstack-api-version"), HeaderValue::from_static("volume 3.0"));
    headers.insert("vary", HeaderValue::from_static("OpenStack-API-Version"));
    response
}

fn version_document(base_url: &str) -> Value {
    json!({"versions": [{
        "id": "v3.0", "status": "CURRENT", "version": "3.70", "min_version": "3.0", "updated": "2022-08-31T00:00:00Z",
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
fn check_project(caller: &Caller, project: &str) -> Result<(), ApiError> {
    if caller.sees(project) { Ok(()) } else { Err(ApiError::bad_request("Malformed request url")) }
}

async fn list(world: State<World>, caller: Caller, project: Path<String>, query: RawQuery) -> Answer {
    list_volumes(&world, &caller, &project, query, |base, volume| {
        let view = volume.view(base);
        json!({"id": view["id"], "name": view["name"], "links": view["links"]})
    })
}

async fn list_detail(world: State<World>, caller: Caller, project: Path<String>, query: RawQuery) -> Answer {
    list_volumes(&world, &caller, &project, query, |base, volume| volume.view(base))
}

fn list_volumes(
    world: &World,
    caller: &Caller,
    project: &str,
    RawQuery(text): RawQuery,
    view: impl Fn(&str, &Volume) -> Value,
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
        all.iter().map(|each| (each.id.as_str(), view(world.base_url(), each))),
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
        Some(text) => {
            text.parse::<usize>().map_err(|_| ApiError::bad_request("limit param must be an integer"))?
        }
    };
    let mut items = items.peekable();
    if let Some(marker) = query.get("marker") {
        let found = items.by_ref().any(|(id, _)| id == marker);
        if !found {
            return Err(ApiError::not_found(format!("marker [{marker}] not found")));
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
    Path(project): Path<String>,
    bytes: Bytes,
) -> Result<Response, ApiError> {
    check_project(&caller, &project)?;
    let request = body::rooted(Shape::Nova, "volume", &bytes)?;
    let volume = world.openstack().create_volume(&caller, request)?;
    Ok((StatusCode::ACCEPTED, axum::Json(json!({"volume": volume.view(world.base_url())}))).into_response())
}

async fn show(
    State(world): State<World>,
    caller: Caller,
    Path((project, id)): Path<(String, String)>,
) -> Answer {
    check_project(&caller, &project)?;
    let cloud = world.openstack();
    Ok(axum::Json(json!({"volume": cloud.volume(&caller, &id)?.view(world.base_url())})))
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

async fn snapshots(world: State<World>, caller: Caller, project: Path<String>, query: RawQuery) -> Answer {
    list_snapshots(&world, &caller, &project, query, false)
}

async fn snapshots_detail(
    world: State<World>,
    caller: Caller,
    project: Path<String>,
    query: RawQuery,
) -> Answer {
    list_snapshots(&world, &caller, &project, query, true)
}

fn list_snapshots(
    world: &World,
    caller: &Caller,
    project: &str,
    RawQuery(text): RawQuery,
    detail: bool,
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
        all.map(|each| (each.id.as_str(), each.view(detail))),
    )
}

async fn create_snapshot(
    State(world): State<World>,
    caller: Caller,
    Path(project): Path<String>,
    bytes: Bytes,
) -> Result<Response, ApiError> {
    check_project(&caller, &project)?;
    let request = body::rooted(Shape::Nova, "snapshot", &bytes)?;
    let snapshot = world.openstack().create_snapshot(&caller, request)?;
    Ok((StatusCode::ACCEPTED, axum::Json(json!({"snapshot": snapshot.view(false)}))).into_response())
}

async fn snapshot(
    State(world): State<World>,
    caller: Caller,
    Path((project, id)): Path<(String, String)>,
) -> Answer {
    check_project(&caller, &project)?;
    Ok(axum::Json(json!({"snapshot": world.openstack().snapshot(&caller, &id)?.view(true)})))
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

async fn types(State(world): State<World>, caller: Caller, Path(project): Path<String>) -> Answer {
    check_project(&caller, &project)?;
    let views: Vec<Value> = world.openstack().volume.types.iter().map(super::VolumeType::view).collect();
    Ok(axum::Json(json!({"volume_types": views})))
}

async fn volume_type(
    State(world): State<World>,
    caller: Caller,
    Path((project, id)): Path<(String, String)>,
) -> Answer {
    check_project(&caller, &project)?;
    let cloud = world.openstack();
    let wanted = if id == "default" { "__DEFAULT__" } else { id.as_str() };
    let found = cloud.volume.find_type(wanted);
    let found = found.ok_or_else(|| ApiError::not_found(format!("Volume type {id} could not be found.")))?;
    Ok(axum::Json(json!({"volume_type": found.view()})))
}

async fn zones(caller: Caller, Path(project): Path<String>) -> Answer {
    check_project(&caller, &project)?;
    let zone = |name: &&str| json!({"zoneName": name, "zoneState": {"available": true}});
    let zones: Vec<Value> = ZONES.iter().map(zone).collect();
    Ok(axum::Json(json!({"availabilityZoneInfo": zones})))
}

async fn limits(State(world): State<World>, caller: Caller, Path(project): Path<String>) -> Answer {
    check_project(&caller, &project)?;
    let cloud = world.openstack();
    let limit = |name: &str| cloud.quotas.limit(&project, "volume", name);
    let used = |name: &str| cloud.volume_usage(&project, name);
    Ok(axum::Json(json!({"limits": {"rate": [], "absolute": {
        "maxTotalVolumes": limit("volumes"), "maxTotalSnapshots": limit("snapshots"),
        "maxTotalVolumeGigabytes": limit("gigabytes"), "maxTotalBackups": limit("backups"),
        "maxTotalBackupGigabytes": limit("backup_gigabytes"), "totalVolumesUsed": used("volumes"),
        "totalGigabytesUsed": used("gigabytes"), "totalSnapshotsUsed": used("snapshots"),
        "totalBackupsUsed": 0, "totalBackupGigabytesUsed": 0,
    }}})))
}

async fn quota_set(
    State(world): State<World>,
    caller: Caller,
    Path((project, of)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    check_project(&caller, &project)?;
    check_project(&caller, &of)?;
    let query = Query::parse(query.as_deref());
    query.only(&["usage"])?;
    let usage = query.get("usage").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let cloud = world.openstack();
    let entry = |name: &'static str| {
        let limit = cloud.quotas.limit(&of, "volume", name);
        let used = cloud.volume_usage(&of, name);
        let value = if usage { json!({"limit": limit, "in_use": used, "reserved": 0}) } else { json!(limit) };
        (name.to_owned(), value)
    };
    let mut set: Map<String, Value> = quotas::resources("volume").map(entry).collect();
    set.insert("id".to_owned(), json!(of));
    Ok(axum::Json(json!({"quota_set": set})))
}
