//! Versions of Nova's API: the documents, and what a request asks for.

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::World;
use crate::openstack::error::ApiError;

/// The newest microversion: 2.96 (2024.1).
pub(super) const MAXIMUM: u32 = 96;

/// The minor number of the microversion that a request asks for: 90 of 2.90.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Microversion(pub(super) u32);

impl Microversion {
    pub(super) fn at_least(self, minor: u32) -> bool {
        self.0 >= minor
    }
}

impl<S: Sync> FromRequestParts<S> for Microversion {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or(Self(1)))
    }
}

/// What the headers ask for: the modern one before the old one, 2.1 if there is none.
fn asked(headers: &HeaderMap) -> Result<(u32, u32), ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let modern = text("openstack-api-version").and_then(|value| {
        value.split(',').find_map(|part| part.trim().strip_prefix("compute ").map(str::trim))
    });
    let Some(version) = modern.or_else(|| text("x-openstack-nova-api-version")) else { return Ok((2, 1)) };
    if version == "latest" {
        return Ok((2, MAXIMUM));
    }
    let parsed =
        version.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    parsed.ok_or_else(|| {
        ApiError::bad_request(format!(
            "API Version String {version} is of invalid format. Must be of format MajorNum.MinorNum."
        ))
    })
}

/// Refuses what is out of range, tells the handler the rest, and names the version in the answer.
pub(super) async fn negotiate(mut request: Request, next: Next) -> Response {
    let path = request.uri().path().trim_end_matches('/');
    if !path.starts_with("/compute/v2.1") {
        return next.run(request).await;
    }
    let (major, minor) = match asked(request.headers()) {
        Ok(version) => version,
        Err(error) => return error.into_response(),
    };
    let supported = major == 2 && (1..=MAXIMUM).contains(&minor);
    let mut response = if supported {
        request.extensions_mut().insert(Microversion(minor));
        next.run(request).await
    } else {
        let text = format!(
            "Version {major}.{minor} is not supported by the API. Minimum is 2.1 and maximum is 2.{MAXIMUM}."
        );
        ApiError::new(406, "NotAcceptable", text).into_response()
    };
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("openstack-api-version", format!("compute {major}.{minor}"));
    set("x-openstack-nova-api-version", format!("{major}.{minor}"));
    set("vary", "OpenStack-API-Version, X-OpenStack-Nova-API-Version".to_owned());
    response
}

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/compute", get(versions))
        .route("/compute/", get(versions))
        .route("/compute/v2.1", get(version))
        .route("/compute/v2.1/", get(version))
}

fn document(base_url: &str) -> Value {
    json!({
        "id": "v2.1", "status": "CURRENT", "version": format!("2.{MAXIMUM}"), "min_version": "2.1",
        "updated": "2013-07-23T11:33:21Z", "links": [{"rel": "self", "href": format!("{base_url}/compute/v2.1/")}],
    })
}

async fn versions(State(world): State<World>) -> axum::Json<Value> {
    let old = json!({
        "id": "v2.0", "status": "SUPPORTED", "version": "", "min_version": "", "updated": "2011-01-21T11:33:21Z",
        "links": [{"rel": "self", "href": format!("{}/compute/v2/", world.base_url())}],
    });
    axum::Json(json!({"versions": [old, document(world.base_url())]}))
}

async fn version(State(world): State<World>) -> axum::Json<Value> {
    let mut version = document(world.base_url());
    version["media-types"] =
        json!([{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}]);
    axum::Json(json!({"version": version}))
}
