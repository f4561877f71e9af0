//! Which of a few things a client turns to: evenly, or some much more often than others.

use std::ops::RangeInclusive;

use rand::RngExt;

use crate::rng::StreamRng;

/// So many numbers behind a given one, drawn with the weights of Zipf's law: the Nth of them in proportion to N to the power of
/// minus the skew.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    /// What is added to each.
    before: u64,
    most: u64,
    /// The sum of all weights up to each number; empty if all weigh the same.
    sums: Vec<f64>,
}

impl Numbers {
    pub(super) fn new(before: u64, most: u64, skew: f64) -> Self {
        let mut sums = Vec::new();
        let mut sum = 0.0;
        if skew > 0.0 {
            sums = (1..=most)
                .map(|number| {
                    sum += (number as f64).powf(-skew);
                    sum
                })
                .collect();
        }
        Self { before, most, sums }
    }

    /// All of them.
    pub(super) const fn all(&self) -> RangeInclusive<u64> {
        self.before + 1..=self.before + self.most
    }

    pub(super) fn draw(&self, rng: &mut StreamRng) -> u64 {
        let Some(sum) = self.sums.last() else { return self.before + rng.random_range(1..=self.most) };
        let drawn = rng.random::<f64>() * sum;
        let below = self.sums.partition_point(|up_to| *up_to <= drawn) as u64;
        self.before + (below + 1).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;
    use crate::rng::Streams;

    fn counts(skew: f64) -> Vec<u32> {
        let (numbers, mut rng) = (Numbers::new(0, 4, skew), Streams::new(1).stream("names"));
        let mut counts = vec![0; 4];
        (0..10_000).for_each(|_| counts[numbers.draw(&mut rng) as usize - 1] += 1);
        counts
    }

    #[test]
    fn without_skew_all_are_drawn_alike() {
        assert!(counts(0.0).iter().all(|count| (2_300..2_700).contains(count)), "{:?}", counts(0.0));
    }

    #[test]
    fn others_are_drawn_behind_those_of_before() {
        for skew in [0.0, 1.0] {
            let (numbers, mut rng) = (Numbers::new(8, 4, skew), Streams::new(1).stream("names"));
            assert_eq!(numbers.all(), 9..=12);
            assert!((0..1_000).all(|_| numbers.all().contains(&numbers.draw(&mut rng))));
        }
    }

    #[test]
    fn with_a_skew_of_one_the_second_is_drawn_half_as_often_as_the_first() {
        let counts = counts(1.0);
        // 1, 1/2, 1/3 and 1/4 make 25/12.
        for (number, count) in (1..).zip(&counts) {
            let expected = 10_000 * 12 / 25 / number;
            assert!(count.abs_diff(expected) < 250, "{counts:?}");
        }
    }
}
