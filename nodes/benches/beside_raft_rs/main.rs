//! Our core beside raft-rs, in one process and one run: three nodes in memory on one thread, whose stores
//! complete at once and whose messages arrive at once.
//!
//! ```text
//! cargo bench -p stormglass-nodes --bench beside_raft_rs --bench beside_raft_rs_allocations
//! ```
//!
//! The first prints operations per second of this thread's CPU time, medians of rounds in which all
//! contenders take turns; the ratios, with their least and greatest round; and a catch-up. The second
//! counts allocations and memory, for which everything has to run under a counting allocator, which whoever
//! allocates more would pay more for: so it measures no time. Without `--bench`, which cargo adds,
//! everything runs once and small, to show that it works: those figures mean nothing.
//!
//! What is compared with what, and the choices made for raft-rs, is written at [`system::System`] and in
//! [`theirs`].
//!
//! # Instructions per proposal
//! `--instructions SYSTEM BATCH PROPOSALS` runs one loop and nothing else. Two runs of different length
//! subtract to what a proposal costs, without the setup:
//!
//! ```text
//! bench=$(cargo bench -p stormglass-nodes --bench beside_raft_rs --no-run 2>&1 |
//!     sed -n 's/.*Executable.*(\(.*\))/\1/p')
//! for n in 16384 49152; do
//!   valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" --instructions ours 64 $n
//! done
//! ```
//!
//! The difference of the two counts of `Collected`, divided by 32768, is the figure.

mod contenders;
mod measure;
mod ours;
mod ratio;
mod system;
mod table;
mod theirs;
mod work;

use std::process::ExitCode;

use crate::contenders::{CATCHING_UP, CONTENDERS};
use crate::measure::{Rates, alternate};
use crate::ratio::{best, rate, ratio};
use crate::system::BATCHES;
use crate::table::row;
use crate::work::Extent;

/// What the process says of a call that it does not understand.
const USAGE_ERROR: u8 = 64;

/// Times that every contender is measured.
const ROUNDS: usize = 9;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--instructions", system, batch, proposals] = arguments[..] {
        return instructions(system, batch, proposals);
    }
    let Some(extent) = Extent::of(&arguments) else { return usage() };
    compare_proposals(extent);
    compare_catch_up(extent);
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    let names: Vec<_> = CONTENDERS.iter().map(|contender| contender.name).collect();
    eprintln!("usage: [--bench | --instructions SYSTEM BATCH PROPOSALS]");
    eprintln!("hint: a system is one of {}", names.join(", "));
    ExitCode::from(USAGE_ERROR)
}

/// Proposals per CPU-second of all contenders, by batch, and the ratios.
fn compare_proposals(extent: Extent) {
    let rounds = extent.repeats(ROUNDS);
    println!("proposals per CPU-second, medians of {rounds} rounds");
    let by_batch = BATCHES.map(|batch| {
        let measured = |contender| {
            work::proposals(contender, batch, extent, |work| measure::rate(extent.proposals, work))
        };
        alternate(&CONTENDERS, rounds, measured)
    });
    let cells = |cell: &dyn Fn(&[Rates]) -> String| by_batch.each_ref().map(|rates| cell(rates)).into_iter();
    row("batch", BATCHES.iter().map(ToString::to_string));
    for (place, contender) in CONTENDERS.iter().enumerate() {
        row(contender.name, cells(&|rates| rate(&rates[place])));
    }
    row("ours / single", cells(&|rates| ratio(&rates[0], &rates[1])));
    let is_told = |place: usize| CONTENDERS[place].mode.is_some_and(|mode| !mode.lazy_commit);
    row("ours / best that is not lazy", cells(&|rates| ratio(&rates[0], best(rates, is_told))));
    row("ours / best", cells(&|rates| ratio(&rates[0], best(rates, |place| place > 0))));
}

/// Entries per CPU-second that a follower takes over which was away.
fn compare_catch_up(extent: Extent) {
    let (entries, rounds) = (extent.catch_up_entries, extent.repeats(ROUNDS));
    println!("\ncatch-up of {entries} entries: entries per CPU-second, medians of {rounds} rounds");
    let measured = |contender| work::catch_up(contender, extent, |work| measure::rate(entries, work));
    let rates = alternate(&CATCHING_UP, rounds, measured);
    for (contender, rates) in CATCHING_UP.iter().zip(&rates) {
        row(contender.name, [rate(rates)].into_iter());
    }
    row("ours / best", [ratio(&rates[0], best(&rates, |place| place > 0))].into_iter());
}

/// Runs one contender's loop, to be counted from outside.
fn instructions(system: &str, batch: &str, proposals: &str) -> ExitCode {
    let contender = CONTENDERS.iter().find(|contender| contender.name == system);
    let (Some(contender), Ok(batch @ 1..), Ok(proposals)) = (contender, batch.parse(), proposals.parse())
    else {
        return usage();
    };
    let mut cluster = contender.elected();
    cluster.run(proposals, batch);
    assert!(cluster.committed_everywhere() >= proposals, "every proposal commits");
    println!("{} entries applied", cluster.applied());
    ExitCode::SUCCESS
}
