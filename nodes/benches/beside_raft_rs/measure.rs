//! CPU time of this thread, of contenders that take turns.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::contenders::Contender;

/// One contender's operations per CPU-second, round by round.
#[derive(Clone, Debug)]
pub(crate) struct Rates(pub(crate) Vec<f64>);

impl Rates {
    /// The rate in the middle; the upper one of two.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

/// CPU time that this thread has used so far, in user and kernel mode.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Operations per CPU-second of `work`, which is worth `operations`.
pub(crate) fn rate(operations: u64, work: &mut dyn FnMut()) -> f64 {
    let begin = cpu_time();
    work();
    let spent = cpu_time() - begin;
    operations as f64 / spent.as_secs_f64().max(f64::EPSILON)
}

/// Measures contenders in turn, round by round, each round beginning with another one, so that what
/// disturbs the machine disturbs all of them.
pub(crate) fn alternate(
    contenders: &[Contender],
    rounds: usize,
    mut rate: impl FnMut(Contender) -> f64,
) -> Vec<Rates> {
    let mut rates = vec![Rates(Vec::with_capacity(rounds)); contenders.len()];
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let at = (round + turn) % contenders.len();
            rates[at].0.push(rate(contenders[at]));
        }
    }
    rates
}
