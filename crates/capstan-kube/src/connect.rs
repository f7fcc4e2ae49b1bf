//! A client from a kubeconfig: no environment, one TLS stack, every call limited in time, and errors that name the
//! context and the server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response};
use kube::client::{Body, ClientBuilder, ConfigExt as _, DynBody};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use secrecy::{ExposeSecret, SecretString};
use tower::buffer::BufferLayer;
use tower::retry::RetryLayer;
use tower::timeout::TimeoutLayer;
use tower::util::{BoxCloneSyncService, BoxService, MapErrLayer};
use tower::{BoxError, ServiceBuilder, ServiceExt as _};

use crate::error::Cause;
use crate::retry::WhileBusy;
use crate::starting::WhileStarting;
use crate::{Error, Kind, Target};

/// Where the kubeconfig is.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file; relative paths in it are relative to its folder.
    Path(PathBuf),
    /// Its text.
    Text(SecretString),
}

/// Carries requests to API servers. It gets them complete, with the server's address and the credential.
pub type Transport = BoxCloneSyncService<Request<Body>, Response<Box<DynBody>>, BoxError>;

/// A client before its outer layers.
type Lower = ClientBuilder<BoxService<Request<Body>, Response<Box<DynBody>>, BoxError>>;

/// How many calls may wait for the connection to take them.
const WAITING: usize = 1024;

/// How to connect.
#[derive(Clone, Debug)]
pub struct Options {
    /// The kubeconfig.
    pub kubeconfig: Source,
    /// Name of the context; `None`: the kubeconfig's current one.
    pub context: Option<String>,
    /// Limit until a connection stands.
    pub connect_limit: Duration,
    /// Limit of one call until its answer begins, retries on 429, 503 and 504 included. A watch isn't cut by it.
    pub call_limit: Duration,
    /// What carries the calls; the network if none is given.
    pub transport: Option<Transport>,
}

impl Options {
    /// The current context of a kubeconfig, with the usual limits (10 s to connect, 30 s for a call).
    #[must_use]
    pub fn new(kubeconfig: Source) -> Self {
        Self {
            kubeconfig,
            context: None,
            connect_limit: Duration::from_secs(10),
            call_limit: Duration::from_secs(30),
            transport: None,
        }
    }
}

/// A client and what it is connected to.
#[derive(Clone)]
pub struct Connection {
    /// The client; cheap to clone.
    pub client: Client,
    /// Name of the context.
    pub context: String,
    /// URL of the API server.
    pub server: String,
    /// Namespace of the context.
    pub namespace: String,
    /// What carries the calls, where it is not the network.
    pub transport: Option<Transport>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("context", &self.context).field("server", &self.server).finish()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file can't be read.
    #[error("the kubeconfig `{}` can't be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Cause,
    },
    /// The text isn't a kubeconfig.
    #[error("the kubeconfig{} isn't valid", shown(path.as_ref()))]
    Invalid {
        /// The file, unless it came as text.
        path: Option<PathBuf>,
        /// What is wrong.
        source: Cause,
    },
    /// No context of that name, or none at all.
    #[error("the kubeconfig has no context `{wanted}`; it has: {}", listed(known))]
    NoContext {
        /// The one asked for; empty when the kubeconfig names no current one.
        wanted: String,
        /// Those that are there.
        known: Vec<String>,
    },
    /// The API server doesn't answer as it should.
    #[error("context `{context}` (`{server}`) can't be used")]
    Unusable {
        /// The context.
        context: String,
        /// URL of the API server.
        server: String,
        /// Why not.
        source: Box<Error>,
    },
}

impl ConnectError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoContext { .. } => Some("name one of them".into()),
            Self::Unusable { source, .. } => source.hint(),
            Self::Read { .. } | Self::Invalid { .. } => None,
        }
    }
}

fn shown(path: Option<&PathBuf>) -> String {
    path.map_or_else(String::new, |path| format!(" `{}`", path.display()))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".into()
    } else {
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }
}

/// An error of the transport, with the server that it was about: kube's client doesn't tell.
#[derive(Debug, thiserror::Error)]
#[error("call to `{server}` failed")]
pub(crate) struct Unreached {
    pub(crate) server: String,
    pub(crate) limit: Duration,
    #[source]
    source: BoxError,
}

/// Makes a client; sends nothing yet (see [`Connection::probe`]).
///
/// # Errors
/// When the kubeconfig can't be read, isn't valid, or lacks the context.
pub async fn connect(options: &Options) -> Result<Connection, ConnectError> {
    let (path, kubeconfig) = read(&options.kubeconfig)?;
    let context = context(&kubeconfig, options.context.as_deref())?;
    let chosen = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
    let invalid = |cause: String| ConnectError::Invalid { path: path.clone(), source: Cause(cause) };

    let mut config = Config::from_custom_kubeconfig(kubeconfig, &chosen)
        .await
        .map_err(|error| invalid(error.to_string()))?;
    config.connect_timeout = Some(options.connect_limit);
    // A watch is quiet between events; the server closes it before this (see `mirror`).
    config.read_timeout = Some(Duration::from_secs(330));
    config.reset_reader_on_write = true;
    // See `retry`.
    config.default_retry = false;
    let agent = HeaderValue::from_static(concat!("capstan/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));

    let server: Arc<str> = without_userinfo(&config.cluster_url.to_string()).trim_end_matches('/').into();
    let namespace = config.default_namespace.clone();
    let builder = builder(config, options.transport.clone()).map_err(|error| invalid(error.to_string()))?;
    let (limit, named) = (options.call_limit, Arc::clone(&server));
    let client = builder
        .with_layer(&BufferLayer::new(WAITING))
        .with_layer(&RetryLayer::new(WhileBusy::default()))
        .with_layer(&WhileStarting)
        .with_layer(&TimeoutLayer::new(limit))
        .with_layer(&MapErrLayer::new(move |source: BoxError| -> BoxError {
            Box::new(Unreached { server: named.to_string(), limit, source })
        }))
        .build();
    let transport = options.transport.clone();
    Ok(Connection { client, context, server: server.to_string(), namespace, transport })
}

/// A client's lower half: it addresses and authorises the calls, and hands them to the network or what is there instead.
fn builder(config: Config, transport: Option<Transport>) -> Result<Lower, kube::Error> {
    let Some(transport) = transport else { return ClientBuilder::try_from(config) };
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .service(transport)
        .map_err(BoxError::from);
    Ok(ClientBuilder::new(service.boxed(), config.default_namespace.clone()))
}

impl Connection {
    /// Asks the API server for its version, for example `v1.36.1`: proves address, TLS and that it is a Kubernetes.
    ///
    /// # Errors
    /// [`ConnectError::Unusable`] with the cause.
    pub async fn probe(&self) -> Result<String, ConnectError> {
        let target = Target::new(&Kind::NAMESPACE, None, "");
        match self.client.apiserver_version().await {
            Ok(version) => Ok(version.git_version),
            Err(error) => Err(self.unusable(Error::decode(error, &target))),
        }
    }

    /// An error of a call, with context and server.
    #[must_use]
    pub fn unusable(&self, error: Error) -> ConnectError {
        ConnectError::Unusable {
            context: self.context.clone(),
            server: self.server.clone(),
            source: Box::new(error),
        }
    }
}

/// A URL as it may be shown: user and password, which some kubeconfigs carry in it, are left out.
fn without_userinfo(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

fn read(source: &Source) -> Result<(Option<PathBuf>, Kubeconfig), ConnectError> {
    match source {
        Source::Path(path) => match Kubeconfig::read_from(path) {
            Ok(kubeconfig) => Ok((Some(path.clone()), kubeconfig)),
            Err(KubeconfigError::ReadConfig(error, _)) => {
                Err(ConnectError::Read { path: path.clone(), source: Cause(error.to_string()) })
            }
            Err(error) => {
                Err(ConnectError::Invalid { path: Some(path.clone()), source: Cause(error.to_string()) })
            }
        },
        Source::Text(text) => Kubeconfig::from_yaml(text.expose_secret())
            .map(|kubeconfig| (None, kubeconfig))
            .map_err(|error| ConnectError::Invalid { path: None, source: Cause(error.to_string()) }),
    }
}

fn context(kubeconfig: &Kubeconfig, wanted: Option<&str>) -> Result<String, ConnectError> {
    let known = || kubeconfig.contexts.iter().map(|context| context.name.clone()).collect::<Vec<_>>();
    let wanted = wanted.or(kubeconfig.current_context.as_deref()).unwrap_or_default().to_owned();
    if kubeconfig.contexts.iter().any(|context| context.name == wanted) {
        Ok(wanted)
    } else {
        Err(ConnectError::NoContext { wanted, known: known() })
    }
}

#[cfg(test)]
mod tests;
