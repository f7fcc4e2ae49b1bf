//! Chance that can be had again: a number decides everything that is drawn.

/// SplitMix64: enough to choose moments and faults with.
#[derive(Debug, Clone)]
pub(in crate::real) struct Chance(u64);

impl Chance {
    pub(in crate::real) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed of the moment, for a run that nobody gave one.
    pub(in crate::real) fn seed_of_now() -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.as_secs() % 1_000_000)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Between two positive numbers, small ones as likely as large ones: most happens early.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        (low.ln() + self.fraction() * (high / low).ln()).exp()
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = (self.fraction() * (last + 1) as f64) as usize;
            items.swap(last, other.min(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same() {
        let drawn = |seed| {
            let mut chance = Chance::new(seed);
            let mut items = [1, 2, 3, 4, 5];
            chance.shuffle(&mut items);
            (items, chance.between(0.1, 10.0).to_bits())
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }

    #[test]
    fn what_is_drawn_lies_between() {
        let mut chance = Chance::new(1);
        let drawn: Vec<f64> = (0..1000).map(|_| chance.between(0.05, 10.0)).collect();
        assert!(drawn.iter().all(|time| (0.05..=10.0).contains(time)));
        // Half of them lie below the geometric mean.
        let early = drawn.iter().filter(|time| **time < 0.707).count();
        assert!((400..600).contains(&early), "{early}");
    }
}
