//! `OpenStackMachineTemplate`: what one machine is. Templates are immutable, so their names carry a hash of their
//! content; a change is a new template and a rollout.

use std::collections::BTreeMap;

use capstan_core::documents::{AntiAffinity, RootVolumeSpec};
use capstan_core::names;
use serde_json::{Value, json};

use super::{INFRASTRUCTURE, Input, set};
use crate::facts::Flavor;

/// What distinguishes the machines of one group.
pub(super) struct Machines<'a> {
    pub(super) flavor: &'a str,
    pub(super) root_volume: Option<&'a RootVolumeSpec>,
    pub(super) anti_affinity: AntiAffinity,
    /// Name of the server group, where there is one.
    pub(super) server_group: String,
    pub(super) metadata: &'a BTreeMap<String, String>,
}

/// The template; `name` makes its name from the hash of its content.
pub(super) fn object(input: Input<'_>, machines: &Machines<'_>, name: impl Fn(&str) -> String) -> Value {
    let spec = json!({ "template": { "spec": machine(input, machines) } });
    let name = name(&names::content_hash(&spec));
    super::object(input, INFRASTRUCTURE, "OpenStackMachineTemplate", &name, spec)
}

/// The name of a rendered object.
pub(super) fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn machine(input: Input<'_>, machines: &Machines<'_>) -> Value {
    let image = input.spec.image.name_for(&input.facts.version);
    let mut spec = json!({
        "flavor": machines.flavor,
        "image": { "filter": { "name": image } },
        "serverMetadata": metadata(input, machines.metadata),
    });
    set(&mut spec, "sshKeyName", input.spec.ssh_key_name.clone());
    set(&mut spec, "rootVolume", root_volume(input, machines));
    if machines.anti_affinity != AntiAffinity::None {
        set(&mut spec, "serverGroup", json!({ "filter": { "name": machines.server_group } }));
    }
    spec
}

/// The user's metadata and the proof of ownership.
fn metadata(input: Input<'_>, user: &BTreeMap<String, String>) -> Vec<Value> {
    let ours = [(names::FLEET_KEY, input.names.fleet()), (names::CLUSTER_KEY, input.names.cluster())];
    let user = user.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    user.chain(ours).map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

/// The document's root volume, or one that fits where the flavor has no disk of its own.
fn root_volume(input: Input<'_>, machines: &Machines<'_>) -> Option<Value> {
    let flavor = input.facts.flavors.get(machines.flavor);
    let size = machines.root_volume.map(|volume| volume.size_gib).or_else(|| {
        flavor
            .filter(|flavor| flavor.disk_gib == 0)
            .map(|flavor| default_size(flavor, input.facts.image_min_disk_gib))
    })?;
    // In the zone of its machine: a volume can rarely be attached across zones.
    let mut volume = json!({ "sizeGiB": size });
    set(&mut volume, "type", machines.root_volume.and_then(|volume| volume.volume_type.clone()));
    if input.facts.volume_zones_match {
        set(&mut volume, "availabilityZone", json!({ "from": "Machine" }));
    }
    Some(volume)
}

/// Size in GiB of the root volume of a diskless flavor: room for the image and for swap-sized use of the memory, in
/// steps of 5, as the original computed it.
fn default_size(flavor: &Flavor, image_min_disk_gib: u32) -> u32 {
    let size = (image_min_disk_gib + 2 + flavor.ram_mib / 1024 / 2) / 5 * 5;
    size.min(125).max(image_min_disk_gib).max(20)
}
