//! Topics that work, and topics with a flaw, against what is said of the histories that their clients leave.
//!
//! Of a topic that works every history is right by construction, and none may be rejected. Of one with a flaw a history is
//! wrong in the end only if somebody can tell, so what is asserted is how many are noticed at the least.
//! `STORMGLASS_FUZZ=40 cargo test --release -p stormglass-sim --test check_suite queue_fuzz -- --nocapture` draws forty
//! times as many, others, and prints what became of them.

mod calls;
mod clients;
mod topics;

use clients::{Drawn, draw};
use stormglass_sim::check::{Verdict, queue_safety};
use topics::Flaw;

fn larger() -> u64 {
    std::env::var("STORMGLASS_FUZZ").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// Seeds of a test, others if there are to be more of them.
fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let from = larger() * 1_000_000_000;
    from..from + count * larger()
}

/// What is wrong with it, as the checks see it.
fn found(drawn: &Drawn) -> Option<String> {
    assert_eq!(drawn.history.verify(), Ok(()));
    let reports = queue_safety::check_all(&drawn.history, drawn.drift, drawn.calm, false);
    let wrong = reports.into_iter().find(|report| report.verdict == Verdict::Invalid)?;
    Some(wrong.counterexample.unwrap_or_default())
}

#[test]
fn no_history_of_a_topic_that_works_is_rejected() {
    let mut operations = 0;
    for seed in seeds(20_000) {
        let drawn = draw(seed, None);
        operations += drawn.history.operations.len();
        if let Some(found) = found(&drawn) {
            for operation in &drawn.history.operations {
                eprintln!("{operation:?}");
            }
            panic!("seed {seed}: {found}");
        }
    }
    println!("{} histories of topics that work, {operations} operations: none rejected", 20_000 * larger());
}

#[test]
fn flaws_are_noticed() {
    for flaw in Flaw::ALL {
        let (mut shown, mut noticed) = (0, 0);
        for seed in seeds(1_000) {
            let drawn = draw(seed, Some(flaw));
            if drawn.shown > 0 {
                shown += 1;
                noticed += u64::from(found(&drawn).is_some());
            }
        }
        println!("{flaw:?}: noticed in {noticed} of {shown} histories");
        assert!(noticed > 0, "{flaw:?}");
    }
}
