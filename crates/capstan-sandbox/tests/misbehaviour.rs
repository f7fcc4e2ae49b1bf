//! Misbehaviours of OpenStack's resources on demand, as real users met them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use capstan_sandbox::faults::Fault;
use capstan_sandbox::{Sandbox, Speed};
use common::{Client, Network, id, start};
use reqwest::Method;
use serde_json::{Value, json};

const SERVERS: &str = "/compute/v2.1/servers";
const LBAAS: &str = "/load-balancer/v2/lbaas";

/// A server on a network of its own, and what it has become.
async fn server(sandbox: &Sandbox, client: &Client, net: &Network, name: &str) -> Value {
    let flavor = client.flavor("SCS-4V-8-20").await;
    let image = client.image("Ubuntu 24.04").await;
    let wanted =
        json!({"name": name, "flavorRef": flavor, "imageRef": image, "networks": [{"uuid": net.network}]});
    let made = id(&client.make(SERVERS, "server", wanted).await);
    sandbox.drain();
    client.get(&format!("{SERVERS}/{made}")).await.expect(200)["server"].clone()
}

#[tokio::test]
async fn no_host_takes_a_server() {
    let sandbox = start(Speed::Manual).await;
    let client = Client::demo(&sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    sandbox.faults().add(Fault::NoValidHost { name: "web-*".to_owned(), times: Some(1) });
    let failed = server(&sandbox, &client, &net, "web-1").await;
    assert_eq!(
        (&failed["status"], &failed["hostId"], &failed["addresses"]),
        (&json!("ERROR"), &json!(""), &json!({}))
    );
    assert_eq!(failed["fault"]["message"], "No valid host was found. There are not enough hosts available.");
    assert_eq!(server(&sandbox, &client, &net, "web-2").await["status"], "ACTIVE");
}

#[tokio::test]
async fn ports_of_a_failed_server_are_left_behind_until_the_quota_is_gone() {
    let sandbox = start(Speed::Manual).await;
    let client = Client::demo(&sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    let faults = sandbox.faults();
    faults.add(Fault::PortLeak { name: "web-*".to_owned(), times: Some(1) });
    faults.next_server_fails("web-1", "Build of instance aborted");
    let failed = id(&server(&sandbox, &client, &net, "web-1").await);
    client.delete(&format!("{SERVERS}/{failed}")).await.expect(204);
    sandbox.drain();
    client.get(&format!("{SERVERS}/{failed}")).await.refused(404);
    let left = client.get(&format!("/network/v2.0/ports?device_id={failed}")).await.expect(200);
    let left = left["ports"].as_array().unwrap();
    assert_eq!((left.len(), &left[0]["status"]), (1, &json!("DOWN")), "{left:?}");
    client.delete(&format!("/network/v2.0/networks/{}", net.network)).await.refused(409);
    sandbox.set_quota("network", "port", 2);
    let body = json!({"port": {"network_id": net.network}});
    client.post("/network/v2.0/ports", &body).await.refused(409);
    // The next one is cleaned up after.
    sandbox.set_quota("network", "port", 10);
    let fine = id(&server(&sandbox, &client, &net, "web-2").await);
    client.delete(&format!("{SERVERS}/{fine}")).await.expect(204);
    sandbox.drain();
    let left = client.get(&format!("/network/v2.0/ports?device_id={fine}")).await.expect(200);
    assert_eq!(left["ports"], json!([]));
}

#[tokio::test]
async fn a_quota_drops_in_the_middle() {
    let sandbox = start(Speed::Manual).await;
    let client = Client::demo(&sandbox).await;
    let quota = |service: &str, resource: &str, after, limit| {
        let (service, resource) = (service.to_owned(), resource.to_owned());
        sandbox.faults().add(Fault::Quota { service, resource, after, limit })
    };
    let net = client.network("10.8.0.0/24").await;
    let fault = quota("compute", "cores", 1, 6);
    assert_eq!(server(&sandbox, &client, &net, "web-1").await["status"], "ACTIVE");
    let wanted = json!({"server": {"name": "web-2", "flavorRef": client.flavor("SCS-4V-8-20").await,
        "imageRef": client.image("Ubuntu 24.04").await, "networks": [{"uuid": net.network}]}});
    assert_eq!(
        client.post(SERVERS, &wanted).await.refused(403),
        "Quota exceeded for cores: Requested 4, but already used 4 of 6 cores"
    );
    let limits = client.get("/compute/v2.1/limits").await.expect(200);
    assert_eq!(limits["limits"]["absolute"]["maxTotalCores"], 6);
    sandbox.faults().remove(fault);
    client.post(SERVERS, &wanted).await.expect(202);

    quota("network", "network", 1, 0);
    let network = json!({"network": {"name": "n"}});
    client.post("/network/v2.0/networks", &network).await.expect(201);
    client.post("/network/v2.0/networks", &network).await.refused(409);
    quota("volume", "gigabytes", 0, 1);
    let volumes = format!("/volume/v3/{}/volumes", client.project);
    client.post(&volumes, &json!({"volume": {"size": 2}})).await.refused(413);
    quota("load-balancer", "load_balancer", 0, 0);
    let balancer = json!({"loadbalancer": {"name": "lb", "vip_subnet_id": net.subnet}});
    client.post(&format!("{LBAAS}/loadbalancers"), &balancer).await.refused(403);
}

#[tokio::test]
async fn a_load_balancer_stays_pending_or_ends_in_error() {
    let sandbox = start(Speed::Manual).await;
    let client = Client::demo(&sandbox).await;
    let net = client.network("10.8.0.0/24").await;
    let balancers = format!("{LBAAS}/loadbalancers");
    let status = async |id: &str| {
        let shown = client.get(&format!("{balancers}/{id}")).await.expect(200);
        shown["loadbalancer"]["provisioning_status"].as_str().unwrap().to_owned()
    };
    sandbox.faults().add(Fault::LoadBalancerError { name: "broken*".to_owned(), times: Some(1) });
    let stuck = sandbox.faults().add(Fault::LoadBalancer { name: "stuck*".to_owned() });
    let make = async |name: &str| {
        let wanted = json!({"name": name, "vip_subnet_id": net.subnet});
        id(&client.make(&balancers, "loadbalancer", wanted).await)
    };
    let (broken, hangs) = (make("broken").await, make("stuck").await);
    sandbox.drain();
    sandbox.advance(Duration::from_secs(900));
    assert_eq!((status(&broken).await.as_str(), status(&hangs).await.as_str()), ("ERROR", "PENDING_CREATE"));
    let listener = |balancer: &str| json!({"listener": {"protocol": "TCP", "protocol_port": 1, "loadbalancer_id": balancer}});
    client.post(&format!("{LBAAS}/listeners"), &listener(&broken)).await.refused(409);
    client.delete(&format!("{balancers}/{hangs}")).await.refused(409);
    client.delete(&format!("{balancers}/{broken}")).await.expect(204);
    sandbox.faults().remove(stuck);
    sandbox.advance(Duration::from_secs(10));
    assert_eq!(status(&hangs).await, "ACTIVE");
    client.get(&format!("{balancers}/{broken}")).await.refused(404);
}

#[tokio::test]
async fn a_volume_hangs_in_deleting() {
    let sandbox = start(Speed::Manual).await;
    let client = Client::demo(&sandbox).await;
    let volumes = format!("/volume/v3/{}/volumes", client.project);
    let volume = id(&client.make(&volumes, "volume", json!({"name": "pvc-1", "size": 1})).await);
    sandbox.drain();
    let fault = sandbox.faults().add(Fault::VolumeDelete { name: "pvc-*".to_owned() });
    client.delete(&format!("{volumes}/{volume}")).await.expect(202);
    sandbox.advance(Duration::from_secs(900));
    let path = format!("{volumes}/{volume}");
    assert_eq!(client.get(&path).await.expect(200)["volume"]["status"], "deleting");
    client.delete(&path).await.refused(400);
    // An administrator can call it available again, and the next delete is another try.
    let admin = Client::admin(&sandbox).await;
    let reset = json!({"os-reset_status": {"status": "error"}});
    client.post(&format!("{path}/action"), &reset).await.refused(403);
    admin.post(&format!("{path}/action"), &reset).await.expect(202);
    sandbox.faults().remove(fault);
    client.delete(&path).await.expect(202);
    sandbox.drain();
    client.get(&path).await.refused(404);
}

#[tokio::test]
async fn a_stray_port_keeps_a_network() {
    for foreign in [false, true] {
        let sandbox = start(Speed::Max).await;
        let client = Client::demo(&sandbox).await;
        sandbox.faults().add(Fault::StrayPort { network: "n*".to_owned(), foreign, times: Some(1) });
        let network = id(&client.make("/network/v2.0/networks", "network", json!({"name": "n"})).await);
        let wanted = json!({"network_id": network, "cidr": "10.0.0.0/24", "ip_version": 4});
        let subnet = id(&client.make("/network/v2.0/subnets", "subnet", wanted).await);
        // Whoever owns the network sees the port.
        let ports = client.get(&format!("/network/v2.0/ports?network_id={network}")).await.expect(200);
        let port = &ports["ports"][0];
        assert_eq!(port["project_id"] != json!(client.project), foreign, "{port}");
        assert!(port["device_owner"].as_str().unwrap().starts_with("compute:"), "{port}");
        let path = format!("/network/v2.0/networks/{network}");
        assert!(client.delete(&path).await.refused(409).contains(port["id"].as_str().unwrap()));
        client.delete(&format!("/network/v2.0/subnets/{subnet}")).await.refused(409);
        client.delete(&format!("/network/v2.0/ports/{}", id(port))).await.expect(204);
        client.delete(&path).await.expect(204);
    }
}

#[tokio::test]
async fn an_application_credential_ends_in_the_middle() {
    for (revoked, login_status) in [(false, 401), (true, 404)] {
        let sandbox = start(Speed::Max).await;
        let client = Client::demo(&sandbox).await;
        let path = format!("/identity/v3/users/{}/application_credentials", client.user);
        let made =
            client.make(&path, "application_credential", json!({"name": "prod-web", "secret": "s"})).await;
        let login = json!({"auth": {"identity": {"methods": ["application_credential"],
            "application_credential": {"id": id(&made), "secret": "s"}}}});
        sandbox.faults().add(Fault::Credential { name: "prod-*".to_owned(), after: 2, revoked });
        let holder = Client::log_in(&sandbox, &login).await;
        for _ in 0..2 {
            holder.get("/network/v2.0/networks").await.expect(200);
        }
        holder.get("/network/v2.0/networks").await.refused(401);
        client.post("/identity/v3/auth/tokens", &login).await.refused(login_status);
        client.get("/network/v2.0/networks").await.expect(200);
        let left = client.get(&path).await.expect(200)["application_credentials"].as_array().unwrap().len();
        assert_eq!(left, usize::from(!revoked));
    }
}

#[tokio::test]
async fn a_catalog_lacks_a_service() {
    let sandbox = start(Speed::Max).await;
    let fault = sandbox.faults().add(Fault::Catalog { without: "load-balancer".to_owned() });
    let client = Client::demo(&sandbox).await;
    let kinds = async || {
        let catalog = client.get("/identity/v3/auth/catalog").await.expect(200);
        let entries = catalog["catalog"].as_array().unwrap().clone();
        entries.iter().map(|entry| entry["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(!kinds().await.contains(&"load-balancer".to_owned()));
    sandbox.faults().remove(fault);
    assert!(kinds().await.contains(&"load-balancer".to_owned()));
}

#[tokio::test]
async fn a_slow_cloud_takes_simulated_seconds_for_each_call() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    sandbox.faults().slow(Some("network"), 7);
    let before = sandbox.world().clock().elapsed();
    for _ in 0..3 {
        client.get("/network/v2.0/networks").await.expect(200);
    }
    assert_eq!(sandbox.world().clock().elapsed() - before, Duration::from_secs(21));
}

#[tokio::test]
async fn a_storm_of_429_has_a_hint_or_not() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    sandbox.faults().storm(Some("compute"), 3, Some(9));
    for _ in 0..3 {
        let limited = client.get(SERVERS).await;
        assert_eq!((limited.status, limited.header("retry-after")), (429, "9"));
        assert_eq!(limited.body["overLimit"]["code"], 429);
    }
    client.get(SERVERS).await.expect(200);
    sandbox.faults().storm(None, 2, None);
    for path in ["/network/v2.0/networks", "/image/v2/images"] {
        let limited = client.get(path).await;
        assert_eq!((limited.status, limited.header("retry-after")), (429, ""), "{path}");
    }
    client.get("/image/v2/images").await.expect(200);
}

#[tokio::test]
async fn two_resources_have_one_name() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let twin = |resource: &str| {
        let fault = Fault::Twin { resource: resource.to_owned(), name: "t*".to_owned(), times: Some(1) };
        sandbox.faults().add(fault);
    };
    for (resource, path) in [("network", "/network/v2.0/networks"), ("router", "/network/v2.0/routers")] {
        twin(resource);
        client.make(path, resource, json!({"name": "t"})).await;
        client.make(path, resource, json!({"name": "t"})).await;
        assert_eq!(sandbox.inventory().of_kind(resource).count(), 3, "{resource}");
    }
    twin("server_group");
    let wanted = json!({"name": "t", "policy": "anti-affinity"});
    client.make("/compute/v2.1/os-server-groups", "server_group", wanted).await;
    twin("image");
    client.post("/image/v2/images", &json!({"name": "t"})).await.expect(201);
    twin("volume");
    let volumes = format!("/volume/v3/{}/volumes", client.project);
    client.make(&volumes, "volume", json!({"name": "t", "size": 1})).await;
    for kind in ["server_group", "image", "volume"] {
        assert_eq!(sandbox.inventory().of_kind(kind).count(), 2, "{kind}");
    }
}

#[tokio::test]
async fn strangers_look_like_ours_and_are_listed() {
    let sandbox = start(Speed::Max).await;
    let planted = sandbox.plant_strangers("prod-web").unwrap();
    for kind in [
        "server",
        "network",
        "router",
        "port",
        "floatingip",
        "security_group",
        "loadbalancer",
        "volume",
        "snapshot",
        "server_group",
        "keypair",
        "image",
        "application_credential",
    ] {
        assert!(planted.of_kind(kind).next().is_some(), "{kind}");
    }
    assert!(planted.of_kind("server").all(|server| server.name.starts_with("prod-web-")));
    assert_eq!(planted.without(&sandbox.inventory()), capstan_sandbox::Inventory::default());
    let client = Client::demo(&sandbox).await;
    let request = client.http.request(Method::POST, format!("{}/_sandbox/strangers", client.base));
    let answer = request.json(&json!({"name": "prod-db"})).send().await.unwrap();
    assert_eq!(answer.status(), 201);
}

/// Every fault can be asked for over HTTP, in the words of the README's table.
#[tokio::test]
async fn every_fault_is_set_over_http() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let faults = [
        json!({"kind": "request", "service": "network", "times": null, "effect": {"type": "slow", "seconds": 3}}),
        json!({"kind": "server", "name": "*", "message": "no disk left", "times": 1}),
        json!({"kind": "noValidHost", "name": "*"}),
        json!({"kind": "portLeak", "name": "*", "times": 1}),
        json!({"kind": "loadBalancer", "name": "*"}),
        json!({"kind": "loadBalancerError", "name": "*"}),
        json!({"kind": "volumeDelete", "name": "*"}),
        json!({"kind": "quota", "service": "compute", "resource": "cores", "after": 2, "limit": 8}),
        json!({"kind": "strayPort", "network": "*", "foreign": true}),
        json!({"kind": "twin", "resource": "network", "name": "*"}),
        json!({"kind": "credential", "name": "*", "after": 5, "revoked": true}),
        json!({"kind": "catalog", "without": "load-balancer"}),
    ];
    for fault in &faults {
        let request = client.http.request(Method::POST, format!("{}/_sandbox/faults", client.base));
        let answer = request.json(fault).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{fault}: {}", answer.text().await.unwrap());
    }
    assert_eq!(sandbox.faults().list().len(), faults.len());
}
