//! The one port: connections, counting, faults and what is common to all routes.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::World;
use crate::clock::wall_sleep;
use crate::faults::Effect;
use crate::openstack::ApiError;

/// Every route of the world.
pub(crate) fn routes(world: &World) -> Router {
    Router::new()
        .merge(crate::openstack::router(world))
        .merge(crate::kubernetes::router(world))
        .merge(crate::control::router())
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(axum::middleware::from_fn_with_state(world.clone(), observe))
        .with_state(world.clone())
}

/// Serves the routes until the task is aborted.
pub(crate) async fn serve(listener: TcpListener, routes: Router, stop: CancellationToken) {
    let listener = Connections { listener, stop };
    // `axum::serve` returns only on a graceful shutdown, which isn't asked for: a watch would hold it up for ever.
    let _ = axum::serve(listener, routes.into_make_service_with_connect_info::<Connection>()).await;
}

/// Marks the answer of an unknown route; a service whose routes end in a catch-all sets it, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnknownRoute;

/// The template under which a request is counted, set by routes that axum's own matching doesn't tell apart.
#[derive(Debug, Clone)]
pub(crate) struct RouteTemplate(pub(crate) String);

/// 501 that names the route.
pub(crate) async fn unknown(request: Request) -> Response {
    not_simulated(request.method(), request.uri().path())
}

/// 501 that names the route.
pub(crate) fn not_simulated(method: &Method, path: &str) -> Response {
    let text = format!("the sandbox does not simulate `{method} {path}`");
    let body = serde_json::json!({"error": {"code": 501, "title": "Not Implemented", "message": text}});
    let mut response = (StatusCode::NOT_IMPLEMENTED, axum::Json(body)).into_response();
    response.extensions_mut().insert(UnknownRoute);
    response
}

/// Counts a request, lets its faults strike, and keeps the time from jumping while it is handled.
async fn observe(
    State(world): State<World>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    matched: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let service = path.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    if service == "_sandbox" {
        return next.run(request).await;
    }
    let template = matched.as_ref().map_or(path.as_str(), MatchedPath::as_str).to_owned();
    let mut instead = None;
    let mut afterwards = Vec::new();
    for effect in world.faults().on_request(&service, method.as_str(), &template, &path) {
        match effect {
            Effect::Fail { status, body, retry_after } => {
                instead = Some(failure(&service, status, body, retry_after));
            }
            Effect::Html { status } => instead = Some(html(status)),
            Effect::Disconnect => {
                connection.close.cancel();
                instead = Some(StatusCode::SERVICE_UNAVAILABLE.into_response());
            }
            Effect::Delay { millis } => wall_sleep(Duration::from_millis(millis)).await,
            Effect::Refuse { refusal } => instead = Some(crate::kubernetes::refused(refusal, &path)),
            Effect::Slow { seconds } => world.clock().pass(Duration::from_secs(seconds)).await,
            later @ (Effect::LoseAnswer | Effect::FailAfter { .. } | Effect::CutAnswer | Effect::Hang) => {
                afterwards.push(later);
            }
        }
    }
    // What a client sends slowly, or never, holds up neither the time nor anybody else.
    let request = match whole(&service, request).await {
        Ok(request) => request,
        Err(refused) => {
            instead = Some(instead.unwrap_or(refused));
            Request::default()
        }
    };
    let mut response = match instead {
        Some(response) => response,
        None => {
            let _busy = world.clock().busy();
            let response = next.run(request).await;
            if method != Method::GET && method != Method::HEAD {
                world.clock().touch();
                crate::controllers::noticed(&world, &path);
            }
            response
        }
    };
    let known = response.extensions().get::<UnknownRoute>().is_none();
    let counted = response.extensions().get::<RouteTemplate>().map_or(template, |name| name.0.clone());
    let failed = !afterwards.is_empty() || response.status().as_u16() >= 400;
    world.journal().record(&service, &method, &counted, known, failed);
    if let Ok(id) = HeaderValue::from_str(&format!("req-{}", world.ids().uuid())) {
        response.headers_mut().insert("x-openstack-request-id", id);
    }
    for effect in afterwards {
        response = spoil(response, &effect, &service, &connection).await;
    }
    response
}

/// What a fault makes of the answer to a request that was done.
async fn spoil(response: Response, effect: &Effect, service: &str, connection: &Connection) -> Response {
    match effect {
        Effect::FailAfter { status } => failure(service, *status, None, None),
        Effect::CutAnswer => cut(response).await,
        Effect::Hang => std::future::pending().await,
        _ => {
            connection.close.cancel();
            response
        }
    }
}

/// The first half of an answer, behind which the connection ends; of an endless one nothing.
async fn cut(response: Response) -> Response {
    let (head, body) = response.into_parts();
    let whole = match body.size_hint().exact() {
        // The body is in memory: it neither fails nor is it too large.
        Some(_) => axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default(),
        None => Bytes::new(),
    };
    let half = whole.slice(..whole.len() / 2);
    let end = async {
        // The first half is sent before the connection ends.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    };
    let pieces = futures::stream::iter([Ok(half)]).chain(futures::stream::once(end));
    let mut response = Response::from_parts(head, Body::from_stream(pieces));
    if !whole.is_empty() {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    }
    response
}

/// Bytes of a body that a service takes: oslo's middleware in front of some has a limit, of others none was found.
fn largest_body(service: &str) -> usize {
    match service {
        "identity" | "compute" | "volume" => 114_688,
        _ => 16 << 20,
    }
}

/// A request with all of its body. The content of images is left to stream.
async fn whole(service: &str, request: Request) -> Result<Request, Response> {
    if service == "image" && request.method() == Method::PUT || request.body().is_end_stream() {
        return Ok(request);
    }
    let (head, body) = request.into_parts();
    let largest = largest_body(service);
    match axum::body::to_bytes(body, largest).await {
        Ok(bytes) => Ok(Request::from_parts(head, Body::from(bytes))),
        // A body that breaks off is nobody's: its connection is gone.
        Err(_) => {
            let text = format!("Request is too large. Larger than max_request_body_size ({largest}).");
            Err(crate::openstack::refusal("image", &ApiError::new(413, "RequestEntityTooLarge", text)))
        }
    }
}

/// The answer that a fault asks for, in the shape of the service's own errors where no body is given.
fn failure(service: &str, status: u16, body: Option<String>, retry_after: Option<u64>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let title = status.canonical_reason().unwrap_or("Error");
    let mut response = match body {
        Some(body) => {
            let kind = if body.starts_with('{') { "application/json" } else { "text/plain" };
            (status, [(header::CONTENT_TYPE, kind)], body).into_response()
        }
        None if service == "kubernetes" || service == "workload" => {
            let body = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                "status": "Failure", "message": title, "reason": title.replace(' ', ""), "code": status.as_u16()});
            (status, axum::Json(body)).into_response()
        }
        None => crate::openstack::refusal(service, &ApiError::new(status.as_u16(), title, title)),
    };
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// What a proxy in front of the service answers when the service doesn't.
fn html(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let page = format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n\
         <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    );
    (status, [(header::CONTENT_TYPE, "text/html")], Body::from(page)).into_response()
}

/// Accepts connections that can be cut from inside.
struct Connections {
    listener: TcpListener,
    stop: CancellationToken,
}

/// One connection, as a request sees it.
#[derive(Clone)]
pub(crate) struct Connection {
    close: CancellationToken,
}

impl Connection {
    /// A connection that ends when the token is cancelled.
    pub(crate) const fn new(close: CancellationToken) -> Self {
        Self { close }
    }
}

/// A stream that ends in an error once it was cut.
struct Cuttable {
    stream: TcpStream,
    close: CancellationToken,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Listener for Connections {
    type Io = Cuttable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Cuttable, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Small answers would wait for the client's acknowledgement otherwise; without it they are only slower.
        let _ = stream.set_nodelay(true);
        let close = self.stop.child_token();
        let cut = Box::pin(close.clone().cancelled_owned());
        (Cuttable { stream, close, cut }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Connections>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        Self { close: stream.io().close.clone() }
    }
}

impl Cuttable {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
