//! What can go wrong with a call, and what each service says about it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use crate::api_error::ApiError;
use crate::catalog::{Interface, ServiceType};
use crate::config::ConfigError;
use crate::microversion::Microversion;
use crate::transport::NoAnswer;

/// `std::result::Result` with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Names a call in messages: method, service and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallName {
    /// The service called.
    pub service: ServiceType,
    /// The method.
    pub method: Method,
    /// The path below the service's endpoint, without a query.
    pub path: String,
}

impl fmt::Display for CallName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} {}` of {}", self.method, self.path, self.service)
    }
}

/// Why a call, or the login before it, did not succeed. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration of the cloud cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A certificate or key file cannot be used.
    #[error("cannot use `{}` for TLS", file.display())]
    Tls {
        /// The file.
        file: std::path::PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The HTTP client could not be made.
    #[error("cannot set up the HTTP client")]
    Setup(#[source] reqwest::Error),
    /// The service answered with an error.
    #[error(transparent)]
    Api(Box<ApiError>),
    /// Nobody answers: nothing was sent, or the connection was lost in a call that changes nothing.
    #[error("{call} got no answer from `{host}`")]
    Unreachable {
        /// The call.
        call: CallName,
        /// Host and port.
        host: String,
        /// Why.
        #[source]
        source: Arc<NoAnswer>,
    },
    /// The time limit of the call passed.
    #[error("{call} was not answered within {} s", limit.as_secs())]
    TimedOut {
        /// The call.
        call: CallName,
        /// The limit.
        limit: Duration,
    },
    /// An upload made no progress for too long.
    #[error("{call} stalled: nothing was taken for {} s after {sent} bytes", idle.as_secs())]
    Stalled {
        /// The call.
        call: CallName,
        /// The limit.
        idle: Duration,
        /// Bytes taken before.
        sent: u64,
    },
    /// The source of an upload failed or had another length than announced.
    #[error("the data for {call} cannot be read")]
    Source {
        /// The call.
        call: CallName,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The call may or may not have taken effect: it changes something, was sent, and its answer is lost. It is not
    /// repeated: look first.
    #[error("it is not known whether {call} took effect")]
    Uncertain {
        /// The call.
        call: CallName,
        /// What happened to the answer.
        #[source]
        source: Box<Self>,
    },
    /// The answer is not what the API promises.
    #[error("{call} was answered with something unexpected: {what}")]
    Unexpected {
        /// The call.
        call: CallName,
        /// What came instead.
        what: String,
    },
    /// The answer is JSON of another shape than the API promises.
    #[error("the answer to {call} has an unexpected shape")]
    Decode {
        /// The call.
        call: CallName,
        /// Where it differs.
        #[source]
        source: serde_json::Error,
    },
    /// A list that leads back to a page that was seen before.
    #[error("the pages of {call} lead in a circle")]
    PagesInCircle {
        /// The call.
        call: CallName,
    },
    /// Logging in failed, now or in a call that did it for several at once.
    #[error("cannot log in to cloud `{cloud}`")]
    Login {
        /// The cloud.
        cloud: String,
        /// Why.
        #[source]
        source: Arc<Self>,
    },
    /// The catalog lacks a service, or lacks it in the region.
    #[error(
        "the cloud has no service of type {service} with {} {} endpoint{}; it has {}",
        article(*interface), interface.as_str(),
        region.as_ref().map(|region| format!(" in region `{region}`")).unwrap_or_default(), quoted(known)
    )]
    NoService {
        /// The service.
        service: ServiceType,
        /// The region asked for.
        region: Option<String>,
        /// The interface asked for.
        interface: Interface,
        /// The types that the catalog has.
        known: Vec<String>,
        /// The regions in which the service exists.
        regions: Vec<String>,
    },
    /// The service exists in several regions and the configuration names none.
    #[error("{service} exists in several regions and none is configured: {}", quoted(regions))]
    ManyRegions {
        /// The service.
        service: ServiceType,
        /// Its regions.
        regions: Vec<String>,
    },
    /// An endpoint of the catalog is not an address.
    #[error("the catalog's address of {service} is not a URL: `{url}`")]
    BadEndpoint {
        /// The service.
        service: ServiceType,
        /// What the catalog says.
        url: String,
    },
    /// The cloud is too old, or too new.
    #[error("{service} offers the microversions {lowest} to {highest}, but {needed} is needed")]
    Microversion {
        /// The service.
        service: ServiceType,
        /// What is needed.
        needed: Microversion,
        /// The lowest on offer.
        lowest: Microversion,
        /// The highest on offer.
        highest: Microversion,
    },
    /// Nothing has this name or id.
    #[error("there is no {kind} `{name}`{}", near.as_ref().map(|n| format!(" (did you mean `{n}`?)")).unwrap_or_default())]
    NoSuch {
        /// The kind of resource.
        kind: &'static str,
        /// The name or id asked for.
        name: String,
        /// The name that looks most like it.
        near: Option<String>,
    },
    /// Several resources have this name.
    #[error("{} {kind}s are called `{name}`: {}", ids.len(), quoted(ids))]
    Ambiguous {
        /// The kind of resource.
        kind: &'static str,
        /// The name.
        name: String,
        /// The ids of those that have it.
        ids: Vec<String>,
    },
}

impl Error {
    /// The service's own error, also where a login failed with it or an answer is uncertain because of it.
    #[must_use]
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            Self::Login { source, .. } => source.api(),
            Self::Uncertain { source, .. } => source.api(),
            _ => None,
        }
    }

    /// The resource does not exist (404), or nothing has the name.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NoSuch { .. }) || matches!(self, Self::Api(error) if error.status == 404)
    }

    /// The resource is in use, or in a state that does not allow the call (409). A quota's 409 is not one.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(error) if error.status == 409 && !error.is_quota())
    }

    /// A quota is used up.
    #[must_use]
    pub fn is_quota(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_quota())
    }

    /// The credentials are not accepted, at login or afterwards. That is 401; but Keystone answers 404 to a login with
    /// an application credential that was removed (seen in Zed).
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        self.api().is_some_and(|error| error.status == 401) || self.is_login_with_unknown()
    }

    fn is_login_with_unknown(&self) -> bool {
        let Self::Login { source, .. } = self else { return false };
        source.api().is_some_and(|error| error.status == 404 && error.message.starts_with("Could not find"))
    }

    /// The credentials are accepted, but do not allow the call (403). A quota's 403 is not one.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Api(error) if error.status == 403 && !error.is_quota())
    }

    /// The answer to a call that changes something is lost.
    #[must_use]
    pub const fn is_uncertain(&self) -> bool {
        matches!(self, Self::Uncertain { .. })
    }

    /// It may go better later without anybody doing anything: overload, a lost connection, a time limit.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Stalled { .. } => true,
            Self::Api(error) => error.is_transient(),
            // A source that broke off may last the next time; one whose data is wrong won't be right.
            Self::Source { source, .. } => source.kind() == std::io::ErrorKind::ConnectionAborted,
            Self::Login { source, .. } => source.is_transient(),
            Self::Uncertain { source, .. } => source.is_transient(),
            _ => false,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Api(error) => error.hint(),
            Self::Setup(_) => Some(
                "install the system's certificates (the package `ca-certificates`) or name a file with SSL_CERT_FILE, and check the proxy's address".into(),
            ),
            Self::Login { .. } if self.is_login_with_unknown() => {
                Some("the application credential was removed, or belongs to another cloud".into())
            }
            Self::Login { source, .. } => match source.api().map(|error| error.status) {
                Some(401) => Some(
                    "check user, password or application credential, and whether it has expired or was deleted".into(),
                ),
                Some(404) => Some("check `auth_url`: it should lead to the identity service".into()),
                _ => source.hint(),
            },
            Self::Unreachable { source, .. } => Some(unreachable_hint(&**source)),
            Self::Uncertain { .. } => Some("look whether it exists before it is tried again".into()),
            Self::NoService { regions, region: Some(region), .. } if !regions.is_empty() => {
                Some(format!("the service exists in {}; check `region_name` (`{region}`)", quoted(regions)))
            }
            Self::NoService { .. } => Some("the provider of the cloud has to offer it".into()),
            Self::ManyRegions { .. } => Some("set `region_name` in `clouds.yaml` or `OS_REGION_NAME`".into()),
            Self::Microversion { .. } => Some("the cloud has to be upgraded".into()),
            Self::Ambiguous { .. } => Some("use the id".into()),
            Self::Unexpected { .. } => Some("check the endpoint: is there a proxy or a login page before it?".into()),
            _ => None,
        }
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::Api(Box::new(error))
    }
}

fn unreachable_hint(error: &(dyn std::error::Error + 'static)) -> String {
    let mut chain = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        chain.push_str(&error.to_string().to_lowercase());
        next = error.source();
    }
    if chain.contains("certificate") || chain.contains("unknownissuer") {
        "the certificate is not trusted: set `cacert` to the cloud's CA file".into()
    } else if chain.contains("tls") || chain.contains("invalidcontenttype") {
        "TLS failed: is the address right about `http` and `https`?".into()
    } else if chain.contains("dns") {
        "the host's name is not known: check the address and the network".into()
    } else {
        "is the address right, and does the network (VPN, proxy, firewall) allow it?".into()
    }
}

const fn article(interface: Interface) -> &'static str {
    match interface {
        Interface::Public => "a",
        Interface::Internal | Interface::Admin => "an",
    }
}

fn quoted(names: &[String]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
