//! Draws that come out the same on every platform.
//!
//! The system's `ln` may differ in the last bit between C libraries, and one bit is enough to reorder two
//! frames. So the logarithm here uses only operations that IEEE 754 fixes exactly.

use rand::Rng;

use crate::rng::StreamRng;

/// Natural logarithm of 2: the median of the exponential distribution of mean 1.
pub(crate) const LN_2: f64 = std::f64::consts::LN_2;

/// Evenly from 0 (included) to 1 (excluded).
pub(crate) fn unit(rng: &mut StreamRng) -> f64 {
    const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
    (rng.next_u64() >> 11) as f64 * STEP
}

/// True with this probability. Draws nothing when it is 0, so that a healthy link's stream does not depend
/// on faults that it does not have.
pub(crate) fn chance(rng: &mut StreamRng, probability: f64) -> bool {
    probability > 0.0 && unit(rng) < probability
}

/// Evenly from 0 to `bound`, excluded. A bound of 0 yields 0.
pub(crate) fn below(rng: &mut StreamRng, bound: u64) -> u64 {
    ((u128::from(rng.next_u64()) * u128::from(bound)) >> 64) as u64
}

/// Exponentially distributed with mean 1.
pub(crate) fn exponential(rng: &mut StreamRng) -> f64 {
    -ln(1.0 - unit(rng))
}

/// Natural logarithm of a positive normal number, to about 12 digits: exponent times ln 2, plus the series
/// of the inverse hyperbolic tangent for the mantissa.
fn ln(x: f64) -> f64 {
    debug_assert!(x.is_normal() && x > 0.0);
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) as i64 - 1_023) as f64;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1_023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1.0;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let q = s * s;
    let series = 1.0
        + q * (1.0 / 3.0
            + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0))))));
    exponent * LN_2 + 2.0 * s * series
}

#[cfg(test)]
mod tests {
    use super::{below, chance, exponential, ln, unit};
    use crate::rng::Streams;

    #[test]
    fn the_logarithm_is_close_to_the_systems() {
        for step in 1..=10_000_u32 {
            let x = f64::from(step) / 10_000.0;
            assert!((ln(x) - x.ln()).abs() < 1e-10, "{x}");
        }
    }

    #[test]
    fn draws_have_the_means_that_they_promise() {
        let mut rng = Streams::new(1).stream("draws");
        let draws = 100_000;
        let mean = |total: f64| total / f64::from(draws);
        assert!((mean((0..draws).map(|_| unit(&mut rng)).sum()) - 0.5).abs() < 0.01);
        assert!((mean((0..draws).map(|_| exponential(&mut rng)).sum()) - 1.0).abs() < 0.02);
        assert!((mean((0..draws).map(|_| below(&mut rng, 11) as f64).sum()) - 5.0).abs() < 0.05);
        assert!((mean((0..draws).map(|_| f64::from(chance(&mut rng, 0.2))).sum()) - 0.2).abs() < 0.01);
    }
}
