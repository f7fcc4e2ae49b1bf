//! Workload clusters: from a document to a Kubernetes cluster on OpenStack and away again.
//!
//! A [`Subject`] is one cluster with what its [components] share: the document, the management
//! [plane](Plane) as watches tell it, the OpenStack [project](Project) as lists tell it. The engine
//! walks the components; Cluster API and its OpenStack provider do the work. [Rendering](render) is pure.
//!
//! What this crate never does: it keeps no state, prints nothing, creates no server, network or load balancer itself.

pub mod components;
pub mod facts;
pub mod images;
pub mod plane;
pub mod project;
pub mod quota;
pub mod render;
pub mod run;
pub mod status;
pub mod subject;
pub mod workload_api;

mod classify;
mod control_plane;
mod diagnosis;
mod effects;
mod failure;

pub use plane::Plane;
pub use project::Project;
pub use subject::Subject;
