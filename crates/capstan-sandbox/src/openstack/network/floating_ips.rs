//! Floating IPs.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FixedIp, FixedIpRequest, Network, Port, Standard, has_standard, policy};
use crate::openstack::OpenStack;
use crate::openstack::body::nullable;
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;
use crate::openstack::resource::Resource;
use crate::openstack::table::{Table, identified};

/// A floating IP.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FloatingIp {
    /// Id.
    pub id: String,
    /// The address.
    pub floating_ip_address: String,
    /// The external network it is from.
    pub floating_network_id: String,
    /// The router that translates.
    pub router_id: Option<String>,
    /// The port it leads to.
    pub port_id: Option<String>,
    /// The port's address it leads to.
    pub fixed_ip_address: Option<IpAddr>,
    /// `ACTIVE` with a port, else `DOWN`.
    pub status: String,
    port_details: Option<Value>,
    /// Attributes that all have.
    #[serde(flatten)]
    pub standard: Standard,
    #[serde(skip)]
    external: Vec<FixedIp>,
}

identified!(FloatingIp);
has_standard!(FloatingIp);

/// Body of a create.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FloatingIpCreate {
    /// The external network it is from.
    pub floating_network_id: String,
    /// A certain address.
    #[serde(default)]
    pub floating_ip_address: Option<IpAddr>,
    /// The external subnet it is from.
    #[serde(default)]
    pub subnet_id: Option<String>,
    /// The port it leads to.
    #[serde(default)]
    pub port_id: Option<String>,
    /// The port's address; its first if not given.
    #[serde(default)]
    pub fixed_ip_address: Option<IpAddr>,
    /// Free text.
    #[serde(default)]
    pub description: Option<String>,
    /// Owner; only an admin may name another.
    #[serde(default)]
    pub project_id: Option<String>,
    /// The same.
    #[serde(default)]
    pub tenant_id: Option<String>,
}

/// Body of an update.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FloatingIpUpdate {
    /// `null` frees it.
    #[serde(deserialize_with = "nullable")]
    pub port_id: Option<Option<String>>,
    /// The port's address; its first if not given.
    pub fixed_ip_address: Option<IpAddr>,
    /// Free text.
    pub description: Option<String>,
}

fn bad_request(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "BadRequest", format!("Bad floatingip request: {}.", message.into()))
}

impl OpenStack {
    fn associate(
        &self,
        caller: &Token,
        floating_ip: &mut FloatingIp,
        port_id: &str,
        fixed: Option<IpAddr>,
    ) -> Result<(), ApiError> {
        let port = Port::get(self, caller, port_id)?;
        let chosen = match fixed {
            Some(address) => port.fixed_ips.iter().find(|each| each.ip_address == address),
            None => port.fixed_ips.first(),
        };
        let chosen = chosen.ok_or_else(|| {
            bad_request(format!("Cannot add floating IP to port {port_id} that has no fixed IPv4 addresses"))
        })?;
        let taken = |each: &FloatingIp| {
            each.id != floating_ip.id
                && each.port_id.as_deref() == Some(port_id)
                && each.fixed_ip_address == Some(chosen.ip_address)
        };
        if self.network.floating_ips.iter().any(taken) {
            return Err(ApiError::new(
                409,
                "FloatingIPPortAlreadyAssociated",
                format!(
                    "Cannot associate floating IP {} ({}) with port {port_id} using fixed IP {}, as that fixed IP already \
                     has a floating IP on external network {}.",
                    floating_ip.floating_ip_address,
                    floating_ip.id,
                    chosen.ip_address,
                    floating_ip.floating_network_id
                ),
            ));
        }
        let network = &floating_ip.floating_network_id;
        let router = self.router_between(&chosen.subnet_id, network).ok_or_else(|| {
            ApiError::new(
                404,
                "ExternalGatewayForFloatingIPNotFound",
                format!(
                    "External network {network} is not reachable from subnet {}.  Therefore, cannot associate Port \
                     {port_id} with a Floating IP.",
                    chosen.subnet_id
                ),
            )
        })?;
        floating_ip.router_id = Some(router.id.clone());
        floating_ip.port_id = Some(port.id.clone());
        floating_ip.fixed_ip_address = Some(chosen.ip_address);
        "ACTIVE".clone_into(&mut floating_ip.status);
        Ok(())
    }

    /// Frees a floating IP from its port.
    pub(super) fn dissociate(&mut self, id: &str) {
        if let Some(floating_ip) = self.network.floating_ips.get_mut(id) {
            floating_ip.free();
        }
        self.revise::<FloatingIp>(id);
    }
}

impl FloatingIp {
    fn free(&mut self) {
        self.router_id = None;
        self.port_id = None;
        self.fixed_ip_address = None;
        "DOWN".clone_into(&mut self.status);
    }
}

impl Resource for FloatingIp {
    const ONE: &'static str = "floatingip";
    const MANY: &'static str = "floatingips";
    type Create = FloatingIpCreate;
    type Update = FloatingIpUpdate;

    fn table(cloud: &OpenStack) -> &Table<Self> {
        &cloud.network.floating_ips
    }

    fn table_mut(cloud: &mut OpenStack) -> &mut Table<Self> {
        &mut cloud.network.floating_ips
    }

    fn project_id(&self) -> &str {
        &self.standard.project_id
    }

    fn at_hand(&self, key: &str) -> Option<&str> {
        match key {
            "floating_ip_address" => Some(&self.floating_ip_address),
            "port_id" => Some(self.port_id.as_deref().unwrap_or_default()),
            _ => None,
        }
    }

    fn name(&self) -> &str {
        &self.floating_ip_address
    }

    fn not_found(id: &str) -> ApiError {
        ApiError::new(404, "FloatingIPNotFound", format!("Floating IP {id} could not be found"))
    }

    fn not_owned(verb: &str) -> ApiError {
        policy(verb, Self::ONE)
    }

    fn view(&self, cloud: &OpenStack) -> Value {
        let mut view = serde_json::to_value(self).unwrap_or_default();
        if let Some(port) = self.port_id.as_deref().and_then(|id| cloud.network.ports.get(id)) {
            view["port_details"] = json!({
                "name": port.name, "network_id": port.network_id, "mac_address": port.mac_address,
                "admin_state_up": port.admin_state_up, "status": port.status,
                "device_id": port.device_id, "device_owner": port.device_owner,
            });
        }
        view
    }

    fn create(cloud: &mut OpenStack, caller: &Token, request: FloatingIpCreate) -> Result<Self, ApiError> {
        let project =
            OpenStack::target_project(caller, request.project_id.as_ref().or(request.tenant_id.as_ref()))?;
        let network = Network::get(cloud, caller, &request.floating_network_id)?;
        if !network.external {
            return Err(bad_request(format!("Network {} is not a valid external network", network.id)));
        }
        let network_id = network.id.clone();
        cloud.network_quota(&project, "floatingip", 1)?;
        let wanted = FixedIpRequest { subnet_id: request.subnet_id, ip_address: request.floating_ip_address };
        let external = cloud.allocate(&network_id, Some(vec![wanted]))?;
        let address = external.first().map(|each| each.ip_address.to_string()).unwrap_or_default();
        let mut floating_ip = Self {
            id: cloud.ids.uuid(),
            floating_ip_address: address,
            floating_network_id: network_id,
            status: "DOWN".to_owned(),
            standard: cloud.standard(&project, request.description),
            external,
            ..Self::default()
        };
        if let Some(port_id) = &request.port_id
            && let Err(error) = cloud.associate(caller, &mut floating_ip, port_id, request.fixed_ip_address)
        {
            cloud.release(&floating_ip.external);
            return Err(error);
        }
        cloud.network.floating_ips.insert(floating_ip.clone());
        Ok(floating_ip)
    }

    fn update(
        cloud: &mut OpenStack,
        caller: &Token,
        id: &str,
        change: FloatingIpUpdate,
    ) -> Result<Self, ApiError> {
        let mut floating_ip = Self::owned(cloud, caller, id, "update")?.clone();
        match change.port_id {
            Some(Some(port_id)) => {
                cloud.associate(caller, &mut floating_ip, &port_id, change.fixed_ip_address)?;
            }
            Some(None) => floating_ip.free(),
            None => {}
        }
        floating_ip.standard.description = change.description.unwrap_or(floating_ip.standard.description);
        cloud.network.floating_ips.insert(floating_ip);
        cloud.revise::<Self>(id);
        Self::get(cloud, caller, id).cloned()
    }

    fn delete(cloud: &mut OpenStack, caller: &Token, id: &str) -> Result<(), ApiError> {
        let external = Self::owned(cloud, caller, id, "delete")?.external.clone();
        cloud.release(&external);
        cloud.network.floating_ips.remove(id);
        Ok(())
    }
}
