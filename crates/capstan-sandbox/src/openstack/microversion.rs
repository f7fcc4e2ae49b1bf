//! Microversions of Nova and Cinder: what a request asks for, and the refusal of what is out of range.

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;

/// The minor number of the microversion that a request asks for: 90 of 2.90.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Microversion(pub(super) u32);

impl Microversion {
    pub(super) fn at_least(self, minor: u32) -> bool {
        self.0 >= minor
    }
}

impl<S: Sync> FromRequestParts<S> for Microversion {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or(Self(0)))
    }
}

/// The microversions of a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    /// As in the header: `compute`.
    pub(super) service: &'static str,
    /// 2 of 2.90.
    pub(super) major: u32,
    /// The oldest, which is what a request without a header gets.
    pub(super) first: u32,
    /// The newest.
    pub(super) last: u32,
    /// An older header that says the same.
    pub(super) old_header: Option<&'static str>,
}

impl Range {
    /// What the headers ask for: the modern one before the old one.
    fn asked(&self, headers: &HeaderMap) -> Result<(u32, u32), ApiError> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let of_service =
            |part: &str| part.trim().strip_prefix(self.service).map(|rest| rest.trim().to_owned());
        let modern = text("openstack-api-version").and_then(|value| value.split(',').find_map(of_service));
        let old = || self.old_header.and_then(text).map(str::to_owned);
        let Some(version) = modern.or_else(old) else { return Ok((self.major, self.first)) };
        if version == "latest" {
            return Ok((self.major, self.last));
        }
        let parsed = version
            .split_once('.')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        parsed.ok_or_else(|| {
            ApiError::bad_request(format!(
                "API Version String {version} is of invalid format. Must be of format MajorNum.MinorNum."
            ))
        })
    }

    /// Refuses what is out of range, tells the handler the rest, and names the version in the answer.
    pub(super) async fn negotiate(self, mut request: Request, next: Next) -> Response {
        let (major, minor) = match self.asked(request.headers()) {
            Ok(version) => version,
            Err(error) => return error.into_response(),
        };
        let supported = major == self.major && (self.first..=self.last).contains(&minor);
        let mut response = if supported {
            request.extensions_mut().insert(Microversion(minor));
            next.run(request).await
        } else {
            let text = format!(
                "Version {major}.{minor} is not supported by the API. Minimum is {0}.{1} and maximum is {0}.{2}.",
                self.major, self.first, self.last
            );
            ApiError::new(406, "NotAcceptable", text).into_response()
        };
        let headers = response.headers_mut();
        let mut set = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        set("openstack-api-version", format!("{} {major}.{minor}", self.service));
        if let Some(old) = self.old_header {
            set(old, format!("{major}.{minor}"));
            set("vary", "OpenStack-API-Version, X-OpenStack-Nova-API-Version".to_owned());
        } else {
            set("vary", "OpenStack-API-Version".to_owned());
        }
        response
    }
}
