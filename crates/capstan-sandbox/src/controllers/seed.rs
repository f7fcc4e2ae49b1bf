//! What is in the management plane from the start: definitions, the providers' Deployments, and clusterctl's inventory.

use serde_json::{Value, json};

use crate::World;
use crate::kubernetes::api::ApiServer;
use crate::kubernetes::crd;

const CERT_MANAGER: &str = "v1.21.2";
const CLUSTER_API: &str = "v1.14.2";
const CAPO: &str = "v0.14.7";
const ORC: &str = "v2.6.0";

/// Namespace, name and image of the Deployments that a management plane has.
const DEPLOYMENTS: &[(&str, &str, &str, &str)] = &[
    ("cert-manager", "cert-manager", "quay.io/jetstack/cert-manager-controller", CERT_MANAGER),
    ("cert-manager", "cert-manager-cainjector", "quay.io/jetstack/cert-manager-cainjector", CERT_MANAGER),
    ("cert-manager", "cert-manager-webhook", "quay.io/jetstack/cert-manager-webhook", CERT_MANAGER),
    ("orc-system", "orc-controller-manager", "quay.io/orc/openstack-resource-controller", ORC),
    (
        "capi-system",
        "capi-controller-manager",
        "registry.k8s.io/cluster-api/cluster-api-controller",
        CLUSTER_API,
    ),
    (
        "capi-kubeadm-bootstrap-system",
        "capi-kubeadm-bootstrap-controller-manager",
        "registry.k8s.io/cluster-api/kubeadm-bootstrap-controller",
        CLUSTER_API,
    ),
    (
        "capi-kubeadm-control-plane-system",
        "capi-kubeadm-control-plane-controller-manager",
        "registry.k8s.io/cluster-api/kubeadm-control-plane-controller",
        CLUSTER_API,
    ),
    (
        "capo-system",
        "capo-controller-manager",
        "registry.k8s.io/capi-openstack/capi-openstack-controller",
        CAPO,
    ),
];

/// Namespace, name, type and version of the providers in clusterctl's inventory; the label is the name.
const PROVIDERS: &[(&str, &str, &str, &str, &str)] = &[
    ("capi-system", "cluster-api", "cluster-api", "CoreProvider", CLUSTER_API),
    ("capi-kubeadm-bootstrap-system", "bootstrap-kubeadm", "kubeadm", "BootstrapProvider", CLUSTER_API),
    (
        "capi-kubeadm-control-plane-system",
        "control-plane-kubeadm",
        "kubeadm",
        "ControlPlaneProvider",
        CLUSTER_API,
    ),
    ("capo-system", "infrastructure-openstack", "openstack", "InfrastructureProvider", CAPO),
];

/// Fills the management plane.
pub(super) fn fill(world: &World) {
    let server = world.kubernetes().management();
    for text in crd::INSTALLED {
        match serde_json::from_str(text) {
            Ok(definition) => server.seed(crd::ID, definition),
            Err(error) => tracing::error!(%error, "a definition of a custom resource cannot be read"),
        }
    }
    server.seed("nodes", node(server));
    for (namespace, name, image, version) in DEPLOYMENTS {
        server.seed("namespaces", json!({"metadata": {"name": namespace}}));
        server.seed("deployments.apps", deployment(server, namespace, name, &format!("{image}:{version}")));
    }
    for (namespace, name, provider, kind, version) in PROVIDERS {
        let labels = json!({"cluster.x-k8s.io/provider": name, "clusterctl.cluster.x-k8s.io": "",
                            "clusterctl.cluster.x-k8s.io/core": "inventory"});
        let object = json!({"metadata": {"name": name, "namespace": namespace, "labels": labels},
            "providerName": provider, "type": kind, "version": version, "watchedNamespace": ""});
        server.seed("providers.clusterctl.cluster.x-k8s.io", object);
    }
}

fn deployment(server: &ApiServer, namespace: &str, name: &str, image: &str) -> Value {
    let provider = PROVIDERS.iter().find(|(ns, ..)| *ns == namespace).map(|(_, provider, ..)| *provider);
    // cert-manager's chart names its release, ORC's manifest itself.
    let program = if namespace == "orc-system" { "orc" } else { name };
    let mut labels =
        json!({"app.kubernetes.io/name": program, "app.kubernetes.io/instance": namespace, "app": name});
    if let Some(provider) = provider {
        labels = json!({"cluster.x-k8s.io/provider": provider, "clusterctl.cluster.x-k8s.io": "", "control-plane": "controller-manager"});
    }
    let conditions = super::workload::conditions(&server.now());
    json!({"metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "manager", "image": image}]}}},
        "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1,
            "availableReplicas": 1, "conditions": conditions}})
}

fn node(server: &ApiServer) -> Value {
    let now = server.now();
    json!({"metadata": {"name": "sandbox", "labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/hostname": "sandbox"}},
        "status": {"nodeInfo": {"kubeletVersion": "v1.36.3", "osImage": "sandbox"}, "addresses": [{"type": "Hostname", "address": "sandbox"}],
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status",
                "lastHeartbeatTime": now, "lastTransitionTime": now}]}})
}
