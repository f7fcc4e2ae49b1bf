//! What stands in the files, as it stands there. Unknown keys are ignored: the files are shared with other programs.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// `clouds.yaml`, `secure.yaml` or `clouds-public.yaml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct File {
    pub(super) clouds: Option<BTreeMap<String, Option<Entry>>>,
    #[serde(rename = "public-clouds")]
    pub(super) public_clouds: Option<BTreeMap<String, Option<Entry>>>,
}

/// One cloud.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    pub(super) auth: Option<AuthEntry>,
    pub(super) auth_type: Option<String>,
    pub(super) profile: Option<String>,
    /// The old name of `profile`.
    pub(super) cloud: Option<String>,
    pub(super) region_name: Option<String>,
    pub(super) regions: Option<Vec<RegionEntry>>,
    pub(super) interface: Option<String>,
    pub(super) endpoint_type: Option<String>,
    pub(super) cacert: Option<String>,
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
    pub(super) verify: Option<Switch>,
    pub(super) insecure: Option<Switch>,
    pub(super) identity_endpoint_override: Option<String>,
    pub(super) compute_endpoint_override: Option<String>,
    pub(super) network_endpoint_override: Option<String>,
    pub(super) image_endpoint_override: Option<String>,
    #[serde(alias = "block-storage_endpoint_override", alias = "volume_endpoint_override")]
    pub(super) block_storage_endpoint_override: Option<String>,
    pub(super) volumev3_endpoint_override: Option<String>,
    #[serde(alias = "load-balancer_endpoint_override")]
    pub(super) load_balancer_endpoint_override: Option<String>,
}

/// `auth` of a cloud.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AuthEntry {
    pub(super) auth_url: Option<String>,
    pub(super) username: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) token: Option<Secret>,
    pub(super) application_credential_id: Option<String>,
    pub(super) application_credential_name: Option<String>,
    pub(super) application_credential_secret: Option<Secret>,
    pub(super) project_name: Option<String>,
    pub(super) project_id: Option<String>,
    pub(super) tenant_name: Option<String>,
    pub(super) tenant_id: Option<String>,
    pub(super) user_domain_name: Option<String>,
    pub(super) user_domain_id: Option<String>,
    pub(super) project_domain_name: Option<String>,
    pub(super) project_domain_id: Option<String>,
    pub(super) domain_name: Option<String>,
    pub(super) domain_id: Option<String>,
    pub(super) default_domain: Option<String>,
    pub(super) default_domain_name: Option<String>,
    pub(super) default_domain_id: Option<String>,
    pub(super) system_scope: Option<String>,
}

/// A region: its name, or a mapping with its name.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum RegionEntry {
    Name(String),
    Mapping { name: String },
}

impl RegionEntry {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Mapping { name } => name,
        }
    }
}

/// A switch, which people write as `false`, `"False"` or `0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Switch(pub(super) bool);

impl Switch {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(Self(true)),
            "false" | "no" | "off" | "0" | "" => Some(Self(false)),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected `true` or `false`"))
    }
}

/// A secret as read from a file.
#[derive(Debug, Clone)]
pub(super) struct Secret(pub(super) SecretString);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Secret {
    pub(super) fn is_empty(&self) -> bool {
        self.0.expose_secret().is_empty()
    }
}

/// For each field `over` where it says something, else `under`.
macro_rules! overlay {
    ($under:ident, $over:ident, { $($merged:ident,)* } $($field:ident),+ $(,)?) => {
        Self { $($merged,)* $($field: $over.$field.or($under.$field)),+ }
    };
}

impl Entry {
    /// This entry, with everything that `over` says laid over it.
    pub(super) fn overlaid(self, over: Self) -> Self {
        let auth = match (self.auth, over.auth) {
            (Some(under), Some(over)) => Some(under.overlaid(over)),
            (under, over) => over.or(under),
        };
        overlay!(
            self, over, { auth, }
            auth_type, profile, cloud, region_name, regions, interface, endpoint_type, cacert, cert, key, verify,
            insecure, identity_endpoint_override, compute_endpoint_override, network_endpoint_override,
            image_endpoint_override, block_storage_endpoint_override, volumev3_endpoint_override,
            load_balancer_endpoint_override,
        )
    }
}

impl AuthEntry {
    fn overlaid(self, over: Self) -> Self {
        overlay!(
            self, over, {}
            auth_url, username, user_id, password, token, application_credential_id, application_credential_name,
            application_credential_secret, project_name, project_id, tenant_name, tenant_id, user_domain_name,
            user_domain_id, project_domain_name, project_domain_id, domain_name, domain_id, default_domain,
            default_domain_name, default_domain_id, system_scope,
        )
    }
}
