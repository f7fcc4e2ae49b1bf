//! When a call is tried again, and after what pause.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use jiff::Timestamp;

/// How patient the client is with a cloud that is overloaded or away.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// How often a call is sent at most.
    pub attempts: u32,
    /// The pause after the first failure; it doubles with each further one.
    pub first_pause: Duration,
    /// The longest pause that the client takes of its own.
    pub longest_pause: Duration,
    /// The longest `Retry-After` that is waited for; a longer one ends the call with the service's error.
    pub longest_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(20),
            longest_retry_after: Duration::from_secs(120),
        }
    }
}

impl RetryPolicy {
    /// The pause after the failure number `failure` (from 1), or nothing if the call has failed for good. `random` is
    /// from 0 to 1: clients that failed together do not come back together.
    #[must_use]
    pub fn pause(&self, failure: u32, retry_after: Option<Duration>, random: f64) -> Option<Duration> {
        if failure >= self.attempts {
            return None;
        }
        if let Some(wanted) = retry_after {
            // A little later than asked for, never earlier.
            let spread = self.first_pause.mul_f64(random);
            return (wanted <= self.longest_retry_after).then(|| wanted + spread);
        }
        let doubled = self.first_pause.saturating_mul(1 << failure.saturating_sub(1).min(16));
        Some(doubled.min(self.longest_pause).mul_f64(0.5 + random / 2.0))
    }
}

/// The `Retry-After` of an answer, which is a number of seconds or a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-10-21T07:27:00Z".parse().unwrap();
        assert_eq!(retry_after(&header("7"), now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&header("Wed, 21 Oct 2026 07:28:00 GMT"), now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after(&header("Wed, 21 Oct 2026 07:26:00 GMT"), now), Some(Duration::ZERO));
        assert_eq!(retry_after(&header("soon"), now), None);
    }

    #[test]
    fn a_cloud_that_wants_an_hour_is_not_waited_for() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.pause(1, Some(Duration::from_secs(3600)), 0.5), None);
    }

    proptest! {
        #[test]
        fn pauses_grow_within_their_bounds(failure in 1_u32..5, random in 0.0_f64..1.0) {
            let policy = RetryPolicy::default();
            let pause = policy.pause(failure, None, random).unwrap();
            let full = policy.first_pause * 2_u32.pow(failure - 1);
            prop_assert!(pause >= full / 2 && pause <= full && pause <= policy.longest_pause);
            prop_assert!(policy.pause(failure, Some(Duration::from_secs(9)), random).unwrap() >= Duration::from_secs(9));
            prop_assert_eq!(policy.pause(policy.attempts, None, random), None);
        }
    }
}
