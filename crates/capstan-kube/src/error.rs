//! Why a call to the Kubernetes API failed, decoded from its `Status` and from the layers below.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use kube::core::Status;

use crate::Kind;
use crate::connect::Unreached;

mod refusal;

pub use refusal::{Conflict, Owner, Refused, RefusedCause};

/// The object that a call was about; printed as ``Kind namespace/name``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, where it has one.
    pub namespace: Option<String>,
    /// Its name; empty for a call about all objects of the kind.
    pub name: String,
}

impl Target {
    /// The object `name` of a kind in a namespace.
    #[must_use]
    pub fn new(kind: &Kind, namespace: Option<&str>, name: &str) -> Self {
        Self { kind: kind.clone(), namespace: namespace.map(str::to_owned), name: name.to_owned() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.namespace, self.name.as_str()) {
            (_, "") => write!(f, "{}", self.kind),
            (Some(namespace), name) => write!(f, "{} {namespace}/{name}", self.kind),
            (None, name) => write!(f, "{} {name}", self.kind),
        }
    }
}

/// The innermost error of a chain. kube's errors repeat their sources, so only the last one is kept.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Cause(pub(crate) String);

/// Why a call to the Kubernetes API failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Other field managers own fields that an apply would set to other values.
    #[error(transparent)]
    Conflict(Box<Conflict>),
    /// Validation or an admission webhook said no.
    #[error(transparent)]
    Refused(Box<Refused>),
    /// The object isn't the one that the caller had seen: another resource version, or another uid.
    #[error("`{target}` was changed by somebody else in the meantime")]
    Changed {
        /// The object.
        target: Box<Target>,
    },
    /// A create met an object of that name.
    #[error("`{target}` exists already")]
    Exists {
        /// The object.
        target: Box<Target>,
    },
    /// The object isn't there.
    #[error("there is no `{what}`")]
    NotFound {
        /// The object, or the namespace that it should have been in.
        what: String,
    },
    /// The API server doesn't serve the kind: its CRD isn't installed, or not in this version.
    #[error("the API server knows no `{}` in `{}`", kind.kind, kind.api_version())]
    NoKind {
        /// The kind.
        kind: Kind,
    },
    /// The namespace is being deleted.
    #[error("`{target}` can't be written: its namespace is being deleted")]
    Terminating {
        /// The object.
        target: Box<Target>,
    },
    /// The credential isn't (or no longer) accepted.
    #[error("the credential isn't accepted: {message}")]
    Unauthorized {
        /// The server's words.
        message: String,
    },
    /// The credential's rights don't suffice.
    #[error("not allowed: {message}")]
    Forbidden {
        /// The server's words, which name user, verb and resource.
        message: String,
    },
    /// The resource version is too old to go on from.
    #[error("the resource version has expired")]
    Expired,
    /// An admission or conversion webhook couldn't be called: its controller isn't up.
    #[error("a webhook of the management plane doesn't answer: {message}")]
    WebhookDown {
        /// The server's words, which name the webhook.
        message: String,
    },
    /// The server asked to come back later (429, 503, 504).
    #[error("the API server is busy ({code}): {message}")]
    Busy {
        /// HTTP status.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// Nothing answers there.
    #[error("the API server `{server}` can't be reached")]
    Unreachable {
        /// URL of the server, where it is known.
        server: String,
        /// The network's error.
        source: Cause,
    },
    /// The server answers, but not with the TLS that the kubeconfig expects.
    #[error("no trusted TLS connection to the API server `{server}`")]
    Tls {
        /// URL of the server, where it is known.
        server: String,
        /// What doesn't fit.
        source: Cause,
    },
    /// No answer within the limit of a call.
    #[error("the API server `{server}` didn't answer within {} s", limit.as_secs())]
    TimedOut {
        /// URL of the server, where it is known.
        server: String,
        /// How long the call waited.
        limit: Duration,
    },
    /// The answer isn't what the API is documented to give.
    #[error("the API server's answer makes no sense")]
    Malformed {
        /// What didn't fit.
        source: Cause,
    },
    /// An object without what a call needs: apiVersion, kind or name.
    #[error("the object can't be sent: {why}")]
    Unsendable {
        /// What is missing.
        why: String,
    },
    /// Any other answer.
    #[error("the API server answered {code} {reason}: {message}")]
    Other {
        /// HTTP status.
        code: u16,
        /// The machine-readable reason.
        reason: String,
        /// The server's words.
        message: String,
    },
}

impl Error {
    /// Decodes an error of kube; `target` is what the call was about.
    #[must_use]
    pub fn decode(error: kube::Error, target: &Target) -> Self {
        match error {
            kube::Error::Api(status) => Self::from_status(&status, target),
            other => Self::from_below(&other),
        }
    }

    /// Decodes the `Status` of a failed call.
    #[must_use]
    pub fn from_status(status: &Status, target: &Target) -> Self {
        let message = status.message.clone();
        let has_cause = |reason: &str| {
            status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == reason)
        };
        match (status.code, status.reason.as_str()) {
            (401, _) => Self::Unauthorized { message },
            (403, _) if has_cause("NamespaceTerminating") => {
                Self::Terminating { target: Box::new(target.clone()) }
            }
            // RBAC's refusals name the user; any other 403 comes from admission.
            (403, _) if message.contains("User \"") => Self::Forbidden { message },
            (404, _) => Self::from_not_found(status, target),
            (409, "AlreadyExists") => Self::Exists { target: Box::new(target.clone()) },
            (409, _) if has_cause("FieldManagerConflict") => {
                Self::Conflict(Box::new(Conflict::from_status(status, target)))
            }
            (409, _) => Self::Changed { target: Box::new(target.clone()) },
            (410, _) => Self::Expired,
            (400 | 403 | 413 | 422, _) => Self::Refused(Box::new(Refused::from_status(status, target))),
            // A field that the schema lacks: no reason, and the code of a fault of the server's own.
            (500, "") if message.starts_with("failed to create typed patch object") => {
                Self::Refused(Box::new(Refused::from_typed_patch(&message, target)))
            }
            (500, _)
                if message.contains("failed calling webhook") || message.contains("conversion webhook") =>
            {
                Self::WebhookDown { message }
            }
            (code @ (429 | 503 | 504), _) => Self::Busy { code, message },
            (code, reason) => Self::Other { code, reason: reason.to_owned(), message },
        }
    }

    fn from_not_found(status: &Status, target: &Target) -> Self {
        match &status.details {
            // For a missing namespace the details name that one, not the object.
            Some(details) if !details.name.is_empty() && details.name != target.name => {
                Self::NotFound { what: format!("{} {}", details.kind.trim_end_matches('s'), details.name) }
            }
            Some(details) if !details.name.is_empty() => Self::NotFound { what: target.to_string() },
            _ => Self::NoKind { kind: target.kind.clone() },
        }
    }

    /// Decodes an error that isn't an answer of the API: connection, TLS, time, malformed.
    fn from_below(error: &(dyn StdError + 'static)) -> Self {
        let chain = chain(error);
        let reached = chain.iter().find_map(|error| error.downcast_ref::<Unreached>());
        let server = reached.map_or_else(String::new, |reached| reached.server.clone());
        let last = Cause(chain.last().map_or_else(String::new, ToString::to_string));
        let words = chain.iter().map(ToString::to_string).collect::<Vec<_>>().join(" / ");
        if chain.iter().any(|error| error.is::<kube::client::AuthError>()) {
            // The kubeconfig's token file or command didn't give a credential.
            return Self::Unauthorized { message: last.0 };
        }
        if chain.iter().any(|error| error.is::<tower::timeout::error::Elapsed>()) {
            let limit = reached.map_or(Duration::ZERO, |reached| reached.limit);
            return Self::TimedOut { server, limit };
        }
        if ["certificate", "tls", "TLS", "handshake", "corrupt message"]
            .iter()
            .any(|word| words.contains(word))
        {
            return Self::Tls { server, source: last };
        }
        if chain
            .iter()
            .any(|error| error.is::<serde_json::Error>() || error.is::<std::string::FromUtf8Error>())
        {
            return Self::Malformed { source: last };
        }
        Self::Unreachable { server, source: last }
    }

    /// The variant's name, for metrics and tests.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::Refused(_) => "refused",
            Self::Changed { .. } => "changed",
            Self::Exists { .. } => "exists",
            Self::NotFound { .. } => "not-found",
            Self::NoKind { .. } => "no-kind",
            Self::Terminating { .. } => "terminating",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::Expired => "expired",
            Self::WebhookDown { .. } => "webhook-down",
            Self::Busy { .. } => "busy",
            Self::Unreachable { .. } => "unreachable",
            Self::Tls { .. } => "tls",
            Self::TimedOut { .. } => "timed-out",
            Self::Malformed { .. } => "malformed",
            Self::Unsendable { .. } => "unsendable",
            Self::Other { .. } => "other",
        }
    }

    /// Whether the same call may succeed later without anybody doing something.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Busy { .. }
                | Self::Unreachable { .. }
                | Self::TimedOut { .. }
                | Self::WebhookDown { .. }
                | Self::Changed { .. }
                | Self::Terminating { .. }
                | Self::Expired
                | Self::Malformed { .. }
        ) || matches!(self, Self::Other { code, .. } if *code >= 500)
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Conflict(conflict) => {
                format!("let {} give the fields up, or force the apply to take them over", conflict.managers())
            }
            Self::NoKind { kind } if kind.group == "capstan.dev" => {
                "`capstan up` installs Capstan's custom resources".into()
            }
            Self::NoKind { kind } if kind.group.is_empty() => {
                "every Kubernetes knows this kind: check that the kubeconfig's server is one".into()
            }
            Self::NoKind { kind } => {
                format!("install what brings `{}` into the management plane", kind.group)
            }
            Self::Unauthorized { .. } => {
                "the kubeconfig's token or certificate has expired or is of another cluster: get a new one".into()
            }
            Self::Forbidden { .. } => "bind a role with this right to the user of the kubeconfig".into(),
            Self::WebhookDown { .. } => "see whether the provider's controller runs and its certificate is issued".into(),
            Self::Unreachable { .. } | Self::TimedOut { .. } => {
                "check that the server runs and that a firewall, VPN or proxy lets you through".into()
            }
            Self::Tls { .. } => {
                "the kubeconfig's certificate-authority and server name have to be those of this server; a proxy in between changes them".into()
            }
            _ => return None,
        })
    }
}

/// The error and everything below it, outermost first.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    // Bounded: a source that points at itself would go round for ever.
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (**error).source())
        .take(16)
        .collect()
}

#[cfg(test)]
mod tests;
