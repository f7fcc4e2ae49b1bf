//! The wire between a process and the sandbox: it delays each request by a time that the seed decides, writes down what
//! passes, and counts it, so that a process can be killed at any call.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use capstan_openstack::{NoAnswer, Transport};
use futures::StreamExt as _;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::client::{Body as KubeBody, DynBody};
use tokio::sync::Notify;
use tower::{BoxError, ServiceExt as _};

use crate::time::{SteppedTime, pause};

/// The longest time that a request is under way, in milliseconds, unless the world is slow.
const LONGEST: u64 = 120;

/// One request, as the wire saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it reached the sandbox, in simulated time since the world began.
    pub at: Duration,
    /// Which process made it.
    pub process: u32,
    /// Its number in that process, from 1.
    pub number: u32,
    /// `GET`, ...
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Status of the answer; absent where there was none.
    pub status: Option<u16>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, process, number, method, path, status } = self;
        let status = status.map_or_else(|| "---".to_owned(), |status| status.to_string());
        write!(f, "{:>10.3} p{process} #{number:<4} {status} {method} {path}", at.as_secs_f64())
    }
}

impl Call {
    /// Whether it was to change something.
    #[must_use]
    pub fn writes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
            && !self.path.ends_with("/auth/tokens")
            && !self.path.contains("/leases")
    }
}

/// What all wires of a world share.
#[derive(Default)]
struct Record {
    calls: Vec<Call>,
    /// What must not be shown to anybody.
    secrets: BTreeSet<String>,
    /// How often each request was made.
    seen: BTreeMap<u64, u64>,
}

/// The record of all that passed; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Trace(Arc<Mutex<Record>>);

impl Trace {
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().calls.len()
    }

    pub(crate) fn secrets(&self) -> BTreeSet<String> {
        self.lock().secrets.clone()
    }

    pub(crate) fn add_secret(&self, secret: &str) {
        self.lock().secrets.insert(secret.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wire of one process; cheap to clone.
#[derive(Clone)]
pub(crate) struct Wire {
    service: capstan_sandbox::Service,
    time: SteppedTime,
    seed: u64,
    process: u32,
    trace: Trace,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    calls: Mutex<u32>,
    /// At which call the process is killed, and whether the call has its effect.
    kill: Mutex<Option<(u32, Effect)>>,
    killed: Notify,
}

/// Whether the call at which a process is killed has its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The process dies before the request is sent.
    Nothing,
    /// It dies while the answer is on its way.
    Done,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("process", &self.process).finish_non_exhaustive()
    }
}

impl Wire {
    pub(crate) fn new(
        service: capstan_sandbox::Service,
        time: SteppedTime,
        seed: u64,
        process: u32,
        trace: Trace,
    ) -> Self {
        Self { service, time, seed, process, trace, state: Arc::default() }
    }

    /// Kills the process at its nth call from now on: see [`Self::killed`].
    pub(crate) fn kill_at(&self, nth: u32, effect: Effect) {
        let calls = *locked(&self.state.calls);
        *locked(&self.state.kill) = Some((calls + nth, effect));
    }

    /// Resolves when the process is to die.
    pub(crate) async fn killed(&self) {
        self.state.killed.notified().await;
    }

    /// So many calls were made.
    pub(crate) fn calls(&self) -> u32 {
        *locked(&self.state.calls)
    }

    /// The kube client's transport.
    pub(crate) fn kubernetes(&self) -> capstan_kube::connect::Transport {
        capstan_kube::connect::Transport::new(self.clone())
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let number = {
            let mut calls = locked(&self.state.calls);
            *calls += 1;
            *calls
        };
        let kill = locked(&self.state.kill).filter(|(nth, _)| *nth <= number).map(|(_, effect)| effect);
        let (method, path) = (request.method().to_string(), request.uri().path_and_query());
        let path = path.map_or_else(String::new, ToString::to_string);
        self.note_secrets(request.headers());
        pause(self.delay(&method, &path)).await;
        if kill == Some(Effect::Nothing) {
            self.state.killed.notify_one();
            return std::future::pending().await;
        }
        let at = self.time.elapsed();
        // A server goes on with a request although its client has gone.
        let outcome = tokio::spawn(self.service.clone().oneshot(request)).await?;
        let status = outcome.as_ref().ok().map(|response| response.status().as_u16());
        self.trace.lock().calls.push(Call { at, process: self.process, number, method, path, status });
        if kill.is_some() {
            self.state.killed.notify_one();
            return std::future::pending().await;
        }
        let response = outcome?;
        self.note_secrets(response.headers());
        Ok(response)
    }

    /// Tokens in either direction.
    fn note_secrets(&self, headers: &http::HeaderMap) {
        for name in ["x-subject-token", "x-auth-token", "authorization"] {
            if let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) {
                self.trace.add_secret(value.trim_start_matches("Bearer "));
            }
        }
    }

    /// How long a request is under way: decided by the seed and by what it is, not by what happened to come before it.
    fn delay(&self, method: &str, path: &str) -> Duration {
        let mut hasher = DefaultHasher::new();
        (self.seed, self.process, method, path).hash(&mut hasher);
        let mut record = self.trace.lock();
        let seen = record.seen.entry(hasher.finish()).or_default();
        *seen += 1;
        seen.hash(&mut hasher);
        Duration::from_millis(1 + hasher.finish() % LONGEST)
    }
}

#[async_trait]
impl Transport for Wire {
    async fn carry(&self, mut request: reqwest::Request, _: bool) -> Result<Response<Bytes>, NoAnswer> {
        let limit = request.timeout().copied();
        let lost = |cause: BoxError| NoAnswer::ConnectionLost(cause);
        let body = request.body_mut().take();
        let (body, broken) = whole(body);
        let mut sent = Request::new(body);
        *sent.method_mut() = request.method().clone();
        *sent.uri_mut() =
            request.url().as_str().parse().map_err(|error| NoAnswer::Unsendable(Box::new(error)))?;
        *sent.headers_mut() = std::mem::take(request.headers_mut());
        let answer = async {
            let (head, body) = self.send(sent).await.map_err(lost)?.into_parts();
            let body = body.collect().await.map_err(|error| lost(error.into()))?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        let answer = match limit {
            Some(limit) => tokio::time::timeout(limit, answer)
                .await
                .map_err(|late| NoAnswer::TimedOut(Box::new(late)))?,
            None => answer.await,
        };
        if *locked(&broken) {
            return Err(lost("the body of the request broke off".into()));
        }
        answer
    }
}

/// A request's body, and whether it has failed: over a connection there is no answer then.
fn whole(body: Option<reqwest::Body>) -> (Body, Arc<Mutex<bool>>) {
    let broken = Arc::new(Mutex::new(false));
    let Some(body) = body else { return (Body::empty(), broken) };
    if let Some(bytes) = body.as_bytes() {
        return (Body::from(Bytes::copy_from_slice(bytes)), broken);
    }
    let noted = Arc::clone(&broken);
    let pieces = body.into_data_stream().inspect(move |piece| *locked(&noted) |= piece.is_err());
    (Body::from_stream(pieces), broken)
}

impl tower::Service<Request<KubeBody>> for Wire {
    type Response = Response<Box<DynBody>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<KubeBody>) -> Self::Future {
        let wire = self.clone();
        Box::pin(async move {
            let response = wire.send(request.map(Body::new)).await?;
            Ok(response.map(|body| Box::new(body.map_err(BoxError::from)) as Box<DynBody>))
        })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
