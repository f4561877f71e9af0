//! The catalogue on a few fixed seeds: every claim holds, and every fault shows its effect.

use stormglass_sim::check::Verdict;
use stormglass_sim::plan::{Schedule, expand};
use stormglass_sim::run::{Options, default_jobs, execute, in_order};

/// Seeds on which each scenario is run here. Sweeps go further.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=2;

fn schedules() -> Vec<Schedule> {
    let scenarios = stormglass_scenarios::scenarios().expect("the catalogue can be read");
    SEEDS.flat_map(|seed| scenarios.iter().map(move |scenario| expand(scenario, seed))).collect()
}

#[test]
fn every_claim_holds_and_every_fault_shows_its_effect() {
    let mut wrong = Vec::new();
    in_order(
        &schedules(),
        default_jobs(),
        |schedule| execute(schedule, Options::default()),
        |schedule, outcome| {
            if outcome.verdict != Verdict::Valid {
                let Schedule { scenario, seed, .. } = schedule;
                let reasons = outcome.reasons.join("; ");
                wrong.push(format!(
                    "{}: {reasons}\n  stormglass run {scenario} --seed {seed}",
                    outcome.verdict
                ));
            }
            true
        },
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_catalogue_holds_what_its_users_expect() {
    let scenarios = stormglass_scenarios::scenarios().expect("the catalogue can be read");
    let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    for expected in [
        "calm",
        "leader-crash",
        "follower-crash-catch-up",
        "rolling-crashes",
        "minority-partition",
        "majority-partition",
        "one-way-partition",
        "flapping-leader-link",
        "slow-and-lossy-links",
        "whole-cluster-power-loss",
        "paused-leader",
        "client-disconnects",
        "swarm-register",
        "swarm-lock",
        "swarm-locks-of-several",
        "swarm-queue",
        "swarm-cache",
        "swarm-services",
        "guarded-consumer-paused",
        "queue-consumers-die",
        "near-cache-cut-off",
    ] {
        assert!(names.contains(&expected), "{expected} is gone");
    }
    for scenario in &scenarios {
        assert!(scenario.claim.ends_with('.'), "{}: a claim is a sentence", scenario.name);
    }
}

#[test]
fn another_seed_is_another_schedule() {
    for scenario in stormglass_scenarios::scenarios().expect("the catalogue can be read") {
        let (one, other) = (expand(&scenario, 1), expand(&scenario, 2));
        assert_eq!(one, expand(&scenario, 1), "{}", scenario.name);
        let faults_differ = one.faults != other.faults;
        assert!(faults_differ || scenario.faults.is_empty() && scenario.swarm.is_none(), "{}", scenario.name);
    }
}
