//! The HTTP clients beneath a `Cloud`: the network as its transport.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{Certificate, Client, ClientBuilder, Identity, NoProxy, redirect};

use crate::config::Tls;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::transport::{NoAnswer, Transport};

/// Servers close idle connections when they like, some without saying so.
const IDLE_CONNECTION: Duration = Duration::from_secs(15);

/// Two clients that differ in whether they use a connection twice.
#[derive(Debug)]
pub(crate) struct HttpClients {
    /// For calls that may be repeated.
    pooled: Client,
    /// For calls that must not be repeated: on a connection of their own they cannot be lost because the server had
    /// closed an idle one a moment before.
    fresh: Client,
}

impl HttpClients {
    pub(crate) fn new(tls: &Tls, options: &Options) -> Result<Self> {
        let build = |idle_connections: usize| {
            let builder = Client::builder()
                .user_agent(&options.user_agent)
                .connect_timeout(options.connect_limit)
                .pool_idle_timeout(IDLE_CONNECTION)
                .pool_max_idle_per_host(idle_connections)
                .tcp_nodelay(true)
                // A redirect would take the token to another host.
                .redirect(redirect::Policy::none())
                .no_proxy();
            with_tls(with_proxy(builder, options)?, tls)?.build().map_err(Error::Setup)
        };
        Ok(Self { pooled: build(usize::MAX)?, fresh: build(0)? })
    }
}

/// A client for what is not in the cloud: the cloud's proxy, the system's certificates, redirects, and limits on
/// standing still instead of one on the whole.
pub(crate) fn outside(options: &Options) -> Result<Client> {
    let builder = Client::builder()
        .user_agent(&options.user_agent)
        .connect_timeout(options.connect_limit)
        .read_timeout(options.upload_idle_limit)
        .no_proxy();
    with_proxy(builder, options)?.build().map_err(Error::Setup)
}

#[async_trait]
impl Transport for HttpClients {
    async fn carry(&self, request: reqwest::Request, fresh: bool) -> Result<http::Response<Bytes>, NoAnswer> {
        let client = if fresh { &self.fresh } else { &self.pooled };
        let mut response = client.execute(request).await.map_err(no_answer)?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut answer = http::Response::new(response.bytes().await.map_err(no_answer)?);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }
}

fn no_answer(error: reqwest::Error) -> NoAnswer {
    let why = if error.is_connect() {
        NoAnswer::NotConnected
    } else if error.is_timeout() {
        NoAnswer::TimedOut
    } else if error.is_builder() {
        NoAnswer::Unsendable
    } else {
        NoAnswer::ConnectionLost
    };
    // The URL is told by the error around it, and may hold what should not be repeated.
    why(Box::new(error.without_url()))
}

fn with_proxy(builder: ClientBuilder, options: &Options) -> Result<ClientBuilder> {
    let Some(proxy) = &options.proxy else { return Ok(builder) };
    let made = reqwest::Proxy::all(&proxy.url).map_err(Error::Setup)?;
    Ok(builder.proxy(made.no_proxy(NoProxy::from_string(&proxy.except))))
}

fn with_tls(mut builder: ClientBuilder, tls: &Tls) -> Result<ClientBuilder> {
    if let Some(file) = &tls.ca_file {
        let certificates =
            Certificate::from_pem_bundle(&read(file)?).map_err(|error| unusable(file, error))?;
        if certificates.is_empty() {
            return Err(unusable(file, "it holds no certificate"));
        }
        builder = builder.tls_certs_only(certificates);
    }
    if let Some(file) = &tls.cert_file {
        let mut pem = read(file)?;
        if let Some(key) = &tls.key_file {
            pem.push(b'\n');
            pem.extend(read(key)?);
        }
        builder = builder.identity(Identity::from_pem(&pem).map_err(|error| unusable(file, error))?);
    }
    Ok(builder.tls_danger_accept_invalid_certs(tls.insecure))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|error| unusable(file, error))
}

fn unusable(file: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Tls { file: file.to_owned(), source: source.into() }
}
