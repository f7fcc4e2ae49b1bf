//! The janitor: OpenStack resources that are proven to be the cluster's and that nobody else will delete.
//!
//! It works in two places. *In the way* of the deletion, while Cluster API is at it: load balancers that Kubernetes
//! services have left on the network, and ports of servers that never came, would let the provider wait for ever
//! (its issues #842 and #1404). *Behind* it, when Cluster API has finished or never began: everything else.

mod find;
mod proof;

use std::sync::Arc;

use async_trait::async_trait;
use capstan_core::plan::{ChangeClass, PlannedChange};
use capstan_engine::{Component, Describe, Direction, Failure, StepCx, Verdict};
use capstan_kube::Kind;
use capstan_openstack::network;

use super::is_going;
use crate::failure;
use crate::subject::Subject;

/// See the module.
pub struct Leftovers {
    subject: Arc<Subject>,
    behind: bool,
}

/// What exists.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// In the order in which they can be deleted.
    found: Vec<Leftover>,
    /// Resources that are in the way and are not proven to be the cluster's.
    foreign: Vec<String>,
}

/// A resource that is proven to be the cluster's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// What it is.
    pub kind: LeftoverKind,
    /// Its id.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Whether somebody is at it already, so that it can only be waited for.
    pub busy: bool,
}

/// The kinds of leftovers, in the order in which they can be deleted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftoverKind {
    /// A server.
    Server,
    /// A load balancer with all that is in it.
    LoadBalancer,
    /// A floating IP.
    FloatingIp,
    /// A snapshot of a volume.
    Snapshot,
    /// A volume.
    Volume,
    /// A port.
    Port,
    /// The connection of a router to a subnet.
    RouterInterface {
        /// Id of the router.
        router: String,
    },
    /// A router.
    Router,
    /// A network with its subnets.
    Network,
    /// A security group.
    SecurityGroup,
}

impl LeftoverKind {
    const fn word(&self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::LoadBalancer => "load balancer",
            Self::FloatingIp => "floating IP",
            Self::Snapshot => "snapshot",
            Self::Volume => "volume",
            Self::Port => "port",
            Self::RouterInterface { .. } => "router interface",
            Self::Router => "router",
            Self::Network => "network",
            Self::SecurityGroup => "security group",
        }
    }
}

impl Describe for Leftover {
    fn describe(&self) -> PlannedChange {
        let class = match self.kind {
            LeftoverKind::Volume => ChangeClass::Destroys { data: vec!["the volume's content".to_owned()] },
            LeftoverKind::Snapshot => {
                ChangeClass::Destroys { data: vec!["the snapshot's content".to_owned()] }
            }
            _ => ChangeClass::Deletes,
        };
        let name = if self.name.is_empty() { &self.id } else { &self.name };
        PlannedChange::new(Leftovers::NAME, format!("{} {name}", self.kind.word()), class)
    }
}

impl Leftovers {
    pub(crate) const NAME: &'static str = "leftovers";
    pub(crate) const IN_THE_WAY: &'static str = "leftovers in the way";

    /// What is left when Cluster API has finished.
    #[must_use]
    pub const fn behind(subject: Arc<Subject>) -> Self {
        Self { subject, behind: true }
    }

    /// What would keep Cluster API from finishing.
    #[must_use]
    pub const fn in_the_way(subject: Arc<Subject>) -> Self {
        Self { subject, behind: false }
    }

    /// Whether Cluster API has deleted the machines and is at the network: then a port without a device is nobody's.
    fn only_network_is_left(&self) -> bool {
        let clusters = self.subject.list(&Kind::OPENSTACK_CLUSTER);
        clusters.iter().any(is_going) && self.subject.list(&Kind::MACHINE).is_empty()
    }
}

#[async_trait]
impl Component for Leftovers {
    type Seen = Seen;
    type Change = Leftover;

    fn name(&self) -> &'static str {
        if self.behind { Self::NAME } else { Self::IN_THE_WAY }
    }

    fn after(&self) -> &'static [&'static str] {
        if self.behind {
            &[super::credential::Credential::NAME, super::server_groups::ServerGroups::NAME]
        } else {
            &[super::objects::ClusterObjects::CLUSTER]
        }
    }

    async fn observe(&self, cx: &StepCx) -> Result<Seen, Failure> {
        if cx.direction() == Direction::Present {
            return Ok(Seen::default());
        }
        // A plan for deleting would show as leftovers what Cluster API is going to delete.
        if cx.is_dry()
            && self.behind
            && self.subject.get(&Kind::CLUSTER, self.subject.names().base()).is_some()
        {
            return Ok(Seen::default());
        }
        let (cloud, names) = (self.subject.project.cloud(), self.subject.names());
        let seen = if self.behind {
            find::everything(cloud, names).await
        } else {
            find::in_the_way(cloud, names, self.only_network_is_left()).await
        };
        seen.map_err(failure::openstack)
    }

    fn plan(&self, _: Direction, seen: &Seen) -> Verdict<Leftover> {
        let free: Vec<_> = seen.found.iter().filter(|leftover| !leftover.busy).cloned().collect();
        if !free.is_empty() {
            return Verdict::Change(free);
        }
        if let Some(busy) = seen.found.first() {
            return Verdict::waiting(format!("{} `{}` to be gone", busy.kind.word(), busy.name), 3);
        }
        if !seen.foreign.is_empty() {
            return Verdict::blocked(
                format!("on the cluster's network is what doesn't belong to it: {}", seen.foreign.join(", ")),
                "delete it or take it off the network, then delete the cluster again",
            );
        }
        Verdict::InSync
    }

    async fn apply(&self, leftover: &Leftover, _: &StepCx) -> Result<(), Failure> {
        let (cloud, id) = (self.subject.project.cloud(), leftover.id.as_str());
        let neutron = async |kind| cloud.network()?.delete(kind, id).await;
        let deleted = match &leftover.kind {
            LeftoverKind::Server => async { cloud.compute()?.delete_server(id).await }.await,
            LeftoverKind::LoadBalancer => {
                async { cloud.load_balancer()?.delete_load_balancer(id).await }.await
            }
            LeftoverKind::Snapshot => async { cloud.block_storage()?.delete_snapshot(id).await }.await,
            LeftoverKind::Volume => async { cloud.block_storage()?.delete_volume(id).await }.await,
            LeftoverKind::RouterInterface { router } => {
                async { cloud.network()?.remove_router_interface(router, id).await }.await
            }
            LeftoverKind::FloatingIp => neutron(network::Kind::FloatingIp).await,
            LeftoverKind::Port => neutron(network::Kind::Port).await,
            LeftoverKind::Router => neutron(network::Kind::Router).await,
            LeftoverKind::Network => neutron(network::Kind::Network).await,
            LeftoverKind::SecurityGroup => neutron(network::Kind::SecurityGroup).await,
        };
        match deleted {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map_err(failure::openstack),
        }
    }
}
