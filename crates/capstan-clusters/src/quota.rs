//! What a cluster takes of the project's quota, before it is taken.

use capstan_core::plan::QuotaLine;
use capstan_engine::Failure;
use capstan_kube::Kind;
use capstan_openstack::Quota;

use crate::facts::Facts;
use crate::failure;
use crate::render::Zone;
use crate::subject::Subject;

/// What is needed beyond what the cluster has, at the highest point of a rollout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Need {
    instances: i64,
    cores: i64,
    ram_mib: i64,
    /// Network, subnet, router, floating IP and load balancer are made once, with the cluster.
    network: bool,
    floating_ip: bool,
}

impl Need {
    /// Whether nothing more is needed.
    pub(crate) const fn is_nothing(&self) -> bool {
        self.instances <= 0 && self.cores <= 0 && self.ram_mib <= 0 && !self.network && !self.floating_ip
    }

    fn machines(&mut self, count: i64, flavor: &str, facts: &Facts) {
        let Some(flavor) = facts.flavors.get(flavor) else { return };
        self.instances += count;
        self.cores += count * i64::from(flavor.vcpus);
        self.ram_mib += count * i64::from(flavor.ram_mib);
    }
}

/// What the wanted machines need beyond those that are there.
pub(crate) fn need(subject: &Subject, facts: &Facts) -> Need {
    let (names, spec) = (subject.names(), &subject.cluster.spec);
    let exists = subject.get(&Kind::CLUSTER, names.base()).is_some();
    let machines = subject.list(&Kind::MACHINE);
    let count = |key: &str, value: Option<&str>| {
        let labelled = machines.iter().filter(|machine| {
            let label = machine.metadata.labels.as_ref().and_then(|labels| labels.get(key));
            label.is_some_and(|label| value.is_none_or(|value| label == value))
        });
        i64::try_from(labelled.count()).unwrap_or(i64::MAX)
    };
    let mut need = Need {
        network: !exists && spec.network.existing.is_none(),
        floating_ip: !exists && spec.api.floating_ip,
        ..Need::default()
    };
    let control_planes =
        i64::from(spec.control_plane.replicas) - count("cluster.x-k8s.io/control-plane", None);
    need.machines(control_planes.max(0), &spec.control_plane.flavor, facts);
    for group in &spec.node_groups {
        for zone in Zone::of(names, group) {
            let there = count("cluster.x-k8s.io/deployment-name", Some(&zone.name));
            need.machines((i64::from(zone.replicas) - there).max(0), &group.flavor, facts);
        }
    }
    need
}

/// The quota before and after, one line a resource that the cluster needs more of.
///
/// # Errors
/// The services'.
pub async fn lines(subject: &Subject, facts: &Facts) -> Result<Vec<QuotaLine>, Failure> {
    let need = need(subject, facts);
    let (compute, network) = subject.project.quotas().await.map_err(failure::openstack)?;
    let once = i64::from(need.network);
    let lines = [
        line("instances", compute.instances, need.instances),
        line("cores", compute.cores, need.cores),
        line("ram (MiB)", compute.ram, need.ram_mib),
        line("network", network.network, once),
        line("subnet", network.subnet, once),
        line("router", network.router, once),
        line("floatingip", network.floating_ip, i64::from(need.floating_ip)),
        line("security_group", network.security_group, 2 * i64::from(need.network)),
    ];
    Ok(lines.into_iter().filter(|line| line.change != 0).collect())
}

/// A short quota in words.
pub(crate) fn shortage(line: &QuotaLine) -> String {
    let limit = line.limit.unwrap_or_default();
    let free = limit.saturating_sub(line.used);
    format!(
        "the quota of {} is short: {} are needed, {free} of {limit} are free ({} in use)",
        line.resource, line.change, line.used
    )
}

fn line(resource: &str, quota: Quota, change: i64) -> QuotaLine {
    let used = u64::try_from(quota.in_use.saturating_add(quota.reserved)).unwrap_or_default();
    QuotaLine { resource: resource.to_owned(), used, change, limit: u64::try_from(quota.limit).ok() }
}
