//! One workload cluster with everything that its components share.

use std::path::PathBuf;
use std::sync::Arc;

use capstan_core::documents::ResolvedCluster;
use capstan_core::names::ClusterNames;
use capstan_engine::{Any, Slot, erase};
use capstan_kube::{DynamicObject, Kind};
use jiff::Timestamp;

use crate::components;
use crate::facts::Facts;
use crate::plane::Plane;
use crate::project::Project;
use crate::render::{self, Input, Objects};

/// A workload cluster: what is wanted, and where it is observed and made.
pub struct Subject {
    /// The document with all defaults.
    pub cluster: ResolvedCluster,
    /// The management plane.
    pub plane: Plane,
    /// The OpenStack project.
    pub project: Project,
    /// What the cloud says of the document's names; filled by preflight.
    pub facts: Slot<Facts>,
    /// The fleet's folder: relative paths in documents count from it.
    pub folder: PathBuf,
    /// When this run began, for judging how old things are.
    pub since: Timestamp,
}

impl Subject {
    /// A cluster whose run begins now.
    #[must_use]
    pub fn new(
        cluster: ResolvedCluster,
        plane: Plane,
        project: Project,
        folder: impl Into<PathBuf>,
        since: Timestamp,
    ) -> Arc<Self> {
        Arc::new(Self { cluster, plane, project, facts: Slot::new(), folder: folder.into(), since })
    }

    /// The components, in the order of their making.
    #[must_use]
    pub fn components(self: &Arc<Self>) -> Vec<Arc<dyn Any>> {
        let subject = || Arc::clone(self);
        vec![
            erase(components::preflight::Preflight(subject())),
            erase(components::namespace::Namespace(subject())),
            erase(components::record::Record::early(subject())),
            erase(components::image::NodeImage(subject())),
            erase(components::credential::Credential::new(subject())),
            erase(components::server_groups::ServerGroups(subject())),
            erase(components::leftovers::Leftovers::behind(subject())),
            erase(components::objects::ClusterObjects::cluster(subject())),
            erase(components::objects::ClusterObjects::control_plane(subject())),
            erase(components::objects::ClusterObjects::node_groups(subject())),
            erase(components::credential::Credential::while_deleting(subject())),
            erase(components::leftovers::Leftovers::in_the_way(subject())),
            erase(components::workload::Workload::new(subject())),
            erase(components::access::Access(subject())),
            erase(components::machines::Machines::new(subject())),
            erase(components::templates::Templates(subject())),
            erase(components::record::Record::late(subject())),
        ]
    }

    pub(crate) fn names(&self) -> &ClusterNames {
        &self.cluster.names
    }

    pub(crate) fn namespace(&self) -> &str {
        self.cluster.names.namespace()
    }

    /// An object of the cluster's namespace.
    pub(crate) fn get(&self, kind: &Kind, name: &str) -> Option<Arc<DynamicObject>> {
        self.plane.get(kind, self.namespace(), name)
    }

    /// The objects of a kind in the cluster's namespace.
    pub(crate) fn list(&self, kind: &Kind) -> Vec<Arc<DynamicObject>> {
        self.plane.list(kind, self.namespace())
    }

    /// The wanted objects, once the facts are known.
    pub(crate) fn objects(&self) -> Option<Objects> {
        let facts = self.facts.get()?;
        Some(render::objects(Input { names: self.names(), spec: &self.cluster.spec, facts: &facts }))
    }
}
