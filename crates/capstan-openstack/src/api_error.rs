//! The error bodies of the services, each of which has its own, as one type.

use http::StatusCode;
use serde_json::Value;

use crate::error::CallName;

/// An answer with a status of 400 or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The call.
    pub call: CallName,
    /// The HTTP status.
    pub status: u16,
    /// The service's own word for the error (`NetworkInUse`, `itemNotFound`), if it has one.
    pub code: Option<String>,
    /// What the service says, without markup.
    pub message: String,
    /// The id under which the operator of the cloud finds the request in the logs.
    pub request_id: Option<String>,
}

impl std::error::Error for ApiError {}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} answered {}", self.call, self.status)?;
        if let Some(code) = &self.code {
            write!(f, " `{code}`")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " ({id})")?;
        }
        Ok(())
    }
}

impl ApiError {
    /// Reads an answer. Bodies of any kind are understood, none is trusted to be what the status promises.
    pub(crate) fn read(
        call: CallName,
        status: StatusCode,
        content_type: &str,
        request_id: Option<String>,
        body: &[u8],
    ) -> Self {
        let parsed = serde_json::from_slice::<Value>(body).ok().and_then(|value| from_json(&value));
        let (code, message) = parsed.unwrap_or_else(|| (None, from_text(content_type, body)));
        let message = if message.is_empty() {
            status.canonical_reason().unwrap_or("no explanation").to_owned()
        } else {
            message
        };
        Self { call, status: status.as_u16(), code, message, request_id }
    }

    /// A quota is used up. Nova says so with 403, Neutron with 409, Cinder with 413, Octavia with 403.
    #[must_use]
    pub fn is_quota(&self) -> bool {
        let quota_code = matches!(self.code.as_deref(), Some("OverQuota"));
        let message = self.message.to_lowercase();
        quota_code || (matches!(self.status, 403 | 409 | 413) && message.contains("quota"))
    }

    /// Too many requests, or the service is not there for the moment.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.status, 429 | 502 | 503 | 504)
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        if self.is_quota() {
            return Some(
                "free what is not needed, or ask the provider of the cloud for a larger quota".into(),
            );
        }
        match self.status {
            401 => Some("check the credentials, and whether they have expired".into()),
            403 => Some("the user or application credential lacks a role for this".into()),
            429 => Some("the cloud limits the rate of requests: try again later".into()),
            502..=504 => Some("the service is overloaded or down: try again later".into()),
            500..=599 => {
                let id = self.request_id.as_deref()?;
                Some(format!("the provider of the cloud finds the cause in the logs under `{id}`"))
            }
            _ => None,
        }
    }
}

/// Code and message of a JSON body, whichever service wrote it.
fn from_json(body: &Value) -> Option<(Option<String>, String)> {
    let text = |value: &Value, key: &str| {
        value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(tidy)
    };
    // Octavia (WSME).
    if let Some(message) = text(body, "faultstring") {
        return Some((text(body, "faultcode"), message));
    }
    // Neutron; very old ones with a bare string.
    if let Some(error) = body.get("NeutronError") {
        let message = text(error, "message").or_else(|| error.as_str().map(tidy))?;
        return Some((text(error, "type"), message));
    }
    // The form of the API guidelines: microversions, Placement.
    if let Some(error) = body.get("errors").and_then(|errors| errors.get(0)) {
        let message = text(error, "detail").or_else(|| text(error, "title"))?;
        return Some((text(error, "code"), message));
    }
    // Keystone, keystonemiddleware; Glance's JSON; gateways.
    let flat = body.get("error").filter(|error| error.is_object()).unwrap_or(body);
    if let Some(message) = text(flat, "message").or_else(|| text(flat, "error")) {
        return Some((text(flat, "title"), message));
    }
    // Nova, Cinder: `{"itemNotFound": {"message": …, "code": 404}}`.
    let (code, error) = body.as_object()?.iter().find(|(_, value)| value.get("message").is_some())?;
    Some((Some(code.clone()), text(error, "message").unwrap_or_default()))
}

/// The longest text that is taken from a body that is not JSON, in characters.
const LONGEST_TEXT: usize = 300;

/// What an HTML page or a plain text says. Glance answers errors so, and so do proxies.
fn from_text(content_type: &str, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let is_html = content_type.contains("html") || text.trim_start().starts_with('<');
    let plain = if is_html { without_markup(&text) } else { text.into_owned() };
    tidy(&plain).chars().take(LONGEST_TEXT).collect()
}

/// The visible text of a page: its body if it has one, without tags, styles and scripts.
fn without_markup(html: &str) -> String {
    let lower = html.to_ascii_lowercase();
    let start = lower.find("<body").unwrap_or(0);
    let mut out = String::new();
    let mut rest = &html[start..];
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        let tag = rest[open..].to_ascii_lowercase();
        let end = ["style", "script"].iter().find_map(|skipped| {
            tag.starts_with(&format!("<{skipped}")).then(|| tag.find(&format!("</{skipped}"))).flatten()
        });
        rest = &rest[open + end.unwrap_or(0)..];
        let Some(close) = rest.find('>') else { return out };
        rest = &rest[close + 1..];
        out.push(' ');
    }
    out.push_str(rest);
    out.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#x27;", "'")
        .replace("&amp;", "&")
}

/// One line, single blanks.
fn tidy(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::ServiceType;

    fn read(status: u16, content_type: &str, body: &str) -> ApiError {
        let call =
            CallName { service: ServiceType::Network, method: Method::DELETE, path: "networks/1".into() };
        let status = StatusCode::from_u16(status).unwrap();
        ApiError::read(call, status, content_type, Some("req-1".into()), body.as_bytes())
    }

    fn code_and_message(body: &str) -> (Option<String>, String) {
        let error = read(400, "application/json", body);
        (error.code, error.message)
    }

    #[test]
    fn every_service_has_its_own_form() {
        let some = |code: &str, message: &str| (Some(code.to_owned()), message.to_owned());
        assert_eq!(
            code_and_message(
                r#"{"error": {"code": 401, "message": "The request\nneeds", "title": "Unauthorized"}}"#
            ),
            some("Unauthorized", "The request needs")
        );
        assert_eq!(
            code_and_message(
                r#"{"itemNotFound": {"code": 404, "message": "Instance x could not be found."}}"#
            ),
            some("itemNotFound", "Instance x could not be found.")
        );
        assert_eq!(
            code_and_message(
                r#"{"NeutronError": {"type": "NetworkInUse", "message": "in use", "detail": ""}}"#
            ),
            some("NetworkInUse", "in use")
        );
        assert_eq!(
            code_and_message(r#"{"faultcode": "Client", "faultstring": "is immutable", "debuginfo": null}"#),
            some("Client", "is immutable")
        );
        assert_eq!(
            code_and_message(
                r#"{"errors": [{"status": 406, "title": "Not Acceptable", "detail": "Version 2.99"}]}"#
            ),
            (None, "Version 2.99".to_owned())
        );
    }

    #[test]
    fn a_page_is_reduced_to_its_text() {
        let page = "<html>\n <head><title>409 Conflict</title><style>h1 {}</style></head>\n <body>\n  \
                    <h1>409 Conflict</h1>\n  Image &lt;a&gt; is in use.<br /><br />\n </body>\n</html>";
        assert_eq!(read(409, "text/html", page).message, "409 Conflict Image <a> is in use.");
        let page = "<script>if (a < b) {}</script>Bad gateway";
        assert_eq!(read(502, "text/html", page).message, "Bad gateway");
    }

    #[test]
    fn an_empty_body_gets_the_meaning_of_the_status() {
        let error = read(503, "", "");
        assert_eq!(
            error.to_string(),
            "`DELETE networks/1` of network (Neutron) answered 503: Service Unavailable (req-1)"
        );
    }

    #[test]
    fn quotas_are_recognised_whatever_the_status() {
        let neutron = r#"{"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for resources: ['router'].", "detail": ""}}"#;
        assert!(read(409, "", neutron).is_quota());
        let nova = r#"{"forbidden": {"code": 403, "message": "Quota exceeded for cores: Requested 4, but already used 18 of 20 cores"}}"#;
        assert!(read(403, "", nova).is_quota());
        let other = r#"{"forbidden": {"code": 403, "message": "Policy doesn't allow this"}}"#;
        assert!(!read(403, "", other).is_quota());
    }

    proptest! {
        #[test]
        fn no_body_is_too_strange(body in ".{0,200}", kind in "(text/html|application/json|)") {
            let error = read(500, &kind, &body);
            prop_assert!(!error.message.is_empty());
            prop_assert!(!error.message.contains('\n'));
        }
    }
}
