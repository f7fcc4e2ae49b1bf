//! OpenStack as a controller sees it: its API, with a credential, in process.
//!
//! The controllers go through the routes that everybody else uses, so they are authenticated, refused and hit by quotas like
//! everybody else. Only the network in between is missing: their requests are neither counted nor hit by its faults.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use futures::FutureExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::World;
use crate::kubernetes::object::Read as _;

/// The oldest microversion of Nova that CAPO works with, which it asks for.
const COMPUTE_MICROVERSION: &str = "compute 2.60";

/// The routes of OpenStack, and the tokens in use.
#[derive(Default)]
pub(crate) struct Sessions {
    router: Mutex<Option<Router>>,
    /// By the name of a cloud and the `clouds.yaml` that it is in.
    tokens: Mutex<HashMap<String, Session>>,
}

impl Sessions {
    /// The routes, made with the first call.
    pub(crate) fn router(&self, world: &World) -> Router {
        let mut router = self.router.lock().unwrap_or_else(PoisonError::into_inner);
        router.get_or_insert_with(|| crate::openstack::router(world).with_state(world.clone())).clone()
    }

    /// Lets go of the routes: they hold the world, which holds them.
    fn close(&self) {
        *self.router.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Ends the controllers' way to OpenStack, so that nothing keeps the world when its sandbox is gone.
pub(crate) fn close(world: &World) {
    sessions(world).close();
}

/// A token, and the project that it is for.
#[derive(Clone)]
struct Session {
    token: String,
    project: String,
}

/// A cloud, with a credential that Keystone accepted.
pub(crate) struct Cloud<'w> {
    world: &'w World,
    session: Session,
}

/// What OpenStack refused, or why it was not reached.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CloudError {
    /// HTTP status; 0 if there was no answer.
    pub(crate) status: u16,
    /// As gophercloud words it.
    pub(crate) message: String,
}

impl CloudError {
    /// A failure without an HTTP answer.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { status: 0, message: message.into() }
    }

    /// True for 404.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == 404
    }

    /// With words in front, as Go's `fmt.Errorf("words: %w")`.
    pub(crate) fn wrap(self, words: &str) -> Self {
        Self { message: format!("{words}: {}", self.message), ..self }
    }
}

/// The result of a call.
pub(crate) type CloudResult<T> = Result<T, CloudError>;

impl<'w> Cloud<'w> {
    /// Logs in with a cloud of a `clouds.yaml`, unless a token from before is still valid.
    pub(crate) fn connect(world: &'w World, clouds_yaml: &str, name: &str) -> CloudResult<Self> {
        let key = format!("{name}\n{clouds_yaml}");
        let tokens = || sessions(world).tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tokens().get(&key).cloned();
        if let Some(session) = known.filter(|session| world.openstack().token(&session.token).is_some()) {
            return Ok(Self { world, session });
        }
        let made = Self::log_in(world, clouds_yaml, name)?;
        tokens().insert(key, made.session.clone());
        Ok(made)
    }

    fn log_in(world: &'w World, clouds_yaml: &str, name: &str) -> CloudResult<Self> {
        let clouds: Value = serde_saphyr::from_str(clouds_yaml).map_err(|error| {
            CloudError::new(format!("failed to unmarshal clouds credentials stored in secret: {error}"))
        })?;
        let cloud = clouds.at("clouds").get(name).cloned().unwrap_or_default();
        if !cloud.is_object() {
            return Err(CloudError::new(format!(
                "auth option failed for cloud {name}: cloud {name} not found"
            )));
        }
        let auth_url = cloud.text("auth.auth_url");
        if !auth_url.starts_with(world.base_url()) {
            let host = auth_url.split('/').nth(2).unwrap_or(auth_url);
            return Err(CloudError::new(format!(
                "Get \"{auth_url}\": dial tcp: lookup {host}: no such host"
            )));
        }
        let region = cloud.text("region_name");
        if !region.is_empty() && region != "RegionOne" {
            let message = "No suitable endpoint could be found in the service catalog.";
            return Err(CloudError::new(format!("providerClient authentication err: {message}")));
        }
        let mut made = Self { world, session: Session { token: String::new(), project: String::new() } };
        let answer = made.send(Method::POST, "/identity/v3/auth/tokens", Some(&login(&cloud).to_string()));
        let (head, body) = answer.map_err(|error| error.wrap("providerClient authentication err"))?;
        let token = head.headers.get("x-subject-token").and_then(|value| value.to_str().ok());
        token.unwrap_or_default().clone_into(&mut made.session.token);
        body.text("token.project.id").clone_into(&mut made.session.project);
        Ok(made)
    }

    /// Simulated time.
    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.world.now()
    }

    /// Where Cinder's resources of the project are.
    pub(crate) fn volumes(&self) -> String {
        format!("/volume/v3/{}/volumes", self.session.project)
    }

    /// GET
    pub(crate) fn get(&self, path: &str) -> CloudResult<Value> {
        self.send(Method::GET, path, None).map(|(_, body)| body)
    }

    /// POST
    pub(crate) fn post(&self, path: &str, body: &Value) -> CloudResult<Value> {
        self.send(Method::POST, path, Some(&body.to_string())).map(|(_, body)| body)
    }

    /// PUT
    pub(crate) fn put(&self, path: &str, body: &Value) -> CloudResult<Value> {
        self.send(Method::PUT, path, Some(&body.to_string())).map(|(_, body)| body)
    }

    /// DELETE
    pub(crate) fn delete(&self, path: &str) -> CloudResult<()> {
        self.send(Method::DELETE, path, None).map(drop)
    }

    /// DELETE of what may be gone already.
    pub(crate) fn delete_if_there(&self, path: &str) -> CloudResult<()> {
        match self.delete(path) {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    /// The resources of a list, `key` in the answer.
    pub(crate) fn list(&self, path: &str, key: &str) -> CloudResult<Vec<Value>> {
        match self.get(path)?.get_mut(key).map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(CloudError::new(format!("no `{key}` in the answer to {path}"))),
        }
    }

    /// The resource of a name in a list, if there is one.
    pub(crate) fn find(&self, path: &str, key: &str, name: &str) -> CloudResult<Option<Value>> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let found = self.list(&format!("{path}{separator}name={}", encode(name)), key)?;
        Ok(found.into_iter().find(|resource| resource.text("name") == name))
    }

    /// The resource at a path, if it is there.
    pub(crate) fn look(&self, path: &str, key: &str) -> CloudResult<Option<Value>> {
        match self.get(path) {
            Ok(mut body) => Ok(body.get_mut(key).map(Value::take)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the tags of a Neutron resource.
    pub(crate) fn tag(&self, collection: &str, id: &str, tags: &Value) -> CloudResult<()> {
        if tags.as_array().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        self.put(&format!("/network/v2.0/{collection}/{id}/tags"), &json!({"tags": tags})).map(drop)
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> CloudResult<(axum::http::response::Parts, Value)> {
        let url = format!("{}{path}", self.world.base_url());
        let refused = |error: &dyn std::fmt::Display| CloudError::new(format!("{method} \"{url}\": {error}"));
        let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        if self.world.faults().catalog_lacks(if service == "volume" { "block-storage" } else { service }) {
            return Err(CloudError::new("No suitable endpoint could be found in the service catalog."));
        }
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header("OpenStack-API-Version", COMPUTE_MICROVERSION)
            .header("X-Auth-Token", &self.session.token)
            .body(Body::from(body.unwrap_or_default().to_owned()))
            .map_err(|error| refused(&error))?;
        let router = sessions(self.world).router(self.world);
        // The routes answer from memory; nothing in them waits.
        let answer = router.oneshot(request).now_or_never().ok_or_else(|| refused(&"i/o timeout"))?;
        let (head, body) = answer.unwrap_or_else(|never| match never {}).into_parts();
        let bytes =
            axum::body::to_bytes(body, usize::MAX).now_or_never().ok_or_else(|| refused(&"i/o timeout"))?;
        let bytes = bytes.map_err(|error| refused(&error))?;
        let status = head.status.as_u16();
        if status >= 400 {
            let text = String::from_utf8_lossy(&bytes);
            let expected = match method {
                Method::POST => "[201 202]",
                Method::DELETE => "[202 204]",
                _ => "[200]",
            };
            let message = format!(
                "Expected HTTP response code {expected} when accessing [{method} {url}], but got {status} instead: {text}"
            );
            return Err(CloudError { status, message });
        }
        Ok((head, serde_json::from_slice(&bytes).unwrap_or_default()))
    }
}

fn sessions(world: &World) -> &Sessions {
    world.kubernetes().sessions()
}

/// Escapes what a query must not contain.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// The body of a token request for a cloud of a `clouds.yaml`.
fn login(cloud: &Value) -> Value {
    let auth = cloud.at("auth");
    if auth.text_at("application_credential_id").or(auth.text_at("application_credential_name")).is_some() {
        let mut credential = json!({"secret": auth["application_credential_secret"]});
        if let Some(id) = auth.text_at("application_credential_id") {
            credential["id"] = id.into();
        } else {
            credential["name"] = auth["application_credential_name"].clone();
            credential["user"] = user(auth);
        }
        return json!({"auth": {"identity": {"methods": ["application_credential"], "application_credential": credential}}});
    }
    let mut user = user(auth);
    user["password"] = auth["password"].clone();
    let project = match auth.text_at("project_id") {
        Some(id) => json!({"id": id}),
        None => json!({"name": auth["project_name"], "domain": domain(auth, "project_domain")}),
    };
    json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": project}}})
}

fn user(auth: &Value) -> Value {
    match auth.text_at("user_id") {
        Some(id) => json!({"id": id}),
        None => json!({"name": auth["username"], "domain": domain(auth, "user_domain")}),
    }
}

fn domain(auth: &Value, prefix: &str) -> Value {
    let of = |field: &str| {
        auth.text_at(&format!("{prefix}_{field}")).or_else(|| auth.text_at(&format!("domain_{field}")))
    };
    match of("id") {
        Some(id) => json!({"id": id}),
        None => json!({"name": of("name").unwrap_or("Default")}),
    }
}
