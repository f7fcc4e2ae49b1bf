//! What the shape of a document cannot say: ranges that overlap, names that get too long, counts that make no sense.

use super::ResolvedCluster;
use super::cluster::WorkloadClusterSpec;
use super::formats::check_label_key;
use super::problem::{Report, Span, quoted};
use super::tree::Node;
use super::values::{Cidr, ImageSource};
use crate::names::{self, ClusterNames};

/// A merged specification together with the places that it came from.
pub(super) struct Located<'a> {
    pub(super) spec: &'a WorkloadClusterSpec,
    pub(super) tree: &'a Node,
    pub(super) name: Span,
}

impl Located<'_> {
    /// Where the value at `path` was written; the cluster's name if it is a built-in default.
    fn span(&self, path: &str) -> Span {
        let mut node = self.tree;
        for part in path.split('.') {
            let next = part.parse::<usize>().map_or_else(|_| node.get(part), |index| node.items().get(index));
            match next {
                Some(next) => node = next,
                None => return self.name,
            }
        }
        node.span
    }
}

/// Checks one merged cluster.
pub(super) fn cluster(at: &Located<'_>, names: &ClusterNames, report: &mut Report<'_>) {
    versions(at, report);
    image(at, report);
    networks(at, report);
    control_plane(at, report);
    node_groups(at, names, report);
    cluster_name(at, names, report);
}

fn versions(at: &Located<'_>, report: &mut Report<'_>) {
    let version = &at.spec.kubernetes.version;
    if !version.is_tested() {
        let tested = crate::versions::TESTED_MINORS;
        report.warning(
            at.span("kubernetes.version"),
            format!(
                "Kubernetes {version} is outside of what is tested: 1.{} to 1.{}",
                tested.start(),
                tested.end()
            ),
        );
    }
}

fn image(at: &Located<'_>, report: &mut Report<'_>) {
    let image = &at.spec.image;
    if let (Some(ImageSource::Http(_)), None) = (&image.source, &image.sha256) {
        let problem = report.error(at.span("image.source"), "an image that is downloaded needs its checksum");
        problem
            .hints
            .push("add `sha256` beside `source`: the publisher names it, `sha256sum` computes it".into());
    }
    if image.source.is_none() && image.sha256.is_some() {
        report.error(at.span("image.sha256"), "a checksum without a `source` checks nothing");
    }
    if let Some(key) = image.properties.keys().find(|key| key.trim().is_empty()) {
        report.error(at.span("image.properties"), format!("the property {} has no name", quoted(key)));
    }
}

fn networks(at: &Located<'_>, report: &mut Report<'_>) {
    let network = &at.spec.network;
    let mut ranges: Vec<(String, &str, Cidr)> = vec![];
    if network.existing.is_none() {
        ranges.push(("network.nodeCidr".into(), "the node range", network.node_cidr));
    }
    let listed = |key: &str, what: &'static str, cidrs: &[Cidr]| -> Vec<(String, &'static str, Cidr)> {
        cidrs
            .iter()
            .enumerate()
            .map(|(index, cidr)| (format!("network.{key}.{index}"), what, *cidr))
            .collect()
    };
    ranges.extend(listed("podCidrs", "the pod range", &network.pod_cidrs));
    ranges.extend(listed("serviceCidrs", "the service range", &network.service_cidrs));
    for (index, (path, what, cidr)) in ranges.iter().enumerate() {
        if !cidr.is_ipv4() {
            report.error(at.span(path), format!("{what} `{cidr}` is IPv6, which is not implemented yet"));
        }
        for (earlier_path, earlier_what, earlier) in &ranges[..index] {
            if cidr.overlaps(earlier) {
                // The mark goes to what was written; of two written ones to the later.
                let written = if at.span(path) == at.name { earlier_path } else { path };
                report
                    .error(at.span(written), format!("{what} `{cidr}` overlaps {earlier_what} `{earlier}`"));
            }
        }
    }
    if network.existing.is_none() && network.node_cidr.net().prefix_len() > 28 {
        report.error(
            at.span("network.nodeCidr"),
            format!("the node range `{}` is too small: it needs a length of 28 or less", network.node_cidr),
        );
    }
    repeated(at, report, "network.dnsServers", &network.dns_servers, "the name server");
    repeated(at, report, "api.allowedCidrs", &at.spec.api.allowed_cidrs, "the range");
}

fn control_plane(at: &Located<'_>, report: &mut Report<'_>) {
    let control_plane = &at.spec.control_plane;
    if control_plane.replicas.is_multiple_of(2) {
        let more = control_plane.replicas + 1;
        let problem = report.error(
            at.span("controlPlane.replicas"),
            format!(
                "{} control planes survive no more failures than {}: etcd needs a majority",
                control_plane.replicas,
                control_plane.replicas.max(2) - 1
            ),
        );
        problem.hints.push(format!("use an odd number: {} or {more}", more - 2));
    }
    repeated(at, report, "controlPlane.zones", &control_plane.zones, "the zone");
}

fn node_groups(at: &Located<'_>, names: &ClusterNames, report: &mut Report<'_>) {
    let groups = &at.spec.node_groups;
    for (index, group) in groups.iter().enumerate() {
        let name_at = at.span(&format!("nodeGroups.{index}.name"));
        if groups[..index].iter().any(|earlier| earlier.name == group.name) {
            report.error(name_at, format!("there are two node groups named {}", quoted(&group.name)));
        }
        if group.name == names::CONTROL_PLANE {
            report.error(
                name_at,
                format!("a node group cannot be named `{}`: the control plane has that name", group.name),
            );
        }
        let length = names.node_group(&group.name).len();
        if length > names::max_node_group() {
            let machines = format!("machines would be named `{}-xxxxx-yyyyy`", names.node_group(&group.name));
            let problem = report.error(
                name_at,
                format!("the name is too long: {machines}, and a host name has at most 63 characters"),
            );
            problem.hints.push(format!(
                "shorten the fleet's, the cluster's or the group's name by {}",
                length - names::max_node_group()
            ));
        }
        repeated(at, report, &format!("nodeGroups.{index}.zones"), &group.zones, "the zone");
        for (taint_index, taint) in group.taints.iter().enumerate() {
            let path = format!("nodeGroups.{index}.taints.{taint_index}");
            if let Err(why) = check_label_key(&taint.key) {
                report.error(at.span(&format!("{path}.key")), why);
            }
            if group.taints[..taint_index]
                .iter()
                .any(|known| known.key == taint.key && known.effect == taint.effect)
            {
                report.error(
                    at.span(&path),
                    format!("the taint {} is there twice with this effect", quoted(&taint.key)),
                );
            }
        }
    }
}

fn cluster_name(at: &Located<'_>, names: &ClusterNames, report: &mut Report<'_>) {
    let length = names.base().len();
    if length > names::max_base() {
        let machines =
            format!("machines of the control plane would be named `{}-xxxxx`", names.control_plane());
        let problem = report.error(
            at.name,
            format!("the name is too long: {machines}, and a host name has at most 63 characters"),
        );
        problem
            .hints
            .push(format!("shorten the fleet's or the cluster's name by {}", length - names::max_base()));
    }
}

fn repeated<T: PartialEq + ToString>(
    at: &Located<'_>,
    report: &mut Report<'_>,
    path: &str,
    values: &[T],
    what: &str,
) {
    for (index, value) in values.iter().enumerate() {
        if values[..index].contains(value) {
            report.error(
                at.span(&format!("{path}.{index}")),
                format!("{what} {} is there twice", quoted(&value.to_string())),
            );
        }
    }
}

/// Server groups of all clusters live in one OpenStack project under `F-C-GROUP`: two clusters must not derive one name.
pub(super) fn derived_names(clusters: &[(ResolvedCluster, Span)], report: &mut Report<'_>) {
    let mut known: Vec<(String, &str)> = vec![];
    for (cluster, span) in clusters {
        let groups = cluster.spec.node_groups.iter().map(|group| group.name.as_str());
        for name in cluster.names.server_groups(groups) {
            let owner = cluster.names.cluster();
            match known.iter().find(|(taken, other)| *taken == name && *other != owner) {
                Some((_, other)) => {
                    let problem = report.error(
                        *span,
                        format!("clusters `{other}` and `{owner}` would both make the server group `{name}`"),
                    );
                    problem.hints.push("rename a cluster or a node group".into());
                }
                None => known.push((name, owner)),
            }
        }
    }
}
