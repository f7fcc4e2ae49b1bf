//! Listeners.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Change, LoadBalancer, Part, Pool, Reference, Standard, check_choice, policy};
use crate::openstack::OpenStack;
use crate::openstack::body::{nullable, number_or_text};
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;
use crate::openstack::resource::Resource;
use crate::openstack::table::{Table, identified};

const PROTOCOLS: [&str; 7] = ["HTTP", "HTTPS", "UDP", "SCTP", "PROMETHEUS", "TCP", "TERMINATED_HTTPS"];

/// A listener.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Listener {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// `TCP`, ...
    pub protocol: String,
    /// Port.
    pub protocol_port: u16,
    /// -1 is no limit.
    pub connection_limit: i64,
    default_tls_container_ref: Option<String>,
    sni_container_refs: Vec<String>,
    /// Where it leads.
    pub default_pool_id: Option<String>,
    l7policies: Vec<Value>,
    insert_headers: BTreeMap<String, String>,
    /// The one load balancer it is of.
    pub loadbalancers: Vec<Reference>,
    timeout_client_data: u64,
    timeout_member_connect: u64,
    timeout_member_data: u64,
    timeout_tcp_inspect: u64,
    client_ca_tls_container_ref: Option<String>,
    client_authentication: String,
    client_crl_container_ref: Option<String>,
    /// Who may come in; all if none.
    pub allowed_cidrs: Option<Vec<String>>,
    tls_ciphers: Option<String>,
    tls_versions: Option<Vec<String>>,
    alpn_protocols: Option<Vec<String>>,
    /// Attributes that all have.
    #[serde(flatten)]
    pub standard: Standard,
}

identified!(Listener);

/// Body of a create.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerCreate {
    /// `TCP`, ...
    pub protocol: String,
    /// Port.
    pub protocol_port: u16,
    /// The load balancer it is of.
    pub loadbalancer_id: String,
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// -1 is no limit.
    #[serde(default, deserialize_with = "number_or_text")]
    pub connection_limit: Option<i64>,
    /// Where it leads.
    #[serde(default)]
    pub default_pool_id: Option<String>,
    /// Who may come in.
    #[serde(default)]
    pub allowed_cidrs: Option<Vec<String>>,
    /// Headers for the members.
    #[serde(default)]
    pub insert_headers: BTreeMap<String, String>,
    /// Milliseconds.
    #[serde(default, deserialize_with = "number_or_text")]
    pub timeout_client_data: Option<u64>,
    /// Milliseconds.
    #[serde(default, deserialize_with = "number_or_text")]
    pub timeout_member_connect: Option<u64>,
    /// Milliseconds.
    #[serde(default, deserialize_with = "number_or_text")]
    pub timeout_member_data: Option<u64>,
    /// Milliseconds.
    #[serde(default, deserialize_with = "number_or_text")]
    pub timeout_tcp_inspect: Option<u64>,
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
pub struct ListenerUpdate {
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// -1 is no limit.
    #[serde(deserialize_with = "number_or_text")]
    pub connection_limit: Option<i64>,
    /// Where it leads.
    #[serde(deserialize_with = "nullable")]
    pub default_pool_id: Option<Option<String>>,
    /// Who may come in.
    #[serde(deserialize_with = "nullable")]
    pub allowed_cidrs: Option<Option<Vec<String>>>,
    /// Milliseconds.
    #[serde(deserialize_with = "number_or_text")]
    pub timeout_client_data: Option<u64>,
    /// Milliseconds.
    #[serde(deserialize_with = "number_or_text")]
    pub timeout_member_data: Option<u64>,
    /// Up or down.
    pub admin_state_up: Option<bool>,
    /// All tags.
    pub tags: Option<Vec<String>>,
}

impl Listener {
    fn balancer(&self) -> String {
        self.loadbalancers.first().map(|each| each.id.clone()).unwrap_or_default()
    }
}

fn check_ranges(ranges: Option<&Vec<String>>) -> Result<(), ApiError> {
    match ranges.into_iter().flatten().find(|range| range.parse::<ipnet::IpNet>().is_err()) {
        Some(range) => Err(ApiError::bad_request(format!(
            "Invalid input for field/attribute allowed_cidrs. Value: '{range}'. Value should be IPv4 or IPv6 CIDR format"
        ))),
        None => Ok(()),
    }
}

impl Resource for Listener {
    const ONE: &'static str = "listener";
    const MANY: &'static str = "listeners";
    type Create = ListenerCreate;
    type Update = ListenerUpdate;

    fn table(cloud: &OpenStack) -> &Table<Self> {
        &cloud.load_balancer.listeners
    }

    fn table_mut(cloud: &mut OpenStack) -> &mut Table<Self> {
        &mut cloud.load_balancer.listeners
    }

    fn project_id(&self) -> &str {
        &self.standard.project_id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn not_found(id: &str) -> ApiError {
        ApiError::not_found(format!("Listener {id} not found."))
    }

    fn not_owned(_: &str) -> ApiError {
        policy()
    }

    fn create(cloud: &mut OpenStack, caller: &Token, request: ListenerCreate) -> Result<Self, ApiError> {
        check_choice("protocol", &request.protocol, &PROTOCOLS)?;
        check_ranges(request.allowed_cidrs.as_ref())?;
        let balancer = LoadBalancer::owned(cloud, caller, &request.loadbalancer_id, "update")?.id.clone();
        let me = Reference::to(&balancer);
        if let Some(pool) = &request.default_pool_id {
            Pool::owned(cloud, caller, pool, "update")?;
        }
        let clashes = |other: &Self| {
            let udp = |protocol: &str| protocol == "UDP";
            other.loadbalancers.contains(&me)
                && other.protocol_port == request.protocol_port
                && udp(&other.protocol) == udp(&request.protocol)
        };
        if cloud.load_balancer.listeners.iter().any(clashes) {
            return Err(ApiError::conflict(format!(
                "Another Listener on this Load Balancer is already using protocol {} and protocol_port {}",
                request.protocol, request.protocol_port
            )));
        }
        cloud.check_mutable(&balancer)?;
        cloud.octavia_quota(&caller.project_id, "listener", "Listener", 1)?;
        let listener = Self {
            id: cloud.ids.uuid(),
            name: request.name,
            description: request.description,
            protocol: request.protocol,
            protocol_port: request.protocol_port,
            connection_limit: request.connection_limit.unwrap_or(-1),
            default_pool_id: request.default_pool_id,
            insert_headers: request.insert_headers,
            loadbalancers: vec![me],
            timeout_client_data: request.timeout_client_data.unwrap_or(50_000),
            timeout_member_connect: request.timeout_member_connect.unwrap_or(5_000),
            timeout_member_data: request.timeout_member_data.unwrap_or(50_000),
            timeout_tcp_inspect: request.timeout_tcp_inspect.unwrap_or(0),
            client_authentication: "NONE".to_owned(),
            allowed_cidrs: request.allowed_cidrs,
            standard: cloud.octavia_standard(&caller.project_id, request.admin_state_up, request.tags),
            ..Self::default()
        };
        cloud.load_balancer.listeners.insert(listener.clone());
        cloud.start_change(&balancer, Part::Listener(listener.id.clone()), Change::Create);
        Ok(listener)
    }

    fn update(
        cloud: &mut OpenStack,
        caller: &Token,
        id: &str,
        change: ListenerUpdate,
    ) -> Result<Self, ApiError> {
        let mut listener = Self::owned(cloud, caller, id, "update")?.clone();
        check_ranges(change.allowed_cidrs.as_ref().and_then(Option::as_ref))?;
        if let Some(Some(pool)) = &change.default_pool_id {
            Pool::owned(cloud, caller, pool, "update")?;
        }
        let balancer = listener.balancer();
        cloud.check_mutable(&balancer)?;
        listener.name = change.name.unwrap_or(listener.name);
        listener.description = change.description.unwrap_or(listener.description);
        listener.connection_limit = change.connection_limit.unwrap_or(listener.connection_limit);
        listener.default_pool_id = change.default_pool_id.unwrap_or(listener.default_pool_id);
        listener.allowed_cidrs = change.allowed_cidrs.unwrap_or(listener.allowed_cidrs);
        listener.timeout_client_data = change.timeout_client_data.unwrap_or(listener.timeout_client_data);
        listener.timeout_member_data = change.timeout_member_data.unwrap_or(listener.timeout_member_data);
        listener.standard.admin_state_up = change.admin_state_up.unwrap_or(listener.standard.admin_state_up);
        listener.standard.tags = change.tags.unwrap_or(listener.standard.tags);
        cloud.load_balancer.listeners.insert(listener);
        cloud.start_change(&balancer, Part::Listener(id.to_owned()), Change::Update);
        Self::get(cloud, caller, id).cloned()
    }

    fn delete(cloud: &mut OpenStack, caller: &Token, id: &str) -> Result<(), ApiError> {
        let balancer = Self::owned(cloud, caller, id, "delete")?.balancer();
        cloud.check_mutable(&balancer)?;
        cloud.start_change(&balancer, Part::Listener(id.to_owned()), Change::Delete);
        Ok(())
    }
}
