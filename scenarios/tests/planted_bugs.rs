//! Every planted bug is found by the catalogue, and found again by what the finding prints.
//!
//! No scenario names a bug and no bug names a scenario: each is looked for through the whole catalogue.

use stormglass_sim::check::Verdict;
use stormglass_sim::plan::{Schedule, expand, parse_schedule};
use stormglass_sim::run::{Bug, Options, Outcome, default_jobs, execute, in_order};

/// Seeds that the catalogue is swept over, at most, until a bug is found.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=4;

/// The first run of the catalogue that is invalid with this bug planted.
fn find(bug: Bug) -> Option<(Schedule, Outcome)> {
    let scenarios = stormglass_scenarios::scenarios().expect("the catalogue can be read");
    let schedules: Vec<Schedule> =
        SEEDS.flat_map(|seed| scenarios.iter().map(move |scenario| expand(scenario, seed))).collect();
    let mut found = None;
    let work = |schedule: &Schedule| execute(schedule, Options { plant: Some(bug), keep_trace: false });
    in_order(&schedules, default_jobs(), work, |schedule, outcome| {
        if outcome.verdict == Verdict::Invalid {
            found = Some((schedule.clone(), outcome));
        }
        found.is_none()
    });
    found
}

fn is_found_and_found_again(bug: Bug) {
    let (schedule, outcome) = find(bug).unwrap_or_else(|| panic!("{bug} went unnoticed"));
    let Schedule { scenario, seed, .. } = &schedule;
    println!("{bug}: stormglass run {scenario} --seed {seed} --plant {bug}");
    println!("  {}", outcome.reasons[0]);

    let replayed = parse_schedule("schedule.toml", &schedule.to_toml()).expect("a schedule reads back");
    let again = execute(&replayed, Options { plant: Some(bug), keep_trace: false });
    assert_eq!(again.verdict, Verdict::Invalid, "{bug} was found once and not again");
    assert_eq!(again.reasons, outcome.reasons, "{bug} was found again for other reasons");
    let without = execute(&replayed, Options::default());
    assert_eq!(
        without.verdict,
        Verdict::Valid,
        "without {bug} the same run is not valid: {:?}",
        without.reasons
    );
}

macro_rules! each_is_found {
    ($($test:ident: $bug:ident,)*) => {
        $(#[test] fn $test() { is_found_and_found_again(Bug::$bug); })*

        #[test]
        fn no_planted_bug_is_left_out() {
            assert_eq!([$(Bug::$bug),*].as_slice(), Bug::ALL);
        }
    };
}

each_is_found! {
    a_vote_that_is_not_persisted_is_found: VoteNotPersisted,
    committing_old_terms_by_count_is_found: CommitOldTermByCount,
    an_acknowledgement_before_durability_is_found: AckBeforeDurable,
    truncating_on_a_stale_append_is_found: TruncateOnStaleAppend,
    a_read_index_without_quorum_is_found: ReadIndexWithoutQuorum,
    an_answer_credited_to_a_later_round_is_found: ReadIndexContextReused,
    a_retry_applied_twice_is_found: RetryAppliedTwice,
    a_lock_granted_over_a_lease_is_found: LockGrantOverLease,
    a_client_that_believes_past_its_lease_is_found: ClientBelievesPastLease,
    a_joint_state_decided_by_one_half_is_found: JointUsesNewMajorityOnly,
    a_learner_that_counts_is_found: LearnerInQuorum,
    a_second_change_while_one_is_unapplied_is_found: SecondChangeWhileUnapplied,
    a_snapshot_without_members_is_found: SnapshotForgetsConfig,
    a_lease_that_survives_a_transfer_is_found: LeaseSurvivesTransfer,
}
