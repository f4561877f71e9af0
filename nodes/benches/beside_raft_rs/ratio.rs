//! Rates and their ratios, as cells of a table.

use crate::measure::Rates;

/// A rate such as `2.71 M` or `431 k`.
pub(crate) fn rate(rates: &Rates) -> String {
    let per_second = rates.median();
    if per_second >= 1e6 {
        format!("{:.2} M", per_second / 1e6)
    } else {
        format!("{:.0} k", per_second / 1e3)
    }
}

/// How many times faster `ours` is: the ratio of the medians, then the least and the greatest ratio of one
/// round, in which both were measured one shortly after the other.
pub(crate) fn ratio(ours: &Rates, theirs: &Rates) -> String {
    let mut rounds: Vec<_> = ours.0.iter().zip(&theirs.0).map(|(ours, theirs)| ours / theirs).collect();
    rounds.sort_unstable_by(f64::total_cmp);
    let (least, greatest) = (rounds[0], rounds[rounds.len() - 1]);
    format!("{:.2} ({least:.2}-{greatest:.2})", ours.median() / theirs.median())
}

/// The fastest of those whose places `enters` lets in.
///
/// # Panics
/// If it lets nobody in.
pub(crate) fn best(rates: &[Rates], enters: impl Fn(usize) -> bool) -> &Rates {
    let entered = rates.iter().enumerate().filter(|(place, _)| enters(*place)).map(|(_, rates)| rates);
    entered.max_by(|one, other| one.median().total_cmp(&other.median())).expect("somebody takes part")
}
