//! A cloud that answers what a test tells it to, also nothing at all, and a time that does not pass by itself.
//!
//! It speaks HTTP/1.1 itself: frameworks do not let one close a connection in the middle of an answer, or behind the
//! client's back.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use capstan_openstack::{Cloud, CloudConfig, Options, RetryPolicy, Time};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the mock does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Answers.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// Acts on the request, then closes the connection without a byte.
    Drop,
    /// Sends half an answer, then closes the connection.
    Half,
    /// Never answers.
    Hang,
}

impl Reply {
    pub fn json(status: u16, body: Value) -> Self {
        Self::Answer {
            status,
            headers: vec![("Content-Type", "application/json".into())],
            body: body.to_string(),
        }
    }

    pub fn html(status: u16, body: &str) -> Self {
        Self::Answer { status, headers: vec![("Content-Type", "text/html".into())], body: body.into() }
    }

    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: vec![], body: String::new() }
    }

    pub fn header(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Answer { status, mut headers, body } => {
                headers.push((name, value.into()));
                Self::Answer { status, headers, body }
            }
            other => other,
        }
    }
}

/// A request as the mock saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// With the query.
    pub path: String,
    pub token: Option<String>,
    pub content_length: Option<u64>,
    pub version: Option<String>,
    pub body: Vec<u8>,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    replies: HashMap<String, VecDeque<Reply>>,
    always: HashMap<String, Reply>,
    logins: u32,
    /// Tokens that are answered 401.
    revoked: Vec<String>,
    expires_at: String,
    close_silently: bool,
    in_flight: u32,
    most_in_flight: u32,
    /// The real time that an answer takes.
    delay: Duration,
}

/// The mock. All services are at one address.
#[derive(Clone)]
pub struct Mock {
    state: Arc<Mutex<State>>,
    pub address: String,
}

impl Mock {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Speaks TLS.
    pub async fn start_tls(tls: TlsAcceptor) -> Self {
        Self::start_with(Some(tls)).await
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let address = format!("{scheme}://{}", listener.local_addr().unwrap());
        let state = State { expires_at: "2030-01-01T00:00:00Z".into(), ..State::default() };
        let mock = Self { state: Arc::new(Mutex::new(state)), address };
        let server = mock.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, tls) = (server.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => server.serve(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                server.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        mock.always("GET /compute/v2.1/", version("2.1", "2.93"));
        mock
    }

    /// Answers a route (`GET /network/v2.0/networks`, without a query) so once; several wait their turn.
    pub fn once(&self, route: &str, reply: Reply) -> &Self {
        self.state.lock().unwrap().replies.entry(route.into()).or_default().push_back(reply);
        self
    }

    /// Answers a route so whenever nothing is left of `once`.
    pub fn always(&self, route: &str, reply: Reply) -> &Self {
        self.state.lock().unwrap().always.insert(route.into(), reply);
        self
    }

    /// From now on the token that was given last is answered 401.
    pub fn revoke(&self) {
        let mut state = self.state.lock().unwrap();
        let token = format!("token-{}", state.logins);
        state.revoked.push(token);
    }

    pub fn tokens_end_at(&self, time: &str) {
        self.state.lock().unwrap().expires_at = time.into();
    }

    /// Connections are closed after each answer without saying so, as some servers do.
    pub fn close_silently(&self) {
        self.state.lock().unwrap().close_silently = true;
    }

    pub fn take(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    pub fn logins(&self) -> u32 {
        self.state.lock().unwrap().logins
    }

    pub fn most_in_flight(&self) -> u32 {
        self.state.lock().unwrap().most_in_flight
    }

    /// The requests of a route.
    pub fn seen(&self, route: &str) -> Vec<Seen> {
        let state = self.state.lock().unwrap();
        let of_route = |seen: &&Seen| format!("{} {}", seen.method, without_query(&seen.path)) == route;
        state.seen.iter().filter(of_route).cloned().collect()
    }

    pub fn config(&self) -> CloudConfig {
        let yaml = format!(
            "clouds: {{mock: {{auth: {{auth_url: '{}/identity', username: demo, password: s3cret, project_name: demo}}}}}}",
            self.address
        );
        CloudConfig::from_yaml(&yaml, "mock").unwrap()
    }

    /// A client whose time is `time`.
    pub async fn connect(&self, time: &Arc<ManualTime>) -> Cloud {
        Cloud::connect(&self.config(), options(time)).await.unwrap()
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut stream = BufReader::new(stream);
        while let Some(seen) = read_request(&mut stream).await {
            let (reply, delay, close) = {
                let mut state = self.state.lock().unwrap();
                state.in_flight += 1;
                state.most_in_flight = state.most_in_flight.max(state.in_flight);
                let reply = state.reply(&seen, &self.address);
                state.seen.push(seen);
                (reply, state.delay, state.close_silently)
            };
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            self.state.lock().unwrap().in_flight -= 1;
            match reply {
                Reply::Answer { status, headers, body } => {
                    let mut answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
                    for (name, value) in headers {
                        answer += &format!("{name}: {value}\r\n");
                    }
                    let _ = stream.write_all(format!("{answer}\r\n{body}").as_bytes()).await;
                    let _ = stream.flush().await;
                }
                Reply::Drop => return,
                Reply::Half => {
                    let half = "HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n{\"networks\": [";
                    let _ = stream.write_all(half.as_bytes()).await;
                    return;
                }
                Reply::Hang => std::future::pending().await,
            }
            if close {
                return;
            }
        }
    }
}

impl State {
    fn reply(&mut self, seen: &Seen, address: &str) -> Reply {
        let route = format!("{} {}", seen.method, without_query(&seen.path));
        if route == "POST /identity/v3/auth/tokens" {
            let scripted = self.replies.get_mut(&route).and_then(VecDeque::pop_front);
            return scripted
                .or_else(|| self.always.get(&route).cloned())
                .unwrap_or_else(|| self.log_in(address));
        }
        if seen.token.as_ref().is_none_or(|token| self.revoked.contains(token)) {
            return Reply::json(
                401,
                json!({"error": {"code": 401, "message": "No.", "title": "Unauthorized"}}),
            );
        }
        let scripted = self.replies.get_mut(&route).and_then(VecDeque::pop_front);
        scripted.or_else(|| self.always.get(&route).cloned()).unwrap_or_else(|| {
            Reply::json(404, json!({"itemNotFound": {"code": 404, "message": format!("nothing at {route}")}}))
        })
    }

    fn log_in(&mut self, address: &str) -> Reply {
        self.logins += 1;
        let service = |kind: &str, path: &str| {
            json!({"type": kind, "endpoints": [
                {"interface": "public", "region": "one", "region_id": "one", "url": format!("{address}{path}")},
            ]})
        };
        let body = json!({"token": {
            "expires_at": self.expires_at,
            "user": {"id": "user-id", "name": "demo"},
            "project": {"id": "project-id", "name": "demo"},
            "roles": [{"id": "1", "name": "member"}],
            "catalog": [
                service("compute", "/compute/v2.1"), service("network", "/network"), service("image", "/image"),
                service("volumev3", "/volume/v3/project-id"),
            ],
        }});
        Reply::json(201, body).header("X-Subject-Token", format!("token-{}", self.logins))
    }
}

pub fn version(lowest: &str, highest: &str) -> Reply {
    Reply::json(200, json!({"version": {"id": "v2.1", "version": highest, "min_version": lowest}}))
}

fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap()
}

async fn read_request(stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
        if !head[0].is_ascii_alphabetic() {
            // Somebody speaks TLS to a server that does not.
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok()?;
            return None;
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut first = head.lines().next()?.split(' ');
    let header = |wanted: &str| {
        head.lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned()))
    };
    let content_length = header("content-length").and_then(|length| length.parse().ok());
    let mut body = Vec::new();
    let mut limited = stream.take(content_length.unwrap_or(0));
    limited.read_to_end(&mut body).await.ok()?;
    if (body.len() as u64) < content_length.unwrap_or(0) {
        return None;
    }
    Some(Seen {
        method: first.next()?.into(),
        path: first.next()?.into(),
        token: header("x-auth-token"),
        content_length,
        version: header("openstack-api-version"),
        body,
    })
}

/// Settings for tests: `time`, and patience of five attempts.
pub fn options(time: &Arc<ManualTime>) -> Options {
    Options {
        time: Arc::clone(time) as Arc<dyn Time>,
        retry: RetryPolicy { attempts: 5, ..RetryPolicy::default() },
        ..Options::default()
    }
}

/// Stands still but for the sleeps of those that it is given to, which take no time.
#[derive(Debug)]
pub struct ManualTime {
    now: Mutex<Timestamp>,
    slept: Mutex<Vec<Duration>>,
}

impl ManualTime {
    pub fn new() -> Arc<Self> {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        Arc::new(Self { now: Mutex::new(now), slept: Mutex::default() })
    }

    /// All sleeps so far.
    pub fn slept(&self) -> Vec<Duration> {
        self.slept.lock().unwrap().clone()
    }

    pub fn advance(&self, duration: Duration) {
        let mut now = self.now.lock().unwrap();
        *now += duration;
    }
}

#[async_trait]
impl Time for ManualTime {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        self.slept.lock().unwrap().push(duration);
        self.advance(duration);
        tokio::task::yield_now().await;
    }
}
