//! Bad input: malformed requests are refused in each service's shape, and clients that dawdle hold up nobody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::{Duration, Instant};

use capstan_sandbox::Speed;
use common::{Answer, Client, NOBODY, id, start};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Where something is made, and the root of the body.
fn collections(client: &Client) -> Vec<(String, &'static str)> {
    let (project, user) = (&client.project, &client.user);
    [
        ("/identity/v3/auth/tokens".to_owned(), "auth"),
        (format!("/identity/v3/users/{user}/application_credentials"), "application_credential"),
        ("/compute/v2.1/servers".to_owned(), "server"),
        ("/compute/v2.1/os-server-groups".to_owned(), "server_group"),
        ("/compute/v2.1/os-keypairs".to_owned(), "keypair"),
        ("/network/v2.0/networks".to_owned(), "network"),
        ("/network/v2.0/subnets".to_owned(), "subnet"),
        ("/network/v2.0/ports".to_owned(), "port"),
        ("/network/v2.0/routers".to_owned(), "router"),
        ("/network/v2.0/floatingips".to_owned(), "floatingip"),
        ("/network/v2.0/security-groups".to_owned(), "security_group"),
        ("/network/v2.0/security-group-rules".to_owned(), "security_group_rule"),
        ("/image/v2/images".to_owned(), "image"),
        (format!("/volume/v3/{project}/volumes"), "volume"),
        (format!("/volume/v3/{project}/snapshots"), "snapshot"),
        ("/load-balancer/v2/lbaas/loadbalancers".to_owned(), "loadbalancer"),
        ("/load-balancer/v2/lbaas/listeners".to_owned(), "listener"),
        ("/load-balancer/v2/lbaas/pools".to_owned(), "pool"),
        ("/load-balancer/v2/lbaas/healthmonitors".to_owned(), "healthmonitor"),
        (format!("/load-balancer/v2/lbaas/pools/{NOBODY}/members"), "member"),
    ]
    .into()
}

/// Asserts that a refusal has its service's shape: never a bare text, never an empty body.
#[track_caller]
fn in_shape(path: &str, what: &str, answer: &Answer) {
    let body = &answer.body;
    let kind = answer.header("content-type");
    let shaped = match path.split('/').nth(1).unwrap() {
        // The middleware in front of all services answers in its own way.
        _ if answer.status == 413 => kind.starts_with("text/html") && answer.text.contains("<h1>413 "),
        "image" => kind.starts_with("text/html") && answer.text.contains("<h1>4"),
        "network" => body["NeutronError"]["message"].is_string(),
        "load-balancer" => body["faultstring"].is_string(),
        "identity" => body["error"]["message"].is_string(),
        _ => body.as_object().is_some_and(|map| map.values().all(|one| one["message"].is_string())),
    };
    let refused = (400..500).contains(&answer.status);
    assert!(refused && shaped, "{path} {what}: {} {kind} {}", answer.status, answer.text);
}

#[tokio::test]
async fn malformed_bodies_are_refused_in_the_shape_of_the_service() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let before = sandbox.inventory();
    for (path, root) in collections(&client) {
        let wrong = [
            json!([]),
            json!("text"),
            json!(null),
            json!({ root: [] }),
            json!({ root: null }),
            json!({ root: "text" }),
            json!({ root: {"name": 5} }),
            json!({ root: {"name": "x".repeat(256)} }),
            json!({ root: {"nonsense": 1} }),
            json!({ root: {}, "nonsense": 1 }),
        ];
        // Of an image that is a property of this name.
        let property = json!({ "image": "text" });
        for body in wrong.into_iter().filter(|body| *body != property) {
            let answer = client.post(&path, &body).await;
            let text: String = body.to_string().chars().take(60).collect();
            in_shape(&path, &text, &answer);
        }
        let post = || client.request(Method::POST, &path).header("content-type", "application/json");
        let raw: [(&str, Vec<u8>); 6] = [
            ("nothing", Vec::new()),
            ("no JSON", b"{bad".to_vec()),
            ("half of it", format!("{{\"{root}\": {{").into_bytes()),
            ("no UTF-8", b"{\"\xff\xfe\": 1}".to_vec()),
            ("deep", "[".repeat(50_000).into_bytes()),
            ("huge", vec![b' '; 17 << 20]),
        ];
        for (what, bytes) in raw {
            in_shape(&path, what, &client.send(post().body(bytes)).await);
        }
    }
    assert_eq!(sandbox.inventory(), before);
    client.get("/network/v2.0/networks").await.expect(200);
}

#[tokio::test]
async fn other_media_types_are_refused() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let send = async |path: &str, kind: &str| {
        let request = client.request(Method::POST, path).header("content-type", kind).body("{\"auth\": {}}");
        client.send(request).await
    };
    let expected = "Expecting to find application/json in Content-Type header.";
    assert!(send("/identity/v3/auth/tokens", "text/plain").await.refused(400).starts_with(expected));
    let volumes = format!("/volume/v3/{}/volumes", client.project);
    assert_eq!(send(&volumes, "text/plain").await.refused(415), "Unsupported Content-Type");
    let form = "application/x-www-form-urlencoded";
    let refused = send("/compute/v2.1/servers", form).await;
    assert_eq!(refused.body["badMediaType"]["code"], 415);
    let text = send("/load-balancer/v2/lbaas/loadbalancers", "text/plain").await.refused(415);
    assert_eq!(text, "Unknown mimetype: text/plain");
}

#[tokio::test]
async fn odd_paths_and_queries_are_refused_in_the_shape_of_the_service() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let collections = collections(&client);
    let readable = |path: &&String| !path.ends_with("tokens") && !path.contains(NOBODY);
    for path in collections.iter().map(|(path, _)| path).filter(readable) {
        let long = "x".repeat(4000);
        for id in ["%ff%fe", "%00", "..%2f..", "nobody", &long] {
            in_shape(path, id, &client.get(&format!("{path}/{id}")).await);
        }
        for query in ["%ff=%fe&&&=&a", "marker=nobody&limit=5"] {
            let answer = client.get(&format!("{path}?{query}")).await;
            // What a service doesn't page, it doesn't mark.
            if answer.status != 200 {
                in_shape(path, query, &answer);
            }
        }
        // Any number of digits is a number.
        let answer = client.get(&format!("{path}?limit=99999999999999999999")).await;
        assert!([200, 400].contains(&answer.status), "{path}: {}", answer.text);
    }
    let refusals = [
        (
            "/network/v2.0/networks?limit=-1",
            "Bad limit request: Limit must be an integer 0 or greater and not '-1'.",
        ),
        ("/load-balancer/v2/lbaas/pools?marker=nobody", "Supplied pagination marker 'nobody' is not valid."),
        ("/load-balancer/v2/lbaas/pools?sort_key=nonsense", "Supplied sort key 'nonsense' is not valid."),
        ("/load-balancer/v2/lbaas/pools?nonsense=1", "One or more arguments are either duplicate or invalid"),
        ("/compute/v2.1/servers?%ff=1", "Query string is not UTF-8 encoded"),
    ];
    for (path, text) in refusals {
        assert_eq!(client.get(path).await.refused(400), text, "{path}");
    }
    // A pool of addresses that ends before it begins, and the last address that there is.
    let network = id(&client.make("/network/v2.0/networks", "network", json!({"name": "n"})).await);
    let backwards = json!({"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.0.0.0/24",
        "allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.2"}]}});
    client.post("/network/v2.0/subnets", &backwards).await.refused(400);
    let last = json!({"network_id": network, "ip_version": 6, "gateway_ip": null,
        "cidr": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"});
    client.post("/network/v2.0/subnets", &json!({ "subnet": last })).await;
    for _ in 0..2 {
        client.post("/network/v2.0/ports", &json!({"port": {"network_id": network}})).await;
    }
    let volume = json!({"volume": {"size": i64::MAX}});
    client.post(&format!("/volume/v3/{}/volumes", client.project), &volume).await.refused(400);
}

#[tokio::test]
async fn a_microversion_that_is_not_there_is_refused() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let volumes = format!("/volume/v3/{}/volumes", client.project);
    for (path, service, newest) in
        [("/compute/v2.1/servers", "compute", "2.96"), (&volumes, "volume", "3.70")]
    {
        let asked = async |version: &str| {
            let request =
                client.http.get(format!("{}{path}", client.base)).header("x-auth-token", &client.token);
            client.send(request.header("openstack-api-version", format!("{service} {version}"))).await
        };
        let text = asked(&format!("{}99", &newest[..3])).await.refused(406);
        assert!(text.ends_with(&format!("maximum is {newest}.")), "{text}");
        assert!(asked("nonsense").await.refused(400).starts_with("API Version String nonsense"));
        assert_eq!(asked(newest).await.header("openstack-api-version"), format!("{service} {newest}"));
    }
}

/// Reads until the answer is complete or the connection ends.
async fn answer_of(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while !text.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut buffer).await.unwrap();
        if read == 0 {
            break;
        }
        text.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_dawdle_hold_up_neither_others_nor_the_time() {
    let sandbox = start(Speed::Max).await;
    let client = Client::demo(&sandbox).await;
    let token = client.token.clone();
    let mut dawdlers = Vec::new();
    for begin in [
        // Nothing at all; half of a line; half of the headers; half of a body; an answer that nobody reads.
        String::new(),
        "GET /netw".to_owned(),
        "GET /network/v2.0/networks HTTP/1.1\r\nHost: x\r\n".to_owned(),
        format!(
            "POST /network/v2.0/networks HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\nContent-Type: application/json\r\n\
             Content-Length: 1000\r\n\r\n{{\"network\""
        ),
        format!("GET /image/v2/images HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\n\r\n").repeat(200),
    ] {
        for _ in 0..8 {
            let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
            stream.write_all(begin.as_bytes()).await.unwrap();
            dawdlers.push(stream);
        }
    }
    let started = Instant::now();
    let net = client.network("10.8.0.0/24").await;
    let wanted = json!({"name": "s", "flavorRef": client.flavor("SCS-4V-8-20").await,
                        "imageRef": client.image("Ubuntu 24.04").await, "networks": [{"uuid": net.network}]});
    let made = id(&client.make("/compute/v2.1/servers", "server", wanted).await);
    let balancer = json!({"name": "lb", "vip_subnet_id": net.subnet});
    let balancer = id(&client.make("/load-balancer/v2/lbaas/loadbalancers", "loadbalancer", balancer).await);
    let status = async || {
        let server = client.get(&format!("/compute/v2.1/servers/{made}")).await.expect(200);
        let path = format!("/load-balancer/v2/lbaas/loadbalancers/{balancer}");
        let balancer = client.get(&path).await.expect(200);
        (server["server"]["status"].clone(), balancer["loadbalancer"]["provisioning_status"].clone())
    };
    while status().await != (json!("ACTIVE"), json!("ACTIVE")) {
        assert!(started.elapsed() < Duration::from_secs(10), "time stands still");
    }
    // Whoever goes on is answered: the body that came in two pieces, too.
    let mut late = TcpStream::connect(sandbox.address()).await.unwrap();
    let body = json!({"network": {"name": "late"}}).to_string();
    let head = format!(
        "POST /network/v2.0/networks HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{}",
        body.len(),
        &body[..5]
    );
    late.write_all(head.as_bytes()).await.unwrap();
    client.get("/network/v2.0/networks").await.expect(200);
    late.write_all(&body.as_bytes()[5..]).await.unwrap();
    assert!(answer_of(&mut late).await.starts_with("HTTP/1.1 201"));
    // An upload that stops in the middle doesn't stop the time, either.
    let image = client
        .post("/image/v2/images", &json!({"name": "i", "disk_format": "raw", "container_format": "bare"}))
        .await;
    let image = id(&image.expect(201));
    let mut upload = TcpStream::connect(sandbox.address()).await.unwrap();
    let head = format!(
        "PUT /image/v2/images/{image}/file HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\nhalf"
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    let volumes = format!("/volume/v3/{}/volumes", client.project);
    let volume = id(&client.make(&volumes, "volume", json!({"size": 1})).await);
    let started = Instant::now();
    while client.get(&format!("{volumes}/{volume}")).await.expect(200)["volume"]["status"] != "available" {
        assert!(started.elapsed() < Duration::from_secs(10), "time stands still");
    }
    drop(dawdlers);
    sandbox.shutdown().await;
}

/// Garbage of every kind on the wire: the connection ends, the sandbox goes on.
#[tokio::test]
async fn what_is_no_http_ends_the_connection_and_nothing_else() {
    let sandbox = start(Speed::Max).await;
    let garbage: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0\r\n\r\n",
        b"GET \xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /network/v2.0/networks HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    ];
    for bytes in garbage {
        let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // Cut or answered with 400: both are an end.
        let _ = stream.read_to_end(&mut answer).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 400"), "{text}");
    }
    let client = Client::demo(&sandbox).await;
    client.get("/network/v2.0/networks").await.expect(200);
    assert_eq!(sandbox.requests().unknown, []);
}
