//! Health monitors.

use serde::{Deserialize, Serialize};

use super::{Change, Part, Pool, Reference, Standard, check_choice, policy};
use crate::openstack::OpenStack;
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;
use crate::openstack::resource::Resource;
use crate::openstack::table::{Table, identified};

const TYPES: [&str; 7] = ["HTTP", "HTTPS", "PING", "SCTP", "TCP", "TLS-HELLO", "UDP-CONNECT"];

/// A health monitor.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HealthMonitor {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// `TCP`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// Seconds between checks.
    pub delay: u64,
    /// Seconds until a check has failed.
    pub timeout: u64,
    /// Good checks until a member is up.
    pub max_retries: u64,
    /// Bad checks until a member is down.
    pub max_retries_down: u64,
    http_method: Option<String>,
    url_path: Option<String>,
    expected_codes: Option<String>,
    http_version: Option<f64>,
    domain_name: Option<String>,
    /// The one pool it is of.
    pub pools: Vec<Reference>,
    /// Attributes that all have.
    #[serde(flatten)]
    pub standard: Standard,
}

identified!(HealthMonitor);

/// Body of a create.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthMonitorCreate {
    /// `TCP`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// Seconds between checks.
    pub delay: u64,
    /// Seconds until a check has failed.
    pub timeout: u64,
    /// Good checks until a member is up.
    pub max_retries: u64,
    /// The pool it is of.
    pub pool_id: String,
    /// 3 if not given.
    #[serde(default)]
    pub max_retries_down: Option<u64>,
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Of HTTP monitors.
    #[serde(default)]
    pub http_method: Option<String>,
    /// Of HTTP monitors.
    #[serde(default)]
    pub url_path: Option<String>,
    /// Of HTTP monitors.
    #[serde(default)]
    pub expected_codes: Option<String>,
    /// Up if not given.
    #[serde(default)]
    pub admin_state_up: Option<bool>,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Owner.
    #[serde(default)]
    pub project_id: Option<String>,
}

/// Body of an update.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthMonitorUpdate {
    /// Name.
    pub name: Option<String>,
    /// Seconds between checks.
    pub delay: Option<u64>,
    /// Seconds until a check has failed.
    pub timeout: Option<u64>,
    /// Good checks until a member is up.
    pub max_retries: Option<u64>,
    /// Bad checks until a member is down.
    pub max_retries_down: Option<u64>,
    /// Up or down.
    pub admin_state_up: Option<bool>,
    /// All tags.
    pub tags: Option<Vec<String>>,
}

impl HealthMonitor {
    fn balancer(&self, cloud: &OpenStack) -> String {
        let pool = self.pools.first().and_then(|pool| cloud.load_balancer.pools.get(&pool.id));
        pool.map(Pool::balancer).unwrap_or_default()
    }
}

fn check_times(delay: u64, timeout: u64) -> Result<(), ApiError> {
    if timeout > delay {
        return Err(super::validation("health monitor delay must be greater than or equal to its timeout"));
    }
    Ok(())
}

impl Resource for HealthMonitor {
    const ONE: &'static str = "healthmonitor";
    const MANY: &'static str = "healthmonitors";
    type Create = HealthMonitorCreate;
    type Update = HealthMonitorUpdate;

    fn table(cloud: &OpenStack) -> &Table<Self> {
        &cloud.load_balancer.monitors
    }

    fn table_mut(cloud: &mut OpenStack) -> &mut Table<Self> {
        &mut cloud.load_balancer.monitors
    }

    fn project_id(&self) -> &str {
        &self.standard.project_id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn not_found(id: &str) -> ApiError {
        ApiError::not_found(format!("Health Monitor {id} not found."))
    }

    fn not_owned(_: &str) -> ApiError {
        policy()
    }

    fn create(cloud: &mut OpenStack, caller: &Token, request: HealthMonitorCreate) -> Result<Self, ApiError> {
        check_choice("type", &request.kind, &TYPES)?;
        check_times(request.delay, request.timeout)?;
        let pool = Pool::owned(cloud, caller, &request.pool_id, "update")?;
        let (balancer, me) = (pool.balancer(), Reference::to(&pool.id));
        if cloud.load_balancer.monitors.iter().any(|each| each.pools.contains(&me)) {
            return Err(ApiError::conflict("This pool already has a health monitor"));
        }
        cloud.check_mutable(&balancer)?;
        cloud.octavia_quota(&caller.project_id, "health_monitor", "Health Monitor", 1)?;
        let http = request.kind.starts_with("HTTP");
        let monitor = Self {
            id: cloud.ids.uuid(),
            name: request.name,
            delay: request.delay,
            timeout: request.timeout,
            max_retries: request.max_retries,
            max_retries_down: request.max_retries_down.unwrap_or(3),
            http_method: request.http_method.or_else(|| http.then(|| "GET".to_owned())),
            url_path: request.url_path.or_else(|| http.then(|| "/".to_owned())),
            expected_codes: request.expected_codes.or_else(|| http.then(|| "200".to_owned())),
            kind: request.kind,
            pools: vec![me],
            standard: cloud.octavia_standard(&caller.project_id, request.admin_state_up, request.tags),
            ..Self::default()
        };
        cloud.load_balancer.monitors.insert(monitor.clone());
        cloud.start_change(&balancer, Part::Monitor(monitor.id.clone()), Change::Create);
        Ok(monitor)
    }

    fn update(
        cloud: &mut OpenStack,
        caller: &Token,
        id: &str,
        change: HealthMonitorUpdate,
    ) -> Result<Self, ApiError> {
        let mut monitor = Self::owned(cloud, caller, id, "update")?.clone();
        let balancer = monitor.balancer(cloud);
        cloud.check_mutable(&balancer)?;
        monitor.name = change.name.unwrap_or(monitor.name);
        monitor.delay = change.delay.unwrap_or(monitor.delay);
        monitor.timeout = change.timeout.unwrap_or(monitor.timeout);
        monitor.max_retries = change.max_retries.unwrap_or(monitor.max_retries);
        monitor.max_retries_down = change.max_retries_down.unwrap_or(monitor.max_retries_down);
        monitor.standard.admin_state_up = change.admin_state_up.unwrap_or(monitor.standard.admin_state_up);
        monitor.standard.tags = change.tags.unwrap_or(monitor.standard.tags);
        check_times(monitor.delay, monitor.timeout)?;
        cloud.load_balancer.monitors.insert(monitor);
        cloud.start_change(&balancer, Part::Monitor(id.to_owned()), Change::Update);
        Self::get(cloud, caller, id).cloned()
    }

    fn delete(cloud: &mut OpenStack, caller: &Token, id: &str) -> Result<(), ApiError> {
        let balancer = Self::owned(cloud, caller, id, "delete")?.balancer(cloud);
        cloud.check_mutable(&balancer)?;
        cloud.start_change(&balancer, Part::Monitor(id.to_owned()), Change::Delete);
        Ok(())
    }
}
