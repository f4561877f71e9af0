//! Long runs: rounds on the same nodes, judged one by one, in memory that does not grow with their number.

use std::path::Path;
use std::sync::{Arc, Mutex};

use stormglass_sim::check::Verdict;
use stormglass_sim::plan::{FaultKind, Scenario, load_scenario};
use stormglass_sim::run::{Options, Round, Soak, repeatable, soak};

fn scenario(name: &str) -> Scenario {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace");
    load_scenario(&root.join(format!("scenarios/catalog/{name}.toml"))).expect("the catalogue can be read")
}

/// What is to be the same in each run of one soak.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    number: u64,
    seed: u64,
    began_ms: u64,
    ended_ns: u64,
    operations: usize,
    first_key: String,
    trace: String,
    verdict: Verdict,
}

fn seen(scenario: Scenario, seed: u64, rounds: u64) -> Vec<Seen> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&all);
    let job = Soak { scenario, seed, rounds, options: Options::default() };
    soak(&job, move |round: &Round| {
        let outcome = &round.outcome;
        let first = &outcome.history.operations[0];
        into.lock().unwrap().push(Seen {
            number: round.number,
            seed: round.schedule.seed,
            began_ms: first.invoked_ns.as_us() / 1_000,
            ended_ns: outcome.ended.0,
            operations: outcome.history.operations.len(),
            first_key: first.call.object().to_owned(),
            trace: outcome.trace.as_ref().expect("it did not break").hash.to_string(),
            verdict: outcome.verdict,
        });
        true
    });
    Arc::try_unwrap(all).unwrap().into_inner().unwrap()
}

#[test]
fn rounds_follow_one_another_on_other_objects_and_repeat_to_the_byte() {
    let (scenario, left_out) = repeatable(scenario("swarm-services")).expect("it draws its faults");
    assert!(left_out.contains(&FaultKind::Members), "{left_out:?}");
    let rounds = seen(scenario.clone(), 3, 4);
    assert_eq!(rounds.iter().map(|round| round.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    for pair in rounds.windows(2) {
        assert!(pair[1].began_ms * 1_000_000 >= pair[0].ended_ns, "{pair:?}");
        assert_ne!(pair[0].seed, pair[1].seed);
        assert_ne!(pair[0].first_key, pair[1].first_key);
    }
    assert!(
        rounds.iter().all(|round| round.verdict == Verdict::Valid && round.operations > 100),
        "{rounds:?}"
    );
    assert_eq!(seen(scenario, 3, 4), rounds);
}

#[test]
fn what_changes_the_nodes_for_good_is_not_gone_through_again() {
    for (name, what) in [
        ("members-jointly", "members"),
        ("lost-disk-replaced", "replace"),
        ("rolling-upgrade", "upgrade"),
        ("redis-emptied", "emptied"),
    ] {
        let refused = repeatable(scenario(name)).expect_err(name);
        assert!(refused.contains(what), "{refused}");
    }
    let (same, left_out) = repeatable(scenario("leader-crash")).expect("its nodes come back");
    assert_eq!((same, left_out), (scenario("leader-crash"), vec![]));
}
