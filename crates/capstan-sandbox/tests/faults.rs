//! Faults, unknown routes, counting, time, determinism, speed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::{Duration, Instant};

use capstan_sandbox::faults::{Effect, Match};
use capstan_sandbox::{Config, Sandbox, Speed};
use common::{Client, id, start, start_with};
use reqwest::Method;
use serde_json::{Value, json};

const NETWORKS: &str = "/network/v2.0/networks";

#[tokio::test]
async fn the_nth_call_fails_before_anything_happens() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let effect = Effect::Fail { status: 503, body: None, retry_after: Some(2) };
    sandbox.faults().request(Match::route("POST", NETWORKS).nth(2), effect);
    let body = json!({"network": {"name": "n"}});
    client.post(NETWORKS, &body).await.expect(201);
    let failed = client.post(NETWORKS, &body).await;
    assert_eq!((failed.status, failed.header("retry-after")), (503, "2"));
    assert_eq!(failed.body["NeutronError"]["type"], "Service Unavailable");
    client.post(NETWORKS, &body).await.expect(201);
    assert_eq!(sandbox.inventory().of_kind("network").count(), 2);
    assert_eq!(sandbox.faults().list()[0].struck, 1);
}

#[tokio::test]
async fn an_answer_is_lost_after_the_effect() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    sandbox.faults().request(Match::route("POST", NETWORKS), Effect::LoseAnswer);
    let request = client.request(Method::POST, NETWORKS).json(&json!({"network": {"name": "n"}}));
    assert!(request.send().await.is_err());
    assert_eq!(sandbox.inventory().of_kind("network").count(), 1);
    sandbox.faults().request(Match::route("POST", NETWORKS), Effect::Disconnect);
    let request = client.request(Method::POST, NETWORKS).json(&json!({"network": {"name": "m"}}));
    assert!(request.send().await.is_err());
    assert_eq!(sandbox.inventory().of_kind("network").count(), 1);
    client.get(NETWORKS).await.expect(200);
}

#[tokio::test]
async fn a_proxy_answers_in_html_and_a_request_is_slow() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    sandbox.faults().request(
        Match { service: Some("network".to_owned()), ..Match::default() },
        Effect::Html { status: 502 },
    );
    let page = client.get(NETWORKS).await;
    assert_eq!((page.status, page.header("content-type")), (502, "text/html"));
    assert!(page.text.contains("<h1>502 Bad Gateway</h1>"));
    sandbox.faults().request(Match::route("GET", "/network/*"), Effect::Delay { millis: 80 });
    let started = Instant::now();
    client.get(NETWORKS).await.expect(200);
    assert!(started.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn a_server_ends_in_error_when_asked_to() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    sandbox.faults().next_server_fails("web-*", "Build of instance aborted: no disk left");
    let flavor = client.flavor("SCS-4V-8-20").await;
    let image = client.image("Ubuntu 24.04").await;
    let make = async |name: &str| {
        let wanted = json!({"name": name, "flavorRef": flavor, "imageRef": image, "networks": [{"uuid": net.network}]});
        let made = id(&client.make("/compute/v2.1/servers", "server", wanted).await);
        client.get(&format!("/compute/v2.1/servers/{made}")).await.expect(200)["server"].clone()
    };
    assert_eq!(make("db-1").await["status"], "ACTIVE");
    let failed = make("web-1").await;
    assert_eq!(failed["status"], "ERROR");
    assert_eq!(failed["fault"]["message"], "Build of instance aborted: no disk left");
    assert_eq!(make("web-2").await["status"], "ACTIVE");
}

#[tokio::test]
async fn faults_quotas_and_time_are_set_over_http() {
    let sandbox = start(Speed::Manual).await;
    let client = Client::demo(&sandbox).await;
    let send = async |method: Method, path: &str, body: Value| {
        let response =
            client.http.request(method, format!("{}{path}", client.base)).json(&body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str::<Value>(&response.text().await.unwrap()).unwrap_or_default())
    };
    let fault = json!({"kind": "request", "service": "network", "method": "GET", "nth": 1, "times": 1,
                       "effect": {"type": "fail", "status": 429, "retryAfter": 1}});
    let (status, made) = send(Method::POST, "/_sandbox/faults", fault).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(client.get(NETWORKS).await.status, 429);
    let (_, listed) = send(Method::GET, "/_sandbox/faults", Value::Null).await;
    assert_eq!(listed[0]["struck"], 1);
    let (status, _) = send(Method::DELETE, &format!("/_sandbox/faults/{}", made["id"]), Value::Null).await;
    assert_eq!(status, 204);
    let quota = json!({"service": "network", "resource": "network", "limit": 0});
    assert_eq!(send(Method::PUT, "/_sandbox/quotas", quota).await.0, 204);
    client.post(NETWORKS, &json!({"network": {}})).await.refused(409);
    let (_, time) = send(Method::POST, "/_sandbox/time", json!({"advanceSeconds": 90.0})).await;
    assert_eq!((&time["now"], &time["elapsedSeconds"]), (&json!("2026-01-01T00:01:30Z"), &json!(90.0)));
    assert_eq!(send(Method::DELETE, "/_sandbox/tokens", Value::Null).await.0, 204);
    client.get(NETWORKS).await.refused(401);
    let (_, inventory) = send(Method::GET, "/_sandbox/inventory", Value::Null).await;
    assert_eq!(inventory, serde_json::to_value(sandbox.inventory()).unwrap());
}

#[tokio::test]
async fn unknown_routes_name_themselves_and_requests_are_counted() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    assert_eq!(
        client.get("/network/v2.0/nonsense").await.refused(501),
        "the sandbox does not simulate `GET /network/v2.0/nonsense`"
    );
    assert_eq!(
        client.put("/compute/v2.1/flavors", &json!({})).await.refused(501),
        "the sandbox does not simulate `PUT /compute/v2.1/flavors`"
    );
    let network = id(&client.make(NETWORKS, "network", json!({"name": "n"})).await);
    client.get(&format!("{NETWORKS}/{network}")).await.expect(200);
    client.get(&format!("{NETWORKS}/nobody")).await.refused(404);
    let requests = sandbox.requests();
    assert_eq!(requests.of_route("GET", "/network/v2.0/networks/{id}"), 2);
    assert_eq!(requests.of_service("identity"), 1);
    assert_eq!(requests.unknown.len(), 2);
    // The network and the unknown PUT; a token is no write.
    assert_eq!((requests.total, requests.writes), (6, 2));
}

/// A road with ids of every kind.
async fn road(sandbox: &Sandbox) -> Vec<String> {
    let client = Client::demo(sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    let wanted = json!({"name": "s", "flavorRef": client.flavor("SCS-4V-8-20").await,
                        "imageRef": client.image("Ubuntu 24.04").await, "networks": [{"uuid": net.network}]});
    client.make("/compute/v2.1/servers", "server", wanted).await;
    let wanted = json!({"name": "lb", "vip_subnet_id": net.subnet});
    client.make("/load-balancer/v2/lbaas/loadbalancers", "loadbalancer", wanted).await;
    sandbox.drain();
    sandbox.inventory().resources.iter().map(|entry| format!("{} {}", entry.kind, entry.id)).collect()
}

#[tokio::test]
async fn the_same_seed_gives_the_same_world() {
    let config = |seed| Config { speed: Speed::Manual, seed, ..Config::default() };
    let (one, other, third) =
        (start_with(config(7)).await, start_with(config(7)).await, start_with(config(8)).await);
    let first = road(&one).await;
    assert_eq!(first, road(&other).await);
    assert_ne!(first, road(&third).await);
    assert_eq!(one.world().now(), other.world().now());
}

#[tokio::test]
async fn time_passes_at_the_speed_asked_for() {
    let sandbox = start(Speed::Times(600.0)).await;
    let client = Client::demo(&sandbox).await;
    let volumes = format!("/volume/v3/{}/volumes", client.project);
    let started = Instant::now();
    let volume = id(&client.make(&volumes, "volume", json!({"size": 1})).await);
    let path = format!("{volumes}/{volume}");
    while client.get(&path).await.expect(200)["volume"]["status"] != "available" {
        assert!(started.elapsed() < Duration::from_secs(5), "two simulated seconds at 600 times");
    }
}

#[tokio::test]
async fn a_stopped_sandbox_closes_its_connections() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    sandbox.shutdown().await;
    assert!(client.request(Method::GET, NETWORKS).send().await.is_err());
}
