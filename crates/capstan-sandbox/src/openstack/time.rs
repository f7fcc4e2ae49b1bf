//! The services' ways to write a time.

use jiff::Timestamp;

/// `2026-11-23T22:00:01Z`: Nova, Neutron, Glance.
pub(crate) fn zulu(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026-11-23T22:00:01`: Octavia.
pub(crate) fn bare(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// `2026-11-23T22:00:01.000000`: Cinder, Nova's launch times, application credentials.
pub(crate) fn micros(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000000").to_string()
}

/// `2026-11-23T22:00:01.000000Z`: tokens.
pub(crate) fn token(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string()
}
