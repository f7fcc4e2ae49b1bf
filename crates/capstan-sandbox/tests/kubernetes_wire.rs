//! Clients that behave badly on the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod kubernetes_support;

use std::time::{Duration, Instant};

use kubernetes_support::Plane;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A connection with a request that was sent by hand.
async fn raw(plane: &Plane, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(plane.sandbox.address()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

fn request(plane: &Plane, line: &str, headers: &str) -> String {
    let kubeconfig = plane.sandbox.kubeconfig();
    let token = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap();
    format!("{line} HTTP/1.1\r\nhost: sandbox\r\nauthorization: Bearer {token}\r\n{headers}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_nobody_reads_holds_nobody_up() {
    let plane = Plane::start().await;
    let watch = request(&plane, &format!("GET /kubernetes{MAPS}?watch=true"), "");
    let mut deaf = Vec::new();
    for _ in 0..20 {
        deaf.push(raw(&plane, &watch).await);
    }
    // Far more than the kernel keeps for a connection.
    let text = "x".repeat(500_000);
    let begin = Instant::now();
    for index in 0..40 {
        let map = json!({"metadata": {"name": format!("m{index}")}, "data": {"k": text}});
        assert_eq!(plane.post(MAPS, &map).await.0, 201);
    }
    assert_eq!(plane.get("/api/v1/namespaces").await.0, 200);
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    // Who reads in the end gets what happened, from the beginning.
    let mut first = vec![0; 2000];
    deaf[0].read_exact(&mut first).await.unwrap();
    let first = String::from_utf8_lossy(&first).into_owned();
    assert!(first.contains("200 OK") && first.contains("ADDED"), "{first}");
    plane.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_ends_and_a_request_that_never_begins_hold_nobody_up() {
    let plane = Plane::start().await;
    let line = format!("POST /kubernetes{MAPS}");
    let headers = "content-type: application/json\r\ncontent-length: 1000\r\n";
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(raw(&plane, &(request(&plane, &line, headers) + "{\"metadata\":")).await);
        open.push(raw(&plane, "GET /kub").await);
    }
    assert_eq!(plane.post(MAPS, &json!({"metadata": {"name": "a"}})).await.0, 201);
    assert_eq!(plane.items(MAPS).await.len(), 1);
    drop(open);
    assert_eq!(plane.get(MAPS).await.0, 200);
}
