//! Random schedules: nothing stale is ever read; with a bug planted or a clock out of bounds, something is.

use super::model::{Model, Options, Tally};
use crate::coherence::Settings;

/// What all schedules have in common: short leases, and clocks that drift a lot.
fn options(seed: u64) -> Options {
    let settings = Settings {
        lease_us: 50_000,
        drift_ppm_max: 200_000,
        lines_max: 3,
        bytes_max: 1 << 20,
        readers_max: 64,
        patience_us: 30_000,
        directory_lines_max: 12,
        asks_max: 64,
        writes_max: 32,
        resend_us: 8_000,
    };
    Options { seed, nodes: 3 + seed % 3, settings, spread_ppm: 200_000, is_troubled: true }
}

/// Steps until something is wrong, or so many; then a calm stretch at whose end no write is held back.
fn run(options: Options, steps: u64) -> Tally {
    let mut model = Model::new(options);
    while model.tally.steps < steps && model.tally.offences.is_empty() {
        model.step();
    }
    if model.tally.offences.is_empty() {
        model.calm_down();
        let end = model.now + 2_000_000;
        while model.now < end {
            model.step();
        }
        let held_back = model.writes_held_back();
        if held_back > 0 {
            model.tally.offences.push(format!("{held_back} writes wait in the calm for ever"));
        }
    }
    model.finish()
}

fn sweep(seeds: u64, steps: u64) -> Tally {
    let mut total = Tally::default();
    for seed in 0..seeds {
        let tally = run(options(seed), steps);
        assert!(tally.offences.is_empty(), "seed {seed}, step {}: {:?}", tally.steps, tally.offences);
        add(&mut total, &tally);
    }
    total
}

fn add(total: &mut Tally, one: &Tally) {
    total.steps += one.steps;
    total.hits += one.hits;
    total.waited += one.waited;
    total.uncached += one.uncached;
    total.negative += one.negative;
    total.proposed += one.proposed;
    total.committed += one.committed;
    total.elections += one.elections;
    total.grants_refused += one.grants_refused;
    total.overtaken += one.overtaken;
    total.exclusive += one.exclusive;
    total.evicted += one.evicted;
    total.recalls_answered += one.recalls_answered;
    total.recalls_waited_out += one.recalls_waited_out;
    total.leases_waited_out += one.leases_waited_out;
}

#[test]
fn nothing_stale_is_read_from_a_line_whatever_happens() {
    let steps =
        std::env::var("STORMGLASS_COHERENCE_STEPS").map_or(25_000, |steps| steps.parse().expect("a number"));
    let seeds =
        std::env::var("STORMGLASS_COHERENCE_SEEDS").map_or(24, |seeds| seeds.parse().expect("a number"));
    let total = sweep(seeds, steps);
    println!("{total:?}");
    let seen = [
        total.hits,
        total.waited,
        total.uncached,
        total.negative,
        total.committed,
        total.elections,
        total.grants_refused,
        total.overtaken,
        total.exclusive,
        total.evicted,
        total.recalls_answered,
        total.recalls_waited_out,
        total.leases_waited_out,
    ];
    assert!(seen.iter().all(|&count| count > 0), "the schedules leave something out: {total:?}");
}

/// The number of steps after which something stale was read, over so many seeds.
#[cfg(feature = "planted-bugs")]
fn found_after(bug: crate::plant::Bug) -> Option<u64> {
    crate::plant::select(Some(bug));
    let mut steps = 0;
    for seed in 0..60 {
        let tally = run(options(seed), 25_000);
        steps += tally.steps;
        if !tally.offences.is_empty() {
            println!("{bug}: seed {seed}, {steps} steps in all: {}", tally.offences[0]);
            crate::plant::select(None);
            return Some(steps);
        }
    }
    crate::plant::select(None);
    None
}

#[cfg(feature = "planted-bugs")]
#[test]
fn every_planted_bug_makes_something_stale_be_read() {
    use crate::plant::Bug;
    for bug in [
        Bug::CacheAckBeforeInvalidate,
        Bug::CacheDirectoryLostOnFailover,
        Bug::CacheLeaseAtGrantReceipt,
        Bug::CacheDeleteResurrected,
        Bug::CacheEvictDropsInvalidate,
    ] {
        assert!(found_after(bug).is_some(), "{bug} went unnoticed");
    }
}

#[test]
fn clocks_that_drift_beyond_the_bound_make_something_stale_be_read() {
    let mut found = 0;
    for seed in 0..20 {
        let options = Options { spread_ppm: 2_000_000, ..options(seed) };
        found += u64::from(!run(options, 25_000).offences.is_empty());
    }
    println!("{found} of 20 seeds");
    assert!(found > 0, "what is assumed of clocks is not needed, or not tested");
}
