//! Telling an API server that refuses from one that has only just started.
//!
//! While it fills its caches, an API server knows no role and no binding: it answers 403 to everybody for some seconds
//! (seen on v1.36, after its process was killed). Its `/readyz` says so. A refusal counts when the server is ready and
//! says it once more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use kube::client::Body;
use tower::{BoxError, Layer, Service, ServiceExt as _};

use crate::retry::copy;

/// Between two looks at a server that is starting.
const PAUSE: Duration = Duration::from_millis(500);

/// How often is looked; the time limit of the call comes first, as a rule. Where `/readyz` may not be asked at all, a
/// refusal takes so long.
const LOOKS: u32 = 20;

/// Asks again what a starting API server has refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WhileStarting;

impl<S> Layer<S> for WhileStarting {
    type Service = Asking<S>;

    fn layer(&self, inner: S) -> Asking<S> {
        Asking { inner }
    }
}

/// The service of [`WhileStarting`].
#[derive(Clone, Debug)]
pub(crate) struct Asking<S> {
    inner: S,
}

impl<S, B> Service<Request<Body>> for Asking<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    B: Send,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let again = copy(&request);
        // The one that is ready is used; its clone has to become so.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let answer = inner.call(request).await?;
            match again {
                Some(again) if answer.status() == StatusCode::FORBIDDEN => {
                    wait_until_ready(&mut inner).await?;
                    inner.ready().await?.call(again).await
                }
                _ => Ok(answer),
            }
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "within a call and its time limit, as the repetition on 429")]
async fn wait_until_ready<S, B>(inner: &mut S) -> Result<(), BoxError>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
{
    for _ in 0..LOOKS {
        let look = Request::get("/readyz").body(Body::empty())?;
        if inner.ready().await?.call(look).await?.status().is_success() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Answers with these statuses, one after another, and tells what was asked.
    async fn ask(statuses: &[u16]) -> (u16, Vec<String>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (statuses, told) = (statuses.to_vec(), Arc::clone(&asked));
        let server = tower::service_fn(move |request: Request<Body>| {
            let mut told = told.lock().unwrap();
            let status = statuses.get(told.len()).copied().unwrap_or(403);
            told.push(request.uri().path().to_owned());
            let answer = Response::builder().status(status).body(());
            std::future::ready(answer.map_err(BoxError::from))
        });
        let request = Request::get("/api/v1/secrets").body(Body::empty()).unwrap();
        let answer = WhileStarting.layer(server).oneshot(request).await.unwrap();
        let asked = asked.lock().unwrap().clone();
        (answer.status().as_u16(), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn a_starting_server_is_waited_for() {
        let (status, asked) = ask(&[403, 403, 500, 200, 201]).await;
        assert_eq!(status, 201);
        assert_eq!(asked, ["/api/v1/secrets", "/readyz", "/readyz", "/readyz", "/api/v1/secrets"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_of_a_ready_server_counts() {
        let (status, asked) = ask(&[403, 200, 403]).await;
        assert_eq!((status, asked.len()), (403, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_refuses_everything_is_not_waited_for_for_ever() {
        let began = tokio::time::Instant::now();
        assert_eq!(ask(&[]).await.0, 403);
        assert!(began.elapsed() < Duration::from_secs(15));
    }

    #[tokio::test(start_paused = true)]
    async fn other_answers_pass() {
        for status in [200, 401, 404, 409, 500] {
            assert_eq!(ask(&[status]).await, (status, vec!["/api/v1/secrets".to_owned()]));
        }
    }
}
