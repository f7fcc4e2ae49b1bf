//! Refusals of the cloud: one type for all services, rendered in each service's own shape.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

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
                json!({"faultcode": "Client", "faultstring": error.message, "debuginfo": null})
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
        _ => "computeFault",
    };
    json!({word: {"code": error.status, "message": error.message}})
}

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
