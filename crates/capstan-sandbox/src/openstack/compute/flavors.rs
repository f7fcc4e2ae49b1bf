//! Flavors.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use serde::Deserialize;
use serde_json::{Value, json};

use super::microversion::Microversion;
use crate::World;
use crate::ids::Ids;
use crate::openstack::OpenStack;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::query::Query;

type Answer = Result<axum::Json<Value>, ApiError>;

/// A flavor.
#[derive(Debug, Clone)]
pub struct Flavor {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Processors.
    pub vcpus: u64,
    /// MiB.
    pub ram: u64,
    /// GiB; 0 for servers that boot from a volume.
    pub disk: u64,
    ephemeral: u64,
    swap: u64,
    is_public: bool,
    description: Option<String>,
    extra_specs: BTreeMap<String, String>,
}

/// Body of a create; the sandbox has public flavors only.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    vcpus: u64,
    ram: u64,
    disk: u64,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    swap: u64,
    #[serde(default, rename = "OS-FLV-EXT-DATA:ephemeral")]
    ephemeral: u64,
    #[serde(default)]
    rxtx_factor: Option<f64>,
    #[serde(default, rename = "os-flavor-access:is_public")]
    is_public: Option<bool>,
    #[serde(default)]
    description: Option<String>,
}

/// Name, processors, MiB, GiB.
const SEED: [(&str, u64, u64, u64); 4] = [
    ("SCS-2V-4", 2, 4096, 0),
    ("SCS-2V-4-20s", 2, 4096, 20),
    ("SCS-4V-8-20", 4, 8192, 20),
    ("SCS-4V-16-100s", 4, 16384, 100),
];

pub(super) fn seed(ids: &Ids) -> Vec<Flavor> {
    let flavor = |&(name, vcpus, ram, disk): &(&str, u64, u64, u64)| Flavor {
        id: ids.uuid(),
        name: name.to_owned(),
        vcpus,
        ram,
        disk,
        ephemeral: 0,
        swap: 0,
        is_public: true,
        description: None,
        extra_specs: BTreeMap::new(),
    };
    SEED.iter().map(flavor).collect()
}

impl OpenStack {
    /// The flavors.
    pub fn flavors(&self) -> &[Flavor] {
        &self.compute.flavors
    }

    /// The flavor of this id.
    pub fn flavor(&self, id: &str) -> Option<&Flavor> {
        self.compute.flavors.iter().find(|flavor| flavor.id == id)
    }
}

impl Flavor {
    fn links(&self, base_url: &str) -> Value {
        json!([{"rel": "self", "href": format!("{base_url}/compute/v2.1/flavors/{}", self.id)},
               {"rel": "bookmark", "href": format!("{base_url}/compute/flavors/{}", self.id)}])
    }

    fn view(&self, base_url: &str, version: Microversion) -> Value {
        let mut view = json!({
            "id": self.id, "name": self.name, "ram": self.ram, "disk": self.disk,
            "swap": if self.swap == 0 && !version.at_least(75) { json!("") } else { json!(self.swap) },
            "OS-FLV-EXT-DATA:ephemeral": self.ephemeral, "OS-FLV-DISABLED:disabled": false, "vcpus": self.vcpus,
            "os-flavor-access:is_public": self.is_public, "rxtx_factor": 1.0, "links": self.links(base_url),
        });
        if version.at_least(55) {
            view["description"] = json!(self.description);
        }
        if version.at_least(61) {
            view["extra_specs"] = json!(self.extra_specs);
        }
        view
    }

    fn brief(&self, base_url: &str, version: Microversion) -> Value {
        let mut view = json!({"id": self.id, "name": self.name, "links": self.links(base_url)});
        if version.at_least(55) {
            view["description"] = json!(self.description);
        }
        view
    }

    /// As it stands in a server from 2.47 on.
    pub(super) fn embedded(&self) -> Value {
        json!({"vcpus": self.vcpus, "ram": self.ram, "disk": self.disk, "ephemeral": self.ephemeral,
               "swap": self.swap, "original_name": self.name, "extra_specs": self.extra_specs})
    }
}

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/compute/v2.1/flavors", get(list).post(create))
        .route("/compute/v2.1/flavors/detail", get(list_detail))
        .route("/compute/v2.1/flavors/{id}", get(show).put(update).delete(remove))
        .route("/compute/v2.1/flavors/{id}/os-extra_specs", get(extra_specs).post(add_extra_specs))
        .route("/compute/v2.1/flavors/{id}/os-extra_specs/{key}", delete(remove_extra_spec))
}

async fn list(State(world): State<World>, _: Caller, version: Microversion, query: RawQuery) -> Answer {
    page(&world, query, "flavors", |flavor| flavor.brief(world.base_url(), version))
}

async fn list_detail(
    State(world): State<World>,
    _: Caller,
    version: Microversion,
    query: RawQuery,
) -> Answer {
    page(&world, query, "flavors/detail", |flavor| flavor.view(world.base_url(), version))
}

fn page(world: &World, RawQuery(text): RawQuery, path: &str, view: impl Fn(&Flavor) -> Value) -> Answer {
    let query = Query::parse(text.as_deref());
    query.only(&["limit", "marker", "is_public", "sort_key", "sort_dir", "minDisk", "minRam"])?;
    let cloud = world.openstack();
    let least = |key: &str| query.get(key).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    let (disk, ram) = (least("minDisk"), least("minRam"));
    let mut flavors: Vec<&Flavor> =
        cloud.compute.flavors.iter().filter(|flavor| flavor.disk >= disk && flavor.ram >= ram).collect();
    flavors.sort_by(|one, other| one.id.cmp(&other.id));
    let (page, last) = super::server_routes::cut(&query, flavors, |flavor| &flavor.id)?;
    let mut body = json!({"flavors": page.into_iter().map(view).collect::<Vec<_>>()});
    if let Some(last) = last {
        let href =
            format!("{}/compute/v2.1/{path}?{}marker={last}", world.base_url(), query.without_marker());
        body["flavors_links"] = json!([{"rel": "next", "href": href}]);
    }
    Ok(axum::Json(body))
}

fn not_found(id: &str) -> ApiError {
    ApiError::not_found(format!("Flavor {id} could not be found."))
}

async fn show(
    State(world): State<World>,
    _: Caller,
    version: Microversion,
    Path(id): Path<String>,
) -> Answer {
    let cloud = world.openstack();
    let flavor = cloud.flavor(&id).ok_or_else(|| not_found(&id))?;
    Ok(axum::Json(json!({"flavor": flavor.view(world.base_url(), version)})))
}

async fn extra_specs(State(world): State<World>, _: Caller, Path(id): Path<String>) -> Answer {
    let cloud = world.openstack();
    let flavor = cloud.flavor(&id).ok_or_else(|| not_found(&id))?;
    Ok(axum::Json(json!({"extra_specs": flavor.extra_specs})))
}

fn administrators(caller: &Caller, action: &str) -> Result<(), ApiError> {
    if caller.is_admin() {
        return Ok(());
    }
    Err(ApiError::forbidden(format!("Policy doesn't allow os_compute_api:{action} to be performed.")))
}

async fn create(State(world): State<World>, caller: Caller, version: Microversion, bytes: Bytes) -> Answer {
    administrators(&caller, "os-flavor-manage:create")?;
    let wanted: Create = body::rooted(Shape::Nova, "flavor", &bytes)?;
    if wanted.vcpus == 0 || wanted.ram == 0 {
        let field = if wanted.ram == 0 { "ram" } else { "vcpus" };
        return Err(ApiError::bad_request(format!(
            "Invalid input for field/attribute {field}. Value: 0. 0 is less than the minimum of 1"
        )));
    }
    if wanted.name.trim().is_empty() || wanted.name.chars().count() > 255 {
        return Err(ApiError::bad_request(format!(
            "Invalid input for field/attribute name. Value: {}.",
            wanted.name
        )));
    }
    if wanted.rxtx_factor.is_some_and(|factor| factor <= 0.0) || wanted.is_public == Some(false) {
        return Err(ApiError::bad_request("The sandbox simulates public flavors only."));
    }
    let mut cloud = world.openstack();
    let id = wanted.id.filter(|id| id != "auto").unwrap_or_else(|| cloud.ids.uuid());
    if cloud.flavor(&id).is_some() {
        return Err(ApiError::conflict(format!("Flavor with ID {id} already exists.")));
    }
    if cloud.compute.flavors.iter().any(|flavor| flavor.name == wanted.name) {
        return Err(ApiError::conflict(format!("Flavor with name {} already exists.", wanted.name)));
    }
    let flavor = Flavor {
        id,
        name: wanted.name,
        vcpus: wanted.vcpus,
        ram: wanted.ram,
        disk: wanted.disk,
        ephemeral: wanted.ephemeral,
        swap: wanted.swap,
        is_public: true,
        description: wanted.description,
        extra_specs: BTreeMap::new(),
    };
    let view = flavor.view(world.base_url(), version);
    cloud.compute.flavors.push(flavor);
    Ok(axum::Json(json!({"flavor": view})))
}

fn changed<'cloud>(cloud: &'cloud mut OpenStack, id: &str) -> Result<&'cloud mut Flavor, ApiError> {
    cloud.compute.flavors.iter_mut().find(|flavor| flavor.id == id).ok_or_else(|| not_found(id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    description: Option<String>,
}

async fn update(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Answer {
    if !version.at_least(55) {
        return Err(ApiError::not_found("The resource could not be found."));
    }
    administrators(&caller, "os-flavor-manage:update")?;
    let wanted: Update = body::rooted(Shape::Nova, "flavor", &bytes)?;
    let mut cloud = world.openstack();
    let flavor = changed(&mut cloud, &id)?;
    flavor.description = wanted.description;
    Ok(axum::Json(json!({"flavor": flavor.view(world.base_url(), version)})))
}

/// Servers keep what they have of it.
async fn remove(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    administrators(&caller, "os-flavor-manage:delete")?;
    let mut cloud = world.openstack();
    changed(&mut cloud, &id)?;
    cloud.compute.flavors.retain(|flavor| flavor.id != id);
    Ok(StatusCode::ACCEPTED)
}

async fn add_extra_specs(
    State(world): State<World>,
    caller: Caller,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Answer {
    administrators(&caller, "os-flavor-extra-specs:create")?;
    let more: BTreeMap<String, String> = body::rooted(Shape::Nova, "extra_specs", &bytes)?;
    let mut cloud = world.openstack();
    changed(&mut cloud, &id)?.extra_specs.extend(more.clone());
    Ok(axum::Json(json!({"extra_specs": more})))
}

async fn remove_extra_spec(
    State(world): State<World>,
    caller: Caller,
    Path((id, key)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    administrators(&caller, "os-flavor-extra-specs:delete")?;
    let mut cloud = world.openstack();
    let removed = changed(&mut cloud, &id)?.extra_specs.remove(&key);
    removed.ok_or_else(|| ApiError::not_found(format!("Flavor {id} has no extra specs with key {key}.")))?;
    Ok(StatusCode::OK)
}
