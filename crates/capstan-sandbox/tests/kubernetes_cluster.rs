//! A cluster's whole life, as Cluster API, the kubeadm control plane and CAPO live it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod kubernetes_support;

use kubernetes_support::{CAPI, CAPO, KCP, Plane, condition};
use serde_json::json;

#[tokio::test]
async fn a_cluster_comes_and_goes_and_leaves_nothing() {
    let plane = Plane::start().await;
    let before = plane.sandbox.inventory();
    plane.cluster("web", 1, 2).await;
    let cluster = plane.object(&format!("{CAPI}/namespaces/web/clusters/web")).await;
    assert_eq!(condition(&cluster, "Available"), ("True", "Available", ""), "{cluster:#}");
    assert_eq!(cluster["status"]["phase"], "Provisioned");
    assert_eq!(cluster["status"]["workers"]["availableReplicas"], 2);
    assert_eq!(cluster["status"]["failureDomains"].as_array().unwrap().len(), 3);
    let infrastructure = plane.object(&format!("{CAPO}/namespaces/web/openstackclusters/web")).await;
    assert_eq!(infrastructure["status"]["network"]["name"], "k8s-clusterapi-cluster-web-web");
    assert_eq!(infrastructure["status"]["network"]["tags"], json!(["mine"]));
    let machines = plane.items(&format!("{CAPI}/namespaces/web/machines")).await;
    assert_eq!(machines.len(), 3);
    for machine in &machines {
        assert_eq!(machine["status"]["phase"], "Running");
        assert!(machine["spec"]["providerID"].as_str().unwrap().starts_with("openstack:///"), "{machine:#}");
    }
    let kcp = plane.object(&format!("{KCP}/namespaces/web/kubeadmcontrolplanes/web-control-plane")).await;
    assert_eq!(kcp["status"]["version"], "v1.36.2");
    assert_ne!(plane.sandbox.inventory(), before);

    assert_eq!(plane.delete(&format!("{CAPI}/namespaces/web/clusters/web")).await.0, 200);
    plane.sandbox.drain();
    assert_eq!(plane.get(&format!("{CAPI}/namespaces/web/clusters/web")).await.0, 404);
    assert_eq!(plane.delete("/api/v1/namespaces/web").await.0, 200);
    plane.sandbox.drain();
    assert_eq!(plane.get("/api/v1/namespaces/web").await.0, 404);
    assert_eq!(plane.sandbox.inventory(), before);
    assert!(plane.sandbox.requests().unknown.is_empty(), "{:?}", plane.sandbox.requests().unknown);
}
