//! One seed decides everything.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use capstan_harness::{folder, walk};

#[test]
fn the_same_seed_makes_the_same_requests_at_the_same_times() {
    let folder = folder().unwrap();
    for seed in 1..=3 {
        let (one, other) = (walk(seed, folder.path()), walk(seed, folder.path()));
        assert_eq!(one.told, other.told, "seed {seed}");
        for (first, second) in one.calls.iter().zip(&other.calls) {
            assert_eq!(first, second, "seed {seed}");
        }
        assert_eq!(one.calls.len(), other.calls.len(), "seed {seed}");
        assert!(one.calls.len() > 200, "seed {seed}: {} requests", one.calls.len());
    }
}
