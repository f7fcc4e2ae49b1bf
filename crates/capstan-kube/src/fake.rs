//! A Kubernetes API in memory for the tests of this crate: one kind of path, no schemas, faults at will.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By path of the object.
    objects: BTreeMap<String, Value>,
    version: u64,
    /// Every change so far: version, path, event.
    history: Vec<(u64, String, Value)>,
    watchers: Vec<(String, mpsc::UnboundedSender<Value>)>,
    requests: Vec<String>,
    /// Answers to give instead, first to last; `None` breaks the connection.
    faults: Vec<Option<Value>>,
    /// Versions below this one have been compacted.
    compacted: u64,
    /// After how many more requests one has its effect, but its answer is lost.
    lose_after: Option<usize>,
}

impl Fake {
    pub(crate) fn client(&self) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                fake.answer(&parts.method, &parts.uri, &body)
            }
        });
        Client::new(service, "default")
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.0.lock().unwrap().requests.clone()
    }

    pub(crate) fn fail_next(&self, status: Value) {
        self.0.lock().unwrap().faults.push(Some(status));
    }

    pub(crate) fn break_next(&self, times: usize) {
        self.0.lock().unwrap().faults.extend(std::iter::repeat_n(None, times));
    }

    /// Lets `count` more requests be answered; the next one has its effect, but no answer.
    pub(crate) fn lose_answer_after(&self, count: usize) {
        self.0.lock().unwrap().lose_after = Some(count);
    }

    /// Ends all watches, as a server does that goes down.
    pub(crate) fn hang_up(&self) {
        self.0.lock().unwrap().watchers.clear();
    }

    /// Forgets the history, so that a watch from an old version gets 410.
    pub(crate) fn compact(&self) {
        let mut state = self.0.lock().unwrap();
        state.compacted = state.version + 1;
        state.version += 1;
    }

    /// Stores an object at its path (`/api/v1/namespaces/n/secrets/a`) and returns it.
    pub(crate) fn store(&self, path: &str, object: Value) -> Value {
        self.0.lock().unwrap().store(path, object)
    }

    pub(crate) fn remove(&self, path: &str) {
        let mut state = self.0.lock().unwrap();
        if let Some(mut object) = state.objects.remove(path) {
            state.version += 1;
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            state.tell(path, json!({"type": "DELETED", "object": object}));
        }
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    fn answer(&self, method: &Method, uri: &http::Uri, body: &[u8]) -> Result<Answer, std::io::Error> {
        let mut state = self.0.lock().unwrap();
        let query = uri.query().unwrap_or_default();
        let watch = query.contains("watch=true");
        state.requests.push(format!("{} {}", if watch { "WATCH" } else { method.as_str() }, uri.path()));
        if !state.faults.is_empty() {
            return match state.faults.remove(0) {
                Some(status) => Ok(whole(&status)),
                None => Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)),
            };
        }
        let lost = state.lose_after == Some(0);
        state.lose_after = state.lose_after.and_then(|left| left.checked_sub(1));
        let answer =
            if watch { state.watch(uri.path(), query) } else { state.call(method, uri.path(), body) };
        if lost { Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)) } else { Ok(answer) }
    }
}

impl State {
    fn call(&mut self, method: &Method, path: &str, body: &[u8]) -> Answer {
        let held = self.objects.get(path).cloned();
        match *method {
            Method::GET => match held {
                Some(object) => whole(&object),
                None if is_collection(path) => whole(&self.list(path)),
                None => whole(&not_found(path)),
            },
            Method::POST => {
                let object: Value = serde_json::from_slice(body).unwrap();
                let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
                if self.objects.contains_key(&path) {
                    return whole(&status(409, "AlreadyExists"));
                }
                whole(&self.store(&path, object))
            }
            Method::PUT => {
                let object: Value = serde_json::from_slice(body).unwrap();
                match held {
                    None => whole(&not_found(path)),
                    Some(held)
                        if held["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] =>
                    {
                        whole(&status(409, "Conflict"))
                    }
                    Some(_) => whole(&self.store(path, object)),
                }
            }
            Method::DELETE => {
                let wanted: Value = serde_json::from_slice(body).unwrap();
                let version = &wanted["preconditions"]["resourceVersion"];
                match held {
                    None => whole(&not_found(path)),
                    Some(held) if !version.is_null() && held["metadata"]["resourceVersion"] != *version => {
                        whole(&status(409, "Conflict"))
                    }
                    Some(held) => {
                        self.objects.remove(path);
                        whole(&held)
                    }
                }
            }
            _ => whole(&status(405, "MethodNotAllowed")),
        }
    }

    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let kind = if self.objects.contains_key(path) { "MODIFIED" } else { "ADDED" };
        self.objects.insert(path.to_owned(), object.clone());
        self.tell(path, json!({"type": kind, "object": object}));
        object
    }

    fn tell(&mut self, path: &str, event: Value) {
        self.watchers.retain(|(collection, watcher)| {
            !within(path, collection) || watcher.unbounded_send(event.clone()).is_ok()
        });
        self.history.push((self.version, path.to_owned(), event));
    }

    fn list(&self, collection: &str) -> Value {
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(path, _)| within(path, collection))
            .map(|(_, object)| object)
            .collect();
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": self.version.to_string()}, "items": items})
    }

    fn watch(&mut self, collection: &str, query: &str) -> Answer {
        let from = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion=")).unwrap_or("0");
        let from: u64 = from.parse().unwrap();
        let (sender, receiver) = mpsc::unbounded();
        if from < self.compacted {
            sender.unbounded_send(json!({"type": "ERROR", "object": status(410, "Expired")})).unwrap();
        } else {
            for (version, path, event) in &self.history {
                if *version > from && within(path, collection) {
                    sender.unbounded_send(event.clone()).unwrap();
                }
            }
            self.watchers.push((collection.to_owned(), sender));
        }
        let lines = receiver.map(|event| Ok(http_body::Frame::data(Bytes::from(format!("{event}\n")))));
        Response::new(StreamBody::new(lines).boxed_unsync())
    }
}

/// `/…/namespaces/n/secrets/a` is within `/…/secrets` and within `/…/namespaces/n/secrets`.
fn within(path: &str, collection: &str) -> bool {
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    if parent == collection {
        return true;
    }
    let Some((prefix, rest)) = parent.split_once("/namespaces/") else { return false };
    rest.split_once('/').is_some_and(|(_, plural)| format!("{prefix}/{plural}") == collection)
}

fn is_collection(path: &str) -> bool {
    path.ends_with("secrets") || path.ends_with("clusters")
}

pub(crate) fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason})
}

fn not_found(path: &str) -> Value {
    let mut status = status(404, "NotFound");
    status["details"] = json!({"name": path.rsplit('/').next(), "kind": "things"});
    status
}

fn whole(value: &Value) -> Answer {
    let code = value["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(200);
    let body = Full::new(Bytes::from(value.to_string())).boxed_unsync();
    Response::builder().status(code).body(body).unwrap()
}
