//! How the client behaves, apart from where it goes.

use std::sync::Arc;
use std::time::Duration;

use crate::limiter::Limiter;
use crate::random::{Random, SystemRandom};
use crate::retry::RetryPolicy;
use crate::time::{SystemTime, Time};
use crate::transport::Transport;

/// Settings of a `Cloud`. The defaults suit production.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where time comes from.
    pub time: Arc<dyn Time>,
    /// Where chance comes from.
    pub random: Arc<dyn Random>,
    /// What carries the calls; the network if none is given.
    pub transport: Option<Arc<dyn Transport>>,
    /// When and how often failed calls are repeated.
    pub retry: RetryPolicy,
    /// Shared by all clients of one cloud.
    pub limiter: Limiter,
    /// How long a connection may take to be made.
    pub connect_limit: Duration,
    /// How long a call may take until its answer is complete. Uploads have limits of their own.
    pub call_limit: Duration,
    /// How long an upload may make no progress.
    pub upload_idle_limit: Duration,
    /// How long the service may think after the last byte of an upload.
    pub upload_answer_limit: Duration,
    /// The proxy that all calls go through, and the hosts that it is not used for (the syntax of `NO_PROXY`).
    pub proxy: Option<Proxy>,
    /// How the client introduces itself.
    pub user_agent: String,
}

/// An HTTP proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Its address.
    pub url: String,
    /// Hosts that are reached without it: names, `.suffixes`, addresses, CIDRs, separated by commas.
    pub except: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time: Arc::new(SystemTime),
            random: Arc::new(SystemRandom),
            transport: None,
            retry: RetryPolicy::default(),
            limiter: Limiter::default(),
            connect_limit: Duration::from_secs(10),
            call_limit: Duration::from_secs(60),
            upload_idle_limit: Duration::from_secs(60),
            upload_answer_limit: Duration::from_secs(15 * 60),
            proxy: None,
            user_agent: concat!("capstan/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}
