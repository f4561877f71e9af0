//! The simulator's randomness: one named, portable generator, one labelled stream per concern.
//!
//! Every stream is a xoshiro256++ generator (Blackman and Vigna 2018) whose 256-bit state is derived from
//! the run's seed and the stream's label with XXH3-128. Streams are independent: another draw on
//! `net/n1->n2` does not shift `disk/n3`.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The generator behind every stream.
pub type StreamRng = Xoshiro256PlusPlus;

/// Derives labelled streams from one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// The streams of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The seed that all streams derive from.
    #[must_use]
    pub const fn seed(self) -> u64 {
        self.seed
    }

    /// The stream of `label`, from its beginning. Labels look like `net/n1->n2`, `disk/n3`, `client/4`.
    #[must_use]
    pub fn stream(self, label: &str) -> StreamRng {
        let low = xxh3_128_with_seed(label.as_bytes(), self.seed);
        let high = xxh3_128_with_seed(label.as_bytes(), !self.seed);
        let mut state = [0; 32];
        state[..16].copy_from_slice(&low.to_le_bytes());
        state[16..].copy_from_slice(&high.to_le_bytes());
        StreamRng::from_seed(state)
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::Streams;

    #[test]
    fn the_generator_is_portable() {
        let mut stream = Streams::new(7).stream("net/n1->n2");
        assert_eq!(stream.next_u64(), 3446734012652206279);
    }

    #[test]
    fn streams_differ_by_label_and_by_seed() {
        let draw = |seed, label: &str| Streams::new(seed).stream(label).next_u64();
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
    }
}
