//! Pools.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Change, Listener, LoadBalancer, Part, Reference, Standard, check_choice, policy, validation};
use crate::openstack::OpenStack;
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;
use crate::openstack::resource::Resource;
use crate::openstack::table::{Table, identified};

const ALGORITHMS: [&str; 4] = ["LEAST_CONNECTIONS", "SOURCE_IP_PORT", "SOURCE_IP", "ROUND_ROBIN"];
const PROTOCOLS: [&str; 7] = ["HTTP", "HTTPS", "PROXY", "PROXYV2", "TCP", "UDP", "SCTP"];

/// A pool.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Pool {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// `TCP`, ...
    pub protocol: String,
    /// `ROUND_ROBIN`, ...
    pub lb_algorithm: String,
    session_persistence: Option<Value>,
    /// The one load balancer it is of.
    pub loadbalancers: Vec<Reference>,
    /// The listeners that lead to it.
    pub listeners: Vec<Reference>,
    members: Vec<Reference>,
    healthmonitor_id: Option<String>,
    tls_container_ref: Option<String>,
    ca_tls_container_ref: Option<String>,
    crl_container_ref: Option<String>,
    tls_enabled: bool,
    tls_ciphers: Option<String>,
    tls_versions: Option<Vec<String>>,
    alpn_protocols: Option<Vec<String>>,
    /// Attributes that all have.
    #[serde(flatten)]
    pub standard: Standard,
}

identified!(Pool);

/// Body of a create.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolCreate {
    /// `TCP`, ...
    pub protocol: String,
    /// `ROUND_ROBIN`, ...
    pub lb_algorithm: String,
    /// The listener that leads to it,
    #[serde(default)]
    pub listener_id: Option<String>,
    /// or the load balancer it is of.
    #[serde(default)]
    pub loadbalancer_id: Option<String>,
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// How a client stays with a member.
    #[serde(default)]
    pub session_persistence: Option<Value>,
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
pub struct PoolUpdate {
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// `ROUND_ROBIN`, ...
    pub lb_algorithm: Option<String>,
    /// Up or down.
    pub admin_state_up: Option<bool>,
    /// All tags.
    pub tags: Option<Vec<String>>,
}

impl Pool {
    pub(super) fn balancer(&self) -> String {
        self.loadbalancers.first().map(|each| each.id.clone()).unwrap_or_default()
    }
}

impl Resource for Pool {
    const ONE: &'static str = "pool";
    const MANY: &'static str = "pools";
    type Create = PoolCreate;
    type Update = PoolUpdate;

    fn table(cloud: &OpenStack) -> &Table<Self> {
        &cloud.load_balancer.pools
    }

    fn table_mut(cloud: &mut OpenStack) -> &mut Table<Self> {
        &mut cloud.load_balancer.pools
    }

    fn project_id(&self) -> &str {
        &self.standard.project_id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn not_found(id: &str) -> ApiError {
        ApiError::not_found(format!("Pool {id} not found."))
    }

    fn not_owned(_: &str) -> ApiError {
        policy()
    }

    fn view(&self, cloud: &OpenStack) -> Value {
        let mut view = serde_json::to_value(self).unwrap_or_default();
        let octavia = &cloud.load_balancer;
        let members = octavia.members.iter().filter(|each| each.pool_id == self.id);
        view["members"] = members.map(|each| json!({"id": each.id})).collect();
        let me = Reference::to(&self.id);
        let monitor = octavia.monitors.iter().find(|each| each.pools.contains(&me));
        view["healthmonitor_id"] = json!(monitor.map(|each| &each.id));
        view
    }

    fn create(cloud: &mut OpenStack, caller: &Token, request: PoolCreate) -> Result<Self, ApiError> {
        check_choice("lb_algorithm", &request.lb_algorithm, &ALGORITHMS)?;
        check_choice("protocol", &request.protocol, &PROTOCOLS)?;
        let (balancer, listener) = match (&request.listener_id, &request.loadbalancer_id) {
            (Some(listener), _) => {
                let listener = Listener::owned(cloud, caller, listener, "update")?;
                if listener.default_pool_id.is_some() {
                    return Err(ApiError::conflict("This listener already has a default pool"));
                }
                let balancer = listener.loadbalancers.first().map(|each| each.id.clone()).unwrap_or_default();
                (balancer, Some(listener.id.clone()))
            }
            (None, Some(balancer)) => {
                (LoadBalancer::owned(cloud, caller, balancer, "update")?.id.clone(), None)
            }
            (None, None) => {
                return Err(validation("Must provide at least one of: loadbalancer_id, listener_id"));
            }
        };
        cloud.check_mutable(&balancer)?;
        cloud.octavia_quota(&caller.project_id, "pool", "Pool", 1)?;
        let pool = Self {
            id: cloud.ids.uuid(),
            name: request.name,
            description: request.description,
            protocol: request.protocol,
            lb_algorithm: request.lb_algorithm,
            session_persistence: request.session_persistence,
            loadbalancers: vec![Reference::to(&balancer)],
            listeners: listener.iter().map(|id| Reference::to(id)).collect(),
            standard: cloud.octavia_standard(&caller.project_id, request.admin_state_up, request.tags),
            ..Self::default()
        };
        if let Some(listener) = listener.and_then(|id| cloud.load_balancer.listeners.get_mut(&id)) {
            listener.default_pool_id = Some(pool.id.clone());
        }
        cloud.load_balancer.pools.insert(pool.clone());
        cloud.start_change(&balancer, Part::Pool(pool.id.clone()), Change::Create);
        Ok(pool)
    }

    fn update(cloud: &mut OpenStack, caller: &Token, id: &str, change: PoolUpdate) -> Result<Self, ApiError> {
        let mut pool = Self::owned(cloud, caller, id, "update")?.clone();
        if let Some(algorithm) = &change.lb_algorithm {
            check_choice("lb_algorithm", algorithm, &ALGORITHMS)?;
        }
        let balancer = pool.balancer();
        cloud.check_mutable(&balancer)?;
        pool.name = change.name.unwrap_or(pool.name);
        pool.description = change.description.unwrap_or(pool.description);
        pool.lb_algorithm = change.lb_algorithm.unwrap_or(pool.lb_algorithm);
        pool.standard.admin_state_up = change.admin_state_up.unwrap_or(pool.standard.admin_state_up);
        pool.standard.tags = change.tags.unwrap_or(pool.standard.tags);
        cloud.load_balancer.pools.insert(pool);
        cloud.start_change(&balancer, Part::Pool(id.to_owned()), Change::Update);
        Self::get(cloud, caller, id).cloned()
    }

    fn delete(cloud: &mut OpenStack, caller: &Token, id: &str) -> Result<(), ApiError> {
        let balancer = Self::owned(cloud, caller, id, "delete")?.balancer();
        cloud.check_mutable(&balancer)?;
        cloud.start_change(&balancer, Part::Pool(id.to_owned()), Change::Delete);
        Ok(())
    }
}
