//! What our core allocates beside raft-rs: the same clusters and the same work as in the comparison of
//! their speed, under an allocator that counts. Counts do not depend on the machine, so one round does.
//!
//! ```text
//! cargo bench -p stormglass-nodes --bench beside_raft_rs_allocations
//! ```

mod contenders;
mod ours;
mod system;
mod table;
mod theirs;
mod work;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use alloc_tracker::{Report, ReportOperation, Session};
use stormglass_nodes::raft::{Config, Core, Entry};

use crate::contenders::{CATCHING_UP, CONTENDERS};
use crate::ours::Ours;
use crate::system::{BATCHES, NODES};
use crate::table::row;
use crate::theirs::{Mode, Proposing, Theirs};
use crate::work::Extent;

#[global_allocator]
static ALLOCATOR: alloc_tracker::Allocator<std::alloc::System> = alloc_tracker::Allocator::system();

/// What the process says of a call that it does not understand.
const USAGE_ERROR: u8 = 64;

/// Heartbeats without anything to do before a group falls silent.
const IDLE_HEARTBEATS: u32 = 100;
/// Idle groups that are held at once.
const GROUPS: usize = 1_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(extent) = Extent::of(&arguments) else {
        eprintln!("usage: [--bench]");
        return ExitCode::from(USAGE_ERROR);
    };
    count_proposals(extent);
    count_catch_up(extent);
    count_idle(extent);
    ExitCode::SUCCESS
}

/// Counts what `work` allocates.
fn counted(work: impl FnOnce()) -> Report {
    // It would print, and write a file, when it is dropped.
    let session = Session::new().no_stdout().no_file();
    let span = session.operation("work").measure_thread().iterations(1);
    work();
    drop(span);
    session.to_report()
}

/// The one operation of a report.
fn operation(report: &Report) -> &ReportOperation {
    report.operations().next().expect("one operation was counted").1
}

/// Allocations and bytes of `operations` operations, for each of them.
fn per_operation(report: &Report, operations: u64) -> String {
    let (counted, operations) = (operation(report), operations as f64);
    let allocations = counted.total_allocations_count() as f64 / operations;
    format!("{allocations:.3}; {:.0}", counted.total_bytes_allocated() as f64 / operations)
}

/// Allocations and bytes for each proposal, of all contenders, by batch.
fn count_proposals(extent: Extent) {
    println!("allocations; bytes allocated, for each proposal");
    row("batch", BATCHES.iter().map(ToString::to_string));
    for contender in CONTENDERS {
        let cell = |batch| {
            let report = work::proposals(contender, batch, extent, |work| counted(work));
            per_operation(&report, extent.proposals)
        };
        row(contender.name, BATCHES.into_iter().map(cell));
    }
}

/// Allocations and bytes for each entry that a follower takes over which was away.
fn count_catch_up(extent: Extent) {
    println!("\ncatch-up of {} entries: allocations; bytes, for each entry", extent.catch_up_entries);
    for contender in CATCHING_UP {
        let report = work::catch_up(contender, extent, |work| counted(work));
        row(contender.name, [per_operation(&report, extent.catch_up_entries)].into_iter());
    }
}

/// Bytes that one member of an idle group of three holds: after an election, a hundred heartbeats and the
/// agreement to fall silent. What is in its log, one entry, is included, and said apart. raft-rs's members
/// come with their storage, straight after an election.
fn count_idle(extent: Extent) {
    let groups = extent.repeats(GROUPS);
    println!("\n{groups} idle groups of three: bytes held by each member");
    let mode = Mode { proposing: Proposing::Single, lazy_commit: false };
    let configs = Ours::configs(Some(IDLE_HEARTBEATS));
    row("ours, in all", [held(groups, || silent(&configs))].into_iter());
    println!("of which the core itself: {}", size_of::<Core>());
    println!("of which the log's one entry: {}", size_of::<Entry>() + 2 * size_of::<usize>());
    row("raft-rs and its storage", [held(groups, || Theirs::elected(mode).nodes)].into_iter());
}

/// The cores of a cluster that has had nothing to do for so long that it has fallen silent, and whose driver
/// has asked for the memory that is not needed.
///
/// # Panics
/// If they do not fall silent in a bounded number of heartbeats.
fn silent(configs: &[Arc<Config>]) -> Vec<Core> {
    let mut cluster = Ours::elected_with(configs);
    let mut heartbeats = 0;
    while !cluster.cores.iter().all(|core| core.status().is_quiescent) {
        heartbeats += 1;
        assert!(heartbeats <= 2 * IDLE_HEARTBEATS, "an idle group falls silent");
        cluster.pass_interval();
    }
    cluster.cores.iter_mut().for_each(Core::release_memory);
    cluster.cores
}

/// Bytes held by each member of the groups that `make` makes.
fn held<T>(groups: usize, make: impl Fn() -> T) -> String {
    let report = counted(|| {
        black_box((0..groups).map(|_| make()).collect::<Vec<_>>());
    });
    // What was held at most: all groups, and what making the last one took besides.
    let peak = operation(&report).peak_outstanding_bytes().expect("a span of one iteration has a peak");
    format!("{:.0}", peak / (groups as f64 * NODES as f64))
}
