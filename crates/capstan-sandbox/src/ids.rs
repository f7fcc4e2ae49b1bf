//! Random ids from a seeded generator, so that two runs with the same seed and requests give the same ids.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uuid::Uuid;

/// A shared, seeded source of ids; cheap to clone.
#[derive(Clone)]
pub struct Ids {
    random: Arc<Mutex<StdRng>>,
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))) }
    }

    /// A version 4 UUID with dashes, as Nova and Neutron make them.
    #[must_use]
    pub fn uuid(&self) -> String {
        self.raw().hyphenated().to_string()
    }

    /// A version 4 UUID without dashes, as Keystone makes them.
    #[must_use]
    pub fn hex(&self) -> String {
        self.raw().simple().to_string()
    }

    /// `length` characters of those that Kubernetes uses for generated names.
    #[must_use]
    pub fn suffix(&self, length: usize) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        self.pick(ALPHABET, length)
    }

    /// `length` characters that are safe in a URL: for secrets and tokens.
    #[must_use]
    pub fn secret(&self, length: usize) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        self.pick(ALPHABET, length)
    }

    fn pick(&self, alphabet: &[u8], length: usize) -> String {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        (0..length).map(|_| char::from(alphabet[random.random_range(0..alphabet.len())])).collect()
    }

    fn raw(&self) -> Uuid {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        uuid::Builder::from_random_bytes(random.random()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let (one, other, third) = (Ids::new(7), Ids::new(7), Ids::new(8));
        let first = one.uuid();
        assert_eq!(first, other.uuid());
        assert_eq!(one.suffix(5), other.suffix(5));
        assert_ne!(first, third.uuid());
        assert_eq!(Uuid::parse_str(&first).unwrap().get_version_num(), 4);
    }
}
