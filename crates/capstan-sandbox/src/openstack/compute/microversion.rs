//! Versions of Nova's API.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use crate::World;
pub(super) use crate::openstack::microversion::Microversion;
use crate::openstack::microversion::Range;

/// The newest microversion is 2.96 (2024.1).
const VERSIONS: Range = Range {
    service: "compute",
    major: 2,
    first: 1,
    last: 96,
    old_header: Some("x-openstack-nova-api-version"),
};

/// Everything below the root of the API has a microversion.
pub(super) async fn negotiate(request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/compute/v2.1") {
        VERSIONS.negotiate(request, next).await
    } else {
        next.run(request).await
    }
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
        "id": "v2.1", "status": "CURRENT", "version": format!("2.{}", VERSIONS.last), "min_version": "2.1",
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
