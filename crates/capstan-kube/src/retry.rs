//! Trying again when the API server is busy: kube's own policy, but for chance, which has no place in a run that is to
//! be the same every time.

use std::future::Future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::Pin;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Request, Response, StatusCode};
use kube::client::Body;
use tower::BoxError;
use tower::retry::Policy;

/// How often a call is sent again at most; its time limit comes first, as a rule.
const MOST: u32 = 15;

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// Sends again what was answered 429, 503 or 504, after the pause that the server asks for, or one that grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct WhileBusy {
    failures: u32,
}

impl WhileBusy {
    /// The pause before the next attempt: up to three times as long for some calls as for others, so that those that
    /// failed together don't come back together.
    fn pause<B>(&self, request: &Request<Body>, answer: &Response<B>) -> Duration {
        let mut hasher = DefaultHasher::new();
        (request.method().as_str(), request.uri().path(), self.failures).hash(&mut hasher);
        let spread = u32::try_from(hasher.finish() % 512).unwrap_or_default();
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(MOST));
        let pause = pause + pause * spread / 256;
        let wanted = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        wanted.map_or(pause, |seconds| pause.max(Duration::from_secs(seconds)))
    }
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for WhileBusy {
    type Future = Pin<Box<dyn Future<Output = ()> + Send>>;

    #[expect(clippy::disallowed_methods, reason = "within a call and its time limit, as kube's own policy")]
    fn retry(
        &mut self,
        request: &mut Request<Body>,
        outcome: &mut Result<Response<B>, BoxError>,
    ) -> Option<Self::Future> {
        let answer = outcome.as_ref().ok()?;
        let is_busy = matches!(
            answer.status(),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        );
        if !is_busy || self.failures >= MOST {
            return None;
        }
        let pause = self.pause(request, answer);
        self.failures += 1;
        Some(Box::pin(tokio::time::sleep(pause)))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        copy(request)
    }
}

/// The same request once more; `None` where its body is a stream.
pub(crate) fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    let body = request.body().try_clone()?;
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(failures: u32, path: &str, retry_after: Option<&str>) -> Duration {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let mut answer = Response::builder();
        if let Some(value) = retry_after {
            answer = answer.header(RETRY_AFTER, value);
        }
        WhileBusy { failures }.pause(&request, &answer.body(()).unwrap())
    }

    #[test]
    fn pauses_grow_and_are_not_the_same_for_all() {
        for failures in 0..10 {
            let least = FIRST_PAUSE * 2_u32.pow(failures);
            let pauses: Vec<_> = (0..20).map(|n| pause(failures, &format!("/api/{n}"), None)).collect();
            assert!(pauses.iter().all(|pause| *pause >= least && *pause < least * 3), "{pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
    }

    #[test]
    fn the_server_is_not_asked_earlier_than_it_wants() {
        assert_eq!(pause(0, "/api", Some("7")), Duration::from_secs(7));
        assert!(pause(0, "/api", Some("soon")) < Duration::from_secs(1));
    }
}
