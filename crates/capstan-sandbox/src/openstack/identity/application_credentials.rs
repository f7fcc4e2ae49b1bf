//! Application credentials of a user.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::directory::forbidden;
use super::{Role, Token};
use crate::World;
use crate::openstack::OpenStack;
use crate::openstack::body;
use crate::openstack::caller::Caller;
use crate::openstack::error::{ApiError, Shape};
use crate::openstack::query::Query;
use crate::openstack::table::identified;
use crate::openstack::time;

/// An application credential.
#[derive(Clone)]
pub struct ApplicationCredential {
    /// Id.
    pub id: String,
    /// Name, unique among the user's.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Whose it is.
    pub user_id: String,
    /// The project that it is for.
    pub project_id: String,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Whether it may manage application credentials, as the client said it.
    pub unrestricted: Option<bool>,
    /// Roles that it gives.
    pub roles: Vec<Role>,
    access_rules: Vec<Value>,
    secret: String,
}

identified!(ApplicationCredential);

/// What a client may say to create one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplicationCredentialCreate {
    /// Name.
    pub name: String,
    /// Made up if not given.
    #[serde(default)]
    pub secret: Option<String>,
    /// Free text.
    #[serde(default)]
    pub description: Option<String>,
    /// `2027-01-01T00:00:00`, with or without fractions and `Z`.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// All of the token's if not given.
    #[serde(default)]
    pub roles: Option<Vec<RoleRef>>,
    /// Whether it may manage application credentials.
    #[serde(default)]
    pub unrestricted: Option<bool>,
    /// Kept and shown, not enforced.
    #[serde(default)]
    pub access_rules: Option<Vec<Value>>,
}

/// A role by name or id.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRef {
    /// Name.
    #[serde(default)]
    pub name: Option<String>,
    /// Id.
    #[serde(default)]
    pub id: Option<String>,
}

impl ApplicationCredential {
    pub(super) fn opens_with(&self, secret: &str) -> bool {
        self.secret == secret
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    fn view(&self, base_url: &str) -> Value {
        let role = |role: &Role| {
            json!({"id": role.id, "name": role.name, "domain_id": null, "description": null,
                   "options": {"immutable": true}})
        };
        let mut view = json!({
            "id": self.id, "name": self.name, "description": self.description,
            "user_id": self.user_id, "project_id": self.project_id, "system": null,
            "expires_at": self.expires_at.map(time::micros),
            "unrestricted": self.unrestricted,
            "roles": self.roles.iter().map(role).collect::<Vec<_>>(),
            "links": {"self": format!("{base_url}/identity/v3/application_credentials/{}", self.id)},
        });
        if !self.access_rules.is_empty() {
            view["access_rules"] = json!(self.access_rules);
        }
        view
    }
}

impl OpenStack {
    /// Makes an application credential; the secret is given once.
    ///
    /// # Errors
    /// 403 for a restricted application credential, 409 for a name that is taken, 400 for roles that the token lacks.
    pub fn create_application_credential(
        &mut self,
        caller: &Token,
        request: ApplicationCredentialCreate,
    ) -> Result<(ApplicationCredential, String), ApiError> {
        may_manage(caller)?;
        let expires_at = request.expires_at.as_deref().map(parse_expiry).transpose()?;
        if expires_at.is_some_and(|end| end <= self.clock.now()) {
            return Err(malformed("The 'expires_at' must not be before now."));
        }
        if request.name.is_empty() {
            return Err(ApiError::bad_request("Invalid input for field 'name': '' is too short"));
        }
        let taken =
            |each: &ApplicationCredential| each.user_id == caller.user_id && each.name == request.name;
        if self.identity.credentials.iter().any(taken) {
            return Err(ApiError::conflict(format!(
                "Conflict occurred attempting to store application_credential - Duplicate entry found with name {}.",
                request.name
            )));
        }
        let roles = match &request.roles {
            None => caller.roles.clone(),
            Some(wanted) => {
                wanted.iter().map(|role| held(caller, role)).collect::<Result<Vec<Role>, ApiError>>()?
            }
        };
        let secret = request.secret.unwrap_or_else(|| self.ids.secret(86));
        let credential = ApplicationCredential {
            id: self.ids.hex(),
            name: request.name,
            description: request.description,
            user_id: caller.user_id.clone(),
            project_id: caller.project_id.clone(),
            expires_at,
            unrestricted: request.unrestricted,
            roles,
            access_rules: request.access_rules.unwrap_or_default(),
            secret: secret.clone(),
        };
        self.identity.credentials.insert(credential.clone());
        Ok((credential, secret))
    }

    /// Deletes one; tokens made with it are refused from then on.
    ///
    /// # Errors
    /// 403 for a restricted application credential, 404 if there is none of this id.
    pub fn delete_application_credential(&mut self, caller: &Token, id: &str) -> Result<(), ApiError> {
        may_manage(caller)?;
        self.own_credential(&caller.user_id, id)?;
        self.end_credential(id, true);
        Ok(())
    }

    /// Ends a credential and its tokens: it is removed, or it expires now.
    pub(in crate::openstack) fn end_credential(&mut self, id: &str, removed: bool) {
        if removed {
            self.identity.credentials.remove(id);
        } else if let Some(credential) = self.identity.credentials.get_mut(id) {
            credential.expires_at = Some(self.clock.now());
        }
        self.revoke(|token| token.application_credential.as_ref().is_some_and(|(from, _, _)| from == id));
    }

    fn own_credential(&self, user_id: &str, id: &str) -> Result<&ApplicationCredential, ApiError> {
        let found = self.identity.credentials.get(id).filter(|each| each.user_id == user_id);
        found.ok_or_else(|| ApiError::not_found(format!("Could not find Application Credential: {id}.")))
    }
}

fn may_manage(caller: &Token) -> Result<(), ApiError> {
    match &caller.application_credential {
        Some((_, _, true)) => Err(ApiError::forbidden(
            "You are not authorized to perform the requested action: Using method 'application_credential' is not allowed \
             for managing additional application credentials..",
        )),
        _ => Ok(()),
    }
}

fn held(caller: &Token, wanted: &RoleRef) -> Result<Role, ApiError> {
    let is_it =
        |role: &&Role| wanted.name.as_ref() == Some(&role.name) || wanted.id.as_ref() == Some(&role.id);
    caller.roles.iter().find(is_it).cloned().ok_or_else(|| {
        ApiError::bad_request(
            "Invalid application credential: Cannot create an application credential with unassigned role",
        )
    })
}

fn parse_expiry(text: &str) -> Result<Timestamp, ApiError> {
    let parsed = text.trim_end_matches('Z').parse::<DateTime>().ok();
    let zoned = parsed.and_then(|local| local.to_zoned(jiff::tz::TimeZone::UTC).ok());
    zoned.map(|zoned| zoned.timestamp()).ok_or_else(|| malformed("Timestamp not in expected format."))
}

fn malformed(text: &str) -> ApiError {
    ApiError::bad_request(format!(
        "{text} The server could not comply with the request since it is either malformed or otherwise incorrect. The \
         client is assumed to be in error."
    ))
}

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/identity/v3/users/{user}/application_credentials", get(list).post(create))
        .route("/identity/v3/users/{user}/application_credentials/{id}", get(show).delete(delete))
}

/// Only the user's own are managed.
fn own(caller: &Token, user: &str, action: &str) -> Result<(), ApiError> {
    if caller.user_id == user || caller.is_admin() { Ok(()) } else { Err(forbidden(action)) }
}

async fn list(
    State(world): State<World>,
    caller: Caller,
    Path(user): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<Value>, ApiError> {
    own(&caller, &user, "identity:list_application_credentials")?;
    let query = Query::parse(query.as_deref());
    query.only(&["name"])?;
    let cloud = world.openstack();
    let name = query.get("name");
    let all = cloud.identity.credentials.iter().filter(|each| each.user_id == user);
    let views: Vec<Value> = all
        .filter(|each| name.is_none_or(|name| each.name == name))
        .map(|each| each.view(world.base_url()))
        .collect();
    let url = format!("{}/identity/v3/users/{user}/application_credentials", world.base_url());
    let links = json!({"next": null, "self": url, "previous": null});
    Ok(axum::Json(json!({"application_credentials": views, "links": links})))
}

async fn create(
    State(world): State<World>,
    caller: Caller,
    Path(user): Path<String>,
    bytes: Bytes,
) -> Result<Response, ApiError> {
    if caller.user_id != user {
        return Err(forbidden("identity:create_application_credential"));
    }
    let request = body::rooted(Shape::Keystone, "application_credential", &bytes)?;
    let (credential, secret) = world.openstack().create_application_credential(&caller, request)?;
    let mut view = credential.view(world.base_url());
    view["secret"] = json!(secret);
    Ok((StatusCode::CREATED, axum::Json(json!({"application_credential": view}))).into_response())
}

async fn show(
    State(world): State<World>,
    caller: Caller,
    Path((user, id)): Path<(String, String)>,
) -> Result<axum::Json<Value>, ApiError> {
    own(&caller, &user, "identity:get_application_credential")?;
    let cloud = world.openstack();
    let view = cloud.own_credential(&user, &id)?.view(world.base_url());
    Ok(axum::Json(json!({"application_credential": view})))
}

async fn delete(
    State(world): State<World>,
    caller: Caller,
    Path((user, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    own(&caller, &user, "identity:delete_application_credential")?;
    world.openstack().delete_application_credential(&caller, &id)?;
    Ok(StatusCode::NO_CONTENT)
}
