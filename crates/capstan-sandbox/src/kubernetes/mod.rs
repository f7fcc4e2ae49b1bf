//! The Kubernetes API of the management plane and of the workload clusters.

use axum::Router;

use crate::World;

/// The Kubernetes objects.
#[derive(Default)]
pub struct Store {}

/// Routes under `/kubernetes` (management plane) and `/workload/NAMESPACE/NAME` (workload clusters); paths are whole.
pub(crate) fn router(_world: &World) -> Router<World> {
    Router::new()
}

/// A kubeconfig with the context `sandbox` for the management plane at `base_url`.
pub(crate) fn kubeconfig(_base_url: &str) -> String {
    String::new()
}
