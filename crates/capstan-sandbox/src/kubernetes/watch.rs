//! Watches: a stream of the changes of one resource.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::api::ApiServer;
use super::error::Status;
use super::form::Form;
use super::object::{Object, Read as _};
use super::registry::Resource;
use super::selectors::Selector;
use super::store::Event;

/// How often a watch with bookmarks is told the revision.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

/// What a watch is asked for.
pub(crate) struct Watch {
    pub(crate) server: Arc<ApiServer>,
    pub(crate) resource: Arc<Resource>,
    /// Empty: all namespaces.
    pub(crate) namespace: String,
    pub(crate) selector: Selector,
    pub(crate) form: Form,
    pub(crate) bookmarks: bool,
    /// `sendInitialEvents=true`: the state first, its end marked by a bookmark.
    pub(crate) initial_events: bool,
    /// Changes after this revision; none: the state first.
    pub(crate) since: Option<u64>,
    pub(crate) timeout: Duration,
}

struct Running {
    watch: Watch,
    /// Of the API server when the watch began.
    restarts: u32,
    revision: u64,
    ready: VecDeque<Bytes>,
    ends: Instant,
    ended: bool,
}

impl Watch {
    /// The body of the answer: one JSON object a line.
    pub(crate) fn stream(self) -> Body {
        let ends = Instant::now() + self.timeout;
        let mut running = Running {
            restarts: self.server.restarts(),
            revision: 0,
            ready: VecDeque::new(),
            ends,
            ended: false,
            watch: self,
        };
        running.start();
        let lines = futures::stream::unfold(running, |mut running| async move {
            let line = running.next().await?;
            Some((line, running))
        });
        Body::from_stream(lines)
    }
}

impl Running {
    fn start(&mut self) {
        if let Some(since) = self.watch.since.filter(|_| !self.watch.initial_events) {
            self.revision = since;
            let served = self.served_since();
            if since < served {
                self.refuse(&Status::expired(since, served));
            }
            return;
        }
        let watch = &self.watch;
        let (revision, objects) = watch.server.read(|state| {
            let all = state.list(&watch.resource.id, &watch.namespace);
            let selected = all.filter(|(_, object)| watch.selector.matches(object));
            (state.revision(), selected.map(|(_, object)| Arc::clone(object)).collect::<Vec<_>>())
        });
        self.revision = revision;
        for object in objects {
            self.push("ADDED", &object);
        }
        if self.watch.initial_events {
            self.bookmark(true);
        }
    }

    fn push(&mut self, kind: &str, object: &Arc<Object>) {
        let object = self.watch.form.one(&self.watch.server, &self.watch.resource, object);
        self.line(kind, &object);
    }

    fn line(&mut self, kind: &str, object: &Value) {
        // The type first, as the API server writes it, and without a copy of the object.
        let line = format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
        self.ready.push_back(line.into());
    }

    fn bookmark(&mut self, initial_events_end: bool) {
        let mut object = json!({"kind": self.watch.resource.kind, "apiVersion": self.watch.resource.api_version(),
            "metadata": {"resourceVersion": self.revision.to_string(), "creationTimestamp": null}});
        if initial_events_end {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = self.watch.form.bookmark(object);
        self.line("BOOKMARK", &object);
    }

    /// The next line; an error cuts the connection.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let server = Arc::clone(&self.watch.server);
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            if self.ended {
                return None;
            }
            // Before looking, so that what changes in between is not missed.
            let changed = server.changed();
            if server.restarts() != self.restarts {
                self.ended = true;
                return Some(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            self.collect();
            if !self.ready.is_empty() {
                continue;
            }
            let left = self.ends.saturating_duration_since(Instant::now());
            if timeout(left.min(BOOKMARK_INTERVAL), changed).await.is_err() {
                self.ended = Instant::now() >= self.ends;
                if self.watch.bookmarks {
                    self.bookmark(false);
                }
            }
        }
    }

    /// Takes over what has happened since the last time.
    fn collect(&mut self) {
        let watch = &self.watch;
        let found = watch.server.read(|state| -> Result<_, Status> {
            let events = state.since(self.revision)?;
            let mine: Vec<Event> = events.filter(|event| watch.concerns(event)).cloned().collect();
            Ok((state.revision(), mine))
        });
        match found {
            Ok((revision, events)) => {
                self.revision = self.revision.max(revision);
                for event in events {
                    if let Some(kind) = self.watch.kind_of(&event) {
                        self.push(kind, &event.object);
                    }
                }
            }
            Err(refusal) => self.refuse(&refusal),
        }
    }

    fn refuse(&mut self, refusal: &Status) {
        self.line("ERROR", &refusal.body());
        self.ended = true;
    }

    /// The revision from which on a custom resource has a history: that of its definition. 0 for what is built in.
    fn served_since(&self) -> u64 {
        self.watch.server.read(|state| {
            let definition = state.get(super::crd::ID, "", &self.watch.resource.id);
            definition.and_then(|crd| crd.text("metadata.resourceVersion").parse().ok()).unwrap_or(0)
        })
    }
}

impl Watch {
    fn concerns(&self, event: &Event) -> bool {
        event.resource == self.resource.id && (self.namespace.is_empty() || event.key.0 == self.namespace)
    }

    /// An object that a change moves into the selection is added to it, one that is moved out of it is deleted from it.
    fn kind_of(&self, event: &Event) -> Option<&'static str> {
        let before = event.old.as_ref().is_some_and(|old| self.selector.matches(old));
        let after = !event.deleted && self.selector.matches(&event.object);
        match (before, after) {
            (true, true) => Some("MODIFIED"),
            (false, true) => Some("ADDED"),
            (true, false) => Some("DELETED"),
            (false, false) => None,
        }
    }
}
