//! Neutron: networks, subnets, ports, routers, floating IPs, security groups, tags, quotas.

mod address;
mod floating_ips;
mod networks;
mod ports;
mod routers;
mod routes;
mod security_groups;
mod subnets;
mod tags;

use serde::Serialize;

pub use self::floating_ips::{FloatingIp, FloatingIpCreate, FloatingIpUpdate};
pub use self::networks::{Network, NetworkCreate, NetworkUpdate};
pub use self::ports::{AddressPair, FixedIp, FixedIpRequest, Port, PortCreate, PortUpdate};
pub use self::routers::{
    ExternalGateway, ExternalGatewayRequest, InterfaceRequest, Router, RouterCreate, RouterUpdate,
};
pub(crate) use self::routes::router;
pub use self::security_groups::{
    RuleUpdate, SecurityGroup, SecurityGroupCreate, SecurityGroupRule, SecurityGroupRuleCreate,
    SecurityGroupUpdate,
};
pub use self::subnets::{AllocationPool, Subnet, SubnetCreate, SubnetUpdate};

use super::OpenStack;
use super::error::ApiError;
use super::identity::Token;
use super::resource::Resource;
use super::table::Table;
use super::time;

/// Largest MTU of a network of a project: 1500 less what the overlay takes.
const MTU: u32 = 1450;

/// Neutron's state.
#[derive(Default)]
pub struct Neutron {
    pub(crate) networks: Table<Network>,
    pub(crate) subnets: Table<Subnet>,
    pub(crate) ports: Table<Port>,
    pub(crate) routers: Table<Router>,
    pub(crate) floating_ips: Table<FloatingIp>,
    pub(crate) groups: Table<SecurityGroup>,
    pub(crate) rules: Table<SecurityGroupRule>,
}

/// Attributes that every resource of Neutron has.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Standard {
    /// Owner.
    pub project_id: String,
    /// The owner's old name.
    pub tenant_id: String,
    /// Free text.
    pub description: String,
    /// Tags, sorted.
    pub tags: Vec<String>,
    /// When it was made.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
    /// Counts the changes.
    pub revision_number: u64,
}

/// Those resources of Neutron that have standard attributes to be tagged.
pub(crate) trait HasStandard: Resource {
    fn standard(&self) -> &Standard;
    fn standard_mut(&mut self) -> &mut Standard;
}

/// Implements [`HasStandard`] for types with a field `standard`.
macro_rules! has_standard {
    ($type:ty) => {
        impl $crate::openstack::network::HasStandard for $type {
            fn standard(&self) -> &$crate::openstack::network::Standard {
                &self.standard
            }

            fn standard_mut(&mut self) -> &mut $crate::openstack::network::Standard {
                &mut self.standard
            }
        }
    };
}
pub(crate) use has_standard;

impl OpenStack {
    /// Standard attributes of something that the project makes now.
    fn standard(&self, project_id: &str, description: Option<String>) -> Standard {
        let now = time::zulu(self.clock.now());
        Standard {
            project_id: project_id.to_owned(),
            tenant_id: project_id.to_owned(),
            description: description.unwrap_or_default(),
            tags: Vec::new(),
            created_at: now.clone(),
            updated_at: now,
            revision_number: 1,
        }
    }

    /// Notes a change.
    fn revise<R: HasStandard>(&mut self, id: &str) {
        let now = time::zulu(self.clock.now());
        if let Some(resource) = R::table_mut(self).get_mut(id) {
            let standard = resource.standard_mut();
            standard.updated_at = now;
            standard.revision_number += 1;
        }
    }

    /// The project that a create is for: the caller's, or for an admin the one named.
    fn target_project(caller: &Token, asked: Option<&String>) -> Result<String, ApiError> {
        match asked {
            Some(project) if *project != caller.project_id && !caller.is_admin() => {
                Err(refused("The request you have made is not allowed for another project."))
            }
            Some(project) => Ok(project.clone()),
            None => Ok(caller.project_id.clone()),
        }
    }

    /// Refuses if one more of this kind is over the quota.
    fn network_quota(&self, project_id: &str, resource: &str, more: usize) -> Result<(), ApiError> {
        self.faults.count_create("network", resource);
        let limit = self.limit(project_id, "network", resource);
        let used = self.network_usage(project_id, resource);
        if limit >= 0 && i64::try_from(used + more).unwrap_or(i64::MAX) > limit {
            return Err(ApiError::new(
                409,
                "OverQuota",
                format!("Quota exceeded for resources: ['{resource}']."),
            ));
        }
        Ok(())
    }

    /// How many the project has.
    pub(crate) fn network_usage(&self, project_id: &str, resource: &str) -> usize {
        fn count<R: Resource>(table: &Table<R>, project_id: &str) -> usize {
            table.iter().filter(|each| each.project_id() == project_id).count()
        }
        let neutron = &self.network;
        match resource {
            "network" => count(&neutron.networks, project_id),
            "subnet" => count(&neutron.subnets, project_id),
            "port" => count(&neutron.ports, project_id),
            "router" => count(&neutron.routers, project_id),
            "floatingip" => count(&neutron.floating_ips, project_id),
            "security_group" => count(&neutron.groups, project_id),
            "security_group_rule" => count(&neutron.rules, project_id),
            _ => 0,
        }
    }
}

/// 400 in Neutron's words.
fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidInput", format!("Invalid input for operation: {}", message.into()))
}

/// 403 in Neutron's words.
fn refused(message: &str) -> ApiError {
    ApiError::new(403, "PolicyNotAuthorized", message)
}

/// 403 for a change of what another project owns.
fn policy(verb: &str, one: &str) -> ApiError {
    refused(&format!("rule:{verb}_{one} is disallowed by policy"))
}
