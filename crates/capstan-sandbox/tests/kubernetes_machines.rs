//! Machines that fail, and what programs in a workload cluster make in the cloud.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod kubernetes_support;

use kubernetes_support::{CAPI, CAPO, Plane, condition};
use reqwest::Method;
use serde_json::{Value, json};

const SERVERS: &str = "/apis/infrastructure.cluster.x-k8s.io/v1alpha1/namespaces/web/openstackservers";

#[tokio::test]
async fn a_server_in_error_is_final_and_does_not_say_why() {
    let plane = Plane::start().await;
    plane.cluster("web", 1, 0).await;
    plane.sandbox.faults().next_server_fails("web-md-0*", "No valid host was found.");
    let group = format!("{CAPI}/namespaces/web/machinedeployments/web-md-0");
    assert_eq!(plane.merge(&group, &json!({"spec": {"replicas": 1}})).await.0, 200);
    plane.sandbox.drain();
    let servers = plane.items(SERVERS).await;
    let failed =
        servers.iter().find(|s| s["metadata"]["name"].as_str().unwrap().starts_with("web-md-0")).unwrap();
    assert_eq!(failed["status"]["instanceState"], "ERROR");
    // As in CAPO v0.14: Nova's fault has to be asked for.
    assert_eq!(condition(failed, "InstanceReady"), ("False", "InstanceStateError", ""));
    let id = failed["status"]["instanceID"].as_str().unwrap();
    let (_, server) = plane.cloud(Method::GET, &format!("/compute/v2.1/servers/{id}"), None).await;
    assert_eq!(server["server"]["fault"]["message"], "No valid host was found.");
    let deployment = plane.object(&group).await;
    assert_eq!(condition(&deployment, "Available").0, "False");
    // It goes like every other one.
    assert_eq!(plane.merge(&group, &json!({"spec": {"replicas": 0}})).await.0, 200);
    plane.sandbox.drain();
    assert_eq!(plane.items(SERVERS).await.len(), 1);
}

#[tokio::test]
async fn a_quota_is_told_in_the_condition() {
    let plane = Plane::start().await;
    plane.cluster("web", 1, 0).await;
    assert!(plane.sandbox.world().openstack().set_quota("demo", "compute", "instances", 1));
    let group = format!("{CAPI}/namespaces/web/machinedeployments/web-md-0");
    assert_eq!(plane.merge(&group, &json!({"spec": {"replicas": 1}})).await.0, 200);
    plane.sandbox.drain();
    let servers = plane.items(SERVERS).await;
    let failed =
        servers.iter().find(|s| s["metadata"]["name"].as_str().unwrap().starts_with("web-md-0")).unwrap();
    let (status, reason, message) = condition(failed, "InstanceReady");
    assert_eq!((status, reason), ("False", "InstanceCreateFailed"));
    assert!(
        message.starts_with("error creating Openstack instance: ") && message.contains("Quota exceeded"),
        "{message}"
    );
}

#[tokio::test]
async fn a_health_check_replaces_a_stopped_worker() {
    let plane = Plane::start().await;
    plane.cluster("web", 1, 1).await;
    let check = json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "MachineHealthCheck", "metadata": {"name": "web", "namespace": "web"},
        "spec": {"clusterName": "web", "selector": {"matchLabels": {"cluster.x-k8s.io/deployment-name": "web-md-0"}},
            "checks": {"unhealthyNodeConditions": [{"type": "Ready", "status": "Unknown", "timeoutSeconds": 60}]}}});
    assert_eq!(plane.post(&format!("{CAPI}/namespaces/web/machinehealthchecks"), &check).await.0, 201);
    plane.sandbox.drain();
    let servers = plane.items(SERVERS).await;
    let stopped =
        servers.iter().find(|s| s["metadata"]["name"].as_str().unwrap().starts_with("web-md-0")).unwrap();
    let action =
        format!("/compute/v2.1/servers/{}/action", stopped["status"]["instanceID"].as_str().unwrap());
    assert_eq!(plane.cloud(Method::POST, &action, Some(&json!({"os-stop": null}))).await.0, 202);
    plane.sandbox.drain();
    let names: Vec<Value> =
        plane.items(SERVERS).await.iter().map(|s| s["metadata"]["name"].clone()).collect();
    assert!(names.len() == 2 && !names.contains(&stopped["metadata"]["name"]), "{names:?}");
    let cluster = plane.object(&format!("{CAPI}/namespaces/web/clusters/web")).await;
    assert_eq!(condition(&cluster, "Available").0, "True", "{cluster:#}");
}

#[tokio::test]
async fn diskless_flavors_get_a_root_volume_and_tags_and_metadata_arrive() {
    let plane = Plane::start().await;
    plane.cluster("web", 1, 0).await;
    let mut template = kubernetes_support::machine_template("web", "big", "SCS-2V-4", "v1.36.2");
    template["spec"]["template"]["spec"]["rootVolume"] = json!({"sizeGiB": 20});
    template["spec"]["template"]["spec"]["serverMetadata"] =
        json!([{"key": "capstan:cluster", "value": "web"}]);
    plane.create_all(&[template]).await;
    let group = format!("{CAPI}/namespaces/web/machinedeployments/web-md-0");
    let change =
        json!({"spec": {"replicas": 1, "template": {"spec": {"infrastructureRef": {"name": "big"}}}}});
    assert_eq!(plane.merge(&group, &change).await.0, 200);
    plane.sandbox.drain();
    let machines = plane.items(&format!("{CAPO}/namespaces/web/openstackmachines")).await;
    let worker =
        machines.iter().find(|m| m["metadata"]["name"].as_str().unwrap().starts_with("web-md-0")).unwrap();
    assert_eq!(worker["status"]["ready"], true, "{worker:#}");
    let id = worker["status"]["instanceID"].as_str().unwrap();
    let (_, server) = plane.cloud(Method::GET, &format!("/compute/v2.1/servers/{id}"), None).await;
    let server = &server["server"];
    assert_eq!(server["metadata"], json!({"capstan:cluster": "web"}));
    assert_eq!(server["tags"], json!(["mine"]));
    assert_eq!(server["os-extended-volumes:volumes_attached"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn services_and_claims_make_load_balancers_and_volumes() {
    let plane = Plane::start().await;
    plane.cluster("web", 1, 0).await;
    let before = plane.sandbox.inventory();
    let base = "/workload/web/web";
    let token = plane.object("/api/v1/namespaces/web/secrets/web-kubeconfig").await["data"]["value"]
        .as_str()
        .unwrap()
        .to_owned();
    use base64::Engine as _;
    let text = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(token).unwrap()).unwrap();
    let token = text.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap().to_owned();
    let client = reqwest::Client::new();
    let send = async |method: Method, path: &str, body: Option<Value>| {
        let mut request = client.request(method, plane.url(&format!("{base}{path}"))).bearer_auth(&token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap())
    };
    let service =
        json!({"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
    let services = "/api/v1/namespaces/default/services";
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    assert_eq!(send(Method::POST, services, Some(service)).await.0, 201);
    let claim = json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}});
    assert_eq!(send(Method::POST, claims, Some(claim)).await.0, 201);
    plane.sandbox.drain();
    let (_, service) = send(Method::GET, &format!("{services}/s"), None).await;
    assert!(service["status"]["loadBalancer"]["ingress"][0]["ip"].is_string(), "{service:#}");
    let (_, balancers) = plane
        .cloud(Method::GET, "/load-balancer/v2/lbaas/loadbalancers?name=kube_service_web_default_s", None)
        .await;
    assert_eq!(balancers["loadbalancers"].as_array().unwrap().len(), 1);
    let (_, claim) = send(Method::GET, &format!("{claims}/c"), None).await;
    assert_eq!(claim["status"]["phase"], "Bound");
    let (_, volume) = send(
        Method::GET,
        &format!("/api/v1/persistentvolumes/{}", claim["spec"]["volumeName"].as_str().unwrap()),
        None,
    )
    .await;
    assert_eq!(volume["spec"]["csi"]["driver"], "cinder.csi.openstack.org");
    assert_ne!(plane.sandbox.inventory(), before);
    assert_eq!(send(Method::DELETE, &format!("{services}/s"), None).await.0, 200);
    assert_eq!(send(Method::DELETE, &format!("{claims}/c"), None).await.0, 200);
    plane.sandbox.drain();
    assert_eq!(send(Method::GET, &format!("{services}/s"), None).await.0, 404);
    assert_eq!(plane.sandbox.inventory(), before);
}

#[tokio::test]
async fn an_existing_network_is_used_and_left_alone() {
    let plane = Plane::start().await;
    let (_, network) = plane
        .cloud(Method::POST, "/network/v2.0/networks", Some(&json!({"network": {"name": "mine"}})))
        .await;
    let network = network["network"]["id"].clone();
    let subnet =
        json!({"subnet": {"network_id": network, "name": "mine", "ip_version": 4, "cidr": "10.9.0.0/24"}});
    let (_, subnet) = plane.cloud(Method::POST, "/network/v2.0/subnets", Some(&subnet)).await;
    let (_, public) = plane.cloud(Method::GET, "/network/v2.0/networks?name=public", None).await;
    let gateway = json!({"router": {"name": "mine", "external_gateway_info": {"network_id": public["networks"][0]["id"]}}});
    let (_, router) = plane.cloud(Method::POST, "/network/v2.0/routers", Some(&gateway)).await;
    let interface =
        format!("/network/v2.0/routers/{}/add_router_interface", router["router"]["id"].as_str().unwrap());
    assert_eq!(
        plane.cloud(Method::PUT, &interface, Some(&json!({"subnet_id": subnet["subnet"]["id"]}))).await.0,
        200
    );
    let before = plane.sandbox.inventory();
    plane.create_all(&[json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}})]).await;
    let mut objects = kubernetes_support::manifests(&plane.sandbox.clouds_yaml(), "web", 1, 1, "v1.36.2");
    let spec = objects.iter_mut().find(|o| o["kind"] == "OpenStackCluster").unwrap()["spec"]
        .as_object_mut()
        .unwrap();
    spec.remove("managedSubnets");
    spec.insert("network".to_owned(), json!({"filter": {"name": "mine"}}));
    spec.insert("subnets".to_owned(), json!([{"filter": {"name": "mine"}}]));
    spec.insert("router".to_owned(), json!({"filter": {"name": "mine"}}));
    plane.create_all(&objects).await;
    plane.sandbox.drain();
    let cluster = plane.object(&format!("{CAPI}/namespaces/web/clusters/web")).await;
    assert_eq!(condition(&cluster, "Available").0, "True", "{cluster:#}");
    assert_eq!(plane.delete(&format!("{CAPI}/namespaces/web/clusters/web")).await.0, 200);
    plane.sandbox.drain();
    assert_eq!(plane.delete("/api/v1/namespaces/web").await.0, 200);
    assert_eq!(plane.sandbox.inventory(), before);
}
