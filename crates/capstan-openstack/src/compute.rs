//! Nova: servers, flavors, keypairs, server groups.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::error::Result;
use crate::microversion::Microversion;
use crate::request::Service;
use crate::resource::{Quota, named, or_default, pick};

/// The compute service.
#[derive(Debug, Clone)]
pub struct Compute(pub(crate) Service);

/// A size of servers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Flavor {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub ram: u64,
    /// Root disk in GiB. 0: the flavor has none, so servers need a root volume.
    pub disk: u64,
    /// Properties, such as those of the SCS flavor standard.
    #[serde(default, deserialize_with = "or_default")]
    pub extra_specs: BTreeMap<String, String>,
}

impl Flavor {
    /// Servers of this flavor need a root volume.
    #[must_use]
    pub const fn is_diskless(&self) -> bool {
        self.disk == 0
    }
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Server {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// `ACTIVE`, `BUILD`, `ERROR`, …
    pub status: String,
    /// What is being done to it, if anything.
    #[serde(rename = "OS-EXT-STS:task_state", default)]
    pub task_state: Option<String>,
    /// Where it runs.
    #[serde(rename = "OS-EXT-AZ:availability_zone", default, deserialize_with = "or_default")]
    pub availability_zone: String,
    /// Set by whoever made it.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: BTreeMap<String, String>,
    /// Addresses by name of the network.
    #[serde(default, deserialize_with = "or_default")]
    pub addresses: BTreeMap<String, Vec<Address>>,
    /// Why it is in `ERROR`. Lists leave it out for servers that found no host (seen in Zed): ask for the server.
    #[serde(default)]
    pub fault: Option<Fault>,
    /// When it was made (RFC 3339).
    #[serde(default, deserialize_with = "or_default")]
    pub created: String,
    /// Its flavor, as it was when the server was made.
    #[serde(default)]
    pub flavor: Option<ServerFlavor>,
}

/// An address of a server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Address {
    /// The address.
    pub addr: String,
    /// 4 or 6.
    #[serde(default)]
    pub version: u8,
    /// `fixed` or `floating`.
    #[serde(rename = "OS-EXT-IPS:type", default, deserialize_with = "or_default")]
    pub kind: String,
}

/// Why a server is in `ERROR`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Fault {
    /// An HTTP status that says of what kind it is.
    #[serde(default)]
    pub code: u16,
    /// What Nova says: `No valid host was found. There are not enough hosts available.`
    pub message: String,
    /// When (RFC 3339).
    #[serde(default, deserialize_with = "or_default")]
    pub created: String,
}

/// The flavor of a server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServerFlavor {
    /// Its name when the server was made.
    #[serde(default, deserialize_with = "or_default")]
    pub original_name: String,
}

/// Which servers to list. What is empty does not matter.
#[derive(Debug, Clone, Default)]
pub struct ServerFilter {
    /// How the name begins.
    pub name_prefix: Option<String>,
    /// Metadata that it has.
    pub metadata: BTreeMap<String, String>,
}

/// Servers that are to be placed with regard to one another.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServerGroup {
    /// The id.
    pub id: String,
    /// The name. Nova allows several of the same name.
    pub name: String,
    /// How: since microversion 2.64.
    #[serde(default)]
    policy: Option<Policy>,
    /// How: before.
    #[serde(default)]
    policies: Vec<Policy>,
    /// Ids of the servers in it.
    #[serde(default, deserialize_with = "or_default")]
    pub members: Vec<String>,
}

impl ServerGroup {
    /// How its servers are placed.
    #[must_use]
    pub fn policy(&self) -> Option<Policy> {
        self.policy.or_else(|| self.policies.first().copied())
    }
}

/// How servers of a group are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Policy {
    /// On different hosts, or not at all.
    #[serde(rename = "anti-affinity")]
    AntiAffinity,
    /// On different hosts where possible.
    #[serde(rename = "soft-anti-affinity")]
    SoftAntiAffinity,
    /// On one host, or not at all.
    #[serde(rename = "affinity")]
    Affinity,
    /// On one host where possible.
    #[serde(rename = "soft-affinity")]
    SoftAffinity,
}

impl Policy {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AntiAffinity => "anti-affinity",
            Self::SoftAntiAffinity => "soft-anti-affinity",
            Self::Affinity => "affinity",
            Self::SoftAffinity => "soft-affinity",
        }
    }
}

/// A public SSH key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Keypair {
    /// The name, unique within the user.
    pub name: String,
    /// MD5 of the key, in colons.
    pub fingerprint: String,
    /// The key, as in `authorized_keys`.
    pub public_key: String,
}

/// Where servers can be placed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AvailabilityZone {
    /// The name.
    #[serde(rename = "zoneName")]
    pub name: String,
    #[serde(rename = "zoneState")]
    state: ZoneState,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct ZoneState {
    available: bool,
}

impl AvailabilityZone {
    /// It takes servers at present.
    #[must_use]
    pub const fn is_available(&self) -> bool {
        self.state.available
    }
}

/// Limits of a project and what is in use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ComputeQuota {
    /// Servers.
    pub instances: Quota,
    /// Virtual CPUs.
    pub cores: Quota,
    /// Memory in MiB.
    pub ram: Quota,
    /// Keypairs of the user. Nova does not count their use here.
    pub key_pairs: Quota,
    /// Server groups.
    pub server_groups: Quota,
    /// Servers in one group. Nova does not count their use here.
    pub server_group_members: Quota,
}

named!(Flavor: "flavor", Server: "server", ServerGroup: "server group");

/// How many server groups are asked for at once: their list has no links to further pages.
const GROUPS_AT_ONCE: usize = 100;

impl Compute {
    /// The microversion that is spoken with this cloud.
    ///
    /// # Errors
    /// The cloud is too old; or those of the way there.
    pub async fn microversion(&self) -> Result<Microversion> {
        let spoken = self.0.cloud.microversion(self.0.service).await?;
        Ok(spoken.unwrap_or(Microversion::new(2, 1)))
    }

    /// All flavors that the project may use.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn flavors(&self) -> Result<Vec<Flavor>> {
        self.0.get(&["flavors", "detail"]).list("flavors").await
    }

    /// The flavor with this name or id.
    ///
    /// # Errors
    /// There is none (a near name is told), or those of `flavors`.
    pub async fn flavor(&self, name_or_id: &str) -> Result<Flavor> {
        pick(self.flavors().await?, name_or_id)
    }

    /// The servers of the project that fit.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn servers(&self, filter: &ServerFilter) -> Result<Vec<Server>> {
        // Nova takes names as regular expressions of its database, and metadata not from everybody: the name narrows
        // the list there as far as plain text can, the rest is looked at here.
        let name = filter.name_prefix.as_deref().filter(|prefix| prefix.chars().all(is_plain));
        let call = self.0.get(&["servers", "detail"]).filter("name", name.map(|name| format!("^{name}")));
        let mut servers: Vec<Server> = call.list("servers").await?;
        servers.retain(|server| filter.fits(server));
        Ok(servers)
    }

    /// One server, with its fault if it has one.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn server(&self, id: &str) -> Result<Server> {
        self.0.get(&["servers", id]).one("server").await
    }

    /// Asks for a server's removal, which takes its time; one that does not exist is as good as removed.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn delete_server(&self, id: &str) -> Result<()> {
        self.0.delete(&["servers", id]).gone().await
    }

    /// The end of what a server has written to its console.
    ///
    /// # Errors
    /// The service's, or those of the way there; 404 or 409 while the server is being made.
    pub async fn console_output(&self, id: &str, lines: u32) -> Result<String> {
        let body = json!({ "os-getConsoleOutput": { "length": lines } });
        self.0.post(&["servers", id, "action"]).json(body).repeatable().one("output").await
    }

    /// The server groups of the project.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn server_groups(&self) -> Result<Vec<ServerGroup>> {
        let mut groups: Vec<ServerGroup> = Vec::new();
        loop {
            let call = self.0.get(&["os-server-groups"]).query("limit", GROUPS_AT_ONCE.to_string());
            let page: Vec<ServerGroup> =
                call.query("offset", groups.len().to_string()).list("server_groups").await?;
            let full = page.len() >= GROUPS_AT_ONCE;
            groups.extend(page);
            if !full {
                return Ok(groups);
            }
        }
    }

    /// Makes a server group. Names need not be unique: look first.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn create_server_group(&self, name: &str, policy: Policy) -> Result<ServerGroup> {
        let group = if self.microversion().await? >= Microversion::new(2, 64) {
            json!({ "name": name, "policy": policy.as_str() })
        } else {
            json!({ "name": name, "policies": [policy.as_str()] })
        };
        self.0.post(&["os-server-groups"]).json(json!({ "server_group": group })).one("server_group").await
    }

    /// Removes a server group; its servers stay. One that does not exist is as good as removed.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn delete_server_group(&self, id: &str) -> Result<()> {
        self.0.delete(&["os-server-groups", id]).gone().await
    }

    /// The keypairs of the user.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn keypairs(&self) -> Result<Vec<Keypair>> {
        let wrapped: Vec<WrappedKeypair> = self.0.get(&["os-keypairs"]).list("keypairs").await?;
        Ok(wrapped.into_iter().map(|wrapped| wrapped.keypair).collect())
    }

    /// The keypair with this name.
    ///
    /// # Errors
    /// There is none (a near name is told), or those of `keypairs`.
    pub async fn keypair(&self, name: &str) -> Result<Keypair> {
        pick(self.keypairs().await?, name)
    }

    /// Registers a public key. A name that exists is a conflict (409).
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn create_keypair(&self, name: &str, public_key: &str) -> Result<Keypair> {
        let body = json!({ "keypair": { "name": name, "type": "ssh", "public_key": public_key } });
        self.0.post(&["os-keypairs"]).json(body).one("keypair").await
    }

    /// Removes a keypair; one that does not exist is as good as removed.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn delete_keypair(&self, name: &str) -> Result<()> {
        self.0.delete(&["os-keypairs", name]).gone().await
    }

    /// The availability zones.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn availability_zones(&self) -> Result<Vec<AvailabilityZone>> {
        self.0.get(&["os-availability-zone"]).list("availabilityZoneInfo").await
    }

    /// Limits of the project and what is in use.
    ///
    /// # Errors
    /// The service's, or those of the way there.
    pub async fn quota(&self) -> Result<ComputeQuota> {
        let project = self.0.cloud.project_id().await?;
        self.0.get(&["os-quota-sets", &project, "detail"]).one("quota_set").await
    }
}

impl ServerFilter {
    fn fits(&self, server: &Server) -> bool {
        self.name_prefix.as_ref().is_none_or(|prefix| server.name.starts_with(prefix))
            && self.metadata.iter().all(|(key, value)| server.metadata.get(key) == Some(value))
    }
}

/// Stands for itself in a regular expression.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// Each keypair of a list is an object in an object.
#[derive(Deserialize)]
struct WrappedKeypair {
    keypair: Keypair,
}

/// The name is the id.
impl crate::resource::Named for Keypair {
    const KIND: &'static str = "keypair";

    fn id(&self) -> &str {
        &self.name
    }

    fn name(&self) -> &str {
        &self.name
    }
}
