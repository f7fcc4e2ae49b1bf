//! Components of the management plane, in order.
//!
//! A fleet's management plane is a Kubernetes cluster with cert-manager, the OpenStack resource controller, Cluster API
//! and its OpenStack provider. For now it is one that exists: these components check that all of it is there, new
//! enough and healthy, and bring in what is Capstan's own. Installing the others is not done here yet.
//!
//! What this crate never does: it touches no workload cluster, and removes nothing from a management plane that
//! somebody else has set up.

mod definitions;
mod namespace;
mod provider;
mod subject;

pub use definitions::Definitions;
pub use namespace::SystemNamespace;
pub use provider::{Provider, ProviderKind};
pub use subject::ManagementPlane;
