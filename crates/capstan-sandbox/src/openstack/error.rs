//! Refusals of the cloud: one type for all services, rendered in each service's own shape.

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::query::is_utf8;

/// A refusal, as the service would word it. In process it is a value; over HTTP each service renders it in its own shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// Neutron's exception name (`NetworkInUse`); of other services a short word for tests to match on.
    pub kind: String,
    /// The text that the service answers.
    pub message: String,
}

impl ApiError {
    /// A refusal with a status, a kind and a text.
    pub fn new(status: u16, kind: &str, message: impl Into<String>) -> Self {
        Self { status, kind: kind.to_owned(), message: message.into() }
    }

    /// 400.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401 as Keystone and its middleware word it.
    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "The request you have made requires authentication.")
    }

    /// 403.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "Forbidden", message)
    }

    /// 404.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "NotFound", message)
    }

    /// 409.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, "Conflict", message)
    }

    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// The error travels in the response's extensions to the layer of its service, which renders it (`Shape::render`).
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status_code().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// How a service words its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `{"error": {"code", "message", "title"}}`
    Keystone,
    /// `{"badRequest": {"code", "message"}}`: Nova and Cinder.
    Nova,
    /// `{"NeutronError": {"type", "message", "detail"}}`
    Neutron,
    /// An HTML page.
    Glance,
    /// `{"faultcode", "faultstring", "debuginfo"}`
    Octavia,
}

impl Shape {
    /// Of the service in the first segment of the path.
    pub(crate) fn of_service(service: &str) -> Self {
        match service {
            "compute" | "volume" => Self::Nova,
            "network" => Self::Neutron,
            "image" => Self::Glance,
            "load-balancer" => Self::Octavia,
            _ => Self::Keystone,
        }
    }

    /// Refuses URLs that are not UTF-8, and bodies that say they are something else than JSON, as the service does.
    pub(super) fn check_form(self, service: &str, request: &Request) -> Result<(), ApiError> {
        let malformed = "The server could not comply with the request since it is either malformed or otherwise incorrect.";
        if !is_utf8(request.uri().path()) {
            return Err(ApiError::new(400, "HTTPBadRequest", malformed));
        }
        if !request.uri().query().is_none_or(is_utf8) {
            let text = if service == "compute" { "Query string is not UTF-8 encoded" } else { malformed };
            return Err(ApiError::new(400, "HTTPBadRequest", text));
        }
        if request.body().size_hint().lower() == 0 {
            return Ok(());
        }
        let kind = request.headers().get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default());
        let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim());
        let json = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
        match service {
            _ if json => Ok(()),
            "identity" if kind.is_some() => Err(ApiError::bad_request(
                "Expecting to find application/json in Content-Type header. The server could not comply with the request \
                 since it is either malformed or otherwise incorrect. The client is assumed to be in error.",
            )),
            "compute" if !matches!(kind, None | Some("text/plain")) => {
                Err(Self::media_type("Unsupported Content-Type"))
            }
            "volume" => Err(Self::media_type("Unsupported Content-Type")),
            "load-balancer" => {
                Err(Self::media_type(&format!("Unknown mimetype: {}", kind.unwrap_or_default())))
            }
            _ => Ok(()),
        }
    }

    fn media_type(text: &str) -> ApiError {
        ApiError::new(415, "UnsupportedMediaType", text)
    }

    /// The body of an answer with this error.
    pub(crate) fn render(self, error: &ApiError) -> Response {
        let status = error.status_code();
        let title = status.canonical_reason().unwrap_or("Error");
        let keystone = || json!({"error": {"code": error.status, "message": error.message, "title": title}});
        // The middleware in front of every service answers in Keystone's shape, except Glance's.
        let body = match self {
            Self::Glance => return html(status, title, &error.message),
            _ if error.status == 401 => keystone(),
            Self::Keystone => keystone(),
            Self::Nova => nova(error),
            Self::Neutron => {
                json!({"NeutronError": {"type": error.kind, "message": error.message, "detail": ""}})
            }
            Self::Octavia => {
                let side = if error.status >= 500 { "Server" } else { "Client" };
                json!({"faultcode": side, "faultstring": error.message, "debuginfo": null})
            }
        };
        (status, axum::Json(body)).into_response()
    }
}

fn nova(error: &ApiError) -> Value {
    let word = match error.status {
        400 => "badRequest",
        403 => "forbidden",
        404 => "itemNotFound",
        405 => "badMethod",
        409 => "conflictingRequest",
        413 | 429 => "overLimit",
        415 => "badMediaType",
        _ => "computeFault",
    };
    json!({word: {"code": error.status, "message": error.message}})
}

/// A page as WebOb writes it.
fn html(status: StatusCode, title: &str, message: &str) -> Response {
    let text = message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let text = text.replace('\'', "&#x27;").replace('"', "&quot;");
    let code = status.as_u16();
    let page = format!(
        "<html>\n <head>\n  <title>{code} {title}</title>\n </head>\n <body>\n  <h1>{code} {title}</h1>\n  \
         {text}<br /><br />\n\n\n </body>\n</html>"
    );
    let kind = HeaderValue::from_static("text/html; charset=UTF-8");
    (status, [(header::CONTENT_TYPE, kind)], Body::from(page)).into_response()
}
