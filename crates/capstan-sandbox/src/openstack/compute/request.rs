//! What a client may say to create a server.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The whole body: the server, and hints to the scheduler beside it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerRequest {
    /// The server.
    pub server: ServerCreate,
    /// Hints to the scheduler, under either of two names.
    #[serde(default, rename = "os:scheduler_hints", alias = "OS-SCH-HNT:scheduler_hints")]
    pub hints: SchedulerHints,
}

/// Hints to the scheduler.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SchedulerHints {
    /// Id of a server group.
    pub group: Option<String>,
    /// Others are taken and not looked at, as by a scheduler without the filter for them.
    #[serde(flatten)]
    pub others: BTreeMap<String, Value>,
}

/// A server to be made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerCreate {
    /// Name; not unique.
    pub name: String,
    /// Id of the flavor.
    #[serde(rename = "flavorRef")]
    pub flavor_ref: String,
    /// Id of the image, unless it boots from a volume.
    #[serde(default, rename = "imageRef")]
    pub image_ref: Option<String>,
    /// Networks and ports; required from 2.37 on. `auto` and `none` are taken.
    #[serde(default, deserialize_with = "networks")]
    pub networks: Option<Vec<NetworkRequest>>,
    /// Name of a keypair.
    #[serde(default)]
    pub key_name: Option<String>,
    /// Base64.
    #[serde(default)]
    pub user_data: Option<String>,
    /// Free keys and values.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Zone; any if not given.
    #[serde(default)]
    pub availability_zone: Option<String>,
    /// Disks.
    #[serde(default)]
    pub block_device_mapping_v2: Vec<BlockDevice>,
    /// Whether it gets a config drive.
    #[serde(default)]
    pub config_drive: Option<Value>,
    /// Names or ids, for ports that Nova makes.
    #[serde(default)]
    pub security_groups: Option<Vec<GroupName>>,
    /// Tags, from 2.52 on.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Free text, from 2.19 on.
    #[serde(default)]
    pub description: Option<String>,
    /// Name inside, from 2.90 on.
    #[serde(default)]
    pub hostname: Option<String>,
    /// How many at least.
    #[serde(default)]
    pub min_count: Option<Value>,
    /// How many at most.
    #[serde(default)]
    pub max_count: Option<Value>,
    /// Made up if not given.
    #[serde(default, rename = "adminPass")]
    pub admin_pass: Option<String>,
    /// `AUTO` or `MANUAL`.
    #[serde(default, rename = "OS-DCF:diskConfig")]
    pub disk_config: Option<String>,
}

/// A security group by name or id.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupName {
    /// Name or id.
    pub name: String,
}

/// A network to be on: by network (Nova makes the port) or by port.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkRequest {
    /// Id of a network.
    pub uuid: Option<String>,
    /// Id of a port.
    pub port: Option<String>,
    /// A certain address on the network.
    pub fixed_ip: Option<std::net::IpAddr>,
    /// Device tag.
    pub tag: Option<String>,
}

/// A disk.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlockDevice {
    /// 0 is the root disk.
    pub boot_index: Option<Value>,
    /// Id of the image, volume or snapshot.
    pub uuid: Option<String>,
    /// `image`, `volume`, `snapshot`, `blank`.
    pub source_type: String,
    /// `volume` or `local`.
    pub destination_type: Option<String>,
    /// GiB.
    pub volume_size: Option<Value>,
    /// Type of the volume, from 2.67 on.
    pub volume_type: Option<String>,
    /// Whether the volume goes with the server.
    pub delete_on_termination: bool,
    /// Where the server sees it.
    pub device_name: Option<String>,
    /// `disk`, ...
    pub device_type: Option<String>,
    /// `virtio`, ...
    pub disk_bus: Option<String>,
    /// Device tag.
    pub tag: Option<String>,
    /// `ext4`, ... of a local disk.
    pub guest_format: Option<String>,
}

/// A number, or a string that says one: Nova takes both.
pub(super) fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

impl BlockDevice {
    pub(super) fn is_root(&self) -> bool {
        self.boot_index.as_ref().and_then(number) == Some(0)
    }

    pub(super) fn size(&self) -> Option<i64> {
        self.volume_size.as_ref().and_then(number)
    }
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<NetworkRequest>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Word(String),
        List(Vec<Value>),
    }
    match Either::deserialize(deserializer)? {
        Either::Word(word) if word == "none" || word == "auto" => Ok(Some(Vec::new())),
        Either::Word(word) => {
            Err(serde::de::Error::custom(format!("'{word}' is not one of ['none', 'auto']")))
        }
        Either::List(list) => {
            let parse = |value| NetworkRequest::deserialize(value).map_err(serde::de::Error::custom);
            list.into_iter().map(parse).collect::<Result<Vec<_>, D::Error>>().map(Some)
        }
    }
}
