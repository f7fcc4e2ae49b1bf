//! Templates: Cluster API makes the Cluster their owner, so that they go with it.

use super::ids;
use super::scope::{CLUSTER_NAME, Next, Scope};
use crate::kubernetes::object::{Object, Read as _, Write as _, owner_reference};

pub(super) fn reconcile(scope: &Scope<'_>, resource: &str, template: &Object) -> Next {
    let name = template.name();
    let used = |object: &Object| {
        [
            "spec.template.spec.infrastructureRef.name",
            "spec.template.spec.bootstrap.configRef.name",
            "spec.machineTemplate.spec.infrastructureRef.name",
        ]
        .iter()
        .any(|path| object.text(path) == name)
    };
    let deployment = scope.list(ids::MACHINE_DEPLOYMENTS, used).into_iter().next();
    let control_plane = || {
        let found = scope.list(ids::CONTROL_PLANES, used).into_iter().next()?;
        found.label(CLUSTER_NAME).map(str::to_owned)
    };
    let cluster = deployment.map(|d| d.text("spec.clusterName").to_owned()).or_else(control_plane);
    let Some(cluster) = cluster.and_then(|cluster| scope.get(ids::CLUSTERS, &cluster)) else {
        return Next::Done;
    };
    if !template.is_owned_by(cluster.uid()) {
        scope.server.modify(resource, &scope.namespace, name, "manager", |template| {
            template.add_owner(owner_reference(&cluster));
            template.set_entry("metadata.labels", CLUSTER_NAME, cluster.name());
        });
    }
    Next::Done
}
