//! Ports and their addresses.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Network, SecurityGroup, Standard, Subnet, has_standard, policy};
use crate::openstack::error::ApiError;
use crate::openstack::identity::{Login, Token};
use crate::openstack::resource::Resource;
use crate::openstack::table::{Table, identified};
use crate::openstack::{OpenStack, ZONES};

/// A port.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Port {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// The network it is on.
    pub network_id: String,
    /// Hardware address.
    pub mac_address: String,
    /// Up or down, as asked for.
    pub admin_state_up: bool,
    /// `ACTIVE` or `DOWN`.
    pub status: String,
    /// What uses it.
    pub device_id: String,
    /// `compute:az1`, `network:router_interface`, `Octavia`, ...
    pub device_owner: String,
    /// Addresses.
    pub fixed_ips: Vec<FixedIp>,
    /// Other addresses that it may use.
    pub allowed_address_pairs: Vec<AddressPair>,
    extra_dhcp_opts: Vec<Value>,
    /// Ids of its security groups.
    pub security_groups: Vec<String>,
    #[serde(rename = "binding:vnic_type")]
    vnic_type: String,
    /// Whether it filters.
    pub port_security_enabled: bool,
    /// Attributes that all have.
    #[serde(flatten)]
    pub standard: Standard,
    #[serde(skip)]
    network_owner: String,
}

/// An address of a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FixedIp {
    /// The subnet it is from.
    pub subnet_id: String,
    /// The address.
    pub ip_address: IpAddr,
}

/// An address that a port may use besides its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressPair {
    /// Address or range.
    pub ip_address: String,
    /// The port's own if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
}

/// An address that a port is to have: of a subnet, a certain one, or both.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FixedIpRequest {
    /// The subnet.
    pub subnet_id: Option<String>,
    /// The address.
    pub ip_address: Option<IpAddr>,
}

identified!(Port);
has_standard!(Port);

/// Body of a create.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortCreate {
    /// The network it is on.
    pub network_id: String,
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Free text.
    #[serde(default)]
    pub description: Option<String>,
    /// Addresses; one of the network's first subnet if not given.
    #[serde(default)]
    pub fixed_ips: Option<Vec<FixedIpRequest>>,
    /// Ids; the project's default group if not given.
    #[serde(default)]
    pub security_groups: Option<Vec<String>>,
    /// Other addresses that it may use.
    #[serde(default)]
    pub allowed_address_pairs: Option<Vec<AddressPair>>,
    /// What uses it.
    #[serde(default)]
    pub device_id: Option<String>,
    /// What kind of thing uses it.
    #[serde(default)]
    pub device_owner: Option<String>,
    /// Up if not given.
    #[serde(default)]
    pub admin_state_up: Option<bool>,
    /// The network's setting if not given.
    #[serde(default)]
    pub port_security_enabled: Option<bool>,
    /// Made up if not given.
    #[serde(default)]
    pub mac_address: Option<String>,
    /// `normal` if not given.
    #[serde(default, rename = "binding:vnic_type")]
    pub vnic_type: Option<String>,
    /// Taken and not looked at.
    #[serde(default, rename = "binding:profile")]
    pub profile: Option<Value>,
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
pub struct PortUpdate {
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// All addresses that it is to have.
    pub fixed_ips: Option<Vec<FixedIpRequest>>,
    /// All groups that it is to have.
    pub security_groups: Option<Vec<String>>,
    /// Other addresses that it may use.
    pub allowed_address_pairs: Option<Vec<AddressPair>>,
    /// What uses it.
    pub device_id: Option<String>,
    /// What kind of thing uses it.
    pub device_owner: Option<String>,
    /// Up or down.
    pub admin_state_up: Option<bool>,
    /// Whether it filters.
    pub port_security_enabled: Option<bool>,
}

impl OpenStack {
    /// Takes addresses on a network, all or none.
    pub(super) fn allocate(
        &mut self,
        network_id: &str,
        wanted: Option<Vec<FixedIpRequest>>,
    ) -> Result<Vec<FixedIp>, ApiError> {
        let subnets = match self.network.networks.get(network_id) {
            Some(network) => network.subnets.clone(),
            None => return Err(Network::not_found(network_id)),
        };
        let wanted = match wanted {
            Some(wanted) => wanted,
            None => subnets.first().map(|_| FixedIpRequest::default()).into_iter().collect(),
        };
        let mut taken = Vec::new();
        for request in wanted {
            match self.allocate_one(network_id, &subnets, &request) {
                Ok(fixed_ip) => taken.push(fixed_ip),
                Err(error) => {
                    self.release(&taken);
                    return Err(error);
                }
            }
        }
        Ok(taken)
    }

    fn allocate_one(
        &mut self,
        network_id: &str,
        subnets: &[String],
        request: &FixedIpRequest,
    ) -> Result<FixedIp, ApiError> {
        if let Some(subnet) = request.subnet_id.as_ref().filter(|subnet| !subnets.contains(*subnet)) {
            return Err(if self.network.subnets.get(subnet).is_none() {
                Subnet::not_found(subnet)
            } else {
                let text = format!(
                    "Failed to create port on network {network_id}, because fixed_ips included invalid subnet {subnet}."
                );
                ApiError::new(400, "InvalidInput", format!("Invalid input for operation: {text}"))
            });
        }
        let candidates: Vec<&String> = subnets
            .iter()
            .filter(|id| request.subnet_id.as_ref().is_none_or(|wanted| wanted == *id))
            .collect();
        for id in candidates {
            let Some(subnet) = self.network.subnets.get_mut(id) else { continue };
            let Some(range) = subnet.range() else { continue };
            let address = match request.ip_address {
                Some(address) if !range.contains(&address) => continue,
                Some(address) => address,
                None => match subnet.taken.next(&subnet.pools()) {
                    Some(address) => address,
                    None => continue,
                },
            };
            if !subnet.taken.take(address) {
                return Err(ApiError::new(
                    409,
                    "IpAddressAlreadyAllocated",
                    format!("IP address {address} already allocated in subnet {id}"),
                ));
            }
            return Ok(FixedIp { subnet_id: id.clone(), ip_address: address });
        }
        Err(match request.ip_address {
            Some(address) => ApiError::new(
                400,
                "InvalidIpForNetwork",
                format!(
                    "IP address {address} is not a valid IP for any of the subnets on the specified network."
                ),
            ),
            None => ApiError::new(
                409,
                "IpAddressGenerationFailure",
                format!("No more IP addresses available on network {network_id}."),
            ),
        })
    }

    pub(super) fn release(&mut self, addresses: &[FixedIp]) {
        for fixed_ip in addresses {
            if let Some(subnet) = self.network.subnets.get_mut(&fixed_ip.subnet_id) {
                subnet.taken.release(fixed_ip.ip_address);
            }
        }
    }

    fn check_groups(&self, caller: &Token, groups: &[String]) -> Result<(), ApiError> {
        for id in groups {
            SecurityGroup::get(self, caller, id)?;
        }
        Ok(())
    }

    /// A port that a service makes for itself: its owner is given, quota and groups are the project's.
    pub(crate) fn plug(&mut self, caller: &Token, request: PortCreate) -> Result<Port, ApiError> {
        let project =
            Self::target_project(caller, request.project_id.as_ref().or(request.tenant_id.as_ref()))?;
        let network = Network::get(self, caller, &request.network_id)?.clone();
        let secured = request.port_security_enabled.unwrap_or(network.port_security_enabled);
        let groups = match request.security_groups {
            Some(groups) => {
                self.check_groups(caller, &groups)?;
                groups
            }
            None if secured => vec![self.default_group(&project)],
            None => Vec::new(),
        };
        if !groups.is_empty() && !secured {
            return Err(ApiError::new(
                409,
                "PortSecurityPortHasSecurityGroup",
                "Port has security group associated. Cannot disable port security or IP address until security group is removed",
            ));
        }
        self.network_quota(&project, "port", 1)?;
        let fixed_ips = self.allocate(&network.id, request.fixed_ips)?;
        let mac = request.mac_address.unwrap_or_else(|| self.mac());
        let owner = request.device_owner.unwrap_or_default();
        let bound = owner.starts_with("network:");
        let port = Port {
            id: self.ids.uuid(),
            name: request.name,
            network_owner: network.project_id().to_owned(),
            network_id: network.id,
            admin_state_up: request.admin_state_up.unwrap_or(true),
            status: if bound { "ACTIVE" } else { "DOWN" }.to_owned(),
            device_id: request.device_id.unwrap_or_default(),
            device_owner: owner,
            fixed_ips,
            allowed_address_pairs: with_mac(request.allowed_address_pairs.unwrap_or_default(), &mac),
            mac_address: mac,
            security_groups: groups,
            vnic_type: request.vnic_type.unwrap_or_else(|| "normal".to_owned()),
            port_security_enabled: secured,
            standard: self.standard(&project, request.description),
            ..Port::default()
        };
        self.network.ports.insert(port.clone());
        Ok(port)
    }

    /// A port whose device is gone, if a fault wants one in this network.
    pub(super) fn stray_port(&mut self, network_id: &str, name: &str) -> Result<(), ApiError> {
        let Some(foreign) = self.faults.stray_port(name) else { return Ok(()) };
        let admin = self.log_in(&Login::password("admin", "admin-password", "admin"))?;
        let owner = self.network.networks.get(network_id).map(|network| network.project_id().to_owned());
        let wanted = PortCreate {
            network_id: network_id.to_owned(),
            project_id: owner.filter(|_| !foreign),
            device_id: Some(self.ids.uuid()),
            device_owner: Some(format!("compute:{}", ZONES[0])),
            ..PortCreate::default()
        };
        self.plug(&admin, wanted).map(drop)
    }

    /// Removes a port with its addresses; floating IPs on it are freed.
    pub(crate) fn unplug(&mut self, id: &str) {
        let Some(port) = self.network.ports.remove(id) else { return };
        self.release(&port.fixed_ips);
        let on_it: Vec<String> = self
            .network
            .floating_ips
            .iter()
            .filter(|each| each.port_id.as_deref() == Some(id))
            .map(|each| each.id.clone())
            .collect();
        for floating_ip in on_it {
            self.dissociate(&floating_ip);
        }
    }

    /// Ties a port to a device, or frees it.
    pub(crate) fn bind_port(&mut self, id: &str, device: Option<(&str, &str)>) {
        if let Some(port) = self.network.ports.get_mut(id) {
            let (device_id, device_owner) = device.unwrap_or_default();
            device_id.clone_into(&mut port.device_id);
            device_owner.clone_into(&mut port.device_owner);
            port.status = if device.is_some() { "ACTIVE" } else { "DOWN" }.to_owned();
        }
        self.revise::<Port>(id);
    }

    fn mac(&self) -> String {
        let digits = self.ids.hex();
        format!("fa:16:3e:{}:{}:{}", &digits[0..2], &digits[2..4], &digits[4..6])
    }
}

fn with_mac(pairs: Vec<AddressPair>, mac: &str) -> Vec<AddressPair> {
    let fill = |pair: AddressPair| AddressPair {
        mac_address: pair.mac_address.or_else(|| Some(mac.to_owned())),
        ip_address: pair.ip_address,
    };
    pairs.into_iter().map(fill).collect()
}

impl Resource for Port {
    const ONE: &'static str = "port";
    const MANY: &'static str = "ports";
    type Create = PortCreate;
    type Update = PortUpdate;

    fn table(cloud: &OpenStack) -> &Table<Self> {
        &cloud.network.ports
    }

    fn table_mut(cloud: &mut OpenStack) -> &mut Table<Self> {
        &mut cloud.network.ports
    }

    fn project_id(&self) -> &str {
        &self.standard.project_id
    }

    fn at_hand(&self, key: &str) -> Option<&str> {
        match key {
            "network_id" => Some(&self.network_id),
            "device_id" => Some(&self.device_id),
            _ => None,
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn not_found(id: &str) -> ApiError {
        ApiError::new(404, "PortNotFound", format!("Port {id} could not be found."))
    }

    fn not_owned(verb: &str) -> ApiError {
        policy(verb, Self::ONE)
    }

    /// Whoever owns a network sees all ports in it.
    fn is_visible(&self, caller: &Token) -> bool {
        caller.sees(self.project_id()) || caller.sees(&self.network_owner)
    }

    fn create(cloud: &mut OpenStack, caller: &Token, request: PortCreate) -> Result<Self, ApiError> {
        let network = Network::get(cloud, caller, &request.network_id)?;
        if network.external && !network.shared && !caller.sees(network.project_id()) {
            return Err(policy("create", "port"));
        }
        let network_service = |owner: &String| owner.starts_with("network:");
        if request.device_owner.as_ref().is_some_and(network_service) && !caller.is_admin() {
            return Err(policy("create", "port:device_owner"));
        }
        cloud.plug(caller, request)
    }

    fn update(cloud: &mut OpenStack, caller: &Token, id: &str, change: PortUpdate) -> Result<Self, ApiError> {
        let mut port = Self::owned(cloud, caller, id, "update")?.clone();
        if let Some(groups) = change.security_groups {
            cloud.check_groups(caller, &groups)?;
            port.security_groups = groups;
        }
        if let Some(wanted) = change.fixed_ips {
            cloud.release(&port.fixed_ips);
            match cloud.allocate(&port.network_id, Some(wanted)) {
                Ok(fixed_ips) => port.fixed_ips = fixed_ips,
                Err(error) => {
                    let old = port.fixed_ips.iter().map(|each| FixedIpRequest {
                        subnet_id: Some(each.subnet_id.clone()),
                        ip_address: Some(each.ip_address),
                    });
                    // They were free a moment ago and the cloud is locked: this cannot fail.
                    let _ = cloud.allocate(&port.network_id, Some(old.collect()));
                    return Err(error);
                }
            }
        }
        port.name = change.name.unwrap_or(port.name);
        port.standard.description = change.description.unwrap_or(port.standard.description);
        if let Some(pairs) = change.allowed_address_pairs {
            port.allowed_address_pairs = with_mac(pairs, &port.mac_address);
        }
        port.device_id = change.device_id.unwrap_or(port.device_id);
        port.device_owner = change.device_owner.unwrap_or(port.device_owner);
        port.admin_state_up = change.admin_state_up.unwrap_or(port.admin_state_up);
        port.port_security_enabled = change.port_security_enabled.unwrap_or(port.port_security_enabled);
        cloud.network.ports.insert(port);
        cloud.revise::<Self>(id);
        Self::get(cloud, caller, id).cloned()
    }

    fn delete(cloud: &mut OpenStack, caller: &Token, id: &str) -> Result<(), ApiError> {
        // Who owns the network may delete what others have in it, but not change it.
        let port = Self::get(cloud, caller, id)?;
        let service = ["network:router_interface", "network:router_gateway", "network:floatingip"];
        if service.contains(&port.device_owner.as_str()) {
            return Err(ApiError::new(
                409,
                "ServicePortInUse",
                format!(
                    "Port {id} cannot be deleted directly via the port API: has device owner {}.",
                    port.device_owner
                ),
            ));
        }
        cloud.unplug(id);
        Ok(())
    }
}
