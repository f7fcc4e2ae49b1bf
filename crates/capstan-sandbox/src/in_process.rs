//! The sandbox's routes as a service within the process: no sockets, so that a run can be the same every time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::http::Connection;

/// Handles requests as those that come over HTTP are handled, each as on a connection of its own. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    routes: Router,
    stop: CancellationToken,
}

/// The connection was cut: because a fault wanted so, or because the sandbox was shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sandbox cut the connection")]
pub struct Cut;

impl Service {
    pub(crate) const fn new(routes: Router, stop: CancellationToken) -> Self {
        Self { routes, stop }
    }
}

impl tower::Service<Request> for Service {
    type Response = Response;
    type Error = Cut;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Cut>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let (routes, close) = (self.routes.clone(), self.stop.child_token());
        request.extensions_mut().insert(ConnectInfo(Connection::new(close.clone())));
        Box::pin(async move {
            let response = match routes.oneshot(request).await {
                Ok(response) if !close.is_cancelled() => response,
                _ => return Err(Cut),
            };
            Ok(response.map(|body| until_cut(body, close)))
        })
    }
}

/// A body that ends in an error once its connection is cut; one that is there already is not touched.
fn until_cut(body: Body, close: CancellationToken) -> Body {
    if body.size_hint().exact().is_some() {
        return body;
    }
    let data = body.into_data_stream().take_until(close.clone().cancelled_owned());
    let end = async move { close.is_cancelled().then(|| Err(axum::Error::new(Cut))) };
    Body::from_stream(data.chain(futures::stream::once(end).filter_map(std::future::ready)))
}
