//! Simulated seconds per CPU-second of whole runs: world, nodes, clients, faults and every check, from the
//! schedule to the verdict.
//!
//! What is measured is the CPU time of this process, of all its threads, because a run has a thread of its
//! own and is judged on another; other processes on the machine do not count. Linux counts it in ticks of
//! 10 ms, so one measurement covers several seeds.
#![expect(clippy::disallowed_methods, reason = "it reads its CPU time from the real system")]

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stormglass_sim::check::Verdict;
use stormglass_sim::plan::{Scenario, expand, load_scenario};
use stormglass_sim::run::{Options, execute};

const SEEDS: u64 = 5;
/// Simulated seconds that the figures are scaled to: about what the seeds of one measurement last.
const SIMULATED_S: u64 = 150;
/// Linux tells processes about CPU time in these ticks, whatever its own clock.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of this process, user and system.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux tells a process's CPU time");
    // The process's name may hold spaces; it ends at the last bracket, two fields before the 14th.
    let (_, fields) = text.rsplit_once(')').expect("the second field is a name in brackets");
    let ticks = fields.split_whitespace().skip(11).take(2);
    TICK * ticks.map(|field| field.parse::<u32>().expect("fields 14 and 15 are numbers")).sum()
}

/// Runs some seeds of a scenario; says how many simulated seconds that was, and the CPU time it took.
fn run_seeds(scenario: &Scenario, seeds: impl Iterator<Item = u64>) -> (f64, Duration) {
    let before = cpu_time();
    let simulated_s = seeds
        .map(|seed| {
            let outcome = execute(&expand(scenario, seed), Options::default());
            assert_eq!(outcome.verdict, Verdict::Valid, "seed {seed}: {:?}", outcome.reasons);
            outcome.ended.0 as f64 / 1e9
        })
        .sum();
    (simulated_s, cpu_time().saturating_sub(before))
}

fn scenarios(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("simulated_seconds_per_cpu_second");
    group.throughput(Throughput::Elements(SIMULATED_S));
    group.sample_size(10);
    let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/catalog");
    for name in ["calm", "leader-crash"] {
        let scenario = load_scenario(&catalog.join(format!("{name}.toml"))).expect("the catalogue is sound");
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let (simulated_s, time) = run_seeds(&scenario, 1..=SEEDS * iterations);
                time.mul_f64((SIMULATED_S * iterations) as f64 / simulated_s)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, scenarios);
criterion_main!(benches);
