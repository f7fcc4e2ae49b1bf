//! What the API server answers when it refuses: Kubernetes' `Status`, with the texts of `k8s.io/apimachinery/pkg/api/errors`.

use std::fmt::Write as _;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::registry::Resource;
use super::route::Place;

/// One field that is refused, as `k8s.io/apimachinery/pkg/util/validation/field` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired`, `FieldManagerConflict` ...
    pub(crate) reason: &'static str,
    /// Path of the field, `spec.replicas`.
    pub(crate) field: String,
    /// What is wrong, without the field.
    pub(crate) message: String,
}

impl Cause {
    /// A value that has the right type and is wrong. `value` is printed as JSON, texts in quotes.
    pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: impl AsRef<str>) -> Self {
        let message = format!("Invalid value: {value}: {}", detail.as_ref());
        Self { reason: "FieldValueInvalid", field: field.into(), message }
    }

    /// What isn't known is left out.
    fn body(&self) -> Value {
        let parts = [("reason", self.reason), ("message", &self.message), ("field", &self.field)];
        let known = parts.into_iter().filter(|(_, text)| !text.is_empty());
        Value::Object(known.map(|(name, text)| (name.to_owned(), text.into())).collect())
    }

    /// A field that must be there.
    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        let message =
            if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        Self { reason: "FieldValueRequired", field: field.into(), message }
    }

    /// A field that must not be set or changed.
    pub(crate) fn forbidden(field: impl Into<String>, detail: impl AsRef<str>) -> Self {
        Self {
            reason: "FieldValueForbidden",
            field: field.into(),
            message: format!("Forbidden: {}", detail.as_ref()),
        }
    }
}

/// A refusal of the API server.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Status {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) details: Option<Box<Details>>,
}

/// What a refusal is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details {
    pub(crate) group: String,
    /// The resource's plural, or its kind where it is about the content.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) causes: Vec<Cause>,
    pub(crate) retry_after: Option<u32>,
}

/// What a write with an old version is told.
const OUTDATED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// The text of a path that nobody serves.
const NO_SUCH_PAGE: &str = "404 page not found\n";

/// The result of an API call.
pub(crate) type Answer<T> = Result<T, Status>;

impl Status {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        self.details = Some(Box::new(Details {
            group: resource.group.clone(),
            kind: resource.plural.clone(),
            name: name.to_owned(),
            ..Details::default()
        }));
        self
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", resource.id)).about(resource, name)
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", resource.id))
            .about(resource, name)
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.id);
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// The answer to a write with an outdated `resourceVersion`.
    pub(crate) fn outdated(resource: &Resource, name: &str) -> Self {
        Self::conflict(resource, name, OUTDATED)
    }

    /// The same, of an object of which only the path is known.
    pub(crate) fn outdated_at(place: &Place) -> Self {
        let id = if place.group.is_empty() {
            place.plural.clone()
        } else {
            format!("{}.{}", place.plural, place.group)
        };
        let message = format!("Operation cannot be fulfilled on {id} \"{}\": {OUTDATED}", place.name);
        let details = Details {
            group: place.group.clone(),
            kind: place.plural.clone(),
            name: place.name.clone(),
            ..Details::default()
        };
        Self { details: Some(Box::new(details)), ..Self::new(409, "Conflict", message) }
    }

    pub(crate) fn forbidden(resource: &Resource, name: &str, why: impl AsRef<str>) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {}", resource.id, why.as_ref());
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    /// What no rule allows; without a plural it is about a path.
    pub(crate) fn not_allowed(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let id = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        let message = match (plural, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{id} is forbidden: {why}"),
            _ => format!("{id} \"{name}\" is forbidden: {why}"),
        };
        let [group, kind, name] = [group, plural, name].map(str::to_owned);
        let details = Details { group, kind, name, ..Details::default() };
        Self { details: Some(Box::new(details)), ..Self::new(403, "Forbidden", message) }
    }

    /// Fields that are refused.
    pub(crate) fn invalid(resource: &Resource, name: &str, causes: Vec<Cause>) -> Self {
        let mut message = format!("{} \"{name}\" is invalid: ", resource.qualified_kind());
        let texts: Vec<String> = causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let _ = match texts.as_slice() {
            [one] => write!(message, "{one}"),
            many => write!(message, "[{}]", many.join(", ")),
        };
        let details = Details {
            group: resource.group.clone(),
            kind: resource.kind.clone(),
            name: name.to_owned(),
            causes,
            retry_after: None,
        };
        Self { details: Some(Box::new(details)), ..Self::new(422, "Invalid", message) }
    }

    /// The refusal of a validating webhook.
    pub(crate) fn denied(webhook: &str, refusal: Self) -> Self {
        let message = format!("admission webhook \"{webhook}\" denied the request: {}", refusal.message);
        Self { message, ..refusal }
    }

    /// A webhook that has to be asked doesn't answer.
    pub(crate) fn unreachable_webhook(webhook: &str, url: &str) -> Self {
        Self::internal(format!(
            "failed calling webhook \"{webhook}\": failed to call webhook: Post \"{url}\": dial tcp 10.96.0.20:443: connect: connection refused"
        ))
    }

    /// Something inside went wrong.
    pub(crate) fn internal(why: String) -> Self {
        let cause = Cause { reason: "", field: String::new(), message: why.clone() };
        let details = Details { causes: vec![cause], ..Details::default() };
        let message = format!("Internal error occurred: {why}");
        Self { details: Some(Box::new(details)), ..Self::new(500, "InternalError", message) }
    }

    /// The store did not answer in time; such errors have no reason.
    pub(crate) fn store_timeout() -> Self {
        Self::without_reason("etcdserver: request timed out")
    }

    pub(crate) fn apply_conflict(causes: Vec<Cause>, message: String) -> Self {
        let details = Details { causes, ..Details::default() };
        Self { details: Some(Box::new(details)), ..Self::new(409, "Conflict", message) }
    }

    /// With details that tell nothing.
    fn plain(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { details: Some(Box::default()), ..Self::new(code, reason, message) }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::plain(400, "BadRequest", message)
    }

    /// Fields that a kind doesn't have, or has twice, where the client wants none such.
    pub(crate) fn strict_decoding(resource: &Resource, fields: &[String]) -> Self {
        let mut fields = fields.to_vec();
        fields.sort_unstable();
        Self::unreadable(resource, &format!("strict decoding error: {}", fields.join(", ")))
    }

    /// An object that cannot be read as its kind.
    pub(crate) fn unreadable(resource: &Resource, why: &str) -> Self {
        let (kind, version) = (&resource.kind, &resource.version);
        Self::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
    }

    /// A webhook cannot read the object.
    pub(crate) fn unreadable_for(webhook: &str, why: &str) -> Self {
        Self::plain(400, "", format!("admission webhook \"{webhook}\" denied the request: {why}"))
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::plain(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// The body is in none of these forms.
    pub(crate) fn unsupported_media(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        Self::plain(415, "UnsupportedMediaType", message)
    }

    /// The body is in a form that no request has.
    pub(crate) fn unknown_media() -> Self {
        Self::plain(415, "UnsupportedMediaType", "415: Unsupported Media Type")
    }

    /// A patch makes something of an object that is none of its kind.
    pub(crate) fn invalid_patch(object: &Value, why: &str) -> Self {
        let text = object.to_string();
        let cause = Cause::invalid("patch", &text.into(), why);
        let message = format!(" \"\" is invalid: patch: {}", cause.message);
        let details = Details { causes: vec![cause], ..Details::default() };
        Self { details: Some(Box::new(details)), ..Self::new(422, "Invalid", message) }
    }

    /// The answer is wanted in a form that there isn't.
    pub(crate) fn not_acceptable() -> Self {
        let message = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf\n";
        Self::plain(406, "NotAcceptable", message)
    }

    /// The parameters of a request: `CreateOptions`, `ListOptions`.
    pub(crate) fn invalid_options(options: &str, cause: Cause) -> Self {
        let message = format!("{options}.meta.k8s.io \"\" is invalid: {}: {}", cause.field, cause.message);
        let (group, kind) = ("meta.k8s.io".to_owned(), options.to_owned());
        let details = Details { group, kind, causes: vec![cause], ..Details::default() };
        Self { details: Some(Box::new(details)), ..Self::new(422, "Invalid", message) }
    }

    /// A version that nobody has reached.
    pub(crate) fn too_large_version(asked: u64, current: u64) -> Self {
        let cause = Cause {
            reason: "ResourceVersionTooLarge",
            field: String::new(),
            message: "Too large resource version".to_owned(),
        };
        let details = Details { causes: vec![cause], retry_after: Some(1), ..Details::default() };
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        Self { details: Some(Box::new(details)), ..Self::new(504, "Timeout", message) }
    }

    /// Something that the API server finds out too late to say whose mistake it is.
    pub(crate) fn without_reason(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// A patch that cannot be done.
    pub(crate) fn patch_failed() -> Self {
        Self::plain(422, "Invalid", "the server rejected our request due to an error in our request")
    }

    /// A watch or a list that goes on from a version that is no longer kept.
    pub(crate) fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        let details = Details { retry_after: Some(1), ..Details::default() };
        Self { details: Some(Box::new(details)), ..Self::new(503, "ServiceUnavailable", message) }
    }

    /// A resource that a real API server wouldn't know either.
    pub(crate) fn no_such_resource() -> Self {
        Self::plain(404, "NotFound", "the server could not find the requested resource")
    }

    /// A path that a real API server wouldn't know either: the answer is no `Status`.
    pub(crate) fn no_such_page() -> Self {
        Self::new(404, "", NO_SUCH_PAGE)
    }

    /// Something that a real API server does and the sandbox doesn't; it names itself.
    pub(crate) fn not_simulated(what: &str) -> Self {
        Self::new(501, "NotImplemented", format!("the sandbox does not simulate {what}"))
    }

    pub(crate) fn payload_too_large() -> Self {
        Self::new(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728")
    }

    /// The `Status` object.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                              "message": self.message, "code": self.code});
        if !self.reason.is_empty() {
            body["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            let mut object = serde_json::Map::new();
            for (key, value) in [("name", &details.name), ("group", &details.group), ("kind", &details.kind)]
            {
                if !value.is_empty() {
                    object.insert(key.to_owned(), value.as_str().into());
                }
            }
            if !details.causes.is_empty() {
                let causes: Vec<Value> = details.causes.iter().map(Cause::body).collect();
                object.insert("causes".to_owned(), causes.into());
            }
            if let Some(seconds) = details.retry_after {
                object.insert("retryAfterSeconds".to_owned(), seconds.into());
            }
            body["details"] = object.into();
        }
        body
    }
}

impl IntoResponse for Status {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if self.message == NO_SUCH_PAGE {
            return (code, self.message).into_response();
        }
        let mut response = (code, axum::Json(self.body())).into_response();
        if let Some(seconds) = self.details.as_ref().and_then(|d| d.retry_after) {
            response.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
