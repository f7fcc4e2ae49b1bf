//! Frames of a watch, and the lists before it: whatever a server sends, the mirror neither panics nor stops, and after
//! the next good list it holds what that says.
#![no_main]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use capstan_fuzz::{first_line, parts};
use capstan_kube::mirror::{Mirror, Options};
use capstan_kube::{Client, Kind};
use http::{Request, Response};
use http_body_util::Full;
use kube::client::Body;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// The version of the last list: no other is as late.
const LAST: u64 = u64::MAX;

fuzz_target!(|input: &[u8]| {
    // No server gives an object a version that the list of it has not reached.
    if input.windows(18).any(|digits| LAST.to_string().as_bytes().starts_with(digits)) {
        return;
    }
    let answers: Vec<Vec<u8>> = parts(input, 8).into_iter().map(<[u8]>::to_vec).collect();
    capstan_fuzz::run(follow(answers));
});

/// Answers the mirror's requests with the parts of the input, one after another, and with the truth after the last.
async fn follow(answers: Vec<Vec<u8>>) {
    let (asked, truth_told) = (AtomicUsize::new(0), AtomicBool::new(false));
    let settled = Arc::new(Notify::new());
    let taken_in = Arc::clone(&settled);
    let answer = move |request: Request<Body>| {
        let watch = request.uri().query().unwrap_or_default().contains("watch=true");
        if let Some(answer) = answers.get(asked.fetch_add(1, Ordering::Relaxed)) {
            return from_input(answer);
        }
        if watch && truth_told.load(Ordering::Relaxed) {
            // Who watches from there has taken the list in.
            taken_in.notify_one();
        }
        if watch {
            // Whatever version it has reached is too old: it lists.
            return respond(410, &expired());
        }
        truth_told.store(true, Ordering::Relaxed);
        respond(200, &truth())
    };
    let answer = Arc::new(answer);
    let service = tower::service_fn(move |request| {
        let answer = Arc::clone(&answer);
        async move { Ok::<_, std::io::Error>(answer(request)) }
    });
    let mirror = Mirror::start(&Client::new(service, "default"), [Kind::SECRET], &Options::default());
    // Every wait is jumped over: an hour is more than the longest pauses add up to.
    let settled = tokio::time::timeout(Duration::from_secs(3600), settled.notified()).await;
    assert!(settled.is_ok(), "the mirror has stopped listing: {:?}", mirror.states());
    let held: Vec<(String, Value)> = mirror
        .list(&Kind::SECRET, None)
        .iter()
        .map(|object| (object.metadata.name.clone().unwrap_or_default(), object.data["data"].clone()))
        .collect();
    let wanted = [("a".to_owned(), json!({"x": "MQ=="})), ("b".to_owned(), json!({}))];
    assert_eq!(held, wanted, "the mirror holds something else than the last list");
}

/// `STATUS` in the first line, the body below.
fn from_input(part: &[u8]) -> Response<Full<Bytes>> {
    let (head, body) = first_line(part);
    let status = head.trim().parse().ok().filter(|status| (200..600).contains(status)).unwrap_or(200);
    raw(status, body.to_vec())
}

fn respond(status: u16, body: &Value) -> Response<Full<Bytes>> {
    raw(status, body.to_string().into_bytes())
}

fn raw(status: u16, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    response
}

fn expired() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version"})
}

fn truth() -> Value {
    let secret = |name: &str, data: Value| json!({"metadata": {"name": name, "namespace": "n", "resourceVersion": (LAST - 1).to_string()}, "data": data});
    json!({"kind": "SecretList", "apiVersion": "v1", "metadata": {"resourceVersion": LAST.to_string()},
        "items": [secret("a", json!({"x": "MQ=="})), secret("b", json!({}))]})
}
