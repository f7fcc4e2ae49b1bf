//! The unmodified clients: kubectl and clusterctl, where the test bed has built them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod kubernetes_support;

use kubernetes_support::tool::Tool;
use kubernetes_support::{Plane, manifests};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_does_what_people_do_with_it() {
    let plane = Plane::start().await;
    let Some(kubectl) = Tool::of(&plane, "kubectl") else { return };
    assert!(kubectl.run("version").await.contains("Server Version: v1.36.3"));
    assert!(kubectl.run("api-resources").await.contains("openstackmachinetemplates"));
    kubectl.run("create namespace web").await;
    kubectl.run("-n web create secret generic s --from-literal=k=v").await;
    kubectl.run("-n web create configmap c --from-literal=k=v").await;
    assert_eq!(kubectl.run("-n web get secret s -o jsonpath={.data.k}").await, "dg==");
    let objects = manifests(&plane.sandbox.clouds_yaml(), "web", 1, 1, "v1.36.2");
    let text: String = objects.iter().map(|object| format!("---\n{object}\n")).collect();
    let file = kubectl.file("cluster.yaml", &text);
    assert!(kubectl.run(&format!("apply -f {file}")).await.contains("cluster.cluster.x-k8s.io/web created"));
    plane.sandbox.drain();
    kubectl.run("-n web wait --for=condition=Available cluster/web --timeout=5s").await;
    assert!(
        kubectl.run(&format!("apply -f {file}")).await.contains("cluster.cluster.x-k8s.io/web unchanged")
    );
    let shown = kubectl.run("-n web get clusters").await;
    assert!(shown.contains("Provisioned") && shown.contains("PHASE"), "{shown}");
    let shown = kubectl.run("-n web get machines -o wide").await;
    assert!(shown.contains("Running") && shown.contains("v1.36.2"), "{shown}");
    assert!(
        kubectl.run("-n web describe openstackcluster web").await.contains("SuccessfulCreateLoadBalancer")
    );
    kubectl.run(&format!("apply --server-side --force-conflicts -f {file}")).await;
    kubectl.run("-n web scale machinedeployment web-md-0 --replicas=2").await;
    plane.sandbox.drain();
    assert_eq!(kubectl.run("-n web get md web-md-0 -o jsonpath={.status.availableReplicas}").await, "2");
    let refused = kubectl
        .try_run(
            "-n web patch kubeadmcontrolplane web-control-plane --type=merge -p {\"spec\":{\"replicas\":2}}",
        )
        .await;
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("cannot be an even number when etcd is stacked")
    );
    assert!(kubectl.run("explain cluster.spec.controlPlaneEndpoint").await.contains("port"));
    assert!(kubectl.run("auth can-i create pods").await.contains("yes"));
    assert!(kubectl.run("auth whoami").await.contains("kubernetes-admin"));
    kubectl.run("-n web delete cluster web --wait=false").await;
    plane.sandbox.drain();
    kubectl.run("delete namespace web --timeout=5s").await;
    plane.knew_every_route();
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_reaches_the_workload_cluster_with_its_kubeconfig() {
    let plane = Plane::start().await;
    let Some(kubectl) = Tool::of(&plane, "kubectl") else { return };
    plane.cluster("web", 1, 1).await;
    let encoded = kubectl.run("-n web get secret web-kubeconfig -o jsonpath={.data.value}").await;
    use base64::Engine as _;
    let kubeconfig = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
    let file = kubectl.file("workload", std::str::from_utf8(&kubeconfig).unwrap());
    let nodes = kubectl.run(&format!("--kubeconfig {file} get nodes")).await;
    assert_eq!(nodes.lines().filter(|line| line.contains(" Ready ")).count(), 2, "{nodes}");
    assert!(nodes.contains("control-plane") && nodes.contains("v1.36.2"), "{nodes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clusterctl_describes_the_cluster() {
    let plane = Plane::start().await;
    let Some(clusterctl) = Tool::of(&plane, "clusterctl") else { return };
    plane.cluster("web", 1, 2).await;
    let tree = clusterctl.run("describe cluster web -n web --show-conditions=all").await;
    let expected = [
        "Cluster web/web",
        "OpenStackCluster web/web",
        "KubeadmControlPlane web/web-control-plane, v1.36.2",
        "MachineDeployment web/web-md-0",
        "NodeHealthy",
    ];
    for expected in expected {
        assert!(tree.contains(expected), "{tree}");
    }
    let kubeconfig = clusterctl.run("get kubeconfig web -n web").await;
    assert!(kubeconfig.contains("/workload/web/web"), "{kubeconfig}");
    plane.knew_every_route();
}
