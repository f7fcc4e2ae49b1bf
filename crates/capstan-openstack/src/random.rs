//! Chance as this crate sees it: so that clients that failed together do not come back together.

use std::fmt::Debug;

/// A source of chance. Not for secrets.
pub trait Random: Debug + Send + Sync + 'static {
    /// The next number, any of them as likely as another.
    fn next(&self) -> u64;

    /// The next number from 0 up to, but not including, 1.
    fn fraction(&self) -> f64 {
        // As many bits as the type holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let (number, all) = ((self.next() >> 11) as f64, (1_u64 << 53) as f64);
        number / all
    }
}

/// The machine's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next(&self) -> u64 {
        rand::random()
    }
}
