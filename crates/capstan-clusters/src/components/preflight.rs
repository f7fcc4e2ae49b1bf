//! Before anything is made: does the cloud have what the document names, and room for it? All problems in one list.

mod checks;

use std::sync::Arc;

use async_trait::async_trait;
use capstan_core::plan::{PlannedChange, QuotaLine};
use capstan_core::versions::KubernetesVersion;
use capstan_engine::{Component, Direction, Failure, StepCx, Verdict};
use capstan_kube::Kind;
use capstan_openstack::ServiceType;
use capstan_openstack::network;

use crate::facts::Facts;
use crate::subject::Subject;
use crate::{failure, quota};

/// See the module. Finds the [`Facts`] on the way.
pub struct Preflight(pub Arc<Subject>);

/// What was found.
pub struct Seen {
    problems: Vec<String>,
}

impl Preflight {
    pub(crate) const NAME: &'static str = "preflight";

    /// Lists what the document's names can mean.
    async fn world(&self) -> Result<checks::World, Failure> {
        let project = &self.0.project;
        let spec = &self.0.cluster.spec;
        let (flavors, images, networks, zones, keypairs) = futures::try_join!(
            project.flavors(),
            project.images(),
            project.networks(),
            project.zones(),
            project.keypairs(),
        )
        .map_err(failure::openstack)?;
        // Not every cloud has block storage; whoever needs root volumes is told by their own check.
        let volume_zones = project.volume_zones().await.ok();
        let existing = match &spec.network.existing {
            None => None,
            Some(existing) => Some(self.existing(&existing.network, &networks).await?),
        };
        let load_balancers = project.cloud().load_balancer().map_err(failure::openstack)?;
        let providers = match spec.api.load_balancer.provider {
            // The provider of a cluster that exists cannot change any more.
            Some(_) if !self.exists() => Some(load_balancers.providers().await.map_err(failure::openstack)?),
            _ => None,
        };
        Ok(checks::World { flavors, images, networks, zones, volume_zones, keypairs, existing, providers })
    }

    /// Subnets and routers of a network that the document names.
    async fn existing(
        &self,
        name: &str,
        networks: &[network::Network],
    ) -> Result<(Vec<network::Subnet>, Vec<network::Router>), Failure> {
        let neutron = self.0.project.cloud().network().map_err(failure::openstack)?;
        let network = networks.iter().find(|network| network.id == name || network.name == name);
        let subnets = network::Filter {
            network_id: Some(network.map_or_else(|| name.to_owned(), |network| network.id.clone())),
            ..Default::default()
        };
        let routers = network::Filter::default();
        futures::try_join!(neutron.subnets(&subnets), neutron.routers(&routers)).map_err(failure::openstack)
    }

    fn exists(&self) -> bool {
        self.0.get(&Kind::CLUSTER, self.0.names().base()).is_some()
    }

    /// The release that the control plane runs or is on the way to, and the one it has reached everywhere.
    fn running(&self) -> Option<KubernetesVersion> {
        let control_plane = self.0.get(&Kind::KUBEADM_CONTROL_PLANE, &self.0.names().control_plane())?;
        let reached = control_plane.data["status"]["version"].as_str();
        reached.or_else(|| control_plane.data["spec"]["version"].as_str())?.parse().ok()
    }

    /// The lines of the quota that the cluster needs more of.
    async fn short(&self, facts: &Facts) -> Result<Vec<QuotaLine>, Failure> {
        let need = quota::need(&self.0, facts);
        if need.is_nothing() {
            return Ok(vec![]);
        }
        let lines = quota::lines(&self.0, facts).await?;
        Ok(lines.into_iter().filter(QuotaLine::is_short).collect())
    }
}

#[async_trait]
impl Component for Preflight {
    type Seen = Seen;
    type Change = PlannedChange;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn observe(&self, cx: &StepCx) -> Result<Seen, Failure> {
        // Deleting asks for nothing that the document names.
        if cx.direction() == Direction::Absent {
            return Ok(Seen { problems: vec![] });
        }
        // All services at once, so that the user doesn't learn of them one by one.
        let cloud = self.0.project.cloud();
        let missing: Vec<_> =
            [ServiceType::Compute, ServiceType::Network, ServiceType::Image, ServiceType::LoadBalancer]
                .into_iter()
                .filter_map(|service| cloud.service(service).err())
                .map(|error| error.to_string())
                .collect();
        if !missing.is_empty() {
            self.0.facts.clear();
            return Ok(Seen { problems: missing });
        }
        let world = self.world().await?;
        let (facts, mut problems) = checks::check(&self.0.cluster, &world);
        if let Some(facts) = &facts {
            problems.extend(checks::upgrade(self.running().as_ref(), &facts.version));
            problems.extend(self.short(facts).await?.iter().map(quota::shortage));
        }
        // What later components render with; given on even if something else is missing, so that a plan shows what it
        // can.
        match facts {
            Some(facts) => self.0.facts.set(facts),
            None => self.0.facts.clear(),
        }
        Ok(Seen { problems })
    }

    fn plan(&self, direction: Direction, seen: &Seen) -> Verdict<PlannedChange> {
        if direction == Direction::Absent || seen.problems.is_empty() {
            return Verdict::InSync;
        }
        Verdict::blocked(seen.problems.join("\n"), "mend the document or the cloud; nothing was changed")
    }

    async fn apply(&self, _: &PlannedChange, _: &StepCx) -> Result<(), Failure> {
        Ok(())
    }
}
