//! Lock checks against a service too simple to be wrong.
//!
//! Clients of it are drawn at random ([`world`]), with answers that get lost, leases that end and operators, and the
//! histories that they leave are right by construction: every one must be accepted. The same service is then wrong in
//! one way at a time ([`flaws`]), and of each way it is counted how often that was noticed.
//!
//! `STORMGLASS_FUZZ=100 cargo test --release -p stormglass-sim --test check_suite lock_fuzz -- --nocapture` makes a
//! hundred times as many.

mod calls;
mod flaws;
mod line;
mod parts;
mod service;
mod terms;
mod world;

use stormglass_sim::check::{CheckReport, Verdict, guarded, lock_safety};

use world::Recorded;

/// Right histories; `STORMGLASS_FUZZ` times as many if that is set.
const RIGHT: u64 = 10_000;
/// Wrong ones of each kind, likewise.
const WRONG: u64 = 500;

fn times(count: u64) -> u64 {
    count * std::env::var("STORMGLASS_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn judged(recorded: &Recorded) -> Vec<CheckReport> {
    let Recorded { history, drift, calm, .. } = recorded;
    assert_eq!(history.verify(), Ok(()));
    let views = lock_safety::check_views(history, *drift, *calm);
    [lock_safety::check(history, *drift, *calm), guarded::check(history)].into_iter().chain(views).collect()
}

fn found(recorded: &Recorded) -> Option<String> {
    let reports = judged(recorded);
    let wrong = reports.into_iter().find(|report| report.verdict == Verdict::Invalid)?;
    Some(format!("{}: {}", wrong.name, wrong.counterexample.unwrap_or_default()))
}

#[test]
fn what_a_service_does_that_is_right_is_accepted() {
    let mut operations = 0;
    for seed in 0..times(RIGHT) {
        let recorded = world::record(seed, None);
        operations += recorded.history.operations.len();
        if let Some(found) = found(&recorded) {
            let rows: Vec<String> =
                recorded.history.operations.iter().map(|operation| format!("{operation:?}")).collect();
            let holds: Vec<String> = recorded.history.holds.iter().map(|hold| format!("{hold:?}")).collect();
            panic!("seed {seed}: {found}\n{}\n{}", rows.join("\n"), holds.join("\n"));
        }
    }
    println!("{} right histories of {operations} operations were accepted", times(RIGHT));
}

#[test]
fn what_a_service_does_that_is_wrong_is_noticed() {
    for flaw in flaws::ALL {
        let (mut wrong, mut noticed, mut seed) = (0, 0, 0);
        while wrong < times(WRONG) && seed < 100 * times(WRONG) {
            let recorded = world::record(seed, Some(flaw));
            seed += 1;
            if recorded.wrongs > 0 {
                wrong += 1;
                noticed += u64::from(found(&recorded).is_some());
            }
        }
        println!("{flaw:?}: of {wrong} noticed {noticed}");
        assert!(noticed > 0, "{flaw:?} of {wrong}");
    }
}
