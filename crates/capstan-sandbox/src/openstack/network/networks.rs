//! Networks.

use serde::{Deserialize, Serialize};

use super::{MTU, Port, Standard, has_standard, invalid, policy};
use crate::openstack::OpenStack;
use crate::openstack::body::number_or_text;
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;
use crate::openstack::resource::Resource;
use crate::openstack::table::{Table, identified};

/// A network.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Network {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Always true unless switched off.
    pub admin_state_up: bool,
    /// Largest packet.
    pub mtu: u32,
    /// Always `ACTIVE`.
    pub status: String,
    /// Ids of its subnets.
    pub subnets: Vec<String>,
    /// Seen by all projects.
    pub shared: bool,
    /// Zones asked for.
    pub availability_zone_hints: Vec<String>,
    /// Zones it is in.
    pub availability_zones: Vec<String>,
    ipv4_address_scope: Option<String>,
    ipv6_address_scope: Option<String>,
    /// Leads out of the cloud.
    #[serde(rename = "router:external")]
    pub external: bool,
    /// Whether ports filter by default.
    pub port_security_enabled: bool,
    is_default: bool,
    /// Attributes that all have.
    #[serde(flatten)]
    pub standard: Standard,
}

identified!(Network);
has_standard!(Network);

/// Body of a create.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkCreate {
    /// Name.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// True if not given.
    pub admin_state_up: Option<bool>,
    /// Largest packet.
    #[serde(deserialize_with = "number_or_text")]
    pub mtu: Option<u32>,
    /// Only an admin may.
    pub shared: Option<bool>,
    /// Only an admin may.
    #[serde(rename = "router:external")]
    pub external: Option<bool>,
    /// Whether ports filter by default.
    pub port_security_enabled: Option<bool>,
    /// Zones asked for.
    pub availability_zone_hints: Vec<String>,
    /// Owner; only an admin may name another.
    pub project_id: Option<String>,
    /// The same.
    pub tenant_id: Option<String>,
}

/// Body of an update.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkUpdate {
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Up or down.
    pub admin_state_up: Option<bool>,
    /// Largest packet.
    #[serde(deserialize_with = "number_or_text")]
    pub mtu: Option<u32>,
    /// Whether ports filter by default.
    pub port_security_enabled: Option<bool>,
}

fn check_mtu(mtu: Option<u32>) -> Result<(), ApiError> {
    match mtu {
        Some(mtu) if mtu > MTU => Err(invalid(format!("Requested MTU is too big, maximum is {MTU}."))),
        _ => Ok(()),
    }
}

impl Resource for Network {
    const ONE: &'static str = "network";
    const MANY: &'static str = "networks";
    type Create = NetworkCreate;
    type Update = NetworkUpdate;

    fn table(cloud: &OpenStack) -> &Table<Self> {
        &cloud.network.networks
    }

    fn table_mut(cloud: &mut OpenStack) -> &mut Table<Self> {
        &mut cloud.network.networks
    }

    fn project_id(&self) -> &str {
        &self.standard.project_id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn not_found(id: &str) -> ApiError {
        ApiError::new(404, "NetworkNotFound", format!("Network {id} could not be found."))
    }

    fn not_owned(verb: &str) -> ApiError {
        policy(verb, Self::ONE)
    }

    fn is_visible(&self, caller: &Token) -> bool {
        self.shared || self.external || caller.sees(self.project_id())
    }

    fn create(cloud: &mut OpenStack, caller: &Token, request: NetworkCreate) -> Result<Self, ApiError> {
        check_mtu(request.mtu)?;
        if (request.shared == Some(true) || request.external == Some(true)) && !caller.is_admin() {
            return Err(policy("create", "network"));
        }
        let project =
            OpenStack::target_project(caller, request.project_id.as_ref().or(request.tenant_id.as_ref()))?;
        cloud.network_quota(&project, "network", 1)?;
        cloud.check_zones(&request.availability_zone_hints)?;
        let network = Self {
            id: cloud.ids.uuid(),
            name: request.name,
            admin_state_up: request.admin_state_up.unwrap_or(true),
            mtu: request.mtu.unwrap_or(MTU),
            status: "ACTIVE".to_owned(),
            shared: request.shared.unwrap_or_default(),
            availability_zone_hints: request.availability_zone_hints,
            external: request.external.unwrap_or_default(),
            port_security_enabled: request.port_security_enabled.unwrap_or(true),
            standard: cloud.standard(&project, request.description),
            ..Self::default()
        };
        cloud.network.networks.insert(network.clone());
        Ok(network)
    }

    fn update(
        cloud: &mut OpenStack,
        caller: &Token,
        id: &str,
        change: NetworkUpdate,
    ) -> Result<Self, ApiError> {
        let mut network = Self::owned(cloud, caller, id, "update")?.clone();
        check_mtu(change.mtu)?;
        network.name = change.name.unwrap_or(network.name);
        network.standard.description = change.description.unwrap_or(network.standard.description);
        network.admin_state_up = change.admin_state_up.unwrap_or(network.admin_state_up);
        network.mtu = change.mtu.unwrap_or(network.mtu);
        network.port_security_enabled = change.port_security_enabled.unwrap_or(network.port_security_enabled);
        cloud.network.networks.insert(network);
        cloud.revise::<Self>(id);
        Self::get(cloud, caller, id).cloned()
    }

    fn delete(cloud: &mut OpenStack, caller: &Token, id: &str) -> Result<(), ApiError> {
        let network = Self::owned(cloud, caller, id, "delete")?.clone();
        let on_it = |port: &&Port| port.network_id == id;
        let ports: Vec<&str> =
            cloud.network.ports.iter().filter(on_it).map(|port| port.id.as_str()).collect();
        if !ports.is_empty() {
            return Err(ApiError::new(
                409,
                "NetworkInUse",
                format!(
                    "Unable to complete operation on network {id}. There are one or more ports still in use on the \
                     network, id for these ports is: {}.",
                    ports.join(",")
                ),
            ));
        }
        for subnet in &network.subnets {
            cloud.network.subnets.remove(subnet);
        }
        cloud.network.networks.remove(id);
        Ok(())
    }
}
