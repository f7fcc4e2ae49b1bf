//! One cloud, as one user of one project.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::OnceCell;
use url::Url;

use crate::answer::Answer;
use crate::block_storage::BlockStorage;
use crate::calls::{Calls, Counter};
use crate::catalog::{ServiceType, version_root};
use crate::compute::Compute;
use crate::config::CloudConfig;
use crate::error::{Error, Result};
use crate::http_clients::{HttpClients, outside};
use crate::identity::Identity;
use crate::image::Images;
use crate::load_balancer::LoadBalancers;
use crate::microversion::{self, Microversion, VersionDocument};
use crate::network::Networking;
use crate::options::Options;
use crate::request::{Body, Request, Service};
use crate::session::{Keeper, Session, TokenInfo, login_body};
use crate::transport::Transport;

/// A connection to one cloud. Clones share everything: session, connections, limits and counts.
#[derive(Debug, Clone)]
pub struct Cloud(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: CloudConfig,
    pub(crate) options: Options,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) calls: Counter,
    /// The cloud has answered once: from then on a refused connection is worth waiting for.
    pub(crate) reached: AtomicBool,
    keeper: Keeper,
    compute_version: OnceCell<Microversion>,
}

impl Cloud {
    /// Logs in.
    ///
    /// # Errors
    /// Unusable certificates, an unreachable identity service, refused credentials.
    pub async fn connect(config: &CloudConfig, options: Options) -> Result<Self> {
        let transport = match &options.transport {
            Some(given) => Arc::clone(given),
            None => Arc::new(HttpClients::new(&config.tls, &options)?),
        };
        let cloud = Self(Arc::new(Inner {
            config: config.clone(),
            options,
            transport,
            calls: Counter::default(),
            reached: AtomicBool::new(false),
            keeper: Keeper::default(),
            compute_version: OnceCell::new(),
        }));
        cloud.session().await?;
        Ok(cloud)
    }

    /// The configuration that this connection was made with.
    #[must_use]
    pub fn config(&self) -> &CloudConfig {
        &self.0.config
    }

    /// What the current token stands for: user, project, roles, expiry, catalog. Makes a call only if the token is
    /// spent.
    ///
    /// # Errors
    /// As `connect`.
    pub async fn token(&self) -> Result<TokenInfo> {
        Ok(self.session().await?.info.clone())
    }

    /// The id of the project that the token is for.
    ///
    /// # Errors
    /// As `connect`; a token that is not for a project.
    pub async fn project_id(&self) -> Result<String> {
        let session = self.session().await?;
        let missing = || crate::ConfigError::Missing {
            cloud: self.0.config.name.clone(),
            what: "a project to work in",
        };
        Ok(session.info.project.as_ref().ok_or_else(missing)?.id.clone())
    }

    /// How many calls were made over this connection and its clones.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.0.calls.read()
    }

    /// An HTTP client for addresses outside of the cloud, such as the source of an image: through the same proxy, with
    /// the system's certificates, and never with a token.
    ///
    /// # Errors
    /// An unusable proxy.
    pub fn outside_client(&self) -> Result<reqwest::Client> {
        outside(&self.0.options)
    }

    /// The next number of this connection's source of chance.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.0.options.random.next()
    }

    /// Users, tokens, application credentials.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity(Service { cloud: self.clone(), service: ServiceType::Identity })
    }

    /// Servers, flavors, keypairs, server groups.
    ///
    /// # Errors
    /// The catalog has no such service.
    pub fn compute(&self) -> Result<Compute> {
        self.service(ServiceType::Compute).map(Compute)
    }

    /// Networks, routers, ports, floating IPs, security groups.
    ///
    /// # Errors
    /// The catalog has no such service.
    pub fn network(&self) -> Result<Networking> {
        self.service(ServiceType::Network).map(Networking)
    }

    /// Images.
    ///
    /// # Errors
    /// The catalog has no such service.
    pub fn image(&self) -> Result<Images> {
        self.service(ServiceType::Image).map(Images)
    }

    /// Volumes and snapshots.
    ///
    /// # Errors
    /// The catalog has no such service.
    pub fn block_storage(&self) -> Result<BlockStorage> {
        self.service(ServiceType::BlockStorage).map(BlockStorage)
    }

    /// Load balancers.
    ///
    /// # Errors
    /// The catalog has no such service.
    pub fn load_balancer(&self) -> Result<LoadBalancers> {
        self.service(ServiceType::LoadBalancer).map(LoadBalancers)
    }

    /// Any call to a service, for what the groups do not have.
    ///
    /// # Errors
    /// The catalog has no such service.
    pub fn service(&self, service: ServiceType) -> Result<Service> {
        let session = self.0.keeper.current();
        if let Some(session) = session {
            self.endpoint(&session, service)?;
        }
        Ok(Service { cloud: self.clone(), service })
    }

    /// The address of a service: the configuration's own, else the catalog's.
    pub(crate) fn endpoint(&self, session: &Session, service: ServiceType) -> Result<Url> {
        let config = &self.0.config;
        match (config.endpoint_overrides.get(&service), service) {
            (Some(url), _) => Ok(service.versioned(url.clone())),
            // Where one has logged in is certainly right; what the catalog says may be for others.
            (None, ServiceType::Identity) => Ok(config.auth_url.clone()),
            (None, _) => session.info.catalog.endpoint(service, config.region.as_deref(), config.interface),
        }
    }

    /// The current session, or a new one if that is about to end.
    pub(crate) async fn session(&self) -> Result<Arc<Session>> {
        let current = self.0.keeper.current();
        match &current {
            Some(session) if self.0.options.time.now() < session.renew_at => Ok(Arc::clone(session)),
            _ => self.renew(current.as_ref()).await,
        }
    }

    /// Logs in again, unless somebody else has done so since `spent` was current.
    pub(crate) async fn renew(&self, spent: Option<&Arc<Session>>) -> Result<Arc<Session>> {
        let failed = |source| Error::Login { cloud: self.0.config.name.clone(), source };
        self.0.keeper.renew(spent, self.0.options.time.as_ref(), self.log_in()).await.map_err(failed)
    }

    /// Delivers a request with the session's token, and once more with a new one if that is not accepted: it has ended
    /// or was revoked. Nothing was done with it, so any call may be sent again.
    pub(crate) async fn deliver_in(&self, session: &Arc<Session>, request: &Request) -> Result<Answer> {
        let answer = self.deliver(request, Some(&session.token)).await?;
        if answer.status != http::StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let session = self.renew(Some(session)).await?;
        self.deliver(request, Some(&session.token)).await
    }

    async fn log_in(&self) -> Result<Session> {
        let mut url = self.0.config.auth_url.clone();
        url.set_path(&format!("{}/auth/tokens", url.path()));
        let request = Request::login(url, login_body(&self.0.config.auth), self.0.options.call_limit);
        let answer = self.deliver(&request, None).await?.successful(&request)?;
        let token = answer
            .header("x-subject-token")
            .ok_or_else(|| request.unexpected("an answer without a token".into()))
            .map(SecretString::from)?;
        let body: TokenBody = answer.decode(&request)?;
        tracing::debug!(
            cloud = self.0.config.name, user = body.token.user.id, expires_at = %body.token.expires_at, "logged in"
        );
        Ok(Session::new(token, body.token, self.0.options.time.now()))
    }

    /// The microversion to send with a call, negotiated once.
    pub(crate) async fn microversion(&self, service: ServiceType) -> Result<Option<Microversion>> {
        let Some(wanted) = microversion::wanted(service) else { return Ok(None) };
        let negotiate = async {
            let session = self.session().await?;
            let mut url = self.endpoint(&session, service)?;
            url.set_path(&format!("{}/", version_root(url.path())));
            let request = Request::discovery(service, url, self.0.options.call_limit);
            let answer = self.deliver_in(&session, &request).await?.successful(&request)?;
            answer.decode::<VersionDocument>(&request)?.choose(service, wanted)
        };
        self.0.compute_version.get_or_try_init(|| negotiate).await.map(|chosen| Some(*chosen))
    }
}

#[derive(serde::Deserialize)]
struct TokenBody {
    token: TokenInfo,
}

impl Request {
    fn login(url: Url, body: serde_json::Value, limit: Duration) -> Self {
        // A second token does no harm: logging in may be repeated.
        Self::new(ServiceType::Identity, http::Method::POST, "auth/tokens".into(), url, limit)
            .with_body(Body::Json(body))
            .repeatable()
    }

    fn discovery(service: ServiceType, url: Url, limit: Duration) -> Self {
        Self::new(service, http::Method::GET, String::new(), url, limit)
    }
}
