//! Programs of the management plane: is each there, new enough, available, and does it speak the contract that Capstan
//! renders for?

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use capstan_core::documents::MinimumVersion;
use capstan_core::plan::PlannedChange;
use capstan_engine::{Component, Direction, Failure, StepCx, Verdict};
use capstan_kube::{Error, Kind, Target};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::ListParams;

use crate::subject::ManagementPlane;

/// A program of the management plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProviderKind {
    /// cert-manager: certificates of the webhooks.
    CertManager,
    /// The OpenStack resource controller, which CAPO needs since 0.12.
    ResourceController,
    /// Cluster API's core.
    ClusterApi,
    /// The kubeadm bootstrap provider.
    KubeadmBootstrap,
    /// The kubeadm control plane provider.
    KubeadmControlPlane,
    /// Cluster API's provider for OpenStack.
    OpenStack,
}

impl ProviderKind {
    /// All of them, in the order in which one needs the other.
    pub const ALL: [Self; 6] = [
        Self::CertManager,
        Self::ResourceController,
        Self::ClusterApi,
        Self::KubeadmBootstrap,
        Self::KubeadmControlPlane,
        Self::OpenStack,
    ];

    /// The component's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CertManager => "cert-manager",
            Self::ResourceController => "resource controller",
            Self::ClusterApi => "cluster API",
            Self::KubeadmBootstrap => "kubeadm bootstrap provider",
            Self::KubeadmControlPlane => "kubeadm control plane provider",
            Self::OpenStack => "OpenStack provider",
        }
    }

    /// The labels by which its Deployments are found, whatever namespace they are in.
    const fn label(self) -> (&'static str, &'static str) {
        match self {
            Self::CertManager => ("app.kubernetes.io/instance", "cert-manager"),
            Self::ResourceController => ("app.kubernetes.io/name", "orc"),
            Self::ClusterApi => ("cluster.x-k8s.io/provider", "cluster-api"),
            Self::KubeadmBootstrap => ("cluster.x-k8s.io/provider", "bootstrap-kubeadm"),
            Self::KubeadmControlPlane => ("cluster.x-k8s.io/provider", "control-plane-kubeadm"),
            Self::OpenStack => ("cluster.x-k8s.io/provider", "infrastructure-openstack"),
        }
    }

    /// A resource that it serves, in the version that Capstan renders.
    const fn contract(self) -> (&'static str, &'static str) {
        match self {
            Self::CertManager => ("certificates.cert-manager.io", "v1"),
            Self::ResourceController => ("images.openstack.k-orc.cloud", "v1alpha1"),
            Self::ClusterApi => ("clusters.cluster.x-k8s.io", "v1beta2"),
            Self::KubeadmBootstrap => ("kubeadmconfigtemplates.bootstrap.cluster.x-k8s.io", "v1beta2"),
            Self::KubeadmControlPlane => ("kubeadmcontrolplanes.controlplane.cluster.x-k8s.io", "v1beta2"),
            Self::OpenStack => ("openstackclusters.infrastructure.cluster.x-k8s.io", "v1beta1"),
        }
    }

    /// How a person installs it.
    const fn install(self) -> &'static str {
        match self {
            Self::CertManager => "`clusterctl init` installs it, or its Helm chart",
            Self::ResourceController => {
                "`kubectl apply --server-side -f` the `install.yaml` of its release; clusterctl does not install it"
            }
            Self::ClusterApi | Self::KubeadmBootstrap | Self::KubeadmControlPlane | Self::OpenStack => {
                "`clusterctl init --infrastructure openstack` installs it"
            }
        }
    }
}

/// One of the programs as a component. They hold one another back in nothing, so that all that is missing is said at
/// once. Nothing is applied: a management plane that exists belongs to somebody else.
pub struct Provider {
    plane: Arc<ManagementPlane>,
    kind: ProviderKind,
}

/// What exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Deployments by name, and whether each is available.
    pub deployments: BTreeMap<String, bool>,
    /// The version that the first Deployment's image says.
    pub version: Option<String>,
    /// Whether its resource is served in the version of the contract.
    pub contract: bool,
}

impl Provider {
    /// A program of a management plane.
    #[must_use]
    pub const fn new(plane: Arc<ManagementPlane>, kind: ProviderKind) -> Self {
        Self { plane, kind }
    }

    /// Which of the programs this is.
    #[must_use]
    pub const fn kind(&self) -> ProviderKind {
        self.kind
    }

    fn minimum(&self) -> &MinimumVersion {
        let versions = &self.plane.versions;
        match self.kind {
            ProviderKind::CertManager => &versions.cert_manager,
            ProviderKind::ResourceController => &versions.resource_controller,
            ProviderKind::OpenStack => &versions.openstack_provider,
            ProviderKind::ClusterApi | ProviderKind::KubeadmBootstrap | ProviderKind::KubeadmControlPlane => {
                &versions.cluster_api
            }
        }
    }

    /// Looks at the program.
    ///
    /// # Errors
    /// The API's, or the way there.
    pub async fn look(&self) -> Result<Seen, Error> {
        let (key, value) = self.kind.label();
        let deployments = Api::<Deployment>::all(self.plane.client.clone());
        let found = deployments.list(&ListParams::default().labels(&format!("{key}={value}"))).await;
        let found = found.map_err(|error| Error::decode(error, &Target::new(&Kind::DEPLOYMENT, None, "")))?;
        let (resource, version) = self.kind.contract();
        let definitions = Api::<CustomResourceDefinition>::all(self.plane.client.clone());
        let target = Target::new(&Kind::CUSTOM_RESOURCE_DEFINITION, None, resource);
        let definition =
            definitions.get_opt(resource).await.map_err(|error| Error::decode(error, &target))?;
        let serves = |definition: CustomResourceDefinition| {
            definition.spec.versions.iter().any(|served| served.name == version && served.served)
        };
        Ok(Seen {
            version: found.items.first().and_then(version_of),
            deployments: found.items.iter().map(availability).collect(),
            contract: definition.is_some_and(serves),
        })
    }
}

fn availability(deployment: &Deployment) -> (String, bool) {
    let conditions = deployment.status.as_ref().and_then(|status| status.conditions.as_ref());
    let is_available = |conditions: &Vec<_>| {
        conditions.iter().any(|condition: &k8s_openapi::api::apps::v1::DeploymentCondition| {
            condition.type_ == "Available" && condition.status == "True"
        })
    };
    (deployment.metadata.name.clone().unwrap_or_default(), conditions.is_some_and(is_available))
}

/// The tag of the first container's image; a digest behind it doesn't matter.
fn version_of(deployment: &Deployment) -> Option<String> {
    let containers = &deployment.spec.as_ref()?.template.spec.as_ref()?.containers;
    let image = containers.first()?.image.as_deref()?;
    let image = image.split('@').next()?;
    // A registry may have a port; the tag stands behind the last slash.
    let (_, tag) = image.rsplit('/').next()?.split_once(':')?;
    Some(tag.to_owned())
}

#[async_trait]
impl Component for Provider {
    type Seen = Seen;
    type Change = PlannedChange;

    fn name(&self) -> &'static str {
        self.kind.name()
    }

    async fn observe(&self, _: &StepCx) -> Result<Seen, Failure> {
        self.look().await.map_err(failure)
    }

    fn plan(&self, direction: Direction, seen: &Seen) -> Verdict<PlannedChange> {
        if direction == Direction::Absent {
            return Verdict::InSync;
        }
        judge(self.kind, self.minimum(), seen)
    }

    async fn apply(&self, _: &PlannedChange, _: &StepCx) -> Result<(), Failure> {
        Ok(())
    }
}

/// An error of the Kubernetes client as the failure of a step.
pub(crate) fn failure(error: Error) -> Failure {
    let (again, hint) = (error.is_transient(), error.hint());
    Failure::of(error, again, hint)
}

fn judge(kind: ProviderKind, minimum: &MinimumVersion, seen: &Seen) -> Verdict<PlannedChange> {
    let name = kind.name();
    if seen.deployments.is_empty() {
        return Verdict::blocked(format!("{name} is not installed in the management plane"), kind.install());
    }
    // An image without a version (a build of one's own) is judged by its contract alone.
    let known = seen.version.as_deref().map(|version| (version, minimum.is_met_by(version)));
    if let Some((version, Some(false))) = known {
        return Verdict::blocked(
            format!("{name} is {version}, at least v{} is needed", minimum.version()),
            "`clusterctl upgrade plan` shows the way to a newer one",
        );
    }
    if !seen.contract {
        let (resource, version) = kind.contract();
        return Verdict::blocked(
            format!("{name} does not serve `{resource}` in version {version}"),
            "upgrade it, or set the oldest accepted version in `management.versions`",
        );
    }
    let unavailable: Vec<_> = seen
        .deployments
        .iter()
        .filter(|(_, available)| !**available)
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    if unavailable.is_empty() {
        return Verdict::InSync;
    }
    Verdict::waiting(format!("deployment {} to be available", unavailable.join(", ")), 5)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(version: &str) -> Seen {
        let deployments = BTreeMap::from([("manager".to_owned(), true)]);
        Seen { deployments, version: Some(version.to_owned()), contract: true }
    }

    fn judged(seen: &Seen) -> Verdict<PlannedChange> {
        judge(ProviderKind::OpenStack, &MinimumVersion::new(0, 14, 0), seen)
    }

    #[test]
    fn what_is_missing_old_or_of_another_contract_blocks() {
        assert_eq!(judged(&seen("v0.14.7")), Verdict::InSync);
        let none = Seen { deployments: BTreeMap::new(), version: None, contract: false };
        assert!(matches!(judged(&none), Verdict::Blocked { why, .. } if why.contains("not installed")));
        let old = judged(&seen("v0.13.2"));
        assert!(
            matches!(old, Verdict::Blocked { why, .. } if why.contains("v0.13.2") && why.contains("v0.14.0"))
        );
        let other = Seen { contract: false, ..seen("v0.15.0") };
        assert!(matches!(judged(&other), Verdict::Blocked { why, .. } if why.contains("v1beta1")));
    }

    #[test]
    fn an_unavailable_deployment_is_waited_for() {
        let down = Seen { deployments: BTreeMap::from([("manager".to_owned(), false)]), ..seen("v0.14.7") };
        assert!(matches!(judged(&down), Verdict::Waiting { on, .. } if on.contains("`manager`")));
    }

    #[test]
    fn a_build_without_a_version_is_judged_by_its_contract() {
        assert_eq!(judged(&seen("main")), Verdict::InSync);
    }

    #[test]
    fn the_version_is_the_images_tag() {
        let deployment = |image: &str| -> Deployment {
            serde_json::from_value(json!({
                "metadata": {}, "spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "a", "image": image}]}}},
            }))
            .unwrap()
        };
        let version = |image| version_of(&deployment(image));
        assert_eq!(version("registry:5000/capi/manager:v1.14.2").as_deref(), Some("v1.14.2"));
        assert_eq!(version("registry/manager:v1.14.2@sha256:abc").as_deref(), Some("v1.14.2"));
        assert_eq!(version("registry:5000/manager"), None);
    }
}
