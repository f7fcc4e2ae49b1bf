//! The `format` keyword of the schemas: one name, one check, used for reading and for validating.

use std::net::IpAddr;

use super::values::{Cidr, CountOrPercent, ImageSource, MinimumVersion, Sha256Sum};
use crate::names::check_dns_label;
use crate::versions::KubernetesVersion;

/// A format of a text in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    DnsLabel,
    Cidr,
    Ip,
    Sha256,
    ImageSource,
    KubernetesVersion,
    CountOrPercent,
    MinimumVersion,
    LabelValue,
}

impl Format {
    const ALL: [Self; 9] = [
        Self::DnsLabel,
        Self::Cidr,
        Self::Ip,
        Self::Sha256,
        Self::ImageSource,
        Self::KubernetesVersion,
        Self::CountOrPercent,
        Self::MinimumVersion,
        Self::LabelValue,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DnsLabel => "dns-label",
            Self::Cidr => "cidr",
            Self::Ip => "ip",
            Self::Sha256 => "sha256",
            Self::ImageSource => "image-source",
            Self::KubernetesVersion => "kubernetes-version",
            Self::CountOrPercent => "count-or-percent",
            Self::MinimumVersion => "minimum-version",
            Self::LabelValue => "label-value",
        }
    }

    /// The format of that name, if it is one of ours.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Whether a number without quotes is taken as the text that it was written with: `version: 1.30` is not 1.3.
    pub(crate) const fn accepts_number(self) -> bool {
        matches!(self, Self::KubernetesVersion | Self::CountOrPercent | Self::MinimumVersion)
    }

    /// What is wrong with `text`, in words.
    pub(crate) fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::DnsLabel => check_dns_label(text),
            Self::Cidr => text.parse::<Cidr>().map(drop),
            Self::Ip => {
                text.parse::<IpAddr>().map(drop).map_err(|_| "expected an address such as `9.9.9.9`".into())
            }
            Self::Sha256 => text.parse::<Sha256Sum>().map(drop),
            Self::ImageSource => text.parse::<ImageSource>().map(drop),
            Self::KubernetesVersion => {
                text.parse::<KubernetesVersion>().map(drop).map_err(|error| error.to_string())
            }
            Self::CountOrPercent => text.parse::<CountOrPercent>().map(drop),
            Self::MinimumVersion => text.parse::<MinimumVersion>().map(drop),
            Self::LabelValue => check_label_value(text),
        }
    }
}

/// Checks a value of a Kubernetes label: up to 63 letters, digits, `-`, `_`, `.`, first and last a letter or digit.
pub(crate) fn check_label_value(text: &str) -> Result<(), String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    if text.len() > 63 {
        return Err("the value of a label or taint has at most 63 characters".into());
    }
    if !text.chars().all(inner) || !edge(text.chars().next()) || !edge(text.chars().next_back()) {
        return Err("a value of a label or taint has letters, digits, `-`, `_` and `.`, and starts and ends with a letter or digit".into());
    }
    Ok(())
}

/// Checks the key of a Kubernetes label or taint: an optional DNS prefix, `/`, a name.
pub(crate) fn check_label_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(prefix) = prefix
        && (prefix.len() > 253 || prefix.split('.').any(|label| check_dns_label(label).is_err()))
    {
        return Err(format!("`{prefix}` before the `/` must be a DNS name"));
    }
    if name.is_empty() {
        return Err("the key of a label or taint must not be empty".into());
    }
    check_label_value(name).map_err(|_| {
        "the key of a label or taint has up to 63 letters, digits, `-`, `_` and `.` after an optional `dns.name/`".into()
    })
}
