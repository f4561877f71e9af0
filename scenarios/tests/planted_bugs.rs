//! Every planted bug is found by the catalogue, and found again by what the finding prints.
//!
//! No scenario names a bug and no bug names a scenario: `stormglass bugs --sweep` looks for each through the whole
//! catalogue, which takes a quarter of an hour for all. What it has found stands in the table of
//! `docs/planted-bugs.md`, and has to be true.

use stormglass_sim::check::Verdict;
use stormglass_sim::plan::{Schedule, expand, parse_schedule};
use stormglass_sim::run::{Bug, Options, Outcome, execute, repeat};

/// Bugs of the testbed that prove nothing wrong, but leave a run without proof: its verdict is unknown.
const DOUBTED: &[Bug] = &[Bug::FaultInert, Bug::ClockShared];

/// What no run can show, because every run has operations: the tests of the checks do
/// (`sim/tests/check_suite/planted.rs`).
const SHOWN_ON_THE_CHECK: &[Bug] = &[Bug::CheckerEmptyPasses];

/// What proves nothing wrong at all, but keeps runs from being repeated.
const NOT_REPEATED: &[Bug] = &[Bug::UnorderedSelect];

/// What the sweep has found, as it is written down.
const TABLE: &str = include_str!("../../docs/planted-bugs.md");

/// The check, the scenario and the seed by which the sweep has found a bug.
fn written_down(bug: Bug) -> Option<(&'static str, &'static str, u64)> {
    let cells = |line: &'static str| -> Vec<&'static str> {
        line.split('|').map(|cell| cell.trim().trim_matches('`')).collect()
    };
    TABLE.lines().map(cells).find_map(|row| match row[..] {
        [_, name, by, scenario, seed, _, _] if name == bug.to_string() => {
            Some((by, scenario, seed.parse().ok()?))
        }
        _ => None,
    })
}

/// The run of the catalogue by which the sweep has found this bug.
fn find(bug: Bug) -> (Schedule, Outcome) {
    let again = format!("`stormglass bugs --sweep --bug {bug}` looks for it and prints its row");
    let (by, name, seed) =
        written_down(bug).unwrap_or_else(|| panic!("{bug} has no row in the table: {again}"));
    let scenarios = stormglass_scenarios::scenarios().expect("the catalogue can be read");
    let scenario = scenarios.iter().find(|scenario| scenario.name == name);
    let schedule =
        expand(scenario.unwrap_or_else(|| panic!("{name} is not in the catalogue: {again}")), seed);
    let outcome = execute(&schedule, Options { plant: Some(bug), keep_trace: false });
    assert_eq!(
        outcome.verdict,
        Verdict::Invalid,
        "{bug} is not found by {name}, seed {seed}, any more: {again}"
    );
    let reason = &outcome.reasons[0];
    assert!(reason.starts_with(by), "{bug} is not found by {by}: {reason}; {again}");
    (schedule, outcome)
}

fn is_found_and_found_again(bug: Bug) {
    let (schedule, outcome) = find(bug);
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

#[test]
fn faults_without_effect_leave_a_run_in_doubt() {
    for (bug, scenario) in DOUBTED.iter().zip(["minority-partition", "clock-drift"]) {
        let scenarios = stormglass_scenarios::scenarios().expect("the catalogue can be read");
        let scenario = scenarios.iter().find(|one| one.name == scenario).expect("it is in the catalogue");
        let schedule = expand(scenario, 1);
        let outcome = execute(&schedule, Options { plant: Some(*bug), ..Options::default() });
        assert_eq!(outcome.verdict, Verdict::Unknown, "{bug}");
        assert!(
            outcome.reasons.iter().any(|reason| reason.contains("had no effect")),
            "{bug}: {:?}",
            outcome.reasons
        );
        assert_eq!(execute(&schedule, Options::default()).verdict, Verdict::Valid, "{bug}");
    }
}

#[test]
fn the_determinism_gate_notices_a_select_without_order() {
    let scenarios = stormglass_scenarios::scenarios().expect("the catalogue can be read");
    for bug in NOT_REPEATED {
        let mut schedules = scenarios.iter().map(|scenario| expand(scenario, 1));
        let noticed =
            schedules.find_map(|schedule| repeat(&schedule, Some(*bug)).err().map(|said| (schedule, said)));
        let (schedule, said) = noticed.unwrap_or_else(|| panic!("{bug} went unnoticed"));
        println!("{bug}: stormglass meta {} --plant {bug}\n  {said}", schedule.scenario);
        assert!(said.contains("does not repeat"), "{said}");
        assert!(repeat(&schedule, None).is_ok(), "without {bug} the run does not repeat either");
    }
}

macro_rules! each_is_found {
    ($($test:ident: $bug:ident,)*) => {
        $(#[test] fn $test() { is_found_and_found_again(Bug::$bug); })*

        #[test]
        fn no_planted_bug_is_left_out() {
            let mut known = [[$(Bug::$bug),*].as_slice(), DOUBTED, SHOWN_ON_THE_CHECK, NOT_REPEATED].concat();
            known.sort_unstable();
            assert_eq!(known, Bug::ALL);
        }
    };
}

each_is_found! {
    a_guard_that_outlives_a_forced_release_is_found: GuardIgnoresForce,
    a_keep_alive_that_joined_another_and_renews_is_found: JoinedKeepAliveRenews,
    a_late_grant_that_is_believed_is_found: LateGrantIsBelieved,
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
    an_expiry_that_hands_the_token_on_is_found: LockExpiryWithoutFence,
    a_reader_that_passes_a_waiting_writer_is_found: LockSharedPassesWaitingWriter,
    an_upgrade_beside_another_reader_is_found: LockUpgradeJumps,
    a_release_by_another_is_found: LockReleaseByOther,
    a_deadlock_among_sharers_that_nobody_is_told_of_is_found: DeadlockMissedShared,
    an_order_of_grants_out_of_a_hash_map_is_found: ApplyIteratesHash,
    an_acknowledgement_by_a_stale_consumer_is_found: QueueAckByStaleConsumer,
    a_message_visible_early_is_found: QueueVisibleEarly,
    producers_forgotten_by_snapshots_are_found: QueueDedupePerNode,
    a_dead_letter_that_is_dropped_is_found: QueueDeadletterDrops,
    a_group_delivered_in_parallel_is_found: QueueGroupParallel,
    a_write_before_invalidations_are_answered_is_found: CacheAckBeforeInvalidate,
    lines_that_a_new_leader_does_not_take_back_are_found: CacheDirectoryLostOnFailover,
    a_line_counted_from_its_receipt_is_found: CacheLeaseAtGrantReceipt,
    a_deleted_value_that_comes_back_is_found: CacheDeleteResurrected,
    an_expiry_by_the_node_s_own_clock_is_found: CacheTtlLocal,
    a_waiter_lost_on_failover_is_found: LockWaiterLostOnFailover,
    a_machine_that_reads_a_clock_is_found: ApplyReadsClock,
    outcomes_forgotten_early_are_found: SessionEvictedEarly,
    a_late_note_of_an_eviction_is_found: CacheEvictDropsInvalidate,
    counts_of_a_node_that_is_behind_are_found: QueueEmptyPollStale,
    a_lease_that_survives_a_transfer_is_found: LeaseSurvivesTransfer,
    a_vote_without_a_look_at_the_log_is_found: VoteIgnoresLog,
    a_vote_for_the_longer_log_is_found: VoteComparesLengthFirst,
    a_conflict_that_is_kept_is_found: NoTruncateOnConflict,
    a_sync_that_does_nothing_is_found: FsyncSkipped,
    a_snapshot_without_outcomes_is_found: SnapshotForgetsSessions,
    a_check_that_forgets_what_may_have_been_done_is_found: CheckerDropsPending,
    a_write_that_waits_in_memory_is_found: WriteKeptInMemory,
    a_handler_that_outlives_its_lease_is_found: ConsumerOutlivesLease,
    an_acknowledgement_before_the_work_is_found: ConsumerAcknowledgesFirst,
    entries_sent_apart_from_their_number_are_found: RedisMultiSplit,
    an_emptied_redis_taken_for_a_new_one_is_found: RedisEmptyAccepted,
}
