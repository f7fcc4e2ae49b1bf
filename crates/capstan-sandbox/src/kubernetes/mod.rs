//! Kubernetes API servers: the management plane's at `/kubernetes`, one per workload cluster at `/workload/NAMESPACE/NAME`.
//!
//! They know resources, not behaviour: who acts on the objects is in [`crate::controllers`]. What they do as the real one does:
//! discovery, create, read, list (selectors, pages, tables), watch, patches of all kinds, server-side apply with the owners of
//! fields, status and scale, generations, optimistic locking, finalizers, garbage collection, namespaces, definitions of custom
//! resources with validation, pruning and defaults, dry runs, roles and their bindings. What they don't: admission by rules,
//! checks of what built-in kinds hold, logs and `exec`, older versions of a list's pages.

pub(crate) mod api;
mod builtin;
mod cel;
pub(crate) mod crd;
mod defaults;
mod discovery;
pub(crate) mod error;
mod fields;
mod form;
mod http;
mod kinds;
mod managed;
mod names;
pub(crate) mod object;
mod openapi;
mod patch;
mod protobuf;
mod prune;
mod rbac;
pub(crate) mod registry;
mod reviews;
mod route;
mod scale;
mod schema;
pub(crate) mod selectors;
mod shape;
pub(crate) mod store;
mod table;
mod watch;
pub(crate) mod write;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::api::{ApiServer, Sources};
use self::error::{Answer, Status};
use self::rbac::User;
use crate::World;
use crate::clock::Clock;
use crate::controllers::{Origin, Queue, Sessions, webhooks};
use crate::faults::Faults;
use crate::ids::Ids;

pub(crate) use self::http::refused;

/// The bearer token of the management plane's kubeconfig. The sandbox listens on the loopback and guards nothing.
const MANAGEMENT_TOKEN: &str = "sandbox-management-token";

/// The user in the URLs of kubeconfigs; its password is the token.
const URL_USER: &str = "sandbox";

/// The version that the management plane says it has.
const MANAGEMENT_VERSION: &str = "v1.36.3";

/// All API servers of the sandbox.
pub struct Kubernetes {
    clock: Clock,
    ids: Ids,
    faults: Faults,
    queue: Arc<Queue>,
    sessions: Sessions,
    management: Arc<ApiServer>,
    workloads: Mutex<BTreeMap<(String, String), Workload>>,
}

/// The API server of a workload cluster.
#[derive(Clone)]
pub(crate) struct Workload {
    pub(crate) server: Arc<ApiServer>,
    /// The token of its kubeconfig.
    pub(crate) token: String,
    /// The Kubernetes version that it says it has.
    pub(crate) version: String,
    /// False before its first control plane runs, and after the last one is gone.
    pub(crate) reachable: bool,
    /// Nobody reaches it at the moment, although it runs.
    pub(crate) down: bool,
}

impl Workload {
    /// It runs and is reached.
    pub(crate) fn answers(&self) -> bool {
        self.reachable && !self.down
    }
}

/// What a request finds behind a path.
pub(crate) struct Plane {
    pub(crate) server: Arc<ApiServer>,
    pub(crate) version: String,
    token: String,
}

impl Plane {
    /// Who sends an `Authorization` header: a bearer token, or the same token as a password.
    pub(crate) fn authenticate(&self, header: &str) -> Option<User> {
        let (scheme, credential) = header.trim().split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.user(credential.trim());
        }
        let decoded = STANDARD.decode(credential.trim()).ok()?;
        let pair = std::str::from_utf8(&decoded).ok()?;
        self.user(pair.strip_prefix(URL_USER)?.strip_prefix(':')?)
    }

    /// Who holds a token.
    pub(crate) fn user(&self, token: &str) -> Option<User> {
        if token == self.token { Some(User::administrator()) } else { self.server.holder(token) }
    }
}

impl Kubernetes {
    pub(crate) fn new(clock: Clock, ids: Ids, faults: Faults) -> Self {
        let queue = Arc::new(Queue::new(clock.clone()));
        let told = Arc::clone(&queue);
        let observer = Box::new(move |event: &store::Event| told.changed(&Origin::Management, event));
        let admission: write::Admission = webhooks::admit;
        let sources = Sources { clock: clock.clone(), ids: ids.clone(), faults: faults.clone() };
        let management = Arc::new(ApiServer::new("management", sources, Some(admission), observer));
        let workloads = Mutex::default();
        Self { clock, ids, faults, queue, sessions: Sessions::default(), management, workloads }
    }

    /// The management plane's API server.
    pub(crate) fn management(&self) -> &Arc<ApiServer> {
        &self.management
    }

    /// What the controllers have to look at.
    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// The controllers' tokens of OpenStack.
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The API server of a workload cluster, whether it answers requests or not.
    pub(crate) fn workload(&self, namespace: &str, name: &str) -> Option<Workload> {
        let workload = self.workloads().get(&(namespace.to_owned(), name.to_owned())).cloned()?;
        Some(Workload { down: self.faults.is_down(&format!("{namespace}/{name}")), ..workload })
    }

    /// All API servers, each with its name as faults name it.
    pub(crate) fn servers(&self) -> Vec<(String, Arc<ApiServer>)> {
        let workloads = self.workloads();
        let each = workloads.iter().map(|((namespace, name), workload)| {
            (format!("{namespace}/{name}"), Arc::clone(&workload.server))
        });
        each.chain([("management".to_owned(), Arc::clone(&self.management))]).collect()
    }

    /// The API server of a workload cluster, made if there is none.
    pub(crate) fn make_workload(&self, namespace: &str, name: &str, version: &str) -> Workload {
        let mut workloads = self.workloads();
        let make = || {
            let told = Arc::clone(&self.queue);
            let origin = Origin::Workload(namespace.to_owned(), name.to_owned());
            let observer = Box::new(move |event: &store::Event| told.changed(&origin, event));
            let called = format!("{namespace}/{name}");
            let sources =
                Sources { clock: self.clock.clone(), ids: self.ids.clone(), faults: self.faults.clone() };
            let server = Arc::new(ApiServer::new(&called, sources, None, observer));
            let (token, version) = (self.ids.secret(32), version.to_owned());
            Workload { server, token, version, reachable: false, down: false }
        };
        workloads.entry((namespace.to_owned(), name.to_owned())).or_insert_with(make).clone()
    }

    /// Changes what is known of a workload cluster's API server.
    pub(crate) fn with_workload(&self, namespace: &str, name: &str, change: impl FnOnce(&mut Workload)) {
        if let Some(workload) = self.workloads().get_mut(&(namespace.to_owned(), name.to_owned())) {
            change(workload);
        }
    }

    /// Forgets a workload cluster together with its objects.
    pub(crate) fn remove_workload(&self, namespace: &str, name: &str) {
        self.workloads().remove(&(namespace.to_owned(), name.to_owned()));
    }

    fn workloads(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Workload>> {
        self.workloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API server that is mounted at a path.
    fn plane(&self, prefix: &str) -> Answer<Plane> {
        if prefix == "/kubernetes" {
            let (version, token) = (MANAGEMENT_VERSION.to_owned(), MANAGEMENT_TOKEN.to_owned());
            return Ok(Plane { server: Arc::clone(&self.management), version, token });
        }
        let mut segments = prefix.split('/').skip(2);
        let (namespace, name) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
        match self.workload(namespace, name) {
            Some(Workload { server, token, version, reachable: true, .. }) => {
                Ok(Plane { server, version, token })
            }
            Some(_) => Err(Status::unavailable(format!(
                "no control plane machine of `{namespace}/{name}` is running"
            ))),
            None => Err(Status::unavailable(format!("there is no workload cluster `{namespace}/{name}`"))),
        }
    }
}

/// The routes of all API servers.
pub(crate) fn router(_world: &World) -> Router<World> {
    Router::new()
        .route("/kubernetes", any(http::handle))
        .route("/kubernetes/", any(http::handle))
        .route("/kubernetes/{*path}", any(http::handle))
        .route("/workload/{namespace}/{name}", any(http::handle))
        .route("/workload/{namespace}/{name}/", any(http::handle))
        .route("/workload/{namespace}/{name}/{*path}", any(http::handle))
}

/// A kubeconfig for the management plane; its context is `sandbox`.
pub(crate) fn kubeconfig(base_url: &str) -> String {
    write_kubeconfig("sandbox", base_url, "/kubernetes", MANAGEMENT_TOKEN, "sandbox")
}

/// A kubeconfig with one cluster, user and context. JSON would do for programs; people read YAML.
///
/// `kubectl` sends no credentials of a kubeconfig's users over plain HTTP, but what stands in the URL: so the token is in both.
pub(crate) fn write_kubeconfig(
    cluster: &str,
    base_url: &str,
    path: &str,
    token: &str,
    context: &str,
) -> String {
    let server = base_url.replacen("://", &format!("://{URL_USER}:{token}@"), 1);
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: {cluster}\n  cluster:\n    server: {server}{path}\nusers:\n- name: {cluster}-admin\n  \
         user:\n    token: {token}\ncontexts:\n- name: {context}\n  context:\n    cluster: {cluster}\n    user: {cluster}-admin\n\
         current-context: {context}\npreferences: {{}}\n"
    )
}
