//! Limits, quotas and availability zones.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::microversion::Microversion;
use crate::World;
use crate::openstack::ZONES;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::quotas;

type Answer = Result<axum::Json<Value>, ApiError>;

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/compute/v2.1/limits", get(limits))
        .route("/compute/v2.1/os-availability-zone", get(zones))
        .route("/compute/v2.1/os-availability-zone/detail", get(zones_detail))
        .route("/compute/v2.1/os-quota-sets/{project}", get(quota).put(set_quota).delete(reset_quota))
        .route("/compute/v2.1/os-quota-sets/{project}/detail", get(quota_detail))
        .route("/compute/v2.1/os-quota-sets/{project}/defaults", get(quota_defaults))
}

async fn limits(State(world): State<World>, caller: Caller, version: Microversion) -> Answer {
    let cloud = world.openstack();
    let project = &caller.project_id;
    let limit = |name: &str| cloud.limit(project, "compute", name);
    let used = |name: &str| cloud.compute_usage(project, name);
    let mut absolute = json!({
        "maxTotalInstances": limit("instances"), "maxTotalCores": limit("cores"), "maxTotalRAMSize": limit("ram"),
        "maxServerMeta": limit("metadata_items"), "maxTotalKeypairs": limit("key_pairs"),
        "maxServerGroups": limit("server_groups"), "maxServerGroupMembers": limit("server_group_members"),
        "totalRAMUsed": used("ram"), "totalCoresUsed": used("cores"), "totalInstancesUsed": used("instances"),
        "totalServerGroupsUsed": used("server_groups"),
    });
    if !version.at_least(36) {
        for name in ["maxTotalFloatingIps", "maxSecurityGroups", "maxSecurityGroupRules"] {
            absolute[name] = json!(-1);
        }
    }
    Ok(axum::Json(json!({"limits": {"rate": [], "absolute": absolute}})))
}

async fn zones(_: Caller) -> axum::Json<Value> {
    let zone = |name: &&str| json!({"zoneName": name, "zoneState": {"available": true}, "hosts": null});
    axum::Json(json!({"availabilityZoneInfo": ZONES.iter().map(zone).collect::<Vec<_>>()}))
}

/// Which hosts are in a zone is for administrators, and the sandbox has no such list. Clients then take the plain one.
async fn zones_detail(_: Caller) -> ApiError {
    ApiError::forbidden("Policy doesn't allow os_compute_api:os-availability-zone:detail to be performed.")
}

/// What Nova once limited, and from which microversion on it says so no more.
const FORMER: [(&str, u32, i64); 7] = [
    ("fixed_ips", 36, -1),
    ("floating_ips", 36, -1),
    ("security_groups", 36, -1),
    ("security_group_rules", 36, -1),
    ("injected_files", 57, 5),
    ("injected_file_content_bytes", 57, 10_240),
    ("injected_file_path_bytes", 57, 255),
];

fn set(
    caller: &Caller,
    version: Microversion,
    project: &str,
    value: impl Fn(&'static str, Option<i64>) -> Value,
) -> Answer {
    if !caller.sees(project) {
        return Err(ApiError::forbidden(
            "Policy doesn't allow os_compute_api:os-quota-sets:show to be performed.",
        ));
    }
    let mut set: Map<String, Value> =
        quotas::resources("compute").map(|name| (name.to_owned(), value(name, None))).collect();
    let former = FORMER.iter().filter(|(_, gone, _)| !version.at_least(*gone));
    set.extend(former.map(|(name, _, limit)| ((*name).to_owned(), value(name, Some(*limit)))));
    set.insert("id".to_owned(), json!(project));
    Ok(axum::Json(json!({"quota_set": set})))
}

async fn quota(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path(project): Path<String>,
) -> Answer {
    let cloud = world.openstack();
    set(&caller, version, &project, |name, fixed| {
        json!(fixed.unwrap_or_else(|| cloud.limit(&project, "compute", name)))
    })
}

async fn quota_detail(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path(project): Path<String>,
) -> Answer {
    let cloud = world.openstack();
    set(&caller, version, &project, |name, fixed| {
        let limit = fixed.unwrap_or_else(|| cloud.limit(&project, "compute", name));
        json!({"limit": limit, "in_use": cloud.compute_usage(&project, name), "reserved": 0})
    })
}

fn administrators(caller: &Caller, action: &str) -> Result<(), ApiError> {
    if caller.is_admin() {
        return Ok(());
    }
    Err(ApiError::forbidden(format!(
        "Policy doesn't allow os_compute_api:os-quota-sets:{action} to be performed."
    )))
}

async fn set_quota(
    State(world): State<World>,
    caller: Caller,
    Path(project): Path<String>,
    bytes: Bytes,
) -> Answer {
    administrators(&caller, "update")?;
    let mut wanted: Map<String, Value> = body::rooted(Shape::Nova, "quota_set", &bytes)?;
    // Limits below what is used are taken with or without it.
    wanted.remove("force");
    let mut cloud = world.openstack();
    cloud.change_quotas(&project, "compute", &wanted).map_err(|field| {
        ApiError::bad_request(format!(
            "Invalid input for field/attribute quota_set. Additional properties are not allowed ('{field}' was unexpected)"
        ))
    })?;
    let limits: Map<String, Value> = quotas::resources("compute")
        .map(|name| (name.to_owned(), json!(cloud.limit(&project, "compute", name))))
        .collect();
    Ok(axum::Json(json!({"quota_set": limits})))
}

async fn reset_quota(
    State(world): State<World>,
    caller: Caller,
    Path(project): Path<String>,
) -> Result<StatusCode, ApiError> {
    administrators(&caller, "delete")?;
    world.openstack().reset_quotas(&project, "compute");
    Ok(StatusCode::ACCEPTED)
}

async fn quota_defaults(caller: Caller, version: Microversion, Path(project): Path<String>) -> Answer {
    set(&caller, version, &project, |name, fixed| {
        json!(fixed.unwrap_or_else(|| quotas::default_limit("compute", name)))
    })
}
