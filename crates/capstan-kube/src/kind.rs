//! Kinds of Kubernetes objects, as data: what a URL and a store key need to know of them.

use std::borrow::Cow;
use std::fmt;

use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;

/// A kind of object in one version of its API group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: Cow<'static, str>,
    /// Version within the group.
    pub version: Cow<'static, str>,
    /// Name in singular, as in `kind:`.
    pub kind: Cow<'static, str>,
    /// Name in URLs.
    pub plural: Cow<'static, str>,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
}

/// Declares the kinds that Capstan deals with, and a table of all of them.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $group:literal / $version:literal / $kind:literal / $plural:literal $scope:ident;)*) => {
        impl Kind {
            $($(#[$doc])* pub const $name: Self = Self::new($group, $version, $kind, $plural, kinds!(@$scope));)*

            /// Every kind that has a constant here.
            const KNOWN: &'static [Self] = &[$(Self::$name),*];
        }
    };
    (@namespaced) => { true };
    (@cluster) => { false };
}

kinds! {
    /// Namespace.
    NAMESPACE = "" / "v1" / "Namespace" / "namespaces" cluster;
    /// Secret.
    SECRET = "" / "v1" / "Secret" / "secrets" namespaced;
    /// ConfigMap.
    CONFIG_MAP = "" / "v1" / "ConfigMap" / "configmaps" namespaced;
    /// Event of the core group.
    EVENT = "" / "v1" / "Event" / "events" namespaced;
    /// Node.
    NODE = "" / "v1" / "Node" / "nodes" cluster;
    /// Service.
    SERVICE = "" / "v1" / "Service" / "services" namespaced;
    /// PersistentVolumeClaim.
    PERSISTENT_VOLUME_CLAIM = "" / "v1" / "PersistentVolumeClaim" / "persistentvolumeclaims" namespaced;
    /// Deployment.
    DEPLOYMENT = "apps" / "v1" / "Deployment" / "deployments" namespaced;
    /// Lease.
    LEASE = "coordination.k8s.io" / "v1" / "Lease" / "leases" namespaced;
    /// CustomResourceDefinition.
    CUSTOM_RESOURCE_DEFINITION =
        "apiextensions.k8s.io" / "v1" / "CustomResourceDefinition" / "customresourcedefinitions" cluster;
    /// Cluster API's Cluster.
    CLUSTER = "cluster.x-k8s.io" / "v1beta2" / "Cluster" / "clusters" namespaced;
    /// Cluster API's Machine.
    MACHINE = "cluster.x-k8s.io" / "v1beta2" / "Machine" / "machines" namespaced;
    /// Cluster API's MachineSet.
    MACHINE_SET = "cluster.x-k8s.io" / "v1beta2" / "MachineSet" / "machinesets" namespaced;
    /// Cluster API's MachineDeployment.
    MACHINE_DEPLOYMENT = "cluster.x-k8s.io" / "v1beta2" / "MachineDeployment" / "machinedeployments" namespaced;
    /// Cluster API's MachineHealthCheck.
    MACHINE_HEALTH_CHECK = "cluster.x-k8s.io" / "v1beta2" / "MachineHealthCheck" / "machinehealthchecks" namespaced;
    /// The kubeadm control plane provider's object.
    KUBEADM_CONTROL_PLANE =
        "controlplane.cluster.x-k8s.io" / "v1beta2" / "KubeadmControlPlane" / "kubeadmcontrolplanes" namespaced;
    /// The kubeadm bootstrap provider's object of one machine.
    KUBEADM_CONFIG = "bootstrap.cluster.x-k8s.io" / "v1beta2" / "KubeadmConfig" / "kubeadmconfigs" namespaced;
    /// The kubeadm bootstrap provider's template of a node group.
    KUBEADM_CONFIG_TEMPLATE =
        "bootstrap.cluster.x-k8s.io" / "v1beta2" / "KubeadmConfigTemplate" / "kubeadmconfigtemplates" namespaced;
    /// CAPO's cluster.
    OPENSTACK_CLUSTER =
        "infrastructure.cluster.x-k8s.io" / "v1beta1" / "OpenStackCluster" / "openstackclusters" namespaced;
    /// CAPO's machine.
    OPENSTACK_MACHINE =
        "infrastructure.cluster.x-k8s.io" / "v1beta1" / "OpenStackMachine" / "openstackmachines" namespaced;
    /// CAPO's machine template.
    OPENSTACK_MACHINE_TEMPLATE =
        "infrastructure.cluster.x-k8s.io" / "v1beta1" / "OpenStackMachineTemplate" / "openstackmachinetemplates" namespaced;
    /// CAPO's server, one per machine.
    OPENSTACK_SERVER =
        "infrastructure.cluster.x-k8s.io" / "v1alpha1" / "OpenStackServer" / "openstackservers" namespaced;
    /// An installed provider, as clusterctl records it.
    PROVIDER = "clusterctl.cluster.x-k8s.io" / "v1alpha3" / "Provider" / "providers" namespaced;
    /// Capstan's own: the desired state of a workload cluster.
    WORKLOAD_CLUSTER = "capstan.dev" / "v1alpha1" / "WorkloadCluster" / "workloadclusters" namespaced;
}

impl Kind {
    /// A kind from literals.
    #[must_use]
    pub const fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
        namespaced: bool,
    ) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            kind: Cow::Borrowed(kind),
            plural: Cow::Borrowed(plural),
            namespaced,
        }
    }

    /// The kind of a typed object.
    #[must_use]
    pub fn from_type<K: kube::Resource<DynamicType = ()>>(namespaced: bool) -> Self {
        Self {
            group: K::group(&()).into_owned().into(),
            version: K::version(&()).into_owned().into(),
            kind: K::kind(&()).into_owned().into(),
            plural: K::plural(&()).into_owned().into(),
            namespaced,
        }
    }

    /// The kind that an object says it is of; `None` without `apiVersion` and `kind`.
    ///
    /// For a kind without a constant the plural is guessed by the usual rule, and it counts as namespaced when the
    /// object names a namespace.
    #[must_use]
    pub fn of(object: &Value) -> Option<Self> {
        let (api_version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        if let Some(known) = Self::KNOWN
            .iter()
            .find(|known| known.group == group && known.version == version && known.kind == kind)
        {
            return Some(known.clone());
        }
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Some(Self {
            group: resource.group.into(),
            version: resource.version.into(),
            kind: resource.kind.into(),
            plural: resource.plural.into(),
            namespaced: object["metadata"]["namespace"].is_string(),
        })
    }

    /// `group/version`, or the version alone in the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// What kube's dynamic calls need.
    #[must_use]
    pub fn resource(&self) -> ApiResource {
        ApiResource {
            group: self.group.to_string(),
            version: self.version.to_string(),
            api_version: self.api_version(),
            kind: self.kind.to_string(),
            plural: self.plural.to_string(),
        }
    }

    /// kube's API of this kind in a namespace; `None` means all of them (or that the kind has none).
    #[must_use]
    pub fn api(&self, client: Client, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) if self.namespaced => Api::namespaced_with(client, namespace, &self.resource()),
            _ => Api::all_with(client, &self.resource()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_known_kind_is_found_by_group_version_and_kind() {
        let object = json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "MachineHealthCheck"});
        assert_eq!(Kind::of(&object), Some(Kind::MACHINE_HEALTH_CHECK));
        assert_eq!(Kind::of(&json!({"apiVersion": "v1", "kind": "Namespace"})), Some(Kind::NAMESPACE));
        assert_eq!(Kind::of(&json!({"kind": "Namespace"})), None);
    }

    #[test]
    fn an_unknown_kind_gets_the_usual_plural_and_the_scope_of_its_object() {
        let object =
            json!({"apiVersion": "example.org/v1", "kind": "Policy", "metadata": {"namespace": "a"}});
        let kind = Kind::of(&object).unwrap();
        assert_eq!((kind.plural.as_ref(), kind.namespaced), ("policies", true));
        assert_eq!(kind.api_version(), "example.org/v1");
    }

    #[test]
    fn the_generated_types_agree_with_the_table() {
        use capstan_kube_types::{cluster, kubeadm_control_plane, openstack_cluster};
        assert_eq!(Kind::from_type::<cluster::Cluster>(true), Kind::CLUSTER);
        assert_eq!(
            Kind::from_type::<kubeadm_control_plane::KubeadmControlPlane>(true),
            Kind::KUBEADM_CONTROL_PLANE
        );
        assert_eq!(Kind::from_type::<openstack_cluster::OpenStackCluster>(true), Kind::OPENSTACK_CLUSTER);
    }
}
