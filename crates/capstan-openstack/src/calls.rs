//! How many calls were made.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::Method;

use crate::catalog::ServiceType;

/// Counts of requests sent, repetitions and logins included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calls {
    by: BTreeMap<(ServiceType, String), u64>,
}

impl Calls {
    /// All requests.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by.values().sum()
    }

    /// Requests to one service.
    #[must_use]
    pub fn of(&self, service: ServiceType) -> u64 {
        self.by.iter().filter(|((of, _), _)| *of == service).map(|(_, count)| count).sum()
    }

    /// Requests that may change something: all but `GET` and `HEAD`, and but logins, which change nothing of anybody's.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.by
            .iter()
            .filter(|((_, method), _)| !matches!(method.as_str(), "GET" | "HEAD" | Self::LOGIN))
            .map(|(_, count)| count)
            .sum()
    }

    /// Logins.
    #[must_use]
    pub fn logins(&self) -> u64 {
        self.by.get(&(ServiceType::Identity, Self::LOGIN.to_owned())).copied().unwrap_or_default()
    }

    /// What came since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let by = self.by.iter().map(|(key, count)| {
            (key.clone(), count.saturating_sub(earlier.by.get(key).copied().unwrap_or_default()))
        });
        Self { by: by.filter(|(_, count)| *count > 0).collect() }
    }

    const LOGIN: &'static str = "login";
}

/// `3 × GET compute (Nova)`, one a line: for the messages of tests.
impl std::fmt::Display for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.by.iter().try_for_each(|((service, method), count)| writeln!(f, "{count} × {method} {service}"))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counter(Mutex<Calls>);

impl Counter {
    pub(crate) fn count(&self, service: ServiceType, method: &Method) {
        self.add(service, method.as_str());
    }

    pub(crate) fn count_login(&self) {
        self.add(ServiceType::Identity, Calls::LOGIN);
    }

    pub(crate) fn read(&self) -> Calls {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, service: ServiceType, method: &str) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.by.entry((service, method.to_owned())).or_default() += 1;
    }
}
