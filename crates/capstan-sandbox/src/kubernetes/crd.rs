//! `CustomResourceDefinition`s: from the object to the resources that it defines.

use std::sync::Arc;

use serde_json::{Value, json};

use super::error::Cause;
use super::object::{Object, Read as _, Write as _};
use super::registry::{Column, Resource, Scale};

/// The definitions that the management plane has from the start, from the folder `crds/` (see its README).
pub(crate) const INSTALLED: &[&str] = &[
    include_str!("../../crds/certificaterequests.cert-manager.io.json"),
    include_str!("../../crds/certificates.cert-manager.io.json"),
    include_str!("../../crds/challenges.acme.cert-manager.io.json"),
    include_str!("../../crds/clusterclasses.cluster.x-k8s.io.json"),
    include_str!("../../crds/clusterissuers.cert-manager.io.json"),
    include_str!("../../crds/clusters.cluster.x-k8s.io.json"),
    include_str!("../../crds/images.openstack.k-orc.cloud.json"),
    include_str!("../../crds/issuers.cert-manager.io.json"),
    include_str!("../../crds/kubeadmconfigs.bootstrap.cluster.x-k8s.io.json"),
    include_str!("../../crds/kubeadmconfigtemplates.bootstrap.cluster.x-k8s.io.json"),
    include_str!("../../crds/kubeadmcontrolplanes.controlplane.cluster.x-k8s.io.json"),
    include_str!("../../crds/kubeadmcontrolplanetemplates.controlplane.cluster.x-k8s.io.json"),
    include_str!("../../crds/machinedeployments.cluster.x-k8s.io.json"),
    include_str!("../../crds/machinedrainrules.cluster.x-k8s.io.json"),
    include_str!("../../crds/machinehealthchecks.cluster.x-k8s.io.json"),
    include_str!("../../crds/machinepools.cluster.x-k8s.io.json"),
    include_str!("../../crds/machines.cluster.x-k8s.io.json"),
    include_str!("../../crds/machinesets.cluster.x-k8s.io.json"),
    include_str!("../../crds/openstackclusteridentities.infrastructure.cluster.x-k8s.io.json"),
    include_str!("../../crds/openstackclusters.infrastructure.cluster.x-k8s.io.json"),
    include_str!("../../crds/openstackclustertemplates.infrastructure.cluster.x-k8s.io.json"),
    include_str!("../../crds/openstackfloatingippools.infrastructure.cluster.x-k8s.io.json"),
    include_str!("../../crds/openstackmachines.infrastructure.cluster.x-k8s.io.json"),
    include_str!("../../crds/openstackmachinetemplates.infrastructure.cluster.x-k8s.io.json"),
    include_str!("../../crds/openstackservers.infrastructure.cluster.x-k8s.io.json"),
    include_str!("../../crds/orders.acme.cert-manager.io.json"),
    include_str!("../../crds/providers.clusterctl.cluster.x-k8s.io.json"),
];

/// The store key of the definitions themselves.
pub(crate) const ID: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// The resources that a definition defines, one per served version.
pub(crate) fn resources(crd: &Object) -> Vec<Arc<Resource>> {
    let served = crd.items("spec.versions").iter().filter(|v| v.flag("served"));
    served.map(|version| Arc::new(resource(crd, version))).collect()
}

fn resource(crd: &Object, version: &Value) -> Resource {
    let names = crd.at("spec.names");
    let texts =
        |field: &str| names.items(field).iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let subresources = version.at("subresources");
    let path = |at: &str| subresources.at(at).as_str().map(|p| p.trim_start_matches('.').to_owned());
    let scale = subresources.get("scale").map(|_| Scale {
        spec: path("scale.specReplicasPath").unwrap_or_default(),
        status: path("scale.statusReplicasPath").unwrap_or_default(),
        selector: path("scale.labelSelectorPath"),
    });
    let column = |column: &Value| Column {
        name: column.text("name").to_owned(),
        kind: column.text("type").to_owned(),
        format: column.text("format").to_owned(),
        path: column.text("jsonPath").to_owned(),
        priority: column.int("priority").unwrap_or(0),
    };
    let mut columns: Vec<Column> = version.items("additionalPrinterColumns").iter().map(column).collect();
    if columns.is_empty() {
        columns.push(Column {
            name: "Age".to_owned(),
            kind: "date".to_owned(),
            format: String::new(),
            path: ".metadata.creationTimestamp".to_owned(),
            priority: 0,
        });
    }
    Resource {
        id: crd.name().into(),
        group: crd.text("spec.group").to_owned(),
        version: version.text("name").to_owned(),
        kind: names.text("kind").to_owned(),
        plural: names.text("plural").to_owned(),
        singular: names.text_at("singular").map_or_else(|| names.text("kind").to_lowercase(), str::to_owned),
        short_names: texts("shortNames"),
        categories: texts("categories"),
        namespaced: crd.text("spec.scope") == "Namespaced",
        status: subresources.get("status").is_some(),
        scale,
        schema: Some(Arc::new(version.at("schema.openAPIV3Schema").clone())),
        columns,
        create_only: false,
    }
}

/// What is wrong with a definition; the checks of the API server that people meet.
pub(crate) fn check(crd: &Object) -> Vec<Cause> {
    let mut causes = Vec::new();
    for field in ["spec.group", "spec.names.plural", "spec.names.kind", "spec.scope"] {
        if crd.text_at(field).is_none() {
            causes.push(Cause::required(field, ""));
        }
    }
    let expected = format!("{}.{}", crd.text("spec.names.plural"), crd.text("spec.group"));
    if crd.name() != expected {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &crd.name().into(), detail));
    }
    let versions = crd.items("spec.versions");
    if versions.iter().filter(|v| v.flag("storage")).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &crd.at("spec.versions").clone(), detail));
    }
    for (index, version) in versions.iter().enumerate() {
        if !version.at("schema.openAPIV3Schema").is_object() {
            causes.push(Cause::required(
                format!("spec.versions[{index}].schema.openAPIV3Schema"),
                "schemas are required",
            ));
        }
    }
    causes
}

/// Fills in what the API server fills in, and the status of an accepted definition.
pub(crate) fn accept(crd: &mut Object, now: &str) {
    let kind = crd.text("spec.names.kind").to_owned();
    if crd.text_at("spec.names.singular").is_none() {
        crd.set("spec.names.singular", kind.to_lowercase());
    }
    if crd.text_at("spec.names.listKind").is_none() {
        crd.set("spec.names.listKind", format!("{kind}List"));
    }
    if crd.at("spec.conversion").is_null() {
        crd.set("spec.conversion", json!({"strategy": "None"}));
    }
    let stored: Vec<&str> =
        crd.items("spec.versions").iter().filter(|v| v.flag("storage")).map(|v| v.text("name")).collect();
    let mut all: Vec<Value> = crd.items("status.storedVersions").to_vec();
    for version in stored {
        if !all.iter().any(|v| v == version) {
            all.push(version.into());
        }
    }
    let names = crd.at("spec.names").clone();
    let since = crd.condition("Established").map_or(now, |c| c.text("lastTransitionTime")).to_owned();
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": since});
    let conditions = json!([
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ]);
    crd.set("status", json!({"acceptedNames": names, "storedVersions": all, "conditions": conditions}));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_installed_definitions_are_sound() {
        for text in INSTALLED {
            let crd: Value = serde_json::from_str(text).unwrap();
            assert_eq!(check(&crd), [], "{}", crd.name());
            let resources = resources(&crd);
            assert_eq!(resources.len(), 1);
            assert_eq!(&*resources[0].id, crd.name());
        }
    }
}
