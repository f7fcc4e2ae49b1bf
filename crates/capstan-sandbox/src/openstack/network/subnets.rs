//! Subnets.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::address::{self, Taken};
use super::{Network, Standard, has_standard, invalid, policy};
use crate::openstack::OpenStack;
use crate::openstack::body::nullable;
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;
use crate::openstack::resource::Resource;
use crate::openstack::table::{Table, identified};

/// A subnet.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Subnet {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// The network it is on.
    pub network_id: String,
    /// 4 or 6.
    pub ip_version: u8,
    subnetpool_id: Option<String>,
    /// Whether addresses are handed out.
    pub enable_dhcp: bool,
    ipv6_ra_mode: Option<String>,
    ipv6_address_mode: Option<String>,
    /// The router's address.
    pub gateway_ip: Option<IpAddr>,
    /// Range.
    pub cidr: String,
    /// Ranges that ports get addresses from.
    pub allocation_pools: Vec<AllocationPool>,
    host_routes: Vec<Value>,
    /// Name servers.
    pub dns_nameservers: Vec<String>,
    service_types: Vec<String>,
    /// Attributes that all have.
    #[serde(flatten)]
    pub standard: Standard,
    #[serde(skip)]
    pub(super) taken: Taken,
}

/// First and last address of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllocationPool {
    /// First.
    pub start: IpAddr,
    /// Last.
    pub end: IpAddr,
}

identified!(Subnet);
has_standard!(Subnet);

/// Body of a create.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubnetCreate {
    /// The network it is on.
    pub network_id: String,
    /// 4 or 6.
    pub ip_version: u8,
    /// Range.
    pub cidr: String,
    /// Name.
    #[serde(default)]
    pub name: String,
    /// Free text.
    #[serde(default)]
    pub description: Option<String>,
    /// `null` for none; the first address if not given.
    #[serde(default, deserialize_with = "nullable")]
    pub gateway_ip: Option<Option<IpAddr>>,
    /// True if not given.
    #[serde(default)]
    pub enable_dhcp: Option<bool>,
    /// Everything but the gateway if not given.
    #[serde(default)]
    pub allocation_pools: Option<Vec<AllocationPool>>,
    /// Name servers.
    #[serde(default)]
    pub dns_nameservers: Vec<String>,
    /// Extra routes.
    #[serde(default)]
    pub host_routes: Vec<Value>,
    /// IPv6 only.
    #[serde(default)]
    pub ipv6_ra_mode: Option<String>,
    /// IPv6 only.
    #[serde(default)]
    pub ipv6_address_mode: Option<String>,
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
pub struct SubnetUpdate {
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Name servers.
    pub dns_nameservers: Option<Vec<String>>,
    /// Whether addresses are handed out.
    pub enable_dhcp: Option<bool>,
    /// Extra routes.
    pub host_routes: Option<Vec<Value>>,
}

impl Subnet {
    /// Its range.
    #[must_use]
    pub fn range(&self) -> Option<IpNet> {
        self.cidr.parse().ok()
    }

    pub(super) fn pools(&self) -> Vec<(IpAddr, IpAddr)> {
        self.allocation_pools.iter().map(|pool| (pool.start, pool.end)).collect()
    }
}

/// A CIDR as Neutron takes it: host bits are cut off, a bare address is a range of one.
fn parse_range(request: &SubnetCreate) -> Result<IpNet, ApiError> {
    let no_cidr = || invalid(format!("{} is not in a CIDR format.", request.cidr));
    let parsed = request.cidr.parse::<IpNet>();
    let range =
        parsed.or_else(|_| request.cidr.parse::<IpAddr>().map(IpNet::from)).map_err(|_| no_cidr())?.trunc();
    let version = if range.addr().is_ipv4() { 4 } else { 6 };
    if version != request.ip_version {
        return Err(invalid(format!(
            "ip_version {} does not match cidr {}",
            request.ip_version, request.cidr
        )));
    }
    let dhcp = request.enable_dhcp.unwrap_or(true);
    if dhcp && version == 4 && range.prefix_len() > 30 {
        return Err(invalid("Subnet has a prefix length that is incompatible with DHCP service enabled."));
    }
    Ok(range)
}

impl Resource for Subnet {
    const ONE: &'static str = "subnet";
    const MANY: &'static str = "subnets";
    type Create = SubnetCreate;
    type Update = SubnetUpdate;

    fn table(cloud: &OpenStack) -> &Table<Self> {
        &cloud.network.subnets
    }

    fn table_mut(cloud: &mut OpenStack) -> &mut Table<Self> {
        &mut cloud.network.subnets
    }

    fn project_id(&self) -> &str {
        &self.standard.project_id
    }

    fn at_hand(&self, key: &str) -> Option<&str> {
        match key {
            "network_id" => Some(&self.network_id),
            _ => None,
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn not_found(id: &str) -> ApiError {
        ApiError::new(404, "SubnetNotFound", format!("Subnet {id} could not be found."))
    }

    fn not_owned(verb: &str) -> ApiError {
        policy(verb, Self::ONE)
    }

    fn create(cloud: &mut OpenStack, caller: &Token, request: SubnetCreate) -> Result<Self, ApiError> {
        let range = parse_range(&request)?;
        let network = Network::get(cloud, caller, &request.network_id)?;
        if !caller.sees(network.project_id()) {
            return Err(policy("create", "subnet"));
        }
        let project =
            OpenStack::target_project(caller, request.project_id.as_ref().or(request.tenant_id.as_ref()))?;
        for sibling in network.subnets.iter().filter_map(|id| cloud.network.subnets.get(id)) {
            let overlaps = |other: IpNet| other.contains(&range) || range.contains(&other);
            if sibling.range().is_some_and(overlaps) {
                return Err(invalid(format!(
                    "Requested subnet with cidr: {range} for network: {} overlaps with another subnet.",
                    network.id
                )));
            }
        }
        cloud.network_quota(&project, "subnet", 1)?;
        let gateway_ip = request.gateway_ip.unwrap_or_else(|| Some(address::nth(range, 1)));
        let pools = request.allocation_pools.unwrap_or_else(|| {
            let ranges = address::without(address::host_range(range), gateway_ip);
            ranges.into_iter().map(|(start, end)| AllocationPool { start, end }).collect()
        });
        if let Some(pool) = pools.iter().find(|pool| pool.start > pool.end) {
            let text = format!("The allocation pool {}-{} is not valid.", pool.start, pool.end);
            return Err(ApiError::new(400, "InvalidAllocationPool", text));
        }
        let outside = |pool: &&AllocationPool| !range.contains(&pool.start) || !range.contains(&pool.end);
        if let Some(pool) = pools.iter().find(outside) {
            return Err(ApiError::new(
                400,
                "OutOfBoundsAllocationPool",
                format!(
                    "The allocation pool {}-{} spans beyond the subnet cidr {range}.",
                    pool.start, pool.end
                ),
            ));
        }
        let subnet = Self {
            id: cloud.ids.uuid(),
            name: request.name,
            network_id: request.network_id,
            ip_version: request.ip_version,
            enable_dhcp: request.enable_dhcp.unwrap_or(true),
            ipv6_ra_mode: request.ipv6_ra_mode,
            ipv6_address_mode: request.ipv6_address_mode,
            gateway_ip,
            cidr: range.to_string(),
            allocation_pools: pools,
            host_routes: request.host_routes,
            dns_nameservers: request.dns_nameservers,
            standard: cloud.standard(&project, request.description),
            ..Self::default()
        };
        cloud.network.subnets.insert(subnet.clone());
        if let Some(network) = cloud.network.networks.get_mut(&subnet.network_id) {
            network.subnets.push(subnet.id.clone());
            let name = network.name.clone();
            cloud.stray_port(&subnet.network_id, &name)?;
        }
        Ok(subnet)
    }

    fn update(
        cloud: &mut OpenStack,
        caller: &Token,
        id: &str,
        change: SubnetUpdate,
    ) -> Result<Self, ApiError> {
        let mut subnet = Self::owned(cloud, caller, id, "update")?.clone();
        subnet.name = change.name.unwrap_or(subnet.name);
        subnet.standard.description = change.description.unwrap_or(subnet.standard.description);
        subnet.dns_nameservers = change.dns_nameservers.unwrap_or(subnet.dns_nameservers);
        subnet.enable_dhcp = change.enable_dhcp.unwrap_or(subnet.enable_dhcp);
        subnet.host_routes = change.host_routes.unwrap_or(subnet.host_routes);
        cloud.network.subnets.insert(subnet);
        cloud.revise::<Self>(id);
        Self::get(cloud, caller, id).cloned()
    }

    fn delete(cloud: &mut OpenStack, caller: &Token, id: &str) -> Result<(), ApiError> {
        let subnet = Self::owned(cloud, caller, id, "delete")?.clone();
        if !subnet.taken.is_empty() {
            return Err(ApiError::new(
                409,
                "SubnetInUse",
                format!(
                    "Unable to complete operation on subnet {id}: One or more ports have an IP allocation from this subnet."
                ),
            ));
        }
        if let Some(network) = cloud.network.networks.get_mut(&subnet.network_id) {
            network.subnets.retain(|each| each != id);
        }
        cloud.network.subnets.remove(id);
        Ok(())
    }
}
