//! The management plane with everything that its components share.

use std::sync::Arc;

use capstan_core::documents::{ComponentVersions, Fleet};
use capstan_engine::{Any, erase};
use capstan_kube::Client;

use crate::{Definitions, Provider, ProviderKind, SystemNamespace};

/// A management plane.
pub struct ManagementPlane {
    pub(crate) client: Client,
    pub(crate) fleet: String,
    pub(crate) versions: ComponentVersions,
}

impl ManagementPlane {
    /// The management plane of a fleet.
    #[must_use]
    pub fn new(client: Client, fleet: &Fleet) -> Arc<Self> {
        let versions = fleet.spec.management.versions.clone();
        Arc::new(Self { client, fleet: fleet.metadata.name.clone(), versions })
    }

    /// The components, in the order in which one needs the other.
    #[must_use]
    pub fn components(self: &Arc<Self>) -> Vec<Arc<dyn Any>> {
        let plane = || Arc::clone(self);
        let mut components: Vec<_> =
            ProviderKind::ALL.into_iter().map(|kind| erase(Provider::new(plane(), kind))).collect();
        components.push(erase(SystemNamespace(plane())));
        components.push(erase(Definitions(plane())));
        components
    }
}
