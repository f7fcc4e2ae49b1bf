//! Flavors.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use serde_json::{Value, json};

use super::microversion::Microversion;
use crate::World;
use crate::ids::Ids;
use crate::openstack::OpenStack;
use crate::openstack::caller::Caller;
use crate::openstack::error::ApiError;
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
            "swap": if version.at_least(75) { json!(0) } else { json!("") },
            "OS-FLV-EXT-DATA:ephemeral": 0, "OS-FLV-DISABLED:disabled": false, "vcpus": self.vcpus,
            "os-flavor-access:is_public": true, "rxtx_factor": 1.0, "links": self.links(base_url),
        });
        if version.at_least(55) {
            view["description"] = Value::Null;
        }
        if version.at_least(61) {
            view["extra_specs"] = json!({});
        }
        view
    }

    fn brief(&self, base_url: &str, version: Microversion) -> Value {
        let mut view = json!({"id": self.id, "name": self.name, "links": self.links(base_url)});
        if version.at_least(55) {
            view["description"] = Value::Null;
        }
        view
    }

    /// As it stands in a server from 2.47 on.
    pub(super) fn embedded(&self) -> Value {
        json!({"vcpus": self.vcpus, "ram": self.ram, "disk": self.disk, "ephemeral": 0, "swap": 0,
               "original_name": self.name, "extra_specs": {}})
    }
}

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/compute/v2.1/flavors", get(list))
        .route("/compute/v2.1/flavors/detail", get(list_detail))
        .route("/compute/v2.1/flavors/{id}", get(show))
        .route("/compute/v2.1/flavors/{id}/os-extra_specs", get(extra_specs))
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
    world.openstack().flavor(&id).ok_or_else(|| not_found(&id))?;
    Ok(axum::Json(json!({"extra_specs": {}})))
}
