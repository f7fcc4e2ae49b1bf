//! An answer, before it is known whether it is a good one.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::api_error::ApiError;
use crate::error::{Error, Result};
use crate::request::Request;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl From<Response<Bytes>> for Answer {
    fn from(response: Response<Bytes>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The id under which the operator finds the request in the logs.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.header("x-openstack-request-id").or_else(|| self.header("x-compute-request-id"))
    }

    fn content_type(&self) -> &str {
        self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The service's error of an answer that is one.
    pub(crate) fn error(&self, request: &Request) -> ApiError {
        let id = self.request_id().map(str::to_owned);
        ApiError::read(request.name.clone(), self.status, self.content_type(), id, &self.body)
    }

    /// This answer if it is a success.
    pub(crate) fn successful(self, request: &Request) -> Result<Self> {
        if self.status.is_success() || self.status == StatusCode::MULTIPLE_CHOICES {
            Ok(self)
        } else if self.status.is_redirection() {
            let location = self.header(header::LOCATION.as_str()).unwrap_or("nowhere");
            Err(Error::Unexpected {
                call: request.name.clone(),
                what: format!("a redirection ({}) to `{location}`", self.status.as_u16()),
            })
        } else {
            Err(self.error(request).into())
        }
    }

    pub(crate) fn decode<T: DeserializeOwned>(&self, request: &Request) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|source| {
            if source.is_data() {
                return request.judge(Error::Decode { call: request.name.clone(), source });
            }
            let kind = if self.content_type().is_empty() { "nothing" } else { self.content_type() };
            request.unexpected(format!("status {} with `{kind}` instead of JSON", self.status.as_u16()))
        })
    }
}
