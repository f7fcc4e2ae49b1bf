//! Load balancers.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Change, Part, Reference, Standard, check_choice, policy, validation};
use crate::openstack::OpenStack;
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;
use crate::openstack::network::{FixedIpRequest, Network, Port, PortCreate, Subnet};
use crate::openstack::resource::Resource;
use crate::openstack::table::{Table, identified};

/// The providers and what they say of themselves.
pub(super) const PROVIDERS: [(&str, &str); 3] = [
    ("amphora", "The Octavia Amphora driver."),
    ("octavia", "Alias of amphora."),
    ("ovn", "Octavia OVN driver."),
];

/// A load balancer.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LoadBalancer {
    /// Id.
    pub id: String,
    /// Name; not unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Its address.
    pub vip_address: String,
    /// The port with its address.
    pub vip_port_id: String,
    /// The subnet of its address.
    pub vip_subnet_id: Option<String>,
    /// The network of its address.
    pub vip_network_id: String,
    additional_vips: Vec<Value>,
    /// Its listeners.
    pub listeners: Vec<Reference>,
    /// Its pools.
    pub pools: Vec<Reference>,
    /// `amphora` or `ovn`.
    pub provider: String,
    /// Id of its flavor.
    pub flavor_id: Option<String>,
    vip_qos_policy_id: Option<String>,
    /// Zone.
    pub availability_zone: Option<String>,
    /// Attributes that all have.
    #[serde(flatten)]
    pub standard: Standard,
    #[serde(skip)]
    pub(super) own_port: bool,
}

identified!(LoadBalancer);

/// Body of a create.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoadBalancerCreate {
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Subnet of the address,
    pub vip_subnet_id: Option<String>,
    /// or network,
    pub vip_network_id: Option<String>,
    /// or port.
    pub vip_port_id: Option<String>,
    /// A certain address.
    pub vip_address: Option<String>,
    /// `amphora` if not given.
    pub provider: Option<String>,
    /// Id of a flavor.
    pub flavor_id: Option<String>,
    /// Zone.
    pub availability_zone: Option<String>,
    /// Up if not given.
    pub admin_state_up: Option<bool>,
    /// Tags.
    pub tags: Vec<String>,
    /// Owner; only an admin may name another.
    pub project_id: Option<String>,
}

/// Body of an update.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoadBalancerUpdate {
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Up or down.
    pub admin_state_up: Option<bool>,
    /// All tags.
    pub tags: Option<Vec<String>>,
}

impl OpenStack {
    /// Refuses while the load balancer is PENDING, in the words for the load balancer itself.
    fn check_settled(balancer: &LoadBalancer) -> Result<(), ApiError> {
        let status = &balancer.standard.provisioning_status;
        if ["ACTIVE", "ERROR"].contains(&status.as_str()) {
            return Ok(());
        }
        Err(ApiError::conflict(format!("Invalid state {status} of loadbalancer resource {}", balancer.id)))
    }

    /// Deletes a load balancer; it is PENDING_DELETE for a while.
    ///
    /// # Errors
    /// 404, 409 while it is PENDING, 400 if it has children and `cascade` is false.
    pub fn delete_load_balancer(&mut self, caller: &Token, id: &str, cascade: bool) -> Result<(), ApiError> {
        let balancer = LoadBalancer::owned(self, caller, id, "delete")?;
        Self::check_settled(balancer)?;
        let view = balancer.view(self);
        let childless = view["listeners"] == json!([]) && view["pools"] == json!([]);
        if !childless && !cascade {
            return Err(validation(&format!("Cannot delete Load Balancer {id} - it has children")));
        }
        self.start_change(id, Part::Balancer, Change::Delete);
        Ok(())
    }

    /// The port that holds the address: one that is given, or a new one.
    fn vip(
        &mut self,
        caller: &Token,
        id: &str,
        request: &LoadBalancerCreate,
    ) -> Result<(Port, bool), ApiError> {
        let missing = |kind: &str, id: &str| ApiError::bad_request(format!("{kind} {id} not found."));
        if let Some(port_id) = &request.vip_port_id {
            let port = Port::get(self, caller, port_id).map_err(|_| missing("Port", port_id))?.clone();
            self.bind_port(port_id, Some((&format!("lb-{id}"), "Octavia")));
            return Ok((port, false));
        }
        let network_id = match (&request.vip_subnet_id, &request.vip_network_id) {
            (Some(subnet), _) => {
                Subnet::get(self, caller, subnet).map_err(|_| missing("Subnet", subnet))?.network_id.clone()
            }
            (None, Some(network)) => {
                Network::get(self, caller, network).map_err(|_| missing("Network", network))?.id.clone()
            }
            (None, None) => {
                return Err(validation(
                    "VIP must contain one of: vip_port_id, vip_network_id, vip_subnet_id.",
                ));
            }
        };
        let address = match &request.vip_address {
            Some(text) => Some(text.parse().map_err(|_| {
                ApiError::bad_request(format!(
                    "Invalid input for field/attribute vip_address. Value: '{text}'. Value should be IPv4 or IPv6 format"
                ))
            })?),
            None => None,
        };
        let fixed_ip = FixedIpRequest { subnet_id: request.vip_subnet_id.clone(), ip_address: address };
        let wanted = PortCreate {
            network_id,
            name: format!("octavia-lb-{id}"),
            fixed_ips: Some(vec![fixed_ip]),
            // Octavia's own group is another project's.
            security_groups: Some(Vec::new()),
            device_id: Some(format!("lb-{id}")),
            device_owner: Some("Octavia".to_owned()),
            admin_state_up: Some(false),
            ..PortCreate::default()
        };
        Ok((self.plug(caller, wanted)?, true))
    }
}

impl Resource for LoadBalancer {
    const ONE: &'static str = "loadbalancer";
    const MANY: &'static str = "loadbalancers";
    type Create = LoadBalancerCreate;
    type Update = LoadBalancerUpdate;

    fn table(cloud: &OpenStack) -> &Table<Self> {
        &cloud.load_balancer.balancers
    }

    fn table_mut(cloud: &mut OpenStack) -> &mut Table<Self> {
        &mut cloud.load_balancer.balancers
    }

    fn project_id(&self) -> &str {
        &self.standard.project_id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn not_found(id: &str) -> ApiError {
        ApiError::not_found(format!("Load Balancer {id} not found."))
    }

    fn not_owned(_: &str) -> ApiError {
        policy()
    }

    fn view(&self, cloud: &OpenStack) -> Value {
        let mut view = serde_json::to_value(self).unwrap_or_default();
        let me = Reference::to(&self.id);
        let octavia = &cloud.load_balancer;
        let listeners = octavia.listeners.iter().filter(|each| each.loadbalancers.contains(&me));
        view["listeners"] = listeners.map(|each| json!({"id": each.id})).collect();
        let pools = octavia.pools.iter().filter(|each| each.loadbalancers.contains(&me));
        view["pools"] = pools.map(|each| json!({"id": each.id})).collect();
        view
    }

    fn create(cloud: &mut OpenStack, caller: &Token, request: LoadBalancerCreate) -> Result<Self, ApiError> {
        if request.project_id.as_ref().is_some_and(|project| *project != caller.project_id) {
            return Err(policy());
        }
        let provider = request.provider.clone().unwrap_or_else(|| "amphora".to_owned());
        if !PROVIDERS.iter().any(|(name, _)| *name == provider) {
            return Err(ApiError::bad_request(format!("Provider '{provider}' is not enabled.")));
        }
        if request.flavor_id.as_ref().is_some_and(|id| *id != cloud.load_balancer_flavor) {
            return Err(validation("Invalid flavor_id."));
        }
        if let Some(zone) = &request.availability_zone {
            check_choice("availability_zone", zone, &crate::openstack::ZONES)?;
        }
        cloud.octavia_quota(&caller.project_id, "load_balancer", "Load Balancer", 1)?;
        let id = cloud.ids.uuid();
        let (port, own_port) = cloud.vip(caller, &id, &request)?;
        let address = port.fixed_ips.first();
        let balancer = Self {
            id,
            name: request.name,
            description: request.description,
            vip_address: address.map(|each| each.ip_address.to_string()).unwrap_or_default(),
            vip_port_id: port.id,
            vip_subnet_id: address.map(|each| each.subnet_id.clone()),
            vip_network_id: port.network_id,
            provider: if provider == "octavia" { "amphora".to_owned() } else { provider },
            flavor_id: request.flavor_id,
            availability_zone: request.availability_zone,
            standard: cloud.octavia_standard(&caller.project_id, request.admin_state_up, request.tags),
            own_port,
            ..Self::default()
        };
        cloud.load_balancer.balancers.insert(balancer.clone());
        cloud.start_change(&balancer.id, Part::Balancer, Change::Create);
        Ok(balancer)
    }

    fn update(
        cloud: &mut OpenStack,
        caller: &Token,
        id: &str,
        change: LoadBalancerUpdate,
    ) -> Result<Self, ApiError> {
        let mut balancer = Self::owned(cloud, caller, id, "update")?.clone();
        OpenStack::check_settled(&balancer)?;
        balancer.name = change.name.unwrap_or(balancer.name);
        balancer.description = change.description.unwrap_or(balancer.description);
        balancer.standard.admin_state_up = change.admin_state_up.unwrap_or(balancer.standard.admin_state_up);
        balancer.standard.tags = change.tags.unwrap_or(balancer.standard.tags);
        cloud.load_balancer.balancers.insert(balancer);
        cloud.start_change(id, Part::Balancer, Change::Update);
        Self::get(cloud, caller, id).cloned()
    }

    fn delete(cloud: &mut OpenStack, caller: &Token, id: &str) -> Result<(), ApiError> {
        cloud.delete_load_balancer(caller, id, false)
    }
}
