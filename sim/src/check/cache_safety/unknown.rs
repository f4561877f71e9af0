//! What may have been written to one key without anybody's knowing.
//!
//! An operation of unknown outcome takes effect once at most, and under a version of its own. So of several
//! things that only such operations explain, each needs another one, and needs room among the versions.

use std::collections::BTreeMap;

use super::versions::written;
use crate::check::drift::Drift;
use crate::history::{Call, Operation, VirtualTime};

/// Operations of unknown outcome on one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Unknown {
    /// By value, when each of those that may have written it was asked for, in order.
    writers: BTreeMap<i64, Vec<VirtualTime>>,
    /// By value, when the first life can have been over that something of that value may have had.
    mortal: BTreeMap<i64, VirtualTime>,
    /// The first of all of these.
    first_over_ns: Option<VirtualTime>,
    /// Additions in the order of the requests, with the sums of all positive and all negative ones so far.
    additions: Vec<(VirtualTime, i128, i128)>,
    /// When something was first added of each size.
    sizes: BTreeMap<i128, VirtualTime>,
    /// When each of those that may have left the key empty can have done so first; in order once sorted.
    emptiers: Vec<VirtualTime>,
    /// When the first was asked for that may have left a value, and the first of those that do not add.
    filled_ns: Option<VirtualTime>,
    set_ns: Option<VirtualTime>,
}

impl Unknown {
    /// Takes an operation of unknown outcome, in the order of the requests.
    pub(super) fn note(&mut self, operation: &Operation, drift: Drift) {
        let asked_ns = operation.invoked_ns;
        if !matches!(operation.call, Call::CacheDelete { .. }) {
            self.filled_ns.get_or_insert(asked_ns);
        }
        match (&operation.call, written(&operation.call)) {
            (Call::CacheDelete { .. }, _) => self.emptiers.push(asked_ns),
            (Call::CacheIncrement { by, .. }, _) => {
                let (_, up, down) = self.additions.last().copied().unwrap_or_default();
                let by = i128::from(*by);
                self.additions.push((asked_ns, up + by.max(0), down + by.min(0)));
                self.sizes.entry(by).or_insert(asked_ns);
            }
            (_, (Some(value), ttl_us)) => {
                self.writers.entry(value).or_default().push(asked_ns);
                self.set_ns.get_or_insert(asked_ns);
                if let Some(ttl_us) = ttl_us {
                    let over_ns = drift.earliest(asked_ns, ttl_us);
                    self.emptiers.push(over_ns);
                    let first = self.mortal.entry(value).or_insert(over_ns);
                    *first = over_ns.min(*first);
                    self.first_over_ns = Some(self.first_over_ns.map_or(over_ns, |first| first.min(over_ns)));
                }
            }
            _ => {}
        }
    }

    /// To be called once all is noted.
    pub(super) fn sort(&mut self) {
        self.emptiers.sort_unstable();
    }

    /// Whether the key may have been left with some value by then.
    pub(super) fn may_have_filled(&self, by: VirtualTime) -> bool {
        self.filled_ns.is_some_and(|filled| filled <= by)
    }

    /// Whether the key may have been left without a value by then.
    pub(super) fn may_have_emptied(&self, by: VirtualTime) -> bool {
        self.emptiers.first().is_some_and(|emptied| *emptied <= by)
    }

    /// Whether some value may have been set by then, otherwise than by adding to it.
    pub(super) fn may_have_set(&self, by: VirtualTime) -> bool {
        self.set_ns.is_some_and(|set| set <= by)
    }

    /// How many may have left this very value by then, additions aside.
    pub(super) fn writers_of(&self, value: i64, by: VirtualTime) -> usize {
        self.writers.get(&value).map_or(0, |asked| asked.partition_point(|asked| *asked <= by))
    }

    /// How many additions may have had effect by then.
    pub(super) fn additions(&self, by: VirtualTime) -> usize {
        self.additions.partition_point(|(asked, ..)| *asked <= by)
    }

    /// When the first life can have been over of what may have been set to this value.
    pub(super) fn over_ns_of(&self, value: i64) -> Option<VirtualTime> {
        self.mortal.get(&value).copied()
    }

    /// When the first life can have been over of whatever may have been set.
    pub(super) const fn first_over_ns(&self) -> Option<VirtualTime> {
        self.first_over_ns
    }

    /// Whether some value may ever have been set, otherwise than by adding to it.
    pub(super) const fn sets(&self) -> bool {
        self.set_ns.is_some()
    }

    /// Whether anything may ever have left the key empty.
    pub(super) fn empties(&self) -> bool {
        !self.emptiers.is_empty()
    }

    /// Whether additions of which nobody knows may have brought a counter from one value to the other by then. Of
    /// those that had been asked for, `used` have had their effect elsewhere.
    pub(super) fn may_have_added(&self, from: i64, to: i64, by: VirtualTime, used: usize) -> bool {
        let more = i128::from(to) - i128::from(from);
        let asked = self.additions(by);
        match asked.saturating_sub(used) {
            0 => more == 0,
            1 => more == 0 || self.sizes.get(&more).is_some_and(|first| *first <= by),
            _ => {
                let (_, up, down) = self.additions[asked - 1];
                (down..=up).contains(&more)
            }
        }
    }

    /// Finds one of these gaps for which there is no emptier left: each must hold one, and one is in one place
    /// at most. A gap is the versions between which the key was emptied (both excluded), and when that had
    /// been.
    pub(super) fn unexplained<T: Copy>(&self, mut gaps: Vec<(u64, u64, VirtualTime, T)>) -> Option<T> {
        gaps.sort_by_key(|(_, high, ..)| *high);
        // As many as can be without two in one place: those that end first.
        let mut apart: Vec<(VirtualTime, T)> = Vec::new();
        let mut taken = None;
        for (low, high, by, what) in gaps {
            if high.saturating_sub(low) < 2 {
                return Some(what);
            }
            if taken.is_none_or(|taken| low >= taken) {
                // The last place in this gap; a later gap that begins before it can share it.
                taken = Some(high - 1);
                apart.push((by, what));
            }
        }
        apart.sort_by_key(|(by, _)| *by);
        let mut needed = 0..;
        apart.into_iter().find_map(|(by, what)| {
            let one_of = needed.next()?;
            let there = self.emptiers.partition_point(|emptier| *emptier <= by);
            (there <= one_of).then_some(what)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_emptiers(at: &[u64]) -> Unknown {
        Unknown { emptiers: at.iter().copied().map(VirtualTime).collect(), ..Unknown::default() }
    }

    #[test]
    fn each_gap_apart_needs_an_emptier_of_its_own_that_came_in_time() {
        let gaps = |list: &[(u64, u64, u64)]| {
            (0..).zip(list).map(|(n, (low, high, by))| (*low, *high, VirtualTime(*by), n)).collect()
        };
        let one = with_emptiers(&[5]);
        assert_eq!(one.unexplained(gaps(&[(1, 9, 6)])), None);
        assert_eq!(one.unexplained(gaps(&[(1, 9, 4)])), Some(0), "it came later");
        assert_eq!(one.unexplained(gaps(&[(1, 2, 6)])), Some(0), "there is no version between");
        assert_eq!(one.unexplained(gaps(&[(1, 9, 6), (3, 12, 7)])), None, "one place for both");
        assert_eq!(one.unexplained(gaps(&[(1, 4, 6), (4, 9, 7)])), Some(1), "no place for both");
        let two = with_emptiers(&[5, 8]);
        assert_eq!(two.unexplained(gaps(&[(1, 4, 6), (4, 9, 7)])), Some(1), "the second came later");
        assert_eq!(two.unexplained(gaps(&[(1, 4, 6), (4, 9, 8)])), None);
    }
}
