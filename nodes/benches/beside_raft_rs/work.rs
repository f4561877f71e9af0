//! The pieces of work that are measured. Each prepares a cluster, has `measure` carry out what counts, and
//! makes sure that it was done: whoever does less than it is credited with stops the run.

use crate::contenders::Contender;
use crate::system::NODES;

/// Batch in which the log grows that a follower has to catch up with.
const CATCH_UP_BATCH: u64 = 256;
/// Proposals that warm a cluster up before it is measured.
const WARM_UP: u64 = 2_048;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Whether figures are taken.
    is_full: bool,
    /// Proposals of one round.
    pub(crate) proposals: u64,
    /// Entries that a follower lacks when it comes back.
    pub(crate) catch_up_entries: u64,
}

impl Extent {
    /// What figures are taken from.
    pub(crate) const FULL: Self = Self { is_full: true, proposals: 65_536, catch_up_entries: 100_000 };
    /// Enough to see that everything works.
    pub(crate) const SMOKE: Self = Self { is_full: false, proposals: 1_024, catch_up_entries: 2_000 };

    /// How often something is repeated: `full` times for figures, else once.
    pub(crate) fn repeats(self, full: usize) -> usize {
        if self.is_full { full } else { 1 }
    }

    /// Cargo adds `--bench` when it measures; without any argument this is a quick check.
    pub(crate) fn of(arguments: &[&str]) -> Option<Self> {
        match arguments {
            ["--bench"] => Some(Self::FULL),
            [] => {
                println!("a quick check, not a measurement: `cargo bench` measures\n");
                Some(Self::SMOKE)
            }
            _ => None,
        }
    }
}

/// Proposals in rounds of `batch`, committed and handed out for applying on every node.
///
/// # Panics
/// If that was not done.
pub(crate) fn proposals<T>(
    contender: Contender,
    batch: u64,
    extent: Extent,
    measure: impl FnOnce(&mut dyn FnMut()) -> T,
) -> T {
    let mut cluster = contender.elected();
    cluster.run(WARM_UP, batch);
    let applied_before = cluster.applied();
    let measured = measure(&mut || cluster.run(extent.proposals, batch));
    let (applied, all) = (cluster.applied() - applied_before, extent.proposals * NODES);
    assert!(cluster.committed_everywhere() >= WARM_UP + extent.proposals, "every proposal commits");
    // The followers may not have heard of the last round's commit yet; of the warm-up's they now have.
    assert!(applied >= all - (NODES - 1) * batch, "every entry is applied on every node");
    measured
}

/// A follower that was away takes over what it lacks.
///
/// # Panics
/// If it was not away, or has not caught up.
pub(crate) fn catch_up<T>(
    contender: Contender,
    extent: Extent,
    measure: impl FnOnce(&mut dyn FnMut()) -> T,
) -> T {
    let mut cluster = contender.elected();
    cluster.run(WARM_UP, CATCH_UP_BATCH);
    cluster.leave();
    cluster.run(extent.catch_up_entries, CATCH_UP_BATCH);
    assert!(cluster.committed_everywhere() < WARM_UP + CATCH_UP_BATCH, "the follower is away");
    let measured = measure(&mut || cluster.catch_up());
    assert!(cluster.committed_everywhere() >= WARM_UP + extent.catch_up_entries, "it has all of it");
    measured
}
