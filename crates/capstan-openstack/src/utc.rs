//! Points of time in Keystone's answers: always UTC, but not always saying so.
//!
//! Tokens end at `2026-11-23T22:46:57.000000Z`, application credentials at `2026-11-23T22:46:57.000000`, and so do tokens
//! that are obtained with one that ends soon (seen in Zed).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};

pub(crate) fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse(&text)).transpose().map_err(serde::de::Error::custom)
}

fn parse(text: &str) -> Result<Timestamp, jiff::Error> {
    text.parse().or_else(|_| Ok(text.parse::<DateTime>()?.to_zoned(TimeZone::UTC)?.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_and_without_a_zone() {
        let expected: Timestamp = "2026-11-23T22:46:57Z".parse().unwrap();
        assert_eq!(parse("2026-11-23T22:46:57.000000Z").unwrap(), expected);
        assert_eq!(parse("2026-11-23T22:46:57.000000").unwrap(), expected);
        assert_eq!(parse("2026-11-23T23:46:57+01:00").unwrap(), expected);
        assert!(parse("tomorrow").is_err());
    }
}
