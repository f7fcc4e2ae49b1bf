//! Cinder's types, zones, limits and quotas.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::routes::{Answer, check_project};
use crate::World;
use crate::openstack::ZONES;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::query::Query;
use crate::openstack::quotas;

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/volume/v3/{project}/types", get(types))
        .route("/volume/v3/{project}/types/{id}", get(volume_type))
        .route("/volume/v3/{project}/limits", get(limits))
        .route("/volume/v3/{project}/os-availability-zone", get(zones))
        .route("/volume/v3/{project}/os-quota-sets/{of}", get(quota_set).put(set_quota).delete(reset_quota))
        .route("/volume/v3/{project}/os-quota-sets/{of}/defaults", get(quota_defaults))
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
    let limit = |name: &str| cloud.limit(&project, "volume", name);
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
        let limit = cloud.limit(&of, "volume", name);
        let used = cloud.volume_usage(&of, name);
        let value = if usage { json!({"limit": limit, "in_use": used, "reserved": 0}) } else { json!(limit) };
        (name.to_owned(), value)
    };
    let mut set: Map<String, Value> = quotas::resources("volume").map(entry).collect();
    // Each type could have limits of its own; here none has.
    for kind in &cloud.volume.types {
        for resource in ["volumes", "gigabytes", "snapshots"] {
            let value = if usage { json!({"limit": -1, "in_use": 0, "reserved": 0}) } else { json!(-1) };
            set.insert(format!("{resource}_{}", kind.name), value);
        }
    }
    set.insert("id".to_owned(), json!(of));
    Ok(axum::Json(json!({"quota_set": set})))
}

async fn quota_defaults(caller: Caller, Path((project, of)): Path<(String, String)>) -> Answer {
    check_project(&caller, &project)?;
    check_project(&caller, &of)?;
    let limit = |name: &'static str| (name.to_owned(), json!(quotas::default_limit("volume", name)));
    let mut set: Map<String, Value> = quotas::resources("volume").map(limit).collect();
    set.insert("id".to_owned(), json!(of));
    Ok(axum::Json(json!({"quota_set": set})))
}

fn administrators(caller: &Caller, action: &str) -> Result<(), ApiError> {
    if caller.is_admin() {
        return Ok(());
    }
    Err(ApiError::forbidden(format!(
        "Policy doesn't allow volume_extension:quotas:{action} to be performed."
    )))
}

async fn set_quota(
    State(world): State<World>,
    caller: Caller,
    Path((_, of)): Path<(String, String)>,
    bytes: Bytes,
) -> Answer {
    administrators(&caller, "update")?;
    let mut wanted: Map<String, Value> = body::rooted(Shape::Nova, "quota_set", &bytes)?;
    // No limits: whose they are, as some clients say again.
    wanted.retain(|key, _| !["tenant_id", "id"].contains(&key.as_str()));
    let mut cloud = world.openstack();
    cloud
        .change_quotas(&of, "volume", &wanted)
        .map_err(|field| ApiError::bad_request(format!("Bad key(s) in quota set: {field}")))?;
    let limit = |name: &'static str| (name.to_owned(), json!(cloud.limit(&of, "volume", name)));
    let set: Map<String, Value> = quotas::resources("volume").map(limit).collect();
    Ok(axum::Json(json!({"quota_set": set})))
}

async fn reset_quota(
    State(world): State<World>,
    caller: Caller,
    Path((_, of)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    administrators(&caller, "delete")?;
    world.openstack().reset_quotas(&of, "volume");
    Ok(StatusCode::OK)
}
