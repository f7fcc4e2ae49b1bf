//! Chance from a seed.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngCore as _, SeedableRng as _};

/// A seeded source of chance; clones draw from the same one.
#[derive(Debug, Clone)]
pub(crate) struct Chance(Arc<Mutex<StdRng>>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// Another source, which what is drawn here afterwards doesn't change.
    pub(crate) fn branch(&self) -> Self {
        Self::new(self.number())
    }

    pub(crate) fn number(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&self, low: u64, high: u64) -> u64 {
        low + self.number() % (high - low + 1)
    }

    /// Whether something happens that happens `percent` times of a hundred.
    pub(crate) fn percent(&self, percent: u64) -> bool {
        self.number() % 100 < percent
    }

    /// One of several.
    pub(crate) fn one_of<T: Clone>(&self, several: &[T]) -> T {
        let last = u64::try_from(several.len() - 1).unwrap_or_default();
        several[usize::try_from(self.between(0, last)).unwrap_or_default()].clone()
    }
}

impl capstan_openstack::Random for Chance {
    fn next(&self) -> u64 {
        self.number()
    }
}
