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

async fn machines(plane: &Plane, name: &str) -> Vec<serde_json::Value> {
    plane.items(&format!("{CAPI}/namespaces/{name}/machines")).await
}

fn of_template(machines: &[serde_json::Value], control_plane: bool) -> Vec<&serde_json::Value> {
    let label = "cluster.x-k8s.io/control-plane";
    machines.iter().filter(|m| m["metadata"]["labels"].get(label).is_some() == control_plane).collect()
}

#[tokio::test]
async fn it_scales_both_ways_and_spreads_control_planes_over_zones() {
    let plane = Plane::start().await;
    plane.cluster("web", 1, 1).await;
    let kcp = format!("{KCP}/namespaces/web/kubeadmcontrolplanes/web-control-plane");
    let group = format!("{CAPI}/namespaces/web/machinedeployments/web-md-0");
    assert_eq!(plane.merge(&kcp, &json!({"spec": {"replicas": 3}})).await.0, 200);
    assert_eq!(plane.merge(&format!("{group}/scale"), &json!({"spec": {"replicas": 3}})).await.0, 200);
    plane.sandbox.drain();
    let all = machines(&plane, "web").await;
    assert_eq!((of_template(&all, true).len(), of_template(&all, false).len()), (3, 3));
    let mut zones: Vec<&str> =
        of_template(&all, true).iter().map(|m| m["spec"]["failureDomain"].as_str().unwrap()).collect();
    zones.sort_unstable();
    assert_eq!(zones, ["az1", "az2", "az3"]);
    assert_eq!(plane.merge(&kcp, &json!({"spec": {"replicas": 1}})).await.0, 200);
    assert_eq!(plane.merge(&format!("{group}/scale"), &json!({"spec": {"replicas": 0}})).await.0, 200);
    plane.sandbox.drain();
    assert_eq!(machines(&plane, "web").await.len(), 1);
    let cluster = plane.object(&format!("{CAPI}/namespaces/web/clusters/web")).await;
    assert_eq!(condition(&cluster, "Available").0, "True", "{cluster:#}");
}

#[tokio::test]
async fn without_a_cloud_controller_manager_a_control_plane_stays_alone() {
    let plane =
        Plane::with(capstan_sandbox::Config { assume_cloud_controller: false, ..Default::default() }).await;
    plane.cluster("web", 3, 0).await;
    let kcp = format!("{KCP}/namespaces/web/kubeadmcontrolplanes/web-control-plane");
    assert_eq!(machines(&plane, "web").await.len(), 1);
    let object = plane.object(&kcp).await;
    let (status, _, message) = condition(&object, "ScalingUp");
    assert_eq!(status, "True");
    assert_eq!(
        message,
        "Scaling up from 1 to 3 replicas is blocked because:\n* waiting for etcd cluster to become healthy"
    );
    assert!(condition(&object, "EtcdClusterHealthy").2.contains("no InternalIP address"), "{object:#}");

    let (token, base) = workload(&plane, "web").await;
    let client = reqwest::Client::new();
    let node = |path: &'static str| client.get(format!("{base}{path}")).bearer_auth(&token).send();
    let nodes: serde_json::Value =
        serde_json::from_str(&node("/api/v1/nodes").await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(
        nodes["items"][0]["spec"]["taints"][0]["key"],
        "node.cloudprovider.kubernetes.io/uninitialized"
    );
    let labels = json!({"app": "occm"});
    let set = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "openstack-cloud-controller-manager"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": []}}}});
    let made =
        client.post(format!("{base}/apis/apps/v1/namespaces/kube-system/daemonsets")).bearer_auth(&token);
    assert_eq!(
        made.header("content-type", "application/json").body(set.to_string()).send().await.unwrap().status(),
        201
    );
    plane.sandbox.drain();
    assert_eq!(machines(&plane, "web").await.len(), 3);
    let nodes: serde_json::Value =
        serde_json::from_str(&node("/api/v1/nodes").await.unwrap().text().await.unwrap()).unwrap();
    for node in nodes["items"].as_array().unwrap() {
        let addresses = node["status"]["addresses"].as_array().unwrap();
        assert!(addresses.iter().any(|a| a["type"] == "InternalIP"), "{node:#}");
        assert_eq!(node["metadata"]["labels"]["topology.kubernetes.io/region"], "RegionOne");
    }
}

/// Token and address of a workload cluster's API, from its kubeconfig Secret.
async fn workload(plane: &Plane, name: &str) -> (String, String) {
    use base64::Engine as _;
    let secret = plane.object(&format!("/api/v1/namespaces/{name}/secrets/{name}-kubeconfig")).await;
    assert_eq!(secret["type"], "cluster.x-k8s.io/secret");
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(secret["data"]["value"].as_str().unwrap()).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let token = text.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap().to_owned();
    (token, plane.url(&format!("/workload/{name}/{name}")))
}

#[tokio::test]
async fn an_upgrade_replaces_control_planes_one_by_one_and_then_workers() {
    let plane = Plane::start().await;
    plane.cluster("web", 3, 2).await;
    let before = machines(&plane, "web").await;
    let kcp = format!("{KCP}/namespaces/web/kubeadmcontrolplanes/web-control-plane");
    let group = format!("{CAPI}/namespaces/web/machinedeployments/web-md-0");
    let template = |name: &str| kubernetes_support::machine_template("web", name, "SCS-2V-4-20s", "v1.36.3");
    plane.create_all(&[template("cp-2"), template("md-2")]).await;
    let reference = |name: &str| json!({"infrastructureRef": {"name": name}});
    let change = json!({"spec": {"version": "v1.36.3", "machineTemplate": {"spec": reference("cp-2")}}});
    assert_eq!(plane.merge(&kcp, &change).await.0, 200);
    let mut change = reference("md-2");
    change["version"] = "v1.36.3".into();
    assert_eq!(plane.merge(&group, &json!({"spec": {"template": {"spec": change}}})).await.0, 200);
    let mut most = 0;
    while plane.sandbox.step() {
        let all = machines(&plane, "web").await;
        most = most.max(of_template(&all, true).len());
    }
    assert_eq!(most, 4, "one more than wanted, never two");
    let after = machines(&plane, "web").await;
    assert_eq!(after.len(), 5);
    for machine in &after {
        assert_eq!(machine["status"]["nodeInfo"]["kubeletVersion"], "v1.36.3");
        assert!(before.iter().all(|old| old["metadata"]["name"] != machine["metadata"]["name"]));
    }
    assert_eq!(plane.object(&kcp).await["status"]["version"], "v1.36.3");
    let deployment = plane.object(&group).await;
    assert_eq!(condition(&deployment, "RollingOut").0, "False");
    assert_eq!(deployment["status"]["upToDateReplicas"], 2);
}

#[tokio::test]
async fn what_the_webhooks_refuse_is_refused_in_their_words() {
    let plane = Plane::start().await;
    plane.cluster("web", 1, 1).await;
    let kcp = format!("{KCP}/namespaces/web/kubeadmcontrolplanes/web-control-plane");
    let refused = |answer: (u16, serde_json::Value), text: &str| {
        assert_eq!(answer.0, 422, "{answer:#?}");
        let message = answer.1["message"].as_str().unwrap();
        assert!(message.contains(text), "{message}");
    };
    let even = plane.merge(&kcp, &json!({"spec": {"replicas": 2}})).await;
    refused(
        even,
        "KubeadmControlPlane.cluster.x-k8s.io \"web-control-plane\" is invalid: spec.replicas: Forbidden: cannot be an even number when etcd is stacked",
    );
    let skip = plane.merge(&kcp, &json!({"spec": {"version": "v1.38.0"}})).await;
    refused(skip, "spec.version: Forbidden: cannot update Kubernetes version from v1.36.2 to v1.38.0");
    let fixed =
        json!({"spec": {"kubeadmConfigSpec": {"clusterConfiguration": {"controlPlaneEndpoint": "x:1"}}}});
    refused(
        plane.merge(&kcp, &fixed).await,
        "spec.kubeadmConfigSpec.clusterConfiguration.controlPlaneEndpoint: Forbidden: cannot be modified",
    );
    let template = format!("{CAPO}/namespaces/web/openstackmachinetemplates/web-md-0");
    let flavor = json!({"spec": {"template": {"spec": {"flavor": "SCS-4V-8-20"}}}});
    refused(
        plane.merge(&template, &flavor).await,
        "OpenStackMachineTemplate spec.template.spec field is immutable",
    );
    let infrastructure = format!("{CAPO}/namespaces/web/openstackclusters/web");
    refused(
        plane.merge(&infrastructure, &json!({"spec": {"managedSubnets": [{"cidr": "10.7.0.0/24"}]}})).await,
        "spec.managedSubnets: Forbidden: cannot change subnet CIDR from existing value to 10.7.0.0/24",
    );
    refused(
        plane.merge(&infrastructure, &json!({"spec": {"tags": ["other"]}})).await,
        "spec: Forbidden: cannot be modified",
    );
    let allowed = json!({"spec": {"apiServerLoadBalancer": {"allowedCIDRs": ["192.0.2.0/24"]}}});
    assert_eq!(plane.merge(&infrastructure, &allowed).await.0, 200);
    plane.sandbox.drain();
    let object = plane.object(&infrastructure).await;
    let cidrs = object["status"]["apiServerLoadBalancer"]["allowedCIDRs"].as_array().unwrap();
    assert!(cidrs.contains(&json!("192.0.2.0/24")) && cidrs.contains(&json!("10.6.0.0/24")), "{cidrs:?}");
}

#[tokio::test]
async fn a_foreign_port_holds_up_the_deletion_until_it_is_gone() {
    let plane = Plane::start().await;
    let before = plane.sandbox.inventory();
    plane.cluster("web", 1, 0).await;
    let infrastructure = format!("{CAPO}/namespaces/web/openstackclusters/web");
    let network = plane.object(&infrastructure).await["status"]["network"]["id"].clone();
    let port = json!({"port": {"network_id": network, "name": "foreign"}});
    let (status, port) = plane.cloud(reqwest::Method::POST, "/network/v2.0/ports", Some(&port)).await;
    assert_eq!(status, 201, "{port}");
    assert_eq!(plane.delete(&format!("{CAPI}/namespaces/web/clusters/web")).await.0, 200);
    plane.sandbox.drain();
    let cluster = plane.object(&format!("{CAPI}/namespaces/web/clusters/web")).await;
    assert_eq!(condition(&cluster, "Deleting").1, "WaitingForInfrastructureDeletion");
    let held = plane.object(&infrastructure).await;
    let (status, reason, message) = condition(&held, "Ready");
    assert_eq!((status, reason), ("False", "OpenStackError"));
    assert!(
        message.starts_with("failed to delete router: ") || message.starts_with("failed to delete network: "),
        "{message}"
    );
    assert!(message.contains("but got 409 instead"), "{message}");
    let path = format!("/network/v2.0/ports/{}", port["port"]["id"].as_str().unwrap());
    assert_eq!(plane.cloud(reqwest::Method::DELETE, &path, None).await.0, 204);
    plane.sandbox.drain();
    assert_eq!(plane.get(&infrastructure).await.0, 404);
    assert_eq!(plane.delete("/api/v1/namespaces/web").await.0, 200);
    assert_eq!(plane.sandbox.inventory(), before);
}

#[tokio::test]
async fn many_clusters_come_and_go_at_once() {
    const COUNT: usize = 6;
    let plane = Plane::start().await;
    let before = plane.sandbox.inventory();
    let clouds = plane.sandbox.clouds_yaml();
    for index in 0..COUNT {
        let name = format!("c{index}");
        plane
            .create_all(&[json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})])
            .await;
        plane.create_all(&kubernetes_support::manifests(&clouds, &name, 1, 1, "v1.36.2")).await;
    }
    plane.sandbox.drain();
    let clusters = plane.items(&format!("{CAPI}/clusters")).await;
    let available = clusters.iter().filter(|cluster| condition(cluster, "Available").0 == "True").count();
    assert_eq!(available, COUNT);
    for index in 0..COUNT {
        assert_eq!(plane.delete(&format!("{CAPI}/namespaces/c{index}/clusters/c{index}")).await.0, 200);
    }
    plane.sandbox.drain();
    assert_eq!(plane.items(&format!("{CAPI}/clusters")).await.len(), 0);
    for index in 0..COUNT {
        assert_eq!(plane.delete(&format!("/api/v1/namespaces/c{index}")).await.0, 200);
    }
    assert_eq!(plane.sandbox.inventory(), before);
}

#[tokio::test]
async fn the_same_seed_gives_the_same_run() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let start = Some("2026-01-01T00:00:00Z".parse().unwrap());
        let plane = Plane::with(capstan_sandbox::Config { start, ..Default::default() }).await;
        plane.cluster("web", 1, 1).await;
        runs.push((
            machines(&plane, "web").await,
            plane.items("/api/v1/namespaces/web/events").await,
            plane.sandbox.inventory(),
        ));
    }
    assert!(!runs[0].0.is_empty());
    assert_eq!(runs[0], runs[1], "names, ids, versions and times");
}

#[tokio::test]
async fn a_load_balancer_that_stays_pending_is_told_after_a_while() {
    let plane = Plane::start().await;
    let fault = plane
        .sandbox
        .faults()
        .add(capstan_sandbox::faults::Fault::LoadBalancer { name: "k8s-clusterapi-*".to_owned() });
    plane.cluster("web", 1, 0).await;
    let path = format!("{CAPO}/namespaces/web/openstackclusters/web");
    let object = plane.object(&path).await;
    let (status, reason, message) = condition(&object, "APIEndpointReady");
    assert_eq!((status, reason), ("False", "APIEndpointConfigFailed"));
    assert!(
        message.contains("is not active after timeout: timed out waiting for the condition"),
        "{message}"
    );
    assert!(plane.sandbox.faults().remove(fault));
    plane.sandbox.advance(std::time::Duration::from_secs(600));
    plane.sandbox.drain();
    let cluster = plane.object(&format!("{CAPI}/namespaces/web/clusters/web")).await;
    assert_eq!(condition(&cluster, "Available").0, "True", "{cluster:#}");
}
