//! Routers: gateway to an external network, interfaces on subnets.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::{FixedIp, FixedIpRequest, Network, Port, PortCreate, Standard, Subnet, has_standard, policy};
use crate::openstack::OpenStack;
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;
use crate::openstack::resource::Resource;
use crate::openstack::table::{Table, identified};

/// Owner of the port by which a router is on a subnet.
pub(super) const INTERFACE: &str = "network:router_interface";

/// A router.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Router {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Up or down, as asked for.
    pub admin_state_up: bool,
    /// Always `ACTIVE`.
    pub status: String,
    /// Its way out.
    pub external_gateway_info: Option<ExternalGateway>,
    /// Zones it is in.
    pub availability_zones: Vec<String>,
    /// Zones asked for.
    pub availability_zone_hints: Vec<String>,
    routes: Vec<Value>,
    flavor_id: Option<String>,
    /// Attributes that all have.
    #[serde(flatten)]
    pub standard: Standard,
}

/// A router's way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExternalGateway {
    /// The external network.
    pub network_id: String,
    /// Its addresses there.
    pub external_fixed_ips: Vec<FixedIp>,
    /// Whether it translates addresses.
    pub enable_snat: bool,
}

identified!(Router);
has_standard!(Router);

/// A gateway asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalGatewayRequest {
    /// The external network.
    pub network_id: String,
    /// True if not given.
    #[serde(default)]
    pub enable_snat: Option<bool>,
    /// Certain addresses.
    #[serde(default)]
    pub external_fixed_ips: Option<Vec<FixedIpRequest>>,
}

/// Body of a create.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouterCreate {
    /// Name.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Up if not given.
    pub admin_state_up: Option<bool>,
    /// Its way out.
    pub external_gateway_info: Option<ExternalGatewayRequest>,
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
pub struct RouterUpdate {
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Up or down.
    pub admin_state_up: Option<bool>,
    /// `null` and `{}` take it away.
    #[serde(deserialize_with = "gateway")]
    pub external_gateway_info: Option<Option<ExternalGatewayRequest>>,
    /// All static routes.
    pub routes: Option<Vec<Value>>,
}

fn gateway<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<ExternalGatewayRequest>>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(Some(None)),
        Value::Object(fields) if fields.is_empty() => Ok(Some(None)),
        wanted => {
            serde_json::from_value(wanted).map(|wanted| Some(Some(wanted))).map_err(serde::de::Error::custom)
        }
    }
}

/// Body of `add_router_interface` and `remove_router_interface`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InterfaceRequest {
    /// By subnet,
    pub subnet_id: Option<String>,
    /// or by port.
    pub port_id: Option<String>,
}

fn bad_request(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "BadRequest", format!("Bad router request: {}.", message.into()))
}

impl OpenStack {
    fn open_gateway(
        &mut self,
        caller: &Token,
        request: ExternalGatewayRequest,
    ) -> Result<ExternalGateway, ApiError> {
        let network = Network::get(self, caller, &request.network_id)?;
        if !network.external {
            return Err(bad_request(format!("Network {} is not an external network", network.id)));
        }
        let network_id = network.id.clone();
        let addresses = self.allocate(&network_id, request.external_fixed_ips)?;
        Ok(ExternalGateway {
            network_id,
            external_fixed_ips: addresses,
            enable_snat: request.enable_snat.unwrap_or(true),
        })
    }

    fn set_gateway(
        &mut self,
        caller: &Token,
        router: &mut Router,
        wanted: Option<ExternalGatewayRequest>,
    ) -> Result<(), ApiError> {
        let same = |old: &ExternalGateway| {
            wanted
                .as_ref()
                .is_some_and(|new| new.network_id == old.network_id && new.external_fixed_ips.is_none())
        };
        if router.external_gateway_info.as_ref().is_some_and(same) {
            return Ok(());
        }
        if let Some(old) = &router.external_gateway_info {
            let used = |each: &super::FloatingIp| each.router_id.as_deref() == Some(&router.id);
            if self.network.floating_ips.iter().any(used) {
                return Err(ApiError::new(
                    409,
                    "RouterExternalGatewayInUseByFloatingIp",
                    format!(
                        "Gateway cannot be updated for router {}, since a gateway to external network {} is required by \
                         one or more floating IPs.",
                        router.id, old.network_id
                    ),
                ));
            }
            let addresses = old.external_fixed_ips.clone();
            self.release(&addresses);
            router.external_gateway_info = None;
        }
        if let Some(wanted) = wanted {
            router.external_gateway_info = Some(self.open_gateway(caller, wanted)?);
        }
        Ok(())
    }

    fn interfaces<'cloud>(&'cloud self, router_id: &'cloud str) -> impl Iterator<Item = &'cloud Port> {
        let is_it = move |port: &&Port| port.device_id == router_id && port.device_owner == INTERFACE;
        self.network.ports.iter().filter(is_it)
    }

    /// The router by which a subnet reaches an external network.
    pub(super) fn router_between(&self, subnet_id: &str, external_network_id: &str) -> Option<&Router> {
        self.network.routers.iter().find(|router| {
            let gateway = router.external_gateway_info.as_ref();
            gateway.is_some_and(|gateway| gateway.network_id == external_network_id)
                && self
                    .interfaces(&router.id)
                    .any(|port| port.fixed_ips.iter().any(|each| each.subnet_id == subnet_id))
        })
    }

    /// Puts a router on a subnet.
    ///
    /// # Errors
    /// As the API's.
    pub fn add_router_interface(
        &mut self,
        caller: &Token,
        router_id: &str,
        request: &InterfaceRequest,
    ) -> Result<Value, ApiError> {
        let router = Router::owned(self, caller, router_id, "add_interface")?.clone();
        let port = match (&request.subnet_id, &request.port_id) {
            (Some(subnet_id), None) => {
                let subnet = Subnet::get(self, caller, subnet_id)?.clone();
                let on_it = |port: &Port| port.fixed_ips.iter().any(|each| each.subnet_id == *subnet_id);
                if self.interfaces(router_id).any(on_it) {
                    return Err(bad_request(format!("Router already has a port on subnet {subnet_id}")));
                }
                let Some(gateway) = subnet.gateway_ip else {
                    return Err(bad_request("Subnet for router interface must have a gateway IP"));
                };
                let address =
                    FixedIpRequest { subnet_id: Some(subnet.id.clone()), ip_address: Some(gateway) };
                let request = PortCreate {
                    network_id: subnet.network_id,
                    fixed_ips: Some(vec![address]),
                    port_security_enabled: Some(false),
                    device_id: Some(router.id.clone()),
                    device_owner: Some(INTERFACE.to_owned()),
                    ..PortCreate::default()
                };
                self.plug(caller, request)?
            }
            (None, Some(port_id)) => {
                let port = Port::get(self, caller, port_id)?;
                if !port.device_id.is_empty() {
                    return Err(ApiError::new(
                        409,
                        "PortInUse",
                        format!(
                            "Unable to complete operation on port {port_id} for network {}. Port already has an attached device {}.",
                            port.network_id, port.device_id
                        ),
                    ));
                }
                self.bind_port(port_id, Some((router_id, INTERFACE)));
                Port::get(self, caller, port_id)?.clone()
            }
            _ => return Err(bad_request("Either subnet_id or port_id must be specified")),
        };
        self.revise::<Router>(router_id);
        Ok(interface_view(&router, &port))
    }

    /// Takes a router off a subnet.
    ///
    /// # Errors
    /// As the API's: 409 while a floating IP needs it.
    pub fn remove_router_interface(
        &mut self,
        caller: &Token,
        router_id: &str,
        request: &InterfaceRequest,
    ) -> Result<Value, ApiError> {
        let router = Router::owned(self, caller, router_id, "remove_interface")?.clone();
        let port = match (&request.subnet_id, &request.port_id) {
            (Some(subnet_id), _) => {
                Subnet::get(self, caller, subnet_id)?;
                let on_it = |port: &&Port| port.fixed_ips.iter().any(|each| each.subnet_id == *subnet_id);
                self.interfaces(router_id).find(on_it).ok_or_else(|| {
                    let text = format!("Router {router_id} has no interface on subnet {subnet_id}");
                    ApiError::new(404, "RouterInterfaceNotFoundForSubnet", text)
                })?
            }
            (None, Some(port_id)) => {
                self.interfaces(router_id).find(|port| port.id == *port_id).ok_or_else(|| {
                    let text = format!("Router {router_id} does not have an interface with id {port_id}");
                    ApiError::new(404, "RouterInterfaceNotFound", text)
                })?
            }
            _ => return Err(bad_request("Either subnet_id or port_id must be specified")),
        };
        let port = port.clone();
        for subnet in port.fixed_ips.iter().map(|each| &each.subnet_id) {
            if self.floating_ips_need(router_id, subnet) {
                return Err(ApiError::new(
                    409,
                    "RouterInterfaceInUseByFloatingIP",
                    format!(
                        "Router interface for subnet {subnet} on router {router_id} cannot be deleted, as it is required \
                         by one or more floating IPs."
                    ),
                ));
            }
        }
        self.unplug(&port.id);
        self.revise::<Router>(router_id);
        Ok(interface_view(&router, &port))
    }

    fn floating_ips_need(&self, router_id: &str, subnet_id: &str) -> bool {
        let of_router =
            self.network.floating_ips.iter().filter(|each| each.router_id.as_deref() == Some(router_id));
        let ports = of_router.filter_map(|each| self.network.ports.get(each.port_id.as_deref()?));
        ports.flat_map(|port| &port.fixed_ips).any(|each| each.subnet_id == subnet_id)
    }
}

fn interface_view(router: &Router, port: &Port) -> Value {
    let subnets: Vec<&str> = port.fixed_ips.iter().map(|each| each.subnet_id.as_str()).collect();
    json!({"id": router.id, "tenant_id": router.standard.project_id, "port_id": port.id,
           "network_id": port.network_id, "subnet_id": subnets.first(), "subnet_ids": subnets})
}

impl Resource for Router {
    const ONE: &'static str = "router";
    const MANY: &'static str = "routers";
    type Create = RouterCreate;
    type Update = RouterUpdate;

    fn table(cloud: &OpenStack) -> &Table<Self> {
        &cloud.network.routers
    }

    fn table_mut(cloud: &mut OpenStack) -> &mut Table<Self> {
        &mut cloud.network.routers
    }

    fn project_id(&self) -> &str {
        &self.standard.project_id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn not_found(id: &str) -> ApiError {
        ApiError::new(404, "RouterNotFound", format!("Router {id} could not be found"))
    }

    fn not_owned(verb: &str) -> ApiError {
        policy(verb, Self::ONE)
    }

    fn create(cloud: &mut OpenStack, caller: &Token, request: RouterCreate) -> Result<Self, ApiError> {
        let project =
            OpenStack::target_project(caller, request.project_id.as_ref().or(request.tenant_id.as_ref()))?;
        cloud.network_quota(&project, "router", 1)?;
        cloud.check_zones(&request.availability_zone_hints)?;
        let gateway = match request.external_gateway_info {
            Some(wanted) => Some(cloud.open_gateway(caller, wanted)?),
            None => None,
        };
        let router = Self {
            id: cloud.ids.uuid(),
            name: request.name,
            admin_state_up: request.admin_state_up.unwrap_or(true),
            status: "ACTIVE".to_owned(),
            external_gateway_info: gateway,
            availability_zone_hints: request.availability_zone_hints,
            standard: cloud.standard(&project, request.description),
            ..Self::default()
        };
        cloud.network.routers.insert(router.clone());
        Ok(router)
    }

    fn update(
        cloud: &mut OpenStack,
        caller: &Token,
        id: &str,
        change: RouterUpdate,
    ) -> Result<Self, ApiError> {
        let mut router = Self::owned(cloud, caller, id, "update")?.clone();
        if let Some(wanted) = change.external_gateway_info {
            cloud.set_gateway(caller, &mut router, wanted)?;
        }
        router.name = change.name.unwrap_or(router.name);
        router.standard.description = change.description.unwrap_or(router.standard.description);
        router.admin_state_up = change.admin_state_up.unwrap_or(router.admin_state_up);
        router.routes = change.routes.unwrap_or(router.routes);
        cloud.network.routers.insert(router);
        cloud.revise::<Self>(id);
        Self::get(cloud, caller, id).cloned()
    }

    fn delete(cloud: &mut OpenStack, caller: &Token, id: &str) -> Result<(), ApiError> {
        let router = Self::owned(cloud, caller, id, "delete")?.clone();
        let ports: Vec<&str> = cloud.interfaces(id).map(|port| port.id.as_str()).collect();
        if !ports.is_empty() {
            return Err(ApiError::new(
                409,
                "RouterInUse",
                format!("Router {id} has ports still attached: {}", ports.join(", ")),
            ));
        }
        if let Some(gateway) = &router.external_gateway_info {
            cloud.release(&gateway.external_fixed_ips);
        }
        cloud.network.routers.remove(id);
        Ok(())
    }
}
