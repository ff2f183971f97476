//! Seeded draws that stay the same over releases of every library, so that a seed that failed once fails for ever.

/// SplitMix64: small, even, and not for secrets.
///
/// # Source
/// Sebastiano Vigna, "splitmix64.c", public domain.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The draws of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number under `bound`; 0 when `bound` is 0.
    pub const fn under(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// Whether a thing happens that happens `permille` times of 1,000.
    pub const fn happens(&mut self, permille: u16) -> bool {
        // No draw where nothing can happen: a switched-off disorder leaves the others' draws as they are.
        permille > 0 && self.under(1_000) < permille as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_for_ever() {
        let mut random = Random::new(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn what_happens_never_and_always_does() {
        let mut random = Random::new(1);
        assert!((0..1_000).all(|_| !random.happens(0) && random.happens(1_000)));
    }
}
