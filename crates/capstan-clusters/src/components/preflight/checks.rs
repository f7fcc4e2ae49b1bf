//! The checks themselves: pure, from lists to facts and problems.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use capstan_core::documents::{ResolvedCluster, RootVolumeSpec};
use capstan_core::versions::{self, KubernetesVersion};
use capstan_openstack::block_storage::VolumeZone;
use capstan_openstack::compute::{AvailabilityZone, Flavor, Keypair};
use capstan_openstack::image::Image;
use capstan_openstack::load_balancer::Provider;
use capstan_openstack::network::{Network, Router, Subnet};

use crate::facts::{self, ExistingNetwork, Facts};

/// What the cloud has.
pub(super) struct World {
    pub(super) flavors: Arc<Vec<Flavor>>,
    pub(super) images: Arc<Vec<Image>>,
    pub(super) networks: Arc<Vec<Network>>,
    pub(super) zones: Arc<Vec<AvailabilityZone>>,
    /// Absent where the cloud has no block storage.
    pub(super) volume_zones: Option<Arc<Vec<VolumeZone>>>,
    pub(super) keypairs: Arc<Vec<Keypair>>,
    /// Subnets and routers of the existing network.
    pub(super) existing: Option<(Vec<Subnet>, Vec<Router>)>,
    /// Octavia's providers, where the document names one.
    pub(super) providers: Option<Vec<Provider>>,
}

/// The facts, as far as they are complete enough to render with, and all problems.
pub(super) fn check(cluster: &ResolvedCluster, world: &World) -> (Option<Facts>, Vec<String>) {
    let mut problems = Vec::new();
    let flavors = flavors(cluster, world, &mut problems);
    zones(cluster, world, &mut problems);
    key_and_provider(cluster, world, &mut problems);
    let version = version(cluster, world, &mut problems);
    let image = version.as_ref().and_then(|version| image(cluster, version, world, &mut problems));
    let external_network = external_network(cluster, world, &mut problems);
    let existing_network = existing_network(cluster, world, &mut problems);
    let facts = version.map(|version| Facts {
        version,
        flavors,
        image_min_disk_gib: image.map_or(0, |image| u32::try_from(image.min_disk).unwrap_or(u32::MAX)),
        external_network,
        existing_network,
        volume_zones_match: volume_zones_match(world),
    });
    if let Some(facts) = &facts {
        disks(cluster, facts, world, &mut problems);
    }
    (facts, problems)
}

/// Whether a control plane of release `from` may go to `to`.
pub(super) fn upgrade(from: Option<&KubernetesVersion>, to: &KubernetesVersion) -> Option<String> {
    versions::upgrade_step(from?, to).err().map(|error| error.to_string())
}

/// `no flavor `x`; did you mean `y`?`
fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = capstan_openstack::near(name, known);
    let meant = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("the cloud has no {kind} `{name}`{meant}")
}

fn flavors(
    cluster: &ResolvedCluster,
    world: &World,
    problems: &mut Vec<String>,
) -> BTreeMap<String, facts::Flavor> {
    let spec = &cluster.spec;
    let names: BTreeSet<&str> = std::iter::once(spec.control_plane.flavor.as_str())
        .chain(spec.node_groups.iter().map(|group| group.flavor.as_str()))
        .collect();
    let mut found = BTreeMap::new();
    for name in names {
        match world.flavors.iter().find(|flavor| flavor.name == name) {
            Some(flavor) => {
                let clip = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
                let flavor = facts::Flavor {
                    vcpus: flavor.vcpus,
                    ram_mib: clip(flavor.ram),
                    disk_gib: clip(flavor.disk),
                };
                found.insert(name.to_owned(), flavor);
            }
            None => problems.push(unknown(
                "flavor",
                name,
                world.flavors.iter().map(|flavor| flavor.name.as_str()),
            )),
        }
    }
    found
}

fn zones(cluster: &ResolvedCluster, world: &World, problems: &mut Vec<String>) {
    let spec = &cluster.spec;
    let wanted: BTreeSet<&String> = spec
        .control_plane
        .zones
        .iter()
        .chain(spec.node_groups.iter().flat_map(|group| &group.zones))
        .collect();
    for name in wanted {
        match world.zones.iter().find(|zone| zone.name == *name) {
            Some(zone) if zone.is_available() => {}
            Some(_) => problems.push(format!("availability zone `{name}` takes no servers at present")),
            None => {
                problems.push(unknown(
                    "availability zone",
                    name,
                    world.zones.iter().map(|zone| zone.name.as_str()),
                ));
            }
        }
    }
}

fn key_and_provider(cluster: &ResolvedCluster, world: &World, problems: &mut Vec<String>) {
    if let Some(name) = &cluster.spec.ssh_key_name
        && !world.keypairs.iter().any(|keypair| keypair.name == *name)
    {
        problems.push(unknown("key pair", name, world.keypairs.iter().map(|keypair| keypair.name.as_str())));
    }
    if let (Some(name), Some(providers)) = (&cluster.spec.api.load_balancer.provider, &world.providers)
        && !providers.iter().any(|provider| provider.name == *name)
    {
        problems.push(unknown(
            "load balancer provider",
            name,
            providers.iter().map(|provider| provider.name.as_str()),
        ));
    }
}

/// The release itself, or the newest of the minor with an image.
fn version(
    cluster: &ResolvedCluster,
    world: &World,
    problems: &mut Vec<String>,
) -> Option<KubernetesVersion> {
    let (spec, wanted) = (&cluster.spec, &cluster.spec.kubernetes.version);
    if wanted.is_release() {
        return Some(*wanted);
    }
    let published: Vec<_> = world
        .images
        .iter()
        .filter(|image| image.status == "active")
        .filter_map(|image| spec.image.version_of(&image.name))
        .collect();
    let newest = wanted.newest(&published);
    if newest.is_none() {
        problems.push(format!(
            "no image `{}` of Kubernetes {wanted} is in the cloud; name a full release, or register an image",
            spec.image.name
        ));
    }
    newest
}

fn image<'a>(
    cluster: &ResolvedCluster,
    version: &KubernetesVersion,
    world: &'a World,
    problems: &mut Vec<String>,
) -> Option<&'a Image> {
    let name = cluster.spec.image.name_for(version);
    let found = world.images.iter().find(|image| image.name == name && image.status == "active");
    if found.is_none()
        && cluster.spec.image.source.is_none()
        && !world.images.iter().any(|image| image.name == name)
    {
        let known = world.images.iter().map(|image| image.name.as_str());
        problems.push(format!("{}; `image.source` would have it uploaded", unknown("image", &name, known)));
    }
    found
}

/// The id of the named external network, or of the only one.
fn external_network(cluster: &ResolvedCluster, world: &World, problems: &mut Vec<String>) -> Option<String> {
    let external: Vec<_> = world.networks.iter().filter(|network| network.external).collect();
    let names = || external.iter().map(|network| network.name.as_str());
    let quoted = || names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let found: Vec<_> = match &cluster.external_network {
        Some(wanted) => {
            external.iter().filter(|network| network.id == *wanted || network.name == *wanted).collect()
        }
        None => external.iter().collect(),
    };
    match (&cluster.external_network, &found[..]) {
        (_, [network]) => return Some(network.id.clone()),
        (Some(wanted), []) => problems.push(unknown("external network", wanted, names())),
        (Some(wanted), _) => {
            problems.push(format!("there are several external networks `{wanted}`: name the id"))
        }
        // A cluster without a way out can be meant, if it brings its own router.
        (None, []) if cluster.spec.network.existing.is_some() => {}
        (None, []) => problems.push("the project sees no external network".to_owned()),
        (None, _) => {
            problems.push(format!(
                "there are several external networks ({}): choose one in `network.external`",
                quoted()
            ));
        }
    }
    None
}

fn existing_network(
    cluster: &ResolvedCluster,
    world: &World,
    problems: &mut Vec<String>,
) -> Option<ExistingNetwork> {
    let wanted = cluster.spec.network.existing.as_ref()?;
    let (subnets, routers) = world.existing.as_ref()?;
    let is = |id: &str, name: &str, wanted: &str| id == wanted || name == wanted;
    let networks: Vec<_> =
        world.networks.iter().filter(|network| is(&network.id, &network.name, &wanted.network)).collect();
    let [network] = networks[..] else {
        problems.push(if networks.is_empty() {
            unknown("network", &wanted.network, world.networks.iter().map(|network| network.name.as_str()))
        } else {
            format!("there are several networks `{}`: name the id", wanted.network)
        });
        return None;
    };
    let subnets: Vec<_> = subnets
        .iter()
        .filter(|subnet| subnet.network_id == network.id)
        .filter(|subnet| wanted.subnet.as_ref().is_none_or(|wanted| is(&subnet.id, &subnet.name, wanted)))
        .collect();
    let [subnet] = subnets[..] else {
        problems.push(format!(
            "network `{}` has {} subnets that fit: choose one in `network.existing.subnet`",
            wanted.network,
            subnets.len()
        ));
        return None;
    };
    let router = match &wanted.router {
        None => None,
        Some(name) => match routers.iter().find(|router| is(&router.id, &router.name, name)) {
            Some(router) => Some(router.id.clone()),
            None => {
                problems.push(unknown("router", name, routers.iter().map(|router| router.name.as_str())));
                None
            }
        },
    };
    Some(ExistingNetwork { network: network.id.clone(), subnets: vec![subnet.id.clone()], router })
}

fn volume_zones_match(world: &World) -> bool {
    let Some(volumes) = &world.volume_zones else { return false };
    !world.zones.is_empty()
        && world.zones.iter().all(|zone| volumes.iter().any(|volume| volume.name == zone.name))
}

/// Disks that are too small for the image, and volumes where there is no block storage.
fn disks(cluster: &ResolvedCluster, facts: &Facts, world: &World, problems: &mut Vec<String>) {
    let spec = &cluster.spec;
    let control_plane =
        ("the control plane", &spec.control_plane.flavor, spec.control_plane.root_volume.as_ref());
    let groups =
        spec.node_groups.iter().map(|group| (group.name.as_str(), &group.flavor, group.root_volume.as_ref()));
    let mut seen = BTreeSet::new();
    for (group, flavor, volume) in std::iter::once(control_plane).chain(groups) {
        let Some(found) = facts.flavors.get(flavor) else { continue };
        if (volume.is_some() || found.disk_gib == 0) && world.volume_zones.is_none() && seen.insert(flavor) {
            problems.push(format!("`{flavor}` needs root volumes, but the cloud has no block storage"));
        }
        let disk = volume.map_or(found.disk_gib, |RootVolumeSpec { size_gib, .. }| *size_gib);
        if disk != 0 && disk < facts.image_min_disk_gib {
            let least = facts.image_min_disk_gib;
            problems.push(format!(
                "{group}: a disk of {disk} GiB is too small for the image, which needs {least}"
            ));
        }
    }
}
