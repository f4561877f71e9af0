//! How much memory is needed beside the operations themselves, as histories get longer: a register, five processes,
//! one operation in ten of unknown outcome.

use std::process::Command;

use stormglass_sim::check::Verdict;
use stormglass_sim::check::linearizability::{Limits, PlainRegisterModel, verdict};

use crate::measure::{cpu_time, peak_kib, reset_peak};
use crate::shapes::{Objects, lost};

/// Said to the process that measures, before the number of operations.
pub(crate) const ONE: &str = "--memory";
/// The word that chooses this measurement.
pub(crate) const NAME: &str = "memory";

const OPERATIONS: [usize; 5] = [25_000, 50_000, 100_000, 200_000, 400_000];

/// Measures each length in a process of its own and prints a table.
pub(crate) fn measure() {
    println!(
        "\n| one operation in ten unanswered | CPU time | memory beyond the operations |\n|---|---|---|"
    );
    for operations in OPERATIONS {
        let program = std::env::current_exe().expect("a running program has a path");
        let output = Command::new(program)
            .args([ONE, &operations.to_string()])
            .output()
            .expect("a program that runs can be run again");
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// The child's part. The operations are handed over, not copied.
pub(crate) fn here(operations: usize) {
    let Objects::Registers(partitions) = lost(operations).objects else { return };
    reset_peak();
    let (before, begun) = (peak_kib(), cpu_time());
    let found = verdict(&PlainRegisterModel, partitions, &Limits { steps: u64::MAX });
    let (spent, kib) = (cpu_time() - begun, peak_kib() - before);
    assert_eq!(found.verdict, Verdict::Valid, "an object that works");
    println!("| {operations} | {} ms | {kib} KiB |", spent.as_millis());
}
