//! Getting a request to the service and its answer back, over a network and to a cloud that both have bad days.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};

use crate::answer::Answer;
use crate::cloud::Cloud;
use crate::error::{Error, Result};
use crate::request::{Body, Request};
use crate::retry::retry_after;
use crate::transport::NoAnswer;

/// The header that carries the token.
pub(crate) const X_AUTH_TOKEN: &str = "x-auth-token";

const JSON: &str = "application/json";

/// A time limit that passed twice will pass a third time.
const MOST_TIME_OUTS: u32 = 2;

/// Why an attempt brought no usable answer, and what that means for the next one.
struct Failure {
    error: Error,
    /// The service has certainly not acted on the request.
    harmless: bool,
    kind: Kind,
    retry_after: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No connection was made.
    NotConnected,
    /// The connection ended before an answer.
    ConnectionLost,
    TimedOut,
    /// The service, or a proxy before it, is overloaded or away.
    Unavailable,
    /// It makes no sense to try again.
    Hopeless,
}

impl Cloud {
    /// Sends the request, again where that is harmless and of use. Answers with an error status other than those of
    /// overload are answers.
    pub(crate) async fn deliver(&self, request: &Request, token: Option<&SecretString>) -> Result<Answer> {
        let mut failures = 0;
        loop {
            let failure = match self.attempt(request, token).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            failures += 1;
            if !failure.harmless && !request.repeatable {
                return Err(request.judge(failure.error));
            }
            let Some(pause) = self.pause(&failure, failures) else { return Err(failure.error) };
            tracing::debug!(
                call = %request.name, failures, pause_ms = pause.as_millis(), error = %failure.error, "trying again"
            );
            if !pause.is_zero() {
                self.0.options.time.sleep(pause).await;
            }
        }
    }

    /// How long to wait before the next attempt, if there is to be one.
    fn pause(&self, failure: &Failure, failures: u32) -> Option<Duration> {
        let pause =
            self.0.options.retry.pause(failures, failure.retry_after, self.0.options.random.fraction())?;
        match failure.kind {
            Kind::Hopeless => None,
            // An address that has never answered is wrong, as a rule: nobody should wait for that.
            Kind::NotConnected if !self.0.reached.load(Ordering::Relaxed) => None,
            Kind::TimedOut if failures >= MOST_TIME_OUTS => None,
            // An idle connection was closed from the other side, as a rule: the next one is new.
            Kind::ConnectionLost if failures == 1 => Some(Duration::ZERO),
            _ => Some(pause),
        }
    }

    async fn attempt(&self, request: &Request, token: Option<&SecretString>) -> Result<Answer, Failure> {
        let options = &self.0.options;
        let prepared = prepare(request, token);
        let _permit = options.limiter.admit(options.time.as_ref()).await;
        if request.is_login {
            self.0.calls.count_login();
        } else {
            self.0.calls.count(request.name.service, &request.name.method);
        }
        let started = options.time.now();
        let answer = self.0.transport.carry(prepared, !request.repeatable).await;
        let answer = answer.map(Answer::from).map_err(|why| failure_of(request, why))?;
        self.0.reached.store(true, Ordering::Relaxed);
        tracing::debug!(
            call = %request.name,
            status = answer.status.as_u16(),
            request_id = answer.request_id(),
            elapsed_ms = options.time.now().duration_since(started).as_millis(),
            "answered"
        );
        self.unless_overloaded(request, answer)
    }

    fn unless_overloaded(&self, request: &Request, answer: Answer) -> Result<Answer, Failure> {
        let options = &self.0.options;
        // 413 with `Retry-After` is how old services spell 429; but Cinder says so, too, when a quota is used up.
        let too_many = answer.status == StatusCode::TOO_MANY_REQUESTS
            || (answer.status == StatusCode::PAYLOAD_TOO_LARGE
                && answer.headers.contains_key(header::RETRY_AFTER)
                && !answer.error(request).is_quota());
        if !too_many && !matches!(answer.status.as_u16(), 502..=504) {
            return Ok(answer);
        }
        let retry_after = retry_after(&answer.headers, options.time.now());
        if too_many && let Some(wanted) = retry_after.filter(|w| *w <= options.retry.longest_retry_after) {
            options.limiter.quiet_for(options.time.now(), wanted);
        }
        // A request that was refused for the rate was not looked at. Behind 502 to 504 anything may have happened.
        Err(Failure {
            error: answer.error(request).into(),
            harmless: too_many,
            kind: Kind::Unavailable,
            retry_after,
        })
    }
}

fn prepare(request: &Request, token: Option<&SecretString>) -> reqwest::Request {
    let mut prepared = reqwest::Request::new(request.name.method.clone(), request.url.clone());
    *prepared.timeout_mut() = Some(request.limit);
    let headers = prepared.headers_mut();
    headers.insert(header::ACCEPT, HeaderValue::from_static(JSON));
    for (name, value) in &request.headers {
        headers.append(name, value.clone());
    }
    if let Some(value) = token.and_then(token_header) {
        headers.insert(X_AUTH_TOKEN, value);
    }
    let (media_type, body) = match &request.body {
        Body::Empty => return prepared,
        Body::Json(body) => (JSON, body),
        Body::JsonAs(media_type, body) => (*media_type, body),
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    *prepared.body_mut() = Some(body.to_string().into());
    prepared
}

/// The token as a header that does not show in logs.
pub(crate) fn token_header(token: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(token.expose_secret()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn failure_of(request: &Request, why: NoAnswer) -> Failure {
    let kind = match &why {
        NoAnswer::Unsendable(_) => Kind::Hopeless,
        NoAnswer::NotConnected(_) => Kind::NotConnected,
        NoAnswer::ConnectionLost(_) => Kind::ConnectionLost,
        NoAnswer::TimedOut(_) => Kind::TimedOut,
    };
    let error = match kind {
        Kind::TimedOut => Error::TimedOut { call: request.name.clone(), limit: request.limit },
        _ => unreachable(request, why),
    };
    Failure { error, harmless: matches!(kind, Kind::NotConnected | Kind::Hopeless), kind, retry_after: None }
}

pub(crate) fn unreachable(request: &Request, why: NoAnswer) -> Error {
    let port = request.url.port_or_known_default().unwrap_or_default();
    Error::Unreachable {
        call: request.name.clone(),
        host: format!("{}:{port}", request.url.host_str().unwrap_or_default()),
        source: Arc::new(why),
    }
}
