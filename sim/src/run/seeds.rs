//! Many runs at a time, results in order.
//!
//! Each run has a fresh OS thread of its own (see `world`), and runs share nothing, so running several at a
//! time changes none of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

/// How many runs go on at a time if nobody says: one for each core.
#[must_use]
pub fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Does `work` for each of `items`, at most `jobs` at a time, and hands each result to `take` in the order
/// of the items. If `take` answers `false`, nothing further is begun or taken.
pub fn in_order<I: Sync, R: Send>(
    items: &[I],
    jobs: usize,
    work: impl Fn(&I) -> R + Sync,
    mut take: impl FnMut(&I, R) -> bool,
) {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let (sender, receiver) = mpsc::sync_channel(jobs.max(1));
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, items.len().max(1)) {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                while !stop.load(Ordering::Relaxed) {
                    let position = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(position) else { return };
                    if sender.send((position, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut taken = 0;
        for (position, result) in receiver {
            early.insert(position, result);
            while let Some(result) = early.remove(&taken) {
                if !take(&items[taken], result) {
                    stop.store(true, Ordering::Relaxed);
                    return;
                }
                taken += 1;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::in_order;

    #[test]
    fn results_come_in_order_whatever_the_number_of_jobs() {
        let items: Vec<u64> = (0..100).collect();
        for jobs in [1, 2, 7] {
            let mut taken = Vec::new();
            in_order(
                &items,
                jobs,
                |item| item * 2,
                |_, result| {
                    taken.push(result);
                    true
                },
            );
            assert_eq!(taken, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn nothing_is_taken_after_the_taker_has_had_enough() {
        let items: Vec<u64> = (0..1_000).collect();
        let mut taken = 0;
        in_order(
            &items,
            2,
            |item| *item,
            |item, _| {
                taken += 1;
                *item < 10
            },
        );
        assert_eq!(taken, 11);
    }
}
