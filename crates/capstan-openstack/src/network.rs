//! Neutron: networks, subnets, routers, ports, floating IPs, security groups.

use serde::Deserialize;
use serde_json::json;

use crate::error::{Error, Result};
use crate::request::{Call, Service};
use crate::resource::{Quota, named, no_such, or_default};

/// The network service.
#[derive(Debug, Clone)]
pub struct Networking(pub(crate) Service);

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Network {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// The project that owns it. External networks are usually somebody else's.
    #[serde(default, deserialize_with = "or_default")]
    pub project_id: String,
    /// `ACTIVE`, `DOWN`, `BUILD`, `ERROR`.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// It leads out of the cloud: floating IPs come from it.
    #[serde(rename = "router:external", default, deserialize_with = "or_default")]
    pub external: bool,
    /// The one that is taken where several are external and none is named.
    #[serde(default, deserialize_with = "or_default")]
    pub is_default: bool,
    /// Other projects may use it.
    #[serde(default, deserialize_with = "or_default")]
    pub shared: bool,
    /// The largest packet, in bytes.
    #[serde(default, deserialize_with = "or_default")]
    pub mtu: u32,
    /// Ids of its subnets.
    #[serde(default, deserialize_with = "or_default")]
    pub subnets: Vec<String>,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub tags: Vec<String>,
}

/// A range of addresses of a network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Subnet {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// Its network.
    pub network_id: String,
    /// The range, in CIDR notation.
    pub cidr: String,
    /// 4 or 6.
    #[serde(default)]
    pub ip_version: u8,
    /// The router's address in it, if it has one.
    #[serde(default)]
    pub gateway_ip: Option<String>,
    /// Name servers for its machines.
    #[serde(default, deserialize_with = "or_default")]
    pub dns_nameservers: Vec<String>,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub tags: Vec<String>,
}

/// A router. The ports by which it is in subnets are listed with `ports` and its id as `device_id`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Router {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// `ACTIVE`, `ERROR`, …
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// Where it leads out of the cloud.
    #[serde(default)]
    pub external_gateway_info: Option<Gateway>,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub tags: Vec<String>,
}

/// A router's way out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Gateway {
    /// The external network.
    pub network_id: String,
    /// Its addresses there.
    #[serde(default, deserialize_with = "or_default")]
    pub external_fixed_ips: Vec<FixedIp>,
}

/// An address in a subnet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FixedIp {
    /// The subnet.
    #[serde(default, deserialize_with = "or_default")]
    pub subnet_id: String,
    /// The address.
    pub ip_address: String,
}

/// A port: a place in a network for one device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Port {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// Its network.
    pub network_id: String,
    /// `ACTIVE`, `DOWN`, `BUILD`.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// The server, router or load balancer that uses it; empty if none does.
    #[serde(default, deserialize_with = "or_default")]
    pub device_id: String,
    /// What kind of device that is: `compute:nova`, `network:router_interface`, `Octavia`, …
    #[serde(default, deserialize_with = "or_default")]
    pub device_owner: String,
    /// Its addresses.
    #[serde(default, deserialize_with = "or_default")]
    pub fixed_ips: Vec<FixedIp>,
    /// Ids of its security groups.
    #[serde(default, deserialize_with = "or_default")]
    pub security_groups: Vec<String>,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub tags: Vec<String>,
}

/// An address of an external network that leads to a port.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FloatingIp {
    /// The id.
    pub id: String,
    /// The address.
    pub floating_ip_address: String,
    /// The external network.
    pub floating_network_id: String,
    /// The port that it leads to.
    #[serde(default)]
    pub port_id: Option<String>,
    /// The port's address that it leads to.
    #[serde(default)]
    pub fixed_ip_address: Option<String>,
    /// `ACTIVE`, `DOWN`, `ERROR`.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub tags: Vec<String>,
}

/// A set of firewall rules.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SecurityGroup {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// What is let through.
    #[serde(default, deserialize_with = "or_default")]
    pub security_group_rules: Vec<SecurityGroupRule>,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub tags: Vec<String>,
}

/// What one rule of a security group lets through.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SecurityGroupRule {
    /// The id.
    pub id: String,
    /// `ingress` or `egress`.
    pub direction: String,
    /// `IPv4` or `IPv6`.
    #[serde(default, deserialize_with = "or_default")]
    pub ethertype: String,
    /// `tcp`, `udp`, …; all if absent.
    #[serde(default)]
    pub protocol: Option<String>,
    /// First port; all if absent.
    #[serde(default)]
    pub port_range_min: Option<i32>,
    /// Last port.
    #[serde(default)]
    pub port_range_max: Option<i32>,
    /// From or to this range.
    #[serde(default)]
    pub remote_ip_prefix: Option<String>,
    /// From or to ports with this security group.
    #[serde(default)]
    pub remote_group_id: Option<String>,
}

named!(
    Network: "network", Subnet: "subnet", Router: "router", Port: "port", SecurityGroup: "security group",
);

/// A floating IP is called by its address.
impl crate::resource::Named for FloatingIp {
    const KIND: &'static str = "floating IP";

    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.floating_ip_address
    }
}

/// Which resources to list. What is not set does not matter; what a kind of resource does not have must not be set.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The exact name.
    pub name: Option<String>,
    /// All of these tags.
    pub tags: Vec<String>,
    /// In this network: subnets, ports.
    pub network_id: Option<String>,
    /// Of this server, router or load balancer: ports.
    pub device_id: Option<String>,
    /// Of this kind of device: ports.
    pub device_owner: Option<String>,
    /// Leading to this port: floating IPs.
    pub port_id: Option<String>,
    /// Owned by this project: what others share is left out.
    pub project_id: Option<String>,
}

impl Filter {
    /// Everything with this tag.
    #[must_use]
    pub fn tagged(tag: impl Into<String>) -> Self {
        Self { tags: vec![tag.into()], ..Self::default() }
    }

    /// Everything with this name.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    fn apply(&self, call: Call) -> Call {
        call.filter("name", self.name.as_deref())
            .filter("tags", (!self.tags.is_empty()).then(|| self.tags.join(",")))
            .filter("network_id", self.network_id.as_deref())
            .filter("device_id", self.device_id.as_deref())
            .filter("device_owner", self.device_owner.as_deref())
            .filter("port_id", self.port_id.as_deref())
            .filter("project_id", self.project_id.as_deref())
    }
}

/// The kinds of resources that carry tags, as they stand in paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Networks.
    Network,
    /// Subnets.
    Subnet,
    /// Routers.
    Router,
    /// Ports.
    Port,
    /// Floating IPs.
    FloatingIp,
    /// Security groups.
    SecurityGroup,
}

impl Kind {
    const fn path(self) -> &'static str {
        match self {
            Self::Network => "networks",
            Self::Subnet => "subnets",
            Self::Router => "routers",
            Self::Port => "ports",
            Self::FloatingIp => "floatingips",
            Self::SecurityGroup => "security-groups",
        }
    }
}

/// Limits of a project and what is in use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NetworkQuota {
    /// Networks.
    pub network: Quota,
    /// Subnets.
    pub subnet: Quota,
    /// Ports.
    pub port: Quota,
    /// Routers.
    pub router: Quota,
    /// Floating IPs.
    #[serde(rename = "floatingip")]
    pub floating_ip: Quota,
    /// Security groups.
    pub security_group: Quota,
    /// Rules of all security groups.
    pub security_group_rule: Quota,
}

/// A zone of networks or routers. Many clouds have none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NetworkZone {
    /// The name.
    pub name: String,
    /// `network` or `router`.
    pub resource: String,
    /// `available` or `unavailable`.
    pub state: String,
}

impl Networking {
    /// Networks: the project's own, shared and external ones.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn networks(&self, filter: &Filter) -> Result<Vec<Network>> {
        filter.apply(self.0.get(&["networks"])).list("networks").await
    }

    /// The external network with this name or id. Without one: the only external network, or the default one.
    ///
    /// # Errors
    /// There is none (a near name is told), there are several and none is the default, or those of `networks`.
    pub async fn external_network(&self, name_or_id: Option<&str>) -> Result<Network> {
        let all: Vec<Network> =
            self.0.get(&["networks"]).query("router:external", "true").list("networks").await?;
        if let Some(wanted) = name_or_id {
            return crate::resource::pick(all, wanted);
        }
        let ids: Vec<String> = all.iter().map(|network| network.id.clone()).collect();
        let (defaults, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|network| network.is_default);
        let mut candidates = if defaults.is_empty() { others } else { defaults };
        match (candidates.pop(), candidates.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(no_such::<Network>("(external)", [])),
            (Some(_), false) => Err(Error::Ambiguous { kind: "network", name: "(external)".into(), ids }),
        }
    }

    /// Subnets.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn subnets(&self, filter: &Filter) -> Result<Vec<Subnet>> {
        filter.apply(self.0.get(&["subnets"])).list("subnets").await
    }

    /// Routers.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn routers(&self, filter: &Filter) -> Result<Vec<Router>> {
        filter.apply(self.0.get(&["routers"])).list("routers").await
    }

    /// Ports.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn ports(&self, filter: &Filter) -> Result<Vec<Port>> {
        filter.apply(self.0.get(&["ports"])).list("ports").await
    }

    /// Floating IPs.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn floating_ips(&self, filter: &Filter) -> Result<Vec<FloatingIp>> {
        filter.apply(self.0.get(&["floatingips"])).list("floatingips").await
    }

    /// Security groups with their rules.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn security_groups(&self, filter: &Filter) -> Result<Vec<SecurityGroup>> {
        filter.apply(self.0.get(&["security-groups"])).list("security_groups").await
    }

    /// Removes a resource; one that does not exist is as good as removed. One in use is a conflict (409).
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn delete(&self, kind: Kind, id: &str) -> Result<()> {
        self.0.delete(&[kind.path(), id]).gone().await
    }

    /// Takes a router out of a subnet; one that is not in it is as good as taken out.
    ///
    /// # Errors
    /// The service's, or those of the way there; a conflict (409) while a floating IP needs the router.
    pub async fn remove_router_interface(&self, router: &str, subnet: &str) -> Result<()> {
        let call = self.0.put(&["routers", router, "remove_router_interface"]);
        call.json(json!({ "subnet_id": subnet })).gone().await
    }

    /// Sets the tags of a resource; those that it had are gone.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn set_tags(&self, kind: Kind, id: &str, tags: &[&str]) -> Result<()> {
        self.0.put(&[kind.path(), id, "tags"]).json(json!({ "tags": tags })).done().await
    }

    /// Adds a tag to a resource; the others stay.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn add_tag(&self, kind: Kind, id: &str, tag: &str) -> Result<()> {
        self.0.put(&[kind.path(), id, "tags", tag]).done().await
    }

    /// Limits of the project and what is in use.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn quota(&self) -> Result<NetworkQuota> {
        let project = self.0.cloud.project_id().await?;
        self.0.get(&["quotas", &project, "details.json"]).one("quota").await
    }

    /// The zones of networks and routers.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn availability_zones(&self) -> Result<Vec<NetworkZone>> {
        self.0.get(&["availability_zones"]).list("availability_zones").await
    }
}
