//! What has been requested over HTTP, counted by service, method and route template.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::http::Method;
use serde::Serialize;

/// Counts the requests; a leaf lock.
#[derive(Default)]
pub struct Journal {
    seen: Mutex<BTreeMap<Route, Count>>,
}

/// A route as it is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Route {
    /// First segment of the path: `compute`, `network`, `kubernetes`, ...
    pub service: String,
    /// Upper-case method.
    pub method: String,
    /// Template as in `/compute/v2.1/servers/{id}`; of an unknown route the path as requested.
    pub template: String,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    requests: u64,
    failed: u64,
    known: bool,
}

/// The requests counted so far: one value, to be compared before and after.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// All requests, those of `/_sandbox` left out.
    pub total: u64,
    /// Requests that change something: POST, PUT, PATCH, DELETE, except issuing a token and Kubernetes' reviews.
    pub writes: u64,
    /// Per route, in order of service, method and template.
    pub routes: Vec<RouteCount>,
    /// Routes that the sandbox doesn't know; each was answered with 501.
    pub unknown: Vec<RouteCount>,
}

/// How often one route was requested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouteCount {
    /// The route.
    #[serde(flatten)]
    pub route: Route,
    /// Number of requests.
    pub requests: u64,
    /// Of these, answered with a status of 400 or more, or not answered.
    pub failed: u64,
}

impl Requests {
    /// Requests to a service (`compute`).
    #[must_use]
    pub fn of_service(&self, service: &str) -> u64 {
        self.routes.iter().filter(|count| count.route.service == service).map(|count| count.requests).sum()
    }

    /// Requests to one route (`POST`, `/compute/v2.1/servers`).
    #[must_use]
    pub fn of_route(&self, method: &str, template: &str) -> u64 {
        let matches = |count: &&RouteCount| count.route.method == method && count.route.template == template;
        self.routes.iter().filter(matches).map(|count| count.requests).sum()
    }
}

impl Route {
    fn writes(&self) -> bool {
        let changes = matches!(self.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE");
        changes && !self.template.ends_with("/auth/tokens") && !self.template.ends_with("reviews")
    }
}

impl Journal {
    pub(crate) fn record(&self, service: &str, method: &Method, template: &str, known: bool, failed: bool) {
        let route = Route {
            service: service.to_owned(),
            method: method.as_str().to_owned(),
            template: template.to_owned(),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let count = seen.entry(route).or_default();
        count.requests += 1;
        count.failed += u64::from(failed);
        count.known = known;
    }

    /// The counts so far.
    #[must_use]
    pub fn requests(&self) -> Requests {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut requests = Requests::default();
        for (route, count) in seen.iter() {
            requests.total += count.requests;
            if route.writes() {
                requests.writes += count.requests;
            }
            let entry = RouteCount { route: route.clone(), requests: count.requests, failed: count.failed };
            if count.known { requests.routes.push(entry) } else { requests.unknown.push(entry) }
        }
        requests
    }

    /// Starts counting at zero again.
    pub fn reset(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
