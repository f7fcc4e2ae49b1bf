//! Values of documents that are more than a text: each is checked when it is read.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::formats::Format;

/// A range of addresses in CIDR notation, without host bits: `10.8.0.0/20`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr(IpNet);

impl Cidr {
    /// The range.
    #[must_use]
    pub const fn net(&self) -> IpNet {
        self.0
    }

    /// Whether the two ranges share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.contains(&other.0) || other.0.contains(&self.0)
    }

    /// Whether it is a range of IPv4 addresses.
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Ok(net) = text.parse::<IpNet>() else {
            return Err(match text.parse::<IpAddr>() {
                Ok(IpAddr::V4(_)) => {
                    format!("an address range needs a length: `{text}/32` for this address alone")
                }
                Ok(IpAddr::V6(_)) => {
                    format!("an address range needs a length: `{text}/128` for this address alone")
                }
                Err(_) => "expected an address range such as `10.8.0.0/20`".into(),
            });
        };
        if net.trunc() != net {
            return Err(format!("the address has bits beyond the length: did you mean `{}`?", net.trunc()));
        }
        Ok(Self(net))
    }
}

impl From<IpNet> for Cidr {
    fn from(net: IpNet) -> Self {
        Self(net.trunc())
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A SHA-256 checksum: 64 hexadecimal digits, kept in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sha256Sum(String);

impl Sha256Sum {
    /// The 64 lower-case digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Sha256Sum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.strip_prefix("sha256:").unwrap_or(text);
        if text.len() != 64 {
            return Err(format!(
                "a SHA-256 checksum has 64 hexadecimal digits, this has {} characters",
                text.chars().count()
            ));
        }
        match text.chars().find(|c| !c.is_ascii_hexdigit()) {
            Some(bad) => Err(format!("`{}` is not a hexadecimal digit", bad.escape_debug())),
            None => Ok(Self(text.to_ascii_lowercase())),
        }
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an image comes from: an `http://` or `https://` address, or a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ImageSource {
    /// An address to download from.
    Http(String),
    /// A file; a relative path counts from the fleet's folder.
    File(String),
}

impl ImageSource {
    /// The same source with `{version}` replaced by a version such as `v1.36.1`.
    #[must_use]
    pub fn with_version(&self, version: &str) -> Self {
        match self {
            Self::Http(address) => Self::Http(address.replace("{version}", version)),
            Self::File(path) => Self::File(path.replace("{version}", version)),
        }
    }
}

impl FromStr for ImageSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Err("expected an `https://` address, a `file://` address or a path".into());
        }
        if text.chars().any(char::is_control) {
            return Err("control characters are not allowed in an address or a path".into());
        }
        match text.split_once("://") {
            Some(("http" | "https", rest)) if rest.starts_with('/') || rest.is_empty() => {
                Err("the address has no host name".into())
            }
            Some(("http" | "https", _)) => Ok(Self::Http(text.into())),
            Some(("file", "")) => Err("the address has no path".into()),
            Some(("file", path)) => Ok(Self::File(path.into())),
            Some((scheme, _)) => {
                Err(format!("`{scheme}://` is not supported: use `https://`, `http://`, `file://` or a path"))
            }
            None => Ok(Self::File(text.into())),
        }
    }
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(address) => f.write_str(address),
            Self::File(path) => write!(f, "file://{path}"),
        }
    }
}

/// A number of machines, or a share of them: `2` or `40%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CountOrPercent {
    /// So many.
    Count(u32),
    /// So many of a hundred.
    Percent(u32),
}

impl FromStr for CountOrPercent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "expected a number of machines (`2`) or a share (`40%`)".to_owned();
        match text.strip_suffix('%') {
            Some(share) => {
                share.parse().ok().filter(|share| *share <= 100).map(Self::Percent).ok_or_else(wrong)
            }
            None => text.parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

impl fmt::Display for CountOrPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

/// The oldest accepted version of a component of the management plane: `v1.14` or `v0.14.7`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MinimumVersion(semver::Version);

impl MinimumVersion {
    /// `vMAJOR.MINOR.PATCH`.
    #[must_use]
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }

    /// The version as numbers.
    #[must_use]
    pub const fn version(&self) -> &semver::Version {
        &self.0
    }

    /// Whether `found`, a version such as `v1.14.2` or `1.14.2-beta.0`, is this one or newer; `None` if it is no version.
    #[must_use]
    pub fn is_met_by(&self, found: &str) -> Option<bool> {
        let found = semver::Version::parse(found.trim().trim_start_matches('v')).ok()?;
        Some(found >= self.0)
    }
}

impl FromStr for MinimumVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.strip_prefix('v').unwrap_or(text);
        let full = if bare.matches('.').count() == 1 { format!("{bare}.0") } else { bare.to_owned() };
        semver::Version::parse(&full)
            .map(Self)
            .map_err(|_| "expected a version such as `v1.14` or `v0.14.7`".into())
    }
}

impl fmt::Display for MinimumVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// Serde and JSON Schema of a value that is written as one text and has a [`Format`].
macro_rules! text_value {
    ($type:ident, $format:expr, $description:literal, [$($example:literal),*]) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "format": $format.name(),
                    "description": $description,
                    "examples": [$($example),*],
                })
            }
        }
    };
}

text_value!(Cidr, Format::Cidr, "A range of addresses in CIDR notation.", ["10.8.0.0/20"]);
text_value!(Sha256Sum, Format::Sha256, "A SHA-256 checksum: 64 hexadecimal digits.", []);
text_value!(
    ImageSource,
    Format::ImageSource,
    "An `https://`, `http://` or `file://` address, or a path that counts from the fleet's folder; `{version}` stands for the Kubernetes version.",
    ["https://example.com/ubuntu-2404-kube-{version}.qcow2", "images/node.qcow2"]
);
text_value!(
    CountOrPercent,
    Format::CountOrPercent,
    "A number of machines, or a share of them.",
    ["2", "40%"]
);
text_value!(MinimumVersion, Format::MinimumVersion, "The oldest accepted version.", ["v1.14", "v0.14.7"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_with_host_bits_names_the_range_that_was_meant() {
        assert_eq!(
            "10.8.0.1/20".parse::<Cidr>().unwrap_err(),
            "the address has bits beyond the length: did you mean `10.8.0.0/20`?"
        );
        assert!("10.8.0.1".parse::<Cidr>().unwrap_err().contains("`10.8.0.1/32`"));
        assert!("10.8.0.0/33".parse::<Cidr>().is_err());
        assert!("ten".parse::<Cidr>().is_err());
    }

    #[test]
    fn ranges_overlap_when_one_holds_the_other() {
        let cidr = |text: &str| text.parse::<Cidr>().unwrap();
        assert!(cidr("10.0.0.0/8").overlaps(&cidr("10.8.0.0/20")));
        assert!(cidr("10.8.0.0/20").overlaps(&cidr("10.0.0.0/8")));
        assert!(!cidr("10.8.0.0/20").overlaps(&cidr("10.8.16.0/20")));
        assert!(!cidr("fd00::/8").overlaps(&cidr("10.0.0.0/8")));
    }

    #[test]
    fn sources_of_images() {
        assert_eq!("file:///srv/a.raw".parse(), Ok(ImageSource::File("/srv/a.raw".into())));
        assert_eq!("a.raw".parse(), Ok(ImageSource::File("a.raw".into())));
        assert!("ftp://host/a".parse::<ImageSource>().is_err());
        assert!("https://".parse::<ImageSource>().is_err());
        let source: ImageSource = "https://h/{version}/{version}.qcow2".parse().unwrap();
        assert_eq!(
            source.with_version("v1.36.1"),
            ImageSource::Http("https://h/v1.36.1/v1.36.1.qcow2".into())
        );
    }

    #[test]
    fn minimum_versions_compare_as_versions() {
        let minimum: MinimumVersion = "v1.12".parse().unwrap();
        assert_eq!(minimum.is_met_by("v1.14.2"), Some(true));
        assert_eq!(minimum.is_met_by("v1.9.10"), Some(false));
        assert_eq!(minimum.is_met_by("main"), None);
    }
}
