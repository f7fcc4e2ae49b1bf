//! Keypairs of a user. The sandbox makes no keys: it takes public ones.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use serde::Deserialize;
use serde_json::{Value, json};

use super::microversion::Microversion;
use crate::World;
use crate::openstack::OpenStack;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::identity::Token;
use crate::openstack::query::Query;
use crate::openstack::table::identified;
use crate::openstack::time;

type Answer = Result<axum::Json<Value>, ApiError>;

/// A keypair: a public key under a name.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// User and name: names are unique per user.
    id: String,
    /// Name.
    pub name: String,
    /// Whose it is.
    pub user_id: String,
    /// OpenSSH's public key.
    pub public_key: String,
    fingerprint: String,
    created_at: String,
    number: usize,
}

identified!(KeyPair);

/// Body of a create.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPairCreate {
    /// Name.
    pub name: String,
    /// OpenSSH's public key.
    #[serde(default)]
    pub public_key: Option<String>,
    /// `ssh`, from 2.2 on.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Only an admin may name another.
    #[serde(default)]
    pub user_id: Option<String>,
}

/// MD5 of the key's blob, as `aa:bb:...`.
fn fingerprint(public_key: &str) -> Option<String> {
    let mut words = public_key.split_whitespace();
    let kind = words.next()?;
    if !kind.starts_with("ssh-") && !kind.starts_with("ecdsa-") && !kind.starts_with("sk-") {
        return None;
    }
    let blob = STANDARD.decode(words.next()?).ok()?;
    let digest = Md5::digest(&blob);
    Some(digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"))
}

impl OpenStack {
    /// Takes a public key.
    ///
    /// # Errors
    /// As Nova's; 400 without a public key, because the sandbox makes none.
    pub fn create_keypair(&mut self, caller: &Token, request: KeyPairCreate) -> Result<KeyPair, ApiError> {
        if request.kind.as_deref().is_some_and(|kind| kind != "ssh") {
            return Err(ApiError::bad_request("The sandbox simulates keypairs of type 'ssh' only."));
        }
        if request.user_id.as_ref().is_some_and(|user| *user != caller.user_id) {
            return Err(ApiError::forbidden(
                "Policy doesn't allow os_compute_api:os-keypairs:create to be performed.",
            ));
        }
        let id = format!("{}/{}", caller.user_id, request.name);
        if self.compute.keypairs.get(&id).is_some() {
            return Err(ApiError::conflict(format!("Key pair '{}' already exists.", request.name)));
        }
        let public_key = request.public_key.ok_or_else(|| {
            ApiError::bad_request("The sandbox makes no keys: 'public_key' is a required property")
        })?;
        let fingerprint = fingerprint(&public_key).ok_or_else(|| {
            ApiError::bad_request("Keypair data is invalid: failed to generate fingerprint")
        })?;
        self.faults.count_create("compute", "key_pairs");
        let limit = self.limit(&caller.project_id, "compute", "key_pairs");
        let used = self.compute.keypairs.iter().filter(|each| each.user_id == caller.user_id).count();
        if limit >= 0 && i64::try_from(used).unwrap_or(i64::MAX) >= limit {
            return Err(ApiError::forbidden("Quota exceeded, too many key pairs."));
        }
        let keypair = KeyPair {
            id,
            name: request.name,
            user_id: caller.user_id.clone(),
            public_key,
            fingerprint,
            created_at: time::micros(self.clock.now()),
            number: self.compute.keypairs.len() + 1,
        };
        self.compute.keypairs.insert(keypair.clone());
        Ok(keypair)
    }

    /// The caller's keypair of this name.
    pub fn keypair(&self, caller: &Token, name: &str) -> Option<&KeyPair> {
        self.compute.keypairs.get(&format!("{}/{name}", caller.user_id))
    }
}

impl KeyPair {
    fn view(&self, version: Microversion) -> Value {
        let mut view =
            json!({"name": self.name, "public_key": self.public_key, "fingerprint": self.fingerprint});
        if version.at_least(2) {
            view["type"] = json!("ssh");
        }
        view
    }
}

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/compute/v2.1/os-keypairs", get(list).post(create))
        .route("/compute/v2.1/os-keypairs/{name}", get(show).delete(delete))
}

fn not_found(caller: &Caller, name: &str) -> ApiError {
    ApiError::not_found(format!("Keypair {name} not found for user {}", caller.user_id))
}

async fn list(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    RawQuery(text): RawQuery,
) -> Answer {
    let query = Query::parse(text.as_deref());
    query.only(&["limit", "marker", "user_id"])?;
    let cloud = world.openstack();
    let mut own: Vec<&KeyPair> =
        cloud.compute.keypairs.iter().filter(|each| each.user_id == caller.user_id).collect();
    own.sort_by(|one, other| one.name.cmp(&other.name));
    let (page, _) = super::server_routes::cut(&query, own, |keypair| &keypair.name)?;
    let views: Vec<Value> = page.into_iter().map(|each| json!({"keypair": each.view(version)})).collect();
    Ok(axum::Json(json!({"keypairs": views})))
}

async fn create(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    bytes: Bytes,
) -> Result<Response, ApiError> {
    let request = body::rooted(Shape::Nova, "keypair", &bytes)?;
    let keypair = world.openstack().create_keypair(&caller, request)?;
    let mut view = keypair.view(version);
    view["user_id"] = json!(keypair.user_id);
    let status = if version.at_least(2) { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, axum::Json(json!({"keypair": view}))).into_response())
}

async fn show(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path(name): Path<String>,
) -> Answer {
    let cloud = world.openstack();
    let keypair = cloud.keypair(&caller, &name).ok_or_else(|| not_found(&caller, &name))?;
    let mut view = keypair.view(version);
    view["user_id"] = json!(keypair.user_id);
    view["created_at"] = json!(keypair.created_at);
    view["deleted"] = json!(false);
    view["deleted_at"] = Value::Null;
    view["updated_at"] = Value::Null;
    view["id"] = json!(keypair.number);
    Ok(axum::Json(json!({"keypair": view})))
}

async fn delete(
    State(world): State<World>,
    caller: Caller,
    version: Microversion,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = format!("{}/{name}", caller.user_id);
    world.openstack().compute.keypairs.remove(&id).ok_or_else(|| not_found(&caller, &name))?;
    Ok(if version.at_least(2) { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED })
}
