//! Servers: what they are, and what a create checks.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::flavors::Flavor;
use super::request::{BlockDevice, NetworkRequest, ServerCreate, ServerRequest, number};
use crate::openstack::error::ApiError;
use crate::openstack::identity::Token;
use crate::openstack::network::{Network, Port, SecurityGroup};
use crate::openstack::resource::Resource as _;
use crate::openstack::table::identified;
use crate::openstack::time;
use crate::openstack::{OpenStack, ZONES};

/// A server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Id.
    pub id: String,
    /// Name; not unique.
    pub name: String,
    /// `BUILD`, `ACTIVE`, `SHUTOFF`, `ERROR`.
    pub status: &'static str,
    /// What it is doing, e.g. `deleting`.
    pub task_state: Option<&'static str>,
    /// The flavor, as it was.
    pub flavor: Flavor,
    /// The image, unless it boots from a volume.
    pub image_id: Option<String>,
    /// Owner.
    pub project_id: String,
    /// Who made it.
    pub user_id: String,
    /// Free keys and values.
    pub metadata: BTreeMap<String, String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Name of its keypair.
    pub key_name: Option<String>,
    /// The zone it is in, once scheduled.
    pub availability_zone: Option<String>,
    /// The zone asked for.
    pub wanted_zone: Option<String>,
    /// Base64, as given.
    pub user_data: Option<String>,
    /// Why it is in ERROR.
    pub fault: Option<Fault>,
    /// Ids of its ports.
    pub ports: Vec<String>,
    /// Ids of its volumes, root first, and whether they go with it.
    pub volumes: Vec<(String, bool)>,
    /// Id of its server group.
    pub group: Option<String>,
    pub(super) own_ports: Vec<String>,
    pub(super) wanted_networks: Vec<NetworkRequest>,
    pub(super) wanted_disks: Vec<BlockDevice>,
    pub(super) security_groups: Vec<String>,
    pub(super) host: Option<String>,
    pub(super) description: Option<String>,
    pub(super) hostname: String,
    pub(super) config_drive: bool,
    pub(super) created: String,
    pub(super) updated: String,
    pub(super) launched_at: Option<String>,
    pub(super) host_key: String,
}

identified!(Server);

/// Why a server is in ERROR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// 500, mostly.
    pub code: u16,
    /// What happened.
    pub message: String,
    /// When.
    pub created: String,
}

fn field(name: &str, text: impl std::fmt::Display) -> ApiError {
    ApiError::bad_request(format!("Invalid input for field/attribute {name}. {text}"))
}

impl OpenStack {
    /// A server that the caller may see.
    ///
    /// # Errors
    /// 404.
    pub fn server(&self, caller: &Token, id: &str) -> Result<&Server, ApiError> {
        let found = self.compute.servers.get(id).filter(|each| caller.sees(&each.project_id));
        found.ok_or_else(|| ApiError::not_found(format!("Instance {id} could not be found.")))
    }

    /// The servers that the caller may see, oldest first.
    pub fn servers<'cloud>(&'cloud self, caller: &'cloud Token) -> impl Iterator<Item = &'cloud Server> {
        self.compute.servers.iter().filter(|each| caller.sees(&each.project_id))
    }

    /// Makes a server; it is in BUILD for a while, then ACTIVE or ERROR.
    ///
    /// # Errors
    /// As Nova's: everything that Nova checks before it answers.
    pub fn create_server(&mut self, caller: &Token, request: ServerRequest) -> Result<Server, ApiError> {
        let wanted = &request.server;
        check_text(wanted)?;
        let flavor = self.flavor(&wanted.flavor_ref).cloned().ok_or_else(|| {
            ApiError::bad_request(format!("Flavor {} could not be found.", wanted.flavor_ref))
        })?;
        self.check_boot(caller, wanted, &flavor)?;
        if let Some(key) = wanted.key_name.as_ref().filter(|key| self.keypair(caller, key).is_none()) {
            tracing::debug!(key, "a server asks for a keypair that isn't there");
            return Err(ApiError::bad_request("Invalid key_name provided."));
        }
        if wanted.availability_zone.as_deref().is_some_and(|zone| !ZONES.contains(&zone) && zone != "nova") {
            return Err(ApiError::bad_request("The requested availability zone is not available"));
        }
        let group = request.hints.group.as_deref();
        if let Some(group) = group {
            let members =
                self.server_group(caller, group).map_err(|error| ApiError::bad_request(error.message))?;
            let (limit, used) = (
                self.limit(&caller.project_id, "compute", "server_group_members"),
                i64::try_from(members.members.len()).unwrap_or(i64::MAX),
            );
            if limit >= 0 && used >= limit {
                return Err(ApiError::forbidden("Quota exceeded, too many servers in group"));
            }
        }
        self.check_networks(caller, wanted.networks.as_deref().unwrap_or_default())?;
        let groups = self.check_group_names(caller, wanted)?;
        let count = count(wanted)?;
        self.check_compute_quota(caller, &flavor, count, wanted.metadata.len())?;
        let mut first = None;
        for index in 0..count {
            let server = self.insert_server(caller, &request, &flavor, &groups, (index, count));
            first.get_or_insert(server);
        }
        first.ok_or_else(|| field("min_count", "0 is less than the minimum of 1"))
    }

    fn insert_server(
        &mut self,
        caller: &Token,
        request: &ServerRequest,
        flavor: &Flavor,
        groups: &[String],
        (index, count): (i64, i64),
    ) -> Server {
        let wanted = request.server.clone();
        let now = time::zulu(self.clock.now());
        let name = if count > 1 { format!("{}-{}", wanted.name, index + 1) } else { wanted.name.clone() };
        let config_drive = wanted.config_drive.as_ref().is_some_and(|value| {
            value
                .as_bool()
                .unwrap_or_else(|| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true")))
        });
        let server = Server {
            id: self.ids.uuid(),
            hostname: wanted.hostname.unwrap_or_else(|| hostname(&name)),
            name,
            status: "BUILD",
            task_state: Some("scheduling"),
            flavor: flavor.clone(),
            image_id: wanted.image_ref.filter(|image| !image.is_empty()),
            project_id: caller.project_id.clone(),
            user_id: caller.user_id.clone(),
            metadata: wanted.metadata,
            tags: wanted.tags,
            key_name: wanted.key_name,
            availability_zone: None,
            wanted_zone: wanted.availability_zone,
            user_data: wanted.user_data,
            fault: None,
            ports: Vec::new(),
            volumes: Vec::new(),
            group: request.hints.group.clone(),
            own_ports: Vec::new(),
            wanted_networks: wanted.networks.unwrap_or_default(),
            wanted_disks: wanted.block_device_mapping_v2,
            security_groups: groups.to_vec(),
            host: None,
            description: wanted.description,
            config_drive,
            created: now.clone(),
            updated: now,
            launched_at: None,
            host_key: host_key(&self.ids.secret(32)),
        };
        if let Some(group) = server.group.as_deref().and_then(|id| self.compute.groups.get_mut(id)) {
            group.members.push(server.id.clone());
        }
        self.compute.servers.insert(server.clone());
        self.build_server(caller, &server.id);
        server
    }

    /// The image, and the disks that a diskless flavor needs.
    fn check_boot(&self, caller: &Token, wanted: &ServerCreate, flavor: &Flavor) -> Result<(), ApiError> {
        let root = wanted.block_device_mapping_v2.iter().find(|disk| disk.is_root());
        for disk in &wanted.block_device_mapping_v2 {
            self.check_disk(caller, disk)?;
        }
        let image = wanted.image_ref.as_deref().filter(|image| !image.is_empty());
        match (image, root) {
            (None, None) => Err(ApiError::bad_request(
                "Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping combination \
                 is not valid.",
            )),
            (None, Some(_)) => Ok(()),
            (Some(id), root) => {
                let image = self.image(caller, id).ok().filter(|image| image.status == "active");
                let image = image.ok_or_else(|| ApiError::bad_request("Can not find requested image"))?;
                let backed = root.is_some_and(|root| root.destination_type.as_deref() == Some("volume"));
                if flavor.disk == 0 && !backed {
                    return Err(ApiError::forbidden(
                        "Only volume-backed servers are allowed for flavors with zero disk.",
                    ));
                }
                if flavor.disk < image.min_disk && !backed {
                    return Err(ApiError::bad_request("Flavor's disk is too small for requested image."));
                }
                if flavor.ram < image.min_ram {
                    return Err(ApiError::bad_request("Flavor's memory is too small for requested image."));
                }
                Ok(())
            }
        }
    }

    fn check_disk(&self, caller: &Token, disk: &BlockDevice) -> Result<(), ApiError> {
        if disk.volume_size == Some(Value::Null) {
            return Err(field("volume_size", "None is not of type 'integer', 'string'"));
        }
        let to_volume = disk.destination_type.as_deref() == Some("volume");
        match (disk.source_type.as_str(), disk.uuid.as_deref()) {
            ("image", Some(id)) => {
                let image = self
                    .image(caller, id)
                    .map_err(|_| ApiError::bad_request("Can not find requested image"))?;
                let size = disk.size();
                if to_volume && size.is_none() {
                    return Err(ApiError::bad_request(
                        "Block Device Mapping is Invalid: Images with destination_type 'volume' need to have a non-zero size \
                         specified",
                    ));
                }
                let minimum = i64::try_from(image.min_disk).unwrap_or(i64::MAX);
                match size.filter(|size| to_volume && *size < minimum) {
                    Some(size) => Err(ApiError::bad_request(format!(
                        "Volume is smaller than the minimum size specified in image metadata. Volume size is {} bytes, \
                         minimum size is {} bytes.",
                        size << 30,
                        minimum << 30
                    ))),
                    None => Ok(()),
                }
            }
            ("volume", Some(id)) => match self.volume(caller, id) {
                Ok(volume) if volume.status == "available" => Ok(()),
                Ok(volume) => Err(ApiError::bad_request(format!(
                    "Block Device Mapping is Invalid: failed to get volume {id}: status is {}.",
                    volume.status
                ))),
                Err(_) => Err(ApiError::bad_request(format!(
                    "Block Device Mapping is Invalid: failed to get volume {id}."
                ))),
            },
            ("blank", None) => Ok(()),
            (kind, _) => {
                Err(field("source_type", format!("the sandbox simulates no '{kind}' disk of this kind")))
            }
        }
    }

    fn check_networks(&self, caller: &Token, wanted: &[NetworkRequest]) -> Result<(), ApiError> {
        for request in wanted {
            match (&request.port, &request.uuid) {
                (Some(id), _) => {
                    let port = Port::get(self, caller, id);
                    let port =
                        port.map_err(|_| ApiError::bad_request(format!("Port id {id} could not be found.")))?;
                    if !port.device_id.is_empty() {
                        return Err(ApiError::conflict(format!("Port {id} is still in use.")));
                    }
                    if port.fixed_ips.is_empty() {
                        return Err(ApiError::bad_request(format!(
                            "Port {id} requires a FixedIP in order to be used."
                        )));
                    }
                }
                (None, Some(id)) => {
                    let network = Network::get(self, caller, id);
                    let network = network
                        .map_err(|_| ApiError::bad_request(format!("Network {id} could not be found.")))?;
                    if network.subnets.is_empty() {
                        return Err(ApiError::bad_request(format!(
                            "Network {id} requires a subnet in order to boot instances on."
                        )));
                    }
                }
                (None, None) => {
                    return Err(field("networks", "{} is not valid under any of the given schemas"));
                }
            }
        }
        Ok(())
    }

    /// Ids of the groups named.
    fn check_group_names(&self, caller: &Token, wanted: &ServerCreate) -> Result<Vec<String>, ApiError> {
        let find = |name: &str| {
            let fits = |group: &SecurityGroup| group.name == name || group.id == name;
            let own =
                SecurityGroup::table(self).iter().filter(|group| group.project_id() == caller.project_id);
            own.filter(|group| fits(group)).map(|group| group.id.clone()).next().ok_or_else(|| {
                ApiError::bad_request(format!("Unable to find security_group with name or id '{name}'"))
            })
        };
        wanted.security_groups.iter().flatten().map(|group| find(&group.name)).collect()
    }

    /// Cores, instances and memory, in Nova's words.
    fn check_compute_quota(
        &self,
        caller: &Token,
        flavor: &Flavor,
        count: i64,
        metadata: usize,
    ) -> Result<(), ApiError> {
        let project = &caller.project_id;
        for resource in ["instances", "cores", "ram"] {
            self.faults.count_create("compute", resource);
        }
        let limit = |name: &str| self.limit(project, "compute", name);
        if limit("metadata_items") >= 0
            && i64::try_from(metadata).unwrap_or(i64::MAX) > limit("metadata_items")
        {
            return Err(ApiError::forbidden(format!(
                "Maximum number of metadata items exceeds {}",
                limit("metadata_items")
            )));
        }
        let each = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX).saturating_mul(count);
        let wanted = [("cores", each(flavor.vcpus)), ("instances", count), ("ram", each(flavor.ram))];
        let short = |(name, amount): &&(&str, i64)| {
            limit(name) >= 0 && self.compute_usage(project, name).saturating_add(*amount) > limit(name)
        };
        let short: Vec<&(&str, i64)> = wanted.iter().filter(short).collect();
        if short.is_empty() {
            return Ok(());
        }
        let list = |text: &dyn Fn(&(&str, i64)) -> String| {
            short.iter().map(|each| text(each)).collect::<Vec<_>>().join(", ")
        };
        let names = list(&|(name, _)| (*name).to_owned());
        Err(ApiError::forbidden(format!(
            "Quota exceeded for {names}: Requested {}, but already used {} of {} {names}",
            list(&|(_, amount)| amount.to_string()),
            list(&|(name, _)| self.compute_usage(project, name).to_string()),
            list(&|(name, _)| limit(name).to_string()),
        )))
    }

    /// How much of a quota the project uses.
    pub(super) fn compute_usage(&self, project_id: &str, resource: &str) -> i64 {
        let servers = self.compute.servers.iter().filter(|server| server.project_id == project_id);
        let amount: u64 = match resource {
            "instances" => servers.count() as u64,
            "cores" => servers.map(|server| server.flavor.vcpus).sum(),
            "ram" => servers.map(|server| server.flavor.ram).sum(),
            "server_groups" => {
                self.compute.groups.iter().filter(|group| group.project_id == project_id).count() as u64
            }
            _ => 0,
        };
        i64::try_from(amount).unwrap_or(i64::MAX)
    }
}

fn check_text(wanted: &ServerCreate) -> Result<(), ApiError> {
    if wanted.name.trim().is_empty() {
        return Err(field("name", format!("Value: {}. '' is too short", wanted.name)));
    }
    if wanted.name.len() > 255 {
        return Err(field("name", "the name is too long"));
    }
    if let Some(data) = &wanted.user_data {
        let decoded = STANDARD.decode(data.replace(['\n', '\r'], ""));
        let decoded =
            decoded.map_err(|_| field("user_data", format!("Value: {data}. '{data}' is not a 'base64'")))?;
        if decoded.len() > 65_535 {
            return Err(field("user_data", "the data is too long"));
        }
    }
    Ok(())
}

fn count(wanted: &ServerCreate) -> Result<i64, ApiError> {
    let parse = |value: &Option<Value>| match value {
        None => Ok(1),
        Some(value) => number(value)
            .filter(|count| *count > 0)
            .ok_or_else(|| field("min_count", format!("Value: {value}."))),
    };
    Ok(parse(&wanted.min_count)?.max(parse(&wanted.max_count)?))
}

/// A name as a host may have it.
fn hostname(name: &str) -> String {
    let allowed = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '-' };
    let text: String = name.to_lowercase().chars().map(allowed).take(63).collect();
    text.trim_matches('-').to_owned()
}

/// A public key of OpenSSH's format, made of 32 characters.
fn host_key(point: &str) -> String {
    const KIND: &[u8] = b"ssh-ed25519";
    let blob = [&[0, 0, 0, 11], KIND, &[0, 0, 0, 32], point.as_bytes()].concat();
    STANDARD.encode(blob)
}
