//! Microversions: which form of an API is spoken.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::catalog::ServiceType;
use crate::error::{Error, Result};

/// A microversion such as 2.60.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Microversion {
    /// Before the point.
    pub major: u16,
    /// After the point: 2.9 is older than 2.60.
    pub minor: u16,
}

impl Microversion {
    pub(crate) const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Microversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The text is not two numbers with a point between them.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a microversion such as `2.60`")]
pub struct ParseMicroversionError(String);

impl FromStr for Microversion {
    type Err = ParseMicroversionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('.')
            .and_then(|(major, minor)| Some(Self::new(major.parse().ok()?, minor.parse().ok()?)))
            .ok_or_else(|| ParseMicroversionError(text.to_owned()))
    }
}

/// The microversions that the calls in this crate are written for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Below this the calls do not work.
    pub(crate) lowest: Microversion,
    /// Spoken if the service can: newer ones may change what is answered.
    pub(crate) best: Microversion,
}

/// What a service wants to be asked for; `None` where it knows no microversions.
pub(crate) const fn wanted(service: ServiceType) -> Option<Wanted> {
    match service {
        // 2.60 is what the OpenStack provider of Cluster API needs; 2.64 gives server groups their present form.
        ServiceType::Compute => {
            Some(Wanted { lowest: Microversion::new(2, 60), best: Microversion::new(2, 64) })
        }
        _ => None,
    }
}

/// The version document at a service's endpoint.
#[derive(Debug, Deserialize)]
pub(crate) struct VersionDocument {
    version: Version,
}

#[derive(Debug, Deserialize)]
struct Version {
    #[serde(default)]
    version: String,
    #[serde(default)]
    min_version: String,
}

impl VersionDocument {
    /// The microversion to speak.
    pub(crate) fn choose(&self, service: ServiceType, wanted: Wanted) -> Result<Microversion> {
        // A service without microversions leaves the fields empty: it is as old as can be.
        let oldest = Microversion::new(wanted.lowest.major, 0);
        let highest = self.version.version.parse().unwrap_or(oldest);
        let lowest = self.version.min_version.parse().unwrap_or(oldest);
        if highest < wanted.lowest || lowest > wanted.best {
            let needed = if highest < wanted.lowest { wanted.lowest } else { wanted.best };
            return Err(Error::Microversion { service, needed, lowest, highest });
        }
        Ok(highest.min(wanted.best))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(lowest: &str, highest: &str) -> Result<Microversion> {
        let version = Version { version: highest.into(), min_version: lowest.into() };
        let wanted = wanted(ServiceType::Compute).unwrap();
        VersionDocument { version }.choose(ServiceType::Compute, wanted)
    }

    #[test]
    fn the_best_common_one_is_spoken() {
        assert_eq!(choose("2.1", "2.93").unwrap().to_string(), "2.64");
        assert_eq!(choose("2.1", "2.61").unwrap().to_string(), "2.61");
    }

    #[test]
    fn too_old_a_cloud_is_said_so() {
        assert_eq!(
            choose("2.1", "2.9").unwrap_err().to_string(),
            "compute (Nova) offers the microversions 2.1 to 2.9, but 2.60 is needed"
        );
        assert!(choose("", "").is_err());
        assert!(choose("2.70", "2.99").is_err());
    }
}
