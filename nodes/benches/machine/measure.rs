//! What the benches of the machines have in common: a counting allocator, the CPU's clock, tables.
//!
//! Bytes are those asked of the allocator, at their highest while something was done. Times are those of this
//! thread's CPU, so what else runs on the machine takes nothing from them but room in its caches; each is the
//! median of many short runs.

use std::process::ExitCode;

use alloc_tracker::Session;
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: alloc_tracker::Allocator<std::alloc::System> = alloc_tracker::Allocator::system();

/// What the process says of a call that it does not understand.
const USAGE_ERROR: u8 = 64;
/// Sizes of the state when time is taken.
pub(crate) const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Operations timed together.
pub(crate) const RUN: usize = 100;
/// Runs of each operation.
pub(crate) const RUNS: usize = 100;
/// What one of whatever there may be a million of may cost.
pub(crate) const BYTES_MAX: f64 = 200.0;
pub(crate) const HOUR_US: u64 = 3_600_000_000;

/// Runs a bench that takes no arguments, and says whether all bounds were kept.
pub(crate) fn run(bench: impl FnOnce() -> bool) -> ExitCode {
    if std::env::args().skip(1).any(|argument| argument != "--bench") {
        eprintln!("usage: [--bench]");
        return ExitCode::from(USAGE_ERROR);
    }
    if bench() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The highest number of bytes that `work` holds, what it returns included.
pub(crate) fn peak_bytes<T>(work: impl FnOnce() -> T) -> f64 {
    let session = Session::new().no_stdout().no_file();
    let span = session.operation("fill").measure_thread().iterations(1);
    let made = work();
    drop(span);
    let report = session.to_report();
    let (_, operation) = report.operations().next().expect("there is one operation");
    let peak = operation.peak_outstanding_bytes().expect("the span was not told to leave it out");
    drop(made);
    peak
}

/// Does `count` operations. Returns the nanoseconds that one took, and what came of them.
pub(crate) fn each_ns<T>(count: usize, work: impl FnOnce() -> T) -> (f64, T) {
    let from = cpu_ns();
    let made = work();
    ((cpu_ns() - from) as f64 / count as f64, made)
}

fn cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The value in the middle; the upper one of two.
pub(crate) fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

/// Prints the times of operations, a column for each of [`SIZES`], counted in `what`.
pub(crate) fn print_times(what: &str, times: impl Fn(u64) -> Vec<(&'static str, f64)>) {
    println!("\nnanoseconds per operation (median of {RUNS} runs of {RUN}), by {what}");
    println!("  {:<28}{}", "", SIZES.map(|size| format!("{size:>10}")).concat());
    let columns: Vec<Vec<(&str, f64)>> = SIZES.iter().map(|&size| times(size)).collect();
    for row in 0..columns[0].len() {
        let cells: String = columns.iter().map(|column| format!("{:>10.0}", column[row].1)).collect();
        println!("  {:<28}{cells}", columns[0][row].0);
    }
}
