//! Logging in, and staying logged in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::catalog::Catalog;
use crate::config::{ApplicationCredentialRef, Auth, Domain, Scope, User};
use crate::error::{Error, Result};
use crate::time::Time;
use crate::utc;

/// A token and what the identity service said about it.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) token: SecretString,
    /// From then on the token is renewed before it is used.
    pub(crate) renew_at: Timestamp,
    /// What the token stands for.
    pub(crate) info: TokenInfo,
}

/// A token that ends sooner than this is renewed before it is used: clocks differ, and calls take time.
const MARGIN: SignedDuration = SignedDuration::from_secs(90);

impl Session {
    pub(crate) fn new(token: SecretString, info: TokenInfo, now: Timestamp) -> Self {
        let life = info.expires_at.duration_since(now);
        let renew_at = if life.is_positive() {
            // The last quarter of a token that lives for a minute only.
            info.expires_at.checked_sub(MARGIN.min(life / 4)).unwrap_or(now)
        } else {
            // It has ended before it came: one of the clocks is wrong. The service will say when it has ended.
            Timestamp::MAX
        };
        Self { token, renew_at, info }
    }
}

/// A token's user, project, roles, expiry and catalog.
#[derive(Debug, Clone, Deserialize)]
pub struct TokenInfo {
    /// When the token ends.
    #[serde(deserialize_with = "utc::required")]
    pub expires_at: Timestamp,
    /// Whose it is.
    pub user: Named,
    /// The project that it is for.
    #[serde(default)]
    pub project: Option<Named>,
    /// What its holder may do.
    #[serde(default)]
    pub roles: Vec<Named>,
    /// The services.
    #[serde(default)]
    pub catalog: Catalog,
    /// The application credential that it was obtained with.
    #[serde(default)]
    pub application_credential: Option<UsedCredential>,
}

/// Something with an id and a name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Named {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
}

/// The application credential behind a token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UsedCredential {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// A restricted one cannot make or delete application credentials.
    pub restricted: bool,
}

/// The body of `POST /v3/auth/tokens`.
pub(crate) fn login_body(auth: &Auth) -> Value {
    let (identity, scope) = match auth {
        Auth::Password { user, password, scope } => {
            let mut user = user_json(user);
            user["password"] = password.expose_secret().into();
            (json!({ "methods": ["password"], "password": { "user": user } }), scope_json(scope))
        }
        Auth::Token { token, scope } => {
            (json!({ "methods": ["token"], "token": { "id": token.expose_secret() } }), scope_json(scope))
        }
        Auth::ApplicationCredential { which, secret } => {
            let mut credential = match which {
                ApplicationCredentialRef::Id(id) => json!({ "id": id }),
                ApplicationCredentialRef::Name { name, user } => {
                    json!({ "name": name, "user": user_json(user) })
                }
            };
            credential["secret"] = secret.expose_secret().into();
            let identity =
                json!({ "methods": ["application_credential"], "application_credential": credential });
            (identity, None)
        }
    };
    let mut auth = json!({ "identity": identity });
    if let Some(scope) = scope {
        auth["scope"] = scope;
    }
    json!({ "auth": auth })
}

fn user_json(user: &User) -> Value {
    match user {
        User::Id(id) => json!({ "id": id }),
        User::Name { name, domain } => json!({ "name": name, "domain": domain_json(domain) }),
    }
}

fn domain_json(domain: &Domain) -> Value {
    match domain {
        Domain::Id(id) => json!({ "id": id }),
        Domain::Name(name) => json!({ "name": name }),
    }
}

fn scope_json(scope: &Scope) -> Option<Value> {
    match scope {
        Scope::ProjectId(id) => Some(json!({ "project": { "id": id } })),
        Scope::ProjectName { name, domain } => {
            Some(json!({ "project": { "name": name, "domain": domain_json(domain) } }))
        }
        Scope::Domain(domain) => Some(json!({ "domain": domain_json(domain) })),
        Scope::Unscoped => None,
    }
}

/// For how long a refused login is not tried again with the same credentials: identity services lock accounts.
const REFUSED_FOR: SignedDuration = SignedDuration::from_secs(10);

/// Holds the current session; makes a new one once, however many callers find the old one spent.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    current: RwLock<Option<Arc<Session>>>,
    /// Held while somebody logs in.
    login: Mutex<Option<Failure>>,
    attempts: AtomicU64,
}

/// Why the last attempt to log in failed.
#[derive(Debug)]
struct Failure {
    error: Arc<Error>,
    at: Timestamp,
}

impl Keeper {
    pub(crate) fn current(&self) -> Option<Arc<Session>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A session other than `spent`: the one that somebody else has made meanwhile, else that of `login`. Who waited
    /// for a login that failed gets that failure, and so does who comes soon after a refusal.
    pub(crate) async fn renew(
        &self,
        spent: Option<&Arc<Session>>,
        time: &dyn Time,
        login: impl Future<Output = Result<Session>>,
    ) -> Result<Arc<Session>, Arc<Error>> {
        let before = self.attempts.load(Ordering::Acquire);
        let mut failure = self.login.lock().await;
        if let Some(current) = self.current()
            && !spent.is_some_and(|spent| Arc::ptr_eq(spent, &current))
        {
            return Ok(current);
        }
        let waited = self.attempts.load(Ordering::Acquire) != before;
        if let Some(failure) = &*failure
            && (waited || failure.lasts(time.now()))
        {
            return Err(Arc::clone(&failure.error));
        }
        let result = login.await;
        self.attempts.fetch_add(1, Ordering::AcqRel);
        match result {
            Ok(session) => {
                let session = Arc::new(session);
                *failure = None;
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&session));
                Ok(session)
            }
            Err(error) => {
                let error = Arc::new(error);
                *failure = Some(Failure { error: Arc::clone(&error), at: time.now() });
                Err(error)
            }
        }
    }
}

impl Failure {
    fn lasts(&self, now: Timestamp) -> bool {
        !self.error.is_transient() && now.duration_since(self.at) < REFUSED_FOR
    }
}
