//! Octavia: load balancers.

use serde::Deserialize;

use crate::error::Result;
use crate::microversion::Microversion;
use crate::request::Service;
use crate::resource::{named, or_default};

/// The load balancer service.
#[derive(Debug, Clone)]
pub struct LoadBalancers(pub(crate) Service);

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LoadBalancer {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// `ACTIVE`, `ERROR`, or `PENDING_…`, during which it cannot be changed (409).
    pub provisioning_status: String,
    /// `ONLINE`, `OFFLINE`, `DEGRADED`, `ERROR`, …
    #[serde(default, deserialize_with = "or_default")]
    pub operating_status: String,
    /// Its address.
    #[serde(default, deserialize_with = "or_default")]
    pub vip_address: String,
    /// The port of its address: a floating IP leads there.
    #[serde(default, deserialize_with = "or_default")]
    pub vip_port_id: String,
    /// The network of its address.
    #[serde(default, deserialize_with = "or_default")]
    pub vip_network_id: String,
    /// The subnet of its address.
    #[serde(default, deserialize_with = "or_default")]
    pub vip_subnet_id: String,
    /// What carries it: `amphora`, `ovn`, …
    #[serde(default, deserialize_with = "or_default")]
    pub provider: String,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub tags: Vec<String>,
}

impl LoadBalancer {
    /// It is being changed: calls that change it are refused until that is done.
    #[must_use]
    pub fn is_immutable(&self) -> bool {
        self.provisioning_status.starts_with("PENDING_")
    }
}

/// What can carry load balancers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Provider {
    /// The name.
    pub name: String,
    /// What it is.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
}

/// A size of load balancers. Many clouds have none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LoadBalancerFlavor {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// It can be used.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// Limits of a project; -1 is none. What is in use is not told: count the load balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct LoadBalancerQuota {
    /// Load balancers.
    pub load_balancer: i64,
    /// Listeners.
    pub listener: i64,
    /// Pools.
    pub pool: i64,
    /// Members.
    pub member: i64,
    /// Health monitors.
    pub health_monitor: i64,
}

named!(LoadBalancer: "load balancer", LoadBalancerFlavor: "load balancer flavor");

/// Which load balancers to list. What is not set does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The exact name.
    pub name: Option<String>,
    /// All of these tags.
    pub tags: Vec<String>,
    /// With their address in this network.
    pub vip_network_id: Option<String>,
    /// With their address in this subnet.
    pub vip_subnet_id: Option<String>,
}

impl LoadBalancers {
    /// The newest version of the API that the cloud has: ranges of clients (`allowed_cidrs`) need 2.12.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn version(&self) -> Result<Microversion> {
        let versions: Vec<Version> = self.0.get_root().list("versions").await?;
        let newest =
            versions.iter().filter_map(|version| version.id.trim_start_matches('v').parse().ok()).max();
        Ok(newest.unwrap_or(Microversion::new(2, 0)))
    }

    /// The load balancers of the project that fit.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn load_balancers(&self, filter: &Filter) -> Result<Vec<LoadBalancer>> {
        let call = self
            .0
            .get(&["lbaas", "loadbalancers"])
            .filter("name", filter.name.as_deref())
            .filter("tags", (!filter.tags.is_empty()).then(|| filter.tags.join(",")))
            .filter("vip_network_id", filter.vip_network_id.as_deref())
            .filter("vip_subnet_id", filter.vip_subnet_id.as_deref());
        call.list("loadbalancers").await
    }

    /// One load balancer.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn load_balancer(&self, id: &str) -> Result<LoadBalancer> {
        self.0.get(&["lbaas", "loadbalancers", id]).one("loadbalancer").await
    }

    /// Asks for a load balancer's removal with its listeners, pools and members, which takes its time; one that does
    /// not exist is as good as removed. One that is being changed is a conflict (409).
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn delete_load_balancer(&self, id: &str) -> Result<()> {
        self.0.delete(&["lbaas", "loadbalancers", id]).query("cascade", "true").gone().await
    }

    /// What can carry load balancers here.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn providers(&self) -> Result<Vec<Provider>> {
        self.0.get(&["lbaas", "providers"]).list("providers").await
    }

    /// The sizes of load balancers.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn flavors(&self) -> Result<Vec<LoadBalancerFlavor>> {
        self.0.get(&["lbaas", "flavors"]).list("flavors").await
    }

    /// Limits of the project.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn quota(&self) -> Result<LoadBalancerQuota> {
        let project = self.0.cloud.project_id().await?;
        self.0.get(&["lbaas", "quotas", &project]).one("quota").await
    }
}

#[derive(Deserialize)]
struct Version {
    id: String,
}

const fn yes() -> bool {
    true
}
