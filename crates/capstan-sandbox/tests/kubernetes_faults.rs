//! What goes wrong with API servers, webhooks and controllers when somebody asks for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod kubernetes_support;

use std::time::Duration;

use capstan_sandbox::faults::{Effect, Fault, KubernetesFault, Match, Refusal};
use kubernetes_support::{CAPI, CAPO, KCP, Plane, Watch, condition};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

fn broken(plane: &Plane, fault: KubernetesFault) -> u64 {
    plane.sandbox.faults().add(Fault::Kubernetes(fault))
}

/// Whether a request finds nobody.
async fn unanswered(plane: &Plane, path: &str) -> bool {
    plane.try_get(path).await.is_err()
}

#[tokio::test]
async fn a_restarted_api_server_cuts_watches_refuses_connections_and_forgets_its_history() {
    let plane = Plane::start().await;
    let (_, first) = plane.post(MAPS, &map("a")).await;
    plane.merge(&format!("{MAPS}/a"), &json!({"data": {"k": "1"}})).await;
    let since = first["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let mut watch = Watch::start(&plane, &format!("{MAPS}?watch=true&resourceVersion={since}")).await;
    assert_eq!(watch.kind().await, "MODIFIED");

    plane.sandbox.faults().api_server_restarts("management", 2);
    assert!(watch.is_cut().await);
    assert!(unanswered(&plane, MAPS).await && unanswered(&plane, "/version").await);
    assert_eq!(plane.get(MAPS).await.0, 200, "it is back after two");
    let mut late = Watch::start(&plane, &format!("{MAPS}?watch=true&resourceVersion={since}")).await;
    let told = late.next().await.unwrap();
    assert_eq!((&told["type"], &told["object"]["code"]), (&json!("ERROR"), &json!(410)), "{told}");
    let list = plane.object(MAPS).await;
    let now = list["metadata"]["resourceVersion"].as_str().unwrap();
    let mut again = Watch::start(&plane, &format!("{MAPS}?watch=true&resourceVersion={now}")).await;
    plane.merge(&format!("{MAPS}/a"), &json!({"data": {"k": "2"}})).await;
    assert_eq!(again.kind().await, "MODIFIED");
}

#[tokio::test]
async fn a_write_is_refused_as_a_conflict_or_for_its_store() {
    let plane = Plane::start().await;
    plane.post(MAPS, &map("a")).await;
    let path = format!("{MAPS}/a");
    let matching = Match { service: Some("kubernetes".to_owned()), ..Match::default() };
    for (refusal, expected) in [
        (
            Refusal::Conflict,
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 409, "reason": "Conflict",
                "message": "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again",
                "details": {"name": "a", "kind": "configmaps"}}),
        ),
        (
            Refusal::StoreTimeout,
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 500,
                "message": "etcdserver: request timed out"}),
        ),
    ] {
        let matching = Match { method: Some("PATCH".to_owned()), ..matching.clone() }.nth(2);
        plane.sandbox.faults().request(matching, Effect::Refuse { refusal });
        let change = |value: &str| json!({"data": {"k": value}});
        assert_eq!(plane.merge(&path, &change("1")).await.0, 200);
        let (status, refused) = plane.merge(&path, &change("2")).await;
        assert_eq!((u64::from(status), &refused), (expected["code"].as_u64().unwrap(), &expected));
        assert_eq!(plane.object(&path).await["data"]["k"], "1", "nothing happened");
        assert_eq!(plane.merge(&path, &change("2")).await.0, 200);
    }
}

#[tokio::test]
async fn a_webhook_that_is_not_reached_fails_every_write_that_it_is_asked_about() {
    let plane = Plane::start().await;
    plane.cluster("web", 1, 0).await;
    let name = "*.cluster.cluster.x-k8s.io".to_owned();
    let fault = broken(&plane, KubernetesFault::Webhook { name, times: None });
    let path = format!("{CAPI}/namespaces/web/clusters/web");
    let (status, refused) = plane.merge(&path, &json!({"spec": {"paused": true}})).await;
    assert_eq!((status, &refused["reason"]), (500, &json!("InternalError")));
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.starts_with(
            "Internal error occurred: failed calling webhook \"default.cluster.cluster.x-k8s.io\": failed to call webhook: \
             Post \"https://capi-webhook-service.capi-system.svc:443/mutate-cluster-x-k8s-io-v1beta2-cluster?timeout=10s\": dial tcp "
        ),
        "{message}"
    );
    assert_eq!(plane.delete(&path).await.0, 500, "deletions of a Cluster ask it, too");
    let other = format!("{CAPI}/namespaces/web/machinedeployments/web-md-0");
    assert_eq!(plane.merge(&other, &json!({"spec": {"replicas": 0}})).await.0, 200);
    plane.sandbox.faults().remove(fault);
    assert_eq!(plane.merge(&path, &json!({"spec": {"paused": true}})).await.0, 200);
}

#[tokio::test]
async fn a_silent_controller_reports_nothing_until_it_is_back() {
    let plane = Plane::start().await;
    let silent = KubernetesFault::Controller {
        resource: "openstack*".to_owned(),
        name: "web/*".to_owned(),
        seconds: None,
    };
    let fault = broken(&plane, silent);
    plane.cluster("web", 1, 0).await;
    let infrastructure = plane.object(&format!("{CAPO}/namespaces/web/openstackclusters/web")).await;
    assert!(infrastructure.get("status").is_none(), "{infrastructure:#}");
    let cluster = plane.object(&format!("{CAPI}/namespaces/web/clusters/web")).await;
    let (status, reason, message) = condition(&cluster, "InfrastructureReady");
    assert_eq!((status, reason), ("False", "NotReady"));
    assert_eq!(message, "OpenStackCluster status.initialization.provisioned is false");
    plane.sandbox.faults().remove(fault);
    plane.sandbox.drain();
    let cluster = plane.object(&format!("{CAPI}/namespaces/web/clusters/web")).await;
    assert_eq!(condition(&cluster, "Available").0, "True", "{cluster:#}");
}

#[tokio::test]
async fn a_slow_controller_looks_later() {
    let mut times = Vec::new();
    for seconds in [None, Some(30)] {
        let plane = Plane::start().await;
        if let Some(seconds) = seconds {
            let (resource, name) = ("openstackservers*".to_owned(), "*".to_owned());
            broken(&plane, KubernetesFault::Controller { resource, name, seconds: Some(seconds) });
        }
        plane.cluster("web", 1, 0).await;
        let machine = plane.items(&format!("{CAPI}/namespaces/web/machines")).await.remove(0);
        assert_eq!(condition(&machine, "Ready").0, "True", "{machine:#}");
        let moment = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let made = moment(&machine["metadata"]["creationTimestamp"]);
        let conditions = machine["status"]["conditions"].as_array().unwrap();
        let ready = conditions.iter().find(|c| c["type"] == "InfrastructureReady").unwrap();
        times.push(moment(&ready["lastTransitionTime"]).duration_since(made).as_secs());
    }
    assert!(times[1] >= times[0] + 30, "{times:?}");
}

#[tokio::test]
async fn a_condition_flaps_while_the_fault_is_there() {
    let plane = Plane::start().await;
    plane.cluster("web", 1, 0).await;
    let flapping = KubernetesFault::Condition {
        resource: "clusters.cluster.x-k8s.io".to_owned(),
        name: "web/web".to_owned(),
        condition: "Available".to_owned(),
        seconds: 20,
    };
    let fault = broken(&plane, flapping);
    let path = format!("{CAPI}/namespaces/web/clusters/web");
    let mut seen = Vec::new();
    for _ in 0..12 {
        plane.sandbox.advance(Duration::from_secs(10));
        let status = condition(&plane.object(&path).await, "Available").0.to_owned();
        if seen.last() != Some(&status) {
            seen.push(status);
        }
    }
    assert!(seen.len() >= 5 && seen.iter().all(|status| status == "True" || status == "Unknown"), "{seen:?}");
    plane.sandbox.faults().remove(fault);
    plane.sandbox.drain();
    assert_eq!(condition(&plane.object(&path).await, "Available"), ("True", "Available", ""));
}

#[tokio::test]
async fn a_finalizer_that_nobody_takes_off_holds_the_object() {
    let plane = Plane::start().await;
    broken(
        &plane,
        KubernetesFault::Finalizer {
            resource: "openstackclusters*".to_owned(),
            name: "web/*".to_owned(),
            finalizer: "example.com/gone".to_owned(),
        },
    );
    plane.cluster("web", 1, 0).await;
    let path = format!("{CAPI}/namespaces/web/clusters/web");
    plane.delete(&path).await;
    plane.sandbox.drain();
    let infrastructure = format!("{CAPO}/namespaces/web/openstackclusters/web");
    assert_eq!(plane.object(&infrastructure).await["metadata"]["finalizers"], json!(["example.com/gone"]));
    assert_eq!(condition(&plane.object(&path).await, "Deleting").1, "WaitingForInfrastructureDeletion");
    assert_eq!(plane.merge(&infrastructure, &json!({"metadata": {"finalizers": null}})).await.0, 200);
    plane.sandbox.drain();
    assert_eq!(plane.get(&path).await.0, 404);
}

#[tokio::test]
async fn a_machine_never_becomes_a_node() {
    let plane = Plane::start().await;
    let fault = broken(&plane, KubernetesFault::Node { machine: "web-md-0-*".to_owned() });
    plane.cluster("web", 1, 1).await;
    let machines = plane.items(&format!("{CAPI}/namespaces/web/machines")).await;
    let is_worker = |m: &&Value| m["metadata"]["name"].as_str().unwrap().starts_with("web-md-0-");
    let worker = machines.iter().find(is_worker).unwrap();
    assert_eq!(worker["status"]["phase"], "Provisioned");
    let (status, reason, message) = condition(worker, "NodeHealthy");
    assert_eq!((status, reason), ("Unknown", "InspectionFailed"));
    assert!(message.starts_with("Waiting for a Node with spec.providerID openstack:///"), "{message}");
    plane.sandbox.faults().remove(fault);
    plane.sandbox.drain();
    let cluster = plane.object(&format!("{CAPI}/namespaces/web/clusters/web")).await;
    assert_eq!(condition(&cluster, "Available").0, "True", "{cluster:#}");
}

#[tokio::test]
async fn a_control_plane_that_loses_its_api_is_told_and_recovers() {
    let plane = Plane::start().await;
    plane.cluster("web", 1, 1).await;
    let fault = broken(&plane, KubernetesFault::ApiServer { server: "web/web".to_owned(), times: None });
    plane.sandbox.drain();
    assert!(unanswered(&plane, "/workload/web/web/version").await);
    let path = format!("{CAPI}/namespaces/web/clusters/web");
    let cluster = plane.object(&path).await;
    assert_eq!(condition(&cluster, "RemoteConnectionProbe").0, "False", "{cluster:#}");
    assert_eq!(condition(&cluster, "Available").0, "False");
    // Nothing is made twice meanwhile: a machine that comes does not start a second cluster.
    let kcp = format!("{KCP}/namespaces/web/kubeadmcontrolplanes/web-control-plane");
    assert_eq!(plane.merge(&kcp, &json!({"spec": {"replicas": 3}})).await.0, 200);
    plane.sandbox.drain();
    plane.sandbox.faults().remove(fault);
    plane.sandbox.drain();
    let cluster = plane.object(&path).await;
    assert_eq!(condition(&cluster, "Available").0, "True", "{cluster:#}");
    assert_eq!(cluster["status"]["controlPlane"]["readyReplicas"], 3);
}

#[tokio::test]
async fn faults_of_kubernetes_are_set_over_http() {
    let plane = Plane::start().await;
    let base = plane.sandbox.auth_url().replace("/identity/v3", "/_sandbox/faults");
    let client = reqwest::Client::new();
    let send = |body: Value| {
        client.post(&base).header("content-type", "application/json").body(body.to_string()).send()
    };
    for fault in [
        json!({"kind": "kubernetes", "what": "apiServer", "server": "management", "times": 1}),
        json!({"kind": "kubernetes", "what": "webhook", "name": "*.x-k8s.io"}),
        json!({"kind": "kubernetes", "what": "controller", "resource": "openstack*", "name": "*", "seconds": 60}),
        json!({"kind": "kubernetes", "what": "condition", "resource": "clusters*", "name": "*", "condition": "Ready", "seconds": 9}),
        json!({"kind": "kubernetes", "what": "finalizer", "resource": "secrets", "name": "*", "finalizer": "a.b/c"}),
        json!({"kind": "kubernetes", "what": "node", "machine": "web-*"}),
        json!({"kind": "request", "service": "kubernetes", "method": "PUT", "effect": {"type": "refuse", "refusal": "conflict"}}),
    ] {
        assert_eq!(send(fault.clone()).await.unwrap().status(), 201, "{fault}");
        let listed = client.get(&base).send().await.unwrap().text().await.unwrap();
        let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
        let last = &listed.last().unwrap()["fault"];
        for (name, value) in fault.as_object().unwrap() {
            assert_eq!(&last[name], value, "{last}");
        }
    }
    assert_eq!(send(json!({"kind": "kubernetes", "what": "weather"})).await.unwrap().status(), 422);
}
