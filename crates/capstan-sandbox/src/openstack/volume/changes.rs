//! Changes of volumes and snapshots that exist: names, metadata, size, states.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use serde::Deserialize;
use serde_json::{Value, json};

use super::routes::{Answer, check_project};
use super::{Snapshot, Volume};
use crate::World;
use crate::openstack::OpenStack;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::microversion::Microversion;
use crate::openstack::time;

pub(super) fn router() -> Router<World> {
    let volume = "/volume/v3/{project}/volumes/{id}";
    let snapshot = "/volume/v3/{project}/snapshots/{id}";
    let metadata = get(metadata::<Volume>).post(add_metadata::<Volume>).put(replace_metadata::<Volume>);
    let of_snapshot =
        get(self::metadata::<Snapshot>).post(add_metadata::<Snapshot>).put(replace_metadata::<Snapshot>);
    Router::new()
        .route(volume, put(update_volume))
        .route(&format!("{volume}/metadata"), metadata)
        .route(&format!("{volume}/metadata/{{key}}"), axum::routing::delete(remove_metadata::<Volume>))
        .route(&format!("{volume}/action"), post(act_on_volume))
        .route(snapshot, put(update_snapshot))
        .route(&format!("{snapshot}/metadata"), of_snapshot)
        .route(&format!("{snapshot}/metadata/{{key}}"), axum::routing::delete(remove_metadata::<Snapshot>))
        .route(&format!("{snapshot}/action"), post(act_on_snapshot))
}

/// What has a name, a description and metadata.
trait Described {
    fn of<'cloud>(
        cloud: &'cloud mut OpenStack,
        caller: &Caller,
        id: &str,
    ) -> Result<&'cloud mut Self, ApiError>;
    fn metadata(&mut self) -> &mut BTreeMap<String, String>;
    fn describe(&mut self, wanted: Wanted);
}

/// The longest text that Cinder takes.
const LONGEST: usize = 255;

impl Described for Volume {
    fn of<'cloud>(
        cloud: &'cloud mut OpenStack,
        caller: &Caller,
        id: &str,
    ) -> Result<&'cloud mut Self, ApiError> {
        cloud.volume(caller, id)?;
        let now = time::micros(cloud.clock.now());
        let found = cloud.volume.volumes.get_mut(id);
        let volume = found.ok_or_else(|| ApiError::not_found(format!("Volume {id} could not be found.")))?;
        volume.updated_at = Some(now);
        Ok(volume)
    }

    fn metadata(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.metadata
    }

    fn describe(&mut self, wanted: Wanted) {
        self.name = wanted.name.or_else(|| self.name.take());
        self.description = wanted.description.or_else(|| self.description.take());
        self.metadata = wanted.metadata.unwrap_or_else(|| std::mem::take(&mut self.metadata));
    }
}

impl Described for Snapshot {
    fn of<'cloud>(
        cloud: &'cloud mut OpenStack,
        caller: &Caller,
        id: &str,
    ) -> Result<&'cloud mut Self, ApiError> {
        cloud.snapshot(caller, id)?;
        let now = time::micros(cloud.clock.now());
        let found = cloud.volume.snapshots.get_mut(id);
        let snapshot =
            found.ok_or_else(|| ApiError::not_found(format!("Snapshot {id} could not be found.")))?;
        snapshot.updated_at = Some(now);
        Ok(snapshot)
    }

    fn metadata(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.metadata
    }

    fn describe(&mut self, wanted: Wanted) {
        self.name = wanted.name.or_else(|| self.name.take());
        self.description = wanted.description.or_else(|| self.description.take());
        self.metadata = wanted.metadata.unwrap_or_else(|| std::mem::take(&mut self.metadata));
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    // Under their names of the API's second version, too.
    #[serde(alias = "display_name")]
    name: Option<String>,
    #[serde(alias = "display_description")]
    description: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
}

/// Refuses a text that is too long, in Cinder's words.
pub(super) fn check_text(field: &str, text: Option<&str>) -> Result<(), ApiError> {
    match text.filter(|text| text.chars().count() > LONGEST) {
        Some(text) => Err(ApiError::bad_request(format!(
            "Invalid input for field/attribute {field}. Value: {text}. '{text}' is too long"
        ))),
        None => Ok(()),
    }
}

impl Wanted {
    fn read(root: &str, bytes: &Bytes) -> Result<Self, ApiError> {
        let wanted: Self = body::rooted(Shape::Nova, root, bytes)?;
        check_text("name", wanted.name.as_deref())?;
        check_text("description", wanted.description.as_deref())?;
        Ok(wanted)
    }
}

/// Project and id.
type Place = Path<(String, String)>;

async fn update_volume(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path((project, id)): Place,
    bytes: Bytes,
) -> Answer {
    check_project(&caller, &project)?;
    let wanted = Wanted::read("volume", &bytes)?;
    let mut cloud = world.openstack();
    Volume::of(&mut cloud, &caller, &id)?.describe(wanted);
    let view = cloud.volume(&caller, &id)?.view(&cloud, world.base_url(), version);
    Ok(axum::Json(json!({"volume": view})))
}

async fn update_snapshot(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path((project, id)): Place,
    bytes: Bytes,
) -> Answer {
    check_project(&caller, &project)?;
    let wanted = Wanted::read("snapshot", &bytes)?;
    let mut cloud = world.openstack();
    let snapshot = Snapshot::of(&mut cloud, &caller, &id)?;
    snapshot.describe(wanted);
    Ok(axum::Json(json!({"snapshot": snapshot.view(false, version)})))
}

async fn metadata<D: Described>(
    State(world): State<World>,
    caller: Caller,
    Path((project, id)): Place,
) -> Answer {
    check_project(&caller, &project)?;
    let mut cloud = world.openstack();
    Ok(axum::Json(json!({"metadata": D::of(&mut cloud, &caller, &id)?.metadata()})))
}

async fn add_metadata<D: Described>(
    State(world): State<World>,
    caller: Caller,
    Path((project, id)): Place,
    bytes: Bytes,
) -> Answer {
    check_project(&caller, &project)?;
    let more: BTreeMap<String, String> = body::rooted(Shape::Nova, "metadata", &bytes)?;
    let mut cloud = world.openstack();
    let metadata = D::of(&mut cloud, &caller, &id)?.metadata();
    metadata.extend(more);
    Ok(axum::Json(json!({"metadata": metadata})))
}

async fn replace_metadata<D: Described>(
    State(world): State<World>,
    caller: Caller,
    Path((project, id)): Place,
    bytes: Bytes,
) -> Answer {
    check_project(&caller, &project)?;
    let all: BTreeMap<String, String> = body::rooted(Shape::Nova, "metadata", &bytes)?;
    let mut cloud = world.openstack();
    let metadata = D::of(&mut cloud, &caller, &id)?.metadata();
    *metadata = all;
    Ok(axum::Json(json!({"metadata": metadata})))
}

async fn remove_metadata<D: Described>(
    State(world): State<World>,
    caller: Caller,
    Path((project, id, key)): Path<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    check_project(&caller, &project)?;
    let mut cloud = world.openstack();
    let removed = D::of(&mut cloud, &caller, &id)?.metadata().remove(&key);
    removed
        .map(|_| StatusCode::OK)
        .ok_or_else(|| ApiError::not_found(format!("Metadata item was not found: {key}")))
}

/// One action and its arguments.
fn action(bytes: &Bytes) -> Result<(String, Value), ApiError> {
    match body::value(Shape::Nova, bytes)? {
        Value::Object(body) if body.len() == 1 => {
            body.into_iter().next().ok_or_else(|| ApiError::bad_request("Malformed request body"))
        }
        _ => Err(ApiError::bad_request("Malformed request body")),
    }
}

/// The state that an administrator wants something to be in, whatever it is in.
fn wanted_status(caller: &Caller, kind: &str, arguments: &Value) -> Result<String, ApiError> {
    if !caller.is_admin() {
        return Err(ApiError::forbidden(format!(
            "Policy doesn't allow volume_extension:{kind}_admin_actions:reset_status to be performed."
        )));
    }
    let known = ["available", "creating", "deleting", "error", "error_deleting", "in-use"];
    let status = arguments["status"].as_str().filter(|status| known.contains(status));
    status.map(str::to_owned).ok_or_else(|| ApiError::bad_request("Must specify a valid status"))
}

async fn act_on_volume(
    State(world): State<World>,
    caller: Caller,
    Path((project, id)): Place,
    bytes: Bytes,
) -> Result<StatusCode, ApiError> {
    check_project(&caller, &project)?;
    let (verb, arguments) = action(&bytes)?;
    let mut cloud = world.openstack();
    cloud.volume(&caller, &id)?;
    match verb.as_str() {
        "os-extend" => cloud.extend_volume(&caller, &id, &arguments["new_size"])?,
        "os-set_bootable" => {
            let bootable = arguments["bootable"].as_bool();
            let bootable = bootable.ok_or_else(|| {
                ApiError::bad_request("Missing required element 'bootable' in request body.")
            })?;
            Volume::of(&mut cloud, &caller, &id)?.bootable = Some(bootable);
            return Ok(StatusCode::OK);
        }
        "os-reset_status" => {
            let status = wanted_status(&caller, "volume", &arguments)?;
            cloud.change_volume(&id, None, &status);
        }
        other => return Err(ApiError::bad_request(format!("There is no such action: {other}"))),
    }
    Ok(StatusCode::ACCEPTED)
}

async fn act_on_snapshot(
    State(world): State<World>,
    caller: Caller,
    Path((project, id)): Place,
    bytes: Bytes,
) -> Result<StatusCode, ApiError> {
    check_project(&caller, &project)?;
    let (verb, arguments) = action(&bytes)?;
    let mut cloud = world.openstack();
    let snapshot = Snapshot::of(&mut cloud, &caller, &id)?;
    if verb != "os-reset_status" {
        return Err(ApiError::bad_request(format!("There is no such action: {verb}")));
    }
    snapshot.status = wanted_status(&caller, "snapshot", &arguments)?;
    Ok(StatusCode::ACCEPTED)
}

impl OpenStack {
    /// Makes a volume larger.
    fn extend_volume(&mut self, caller: &Caller, id: &str, size: &Value) -> Result<(), ApiError> {
        let volume = self.volume(caller, id)?;
        let size = size
            .as_i64()
            .filter(|size| *size > 0)
            .ok_or_else(|| ApiError::bad_request("New volume size must be specified as an integer."))?;
        if volume.status != "available" {
            return Err(ApiError::bad_request(format!(
                "Invalid volume: Volume {id} status must be available to extend, but current status is: {}.",
                volume.status
            )));
        }
        if size <= volume.size {
            return Err(ApiError::bad_request(format!(
                "Invalid input received: New size for extend must be greater than current size. (current: {}, extended: \
                 {size}).",
                volume.size
            )));
        }
        let (project, more) = (volume.project_id.clone(), size - volume.size);
        self.volume_quota(&project, "gigabytes", more)?;
        self.change_volume(id, None, "extending");
        let id = id.to_owned();
        self.clock.after(self.timings.volume, move |world| {
            let mut cloud = world.openstack();
            if let Some(volume) = cloud.volume.volumes.get_mut(&id).filter(|each| each.status == "extending")
            {
                volume.size = size;
                cloud.change_volume(&id, None, "available");
            }
        });
        Ok(())
    }
}
