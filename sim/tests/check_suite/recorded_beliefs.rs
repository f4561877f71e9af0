//! What runs record of how long clients believed in locks that they upgraded or downgraded: what is not recorded is
//! judged by no check.

use std::collections::BTreeMap;

use stormglass_sim::check::Verdict;
use stormglass_sim::history::{Answer, Call, History, Hold, Operation, Outcome};
use stormglass_sim::plan::{expand, parse_scenario};
use stormglass_sim::run::{Options, execute};

const SCENARIO: &str = r#"
claim = "Locks that are upgraded and downgraded are believed in until then."

[workload]
kind = "lock"
keys = 4
rate_per_client_hz = 20
lease_ms = 2_000
hold_ms = [50, 800]
wait_ms = [0, 1_500]
shared = 0.6

[workload.locks]
resources_max = 2
upgrade = 0.8

[timing]
faults_from_ms = 2_000
faults_until_ms = 16_000
recover_within_ms = 2_000
end_ms = 20_000
"#;

/// Each upgrade and downgrade that was granted, and the hold under the token that it replaced.
fn replaced(history: &History) -> Vec<(&Operation, &Hold)> {
    let holds: BTreeMap<_, _> =
        history.holds.iter().map(|hold| ((hold.resource.as_str(), hold.token), hold)).collect();
    let replaced = history.operations.iter().filter_map(|operation| {
        let (Call::Upgrade { resource, token, .. } | Call::Downgrade { resource, token, .. }) =
            &operation.call
        else {
            return None;
        };
        let is_granted = matches!(operation.outcome, Outcome::Ok { answer: Answer::Granted { .. } });
        is_granted.then(|| (operation, holds[&(resource.as_str(), *token)]))
    });
    replaced.collect()
}

#[test]
fn who_shares_believes_until_it_has_more_and_who_is_alone_until_it_asks_for_less() {
    let scenario =
        parse_scenario("beliefs.toml", "beliefs", SCENARIO).unwrap_or_else(|error| panic!("{error}"));
    let outcome = execute(&expand(&scenario, 1), Options::default());
    assert_eq!(outcome.verdict, Verdict::Valid, "{:?}", outcome.reasons);
    let (mut upgrades, mut downgrades) = (0, 0);
    for (operation, hold) in replaced(&outcome.history) {
        assert!(!hold.lapsed, "nothing went wrong: {hold:?}");
        if hold.exclusive {
            downgrades += 1;
            assert_eq!(hold.until_ns, operation.invoked_ns, "{hold:?}");
        } else {
            upgrades += 1;
            assert_eq!(Some(hold.until_ns), operation.returned_ns, "{hold:?}");
        }
    }
    assert!(upgrades > 20 && downgrades > 20, "{upgrades} upgrades, {downgrades} downgrades");
}
