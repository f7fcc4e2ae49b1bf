//! Which services a cloud has, and where.

use std::fmt;

use serde::Deserialize;
use url::Url;

use crate::error::{Error, Result};

/// The services that this crate speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceType {
    /// Keystone.
    Identity,
    /// Nova.
    Compute,
    /// Neutron.
    Network,
    /// Glance.
    Image,
    /// Cinder.
    BlockStorage,
    /// Octavia.
    LoadBalancer,
}

impl ServiceType {
    /// The official name of the type, as in <https://service-types.openstack.org>.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Compute => "compute",
            Self::Network => "network",
            Self::Image => "image",
            Self::BlockStorage => "block-storage",
            Self::LoadBalancer => "load-balancer",
        }
    }

    /// The names under which catalogs list the type, best first.
    const fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::BlockStorage => &["block-storage", "volumev3", "block-store", "volume"],
            Self::Identity => &["identity"],
            Self::Compute => &["compute"],
            Self::Network => &["network"],
            Self::Image => &["image"],
            Self::LoadBalancer => &["load-balancer"],
        }
    }

    /// The path of the API version, for catalogs that list an endpoint without it.
    const fn version_path(self) -> &'static str {
        match self {
            Self::Identity | Self::BlockStorage => "v3",
            Self::Compute => "v2.1",
            Self::Network | Self::LoadBalancer => "v2.0",
            Self::Image => "v2",
        }
    }

    /// The program behind the type, for messages: people know it by this name.
    const fn program(self) -> &'static str {
        match self {
            Self::Identity => "Keystone",
            Self::Compute => "Nova",
            Self::Network => "Neutron",
            Self::Image => "Glance",
            Self::BlockStorage => "Cinder",
            Self::LoadBalancer => "Octavia",
        }
    }

    /// `url` with the API version, if it has none.
    pub(crate) fn versioned(self, mut url: Url) -> Url {
        let path = url.path().trim_end_matches('/').to_owned();
        let path =
            if path.split('/').any(is_version) { path } else { format!("{path}/{}", self.version_path()) };
        url.set_path(&path);
        url
    }
}

impl fmt::Display for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.as_str(), self.program())
    }
}

/// Which of the endpoints of a service are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interface {
    /// Reachable from everywhere.
    #[default]
    Public,
    /// Reachable within the cloud.
    Internal,
    /// For administrators.
    Admin,
}

impl Interface {
    /// The name in the catalog.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }
}

/// The catalog that came with a token.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Catalog {
    services: Vec<Service>,
}

#[derive(Debug, Clone, Deserialize)]
struct Service {
    r#type: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone, Deserialize)]
struct Endpoint {
    interface: String,
    /// Old catalogs have `region` only, newer ones both.
    region_id: Option<String>,
    region: Option<String>,
    url: String,
}

impl Endpoint {
    fn region(&self) -> Option<&str> {
        self.region_id.as_deref().or(self.region.as_deref())
    }
}

impl Catalog {
    /// The address of a service, with its API version.
    pub(crate) fn endpoint(
        &self,
        service: ServiceType,
        region: Option<&str>,
        interface: Interface,
    ) -> Result<Url> {
        let missing = || Error::NoService {
            service,
            region: region.map(str::to_owned),
            interface,
            known: self.types(),
            regions: self.regions(service),
        };
        let mut found = service
            .aliases()
            .iter()
            .flat_map(|alias| self.services.iter().filter(move |listed| listed.r#type == *alias))
            .flat_map(|listed| &listed.endpoints)
            .filter(|endpoint| endpoint.interface == interface.as_str())
            .filter(|endpoint| region.is_none() || endpoint.region() == region);
        let first = found.next().ok_or_else(missing)?;
        // Without a region in the configuration there must be nothing to choose.
        if found.any(|other| other.region() != first.region()) {
            return Err(Error::ManyRegions { service, regions: self.regions(service) });
        }
        let url =
            Url::parse(&first.url).map_err(|_| Error::BadEndpoint { service, url: first.url.clone() })?;
        Ok(service.versioned(url))
    }

    /// All types that the catalog lists, sorted.
    #[must_use]
    pub fn types(&self) -> Vec<String> {
        let mut types: Vec<String> = self.services.iter().map(|service| service.r#type.clone()).collect();
        types.sort();
        types.dedup();
        types
    }

    /// The regions in which a service exists, sorted.
    #[must_use]
    pub fn regions(&self, service: ServiceType) -> Vec<String> {
        let mut regions: Vec<String> = self
            .services
            .iter()
            .filter(|listed| service.aliases().contains(&listed.r#type.as_str()))
            .flat_map(|listed| &listed.endpoints)
            .filter_map(|endpoint| endpoint.region().map(str::to_owned))
            .collect();
        regions.sort();
        regions.dedup();
        regions
    }
}

/// A segment of a path that is the version of an API: `v3`, `v2.1`.
pub(crate) fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The part of an endpoint's path up to its version: `/v2.1` of `/v2.1/PROJECT`.
pub(crate) fn version_root(path: &str) -> &str {
    let mut end = 0;
    for segment in path.split('/').skip(1) {
        end += 1 + segment.len();
        if is_version(segment) {
            return &path[..end];
        }
    }
    path.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        serde_json::from_value(serde_json::json!([
            {"type": "volumev3", "name": "cinder", "endpoints": [
                {"interface": "public", "region_id": "one", "url": "https://one.example/volume/v3/abc"},
            ]},
            {"type": "network", "endpoints": [
                {"interface": "public", "region": "one", "url": "https://one.example:9696/"},
                {"interface": "public", "region": "two", "region_id": "two", "url": "https://two.example/network"},
                {"interface": "internal", "region_id": "one", "url": "http://10.0.0.1:9696"},
            ]},
        ]))
        .unwrap()
    }

    #[test]
    fn a_version_is_added_only_where_there_is_none() {
        let url = |region, interface| {
            catalog().endpoint(ServiceType::Network, Some(region), interface).unwrap().to_string()
        };
        assert_eq!(url("one", Interface::Public), "https://one.example:9696/v2.0");
        assert_eq!(url("two", Interface::Public), "https://two.example/network/v2.0");
        assert_eq!(url("one", Interface::Internal), "http://10.0.0.1:9696/v2.0");
        let volume = catalog().endpoint(ServiceType::BlockStorage, None, Interface::Public).unwrap();
        assert_eq!(volume.as_str(), "https://one.example/volume/v3/abc");
    }

    #[test]
    fn a_missing_service_names_those_that_exist() {
        let error = catalog().endpoint(ServiceType::LoadBalancer, None, Interface::Public).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the cloud has no service of type load-balancer (Octavia) with a public endpoint; it has `network`, `volumev3`"
        );
        let error = catalog().endpoint(ServiceType::Network, Some("three"), Interface::Public).unwrap_err();
        assert!(error.hint().unwrap().contains("`one`, `two`"), "{:?}", error.hint());
    }

    #[test]
    fn two_regions_are_not_chosen_from_silently() {
        let error = catalog().endpoint(ServiceType::Network, None, Interface::Public).unwrap_err();
        assert!(matches!(error, Error::ManyRegions { ref regions, .. } if regions == &["one", "two"]));
    }
}
